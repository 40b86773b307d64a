//! Recoveries: who may sign one, what it may alter, what cancels it.

use super::*;
use crate::{
    certificate::{Uncertified, certify},
    fork::Fork,
    names::System,
    quorum::Rule,
    testing::{NOW, World, person, recovery_key, recovery_terms, spoilt},
    trust::BadTrust,
};

fn world() -> World {
    World::founded("test", "acme", |root| root.recovery = Some(recovery_terms()))
}

/// Everybody's keys are lost but for alice's: bob gets a new one.
fn people(world: &World) -> Action {
    let bob = world.newcomer("bob", &["Compliance_Legal"]);
    Action::ChangeActors { next: world.next(|root| _ = root.actors.insert(person("bob"), bob)) }
}

fn why(world: &World, certificate: &Certificate) -> Uncertified {
    world.chain().extend(certificate).unwrap_err()
}

#[test]
fn enough_cold_keys_change_persons_without_any_of_them() {
    let world = world();
    for holders in [["north", "east"], ["south", "north"]] {
        let recovery = world.recovery(people(&world), &holders);
        assert!(recovery.is_recovery());
        let (longer, certified) = world.chain().extend(&recovery).unwrap();
        assert_eq!((longer.version(), certified.signers().len()), (2, 0));
        assert_eq!(recovery.recovered_by(world.trust()).unwrap().unwrap().len(), 2);
    }
}

#[test]
fn a_recovery_needs_distinct_keys_of_its_terms_that_sign_one_thing() {
    let world = world();
    let recovery = |holders: &[&str]| world.recovery(people(&world), holders);
    let one = recovery(&["north"]);
    assert_eq!(why(&world, &one), BadRecovery::TooFew { found: 1, need: 2 }.into());
    assert!(matches!(why(&world, &recovery(&["north", "north"])), Uncertified::Recovery(BadRecovery::Twice(_))));
    assert!(matches!(why(&world, &recovery(&["north", "west"])), Uncertified::Recovery(BadRecovery::Stranger(_))));
    let mut spoilt_one = recovery(&["north", "east"]);
    spoilt_one.approvals = spoilt_one.approvals.into_iter().map(spoilt).collect();
    assert!(matches!(why(&world, &spoilt_one), Uncertified::Recovery(BadRecovery::Signature { .. })));
    let mut of_another = one.clone();
    of_another.approvals = recovery(&["north", "east"]).approvals;
    assert!(matches!(why(&world, &of_another), Uncertified::Recovery(BadRecovery::OtherTerms(_))));
    // A vote is no recovery key's word, and the other way round.
    let mut with_votes = one.clone();
    with_votes.approvals = vec![world.answer(Role::Approve, &world.kill().proposal, "dave")];
    assert!(matches!(why(&world, &with_votes), Uncertified::Recovery(BadRecovery::OtherTerms(_))));
    let voted = world.certificate(people(&world), "erin", &["alice"]);
    let mixed = Certificate { approvals: one.approvals.iter().chain([&one.proposal]).cloned().collect(), ..voted };
    assert!(matches!(why(&world, &mixed), Uncertified::Malformed(_)));
    let without = World::new();
    assert_eq!(why(&without, &without.recovery(people(&without), &["north", "east"])), BadRecovery::NoTerms.into());
}

#[test]
fn a_recovery_changes_persons_and_nothing_else() {
    let world = world();
    let refused = |action| why(&world, &world.recovery(action, &["north", "east", "south"]));
    assert_eq!(refused(Action::RevokeL1 {}), Uncertified::NotSuccessor(1, "the change makes no new version"));
    let rules = world.next(|root| {
        root.rules
            .insert(ChangeKind::RevokeL1, Rule { expires_seconds: 60, ..root.rules[&ChangeKind::RevokeL1].clone() });
    });
    assert_eq!(refused(Action::ChangeQuorum { next: rules }), BadRecovery::Kind(ChangeKind::ChangeQuorum).into());
    let alters = |alter: fn(&mut TrustRoot)| refused(Action::ChangeActors { next: world.next(alter) });
    let what = |why: Uncertified| match why {
        Uncertified::Recovery(BadRecovery::Alters(what)) => what,
        why => panic!("{why}"),
    };
    assert_eq!(what(alters(|root| root.recovery = None)), "the recovery keys");
    assert_eq!(what(alters(|root| root.void = [Digest([1; 32])].into())), "what is void");
    assert_eq!(what(alters(|root| root.carried = [Digest([1; 32])].into())), "which certificates are carried over");
    assert!(matches!(
        alters(|root| _ = root.systems.insert(System::new("other").unwrap())),
        Uncertified::NotSuccessor(1, _)
    ));
    let kill = world.recovery(Action::RevokeL1 {}, &["north", "east"]);
    assert!(matches!(
        certify(&kill, world.chain(), NOW),
        Err(Uncertified::Recovery(BadRecovery::Kind(ChangeKind::RevokeL1)))
    ));
    // Whoever enters says so with their own key, as always.
    let unproved = crate::testing::actor(&["Compliance_Legal"], recovery_key("nobody").public());
    let next = world.next(|root| _ = root.actors.insert(person("bob"), unproved));
    assert!(matches!(refused(Action::ChangeActors { next }), Uncertified::Unenrolled { .. }));
}

#[test]
fn an_ordinary_successor_cancels_a_recovery_and_is_no_fork_with_it() {
    let mut world = world();
    let recovery = world.recovery(people(&world), &["north", "east"]);
    let cancels = world.certificate(Action::ChangeActors { next: world.next(|_| ()) }, "erin", &["alice"]);
    let met = |chain: &crate::chain::Chain, ours: &Certificate, other: &Certificate| {
        Fork::met(chain, &world.genesis(), std::slice::from_ref(ours), other)
    };
    let (recovered, _) = world.chain().extend(&recovery).unwrap();
    assert!(met(&recovered, &recovery, &cancels).is_some(), "one that was in force is not undone in silence");
    let (cancelled, _) = world.chain().extend(&cancels).unwrap();
    assert!(met(&cancelled, &cancels, &recovery).is_none());
    world.extend(&cancels);
    assert!(matches!(why(&world, &recovery), Uncertified::Stale { made: 1, current: 2 }));
}

#[test]
fn terms_that_one_thief_or_nobody_could_meet_are_refused() {
    let refused = |alter: fn(&mut RecoveryTerms)| {
        let mut root = world().trust().clone();
        root.recovery.iter_mut().for_each(alter);
        root.check().unwrap_err()
    };
    for alter in [
        (|terms| terms.need = 1) as fn(&mut RecoveryTerms),
        |terms| terms.need = 4,
        |terms| terms.delay_seconds -= 1,
        |terms| terms.delay_seconds = RECOVERY_DELAY_SECONDS_MAX + 1,
        |terms| terms.keys.extend((0..14).map(|n| recovery_key(&n.to_string()).public())),
    ] {
        assert!(matches!(refused(alter), BadTrust::Recovery(_)));
    }
}

/// Each limit belongs to what it allows.
#[test]
fn terms_at_their_limits_are_taken_and_one_beyond_is_not() {
    let keys = |count: usize| (0..count).map(|n| recovery_key(&n.to_string()).public()).collect();
    let fault = |keys, need, delay_seconds| RecoveryTerms { keys, need, delay_seconds }.fault();
    let (shortest, longest) = (RECOVERY_DELAY_SECONDS_MIN, RECOVERY_DELAY_SECONDS_MAX);
    assert_eq!(fault(keys(RECOVERY_KEYS_MAX), 2, shortest), None);
    assert_eq!(fault(keys(2), 2, longest), None);
    assert_eq!(fault(keys(RECOVERY_KEYS_MAX + 1), 2, shortest), Some("more than 16 keys"));
    assert_eq!(fault(keys(2), 1, shortest), Some("fewer than two keys would suffice"));
    assert_eq!(fault(keys(2), 3, shortest), Some("they ask for more keys than they name"));
    assert_eq!(fault(keys(2), 2, shortest - 1), Some("a delay shorter than 72 hours"));
    assert_eq!(fault(keys(2), 2, longest + 1), Some("a delay longer than 90 days"));
}

#[test]
fn a_first_receipt_is_kept_and_only_so_many() {
    let (mut waiting, terms) = (Waiting::default(), recovery_terms());
    let change = |n| Digest([n; 32]);
    assert!(waiting.is_empty());
    assert_eq!(waiting.due(&change(0), &terms), None);
    for n in 0..u8::try_from(RECOVERIES_MAX).unwrap() {
        assert!(waiting.receive(change(n), NOW + u64::from(n)));
    }
    assert!(!waiting.receive(change(99), NOW));
    assert!(waiting.receive(change(1), NOW + 500));
    assert_eq!(waiting.due(&change(1), &terms), Some(NOW + 1 + terms.delay_seconds));
    assert!(!waiting.is_empty());
    let told: Vec<_> = waiting.iter().take(2).map(|(change, received)| (*change, received)).collect();
    assert_eq!(told, [(change(0), NOW), (change(1), NOW + 1)]);
    let mut earlier = Waiting::default();
    earlier.receive(change(1), NOW - 7);
    waiting.join(&earlier);
    assert_eq!(waiting.due(&change(1), &terms), Some(NOW - 7 + terms.delay_seconds));
}
