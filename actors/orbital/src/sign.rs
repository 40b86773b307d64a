//! Digests with a domain, and the signatures over them: Ed25519's, and the assertions of people's passkeys ([`crate::webauthn`]).
//!
//! `digest = SHA-256("openkcm/" kind "/v1" 0x00 bytes)` with one [`Kind`] per type of statement (PROTOCOL §2): a signature made for one
//! purpose can't be moved to another. Verification is strict (RFC 8032 with the small-order points refused), so that all readers agree.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ed25519_dalek::{Signer, SigningKey, VerifyingKey};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::{Digest as _, Sha256};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    names::Digest,
    webauthn::{self, Assertion, BadAssertion},
};

/// What a digest is taken of. The variants only grow; their labels never change.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    Change,
    Trust,
    Propose,
    Approve,
    Reject,
    Confirm,
    Fire,
    Recover,
    Lease,
    Head,
    SyncAck,
    Entry,
    Leaf,
    Node,
    Checkpoint,
    Policy,
    Frame,
    Directive,
    Enrol,
    Evidence,
    Held,
}

impl Kind {
    pub const fn label(self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Trust => "trust",
            Self::Propose => "propose",
            Self::Approve => "approve",
            Self::Reject => "reject",
            Self::Confirm => "confirm",
            Self::Fire => "fire",
            Self::Recover => "recover",
            Self::Lease => "lease",
            Self::Head => "head",
            Self::SyncAck => "syncack",
            Self::Entry => "entry",
            Self::Leaf => "leaf",
            Self::Node => "node",
            Self::Checkpoint => "checkpoint",
            Self::Policy => "policy",
            Self::Frame => "frame",
            Self::Directive => "directive",
            Self::Enrol => "enrol",
            Self::Evidence => "evidence",
            Self::Held => "held",
        }
    }

    /// The text that stands in a statement's `domain` member, such as `openkcm/approve/v1`.
    pub fn domain(self) -> String {
        format!("openkcm/{}/v1", self.label())
    }

    /// Digest of `bytes` for this purpose.
    pub fn digest(self, bytes: &[u8]) -> Digest {
        let mut hash = Sha256::new();
        hash.update(b"openkcm/");
        hash.update(self.label().as_bytes());
        hash.update(b"/v1\0");
        hash.update(bytes);
        Digest(hash.finalize().into())
    }
}

/// A key or signature that does not read, or does not verify.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSignature {
    #[error("the public key is not 32 bytes of base64url")]
    PublicKey,
    #[error("the public key is neither 32 bytes of Ed25519 nor 33 of P-256 (a compressed point), as base64url")]
    PersonKey,
    #[error("the signature is not 64 bytes of base64url")]
    Signature,
    #[error("the secret key file does not hold 32 bytes of base64url; make one with `kcm actor keygen`")]
    SecretKey,
    #[error("the signature over this {0} does not verify")]
    Mismatch(&'static str),
    #[error("the passkey's assertion does not count: {0}")]
    Assertion(#[from] BadAssertion),
    #[error("a {0} is signed by a {1} here, and this signature is another's")]
    OtherAlgorithm(&'static str, &'static str),
}

/// Serde's side of what has one text: in JSON and in frames alike.
macro_rules! as_text {
    ($name:ident) => {
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
                s.collect_str(self)
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
                String::deserialize(d)?.parse().map_err(de::Error::custom)
            }
        }
    };
}

macro_rules! fixed_bytes {
    ($name:ident, $len:literal, $bad:expr) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl std::str::FromStr for $name {
            type Err = BadSignature;
            fn from_str(text: &str) -> Result<Self, BadSignature> {
                let bytes = URL_SAFE_NO_PAD.decode(text.trim()).map_err(|_| $bad)?;
                Ok(Self(<[u8; $len]>::try_from(bytes).map_err(|_| $bad)?))
            }
        }
        as_text!($name);
    };
}

/// An Ed25519 public key, or the X25519 public key of a region's HPKE: 32 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PublicKey(pub [u8; 32]);
fixed_bytes!(PublicKey, 32, BadSignature::PublicKey);

/// An Ed25519 signature: 64 bytes.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Signature(pub [u8; 64]);
fixed_bytes!(Signature, 64, BadSignature::Signature);

impl PublicKey {
    /// Verifies strictly (PROTOCOL §2) that `signature` was made over the digest of `bytes` for `kind`.
    pub fn verify(&self, kind: Kind, bytes: &[u8], signature: &Signature) -> Result<(), BadSignature> {
        let key = VerifyingKey::from_bytes(&self.0).map_err(|_| BadSignature::PublicKey)?;
        key.verify_strict(kind.digest(bytes).as_bytes(), &ed25519_dalek::Signature::from_bytes(&signature.0))
            .map_err(|_| BadSignature::Mismatch(kind.label()))
    }

    /// Verifies strictly a signature over a text itself. For signed notes alone.
    pub(crate) fn verify_text(&self, text: &str, signature: &Signature) -> Result<(), BadSignature> {
        let key = VerifyingKey::from_bytes(&self.0).map_err(|_| BadSignature::PublicKey)?;
        key.verify_strict(text.as_bytes(), &ed25519_dalek::Signature::from_bytes(&signature.0))
            .map_err(|_| BadSignature::Mismatch("note"))
    }
}

/// A person's public key: Ed25519's 32 bytes, or the 33 of a point of P-256 (SEC 1 §2.3.3, compressed). The length tells which.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PersonKey {
    Ed25519(PublicKey),
    P256([u8; 33]),
}

impl From<PublicKey> for PersonKey {
    fn from(key: PublicKey) -> Self {
        Self::Ed25519(key)
    }
}

impl PartialEq<PublicKey> for PersonKey {
    fn eq(&self, other: &PublicKey) -> bool {
        *self == Self::Ed25519(*other)
    }
}

impl fmt::Display for PersonKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ed25519(key) => key.fmt(f),
            Self::P256(point) => f.write_str(&URL_SAFE_NO_PAD.encode(point)),
        }
    }
}

impl fmt::Debug for PersonKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::str::FromStr for PersonKey {
    type Err = BadSignature;
    fn from_str(text: &str) -> Result<Self, BadSignature> {
        let bytes = URL_SAFE_NO_PAD.decode(text.trim()).map_err(|_| BadSignature::PersonKey)?;
        if let Ok(key) = <[u8; 32]>::try_from(bytes.as_slice()) {
            return Ok(Self::Ed25519(PublicKey(key)));
        }
        let point = <[u8; 33]>::try_from(bytes).ok().filter(webauthn::is_point);
        point.map(Self::P256).ok_or(BadSignature::PersonKey)
    }
}

/// What stands under a statement: an Ed25519 signature, or the assertion of a passkey. One text each, which no other reads as.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SignedBy {
    Key(Signature),
    Passkey(Box<Assertion>),
}

impl From<Signature> for SignedBy {
    fn from(signature: Signature) -> Self {
        Self::Key(signature)
    }
}

impl From<Assertion> for SignedBy {
    fn from(assertion: Assertion) -> Self {
        Self::Passkey(Box::new(assertion))
    }
}

impl fmt::Display for SignedBy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key(signature) => signature.fmt(f),
            Self::Passkey(assertion) => assertion.fmt(f),
        }
    }
}

impl std::str::FromStr for SignedBy {
    type Err = BadSignature;
    fn from_str(text: &str) -> Result<Self, BadSignature> {
        // No base64url has a dot.
        if text.contains('.') { Ok(text.parse::<Assertion>()?.into()) } else { Ok(Self::Key(text.parse()?)) }
    }
}

as_text!(PersonKey);
as_text!(SignedBy);

/// An Ed25519 secret key. Wiped on drop; it has neither Debug nor Clone.
pub struct SecretKey(SigningKey);

impl SecretKey {
    /// Takes 32 bytes from the system's generator, or from a test's.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Reads what [`SecretKey::to_text`] writes.
    pub fn from_text(text: &str) -> Result<Self, BadSignature> {
        let line = text.lines().find(|l| !l.starts_with('#') && !l.trim().is_empty()).ok_or(BadSignature::SecretKey)?;
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(line.trim()).map_err(|_| BadSignature::SecretKey)?);
        let mut seed: [u8; 32] = bytes.as_slice().try_into().map_err(|_| BadSignature::SecretKey)?;
        let key = Self::from_seed(&seed);
        seed.zeroize();
        Ok(key)
    }

    /// A key file: a comment line for people, then the seed as base64url.
    pub fn to_text(&self, comment: &str) -> Zeroizing<String> {
        let seed = Zeroizing::new(URL_SAFE_NO_PAD.encode(self.0.as_bytes()));
        Zeroizing::new(format!("# openkcm ed25519 secret key, {comment}\n{}\n", seed.as_str()))
    }

    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    pub fn sign(&self, kind: Kind, bytes: &[u8]) -> Signature {
        Signature(self.0.sign(kind.digest(bytes).as_bytes()).to_bytes())
    }

    /// Signs a text itself. For signed notes alone, whose keys sign nothing else (`note.rs`).
    pub(crate) fn sign_text(&self, text: &str) -> Signature {
        Signature(self.0.sign(text.as_bytes()).to_bytes())
    }
}

/// A statement as it was signed, byte for byte, and the signature over it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Signed {
    #[serde(with = "crate::canon::bytes")]
    pub statement: Vec<u8>,
    pub signature: SignedBy,
}

impl Signed {
    pub fn new(kind: Kind, statement: Vec<u8>, key: &SecretKey) -> Self {
        let signature = key.sign(kind, &statement);
        Self { statement, signature: signature.into() }
    }
    /// For what an Ed25519 key signs. People may sign with passkeys, too: [`crate::vote::Listed::verify`].
    pub fn verify(&self, kind: Kind, key: &PublicKey) -> Result<(), BadSignature> {
        match &self.signature {
            SignedBy::Key(signature) => key.verify(kind, &self.statement, signature),
            SignedBy::Passkey(_) => Err(BadSignature::OtherAlgorithm(kind.label(), "key file")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_holds_for_its_kind_and_bytes_alone() {
        let key = SecretKey::from_seed(&[3; 32]);
        let signed = Signed::new(Kind::Approve, b"x".to_vec(), &key);
        assert_eq!(signed.verify(Kind::Approve, &key.public()), Ok(()));
        assert!(signed.verify(Kind::Propose, &key.public()).is_err());
        assert!(signed.verify(Kind::Approve, &SecretKey::from_seed(&[4; 32]).public()).is_err());
        let other = Signed { statement: b"y".to_vec(), ..signed };
        assert!(other.verify(Kind::Approve, &key.public()).is_err());
    }

    #[test]
    fn a_key_of_small_order_verifies_nothing() {
        // The identity point: a lax verifier accepts any message under it with R = identity and s = 0.
        let mut identity = [0; 32];
        identity[0] = 1;
        let mut signature = [0; 64];
        signature[0] = 1;
        assert!(PublicKey(identity).verify(Kind::Approve, b"x", &Signature(signature)).is_err());
    }

    #[test]
    fn a_key_file_reads_back() {
        let key = SecretKey::from_seed(&[9; 32]);
        assert_eq!(SecretKey::from_text(&key.to_text("alice")).unwrap().public(), key.public());
        assert!(SecretKey::from_text("# only a comment\n").is_err());
    }

    #[test]
    fn the_digest_of_a_kind_never_changes() {
        // The format is fixed from the first version on: SHA-256 of "openkcm/change/v1\0{}".
        assert_eq!(Kind::Change.digest(b"{}").to_string(), "kGkT02jo2jX3l0Mm3xw_1wapLo8Aq-9G17xJMr2UPic");
    }
}
