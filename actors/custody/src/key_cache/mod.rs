//! KeyCache: the pen of one region's key table.
//!
//! Stateless across restarts. It never reads for a client, never awaits L1 in `handle`, never decides whether a kill is right;
//! a kill does not come through this mailbox at all. It puts L2 and L3 keys into the table, each under the generation in which its
//! unseal began, probes the customers' KMS, and carries out their refusals.

mod links;
mod state;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;
use orbital::names::{Digest, KeyRef, System, TenantId};
use parking_lot::Mutex;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, RpcReplyPort, SpawnErr, rpc::CallResult};

use self::{
    links::Links,
    state::{Effect, State},
};
use crate::{
    clock::Clock,
    error::Error,
    key_table::{Entry, KeyTable, Purpose, Stop, Unborrowed},
    l1::{self, L1},
    names::{Generation, KeyId, Version},
    unseal::{Link, Unsealer},
    vault::Secret,
};

/// How often the clock is looked at.
const TICK: Duration = Duration::from_millis(500);
/// How often each L1 is probed, unless the node says otherwise.
pub const PROBE_EVERY_MS: u64 = 5_000;
/// How long cached keys serve on without the customer's KMS, unless the trust root says otherwise (DESIGN §2.7).
pub const L1_GRACE_MS: u64 = 24 * 60 * 60 * 1_000;
/// The longest that a request waits for an unseal, the customer's KMS included.
pub const UNSEAL_TIMEOUT: Duration = Duration::from_secs(15);

/// What the node hears from the cache, to act on (the steward) and to report.
#[derive(Debug)]
pub enum Observed {
    /// What the customer's KMS says of a tenant's linked key; told after each probe and each refusal. The tenant is fenced already
    /// where it says no. `link`: as [`KeyCache::link`] answered.
    L1 { tenant: TenantId, link: u64, state: l1::State },
    /// It has not answered for longer than `l1_grace`: keys are gone until it does.
    L1Away { tenant: TenantId },
    /// The outcome of a probe that was asked for, of a key that need not be linked. `why` is empty where all steps succeeded.
    Probed { tenant: TenantId, change: Digest, state: l1::State, resolved: Option<KeyRef>, why: String, took_ms: u64 },
}

/// Where observations go. Called from the actor: must not block.
pub type Watch = Arc<dyn Fn(Observed) + Send + Sync>;

/// Which L1 a tenant uses under a provider's name; each tenant and region has its own principal at the customer's KMS (PROTOCOL
/// §1). `None`: this node has no such provider, or no credential of the tenant for it.
pub type Providers = Arc<dyn Fn(&TenantId, &System) -> Option<Arc<dyn L1>> + Send + Sync>;

/// What the cache works with.
#[derive(Clone)]
pub struct Parts {
    pub table: Arc<KeyTable>,
    pub unsealer: Arc<Unsealer>,
    pub clock: Arc<dyn Clock>,
    pub providers: Providers,
    pub watch: Watch,
    pub probe_every_ms: u64,
}

/// The way to the cache: cheap to clone, for the steward and the keyring. It outlives the actor: see [`KeyCache::revive`].
#[derive(Clone)]
pub struct KeyCache {
    parts: Parts,
    shared: Arc<Shared>,
}

struct Shared {
    actor: ArcSwapOption<ActorRef<Msg>>,
    /// What a revived actor starts with.
    links: Mutex<Links>,
}

impl KeyCache {
    /// Starts the actor on the running tokio runtime, linked to `supervisor` if there is one.
    pub async fn start(name: Option<String>, parts: Parts, supervisor: Option<ActorCell>) -> Result<Self, SpawnErr> {
        let shared = Arc::new(Shared { actor: ArcSwapOption::empty(), links: Mutex::default() });
        let cache = Self { parts, shared };
        cache.revive(name, supervisor).await?;
        Ok(cache)
    }

    /// A new actor in place of one that fell, with every tenant's link. Keys in the table were never the actor's; whoever waited for
    /// an unseal is told to try again.
    pub async fn revive(&self, name: Option<String>, supervisor: Option<ActorCell>) -> Result<ActorCell, SpawnErr> {
        let start = (self.parts.clone(), self.shared.clone());
        let (actor, _) = match supervisor {
            Some(supervisor) => Actor::spawn_linked(name, Pen, start, supervisor).await?,
            None => Actor::spawn(name, Pen, start).await?,
        };
        let cell = actor.get_cell();
        self.shared.actor.store(Some(Arc::new(actor)));
        Ok(cell)
    }

    /// The actor that runs now; `None` before the first.
    pub fn actor(&self) -> Option<ActorRef<Msg>> {
        self.shared.actor.load_full().map(|actor| ActorRef::clone(&actor))
    }

    /// Whether this tenant can be linked to this provider here.
    pub fn reaches(&self, tenant: &TenantId, provider: &System) -> Result<(), Error> {
        self.provider(tenant, provider).map(|_| ())
    }

    /// The tenant's L1 from now on: probed at once, unsealed from on demand. Answers the link's serial, from 1: what was asked of an
    /// earlier link and is answered late is dropped. A link that is repeated keeps its serial, unless it was muted: what its KMS says
    /// meanwhile is said of the key in force.
    pub fn link(&self, tenant: TenantId, provider: System, key: KeyRef) -> Result<u64, Error> {
        let l1 = self.provider(&tenant, &provider)?;
        let link = Link { key, l1, l1_grace_ms: Some(L1_GRACE_MS), serial: 0 };
        let link = self.shared.links.lock().put(tenant, provider, link);
        let serial = link.serial;
        self.send(Msg::Linked(tenant, link)).map(|()| serial)
    }

    /// The link is about to be replaced: once this returns, nothing that its KMS says fences the tenant or is told.
    pub async fn mute(&self, tenant: TenantId) -> Result<(), Error> {
        self.shared.links.lock().mute(&tenant);
        match self.running()?.call(|reply| Msg::Mute(tenant, reply), Some(UNSEAL_TIMEOUT)).await {
            Ok(CallResult::Success(())) => Ok(()),
            _ => Err(Error::Unavailable),
        }
    }

    /// How long cached keys serve on while the KMS is out of reach (`None`: unlimited). After [`KeyCache::link`].
    pub fn grace(&self, tenant: TenantId, l1_grace_ms: Option<u64>) -> Result<(), Error> {
        self.shared.links.lock().grace(&tenant, l1_grace_ms);
        self.send(Msg::Grace(tenant, l1_grace_ms))
    }

    /// Unseals the tenant's L2 ahead of the first request.
    pub fn hold(&self, tenant: TenantId) -> Result<(), Error> {
        self.send(Msg::Hold(tenant))
    }

    /// Tries a key that need not be linked: describe, wrap and unwrap a random value. The outcome is [`Observed::Probed`].
    pub fn probe(&self, tenant: TenantId, change: Digest, provider: System, key: KeyRef) -> Result<(), Error> {
        let l1 = self.provider(&tenant, &provider)?;
        self.send(Msg::Probe(tenant, change, Link { key, l1, l1_grace_ms: None, serial: 0 }))
    }

    /// Brings a system's L3 into the table, the tenant's L2 before it. Many callers make one call to the customer's KMS.
    pub async fn unseal(&self, tenant: TenantId, system: System) -> Result<(), Error> {
        match self.running()?.call(|reply| Msg::Unseal(tenant, system, reply), Some(UNSEAL_TIMEOUT)).await {
            Ok(CallResult::Success(result)) => result,
            _ => Err(Error::Unavailable),
        }
    }

    /// What is known of the tenant's L1; `None` before its first probe.
    pub async fn l1_state(&self, tenant: TenantId) -> Result<Option<l1::State>, Error> {
        match self.running()?.call(|reply| Msg::L1State(tenant, reply), Some(UNSEAL_TIMEOUT)).await {
            Ok(CallResult::Success(state)) => Ok(state),
            _ => Err(Error::Unavailable),
        }
    }

    fn provider(&self, tenant: &TenantId, provider: &System) -> Result<Arc<dyn L1>, Error> {
        (self.parts.providers)(tenant, provider)
            .ok_or_else(|| Error::NoProvider { tenant: *tenant, provider: provider.to_string() })
    }

    fn send(&self, msg: Msg) -> Result<(), Error> {
        self.running()?.cast(msg).map_err(|_| Error::Unavailable)
    }

    fn running(&self) -> Result<ActorRef<Msg>, Error> {
        self.actor().ok_or(Error::Unavailable)
    }
}

/// An unsealed key on its way to the table, under the generation in which its unseal began.
pub struct Came {
    secret: Result<Option<(Secret, Version)>, Error>,
    began: Generation,
}

/// What the cache understands. Facts in past tense, wishes in the imperative.
pub enum Msg {
    /// Bring a system's L3 into the table.
    Unseal(TenantId, System, RpcReplyPort<Result<(), Error>>),
    Hold(TenantId),
    Probe(TenantId, Digest, Link),
    Grace(TenantId, Option<u64>),
    /// The tenant's L1 from now on.
    Linked(TenantId, Link),
    /// The tenant's link is about to be replaced.
    Mute(TenantId, RpcReplyPort<()>),
    /// Under the link of this serial, as the probe's below.
    L2Unsealed(TenantId, u64, Came),
    L3Unsealed(TenantId, System, Came),
    Probed(TenantId, u64, Result<(), Error>),
    /// What is known of a tenant's L1.
    L1State(TenantId, RpcReplyPort<Option<l1::State>>),
    Tick,
}

/// Never leaves this node: no actor that holds keys is remotable (DESIGN §2.13).
impl ractor::Message for Msg {}

/// The actor.
struct Pen;

/// Its state: who waits for what. No key bytes.
struct Cache {
    parts: Parts,
    state: State<RpcReplyPort<Result<(), Error>>>,
}

impl Actor for Pen {
    type Msg = Msg;
    type State = Cache;
    type Arguments = (Parts, Arc<Shared>);

    async fn pre_start(&self, me: ActorRef<Msg>, start: Self::Arguments) -> Result<Cache, ActorProcessingErr> {
        let (parts, shared) = start;
        me.send_interval(TICK, || Msg::Tick);
        let (state, now_ms) = (State::new(parts.probe_every_ms), parts.clock.boottime_ms());
        let mut cache = Cache { parts, state };
        let links = shared.links.lock().all();
        for (tenant, link) in links {
            let effects = cache.state.linked(tenant, link, now_ms);
            effects.into_iter().for_each(|effect| cache.perform(effect, &me));
        }
        Ok(cache)
    }

    async fn handle(&self, me: ActorRef<Msg>, msg: Msg, cache: &mut Cache) -> Result<(), ActorProcessingErr> {
        let now_ms = cache.parts.clock.boottime_ms();
        let effects = match msg {
            Msg::Unseal(tenant, system, reply) => cache.state.unseal(tenant, system, reply),
            Msg::Hold(tenant) => cache.state.hold(tenant),
            Msg::Probe(tenant, change, link) => cache.try_l1(tenant, change, link),
            Msg::Grace(tenant, l1_grace_ms) => cache.state.grace(&tenant, l1_grace_ms),
            Msg::Linked(tenant, link) => cache.state.linked(tenant, link, now_ms),
            Msg::Mute(tenant, reply) => cache.mute(&tenant, reply),
            Msg::L2Unsealed(tenant, link, came) => cache.l2_came(tenant, link, came, now_ms),
            Msg::L3Unsealed(tenant, system, came) => {
                let result = cache.insert(&tenant, KeyId::L3(system.clone()), Some(system.clone()), came);
                cache.state.l3_unsealed(tenant, &system, &result)
            }
            Msg::Probed(tenant, link, result) => cache.state.probed(tenant, link, result, now_ms),
            Msg::L1State(tenant, reply) => cache.answer_state(&tenant, reply),
            Msg::Tick => cache.state.tick(now_ms),
        };
        effects.into_iter().for_each(|effect| cache.perform(effect, &me));
        Ok(())
    }
}

type Effects = Vec<Effect<RpcReplyPort<Result<(), Error>>>>;

impl Cache {
    fn l2_came(&mut self, tenant: TenantId, link: u64, came: Came, now_ms: u64) -> Effects {
        // What a former link opened does not enter the table any more; whoever waited has been answered.
        if !self.state.heeds(&tenant, link) {
            return Vec::new();
        }
        let heard = matches!(came.secret, Ok(Some(_)));
        let result = self.insert(&tenant, KeyId::L2, None, came);
        self.state.l2_unsealed(tenant, link, result, heard, now_ms)
    }

    fn mute(&mut self, tenant: &TenantId, reply: RpcReplyPort<()>) -> Effects {
        self.state.muted(tenant);
        // Whoever asked may have gone.
        drop(reply.send(()));
        Vec::new()
    }

    /// `None` for a key that was in the table already.
    fn insert(&self, tenant: &TenantId, key: KeyId, system: Option<System>, came: Came) -> Result<(), Error> {
        let Some((secret, version)) = came.secret? else { return Ok(()) };
        let entry = Entry { key, secret, system, meta: None, revision: version.0 };
        self.parts.table.insert(tenant, entry, came.began)
    }

    fn perform(&self, effect: Effect<RpcReplyPort<Result<(), Error>>>, me: &ActorRef<Msg>) {
        match effect {
            Effect::UnsealL2 { tenant, link } => self.unseal_l2(tenant, link, me.clone()),
            Effect::UnsealL3 { tenant, system } => self.unseal_l3(tenant, system, me.clone()),
            Effect::Probe { tenant, link } => self.probe(tenant, link, me.clone()),
            // Whoever asked may have gone.
            Effect::Reply { to, result } => drop(to.send(result)),
            Effect::Fence { tenant } => _ = self.parts.table.fence(&tenant, Stop::L1Stop),
            Effect::Tell { tenant, link, state } => (self.parts.watch)(Observed::L1 { tenant, link, state }),
            Effect::Away { tenant } => self.away(tenant),
            Effect::Back { tenant } => self.parts.table.lift(&tenant, Stop::L1Away),
        }
    }

    fn unseal_l2(&self, tenant: TenantId, link: Link, me: ActorRef<Msg>) {
        let parts = self.parts.clone();
        tokio::spawn(async move {
            let began = parts.table.gate(&tenant).map(|gate| gate.generation()).unwrap_or_default();
            let secret = match parts.in_table(&tenant, &KeyId::L2, None) {
                Ok(true) => Ok(None),
                Ok(false) => parts.unsealer.l2(&tenant, &link, began).await.map(Some),
                Err(refused) => Err(refused),
            };
            tell(&me, Msg::L2Unsealed(tenant, link.serial, Came { secret, began }));
        });
    }

    fn unseal_l3(&self, tenant: TenantId, system: System, me: ActorRef<Msg>) {
        let parts = self.parts.clone();
        tokio::spawn(async move {
            let began = parts.table.gate(&tenant).map(|gate| gate.generation()).unwrap_or_default();
            let secret = match parts.in_table(&tenant, &KeyId::L3(system.clone()), Some(&system)) {
                Ok(true) => Ok(None),
                Ok(false) => parts.unsealer.l3(&tenant, &system, began).await.map(Some),
                Err(refused) => Err(refused),
            };
            tell(&me, Msg::L3Unsealed(tenant, system, Came { secret, began }));
        });
    }

    fn probe(&self, tenant: TenantId, link: Link, me: ActorRef<Msg>) {
        let unsealer = self.parts.unsealer.clone();
        tokio::spawn(async move {
            let result = unsealer.probe(&tenant, &link).await.map(|_resolved| ());
            tell(&me, Msg::Probed(tenant, link.serial, result));
        });
    }

    fn try_l1(&self, tenant: TenantId, change: Digest, link: Link) -> Effects {
        let (unsealer, watch) = (self.parts.unsealer.clone(), self.parts.watch.clone());
        let (clock, began_ms) = (self.parts.clock.clone(), self.parts.clock.boottime_ms());
        tokio::spawn(async move {
            let (state, resolved, why) = match unsealer.probe(&tenant, &link).await {
                Ok(resolved) => (l1::State::Enabled, Some(resolved), String::new()),
                Err(why @ Error::L1Stopped { state, .. }) => (state, None, why.to_string()),
                Err(why) => (l1::State::Unreachable, None, why.to_string()),
            };
            let took_ms = clock.boottime_ms().saturating_sub(began_ms);
            watch(Observed::Probed { tenant, change, state, resolved, why, took_ms });
        });
        Vec::new()
    }

    /// The fence is set here and now; waiting for borrows is not for a mailbox. The KMS may be back before they end: what waits sets no
    /// fence.
    fn away(&self, tenant: TenantId) {
        let closed = self.parts.table.close(&tenant, Stop::L1Away);
        let parts = self.parts.clone();
        tokio::task::spawn_blocking(move || {
            match closed {
                Ok(closed) => drop(closed.drain()),
                Err(why) => tracing::error!(%tenant, %why, "the grace of an unreachable L1 is over"),
            }
            (parts.watch)(Observed::L1Away { tenant });
        });
    }

    fn answer_state(&self, tenant: &TenantId, reply: RpcReplyPort<Option<l1::State>>) -> Effects {
        // Whoever asked may have gone.
        drop(reply.send(self.state.l1_state(tenant)));
        Vec::new()
    }
}

impl Parts {
    /// The key is in plaintext here already; an error if the tenant is stopped.
    fn in_table(&self, tenant: &TenantId, key: &KeyId, system: Option<&System>) -> Result<bool, Error> {
        match self.table.borrow(tenant, key, system, Purpose::Process) {
            Ok(_) => Ok(true),
            Err(Unborrowed::Miss) => Ok(false),
            Err(Unborrowed::Refused(refused)) => Err(refused.into()),
        }
    }
}

fn tell(me: &ActorRef<Msg>, msg: Msg) {
    // A cache that has stopped has no table to fill; its successor is asked anew.
    drop(me.cast(msg));
}
