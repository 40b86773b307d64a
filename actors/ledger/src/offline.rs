//! Checks a ledger at rest, as an auditor does: the file is opened for reading only and never changed, not even to repair it after a
//! crash. Repairs go to pages in memory that lie over the file.

use std::{
    collections::BTreeMap,
    fs::{File, TryLockError},
    io,
    os::unix::fs::FileExt,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use ::redb::{Database, StorageBackend};

use crate::{
    Anchor, Batch, Broken, Entry, Head, Ledger, LedgerError, Margin, Owed, Receipt, Summary,
    redb::{Store, Trouble},
};

const PAGE: usize = 4096;
const PAGE_BYTES: u64 = PAGE as u64;

/// A ledger's file opened for reading only. Appending is an error.
pub struct OfflineLedger {
    path: PathBuf,
    store: Store,
}

/// Verifies the ledger in the file at `path`: the checksums of the store, then the chain from its first entry to its head, then each
/// anchor (see [`Ledger::verify_against`]). The file must not be open in a node: verify an export of a running one.
pub fn verify_file(path: impl AsRef<Path>, anchors: &[Anchor]) -> Result<Summary, Broken> {
    // redb may panic on a file that was damaged on purpose; for an auditor that is one more finding.
    let checked = catch_unwind(AssertUnwindSafe(|| {
        let ledger = OfflineLedger::open(path.as_ref()).map_err(|e| Broken::unreadable(&e))?;
        ledger.verify_against(anchors)
    }));
    checked.unwrap_or_else(|_| {
        Err(Broken::Unreadable { why: "its file is damaged beyond what the store can read".into() })
    })
}

impl OfflineLedger {
    /// Opens a ledger that no node has open. Nothing in the folder changes.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LedgerError> {
        let path = path.as_ref().to_path_buf();
        let io = |e: io::Error| LedgerError::Io { path: path.clone(), action: "open", why: e.to_string() };
        let file = File::open(&path).map_err(io)?;
        match file.try_lock_shared() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LedgerError::InUse { path }),
            Err(TryLockError::Error(e)) => return Err(io(e)),
        }
        let length = file.metadata().map_err(io)?.len();
        if length == 0 {
            return Err(LedgerError::Damaged { path, why: "the file is empty".into() });
        }
        let state = State { pages: BTreeMap::new(), length, under: length };
        let overlay = Overlay { file, state: Mutex::new(state) };
        let opened = Database::builder().set_check_integrity_on_open(true).create_with_backend(overlay);
        match opened.map_err(Trouble::from).and_then(Store::prepare) {
            Ok(store) => Ok(Self { path, store }),
            Err(trouble) => Err(trouble.told_of(&path)),
        }
    }
}

impl Ledger for OfflineLedger {
    fn append(&self, _: Batch) -> Result<Receipt, LedgerError> {
        Err(LedgerError::ReadOnly)
    }
    fn entries(&self, from: u64, limit: usize) -> Result<Vec<Entry>, LedgerError> {
        self.store.entries(from, limit).map_err(|t| t.told_of(&self.path))
    }
    fn head(&self) -> Result<Head, LedgerError> {
        self.store.tip().map(|tip| tip.head).map_err(|t| t.told_of(&self.path))
    }
    fn owed(&self, region: &str, lane: u8, after: u64, limit: usize) -> Result<Vec<Owed>, LedgerError> {
        self.store.owed(region, lane, after, limit).map_err(|t| t.told_of(&self.path))
    }
    fn margin(&self) -> Result<Margin, LedgerError> {
        self.store.margin().map_err(|t| t.told_of(&self.path))
    }
    fn fill(&self, _: Margin, _: Vec<Entry>) -> Result<(), LedgerError> {
        Err(LedgerError::ReadOnly)
    }
    fn owed_count(&self, region: &str, lane: u8) -> Result<u64, LedgerError> {
        self.store.owed_count(region, lane).map_err(|t| t.told_of(&self.path))
    }
    fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        self.store.meta(key).map_err(|t| t.told_of(&self.path))
    }
}

/// A file, and pages in memory that lie over it.
#[derive(Debug)]
struct Overlay {
    file: File,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    pages: BTreeMap<u64, Vec<u8>>,
    length: u64,
    /// How much of the file still shows: what was once cut off reads as zero.
    under: u64,
}

impl Overlay {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn page(&self, state: &State, number: u64) -> io::Result<Vec<u8>> {
        if let Some(page) = state.pages.get(&number) {
            return Ok(page.clone());
        }
        let (start, mut page) = (number.saturating_mul(PAGE_BYTES), Vec::new());
        let shown = usize::try_from(state.under.saturating_sub(start).min(PAGE_BYTES)).unwrap_or(0);
        page.resize(shown, 0);
        self.file.read_exact_at(&mut page, start)?;
        page.resize(PAGE, 0);
        Ok(page)
    }
}

/// The pages that `length` bytes from `offset` touch: number, first byte in the page, bytes in it.
fn pages(offset: u64, length: usize) -> impl Iterator<Item = (u64, usize, usize)> {
    let (mut at, mut left) = (offset, length);
    std::iter::from_fn(move || {
        let start = usize::try_from(at % PAGE_BYTES).ok()?;
        let count = left.min(PAGE.saturating_sub(start));
        let piece = (count > 0).then_some((at / PAGE_BYTES, start, count));
        at = at.saturating_add(count as u64);
        left = left.saturating_sub(count);
        piece
    })
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.state().length)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.state();
        if offset.saturating_add(out.len() as u64) > state.length {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut rest = &mut *out;
        for (number, start, count) in pages(offset, rest.len()) {
            let (front, back) = rest.split_at_mut(count);
            let page = self.page(&state, number)?;
            let from = page.get(start..start.saturating_add(count)).ok_or(io::ErrorKind::UnexpectedEof)?;
            front.copy_from_slice(from);
            rest = back;
        }
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut state = self.state();
        state.under = state.under.min(len);
        state.length = len;
        let _cut_off = state.pages.split_off(&len.div_ceil(PAGE_BYTES));
        let kept = usize::try_from(len % PAGE_BYTES).unwrap_or(0);
        if let Some(tail) = state.pages.get_mut(&(len / PAGE_BYTES)).and_then(|page| page.get_mut(kept..)) {
            tail.fill(0);
        }
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let mut rest = data;
        for (number, start, count) in pages(offset, data.len()) {
            let (front, back) = rest.split_at(count);
            let mut page = self.page(&state, number)?;
            let to = page.get_mut(start..start.saturating_add(count)).ok_or(io::ErrorKind::UnexpectedEof)?;
            to.copy_from_slice(front);
            state.pages.insert(number, page);
            rest = back;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{NewEntry, RedbLedger};

    fn filled(path: &Path) -> Summary {
        let ledger = RedbLedger::open(path).unwrap();
        for at_ms in 0..20 {
            let (subject, correlation) = (String::new(), String::new());
            let entry = NewEntry { at_ms, kind: "k".into(), subject, correlation, body: vec![b'1'; 3000] };
            ledger.append(Batch::of(entry)).unwrap();
        }
        ledger.verify().unwrap()
    }

    #[test]
    fn it_reads_what_a_node_wrote_and_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l.redb");
        let summary = filled(&path);
        let before = fs::read(&path).unwrap();
        assert_eq!(verify_file(&path, &[summary.last.into()]), Ok(summary));
        assert_eq!(fs::read(&path).unwrap(), before);
        let offline = OfflineLedger::open(&path).unwrap();
        assert!(matches!(offline.put_meta("k", b"v"), Err(LedgerError::ReadOnly)));
    }

    #[test]
    fn a_file_in_use_empty_or_foreign_is_named_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l.redb");
        filled(&path);
        let open = RedbLedger::open(&path).unwrap();
        assert!(matches!(OfflineLedger::open(&path), Err(LedgerError::InUse { .. })));
        drop(open);
        let empty = folder.path().join("empty");
        fs::write(&empty, b"").unwrap();
        assert!(matches!(OfflineLedger::open(&empty), Err(LedgerError::Damaged { .. })));
        assert!(matches!(OfflineLedger::open(folder.path().join("absent")), Err(LedgerError::Io { .. })));
        let foreign = folder.path().join("foreign");
        fs::write(&foreign, vec![7; 9000]).unwrap();
        assert!(matches!(verify_file(&foreign, &[]), Err(Broken::Unreadable { .. })));
    }

    /// A byte in a page that the store no longer uses may change unseen; what is read never does.
    #[test]
    fn no_flipped_byte_of_the_file_changes_what_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l.redb");
        let summary = filled(&path);
        let sound = fs::read(&path).unwrap();
        let hook = std::panic::take_hook();
        std::panic::set_hook(Box::new(|_| {}));
        let mut found = 0;
        for at in (0..sound.len()).step_by(sound.len() / 150) {
            let mut bytes = sound.clone();
            bytes[at] ^= 0x10;
            fs::write(&path, &bytes).unwrap();
            match verify_file(&path, &[]) {
                Ok(read) => assert_eq!(read, summary, "byte {at}"),
                Err(_) => found += 1,
            }
        }
        std::panic::set_hook(hook);
        assert!(found > 0);
    }
}
