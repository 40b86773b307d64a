//! Annulling: the end of a tenant that may never have been founded here. What its people withdrew before every region had taken it is not
//! founded by a Provision that comes late, is sent again, or was recorded by somebody.

use orbital::{chain::Genesis, directive::Warrant, names::Digest};

use super::{Steward, Unmet};
use crate::standing::{Refusal, Standing};

/// Most tenants that are not pinned here whose end is remembered: nobody can found them without a pin, and whoever makes up tenants must not
/// fill the disk. Pinned ones always have room.
pub(super) const ENDED_UNPINNED_MAX: u64 = 4_096;

impl Steward {
    /// A tenant that is known here is stopped for good, as by any TerminateTenant. Of another the end is remembered.
    pub(super) async fn annul(&self, genesis: &Genesis, warrant: &Warrant) -> Result<Option<Digest>, Unmet> {
        if self.cell(&warrant.tenant).is_some() {
            return self.stop(warrant).await;
        }
        // Its Provision may be under way.
        let one_at_a_time = self.ordinary.lock().await;
        if self.cell(&warrant.tenant).is_some() {
            drop(one_at_a_time);
            return self.stop(warrant).await;
        }
        let now = self.clock.now().wall_ms / 1_000;
        let change = Standing::end(genesis, warrant, &self.me, now)?;
        let shelf = self.keeper.shelf();
        let known = shelf.is_ended(&warrant.tenant)?;
        if !known && !self.pinned.contains(&warrant.tenant) && shelf.ended()? >= ENDED_UNPINNED_MAX {
            return Err(Refusal::TooManyEnded(ENDED_UNPINNED_MAX).into());
        }
        shelf.end(&warrant.tenant, &change).await?;
        tracing::warn!(tenant = %warrant.tenant, %change, "ended before it was founded here: no Provision founds it any more");
        Ok(Some(change))
    }

    /// Asked under the same lock that an end is written under.
    pub(super) fn check_not_ended(&self, standing: &Standing) -> Result<(), Unmet> {
        match self.keeper.shelf().is_ended(&standing.tenant())? {
            true => Err(Refusal::Ended(standing.tenant()).into()),
            false => Ok(()),
        }
    }
}
