//! Who can still approve: the rules that a change must meet, held against who signed, and against everybody who could.

use std::collections::BTreeSet;

use orbital::{
    certificate::{Demand, Spoken, besides, demands},
    change::Change,
    delegation::Collecting,
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
    /// When collecting ends: Unix seconds.
    pub(crate) expires: u64,
    pub(crate) proposer: &'a Person,
    pub(crate) approved: BTreeSet<&'a Person>,
    pub(crate) rejected: BTreeSet<&'a Person>,
    pub(crate) confirmed: bool,
    /// Proposer and approvers, with what each proved.
    pub(crate) signers: Signers,
    pub(crate) spoken: Vec<Spoken<'a>>,
}

impl<'a> Asked<'a> {
    pub(crate) fn of(proposal: &'a Proposal, trust: &'a TrustRoot) -> Self {
        let people = |answers: &'a [Answer]| answers.iter().map(|answer| &answer.vote.person).collect();
        Self {
            change: &proposal.change,
            expires: proposal.proposed.expires,
            proposer: &proposal.proposed.person,
            approved: people(&proposal.approvals),
            rejected: people(&proposal.rejections),
            confirmed: !proposal.confirmations.is_empty(),
            signers: proposal.signers(trust),
            spoken: proposal.spoken(trust),
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
    let mut demands = demands(trust, &asked.change.action, asked.expires).map_err(Refusal::BadTrust)?;
    demands.iter_mut().for_each(|demand| demand.verify = demand.verify.max(facts.asks(&asked.change.action)));
    let groups: BTreeSet<_> = demands.iter().flat_map(|d| d.rule.need.iter().map(|n| n.group.clone())).collect();
    let open = unmet(demands, &asked.signers);
    let rule = trust.rule(asked.change.kind()).map_err(Refusal::BadTrust)?;
    // As it counts if nobody signs who has given a seat to another; whom that leaves out is found below.
    let acting = trust.acting(&trust.delegations, Collecting::of(rule, asked.expires), &BTreeSet::new());
    let lacks = |spoken: &[Spoken<'_>]| besides(trust, &asked.change.action, asked.expires, spoken);
    let wanted = |spoken: &[Spoken<'_>]| lacks(spoken).map_err(Refusal::BadTrust);
    let asked_for: Vec<_> = acting.actors.iter().filter(|(_, actor)| !actor.groups.is_disjoint(&groups)).collect();
    let judged = asked_for
        .iter()
        .map(|entry| (*entry, bar(tenant, facts, asked, entry.0, |person| slot(trust, asked, &open, person))));
    let (can, barred): (Vec<_>, Vec<_>) = judged.partition(|(_, bar)| bar.is_none());
    // What would be lacking with everybody who fills a slot; whoever gives that can approve, too.
    let mut spoken: Vec<_> = can.iter().map(|((person, _), _)| approving(trust, person)).collect();
    spoken.extend(asked.spoken.iter().cloned());
    let lacking = wanted(&spoken)?;
    let (mut can, mut cannot): (Vec<_>, Vec<_>) = (can.into_iter().map(|(entry, _)| entry).collect(), Vec::new());
    for (entry, why) in barred {
        let gives = |person: &Person| {
            let with: Vec<_> = spoken.iter().cloned().chain([approving(trust, person)]).collect();
            let fewer = lacks(&with).is_ok_and(|left| left.len() < lacking.len());
            if fewer { None } else { why.clone() }
        };
        match bar(tenant, facts, asked, entry.0, gives) {
            None => can.push(entry),
            Some(why) => cannot.push(BarredView { person: entry.0.clone(), why }),
        }
    }
    can.sort_unstable_by_key(|(person, _)| *person);
    let mut all = asked.signers.clone();
    can.iter().for_each(|(person, _)| all.add((*person).clone(), trust.most(person)));
    spoken.extend(can.iter().map(|(person, _)| approving(trust, person)));
    let reachable = open.iter().all(|open| open.demand.missing(&all).is_empty()) && wanted(&spoken)?.is_empty();
    let own = |actor: &Actor| actor.groups.intersection(&groups).cloned().collect();
    Ok(QuorumView {
        met: open.is_empty() && lacking.is_empty(),
        reachable,
        besides: lacking.iter().map(ToString::to_string).collect(),
        unmet: open.into_iter().map(|open| open.shown).collect(),
        can_approve: can
            .into_iter()
            .map(|(p, actor)| CandidateView { person: p.clone(), groups: own(actor) })
            .collect(),
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
                && (&one.rule.need, one.rule.disjoint, one.verify)
                    == (&other.rule.need, other.rule.disjoint, other.verify)
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

/// Why an approval by this person would change nothing, where `idle` is what it adds nothing to; none says that it would.
fn bar(
    tenant: &Tenant,
    facts: &Facts<'_>,
    asked: &Asked<'_>,
    person: &Person,
    idle: impl FnOnce(&Person) -> Option<String>,
) -> Option<String> {
    let heard = asked.heard(person).map(str::to_owned);
    let mute = || {
        let signs = tenant.chain.current().can_prove(person, Verify::Key);
        (!signs).then(|| "has no key whose signatures count".to_owned())
    };
    let denied = || {
        let allowed =
            ballot::check_policy(&facts.evaluator, tenant, Role::Approve, person, (asked.change, asked.expires));
        allowed.err().map(|refusal| refusal.to_string())
    };
    heard.or_else(mute).or_else(|| idle(person)).or_else(denied)
}

/// Why this person's approval fills no open slot.
fn slot(trust: &TrustRoot, asked: &Asked<'_>, open: &[Open<'_>], person: &Person) -> Option<String> {
    let fills = |proved| {
        let mut with = asked.signers.clone();
        with.add(person.clone(), proved);
        open.iter().any(|open| open.demand.missing(&with).len() < open.shown.missing.len())
    };
    match trust.most(person) {
        most if fills(most) => None,
        Verify::Key if fills(Verify::User) => Some("has no passkey, which the rule asks for".to_owned()),
        _ => Some(idle(open, trust.actors.get(person).map(|actor| &actor.groups))),
    }
}

/// A person's approval by the best of their keys.
fn approving<'t>(trust: &'t TrustRoot, person: &'t Person) -> Spoken<'t> {
    let keys = trust.actors.get(person).into_iter().flat_map(|actor| actor.keys.values());
    let independent = keys.filter(|key| trust.counts(key)).any(|key| key.independent);
    Spoken { person, approves: true, independent }
}

/// Why somebody of a group that is asked for fills no slot.
fn idle(open: &[Open<'_>], groups: Option<&BTreeSet<Group>>) -> String {
    let own = |group: &Group| groups.is_some_and(|groups| groups.contains(group));
    let wanted = |open: &&Open<'_>| open.shown.missing.iter().any(own);
    match open.iter().find(wanted) {
        Some(_) => "belongs to several of the groups asked for, which must be different people".to_owned(),
        None => "nobody of their groups is missing".to_owned(),
    }
}

fn confirmer(trust: &TrustRoot, asked: &Asked<'_>) -> Result<Option<Person>, Refusal> {
    let rule = trust.rule(asked.change.kind()).map_err(Refusal::BadTrust)?;
    Ok((rule.confirm && !asked.confirmed).then(|| asked.proposer.clone()))
}
