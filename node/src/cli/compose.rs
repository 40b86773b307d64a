//! Makes a change from a chain that was verified here, has it signed here, and only then sends it: governance never sees a key, and
//! never says what is signed.

use std::{
    collections::BTreeSet,
    time::{SystemTime, UNIX_EPOCH},
};

use orbital::{
    chain::Chain,
    change::{Action, Change, FireUntil},
    names::{Digest, Region, TenantId},
    sign::{Kind, Signed},
    trust::TrustRoot,
    vote::{Role, Vote},
};
use serde_json::{Value, json};

use super::{
    Global,
    context::{Context, Identity, Pins},
    dry,
    exit::{Exit, Failure, Report},
    http::Portal,
    plain, random,
    screen::Screen,
    show, successors, text, trust,
    trust::TrustFile,
    watch, wire,
};

/// A tenant whose chain was verified from its pinned genesis on.
pub(crate) struct Subject {
    pub(crate) portal: Portal,
    pub(crate) tenant: wire::Tenant,
    pub(crate) file: TrustFile,
    pub(crate) chain: Chain,
}

impl Subject {
    pub(crate) async fn of(global: &Global, tenant: &str) -> Result<Self, Failure> {
        let id = Pins::read(global)?.tenant(tenant)?;
        Self::by_id(Portal::of(&Context::need(global)?)?, id).await
    }

    pub(crate) async fn by_id(portal: Portal, id: TenantId) -> Result<Self, Failure> {
        let (file, chain) = trust::fetch(&portal, id).await?;
        let tenant: wire::Tenant = portal.get(&format!("/v1/tenants/{id}")).await?;
        Ok(Self { portal, tenant, file, chain })
    }

    pub(crate) fn trust(&self) -> &TrustRoot {
        self.chain.current()
    }

    /// The next version of the trust root, as yet equal to the present one.
    pub(crate) fn successor(&self) -> TrustRoot {
        self.chain.successor()
    }
}

/// Canonical bytes of a change under the chain's current version. Without `regions` it reaches all of the trust root's.
pub(crate) fn change(
    chain: &Chain,
    epoch: u64,
    action: Action,
    regions: Option<BTreeSet<Region>>,
    reason: &str,
    evidence: Option<&str>,
) -> Result<Vec<u8>, Failure> {
    let trust = chain.current();
    let regions = regions.unwrap_or_else(|| trust.regions.keys().cloned().collect());
    let enters = |r: &Region| action.next().is_some_and(|next| next.regions.contains_key(r));
    if let Some(unknown) = regions.iter().find(|r| !trust.regions.contains_key(*r) && !enters(r)) {
        return Err(no_region(trust, unknown, "--region"));
    }
    if let Some(next) = action.next() {
        chain.check_successor(&action, next).map_err(|e| {
            Failure::usage("the tenant cannot be changed like that")
                .because(e)
                .fix("correct the command; nothing was sent")
        })?;
    }
    let change = Change {
        domain: Kind::Change.domain(),
        deployment: trust.deployment.clone(),
        tenant: chain.tenant(),
        trust_version: trust.version,
        epoch,
        regions,
        reason: text(reason)?,
        nonce: random::nonce()?,
        evidence: evidence.map(|text| Kind::Evidence.digest(text.as_bytes())),
        armed: None,
        action,
    };
    change.to_bytes().map_err(unsignable)
}

/// The change, as one that stops nothing until it is fired.
pub(crate) fn armed(change: &[u8], until: FireUntil) -> Result<Vec<u8>, Failure> {
    let change = Change::from_bytes(change).map_err(unsignable)?;
    Change { armed: Some(until), ..change }.to_bytes().map_err(unsignable)
}

/// A region that the tenant's trust root does not name, given with this option.
pub(crate) fn no_region(trust: &TrustRoot, name: &Region, option: &str) -> Failure {
    let known = trust.regions.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    Failure::usage(format!("`{name}` is no region of tenant {}", trust.name))
        .because(format!("its trust root names {known}"))
        .fix(format!("name one of those with {option}"))
}

pub(crate) fn unsignable(why: orbital::canon::Malformed) -> Failure {
    Failure::usage("this cannot be signed").because(why).fix("correct the text or names given")
}

/// Unix seconds now.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// Shows the change in plain sentences and signs the proposal of it.
pub(crate) fn sign_proposal(
    screen: Screen,
    identity: &Identity,
    chain: &Chain,
    bytes: &[u8],
    besides: &[Digest],
) -> Result<Signed, Failure> {
    let trust = chain.current();
    let change = Change::from_bytes(bytes).map_err(unsignable)?;
    let rule = trust.rule(change.kind()).map_err(|e| Failure::denied("no rule covers this change").because(e))?;
    let expires = now().saturating_add(rule.expires_seconds);
    let signer = identity.signer(trust)?;
    let mut sentences = plain::change(&change, Change::digest_of(bytes), trust);
    sentences.push(plain::rule(change.kind(), rule));
    sentences.push(plain::vote(Role::Propose, &identity.person, expires));
    screen.agree(&sentences)?;
    successors::sign(identity, &change.action, besides)?;
    Vote::propose(bytes, trust, expires, &signer).map_err(unsignable)
}

/// What a new change asks for, besides who signs it.
pub(crate) struct Wish<'a> {
    pub(crate) action: Action,
    pub(crate) regions: Option<BTreeSet<Region>>,
    pub(crate) reason: &'a str,
}

/// Makes, signs and sends a change. Ends with 3, or as the proposal ends where `--wait` says to wait for it.
pub(crate) async fn propose(global: &Global, subject: &Subject, wish: Wish<'_>) -> Result<Report, Failure> {
    propose_with(global, subject, wish, None).await
}

/// As [`propose`], with what the proposer is shown besides the change. Whoever approves is shown the same, and signs its digest.
pub(crate) async fn propose_with(
    global: &Global,
    subject: &Subject,
    wish: Wish<'_>,
    evidence: Option<String>,
) -> Result<Report, Failure> {
    // Grants are ordered by epoch, each one above the last; a stop names the one that its author saw (PROTOCOL §4).
    let epoch = subject.tenant.epoch.saturating_add(u64::from(!wish.action.kind().is_stop()));
    let bytes = change(&subject.chain, epoch, wish.action, wish.regions, wish.reason, evidence.as_deref())?;
    propose_bytes(global, subject, bytes, evidence).await
}

/// As [`propose_with`], of a change that is made already.
pub(crate) async fn propose_bytes(
    global: &Global,
    subject: &Subject,
    bytes: Vec<u8>,
    evidence: Option<String>,
) -> Result<Report, Failure> {
    if global.dry_run {
        return dry::run(subject, &Identity::person(global)?, &bytes).await;
    }
    let screen = Screen::of(global);
    let identity = Identity::of(global)?;
    if let Some(evidence) = &evidence {
        screen.note(&show::evidence(evidence));
    }
    let signed = sign_proposal(screen, &identity, &subject.chain, &bytes, &global.besides)?;
    let mut body = json!({ "change": encode(&bytes), "proposal": signed });
    if let (Some(evidence), Some(members)) = (evidence, body.as_object_mut()) {
        members.insert("evidence".to_owned(), evidence.into());
    }
    let answer = subject.portal.post("/v1/proposals", &body).await?;
    let proposal: wire::Proposal = subject.portal.read("/v1/proposals", answer.body.clone())?;
    match global.wait {
        Some(wait) => {
            screen.note(&created(&proposal));
            watch::until_ended(screen, subject, &proposal.id, Some(wait)).await
        }
        None => Ok(Report::new(answer.body, created(&proposal)).ending(Exit::Waits)),
    }
}

fn created(proposal: &wire::Proposal) -> String {
    let who = match proposal.may_sign.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ").as_str() {
        "" => String::new(),
        who => format!("\nMay sign next: {who}. With: kcm --as PERSON proposal approve {}", proposal.id),
    };
    format!("Proposal {} is {}.{who}", proposal.id, proposal.state)
}

pub(crate) fn encode(bytes: &[u8]) -> Value {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    Value::String(URL_SAFE_NO_PAD.encode(bytes))
}

/// Answers a proposal, after checking that what the portal shows is what was proposed.
pub(crate) async fn answer(global: &Global, id: &str, role: Role, path: &str) -> Result<Report, Failure> {
    let screen = Screen::of(global);
    let identity = Identity::of(global)?;
    let portal = Portal::of(&Context::need(global)?)?;
    let proposal: wire::Proposal = portal.get(&format!("/v1/proposals/{id}")).await?;
    if !Pins::read(global)?.all().values().any(|pinned| *pinned == proposal.tenant) {
        return Err(Failure::denied(format!("proposal {id} is for a tenant that is not pinned here"))
            .because(format!(
                "it is for {}, and an id that governance alone vouches for proves nothing",
                proposal.tenant
            ))
            .fix("compare the id with another member of the tenant, then `kcm tenant pin NAME ID`"));
    }
    let subject = Subject::by_id(portal, proposal.tenant).await?;
    let checked = show::check(&proposal, &subject.chain)?;
    let signer = identity.signer(subject.trust())?;
    let mut sentences = plain::change(&checked.change, proposal.digest, subject.trust());
    sentences.extend(proposal.evidence.as_deref().map(show::evidence));
    sentences.push(format!("Proposed by {}.", checked.proposed.person));
    sentences.push(plain::vote(role, &identity.person, checked.proposed.expires));
    screen.agree(&sentences)?;
    if role != Role::Reject {
        successors::sign(&identity, &checked.change.action, &global.besides)?;
    }
    let vote = Vote::answer(role, &proposal.proposal, &signer).map_err(unsignable)?;
    let path = format!("/v1/proposals/{id}/{path}");
    let answer = subject.portal.post(&path, &json!({ "vote": vote })).await?;
    let after: wire::Proposal = subject.portal.read(&path, answer.body.clone())?;
    match global.wait {
        Some(wait) if role != Role::Reject => watch::until_ended(screen, &subject, &after.id, Some(wait)).await,
        _ => Ok(Report::new(answer.body, show::summary(&after))),
    }
}
