//! The specification's tables: tags, enumerations, attribute names, usage masks, protocol versions.

mod attributes;
mod capabilities;
mod cryptography;
mod enumeration;
mod protocol;
pub(crate) mod tags;
mod usage;
mod version;

pub use attributes::{AppliesTo, AttributeKind, AttributeName, AttributeRule, Change, SetBy, StandardAttribute};
pub use capabilities::{
    ClientRegistrationMethod, DestroyAction, DrbgAlgorithm, Fips186Variation, KeyWrapType, ProfileName, RngAlgorithm,
    RngMode, ShreddingAlgorithm, UnwrapMode, ValidationAuthorityType, ValidationType,
};
pub use cryptography::{
    BlockCipherMode, CryptographicAlgorithm, DerivationMethod, DigitalSignatureAlgorithm, EncodingOption,
    HashingAlgorithm, KeyCompressionType, KeyFormatType, KeyRoleType, MaskGenerator, PaddingMethod, RecommendedCurve,
    SplitKeyMethod, WrappingMethod,
};
pub(crate) use enumeration::Listed;
pub use protocol::{
    AlternativeNameType, AttestationType, BatchErrorContinuation, CancellationResult, CertificateRequestType,
    CertificateType, CredentialType, KeyValueLocationType, LinkType, NameType, ObjectGroupMember, ObjectType,
    Operation, PutFunction, QueryFunction, ResultReason, ResultStatus, RevocationReasonCode, SecretDataType, State,
    UsageLimitsUnit, ValidityIndicator,
};
pub use tags::Tag;
pub(crate) use usage::STORAGE_STATUS_NAMES;
pub use usage::UsageMask;
pub use version::ProtocolVersion;

/// Every enumeration of KMIP 1.4 (§9.1.3.2).
pub(crate) fn enumerations() -> impl Iterator<Item = &'static Listed> {
    [protocol::LISTED, cryptography::LISTED, capabilities::LISTED].into_iter().flatten()
}
