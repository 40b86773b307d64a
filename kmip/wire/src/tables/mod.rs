//! The specification's tables: tags, enumerations, attribute names, usage masks, protocol versions.

mod attributes;
mod cryptography;
mod enumeration;
mod protocol;
pub(crate) mod tags;
mod usage;
mod version;

pub use attributes::{AttributeKind, AttributeName, AttributeRule, SetBy, StandardAttribute};
pub use cryptography::{
    BlockCipherMode, CryptographicAlgorithm, DigitalSignatureAlgorithm, HashingAlgorithm, KeyCompressionType,
    KeyFormatType, KeyRoleType, MaskGenerator, PaddingMethod,
};
pub use protocol::{
    AlternativeNameType, BatchErrorContinuation, LinkType, NameType, ObjectGroupMember, ObjectType, Operation,
    QueryFunction, ResultReason, ResultStatus, RevocationReasonCode, SecretDataType, State,
};
pub use tags::Tag;
pub use usage::UsageMask;
pub use version::ProtocolVersion;
