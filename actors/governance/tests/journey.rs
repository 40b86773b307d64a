//! Journeys through the whole crate: the door, the tenants, the ledger, the couriers, and regions that keep to the protocol.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "support of tests: what is wrong in a test should stop that test where it stands"
)]

mod foundings;
mod hellos;
mod notices;
mod support;

use std::sync::atomic::Ordering;

use governance::{Confirmation, Filter, Happened, State, TenantState};
use ledger::Ledger;
use orbital::{
    change::Action,
    directive::Directive,
    lane::Lane,
    report::{L1State, Outcome, Report},
    testing::{World, link_l1, region},
    vote::Role,
};
use support::{House, correlation, framed, node_of};

/// Provision, register, link, revoke, restore; governance is started anew before the step of this number.
async fn whole(restart_before: usize) {
    let mut house = House::new().await;
    for step in 0..7 {
        if step == restart_before {
            house.restart().await;
        }
        match step {
            0 => _ = house.desk().provision(house.world.genesis(), correlation()).await.unwrap(),
            1 => _ = house.enact(house.register("billing"), "alice", &["bob"]).await,
            2 => _ = house.propose(link_l1("k"), "alice").await.unwrap(),
            3 => {
                let listed =
                    house.desk().proposals(Filter { state: Some(State::Open), ..Filter::default() }).await.unwrap();
                house.approve(&listed[0], "bob").await.unwrap();
                house.until_state(&listed[0].id, State::Active).await;
                house.follow().await;
            }
            4 => _ = house.propose(Action::RevokeL1 {}, "carol").await.unwrap(),
            5 => {
                let listed =
                    house.desk().proposals(Filter { state: Some(State::Open), ..Filter::default() }).await.unwrap();
                let view = house.approve(&listed[0], "dave").await.unwrap();
                assert_eq!(view.state, State::Applying);
                house.until_state(&view.id, State::Active).await;
                assert!(house.everywhere(|held| held.halts.len() == 1));
                assert_eq!(house.desk().tenant("acme").await.unwrap().summary.state, TenantState::Killed);
            }
            _ => {
                let kills = house.desk().tenant("acme").await.unwrap().kills;
                house.enact(Action::RestoreL1 { kills }, "alice", &["bob", "carol", "dave"]).await;
            }
        }
    }
    house.until_settled().await;
    let view = house.desk().tenant("acme").await.unwrap();
    assert_eq!((view.summary.state, view.summary.trust_version, view.summary.epoch), (TenantState::Active, 2, 3));
    assert!(house.everywhere(|held| held.linked.is_some() && held.lifted.kills == view.restored));
    let verified = house.desk().verify().await.unwrap();
    assert!(verified.sound && verified.entries > 20, "{verified:?}");
    // A last start sees what the last run saw.
    let before = house.desk().proposals(Filter::default()).await.unwrap();
    house.restart().await;
    let after = house.desk().proposals(Filter::default()).await.unwrap();
    let known = |views: &[governance::ProposalView]| serde_json::to_value(views).unwrap();
    assert_eq!(known(&before), known(&after));
}

macro_rules! restarts {
    ($($name:ident = $step:literal;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() { whole($step).await; }
    )*};
}

restarts! {
    the_whole_way_without_a_restart = 99;
    the_whole_way_with_a_restart_before_the_tenant = 0;
    the_whole_way_with_a_restart_before_the_system = 1;
    the_whole_way_with_a_restart_before_the_link = 2;
    the_whole_way_with_a_restart_while_the_link_is_open = 3;
    the_whole_way_with_a_restart_before_the_kill = 4;
    the_whole_way_with_a_restart_while_the_kill_is_open = 5;
    the_whole_way_with_a_restart_while_killed = 6;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_kill_reaches_a_region_that_was_away() {
    let mut house = House::provisioned().await;
    house.enact(link_l1("k"), "alice", &["bob"]).await;
    house.cut("us-east");
    let stop = house.propose(Action::RevokeL1 {}, "carol").await.unwrap();
    house.approve(&stop, "dave").await.unwrap();
    let here = |name: &str| house.region(name, |r| r.tenants.values().any(|held| !held.halts.is_empty()));
    house.until("the connected regions are killed", || here("eu-frankfurt") && here("ch-zurich")).await;
    let desk = house.desk();
    let confirmed = || async { desk.proposal(stop.id.clone()).await.unwrap() };
    let mut events = desk.events(None);
    let mut view = confirmed().await;
    while view.regions.values().filter(|r| r.confirmation == Confirmation::Applied).count() < 2 {
        let _either = tokio::time::timeout(std::time::Duration::from_millis(5), events.next()).await;
        view = confirmed().await;
    }
    assert_eq!(view.state, State::Applying);
    assert_eq!(view.regions[&region("us-east")].confirmation, Confirmation::Waiting);
    assert!(!here("us-east"));
    // Silence is told.
    house.clock.forward(6_000);
    loop {
        let event = events.next().await.unwrap();
        if let Happened::Unconfirmed { regions, .. } = &event.happened {
            assert_eq!(*regions, [region("us-east")]);
            break;
        }
    }
    house.restart().await;
    let view = house.until_state(&stop.id, State::Active).await;
    let kill = &view.regions[&region("us-east")];
    assert_eq!((kill.confirmation, kill.took_us, kill.members.len()), (Confirmation::Applied, Some(250), 1));
    assert!(kill.waited_us.unwrap() >= 6_000_000, "counted over the restart, by the wall clock");
    house.until_settled().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stalled_directive_is_told() {
    let house = House::provisioned().await;
    house.region("us-east", |r| r.mute = true);
    let stop = house.propose(Action::RevokeL1 {}, "carol").await.unwrap();
    let mut events = house.desk().events(None);
    house.approve(&stop, "dave").await.unwrap();
    house.clock.forward(6_000);
    loop {
        if let Happened::Stalled { region: at, lane, .. } = &events.next().await.unwrap().happened {
            assert_eq!((at, *lane), (&region("us-east"), Lane::Critical));
            break;
        }
    }
    let shown = house.desk().regions().into_iter().find(|r| r.name == region("us-east")).unwrap();
    assert!(shown.critical.connected);
    house
        .until("it was sent again", || {
            // The first send may have come after the clock moved: time passes with each look.
            house.clock.forward(50);
            house.region("us-east", |r| r.got.iter().filter(|(_, d)| d.name() == "kill").count() > 1)
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_decision_that_is_not_durable_does_not_exist() {
    let mut house = House::provisioned().await;
    let link = house.propose(link_l1("k"), "alice").await.unwrap();
    house.until_settled().await;
    let stop = house.propose(Action::RevokeL1 {}, "carol").await.unwrap();
    house.ledger.full.store(true, Ordering::SeqCst);
    let entries = house.ledger.head().unwrap();
    let failed = house.approve(&link, "bob").await.unwrap_err();
    assert_eq!(failed.code(), "ledger");
    assert!(failed.to_string().contains("disk"), "{failed}");
    assert_eq!(house.ledger.head().unwrap(), entries);
    assert_eq!(house.desk().proposal(link.id.clone()).await.unwrap().state, State::Open);
    let sent = |house: &House, name: &str| house.region("us-east", |r| r.got.iter().any(|(_, d)| d.name() == name));
    assert!(!sent(&house, "link"));
    // A stop is still taken: it may use the reserve.
    house.approve(&stop, "dave").await.unwrap();
    house.until_state(&stop.id, State::Active).await;
    assert!(sent(&house, "kill") && house.ledger.reserved.load(Ordering::SeqCst) >= 4);
    house.ledger.full.store(false, Ordering::SeqCst);
    assert_eq!(house.approve(&link, "bob").await.unwrap_err().code(), "tenant-killed");
    house.restart().await;
    assert_eq!(house.desk().proposal(link.id).await.unwrap().state, State::Open);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_a_region_cannot_use_waits_and_is_tried_again() {
    let house = House::provisioned().await;
    house.region("ch-zurich", |r| r.l1 = L1State::Forbidden);
    let link = house.propose(link_l1("k"), "alice").await.unwrap();
    house.until_settled().await;
    house.approve(&link, "bob").await.unwrap();
    house.until_settled().await;
    let view = house.desk().proposal(link.id.clone()).await.unwrap();
    assert_eq!((view.state, view.probes[&region("ch-zurich")].state), (State::Ratified, Some(L1State::Forbidden)));
    assert_eq!(view.probes[&region("ch-zurich")].why, "the key does not work");
    house.region("ch-zurich", |r| r.l1 = L1State::Enabled);
    house.desk().probe_again(link.id.clone(), correlation()).await.unwrap();
    house.until_state(&link.id, State::Active).await;
    house.until_settled().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proposal_ends_with_its_time() {
    let house = House::provisioned().await;
    let link = house.propose(link_l1("k"), "alice").await.unwrap();
    house.clock.forward(3_700_000);
    assert_eq!(house.approve(&link, "bob").await.unwrap_err().code(), "expired");
    house.until_state(&link.id, State::Expired).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proposer_withdraws_and_others_reject() {
    let house = House::provisioned().await;
    let link = house.propose(link_l1("k"), "alice").await.unwrap();
    let vote = house.world.answer(Role::Reject, &link.proposal, "alice");
    let view = house.desk().withdraw(link.id.clone(), vote, correlation()).await.unwrap();
    assert_eq!(view.state, State::Withdrawn);
    let link = house.propose(link_l1("k"), "alice").await.unwrap();
    let vote = house.world.answer(Role::Reject, &link.proposal, "bob");
    let view = house.desk().answer(link.id.clone(), Role::Reject, vote, correlation()).await.unwrap();
    assert_eq!((view.state, view.rejections.len()), (State::Rejected, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_lost_its_store_is_brought_back() {
    let mut house = House::provisioned().await;
    house.enact(house.register("billing"), "alice", &["bob"]).await;
    house.enact(link_l1("k"), "alice", &["bob"]).await;
    house.enact(house.register("orders-2"), "alice", &["bob"]).await;
    house.until_settled().await;
    house.region("us-east", |r| r.tenants.clear());
    house.hello("us-east", None);
    house
        .until("it has caught up", || house.everywhere(|held| held.chain.version() == 3 && held.linked.is_some()))
        .await;
    house.until_settled().await;
    house.hello("us-east", None);
    let stop = house.propose(Action::RevokeL1 {}, "carol").await.unwrap();
    house.approve(&stop, "dave").await.unwrap();
    house.until_state(&stop.id, State::Active).await;
    // A kill that it forgot is owed again, in the critical lane.
    house.until_settled().await;
    house.region("us-east", |r| r.tenants.values_mut().for_each(|held| held.halts.clear()));
    house.clock.forward(10_000);
    house.hello("us-east", None);
    house.until("it is killed again", || house.everywhere(|held| held.halts.len() == 1)).await;
    let last = house.region("us-east", |r| r.got.iter().rev().find(|(_, d)| d.name() == "kill").unwrap().0);
    assert_eq!(last, Lane::Critical);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_is_renewed_for_the_nonce_of_the_region() {
    let house = House::provisioned().await;
    house.hello("us-east", Some("AAAAAAAAAAAAAAAAAAAAAA"));
    let renewed = || house.region("us-east", |r| r.tenants.values().flat_map(|held| held.leases.clone()).next());
    house.until("the lease came", || renewed().is_some()).await;
    let grant = renewed().unwrap();
    assert_eq!((grant.nonce.as_str(), grant.seconds), ("AAAAAAAAAAAAAAAAAAAAAA", 3_600));
    assert!(house.region("eu-frankfurt", |r| r.tenants.values().all(|held| held.leases.is_empty())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_no_region_signed_settles_nothing() {
    let house = House::provisioned().await;
    for name in ["eu-frankfurt", "ch-zurich", "us-east"] {
        house.region(name, |r| r.mute = true);
    }
    let stop = house.propose(Action::RevokeL1 {}, "carol").await.unwrap();
    house.approve(&stop, "dave").await.unwrap();
    let kill = || house.region("us-east", |r| r.got.iter().find(|(_, d)| d.name() == "kill").map(|(_, d)| d.clone()));
    house.until("the kill came", || kill().is_some()).await;
    let Some(Directive::Kill(warrant)) = kill() else { panic!() };
    let mut ack = orbital::report::SyncAck {
        domain: orbital::sign::Kind::SyncAck.domain(),
        deployment: house.world.deployment(),
        tenant: warrant.tenant,
        region: region("us-east"),
        directive: Directive::digest_of(&Directive::Kill(warrant).encode().unwrap()),
        change: Some(stop.digest),
        outcome: Outcome::Applied,
        why: String::new(),
        members: [node_of("us-east")].into(),
        trust_version: 1,
        epoch: 0,
        generation: 1,
        at_us: 1,
        took_us: 1,
    };
    let report =
        |key: &str, ack: &orbital::report::SyncAck| Report::SyncAck(ack.sign(house.world.report_key(key)).unwrap());
    let send = |from: &str, as_node: &str, report: &Report| {
        let frame = house.region(from, |r| framed(r, Lane::Critical, report));
        house.governance.received(&node_of(as_node), Lane::Critical, frame);
    };
    send("us-east", "us-east", &report("ch-zurich", &ack)); // Not its report key.
    send("ch-zurich", "us-east", &report("us-east", &ack)); // Not its frame key.
    send("ch-zurich", "ch-zurich", &report("us-east", &ack)); // Another region's acknowledgement.
    ack.directive = orbital::names::Digest([1; 32]);
    send("us-east", "us-east", &report("us-east", &ack)); // Of nothing that is owed.
    // The same lane is in order: once this one is taken, the others were looked at.
    let Some(Directive::Kill(warrant)) = kill() else { panic!() };
    ack.directive = Directive::digest_of(&Directive::Kill(warrant).encode().unwrap());
    send("us-east", "us-east", &report("us-east", &ack));
    let entries = || house.ledger.entries(1, 1_000).unwrap().iter().filter(|e| e.kind == "region.acknowledged").count();
    house.until("the good one is written", || entries() == 4).await;
    send("us-east", "us-east", &report("us-east", &ack));
    let view = house.desk().proposal(stop.id).await.unwrap();
    let applied = view.regions.values().filter(|r| r.confirmation == Confirmation::Applied).count();
    assert_eq!((view.state, applied), (State::Applying, 1));
    assert_eq!(entries(), 4, "three of the genesis and one of the kill");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_door_refuses_what_founds_no_tenant() {
    let house = House::provisioned().await;
    let desk = house.desk();
    let code = |genesis| {
        let desk = desk.clone();
        async move { desk.provision(genesis, correlation()).await.map(drop).unwrap_err().code() }
    };
    assert_eq!(code(house.world.genesis()).await, "tenant-known");
    assert_eq!(code(World::of("elsewhere", "acme").genesis()).await, "other-deployment");
    assert_eq!(code(World::of("test", "globex").genesis()).await, "unknown-policy");
    let mut unsigned = house.world.genesis();
    unsigned.signatures.pop_first();
    assert_eq!(code(unsigned).await, "bad-genesis");
    let policy = house.world.trust().policy;
    let far = World::founded("test", "far", |root| {
        root.policy = policy;
        let us = root.regions.remove(&region("us-east")).unwrap();
        root.regions.insert(region("mars"), us);
    });
    assert_eq!(code(far.genesis()).await, "unknown-region");
    assert_eq!(desk.tenant("nobody").await.unwrap_err().code(), "unknown-tenant");
    let twin = World::founded("test", "acme", |root| {
        root.policy = policy;
        root.lease.seconds = 60;
    });
    assert_eq!(code(twin.genesis()).await, "anchor-taken", "acme's own client");
    let twin = World::founded("test", "acme", |root| {
        root.policy = policy;
        root.callers.clear();
    });
    desk.provision(twin.genesis(), correlation()).await.unwrap();
    assert_eq!(desk.tenant("acme").await.unwrap_err().code(), "ambiguous-name");
    assert_eq!(desk.tenant(&twin.tenant().to_string()).await.unwrap().summary.id, twin.tenant());
    assert_eq!(desk.tenants().await.unwrap().len(), 2);
    let nothing = orbital::names::ProposalId::new("nothing").unwrap();
    assert_eq!(desk.proposal(nothing).await.unwrap_err().code(), "unknown-proposal");
}

/// One tenant's anchors are no other's: from the moment in which a ChangeCallers comes into force, across a restart, until it gives them up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_anchor_is_one_tenants() {
    let mut house = House::provisioned().await;
    let policy = house.world.trust().policy;
    let rival = |name: &str| {
        World::founded("test", name, |root| {
            root.policy = policy;
            root.callers = World::of("test", "wanted").trust().callers.clone();
        })
    };
    let action = Action::ChangeCallers {
        next: house.world.next(|root| root.callers.extend(World::of("test", "wanted").trust().callers.clone())),
    };
    house.enact(action, "alice", &["bob"]).await;
    let found = async |house: &House| house.desk().provision(rival("globex").genesis(), correlation()).await;
    assert_eq!(found(&house).await.unwrap_err().code(), "anchor-taken");
    house.restart().await;
    assert_eq!(found(&house).await.unwrap_err().code(), "anchor-taken");
    let own = World::of("test", "acme").trust().callers.clone();
    let action = Action::ChangeCallers { next: house.world.next(|root| root.callers = own) };
    house.enact(action, "alice", &["bob"]).await;
    found(&house).await.unwrap();
}

/// However long the ledger is: what the founding has just written is not read from it again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_founding_reads_no_ledger() {
    let house = House::provisioned().await;
    let read = || house.ledger.read.load(std::sync::atomic::Ordering::SeqCst);
    let before = read();
    let policy = house.world.trust().policy;
    let globex = World::founded("test", "globex", |root| root.policy = policy);
    house.desk().provision(globex.genesis(), correlation()).await.unwrap();
    let here = |name: &str| house.region(name, |r| r.tenants.contains_key(&globex.tenant()));
    house.until("the regions know the tenant", || here("us-east") && here("ch-zurich")).await;
    assert_eq!(house.desk().tenant("globex").await.unwrap().summary.id, globex.tenant());
    assert_eq!(read(), before);
}

/// Two tenants' actors decide beside each other: the last approvals of both come at once, and one anchor has one holder.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_claims_at_once_one_comes_into_force() {
    let house = House::provisioned().await;
    let (desk, policy) = (house.desk(), house.world.trust().policy);
    let mut rival = World::founded("test", "globex", |root| root.policy = policy);
    rival.expires = house.world.expires;
    desk.provision(rival.genesis(), correlation()).await.unwrap();
    let wanted = World::of("test", "wanted").trust().callers.clone();
    let mut votes = Vec::new();
    for world in [&house.world, &rival] {
        let next = world.next(|root| root.callers.extend(wanted.clone()));
        let bytes = world.change(Action::ChangeCallers { next }).to_bytes().unwrap();
        let statement = world.propose(&bytes, "alice");
        let view = desk.propose(bytes, statement.clone(), None, correlation()).await.unwrap();
        votes.push((view.id, world.answer(Role::Approve, &statement, "bob")));
    }
    let [(one, first), (two, second)] = votes.try_into().unwrap();
    let answered = tokio::join!(
        desk.answer(one, Role::Approve, first, correlation()),
        desk.answer(two, Role::Approve, second, correlation())
    );
    let refused: Vec<_> = [answered.0, answered.1].into_iter().filter_map(Result::err).map(|e| e.code()).collect();
    assert_eq!(refused, ["anchor-taken"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_simulation_shows_both_clocks_and_what_goes_on() {
    let mut house = House::provisioned().await;
    house.enact(link_l1("k"), "alice", &["bob"]).await;
    house.hello("us-east", None);
    house.hello("eu-frankfurt", None);
    let desk = house.desk();
    let heard = || desk.regions().iter().filter(|r| r.hello_ms.is_some()).count() == 2;
    house.until("both said what they hold", heard).await;
    let told = |name: &str| desk.seen_by(name).regions().iter().filter(|r| !r.tenants.is_empty()).count();
    assert_eq!(
        [told("alice"), told("spiffe://test/person/olga"), told("mallory")],
        [2, 2, 0],
        "each sees its own tenants"
    );
    house.cut("us-east");
    house.until("the cut is seen", || desk.regions().iter().any(|r| !r.critical.connected)).await;
    let simulation = desk.simulate("acme").await.unwrap();
    assert_eq!((simulation.nodes_locked_ms, simulation.clients_locked_out_s), (Some(600_000), 900));
    let by_name = |name: &str| simulation.regions.iter().find(|r| r.region == region(name)).unwrap();
    assert_eq!((by_name("us-east").connected, by_name("us-east").locked_ms), (false, Some(600_000)));
    assert_eq!((by_name("eu-frankfurt").locked_ms, by_name("eu-frankfurt").keys), (Some(50), Some(2)));
    assert!(simulation.goes_on.iter().any(|line| line.contains("us-east is not connected")));
    assert_eq!(simulation.rule[0].1, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn both_lanes_beat_and_a_watcher_sees_the_kill() {
    let house = House::provisioned().await;
    house.until("heartbeats come", || house.region("us-east", |r| r.heartbeats > 2)).await;
    let mut events = house.desk().events(None);
    let stop = house.propose(Action::RevokeL1 {}, "carol").await.unwrap();
    house.approve(&stop, "dave").await.unwrap();
    let (mut acknowledged, mut states, mut entries) = (0, Vec::new(), Vec::new());
    while acknowledged < 3 || states.last() != Some(&State::Active) {
        match &events.next().await.unwrap().happened {
            Happened::Acknowledged { took_us: 250, outcome: Outcome::Applied, proposal, .. } => {
                assert_eq!(proposal.as_ref(), Some(&stop.id));
                acknowledged += 1;
            }
            Happened::Proposal { state, .. } => states.push(*state),
            Happened::Entry { kind, .. } => entries.push(kind.clone()),
            _ => {}
        }
    }
    states.dedup();
    assert_eq!(states, [State::Open, State::Ratified, State::Applying, State::Active]);
    assert!(entries.contains(&"proposal.applied".to_owned()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_governance_that_ends_sends_what_was_decided_last_and_closes_its_ledger() {
    let house = House::provisioned().await;
    house.region("us-east", |r| r.mute = true);
    let stop = house.propose(Action::RevokeL1 {}, "carol").await.unwrap();
    house.approve(&stop, "dave").await.unwrap();
    house.governance.stop().await;
    assert_eq!(house.ledger.closed.load(Ordering::SeqCst), 1);
    let kills = || house.region("us-east", |r| r.got.iter().filter(|(_, d)| d.name() == "kill").count());
    house.until("the kill left", || kills() > 0).await;
    assert_eq!(house.ledger.owed_count("us-east", Lane::Critical.number()).unwrap(), 1, "owed until it is answered");
    let refused = house.propose(house.register("billing"), "alice").await.unwrap_err();
    assert!(matches!(refused, governance::Error::Fault(_)), "{refused}");
}
