//! What the desk shows: plain values that serialise to JSON as they stand. Nothing here decides.

mod armed;
mod founding;
mod notices;
mod preview;
mod simulation;

use std::collections::{BTreeMap, BTreeSet};

use orbital::{
    canon::Text,
    certificate::Certificate,
    chain::Genesis,
    change::{Change, ChangeKind, L1Ref},
    names::{
        Correlation, Deployment, Digest, Group, KeyName, NodeName, Person, ProposalId, Region, TenantId, TenantName,
    },
    report::{L1State, Load, Observed},
    sign::Signed,
    trust::TrustRoot,
};
use serde::Serialize;
use serde_json::value::RawValue;
use sha2::{Digest as _, Sha256};

pub use crate::proposal::State;
pub use armed::ArmedView;
pub use founding::{Founded, FoundingView};
pub use notices::{ChannelView, RoutingView};
pub use preview::{BarredView, CandidateView, DifferenceView, DryRunView, QuorumView, ReachView, UnmetRule};
pub use simulation::{SimulatedLease, SimulatedRegion, SimulatedSystem, Simulation};

/// Where a tenant stands, as one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum TenantState {
    /// Not every region has taken the genesis yet.
    Provisioning,
    /// Provisioned everywhere, without a link to an L1 yet.
    Unlinked,
    Active,
    /// A suspension is not lifted: what is protected can be read, nothing new is protected.
    Suspended,
    /// A block is not lifted.
    Blocked,
    /// A kill is not lifted.
    Killed,
    /// Some region has not destroyed the tenant's keys yet.
    Terminating,
    /// Every region has.
    Terminated,
}

/// One line of a list of tenants.
#[derive(Clone, Debug, Serialize)]
pub struct TenantSummary {
    pub id: TenantId,
    pub name: TenantName,
    pub state: TenantState,
    pub trust_version: u64,
    /// Digest of the current trust root.
    pub trust: Digest,
    pub epoch: u64,
    pub killed: bool,
    pub blocked: bool,
    pub suspended: bool,
    /// Certified successors beside versions of this chain, by digest: while there is one, only stops and what declares it void are taken.
    pub forked: BTreeSet<Digest>,
    /// When the first of the recoveries that wait may come into force: Unix seconds.
    pub recovers_at: Option<u64>,
    /// Regions that have not taken the tenant yet; it is brought there until they have, or until it is terminated.
    pub unfounded: BTreeSet<Region>,
    pub link: Option<LinkView>,
    /// Open and running proposals.
    pub proposals: usize,
}

/// The tenant's way to its L1.
#[derive(Clone, Debug, Serialize)]
pub struct LinkView {
    /// Digest of the LinkL1 change.
    pub change: Digest,
    pub l1: L1Ref,
    pub regions: BTreeSet<Region>,
}

/// Everything about one tenant. With `genesis` and `links` a client verifies the whole chain by itself.
#[derive(Clone, Debug, Serialize)]
pub struct TenantView {
    #[serde(flatten)]
    pub summary: TenantSummary,
    pub deployment: Deployment,
    /// Canonical bytes of the current trust root, base64url.
    #[serde(with = "orbital::canon::bytes")]
    pub trust_bytes: Vec<u8>,
    /// The same, parsed.
    pub trust_root: TrustRoot,
    pub genesis: Genesis,
    /// The certificates of versions 2 and up, oldest first.
    pub links: Vec<Certificate>,
    /// Every kill ever ratified here or seen in a region, by digest of its change.
    pub kills: BTreeSet<Digest>,
    pub restored: BTreeSet<Digest>,
    /// The same of blocks.
    pub blocks: BTreeSet<Digest>,
    pub unblocked: BTreeSet<Digest>,
    /// The same of suspensions.
    pub suspensions: BTreeSet<Digest>,
    pub resumed: BTreeSet<Digest>,
    /// Recoveries by cold keys that wait for their time.
    pub recoveries: Vec<RecoveryView>,
    pub regions: BTreeMap<Region, TenantRegion>,
}

/// A change of persons that cold keys have signed. Any ordinary successor of the present trust version cancels it.
#[derive(Clone, Debug, Serialize)]
pub struct RecoveryView {
    /// Digest of the change.
    pub change: Digest,
    /// When it came, Unix milliseconds.
    pub received_ms: u64,
    /// When it may come into force here, Unix seconds; each region counts from its own first receipt.
    pub due: u64,
    /// What was signed, and by which keys.
    pub certificate: Certificate,
}

/// A tenant in one of its regions.
#[derive(Clone, Debug, Default, Serialize)]
pub struct TenantRegion {
    /// What the region said in its last Hello; none until it did.
    pub observed: Option<Observed>,
    /// When it said so, Unix milliseconds.
    pub observed_ms: Option<u64>,
    /// The trust version that it last acknowledged.
    pub acknowledged_version: Option<u64>,
    /// Names of directives that it has not acknowledged yet.
    pub owed: Vec<&'static str>,
    pub founding: FoundingView,
}

/// Which proposals to list.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub tenant: Option<TenantId>,
    pub state: Option<State>,
    pub kind: Option<ChangeKind>,
    /// Only what comes after this one in the list, by its moment and its id.
    pub after: Option<(u64, ProposalId)>,
    /// Newest first, at most so many; none says [`crate::PROPOSALS_LISTED_MAX`].
    pub limit: Option<usize>,
}

/// One proposal, with everything that an approver must see before signing.
#[derive(Clone, Debug, Serialize)]
pub struct ProposalView {
    pub id: ProposalId,
    pub tenant: TenantId,
    pub kind: ChangeKind,
    pub stop: bool,
    pub state: State,
    /// Why it ended, where it did not end well.
    pub why: Option<String>,
    /// What the change does, and what can't be taken back, for people.
    pub risk: &'static str,
    /// Canonical bytes of the change, base64url: what is signed.
    #[serde(with = "orbital::canon::bytes")]
    pub change_bytes: Vec<u8>,
    /// The same, parsed.
    pub change: Change,
    pub digest: Digest,
    /// What the proposer was shown besides, such as the simulation of a stop: the change names its digest for [`orbital::sign::Kind::Evidence`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub evidence: Option<String>,
    /// The proposer's signed statement; answers name its digest.
    pub proposal: Signed,
    pub proposer: Person,
    pub approvals: Vec<VoteView>,
    pub rejections: Vec<VoteView>,
    pub confirmations: Vec<VoteView>,
    /// Of a stop that is signed in advance: until when, and whether it would still hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub armed: Option<ArmedView>,
    /// What people said about it, oldest first.
    pub notes: Vec<NoteView>,
    /// Groups that still have to sign; empty once ratified.
    pub missing: Vec<Group>,
    /// Who still can approve; where one proposal is shown that still collects, not in lists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quorum: Option<QuorumView>,
    /// The proposer still has to confirm.
    pub needs_confirmation: bool,
    /// Unix seconds.
    pub expires: u64,
    /// Unix milliseconds.
    pub created_ms: u64,
    pub correlation: Correlation,
    /// What the regions found when they tried the L1 of a LinkL1.
    pub probes: BTreeMap<Region, ProbeView>,
    /// What each region made of it; empty until ratified.
    pub regions: BTreeMap<Region, RegionProgress>,
    /// The quorum certificate, once ratified; of an armed stop all but its fire.
    pub certificate: Option<Certificate>,
}

impl ProposalView {
    /// A digest of everything that is shown: equal ones say that nothing has moved.
    pub fn tag(&self) -> Digest {
        // Plain data that serialises; should it ever not, no tag equals another's and nothing is taken for unmoved.
        let shown = serde_json::to_vec(self).unwrap_or_else(|why| format!("{} {why}", self.id).into_bytes());
        Digest(Sha256::digest(shown).into())
    }
}

/// What somebody said about a proposal, by no signature.
#[derive(Clone, Debug, Serialize)]
pub struct NoteView {
    pub by: String,
    pub at_ms: u64,
    pub text: Text,
}

/// A vote and when it came.
#[derive(Clone, Debug, Serialize)]
pub struct VoteView {
    pub person: Person,
    pub key: KeyName,
    pub at_ms: u64,
    pub vote: Signed,
}

/// One region's attempt at the L1.
#[derive(Clone, Debug, Serialize)]
pub struct ProbeView {
    /// None until the region answered.
    pub state: Option<L1State>,
    pub resolved: String,
    /// What failed and what to do; empty when all steps succeeded.
    pub why: String,
    pub took_ms: u64,
}

/// How far a region is with a ratified change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Confirmation {
    /// The region has not answered: *unconfirmed*.
    Waiting,
    Applied,
    Refused,
}

/// One region's answer to a ratified change.
#[derive(Clone, Debug, Serialize)]
pub struct RegionProgress {
    pub confirmation: Confirmation,
    /// The refusal in the region's words; empty otherwise.
    pub why: String,
    /// Microseconds from the ratifying answer's arrival at governance until the SyncAck's.
    pub waited_us: Option<u64>,
    /// Microseconds that the region itself took, as it signed.
    pub took_us: Option<u64>,
    pub members: BTreeSet<NodeName>,
    /// For a silent region: when its lease ends at the latest, Unix milliseconds; none says unlimited or not known.
    pub lease_ends_ms: Option<u64>,
    /// The region's signed answer: evidence for auditors.
    pub ack: Option<Signed>,
}

/// One lane of a region.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LaneView {
    pub connected: bool,
    /// When the last frame of the peer came, Unix milliseconds.
    pub heard_ms: Option<u64>,
    /// Age of the oldest directive that the region has not acknowledged. For those who run the site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub oldest_unacknowledged_ms: Option<u64>,
    /// Directives that the region has not acknowledged. For those who run the site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub depth: Option<usize>,
    pub stalled: bool,
}

impl LaneView {
    /// What a tenant's person may know: how the lane is, not what other tenants put in it.
    pub(crate) fn without_amounts(&mut self) {
        (self.oldest_unacknowledged_ms, self.depth) = (None, None);
    }
}

/// One region.
#[derive(Clone, Debug, Serialize)]
pub struct RegionView {
    pub name: Region,
    pub node: NodeName,
    pub critical: LaneView,
    pub ordinary: LaneView,
    /// When it last said what it holds of a group of its tenants, Unix milliseconds.
    pub hello_ms: Option<u64>,
    pub members: BTreeSet<NodeName>,
    /// For those who run the site.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub load: Option<Load>,
    pub tenants: BTreeMap<TenantId, Observed>,
}

/// One link of the audit chain.
#[derive(Clone, Debug, Serialize)]
pub struct EntryView {
    pub sequence: u64,
    pub at_ms: u64,
    pub kind: String,
    /// The tenant's id, or empty.
    pub subject: String,
    pub correlation: String,
    /// The JSON byte for byte as it was hashed.
    pub body: Box<RawValue>,
    pub previous: Digest,
    pub hash: Digest,
}

/// A page of the ledger.
#[derive(Clone, Debug, Serialize)]
pub struct Entries {
    pub items: Vec<EntryView>,
    /// The sequence after which the next page begins; none at the end.
    pub next: Option<u64>,
}

/// The outcome of a check of the whole chain.
#[derive(Clone, Debug, Serialize)]
pub struct Verified {
    pub sound: bool,
    pub entries: u64,
    /// Hash of the newest entry; write it down elsewhere, and a later check can be held against it.
    pub head: Option<Digest>,
    /// What is wrong, and where; empty when sound.
    pub why: String,
}

/// The newest checkpoint of the ledger.
#[derive(Clone, Debug, Serialize)]
pub struct CheckpointView {
    pub origin: String,
    /// How many entries.
    pub size: u64,
    /// The root of their tree.
    pub root: Digest,
    /// The key under the note, as C2SP writes it. Compare it with what the operators published: whoever forged the note names a key of theirs.
    pub verifier: String,
    /// The signed note itself: what to keep, and to show to a witness.
    pub note: String,
}

/// That a ledger is the beginning of a later one (RFC 6962 §2.1.2, with the hashes of PROTOCOL §2).
#[derive(Clone, Debug, Serialize)]
pub struct ConsistencyView {
    pub old: u64,
    pub new: u64,
    pub proof: Vec<Digest>,
}

/// That an entry stands in the ledger (RFC 6962 §2.1.1, with the hashes of PROTOCOL §2).
#[derive(Clone, Debug, Serialize)]
pub struct InclusionView {
    pub sequence: u64,
    /// Of the entry.
    pub hash: Digest,
    /// Of the ledger, in entries, and its root: compare it with a checkpoint.
    pub size: u64,
    pub root: Digest,
    pub proof: Vec<Digest>,
}

impl From<ledger::Entry> for EntryView {
    fn from(entry: ledger::Entry) -> Self {
        // Only valid JSON is appended; what were not would come as a text, and its hash would tell.
        let text = String::from_utf8_lossy(&entry.body).into_owned();
        let as_text = |_| serde_json::value::to_raw_value(&text).unwrap_or_default();
        Self {
            body: RawValue::from_string(text.clone()).unwrap_or_else(as_text),
            sequence: entry.sequence,
            at_ms: entry.at_ms,
            kind: entry.kind,
            subject: entry.subject,
            correlation: entry.correlation,
            previous: Digest(entry.previous),
            hash: Digest(entry.hash),
        }
    }
}
