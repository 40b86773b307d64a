//! Steward: performs what a tenant's [`crate::standing`] decides, and answers each directive with a signed SyncAck.
//!
//! The order is the promise (DESIGN §5). For a kill: certificate verified → fence → table empty, no borrow left, bytes zeroized →
//! tombstone and high-water mark durable → SyncAck. Nothing in that path waits for a mailbox, the database or an ordinary directive; what
//! its links have brought is shown to the listener afterwards, and before anything lifts the stop. For a grant: durable first, then in force. One ordinary directive at a time; stops beside them, from any lane, link or listener.

mod annul;
mod freeze;
mod grant;
mod hello;
mod place;
mod recall;
mod recovery;
mod start;
mod stop;
#[cfg(test)]
mod tests;
mod watch;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize},
    },
    time::Instant,
};

use arc_swap::{ArcSwap, ArcSwapOption};
use orbital::{
    certificate::Certificate,
    change::Change,
    directive::Directive,
    halt::Halt,
    names::{Digest, NodeName, System, TenantId},
    report::{L1State, Outcome, Probed, SyncAck},
    sign::{Kind, SecretKey, Signed},
    trust::TrustRoot,
};
use parking_lot::Mutex;

pub use orbital::report::{USED_SYSTEMS_MAX, Use};
pub use start::Options;

use crate::{
    clock::Clock,
    error::Error,
    keeper::Keeper,
    key_cache::KeyCache,
    key_table::{KeyTable, Stop},
    standing::{Identity, Refusal, Standing},
};

/// Who wants to know when a tenant's callers changed: the KMIP listener. Must not block.
pub trait Callers: Send + Sync + 'static {
    /// What the anchors of a trust root are known by, whatever names them: the digest of a CA's key, or of one certificate.
    fn anchors(&self, trust: &TrustRoot) -> BTreeSet<Digest>;
    /// The anchors of this tenant are those of its trust root from now on; what older ones let in is closed. Its policies are shown, too.
    /// `claims` has the turn in which each anchor became durable here for this tenant; one that is not durable yet has none.
    fn changed(&self, standing: &Standing, claims: &BTreeMap<Digest, u64>);
    /// The policies of this tenant are those that its trust root names from now on; its connections stay.
    fn policy(&self, standing: &Standing);
    /// The tenant is stopped: close its connections, drop its sessions.
    fn close(&self, tenant: &TenantId);
    /// What the clients of this tenant's systems ask now: at most [`USED_SYSTEMS_MAX`] of them.
    fn used(&self, tenant: &TenantId) -> BTreeMap<System, Use>;
}

/// Where the results of probes go: to governance, as reports. Must not block.
pub type Probes = Arc<dyn Fn(Probed) + Send + Sync>;

/// One tenant, as this node works with it.
struct Cell {
    /// Read without a lock: a kill must not wait for whoever else reads it.
    standing: ArcSwap<Standing>,
    /// How far the links of stops have led that came in parts: a stop of a later version is judged from here. No other directive is, and
    /// nothing is served by it, until such a stop is certified.
    run_up: ArcSwapOption<Standing>,
    /// Held while callers, policies and terms are shown, one after the other. No stop takes it: its holder may be reading a policy bundle.
    showing: Mutex<()>,
    /// Stops have brought links since this standing, which are not shown yet.
    due: ArcSwapOption<Standing>,
    l1: Mutex<L1State>,
    /// A stop has come whose certificate is not durable yet.
    unkept: AtomicBool,
    /// What the customer's KMS said is acted upon one after the other, if it was said under the link of this serial.
    l1_turn: tokio::sync::Mutex<u64>,
}

/// The region's tenants.
pub struct Steward {
    me: Identity,
    node: NodeName,
    report_key: SecretKey,
    /// From the topology's `[pin]`.
    pinned: BTreeSet<TenantId>,
    table: Arc<KeyTable>,
    keeper: Arc<Keeper>,
    cache: KeyCache,
    callers: Arc<dyn Callers>,
    probes: Probes,
    clock: Arc<dyn Clock>,
    /// The topology's own limit on leases: it only shortens.
    lease_most_ms: Option<u64>,
    tenants: ArcSwap<BTreeMap<TenantId, Arc<Cell>>>,
    ordinary: tokio::sync::Mutex<()>,
    /// Whose forks are told next.
    branch_turn: AtomicUsize,
}

/// Beside an acknowledgement.
const LIFTED: &str = "this stop was lifted by name, by a certified change: it stops nothing any more";

const LEFT: &str = "this region has left the tenant: it serves nothing of it, and has no key of it";

/// What comes back of a directive.
pub struct Answered {
    /// The signed SyncAck.
    pub ack: Signed,
    /// The certificates that it asked for.
    pub told: Vec<Certificate>,
}

/// How a directive was met, before it is signed.
struct Met {
    tenant: TenantId,
    change: Option<Digest>,
    outcome: Outcome,
    why: String,
}

/// Why a directive was not performed: we say no, or the world failed and the sender must try again.
#[derive(Debug, thiserror::Error)]
pub enum Unmet {
    #[error(transparent)]
    Refused(#[from] Refusal),
    #[error(transparent)]
    Fault(#[from] Error),
}

impl Steward {
    /// Takes one directive. `None` says that the world failed (disk, memory) or that the bytes are no directive: no answer is sent, and
    /// the sender tries again.
    pub async fn receive(&self, bytes: &[u8], arrived: Instant) -> Option<Answered> {
        let digest = Directive::digest_of(bytes);
        let directive = match Directive::decode(bytes) {
            Ok(directive) => directive,
            Err(why) => {
                tracing::warn!(%digest, "a directive does not decode: {why}");
                return None;
            }
        };
        let (tenant, name) = (tenant_of(&directive), directive.name());
        let met = match (&directive, directive.stop()) {
            (Directive::Annul { genesis, warrant }, _) => self.annul(genesis, warrant).await,
            (_, Some(warrant)) => self.stop(warrant).await,
            (_, None) => self.perform(&directive, digest).await,
        };
        let met = match met {
            Ok(change) => Met { tenant, change, outcome: Outcome::Applied, why: self.but(&directive, &tenant) },
            Err(Unmet::Refused(why)) => {
                tracing::warn!(%tenant, directive = name, "refused: {why}");
                let change = directive.warrant().map(|warrant| Change::digest_of(&warrant.certificate.change));
                Met { tenant, change, outcome: Outcome::Refused, why: why.to_string() }
            }
            Err(Unmet::Fault(why)) => {
                tracing::error!(%tenant, directive = name, "not performed, will be tried again: {why}");
                metrics::counter!("custody_directive_faults_total", "directive" => name).increment(1);
                return None;
            }
        };
        let ack = self.acknowledge(digest, met, arrived)?;
        Some(Answered { ack, told: self.told(&directive) })
    }

    /// What whoever brings a stop must hear though it is known here now: a later change names it, and nothing is stopped.
    fn but(&self, directive: &Directive, tenant: &TenantId) -> String {
        // A tenant that was never founded here has no stop to lift.
        let stop = directive.stop().filter(|_| self.cell(tenant).is_some());
        let change = stop.and_then(|warrant| Change::from_bytes(&warrant.certificate.change).ok());
        let halt = change.and_then(|change| Halt::set_by(&change.action));
        let holds =
            |halt| self.stops(tenant).iter().any(|stop| stop.halt() == Some(halt) || stop == Stop::KilledForGood);
        match halt.is_some_and(|halt| !holds(halt)) {
            true if self.stops(tenant).holds(Stop::Left) => LEFT.to_owned(),
            true => LIFTED.to_owned(),
            false => String::new(),
        }
    }

    /// Signs the answer with the region's report key.
    fn acknowledge(&self, directive: Digest, met: Met, arrived: Instant) -> Option<Signed> {
        let gate = self.table.gate(&met.tenant);
        // What a restart would still know: a kill's links are durable only with the directive that is about them, and the row may say
        // how far a head had come that was lost.
        let durable = self.keeper.row(&met.tenant).map_or(0, |row| row.trust_version);
        let trust_version = self.trust(&met.tenant).map_or(0, |trust| trust.version.min(durable));
        let ack = SyncAck {
            domain: Kind::SyncAck.domain(),
            deployment: self.me.deployment.clone(),
            tenant: met.tenant,
            region: self.me.region.clone(),
            directive,
            change: met.change,
            outcome: met.outcome,
            why: met.why.chars().take(orbital::canon::TEXT_BYTES_MAX / 4).collect(),
            members: BTreeSet::from([self.node.clone()]),
            trust_version,
            epoch: gate.as_ref().map_or(0, |gate| gate.epoch().0),
            generation: gate.as_ref().map_or(0, |gate| gate.generation().0),
            at_us: self.clock.now().wall_ms.saturating_mul(1_000),
            took_us: u64::try_from(arrived.elapsed().as_micros()).unwrap_or(u64::MAX),
        };
        ack.sign(&self.report_key).inspect_err(|why| tracing::error!("a SyncAck cannot be signed: {why}")).ok()
    }

    fn cell(&self, tenant: &TenantId) -> Option<Arc<Cell>> {
        self.tenants.load().get(tenant).cloned()
    }

    /// The highest time that this node has seen, Unix seconds: what has expired stays so.
    fn now_s(&self, tenant: &TenantId) -> u64 {
        self.keeper.highest_wall_ms(tenant) / 1_000
    }

    /// The trust root in force.
    pub fn trust(&self, tenant: &TenantId) -> Option<TrustRoot> {
        self.cell(tenant).map(|cell| cell.standing.load().trust().clone())
    }

    /// Each tenant with the state of its L1: for health and metrics.
    pub fn l1_states(&self) -> Vec<(TenantId, L1State)> {
        self.tenants.load().iter().map(|(id, cell)| (*id, *cell.l1.lock())).collect()
    }

    /// This stop is known here: whoever brings it again stops nothing by it.
    pub fn knows(&self, tenant: &TenantId, stop: &Digest) -> bool {
        self.cell(tenant).is_some_and(|cell| cell.standing.load().halts().kind_of(stop).is_some())
    }

    /// What keeps a tenant from being served here.
    pub fn stops(&self, tenant: &TenantId) -> crate::key_table::Stops {
        self.table.gate(tenant).map(|gate| gate.stops()).unwrap_or_default()
    }
}

/// The tenant that a directive speaks of. A Provision's is the digest of its genesis, a lease's stands in its statement.
fn tenant_of(directive: &Directive) -> TenantId {
    match directive {
        Directive::Provision { genesis, .. } => TenantId(Kind::Trust.digest(&genesis.root)),
        Directive::Probe { tenant, .. } | Directive::Hold { tenant } | Directive::Recall { tenant, .. } => *tenant,
        Directive::Link(warrant)
        | Directive::Kill(warrant)
        | Directive::Block(warrant)
        | Directive::Suspend(warrant)
        | Directive::Shred(warrant)
        | Directive::Annul { warrant, .. }
        | Directive::Restore(warrant)
        | Directive::Unblock(warrant)
        | Directive::Resume(warrant)
        | Directive::Trust(warrant)
        | Directive::Callers(warrant) => warrant.tenant,
        Directive::Lease(signed) => {
            orbital::directive::LeaseGrant::read(signed).map_or(TenantId(Digest([0; 32])), |grant| grant.tenant)
        }
    }
}
