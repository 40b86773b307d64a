//! Founding: what is told of a region that does not take the tenant, what waits for it, and the end of a tenant that some region never had.

use orbital::report::Observed;

use super::{
    levels::{names, observed, step},
    *,
};
use crate::{
    error::{Error, Refusal},
    tenant::view::{summary, view},
    views::{Founded, FoundingView, TenantState},
};

const HERE: &str = "us-east";

fn unfounded() -> Bench {
    let mut bench = Bench::unfounded(|_| ());
    bench.owe_genesis();
    bench
}

fn shown(bench: &Bench, at: &str) -> FoundingView {
    view(&bench.tenant, &bench.facts(), &bench.pending).unwrap().regions[&region(at)].founding.clone()
}

/// What the region is owed that says that it knows no such tenant; and it is owed that.
fn levelled(bench: &mut Bench) -> Vec<&'static str> {
    let levelled = step(bench, None);
    let names = names(&levelled);
    bench.commit(levelled.decision);
    names
}

/// The tenant's people end it.
fn terminated(bench: &mut Bench) -> ProposalId {
    let id = bench.propose(Action::TerminateTenant {}, "carol").unwrap();
    assert_eq!(bench.approve(&id, "dave").unwrap(), State::Applying);
    id
}

#[test]
fn each_regions_attempts_are_told_until_it_has_taken_the_tenant() {
    let mut bench = unfounded();
    let first = bench.now_ms;
    let told = |bench: &Bench| (shown(bench, HERE).state, shown(bench, HERE).tries, shown(bench, HERE).why);
    assert_eq!(told(&bench), (Founded::Waiting, 1, String::new()));
    let provision = bench.newest(HERE, "provision");
    bench.acknowledge(HERE, &provision, Outcome::Refused);
    assert_eq!(told(&bench), (Founded::Refused, 1, "as the test asks".to_owned()));
    bench.now_ms += 1_000;
    assert_eq!(levelled(&mut bench), ["provision"], "it is brought there again by itself");
    assert_eq!(levelled(&mut bench), [""; 0], "and left alone while it is on its way");
    assert_eq!((told(&bench).1, shown(&bench, HERE).since_ms), (2, first));
    assert_eq!(shown(&bench, HERE).last_ms, first + 1_000);
    assert_eq!(bench.replayed().founding, bench.tenant.founding, "a restart tells the same");
    bench.acknowledge_all("provision");
    assert_eq!(told(&bench), (Founded::Done, 2, String::new()));
    assert_eq!(summary(&bench.tenant, &bench.facts()).state, TenantState::Unlinked);
}

#[test]
fn a_tenant_that_some_region_lacks_is_not_linked_and_all_else_is_decided() {
    let mut bench = unfounded();
    let provision = bench.newest(HERE, "provision");
    for at in ["eu-frankfurt", "ch-zurich"] {
        bench.acknowledge(at, &provision, Outcome::Applied);
    }
    let refused = bench.propose(link_l1("k"), "alice").unwrap_err();
    assert!(matches!(&refused, Error::Refused(Refusal::HalfFounded { missing, .. }) if missing == HERE), "{refused}");
    let action = bench.register("billing");
    let id = bench.propose(action, "alice").unwrap();
    bench.approve(&id, "bob").unwrap();
    bench.acknowledge(HERE, &provision, Outcome::Applied);
    bench.linked();
}

#[test]
fn a_withdrawn_tenant_is_never_brought_to_a_region_that_lacks_it() {
    let mut bench = unfounded();
    let provision = bench.newest(HERE, "provision");
    bench.acknowledge("eu-frankfurt", &provision, Outcome::Applied);
    bench.acknowledge(HERE, &provision, Outcome::Refused);
    let id = terminated(&mut bench);
    let owed = |bench: &Bench, at: &str| {
        let to = bench.owed.iter().filter(|(to, _)| *to == region(at));
        to.map(|(_, directive)| directive.name()).collect::<Vec<_>>()
    };
    assert_eq!(owed(&bench, "eu-frankfurt"), ["provision", "shred"], "it has the tenant");
    assert_eq!(owed(&bench, HERE), ["provision", "annul"]);
    assert_eq!(shown(&bench, HERE).state, Founded::Withdrawn);
    // Refused for now: it is told again, and nothing else.
    let annul = bench.newest(HERE, "annul");
    bench.acknowledge(HERE, &annul, Outcome::Refused);
    for wait in 0..20 {
        bench.now_ms += 3_600_000;
        assert_eq!(levelled(&mut bench), ["annul"], "{wait}");
        let annul = bench.newest(HERE, "annul");
        bench.acknowledge(HERE, &annul, Outcome::Refused);
    }
    bench.now_ms += 3_600_000;
    levelled(&mut bench);
    let (ack, _) = bench.ack(HERE, &bench.newest(HERE, "annul"), Outcome::Applied);
    let ack = SyncAck { trust_version: 0, epoch: 0, ..ack };
    let signed = ack.sign(bench.world.report_key(HERE)).unwrap();
    let decision = acknowledged(&bench.tenant, &bench.facts(), &bench.pending, (ack, signed), 7).unwrap();
    bench.commit(decision);
    assert!(!bench.tenant.founded.contains(&region(HERE)), "it has ended what it never had");
    bench.now_ms += 3_600_000;
    let level = step(&mut bench, None);
    assert!(level.level && level.decision.is_empty());
    for (at, name) in [("eu-frankfurt", "shred"), ("ch-zurich", "annul")] {
        let end = bench.newest(at, name);
        bench.acknowledge(at, &end, Outcome::Applied);
    }
    assert_eq!(bench.tenant.proposals[&id].state, State::Active);
    assert_eq!(summary(&bench.tenant, &bench.facts()).state, TenantState::Terminated);
    assert_eq!(bench.replayed(), bench.tenant);
}

#[test]
fn a_region_that_took_the_tenant_late_is_stopped_and_given_no_grant() {
    let mut bench = unfounded();
    let action = bench.register("billing");
    let id = bench.propose(action, "alice").unwrap();
    bench.approve(&id, "bob").unwrap();
    terminated(&mut bench);
    // The Provision was faster than the end of it, and the region says so.
    let late = Observed { trust_version: 1, halts: Default::default(), epoch: 0, ..observed(&bench, []) };
    for at in ["annul", "trust", "provision"] {
        let directive = bench.newest(HERE, at);
        bench.acknowledge(HERE, &directive, Outcome::Refused);
    }
    bench.now_ms += 3_600_000;
    let levelled = step(&mut bench, Some(&late));
    assert_eq!(names(&levelled), ["annul"]);
    bench.commit(levelled.decision);
    assert_eq!(names(&step(&mut bench, Some(&late))), [""; 0], "no link, no trust: nothing but its end");
}
