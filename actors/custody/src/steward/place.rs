//! Place: a region that its tenant's trust root names no more, and one that it names again (ChangeResidency).
//!
//! Leaving is a stop that needs no certificate of its own: the chain says it. Fence, zeroize and tombstone come first, as for a kill; then
//! the wrapped keys leave the disk. The tenant's row, its chain and its tombstone stay, so that a region that was told once stays out.

use std::sync::Arc;

use orbital::names::TenantId;

use super::{Cell, Steward, Unmet};
use crate::key_table::Stop;

impl Steward {
    /// Out of memory and out of service, durably. What it may do again and again.
    pub(super) fn stay_out(&self, tenant: &TenantId) -> Result<(), Unmet> {
        let held = self.stops(tenant).holds(Stop::Left) && self.keeper.is_durable(tenant, Stop::Left);
        if !held {
            let entombed = self.keeper.stop(tenant, Stop::Left, None)?;
            let (keys, generation) = (entombed.keys(), entombed.generation());
            tracing::warn!(%tenant, keys, %generation, "left: the trust root names this region no more; fenced, drained, zeroized, durable");
        }
        self.callers.close(tenant);
        Ok(())
    }

    /// The same, and off the disk.
    pub(super) async fn leave(&self, tenant: &TenantId) -> Result<(), Unmet> {
        self.stay_out(tenant)?;
        if let Err(why) = self.cache.mute(*tenant).await {
            // A cache that has fallen asks the customer's KMS nothing either.
            tracing::warn!(%tenant, "the L1 link of before could not be muted: {why}");
        }
        self.keeper.shred(tenant).await?;
        tracing::warn!(%tenant, "left: the tenant's wrapped keys are deleted in this region");
        Ok(())
    }

    /// Named again: what the tenant's chain says is in force from here on, with no key of before.
    pub(super) async fn join(&self, tenant: &TenantId, cell: &Arc<Cell>) -> Result<(), Unmet> {
        if !self.stops(tenant).holds(Stop::Left) {
            return Ok(());
        }
        // Before the lift: leaving may have ended half done.
        self.keeper.shred(tenant).await?;
        self.keeper.lift(tenant, Stop::Left).await?;
        tracing::warn!(%tenant, "the trust root names this region again; it has no key of before");
        let standing = cell.standing.load_full();
        match standing.linked() {
            Some(linked) => self.link(*tenant, cell, &linked.l1).await,
            None => Ok(()),
        }
    }
}
