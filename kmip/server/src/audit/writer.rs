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
    FLUSH_AFTER, FLUSH_RECORDS, RECORDS_MAX, Record,
    files::{Disk, Files},
    line::{Carry, Seal},
    verify::Found,
};

/// How long a refusing disk is left alone.
const RETRY_AFTER: Duration = Duration::from_millis(200);

/// What tasks and thread share.
#[derive(Default)]
pub(super) struct Shared {
    waiting: Mutex<Waiting>,
    wake: Condvar,
    /// Woken when a batch is on the disk, or the disk refuses.
    pub(super) room: Notify,
    pub(super) failing: AtomicBool,
}

#[derive(Default)]
struct Waiting {
    bytes: Vec<u8>,
    records: usize,
    /// Taken by the thread, not yet synced.
    writing: usize,
    since: Option<Instant>,
    hurry: bool,
    stop: bool,
}

impl Shared {
    /// Adds a record; `false` if there is no room.
    pub(super) fn push(&self, record: &Record<'_>) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.records + waiting.writing >= RECORDS_MAX {
            return false;
        }
        record.write(&mut waiting.bytes);
        waiting.records += 1;
        let first = waiting.since.is_none();
        waiting.since.get_or_insert_with(Instant::now);
        if first || waiting.records == FLUSH_RECORDS {
            self.wake.notify_one();
        }
        true
    }

    /// Whether everything is on the disk; if not, the thread does not wait for more.
    pub(super) fn hurry(&self) -> bool {
        let mut waiting = self.waiting.lock();
        if waiting.records + waiting.writing == 0 {
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

    /// Waits for a batch and how many records it has; `None` when the log is closed and nothing is left. `spent` is the batch before,
    /// whose room the next records take.
    fn next(&self, mut spent: Vec<u8>) -> Option<(Vec<u8>, usize)> {
        let mut waiting = self.waiting.lock();
        loop {
            let due = waiting.since.map(|since| since + FLUSH_AFTER);
            match due {
                None if waiting.stop => return None,
                None => self.wake.wait(&mut waiting),
                Some(due) if ready(&waiting, due) => break,
                Some(due) => {
                    self.wake.wait_until(&mut waiting, due);
                }
            }
        }
        waiting.since = None;
        waiting.hurry = false;
        waiting.writing = std::mem::take(&mut waiting.records);
        spent.clear();
        Some((std::mem::replace(&mut waiting.bytes, spent), waiting.writing))
    }

    fn written(&self) {
        self.waiting.lock().writing = 0;
        self.failing.store(false, Ordering::SeqCst);
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

fn ready(waiting: &Waiting, due: Instant) -> bool {
    waiting.stop || waiting.hurry || waiting.records >= FLUSH_RECORDS || Instant::now() >= due
}

pub(super) fn start(shared: Arc<Shared>, disk: Files, file_bytes_max: u64, found: Found) -> io::Result<JoinHandle<()>> {
    let (seals, head) = (found.summary.seals, found.summary.head);
    let chain = Chain { disk, file_bytes_max, length: found.whole, seals, head, stuck: false };
    spawn(shared, chain, found.tail, found.summary.unsealed)
}

/// The end of the chain, and the disk under it.
pub(super) struct Chain<D> {
    pub(super) disk: D,
    pub(super) file_bytes_max: u64,
    pub(super) length: u64,
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
            if !chain.keep_writing(&shared, seal.line().as_bytes(), seal) {
                return;
            }
        }
        let mut spent = vec![];
        while let Some((mut batch, records)) = shared.next(spent) {
            let seal = Seal::of(chain.seals, &chain.head, records as u64, &batch);
            batch.extend_from_slice(seal.line().as_bytes());
            if !chain.keep_writing(&shared, &batch, seal) {
                return;
            }
            shared.written();
            chain.turn_over();
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

    /// Writes until the disk takes it; `false` if the log is closed while the disk refuses.
    fn keep_writing(&mut self, shared: &Shared, bytes: &[u8], seal: Seal) -> bool {
        let mut again = false;
        loop {
            // What a failed attempt left is taken back, so that a batch is in the file once.
            let ready = if again { self.disk.cut(self.length) } else { Ok(()) };
            match ready.and_then(|()| self.disk.append(bytes)) {
                Ok(()) => {
                    self.length += bytes.len() as u64;
                    (self.seals, self.head) = (seal.seal, seal.chain);
                    shared.failing.store(false, Ordering::SeqCst);
                    return true;
                }
                Err(error) => {
                    again = true;
                    shared.refused(&error);
                    if shared.pause() {
                        let lost = bytes.len();
                        tracing::error!(
                            lost,
                            "the audit log is closed while its disk refuses: the last batch is not written"
                        );
                        return false;
                    }
                }
            }
        }
    }
}
