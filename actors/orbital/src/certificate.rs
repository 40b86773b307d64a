//! Quorum certificates: a change and the signatures that make it law. Both planes check them with [`certify`].
//!
//! A [`Certified`] can be had from [`certify`] alone; what moves a tenant takes one by value.

mod armed;
mod besides;
mod demands;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::{
    canon::Malformed,
    chain::Chain,
    change::{Change, ChangeKind},
    delegation::Collecting,
    enrol::BadEnrolment,
    names::{Digest, Group, KeyName, Person},
    quorum::{Rule, Signers, Verify},
    recovery::{self, BadRecovery},
    sign::{BadSignature, Signed},
    trust::{BadTrust, TrustRoot},
    vote::{Listed, Role, Vote},
};

pub use armed::{ARMED_DELIVERY_SECONDS, ARMED_SECONDS_MAX};
pub(crate) use besides::check_independent;
pub use besides::{Besides, Spoken, besides};
pub use demands::{Demand, demands};

/// Most answers in one certificate.
pub const ANSWERS_MAX: usize = 64;

/// A change, its proposal, and what others answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Certificate {
    /// Canonical bytes of a [`Change`].
    #[serde(with = "crate::canon::bytes")]
    pub change: Vec<u8>,
    pub proposal: Signed,
    pub approvals: Vec<Signed>,
    /// The proposer's last word, where the rule asks for it: none or one.
    pub confirmations: Vec<Signed>,
}

/// Why a certificate does not carry its change.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Uncertified {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error(transparent)]
    Trust(#[from] BadTrust),
    #[error("the proposal's signature: {0}")]
    Proposal(BadSignature),
    #[error("an answer by {person}: {why}")]
    Answer { person: Person, why: BadSignature },
    #[error("the change is for another {0}")]
    Elsewhere(&'static str),
    #[error("{person} does not answer this proposal: the approved change or its terms differ")]
    OtherProposal { person: Person },
    #[error("{person} with key {key} is not in trust version {version}")]
    UnknownSigner { person: Person, key: String, version: u64 },
    #[error("made under trust version {made}, but the tenant's is {current}: collect the approvals anew")]
    Stale { made: u64, current: u64 },
    #[error(
        "made under trust version {made}, which is not known here yet (known is {current}); the links were not sent along"
    )]
    Ahead { made: u64, current: u64 },
    #[error("expired at {expired} (Unix seconds), now is {now}; propose it again")]
    Expired { expired: u64, now: u64 },
    #[error("{kind} lacks a signer of {}{}", .missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "), with(*.verify))]
    Unmet { kind: ChangeKind, missing: Vec<Group>, verify: Verify },
    #[error(transparent)]
    Besides(#[from] Besides),
    #[error("key {key} of {person}: {why}")]
    Unenrolled { person: Person, key: KeyName, why: BadEnrolment },
    #[error("an armed revocation that nobody fired; one of its signers fires it until {until} (Unix seconds)")]
    Unfired { until: u64 },
    #[error("{0} fired it, whose signature does not count for it; one of its signers must fire it")]
    FiredByOther(Person),
    #[error(
        "armed until {until} (Unix seconds) and taken for {ARMED_DELIVERY_SECONDS} s more, now is {now}; have a new one signed"
    )]
    ArmedOver { until: u64, now: u64 },
    #[error(
        "armed until {until} (Unix seconds): the last moment is {ARMED_SECONDS_MAX} s after collecting ends; name an earlier one"
    )]
    ArmedTooLong { until: u64 },
    #[error(transparent)]
    Recovery(#[from] BadRecovery),
    #[error("a {0} cannot be armed; only a RevokeL1 can")]
    Unarmable(ChangeKind),
    #[error("the proposer {0} has not confirmed")]
    Unconfirmed(Person),
    #[error("a certificate holds at most {ANSWERS_MAX} answers")]
    TooManyAnswers,
    #[error("the change does not follow from version {0}: {1}")]
    NotSuccessor(u64, &'static str),
}

impl Uncertified {
    /// The groups of which more signers would mend it; none where more signers are no remedy.
    pub fn lacking(&self) -> Option<Vec<Group>> {
        match self {
            Self::Unmet { missing, .. } => Some(missing.clone()),
            Self::Besides(besides) => Some(besides.groups().to_vec()),
            _ => None,
        }
    }
}

/// How the signers that are lacking would have to sign.
const fn with(verify: Verify) -> &'static str {
    match verify {
        Verify::Key => "",
        Verify::User => " who signs by a passkey with user verification: key files do not count for this rule",
    }
}

/// Proof that a change was certified under the chain's current version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certified {
    change: Change,
    digest: Digest,
    proved: Signers,
    /// When collecting ended, by its votes: Unix seconds.
    expires: u64,
}

impl Certified {
    pub fn change(&self) -> &Change {
        &self.change
    }
    pub fn digest(&self) -> Digest {
        self.digest
    }
    /// Proposer and approvers whose signatures counted.
    pub fn signers(&self) -> BTreeSet<Person> {
        self.proved.who_proved(Verify::Key)
    }
    /// That the change's own rule is met by passkeys with user verification alone, whatever the rule says: what the customer's key outside
    /// (HYOK) asks for. `trust` is the version under which it was certified.
    pub fn check_user_verified(&self, trust: &TrustRoot) -> Result<(), Uncertified> {
        let kind = self.change.kind();
        let collecting = Collecting::of(trust.rule(kind)?, self.expires);
        let demand = Demand { verify: Verify::User, ..demands::present(trust, kind, collecting)? };
        meets(&demand, kind, &self.proved)
    }
}

/// Checks a certificate against a tenant's chain. `now` is in Unix seconds; a stop that was ratified is delivered whatever the time
/// (PROTOCOL §4), and so is a link of the chain, whose order is its version.
pub fn certify(certificate: &Certificate, chain: &Chain, now: u64) -> Result<Certified, Uncertified> {
    let change = Change::from_bytes(&certificate.change)?;
    let (proved, expires) = proven(check(certificate, &change, chain, now))?;
    Ok(Certified { digest: Change::digest_of(&certificate.change), change, proved, expires })
}

/// Without the signatures nothing is certified.
#[cfg(not(mutant = "forged"))]
fn proven(signers: Result<(Signers, u64), Uncertified>) -> Result<(Signers, u64), Uncertified> {
    signers
}
#[cfg(mutant = "forged")]
fn proven(signers: Result<(Signers, u64), Uncertified>) -> Result<(Signers, u64), Uncertified> {
    Ok(signers.unwrap_or_default())
}

/// Whose signatures carry the change, and when collecting ended.
fn check(certificate: &Certificate, change: &Change, chain: &Chain, now: u64) -> Result<(Signers, u64), Uncertified> {
    let trust = chain.current();
    let proposed = check_place(certificate, change, chain)?;
    let lasting = change.kind().is_stop() || change.action.next().is_some();
    if !lasting && now > proposed.expires {
        return Err(Uncertified::Expired { expired: proposed.expires, now });
    }
    if certificate.is_recovery() {
        recovery::check(certificate, change, &proposed, trust)?;
        armed::check_fired(certificate, change, &proposed, (trust, &Signers::default()), now)?;
        return Ok((Signers::default(), proposed.expires));
    }
    let kind = change.kind();
    let (signers, doubt) = signers(certificate, &proposed, trust, kind.is_stop())?;
    for demand in demands(trust, &change.action, proposed.expires)? {
        // What a kind includes is asked for in that kind's name.
        let named = if kind.includes() == Some(demand.kind) { kind } else { demand.kind };
        meets(&demand, named, &signers).map_err(|unmet| doubt.clone().unwrap_or(unmet))?;
    }
    if let Some(lacking) =
        besides(trust, &change.action, proposed.expires, &spoken(certificate, &proposed, trust))?.into_iter().next()
    {
        return Err(lacking.into());
    }
    check_confirmed(certificate, &proposed, trust)?;
    armed::check_fired(certificate, change, &proposed, (trust, &signers), now)?;
    Ok((signers, proposed.expires))
}

/// Deployment, tenant, trust version and digests: that this certificate is for this tenant and this time.
fn check_place(certificate: &Certificate, change: &Change, chain: &Chain) -> Result<Vote, Uncertified> {
    let (trust, kind) = (chain.current(), change.kind());
    if certificate.approvals.len() + certificate.confirmations.len() > ANSWERS_MAX {
        return Err(Uncertified::TooManyAnswers);
    }
    let opens = if certificate.is_recovery() { Role::Recover } else { Role::Propose };
    let proposed = Vote::read(opens, &certificate.proposal)?;
    let digest = Change::digest_of(&certificate.change);
    let elsewhere = |what| Err(Uncertified::Elsewhere(what));
    match () {
        () if change.deployment != trust.deployment || proposed.deployment != trust.deployment => {
            elsewhere("deployment")?
        }
        () if change.tenant != chain.tenant() || proposed.tenant != chain.tenant() => elsewhere("tenant")?,
        () if proposed.change != digest || proposed.kind != kind => elsewhere("change than was proposed")?,
        () if proposed.trust_version != change.trust_version || proposed.epoch != change.epoch => {
            elsewhere("epoch or trust version than was proposed")?
        }
        () => {}
    }
    let (made, current) = (change.trust_version, trust.version);
    let Some(made_under) = chain.digest_of(made) else {
        return Err(Uncertified::Ahead { made, current });
    };
    if proposed.trust != made_under {
        elsewhere("trust root than this version's")?;
    }
    if made != current && !kind.is_stop() && !trust.carried.contains(&digest) {
        return Err(Uncertified::Stale { made, current });
    }
    if made == current && proposed.policy != trust.policy {
        elsewhere("policy")?;
    }
    Ok(proposed)
}

/// The distinct persons whose signatures count under `trust`. A grant is void as a whole if one signature does not count. For a stop the
/// others stand (PROTOCOL §4), so that nobody can spoil a kill with a bad approval or by a change of their own key; the first bad signature
/// comes along, to say why in case the others do not suffice.
fn signers(
    certificate: &Certificate,
    proposed: &Vote,
    trust: &TrustRoot,
    stop: bool,
) -> Result<(Signers, Option<Uncertified>), Uncertified> {
    let (mut signers, mut doubt) = (Signers::default(), None);
    let proposer = proposer(certificate, proposed, trust);
    let approvers = certificate.approvals.iter().map(|a| approver(a, &certificate.proposal, proposed, trust));
    for signer in std::iter::once(proposer).chain(approvers) {
        match signer {
            Ok((person, proved)) => signers.add(person, proved),
            Err(Uncertified::UnknownSigner { .. }) if stop => {}
            Err(why) if stop => _ = doubt.get_or_insert(why),
            Err(why) => return Err(why),
        }
    }
    Ok((signers, doubt))
}

fn proposer(certificate: &Certificate, proposed: &Vote, trust: &TrustRoot) -> Result<(Person, Verify), Uncertified> {
    let proved = known_key(proposed, trust)?.verify(Role::Propose, &certificate.proposal);
    Ok((proposed.person.clone(), proved.map_err(Uncertified::Proposal)?))
}

fn approver(
    approval: &Signed,
    proposal: &Signed,
    proposed: &Vote,
    trust: &TrustRoot,
) -> Result<(Person, Verify), Uncertified> {
    let vote = Vote::read(Role::Approve, approval)?;
    if !vote.answers(proposed, proposal) {
        return Err(Uncertified::OtherProposal { person: vote.person });
    }
    match known_key(&vote, trust)?.verify(Role::Approve, approval) {
        Ok(proved) => Ok((vote.person, proved)),
        Err(why) => Err(Uncertified::Answer { person: vote.person, why }),
    }
}

/// Who has spoken, by signatures that were checked: of a grant each one holds.
fn spoken<'t>(certificate: &Certificate, proposed: &Vote, trust: &'t TrustRoot) -> Vec<Spoken<'t>> {
    let approved = certificate.approvals.iter().filter_map(|approval| Vote::read(Role::Approve, approval).ok());
    let approved: Vec<_> = approved.filter_map(|vote| Spoken::of(trust, &vote, true)).collect();
    Spoken::of(trust, proposed, false).into_iter().chain(approved).collect()
}

fn known_key<'t>(vote: &'t Vote, trust: &'t TrustRoot) -> Result<Listed<'t>, Uncertified> {
    let (person, key, version) = (&vote.person, &vote.key, trust.version);
    vote.key_in(trust).ok_or_else(|| Uncertified::UnknownSigner {
        person: person.clone(),
        key: key.to_string(),
        version,
    })
}

fn meets(demand: &Demand<'_>, kind: ChangeKind, signers: &Signers) -> Result<(), Uncertified> {
    let missing = demand.missing(signers);
    if missing.is_empty() { Ok(()) } else { Err(Uncertified::Unmet { kind, missing, verify: demand.verify }) }
}

/// Who could sign for a rule, with which keys.
fn electorate<'t>(trust: &'t TrustRoot, rule: &Rule) -> Vec<(&'t Person, Vec<Group>, &'t crate::trust::Actor)> {
    let demanded = |person: &'t Person, actor: &'t crate::trust::Actor| {
        let groups: Vec<_> = rule.need.iter().map(|n| n.group.clone()).filter(|g| actor.groups.contains(g)).collect();
        (!groups.is_empty()).then_some((person, groups, actor))
    };
    trust.actors.iter().filter_map(|(p, a)| demanded(p, a)).collect()
}

fn check_confirmed(certificate: &Certificate, proposed: &Vote, trust: &TrustRoot) -> Result<(), Uncertified> {
    let rule = trust.rule(proposed.kind)?;
    if !rule.confirm {
        return Ok(());
    }
    let unconfirmed = || Uncertified::Unconfirmed(proposed.person.clone());
    let signed = certificate.confirmations.iter().find(|word| !armed::is_fire(word)).ok_or_else(unconfirmed)?;
    let vote = Vote::read(Role::Confirm, signed)?;
    let by_proposer = vote.person == proposed.person && vote.answers(proposed, &certificate.proposal);
    let key = vote.key_in(trust).filter(|_| by_proposer).ok_or_else(unconfirmed)?;
    match key.verify(Role::Confirm, signed) {
        Ok(proved) if proved >= rule.verify => Ok(()),
        Ok(_) => Err(unconfirmed()),
        Err(why) => Err(Uncertified::Answer { person: vote.person.clone(), why }),
    }
}

#[cfg(test)]
mod closure;
#[cfg(test)]
mod tests;
