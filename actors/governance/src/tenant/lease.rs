//! Renewing a region's lease: a statement by the lease key that names the region's own nonce (PROTOCOL §5).

use orbital::{
    canon::Malformed,
    directive::{Directive, LeaseGrant},
    names::Region,
    report::Observed,
    sign::{Kind, SecretKey},
};

use super::{level::desired, state::Tenant};

/// The epoch that a region stands at when it has everything that reaches it.
pub(crate) fn epoch_in(tenant: &Tenant, region: &Region) -> u64 {
    let reaching = tenant.grants.iter().filter(|g| g.change.regions.contains(region));
    reaching.map(|g| g.change.epoch).max().unwrap_or(0)
}

/// A renewal for a region that asked and stands where it should; none otherwise, or where another holds the lease key.
pub(crate) fn renewal(
    tenant: &Tenant,
    region: &Region,
    observed: &Observed,
    key: &SecretKey,
) -> Result<Option<Directive>, Malformed> {
    let trust = tenant.chain.current();
    if !trust.regions.contains_key(region) {
        return Ok(None);
    }
    let Some(nonce) = observed.lease_nonce.clone() else { return Ok(None) };
    let desired = desired(tenant, region);
    // A region may know of more kills than we do, by a stop that went straight to it; it may not know of fewer.
    let level = observed.trust == tenant.chain.digest()
        && observed.epoch == desired.epoch
        && desired.halts.is_subset(&observed.halts)
        && desired.lifted == observed.lifted;
    if !level || tenant.is_terminated() || trust.lease.key != key.public() {
        return Ok(None);
    }
    let grant = LeaseGrant {
        domain: Kind::Lease.domain(),
        deployment: trust.deployment.clone(),
        tenant: tenant.id(),
        region: region.clone(),
        trust: observed.trust,
        epoch: observed.epoch,
        kills: observed.halts.names(),
        restored: observed.lifted.names(),
        nonce,
        seconds: trust.lease.seconds,
    };
    Ok(Some(Directive::Lease(grant.sign(key)?)))
}
