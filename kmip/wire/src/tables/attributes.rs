//! The attributes of KMIP 1.4 (§3), with their rules.

use std::fmt;

use super::{ObjectType, ProtocolVersion, Tag};

/// Which type an attribute's value has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttributeKind {
    Integer,
    Enumeration,
    Boolean,
    Text,
    DateTime,
    Interval,
    Name,
    CryptographicParameters,
    CryptographicDomainParameters,
    X509CertificateIdentifier,
    X509CertificateSubject,
    X509CertificateIssuer,
    CertificateIdentifier,
    CertificateSubject,
    CertificateIssuer,
    Digest,
    UsageLimits,
    RevocationReason,
    Link,
    ApplicationSpecificInformation,
    AlternativeName,
    KeyValueLocation,
    RandomNumberGenerator,
}

/// Who gives an attribute its first value ("Initially set by").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetBy {
    /// The server alone; from a client it is read-only.
    Server,
    /// Client or server, in the request that makes the object and never later.
    Creator,
    /// Client or server, at any time.
    Client,
}

/// When a client may change an instance that there is ("Modifiable by client").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    Never,
    Always,
    /// While the object is Pre-Active.
    PreActive,
    /// While the object is Pre-Active or Active.
    InUse,
    /// While the object is Pre-Active or Active and the date that is set has not been reached.
    UntilReached,
    /// Until a Get Usage Allocation was served.
    Unallocated,
}

/// Which objects can have an attribute ("Applies to Object Types").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppliesTo {
    All,
    /// All but Opaque Objects.
    Cryptographic,
    /// Symmetric, public, private, split and PGP keys.
    Keys,
    /// Keys and certificates.
    KeysAndCertificates,
    Certificates,
    /// Symmetric keys and parts of them.
    SymmetricKeys,
    /// Public and private keys.
    AsymmetricKeys,
    /// What has a Key Value of its own: symmetric, private and split keys, secret data.
    KeyValues,
}

impl AppliesTo {
    /// Whether objects of this type can have the attribute. Templates are left aside: there are none here.
    pub const fn covers(self, object_type: ObjectType) -> bool {
        use ObjectType as T;
        match self {
            Self::All => true,
            Self::Cryptographic => !matches!(object_type, T::OpaqueObject),
            Self::Keys => {
                matches!(object_type, T::SymmetricKey | T::PublicKey | T::PrivateKey | T::SplitKey | T::PgpKey)
            }
            Self::KeysAndCertificates => matches!(object_type, T::Certificate) || Self::Keys.covers(object_type),
            Self::Certificates => matches!(object_type, T::Certificate),
            Self::SymmetricKeys => matches!(object_type, T::SymmetricKey | T::SplitKey),
            Self::AsymmetricKeys => matches!(object_type, T::PublicKey | T::PrivateKey),
            Self::KeyValues => {
                matches!(object_type, T::SymmetricKey | T::PrivateKey | T::SplitKey | T::SecretData)
            }
        }
    }
}

/// What the specification says of one attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AttributeRule {
    pub name: &'static str,
    pub kind: AttributeKind,
    pub since: ProtocolVersion,
    pub set_by: SetBy,
    /// Whether an object can have several instances.
    pub repeats: bool,
    pub change: Change,
    /// Whether a client may delete an instance.
    pub deletable: bool,
    pub applies_to: AppliesTo,
}

macro_rules! attributes {
    ($($variant:ident $text:literal $kind:ident $since:ident $by:ident $repeats:ident $change:ident $deletable:ident $on:ident;)*) => {
        /// An attribute of the standard.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum StandardAttribute { $($variant,)* }

        impl StandardAttribute {
            /// Every attribute, in the specification's order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            pub const fn rule(self) -> AttributeRule {
                match self {
                    $(Self::$variant => AttributeRule {
                        name: $text,
                        kind: AttributeKind::$kind,
                        since: ProtocolVersion::$since,
                        set_by: SetBy::$by,
                        repeats: attributes!(@ $repeats),
                        change: Change::$change,
                        deletable: attributes!(@ $deletable),
                        applies_to: AppliesTo::$on,
                    },)*
                }
            }

            /// Finds an attribute by the exact name that the specification prints.
            pub fn named(text: &str) -> Option<Self> {
                match text {
                    $($text => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
    (@ many) => { true };
    (@ one) => { false };
    (@ delete) => { true };
    (@ keep) => { false };
}

// Name, type, version, then the rows of each section's second table: initially set by, instances, modifiable by client, deletable
// by client, applies to. Certificate Length and Digital Signature Algorithm are the server's by §3.9 and §3.16; a Register shall have
// them by §4.3, so what it says must be true.
attributes! {
    UniqueIdentifier "Unique Identifier" Text V1_0 Server one Never keep All;
    Name "Name" Name V1_0 Client many Always delete All;
    ObjectType "Object Type" Enumeration V1_0 Server one Never keep All;
    CryptographicAlgorithm "Cryptographic Algorithm" Enumeration V1_0 Creator one Never keep KeysAndCertificates;
    CryptographicLength "Cryptographic Length" Integer V1_0 Creator one Never keep KeysAndCertificates;
    CryptographicParameters "Cryptographic Parameters" CryptographicParameters V1_0 Client many Always delete KeysAndCertificates;
    CryptographicDomainParameters "Cryptographic Domain Parameters" CryptographicDomainParameters V1_0 Creator one Never keep AsymmetricKeys;
    CertificateType "Certificate Type" Enumeration V1_0 Server one Never keep Certificates;
    CertificateLength "Certificate Length" Integer V1_1 Creator one Never keep Certificates;
    X509CertificateIdentifier "X.509 Certificate Identifier" X509CertificateIdentifier V1_1 Server one Never keep Certificates;
    X509CertificateSubject "X.509 Certificate Subject" X509CertificateSubject V1_1 Server one Never keep Certificates;
    X509CertificateIssuer "X.509 Certificate Issuer" X509CertificateIssuer V1_1 Server one Never keep Certificates;
    CertificateIdentifier "Certificate Identifier" CertificateIdentifier V1_0 Server one Never keep Certificates;
    CertificateSubject "Certificate Subject" CertificateSubject V1_0 Server one Never keep Certificates;
    CertificateIssuer "Certificate Issuer" CertificateIssuer V1_0 Server one Never keep Certificates;
    DigitalSignatureAlgorithm "Digital Signature Algorithm" Enumeration V1_1 Creator one Never keep Certificates;
    Digest "Digest" Digest V1_0 Server many Never keep All;
    OperationPolicyName "Operation Policy Name" Text V1_0 Client one Never keep All;
    CryptographicUsageMask "Cryptographic Usage Mask" Integer V1_0 Creator one Never keep Cryptographic;
    LeaseTime "Lease Time" Interval V1_0 Server one Never keep Cryptographic;
    UsageLimits "Usage Limits" UsageLimits V1_0 Client one Unallocated delete Keys;
    State "State" Enumeration V1_0 Server one Never keep Cryptographic;
    InitialDate "Initial Date" DateTime V1_0 Server one Never keep All;
    ActivationDate "Activation Date" DateTime V1_0 Client one PreActive keep Cryptographic;
    ProcessStartDate "Process Start Date" DateTime V1_0 Client one UntilReached keep SymmetricKeys;
    ProtectStopDate "Protect Stop Date" DateTime V1_0 Client one UntilReached keep SymmetricKeys;
    DeactivationDate "Deactivation Date" DateTime V1_0 Client one InUse keep Cryptographic;
    DestroyDate "Destroy Date" DateTime V1_0 Server one Never keep All;
    CompromiseOccurrenceDate "Compromise Occurrence Date" DateTime V1_0 Server one Never keep All;
    CompromiseDate "Compromise Date" DateTime V1_0 Server one Never keep All;
    RevocationReason "Revocation Reason" RevocationReason V1_0 Server one Never keep All;
    ArchiveDate "Archive Date" DateTime V1_0 Server one Never keep All;
    ObjectGroup "Object Group" Text V1_0 Client many Always delete All;
    Fresh "Fresh" Boolean V1_1 Creator one Never keep Cryptographic;
    Link "Link" Link V1_0 Client many Always delete Cryptographic;
    ApplicationSpecificInformation "Application Specific Information" ApplicationSpecificInformation V1_0 Client many Always delete All;
    ContactInformation "Contact Information" Text V1_0 Client one Always delete All;
    LastChangeDate "Last Change Date" DateTime V1_0 Server one Never keep All;
    AlternativeName "Alternative Name" AlternativeName V1_2 Client many Always delete All;
    KeyValuePresent "Key Value Present" Boolean V1_2 Server one Never keep KeyValues;
    KeyValueLocation "Key Value Location" KeyValueLocation V1_2 Client many Always delete KeyValues;
    OriginalCreationDate "Original Creation Date" DateTime V1_2 Client one Never keep All;
    RandomNumberGenerator "Random Number Generator" RandomNumberGenerator V1_3 Client one Never keep Cryptographic;
    Pkcs12FriendlyName "PKCS#12 Friendly Name" Text V1_4 Client one Always delete Cryptographic;
    Description "Description" Text V1_4 Client one Always delete All;
    Comment "Comment" Text V1_4 Client one Always delete All;
    Sensitive "Sensitive" Boolean V1_4 Client one Always keep All;
    AlwaysSensitive "Always Sensitive" Boolean V1_4 Server one Never keep All;
    Extractable "Extractable" Boolean V1_4 Client one Always keep All;
    NeverExtractable "Never Extractable" Boolean V1_4 Server one Never keep All;
}

impl StandardAttribute {
    /// The tag whose enumeration this attribute's value is of, for the attributes of kind `Enumeration`.
    pub const fn enumeration_tag(self) -> Option<Tag> {
        match self {
            Self::ObjectType => Some(Tag::OBJECT_TYPE),
            Self::CryptographicAlgorithm => Some(Tag::CRYPTOGRAPHIC_ALGORITHM),
            Self::State => Some(Tag::STATE),
            Self::CertificateType => Some(Tag::CERTIFICATE_TYPE),
            Self::DigitalSignatureAlgorithm => Some(Tag::DIGITAL_SIGNATURE_ALGORITHM),
            _ => None,
        }
    }
}

/// The name of an attribute: one of the standard, or a custom one.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttributeName {
    Standard(StandardAttribute),
    /// `x-` (set by a client) or `y-` (set by a server) and a name (§3.39).
    Custom(String),
}

impl AttributeName {
    /// Longest name of a custom attribute, in bytes. The Tape Library profile needs 64.
    pub const CUSTOM_BYTES_MAX: usize = 256;

    /// Reads a name; `None` for one that `version` does not know.
    pub fn parse(text: &str, version: ProtocolVersion) -> Option<Self> {
        if (text.starts_with("x-") || text.starts_with("y-")) && text.len() <= Self::CUSTOM_BYTES_MAX {
            return Some(Self::Custom(text.to_owned()));
        }
        StandardAttribute::named(text).filter(|name| version.knows(name.rule().since)).map(Self::Standard)
    }

    pub fn as_str(&self) -> &str {
        match self {
            Self::Standard(name) => name.rule().name,
            Self::Custom(name) => name,
        }
    }

    /// The version of KMIP that brought the attribute.
    pub fn since(&self) -> ProtocolVersion {
        match self {
            Self::Standard(name) => name.rule().since,
            Self::Custom(_) => ProtocolVersion::V1_0,
        }
    }
}

impl From<StandardAttribute> for AttributeName {
    fn from(name: StandardAttribute) -> Self {
        Self::Standard(name)
    }
}

impl fmt::Display for AttributeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_belong_to_versions() {
        assert_eq!(AttributeName::parse("State", ProtocolVersion::V1_0), Some(StandardAttribute::State.into()));
        assert_eq!(AttributeName::parse("Sensitive", ProtocolVersion::V1_3), None);
        assert_eq!(AttributeName::parse("Sensitive", ProtocolVersion::V1_4), Some(StandardAttribute::Sensitive.into()));
        assert_eq!(AttributeName::parse("state", ProtocolVersion::V1_4), None);
        let long = format!("x-{}", "n".repeat(300));
        assert_eq!(AttributeName::parse(&long, ProtocolVersion::V1_4), None);
        for &name in StandardAttribute::ALL {
            assert_eq!(StandardAttribute::named(name.rule().name), Some(name));
        }
    }

    /// The last row of each section's second table.
    #[test]
    fn attributes_belong_to_types_of_objects() {
        let types = |applies_to: AppliesTo| -> Vec<u32> {
            let covered = ObjectType::ALL.iter().filter(|&&object_type| applies_to.covers(object_type));
            covered.filter(|&&object_type| object_type != ObjectType::Template).map(|one| one.code()).collect()
        };
        assert_eq!(types(AppliesTo::All), [1, 2, 3, 4, 5, 7, 8, 9]);
        assert_eq!(types(AppliesTo::Cryptographic), [1, 2, 3, 4, 5, 7, 9]);
        assert_eq!(types(AppliesTo::Keys), [2, 3, 4, 5, 9]);
        assert_eq!(types(AppliesTo::KeysAndCertificates), [1, 2, 3, 4, 5, 9]);
        assert_eq!(types(AppliesTo::Certificates), [1]);
        assert_eq!(types(AppliesTo::SymmetricKeys), [2, 5]);
        assert_eq!(types(AppliesTo::AsymmetricKeys), [3, 4]);
        assert_eq!(types(AppliesTo::KeyValues), [2, 4, 5, 7]);
    }

    /// §3: what the server alone sets, a client neither changes nor deletes.
    #[test]
    fn what_is_read_only_is_so_in_every_column() {
        for rule in StandardAttribute::ALL.iter().map(|name| name.rule()) {
            if rule.set_by != SetBy::Client {
                assert_eq!((rule.change, rule.deletable), (Change::Never, false), "{}", rule.name);
            }
        }
    }
}
