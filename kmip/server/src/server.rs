//! What the connections of a region share.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use arc_swap::ArcSwap;
use custody::{clock::Clock, keyring::Keyring, steward::Use};
use orbital::names::{Region, System, TenantId};
use tokio::{
    runtime::Handle,
    sync::{Mutex, MutexGuard, OwnedMutexGuard},
};

use crate::{
    audit::Log,
    caller::{AnchorTable, CallerRule},
    connections::Connections,
    listener::Limits,
    naming::Naming,
    pending::Pendings,
    policies::Policies,
    streams::Streams,
    telemetry::Meters,
    tls::Tls,
    usage::Usage,
};

/// What a server is made of.
pub struct Parts {
    /// Where the server stands: a policy may ask.
    pub region: Region,
    pub keyring: Arc<Keyring>,
    pub policies: Arc<Policies>,
    pub anchors: Arc<AnchorTable>,
    pub tls: Tls,
    pub audit: Arc<Log>,
    pub clock: Arc<dyn Clock>,
    pub limits: Limits,
    /// Where handshakes are done: threads that give way to those of [`crate::serve`], or they hold requests up.
    pub back: Handle,
}

/// One KMIP server. [`crate::serve`] runs it on a listener.
pub struct Server {
    parts: Parts,
    connections: Arc<Connections>,
    meters: ArcSwap<HashMap<TenantId, Arc<Meters>>>,
    naming: Naming,
    /// One long derivation of a system at a time.
    deriving: Naming,
    streams: Streams,
    pendings: Pendings,
    pairs: Mutex<()>,
    https: AtomicBool,
    usage: Arc<Usage>,
}

impl Server {
    pub fn new(parts: Parts) -> Self {
        let connections = Arc::new(Connections::new(parts.limits.connections_per_tenant));
        let (naming, deriving) = (Naming::default(), Naming::default());
        let (meters, streams) = (ArcSwap::default(), Streams::default());
        let (pendings, pairs, https) = (Pendings::default(), Mutex::default(), AtomicBool::default());
        let usage = Arc::new(Usage::new(Instant::now(), parts.clock.wall_ms()));
        Self { parts, connections, meters, naming, deriving, streams, pendings, pairs, https, usage }
    }

    /// Puts a tenant's caller rules in force and closes its connections: each comes back under the new rules or not at all.
    /// Answers the anchors that are not in force.
    pub fn change_callers(&self, tenant: TenantId, rules: Vec<CallerRule>) -> Vec<crate::caller::AnchorFault> {
        let faults = self.parts.anchors.set(tenant, rules);
        self.close_tenant(&tenant);
        faults
    }

    /// The client anchors that some tenant names and that are not in force for it.
    pub fn anchor_faults(&self) -> Vec<crate::caller::AnchorFault> {
        self.parts.anchors.current().faults().to_vec()
    }

    /// Closes a tenant's connections and drops its sessions, after a kill. Answers how many connections there were.
    pub fn close_tenant(&self, tenant: &TenantId) -> usize {
        self.parts.tls.drop_sessions();
        self.streams.drop_tenant(tenant);
        self.pendings.drop_tenant(tenant);
        self.connections.close_tenant(tenant)
    }

    /// The open connections.
    pub fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }

    /// What the clients of a tenant's systems ask now.
    pub fn used(&self, tenant: &TenantId) -> BTreeMap<System, Use> {
        self.usage.of(tenant, Instant::now())
    }

    pub(crate) fn usage(&self) -> &Arc<Usage> {
        &self.usage
    }

    /// From now on there is a listener for KMIP over HTTPS.
    pub(crate) fn offers_https(&self) {
        self.https.store(true, Ordering::Relaxed);
    }

    /// Whether Query may say that XML and JSON are understood.
    pub(crate) fn is_offering_https(&self) -> bool {
        self.https.load(Ordering::Relaxed)
    }

    pub(crate) fn region(&self) -> &Region {
        &self.parts.region
    }

    pub(crate) fn keyring(&self) -> &Arc<Keyring> {
        &self.parts.keyring
    }

    pub(crate) fn policies(&self) -> &Policies {
        &self.parts.policies
    }

    pub(crate) fn anchors(&self) -> &AnchorTable {
        &self.parts.anchors
    }

    pub(crate) fn tls(&self) -> &Tls {
        &self.parts.tls
    }

    pub(crate) fn audit(&self) -> &Log {
        &self.parts.audit
    }

    pub(crate) fn streams(&self) -> &Streams {
        &self.streams
    }

    pub(crate) fn pendings(&self) -> &Pendings {
        &self.pendings
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.parts.limits
    }

    /// Threads that give way to all others.
    pub(crate) fn back(&self) -> &Handle {
        &self.parts.back
    }

    /// Wall clock, milliseconds since 1970.
    pub(crate) fn wall_ms(&self) -> u64 {
        self.parts.clock.wall_ms()
    }

    /// The counters of a tenant.
    pub(crate) fn meters(&self, tenant: &TenantId) -> Arc<Meters> {
        if let Some(meters) = self.meters.load().get(tenant) {
            return meters.clone();
        }
        let meters = Arc::new(Meters::new(tenant));
        self.meters.rcu(|all| {
            let mut next = HashMap::clone(all);
            next.entry(*tenant).or_insert_with(|| meters.clone());
            next
        });
        self.meters.load().get(tenant).cloned().unwrap_or(meters)
    }

    /// Held while a key pair is made.
    pub(crate) async fn making_pairs(&self) -> MutexGuard<'_, ()> {
        self.pairs.lock().await
    }

    /// Held while a derivation of many steps goes on.
    pub(crate) async fn deriving(&self, tenant: &TenantId, system: &System) -> OwnedMutexGuard<()> {
        self.deriving.lock(tenant, system).await
    }

    /// Held while a name is looked up and taken.
    pub(crate) async fn naming(&self, tenant: &TenantId, system: &System) -> OwnedMutexGuard<()> {
        self.naming.lock(tenant, system).await
    }
}
