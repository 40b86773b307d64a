//! What a change needs besides the slots of its rules (PROTOCOL §3): an approval that no portal can have made, and for each person who
//! enters a signer of another group. Whoever asks who can still sign reads the same list as [`super::certify`].

use std::collections::BTreeSet;

use crate::{
    change::{Action, ChangeKind},
    delegation::Collecting,
    names::{Group, Person},
    trust::{Actor, BadTrust, TrustRoot},
    vote::Vote,
};

/// Somebody who signed, with one of their keys.
#[derive(Clone, Debug)]
pub struct Spoken<'t> {
    pub person: &'t Person,
    /// By an approval, not by the proposal.
    pub approves: bool,
    /// The key is marked as one that nothing of governance makes or holds.
    pub independent: bool,
}

impl<'t> Spoken<'t> {
    /// The signer of a statement whose signature was checked; none where the trust root does not know the key.
    pub fn of(trust: &'t TrustRoot, vote: &Vote, approves: bool) -> Option<Self> {
        let (person, _) = trust.actors.get_key_value(&vote.person)?;
        Some(Self { person, approves, independent: vote.key_in(trust)?.is_independent() })
    }
}

/// What is still wanted besides the slots.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Besides {
    #[error(
        "{kind} widens access or alters trust: it lacks an approval by an independent key, one that is no portal's, of {}",
        list(.groups)
    )]
    Independent { kind: ChangeKind, groups: Vec<Group> },
    #[error("{person} enters: a signer of another group than theirs is lacking, such as {}", list(.groups))]
    Introduction { person: Person, groups: Vec<Group> },
}

fn list(groups: &[Group]) -> String {
    groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl Besides {
    /// The groups whose people could give it.
    pub fn groups(&self) -> &[Group] {
        match self {
            Self::Independent { groups, .. } | Self::Introduction { groups, .. } => groups,
        }
    }
}

/// Everything besides the slots that these signers leave open. `expires`: when collecting ends, Unix seconds.
pub fn besides(
    trust: &TrustRoot,
    action: &Action,
    expires: u64,
    spoken: &[Spoken<'_>],
) -> Result<Vec<Besides>, BadTrust> {
    let kind = action.kind();
    let mut wanted = Vec::new();
    // A stop only takes away: PROTOCOL §4 leaves nobody out who may sign one.
    if !kind.is_stop() {
        let rule = trust.rule(kind)?;
        let signers = spoken.iter().map(|s| s.person.clone()).collect();
        let acting = trust.acting(&trust.delegations, Collecting::of(rule, expires), &signers);
        let demanded = |person: &Person| acting.actors.get(person).is_some_and(|actor| rule.asks(actor));
        if !spoken.iter().any(|s| s.approves && s.independent && demanded(s.person)) {
            wanted
                .push(Besides::Independent { kind, groups: rule.need.iter().map(|need| need.group.clone()).collect() });
        }
    }
    let entering = action.next().into_iter().flat_map(|next| &next.actors);
    for (person, actor) in entering.filter(|(person, _)| !trust.actors.contains_key(*person)) {
        let other = |s: &Spoken<'_>| trust.actors.get(s.person).is_some_and(|a| !a.groups.is_subset(&actor.groups));
        if !spoken.iter().any(other) {
            let all: BTreeSet<_> = trust.actors.values().flat_map(|a| &a.groups).cloned().collect();
            let groups = all.difference(&actor.groups).cloned().collect();
            wanted.push(Besides::Introduction { person: person.clone(), groups });
        }
    }
    Ok(wanted)
}

/// A version stands only if with any one person gone somebody is left with an independent key for each rule that asks for one.
pub(crate) fn check_independent(trust: &TrustRoot) -> Result<(), BadTrust> {
    let kinds = ChangeKind::ALL.into_iter().filter(|kind| !kind.is_stop());
    for kind in kinds {
        let rule = trust.rule(kind)?;
        let holds =
            |actor: &&Actor| rule.asks(actor) && actor.keys.values().any(|key| key.independent && trust.counts(key));
        if trust.actors.values().filter(holds).count() < 2 {
            let why = "fewer than two people of its groups hold an independent key: give one more person a key file, or a passkey \
                       whose portal is none of governance's";
            return Err(BadTrust::Unmeetable { kind, why: why.to_owned() });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{EXPIRES, World, person};

    #[test]
    fn who_enters_is_introduced_by_somebody_of_another_group() {
        let world = World::new();
        let wanted = |groups: &[&str], signers: &[&str]| {
            let next = world.next(|root| _ = root.actors.insert(person("zoe"), world.newcomer("zoe", groups)));
            let people: Vec<_> = signers.iter().map(|name| person(name)).collect();
            let spoken: Vec<_> =
                people.iter().map(|person| Spoken { person, approves: true, independent: true }).collect();
            let left = besides(world.trust(), &Action::ChangeActors { next }, EXPIRES, &spoken).unwrap();
            left.into_iter().filter(|b| matches!(b, Besides::Introduction { .. })).count()
        };
        assert_eq!(wanted(&["Security_Ops"], &["alice", "frank"]), 1, "both of the newcomer's own group");
        assert_eq!(wanted(&["Security_Ops"], &["alice", "bob"]), 0);
        assert_eq!(wanted(&["Security_Ops", "Compliance_Legal"], &["alice", "bob"]), 1, "of one of theirs each");
        assert_eq!(wanted(&["Guests"], &["alice", "frank"]), 0);
        assert_eq!(wanted(&["Guests"], &["mallory"]), 1, "nobody whom the trust root knows");
    }

    #[test]
    fn a_version_needs_two_with_independent_keys_for_each_rule_but_stops() {
        let dependent = |names: &[&str]| {
            let mut root = World::new().trust().clone();
            for name in names {
                root.actors.get_mut(&person(name)).unwrap().keys.values_mut().for_each(|key| key.independent = false);
            }
            root.check()
        };
        dependent(&["carol", "dave", "heidi"]).unwrap();
        dependent(&["alice", "frank"]).unwrap();
        let unmeetable = |found| matches!(found, Err(BadTrust::Unmeetable { kind: ChangeKind::LinkL1 | ChangeKind::ProvisionTenant, why }) if why.contains("independent"));
        assert!(unmeetable(dependent(&["alice", "frank", "bob"])), "grace alone");
        assert!(unmeetable(dependent(&["alice", "frank", "bob", "grace"])));
    }
}
