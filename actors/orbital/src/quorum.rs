//! Quorum rules, and the one pure function that says whether a set of persons meets one.
//!
//! Both planes call it (DESIGN §2.5). Every doubt counts against the signer: a person fills at most one slot, two persons are the floor
//! whatever a rule says, and where a rule asks for disjoint groups a person of two demanded groups fills none.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    canon,
    change::ChangeKind,
    names::{Group, Person},
    trust::{Actor, BadTrust, TrustRoot},
};

/// Fewest distinct persons that any decision needs: four eyes (DESIGN §4).
pub const PERSONS_MIN: usize = 2;
/// Longest time that approvals may be collected, in seconds: a leap year.
pub const EXPIRES_SECONDS_MAX: u64 = 366 * 24 * 3600;
/// Most slots of one rule.
pub const SLOTS_MAX: usize = 32;

/// So many signers of one group.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Need {
    pub group: Group,
    #[serde(with = "canon::decimal")]
    pub count: u64,
}

/// What a signature must prove, and what one proved. The later includes the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verify {
    /// Possession of the key.
    Key,
    /// A passkey with user verification; forced for HYOK.
    User,
}

/// Distinct persons whose signatures count, each with the most that one of their signatures proved.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Signers(BTreeMap<Person, Verify>);

impl Signers {
    pub fn add(&mut self, person: Person, proved: Verify) {
        let most = self.0.entry(person).or_insert(proved);
        *most = proved.max(*most);
    }

    pub fn join(&mut self, others: Self) {
        others.0.into_iter().for_each(|(person, proved)| self.add(person, proved));
    }

    /// Those who proved as much.
    pub fn who_proved(&self, what: Verify) -> BTreeSet<Person> {
        self.0.iter().filter(|(_, proved)| **proved >= what).map(|(person, _)| person.clone()).collect()
    }

    /// Those of them whom `keep` keeps.
    pub fn only(&self, keep: impl Fn(&Person) -> bool) -> Self {
        Self(self.0.iter().filter(|(person, _)| keep(person)).map(|(p, v)| (p.clone(), *v)).collect())
    }
}

/// Who must sign one kind of change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    pub need: Vec<Need>,
    /// A person of more than one of the demanded groups does not count.
    pub disjoint: bool,
    pub verify: Verify,
    /// The proposer confirms last.
    pub confirm: bool,
    /// How long approvals are collected.
    #[serde(with = "canon::decimal")]
    pub expires_seconds: u64,
}

impl Rule {
    fn of(need: &[(&str, u64)]) -> Result<Self, crate::names::BadName> {
        let need = need.iter().map(|(group, count)| Ok(Need { group: Group::new(group)?, count: *count }));
        Ok(Self {
            need: need.collect::<Result<_, crate::names::BadName>>()?,
            disjoint: true,
            verify: Verify::Key,
            confirm: false,
            expires_seconds: 24 * 3600,
        })
    }

    /// ACD-102's table; kinds that it does not name take Link's, stops take Revoke's (DESIGN §4).
    pub fn default_for(kind: ChangeKind) -> Result<Self, crate::names::BadName> {
        match kind {
            ChangeKind::RevokeL1 | ChangeKind::SuspendL1 | ChangeKind::BlockTenant | ChangeKind::TerminateTenant => {
                Self::of(&[("Senior_Leadership", 2)])
            }
            // Lifting a kill includes what setting it took (PROTOCOL §4).
            ChangeKind::RestoreL1 => {
                Self::of(&[("Security_Ops", 1), ("Compliance_Legal", 1), ("Senior_Leadership", 2)])
            }
            ChangeKind::ChangeActors | ChangeKind::ChangeQuorum => Self::of(&[("Super_Admin", 1), ("Security_Ops", 1)]),
            ChangeKind::ChangePolicy => Self::of(&[("Audit", 1), ("Admin", 1)]),
            _ => Self::of(&[("Security_Ops", 1), ("Compliance_Legal", 1)]),
        }
    }

    fn slots(&self) -> Vec<&Group> {
        self.need.iter().flat_map(|n| (0..n.count).map(move |_| &n.group)).take(SLOTS_MAX + 1).collect()
    }

    /// Whether this is somebody of one of the demanded groups.
    pub fn asks(&self, actor: &Actor) -> bool {
        self.need.iter().any(|need| actor.groups.contains(&need.group))
    }

    /// How many demanded groups hold this person.
    fn groups_of(&self, trust: &TrustRoot, person: &Person) -> usize {
        let demanded: BTreeSet<_> = self.need.iter().map(|n| &n.group).collect();
        trust.actors.get(person).map_or(0, |a| demanded.into_iter().filter(|g| a.groups.contains(*g)).count())
    }

    /// Who of `trust` may fill a slot of `group`.
    fn fills(&self, trust: &TrustRoot, person: &Person, group: &Group) -> bool {
        let member = trust.actors.get(person).is_some_and(|a| a.groups.contains(group));
        member && !(self.disjoint && self.groups_of(trust, person) > 1)
    }

    /// Whether these distinct persons meet the rule under this trust root.
    pub fn met_by(&self, trust: &TrustRoot, signers: &BTreeSet<Person>) -> bool {
        self.missing(trust, signers).is_empty()
    }

    /// The groups of the slots that nobody of these fills who proved what the rule asks for: empty says met.
    pub fn lacks(&self, trust: &TrustRoot, signers: &Signers) -> Vec<Group> {
        self.missing(trust, &signers.who_proved(self.verify))
    }

    /// The groups of the slots that nobody fills, and how many persons fail the floor of two: empty says met.
    pub fn missing(&self, trust: &TrustRoot, signers: &BTreeSet<Person>) -> Vec<Group> {
        let slots = self.slots();
        let filled_by = self.matching(trust, signers, &slots);
        let mut missing: Vec<Group> =
            slots.iter().zip(&filled_by).filter(|(_, by)| by.is_none()).map(|(group, _)| (*group).clone()).collect();
        let counted = filled_by.iter().flatten().collect::<BTreeSet<_>>().len();
        let unmet_floor = missing.is_empty() && (counted < PERSONS_MIN || slots.is_empty() || slots.len() > SLOTS_MAX);
        if unmet_floor && let Some(need) = self.need.first() {
            missing.push(need.group.clone());
        }
        // A rule that asks for nothing is met by nobody.
        if unmet_floor
            && missing.is_empty()
            && let Ok(nobody) = Group::new("nobody")
        {
            missing.push(nobody);
        }
        missing
    }

    /// Who fills which slot in a largest matching between persons and slots (augmenting paths, König 1931).
    fn matching<'p>(
        &self,
        trust: &TrustRoot,
        signers: &'p BTreeSet<Person>,
        slots: &[&Group],
    ) -> Vec<Option<&'p Person>> {
        let mut filled_by = vec![None; slots.len()];
        for person in signers {
            if filled_by.iter().all(Option::is_some) {
                break;
            }
            self.place(trust, person, slots, &mut filled_by, &mut BTreeSet::new());
        }
        filled_by
    }

    /// One augmenting path of a bipartite matching between persons and slots.
    fn place<'p>(
        &self,
        trust: &TrustRoot,
        person: &'p Person,
        slots: &[&Group],
        filled_by: &mut Vec<Option<&'p Person>>,
        tried: &mut BTreeSet<usize>,
    ) -> bool {
        for (at, group) in slots.iter().enumerate() {
            if !self.fills(trust, person, group) || !tried.insert(at) {
                continue;
            }
            let holder = filled_by.get(at).copied().flatten();
            let free = holder.is_none_or(|other| self.place(trust, other, slots, filled_by, tried));
            if free && let Some(slot) = filled_by.get_mut(at) {
                *slot = Some(person);
                return true;
            }
        }
        false
    }
}

/// A rule stands only if it can still be met with any one person gone, and by one group alone only for stops (PROTOCOL §3).
pub(crate) fn check_rule(trust: &TrustRoot, kind: ChangeKind, rule: &Rule) -> Result<(), BadTrust> {
    check_spelling(kind, rule)?;
    let everyone: BTreeSet<Person> =
        trust.actors.keys().filter(|person| trust.can_prove(person, rule.verify)).cloned().collect();
    for need in rule.need.iter().filter(|_| !kind.is_stop()) {
        let of_group = |p: &&Person| trust.actors.get(p).is_some_and(|a| a.groups.contains(&need.group));
        if rule.met_by(trust, &everyone.iter().filter(of_group).cloned().collect()) {
            return Err(BadTrust::OneGroup(kind));
        }
    }
    let without = |gone: Option<&Person>| {
        let rest = everyone.iter().filter(|p| Some(*p) != gone).cloned().collect();
        match rule.missing(trust, &rest).first() {
            None => Ok(()),
            Some(group) => {
                let who = gone.map_or("nobody".to_owned(), |gone| format!("without {gone} nobody"));
                let with = if rule.verify == Verify::User { " with a passkey" } else { "" };
                let why = format!("{who} is left to sign for {group}{with}; add a person{with} to that group");
                Err(BadTrust::Unmeetable { kind, why })
            }
        }
    };
    without(None)?;
    // Whoever is not needed for this matching can go: the matching stays.
    rule.matching(trust, &everyone, &rule.slots()).into_iter().flatten().try_for_each(|gone| without(Some(gone)))
}

/// What a rule must hold whoever the people are.
fn check_spelling(kind: ChangeKind, rule: &Rule) -> Result<(), BadTrust> {
    let unmeetable = |why: String| Err(BadTrust::Unmeetable { kind, why });
    let (slots, groups) = (rule.slots().len(), rule.need.iter().map(|n| &n.group).collect::<BTreeSet<_>>());
    if !(PERSONS_MIN..=SLOTS_MAX).contains(&slots) {
        return unmeetable(format!("it asks for {slots} signers; {PERSONS_MIN} to {SLOTS_MAX} are possible"));
    }
    if let Some(none) = rule.need.iter().find(|n| n.count == 0) {
        return unmeetable(format!("it asks for no signer of {}: leave that group out", none.group));
    }
    if groups.len() < 2 && !kind.is_stop() {
        return Err(BadTrust::OneGroup(kind));
    }
    if !(1..=EXPIRES_SECONDS_MAX).contains(&rule.expires_seconds) {
        return unmeetable(format!("approvals are collected for 1 to {EXPIRES_SECONDS_MAX} seconds"));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
