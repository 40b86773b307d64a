//! Stops that came by hand: kept here until governance brings them back, so that it learns them and carries them to the other regions.
//!
//! In memory alone: the stop itself is durable before this. A process that ends before governance is back forgets the certificate; governance
//! then knows the stop by the digest in the Hello, which bars every grant, and another delivery tells it here again.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Bound,
};

use orbital::{
    certificate::Certificate,
    change::Change,
    directive::Directive,
    names::{Digest, TenantId},
    report::{Outcome, SyncAck},
    sign::Signed,
};
use parking_lot::Mutex;

/// Most stops kept of one tenant: each may name other regions, so one does not stand for all. For a new one more, the oldest gives way, and
/// is known to governance by its digest alone. No tenant takes room from another; only tenants that are founded here have any.
pub const BY_HAND_PER_TENANT_MAX: usize = 4;
/// Most of them that governance is told at once, each of another tenant; the next time goes on with the others.
pub const TOLD_AT_ONCE_MAX: usize = 4;

/// See the module.
#[derive(Debug, Default)]
pub struct ByHand(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Oldest first; a tenant without any has no entry.
    tenants: BTreeMap<TenantId, VecDeque<(Digest, Certificate)>>,
    /// The tenant that was told last.
    told: Option<TenantId>,
}

/// A kill that somebody brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kill {
    pub tenant: TenantId,
    pub change: Digest,
    pub certificate: Certificate,
}

impl Kill {
    /// That of a directive, if it is one.
    pub fn of(directive: &[u8]) -> Option<Self> {
        let directive = Directive::decode(directive).ok()?;
        let warrant = directive.stop()?;
        let (tenant, certificate) = (warrant.tenant, warrant.certificate.clone());
        Some(Self { tenant, change: Change::digest_of(&certificate.change), certificate })
    }
}

impl ByHand {
    /// A kill came by hand, and this is the region's answer: a stop that is in force is kept. One that was `known` here before it came
    /// never takes another's room: whoever has an old file could keep a new stop from governance by it.
    pub fn answered(&self, kill: Kill, ack: &Signed, known: bool) {
        if !SyncAck::peek(ack).is_ok_and(|ack| ack.outcome == Outcome::Applied) {
            return;
        }
        let Kill { tenant, change: digest, certificate } = kill;
        let mut kept = self.0.lock();
        let stops = kept.tenants.entry(tenant).or_default();
        let full = stops.len() >= BY_HAND_PER_TENANT_MAX;
        if stops.iter().any(|(kept, _)| *kept == digest) || (full && known) {
            return;
        }
        stops.push_back((digest, certificate));
        if let Some((digest, _)) = full.then(|| stops.pop_front()).flatten() {
            tracing::warn!(%tenant, %digest, "more than {BY_HAND_PER_TENANT_MAX} stops wait for governance: it learns this one by its digest alone");
        }
    }

    /// Governance sent this directive: it has the stop that it carries.
    pub fn brought(&self, directive: &[u8]) {
        // Every directive passes here, and hardly ever does a stop wait.
        let waits = !self.0.lock().tenants.is_empty();
        if let Some(kill) = waits.then(|| Kill::of(directive)).flatten() {
            let mut kept = self.0.lock();
            if let Some(stops) = kept.tenants.get_mut(&kill.tenant) {
                stops.retain(|(known, _)| *known != kill.change);
            }
            kept.tenants.retain(|_, stops| !stops.is_empty());
        }
    }

    /// Those to tell now: each tenant in its turn, and of each tenant each stop, however long the others stay.
    pub fn turn(&self) -> Vec<Certificate> {
        let mut kept = self.0.lock();
        let Kept { tenants, told } = &mut *kept;
        let after = told.map_or(Bound::Unbounded, Bound::Excluded);
        let rest = tenants.range((after, Bound::Unbounded)).map(|(tenant, _)| *tenant);
        let again = tenants.keys().copied().take_while(|tenant| told.is_some_and(|told| *tenant <= told));
        let turn: Vec<_> = rest.chain(again).take(TOLD_AT_ONCE_MAX).collect();
        *told = turn.last().copied();
        let next = |stops: &mut VecDeque<(Digest, Certificate)>| {
            let (digest, certificate) = stops.pop_front()?;
            stops.push_back((digest, certificate.clone()));
            Some(certificate)
        };
        turn.iter().filter_map(|tenant| tenants.get_mut(tenant).and_then(next)).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use orbital::{
        names::NodeName,
        sign::{Kind, SecretKey},
        testing::{World, region},
    };

    use super::*;

    fn ack(outcome: Outcome) -> Signed {
        let world = World::new();
        let ack = SyncAck {
            domain: Kind::SyncAck.domain(),
            deployment: world.deployment(),
            tenant: world.tenant(),
            region: region("us-east"),
            directive: Digest([0; 32]),
            change: None,
            outcome,
            why: String::new(),
            members: BTreeSet::from([NodeName::new("iad-1").unwrap()]),
            trust_version: 1,
            epoch: 0,
            generation: 1,
            at_us: 1,
            took_us: 1,
        };
        ack.sign(&SecretKey::from_seed(&[1; 32])).unwrap()
    }

    /// So many different stops of the tenant.
    fn kills_of(world: &World, count: usize) -> Vec<Vec<u8>> {
        let certificate = world.kill();
        let other = |n: usize| Certificate { change: n.to_be_bytes().to_vec(), ..certificate.clone() };
        (0..count).map(|n| Directive::Kill(world.warrant(other(n))).encode().unwrap()).collect()
    }
    fn kills(count: usize) -> Vec<Vec<u8>> {
        kills_of(&World::new(), count)
    }
    /// As the node does it.
    fn answered(stops: &ByHand, directive: &[u8], ack: &Signed, known: bool) {
        if let Some(kill) = Kill::of(directive) {
            stops.answered(kill, ack, known);
        }
    }
    fn told(stops: &ByHand, turns: usize) -> BTreeSet<Vec<u8>> {
        (0..turns).flat_map(|_| stops.turn()).map(|c| c.change).collect()
    }

    #[test]
    fn a_stop_is_told_until_governance_brings_it() {
        let (stops, applied) = (ByHand::default(), ack(Outcome::Applied));
        let directives = kills(BY_HAND_PER_TENANT_MAX);
        for directive in directives.iter().chain(&directives) {
            answered(&stops, directive, &applied, false);
        }
        assert_eq!(told(&stops, 4).len(), 4, "each has its turn, and is kept once");
        directives.iter().skip(1).for_each(|directive| stops.brought(directive));
        assert_eq!(stops.turn().len(), 1);
        assert_eq!(stops.turn().len(), 1, "it is told again");
        stops.brought(&directives[0]);
        assert_eq!(stops.turn(), []);
        assert!(stops.0.lock().tenants.is_empty());
    }

    #[test]
    fn what_is_not_in_force_or_no_stop_is_not_kept() {
        let stops = ByHand::default();
        answered(&stops, &kills(1)[0], &ack(Outcome::Refused), false);
        let world = World::new();
        let link = Directive::Link(world.warrant(world.link("k"))).encode().unwrap();
        answered(&stops, &link, &ack(Outcome::Applied), false);
        assert_eq!(stops.turn(), []);
    }

    #[test]
    fn no_tenants_stops_crowd_out_anothers() {
        let (stops, applied) = (ByHand::default(), ack(Outcome::Applied));
        let loud = kills_of(&World::of("test", "loud"), 100);
        loud.iter().for_each(|directive| answered(&stops, directive, &applied, false));
        let worlds: Vec<_> = (0..6).map(|n| World::of("test", &format!("quiet-{n}"))).collect();
        let quiet: Vec<_> = worlds.iter().map(|world| world.kill()).collect();
        for (world, kill) in worlds.iter().zip(&quiet) {
            answered(&stops, &Directive::Kill(world.warrant(kill.clone())).encode().unwrap(), &applied, false);
        }
        let told = told(&stops, 2);
        assert!(quiet.iter().all(|kill| told.contains(&kill.change)), "each tenant has its turn");
        assert_eq!(stops.0.lock().tenants.values().map(VecDeque::len).sum::<usize>(), BY_HAND_PER_TENANT_MAX + 6);
    }

    #[test]
    fn an_old_stop_takes_no_new_ones_room_and_gives_way_to_it() {
        let (stops, applied) = (ByHand::default(), ack(Outcome::Applied));
        let directives = kills(BY_HAND_PER_TENANT_MAX + 1);
        directives.iter().for_each(|directive| answered(&stops, directive, &applied, false));
        let kept = told(&stops, 4);
        let newest = (1..=BY_HAND_PER_TENANT_MAX).map(|n| n.to_be_bytes().to_vec()).collect();
        assert_eq!(kept, newest);
        answered(&stops, &directives[0], &applied, true);
        assert_eq!(told(&stops, 4), newest);
        stops.brought(&directives[1]);
        answered(&stops, &directives[0], &applied, true);
        assert!(
            told(&stops, 4).contains(0_usize.to_be_bytes().as_slice()),
            "there is room: it may be lost, and is told"
        );
    }
}
