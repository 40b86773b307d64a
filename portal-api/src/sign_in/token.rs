//! Tokens of the identity provider: from bytes to what they prove, by pure functions of the bytes, the provider's keys, what is expected,
//! and the time.
//!
//! [`jws`] says that a key of the provider signed it, [`claims`] that it is for us, now, and of the kind that was asked for. A token is
//! taken apart in this order alone: nothing in it is believed before its signature is.

pub(crate) mod claims;
pub(crate) mod jws;
pub(crate) mod keys;

#[cfg(test)]
mod tests;

/// Largest token, in bytes.
pub(crate) const TOKEN_BYTES_MAX: usize = 16 * 1024;
/// How far the provider's clock and ours may be apart.
pub(crate) const SKEW_SECONDS_MAX: u64 = 60;

/// Why a token proves nothing. For the log: whoever brought it learns only that it does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Flaw {
    #[error("it has {0} bytes, at most {TOKEN_BYTES_MAX} are read")]
    TooLarge(usize),
    #[error("it is no signed token in compact form: {0}")]
    Malformed(&'static str),
    #[error("its {part} does not read: {why}")]
    Unreadable { part: &'static str, why: String },
    #[error("its algorithm `{0}` is none of ES256, RS256, EdDSA")]
    Algorithm(String),
    #[error("the provider has no key for it ({0})")]
    UnknownKey(String),
    #[error("no key of the provider verifies its signature")]
    Signature,
    #[error("its type is `{found}`, expected {wanted}")]
    Type { found: String, wanted: &'static str },
    #[error("`{0}` is missing")]
    Missing(&'static str),
    #[error("`{0}` is another than expected")]
    Other(&'static str),
    #[error("`{0}` must not be there")]
    Unwanted(&'static str),
    #[error("`{claim}` is {found}, and it is {now} now")]
    Time { claim: &'static str, found: u64, now: u64 },
    #[error("`sub` names nobody: {0}")]
    Subject(#[from] orbital::subject::BadSubject),
    /// The person proved too little about themselves, by what stands in the claim.
    #[error("`{0}` does not show what the topology demands (governance.login.mfa)")]
    Weak(&'static str),
    #[error("it is replayed: its `jti` came before")]
    Replayed,
}
