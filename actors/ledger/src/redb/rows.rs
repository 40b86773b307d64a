//! Tables and transactions of an open database.

use std::{collections::BTreeMap, io, path::Path};

use ::redb::{
    Database, DatabaseError, Durability, ReadableDatabase, ReadableTable, TableDefinition, TableError, TableHandle,
    WriteTransaction,
};

use crate::{
    Batch, Entry, LaneRow, LedgerError, Margin, Owed, READ_ROWS_MAX, Receipt,
    codec::{ROW_VERSION, Tip},
    step::{LaneCount, LaneKey, Rows, step},
};

const SELF: TableDefinition<&str, &[u8]> = TableDefinition::new("ledger");
const ENTRIES: TableDefinition<u64, &[u8]> = TableDefinition::new("entries");
const OWED: TableDefinition<(&str, u8, u64), &[u8]> = TableDefinition::new("owed");
const PLACES: TableDefinition<u64, (&str, u8, u64)> = TableDefinition::new("owed_places");
const LANES: TableDefinition<(&str, u8), (u64, u64)> = TableDefinition::new("owed_lanes");
const META: TableDefinition<&str, &[u8]> = TableDefinition::new("meta");

/// What `append` answers is on the disk, synced.
#[cfg(not(mutant = "ledger_sync"))]
const DURABILITY: Durability = Durability::Immediate;
#[cfg(mutant = "ledger_sync")]
const DURABILITY: Durability = Durability::None;

const FORMAT_ROW: &str = "format";
const FORMAT: &str = "openkcm/ledger/v1";
const TIP_ROW: &str = "tip";

/// What stopped a call: the batch itself, or the store.
#[derive(Debug)]
pub(crate) enum Trouble {
    Refused(LedgerError),
    Store(::redb::Error),
    WrongFormat(String),
}

/// An append that failed. `in_doubt` is there when the failure came so late that the batch may be durable all the same.
pub(crate) struct Failed {
    pub(crate) trouble: Trouble,
    pub(crate) in_doubt: Option<Box<Doubt>>,
}

pub(crate) struct Doubt {
    /// The batch counter that the store has if the batch is durable.
    pub(crate) batches: u64,
    pub(crate) receipt: Receipt,
}

impl From<LedgerError> for Trouble {
    fn from(error: LedgerError) -> Self {
        Self::Refused(error)
    }
}
macro_rules! store_troubles {
    ($($error:ty),*) => {$(
        impl From<$error> for Trouble {
            fn from(error: $error) -> Self {
                Self::Store(error.into())
            }
        }
    )*};
}
store_troubles!(
    ::redb::Error,
    ::redb::StorageError,
    ::redb::TableError,
    ::redb::TransactionError,
    ::redb::CommitError,
    ::redb::SetDurabilityError,
    DatabaseError
);
impl From<Trouble> for Failed {
    fn from(trouble: Trouble) -> Self {
        Self { trouble, in_doubt: None }
    }
}

impl Trouble {
    pub(crate) fn is_disk_full(&self) -> bool {
        let full = |e: &io::Error| matches!(e.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        match self {
            Self::Store(::redb::Error::Io(e)) => full(e),
            Self::Refused(e) => matches!(e, LedgerError::DiskFull { .. }),
            Self::Store(_) | Self::WrongFormat(_) => false,
        }
    }

    /// True when redb does nothing more with this handle.
    pub(crate) fn poisons(&self) -> bool {
        use ::redb::Error::{DatabaseClosed, Io, LockPoisoned, PreviousIo};
        matches!(self, Self::Store(Io(_) | PreviousIo | DatabaseClosed | LockPoisoned(_)))
    }

    /// The same for people.
    pub(crate) fn told_of(self, path: &Path) -> LedgerError {
        let path = path.to_path_buf();
        if self.is_disk_full() {
            return LedgerError::DiskFull { path };
        }
        match self {
            Self::Refused(error) => error,
            Self::WrongFormat(found) => LedgerError::Format { path, found, reads: ROW_VERSION },
            Self::Store(::redb::Error::DatabaseAlreadyOpen) => LedgerError::InUse { path },
            Self::Store(::redb::Error::Io(e)) => {
                LedgerError::Io { path, action: "read or write the ledger", why: e.to_string() }
            }
            Self::Store(error) => LedgerError::Damaged { path, why: error.to_string() },
        }
    }
}

fn damaged(what: &str) -> Trouble {
    Trouble::Store(::redb::Error::Corrupted(format!("a row of `{what}` is not in format {ROW_VERSION}")))
}

/// An open database with the ledger's tables in it.
pub(crate) struct Store {
    database: Database,
}

impl Store {
    /// Takes an empty database, which gets its tables, or one that already is a ledger of this format.
    pub(crate) fn prepare(database: Database) -> Result<Self, Trouble> {
        let found = format_of(&database)?;
        let store = Self { database };
        match found {
            Some(format) if format == FORMAT => {}
            Some(other) => return Err(Trouble::WrongFormat(other)),
            None => store.found()?,
        }
        Ok(store)
    }

    fn found(&self) -> Result<(), Trouble> {
        let transaction = self.begin()?;
        {
            let mut own = transaction.open_table(SELF)?;
            own.insert(FORMAT_ROW, FORMAT.as_bytes())?;
            own.insert(TIP_ROW, Tip::EMPTY.to_row().as_slice())?;
            transaction.open_table(ENTRIES)?;
            transaction.open_table(OWED)?;
            transaction.open_table(PLACES)?;
            transaction.open_table(LANES)?;
            transaction.open_table(META)?;
        }
        Ok(transaction.commit()?)
    }

    fn begin(&self) -> Result<WriteTransaction, Trouble> {
        let mut transaction = self.database.begin_write()?;
        transaction.set_durability(DURABILITY)?;
        transaction.set_two_phase_commit(true);
        Ok(transaction)
    }

    /// Commits one batch. When this returns an error without doubt, nothing was written.
    pub(crate) fn append(&self, batch: &Batch) -> Result<Receipt, Failed> {
        let transaction = self.begin()?;
        let (rows, settled) = write(&transaction, batch)?;
        let receipt = Receipt { head: rows.tip.head, entries: rows.entries, owed: rows.owed, settled };
        match transaction.commit() {
            Ok(()) => Ok(receipt),
            Err(error) => {
                let in_doubt = Some(Box::new(Doubt { batches: rows.tip.batches, receipt }));
                Err(Failed { trouble: error.into(), in_doubt })
            }
        }
    }

    pub(crate) fn tip(&self) -> Result<Tip, Trouble> {
        let table = self.database.begin_read()?.open_table(SELF)?;
        let row = table.get(TIP_ROW)?.ok_or_else(|| damaged("ledger"))?;
        Tip::from_row(row.value()).ok_or_else(|| damaged("ledger"))
    }

    pub(crate) fn entries(&self, from: u64, limit: usize) -> Result<Vec<Entry>, Trouble> {
        let table = self.database.begin_read()?.open_table(ENTRIES)?;
        let rows = table.range(from..)?.take(limit.min(READ_ROWS_MAX));
        rows.map(|row| Entry::from_row(row?.1.value()).ok_or_else(|| damaged("entries"))).collect()
    }

    pub(crate) fn owed(&self, region: &str, lane: u8, after: u64, limit: usize) -> Result<Vec<Owed>, Trouble> {
        let Some(from) = after.checked_add(1) else { return Ok(Vec::new()) };
        let table = self.database.begin_read()?.open_table(OWED)?;
        let rows = table.range((region, lane, from)..=(region, lane, u64::MAX))?.take(limit.min(READ_ROWS_MAX));
        rows.map(|row| Owed::from_row(row?.1.value()).ok_or_else(|| damaged("owed"))).collect()
    }

    pub(crate) fn margin(&self) -> Result<Margin, Trouble> {
        let transaction = self.database.begin_read()?;
        let own = transaction.open_table(SELF)?;
        let row = own.get(TIP_ROW)?.ok_or_else(|| damaged("ledger"))?;
        let tip = Tip::from_row(row.value()).ok_or_else(|| damaged("ledger"))?;
        let (owed, lanes, meta) =
            (transaction.open_table(OWED)?, transaction.open_table(LANES)?, transaction.open_table(META)?);
        let owed = owed.iter()?.map(|row| Owed::from_row(row?.1.value()).ok_or_else(|| damaged("owed")));
        let lanes = lanes.iter()?.map(|row| {
            let (key, count) = row?;
            let ((region, lane), (last, open)) = (key.value(), count.value());
            Ok::<_, Trouble>(LaneRow { region: region.to_owned(), lane, last, open })
        });
        let meta = meta.iter()?.map(|row| {
            let (key, value) = row?;
            Ok::<_, Trouble>((key.value().to_owned(), value.value().to_vec()))
        });
        Ok(Margin {
            head: tip.head,
            owed_id: tip.owed_id,
            batches: tip.batches,
            term: 0,
            owed: owed.collect::<Result<_, _>>()?,
            lanes: lanes.collect::<Result<_, _>>()?,
            meta: meta.collect::<Result<_, _>>()?,
        })
    }

    pub(crate) fn fill(&self, margin: &Margin, entries: &[Entry]) -> Result<(), Trouble> {
        let transaction = self.begin()?;
        {
            let mut own = transaction.open_table(SELF)?;
            let tip = own.get(TIP_ROW)?.and_then(|row| Tip::from_row(row.value())).ok_or_else(|| damaged("ledger"))?;
            if tip != Tip::EMPTY {
                return Err(LedgerError::NotEmpty { newest: tip.head.sequence }.into());
            }
            own.insert(TIP_ROW, margin.tip().to_row().as_slice())?;
            let mut table = transaction.open_table(ENTRIES)?;
            for entry in entries {
                table.insert(entry.sequence, entry.to_row().as_slice())?;
            }
            let (mut owed, mut places) = (transaction.open_table(OWED)?, transaction.open_table(PLACES)?);
            for row in &margin.owed {
                let place = (row.region.as_str(), row.lane, row.sequence);
                owed.insert(place, row.to_row().as_slice())?;
                places.insert(row.id, place)?;
            }
            let (mut lanes, mut meta) = (transaction.open_table(LANES)?, transaction.open_table(META)?);
            for row in &margin.lanes {
                lanes.insert((row.region.as_str(), row.lane), (row.last, row.open))?;
            }
            for (key, value) in &margin.meta {
                meta.insert(key.as_str(), value.as_slice())?;
            }
        }
        Ok(transaction.commit()?)
    }

    pub(crate) fn owed_count(&self, region: &str, lane: u8) -> Result<u64, Trouble> {
        let table = self.database.begin_read()?.open_table(LANES)?;
        Ok(table.get((region, lane))?.map_or(0, |count| count.value().1))
    }

    pub(crate) fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, Trouble> {
        let table = self.database.begin_read()?.open_table(META)?;
        Ok(table.get(key)?.map(|value| value.value().to_vec()))
    }
}

/// The format of a ledger; `None` for a new database; a made-up word for a database that is something else.
fn format_of(database: &Database) -> Result<Option<String>, Trouble> {
    let transaction = database.begin_read()?;
    match transaction.open_table(SELF) {
        Ok(own) => {
            let row = own.get(FORMAT_ROW)?.ok_or_else(|| damaged("ledger"))?;
            Ok(Some(String::from_utf8_lossy(row.value()).into_owned()))
        }
        Err(TableError::TableDoesNotExist(_)) => {
            let strange = transaction.list_tables()?.next();
            Ok(strange.map(|table| format!("unknown (a store with the table `{}`)", table.name())))
        }
        Err(error) => Err(error.into()),
    }
}

fn write(transaction: &WriteTransaction, batch: &Batch) -> Result<(Rows, Vec<u64>), Trouble> {
    let mut own = transaction.open_table(SELF)?;
    let tip = own.get(TIP_ROW)?.and_then(|row| Tip::from_row(row.value())).ok_or_else(|| damaged("ledger"))?;
    let rows = step(&tip, &lanes_of(transaction, batch)?, batch)?;
    own.insert(TIP_ROW, rows.tip.to_row().as_slice())?;
    let mut entries = transaction.open_table(ENTRIES)?;
    for entry in &rows.entries {
        entries.insert(entry.sequence, entry.to_row().as_slice())?;
    }
    let mut meta = transaction.open_table(META)?;
    for (key, value) in &batch.meta {
        meta.insert(key.as_str(), value.as_slice())?;
    }
    owe(transaction, &rows)?;
    let settled = settle(transaction, &batch.settle)?;
    Ok((rows, settled))
}

fn lanes_of(transaction: &WriteTransaction, batch: &Batch) -> Result<BTreeMap<LaneKey, LaneCount>, Trouble> {
    let table = transaction.open_table(LANES)?;
    let mut lanes = BTreeMap::new();
    for new in &batch.owe {
        if let Some(count) = table.get((new.region.as_str(), new.lane))? {
            let (last, open) = count.value();
            lanes.insert((new.region.clone(), new.lane), LaneCount { last, open });
        }
    }
    Ok(lanes)
}

fn owe(transaction: &WriteTransaction, rows: &Rows) -> Result<(), Trouble> {
    let mut owed = transaction.open_table(OWED)?;
    let mut places = transaction.open_table(PLACES)?;
    for row in &rows.owed {
        let place = (row.region.as_str(), row.lane, row.sequence);
        owed.insert(place, row.to_row().as_slice())?;
        places.insert(row.id, place)?;
    }
    let mut lanes = transaction.open_table(LANES)?;
    for ((region, lane), count) in &rows.lanes {
        lanes.insert((region.as_str(), *lane), (count.last, count.open))?;
    }
    Ok(())
}

fn settle(transaction: &WriteTransaction, ids: &[u64]) -> Result<Vec<u64>, Trouble> {
    let mut places = transaction.open_table(PLACES)?;
    let mut owed = transaction.open_table(OWED)?;
    let mut lanes = transaction.open_table(LANES)?;
    let mut settled = Vec::new();
    for id in ids {
        let Some((region, lane, sequence)) = places.remove(*id)?.map(|place| {
            let (region, lane, sequence) = place.value();
            (region.to_owned(), lane, sequence)
        }) else {
            continue;
        };
        owed.remove((region.as_str(), lane, sequence))?.ok_or_else(|| damaged("owed"))?;
        let (last, open) = lanes.get((region.as_str(), lane))?.ok_or_else(|| damaged("owed_lanes"))?.value();
        lanes.insert((region.as_str(), lane), (last, open.saturating_sub(1)))?;
        settled.push(*id);
    }
    Ok(settled)
}
