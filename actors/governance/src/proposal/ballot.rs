//! The ballot: whether a statement counts, before anybody counts it. Each doubt is a refusal of its own, in words.

use orbital::{
    change::Change,
    delegation::Collecting,
    names::Person,
    quorum::{Signers, Verify},
    sign::Signed,
    trust::TrustRoot,
    vote::{Role, Vote},
};
use policy::{Actor, Evaluator};

use crate::{
    error::Refusal,
    tenant::{Proposal, Tenant},
};

/// The name of a role in refusals.
pub(crate) const fn role_name(role: Role) -> &'static str {
    match role {
        Role::Propose => "propose",
        Role::Approve => "approve",
        Role::Reject => "reject",
        Role::Confirm => "confirm",
        Role::Fire => "fire",
        Role::Recover => "recover",
    }
}

/// That the signer stands in the present trust root with this key, that the key signed, and that the signature can count.
/// `asks` is what it must prove besides what the rule says.
pub(crate) fn check_signer(
    trust: &TrustRoot,
    role: Role,
    vote: &Vote,
    signed: &Signed,
    asks: Verify,
) -> Result<(), Refusal> {
    let Some(key) = vote.key_in(trust) else {
        let (person, key) = (vote.person.clone(), vote.key.to_string());
        return absent(Refusal::UnknownSigner { person, key, version: trust.version });
    };
    let bad = |why| Refusal::BadSignature { person: vote.person.clone(), role: role_name(role), why };
    let proved = key.verify(role, signed).map_err(bad)?;
    check_proved(trust, role, vote, (proved, asks))
}

/// Nobody answers twice: whoever has a passkey does not spend their answer on a key file, or a touch, where the rule asks for user
/// verification. Whoever has none may sign for the other rules that a change touches; a rejection is good by any key.
fn check_proved(trust: &TrustRoot, role: Role, vote: &Vote, (proved, asks): (Verify, Verify)) -> Result<(), Refusal> {
    let kinds = [Some(vote.kind), vote.kind.includes()].into_iter().flatten();
    let asked = asks > proved || kinds.filter_map(|kind| trust.rules.get(&kind)).any(|rule| rule.verify > proved);
    if asked && role != Role::Reject && trust.can_prove(&vote.person, Verify::User) {
        return Err(Refusal::NotUserVerified { person: vote.person.clone(), kind: vote.kind });
    }
    Ok(())
}

/// Whose signatures these are, each with the most that one of them proved. Each was checked when it came; what it proves is read from it
/// again, and one that proves nothing any more counts as possession of the key: what it carries is judged by the certificate.
pub(crate) fn signers<'v>(trust: &TrustRoot, votes: impl IntoIterator<Item = (Role, &'v Vote, &'v Signed)>) -> Signers {
    let mut signers = Signers::default();
    for (role, vote, signed) in votes {
        let proved = vote.key_in(trust).and_then(|key| key.verify(role, signed).ok());
        signers.add(vote.person.clone(), proved.unwrap_or(Verify::Key));
    }
    signers
}

/// Whoever is not, or no more, in the trust root signs nothing.
#[cfg(not(mutant = "removed_signer"))]
fn absent(refusal: Refusal) -> Result<(), Refusal> {
    Err(refusal)
}
#[cfg(mutant = "removed_signer")]
fn absent(_: Refusal) -> Result<(), Refusal> {
    Ok(())
}

/// Four eyes: an answer by the proposer is none of another's.
#[cfg(not(mutant = "proposer_approves"))]
fn is_own(answerer: &Person, proposer: &Person) -> bool {
    answerer == proposer
}
#[cfg(mutant = "proposer_approves")]
fn is_own(_: &Person, _: &Person) -> bool {
    false
}

/// What the tenant's Cedar policies say of a change whose collecting ends at `expires`, Unix seconds. They can only refuse earlier
/// (PROTOCOL §3).
pub(crate) fn check_policy(
    evaluator: &Evaluator,
    tenant: &Tenant,
    role: Role,
    person: &Person,
    (change, expires): (&Change, u64),
) -> Result<(), Refusal> {
    let trust = tenant.chain.current();
    let rule = trust.rule(change.kind()).map_err(Refusal::BadTrust)?;
    let groups: Vec<_> = trust.groups_of(person, Collecting::of(rule, expires)).into_iter().collect();
    let actor = Actor { person, home: tenant.id().into(), groups: &groups };
    let kind = change.kind().to_string();
    let (wish, decision) = match role {
        Role::Propose => ("propose", evaluator.may_propose(&actor, &kind, tenant.id())),
        Role::Approve | Role::Reject | Role::Confirm | Role::Fire | Role::Recover => {
            ("answer", evaluator.may_approve(&actor, &kind, tenant.id()))
        }
    };
    if decision.is_allowed() {
        return Ok(());
    }
    let decision = decision.to_string();
    Err(Refusal::PolicyDenies { person: person.clone(), wish, kind: change.kind(), decision })
}

/// The proposer's statement must be for exactly this change.
pub(crate) fn check_proposed(vote: &Vote, change: &Change, bytes: &[u8]) -> Result<(), Refusal> {
    let same = [
        (vote.deployment == change.deployment, "deployment"),
        (vote.tenant == change.tenant, "tenant"),
        (vote.change == Change::digest_of(bytes), "digest"),
        (vote.kind == change.kind(), "kind"),
        (vote.trust_version == change.trust_version, "trust version"),
        (vote.epoch == change.epoch, "epoch"),
    ];
    match same.into_iter().find(|(same, _)| !same) {
        None => Ok(()),
        Some((_, what)) => Err(Refusal::OtherChange { role: "propose", what }),
    }
}

/// An answer that may be taken down: it answers this proposal, by a person who may, for the first time.
pub(crate) fn check_answer(proposal: &Proposal, role: Role, vote: &Vote, trust: &TrustRoot) -> Result<(), Refusal> {
    let person = || vote.person.clone();
    if !vote.answers(&proposal.proposed, &proposal.statement) {
        return Err(Refusal::OtherProposal { person: person() });
    }
    let proposer = &proposal.proposed.person;
    let own = is_own(&vote.person, proposer);
    match role {
        Role::Approve if own => return Err(Refusal::ProposerApproves(person())),
        Role::Reject if own => return Err(Refusal::ProposerRejects(person())),
        Role::Confirm if !own => {
            return Err(Refusal::NotTheProposer { proposer: proposer.clone(), person: person(), what: "confirm" });
        }
        Role::Approve | Role::Reject => check_demanded(proposal, role, vote, trust)?,
        Role::Confirm => {}
        Role::Propose | Role::Fire | Role::Recover => return Err(Refusal::WrongRole { role: role_name(role) }),
    }
    let answered =
        [(&proposal.approvals, "approved"), (&proposal.rejections, "rejected"), (&proposal.confirmations, "confirmed")];
    match answered.into_iter().find(|(answers, _)| answers.iter().any(|a| a.vote.person == vote.person)) {
        Some((_, as_what)) => Err(Refusal::DoubleAnswer { person: person(), as_what }),
        None => Ok(()),
    }
}

/// Who may stop a proposal is one of those whom its rule asks for; who may add a signature is one of those of any rule that it touches.
fn check_demanded(proposal: &Proposal, role: Role, vote: &Vote, trust: &TrustRoot) -> Result<(), Refusal> {
    let kind = proposal.kind();
    let touches_all = role == Role::Approve && proposal.change.action.next().is_some();
    let rules = [Some(kind), kind.includes()].into_iter().flatten().filter_map(|kind| trust.rules.get(&kind));
    let groups: Vec<_> = rules.flat_map(|rule| rule.need.iter().map(|n| n.group.clone())).collect();
    let rule = trust.rule(kind).map_err(Refusal::BadTrust)?;
    let own = trust.groups_of(&vote.person, Collecting::of(rule, vote.expires));
    let demanded = groups.iter().any(|group| own.contains(group));
    if demanded || touches_all {
        return Ok(());
    }
    Err(Refusal::NotDemanded { person: vote.person.clone(), kind, groups })
}
