//! A proposal's file: what was proposed, who answered, what regions found and said. A tenant's state holds one for each.

use std::collections::BTreeMap;

use orbital::{
    canon::Text,
    certificate::{Certificate, Spoken},
    change::{Action, Change, ChangeKind},
    names::{Correlation, Digest, Group, ProposalId, Region},
    quorum::Signers,
    report::{L1State, Outcome, SyncAck},
    sign::Signed,
    trust::TrustRoot,
    vote::{Role, Vote},
};

use crate::proposal::{State, ballot};

/// Why a record does not follow from what came before it: the ledger is not this tenant's, or damaged.
pub(crate) type Unfit = String;

/// An answer that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) vote: Vote,
    pub(crate) signed: Signed,
    pub(crate) at_ms: u64,
}

/// What somebody said about a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub(crate) by: String,
    pub(crate) text: Text,
    pub(crate) at_ms: u64,
}

/// What a region found at the L1; `state` is none until it answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Probe {
    pub(crate) state: Option<L1State>,
    pub(crate) resolved: String,
    pub(crate) why: String,
    pub(crate) took_ms: u64,
}

/// A region's word on a ratified change; `ack` is none until it answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Progress {
    pub(crate) ack: Option<(SyncAck, Signed)>,
    /// The region has it, since a later version that builds on it was acknowledged.
    pub(crate) implied: bool,
    pub(crate) waited_us: Option<u64>,
}

impl Progress {
    pub(crate) fn applied(&self) -> bool {
        self.implied || self.ack.as_ref().is_some_and(|(ack, _)| ack.outcome == Outcome::Applied)
    }
    /// The region's refusal, in its words.
    pub(crate) fn refused(&self) -> Option<&str> {
        let refusal = self.ack.as_ref().filter(|(ack, _)| ack.outcome == Outcome::Refused);
        refusal.map(|(ack, _)| ack.why.as_str()).filter(|_| !self.implied)
    }
}

/// One proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Proposal {
    pub(crate) id: ProposalId,
    pub(crate) change: Change,
    pub(crate) bytes: Vec<u8>,
    pub(crate) digest: Digest,
    pub(crate) statement: Signed,
    /// What the proposer was shown besides.
    pub(crate) evidence: Option<String>,
    pub(crate) proposed: Vote,
    pub(crate) created_ms: u64,
    pub(crate) correlation: Correlation,
    pub(crate) state: State,
    pub(crate) why: Option<String>,
    pub(crate) missing: Vec<Group>,
    pub(crate) approvals: Vec<Answer>,
    pub(crate) rejections: Vec<Answer>,
    pub(crate) confirmations: Vec<Answer>,
    /// When an armed stop had its quorum.
    pub(crate) armed_ms: Option<u64>,
    /// Who fired it.
    pub(crate) fired: Option<Answer>,
    pub(crate) notes: Vec<Note>,
    pub(crate) probes: BTreeMap<Region, Probe>,
    pub(crate) progress: BTreeMap<Region, Progress>,
    pub(crate) certificate: Option<Certificate>,
    pub(crate) received_ms: Option<u64>,
}

impl Proposal {
    pub(crate) fn kind(&self) -> ChangeKind {
        self.change.kind()
    }
    pub(crate) fn is_stop(&self) -> bool {
        self.kind().is_stop()
    }
    /// The certificate as far as its answers go.
    pub(crate) fn collected(&self) -> Certificate {
        let signed = |answers: &[Answer]| answers.iter().map(|a| a.signed.clone()).collect();
        Certificate {
            change: self.bytes.clone(),
            proposal: self.statement.clone(),
            approvals: signed(&self.approvals),
            confirmations: self.confirmations.iter().chain(&self.fired).map(|a| a.signed.clone()).collect(),
        }
    }
    /// Proposer and approvers under this trust root, with what each proved.
    pub(crate) fn signers(&self, trust: &TrustRoot) -> Signers {
        let answers = self.approvals.iter().map(|a| (Role::Approve, &a.vote, &a.signed));
        ballot::signers(trust, answers.chain([(Role::Propose, &self.proposed, &self.statement)]))
    }
    /// Proposer and approvers, by which of their keys.
    pub(crate) fn spoken<'t>(&'t self, trust: &'t TrustRoot) -> Vec<Spoken<'t>> {
        let approvals = self.approvals.iter().filter_map(|answer| Spoken::of(trust, &answer.vote, true));
        Spoken::of(trust, &self.proposed, false).into_iter().chain(approvals).collect()
    }
    /// Until when it may be fired, where it is armed; Unix seconds.
    pub(crate) fn armed_until(&self) -> Option<u64> {
        self.change.armed.map(|until| until.0)
    }
    /// When it ends by itself while it is pending, Unix seconds: the time to collect is over, or the time to fire.
    pub(crate) fn ends(&self) -> u64 {
        let until = self.armed_until().unwrap_or(u64::MAX);
        if self.state == State::Armed { until } else { self.proposed.expires.min(until) }
    }
    /// The trust version that it makes, where it makes one.
    pub(crate) fn made_version(&self) -> Option<u64> {
        self.change.action.next().map(|next| next.version)
    }
    /// Every region that it names has tried the L1 and succeeded; true for what needs no probe.
    pub(crate) fn probed(&self) -> bool {
        self.probes.values().all(|p| p.state == Some(L1State::Enabled) && p.why.is_empty())
    }
}

/// Characters of a change's digest in a proposal's id: 120 bits, so that nobody finds two changes of one id.
const ID_CHARACTERS: usize = 20;

/// A proposal is called by its change's digest: the same change is never proposed twice. It begins with a letter, since a digest may
/// begin with a hyphen, which a command line takes for an option.
pub(crate) fn id_of(change: Digest) -> Result<ProposalId, Unfit> {
    let short: String = change.to_string().chars().take(ID_CHARACTERS).collect();
    ProposalId::new(format!("p{short}")).map_err(|e| e.to_string())
}

pub(crate) fn opened(
    id: ProposalId,
    bytes: Vec<u8>,
    statement: Signed,
    missing: Vec<Group>,
    at_ms: u64,
    correlation: &Correlation,
) -> Result<Proposal, Unfit> {
    let change = Change::from_bytes(&bytes).map_err(|e| e.to_string())?;
    let proposed = Vote::read(Role::Propose, &statement).map_err(|e| e.to_string())?;
    let probes = match &change.action {
        Action::LinkL1 { .. } => change.regions.iter().map(|r| (r.clone(), Probe::default())).collect(),
        _ => BTreeMap::new(),
    };
    Ok(Proposal {
        evidence: None,
        id,
        digest: Change::digest_of(&bytes),
        change,
        bytes,
        statement,
        proposed,
        created_ms: at_ms,
        correlation: correlation.clone(),
        state: State::Open,
        why: None,
        missing,
        approvals: Vec::new(),
        rejections: Vec::new(),
        confirmations: Vec::new(),
        armed_ms: None,
        fired: None,
        notes: Vec::new(),
        probes,
        progress: BTreeMap::new(),
        certificate: None,
        received_ms: None,
    })
}
