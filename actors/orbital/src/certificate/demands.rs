//! Demands: every rule that a change asks its signers to meet, in one list. [`super::certify`] holds the signers against it, and whoever
//! asks who can still sign reads the same list, so that the two cannot differ.

use super::electorate;
use crate::{
    change::{Action, ChangeKind},
    delegation::Collecting,
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
    /// When the decision's approvals are collected: which delegations count.
    pub collecting: Collecting,
    /// Where the rule is that of the next version: the present one. Whoever enters with the next cannot sign under it yet.
    pub(super) before: Option<&'t TrustRoot>,
}

impl Demand<'_> {
    /// The groups of the slots that these signers leave open, by what each of them proved; empty says met.
    pub fn missing(&self, signers: &Signers) -> Vec<Group> {
        let standing = |person: &Person| self.before.is_none_or(|old| same_keys(old, self.trust, person));
        let counted = signers.only(standing).who_proved(self.verify);
        // One that enters with the next version counts as little as who does.
        let known = &self.before.unwrap_or(self.trust).delegations;
        let acting = self.trust.acting(known, self.collecting, &signers.who_proved(Verify::Key));
        self.rule.missing(&acting, &counted)
    }
}

/// The rule of the change's own kind and of the kind that it includes; and, for each kind K whose rule or electorate it alters, K's old rule
/// under the old people and K's new rule under the new (PROTOCOL §3).
/// `expires`: when collecting ends, Unix seconds.
pub fn demands<'t>(trust: &'t TrustRoot, action: &'t Action, expires: u64) -> Result<Vec<Demand<'t>>, BadTrust> {
    let kind = action.kind();
    let collecting = Collecting::of(trust.rule(kind)?, expires);
    let own = std::iter::once(kind).chain(kind.includes());
    let mut all: Vec<_> = own.map(|kind| present(trust, kind, collecting)).collect::<Result<_, _>>()?;
    if let Some(next) = action.next() {
        all.extend(closure(trust, next, collecting)?);
    }
    Ok(all)
}

/// The rules of every kind that the next version alters.
pub(super) fn closure<'t>(
    trust: &'t TrustRoot,
    next: &'t TrustRoot,
    collecting: Collecting,
) -> Result<Vec<Demand<'t>>, BadTrust> {
    let mut all = Vec::new();
    for kind in ChangeKind::ALL {
        let (before, after) = (trust.rule(kind)?, next.rule(kind)?);
        // The terms of passkeys and the recovery keys say whose signatures count for every kind.
        let terms = trust.webauthn != next.webauthn || trust.recovery != next.recovery;
        let stands_in = delegated(trust, next, before) || delegated(trust, next, after);
        if terms || stands_in || before != after || electorate(trust, before) != electorate(next, after) {
            all.push(present(trust, kind, collecting)?);
            all.push(Demand { before: Some(trust), ..present(next, kind, collecting)? });
        }
    }
    Ok(all)
}

/// Whether somebody else stands in for a group that the rule asks for.
fn delegated(trust: &TrustRoot, next: &TrustRoot, rule: &Rule) -> bool {
    let mut changed = trust.delegations.symmetric_difference(&next.delegations);
    changed.any(|d| rule.need.iter().any(|need| d.groups.contains(&need.group)))
}

pub(super) fn present(trust: &TrustRoot, kind: ChangeKind, collecting: Collecting) -> Result<Demand<'_>, BadTrust> {
    let rule = trust.rule(kind)?;
    Ok(Demand { kind, rule, verify: rule.verify, trust, collecting, before: None })
}

fn same_keys(old: &TrustRoot, next: &TrustRoot, person: &Person) -> bool {
    let keys = |t: &TrustRoot| t.actors.get(person).map(|a| a.keys.clone());
    keys(old).is_some() && keys(old) == keys(next)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{EXPIRES, World, link_l1, person};

    #[test]
    fn a_restore_asks_for_what_the_kill_asked_for_and_a_link_for_its_own_rule() {
        let world = World::new();
        let kinds = |action: &Action| {
            demands(world.trust(), action, EXPIRES).unwrap().iter().map(|d| d.kind).collect::<Vec<_>>()
        };
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
        let all = demands(world.trust(), &action, EXPIRES).unwrap();
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
