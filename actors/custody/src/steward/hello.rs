//! Hello: what this node holds, group by group, with a fresh nonce a tenant for the next renewal of its lease.

use orbital::{
    hello::Hello,
    names::{Digest, TenantId},
    report::{Load, Observed, Stops as Reported, USED_SYSTEMS_MAX},
};

use super::{Cell, Steward};
use crate::{
    error::Error,
    key_table::{Stop, Stops},
    lease::Nonce,
};

/// A nonce as it stands in a lease statement: base64url of its 32 bytes.
pub(super) fn read_nonce(text: &str) -> Option<Nonce> {
    text.parse::<Digest>().ok().map(|digest| digest.0)
}

impl Steward {
    /// Draws a nonce for each tenant after this one, as many as fit a frame, and says where they stand; the span of the answer says how
    /// far it came. `load` is what only the node knows.
    pub fn hello(&self, load: Load, after: Option<TenantId>) -> Hello {
        let hello = Hello::after(after, self.node.clone(), load, self.clock.now().boottime_ms);
        let (tenants, span) = (self.tenants.load(), hello.span);
        let hello = hello.fill(span.of(&tenants).map(|(tenant, cell)| (*tenant, self.said(tenant, cell))));
        for tenant in &hello.unsaid {
            tracing::error!(%tenant, "governance hears nothing of this tenant, so its lease is not renewed");
        }
        hello
    }

    /// One tenant that cannot be said must not keep the others from being heard.
    fn said(&self, tenant: &TenantId, cell: &Cell) -> Option<Observed> {
        self.observed(tenant, cell)
            .inspect_err(|why| tracing::error!(%tenant, "where the tenant stands cannot be told: {why}"))
            .ok()
    }

    fn observed(&self, tenant: &TenantId, cell: &Cell) -> Result<Observed, Error> {
        let nonce = self.keeper.draw_nonce(tenant)?;
        let gate = self.table.gate(tenant).ok_or(Error::UnknownTenant(*tenant))?;
        let standing = cell.standing.load();
        Ok(Observed {
            trust_version: standing.trust().version,
            trust: standing.chain().digest(),
            epoch: standing.epoch(),
            generation: gate.generation().0,
            halts: standing.halts().clone(),
            lifted: standing.lifted().clone(),
            linked: standing.linked().map(|l| l.change),
            l1: *cell.l1.lock(),
            stops: Reported { forked: standing.is_forked(), ..reported(gate.stops()) },
            lease_left: self.keeper.lease_left_ms(tenant).map(|ms| ms / 1_000),
            keys: u64::try_from(self.table.keys_of(tenant)).unwrap_or(u64::MAX),
            lease_nonce: Some(Digest(nonce).to_string()),
            recoveries: standing.recoveries_due(),
            usage: self.callers.used(tenant).into_iter().take(USED_SYSTEMS_MAX).collect(),
        })
    }
}

fn reported(stops: Stops) -> Reported {
    Reported {
        killed: stops.holds(Stop::Killed) || stops.holds(Stop::KilledForGood),
        suspended: stops.holds(Stop::Suspended),
        blocked: stops.holds(Stop::Blocked),
        l1_stop: stops.holds(Stop::L1Stop),
        lease_over: stops.holds(Stop::LeaseOver),
        sealed: stops.holds(Stop::Sealed),
        forked: false,
    }
}
