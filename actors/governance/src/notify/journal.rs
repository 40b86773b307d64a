//! The journal: what was taken up to be told, and what became of it, in a file of its own beside the ledger. No decision waits for this
//! file, and it is bounded: the newest [`KEPT_MAX`] ended deliveries and all that wait.
//!
//! One JSON object a line, the last about a delivery counts. A line that a crash cut off is left out; a file that grew too long is written
//! anew beside the old one and takes its place.

use std::{
    collections::{BTreeMap, VecDeque},
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::notice::{Delivery, DeliveryState};

/// Most ended deliveries that are kept.
pub(super) const KEPT_MAX: usize = 4_096;
/// A file longer than this is written anew, in bytes.
const FILE_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Version of the lines.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct Line {
    v: u32,
    /// Entries of the ledger up to here were looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cursor: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    delivery: Option<Delivery>,
}

/// See the module.
#[derive(Default)]
pub(super) struct Journal {
    file: Option<(PathBuf, File)>,
    bytes: u64,
    cursor: Option<u64>,
    deliveries: BTreeMap<String, Delivery>,
    /// Those at their end, oldest first.
    ended: VecDeque<String>,
}

impl Journal {
    /// Reads what an earlier run wrote; without a path, everything is in memory alone.
    pub(super) fn open(path: Option<&Path>) -> io::Result<Self> {
        let mut journal = Self::default();
        let Some(path) = path else { return Ok(journal) };
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        match File::open(path) {
            Ok(file) => journal.read(BufReader::new(file))?,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
        journal.file = Some((path.to_owned(), appending(path)?));
        // Without the line that a crash cut off: the next would be glued to it.
        journal.anew()?;
        Ok(journal)
    }

    fn read(&mut self, file: impl BufRead) -> io::Result<()> {
        for line in file.split(b'\n') {
            let Ok(line) = serde_json::from_slice::<Line>(&line?) else { continue };
            if line.v != VERSION {
                let why = format!("its lines are of version {}, this release reads {VERSION}", line.v);
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
            self.cursor = line.cursor.or(self.cursor);
            if let Some(delivery) = line.delivery {
                self.keep(delivery);
            }
        }
        Ok(())
    }

    fn keep(&mut self, delivery: Delivery) {
        let (id, ended) = (delivery.id.clone(), delivery.state != DeliveryState::Waiting);
        self.ended.retain(|other| *other != id);
        if ended {
            self.ended.push_back(id.clone());
        }
        self.deliveries.insert(id, delivery);
        while self.ended.len() > KEPT_MAX {
            if let Some(oldest) = self.ended.pop_front() {
                self.deliveries.remove(&oldest);
            }
        }
    }

    /// Takes these down, durably. Where that fails they are known here all the same: telling matters more than the memory of it.
    pub(super) fn write(&mut self, cursor: Option<u64>, deliveries: &[Delivery]) -> io::Result<()> {
        self.cursor = cursor.or(self.cursor);
        deliveries.iter().for_each(|delivery| self.keep(delivery.clone()));
        let Some((_, file)) = &mut self.file else { return Ok(()) };
        let lines = lines(cursor, deliveries.iter())?;
        file.write_all(&lines)?;
        file.sync_data()?;
        self.bytes = self.bytes.saturating_add(lines.len() as u64);
        if self.bytes > FILE_BYTES_MAX { self.anew() } else { Ok(()) }
    }

    fn anew(&mut self) -> io::Result<()> {
        let Some((path, _)) = &self.file else { return Ok(()) };
        let path = path.clone();
        let beside = path.with_extension("new");
        let in_order = self.ended.iter().filter_map(|id| self.deliveries.get(id));
        let waiting = self.deliveries.values().filter(|d| d.state == DeliveryState::Waiting);
        let lines = lines(self.cursor, in_order.chain(waiting))?;
        let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(&lines)?;
        file.sync_data()?;
        fs::rename(&beside, &path)?;
        if let Some(folder) = path.parent() {
            File::open(folder)?.sync_all()?;
        }
        self.bytes = lines.len() as u64;
        self.file = Some((path.clone(), appending(&path)?));
        Ok(())
    }

    pub(super) fn cursor(&self) -> Option<u64> {
        self.cursor
    }
    pub(super) fn get(&self, id: &str) -> Option<&Delivery> {
        self.deliveries.get(id)
    }
    pub(super) fn all(&self) -> impl Iterator<Item = &Delivery> {
        self.deliveries.values()
    }
}

fn appending(path: &Path) -> io::Result<File> {
    OpenOptions::new().append(true).create(true).mode(0o600).open(path)
}

fn lines<'d>(cursor: Option<u64>, deliveries: impl Iterator<Item = &'d Delivery>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut put = |line: Line| -> io::Result<()> {
        serde_json::to_writer(&mut bytes, &line)?;
        bytes.push(b'\n');
        Ok(())
    };
    // Deliveries first: a cursor says that everything before it stands here.
    for delivery in deliveries {
        put(Line { v: VERSION, cursor: None, delivery: Some(delivery.clone()) })?;
    }
    if cursor.is_some() {
        put(Line { v: VERSION, cursor, delivery: None })?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use orbital::routing::Occasion;

    use super::*;
    use crate::notify::{
        notice::Notice,
        route::tests::{name, notice},
    };

    fn delivery(n: usize, state: DeliveryState) -> Delivery {
        let notice = Notice { about: n.to_string(), ..notice(Occasion::Approved) };
        Delivery { state, ..Delivery::new(&notice, &name("c"), None, n as u64) }
    }

    #[test]
    fn what_was_written_is_there_after_a_crash_and_a_cut_line_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notify/journal.jsonl");
        let mut journal = Journal::open(Some(&path)).unwrap();
        let first = delivery(0, DeliveryState::Waiting);
        journal.write(Some(7), &[first.clone(), delivery(1, DeliveryState::Waiting)]).unwrap();
        journal.write(None, &[Delivery { state: DeliveryState::Delivered, ..first.clone() }]).unwrap();
        let mut file = appending(&path).unwrap();
        file.write_all(br#"{"v":1,"cursor":99"#).unwrap();
        let mut again = Journal::open(Some(&path)).unwrap();
        assert_eq!(again.cursor(), Some(7));
        assert_eq!(again.get(&first.id).unwrap().state, DeliveryState::Delivered);
        assert_eq!(again.all().filter(|d| d.state == DeliveryState::Waiting).count(), 1);
        again.write(Some(8), &[]).unwrap();
        assert_eq!(Journal::open(Some(&path)).unwrap().cursor(), Some(8), "no line is glued to the cut one");
    }

    #[test]
    fn a_newer_file_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        fs::write(&path, "{\"v\":2,\"cursor\":1}\n").unwrap();
        assert!(Journal::open(Some(&path)).err().unwrap().to_string().contains("version 2"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "{\"v\":2,\"cursor\":1}\n");
    }

    #[test]
    fn the_oldest_ended_go_and_none_that_wait() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("j");
        let mut journal = Journal::open(Some(&path)).unwrap();
        journal.write(None, &[delivery(0, DeliveryState::Waiting)]).unwrap();
        let ended: Vec<_> = (1..=KEPT_MAX + 5).map(|n| delivery(n, DeliveryState::Delivered)).collect();
        journal.write(Some(1), &ended).unwrap();
        for journal in [journal, Journal::open(Some(&path)).unwrap()] {
            assert_eq!(journal.all().count(), KEPT_MAX + 1);
            assert!(journal.get(&ended[4].id).is_none() && journal.get(&ended[5].id).is_some());
        }
        assert_eq!(fs::read_to_string(&path).unwrap().lines().count(), KEPT_MAX + 2, "written anew at the start");
    }
}
