//! A dry run: a change is checked as a proposal is, and what would become of it is told. Nothing is written, and nobody is asked to sign.

use std::collections::BTreeMap;

use orbital::{
    certificate::{Certificate, Spoken},
    change::{Action, Change},
    directive::Directive,
    halt::{Halt, Halts},
    lane::Lane,
    names::{Person, ProposalId, Region},
    quorum::Signers,
    sign::{Kind, Signature, Signed},
    trust::TrustRoot,
    vote::{Role, Vote},
};
use serde_json::{Map, Value, json};

use super::{
    answer::directives,
    decision::Facts,
    file::id_of,
    propose::{check_opening, probes},
    quorum::{Asked, quorum},
    rivals,
    state::Tenant,
};
use crate::{
    change::risk,
    error::{Error, Fault, Refusal},
    fleet::Board,
    proposal::ballot,
    views::{DifferenceView, DryRunView, ReachView},
};

/// Most differences that one dry run shows.
pub const DIFFERENCES_MAX: usize = 256;

/// Who would propose the change.
#[derive(Clone, Debug)]
pub enum Proposer {
    /// With the statement that would be sent; its signature is checked.
    Signed(Signed),
    /// By name alone: nothing is signed for a dry run.
    Named(Person),
}

/// Looks at a change as if it were proposed now.
pub(crate) fn dry_run(
    tenant: &Tenant,
    facts: &Facts<'_>,
    board: &Board,
    bytes: Vec<u8>,
    proposer: Proposer,
) -> Result<DryRunView, Error> {
    let change = Change::from_bytes(&bytes).map_err(Refusal::MalformedChange)?;
    let digest = Change::digest_of(&bytes);
    let id = id_of(digest).map_err(|why| Fault::Unwritable { what: "a proposal's id", why })?;
    let (vote, statement) = match proposer {
        Proposer::Signed(signed) => (Vote::read(Role::Propose, &signed).map_err(Refusal::MalformedVote)?, Some(signed)),
        Proposer::Named(person) => (unsigned(tenant, facts, &change, &bytes, person)?, None),
    };
    let exists = known(tenant, &id, &vote.person, statement.as_ref())?;
    if !exists {
        check_opening(tenant, facts, &id, &change, &bytes, &vote, statement.as_ref())?;
    }
    let trust = tenant.chain.current();
    let asked = match tenant.proposals.get(&id) {
        Some(proposal) => Asked::of(proposal, trust),
        None => Asked {
            change: &change,
            expires: vote.expires,
            proposer: &vote.person,
            approved: [].into(),
            rejected: [].into(),
            confirmed: false,
            signers: signers(trust, &vote, statement.as_ref()),
            spoken: Spoken::of(trust, &vote, false).into_iter().collect(),
        },
    };
    let quorum = quorum(tenant, facts, &asked)?;
    let mut differences = differences(&before(tenant, facts), &after(tenant, facts, &change));
    let differences_left_out = differences.len().saturating_sub(DIFFERENCES_MAX);
    differences.truncate(DIFFERENCES_MAX);
    Ok(DryRunView {
        tenant: change.tenant,
        kind: change.kind(),
        stop: change.kind().is_stop(),
        risk: risk(change.kind()),
        digest,
        proposer: vote.person.clone(),
        signed: statement.is_some(),
        exists,
        expires: vote.expires,
        regions: reached(tenant, facts, board, &change, &bytes, statement.as_ref())?,
        differences,
        differences_left_out,
        voids: rivals::voided(tenant, &change, digest),
        quorum,
        id,
        change,
    })
}

/// The proposer with what the statement proved; without one, with the most that their keys can prove.
fn signers(trust: &TrustRoot, vote: &Vote, statement: Option<&Signed>) -> Signers {
    if let Some(statement) = statement {
        return ballot::signers(trust, [(Role::Propose, vote, statement)]);
    }
    let mut signers = Signers::default();
    signers.add(vote.person.clone(), trust.most(&vote.person));
    signers
}

/// Whether this is the proposal that is there already; another one of the same change is refused.
fn known(tenant: &Tenant, id: &ProposalId, proposer: &Person, statement: Option<&Signed>) -> Result<bool, Refusal> {
    let Some(known) = tenant.proposals.get(id) else { return Ok(false) };
    let same = statement.map_or(known.proposed.person == *proposer, |statement| known.statement == *statement);
    if same {
        Ok(true)
    } else {
        Err(Refusal::AlreadyProposed { id: id.clone(), proposer: known.proposed.person.clone() })
    }
}

/// The statement that this person would sign, with as much time as the rule gives.
fn unsigned(
    tenant: &Tenant,
    facts: &Facts<'_>,
    change: &Change,
    bytes: &[u8],
    person: Person,
) -> Result<Vote, Refusal> {
    let trust = tenant.chain.current();
    let keys = trust.actors.get(&person).map(|actor| &actor.keys);
    let key = keys.into_iter().flatten().find(|(_, key)| trust.counts(key)).map(|(name, _)| name.clone());
    let nobody =
        || Refusal::UnknownSigner { person: person.clone(), key: "of any name".to_owned(), version: trust.version };
    let key = key.ok_or_else(nobody)?;
    let (made, current) = (change.trust_version, trust.version);
    Ok(Vote {
        domain: Kind::Propose.domain(),
        deployment: change.deployment.clone(),
        tenant: change.tenant,
        change: Change::digest_of(bytes),
        kind: change.kind(),
        trust_version: made,
        trust: tenant.chain.digest_of(made).ok_or(Refusal::AheadTrust { made, current })?,
        policy: trust.policy,
        epoch: change.epoch,
        expires: facts.now_s().saturating_add(trust.rule(change.kind()).map_err(Refusal::BadTrust)?.expires_seconds),
        nonce: String::new(),
        origin: change.reason.clone(),
        person,
        key,
        proposal: None,
    })
}

/// What each region would be owed, now and with the quorum; that a frame can carry it, too.
fn reached(
    tenant: &Tenant,
    facts: &Facts<'_>,
    board: &Board,
    change: &Change,
    bytes: &[u8],
    statement: Option<&Signed>,
) -> Result<Vec<ReachView>, Refusal> {
    let proposal =
        statement.cloned().unwrap_or_else(|| Signed { statement: Vec::new(), signature: Signature([0; 64]).into() });
    let certificate =
        Certificate { change: bytes.to_vec(), proposal, approvals: Vec::new(), confirmations: Vec::new() };
    let mut asked: BTreeMap<&Region, Vec<&'static str>> = BTreeMap::new();
    let owed = probes(tenant, change, bytes, &certificate.proposal, change.regions.iter());
    for (region, owe) in change.regions.iter().zip(&owed) {
        asked.entry(region).or_default().push(owe.directive.name());
    }
    let reach = |region: &Region| {
        let owed = directives(tenant, facts, region, change, &certificate);
        owed.iter().try_for_each(|d| d.encode().map(drop)).map_err(Refusal::TooLarge)?;
        let lane = owed.first().map_or(Lane::Ordinary, Lane::of);
        Ok(ReachView {
            region: region.clone(),
            connected: board.connected(region, lane),
            lane,
            when_proposed: asked.get(region).cloned().unwrap_or_default(),
            when_ratified: owed.iter().map(Directive::name).collect(),
        })
    };
    change.regions.iter().map(reach).collect()
}

/// The tenant as it stands, as far as changes touch it.
fn before(tenant: &Tenant, facts: &Facts<'_>) -> Value {
    let link = tenant.link.and_then(|link| tenant.grant(link)).map(|grant| &grant.change.action);
    json!({
        "epoch": tenant.epoch,
        "halted": halted(&facts.halts(tenant), &tenant.lifted, None),
        "l1": link.and_then(|action| match action { Action::LinkL1 { l1 } => Some(l1), _ => None }),
        "lifted": tenant.lifted,
        "routing": tenant.routing.as_ref().map(|(_, routing)| routing),
        "terminated": tenant.is_terminated(),
        "topology": tenant.topology.map(|serial| serial.to_string()),
        "trust_root": tenant.chain.current(),
    })
}

/// The same with the change in force.
fn after(tenant: &Tenant, facts: &Facts<'_>, change: &Change) -> Value {
    let mut state = before(tenant, facts);
    let mut set = |name: &str, value: Value| _ = state.as_object_mut().and_then(|m| m.insert(name.to_owned(), value));
    if !change.kind().is_stop() && !change.action.is_told_to_nobody() {
        set("epoch", json!(change.epoch));
    }
    if let Some(next) = change.action.next() {
        set("trust_root", json!(next));
    }
    if let Action::LinkL1 { l1 } = &change.action {
        set("l1", json!(l1));
    }
    if let Action::ChangeRouting { routing, .. } = &change.action {
        set("routing", json!(routing));
    }
    if let Action::ApplyTopology { serial, .. } = &change.action {
        set("topology", json!(serial.to_string()));
    }
    if let Action::TerminateTenant {} = &change.action {
        set("terminated", json!(true));
    }
    let mut lifted = tenant.lifted.clone();
    if let Some((halt, names)) = Halt::lifted_by(&change.action) {
        lifted.of_mut(halt).extend(names);
    }
    set("halted", halted(&facts.halts(tenant), &lifted, Halt::set_by(&change.action)));
    set("lifted", json!(lifted));
    state
}

/// In which ways a tenant is halted: by a halt that is known and not lifted, or by `more`.
fn halted(known: &Halts, lifted: &Halts, more: Option<Halt>) -> Value {
    let holds = |halt: Halt| more == Some(halt) || !known.of(halt).is_subset(lifted.of(halt));
    Halt::ALL.into_iter().map(|halt| (halt.word().to_owned(), Value::Bool(holds(halt)))).collect::<Map<_, _>>().into()
}

/// The members in which two values differ, each by its JSON pointer; lists are compared as a whole.
fn differences(before: &Value, after: &Value) -> Vec<DifferenceView> {
    let mut found = Vec::new();
    compare(&mut found, String::new(), Some(before), Some(after));
    found
}

fn compare(found: &mut Vec<DifferenceView>, pointer: String, before: Option<&Value>, after: Option<&Value>) {
    match (before, after) {
        (Some(Value::Object(old)), Some(Value::Object(new))) => members(found, &pointer, old, new),
        (old, new) if old == new => {}
        (old, new) => found.push(DifferenceView { pointer, before: old.cloned(), after: new.cloned() }),
    }
}

fn members(found: &mut Vec<DifferenceView>, pointer: &str, old: &Map<String, Value>, new: &Map<String, Value>) {
    let names: std::collections::BTreeSet<_> = old.keys().chain(new.keys()).collect();
    for name in names {
        // RFC 6901 §3.
        let escaped = name.replace('~', "~0").replace('/', "~1");
        compare(found, format!("{pointer}/{escaped}"), old.get(name), new.get(name));
    }
}
