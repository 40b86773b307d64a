//! Start: what the keeper remembers becomes standings again. Plaintext is gone; keys come back from L1, on demand.

use std::{
    collections::BTreeSet,
    sync::{Arc, atomic::AtomicUsize},
};

use arc_swap::ArcSwap;
use orbital::{
    halt::Halt,
    names::{NodeName, TenantId},
    sign::SecretKey,
};

use super::{Callers, Probes, Steward, Unmet};
use crate::{
    clock::Clock,
    keeper::Keeper,
    key_cache::KeyCache,
    key_table::{KeyTable, Stop},
    shelf::TenantRow,
    standing::{Identity, Standing},
};

/// What a steward is made of.
pub struct Options {
    pub me: Identity,
    pub node: NodeName,
    pub report_key: SecretKey,
    pub pinned: BTreeSet<TenantId>,
    pub table: Arc<KeyTable>,
    pub keeper: Arc<Keeper>,
    pub cache: KeyCache,
    pub callers: Arc<dyn Callers>,
    pub probes: Probes,
    pub clock: Arc<dyn Clock>,
    pub lease_most_ms: Option<u64>,
}

impl Steward {
    /// Opens every stored tenant: its chain is verified anew from the genesis on, its L1 is linked, nothing is unsealed yet.
    pub async fn start(options: Options) -> Result<Arc<Self>, Unmet> {
        let steward = Arc::new(Self {
            me: options.me,
            node: options.node,
            report_key: options.report_key,
            pinned: options.pinned,
            table: options.table,
            keeper: options.keeper,
            cache: options.cache,
            callers: options.callers,
            probes: options.probes,
            clock: options.clock,
            lease_most_ms: options.lease_most_ms,
            tenants: ArcSwap::default(),
            ordinary: tokio::sync::Mutex::new(()),
            branch_turn: AtomicUsize::new(0),
        });
        for tenant in steward.keeper.tenants() {
            steward.reopen(&tenant).await?;
        }
        Ok(steward)
    }

    async fn reopen(&self, tenant: &TenantId) -> Result<(), Unmet> {
        let Some(row) = self.keeper.row(tenant) else { return Ok(()) };
        let standing = Standing::from_bytes(&row.head, &self.me)?.with_halts(&row.halts, row.is_killed_for_good());
        self.shorten_lease(&standing);
        if standing.is_behind(row.trust_version, row.epoch.0) {
            // The rows agree with the high-water file, and yet the head does not: part of the store was put back.
            self.keeper.seal(tenant)?;
            tracing::error!(
                %tenant, version = standing.trust().version, epoch = standing.epoch(), acknowledged = row.trust_version, at = %row.epoch,
                "sealed: the stored head is older than the tenant's tombstone or high-water mark; the missing changes must be sent again"
            );
        }
        let stops = self.stops(tenant);
        for halt in Halt::ALL {
            self.halt_again(tenant, halt, &standing, &row).await?;
        }
        if stops.holds(Stop::L1Stop)
            && self.keeper.has_to_clear(tenant)
            && let Err(why) = self.keeper.lift(tenant, Stop::L1Stop).await
        {
            // The link was durable, the lift was not, and is not now: the link sent again lifts it.
            tracing::error!(%tenant, "the L1 link has cleared the refusal before it, which cannot be lifted durably: {why}");
        }
        self.show_callers(&standing);
        let cell = self.admit(standing);
        let standing = cell.standing.load_full();
        if standing.is_outside(&self.me) {
            return self.leave(tenant).await;
        }
        if self.stops(tenant).holds(Stop::Left) {
            tracing::error!(
                %tenant,
                "left, says the tombstone, by a change that the store does not have: whoever has it must send it again"
            );
            return Ok(());
        }
        if let Some(linked) = standing.linked() {
            // A provider that the topology no longer has is no reason not to start: the other tenants are served.
            if let Err(why) = self.link(*tenant, &cell, &linked.l1).await {
                tracing::error!(%tenant, "cannot reach the tenant's L1: {why}");
            }
        }
        Ok(())
    }

    /// A halt that is known holds again; one that was lifted and only the gate's bit is left of it ends.
    async fn halt_again(
        &self,
        tenant: &TenantId,
        halt: Halt,
        standing: &Standing,
        row: &TenantRow,
    ) -> Result<(), Unmet> {
        let (stops, stop) = (self.stops(tenant), Stop::of(halt));
        match (standing.is_halted(halt), stops.holds(stop)) {
            (true, _) => drop(self.table.fence(tenant, stop)),
            // The store was put back, and the high-water file knows of a halt that the store has forgotten: it stays.
            (false, true)
                if stops.holds(Stop::Sealed) || row.halts.of(halt).is_empty() || self.keeper.has_lost(tenant) =>
            {
                let word = halt.word();
                tracing::error!(
                    %tenant,
                    "{word}, says the high-water file, by a stop that the store has lost: send that stop again, or lift it by name"
                );
            }
            // What lifts it was durable, the lift was not: the node stopped in between.
            (false, true) => self.keeper.lift(tenant, stop).await?,
            (false, false) => {}
        }
        Ok(())
    }
}
