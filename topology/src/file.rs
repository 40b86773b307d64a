//! The shape of a topology file: every field that schema v1 knows, each with its place, nothing yet compared with anything else.

use std::{net::SocketAddr, path::PathBuf};

use orbital::names::{Channel, Deployment, Jurisdiction, Mailbox, NodeName, Person, Region, TenantId, TenantName};

use crate::{
    finding::{At, Code, Finding, Place},
    login::LoginPart,
    reader::{Endpoint, FromNode, Host, HostPort, KmipServer, Name, Table, shapes, words},
    site::SitePart,
    tree::{Node, Value},
    units::{PublicKey, Size, Span},
};

/// The schema that this release reads and writes.
pub const SCHEMA: &str = "v1";

shapes! {
    File {
        required schema: String,
        required deployment: Deployment,
        optional generation: u64,
        optional development: bool,
        optional tls: Tls,
        optional site: SitePart,
        optional governance: Governance,
        optional orbital: Orbital,
        optional l1: Table<Name, L1>,
        optional residency: Table<Name, Residency>,
        optional region: Table<Region, RegionPart>,
        optional pin: Table<TenantName, TenantId>,
        optional notify: Table<Channel, Notify>,
    }
    Notify {
        required kind: NotifyKind,
        optional url: Endpoint,
        optional url_file: PathBuf,
        optional secret_file: PathBuf,
        optional key_file: PathBuf,
        optional host: Host,
        optional port: u64,
        optional tls: MailTls,
        optional from: Mailbox,
        optional user: String,
        optional password_file: PathBuf,
        optional to: Vec<At<Mailbox>>,
        optional ca: PathBuf,
        optional tenants: Vec<At<TenantName>>,
        optional default: bool,
    }
    Tls {
        required identity: String,
    }
    Governance {
        required node: NodeName,
        optional address: Host,
        required rest: SocketAddr,
        required orbital: SocketAddr,
        required orbital_critical: SocketAddr,
        required health: SocketAddr,
        required store: PathBuf,
        optional ledger: Ledger,
        required rest_tls: MutualTls,
        required orbital_tls: MutualTls,
        required frame_key: PathBuf,
        required frame_public: PublicKey,
        optional operators: Vec<At<Person>>,
        optional portal: Endpoint,
        optional lease_key: PathBuf,
        optional lease_public: PublicKey,
        optional checkpoint_key: PathBuf,
        optional checkpoint_public: PublicKey,
        optional login: LoginPart,
        optional standby: Table<NodeName, Standby>,
    }
    Standby {
        optional address: Host,
        required rest: SocketAddr,
        required orbital: SocketAddr,
        required orbital_critical: SocketAddr,
        required health: SocketAddr,
        required store: PathBuf,
        optional rest_tls: MutualTls,
        optional orbital_tls: MutualTls,
    }
    Ledger {
        required kind: LedgerKind,
        optional path: PathBuf,
        optional hosts: Vec<At<HostPort>>,
        optional database: String,
        optional user: String,
        optional password_file: PathBuf,
        optional ca: PathBuf,
        optional cert: PathBuf,
        optional key: PathBuf,
    }
    MutualTls {
        required ca: PathBuf,
        required cert: PathBuf,
        required key: PathBuf,
    }
    ServerTls {
        required cert: PathBuf,
        required key: PathBuf,
    }
    Orbital {
        optional transport: Transport,
        optional ack_budget: Span,
        optional critical: Critical,
    }
    Critical {
        optional ack_budget: Span,
        optional resend: Span,
    }
    L1 {
        required provider: Provider,
        required tenants: Vec<At<TenantName>>,
        optional mode: Mode,
        optional region: String,
        optional endpoint: Endpoint,
        optional login: Endpoint,
        optional address: KmipServer,
        optional directory: String,
        optional ca: PathBuf,
        optional mount: String,
        optional namespace: String,
        optional module: PathBuf,
        optional token_label: String,
        optional token_serial: String,
        optional jurisdiction: Jurisdiction,
        optional probe: Span,
        optional node: NodeName,
        optional listen: SocketAddr,
        optional store: PathBuf,
        optional auth: Table<Region, L1Auth>,
    }
    L1Auth {
        optional credentials_file: PathBuf,
        optional role_arn: String,
    }
    Residency {
        required allow: Vec<At<String>>,
        optional material_leaves: MaterialLeaves,
    }
    RegionPart {
        required jurisdiction: Jurisdiction,
        required residency: Vec<At<Name>>,
        required l1: Vec<At<Name>>,
        required report_public: PublicKey,
        required hpke_public: PublicKey,
        optional autonomy: Autonomy,
        optional cache: Cache,
        optional node: Table<NodeName, CryptoNode>,
        optional edge: Table<NodeName, Edge>,
    }
    Autonomy {
        required serve_cached: Span,
        optional then: Then,
    }
    Cache {
        optional locked_memory: Size,
        optional idle_evict: Span,
    }
    CryptoNode {
        optional kmip: SocketAddr,
        optional kmip_https: SocketAddr,
        required stop: SocketAddr,
        required health: SocketAddr,
        required store: PathBuf,
        required highwater: PathBuf,
        optional kmip_tls: ServerTls,
        required orbital_tls: MutualTls,
        required frame_key: PathBuf,
        required frame_public: PublicKey,
        required report_key: PathBuf,
        required hpke_key: PathBuf,
        optional zone: String,
    }
    Edge {
        required kmip: SocketAddr,
        required peers: Vec<At<String>>,
        optional quota: Quota,
    }
    Quota {
        optional ops_per_s: u64,
        optional connections: u64,
    }
}

words! {
    /// Who keeps an L1 key.
    Provider {
        AwsKms = "aws-kms",
        /// Azure Key Vault, or an Azure Managed HSM.
        AzureKeyVault = "azure-key-vault",
        /// Google Cloud KMS.
        GoogleKms = "google-kms",
        /// A key manager on the customer's premises.
        Kmip = "kmip",
        /// The transit engine of an OpenBao or Vault server.
        VaultTransit = "vault-transit",
        /// A token that the vendor's PKCS#11 module reaches.
        Pkcs11 = "pkcs11",
        /// A process of our own that protects nothing: for development alone.
        Soft = "soft",
    }
    /// Whether the region may cache what an L1 unwrapped (bring your own key) or the key never leaves its home (hold your own key).
    Mode { Byok = "byok", Hyok = "hyok", }
    /// Where the ledger is kept.
    LedgerKind {
        Redb = "redb",
        /// For several nodes of governance, of which one is active.
        Postgres = "postgres",
    }
    /// What a way out for notices speaks.
    NotifyKind { Slack = "slack", Smtp = "smtp", Pagerduty = "pagerduty", Webhook = "webhook", }
    /// How the line to a mail server is encrypted.
    MailTls {
        StartTls = "starttls",
        Implicit = "implicit",
        /// On loopback in development alone.
        None = "none",
    }
    /// How the planes reach each other.
    Transport { Cluster = "cluster", }
    /// Whether a key may leave the places that a rule allows.
    MaterialLeaves { Never = "never", WrappedOnly = "wrapped-only", }
    /// What a region does when its autonomy ends.
    Then { Lock = "lock", }
}

impl RegionPart {
    pub(crate) fn nodes(&self) -> &[(At<NodeName>, At<CryptoNode>)] {
        self.node.as_ref().map_or(&[], |table| &table.value.entries)
    }
    pub(crate) fn edges(&self) -> &[(At<NodeName>, At<Edge>)] {
        self.edge.as_ref().map_or(&[], |table| &table.value.entries)
    }
}

impl File {
    pub(crate) fn regions(&self) -> &[(At<Region>, At<RegionPart>)] {
        self.region.as_ref().map_or(&[], |table| &table.value.entries)
    }
    pub(crate) fn l1s(&self) -> &[(At<Name>, At<L1>)] {
        self.l1.as_ref().map_or(&[], |table| &table.value.entries)
    }
    pub(crate) fn rules(&self) -> &[(At<Name>, At<Residency>)] {
        self.residency.as_ref().map_or(&[], |table| &table.value.entries)
    }
    pub(crate) fn pins(&self) -> &[(At<TenantName>, At<TenantId>)] {
        self.pin.as_ref().map_or(&[], |table| &table.value.entries)
    }
    pub(crate) fn channels(&self) -> &[(At<Channel>, At<Notify>)] {
        self.notify.as_ref().map_or(&[], |table| &table.value.entries)
    }
    pub(crate) fn standbys(&self) -> &[(At<NodeName>, At<Standby>)] {
        let table = self.governance.as_ref().and_then(|governance| governance.value.standby.as_ref());
        table.map_or(&[], |table| &table.value.entries)
    }
    pub(crate) fn is_development(&self) -> bool {
        self.development.as_ref().is_some_and(|d| d.value)
    }

    /// Reads the tree. A file of another schema is not read further: its fields would all be strangers.
    pub(crate) fn read_from(tree: &Node, findings: &mut Vec<Finding>) -> Option<Self> {
        let whole = Place::default();
        if let Some(other) = other_schema(tree) {
            findings.push(other);
            return None;
        }
        <Self as FromNode>::read(tree, &whole, findings)
    }
}

fn other_schema(tree: &Node) -> Option<Finding> {
    let Value::Table(entries) = &tree.value else { return None };
    let (_, node) = entries.iter().find(|(key, _)| key.text == "schema")?;
    let said = match &node.value {
        Value::Text(text) if text == SCHEMA => return None,
        Value::Text(text) => text.clone(),
        other => other.kind().to_owned(),
    };
    let message = format!("this binary reads {SCHEMA}; the file says {said}");
    let help = format!("Upgrade this binary, or write the file as `schema = \"{SCHEMA}\"`.");
    let place = Place { path: "schema".into(), span: node.span.clone() };
    Some(Finding::new(Code::Schema, message, help).at(&place, "written for another schema"))
}
