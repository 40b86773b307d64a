//! What this region asked of a customer's KMS, attempt by attempt: our half of a double entry.
//!
//! The customer's KMS keeps a book of its own (AWS: CloudTrail). Each attempt is told to whoever keeps ours, with the number that the
//! KMS gave the request, so that the two can be held against each other (`kcm audit reconcile`). An attempt without an answer is told
//! as well: the KMS may have seen it.

use orbital::names::KeyRef;

use super::Context;

/// The outcome of an attempt that the KMS granted.
pub const GRANTED: &str = "Success";
/// The outcome of an attempt that nobody answered.
pub const UNANSWERED: &str = "NoAnswer";

/// One attempt.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    pub provider: &'static str,
    /// As the KMS calls it: `Encrypt`, `Decrypt`, `DescribeKey`.
    pub operation: &'static str,
    pub key: &'a KeyRef,
    /// What it was bound to; none where the operation takes none.
    pub context: Option<&'a Context>,
    /// The number that the KMS gave the request; none where no answer came.
    pub request: Option<&'a str>,
    /// [`GRANTED`], the KMS's error code, the status of an answer without one, or [`UNANSWERED`].
    pub outcome: &'a str,
}

/// Who writes attempts down. Called while an answer is awaited: it must not wait itself.
pub trait Calls: Send + Sync {
    fn called(&self, call: &Call<'_>);
}

/// For benches and tests: nobody does.
impl Calls for () {
    fn called(&self, _call: &Call<'_>) {}
}
