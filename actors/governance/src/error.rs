//! Who erred, in the user's words (STYLE 9): a [`Refusal`] is our no to a person, a [`Fault`] is the world failing us.
//!
//! Each refusal has a stable code for programs and a text for people: what, where, why, what to do.

use orbital::{
    canon::Malformed,
    certificate::Uncertified,
    chain::BadGenesis,
    change::ChangeKind,
    codec::BadBody,
    names::{Digest, Group, Person, ProposalId, Region, System, TenantId},
    sign::BadSignature,
    trust::BadTrust,
};

use crate::proposal::State;

/// What any call on the desk may end in.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Fault(#[from] Fault),
}

impl Error {
    /// The refusal's or the fault's stable code.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Refused(refusal) => refusal.code(),
            Self::Fault(fault) => fault.code(),
        }
    }
}

macro_rules! refusals {
    ($($(#[$meta:meta])* $name:ident $({ $($field:ident: $type:ty),* $(,)? })? $(($inner:ty))? = $code:literal;)*) => {
        /// We say no. Nothing was written.
        #[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
        #[non_exhaustive]
        pub enum Refusal { $($(#[$meta])* $name $({ $($field: $type),* })? $(($inner))?,)* }

        impl Refusal {
            /// Every code, each once.
            pub const CODES: &'static [&'static str] = &[$($code),*];

            /// A stable name for programs.
            pub fn code(&self) -> &'static str {
                match self { $(Self::$name { .. } => $code,)* }
            }
        }
    };
}

refusals! {
    #[error("the genesis founds no tenant: {0}. Correct it, let every first actor sign it anew, and provision it again")]
    BadGenesis(BadGenesis) = "bad-genesis";
    #[error("this is deployment {ours}, but the {what} is for {theirs}: send it to that deployment, or make it anew for this one")]
    OtherDeployment { what: &'static str, ours: String, theirs: String } = "other-deployment";
    #[error(
        "the {what} that is to use system {system} is in use by another tenant of this deployment: an anchor decides whose a KMIP client \
         is, so it is one tenant's alone. Name a {what} of your own; where this one is yours, ask the operators to find out who claimed it"
    )]
    AnchorTaken { what: &'static str, system: System } = "anchor-taken";
    #[error("tenant {0} exists already: a tenant's id is the digest of its genesis, and each is provisioned once")]
    TenantKnown(TenantId) = "tenant-known";
    #[error("the deployment holds {max} tenants, its limit: found another deployment")]
    TooManyTenants { max: usize } = "too-many-tenants";
    #[error(
        "neither the topology (governance.operators) nor any tenant's trust root knows {0}. Call with the certificate of a tenant's person (its \
         CN or SAN URI is the person's name or subject), have the trust root know this subject, or have the operators add this name"
    )]
    UnknownVisitor(String) = "unknown-visitor";
    #[error(
        "{0} is no operator, and nobody is by the word of an identity provider: only those whom the topology lists under governance.operators found tenants. \
         Have one of them provision this genesis"
    )]
    NotAnOperator(String) = "not-an-operator";
    #[error("there is no tenant {0}: `kcm tenant list` shows those that exist")]
    UnknownTenant(String) = "unknown-tenant";
    #[error("{count} tenants are named {name}: a name is a label only, so use the tenant's id")]
    AmbiguousName { name: String, count: usize } = "ambiguous-name";
    #[error("region {region} is not {of}: known are {known}. Correct the regions and sign again")]
    UnknownRegion { region: Region, of: &'static str, known: String } = "unknown-region";
    #[error("{kind} must name {must}; it misses {missing}. Name them and sign again")]
    RegionsMissing { kind: ChangeKind, must: &'static str, missing: String } = "regions-missing";
    #[error("the trust root names the policy bundle {named}, but this deployment evaluates {known}: take that digest into the trust root")]
    UnknownPolicy { named: Digest, known: Digest } = "unknown-policy";
    #[error("the change does not read: {0}")]
    MalformedChange(Malformed) = "malformed-change";
    #[error("the vote does not read: {0}. Sign it again with this release's `kcm`")]
    MalformedVote(Malformed) = "malformed-vote";
    #[error("the evidence of a proposal has at most {max} bytes, found {found}: leave it out, or show less")]
    EvidenceTooLong { found: usize, max: usize } = "evidence-too-long";
    #[error(
        "the change names the evidence {}, and what came with it is {}: send the very text that the proposer was shown",
        spelled(.named.as_ref()), spelled(.found.as_ref())
    )]
    OtherEvidence { named: Option<Digest>, found: Option<Digest> } = "other-evidence";
    #[error("the change cannot be armed: {0}")]
    BadArming(Uncertified) = "bad-arming";
    #[error("it could be fired until {until} (Unix seconds), now is {now}: propose a new one, or a revocation that is in force at once")]
    ArmedOver { until: u64, now: u64 } = "armed-over";
    #[error("proposal {id} cannot be fired: {why}")]
    NotArmed { id: ProposalId, why: &'static str } = "not-armed";
    #[error("the {role} statement names another {what} than the change: sign the statement for exactly this change")]
    OtherChange { role: &'static str, what: &'static str } = "other-change";
    #[error("made under trust version {made}, but the tenant's is {current}: fetch the tenant, make the change anew and collect the approvals anew")]
    StaleTrust { made: u64, current: u64 } = "stale-trust";
    #[error("made under trust version {made}, which is not known here (known is {current}): was this governance restored from a backup?")]
    AheadTrust { made: u64, current: u64 } = "ahead-trust";
    #[error("{kind} carries epoch {found}, but the tenant's next is {expected}: fetch the tenant and make the change anew")]
    StaleEpoch { kind: ChangeKind, found: u64, expected: u64 } = "stale-epoch";
    #[error("the new trust root is not valid: {0}")]
    BadTrust(BadTrust) = "bad-trust";
    #[error("the new trust root does not follow from version {version}: {why}. Make it anew from the tenant's present trust root")]
    NotSuccessor { version: u64, why: &'static str } = "not-successor";
    #[error("tenant {tenant} is killed: until a RestoreL1 names every kill, only stops, RestoreL1, ChangeActors and ChangeQuorum are taken, not {kind}")]
    TenantKilled { tenant: TenantId, kind: ChangeKind } = "tenant-killed";
    #[error("tenant {tenant} is terminated: its keys are destroyed, and nothing brings them back, {kind} neither. Found a new tenant")]
    TenantTerminated { tenant: TenantId, kind: ChangeKind } = "tenant-terminated";
    #[error("tenant {tenant} is blocked: until an UnblockTenant names every block, only stops and what lifts them, ChangeActors and ChangeQuorum are taken, not {kind}")]
    TenantBlocked { tenant: TenantId, kind: ChangeKind } = "tenant-blocked";
    #[error("tenant {tenant} is frozen: there are two certified trust versions {version}, and {other} is not the one here. Until a ChangeActors declares it void (`kcm trust settle`), only stops are taken, not {kind}")]
    TenantForked { tenant: TenantId, kind: ChangeKind, version: u64, other: Digest } = "tenant-forked";
    #[error("tenant {tenant}: region {region} {what}. Until it is known here what every region holds, only stops are taken, not {kind}: governance asks them by itself, see `kcm status`")]
    BehindRegions { tenant: TenantId, kind: ChangeKind, region: Region, what: String } = "behind-regions";
    #[error("{kind} names {name}, by which the tenant is not {word} as far as this ledger or any region knows: `kcm tenant show` lists its stops")]
    UnknownStop { kind: ChangeKind, name: Digest, word: &'static str } = "unknown-stop";
    #[error("{kind} names {name}, which is another kind of stop: {by} lifts it, and nothing else")]
    OtherStop { kind: ChangeKind, name: Digest, by: ChangeKind } = "other-stop";
    #[error("{kind} names nothing by which the tenant is {word}: it lifts what it names and nothing else, so name at least one stop")]
    NothingToLift { kind: ChangeKind, word: &'static str } = "nothing-to-lift";
    #[error("the tenant is linked to another L1 by change {0}: there is one path to its keys, so LinkL1 takes that L1 again or a tenant without a link")]
    AlreadyLinked(Digest) = "already-linked";
    #[error(
        "tenant {tenant} is not provisioned in {missing} yet, and no tenant is linked that some region lacks: `kcm tenant show` says why. It is \
         brought there again by itself; mend the cause, take the region out (ChangeResidency), or withdraw the tenant (`kcm tenant withdraw`)"
    )]
    HalfFounded { tenant: TenantId, missing: String } = "half-founded";
    #[error("{person} with key {key} is not in trust version {version}: removed, renamed or never enrolled; somebody else must sign")]
    UnknownSigner { person: Person, key: String, version: u64 } = "unknown-signer";
    #[error("a note says something: write a text of at most 2 KiB")]
    EmptyNote = "empty-note";
    #[error("proposal {id} has {max} notes, and takes no more: say it elsewhere, or in the reason of a new proposal")]
    TooManyNotes { id: ProposalId, max: usize } = "too-many-notes";
    #[error("{0} reaches no region, so it names none: leave the regions empty and sign again")]
    ReachesNoRegion(ChangeKind) = "reaches-no-region";
    #[error("another ChangeRouting came into force since this one was made: read the routing (`kcm notify show`), make the change anew and sign again")]
    StaleRouting = "stale-routing";
    #[error("a topology of serial {last} is decided already, this one has {serial}: make it anew upon the warrant in force (`kcm topology plan`) and sign again")]
    StaleTopology { serial: u64, last: u64 } = "stale-topology";
    #[error("the routing cannot stand so: {0}")]
    BadRouting(String) = "bad-routing";
    #[error("there is no notice {0} in the log of deliveries: `kcm notify log` shows those that are kept")]
    UnknownDelivery(String) = "unknown-delivery";
    #[error("{what} cannot be told: {why}")]
    Untold { what: &'static str, why: String } = "untold";
    #[error("the signature of {person} on the {role} statement: {why}. Sign with the key that the trust root lists")]
    BadSignature { person: Person, role: &'static str, why: BadSignature } = "bad-signature";
    #[error("the rule for {kind} asks for user verification, which this signature of {person} does not prove: sign with the passkey, by PIN or body")]
    NotUserVerified { person: Person, kind: ChangeKind } = "not-user-verified";
    #[error("expired at {expired} (Unix seconds), now is {now}: propose it again")]
    Expired { expired: u64, now: u64 } = "expired";
    #[error("the proposal expires at {expires} (Unix seconds), later than its rule allows ({latest}): sign it again with a shorter time")]
    ExpiresTooLate { expires: u64, latest: u64 } = "expires-too-late";
    #[error("the tenant's policies cannot stand so: {0}. Change them, the people or the rules so that they fit each other")]
    BadPolicy(String) = "bad-policy";
    #[error("the policy does not let {person} {wish} {kind}: {decision}. Ask somebody whom the policy permits")]
    PolicyDenies { person: Person, wish: &'static str, kind: ChangeKind, decision: String } = "policy-denies";
    #[error("this very change was proposed before, by {proposer}: answer proposal {id} instead")]
    AlreadyProposed { id: ProposalId, proposer: Person } = "already-proposed";
    #[error(
        "{proposer}'s proposal {id} ({state}) is about {object}, too, and only one at a time is collected: answer it, or have it rejected or \
         withdrawn, and propose again"
    )]
    ObjectBusy { id: ProposalId, proposer: Person, state: State, object: String } = "object-busy";
    #[error("proposal {0} is not as it was when it was read: read it again, then decide anew")]
    ChangedSince(ProposalId) = "changed-since";
    #[error("{count} {what} are open, the limit is {max}: close one (approve, reject, withdraw) and propose again")]
    TooManyOpen { what: &'static str, count: usize, max: usize } = "too-many-open";
    #[error(
        "{person} proposed {count} stops within an hour that nobody ratified, which is the limit: approve one that is open, have another \
         person propose, or try again in {wait_s} seconds"
    )]
    TooManyStops { person: Person, count: usize, wait_s: u64 } = "too-many-stops";
    #[error("this very statement was proposed before as {0}, and that proposal has ended: make the change anew")]
    AlreadyEnded(ProposalId) = "already-ended";
    #[error(
        "there is no proposal {0}, or it ended long ago: `kcm proposal list` shows those that are open and those that ended last, \
         `kcm audit list` every one that ever was"
    )]
    UnknownProposal(ProposalId) = "unknown-proposal";
    #[error("proposal {id} is {state} and takes no more answers{}", .why.as_ref().map(|w| format!(": {w}")).unwrap_or_default())]
    ProposalClosed { id: ProposalId, state: State, why: Option<String> } = "proposal-closed";
    #[error("{0} proposed this change and cannot approve it: four eyes; another person must approve")]
    ProposerApproves(Person) = "proposer-approves";
    #[error("{0} proposed this change: withdraw it instead of rejecting it")]
    ProposerRejects(Person) = "proposer-rejects";
    #[error("{person} has answered this proposal already ({as_what}): no answer counts twice")]
    DoubleAnswer { person: Person, as_what: &'static str } = "double-answer";
    #[error("{person} does not answer this proposal: the change or its terms differ from what was proposed. Fetch the proposal, read it, sign again")]
    OtherProposal { person: Person } = "other-proposal";
    #[error("{person} is in none of the groups that {kind} asks for ({}): one of those must answer", .groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "))]
    NotDemanded { person: Person, kind: ChangeKind, groups: Vec<Group> } = "not-demanded";
    #[error("only {proposer}, who proposed it, may {what} this proposal; {person} is somebody else")]
    NotTheProposer { proposer: Person, person: Person, what: &'static str } = "not-the-proposer";
    #[error("the rule for {0} asks for no confirmation by the proposer: nothing is missing from you")]
    ConfirmUnasked(ChangeKind) = "confirm-unasked";
    #[error("the proposer confirms last, and approvals are still missing: {missing}")]
    ConfirmTooEarly { missing: String } = "confirm-too-early";
    #[error("a {role} statement is no answer to a proposal: approve, reject, confirm, withdraw or fire it")]
    WrongRole { role: &'static str } = "wrong-role";
    #[error(
        "this deployment signs no checkpoints: its topology file has no checkpoint_key and checkpoint_public under [governance]. Have the \
         operators make one (`kcm actor keygen`) and start governance again; until then write down heads (`kcm audit verify`)"
    )]
    NoCheckpoints = "no-checkpoints";
    #[error("there is no entry {0} here: `kcm audit list` shows those that you may see")]
    UnknownEntry(u64) = "unknown-entry";
    #[error("there is no proof from {old} to {new}: the ledger has {newest} entries, and a proof goes from a smaller number to a larger one of at most that. A checkpoint of more entries than that is of another ledger, or this one was cut off")]
    NoSuchSize { old: u64, new: u64, newest: u64 } = "no-such-size";
    #[error("a {0} cannot be probed: only LinkL1 has an L1 to try")]
    NothingToProbe(ChangeKind) = "nothing-to-probe";
    #[error("the certificate does not carry the change: {0}")]
    Uncertified(Uncertified) = "uncertified";
    #[error("this certificate is no recovery: recovery keys sign one with `kcm trust recovery sign`; what people sign is proposed")]
    NotRecovery = "not-recovery";
    #[error("{max} recoveries of this trust version wait already, and no more are taken: cancel them with `kcm trust recovery cancel`")]
    TooManyRecoveries { max: usize } = "too-many-recoveries";
    #[error("the change gives a directive that no frame can carry: {0}. Make it smaller")]
    TooLarge(BadBody) = "too-large";
}

/// The world failed. Nothing was decided; the same call may succeed later.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    #[error("the ledger did not take it: {0}")]
    Ledger(#[from] ledger::LedgerError),
    #[error("{what} is restarting or gone: try again; if it stays so, read the log of this node")]
    Gone { what: &'static str },
    #[error("{what} has too much waiting to be written: try again in a moment; stops are still taken")]
    Busy { what: &'static str },
    #[error(
        "entry {sequence} of the ledger does not read: {why}. Run `kcm audit verify`; a newer release may have written it"
    )]
    UnreadableEntry { sequence: u64, why: String },
    #[error(
        "the ledger is not the one of which checkpoints were signed before: {0}. Nothing is signed or proven. Keep the file as evidence, and \
         find out who changed it or put it back to a backup"
    )]
    BrokenLedger(ledger::Broken),
    #[error("{what} could not be written: {why}. This is a defect of this release; report it")]
    Unwritable { what: &'static str, why: String },
    #[error("governance could not start: {0}")]
    Start(String),
}

impl Fault {
    /// A stable name for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Ledger(_) => "ledger",
            Self::Gone { .. } => "gone",
            Self::Busy { .. } => "busy",
            Self::UnreadableEntry { .. } => "unreadable-entry",
            Self::BrokenLedger(_) => "broken-ledger",
            Self::Unwritable { .. } => "unwritable",
            Self::Start(_) => "start",
        }
    }
}

fn spelled(digest: Option<&Digest>) -> String {
    digest.map_or_else(|| "none".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_stands_once() {
        let mut codes = Refusal::CODES.to_vec();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), Refusal::CODES.len());
        let nothing = Refusal::NothingToLift { kind: ChangeKind::RestoreL1, word: "killed" };
        assert_eq!(nothing.code(), "nothing-to-lift");
    }
}
