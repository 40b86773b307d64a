//! The lines of what the region asked of a customer's KMS: they stand among the records, under the same seals.

use std::collections::BTreeMap;

use custody::l1::calls::Call;
use serde::{Deserialize, Serialize};

/// Longest text of a KMS that is in a line, in characters.
const TEXT_MAX: usize = 128;

/// What such a line begins with; no record does.
pub(super) const MARK: &[u8] = br#"{"l1":"#;

/// One attempt at a customer's KMS.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Asked {
    /// The provider, such as `aws-kms`.
    pub l1: String,
    /// When the answer came, in milliseconds since 1970.
    pub t: u64,
    /// As the KMS calls it, such as `Decrypt`.
    pub call: String,
    /// The key as it was named.
    pub key: String,
    /// What it was bound to, as the KMS got it; empty for an operation that takes nothing.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub context: BTreeMap<String, String>,
    /// The number that the KMS gave it; none where no answer came.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<String>,
    /// `Success`, the KMS's error code, or `NoAnswer`.
    pub outcome: String,
}

impl Asked {
    pub(super) fn of(time_ms: u64, call: &Call<'_>) -> Self {
        let short = |text: &str| text.chars().take(TEXT_MAX).collect();
        let pairs = call.context.into_iter().flat_map(custody::l1::Context::pairs);
        Self {
            l1: call.provider.to_owned(),
            t: time_ms,
            call: call.operation.to_owned(),
            key: call.key.to_string(),
            context: pairs.map(|(name, value)| (name.to_owned(), value)).collect(),
            request: call.request.map(short),
            outcome: short(call.outcome),
        }
    }

    /// Appends the line. Nothing in it fails to serialize; were it so, no line is better than half a one.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        if let Ok(line) = serde_json::to_vec(self) {
            out.extend_from_slice(&line);
            out.push(b'\n');
        }
    }
}
