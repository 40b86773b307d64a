//! Records: what a tenant's entries in the ledger say. The state is their fold, and nothing else is ever stored of it.
//!
//! A body is JSON with its version beside it; variants are added and never change meaning (STYLE 18).

use orbital::{
    canon::{self, Text},
    certificate::Certificate,
    chain::Genesis,
    names::{Group, ProposalId, Region},
    report::L1State,
    sign::Signed,
};
use serde::{Deserialize, Serialize};

use crate::error::Fault;

/// Version of the bodies.
const VERSION: u32 = 1;

/// The part that an answer plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Voice {
    Approve,
    Reject,
    Confirm,
}

/// One thing that happened to a tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub(crate) enum Record {
    Provisioned {
        genesis: Genesis,
    },
    Opened {
        proposal: ProposalId,
        #[serde(with = "canon::bytes")]
        change: Vec<u8>,
        statement: Signed,
        missing: Vec<Group>,
        /// What the proposer was shown; the change names its digest.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        evidence: Option<String>,
    },
    Answered {
        proposal: ProposalId,
        voice: Voice,
        vote: Signed,
        /// Who still has to sign after this answer.
        missing: Vec<Group>,
    },
    Withdrawn {
        proposal: ProposalId,
        vote: Signed,
    },
    /// What somebody who may see the proposal says about it. It decides nothing.
    Noted {
        proposal: ProposalId,
        /// As this governance knows them: by no signature.
        by: String,
        text: Text,
    },
    Expired {
        proposal: ProposalId,
    },
    Voided {
        proposal: ProposalId,
        why: String,
    },
    /// An armed stop has its quorum, and waits for its fire.
    Armed {
        proposal: ProposalId,
    },
    /// One of its signers fired it; what follows stands in the same append.
    Fired {
        proposal: ProposalId,
        vote: Signed,
    },
    Certified {
        proposal: ProposalId,
    },
    Applied {
        proposal: ProposalId,
        certificate: Certificate,
        /// When the answer that ratified it came in, Unix milliseconds.
        received_ms: u64,
    },
    ProbeAsked {
        proposal: ProposalId,
        regions: Vec<Region>,
    },
    Probed {
        proposal: ProposalId,
        region: Region,
        state: L1State,
        resolved: String,
        why: String,
        took_ms: u64,
    },
    Acknowledged {
        region: Region,
        ack: Signed,
        waited_us: u64,
        /// It answers what brought the genesis there.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        genesis: bool,
    },
    Confirmed {
        proposal: ProposalId,
    },
    Refused {
        proposal: ProposalId,
        why: String,
    },
    /// People handed a stop straight to this region, which told us: it is in force as any other.
    Learnt {
        region: Region,
        certificate: Certificate,
    },
    /// This region has met a second certified successor of one of our trust versions: the tenant is frozen until it is declared void.
    Forked {
        region: Region,
        certificate: Certificate,
    },
    /// Cold keys change persons once their delay has passed, unless an ordinary successor comes first.
    RecoveryReceived {
        certificate: Certificate,
    },
    /// Its delay has passed, here and in every region that speaks: it is in force.
    Recovered {
        certificate: Certificate,
    },
    /// A region lacked something, and it was owed again.
    Reconciled {
        region: Region,
        owed: Vec<String>,
    },
    /// This ledger was put back from a backup, and a region had kept what it has forgotten: in force as before.
    Recalled {
        region: Region,
        certificate: Certificate,
    },
    /// After a restore every region has said what it holds, and none holds more than is known here.
    CaughtUp {
        /// The mark of the restore: Unix milliseconds of the backup's last entry.
        restored_ms: u64,
    },
}

#[derive(Serialize)]
struct Write<'a> {
    v: u32,
    #[serde(flatten)]
    record: &'a Record,
}

#[derive(Deserialize)]
struct Version {
    v: u32,
}

impl Record {
    /// The entry's kind.
    pub(crate) const fn kind(&self) -> &'static str {
        match self {
            Self::Provisioned { .. } => "tenant.provisioned",
            Self::Opened { .. } => "proposal.opened",
            Self::Answered { voice: Voice::Approve, .. } => "proposal.approved",
            Self::Answered { voice: Voice::Reject, .. } => "proposal.rejected",
            Self::Answered { voice: Voice::Confirm, .. } => "proposal.confirmed",
            Self::Withdrawn { .. } => "proposal.withdrawn",
            Self::Noted { .. } => "proposal.noted",
            Self::Expired { .. } => "proposal.expired",
            Self::Voided { .. } => "proposal.voided",
            Self::Armed { .. } => "proposal.armed",
            Self::Fired { .. } => "proposal.fired",
            Self::Certified { .. } => "proposal.ratified",
            Self::Applied { .. } => "proposal.applied",
            Self::ProbeAsked { .. } => "proposal.probe-asked",
            Self::Probed { .. } => "proposal.probed",
            Self::Acknowledged { .. } => "region.acknowledged",
            Self::Confirmed { .. } => "proposal.active",
            Self::Refused { .. } => "proposal.refused",
            Self::Learnt { .. } => "region.stopped-by-hand",
            Self::Forked { .. } => "tenant.forked",
            Self::RecoveryReceived { .. } => "recovery.received",
            Self::Recovered { .. } => "recovery.applied",
            Self::Reconciled { .. } => "region.reconciled",
            Self::Recalled { .. } => "tenant.recalled",
            Self::CaughtUp { .. } => "tenant.caught-up",
        }
    }

    /// The proposal that it is about.
    pub(crate) const fn proposal(&self) -> Option<&ProposalId> {
        match self {
            Self::Opened { proposal, .. }
            | Self::Answered { proposal, .. }
            | Self::Withdrawn { proposal, .. }
            | Self::Noted { proposal, .. }
            | Self::Expired { proposal }
            | Self::Voided { proposal, .. }
            | Self::Armed { proposal }
            | Self::Fired { proposal, .. }
            | Self::Certified { proposal }
            | Self::Applied { proposal, .. }
            | Self::ProbeAsked { proposal, .. }
            | Self::Probed { proposal, .. }
            | Self::Confirmed { proposal }
            | Self::Refused { proposal, .. } => Some(proposal),
            Self::Provisioned { .. }
            | Self::Acknowledged { .. }
            | Self::Learnt { .. }
            | Self::Forked { .. }
            | Self::RecoveryReceived { .. }
            | Self::Recovered { .. }
            | Self::Reconciled { .. }
            | Self::Recalled { .. }
            | Self::CaughtUp { .. } => None,
        }
    }

    pub(crate) fn to_body(&self) -> Result<Vec<u8>, Fault> {
        let unwritable = |e: serde_json::Error| Fault::Unwritable { what: "a ledger entry", why: e.to_string() };
        serde_json::to_vec(&Write { v: VERSION, record: self }).map_err(unwritable)
    }

    /// Reads an entry's body. The version is read first, so that a newer one is told apart from damage.
    pub(crate) fn from_body(sequence: u64, body: &[u8]) -> Result<Self, Fault> {
        let unreadable = |why| Fault::UnreadableEntry { sequence, why };
        let found: Version = serde_json::from_slice(body).map_err(|e| unreadable(e.to_string()))?;
        if found.v != VERSION {
            return Err(unreadable(format!("its body is of version {}, this release reads {VERSION}", found.v)));
        }
        serde_json::from_slice(body).map_err(|e| unreadable(e.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_back_and_another_version_does_not() {
        let record = Record::Voided { proposal: ProposalId::new("p").unwrap(), why: "x".into() };
        let body = record.to_body().unwrap();
        assert_eq!(String::from_utf8(body.clone()).unwrap(), r#"{"v":1,"is":"voided","proposal":"p","why":"x"}"#);
        assert_eq!(Record::from_body(1, &body).unwrap(), record);
        let newer = br#"{"v":2,"is":"voided","proposal":"p","why":"x"}"#;
        let why = Record::from_body(7, newer).unwrap_err().to_string();
        assert!(why.contains("entry 7") && why.contains("version 2"), "{why}");
        assert!(Record::from_body(1, b"{}").is_err());
    }
}
