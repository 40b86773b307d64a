//! Recall: a governance that was put back from a backup takes what it has forgotten from the regions, and decides nothing but stops before
//! (PROTOCOL §6). What a region brings is believed as anything else is: by its certificate, under our own chain.

use ledger::Room;
use orbital::{
    certificate::{Certificate, Uncertified, certify},
    change::{Action, Change},
    directive::Directive,
    halt::Halt,
    names::{Digest, Region},
    report::Observed,
};

use super::{
    answer::owed,
    armed,
    decision::{Decision, Facts, Seen},
    file::Unfit,
    lease::epoch_in,
    record::Record,
    report::BadReport,
    rivals,
    state::Tenant,
};
use crate::{error::Refusal, proposal::State as Stage};

/// Questions, over a quarter of a minute, after which a region that shows nothing is not believed to hold more.
pub(crate) const QUESTIONS_MAX: u32 = 6;

/// What a region holds that is not known here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ahead {
    Version(u64),
    /// Another trust root of our own version.
    Other,
    Grants,
}

fn ahead(tenant: &Tenant, region: &Region, seen: &Observed) -> Option<Ahead> {
    let here = tenant.chain.version();
    if seen.trust_version > here {
        Some(Ahead::Version(seen.trust_version))
    } else if seen.trust_version == here && seen.trust != tenant.chain.digest() {
        Some(Ahead::Other)
    } else if seen.epoch > epoch_in(tenant, region) || !seen.lifted.is_subset(&tenant.lifted) {
        Some(Ahead::Grants)
    } else {
        None
    }
}

/// What is asked of a region that holds more than is known here.
pub(crate) fn question(tenant: &Tenant, region: &Region, seen: &Observed) -> Option<Directive> {
    let ahead = ahead(tenant, region, seen);
    let known = |(halt, name): (Halt, Digest)| tenant.halts.get(&name).is_some_and(|stopped| stopped.halt == halt);
    if ahead.is_none() && seen.halts.iter().all(known) {
        return None;
    }
    let here = tenant.chain.version();
    // Of our own version there is another: the link that made it is wanted.
    let version = if ahead == Some(Ahead::Other) { here.saturating_sub(1) } else { here };
    let known = tenant.halts.keys().copied().chain(tenant.grants.iter().map(|grant| grant.digest)).collect();
    Some(Directive::Recall { tenant: tenant.id(), version, known })
}

/// A certificate that a region keeps. None: it is known, or it says nothing yet.
pub(crate) fn recalled(
    tenant: &Tenant,
    facts: &Facts<'_>,
    region: &Region,
    certificate: Certificate,
) -> Result<Option<Decision>, BadReport> {
    let digest = Change::digest_of(&certificate.change);
    if tenant.halts.contains_key(&digest) || tenant.grant(digest).is_some() {
        return Ok(None);
    }
    let change = Change::from_bytes(&certificate.change).map_err(Uncertified::from)?;
    let (is_stop, proposal) = (Halt::set_by(&change.action).is_some(), tenant.by_change(digest));
    // Enough signatures are not all that a grant takes: a link may have been withdrawn while its probes failed. What ran out or was voided
    // here since the ledger was put back may have come into force in time.
    let late = |state| matches!(state, Stage::Expired | Stage::Failed) && is_catching_up(tenant, facts);
    if let Some(ended) = proposal.filter(|p| !is_stop && p.state.is_end() && !late(p.state)) {
        return Err(BadReport::Ended(ended.state));
    }
    // In force there since whenever: no date of it is over here.
    match certify(&certificate, &tenant.chain, 0) {
        // Another region has told later versions first. Only while this ledger catches up: what was collected under a version that has passed,
        // and never came into force, must not come into force by it.
        Err(Uncertified::Stale { made, .. }) if is_catching_up(tenant, facts) => {
            let then = tenant.chain.at(&tenant.genesis, &tenant.links, made).ok_or(BadReport::NoVersion(made))?;
            certify(&certificate, &then, 0)?
        }
        certified => certified?,
    };
    // Each grant that came into force has an epoch of its own.
    if !is_stop && tenant.grants.iter().any(|grant| grant.change.epoch == change.epoch) {
        return Err(BadReport::EpochTaken(change.epoch));
    }
    if change.action.next().is_some() {
        tenant.chain.extend(&certificate)?;
        if certificate.is_recovery() && !everybody_follows(tenant, facts) {
            return Ok(None);
        }
    }
    let mut decision = Decision { room: Room::Stop, ..Decision::default() };
    match proposal.filter(|proposal| proposal.state.is_pending()) {
        Some(proposal) => {
            let id = proposal.id.clone();
            if proposal.state != Stage::Ratified {
                decision.records.push(Record::Certified { proposal: id.clone() });
            }
            decision.owe = owed(tenant, facts, &armed::reached(tenant, &change), &change, &certificate);
            if !is_stop {
                decision.room = Room::Ordinary;
            }
            decision.records.push(Record::Applied { proposal: id, certificate, received_ms: facts.now_ms });
        }
        None => decision.records.push(Record::Recalled { region: region.clone(), certificate }),
    }
    let why = "a change came into force that this ledger, put back from a backup, did not have: make it anew";
    decision.records.extend(rivals::voiding(tenant, &change, digest, why));
    Ok(Some(decision))
}

/// Every region that speaks is past this version: the delay of a recovery was counted there, and no region alone can say that it is over.
fn everybody_follows(tenant: &Tenant, facts: &Facts<'_>) -> bool {
    let past = |seen: &Seen| seen.observed.as_ref().is_some_and(|o| o.trust_version > tenant.chain.version());
    let regions = &tenant.chain.current().regions;
    !regions.is_empty() && regions.keys().all(|region| facts.seen.get(region).is_some_and(past))
}

/// Nothing but a stop is decided while a region shows that it holds more, nor, after a restore, before each has been heard and shows no more.
pub(crate) fn check(tenant: &Tenant, facts: &Facts<'_>, action: &Action) -> Result<(), Refusal> {
    if action.kind().is_stop() {
        return Ok(());
    }
    let behind = |region: &Region, what: String| Refusal::BehindRegions {
        tenant: tenant.id(),
        kind: action.kind(),
        region: region.clone(),
        what,
    };
    for region in tenant.chain.current().regions.keys() {
        let believed = |seen: &&Seen| !seen.in_vain || is_catching_up(tenant, facts);
        let seen = facts.seen.get(region).filter(believed).and_then(|seen| seen.observed.as_ref());
        let here = tenant.chain.version();
        let what = match seen.and_then(|seen| ahead(tenant, region, seen)) {
            Some(Ahead::Version(version)) => format!("holds trust version {version}, and here is {here}"),
            Some(Ahead::Other) => format!("holds another trust version {here} than the one here"),
            Some(Ahead::Grants) => "holds grants that are not known here".to_owned(),
            None => continue,
        };
        return Err(behind(region, what));
    }
    match unheard(tenant, facts) {
        Some(region) => {
            Err(behind(region, "has not been heard since this ledger was put back from a backup".to_owned()))
        }
        None => Ok(()),
    }
}

fn is_catching_up(tenant: &Tenant, facts: &Facts<'_>) -> bool {
    facts.restored.is_some_and(|mark| tenant.caught != Some(mark))
}

/// The first region that has not said yet what it holds, in a ledger that was put back and has not caught up.
fn unheard<'t>(tenant: &'t Tenant, facts: &Facts<'_>) -> Option<&'t Region> {
    if !is_catching_up(tenant, facts) {
        return None;
    }
    let heard = |region: &&Region| facts.seen.get(*region).is_some_and(|seen| seen.at_ms.is_some());
    tenant.chain.current().regions.keys().find(|region| !heard(region))
}

/// Every region has spoken, and none holds more than is known here: from now on a restart need not hear them all again.
pub(crate) fn caught_up(tenant: &Tenant, facts: &Facts<'_>) -> Option<Decision> {
    let mark = facts.restored.filter(|mark| tenant.caught != Some(*mark))?;
    let level = |region: &Region| {
        let seen = facts.seen.get(region).filter(|seen| seen.at_ms.is_some());
        seen.is_some_and(|seen| seen.observed.as_ref().is_none_or(|held| question(tenant, region, held).is_none()))
    };
    let regions = &tenant.chain.current().regions;
    (!regions.is_empty() && regions.keys().all(level))
        .then(|| Decision { records: vec![Record::CaughtUp { restored_ms: mark }], ..Decision::default() })
}

impl Tenant {
    /// Certified before it was written.
    pub(super) fn recalled(&mut self, certificate: Certificate, at_ms: u64) -> Result<(), Unfit> {
        let change = Change::from_bytes(&certificate.change).map_err(|e| e.to_string())?;
        if Halt::set_by(&change.action).is_some() {
            return self.learnt(certificate);
        }
        if change.action.next().is_some() {
            self.lengthen(&certificate)?;
            self.entered(at_ms);
        }
        self.lift(&change.action);
        let digest = Change::digest_of(&certificate.change);
        if matches!(change.action, Action::LinkL1 { .. }) && self.is_newest_link(change.epoch) {
            self.link = Some(digest);
        }
        self.granted(change, certificate);
        Ok(())
    }

    fn is_newest_link(&self, epoch: u64) -> bool {
        let of = |link: Digest| self.grant(link).map(|grant| grant.change.epoch);
        self.link.and_then(of).is_none_or(|known| epoch > known)
    }
}
