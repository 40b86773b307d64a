//! The tenant's actor: one message, one pure decision, one append, then the effects. It decides nothing itself.
//!
//! Stateless across restarts: it folds the ledger again. It waits for the ledger in `handle`, since the next decision rests on this one;
//! nothing else is waited for.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use orbital::{
    lane::Lane,
    names::{Correlation, Digest, ProposalId, Region, TenantId},
    report::{Observed, Outcome as Answered, Probed},
    sign::Signed,
    vote::Role,
};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;

use super::{
    answer::{Answering, answer, expire, probe_again, withdraw},
    decision::{Decision, Facts, Seen},
    lease::renewal,
    level::Levels,
    load::{Loaded, load},
    pending::Pending,
    propose::{Proposing, propose},
    record::Record,
    report::{acknowledged, open_ack, probed},
    simulate::simulate,
    state::Tenant,
    view,
};
use crate::{
    PROPOSALS_LISTED_MAX,
    error::{Error, Fault, Refusal},
    events::Happened,
    fleet::CourierMsg,
    proposal::{Watch, WatchArgs, Watched},
    roster::Place,
    shared::Shared,
    supervisor::{self, Child, Spawned},
    views::{Filter, ProposalView, Simulation, TenantSummary, TenantView},
};

/// Who waits for a decision.
pub(crate) type Reply<T> = oneshot::Sender<T>;
/// What a governed call ends in.
pub(crate) type Outcome = Result<ProposalView, Error>;

/// What a tenant's actor is told. `received_us` is the monotonic moment at which it came to governance.
pub(crate) enum Msg {
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
    Watch(ProposalId, Reply<Watched>),
    View(Reply<Result<TenantView, Error>>),
    Summary(Reply<TenantSummary>),
    Proposal(ProposalId, Reply<Option<ProposalView>>),
    Proposals(Filter, Reply<Vec<ProposalView>>),
    Simulate(Reply<Simulation>),
}

impl ractor::Message for Msg {}

pub(crate) struct TenantArgs {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: TenantId,
    /// What the start of governance read already; none afterwards.
    pub(crate) loaded: Option<Loaded>,
}

pub(crate) struct State {
    shared: Arc<Shared>,
    tenant: Tenant,
    pending: Pending,
    seen: BTreeMap<Region, Seen>,
    levels: Levels,
    /// When the answer that ratified a proposal came in, in this run.
    received_us: HashMap<ProposalId, u64>,
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
        Child { id: format!("tenant/{id}"), spawn: Arc::new(spawn), lasting: true }
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
            received_us: HashMap::new(),
        };
        state.enter(me);
        state.proceed(first);
        Ok(state)
    }

    async fn handle(&self, _me: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Propose { change, proposal, correlation, reply } => {
                tell(reply, state.propose(change, proposal, correlation).await);
            }
            Msg::Answer { id, role, vote, correlation, received_us, reply } => {
                tell(reply, state.answer(id, role, vote, correlation, received_us).await);
            }
            Msg::Withdraw { id, vote, correlation, reply } => {
                let decided = withdraw(&state.tenant, &state.facts(), &id, vote);
                tell(reply, state.close(id, decided, correlation).await);
            }
            Msg::ProbeAgain { id, correlation, reply } => {
                let decided = probe_again(&state.tenant, &state.facts(), &id);
                tell(reply, state.close(id, decided, correlation).await);
            }
            Msg::Expire(id) => {
                let decided = expire(&state.tenant, &state.facts(), &id);
                let correlation = state.correlation_of(Some(&id));
                state.by_itself("expire", &id, correlation, Ok(decided)).await;
            }
            Msg::Acknowledged { region, ack, received_us } => state.acknowledged(region, ack, received_us).await,
            Msg::Probed { region, probed } => state.probed(region, probed).await,
            Msg::Observed { region, observed } => state.observed(region, observed).await,
            Msg::Watch(id, reply) => tell(reply, state.watched(&id)),
            Msg::View(reply) => tell(reply, view::view(&state.tenant, &state.facts(), &state.pending)),
            Msg::Summary(reply) => tell(reply, view::summary(&state.tenant, &state.facts())),
            Msg::Proposal(id, reply) => tell(reply, state.view(&id)),
            Msg::Proposals(filter, reply) => {
                let limit = filter.limit.unwrap_or(PROPOSALS_LISTED_MAX).min(PROPOSALS_LISTED_MAX);
                tell(reply, view::proposals(&state.tenant, &state.facts(), &filter, limit));
            }
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
    fn facts(&self) -> Facts<'_> {
        Facts { now_ms: self.shared.clock.unix_ms(), evaluator: &self.shared.evaluator, seen: &self.seen }
    }

    fn enter(&mut self, me: ActorRef<Msg>) {
        let id = self.tenant.id();
        let regions = self.tenant.chain.current().regions.keys().cloned().collect();
        for proposal in self.tenant.proposals.keys() {
            self.shared.roster.enter_proposal(proposal.clone(), id);
        }
        self.shared.roster.enter(id, Place { actor: me, regions });
    }

    /// Takes up what was going on when the last run ended.
    fn proceed(&mut self, first: bool) {
        for proposal in self.tenant.running.clone() {
            self.watch(proposal);
        }
        if first {
            self.tenant.proposals.values().for_each(|p| self.shared.tally.moved(None, p.state));
        }
    }

    fn watch(&self, proposal: ProposalId) {
        let args = WatchArgs { shared: Arc::clone(&self.shared), tenant: self.tenant.id(), proposal: proposal.clone() };
        let spawn = move |parent: ActorCell| -> Spawned {
            let args = args.clone();
            Box::pin(async move { Ok(Actor::spawn_linked(None, Watch, args, parent).await?.0.get_cell()) })
        };
        let child = Child { id: format!("proposal/{proposal}"), spawn: Arc::new(spawn), lasting: false };
        let cast = self.shared.root.get().map(|root| root.cast(supervisor::Msg::Start(child, None)));
        if !matches!(cast, Some(Ok(()))) {
            tracing::error!(%proposal, "nobody watches over this proposal: governance is ending");
        }
    }

    fn view(&self, id: &ProposalId) -> Option<ProposalView> {
        self.tenant.proposals.get(id).map(|p| view::proposal(p, &self.facts()))
    }

    fn viewed(&self, id: &ProposalId) -> Outcome {
        self.view(id).ok_or_else(|| Refusal::UnknownProposal(id.clone()).into())
    }

    async fn propose(&mut self, change: Vec<u8>, statement: Signed, correlation: Correlation) -> Outcome {
        let id = super::state::id_of(orbital::change::Change::digest_of(&change))
            .map_err(|why| Fault::Unwritable { what: "a proposal's id", why })?;
        match propose(&self.tenant, &self.facts(), change, statement)? {
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

    async fn close(&mut self, id: ProposalId, decided: Result<Decision, Error>, correlation: Correlation) -> Outcome {
        self.commit(decided?, &correlation).await?;
        self.viewed(&id)
    }

    async fn acknowledged(&mut self, region: Region, signed: Signed, received_us: u64) {
        let ack = match open_ack(&self.tenant, &region, &signed) {
            Ok(ack) => ack,
            Err(why) => {
                tracing::warn!(tenant = %self.tenant.id(), %region, "a SyncAck was refused: {why}");
                return metrics::counter!("orbital_acks_refused_total", "region" => region.to_string()).increment(1);
            }
        };
        let (directive, change) = (ack.directive, ack.change);
        let proposal = change.and_then(|change| self.tenant.by_change(change)).map(|p| p.id.clone());
        let waited_us = self.waited_us(proposal.as_ref(), received_us);
        if ack.outcome == Answered::Applied {
            self.seen.entry(region.clone()).or_default().version = Some(ack.trust_version);
        }
        let happened = Happened::Acknowledged {
            tenant: self.tenant.id(),
            region: region.clone(),
            directive,
            proposal: proposal.clone(),
            outcome: ack.outcome,
            why: ack.why.clone(),
            waited_us,
            took_us: ack.took_us,
        };
        let decided = acknowledged(&self.tenant, &self.facts(), &self.pending, (ack, signed), waited_us);
        let known = decided.as_ref().is_ok_and(Decision::is_empty);
        if known && !self.pending.of(&region, directive).is_empty() {
            return; // A probe that the region took up: its report is the answer.
        }
        let correlation = self.correlation_of(proposal.as_ref());
        if !known && self.by_itself("acknowledge", &directive, correlation.clone(), decided).await {
            self.shared.events.tell(self.shared.clock.unix_ms(), correlation, happened);
        }
        if self.pending.of(&region, directive).is_empty() {
            self.settled(&region, directive);
        }
    }

    fn waited_us(&self, proposal: Option<&ProposalId>, received_us: u64) -> u64 {
        let Some(id) = proposal else { return 0 };
        let this_run = self.received_us.get(id).map(|since| received_us.saturating_sub(*since));
        let decided = self.tenant.proposals.get(id).and_then(|p| p.received_ms);
        let wall = || decided.map(|ms| self.shared.clock.unix_ms().saturating_sub(ms).saturating_mul(1_000));
        this_run.or_else(wall).unwrap_or(0)
    }

    fn correlation_of(&self, proposal: Option<&ProposalId>) -> Option<Correlation> {
        proposal.and_then(|id| self.tenant.proposals.get(id)).map(|p| p.correlation.clone())
    }

    /// The courier need not send it again. Both lanes are told: the one without it does nothing.
    fn settled(&self, region: &Region, directive: Digest) {
        for lane in Lane::BOTH {
            if let Some(port) = self.shared.ports.port(region, lane) {
                port.cast(CourierMsg::Settled(directive));
            }
        }
    }

    async fn probed(&mut self, region: Region, report: Probed) {
        let digests: Vec<_> = self.pending.probes(&region, report.change).into_iter().map(|(d, _)| d).collect();
        let proposal = self.tenant.by_change(report.change).map(|p| p.id.clone());
        let happened = proposal.clone().map(|proposal| Happened::Probed {
            tenant: self.tenant.id(),
            region: region.clone(),
            proposal,
            enabled: report.state == orbital::report::L1State::Enabled && report.why.is_empty(),
            why: report.why.clone(),
        });
        let correlation = self.correlation_of(proposal.as_ref());
        let change = report.change;
        let decided = probed(&self.tenant, &self.facts(), &self.pending, &region, report);
        if decided.as_ref().is_ok_and(Decision::is_empty) {
            return;
        }
        if self.by_itself("take the probe of", &change, correlation.clone(), decided).await {
            digests.into_iter().for_each(|digest| self.settled(&region, digest));
            if let Some(happened) = happened {
                self.shared.events.tell(self.shared.clock.unix_ms(), correlation, happened);
            }
        }
    }

    async fn observed(&mut self, region: Region, observed: Option<Observed>) {
        let now_ms = self.shared.clock.unix_ms();
        let seen = self.seen.entry(region.clone()).or_default();
        seen.version = observed.as_ref().map(|o| o.trust_version).or(seen.version);
        (seen.observed, seen.at_ms) = (observed, Some(now_ms));
        let observed = seen.observed.clone();
        let facts = Facts { now_ms, evaluator: &self.shared.evaluator, seen: &self.seen };
        let levelled = self.levels.step(&self.tenant, &facts, &self.pending, &region, observed.as_ref());
        self.shared.board.matches(&region, self.tenant.id(), levelled.level, now_ms);
        self.by_itself("level", &region, None, Ok(levelled.decision)).await;
        if let Some(observed) = observed {
            self.renew(&region, &observed);
        }
    }

    fn renew(&self, region: &Region, observed: &Observed) {
        match renewal(&self.tenant, region, observed, &self.shared.lease_key) {
            Ok(None) => {}
            Ok(Some(lease)) => {
                if let Some(port) = self.shared.ports.port(region, Lane::Ordinary) {
                    port.cast(CourierMsg::Lease(lease));
                }
            }
            Err(e) => tracing::error!(tenant = %self.tenant.id(), %region, "a lease could not be written: {e}"),
        }
    }

    fn watched(&self, id: &ProposalId) -> Watched {
        let Some(proposal) = self.tenant.proposals.get(id).filter(|p| !p.state.is_end()) else {
            return Watched { ended: true, ..Watched::default() };
        };
        let silent = proposal.progress.iter().filter(|(_, p)| !p.applied()).map(|(region, _)| region.clone());
        Watched {
            ended: false,
            overdue: proposal.state.is_pending() && self.facts().now_s() > proposal.proposed.expires,
            silent: silent.collect(),
            since_ms: proposal.received_ms,
        }
    }

    /// Commits what nobody waits for; a failure is logged, and what led here comes again. True when it was committed.
    async fn by_itself(
        &mut self,
        what: &str,
        on: &impl std::fmt::Display,
        correlation: Option<Correlation>,
        decided: Result<Decision, Error>,
    ) -> bool {
        let correlation = correlation.map_or_else(|| Correlation::new("governance"), Ok);
        let committed = match (decided, correlation) {
            (Ok(decision), Ok(correlation)) => self.commit(decision, &correlation).await,
            (Err(e), _) => Err(e),
            (Ok(_), Err(e)) => Err(Fault::Unwritable { what: "a correlation id", why: e.to_string() }.into()),
        };
        if let Err(e) = &committed {
            tracing::error!(tenant = %self.tenant.id(), "could not {what} {on}: {e}");
        }
        committed.is_ok()
    }

    /// Makes a decision exist: one append, then the fold, then what follows from it. The couriers have the owed rows by then.
    async fn commit(&mut self, decision: Decision, correlation: &Correlation) -> Result<(), Error> {
        if decision.is_empty() {
            return Ok(());
        }
        let now_ms = self.shared.clock.unix_ms();
        let batch = decision.batch(self.tenant.id(), correlation, now_ms)?;
        let receipt = self.shared.scribe.append(batch).await?;
        for (owe, row) in decision.owe.into_iter().zip(&receipt.owed) {
            self.pending.add(owe.region, row.id, Digest(row.digest), &owe.directive);
        }
        self.pending.settled(&decision.settle);
        for record in decision.records {
            self.fold(now_ms, correlation, record)?;
        }
        Ok(())
    }

    fn fold(&mut self, now_ms: u64, correlation: &Correlation, record: Record) -> Result<(), Fault> {
        let id = record.proposal().cloned();
        let before = id.as_ref().and_then(|id| self.tenant.proposals.get(id)).map(|p| p.state);
        self.tenant.apply(now_ms, correlation, record).map_err(|why| {
            tracing::error!(tenant = %self.tenant.id(), why, "a durable record does not fit the state");
            Fault::Unwritable { what: "a decision", why }
        })?;
        let Some(proposal) = id.and_then(|id| self.tenant.proposals.get(&id)) else { return Ok(()) };
        if before.is_none() {
            self.shared.roster.enter_proposal(proposal.id.clone(), self.tenant.id());
            self.watch(proposal.id.clone());
        }
        if before != Some(proposal.state) {
            self.shared.tally.moved(before, proposal.state);
        }
        let happened = Happened::Proposal {
            tenant: self.tenant.id(),
            proposal: proposal.id.clone(),
            kind: proposal.kind(),
            state: proposal.state,
            why: proposal.why.clone(),
        };
        if proposal.state.is_end() {
            self.received_us.remove(&proposal.id);
        }
        self.shared.events.tell(now_ms, Some(correlation.clone()), happened);
        Ok(())
    }
}
