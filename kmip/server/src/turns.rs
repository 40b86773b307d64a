//! The sessions of one tenant take turns while another tenant's clients are connected.
//!
//! A tenant may have thousands of connections, each with many requests on its way. If all of them stood in the queue of the threads that
//! answer, a client of another tenant that asks for one thing would wait for all of them. So a session of a tenant that is not alone waits
//! for its turn, of which its tenant has as many at once as there are threads; and before it uses it, the thread looks whether anybody else
//! has come. A turn is one poll of a session: [`crate::session`] bounds the requests in it.
//!
//! Turns and looks cost a tenant that asks without pause, one request after the other, about a tenth of its rate (one with 16 requests on
//! each connection wins as much: what a session touches stays in the cache). So a tenant that is alone takes none, nor one with few
//! connections: nobody waits for those for long.
//!
//! Turns, and not threads of lower priority: a session that loses its core while it borrows a key makes a kill wait for it. The price is
//! that a turn is not cut short: one long operation (RSA, a wide Locate) is waited for.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Poll,
};

use tokio::{sync::Semaphore, task::yield_now};

/// A tenant with so many connections takes no turns.
pub(crate) const FEW_CONNECTIONS: usize = 8;

/// The turns of one tenant.
#[derive(Debug)]
pub(crate) struct Turns {
    places: Semaphore,
    /// Connections of this one.
    connections: AtomicUsize,
    /// How many tenants there are.
    tenants: Arc<AtomicUsize>,
}

impl Turns {
    pub(crate) fn new(places: usize, tenants: Arc<AtomicUsize>) -> Self {
        Self { places: Semaphore::new(places), connections: AtomicUsize::new(0), tenants }
    }

    /// The tenant has so many connections now.
    pub(crate) fn among(&self, connections: usize) {
        self.connections.store(connections, Ordering::Relaxed);
    }

    fn are_taken(&self) -> bool {
        self.has_neighbours() && self.connections.load(Ordering::Relaxed) > FEW_CONNECTIONS
    }

    /// Whether clients of another tenant are connected.
    pub(crate) fn has_neighbours(&self) -> bool {
        self.tenants.load(Ordering::Relaxed) > 1
    }

    /// Leaves no turn to anybody else.
    #[cfg(test)]
    pub(crate) async fn take_all(&self) -> tokio::sync::SemaphorePermit<'_> {
        let all = self.places.available_permits();
        self.places.acquire_many(all.try_into().unwrap()).await.unwrap()
    }

    /// Does `work`, each of its steps in a turn.
    pub(crate) async fn take<F: Future>(&self, work: F) -> F::Output {
        let mut work = pin!(work);
        loop {
            let turn = if self.are_taken() { self.places.acquire().await.ok() } else { None };
            if turn.is_some() {
                // The thread goes to whoever is there by now.
                yield_now().await;
            }
            let step = poll_fn(|cx| Poll::Ready(work.as_mut().poll(cx))).await;
            drop(turn);
            if let Poll::Ready(done) = step {
                return done;
            }
            // What wakes the work wakes this task: the step has seen to that, and nothing was awaited since.
            let mut slept = false;
            poll_fn(|_| if std::mem::replace(&mut slept, true) { Poll::Ready(()) } else { Poll::Pending }).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WORKS: usize = 16;
    const STEPS: usize = 3;

    /// Work of some steps, each of which others may follow.
    async fn work(steps: Arc<AtomicUsize>) {
        for _ in 0..STEPS {
            steps.fetch_add(1, Ordering::SeqCst);
            yield_now().await;
        }
    }

    /// Most steps of the works of a tenant, one of so many, with so many connections, between two turns of somebody else.
    async fn most_at_once(tenants: usize, connections: usize) -> usize {
        let turns = Arc::new(Turns::new(1, Arc::new(AtomicUsize::new(tenants))));
        turns.among(connections);
        let steps = Arc::new(AtomicUsize::new(0));
        let spawned = |_| {
            let (turns, steps) = (turns.clone(), steps.clone());
            tokio::spawn(async move { turns.take(work(steps)).await })
        };
        let works: Vec<_> = (0..WORKS).map(spawned).collect();
        let (mut before, mut most) = (0, 0);
        while before < STEPS * WORKS {
            yield_now().await;
            let now = steps.load(Ordering::SeqCst);
            most = most.max(now - before);
            before = now;
        }
        for work in works {
            work.await.unwrap();
        }
        most
    }

    #[tokio::test]
    async fn many_sessions_of_a_tenant_that_is_not_alone_take_turns() {
        assert_eq!(most_at_once(2, FEW_CONNECTIONS + 1).await, 1);
        assert!(most_at_once(1, FEW_CONNECTIONS + 1).await >= WORKS);
        assert!(most_at_once(2, FEW_CONNECTIONS).await >= WORKS);
    }
}
