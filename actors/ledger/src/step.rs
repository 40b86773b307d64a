//! The pure middle of every backend: a batch meets the ledger's counters and becomes rows.

use std::collections::BTreeMap;

use crate::{Batch, Entry, LedgerError, NewOwed, Owed, codec::Tip};

/// A region's name and a lane.
pub(crate) type LaneKey = (String, u8);

/// Counters of one region and lane.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LaneCount {
    /// Sequence of the newest row ever assigned.
    pub(crate) last: u64,
    /// Rows not yet settled.
    pub(crate) open: u64,
}

/// The rows that a batch adds, and the counters after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rows {
    pub(crate) tip: Tip,
    pub(crate) entries: Vec<Entry>,
    pub(crate) owed: Vec<Owed>,
    /// Only the lanes that this batch owes to.
    pub(crate) lanes: BTreeMap<LaneKey, LaneCount>,
}

/// `lanes` holds the present counters of the lanes that the batch owes to; one that is absent is new.
pub(crate) fn step(tip: &Tip, lanes: &BTreeMap<LaneKey, LaneCount>, batch: &Batch) -> Result<Rows, LedgerError> {
    if let Some(id) = batch.settle.iter().find(|id| **id == 0 || **id > tip.owed_id) {
        return Err(LedgerError::NeverOwed { id: *id, newest: tip.owed_id });
    }
    let mut rows = Rows { tip: *tip, entries: Vec::new(), owed: Vec::new(), lanes: BTreeMap::new() };
    rows.tip.batches = next(tip.batches, "batch")?;
    for new in &batch.entries {
        let sequence = next(rows.tip.head.sequence, "entry")?;
        let entry = Entry::after(&rows.tip.head, sequence, new);
        rows.tip.head = entry.head();
        rows.entries.push(entry);
    }
    batch.owe.iter().try_for_each(|new| owe(&mut rows, lanes, new))?;
    Ok(rows)
}

fn owe(rows: &mut Rows, lanes: &BTreeMap<LaneKey, LaneCount>, new: &NewOwed) -> Result<(), LedgerError> {
    let key = (new.region.clone(), new.lane);
    let before = lanes.get(&key).copied().unwrap_or_default();
    let count = rows.lanes.entry(key).or_insert(before);
    count.last = next(count.last, "owed sequence")?;
    count.open = count.open.saturating_add(1);
    rows.tip.owed_id = next(rows.tip.owed_id, "owed id")?;
    rows.owed.push(Owed::from_new(new, rows.tip.owed_id, count.last));
    Ok(())
}

fn next(value: u64, what: &'static str) -> Result<u64, LedgerError> {
    value.checked_add(1).ok_or(LedgerError::Exhausted { what })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Chain, NewEntry};

    fn new_entry() -> NewEntry {
        NewEntry { at_ms: 1, kind: "k".into(), subject: String::new(), correlation: String::new(), body: b"1".to_vec() }
    }
    fn new_owed(region: &str, lane: u8) -> NewOwed {
        let (subject, correlation) = (String::new(), String::new());
        NewOwed { subject, region: region.into(), lane, correlation, created_ms: 1, digest: [0; 32], body: vec![] }
    }

    #[test]
    fn counters_end_in_an_error_and_never_wrap() {
        let tip = Tip { owed_id: u64::MAX, ..Tip::EMPTY };
        let batch = Batch { owe: vec![new_owed("r", 0)], ..Batch::default() };
        assert!(matches!(step(&tip, &BTreeMap::new(), &batch), Err(LedgerError::Exhausted { what: "owed id" })));
    }

    proptest! {
        /// Whatever the batches: entries chain without a gap, and each region and lane counts for itself without a gap.
        #[test]
        fn sequences_have_no_gaps(batches in prop::collection::vec((0usize..4, prop::collection::vec((0u8..3, 0u8..2), 0..6)), 1..20)) {
            let (mut tip, mut lanes, mut chain) = (Tip::EMPTY, BTreeMap::new(), Chain::whole(&[]));
            let mut seen: BTreeMap<LaneKey, u64> = BTreeMap::new();
            let mut newest_id = 0;
            for (entries, owe) in batches {
                let owe = owe.into_iter().map(|(region, lane)| new_owed(&format!("r{region}"), lane)).collect();
                let batch = Batch { entries: vec![new_entry(); entries], owe, ..Batch::default() };
                let rows = step(&tip, &lanes, &batch).unwrap();
                rows.entries.iter().for_each(|e| chain.link(e).unwrap());
                for owed in &rows.owed {
                    let last = seen.entry((owed.region.clone(), owed.lane)).or_default();
                    prop_assert_eq!(owed.sequence, *last + 1);
                    prop_assert_eq!(owed.id, newest_id + 1);
                    (*last, newest_id) = (owed.sequence, owed.id);
                }
                tip = rows.tip;
                lanes.extend(rows.lanes);
            }
            prop_assert!(chain.end(tip.head).is_ok());
        }
    }
}
