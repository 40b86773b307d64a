//! A whole ledger in one file, and back into an empty one: its entries as an export that anyone can verify, and before them one line with
//! everything that no entry says: what regions are still owed, how far each lane has counted, and the rows outside the chain.
//!
//! What is put back carries the mark [`RESTORED`]: the world has gone on since, and whoever opens the ledger must ask it before he grants
//! anything (PROTOCOL §6). Nothing here is secret from governance, but all of it from others: encrypt what leaves the node.

use std::io::{BufRead, Read, Write};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::{
    Anchor, Broken, Entry, Head, Ledger, LedgerError, Owed, Summary,
    codec::Tip,
    export::{export, read_export},
};

/// The meta row of a ledger that was filled from a backup: Unix milliseconds of the backup's last entry, in decimal.
pub const RESTORED: &str = "restored";
/// Longest first line: what a deployment owes at one moment, at most.
pub const MARGIN_BYTES_MAX: usize = 1024 * 1024 * 1024;

/// The meta row of the term that whoever opens the ledger must come after, 8 bytes big-endian.
pub const TERM: &str = "term";
/// How far counters leap that have gone on since the backup: nobody knows how far, and regions refuse what lies behind.
pub const RESTORE_LEAP: u64 = 1_000_000;

const FORMAT: &str = "openkcm/backup/v1";

/// Everything besides the entries, as of one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Margin {
    pub head: Head,
    /// Id of the newest owed row ever assigned.
    pub owed_id: u64,
    /// Batches committed.
    pub batches: u64,
    /// The term in which it was appended to; 0 for a ledger of one node.
    pub term: u64,
    pub owed: Vec<Owed>,
    pub lanes: Vec<LaneRow>,
    pub meta: Vec<(String, Vec<u8>)>,
}

impl Margin {
    pub(crate) fn tip(&self) -> Tip {
        Tip { head: self.head, owed_id: self.owed_id, batches: self.batches }
    }
}

/// The counters of one region and lane.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LaneRow {
    pub region: String,
    pub lane: u8,
    /// Sequence of the newest row ever assigned.
    #[serde(with = "decimal")]
    pub last: u64,
    /// Rows not yet settled.
    #[serde(with = "decimal")]
    pub open: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    format: String,
    #[serde(with = "decimal")]
    sequence: u64,
    hash: String,
    #[serde(with = "decimal")]
    owed_id: u64,
    #[serde(with = "decimal")]
    batches: u64,
    #[serde(with = "decimal")]
    term: u64,
    owed: Vec<String>,
    lanes: Vec<LaneRow>,
    meta: Vec<(String, String)>,
}

/// Integers are decimal strings, as in exports.
mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(value: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(value)
    }
    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// Writes the whole ledger, as of the moment of the call.
pub fn write_backup<L: Ledger + ?Sized>(ledger: &L, out: &mut dyn Write) -> Result<Summary, LedgerError> {
    let margin = ledger.margin()?;
    let encode = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let first = First {
        format: FORMAT.to_owned(),
        sequence: margin.head.sequence,
        hash: encode(&margin.head.hash),
        owed_id: margin.owed_id,
        batches: margin.batches,
        term: margin.term,
        owed: margin.owed.iter().map(|owed| encode(&owed.to_row())).collect(),
        lanes: margin.lanes,
        meta: margin.meta.iter().map(|(key, value)| (key.clone(), encode(value))).collect(),
    };
    let failed = |why: String| LedgerError::Export { why };
    let mut line = serde_json::to_vec(&first).map_err(|e| failed(e.to_string()))?;
    line.push(b'\n');
    out.write_all(&line).map_err(|e| failed(e.to_string()))?;
    let summary = export(ledger, 1, Some(margin.head.sequence), out)?;
    if summary.last != margin.head {
        return Err(LedgerError::Broken(Broken::WrongHead { sequence: margin.head.sequence }));
    }
    Ok(summary)
}

/// Verifies a backup without restoring it: the chain from its first entry to the head, each anchor, and that what is owed adds up.
pub fn verify_backup(input: impl BufRead, anchors: &[Anchor]) -> Result<Summary, Broken> {
    read(input, anchors, |_| ()).map(|(_, summary)| summary)
}

/// The mark of a ledger that was put back, until it is [`settled`](settle). One that does not read marks it all the same.
pub fn restored(ledger: &dyn Ledger) -> Result<Option<u64>, LedgerError> {
    let mark = ledger.meta(RESTORED)?.filter(|mark| !mark.is_empty());
    Ok(mark.map(|mark| String::from_utf8_lossy(&mark).parse().unwrap_or_default()))
}

/// Takes the mark away: whoever opens the ledger asks nobody first.
pub fn settle(ledger: &dyn Ledger) -> Result<(), LedgerError> {
    ledger.put_meta(RESTORED, &[])
}

/// Fills an empty ledger from a backup, in one transaction, once all of it has been verified. It carries the mark [`RESTORED`] then.
/// The term leaps, and so does each counter of the meta rows `leaping` (8 bytes big-endian). All entries are held in memory meanwhile.
pub fn restore_backup<L: Ledger + ?Sized>(
    ledger: &L,
    input: impl BufRead,
    anchors: &[Anchor],
    leaping: &[&str],
) -> Result<Summary, LedgerError> {
    let mut entries = Vec::new();
    let (mut margin, summary) = read(input, anchors, |entry| entries.push(entry)).map_err(LedgerError::Broken)?;
    let at_ms = entries.last().map_or(0, |entry: &Entry| entry.at_ms);
    let counted = |bytes: &[u8]| bytes.try_into().map_or(0, u64::from_be_bytes);
    let of = |key: &str| margin.meta.iter().find(|(k, _)| k == key).map_or(0, |(_, value)| counted(value));
    let mut leaps = vec![(TERM, margin.term.max(of(TERM)))];
    leaps.extend(leaping.iter().map(|key| (*key, of(key))));
    margin.meta.retain(|(key, _)| key != RESTORED && leaps.iter().all(|(leap, _)| leap != key));
    let leapt = leaps.iter().map(|(key, from)| {
        let to = from.saturating_add(RESTORE_LEAP).to_be_bytes();
        ((*key).to_owned(), to.to_vec())
    });
    margin.meta.extend(leapt);
    margin.meta.push((RESTORED.to_owned(), at_ms.to_string().into_bytes()));
    ledger.fill(margin, entries)?;
    Ok(summary)
}

fn read(mut input: impl BufRead, anchors: &[Anchor], each: impl FnMut(Entry)) -> Result<(Margin, Summary), Broken> {
    let bad = |why: &str| Broken::Line { line: 1, why: why.to_owned() };
    let mut line = Vec::new();
    let most = u64::try_from(MARGIN_BYTES_MAX).unwrap_or(u64::MAX);
    input.by_ref().take(most).read_until(b'\n', &mut line).map_err(|e| bad(&format!("cannot be read ({e})")))?;
    let first: First = serde_json::from_slice(&line).map_err(|e| bad(&format!("is not that of a backup ({e})")))?;
    if first.format != FORMAT {
        return Err(bad(&format!("has the format `{}`; this release reads `{FORMAT}`", first.format)));
    }
    let margin = margin_of(first).ok_or_else(|| bad("does not decode"))?;
    if !adds_up(&margin) {
        return Err(bad("does not add up: what is owed is not what its lanes have counted"));
    }
    let summary = read_export(input, anchors, each)?;
    if summary.first != 1 {
        return Err(Broken::NotWhole { first: summary.first });
    }
    if summary.last != margin.head {
        return Err(Broken::WrongHead { sequence: margin.head.sequence });
    }
    Ok((margin, summary))
}

fn margin_of(first: First) -> Option<Margin> {
    let decode = |text: &String| URL_SAFE_NO_PAD.decode(text).ok();
    let meta = first.meta.iter().map(|(key, value)| Some((key.clone(), decode(value)?)));
    Some(Margin {
        head: Head { sequence: first.sequence, hash: decode(&first.hash)?.try_into().ok()? },
        owed_id: first.owed_id,
        batches: first.batches,
        term: first.term,
        owed: first.owed.iter().map(|row| Owed::from_row(&decode(row)?)).collect::<Option<_>>()?,
        lanes: first.lanes,
        meta: meta.collect::<Option<_>>()?,
    })
}

/// Each owed row has a lane that has counted it, and each lane as many rows as it says.
fn adds_up(margin: &Margin) -> bool {
    let of = |lane: &LaneRow| margin.owed.iter().filter(|o| o.region == lane.region && o.lane == lane.lane).count();
    let counted = margin.lanes.iter().all(|lane| u64::try_from(of(lane)) == Ok(lane.open));
    let known = |owed: &Owed| {
        let mut lanes = margin.lanes.iter().filter(|lane| lane.region == owed.region && lane.lane == owed.lane);
        lanes.next().is_some_and(|lane| owed.sequence <= lane.last)
            && lanes.next().is_none()
            && owed.id <= margin.owed_id
    };
    counted && margin.owed.iter().all(known)
}
