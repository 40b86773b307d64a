//! A tenant for tests: people with seeded keys, a genesis, and certificates signed by whomever a test names.
//!
//! Behind the feature `testing`; no product code may turn it on. Everything is drawn from a seed, so that a failure replays. The people are
//! those of the demo, with a second one wherever a rule must be met with any one person gone:
//! alice, frank (Security_Ops), bob, grace (Compliance_Legal), carol, dave, heidi (Senior_Leadership), erin, ivan (Super_Admin and Admin),
//! judy, karl (Audit).

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a builder for tests: a wrong name in a test should stop that test where it stands"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::atomic::{AtomicU64, Ordering},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::{
    canon::Text,
    certificate::{Certificate, Certified},
    chain::{Chain, Genesis},
    change::{Action, Change, ChangeKind, L1Ref},
    directive::Warrant,
    enrol::Enrolment,
    halt::Halt,
    names::{Deployment, Digest, Group, Jurisdiction, KeyName, KeyRef, Person, Region, System, TenantId, TenantName},
    quorum::Rule,
    recovery::{self, RECOVERY_DELAY_SECONDS_MIN, RECOVERY_EPOCH_STEP, RecoveryTerms},
    sign::{Kind, PublicKey, SecretKey, Signed, SignedBy},
    trust::{Actor, ActorKey, Algorithm, Anchor, CallerRule, L1Resume, L1Terms, LeaseTerms, RegionIdentity, TrustRoot},
    vote::{Role, Signer, Vote},
};

pub mod authenticator;

/// Each person and their groups.
pub const PEOPLE: [(&str, &[&str]); 11] = [
    ("alice", &["Security_Ops"]),
    ("frank", &["Security_Ops"]),
    ("bob", &["Compliance_Legal"]),
    ("grace", &["Compliance_Legal"]),
    ("carol", &["Senior_Leadership"]),
    ("dave", &["Senior_Leadership"]),
    ("heidi", &["Senior_Leadership"]),
    ("erin", &["Super_Admin", "Admin"]),
    ("ivan", &["Super_Admin", "Admin"]),
    ("judy", &["Audit"]),
    ("karl", &["Audit"]),
];
/// Each region and the country that it lies in.
pub const REGIONS: [(&str, &str); 3] = [("eu-frankfurt", "DE"), ("ch-zurich", "CH"), ("us-east", "US")];
/// The one key that each person of the genesis has.
pub const KEY: &str = "key-1";
/// The system of the genesis.
pub const SYSTEM: &str = "orders";
/// A time at which nothing has expired: Unix seconds.
pub const NOW: u64 = 1_800_000_000;
/// When collecting ends, unless a test says otherwise: the year 2100, so that tests against a real clock hold too.
pub const EXPIRES: u64 = 4_102_444_800;

/// A tenant, its people and its keys.
pub struct World {
    /// When the collecting of the next certificates ends: Unix seconds.
    pub expires: u64,
    /// The epoch that the next changes carry.
    pub epoch: u64,
    seed: String,
    people: BTreeMap<Person, SecretKey>,
    lease: SecretKey,
    reports: BTreeMap<Region, SecretKey>,
    genesis: Genesis,
    chain: Chain,
    nonces: AtomicU64,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// Tenant `acme` of deployment `test`.
    pub fn new() -> Self {
        Self::of("test", "acme")
    }

    /// Another tenant or deployment, with keys of its own.
    pub fn of(deployment: &str, tenant: &str) -> Self {
        Self::founded(deployment, tenant, |_| ())
    }

    /// A tenant whose genesis a test alters before it is signed.
    pub fn founded(deployment: &str, tenant: &str, alter: impl FnOnce(&mut TrustRoot)) -> Self {
        let seed = format!("{deployment}/{tenant}");
        let people: BTreeMap<_, _> = PEOPLE.iter().map(|(name, _)| (person(name), secret(&seed, name))).collect();
        let reports: BTreeMap<_, _> = REGIONS.iter().map(|(name, _)| (region(name), secret(&seed, name))).collect();
        let lease = secret(&seed, "lease");
        let mut root = first_root(&seed, deployment, tenant, lease.public());
        alter(&mut root);
        let bytes = root.to_bytes().unwrap();
        let sign = |name: &Person| (name.clone(), people[name].sign(Kind::Trust, &bytes));
        let genesis = Genesis { signatures: root.actors.keys().map(sign).collect(), root: bytes };
        let chain = genesis.found().expect("the altered genesis is not valid");
        Self { expires: EXPIRES, epoch: 1, seed, people, lease, reports, genesis, chain, nonces: AtomicU64::new(0) }
    }

    /// Version 1, signed by everyone in it.
    pub fn genesis(&self) -> Genesis {
        self.genesis.clone()
    }
    /// The chain as far as [`World::extend`] took it.
    pub fn chain(&self) -> &Chain {
        &self.chain
    }
    pub fn trust(&self) -> &TrustRoot {
        self.chain.current()
    }
    pub fn tenant(&self) -> TenantId {
        self.chain.tenant()
    }
    pub fn deployment(&self) -> Deployment {
        self.trust().deployment.clone()
    }
    /// A person's secret key.
    pub fn key(&self, name: &str) -> &SecretKey {
        &self.people[&person(name)]
    }
    /// The secret half of a region's report key.
    pub fn report_key(&self, name: &str) -> &SecretKey {
        &self.reports[&region(name)]
    }
    /// The secret half of the lease key.
    pub fn lease_key(&self) -> &SecretKey {
        &self.lease
    }

    /// A change under the current version, for every region, each with a nonce of its own.
    pub fn change(&self, action: Action) -> Change {
        Change {
            domain: Kind::Change.domain(),
            deployment: self.deployment(),
            tenant: self.tenant(),
            trust_version: self.chain.version(),
            epoch: self.epoch,
            regions: self.trust().regions.keys().cloned().collect(),
            reason: Text::new("a test").unwrap(),
            nonce: self.nonce("change"),
            evidence: None,
            armed: None,
            action,
        }
    }

    /// `name` as a signer with the key of the genesis.
    pub fn signer(&self, name: &str) -> Signer<'_> {
        Signer {
            person: person(name),
            key: KeyName::new(KEY).unwrap(),
            secret: self.key(name),
            origin: Text::new("cli").unwrap(),
            nonce: self.nonce(name),
        }
    }

    /// The signed proposal of a change's canonical bytes under the current version.
    pub fn propose(&self, change: &[u8], proposer: &str) -> Signed {
        Vote::propose(change, self.trust(), self.expires, &self.signer(proposer)).unwrap()
    }

    /// `name`'s signed answer to a proposal.
    pub fn answer(&self, role: Role, proposal: &Signed, name: &str) -> Signed {
        Vote::answer(role, proposal, &self.signer(name)).unwrap()
    }

    /// A change with the signatures of these people, enough or not.
    pub fn sign_change(&self, change: &Change, proposer: &str, approvers: &[&str]) -> Certificate {
        let change = change.to_bytes().unwrap();
        let proposal = self.propose(&change, proposer);
        let approvals = approvers.iter().map(|name| self.answer(Role::Approve, &proposal, name)).collect();
        Certificate { change, proposal, approvals, confirmations: Vec::new() }
    }

    /// An action under the current version with the signatures of these people, enough or not.
    pub fn certificate(&self, action: Action, proposer: &str, approvers: &[&str]) -> Certificate {
        self.sign_change(&self.change(action), proposer, approvers)
    }

    /// The version that follows the current one, altered by a test; it is not certified yet.
    pub fn next(&self, alter: impl FnOnce(&mut TrustRoot)) -> Box<TrustRoot> {
        let mut next = self.chain.successor();
        alter(&mut next);
        Box::new(next)
    }

    /// Makes the certified version the current one.
    pub fn extend(&mut self, certificate: &Certificate) -> Certified {
        let (chain, certified) = self.chain.extend(certificate).expect("the certificate does not extend the chain");
        self.chain = chain;
        certified
    }

    /// A certificate as it crosses, for a region that has all links.
    pub fn warrant(&self, certificate: Certificate) -> Warrant {
        Warrant { tenant: self.tenant(), links: Vec::new(), certificate }
    }

    /// LinkL1 to a key of this name, certified by the default rule.
    pub fn link(&self, key: &str) -> Certificate {
        self.certificate(link_l1(key), "alice", &["bob"])
    }
    /// RevokeL1, certified by the default rule.
    pub fn kill(&self) -> Certificate {
        self.certificate(Action::RevokeL1 {}, "carol", &["dave"])
    }
    /// RestoreL1 of these kills, certified by the default rule.
    pub fn restore(&self, kills: impl IntoIterator<Item = Digest>) -> Certificate {
        let kills = kills.into_iter().collect();
        self.certificate(Action::RestoreL1 { kills }, "alice", &["bob", "carol", "dave"])
    }

    /// The change that sets this halt, certified by the default rule.
    pub fn halt(&self, halt: Halt) -> Certificate {
        self.certificate(halt.action(), "carol", &["dave"])
    }
    /// The change that lifts these, certified by the default rules.
    pub fn lift(&self, halt: Halt, names: impl IntoIterator<Item = Digest>) -> Certificate {
        self.certificate(halt.lifting(names.into_iter().collect()), "alice", &["bob", "carol", "dave"])
    }

    /// 16 bytes that no other call of this world returns, base64url.
    fn nonce(&self, purpose: &str) -> String {
        let count = self.nonces.fetch_add(1, Ordering::Relaxed);
        let digest = Kind::Leaf.digest(format!("{}/{purpose}/{count}", self.seed).as_bytes());
        URL_SAFE_NO_PAD.encode(&digest.as_bytes()[..16])
    }
}

fn first_root(seed: &str, deployment: &str, tenant: &str, lease: PublicKey) -> TrustRoot {
    let regions = REGIONS.iter().map(|(name, country)| {
        let identity = RegionIdentity {
            jurisdiction: Jurisdiction::new(country).unwrap(),
            report_key: secret(seed, name).public(),
            hpke_key: secret(seed, &format!("{name}/hpke")).public(),
        };
        (region(name), identity)
    });
    let caller = CallerRule {
        anchor: Anchor::Fingerprint { digest: Kind::Leaf.digest(seed.as_bytes()) },
        system: System::new(SYSTEM).unwrap(),
        name: None,
    };
    TrustRoot {
        domain: Kind::Trust.domain(),
        deployment: Deployment::new(deployment).unwrap(),
        tenant: None,
        name: TenantName::new(tenant).unwrap(),
        version: 1,
        previous: None,
        actors: PEOPLE
            .iter()
            .map(|(name, groups)| (person(name), actor(groups, secret(seed, name).public())))
            .collect(),
        rules: ChangeKind::ALL.into_iter().map(|kind| (kind, Rule::default_for(kind).unwrap())).collect(),
        policy: Kind::Policy.digest(b""),
        lease: LeaseTerms { seconds: 3_600, key: lease },
        l1: L1Terms { grace: 0, resume: L1Resume::Probe },
        residency: REGIONS.iter().map(|(_, country)| Jurisdiction::new(country).unwrap()).collect(),
        regions: regions.collect(),
        systems: BTreeSet::from([System::new(SYSTEM).unwrap()]),
        callers: BTreeSet::from([caller]),
        carried: BTreeSet::new(),
        webauthn: None,
        recovery: None,
        delegations: BTreeSet::new(),
        void: BTreeSet::new(),
    }
}

/// A person of these groups with one key.
pub fn actor(groups: &[&str], public: PublicKey) -> Actor {
    let key = ActorKey { algorithm: Algorithm::Ed25519, public: public.into(), independent: true, proof: None };
    Actor {
        groups: groups.iter().map(|g| Group::new(g).unwrap()).collect(),
        keys: BTreeMap::from([(KeyName::new(KEY).unwrap(), key)]),
        subject: None,
    }
}

impl World {
    /// Somebody new of these groups, with the key [`newcomer_key`] that has enrolled itself.
    pub fn newcomer(&self, name: &str, groups: &[&str]) -> Actor {
        let key = newcomer_key(name);
        let mut actor = actor(groups, key.public());
        actor.keys.values_mut().for_each(|entry| *entry = self.enrolled(name, &key));
        actor
    }

    /// A key that says itself that it is this person's.
    pub fn enrolled(&self, name: &str, key: &SecretKey) -> ActorKey {
        let (algorithm, public) = (Algorithm::Ed25519, key.public().into());
        let enrolment = Enrolment::new(self.tenant(), person(name), algorithm, public);
        let proof = Some(enrolment.sign(key).unwrap().signature);
        ActorKey { algorithm, public, independent: true, proof }
    }
}

/// Two of three cold keys, with the shortest delay.
pub fn recovery_terms() -> RecoveryTerms {
    let keys = ["north", "east", "south"].map(|name| recovery_key(name).public()).into();
    RecoveryTerms { keys, need: 2, delay_seconds: RECOVERY_DELAY_SECONDS_MIN }
}

/// The secret key of a holder of [`recovery_terms`].
pub fn recovery_key(name: &str) -> SecretKey {
    secret("recovery", name)
}

impl World {
    /// A change that these holders have signed as a recovery, enough or not. At least one.
    pub fn recovery(&self, action: Action, holders: &[&str]) -> Certificate {
        let change = self.change(action);
        let change = Change { epoch: self.epoch + RECOVERY_EPOCH_STEP, ..change }.to_bytes().unwrap();
        let sign = |name: &&str| {
            recovery::sign(&change, self.trust(), self.expires, (&recovery_key(name), self.nonce(name))).unwrap()
        };
        let mut signed: Vec<_> = holders.iter().map(sign).collect();
        Certificate { proposal: signed.remove(0), change, approvals: signed, confirmations: Vec::new() }
    }
}

/// The secret key of somebody who is not in any genesis.
pub fn newcomer_key(name: &str) -> SecretKey {
    secret("newcomer", name)
}

/// The secret key of this name in the world of this seed, which is `deployment/tenant`.
pub fn secret(seed: &str, name: &str) -> SecretKey {
    SecretKey::from_seed(Kind::Leaf.digest(format!("{seed}/{name}").as_bytes()).as_bytes())
}

/// LinkL1 to a key of this name at the provider `soft`.
pub fn link_l1(key: &str) -> Action {
    Action::LinkL1 { l1: L1Ref { provider: System::new("soft").unwrap(), key: KeyRef::new(key).unwrap() } }
}

/// The statement with one bit of its signature turned.
pub fn spoilt(mut signed: Signed) -> Signed {
    match &mut signed.signature {
        SignedBy::Key(signature) => signature.0[5] ^= 1,
        SignedBy::Passkey(assertion) => *assertion.signature.last_mut().unwrap() ^= 1,
    }
    signed
}

pub fn person(name: &str) -> Person {
    Person::new(name).unwrap()
}

pub fn region(name: &str) -> Region {
    Region::new(name).unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::certificate::certify;

    #[test]
    fn the_world_certifies_what_its_rules_allow() {
        let mut world = World::new();
        for certificate in [world.link("k"), world.kill(), world.restore([Digest([1; 32])])] {
            certify(&certificate, world.chain(), NOW).unwrap();
        }
        let system = System::new("billing").unwrap();
        let next = world.next(|root| assert!(root.systems.insert(system.clone())));
        let certificate = world.certificate(Action::RegisterSystem { system, next }, "alice", &["bob"]);
        world.extend(&certificate);
        assert_eq!(world.chain().version(), 2);
    }

    #[test]
    fn worlds_of_one_seed_are_equal_and_others_are_not() {
        assert_eq!(World::new().tenant(), World::new().tenant());
        assert_ne!(World::new().tenant(), World::of("test", "globex").tenant());
        assert_ne!(World::new().tenant(), World::of("other", "acme").tenant());
    }
}
