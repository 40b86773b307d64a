//! The trust root: who a tenant's people are, and who must sign what. One version follows the other in a chain.
//!
//! Version 1 is the genesis; its digest is the tenant's id. Each later version names its predecessor's digest and is certified under it
//! ([`crate::chain`]). All of PROTOCOL's members stand in the format from the first version on.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    canon::{self, Malformed, Text},
    certificate,
    change::ChangeKind,
    delegation::{DELEGATIONS_MAX, Delegation},
    names::{Deployment, Digest, Group, Jurisdiction, KeyName, Person, Region, System, TenantId, TenantName},
    quorum::{self, Rule, Verify},
    recovery::RecoveryTerms,
    sign::{Kind, PersonKey, PublicKey, SignedBy},
};

/// Most persons in one trust root.
pub const ACTORS_MAX: usize = 256;
/// Most keys of one person.
pub const KEYS_PER_ACTOR_MAX: usize = 16;
/// Largest trust root, in bytes: a change that carries the next one has to fit into [`canon::STATEMENT_BYTES_MAX`] too.
pub const ROOT_BYTES_MAX: usize = canon::STATEMENT_BYTES_MAX / 2;
/// Most caller rules in one trust root.
pub const CALLERS_MAX: usize = 1_024;
/// Most versions that one trust root declares void.
pub const VOID_MAX: usize = 64;

/// How a key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    Ed25519,
    /// A passkey: ES256 or EdDSA, as its key is. It counts under the terms of the trust root alone ([`crate::webauthn`]).
    Webauthn,
}

/// One key of one person. One key, one person, one use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActorKey {
    pub algorithm: Algorithm,
    pub public: PersonKey,
    /// Not made or held by anything of governance: a CLI key, or a passkey of a foreign origin (PROTOCOL §3).
    pub independent: bool,
    /// The key's own signature over its enrolment, where it entered after genesis ([`crate::enrol`]).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<SignedBy>,
}

/// A person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Actor {
    pub groups: BTreeSet<Group>,
    pub keys: BTreeMap<KeyName, ActorKey>,
    /// Issuer and subject at the identity provider, where there is one, as [`crate::subject`] writes them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
}

/// The terms of a region's lease (PROTOCOL §5).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseTerms {
    /// Seconds that a renewal is good for; 0 says unlimited.
    #[serde(with = "canon::decimal")]
    pub seconds: u64,
    /// Only this key renews. Governance holds it by default; the tenant may hold it itself.
    pub key: PublicKey,
}

/// What resumes a tenant after the customer's KMS refused and then allowed again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum L1Resume {
    Probe,
    Quorum,
}

/// What happens when the customer's KMS does not answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L1Terms {
    /// Seconds that cached keys serve on while L1 is unreachable; 0 says unlimited. Never unlimited together with the lease.
    #[serde(with = "canon::decimal")]
    pub grace: u64,
    pub resume: L1Resume,
}

/// A region as a tenant knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionIdentity {
    pub jurisdiction: Jurisdiction,
    /// Signs this region's SyncAcks.
    pub report_key: PublicKey,
    /// X25519: credentials are sealed to it.
    pub hpke_key: PublicKey,
}

/// What verifies a KMIP client's certificate chain, and so decides its tenant (PROTOCOL §8).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Anchor {
    /// A client CA: its certificate, DER.
    Ca {
        #[serde(with = "canon::bytes")]
        certificate: Vec<u8>,
    },
    /// One leaf certificate: SHA-256 of its DER.
    Fingerprint { digest: Digest },
}

/// An anchor and the system that its clients use.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerRule {
    pub anchor: Anchor,
    pub system: System,
    /// Narrows the anchor to certificates that carry this SAN URI, SAN DNS name or CN.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<System>,
}

/// Passkey terms: rpId, exact origins and algorithms (PROTOCOL §3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebauthnTerms {
    pub rp_id: String,
    pub origins: BTreeSet<String>,
    pub algorithms: BTreeSet<String>,
}

/// One version of a tenant's trust.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrustRoot {
    pub domain: String,
    pub deployment: Deployment,
    /// Absent in the genesis, whose digest it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    pub name: TenantName,
    #[serde(with = "canon::decimal")]
    pub version: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Digest>,
    pub actors: BTreeMap<Person, Actor>,
    pub rules: BTreeMap<ChangeKind, Rule>,
    /// Digest of the Cedar bundle.
    pub policy: Digest,
    pub lease: LeaseTerms,
    pub l1: L1Terms,
    pub residency: BTreeSet<Jurisdiction>,
    pub regions: BTreeMap<Region, RegionIdentity>,
    pub systems: BTreeSet<System>,
    pub callers: BTreeSet<CallerRule>,
    /// Certificates of earlier versions that stay good under this one, by digest of their change.
    pub carried: BTreeSet<Digest>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub webauthn: Option<WebauthnTerms>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<RecoveryTerms>,
    /// Who stands in for whom, and when ([`crate::delegation`]).
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub delegations: BTreeSet<Delegation>,
    /// Successors of earlier versions, by their digest, that the people of this chain declare void: what settles a fork ([`crate::fork`]).
    /// It only grows.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub void: BTreeSet<Digest>,
}

/// Why a trust root is not valid, whoever signed it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadTrust {
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("version {version} must {must}")]
    Shape { version: u64, must: &'static str },
    #[error("a trust root needs at least two persons with a key each, found {0}")]
    TooFewPersons(usize),
    #[error("{0} and {1} hold the same key: one key, one person")]
    SharedKey(Person, Person),
    #[error("the {use_of} is also a key of another use in this trust root: one key, one use")]
    ReusedKey { use_of: String },
    #[error("{0} and {1} are the same subject at the identity provider")]
    SharedSubject(Person, Person),
    #[error("key {key} of {person}: {why}")]
    Key { person: Person, key: KeyName, why: &'static str },
    #[error("the passkey terms: {0}")]
    Terms(&'static str),
    #[error("the delegation of {from} to {to}: {why}")]
    Delegation { from: Person, to: Person, why: &'static str },
    #[error("the recovery terms: {0}")]
    Recovery(&'static str),
    #[error("no rule for {0}: every kind of change needs one")]
    NoRule(ChangeKind),
    #[error("the rule for {kind} cannot be met: {why}")]
    Unmeetable { kind: ChangeKind, why: String },
    #[error("the rule for {0} is met by one group alone: only stops may be (PROTOCOL §3)")]
    OneGroup(ChangeKind),
    #[error("region {region} lies in {jurisdiction}, which the tenant's residency does not allow")]
    Residency { region: Region, jurisdiction: Jurisdiction },
    #[error("lease and L1 grace are both unlimited: a region cut off would serve for ever (PROTOCOL §5)")]
    NoLimit,
    #[error("caller rule for system {0}: the trust root names no such system")]
    UnknownSystem(System),
    #[error("the same client anchor stands for two systems without a name that tells them apart")]
    AmbiguousAnchor,
    #[error("too many {what}: at most {max}, found {found}")]
    TooMany { what: &'static str, max: usize, found: usize },
}

impl TrustRoot {
    pub fn to_bytes(&self) -> Result<Vec<u8>, Malformed> {
        canon::write("a trust root", self)
    }

    /// Reads canonical bytes and checks that the root is valid by itself.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, BadTrust> {
        let root: Self = canon::read("a trust root", bytes)?;
        root.check()?;
        Ok(root)
    }

    pub fn digest(&self) -> Result<Digest, Malformed> {
        Ok(Kind::Trust.digest(&self.to_bytes()?))
    }

    /// The tenant's id: the genesis's own digest, or what each later version carries.
    pub fn tenant_id(&self) -> Result<TenantId, Malformed> {
        match self.tenant {
            Some(id) => Ok(id),
            None => Ok(TenantId(self.digest()?)),
        }
    }

    pub fn rule(&self, kind: ChangeKind) -> Result<&Rule, BadTrust> {
        self.rules.get(&kind).ok_or(BadTrust::NoRule(kind))
    }

    /// Whether a key's signatures count: a passkey's do under terms that allow its algorithm.
    pub fn counts(&self, key: &ActorKey) -> bool {
        match (key.algorithm, &key.public) {
            (Algorithm::Ed25519, PersonKey::Ed25519(_)) => true,
            (Algorithm::Ed25519, PersonKey::P256(_)) => false,
            (Algorithm::Webauthn, public) => self.webauthn.as_ref().is_some_and(|terms| terms.admit(public)),
        }
    }

    /// Whether this person has a key that can prove so much.
    pub fn can_prove(&self, person: &Person, what: Verify) -> bool {
        let proves = |key: &ActorKey| what == Verify::Key || key.algorithm == Algorithm::Webauthn;
        self.actors.get(person).is_some_and(|a| a.keys.values().any(|key| proves(key) && self.counts(key)))
    }

    /// The most that this person's keys can prove.
    pub fn most(&self, person: &Person) -> Verify {
        if self.can_prove(person, Verify::User) { Verify::User } else { Verify::Key }
    }

    /// With another version's people, and what else a change of people may alter.
    pub(crate) fn take_people_of(&mut self, other: &Self) {
        self.actors = other.actors.clone();
        self.recovery = other.recovery.clone();
        self.delegations = other.delegations.clone();
        self.webauthn = other.webauthn.clone();
        self.void = other.void.clone();
    }

    /// Everything that a version must hold by itself, whoever certified it.
    pub fn check(&self) -> Result<(), BadTrust> {
        self.check_shape()?;
        self.check_limits()?;
        self.check_terms()?;
        self.check_persons()?;
        self.check_uses()?;
        self.check_regions()?;
        self.check_callers()?;
        self.check_delegations()?;
        for kind in ChangeKind::ALL {
            quorum::check_rule(self, kind, self.rule(kind)?)?;
        }
        certificate::check_independent(self)
    }

    fn check_shape(&self) -> Result<(), BadTrust> {
        let shape = |must| Err(BadTrust::Shape { version: self.version, must });
        match (self.version, self.tenant, self.previous) {
            _ if self.domain != Kind::Trust.domain() => shape("be of domain openkcm/trust/v1"),
            (0, _, _) => shape("count from 1"),
            (1, None, None) => Ok(()),
            (1, _, _) => shape("name neither tenant nor predecessor: the genesis is both"),
            (_, Some(_), Some(_)) => Ok(()),
            _ => shape("name its tenant and its predecessor's digest"),
        }
    }

    fn check_limits(&self) -> Result<(), BadTrust> {
        let limit = |what, max, found| if found > max { Err(BadTrust::TooMany { what, max, found }) } else { Ok(()) };
        limit("persons", ACTORS_MAX, self.actors.len())?;
        limit("caller rules", CALLERS_MAX, self.callers.len())?;
        limit("delegations", DELEGATIONS_MAX, self.delegations.len())?;
        limit("void versions", VOID_MAX, self.void.len())?;
        limit("bytes", ROOT_BYTES_MAX, self.to_bytes()?.len())?;
        self.actors.values().try_for_each(|a| limit("keys of one person", KEYS_PER_ACTOR_MAX, a.keys.len()))?;
        if self.lease.seconds == 0 && self.l1.grace == 0 { Err(BadTrust::NoLimit) } else { Ok(()) }
    }

    fn check_terms(&self) -> Result<(), BadTrust> {
        if let Some(why) = self.webauthn.as_ref().and_then(WebauthnTerms::fault) {
            return Err(BadTrust::Terms(why));
        }
        if let Some(why) = self.recovery.as_ref().and_then(RecoveryTerms::fault) {
            return Err(BadTrust::Recovery(why));
        }
        let mut all =
            self.actors.iter().flat_map(|(person, a)| a.keys.iter().map(move |(name, key)| (person, name, key)));
        let foreign = |k: &ActorKey| k.algorithm == Algorithm::Ed25519 && matches!(k.public, PersonKey::P256(_));
        match all.find(|(.., key)| foreign(key)) {
            None => Ok(()),
            Some((person, key, _)) => {
                let why = "a key of P-256 is a passkey's: its algorithm is webauthn";
                Err(BadTrust::Key { person: person.clone(), key: key.clone(), why })
            }
        }
    }

    fn check_persons(&self) -> Result<(), BadTrust> {
        let signing = self.actors.keys().filter(|person| self.can_prove(person, Verify::Key)).count();
        if signing < 2 {
            return Err(BadTrust::TooFewPersons(signing));
        }
        let (mut keys, mut subjects) = (BTreeMap::new(), BTreeMap::new());
        for (person, actor) in &self.actors {
            for key in actor.keys.values() {
                if let Some(other) = keys.insert(key.public, person) {
                    return Err(BadTrust::SharedKey(other.clone(), person.clone()));
                }
            }
            // Checked as text, so that no two spellings of one subject pass for two.
            if let Some(subject) = &actor.subject
                && Text::new(subject.as_str())?.as_str() == subject
                && let Some(other) = subjects.insert(subject, person)
            {
                return Err(BadTrust::SharedSubject(other.clone(), person.clone()));
            }
        }
        Ok(())
    }

    /// One key, one use (PROTOCOL §2): a region's report key that signs votes, too, would make each a spare of the other.
    fn check_uses(&self) -> Result<(), BadTrust> {
        let mut seen: BTreeSet<_> = self.actors.values().flat_map(|a| a.keys.values()).map(|k| k.public).collect();
        let regions = self.regions.iter().flat_map(|(name, r)| {
            [(format!("report key of {name}"), r.report_key), (format!("HPKE key of {name}"), r.hpke_key)]
        });
        let recovery = self.recovery.iter().flat_map(|r| &r.keys).map(|k| ("recovery key".to_owned(), *k));
        let lease = std::iter::once(("lease key".to_owned(), self.lease.key));
        match regions.chain(recovery).chain(lease).find(|(_, key)| !seen.insert(PersonKey::from(*key))) {
            None => Ok(()),
            Some((use_of, _)) => Err(BadTrust::ReusedKey { use_of }),
        }
    }

    fn check_regions(&self) -> Result<(), BadTrust> {
        match self.regions.iter().find(|(_, r)| !self.residency.iter().any(|allowed| allowed.holds(&r.jurisdiction))) {
            None => Ok(()),
            Some((region, r)) => {
                Err(BadTrust::Residency { region: region.clone(), jurisdiction: r.jurisdiction.clone() })
            }
        }
    }

    fn check_callers(&self) -> Result<(), BadTrust> {
        let mut anchors = BTreeMap::new();
        for rule in &self.callers {
            if !self.systems.contains(&rule.system) {
                return Err(BadTrust::UnknownSystem(rule.system.clone()));
            }
            let others: &mut Vec<_> = anchors.entry(&rule.anchor).or_default();
            if others.iter().any(|o: &&CallerRule| o.name == rule.name || o.name.is_none() || rule.name.is_none()) {
                return Err(BadTrust::AmbiguousAnchor);
            }
            others.push(rule);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
