//! What can be wrong with a message, and which Result Reason says so.

use crate::{
    markup::MarkupError,
    tables::{ProtocolVersion, ResultReason, Tag},
    ttlv::Kind,
};

/// A message that cannot be taken: what is wrong and where. The texts go to the client as Result Message.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WireError {
    #[error("byte {at}: an item needs {needs} bytes, its container has only {has} left")]
    Truncated { at: usize, needs: u64, has: u64 },
    #[error("byte {at}: a tag starts with 42 (or 54 for an extension), found {found:02X}")]
    BadTag { at: usize, found: u8 },
    #[error("byte {at}: {found:#04x} is no item type; 01 to 0A are")]
    BadKind { at: usize, found: u8 },
    #[error("byte {at}: {tag} has length {found}, which its type does not allow")]
    BadLength { at: usize, tag: Tag, found: u64 },
    #[error("byte {at}: the padding of {tag} is not zero")]
    BadPadding { at: usize, tag: Tag },
    #[error("byte {at}: {tag} is a Boolean and can only be 0 or 1")]
    BadBoolean { at: usize, tag: Tag },
    #[error("byte {at}: {tag} is not UTF-8")]
    BadText { at: usize, tag: Tag },
    #[error("byte {at}: structures are nested more than {max} deep")]
    TooDeep { at: usize, max: usize },
    #[error("byte {at}: the message has more than {max} items")]
    TooManyItems { at: usize, max: usize },
    #[error("the message announces {found} bytes, at most {max} are taken; send less in one message")]
    TooLarge { found: u64, max: usize },
    #[error("{extra} bytes follow the end of the message")]
    TrailingBytes { extra: usize },
    #[error("a message starts with {expected}, found {found}")]
    NotAMessage { expected: Tag, found: Tag },
    #[error("{structure} lacks {field}, which is required")]
    Missing { structure: Tag, field: Tag },
    #[error("{structure} holds {field} more than once")]
    Twice { structure: Tag, field: Tag },
    #[error("{structure} holds {field}, which KMIP {version} does not define there")]
    UnknownField { structure: Tag, field: Tag, version: ProtocolVersion },
    #[error("{field} must be of type {expected}, found {found}")]
    WrongKind { field: Tag, expected: Kind, found: Kind },
    #[error("{field} has the value {found:#x}, which is not defined")]
    UnknownValue { field: Tag, found: u32 },
    #[error("{field} is {found}, which is out of range")]
    OutOfRange { field: Tag, found: i64 },
    #[error(
        "the structure of a custom attribute holds {field}, which is a structure again; only flat ones are allowed"
    )]
    Nested { field: Tag },
    #[error("attribute `{name}` is not known in KMIP {version}")]
    UnknownAttribute { name: String, version: ProtocolVersion },
    #[error("protocol version {found} is not served; 1.0 to 1.4 are")]
    Version { found: ProtocolVersion },
    #[error("Batch Count is {announced}, the message holds {found} batch items")]
    BatchCount { announced: i64, found: usize },
    #[error("a batch has at most {max} items, found {found}; split it")]
    BatchTooLarge { max: usize, found: usize },
    #[error("each item of a batch needs its own Unique Batch Item ID")]
    BatchItemId,
    #[error("operation {code:#x} is not supported in KMIP {version}")]
    UnknownOperation { code: u32, version: ProtocolVersion },
    #[error("{what} is not supported")]
    Unsupported { what: &'static str },
    /// A message in XML or JSON. Boxed, so that a result of the TTLV path is no larger for it.
    #[error(transparent)]
    Markup(Box<MarkupError>),
}

impl From<MarkupError> for WireError {
    fn from(error: MarkupError) -> Self {
        Self::Markup(Box::new(error))
    }
}

impl WireError {
    /// The Result Reason of KMIP 1.4 §11.1 for this fault.
    pub fn reason(&self) -> ResultReason {
        match self {
            Self::UnknownField { .. }
            | Self::UnknownValue { .. }
            | Self::OutOfRange { .. }
            | Self::Nested { .. }
            | Self::UnknownAttribute { .. } => ResultReason::InvalidField,
            Self::UnknownOperation { .. } => ResultReason::OperationNotSupported,
            Self::Unsupported { .. } => ResultReason::FeatureNotSupported,
            Self::Markup(error) => error.reason(),
            Self::Truncated { .. }
            | Self::BadTag { .. }
            | Self::BadKind { .. }
            | Self::BadLength { .. }
            | Self::BadPadding { .. }
            | Self::BadBoolean { .. }
            | Self::BadText { .. }
            | Self::TooDeep { .. }
            | Self::TooManyItems { .. }
            | Self::TooLarge { .. }
            | Self::TrailingBytes { .. }
            | Self::NotAMessage { .. }
            | Self::Missing { .. }
            | Self::Twice { .. }
            | Self::WrongKind { .. }
            | Self::Version { .. }
            | Self::BatchCount { .. }
            | Self::BatchTooLarge { .. }
            | Self::BatchItemId => ResultReason::InvalidMessage,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_stays_small_enough_to_be_returned_for_each_field() {
        assert!(size_of::<WireError>() <= 32);
    }
}
