//! Directives: what governance tells a region. What each needs before it may move a tenant is one exhaustive match (PROTOCOL §1).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    canon::{self, Malformed},
    certificate::Certificate,
    chain::Genesis,
    change::Action,
    codec::{self, BadBody},
    names::{Deployment, Digest, Region, TenantId},
    sign::{Kind, SecretKey, Signed},
};

/// Most links that travel with one certificate.
pub const LINKS_PER_DIRECTIVE_MAX: usize = 256;

/// A certificate together with the links of the trust chain that the region may lack (PROTOCOL §4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Warrant {
    pub tenant: TenantId,
    /// From the region's last acknowledged version on, oldest first.
    pub links: Vec<Certificate>,
    pub certificate: Certificate,
}

/// Governance to region.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Directive {
    /// A new tenant: its genesis and the links up to the version that names this region.
    Provision {
        genesis: Genesis,
        links: Vec<Certificate>,
    },
    /// Try the L1 that this proposed change names; changes nothing.
    Probe {
        tenant: TenantId,
        change: Vec<u8>,
        proposal: Signed,
    },
    /// Keep the tenant's keys unsealed.
    Hold {
        tenant: TenantId,
    },
    Link(Warrant),
    Kill(Warrant),
    Restore(Warrant),
    /// A new version of the trust root: people, rules, systems.
    Trust(Warrant),
    /// A new version that changes the callers; closes the tenant's connections.
    Callers(Warrant),
    /// A renewal by the lease key.
    Lease(Signed),
    Block(Warrant),
    Unblock(Warrant),
    Suspend(Warrant),
    Resume(Warrant),
    /// A kill that nothing lifts: the tenant's keys are deleted, too.
    Shred(Warrant),
    /// The same for a region that may never have had the tenant: the genesis proves the certificate there, and no Provision founds the tenant
    /// afterwards.
    Annul {
        genesis: Box<Genesis>,
        warrant: Warrant,
    },
    /// Tell the certificates that governance lacks, which was put back from a backup: links from this version on, stops and grants besides
    /// those that it knows. Changes nothing.
    Recall {
        tenant: TenantId,
        version: u64,
        known: BTreeSet<Digest>,
    },
}

/// What a directive needs; a frame's signature alone changes no tenant state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// The genesis, confirmed by a pin in the region's topology.
    PinnedGenesis,
    /// The proposer's signed statement that names this KeyRef.
    ProposersSignature,
    /// Nothing beyond what the certified head allows.
    CertifiedHead,
    /// A statement by the trust root's lease key.
    LeaseKey,
    /// A stop's certificate.
    StopCertificate,
    /// A certificate of the current trust version.
    Certificate,
}

impl Directive {
    /// PROTOCOL §1's table.
    pub const fn needs(&self) -> Needs {
        match self {
            Self::Provision { .. } => Needs::PinnedGenesis,
            Self::Probe { .. } => Needs::ProposersSignature,
            Self::Hold { .. } | Self::Recall { .. } => Needs::CertifiedHead,
            Self::Lease(_) => Needs::LeaseKey,
            Self::Kill(_) | Self::Block(_) | Self::Suspend(_) | Self::Shred(_) | Self::Annul { .. } => {
                Needs::StopCertificate
            }
            Self::Link(_)
            | Self::Restore(_)
            | Self::Unblock(_)
            | Self::Resume(_)
            | Self::Trust(_)
            | Self::Callers(_) => Needs::Certificate,
        }
    }

    /// The name that people see in logs, metrics and refusals.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Provision { .. } => "provision",
            Self::Probe { .. } => "probe",
            Self::Hold { .. } => "hold",
            Self::Link(_) => "link",
            Self::Kill(_) => "kill",
            Self::Restore(_) => "restore",
            Self::Trust(_) => "trust",
            Self::Callers(_) => "callers",
            Self::Lease(_) => "lease",
            Self::Block(_) => "block",
            Self::Unblock(_) => "unblock",
            Self::Suspend(_) => "suspend",
            Self::Resume(_) => "resume",
            Self::Shred(_) => "shred",
            Self::Annul { .. } => "annul",
            Self::Recall { .. } => "recall",
        }
    }

    pub fn encode(&self) -> Result<Vec<u8>, BadBody> {
        codec::encode_carried(self)
    }
    pub fn decode(bytes: &[u8]) -> Result<Self, BadBody> {
        let directive: Self = codec::decode(bytes)?;
        let links = directive.links().len();
        if links > LINKS_PER_DIRECTIVE_MAX {
            return Err(BadBody::Unreadable(format!(
                "at most {LINKS_PER_DIRECTIVE_MAX} links travel at once, found {links}"
            )));
        }
        Ok(directive)
    }
    /// The certificate that it carries, with what belongs to it.
    pub const fn warrant(&self) -> Option<&Warrant> {
        match self {
            Self::Link(warrant)
            | Self::Kill(warrant)
            | Self::Restore(warrant)
            | Self::Block(warrant)
            | Self::Unblock(warrant)
            | Self::Suspend(warrant)
            | Self::Resume(warrant)
            | Self::Shred(warrant)
            | Self::Annul { warrant, .. }
            | Self::Trust(warrant)
            | Self::Callers(warrant) => Some(warrant),
            Self::Provision { .. } | Self::Probe { .. } | Self::Hold { .. } | Self::Lease(_) | Self::Recall { .. } => {
                None
            }
        }
    }
    /// The stop that it brings.
    pub const fn stop(&self) -> Option<&Warrant> {
        match self {
            Self::Kill(warrant)
            | Self::Block(warrant)
            | Self::Suspend(warrant)
            | Self::Shred(warrant)
            | Self::Annul { warrant, .. } => Some(warrant),
            _ => None,
        }
    }
    /// The directive that carries a certified change with this action; none for what is governance's alone.
    pub fn carrying(action: &Action, warrant: Warrant) -> Option<Self> {
        Some(match action {
            Action::RegisterSystem { .. }
            | Action::RetireSystem { .. }
            | Action::ChangeActors { .. }
            | Action::ChangeQuorum { .. }
            | Action::ChangeLease { .. }
            | Action::ChangeResidency { .. }
            | Action::ChangePolicy { .. } => Self::Trust(warrant),
            Action::ChangeCallers { .. } => Self::Callers(warrant),
            Action::LinkL1 { .. } => Self::Link(warrant),
            Action::RevokeL1 {} => Self::Kill(warrant),
            Action::RestoreL1 { .. } => Self::Restore(warrant),
            Action::BlockTenant {} => Self::Block(warrant),
            Action::UnblockTenant { .. } => Self::Unblock(warrant),
            Action::SuspendL1 {} => Self::Suspend(warrant),
            Action::ResumeL1 { .. } => Self::Resume(warrant),
            Action::TerminateTenant {} => Self::Shred(warrant),
            Action::ChangeRouting { .. } | Action::ApplyTopology { .. } => return None,
        })
    }
    /// The links of the trust chain that travel along.
    pub fn links(&self) -> &[Certificate] {
        match self {
            Self::Provision { links, .. } => links,
            other => other.warrant().map_or(&[], |warrant| &warrant.links),
        }
    }
    /// The name by which a SyncAck calls the directive.
    pub fn digest_of(bytes: &[u8]) -> Digest {
        Kind::Directive.digest(bytes)
    }
}

/// A renewal of one tenant's lease in one region: single use, counted from when the region drew the nonce (PROTOCOL §5).
///
/// It names the whole head that its signer knows, kills included, so that it is also the *head answering a fresh nonce* that opens a
/// region whose store may be an old copy (PROTOCOL §6): a region that holds another head refuses it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseGrant {
    pub domain: String,
    pub deployment: Deployment,
    pub tenant: TenantId,
    pub region: Region,
    /// Digest of the trust root that the region holds; another head is refused.
    pub trust: Digest,
    #[serde(with = "canon::decimal")]
    pub epoch: u64,
    /// Every halt of the tenant, of whatever kind, and those of them that are lifted.
    pub kills: BTreeSet<Digest>,
    pub restored: BTreeSet<Digest>,
    pub nonce: String,
    #[serde(with = "canon::decimal")]
    pub seconds: u64,
}

impl LeaseGrant {
    pub fn sign(&self, key: &SecretKey) -> Result<Signed, Malformed> {
        Ok(Signed::new(Kind::Lease, canon::write("a lease", self)?, key))
    }
    pub fn read(signed: &Signed) -> Result<Self, Malformed> {
        let grant: Self = canon::read("a lease", &signed.statement)?;
        if grant.domain == Kind::Lease.domain() { Ok(grant) } else { Err(Malformed::NotCanonical { what: "a lease" }) }
    }
}
