//! The desk: the one door into governance. Whoever comes in, by REST or CLI, comes in here.
//!
//! [`Desk`] is a cheap handle. What decides goes through the desk's actor, in order, which only finds the tenant's actor and hands the
//! call on; it never waits. What only reads asks the tenants directly.

use std::{collections::HashSet, sync::Arc};

use orbital::{
    chain::Genesis,
    change::Change,
    names::{Correlation, Digest, ProposalId, TenantId},
    sign::Signed,
    vote::Role,
};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;

use crate::{
    PROPOSALS_LISTED_MAX, TENANTS_MAX,
    error::{Error, Fault, Refusal},
    events::Subscription,
    shared::Shared,
    supervisor::{self, Child, Spawned},
    tenant::{self, Outcome, Reply, TenantActor},
    views::{EntryView, Filter, ProposalView, RegionView, Simulation, TenantSummary, TenantView, Verified},
};

/// What the desk's actor is told.
pub(crate) enum Msg {
    Provision {
        genesis: Genesis,
        correlation: Correlation,
        reply: Reply<Result<TenantId, Error>>,
    },
    /// A provisioning has ended, well or not.
    Provisioned {
        tenant: TenantId,
        outcome: Result<(), Error>,
        reply: Reply<Result<TenantId, Error>>,
    },
    Propose {
        change: Vec<u8>,
        proposal: Signed,
        correlation: Correlation,
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
}

impl ractor::Message for Msg {}

/// The handle. Clone it freely.
#[derive(Clone)]
pub struct Desk {
    shared: Arc<Shared>,
}

impl Desk {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }

    /// Founds a tenant: checks the genesis, writes it down, and owes it to every region that it names.
    pub async fn provision(&self, genesis: Genesis, correlation: Correlation) -> Result<TenantId, Error> {
        self.ask(|reply| Msg::Provision { genesis, correlation, reply }).await?
    }

    /// Opens a proposal. `change` is the canonical bytes of a [`Change`], `proposal` the proposer's signed statement over it. The same
    /// change with the same statement again answers with the proposal that exists.
    pub async fn propose(
        &self,
        change: Vec<u8>,
        proposal: Signed,
        correlation: Correlation,
    ) -> Result<ProposalView, Error> {
        self.ask(|reply| Msg::Propose { change, proposal, correlation, reply }).await?
    }

    /// Answers a proposal: [`Role::Approve`], [`Role::Reject`] or [`Role::Confirm`], with a statement of that role. When this returns,
    /// the answer is durable; when it ratified the change, the directives are on their way.
    pub async fn answer(
        &self,
        id: ProposalId,
        role: Role,
        vote: Signed,
        correlation: Correlation,
    ) -> Result<ProposalView, Error> {
        let received_us = self.shared.clock.monotonic_us();
        self.ask(|reply| Msg::Answer { id, role, vote, correlation, received_us, reply }).await?
    }

    /// The proposer takes the proposal back, with a signed statement of [`Role::Reject`].
    pub async fn withdraw(
        &self,
        id: ProposalId,
        vote: Signed,
        correlation: Correlation,
    ) -> Result<ProposalView, Error> {
        self.ask(|reply| Msg::Withdraw { id, vote, correlation, reply }).await?
    }

    /// Lets the regions whose probe of a LinkL1 failed try again, once the cause is mended.
    pub async fn probe_again(&self, id: ProposalId, correlation: Correlation) -> Result<ProposalView, Error> {
        self.ask(|reply| Msg::ProbeAgain { id, correlation, reply }).await?
    }

    /// One proposal.
    pub async fn proposal(&self, id: ProposalId) -> Result<ProposalView, Error> {
        let unknown = || Refusal::UnknownProposal(id.clone());
        let owner = self.shared.roster.owner(&id).ok_or_else(unknown)?;
        let view = self.read(owner, |reply| tenant::Msg::Proposal(id.clone(), reply)).await?;
        Ok(view.ok_or_else(unknown)?)
    }

    /// Proposals, newest first.
    pub async fn proposals(&self, filter: Filter) -> Result<Vec<ProposalView>, Error> {
        let limit = filter.limit.unwrap_or(PROPOSALS_LISTED_MAX).min(PROPOSALS_LISTED_MAX);
        let asked: Vec<_> = match filter.tenant {
            Some(tenant) => vec![tenant],
            None => self.shared.roster.tenants().into_iter().map(|(id, _)| id).collect(),
        };
        let mut views = Vec::new();
        for tenant in asked {
            views.extend(self.read(tenant, |reply| tenant::Msg::Proposals(filter.clone(), reply)).await?);
        }
        views.sort_by(|a, b| b.created_ms.cmp(&a.created_ms).then_with(|| a.id.cmp(&b.id)));
        views.truncate(limit);
        Ok(views)
    }

    /// All tenants, by name.
    pub async fn tenants(&self) -> Result<Vec<TenantSummary>, Error> {
        let mut summaries = Vec::new();
        for (id, _) in self.shared.roster.tenants() {
            summaries.push(self.read(id, tenant::Msg::Summary).await?);
        }
        summaries.sort_by(|a, b| a.name.cmp(&b.name).then_with(|| a.id.cmp(&b.id)));
        Ok(summaries)
    }

    /// One tenant, by its id, or by its name where only one has it.
    pub async fn tenant(&self, id_or_name: &str) -> Result<TenantView, Error> {
        let id = self.find(id_or_name).await?;
        self.read(id, tenant::Msg::View).await?
    }

    /// What revoking this tenant now would reach, and when.
    pub async fn simulate(&self, id_or_name: &str) -> Result<Simulation, Error> {
        let id = self.find(id_or_name).await?;
        self.read(id, tenant::Msg::Simulate).await
    }

    /// All regions of the deployment, by name.
    pub fn regions(&self) -> Vec<RegionView> {
        self.shared.board.views()
    }

    /// Entries of the ledger from `from` on (the first is 1), at most `limit`.
    pub async fn entries(&self, from: u64, limit: usize) -> Result<Vec<EntryView>, Error> {
        let ledger = Arc::clone(&self.shared.ledger);
        let entries = blocking(move || ledger.entries(from, limit)).await?.map_err(Fault::Ledger)?;
        Ok(entries.into_iter().map(EntryView::from).collect())
    }

    /// Recomputes the whole chain.
    pub async fn verify(&self) -> Result<Verified, Error> {
        let ledger = Arc::clone(&self.shared.ledger);
        Ok(match blocking(move || ledger.verify()).await? {
            Ok(summary) => Verified {
                sound: true,
                entries: summary.entries,
                head: Some(Digest(summary.last.hash)),
                why: String::new(),
            },
            Err(broken) => Verified { sound: false, entries: 0, head: None, why: broken.to_string() },
        })
    }

    /// What happens from now on, or everything after event `after`.
    pub fn events(&self, after: Option<u64>) -> Subscription {
        self.shared.events.subscribe(after)
    }

    async fn find(&self, id_or_name: &str) -> Result<TenantId, Error> {
        if let Ok(id) = id_or_name.parse::<TenantId>()
            && self.shared.roster.tenant(id).is_some()
        {
            return Ok(id);
        }
        let named: Vec<_> = self.tenants().await?.into_iter().filter(|t| t.name.as_str() == id_or_name).collect();
        match named.as_slice() {
            [one] => Ok(one.id),
            [] => Err(Refusal::UnknownTenant(id_or_name.chars().take(64).collect()).into()),
            many => Err(Refusal::AmbiguousName { name: id_or_name.to_owned(), count: many.len() }.into()),
        }
    }

    async fn ask<T>(&self, msg: impl FnOnce(Reply<T>) -> Msg) -> Result<T, Error> {
        let gone = || Fault::Gone { what: "the desk" };
        let (reply, answer) = oneshot::channel();
        let door = self.shared.door().ok_or_else(gone)?;
        door.cast(msg(reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| Fault::Gone { what: "the tenant's actor" }.into())
    }

    async fn read<T>(&self, id: TenantId, msg: impl FnOnce(Reply<T>) -> tenant::Msg) -> Result<T, Error> {
        let gone = || Fault::Gone { what: "the tenant's actor" };
        let actor = self.shared.roster.tenant(id).ok_or_else(|| Refusal::UnknownTenant(id.to_string()))?;
        let (reply, answer) = oneshot::channel();
        actor.cast(msg(reply)).map_err(|_| gone())?;
        answer.await.map_err(|_| gone().into())
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Fault::Gone { what: "the reading task" }.into())
}

/// The desk's actor. Stateless across restarts: what it holds is only what is under way.
pub(crate) struct DeskActor;

pub(crate) struct State {
    shared: Arc<Shared>,
    /// Tenants that are being founded right now.
    founding: HashSet<TenantId>,
}

impl DeskActor {
    pub(crate) fn child(shared: Arc<Shared>) -> Child {
        let spawn = move |parent: ActorCell| -> Spawned {
            let shared = Arc::clone(&shared);
            Box::pin(async move { Ok(Actor::spawn_linked(None, DeskActor, shared, parent).await?.0.get_cell()) })
        };
        Child { id: "desk".to_owned(), spawn: Arc::new(spawn), lasting: true, carries: false }
    }
}

impl Actor for DeskActor {
    type Msg = Msg;
    type State = State;
    type Arguments = Arc<Shared>;

    async fn pre_start(&self, me: ActorRef<Msg>, shared: Arc<Shared>) -> Result<State, ActorProcessingErr> {
        shared.set_door(me);
        Ok(State { shared, founding: HashSet::new() })
    }

    async fn handle(&self, me: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Provision { genesis, correlation, reply } => state.provision(&me, genesis, correlation, reply),
            Msg::Provisioned { tenant, outcome, reply } => {
                state.founding.remove(&tenant);
                if outcome.is_err() && state.shared.roster.tenant(tenant).is_none() {
                    state.shared.claims.enter(tenant, None);
                }
                // Whoever asked may be gone; the tenant is there all the same.
                let _gone = reply.send(outcome.map(|()| tenant));
            }
            Msg::Propose { change, proposal, correlation, reply } => {
                let of = Change::from_bytes(&change).map(|c| c.tenant).map_err(Refusal::MalformedChange);
                state.hand_on(of, reply, |reply| tenant::Msg::Propose { change, proposal, correlation, reply });
            }
            Msg::Answer { id, role, vote, correlation, received_us, reply } => {
                let of = state.owner(&id);
                let msg = |reply| tenant::Msg::Answer { id, role, vote, correlation, received_us, reply };
                state.hand_on(of, reply, msg);
            }
            Msg::Withdraw { id, vote, correlation, reply } => {
                let of = state.owner(&id);
                state.hand_on(of, reply, |reply| tenant::Msg::Withdraw { id, vote, correlation, reply });
            }
            Msg::ProbeAgain { id, correlation, reply } => {
                let of = state.owner(&id);
                state.hand_on(of, reply, |reply| tenant::Msg::ProbeAgain { id, correlation, reply });
            }
        }
        Ok(())
    }
}

impl State {
    fn owner(&self, id: &ProposalId) -> Result<TenantId, Refusal> {
        self.shared.roster.owner(id).ok_or_else(|| Refusal::UnknownProposal(id.clone()))
    }

    /// Finds the tenant's actor and gives it the call; the caller hears from the tenant.
    fn hand_on(
        &self,
        of: Result<TenantId, Refusal>,
        reply: Reply<Outcome>,
        msg: impl FnOnce(Reply<Outcome>) -> tenant::Msg,
    ) {
        let actor =
            of.and_then(|id| self.shared.roster.tenant(id).ok_or_else(|| Refusal::UnknownTenant(id.to_string())));
        match actor {
            // A call that cannot be handed on drops its reply, and the caller reads that as a fault.
            Ok(actor) => _ = actor.cast(msg(reply)),
            // Whoever asked may be gone: nothing was decided.
            Err(refusal) => _ = reply.send(Err(refusal.into())),
        }
    }

    fn provision(
        &mut self,
        me: &ActorRef<Msg>,
        genesis: Genesis,
        correlation: Correlation,
        reply: Reply<Result<TenantId, Error>>,
    ) {
        let policy = self.shared.evaluator.bundle().digest();
        let found = tenant::found(genesis, &self.shared.deployment, policy, &self.shared.ports);
        let found = found.and_then(|(chain, decision)| {
            let id = chain.tenant();
            let known = self.shared.roster.tenant(id).is_some() || self.founding.contains(&id);
            match self.shared.roster.len() + self.founding.len() < TENANTS_MAX {
                _ if known => Err(Refusal::TenantKnown(id)),
                true => self.shared.claims.take(id, chain.current()).map(|()| (id, decision)),
                false => Err(Refusal::TooManyTenants { max: TENANTS_MAX }),
            }
        });
        match found {
            // Whoever asked may be gone: nothing was decided.
            Err(refusal) => _ = reply.send(Err(refusal.into())),
            Ok((id, decision)) => {
                self.founding.insert(id);
                let (shared, me) = (Arc::clone(&self.shared), me.clone());
                tokio::spawn(async move {
                    let outcome = write_down(&shared, id, decision, correlation).await;
                    if me.cast(Msg::Provisioned { tenant: id, outcome, reply }).is_err() {
                        tracing::warn!(tenant = %id, "the desk was restarted while this tenant was founded");
                    }
                });
            }
        }
    }
}

/// Makes the founding durable, and then starts the tenant's actor from what the ledger has.
async fn write_down(
    shared: &Arc<Shared>,
    id: TenantId,
    decision: tenant::Decision,
    correlation: Correlation,
) -> Result<(), Error> {
    let gone = || Fault::Gone { what: "the supervisor" };
    let batch = decision.batch(id, &correlation, shared.clock.unix_ms())?;
    shared.scribe.append(batch).await?;
    let (reply, started) = oneshot::channel();
    let child = TenantActor::child(Arc::clone(shared), id, None);
    let root = shared.root.get().ok_or_else(gone)?;
    root.cast(supervisor::Msg::Start(child, Some(reply))).map_err(|_| gone())?;
    Ok(started.await.map_err(|_| gone())?.map_err(Fault::Start)?)
}
