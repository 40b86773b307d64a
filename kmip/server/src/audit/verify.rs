//! Checks a log offline: `kcm audit verify`.

use std::{
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use orbital::names::Digest;
use serde::Deserialize;

use super::{
    asked::{self, Asked},
    line::{Carry, Seal},
};

/// Longest line, in bytes. A record has about 300.
const LINE_BYTES_MAX: usize = 4_096;

/// A log that was changed, or is no log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct Broken {
    /// Counts from 1; 0 if the file cannot be read at all.
    pub line: u64,
    pub why: String,
}

/// What an unbroken log holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Sealed records.
    pub records: u64,
    pub seals: u64,
    /// The seal from which the first file goes on; 0 where it is the beginning of the log.
    pub after: u64,
    /// The last seal's hash. Compare it with one that was reported earlier: a log cut off at a seal is otherwise unbroken.
    pub head: Digest,
    /// Records after the last seal: the last batch of a process that did not end in order.
    pub unsealed: u64,
}

/// Checks every line and every seal of one file of a log.
pub fn verify(path: &Path) -> Result<Summary, Broken> {
    let file = File::open(path).map_err(|error| broken(0, format!("{} cannot be read: {error}", path.display())))?;
    scan(&file).map(|found| found.summary)
}

/// Checks several files of a log, oldest first: each by itself, and that each goes on where the one before ended. Says which is broken.
pub fn verify_files<P: AsRef<Path>>(paths: &[P]) -> Result<Summary, (PathBuf, Broken)> {
    let mut whole: Option<Summary> = None;
    for path in paths.iter().map(AsRef::as_ref) {
        let at = |broken| (path.to_owned(), broken);
        let file = File::open(path).map_err(|error| at(broken(0, format!("it cannot be read: {error}"))))?;
        let Found { summary: next, carried, .. } = scan(&file).map_err(at)?;
        whole = Some(match whole {
            None => next,
            Some(before) => joined(before, next, carried).map_err(at)?,
        });
    }
    whole.ok_or_else(|| (PathBuf::new(), broken(0, "no file was named".to_owned())))
}

fn joined(before: Summary, next: Summary, carried: Digest) -> Result<Summary, Broken> {
    if next.after != before.seals {
        let why = format!(
            "it goes on after seal {}, but the file before it ends with seal {}: a file in between is missing, or the order is wrong",
            next.after, before.seals
        );
        return Err(broken(1, why));
    }
    if carried != before.head || before.unsealed > 0 {
        return Err(broken(
            1,
            "it does not go on from the end of the file before it: one of them was changed".to_owned(),
        ));
    }
    Ok(Summary { records: before.records + next.records, after: before.after, ..next })
}

/// What a scan leaves behind to go on from.
pub(super) struct Found {
    pub(super) summary: Summary,
    /// The hash from which the file goes on; zeros at the beginning of a log.
    pub(super) carried: Digest,
    /// Bytes of whole lines.
    pub(super) whole: u64,
    /// Bytes after them.
    pub(super) cut: u64,
    /// The whole lines after the last seal.
    pub(super) tail: Vec<u8>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RecordLine<'a> {
    #[serde(rename = "t")]
    _time_ms: u64,
    #[serde(rename = "tenant", borrow)]
    _tenant: &'a str,
    #[serde(rename = "client", borrow)]
    _client: &'a str,
    #[serde(rename = "system", borrow)]
    _system: &'a str,
    #[serde(rename = "op", borrow)]
    _operation: &'a str,
    #[serde(rename = "key")]
    _key: String,
    #[serde(rename = "outcome", borrow)]
    _outcome: &'a str,
    #[serde(rename = "epoch")]
    _epoch: u64,
    #[serde(rename = "client_correlation", default)]
    _client_correlation: Option<String>,
    #[serde(rename = "server_correlation", default, borrow)]
    _server_correlation: Option<&'a str>,
}

pub(super) fn scan(file: &File) -> Result<Found, Broken> {
    let mut reader = BufReader::new(file);
    let mut found = Found {
        summary: Summary { records: 0, seals: 0, after: 0, head: Digest([0; 32]), unsealed: 0 },
        carried: Digest([0; 32]),
        whole: 0,
        cut: 0,
        tail: vec![],
    };
    let mut line = Vec::with_capacity(512);
    for number in 1u64.. {
        line.clear();
        read_line(&mut reader, &mut line, number)?;
        if line.last() != Some(&b'\n') {
            found.cut = line.len() as u64;
            break;
        }
        found.whole += line.len() as u64;
        take(&mut found, &line, number)?;
    }
    Ok(found)
}

fn read_line(reader: &mut BufReader<&File>, line: &mut Vec<u8>, number: u64) -> Result<(), Broken> {
    let mut limited = std::io::Read::take(reader, LINE_BYTES_MAX as u64);
    limited.read_until(b'\n', line).map_err(|error| broken(number, format!("cannot be read: {error}")))?;
    if line.len() == LINE_BYTES_MAX && line.last() != Some(&b'\n') {
        return Err(broken(number, format!("is longer than {LINE_BYTES_MAX} bytes")));
    }
    Ok(())
}

fn take(found: &mut Found, line: &[u8], number: u64) -> Result<(), Broken> {
    let summary = &mut found.summary;
    if number == 1 && line.starts_with(br#"{"after":"#) {
        let carry: Carry =
            serde_json::from_slice(line).map_err(|error| broken(number, format!("is no first line: {error}")))?;
        (summary.after, summary.seals, summary.head) = (carry.after, carry.after, carry.chain);
        found.carried = carry.chain;
        return Ok(());
    }
    if !line.starts_with(br#"{"seal":"#) {
        let read = match line.starts_with(asked::MARK) {
            true => serde_json::from_slice::<Asked>(line).map(drop),
            false => serde_json::from_slice::<RecordLine<'_>>(line).map(drop),
        };
        read.map_err(|error| broken(number, format!("is no record: {error}")))?;
        summary.unsealed += 1;
        found.tail.extend_from_slice(line);
        return Ok(());
    }
    let stated: Seal = serde_json::from_slice(line).map_err(|error| broken(number, format!("is no seal: {error}")))?;
    let expected = Seal::of(summary.seals, &summary.head, summary.unsealed, &found.tail);
    if stated != expected || stated.line().as_bytes() != line {
        let first = number - summary.unsealed;
        let why = format!(
            "the seal does not fit lines {first} to {number}: one of them, or one before, was changed or removed"
        );
        return Err(broken(number, why));
    }
    summary.records += summary.unsealed;
    summary.seals = stated.seal;
    summary.head = stated.chain;
    summary.unsealed = 0;
    found.tail.clear();
    Ok(())
}

fn broken(line: u64, why: String) -> Broken {
    Broken { line, why }
}
