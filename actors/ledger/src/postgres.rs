//! The ledger in PostgreSQL: several nodes may know it, one of them is active and appends.
//!
//! **Who is active** is decided by an advisory lock that a session of its own holds. The server ends that session when its node says
//! nothing for [`LOCK_MS_MAX`], and the node steps down by itself before that. A lock alone can't stop a node that was paused at the wrong
//! moment and still believes that it has it; the **term** does (PROTOCOL §4): each take-over raises it, and every batch re-reads it under
//! the row lock that all appends take. A deposed node finds another term there, appends nothing and ends.
//!
//! **An answer to a commit that was lost** says nothing about the batch: a server whose client is gone, or whose standby was away, may have
//! committed it (and so may have the standby that took over). The ledger's own row says what is true: it holds either the tip before the
//! batch or the tip after it, hash and all. The question waits for the row lock, so that a commit under way has ended, and is itself a
//! commit, so that what it saw is where synchronous replication brings it. Only then is the batch acknowledged, or written a second
//! time because it does not exist. A node that gets no answer in [`DOUBT_MS_MAX`] ends, and reads the truth when it starts again.
//!
//! The same `step` as in the other backends makes the rows. What does not hold here: no reserve for stops can be kept on a disk of another
//! machine. A server whose disk is full stops stops, too; they go straight to the regions then (PROTOCOL §4).

mod active;
mod pen;
mod rows;
mod schema;
mod session;
mod tls;

use std::{
    future::Future,
    path::PathBuf,
    sync::{Arc, mpsc},
    time::Duration,
};

use tokio::{
    runtime::Runtime,
    sync::{Mutex, watch},
    time::timeout,
};

pub use self::{
    pen::DOUBT_MS_MAX,
    schema::{reader_sql, schema_sql},
    session::PostgresOptions,
};
use self::{pen::Pen, rows::Trouble, session::Session};
use crate::{Batch, Entry, Head, Ledger, LedgerError, Margin, Owed, Receipt};

/// After this silence of the active node, the server gives its lock to another.
pub const LOCK_MS_MAX: u64 = 15_000;
/// How long an answer is waited for before a commit counts as in doubt.
const ANSWER_MS_MAX: u64 = 10_000;

/// See the module.
pub struct PostgresLedger {
    inner: Arc<Inner>,
    /// None only while it is dropped.
    runtime: Option<Runtime>,
}

struct Inner {
    options: PostgresOptions,
    standing: watch::Sender<Standing>,
    pen: Mutex<Pen>,
    reader: Mutex<Option<Arc<Session>>>,
    lock: Mutex<Option<Session>>,
}

/// What this node is to the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Standing {
    Second,
    Active(u64),
    /// For good, and why.
    Deposed(String),
    Closed,
}

impl PostgresLedger {
    /// Signs in, and refuses a server or a role that a ledger can't rest on. The node stands by: it reads, and appends nothing.
    pub fn connect(options: PostgresOptions) -> Result<Self, LedgerError> {
        let place = options.place();
        let mut runtime = tokio::runtime::Builder::new_multi_thread();
        let runtime = runtime.worker_threads(1).thread_name("ledger").enable_all().build();
        let runtime = runtime.map_err(|e| LedgerError::Unreachable { place, why: e.to_string() })?;
        let (standing, _) = watch::channel(Standing::Second);
        let (pen, reader, lock) = (Mutex::default(), Mutex::default(), Mutex::default());
        let ledger = Self { inner: Arc::new(Inner { options, standing, pen, reader, lock }), runtime: Some(runtime) };
        ledger.call(|inner| async move {
            let session = inner.options.sign_in().await?;
            inner.options.check(&session.client).await?;
            *inner.reader.lock().await = Some(Arc::new(session));
            Ok(())
        })?;
        Ok(ledger)
    }

    /// Becomes the active node, with a term of its own, unless another one is.
    pub fn try_take(&self) -> Result<Option<u64>, LedgerError> {
        self.call(|inner| async move { active::try_take(&inner).await })
    }

    /// Resolves with the reason when this node has lost its place: it must serve nobody from then on.
    pub fn deposed(&self) -> impl Future<Output = String> + Send + 'static {
        let mut told = self.inner.standing.subscribe();
        async move {
            let found =
                told.wait_for(|s| matches!(s, Standing::Deposed(_) | Standing::Closed)).await.map(|s| s.clone());
            match found {
                Ok(Standing::Deposed(why)) => why,
                // Closed by its own node: nothing was lost.
                Ok(_) | Err(_) => std::future::pending().await,
            }
        }
    }

    fn read<T, F>(&self, ask: impl Fn(Arc<Session>) -> F + Send + Sync + 'static) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Trouble>> + Send + 'static,
    {
        self.call(|inner| async move { inner.read(ask).await })
    }

    /// Runs on threads of its own, so that whoever asks may stand on a runtime or not.
    fn call<T, F>(&self, work: impl FnOnce(Arc<Inner>) -> F) -> Result<T, LedgerError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, LedgerError>> + Send + 'static,
    {
        let closed = || LedgerError::Closed { path: PathBuf::from(self.inner.options.place()) };
        if *self.inner.standing.borrow() == Standing::Closed {
            return Err(closed());
        }
        let runtime = self.runtime.as_ref().ok_or_else(closed)?;
        let (tell, told) = mpsc::sync_channel(1);
        let work = work(Arc::clone(&self.inner));
        runtime.spawn(async move { tell.send(work.await) });
        told.recv().map_err(|_| closed())?
    }
}

impl Drop for PostgresLedger {
    fn drop(&mut self) {
        self.close();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Inner {
    fn depose(&self, why: &str) -> LedgerError {
        let change = |standing: &mut Standing| {
            let over = matches!(standing, Standing::Deposed(_) | Standing::Closed);
            if !over {
                *standing = Standing::Deposed(why.to_owned());
            }
            !over
        };
        self.standing.send_if_modified(change);
        LedgerError::Deposed { place: self.options.place(), why: why.to_owned() }
    }

    fn active(&self) -> Result<u64, LedgerError> {
        let place = self.options.place();
        match &*self.standing.borrow() {
            Standing::Active(term) => Ok(*term),
            Standing::Second => Err(LedgerError::StandingBy { place }),
            Standing::Deposed(why) => Err(LedgerError::Deposed { place, why: why.clone() }),
            Standing::Closed => Err(LedgerError::Closed { path: place.into() }),
        }
    }

    fn away(&self, why: &str) -> LedgerError {
        LedgerError::Unreachable { place: self.options.place(), why: why.to_owned() }
    }

    fn told_of(&self, trouble: Trouble) -> LedgerError {
        let place = self.options.place();
        match trouble {
            Trouble::Refused(error) => error,
            Trouble::Sql(error) => self.options.told(&error),
            Trouble::Deposed { by } => self.depose(&format!("another node became active, with term {by}")),
            Trouble::Rewound { known, found } => self.depose(&format!(
                "entry {} was written as the newest, and now that is entry {} (batch {} of {}): the database was put back, or a standby that had not everything took over",
                known.head.sequence, found.head.sequence, found.batches, known.batches
            )),
            Trouble::Damaged(what) => LedgerError::Damaged { path: place.into(), why: format!("{what} is out of bounds") },
        }
    }

    /// Reads through one session, dialed anew once if it has broken.
    async fn read<T, F>(&self, ask: impl Fn(Arc<Session>) -> F) -> Result<T, LedgerError>
    where
        F: Future<Output = Result<T, Trouble>>,
    {
        let mut again = false;
        loop {
            let session = self.reader().await?;
            let answer = timeout(Duration::from_millis(ANSWER_MS_MAX), ask(Arc::clone(&session))).await;
            let error = match answer {
                Ok(Ok(answer)) => return Ok(answer),
                Ok(Err(trouble)) => self.told_of(trouble),
                Err(_) => self.away("no answer in time"),
            };
            if again || !matches!(error, LedgerError::Unreachable { .. }) {
                return Err(error);
            }
            // Another reader may have dialed meanwhile.
            self.reader.lock().await.take_if(|kept| Arc::ptr_eq(kept, &session));
            again = true;
        }
    }

    async fn reader(&self) -> Result<Arc<Session>, LedgerError> {
        let mut kept = self.reader.lock().await;
        let session = match kept.take() {
            Some(session) => session,
            None => Arc::new(self.options.sign_in().await?),
        };
        Ok(Arc::clone(kept.insert(session)))
    }

    /// In a session and a transaction of its own, which sees one moment.
    async fn margin(&self) -> Result<Margin, LedgerError> {
        let mut session = self.options.sign_in().await?;
        rows::margin(&mut session.client).await.map_err(|trouble| self.told_of(trouble))
    }

    /// If its answer is lost, the ledger is empty or whole, and one that is not empty is not filled again.
    async fn fill(&self, margin: Margin, entries: Vec<Entry>) -> Result<(), LedgerError> {
        let mut pen = self.pen.lock().await;
        let term = self.active()?;
        let mut session = self.options.sign_in().await?;
        let filled = rows::fill(&mut session.client, term, &margin, &entries).await;
        filled.map_err(|trouble| self.told_of(trouble))?;
        pen.known = Some(margin.tip());
        Ok(())
    }

    async fn confirm(&self) -> Result<(), LedgerError> {
        let term = self.active()?;
        let found = self.read(|session| async move { active::found(&session).await }).await?;
        if found == term { Ok(()) } else { Err(self.told_of(Trouble::Deposed { by: found })) }
    }

    async fn close(&self) {
        // With the pen in hand: an append that has begun ends first.
        let pen = self.pen.lock().await.session.take();
        self.standing.send_replace(Standing::Closed);
        let reader = self.reader.lock().await.take().and_then(Arc::into_inner);
        let lock = self.lock.lock().await.take();
        for session in [pen, lock, reader].into_iter().flatten() {
            session.end().await;
        }
    }
}

impl Ledger for PostgresLedger {
    fn close(&self) {
        let _closed_before = self.call(|inner| async move {
            inner.close().await;
            Ok(())
        });
    }
    fn confirm(&self) -> Result<(), LedgerError> {
        self.call(|inner| async move { inner.confirm().await })
    }
    fn append(&self, batch: Batch) -> Result<Receipt, LedgerError> {
        batch.check()?;
        if batch.is_empty() {
            return Ok(Receipt { head: self.head()?, entries: vec![], owed: vec![], settled: vec![] });
        }
        self.call(|inner| async move { inner.append(batch).await })
    }
    fn entries(&self, from: u64, limit: usize) -> Result<Vec<Entry>, LedgerError> {
        self.read(move |session| async move { rows::entries(&session.client, from, limit).await })
    }
    fn head(&self) -> Result<Head, LedgerError> {
        self.read(|session| async move { rows::head(&session.client).await })
    }
    fn owed(&self, region: &str, lane: u8, after: u64, limit: usize) -> Result<Vec<Owed>, LedgerError> {
        let region: Arc<str> = region.into();
        self.read(move |session| {
            let region = Arc::clone(&region);
            async move { rows::owed(&session.client, &region, lane, after, limit).await }
        })
    }
    fn margin(&self) -> Result<Margin, LedgerError> {
        self.call(|inner| async move { inner.margin().await })
    }
    fn fill(&self, margin: Margin, entries: Vec<Entry>) -> Result<(), LedgerError> {
        self.call(|inner| async move { inner.fill(margin, entries).await })
    }
    fn owed_count(&self, region: &str, lane: u8) -> Result<u64, LedgerError> {
        let region: Arc<str> = region.into();
        self.read(move |session| {
            let region = Arc::clone(&region);
            async move { rows::owed_count(&session.client, &region, lane).await }
        })
    }
    fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        let key: Arc<str> = key.into();
        self.read(move |session| {
            let key = Arc::clone(&key);
            async move { rows::meta(&session.client, &key).await }
        })
    }
}

impl std::fmt::Debug for PostgresLedger {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresLedger").field("place", &self.inner.options.place()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
