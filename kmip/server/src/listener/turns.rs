//! Handshakes take turns.
//!
//! A step of a handshake is a signature or a key exchange: as long as twenty requests. A client, or a stranger, that begins many at once
//! must not put all of them before the requests of others. So a step waits for its turn, of which there is one a thread, and then lets
//! everybody else who waits for the thread go first.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use tokio::{sync::Semaphore, task::yield_now};

/// The turns of a listener's handshakes.
#[derive(Debug)]
pub(super) struct Turns(Semaphore);

impl Turns {
    /// One a thread of this process.
    pub(super) fn new() -> Self {
        Self(Semaphore::new(std::thread::available_parallelism().map_or(1, usize::from)))
    }

    /// Does `work`, each of its steps in a turn.
    pub(super) async fn take<F: Future>(&self, work: F) -> F::Output {
        let mut work = pin!(work);
        loop {
            let turn = self.0.acquire().await;
            yield_now().await;
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
    use std::{
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        time::Duration,
    };

    use super::*;

    const STEPS: usize = 3;

    /// Work of some steps, between which it waits for a timer.
    async fn work(steps: Arc<AtomicUsize>) {
        for _ in 0..STEPS {
            steps.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test]
    async fn others_go_between_two_steps_and_each_work_comes_to_its_end() {
        const WORKS: usize = 16;
        let (turns, steps) = (Arc::new(Turns(Semaphore::new(1))), Arc::new(AtomicUsize::new(0)));
        let mut works = Vec::new();
        for _ in 0..WORKS {
            let (turns, steps) = (turns.clone(), steps.clone());
            works.push(tokio::spawn(async move { turns.take(work(steps)).await }));
        }
        let (mut before, mut most) = (0, 0);
        while before < STEPS * WORKS {
            yield_now().await;
            let now = steps.load(Ordering::SeqCst);
            most = most.max(now - before);
            before = now;
        }
        assert_eq!(most, 1, "steps without a turn of the others");
        for work in works {
            work.await.unwrap();
        }
    }
}
