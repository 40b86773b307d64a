//! Regions that enter and leave: who is owed what, whose last answer counts, and who hears of the tenant from then on.

use super::*;
use crate::tenant::{lease::renewal, report::open_ack};

const LEAVES: &str = "us-east";
const STAYS: &str = "ch-zurich";
const ENTERS: &str = "eu-frankfurt";

/// A tenant of all regions but the one that is to enter.
fn bench() -> Bench {
    Bench::of(|root| _ = root.regions.remove(&region(ENTERS)))
}

fn change(bench: &Bench, regions: &[&str]) -> Change {
    let identity = World::new().trust().regions[&region(ENTERS)].clone();
    let next = bench.world.next(|root| {
        root.regions.insert(region(ENTERS), identity);
        root.regions.remove(&region(LEAVES));
    });
    let regions = regions.iter().map(|name| region(name)).collect();
    Change { regions, ..bench.world.change(Action::ChangeResidency { next }) }
}

#[test]
fn who_leaves_is_told_and_who_enters_is_founded() {
    let mut bench = bench();
    let change = change(&bench, &[LEAVES, STAYS, ENTERS]);
    let id = bench.propose_change(&change, "alice").unwrap();
    assert_eq!(bench.approve(&id, "bob").unwrap(), State::Applying);
    let Directive::Provision { links, .. } = bench.newest(ENTERS, "provision") else { panic!() };
    let named: Vec<_> = links.iter().map(|link| Change::digest_of(&link.change)).collect();
    assert_eq!(named, [Change::digest_of(&change.to_bytes().unwrap())]);
    assert_eq!(bench.owed.len(), 3);
    // Until it has answered it hears of the tenant; its answer is verified by the place that it had.
    assert!(bench.tenant.regions().contains(&region(LEAVES)));
    for (at, name) in [(ENTERS, "provision"), (STAYS, "trust"), (LEAVES, "trust")] {
        assert_eq!(bench.tenant.proposals[&id].state, State::Applying, "{at}");
        let directive = bench.newest(at, name);
        let (_, signed) = bench.ack(at, &directive, Outcome::Applied);
        open_ack(&bench.tenant, &region(at), &signed).unwrap();
        bench.acknowledge(at, &directive, Outcome::Applied);
    }
    assert_eq!(bench.tenant.proposals[&id].state, State::Active);
    assert_eq!(bench.tenant.regions(), [region(STAYS), region(ENTERS)]);
    assert_eq!(bench.replayed(), bench.tenant);
}

#[test]
fn a_region_that_lost_the_directive_gets_it_again_until_it_has_left() {
    let mut bench = bench();
    let change = change(&bench, &[LEAVES, STAYS, ENTERS]);
    let seen = levels::observed(&bench, []);
    let renewed = |bench: &Bench, seen: &orbital::report::Observed| {
        renewal(&bench.tenant, &region(LEAVES), seen, bench.world.lease_key()).unwrap().is_some()
    };
    assert!(renewed(&bench, &seen));
    let id = bench.propose_change(&change, "alice").unwrap();
    bench.approve(&id, "bob").unwrap();
    let directive = bench.newest(LEAVES, "trust");
    bench.acknowledge(LEAVES, &directive, Outcome::Refused);
    bench.now_ms += 60_000;
    assert_eq!(levels::owed_to(&mut bench, &seen), ["trust"]);
    // One that stands where it should, and is outside, is renewed nothing.
    assert!(!renewed(&bench, &levels::observed(&bench, [])));
}

#[test]
fn a_residency_names_every_region_of_before_and_after_and_only_those_that_there_are() {
    let mut bench = bench();
    let all = [LEAVES, STAYS, ENTERS];
    for absent in [LEAVES, ENTERS] {
        let named: Vec<_> = all.into_iter().filter(|name| *name != absent).collect();
        let change = change(&bench, &named);
        assert_eq!(bench.propose_change(&change, "alice").unwrap_err().code(), "regions-missing", "{absent}");
    }
    let whole = change(&bench, &all);
    bench.ports = Ports::new(&[]).unwrap();
    assert_eq!(bench.propose_change(&whole, "alice").unwrap_err().code(), "unknown-region");
}
