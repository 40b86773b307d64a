//! Reports: what a region tells governance. A report never changes who may do what; the SyncAck alone is signed evidence.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    canon::{self, Malformed},
    certificate::Certificate,
    codec::{self, BadBody},
    halt::Halts,
    hello::Hello,
    names::{Correlation, Deployment, Digest, NodeName, Region, System, TenantId},
    sign::{BadSignature, Kind, PublicKey, SecretKey, Signed},
};

/// How a region met a directive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// In force and durable. For a kill: fence set, entries gone, no borrow left, bytes zeroized, tombstone durable.
    Applied,
    /// Not in force, and why stands in `why`.
    Refused,
}

/// One region's signed answer to one directive; also the proof that an auditor keeps (format fixed, PROTOCOL §4).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SyncAck {
    pub domain: String,
    pub deployment: Deployment,
    pub tenant: TenantId,
    pub region: Region,
    /// Digest of the directive's bytes.
    pub directive: Digest,
    /// Digest of the change that it carried, where it carried one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change: Option<Digest>,
    pub outcome: Outcome,
    /// The refusal, in words; empty when applied.
    pub why: String,
    /// Every member of the region, edges included (PROTOCOL §6).
    pub members: BTreeSet<NodeName>,
    #[serde(with = "canon::decimal")]
    pub trust_version: u64,
    #[serde(with = "canon::decimal")]
    pub epoch: u64,
    #[serde(with = "canon::decimal")]
    pub generation: u64,
    /// The region's wall clock, Unix microseconds.
    #[serde(with = "canon::decimal")]
    pub at_us: u64,
    /// Microseconds from the directive's arrival until this answer was ready to sign.
    #[serde(with = "canon::decimal")]
    pub took_us: u64,
}

impl SyncAck {
    pub fn sign(&self, key: &SecretKey) -> Result<Signed, Malformed> {
        Ok(Signed::new(Kind::SyncAck, canon::write("a SyncAck", self)?, key))
    }

    /// Verifies with the region's report key, which stands in the trust root.
    pub fn open(signed: &Signed, key: &PublicKey) -> Result<Self, BadAck> {
        signed.verify(Kind::SyncAck, key)?;
        Self::peek(signed).map_err(BadAck::from)
    }

    /// Reads without verifying: to know which key to verify with.
    pub fn peek(signed: &Signed) -> Result<Self, Malformed> {
        let ack: Self = canon::read("a SyncAck", &signed.statement)?;
        if ack.domain == Kind::SyncAck.domain() { Ok(ack) } else { Err(Malformed::NotCanonical { what: "a SyncAck" }) }
    }
}

/// An acknowledgement that proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAck {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("the SyncAck's signature: {0}; is the region's report key the one in the trust root?")]
    Signature(#[from] BadSignature),
}

/// The state of an L1 key as a region sees it (DESIGN §3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum L1State {
    Pending,
    Enabled,
    Disabled,
    Forbidden,
    Unreachable,
    PendingDeletion,
    Deleted,
}

/// What keeps a tenant from being served, each bit lifted only by its counterpart (PROTOCOL §4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stops {
    pub killed: bool,
    pub suspended: bool,
    pub blocked: bool,
    pub l1_stop: bool,
    pub lease_over: bool,
    /// Restarted and not yet confirmed, or never linked.
    pub sealed: bool,
    /// Two certified successors of one trust version have been met: its keys serve on, no change is taken but stops and what settles it.
    pub forked: bool,
}

/// Most systems of one tenant whose use a region tells: with names as long as may be, a quarter of a Hello.
pub const USED_SYSTEMS_MAX: usize = 256;

/// What a system's clients ask of a node, since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Use {
    /// Open now.
    pub connections: u64,
    /// Requests a minute now.
    pub per_minute: u64,
    /// When the last request was answered: Unix milliseconds.
    pub last_ms: Option<u64>,
}

/// One tenant as a region holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    pub trust_version: u64,
    pub trust: Digest,
    pub epoch: u64,
    pub generation: u64,
    /// Known here.
    pub halts: Halts,
    /// Lifted here by name, known or not.
    pub lifted: Halts,
    pub linked: Option<Digest>,
    pub l1: L1State,
    pub stops: Stops,
    /// Seconds; none says unlimited.
    pub lease_left: Option<u64>,
    pub keys: u64,
    /// A nonce of the region for the next renewal, drawn when it last asked.
    pub lease_nonce: Option<String>,
    /// The systems whose clients have come since the node started.
    pub usage: BTreeMap<System, Use>,
    /// Recoveries by cold keys that wait there, by digest of their change, and when each may come into force: Unix seconds.
    pub recoveries: BTreeMap<Digest, u64>,
}

/// The result of probing an L1 key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    pub tenant: TenantId,
    pub change: Digest,
    pub state: L1State,
    /// What the key's name resolved to.
    pub resolved: String,
    /// What failed and what to do; empty when all steps succeeded.
    pub why: String,
    pub took_ms: u64,
}

/// Locked memory and load of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Load {
    pub locked_bytes: u64,
    pub slots_used: u64,
    pub slots_total: u64,
    pub memory: String,
    pub connections: u64,
}

/// Region to governance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Report {
    /// A group of the tenants that the region holds; some are sent at each connect and on each tick, in turn.
    Hello(Hello),
    SyncAck(Signed),
    Probed(Probed),
    /// A stop that people handed straight to the region, which it has performed. The certificate proves itself, whoever brings it.
    Stopped(Certificate),
    /// One of two certified successors of one trust version that the region has met; the other comes by itself. It proves itself, too.
    Branch(Certificate),
    /// A link, a stop or a grant that stands in the region, and that governance asked for. It proves itself.
    Recalled(Certificate),
}

impl Report {
    pub fn encode(&self) -> Result<Vec<u8>, BadBody> {
        codec::encode_carried(self)
    }
    pub fn decode(bytes: &[u8]) -> Result<Self, BadBody> {
        match codec::decode(bytes)? {
            Self::Hello(hello) => hello.checked().map(Self::Hello),
            report => Ok(report),
        }
    }
}

/// The body of a frame, either way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// I am here; sent on each lane, so that a silent peer is noticed.
    Heartbeat,
    Directive {
        correlation: Correlation,
        /// When the cause was decided: Unix milliseconds, for people's clocks.
        decided_ms: u64,
        directive: Vec<u8>,
    },
    Report {
        correlation: Option<Correlation>,
        report: Vec<u8>,
    },
}
