//! What the audit says of the object of an operation, and what becomes of the operation itself.

use custody::names::ObjectText;

/// What an operation named, as the audit shows it.
pub(crate) enum Named {
    Nothing,
    Object(ObjectText),
    /// A text that is no id of ours.
    Other(String),
}

impl Named {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Nothing => "",
            Self::Object(text) => text,
            Self::Other(text) => text,
        }
    }
}

/// What the audit is to say of an operation besides its outcome.
pub(crate) enum Course {
    Plain,
    /// It is pending.
    Pending,
    /// It is this one that was pending, and was polled.
    Polled(kmip::Operation),
}
