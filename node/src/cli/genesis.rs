//! A tenant's genesis from a description that people write: TOML with names and public keys, rules only where they differ from the
//! default. The demo makes its tenants through the same functions.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use orbital::{
    chain::Genesis,
    change::ChangeKind,
    names::{Deployment, Digest, Group, Jurisdiction, KeyName, Person, Region, System, TenantId, TenantName},
    quorum::{Need, Rule, Verify},
    recovery::RecoveryTerms,
    sign::{Kind, PublicKey, SecretKey},
    trust::{
        Actor, ActorKey, Algorithm, Anchor, CallerRule, L1Resume, L1Terms, LeaseTerms, RegionIdentity, TrustRoot,
        WebauthnTerms,
    },
};
use serde::Deserialize;

use super::{caller, exit::Failure, plain};

/// A tenant as people describe it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Spec {
    pub deployment: Deployment,
    pub name: TenantName,
    #[serde(default)]
    pub residency: BTreeSet<Jurisdiction>,
    /// Digest of the Cedar bundle; this release's default bundle where absent.
    pub policy: Option<Digest>,
    pub lease: LeaseSpec,
    #[serde(default)]
    pub l1: L1Spec,
    pub actors: BTreeMap<Person, ActorSpec>,
    /// None of a site's: its people decide about topologies alone.
    #[serde(default)]
    pub regions: BTreeMap<Region, RegionSpec>,
    #[serde(default)]
    pub systems: BTreeSet<System>,
    #[serde(default)]
    pub callers: Vec<CallerSpec>,
    #[serde(default)]
    pub rules: BTreeMap<ChangeKind, RuleSpec>,
    /// Under which terms passkeys sign: `rp_id`, exact `origins`, `algorithms` (ES256, EdDSA).
    pub webauthn: Option<WebauthnTerms>,
    /// Which cold keys recover the tenant when no quorum is left: `keys`, `need`, `delay_seconds` (72 hours at least).
    pub recovery: Option<RecoverySpec>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseSpec {
    /// Public key that renews.
    pub key: PublicKey,
    /// 0 says unlimited.
    #[serde(default = "day")]
    pub seconds: u64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct L1Spec {
    /// Seconds; 0 says unlimited.
    #[serde(default = "day")]
    pub grace: u64,
    #[serde(default = "probe")]
    pub resume: L1Resume,
}

impl Default for L1Spec {
    fn default() -> Self {
        Self { grace: day(), resume: probe() }
    }
}

fn day() -> u64 {
    24 * 3600
}
fn probe() -> L1Resume {
    L1Resume::Probe
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActorSpec {
    pub groups: BTreeSet<Group>,
    /// Ed25519 public keys, as `kcm actor keygen` prints them, by name.
    pub keys: BTreeMap<KeyName, PublicKey>,
    /// Issuer and subject at the identity provider, `ISSUER#SUBJECT`: so they sign in, and so their certificates name them.
    pub subject: Option<String>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionSpec {
    pub jurisdiction: Jurisdiction,
    pub report_key: PublicKey,
    pub hpke_key: PublicKey,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CallerSpec {
    pub system: System,
    /// PEM file of a client CA, or of one client certificate.
    pub ca: Option<PathBuf>,
    pub fingerprint: Option<PathBuf>,
    pub name: Option<System>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RuleSpec {
    /// How many of each group.
    pub need: BTreeMap<Group, u64>,
    #[serde(default = "yes")]
    pub disjoint: bool,
    /// What a signature must prove: `key`, or `user` for passkeys with user verification alone.
    #[serde(default = "key")]
    pub verify: Verify,
    #[serde(default)]
    pub confirm: bool,
    #[serde(default = "day")]
    pub expires_seconds: u64,
}

fn key() -> Verify {
    Verify::Key
}

fn yes() -> bool {
    true
}

impl RuleSpec {
    pub(crate) fn rule(self) -> Rule {
        let need = self.need.into_iter().map(|(group, count)| Need { group, count }).collect();
        let Self { disjoint, verify, confirm, expires_seconds, .. } = self;
        Rule { need, disjoint, verify, confirm, expires_seconds }
    }
}

/// A key of the command line: nothing of governance made or holds it.
pub(crate) fn actor_key(public: PublicKey) -> ActorKey {
    ActorKey { algorithm: Algorithm::Ed25519, public: public.into(), independent: true, proof: None }
}

/// Reads a description (files in it lie beside `folder`) and makes the genesis, as yet unsigned.
pub fn compose(text: &str, folder: &Path) -> Result<(Genesis, TrustRoot), Failure> {
    let spec: Spec = toml::from_str(text).map_err(|e| {
        Failure::usage("the description does not read")
            .because(e.to_string().trim_end())
            .fix("correct the line that is named")
    })?;
    let root = root(spec, folder)?;
    root.check().map_err(invalid)?;
    let bytes = root.to_bytes().map_err(super::compose::unsignable)?;
    Ok((Genesis { root: bytes, signatures: BTreeMap::new() }, root))
}

fn invalid(why: impl std::fmt::Display) -> Failure {
    Failure::usage("the description makes no valid tenant").because(why).fix("correct the description")
}

fn root(spec: Spec, folder: &Path) -> Result<TrustRoot, Failure> {
    let mut rules = BTreeMap::new();
    for kind in ChangeKind::ALL {
        rules.insert(kind, Rule::default_for(kind).map_err(invalid)?);
    }
    rules.extend(spec.rules.into_iter().map(|(kind, rule)| (kind, rule.rule())));
    let policy = match spec.policy {
        Some(digest) => digest,
        None => policy::Bundle::default_bundle().map_err(invalid)?.digest(),
    };
    let callers: Result<BTreeSet<_>, Failure> = spec.callers.into_iter().map(|c| caller_rule(c, folder)).collect();
    let region =
        |r: RegionSpec| RegionIdentity { jurisdiction: r.jurisdiction, report_key: r.report_key, hpke_key: r.hpke_key };
    let actor = |a: ActorSpec| Actor {
        groups: a.groups,
        keys: a.keys.into_iter().map(|(name, public)| (name, actor_key(public))).collect(),
        subject: a.subject,
    };
    Ok(TrustRoot {
        domain: Kind::Trust.domain(),
        deployment: spec.deployment,
        tenant: None,
        name: spec.name,
        version: 1,
        previous: None,
        actors: spec.actors.into_iter().map(|(person, a)| (person, actor(a))).collect(),
        rules,
        policy,
        lease: LeaseTerms { seconds: spec.lease.seconds, key: spec.lease.key },
        l1: L1Terms { grace: spec.l1.grace, resume: spec.l1.resume },
        residency: spec.residency,
        regions: spec.regions.into_iter().map(|(name, r)| (name, region(r))).collect(),
        systems: spec.systems,
        callers: callers?,
        carried: BTreeSet::new(),
        webauthn: spec.webauthn,
        recovery: spec.recovery.map(|r| RecoveryTerms { keys: r.keys, need: r.need, delay_seconds: r.delay_seconds }),
        delegations: BTreeSet::new(),
        void: BTreeSet::new(),
    })
}

/// Which cold keys recover the tenant.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoverySpec {
    pub keys: BTreeSet<PublicKey>,
    pub need: u64,
    pub delay_seconds: u64,
}

fn caller_rule(spec: CallerSpec, folder: &Path) -> Result<CallerRule, Failure> {
    let beside = |path: &PathBuf| folder.join(path);
    let anchor: Anchor = match (&spec.ca, &spec.fingerprint) {
        (Some(ca), None) => caller::ca(&beside(ca))?,
        (None, Some(leaf)) => caller::leaf(&beside(leaf))?,
        _ => {
            return Err(invalid(format!(
                "the caller of system {} names not exactly one of ca, fingerprint",
                spec.system
            )));
        }
    };
    Ok(CallerRule { anchor, system: spec.system, name: spec.name })
}

/// The root of a genesis, checked, whoever has signed it so far.
pub fn read(genesis: &Genesis) -> Result<TrustRoot, Failure> {
    TrustRoot::from_bytes(&genesis.root).map_err(|e| {
        Failure::usage("the genesis is not valid").because(e).fix("make it anew with `kcm tenant genesis`")
    })
}

/// The tenant that a genesis founds.
pub fn id(genesis: &Genesis) -> TenantId {
    TenantId(Kind::Trust.digest(&genesis.root))
}

/// Adds one person's signature.
pub fn sign(genesis: &mut Genesis, person: &Person, secret: &SecretKey) {
    genesis.signatures.insert(person.clone(), secret.sign(Kind::Trust, &genesis.root));
}

/// A trust root in sentences.
pub(crate) fn sentences(root: &TrustRoot) -> Vec<String> {
    let words = |items: Vec<String>| if items.is_empty() { "none".to_owned() } else { items.join(", ") };
    let mut lines = vec![format!("Deployment {}.", root.deployment)];
    for (person, actor) in &root.actors {
        let groups = words(actor.groups.iter().map(ToString::to_string).collect());
        let keys = words(actor.keys.iter().map(|(name, key)| format!("{name} {}", plain::public(key))).collect());
        lines.push(format!("Person {person}: {groups}; keys: {keys}."));
    }
    for (name, region) in &root.regions {
        lines.push(format!("Region {name} in {}, report key {}.", region.jurisdiction, region.report_key));
    }
    if root.regions.is_empty() {
        lines.push(
            "No region: nothing of it can have keys. It is a site's trust root, whose people decide about topologies."
                .to_owned(),
        );
    }
    lines.push(format!("Residency: {}.", words(root.residency.iter().map(ToString::to_string).collect())));
    lines.push(format!("Systems: {}.", words(root.systems.iter().map(ToString::to_string).collect())));
    lines.extend(root.callers.iter().map(|rule| format!("Caller: {}.", plain::caller(rule))));
    lines.extend(root.rules.iter().map(|(kind, rule)| plain::rule(*kind, rule)));
    lines.extend(plain::terms(root).map(|term| format!("A region: {term}.")));
    lines.extend(root.webauthn.iter().map(|terms| format!("{}.", plain::passkeys(Some(terms)))));
    lines.extend(root.delegations.iter().map(|d| format!("{}.", plain::delegation(d))));
    lines.extend(root.recovery.iter().map(|terms| format!("{}.", plain::recovery(Some(terms)))));
    lines.push(format!("Policy bundle {}.", root.policy));
    lines
}
