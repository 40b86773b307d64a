//! A region that its tenant's trust root names no more: what it destroys, what it answers, what outlives a restart, and coming back.

use super::*;

impl House {
    /// The next version, with or without this region, and the directive that carries it.
    fn moves(&mut self, epoch: u64, inside: bool) -> (Directive, Certificate) {
        self.world.epoch = epoch;
        let identity = self.world.chain().region(&region(HERE)).unwrap().clone();
        let next = self.world.next(|root| match inside {
            true => _ = root.regions.insert(region(HERE), identity),
            false => _ = root.regions.remove(&region(HERE)),
        });
        let certificate = self.world.certificate(Action::ChangeResidency { next }, "alice", &["bob"]);
        let warrant = self.world.warrant(certificate.clone());
        self.world.extend(&certificate);
        (Directive::Trust(warrant), certificate)
    }
}

impl Run {
    /// Wrapped keys of the tenant on this node's disk: the tenant's own, and its system's.
    fn wrapped(&self) -> [bool; 2] {
        let newest = |name: Option<&System>| self.shelf.newest_key(&self.tenant, name).unwrap().is_some();
        [newest(None), newest(Some(&system("orders")))]
    }
}

#[tokio::test]
async fn a_region_that_leaves_destroys_the_keys_says_so_and_stays_out() {
    let mut house = House::new();
    let run = house.served().await;
    assert_eq!(run.wrapped(), [true; 2]);
    let (leaves, certificate) = house.moves(2, false);
    let ack = run.applied(&leaves).await;
    assert_eq!((ack.change, ack.trust_version), (Some(Change::digest_of(&certificate.change)), 2));
    let gone = |run: &Run| (run.keys(), run.wrapped(), run.is_served(), run.stops());
    let left = (0, [false; 2], false, Stops::default().with(Stop::Left));
    assert_eq!((gone(&run), run.listener.0.load(Ordering::SeqCst)), (left, 1));
    // It comes again, and is answered again.
    assert_eq!(run.applied(&leaves).await.generation, ack.generation);
    // No link and no lease serves the tenant here, whoever signed them.
    house.world.epoch = 3;
    let mut link = house.world.change(orbital::testing::link_l1("k"));
    link.regions.insert(region(HERE));
    let link = house.world.warrant(house.world.sign_change(&link, "alice", &["bob"]));
    assert!(run.refused(&Directive::Link(link)).await.contains("does not name region"));
    assert!(run.refused(&house.lease(&run.held())).await.contains("does not name region"));
    assert!(run.refused(&Directive::Hold { tenant: run.tenant }).await.contains("does not name region"));
    run.stop().await;
    let run = house.start().await;
    assert_eq!(gone(&run), left, "over a start");
    assert!(run.unseals().await.is_err());
}

#[tokio::test]
async fn a_region_that_is_named_again_begins_without_a_key_of_before() {
    let mut house = House::new();
    let run = house.served().await;
    let (leaves, _) = house.moves(2, false);
    run.applied(&leaves).await;
    let (joins, _) = house.moves(3, true);
    run.applied(&joins).await;
    assert_eq!((run.stops(), run.wrapped()), (Stops::default(), [false; 2]));
    run.unseals().await.unwrap();
    assert_eq!((run.is_served(), run.wrapped()), (true, [true; 2]));
    // What it was told last comes again: it leaves no second time, and loses no key.
    run.applied(&joins).await;
    assert_eq!((run.is_served(), run.wrapped()), (true, [true; 2]));
    run.stop().await;
    assert_eq!(house.start().await.stops(), Stops::default());
}

/// Links that a stop brings say as much as the directive that is about them, and nothing is served in between.
#[tokio::test]
async fn a_stop_s_links_make_a_region_leave_and_a_stop_for_others_does_too() {
    for names_it in [true, false] {
        let mut house = House::new();
        let run = house.served().await;
        let (leaves, certificate) = house.moves(2, false);
        let mut kill = house.world.change(Action::RevokeL1 {});
        assert!(!kill.regions.contains(&region(HERE)));
        if names_it {
            kill.regions.insert(region(HERE));
        }
        let kill = house.world.sign_change(&kill, "carol", &["dave"]);
        let bringing = Directive::Kill(Warrant { links: vec![certificate], ..house.world.warrant(kill) });
        let said = run.send(&bringing).await.unwrap();
        assert_eq!((said.outcome, said.why.is_empty()), (Outcome::Applied, names_it), "{}", said.why);
        // The next directive shows what is due, the Hello at the latest.
        run.steward.show_all_due();
        assert!(run.stops().holds(Stop::Left), "names it: {names_it}");
        assert_eq!((run.keys(), run.is_served(), run.stops().holds(Stop::Killed)), (0, false, names_it));
        run.stop().await;
        let run = house.start().await;
        assert!(run.stops().holds(Stop::Left) && !run.is_served(), "names it: {names_it}");
        run.applied(&leaves).await;
        assert_eq!(run.wrapped(), [false; 2], "the directive that is about it ends the matter");
    }
}
