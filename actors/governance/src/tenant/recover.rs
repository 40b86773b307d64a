//! Recovery by cold keys (PROTOCOL §3): it is told to everybody and every region at once, and comes into force after its delay.
//!
//! Governance waits with the regions: each counts from its own first receipt, so the tenant's version moves here only when each region that
//! speaks says that its own wait is over. Else leases would name a version that a region does not have yet.

use std::collections::BTreeSet;

use orbital::{
    certificate::Certificate,
    change::{Change, EPOCH_STEP_MAX},
    directive::{Directive, Warrant},
    names::Digest,
    recovery::RECOVERIES_MAX,
    vote::{Role, Vote},
};

use super::{
    actor::State,
    answer::owed,
    decision::{Decision, Facts, Owe},
    file::Unfit,
    propose::check_halted,
    record::Record,
    rivals,
    state::Tenant,
};
use crate::{
    change::links_after,
    error::{Error, Refusal},
    policies,
    views::RecoveryView,
};

/// A recovery that waits, and when it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) certificate: Certificate,
    /// Unix milliseconds.
    pub(crate) at_ms: u64,
}

impl Tenant {
    /// It waits from now on.
    pub(super) fn received(&mut self, certificate: Certificate, at_ms: u64) {
        self.recoveries.insert(Change::digest_of(&certificate.change), Received { certificate, at_ms });
    }

    /// It is in force.
    pub(super) fn recovered(&mut self, certificate: Certificate) -> Result<(), Unfit> {
        let change = Change::from_bytes(&certificate.change).map_err(|e| e.to_string())?;
        self.lengthen(&certificate)?;
        self.granted(change, certificate);
        Ok(())
    }
}

/// A recovery that somebody brings. One that is known, or in force, changes nothing.
pub(crate) fn receive(tenant: &Tenant, facts: &Facts<'_>, certificate: Certificate) -> Result<Decision, Error> {
    let change = Change::from_bytes(&certificate.change).map_err(Refusal::MalformedChange)?;
    let digest = Change::digest_of(&certificate.change);
    if tenant.recoveries.contains_key(&digest) || tenant.grant(digest).is_some() {
        return Ok(Decision::default());
    }
    check(tenant, facts, &change, &certificate)?;
    let owe = tenant.regions().into_iter().map(|region| {
        let links = links_after(tenant, facts.version_in(tenant, &region));
        let warrant = Warrant { tenant: tenant.id(), links, certificate: certificate.clone() };
        Owe { region, directive: Directive::Trust(warrant) }
    });
    let owe = owe.collect();
    Ok(Decision { records: vec![Record::RecoveryReceived { certificate }], owe, ..Decision::default() })
}

fn check(tenant: &Tenant, facts: &Facts<'_>, change: &Change, certificate: &Certificate) -> Result<(), Refusal> {
    let first = Vote::read(Role::Recover, &certificate.proposal).map_err(|_| Refusal::NotRecovery)?;
    check_halted(tenant, facts, change.kind())?;
    let (chain, _) = tenant.chain.extend(certificate).map_err(Refusal::Uncertified)?;
    let (expired, now) = (first.expires, facts.now_s());
    if now > expired {
        return Err(Refusal::Expired { expired, now });
    }
    check_epoch(tenant, change)?;
    policies::check_people(chain.current(), &facts.evaluator)?;
    if tenant.recoveries.len() >= RECOVERIES_MAX {
        return Err(Refusal::TooManyRecoveries { max: RECOVERIES_MAX });
    }
    Ok(())
}

/// It leaps ahead of the grants that come into force while it waits, so that none of them stands in its way.
fn check_epoch(tenant: &Tenant, change: &Change) -> Result<(), Refusal> {
    let (found, now) = (change.epoch, tenant.epoch);
    if found > now && found <= now.saturating_add(EPOCH_STEP_MAX) {
        return Ok(());
    }
    Err(Refusal::StaleEpoch { kind: change.kind(), found, expected: now.saturating_add(1) })
}

/// When it may come into force here: Unix seconds. None where the version that it follows knows no recovery.
pub(crate) fn due(tenant: &Tenant, received: &Received) -> Option<u64> {
    let delay = tenant.chain.current().recovery.as_ref()?.delay_seconds;
    // Received within a second, counted from its end.
    Some(received.at_ms.div_ceil(1_000).saturating_add(delay))
}

/// The recovery whose time has come, the one that came first: with everything that it owes, and everything that it voids.
pub(crate) fn ripe(tenant: &Tenant, facts: &Facts<'_>) -> Decision {
    let over = |(digest, received): &(&Digest, &Received)| {
        due(tenant, received).is_some_and(|due| due <= facts.now_s()) && regions_wait_no_more(tenant, facts, digest)
    };
    let first = tenant.recoveries.iter().filter(over).min_by_key(|(_, received)| received.at_ms);
    let Some((digest, Received { certificate, .. })) = first else { return Decision::default() };
    let Ok(change) = Change::from_bytes(&certificate.change) else { return Decision::default() };
    if let Err(why) = check_epoch(tenant, &change) {
        tracing::error!(tenant = %tenant.id(), %digest, "a recovery cannot come into force, have it signed anew: {why}");
        return Decision::default();
    }
    let owe = owed(tenant, facts, &change.regions, &change, certificate);
    let why = format!("a recovery by cold keys ({}) came into force: make it anew", digest.short());
    let voided = rivals::voiding(tenant, &change, *digest, &why);
    let records = std::iter::once(Record::Recovered { certificate: certificate.clone() }).chain(voided).collect();
    Decision { records, owe, ..Decision::default() }
}

/// Each region that has spoken in this run has it, and its own wait is over. One that is silent keeps nobody waiting: it counts for itself.
fn regions_wait_no_more(tenant: &Tenant, facts: &Facts<'_>, digest: &Digest) -> bool {
    let regions: BTreeSet<_> = tenant.chain.current().regions.keys().collect();
    let heard = facts.seen.iter().filter(|(region, _)| regions.contains(region));
    let over = |due: u64| due <= facts.now_s();
    heard.filter_map(|(_, seen)| seen.observed.as_ref()).all(|o| o.recoveries.get(digest).copied().is_some_and(over))
}

/// The recoveries that wait, as the desk shows them.
pub(crate) fn views(tenant: &Tenant) -> Vec<RecoveryView> {
    let view = |(change, received): (&Digest, &Received)| RecoveryView {
        change: *change,
        received_ms: received.at_ms,
        due: due(tenant, received).unwrap_or_default(),
        certificate: received.certificate.clone(),
    };
    tenant.recoveries.iter().map(view).collect()
}

impl State {
    /// Puts the recovery in force whose time has come; asked with each Hello.
    pub(super) async fn ripen(&mut self) {
        let decision = ripe(&self.tenant, &self.facts());
        if decision.is_empty() {
            return;
        }
        let tenant = self.tenant.id();
        if self.by_itself("put a recovery in force", &tenant, None, Ok(decision)).await {
            tracing::error!(%tenant, version = self.tenant.chain.version(), "RECOVERY: cold keys have changed who may decide for this tenant");
        }
    }
}
