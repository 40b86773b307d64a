//! Answering a proposal, and what follows when its certificate holds.

use ledger::Room;
use orbital::{
    certificate::{Certificate, Uncertified},
    change::{Action, Change},
    directive::Directive,
    lane::Lane,
    names::{Person, ProposalId, Region},
    quorum::Verify,
    sign::Signed,
    vote::{Role, Vote},
};

use super::{
    armed,
    decision::{Decision, Facts, Owe},
    file::{Answer, Proposal},
    propose::{check_change, check_halted, missing, probes},
    record::{Record, Voice},
    rivals,
    state::Tenant,
};
use crate::{
    change::{directive, links_after, stops, whole_chain},
    error::{Error, Refusal},
    proposal::{Ratified, State, ballot, ratify},
};

/// An answer as it came.
pub(crate) struct Answering<'a> {
    pub(crate) id: &'a ProposalId,
    pub(crate) role: Role,
    pub(crate) vote: Signed,
    /// When it came to the desk, Unix milliseconds.
    pub(crate) received_ms: u64,
}

/// Decides about an approval, a rejection, a confirmation or the fire of what is armed.
pub(crate) fn answer(tenant: &Tenant, facts: &Facts<'_>, answering: Answering<'_>) -> Result<Decision, Error> {
    let Answering { id, role, vote: signed, received_ms } = answering;
    let voice = match role {
        Role::Approve => Voice::Approve,
        Role::Reject => Voice::Reject,
        Role::Confirm => Voice::Confirm,
        Role::Fire => return armed::fire(tenant, facts, id, signed, received_ms),
        Role::Propose | Role::Recover => {
            return Err(Refusal::WrongRole { role: ballot::role_name(role) }.into());
        }
    };
    if tenant.proposals.get(id).is_some_and(|known| was_taken(known, voice, &signed)) {
        return Ok(Decision::default());
    }
    // Another signature widens who may fire an armed one, and mends one whose signers have left.
    let armed = tenant.proposals.get(id).is_some_and(|known| known.state == State::Armed);
    let proposal = open(tenant, facts, id, if armed { State::Armed } else { State::Open })?;
    let vote = checked(tenant, facts, proposal, role, &signed)?;
    let mut decision = Decision::default();
    if voice == Voice::Reject {
        let missing = proposal.missing.clone();
        decision.records.push(Record::Answered { proposal: id.clone(), voice, vote: signed, missing });
        return Ok(decision);
    }
    check_halted(tenant, facts, proposal.kind())?;
    if proposal.is_stop() {
        decision.room = tenant.stops.room(&vote.person, facts.now_ms);
    }
    count(
        tenant,
        facts,
        proposal,
        (role, voice),
        Answer { vote, signed, at_ms: facts.now_ms },
        received_ms,
        &mut decision,
    )?;
    Ok(decision)
}

/// This very answer again: what it was told the first time got lost.
fn was_taken(proposal: &Proposal, voice: Voice, signed: &Signed) -> bool {
    let answers = match voice {
        Voice::Approve => &proposal.approvals,
        Voice::Reject => &proposal.rejections,
        Voice::Confirm => &proposal.confirmations,
    };
    answers.iter().any(|answer| answer.signed == *signed)
}

/// Takes an answer down and, where it completes the certificate, everything that follows from it.
fn count(
    tenant: &Tenant,
    facts: &Facts<'_>,
    proposal: &Proposal,
    (role, voice): (Role, Voice),
    answer: Answer,
    received_ms: u64,
    decision: &mut Decision,
) -> Result<(), Error> {
    let (id, trust) = (proposal.id.clone(), tenant.chain.current());
    let mut certificate = proposal.collected();
    let answers = match voice {
        Voice::Confirm => &mut certificate.confirmations,
        Voice::Approve | Voice::Reject => &mut certificate.approvals,
    };
    answers.push(answer.signed.clone());
    let mut signers = proposal.signers(trust);
    signers.join(ballot::signers(trust, [(role, &answer.vote, &answer.signed)]));
    let still = missing(trust, &proposal.proposed, &signers);
    let answered = |missing| Record::Answered { proposal: id.clone(), voice, vote: answer.signed, missing };
    match ratify(certificate, &tenant.chain, facts.now_s(), facts.asks(&proposal.change.action)) {
        Ok(ratified) => {
            decision.records.push(answered(Vec::new()));
            decision.records.push(Record::Certified { proposal: id.clone() });
            if proposal.probed() {
                apply(tenant, facts, proposal, ratified, received_ms, decision)?;
            } else {
                let owe = probe_failed(tenant, proposal, decision);
                decision.owe.extend(owe);
            }
        }
        Err(Uncertified::Unfired { .. }) => {
            decision.records.push(answered(Vec::new()));
            let first = proposal.state == State::Open;
            decision.records.extend(first.then(|| Record::Armed { proposal: id.clone() }));
        }
        Err(Uncertified::Unconfirmed(_)) if voice == Voice::Approve => decision.records.push(answered(Vec::new())),
        Err(why) => match why.lacking() {
            Some(missing) if voice == Voice::Confirm => {
                let missing = missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                return Err(Refusal::ConfirmTooEarly { missing }.into());
            }
            Some(missing) => decision.records.push(answered(if still.is_empty() { missing } else { still })),
            None => return Err(Refusal::Uncertified(why).into()),
        },
    }
    Ok(())
}

/// Failed probes are tried again once the quorum is met: what was amiss may be mended since.
fn probe_failed(tenant: &Tenant, proposal: &Proposal, decision: &mut Decision) -> Vec<Owe> {
    let failed: Vec<_> = failed(proposal);
    if failed.is_empty() {
        return Vec::new();
    }
    let owe = probes(tenant, &proposal.change, &proposal.bytes, &proposal.statement, failed.iter());
    decision.records.push(Record::ProbeAsked { proposal: proposal.id.clone(), regions: failed });
    owe
}

fn failed(proposal: &Proposal) -> Vec<Region> {
    let bad = |p: &super::file::Probe| {
        p.state.is_some_and(|state| state != orbital::report::L1State::Enabled || !p.why.is_empty())
    };
    proposal.probes.iter().filter(|(_, probe)| bad(probe)).map(|(region, _)| region.clone()).collect()
}

/// A ratified change comes into force: with everything that it owes, and everything that it voids, in one decision.
pub(crate) fn apply(
    tenant: &Tenant,
    facts: &Facts<'_>,
    proposal: &Proposal,
    ratified: Ratified,
    received_ms: u64,
    decision: &mut Decision,
) -> Result<(), Error> {
    let change = ratified.certified().change().clone();
    if change.armed.is_none() {
        check_change(tenant, facts, &change)?;
    }
    let reached = armed::reached(tenant, &change);
    decision.owe.extend(owed(tenant, facts, &reached, &change, ratified.certificate()));
    let certificate = ratified.into_certificate();
    decision.records.push(Record::Applied { proposal: proposal.id.clone(), certificate, received_ms });
    if reached.is_empty() {
        // Nobody is left to confirm it.
        decision.records.push(Record::Confirmed { proposal: proposal.id.clone() });
    }
    decision.records.extend(voided(tenant, proposal));
    decision.room = if change.kind().is_stop() { Room::Stop } else { Room::Ordinary };
    debug_assert!(decision.owe.iter().all(|o| (Lane::of(&o.directive) == Lane::Critical) == change.kind().is_stop()));
    Ok(())
}

/// What these regions are owed of a change that is in force.
pub(crate) fn owed<'r>(
    tenant: &Tenant,
    facts: &Facts<'_>,
    regions: impl IntoIterator<Item = &'r Region>,
    change: &Change,
    certificate: &Certificate,
) -> Vec<Owe> {
    let of = |region: &Region| {
        let owed = directives(tenant, facts, region, change, certificate).into_iter();
        owed.map(|directive| Owe { region: region.clone(), directive }).collect::<Vec<_>>()
    };
    regions.into_iter().flat_map(of).collect()
}

/// What one of them is owed.
pub(crate) fn directives(
    tenant: &Tenant,
    facts: &Facts<'_>,
    region: &Region,
    change: &Change,
    certificate: &Certificate,
) -> Vec<Directive> {
    let version = facts.version_in(tenant, region);
    if let Some(founding) = founding(tenant, region, &change.action, certificate) {
        return founding;
    }
    match change.kind().is_stop() {
        true => stops(tenant, region, version, &change.action, certificate),
        false => directive(tenant.id(), &change.action, links_after(tenant, version), certificate.clone())
            .into_iter()
            .collect(),
    }
}

/// What a region is owed that enters with this change and has never had the tenant: the genesis, with the whole chain up to the version that
/// names it. Where that is too much for one directive, it is owed in parts when the region says that it knows no such tenant.
fn founding(tenant: &Tenant, region: &Region, action: &Action, certificate: &Certificate) -> Option<Vec<Directive>> {
    let Action::ChangeResidency { next } = action else { return None };
    let enters = next.regions.contains_key(region) && tenant.chain.region(region).is_none();
    enters.then(|| whole_chain(tenant, certificate))
}

/// A grant moves the epoch, and may move the trust: what other ordinary proposals rest on. Stops are never voided.
fn voided(tenant: &Tenant, by: &Proposal) -> Vec<Record> {
    let why = format!(
        "{} {} came into force first and moved what this one rests on (trust or epoch): make it anew and collect the approvals anew",
        by.kind(),
        by.digest.short()
    );
    rivals::voiding(tenant, &by.change, by.digest, &why)
}

/// The proposer takes it back.
pub(crate) fn withdraw(tenant: &Tenant, facts: &Facts<'_>, id: &ProposalId, signed: Signed) -> Result<Decision, Error> {
    let known = tenant.proposals.get(id).ok_or_else(|| Refusal::UnknownProposal(id.clone()))?;
    let again = known.state == State::Withdrawn;
    let proposal = match again {
        true => known,
        // What a quorum has armed nobody takes back alone.
        false => open(tenant, facts, id, if known.state == State::Ratified { known.state } else { State::Open })?,
    };
    let vote = Vote::read(Role::Reject, &signed).map_err(Refusal::MalformedVote)?;
    let (person, proposer) = (vote.person.clone(), proposal.proposed.person.clone());
    if person != proposer {
        return Err(Refusal::NotTheProposer { proposer, person, what: "withdraw" }.into());
    }
    if !vote.answers(&proposal.proposed, &proposal.statement) {
        return Err(Refusal::OtherProposal { person }.into());
    }
    ballot::check_signer(tenant.chain.current(), Role::Reject, &vote, &signed, Verify::Key)?;
    if again {
        // Taken back already, by a word of the proposer: whoever did not hear the answer gets it.
        return Ok(Decision::default());
    }
    let withdrawn = Record::Withdrawn { proposal: id.clone(), vote: signed };
    Ok(Decision { records: vec![withdrawn], ..Decision::default() })
}

/// The regions whose probe failed try again. A person `by` whose right it is to be checked must be one who may propose such a change.
pub(crate) fn probe_again(
    tenant: &Tenant,
    facts: &Facts<'_>,
    id: &ProposalId,
    by: Option<&Person>,
) -> Result<Decision, Error> {
    let known = tenant.proposals.get(id).ok_or_else(|| Refusal::UnknownProposal(id.clone()))?;
    if let Some(person) = by {
        ballot::check_policy(&facts.evaluator, tenant, Role::Propose, person, (&known.change, known.proposed.expires))?;
    }
    if known.probes.is_empty() {
        return Err(Refusal::NothingToProbe(known.kind()).into());
    }
    let proposal = open(tenant, facts, id, if known.state.is_pending() { known.state } else { State::Open })?;
    let mut decision = Decision::default();
    let owe = probe_failed(tenant, proposal, &mut decision);
    decision.owe = owe;
    Ok(decision)
}

/// The time of a proposal is over; nothing where it is not, or where it has ended otherwise.
pub(crate) fn expire(tenant: &Tenant, facts: &Facts<'_>, id: &ProposalId) -> Decision {
    let over = |p: &&Proposal| p.state.is_pending() && facts.now_s() > p.ends();
    let expired = tenant.proposals.get(id).filter(over).map(|_| Record::Expired { proposal: id.clone() });
    Decision { records: expired.into_iter().collect(), ..Decision::default() }
}

/// The proposal, if it is in the state that takes this.
fn open<'t>(tenant: &'t Tenant, facts: &Facts<'_>, id: &ProposalId, state: State) -> Result<&'t Proposal, Refusal> {
    let proposal = tenant.proposals.get(id).ok_or_else(|| Refusal::UnknownProposal(id.clone()))?;
    if proposal.state != state {
        return Err(Refusal::ProposalClosed { id: id.clone(), state: proposal.state, why: proposal.why.clone() });
    }
    let (expired, now) = (proposal.proposed.expires, facts.now_s());
    if now > expired { Err(Refusal::Expired { expired, now }) } else { Ok(proposal) }
}

fn checked(
    tenant: &Tenant,
    facts: &Facts<'_>,
    proposal: &Proposal,
    role: Role,
    signed: &Signed,
) -> Result<Vote, Refusal> {
    let trust = tenant.chain.current();
    let vote = Vote::read(role, signed).map_err(Refusal::MalformedVote)?;
    if role == Role::Confirm && !trust.rule(proposal.kind()).map_err(Refusal::BadTrust)?.confirm {
        return Err(Refusal::ConfirmUnasked(proposal.kind()));
    }
    ballot::check_signer(trust, role, &vote, signed, facts.asks(&proposal.change.action))?;
    ballot::check_answer(proposal, role, &vote, trust)?;
    ballot::check_policy(&facts.evaluator, tenant, role, &vote.person, (&proposal.change, vote.expires))?;
    Ok(vote)
}
