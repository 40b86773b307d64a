//! Kills and restores: what an acknowledgement says, and what outlives a restart, a failed disk and the other's arrival.

use super::*;

#[tokio::test]
async fn a_kill_is_acknowledged_when_keys_are_gone_and_the_tombstone_holds_it() {
    let house = House::new();
    let run = house.served().await;
    let (kill, digest) = house.kill();
    assert!(!house.is_entombed(&digest));
    let ack = run.applied(&kill).await;
    assert!(house.is_entombed(&digest));
    assert_eq!((ack.change, ack.generation, ack.epoch), (Some(digest), 1, 1));
    assert_eq!((run.keys(), run.is_served()), (0, false));
    assert!(run.stops().holds(Stop::Killed));
    assert!(run.unseals().await.is_err());
    assert_eq!(run.listener.0.load(Ordering::SeqCst), 1, "its connections are closed");
}

#[tokio::test]
async fn a_kill_that_comes_again_is_answered_and_changes_nothing() {
    let house = House::new();
    let run = house.served().await;
    let (kill, _) = house.kill();
    let (first, again) = (run.applied(&kill).await, run.applied(&kill).await);
    assert_eq!((first.directive, first.change, first.generation), (again.directive, again.change, again.generation));
    let (another, _) = house.kill();
    assert_eq!(run.applied(&another).await.generation, first.generation + 1);
}

#[tokio::test]
async fn a_kill_outlives_a_restart() {
    let house = House::new();
    let run = house.served().await;
    let (kill, digest) = house.kill();
    let before = run.applied(&kill).await;
    run.stop().await;
    let run = house.start().await;
    assert_eq!(run.verdict, Verdict::Agreed);
    assert!(run.stops().holds(Stop::Killed) && !run.is_served());
    assert!(run.unseals().await.is_err());
    assert_eq!(run.held().halts, [digest].into_iter().collect());
    let again = run.applied(&kill).await;
    assert_eq!((again.change, again.generation), (before.change, before.generation));
    let link = Directive::Link(Warrant { ..house.world.warrant(house.world.link("other")) });
    assert!(run.refused(&link).await.contains("killed"));
}

#[tokio::test]
async fn a_restore_that_names_the_kill_serves_again_and_outlives_a_restart() {
    let mut house = House::new();
    let run = house.served().await;
    let (kill, digest) = house.kill();
    run.applied(&kill).await;
    let other = house.restore(2, Digest([9; 32]));
    run.applied(&other).await;
    assert!(run.stops().holds(Stop::Killed), "it named another kill");
    let restore = house.restore(3, digest);
    assert_eq!(run.applied(&restore).await.epoch, 3);
    assert_eq!(run.stops(), Stops::default());
    run.unseals().await.unwrap();
    run.stop().await;
    let run = house.start().await;
    assert_eq!((run.stops(), run.verdict.clone()), (Stops::default(), Verdict::Agreed));
    run.unseals().await.unwrap();
    assert_eq!(run.send(&kill).await.expect("no answer").why, LIFTED);
    assert!(run.is_served(), "an old kill stays restored");
}

#[tokio::test]
async fn a_kill_after_its_restore_is_remembered_and_stops_nothing() {
    let mut house = House::new();
    let run = house.served().await;
    let (kill, digest) = house.kill();
    let restore = house.restore(2, digest);
    run.applied(&restore).await;
    let ack = run.send(&kill).await.expect("no answer");
    assert_eq!((ack.outcome, ack.why.as_str(), ack.generation), (Outcome::Applied, LIFTED, 0));
    assert!(run.is_served() && house.is_entombed(&digest));
    run.stop().await;
    let run = house.start().await;
    assert!(run.is_served());
    assert_eq!(run.held().halts, [digest].into_iter().collect());
}

/// The restore was judged and put in force between the kill's judgement and its tombstone.
#[tokio::test]
async fn a_kill_that_meets_its_own_restore_does_not_outlast_it() {
    let mut house = House::new();
    let run = house.served().await;
    let (kill, digest) = house.kill();
    let Directive::Kill(warrant) = kill else { panic!("a kill") };
    let certain = run.steward.certain(&warrant).unwrap();
    run.applied(&house.restore(2, digest)).await;
    run.steward.end(&certain).await.unwrap();
    assert!(house.is_entombed(&digest) && run.keys() == 0);
    assert!(run.is_served());
}

#[tokio::test]
async fn a_kill_that_cannot_be_written_is_not_acknowledged_and_fences() {
    let house = House::new();
    let run = house.served().await;
    let (kill, digest) = house.kill();
    let (tombstone, aside) = (house.tombstone(), house.rig.path("aside"));
    fs::rename(&tombstone, &aside).unwrap();
    fs::create_dir(&tombstone).unwrap();
    for _ in 0..2 {
        assert!(run.send(&kill).await.is_none());
        assert_eq!((run.keys(), run.is_served()), (0, false));
        assert!(run.stops().holds(Stop::Killed));
        assert!(run.unseals().await.is_err());
    }
    fs::remove_dir(&tombstone).unwrap();
    fs::rename(&aside, &tombstone).unwrap();
    assert!(!house.is_entombed(&digest));
    run.applied(&kill).await;
    assert!(house.is_entombed(&digest));
}

/// A kill overtakes the ordinary lane, with the links that the region lacks. What they change is in force by it, and durable by the
/// directive that comes after and finds its link known.
#[tokio::test]
async fn callers_that_a_kill_brought_along_are_in_force() {
    let mut house = House::new();
    let run = house.served().await;
    let callers = |run: &Run| run.listener.1.load(Ordering::SeqCst);
    assert_ne!(callers(&run), 0);
    house.world.epoch = 2;
    let next = house.world.next(|root| root.callers.clear());
    let link = house.world.certificate(Action::ChangeCallers { next }, "alice", &["bob"]);
    let change = Directive::Callers(house.world.warrant(link.clone()));
    house.world.extend(&link);
    let (kill, digest) = house.kill_bringing(vec![link]);
    let ack = run.applied(&kill).await;
    run.steward.tick();
    assert_eq!((callers(&run), ack.trust_version), (0, 1), "in force, and not said to be durable");
    assert_eq!(run.applied(&change).await.trust_version, 2);
    run.stop().await;
    let run = house.start().await;
    assert_eq!((run.held().trust_version, callers(&run)), (2, 0));
    run.applied(&house.restore(3, digest)).await;
    assert!(run.is_served());
}

#[tokio::test]
async fn a_kill_that_comes_ahead_of_new_policies_brings_them() {
    let mut house = House::new();
    let run = house.served().await;
    house.world.epoch = 2;
    let link = super::grants::policy(&house.world, b"stricter");
    house.world.extend(&link);
    let (kill, digest) = house.kill_bringing(vec![link.clone()]);
    let closed = run.listener.0.load(Ordering::SeqCst);
    run.applied(&kill).await;
    let shown = || run.listener.3.lock()[&run.tenant].clone();
    run.steward.tick();
    assert_eq!(shown(), Some(b"stricter".to_vec()));
    assert!(run.listener.0.load(Ordering::SeqCst) > closed, "a kill closes all the same");
    assert_eq!(run.applied(&Directive::Trust(house.world.warrant(link))).await.trust_version, 2);
    run.applied(&house.restore(3, digest)).await;
    assert_eq!((shown(), run.is_served()), (Some(b"stricter".to_vec()), true));
}

/// The listener is reading a policy bundle, for whomever: no stop waits for it. What the stop has brought is shown before it is lifted.
#[tokio::test]
async fn no_stop_waits_for_what_it_brings_to_be_shown() {
    let mut house = House::new();
    let run = house.served().await;
    house.world.epoch = 2;
    let link = super::grants::policy(&house.world, b"stricter");
    house.world.extend(&link);
    let (kill, digest) = house.kill_bringing(vec![link]);
    let closed = run.listener.0.load(Ordering::SeqCst);
    run.listener.4.store(true, Ordering::SeqCst);
    run.applied(&kill).await;
    run.listener.4.store(false, Ordering::SeqCst);
    assert!(run.listener.0.load(Ordering::SeqCst) > closed && !run.is_served());
    let shown = || run.listener.3.lock()[&run.tenant].clone();
    assert_eq!(shown(), None);
    run.applied(&house.restore(3, digest)).await;
    assert_eq!((shown(), run.is_served()), (Some(b"stricter".to_vec()), true));
}

#[tokio::test]
async fn a_kill_that_comes_ahead_of_a_shorter_lease_brings_it() {
    let mut house = House::new();
    let run = house.served().await;
    house.world.epoch = 2;
    let link = super::grants::terms(&house.world, 600);
    house.world.extend(&link);
    let (kill, digest) = house.kill_bringing(vec![link.clone()]);
    run.applied(&kill).await;
    run.applied(&Directive::Trust(house.world.warrant(link))).await;
    run.applied(&house.restore(3, digest)).await;
    assert_eq!(run.held().lease_left, Some(600));
}

/// The disk failed between the restore's head and its lift: the same directive sent again finishes it.
#[tokio::test]
async fn a_restore_that_was_cut_short_is_finished_when_it_comes_again() {
    let mut house = House::new();
    let run = house.served().await;
    let (kill, digest) = house.kill();
    run.applied(&kill).await;
    let restore = house.restore(2, digest);
    let (tombstone, aside) = (house.tombstone(), house.rig.path("aside"));
    fs::rename(&tombstone, &aside).unwrap();
    fs::create_dir(&tombstone).unwrap();
    assert!(run.send(&restore).await.is_none());
    fs::remove_dir(&tombstone).unwrap();
    fs::rename(&aside, &tombstone).unwrap();
    assert!(run.stops().holds(Stop::Killed));
    run.applied(&restore).await;
    assert!(run.is_served());
    run.stop().await;
    assert!(house.start().await.is_served());
}

/// A region that is further behind than one directive's links: each part is refused but the last, and moves nothing that is served.
#[tokio::test]
async fn a_kill_in_parts_reaches_a_region_far_behind() {
    let mut house = House::new();
    let run = house.served().await;
    let links: Vec<_> = (0..30).map(|n| house.another_version(n)).collect();
    let kill = house.world.kill();
    let part =
        |links: &[Certificate]| Directive::Kill(Warrant { links: links.to_vec(), ..house.world.warrant(kill.clone()) });
    let (first, rest) = links.split_at(20);
    assert!(run.refused(&part(rest)).await.contains("version"), "links that do not join on lead nowhere");
    run.refused(&part(first)).await;
    assert_eq!((run.held().trust_version, run.is_served()), (1, true), "nothing but a stop is judged from there");
    let ack = run.applied(&part(rest)).await;
    assert_eq!((ack.change, run.held().trust_version), (Some(Change::digest_of(&kill.change)), 31));
    assert!(run.stops().holds(Stop::Killed) && !run.is_served());
    // What leads to nothing is forgotten with the process.
    assert!(run.steward.cell(&run.tenant).unwrap().run_up.load().is_none());
}

/// In the version that a stranger's links lead to, one who signed this stop is gone.
#[tokio::test]
async fn links_that_a_stranger_brings_keep_no_stop_out() {
    let mut house = House::new();
    let run = house.served().await;
    let (kill, digest) = house.kill();
    let lena = house.world.newcomer("lena", &["Senior_Leadership"]);
    let next = house.world.next(|root| {
        root.actors.remove(&person("dave"));
        root.actors.insert(person("lena"), lena);
    });
    let everyone = ["alice", "bob", "frank", "grace", "carol", "dave", "heidi", "ivan", "judy", "karl"];
    let link = house.world.certificate(Action::ChangeActors { next }, "erin", &everyone);
    house.world.extend(&link);
    house.another_version(1);
    let unreached = house.world.certificate(Action::RevokeL1 {}, "carol", &["heidi"]);
    run.refused(&Directive::Kill(Warrant { links: vec![link], ..house.world.warrant(unreached) })).await;
    assert!(run.steward.cell(&run.tenant).unwrap().run_up.load().is_some());
    assert_eq!(run.applied(&kill).await.change, Some(digest));
}

#[tokio::test]
async fn a_kill_is_known_once_it_came() {
    let house = House::new();
    let run = house.served().await;
    let (kill, digest) = house.kill();
    assert!(!run.steward.knows(&run.tenant, &digest));
    run.applied(&kill).await;
    assert!(run.steward.knows(&run.tenant, &digest));
}
