//! What the demo writes before anything runs: certificates, keys, geneses, the topology and `demo.json`.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
};

use orbital::{
    chain::Genesis,
    names::{Deployment, Jurisdiction, NodeName, Region, System, TenantId, TenantName},
    sign::Kind,
    trust::{Anchor, CallerRule, RegionIdentity},
};
use topology::{
    CryptoNode, Governance, IDENTITY, Kmip, L1, L1Auth, L1Provider, LOCKED_MEMORY_DEFAULT, LeaseKey, Mode, MutualTls,
    Orbital, PublicKey, RegionPart, Residency, ServerTls, Span, Topology,
};

use super::{
    DemoError,
    people::{Founding, Keyring, make_key, seed},
    pki::{Authority, Files, write_private},
};
use crate::{
    keyfiles::{HpkeKey, create_x25519},
    soft::{Credentials, Settings},
};

/// Marks a folder as the demo's own: it may be emptied.
const MARKER: &str = ".kcm-demo";
/// The deployment's id.
pub const DEPLOYMENT: &str = "kcm-demo";
/// The regions: name, country, node.
pub const REGIONS: [(&str, &str, &str); 3] =
    [("eu-frankfurt", "DE", "fra-1"), ("ch-zurich", "CH", "zrh-1"), ("us-east", "US", "iad-1")];
/// The tenants: name, their one system, their L1.
pub const TENANTS: [(&str, &str); 2] = [("acme", "orders"), ("globex", "ledger")];
/// How often a region asks for the state of an L1 key: short, so that one can watch a key being disabled.
const PROBE: Span = Span::seconds(2);

/// A tenant as the demo knows it.
pub struct Tenant {
    pub name: String,
    pub id: TenantId,
    pub genesis: PathBuf,
    pub client: Files,
    /// The key at the customer's KMS.
    pub key: String,
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
    /// CA of the KMIP listeners' own certificates.
    pub kmip_ca: PathBuf,
}

/// A region's addresses.
pub struct Place {
    pub region: String,
    pub node: NodeName,
    pub kmip: SocketAddr,
    pub stop: SocketAddr,
    pub health: SocketAddr,
}

/// A soft L1 process.
pub struct SoftPlace {
    pub tenant: String,
    pub node: NodeName,
    pub address: SocketAddr,
    pub ca: PathBuf,
    pub admin: PathBuf,
    pub key: String,
}

/// Free ports of loopback, held until all are known, so that no two are the same.
struct Ports(Vec<TcpListener>);

impl Ports {
    fn next(&mut self) -> Result<SocketAddr, DemoError> {
        let held = TcpListener::bind("127.0.0.1:0").map_err(DemoError::Port)?;
        let address = held.local_addr().map_err(DemoError::Port)?;
        self.0.push(held);
        Ok(address)
    }
}

/// Empties the folder if it is a demo's, refuses it if it is anything else's.
fn claim(dir: &Path) -> Result<PathBuf, DemoError> {
    let failed = |e| DemoError::Write(dir.to_owned(), e);
    fs::create_dir_all(dir).map_err(failed)?;
    let ours = dir.join(MARKER).exists();
    let empty = fs::read_dir(dir).map_err(failed)?.next().is_none();
    if !ours && !empty {
        return Err(DemoError::ForeignFolder(dir.to_owned()));
    }
    for entry in fs::read_dir(dir).map_err(failed)?.flatten().filter(|e| e.file_name() != MARKER) {
        let path = entry.path();
        let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(|e| DemoError::Write(path, e))?;
    }
    fs::write(dir.join(MARKER), "made by `kcm demo`, which empties this folder when it starts\n").map_err(failed)?;
    fs::canonicalize(dir).map_err(failed)
}

/// Writes everything below `dir`.
pub fn write(dir: &Path, aws: Option<&str>) -> Result<Setup, DemoError> {
    let dir = claim(dir)?;
    let mut ports = Ports(Vec::new());
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
    let portal = authorities.rest.issue("portal-client", "demo", Some("spiffe://kcm-demo/person/demo"))?;
    let mut softs = Vec::new();
    let mut l1 = BTreeMap::new();
    for (tenant, _) in TENANTS {
        let (place, entry) = soft(&dir, tenant, &authorities, &mut ports)?;
        softs.push(place);
        l1.insert(format!("{tenant}-soft"), entry);
    }
    if let Some(url) = aws {
        l1.insert("acme-aws".to_owned(), aws_entry(&dir, url)?);
    }
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
        .map(|(name, system)| tenant(&dir, name, system, &certs, &identities, &people, lease))
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
        kmip_ca: authorities.kmip.ca_path(),
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

fn folder(dir: &Path, name: &str) -> Result<PathBuf, DemoError> {
    let path = dir.join(name);
    fs::create_dir_all(&path).map_err(|e| DemoError::Write(path.clone(), e))?;
    Ok(path)
}

fn governance(dir: &Path, authorities: &Authorities, ports: &mut Ports) -> Result<Governance, DemoError> {
    let home = folder(dir, "gov-1")?;
    let frame = make_key(&home.join("frame.key"), "governance's frames")?;
    let lease = make_key(&home.join("lease.key"), "lease renewals")?;
    Ok(Governance {
        node: NodeName::new("gov-1")?,
        address: None,
        rest: ports.next()?,
        orbital: ports.next()?,
        orbital_critical: ports.next()?,
        health: ports.next()?,
        store: home.join("store"),
        ledger: topology::Ledger::default(),
        rest_tls: mutual(&authorities.rest.issue("gov-1-rest", "localhost", Some("spiffe://kcm-demo/governance/gov-1"))?),
        orbital_tls: mutual(&authorities.orbital.issue("gov-1-orbital", "gov-1", Some("spiffe://kcm-demo/governance/gov-1"))?),
        frame_key: home.join("frame.key"),
        frame_public: PublicKey(frame.public().0),
        lease: Some(LeaseKey { key: home.join("lease.key"), public: PublicKey(lease.public().0) }),
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
        stop: ports.next()?,
        health: ports.next()?,
    };
    let crypto = CryptoNode {
        kmip: Some(Kmip { listen: place.kmip, tls: ServerTls { cert: kmip_tls.cert, key: kmip_tls.key } }),
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
    let identity = RegionIdentity { jurisdiction: Jurisdiction::new(country)?, report_key: report.public(), hpke_key: hpke };
    Ok((part, place, identity))
}

fn token() -> Result<String, DemoError> {
    Ok(orbital::names::Digest(seed()?).to_string())
}

fn write_json<T: serde::Serialize>(path: &Path, value: &T) -> Result<(), DemoError> {
    let text = serde_json::to_vec_pretty(value).map_err(|e| DemoError::Write(path.to_owned(), e.into()))?;
    write_private(path, &text).map_err(|e| DemoError::Write(path.to_owned(), e))
}

/// A customer's KMS: a process of its own, with a principal of its own for each region.
fn soft(dir: &Path, tenant: &str, authorities: &Authorities, ports: &mut Ports) -> Result<(SoftPlace, L1), DemoError> {
    let node = format!("l1-{tenant}");
    let store = folder(dir, &node)?;
    let (address, key) = (ports.next()?, format!("soft:{tenant}-root"));
    let tls = authorities.l1.issue(&node, "localhost", None)?;
    for (from, to) in [(&tls.cert, "server.pem"), (&tls.key, "server.key"), (&tls.ca, "ca.pem")] {
        fs::copy(from, store.join(to)).map_err(|e| DemoError::Write(store.join(to), e))?;
    }
    let (mut principals, mut auth) = (BTreeMap::new(), BTreeMap::new());
    for (region, _, home) in REGIONS {
        let principal = format!("{tenant}.{region}");
        let token = token()?;
        let file = folder(dir, home)?.join(format!("l1-{tenant}.json"));
        write_json(&file, &Credentials { token: token.clone(), ca: store.join("ca.pem") })?;
        auth.insert(Region::new(region)?, L1Auth { credentials_file: Some(file), role_arn: None });
        principals.insert(principal, token);
    }
    let admin = token()?;
    let admin_path = store.join("admin.token");
    write_private(&admin_path, admin.as_bytes()).map_err(|e| DemoError::Write(admin_path.clone(), e))?;
    let allow = principals.keys().cloned().collect();
    let settings = Settings { admin, principals, keys: BTreeMap::from([(key.clone(), allow)]) };
    write_json(&store.join("soft-l1.json"), &settings)?;
    let node = NodeName::new(&node)?;
    let place = SoftPlace { tenant: tenant.to_owned(), node: node.clone(), address, ca: store.join("ca.pem"), admin: admin_path, key };
    let provider = L1Provider::Soft { node, listen: address, store };
    Ok((place, L1 { provider, mode: Mode::Byok, jurisdiction: Jurisdiction::new("DE")?, probe: PROBE, auth }))
}

/// An AWS-compatible endpoint: the credentials are those of the environment, as with the AWS command line.
fn aws_entry(dir: &Path, url: &str) -> Result<L1, DemoError> {
    let read = |name: &str| std::env::var(name).unwrap_or_else(|_| "test".to_owned());
    let text = format!(
        "[default]\naws_access_key_id = {}\naws_secret_access_key = {}\n",
        read("AWS_ACCESS_KEY_ID"),
        read("AWS_SECRET_ACCESS_KEY")
    );
    let mut auth = BTreeMap::new();
    for (region, _, home) in REGIONS {
        let file = folder(dir, home)?.join("aws.credentials");
        write_private(&file, text.as_bytes()).map_err(|e| DemoError::Write(file.clone(), e))?;
        auth.insert(Region::new(region)?, L1Auth { credentials_file: Some(file), role_arn: None });
    }
    let region = std::env::var("AWS_REGION").unwrap_or_else(|_| "eu-west-1".to_owned());
    let provider = L1Provider::AwsKms { region, endpoint: Some(url.to_owned()) };
    Ok(L1 { provider, mode: Mode::Byok, jurisdiction: Jurisdiction::new("DE")?, probe: PROBE, auth })
}

fn tenant(
    dir: &Path,
    name: &str,
    system: &str,
    certs: &Path,
    regions: &BTreeMap<Region, RegionIdentity>,
    people: &Keyring,
    lease_key: orbital::sign::PublicKey,
) -> Result<Tenant, DemoError> {
    let authority = Authority::new(certs, &format!("{name}-clients"))?;
    let client = authority.issue(&format!("{name}-client"), name, None)?;
    let caller = CallerRule {
        anchor: Anchor::Ca { certificate: authority.der() },
        system: System::new(system)?,
        name: None,
    };
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
    Ok(Tenant { name: name.to_owned(), id, genesis: path, client, key: format!("soft:{name}-root") })
}
