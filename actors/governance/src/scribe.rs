//! The scribe: the one thread that appends to the ledger. Stops go before everything else, and what waits is written together.
//!
//! Appending blocks for the milliseconds of a durable commit, so no actor does it. While one commit runs, others queue; the next commit
//! takes as many of them as fit, but never a stop together with anything else, since only stops may use the ledger's reserve ([`Room`]). A group
//! that fails is written one by one, so that each caller gets its own error. Owed rows are handed to the couriers by this thread, in the
//! order of their sequences: a courier that saw a later row first would tell the region that nothing lies before it.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread::JoinHandle,
};

use ledger::{BATCH_ROWS_MAX, Batch, Entry, Ledger, LedgerError, Owed, Receipt, Room};
use tokio::sync::oneshot;

use crate::error::Fault;

/// Most ordinary transactions that wait; one more is refused as [`Fault::Busy`].
pub(crate) const WAITING_MAX: usize = 16_384;
/// Most transactions in one commit.
const GROUP_MAX: usize = 64;
/// Most bytes of bodies in one commit, so that a stop never waits for a long one.
const GROUP_BYTES_MAX: usize = 1 << 20;

/// What is done with each commit, on the scribe's thread, before anybody learns of it.
pub(crate) type Sink = Box<dyn Fn(&[Entry], &[Owed]) + Send>;

struct Job {
    batch: Batch,
    reply: oneshot::Sender<Result<Receipt, LedgerError>>,
}

#[derive(Default)]
struct Waiting {
    stops: VecDeque<Job>,
    others: VecDeque<Job>,
    closed: bool,
}

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    bell: Condvar,
}

impl Queue {
    // A push or pop is one statement: a poisoned queue is still whole.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self) {
        self.waiting().closed = true;
        self.bell.notify_all();
    }
}

/// The handle; the thread ends with it, after it has written what waits.
pub(crate) struct Scribe {
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Scribe {
    fn drop(&mut self) {
        self.queue.close();
    }
}

impl Scribe {
    pub(crate) fn start(ledger: Arc<dyn Ledger>, sink: Sink) -> Result<Self, Fault> {
        let queue = Arc::new(Queue::default());
        let theirs = Arc::clone(&queue);
        let thread = std::thread::Builder::new().name("scribe".to_owned());
        let run = move || write_all(&theirs, ledger.as_ref(), &sink);
        let thread = thread.spawn(run).map_err(|e| Fault::Start(format!("the scribe's thread: {e}")))?;
        Ok(Self { queue, thread: Mutex::new(Some(thread)) })
    }

    /// Takes nothing more, and returns when what waits is written.
    pub(crate) async fn close(&self) {
        self.queue.close();
        // The guarded value is taken as a whole, so a poisoned lock hides nothing.
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let joined = tokio::task::spawn_blocking(move || thread.map(JoinHandle::join)).await;
        if !matches!(joined, Ok(None | Some(Ok(())))) {
            tracing::error!("the ledger's thread ended badly; the next start reads what was written");
        }
    }

    /// Appends; durable when this returns `Ok`, not there when it returns `Err`.
    pub(crate) async fn append(&self, batch: Batch) -> Result<Receipt, Fault> {
        let (reply, answer) = oneshot::channel();
        {
            let mut waiting = self.queue.waiting();
            let job = Job { batch, reply };
            if waiting.closed {
                return Err(Fault::Gone { what: "the ledger's thread" });
            }
            if job.batch.room > Room::Ordinary {
                waiting.stops.push_back(job);
            } else if waiting.others.len() < WAITING_MAX {
                waiting.others.push_back(job);
            } else {
                return Err(Fault::Busy { what: "the ledger" });
            }
        }
        self.queue.bell.notify_one();
        answer.await.map_err(|_| Fault::Gone { what: "the ledger's thread" })?.map_err(Fault::Ledger)
    }
}

fn write_all(queue: &Queue, ledger: &dyn Ledger, sink: &Sink) {
    while let Some(group) = next_group(queue) {
        let (batches, replies): (Vec<_>, Vec<_>) = group.into_iter().map(|job| (job.batch, job.reply)).unzip();
        let receipts = write(ledger, sink, batches);
        for (reply, receipt) in replies.into_iter().zip(receipts) {
            // Whoever asked may be gone; what was written stays.
            let _gone = reply.send(receipt);
        }
    }
}

fn next_group(queue: &Queue) -> Option<Vec<Job>> {
    let mut waiting = queue.waiting();
    loop {
        let group = group_of(&mut waiting.stops);
        let group = if group.is_empty() { group_of(&mut waiting.others) } else { group };
        if !group.is_empty() {
            return Some(group);
        }
        if waiting.closed {
            return None;
        }
        waiting = queue.bell.wait(waiting).unwrap_or_else(PoisonError::into_inner);
    }
}

/// From the front, as many as one commit takes; at least one.
fn group_of(jobs: &mut VecDeque<Job>) -> Vec<Job> {
    let (mut group, mut rows, mut bytes) = (Vec::new(), 0_usize, 0_usize);
    while let Some(job) = jobs.front() {
        let batch = &job.batch;
        rows += batch.entries.len() + batch.owe.len() + batch.settle.len() + batch.meta.len();
        bytes += batch.entries.iter().map(|e| e.body.len()).sum::<usize>();
        bytes += batch.owe.iter().map(|o| o.body.len()).sum::<usize>();
        let full = group.len() >= GROUP_MAX || rows > BATCH_ROWS_MAX || bytes > GROUP_BYTES_MAX;
        if full && !group.is_empty() {
            break;
        }
        group.extend(jobs.pop_front());
    }
    group
}

fn write(ledger: &dyn Ledger, sink: &Sink, batches: Vec<Batch>) -> Vec<Result<Receipt, LedgerError>> {
    if let [_, _, ..] = batches.as_slice()
        && let Ok(whole) = ledger.append(merged(&batches))
    {
        sink(&whole.entries, &whole.owed);
        return shared_out(whole, &batches).into_iter().map(Ok).collect();
    }
    let one = |batch| {
        let receipt = ledger.append(batch)?;
        sink(&receipt.entries, &receipt.owed);
        Ok(receipt)
    };
    batches.into_iter().map(one).collect()
}

fn merged(batches: &[Batch]) -> Batch {
    let mut whole = Batch { room: batches.iter().map(|b| b.room).min().unwrap_or_default(), ..Batch::default() };
    for batch in batches {
        whole.entries.extend(batch.entries.iter().cloned());
        whole.owe.extend(batch.owe.iter().cloned());
        whole.settle.extend(&batch.settle);
        whole.meta.extend(batch.meta.iter().cloned());
    }
    whole
}

/// Gives each batch its own part of a common receipt.
fn shared_out(whole: Receipt, batches: &[Batch]) -> Vec<Receipt> {
    let (mut entries, mut owed) = (whole.entries.into_iter(), whole.owed.into_iter());
    let part = |batch: &Batch| Receipt {
        head: whole.head,
        entries: entries.by_ref().take(batch.entries.len()).collect(),
        owed: owed.by_ref().take(batch.owe.len()).collect(),
        settled: whole.settled.iter().copied().filter(|id| batch.settle.contains(id)).collect(),
    };
    batches.iter().map(part).collect()
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use ledger::{MemoryLedger, NewEntry, NewOwed};

    use super::*;

    fn batch(kind: &str, owe: usize, room: Room) -> Batch {
        let text = String::new;
        let body = b"{}".to_vec();
        let entry = NewEntry { at_ms: 1, kind: kind.into(), subject: text(), correlation: text(), body };
        let owed = NewOwed {
            subject: text(),
            region: "r".into(),
            lane: 0,
            correlation: kind.into(),
            created_ms: 1,
            digest: [0; 32],
            body: vec![],
        };
        Batch { entries: vec![entry], owe: vec![owed; owe], room, ..Batch::default() }
    }

    fn job(batch: Batch) -> (Job, oneshot::Receiver<Result<Receipt, LedgerError>>) {
        let (reply, answer) = oneshot::channel();
        (Job { batch, reply }, answer)
    }

    #[test]
    fn stops_go_first_and_alone() {
        let queue = Queue::default();
        let (other, stop) = (Room::Ordinary, Room::Stop);
        for (kind, room) in [("a", other), ("stop", stop), ("b", other), ("stop", stop)] {
            let (job, _) = job(batch(kind, 0, room));
            let mut waiting = queue.waiting();
            if room == stop { waiting.stops.push_back(job) } else { waiting.others.push_back(job) }
        }
        queue.waiting().closed = true;
        let kinds = |group: Vec<Job>| group.iter().map(|j| j.batch.entries[0].kind.clone()).collect::<Vec<_>>();
        assert_eq!(kinds(next_group(&queue).unwrap()), ["stop", "stop"]);
        assert_eq!(kinds(next_group(&queue).unwrap()), ["a", "b"]);
        assert!(next_group(&queue).is_none());
    }

    #[test]
    fn each_of_a_group_gets_its_own_receipt() {
        let ledger = MemoryLedger::new();
        let sink: Sink = Box::new(|_, _| ());
        let receipts = write(&ledger, &sink, vec![batch("a", 2, Room::Ordinary), batch("b", 1, Room::Ordinary)]);
        let receipts: Vec<_> = receipts.into_iter().map(Result::unwrap).collect();
        assert_eq!(receipts[0].owed.iter().map(|o| o.id).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(receipts[1].owed.iter().map(|o| o.id).collect::<Vec<_>>(), [3]);
        assert_eq!(receipts[1].entries[0].kind, "b");
    }

    #[test]
    fn one_bad_batch_does_not_spoil_the_others() {
        let ledger = MemoryLedger::new();
        let sink: Sink = Box::new(|_, _| ());
        let bad = Batch { settle: vec![99], ..Batch::default() };
        let receipts = write(&ledger, &sink, vec![batch("a", 0, Room::Ordinary), bad, batch("b", 0, Room::Ordinary)]);
        assert!(receipts[0].is_ok() && receipts[2].is_ok());
        assert!(matches!(receipts[1], Err(LedgerError::NeverOwed { id: 99, .. })));
        assert_eq!(ledger.head().unwrap().sequence, 2);
    }

    #[tokio::test]
    async fn what_is_appended_is_told_in_order() {
        let ledger: Arc<dyn Ledger> = Arc::new(MemoryLedger::new());
        let told = Arc::new(Mutex::new(Vec::new()));
        let theirs = Arc::clone(&told);
        let sink: Sink = Box::new(move |_, owed| theirs.lock().unwrap().extend(owed.iter().map(|o| o.sequence)));
        let scribe = Arc::new(Scribe::start(ledger, sink).unwrap());
        let appends = (0..50).map(|_| {
            let scribe = Arc::clone(&scribe);
            tokio::spawn(async move { scribe.append(batch("a", 3, Room::Ordinary)).await.unwrap() })
        });
        for append in appends.collect::<Vec<_>>() {
            append.await.unwrap();
        }
        assert_eq!(*told.lock().unwrap(), (1..=150).collect::<Vec<u64>>());
    }

    #[tokio::test]
    async fn what_waits_is_written_before_it_closes_and_nothing_is_taken_after() {
        let ledger: Arc<dyn Ledger> = Arc::new(MemoryLedger::new());
        let scribe = Arc::new(Scribe::start(Arc::clone(&ledger), Box::new(|_, _| ())).unwrap());
        // Polled once each: taken, and not answered yet.
        let mut appends: Vec<_> = (0..200).map(|_| Box::pin(scribe.append(batch("a", 0, Room::Ordinary)))).collect();
        for append in &mut appends {
            let polled = std::future::poll_fn(|cx| Poll::Ready(append.as_mut().poll(cx))).await;
            assert!(matches!(polled, Poll::Pending | Poll::Ready(Ok(_))));
        }
        scribe.close().await;
        assert_eq!(ledger.head().unwrap().sequence, 200);
        let mut late = Box::pin(scribe.append(batch("b", 0, Room::Stop)));
        let polled = std::future::poll_fn(|cx| Poll::Ready(late.as_mut().poll(cx))).await;
        assert!(matches!(polled, Poll::Ready(Err(Fault::Gone { .. }))), "at once: nobody would answer");
        scribe.close().await;
    }
}
