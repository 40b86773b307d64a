//! A tenant as notices speak of it: its name and routing, and one proposal in the few words that a message has room for.

use std::collections::BTreeSet;

use orbital::{
    change::ChangeKind,
    names::{Digest, Group, Person, ProposalId, Region, TenantName},
    routing::Routing,
};
use policy::Actor;

use super::{decision::Facts, file::Proposal, founding::unfounded, state::Tenant};
use crate::{error::Refusal, proposal::State};

/// See the module.
#[derive(Clone, Debug)]
pub(crate) struct Portrait {
    pub(crate) name: TenantName,
    pub(crate) routing: Option<(Digest, Routing)>,
    /// Every region of the trust root has taken the genesis.
    pub(crate) founded: bool,
    /// The proposal that was asked for, while it is held.
    pub(crate) proposal: Option<Sketch>,
}

/// A proposal in few words.
#[derive(Clone, Debug)]
pub(crate) struct Sketch {
    pub(crate) id: ProposalId,
    pub(crate) kind: ChangeKind,
    pub(crate) state: State,
    pub(crate) why: Option<String>,
    pub(crate) proposer: Person,
    pub(crate) reason: String,
    /// Until when it may be fired, where it is armed; Unix seconds.
    pub(crate) armed: Option<u64>,
    /// It had its quorum, and waited for its fire.
    pub(crate) was_armed: bool,
    /// When it ends by itself, Unix seconds.
    pub(crate) expires: u64,
    pub(crate) missing: Vec<Group>,
    /// Who could give a signature that is missing.
    pub(crate) people: Vec<Person>,
    pub(crate) digest: Digest,
    pub(crate) regions: BTreeSet<Region>,
}

pub(crate) fn portrait(tenant: &Tenant, proposal: Option<&ProposalId>) -> Portrait {
    let trust = tenant.chain.current();
    Portrait {
        name: trust.name.clone(),
        routing: tenant.routing.clone(),
        founded: unfounded(tenant).next().is_none(),
        proposal: proposal.and_then(|id| tenant.proposals.get(id)).map(|proposal| sketch(tenant, proposal)),
    }
}

fn sketch(tenant: &Tenant, proposal: &Proposal) -> Sketch {
    let heard: BTreeSet<_> =
        [&proposal.approvals, &proposal.rejections].into_iter().flatten().map(|a| &a.vote.person).collect();
    let could = |person: &&Person| **person != proposal.proposed.person && !heard.contains(person);
    let asked = tenant
        .chain
        .current()
        .actors
        .iter()
        .filter(|(_, actor)| proposal.missing.iter().any(|g| actor.groups.contains(g)));
    Sketch {
        id: proposal.id.clone(),
        kind: proposal.kind(),
        state: proposal.state,
        why: proposal.why.clone(),
        proposer: proposal.proposed.person.clone(),
        reason: proposal.change.reason.as_str().to_owned(),
        armed: proposal.armed_until(),
        was_armed: proposal.armed_ms.is_some(),
        expires: proposal.ends(),
        missing: proposal.missing.clone(),
        people: asked.map(|(person, _)| person).filter(could).cloned().collect(),
        digest: proposal.digest,
        regions: proposal.change.regions.clone(),
    }
}

/// Whether a person may have notices tried and told again: whoever may propose a routing.
pub(crate) fn check_router(tenant: &Tenant, facts: &Facts<'_>, person: &Person) -> Result<(), Refusal> {
    let known = tenant.chain.current().actors.get(person);
    let groups: Vec<_> = known.map(|actor| actor.groups.iter().cloned().collect()).unwrap_or_default();
    let (actor, kind) = (Actor { person, home: tenant.id().into(), groups: &groups }, ChangeKind::ChangeRouting);
    let decision = facts.evaluator.may_propose(&actor, &kind.to_string(), tenant.id());
    if decision.is_allowed() {
        return Ok(());
    }
    Err(Refusal::PolicyDenies { person: person.clone(), wish: "propose", kind, decision: decision.to_string() })
}
