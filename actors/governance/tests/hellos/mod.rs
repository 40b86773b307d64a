//! What governance makes of a Hello: each group is true by itself, and only of its span; what is old changes nothing; and what follows
//! from many of them is bounded.

use std::{collections::BTreeSet, sync::Arc};

use governance::TenantState;
use ledger::{Batch, Ledger, NewOwed};
use orbital::{
    certificate::Certificate,
    change::Change,
    directive::Directive,
    hello::Span,
    lane::Lane,
    names::{Digest, TenantId},
    report::Report,
    testing::region,
};

use crate::support::{House, framed, node_of};

const HERE: &str = "us-east";

/// The nonces of the renewals that came, in order.
fn renewed(house: &House) -> Vec<String> {
    house.region(HERE, |r| r.tenants.values().flat_map(|held| &held.leases).map(|l| l.nonce.clone()).collect())
}

/// How often the region was owed a Provision, however often each was sent.
fn provisions(house: &House) -> usize {
    house.region(HERE, |r| r.places.values().filter(|name| **name == "provision").count())
}

/// What was said before this has been looked at when it returns.
async fn heard(house: &House, nonce: &str) {
    house.murmur(HERE);
    house.hello(HERE, Some(nonce));
    house.until("the lease came", || renewed(house).last().is_some_and(|last| last == nonce)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_no_group_covers_is_not_unknown() {
    let house = House::provisioned().await;
    heard(&house, "whole").await;
    let before = Span { after: None, until: Some(TenantId(Digest([0; 32]))) };
    let behind = Span { after: Some(house.id()), until: None };
    for span in [before, behind] {
        house.hello_of_span(HERE, span, None);
        house.murmur(HERE);
    }
    heard(&house, "again").await;
    assert_eq!(provisions(&house), 1);
    let shown = house.desk().regions().into_iter().find(|r| r.name == region(HERE)).unwrap();
    assert!(shown.tenants.contains_key(&house.id()));
    // A group that covers it and does not name it says that it is unknown.
    house.region(HERE, |r| r.tenants.clear());
    house.hello_of_span(HERE, Span { after: None, until: Some(house.id()) }, None);
    house.until("it is provisioned again", || provisions(&house) == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_is_held_and_not_said_is_not_unknown() {
    let house = House::provisioned().await;
    house.unsaid(HERE);
    heard(&house, "again").await;
    assert_eq!(provisions(&house), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hello_that_was_overtaken_is_old_news() {
    let mut house = House::provisioned().await;
    heard(&house, "first").await;
    let held = house.region(HERE, |r| {
        r.now_ms -= 1;
        std::mem::take(&mut r.tenants)
    });
    house.hello(HERE, None);
    house.region(HERE, |r| (r.now_ms, r.tenants) = (r.now_ms + 1, held));
    heard(&house, "second").await;
    assert_eq!(provisions(&house), 1, "an older Hello without the tenant, after a newer one with it");
    // Its clock begins anew with the machine: a new run or a new link is heard whatever the last one said.
    house.region(HERE, |r| (r.now_ms, r.incarnation) = (10, 2));
    heard(&house, "another run").await;
    house.cut(HERE);
    house.connect(HERE);
    house.region(HERE, |r| r.now_ms = 5);
    heard(&house, "another link").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_frame_of_an_earlier_run_of_a_region_is_refused() {
    let house = House::provisioned().await;
    house.region(HERE, |r| r.incarnation = 2);
    heard(&house, "new").await;
    house.region(HERE, |r| r.incarnation = 1);
    house.hello(HERE, Some("old"));
    house.region(HERE, |r| r.incarnation = 2);
    heard(&house, "newer").await;
    assert_eq!(renewed(&house), ["new", "newer"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowded_region_is_not_owed_another_tenants_way_back() {
    let mut house = House::provisioned().await;
    house.region(HERE, |r| r.mute = true);
    let other = TenantId(Digest([9; 32]));
    let body = Directive::Hold { tenant: other }.encode().unwrap();
    let row = NewOwed {
        subject: other.to_string(),
        region: HERE.to_owned(),
        lane: Lane::Ordinary.number(),
        correlation: "test".to_owned(),
        created_ms: 1,
        digest: Directive::digest_of(&body).0,
        body,
    };
    let rows = |count: usize| Batch { owe: vec![row.clone(); count], ..Batch::default() };
    let mut receipts = Vec::new();
    for _ in 0..16 {
        receipts.push(house.ledger.append(rows(64)).unwrap());
    }
    house.restart().await;
    house.region(HERE, |r| r.tenants.clear());
    let ledger = Arc::clone(&house.ledger);
    let owed = || ledger.owed_count(HERE, Lane::Ordinary.number()).unwrap();
    assert_eq!(owed(), 1_024);
    house.hello(HERE, None);
    let desk = house.desk();
    while desk.tenant("acme").await.unwrap().regions[&region(HERE)].observed_ms.is_none() {
        tokio::task::yield_now().await;
    }
    assert_eq!(owed(), 1_024, "the region has enough to do");
    // It answers, and there is room.
    let settle = receipts[0].owed.iter().map(|row| row.id).collect();
    house.ledger.append(Batch { settle, ..Batch::default() }).unwrap();
    house.restart().await;
    house.hello(HERE, None);
    house.until("the tenant is owed its way back", || owed() == 1_024 - 64 + 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_renewals_than_go_out_in_a_turn_come_in_the_next_ones() {
    let house = House::provisioned().await;
    for n in 0..300 {
        house.hello(HERE, Some(&n.to_string()));
        house.murmur(HERE);
    }
    heard(&house, "last").await;
    assert_eq!(renewed(&house).len(), 301);
}

fn stopped(house: &House, certificate: Certificate) {
    let frame = house.region(HERE, |r| framed(r, Lane::Critical, &Report::Stopped(certificate)));
    house.governance.received(&node_of(HERE), Lane::Critical, frame);
}

fn learnt(house: &House) -> usize {
    house.ledger.entries(1, 1_000).unwrap().iter().filter(|e| e.kind == "region.stopped-by-hand").count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_came_by_hand_to_one_region_is_carried_to_all() {
    let mut house = House::provisioned().await;
    let kill = house.world.kill();
    let digest = Change::digest_of(&kill.change);
    // Not certified, or no stop: nothing is learnt of either.
    stopped(&house, Certificate { approvals: Vec::new(), ..kill.clone() });
    stopped(&house, house.world.link("k"));
    stopped(&house, kill.clone());
    house.until("all are killed", || house.everywhere(|held| held.halts.kills == BTreeSet::from([digest]))).await;
    house.until_settled().await;
    assert_eq!(learnt(&house), 1);
    assert_eq!(house.desk().tenant("acme").await.unwrap().summary.state, TenantState::Killed);
    house.restart().await;
    let view = house.desk().tenant("acme").await.unwrap();
    assert_eq!((view.summary.state, view.kills), (TenantState::Killed, [digest].into()));
}

/// Whoever has an old stop file may hand it in for ever, and the region tells of it each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_that_is_told_again_and_again_leaves_no_record() {
    let house = House::provisioned().await;
    let kill = house.world.kill();
    stopped(&house, kill.clone());
    house.until("all are killed", || house.everywhere(|held| !held.halts.is_empty())).await;
    house.until_settled().await;
    let kills = || house.region(HERE, |r| r.got.iter().filter(|(_, d)| d.name() == "kill").count());
    let head = house.ledger.head().unwrap();
    for n in 0..10 {
        // The region is level each time, and long ago it was owed anything.
        heard(&house, &n.to_string()).await;
        house.clock.forward(60_000);
        let before = kills();
        stopped(&house, kill.clone());
        house.until("it is told that we have it", || kills() > before).await;
    }
    house.until_settled().await;
    assert_eq!(house.ledger.head().unwrap(), head);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fork_that_a_region_tells_freezes_the_tenant_once_and_over_a_restart() {
    let mut house = House::provisioned().await;
    let other = house.world.certificate(house.register("other"), "alice", &["bob"]);
    let ours = house.register("ours");
    house.enact(ours, "alice", &["bob"]).await;
    // Not certified: nothing is learnt of it.
    house.report(HERE, &Report::Branch(Certificate { approvals: Vec::new(), ..other.clone() }));
    let met =
        |house: &House| house.ledger.entries(1, 1_000).unwrap().iter().filter(|e| e.kind == "tenant.forked").count();
    for _ in 0..3 {
        house.report(HERE, &Report::Branch(other.clone()));
    }
    house.until("the fork is learnt", || met(&house) > 0).await;
    house.until_settled().await;
    let named = Change::from_bytes(&other.change).unwrap().action.next().unwrap().digest().unwrap();
    for _ in 0..2 {
        assert_eq!(met(&house), 1);
        assert_eq!(house.desk().tenant("acme").await.unwrap().summary.forked, [named].into());
        let more = house.register("more");
        let refused = house.propose(more, "alice").await.unwrap_err().to_string();
        assert!(refused.contains("frozen") && refused.contains(&named.to_string()), "{refused}");
        house.restart().await;
    }
}
