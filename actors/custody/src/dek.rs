//! What a managed object does for its caller: encrypt, decrypt, leave in plaintext.
//!
//! Every result is a [`Pending`]: it can be read only after [`Borrow::finish`] has looked at the tenant's gate once more. Whether
//! the object's state and usage mask allow the operation is the KMIP server's to decide, from [`Borrow::meta`].

use zeroize::Zeroizing;

use crate::{
    aead::{self, BLOCK_BYTES, DATA_BYTES_MAX, NONCE_BYTES, Nonces, TAG_BYTES},
    error::Error,
    key_table::{Borrow, Pending, Unborrowed},
    vault::Expose,
};

/// How to encrypt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// AES-GCM, nonce of 12 bytes, tag of 16.
    Gcm,
    /// AES-CBC with PKCS#7 padding (KMIP: CBC, PKCS5), IV of 16 bytes.
    CbcPkcs5,
}

/// The nonce or initialization vector of one encryption.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Iv {
    Gcm([u8; NONCE_BYTES]),
    Cbc([u8; BLOCK_BYTES]),
}

impl Iv {
    pub fn as_slice(&self) -> &[u8] {
        match self {
            Self::Gcm(nonce) => nonce,
            Self::Cbc(iv) => iv,
        }
    }
}

/// A ciphertext and what its decryption needs besides the key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Encrypted {
    pub bytes: Vec<u8>,
    /// The nonce or IV that was used.
    pub iv: Iv,
    /// GCM only.
    pub tag: Option<[u8; TAG_BYTES]>,
}

const ENCRYPT: Expose = Expose::because("encrypt for the caller");
const DECRYPT: Expose = Expose::because("decrypt for the caller");

impl Borrow {
    /// Encrypts `text`. Without `iv` a fresh random one is drawn (KMIP: Random IV); `aad` is for GCM and must be empty for CBC.
    pub fn encrypt(&self, mode: Mode, iv: Option<&[u8]>, aad: &[u8], text: &[u8]) -> Result<Pending<Encrypted>, Error> {
        within_limit(text.len())?;
        let key = self.bytes(ENCRYPT)?;
        match mode {
            Mode::Gcm => {
                let nonce = iv.map_or_else(Nonces::draw, gcm_nonce)?;
                let mut bytes = text.to_vec();
                let tag = aead::provider().seal(key, &nonce, aad, &mut bytes)?;
                Ok(Pending(Encrypted { bytes, iv: Iv::Gcm(nonce), tag: Some(tag) }))
            }
            Mode::CbcPkcs5 => {
                no_aad(aad)?;
                let iv = iv.map_or_else(random_iv, cbc_iv)?;
                Ok(Pending(Encrypted { bytes: aead::cbc_encrypt(key, &iv, text)?, iv: Iv::Cbc(iv), tag: None }))
            }
        }
    }

    /// Decrypts what [`Borrow::encrypt`] gave. GCM needs the tag of 16 bytes.
    pub fn decrypt(
        &self,
        mode: Mode,
        iv: &[u8],
        aad: &[u8],
        sealed: &[u8],
        tag: Option<&[u8]>,
    ) -> Result<Pending<Zeroizing<Vec<u8>>>, Error> {
        within_limit(sealed.len())?;
        let key = self.bytes(DECRYPT)?;
        match mode {
            Mode::Gcm => {
                let wrong = Error::Cipher { cipher: "AES-GCM", why: "the tag of 16 bytes is missing" };
                let tag = tag.and_then(|tag| tag.try_into().ok()).ok_or(wrong)?;
                let mut text = Zeroizing::new(vec![0; sealed.len()]);
                aead::provider().open(key, &gcm_nonce(iv)?, aad, sealed, tag, &mut text)?;
                Ok(Pending(text))
            }
            Mode::CbcPkcs5 => {
                no_aad(aad)?;
                Ok(Pending(aead::cbc_decrypt(key, &cbc_iv(iv)?, sealed)?))
            }
        }
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

    fn bytes(&self, token: Expose) -> Result<&[u8], Error> {
        self.secret().map(|secret| secret.expose(token)).map_err(|why| match why {
            Unborrowed::Refused(refused) => Error::Refused(refused),
            Unborrowed::Miss => Error::Unavailable,
        })
    }
}

fn within_limit(found: usize) -> Result<(), Error> {
    let too_large =
        Error::TooLarge { what: "message to encrypt or decrypt", max: DATA_BYTES_MAX, unit: "bytes", found };
    if found > DATA_BYTES_MAX { Err(too_large) } else { Ok(()) }
}

fn gcm_nonce(iv: &[u8]) -> Result<[u8; NONCE_BYTES], Error> {
    iv.try_into().map_err(|_| Error::Cipher { cipher: "AES-GCM", why: "the nonce must have 12 bytes" })
}

fn cbc_iv(iv: &[u8]) -> Result<[u8; BLOCK_BYTES], Error> {
    iv.try_into().map_err(|_| Error::Cipher { cipher: "AES-CBC", why: "the initialization vector must have 16 bytes" })
}

fn random_iv() -> Result<[u8; BLOCK_BYTES], Error> {
    let mut iv = [0; BLOCK_BYTES];
    let (first, second) = (Nonces::draw()?, Nonces::draw()?);
    for (to, from) in iv.iter_mut().zip(first.iter().chain(&second)) {
        *to = *from;
    }
    Ok(iv)
}

fn no_aad(aad: &[u8]) -> Result<(), Error> {
    if aad.is_empty() {
        return Ok(());
    }
    Err(Error::Cipher { cipher: "AES-CBC", why: "CBC authenticates nothing: associated data is for GCM" })
}
