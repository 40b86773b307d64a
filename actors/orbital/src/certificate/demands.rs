//! Demands: every rule that a change asks its signers to meet, in one list. [`super::certify`] holds the signers against it, and whoever
//! asks who can still sign reads the same list, so that the two cannot differ.

use super::electorate;
use crate::{
    change::{Action, ChangeKind},
    names::{Group, Person},
    quorum::{Rule, Signers, Verify},
    trust::{BadTrust, TrustRoot},
};

/// One rule that must be met, under one trust root.
#[derive(Clone, Debug)]
pub struct Demand<'t> {
    /// Whose rule it is.
    pub kind: ChangeKind,
    pub rule: &'t Rule,
    /// What signatures must prove: what the rule says, or more where something else asks for it.
    pub verify: Verify,
    /// The trust root whose people and groups count.
    pub trust: &'t TrustRoot,
    /// Where the rule is that of the next version: the present one. Whoever enters with the next cannot sign under it yet.
    pub(super) before: Option<&'t TrustRoot>,
}

impl Demand<'_> {
    /// The groups of the slots that these signers leave open, by what each of them proved; empty says met.
    pub fn missing(&self, signers: &Signers) -> Vec<Group> {
        let standing = |person: &Person| self.before.is_none_or(|old| same_keys(old, self.trust, person));
        self.rule.missing(self.trust, &signers.only(standing).who_proved(self.verify))
    }
}

/// The rule of the change's own kind and of the kind that it includes; and, for each kind K whose rule or electorate it alters, K's old rule
/// under the old people and K's new rule under the new (PROTOCOL §3).
pub fn demands<'t>(trust: &'t TrustRoot, action: &'t Action) -> Result<Vec<Demand<'t>>, BadTrust> {
    let kind = action.kind();
    let own = std::iter::once(kind).chain(kind.includes());
    let mut all: Vec<_> = own.map(|kind| present(trust, kind)).collect::<Result<_, _>>()?;
    if let Some(next) = action.next() {
        all.extend(closure(trust, next)?);
    }
    Ok(all)
}

/// The rules of every kind that the next version alters.
pub(super) fn closure<'t>(trust: &'t TrustRoot, next: &'t TrustRoot) -> Result<Vec<Demand<'t>>, BadTrust> {
    let mut all = Vec::new();
    for kind in ChangeKind::ALL {
        let (before, after) = (trust.rule(kind)?, next.rule(kind)?);
        // The terms of passkeys and the recovery keys say whose signatures count for every kind.
        let terms = trust.webauthn != next.webauthn || trust.recovery != next.recovery;
        if terms || before != after || electorate(trust, before) != electorate(next, after) {
            all.push(present(trust, kind)?);
            all.push(Demand { before: Some(trust), ..present(next, kind)? });
        }
    }
    Ok(all)
}

pub(super) fn present(trust: &TrustRoot, kind: ChangeKind) -> Result<Demand<'_>, BadTrust> {
    let rule = trust.rule(kind)?;
    Ok(Demand { kind, rule, verify: rule.verify, trust, before: None })
}

fn same_keys(old: &TrustRoot, next: &TrustRoot, person: &Person) -> bool {
    let keys = |t: &TrustRoot| t.actors.get(person).map(|a| a.keys.clone());
    keys(old).is_some() && keys(old) == keys(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{World, link_l1, person};

    #[test]
    fn a_restore_asks_for_what_the_kill_asked_for_and_a_link_for_its_own_rule() {
        let world = World::new();
        let kinds =
            |action: &Action| demands(world.trust(), action).unwrap().iter().map(|d| d.kind).collect::<Vec<_>>();
        assert_eq!(kinds(&link_l1("k")), [ChangeKind::LinkL1]);
        let restore = Action::RestoreL1 { kills: Default::default() };
        assert_eq!(kinds(&restore), [ChangeKind::RestoreL1, ChangeKind::RevokeL1]);
    }

    #[test]
    fn who_enters_with_the_next_version_fills_no_slot_of_it_yet() {
        let world = World::new();
        let next = world.next(|root| {
            let heidi = root.actors[&person("heidi")].clone();
            root.actors.insert(person("zoe"), crate::trust::Actor { keys: heidi.keys, ..heidi });
        });
        let action = Action::ChangeActors { next };
        let all = demands(world.trust(), &action).unwrap();
        let new = all.iter().find(|d| d.kind == ChangeKind::RevokeL1 && d.before.is_some()).unwrap();
        let with = |names: [&str; 2]| {
            let mut signers = Signers::default();
            names.map(person).into_iter().for_each(|person| signers.add(person, Verify::Key));
            new.missing(&signers)
        };
        assert!(with(["carol", "dave"]).is_empty());
        assert_eq!(with(["carol", "zoe"]).len(), 1);
    }
}
