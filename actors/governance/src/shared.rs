//! What all actors of governance share: who we are, clocks, keys, the scribe, the roster, the board, the events. Nothing is decided here.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, OnceLock, PoisonError, RwLock,
        atomic::{AtomicI64, Ordering},
    },
};

use ledger::Ledger;
use orbital::{
    names::{Deployment, NodeName, Region, System, TenantId},
    sign::SecretKey,
};
use ractor::ActorRef;

use crate::{
    checkpoints::Checkpoints,
    claims::Claims,
    clock::Clock,
    contents::Contents,
    desk,
    events::Events,
    fleet::{Board, Ports},
    notify::{HeraldMsg, Notifying},
    policies::Policies,
    proposal::State,
    roster::Roster,
    scribe::Scribe,
    supervisor,
    tenant::{Facts, Seen},
    visitor::{People, Site},
};

/// See the module.
pub(crate) struct Shared {
    pub(crate) deployment: Deployment,
    pub(crate) node: NodeName,
    pub(crate) incarnation: u64,
    pub(crate) term: u64,
    pub(crate) frame_key: SecretKey,
    pub(crate) lease_key: SecretKey,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) policies: Policies,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) checkpoints: Arc<Checkpoints>,
    pub(crate) contents: Contents,
    pub(crate) scribe: Scribe,
    pub(crate) roster: Roster,
    pub(crate) claims: Claims,
    pub(crate) people: People,
    pub(crate) site: Site,
    pub(crate) hyok: BTreeSet<System>,
    pub(crate) ports: Arc<Ports>,
    /// The mark of a ledger that was put back from a backup: Unix milliseconds of the backup's last entry.
    pub(crate) restored: Option<u64>,
    pub(crate) board: Board,
    pub(crate) events: Arc<Events>,
    pub(crate) tally: Tally,
    pub(crate) verifying: desk::Verifying,
    pub(crate) root: OnceLock<ActorRef<supervisor::Msg>>,
    pub(crate) door: RwLock<Option<ActorRef<desk::Msg>>>,
    pub(crate) notifying: Notifying,
    pub(crate) herald: RwLock<Option<ActorRef<HeraldMsg>>>,
}

impl Shared {
    /// What a tenant decides upon, besides its own state.
    pub(crate) fn facts<'a>(&'a self, tenant: TenantId, seen: &'a BTreeMap<Region, Seen>) -> Facts<'a> {
        Facts {
            now_ms: self.clock.unix_ms(),
            evaluator: self.policies.of(tenant),
            seen,
            claims: &self.claims,
            hyok: &self.hyok,
            channels: &self.notifying.channels,
            ports: &self.ports,
            restored: self.restored,
        }
    }

    /// The desk's actor of this moment; none while it restarts.
    pub(crate) fn door(&self) -> Option<ActorRef<desk::Msg>> {
        self.door.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
    pub(crate) fn set_door(&self, door: ActorRef<desk::Msg>) {
        *self.door.write().unwrap_or_else(PoisonError::into_inner) = Some(door);
    }

    /// The herald of this moment; none while it restarts, and where there is no channel.
    pub(crate) fn herald(&self) -> Option<ActorRef<HeraldMsg>> {
        self.herald.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
    pub(crate) fn set_herald(&self, herald: ActorRef<HeraldMsg>) {
        *self.herald.write().unwrap_or_else(PoisonError::into_inner) = Some(herald);
    }
}

/// How many proposals stand in each state, for the metrics.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    counts: [AtomicI64; State::ALL.len()],
}

impl Tally {
    /// A proposal moved; `from` is none when it is new here, `to` when it is no longer held.
    #[expect(clippy::cast_precision_loss, reason = "gauges are floating point; a count of proposals fits")]
    pub(crate) fn moved(&self, from: Option<State>, to: Option<State>) {
        for (state, step) in [(from, -1), (to, 1)] {
            let Some(state) = state else { continue };
            let Some(at) = State::ALL.iter().position(|s| *s == state) else { continue };
            if let Some(count) = self.counts.get(at) {
                let now = count.fetch_add(step, Ordering::Relaxed) + step;
                metrics::gauge!("governance_proposals", "state" => state.name()).set(now as f64);
            }
        }
    }
}
