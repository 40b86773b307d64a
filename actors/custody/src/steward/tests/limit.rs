//! A tenant that was killed and restored as often as its tombstone has room for names: the next kill stops it like the first.

use super::*;
use crate::standing::HALTS_MAX;

/// As many digests as a standing remembers.
fn names() -> BTreeSet<Digest> {
    (0..HALTS_MAX).map(|n| Kind::Leaf.digest(&n.to_be_bytes())).collect()
}

/// A node's folder in which that many kills are known and each is restored by name.
async fn full() -> House {
    let mut house = House::new();
    let run = house.served().await;
    house.world.epoch = 2;
    run.applied(&Directive::Restore(house.world.warrant(house.world.restore(names())))).await;
    run.stop().await;
    let shelf = house.rig.shelf();
    let mut row = shelf.tenants().unwrap().remove(&house.world.tenant()).unwrap();
    row.halts = names().into_iter().collect();
    shelf.put_tenant(house.world.tenant(), &row).await.unwrap();
    shelf.close().await;
    house
}

#[tokio::test]
async fn a_kill_beyond_the_limit_stops_for_good() {
    let mut house = full().await;
    let run = house.start().await;
    run.unseals().await.unwrap();
    assert!(run.is_served() && run.keys() > 0);
    let (kill, digest) = house.kill();
    let ack = run.applied(&kill).await;
    assert_eq!((ack.change, run.keys(), run.is_served()), (Some(digest), 0, false));
    assert_eq!(run.applied(&kill).await.generation, ack.generation, "it comes again");
    run.applied(&house.kill().0).await;
    run.stop().await;
    let run = house.start().await;
    assert_eq!(run.verdict, Verdict::Agreed);
    assert!(run.stops().holds(Stop::Killed) && run.stops().holds(Stop::KilledForGood) && !run.is_served());
    assert!(run.refused(&house.restore(3, digest)).await.contains("for good"));
    run.applied(&kill).await;
    run.stop().await;
    // The high-water file outlives a store that is put back.
    house.copy_store("store", "backup");
    fs::remove_file(house.tombstone()).unwrap();
    assert!(house.start().await.stops().holds(Stop::KilledForGood));
}
