//! Rivals: proposals of which only one can come into force. Each grant moves the epoch, so the first in force voids the others; two for
//! the same object are not even collected side by side. Stops have no rivals (PROTOCOL §4).

use orbital::{
    change::{Action, Change},
    names::{Digest, ProposalId},
};

use super::{file::Proposal, record::Record, state::Tenant};
use crate::error::Refusal;

/// What a change is about, where only one proposal about it is collected at a time. Who decides, and by which rules, is never kept busy:
/// else one person could hold off their own removal with a proposal, and the next one.
fn object(action: &Action) -> Option<String> {
    match action {
        Action::LinkL1 { .. } => Some("the link to the customer's KMS".to_owned()),
        Action::RestoreL1 { .. } => Some("the kills of the tenant".to_owned()),
        Action::UnblockTenant { .. } => Some("the blocks of the tenant".to_owned()),
        Action::ResumeL1 { .. } => Some("the suspensions of the tenant".to_owned()),
        Action::RegisterSystem { system, .. } | Action::RetireSystem { system, .. } => Some(format!("system {system}")),
        Action::ChangeCallers { .. } => Some("the callers".to_owned()),
        Action::ChangeLease { .. } => Some("the lease".to_owned()),
        Action::ChangeResidency { .. } => Some("the residency".to_owned()),
        Action::ChangePolicy { .. } => Some("the policies".to_owned()),
        Action::ChangeRouting { .. } => Some("the routing of notices".to_owned()),
        Action::ApplyTopology { .. } => Some("the topology".to_owned()),
        Action::ChangeActors { .. }
        | Action::ChangeQuorum { .. }
        | Action::RevokeL1 {}
        | Action::BlockTenant {}
        | Action::SuspendL1 {}
        | Action::TerminateTenant {} => None,
    }
}

/// Refuses a change while a proposal about the same object is collected.
pub(crate) fn check(tenant: &Tenant, change: &Change) -> Result<(), Refusal> {
    let Some(object) = object(&change.action) else { return Ok(()) };
    let same = |p: &&Proposal| self::object(&p.change.action).as_ref() == Some(&object);
    match pending(tenant).find(same) {
        None => Ok(()),
        Some(rival) => Err(Refusal::ObjectBusy {
            id: rival.id.clone(),
            proposer: rival.proposed.person.clone(),
            state: rival.state,
            object,
        }),
    }
}

/// The proposals that a change would void by coming into force.
pub(crate) fn voided(tenant: &Tenant, change: &Change, digest: Digest) -> Vec<ProposalId> {
    // A stop voids nothing, and what moves no epoch moves nothing that others rest on.
    if change.kind().is_stop() || change.action.is_told_to_nobody() {
        return Vec::new();
    }
    pending(tenant).filter(|p| p.digest != digest && !p.is_stop()).map(|p| p.id.clone()).collect()
}

/// The same as it is written down once the change is in force.
pub(crate) fn voiding(tenant: &Tenant, change: &Change, digest: Digest, why: &str) -> Vec<Record> {
    let record = |proposal| Record::Voided { proposal, why: why.to_owned() };
    voided(tenant, change, digest).into_iter().map(record).collect()
}

fn pending(tenant: &Tenant) -> impl Iterator<Item = &Proposal> {
    tenant.running.iter().filter_map(|id| tenant.proposals.get(id)).filter(|p| p.state.is_pending())
}
