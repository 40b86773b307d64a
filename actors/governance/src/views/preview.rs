//! What a change would do, and who can still sign it, as the desk shows them. Nothing here decides.

use std::collections::BTreeSet;

use orbital::{
    change::{Change, ChangeKind},
    lane::Lane,
    names::{Digest, Group, Person, ProposalId, Region, TenantId},
};
use serde::Serialize;
use serde_json::Value;

/// Who has to sign, who still can, and what is missing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct QuorumView {
    /// Every rule is met.
    pub met: bool,
    /// Those who can still approve suffice.
    pub reachable: bool,
    /// The rules that are not met, equal ones together.
    pub unmet: Vec<UnmetRule>,
    /// What is lacking besides slots, in words: an approval by an independent key, a signer of another group than who enters.
    pub besides: Vec<String>,
    /// Persons whose approval would fill an open slot now, or give what is lacking besides.
    pub can_approve: Vec<CandidateView>,
    /// Others of the groups asked for, each with the reason why their approval would fill none.
    pub cannot_approve: Vec<BarredView>,
    /// Who still has to confirm, where the rule asks for the proposer's last word.
    pub confirm: Option<Person>,
}

/// Kinds of change whose rule is not met yet, and which of its slots are open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct UnmetRule {
    /// Whose rule it is: the change's own kind, and each whose rule or people it alters (PROTOCOL §3).
    pub kinds: BTreeSet<ChangeKind>,
    /// The version of the trust root whose people count.
    pub trust_version: u64,
    pub need: Vec<(Group, u64)>,
    /// A group for each open slot.
    pub missing: Vec<Group>,
}

/// Somebody whose approval would count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CandidateView {
    pub person: Person,
    /// Those of their groups that are asked for.
    pub groups: BTreeSet<Group>,
}

/// Somebody whose approval would not count.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BarredView {
    pub person: Person,
    pub why: String,
}

/// What would become of a change if it were proposed now. Nothing was written.
#[derive(Clone, Debug, Serialize)]
pub struct DryRunView {
    /// What the proposal would be called.
    pub id: ProposalId,
    pub tenant: TenantId,
    pub kind: ChangeKind,
    pub stop: bool,
    /// What the change does, and what can't be taken back, for people.
    pub risk: &'static str,
    pub change: Change,
    pub digest: Digest,
    pub proposer: Person,
    /// The proposer's signature was given, and it holds.
    pub signed: bool,
    /// This very proposal is there already: proposing it again would change nothing.
    pub exists: bool,
    /// Approvals would be collected until then: Unix seconds.
    pub expires: u64,
    /// What each region would be owed.
    pub regions: Vec<ReachView>,
    /// What would differ in the tenant once the change is in force.
    pub differences: Vec<DifferenceView>,
    /// Differences beyond the limit, which are not shown.
    pub differences_left_out: usize,
    /// Proposals that it would void by coming into force.
    pub voids: Vec<ProposalId>,
    pub quorum: QuorumView,
}

/// What one region would be owed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ReachView {
    pub region: Region,
    /// The directives' lane is up: they would arrive at once.
    pub connected: bool,
    pub lane: Lane,
    /// Names of the directives that proposing it would owe.
    pub when_proposed: Vec<&'static str>,
    /// Names of the directives that its quorum would owe.
    pub when_ratified: Vec<&'static str>,
}

/// One member of the tenant's state that would change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DifferenceView {
    /// JSON pointer (RFC 6901).
    pub pointer: String,
    /// None where there is nothing yet.
    pub before: Option<Value>,
    /// None where nothing would be left.
    pub after: Option<Value>,
}
