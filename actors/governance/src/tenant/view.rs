//! A tenant and its proposals as the desk shows them.

use std::collections::{BTreeMap, BTreeSet};

use orbital::{change::Action, halt::Halt, names::Region};

use super::{
    armed,
    decision::Facts,
    file::{Answer, Progress, Proposal},
    founding,
    pending::Pending,
    quorum::{Asked, quorum},
    recover,
    state::Tenant,
};
use crate::{
    change::risk,
    error::{Error, Fault},
    proposal::State,
    views::{
        Confirmation, Filter, LinkView, NoteView, ProbeView, ProposalView, RegionProgress, TenantRegion, TenantState,
        TenantSummary, TenantView, VoteView,
    },
};

pub(crate) fn summary(tenant: &Tenant, facts: &Facts<'_>) -> TenantSummary {
    let trust = tenant.chain.current();
    let link = tenant.link.and_then(|link| tenant.grant(link)).and_then(|grant| match &grant.change.action {
        Action::LinkL1 { l1 } => {
            Some(LinkView { change: grant.digest, l1: l1.clone(), regions: grant.change.regions.clone() })
        }
        _ => None,
    });
    let [killed, blocked, suspended] = Halt::ALL.map(|halt| facts.is_halted(tenant, halt));
    let unfounded: BTreeSet<_> = founding::unfounded(tenant).cloned().collect();
    // A proposal that is no longer held in memory has ended.
    let gone = |change| tenant.by_change(change).is_none_or(|p| p.state == State::Active);
    let state = match &link {
        _ if tenant.terminations().any(gone) => TenantState::Terminated,
        _ if tenant.is_terminated() => TenantState::Terminating,
        _ if killed => TenantState::Killed,
        _ if blocked => TenantState::Blocked,
        _ if suspended => TenantState::Suspended,
        _ if !unfounded.is_empty() => TenantState::Provisioning,
        None => TenantState::Unlinked,
        Some(_) => TenantState::Active,
    };
    TenantSummary {
        id: tenant.id(),
        name: trust.name.clone(),
        state,
        trust_version: trust.version,
        trust: tenant.chain.digest(),
        epoch: tenant.epoch,
        killed,
        blocked,
        suspended,
        forked: tenant.forks.keys().copied().collect(),
        recovers_at: recover::views(tenant).iter().map(|one| one.due).min(),
        unfounded,
        link,
        proposals: tenant.running.len(),
    }
}

pub(crate) fn view(tenant: &Tenant, facts: &Facts<'_>, pending: &Pending) -> Result<TenantView, Error> {
    let trust = tenant.chain.current();
    let unwritable = |e: orbital::canon::Malformed| Fault::Unwritable { what: "a trust root", why: e.to_string() };
    let region = |name: &Region| {
        let seen = facts.seen.get(name);
        TenantRegion {
            observed: seen.and_then(|s| s.observed.clone()),
            observed_ms: seen.and_then(|s| s.at_ms),
            acknowledged_version: tenant.acknowledged.get(name).copied(),
            owed: pending.names(name),
            founding: founding::view(tenant, name),
        }
    };
    let (halts, lifted) = (facts.halts(tenant), tenant.lifted.clone());
    Ok(TenantView {
        summary: summary(tenant, facts),
        deployment: trust.deployment.clone(),
        trust_bytes: trust.to_bytes().map_err(unwritable)?,
        trust_root: trust.clone(),
        genesis: tenant.genesis.clone(),
        links: tenant.links.clone(),
        kills: halts.kills,
        restored: lifted.kills,
        recoveries: recover::views(tenant),
        blocks: halts.blocks,
        unblocked: lifted.blocks,
        suspensions: halts.suspensions,
        resumed: lifted.suspensions,
        regions: trust.regions.keys().map(|name| (name.clone(), region(name))).collect(),
    })
}

/// The proposals that a filter lets through, newest first.
pub(crate) fn proposals(tenant: &Tenant, facts: &Facts<'_>, filter: &Filter, limit: usize) -> Vec<ProposalView> {
    let later = |p: &Proposal| {
        filter.after.as_ref().is_none_or(|(at_ms, id)| p.created_ms < *at_ms || p.created_ms == *at_ms && p.id > *id)
    };
    let wanted = |p: &&Proposal| {
        later(p) && filter.state.is_none_or(|state| p.state == state) && filter.kind.is_none_or(|kind| p.kind() == kind)
    };
    let mut found: Vec<_> = tenant.proposals.values().filter(wanted).collect();
    found.sort_by(|a, b| b.created_ms.cmp(&a.created_ms).then_with(|| a.id.cmp(&b.id)));
    found.into_iter().take(limit).map(|p| proposal(tenant, p, facts)).collect()
}

/// One proposal with who can still approve it, while that matters.
pub(crate) fn one_proposal(tenant: &Tenant, shown: &Proposal, facts: &Facts<'_>) -> ProposalView {
    let view = proposal(tenant, shown, facts);
    let lacks = view.armed.as_ref().is_some_and(|armed| armed.lacks.is_some());
    let open = shown.state == State::Open || lacks && facts.now_s() <= shown.proposed.expires;
    // A trust root without a rule is refused before it is in force; the rest of the view is as good without.
    let quorum = open.then(|| quorum(tenant, facts, &Asked::of(shown, tenant.chain.current())).ok()).flatten();
    ProposalView { quorum, ..view }
}

pub(crate) fn proposal(tenant: &Tenant, proposal: &Proposal, facts: &Facts<'_>) -> ProposalView {
    let votes = |answers: &[Answer]| answers.iter().map(vote).collect();
    let probes = proposal.probes.iter().map(|(region, probe)| {
        let view = ProbeView {
            state: probe.state,
            resolved: probe.resolved.clone(),
            why: probe.why.clone(),
            took_ms: probe.took_ms,
        };
        (region.clone(), view)
    });
    ProposalView {
        id: proposal.id.clone(),
        tenant: proposal.change.tenant,
        kind: proposal.kind(),
        stop: proposal.is_stop(),
        state: proposal.state,
        why: proposal.why.clone(),
        risk: risk(proposal.kind()),
        change_bytes: proposal.bytes.clone(),
        evidence: proposal.evidence.clone(),
        change: proposal.change.clone(),
        digest: proposal.digest,
        proposal: proposal.statement.clone(),
        proposer: proposal.proposed.person.clone(),
        approvals: votes(&proposal.approvals),
        rejections: votes(&proposal.rejections),
        confirmations: votes(&proposal.confirmations),
        armed: armed::view(tenant, proposal, facts.now_s()),
        notes: proposal
            .notes
            .iter()
            .map(|n| NoteView { by: n.by.clone(), at_ms: n.at_ms, text: n.text.clone() })
            .collect(),
        missing: armed::missing(tenant, proposal, facts.now_s()),
        quorum: None,
        needs_confirmation: proposal.state == State::Open && proposal.missing.is_empty(),
        expires: proposal.proposed.expires,
        created_ms: proposal.created_ms,
        correlation: proposal.correlation.clone(),
        probes: probes.collect(),
        regions: regions(proposal, facts),
        certificate: proposal.certificate.clone().or_else(|| armed::certificate(proposal)),
    }
}

pub(super) fn vote(answer: &Answer) -> VoteView {
    let Answer { vote, signed, at_ms } = answer;
    VoteView { person: vote.person.clone(), key: vote.key.clone(), at_ms: *at_ms, vote: signed.clone() }
}

fn regions(proposal: &Proposal, facts: &Facts<'_>) -> BTreeMap<Region, RegionProgress> {
    proposal.progress.iter().map(|(region, progress)| (region.clone(), one(region, progress, facts))).collect()
}

fn one(region: &Region, progress: &Progress, facts: &Facts<'_>) -> RegionProgress {
    let confirmation = match (progress.applied(), progress.refused()) {
        (true, _) => Confirmation::Applied,
        (false, Some(_)) => Confirmation::Refused,
        (false, None) => Confirmation::Waiting,
    };
    let ack = progress.ack.as_ref().map(|(ack, _)| ack);
    let seen = facts.seen.get(region);
    let left = seen.and_then(|s| s.observed.as_ref()).and_then(|o| o.lease_left);
    let ends = left.zip(seen.and_then(|s| s.at_ms)).map(|(left, at)| at.saturating_add(left.saturating_mul(1_000)));
    RegionProgress {
        confirmation,
        why: progress.refused().unwrap_or_default().to_owned(),
        waited_us: progress.waited_us,
        took_us: ack.map(|ack| ack.took_us),
        members: ack.map(|ack| ack.members.clone()).unwrap_or_default(),
        lease_ends_ms: ends.filter(|_| confirmation != Confirmation::Applied),
        ack: progress.ack.as_ref().map(|(_, signed)| signed.clone()),
    }
}
