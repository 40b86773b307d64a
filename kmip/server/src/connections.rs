//! The open connections by tenant, so that a kill or a change of callers can close them, and what a tenant's connections share.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::available_parallelism,
    time::Instant,
};

use orbital::names::TenantId;
use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};

use crate::{turns::Turns, usage::Using};

/// Connections of one tenant that have room for a large message at once: [`kmip::ttlv::MESSAGE_BYTES_MAX`] each. The next one waits.
pub const LARGE_PER_TENANT_MAX: usize = 64;

/// A connection that was answered so often has settled: its client is not one that connects for each request.
const ANSWERS_SETTLED: usize = 16;

/// Registry of one listener's connections.
#[derive(Debug)]
pub struct Connections {
    open: Mutex<HashMap<TenantId, Open>>,
    next: AtomicU64,
    per_tenant_max: usize,
    /// How many tenants have any.
    tenants: Arc<AtomicUsize>,
    /// How many connections have settled.
    settled: AtomicUsize,
    /// Threads that answer.
    threads: usize,
}

/// What one tenant has open.
#[derive(Debug)]
struct Open {
    closers: HashMap<u64, Arc<Closer>>,
    large: Arc<Semaphore>,
    turns: Arc<Turns>,
}

/// Tells one connection to end.
#[derive(Debug, Default)]
struct Closer {
    closed: AtomicBool,
    notify: Notify,
}

/// The tenant has as many connections as it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the tenant has {max} connections open, which is its limit; reuse connections or raise the limit")]
pub struct TooMany {
    pub max: usize,
}

impl Connections {
    pub fn new(per_tenant_max: usize) -> Self {
        let threads = available_parallelism().map_or(1, usize::from);
        let (open, next, settled) = (Mutex::default(), AtomicU64::new(0), AtomicUsize::new(0));
        Self { open, next, per_tenant_max, tenants: Arc::default(), settled, threads }
    }

    /// Enters a connection. It leaves when the answer is dropped.
    pub fn enter(self: &Arc<Self>, tenant: TenantId) -> Result<Entered, TooMany> {
        let mut open = self.open.lock();
        let mine = open.entry(tenant).or_insert_with(|| Open {
            closers: HashMap::new(),
            large: Arc::new(Semaphore::new(LARGE_PER_TENANT_MAX)),
            turns: Arc::new(Turns::new(self.threads, self.tenants.clone())),
        });
        if mine.closers.len() >= self.per_tenant_max {
            return Err(TooMany { max: self.per_tenant_max });
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let closer = Arc::new(Closer::default());
        mine.closers.insert(id, closer.clone());
        let (large, turns) = (mine.large.clone(), mine.turns.clone());
        turns.among(mine.closers.len());
        self.tenants.store(open.len(), Ordering::Relaxed);
        let answers = AtomicUsize::new(0);
        Ok(Entered { connections: self.clone(), tenant, id, closer, large, turns, answers, using: None })
    }

    /// Closes every connection of a tenant, at the latest after the request that it is answering. Answers how many.
    pub fn close_tenant(&self, tenant: &TenantId) -> usize {
        let of = |open: &Open| open.closers.values().cloned().collect::<Vec<_>>();
        let closers = self.open.lock().get(tenant).map(of).unwrap_or_default();
        for closer in &closers {
            closer.closed.store(true, Ordering::SeqCst);
            closer.notify.notify_waiters();
        }
        closers.len()
    }

    /// Whether clients are here that ask again and again over one connection, and would notice who comes and goes.
    pub(crate) fn any_settled(&self) -> bool {
        self.settled.load(Ordering::Relaxed) > 0
    }

    /// How many connections a tenant has.
    pub fn of(&self, tenant: &TenantId) -> usize {
        self.open.lock().get(tenant).map_or(0, |open| open.closers.len())
    }
}

/// A registered connection.
#[derive(Debug)]
pub struct Entered {
    connections: Arc<Connections>,
    tenant: TenantId,
    id: u64,
    closer: Arc<Closer>,
    large: Arc<Semaphore>,
    turns: Arc<Turns>,
    /// How often it was answered, counted up to [`ANSWERS_SETTLED`] or little more.
    answers: AtomicUsize,
    using: Option<Using>,
}

impl Entered {
    /// Counts for a system from now on.
    pub(crate) fn counting(mut self, using: Using) -> Self {
        self.using = Some(using);
        self
    }

    /// So many requests of its client were answered, the last one at `done`.
    pub(crate) fn answered(&self, requests: usize, done: Instant) {
        if let Some(using) = &self.using {
            using.answered(requests, done);
        }
        if self.answers.load(Ordering::Relaxed) < ANSWERS_SETTLED
            && self.answers.fetch_add(1, Ordering::Relaxed) + 1 == ANSWERS_SETTLED
        {
            self.connections.settled.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Places for large messages, shared by the tenant's connections.
    pub(crate) fn large(&self) -> &Arc<Semaphore> {
        &self.large
    }

    /// Turns of the tenant's connections.
    pub(crate) fn turns(&self) -> &Arc<Turns> {
        &self.turns
    }

    /// Whether the connection must end now.
    pub fn is_closed(&self) -> bool {
        self.closer.closed.load(Ordering::SeqCst)
    }

    /// Ends when the connection must; as many may wait as like.
    pub async fn closed(&self) {
        let mut told = std::pin::pin!(self.closer.notify.notified());
        // From here on no word is missed; what was said before shows in the flag.
        told.as_mut().enable();
        if !self.is_closed() {
            told.await;
        }
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        if *self.answers.get_mut() >= ANSWERS_SETTLED {
            self.connections.settled.fetch_sub(1, Ordering::Relaxed);
        }
        let mut open = self.connections.open.lock();
        if let Some(mine) = open.get_mut(&self.tenant) {
            mine.closers.remove(&self.id);
            mine.turns.among(mine.closers.len());
            if mine.closers.is_empty() {
                open.remove(&self.tenant);
                self.connections.tenants.store(open.len(), Ordering::Relaxed);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use orbital::names::Digest;

    use super::*;

    fn tenant(byte: u8) -> TenantId {
        TenantId(Digest([byte; 32]))
    }

    #[tokio::test]
    async fn closing_a_tenant_ends_its_connections_and_no_other() {
        let connections = Arc::new(Connections::new(2));
        let (a, b) = (connections.enter(tenant(1)).unwrap(), connections.enter(tenant(2)).unwrap());
        assert_eq!(connections.close_tenant(&tenant(1)), 1);
        a.closed().await;
        assert!(!b.is_closed());
        drop(a);
        assert_eq!((connections.of(&tenant(1)), connections.of(&tenant(2))), (0, 1));
        assert_eq!(connections.close_tenant(&tenant(9)), 0);
    }

    #[test]
    fn a_tenant_has_neighbours_while_clients_of_another_are_connected() {
        let connections = Arc::new(Connections::new(2));
        let mine = [connections.enter(tenant(1)).unwrap(), connections.enter(tenant(1)).unwrap()];
        assert!(!mine[0].turns().has_neighbours());
        let other = connections.enter(tenant(2)).unwrap();
        assert!(mine.iter().all(|mine| mine.turns().has_neighbours()));
        drop(other);
        assert!(mine.iter().all(|mine| !mine.turns().has_neighbours()));
    }

    #[test]
    fn a_connection_settles_once_it_was_answered_often_and_no_longer_than_it_is_open() {
        let connections = Arc::new(Connections::new(2));
        let (steady, brief) = (connections.enter(tenant(1)).unwrap(), connections.enter(tenant(1)).unwrap());
        for _ in 1..ANSWERS_SETTLED {
            steady.answered(1, Instant::now());
            brief.answered(1, Instant::now());
        }
        drop(brief);
        assert!(!connections.any_settled());
        for _ in 0..2 {
            steady.answered(1, Instant::now());
            assert!(connections.any_settled());
        }
        drop(steady);
        assert!(!connections.any_settled());
    }

    #[test]
    fn one_tenant_cannot_take_all_connections() {
        let connections = Arc::new(Connections::new(1));
        let first = connections.enter(tenant(1)).unwrap();
        assert_eq!(connections.enter(tenant(1)).err(), Some(TooMany { max: 1 }));
        assert!(connections.enter(tenant(2)).is_ok());
        drop(first);
        assert!(connections.enter(tenant(1)).is_ok());
    }
}
