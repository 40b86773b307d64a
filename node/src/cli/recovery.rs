//! `kcm trust recovery`: cold keys change a tenant's people when no quorum is left (PROTOCOL §3, [`orbital::recovery`]).
//!
//! The keys are nobody's: they lie apart, offline, and sign a file that goes from one holder to the next. Nothing is asked of governance
//! before it is whole. Then everybody hears of it, each region waits, and the people of the present version can cancel it until it counts.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Subcommand;
use orbital::{
    certificate::Certificate,
    chain::Chain,
    change::{Action, Change},
    enrol::Enrolment,
    names::{Digest, Group, Person},
    recovery::{self, RECOVERY_DELAY_SECONDS_MIN, RECOVERY_EPOCH_STEP, RecoveryTerms},
    sign::{PublicKey, SecretKey, Signed},
    trust::{Actor, TrustRoot},
    vote::{Role, Vote},
};
use serde_json::{Value, json};

use super::{
    Global,
    actor::{self, At},
    compose::{self, Subject, Wish},
    duration,
    evidence::CertificateFile,
    exit::{Exit, Failure, Report},
    files, plain, random,
    revoke::pinned,
    screen::Screen,
    trust::TrustFile,
};
use crate::keyfiles;

/// How long the holders have to sign, in seconds: 30 days. A recovery that comes later begins no wait.
const COLLECTING_SECONDS: u64 = 30 * 24 * 3_600;

#[derive(Clone, Debug, Subcommand)]
pub enum RecoveryCommand {
    /// Propose which cold keys may recover the tenant, or that none do
    #[command(
        after_help = "Example: kcm --as erin trust recovery terms --public-key MmNx0KwiDtnEXGgSMmBE6nAjCd5r6RjKmCvuyTDcJCE --public-key GXEkTnKp80OaLzGuT2vpjjSB-d4ZF5wmmVqqyvDZpdA --need 2 --tenant acme"
    )]
    Terms {
        /// The keys, made with `kcm actor keygen` and kept apart; none of them is a person's
        #[arg(long, value_name = "KEY", required_unless_present = "none", allow_hyphen_values = true)]
        public_key: Vec<PublicKey>,
        /// How many of them must sign
        #[arg(long, value_name = "N", default_value_t = 2)]
        need: u64,
        /// How long each region waits after it has seen a recovery first
        #[arg(long, value_name = "TIME", value_parser = duration::parse, default_value = "72h")]
        delay: Duration,
        /// No key may recover the tenant any more
        #[arg(long, conflicts_with_all = ["public_key", "need", "delay"])]
        none: bool,
        #[command(flatten)]
        at: At,
    },
    /// Sign a change of people with a recovery key; its first signer says what changes
    #[command(
        after_help = "Example: kcm trust recovery sign --recovery-key north.key --out recovery.json --tenant-file acme.chain.json --epoch 12 --enrolment bob.enrolment"
    )]
    Sign {
        /// One of the keys that the trust root names for this
        #[arg(long, value_name = "FILE")]
        recovery_key: PathBuf,
        /// The recovery; made by the first signer
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
        #[command(flatten)]
        begin: Begin,
    },
    /// Bring a recovery that enough keys have signed to governance, which tells everybody and every region
    #[command(after_help = "Example: kcm trust recovery send recovery.json")]
    Send {
        /// The recovery, with all signatures
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Propose an ordinary successor that changes nothing: it cancels each recovery that waits
    #[command(after_help = "Example: kcm --as erin trust recovery cancel --tenant acme --reason stolen")]
    Cancel(At),
}

/// What the first signer says.
#[derive(Clone, Debug, clap::Args)]
pub struct Begin {
    /// The tenant's trust chain, as `kcm tenant trust` writes it
    #[arg(long, value_name = "FILE")]
    tenant_file: Option<PathBuf>,
    /// The tenant's epoch, as `kcm tenant show` says it
    #[arg(long, value_name = "N", requires = "tenant_file")]
    epoch: Option<u64>,
    /// What a new key says of itself (`kcm actor enrol`): it takes the place of all keys of its person
    #[arg(long, value_name = "FILE", requires = "tenant_file")]
    enrolment: Vec<PathBuf>,
    /// Groups of a person who enters with an enrolment
    #[arg(long, value_name = "PERSON=GROUP", value_parser = membership, requires = "tenant_file")]
    group: Vec<(Person, Group)>,
    /// Persons who leave
    #[arg(long, value_name = "WHO", requires = "tenant_file")]
    remove: Vec<Person>,
    /// Why, for the other holders and for everybody who hears of it
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

fn membership(text: &str) -> Result<(Person, Group), String> {
    let (person, group) = text.split_once('=').ok_or("expected PERSON=GROUP")?;
    Ok((Person::new(person).map_err(|e| e.to_string())?, Group::new(group).map_err(|e| e.to_string())?))
}

pub(crate) async fn perform(global: &Global, command: RecoveryCommand) -> Result<Report, Failure> {
    match command {
        RecoveryCommand::Terms { public_key, need, delay, none, at } => {
            let keys = public_key.into_iter().collect();
            let terms = (!none).then_some(RecoveryTerms { keys, need, delay_seconds: delay.as_secs() });
            actor::propose(global, &at, |next| {
                next.recovery = terms;
                Ok(())
            })
            .await
        }
        RecoveryCommand::Sign { recovery_key, out, begin } => sign(global, &recovery_key, &out, &begin),
        RecoveryCommand::Send { file } => send(global, &file).await,
        RecoveryCommand::Cancel(at) => {
            let subject = Subject::of(global, &at.tenant).await?;
            let action = Action::ChangeActors { next: Box::new(subject.successor()) };
            compose::propose(global, &subject, Wish { action, regions: None, reason: &at.reason }).await
        }
    }
}

fn sign(global: &Global, key: &Path, out: &Path, begin: &Begin) -> Result<Report, Failure> {
    let secret = keyfiles::read_ed25519(key)
        .map_err(|e| Failure::usage("the key file cannot be used").at(key.display()).because(e))?;
    match (&begin.tenant_file, out.exists()) {
        (Some(_), true) => Err(Failure::usage("the recovery is begun already")
            .at(out.display())
            .because("its first signer said what changes")
            .fix("leave --tenant-file out to sign the same, or begin another file")),
        (None, true) => second(global, &secret, out),
        (Some(chain), false) => first(global, &secret, chain, out, begin),
        (None, false) => Err(Failure::usage("there is nothing to sign yet")
            .at(out.display())
            .because("the file does not exist, and the first signer makes it from the tenant's trust chain")
            .fix("add --tenant-file FILE, which `kcm tenant trust` writes, and what changes")),
    }
}

fn first(global: &Global, secret: &SecretKey, chain: &Path, out: &Path, begin: &Begin) -> Result<Report, Failure> {
    let file: TrustFile = files::read_json("trust chain", chain)?;
    pinned(global, file.tenant)?;
    let chain = file.verify(None)?;
    let terms = terms(&chain)?;
    let epoch = begin.epoch.ok_or_else(|| {
        Failure::usage("the tenant's epoch is missing")
            .because("a recovery is ordered with the tenant's other changes by it")
            .fix("add --epoch N, as `kcm tenant show` said it last; a later one is fine up to 400 more")
    })?;
    let mut next = chain.successor();
    people(&mut next, begin)?;
    let action = Action::ChangeActors { next: Box::new(next) };
    let epoch = epoch.saturating_add(RECOVERY_EPOCH_STEP);
    let change = compose::change(&chain, epoch, action, None, &begin.reason, None)?;
    let expires = compose::now().saturating_add(COLLECTING_SECONDS);
    let proposal = agreed(global, &chain, &change, (terms, secret, expires))?;
    let certificate = Certificate { change, proposal, approvals: Vec::new(), confirmations: Vec::new() };
    let recovery = CertificateFile { genesis: file.genesis, links: file.links, certificate };
    let report = signed(&recovery, &chain, out)?;
    files::write_json("recovery", out, &recovery, false)?;
    Ok(report)
}

/// Adds the signature of another key.
fn second(global: &Global, secret: &SecretKey, out: &Path) -> Result<Report, Failure> {
    let mut recovery: CertificateFile = files::read_json("recovery", out)?;
    let chain = verified(&recovery).map_err(|failure| failure.at(out.display()))?;
    pinned(global, chain.tenant())?;
    let first = Vote::read(Role::Recover, &recovery.certificate.proposal).map_err(|e| no_recovery(&e))?;
    let change = recovery.certificate.change.clone();
    let signature = agreed(global, &chain, &change, (terms(&chain)?, secret, first.expires))?;
    recovery.certificate.approvals.push(signature);
    let report = signed(&recovery, &chain, out)?;
    files::write_json("recovery", out, &recovery, true)?;
    Ok(report)
}

/// Shows what is signed in plain sentences, and signs it.
fn agreed(
    global: &Global,
    chain: &Chain,
    bytes: &[u8],
    (terms, secret, expires): (&RecoveryTerms, &SecretKey, u64),
) -> Result<Signed, Failure> {
    let public = secret.public();
    if !terms.keys.contains(&public) {
        return Err(Failure::denied(format!("{public} is no recovery key of this tenant"))
            .because(plain::recovery(Some(terms)))
            .fix("sign with one of those keys"));
    }
    let change = Change::from_bytes(bytes).map_err(compose::unsignable)?;
    let mut sentences = plain::change(&change, Change::digest_of(bytes), chain.current());
    sentences.push(format!("The recovery key {public} signs exactly this, in place of the tenant's people."));
    sentences.push(format!(
        "Each region takes it {} after it has heard of it first, unless the people cancel it. It is to be sent by {}.",
        plain::span(terms.delay_seconds),
        plain::time(expires)
    ));
    Screen::of(global).agree(&sentences)?;
    recovery::sign(bytes, chain.current(), expires, (secret, random::nonce()?)).map_err(compose::unsignable)
}

/// The people as they are to be.
fn people(next: &mut TrustRoot, begin: &Begin) -> Result<(), Failure> {
    let mut groups: BTreeMap<&Person, Vec<Group>> = BTreeMap::new();
    begin.group.iter().for_each(|(person, group)| groups.entry(person).or_default().push(group.clone()));
    for who in &begin.remove {
        actor::remove(next, who, None)?;
    }
    for path in &begin.enrolment {
        let enrolment: Signed = files::read_json("enrolment", path)?;
        let at = |failure: Failure| failure.at(path.display());
        let who = Enrolment::read(&enrolment).map_err(|e| at(compose::unsignable(e)))?.person;
        let key = actor::enrolled(next, &who, &enrolment, false).map_err(at)?;
        let entered = groups.remove(&who).unwrap_or_default();
        let known = next.actors.remove(&who);
        if known.is_none() && entered.is_empty() {
            return Err(at(
                Failure::usage(format!("{who} would be in no group")).fix(format!("add --group {who}=GROUP"))
            ));
        }
        let mut actor = known.unwrap_or(Actor { groups: Default::default(), keys: BTreeMap::new(), subject: None });
        actor.groups.extend(entered);
        actor.keys = [(actor::key_name()?, key)].into();
        next.actors.insert(who, actor);
    }
    match groups.keys().next() {
        None => Ok(()),
        Some(who) => {
            Err(Failure::usage(format!("{who} has no new key here")).fix("add --enrolment FILE, or leave --group out"))
        }
    }
}

async fn send(global: &Global, path: &Path) -> Result<Report, Failure> {
    let recovery: CertificateFile = files::read_json("recovery", path)?;
    let chain = verified(&recovery).map_err(|failure| failure.at(path.display()))?;
    let (tenant, change) = (chain.tenant(), Change::digest_of(&recovery.certificate.change));
    chain.extend(&recovery.certificate).map_err(|e| {
        Failure::denied("the recovery is not complete")
            .at(path.display())
            .because(e)
            .fix(format!("let another key sign: kcm trust recovery sign --recovery-key FILE --out {}", path.display()))
    })?;
    let portal = super::http::Portal::of(&super::context::Context::need(global)?)?;
    let certificate: Value = serde_json::to_value(&recovery.certificate).map_err(|e| Failure::usage(e.to_string()))?;
    let answer = portal.post(&format!("/v1/tenants/{tenant}/recoveries"), &certificate).await?;
    let due = answer.body.pointer("/recovery/due").and_then(Value::as_u64);
    let text = match due {
        None => format!("Recovery {change} is in force in governance already."),
        Some(due) => format!(
            "Recovery {change} is taken. Everybody is told, and each region waits from now on.\nIt comes into force from {} on, \
             unless the people of the present version cancel it. See `kcm tenant show`.",
            plain::time(due)
        ),
    };
    Ok(Report::new(json!({ "change": change, "due": due }), text).ending(match due {
        Some(_) => Exit::Waits,
        None => Exit::Done,
    }))
}

/// The chain under which a recovery is made; its signatures hold so far, enough or not.
fn verified(recovery: &CertificateFile) -> Result<Chain, Failure> {
    let change = Change::from_bytes(&recovery.certificate.change).map_err(|e| no_recovery(&e))?;
    let (genesis, links) = (recovery.genesis.clone(), recovery.links.clone());
    let chain = TrustFile { tenant: change.tenant, genesis, links }.verify(None)?;
    recovered_by(recovery, &chain)?;
    Ok(chain)
}

fn recovered_by(recovery: &CertificateFile, chain: &Chain) -> Result<usize, Failure> {
    let signed = recovery.certificate.recovered_by(chain.current());
    let signed = signed.ok_or_else(|| no_recovery(&"no recovery key has signed it"))?;
    signed.map(|keys| keys.len()).map_err(|e| no_recovery(&e))
}

fn signed(recovery: &CertificateFile, chain: &Chain, out: &Path) -> Result<Report, Failure> {
    let (found, terms) = (recovered_by(recovery, chain)?, terms(chain)?);
    let complete = chain.extend(&recovery.certificate).is_ok();
    let (change, file): (Digest, _) = (Change::digest_of(&recovery.certificate.change), out.display());
    let next = match complete {
        true => format!("It is complete. Next: kcm trust recovery send {file}"),
        false => format!("Next: kcm trust recovery sign --recovery-key FILE --out {file}"),
    };
    let text = format!("Recovery {change} is in {file}, signed by {found} of {} keys.\n{next}", terms.need);
    let json = json!({ "file": out, "change": change, "signed": found, "need": terms.need, "complete": complete });
    Ok(Report::new(json, text).ending(if complete { Exit::Done } else { Exit::Waits }))
}

fn terms(chain: &Chain) -> Result<&RecoveryTerms, Failure> {
    chain.current().recovery.as_ref().ok_or_else(|| {
        Failure::denied(format!("tenant {} has no recovery keys", chain.current().name))
            .because("its trust root names none")
            .fix(format!(
                "agree on some while a quorum is there: `kcm trust recovery terms`; delays begin at {}",
                plain::span(RECOVERY_DELAY_SECONDS_MIN)
            ))
    })
}

fn no_recovery(why: &dyn std::fmt::Display) -> Failure {
    Failure::denied("this is no recovery that holds").because(why).fix("begin another file")
}
