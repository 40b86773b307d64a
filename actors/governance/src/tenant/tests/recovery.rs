//! Recovery by cold keys: it waits with the regions, an ordinary successor cancels it, and it voids what rests on the version before.

use orbital::{
    certificate::Certificate,
    recovery::{RECOVERIES_MAX, RECOVERY_DELAY_SECONDS_MIN},
    testing::{person, recovery_terms},
};

use super::{
    super::recover::{receive, ripe},
    levels::observed,
    *,
};

const DELAY_MS: u64 = RECOVERY_DELAY_SECONDS_MIN * 1_000;

fn bench() -> Bench {
    Bench::of(|root| root.recovery = Some(recovery_terms()))
}

fn recovery(bench: &Bench) -> Certificate {
    let bob = bench.world.newcomer("bob", &["Compliance_Legal"]);
    let next = bench.world.next(|root| _ = root.actors.insert(person("bob"), bob));
    bench.world.recovery(Action::ChangeActors { next }, &["north", "east"])
}

fn brought(bench: &mut Bench, certificate: &Certificate) -> Result<(), String> {
    match receive(&bench.tenant, &bench.facts(), certificate.clone()) {
        Ok(decision) => {
            bench.commit(decision);
            Ok(())
        }
        Err(Error::Refused(refusal)) => Err(refusal.code().to_owned()),
        Err(other) => panic!("{other}"),
    }
}

fn ripened(bench: &mut Bench) -> bool {
    let decision = ripe(&bench.tenant, &bench.facts());
    let any = !decision.is_empty();
    bench.commit(decision);
    any
}

/// A region says what it holds, and when its own wait for this recovery is over.
fn says(bench: &mut Bench, recoveries: impl IntoIterator<Item = (Digest, u64)>) {
    let said = orbital::report::Observed { recoveries: recoveries.into_iter().collect(), ..observed(bench, []) };
    bench.seen.insert(
        region("us-east"),
        Seen { observed: Some(said), at_ms: Some(bench.now_ms), version: None, in_vain: false },
    );
}

#[test]
fn it_is_told_to_every_region_at_once_and_comes_into_force_after_its_delay() {
    let mut bench = bench();
    let kill = bench.propose(Action::RevokeL1 {}, "carol").unwrap();
    let link = bench.propose(link_l1("k"), "alice").unwrap();
    let recovery = recovery(&bench);
    assert_eq!(brought(&mut bench, &recovery), Ok(()));
    let told: BTreeSet<_> = bench.last.owe.iter().map(|owe| (owe.region.clone(), owe.directive.name())).collect();
    assert_eq!(told, REGIONS.iter().map(|(name, _)| (region(name), "trust")).collect());
    assert_eq!(brought(&mut bench, &recovery), Ok(()), "once more is the same one");
    assert!(bench.last.is_empty());
    assert!(!ripened(&mut bench));
    bench.now_ms += DELAY_MS - 1_000;
    assert!(!ripened(&mut bench));
    bench.now_ms += 1_000;
    assert!(ripened(&mut bench));
    assert_eq!((bench.tenant.chain.version(), bench.tenant.recoveries.len()), (2, 0));
    assert_eq!(bench.tenant.proposals[&link].state, State::Failed);
    assert_eq!(bench.tenant.proposals[&kill].state, State::Open, "a stop is never voided");
    assert_eq!(bench.last.owe.len(), REGIONS.len());
    assert!(!ripened(&mut bench));
    assert_eq!(bench.replayed(), bench.tenant);
    // Grants go on from its epoch.
    bench.world.expires = bench.facts().now_s() + 60;
    assert!(bench.propose(link_l1("k"), "alice").is_ok());
}

#[test]
fn it_waits_for_each_region_that_speaks_and_for_no_silent_one() {
    let mut bench = bench();
    let recovery = recovery(&bench);
    let change = Change::digest_of(&recovery.change);
    brought(&mut bench, &recovery).unwrap();
    bench.now_ms += DELAY_MS;
    let now = bench.facts().now_s();
    for heard in [None, Some((change, now + 1)), Some((Digest([3; 32]), now - 1))] {
        says(&mut bench, heard);
        assert!(!ripened(&mut bench), "{heard:?}");
    }
    says(&mut bench, [(change, now)]);
    assert!(ripened(&mut bench));
}

#[test]
fn an_ordinary_successor_cancels_it() {
    let mut bench = bench();
    let recovery = recovery(&bench);
    brought(&mut bench, &recovery).unwrap();
    let cancel = bench.propose(Action::ChangeActors { next: bench.world.next(|_| ()) }, "erin").unwrap();
    bench.approve(&cancel, "alice").unwrap();
    assert_eq!((bench.tenant.chain.version(), bench.tenant.recoveries.len()), (2, 0));
    bench.now_ms += DELAY_MS;
    assert!(!ripened(&mut bench));
    assert_eq!(brought(&mut bench, &recovery), Err("uncertified".into()));
    assert_eq!(bench.replayed(), bench.tenant);
}

#[test]
fn what_is_no_whole_recovery_is_not_taken() {
    let mut bench = bench();
    let before = bench.records.len();
    let next = || bench.world.next(|_| ());
    let votes = bench.world.certificate(Action::ChangeActors { next: next() }, "erin", &["alice"]);
    let short = bench.world.recovery(Action::ChangeActors { next: next() }, &["north"]);
    let (early, late) = (bench.world.epoch, bench.world.epoch + 2_000);
    let mut of_epoch = |epoch| {
        bench.world.epoch = epoch;
        bench.world.recovery(Action::ChangeActors { next: bench.world.next(|_| ()) }, &["north", "east"])
    };
    let leaps = of_epoch(late);
    let whole = of_epoch(early);
    assert_eq!(brought(&mut bench, &votes), Err("not-recovery".into()));
    assert_eq!(brought(&mut bench, &short), Err("uncertified".into()));
    assert_eq!(brought(&mut bench, &leaps), Err("stale-epoch".into()));
    bench.now_ms = (bench.world.expires + 1) * 1_000;
    assert_eq!(brought(&mut bench, &whole), Err("expired".into()));
    assert_eq!(bench.records.len(), before);
}

#[test]
fn so_many_wait_and_no_more() {
    let mut bench = bench();
    for _ in 0..RECOVERIES_MAX {
        let recovery = recovery(&bench);
        assert_eq!(brought(&mut bench, &recovery), Ok(()));
    }
    let recovery = recovery(&bench);
    assert_eq!(brought(&mut bench, &recovery), Err("too-many-recoveries".into()));
}

#[test]
fn a_termination_ends_what_a_recovery_could_bring() {
    let mut bench = bench();
    let end = bench.propose(Action::TerminateTenant {}, "carol").unwrap();
    bench.approve(&end, "dave").unwrap();
    let recovery = recovery(&bench);
    assert_eq!(brought(&mut bench, &recovery), Err("tenant-terminated".into()));
}
