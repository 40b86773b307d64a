//! `kcm actor`: signing keys, and the people of a tenant. Every change of people is a new version of the trust root, composed here from
//! the chain that was verified here.

mod delegate;

use std::path::{Path, PathBuf};

use clap::Subcommand;
use orbital::{
    change::Action,
    enrol::Enrolment,
    names::{Group, KeyName, Person},
    sign::{SecretKey, Signed},
    subject,
    trust::{Actor, ActorKey, Algorithm, TrustRoot, WebauthnTerms},
    webauthn::{EDDSA, ES256},
};
use serde_json::json;

use super::{
    Global,
    compose::{self, Subject, Wish},
    context::{Identity, Pins},
    exit::{Failure, Report},
    files, random,
    table::Table,
};

/// The name of a key where none is given.
const KEY_NAME: &str = "cli";

#[derive(Clone, Debug, Subcommand)]
pub enum ActorCommand {
    /// Make an Ed25519 key file that only this user may read, and print its public key
    #[command(after_help = "Example: kcm actor keygen --person alice --out alice.key")]
    Keygen {
        /// Whose key it is; a remark in the file
        #[arg(long, value_name = "PERSON")]
        person: Person,
        /// Where the key goes; an existing file is never replaced
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Let one's new key say itself whose it is; the file that is made goes to whoever proposes the key
    #[command(after_help = "Example: kcm --as frank --key frank.key actor enrol --tenant acme --out frank.enrolment")]
    Enrol {
        /// Pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
        /// Where the enrolment goes; an existing file is never replaced
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// List the people of a tenant, their groups and keys
    #[command(after_help = "Example: kcm actor list --tenant acme")]
    List {
        /// Pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
    },
    /// Propose to add a person, or another key for one
    #[command(
        after_help = "Example: kcm --as erin actor add frank --tenant acme --group Security_Ops --enrolment frank.enrolment"
    )]
    Add {
        /// The person
        #[arg(value_name = "WHO")]
        who: Person,
        /// What the key says of itself: the file of `kcm actor enrol`, or of a passkey's enrolment in the portal
        #[arg(long, value_name = "FILE")]
        enrolment: PathBuf,
        /// The key's name
        #[arg(long, value_name = "NAME", default_value = KEY_NAME)]
        key_name: KeyName,
        /// The passkey is for a portal that is none of governance's: its approvals count as independent. A key file's do
        #[arg(long)]
        independent: bool,
        /// Groups of a new person
        #[arg(long, value_name = "GROUP")]
        group: Vec<Group>,
        #[command(flatten)]
        at: At,
    },
    /// Propose under which terms passkeys sign, or that none do
    #[command(
        after_help = "Example: kcm --as erin actor passkeys --rp-id acme.example --origin https://kcm.acme.example --tenant acme"
    )]
    Passkeys {
        /// The relying party: a domain that the origins share, which passkeys are made for
        #[arg(long, value_name = "DOMAIN", required_unless_present = "none")]
        rp_id: Option<String>,
        /// Where passkeys may sign, exactly
        #[arg(long, value_name = "URL", required_unless_present = "none")]
        origin: Vec<String>,
        /// What they may sign with
        #[arg(long, value_name = "NAME", default_values = [ES256, EDDSA])]
        algorithm: Vec<String>,
        /// No passkey's signature counts any more
        #[arg(long, conflicts_with_all = ["rp_id", "origin", "algorithm"])]
        none: bool,
        #[command(flatten)]
        at: At,
    },
    /// Propose to remove a person, or one key of theirs
    #[command(after_help = "Example: kcm --as erin actor remove bob --tenant acme")]
    Remove {
        /// The person
        #[arg(value_name = "WHO")]
        who: Person,
        /// Only this key
        #[arg(long, value_name = "NAME")]
        key_name: Option<KeyName>,
        #[command(flatten)]
        at: At,
    },
    /// Propose that a person enters groups
    #[command(after_help = "Example: kcm --as erin actor join frank --group Audit --tenant acme")]
    Join {
        /// The person
        #[arg(value_name = "WHO")]
        who: Person,
        /// The groups
        #[arg(long, value_name = "GROUP", required = true)]
        group: Vec<Group>,
        #[command(flatten)]
        at: At,
    },
    /// Propose that a person signs in at an identity provider; their certificates name them as ISSUER#SUBJECT from then on
    #[command(
        after_help = "Example: kcm --as erin actor bind alice --issuer https://idp.acme.example --subject 248289 --tenant acme"
    )]
    Bind {
        /// The person
        #[arg(value_name = "WHO")]
        who: Person,
        /// The provider, exactly as it spells itself
        #[arg(long, value_name = "URL", required_unless_present = "none")]
        issuer: Option<String>,
        /// The person's `sub` at the provider
        #[arg(long, value_name = "SUB", required_unless_present_any = ["none", "program"])]
        subject: Option<String>,
        /// Instead of --subject: a program's client id, for access tokens
        #[arg(long, value_name = "CLIENT_ID", conflicts_with = "subject")]
        program: Option<String>,
        /// They no longer sign in there
        #[arg(long, conflicts_with_all = ["issuer", "subject", "program"])]
        none: bool,
        #[command(flatten)]
        at: At,
    },
    /// Propose that a person stands in for another in some groups, from one date to another
    #[command(
        after_help = "Example: kcm --as erin actor delegate alice --to judy --group Security_Ops --since 2027-07-01T00:00Z --until 2027-07-20T00:00Z --tenant acme"
    )]
    Delegate(delegate::Delegate),
    /// Propose that a person leaves groups
    #[command(after_help = "Example: kcm --as erin actor leave frank --group Audit --tenant acme")]
    Leave {
        /// The person
        #[arg(value_name = "WHO")]
        who: Person,
        /// The groups
        #[arg(long, value_name = "GROUP", required = true)]
        group: Vec<Group>,
        #[command(flatten)]
        at: At,
    },
}

/// Which tenant, and why.
#[derive(Clone, Debug, clap::Args)]
pub struct At {
    /// Pinned name, or id
    #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
    pub tenant: String,
    /// Why, for those who approve
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
}

pub(crate) async fn perform(global: &Global, command: ActorCommand) -> Result<Report, Failure> {
    match command {
        ActorCommand::Keygen { person, out } => keygen(&person, &out),
        ActorCommand::List { tenant } => list(global, &tenant).await,
        ActorCommand::Enrol { tenant, out } => enrol(global, &tenant, &out),
        ActorCommand::Add { who, enrolment, key_name, independent, group, at } => {
            let signed = files::read_json("enrolment", &enrolment)?;
            let key =
                |next: &TrustRoot| enrolled(next, &who, &signed, independent).map_err(|e| e.at(enrolment.display()));
            propose(global, &at, |next| add(next, &who, key_name, key(next)?, group)).await
        }
        ActorCommand::Passkeys { rp_id, origin, algorithm, at, .. } => {
            let set = |words: Vec<String>| words.into_iter().collect();
            let terms = rp_id.map(|rp_id| WebauthnTerms { rp_id, origins: set(origin), algorithms: set(algorithm) });
            propose(global, &at, |next| {
                next.webauthn = terms;
                Ok(())
            })
            .await
        }
        ActorCommand::Remove { who, key_name, at } => {
            propose(global, &at, |next| remove(next, &who, key_name.as_ref())).await
        }
        ActorCommand::Join { who, group, at } => {
            propose(global, &at, |next| known(next, &who).map(|actor| actor.groups.extend(group))).await
        }
        ActorCommand::Bind { who, issuer, subject, program, none: _, at } => {
            let subject = bound(issuer.as_deref(), subject.as_deref(), program.as_deref())?;
            propose(global, &at, |next| known(next, &who).map(|actor| actor.subject = subject)).await
        }
        ActorCommand::Delegate(wish) => propose(global, &wish.at, |next| wish.apply(next)).await,
        ActorCommand::Leave { who, group, at } => {
            propose(global, &at, |next| known(next, &who).map(|actor| actor.groups.retain(|g| !group.contains(g))))
                .await
        }
    }
}

fn keygen(person: &Person, out: &Path) -> Result<Report, Failure> {
    let secret = SecretKey::from_seed(&*random::seed()?);
    let public = secret.public();
    let text = secret.to_text(person.as_str());
    files::write("key file", out, text.as_bytes(), 0o600, false)?;
    let said = format!("Key of {person} is in {}, readable by you alone.\nPublic key: {public}", out.display());
    Ok(Report::new(json!({ "person": person, "public": public, "file": out }), said))
}

fn enrol(global: &Global, tenant: &str, out: &Path) -> Result<Report, Failure> {
    let tenant = Pins::read(global)?.tenant(tenant)?;
    let identity = Identity::of(global)?;
    let (person, public) = (&identity.person, identity.secret.public());
    let enrolment = Enrolment::new(tenant, person.clone(), Algorithm::Ed25519, public.into());
    let signed = enrolment.sign(&identity.secret).map_err(compose::unsignable)?;
    files::write_json("enrolment", out, &signed, false)?;
    let said = format!(
        "The key {public} says in {} that it is {person}'s, in tenant {tenant}.\nHand the file to somebody who may \
         propose people (`kcm actor add`), and tell those who approve the key by another way than that file.",
        out.display()
    );
    Ok(Report::new(json!({ "tenant": tenant, "person": person, "public": public, "file": out }), said))
}

async fn list(global: &Global, tenant: &str) -> Result<Report, Failure> {
    let subject = Subject::of(global, tenant).await?;
    let mut table = Table::new(&["person", "groups", "key", "public key"]);
    for (person, actor) in &subject.trust().actors {
        let groups = actor.groups.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        for (name, key) in &actor.keys {
            table.row([person.to_string(), groups.clone(), name.to_string(), key.public.to_string()]);
        }
    }
    Ok(Report::new(json!({ "items": subject.trust().actors }), table.render()))
}

pub(crate) async fn propose(
    global: &Global,
    at: &At,
    alter: impl FnOnce(&mut TrustRoot) -> Result<(), Failure>,
) -> Result<Report, Failure> {
    let subject = Subject::of(global, &at.tenant).await?;
    let mut next = subject.successor();
    alter(&mut next)?;
    // What was given by, or to, somebody who has it no more ends with it.
    next.prune_delegations();
    if next == subject.successor() {
        return Err(Failure::usage("nothing would change").because("the trust root says so already"));
    }
    let action = Action::ChangeActors { next: Box::new(next) };
    compose::propose(global, &subject, Wish { action, regions: None, reason: &at.reason }).await
}

fn add(
    next: &mut TrustRoot,
    who: &Person,
    key_name: KeyName,
    key: ActorKey,
    groups: Vec<Group>,
) -> Result<(), Failure> {
    let taken = || Failure::usage(format!("{who} has a key named {key_name} already")).fix("give another --key-name");
    match next.actors.get_mut(who) {
        None if groups.is_empty() => {
            return Err(Failure::usage(format!("{who} would be in no group")).fix("add --group GROUP"));
        }
        None => {
            let keys = [(key_name, key)].into();
            next.actors.insert(who.clone(), Actor { groups: groups.into_iter().collect(), keys, subject: None });
        }
        Some(actor) if actor.keys.contains_key(&key_name) => return Err(taken()),
        Some(actor) => {
            actor.groups.extend(groups);
            actor.keys.insert(key_name, key);
        }
    }
    Ok(())
}

/// The key as its enrolment shows it; that it signed the enrolment is checked here, as each region will.
pub(crate) fn enrolled(
    next: &TrustRoot,
    who: &Person,
    signed: &Signed,
    independent: bool,
) -> Result<ActorKey, Failure> {
    let bad = |why: &dyn std::fmt::Display| {
        Failure::usage(format!("this does not enrol a key of {who}"))
            .because(why)
            .fix("have its holder make one for this tenant with `kcm actor enrol`, or in the portal for a passkey")
    };
    let enrolment = Enrolment::read(signed).map_err(|e| bad(&e))?;
    let Enrolment { ref person, algorithm, public, .. } = enrolment;
    if person != who || next.tenant != Some(enrolment.tenant) {
        return Err(bad(&format!("it is for {person} in tenant {}", enrolment.tenant)));
    }
    enrolment.check(Some(&signed.signature), next.webauthn.as_ref()).map_err(|e| bad(&e))?;
    // A key file is nothing of governance's; of a passkey that is for the tenant to say, with a portal of its own.
    let independent = independent || algorithm == Algorithm::Ed25519;
    Ok(ActorKey { algorithm, public, independent, proof: Some(signed.signature.clone()) })
}

pub(crate) fn remove(next: &mut TrustRoot, who: &Person, key_name: Option<&KeyName>) -> Result<(), Failure> {
    match key_name {
        None => {
            known(next, who)?;
            next.actors.remove(who);
        }
        Some(name) => {
            let gone = known(next, who)?.keys.remove(name);
            gone.ok_or_else(|| Failure::usage(format!("{who} has no key named {name}")).fix("see `kcm actor list`"))?;
        }
    }
    Ok(())
}

/// Their name at the provider; none where they are to have none.
fn bound(issuer: Option<&str>, subject: Option<&str>, program: Option<&str>) -> Result<Option<String>, Failure> {
    let named = match (issuer, subject, program) {
        (Some(issuer), Some(subject), _) => subject::of_person(issuer, subject),
        (Some(issuer), None, Some(client)) => subject::of_program(issuer, client),
        (Some(_) | None, _, _) => return Ok(None),
    };
    let bad = |why| {
        Failure::usage("nobody can be named so")
            .because(why)
            .fix("copy `iss` and `sub` of a token, character by character")
    };
    named.map(Some).map_err(bad)
}

/// The name of a key where none is given.
pub(crate) fn key_name() -> Result<KeyName, Failure> {
    KeyName::new(KEY_NAME).map_err(|e| Failure::usage(e.to_string()))
}

fn known<'t>(next: &'t mut TrustRoot, who: &Person) -> Result<&'t mut Actor, Failure> {
    let people = next.actors.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    next.actors.get_mut(who).ok_or_else(|| {
        Failure::usage(format!("{who} is not one of the tenant's people")).because(format!("they are {people}"))
    })
}
