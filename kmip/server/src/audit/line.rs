//! The lines of the log: records and seals.

use std::io::Write;

use aws_lc_rs::digest::{Context, SHA256};
use orbital::names::Digest;
use serde::{Deserialize, Serialize};

use crate::caller::Caller;

/// Longest text of a key that a client named but that is none of ours, in characters.
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
}

impl Record<'_> {
    /// Appends the line. Every text but the key is of an alphabet that JSON takes as it is.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let Self { time_ms, caller, operation, outcome, epoch, .. } = self;
        let (tenant, client, system) = (caller.tenant(), caller.label(), caller.system());
        let before = out.len();
        let written = write!(
            out,
            r#"{{"t":{time_ms},"tenant":"{tenant}","client":"{client}","system":"{system}","op":"{operation}","key":"#
        )
        .and_then(|()| write_text(out, self.key))
        .and_then(|()| writeln!(out, r#","outcome":"{outcome}","epoch":{epoch}}}"#));
        // Writing to memory does not fail.
        if written.is_err() {
            out.truncate(before);
        }
    }
}

fn write_text(out: &mut Vec<u8>, text: &str) -> std::io::Result<()> {
    if text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') && text.len() <= KEY_TEXT_MAX {
        return write!(out, r#""{text}""#);
    }
    let short: String = text.chars().take(KEY_TEXT_MAX).collect();
    serde_json::to_writer(out, &short).map_err(Into::into)
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
