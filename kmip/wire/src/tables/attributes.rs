//! The attributes of KMIP 1.4 that symmetric keys and secret data can have (§3), with their rules.

use std::fmt;

use super::{ProtocolVersion, Tag};

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
    Digest,
    UsageLimits,
    RevocationReason,
    Link,
    ApplicationSpecificInformation,
    AlternativeName,
    RandomNumberGenerator,
}

/// Who may set an attribute when an object is created or registered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetBy {
    /// The server alone; from a client it is read-only.
    Server,
    /// Client or server.
    Client,
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
}

macro_rules! attributes {
    ($($variant:ident $text:literal $kind:ident $since:ident $by:ident $repeats:literal;)*) => {
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
                        repeats: $repeats,
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
}

attributes! {
    UniqueIdentifier "Unique Identifier" Text V1_0 Server false;
    Name "Name" Name V1_0 Client true;
    ObjectType "Object Type" Enumeration V1_0 Server false;
    CryptographicAlgorithm "Cryptographic Algorithm" Enumeration V1_0 Client false;
    CryptographicLength "Cryptographic Length" Integer V1_0 Client false;
    CryptographicParameters "Cryptographic Parameters" CryptographicParameters V1_0 Client true;
    Digest "Digest" Digest V1_0 Server true;
    OperationPolicyName "Operation Policy Name" Text V1_0 Client false;
    CryptographicUsageMask "Cryptographic Usage Mask" Integer V1_0 Client false;
    LeaseTime "Lease Time" Interval V1_0 Server false;
    UsageLimits "Usage Limits" UsageLimits V1_0 Client false;
    State "State" Enumeration V1_0 Server false;
    InitialDate "Initial Date" DateTime V1_0 Server false;
    ActivationDate "Activation Date" DateTime V1_0 Client false;
    ProcessStartDate "Process Start Date" DateTime V1_0 Client false;
    ProtectStopDate "Protect Stop Date" DateTime V1_0 Client false;
    DeactivationDate "Deactivation Date" DateTime V1_0 Client false;
    DestroyDate "Destroy Date" DateTime V1_0 Server false;
    CompromiseOccurrenceDate "Compromise Occurrence Date" DateTime V1_0 Server false;
    CompromiseDate "Compromise Date" DateTime V1_0 Server false;
    RevocationReason "Revocation Reason" RevocationReason V1_0 Server false;
    ArchiveDate "Archive Date" DateTime V1_0 Server false;
    ObjectGroup "Object Group" Text V1_0 Client true;
    Fresh "Fresh" Boolean V1_1 Server false;
    Link "Link" Link V1_0 Client true;
    ApplicationSpecificInformation "Application Specific Information" ApplicationSpecificInformation V1_0 Client true;
    ContactInformation "Contact Information" Text V1_0 Client false;
    LastChangeDate "Last Change Date" DateTime V1_0 Server false;
    AlternativeName "Alternative Name" AlternativeName V1_2 Client true;
    KeyValuePresent "Key Value Present" Boolean V1_2 Server false;
    OriginalCreationDate "Original Creation Date" DateTime V1_2 Client false;
    RandomNumberGenerator "Random Number Generator" RandomNumberGenerator V1_3 Client false;
    Description "Description" Text V1_4 Client false;
    Comment "Comment" Text V1_4 Client false;
    Sensitive "Sensitive" Boolean V1_4 Client false;
    AlwaysSensitive "Always Sensitive" Boolean V1_4 Server false;
    Extractable "Extractable" Boolean V1_4 Client false;
    NeverExtractable "Never Extractable" Boolean V1_4 Server false;
}

impl StandardAttribute {
    /// The tag whose enumeration this attribute's value is of, for the attributes of kind `Enumeration`.
    pub const fn enumeration_tag(self) -> Option<Tag> {
        match self {
            Self::ObjectType => Some(Tag::OBJECT_TYPE),
            Self::CryptographicAlgorithm => Some(Tag::CRYPTOGRAPHIC_ALGORITHM),
            Self::State => Some(Tag::STATE),
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
}
