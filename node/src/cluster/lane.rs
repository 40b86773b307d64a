//! A lane: one node server, its port, and what becomes of its sessions.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use orbital::{lane, names::NodeName};
use ractor::{Actor, ActorCell, ActorRef};
use ractor_cluster::{
    IncomingEncryptionMode, NodeEventSubscription, NodeServer, NodeServerMessage,
    node::{NodeConnectionMode, NodeServerSessionInformation},
};
use tokio::sync::watch;

use super::{
    SILENCE_MAX_MS, dialer,
    dialer::Dial,
    listener,
    listener::Listen,
    port::{Port, PortMsg, PortWire},
};

/// Largest cluster message: a frame and what ractor_cluster puts around it.
const MESSAGE_BYTES_MAX: u64 = (orbital::frame::FRAME_BYTES_MAX + 64 * 1024) as u64;
/// How long a session that is ready may take to show its port.
const PORT_WAIT: Duration = Duration::from_secs(5);

/// Where a lane's news go. Called from the lane's own tasks: it must not block.
pub trait LaneSink: Send + Sync + 'static {
    /// A peer's session is ready.
    fn up(&self, peer: &NodeName, wire: Arc<PortWire>);
    /// It has ended.
    fn down(&self, peer: &NodeName);
    /// A frame came, from whoever may call themselves `label`.
    fn frame(&self, label: &str, frame: Vec<u8>);
}

/// Who takes part in a lane.
pub struct LaneOptions {
    pub lane: lane::Lane,
    pub me: NodeName,
    /// Certificate identity of each peer, such as `spiffe://acme/crypto/fra-1`.
    pub peers: BTreeMap<String, NodeName>,
    /// ractor_cluster wants a shared secret; ours is no secret, the certificates decide.
    pub cookie: String,
    pub listen: Option<Listen>,
    pub dial: Vec<Dial>,
}

/// A lane that cannot start.
#[derive(Debug, thiserror::Error)]
pub enum LaneError {
    #[error("the {0} lane's actors do not start: {1}")]
    Spawn(lane::Lane, String),
}

/// A running lane.
pub struct Lane {
    server: ActorRef<NodeServerMessage>,
    port: ActorRef<PortMsg>,
    links: Arc<Links>,
    tasks: Vec<tokio::task::JoinHandle<()>>,
}

/// The sessions of a lane.
pub(super) struct Links {
    pub(super) lane: lane::Lane,
    pub(super) me: NodeName,
    pub(super) peers: BTreeMap<String, NodeName>,
    sink: Arc<dyn LaneSink>,
    live: Mutex<BTreeMap<NodeName, Live>>,
    /// Counts up at each change, so that dialers wait for a session's end without polling.
    changed: watch::Sender<u64>,
}

struct Live {
    session: ActorCell,
    wire: Arc<PortWire>,
    heard: Instant,
}

impl Lane {
    /// Starts the lane in the runtime that this is called in.
    pub async fn start(options: LaneOptions, sink: Arc<dyn LaneSink>) -> Result<Self, LaneError> {
        let lane = options.lane;
        let failed = |e: ractor::SpawnErr| LaneError::Spawn(lane, e.to_string());
        let (port, _) = Actor::spawn(Some(port_name(lane)), Port { sink: sink.clone() }, ()).await.map_err(failed)?;
        // A node server always opens a listener of its own; this one takes no certificate at all and is bound to loopback.
        let unusable = IncomingEncryptionMode::Tls(tokio_rustls::TlsAcceptor::from(super::tls::refuse_all()));
        let server = NodeServer::new(
            0,
            options.cookie,
            session_name(&options.me, lane),
            "kcm".to_owned(),
            Some(unusable),
            Some(NodeConnectionMode::Isolated),
        )
        .with_listen_addr(std::net::Ipv4Addr::LOCALHOST.into())
        .with_max_inbound_frame_size(MESSAGE_BYTES_MAX);
        let (server, _) = Actor::spawn(None, server, ()).await.map_err(failed)?;
        let links = Arc::new(Links::new(lane, options.me, options.peers, sink));
        let watch = Watch { links: links.clone() };
        let subscribe = NodeServerMessage::SubscribeToEvents { id: "links".to_owned(), subscription: Box::new(watch) };
        server.cast(subscribe).map_err(|e| LaneError::Spawn(lane, e.to_string()))?;
        let mut tasks = vec![tokio::spawn(drop_the_silent(links.clone()))];
        if let Some(listen) = options.listen {
            tasks.push(tokio::spawn(listener::run(listen, server.clone(), links.clone())));
        }
        for dial in options.dial {
            tasks.push(tokio::spawn(dialer::run(dial, server.clone(), links.clone())));
        }
        Ok(Self { server, port, links, tasks })
    }

    /// A verified frame of this peer came in: it lives.
    pub fn heard(&self, peer: &NodeName) {
        if let Some(live) = self.links.live().get_mut(peer) {
            live.heard = Instant::now();
        }
    }

    /// A session with this peer is ready.
    pub fn is_up(&self, peer: &NodeName) -> bool {
        self.links.is_up(peer)
    }

    pub async fn stop(&self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
        let _ = self.server.stop_and_wait(None, Some(Duration::from_secs(2))).await;
        self.port.stop(None);
    }
}

fn port_name(lane: lane::Lane) -> String {
    format!("orbital-{lane}")
}

/// Duplicate sessions to one name are elected down to one, so each lane has its own name.
fn session_name(me: &NodeName, lane: lane::Lane) -> String {
    format!("{me}-{lane}")
}

impl Links {
    pub(super) fn new(
        lane: lane::Lane,
        me: NodeName,
        peers: BTreeMap<String, NodeName>,
        sink: Arc<dyn LaneSink>,
    ) -> Self {
        Self { lane, me, peers, sink, live: Mutex::default(), changed: watch::Sender::new(0) }
    }

    fn live(&self) -> std::sync::MutexGuard<'_, BTreeMap<NodeName, Live>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_up(&self, peer: &NodeName) -> bool {
        self.live().contains_key(peer)
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// The peer whose certificate this session showed, if it also calls itself so.
    fn peer_of(&self, session: &NodeServerSessionInformation) -> Option<NodeName> {
        let peer = self.peers.get(&session.peer_addr)?;
        let claimed = session.peer_name.as_ref()?.name.split_once('@')?.0.to_owned();
        (claimed == session_name(peer, self.lane)).then(|| peer.clone())
    }

    fn up(&self, peer: &NodeName, session: ActorCell, port: ActorRef<PortMsg>) {
        let wire = Arc::new(PortWire { me: self.me.to_string(), port, session: session.clone() });
        let live = Live { session, wire: wire.clone(), heard: Instant::now() };
        let before = self.live().insert(peer.clone(), live);
        if let Some(before) = before {
            before.wire.cut();
        }
        tracing::info!(%peer, lane = %self.lane, "link up");
        self.sink.up(peer, wire);
        self.changed.send_modify(|n| *n += 1);
    }

    fn down(&self, peer: &NodeName, session: &ActorCell) {
        let ended = {
            let mut live = self.live();
            let same = live.get(peer).is_some_and(|l| l.session.get_id() == session.get_id());
            if same { live.remove(peer) } else { None }
        };
        if ended.is_some() {
            tracing::warn!(%peer, lane = %self.lane, "link down");
            self.sink.down(peer);
        }
        self.changed.send_modify(|n| *n += 1);
    }
}

/// A partitioned or stopped peer says nothing for ever: ractor_cluster would never notice.
async fn drop_the_silent(links: Arc<Links>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(super::HEARTBEAT_MS));
    loop {
        ticks.tick().await;
        let silent: Vec<_> = {
            let live = links.live();
            let limit = Duration::from_millis(SILENCE_MAX_MS);
            live.iter()
                .filter(|(_, l)| l.heard.elapsed() > limit)
                .map(|(p, l)| (p.clone(), l.session.clone()))
                .collect()
        };
        for (peer, session) in silent {
            tracing::warn!(%peer, lane = %links.lane, silent_ms = SILENCE_MAX_MS, "peer is silent: session ended");
            session.kill();
            links.down(&peer, &session);
        }
    }
}

/// What the node server tells about its sessions.
struct Watch {
    links: Arc<Links>,
}

impl NodeEventSubscription for Watch {
    fn node_session_opened(&self, _: NodeServerSessionInformation) {}

    fn node_session_disconnected(&self, session: NodeServerSessionInformation) {
        if let Some(peer) = self.links.peers.get(&session.peer_addr) {
            self.links.down(peer, &session.actor.get_cell());
        }
    }

    fn node_session_authenticated(&self, session: NodeServerSessionInformation) {
        if self.links.peer_of(&session).is_none() {
            let claimed = session.peer_name.as_ref().map_or("nobody", |n| n.name.as_str());
            tracing::warn!(certificate = %session.peer_addr, claimed, "the name does not belong to the certificate: session ended");
            session.actor.kill();
        }
    }

    fn node_session_ready(&self, session: NodeServerSessionInformation) {
        let links = self.links.clone();
        let Some(peer) = links.peer_of(&session) else { return };
        tokio::spawn(async move {
            let cell = session.actor.get_cell();
            match port_of(&cell, links.lane).await {
                Some(port) => links.up(&peer, cell, port),
                None => {
                    tracing::warn!(%peer, lane = %links.lane, "the peer shows no port in this lane: session ended");
                    cell.kill();
                }
            }
        });
    }
}

/// The peer's port is a child of its session. It is found there and never through process groups, which any peer may join.
async fn port_of(session: &ActorCell, lane: lane::Lane) -> Option<ActorRef<PortMsg>> {
    let name = port_name(lane);
    let end = Instant::now() + PORT_WAIT;
    while Instant::now() < end {
        let port = session.get_children().into_iter().find(|c| c.get_name().as_deref() == Some(name.as_str()));
        if let Some(port) = port {
            return Some(port.into());
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    None
}
