//! The desk: the one door into governance. Whoever comes in, by REST or CLI, comes in here.
//!
//! [`Desk`] is a cheap handle. What decides goes through the desk's actor, in order, which only finds the tenant's actor and hands the
//! call on; it never waits. What only reads asks the tenants directly. A handle made by [`Desk::seen_by`] shows what its visitor may see:
//! to it, everything else is as if it did not exist.

mod actor;
mod entries;
mod notices;
mod proving;
mod recovering;
mod verifying;

use std::{collections::HashMap, sync::Arc};

use orbital::{
    canon::Text,
    certificate::Certificate,
    chain::Genesis,
    change::Change,
    names::{Correlation, Digest, Person, ProposalId, TenantId},
    sign::Signed,
    vote::Role,
};
use tokio::sync::oneshot;

pub(crate) use actor::DeskActor;
pub(crate) use verifying::Verifying;

use crate::{
    PROPOSALS_LISTED_MAX,
    error::{Error, Fault, Refusal},
    events::{Event, Happened, Subscription},
    shared::Shared,
    tenant::{self, Outcome, Proposer, Reply},
    views::{
        DryRunView, Filter, LaneView, ProposalView, RecoveryView, RegionView, Simulation, TenantSummary, TenantView,
        Verified,
    },
    visitor::{Visitor, Vouched},
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
        evidence: Option<String>,
        correlation: Correlation,
        reply: Reply<Outcome>,
    },
    Recover {
        tenant: TenantId,
        certificate: Certificate,
        correlation: Correlation,
        reply: Reply<Result<Vec<RecoveryView>, Error>>,
    },
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
    Note {
        id: ProposalId,
        by: String,
        text: Text,
        correlation: Correlation,
        reply: Reply<Outcome>,
    },
    ProbeAgain {
        id: ProposalId,
        /// Whose right it is to be checked.
        by: Option<Person>,
        correlation: Correlation,
        expected: Option<Digest>,
        reply: Reply<Outcome>,
    },
}

impl ractor::Message for Msg {}

/// The handle. Clone it freely.
#[derive(Clone)]
pub struct Desk {
    shared: Arc<Shared>,
    visitor: Visitor,
    /// The tag of the proposal as the caller saw it; what answers it is refused where it has moved on since.
    expected: Option<Digest>,
}

impl Desk {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, visitor: Visitor::House, expected: None }
    }

    /// The desk as it is for whoever a verified client certificate names: its SAN URI, else its CN.
    #[must_use]
    pub fn seen_by(&self, name: &str) -> Self {
        Self { visitor: Visitor::Named(name.into()), ..self.clone() }
    }

    /// The desk as it is for whoever an identity provider vouches for.
    #[must_use]
    pub fn vouched(&self, by: Arc<Vouched>) -> Self {
        Self { visitor: Visitor::Vouched(by), ..self.clone() }
    }

    /// The desk as it is for whoever saw the proposal as [`ProposalView::tag`] names it, and answers it as that.
    #[must_use]
    pub fn expecting(&self, tag: Digest) -> Self {
        Self { expected: Some(tag), ..self.clone() }
    }

    /// That the visitor is somebody here: an operator, or a person of some tenant.
    pub fn check_known(&self) -> Result<(), Error> {
        Ok(self.visitor.check_known(&self.shared)?)
    }

    /// Founds a tenant: checks the genesis, writes it down, and owes it to every region that it names. For operators.
    pub async fn provision(&self, genesis: Genesis, correlation: Correlation) -> Result<TenantId, Error> {
        self.visitor.check_founds(&self.shared)?;
        self.ask(|reply| Msg::Provision { genesis, correlation, reply }).await?
    }

    /// Opens a proposal. `change` is the canonical bytes of a [`Change`], `proposal` the proposer's signed statement over it. The same
    /// change with the same statement again answers with the proposal that exists. `evidence` is the text whose digest the change names.
    pub async fn propose(
        &self,
        change: Vec<u8>,
        proposal: Signed,
        evidence: Option<String>,
        correlation: Correlation,
    ) -> Result<ProposalView, Error> {
        let tenant = Change::from_bytes(&change).map_err(Refusal::MalformedChange)?.tenant;
        self.check_tenant(tenant)?;
        self.ask(|reply| Msg::Propose { change, proposal, evidence, correlation, reply }).await?
    }

    /// What would become of a change if it were proposed now: everything is checked, nothing is written.
    pub async fn dry_run(&self, change: Vec<u8>, by: Proposer) -> Result<DryRunView, Error> {
        let tenant = Change::from_bytes(&change).map_err(Refusal::MalformedChange)?.tenant;
        self.check_tenant(tenant)?;
        self.read(tenant, |reply| tenant::Msg::DryRun(change, by, reply)).await?
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
        self.owner(&id)?;
        self.ask(|reply| Msg::Answer { id, role, vote, correlation, received_us, expected: self.expected, reply })
            .await?
    }

    /// The proposer takes the proposal back, with a signed statement of [`Role::Reject`].
    pub async fn withdraw(
        &self,
        id: ProposalId,
        vote: Signed,
        correlation: Correlation,
    ) -> Result<ProposalView, Error> {
        self.owner(&id)?;
        self.ask(|reply| Msg::Withdraw { id, vote, correlation, expected: self.expected, reply }).await?
    }

    /// Leaves a note on a proposal, for whoever may see it.
    pub async fn note(&self, id: ProposalId, text: Text, correlation: Correlation) -> Result<ProposalView, Error> {
        let owner = self.owner(&id)?;
        let by = self.visitor.called(&self.shared, owner);
        self.ask(|reply| Msg::Note { id, by, text, correlation, reply }).await?
    }

    /// Lets the regions whose probe of a LinkL1 failed try again, once the cause is mended. For whoever may propose such a change, and
    /// for operators.
    pub async fn probe_again(&self, id: ProposalId, correlation: Correlation) -> Result<ProposalView, Error> {
        let owner = self.owner(&id)?;
        self.visitor.check_proposes(&self.shared, owner, self.proposal(id.clone()).await?.kind)?;
        let by = self.visitor.person(&self.shared, owner);
        self.ask(|reply| Msg::ProbeAgain { id, by, correlation, expected: self.expected, reply }).await?
    }

    /// One proposal.
    pub async fn proposal(&self, id: ProposalId) -> Result<ProposalView, Error> {
        let owner = self.owner(&id)?;
        let view = self.read(owner, |reply| tenant::Msg::Proposal(id.clone(), reply)).await?;
        Ok(view.ok_or(Refusal::UnknownProposal(id))?)
    }

    /// Proposals, newest first.
    pub async fn proposals(&self, filter: Filter) -> Result<Vec<ProposalView>, Error> {
        let limit = filter.limit.unwrap_or(PROPOSALS_LISTED_MAX).min(PROPOSALS_LISTED_MAX);
        let asked: Vec<_> = match filter.tenant {
            Some(tenant) => {
                self.check_tenant(tenant)?;
                vec![tenant]
            }
            None => self.seen(),
        };
        let mut views = Vec::new();
        for tenant in asked {
            views.extend(self.read(tenant, |reply| tenant::Msg::Proposals(filter.clone(), reply)).await?);
        }
        views.sort_by(|a, b| b.created_ms.cmp(&a.created_ms).then_with(|| a.id.cmp(&b.id)));
        views.truncate(limit);
        Ok(views)
    }

    /// All tenants that the visitor may see, by name.
    pub async fn tenants(&self) -> Result<Vec<TenantSummary>, Error> {
        let mut summaries = Vec::new();
        for id in self.seen() {
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

    /// All regions of the deployment, by name, each with the tenants there that the visitor may see. How much there is to do in a region,
    /// for all its tenants together, is for those who run the site.
    pub fn regions(&self) -> Vec<RegionView> {
        let mut views = self.shared.board.views();
        let (mut sees, site) = (self.sees(), self.visitor.sees_site(&self.shared));
        for view in &mut views {
            view.tenants.retain(|tenant, _| sees(*tenant));
            if !site {
                view.load = None;
                [&mut view.critical, &mut view.ordinary].into_iter().for_each(LaneView::without_amounts);
            }
        }
        views
    }

    /// Recomputes the whole chain; whoever asks while that goes on gets the same result. For everybody whom governance knows: the head and
    /// the count tell nothing about another tenant but that something was written, and a head that many wrote down is harder to deny.
    pub async fn verify(&self) -> Result<Verified, Error> {
        self.shared.verifying.result(&self.shared.ledger).await
    }

    /// What happens from now on, or everything after event `after`, as far as the visitor may see it.
    pub fn events(&self, after: Option<u64>) -> Watching {
        Watching { events: self.shared.events.subscribe(after), desk: self.clone() }
    }

    /// Whether the visitor may see a tenant; each is asked about once.
    fn sees(&self) -> impl FnMut(TenantId) -> bool {
        let mut known = HashMap::new();
        move |tenant| *known.entry(tenant).or_insert_with(|| self.visitor.sees(&self.shared, tenant))
    }

    /// The tenants that the visitor may see.
    fn seen(&self) -> Vec<TenantId> {
        let all = self.shared.roster.tenants().into_iter().map(|(id, _)| id);
        all.filter(|id| self.visitor.sees(&self.shared, *id)).collect()
    }

    fn check_tenant(&self, tenant: TenantId) -> Result<(), Refusal> {
        if self.visitor.sees(&self.shared, tenant) { Ok(()) } else { Err(Refusal::UnknownTenant(tenant.to_string())) }
    }

    /// The tenant of a proposal that the visitor may see.
    fn owner(&self, id: &ProposalId) -> Result<TenantId, Refusal> {
        let owner = self.shared.roster.owner(id).filter(|tenant| self.visitor.sees(&self.shared, *tenant));
        owner.ok_or_else(|| Refusal::UnknownProposal(id.clone()))
    }

    async fn find(&self, id_or_name: &str) -> Result<TenantId, Error> {
        if let Ok(id) = id_or_name.parse::<TenantId>()
            && self.shared.roster.tenant(id).is_some()
            && self.visitor.sees(&self.shared, id)
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

/// One watcher's events.
pub struct Watching {
    events: Subscription,
    desk: Desk,
}

impl Watching {
    /// The next event that the visitor may see; none once governance has ended. Cancel-safe.
    pub async fn next(&mut self) -> Option<Arc<Event>> {
        loop {
            let event = self.events.next().await?;
            if self.may_see(&event.happened) {
                return Some(event);
            }
        }
    }

    fn may_see(&self, happened: &Happened) -> bool {
        let Desk { shared, visitor, .. } = &self.desk;
        match happened {
            Happened::Proposal { tenant, .. }
            | Happened::Acknowledged { tenant, .. }
            | Happened::Probed { tenant, .. }
            | Happened::Unconfirmed { tenant, .. }
            | Happened::Expiring { tenant, .. }
            | Happened::L1Health { tenant, .. }
            | Happened::LeaseEnding { tenant, .. }
            | Happened::Entry { tenant: Some(tenant), .. } => visitor.sees(shared, *tenant),
            Happened::Entry { tenant: None, .. } | Happened::Stalled { .. } => visitor.sees_site(shared),
            Happened::Missed { .. } | Happened::Connected { .. } | Happened::Disconnected { .. } => true,
        }
    }
}
