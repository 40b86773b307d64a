//! The key table: every key that this node holds in plaintext, and each tenant's gate before it.
//!
//! A request never enters a mailbox (DESIGN §2.15): it borrows. [`KeyTable::borrow`] looks the key up, takes its slot's read lock
//! and checks the tenant's gate; [`Borrow::finish`] checks the gate again, so that no output leaves after the fence. A kill sets
//! the fence (one atomic store, outside every lock), raises the generation, empties the tenant's slots and takes each slot's write
//! lock, which waits for its borrows; only then it answers [`Drained`]. An unseal that began before carries an older generation
//! and is refused by [`KeyTable::insert`].
//!
//! ```text
//! let borrow = table.borrow(&tenant, &KeyId::Object(id), &system, Purpose::Protect)?;   // Miss: warm it, then again
//! let sealed = borrow.encrypt(Mode::Gcm, None, aad, plaintext)?;                        // a Pending<_>: cannot be read yet
//! let answer = borrow.finish(sealed)?;                                                  // the second check releases it
//! ```
//! A thread holds at most one borrow at a time, and none across an await: the guard is not `Send`.

use std::{
    collections::HashMap,
    hash::BuildHasher,
    sync::{Arc, atomic::Ordering},
};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use orbital::names::{System, TenantId};
use parking_lot::{ArcRwLockReadGuard, Mutex, RawRwLock, RwLock};

mod gate;
#[cfg(test)]
mod tests;

pub use gate::{Gate, LEASE_UNLIMITED, Opening, Purpose, Refused, Stop, Stops};

use crate::{
    clock::Clock,
    error::Error,
    guards,
    names::{Epoch, Generation, KeyId},
    object::ObjectMeta,
    vault::Secret,
};

/// Shards of one tenant's slots: an insert locks one of them.
const SHARDS: usize = 64;

/// Why there is no borrow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unborrowed {
    /// Not in the table (or not of this system): `Keyring::warm` it, which also finds out whether it exists.
    #[error("the key is not unsealed")]
    Miss,
    #[error(transparent)]
    Refused(#[from] Refused),
}

/// What one slot holds.
struct Held {
    secret: Option<Secret>,
    system: Option<System>,
    meta: Option<Arc<ObjectMeta>>,
    revision: u64,
}

/// A key on its way into the table.
pub struct Entry {
    pub key: KeyId,
    pub secret: Secret,
    /// The system that owns it; `None` for an L2.
    pub system: Option<System>,
    /// The attributes, for objects: the server checks state and usage without touching the store.
    pub meta: Option<Arc<ObjectMeta>>,
    /// Which revision of the stored object `meta` is; for an L2 or L3 its version.
    pub revision: u64,
}

type Slot = Arc<RwLock<Held>>;

/// Looked up by every request: names here are digests and random ids, so that the hash only has to be quick. It is seeded anew in
/// each process.
type Quick<K, V> = HashMap<K, V, RandomState>;

struct Tenant {
    gate: Arc<Gate>,
    shards: Box<[RwLock<Quick<KeyId, Slot>>]>,
}

/// The tenant's gate was open when this was made. A request keeps it for its length, to answer with one epoch.
pub struct Admission {
    gate: Arc<Gate>,
    epoch: Epoch,
    generation: Generation,
}

impl Admission {
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }
    pub fn generation(&self) -> Generation {
        self.generation
    }
    /// The tenant has not been stopped since: session state of an older generation must be dropped.
    pub fn still_current(&self) -> bool {
        guards::same_generation(self.generation, self.gate.generation())
    }
}

/// Output that was computed with a borrowed key. Only [`Borrow::finish`] opens it.
pub struct Pending<T>(pub(crate) T);

/// A key in use. While it lives, a kill of its tenant waits for it.
pub struct Borrow {
    held: ArcRwLockReadGuard<RawRwLock, Held>,
    /// The attributes as a draft has them, in their place.
    drafted: Option<Arc<ObjectMeta>>,
    gate: Arc<Gate>,
    purpose: Purpose,
}

impl Borrow {
    /// The key. Reading its bytes takes an `Expose` token.
    pub(crate) fn secret(&self) -> Result<&Secret, Unborrowed> {
        self.held.secret.as_ref().ok_or(Unborrowed::Miss)
    }
    /// The object's attributes; `None` for an L2 or L3.
    pub fn meta(&self) -> Option<&ObjectMeta> {
        self.drafted.as_deref().or(self.held.meta.as_deref())
    }
    /// The same key with the attributes that a draft gives its object.
    pub(crate) fn with_draft(self, meta: ObjectMeta) -> Self {
        Self { drafted: Some(Arc::new(meta)), ..self }
    }
    pub(crate) fn revision(&self) -> u64 {
        self.held.revision
    }
    pub fn epoch(&self) -> Epoch {
        self.gate.epoch()
    }
    pub fn generation(&self) -> Generation {
        self.gate.generation()
    }
    pub fn purpose(&self) -> Purpose {
        self.purpose
    }
    /// The second check: gives the output free only if the gate is still open.
    pub fn finish<T>(self, output: Pending<T>) -> Result<T, Refused> {
        self.gate.check(self.purpose)?;
        Ok(output.0)
    }
}

/// The gate is closed and a generation has begun; keys may still be in use, and in memory.
pub(crate) struct Closed {
    id: TenantId,
    tenant: Arc<Tenant>,
    stop: Stop,
    generation: Generation,
}

impl Closed {
    /// Waits for every borrow. Sets no stop: one that was lifted in the meantime stays lifted, and keys that came since are unsealed again.
    pub(crate) fn drain(self) -> Drained {
        let keys = if self.stop.zeroizes() { drain(&self.tenant) } else { 0 };
        Drained { tenant: self.id, stop: self.stop, generation: self.generation, keys }
    }
}

/// Proof that a tenant's keys are gone from this node's memory: fenced, no borrow left, bytes zeroized, older unseals refused.
/// A tombstone is written from it, and only then a stop is acknowledged.
pub struct Drained {
    tenant: TenantId,
    stop: Stop,
    generation: Generation,
    keys: usize,
}

impl Drained {
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }
    pub fn stop(&self) -> Stop {
        self.stop
    }
    /// The generation that begins with this stop.
    pub fn generation(&self) -> Generation {
        self.generation
    }
    /// How many keys were zeroized.
    pub fn keys(&self) -> usize {
        self.keys
    }
}

/// All tenants of this node.
pub struct KeyTable {
    tenants: ArcSwap<Quick<TenantId, Arc<Tenant>>>,
    writing: Mutex<()>,
    hasher: RandomState,
    clock: Arc<dyn Clock>,
}

impl KeyTable {
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { tenants: ArcSwap::default(), writing: Mutex::new(()), hasher: RandomState::default(), clock }
    }

    /// Puts a tenant's gate into the table. A tenant that is there keeps its gate: `false`.
    pub fn open(&self, tenant: TenantId, opening: Opening) -> bool {
        let _one_at_a_time = self.writing.lock();
        let tenants = self.tenants.load_full();
        if tenants.contains_key(&tenant) {
            return false;
        }
        let shards = (0..SHARDS).map(|_| RwLock::default()).collect();
        let mut next = Quick::clone(&tenants);
        next.insert(tenant, Arc::new(Tenant { gate: Arc::new(Gate::new(opening, self.clock.clone())), shards }));
        self.tenants.store(Arc::new(next));
        true
    }

    /// The tenant's gate, to read.
    pub fn gate(&self, tenant: &TenantId) -> Option<Arc<Gate>> {
        self.tenants.load().get(tenant).map(|tenant| tenant.gate.clone())
    }

    /// Every tenant of this node.
    pub fn tenants(&self) -> Vec<TenantId> {
        self.tenants.load().keys().copied().collect()
    }

    /// The gate is open for this purpose. An unknown tenant is a sealed one: its head has not arrived.
    pub fn admit(&self, tenant: &TenantId, purpose: Purpose) -> Result<Admission, Refused> {
        let tenants = self.tenants.load();
        let tenant = tenants.get(tenant).ok_or(Refused { why: Stop::Sealed })?;
        let (epoch, generation) = (tenant.gate.epoch(), tenant.gate.generation());
        tenant.gate.check(purpose)?;
        Ok(Admission { gate: tenant.gate.clone(), epoch, generation })
    }

    /// Borrows a key. Allocates nothing, waits for no mailbox; a slot that a kill is emptying answers [`Refused`].
    /// `system` must own the key (`None` asks for an L2): a foreign key equals one that is not there.
    pub fn borrow(
        &self,
        tenant: &TenantId,
        key: &KeyId,
        system: Option<&System>,
        purpose: Purpose,
    ) -> Result<Borrow, Unborrowed> {
        let tenants = self.tenants.load();
        let tenant = tenants.get(tenant).ok_or(Refused { why: Stop::Sealed })?;
        tenant.gate.check_stops(purpose)?;
        let slot = self.shard(tenant, key).and_then(|shard| shard.read().get(key).cloned()).ok_or(Unborrowed::Miss)?;
        let held = slot.read_arc();
        // Checked again under the lock, and now the lease too: a kill that came in between has set the fence before it waits for this
        // lock.
        tenant.gate.check(purpose)?;
        if held.secret.is_none() || held.system.as_ref() != system {
            return Err(Unborrowed::Miss);
        }
        Ok(Borrow { held, drafted: None, gate: tenant.gate.clone(), purpose })
    }

    /// Puts an unsealed key into the table, if no kill came since its unseal `began`: late unseals are refused here.
    /// The generation is compared under the shard's lock, which a kill takes after raising it.
    pub fn insert(&self, tenant: &TenantId, entry: Entry, began: Generation) -> Result<(), Error> {
        let tenants = self.tenants.load();
        let tenant = tenants.get(tenant).ok_or(Error::UnknownTenant(*tenant))?;
        let shard = self.shard(tenant, &entry.key).ok_or(Error::Unavailable)?;
        let mut slots = shard.write();
        let now = tenant.gate.generation();
        if !guards::same_generation(began, now) {
            return Err(Error::Stale { began, now });
        }
        tenant.gate.check(Purpose::Process)?;
        let held =
            Held { secret: Some(entry.secret), system: entry.system, meta: entry.meta, revision: entry.revision };
        let before = slots.insert(entry.key, Arc::new(RwLock::new(held)));
        // Still under the shard's lock: a kill finds the slot here, or its borrows ended and its bytes zero.
        zeroize(before);
        Ok(())
    }

    /// New attributes for an object that may be in the table; older revisions than the one there change nothing. Waits for its
    /// borrows.
    pub fn amend(&self, tenant: &TenantId, key: &KeyId, meta: Arc<ObjectMeta>, revision: u64) {
        let Some(slot) = self.slot(tenant, key) else { return };
        let mut held = slot.write();
        if held.revision < revision {
            (held.meta, held.revision) = (Some(meta), revision);
        }
    }

    /// Takes one key out and zeroizes it. Waits for its borrows.
    pub fn remove(&self, tenant: &TenantId, key: &KeyId) -> bool {
        let tenants = self.tenants.load();
        let Some(shard) = tenants.get(tenant).and_then(|tenant| self.shard(tenant, key)) else { return false };
        let mut slots = shard.write();
        zeroize(slots.remove(key))
    }

    /// Takes every key of one system out and zeroizes it. Waits for their borrows. How many there were.
    pub fn retire(&self, id: &TenantId, system: &System) -> usize {
        let tenants = self.tenants.load();
        let Some(tenant) = tenants.get(id) else { return 0 };
        let mut keys = 0;
        for shard in &tenant.shards {
            let of_system = |slot: &Slot| slot.read().system.as_ref() == Some(system);
            let mut gone = Vec::new();
            shard.write().retain(|_, slot| {
                let stays = !of_system(slot);
                if !stays {
                    gone.push(slot.clone());
                }
                stays
            });
            keys += gone.into_iter().filter(|slot| zeroize(Some(slot.clone()))).count();
        }
        keys
    }

    /// Closes the gate: one atomic store, outside every lock and mailbox. From here on nothing begins and nothing leaves.
    /// `false`: the tenant is not known here.
    pub fn fence(&self, tenant: &TenantId, stop: Stop) -> bool {
        let tenants = self.tenants.load();
        let Some(tenant) = tenants.get(tenant) else { return false };
        tenant.gate.stops.fetch_or(stop.bit(), Ordering::SeqCst);
        true
    }

    /// Fences, raises the generation, empties every slot and waits for every borrow. Returns when the bytes are zero.
    pub fn kill(&self, id: &TenantId, stop: Stop) -> Result<Drained, Error> {
        Ok(self.close(id, stop)?.drain())
    }

    /// Fences and raises the generation, without waiting.
    pub(crate) fn close(&self, id: &TenantId, stop: Stop) -> Result<Closed, Error> {
        if !self.fence(id, stop) {
            return Err(Error::UnknownTenant(*id));
        }
        let tenant = self.tenants.load().get(id).cloned().ok_or(Error::UnknownTenant(*id))?;
        // Before any slot is emptied: an insert that waits for a shard meets the new generation.
        let generation = Generation(tenant.gate.generation.fetch_add(1, Ordering::SeqCst) + 1);
        Ok(Closed { id: *id, tenant, stop, generation })
    }

    /// Lifts one stop. Whether it may be lifted is decided and made durable by the caller, before.
    pub fn lift(&self, tenant: &TenantId, stop: Stop) {
        if let Some(tenant) = self.tenants.load().get(tenant) {
            tenant.gate.stops.fetch_and(!stop.bit(), Ordering::SeqCst);
        }
    }

    /// A higher epoch of a certified head. A lower one changes nothing: `false`.
    pub fn raise_epoch(&self, tenant: &TenantId, epoch: Epoch) -> bool {
        let tenants = self.tenants.load();
        let Some(tenant) = tenants.get(tenant) else { return false };
        tenant.gate.epoch.fetch_max(epoch.0, Ordering::SeqCst) <= epoch.0
    }

    /// When the tenant's lease ends, CLOCK_BOOTTIME milliseconds. `crate::lease` computes it.
    pub fn lease_until(&self, tenant: &TenantId, until_ms: u64) {
        if let Some(tenant) = self.tenants.load().get(tenant) {
            tenant.gate.lease_until_ms.store(until_ms, Ordering::SeqCst);
        }
    }

    /// How many keys of this tenant are in plaintext here.
    pub fn keys_of(&self, tenant: &TenantId) -> usize {
        let tenants = self.tenants.load();
        tenants.get(tenant).map_or(0, |tenant| tenant.shards.iter().map(|shard| shard.read().len()).sum())
    }

    fn shard<'a>(&self, tenant: &'a Tenant, key: &KeyId) -> Option<&'a RwLock<Quick<KeyId, Slot>>> {
        let shards = u64::try_from(SHARDS).ok()?;
        tenant.shards.get(usize::try_from(self.hasher.hash_one(key) % shards).ok()?)
    }

    fn slot(&self, tenant: &TenantId, key: &KeyId) -> Option<Slot> {
        let tenants = self.tenants.load();
        let tenant = tenants.get(tenant)?;
        self.shard(tenant, key)?.read().get(key).cloned()
    }
}

/// Empties every shard, then waits for each slot's borrows and zeroizes it.
fn drain(tenant: &Tenant) -> usize {
    let mut keys = 0;
    for shard in &tenant.shards {
        let slots = std::mem::take(&mut *shard.write());
        keys += slots.into_values().filter(|slot| zeroize(Some(slot.clone()))).count();
    }
    keys
}

/// Waits for the slot's borrows, then zeroizes its key. `true`: there was one.
fn zeroize(slot: Option<Slot>) -> bool {
    slot.is_some_and(|slot| slot.write().secret.take().is_some())
}
