//! A directive that a region has not yet acknowledged.

use crate::{
    NewOwed,
    codec::{Reader, Writer},
};

/// The lane of stops and their acknowledgements.
pub const LANE_CRITICAL: u8 = 0;
/// The lane of everything else.
pub const LANE_ORDINARY: u8 = 1;

/// One row of a region's outbox. It is removed when it is settled; its id and sequence are never used again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owed {
    /// Unique in this ledger, ascending from 1.
    pub id: u64,
    /// The tenant's id, or empty.
    pub subject: String,
    pub region: String,
    /// [`LANE_CRITICAL`] or [`LANE_ORDINARY`].
    pub lane: u8,
    /// Ascending from 1 without a gap, per region and lane.
    pub sequence: u64,
    pub correlation: String,
    /// Unix milliseconds.
    pub created_ms: u64,
    /// The directive's digest, by which regions deduplicate.
    pub digest: [u8; 32],
    /// The directive in the caller's own encoding.
    pub body: Vec<u8>,
}

impl Owed {
    pub(crate) fn from_new(new: &NewOwed, id: u64, sequence: u64) -> Self {
        Self {
            id,
            subject: new.subject.clone(),
            region: new.region.clone(),
            lane: new.lane,
            sequence,
            correlation: new.correlation.clone(),
            created_ms: new.created_ms,
            digest: new.digest,
            body: new.body.clone(),
        }
    }

    pub(crate) fn to_row(&self) -> Vec<u8> {
        Writer::row()
            .number(self.id)
            .field(self.subject.as_bytes())
            .field(self.region.as_bytes())
            .fixed(&[self.lane])
            .number(self.sequence)
            .field(self.correlation.as_bytes())
            .number(self.created_ms)
            .fixed(&self.digest)
            .field(&self.body)
            .done()
    }

    pub(crate) fn from_row(row: &[u8]) -> Option<Self> {
        let mut reader = Reader::row(row)?;
        let owed = Self {
            id: reader.number()?,
            subject: reader.text()?,
            region: reader.text()?,
            lane: reader.byte()?,
            sequence: reader.number()?,
            correlation: reader.text()?,
            created_ms: reader.number()?,
            digest: reader.hash()?,
            body: reader.field()?,
        };
        reader.end().map(|()| owed)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_row_reads_back_and_no_cut_of_it_does(
            id: u64, sequence: u64, lane in 0u8..=1, region in ".{0,20}", digest: [u8; 32], body: Vec<u8>, cut: prop::sample::Index,
        ) {
            let new = NewOwed {
                subject: "t".into(), region, lane, correlation: "c".into(), created_ms: 9, digest, body,
            };
            let owed = Owed::from_new(&new, id, sequence);
            let row = owed.to_row();
            prop_assert_eq!(Owed::from_row(&row), Some(owed));
            prop_assert_eq!(Owed::from_row(&row[..cut.index(row.len())]), None);
        }
    }
}
