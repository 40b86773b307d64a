//! The demo's people, and the genesis that they sign.
//!
//! The five that the papers' table needs, and a deputy wherever one person alone would hold up a rule: a trust root stands only if each
//! rule can still be met with any one person gone (PROTOCOL §3).

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use orbital::{
    chain::Genesis,
    change::ChangeKind,
    names::{BadName, Deployment, Digest, Group, Jurisdiction, KeyName, Person, Region, System, TenantName},
    quorum::Rule,
    sign::{Kind, PublicKey, SecretKey},
    trust::{Actor, ActorKey, Algorithm, CallerRule, L1Resume, L1Terms, LeaseTerms, RegionIdentity, TrustRoot},
};

use super::{DemoError, pki::write_private};

/// Each person and their groups: the five of the story first, then their deputies.
pub const PEOPLE: [(&str, &[&str]); 11] = [
    ("alice", &["Security_Ops"]),
    ("bob", &["Compliance_Legal"]),
    ("carol", &["Senior_Leadership"]),
    ("dave", &["Senior_Leadership"]),
    ("erin", &["Super_Admin", "Admin"]),
    ("frank", &["Security_Ops"]),
    ("grace", &["Compliance_Legal"]),
    ("heidi", &["Senior_Leadership"]),
    ("ivan", &["Super_Admin", "Admin"]),
    ("judy", &["Audit"]),
    ("karl", &["Audit"]),
];
/// The name of each person's first key.
pub const KEY: &str = "cli";
/// The lease of the demo's tenants: short, so that one can watch a region that is cut off lock itself.
pub const LEASE_SECONDS: u64 = 15 * 60;

/// A person's key and where it lies.
pub struct Keyring {
    keys: BTreeMap<Person, (SecretKey, PathBuf)>,
}

/// 32 random bytes of the system.
pub fn seed() -> Result<[u8; 32], DemoError> {
    let mut seed = [0; 32];
    getrandom::fill(&mut seed).map_err(|e| DemoError::Random(e.to_string()))?;
    Ok(seed)
}

/// Makes a key and writes its file; only the owner may read it.
pub fn make_key(path: &Path, comment: &str) -> Result<SecretKey, DemoError> {
    let key = SecretKey::from_seed(&seed()?);
    write_private(path, key.to_text(comment).as_bytes()).map_err(|e| DemoError::Write(path.to_owned(), e))?;
    Ok(key)
}

impl Keyring {
    /// One key a person, in `<dir>/<person>.key`.
    pub fn make(dir: &Path) -> Result<Self, DemoError> {
        let one = |(name, _): &(&str, _)| {
            let path = dir.join(format!("{name}.key"));
            Ok((Person::new(name)?, (make_key(&path, name)?, path)))
        };
        Ok(Self { keys: PEOPLE.iter().map(one).collect::<Result<_, DemoError>>()? })
    }

    pub fn path(&self, person: &str) -> Option<&Path> {
        let person = Person::new(person).ok()?;
        self.keys.get(&person).map(|(_, path)| path.as_path())
    }

    fn actors(&self) -> Result<BTreeMap<Person, Actor>, BadName> {
        let groups: BTreeMap<_, _> = PEOPLE.into_iter().collect();
        let one = |(person, (key, _)): (&Person, &(SecretKey, PathBuf))| {
            let held = groups.get(person.as_str()).copied().unwrap_or_default();
            let key =
                ActorKey { algorithm: Algorithm::Ed25519, public: key.public().into(), independent: true, proof: None };
            let actor = Actor {
                groups: held.iter().map(Group::new).collect::<Result<_, _>>()?,
                keys: BTreeMap::from([(KeyName::new(KEY)?, key)]),
                subject: None,
            };
            Ok((person.clone(), actor))
        };
        self.keys.iter().map(one).collect()
    }
}

/// What a tenant of the demo is founded with.
pub struct Founding<'a> {
    pub deployment: &'a Deployment,
    pub name: &'a str,
    pub regions: BTreeMap<Region, RegionIdentity>,
    pub system: &'a str,
    pub callers: BTreeSet<CallerRule>,
    pub policy: Digest,
    pub lease_key: PublicKey,
}

impl Founding<'_> {
    /// Version 1, signed by everyone in it.
    pub fn sign(&self, people: &Keyring) -> Result<Genesis, DemoError> {
        let rules = ChangeKind::ALL.into_iter().map(|kind| Ok((kind, Rule::default_for(kind)?)));
        let residency: BTreeSet<Jurisdiction> = self.regions.values().map(|r| r.jurisdiction.clone()).collect();
        let root = TrustRoot {
            domain: Kind::Trust.domain(),
            deployment: self.deployment.clone(),
            tenant: None,
            name: TenantName::new(self.name)?,
            version: 1,
            previous: None,
            actors: people.actors()?,
            rules: rules.collect::<Result<_, BadName>>()?,
            policy: self.policy,
            lease: LeaseTerms { seconds: LEASE_SECONDS, key: self.lease_key },
            l1: L1Terms { grace: 24 * 3600, resume: L1Resume::Probe },
            residency,
            regions: self.regions.clone(),
            systems: BTreeSet::from([System::new(self.system)?]),
            callers: self.callers.clone(),
            carried: BTreeSet::new(),
            webauthn: None,
            recovery: None,
            delegations: BTreeSet::new(),
            void: BTreeSet::new(),
        };
        root.check()?;
        let bytes = root.to_bytes().map_err(orbital::trust::BadTrust::from)?;
        let sign =
            |(person, (key, _)): (&Person, &(SecretKey, PathBuf))| (person.clone(), key.sign(Kind::Trust, &bytes));
        Ok(Genesis { signatures: people.keys.iter().map(sign).collect(), root: bytes })
    }
}
