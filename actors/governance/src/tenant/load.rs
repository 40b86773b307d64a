//! Loading: what the ledger holds of the tenants, at the start of governance for all, after a fall for one. What has just been founded is
//! folded from its receipt: reading the ledger again for each new tenant would take longer the more there are.

use std::collections::BTreeMap;

use ledger::{Entry, Ledger, Owed, READ_ROWS_MAX, Receipt};
use orbital::{
    lane::Lane,
    names::{Correlation, Region, TenantId},
};

use super::{pending::Pending, record::Record, state::Tenant};
use crate::error::Fault;

/// One tenant's part of the ledger, folded.
#[derive(Default)]
pub(crate) struct Loaded {
    tenant: Option<Tenant>,
    pending: Pending,
}

impl Loaded {
    /// What the ledger holds of a tenant whose founding it has just taken.
    pub(crate) fn founded(receipt: &Receipt) -> Result<Self, Fault> {
        let mut loaded = Self::default();
        receipt.entries.iter().try_for_each(|entry| loaded.fold(entry))?;
        receipt.owed.iter().for_each(|row| loaded.pending.load(row));
        Ok(loaded)
    }

    pub(crate) fn into_parts(self) -> Option<(Tenant, Pending)> {
        Some((self.tenant?, self.pending))
    }

    fn fold(&mut self, entry: &Entry) -> Result<(), Fault> {
        let unreadable = |why| Fault::UnreadableEntry { sequence: entry.sequence, why };
        let record = Record::from_body(entry.sequence, &entry.body)?;
        match (&mut self.tenant, record) {
            (none @ None, Record::Provisioned { genesis }) => {
                *none = Some(Tenant::found(genesis, entry.at_ms).map_err(unreadable)?);
                Ok(())
            }
            (None, record) => Err(unreadable(format!("a {} comes before its tenant", record.kind()))),
            (Some(tenant), record) => {
                let correlation = Correlation::new(&entry.correlation).map_err(|e| unreadable(e.to_string()))?;
                tenant.apply(entry.at_ms, &correlation, record).map(|_| ()).map_err(unreadable)
            }
        }
    }
}

/// Folds the ledger: every tenant, or only one.
pub(crate) fn load<'r>(
    ledger: &dyn Ledger,
    regions: impl Iterator<Item = &'r Region>,
    only: Option<TenantId>,
) -> Result<BTreeMap<TenantId, Loaded>, Fault> {
    let mut tenants: BTreeMap<TenantId, Loaded> = BTreeMap::new();
    let wanted = |subject: &str| subject.parse().ok().filter(|id| only.is_none_or(|one| one == *id));
    let mut next = 1;
    loop {
        let page = ledger.entries(next, READ_ROWS_MAX)?;
        let Some(last) = page.last() else { break };
        next = last.sequence.saturating_add(1);
        for entry in &page {
            if let Some(id) = wanted(&entry.subject) {
                tenants.entry(id).or_default().fold(entry)?;
            }
        }
    }
    for (region, lane) in regions.flat_map(|region| Lane::BOTH.map(|lane| (region, lane))) {
        each_owed(ledger, region, lane, |row| {
            if let Some(loaded) = wanted(&row.subject).and_then(|id| tenants.get_mut(&id)) {
                loaded.pending.load(row);
            }
        })?;
    }
    Ok(tenants)
}

fn each_owed(ledger: &dyn Ledger, region: &Region, lane: Lane, mut each: impl FnMut(&Owed)) -> Result<(), Fault> {
    let mut after = 0;
    loop {
        let page = ledger.owed(region.as_str(), lane.number(), after, READ_ROWS_MAX)?;
        let Some(last) = page.last() else { return Ok(()) };
        after = last.sequence;
        page.iter().for_each(&mut each);
    }
}
