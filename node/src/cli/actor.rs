//! `kcm actor`: signing keys, and the people of a tenant. Every change of people is a new version of the trust root, composed here from
//! the chain that was verified here.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use orbital::{
    change::Action,
    names::{Group, KeyName, Person},
    sign::{PublicKey, SecretKey},
    trust::{Actor, TrustRoot},
};
use serde_json::json;

use super::{
    Global,
    compose::{self, Subject, Wish},
    exit::{Failure, Report},
    files,
    genesis::actor_key,
    random,
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
    /// List the people of a tenant, their groups and keys
    #[command(after_help = "Example: kcm actor list --tenant acme")]
    List {
        /// Pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
    },
    /// Propose to add a person, or another key for one
    #[command(
        after_help = "Example: kcm --as erin actor add frank --tenant acme --group Security_Ops --public-key KEY"
    )]
    Add {
        /// The person
        #[arg(value_name = "WHO")]
        who: Person,
        /// The person's public key, as `kcm actor keygen` printed it
        #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
        public_key: PublicKey,
        /// The key's name
        #[arg(long, value_name = "NAME", default_value = KEY_NAME)]
        key_name: KeyName,
        /// Groups of a new person
        #[arg(long, value_name = "GROUP")]
        group: Vec<Group>,
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
        ActorCommand::Add { who, public_key, key_name, group, at } => {
            propose(global, &at, |next| add(next, who, key_name, public_key, group)).await
        }
        ActorCommand::Remove { who, key_name, at } => {
            propose(global, &at, |next| remove(next, &who, key_name.as_ref())).await
        }
        ActorCommand::Join { who, group, at } => {
            propose(global, &at, |next| known(next, &who).map(|actor| actor.groups.extend(group))).await
        }
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

async fn propose(
    global: &Global,
    at: &At,
    alter: impl FnOnce(&mut TrustRoot) -> Result<(), Failure>,
) -> Result<Report, Failure> {
    let subject = Subject::of(global, &at.tenant).await?;
    let mut next = subject.successor();
    alter(&mut next)?;
    if next.actors == subject.trust().actors {
        return Err(Failure::usage("nothing would change").because("the trust root says so already"));
    }
    let action = Action::ChangeActors { next: Box::new(next) };
    compose::propose(global, &subject, Wish { action, regions: None, reason: &at.reason }).await
}

fn add(
    next: &mut TrustRoot,
    who: Person,
    key_name: KeyName,
    public: PublicKey,
    groups: Vec<Group>,
) -> Result<(), Failure> {
    let taken = || Failure::usage(format!("{who} has a key named {key_name} already")).fix("give another --key-name");
    match next.actors.get_mut(&who) {
        None if groups.is_empty() => {
            return Err(Failure::usage(format!("{who} would be in no group")).fix("add --group GROUP"));
        }
        None => {
            let keys = [(key_name, actor_key(public))].into();
            next.actors.insert(who, Actor { groups: groups.into_iter().collect(), keys, subject: None });
        }
        Some(actor) if actor.keys.contains_key(&key_name) => return Err(taken()),
        Some(actor) => {
            actor.groups.extend(groups);
            actor.keys.insert(key_name, actor_key(public));
        }
    }
    Ok(())
}

fn remove(next: &mut TrustRoot, who: &Person, key_name: Option<&KeyName>) -> Result<(), Failure> {
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

fn known<'t>(next: &'t mut TrustRoot, who: &Person) -> Result<&'t mut Actor, Failure> {
    let people = next.actors.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    next.actors.get_mut(who).ok_or_else(|| {
        Failure::usage(format!("{who} is not one of the tenant's people")).because(format!("they are {people}"))
    })
}
