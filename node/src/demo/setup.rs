//! What the demo writes before anything runs: certificates, keys, geneses, the topology and `demo.json`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File, TryLockError},
    net::SocketAddr,
    path::{Path, PathBuf},
};

use orbital::{
    chain::Genesis,
    names::{Deployment, Jurisdiction, NodeName, Person, Region, System, TenantId, TenantName},
    sign::Kind,
    trust::{Anchor, CallerRule, RegionIdentity},
};
use topology::{
    CryptoNode, Governance, IDENTITY, Kmip, LOCKED_MEMORY_DEFAULT, MutualTls, Orbital, PublicKey, RegionPart,
    Residency, ServerTls, SigningKey, Topology,
};

use super::{
    DemoError,
    customers::{self, Customers, SoftPlace},
    people::{Founding, Keyring, make_key},
    pki::{Authority, Files, write_private},
    ports::{Guard, Ports},
};
use crate::keyfiles::{HpkeKey, create_x25519};

/// Marks a folder as the demo's own: it may be emptied.
const MARKER: &str = ".kcm-demo";
/// The deployment's id.
pub const DEPLOYMENT: &str = "kcm-demo";
/// Who watches the demo: the one client of its portal, and the operator of its site.
const OPERATOR: &str = "spiffe://kcm-demo/person/demo";
/// The regions: name, country, node.
pub const REGIONS: [(&str, &str, &str); 3] =
    [("eu-frankfurt", "DE", "fra-1"), ("ch-zurich", "CH", "zrh-1"), ("us-east", "US", "iad-1")];
/// The tenant whose KMS is at AWS with `kcm demo --aws`.
pub const AWS_TENANT: &str = "acme";
/// Names the key there that the demo links; without it the demo says how to link one.
pub const AWS_KEY_ENV: &str = "KCM_DEMO_AWS_KEY";
/// The tenants: name, their one system, their L1.
pub const TENANTS: [(&str, &str); 2] = [("acme", "orders"), ("globex", "ledger")];

/// A tenant as the demo knows it.
pub struct Tenant {
    pub name: String,
    pub id: TenantId,
    pub genesis: PathBuf,
    pub client: Files,
    /// The provider of the topology that reaches the customer's KMS.
    pub provider: String,
    /// The key there; none as long as nobody has said which.
    pub key: Option<String>,
}

/// Everything that was written.
pub struct Setup {
    pub dir: PathBuf,
    pub topology: PathBuf,
    pub nodes: Vec<(NodeName, SocketAddr)>,
    pub tenants: Vec<Tenant>,
    pub regions: Vec<Place>,
    pub rest: SocketAddr,
    pub portal: Files,
    pub people: Keyring,
    pub softs: Vec<SoftPlace>,
    /// The customer's KMS at AWS, where there is one.
    pub aws: Option<AwsPlace>,
    /// CA of the KMIP listeners' own certificates.
    pub kmip_ca: PathBuf,
    /// Held as long as the demo runs: its ports are nobody else's.
    pub ports: Guard,
    /// Held as long as the demo runs: no other one empties its folder.
    pub folder: File,
}

/// A region's addresses.
pub struct Place {
    pub region: String,
    pub node: NodeName,
    pub kmip: SocketAddr,
    pub kmip_https: SocketAddr,
    pub stop: SocketAddr,
    pub health: SocketAddr,
}

/// One tenant's KMS at an AWS endpoint, in place of a soft one.
#[derive(Clone, Debug)]
pub struct AwsPlace {
    pub endpoint: String,
    /// AWS region of the key.
    pub region: String,
    /// The key's ARN, if it has been said.
    pub key: Option<String>,
}

impl AwsPlace {
    /// As with the AWS command line, the environment says the rest; `KCM_DEMO_AWS_KEY` names the key.
    pub fn from_env(endpoint: &str) -> Self {
        let region = std::env::var("AWS_REGION").unwrap_or_else(|_| "eu-west-1".to_owned());
        let key = std::env::var(AWS_KEY_ENV).ok().filter(|key| !key.is_empty());
        Self { endpoint: endpoint.to_owned(), region, key }
    }
}

/// Empties the folder if it is a demo's, refuses it if it is anything else's.
fn claim(dir: &Path) -> Result<(PathBuf, File), DemoError> {
    let failed = |e| DemoError::Write(dir.to_owned(), e);
    fs::create_dir_all(dir).map_err(failed)?;
    let ours = dir.join(MARKER).exists();
    let empty = fs::read_dir(dir).map_err(failed)?.next().is_none();
    if !ours && !empty {
        return Err(DemoError::ForeignFolder(dir.to_owned()));
    }
    let marker = File::options().create(true).append(true).open(dir.join(MARKER)).map_err(failed)?;
    match marker.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(DemoError::Running(dir.to_owned())),
        Err(TryLockError::Error(why)) => return Err(failed(why)),
    }
    for entry in fs::read_dir(dir).map_err(failed)?.flatten().filter(|e| e.file_name() != MARKER) {
        let path = entry.path();
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(|e| DemoError::Write(path, e))?;
    }
    fs::write(dir.join(MARKER), "made by `kcm demo`, which empties this folder when it starts\n").map_err(failed)?;
    Ok((fs::canonicalize(dir).map_err(failed)?, marker))
}

/// Writes everything below `dir`.
pub fn write(dir: &Path, aws: Option<AwsPlace>) -> Result<Setup, DemoError> {
    let (dir, folder) = claim(dir)?;
    let mut ports = Ports::take()?;
    let sub = |name: &str| -> Result<PathBuf, DemoError> {
        let path = dir.join(name);
        fs::create_dir_all(&path).map_err(|e| DemoError::Write(path.clone(), e))?;
        Ok(path)
    };
    let (certs, keys) = (sub("certs")?, sub("keys")?);
    sub("log")?;
    let people = Keyring::make(&keys)?;
    let authorities = Authorities::new(&certs)?;
    let governance = governance(&dir, &authorities, &mut ports)?;
    let portal = authorities.rest.issue("portal-client", "demo", Some(OPERATOR))?;
    let Customers { softs, l1, links } = customers::write(&dir, aws.as_ref(), &authorities.l1, &mut ports)?;
    let (mut regions, mut places, mut identities) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
    for (region, country, node) in REGIONS {
        let (part, place, identity) = self::region(&dir, (region, country, node), &authorities, l1.keys(), &mut ports)?;
        regions.insert(Region::new(region)?, part);
        identities.insert(Region::new(region)?, identity);
        places.push(place);
    }
    let lease = governance.lease.as_ref().map(|l| orbital::sign::PublicKey(l.public.0)).ok_or(DemoError::NoLease)?;
    let tenants = TENANTS
        .into_iter()
        .zip(links)
        .map(|(named, link)| tenant(&dir, named, link, &certs, &identities, &people, lease))
        .collect::<Result<Vec<_>, _>>()?;
    let topology = Topology {
        deployment: Deployment::new(DEPLOYMENT)?,
        generation: 1,
        development: true,
        identity: IDENTITY.to_owned(),
        governance: Some(governance.clone()),
        orbital: Orbital::default(),
        l1,
        residency: BTreeMap::from([("demo".to_owned(), anywhere())]),
        regions,
        site: None,
        notify: BTreeMap::new(),
        pins: tenants.iter().map(|t| Ok((TenantName::new(&t.name)?, t.id))).collect::<Result<_, DemoError>>()?,
    };
    let path = dir.join("topology.toml");
    fs::write(&path, topology::to_toml(&topology)).map_err(|e| DemoError::Write(path.clone(), e))?;
    let mut nodes: Vec<_> = softs.iter().map(|s| (s.node.clone(), s.address)).collect();
    nodes.push((governance.node.clone(), governance.health));
    nodes.extend(places.iter().map(|p| (p.node.clone(), p.health)));
    Ok(Setup {
        topology: path,
        nodes,
        tenants,
        regions: places,
        rest: governance.rest,
        portal,
        people,
        softs,
        aws,
        kmip_ca: authorities.kmip.ca_path(),
        ports: ports.free(),
        folder,
        dir,
    })
}

/// One CA a door.
struct Authorities {
    orbital: Authority,
    rest: Authority,
    /// Of the KMIP listeners' own certificates; it verifies no client.
    kmip: Authority,
    l1: Authority,
}

impl Authorities {
    fn new(certs: &Path) -> Result<Self, DemoError> {
        let one = |name| Authority::new(certs, name).map_err(DemoError::from);
        Ok(Self { orbital: one("orbital")?, rest: one("rest")?, kmip: one("kmip")?, l1: one("l1")? })
    }
}

fn mutual(files: &Files) -> MutualTls {
    MutualTls { ca: files.ca.clone(), cert: files.cert.clone(), key: files.key.clone() }
}

fn anywhere() -> Residency {
    let allow = REGIONS.map(|(_, country, _)| country.to_owned()).to_vec();
    Residency { allow, material_leaves: topology::MaterialLeaves::Never }
}

pub(super) fn folder(dir: &Path, name: &str) -> Result<PathBuf, DemoError> {
    let path = dir.join(name);
    fs::create_dir_all(&path).map_err(|e| DemoError::Write(path.clone(), e))?;
    Ok(path)
}

fn governance(dir: &Path, authorities: &Authorities, ports: &mut Ports) -> Result<Governance, DemoError> {
    let home = folder(dir, "gov-1")?;
    let frame = make_key(&home.join("frame.key"), "governance's frames")?;
    let lease = make_key(&home.join("lease.key"), "lease renewals")?;
    let checkpoint = make_key(&home.join("checkpoint.key"), "checkpoints of the ledger")?;
    Ok(Governance {
        node: NodeName::new("gov-1")?,
        address: None,
        rest: ports.next()?,
        orbital: ports.next()?,
        orbital_critical: ports.next()?,
        health: ports.next()?,
        store: home.join("store"),
        ledger: topology::Ledger::default(),
        rest_tls: mutual(&authorities.rest.issue(
            "gov-1-rest",
            "localhost",
            Some("spiffe://kcm-demo/governance/gov-1"),
        )?),
        orbital_tls: mutual(&authorities.orbital.issue(
            "gov-1-orbital",
            "gov-1",
            Some("spiffe://kcm-demo/governance/gov-1"),
        )?),
        frame_key: home.join("frame.key"),
        frame_public: PublicKey(frame.public().0),
        operators: BTreeSet::from([Person::new(OPERATOR)?]),
        portal: None,
        lease: Some(SigningKey { key: home.join("lease.key"), public: PublicKey(lease.public().0) }),
        checkpoint: Some(SigningKey { key: home.join("checkpoint.key"), public: PublicKey(checkpoint.public().0) }),
        standbys: BTreeMap::new(),
        login: None,
    })
}

fn region<'a>(
    dir: &Path,
    (region, country, node): (&str, &str, &str),
    authorities: &Authorities,
    l1: impl Iterator<Item = &'a String>,
    ports: &mut Ports,
) -> Result<(RegionPart, Place, RegionIdentity), DemoError> {
    let home = folder(dir, node)?;
    let frame = make_key(&home.join("frame.key"), "frames")?;
    let report = make_key(&home.join("report.key"), "reports")?;
    let hpke: HpkeKey = create_x25519(&home.join("hpke.key"), "HPKE")?;
    let hpke = hpke.public().ok_or(DemoError::Hpke)?;
    let kmip_tls = authorities.kmip.issue(&format!("{node}-kmip"), "localhost", None)?;
    let uri = format!("spiffe://{DEPLOYMENT}/crypto/{node}");
    let place = Place {
        region: region.to_owned(),
        node: NodeName::new(node)?,
        kmip: ports.next()?,
        kmip_https: ports.next()?,
        stop: ports.next()?,
        health: ports.next()?,
    };
    let crypto = CryptoNode {
        kmip: Some(Kmip {
            listen: place.kmip,
            https: Some(place.kmip_https),
            tls: ServerTls { cert: kmip_tls.cert, key: kmip_tls.key },
        }),
        stop: place.stop,
        health: place.health,
        store: home.join("store"),
        highwater: home.join("highwater"),
        orbital_tls: mutual(&authorities.orbital.issue(&format!("{node}-orbital"), node, Some(&uri))?),
        frame_key: home.join("frame.key"),
        frame_public: PublicKey(frame.public().0),
        report_key: home.join("report.key"),
        hpke_key: home.join("hpke.key"),
        zone: None,
    };
    let part = RegionPart {
        jurisdiction: Jurisdiction::new(country)?,
        residency: vec!["demo".to_owned()],
        l1: l1.cloned().collect(),
        report_public: PublicKey(report.public().0),
        hpke_public: PublicKey(hpke.0),
        autonomy: None,
        locked_memory: LOCKED_MEMORY_DEFAULT,
        idle_evict: None,
        nodes: BTreeMap::from([(place.node.clone(), crypto)]),
        edges: BTreeMap::new(),
    };
    let identity =
        RegionIdentity { jurisdiction: Jurisdiction::new(country)?, report_key: report.public(), hpke_key: hpke };
    Ok((part, place, identity))
}

pub(super) fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> Result<(), DemoError> {
    let text = serde_json::to_vec_pretty(value).map_err(|e| DemoError::Write(path.to_owned(), e.into()))?;
    write_private(path, &text).map_err(|e| DemoError::Write(path.to_owned(), e))
}

fn tenant(
    dir: &Path,
    (name, system): (&str, &str),
    (provider, key): (String, Option<String>),
    certs: &Path,
    regions: &BTreeMap<Region, RegionIdentity>,
    people: &Keyring,
    lease_key: orbital::sign::PublicKey,
) -> Result<Tenant, DemoError> {
    let authority = Authority::new(certs, &format!("{name}-clients"))?;
    let client = authority.issue(&format!("{name}-client"), name, None)?;
    let caller =
        CallerRule { anchor: Anchor::Ca { certificate: authority.der() }, system: System::new(system)?, name: None };
    let founding = Founding {
        deployment: &Deployment::new(DEPLOYMENT)?,
        name,
        regions: regions.clone(),
        system,
        callers: BTreeSet::from([caller]),
        policy: policy::Bundle::default_bundle()?.digest(),
        lease_key,
    };
    let genesis: Genesis = founding.sign(people)?;
    let id = TenantId(Kind::Trust.digest(&genesis.root));
    let path = dir.join(format!("{name}.genesis.json"));
    write_json(&path, &genesis)?;
    Ok(Tenant { name: name.to_owned(), id, genesis: path, client, provider, key })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_one_demos_at_a_time_and_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("demo");
        let (_, running) = claim(&dir).unwrap();
        fs::write(dir.join("demo.json"), "{}").unwrap();
        assert!(matches!(claim(&dir), Err(DemoError::Running(_))));
        assert!(dir.join("demo.json").exists(), "what runs there keeps its files");
        drop(running);
        claim(&dir).unwrap();
        assert!(!dir.join("demo.json").exists());
        assert!(matches!(claim(folder.path()), Err(DemoError::ForeignFolder(_))));
    }
}
