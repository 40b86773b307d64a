//! Stops, lifts and heads side by side: whatever the interleaving, what was acknowledged holds, in the gate and at rest.

use orbital::sign::Kind;

use super::*;
use crate::{
    clock::hand::HandClock,
    key_table::{Entry, Purpose},
    names::KeyId,
    rig::{OTHER, TENANT, World},
    shelf::TOMBSTONE_HALTS_MAX,
    vault::{Slab, Wanted},
};

const FIRST: Digest = Digest([3; 32]);
const SECOND: Digest = Digest([4; 32]);

struct Run {
    table: Arc<KeyTable>,
    shelf: Arc<Shelf>,
    keeper: Arc<Keeper>,
    clock: Arc<HandClock>,
}

/// A run over the world's folder; both tenants are provisioned if they are not.
async fn start(world: &World) -> Run {
    let hand = Arc::new(HandClock::default());
    let clock: Arc<dyn Clock> = hand.clone();
    let (table, shelf) = (Arc::new(KeyTable::new(clock.clone())), world.shelf());
    let file = world.path("highwater");
    let (keeper, _) = Keeper::load(table.clone(), shelf.clone(), &file, world.key(), clock).unwrap();
    for tenant in [TENANT, OTHER] {
        if keeper.row(&tenant).is_none() {
            keeper.provision(tenant, TenantRow::default(), Length::Unlimited).await.unwrap();
        }
    }
    Run { table, shelf, keeper: Arc::new(keeper), clock: hand }
}

impl Run {
    async fn renew(&self, tenant: &TenantId, length: Length) {
        let nonce = self.keeper.draw_nonce(tenant).unwrap();
        self.keeper.renew(tenant, &nonce, length).await.unwrap().unwrap();
    }
    fn holds(&self, stop: Stop) -> bool {
        self.table.gate(&TENANT).unwrap().stops().holds(stop)
    }
}

#[tokio::test]
async fn a_kill_is_lifted_only_by_a_restore_of_every_kill_that_is_kept() {
    let world = World::new();
    let run = start(&world).await;
    run.keeper.stop(&TENANT, Stop::Killed, Some(FIRST)).unwrap();
    // The second kill is durable here before whoever restores the first could have heard of it.
    run.keeper.stop(&TENANT, Stop::Killed, Some(SECOND)).unwrap();
    assert!(!run.keeper.unhalt(&TENANT, Halt::Kill, &[FIRST].into_iter().collect()).await.unwrap());
    assert!(run.holds(Stop::Killed));
    assert!(run.keeper.unhalt(&TENANT, Halt::Kill, &[FIRST, SECOND].into_iter().collect()).await.unwrap());
    assert!(!run.holds(Stop::Killed));
}

/// The disk failed between a new tenant's row and its high-water mark: the same call ends what was begun, and the tenant can be stopped.
#[tokio::test]
async fn a_provisioning_that_was_cut_short_is_finished_when_it_comes_again() {
    const THIRD: TenantId = TenantId(Digest([3; 32]));
    let world = World::new();
    let run = start(&world).await;
    for n in 100..200 {
        run.keeper.high_water.provision(TenantId(Digest([n; 32])), Mark::default()).unwrap();
    }
    let blocked = world.path("highwater.new");
    std::fs::create_dir(&blocked).unwrap();
    let mut more = (0..=u8::MAX).map(|n| TenantId(Digest([n, 0].repeat(16).try_into().unwrap())));
    while run.keeper.high_water.provision(more.next().unwrap(), Mark::default()).is_ok() {}
    let row = |head: &[u8]| TenantRow { head: head.to_vec(), ..TenantRow::default() };
    assert!(run.keeper.provision(THIRD, row(b"first"), Length::Unlimited).await.is_err());
    assert!(run.keeper.row(&THIRD).is_none() && run.table.gate(&THIRD).is_none());
    std::fs::remove_dir(&blocked).unwrap();
    run.keeper.provision(THIRD, row(b"second"), Length::Unlimited).await.unwrap();
    assert_eq!(run.shelf.tenants().unwrap()[&THIRD].head, b"second", "the head that is in force");
    run.keeper.stop(&THIRD, Stop::Killed, Some(FIRST)).unwrap();
    let again = run.keeper.provision(THIRD, row(b"third"), Length::Unlimited).await;
    assert!(matches!(again, Err(Error::AlreadyProvisioned(THIRD))));
    assert_eq!(run.keeper.row(&THIRD).unwrap().head, b"second");
}

/// One kill more than the tombstone has room for is durable without its name, and lifted by no names.
#[tokio::test]
async fn a_kill_beyond_the_limit_is_lifted_by_nothing() {
    let world = World::new();
    let run = start(&world).await;
    let names: Halts = (0..TOMBSTONE_HALTS_MAX).map(|n| Kind::Leaf.digest(&n.to_be_bytes())).collect();
    run.keeper.store(&TENANT, |kept| kept.row.halts = names.clone()).await.unwrap();
    assert!(run.keeper.unhalt(&TENANT, Halt::Kill, &names).await.unwrap());
    run.keeper.stop(&TENANT, Stop::Killed, Some(FIRST)).unwrap();
    assert!(run.keeper.is_durable(&TENANT, Stop::KilledForGood));
    assert!(!run.keeper.unhalt(&TENANT, Halt::Kill, &names).await.unwrap());
    assert!(run.holds(Stop::Killed) && run.holds(Stop::KilledForGood));
}

/// One tenant's lock is held for as long as this test likes; the other tenant's kill does not wait for it.
#[tokio::test(flavor = "multi_thread")]
async fn no_stop_waits_for_another_tenant() {
    let world = World::new();
    let run = start(&world).await;
    let (entered, inside) = tokio::sync::oneshot::channel();
    let (release, held) = std::sync::mpsc::channel::<()>();
    let hold = move |_: &mut TenantRow| {
        entered.send(()).unwrap();
        held.recv().unwrap();
    };
    let other = run.keeper.clone();
    let holding = tokio::spawn(async move { other.advance(&OTHER, hold).await });
    inside.await.unwrap();
    let keeper = run.keeper.clone();
    let stopping = tokio::task::spawn_blocking(move || keeper.stop(&TENANT, Stop::Killed, Some(FIRST)).map(|_| ()));
    let stopped = tokio::time::timeout(std::time::Duration::from_secs(20), stopping).await;
    release.send(()).unwrap();
    stopped.expect("it waited for the other tenant").unwrap().unwrap();
    assert!(run.keeper.is_durable(&TENANT, Stop::Killed));
    holding.await.unwrap().unwrap();
}

/// A stop that arrives while one of its kind is being lifted: whichever ends last, gate and row say the same, and a stop that ended has
/// not been undone by a lift that began before it.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_is_not_undone_by_a_lift_that_was_under_way() {
    let world = World::new();
    let run = start(&world).await;
    for _ in 0..30 {
        run.keeper.stop(&TENANT, Stop::L1Stop, None).unwrap();
        let (told, tell) = (run.keeper.clone(), run.keeper.clone());
        let lifting = tokio::spawn(async move { told.lift(&TENANT, Stop::L1Stop).await });
        // The lift has begun: its row is changed, the gate is not yet.
        while run.keeper.row(&TENANT).unwrap().stops != 0 {
            tokio::task::yield_now().await;
        }
        let stopping = tokio::task::spawn_blocking(move || tell.stop(&TENANT, Stop::L1Stop, None).map(|_| ()));
        stopping.await.unwrap().unwrap();
        assert!(run.holds(Stop::L1Stop), "acknowledged, and the gate is open");
        lifting.await.unwrap().unwrap();
        assert!(run.holds(Stop::L1Stop), "the lift that began before the stop has undone it");
        run.keeper.lift(&TENANT, Stop::L1Stop).await.unwrap();
    }
}

/// Both leases have ended; while the first tenant's keys are waited for, the second one's renewal arrives.
#[tokio::test(flavor = "multi_thread")]
async fn a_renewal_that_meets_the_end_of_its_lease_counts() {
    let world = World::new();
    let run = start(&world).await;
    let slab = Slab::open(16, Wanted::Best).unwrap();
    let secret = slab.random(32).unwrap();
    let entry = Entry { key: KeyId::L2, secret, system: None, meta: None, revision: 1 };
    run.table.insert(&TENANT, entry, Generation(0)).unwrap();
    for tenant in [TENANT, OTHER] {
        run.renew(&tenant, Length::Milliseconds(3_600_000)).await;
    }
    let borrow = run.table.borrow(&TENANT, &KeyId::L2, None, Purpose::Process).unwrap();
    run.clock.forward(3_600_000);
    let keeper = run.keeper.clone();
    let ending = tokio::task::spawn_blocking(move || keeper.end_leases().len());
    while run.table.gate(&TENANT).unwrap().generation() == Generation(0) {
        tokio::task::yield_now().await;
    }
    run.renew(&OTHER, Length::Milliseconds(3_600_000)).await;
    drop(borrow);
    assert_eq!(ending.await.unwrap(), 1);
    assert!(run.holds(Stop::LeaseOver));
    run.table.admit(&OTHER, Purpose::Process).unwrap();
}

/// A renewal that ends sooner is not to be forgotten by a node that stops before it stores the leases.
#[tokio::test]
async fn a_shorter_lease_is_durable_at_once() {
    let world = World::new();
    let run = start(&world).await;
    assert_eq!(run.keeper.lease_left_ms(&TENANT), None);
    run.renew(&TENANT, Length::Milliseconds(600_000)).await;
    run.shelf.close().await;
    let run = start(&world).await;
    assert!(run.keeper.lease_left_ms(&TENANT).unwrap() <= 600_000);
    run.renew(&TENANT, Length::Milliseconds(300_000)).await;
    run.shelf.close().await;
    assert!(start(&world).await.keeper.lease_left_ms(&TENANT).unwrap() <= 300_000);
}

/// Leases are stored tenant by tenant: the copy of a row must not be older than what another has made durable meanwhile.
#[tokio::test]
async fn storing_the_leases_puts_back_no_older_head() {
    let world = World::new();
    let run = start(&world).await;
    let set = |row: &mut TenantRow| (row.head, row.trust_version) = (b"the second version".to_vec(), 2);
    // The row that comes last is changed while the first is being written.
    let (stored, advanced) = tokio::join!(run.keeper.store_leases(), run.keeper.advance(&OTHER, set));
    stored.and(advanced).unwrap();
    let row = run.shelf.tenants().unwrap().remove(&OTHER).unwrap();
    assert_eq!((row.head.as_slice(), row.trust_version), (b"the second version".as_slice(), 2));
}

/// With a commit for each of thousands of tenants the leases would be stored less often than a restart takes off.
#[tokio::test]
async fn leases_that_are_stored_together_share_commits() {
    let world = World::new();
    let run = start(&world).await;
    for n in 10..40 {
        run.keeper.provision(TenantId(Digest([n; 32])), TenantRow::default(), Length::Unlimited).await.unwrap();
    }
    let before = run.shelf.commits();
    run.keeper.store_leases().await.unwrap();
    // The writer may take the first row before the others have come.
    assert!(run.shelf.commits() - before <= 8, "{} commits for 32 leases", run.shelf.commits() - before);
}
