//! The portal's answers as the command line reads them: only what it uses. Members that are not listed are passed over, so that an older
//! `kcm` understands a newer portal.

use std::collections::{BTreeMap, BTreeSet};

use orbital::{
    canon::Text,
    names::{Digest, Group, Person, Region, TenantId},
    sign::Signed,
};
use serde::Deserialize;

use super::approvers::Quorum;

/// A tenant, as listed.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Tenant {
    pub(crate) id: TenantId,
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) trust_version: u64,
    pub(crate) epoch: u64,
    #[serde(default)]
    pub(crate) kills: BTreeSet<Digest>,
    #[serde(default)]
    pub(crate) restored: BTreeSet<Digest>,
    #[serde(default)]
    pub(crate) blocks: BTreeSet<Digest>,
    #[serde(default)]
    pub(crate) unblocked: BTreeSet<Digest>,
    #[serde(default)]
    pub(crate) suspensions: BTreeSet<Digest>,
    #[serde(default)]
    pub(crate) resumed: BTreeSet<Digest>,
}

/// A proposal.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Proposal {
    pub(crate) id: String,
    pub(crate) tenant: TenantId,
    pub(crate) kind: String,
    pub(crate) state: String,
    pub(crate) why: Option<String>,
    #[serde(default)]
    pub(crate) risk: String,
    #[serde(with = "orbital::canon::bytes")]
    pub(crate) change_bytes: Vec<u8>,
    #[serde(default)]
    pub(crate) evidence: Option<String>,
    pub(crate) digest: Digest,
    pub(crate) proposal: Signed,
    pub(crate) proposer: Person,
    pub(crate) approvals: Vec<Vote>,
    pub(crate) rejections: Vec<Vote>,
    pub(crate) confirmations: Vec<Vote>,
    #[serde(default)]
    pub(crate) armed: Option<Armed>,
    #[serde(default)]
    pub(crate) notes: Vec<Note>,
    #[serde(default)]
    pub(crate) missing: Vec<Group>,
    #[serde(default)]
    pub(crate) may_sign: BTreeSet<Person>,
    #[serde(default)]
    pub(crate) quorum: Option<Quorum>,
    #[serde(default)]
    pub(crate) needs_confirmation: bool,
    pub(crate) expires: u64,
    pub(crate) created_ms: u64,
    #[serde(default)]
    pub(crate) probes: BTreeMap<String, Probe>,
    #[serde(default)]
    pub(crate) regions: BTreeMap<String, Progress>,
}

/// A stop that is signed in advance.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Armed {
    pub(crate) until: u64,
    pub(crate) fired: Option<Vote>,
    pub(crate) may_fire: BTreeSet<Person>,
    pub(crate) lacks: Option<String>,
    pub(crate) misses: BTreeSet<Region>,
}

/// What somebody said about a proposal.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Note {
    pub(crate) by: String,
    pub(crate) at_ms: u64,
    pub(crate) text: Text,
}

impl Proposal {
    /// Nothing will happen to it any more by itself.
    pub(crate) fn ended(&self) -> bool {
        matches!(self.state.as_str(), "active" | "rejected" | "withdrawn" | "expired" | "failed")
    }
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Vote {
    pub(crate) person: Person,
    pub(crate) at_ms: u64,
}

#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Probe {
    pub(crate) state: Option<String>,
    #[serde(default)]
    pub(crate) why: String,
}

/// One region's answer.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Progress {
    pub(crate) confirmation: String,
    #[serde(default)]
    pub(crate) why: String,
    pub(crate) waited_us: Option<u64>,
    pub(crate) took_us: Option<u64>,
    pub(crate) lease_ends_ms: Option<u64>,
    pub(crate) ack: Option<Signed>,
}

/// Microseconds as milliseconds, for people.
pub(crate) fn ms(us: Option<u64>) -> String {
    us.map_or_else(|| "-".to_owned(), |us| format!("{}.{} ms", us / 1_000, us % 1_000 / 100))
}
