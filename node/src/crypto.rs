//! A region's process: a parts list, in the order in which the parts are needed.
//!
//! Locked memory first (no key without it), then what the shelf remembers, the L1 providers, the key cache, the KMIP server, the steward
//! who takes directives, the two lanes that bring them, and the listener that takes stops from anyone.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    future::Future,
    net::SocketAddr,
    path::Path,
    pin::Pin,
    sync::{Arc, OnceLock, atomic::AtomicU64},
    time::Duration,
};

use custody::{
    by_hand::{ByHand, Kill},
    clock::{Clock, SystemClock},
    high_water::Verdict,
    keeper::Keeper,
    key_cache::{self, KeyCache},
    key_table::KeyTable,
    keyring::Keyring,
    mac::NodeKey,
    receiver::{self, Receiver},
    shelf::{Owner, Shelf},
    standing::Identity,
    steward::{self, Steward},
    supervisor::Supervisor,
    unseal::Unsealer,
    vault::{self, Slab, Wanted},
};
use kmip_server::{Limits, Parts, Server, audit, caller, policies::Policies, tls::Tls};
use metrics_exporter_prometheus::PrometheusHandle;
use orbital::{
    held::Asked,
    lane::Lane as Which,
    names::{NodeName, Region},
    sign::{PublicKey, SecretKey, Signed},
};
use ractor::{ActorCell, ActorRef};
use tokio::runtime::Handle;
use topology::{CryptoNode, Model, RegionPart};

use crate::{
    cluster::{Dial, Lane, LaneOptions},
    fault::RunError,
    keyfiles,
    kms_book::Book,
    region::{Callers, RegionHealth, Sink, Watch},
    run::{Ending, listen, serve_health, tls_files},
    sources, stop_listener,
};

/// Bytes of one slot of the slab: what `locked_memory` is divided by.
const SLOT_BYTES: u64 = 64;

/// Which node of which region.
pub struct Place<'a> {
    pub name: NodeName,
    pub region: &'a Region,
    pub part: &'a RegionPart,
    pub node: &'a CryptoNode,
}

/// What custody is made of, once it stands.
struct Keys {
    table: Arc<KeyTable>,
    slab: Arc<Slab>,
    keeper: Arc<Keeper>,
    keyring: Arc<Keyring>,
    cache: KeyCache,
    watch: Arc<Watch>,
    clock: Arc<dyn Clock>,
}

/// The runtimes of a region besides the one that it runs on.
pub struct Handles {
    pub critical: Handle,
    pub back: Handle,
}

/// Runs a region's node until it is asked to end.
pub async fn run(
    model: &Model,
    place: Place<'_>,
    handles: Handles,
    metrics: PrometheusHandle,
    ending: Ending,
) -> Result<(), RunError> {
    vault::harden_process()?;
    let Handles { critical, back } = handles;
    let identity = identity(model, &place)?;
    let report_key = keyfiles::read_ed25519(&place.node.report_key)?;
    check_key(report_key.public(), identity.report_key, &place.node.report_key, "report_public")?;
    let supervisor = Supervisor::start().await.map_err(|e| RunError::Actor(e.to_string()))?;
    let book = Book::open(&place.node.store, Arc::new(SystemClock::new()))?;
    let keys = keys(model, &place, &supervisor, book.clone()).await?;
    let policies = Arc::new(Policies::default());
    let server = kmip(&place, &keys, policies.clone(), back, book.audit.clone())?;
    let callers = Arc::new(Callers::new(server.clone(), policies)?);
    let receivers = Arc::new(OnceLock::<ActorRef<receiver::Msg>>::new());
    let steward = steward(model, &place, &keys, identity, report_key, callers, receivers.clone()).await?;
    keys.watch.follow(steward.clone());
    let health = Arc::new(RegionHealth::new(steward.clone(), keys.keeper.clone(), keys.slab.clone(), server.clone()));

    let frame_key = Arc::new(keyfiles::read_ed25519(&place.node.frame_key)?);
    check_key(frame_key.public(), PublicKey(place.node.frame_public.0), &place.node.frame_key, "frame_public")?;
    let by_hand = Arc::<ByHand>::default();
    let common = Lanes {
        model,
        place: &place,
        steward: steward.clone(),
        frame_key,
        health: health.clone(),
        term: Arc::default(),
        by_hand: by_hand.clone(),
        supervisor: supervisor.cell(),
    };
    let urgent = common.start(Which::Critical, &critical).await?;
    let ordinary = common.start(Which::Ordinary, &Handle::current()).await?;
    // The steward's probes go out over the ordinary lane.
    let _first = receivers.set(ordinary.receiver.clone());

    let stops = listen("stops", place.node.stop).await?;
    let sink: Arc<dyn stop_listener::StopSink> = Arc::new(Stops { steward: steward.clone(), by_hand });
    // On the critical runtime: a stop that comes by hand waits for nothing either.
    critical.spawn(stop_listener::serve(stops, sink, stop_listener::Limits::default(), ending.wait()));
    serve_health(place.node.health, health, metrics, &ending).await?;
    tokio::spawn(ticks(steward));
    tracing::info!(region = %place.region, stop = %place.node.stop, "region is up");
    let serving = serve_kmip(&place, server, &ending);
    let ended = tokio::select! {
        served = serving => served,
        () = supervisor.fell() => Err(RunError::Actor("a part of this region has fallen; see the log above. Start the node again".to_owned())),
    };
    ordinary.lane.stop().await;
    urgent.lane.stop().await;
    ended
}

async fn serve_kmip(place: &Place<'_>, server: Arc<Server>, ending: &Ending) -> Result<(), RunError> {
    match &place.node.kmip {
        Some(kmip) => {
            let listener = listen("KMIP", kmip.listen).await?;
            let https = match kmip.https {
                Some(https) => Some((https, listen("KMIP over HTTPS", https).await?)),
                None => None,
            };
            tracing::info!(kmip = %kmip.listen, "KMIP is served");
            let over_https = async {
                if let Some((https, listener)) = https {
                    tracing::info!(%https, "KMIP is served over HTTPS");
                    kmip_server::serve_https(listener, server.clone(), ending.wait()).await;
                }
            };
            tokio::join!(kmip_server::serve(listener, server.clone(), ending.wait()), over_https);
        }
        None => ending.wait().await,
    }
    Ok(())
}

fn identity(model: &Model, place: &Place<'_>) -> Result<Identity, RunError> {
    let hpke = keyfiles::read_x25519(&place.node.hpke_key)?;
    let public = hpke.public().ok_or_else(|| RunError::Other("the HPKE key file holds no X25519 key".to_owned()))?;
    check_key(public, PublicKey(place.part.hpke_public.0), &place.node.hpke_key, "hpke_public")?;
    Ok(Identity {
        deployment: model.deployment.clone(),
        region: place.region.clone(),
        report_key: PublicKey(place.part.report_public.0),
        hpke_key: public,
        hyok: model.hyok(),
    })
}

fn check_key(found: PublicKey, expected: PublicKey, path: &Path, what: &'static str) -> Result<(), RunError> {
    if found == expected { Ok(()) } else { Err(RunError::OtherKey { path: path.to_owned(), what }) }
}

/// Locked memory, the shelf and what it remembers, the providers and the pen.
async fn keys(model: &Model, place: &Place<'_>, supervisor: &Supervisor, book: Arc<Book>) -> Result<Keys, RunError> {
    let clock = book.clock.clone();
    let slots = usize::try_from(place.part.locked_memory.bytes() / SLOT_BYTES).unwrap_or(usize::MAX);
    let slab = Slab::open(slots, Wanted::Best)?;
    let node_key = Arc::new(NodeKey::load_or_create(&place.node.store.join("node.key"))?);
    let owner = Owner { deployment: model.deployment.clone(), region: place.region.clone() };
    let shelf = Arc::new(Shelf::open(&place.node.store, owner, node_key.clone())?);
    let table = Arc::new(KeyTable::new(clock.clone()));
    if let Some(folder) = place.node.highwater.parent() {
        fs::create_dir_all(folder).map_err(|why| RunError::Unreadable { path: folder.to_owned(), why })?;
    }
    let (keeper, verdict) = Keeper::load(table.clone(), shelf.clone(), &place.node.highwater, node_key, clock.clone())?;
    if let Verdict::Sealed(why) = verdict {
        tracing::error!(
            "sealed: {why}. Nobody is served until the holder of the lease key has confirmed each tenant's head"
        );
    }
    let unsealer = Arc::new(Unsealer::new(table.clone(), shelf.clone(), slab.clone()));
    let watch = Arc::new(Watch::default());
    let probes = place.part.l1.iter().filter_map(|name| model.l1_named(name)).map(|l1| l1.probe.duration());
    let probe_every = probes.min().unwrap_or(Duration::from_secs(5));
    let parts = key_cache::Parts {
        table: table.clone(),
        unsealer: unsealer.clone(),
        clock: clock.clone(),
        providers: sources::connect(model, place.region, &place.part.l1, book).await?,
        watch: watch.clone().callback(),
        probe_every_ms: u64::try_from(probe_every.as_millis()).unwrap_or(u64::MAX),
    };
    let cache = supervisor.key_cache(parts).await.map_err(|e| RunError::Actor(e.to_string()))?;
    let keyring = Arc::new(Keyring::new(table.clone(), shelf, slab.clone(), unsealer, cache.clone(), clock.clone()));
    Ok(Keys { table, slab, keeper: Arc::new(keeper), keyring, cache, watch, clock })
}

fn kmip(
    place: &Place<'_>,
    keys: &Keys,
    policies: Arc<Policies>,
    back: Handle,
    audit: Arc<audit::Log>,
) -> Result<Arc<Server>, RunError> {
    let kmip = place.node.kmip.as_ref().ok_or_else(|| {
        RunError::Other(format!(
            "node {} has no `kmip`: a node for edges alone is not part of this version",
            place.name
        ))
    })?;
    let (chain, key) = crate::cluster::tls::identity(&kmip.tls.cert, &kmip.tls.key)?;
    Ok(Arc::new(Server::new(Parts {
        region: place.region.clone(),
        keyring: keys.keyring.clone(),
        policies,
        anchors: Arc::new(caller::AnchorTable::default()),
        tls: Tls::new(chain, key).map_err(|e| RunError::KmipTls(e.to_string()))?,
        audit,
        clock: keys.clock.clone(),
        limits: Limits::default(),
        back,
    })))
}

async fn steward(
    model: &Model,
    place: &Place<'_>,
    keys: &Keys,
    me: Identity,
    report_key: SecretKey,
    callers: Arc<Callers>,
    receiver: Arc<OnceLock<ActorRef<receiver::Msg>>>,
) -> Result<Arc<Steward>, RunError> {
    let options = steward::Options {
        me,
        node: place.name.clone(),
        report_key,
        pinned: model.pins.values().copied().collect::<BTreeSet<_>>(),
        table: keys.table.clone(),
        keeper: keys.keeper.clone(),
        cache: keys.cache.clone(),
        callers,
        probes: Arc::new(move |probed| {
            // Before the lane stands nobody can have asked for a probe.
            if let Some(receiver) = receiver.get() {
                drop(receiver.cast(receiver::Msg::Probed(probed)));
            }
        }),
        clock: keys.clock.clone(),
        lease_most_ms: place
            .part
            .autonomy
            .as_ref()
            .map(|a| u64::try_from(a.serve_cached.duration().as_millis()).unwrap_or(u64::MAX)),
    };
    Ok(Steward::start(options).await?)
}

/// What both lanes are made of.
struct Lanes<'a> {
    model: &'a Model,
    place: &'a Place<'a>,
    steward: Arc<Steward>,
    frame_key: Arc<SecretKey>,
    health: Arc<RegionHealth>,
    term: Arc<AtomicU64>,
    by_hand: Arc<ByHand>,
    supervisor: ActorCell,
}

struct Started {
    lane: Arc<Lane>,
    receiver: ActorRef<receiver::Msg>,
}

impl Lanes<'_> {
    async fn start(&self, lane: Which, runtime: &Handle) -> Result<Started, RunError> {
        let governance = self.model.governance().ok_or_else(|| {
            RunError::Other(
                "the topology has no [governance]: a region founded without it is not part of this version".to_owned(),
            )
        })?;
        let options = receiver::Options {
            lane,
            deployment: self.model.deployment.clone(),
            me: self.place.name.clone(),
            governance: governance.node.clone(),
            governance_key: PublicKey(governance.frame_public.0),
            frame_key: self.frame_key.clone(),
            incarnation: incarnation(),
            steward: self.steward.clone(),
            loads: self.health.clone(),
            term: self.term.clone(),
            by_hand: self.by_hand.clone(),
        };
        let dials =
            if lane == Which::Critical { governance.orbital_critical_dials() } else { governance.orbital_dials() };
        let link = LaneOptions {
            lane,
            me: self.place.name.clone(),
            peers: BTreeMap::from([(self.model.identity_of(&governance.node)?, governance.node.clone())]),
            cookie: self.model.deployment.to_string(),
            listen: None,
            dial: vec![Dial {
                peer: governance.node.clone(),
                addresses: looked_up(&dials).await?,
                tls: tls_files(&self.place.node.orbital_tls).client()?,
            }],
        };
        let (health, supervisor) = (self.health.clone(), self.supervisor.clone());
        let started = runtime.spawn(async move {
            let receiver = Receiver::start(options, supervisor).await.map_err(|e| RunError::Actor(e.to_string()))?;
            let lane = Arc::new(Lane::start(link, Arc::new(Sink(receiver.clone()))).await?);
            Ok::<_, RunError>(Started { lane, receiver })
        });
        let started = started.await.map_err(|e| RunError::Actor(e.to_string()))??;
        health.watch(lane, started.lane.clone(), governance.node.clone());
        Ok(started)
    }
}

/// One address of each place that the node can be at.
async fn looked_up(dials: &[String]) -> Result<Vec<SocketAddr>, RunError> {
    let mut addresses = Vec::new();
    for dial in dials {
        let found = tokio::net::lookup_host(dial).await.map_err(|e| RunError::Dial(dial.clone(), e.to_string()))?;
        addresses.push({ found }.next().ok_or_else(|| RunError::Dial(dial.clone(), "no address".to_owned()))?);
    }
    Ok(addresses)
}

/// New at each start of this process (PROTOCOL §2): its start time, which only grows.
fn incarnation() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Leases: looked at every second, stored every half minute.
async fn ticks(steward: Arc<Steward>) {
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    let mut count = 0u64;
    loop {
        ticks.tick().await;
        let ending = steward.clone();
        // Waits for running ciphers and the disk: not on a thread of the runtime.
        drop(tokio::task::spawn_blocking(move || ending.tick()).await);
        count += 1;
        if count.is_multiple_of(30) {
            steward.store_leases().await;
        }
    }
}

/// Stops that come by hand; governance is told of them.
struct Stops {
    steward: Arc<Steward>,
    by_hand: Arc<ByHand>,
}

impl stop_listener::StopSink for Stops {
    fn stop(&self, directive: Vec<u8>) -> Pin<Box<dyn Future<Output = Option<Signed>> + Send>> {
        let (arrived, steward, by_hand) = (std::time::Instant::now(), self.steward.clone(), self.by_hand.clone());
        Box::pin(async move {
            let kill = Kill::of(&directive);
            let known = kill.as_ref().is_some_and(|kill| steward.knows(&kill.tenant, &kill.change));
            let ack = steward.receive(&directive, arrived).await?.ack;
            if let Some(kill) = kill {
                by_hand.answered(kill, &ack, known);
            }
            Some(ack)
        })
    }
    fn held(&self, asked: &Asked) -> Option<Signed> {
        self.steward.held(asked)
    }
}
