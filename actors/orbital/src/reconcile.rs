//! Reconcile: compares what a region should hold with what it says it holds, on every Hello and tick.
//!
//! Whatever was lost on the way (a store restored, a row settled by a region that then lost its disk) shows up here as a gap.

use crate::{
    halt::Halts,
    names::{Digest, TenantId},
    report::Observed,
};

/// What governance wants a region to hold of one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Desired {
    pub tenant: TenantId,
    pub trust_version: u64,
    pub epoch: u64,
    pub halts: Halts,
    pub lifted: Halts,
    pub linked: Option<Digest>,
}

/// What a region lacks; each is owed again. Stops come first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gap {
    /// A halt that the region does not know.
    Halt(Digest),
    /// The region does not know the tenant.
    Tenant,
    /// The trust chain from this version on.
    Trust {
        from: u64,
    },
    Link(Digest),
    Restore,
}

/// The gaps of one tenant in one region; none when `observed` is at least what is `desired`.
pub fn reconcile(desired: &Desired, observed: Option<&Observed>) -> Vec<Gap> {
    let Some(seen) = observed else {
        let kills = desired.halts.iter().map(|(_, name)| Gap::Halt(name));
        return std::iter::once(Gap::Tenant).chain(kills).collect();
    };
    let mut gaps: Vec<Gap> = desired.halts.without(&seen.halts).iter().map(|(_, name)| Gap::Halt(name)).collect();
    if seen.trust_version < desired.trust_version {
        gaps.push(Gap::Trust { from: seen.trust_version });
    }
    if let Some(link) = desired.linked
        && seen.linked != Some(link)
        && seen.epoch < desired.epoch
    {
        gaps.push(Gap::Link(link));
    }
    if !desired.lifted.is_subset(&seen.lifted) {
        gaps.push(Gap::Restore);
    }
    gaps
}

#[cfg(test)]
mod tests;
