//! The region's audit: every KMIP operation leaves a line, lines are sealed in batches, seals form a chain.
//!
//! A record is one line of JSON: time, tenant, client, system, operation, key, outcome, epoch. A background thread gathers records for
//! [`FLUSH_AFTER`] or until [`FLUSH_RECORDS`] wait, writes them with a seal, and syncs the file. A seal's hash covers the hash before it
//! and the batch's bytes, so any edit, deletion or reordering is found by [`verify`], offline.
//!
//! What a `kill -9` or a power cut can lose: at most [`RECORDS_MAX`] records, and on a disk that syncs within 25 ms only those of the
//! last 50 ms. A record that finds [`RECORDS_MAX`] others unsealed waits for the disk; so does its operation's answer. A disk that
//! refuses makes the server refuse operations ([`Log::is_failing`]) until it takes records again: nothing is dropped.

mod line;
mod verify;
mod writer;

use std::{
    fs::{File, OpenOptions},
    io::{self, Seek, SeekFrom},
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering},
    thread::JoinHandle,
    time::Duration,
};

pub use line::Record;
pub use verify::{Broken, Summary, verify};

use writer::Shared;

/// A batch is written this long after its first record.
pub const FLUSH_AFTER: Duration = Duration::from_millis(25);
/// A batch is written once it has this many records.
pub const FLUSH_RECORDS: usize = 4_096;
/// Most records that are not yet on the disk.
pub const RECORDS_MAX: usize = 8_192;

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
    /// Opens or begins the log at `path`. What a crash left after the last seal is sealed; half a line at the end is cut off.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        let file_error = |error| OpenError::File { path: path.to_owned(), error };
        let mut file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(file_error)?;
        let found = verify::scan(&file).map_err(|broken| OpenError::Broken { path: path.to_owned(), broken })?;
        if found.cut > 0 {
            tracing::warn!(bytes = found.cut, "the audit log ended in half a line, which is cut off");
        }
        file.set_len(found.whole).map_err(file_error)?;
        file.seek(SeekFrom::End(0)).map_err(file_error)?;
        let shared = Arc::new(Shared::default());
        let thread = writer::start(shared.clone(), file, found).map_err(OpenError::Thread)?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Whether the disk refuses records at the moment.
    pub fn is_failing(&self) -> bool {
        self.shared.failing.load(Ordering::SeqCst)
    }

    /// Leaves a record. Waits only while [`RECORDS_MAX`] others wait for the disk.
    pub async fn record(&self, record: &Record<'_>) -> Result<(), Unwritable> {
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

/// What the writer appends to.
pub(crate) trait Disk: Send + 'static {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    /// Takes back everything after `length` bytes.
    fn cut(&mut self, length: u64) -> io::Result<()>;
}

impl Disk for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        io::Write::write_all(self, bytes)?;
        self.sync_data()
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.set_len(length)
    }
}

#[cfg(test)]
mod tests;
