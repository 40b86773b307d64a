//! Blocks and suspensions, beside kills: what each stops, what it leaves, what outlives a restart and a store that was put back.

use super::*;

impl House {
    /// A stop of this kind and its digest.
    fn halt(&self, halt: Halt) -> (Directive, Digest) {
        let stop = self.world.halt(halt);
        let name = Change::digest_of(&stop.change);
        (Directive::carrying(&halt.action(), self.world.warrant(stop)).unwrap(), name)
    }
    /// What lifts it.
    fn lift(&mut self, epoch: u64, halt: Halt, name: Digest) -> Directive {
        self.world.epoch = epoch;
        let warrant = self.world.warrant(self.world.lift(halt, [name]));
        Directive::carrying(&halt.lifting([name].into()), warrant).unwrap()
    }
}

impl Run {
    /// Whether what is protected can be read, and whether new things can be protected.
    fn serves(&self) -> (bool, bool) {
        let admits = |purpose| self.keyring.admit(&self.tenant, purpose).is_ok();
        (admits(Purpose::Process), admits(Purpose::Protect))
    }
}

const OTHERS: [(Halt, Stop, (bool, bool)); 2] =
    [(Halt::Block, Stop::Blocked, (false, false)), (Halt::Suspension, Stop::Suspended, (true, false))];

#[tokio::test]
async fn a_halt_is_acknowledged_when_it_is_entombed_and_outlives_a_restart_until_it_is_lifted() {
    for (halt, stop, serves) in OTHERS {
        let mut house = House::new();
        let run = house.served().await;
        let keys = run.keys();
        let (directive, name) = house.halt(halt);
        let ack = run.applied(&directive).await;
        assert_eq!((ack.change, house.is_entombed(&name), run.serves()), (Some(name), true, serves), "{}", halt.word());
        // Whoever may still read keeps the keys and the connections.
        let (left, closed) = (run.keys(), run.listener.0.load(Ordering::SeqCst));
        assert_eq!((left, closed), if serves.0 { (keys, 0) } else { (0, 1) }, "{}", halt.word());
        assert_eq!(run.applied(&directive).await.generation, ack.generation, "it comes again");
        run.stop().await;
        let run = house.start().await;
        assert_eq!((run.stops(), run.serves()), (Stops::default().with(stop), serves));
        assert_eq!(run.held().halts, [(halt, name)].into_iter().collect());
        assert_eq!(run.unseals().await.is_ok(), serves.0);
        // A lease does not lift it, nor does what lifts another kind.
        run.applied(&house.lease(&run.held())).await;
        let other = if halt == Halt::Block { Halt::Suspension } else { Halt::Block };
        run.applied(&house.lift(2, other, name)).await;
        assert_eq!(run.serves(), serves);
        run.applied(&house.lift(3, halt, name)).await;
        assert_eq!(run.serves(), (true, true));
        run.unseals().await.unwrap();
        assert_eq!(run.send(&directive).await.unwrap().why, super::super::LIFTED, "it stops nothing any more");
        run.stop().await;
        let run = house.start().await;
        assert_eq!((run.stops(), run.serves()), (Stops::default(), (true, true)));
    }
}

#[tokio::test]
async fn a_halt_outlives_a_store_that_was_put_back() {
    for (halt, stop, _) in OTHERS {
        let mut house = House::new();
        let run = house.served().await;
        run.stop().await;
        house.copy_store("store", "backup");
        let run = house.start().await;
        let (directive, name) = house.halt(halt);
        run.applied(&directive).await;
        run.stop().await;
        house.copy_store("backup", "store");
        let run = house.start().await;
        assert!(run.stops().holds(stop) && run.stops().holds(Stop::Sealed), "{}", halt.word());
        // The head that answers its nonce confirms what it holds; the halt whose name is lost holds until that very name is lifted.
        run.applied(&house.lease(&run.held())).await;
        assert_eq!(run.stops(), Stops::default().with(stop));
        run.stop().await;
        let run = house.start().await;
        assert_eq!(run.stops(), Stops::default().with(stop), "over a start");
        run.applied(&house.lift(2, halt, Digest([9; 32]))).await;
        assert!(run.stops().holds(stop), "another name");
        run.applied(&house.lift(3, halt, name)).await;
        assert_eq!(run.stops(), Stops::default());
    }
}

/// What is acknowledged as terminated is gone from memory and from the store, over restarts, and nothing lifts it.
#[tokio::test]
async fn a_terminated_tenants_keys_are_deleted_and_nothing_brings_it_back() {
    let mut house = House::new();
    let run = house.served().await;
    let there = |run: &Run| {
        [None, Some(system("orders"))].map(|s| run.shelf.newest_key(&run.tenant, s.as_ref()).unwrap().is_some())
    };
    assert_eq!(there(&run), [true; 2]);
    let stop = house.world.certificate(Action::TerminateTenant {}, "carol", &["dave"]);
    let name = Change::digest_of(&stop.change);
    let shred = Directive::Shred(house.world.warrant(stop));
    let ack = run.applied(&shred).await;
    assert_eq!((ack.change, run.keys(), there(&run), run.serves()), (Some(name), 0, [false; 2], (false, false)));
    assert!(house.is_entombed(&name) && run.held().stops.killed);
    assert_eq!(run.applied(&shred).await.generation, ack.generation, "it comes again");
    run.stop().await;
    let run = house.start().await;
    assert_eq!((run.serves(), run.held().stops.killed), ((false, false), true));
    assert!(run.refused(&house.restore(2, name)).await.contains("for good"));
    run.applied(&house.lease(&run.held())).await;
    assert_eq!(run.serves(), (false, false));
    assert!(run.unseals().await.is_err());
}

#[tokio::test]
async fn a_retired_systems_keys_leave_memory() {
    let mut house = House::new();
    let run = house.served().await;
    let keys = run.keys();
    house.world.epoch = 2;
    let retired = system("orders");
    let next = house.world.next(|root| {
        root.systems.remove(&retired);
        root.callers.clear();
    });
    let retire = house.world.certificate(Action::RetireSystem { system: retired, next }, "alice", &["bob"]);
    run.applied(&Directive::Trust(house.world.warrant(retire))).await;
    assert_eq!((run.keys(), run.listener.1.load(Ordering::SeqCst)), (keys - 1, 0), "the tenant's own key stays");
    assert_eq!(run.serves(), (true, true));
}

/// Each stop is its own: what lifts one leaves the others, whichever came first.
#[tokio::test]
async fn a_tenant_that_is_halted_in_every_way_is_served_once_each_is_lifted() {
    let mut house = House::new();
    let run = house.served().await;
    let mut names = Vec::new();
    for halt in [Halt::Suspension, Halt::Kill, Halt::Block] {
        let (directive, name) = house.halt(halt);
        run.applied(&directive).await;
        names.push((halt, name));
    }
    run.stop().await;
    let run = house.start().await;
    let all = Stops::default().with(Stop::Killed).with(Stop::Blocked).with(Stop::Suspended);
    let mut left = all;
    for (epoch, (halt, name)) in (2..).zip(names) {
        assert_eq!(run.stops(), left);
        run.applied(&house.lift(epoch, halt, name)).await;
        left = left.without(Stop::of(halt));
    }
    assert_eq!((run.stops(), run.serves()), (Stops::default(), (true, true)));
}
