//! Leases of the keeper: nonces, renewals, ends; what of them survives.

use futures::future::join_all;
use orbital::names::TenantId;

use super::{Entombed, Keeper, Slot};
use crate::{
    error::Error,
    key_table::{LEASE_UNLIMITED, Stop},
    lease::{Length, Nonce, NotAwaited},
};

/// Rows of leases that are in memory at once on their way to the store.
const LEASES_AT_ONCE_MAX: usize = 256;

impl Keeper {
    /// The highest wall time seen, for expiries: a clock set back revives nothing (PROTOCOL §5).
    pub fn highest_wall_ms(&self, tenant: &TenantId) -> u64 {
        let now = self.clock.now();
        self.slot(tenant).map_or(now.wall_ms, |slot| slot.kept.lock().lease.see(now))
    }

    /// The same for a stop, which waits for no lock: where another holds it, the wall clock alone counts.
    pub fn highest_wall_ms_unlocked(&self, tenant: &TenantId) -> u64 {
        let now = self.clock.now();
        let seen = self.slot(tenant).ok().and_then(|slot| slot.kept.try_lock().map(|mut kept| kept.lease.see(now)));
        seen.unwrap_or(now.wall_ms)
    }

    /// A fresh nonce to be signed by the tenant's lease key; the lease counts from now.
    pub fn draw_nonce(&self, tenant: &TenantId) -> Result<Nonce, Error> {
        let mut nonce = Nonce::default();
        getrandom::fill(&mut nonce).map_err(|e| Error::Random(e.to_string()))?;
        let now = self.clock.now();
        self.slot(tenant)?.kept.lock().lease.draw(nonce, now);
        Ok(nonce)
    }

    /// A verified lease statement over a nonce drawn here. `Ok(Err(_))`: the nonce is not awaited, nothing changed. One that ends sooner
    /// than what is stored is durable before this returns; a longer one may wait for [`Keeper::store_leases`].
    pub async fn renew(
        &self,
        tenant: &TenantId,
        nonce: &Nonce,
        length: Length,
    ) -> Result<Result<(), NotAwaited>, Error> {
        let now = self.clock.now();
        let slot = self.slot(tenant)?;
        let (over, sooner) = {
            let mut kept = slot.kept.lock();
            if let Err(refused) = kept.lease.renew(nonce, length, now) {
                return Ok(Err(refused));
            }
            kept.write_lease(now);
            self.table.lease_until(tenant, kept.lease.until_ms());
            (kept.lease.is_over(now), kept.lease.until_ms() < kept.stored_until_ms)
        };
        if sooner {
            self.store(tenant, |_| ()).await?;
        }
        if !over && self.table.gate(tenant).is_some_and(|gate| gate.stops().holds(Stop::LeaseOver)) {
            self.lift(tenant, Stop::LeaseOver).await?;
        }
        Ok(Ok(()))
    }

    /// A shorter lease, of the topology file or of a new trust root; each start says it again, so that it need not be durable.
    pub fn shorten_lease(&self, tenant: &TenantId, length: Length) {
        let now = self.clock.now();
        if let Ok(slot) = self.slot(tenant) {
            let mut kept = slot.kept.lock();
            kept.lease.shorten(length, now);
            self.table.lease_until(tenant, kept.lease.until_ms());
        }
    }

    /// How long a tenant's lease still lasts, milliseconds; `None` is unlimited. For health and metrics.
    pub fn lease_left_ms(&self, tenant: &TenantId) -> Option<u64> {
        let until = self.table.gate(tenant)?.lease_until_ms();
        (until != LEASE_UNLIMITED).then(|| until.saturating_sub(self.clock.boottime_ms()))
    }

    /// Stops every tenant whose lease has ended. Call every second: the gate refuses by itself, this zeroizes.
    pub fn end_leases(&self) -> Vec<(TenantId, Result<Entombed, Error>)> {
        let slots = self.slots.load_full();
        slots.iter().filter_map(|(tenant, slot)| Some((*tenant, self.end_lease(tenant, slot)?))).collect()
    }

    /// Asked and stopped under one lock: a renewal comes before, and the lease is not over, or after, and lifts this stop. No fence
    /// before the lock, as the gate has refused since the very end.
    fn end_lease(&self, tenant: &TenantId, slot: &Slot) -> Option<Result<Entombed, Error>> {
        let mut kept = slot.kept.lock();
        let over = kept.lease.is_over(self.clock.now()) && !self.is_kept(&kept, tenant, Stop::LeaseOver);
        over.then(|| self.stop_kept(tenant, &mut kept, Stop::LeaseOver, None))
    }

    /// Writes down what is left of every lease: many tenants wait together and so share a commit, and none waits for another's failure.
    /// Answers the first error. Call every [`crate::lease::STORE_EVERY_MS`] or more often.
    pub async fn store_leases(&self) -> Result<(), Error> {
        let now = self.clock.now();
        let mut done = Ok(());
        for tenants in self.tenants().chunks(LEASES_AT_ONCE_MAX) {
            let stores = tenants.iter().map(|tenant| self.store(tenant, |kept| kept.write_lease(now)));
            done = join_all(stores).await.into_iter().fold(done, Result::and);
        }
        done
    }
}
