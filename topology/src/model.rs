//! A topology in types: [`Topology`] is plain data that anyone may build and write; [`Model`] is one that passed every check.

mod l1;
mod notify;
mod tls;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    ops::Deref,
    path::{Path, PathBuf},
};

use orbital::names::{Channel, Deployment, Jurisdiction, NodeName, Person, Region, System, TenantId, TenantName};

use crate::{
    Ledger, Login, MaterialLeaves, Mode, Site, Then, Transport,
    suggest::nearest,
    units::{PublicKey, Size, Span},
};

pub use l1::{L1, L1Auth, L1Provider};
pub use notify::{Notify, NotifyTarget, NotifyUrl};
pub use tls::{MutualTls, ServerTls};

/// How a node's certificate names it, unless the file says otherwise.
pub const IDENTITY: &str = "spiffe://{deployment}/{plane}/{name}";

/// What a topology file says. Build one and write it with [`crate::to_toml`]; to run one, read it back through [`crate::check`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    pub deployment: Deployment,
    /// Grows with each change of the file; `apply` refuses an older one than the one that runs.
    pub generation: u64,
    /// Allows what protects nothing: a soft L1, both planes on one host.
    pub development: bool,
    /// Template of a node's SAN URI, with `{deployment}`, `{plane}` (`governance` or `crypto`) and `{name}`.
    pub identity: String,
    /// `None` when whoever writes the file decides alone.
    pub site: Option<Site>,
    /// `None` when regions were founded without governance (DESIGN §2.10c).
    pub governance: Option<Governance>,
    pub orbital: Orbital,
    pub l1: BTreeMap<String, L1>,
    pub residency: BTreeMap<String, Residency>,
    pub regions: BTreeMap<Region, RegionPart>,
    /// The tenants whose genesis the regions accept, by label.
    pub pins: BTreeMap<TenantName, TenantId>,
    /// The ways out for notices.
    pub notify: BTreeMap<Channel, Notify>,
}

impl Topology {
    /// The providers whose keys stay with the customer, as changes name them; what is no name can be linked by none.
    pub fn hyok(&self) -> BTreeSet<System> {
        let outside = self.l1.iter().filter(|(_, l1)| l1.mode == Mode::Hyok);
        outside.filter_map(|(name, _)| System::new(name).ok()).collect()
    }
}

/// The governance plane's node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Governance {
    pub node: NodeName,
    /// By which regions dial it; `None`: the addresses that it listens on.
    pub address: Option<String>,
    /// REST over mutual TLS.
    pub rest: SocketAddr,
    /// Orbital's ordinary lane.
    pub orbital: SocketAddr,
    /// Orbital's critical lane.
    pub orbital_critical: SocketAddr,
    /// `/livez`, `/readyz`, `/metrics` in plain HTTP.
    pub health: SocketAddr,
    /// Folder of what it keeps.
    pub store: PathBuf,
    pub ledger: Ledger,
    /// `ca` verifies the callers of REST.
    pub rest_tls: MutualTls,
    /// `ca` verifies the regions' nodes.
    pub orbital_tls: MutualTls,
    /// Private key under its frames, and the public half that regions verify with.
    pub frame_key: PathBuf,
    pub frame_public: PublicKey,
    /// Those who run the site, by the names in their REST certificates (SAN URI, else CN): they may found tenants and read everything.
    pub operators: BTreeSet<Person>,
    /// What links in notices begin with; `None`: the address of REST.
    pub portal: Option<String>,
    /// Private key and public half of lease renewals; `None` when each tenant keeps its own.
    pub lease: Option<SigningKey>,
    /// Under every checkpoint of the ledger; without it there are none.
    pub checkpoint: Option<SigningKey>,
    /// Without it, callers show certificates.
    pub login: Option<Login>,
    /// Further places of this node, by the names that `kcm run` starts them with: same name and keys to everybody else, addresses of
    /// their own. One of all is active, the others stand by.
    pub standbys: BTreeMap<NodeName, Governance>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SigningKey {
    pub key: PathBuf,
    pub public: PublicKey,
}

/// Budgets of the link: past them, a directive counts as stalled and alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Orbital {
    pub transport: Transport,
    pub ack_budget: Span,
    pub critical_ack_budget: Span,
    /// Pause before a critical frame is sent again.
    pub critical_resend: Span,
}

impl Default for Orbital {
    fn default() -> Self {
        Self {
            transport: Transport::Cluster,
            ack_budget: Span::seconds(120),
            critical_ack_budget: Span::seconds(1),
            critical_resend: Span::ms(100),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Residency {
    /// ISO 3166 countries or the sets EU, EEA, EFTA.
    pub allow: Vec<String>,
    pub material_leaves: MaterialLeaves,
}

/// One region of the execution plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegionPart {
    /// ISO 3166 country.
    pub jurisdiction: Jurisdiction,
    /// Rules that the region is under; each names one of [`Topology::residency`].
    pub residency: Vec<String>,
    /// L1 that the region may unseal with; each names one of [`Topology::l1`].
    pub l1: Vec<String>,
    /// Verifies the region's reports, SyncAcks among them.
    pub report_public: PublicKey,
    /// To which secrets for this region are sealed (X25519).
    pub hpke_public: PublicKey,
    /// `None`: each tenant's lease alone decides.
    pub autonomy: Option<Autonomy>,
    /// Size of the locked slab of each node.
    pub locked_memory: Size,
    /// When an unused key leaves the cache; `None`: never.
    pub idle_evict: Option<Span>,
    pub nodes: BTreeMap<NodeName, CryptoNode>,
    pub edges: BTreeMap<NodeName, Edge>,
}

/// How long a region serves while governance is away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Autonomy {
    /// Shortens every tenant's lease to this; it never lengthens one.
    pub serve_cached: Span,
    pub then: Then,
}

/// A process of a region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CryptoNode {
    /// `None` for a node that serves edges alone.
    pub kmip: Option<Kmip>,
    /// Takes stops from any sender.
    pub stop: SocketAddr,
    /// `/livez`, `/readyz`, `/metrics` in plain HTTP.
    pub health: SocketAddr,
    pub store: PathBuf,
    /// Outside the store (PROTOCOL §6).
    pub highwater: PathBuf,
    /// `ca` verifies governance.
    pub orbital_tls: MutualTls,
    pub frame_key: PathBuf,
    pub frame_public: PublicKey,
    /// Private halves of the region's public keys.
    pub report_key: PathBuf,
    pub hpke_key: PathBuf,
    pub zone: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kmip {
    pub listen: SocketAddr,
    /// The same over HTTPS, in TTLV, XML or JSON, with the same certificate.
    pub https: Option<SocketAddr>,
    /// Which callers are verified by which anchors, the tenants' trust roots say (PROTOCOL §8).
    pub tls: ServerTls,
}

/// A listener beside the workloads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    pub kmip: SocketAddr,
    /// SPIFFE ids of its clients; the last part may end in `*`.
    pub peers: Vec<String>,
    pub ops_per_s: Option<u64>,
    pub connections: Option<u64>,
}

/// Of which plane a node is; the word in its identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plane {
    Governance,
    Crypto,
    /// A soft L1: neither plane, and no link between them.
    L1,
}

impl Plane {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Governance => "governance",
            Self::Crypto => "crypto",
            Self::L1 => "l1",
        }
    }
}

/// What `kcm run --node NAME` is to run.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NodeRole<'a> {
    Governance(&'a Governance),
    Crypto { region: &'a Region, part: &'a RegionPart, node: &'a CryptoNode },
    Edge { region: &'a Region, part: &'a RegionPart, edge: &'a Edge },
    SoftL1 { name: &'a str, l1: &'a L1, listen: SocketAddr, store: &'a Path },
}

impl NodeRole<'_> {
    pub fn plane(&self) -> Plane {
        match self {
            Self::Governance(_) => Plane::Governance,
            Self::Crypto { .. } | Self::Edge { .. } => Plane::Crypto,
            Self::SoftL1 { .. } => Plane::L1,
        }
    }
}

impl Governance {
    /// Where regions dial the ordinary lane, `host:port` each: one of these answers.
    pub fn orbital_dials(&self) -> Vec<String> {
        self.places().map(|place| place.dial(place.orbital)).collect()
    }
    /// The same for the critical lane.
    pub fn orbital_critical_dials(&self) -> Vec<String> {
        self.places().map(|place| place.dial(place.orbital_critical)).collect()
    }
    fn places(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(self.standbys.values())
    }
    fn dial(&self, listen: SocketAddr) -> String {
        match &self.address {
            Some(host) if host.contains(':') => format!("[{host}]:{}", listen.port()),
            Some(host) => format!("{host}:{}", listen.port()),
            None => listen.to_string(),
        }
    }
}

/// A topology that passed every check. Only [`crate::check`] makes one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model(Topology);

impl Deref for Model {
    type Target = Topology;
    fn deref(&self) -> &Topology {
        &self.0
    }
}

impl Model {
    /// For `check` alone, after it has found no error.
    pub(crate) fn checked(topology: Topology) -> Self {
        Self(topology)
    }

    pub fn governance(&self) -> Option<&Governance> {
        self.0.governance.as_ref()
    }

    pub fn region(&self, name: &Region) -> Option<&RegionPart> {
        self.0.regions.get(name)
    }

    pub fn l1_named(&self, name: &str) -> Option<&L1> {
        self.0.l1.get(name)
    }

    /// The pinned ids of the tenants whose keys lie at this L1; empty for an L1 that the topology does not have.
    pub fn l1_tenants(&self, name: &str) -> BTreeSet<TenantId> {
        let labels = self.l1_named(name).into_iter().flat_map(|l1| &l1.tenants);
        labels.filter_map(|label| self.0.pins.get(label).copied()).collect()
    }

    /// All nodes, with what each is to run, ordered by name.
    pub fn nodes(&self) -> BTreeMap<&NodeName, NodeRole<'_>> {
        let governance = self.governance().into_iter().flat_map(|part| {
            let standbys = part.standbys.iter().map(|(name, part)| (name, NodeRole::Governance(part)));
            std::iter::once((&part.node, NodeRole::Governance(part))).chain(standbys)
        });
        let regions = self.0.regions.iter().flat_map(|(region, part)| {
            let nodes = part.nodes.iter().map(move |(name, node)| (name, NodeRole::Crypto { region, part, node }));
            nodes.chain(part.edges.iter().map(move |(name, edge)| (name, NodeRole::Edge { region, part, edge })))
        });
        let soft = self.0.l1.iter().filter_map(|(name, l1)| match &l1.provider {
            L1Provider::Soft { node, listen, store } => {
                Some((node, NodeRole::SoftL1 { name, l1, listen: *listen, store }))
            }
            L1Provider::AwsKms { .. }
            | L1Provider::AzureKeyVault { .. }
            | L1Provider::GoogleKms { .. }
            | L1Provider::Kmip { .. }
            | L1Provider::VaultTransit { .. }
            | L1Provider::Pkcs11 { .. } => None,
        });
        governance.chain(regions).chain(soft).collect()
    }

    /// What the node of this name is to run; else a sentence that says which names there are.
    pub fn node(&self, name: &NodeName) -> Result<NodeRole<'_>, UnknownNode> {
        let nodes = self.nodes();
        nodes.get(name).copied().ok_or_else(|| {
            let names: Vec<&str> = nodes.keys().map(|n| n.as_str()).collect();
            let meant = nearest(name.as_str(), names.iter().copied()).map(str::to_owned);
            UnknownNode { name: name.clone(), meant, known: names.join(", ") }
        })
    }

    /// The SAN URI that this node's certificate must carry.
    pub fn identity_of(&self, name: &NodeName) -> Result<String, UnknownNode> {
        let role = self.node(name)?;
        let name = if let NodeRole::Governance(part) = role { &part.node } else { name };
        Ok(identity(&self.0.identity, &self.0.deployment, role.plane(), name))
    }
}

pub(crate) fn identity(template: &str, deployment: &Deployment, plane: Plane, name: &NodeName) -> String {
    // The name last: it must not be able to bring a part of the template with it.
    let fixed = template.replace("{deployment}", deployment.as_str()).replace("{plane}", plane.as_str());
    fixed.replace("{name}", name.as_str())
}

/// A node that the topology does not have.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the topology has no node `{name}`{}; it has: {known}. Name one of them with --node", meant.as_ref().map_or(String::new(), |m| format!("; did you mean `{m}`?")))]
pub struct UnknownNode {
    pub name: NodeName,
    pub meant: Option<String>,
    pub known: String,
}
