//! The watch over one running proposal: ends it when its time is over, and tells when regions stay silent. It decides nothing itself.

use std::{sync::Arc, time::Duration};

use orbital::names::{ProposalId, Region, TenantId};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;

use crate::{events::Happened, shared::Shared, tenant};

/// How often it looks.
const LOOK: Duration = Duration::from_millis(500);
/// A ratified change whose regions stay silent for this long is told.
const UNCONFIRMED_AFTER_MS: u64 = 5_000;

/// What the tenant says of a proposal.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched {
    /// At its end, or unknown.
    pub(crate) ended: bool,
    /// Its time is over, and it is not ratified.
    pub(crate) overdue: bool,
    /// Regions that have not confirmed it.
    pub(crate) silent: Vec<Region>,
    /// When its time to be signed, or to be fired, is over (Unix seconds), and the seconds that are left, once they are few.
    pub(crate) expiring: Option<(u64, u64)>,
    /// When it came into force, Unix milliseconds.
    pub(crate) since_ms: Option<u64>,
}

pub(crate) enum WatchMsg {
    Look,
}

impl ractor::Message for WatchMsg {}

#[derive(Clone)]
pub(crate) struct WatchArgs {
    pub(crate) shared: Arc<Shared>,
    pub(crate) tenant: TenantId,
    pub(crate) proposal: ProposalId,
}

pub(crate) struct State {
    args: WatchArgs,
    told: bool,
    /// The end that was told.
    told_expiring: Option<u64>,
}

pub(crate) struct Watch;

impl Actor for Watch {
    type Msg = WatchMsg;
    type State = State;
    type Arguments = WatchArgs;

    async fn pre_start(&self, me: ActorRef<WatchMsg>, args: WatchArgs) -> Result<State, ActorProcessingErr> {
        me.send_interval(LOOK, || WatchMsg::Look);
        Ok(State { args, told: false, told_expiring: None })
    }

    async fn handle(&self, me: ActorRef<WatchMsg>, _: WatchMsg, state: &mut State) -> Result<(), ActorProcessingErr> {
        let WatchArgs { shared, tenant, proposal } = state.args.clone();
        // A tenant that is starting anew is asked again at the next look.
        let Some(actor) = shared.roster.tenant(tenant) else { return Ok(()) };
        let (reply, answer) = oneshot::channel();
        if actor.cast(tenant::Msg::Watch(proposal.clone(), reply)).is_err() {
            return Ok(());
        }
        let Ok(watched) = answer.await else { return Ok(()) };
        if watched.ended {
            me.stop(None);
        } else if watched.overdue {
            // A cast that fails is repeated at the next look.
            let _again = actor.cast(tenant::Msg::Expire(proposal));
        } else {
            state.tell(watched);
        }
        Ok(())
    }
}

impl State {
    fn tell(&mut self, watched: Watched) {
        let WatchArgs { shared, tenant, proposal } = &self.args;
        let now_ms = shared.clock.unix_ms();
        if let Some((ends, left_s)) = watched.expiring.filter(|(ends, _)| self.told_expiring != Some(*ends)) {
            self.told_expiring = Some(ends);
            let (tenant, proposal) = (*tenant, proposal.clone());
            shared.events.tell(now_ms, None, Happened::Expiring { tenant, proposal, left_s });
        }
        let waited_ms = watched.since_ms.map_or(0, |since| now_ms.saturating_sub(since));
        if self.told || watched.silent.is_empty() || waited_ms < UNCONFIRMED_AFTER_MS {
            return;
        }
        self.told = true;
        let regions = watched.silent;
        tracing::warn!(%tenant, %proposal, ?regions, waited_ms, "a ratified change is unconfirmed");
        let (tenant, proposal) = (*tenant, proposal.clone());
        shared.events.tell(now_ms, None, Happened::Unconfirmed { tenant, proposal, regions, waited_ms });
    }
}
