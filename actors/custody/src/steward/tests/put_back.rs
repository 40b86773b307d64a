//! Copies of the store, or of a part of it, that were put back: nobody is served under an older head than was acknowledged.

use super::*;

/// An older copy of the store: nobody is served until a head that answers a nonce of this run has arrived.
#[tokio::test]
async fn a_store_that_was_put_back_is_sealed_until_a_fresh_lease() {
    let house = House::new();
    let run = house.start().await;
    run.applied(&house.provision()).await;
    run.stop().await;
    house.copy_store("store", "backup");
    let run = house.start().await;
    let link = Directive::Link(house.world.warrant(house.world.link("k")));
    run.applied(&link).await;
    let stale = house.lease(&run.held());
    run.stop().await;
    house.copy_store("backup", "store");
    let run = house.start().await;
    assert_eq!(run.verdict, Verdict::Sealed(Reason::Behind { tenant: run.tenant }));
    assert!(run.stops().holds(Stop::Sealed) && !run.is_served());
    assert!(run.refused(&house.lease(&run.held())).await.contains("older than what this node has acknowledged"));
    assert!(run.stops().holds(Stop::Sealed));
    run.applied(&link).await;
    assert!(run.refused(&stale).await.contains("nonce"));
    assert!(run.stops().holds(Stop::Sealed) && !run.is_served());
    let fresh = house.lease(&run.held());
    run.applied(&fresh).await;
    assert!(run.is_served());
    assert!(run.refused(&fresh).await.contains("nonce"), "a nonce is used once");
}

/// The store forgot the kill, and so may whoever signs leases: it came by hand. The high-water file has not.
#[tokio::test]
async fn a_kill_outlives_a_store_that_was_put_back() {
    let mut house = House::new();
    let run = house.served().await;
    run.stop().await;
    house.copy_store("store", "backup");
    let run = house.start().await;
    let (kill, digest) = house.kill();
    run.applied(&kill).await;
    run.stop().await;
    house.copy_store("backup", "store");
    for _ in 0..2 {
        let run = house.start().await;
        assert!(matches!(run.verdict, Verdict::Sealed(_)));
        assert!(run.stops().holds(Stop::Killed) && !run.is_served());
        run.stop().await;
    }
    let run = house.start().await;
    run.applied(&house.lease(&run.held())).await;
    assert!(!run.is_served(), "a lease lifts no kill");
    run.stop().await;
    let run = house.start().await;
    assert!(!run.is_served(), "nor does a start after it");
    run.applied(&house.restore(2, digest)).await;
    assert!(run.is_served());
}

/// A store from before the tenant was founded is put back: founding it again forgets nothing that was acknowledged.
#[tokio::test]
async fn a_tenant_that_is_founded_again_is_still_killed_and_sealed() {
    let house = House::new();
    let run = house.start().await;
    run.stop().await;
    house.copy_store("store", "backup");
    let run = house.served().await;
    run.applied(&house.kill().0).await;
    run.stop().await;
    fs::remove_file(house.tombstone()).unwrap();
    house.copy_store("backup", "store");
    let run = house.start().await;
    run.applied(&house.provision()).await;
    assert!(run.stops().holds(Stop::Killed) && run.stops().holds(Stop::Sealed) && !run.is_served());
    run.stop().await;
    let run = house.start().await;
    assert!(run.stops().holds(Stop::Killed) && !run.is_served());
}

/// As above, and what the tenant is founded with again is older than what was acknowledged, says the high-water file or, where that is
/// lost too, the tombstone: a lease over the old head opens nothing until the missing changes are back.
#[tokio::test]
async fn a_tenant_that_is_founded_again_is_sealed_until_its_head_has_caught_up() {
    for remembers in ["highwater", "tombstone"] {
        let mut house = House::new();
        let run = house.start().await;
        run.stop().await;
        house.copy_store("store", "backup");
        let run = house.start().await;
        run.applied(&house.provision()).await;
        let link = Directive::Link(house.world.warrant(house.world.link("k")));
        run.applied(&link).await;
        house.world.epoch = 2;
        let next = house.world.next(|root| root.callers.clear());
        let change = house.world.certificate(Action::ChangeCallers { next }, "alice", &["bob"]);
        let change = Directive::Callers(house.world.warrant(change));
        run.applied(&change).await;
        run.stop().await;
        let forgotten = if remembers == "highwater" { house.tombstone() } else { house.rig.path("highwater") };
        fs::remove_file(forgotten).unwrap();
        house.copy_store("backup", "store");
        let run = house.start().await;
        for directive in [house.provision(), link] {
            assert_eq!(run.applied(&directive).await.trust_version, 1, "what is said to be durable");
        }
        assert!(run.stops().holds(Stop::Sealed));
        let refused = run.refused(&house.lease(&run.held())).await;
        assert!(refused.contains("older than what this node has acknowledged"), "{remembers}: {refused}");
        run.stop().await;
        let run = house.start().await;
        assert!(run.stops().holds(Stop::Sealed) && !run.is_served(), "{remembers}: over a start");
        run.applied(&change).await;
        run.applied(&house.lease(&run.held())).await;
        assert!(run.is_served(), "{remembers}");
    }
}

/// The database alone is put back; tombstone and high-water file agree with one another.
#[tokio::test]
async fn a_head_that_is_older_than_its_tombstone_is_sealed() {
    let mut house = House::new();
    let run = house.served().await;
    run.stop().await;
    let (database, aside) = (house.rig.path("store").join("custody.redb"), house.rig.path("aside"));
    fs::copy(&database, &aside).unwrap();
    let run = house.start().await;
    house.world.epoch = 2;
    let next = house.world.next(|root| root.callers.clear());
    let change = Directive::Callers(house.world.warrant(house.world.certificate(
        Action::ChangeCallers { next },
        "alice",
        &["bob"],
    )));
    run.applied(&change).await;
    run.stop().await;
    fs::copy(&aside, &database).unwrap();
    for verdict in [Verdict::Agreed, Verdict::Sealed(Reason::StillSealed { tenants: 1 })] {
        let run = house.start().await;
        assert_eq!((&run.verdict, run.held().trust_version), (&verdict, 1));
        assert!(run.stops().holds(Stop::Sealed) && !run.is_served());
        assert!(run.refused(&house.lease(&run.held())).await.contains("older than what this node has acknowledged"));
        run.steward.store_leases().await;
        run.stop().await;
    }
    let run = house.start().await;
    run.applied(&change).await;
    assert!(!run.is_served(), "no fresh nonce has been answered");
    run.applied(&house.lease(&run.held())).await;
    assert!(run.is_served());
}

/// A kill that came by hand is lost with the store, and whoever signs leases never heard of it. The earlier kill's restore, which anyone
/// can send again, does not lift it; nor does a start.
#[tokio::test]
async fn an_earlier_restore_lifts_no_kill_that_was_lost() {
    let mut house = House::new();
    let run = house.served().await;
    let (first, by_name) = house.kill();
    run.applied(&first).await;
    let earlier = house.restore(2, by_name);
    run.applied(&earlier).await;
    run.stop().await;
    house.copy_store("store", "backup");
    let run = house.start().await;
    assert!(run.is_served());
    let (second, lost) = house.kill();
    run.applied(&second).await;
    run.stop().await;
    house.copy_store("backup", "store");
    for _ in 0..3 {
        let run = house.start().await;
        run.applied(&house.lease(&run.held())).await;
        run.applied(&earlier).await;
        assert_eq!(run.stops(), Stops::default().with(Stop::Killed));
        run.stop().await;
    }
    house.copy_store("store", "aside");
    fs::copy(house.rig.path("highwater"), house.rig.path("aside-highwater")).unwrap();
    // Restored by its name alone, or sent again first.
    for again in [false, true] {
        house.copy_store("aside", "store");
        fs::copy(house.rig.path("aside-highwater"), house.rig.path("highwater")).unwrap();
        let run = house.start().await;
        if again {
            run.applied(&second).await;
            run.applied(&earlier).await;
            assert!(!run.is_served());
        }
        run.applied(&house.restore(3, lost)).await;
        assert!(run.is_served(), "sent again: {again}");
        run.stop().await;
        let run = house.start().await;
        assert!(run.is_served() && run.verdict == Verdict::Agreed);
        run.stop().await;
    }
}

/// Another kill comes before the lost one does, which is sent again or only named: the restore of both serves, that of one does not.
#[tokio::test]
async fn a_lost_kill_is_found_beside_those_that_came_since() {
    for again in [false, true] {
        let mut house = House::new();
        let run = house.served().await;
        run.stop().await;
        house.copy_store("store", "backup");
        let run = house.start().await;
        let (first, lost) = house.kill();
        run.applied(&first).await;
        run.stop().await;
        house.copy_store("backup", "store");
        let run = house.start().await;
        run.applied(&house.lease(&run.held())).await;
        let (second, since) = house.kill();
        run.applied(&second).await;
        if again {
            run.applied(&first).await;
        }
        run.stop().await;
        let run = house.start().await;
        run.applied(&house.restore(2, since)).await;
        assert!(run.stops().holds(Stop::Killed));
        house.world.epoch = 3;
        run.applied(&Directive::Restore(house.world.warrant(house.world.restore([lost, since])))).await;
        assert!(run.is_served(), "sent again: {again}");
        run.stop().await;
        let run = house.start().await;
        assert!(run.is_served() && run.verdict == Verdict::Agreed);
    }
}
