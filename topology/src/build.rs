//! From a checked file to a model: the places fall away, defaults come in, relative paths get the folder of the file.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use crate::{
    Ledger, LedgerKind, MailTls, MaterialLeaves, Mode, NotifyKind, Postgres, Provider, Site, Then, file,
    finding::At,
    login,
    model::{self, IDENTITY, MutualTls, NotifyTarget, NotifyUrl, ServerTls, SigningKey, Topology},
    places,
    units::{PublicKey, Size, Span},
};

/// Locked memory of a node whose region does not say.
pub const LOCKED_MEMORY_DEFAULT: Size = Size::mib(64);
/// Where a mail server takes mails of those who sign in (RFC 6409).
pub const SUBMISSION_PORT: u16 = 587;
/// Where a transit engine is mounted, unless the file says otherwise.
pub(crate) const TRANSIT_MOUNT_DEFAULT: &str = "transit";
/// Where Google Cloud KMS answers, unless a private address of it is named.
const GOOGLE_ENDPOINT_DEFAULT: &str = "https://cloudkms.googleapis.com";
/// Where a key manager listens, unless the file says otherwise (KMIP 1.4 Profiles §5.3).
pub(crate) const KMIP_PORT: u16 = 5696;
/// Where Entra ID hands out tokens, unless the file names a national cloud.
const ENTRA_LOGIN_DEFAULT: &str = "https://login.microsoftonline.com";
/// How often L1 is asked for the state of its keys, unless the file says otherwise.
pub const PROBE_DEFAULT: Span = Span::seconds(30);

fn of<T: Clone>(field: &Option<At<T>>) -> Option<T> {
    field.as_ref().map(|at| at.value.clone())
}

/// Paths in the file are relative to its folder.
pub(crate) struct Base<'a>(pub(crate) &'a Path);

impl Base<'_> {
    pub(crate) fn path(&self, path: &Path) -> PathBuf {
        // `join` keeps an absolute path as it is.
        self.0.join(path).components().filter(|c| *c != Component::CurDir).collect()
    }
    fn required(&self, field: &Option<At<PathBuf>>) -> Option<PathBuf> {
        field.as_ref().map(|at| self.path(&at.value))
    }
    fn mutual(&self, field: &Option<At<file::MutualTls>>) -> Option<MutualTls> {
        let tls = &field.as_ref()?.value;
        Some(MutualTls { ca: self.required(&tls.ca)?, cert: self.required(&tls.cert)?, key: self.required(&tls.key)? })
    }
    fn server(&self, field: &Option<At<file::ServerTls>>) -> Option<ServerTls> {
        let tls = &field.as_ref()?.value;
        Some(ServerTls { cert: self.required(&tls.cert)?, key: self.required(&tls.key)? })
    }
}

/// `None` when something required is not there; a check has said so before.
pub(crate) fn build(file: &file::File, base: &Base<'_>) -> Option<Topology> {
    file.schema.as_ref()?;
    let governance = match &file.governance {
        None => None,
        Some(part) => Some(governance(&part.value, base)?),
    };
    let site = match &file.site {
        None => None,
        Some(part) => Some(Site { id: of(&part.value.id)?, warrant: base.required(&part.value.warrant)? }),
    };
    let l1 = file.l1s().iter().map(|(name, l1)| Some((name.value.0.clone(), self::l1(&l1.value, base)?)));
    let residency = file.rules().iter().map(|(name, rule)| Some((name.value.0.clone(), residency(&rule.value)?)));
    let regions = file.regions().iter().map(|(name, part)| Some((name.value.clone(), region(&part.value, base)?)));
    Some(Topology {
        deployment: of(&file.deployment)?,
        generation: of(&file.generation).unwrap_or(1),
        development: file.is_development(),
        identity: file.tls.as_ref().and_then(|t| of(&t.value.identity)).unwrap_or_else(|| IDENTITY.to_owned()),
        site,
        governance,
        orbital: orbital(file.orbital.as_ref().map(|o| &o.value)),
        l1: l1.collect::<Option<BTreeMap<_, _>>>()?,
        residency: residency.collect::<Option<BTreeMap<_, _>>>()?,
        regions: regions.collect::<Option<BTreeMap<_, _>>>()?,
        notify: file
            .channels()
            .iter()
            .map(|(name, c)| Some((name.value.clone(), notify(&c.value, base)?)))
            .collect::<Option<_>>()?,
        pins: file.pins().iter().map(|(name, id)| (name.value.clone(), id.value)).collect(),
    })
}

fn governance(part: &file::Governance, base: &Base<'_>) -> Option<model::Governance> {
    let pair = |key: &Option<At<PathBuf>>, public: &Option<At<PublicKey>>| match (key, public) {
        (Some(key), Some(public)) => Some(SigningKey { key: base.path(&key.value), public: public.value }),
        (_, _) => None,
    };
    let ledger = match &part.ledger {
        None => Ledger::default(),
        Some(ledger) => self::ledger(&ledger.value, base)?,
    };
    let login = match &part.login {
        None => None,
        Some(part) => Some(login::build(&part.value, base)?),
    };
    let main = model::Governance {
        node: of(&part.node)?,
        address: of(&part.address).map(|host| host.0),
        rest: of(&part.rest)?,
        orbital: of(&part.orbital)?,
        orbital_critical: of(&part.orbital_critical)?,
        health: of(&part.health)?,
        store: base.required(&part.store)?,
        ledger,
        rest_tls: base.mutual(&part.rest_tls)?,
        orbital_tls: base.mutual(&part.orbital_tls)?,
        frame_key: base.required(&part.frame_key)?,
        frame_public: of(&part.frame_public)?,
        portal: of(&part.portal).map(|url| url.0),
        operators: part.operators.iter().flat_map(|all| &all.value).map(|one| one.value.clone()).collect(),
        lease: pair(&part.lease_key, &part.lease_public),
        checkpoint: pair(&part.checkpoint_key, &part.checkpoint_public),
        login,
        standbys: BTreeMap::new(),
    };
    let standbys = part.standby.iter().flat_map(|table| &table.value.entries);
    let standbys = standbys.map(|(name, part)| Some((name.value.clone(), standby(&part.value, &main, base)?)));
    let standbys = standbys.collect::<Option<BTreeMap<_, _>>>()?;
    Some(model::Governance { standbys, ..main })
}

/// The same node at another place.
fn standby(part: &file::Standby, main: &model::Governance, base: &Base<'_>) -> Option<model::Governance> {
    Some(model::Governance {
        address: of(&part.address).map(|host| host.0),
        rest: of(&part.rest)?,
        orbital: of(&part.orbital)?,
        orbital_critical: of(&part.orbital_critical)?,
        health: of(&part.health)?,
        store: base.required(&part.store)?,
        rest_tls: base.mutual(&part.rest_tls).unwrap_or_else(|| main.rest_tls.clone()),
        orbital_tls: base.mutual(&part.orbital_tls).unwrap_or_else(|| main.orbital_tls.clone()),
        ..main.clone()
    })
}

fn notify(part: &file::Notify, base: &Base<'_>) -> Option<model::Notify> {
    let target = match of(&part.kind)? {
        NotifyKind::Slack => NotifyTarget::Slack { url_file: base.required(&part.url_file)? },
        NotifyKind::Pagerduty => {
            NotifyTarget::Pagerduty { url: of(&part.url).map(|url| url.0), key_file: base.required(&part.key_file)? }
        }
        NotifyKind::Webhook => NotifyTarget::Webhook {
            url: match of(&part.url) {
                Some(url) => NotifyUrl::Plain(url.0),
                None => NotifyUrl::File(base.required(&part.url_file)?),
            },
            secret_file: base.required(&part.secret_file)?,
        },
        NotifyKind::Smtp => NotifyTarget::Smtp {
            host: of(&part.host)?.0,
            port: of(&part.port).map_or(Some(SUBMISSION_PORT), |port| u16::try_from(port).ok())?,
            tls: of(&part.tls).unwrap_or(MailTls::StartTls),
            from: of(&part.from)?,
            login: of(&part.user).zip(base.required(&part.password_file)),
            to: part.to.iter().flat_map(|all| &all.value).map(|one| one.value.clone()).collect(),
        },
    };
    Some(model::Notify {
        target,
        ca: base.required(&part.ca),
        tenants: part.tenants.iter().flat_map(|all| &all.value).map(|one| one.value.clone()).collect(),
        default: of(&part.default).unwrap_or(false),
    })
}

fn ledger(part: &file::Ledger, base: &Base<'_>) -> Option<Ledger> {
    match of(&part.kind)? {
        LedgerKind::Redb => Some(Ledger::Redb { path: base.required(&part.path) }),
        LedgerKind::Postgres => Some(Ledger::Postgres(Postgres {
            hosts: part.hosts.as_ref()?.value.iter().map(|host| host.value.0.clone()).collect(),
            database: of(&part.database)?,
            user: of(&part.user)?,
            password_file: base.required(&part.password_file),
            ca: base.required(&part.ca),
            own: base.required(&part.cert).zip(base.required(&part.key)),
        })),
    }
}

fn orbital(part: Option<&file::Orbital>) -> model::Orbital {
    let default = model::Orbital::default();
    let critical = part.and_then(|o| o.critical.as_ref()).map(|c| &c.value);
    model::Orbital {
        transport: part.and_then(|o| of(&o.transport)).unwrap_or(default.transport),
        ack_budget: part.and_then(|o| of(&o.ack_budget)).unwrap_or(default.ack_budget),
        critical_ack_budget: critical.and_then(|c| of(&c.ack_budget)).unwrap_or(default.critical_ack_budget),
        critical_resend: critical.and_then(|c| of(&c.resend)).unwrap_or(default.critical_resend),
    }
}

fn l1(part: &file::L1, base: &Base<'_>) -> Option<model::L1> {
    let by_aws = part.region.as_ref().and_then(|r| places::of_aws(&r.value)).and_then(|country| country.parse().ok());
    let provider = match of(&part.provider)? {
        Provider::AwsKms => {
            model::L1Provider::AwsKms { region: of(&part.region)?, endpoint: of(&part.endpoint).map(|e| e.0) }
        }
        Provider::AzureKeyVault => model::L1Provider::AzureKeyVault {
            endpoint: of(&part.endpoint)?.0,
            login: of(&part.login).map_or_else(|| ENTRA_LOGIN_DEFAULT.to_owned(), |login| login.0),
            directory: of(&part.directory)?,
            ca: base.required(&part.ca)?,
        },
        Provider::GoogleKms => model::L1Provider::GoogleKms {
            endpoint: of(&part.endpoint).map_or_else(|| GOOGLE_ENDPOINT_DEFAULT.to_owned(), |endpoint| endpoint.0),
            ca: base.required(&part.ca)?,
        },
        Provider::Kmip => {
            model::L1Provider::Kmip { address: of(&part.address)?.0.to_string(), ca: base.required(&part.ca)? }
        }
        Provider::VaultTransit => model::L1Provider::VaultTransit {
            endpoint: of(&part.endpoint)?.0,
            ca: base.required(&part.ca)?,
            mount: of(&part.mount).unwrap_or_else(|| TRANSIT_MOUNT_DEFAULT.to_owned()),
            namespace: of(&part.namespace),
        },
        Provider::Pkcs11 => model::L1Provider::Pkcs11 {
            module: base.required(&part.module)?,
            token_label: of(&part.token_label)?,
            token_serial: of(&part.token_serial),
        },
        Provider::Soft => model::L1Provider::Soft {
            node: of(&part.node)?,
            listen: of(&part.listen)?,
            store: base.required(&part.store)?,
        },
    };
    let auth = part.auth.iter().flat_map(|table| &table.value.entries).map(|(region, auth)| {
        let credentials_file = base.required(&auth.value.credentials_file);
        (region.value.clone(), model::L1Auth { credentials_file, role_arn: of(&auth.value.role_arn) })
    });
    Some(model::L1 {
        provider,
        tenants: part.tenants.as_ref()?.value.iter().map(|label| label.value.clone()).collect(),
        mode: of(&part.mode).unwrap_or(Mode::Byok),
        jurisdiction: of(&part.jurisdiction).or(by_aws)?,
        probe: of(&part.probe).unwrap_or(PROBE_DEFAULT),
        auth: auth.collect(),
    })
}

fn residency(part: &file::Residency) -> Option<model::Residency> {
    Some(model::Residency {
        allow: part.allow.as_ref()?.value.iter().map(|place| place.value.clone()).collect(),
        material_leaves: of(&part.material_leaves).unwrap_or(MaterialLeaves::Never),
    })
}

fn region(part: &file::RegionPart, base: &Base<'_>) -> Option<model::RegionPart> {
    let cache = part.cache.as_ref().map(|c| &c.value);
    let nodes = part.nodes().iter().map(|(name, node)| Some((name.value.clone(), self::node(&node.value, base)?)));
    let edges = part.edges().iter().map(|(name, edge)| Some((name.value.clone(), self::edge(&edge.value)?)));
    let autonomy = match &part.autonomy {
        None => None,
        Some(autonomy) => Some(model::Autonomy {
            serve_cached: of(&autonomy.value.serve_cached)?,
            then: of(&autonomy.value.then).unwrap_or(Then::Lock),
        }),
    };
    Some(model::RegionPart {
        jurisdiction: of(&part.jurisdiction)?,
        residency: part.residency.as_ref()?.value.iter().map(|name| name.value.0.clone()).collect(),
        l1: part.l1.as_ref()?.value.iter().map(|name| name.value.0.clone()).collect(),
        report_public: of(&part.report_public)?,
        hpke_public: of(&part.hpke_public)?,
        autonomy,
        locked_memory: cache.and_then(|c| of(&c.locked_memory)).unwrap_or(LOCKED_MEMORY_DEFAULT),
        idle_evict: cache.and_then(|c| of(&c.idle_evict)),
        nodes: nodes.collect::<Option<BTreeMap<_, _>>>()?,
        edges: edges.collect::<Option<BTreeMap<_, _>>>()?,
    })
}

fn node(part: &file::CryptoNode, base: &Base<'_>) -> Option<model::CryptoNode> {
    let kmip = match &part.kmip {
        None => None,
        Some(listen) => {
            Some(model::Kmip { listen: listen.value, https: of(&part.kmip_https), tls: base.server(&part.kmip_tls)? })
        }
    };
    Some(model::CryptoNode {
        kmip,
        stop: of(&part.stop)?,
        health: of(&part.health)?,
        store: base.required(&part.store)?,
        highwater: base.required(&part.highwater)?,
        orbital_tls: base.mutual(&part.orbital_tls)?,
        frame_key: base.required(&part.frame_key)?,
        frame_public: of(&part.frame_public)?,
        report_key: base.required(&part.report_key)?,
        hpke_key: base.required(&part.hpke_key)?,
        zone: of(&part.zone),
    })
}

fn edge(part: &file::Edge) -> Option<model::Edge> {
    let quota = part.quota.as_ref().map(|q| &q.value);
    Some(model::Edge {
        kmip: of(&part.kmip)?,
        peers: part.peers.as_ref()?.value.iter().map(|peer| peer.value.clone()).collect(),
        ops_per_s: quota.and_then(|q| of(&q.ops_per_s)),
        connections: quota.and_then(|q| of(&q.connections)),
    })
}
