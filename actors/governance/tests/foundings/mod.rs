//! Founding through the whole crate: a region that is away, one that refuses, a restart of governance in between, and a tenant that its people
//! withdraw meanwhile.

use governance::{Founded, Happened, State, TenantState};
use orbital::{
    change::Action,
    directive::Directive,
    lane::Lane,
    testing::{link_l1, region},
};

use crate::support::{House, correlation};

const LATE: &str = "us-east";

/// What is shown of a region.
async fn founding(house: &House, name: &str) -> governance::FoundingView {
    house.desk().tenant("acme").await.unwrap().regions[&region(name)].founding.clone()
}

async fn late(house: &House) -> governance::FoundingView {
    founding(house, LATE).await
}

async fn until_late(house: &House, what: &str, holds: impl Fn(&governance::FoundingView) -> bool) {
    until(house, LATE, what, holds).await;
}

async fn until(house: &House, name: &str, what: &str, holds: impl Fn(&governance::FoundingView) -> bool) {
    let mut events = house.desk().events(None);
    while !holds(&founding(house, name).await) {
        house.clock.forward(50);
        let waited = tokio::time::timeout(std::time::Duration::from_millis(5), events.next()).await;
        assert!(!matches!(waited, Ok(None)), "governance ended before {what}");
    }
}

/// Founded with one region away; the others have the tenant.
async fn half() -> House {
    let house = House::new().await;
    house.cut(LATE);
    house.desk().provision(house.world.genesis(), correlation()).await.unwrap();
    for other in ["eu-frankfurt", "ch-zurich"] {
        until(&house, other, "the others have taken the tenant", |f| f.state == Founded::Done).await;
    }
    house
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_some_region_lacks_is_told_brought_again_and_not_linked() {
    let mut house = half().await;
    assert_eq!(late(&house).await.state, Founded::Waiting);
    let view = house.desk().tenant("acme").await.unwrap().summary;
    assert!(view.state == TenantState::Provisioning && view.unfounded.contains(&region(LATE)));
    let refused = house.propose(link_l1("k"), "alice").await.unwrap_err();
    assert!(refused.to_string().contains("not provisioned in us-east yet"), "{refused}");
    // It is back, pins none of it, and governance starts anew: it is asked until it takes the tenant.
    house.region(LATE, |r| r.pins_none = true);
    house.restart().await;
    until_late(&house, "the refusal", |f| f.state == Founded::Refused && f.why.contains("not known here")).await;
    for tries in 2..5 {
        house.clock.forward(300_000);
        house.hello(LATE, None);
        until_late(&house, "another try", |f| f.tries == tries).await;
        house.until_settled().await;
    }
    house.region(LATE, |r| r.pins_none = false);
    house.clock.forward(300_000);
    house.hello(LATE, None);
    until_late(&house, "it has the tenant", |f| f.state == Founded::Done).await;
    house.follow().await;
    house.enact(link_l1("k"), "alice", &["bob"]).await;
    assert!(house.everywhere(|held| held.linked.is_some()));
}

/// The end and the genesis reach the region that was away in either order, and the genesis comes again, with a restart in between or not.
async fn withdrawn(restart: bool, end_first: bool) {
    let mut house = half().await;
    let stop = house.propose(Action::TerminateTenant {}, "carol").await.unwrap();
    house.approve(&stop, "dave").await.unwrap();
    if restart {
        house.restart().await;
    } else {
        house.region(LATE, |r| r.deaf = Some(if end_first { Lane::Ordinary } else { Lane::Critical }));
        house.connect(LATE);
        let told = |lane: Lane| house.region(LATE, |r| r.got.iter().any(|(at, _)| *at == lane));
        let first = if end_first { Lane::Critical } else { Lane::Ordinary };
        house.until("one lane has come", || told(first)).await;
        house.region(LATE, |r| r.deaf = None);
    }
    house.until_settled().await;
    let id = house.id();
    let provisions =
        |house: &House| house.region(LATE, |r| r.places.values().filter(|name| **name == "provision").count());
    let before = provisions(&house);
    for _ in 0..5 {
        house.clock.forward(3_600_000);
        house.hello(LATE, None);
        house.murmur(LATE);
        house.until_settled().await;
    }
    assert_eq!(house.until_state(&stop.id, State::Active).await.state, State::Active);
    assert_eq!(provisions(&house), before, "it is not brought there any more");
    let serves = |r: &mut crate::support::FakeRegion| {
        let held = r.tenants.get(&id).is_some_and(|held| held.halts.is_empty());
        held || !r.tenants.contains_key(&id) && !r.ended.contains(&id)
    };
    assert!(!house.region(LATE, serves));
    let summary = house.desk().tenant("acme").await.unwrap().summary;
    assert!(summary.state == TenantState::Terminated && summary.unfounded.is_empty());
    let annulled = house.region(LATE, |r| r.got.iter().any(|(_, d)| matches!(d, Directive::Annul { .. })));
    assert!(annulled, "by whatever it was met");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawn_tenant_ends_where_its_end_comes_first() {
    withdrawn(false, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawn_tenant_ends_where_its_genesis_comes_first() {
    withdrawn(false, false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_withdrawn_tenant_ends_over_a_restart() {
    withdrawn(true, true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_pins_no_such_tenant_confirms_its_end() {
    let house = half().await;
    let mut events = house.desk().events(None);
    house.region(LATE, |r| r.pins_none = true);
    let mut house = house;
    house.connect(LATE);
    until_late(&house, "the refusal", |f| f.state == Founded::Refused).await;
    let stop = house.propose(Action::TerminateTenant {}, "carol").await.unwrap();
    house.approve(&stop, "dave").await.unwrap();
    house.until_state(&stop.id, State::Active).await;
    assert_eq!(late(&house).await.state, Founded::Withdrawn);
    house.region(LATE, |r| r.pins_none = false);
    house.clock.forward(3_600_000);
    house.hello(LATE, None);
    house.until_settled().await;
    assert!(house.region(LATE, |r| r.tenants.is_empty()), "pinned later, and not brought there");
    let told = async {
        loop {
            let event = events.next().await.unwrap();
            if matches!(&event.happened, Happened::Proposal { state: State::Active, .. }) {
                return;
            }
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(30), told).await.unwrap();
}
