//! The region's audit: every KMIP operation leaves a line, and so does every question to a customer's KMS ([`Asked`]). Lines are sealed in
//! batches, seals form a chain.
//!
//! A record is one line of JSON: time, tenant, client, system, operation, key, outcome, epoch. A background thread gathers records for
//! [`WRITE_AFTER`], and writes them with a seal; it syncs the file [`SYNC_AFTER`] later, or once [`SYNC_RECORDS`] are not on the disk. A
//! seal's hash covers the hash before it and the batch's bytes, so any edit, deletion or reordering is found by [`verify`], offline.
//!
//! A file of [`FILE_BYTES_MAX`] is closed at a seal, and the next one begins with that seal's hash: the chain goes on over files. Closed
//! files (`audit.NUMBER.jsonl` beside `audit.jsonl`) are never opened again here: operators may move them elsewhere, and [`verify_files`]
//! checks them in the order of their numbers.
//!
//! What can be lost, [`RECORDS_MAX`] records at most: by a `kill -9` those of the last 25 ms, since what is written is the kernel's; by a
//! power cut, on a disk that syncs within 25 ms, those of the last 150 ms. A record that finds [`RECORDS_MAX`] others not on the disk
//! waits for it; so does its operation's answer. A disk that refuses makes the server refuse operations ([`Log::is_failing`]) until it
//! takes records again: nothing is dropped, what it may have lost of the last writes included.

mod asked;
mod files;
mod line;
mod verify;
mod writer;

use std::{
    io,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
    time::Duration,
};

use custody::l1::calls::Call;

pub use asked::Asked;
pub use line::Record;
pub use verify::{Broken, Summary, verify, verify_files};

use files::Files;
use writer::Shared;

/// A batch is written this long after its first record.
pub const WRITE_AFTER: Duration = Duration::from_millis(25);
/// What is written is synced this long after its first record was made: a sync costs as much as a hundred requests.
pub const SYNC_AFTER: Duration = Duration::from_millis(100);
/// Records that make the thread write and sync at once.
pub const SYNC_RECORDS: usize = 8_192;
/// Most records that are not yet on the disk.
pub const RECORDS_MAX: usize = 16_384;
/// Most records with those of questions to a customer's KMS, which have been asked already and can't wait for room.
pub const RECORDS_WITH_ASKED_MAX: usize = RECORDS_MAX + 1_024;

/// A file that has so many bytes is closed at its next seal.
pub const FILE_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// A log that cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("the region's audit log {path} cannot be opened: {error}")]
    File { path: PathBuf, error: io::Error },
    #[error(
        "the region's audit log {path} is damaged: {broken}. Keep the file as evidence, move it away, and start again"
    )]
    Broken { path: PathBuf, broken: Broken },
    #[error("the region's audit log cannot have its own thread: {0}")]
    Thread(io::Error),
}

/// The disk does not take records: the operation cannot be recorded, so it must not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the region's audit log cannot be written; free space on its disk")]
pub struct Unwritable;

/// The open log. Dropping it writes what waits.
pub struct Log {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Log {
    /// Opens or begins the log at `path`; of a log of several files the newest. What a crash left after the last seal is sealed; half a line at the end is cut off.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Self::open_with(path, FILE_BYTES_MAX, WRITE_AFTER)
    }

    fn open_with(path: &Path, file_bytes_max: u64, write_after: Duration) -> Result<Self, OpenError> {
        let file_error = |error| OpenError::File { path: path.to_owned(), error };
        let mut files = Files::open(path).map_err(file_error)?;
        let found = verify::scan(&files.file).map_err(|broken| OpenError::Broken { path: path.to_owned(), broken })?;
        if found.cut > 0 {
            tracing::warn!(bytes = found.cut, "the audit log ended in half a line, which is cut off");
        }
        files.go_on(found.whole).map_err(file_error)?;
        let shared = Arc::new(Shared::gathering(write_after));
        let thread = writer::start(shared.clone(), files, file_bytes_max, found).map_err(OpenError::Thread)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Whether the disk refuses records at the moment.
    pub fn is_failing(&self) -> bool {
        self.shared.failing.load(Ordering::SeqCst)
    }

    /// Leaves a record. Waits only while [`RECORDS_MAX`] others wait for the disk.
    pub async fn record(&self, record: &Record<'_>) -> Result<(), Unwritable> {
        // There is room, as a rule; to wait for some costs more than the record.
        if !self.is_failing() && self.shared.push(record) {
            return Ok(());
        }
        loop {
            let room = self.shared.room.notified();
            let mut room = std::pin::pin!(room);
            room.as_mut().enable();
            if self.is_failing() {
                return Err(Unwritable);
            }
            if self.shared.push(record) {
                return Ok(());
            }
            room.await;
        }
    }

    /// Leaves what was asked of a customer's KMS. It never waits; where the disk has refused for so long that there is no room at all, the
    /// line is lost, and the node's own log says so.
    pub fn asked(&self, time_ms: u64, call: &Call<'_>) {
        let asked = Asked::of(time_ms, call);
        if !self.shared.push_up_to(RECORDS_WITH_ASKED_MAX, |out| asked.write(out)) {
            let Asked { call, key, request, .. } = asked;
            tracing::error!(
                call,
                key,
                request,
                "what was asked of a customer's KMS is missing in the region's audit log"
            );
        }
    }

    /// Writes and syncs what waits now. For tests and an orderly end.
    pub async fn flush(&self) -> Result<(), Unwritable> {
        loop {
            let room = self.shared.room.notified();
            let mut room = std::pin::pin!(room);
            room.as_mut().enable();
            if self.is_failing() {
                return Err(Unwritable);
            }
            if self.shared.hurry() {
                return Ok(());
            }
            room.await;
        }
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.shared.stop();
        if let Some(thread) = self.thread.take() {
            // A panic of the writer was reported by its own thread; there is nobody left to tell.
            let _ = thread.join();
        }
    }
}

/// For tests: a file that takes records.
#[cfg(test)]
pub(crate) fn scratch(folder: &Path) -> (PathBuf, Log) {
    let path = folder.join("audit.jsonl");
    let log = Log::open(&path).unwrap();
    (path, log)
}

#[cfg(test)]
mod tests;
