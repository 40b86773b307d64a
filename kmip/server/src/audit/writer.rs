//! The thread that owns the files.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use orbital::names::Digest;
use parking_lot::{Condvar, Mutex};
use tokio::sync::Notify;

use super::{
    RECORDS_MAX, Record, SYNC_AFTER, SYNC_RECORDS, WRITE_AFTER,
    files::{Disk, Files},
    line::{Carry, Seal},
    verify::Found,
};

/// How long a refusing disk is left alone.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// What tasks and thread share.
pub(super) struct Shared {
    /// How long records are gathered.
    write_after: Duration,
    waiting: Mutex<Waiting>,
    wake: Condvar,
    /// Woken when everything written is on the disk, or the disk refuses.
    pub(super) room: Notify,
    pub(super) failing: AtomicBool,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    records: usize,
    /// Since when the first of them waits.
    since: Option<Instant>,
    /// Taken by the thread, not yet synced.
    unsynced: usize,
    /// Since when the first of those has waited.
    unsynced_since: Option<Instant>,
    hurry: bool,
    stop: bool,
}

/// What the thread does next.
pub(super) struct Work {
    /// Records to write; may be empty.
    pub(super) batch: Vec<u8>,
    pub(super) records: usize,
    /// Whether all that is written must reach the disk now.
    pub(super) sync: bool,
}

impl Default for Shared {
    fn default() -> Self {
        Self::gathering(WRITE_AFTER)
    }
}

impl Waiting {
    /// Records that a power cut would lose.
    fn at_risk(&self) -> usize {
        self.records + self.unsynced
    }

    /// When the next batch is to be written, and when what is written is to be synced.
    fn due(&self, write_after: Duration) -> (Option<Instant>, Option<Instant>) {
        (self.since.map(|since| since + write_after), self.unsynced_since.map(|since| since + SYNC_AFTER))
    }
}

impl Shared {
    /// For a log that writes what it gathered for `write_after`.
    pub(super) fn gathering(write_after: Duration) -> Self {
        Self {
            write_after,
            waiting: Mutex::default(),
            wake: Condvar::new(),
            room: Notify::new(),
            failing: AtomicBool::new(false),
        }
    }

    /// Adds a record; `false` if there is no room.
    pub(super) fn push(&self, record: &Record<'_>) -> bool {
        self.push_up_to(RECORDS_MAX, |out| record.write(out))
    }

    /// Adds the line that `write` appends, if fewer than `most` are not on the disk.
    pub(super) fn push_up_to(&self, most: usize, write: impl FnOnce(&mut Vec<u8>)) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.at_risk() >= most {
            return false;
        }
        write(&mut waiting.bytes);
        waiting.records += 1;
        let first = waiting.since.is_none();
        waiting.since.get_or_insert_with(Instant::now);
        if first || waiting.at_risk() == SYNC_RECORDS {
            self.wake.notify_one();
        }
        true
    }

    /// Whether everything is on the disk; if not, the thread does not wait for more.
    pub(super) fn hurry(&self) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.at_risk() == 0 {
            return true;
        }
        waiting.hurry = true;
        self.wake.notify_one();
        false
    }

    pub(super) fn stop(&self) {
        self.waiting.lock().stop = true;
        self.wake.notify_one();
    }

    /// Waits for something to do; `None` when the log is closed and nothing is left. `spent` is the batch before, whose room the next
    /// records take.
    pub(super) fn next(&self, mut spent: Vec<u8>) -> Option<Work> {
        let mut waiting = self.waiting.lock();
        let sync = loop {
            if waiting.at_risk() == 0 {
                if waiting.stop {
                    return None;
                }
                self.wake.wait(&mut waiting);
                continue;
            }
            let (now, (write, sync)) = (Instant::now(), waiting.due(self.write_after));
            let full = waiting.at_risk() >= SYNC_RECORDS;
            if waiting.stop || waiting.hurry || full || sync.is_some_and(|due| due <= now) {
                break true;
            }
            if write.is_some_and(|due| due <= now) {
                break false;
            }
            if let Some(due) = write.into_iter().chain(sync).min() {
                self.wake.wait_until(&mut waiting, due);
            }
        };
        waiting.hurry = false;
        let since = waiting.since.take();
        waiting.unsynced_since = waiting.unsynced_since.or(since);
        let records = std::mem::take(&mut waiting.records);
        waiting.unsynced += records;
        spent.clear();
        Some(Work { batch: std::mem::replace(&mut waiting.bytes, spent), records, sync })
    }

    pub(super) fn synced(&self) {
        let mut waiting = self.waiting.lock();
        (waiting.unsynced, waiting.unsynced_since) = (0, None);
        drop(waiting);
        self.room.notify_waiters();
    }

    fn refused(&self, error: &io::Error) {
        if !self.failing.swap(true, Ordering::SeqCst) {
            tracing::error!(%error, "the region's audit log cannot be written; KMIP operations are refused until it can");
        }
        self.room.notify_waiters();
    }

    /// Leaves the disk alone for a while; `true` if the log is being closed.
    fn pause(&self) -> bool {
        let mut waiting = self.waiting.lock();
        if !waiting.stop {
            self.wake.wait_for(&mut waiting, RETRY_AFTER);
        }
        waiting.stop
    }
}

pub(super) fn start(shared: Arc<Shared>, disk: Files, file_bytes_max: u64, found: Found) -> io::Result<JoinHandle<()>> {
    let (seals, head) = (found.summary.seals, found.summary.head);
    let chain = Chain { disk, file_bytes_max, length: found.whole, unsynced: vec![], seals, head, stuck: false };
    spawn(shared, chain, found.tail, found.summary.unsealed)
}

/// The end of the chain, and the disk under it.
pub(super) struct Chain<D> {
    pub(super) disk: D,
    pub(super) file_bytes_max: u64,
    /// Bytes of the file that are on the disk for certain.
    pub(super) length: u64,
    /// What was written after them: a disk that refuses to sync may have dropped it.
    pub(super) unsynced: Vec<u8>,
    pub(super) seals: u64,
    pub(super) head: Digest,
    /// The file could not be closed the last time.
    pub(super) stuck: bool,
}

/// `tail` is what a crash left unsealed: it is in the file already and only wants its seal.
pub(super) fn spawn<D: Disk>(
    shared: Arc<Shared>,
    mut chain: Chain<D>,
    tail: Vec<u8>,
    unsealed: u64,
) -> io::Result<JoinHandle<()>> {
    Builder::new().name("kmip-audit".to_owned()).spawn(move || {
        if unsealed > 0 {
            let seal = Seal::of(chain.seals, &chain.head, unsealed, &tail);
            if !chain.keep_writing(&shared, seal.line().as_bytes(), true) {
                return;
            }
            (chain.seals, chain.head) = (seal.seal, seal.chain);
        }
        let mut spent = vec![];
        while let Some(Work { mut batch, records, sync }) = shared.next(spent) {
            if records > 0 {
                let seal = Seal::of(chain.seals, &chain.head, records as u64, &batch);
                batch.extend_from_slice(seal.line().as_bytes());
                (chain.seals, chain.head) = (seal.seal, seal.chain);
            }
            if !chain.keep_writing(&shared, &batch, sync) {
                return;
            }
            if chain.unsynced.is_empty() {
                shared.synced();
                chain.turn_over();
            }
            spent = batch;
        }
    })
}

impl<D: Disk> Chain<D> {
    /// Goes on in another file once this one is full. Where that fails this one grows on, and the next seal tries again.
    fn turn_over(&mut self) {
        if self.length < self.file_bytes_max {
            return;
        }
        match self.disk.next(&Carry { after: self.seals, chain: self.head }) {
            Ok(length) => (self.length, self.stuck) = (length, false),
            Err(error) => {
                if !std::mem::replace(&mut self.stuck, true) {
                    tracing::error!(%error, "the full file of the region's audit log cannot be closed; it grows until it can");
                }
            }
        }
    }

    /// Writes, and syncs if asked, until the disk takes it; `false` if the log is closed while the disk refuses.
    pub(super) fn keep_writing(&mut self, shared: &Shared, bytes: &[u8], sync: bool) -> bool {
        self.unsynced.extend_from_slice(bytes);
        let mut tried = self.disk.append(bytes).and_then(|()| if sync { self.disk.sync() } else { Ok(()) });
        let mut sync = sync;
        while let Err(error) = tried {
            shared.refused(&error);
            if shared.pause() {
                let lost = self.unsynced.len();
                tracing::error!(
                    lost,
                    "the audit log is closed while its disk refuses: its last bytes are not on the disk"
                );
                return false;
            }
            // What the failed attempt left is taken back, so that nothing is in the file twice, and all of it is tried anew.
            let cut = self.disk.cut(self.length);
            tried = cut.and_then(|()| self.disk.append(&self.unsynced)).and_then(|()| self.disk.sync());
            sync = true;
        }
        if sync {
            self.length += self.unsynced.len() as u64;
            self.unsynced.clear();
        }
        shared.failing.store(false, Ordering::SeqCst);
        true
    }
}
