//! What regions still owe an acknowledgement for, of one tenant: the ledger's rows by region and directive.

use std::collections::HashMap;

use ledger::Owed;
use orbital::{
    directive::Directive,
    lane::Lane,
    names::{Digest, Region},
};

use crate::change::carried;

/// A row of the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) id: u64,
    pub(crate) name: &'static str,
    pub(crate) lane: Lane,
    /// The change that the directive carries.
    pub(crate) change: Option<Digest>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Pending {
    rows: HashMap<(Region, Digest), Vec<Row>>,
}

impl Pending {
    /// Takes a row over from the ledger; one that this release cannot read stays owed, and is left alone here.
    pub(crate) fn load(&mut self, owed: &Owed) {
        let (Ok(region), Ok(directive)) = (Region::new(&owed.region), Directive::decode(&owed.body)) else {
            tracing::error!(id = owed.id, region = owed.region, "an owed directive does not read; it is sent as it is");
            return;
        };
        self.add(region, owed.id, Digest(owed.digest), &directive);
    }

    pub(crate) fn add(&mut self, region: Region, id: u64, digest: Digest, directive: &Directive) {
        let row = Row { id, name: directive.name(), lane: Lane::of(directive), change: carried(directive) };
        self.rows.entry((region, digest)).or_default().push(row);
    }

    /// The rows that an answer to this directive settles.
    pub(crate) fn of(&self, region: &Region, directive: Digest) -> &[Row] {
        self.rows.get(&(region.clone(), directive)).map_or(&[], Vec::as_slice)
    }

    /// The probes of a change that a region has not answered, with their directives.
    pub(crate) fn probes(&self, region: &Region, change: Digest) -> Vec<(Digest, u64)> {
        let of_region = self.rows.iter().filter(|((at, _), _)| at == region);
        let probes = of_region.flat_map(|((_, digest), rows)| rows.iter().map(move |row| (*digest, row)));
        let asked = probes.filter(|(_, row)| row.name == PROBE && row.change == Some(change));
        asked.map(|(digest, row)| (digest, row.id)).collect()
    }

    pub(crate) fn settled(&mut self, ids: &[u64]) {
        for rows in self.rows.values_mut() {
            rows.retain(|row| !ids.contains(&row.id));
        }
        self.rows.retain(|_, rows| !rows.is_empty());
    }

    /// Something that moves the tenant is on its way in the ordinary lane.
    pub(crate) fn is_moving(&self, region: &Region) -> bool {
        self.rows_of(region).any(|row| row.lane == Lane::Ordinary && row.name != PROBE)
    }

    /// This kill is on its way.
    pub(crate) fn has_kill(&self, region: &Region, change: Digest) -> bool {
        self.rows_of(region).any(|row| row.lane == Lane::Critical && row.change == Some(change))
    }

    /// The names of what a region still owes, sorted.
    pub(crate) fn names(&self, region: &Region) -> Vec<&'static str> {
        let mut names: Vec<_> = self.rows_of(region).map(|row| row.name).collect();
        names.sort_unstable();
        names
    }

    fn rows_of<'a>(&'a self, region: &'a Region) -> impl Iterator<Item = &'a Row> {
        self.rows.iter().filter(move |((at, _), _)| at == region).flat_map(|(_, rows)| rows)
    }
}

/// The name of [`Directive::Probe`].
pub(crate) const PROBE: &str = "probe";
