//! A ledger in memory: for simulations and for tests of what stands on a ledger. Nothing survives the process.

use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    Batch, Entry, Head, LaneRow, Ledger, LedgerError, Margin, Owed, READ_ROWS_MAX, Receipt,
    codec::Tip,
    step::{LaneCount, LaneKey, step},
};

/// See the module.
#[derive(Debug)]
pub struct MemoryLedger {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    tip: Tip,
    entries: Vec<Entry>,
    owed: BTreeMap<(LaneKey, u64), Owed>,
    places: BTreeMap<u64, (LaneKey, u64)>,
    lanes: BTreeMap<LaneKey, LaneCount>,
    meta: BTreeMap<String, Vec<u8>>,
}

impl Default for MemoryLedger {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryLedger {
    pub fn new() -> Self {
        let state = State {
            tip: Tip::EMPTY,
            entries: Vec::new(),
            owed: BTreeMap::new(),
            places: BTreeMap::new(),
            lanes: BTreeMap::new(),
            meta: BTreeMap::new(),
        };
        Self { state: Mutex::new(state) }
    }

    // Every change is made after the last step that can fail, so a panic elsewhere leaves a whole state behind.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn settle(&mut self, id: u64) -> Option<u64> {
        let place = self.places.remove(&id)?;
        if let Some(count) = self.lanes.get_mut(&place.0) {
            count.open = count.open.saturating_sub(1);
        }
        self.owed.remove(&place).map(|_| id)
    }
}

impl Ledger for MemoryLedger {
    fn append(&self, batch: Batch) -> Result<Receipt, LedgerError> {
        batch.check()?;
        let mut state = self.state();
        if batch.is_empty() {
            return Ok(Receipt { head: state.tip.head, entries: vec![], owed: vec![], settled: vec![] });
        }
        let rows = step(&state.tip, &state.lanes, &batch)?;
        state.tip = rows.tip;
        state.entries.extend(rows.entries.iter().cloned());
        state.lanes.extend(rows.lanes);
        for owed in &rows.owed {
            let place = ((owed.region.clone(), owed.lane), owed.sequence);
            state.places.insert(owed.id, place.clone());
            state.owed.insert(place, owed.clone());
        }
        let settled = batch.settle.iter().filter_map(|id| state.settle(*id)).collect();
        state.meta.extend(batch.meta);
        Ok(Receipt { head: rows.tip.head, entries: rows.entries, owed: rows.owed, settled })
    }

    fn entries(&self, from: u64, limit: usize) -> Result<Vec<Entry>, LedgerError> {
        let skip = usize::try_from(from.saturating_sub(1)).unwrap_or(usize::MAX);
        Ok(self.state().entries.iter().skip(skip).take(limit.min(READ_ROWS_MAX)).cloned().collect())
    }

    fn head(&self) -> Result<Head, LedgerError> {
        Ok(self.state().tip.head)
    }

    fn owed(&self, region: &str, lane: u8, after: u64, limit: usize) -> Result<Vec<Owed>, LedgerError> {
        let key = (region.to_owned(), lane);
        let from = (key.clone(), after.saturating_add(1));
        let limit = if after == u64::MAX { 0 } else { limit.min(READ_ROWS_MAX) };
        Ok(self.state().owed.range(from..=(key, u64::MAX)).take(limit).map(|(_, owed)| owed.clone()).collect())
    }

    fn margin(&self) -> Result<Margin, LedgerError> {
        let state = self.state();
        let lane = |(key, count): (&LaneKey, &LaneCount)| LaneRow {
            region: key.0.clone(),
            lane: key.1,
            last: count.last,
            open: count.open,
        };
        Ok(Margin {
            head: state.tip.head,
            owed_id: state.tip.owed_id,
            batches: state.tip.batches,
            term: 0,
            owed: state.owed.values().cloned().collect(),
            lanes: state.lanes.iter().map(lane).collect(),
            meta: state.meta.clone().into_iter().collect(),
        })
    }

    fn fill(&self, margin: Margin, entries: Vec<Entry>) -> Result<(), LedgerError> {
        let mut state = self.state();
        if state.tip != Tip::EMPTY {
            return Err(LedgerError::NotEmpty { newest: state.tip.head.sequence });
        }
        state.tip = margin.tip();
        state.entries = entries;
        for owed in margin.owed {
            let place = ((owed.region.clone(), owed.lane), owed.sequence);
            state.places.insert(owed.id, place.clone());
            state.owed.insert(place, owed);
        }
        let lane = |row: LaneRow| ((row.region, row.lane), LaneCount { last: row.last, open: row.open });
        state.lanes = margin.lanes.into_iter().map(lane).collect();
        state.meta = margin.meta.into_iter().collect();
        Ok(())
    }

    fn owed_count(&self, region: &str, lane: u8) -> Result<u64, LedgerError> {
        Ok(self.state().lanes.get(&(region.to_owned(), lane)).map_or(0, |count| count.open))
    }

    fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        Ok(self.state().meta.get(key).cloned())
    }
}
