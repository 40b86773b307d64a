//! One region's node in a folder of its own: what `node::crypto` composes, without the lanes. Directives are given to the steward itself.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use custody::{
    clock::{Clock, SystemClock},
    keeper::Keeper,
    key_cache::{self, KeyCache},
    key_table::KeyTable,
    keyring::Keyring,
    l1::{Development, L1, Soft, SoftOptions, soft_wire::Token},
    mac::NodeKey,
    names::ObjectId,
    object::{Name, ObjectMeta, State},
    shelf::{Owner, Shelf},
    standing::{Identity, Standing},
    steward::{self, Steward},
    unseal::Unsealer,
    vault::{self, Slab, Wanted},
};
use kmip::tables::{CryptographicAlgorithm, KeyFormatType, NameType, ObjectType, UsageMask};
use kmip_server::{Limits, Parts, Server, audit, caller, policies::Policies, tls::Tls};
use node::soft_l1;
use orbital::{
    directive::Directive,
    names::{Digest, NodeName, Region as RegionName, System, TenantId},
    report::{Outcome, SyncAck, Use},
    testing::{self, SYSTEM, World},
    trust::{Anchor, CallerRule, TrustRoot},
};
use policy::{Bundle, DecisionCache, Evaluator};
use tokio::{net::TcpListener, runtime::Handle, task::JoinSet};

use super::{Res, pki::Pki};

pub const REGION: &str = "eu-frankfurt";
/// The tenants' keys at the soft L1: of the bench's own, and of a neighbour.
const L1_KEYS: [&str; 2] = ["soft:acme", "soft:beta"];
/// Creations in flight: they share commits.
const IN_FLIGHT: usize = 512;
const TOKEN: &str = "bench-region";
/// As a node does where its topology says nothing else.
const PROBE_EVERY_MS: u64 = 5_000;

/// A tenant: its callers are the clients of this authority. The same from every process.
fn world(name: &str, pki: &Pki, alter: impl FnOnce(&mut TrustRoot)) -> Res<World> {
    let certificate = pki.ca()?.to_vec();
    let system = System::new(SYSTEM)?;
    let policy = Bundle::default_bundle()?.digest();
    Ok(World::founded("bench", name, |root| {
        root.policy = policy;
        root.callers = BTreeSet::from([CallerRule { anchor: Anchor::Ca { certificate }, system, name: None }]);
        alter(root);
    }))
}

/// The bench's tenants, its own first. A neighbour's trust root names the same region.
fn worlds(pki: &Pki, neighbour: Option<&Pki>) -> Res<Vec<World>> {
    let own = world("acme", pki, |_| ())?;
    let regions = own.trust().regions.clone();
    let beside = neighbour.map(|pki| world("beta", pki, |root| root.regions = regions)).transpose()?;
    Ok([own].into_iter().chain(beside).collect())
}

/// Serves the customer's KMS on a task of this process.
pub async fn soft_l1(folder: &Path, pki: &Pki) -> Res<SocketAddr> {
    let folder = folder.join("l1");
    fs::create_dir_all(&folder)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let options = soft_l1::Options {
        folder,
        tls: pki.open()?,
        admin: Token::new("bench-admin"),
        principals: [("region".to_owned(), Token::new(TOKEN))].into(),
        keys: L1_KEYS.map(|name| soft_l1::KeySpec { name: name.to_owned(), allow: vec!["region".to_owned()] }).into(),
        connections_max: 32,
        development: Development::proven(true, "a bench")?,
    };
    tokio::spawn(async move {
        if let Err(why) = soft_l1::serve(listener, options, std::future::pending()).await {
            eprintln!("the soft L1 ended: {why}");
        }
    });
    Ok(address)
}

/// The clocks of a region: a bench that watches ciphers puts its own in.
#[derive(Clone)]
pub struct Clocks {
    /// The key table's: read at each admission, borrow and finish.
    pub table: Arc<dyn Clock>,
    /// The KMIP server's: read once at the begin of each request.
    pub server: Arc<dyn Clock>,
}

impl Default for Clocks {
    fn default() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        Self { table: clock.clone(), server: clock }
    }
}

/// What a region is started with.
pub struct Wanting<'a> {
    pub folder: &'a Path,
    pub pki: &'a Pki,
    /// The authority of another tenant's clients, if there is another one.
    pub neighbour: Option<&'a Pki>,
    pub l1: SocketAddr,
    pub slots: usize,
    pub clocks: Clocks,
    /// Where handshakes are done.
    pub back: Handle,
}

/// A running region.
pub struct Region {
    pub world: World,
    neighbours: Vec<World>,
    pub server: Arc<Server>,
    pub steward: Arc<Steward>,
    pub keyring: Arc<Keyring>,
    pub shelf: Arc<Shelf>,
    pub slab: Arc<Slab>,
    pub table: Arc<KeyTable>,
}

impl Region {
    /// Starts it over its folder. In a fresh one the tenants are provisioned and linked to the L1, by certified directives.
    pub async fn start(wanting: Wanting<'_>) -> Res<Self> {
        let Wanting { folder, pki, neighbour, l1, slots, clocks, back } = wanting;
        vault::harden_process()?;
        let mut worlds = worlds(pki, neighbour)?;
        let pinned = worlds.iter().map(World::tenant).collect();
        let (world, neighbours) = (worlds.remove(0), worlds);
        let slab = Slab::open(slots, Wanted::Best)?;
        let (store, name) = (folder.join("store"), RegionName::new(REGION)?);
        fs::create_dir_all(&store)?;
        let node_key = Arc::new(NodeKey::load_or_create(&store.join("node.key"))?);
        let owner = Owner { deployment: world.deployment(), region: name.clone() };
        let shelf = Arc::new(Shelf::open(&store, owner, node_key.clone())?);
        let table = Arc::new(KeyTable::new(clocks.table.clone()));
        let high_water = folder.join("highwater");
        let (keeper, _) = Keeper::load(table.clone(), shelf.clone(), &high_water, node_key, clocks.table.clone())?;
        let keeper = Arc::new(keeper);
        let unsealer = Arc::new(Unsealer::new(table.clone(), shelf.clone(), slab.clone()));
        let cache = cache(&table, &unsealer, &clocks, pki, l1).await?;
        let keyring = Arc::new(Keyring::new(
            table.clone(),
            shelf.clone(),
            slab.clone(),
            unsealer,
            cache.clone(),
            clocks.table.clone(),
        ));
        let policies = Arc::new(Policies::default());
        let server = kmip_server(folder, pki, &keyring, &policies, &clocks, back)?;
        let options = steward::Options {
            me: identity(&world, name)?,
            node: NodeName::new("bench-1")?,
            report_key: testing::secret("bench/acme", REGION),
            pinned,
            table: table.clone(),
            keeper,
            cache,
            callers: Arc::new(Callers::new(server.clone(), policies)?),
            probes: Arc::new(|_| ()),
            clock: clocks.table.clone(),
            lease_most_ms: None,
        };
        let known = !table.tenants().is_empty();
        let steward = Steward::start(options).await?;
        tokio::spawn(ticks(steward.clone()));
        let region = Self { world, neighbours, server, steward, keyring, shelf, slab, table };
        if !known {
            for (world, key) in region.worlds().zip(L1_KEYS) {
                region.obey(&Directive::Provision { genesis: world.genesis(), links: Vec::new() }).await?;
                region.obey(&Directive::Link(world.warrant(world.link(key)))).await?;
            }
        }
        Ok(region)
    }

    fn worlds(&self) -> impl Iterator<Item = &World> {
        std::iter::once(&self.world).chain(&self.neighbours)
    }

    /// Gives the steward a directive that it must apply.
    pub async fn obey(&self, directive: &Directive) -> Res<SyncAck> {
        applied(&self.steward, &directive.encode()?).await
    }

    pub fn tenant(&self) -> TenantId {
        self.world.tenant()
    }

    /// A new AES-256 key of each tenant's system, the own tenant's first.
    pub async fn create_each(&self) -> Res<Vec<ObjectId>> {
        let mut made = Vec::new();
        for world in self.worlds() {
            made.push(self.create_for(world.tenant(), None).await?);
        }
        Ok(made)
    }

    /// A new AES-256 key of the tenant's system, active, durable.
    pub async fn create(&self) -> Res<ObjectId> {
        self.create_for(self.tenant(), None).await
    }

    /// Makes as many keys, [`IN_FLIGHT`] at a time, named by their number if `name` is given. Answers one of them.
    pub async fn create_many(self: &Arc<Self>, count: usize, name: Option<fn(usize) -> String>) -> Res<ObjectId> {
        let mut made = None;
        let mut running = JoinSet::new();
        for number in 0..count {
            let region = self.clone();
            running.spawn(async move { region.create_for(region.tenant(), name.map(|name| name(number))).await });
            if running.len() >= IN_FLIGHT
                && let Some(done) = running.join_next().await
            {
                made = Some(done??);
            }
        }
        while let Some(done) = running.join_next().await {
            made = Some(done??);
        }
        made.ok_or_else(|| "no key was to be made".into())
    }

    async fn create_for(&self, tenant: TenantId, name: Option<String>) -> Res<ObjectId> {
        let system = System::new(SYSTEM)?;
        let bits = UsageMask::ENCRYPT.with(UsageMask::DECRYPT);
        let mut meta = ObjectMeta {
            algorithm: Some(CryptographicAlgorithm::Aes.code()),
            length_bits: Some(256),
            usage_mask: u32::try_from(bits.0)?,
            key_format: Some(KeyFormatType::Raw.code()),
            extractable: true,
            ..ObjectMeta::new(ObjectType::SymmetricKey.code(), State::Active, true)
        };
        if let Some(value) = name {
            meta.names.push(Name { value, kind: NameType::UninterpretedTextString.code() });
        }
        let fill = |bytes: &mut [u8]| getrandom::fill(bytes).map_err(|e| custody::Error::Random(e.to_string()));
        Ok(self.keyring.create_object(&tenant, &system, meta, 32, fill).await?)
    }
}

/// Gives a steward the bytes of a directive, and demands that it was applied.
pub async fn applied(steward: &Steward, directive: &[u8]) -> Res<SyncAck> {
    let answered =
        steward.receive(directive, Instant::now()).await.ok_or("a directive was not performed; see the log")?;
    let ack = SyncAck::peek(&answered.ack)?;
    if ack.outcome == Outcome::Applied { Ok(ack) } else { Err(format!("refused: {}", ack.why).into()) }
}

async fn cache(
    table: &Arc<KeyTable>,
    unsealer: &Arc<Unsealer>,
    clocks: &Clocks,
    pki: &Pki,
    l1: SocketAddr,
) -> Res<KeyCache> {
    let address = format!("localhost:{}", l1.port());
    let options = SoftOptions { address, ca: pki.ca_file(), token: Token::new(TOKEN) };
    let soft: Arc<dyn L1> = Arc::new(Soft::connect(options, Development::proven(true, "a bench")?)?);
    let parts = key_cache::Parts {
        table: table.clone(),
        unsealer: unsealer.clone(),
        clock: clocks.table.clone(),
        providers: Arc::new(move |_, _| Some(soft.clone())),
        watch: Arc::new(drop),
        probe_every_ms: PROBE_EVERY_MS,
    };
    Ok(KeyCache::start(None, parts, None).await?)
}

fn kmip_server(
    folder: &Path,
    pki: &Pki,
    keyring: &Arc<Keyring>,
    policies: &Arc<Policies>,
    clocks: &Clocks,
    back: Handle,
) -> Res<Arc<Server>> {
    let (chain, key) = pki.identity("server")?;
    Ok(Arc::new(Server::new(Parts {
        region: RegionName::new(REGION)?,
        keyring: keyring.clone(),
        policies: policies.clone(),
        anchors: Arc::new(caller::AnchorTable::default()),
        tls: Tls::new(chain, key)?,
        audit: Arc::new(audit::Log::open(&folder.join("audit.jsonl"))?),
        clock: clocks.server.clone(),
        limits: Limits::default(),
        back,
    })))
}

fn identity(world: &World, region: RegionName) -> Res<Identity> {
    let named = world.trust().regions.get(&region).ok_or("the genesis does not name the region")?;
    let (report_key, hpke_key) = (named.report_key, named.hpke_key);
    Ok(Identity { deployment: world.deployment(), region, report_key, hpke_key, hyok: [].into() })
}

/// As a node does: leases are looked at every second.
async fn ticks(steward: Arc<Steward>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        let ending = steward.clone();
        // A runtime that ends takes the task with it.
        drop(tokio::task::spawn_blocking(move || ending.tick()).await);
    }
}

/// Shows the tenant's callers and policies to the KMIP server.
struct Callers {
    server: Arc<Server>,
    policies: Arc<Policies>,
    evaluator: Arc<Evaluator>,
}

impl Callers {
    fn new(server: Arc<Server>, policies: Arc<Policies>) -> Res<Self> {
        Ok(Self { server, policies, evaluator: Arc::new(Evaluator::new(Bundle::default_bundle()?)) })
    }
}

impl steward::Callers for Callers {
    // One tenant: there is nobody whose claim could come before.
    fn anchors(&self, _: &TrustRoot) -> BTreeSet<Digest> {
        BTreeSet::new()
    }

    fn changed(&self, standing: &Standing, _: &BTreeMap<Digest, u64>) {
        let rule = |rule: &CallerRule| caller::CallerRule {
            anchor: match &rule.anchor {
                Anchor::Ca { certificate } => caller::Anchor::Ca(certificate.clone()),
                Anchor::Fingerprint { digest } => caller::Anchor::Fingerprint(*digest),
            },
            system: rule.system.clone(),
            name: rule.name.clone(),
            turn: caller::NOT_YET,
        };
        self.policy(standing);
        let tenant = standing.tenant();
        for fault in self.server.change_callers(tenant, standing.trust().callers.iter().map(rule).collect()) {
            tracing::error!(%tenant, "a caller rule is not in force: {fault}");
        }
    }

    fn policy(&self, standing: &Standing) {
        let cache = DecisionCache::new(standing.trust().version, self.evaluator.clone());
        self.policies.set(standing.tenant(), Arc::new(cache));
    }

    fn close(&self, tenant: &TenantId) {
        self.server.close_tenant(tenant);
    }
    fn used(&self, tenant: &TenantId) -> BTreeMap<System, Use> {
        self.server.used(tenant)
    }
}
