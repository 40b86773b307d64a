//! The table under kills, late unseals, leases and strangers.

use std::sync::{Barrier, atomic::AtomicBool, mpsc};

use orbital::names::Digest;

use super::*;
use crate::{
    clock::hand::HandClock,
    dek::Mode,
    names::ObjectId,
    vault::{Slab, Wanted},
};

const TENANT: TenantId = TenantId(Digest([1; 32]));
const OPEN: Opening =
    Opening { stops: Stops(0), epoch: Epoch(7), generation: Generation(3), lease_until_ms: LEASE_UNLIMITED };

struct Rig {
    table: Arc<KeyTable>,
    slab: Arc<Slab>,
    clock: Arc<HandClock>,
    system: System,
    key: KeyId,
}

impl Rig {
    fn new() -> Self {
        let clock = Arc::new(HandClock::default());
        let table = Arc::new(KeyTable::new(clock.clone()));
        assert!(table.open(TENANT, OPEN));
        let rig = Self {
            table,
            slab: Slab::open(1024, Wanted::Best).unwrap(),
            clock,
            system: System::new("orders").unwrap(),
            key: KeyId::Object(ObjectId::from_random([5; 16])),
        };
        rig.insert(rig.table.gate(&TENANT).unwrap().generation()).unwrap();
        rig
    }
    fn insert(&self, began: Generation) -> Result<(), Error> {
        let meta = Some(Arc::new(ObjectMeta::new(2, crate::object::State::Active, true)));
        let secret = self.slab.random(32)?;
        self.table.insert(
            &TENANT,
            Entry { key: self.key.clone(), secret, system: Some(self.system.clone()), meta, revision: 1 },
            began,
        )
    }
    fn borrow(&self, purpose: Purpose) -> Result<Borrow, Unborrowed> {
        self.table.borrow(&TENANT, &self.key, Some(&self.system), purpose)
    }
    fn seal(&self) -> Result<(), String> {
        let borrow = self.borrow(Purpose::Protect).map_err(|why| why.to_string())?;
        let sealed = borrow.encrypt(Mode::Gcm, None, b"", b"text").map_err(|why| why.to_string())?;
        borrow.finish(sealed).map(|_| ()).map_err(|why| why.to_string())
    }
}

fn refused<T>(result: Result<T, Unborrowed>) -> Option<Stop> {
    match result {
        Err(Unborrowed::Refused(refused)) => Some(refused.why),
        _ => None,
    }
}

#[test]
fn a_borrowed_key_works_and_knows_its_epoch() {
    let rig = Rig::new();
    assert_eq!(rig.seal(), Ok(()));
    assert_eq!(rig.borrow(Purpose::Protect).ok().map(|b| (b.epoch(), b.generation())), Some((Epoch(7), Generation(3))));
}

#[test]
fn each_stop_refuses_and_its_counterpart_alone_lifts_it() {
    let rig = Rig::new();
    for stop in Stop::ALL.iter().copied() {
        rig.table.fence(&TENANT, stop);
        assert_eq!(refused(rig.borrow(Purpose::Protect)), Some(stop));
        for other in Stop::ALL.iter().copied().filter(|other| *other != stop) {
            rig.table.lift(&TENANT, other);
        }
        assert_eq!(rig.table.admit(&TENANT, Purpose::Protect).err(), Some(Refused { why: stop }));
        rig.table.lift(&TENANT, stop);
        assert!(rig.borrow(Purpose::Protect).is_ok());
    }
}

#[test]
fn a_suspended_tenant_may_still_decrypt() {
    let rig = Rig::new();
    rig.table.fence(&TENANT, Stop::Suspended);
    assert_eq!(refused(rig.borrow(Purpose::Protect)), Some(Stop::Suspended));
    assert!(rig.borrow(Purpose::Process).is_ok());
    assert_eq!(rig.table.kill(&TENANT, Stop::Suspended).unwrap().keys(), 0, "a suspend keeps the keys");
    assert!(rig.borrow(Purpose::Process).is_ok());
}

#[test]
fn the_gravest_stop_is_the_answer() {
    let rig = Rig::new();
    for stop in [Stop::Suspended, Stop::LeaseOver, Stop::Killed] {
        rig.table.fence(&TENANT, stop);
        assert_eq!(refused(rig.borrow(Purpose::Protect)), Some(stop));
    }
}

#[test]
fn no_output_leaves_after_the_fence() {
    let rig = Rig::new();
    let borrow = rig.borrow(Purpose::Protect).unwrap();
    let sealed = borrow.encrypt(Mode::Gcm, None, b"", b"text").unwrap();
    rig.table.fence(&TENANT, Stop::Killed);
    assert_eq!(borrow.finish(sealed).err(), Some(Refused { why: Stop::Killed }));
    assert_eq!(refused(rig.borrow(Purpose::Protect)), Some(Stop::Killed));
}

#[test]
fn a_kill_zeroizes_and_raises_the_generation() {
    let rig = Rig::new();
    let drained = rig.table.kill(&TENANT, Stop::Killed).unwrap();
    assert_eq!((drained.keys(), drained.generation(), drained.stop()), (1, Generation(4), Stop::Killed));
    assert_eq!(rig.slab.usage().slots_used, 0);
    rig.table.lift(&TENANT, Stop::Killed);
    assert!(matches!(rig.borrow(Purpose::Protect), Err(Unborrowed::Miss)));
}

#[test]
fn a_kill_waits_for_borrows() {
    let rig = Rig::new();
    let borrow = rig.borrow(Purpose::Protect).unwrap();
    let (table, done) = (rig.table.clone(), Arc::new(AtomicBool::new(false)));
    let flag = done.clone();
    let killer = std::thread::spawn(move || {
        let keys = table.kill(&TENANT, Stop::Killed).unwrap().keys();
        flag.store(true, Ordering::SeqCst);
        keys
    });
    while !rig.table.gate(&TENANT).unwrap().stops().holds(Stop::Killed) || rig.table.keys_of(&TENANT) > 0 {
        std::thread::yield_now();
    }
    // The slot has left the table, its bytes are still ours: the kill cannot have answered.
    assert!(!done.load(Ordering::SeqCst) && borrow.secret().is_ok());
    drop(borrow);
    assert_eq!(killer.join().unwrap(), 1);
}

#[test]
fn an_unseal_that_began_before_a_kill_is_refused_after_the_restore() {
    let rig = Rig::new();
    let began = rig.table.gate(&TENANT).unwrap().generation();
    rig.table.kill(&TENANT, Stop::Killed).unwrap();
    assert!(rig.insert(began).is_err());
    rig.table.lift(&TENANT, Stop::Killed);
    let late = rig.insert(began).err();
    assert!(matches!(late, Some(Error::Stale { began: Generation(3), now: Generation(4) })), "{late:?}");
    assert!(matches!(rig.borrow(Purpose::Protect), Err(Unborrowed::Miss)));
}

#[test]
fn a_lease_ends_by_itself() {
    let rig = Rig::new();
    rig.table.lease_until(&TENANT, 1000);
    rig.clock.forward(999);
    let borrow = rig.borrow(Purpose::Process).unwrap();
    rig.clock.forward(1);
    assert_eq!(borrow.finish(Pending(())).err(), Some(Refused { why: Stop::LeaseOver }));
    assert_eq!(refused(rig.borrow(Purpose::Process)), Some(Stop::LeaseOver));
}

#[test]
fn a_foreign_key_equals_an_absent_one() {
    let rig = Rig::new();
    let other = System::new("billing").unwrap();
    assert!(matches!(rig.table.borrow(&TENANT, &rig.key, Some(&other), Purpose::Process), Err(Unborrowed::Miss)));
    let stranger = TenantId(Digest([2; 32]));
    rig.table.open(stranger, OPEN);
    assert!(matches!(
        rig.table.borrow(&stranger, &rig.key, Some(&rig.system), Purpose::Process),
        Err(Unborrowed::Miss)
    ));
    let unknown = TenantId(Digest([3; 32]));
    assert_eq!(refused(rig.table.borrow(&unknown, &rig.key, Some(&rig.system), Purpose::Process)), Some(Stop::Sealed));
}

#[test]
fn l2_and_l3_never_leave() {
    let rig = Rig::new();
    let secret = rig.slab.random(32).unwrap();
    let began = rig.table.gate(&TENANT).unwrap().generation();
    rig.table.insert(&TENANT, Entry { key: KeyId::L2, secret, system: None, meta: None, revision: 0 }, began).unwrap();
    let borrow = rig.table.borrow(&TENANT, &KeyId::L2, None, Purpose::Process).unwrap();
    assert!(borrow.export(crate::vault::Expose::because("a test tries")).is_err());
}

#[test]
fn an_admission_ends_with_its_generation() {
    let rig = Rig::new();
    let admission = rig.table.admit(&TENANT, Purpose::Process).unwrap();
    assert!(admission.still_current());
    rig.table.kill(&TENANT, Stop::Killed).unwrap();
    rig.table.lift(&TENANT, Stop::Killed);
    assert!(!admission.still_current());
}

#[test]
fn an_epoch_never_goes_back() {
    let rig = Rig::new();
    assert!(rig.table.raise_epoch(&TENANT, Epoch(9)));
    assert!(!rig.table.raise_epoch(&TENANT, Epoch(8)));
    assert_eq!(rig.table.gate(&TENANT).unwrap().epoch(), Epoch(9));
}

/// Threads seal and re-insert as fast as they can; kills come in between. After a kill has answered nothing is left and
/// nothing that began before it gets out.
#[test]
fn no_seal_succeeds_between_a_kill_and_its_restore() {
    let rig = Arc::new(Rig::new());
    let (stop, barrier) = (Arc::new(AtomicBool::new(false)), Arc::new(Barrier::new(3)));
    let (sender, sealed_while_killed) = mpsc::channel();
    let killed = Arc::new(AtomicBool::new(false));
    let workers: Vec<_> = (0..2)
        .map(|_| {
            let (rig, stop, barrier, sender, killed) =
                (rig.clone(), stop.clone(), barrier.clone(), sender.clone(), killed.clone());
            std::thread::spawn(move || {
                barrier.wait();
                while !stop.load(Ordering::SeqCst) {
                    let was_killed = killed.load(Ordering::SeqCst);
                    let began = rig.table.gate(&TENANT).unwrap().generation();
                    let sealed = rig.seal().is_ok();
                    if sealed
                        && was_killed
                        && killed.load(Ordering::SeqCst)
                        && began == rig.table.gate(&TENANT).unwrap().generation()
                    {
                        sender.send(began).unwrap();
                    }
                    // A refusal is expected while the tenant is killed.
                    let _ = rig.insert(began);
                }
            })
        })
        .collect();
    barrier.wait();
    for _ in 0..200 {
        rig.table.kill(&TENANT, Stop::Killed).unwrap();
        killed.store(true, Ordering::SeqCst);
        assert_eq!(rig.table.keys_of(&TENANT), 0);
        killed.store(false, Ordering::SeqCst);
        rig.table.lift(&TENANT, Stop::Killed);
    }
    stop.store(true, Ordering::SeqCst);
    for worker in workers {
        worker.join().unwrap();
    }
    assert!(sealed_while_killed.try_recv().is_err());
}

/// A kill waits for every borrow of the tenant, also for one whose slot has been replaced or taken out meanwhile.
#[test]
fn a_slot_that_leaves_the_table_is_waited_for() {
    for replace in [true, false] {
        let rig = Rig::new();
        let borrow = rig.borrow(Purpose::Process).unwrap();
        let (rig, ended) = (&rig, &AtomicBool::new(false));
        std::thread::scope(|scope| {
            let leaving = scope.spawn(move || {
                let now = rig.table.gate(&TENANT).unwrap().generation();
                if replace { _ = rig.insert(now) } else { _ = rig.table.remove(&TENANT, &rig.key) }
            });
            // The slot has left, or waits for the borrow with its shard locked.
            let shard = rig.table.tenants.load_full();
            let shard = rig.table.shard(&shard[&TENANT], &rig.key).unwrap();
            let held = borrow.secret().unwrap() as *const Secret as usize;
            let there = |slots: &Quick<KeyId, Slot>| {
                slots.get(&rig.key).is_some_and(|slot| {
                    slot.try_read().is_some_and(|held_now| {
                        held_now.secret.as_ref().is_some_and(|secret| secret as *const Secret as usize == held)
                    })
                })
            };
            while shard.try_read().is_some_and(|slots| there(&slots)) && !leaving.is_finished() {
                std::thread::yield_now();
            }
            let kill = scope.spawn(move || {
                rig.table.kill(&TENANT, Stop::Killed).unwrap();
                assert!(ended.load(Ordering::SeqCst), "drained while a borrow lives");
            });
            while !rig.table.gate(&TENANT).unwrap().stops().holds(Stop::Killed) {
                std::thread::yield_now();
            }
            // Long enough for a kill that does not wait to be done.
            for _ in 0..10_000 {
                std::thread::yield_now();
            }
            ended.store(true, Ordering::SeqCst);
            drop(borrow);
            kill.join().unwrap();
        });
    }
}
