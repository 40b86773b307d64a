//! The ledger: what was decided, and what a region is still owed, in one place and one transaction.
//!
//! State is the fold of an append-only chain (DESIGN §2.12). Each [`Entry`] carries the hash of the one before it, so that any edit,
//! deletion or reordering breaks every later hash. Directives that an entry causes are [`Owed`] rows, written in the same transaction
//! as the entry: there is no moment at which a decision exists and its directive does not, nor the other way round (invariant 5).
//! [`Ledger::append`] returns only when the batch would survive `kill -9` and a loss of power (invariant 10).
//!
//! Three backends, one conformance suite (`tests/conformance.rs`): [`RedbLedger`] on disk, [`PostgresLedger`] for several nodes of which
//! one is active, and [`MemoryLedger`] for simulations. All put a batch through the same pure `step`. [`verify_file`] and [`verify_export`] check a chain offline (invariant 13). A [`Tree`] over the
//! chain gives short proofs to whoever holds a [`Checkpoint`] alone.
//!
//! A full disk never stops a stop: [`RedbLedger`] keeps [`RESERVE_BYTES`] beside the database, of which a [`Batch`]
//! uses as much as its [`Room`] says: all for a stop in force, half for one that is being collected, nothing for the rest (PROTOCOL §4).

mod backup;
mod batch;
mod chain;
mod checkpoint;
mod codec;
mod entry;
mod error;
mod export;
mod memory;
mod merkle;
mod offline;
mod owed;
mod postgres;
mod redb;
mod reserve;
mod step;
#[cfg(feature = "testing")]
pub mod testing;

pub use backup::{
    LaneRow, MARGIN_BYTES_MAX, Margin, RESTORE_LEAP, RESTORED, TERM, restore_backup, restored, settle, verify_backup,
    write_backup,
};
pub use batch::{
    BATCH_ROWS_MAX, BODY_BYTES_MAX, Batch, META_KEY_BYTES_MAX, META_VALUE_BYTES_MAX, NewEntry, NewOwed, Receipt, Room,
    TEXT_BYTES_MAX,
};
pub use chain::{Anchor, Broken, Chain, Head, Summary};
pub use checkpoint::{BadCheckpoint, Checkpoint, ORIGIN_BYTES_MAX};
pub use entry::Entry;
pub use error::LedgerError;
pub use export::{Exporter, LINE_BYTES_MAX, export, read_export, verify_export};
pub use memory::MemoryLedger;
pub use merkle::{Frontier, Hash, PROOF_HASHES_MAX, Tree, TreeHead, Unproven, verify_consistency, verify_inclusion};
pub use offline::{OfflineLedger, verify_file};
pub use owed::{LANE_CRITICAL, LANE_ORDINARY, Owed};
pub use postgres::{DOUBT_MS_MAX, LOCK_MS_MAX, PostgresLedger, PostgresOptions, reader_sql, schema_sql};
pub use redb::RedbLedger;
pub use reserve::{RESERVE_BYTES, RESERVE_RATIFIED_BYTES, RESERVE_STEP_BYTES};

/// Most rows that one read returns, whatever `limit` asks for.
pub const READ_ROWS_MAX: usize = 4096;

/// An append-only chain of entries with the directives they owe. All calls block; a durable append takes a few milliseconds.
pub trait Ledger: Send + Sync + 'static {
    /// Appends the batch as one transaction: all of it is durable when this returns `Ok`, none of it exists when it returns `Err`.
    /// An empty batch changes nothing and costs nothing.
    fn append(&self, batch: Batch) -> Result<Receipt, LedgerError>;

    /// Entries with `sequence >= from`, ascending, at most `limit` and never more than [`READ_ROWS_MAX`]. The first entry is 1.
    fn entries(&self, from: u64, limit: usize) -> Result<Vec<Entry>, LedgerError>;

    /// The newest entry; [`Head::EMPTY`] for a ledger without entries.
    fn head(&self) -> Result<Head, LedgerError>;

    /// Rows not yet settled of one region and lane with `sequence > after`, ascending. `after = 0, limit = 1` gives the oldest.
    fn owed(&self, region: &str, lane: u8, after: u64, limit: usize) -> Result<Vec<Owed>, LedgerError>;

    /// How many rows of one region and lane are not yet settled.
    fn owed_count(&self, region: &str, lane: u8) -> Result<u64, LedgerError>;

    /// A small row outside the chain, such as the incarnation of this node; written through [`Batch::meta`].
    fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, LedgerError>;

    /// Writes one small row in a transaction of its own. In a batch, it is written together with the entries.
    fn put_meta(&self, key: &str, value: &[u8]) -> Result<(), LedgerError> {
        self.append(Batch { meta: vec![(key.to_owned(), value.to_owned())], ..Batch::default() }).map(drop)
    }

    /// Everything besides the entries, as of one moment: for a backup.
    fn margin(&self) -> Result<Margin, LedgerError>;

    /// Fills an empty ledger, as one transaction, with what a backup holds and has been verified. One that is not empty is refused.
    fn fill(&self, margin: Margin, entries: Vec<Entry>) -> Result<(), LedgerError>;

    /// Says whether this node is still the one that acts on this ledger. Whoever lets something happen that no append records (a lease)
    /// asks before. A ledger of one node has nobody else.
    fn confirm(&self) -> Result<(), LedgerError> {
        Ok(())
    }

    /// Closes what the backend holds open. Whoever holds the ledger still gets [`LedgerError::Closed`] from then on; one without a file has
    /// nothing to close.
    fn close(&self) {}

    /// Recomputes the whole chain and compares its end with the stored head.
    fn verify(&self) -> Result<Summary, Broken> {
        self.verify_against(&[])
    }

    /// As [`Ledger::verify`], and the chain must pass through each of `anchors`: heads and checkpoints that were kept elsewhere. Only an
    /// anchor finds a chain that someone with write access computed anew from the edited entry on.
    fn verify_against(&self, anchors: &[Anchor]) -> Result<Summary, Broken> {
        let mut chain = Chain::whole(anchors);
        let mut dry = false;
        loop {
            let page = self.entries(chain.next(), READ_ROWS_MAX).map_err(|e| Broken::unreadable(&e))?;
            for entry in &page {
                chain.link(entry)?;
            }
            if !page.is_empty() {
                dry = false;
                continue;
            }
            // Another thread may append between the two reads: then the head is ahead once, and the next page has its entries.
            let head = self.head().map_err(|e| Broken::unreadable(&e))?;
            if dry || head.sequence < chain.next() {
                return chain.end(head);
            }
            dry = true;
        }
    }
}

impl<L: Ledger + ?Sized> Ledger for std::sync::Arc<L> {
    fn margin(&self) -> Result<Margin, LedgerError> {
        (**self).margin()
    }
    fn fill(&self, margin: Margin, entries: Vec<Entry>) -> Result<(), LedgerError> {
        (**self).fill(margin, entries)
    }
    fn confirm(&self) -> Result<(), LedgerError> {
        (**self).confirm()
    }
    fn close(&self) {
        (**self).close();
    }
    fn append(&self, batch: Batch) -> Result<Receipt, LedgerError> {
        (**self).append(batch)
    }
    fn entries(&self, from: u64, limit: usize) -> Result<Vec<Entry>, LedgerError> {
        (**self).entries(from, limit)
    }
    fn head(&self) -> Result<Head, LedgerError> {
        (**self).head()
    }
    fn owed(&self, region: &str, lane: u8, after: u64, limit: usize) -> Result<Vec<Owed>, LedgerError> {
        (**self).owed(region, lane, after, limit)
    }
    fn owed_count(&self, region: &str, lane: u8) -> Result<u64, LedgerError> {
        (**self).owed_count(region, lane)
    }
    fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        (**self).meta(key)
    }
}
