//! What a managed object does for its caller: encrypt, decrypt, leave in plaintext.
//!
//! Every result is a [`Pending`]: it can be read only after [`Borrow::finish`] has looked at the tenant's gate once more. Whether
//! the object's state and usage mask allow the operation is the KMIP server's to decide, from [`Borrow::meta`].

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

pub use crate::aead::{Block, Chaining, Padding, SHORT_TAG_BYTES_MIN, TAG_BYTES};
use crate::{
    aead::{self, BLOCK_BYTES, DATA_BYTES_MAX, NONCE_BYTES, Nonces},
    error::Error,
    key_table::{Borrow, Pending, Unborrowed},
    vault::Expose,
};

/// How to encrypt with an AES key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// GCM. A nonce that is drawn has 12 bytes, the caller's may have 8, 16, 32, 60 or 64 too.
    Gcm,
    /// A mode without a tag.
    Block(Block),
}

impl Mode {
    /// Whether each encryption needs a nonce or an initialization vector of its own.
    pub fn needs_iv(self) -> bool {
        match self {
            Self::Gcm => true,
            Self::Block(block) => block.chaining.needs_iv(),
        }
    }

    /// Room for what `bytes` bytes of text become, and for what as many of ciphertext do.
    pub fn room(self, bytes: usize) -> usize {
        match self {
            Self::Gcm => bytes,
            Self::Block(block) => block.room(bytes),
        }
    }
}

/// Which HMAC (FIPS 198-1), by its hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hmac {
    /// For what exists already: SHA-1 is not for new data.
    Sha1,
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

impl Hmac {
    pub(crate) fn key(self, bytes: &[u8]) -> hmac::Key {
        let algorithm = match self {
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
            Self::Sha224 => hmac::HMAC_SHA224,
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha384 => hmac::HMAC_SHA384,
            Self::Sha512 => hmac::HMAC_SHA512,
        };
        hmac::Key::new(algorithm, bytes)
    }
}

/// A nonce or initialization vector that was drawn for one encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Iv {
    Nonce([u8; NONCE_BYTES]),
    Block([u8; BLOCK_BYTES]),
}

impl Iv {
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Nonce(nonce) => nonce,
            Self::Block(iv) => iv,
        }
    }
}

/// A ciphertext and what its decryption needs besides the key and what the caller gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encrypted {
    pub bytes: Vec<u8>,
    /// If the caller gave none and the mode needs one.
    pub drawn: Option<Iv>,
    /// GCM only; a shorter one is its first bytes.
    pub tag: Option<[u8; TAG_BYTES]>,
}

/// As [`Encrypted`], of a ciphertext that stands in the caller's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sealed {
    /// How many bytes it has.
    pub bytes: usize,
    pub drawn: Option<Iv>,
    pub tag: Option<[u8; TAG_BYTES]>,
}

const ENCRYPT: Expose = Expose::because("encrypt for the caller");
const AUTHENTICATE: Expose = Expose::because("make or verify a MAC for the caller");
const DECRYPT: Expose = Expose::because("decrypt for the caller");

impl Borrow {
    /// Encrypts `text`. Without `iv` a fresh random one is drawn where the mode needs one (KMIP: Random IV); `aad` is for GCM and must be
    /// empty for the others.
    pub fn encrypt(&self, mode: Mode, iv: Option<&[u8]>, aad: &[u8], text: &[u8]) -> Result<Pending<Encrypted>, Error> {
        within_limit(text.len())?;
        let mut bytes = vec![0; mode.room(text.len())];
        let Pending(sealed) = self.encrypt_into(mode, iv, aad, text, &mut bytes)?;
        bytes.truncate(sealed.bytes);
        Ok(Pending(Encrypted { bytes, drawn: sealed.drawn, tag: sealed.tag }))
    }

    /// As [`Borrow::encrypt`], into `out`, of [`Mode::room`] bytes, which nobody may have before [`Borrow::finish`] gives what is
    /// pending. On an error it holds nothing of the plaintext.
    pub fn encrypt_into(
        &self,
        mode: Mode,
        iv: Option<&[u8]>,
        aad: &[u8],
        text: &[u8],
        out: &mut [u8],
    ) -> Result<Pending<Sealed>, Error> {
        within_limit(text.len())?;
        let key = self.bytes(ENCRYPT)?;
        let drawn = if iv.is_none() { draw(mode)? } else { None };
        let iv = iv.or_else(|| drawn.as_ref().map(Iv::as_slice));
        let (bytes, tag) = match mode {
            Mode::Gcm => (text.len(), Some(aead::gcm_seal(key, iv.unwrap_or_default(), aad, text, out)?)),
            Mode::Block(block) => {
                no_aad(aad)?;
                (block.encrypt(key, iv.map(block_iv).transpose()?, text, out)?, None)
            }
        };
        Ok(Pending(Sealed { bytes, drawn, tag }))
    }

    /// Decrypts what [`Borrow::encrypt`] gave. GCM needs the tag, of [`SHORT_TAG_BYTES_MIN`] to [`TAG_BYTES`] bytes; the others have none.
    pub fn decrypt(
        &self,
        mode: Mode,
        iv: Option<&[u8]>,
        aad: &[u8],
        sealed: &[u8],
        tag: Option<&[u8]>,
    ) -> Result<Pending<Zeroizing<Vec<u8>>>, Error> {
        within_limit(sealed.len())?;
        let mut text = Zeroizing::new(vec![0; mode.room(sealed.len())]);
        let Pending(bytes) = self.decrypt_into(mode, iv, aad, sealed, tag, &mut text)?;
        text.truncate(bytes);
        Ok(Pending(text))
    }

    /// As [`Borrow::decrypt`], into `out`, of [`Mode::room`] bytes, which nobody may have before [`Borrow::finish`] gives what is
    /// pending: how many bytes the plaintext has. On an error it holds nothing of the plaintext.
    pub fn decrypt_into(
        &self,
        mode: Mode,
        iv: Option<&[u8]>,
        aad: &[u8],
        sealed: &[u8],
        tag: Option<&[u8]>,
        out: &mut [u8],
    ) -> Result<Pending<usize>, Error> {
        within_limit(sealed.len())?;
        let key = self.bytes(DECRYPT)?;
        match mode {
            Mode::Gcm => {
                let missing = |why| Error::Cipher { cipher: "AES-GCM", why };
                let tag = tag.ok_or_else(|| missing("the tag is missing"))?;
                let nonce = iv.ok_or_else(|| missing("the nonce is missing"))?;
                aead::gcm_open(key, nonce, aad, sealed, tag, out)?;
                Ok(Pending(sealed.len()))
            }
            Mode::Block(block) => {
                no_aad(aad)?;
                Ok(Pending(block.decrypt(key, iv.map(block_iv).transpose()?, sealed, out)?))
            }
        }
    }

    /// The MAC of `data`, whole.
    pub fn mac(&self, hmac: Hmac, data: &[u8]) -> Result<Pending<Vec<u8>>, Error> {
        within_limit(data.len())?;
        let key = hmac.key(self.bytes(AUTHENTICATE)?);
        Ok(Pending(hmac::sign(&key, data).as_ref().to_vec()))
    }

    /// Whether `mac` is that of `data`, compared in constant time.
    pub fn mac_verify(&self, hmac: Hmac, data: &[u8], mac: &[u8]) -> Result<Pending<bool>, Error> {
        within_limit(data.len())?;
        let key = hmac.key(self.bytes(AUTHENTICATE)?);
        Ok(Pending(hmac::verify(&key, data, mac).is_ok()))
    }

    /// The key bytes themselves, for a caller who may have them (KMIP Get). The object must be `exportable`.
    pub fn export(&self, token: Expose) -> Result<Pending<Zeroizing<Vec<u8>>>, Error> {
        let absent = || Error::Cipher { cipher: "export", why: "L2 and L3 keys never leave" };
        if !self.meta().ok_or_else(absent)?.exportable {
            return Err(Error::Cipher {
                cipher: "export",
                why: "`exportable` was fixed to no when the object was created",
            });
        }
        Ok(Pending(Zeroizing::new(self.bytes(token)?.to_vec())))
    }

    pub(crate) fn bytes(&self, token: Expose) -> Result<&[u8], Error> {
        self.secret().map(|secret| secret.expose(token)).map_err(|why| match why {
            Unborrowed::Refused(refused) => Error::Refused(refused),
            Unborrowed::Miss => Error::Unavailable,
        })
    }
}

pub(crate) fn within_limit(found: usize) -> Result<(), Error> {
    let too_large =
        Error::TooLarge { what: "message to encrypt or decrypt", max: DATA_BYTES_MAX, unit: "bytes", found };
    if found > DATA_BYTES_MAX { Err(too_large) } else { Ok(()) }
}

fn block_iv(iv: &[u8]) -> Result<&[u8; BLOCK_BYTES], Error> {
    iv.try_into().map_err(|_| Error::Cipher { cipher: "AES", why: "the initialization vector must have 16 bytes" })
}

/// What a mode needs for one encryption.
fn draw(mode: Mode) -> Result<Option<Iv>, Error> {
    Ok(match mode {
        Mode::Gcm => Some(Iv::Nonce(Nonces::draw()?)),
        Mode::Block(block) if block.chaining.needs_iv() => Some(Iv::Block(Nonces::draw()?)),
        Mode::Block(_) => None,
    })
}

fn no_aad(aad: &[u8]) -> Result<(), Error> {
    if aad.is_empty() {
        return Ok(());
    }
    Err(Error::Cipher { cipher: "AES", why: "this mode authenticates nothing: associated data is for GCM" })
}
