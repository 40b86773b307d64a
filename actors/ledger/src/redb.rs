//! The ledger on disk: redb, every batch a two-phase commit that is synced before `append` returns.
//!
//! Two-phase commit does not rest on checksums that whoever chooses the content could forge (redb's design notes). redb refuses all
//! work after an I/O error until the file is opened anew, so this shell opens it anew, and then reads from the batch counter whether
//! the batch in doubt had become durable after all: an error always means that nothing was written.

mod rows;
#[cfg(test)]
mod small_disk;

use std::{
    fs::{File, OpenOptions},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
};

use ::redb::{Database, DatabaseError, StorageError};
pub(crate) use rows::{Store, Trouble};

use crate::{
    Batch, Entry, Head, Ledger, LedgerError, Margin, Owed, RESERVE_RATIFIED_BYTES, Receipt, Room, reserve::Reserve,
};

/// Memory for pages read; a fold reads each entry once, so more would not help.
const CACHE_BYTES: usize = 32 * 1024 * 1024;

/// A durable ledger in one file, owned by one process.
pub struct RedbLedger {
    path: PathBuf,
    disk: Box<dyn Disk>,
    store: RwLock<Option<Store>>,
    pen: Mutex<Pen>,
}

/// Who holds it, appends.
#[derive(Debug, Default)]
struct Pen {
    /// The reserve is not whole.
    short: bool,
    /// The last write met a full disk: probe before the next ordinary one.
    full: bool,
    /// For good: the file is not opened again.
    closed: bool,
}

/// What stands between the ledger and the file system; tests put a small one in its place.
trait Disk: Send + Sync {
    fn open(&self, checked: bool) -> Result<Database, DatabaseError>;
    fn release(&self) -> bool;
    fn refill(&self) -> bool;
    fn has_room(&self) -> bool;
    /// Bytes of the reserve that are left.
    fn left(&self) -> u64;
}

struct FileDisk {
    path: PathBuf,
    reserve: Reserve,
}

impl Disk for FileDisk {
    fn open(&self, checked: bool) -> Result<Database, DatabaseError> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(checked);
        builder.create(&self.path)
    }
    fn release(&self) -> bool {
        self.reserve.release()
    }
    fn refill(&self) -> bool {
        self.reserve.refill()
    }
    fn has_room(&self) -> bool {
        self.reserve.has_room()
    }
    fn left(&self) -> u64 {
        self.reserve.left()
    }
}

impl RedbLedger {
    fn may_use_reserve(&self, room: Room) -> bool {
        match room {
            Room::Ordinary => false,
            Room::Opening => self.disk.left() > RESERVE_RATIFIED_BYTES,
            Room::Stop => true,
        }
    }

    /// Opens the ledger at `path`, or makes an empty one with mode 0600, and fills its reserve. The checksum of every page is
    /// verified first; call [`Ledger::verify`] to verify the chain as well. Refuses a file that another process has open.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, LedgerError> {
        let path = path.as_ref().to_path_buf();
        let io = |action, e: std::io::Error| LedgerError::Io { path: path.clone(), action, why: e.to_string() };
        let made = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path);
        made.and_then(|file| file.sync_all()).map_err(|e| io("create", e))?;
        let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        File::open(folder).and_then(|f| f.sync_all()).map_err(|e| io("sync the folder of", e))?;
        let disk = FileDisk { reserve: Reserve::beside(&path), path: path.clone() };
        Self::on(path, Box::new(disk))
    }

    fn on(path: PathBuf, disk: Box<dyn Disk>) -> Result<Self, LedgerError> {
        let ledger = Self { path, disk, store: RwLock::new(None), pen: Mutex::new(Pen::default()) };
        let mut pen = ledger.pen();
        ledger.reopen(&mut pen, true)?;
        pen.short = !ledger.disk.refill();
        drop(pen);
        Ok(ledger)
    }

    /// False while the disk was too full to hold the whole reserve: alert, because stops then have less room than promised.
    pub fn reserve_is_whole(&self) -> bool {
        !self.pen().short
    }

    fn pen(&self) -> MutexGuard<'_, Pen> {
        self.pen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store(&self) -> RwLockReadGuard<'_, Option<Store>> {
        self.store.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Closes the file and opens it anew. Repair needs a few pages, so a full disk gives up reserve for it.
    fn reopen(&self, pen: &mut Pen, checked: bool) -> Result<(), LedgerError> {
        if pen.closed {
            return Err(LedgerError::Closed { path: self.path.clone() });
        }
        let mut store = self.store.write().unwrap_or_else(PoisonError::into_inner);
        // The old handle holds the file's lock.
        *store = None;
        loop {
            let opened = self.disk.open(checked).map_err(Trouble::from).and_then(Store::prepare);
            match opened {
                Ok(opened) => {
                    *store = Some(opened);
                    return Ok(());
                }
                Err(trouble) if trouble.is_disk_full() && self.disk.release() => pen.short = true,
                Err(trouble) => return Err(trouble.told_of(&self.path)),
            }
        }
    }

    /// One try to commit the batch.
    fn attempt(&self, pen: &mut Pen, batch: &Batch) -> Result<Receipt, Trouble> {
        if self.store().is_none() {
            self.reopen(pen, false)?;
        }
        let failed = match self.store().as_ref() {
            None => return Err(Trouble::Store(StorageError::DatabaseClosed.into())),
            Some(store) => match store.append(batch) {
                Ok(receipt) => return Ok(receipt),
                Err(failed) => failed,
            },
        };
        if !failed.trouble.poisons() {
            return Err(failed.trouble);
        }
        self.reopen(pen, false)?;
        let tip = self.store().as_ref().map(Store::tip).transpose()?;
        match (failed.in_doubt, tip) {
            (Some(doubt), Some(tip)) if was_written(doubt.batches, tip.batches) => Ok(doubt.receipt),
            _ => Err(failed.trouble),
        }
    }

    fn read<T>(&self, ask: impl Fn(&Store) -> Result<T, Trouble>) -> Result<T, LedgerError> {
        let first = self.store().as_ref().map(&ask);
        match first {
            Some(Ok(answer)) => return Ok(answer),
            Some(Err(trouble)) if !trouble.poisons() => return Err(trouble.told_of(&self.path)),
            Some(Err(_)) | None => {}
        }
        self.reopen(&mut self.pen(), false)?;
        let again = self.store().as_ref().map(ask);
        again.unwrap_or(Err(Trouble::Store(StorageError::DatabaseClosed.into()))).map_err(|t| t.told_of(&self.path))
    }
}

/// No entry, no effect: a batch in doubt is there only if the store has counted it.
#[cfg(not(mutant = "ledger_doubt"))]
fn was_written(counted_with_it: u64, counted: u64) -> bool {
    counted_with_it == counted
}
#[cfg(mutant = "ledger_doubt")]
fn was_written(_counted_with_it: u64, _counted: u64) -> bool {
    true
}

impl Ledger for RedbLedger {
    fn close(&self) {
        // With the pen in hand: an append that has begun ends first.
        let mut pen = self.pen();
        pen.closed = true;
        *self.store.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn append(&self, batch: Batch) -> Result<Receipt, LedgerError> {
        batch.check()?;
        if batch.is_empty() {
            return Ok(Receipt { head: self.head()?, entries: vec![], owed: vec![], settled: vec![] });
        }
        let mut pen = self.pen();
        if pen.full && !self.may_use_reserve(batch.room) && !self.disk.has_room() {
            return Err(LedgerError::DiskFull { path: self.path.clone() });
        }
        loop {
            match self.attempt(&mut pen, &batch) {
                Ok(receipt) => {
                    pen.full = pen.full && batch.room > Room::Ordinary;
                    if pen.short {
                        pen.short = !self.disk.refill();
                    }
                    return Ok(receipt);
                }
                Err(trouble) if trouble.is_disk_full() => {
                    pen.full = true;
                    if !(self.may_use_reserve(batch.room) && self.disk.release()) {
                        return Err(trouble.told_of(&self.path));
                    }
                    pen.short = true;
                }
                Err(trouble) => return Err(trouble.told_of(&self.path)),
            }
        }
    }

    fn entries(&self, from: u64, limit: usize) -> Result<Vec<Entry>, LedgerError> {
        self.read(|store| store.entries(from, limit))
    }
    fn head(&self) -> Result<Head, LedgerError> {
        self.read(|store| Ok(store.tip()?.head))
    }
    fn owed(&self, region: &str, lane: u8, after: u64, limit: usize) -> Result<Vec<Owed>, LedgerError> {
        self.read(|store| store.owed(region, lane, after, limit))
    }
    fn margin(&self) -> Result<Margin, LedgerError> {
        self.read(Store::margin)
    }
    fn fill(&self, margin: Margin, entries: Vec<Entry>) -> Result<(), LedgerError> {
        let _pen = self.pen();
        let store = self.store();
        let closed = || LedgerError::Closed { path: self.path.clone() };
        store.as_ref().ok_or_else(closed)?.fill(&margin, &entries).map_err(|t| t.told_of(&self.path))
    }
    fn owed_count(&self, region: &str, lane: u8) -> Result<u64, LedgerError> {
        self.read(|store| store.owed_count(region, lane))
    }
    fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        self.read(|store| store.meta(key))
    }
}

impl std::fmt::Debug for RedbLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedbLedger").field("path", &self.path).finish_non_exhaustive()
    }
}
