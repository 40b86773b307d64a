//! One thread writes, many callers share a commit.
//!
//! A two-phase commit costs a few milliseconds whether it holds one row or a thousand, so jobs that wait together are committed
//! together. A job first checks, then writes: if it refuses it has written nothing, and the others of its batch are not touched.
//! After a failed commit the database is opened anew, as its state in memory can no longer be relied on.

use std::{
    fs::OpenOptions,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::RwLock;
use redb::{Builder, Database, ReadTransaction, ReadableDatabase, WriteTransaction};
use tokio::sync::{mpsc, oneshot};

use crate::error::Error;

/// Memory for pages that were read or written. Without a bound every page that was ever read stays.
const CACHE_BYTES: usize = 16 * 1024 * 1024;

/// Jobs that one commit may hold.
const BATCH_JOBS_MAX: usize = 512;
/// Jobs that may wait; callers beyond wait for room.
const QUEUE_JOBS_MAX: usize = 4096;

/// The file, for its owner alone, before the database makes it for everyone. An empty file is a new database.
fn make(path: &Path) -> Result<(), Error> {
    let made = OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(path);
    made.map(drop).map_err(|why| failed("open")(redb::Error::Io(why)))
}

/// The inner pages of the trees over a million objects fit, with most of the leaves that are in use.
fn builder() -> Builder {
    let mut builder = Database::builder();
    builder.set_cache_size(CACHE_BYTES);
    builder
}

/// The database, or nothing while it could not be opened again.
pub(super) struct Base {
    path: PathBuf,
    database: RwLock<Option<Database>>,
    /// Closed for good.
    ended: AtomicBool,
    #[cfg(test)]
    pub(super) commits: std::sync::atomic::AtomicUsize,
}

impl Base {
    pub(super) fn open(path: PathBuf) -> Result<Arc<Self>, Error> {
        make(&path)?;
        let database = builder().create(&path).map_err(failed("open"))?;
        Ok(Arc::new(Self {
            path,
            database: RwLock::new(Some(database)),
            ended: AtomicBool::new(false),
            #[cfg(test)]
            commits: Default::default(),
        }))
    }

    /// Reads one consistent view.
    pub(super) fn read<T>(&self, look: impl FnOnce(&ReadTransaction) -> Result<T, Error>) -> Result<T, Error> {
        self.open_again();
        let database = self.database.read();
        let database = database.as_ref().ok_or_else(closed)?;
        look(&database.begin_read().map_err(failed("read"))?)
    }

    /// One transaction before the writing thread starts.
    pub(super) fn begin(&self, work: impl FnOnce(&WriteTransaction) -> Result<(), Error>) -> Result<(), Error> {
        let database = self.database.read();
        let database = database.as_ref().ok_or_else(closed)?;
        let mut transaction = database.begin_write().map_err(failed("write"))?;
        transaction.set_two_phase_commit(true);
        work(&transaction)?;
        transaction.commit().map_err(failed("write"))
    }

    /// Closes the database for good: its file can be opened by another process.
    pub(super) fn close(&self) {
        self.ended.store(true, Ordering::SeqCst);
        *self.database.write() = None;
    }

    /// A store that could not be opened after a failed commit (the disk was full) is tried again by whoever needs it.
    fn open_again(&self) {
        if self.database.read().is_none() {
            self.reopen();
        }
    }

    fn reopen(&self) {
        let mut database = self.database.write();
        *database = None;
        if self.ended.load(Ordering::SeqCst) {
            return;
        }
        *database = builder()
            .open(&self.path)
            .inspect_err(|why| tracing::error!(path = %self.path.display(), %why, "the store cannot be opened again"))
            .ok();
    }

    fn commit(&self, jobs: &mut [Box<dyn Job>]) -> Result<(), Error> {
        self.open_again();
        let database = self.database.read();
        let database = database.as_ref().ok_or_else(closed)?;
        let mut transaction = database.begin_write().map_err(failed("write"))?;
        transaction.set_two_phase_commit(true);
        jobs.iter_mut().for_each(|job| job.run(&transaction));
        #[cfg(test)]
        self.commits.fetch_add(1, Ordering::SeqCst);
        transaction.commit().map_err(failed("write"))
    }
}

/// A job of any result.
trait Job: Send {
    fn run(&mut self, transaction: &WriteTransaction);
    fn done(self: Box<Self>, committed: Result<(), Error>);
}

struct Typed<F, T, E> {
    work: Option<F>,
    result: Option<Result<T, E>>,
    answer: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Job for Typed<F, T, E>
where
    F: FnOnce(&WriteTransaction) -> Result<T, E> + Send,
    T: Send,
    E: From<Error> + Send,
{
    fn run(&mut self, transaction: &WriteTransaction) {
        self.result = self.work.take().map(|work| work(transaction));
    }
    fn done(self: Box<Self>, committed: Result<(), Error>) {
        let answer = match (self.result, committed) {
            (Some(Err(refused)), _) => Err(refused),
            (_, Err(why)) => Err(why.into()),
            (Some(Ok(result)), Ok(())) => Ok(result),
            (None, Ok(())) => Err(closed().into()),
        };
        // Whoever asked may have gone; what was committed stays committed.
        drop(self.answer.send(answer));
    }
}

/// The way to the writing thread. The thread ends with the last of these.
#[derive(Clone)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Box<dyn Job>>,
}

impl Writer {
    pub(super) fn start(base: Arc<Base>) -> Result<Self, Error> {
        let (jobs, queue) = mpsc::channel(QUEUE_JOBS_MAX);
        let thread = std::thread::Builder::new().name("shelf-writer".into());
        let failed = |why: std::io::Error| Error::Store { what: "start its writing thread", why: why.to_string() };
        thread.spawn(move || work(&base, queue)).map_err(failed)?;
        Ok(Self { jobs })
    }

    /// Runs `work` in a transaction and answers when it is durable. `work` checks first and writes last.
    pub(super) async fn write<T, E, F>(&self, work: F) -> Result<T, E>
    where
        T: Send + 'static,
        E: From<Error> + Send + 'static,
        F: FnOnce(&WriteTransaction) -> Result<T, E> + Send + 'static,
    {
        let (answer, done) = oneshot::channel();
        let job = Box::new(Typed { work: Some(work), result: None, answer });
        self.jobs.send(job).await.map_err(|_| closed())?;
        done.await.map_err(|_| closed())?
    }
}

fn work(base: &Base, mut queue: mpsc::Receiver<Box<dyn Job>>) {
    let mut jobs = Vec::new();
    while queue.blocking_recv_many(&mut jobs, BATCH_JOBS_MAX) > 0 {
        let committed = base.commit(&mut jobs);
        if committed.is_err() {
            base.reopen();
        }
        jobs.drain(..).for_each(|job| job.done(committed.clone()));
    }
}

fn closed() -> Error {
    Error::Store { what: "answer", why: "it is closed; the last error in the log says why".into() }
}

/// A redb error as ours.
pub(super) fn failed<E: std::fmt::Display>(what: &'static str) -> impl Fn(E) -> Error {
    move |why| Error::Store { what, why: why.to_string() }
}
