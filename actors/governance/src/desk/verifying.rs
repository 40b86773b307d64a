//! The check of the whole chain, one at a time: it reads every entry, and anybody whom some tenant knows may ask for it.
//!
//! Whoever asks while one runs gets its result. Nobody who stops waiting ends it, so asking and leaving starts no second one.

use std::sync::{Arc, Mutex, PoisonError};

use ledger::Ledger;
use orbital::names::Digest;
use tokio::sync::watch;

use crate::{
    error::{Error, Fault},
    views::Verified,
};

/// The check that runs, or the last one.
#[derive(Debug)]
pub(crate) struct Verifying(Mutex<watch::Receiver<Option<Verified>>>);

impl Default for Verifying {
    fn default() -> Self {
        Self(Mutex::new(watch::channel(None).1))
    }
}

impl Verifying {
    pub(super) async fn result(&self, ledger: &Arc<dyn Ledger>) -> Result<Verified, Error> {
        let mut running = self.joined(ledger);
        let done = running.wait_for(Option::is_some).await.ok().and_then(|done| done.clone());
        done.ok_or_else(|| Fault::Gone { what: "the reading task" }.into())
    }

    fn joined(&self, ledger: &Arc<dyn Ledger>) -> watch::Receiver<Option<Verified>> {
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One that fell over has no sender any more, and no result.
        let runs = last.has_changed().is_ok() && last.borrow().is_none();
        if !runs {
            let (done, running) = watch::channel(None);
            let ledger = Arc::clone(ledger);
            tokio::task::spawn_blocking(move || done.send_replace(Some(verify(&*ledger))));
            *last = running;
        }
        last.clone()
    }
}

fn verify(ledger: &dyn Ledger) -> Verified {
    match ledger.verify() {
        Ok(summary) => Verified {
            sound: true,
            entries: summary.entries,
            head: Some(Digest(summary.last.hash)),
            why: String::new(),
        },
        Err(broken) => Verified { sound: false, entries: 0, head: None, why: broken.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{
            atomic::{AtomicUsize, Ordering},
            mpsc,
        },
        task::{Context, Poll, Waker},
    };

    use ledger::{Batch, Broken, Entry, Head, LedgerError, MemoryLedger, Owed, Receipt, Summary};

    use super::*;

    /// A ledger whose checks wait for a word of the test.
    struct Slow {
        inner: MemoryLedger,
        begun: AtomicUsize,
        go: Mutex<mpsc::Receiver<()>>,
    }

    impl Ledger for Slow {
        fn append(&self, batch: Batch) -> Result<Receipt, LedgerError> {
            self.inner.append(batch)
        }
        fn entries(&self, from: u64, limit: usize) -> Result<Vec<Entry>, LedgerError> {
            self.inner.entries(from, limit)
        }
        fn head(&self) -> Result<Head, LedgerError> {
            self.inner.head()
        }
        fn owed(&self, region: &str, lane: u8, after: u64, limit: usize) -> Result<Vec<Owed>, LedgerError> {
            self.inner.owed(region, lane, after, limit)
        }
        fn owed_count(&self, region: &str, lane: u8) -> Result<u64, LedgerError> {
            self.inner.owed_count(region, lane)
        }
        fn margin(&self) -> Result<ledger::Margin, LedgerError> {
            self.inner.margin()
        }
        fn fill(&self, margin: ledger::Margin, entries: Vec<Entry>) -> Result<(), LedgerError> {
            self.inner.fill(margin, entries)
        }
        fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, LedgerError> {
            self.inner.meta(key)
        }
        fn verify(&self) -> Result<Summary, Broken> {
            self.begun.fetch_add(1, Ordering::SeqCst);
            // Who drops the sender wants a check that falls over.
            self.go.lock().unwrap().recv().unwrap();
            self.inner.verify()
        }
    }

    fn slow() -> (Arc<Slow>, mpsc::Sender<()>) {
        let (go, wait) = mpsc::channel();
        (Arc::new(Slow { inner: MemoryLedger::new(), begun: AtomicUsize::new(0), go: Mutex::new(wait) }), go)
    }

    #[tokio::test]
    async fn who_asks_meanwhile_shares_the_result_and_who_leaves_starts_no_second_check() {
        let (slow, go) = slow();
        let (verifying, ledger) = (Verifying::default(), slow.clone() as Arc<dyn Ledger>);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..3 {
            let mut leaves = Box::pin(verifying.result(&ledger));
            assert!(matches!(leaves.as_mut().poll(&mut context), Poll::Pending));
        }
        let (mut one, mut other) = (Box::pin(verifying.result(&ledger)), Box::pin(verifying.result(&ledger)));
        assert!(one.as_mut().poll(&mut context).is_pending() && other.as_mut().poll(&mut context).is_pending());
        // A word for each check that could have begun.
        (0..5).for_each(|_| go.send(()).unwrap());
        assert!(one.await.unwrap().sound && other.await.unwrap().sound);
        assert_eq!(slow.begun.load(Ordering::SeqCst), 1);
        assert!(verifying.result(&ledger).await.unwrap().sound);
        assert_eq!(slow.begun.load(Ordering::SeqCst), 2, "whoever asks afterwards gets a check of their own");
    }

    #[tokio::test]
    async fn a_check_that_fell_over_is_begun_anew() {
        let (broken, go) = slow();
        drop(go);
        let verifying = Verifying::default();
        assert!(verifying.result(&(broken as Arc<dyn Ledger>)).await.is_err());
        let sound = Arc::new(MemoryLedger::new()) as Arc<dyn Ledger>;
        assert!(verifying.result(&sound).await.unwrap().sound);
    }
}
