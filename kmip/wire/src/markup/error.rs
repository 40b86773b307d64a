//! What can be wrong with a message in XML or JSON, and where.

use crate::{tables::ResultReason, ttlv::Kind};

/// A text that cannot be taken, or a frame that cannot be written as text.
///
/// `place` is the number of the item, counted from 1 in the order of the text, with the names of the structures around it, or line
/// and column where there is no item yet. No value but the name of an enumeration's value is repeated: it may be a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MarkupError {
    #[error("line {line}, column {column}: {what}")]
    Syntax { line: usize, column: usize, what: String },
    #[error("the text has {found} bytes, at most {max} are taken; send less in one message")]
    TooLong { found: usize, max: usize },
    #[error("{place}: structures are nested more than {max} deep")]
    TooDeep { place: String, max: usize },
    #[error("{place}: the message has more than {max} items; send less in one message")]
    TooManyItems { place: String, max: usize },
    #[error(
        "{place}: `{found}` is no tag of KMIP 1.4; any other is written as 0x42 or 0x54 and four more hexadecimal digits"
    )]
    Tag { place: String, found: String },
    #[error(
        "{place}: `{found}` is no item type; Structure, Integer, LongInteger, BigInteger, Enumeration, Boolean, TextString, ByteString, DateTime and Interval are"
    )]
    Type { place: String, found: String },
    #[error("{place}: the value of an item of type {kind} is {expected}")]
    Value { place: String, kind: Kind, expected: &'static str },
    #[error(
        "{place}: `{found}` names no value of this field in KMIP 1.4; write 0x and up to eight hexadecimal digits instead"
    )]
    Name { place: String, found: String },
    #[error("{place}: {what}")]
    Form { place: String, what: &'static str },
    #[error("{place}: the text holds U+{found:04X}, which XML 1.0 cannot hold; ask for it in TTLV or JSON")]
    NotXml { place: String, found: u32 },
}

impl MarkupError {
    /// The Result Reason of KMIP 1.4 §11.1 for this fault.
    pub fn reason(&self) -> ResultReason {
        match self {
            Self::Name { .. } => ResultReason::InvalidField,
            // The message was right; its answer is what this encoding cannot carry.
            Self::NotXml { .. } => ResultReason::GeneralFailure,
            Self::Syntax { .. }
            | Self::TooLong { .. }
            | Self::TooDeep { .. }
            | Self::TooManyItems { .. }
            | Self::Tag { .. }
            | Self::Type { .. }
            | Self::Value { .. }
            | Self::Form { .. } => ResultReason::InvalidMessage,
        }
    }
}

/// Most characters of the text that an error repeats.
const REPEATED_CHARS_MAX: usize = 64;

/// As much of `text` as an error repeats, without control characters.
pub(super) fn clip(text: &str) -> String {
    text.chars().take(REPEATED_CHARS_MAX).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_repeats_little_of_the_text() {
        assert_eq!(clip("Ac\ntive"), "Ac tive");
        assert_eq!(clip(&"é".repeat(10_000)).chars().count(), REPEATED_CHARS_MAX);
    }
}
