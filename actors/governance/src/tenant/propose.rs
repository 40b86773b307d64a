//! Opening a proposal: everything that can be known to fail is refused here, before anybody is asked to sign.

use std::collections::BTreeSet;

use ledger::Room;
use orbital::{
    change::{Action, Change, ChangeKind, EVIDENCE_BYTES_MAX, L1Ref},
    delegation::Collecting,
    directive::Directive,
    halt::{Halt, Halts},
    names::{Deployment, Digest, Group, ProposalId, Region},
    quorum::{Signers, Verify},
    routing::Routing,
    sign::{Kind, Signed},
    site::Governed,
    trust::TrustRoot,
    vote::{Role, Vote},
};

use super::{
    armed,
    decision::{Decision, Facts, Owe},
    file::{Proposal, id_of},
    founding::check_whole,
    recall,
    record::Record,
    rivals,
    state::Tenant,
};
use crate::{
    change::reaches_all,
    error::{Error, Fault, Refusal},
    policies,
    proposal::ballot,
};

/// Most ordinary proposals of one tenant that are open or running at once.
pub(crate) const PROPOSALS_OPEN_MAX: usize = 64;
/// Most stops that one person may have open at once. It is a person's own limit, so that nobody can use up another's (PROTOCOL §4).
pub(crate) const STOPS_OPEN_PER_PERSON_MAX: usize = 16;
/// Seconds by which the proposer's clock may be ahead of ours.
const SKEW_SECONDS: u64 = 300;

/// A proposal that may be opened, or the one that exists.
pub(crate) enum Proposing {
    New(Decision),
    /// The same change with the same statement: the answer to the first call was lost.
    Known,
}

/// Decides about a proposal.
pub(crate) fn propose(
    tenant: &Tenant,
    facts: &Facts<'_>,
    bytes: Vec<u8>,
    statement: Signed,
    evidence: Option<String>,
) -> Result<Proposing, Error> {
    let change = Change::from_bytes(&bytes).map_err(Refusal::MalformedChange)?;
    check_evidence(&change, evidence.as_deref())?;
    let id = id_of(Change::digest_of(&bytes)).map_err(|why| Fault::Unwritable { what: "a proposal's id", why })?;
    if let Some(known) = tenant.proposals.get(&id) {
        return if known.statement == statement {
            Ok(Proposing::Known)
        } else {
            Err(Refusal::AlreadyProposed { id, proposer: known.proposed.person.clone() }.into())
        };
    }
    let vote = Vote::read(Role::Propose, &statement).map_err(Refusal::MalformedVote)?;
    check_opening(tenant, facts, &id, &change, &bytes, &vote, Some(&statement))?;
    let signers = ballot::signers(tenant.chain.current(), [(Role::Propose, &vote, &statement)]);
    let missing = missing(tenant.chain.current(), &vote, &signers);
    let owe = probes(tenant, &change, &bytes, &statement, change.regions.iter());
    let room = match change.kind().is_stop() {
        true => tenant.stops.room(&vote.person, facts.now_ms),
        false => Room::Ordinary,
    };
    let opened = Record::Opened { proposal: id, change: bytes, statement, missing, evidence };
    Ok(Proposing::New(Decision { records: vec![opened], owe, settle: Vec::new(), room }))
}

/// What the proposer was shown is what the change names by its digest, and it is there for those who approve.
fn check_evidence(change: &Change, evidence: Option<&str>) -> Result<(), Refusal> {
    if let Some(found) = evidence.map(str::len).filter(|found| *found > EVIDENCE_BYTES_MAX) {
        return Err(Refusal::EvidenceTooLong { found, max: EVIDENCE_BYTES_MAX });
    }
    let found = evidence.map(|text| Kind::Evidence.digest(text.as_bytes()));
    if found == change.evidence { Ok(()) } else { Err(Refusal::OtherEvidence { named: change.evidence, found }) }
}

/// Everything that can be known to fail. A dry run may come without the statement: then nobody's signature is checked.
pub(crate) fn check_opening(
    tenant: &Tenant,
    facts: &Facts<'_>,
    id: &ProposalId,
    change: &Change,
    bytes: &[u8],
    vote: &Vote,
    statement: Option<&Signed>,
) -> Result<(), Refusal> {
    if tenant.past.contains(&(vote.expires, id.clone())) {
        return Err(Refusal::AlreadyEnded(id.clone()));
    }
    let trust = tenant.chain.current();
    check_deployment(change, &trust.deployment)?;
    armed::check_arming(change, vote.expires, facts.now_s())?;
    ballot::check_proposed(vote, change, bytes)?;
    check_version(tenant, change, vote)?;
    if let Some(statement) = statement {
        ballot::check_signer(trust, Role::Propose, vote, statement, facts.asks(&change.action))?;
    }
    ballot::check_policy(&facts.evaluator, tenant, Role::Propose, &vote.person, (change, vote.expires))?;
    check_change(tenant, facts, change)?;
    check_expiry(trust, change.kind(), vote.expires, facts.now_s())?;
    rivals::check(tenant, change)?;
    check_room(tenant, facts, change, vote)
}

/// A probe for each of these regions, where the change has an L1 to try.
pub(crate) fn probes<'r>(
    tenant: &Tenant,
    change: &Change,
    bytes: &[u8],
    statement: &Signed,
    regions: impl Iterator<Item = &'r Region>,
) -> Vec<Owe> {
    if !matches!(change.action, Action::LinkL1 { .. }) {
        return Vec::new();
    }
    let probe = Directive::Probe { tenant: tenant.id(), change: bytes.to_vec(), proposal: statement.clone() };
    regions.map(|region| Owe { region: region.clone(), directive: probe.clone() }).collect()
}

/// The groups of the kind's own rule that these signers leave open.
pub(crate) fn missing(trust: &TrustRoot, vote: &Vote, signers: &Signers) -> Vec<Group> {
    let (kind, everyone) = (vote.kind, signers.who_proved(Verify::Key));
    let Some(rule) = trust.rules.get(&kind) else { return Vec::new() };
    let acting = trust.acting(&trust.delegations, Collecting::of(rule, vote.expires), &everyone);
    let kinds = [Some(kind), kind.includes()].into_iter().flatten();
    let rules = kinds.filter_map(|kind| trust.rules.get(&kind));
    rules.map(|rule| rule.lacks(&acting, signers)).find(|missing| !missing.is_empty()).unwrap_or_default()
}

fn check_deployment(change: &Change, ours: &Deployment) -> Result<(), Refusal> {
    if change.deployment == *ours {
        return Ok(());
    }
    let (ours, theirs) = (ours.to_string(), change.deployment.to_string());
    Err(Refusal::OtherDeployment { what: "change", ours, theirs })
}

/// A grant is made under the present version; a stop under any that this chain has (PROTOCOL §4).
fn check_version(tenant: &Tenant, change: &Change, vote: &Vote) -> Result<(), Refusal> {
    let (made, current) = (change.trust_version, tenant.chain.version());
    let Some(digest) = tenant.chain.digest_of(made) else { return Err(Refusal::AheadTrust { made, current }) };
    if vote.trust != digest {
        return Err(Refusal::OtherChange { role: "propose", what: "trust root" });
    }
    if made == current && vote.policy != tenant.chain.current().policy {
        return Err(Refusal::OtherChange { role: "propose", what: "policy" });
    }
    if made == current || change.kind().is_stop() { Ok(()) } else { Err(Refusal::StaleTrust { made, current }) }
}

/// Whether the change could come into force now. Asked again when it is about to.
pub(crate) fn check_change(tenant: &Tenant, facts: &Facts<'_>, change: &Change) -> Result<(), Refusal> {
    let kind = change.kind();
    check_halted(tenant, facts, kind)?;
    check_forked(tenant, &change.action)?;
    recall::check(tenant, facts, &change.action)?;
    let expected = tenant.epoch.saturating_add(1);
    if !kind.is_stop() && change.epoch != expected {
        return Err(Refusal::StaleEpoch { kind, found: change.epoch, expected });
    }
    check_regions(tenant.chain.current(), change)?;
    check_action(tenant, facts, &change.action)
}

/// On a killed tenant only what PROTOCOL §4 lists is valid, and on a blocked one little more.
pub(crate) fn check_halted(tenant: &Tenant, facts: &Facts<'_>, kind: ChangeKind) -> Result<(), Refusal> {
    let id = tenant.id();
    if tenant.is_terminated() && !kind.is_stop() {
        return Err(Refusal::TenantTerminated { tenant: id, kind });
    }
    match Halt::ALL.into_iter().find(|halt| !halt.allows(kind) && facts.is_halted(tenant, *halt)) {
        None | Some(Halt::Suspension) => Ok(()),
        Some(Halt::Kill) => Err(Refusal::TenantKilled { tenant: id, kind }),
        Some(Halt::Block) => Err(Refusal::TenantBlocked { tenant: id, kind }),
    }
}

/// While two certified successors of one version are known, nothing is taken but stops and the ChangeActors that declares the others void.
fn check_forked(tenant: &Tenant, action: &Action) -> Result<(), Refusal> {
    let settles = |next: &TrustRoot| tenant.forks.keys().all(|other| next.void.contains(other));
    match (tenant.forks.values().next(), action) {
        (None, _) => Ok(()),
        (Some(_), action) if action.kind().is_stop() => Ok(()),
        (Some(_), Action::ChangeActors { next }) if settles(next) => Ok(()),
        (Some(fork), action) => Err(Refusal::TenantForked {
            tenant: tenant.id(),
            kind: action.kind(),
            version: fork.version(),
            other: fork.other(),
        }),
    }
}

fn check_action(tenant: &Tenant, facts: &Facts<'_>, action: &Action) -> Result<(), Refusal> {
    if let Some(next) = action.next() {
        next.check().map_err(Refusal::BadTrust)?;
        let version = tenant.chain.version();
        tenant.chain.check_successor(action, next).map_err(|e| match e {
            orbital::certificate::Uncertified::NotSuccessor(_, why) => Refusal::NotSuccessor { version, why },
            other => Refusal::Uncertified(other),
        })?;
        match action {
            Action::ChangePolicy { bundle, .. } => policies::check(next, bundle)?,
            Action::ChangeResidency { .. } => facts.ports.check(next)?,
            Action::ChangeActors { .. } | Action::ChangeQuorum { .. } => {
                policies::check_people(next, &facts.evaluator)?
            }
            _ => {}
        }
        return facts.claims.check(tenant.id(), next);
    }
    match action {
        Action::LinkL1 { l1 } => check_whole(tenant).and_then(|()| check_unlinked(tenant, l1)),
        Action::ChangeRouting { routing, replaces } => check_routing(tenant, facts, routing, *replaces),
        Action::ApplyTopology { serial, governed, .. } => check_topology(tenant, *serial, governed),
        Action::RestoreL1 { .. } | Action::UnblockTenant { .. } | Action::ResumeL1 { .. } => {
            check_lifting(&facts.halts(tenant), action)
        }
        Action::RevokeL1 {}
        | Action::BlockTenant {}
        | Action::SuspendL1 {}
        | Action::TerminateTenant {}
        | Action::RetireSystem { .. }
        | Action::RegisterSystem { .. }
        | Action::ChangeCallers { .. }
        | Action::ChangeActors { .. }
        | Action::ChangeQuorum { .. }
        | Action::ChangeLease { .. }
        | Action::ChangeResidency { .. }
        | Action::ChangePolicy { .. } => Ok(()),
    }
}

/// What lifts halts names some, all of its own kind.
fn check_lifting(known: &Halts, action: &Action) -> Result<(), Refusal> {
    let Some((halt, names)) = Halt::lifted_by(action) else { return Ok(()) };
    let (kind, word) = (action.kind(), halt.word());
    if names.is_empty() {
        return Err(Refusal::NothingToLift { kind, word });
    }
    match names.iter().find(|name| !known.of(halt).contains(name)) {
        None => Ok(()),
        Some(name) => match known.kind_of(name) {
            Some(other) => Err(Refusal::OtherStop { kind, name: *name, by: other.lifting([*name].into()).kind() }),
            None => Err(Refusal::UnknownStop { kind, name: *name, word }),
        },
    }
}

/// There is one path to a tenant's keys. The same L1 may be linked again, for a region that could not take the link in its time; another
/// one only if no region ever took the first.
fn check_unlinked(tenant: &Tenant, l1: &L1Ref) -> Result<(), Refusal> {
    let Some((digest, grant)) = tenant.link.and_then(|digest| Some((digest, tenant.grant(digest)?))) else {
        return Ok(());
    };
    let same = matches!(&grant.change.action, Action::LinkL1 { l1: known } if known == l1);
    let refused = tenant.by_change(digest).is_some_and(|p| p.progress.values().all(|r| r.refused().is_some()));
    if same || refused { Ok(()) } else { Err(Refusal::AlreadyLinked(digest)) }
}

/// A routing is made upon the one in force, so that nobody's is lost, and names channels that this tenant may use.
fn check_routing(
    tenant: &Tenant,
    facts: &Facts<'_>,
    routing: &Routing,
    replaces: Option<Digest>,
) -> Result<(), Refusal> {
    let present = tenant.routing.as_ref().map(|(digest, _)| *digest);
    if replaces != present {
        return Err(Refusal::StaleRouting);
    }
    routing.check().map_err(Refusal::BadRouting)?;
    facts.channels.check(tenant.id(), routing).map_err(Refusal::BadRouting)
}

/// A topology comes after the one in force, and reads.
fn check_topology(tenant: &Tenant, serial: u64, governed: &[u8]) -> Result<(), Refusal> {
    let last = tenant.topology.unwrap_or(0);
    if serial <= last {
        return Err(Refusal::StaleTopology { serial, last });
    }
    Governed::from_bytes(governed).map(drop).map_err(Refusal::MalformedChange)
}

const fn reach_of(action: &Action) -> &'static str {
    match action {
        Action::ChangeResidency { .. } => "every region of the trust root, of the present one and of the next",
        _ => "every region of the trust root",
    }
}

fn check_regions(trust: &TrustRoot, change: &Change) -> Result<(), Refusal> {
    let list =
        |regions: &mut dyn Iterator<Item = &Region>| regions.map(ToString::to_string).collect::<Vec<_>>().join(", ");
    // Whoever is to leave is told so, and whoever enters is founded.
    let entering = match &change.action {
        Action::ChangeResidency { next } => Some(next.regions.keys()),
        _ => None,
    };
    let known: BTreeSet<_> = trust.regions.keys().chain(entering.into_iter().flatten()).collect();
    if let Some(unknown) = change.regions.iter().find(|r| !known.contains(r)) {
        let known = list(&mut known.iter().copied());
        return Err(Refusal::UnknownRegion { region: unknown.clone(), of: "in the tenant's trust root", known });
    }
    let kind = change.kind();
    // The site's trust root has no regions: what reaches all of them reaches nobody.
    let nobody = trust.regions.is_empty() && reaches_all(&change.action);
    if change.action.is_told_to_nobody() || nobody {
        return if change.regions.is_empty() { Ok(()) } else { Err(Refusal::ReachesNoRegion(kind)) };
    }
    if change.regions.is_empty() {
        let missing = list(&mut trust.regions.keys());
        return Err(Refusal::RegionsMissing { kind, must: "at least one region", missing });
    }
    let mut absent = known.iter().copied().filter(|r| !change.regions.contains(*r)).peekable();
    if reaches_all(&change.action) && absent.peek().is_some() {
        let missing = list(&mut absent);
        return Err(Refusal::RegionsMissing { kind, must: reach_of(&change.action), missing });
    }
    Ok(())
}

fn check_expiry(trust: &TrustRoot, kind: ChangeKind, expires: u64, now: u64) -> Result<(), Refusal> {
    if expires < now {
        return Err(Refusal::Expired { expired: expires, now });
    }
    let allowed = trust.rule(kind).map_err(Refusal::BadTrust)?.expires_seconds;
    let latest = now.saturating_add(allowed).saturating_add(SKEW_SECONDS);
    if expires > latest { Err(Refusal::ExpiresTooLate { expires, latest }) } else { Ok(()) }
}

fn check_room(tenant: &Tenant, facts: &Facts<'_>, change: &Change, vote: &Vote) -> Result<(), Refusal> {
    let stop = change.kind().is_stop();
    // Those that are armed wait for long, and leave the room of the others alone.
    let own = |p: &Proposal| p.proposed.person == vote.person && p.change.armed.is_some() == change.armed.is_some();
    let alike = |p: &&Proposal| p.is_stop() == stop && (!stop || p.state.is_pending() && own(p));
    let count = tenant.running.iter().filter_map(|id| tenant.proposals.get(id)).filter(alike).count();
    let (what, max) = match stop {
        true => ("stops by the same person", STOPS_OPEN_PER_PERSON_MAX),
        false => ("proposals of this tenant", PROPOSALS_OPEN_MAX),
    };
    if count >= max {
        return Err(Refusal::TooManyOpen { what, count, max });
    }
    if stop { tenant.stops.check(&vote.person, facts.now_ms) } else { Ok(()) }
}
