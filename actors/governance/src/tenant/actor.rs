//! The tenant's actor: one message, one pure decision, one append, then the effects. It decides nothing itself.

use orbital::{
    names::{Correlation, ProposalId, Region},
    report::{Observed, Probed},
    sign::Signed,
    vote::Role,
};
use tokio::sync::oneshot;

use crate::{
    error::Error,
    views::{Filter, ProposalView, Simulation, TenantSummary, TenantView},
};

/// Who waits for a decision.
pub(crate) type Reply<T> = oneshot::Sender<T>;
/// What a governed call ends in.
pub(crate) type Outcome = Result<ProposalView, Error>;

/// What a tenant's actor is told. `received_us` is the monotonic moment at which the call came to the desk.
pub(crate) enum Msg {
    Propose {
        change: Vec<u8>,
        proposal: Signed,
        correlation: Correlation,
        received_us: u64,
        reply: Reply<Outcome>,
    },
    Answer {
        id: ProposalId,
        role: Role,
        vote: Signed,
        correlation: Correlation,
        received_us: u64,
        reply: Reply<Outcome>,
    },
    Withdraw {
        id: ProposalId,
        vote: Signed,
        correlation: Correlation,
        reply: Reply<Outcome>,
    },
    ProbeAgain {
        id: ProposalId,
        correlation: Correlation,
        reply: Reply<Outcome>,
    },
    /// The time of a proposal may be over.
    Expire(ProposalId),
    /// A region's signed answer.
    Acknowledged {
        region: Region,
        ack: Signed,
        received_us: u64,
    },
    Probed {
        region: Region,
        probed: Probed,
    },
    /// What a region holds of this tenant, as of its last Hello.
    Observed {
        region: Region,
        observed: Option<Observed>,
    },
    View(Reply<TenantView>),
    Summary(Reply<TenantSummary>),
    Proposal(ProposalId, Reply<Option<ProposalView>>),
    Proposals(Filter, Reply<Vec<ProposalView>>),
    Simulate(Reply<Simulation>),
}

impl ractor::Message for Msg {}
