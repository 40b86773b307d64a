//! The context: where the portal is, who "I" am and which tenants are pinned. `kcm demo` writes one; `--context` names another.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use orbital::{
    names::{Digest, KeyName, Person, TenantId},
    sign::SecretKey,
    trust::TrustRoot,
    vote::Signer,
};
use serde::{Deserialize, Serialize};

use super::{Global, exit::Failure, files, random, soft_l1::SoftPlace};
use crate::keyfiles;

/// Where a context stands unless said otherwise.
pub const CONTEXT_DEFAULT: &str = "kcm-demo/demo.json";
/// The file beside the context that pins tenants' names to their ids.
pub const PINS: &str = "pins.json";

/// How the portal is reached.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PortalAddress {
    /// Such as `https://localhost:8443`.
    pub url: String,
    /// PEM file of the CA that signed the portal's certificate.
    pub ca: PathBuf,
    /// PEM files of our client certificate and its key.
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// An address of a listener.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Address {
    pub address: String,
}

/// A region, as far as the command line needs it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RegionPlace {
    pub name: String,
    /// The stop listener: takes a kill from anyone (PROTOCOL §4).
    #[serde(default)]
    pub stop: Option<Address>,
    #[serde(default)]
    pub kmip: Option<Address>,
    /// KMIP clients whose files are on this machine.
    #[serde(default)]
    pub clients: Vec<ClientPlace>,
}

/// The files of one tenant's KMIP client, PEM.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClientPlace {
    pub tenant: String,
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// A person whose key file is on this machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct KeyPlace {
    pub name: Person,
    pub key: PathBuf,
}

/// The file. Members that are not listed here are for others.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct ContextFile {
    #[serde(default)]
    pub portal: Option<PortalAddress>,
    #[serde(default)]
    pub regions: Vec<RegionPlace>,
    #[serde(default)]
    pub actors: Vec<KeyPlace>,
    /// Tenants whose ids whoever wrote the context knows: pinned.
    #[serde(default)]
    pub tenants: Vec<TenantPlace>,
    /// The customers' KMS, as far as they run on this machine.
    #[serde(default)]
    pub l1: Vec<serde_json::Value>,
}

/// A tenant by name and id.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct TenantPlace {
    pub name: String,
    pub id: TenantId,
}

/// A context that was read, and where.
#[derive(Clone, Debug)]
pub struct Context {
    pub path: PathBuf,
    pub file: ContextFile,
}

/// A person and their secret key.
pub struct Identity {
    pub person: Person,
    pub secret: SecretKey,
    pub place: PathBuf,
}

impl Context {
    /// Reads the context. Its absence is an error only where a command needs something of it.
    pub fn read(global: &Global) -> Result<Option<Self>, Failure> {
        let path = global.context.clone().unwrap_or_else(|| PathBuf::from(CONTEXT_DEFAULT));
        if global.context.is_none() && !path.exists() {
            return Ok(None);
        }
        let mut file: ContextFile = files::read_json("context", &path)?;
        let folder = path.parent().unwrap_or(Path::new("")).to_owned();
        if let Some(portal) = &mut file.portal {
            for part in [&mut portal.ca, &mut portal.cert, &mut portal.key] {
                *part = beside(&folder, part);
            }
        }
        for client in file.regions.iter_mut().flat_map(|region| &mut region.clients) {
            for part in [&mut client.ca, &mut client.cert, &mut client.key] {
                *part = beside(&folder, part);
            }
        }
        for actor in &mut file.actors {
            actor.key = beside(&folder, &actor.key);
        }
        Ok(Some(Self { path, file }))
    }

    pub fn need(global: &Global) -> Result<Self, Failure> {
        Self::read(global)?.ok_or_else(|| {
            Failure::usage("there is no context")
                .at(CONTEXT_DEFAULT)
                .because("this command needs to know where the portal is and who you are")
                .fix("give --context FILE, set KCM_CONTEXT, or start `kcm demo`, which writes one")
        })
    }

    /// The soft L1 that holds a tenant's key.
    pub fn soft_l1(&self, tenant: &str) -> Result<SoftPlace, Failure> {
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let mut places = self.file.l1.iter().filter_map(|l1| serde_json::from_value::<SoftPlace>(l1.clone()).ok());
        let place = places.find(|place| place.tenant == tenant).ok_or_else(|| {
            Failure::usage(format!("the context names no soft L1 of tenant {tenant}"))
                .at(self.path.display())
                .because("its member `l1` has none")
                .fix("use the context that `kcm demo` wrote, or disable the key at the customer's own KMS")
        })?;
        let (ca, admin) = (beside(folder, &place.ca), beside(folder, &place.admin));
        Ok(SoftPlace { ca, admin, ..place })
    }

    pub fn portal(&self) -> Result<&PortalAddress, Failure> {
        self.file.portal.as_ref().ok_or_else(|| {
            Failure::usage("the context names no portal")
                .at(self.path.display())
                .because("the member `portal` is missing")
                .fix("add \"portal\": {\"url\", \"ca\", \"cert\", \"key\"}")
        })
    }
}

fn beside(folder: &Path, path: &Path) -> PathBuf {
    // A context may be written with paths from where the demo ran: those hold as they are.
    if path.is_absolute() || path.exists() { path.to_owned() } else { folder.join(path) }
}

fn acts(global: &Global, known: &[KeyPlace]) -> Result<Person, Failure> {
    match (&global.person, known) {
        (Some(person), _) => Ok(person.clone()),
        (None, [only]) => Ok(only.name.clone()),
        (None, _) => Err(nobody(known)),
    }
}

impl Identity {
    /// Who signs: `--as`, with `--key` or the context's key file; without `--as`, the only person of the context.
    pub fn of(global: &Global) -> Result<Self, Failure> {
        let context = Context::read(global)?;
        let known: &[KeyPlace] = context.as_ref().map_or(&[], |c| c.file.actors.as_slice());
        let person = acts(global, known)?;
        let place = match (&global.key, known.iter().find(|k| k.name == person)) {
            (Some(path), _) => path.clone(),
            (None, Some(known)) => known.key.clone(),
            (None, None) => return Err(no_key(&person, known)),
        };
        let secret = keyfiles::read_ed25519(&place)
            .map_err(|e| Failure::usage("the key file cannot be used").at(place.display()).because(e))?;
        Ok(Self { person, secret, place })
    }

    /// As whom the command acts, without their key.
    pub fn person(global: &Global) -> Result<Person, Failure> {
        let context = Context::read(global)?;
        acts(global, context.as_ref().map_or(&[], |c| c.file.actors.as_slice()))
    }

    /// The name under which the trust root lists this key: only a listed key can sign anything that counts.
    pub fn key_name(&self, trust: &TrustRoot) -> Result<KeyName, Failure> {
        let public = self.secret.public();
        let actor = trust.actors.get(&self.person);
        let listed = actor.and_then(|a| a.keys.iter().find(|(_, key)| key.public == public));
        listed.map(|(name, _)| name.clone()).ok_or_else(|| {
            let people = trust.actors.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let why = match actor {
                None => format!("version {} lists {people}, but no {}", trust.version, self.person),
                Some(_) => format!("version {} lists other keys of {} than {public}", trust.version, self.person),
            };
            Failure::denied(format!("{} cannot sign for tenant {}", self.person, trust.name))
                .at(self.place.display())
                .because(why)
                .fix("sign as one of those persons, or have the key enrolled with `kcm actor add`")
        })
    }

    pub fn signer(&self, trust: &TrustRoot) -> Result<Signer<'_>, Failure> {
        let origin = super::text("cli")?;
        let (key, nonce) = (self.key_name(trust)?, random::nonce()?);
        Ok(Signer { person: self.person.clone(), key, secret: &self.secret, origin, nonce })
    }
}

fn names(known: &[KeyPlace]) -> String {
    known.iter().map(|k| k.name.to_string()).collect::<Vec<_>>().join(", ")
}

fn nobody(known: &[KeyPlace]) -> Failure {
    let why = if known.is_empty() {
        "the context knows no person".to_owned()
    } else {
        format!("the context knows {}, and a signature is one person's", names(known))
    };
    Failure::usage("it is not said who signs").because(why).fix("add --as PERSON (and --key FILE for a key elsewhere)")
}

fn no_key(person: &Person, known: &[KeyPlace]) -> Failure {
    Failure::usage(format!("there is no key of {person}"))
        .because(format!("the context has keys of: {}", if known.is_empty() { "nobody".into() } else { names(known) }))
        .fix("add --key FILE, or make a key with `kcm actor keygen` and have it enrolled")
}

/// Names pinned to tenant ids. A name is a label that governance could move to another tenant; a pin can't be moved (PROTOCOL §2).
#[derive(Debug, Default)]
pub struct Pins {
    path: Option<PathBuf>,
    pins: BTreeMap<String, TenantId>,
}

impl Pins {
    pub fn read(global: &Global) -> Result<Self, Failure> {
        let Some(context) = Context::read(global)? else { return Ok(Self::default()) };
        let path = context.path.parent().unwrap_or(Path::new("")).join(PINS);
        let mut pins: BTreeMap<String, TenantId> =
            if path.exists() { files::read_json("pin file", &path)? } else { BTreeMap::new() };
        for tenant in context.file.tenants {
            if let Some(other) = pins.insert(tenant.name.clone(), tenant.id)
                && other != tenant.id
            {
                return Err(Failure::denied(format!("`{}` is pinned to two tenants", tenant.name))
                    .at(path.display())
                    .because(format!("the pin file says {other}, the context says {}", tenant.id))
                    .fix("find out which of the two is meant, and take the other away"));
            }
        }
        Ok(Self { path: Some(path), pins })
    }

    pub fn all(&self) -> &BTreeMap<String, TenantId> {
        &self.pins
    }

    /// The tenant that `--tenant` means: an id means itself, a name what it was pinned to.
    pub fn tenant(&self, given: &str) -> Result<TenantId, Failure> {
        if let Some(id) = self.pins.get(given) {
            return Ok(*id);
        }
        given.parse::<Digest>().map(TenantId).map_err(|_| {
            let known = self.pins.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let why = match known.as_str() {
                "" => {
                    "no tenant is pinned in this context, and a name alone could be moved to another tenant".to_owned()
                }
                known => format!("pinned in this context: {known}"),
            };
            Failure::usage(format!("tenant `{given}` is not pinned"))
                .at(self.path.as_ref().map(|p| p.display().to_string()).unwrap_or_default())
                .because(why)
                .fix(format!(
                    "get the tenant's id from somebody who signed its genesis, then `kcm tenant pin {given} ID`"
                ))
        })
    }

    /// Pins a name. Moving a pin is refused: another id is another tenant.
    pub fn pin(&mut self, name: &str, id: TenantId) -> Result<(), Failure> {
        match self.pins.get(name) {
            Some(known) if *known == id => return Ok(()),
            Some(known) => {
                return Err(Failure::denied(format!("`{name}` is pinned to another tenant"))
                    .because(format!("it is pinned to {known}, not to {id}"))
                    .fix("use the id itself, or pin it under another name"));
            }
            None => {}
        }
        let Some(path) = self.path.clone() else {
            return Err(Failure::usage("there is no context to pin the tenant in").fix("give --context FILE"));
        };
        self.pins.insert(name.to_owned(), id);
        files::write_json("pin file", &path, &self.pins, true)
    }
}
