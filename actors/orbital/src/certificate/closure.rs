//! Coalition closure (PROTOCOL §9.7): whatever versions a coalition makes, it reaches the effect of kind K only if it met K's rule at the
//! start; and no lone person blocks a kill. Random trust roots, rules and sequences of changes, each from a printed seed.
//!
//! The steps are the real ones without the signatures: `meets`, `demands` and `TrustRoot::check`. A coalition signs with every key
//! that it holds: its own, those of persons that it invented, and those that it put in place of another person's.

use super::*;
use crate::{
    quorum::Need,
    testing::{World, actor, person, secret},
};

const SEEDS: u64 = 300;
const STEPS: usize = 6;
const GROUPS: [&str; 4] = ["Security_Ops", "Compliance_Legal", "Senior_Leadership", "Super_Admin"];
/// Kinds with rules of their own; the others share one.
const KINDS: [ChangeKind; 5] = [
    ChangeKind::LinkL1,
    ChangeKind::RevokeL1,
    ChangeKind::RestoreL1,
    ChangeKind::ChangeActors,
    ChangeKind::ChangeQuorum,
];

/// No delegation is in these roots.
const WHENEVER: Collecting = Collecting { begins: 0, ends: 0 };

fn meets_closure(old: &TrustRoot, next: &TrustRoot, signers: &Signers) -> bool {
    demands::closure(old, next, WHENEVER).unwrap().iter().all(|demand| meets(demand, demand.kind, signers).is_ok())
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        usize::try_from((z ^ (z >> 31)) % u64::try_from(sides).unwrap()).unwrap()
    }
    fn group(&mut self) -> Group {
        Group::new(GROUPS[self.roll(GROUPS.len())]).unwrap()
    }
    fn groups(&mut self) -> BTreeSet<Group> {
        let first = self.group();
        if self.roll(3) == 0 { BTreeSet::from([first, self.group()]) } else { BTreeSet::from([first]) }
    }
    fn rule(&mut self, like: &Rule) -> Rule {
        let mut need = vec![Need { group: self.group(), count: 1 + u64::from(self.roll(2) == 0) }];
        if self.roll(4) > 0 {
            need.push(Need { group: self.group(), count: 1 });
        }
        Rule { need, disjoint: self.roll(2) == 0, ..like.clone() }
    }
    fn pick(&mut self, from: impl Iterator<Item = Person>) -> Person {
        let all: Vec<_> = from.collect();
        all[self.roll(all.len())].clone()
    }
}

/// A valid first version with people, groups and rules by chance.
fn random_root(dice: &mut Dice, base: &TrustRoot) -> TrustRoot {
    loop {
        let mut root = base.clone();
        root.actors.values_mut().for_each(|a| a.groups = dice.groups());
        for kind in KINDS {
            let mut altered = root.clone();
            altered.rules.insert(kind, dice.rule(&base.rules[&kind]));
            if crate::quorum::check_rule(&altered, kind, &altered.rules[&kind]).is_ok() {
                root = altered;
            }
        }
        let shared = root.rules[&ChangeKind::LinkL1].clone();
        ChangeKind::ALL.into_iter().filter(|k| !KINDS.contains(k)).for_each(|k| {
            root.rules.insert(k, shared.clone());
        });
        if root.check().is_ok() {
            return root;
        }
    }
}

/// The next version as a coalition wishes it, its kind of change, and whose keys it holds afterwards.
fn wish(
    dice: &mut Dice,
    now: &TrustRoot,
    held: &BTreeSet<Person>,
    step: usize,
) -> (ChangeKind, TrustRoot, BTreeSet<Person>) {
    let (mut next, mut held) = (now.clone(), held.clone());
    if dice.roll(3) == 0 {
        let kind = KINDS[dice.roll(KINDS.len())];
        next.rules.insert(kind, dice.rule(&now.rules[&kind]));
        return (ChangeKind::ChangeQuorum, next, held);
    }
    for at in 0..=dice.roll(2) {
        let victim = dice.pick(next.actors.keys().cloned());
        match dice.roll(4) {
            0 => next.actors.get_mut(&victim).unwrap().groups = dice.groups(),
            1 => _ = next.actors.remove(&victim),
            2 => {
                let puppet = person(&format!("puppet-{step}-{at}"));
                let mut enters = actor(&[], secret("puppet", puppet.as_str()).public());
                enters.groups = dice.groups();
                next.actors.insert(puppet.clone(), enters);
                held.insert(puppet);
            }
            _ => {
                let stolen = secret("stolen", &format!("{victim}-{step}-{at}")).public();
                next.actors.get_mut(&victim).unwrap().keys.values_mut().for_each(|k| k.public = stolen.into());
                held.insert(victim);
            }
        }
    }
    held.retain(|p| next.actors.contains_key(p));
    (ChangeKind::ChangeActors, next, held)
}

/// Runs a coalition from a seed. Returns how many versions it made, and the kinds that it reached without meeting their rule.
fn run(seed: u64, base: &TrustRoot, closure: bool) -> (usize, Vec<ChangeKind>) {
    let mut dice = Dice(seed);
    let first = random_root(&mut dice, base);
    let coalition: BTreeSet<_> = first.actors.keys().filter(|_| dice.roll(2) == 0).cloned().collect();
    let (mut now, mut held, mut made) = (first.clone(), coalition.clone(), 0);
    for step in 0..STEPS {
        let (kind, next, held_next) = wish(&mut dice, &now, &held, step);
        let mut signers = Signers::default();
        held.iter().for_each(|person| signers.add(person.clone(), Verify::Key));
        let allowed = meets(&demands::present(&now, kind, WHENEVER).unwrap(), kind, &signers).is_ok()
            && (!closure || meets_closure(&now, &next, &signers));
        if allowed && next.check().is_ok() {
            (now, held, made) = (next, held_next, made + 1);
        }
    }
    let reached = |kind: &ChangeKind| now.rules[kind].met_by(&now, &held);
    let entitled = |kind: &ChangeKind| first.rules[kind].met_by(&first, &coalition);
    (made, KINDS.into_iter().filter(|k| reached(k) && !entitled(k)).collect())
}

#[test]
fn a_coalition_reaches_only_what_its_rules_allow() {
    let (base, mut made) = (World::new().trust().clone(), 0);
    for seed in 0..SEEDS {
        let (versions, stolen) = run(seed, &base, true);
        assert_eq!(stolen, [], "seed {seed}");
        made += versions;
    }
    assert!(made > 100, "only {made} versions were made: the test shows nothing");
}

#[test]
fn without_the_closure_coalitions_reach_more() {
    let base = World::new().trust().clone();
    assert!((0..SEEDS).any(|seed| !run(seed, &base, false).1.is_empty()));
}

#[test]
fn no_lone_person_blocks_a_kill() {
    let base = World::new().trust().clone();
    for seed in 0..40 {
        let mut dice = Dice(seed);
        let root = random_root(&mut dice, &base);
        let world = World::founded("test", "acme", |first| *first = root);
        let everyone: Vec<_> = world.trust().actors.keys().map(|p| p.as_str().to_owned()).collect();
        let lone = everyone[dice.roll(everyone.len())].clone();
        let others: Vec<_> = everyone.iter().map(String::as_str).filter(|p| *p != lone).collect();
        let mut kill = world.certificate(crate::change::Action::RevokeL1 {}, others[0], &others[1..]);
        let junk = crate::testing::spoilt(world.answer(Role::Approve, &kill.proposal, &lone));
        kill.approvals.insert(0, junk);
        certify(&kill, world.chain(), crate::testing::NOW).unwrap_or_else(|e| panic!("seed {seed}, {lone}: {e}"));
    }
}
