//! A second certified successor of a trust version: what governance believes, what it refuses, what ends it.

use orbital::{certificate::Certificate, trust::TrustRoot};

use super::{super::report::forked, *};

fn system(bench: &Bench, name: &str) -> (System, Box<TrustRoot>) {
    let system = System::new(name).unwrap();
    (system.clone(), bench.world.next(|root| _ = root.systems.insert(system)))
}

/// A bench that follows one successor, and another one of the same version.
fn beside() -> (Bench, Certificate) {
    let mut bench = Bench::new();
    let (one, next) = system(&bench, "other");
    let other = bench.world.certificate(Action::RegisterSystem { system: one, next }, "alice", &["bob"]);
    let (ours, next) = system(&bench, "ours");
    let id = bench.propose(Action::RegisterSystem { system: ours, next }, "alice").unwrap();
    bench.approve(&id, "bob").unwrap();
    assert_eq!(bench.tenant.chain.version(), 2);
    (bench, other)
}

fn code(found: Result<ProposalId, Error>) -> String {
    match found {
        Ok(_) => "taken".into(),
        Err(Error::Refused(refusal)) => refusal.code().into(),
        Err(other) => panic!("{other}"),
    }
}

fn hears(bench: &mut Bench, link: &Certificate) -> bool {
    let heard = forked(&bench.tenant, &region("us-east"), link.clone());
    let new = heard.is_some();
    if let Some((decision, _)) = heard {
        bench.commit(decision);
    }
    new
}

#[test]
fn a_fork_freezes_all_but_stops_until_it_is_void() {
    let (mut bench, other) = beside();
    let (late, next) = system(&bench, "late");
    let waiting = bench.propose(Action::RegisterSystem { system: late, next }, "alice").unwrap();
    assert!(hears(&mut bench, &other));
    assert_eq!(bench.last.room, Room::Stop);
    assert!(!hears(&mut bench, &other), "it is told again and again, and written once");
    let ours = bench.tenant.links[0].clone();
    assert!(!hears(&mut bench, &ours), "our own version is no fork");
    // Neither a new change nor one that was collected before.
    let (more, next) = system(&bench, "more");
    assert_eq!(code(bench.propose(Action::RegisterSystem { system: more, next }, "alice")), "tenant-forked");
    assert_eq!(code(bench.propose(link_l1("k"), "alice")), "tenant-forked");
    let next = bench.world.next(|root| _ = root.void.insert(Digest([9; 32])));
    assert_eq!(code(bench.propose(Action::ChangeActors { next }, "erin")), "tenant-forked");
    assert!(bench.approve(&waiting, "bob").is_err() || bench.tenant.chain.version() == 2);
    assert_eq!(bench.tenant.chain.version(), 2);
    let kill = bench.propose(Action::RevokeL1 {}, "carol").unwrap();
    assert_eq!(bench.approve(&kill, "dave").unwrap(), State::Applying);
    assert_eq!(bench.replayed(), bench.tenant);
    // What settles it.
    let void: Vec<_> = bench.tenant.forks.keys().copied().collect();
    let next = bench.world.next(|root| root.void.extend(void));
    let id = bench.propose(Action::ChangeActors { next }, "erin").unwrap();
    bench.approve(&id, "alice").unwrap();
    assert_eq!((bench.tenant.chain.version(), bench.tenant.forks.len()), (3, 0));
    assert!(!hears(&mut bench, &other), "void for good");
    assert_eq!(bench.replayed(), bench.tenant);
}

#[test]
fn what_nobody_certified_freezes_nothing() {
    let (mut bench, mut other) = beside();
    other.approvals.clear();
    assert!(!hears(&mut bench, &other));
    let stop = bench.world.kill();
    assert!(!hears(&mut bench, &stop));
    assert!(bench.tenant.forks.is_empty());
}
