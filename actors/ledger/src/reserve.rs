//! Disk space that belongs to stops alone (PROTOCOL §4).
//!
//! A file of [`RESERVE_BYTES`] beside the database, written with bytes that no file system can store as a hole and synced. When the
//! disk is full, it is cut by [`RESERVE_STEP_BYTES`] at a time, so that what is freed goes to the stop that needs it and not to the
//! next ordinary append. It grows again as soon as there is room.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// Size of a whole reserve. A stop's batch takes some tens of KiB: this is room for a hundred and more.
pub const RESERVE_BYTES: u64 = 4 * 1024 * 1024;
/// What stays for stops in force when stops that are only being collected have used up the rest.
pub const RESERVE_RATIFIED_BYTES: u64 = RESERVE_BYTES / 2;
/// How much one batch may take at a time.
pub const RESERVE_STEP_BYTES: u64 = 256 * 1024;

#[derive(Debug)]
pub(crate) struct Reserve {
    path: PathBuf,
    probe: PathBuf,
}

impl Reserve {
    pub(crate) fn beside(database: &Path) -> Self {
        let with = |suffix: &str| {
            let mut name = database.as_os_str().to_owned();
            name.push(suffix);
            PathBuf::from(name)
        };
        Self { path: with(".reserve"), probe: with(".probe") }
    }

    /// Grows the file to its whole size, as far as there is room. True when it is whole.
    pub(crate) fn refill(&self) -> bool {
        let Ok(mut file) = open(&self.path) else { return false };
        loop {
            let Ok(length) = file.metadata().map(|m| m.len()) else { return false };
            if length >= RESERVE_BYTES {
                return true;
            }
            if grow(&mut file, length).is_err() {
                // What was written of this step must not stay: it would count as reserved without being whole.
                let _cut_back = file.set_len(length);
                return false;
            }
        }
    }

    /// Gives one step back to the file system. False when nothing is left.
    pub(crate) fn release(&self) -> bool {
        let cut = || -> io::Result<bool> {
            let file = open(&self.path)?;
            let length = file.metadata()?.len();
            if length == 0 {
                return Ok(false);
            }
            file.set_len(length.saturating_sub(RESERVE_STEP_BYTES))?;
            file.sync_all()?;
            Ok(true)
        };
        cut().unwrap_or(false)
    }

    /// Bytes that are left; 0 where that cannot be told.
    pub(crate) fn left(&self) -> u64 {
        fs::metadata(&self.path).map_or(0, |m| m.len())
    }

    /// True when one step could be written now. Asked before an append once the disk was full, because redb has to be opened anew
    /// after each failed write.
    pub(crate) fn has_room(&self) -> bool {
        let written = open(&self.probe).and_then(|mut file| grow(&mut file, 0));
        let _nothing_to_remove = fs::remove_file(&self.probe);
        written.is_ok()
    }
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path)
}

fn grow(file: &mut File, length: u64) -> io::Result<()> {
    // Multiples of a large odd number: neither holes nor anything that a file system would compress to nothing.
    let words = (length..length.saturating_add(RESERVE_STEP_BYTES)).step_by(8);
    let bytes: Vec<u8> = words.flat_map(|word| word.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes()).collect();
    file.write_all(&bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_taken_step_by_step_and_grows_again() {
        let folder = tempfile::tempdir().unwrap();
        let reserve = Reserve::beside(&folder.path().join("ledger.redb"));
        let length = || fs::metadata(folder.path().join("ledger.redb.reserve")).unwrap().len();
        assert!(reserve.refill());
        assert_eq!(length(), RESERVE_BYTES);
        for step in 1..=RESERVE_BYTES / RESERVE_STEP_BYTES {
            assert!(reserve.release());
            assert_eq!(length(), RESERVE_BYTES - step * RESERVE_STEP_BYTES);
        }
        assert!(!reserve.release());
        assert!(reserve.refill());
        assert_eq!(length(), RESERVE_BYTES);
    }

    #[test]
    fn the_probe_leaves_nothing_behind() {
        let folder = tempfile::tempdir().unwrap();
        let reserve = Reserve::beside(&folder.path().join("ledger.redb"));
        assert!(reserve.has_room());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        assert!(!Reserve::beside(&folder.path().join("absent/ledger.redb")).has_room());
    }
}
