//! Changes: what a proposal asks for, typed, with everything that its effect depends on.
//!
//! People never sign a change alone, only statements that name its digest and their role ([`crate::vote`]).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    canon::{self, Malformed, Text},
    certificate::Certificate,
    names::{Deployment, Digest, KeyRef, Region, System, TenantId},
    routing::Routing,
    sign::Kind,
    trust::TrustRoot,
};

/// Longest policy bundle of a ChangePolicy, in bytes: with the largest trust root beside it, the change is still a statement.
pub const BUNDLE_BYTES_MAX: usize = 64 * 1024;

/// Longest evidence of a proposal, in bytes: a stop's is collected even when the disk is full, from what is reserved for it.
pub const EVIDENCE_BYTES_MAX: usize = 32 * 1024;
/// How far a grant may move the epoch at once (PROTOCOL §4).
pub const EPOCH_STEP_MAX: u64 = 1_000;

/// Every kind of change that a rule may speak of (DESIGN §4). A trust root holds one rule for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ChangeKind {
    ProvisionTenant,
    LinkL1,
    SwitchL1,
    UnlinkL1,
    SuspendL1,
    ResumeL1,
    RevokeL1,
    RestoreL1,
    MigrateCsekToCmk,
    RotateL2,
    RotateL3,
    RegisterSystem,
    RetireSystem,
    ChangeCallers,
    ChangeActors,
    ChangeQuorum,
    ChangePolicy,
    ChangeRouting,
    ChangeLease,
    ChangeResidency,
    BlockTenant,
    UnblockTenant,
    TerminateTenant,
    ApplyTopology,
}

impl ChangeKind {
    pub const ALL: [Self; 24] = [
        Self::ProvisionTenant,
        Self::LinkL1,
        Self::SwitchL1,
        Self::UnlinkL1,
        Self::SuspendL1,
        Self::ResumeL1,
        Self::RevokeL1,
        Self::RestoreL1,
        Self::MigrateCsekToCmk,
        Self::RotateL2,
        Self::RotateL3,
        Self::RegisterSystem,
        Self::RetireSystem,
        Self::ChangeCallers,
        Self::ChangeActors,
        Self::ChangeQuorum,
        Self::ChangePolicy,
        Self::ChangeRouting,
        Self::ChangeLease,
        Self::ChangeResidency,
        Self::BlockTenant,
        Self::UnblockTenant,
        Self::TerminateTenant,
        Self::ApplyTopology,
    ];

    /// Stops are never queued, refused or voided because of another proposal (PROTOCOL §4).
    pub const fn is_stop(self) -> bool {
        matches!(self, Self::RevokeL1 | Self::SuspendL1 | Self::BlockTenant | Self::TerminateTenant)
    }

    /// The kind whose rule this kind's includes: lifting a kill takes what setting it took (PROTOCOL §4), whatever the rules say.
    pub const fn includes(self) -> Option<Self> {
        match self {
            Self::RestoreL1 => Some(Self::RevokeL1),
            _ => None,
        }
    }

    /// What is valid on a killed tenant besides further stops (PROTOCOL §4).
    pub const fn allowed_when_killed(self) -> bool {
        self.is_stop() || matches!(self, Self::RestoreL1 | Self::ChangeActors | Self::ChangeQuorum)
    }
}

impl std::fmt::Display for ChangeKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Debug::fmt(self, f)
    }
}

impl std::str::FromStr for ChangeKind {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = || Self::ALL.map(|k| k.to_string()).join(", ");
        Self::ALL
            .into_iter()
            .find(|k| k.to_string() == text)
            .ok_or_else(|| format!("`{text}` is no kind of change; known are {}", known()))
    }
}

/// An L1 key at the customer's KMS, as the probe resolved it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L1Ref {
    /// The name that the topology gives to the provider, such as `acme-aws`.
    pub provider: System,
    /// ARN or URI; an alias is resolved at the probe, so that what is approved can't be pointed elsewhere later.
    pub key: KeyRef,
}

/// What a change does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", deny_unknown_fields)]
pub enum Action {
    /// Adds a system: an application or database, owner of one L3.
    RegisterSystem { system: System, next: Box<TrustRoot> },
    /// Which client certificates use which system.
    ChangeCallers { next: Box<TrustRoot> },
    /// People, groups and keys.
    ChangeActors { next: Box<TrustRoot> },
    /// The rules that say who must sign what.
    ChangeQuorum { next: Box<TrustRoot> },
    /// The Cedar policies: `bundle` is what the next version names by its digest. It travels with the decision, so that whoever follows the
    /// chain has it, and people sign what they read.
    ChangePolicy {
        next: Box<TrustRoot>,
        #[serde(with = "canon::bytes")]
        bundle: Vec<u8>,
    },
    /// How long a region that is cut off serves on: from governance (lease), and from the customer's KMS (L1 terms).
    ChangeLease { next: Box<TrustRoot> },
    /// Where the tenant's keys may exist: its jurisdictions and its regions. A region that is no longer named destroys them there; one that
    /// enters has none until a LinkL1 names it.
    ChangeResidency { next: Box<TrustRoot> },
    /// Ties the tenant's L2 to a key at the customer's KMS.
    LinkL1 { l1: L1Ref },
    /// The kill switch: nothing at all works afterwards.
    RevokeL1 {},
    /// Lifts the kills that it names, and no other.
    RestoreL1 { kills: BTreeSet<Digest> },
    /// Nobody of this tenant is served, and its keys leave the regions' memory; clients are told so.
    BlockTenant {},
    /// Lifts the blocks that it names, and no other.
    UnblockTenant { blocks: BTreeSet<Digest> },
    /// What is protected can still be read; nothing new is protected.
    SuspendL1 {},
    /// Lifts the suspensions that it names, and no other.
    ResumeL1 { suspensions: BTreeSet<Digest> },
    /// Destroys every key of the tenant in every region. Nothing lifts it.
    TerminateTenant {},
    /// Takes a system out of use, with its callers: its keys leave the regions' memory.
    RetireSystem { system: System, next: Box<TrustRoot> },
    /// Who is told of what. It reaches no region and moves no epoch.
    ChangeRouting {
        routing: Routing,
        /// The ChangeRouting in force that it was made upon; none where there is none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        replaces: Option<Digest>,
    },
    /// What of a topology file nobody changes alone. The site's operators certify it under their own trust root, and each tenant that it
    /// moves under its own; nodes hold their files to it ([`crate::site`]). It reaches no region by Orbital and moves no epoch.
    ApplyTopology {
        /// Grows from one that is in force to the next, so that nobody brings an earlier one back.
        #[serde(with = "canon::decimal")]
        serial: u64,
        /// Canonical bytes of a [`crate::site::Governed`].
        #[serde(with = "canon::bytes")]
        governed: Vec<u8>,
        /// Those who have to certify it besides the site.
        tenants: BTreeSet<TenantId>,
    },
}

impl Action {
    /// Decided by this action once it is certified, with nobody to be told over Orbital: it reaches no region and moves no epoch.
    pub const fn is_told_to_nobody(&self) -> bool {
        matches!(self, Self::ChangeRouting { .. } | Self::ApplyTopology { .. })
    }

    pub const fn kind(&self) -> ChangeKind {
        match self {
            Self::RegisterSystem { .. } => ChangeKind::RegisterSystem,
            Self::ChangeCallers { .. } => ChangeKind::ChangeCallers,
            Self::ChangeActors { .. } => ChangeKind::ChangeActors,
            Self::ChangeQuorum { .. } => ChangeKind::ChangeQuorum,
            Self::ChangePolicy { .. } => ChangeKind::ChangePolicy,
            Self::ChangeLease { .. } => ChangeKind::ChangeLease,
            Self::ChangeResidency { .. } => ChangeKind::ChangeResidency,
            Self::LinkL1 { .. } => ChangeKind::LinkL1,
            Self::RevokeL1 {} => ChangeKind::RevokeL1,
            Self::RestoreL1 { .. } => ChangeKind::RestoreL1,
            Self::BlockTenant {} => ChangeKind::BlockTenant,
            Self::UnblockTenant { .. } => ChangeKind::UnblockTenant,
            Self::SuspendL1 {} => ChangeKind::SuspendL1,
            Self::ResumeL1 { .. } => ChangeKind::ResumeL1,
            Self::TerminateTenant {} => ChangeKind::TerminateTenant,
            Self::RetireSystem { .. } => ChangeKind::RetireSystem,
            Self::ChangeRouting { .. } => ChangeKind::ChangeRouting,
            Self::ApplyTopology { .. } => ChangeKind::ApplyTopology,
        }
    }

    /// The next version of the trust root, where the change makes one.
    pub fn next(&self) -> Option<&TrustRoot> {
        match self {
            Self::RegisterSystem { next, .. }
            | Self::RetireSystem { next, .. }
            | Self::ChangeCallers { next }
            | Self::ChangeActors { next }
            | Self::ChangeQuorum { next }
            | Self::ChangeLease { next }
            | Self::ChangeResidency { next }
            | Self::ChangePolicy { next, .. } => Some(next),
            Self::LinkL1 { .. }
            | Self::RevokeL1 {}
            | Self::RestoreL1 { .. }
            | Self::BlockTenant {}
            | Self::UnblockTenant { .. }
            | Self::SuspendL1 {}
            | Self::ResumeL1 { .. }
            | Self::TerminateTenant {}
            | Self::ChangeRouting { .. }
            | Self::ApplyTopology { .. } => None,
        }
    }
}

/// The policy bundle with this digest, where one of these links brought it.
pub fn bundle_in(links: &[Certificate], policy: Digest) -> Option<Vec<u8>> {
    links.iter().rev().find_map(|link| match Change::from_bytes(&link.change).ok()?.action {
        Action::ChangePolicy { bundle, .. } if Kind::Policy.digest(&bundle) == policy => Some(bundle),
        _ => None,
    })
}

/// Until when an armed stop may be fired: Unix seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FireUntil(#[serde(with = "canon::decimal")] pub u64);

/// A change, complete: where, to whom, under which trust, in which order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    pub domain: String,
    pub deployment: Deployment,
    pub tenant: TenantId,
    /// The version of the trust root under which it was made.
    #[serde(with = "canon::decimal")]
    pub trust_version: u64,
    /// Orders grants. A stop carries the epoch that its author saw; it decides nothing.
    #[serde(with = "canon::decimal")]
    pub epoch: u64,
    /// The regions that it reaches.
    pub regions: BTreeSet<Region>,
    /// Why, in the proposer's words.
    pub reason: Text,
    /// Makes two otherwise equal changes two: 16 random bytes, base64url.
    pub nonce: String,
    /// Digest of what the proposer was shown besides, such as the simulation of a stop: whoever approves approves having seen it. The text
    /// itself travels with the proposal, and to no region.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Digest>,
    /// Signed in advance: without a fire by one of its signers it stops nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub armed: Option<FireUntil>,
    pub action: Action,
}

impl Change {
    pub fn to_bytes(&self) -> Result<Vec<u8>, Malformed> {
        canon::check_nonce(&self.nonce)?;
        canon::write("a change", self)
    }
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let change: Self = canon::read("a change", bytes)?;
        canon::check_nonce(&change.nonce)?;
        if change.domain == Kind::Change.domain() {
            Ok(change)
        } else {
            Err(Malformed::NotCanonical { what: "a change" })
        }
    }
    /// Digest of a change's canonical bytes; the name by which votes and restores call it.
    pub fn digest_of(bytes: &[u8]) -> Digest {
        Kind::Change.digest(bytes)
    }
    pub fn kind(&self) -> ChangeKind {
        self.action.kind()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        halt::Halt,
        testing::{World, link_l1},
    };

    #[test]
    fn every_kind_reads_back_from_its_name_and_no_other_text_does() {
        for kind in ChangeKind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
        }
        let unknown = "LinkL2".parse::<ChangeKind>().unwrap_err();
        assert!(unknown.contains("LinkL2") && unknown.contains("ApplyTopology"), "{unknown}");
    }

    #[test]
    fn routings_and_topologies_are_told_to_nobody_and_all_else_is() {
        let routing = Action::ChangeRouting { routing: Routing { routes: Vec::new() }, replaces: None };
        let topology = Action::ApplyTopology { serial: 1, governed: Vec::new(), tenants: BTreeSet::new() };
        assert!(routing.is_told_to_nobody() && topology.is_told_to_nobody());
        let callers = Action::ChangeCallers { next: World::new().next(|_| ()) };
        let told = Halt::ALL.map(|halt| halt.action()).into_iter().chain([link_l1("k"), callers]);
        told.for_each(|action| assert!(!action.is_told_to_nobody(), "{}", action.kind()));
    }

    #[test]
    fn the_largest_change_is_a_statement() {
        // A change carries a trust root or a bundle as base64url, a third longer.
        for most in [BUNDLE_BYTES_MAX, crate::site::GOVERNED_BYTES_MAX] {
            assert!(most / 3 * 4 + crate::trust::ROOT_BYTES_MAX / 2 <= canon::STATEMENT_BYTES_MAX, "{most}");
        }
        assert_eq!((BUNDLE_BYTES_MAX, EVIDENCE_BYTES_MAX), (65_536, 32_768));
    }
}
