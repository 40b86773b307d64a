//! After a region has taken what it lacked, nothing is missing; and what it has is not owed again.

use std::collections::BTreeMap;

use proptest::{collection::vec, option, prelude::*, sample::select};

use super::*;
use crate::{
    halt::Halt,
    report::{L1State, Stops},
};

fn digest(of: u8) -> Digest {
    Digest([of; 32])
}

fn halts() -> impl Strategy<Value = Halts> {
    vec((select(Halt::ALL.to_vec()), (0u8..4).prop_map(digest)), 0..6).prop_map(|names| names.into_iter().collect())
}

fn empty() -> Observed {
    Observed {
        trust_version: 1,
        trust: digest(0),
        epoch: 0,
        generation: 0,
        halts: Halts::default(),
        lifted: Halts::default(),
        linked: None,
        l1: L1State::Pending,
        stops: Stops::default(),
        lease_left: None,
        keys: 0,
        lease_nonce: None,
        usage: Default::default(),
        recoveries: Default::default(),
    }
}

prop_compose! {
    fn desired()(trust_version in 1u64..4, epoch in 0u64..4, halts in halts(), lifted in halts(), linked in option::of((0u8..3).prop_map(digest))) -> Desired {
        Desired { tenant: TenantId(digest(9)), trust_version, epoch, halts, lifted, linked }
    }
}

prop_compose! {
    fn observed()(trust_version in 1u64..4, epoch in 0u64..4, halts in halts(), lifted in halts(), linked in option::of((0u8..3).prop_map(digest))) -> Observed {
        Observed { trust_version, epoch, halts, lifted, linked, ..empty() }
    }
}

/// A region that takes what it is given.
fn take(gap: &Gap, desired: &Desired, region: &mut BTreeMap<TenantId, Observed>) {
    if *gap == Gap::Tenant {
        region.insert(desired.tenant, empty());
    }
    let Some(held) = region.get_mut(&desired.tenant) else { panic!("{gap:?} for a tenant that is not there") };
    match gap {
        Gap::Tenant => {}
        Gap::Halt(name) => held.halts.extend(desired.halts.iter().filter(|(_, wanted)| wanted == name)),
        Gap::Trust { from } => {
            assert_eq!(*from, held.trust_version);
            held.trust_version = desired.trust_version;
        }
        Gap::Link(link) => (held.linked, held.epoch) = (Some(*link), desired.epoch),
        Gap::Restore => held.lifted.extend(desired.lifted.iter()),
    }
}

proptest! {
    #[test]
    fn after_taking_the_gaps_nothing_is_missing(desired in desired(), seen in option::of(observed())) {
        let mut region: BTreeMap<_, _> = seen.map(|held| (desired.tenant, held)).into_iter().collect();
        // A tenant that is new there takes a second look: the first brings the tenant and its stops.
        for _ in 0..2 {
            for gap in reconcile(&desired, region.get(&desired.tenant)) {
                take(&gap, &desired, &mut region);
            }
        }
        let held = &region[&desired.tenant];
        prop_assert_eq!(reconcile(&desired, Some(held)), []);
        prop_assert!(desired.halts.is_subset(&held.halts) && desired.lifted.is_subset(&held.lifted));
        prop_assert!(held.trust_version >= desired.trust_version);
        prop_assert!(desired.linked.is_none() || held.linked == desired.linked || held.epoch >= desired.epoch);
    }

    #[test]
    fn stops_come_before_what_a_region_could_serve_by(desired in desired(), seen in observed()) {
        let gaps = reconcile(&desired, Some(&seen));
        let stops = gaps.iter().take_while(|g| matches!(g, Gap::Halt(_))).count();
        prop_assert_eq!(stops, desired.halts.without(&seen.halts).len());
    }

    #[test]
    fn what_a_region_has_beyond_the_wish_is_not_taken_from_it(desired in desired(), more in halts()) {
        let mut seen = Observed { halts: desired.halts.clone(), lifted: desired.lifted.clone(), ..empty() };
        (seen.trust_version, seen.epoch, seen.linked) = (desired.trust_version + 1, desired.epoch + 1, desired.linked);
        seen.halts.extend(more.iter());
        prop_assert_eq!(reconcile(&desired, Some(&seen)), []);
    }
}

#[test]
fn an_unknown_tenant_comes_with_its_stops() {
    let desired = Desired {
        tenant: TenantId(digest(9)),
        trust_version: 3,
        epoch: 2,
        halts: [(Halt::Kill, digest(2)), (Halt::Block, digest(1))].into_iter().collect(),
        lifted: [digest(2)].into_iter().collect(),
        linked: Some(digest(3)),
    };
    assert_eq!(reconcile(&desired, None), [Gap::Tenant, Gap::Halt(digest(2)), Gap::Halt(digest(1))]);
}
