//! Events: what happened, numbered, for those who watch (SSE). A watcher that comes back says the last number it saw.
//!
//! A ring of the newest [`EVENTS_KEPT`] events and a broadcast. Whoever asks for more than the ring holds gets one [`Happened::Missed`]
//! first and reads the state anew. Numbers go on growing over restarts, since they begin at the wall clock.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use orbital::{
    change::ChangeKind,
    lane::Lane,
    names::{Correlation, Digest, NodeName, ProposalId, Region, TenantId},
    report::{L1State, Outcome},
};
use serde::Serialize;
use tokio::sync::broadcast;

use crate::proposal::State;

/// Events that a late watcher can still get.
pub const EVENTS_KEPT: usize = 4_096;
/// Events that one slow watcher may be behind before it reads from the ring again.
const BROADCAST_KEPT: usize = 1_024;

/// One event.
#[derive(Clone, Debug, Serialize)]
pub struct Event {
    /// Grows by one; the id of the SSE message.
    pub id: u64,
    /// Unix milliseconds.
    pub at_ms: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub correlation: Option<Correlation>,
    #[serde(flatten)]
    pub happened: Happened,
}

/// What happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Happened {
    /// Events were lost to this watcher: read the state anew. `next` is the number of the event that follows.
    Missed {
        next: u64,
    },
    /// The ledger grew.
    Entry {
        sequence: u64,
        kind: String,
        tenant: Option<TenantId>,
    },
    /// A proposal was opened, answered, or moved to another state.
    Proposal {
        tenant: TenantId,
        proposal: ProposalId,
        kind: ChangeKind,
        state: State,
        why: Option<String>,
    },
    /// A region answered a directive.
    Acknowledged {
        tenant: TenantId,
        region: Region,
        directive: Digest,
        proposal: Option<ProposalId>,
        outcome: Outcome,
        why: String,
        /// From the ratifying answer's arrival until this acknowledgement's, microseconds.
        waited_us: u64,
        /// The region's own time.
        took_us: u64,
    },
    /// A region tried an L1.
    Probed {
        tenant: TenantId,
        region: Region,
        proposal: ProposalId,
        enabled: bool,
        why: String,
    },
    Connected {
        region: Region,
        node: NodeName,
        lane: Lane,
    },
    Disconnected {
        region: Region,
        node: NodeName,
        lane: Lane,
    },
    /// A directive waits too long for its acknowledgement.
    Stalled {
        region: Region,
        lane: Lane,
        directive: Digest,
        waited_ms: u64,
    },
    /// A ratified change waits too long for some regions.
    Unconfirmed {
        tenant: TenantId,
        proposal: ProposalId,
        regions: Vec<Region>,
        waited_ms: u64,
    },
    /// The time of a proposal is nearly over.
    Expiring {
        tenant: TenantId,
        proposal: ProposalId,
        left_s: u64,
    },
    /// A region finds the customer's KMS in another state than before; `before` is none where this run knew none.
    L1Health {
        tenant: TenantId,
        region: Region,
        before: Option<L1State>,
        now: L1State,
    },
    /// A region that was not renewed soon ends serving a tenant.
    LeaseEnding {
        tenant: TenantId,
        region: Region,
        left_s: u64,
    },
}

impl Happened {
    /// Whether a proposal may be another than before.
    pub fn concerns(&self, id: &ProposalId) -> bool {
        match self {
            Self::Missed { .. } => true,
            Self::Proposal { proposal, .. } | Self::Probed { proposal, .. } | Self::Unconfirmed { proposal, .. } => {
                proposal == id
            }
            Self::Acknowledged { proposal, .. } => proposal.as_ref() == Some(id),
            Self::Expiring { proposal, .. } => proposal == id,
            Self::Entry { .. }
            | Self::Connected { .. }
            | Self::Disconnected { .. }
            | Self::Stalled { .. }
            | Self::L1Health { .. }
            | Self::LeaseEnding { .. } => false,
        }
    }

    /// The SSE event name.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Missed { .. } => "missed",
            Self::Entry { .. } => "entry",
            Self::Proposal { .. } => "proposal",
            Self::Acknowledged { .. } => "acknowledged",
            Self::Probed { .. } => "probed",
            Self::Connected { .. } => "connected",
            Self::Disconnected { .. } => "disconnected",
            Self::Stalled { .. } => "stalled",
            Self::Unconfirmed { .. } => "unconfirmed",
            Self::Expiring { .. } => "expiring",
            Self::L1Health { .. } => "l1-health",
            Self::LeaseEnding { .. } => "lease-ending",
        }
    }
}

#[derive(Debug)]
struct Ring {
    next: u64,
    kept: VecDeque<Arc<Event>>,
}

/// Where events are told and heard.
#[derive(Debug)]
pub(crate) struct Events {
    ring: Mutex<Ring>,
    live: broadcast::Sender<Arc<Event>>,
}

impl Events {
    /// `started_ms` is the wall clock: the first number is above any of an earlier run that told fewer than a thousand a millisecond.
    pub(crate) fn new(started_ms: u64) -> Self {
        let ring = Ring { next: started_ms.saturating_mul(1_000).saturating_add(1), kept: VecDeque::new() };
        Self { ring: Mutex::new(ring), live: broadcast::channel(BROADCAST_KEPT).0 }
    }

    // The ring is whole after every statement, so a panic elsewhere leaves nothing half done.
    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tell(&self, at_ms: u64, correlation: Option<Correlation>, happened: Happened) {
        let mut ring = self.ring();
        let event = Arc::new(Event { id: ring.next, at_ms, correlation, happened });
        ring.next = ring.next.saturating_add(1);
        if ring.kept.len() >= EVENTS_KEPT {
            ring.kept.pop_front();
        }
        ring.kept.push_back(Arc::clone(&event));
        // Sent under the lock, so that the live order is the order of the numbers; nobody listening is no error.
        let _listeners = self.live.send(event);
    }

    /// Everything after event `after`, then what comes; without `after` only what comes.
    pub(crate) fn subscribe(self: &Arc<Self>, after: Option<u64>) -> Subscription {
        let ring = self.ring();
        let live = self.live.subscribe();
        let last = after.unwrap_or_else(|| ring.next.saturating_sub(1));
        let backlog = backlog(&ring, last);
        drop(ring);
        Subscription { events: Arc::clone(self), live, backlog, last }
    }
}

/// What the ring still holds after `last`, with a mark where something is missing before it.
fn backlog(ring: &Ring, last: u64) -> VecDeque<Arc<Event>> {
    let mut kept: VecDeque<_> = ring.kept.iter().filter(|e| e.id > last).cloned().collect();
    let next = kept.front().map_or(ring.next, |e| e.id);
    let foreign = last >= ring.next;
    if foreign || next > last.saturating_add(1) {
        let at_ms = kept.front().map_or(0, |e| e.at_ms);
        // Its own number is that of the event before `next`: a watcher that resumes from it misses nothing.
        let id = next.saturating_sub(1);
        kept.push_front(Arc::new(Event { id, at_ms, correlation: None, happened: Happened::Missed { next } }));
    }
    kept
}

/// One watcher.
#[derive(Debug)]
pub(crate) struct Subscription {
    events: Arc<Events>,
    live: broadcast::Receiver<Arc<Event>>,
    backlog: VecDeque<Arc<Event>>,
    last: u64,
}

impl Subscription {
    /// The next event; none once governance has ended. Cancel-safe.
    pub(crate) async fn next(&mut self) -> Option<Arc<Event>> {
        loop {
            if let Some(event) = self.backlog.pop_front() {
                self.last = event.id;
                return Some(event);
            }
            match self.live.recv().await {
                Ok(event) if event.id > self.last => {
                    self.last = event.id;
                    return Some(event);
                }
                Ok(_already_seen) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => self.backlog = backlog(&self.events.ring(), self.last),
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tell(events: &Events, count: u64) {
        for sequence in 0..count {
            events.tell(1, None, Happened::Entry { sequence, kind: "k".into(), tenant: None });
        }
    }

    #[tokio::test]
    async fn a_watcher_resumes_where_it_stopped() {
        let events = Arc::new(Events::new(5));
        tell(&events, 3);
        let mut from = events.subscribe(Some(5_001));
        assert_eq!(from.next().await.unwrap().id, 5_002);
        assert_eq!(from.next().await.unwrap().id, 5_003);
        tell(&events, 1);
        assert_eq!(from.next().await.unwrap().id, 5_004);
    }

    #[tokio::test]
    async fn a_watcher_that_missed_something_is_told_so() {
        let events = Arc::new(Events::new(0));
        tell(&events, EVENTS_KEPT as u64 + 10);
        let mut from = events.subscribe(Some(2));
        assert!(matches!(from.next().await.unwrap().happened, Happened::Missed { next: 11 }));
        assert_eq!(from.next().await.unwrap().id, 11);
        // A number of an earlier run, or of another deployment.
        let mut foreign = events.subscribe(Some(u64::MAX - 1));
        assert!(matches!(foreign.next().await.unwrap().happened, Happened::Missed { .. }));
        tell(&events, 1);
        assert_eq!(foreign.next().await.unwrap().happened.name(), "entry");
    }

    #[tokio::test]
    async fn a_slow_watcher_reads_from_the_ring() {
        let events = Arc::new(Events::new(0));
        let mut slow = events.subscribe(None);
        tell(&events, BROADCAST_KEPT as u64 + 100);
        for id in 1..=BROADCAST_KEPT as u64 + 100 {
            assert_eq!(slow.next().await.unwrap().id, id);
        }
    }
}
