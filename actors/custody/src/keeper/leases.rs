//! Leases of the keeper: nonces, renewals, ends; what of them survives.

use orbital::names::TenantId;

use super::{Entombed, Keeper};
use crate::{
    error::Error,
    key_table::{LEASE_UNLIMITED, Stop},
    lease::{Length, Nonce, NotAwaited},
};

impl Keeper {
    /// The highest wall time seen, for expiries: a clock set back revives nothing (PROTOCOL §5).
    pub fn highest_wall_ms(&self, tenant: &TenantId) -> u64 {
        let now = self.clock.now();
        self.slot(tenant).map_or(now.wall_ms, |slot| slot.kept.lock().lease.see(now))
    }

    /// A fresh nonce to be signed by the tenant's lease key; the lease counts from now.
    pub fn draw_nonce(&self, tenant: &TenantId) -> Result<Nonce, Error> {
        let mut nonce = Nonce::default();
        getrandom::fill(&mut nonce).map_err(|e| Error::Random(e.to_string()))?;
        let now = self.clock.now();
        self.slot(tenant)?.kept.lock().lease.draw(nonce, now);
        Ok(nonce)
    }

    /// A verified lease statement over a nonce drawn here. `Ok(Err(_))`: the nonce is not awaited, nothing changed.
    pub async fn renew(
        &self,
        tenant: &TenantId,
        nonce: &Nonce,
        length: Length,
    ) -> Result<Result<(), NotAwaited>, Error> {
        let now = self.clock.now();
        let slot = self.slot(tenant)?;
        let over = {
            let mut kept = slot.kept.lock();
            if let Err(refused) = kept.lease.renew(nonce, length, now) {
                return Ok(Err(refused));
            }
            kept.row.lease = Some(kept.lease.stored(now));
            self.table.lease_until(tenant, kept.lease.until_ms());
            kept.lease.is_over(now)
        };
        if !over && self.table.gate(tenant).is_some_and(|gate| gate.stops().holds(Stop::LeaseOver)) {
            self.lift(tenant, Stop::LeaseOver).await?;
        }
        Ok(Ok(()))
    }

    /// A topology file's shorter lease.
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
        let now = self.clock.now();
        let slots = self.slots.load_full();
        let over = slots.iter().filter(|(_, slot)| slot.kept.lock().lease.is_over(now)).map(|(tenant, _)| *tenant);
        let over: Vec<TenantId> = over.collect();
        let stop = |tenant: TenantId| (tenant, self.stop(&tenant, Stop::LeaseOver, None));
        over.into_iter().filter(|tenant| !self.is_durable(tenant, Stop::LeaseOver)).map(stop).collect()
    }

    /// Writes down what is left of every lease. Call every [`crate::lease::STORE_EVERY_MS`] or more often.
    pub async fn store_leases(&self) -> Result<(), Error> {
        let now = self.clock.now();
        for tenant in self.tenants() {
            self.store(&tenant, |kept| kept.row.lease = Some(kept.lease.stored(now))).await?;
        }
        Ok(())
    }
}
