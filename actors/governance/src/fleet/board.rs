//! The board: what every region last said and how its lanes are, for those who look. Couriers write, the desk reads, nothing decides.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use orbital::{
    hello::Hello,
    lane::Lane,
    names::{NodeName, Region, TenantId},
    report::{Load, Observed},
};

use crate::views::{LaneView, RegionView};

#[derive(Debug)]
struct Row {
    node: NodeName,
    /// The incarnation of its process that was heard last.
    run: u64,
    critical: LaneView,
    ordinary: LaneView,
    hello_ms: Option<u64>,
    members: BTreeSet<NodeName>,
    load: Load,
    /// Of each group of tenants what was said last.
    tenants: BTreeMap<TenantId, Observed>,
    /// Since when a tenant differs from what it should be there.
    behind: BTreeMap<TenantId, u64>,
    leases: BTreeMap<TenantId, Term>,
}

/// What is left of a tenant's lease in a region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Term {
    /// When it was said, Unix milliseconds.
    said_ms: u64,
    left_s: u64,
    /// What was left after the last renewal.
    whole_s: u64,
    told: bool,
}

impl Term {
    /// What is left now, once it is little: the last hour, or the last quarter of a short lease.
    fn ending_s(&self, now_ms: u64) -> Option<u64> {
        let left = self.left_s.saturating_sub(now_ms.saturating_sub(self.said_ms) / 1_000);
        (left <= LEASE_ENDING_SECONDS.min(self.whole_s / 4)).then_some(left)
    }
}

/// People are told so long before a lease ends.
const LEASE_ENDING_SECONDS: u64 = 3_600;

/// Most directives that wait in a region's ordinary lane when another tenant is owed its way back: a region that lost its store is brought
/// back a part at a time, and a change that people wait for stands behind no more than this.
pub(crate) const CATCH_UP_DEPTH_MAX: usize = 1_024;

/// See the module.
#[derive(Debug)]
pub(crate) struct Board {
    rows: Mutex<BTreeMap<Region, Row>>,
}

impl Row {
    /// A lease that ended, or has no end, is about to end no more. A tenant that is stopped serves nobody all the same.
    fn lease(&mut self, tenant: TenantId, observed: &Observed, at_ms: u64) {
        let stopped = observed.stops.killed || observed.stops.lease_over || observed.stops.sealed;
        let Some(left_s) = observed.lease_left.filter(|_| !stopped) else {
            self.leases.remove(&tenant);
            return;
        };
        let before = self.leases.get(&tenant).filter(|before| left_s <= before.left_s);
        let term = before.map_or(Term { said_ms: at_ms, left_s, whole_s: left_s, told: false }, |before| Term {
            said_ms: at_ms,
            left_s,
            ..*before
        });
        self.leases.insert(tenant, term);
    }
}

impl Board {
    pub(crate) fn new(regions: impl IntoIterator<Item = (Region, NodeName)>) -> Self {
        let row = |node| Row {
            node,
            run: 0,
            critical: LaneView::default(),
            ordinary: LaneView::default(),
            hello_ms: None,
            members: BTreeSet::new(),
            load: Load::default(),
            tenants: BTreeMap::new(),
            behind: BTreeMap::new(),
            leases: BTreeMap::new(),
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

    /// A group of a region's tenants takes the place of what was said of its span before.
    pub(crate) fn hello(&self, region: &Region, hello: &Hello, at_ms: u64) {
        if let Some(row) = self.rows().get_mut(region) {
            row.hello_ms = Some(at_ms);
            (row.members, row.load) = (hello.members.clone(), hello.load.clone());
            let said: Vec<TenantId> = hello.span.of(&row.tenants).map(|(tenant, _)| *tenant).collect();
            for tenant in said.iter().filter(|tenant| !hello.unsaid.contains(*tenant)) {
                row.tenants.remove(tenant);
                if !hello.tenants.contains_key(tenant) {
                    row.leases.remove(tenant);
                }
            }
            for (tenant, observed) in &hello.tenants {
                row.lease(*tenant, observed, at_ms);
            }
            row.tenants.extend(hello.tenants.iter().map(|(tenant, observed)| (*tenant, observed.clone())));
        }
    }

    /// The tenants whose lease in a region is about to end, each with the seconds that are left, and each once until it is renewed.
    pub(crate) fn ending(&self, region: &Region, now_ms: u64) -> Vec<(TenantId, u64)> {
        let mut rows = self.rows();
        let terms = rows.get_mut(region).into_iter().flat_map(|row| &mut row.leases).filter(|(_, term)| !term.told);
        let ending = terms.filter_map(|(tenant, term)| {
            let left_s = term.ending_s(now_ms)?;
            term.told = true;
            Some((*tenant, left_s))
        });
        ending.collect()
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

    /// The first frame of another run of a region's process came.
    pub(crate) fn began(&self, region: &Region, run: u64) {
        if let Some(row) = self.rows().get_mut(region) {
            row.run = row.run.max(run);
        }
    }

    /// The run of a region's process, and whether it has so much to do in its ordinary lane that nothing else is put there unless somebody
    /// asked for it.
    pub(crate) fn room(&self, region: &Region) -> (u64, bool) {
        self.rows()
            .get(region)
            .map_or((0, false), |row| (row.run, row.ordinary.depth.is_some_and(|depth| depth >= CATCH_UP_DEPTH_MAX)))
    }

    pub(crate) fn views(&self) -> Vec<RegionView> {
        let view = |(name, row): (&Region, &Row)| RegionView {
            name: name.clone(),
            node: row.node.clone(),
            critical: row.critical.clone(),
            ordinary: row.ordinary.clone(),
            hello_ms: row.hello_ms,
            members: row.members.clone(),
            load: Some(row.load.clone()),
            tenants: row.tenants.clone(),
        };
        self.rows().iter().map(view).collect()
    }
}

#[cfg(test)]
mod tests {
    use orbital::{
        halt::Halts,
        hello::Span,
        names::Digest,
        report::{L1State, Stops},
        testing::region,
    };

    use super::*;

    fn id(n: u8) -> TenantId {
        TenantId(Digest([n; 32]))
    }

    fn observed(epoch: u64) -> Observed {
        Observed {
            trust_version: 1,
            trust: Digest([0; 32]),
            epoch,
            generation: 0,
            halts: Halts::default(),
            lifted: Halts::default(),
            linked: None,
            l1: L1State::Enabled,
            stops: Stops::default(),
            lease_left: None,
            keys: 0,
            lease_nonce: None,
            usage: Default::default(),
            recoveries: Default::default(),
        }
    }

    #[test]
    fn a_lease_that_is_not_renewed_is_told_once_before_it_ends() {
        let (here, node) = (region("us-east"), NodeName::new("us-east-1").unwrap());
        let board = Board::new([(here.clone(), node.clone())]);
        let say = |left: Option<u64>, at_ms: u64, lease_over: bool| {
            let stops = Stops { lease_over, ..Stops::default() };
            let observed = Observed { lease_left: left, stops, ..observed(1) };
            let hello =
                Hello { tenants: [(id(1), observed)].into(), ..Hello::after(None, node.clone(), Load::default(), 0) };
            board.hello(&here, &hello, at_ms);
        };
        let day = 24 * 3_600;
        say(Some(day), 0, false);
        assert_eq!(board.ending(&here, (day - 3_601) * 1_000), []);
        // Cut off: nothing was said since.
        assert_eq!(board.ending(&here, (day - 3_600) * 1_000), [(id(1), 3_600)]);
        assert_eq!(board.ending(&here, (day - 60) * 1_000), [], "once");
        say(Some(600), 0, false);
        assert_eq!(board.ending(&here, 0), [], "it was told, and was not renewed since");
        say(Some(800), 0, false);
        assert_eq!(board.ending(&here, 599_000), []);
        // Connected, and nobody renews: what was left after the last renewal counts.
        say(Some(200), 600_000, false);
        assert_eq!(board.ending(&here, 600_000), [(id(1), 200)]);
        say(Some(900), 0, false);
        say(Some(1), 0, true);
        assert_eq!(board.ending(&here, 0), [], "it is over");
        say(None, 0, false);
        assert_eq!(board.ending(&here, u64::MAX), [], "it has no end");
    }

    #[test]
    fn a_group_replaces_what_was_said_of_its_span_and_nothing_else() {
        let (here, node) = (region("us-east"), NodeName::new("us-east-1").unwrap());
        let board = Board::new([(here.clone(), node.clone())]);
        let say = |after: Option<u8>, until: Option<u8>, epoch: u64, tenants: &[u8], unsaid: &[u8]| {
            let said = Hello {
                span: Span { after: after.map(id), until: until.map(id) },
                tenants: tenants.iter().map(|n| (id(*n), observed(epoch))).collect(),
                unsaid: unsaid.iter().copied().map(id).collect(),
                ..Hello::after(None, node.clone(), Load::default(), 0)
            };
            board.hello(&here, &said, epoch);
            let [view] = board.views().try_into().unwrap();
            let known: Vec<_> = view.tenants.iter().map(|(tenant, o)| (tenant.0.0[0], o.epoch)).collect();
            assert_eq!(view.hello_ms, Some(epoch));
            known
        };
        assert_eq!(say(None, None, 1, &[1, 2, 3, 4], &[]), [(1, 1), (2, 1), (3, 1), (4, 1)]);
        assert_eq!(say(Some(1), Some(3), 2, &[3], &[]), [(1, 1), (3, 2), (4, 1)]);
        assert_eq!(say(Some(3), None, 3, &[5], &[4]), [(1, 1), (3, 2), (4, 1), (5, 3)]);
        assert_eq!(say(None, None, 4, &[], &[]), []);
    }
}
