//! A recovery by cold keys that has come: remembered durably, and said aloud (PROTOCOL §3).

use std::sync::Arc;

use orbital::{directive::Warrant, names::TenantId};

use super::{Cell, Steward, Unmet};
use crate::standing::Judged;

impl Steward {
    /// Makes the first receipt of what this warrant brings durable: its delay counts from here, whatever restarts in between.
    pub(super) async fn put_waiting(&self, tenant: TenantId, cell: &Arc<Cell>, warrant: &Warrant) -> Result<(), Unmet> {
        let standing = cell.standing.load_full();
        let links = warrant.links.iter().chain([&warrant.certificate]);
        let next = standing.receiving(links, self.now_s(&tenant))?;
        if next == *standing {
            return Ok(());
        }
        let effects = next.in_force(&standing, &self.me);
        let known = standing.recoveries().clone();
        self.put_in_force(tenant, cell, &Judged { next, effects, change: None }).await?;
        let now = cell.standing.load();
        for (change, received) in now.recoveries().iter().filter(|(change, _)| known.iter().all(|(k, _)| k != *change))
        {
            metrics::counter!("custody_recoveries_total").increment(1);
            tracing::error!(
                %tenant, %change, received,
                "RECOVERY: cold keys change who may decide for this tenant, after their delay. If nobody of you meant that: cancel it with \
                 `kcm trust recovery cancel`"
            );
        }
        Ok(())
    }
}
