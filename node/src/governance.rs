//! The governance process: a parts list. It holds references, signatures and a ledger, and no key byte of any tenant.

use std::{
    collections::BTreeMap,
    fs,
    future::Future,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
};

use governance::{Governance, Options, Peer};
use ledger::Ledger;
use metrics_exporter_prometheus::PrometheusHandle;
use orbital::{
    lane::Lane as Which,
    names::{NodeName, Region},
    sign::PublicKey,
};
use portal_api::{sign_in::SignIn, tls::Clients};
use tokio::{net::TcpListener, runtime::Handle};
use topology::Model;

use crate::{
    checkpoints,
    cluster::{Lane, LaneOptions, LaneSink, Listen, PortWire},
    fault::RunError,
    health::{Health, Readiness, Reason, Status},
    keyfiles, ledgers, notices,
    run::{Ending, listen, serve_health, tls_files},
    sign_in::sign_in,
};

/// Where the ledger remembers how often governance has started.
pub(crate) const INCARNATION: &str = "incarnation";

/// Runs governance until it is asked to end.
pub async fn run(
    model: &Model,
    part: &topology::Governance,
    critical: Handle,
    metrics: PrometheusHandle,
    ending: Ending,
) -> Result<(), RunError> {
    fs::create_dir_all(&part.store).map_err(|why| RunError::Unreadable { path: part.store.clone(), why })?;
    let state = Arc::new(State::default());
    serve_health(part.health, state.clone(), metrics, &ending).await?;
    let Some(opened) = ledgers::open(part, &ending, || state.stand_by()).await? else { return Ok(()) };
    let (ledger, deposed) = (opened.ledger, opened.deposed);
    if ledger::restored(ledger.as_ref())?.is_some() {
        tracing::warn!(
            "this ledger was put back from a backup: a tenant whose regions have not told since what they hold takes nothing but stops"
        );
    }
    let frame_key = keyfiles::read_ed25519(&part.frame_key)?;
    if frame_key.public() != PublicKey(part.frame_public.0) {
        return Err(RunError::OtherKey { path: part.frame_key.clone(), what: "frame_public" });
    }
    let lease = part
        .lease
        .as_ref()
        .ok_or_else(|| RunError::Other("governance.lease is missing: without it no lease is renewed".into()))?;
    let options = Options {
        deployment: model.deployment.clone(),
        node: part.node.clone(),
        incarnation: next_incarnation(ledger.as_ref())?,
        term: opened.term,
        frame_key,
        regions: peers(model),
        operators: part.operators.clone(),
        hyok: model.hyok(),
        lease_key: keyfiles::read_ed25519(&lease.key)?,
        evaluator: policy::Evaluator::new(policy::Bundle::default_bundle()?),
        ledger,
        checkpointing: checkpoints::checkpointing(model, part)?,
        critical: critical.clone(),
        clock: Arc::new(governance::SystemClock::default()),
        notifying: notices::notifying(model, part)?,
    };
    let governance = Arc::new(Governance::start(options).await?);
    let ordinary = start_lane(model, part, Which::Ordinary, &governance).await?;
    let urgent = {
        let (model, part, governance) = (model.clone(), part.clone(), governance.clone());
        let started = critical.spawn(async move { start_lane(&model, &part, Which::Critical, &governance).await });
        started.await.map_err(|e| RunError::Actor(e.to_string()))??
    };
    let rest = listen("REST", part.rest).await?;
    let pem =
        |path: &std::path::Path| fs::read(path).map_err(|why| RunError::Unreadable { path: path.to_owned(), why });
    let sign_in = part.login.as_ref().map(sign_in).transpose()?;
    let tls = portal_api::tls::server_config(
        &pem(&part.rest_tls.cert)?,
        &pem(&part.rest_tls.key)?,
        &pem(&part.rest_tls.ca)?,
        if sign_in.is_some() { Clients::Asked } else { Clients::Demanded },
    )?;
    state.up(&governance);
    if part.checkpoint.is_some() {
        tokio::spawn(checkpoints::keep(governance.desk(), checkpoints::file(part), ending.wait()));
    }
    tracing::info!(rest = %part.rest, orbital = %part.orbital, critical = %part.orbital_critical, "governance is up");
    let served = serve_rest(rest, tls, sign_in, &governance, ending, deposed).await;
    // Before the lanes: what was decided last may still leave.
    governance.stop().await;
    ordinary.stop().await;
    urgent.stop().await;
    tracing::info!("governance has ended; what it owes the regions stands in its ledger");
    served
}

/// Every region's nodes, as governance verifies their frames.
fn peers(model: &Model) -> Vec<Peer> {
    let of = |(region, part): (&Region, &topology::RegionPart)| {
        let peer = |(node, n): (&NodeName, &topology::CryptoNode)| Peer {
            region: region.clone(),
            node: node.clone(),
            frame_public: PublicKey(n.frame_public.0),
        };
        part.nodes.iter().map(peer).collect::<Vec<_>>()
    };
    model.regions.iter().flat_map(of).collect()
}

/// Serves REST until the process is asked to end, another node has taken over, or governance has ended by itself.
async fn serve_rest(
    rest: TcpListener,
    tls: Arc<rustls::ServerConfig>,
    sign_in: Option<SignIn>,
    governance: &Arc<Governance>,
    ending: Ending,
    deposed: impl Future<Output = String> + Send + 'static,
) -> Result<(), RunError> {
    let (fell, theirs) = (Arc::new(OnceLock::new()), governance.clone());
    let over = {
        let fell = fell.clone();
        async move {
            let why = tokio::select! {
                () = ending.wait() => return,
                why = deposed => format!("this node is the active one no more: {why}. Start it again, and it stands by"),
                () = theirs.ended() => {
                    "a part of governance has fallen too often; see the log above. Start the node again".to_owned()
                }
            };
            // One of them is first, and it alone is said.
            let _first = fell.set(why);
        }
    };
    portal_api::serve(rest, tls, governance.desk(), sign_in, over).await?;
    fell.get().map_or(Ok(()), |why| Err(RunError::Actor(why.clone())))
}

/// Counts each start, durably: a frame of an earlier run is refused by the regions.
fn next_incarnation(ledger: &dyn Ledger) -> Result<u64, RunError> {
    let before = ledger.meta(INCARNATION)?.and_then(|bytes| bytes.try_into().ok()).map_or(0, u64::from_be_bytes);
    let next = before + 1;
    ledger.put_meta(INCARNATION, &next.to_be_bytes())?;
    Ok(next)
}

async fn start_lane(
    model: &Model,
    part: &topology::Governance,
    lane: Which,
    governance: &Arc<Governance>,
) -> Result<Arc<Lane>, RunError> {
    let address = if lane == Which::Critical { part.orbital_critical } else { part.orbital };
    let socket = listen("Orbital", address).await?;
    let mut peers = BTreeMap::new();
    for node in model.regions.values().flat_map(|r| r.nodes.keys()) {
        peers.insert(model.identity_of(node)?, node.clone());
    }
    let options = LaneOptions {
        lane,
        me: part.node.clone(),
        peers,
        cookie: model.deployment.to_string(),
        listen: Some(Listen { socket, tls: tls_files(&part.orbital_tls).server()? }),
        dial: Vec::new(),
    };
    let sink = Arc::new(Sink { lane, governance: governance.clone(), link: OnceLock::new() });
    let started = Arc::new(Lane::start(options, sink.clone()).await?);
    // The sink asks for nothing before a session is up, which takes the lane that is set here.
    let _first = sink.link.set(started.clone());
    Ok(started)
}

/// Brings a lane's news to governance.
struct Sink {
    lane: Which,
    governance: Arc<Governance>,
    link: OnceLock<Arc<Lane>>,
}

impl LaneSink for Sink {
    fn up(&self, peer: &NodeName, wire: Arc<PortWire>) {
        self.governance.link_up(peer, self.lane, wire);
    }
    fn down(&self, peer: &NodeName) {
        self.governance.link_down(peer, self.lane);
    }
    fn frame(&self, label: &str, frame: Vec<u8>) {
        let Ok(peer) = NodeName::new(label) else { return };
        // Liveness of a link, not trust: the courier verifies the frame.
        if let Some(link) = self.link.get() {
            link.heard(&peer);
        }
        self.governance.received(&peer, self.lane, frame);
    }
}

/// What governance knows about its own readiness: nothing before it is the active one.
#[derive(Default)]
struct State {
    governance: OnceLock<Arc<Governance>>,
    stands_by: AtomicBool,
}

impl State {
    fn stand_by(&self) {
        self.stands_by.store(true, Ordering::SeqCst);
    }

    fn up(&self, governance: &Arc<Governance>) {
        // Set once, by the one who starts it.
        let _first = self.governance.set(governance.clone());
    }

    fn not_yet(&self) -> Readiness {
        let (what, why, fix) = if self.stands_by.load(Ordering::SeqCst) {
            let fix = "send requests there; this one takes over by itself when that one is gone";
            ("this node stands by", "another node of governance is active", fix)
        } else {
            ("governance is not up", "it opens its ledger", "wait; if it stays so, look at the log")
        };
        let reason = Reason { what: what.to_owned(), why: why.to_owned(), fix: fix.to_owned() };
        Readiness { status: Status::Sealed, reasons: vec![reason] }
    }
}

impl Health for State {
    fn ready(&self) -> Readiness {
        let Some(governance) = self.governance.get() else { return self.not_yet() };
        let away = governance.desk().regions().into_iter().filter(|r| !(r.critical.connected && r.ordinary.connected));
        let reasons: Vec<Reason> = away
            .map(|r| Reason {
                what: format!("region {} is not connected in both lanes", r.name),
                why: "its process is down, or the network between us is".to_owned(),
                fix: "look at the region's log; it dials again by itself, and what is owed to it is kept".to_owned(),
            })
            .collect();
        let status = if reasons.is_empty() { Status::Ready } else { Status::Degraded };
        Readiness { status, reasons }
    }
    fn refresh(&self) {}
}
