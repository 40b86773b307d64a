//! The blob: a key of one use that the vault wrapped, and what is sealed under it (AES-256-GCM).
//!
//! `form (1) | algorithm (1) | version of the key (16) | length (2, big-endian) | wrapped key | nonce (12) | sealed | tag (16)`. All that
//! stands before the nonce is associated data, after the context. Never changes: blobs of this form are stored.

use std::fmt;

use serde::{Serialize, Serializer};
use zeroize::Zeroizing;

use crate::{
    aead::{NONCE_BYTES, TAG_BYTES, provider},
    l1::{Context, Plain},
};

/// Begins each blob: its form.
const BLOB_FORM: u8 = 1;
/// Bytes of a key of one use.
const KEY_BYTES: usize = 32;
const VERSION_BYTES: usize = 16;
/// Bytes before the wrapped key.
const FIXED_BYTES: usize = 2 + VERSION_BYTES + 2;

/// How the vault wraps. It never uses PKCS#1 v1.5, nor OAEP over SHA-1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Algorithm {
    RsaOaep256,
    A256Kw,
}

impl Algorithm {
    /// By the type of the key.
    pub(super) fn of(kty: &str) -> Option<Self> {
        match kty {
            "RSA" | "RSA-HSM" => Some(Self::RsaOaep256),
            "oct-HSM" => Some(Self::A256Kw),
            _ => None,
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::RsaOaep256 => 1,
            Self::A256Kw => 2,
        }
    }

    fn read(code: u8) -> Option<Self> {
        [Self::RsaOaep256, Self::A256Kw].into_iter().find(|known| known.code() == code)
    }
}

impl Serialize for Algorithm {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(match self {
            Self::RsaOaep256 => "RSA-OAEP-256",
            Self::A256Kw => "A256KW",
        })
    }
}

/// The version of a key, which Azure writes as 32 hex digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Version([u8; VERSION_BYTES]);

impl Version {
    pub(super) fn read(text: &str) -> Option<Self> {
        let mut bytes = [0; VERSION_BYTES];
        let hex = text.len() == 2 * VERSION_BYTES && text.bytes().all(|b| b.is_ascii_hexdigit());
        for (at, byte) in bytes.iter_mut().enumerate().filter(|_| hex) {
            *byte = u8::from_str_radix(text.get(2 * at..2 * at + 2)?, 16).ok()?;
        }
        hex.then_some(Self(bytes))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A key of one use, wiped on drop.
pub(super) struct DataKey(Zeroizing<[u8; KEY_BYTES]>);

impl DataKey {
    pub(super) fn random() -> Result<Self, String> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        getrandom::fill(bytes.as_mut()).map_err(|e| format!("no random bytes: {e}"))?;
        Ok(Self(bytes))
    }

    /// `None` for bytes that are no such key.
    pub(super) fn of(bytes: &[u8]) -> Option<Self> {
        let mut key = Zeroizing::new([0; KEY_BYTES]);
        (bytes.len() == KEY_BYTES).then(|| key.copy_from_slice(bytes))?;
        Some(Self(key))
    }

    pub(super) fn expose(&self) -> &[u8] {
        self.0.as_slice()
    }
}

/// What stands before what is sealed.
pub(super) struct Envelope<'a> {
    pub(super) algorithm: Algorithm,
    pub(super) version: Version,
    /// The key of one use, as the vault wrapped it.
    pub(super) wrapped: &'a [u8],
}

impl<'a> Envelope<'a> {
    /// The envelope of a blob and the rest of it; `None` for anything else.
    pub(super) fn read(blob: &'a [u8]) -> Option<(Self, &'a [u8])> {
        let (fixed, rest) = blob.split_first_chunk::<FIXED_BYTES>()?;
        let [BLOB_FORM, algorithm, version @ .., high, low] = fixed else { return None };
        let (wrapped, sealed) = rest.split_at_checked(usize::from(u16::from_be_bytes([*high, *low])))?;
        let version = Version(*version.first_chunk()?);
        (!wrapped.is_empty()).then_some((Self { algorithm: Algorithm::read(*algorithm)?, version, wrapped }, sealed))
    }

    fn head(&self) -> Result<Vec<u8>, &'static str> {
        let length = u16::try_from(self.wrapped.len()).map_err(|_| "what it wrapped is too long")?;
        let mut head = vec![BLOB_FORM, self.algorithm.code()];
        head.extend_from_slice(&self.version.0);
        head.extend_from_slice(&length.to_be_bytes());
        head.extend_from_slice(self.wrapped);
        Ok(head)
    }

    fn aad(head: &[u8], context: &Context) -> Vec<u8> {
        [context.aad().as_slice(), head].concat()
    }

    /// The whole blob.
    pub(super) fn seal(&self, key: &DataKey, context: &Context, plain: &[u8]) -> Result<Vec<u8>, &'static str> {
        let mut blob = self.head()?;
        let aad = Self::aad(&blob, context);
        // The key seals once, so any nonce is fresh; it stands in the blob all the same.
        let nonce = [0; NONCE_BYTES];
        blob.extend_from_slice(&nonce);
        let from = blob.len();
        blob.resize(from + plain.len(), 0);
        let sealed = blob.get_mut(from..).unwrap_or_default();
        let tag = provider().seal(key.expose(), &nonce, &aad, plain, sealed).map_err(|_| "it can't be sealed")?;
        blob.extend_from_slice(&tag);
        Ok(blob)
    }

    /// What is sealed; `None` under another key or context, or where anything was changed.
    pub(super) fn open(&self, key: &DataKey, context: &Context, sealed: &[u8]) -> Option<Plain> {
        let aad = Self::aad(&self.head().ok()?, context);
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_BYTES>()?;
        let (sealed, tag) = sealed.split_last_chunk::<TAG_BYTES>()?;
        let mut plain = Zeroizing::new(vec![0; sealed.len()]);
        provider().open(key.expose(), nonce, &aad, sealed, tag, &mut plain).ok()?;
        Some(Plain(plain))
    }
}

#[cfg(test)]
mod tests {
    use orbital::names::{Deployment, Digest, Region, TenantId};

    use super::*;
    use crate::l1::Purpose;

    fn context(version: u64) -> Context {
        let (deployment, region) = (Deployment::new("test").unwrap(), Region::new("eu-frankfurt").unwrap());
        Context { deployment, tenant: TenantId(Digest([7; 32])), region, purpose: Purpose::L2, version }
    }

    fn key(fill: u8) -> DataKey {
        DataKey::of(&[fill; KEY_BYTES]).unwrap()
    }

    fn sealed() -> Vec<u8> {
        let version = Version::read("78deebed173b48e48f55abf87ed4cf71").unwrap();
        let envelope = Envelope { algorithm: Algorithm::RsaOaep256, version, wrapped: &[9; 64] };
        envelope.seal(&key(1), &context(1), b"secret").unwrap()
    }

    fn opened(blob: &[u8], key: &DataKey, context: &Context) -> Option<Vec<u8>> {
        let (envelope, sealed) = Envelope::read(blob)?;
        envelope.open(key, context, sealed).map(|plain| plain.0.to_vec())
    }

    #[test]
    fn a_blob_opens_under_its_own_key_and_context_alone() {
        let blob = sealed();
        assert_eq!(opened(&blob, &key(1), &context(1)).unwrap(), b"secret");
        assert!(opened(&blob, &key(2), &context(1)).is_none());
        assert!(opened(&blob, &key(1), &context(2)).is_none());
        for at in 0..blob.len() {
            let mut changed = blob.clone();
            changed[at] ^= 1;
            assert!(opened(&changed, &key(1), &context(1)).is_none(), "byte {at}");
            assert!(opened(&blob[..at], &key(1), &context(1)).is_none(), "the first {at} bytes");
        }
    }

    /// Stored blobs have this form.
    #[test]
    fn the_form_of_a_blob_never_changes() {
        let blob = sealed();
        let head: String = blob[..FIXED_BYTES].iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(head, "010178deebed173b48e48f55abf87ed4cf710040");
        assert_eq!(blob.len(), FIXED_BYTES + 64 + NONCE_BYTES + b"secret".len() + TAG_BYTES);
        assert_eq!(Algorithm::read(2), Some(Algorithm::A256Kw));
    }

    #[test]
    fn a_version_has_32_hex_digits() {
        assert_eq!(
            Version::read("78DEEBED173b48e48f55abf87ed4cf71").unwrap().to_string(),
            "78deebed173b48e48f55abf87ed4cf71"
        );
        for bad in [
            "",
            "78deebed173b48e48f55abf87ed4cf7",
            "78deebed173b48e48f55abf87ed4cf711",
            "+8deebed173b48e48f55abf87ed4cf71",
        ] {
            assert_eq!(Version::read(bad), None, "{bad}");
        }
    }
}
