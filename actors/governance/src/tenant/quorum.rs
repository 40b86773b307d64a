//! Who can still approve: the rules that a change must meet, held against who signed, and against everybody who could.

use std::collections::BTreeSet;

use orbital::{
    certificate::{Demand, demands},
    change::Change,
    names::{Group, Person},
    quorum::{Signers, Verify},
    trust::{Actor, TrustRoot},
    vote::Role,
};

use super::{
    decision::Facts,
    file::{Answer, Proposal},
    state::Tenant,
};
use crate::{
    error::Refusal,
    proposal::ballot,
    views::{BarredView, CandidateView, QuorumView, UnmetRule},
};

/// A change and who has spoken about it.
pub(crate) struct Asked<'a> {
    pub(crate) change: &'a Change,
    pub(crate) proposer: &'a Person,
    pub(crate) approved: BTreeSet<&'a Person>,
    pub(crate) rejected: BTreeSet<&'a Person>,
    pub(crate) confirmed: bool,
    /// Proposer and approvers, with what each proved.
    pub(crate) signers: Signers,
}

impl<'a> Asked<'a> {
    pub(crate) fn of(proposal: &'a Proposal, trust: &TrustRoot) -> Self {
        let people = |answers: &'a [Answer]| answers.iter().map(|answer| &answer.vote.person).collect();
        Self {
            change: &proposal.change,
            proposer: &proposal.proposed.person,
            approved: people(&proposal.approvals),
            rejected: people(&proposal.rejections),
            confirmed: !proposal.confirmations.is_empty(),
            signers: proposal.signers(trust),
        }
    }

    /// Why this person's approval would be refused, whatever the rules.
    fn heard(&self, person: &Person) -> Option<&'static str> {
        match () {
            () if person == self.proposer => Some("proposed it: another person must approve"),
            () if self.approved.contains(person) => Some("has approved it"),
            () if self.rejected.contains(person) => Some("has rejected it"),
            () => None,
        }
    }
}

/// A rule that is asked for, once for all kinds that ask alike.
struct Open<'t> {
    demand: Demand<'t>,
    shown: UnmetRule,
}

pub(crate) fn quorum(tenant: &Tenant, facts: &Facts<'_>, asked: &Asked<'_>) -> Result<QuorumView, Refusal> {
    let trust = tenant.chain.current();
    let demands = demands(trust, &asked.change.action).map_err(Refusal::BadTrust)?;
    let groups: BTreeSet<_> = demands.iter().flat_map(|d| d.rule.need.iter().map(|n| n.group.clone())).collect();
    let open = unmet(demands, &asked.signers);
    let (mut can, mut cannot) = (Vec::new(), Vec::new());
    for (person, actor) in &trust.actors {
        let own: BTreeSet<_> = actor.groups.intersection(&groups).cloned().collect();
        if own.is_empty() {
            continue;
        }
        match bar(tenant, facts, asked, &open, (person, actor)) {
            None => can.push(CandidateView { person: person.clone(), groups: own }),
            Some(why) => cannot.push(BarredView { person: person.clone(), why }),
        }
    }
    let mut all = asked.signers.clone();
    can.iter().for_each(|candidate| all.add(candidate.person.clone(), trust.most(&candidate.person)));
    Ok(QuorumView {
        met: open.is_empty(),
        reachable: open.iter().all(|open| open.demand.missing(&all).is_empty()),
        unmet: open.into_iter().map(|open| open.shown).collect(),
        can_approve: can,
        cannot_approve: cannot,
        confirm: confirmer(trust, asked)?,
    })
}

/// The demands that these signers leave open. A change of people asks for the rules of many kinds, most of them alike.
fn unmet<'t>(demands: Vec<Demand<'t>>, signers: &Signers) -> Vec<Open<'t>> {
    let mut open: Vec<Open<'t>> = Vec::new();
    for demand in demands {
        let alike = |o: &&mut Open<'_>| {
            let (one, other) = (&o.demand, &demand);
            one.trust.version == other.trust.version
                && (&one.rule.need, one.rule.disjoint, one.rule.verify)
                    == (&other.rule.need, other.rule.disjoint, other.rule.verify)
        };
        if let Some(known) = open.iter_mut().find(alike) {
            known.shown.kinds.insert(demand.kind);
            continue;
        }
        let missing = demand.missing(signers);
        if !missing.is_empty() {
            let need = demand.rule.need.iter().map(|n| (n.group.clone(), n.count)).collect();
            let trust_version = demand.trust.version;
            open.push(Open { shown: UnmetRule { kinds: [demand.kind].into(), trust_version, need, missing }, demand });
        }
    }
    open
}

/// Why an approval by this person would fill no open slot; none says that it would.
fn bar(
    tenant: &Tenant,
    facts: &Facts<'_>,
    asked: &Asked<'_>,
    open: &[Open<'_>],
    (person, actor): (&Person, &Actor),
) -> Option<String> {
    if let Some(heard) = asked.heard(person) {
        return Some(heard.to_owned());
    }
    let trust = tenant.chain.current();
    if !trust.can_prove(person, Verify::Key) {
        return Some("has no key whose signatures count".to_owned());
    }
    let fills = |proved| {
        let mut with = asked.signers.clone();
        with.add(person.clone(), proved);
        open.iter().any(|open| open.demand.missing(&with).len() < open.shown.missing.len())
    };
    match trust.most(person) {
        most if fills(most) => {}
        Verify::Key if fills(Verify::User) => return Some("has no passkey, which the rule asks for".to_owned()),
        _ => return Some(idle(open, &actor.groups)),
    }
    let allowed = ballot::check_policy(&facts.evaluator, tenant, Role::Approve, person, asked.change);
    allowed.err().map(|refusal| refusal.to_string())
}

/// Why somebody of a group that is asked for fills no slot.
fn idle(open: &[Open<'_>], groups: &BTreeSet<Group>) -> String {
    let wanted = |open: &&Open<'_>| open.shown.missing.iter().any(|group| groups.contains(group));
    match open.iter().find(wanted) {
        Some(_) => "belongs to several of the groups asked for, which must be different people".to_owned(),
        None => "nobody of their groups is missing".to_owned(),
    }
}

fn confirmer(trust: &TrustRoot, asked: &Asked<'_>) -> Result<Option<Person>, Refusal> {
    let rule = trust.rule(asked.change.kind()).map_err(Refusal::BadTrust)?;
    Ok((rule.confirm && !asked.confirmed).then(|| asked.proposer.clone()))
}
