//! The lines of the log: records and seals.

use aws_lc_rs::digest::{Context, SHA256};
use orbital::names::Digest;
use serde::{Deserialize, Serialize};

use crate::caller::Caller;

/// Longest text that a client chose and that is in a line, in characters.
const KEY_TEXT_MAX: usize = 64;

/// What one operation leaves.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Milliseconds since 1970.
    pub time_ms: u64,
    pub caller: &'a Caller,
    pub operation: &'static str,
    /// The Unique Identifier; empty for operations without one.
    pub key: &'a str,
    /// `Success`, or the name of the Result Reason.
    pub outcome: &'static str,
    /// The tenant's epoch under which it was decided.
    pub epoch: u64,
    /// By what the client and this server call the message, if the client calls it by anything (KMIP 1.4 §6.18, §6.19).
    pub correlation: Option<(&'a str, &'a str)>,
}

impl Record<'_> {
    /// Appends the line. Every text but the key is of an alphabet that JSON takes as it is. Every operation writes one: no formatting
    /// machinery, and what the caller contributes is made once a connection.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(br#"{"t":"#);
        write_number(out, self.time_ms);
        out.push(b',');
        out.extend_from_slice(self.caller.record().as_bytes());
        out.extend_from_slice(br#","op":""#);
        out.extend_from_slice(self.operation.as_bytes());
        out.extend_from_slice(br#"","key":"#);
        write_text(out, self.key);
        out.extend_from_slice(br#","outcome":""#);
        out.extend_from_slice(self.outcome.as_bytes());
        out.extend_from_slice(br#"","epoch":"#);
        write_number(out, self.epoch);
        if let Some((client, server)) = self.correlation {
            out.extend_from_slice(br#","client_correlation":"#);
            write_text(out, client);
            out.extend_from_slice(br#","server_correlation":"#);
            write_text(out, server);
        }
        out.extend_from_slice(b"}\n");
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    // Without an early end, so that many bytes are looked at at once.
    let plain = text.bytes().fold(true, |plain, byte| plain & (byte.is_ascii_alphanumeric() | (byte == b'-')));
    if plain && text.len() <= KEY_TEXT_MAX {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
        return;
    }
    let short: String = text.chars().take(KEY_TEXT_MAX).collect();
    out.extend_from_slice(serde_json::Value::String(short).to_string().as_bytes());
}

fn write_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

/// The first line of a file that goes on from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Carry {
    /// The last seal of the file before.
    pub(super) after: u64,
    /// That seal's hash. The first seal of this file covers both.
    pub(super) chain: Digest,
}

impl Carry {
    pub(super) fn line(&self) -> String {
        format!(r#"{{"after":{},"chain":"{}"}}{}"#, self.after, self.chain, '\n')
    }
}

/// The last line of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Seal {
    /// Counts the seals from 1.
    pub(super) seal: u64,
    pub(super) records: u64,
    pub(super) chain: Digest,
}

impl Seal {
    /// The seal of a batch of whole lines that follows `previous` ([`Digest`] of zeros and seal 0 at the beginning).
    pub(super) fn of(previous: u64, chain: &Digest, records: u64, batch: &[u8]) -> Self {
        let seal = previous + 1;
        let mut hash = Context::new(&SHA256);
        hash.update(b"openkcm/kmip-audit/v1\0");
        hash.update(chain.as_bytes());
        hash.update(&seal.to_be_bytes());
        hash.update(&records.to_be_bytes());
        hash.update(batch);
        Self { seal, records, chain: Digest(<[u8; 32]>::try_from(hash.finish().as_ref()).unwrap_or_default()) }
    }

    pub(super) fn line(&self) -> String {
        format!(r#"{{"seal":{},"records":{},"chain":"{}"}}{}"#, self.seal, self.records, self.chain, '\n')
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_are_written_as_decimals(number: u64) {
            let mut out = vec![b'x'];
            write_number(&mut out, number);
            prop_assert_eq!(out, format!("x{number}").into_bytes());
        }

        #[test]
        fn any_text_reads_back_as_its_beginning(text: String) {
            let mut out = vec![];
            write_text(&mut out, &text);
            let read: String = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(read, text.chars().take(KEY_TEXT_MAX).collect::<String>());
        }
    }
}
