//! Hello: everything that this node holds, with a fresh nonce a tenant for the next renewal of its lease.

use std::collections::{BTreeMap, BTreeSet};

use orbital::{
    names::{Digest, TenantId},
    report::{Load, Observed, Report, Stops as Reported},
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
    /// Draws a nonce for each tenant and says where everything stands. `load` is what only the node knows.
    pub fn hello(&self, load: Load) -> Result<Report, Error> {
        let mut tenants = BTreeMap::new();
        for (tenant, cell) in self.tenants.load().iter() {
            tenants.insert(*tenant, self.observed(tenant, cell)?);
        }
        Ok(Report::Hello { node: self.node.clone(), members: BTreeSet::from([self.node.clone()]), tenants, load })
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
            kills: standing.kills().clone(),
            restored: standing.restored().clone(),
            linked: standing.linked().map(|l| l.change),
            l1: *cell.l1.lock(),
            stops: reported(gate.stops()),
            lease_left: self.keeper.lease_left_ms(tenant).map(|ms| ms / 1_000),
            keys: u64::try_from(self.table.keys_of(tenant)).unwrap_or(u64::MAX),
            lease_nonce: Some(Digest(nonce).to_string()),
        })
    }
}

fn reported(stops: Stops) -> Reported {
    Reported {
        killed: stops.holds(Stop::Killed),
        suspended: stops.holds(Stop::Suspended),
        blocked: stops.holds(Stop::Blocked),
        l1_stop: stops.holds(Stop::L1Stop),
        lease_over: stops.holds(Stop::LeaseOver),
        sealed: stops.holds(Stop::Sealed),
    }
}
