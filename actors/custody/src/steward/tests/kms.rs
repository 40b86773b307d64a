//! What the customer's KMS says: a no is durable, a yes lifts it, and neither counts when it is overtaken.

use super::*;

#[tokio::test]
async fn the_customers_no_is_durable_and_a_probe_lifts_it() {
    let house = House::new();
    let run = house.served().await;
    run.stop().await;
    *house.rig.kms.mood.lock() = Mood::Stopped(l1::Stop::Disabled);
    let mut run = house.start().await;
    run.hears(l1::State::Disabled).await;
    assert_eq!((run.keys(), run.stops()), (0, Stops::default().with(Stop::L1Stop)));
    assert_eq!(run.held().l1, L1State::Disabled);
    run.stop().await;
    *house.rig.kms.mood.lock() = Mood::Away;
    let mut run = house.start().await;
    run.hears(l1::State::Unreachable).await;
    assert!(run.stops().holds(Stop::L1Stop), "silence does not soften a no");
    run.stop().await;
    *house.rig.kms.mood.lock() = Mood::Fine;
    let mut run = house.start().await;
    assert!(run.stops().holds(Stop::L1Stop), "it is durable");
    run.hears(l1::State::Enabled).await;
    assert_eq!(run.stops(), Stops::default());
    run.stop().await;
    assert_eq!(house.start().await.stops(), Stops::default(), "the lift is durable too");
}

/// The customer's no met a disk that failed: it is written down when the KMS says it again.
#[tokio::test]
async fn a_no_that_could_not_be_written_is_written_when_it_comes_again() {
    let house = House::new();
    let run = house.served().await;
    run.stop().await;
    *house.rig.kms.mood.lock() = Mood::Stopped(l1::Stop::Disabled);
    let mut run = house.start().await;
    let (tombstone, aside) = (house.tombstone(), house.rig.path("aside"));
    fs::rename(&tombstone, &aside).unwrap();
    fs::create_dir(&tombstone).unwrap();
    run.hears(l1::State::Disabled).await;
    fs::remove_dir(&tombstone).unwrap();
    fs::rename(&aside, &tombstone).unwrap();
    run.l1_says(run.link().await, l1::State::Disabled).await;
    run.stop().await;
    *house.rig.kms.mood.lock() = Mood::Away;
    assert!(house.start().await.stops().holds(Stop::L1Stop));
}

/// What the KMS was seen to say is brought by tasks that may overtake each other: the older yes lifts no newer no.
#[tokio::test]
async fn a_yes_that_comes_late_lifts_no_newer_no() {
    let house = House::new();
    let run = house.served().await;
    run.stop().await;
    *house.rig.kms.mood.lock() = Mood::Stopped(l1::Stop::Disabled);
    let mut run = house.start().await;
    run.hears(l1::State::Disabled).await;
    run.l1_says(run.link().await, l1::State::Enabled).await;
    assert!(run.stops().holds(Stop::L1Stop));
}

/// The task that brings a no is overtaken by the people's new link: it was not said of the key in force.
#[tokio::test]
async fn a_no_of_a_former_link_stops_nothing() {
    let mut house = House::new();
    let run = house.served().await;
    let former = run.link().await;
    house.world.epoch = 2;
    run.applied(&Directive::Link(house.world.warrant(house.world.link("other")))).await;
    run.l1_says(former, l1::State::Disabled).await;
    assert_eq!(run.stops(), Stops::default());
    run.l1_says(run.link().await, l1::State::Disabled).await;
    assert!(run.stops().holds(Stop::L1Stop));
}

/// The task that brings a no is overtaken by the same link, sent again by anyone: it was said of the key in force.
#[tokio::test]
async fn a_no_that_a_repeated_link_overtakes_stops() {
    let mut house = House::new();
    let run = house.start().await;
    run.applied(&house.provision()).await;
    let link = Directive::Link(house.world.warrant(house.world.link("k")));
    run.applied(&link).await;
    let said_under = run.link().await;
    run.applied(&link).await;
    run.l1_says(said_under, l1::State::Disabled).await;
    assert!(run.stops().holds(Stop::L1Stop));
    run.applied(&link).await;
    assert!(run.stops().holds(Stop::L1Stop), "it lifts nothing twice");
    // The people link the very key anew: what was said of it before they did counts no longer.
    house.world.epoch = 2;
    run.applied(&Directive::Link(house.world.warrant(house.world.link("k")))).await;
    assert_eq!(run.stops(), Stops::default());
    run.l1_says(said_under, l1::State::Disabled).await;
    assert_eq!(run.stops(), Stops::default());
}

/// The disk fails between a new link's head and the lift of what L1 said before: the new key's KMS is asked all the same, and the link
/// sent again, or the next start, ends it.
#[tokio::test]
async fn a_link_that_was_cut_short_is_finished_when_it_comes_again() {
    for restart in [false, true] {
        let mut house = House::new();
        let mut run = house.served().await;
        run.l1_says(run.link().await, l1::State::Disabled).await;
        assert!(run.stops().holds(Stop::L1Stop));
        house.world.epoch = 2;
        let link = Directive::Link(house.world.warrant(house.world.link("other")));
        let (tombstone, aside) = (house.tombstone(), house.rig.path("aside"));
        let cell = run.steward.cell(&run.tenant).unwrap();
        // Taken for the lift, and not for the head.
        let turn = cell.l1_turn.lock().await;
        let failing = async {
            while cell.standing.load().epoch() < 2 {
                tokio::task::yield_now().await;
            }
            fs::rename(&tombstone, &aside).unwrap();
            fs::create_dir(&tombstone).unwrap();
            drop(turn);
        };
        let (answer, ()) = tokio::join!(run.send(&link), failing);
        assert!(answer.is_none() && run.stops().holds(Stop::L1Stop));
        fs::remove_dir(&tombstone).unwrap();
        fs::rename(&aside, &tombstone).unwrap();
        let serial = run.link().await;
        let asked = async {
            while !matches!(run.seen.recv().await, Some(Observed::L1 { link, .. }) if link == serial && serial != 0) {}
        };
        tokio::time::timeout(std::time::Duration::from_secs(10), asked).await.expect("the new key is not asked");
        if restart {
            run.stop().await;
            *house.rig.kms.mood.lock() = Mood::Away;
            run = house.start().await;
        } else {
            run.applied(&link).await;
        }
        assert_eq!(run.stops(), Stops::default(), "restart: {restart}");
    }
}
