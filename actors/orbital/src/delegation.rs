//! Delegations: one person stands in for another in some of their groups, from one date to another. A change of actors brings one and ends it.
//!
//! They are read from statements alone, so that whoever verifies later finds the same: a delegation counts for a decision whose collecting
//! lies within its dates as a whole. Collecting ends when the votes say, and lasts as long as the rule allows. A delegation gives no seat
//! twice: where the person who gave it signs, it counts for nothing.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use serde::{Deserialize, Serialize};

use crate::{
    canon,
    names::{Group, Person},
    quorum::Rule,
    trust::{BadTrust, TrustRoot},
};

/// Most delegations in one trust root.
pub const DELEGATIONS_MAX: usize = 32;
/// Longest delegation, in seconds: 400 days.
pub const DELEGATION_SECONDS_MAX: u64 = 400 * 24 * 3_600;

/// Who stands in for whom, where and when.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delegation {
    /// Whose groups they are.
    pub from: Person,
    /// Who signs for them.
    pub to: Person,
    pub groups: BTreeSet<Group>,
    /// Unix seconds.
    #[serde(with = "canon::decimal")]
    pub since: u64,
    /// Unix seconds.
    #[serde(with = "canon::decimal")]
    pub until: u64,
}

/// When the approvals of one decision are collected: Unix seconds, by what its votes say and its rule allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collecting {
    pub begins: u64,
    pub ends: u64,
}

impl Collecting {
    /// The longest time that collecting can have taken under this rule.
    pub fn of(rule: &Rule, ends: u64) -> Self {
        Self { begins: ends.saturating_sub(rule.expires_seconds), ends }
    }
}

impl Delegation {
    /// Whether collecting lies within its dates.
    pub fn covers(&self, collecting: Collecting) -> bool {
        self.since <= collecting.begins && collecting.ends <= self.until
    }
}

impl TrustRoot {
    /// This root as it counts for a decision that these persons sign: each delegation that covers it adds its groups to whoever stands in,
    /// unless the person who gave it signs, too, or has left one of the groups. `known`: those that may count.
    pub fn acting<'t>(
        &'t self,
        known: &BTreeSet<Delegation>,
        collecting: Collecting,
        signers: &BTreeSet<Person>,
    ) -> Cow<'t, Self> {
        let added = self.added(known, collecting, signers);
        if added.is_empty() {
            return Cow::Borrowed(self);
        }
        let mut acting = self.clone();
        for (person, groups) in added {
            if let Some(actor) = acting.actors.get_mut(person) {
                actor.groups.extend(groups);
            }
        }
        Cow::Owned(acting)
    }

    /// The groups that those who stand in get, each with what still is given to them.
    fn added(
        &self,
        known: &BTreeSet<Delegation>,
        collecting: Collecting,
        signers: &BTreeSet<Person>,
    ) -> BTreeMap<&Person, BTreeSet<Group>> {
        let counts = |d: &&Delegation| known.contains(*d) && d.covers(collecting) && !signers.contains(&d.from);
        let mut added: BTreeMap<&Person, BTreeSet<Group>> = BTreeMap::new();
        for delegation in self.delegations.iter().filter(counts) {
            let own = self.actors.get(&delegation.from).map(|actor| &actor.groups);
            let groups = own.into_iter().flat_map(|own| own.intersection(&delegation.groups)).cloned();
            added.entry(&delegation.to).or_default().extend(groups);
        }
        added
    }

    /// The groups in which this person may sign: their own, and those of whom they stand in for.
    pub fn groups_of(&self, person: &Person, collecting: Collecting) -> BTreeSet<Group> {
        let Some(actor) = self.actors.get(person) else { return BTreeSet::new() };
        let mut added = self.added(&self.delegations, collecting, &BTreeSet::new());
        actor.groups.iter().cloned().chain(added.remove(person).unwrap_or_default()).collect()
    }

    /// Without what no longer fits its people and their groups.
    pub fn prune_delegations(&mut self) {
        let fits: BTreeSet<_> = self.delegations.iter().filter(|d| self.fault_of(d).is_none()).cloned().collect();
        self.delegations = fits;
    }

    /// That each delegation is one between these people, and spoils no slot that they fill themselves.
    pub(crate) fn check_delegations(&self) -> Result<(), BadTrust> {
        for delegation in &self.delegations {
            if let Some(why) = self.fault_of(delegation) {
                let Delegation { from, to, .. } = delegation.clone();
                return Err(BadTrust::Delegation { from, to, why });
            }
        }
        Ok(())
    }

    fn fault_of(&self, delegation: &Delegation) -> Option<&'static str> {
        let Delegation { from, to, groups, since, until } = delegation;
        let own = |person| self.actors.get(person).map(|actor| &actor.groups);
        let (Some(gives), Some(takes)) = (own(from), own(to)) else {
            return Some("one of them is no person of the tenant");
        };
        // A rule of disjoint groups counts nobody who is of two of them: who stands in would lose the slot that they fill.
        let spoils = |rule: &Rule| {
            let demanded = |all: &BTreeSet<Group>| rule.need.iter().any(|need| all.contains(&need.group));
            let other =
                |all: &BTreeSet<Group>| rule.need.iter().any(|n| all.contains(&n.group) && !groups.contains(&n.group));
            rule.disjoint && demanded(groups) && other(takes)
        };
        match () {
            () if from == to => Some("nobody stands in for themselves"),
            () if groups.is_empty() => Some("it names no group"),
            () if !groups.is_subset(gives) => Some("it names a group that is not theirs to give"),
            () if !groups.is_disjoint(takes) => Some("who stands in is of that group already"),
            () if since >= until => Some("it ends before it begins"),
            () if until - since > DELEGATION_SECONDS_MAX => Some("it lasts longer than 400 days"),
            () if self.rules.values().any(spoils) => Some(
                "a rule asks for one of those groups beside one of their own, in different people: they would count for neither",
            ),
            () => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        certificate::{Uncertified, certify},
        change::{Action, ChangeKind},
        names::System,
        testing::{NOW, World, person},
    };

    const DAY: u64 = 24 * 3_600;

    fn group(name: &str) -> Group {
        Group::new(name).unwrap()
    }

    /// judy (Audit) stands in for alice (Security_Ops).
    fn delegation(since: u64, until: u64) -> Delegation {
        Delegation { from: person("alice"), to: person("judy"), groups: [group("Security_Ops")].into(), since, until }
    }

    fn world(since: u64, until: u64) -> World {
        let mut world = World::founded("test", "acme", |root| root.delegations = [delegation(since, until)].into());
        world.expires = NOW + DAY;
        world
    }

    fn register(world: &World, proposer: &str, approvers: &[&str]) -> Result<(), Uncertified> {
        let system = System::new("billing").unwrap();
        let next = world.next(|root| _ = root.systems.insert(system.clone()));
        let certificate = world.certificate(Action::RegisterSystem { system, next }, proposer, approvers);
        certify(&certificate, world.chain(), NOW).map(|_| ())
    }

    #[test]
    fn who_stands_in_fills_the_slot_while_all_of_the_collecting_lies_within_the_dates() {
        assert!(matches!(register(&World::new(), "judy", &["bob"]), Err(Uncertified::Unmet { .. })));
        for (since, until) in [(NOW, NOW + DAY), (NOW - DAY, NOW + 9 * DAY)] {
            assert_eq!(register(&world(since, until), "judy", &["bob"]), Ok(()));
            assert_eq!(register(&world(since, until), "bob", &["judy"]), Ok(()));
        }
        for (since, until) in [(NOW + 1, NOW + 9 * DAY), (NOW - DAY, NOW + DAY - 1)] {
            assert!(matches!(register(&world(since, until), "judy", &["bob"]), Err(Uncertified::Unmet { .. })));
        }
    }

    #[test]
    fn no_seat_counts_twice_and_none_counts_that_was_not_given() {
        let world = world(NOW - DAY, NOW + 9 * DAY);
        // alice signs herself: judy gives nothing, and bob's slot is bob's.
        assert!(matches!(register(&world, "judy", &["alice"]), Err(Uncertified::Unmet { .. })));
        assert_eq!(register(&world, "judy", &["alice", "bob"]), Ok(()));
        let mut rule = world.trust().rules[&ChangeKind::RegisterSystem].clone();
        rule.need.iter_mut().filter(|n| n.group == group("Security_Ops")).for_each(|n| n.count = 2);
        let seats = |names: &[&str]| {
            let signers: BTreeSet<_> = names.iter().map(|name| person(name)).collect();
            let collecting = Collecting::of(&rule, NOW + DAY);
            let acting = world.trust().acting(&world.trust().delegations, collecting, &signers);
            rule.missing(&acting, &signers).len()
        };
        assert_eq!(seats(&["judy", "frank", "bob"]), 0);
        assert_eq!(seats(&["judy", "alice", "bob"]), 1);
        // She has left the group since: there is nothing to stand in for.
        let mut root = world.trust().clone();
        root.actors.get_mut(&person("alice")).unwrap().groups = [group("Audit")].into();
        let collecting = Collecting::of(&rule, NOW + DAY);
        assert_eq!(root.groups_of(&person("judy"), collecting), [group("Audit")].into());
        root.prune_delegations();
        assert!(root.delegations.is_empty());
    }

    /// The rules of a next version are met by whom the present one lets stand in.
    #[test]
    fn what_enters_with_the_next_version_gives_nothing_yet() {
        let world = world(NOW - DAY, NOW + 9 * DAY);
        let collecting = Collecting { begins: NOW, ends: NOW + DAY };
        let groups = |known: &BTreeSet<Delegation>| {
            let acting = world.trust().acting(known, collecting, &BTreeSet::new());
            acting.actors[&person("judy")].groups.clone()
        };
        assert!(groups(&world.trust().delegations).contains(&group("Security_Ops")));
        assert!(!groups(&BTreeSet::new()).contains(&group("Security_Ops")));
    }

    #[test]
    fn a_delegation_is_brought_and_ended_by_those_whose_rules_it_touches() {
        let world = World::new();
        let with = |delegations: BTreeSet<Delegation>| world.next(|root| root.delegations = delegations);
        let brings = |next, approvers: &[&str]| {
            let certificate = world.certificate(Action::ChangeActors { next }, "erin", approvers);
            world.chain().extend(&certificate).map(|_| ())
        };
        let one: BTreeSet<_> = [delegation(NOW, NOW + 9 * DAY)].into();
        // Rules that ask for Security_Ops ask for Compliance_Legal, too, and one of them for two of Senior_Leadership.
        assert!(matches!(brings(with(one.clone()), &["alice"]), Err(Uncertified::Unmet { .. })));
        assert_eq!(brings(with(one.clone()), &["alice", "bob", "carol", "dave"]), Ok(()));
        // Whoever it brings in does not sign for it as who they are to be.
        assert!(matches!(brings(with(one.clone()), &["judy", "bob", "carol", "dave"]), Err(Uncertified::Unmet { .. })));
        let other = world.next(|root| root.delegations = one);
        let certificate =
            world.certificate(Action::ChangeQuorum { next: other }, "erin", &["alice", "bob", "carol", "dave"]);
        assert!(matches!(world.chain().extend(&certificate), Err(Uncertified::NotSuccessor(..))));
    }

    #[test]
    fn what_is_no_delegation_between_these_people_is_refused() {
        let why = |alter: fn(&mut Delegation)| {
            let mut one = delegation(NOW, NOW + DAY);
            alter(&mut one);
            let mut root = World::new().trust().clone();
            root.delegations = [one].into();
            match root.check() {
                Err(BadTrust::Delegation { why, .. }) => why,
                other => panic!("{other:?}"),
            }
        };
        let faults = [
            why(|d| d.to = person("nobody")),
            why(|d| d.to = person("alice")),
            why(|d| d.groups.clear()),
            why(|d| _ = d.groups.insert(group("Senior_Leadership"))),
            why(|d| d.to = person("frank")),
            why(|d| d.until = d.since),
            why(|d| d.until = d.since + DELEGATION_SECONDS_MAX + 1),
            why(|d| d.to = person("bob")),
        ];
        assert_eq!(faults.iter().collect::<BTreeSet<_>>().len(), faults.len());
        let mut root = World::new().trust().clone();
        root.delegations = [delegation(NOW, NOW + DELEGATION_SECONDS_MAX)].into();
        assert_eq!(root.check(), Ok(()), "the longest");
    }
}
