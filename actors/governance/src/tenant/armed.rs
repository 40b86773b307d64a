//! Armed stops: the quorum signs in advance, and one of those who signed fires it later, alone (DESIGN §4).
//!
//! Signatures are judged under the trust root of the moment, as the regions judge them: who leaves it takes their signature along. What an
//! armed stop lacks then is shown, and refuses its fire.

use std::collections::BTreeSet;

use orbital::{
    certificate::{ARMED_SECONDS_MAX, Certificate, Uncertified, certify},
    change::{Change, ChangeKind},
    names::{Group, Person, ProposalId, Region},
    sign::Signed,
    vote::{Role, Vote},
};

use super::{
    answer::apply,
    decision::{Decision, Facts},
    file::{Answer, Proposal, Unfit},
    record::Record,
    state::Tenant,
    view::vote,
};
use crate::{
    error::{Error, Refusal},
    proposal::{Event, State, ballot, ratify},
    views::ArmedView,
};

/// The fold's part.
impl Tenant {
    pub(super) fn armed(&mut self, id: &ProposalId, at_ms: u64) -> Result<(), Unfit> {
        let armed = self.proposal(id)?;
        armed.missing.clear();
        armed.armed_ms = Some(at_ms);
        self.stops.ratified(id);
        self.moved(id, Event::Armed, None)
    }

    pub(super) fn fired(&mut self, id: &ProposalId, signed: Signed, at_ms: u64) -> Result<(), Unfit> {
        let vote = Vote::read(Role::Fire, &signed).map_err(|e| e.to_string())?;
        self.proposal(id)?.fired = Some(Answer { vote, signed, at_ms });
        self.moved(id, Event::Answered, None)
    }
}

/// That a change may be armed as it says; nothing is asked of one that is not. `expires` ends the collecting, in Unix seconds.
pub(crate) fn check_arming(change: &Change, expires: u64, now: u64) -> Result<(), Refusal> {
    let Some(until) = change.armed.map(|until| until.0) else { return Ok(()) };
    if change.kind() != ChangeKind::RevokeL1 {
        return Err(Refusal::BadArming(Uncertified::Unarmable(change.kind())));
    }
    if until > expires.saturating_add(ARMED_SECONDS_MAX) {
        return Err(Refusal::BadArming(Uncertified::ArmedTooLong { until }));
    }
    if now > until { Err(Refusal::ArmedOver { until, now }) } else { Ok(()) }
}

/// The regions that are to hear of a change that comes into force. Between arming and firing some may have left the tenant.
pub(crate) fn reached(tenant: &Tenant, change: &Change) -> BTreeSet<Region> {
    if change.armed.is_none() {
        return change.regions.clone();
    }
    tenant.regions().into_iter().filter(|region| change.regions.contains(region)).collect()
}

/// Decides about a fire. Everything that the fire makes true stands in the same decision.
pub(crate) fn fire(
    tenant: &Tenant,
    facts: &Facts<'_>,
    id: &ProposalId,
    signed: Signed,
    received_ms: u64,
) -> Result<Decision, Error> {
    let proposal = tenant.proposals.get(id).ok_or_else(|| Refusal::UnknownProposal(id.clone()))?;
    if proposal.fired.as_ref().is_some_and(|fired| fired.signed == signed) {
        // What it was told the first time got lost.
        return Ok(Decision::default());
    }
    check_armed(proposal, facts.now_s())?;
    let vote = Vote::read(Role::Fire, &signed).map_err(Refusal::MalformedVote)?;
    let trust = tenant.chain.current();
    ballot::check_signer(trust, Role::Fire, &vote, &signed, facts.asks(&proposal.change.action))?;
    if !vote.answers(&proposal.proposed, &proposal.statement) {
        return Err(Refusal::OtherProposal { person: vote.person }.into());
    }
    ballot::check_policy(&facts.evaluator, tenant, Role::Fire, &vote.person, (&proposal.change, vote.expires))?;
    let mut certificate = proposal.collected();
    certificate.confirmations.push(signed.clone());
    let ratified = ratify(certificate, &tenant.chain, facts.now_s(), facts.asks(&proposal.change.action))
        .map_err(Refusal::Uncertified)?;
    let records =
        vec![Record::Fired { proposal: id.clone(), vote: signed }, Record::Certified { proposal: id.clone() }];
    let mut decision = Decision { records, ..Decision::default() };
    apply(tenant, facts, proposal, ratified, received_ms, &mut decision)?;
    Ok(decision)
}

/// That it waits for its fire, and may still have it.
fn check_armed(proposal: &Proposal, now: u64) -> Result<(), Refusal> {
    let not = |why| Err(Refusal::NotArmed { id: proposal.id.clone(), why });
    match (proposal.armed_until(), proposal.state) {
        (None, _) => not("it is not armed: with its quorum it is in force, and needs no fire"),
        (Some(_), State::Open) => not("signatures are missing: its quorum signs it before one of them fires it"),
        (Some(until), State::Armed) if now > until => Err(Refusal::ArmedOver { until, now }),
        (Some(_), State::Armed) => Ok(()),
        (Some(_), state) => Err(Refusal::ProposalClosed { id: proposal.id.clone(), state, why: proposal.why.clone() }),
    }
}

/// Whether an armed stop would hold if it were fired now.
fn judged(tenant: &Tenant, proposal: &Proposal, now: u64) -> Result<(), Uncertified> {
    match certify(&proposal.collected(), &tenant.chain, now) {
        Ok(_) | Err(Uncertified::Unfired { .. }) => Ok(()),
        Err(why) => Err(why),
    }
}

/// The groups that a proposal lacks: of an armed one under the trust root of now.
pub(crate) fn missing(tenant: &Tenant, proposal: &Proposal, now: u64) -> Vec<Group> {
    if proposal.state != State::Armed {
        return proposal.missing.clone();
    }
    judged(tenant, proposal, now).err().and_then(|why| why.lacking()).unwrap_or_default()
}

/// An armed stop as it is shown; none of what is not armed.
pub(crate) fn view(tenant: &Tenant, proposal: &Proposal, now: u64) -> Option<ArmedView> {
    let until = proposal.armed_until()?;
    let waits = proposal.state == State::Armed;
    let lacks = if waits { judged(tenant, proposal, now).err() } else { None };
    let may_fire = if waits && lacks.is_none() { counted(tenant, proposal) } else { BTreeSet::new() };
    let pending = proposal.state.is_pending();
    let regions =
        tenant.chain.current().regions.keys().filter(|region| pending && !proposal.change.regions.contains(*region));
    Some(ArmedView {
        until,
        since_ms: proposal.armed_ms,
        fired: proposal.fired.as_ref().map(vote),
        may_fire,
        lacks: lacks.map(|why| why.to_string()),
        misses: regions.cloned().collect(),
    })
}

/// All but the fire of one that waits for it: what its signers keep for the day on which governance is away.
pub(crate) fn certificate(proposal: &Proposal) -> Option<Certificate> {
    (proposal.state == State::Armed).then(|| proposal.collected())
}

/// Whose signature counts for it, with what the rule asks them to prove.
fn counted(tenant: &Tenant, proposal: &Proposal) -> BTreeSet<Person> {
    let trust = tenant.chain.current();
    let Ok(rule) = trust.rule(proposal.kind()) else { return BTreeSet::new() };
    let approvals = proposal.approvals.iter().map(|Answer { vote, signed, .. }| (Role::Approve, vote, signed));
    let proposed = (Role::Propose, &proposal.proposed, &proposal.statement);
    let counts = |(role, vote, signed): &(Role, &Vote, &Signed)| {
        vote.key_in(trust).and_then(|key| key.verify(*role, signed).ok()).is_some_and(|proved| proved >= rule.verify)
    };
    approvals.chain([proposed]).filter(counts).map(|(_, vote, _)| vote.person.clone()).collect()
}
