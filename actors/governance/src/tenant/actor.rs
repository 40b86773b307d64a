//! The tenant's actor: one message, one pure decision, one append, then the effects. It decides nothing itself.
//!
//! Stateless across restarts: it folds the ledger again. It waits for the ledger in `handle`, since the next decision rests on this one;
//! nothing else is waited for.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use orbital::{
    canon::Text,
    certificate::Certificate,
    names::{Correlation, Digest, Person, ProposalId, Region, TenantId},
    report::L1State,
    sign::Signed,
    vote::Role,
};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;

use super::{
    answer::{Answering, answer, expire, probe_again, withdraw},
    decision::{Decision, Facts, Seen},
    file::Proposal,
    level::Levels,
    load::{Loaded, load},
    note::note,
    pending::Pending,
    portrait::{Portrait, check_router, portrait},
    preview::{Proposer, dry_run},
    propose::{Proposing, propose},
    queue::{Report, Reports},
    record::Record,
    recover,
    simulate::simulate,
    state::Tenant,
    view,
};
use crate::{
    PROPOSALS_LISTED_MAX,
    error::{Error, Fault, Refusal},
    proposal::Watched,
    roster::Place,
    shared::Shared,
    supervisor::{Child, Spawned},
    views::{DryRunView, Filter, ProposalView, RecoveryView, Simulation, TenantSummary, TenantView},
};

/// People are told that a proposal expires so long before.
const EXPIRING_SECONDS: u64 = 24 * 3_600;

/// Who waits for a decision.
pub(crate) type Reply<T> = oneshot::Sender<T>;
/// What a governed call ends in.
pub(crate) type Outcome = Result<ProposalView, Error>;

/// What a tenant's actor is told. `received_us` is the monotonic moment at which it came to governance.
pub(crate) enum Msg {
    Propose {
        change: Vec<u8>,
        proposal: Signed,
        evidence: Option<String>,
        correlation: Correlation,
        reply: Reply<Outcome>,
    },
    /// What would become of a change; writes nothing.
    DryRun(Vec<u8>, Proposer, Reply<Result<DryRunView, Error>>),
    Answer {
        id: ProposalId,
        role: Role,
        vote: Signed,
        correlation: Correlation,
        received_us: u64,
        expected: Option<Digest>,
        reply: Reply<Outcome>,
    },
    Withdraw {
        id: ProposalId,
        vote: Signed,
        correlation: Correlation,
        expected: Option<Digest>,
        reply: Reply<Outcome>,
    },
    ProbeAgain {
        id: ProposalId,
        by: Option<Person>,
        correlation: Correlation,
        expected: Option<Digest>,
        reply: Reply<Outcome>,
    },
    Note {
        id: ProposalId,
        by: String,
        text: Text,
        correlation: Correlation,
        reply: Reply<Outcome>,
    },
    /// A certificate of recovery keys.
    Recover {
        certificate: Certificate,
        correlation: Correlation,
        reply: Reply<Result<Vec<RecoveryView>, Error>>,
    },
    /// The time of a proposal may be over.
    Expire(ProposalId),
    /// A region said something; `stop` where it came in the critical lane.
    Report {
        region: Region,
        report: Report,
        stop: bool,
    },
    /// Look at the next report.
    Next,
    Watch(ProposalId, Reply<Watched>),
    View(Reply<Result<TenantView, Error>>),
    Summary(Reply<TenantSummary>),
    Proposal(ProposalId, Reply<Option<ProposalView>>),
    Proposals(Filter, Reply<Vec<ProposalView>>),
    Simulate(Reply<Simulation>),
    /// The tenant as notices speak of it, with one proposal.
    Portrait(Option<ProposalId>, Reply<Portrait>),
    /// Whether a person may have notices tried and told again.
    CheckRouter(Person, Reply<Result<(), Refusal>>),
}

impl ractor::Message for Msg {}

pub(crate) struct TenantArgs {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: TenantId,
    /// What the start of governance read already, or the founding wrote; none afterwards.
    pub(crate) loaded: Option<Loaded>,
}

pub(crate) struct State {
    pub(super) shared: Arc<Shared>,
    pub(super) tenant: Tenant,
    pub(super) pending: Pending,
    pub(super) seen: BTreeMap<Region, Seen>,
    pub(super) levels: Levels,
    pub(super) reports: Reports,
    /// What each region last found at the customer's KMS, once it had looked.
    pub(super) l1: BTreeMap<Region, L1State>,
    /// When the answer that ratified a proposal came in, in this run.
    pub(super) received_us: HashMap<ProposalId, u64>,
}

pub(crate) struct TenantActor;

impl TenantActor {
    /// How the supervisor starts it: with what was read already the first time, from the ledger after that.
    pub(crate) fn child(shared: Arc<Shared>, id: TenantId, loaded: Option<Loaded>) -> Child {
        let first = Mutex::new(loaded);
        let spawn = move |parent: ActorCell| -> Spawned {
            // The guarded value is taken as a whole, so a poisoned lock hides nothing.
            let loaded = first.lock().unwrap_or_else(PoisonError::into_inner).take();
            let args = TenantArgs { shared: Arc::clone(&shared), id, loaded };
            Box::pin(async move { Ok(Actor::spawn_linked(None, TenantActor, args, parent).await?.0.get_cell()) })
        };
        Child { id: format!("tenant/{id}"), spawn: Arc::new(spawn), lasting: true, carries: false, vital: true }
    }
}

impl Actor for TenantActor {
    type Msg = Msg;
    type State = State;
    type Arguments = TenantArgs;

    async fn pre_start(&self, me: ActorRef<Msg>, args: TenantArgs) -> Result<State, ActorProcessingErr> {
        let TenantArgs { shared, id, loaded } = args;
        let first = loaded.is_some();
        let loaded = match loaded {
            Some(loaded) => Some(loaded),
            None => {
                let shared = Arc::clone(&shared);
                let read = move || load(shared.ledger.as_ref(), shared.ports.peers().map(|p| &p.region), Some(id));
                tokio::task::spawn_blocking(read).await??.remove(&id)
            }
        };
        let (tenant, pending) =
            loaded.and_then(Loaded::into_parts).ok_or_else(|| format!("the ledger holds no tenant {id}"))?;
        let mut state = State {
            shared,
            tenant,
            pending,
            seen: BTreeMap::new(),
            levels: Levels::default(),
            reports: Reports::default(),
            l1: BTreeMap::new(),
            received_us: HashMap::new(),
        };
        state.enter(me);
        state.proceed(first);
        Ok(state)
    }

    async fn handle(&self, me: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Propose { change, proposal, evidence, correlation, reply } => {
                tell(reply, state.propose(change, proposal, evidence, correlation).await);
            }
            Msg::DryRun(change, by, reply) => {
                tell(reply, dry_run(&state.tenant, &state.facts(), &state.shared.board, change, by));
            }
            Msg::Answer { id, expected, reply, .. }
            | Msg::Withdraw { id, expected, reply, .. }
            | Msg::ProbeAgain { id, expected, reply, .. }
                if state.moved_on(&id, expected) =>
            {
                tell(reply, Err(Refusal::ChangedSince(id).into()));
            }
            Msg::Answer { id, role, vote, correlation, received_us, reply, .. } => {
                tell(reply, state.answer(id, role, vote, correlation, received_us).await);
            }
            Msg::Withdraw { id, vote, correlation, reply, .. } => {
                let decided = withdraw(&state.tenant, &state.facts(), &id, vote);
                tell(reply, state.close(id, decided, correlation).await);
            }
            Msg::ProbeAgain { id, by, correlation, reply, .. } => {
                let decided = probe_again(&state.tenant, &state.facts(), &id, by.as_ref());
                tell(reply, state.close(id, decided, correlation).await);
            }
            Msg::Note { id, by, text, correlation, reply } => {
                let decided = note(&state.tenant, &id, by, text);
                tell(reply, state.close(id, decided, correlation).await);
            }
            Msg::Recover { certificate, correlation, reply } => {
                tell(reply, state.recover(certificate, correlation).await);
            }
            Msg::Expire(id) => {
                let decided = expire(&state.tenant, &state.facts(), &id);
                let correlation = state.correlation_of(Some(&id));
                state.by_itself("expire", &id, correlation, Ok(decided)).await;
            }
            Msg::Report { region, report, stop } => {
                if state.reports.put(region, report, stop) {
                    me.cast(Msg::Next)?;
                }
            }
            Msg::Next => {
                state.report().await;
                if !state.reports.is_empty() {
                    me.cast(Msg::Next)?;
                }
            }
            Msg::Watch(id, reply) => tell(reply, state.watched(&id)),
            Msg::View(reply) => tell(reply, view::view(&state.tenant, &state.facts(), &state.pending)),
            Msg::Summary(reply) => tell(reply, view::summary(&state.tenant, &state.facts())),
            Msg::Proposal(id, reply) => tell(reply, state.view(&id)),
            Msg::Proposals(filter, reply) => {
                let limit = filter.limit.unwrap_or(PROPOSALS_LISTED_MAX).min(PROPOSALS_LISTED_MAX);
                tell(reply, view::proposals(&state.tenant, &state.facts(), &filter, limit));
            }
            Msg::Portrait(id, reply) => tell(reply, portrait(&state.tenant, id.as_ref())),
            Msg::CheckRouter(person, reply) => tell(reply, check_router(&state.tenant, &state.facts(), &person)),
            Msg::Simulate(reply) => tell(reply, simulate(&state.tenant, &state.facts(), &state.shared.board)),
        }
        Ok(())
    }
}

/// Whoever asked may be gone; what was decided stays.
fn tell<T>(reply: Reply<T>, answer: T) {
    let _gone = reply.send(answer);
}

impl State {
    pub(super) fn facts(&self) -> Facts<'_> {
        self.shared.facts(self.tenant.id(), &self.seen)
    }

    fn enter(&mut self, me: ActorRef<Msg>) {
        let id = self.tenant.id();
        let regions = self.tenant.regions();
        for proposal in self.tenant.proposals.keys() {
            self.shared.roster.enter_proposal(proposal.clone(), id);
        }
        self.enter_trust();
        self.shared.roster.enter(id, Place { actor: me, regions });
    }

    /// The trust root in force: whose the client anchors are, and who may read.
    pub(super) fn enter_trust(&self) {
        let (id, root) = (self.tenant.id(), self.tenant.chain.current());
        self.shared.claims.enter(id, Some(root));
        self.shared.people.enter(id, root);
        self.shared.policies.enter(id, root, &self.tenant.links);
    }

    /// Takes up what was going on when the last run ended.
    fn proceed(&mut self, first: bool) {
        for proposal in self.tenant.running.clone() {
            self.watch(proposal);
        }
        if first {
            self.tenant.proposals.values().for_each(|p| self.shared.tally.moved(None, Some(p.state)));
        }
    }

    fn view(&self, id: &ProposalId) -> Option<ProposalView> {
        self.tenant.proposals.get(id).map(|p| view::one_proposal(&self.tenant, p, &self.facts()))
    }

    /// Whether a proposal is no more as the caller saw it.
    fn moved_on(&self, id: &ProposalId, expected: Option<Digest>) -> bool {
        expected.is_some_and(|expected| self.view(id).is_some_and(|view| view.tag() != expected))
    }

    fn viewed(&self, id: &ProposalId) -> Outcome {
        self.view(id).ok_or_else(|| Refusal::UnknownProposal(id.clone()).into())
    }

    async fn propose(
        &mut self,
        change: Vec<u8>,
        statement: Signed,
        evidence: Option<String>,
        correlation: Correlation,
    ) -> Outcome {
        let id = super::file::id_of(orbital::change::Change::digest_of(&change))
            .map_err(|why| Fault::Unwritable { what: "a proposal's id", why })?;
        match propose(&self.tenant, &self.facts(), change, statement, evidence)? {
            Proposing::Known => {}
            Proposing::New(decision) => self.commit(decision, &correlation).await?,
        }
        self.viewed(&id)
    }

    async fn answer(
        &mut self,
        id: ProposalId,
        role: Role,
        vote: Signed,
        correlation: Correlation,
        received_us: u64,
    ) -> Outcome {
        let facts = self.facts();
        let since_ms = self.shared.clock.monotonic_us().saturating_sub(received_us) / 1_000;
        let answering = Answering { id: &id, role, vote, received_ms: facts.now_ms.saturating_sub(since_ms) };
        let decision = answer(&self.tenant, &facts, answering)?;
        if decision.records.iter().any(|r| matches!(r, Record::Applied { .. })) {
            self.received_us.insert(id.clone(), received_us);
        }
        self.commit(decision, &correlation).await?;
        self.viewed(&id)
    }

    async fn recover(
        &mut self,
        certificate: Certificate,
        correlation: Correlation,
    ) -> Result<Vec<RecoveryView>, Error> {
        let decision = recover::receive(&self.tenant, &self.facts(), certificate)?;
        self.commit(decision, &correlation).await?;
        Ok(recover::views(&self.tenant))
    }

    async fn close(&mut self, id: ProposalId, decided: Result<Decision, Error>, correlation: Correlation) -> Outcome {
        self.commit(decided?, &correlation).await?;
        self.viewed(&id)
    }

    /// When a proposal ends and how many seconds it has left, once that is worth a word: a day ahead, or half-way where it has fewer than two.
    fn expiring(&self, proposal: &Proposal) -> Option<(u64, u64)> {
        let (ends, now) = (proposal.ends(), self.facts().now_s());
        let ahead = (ends.saturating_sub(proposal.created_ms / 1_000) / 2).min(EXPIRING_SECONDS);
        let left = ends.saturating_sub(now);
        (proposal.state.is_pending() && left > 0 && left <= ahead).then_some((ends, left))
    }

    fn watched(&self, id: &ProposalId) -> Watched {
        let Some(proposal) = self.tenant.proposals.get(id).filter(|p| !p.state.is_end()) else {
            return Watched { ended: true, ..Watched::default() };
        };
        let silent = proposal.progress.iter().filter(|(_, p)| !p.applied()).map(|(region, _)| region.clone());
        Watched {
            ended: false,
            overdue: proposal.state.is_pending() && self.facts().now_s() > proposal.ends(),
            silent: silent.collect(),
            expiring: self.expiring(proposal),
            since_ms: proposal.received_ms,
        }
    }
}
