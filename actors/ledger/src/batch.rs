//! What goes into one transaction, and the limits that it keeps.

use crate::{Entry, Head, LedgerError, Owed, owed::LANE_ORDINARY};

/// Most rows of each kind (entries, owed, settle, meta) in one batch.
pub const BATCH_ROWS_MAX: usize = 4096;
/// Longest body of an entry or of an owed directive, in bytes.
pub const BODY_BYTES_MAX: usize = 1024 * 1024;
/// Longest kind, subject, region and correlation, in bytes (as `orbital::names`).
pub const TEXT_BYTES_MAX: usize = 256;
/// Longest key of a meta row, in bytes.
pub const META_KEY_BYTES_MAX: usize = 128;
/// Longest value of a meta row, in bytes.
pub const META_VALUE_BYTES_MAX: usize = 64 * 1024;

/// One transaction. `Batch { entries, ..Batch::default() }` for the common case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// Appended to the chain in this order.
    pub entries: Vec<NewEntry>,
    /// Directives that regions now owe an acknowledgement for; each gets an id and a sequence.
    pub owe: Vec<NewOwed>,
    /// Ids of [`Owed`] rows that a region has acknowledged. One settled before is left out of the receipt: acknowledgements come
    /// more than once. One that was never assigned fails the batch.
    pub settle: Vec<u64>,
    /// Small rows outside the chain; a later value replaces the earlier.
    pub meta: Vec<(String, Vec<u8>)>,
    /// Whether this batch may use the reserve when the disk is full.
    pub room: Room,
}

/// What a batch may use of the reserve when the disk is full; more comes later.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// Nothing.
    #[default]
    Ordinary,
    /// What lies above [`crate::RESERVE_RATIFIED_BYTES`]: a stop that is being collected. One person alone can begin many of those.
    Opening,
    /// All: a stop in force, and what follows from it.
    Stop,
}

/// An entry before it has a place in the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewEntry {
    /// Unix milliseconds, from the caller's clock.
    pub at_ms: u64,
    /// What happened, such as `proposal.approved`.
    pub kind: String,
    /// The tenant's id, or empty.
    pub subject: String,
    pub correlation: String,
    /// One JSON value, kept byte for byte.
    pub body: Vec<u8>,
}

/// A directive before it has an id and a sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOwed {
    /// The tenant's id, or empty.
    pub subject: String,
    pub region: String,
    /// [`crate::LANE_CRITICAL`] or [`crate::LANE_ORDINARY`].
    pub lane: u8,
    pub correlation: String,
    /// Unix milliseconds, from the caller's clock.
    pub created_ms: u64,
    /// The directive's digest, by which regions deduplicate.
    pub digest: [u8; 32],
    /// The directive in the caller's own encoding.
    pub body: Vec<u8>,
}

/// What an append did, with everything that it assigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The newest entry after the batch.
    pub head: Head,
    pub entries: Vec<Entry>,
    pub owed: Vec<Owed>,
    /// The ids that this batch settled: those of [`Batch::settle`] that were still open.
    pub settled: Vec<u64>,
}

impl Batch {
    /// A batch of one entry.
    pub fn of(entry: NewEntry) -> Self {
        Self { entries: vec![entry], ..Self::default() }
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.owe.is_empty() && self.settle.is_empty() && self.meta.is_empty()
    }

    /// Holds the batch against every limit before a transaction begins.
    pub(crate) fn check(&self) -> Result<(), LedgerError> {
        let rows = [self.entries.len(), self.owe.len(), self.settle.len(), self.meta.len()];
        fits("batch", "rows", rows.into_iter().max().unwrap_or(0), BATCH_ROWS_MAX)?;
        self.entries.iter().try_for_each(NewEntry::check)?;
        self.owe.iter().try_for_each(NewOwed::check)?;
        self.meta.iter().try_for_each(|(key, value)| {
            named("meta key", key)?;
            fits("meta key", "bytes", key.len(), META_KEY_BYTES_MAX)?;
            fits("meta value", "bytes", value.len(), META_VALUE_BYTES_MAX)
        })
    }
}

impl NewEntry {
    fn check(&self) -> Result<(), LedgerError> {
        named("kind", &self.kind)?;
        plain("kind", &self.kind)?;
        plain("subject", &self.subject)?;
        plain("correlation", &self.correlation)?;
        fits("entry body", "bytes", self.body.len(), BODY_BYTES_MAX)?;
        serde_json::from_slice::<serde::de::IgnoredAny>(&self.body)
            .map(drop)
            .map_err(|e| LedgerError::BodyIsNoJson { kind: self.kind.clone(), why: e.to_string() })
    }
}

impl NewOwed {
    fn check(&self) -> Result<(), LedgerError> {
        named("region", &self.region)?;
        plain("region", &self.region)?;
        plain("subject", &self.subject)?;
        plain("correlation", &self.correlation)?;
        if self.lane > LANE_ORDINARY {
            return Err(LedgerError::NoSuchLane { found: self.lane });
        }
        fits("owed body", "bytes", self.body.len(), BODY_BYTES_MAX)
    }
}

fn fits(what: &'static str, unit: &'static str, found: usize, limit: usize) -> Result<(), LedgerError> {
    if found <= limit { Ok(()) } else { Err(LedgerError::TooLarge { what, unit, found, limit }) }
}

fn named(what: &'static str, text: &str) -> Result<(), LedgerError> {
    if text.is_empty() { Err(LedgerError::BadText { what, why: "is empty" }) } else { Ok(()) }
}

fn plain(what: &'static str, text: &str) -> Result<(), LedgerError> {
    fits(what, "bytes", text.len(), TEXT_BYTES_MAX)?;
    if text.chars().any(char::is_control) {
        return Err(LedgerError::BadText { what, why: "has a control character" });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> NewEntry {
        let text = String::new;
        NewEntry { at_ms: 1, kind: "tenant.made".into(), subject: text(), correlation: text(), body: b"{}".to_vec() }
    }
    fn owed() -> NewOwed {
        let digest = [0; 32];
        let (subject, correlation) = (String::new(), String::new());
        NewOwed { subject, region: "r".into(), lane: 0, correlation, created_ms: 1, digest, body: vec![] }
    }

    #[test]
    fn each_limit_refuses_what_passes_it() {
        let refuses = |batch: Batch| batch.check().unwrap_err();
        assert!(Batch::of(entry()).check().is_ok());
        let body = format!("\"{}\"", "x".repeat(BODY_BYTES_MAX)).into_bytes();
        assert!(matches!(refuses(Batch::of(NewEntry { body, ..entry() })), LedgerError::TooLarge { .. }));
        let long = "x".repeat(TEXT_BYTES_MAX + 1);
        assert!(matches!(refuses(Batch::of(NewEntry { kind: long, ..entry() })), LedgerError::TooLarge { .. }));
        let many = Batch { settle: vec![1; BATCH_ROWS_MAX + 1], ..Batch::default() };
        assert!(matches!(refuses(many), LedgerError::TooLarge { .. }));
        let meta = vec![("k".to_owned(), vec![0; META_VALUE_BYTES_MAX + 1])];
        assert!(matches!(refuses(Batch { meta, ..Batch::default() }), LedgerError::TooLarge { .. }));
        let big = NewOwed { body: vec![0; BODY_BYTES_MAX + 1], ..owed() };
        assert!(matches!(refuses(Batch { owe: vec![big], ..Batch::default() }), LedgerError::TooLarge { .. }));
    }

    #[test]
    fn text_that_could_not_be_told_apart_is_refused() {
        let refuses = |batch: Batch| batch.check().unwrap_err();
        let empty = NewEntry { kind: String::new(), ..entry() };
        assert!(matches!(refuses(Batch::of(empty)), LedgerError::BadText { what: "kind", .. }));
        let control = NewEntry { subject: "a\nb".into(), ..entry() };
        assert!(matches!(refuses(Batch::of(control)), LedgerError::BadText { what: "subject", .. }));
        let nowhere = NewOwed { region: String::new(), ..owed() };
        assert!(matches!(refuses(Batch { owe: vec![nowhere], ..Batch::default() }), LedgerError::BadText { .. }));
        let lane = NewOwed { lane: 2, ..owed() };
        let no_lane = refuses(Batch { owe: vec![lane], ..Batch::default() });
        assert!(matches!(no_lane, LedgerError::NoSuchLane { found: 2 }));
        let body = NewEntry { body: b"{\"a\":".to_vec(), ..entry() };
        assert!(matches!(refuses(Batch::of(body)), LedgerError::BodyIsNoJson { .. }));
    }
}
