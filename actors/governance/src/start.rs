//! Starting governance: the parts in their order, and the way in for the transport.
//!
//! Couriers first, so that nothing owed has nobody to carry it; then the tenants, folded from the ledger; the door last.

use std::{
    collections::BTreeSet,
    sync::{Arc, OnceLock, RwLock},
};

use ledger::Ledger;
use orbital::{
    lane::Lane,
    names::{Correlation, Deployment, NodeName, Person, Region, System},
    sign::SecretKey,
    wire::Wire,
};
use policy::Evaluator;
use ractor::{Actor, ActorCell, ActorRef};
use tokio::{runtime::Handle, sync::oneshot};

use crate::{
    checkpoints::{Checkpointing, Checkpoints},
    claims::Claims,
    clock::Clock,
    contents::Contents,
    desk::{Desk, DeskActor, Verifying},
    error::Fault,
    events::{Events, Happened},
    fleet::{Board, Courier, CourierArgs, CourierMsg, Peer, Ports},
    notify::{Herald, Notifying},
    policies::Policies,
    roster::Roster,
    scribe::{Scribe, Sink},
    shared::{Shared, Tally},
    supervisor::{self, Child, Spawned, Supervisor},
    tenant::{TenantActor, load},
    visitor::{People, Site},
};

/// What governance is made of.
pub struct Options {
    pub deployment: Deployment,
    /// This process, as the regions know it.
    pub node: NodeName,
    /// New at each start (PROTOCOL §2): greater than any before.
    pub incarnation: u64,
    pub term: u64,
    /// Signs our frames; its public half is pinned by the regions.
    pub frame_key: SecretKey,
    /// Every region of the deployment, one node each.
    pub regions: Vec<Peer>,
    /// The site's operators, by the names in their REST certificates: SAN URI, else CN.
    pub operators: BTreeSet<Person>,
    /// Providers whose keys stay with the customer (HYOK): linking one takes passkeys with user verification.
    pub hyok: BTreeSet<System>,
    /// Renews leases of tenants whose trust root names it.
    pub lease_key: SecretKey,
    /// Of the bundle whose digest the tenants' trust roots must name.
    pub evaluator: Evaluator,
    pub ledger: Arc<dyn Ledger>,
    /// Without it, the ledger has no checkpoints.
    pub checkpointing: Option<Checkpointing>,
    /// The runtime of the critical lane alone.
    pub critical: Handle,
    pub clock: Arc<dyn Clock>,
    /// How people are told what happens.
    pub notifying: Notifying,
}

/// Governance, running.
pub struct Governance {
    shared: Arc<Shared>,
    root: ActorRef<supervisor::Msg>,
}

impl Governance {
    /// Folds the ledger and starts every actor. When this returns, the desk answers and couriers wait for their wires.
    pub async fn start(options: Options) -> Result<Self, Fault> {
        let critical = options.critical.clone();
        let shared = Arc::new(shared(options)?);
        let (root, _task) =
            Actor::spawn(None, Supervisor, ()).await.map_err(|e| Fault::Start(format!("the supervisor: {e}")))?;
        if shared.root.set(root.clone()).is_err() {
            return Err(Fault::Start("the supervisor was started twice".to_owned()));
        }
        let peers: Vec<_> = shared.ports.peers().cloned().collect();
        for (peer, lane) in peers.iter().flat_map(|peer| Lane::BOTH.map(|lane| (peer.clone(), lane))) {
            let runtime = if lane == Lane::Critical { critical.clone() } else { Handle::current() };
            start(&root, courier(Arc::clone(&shared), peer, lane, runtime)).await?;
        }
        let theirs = Arc::clone(&shared);
        let read = move || load(theirs.ledger.as_ref(), theirs.ports.peers().map(|p| &p.region), None);
        let tenants = tokio::task::spawn_blocking(read).await.map_err(|e| Fault::Start(e.to_string()))??;
        for (id, loaded) in tenants {
            start(&root, TenantActor::child(Arc::clone(&shared), id, Some(loaded))).await?;
        }
        if !shared.notifying.channels.is_empty() {
            start(&root, Herald::child(Arc::clone(&shared))).await?;
        }
        start(&root, DeskActor::child(Arc::clone(&shared))).await?;
        let theirs = Arc::clone(&shared);
        // So that the first question need not wait for all of it. What fails is told to whoever asks.
        let _ahead = tokio::task::spawn_blocking(move || theirs.contents.catch_up(theirs.ledger.as_ref()));
        Ok(Self { shared, root })
    }

    /// The one door.
    pub fn desk(&self) -> Desk {
        Desk::new(Arc::clone(&self.shared))
    }

    /// A session of this lane with this node is up; whatever is owed leaves over `wire` at once.
    pub fn link_up(&self, node: &NodeName, lane: Lane, wire: Arc<dyn Wire>) {
        self.shared.link(node, lane, Some(wire), CourierMsg::LinkUp);
    }

    /// The session is gone.
    pub fn link_down(&self, node: &NodeName, lane: Lane) {
        self.shared.link(node, lane, None, CourierMsg::LinkDown);
    }

    /// A frame came in over this lane's session with this node. It is verified here, whoever the transport took it from.
    pub fn received(&self, node: &NodeName, lane: Lane, bytes: Vec<u8>) {
        let received_us = self.shared.clock.monotonic_us();
        let Some(peer) = self.shared.ports.peer(node) else {
            return tracing::warn!(%node, %lane, "a frame of a node that the topology does not name was dropped");
        };
        if let Some(port) = self.shared.ports.port(&peer.region, lane) {
            port.cast(CourierMsg::Received { bytes, received_us });
        }
    }

    /// Ends every actor in order: who decides, then the ledger's thread with what waits, then the couriers with what they were given; and
    /// closes the ledger. What is owed stays owed there; whoever waits for a decision gets a fault.
    pub async fn stop(&self) {
        self.end(false).await;
        self.shared.scribe.close().await;
        self.end(true).await;
        let ledger = Arc::clone(&self.shared.ledger);
        // It may wait for a read that runs; a panic in there is told by its own hook.
        let _closed = tokio::task::spawn_blocking(move || ledger.close()).await;
        self.root.stop(Some("governance is asked to end".to_owned()));
        self.ended().await;
    }

    async fn end(&self, carrying: bool) {
        let (reply, ended) = oneshot::channel();
        if self.root.cast(supervisor::Msg::End { carrying, reply }).is_ok() {
            // No answer: the supervisor fell, and with it all of them.
            let _fell = ended.await;
        }
    }

    /// Returns when governance has ended: by [`Governance::stop`], or since a part fell too often. The process should end, too.
    pub async fn ended(&self) {
        // Without a time limit there is nothing that could fail.
        let _waited = self.root.wait(None).await;
    }
}

impl Shared {
    fn link(&self, node: &NodeName, lane: Lane, wire: Option<Arc<dyn Wire>>, msg: CourierMsg) {
        let Some(peer) = self.ports.peer(node) else {
            return tracing::warn!(%node, %lane, "a link with a node that the topology does not name was ignored");
        };
        if let Some(port) = self.ports.port(&peer.region, lane) {
            port.connect(wire);
            port.cast(msg);
        }
    }
}

fn shared(options: Options) -> Result<Shared, Fault> {
    let ports = Arc::new(Ports::new(&options.regions).map_err(Fault::Start)?);
    let events = Arc::new(Events::new(options.clock.unix_ms()));
    let sink = sink(Arc::clone(&ports), Arc::clone(&events));
    Ok(Shared {
        restored: ledger::restored(options.ledger.as_ref())?,
        scribe: Scribe::start(Arc::clone(&options.ledger), sink)?,
        board: Board::new(ports.peers().map(|p| (p.region.clone(), p.node.clone()))),
        deployment: options.deployment,
        node: options.node,
        incarnation: options.incarnation,
        term: options.term,
        frame_key: options.frame_key,
        lease_key: options.lease_key,
        clock: options.clock,
        policies: Policies::new(options.evaluator),
        ledger: options.ledger,
        checkpoints: Arc::new(Checkpoints::new(options.checkpointing)),
        contents: Contents::default(),
        roster: Roster::default(),
        claims: Claims::default(),
        people: People::default(),
        site: Site::new(options.operators),
        hyok: options.hyok,
        ports,
        events,
        tally: Tally::default(),
        verifying: Verifying::default(),
        root: OnceLock::new(),
        door: RwLock::new(None),
        notifying: options.notifying,
        herald: RwLock::new(None),
    })
}

/// What follows each commit at once: the couriers get what is owed, in order, and then watchers hear of the entries.
fn sink(ports: Arc<Ports>, events: Arc<Events>) -> Sink {
    Box::new(move |entries, owed| {
        for row in owed {
            let lane = Lane::BOTH.into_iter().find(|lane| lane.number() == row.lane);
            let port = Region::new(&row.region).ok().zip(lane).and_then(|(region, lane)| ports.port(&region, lane));
            match port {
                Some(port) => port.cast(CourierMsg::Owed(Arc::new(row.clone()))),
                None => tracing::error!(region = row.region, id = row.id, "a directive is owed to an unknown region"),
            }
        }
        for entry in entries {
            let (sequence, kind, tenant) = (entry.sequence, entry.kind.clone(), entry.subject.parse().ok());
            let correlation = Correlation::new(&entry.correlation).ok();
            events.tell(entry.at_ms, correlation, Happened::Entry { sequence, kind, tenant });
        }
    })
}

fn courier(shared: Arc<Shared>, peer: Peer, lane: Lane, runtime: Handle) -> Child {
    let id = format!("courier/{}/{lane}", peer.region);
    let spawn = move |parent: ActorCell| -> Spawned {
        let args = CourierArgs { shared: Arc::clone(&shared), peer: peer.clone(), lane };
        let runtime = runtime.clone();
        // Spawned inside its runtime: its loop, timers and sends stay there.
        Box::pin(async move {
            let spawned = runtime.spawn(async move { Actor::spawn_linked(None, Courier, args, parent).await });
            let (courier, _) = spawned.await.map_err(|e| ractor::SpawnErr::StartupFailed(e.into()))??;
            Ok(courier.get_cell())
        })
    };
    Child { id, spawn: Arc::new(spawn), lasting: true, carries: true, vital: true }
}

async fn start(root: &ActorRef<supervisor::Msg>, child: Child) -> Result<(), Fault> {
    let gone = || Fault::Gone { what: "the supervisor" };
    let (reply, started) = oneshot::channel();
    let id = child.id.clone();
    root.cast(supervisor::Msg::Start(child, Some(reply))).map_err(|_| gone())?;
    started.await.map_err(|_| gone())?.map_err(|why| Fault::Start(format!("{id}: {why}")))
}
