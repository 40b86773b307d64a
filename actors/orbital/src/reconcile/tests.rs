//! After a region has taken what it lacked, nothing is missing; and what it has is not owed again.

use std::collections::BTreeMap;

use proptest::{collection::btree_set, option, prelude::*};

use super::*;
use crate::report::{L1State, Stops};

fn digest(of: u8) -> Digest {
    Digest([of; 32])
}

fn digests() -> impl Strategy<Value = BTreeSet<Digest>> {
    btree_set((0u8..4).prop_map(digest), 0..4)
}

fn empty() -> Observed {
    Observed {
        trust_version: 1,
        trust: digest(0),
        epoch: 0,
        generation: 0,
        kills: BTreeSet::new(),
        restored: BTreeSet::new(),
        linked: None,
        l1: L1State::Pending,
        stops: Stops::default(),
        lease_left: None,
        keys: 0,
        lease_nonce: None,
    }
}

prop_compose! {
    fn desired()(trust_version in 1u64..4, epoch in 0u64..4, kills in digests(), restored in digests(), linked in option::of((0u8..3).prop_map(digest))) -> Desired {
        Desired { tenant: TenantId(digest(9)), trust_version, epoch, kills, restored, linked }
    }
}

prop_compose! {
    fn observed()(trust_version in 1u64..4, epoch in 0u64..4, kills in digests(), restored in digests(), linked in option::of((0u8..3).prop_map(digest))) -> Observed {
        Observed { trust_version, epoch, kills, restored, linked, ..empty() }
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
        Gap::Kill(kill) => _ = held.kills.insert(*kill),
        Gap::Trust { from } => {
            assert_eq!(*from, held.trust_version);
            held.trust_version = desired.trust_version;
        }
        Gap::Link(link) => (held.linked, held.epoch) = (Some(*link), desired.epoch),
        Gap::Restore => held.restored.extend(&desired.restored),
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
        prop_assert!(desired.kills.is_subset(&held.kills) && desired.restored.is_subset(&held.restored));
        prop_assert!(held.trust_version >= desired.trust_version);
        prop_assert!(desired.linked.is_none() || held.linked == desired.linked || held.epoch >= desired.epoch);
    }

    #[test]
    fn stops_come_before_what_a_region_could_serve_by(desired in desired(), seen in observed()) {
        let gaps = reconcile(&desired, Some(&seen));
        let stops = gaps.iter().take_while(|g| matches!(g, Gap::Kill(_))).count();
        prop_assert_eq!(stops, desired.kills.difference(&seen.kills).count());
    }

    #[test]
    fn what_a_region_has_beyond_the_wish_is_not_taken_from_it(desired in desired(), more in digests()) {
        let mut seen = Observed { kills: desired.kills.clone(), restored: desired.restored.clone(), ..empty() };
        (seen.trust_version, seen.epoch, seen.linked) = (desired.trust_version + 1, desired.epoch + 1, desired.linked);
        seen.kills.extend(more);
        prop_assert_eq!(reconcile(&desired, Some(&seen)), []);
    }
}

#[test]
fn an_unknown_tenant_comes_with_its_stops() {
    let desired = Desired {
        tenant: TenantId(digest(9)),
        trust_version: 3,
        epoch: 2,
        kills: [digest(1), digest(2)].into(),
        restored: [digest(1)].into(),
        linked: Some(digest(3)),
    };
    assert_eq!(reconcile(&desired, None), [Gap::Tenant, Gap::Kill(digest(1)), Gap::Kill(digest(2))]);
}
