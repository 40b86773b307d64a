//! The fleet: the regions, a courier for each of their lanes, and the board that shows how they are.

mod board;
mod courier;
mod renewals;

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use orbital::{
    lane::Lane,
    names::{NodeName, Region},
    sign::PublicKey,
    trust::TrustRoot,
    wire::Wire,
};
use ractor::ActorRef;

pub(crate) use board::Board;
pub(crate) use courier::{Courier, CourierArgs, CourierMsg};

use crate::error::Refusal;

/// A region's process as the topology names it.
#[derive(Clone, Debug)]
pub struct Peer {
    pub region: Region,
    pub node: NodeName,
    /// Pinned: every frame of this node is verified with it.
    pub frame_public: PublicKey,
}

/// One lane to one region: who carries, and over what. It outlives its courier.
#[derive(Default)]
pub(crate) struct Port {
    courier: RwLock<Option<ActorRef<CourierMsg>>>,
    wire: RwLock<Option<Arc<dyn Wire>>>,
}

// Each lock guards one value that is replaced as a whole.
impl Port {
    pub(crate) fn enter(&self, courier: ActorRef<CourierMsg>) {
        *self.courier.write().unwrap_or_else(PoisonError::into_inner) = Some(courier);
    }
    pub(crate) fn connect(&self, wire: Option<Arc<dyn Wire>>) {
        *self.wire.write().unwrap_or_else(PoisonError::into_inner) = wire;
    }
    pub(crate) fn wire(&self) -> Option<Arc<dyn Wire>> {
        self.wire.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
    /// A courier that is just starting anew reads from the ledger and the port what it misses here.
    pub(crate) fn cast(&self, msg: CourierMsg) {
        let courier = self.courier.read().unwrap_or_else(PoisonError::into_inner).clone();
        if courier.is_none_or(|courier| courier.cast(msg).is_err()) {
            tracing::debug!("a message for a courier that is starting anew was dropped");
        }
    }
}

/// All lanes of all regions.
pub(crate) struct Ports {
    peers: BTreeMap<NodeName, Peer>,
    ports: BTreeMap<(Region, Lane), Port>,
}

impl Ports {
    /// Two peers for one region or node are an error of the topology, told in words.
    pub(crate) fn new(regions: &[Peer]) -> Result<Self, String> {
        let (mut peers, mut ports) = (BTreeMap::new(), BTreeMap::new());
        for peer in regions {
            if peers.insert(peer.node.clone(), peer.clone()).is_some() {
                return Err(format!("node {} is listed twice: give each region its own", peer.node));
            }
            for lane in Lane::BOTH {
                if ports.insert((peer.region.clone(), lane), Port::default()).is_some() {
                    return Err(format!("region {} is listed twice: one node speaks for a region", peer.region));
                }
            }
        }
        Ok(Self { peers, ports })
    }

    pub(crate) fn peers(&self) -> impl Iterator<Item = &Peer> {
        self.peers.values()
    }
    pub(crate) fn peer(&self, node: &NodeName) -> Option<&Peer> {
        self.peers.get(node)
    }
    pub(crate) fn port(&self, region: &Region, lane: Lane) -> Option<&Port> {
        self.ports.get(&(region.clone(), lane))
    }
    /// Each region that a trust root names is one that this deployment has.
    pub(crate) fn check(&self, root: &TrustRoot) -> Result<(), Refusal> {
        let unknown = root.regions.keys().find(|region| self.port(region, Lane::Critical).is_none());
        let known = || self.peers.values().map(|p| p.region.to_string()).collect::<Vec<_>>().join(", ");
        unknown.map_or(Ok(()), |region| {
            let (region, known) = (region.clone(), known());
            Err(Refusal::UnknownRegion { region, of: "in this deployment's topology", known })
        })
    }
}
