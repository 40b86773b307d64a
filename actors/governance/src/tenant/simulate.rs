//! A simulation of the kill switch: what revoking now would reach at once, what only the end of a lease would, and what would go on.
//!
//! Two clocks (DESIGN §2.11b): *our nodes locked*, and *clients locked out*, since a client that fetched a key with Get holds it.

use orbital::{
    change::ChangeKind,
    lane::Lane,
    names::{Region, System},
    report::Use,
    trust::TrustRoot,
};

use super::{
    decision::{Facts, Seen},
    state::Tenant,
};
use crate::{
    fleet::Board,
    views::{SimulatedLease, SimulatedRegion, SimulatedSystem, Simulation},
};

/// Milliseconds in which a connected region is locked after the second approval, at the 99th percentile (issue 2, *Figures*).
pub(crate) const CONNECTED_LOCKED_MS: u64 = 50;
/// How often a running mongod asks for the state of its key, in seconds, by default.
pub(crate) const CLIENT_POLL_SECONDS: u64 = 900;

pub(crate) fn simulate(tenant: &Tenant, facts: &Facts<'_>, board: &Board) -> Simulation {
    let trust = tenant.chain.current();
    let regions: Vec<_> = trust.regions.keys().map(|name| region(trust, facts, board, name)).collect();
    let locked = regions.iter().map(|r| r.locked_ms).collect::<Option<Vec<_>>>();
    let rule = trust.rules.get(&ChangeKind::RevokeL1);
    Simulation {
        tenant: tenant.id(),
        name: trust.name.clone(),
        rule: rule.map(|r| r.need.iter().map(|n| (n.group.clone(), n.count)).collect()).unwrap_or_default(),
        nodes_locked_ms: locked.map(|all| all.into_iter().max().unwrap_or(0)),
        clients_locked_out_s: CLIENT_POLL_SECONDS,
        goes_on: goes_on(tenant, facts, &regions),
        systems: trust.systems.iter().map(|name| system(trust, facts, name)).collect(),
        regions,
    }
}

fn region(trust: &TrustRoot, facts: &Facts<'_>, board: &Board, name: &Region) -> SimulatedRegion {
    let seen = facts.seen.get(name);
    let observed = seen.and_then(|s| s.observed.as_ref());
    let connected = board.connected(name, Lane::Critical);
    let (lease, left) = lease(trust, facts.now_ms, seen);
    SimulatedRegion {
        region: name.clone(),
        connected,
        hello_ms: seen.and_then(|s| s.at_ms),
        keys: observed.map(|o| o.keys),
        lease_left_s: left,
        lease,
        locked_ms: if connected { Some(CONNECTED_LOCKED_MS) } else { left.map(|s| s.saturating_mul(1_000)) },
    }
}

/// A system over all regions that have said what is asked of them.
fn system(trust: &TrustRoot, facts: &Facts<'_>, name: &System) -> SimulatedSystem {
    let said = || facts.seen.iter().filter_map(|(region, seen)| Some((region, seen.observed.as_ref()?)));
    let used = || said().filter_map(|(region, observed)| Some((region, observed.usage.get(name)?)));
    let sum = |of: fn(&Use) -> u64| used().fold(0, |sum: u64, (_, used)| sum.saturating_add(of(used)));
    let known = said().next().is_some();
    SimulatedSystem {
        system: name.clone(),
        callers: u64::try_from(trust.callers.iter().filter(|rule| rule.system == *name).count()).unwrap_or(u64::MAX),
        connections: known.then(|| sum(|used| used.connections)),
        per_minute: known.then(|| sum(|used| used.per_minute)),
        last_ms: used().filter_map(|(_, used)| used.last_ms).max(),
        regions: used().map(|(region, _)| region.clone()).collect(),
    }
}

/// What is left of a lease now, at most: as the region said, less the time since; the whole term where it never said.
fn lease(trust: &TrustRoot, now_ms: u64, seen: Option<&Seen>) -> (SimulatedLease, Option<u64>) {
    let term = Some(trust.lease.seconds).filter(|seconds| *seconds > 0);
    let said = seen.and_then(|s| s.observed.as_ref().zip(s.at_ms));
    match (term, said) {
        (None, _) => (SimulatedLease::Unlimited, None),
        (Some(_), Some((observed, at))) if observed.lease_left.is_some() => {
            let since = now_ms.saturating_sub(at) / 1_000;
            (SimulatedLease::Limited, observed.lease_left.map(|left| left.saturating_sub(since)))
        }
        (Some(term), _) => (SimulatedLease::Assumed, Some(term)),
    }
}

fn goes_on(tenant: &Tenant, facts: &Facts<'_>, regions: &[SimulatedRegion]) -> Vec<String> {
    let mut words = Vec::new();
    if facts.is_killed(tenant) {
        words.push(
            "The tenant is killed already: another kill changes nothing, but must be restored by name, too.".to_owned(),
        );
    }
    for region in regions.iter().filter(|r| !r.connected) {
        let name = &region.region;
        words.push(match region.lease_left_s {
            Some(left) => format!(
                "{name} is not connected: it serves on until its lease ends in at most {left} s, unless approvers hand the stop straight \
                 to it (`kcm revoke sign`)."
            ),
            None => format!(
                "{name} is not connected and its lease is unlimited: it serves on until it is reached. Hand the stop straight to it \
                 (`kcm revoke sign`)."
            ),
        });
    }
    words.push(format!(
        "A client that fetched a key with Get holds it: a running mongod stops at its next key-state poll, after {CLIENT_POLL_SECONDS} s \
         by default; other clients when they next ask."
    ));
    words
}
