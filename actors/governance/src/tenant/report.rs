//! What a region reports, and what follows: probes that let a link come into force, acknowledgements that make a change active.

use ledger::Room;
use orbital::{
    certificate::{Certificate, Uncertified, certify},
    change::ChangeKind,
    fork::Fork,
    halt::Halt,
    names::{Digest, Region},
    report::{BadAck, L1State, Outcome, Probed, SyncAck},
    sign::Signed,
};

use super::{
    answer::apply,
    decision::{Decision, Facts, Owe},
    file::Proposal,
    founding::PROVISION,
    pending::{PROBE, Pending, Row},
    record::Record,
    state::Tenant,
};
use crate::{
    change::stops,
    error::Error,
    proposal::{State, ratify},
};

/// An answer of a region that proves nothing; it is logged, and the directive stays owed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BadReport {
    #[error("the trust root names no region {0}, so no report key verifies its SyncAck")]
    UnknownRegion(Region),
    #[error(transparent)]
    Ack(#[from] BadAck),
    #[error("the SyncAck is for another {0}")]
    Elsewhere(&'static str),
    #[error("a stop that came by hand is not certified here: {0}")]
    Uncertified(#[from] Uncertified),
    #[error("it is no stop but a {0}: a region takes no grant by hand, and we learn none from it")]
    NoStop(ChangeKind),
    #[error("trust version {0}, under which it was made, is not known here")]
    NoVersion(u64),
    #[error("its proposal is {0} here, so it never came into force")]
    Ended(State),
    #[error("another grant has epoch {0}, so it never came into force")]
    EpochTaken(u64),
}

/// Verifies a SyncAck with the region's report key from the tenant's trust root.
pub(crate) fn open_ack(tenant: &Tenant, region: &Region, signed: &Signed) -> Result<SyncAck, BadReport> {
    let trust = tenant.chain.current();
    let identity = tenant.chain.region(region).ok_or_else(|| BadReport::UnknownRegion(region.clone()))?;
    let ack = SyncAck::open(signed, &identity.report_key)?;
    let same = [
        (ack.deployment == trust.deployment, "deployment"),
        (ack.tenant == tenant.id(), "tenant"),
        (ack.region == *region, "region"),
    ];
    match same.into_iter().find(|(same, _)| !same) {
        None => Ok(ack),
        Some((_, what)) => Err(BadReport::Elsewhere(what)),
    }
}

/// A stop that people handed straight to a region. Certified under our own chain like any other, it is in force here from now on, and owed
/// to every region that it names; also to the one that told us, which learns by it that we have it.
pub(crate) fn stopped(
    tenant: &Tenant,
    facts: &Facts<'_>,
    region: &Region,
    certificate: Certificate,
) -> Result<Decision, BadReport> {
    // The region took it in its time, and stands stopped: a governance that was away must know it, however late it hears of it.
    let certified = certify(&certificate, &tenant.chain, 0)?;
    let change = certified.change();
    if Halt::set_by(&change.action).is_none() {
        return Err(BadReport::NoStop(change.kind()));
    }
    let ours = change.regions.iter().filter(|region| tenant.chain.current().regions.contains_key(*region));
    let owe = ours.flat_map(|region| {
        let parts = stops(tenant, region, facts.version_in(tenant, region), &change.action, &certificate);
        parts.into_iter().map(|directive| Owe { region: region.clone(), directive })
    });
    let owe = owe.collect();
    let mut records = vec![Record::Learnt { region: region.clone(), certificate: certificate.clone() }];
    // Collected here, too, and completed by hand: the same stop, whose proposal goes on as if it had been completed here.
    if let Some(proposal) = tenant.by_change(certified.digest()).filter(|p| p.state.is_pending()) {
        let (proposal, received_ms) = (proposal.id.clone(), facts.now_ms);
        records.push(Record::Certified { proposal: proposal.clone() });
        records.push(Record::Applied { proposal, certificate, received_ms });
    }
    Ok(Decision { records, owe, settle: Vec::new(), room: Room::Stop })
}

/// A second successor of one of our trust versions, verified under the version that both follow. It takes the reserve of stops: who fills the
/// ledger must not keep a tenant from being frozen.
pub(crate) fn forked(tenant: &Tenant, region: &Region, certificate: Certificate) -> Option<(Decision, Fork)> {
    let fork = tenant.meets(&certificate)?;
    let records = vec![Record::Forked { region: region.clone(), certificate }];
    Some((Decision { records, room: Room::Stop, ..Decision::default() }, fork))
}

/// What a verified SyncAck means. An answer to nothing that is owed is a repetition, and changes nothing.
pub(crate) fn acknowledged(
    tenant: &Tenant,
    facts: &Facts<'_>,
    pending: &Pending,
    (ack, signed): (SyncAck, Signed),
    waited_us: u64,
) -> Result<Decision, Error> {
    let region = ack.region.clone();
    let rows = pending.of(&region, ack.directive);
    if rows.is_empty() {
        return Ok(Decision::default());
    }
    if rows.iter().any(|row| row.name == PROBE) {
        return probe_acknowledged(tenant, facts, pending, rows, &ack);
    }
    let stop = rows.iter().any(|row| row.lane == orbital::lane::Lane::Critical);
    let room = if stop { Room::Stop } else { Room::Ordinary };
    let genesis = rows.iter().any(|row| row.name == PROVISION);
    let mut records = vec![Record::Acknowledged { region: region.clone(), ack: signed, waited_us, genesis }];
    records.extend(finished(tenant, &region, &ack));
    Ok(Decision { records, owe: Vec::new(), settle: rows.iter().map(|row| row.id).collect(), room })
}

/// A probe is answered by its report. Its SyncAck says only whether the region tried: a refusal is the answer, anything else is not.
fn probe_acknowledged(
    tenant: &Tenant,
    facts: &Facts<'_>,
    pending: &Pending,
    rows: &[Row],
    ack: &SyncAck,
) -> Result<Decision, Error> {
    let change = rows.iter().find_map(|row| row.change);
    let (Outcome::Refused, Some(change)) = (ack.outcome, change) else { return Ok(Decision::default()) };
    let refused = Probed {
        tenant: ack.tenant,
        change,
        state: L1State::Pending,
        resolved: String::new(),
        why: format!("the region did not try: {}", ack.why),
        took_ms: ack.took_us / 1_000,
    };
    probed(tenant, facts, pending, &ack.region, refused)
}

/// The proposals that this acknowledgement brings to their end: the one whose change it names, and older versions that it implies.
fn finished(tenant: &Tenant, region: &Region, ack: &SyncAck) -> Vec<Record> {
    let running = tenant.running.iter().filter_map(|id| tenant.proposals.get(id));
    let applying = running.filter(|p| p.state == State::Applying && p.progress.contains_key(region));
    applying.filter_map(|p| ending(p, region, ack)).collect()
}

fn ending(proposal: &Proposal, region: &Region, ack: &SyncAck) -> Option<Record> {
    let named = ack.change == Some(proposal.digest);
    let applied = ack.outcome == Outcome::Applied;
    let implied = applied && proposal.made_version().is_some_and(|made| made <= ack.trust_version);
    if !named && !implied {
        return None;
    }
    let others = || proposal.progress.iter().filter(|(other, _)| *other != region);
    if applied && others().all(|(_, progress)| progress.applied()) {
        return Some(Record::Confirmed { proposal: proposal.id.clone() });
    }
    // A stop is never given up: reconcile owes it again until the region has it.
    if proposal.is_stop() || others().any(|(_, progress)| !progress.applied() && progress.refused().is_none()) {
        return None;
    }
    let mut refusals: Vec<_> =
        others().filter_map(|(other, p)| p.refused().map(|why| format!("{other}: {why}"))).collect();
    refusals.extend((!applied).then(|| format!("{region}: {}", ack.why)));
    Some(Record::Refused { proposal: proposal.id.clone(), why: refusals.join("; ") })
}

/// What a probe means: it is shown in its proposal, and a ratified link comes into force with the last good one.
pub(crate) fn probed(
    tenant: &Tenant,
    facts: &Facts<'_>,
    pending: &Pending,
    region: &Region,
    probed: Probed,
) -> Result<Decision, Error> {
    let settle: Vec<u64> = pending.probes(region, probed.change).into_iter().map(|(_, id)| id).collect();
    let mut decision = Decision { settle, ..Decision::default() };
    let Some(proposal) = waiting(tenant, region, probed.change, decision.settle.is_empty()) else {
        return Ok(decision);
    };
    let why = refused_by(proposal, &probed);
    let good = probed.state == L1State::Enabled && why.is_empty();
    decision.records.push(Record::Probed {
        proposal: proposal.id.clone(),
        region: region.clone(),
        state: probed.state,
        resolved: probed.resolved,
        why,
        took_ms: probed.took_ms,
    });
    let enabled = |p: &super::file::Probe| p.state == Some(L1State::Enabled) && p.why.is_empty();
    let last = good && proposal.probes.iter().all(|(other, probe)| other == region || enabled(probe));
    if last && proposal.state == State::Ratified {
        comes_into_force(tenant, facts, proposal, &mut decision)?;
    }
    Ok(decision)
}

/// The proposal that waits for this probe: one that has not ended, and that asked (`answered` says that no row is open any more).
fn waiting<'t>(tenant: &'t Tenant, region: &Region, change: Digest, answered: bool) -> Option<&'t Proposal> {
    let proposal = tenant.by_change(change).filter(|p| p.state.is_pending())?;
    let probe = proposal.probes.get(region)?;
    (!answered || probe.state.is_none()).then_some(proposal)
}

/// The region's own words, or ours where the name that people sign is not the key that would be used (DESIGN §2.4).
fn refused_by(proposal: &Proposal, probed: &Probed) -> String {
    let orbital::change::Action::LinkL1 { l1 } = &proposal.change.action else { return probed.why.clone() };
    let other = !probed.resolved.is_empty() && probed.resolved != l1.key.as_str();
    if probed.why.is_empty() && other {
        return format!(
            "{} is another name of {}, and could be pointed elsewhere later: withdraw this proposal and propose that name",
            l1.key, probed.resolved
        );
    }
    probed.why.clone()
}

fn comes_into_force(
    tenant: &Tenant,
    facts: &Facts<'_>,
    proposal: &Proposal,
    decision: &mut Decision,
) -> Result<(), Error> {
    let voided = |why: String| Record::Voided { proposal: proposal.id.clone(), why };
    match ratify(proposal.collected(), &tenant.chain, facts.now_s(), facts.asks(&proposal.change.action)) {
        Ok(ratified) => match apply(tenant, facts, proposal, ratified, facts.now_ms, decision) {
            Err(Error::Refused(refusal)) => decision.records.push(voided(refusal.to_string())),
            other => return other,
        },
        Err(Uncertified::Expired { .. }) => decision.records.push(Record::Expired { proposal: proposal.id.clone() }),
        Err(other) => decision.records.push(voided(other.to_string())),
    }
    Ok(())
}
