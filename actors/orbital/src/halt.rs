//! Halts: the three stops that a change lifts again, each only its own (PROTOCOL §4), and their names.
//!
//! A tenant is halted in one of the ways as long as a halt of that kind is known that no lifting change of that kind names, in whatever
//! order they came. So both sets only grow, and two that were told apart are joined by putting them together.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    change::{Action, ChangeKind},
    names::Digest,
};

/// One kind of stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Halt {
    /// RevokeL1, lifted by RestoreL1: nothing at all works.
    Kill,
    /// BlockTenant, lifted by UnblockTenant: nobody is served, and clients are told so.
    Block,
    /// SuspendL1, lifted by ResumeL1: what is protected can be read, nothing new is protected.
    Suspension,
}

impl Halt {
    /// The gravest first.
    pub const ALL: [Self; 3] = [Self::Kill, Self::Block, Self::Suspension];

    /// What the change halts.
    pub const fn set_by(action: &Action) -> Option<Self> {
        match action {
            // A termination is a kill that nothing lifts.
            Action::RevokeL1 {} | Action::TerminateTenant {} => Some(Self::Kill),
            Action::BlockTenant {} => Some(Self::Block),
            Action::SuspendL1 {} => Some(Self::Suspension),
            Action::RegisterSystem { .. }
            | Action::RetireSystem { .. }
            | Action::ChangeCallers { .. }
            | Action::ChangeActors { .. }
            | Action::ChangeQuorum { .. }
            | Action::ChangePolicy { .. }
            | Action::ChangeLease { .. }
            | Action::ChangeResidency { .. }
            | Action::LinkL1 { .. }
            | Action::RestoreL1 { .. }
            | Action::UnblockTenant { .. }
            | Action::ResumeL1 { .. }
            | Action::ChangeRouting { .. }
            | Action::ApplyTopology { .. } => None,
        }
    }

    /// What the change lifts, by the digests of the changes that set it.
    pub const fn lifted_by(action: &Action) -> Option<(Self, &BTreeSet<Digest>)> {
        match action {
            Action::RestoreL1 { kills } => Some((Self::Kill, kills)),
            Action::UnblockTenant { blocks } => Some((Self::Block, blocks)),
            Action::ResumeL1 { suspensions } => Some((Self::Suspension, suspensions)),
            Action::RegisterSystem { .. }
            | Action::RetireSystem { .. }
            | Action::ChangeCallers { .. }
            | Action::ChangeActors { .. }
            | Action::ChangeQuorum { .. }
            | Action::ChangePolicy { .. }
            | Action::ChangeLease { .. }
            | Action::ChangeResidency { .. }
            | Action::LinkL1 { .. }
            | Action::RevokeL1 {}
            | Action::TerminateTenant {}
            | Action::BlockTenant {}
            | Action::SuspendL1 {}
            | Action::ChangeRouting { .. }
            | Action::ApplyTopology { .. } => None,
        }
    }

    /// The change that sets it.
    pub const fn action(self) -> Action {
        match self {
            Self::Kill => Action::RevokeL1 {},
            Self::Block => Action::BlockTenant {},
            Self::Suspension => Action::SuspendL1 {},
        }
    }

    /// The change that lifts these.
    pub const fn lifting(self, names: BTreeSet<Digest>) -> Action {
        match self {
            Self::Kill => Action::RestoreL1 { kills: names },
            Self::Block => Action::UnblockTenant { blocks: names },
            Self::Suspension => Action::ResumeL1 { suspensions: names },
        }
    }

    /// What is valid while it holds. On a killed tenant what PROTOCOL §4 lists; a blocked one can be unblocked besides. A suspended one is
    /// governed as before.
    pub const fn allows(self, kind: ChangeKind) -> bool {
        match self {
            Self::Kill => kind.allowed_when_killed(),
            Self::Block => kind.allowed_when_killed() || matches!(kind, ChangeKind::UnblockTenant),
            Self::Suspension => true,
        }
    }

    /// What a tenant is that is halted so.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Kill => "killed",
            Self::Block => "blocked",
            Self::Suspension => "suspended",
        }
    }
}

/// Names of halts, each kind for itself: digests of the changes that set them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Halts {
    #[serde(default)]
    pub kills: BTreeSet<Digest>,
    #[serde(default)]
    pub blocks: BTreeSet<Digest>,
    #[serde(default)]
    pub suspensions: BTreeSet<Digest>,
}

impl Halts {
    pub const fn of(&self, halt: Halt) -> &BTreeSet<Digest> {
        match halt {
            Halt::Kill => &self.kills,
            Halt::Block => &self.blocks,
            Halt::Suspension => &self.suspensions,
        }
    }

    pub const fn of_mut(&mut self, halt: Halt) -> &mut BTreeSet<Digest> {
        match halt {
            Halt::Kill => &mut self.kills,
            Halt::Block => &mut self.blocks,
            Halt::Suspension => &mut self.suspensions,
        }
    }

    pub fn insert(&mut self, halt: Halt, name: Digest) -> bool {
        self.of_mut(halt).insert(name)
    }

    /// Each with its kind, the gravest first.
    pub fn iter(&self) -> impl Iterator<Item = (Halt, Digest)> {
        Halt::ALL.into_iter().flat_map(|halt| self.of(halt).iter().map(move |name| (halt, *name)))
    }

    /// All names, whatever their kind: what a head is known by.
    pub fn names(&self) -> BTreeSet<Digest> {
        self.iter().map(|(_, name)| name).collect()
    }

    /// As a halt of whatever kind.
    pub fn kind_of(&self, name: &Digest) -> Option<Halt> {
        Halt::ALL.into_iter().find(|halt| self.of(*halt).contains(name))
    }

    pub fn len(&self) -> usize {
        Halt::ALL.iter().map(|halt| self.of(*halt).len()).sum()
    }
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    pub fn is_subset(&self, other: &Self) -> bool {
        Halt::ALL.into_iter().all(|halt| self.of(halt).is_subset(other.of(halt)))
    }

    /// What is here and not there, each kind for itself.
    pub fn without(&self, other: &Self) -> Self {
        self.iter().filter(|(halt, name)| !other.of(*halt).contains(name)).collect()
    }
}

impl Extend<(Halt, Digest)> for Halts {
    fn extend<I: IntoIterator<Item = (Halt, Digest)>>(&mut self, names: I) {
        for (halt, name) in names {
            self.insert(halt, name);
        }
    }
}

impl FromIterator<(Halt, Digest)> for Halts {
    fn from_iter<I: IntoIterator<Item = (Halt, Digest)>>(names: I) -> Self {
        let mut halts = Self::default();
        halts.extend(names);
        halts
    }
}

impl FromIterator<Digest> for Halts {
    /// Kills alone.
    fn from_iter<I: IntoIterator<Item = Digest>>(kills: I) -> Self {
        Self { kills: kills.into_iter().collect(), ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_halt_is_set_and_lifted_by_changes_of_its_own() {
        for halt in Halt::ALL {
            let name = Digest([7; 32]);
            let (set, lift) = (halt.action(), halt.lifting([name].into()));
            assert_eq!((Halt::set_by(&set), Halt::lifted_by(&set)), (Some(halt), None));
            assert_eq!((Halt::set_by(&lift), Halt::lifted_by(&lift)), (None, Some((halt, &[name].into()))));
            assert_eq!((set.kind().is_stop(), lift.kind().is_stop()), (true, false));
            assert!(halt.allows(set.kind()) && halt.allows(lift.kind()), "it can be lifted while it holds");
        }
        let words: BTreeSet<_> = Halt::ALL.map(Halt::word).into();
        assert!(words.len() == Halt::ALL.len() && words.iter().all(|word| word.ends_with("ed")), "{words:?}");
        // Nothing but a restore lifts a kill, and on a killed tenant nothing else is lifted either.
        assert!(!Halt::Kill.allows(ChangeKind::UnblockTenant) && !Halt::Kill.allows(ChangeKind::ResumeL1));
        assert!(!Halt::Block.allows(ChangeKind::LinkL1) && Halt::Suspension.allows(ChangeKind::LinkL1));
    }

    #[test]
    fn a_name_counts_for_its_own_kind() {
        let [a, b] = [Digest([1; 32]), Digest([2; 32])];
        let known: Halts = [(Halt::Kill, a), (Halt::Block, b)].into_iter().collect();
        let lifted: Halts = [(Halt::Suspension, a), (Halt::Block, b)].into_iter().collect();
        assert!(!known.is_subset(&lifted));
        assert_eq!(known.without(&lifted), [(Halt::Kill, a)].into_iter().collect());
        assert_eq!((known.kind_of(&a), known.kind_of(&Digest([3; 32]))), (Some(Halt::Kill), None));
        assert_eq!((known.names(), known.len(), known.is_empty()), ([a, b].into(), 2, false));
        let mut none = known;
        none.clear();
        assert_eq!((none.is_empty(), none.len()), (true, 0));
    }
}
