//! Levelling: on every Hello, what a region says it holds of this tenant against what it should hold. What is missing is owed again.
//!
//! Nothing is owed twice: while something is on its way, or shortly after a refusal, the region is left alone. Kills do not wait for
//! anything else.

use std::collections::{BTreeMap, BTreeSet};

use ledger::Room;
use orbital::{
    directive::Directive,
    halt::Halt,
    names::{Digest, Region},
    reconcile::{Desired, Gap, reconcile},
    report::Observed,
};

use super::{
    decision::{Decision, Facts, Owe},
    lease::epoch_in,
    pending::Pending,
    record::Record,
    state::Tenant,
};
use crate::change::{CatchUp, stops};

/// First wait before a region is owed again what it lacks.
const AGAIN_FIRST_MS: u64 = 1_000;
/// Longest wait for a grant, for the genesis, and for a kill. A region that pins no such tenant refuses its genesis each time, for as long as
/// nobody pins it, and each time is written down.
const AGAIN_MAX_MS: u64 = 60_000;
const PROVISION_AGAIN_MAX_MS: u64 = 300_000;
const KILL_AGAIN_MAX_MS: u64 = 5_000;
/// How long a Hello may be on its way in the other lane: one that left before a kill came says nothing about that kill.
const TAKEN_MS: u64 = 10_000;

/// What governance wants a region to hold.
pub(crate) fn desired(tenant: &Tenant, region: &Region) -> Desired {
    let here = |regions: &BTreeSet<Region>| regions.contains(region);
    let link = tenant.link.filter(|link| tenant.grant(*link).is_some_and(|g| here(&g.change.regions)));
    let restores = tenant.grants.iter().filter(|g| here(&g.change.regions));
    let named = restores.filter_map(|g| Halt::lifted_by(&g.change.action));
    Desired {
        tenant: tenant.id(),
        trust_version: tenant.chain.version(),
        epoch: epoch_in(tenant, region),
        halts: tenant.halts.iter().filter(|(_, s)| here(&s.regions)).map(|(name, s)| (s.halt, *name)).collect(),
        lifted: named.flat_map(|(halt, names)| names.iter().map(move |name| (halt, *name))).collect(),
        linked: link,
    }
}

/// When a region is owed again what it still lacks.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Again {
    tries: u32,
    at_ms: u64,
}

impl Again {
    fn due(&self, now_ms: u64) -> bool {
        now_ms >= self.at_ms
    }
    fn tried(&mut self, now_ms: u64, max_ms: u64) {
        let wait = AGAIN_FIRST_MS.saturating_mul(1 << self.tries.min(16)).min(max_ms);
        *self = Self { tries: self.tries.saturating_add(1), at_ms: now_ms.saturating_add(wait) };
    }
}

/// What was owed again lately.
#[derive(Debug, Default)]
pub(crate) struct Levels {
    runs: BTreeMap<Region, u64>,
    grants: BTreeMap<Region, Again>,
    kills: BTreeMap<(Region, Digest), Again>,
    questions: BTreeMap<Region, Again>,
}

/// What a Hello leads to, and whether the region is as it should be.
pub(crate) struct Levelled {
    pub(crate) level: bool,
    pub(crate) decision: Decision,
}

impl Levels {
    /// The region has acknowledged this change.
    pub(crate) fn taken(&mut self, region: &Region, change: Digest, now_ms: u64) {
        let again = Again { tries: 0, at_ms: now_ms.saturating_add(TAKEN_MS) };
        self.kills.insert((region.clone(), change), again);
    }

    /// How often a region has been asked for what we lack, this time included; none while it is not yet time to ask again.
    pub(crate) fn asked(&mut self, region: &Region, now_ms: u64) -> Option<u32> {
        let again = self.questions.entry(region.clone()).or_default();
        again.due(now_ms).then(|| {
            again.tried(now_ms, KILL_AGAIN_MAX_MS);
            again.tries
        })
    }

    /// It has told something new, or holds no more than we do.
    pub(crate) fn told(&mut self, region: &Region) {
        self.questions.remove(region);
    }

    /// A region that was started anew may take what it refused before, such as a genesis that it pins now: it is not kept waiting.
    pub(crate) fn follow(&mut self, region: &Region, run: u64) {
        if self.runs.insert(region.clone(), run).is_some_and(|before| before != run) {
            self.grants.remove(region);
        }
    }

    /// Compares, and decides what is owed again; grants to a `crowded` region wait for a later Hello, kills do not.
    pub(crate) fn step(
        &mut self,
        tenant: &Tenant,
        facts: &Facts<'_>,
        pending: &Pending,
        region: &Region,
        observed: Option<&Observed>,
        crowded: bool,
    ) -> Levelled {
        if tenant.is_terminated() && observed.is_none() {
            return self.end(tenant, facts, pending, region);
        }
        let gaps = reconcile(&desired(tenant, region), observed);
        if gaps.is_empty() {
            self.grants.remove(region);
            self.kills.retain(|(at, _), _| at != region);
            return Levelled { level: true, decision: Decision::default() };
        }
        let kills: Vec<_> = gaps.iter().filter_map(|g| if let Gap::Halt(k) = g { Some(*k) } else { None }).collect();
        let mut owed: Vec<Directive> =
            kills.iter().flat_map(|kill| self.kill(tenant, facts, pending, region, *kill)).collect();
        let room = if owed.is_empty() { Room::Ordinary } else { Room::Stop };
        // A transaction that may use the reserve holds stops alone; the grants follow with the next Hello.
        let grants = room == Room::Ordinary && !tenant.is_terminated();
        if grants && !crowded && kills.len() < gaps.len() {
            owed.extend(self.grants(tenant, facts, pending, region, observed, &gaps));
        }
        Levelled { level: false, decision: reconciled(region, owed, room) }
    }

    /// A region without the tenant is never brought one that is ended: it is told the end until it has acknowledged it.
    fn end(&mut self, tenant: &Tenant, facts: &Facts<'_>, pending: &Pending, region: &Region) -> Levelled {
        let end = tenant.terminations().next().filter(|_| !tenant.annulled.contains(region));
        let owed = end.map(|end| self.kill(tenant, facts, pending, region, end)).unwrap_or_default();
        Levelled { level: end.is_none(), decision: reconciled(region, owed, Room::Stop) }
    }

    fn kill(
        &mut self,
        tenant: &Tenant,
        facts: &Facts<'_>,
        pending: &Pending,
        region: &Region,
        digest: Digest,
    ) -> Vec<Directive> {
        let Some(kill) = tenant.halts.get(&digest) else { return Vec::new() };
        let again = self.kills.entry((region.clone(), digest)).or_default();
        if pending.has_kill(region, digest) || !again.due(facts.now_ms) {
            return Vec::new();
        }
        again.tried(facts.now_ms, KILL_AGAIN_MAX_MS);
        stops(tenant, region, facts.version_in(tenant, region), &kill.action, &kill.certificate)
    }

    fn grants(
        &mut self,
        tenant: &Tenant,
        facts: &Facts<'_>,
        pending: &Pending,
        region: &Region,
        observed: Option<&Observed>,
        gaps: &[Gap],
    ) -> Vec<Directive> {
        let again = self.grants.entry(region.clone()).or_default();
        if pending.is_moving(region) || !again.due(facts.now_ms) {
            return Vec::new();
        }
        again.tried(facts.now_ms, if observed.is_some() { AGAIN_MAX_MS } else { PROVISION_AGAIN_MAX_MS });
        let link = gaps.iter().find_map(|g| if let Gap::Link(link) = g { Some(*link) } else { None });
        match observed {
            None => CatchUp::whole(tenant, region),
            Some(seen) => CatchUp::after(tenant, region, seen.epoch, link),
        }
    }
}

fn reconciled(region: &Region, owed: Vec<Directive>, room: Room) -> Decision {
    if owed.is_empty() {
        return Decision::default();
    }
    let names = owed.iter().map(|directive| directive.name().to_owned()).collect();
    let records = vec![Record::Reconciled { region: region.clone(), owed: names }];
    let owe = owed.into_iter().map(|directive| Owe { region: region.clone(), directive }).collect();
    Decision { records, owe, settle: Vec::new(), room }
}
