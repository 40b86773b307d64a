//! Entries as JSON lines, for auditors: readable with any tool, and verifiable without the node.
//!
//! First a line that says where the part begins, then one line an entry, then a line with the head that the part must reach. Each line
//! has exactly one spelling and ends with a line feed, so every changed byte of the file is found.

use std::io::{BufRead, Read, Write};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{Anchor, BODY_BYTES_MAX, Broken, Chain, Entry, Head, Ledger, LedgerError, READ_ROWS_MAX, Summary};

/// Longest line of an export: a body of control characters takes six bytes for each of its own.
pub const LINE_BYTES_MAX: usize = BODY_BYTES_MAX * 6 + 16 * 1024;

const FORMAT: &str = "openkcm/ledger/v1";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct First {
    format: String,
    first: String,
    previous: String,
}

/// Integers are decimal strings and hashes base64url, as in everything that people sign (PROTOCOL §2).
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    sequence: String,
    at_ms: String,
    kind: String,
    subject: String,
    correlation: String,
    body: String,
    previous: String,
    hash: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Last {
    last: String,
    hash: String,
}

/// Writes the entries from `from` to `to` (to the newest when `None`), checking the chain on the way.
pub fn export<L: Ledger + ?Sized>(
    ledger: &L,
    from: u64,
    to: Option<u64>,
    out: &mut dyn Write,
) -> Result<Summary, LedgerError> {
    let from = from.max(1);
    let newest = ledger.head()?.sequence;
    let to = to.unwrap_or(newest).min(newest);
    let before = match from.checked_sub(1).filter(|s| *s > 0) {
        None => Head::EMPTY,
        Some(sequence) => ledger
            .entries(sequence, 1)?
            .first()
            .filter(|e| e.sequence == sequence)
            .map(Entry::head)
            .ok_or(LedgerError::NoSuchEntry { sequence: from, newest })?,
    };
    let mut exporter = Exporter::begin(out, before)?;
    while exporter.chain.next() <= to {
        let page = ledger.entries(exporter.chain.next(), READ_ROWS_MAX)?;
        if page.is_empty() {
            return Err(LedgerError::Broken(Broken::WrongEnd { expected: to, found: exporter.last.sequence }));
        }
        for entry in page.iter().take_while(|e| e.sequence <= to) {
            exporter.entry(entry)?;
        }
    }
    exporter.end()
}

/// Writes an export entry by entry, from wherever they come, checking the chain on the way.
pub struct Exporter<'o> {
    out: &'o mut dyn Write,
    chain: Chain,
    last: Head,
}

impl<'o> Exporter<'o> {
    /// Begins an export whose first entry follows `before`.
    pub fn begin(out: &'o mut dyn Write, before: Head) -> Result<Self, LedgerError> {
        let chain = Chain::after(before, &[]);
        let first = First { format: FORMAT.into(), first: chain.next().to_string(), previous: encode(&before.hash) };
        write_line(out, &first)?;
        Ok(Self { out, chain, last: before })
    }

    pub fn entry(&mut self, entry: &Entry) -> Result<(), LedgerError> {
        self.chain.link(entry).map_err(LedgerError::Broken)?;
        self.last = entry.head();
        write_line(self.out, &Line::from(entry))
    }

    /// Writes the last line: without it, no reader takes the export.
    pub fn end(self) -> Result<Summary, LedgerError> {
        write_line(self.out, &Last { last: self.last.sequence.to_string(), hash: encode(&self.last.hash) })?;
        self.out.flush().map_err(|e| LedgerError::Export { why: e.to_string() })?;
        self.chain.end(self.last).map_err(LedgerError::Broken)
    }
}

/// Verifies an export without the node. [`Summary::first`] says whether it is a whole chain (1) or a part of one.
pub fn verify_export(input: impl BufRead, anchors: &[Anchor]) -> Result<Summary, Broken> {
    read_export(input, anchors, |_| ())
}

/// As [`verify_export`], and hands over each entry that follows from those before. What was handed over is worth something only if all is
/// sound in the end.
pub fn read_export(
    mut input: impl BufRead,
    anchors: &[Anchor],
    mut each: impl FnMut(Entry),
) -> Result<Summary, Broken> {
    let mut number = 1;
    let first: First = read_line(&mut input, number)?.parse(number)?;
    if first.format != FORMAT {
        return Err(at(number, format!("has the format `{}`; this release reads `{FORMAT}`", first.format)));
    }
    let sequence = decode_number(&first.first, number)?;
    let before = sequence.checked_sub(1).ok_or_else(|| at(number, "begins before entry 1"))?;
    let mut chain = Chain::after(Head { sequence: before, hash: decode(&first.previous, number)? }, anchors);
    if before == 0 && first.previous != encode(&Head::EMPTY.hash) {
        return Err(at(number, "names a hash before the first entry"));
    }
    loop {
        number += 1;
        let text = read_line(&mut input, number)?;
        if text.0.starts_with("{\"last\":") {
            let last: Last = text.parse(number)?;
            let mut rest = [0];
            return match input.read(&mut rest) {
                Ok(0) => {
                    chain.end(Head { sequence: decode_number(&last.last, number)?, hash: decode(&last.hash, number)? })
                }
                _ => Err(at(number + 1, "stands behind the last line")),
            };
        }
        let line: Line = text.parse(number)?;
        let entry = line.entry(number)?;
        chain.link(&entry)?;
        each(entry);
    }
}

impl From<&Entry> for Line {
    fn from(entry: &Entry) -> Self {
        Self {
            sequence: entry.sequence.to_string(),
            at_ms: entry.at_ms.to_string(),
            kind: entry.kind.clone(),
            subject: entry.subject.clone(),
            correlation: entry.correlation.clone(),
            // Only valid JSON is appended, so this loses nothing; if it did, the hash would tell.
            body: String::from_utf8_lossy(&entry.body).into_owned(),
            previous: encode(&entry.previous),
            hash: encode(&entry.hash),
        }
    }
}

impl Line {
    fn entry(self, number: u64) -> Result<Entry, Broken> {
        Ok(Entry {
            sequence: decode_number(&self.sequence, number)?,
            at_ms: decode_number(&self.at_ms, number)?,
            kind: self.kind,
            subject: self.subject,
            correlation: self.correlation,
            body: self.body.into_bytes(),
            previous: decode(&self.previous, number)?,
            hash: decode(&self.hash, number)?,
        })
    }
}

fn write_line(out: &mut dyn Write, line: &impl Serialize) -> Result<(), LedgerError> {
    let mut text = serde_json::to_vec(line).map_err(|e| LedgerError::Export { why: e.to_string() })?;
    text.push(b'\n');
    out.write_all(&text).map_err(|e| LedgerError::Export { why: e.to_string() })
}

struct Text(String);

fn read_line(input: &mut impl BufRead, number: u64) -> Result<Text, Broken> {
    let mut bytes = Vec::new();
    let read = input.by_ref().take(LINE_BYTES_MAX as u64).read_until(b'\n', &mut bytes);
    read.map_err(|e| at(number, format!("cannot be read ({e})")))?;
    match bytes.pop() {
        Some(b'\n') => String::from_utf8(bytes).map(Text).map_err(|_| at(number, "is no UTF-8")),
        Some(_) if bytes.len() + 1 == LINE_BYTES_MAX => {
            Err(at(number, format!("is longer than {LINE_BYTES_MAX} bytes")))
        }
        _ => Err(at(number, "is missing or cut off: the end of the export is gone")),
    }
}

impl Text {
    /// Accepts only the spelling that [`export`] writes.
    fn parse<T: DeserializeOwned + Serialize>(&self, number: u64) -> Result<T, Broken> {
        let value: T = serde_json::from_str(&self.0).map_err(|e| at(number, format!("is not as written ({e})")))?;
        match serde_json::to_string(&value) {
            Ok(again) if again == self.0 => Ok(value),
            _ => Err(at(number, "is spelled in another way than it was written")),
        }
    }
}

fn at(line: u64, why: impl Into<String>) -> Broken {
    Broken::Line { line, why: why.into() }
}

fn encode(hash: &[u8; 32]) -> String {
    URL_SAFE_NO_PAD.encode(hash)
}

fn decode(text: &str, number: u64) -> Result<[u8; 32], Broken> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    bytes.and_then(|b| b.try_into().ok()).ok_or_else(|| at(number, "has a hash that is not 32 bytes of base64url"))
}

fn decode_number(text: &str, number: u64) -> Result<u64, Broken> {
    let value: Option<u64> = text.parse().ok();
    value.filter(|v| v.to_string() == text).ok_or_else(|| at(number, "has a number in another spelling"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Batch, MemoryLedger, NewEntry};

    fn ledger(bodies: &[String]) -> MemoryLedger {
        let ledger = MemoryLedger::new();
        for body in bodies {
            let body = serde_json::to_vec(body).unwrap();
            let (subject, correlation) = ("tenant".into(), "c-1".into());
            ledger.append(Batch::of(NewEntry { at_ms: 5, kind: "k".into(), subject, correlation, body })).unwrap();
        }
        ledger
    }
    fn exported(ledger: &MemoryLedger, from: u64, to: Option<u64>) -> Vec<u8> {
        let mut out = Vec::new();
        let summary = export(ledger, from, to, &mut out).unwrap();
        assert_eq!(verify_export(out.as_slice(), &[summary.last.into()]), Ok(summary));
        out
    }
    fn three() -> MemoryLedger {
        ledger(&["a".into(), "b\n\"ü".into(), "c".into()])
    }

    #[test]
    fn a_whole_chain_a_part_and_an_empty_one_verify() {
        let ledger = three();
        exported(&ledger, 1, None);
        exported(&ledger, 2, Some(2));
        exported(&ledger, 4, None);
        exported(&MemoryLedger::new(), 1, None);
        let beyond = export(&ledger, 9, None, &mut Vec::new()).unwrap_err();
        assert!(matches!(beyond, LedgerError::NoSuchEntry { sequence: 9, newest: 3 }));
    }

    #[test]
    fn text_behind_the_end_and_another_format_are_found() {
        let mut out = exported(&three(), 1, None);
        out.push(b'x');
        assert!(matches!(verify_export(out.as_slice(), &[]), Err(Broken::Line { line: 6, .. })));
        let newer = String::from_utf8(exported(&three(), 1, None)).unwrap().replacen("/v1", "/v2", 1);
        assert!(verify_export(newer.as_bytes(), &[]).unwrap_err().to_string().contains("this release reads"));
        let endless = vec![b' '; LINE_BYTES_MAX + 1];
        assert!(verify_export(endless.as_slice(), &[]).unwrap_err().to_string().contains("longer than"));
    }

    /// Not one bit of an export can change: all of them, of a small one.
    #[test]
    fn every_bit_flip_and_every_truncation_is_found() {
        let out = exported(&three(), 1, None);
        for at in 0..out.len() {
            assert!(verify_export(&out[..at], &[]).is_err(), "cut at {at}");
            for bit in 0..8 {
                let mut flipped = out.clone();
                flipped[at] ^= 1 << bit;
                assert!(verify_export(flipped.as_slice(), &[]).is_err(), "byte {at} bit {bit}");
            }
        }
    }

    proptest! {
        #[test]
        fn deleted_repeated_and_swapped_lines_are_found(
            bodies in prop::collection::vec(".{0,30}", 2..12), one: prop::sample::Index, two: prop::sample::Index,
        ) {
            let out = String::from_utf8(exported(&ledger(&bodies), 1, None)).unwrap();
            let lines: Vec<&str> = out.split_inclusive('\n').collect();
            let (one, two) = (one.index(lines.len()), two.index(lines.len()));
            let verify = |lines: &[&str]| verify_export(lines.concat().as_bytes(), &[]);
            prop_assert!(verify(&lines).is_ok());
            let mut deleted = lines.clone();
            deleted.remove(one);
            prop_assert!(verify(&deleted).is_err());
            let mut repeated = lines.clone();
            repeated.insert(two, lines[one]);
            prop_assert!(verify(&repeated).is_err());
            if one != two {
                let mut swapped = lines.clone();
                swapped.swap(one, two);
                prop_assert!(verify(&swapped).is_err());
            }
        }

        #[test]
        fn a_bit_flip_anywhere_is_found(bodies in prop::collection::vec(".{0,30}", 1..6), at: prop::sample::Index, bit in 0u8..8) {
            let mut out = exported(&ledger(&bodies), 1, None);
            let at = at.index(out.len());
            out[at] ^= 1 << bit;
            prop_assert!(verify_export(out.as_slice(), &[]).is_err());
        }

        #[test]
        fn no_text_at_all_panics(text: Vec<u8>) {
            prop_assert!(verify_export(text.as_slice(), &[]).is_err());
        }
    }
}
