//! Whoever holds every key of governance: its certificates, its frame key, its lease key and its addresses. The regions dial it as if it
//! were governance, and take its frames for governance's.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use node::{
    cluster::{HEARTBEAT_MS, Lane, LaneOptions, LaneSink, Listen, PortWire, tls::TlsFiles},
    keyfiles,
};
use orbital::{
    directive::Directive,
    frame::{Expect, Frame, Head},
    lane::Lane as Which,
    names::{Correlation, NodeName, TenantId},
    report::{Body, Observed, Report, SyncAck},
    sign::{PublicKey, SecretKey},
    wire::Wire,
};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use topology::Model;

use crate::demo::{PATIENCE, eventually};

/// Above every incarnation that the real one had.
const INCARNATION: u64 = 1_000_000;

type Wires = Mutex<BTreeMap<(Which, NodeName), Arc<PortWire>>>;

/// What both lanes share.
struct Shared {
    model: Model,
    frame_key: SecretKey,
    wires: Wires,
}

pub(crate) struct Usurper {
    shared: Arc<Shared>,
    heard: mpsc::UnboundedReceiver<(NodeName, Report)>,
    lanes: Vec<Arc<Lane>>,
    sequences: BTreeMap<(Which, NodeName), u64>,
}

/// A lane's news.
struct Sink {
    lane: Which,
    shared: Arc<Shared>,
    to: mpsc::UnboundedSender<(NodeName, Report)>,
    link: OnceLock<Arc<Lane>>,
}

impl LaneSink for Sink {
    fn up(&self, peer: &NodeName, wire: Arc<PortWire>) {
        self.shared.wires.lock().unwrap().insert((self.lane, peer.clone()), wire);
    }
    fn down(&self, peer: &NodeName) {
        self.shared.wires.lock().unwrap().remove(&(self.lane, peer.clone()));
    }
    fn frame(&self, label: &str, frame: Vec<u8>) {
        let peer = NodeName::new(label).unwrap();
        let opened = Frame::open(&frame, &self.shared.expect(self.lane, &peer)).unwrap();
        if let Some(link) = self.link.get() {
            link.heard(&peer);
        }
        if let Body::Report { report, .. } = opened.body {
            // The story has ended when nobody listens any more.
            drop(self.to.send((peer, Report::decode(&report).unwrap())));
        }
    }
}

impl Shared {
    fn expect(&self, lane: Which, peer: &NodeName) -> Expect {
        let mut nodes = self.model.regions.values().flat_map(|region| &region.nodes);
        let (_, node) = nodes.find(|(name, _)| *name == peer).unwrap();
        Expect {
            deployment: self.model.deployment.clone(),
            sender: peer.clone(),
            receiver: self.model.governance().unwrap().node.clone(),
            lane,
            key: PublicKey(node.frame_public.0),
        }
    }

    fn wire(&self, lane: Which, peer: &NodeName) -> Option<Arc<PortWire>> {
        self.wires.lock().unwrap().get(&(lane, peer.clone())).cloned()
    }

    /// Sends a frame that nothing but its contents tells from one of governance.
    fn send(&self, lane: Which, peer: &NodeName, sequence: u64, body: Body) {
        let expect = self.expect(lane, peer);
        let head = Head {
            deployment: expect.deployment,
            sender: expect.receiver,
            receiver: expect.sender,
            lane,
            incarnation: INCARNATION,
            term: 1,
            sequence,
            base: sequence.min(1),
        };
        let frame = Frame { head, body }.seal(&self.frame_key).unwrap();
        if let Some(wire) = self.wire(lane, peer) {
            // A wire that has just closed is told by the lane.
            let _closed = wire.send(frame);
        }
    }
}

impl Usurper {
    /// Takes governance's place; the regions come by themselves.
    pub(crate) async fn usurp(model: Model) -> Self {
        let governance = model.governance().unwrap().clone();
        let frame_key = keyfiles::read_ed25519(&governance.frame_key).unwrap();
        let shared = Arc::new(Shared { model, frame_key, wires: Mutex::default() });
        let (to, heard) = mpsc::unbounded_channel();
        let mut lanes = Vec::new();
        for (lane, address) in [(Which::Ordinary, governance.orbital), (Which::Critical, governance.orbital_critical)] {
            let tls = &governance.orbital_tls;
            let tls = TlsFiles { ca: tls.ca.clone(), cert: tls.cert.clone(), key: tls.key.clone() };
            let nodes = shared.model.regions.values().flat_map(|region| region.nodes.keys());
            let options = LaneOptions {
                lane,
                me: governance.node.clone(),
                peers: nodes.map(|node| (shared.model.identity_of(node).unwrap(), node.clone())).collect(),
                cookie: shared.model.deployment.to_string(),
                listen: Some(Listen { socket: TcpListener::bind(address).await.unwrap(), tls: tls.server().unwrap() }),
                dial: Vec::new(),
            };
            let sink = Arc::new(Sink { lane, shared: shared.clone(), to: to.clone(), link: OnceLock::new() });
            let started = Arc::new(Lane::start(options, sink.clone()).await.unwrap());
            drop(sink.link.set(started.clone()));
            lanes.push(started);
        }
        tokio::spawn(heartbeats(shared.clone()));
        Self { shared, heard, lanes, sequences: BTreeMap::new() }
    }

    pub(crate) fn model(&self) -> &Model {
        &self.shared.model
    }

    /// The next report of this node that `wanted` takes.
    async fn next<T>(&mut self, node: &NodeName, what: &str, wanted: impl Fn(Report) -> Option<T>) -> T {
        let found = async {
            loop {
                let (from, report) = self.heard.recv().await.unwrap();
                if from == *node
                    && let Some(found) = wanted(report)
                {
                    return found;
                }
            }
        };
        timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("{node} gave no {what}"))
    }

    /// Everything that a node holds, said after this call.
    pub(crate) async fn hello(&mut self, node: &NodeName) -> BTreeMap<TenantId, Observed> {
        while self.heard.try_recv().is_ok() {}
        let tenants = |report| match report {
            Report::Hello(hello) => Some(hello.tenants),
            Report::SyncAck(_) | Report::Probed(_) | Report::Stopped(_) | Report::Branch(_) | Report::Recalled(_) => {
                None
            }
        };
        self.next(node, "hello", tenants).await
    }

    /// Sends a directive in its lane and waits for the node's own signed answer.
    pub(crate) async fn answer(&mut self, node: &NodeName, report_key: &PublicKey, directive: &Directive) -> SyncAck {
        let lane = Which::of(directive);
        let bytes = directive.encode().unwrap();
        let digest = Directive::digest_of(&bytes);
        eventually("the region has dialed", async || self.shared.wire(lane, node)).await;
        let sequence = self.sequences.entry((lane, node.clone())).or_default();
        *sequence += 1;
        let body =
            Body::Directive { correlation: Correlation::new("forged").unwrap(), decided_ms: 0, directive: bytes };
        self.shared.send(lane, node, *sequence, body);
        let ack = |report| match report {
            Report::SyncAck(signed) => {
                Some(SyncAck::open(&signed, report_key).unwrap()).filter(|a| a.directive == digest)
            }
            Report::Hello(_) | Report::Probed(_) | Report::Stopped(_) | Report::Branch(_) | Report::Recalled(_) => None,
        };
        self.next(node, directive.name(), ack).await
    }

    pub(crate) async fn stop(self) {
        for lane in self.lanes {
            lane.stop().await;
        }
    }
}

/// Both sides must be heard on each lane.
async fn heartbeats(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(Duration::from_millis(HEARTBEAT_MS));
    loop {
        ticks.tick().await;
        let up: Vec<_> = shared.wires.lock().unwrap().keys().cloned().collect();
        for (lane, peer) in up {
            shared.send(lane, &peer, 0, Body::Heartbeat);
        }
    }
}
