//! The board: what every region last said and how its lanes are, for those who look. Couriers write, the desk reads, nothing decides.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use orbital::{
    lane::Lane,
    names::{NodeName, Region, TenantId},
    report::{Load, Observed},
};

use crate::views::{LaneView, RegionView};

/// Everything that a region said of itself.
#[derive(Clone, Debug, Default)]
pub(crate) struct Hello {
    pub(crate) members: BTreeSet<NodeName>,
    pub(crate) load: Load,
    pub(crate) tenants: BTreeMap<TenantId, Observed>,
}

#[derive(Debug)]
struct Row {
    node: NodeName,
    critical: LaneView,
    ordinary: LaneView,
    hello_ms: Option<u64>,
    hello: Hello,
    /// Since when a tenant differs from what it should be there.
    behind: BTreeMap<TenantId, u64>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Board {
    rows: Mutex<BTreeMap<Region, Row>>,
}

impl Board {
    pub(crate) fn new(regions: impl IntoIterator<Item = (Region, NodeName)>) -> Self {
        let row = |node| Row {
            node,
            critical: LaneView::default(),
            ordinary: LaneView::default(),
            hello_ms: None,
            hello: Hello::default(),
            behind: BTreeMap::new(),
        };
        Self { rows: Mutex::new(regions.into_iter().map(|(region, node)| (region, row(node))).collect()) }
    }

    // Rows are whole after every statement, so a panic elsewhere leaves nothing half written.
    fn rows(&self) -> MutexGuard<'_, BTreeMap<Region, Row>> {
        self.rows.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn lane(&self, region: &Region, lane: Lane, write: impl FnOnce(&mut LaneView)) {
        if let Some(row) = self.rows().get_mut(region) {
            match lane {
                Lane::Critical => write(&mut row.critical),
                Lane::Ordinary => write(&mut row.ordinary),
            }
        }
    }

    pub(crate) fn hello(&self, region: &Region, hello: Hello, at_ms: u64) {
        if let Some(row) = self.rows().get_mut(region) {
            row.hello_ms = Some(at_ms);
            row.hello = hello;
        }
    }

    /// Notes whether a tenant is as it should be in a region.
    pub(crate) fn matches(&self, region: &Region, tenant: TenantId, level: bool, now_ms: u64) {
        if let Some(row) = self.rows().get_mut(region) {
            if level {
                row.behind.remove(&tenant);
            } else {
                row.behind.entry(tenant).or_insert(now_ms);
            }
        }
    }

    /// Milliseconds since the longest difference in a region began; 0 when all is as it should be.
    pub(crate) fn lag_ms(&self, region: &Region, now_ms: u64) -> u64 {
        let rows = self.rows();
        let since = rows.get(region).and_then(|row| row.behind.values().min().copied());
        since.map_or(0, |since| now_ms.saturating_sub(since))
    }

    pub(crate) fn connected(&self, region: &Region, lane: Lane) -> bool {
        let rows = self.rows();
        rows.get(region).is_some_and(|row| match lane {
            Lane::Critical => row.critical.connected,
            Lane::Ordinary => row.ordinary.connected,
        })
    }

    pub(crate) fn views(&self) -> Vec<RegionView> {
        let view = |(name, row): (&Region, &Row)| RegionView {
            name: name.clone(),
            node: row.node.clone(),
            critical: row.critical.clone(),
            ordinary: row.ordinary.clone(),
            hello_ms: row.hello_ms,
            members: row.hello.members.clone(),
            load: row.hello.load.clone(),
            tenants: row.hello.tenants.clone(),
        };
        self.rows().iter().map(view).collect()
    }
}
