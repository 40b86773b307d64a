//! Rules: the matching against a brute-force oracle, and every rule that must not stand.

use super::*;
use crate::testing::{
    World,
    authenticator::{PASSKEY, with_passkeys},
    person,
};

fn need(group: &str, count: u64) -> Need {
    Need { group: Group::new(group).unwrap(), count }
}

fn rule(need: &[(&str, u64)], disjoint: bool) -> Rule {
    let like = Rule::default_for(ChangeKind::LinkL1).unwrap();
    Rule { need: need.iter().map(|(g, c)| self::need(g, *c)).collect(), disjoint, ..like }
}

fn people(names: &[&str]) -> BTreeSet<Person> {
    names.iter().map(|n| person(n)).collect()
}

/// Whether `rule` would stand for `kind` among the people of the world.
fn stands(kind: ChangeKind, rule: &Rule) -> Result<(), BadTrust> {
    check_rule(World::new().trust(), kind, rule)
}

fn unmeetable(found: Result<(), BadTrust>, reason: &str) {
    assert!(matches!(&found, Err(BadTrust::Unmeetable { why, .. }) if why.contains(reason)), "{found:?}");
}

#[test]
fn the_defaults_stand() {
    for kind in ChangeKind::ALL {
        stands(kind, &Rule::default_for(kind).unwrap()).unwrap();
    }
}

#[test]
fn a_rule_that_asks_for_nobody_does_not_stand_and_is_never_met() {
    let world = World::new();
    let everyone = world.trust().actors.keys().cloned().collect();
    for need in [&[][..], &[("Senior_Leadership", 0)], &[("Senior_Leadership", 1)]] {
        unmeetable(stands(ChangeKind::RevokeL1, &rule(need, true)), "signers");
        assert!(!rule(need, true).met_by(world.trust(), &everyone), "{need:?}");
    }
    let crowd = rule(&[("Senior_Leadership", u64::MAX)], false);
    unmeetable(stands(ChangeKind::RevokeL1, &crowd), "signers");
    assert!(!crowd.met_by(world.trust(), &everyone));
}

#[test]
fn a_group_of_zero_does_not_stand_in_for_a_second_group() {
    unmeetable(
        stands(ChangeKind::LinkL1, &rule(&[("Senior_Leadership", 2), ("Audit", 0)], true)),
        "no signer of Audit",
    );
}

#[test]
fn one_group_alone_may_only_stop() {
    let one = rule(&[("Senior_Leadership", 2)], true);
    let twice = rule(&[("Senior_Leadership", 1), ("Senior_Leadership", 1)], true);
    for kind in ChangeKind::ALL {
        for rule in [&one, &twice] {
            let expected = if kind.is_stop() { Ok(()) } else { Err(BadTrust::OneGroup(kind)) };
            assert_eq!(stands(kind, rule), expected);
        }
    }
    // erin and ivan are of both groups: two names for the same people.
    let same = |disjoint| stands(ChangeKind::LinkL1, &rule(&[("Super_Admin", 1), ("Admin", 1)], disjoint));
    assert_eq!(same(false), Err(BadTrust::OneGroup(ChangeKind::LinkL1)));
    unmeetable(same(true), "nobody is left");
}

#[test]
fn a_rule_stands_only_with_any_one_person_gone() {
    unmeetable(stands(ChangeKind::RevokeL1, &rule(&[("Senior_Leadership", 3)], true)), "without ");
    unmeetable(stands(ChangeKind::RevokeL1, &rule(&[("Nobody_At_All", 2)], true)), "nobody is left");
    stands(ChangeKind::RevokeL1, &rule(&[("Senior_Leadership", 2)], true)).unwrap();
}

#[test]
fn who_has_no_key_that_counts_is_not_there_to_sign() {
    let mut root = World::new().trust().clone();
    let rule = rule(&[("Senior_Leadership", 2)], true);
    for key in root.actors.get_mut(&person("heidi")).unwrap().keys.values_mut() {
        key.algorithm = crate::trust::Algorithm::Webauthn;
    }
    unmeetable(check_rule(&root, ChangeKind::RevokeL1, &rule), "without ");
}

#[test]
fn a_rule_that_asks_for_passkeys_stands_where_enough_people_have_one() {
    let base = Rule::default_for(ChangeKind::RevokeL1).unwrap();
    let rule = Rule { verify: Verify::User, ..base };
    unmeetable(stands(ChangeKind::RevokeL1, &rule), "with a passkey");
    let mut root = World::founded("test", "acme", with_passkeys).trust().clone();
    check_rule(&root, ChangeKind::RevokeL1, &rule).unwrap();
    // With heidi's passkey gone, two are left, and neither may go.
    let key = crate::names::KeyName::new(PASSKEY).unwrap();
    root.actors.get_mut(&person("heidi")).unwrap().keys.remove(&key);
    unmeetable(check_rule(&root, ChangeKind::RevokeL1, &rule), "without ");
    check_rule(&root, ChangeKind::RevokeL1, &Rule { verify: Verify::Key, ..rule.clone() }).unwrap();
    // And without terms no passkey counts at all.
    let mut root = World::founded("test", "acme", with_passkeys).trust().clone();
    root.webauthn = None;
    unmeetable(check_rule(&root, ChangeKind::RevokeL1, &rule), "with a passkey");
}

#[test]
fn a_signer_counts_for_the_most_that_they_proved() {
    let mut signers = Signers::default();
    for proved in [Verify::Key, Verify::User, Verify::Key] {
        signers.add(person("dave"), proved);
    }
    signers.add(person("carol"), Verify::Key);
    assert_eq!(signers.who_proved(Verify::User), people(&["dave"]));
    assert_eq!(signers.who_proved(Verify::Key), people(&["carol", "dave"]));
}

#[test]
fn impossible_times_are_refused() {
    let base = Rule::default_for(ChangeKind::LinkL1).unwrap();
    for expires_seconds in [0, EXPIRES_SECONDS_MAX + 1] {
        unmeetable(stands(ChangeKind::LinkL1, &Rule { expires_seconds, ..base.clone() }), "seconds");
    }
}

#[test]
fn disjoint_leaves_out_who_is_of_two_demanded_groups() {
    let world = World::new();
    let demands = [("Super_Admin", 1), ("Admin", 1)];
    assert!(rule(&demands, false).met_by(world.trust(), &people(&["erin", "ivan"])));
    assert_eq!(rule(&demands, true).missing(world.trust(), &people(&["erin", "ivan"])).len(), 2);
    // Of two groups, but only one is demanded.
    assert!(rule(&[("Admin", 1), ("Audit", 1)], true).met_by(world.trust(), &people(&["erin", "judy"])));
}

/// Tries every way to seat signers on slots.
fn oracle(rule: &Rule, trust: &TrustRoot, signers: &[Person], slots: &[Group]) -> bool {
    let Some((slot, rest)) = slots.split_first() else { return true };
    signers.iter().enumerate().any(|(at, person)| {
        let groups = &trust.actors[person].groups;
        let demanded = rule.need.iter().map(|n| &n.group).collect::<BTreeSet<_>>();
        let several = demanded.iter().filter(|g| groups.contains(**g)).count() > 1;
        let others: Vec<_> = signers.iter().enumerate().filter(|(i, _)| *i != at).map(|(_, p)| p.clone()).collect();
        groups.contains(slot) && !(rule.disjoint && several) && oracle(rule, trust, &others, rest)
    })
}

const GROUPS: [&str; 3] = ["A", "B", "C"];

proptest::proptest! {
    #[test]
    fn the_matching_finds_a_seating_exactly_where_there_is_one(
        memberships in proptest::collection::vec(0u8..8, 6),
        counts in proptest::collection::vec((0usize..3, 0u64..3), 0..4),
        disjoint: bool,
        signing in 0u8..64,
    ) {
        let mut trust = World::new().trust().clone();
        let names: Vec<_> = trust.actors.keys().take(memberships.len()).cloned().collect();
        trust.actors.retain(|p, _| names.contains(p));
        for (name, bits) in names.iter().zip(&memberships) {
            let of = GROUPS.iter().enumerate().filter(|(i, _)| bits >> i & 1 == 1);
            trust.actors.get_mut(name).unwrap().groups = of.map(|(_, g)| Group::new(g).unwrap()).collect();
        }
        let rule = rule(&counts.iter().map(|(g, c)| (GROUPS[*g], *c)).collect::<Vec<_>>(), disjoint);
        let signers: Vec<_> = names.iter().enumerate().filter(|(i, _)| signing >> i & 1 == 1).map(|(_, p)| p.clone()).collect();
        let slots: Vec<_> = rule.slots().into_iter().cloned().collect();
        let expected = slots.len() >= PERSONS_MIN && oracle(&rule, &trust, &signers, &slots);
        proptest::prop_assert_eq!(rule.met_by(&trust, &signers.into_iter().collect()), expected);
    }

    #[test]
    fn one_more_signer_never_unmeets_a_rule(signing in 0u16..2048, more in 0usize..11) {
        let world = World::new();
        let names: Vec<_> = world.trust().actors.keys().cloned().collect();
        let some: BTreeSet<_> = names.iter().enumerate().filter(|(i, _)| signing >> i & 1 == 1).map(|(_, p)| p.clone()).collect();
        let mut with = some.clone();
        with.insert(names[more].clone());
        for rule in world.trust().rules.values() {
            proptest::prop_assert!(!rule.met_by(world.trust(), &some) || rule.met_by(world.trust(), &with));
        }
    }
}

#[test]
fn a_rule_has_as_many_slots_as_are_counted_and_one_more_is_never_met() {
    let mut trust = World::new().trust().clone();
    let guests: BTreeSet<Person> = (0..=SLOTS_MAX).map(|n| person(&format!("guest-{n}"))).collect();
    for guest in &guests {
        let actor = crate::testing::actor(&["Guests"], crate::testing::secret("guests", guest.as_str()).public());
        trust.actors.insert(guest.clone(), actor);
    }
    let all = u64::try_from(SLOTS_MAX).unwrap();
    assert!(rule(&[("Guests", all)], true).met_by(&trust, &guests));
    // Whoever fills every slot that is looked at has not filled one that isn't.
    assert_eq!(rule(&[("Guests", all + 1)], true).missing(&trust, &guests), [Group::new("Guests").unwrap()]);
    let nobody = rule(&[], true).missing(&trust, &guests);
    assert_eq!(nobody, [Group::new("nobody").unwrap()]);
}

#[test]
fn what_a_rule_asks_of_a_signature_counts_and_the_best_of_a_person() {
    let world = World::founded("test", "acme", with_passkeys);
    let asks = |verify| Rule { verify, ..rule(&[("Senior_Leadership", 2)], true) };
    let mut signers = Signers::default();
    signers.add(person("carol"), Verify::User);
    let mut others = Signers::default();
    others.add(person("dave"), Verify::Key);
    signers.join(others);
    assert!(asks(Verify::Key).lacks(world.trust(), &signers).is_empty());
    assert_eq!(asks(Verify::User).lacks(world.trust(), &signers).len(), 1);
    // A second signature that proves less takes nothing away.
    signers.add(person("carol"), Verify::Key);
    signers.add(person("dave"), Verify::User);
    assert!(asks(Verify::User).lacks(world.trust(), &signers).is_empty());
}
