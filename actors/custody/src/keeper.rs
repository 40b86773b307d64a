//! The keeper: makes stops, heads and leases durable, in the order in which they may be relied on.
//!
//! A stop: fence, drain (the table), tombstone, high-water file, and only then [`Entombed`], without which nothing is
//! acknowledged. The database's row follows and may fail on a full disk: the tombstone counts at the next start. A lift goes the
//! other way round: durable first, then the gate. The two exclude each other: a stop keeps the lock from drain to mark, and a lift opens
//! the gate under that lock, or not at all. The lock is the tenant's own: no stop waits for another tenant's disk. The keeper decides
//! nothing: `standing` has verified the certificate.

mod leases;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use arc_swap::ArcSwap;
use orbital::{
    halt::{Halt, Halts},
    names::{Digest, TenantId},
};
use parking_lot::Mutex;

use crate::{
    clock::{Clock, Now},
    error::Error,
    high_water::{HighWater, Known, Mark, Verdict},
    key_table::{Drained, KeyTable, Opening, Stop, Stops},
    lease::{Lease, Length},
    mac::NodeKey,
    names::Generation,
    shelf::{Shelf, TenantRow},
};

/// Proof that a stop is done and will survive: keys gone, tombstone and high-water mark synced. A SyncAck is made from it.
#[derive(Debug)]
pub struct Entombed {
    stop: Stop,
    generation: Generation,
    keys: usize,
}

impl Entombed {
    pub fn stop(&self) -> Stop {
        self.stop
    }
    /// The generation that began with the stop.
    pub fn generation(&self) -> Generation {
        self.generation
    }
    /// How many keys were zeroized.
    pub fn keys(&self) -> usize {
        self.keys
    }
}

struct Kept {
    row: TenantRow,
    lease: Lease,
    /// Halts of a halted tenant that this node has acknowledged and a store that was put back no longer names.
    lost: Option<Known>,
    /// When the lease ends that `row` says, and the one that the store says: CLOCK_BOOTTIME milliseconds. A restart gives no more.
    row_until_ms: u64,
    stored_until_ms: u64,
}

impl Kept {
    fn new(row: TenantRow, lease: Lease, lost: Option<Known>) -> Self {
        let until_ms = lease.until_ms();
        Self { row, lease, lost, row_until_ms: until_ms, stored_until_ms: until_ms }
    }

    fn write_lease(&mut self, now: Now) {
        self.row.lease = Some(self.lease.stored(now));
        self.row_until_ms = self.lease.until_ms();
    }

    fn mark(&self) -> Mark {
        Mark { lost: self.lost, ..self.row.mark() }
    }

    /// Remembers a halt; what was lost is found when all names are back.
    fn know(&mut self, halt: Halt, name: Digest) {
        self.row.know(halt, name);
        self.lost = self.lost.filter(|lost| !lost.is_within(&self.row.halts.names()));
    }

    /// Each halt of this kind is named by a change that lifts it: those that are kept here, and those that were lost, of whatever kind. What
    /// was lifted before cannot lift a halt whose name is lost, sent again or not.
    fn all_lifted(&self, halt: Halt, lifted: &Halts) -> bool {
        (halt != Halt::Kill || !self.row.is_killed_for_good())
            && self.row.halts.of(halt).is_subset(lifted.of(halt))
            && self.lost.is_none_or(|lost| lost.is_within(&lifted.names()))
    }
}

/// One tenant's part, with locks of its own.
struct Slot {
    kept: Mutex<Kept>,
    /// Held from the copy of a row until it is durable: an older copy never overwrites a newer one. No stop waits for it.
    writing: tokio::sync::Mutex<()>,
}

impl Slot {
    fn new(kept: Kept) -> Arc<Self> {
        Arc::new(Self { kept: Mutex::new(kept), writing: tokio::sync::Mutex::default() })
    }
}

/// What must survive, of every tenant of this node.
pub struct Keeper {
    table: Arc<KeyTable>,
    shelf: Arc<Shelf>,
    high_water: HighWater,
    clock: Arc<dyn Clock>,
    slots: ArcSwap<BTreeMap<TenantId, Arc<Slot>>>,
    /// One new tenant at a time.
    founding: tokio::sync::Mutex<()>,
    /// The last turn in which a client anchor was claimed.
    turn: AtomicU64,
}

impl Keeper {
    /// Reads every tenant, compares the store with the high-water file and puts the gates into the table: each with its durable
    /// stops, its generation and what is left of its lease. After [`Verdict::Sealed`] every gate is [`Stop::Sealed`] too.
    pub fn load(
        table: Arc<KeyTable>,
        shelf: Arc<Shelf>,
        high_water: &Path,
        key: Arc<NodeKey>,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, Verdict), Error> {
        let rows = shelf.tenants()?;
        let marks = rows.iter().map(|(tenant, row)| (*tenant, row.mark())).collect();
        let turn = rows.values().flat_map(|row| row.claims.values().copied()).max().unwrap_or(0);
        let (high_water, verdict) = HighWater::open(high_water, key, &marks)?;
        let now = clock.now();
        let mut slots = BTreeMap::new();
        for (tenant, mut row) in rows {
            let mark = high_water.mark(&tenant).map_or(row.mark(), |file| row.mark().joined(file));
            let nothing = || Lease::provisioned(Length::Milliseconds(0), now);
            let lease = row.lease.map_or_else(nothing, |stored| Lease::restarted(stored, now));
            table.open(tenant, opening(&mut row, mark, &lease));
            slots.insert(tenant, Slot::new(Kept::new(row, lease, mark.lost)));
        }
        let (slots, turn) = (ArcSwap::from_pointee(slots), AtomicU64::new(turn));
        let founding = tokio::sync::Mutex::default();
        Ok((Self { table, shelf, high_water, clock, slots, founding, turn }, verdict))
    }

    /// Where it is kept.
    pub(crate) fn shelf(&self) -> &Shelf {
        &self.shelf
    }

    /// What is kept of a tenant: its certified head among it.
    pub fn row(&self, tenant: &TenantId) -> Option<TenantRow> {
        self.slot(tenant).map(|slot| slot.kept.lock().row.clone()).ok()
    }

    /// Every tenant of this node.
    pub fn tenants(&self) -> Vec<TenantId> {
        self.slots.load().keys().copied().collect()
    }

    fn slot(&self, tenant: &TenantId) -> Result<Arc<Slot>, Error> {
        self.slots.load().get(tenant).cloned().ok_or(Error::UnknownTenant(*tenant))
    }

    /// The turn of the next claim to a client anchor: above that of every claim that some tenant has.
    pub fn next_turn(&self) -> u64 {
        self.turn.fetch_add(1, Ordering::Relaxed).saturating_add(1)
    }

    /// A new tenant: space for its tombstone, its row, its high-water mark, then its gate. `row.lease` is set from `lease`. After an error
    /// the tenant is not known yet, and the call may be repeated.
    pub async fn provision(&self, tenant: TenantId, mut row: TenantRow, lease: Length) -> Result<(), Error> {
        let _one_at_a_time = self.founding.lock().await;
        if self.slot(&tenant).is_ok() {
            return Err(Error::AlreadyProvisioned(tenant));
        }
        let now = self.clock.now();
        let mut lease = Lease::provisioned(lease, now);
        row.lease = Some(lease.stored(now));
        let (trust_version, epoch) = (row.trust_version, row.epoch);
        let mut row = self.shelf.provision(tenant, row).await?;
        // A tenant that this node has known before, in a store that is gone: what was acknowledged then still counts.
        let mut mark = self.high_water.provision(tenant, row.mark())?;
        if mark.trust_version > trust_version || mark.epoch > epoch {
            mark.stops = mark.stops.with(Stop::Sealed);
            self.high_water.raise(&tenant, mark)?;
        }
        let opening = opening(&mut row, mark, &lease);
        let slot = Slot::new(Kept::new(row, lease, mark.lost));
        self.slots.rcu(|slots| {
            let mut next = BTreeMap::clone(slots);
            next.insert(tenant, slot.clone());
            next
        });
        self.table.open(tenant, opening);
        Ok(())
    }

    /// Stops a tenant: fence, drain, tombstone, high-water mark. Synchronous, as nothing may come before it; it waits for running
    /// ciphers and two fsyncs. On an error the tenant stays fenced and empty, nothing is acknowledged, and the call may be
    /// repeated. `name` is the digest of the certified change, where one set it.
    pub fn stop(&self, tenant: &TenantId, stop: Stop, name: Option<Digest>) -> Result<Entombed, Error> {
        // At once; whoever is lifting the same stop may take it back before the lock is had, so it is set again under the lock.
        self.table.fence(tenant, stop);
        let slot = self.slot(tenant)?;
        self.stop_kept(tenant, &mut slot.kept.lock(), stop, name)
    }

    fn stop_kept(
        &self,
        tenant: &TenantId,
        kept: &mut Kept,
        stop: Stop,
        name: Option<Digest>,
    ) -> Result<Entombed, Error> {
        let drained = self.table.kill(tenant, stop)?;
        let gate = self.table.gate(tenant).ok_or(Error::UnknownTenant(*tenant))?;
        kept.row.generation = kept.row.generation.max(drained.generation());
        kept.row.stops |= Stops(stop.bit()).durable().0;
        stop.halt().zip(name).into_iter().for_each(|(halt, name)| kept.know(halt, name));
        if kept.row.is_killed_for_good() {
            self.table.fence(tenant, Stop::KilledForGood);
        }
        self.entomb(&drained, kept, gate.stops())
    }

    fn entomb(&self, drained: &Drained, kept: &Kept, stops: Stops) -> Result<Entombed, Error> {
        let tenant = *drained.tenant();
        self.shelf.entomb(&tenant, &kept.row)?;
        let mark = kept.mark();
        let stops = Stops(mark.stops.0 | stops.0);
        self.high_water.raise(&tenant, Mark { stops, ..mark })?;
        Ok(Entombed { stop: drained.stop(), generation: drained.generation(), keys: drained.keys() })
    }

    /// The stop is set and was written down: one whose files failed must be tried again.
    pub fn is_durable(&self, tenant: &TenantId, stop: Stop) -> bool {
        self.slot(tenant).is_ok_and(|slot| self.is_kept(&slot.kept.lock(), tenant, stop))
    }

    fn is_kept(&self, kept: &Kept, tenant: &TenantId, stop: Stop) -> bool {
        Stops(kept.row.stops).holds(stop) && self.high_water.mark(tenant).is_some_and(|mark| mark.stops.holds(stop))
    }

    /// The store has lost halts of this tenant that were acknowledged, and the tenant is halted.
    pub fn has_lost(&self, tenant: &TenantId) -> bool {
        self.slot(tenant).is_ok_and(|slot| slot.kept.lock().lost.is_some())
    }

    /// The head's L1 link has yet to lift what L1 said before it: the world failed in between, and no stop has come since.
    pub fn has_to_clear(&self, tenant: &TenantId) -> bool {
        let due = |row: &TenantRow| row.clears == Some(row.generation);
        self.slot(tenant).is_ok_and(|slot| due(&slot.kept.lock().row))
    }

    /// A certified halt that was lifted by name before it came: known from now on, durable, without a stop.
    pub fn note(&self, tenant: &TenantId, halt: Halt, name: Digest) -> Result<(), Error> {
        let for_good = {
            let slot = self.slot(tenant)?;
            let mut kept = slot.kept.lock();
            kept.know(halt, name);
            kept.row.is_killed_for_good()
        };
        if for_good { self.stop(tenant, Stop::Killed, Some(name)).map(drop) } else { self.remember(tenant) }
    }

    /// Deletes the tenant's wrapped keys and all that is wrapped under them, for ever. It is stopped for good before.
    pub async fn shred(&self, tenant: &TenantId) -> Result<(), Error> {
        self.shelf.shred(tenant).await
    }

    /// Changes what is kept of a tenant and makes its row durable, in the order of the changes. What a stop adds meanwhile is in its
    /// tombstone.
    async fn store<T>(&self, tenant: &TenantId, change: impl FnOnce(&mut Kept) -> T + Send) -> Result<T, Error>
    where
        T: Send,
    {
        let slot = self.slot(tenant)?;
        let _in_turn = slot.writing.lock().await;
        let (answer, row, until_ms) = {
            let mut kept = slot.kept.lock();
            (change(&mut kept), kept.row.clone(), kept.row_until_ms)
        };
        self.shelf.put_tenant(*tenant, &row).await?;
        slot.kept.lock().stored_until_ms = until_ms;
        Ok(answer)
    }

    /// A new certified head: `change` sets head, trust version and epoch on the row; halts are those of the stops. Durable (row, tombstone, high-water
    /// mark), then the gate's epoch. Counters never go back, stops are not touched here.
    pub async fn advance(&self, tenant: &TenantId, change: impl FnOnce(&mut TenantRow) + Send) -> Result<(), Error> {
        let set = |kept: &mut Kept| {
            let before = kept.row.clone();
            change(&mut kept.row);
            kept.row.trust_version = kept.row.trust_version.max(before.trust_version);
            kept.row.epoch = kept.row.epoch.max(before.epoch);
            (kept.row.generation, kept.row.stops) = (before.generation, before.stops);
            kept.row.epoch
        };
        let epoch = self.store(tenant, set).await?;
        self.remember(tenant)?;
        self.table.raise_epoch(tenant, epoch);
        Ok(())
    }

    /// Serves nobody of this tenant until [`Stop::Sealed`] is lifted, over further starts too.
    pub fn seal(&self, tenant: &TenantId) -> Result<(), Error> {
        self.table.fence(tenant, Stop::Sealed);
        self.remember(tenant)
    }

    /// Lifts one stop: durable first, then the gate. Whether it may be lifted was decided before.
    pub async fn lift(&self, tenant: &TenantId, stop: Stop) -> Result<(), Error> {
        self.lift_if(tenant, stop, |_| true).await.map(|_| ())
    }

    /// Lifts the stop of a halt if each halt of its kind that is or was kept here is one of `lifted`: asked where a stop enters its name, so
    /// that one which comes meanwhile is not lifted along. `false`: the tenant stays stopped.
    pub async fn unhalt(&self, tenant: &TenantId, halt: Halt, lifted: &Halts) -> Result<bool, Error> {
        self.lift_if(tenant, Stop::of(halt), |kept| kept.all_lifted(halt, lifted)).await
    }

    async fn lift_if(
        &self,
        tenant: &TenantId,
        stop: Stop,
        may: impl FnOnce(&Kept) -> bool + Send,
    ) -> Result<bool, Error> {
        let set = |kept: &mut Kept| {
            let lifts = may(kept);
            if lifts && stop.halt().is_some() {
                kept.lost = None;
            }
            if lifts {
                kept.row.stops = Stops(kept.row.stops).without(stop).0;
            }
            lifts
        };
        if !self.store(tenant, set).await? {
            return Ok(false);
        }
        self.remember_without(tenant, Some(stop))?;
        // A stop of the same kind that came in the meantime has put its bit back and raised the generation.
        let slot = self.slot(tenant)?;
        let mut kept = slot.kept.lock();
        let lifted = !Stops(kept.row.stops).holds(stop);
        if lifted {
            self.table.lift(tenant, stop);
        }
        if lifted && stop == Stop::L1Stop {
            kept.row.clears = None;
        }
        Ok(lifted)
    }

    fn remember(&self, tenant: &TenantId) -> Result<(), Error> {
        self.remember_without(tenant, None)
    }

    /// Writes tombstone and high-water mark from what is kept *now*: a stop that came in between is in them.
    fn remember_without(&self, tenant: &TenantId, lifted: Option<Stop>) -> Result<(), Error> {
        let gate = self.table.gate(tenant).ok_or(Error::UnknownTenant(*tenant))?;
        let slot = self.slot(tenant)?;
        let kept = slot.kept.lock();
        self.shelf.entomb(tenant, &kept.row)?;
        let sealed = gate.stops().holds(Stop::Sealed) && lifted != Some(Stop::Sealed);
        let mark = kept.mark();
        let stops = if sealed { mark.stops.with(Stop::Sealed) } else { mark.stops };
        self.high_water.raise(tenant, Mark { stops, ..mark })
    }
}

/// A row as far as its high-water mark has come, and the gate that it opens with.
fn opening(row: &mut TenantRow, mark: Mark, lease: &Lease) -> Opening {
    (row.epoch, row.generation, row.trust_version) = (mark.epoch, mark.generation, mark.trust_version);
    row.stops = mark.stops.durable().0;
    Opening { stops: mark.stops, epoch: mark.epoch, generation: mark.generation, lease_until_ms: lease.until_ms() }
}

#[cfg(test)]
mod tests;
