//! Freezing: what of a fork becomes durable, and who is told (PROTOCOL §3).

use std::sync::{Arc, atomic::Ordering};

use orbital::{
    certificate::Certificate,
    directive::Warrant,
    held::{Asked, Held},
    names::TenantId,
    sign::{Kind, Signed},
};

use super::{Cell, Steward, Unmet};
use crate::standing::Judged;

/// Most tenants whose forks are told at once; the next time goes on with the others.
const FORKED_TOLD_MAX: usize = 4;

impl Steward {
    /// A stop's links may prove a fork. What fails here fails no stop: the links come again with the next one, or from governance.
    pub(super) async fn freeze(&self, warrant: &Warrant) {
        let Some(cell) = self.cell(&warrant.tenant) else { return };
        if !cell.standing.load().is_doubtful(warrant) {
            return;
        }
        let _one_at_a_time = self.ordinary.lock().await;
        if let Err(why) = self.put_freeze(warrant.tenant, &cell, warrant).await {
            let tenant = warrant.tenant;
            tracing::error!(%tenant, "a fork of the tenant's trust was met and is not durable: {why}");
        }
    }

    /// Makes the fork that this warrant proves durable, then in force.
    pub(super) async fn put_freeze(&self, tenant: TenantId, cell: &Arc<Cell>, warrant: &Warrant) -> Result<(), Unmet> {
        let standing = cell.standing.load_full();
        let Some(next) = standing.frozen_by(warrant, self.now_s(&tenant)) else { return Ok(()) };
        let effects = next.in_force(&standing, &self.me);
        self.put_in_force(tenant, cell, &Judged { next, effects, change: None }).await?;
        for fork in cell.standing.load().forks() {
            metrics::counter!("custody_forks_total").increment(1);
            tracing::error!(
                %tenant, version = fork.version(), here = %fork.here(), other = %fork.other(),
                "FROZEN: two certified successors of one trust version; only stops and what settles it are taken. Compare the regions with \
                 `kcm trust compare`"
            );
        }
        Ok(())
    }

    /// Which trust version this region holds, in answer to a question (PROTOCOL §3); none where the tenant is not known here.
    pub fn held(&self, asked: &Asked) -> Option<Signed> {
        let cell = self.cell(&asked.tenant)?;
        let standing = cell.standing.load();
        let held = Held {
            domain: Kind::Held.domain(),
            deployment: self.me.deployment.clone(),
            tenant: asked.tenant,
            region: self.me.region.clone(),
            nonce: asked.nonce.clone(),
            version: standing.trust().version,
            trust: standing.chain().digest(),
            forked: standing.forks().iter().map(orbital::fork::Fork::other).collect(),
            at_us: self.clock.now().wall_ms.saturating_mul(1_000),
        };
        held.sign(&self.report_key)
            .inspect_err(|why| tracing::error!("a held trust version cannot be signed: {why}"))
            .ok()
    }

    /// The successors that prove the forks of some tenants, in turn: told until they are settled.
    pub fn branches(&self) -> Vec<Certificate> {
        let tenants = self.tenants.load();
        let forked: Vec<_> = tenants.values().map(|cell| cell.standing.load_full()).filter(|s| s.is_forked()).collect();
        let turn = self.branch_turn.fetch_add(FORKED_TOLD_MAX, Ordering::Relaxed);
        let told = forked.len().min(FORKED_TOLD_MAX);
        let from = turn.checked_rem(forked.len()).unwrap_or(0);
        forked
            .iter()
            .cycle()
            .skip(from)
            .take(told)
            .flat_map(|standing| standing.branches().cloned().collect::<Vec<_>>())
            .collect()
    }
}
