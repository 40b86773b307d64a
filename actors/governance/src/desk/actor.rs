//! The desk's actor: it finds the tenant's actor and hands the call on; it founds tenants, beside everything else.

use std::{collections::HashSet, sync::Arc};

use orbital::{
    chain::Genesis,
    change::Change,
    names::{Correlation, ProposalId, TenantId},
};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;

use super::Msg;
use crate::{
    TENANTS_MAX,
    error::{Error, Fault, Refusal},
    shared::Shared,
    supervisor::{self, Child, Spawned},
    tenant::{self, Loaded, Reply, TenantActor},
};

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
        Child { id: "desk".to_owned(), spawn: Arc::new(spawn), lasting: true, carries: false, vital: true }
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
            Msg::Propose { change, proposal, evidence, correlation, reply } => {
                let of = Change::from_bytes(&change).map(|c| c.tenant).map_err(Refusal::MalformedChange);
                state.hand_on(of, reply, |reply| tenant::Msg::Propose {
                    change,
                    proposal,
                    evidence,
                    correlation,
                    reply,
                });
            }
            Msg::Recover { tenant, certificate, correlation, reply } => {
                state.hand_on(Ok(tenant), reply, |reply| tenant::Msg::Recover { certificate, correlation, reply });
            }
            Msg::Answer { id, role, vote, correlation, received_us, expected, reply } => {
                let of = state.owner(&id);
                let msg = |reply| tenant::Msg::Answer { id, role, vote, correlation, received_us, expected, reply };
                state.hand_on(of, reply, msg);
            }
            Msg::Withdraw { id, vote, correlation, expected, reply } => {
                let of = state.owner(&id);
                state.hand_on(of, reply, |reply| tenant::Msg::Withdraw { id, vote, correlation, expected, reply });
            }
            Msg::Note { id, by, text, correlation, reply } => {
                let of = state.owner(&id);
                state.hand_on(of, reply, |reply| tenant::Msg::Note { id, by, text, correlation, reply });
            }
            Msg::ProbeAgain { id, by, correlation, expected, reply } => {
                let of = state.owner(&id);
                state.hand_on(of, reply, |reply| tenant::Msg::ProbeAgain { id, by, correlation, expected, reply });
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
    fn hand_on<T>(
        &self,
        of: Result<TenantId, Refusal>,
        reply: Reply<Result<T, Error>>,
        msg: impl FnOnce(Reply<Result<T, Error>>) -> tenant::Msg,
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
        let policy = self.shared.policies.site().bundle().digest();
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

/// Makes the founding durable, and then starts the tenant's actor from what the ledger took.
async fn write_down(
    shared: &Arc<Shared>,
    id: TenantId,
    decision: tenant::Decision,
    correlation: Correlation,
) -> Result<(), Error> {
    let gone = || Fault::Gone { what: "the supervisor" };
    let batch = decision.batch(id, &correlation, shared.clock.unix_ms())?;
    let loaded = Loaded::founded(&shared.scribe.append(batch).await?)?;
    let (reply, started) = oneshot::channel();
    let child = TenantActor::child(Arc::clone(shared), id, Some(loaded));
    let root = shared.root.get().ok_or_else(gone)?;
    root.cast(supervisor::Msg::Start(child, Some(reply))).map_err(|_| gone())?;
    Ok(started.await.map_err(|_| gone())?.map_err(Fault::Start)?)
}
