//! What is known about a managed object besides its bytes: the attributes of KMIP 1.4 §3, owned by custody, never with key bytes.
//!
//! Enumerations of KMIP that custody does not interpret (algorithm, key format, revocation reason) are kept as their numbers of
//! KMIP 1.4 §9.1.3; the KMIP server names them. Dates are seconds since 1970, as KMIP's Date-Time. A digest is
//! kept of keys that cannot be guessed, and of nothing else (`digest.rs`).

mod digest;
mod instances;

use std::collections::BTreeMap;

pub use digest::{DIGEST_KEY_BYTES_MIN, digest_of};
pub use instances::Instances;
use orbital::names::{Digest, System};
use serde::{Deserialize, Serialize};

use crate::error::Error;

/// The longest serialized metadata of one object.
pub const META_BYTES_MAX: usize = 64 * 1024;
/// Names of one object.
pub const NAMES_MAX: usize = 16;
/// The longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 1024;

/// The states of NIST SP 800-57 part 1 §7, as KMIP 1.4 §3.22 numbers them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum State {
    PreActive,
    Active,
    Deactivated,
    Compromised,
    Destroyed,
    DestroyedCompromised,
}

impl State {
    /// The bytes are gone for good.
    pub fn is_destroyed(self) -> bool {
        matches!(self, Self::Destroyed | Self::DestroyedCompromised)
    }
}

/// KMIP 1.4 §3.2: a name and its kind (1 text, 2 URI).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Name {
    pub value: String,
    pub kind: u32,
}

/// KMIP 1.4 §3.24 and following; seconds since 1970, `None` where unset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dates {
    pub initial: Option<i64>,
    pub activation: Option<i64>,
    pub process_start: Option<i64>,
    pub protect_stop: Option<i64>,
    pub deactivation: Option<i64>,
    pub destroy: Option<i64>,
    pub compromise_occurrence: Option<i64>,
    pub compromise: Option<i64>,
    pub archive: Option<i64>,
    pub last_change: Option<i64>,
    pub original_creation: Option<i64>,
}

/// KMIP 1.4 §3.31.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revocation {
    pub reason: u32,
    pub message: Option<String>,
}

/// KMIP 1.4 §3.6; each number as in §9.1.3.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Parameters {
    pub block_cipher_mode: Option<u32>,
    pub padding_method: Option<u32>,
    pub hashing_algorithm: Option<u32>,
    pub key_role: Option<u32>,
    pub algorithm: Option<u32>,
    pub random_iv: Option<bool>,
    pub iv_length: Option<u32>,
    pub tag_length: Option<u32>,
    pub signature_algorithm: Option<u32>,
    pub salt_length: Option<u32>,
    pub mask_generator: Option<u32>,
    pub mask_generator_hash: Option<u32>,
    /// The label of OAEP.
    pub p_source: Option<Vec<u8>>,
    pub trailer_field: Option<u32>,
}

/// KMIP 1.4 §3.7; the curve's number as in §9.1.3.2.5.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Domain {
    pub q_bits: Option<u32>,
    pub curve: Option<u32>,
}

/// KMIP 1.4 §2.1.5: how an object's bytes were wrapped when they came; each number as in §9.1.3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wrapping {
    pub method: u32,
    pub encryption: Option<WrappingKey>,
    pub mac: Option<WrappingKey>,
    pub mac_signature: Option<Vec<u8>>,
    pub iv: Option<Vec<u8>>,
    pub encoding: Option<u32>,
}

/// A key that wrapped an object, as the object's bringer names it. It may be no key of this system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrappingKey {
    pub id: String,
    pub parameters: Option<Parameters>,
}

/// KMIP 1.4 §3.8 to §3.16: what a certificate says of itself; each number as in §9.1.3, names and alternative names as DER.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Certificate {
    /// 1 X.509.
    pub kind: u32,
    /// Length of the certificate.
    pub bytes: Option<u32>,
    pub issuer: Vec<u8>,
    /// Big-endian.
    pub serial: Vec<u8>,
    pub subject: Vec<u8>,
    pub issuer_alternatives: Vec<Vec<u8>>,
    pub subject_alternatives: Vec<Vec<u8>>,
    pub signature_algorithm: Option<u32>,
}

/// KMIP 1.4 §2.2.5: which part of a key an object is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Split {
    pub parts: u32,
    /// From 1.
    pub part: u32,
    /// How many parts make the key.
    pub threshold: u32,
    /// §9.1.3.2.8: 1 XOR, ...
    pub method: u32,
    /// Big-endian.
    pub prime_field_size: Option<Vec<u8>>,
    /// SHA-256 of the key, if it was split here and has a digest.
    #[serde(default)]
    pub of: Option<Digest>,
}

/// KMIP 1.4 §3.21: how much a key may protect in all, and how much of that is left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UsageLimits {
    pub total: i64,
    pub count: i64,
    /// §9.1.3.2.31: 1 bytes, 2 objects.
    pub unit: u32,
}

/// KMIP 1.4 §2.1.18: the generator that drew the key; each number as in §9.1.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Rng {
    pub rng_algorithm: u32,
    pub algorithm: Option<u32>,
    pub length_bits: Option<u32>,
    pub hashing_algorithm: Option<u32>,
    pub drbg_algorithm: Option<u32>,
    pub curve: Option<u32>,
    pub fips186_variation: Option<u32>,
    pub prediction_resistance: Option<bool>,
}

/// KMIP 1.4 §3.35: a relation to another object (its kind, its id as text).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub kind: u32,
    pub to: String,
}

/// KMIP 1.4 §3.36.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Application {
    pub namespace: String,
    pub value: String,
}

/// One value of a custom attribute (KMIP 1.4 §3.39).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Custom {
    Text(String),
    Integer(i32),
    LongInteger(i64),
    BigInteger(Vec<u8>),
    Enumeration(u32),
    Boolean(bool),
    Bytes(Vec<u8>),
    DateTime(i64),
    Interval(u32),
    /// The encoded fields.
    Structure(Vec<u8>),
}

/// The attributes of one managed object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectMeta {
    /// KMIP 1.4 §9.1.3.2.12: 2 symmetric key, 7 secret data, ...
    pub object_type: u32,
    pub state: State,
    #[serde(default)]
    pub names: Instances<Name>,
    #[serde(default)]
    pub algorithm: Option<u32>,
    #[serde(default)]
    pub length_bits: Option<u32>,
    #[serde(default)]
    pub usage_mask: u32,
    #[serde(default)]
    pub key_format: Option<u32>,
    /// The stored bytes are not the key: they are as it came, wrapped, and nothing is done with them but to hand them out again.
    #[serde(default)]
    pub wrapping: Option<Box<Wrapping>>,
    /// The key was never brought here (KMIP 1.4 §3.41): the object is its attributes.
    #[serde(default)]
    pub key_elsewhere: bool,
    /// KMIP 1.4 §3.42: where it is, each with its kind (1 text, 2 URI).
    #[serde(default)]
    pub key_locations: Instances<Name>,
    /// KMIP 1.4 §9.1.3.2.9, for secret data: 1 password, 2 seed.
    #[serde(default)]
    pub secret_kind: Option<u32>,
    /// KMIP 1.4 §9.1.3.2.10, for opaque objects.
    #[serde(default)]
    pub opaque_kind: Option<u32>,
    #[serde(default)]
    pub certificate: Option<Box<Certificate>>,
    #[serde(default)]
    pub split: Option<Box<Split>>,
    #[serde(default)]
    pub parameters: Instances<Parameters>,
    #[serde(default)]
    pub domain: Option<Domain>,
    #[serde(default)]
    pub dates: Dates,
    #[serde(default)]
    pub revocation: Option<Revocation>,
    #[serde(default)]
    pub groups: Instances<String>,
    #[serde(default)]
    pub links: Instances<Link>,
    #[serde(default)]
    pub applications: Instances<Application>,
    #[serde(default)]
    pub alternative_names: Instances<Name>,
    /// KMIP 1.4 §3.45.
    #[serde(default)]
    pub friendly_name: Option<String>,
    #[serde(default)]
    pub contact: Option<String>,
    #[serde(default)]
    pub description: Option<String>,
    #[serde(default)]
    pub comment: Option<String>,
    #[serde(default)]
    pub operation_policy: Option<String>,
    #[serde(default)]
    pub lease_time_s: Option<u32>,
    /// SHA-256 of the key material; set by the keyring when the object is created, for those that have one. Of material that is a
    /// structure of numbers it is the creator's to set: what is stored is DER.
    #[serde(default)]
    pub digest: Option<Digest>,
    #[serde(default)]
    pub usage_limits: Option<UsageLimits>,
    #[serde(default)]
    pub rng: Option<Rng>,
    /// Not handed out yet (KMIP 1.4 §3.34).
    #[serde(default)]
    pub fresh: bool,
    #[serde(default)]
    pub sensitive: bool,
    #[serde(default)]
    pub always_sensitive: bool,
    #[serde(default)]
    pub extractable: bool,
    #[serde(default)]
    pub never_extractable: bool,
    /// May leave in plaintext (KMIP Get). Fixed when the object is created (PROTOCOL §8); [`ObjectMeta::keeps`] holds it.
    pub exportable: bool,
    /// `x-` and `y-` attributes by name; none is without a value.
    #[serde(default)]
    pub custom: BTreeMap<String, Instances<Custom>>,
}

impl ObjectMeta {
    /// The least: a type, a state, whether it may be exported. Everything else is unset.
    pub fn new(object_type: u32, state: State, exportable: bool) -> Self {
        Self {
            object_type,
            state,
            names: Instances::default(),
            algorithm: None,
            length_bits: None,
            usage_mask: 0,
            key_format: None,
            wrapping: None,
            key_elsewhere: false,
            key_locations: Instances::default(),
            secret_kind: None,
            opaque_kind: None,
            certificate: None,
            split: None,
            parameters: Instances::default(),
            domain: None,
            dates: Dates::default(),
            revocation: None,
            groups: Instances::default(),
            links: Instances::default(),
            applications: Instances::default(),
            alternative_names: Instances::default(),
            friendly_name: None,
            contact: None,
            description: None,
            comment: None,
            operation_policy: None,
            lease_time_s: None,
            digest: None,
            usage_limits: None,
            rng: None,
            fresh: true,
            sensitive: false,
            always_sensitive: false,
            extractable: true,
            never_extractable: false,
            exportable,
            custom: BTreeMap::new(),
        }
    }

    /// Its key stays wrapped, and nothing but a recovery is done with it.
    pub fn is_archived(&self) -> bool {
        self.dates.archive.is_some()
    }

    /// Within the named limits.
    pub(crate) fn check(&self) -> Result<(), Error> {
        if self.names.len() > NAMES_MAX {
            return Err(Error::TooLarge {
                what: "list of names",
                max: NAMES_MAX,
                unit: "names",
                found: self.names.len(),
            });
        }
        match self.names.iter().map(|name| name.value.len()).find(|bytes| *bytes > NAME_BYTES_MAX) {
            Some(found) => Err(Error::TooLarge { what: "name", max: NAME_BYTES_MAX, unit: "bytes", found }),
            None => Ok(()),
        }
    }

    /// What no update may change: type, whether its key is here, whether it may be exported, and that what is destroyed stays so.
    pub(crate) fn keeps(&self, before: &Self) -> bool {
        self.object_type == before.object_type
            && self.key_elsewhere == before.key_elsewhere
            && self.exportable == before.exportable
            && self.state.is_destroyed() == before.state.is_destroyed()
    }
}

/// A stored object as the KMIP server sees it.
#[derive(Clone, Debug)]
pub struct Object {
    pub system: System,
    pub meta: ObjectMeta,
    /// Length of the key bytes; 0 once destroyed.
    pub key_bytes: usize,
}
