//! The names that both planes use: who, where, which.
//!
//! Every name is a short id of `[A-Za-z0-9._:/-]` (PROTOCOL §2), so that it can stand in signed JSON, in a certificate, in a metric
//! label and in a path segment without escaping. A tenant's id is a [`Digest`]; its name is a label only.

use std::{
    fmt,
    hash::{Hash, Hasher},
    str::FromStr,
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// Longest name that any statement, frame or topology file may carry, in bytes.
pub const NAME_BYTES_MAX: usize = 256;

/// A text that is no name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    #[error("a {what} cannot be empty")]
    Empty { what: &'static str },
    #[error("a {what} has at most {NAME_BYTES_MAX} bytes, found {found}")]
    TooLong { what: &'static str, found: usize },
    #[error("`{text}` is no {what}: only letters, digits and . _ : / - may stand in it")]
    BadCharacter { what: &'static str, text: String },
    #[error("`{text}` is no digest: expected 43 characters of base64url (32 bytes)")]
    BadDigest { text: String },
}

fn checked(what: &'static str, text: &str) -> Result<(), BadName> {
    if text.is_empty() {
        return Err(BadName::Empty { what });
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(BadName::TooLong { what, found: text.len() });
    }
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'/' | b'-');
    if text.bytes().all(allowed) { Ok(()) } else { Err(BadName::BadCharacter { what, text: text.to_owned() }) }
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident = $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Box<str>);

        impl $name {
            /// Checks the text: not empty, at most [`NAME_BYTES_MAX`] bytes of `[A-Za-z0-9._:/-]`.
            pub fn new(text: impl AsRef<str>) -> Result<Self, BadName> {
                checked($what, text.as_ref())?;
                Ok(Self(text.as_ref().into()))
            }
            pub fn as_str(&self) -> &str { &self.0 }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { f.write_str(&self.0) }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result { write!(f, "{:?}", &*self.0) }
        }
        impl FromStr for $name {
            type Err = BadName;
            fn from_str(text: &str) -> Result<Self, BadName> { Self::new(text) }
        }
        impl AsRef<str> for $name { fn as_ref(&self) -> &str { &self.0 } }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> { s.serialize_str(&self.0) }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(d)?).map_err(de::Error::custom)
            }
        }
    )*};
}

names! {
    /// One installation of the system; statements of one deployment are refused by another.
    Deployment = "deployment id";
    /// The label of a tenant, for people. Authority hangs on [`TenantId`] alone.
    TenantName = "tenant name";
    /// A region, such as `eu-frankfurt`.
    Region = "region name";
    /// A process of a region or of governance, such as `fra-1`.
    NodeName = "node name";
    /// A way out for notices, such as `ops-slack`, as the topology names it.
    Channel = "channel name";
    /// One human being. Votes count by person, not by key.
    Person = "person";
    /// One key of a person.
    KeyName = "key name";
    /// A group of persons, such as `Security_Ops`.
    Group = "group";
    /// An application or database of a tenant; owner of one L3.
    System = "system name";
    /// The ARN or URI of an L1 key at the customer's KMS.
    KeyRef = "key reference";
    /// One proposal.
    ProposalId = "proposal id";
    /// What ties a click to its last acknowledgement, through every log line.
    Correlation = "correlation id";
    /// An ISO 3166 country code or one of the sets EU, EEA, EFTA.
    Jurisdiction = "jurisdiction";
}

/// Longest e-mail address, in bytes (RFC 5321 §4.5.3.1.3, without the brackets).
pub const MAILBOX_BYTES_MAX: usize = 254;

/// An e-mail address, in the narrow form that needs no quotes anywhere: `local@domain` in ASCII.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Mailbox(Box<str>);

impl Mailbox {
    /// # Errors
    /// A sentence that says what an address is, where this is none.
    pub fn new(text: &str) -> Result<Self, String> {
        let atom = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'+' | b'-');
        let label = |l: &str| {
            let plain = l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            plain && !l.is_empty() && !l.starts_with('-') && !l.ends_with('-')
        };
        let sound = text.split_once('@').is_some_and(|(local, domain)| {
            let dots = local.starts_with('.') || local.ends_with('.') || local.contains("..");
            !local.is_empty() && local.bytes().all(atom) && !dots && domain.split('.').all(label)
        });
        if sound && text.len() <= MAILBOX_BYTES_MAX {
            return Ok(Self(text.into()));
        }
        Err(format!("`{text}` is no e-mail address: write name@domain, in letters, digits and . _ + -"))
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Mailbox {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        Self::new(&text)
    }
}
impl From<Mailbox> for String {
    fn from(mailbox: Mailbox) -> Self {
        mailbox.0.into()
    }
}
impl std::str::FromStr for Mailbox {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        Self::new(text)
    }
}
impl std::fmt::Display for Mailbox {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// The European Union's countries, ISO 3166-1 alpha-2.
const EU: [&str; 27] = [
    "AT", "BE", "BG", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IT", "LT", "LU", "LV",
    "MT", "NL", "PL", "PT", "RO", "SE", "SI", "SK",
];
/// What the European Economic Area holds besides the Union.
const EEA_BEYOND_EU: [&str; 3] = ["IS", "LI", "NO"];
/// The European Free Trade Association.
const EFTA: [&str; 4] = ["CH", "IS", "LI", "NO"];

impl Jurisdiction {
    /// Whether a residency that allows `self` allows what lies in `place`: the same name, or a country of the set that `self` names.
    pub fn holds(&self, place: &Self) -> bool {
        let place = place.as_str();
        let in_set = match self.as_str() {
            "EU" => EU.contains(&place),
            "EEA" => EU.contains(&place) || EEA_BEYOND_EU.contains(&place),
            "EFTA" => EFTA.contains(&place),
            _ => false,
        };
        in_set || self.as_str() == place
    }
}

/// 32 bytes of SHA-256, written as base64url without padding.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

/// Word by word: tables of tenants are asked by every KMIP request, and hashers take words at once.
impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_chunks().0.iter().for_each(|word| state.write_u64(u64::from_ne_bytes(*word)));
    }
}

impl Digest {
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
    /// The first eight characters: enough for people to tell two apart on a screen, never for a decision.
    pub fn short(&self) -> String {
        self.to_string().chars().take(8).collect()
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
    }
}
impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
impl FromStr for Digest {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        let bad = || BadName::BadDigest { text: text.chars().take(64).collect() };
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| bad())?;
        Ok(Self(bytes.try_into().map_err(|_| bad())?))
    }
}
impl Serialize for Digest {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(self)
    }
}
impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        String::deserialize(d)?.parse().map_err(de::Error::custom)
    }
}

/// A tenant: the digest of its genesis (PROTOCOL §2). Another genesis is another tenant.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TenantId(pub Digest);

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
impl fmt::Debug for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
impl FromStr for TenantId {
    type Err = BadName;
    fn from_str(text: &str) -> Result<Self, BadName> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_one_address_and_no_header() {
        for good in ["olga@example.com", "a.b+c_d-e@x", "o@mail.example.co.uk"] {
            assert_eq!(Mailbox::new(good).unwrap().as_str(), good);
        }
        let long = format!("{}@x", "a".repeat(MAILBOX_BYTES_MAX));
        for bad in [
            "",
            "a",
            "@x",
            "a@",
            "a@b@c",
            "a b@x",
            "a@x\r\nBcc: b@x",
            "<a@x>",
            "a@x,b@x",
            ".a@x",
            "a..b@x",
            "a@-x",
            "a@x.",
            &long,
        ] {
            assert!(Mailbox::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_name_keeps_to_its_alphabet() {
        assert!(Region::new("eu-frankfurt").is_ok());
        assert!(KeyRef::new("arn:aws:kms:eu-central-1:000000000000:key/1f").is_ok());
        assert_eq!(Region::new(""), Err(BadName::Empty { what: "region name" }));
        assert!(matches!(Region::new("eu frankfurt"), Err(BadName::BadCharacter { .. })));
        assert!(matches!(Region::new("zürich"), Err(BadName::BadCharacter { .. })));
        assert!(matches!(Person::new("x".repeat(257)), Err(BadName::TooLong { found: 257, .. })));
    }

    #[test]
    fn a_set_of_countries_holds_its_members_alone() {
        let named = |text| Jurisdiction::new(text).unwrap();
        for (set, inside, outside) in
            [("EU", "DE", "NO"), ("EEA", "NO", "CH"), ("EFTA", "CH", "DE"), ("DE", "DE", "FR")]
        {
            assert!(named(set).holds(&named(inside)) && !named(set).holds(&named(outside)), "{set}");
        }
        assert!(!named("DE").holds(&named("EU")), "a country does not hold the set that it is in");
    }

    #[test]
    fn a_digest_reads_back_and_refuses_other_lengths() {
        let digest = Digest([7; 32]);
        assert_eq!(digest.to_string().parse::<Digest>(), Ok(digest));
        assert!("AAAA".parse::<Digest>().is_err());
        assert!(format!("{digest}=").parse::<Digest>().is_err());
    }
}
