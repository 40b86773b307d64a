//! What happens to a tenant without a directive: its lease runs out, or the customer's KMS says no, or yes again.

use std::sync::Arc;

use orbital::{
    names::TenantId,
    report::{L1State, Probed},
    trust::L1Resume,
};

use super::{Cell, Steward};
use crate::{error::Error, key_cache::Observed, key_table::Stop, l1::State};

impl Steward {
    /// Once a second: zeroizes where a lease has ended; each borrow has checked for itself before. And shows what stops have brought.
    pub fn tick(&self) {
        self.end_leases();
        self.show_all_due();
    }

    fn end_leases(&self) {
        for (tenant, ended) in self.keeper.end_leases() {
            self.callers.close(&tenant);
            match ended {
                Ok(entombed) => {
                    tracing::warn!(%tenant, keys = entombed.keys(), "the lease is over: fenced and zeroized until renewed")
                }
                Err(why) => {
                    tracing::error!(%tenant, "the lease is over and the tenant is fenced, but not durably: {why}")
                }
            }
        }
    }

    /// At least every minute (PROTOCOL §5). And keeps the certificates of stops, which their own path does not wait for.
    pub async fn store_leases(&self) {
        self.keep_proofs().await;
        if let Err(why) = self.keeper.store_leases().await {
            tracing::error!(
                "what is left of the leases cannot be stored; a restart now would start from older values: {why}"
            );
        }
    }

    /// What the key cache saw of an L1 key. It has fenced already where the customer's KMS says no; this makes it durable. The customer's
    /// own no needs nobody's signature (DESIGN §2.6).
    pub async fn l1_seen(self: &Arc<Self>, seen: Observed) {
        match seen {
            Observed::L1 { tenant, link, state } => self.l1_said(tenant, link, state).await,
            Observed::L1Away { tenant } => self.callers.close(&tenant),
            Observed::Probed { tenant, change, state, resolved, why, took_ms } => {
                let resolved = resolved.map_or_else(String::new, |key| key.to_string());
                (self.probes)(Probed { tenant, change, state: l1_state(state), resolved, why, took_ms });
            }
        }
    }

    async fn l1_said(self: &Arc<Self>, tenant: TenantId, link: u64, state: State) {
        let Some(cell) = self.cell(&tenant) else { return };
        let heeded = cell.l1_turn.lock().await;
        // Brought by a task that was overtaken by a new link: nothing about the key in force.
        if *heeded != link {
            return;
        }
        let state = l1_state(state);
        let before = std::mem::replace(&mut *cell.l1.lock(), state);
        if before != state {
            tracing::warn!(%tenant, ?before, now = ?state, "the customer's KMS");
        }
        let done = match state {
            L1State::Enabled => self.l1_allows(tenant, &cell).await,
            L1State::Unreachable | L1State::Pending => Ok(()),
            L1State::Disabled | L1State::Forbidden | L1State::PendingDeletion | L1State::Deleted => {
                self.l1_refuses(tenant).await
            }
        };
        if let Err(why) = done {
            tracing::error!(%tenant, ?state, "what the customer's KMS said is not durable yet, and will be tried again: {why}");
        }
    }

    async fn l1_refuses(self: &Arc<Self>, tenant: TenantId) -> Result<(), Error> {
        if self.keeper.is_durable(&tenant, Stop::L1Stop) {
            return Ok(());
        }
        let steward = self.clone();
        // Waits for running ciphers and for the disk: not for a thread of the runtime.
        let stopped = tokio::task::spawn_blocking(move || steward.keeper.stop(&tenant, Stop::L1Stop, None)).await;
        let entombed = stopped.map_err(|_| Error::Unavailable)??;
        self.callers.close(&tenant);
        tracing::warn!(%tenant, keys = entombed.keys(), "the customer's KMS says no: fenced, drained, zeroized, durable");
        Ok(())
    }

    /// Whether a re-enabled key resumes the tenant, the trust root says. The cache is asked once more: this yes may be older than a no that
    /// overtook it. A no that comes after this waits for its turn.
    async fn l1_allows(&self, tenant: TenantId, cell: &Cell) -> Result<(), Error> {
        let stopped = self.table.gate(&tenant).is_some_and(|gate| gate.stops().holds(Stop::L1Stop));
        let by_probe = cell.standing.load().trust().l1.resume == L1Resume::Probe;
        if stopped && by_probe && self.cache.l1_state(tenant).await? == Some(State::Enabled) {
            self.keeper.lift(&tenant, Stop::L1Stop).await?;
            tracing::warn!(%tenant, "the customer's KMS allows the key again: resumed by the probe, as the trust root says");
        }
        Ok(())
    }
}

pub(super) fn l1_state(state: State) -> L1State {
    match state {
        State::Enabled => L1State::Enabled,
        State::Disabled => L1State::Disabled,
        State::Forbidden => L1State::Forbidden,
        State::Unreachable => L1State::Unreachable,
        State::PendingDeletion => L1State::PendingDeletion,
        State::Deleted => L1State::Deleted,
    }
}
