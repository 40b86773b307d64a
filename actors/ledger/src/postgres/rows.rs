//! One batch as one transaction, and the reads.

use std::collections::BTreeMap;

use tokio_postgres::{Client, GenericClient, IsolationLevel, Row, Transaction};

use crate::{
    Batch, Entry, Head, LaneRow, LedgerError, Margin, Owed, READ_ROWS_MAX, Receipt,
    codec::Tip,
    step::{LaneCount, LaneKey, Rows, step},
};

/// Rows that one statement inserts: their bodies, at most 1 MiB each, fit one message of the protocol.
const INSERT_ROWS_MAX: usize = 256;

/// What stopped a call.
#[derive(Debug)]
pub(super) enum Trouble {
    Refused(LedgerError),
    Sql(tokio_postgres::Error),
    /// The term was taken by another node.
    Deposed {
        by: u64,
    },
    /// What this node was told is written is not there.
    Rewound {
        known: Tip,
        found: Tip,
    },
    Damaged(&'static str),
}

impl From<tokio_postgres::Error> for Trouble {
    fn from(error: tokio_postgres::Error) -> Self {
        Self::Sql(error)
    }
}
impl From<LedgerError> for Trouble {
    fn from(error: LedgerError) -> Self {
        Self::Refused(error)
    }
}

/// A batch of which only the commit is missing.
pub(super) struct Written<'a> {
    transaction: Transaction<'a>,
    pub(super) tip: Tip,
    pub(super) receipt: Receipt,
}

impl Written<'_> {
    pub(super) async fn commit(self) -> Result<(), tokio_postgres::Error> {
        self.transaction.commit().await
    }
}

/// No append without the term: a node that was taken for dead finds another one here, under the lock that every append takes.
#[cfg(not(mutant = "ledger_term"))]
fn holds(term: u64, found: u64) -> bool {
    term == found
}
#[cfg(mutant = "ledger_term")]
fn holds(_term: u64, _found: u64) -> bool {
    true
}

/// The ledger's own row, locked until the transaction ends.
pub(super) async fn own(client: &impl GenericClient) -> Result<(u64, Tip), Trouble> {
    let asked = "select term, head_sequence, head_hash, owed_id, batches from openkcm.ledger for update";
    tip_of(&client.query_one(asked, &[]).await?)
}

fn tip_of(row: &Row) -> Result<(u64, Tip), Trouble> {
    let head = Head { sequence: number(row, 1)?, hash: hash(row, 2)? };
    Ok((number(row, 0)?, Tip { head, owed_id: number(row, 3)?, batches: number(row, 4)? }))
}

/// Writes the batch under `term`. `known` is what this node was last told; a database that is not there any more was put back.
pub(super) async fn write<'a>(
    client: &'a mut Client,
    term: u64,
    known: Option<Tip>,
    batch: &Batch,
) -> Result<Written<'a>, Trouble> {
    let transaction = client.transaction().await?;
    let (found, tip) = own(&transaction).await?;
    if !holds(term, found) {
        return Err(Trouble::Deposed { by: found });
    }
    if let Some(known) = known.filter(|known| *known != tip) {
        return Err(Trouble::Rewound { known, found: tip });
    }
    let rows = step(&tip, &lanes_of(&transaction, batch).await?, batch)?;
    insert_entries(&transaction, &rows.entries).await?;
    owe(&transaction, &rows).await?;
    let settled = settle(&transaction, &batch.settle).await?;
    put(&transaction, &batch.meta, rows.tip).await?;
    let receipt = Receipt { head: rows.tip.head, entries: rows.entries, owed: rows.owed, settled };
    Ok(Written { transaction, tip: rows.tip, receipt })
}

async fn put(transaction: &Transaction<'_>, meta: &[(String, Vec<u8>)], tip: Tip) -> Result<(), Trouble> {
    for (key, value) in meta {
        let put = "insert into openkcm.meta values ($1, $2) on conflict (key) do update set value = excluded.value";
        transaction.execute(put, &[&key.as_bytes(), value]).await?;
    }
    let update = "update openkcm.ledger set head_sequence = $1, head_hash = $2, owed_id = $3, batches = $4";
    let numbers = (signed(tip.head.sequence)?, signed(tip.owed_id)?, signed(tip.batches)?);
    transaction.execute(update, &[&numbers.0, &tip.head.hash.as_slice(), &numbers.1, &numbers.2]).await?;
    Ok(())
}

async fn lanes_of(transaction: &Transaction<'_>, batch: &Batch) -> Result<BTreeMap<LaneKey, LaneCount>, Trouble> {
    let mut lanes = BTreeMap::new();
    if batch.owe.is_empty() {
        return Ok(lanes);
    }
    let regions: Vec<&str> = batch.owe.iter().map(|new| new.region.as_str()).collect();
    let asked = "select region, lane, last, open from openkcm.lanes where region = any($1)";
    for row in transaction.query(asked, &[&regions]).await? {
        let lane = u8::try_from(row.try_get::<_, i16>(1)?).map_err(|_| Trouble::Damaged("lanes"))?;
        let count = LaneCount { last: number(&row, 2)?, open: number(&row, 3)? };
        lanes.insert((row.try_get(0)?, lane), count);
    }
    Ok(lanes)
}

async fn insert_entries(transaction: &Transaction<'_>, entries: &[Entry]) -> Result<(), Trouble> {
    let insert = "insert into openkcm.entries select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::text[], $5::text[],
        $6::bytea[], $7::bytea[], $8::bytea[])";
    for part in entries.chunks(INSERT_ROWS_MAX) {
        let sequences = each(part, |e| signed(e.sequence))?;
        let times = each(part, |e| signed(e.at_ms))?;
        let kinds: Vec<&str> = part.iter().map(|e| e.kind.as_str()).collect();
        let subjects: Vec<&str> = part.iter().map(|e| e.subject.as_str()).collect();
        let correlations: Vec<&str> = part.iter().map(|e| e.correlation.as_str()).collect();
        let bodies: Vec<&[u8]> = part.iter().map(|e| e.body.as_slice()).collect();
        let previous: Vec<&[u8]> = part.iter().map(|e| e.previous.as_slice()).collect();
        let hashes: Vec<&[u8]> = part.iter().map(|e| e.hash.as_slice()).collect();
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 8] =
            [&sequences, &times, &kinds, &subjects, &correlations, &bodies, &previous, &hashes];
        transaction.execute(insert, &values).await?;
    }
    Ok(())
}

async fn owe(transaction: &Transaction<'_>, rows: &Rows) -> Result<(), Trouble> {
    let insert = "insert into openkcm.owed select * from unnest($1::text[], $2::smallint[], $3::bigint[], $4::bigint[], $5::text[],
        $6::text[], $7::bigint[], $8::bytea[], $9::bytea[])";
    for part in rows.owed.chunks(INSERT_ROWS_MAX) {
        let regions: Vec<&str> = part.iter().map(|o| o.region.as_str()).collect();
        let lanes: Vec<i16> = part.iter().map(|o| i16::from(o.lane)).collect();
        let sequences = each(part, |o| signed(o.sequence))?;
        let ids = each(part, |o| signed(o.id))?;
        let subjects: Vec<&str> = part.iter().map(|o| o.subject.as_str()).collect();
        let correlations: Vec<&str> = part.iter().map(|o| o.correlation.as_str()).collect();
        let times = each(part, |o| signed(o.created_ms))?;
        let digests: Vec<&[u8]> = part.iter().map(|o| o.digest.as_slice()).collect();
        let bodies: Vec<&[u8]> = part.iter().map(|o| o.body.as_slice()).collect();
        let values: [&(dyn tokio_postgres::types::ToSql + Sync); 9] =
            [&regions, &lanes, &sequences, &ids, &subjects, &correlations, &times, &digests, &bodies];
        transaction.execute(insert, &values).await?;
    }
    let count = "insert into openkcm.lanes values ($1, $2, $3, $4)
        on conflict (region, lane) do update set last = excluded.last, open = excluded.open";
    for ((region, lane), LaneCount { last, open }) in &rows.lanes {
        transaction.execute(count, &[region, &i16::from(*lane), &signed(*last)?, &signed(*open)?]).await?;
    }
    Ok(())
}

/// The ids that were still open, in the order in which they were named.
async fn settle(transaction: &Transaction<'_>, ids: &[u64]) -> Result<Vec<u64>, Trouble> {
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let asked = each(ids, |id| signed(*id))?;
    let settle = "with gone as (delete from openkcm.owed where id = any($1) returning region, lane, id),
            counted as (update openkcm.lanes l set open = open - c.n
                from (select region, lane, count(*) n from gone group by region, lane) c
                where l.region = c.region and l.lane = c.lane)
        select id from gone";
    let gone = transaction.query(settle, &[&asked]).await?;
    let mut gone = gone.iter().map(|row| number(row, 0)).collect::<Result<std::collections::BTreeSet<_>, _>>()?;
    Ok(ids.iter().copied().filter(|id| gone.remove(id)).collect())
}

pub(super) async fn margin(client: &mut Client) -> Result<Margin, Trouble> {
    let one_moment = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).read_only(true);
    let transaction = one_moment.start().await?;
    let asked = "select term, head_sequence, head_hash, owed_id, batches from openkcm.ledger";
    let (term, tip) = tip_of(&transaction.query_one(asked, &[]).await?)?;
    let asked = "select region, lane, last, open from openkcm.lanes order by region, lane";
    let mut lanes = Vec::new();
    for row in transaction.query(asked, &[]).await? {
        let lane = u8::try_from(row.try_get::<_, i16>(1)?).map_err(|_| Trouble::Damaged("lanes"))?;
        lanes.push(LaneRow { region: row.try_get(0)?, lane, last: number(&row, 2)?, open: number(&row, 3)? });
    }
    let asked = "select id, subject, sequence, correlation, created_ms, digest, body from openkcm.owed
        where region = $1 and lane = $2 order by sequence";
    let mut owed = Vec::new();
    for lane in &lanes {
        for row in transaction.query(asked, &[&lane.region, &i16::from(lane.lane)]).await? {
            owed.push(owed_of(&row, &lane.region, lane.lane)?);
        }
    }
    let mut meta = Vec::new();
    for row in transaction.query("select key, value from openkcm.meta order by key", &[]).await? {
        let key = String::from_utf8(row.try_get(0)?).map_err(|_| Trouble::Damaged("the key of a meta row"))?;
        meta.push((key, row.try_get(1)?));
    }
    Ok(Margin { head: tip.head, owed_id: tip.owed_id, batches: tip.batches, term, owed, lanes, meta })
}

pub(super) async fn fill(client: &mut Client, term: u64, margin: &Margin, entries: &[Entry]) -> Result<(), Trouble> {
    let transaction = client.transaction().await?;
    let (found, tip) = own(&transaction).await?;
    if !holds(term, found) {
        return Err(Trouble::Deposed { by: found });
    }
    if tip != Tip::EMPTY {
        return Err(Trouble::Refused(LedgerError::NotEmpty { newest: tip.head.sequence }));
    }
    insert_entries(&transaction, entries).await?;
    let lane = |row: &LaneRow| ((row.region.clone(), row.lane), LaneCount { last: row.last, open: row.open });
    let lanes = margin.lanes.iter().map(lane).collect();
    owe(&transaction, &Rows { tip: margin.tip(), entries: Vec::new(), owed: margin.owed.clone(), lanes }).await?;
    put(&transaction, &margin.meta, margin.tip()).await?;
    Ok(transaction.commit().await?)
}

pub(super) async fn head(client: &Client) -> Result<Head, Trouble> {
    let asked = "select term, head_sequence, head_hash, owed_id, batches from openkcm.ledger";
    Ok(tip_of(&client.query_one(asked, &[]).await?)?.1.head)
}

pub(super) async fn entries(client: &Client, from: u64, limit: usize) -> Result<Vec<Entry>, Trouble> {
    let Ok(from) = signed(from) else { return Ok(Vec::new()) };
    let asked = "select sequence, at_ms, kind, subject, correlation, body, previous, hash from openkcm.entries
        where sequence >= $1 order by sequence limit $2";
    let rows = client.query(asked, &[&from, &most(limit)]).await?;
    let entry = |row: &Row| {
        Ok(Entry {
            sequence: number(row, 0)?,
            at_ms: number(row, 1)?,
            kind: row.try_get(2)?,
            subject: row.try_get(3)?,
            correlation: row.try_get(4)?,
            body: row.try_get(5)?,
            previous: hash(row, 6)?,
            hash: hash(row, 7)?,
        })
    };
    rows.iter().map(entry).collect()
}

pub(super) async fn owed(
    client: &Client,
    region: &str,
    lane: u8,
    after: u64,
    limit: usize,
) -> Result<Vec<Owed>, Trouble> {
    let Ok(after) = signed(after) else { return Ok(Vec::new()) };
    let asked = "select id, subject, sequence, correlation, created_ms, digest, body from openkcm.owed
        where region = $1 and lane = $2 and sequence > $3 order by sequence limit $4";
    let rows = client.query(asked, &[&region, &i16::from(lane), &after, &most(limit)]).await?;
    rows.iter().map(|row| owed_of(row, region, lane)).collect()
}

fn owed_of(row: &Row, region: &str, lane: u8) -> Result<Owed, Trouble> {
    Ok(Owed {
        id: number(row, 0)?,
        subject: row.try_get(1)?,
        region: region.to_owned(),
        lane,
        sequence: number(row, 2)?,
        correlation: row.try_get(3)?,
        created_ms: number(row, 4)?,
        digest: hash(row, 5)?,
        body: row.try_get(6)?,
    })
}

pub(super) async fn owed_count(client: &Client, region: &str, lane: u8) -> Result<u64, Trouble> {
    let asked = "select open from openkcm.lanes where region = $1 and lane = $2";
    let row = client.query_opt(asked, &[&region, &i16::from(lane)]).await?;
    row.map_or(Ok(0), |row| number(&row, 0))
}

pub(super) async fn meta(client: &Client, key: &str) -> Result<Option<Vec<u8>>, Trouble> {
    let row = client.query_opt("select value from openkcm.meta where key = $1", &[&key.as_bytes()]).await?;
    Ok(row.map(|row| row.try_get(0)).transpose()?)
}

fn most(limit: usize) -> i64 {
    i64::try_from(limit.min(READ_ROWS_MAX)).unwrap_or(i64::MAX)
}

pub(super) fn number(row: &Row, column: usize) -> Result<u64, Trouble> {
    u64::try_from(row.try_get::<_, i64>(column)?).map_err(|_| Trouble::Damaged("a number"))
}

fn hash(row: &Row, column: usize) -> Result<[u8; 32], Trouble> {
    row.try_get::<_, &[u8]>(column)?.try_into().map_err(|_| Trouble::Damaged("a hash"))
}

/// The database counts to half of what we do; nothing comes near.
pub(super) fn signed(value: u64) -> Result<i64, Trouble> {
    i64::try_from(value).map_err(|_| Trouble::Refused(LedgerError::Exhausted { what: "database's" }))
}

fn each<T>(rows: &[T], of: impl Fn(&T) -> Result<i64, Trouble>) -> Result<Vec<i64>, Trouble> {
    rows.iter().map(of).collect()
}
