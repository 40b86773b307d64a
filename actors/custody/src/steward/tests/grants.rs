//! Foundings, links, callers and leases: durable first, then in force.

use super::*;

#[tokio::test]
async fn a_tenant_is_founded_once_and_only_when_pinned() {
    let house = House::new();
    let run = house.start_pinning(BTreeSet::new()).await;
    assert!(run.refused(&house.provision()).await.contains("[pin]"));
    run.stop().await;
    let run = house.start().await;
    run.applied(&house.provision()).await;
    run.applied(&house.provision()).await;
    let system = System::new("billing").unwrap();
    let next = house.world.next(|root| assert!(root.systems.insert(system.clone())));
    let link = house.world.certificate(Action::RegisterSystem { system, next }, "alice", &["bob"]);
    let another = Directive::Provision { genesis: house.world.genesis(), links: vec![link] };
    assert!(run.refused(&another).await.contains("known here already"));
    assert_eq!(run.held().trust_version, 1);
}

/// The node stopped between a new tenant's tombstone and its row: it starts, and the tenant can be founded again.
#[tokio::test]
async fn a_provisioning_that_was_cut_short_holds_up_no_start() {
    let house = House::new();
    let run = house.start().await;
    run.stop().await;
    house.copy_store("store", "backup");
    let run = house.start().await;
    run.applied(&house.provision()).await;
    run.stop().await;
    let tombstone = fs::read(house.tombstone()).unwrap();
    house.copy_store("backup", "store");
    fs::write(house.tombstone(), tombstone).unwrap();
    fs::remove_file(house.rig.path("highwater")).unwrap();
    let run = house.start().await;
    run.steward.store_leases().await;
    run.applied(&house.provision()).await;
    assert!(run.is_served());
}

#[tokio::test]
async fn a_link_to_a_provider_that_is_not_here_is_not_acknowledged() {
    let house = House::new();
    let run = house.start().await;
    run.applied(&house.provision()).await;
    let l1 = orbital::change::L1Ref { provider: System::new("elsewhere").unwrap(), key: KeyRef::new("k").unwrap() };
    let link = house.world.certificate(Action::LinkL1 { l1 }, "alice", &["bob"]);
    let link = Directive::Link(house.world.warrant(link));
    for _ in 0..2 {
        assert!(run.send(&link).await.is_none());
        assert_eq!(run.held().linked, None);
        assert!(matches!(run.unseals().await, Err(Error::NotLinked(_))));
    }
}

/// Whoever held an anchor first goes first, whatever the tenants' ids say, and a restart does not forget it.
#[tokio::test]
async fn the_turn_in_which_an_anchor_became_durable_outlives_a_restart() {
    let mut house = House::new();
    let ours = house.world.trust().callers.first().unwrap().anchor.clone();
    let regions = house.world.trust().regions.clone();
    let other = World::founded("test", "globex", |root| root.regions = regions);
    let both = BTreeSet::from([house.world.tenant(), other.tenant()]);
    let claim = |run: &Run, of: &World, of_anchor: &Anchor| {
        run.listener.2.lock()[&of.tenant()].get(&anchor(of_anchor)).copied()
    };
    let run = house.start_pinning(both.clone()).await;
    run.applied(&Directive::Provision { genesis: other.genesis(), links: Vec::new() }).await;
    run.applied(&house.provision()).await;
    let theirs = other.trust().callers.first().unwrap().anchor.clone();
    assert_eq!(claim(&run, &other, &theirs), Some(1));
    let second = claim(&run, &house.world, &ours);
    assert_eq!(second, Some(2));

    let system = System::new("orders").unwrap();
    let stolen = CallerRule { anchor: theirs.clone(), system, name: Some(System::new("narrowed").unwrap()) };
    let next = house.world.next(|root| _ = root.callers.insert(stolen));
    let link = house.world.certificate(Action::ChangeCallers { next }, "alice", &["bob"]);
    run.applied(&Directive::Callers(house.world.warrant(link.clone()))).await;
    house.world.extend(&link);
    let expected = |run: &Run| {
        assert_eq!(claim(run, &house.world, &ours), second, "what it had keeps its turn");
        assert_eq!(claim(run, &other, &theirs), Some(1));
        assert_eq!(claim(run, &house.world, &theirs), Some(3), "the later claim comes after");
    };
    expected(&run);
    run.stop().await;
    expected(&house.start_pinning(both).await);
}

/// A change of the policies with this bundle, certified.
pub(super) fn policy(world: &World, bundle: &[u8]) -> orbital::certificate::Certificate {
    let next = world.next(|root| root.policy = Kind::Policy.digest(bundle));
    world.certificate(Action::ChangePolicy { next, bundle: bundle.to_vec() }, "judy", &["erin"])
}

#[tokio::test]
async fn new_policies_are_shown_over_a_start_and_close_nothing() {
    let mut house = House::new();
    let run = house.served().await;
    let shown = |run: &Run| run.listener.3.lock()[&run.tenant].clone();
    assert_eq!(shown(&run), None, "what the genesis names, nobody has brought");
    house.world.epoch = 2;
    let link = policy(&house.world, b"stricter");
    let closed = run.listener.0.load(Ordering::SeqCst);
    assert_eq!(run.applied(&Directive::Trust(house.world.warrant(link.clone()))).await.trust_version, 2);
    assert_eq!((shown(&run), run.listener.0.load(Ordering::SeqCst)), (Some(b"stricter".to_vec()), closed));
    house.world.extend(&link);
    run.stop().await;
    assert_eq!(shown(&house.start().await), Some(b"stricter".to_vec()));
}

/// A change of the lease to so many seconds, certified.
pub(super) fn terms(world: &World, seconds: u64) -> orbital::certificate::Certificate {
    let next = world.next(|root| {
        root.lease.seconds = seconds;
        root.l1.grace = 60;
    });
    world.certificate(Action::ChangeLease { next }, "alice", &["bob"])
}

#[tokio::test]
async fn a_shorter_lease_counts_at_once_and_a_longer_one_from_its_renewal() {
    let mut house = House::new();
    let run = house.served().await;
    let left = |run: &Run| run.held().lease_left.unwrap();
    house.world.epoch = 2;
    let shorter = terms(&house.world, 600);
    run.applied(&Directive::Trust(house.world.warrant(shorter.clone()))).await;
    house.world.extend(&shorter);
    assert_eq!(left(&run), 600);
    run.stop().await;
    let run = house.start().await;
    assert!(left(&run) <= 600, "over a start, too");
    run.applied(&house.lease(&run.held())).await;
    house.world.epoch = 3;
    let longer = terms(&house.world, 7_200);
    run.applied(&Directive::Trust(house.world.warrant(longer.clone()))).await;
    house.world.extend(&longer);
    assert_eq!(left(&run), 600, "the renewal was for so long");
    run.applied(&house.lease(&run.held())).await;
    assert!(left(&run) > 600);
    house.clock.forward(7_300_000);
    assert!(!run.is_served());
}

#[tokio::test]
async fn a_lease_that_is_over_locks_until_it_is_renewed() {
    let house = House::new();
    let run = house.served().await;
    house.clock.forward(3_600_000);
    assert!(!run.is_served());
    run.steward.tick();
    assert_eq!((run.keys(), run.stops().holds(Stop::LeaseOver)), (0, true));
    run.stop().await;
    let run = house.start().await;
    assert!(run.stops().holds(Stop::LeaseOver));
    run.applied(&house.lease(&run.held())).await;
    run.unseals().await.unwrap();
    assert_eq!(run.held().lease_left, Some(3_600));
}
