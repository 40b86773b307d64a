//! AES in the modes that prove nothing about who wrote a ciphertext: ECB, CBC, CTR, CFB and OFB.
//!
//! They are offered because clients and standards demand them (MongoDB's driver CBC, KMIP's profiles ECB). One error answers every
//! damage, so that padding says nothing.

use aws_lc_rs::{
    cipher::{
        AES_128, AES_192, AES_256, Algorithm, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext,
        StreamingDecryptingKey, StreamingEncryptingKey, UnboundCipherKey,
    },
    error::Unspecified,
    iv::FixedLength,
};
use zeroize::Zeroize;

use super::BLOCK_BYTES;
use crate::error::Error;

/// How the blocks of a message depend on each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chaining {
    /// Not at all: equal blocks show. No initialization vector.
    Ecb,
    Cbc,
    Ctr,
    /// CFB with feedback of a whole block (NIST SP 800-38A: CFB128).
    Cfb,
    Ofb,
}

/// What fills the last block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Nothing: ECB and CBC take whole blocks alone, the others any length.
    None,
    /// PKCS#7 (KMIP calls it PKCS5), for ECB and CBC: a whole block more if the message has whole blocks.
    Pkcs5,
}

impl Chaining {
    /// Whether it needs an initialization vector, or a counter's first value, of one block.
    pub fn needs_iv(self) -> bool {
        self != Self::Ecb
    }

    /// Whether it encrypts whole blocks.
    pub fn is_blockwise(self) -> bool {
        matches!(self, Self::Ecb | Self::Cbc)
    }

    fn name(self) -> &'static str {
        match self {
            Self::Ecb => "AES-ECB",
            Self::Cbc => "AES-CBC",
            Self::Ctr => "AES-CTR",
            Self::Cfb => "AES-CFB128",
            Self::Ofb => "AES-OFB",
        }
    }
}

/// A mode with its padding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    pub chaining: Chaining,
    pub padding: Padding,
}

/// An initialization vector; none for ECB.
type Iv<'a> = Option<&'a [u8; BLOCK_BYTES]>;

impl Block {
    fn error(self, why: &'static str) -> Error {
        Error::Cipher { cipher: self.chaining.name(), why }
    }

    fn key(self, key: &[u8]) -> Result<UnboundCipherKey, Error> {
        let algorithm: &'static Algorithm = match key.len() {
            16 => &AES_128,
            24 => &AES_192,
            32 => &AES_256,
            _ => return Err(self.error("an AES key has 16, 24 or 32 bytes")),
        };
        UnboundCipherKey::new(algorithm, key).map_err(|_| Error::Seal)
    }

    /// The vector is there exactly if the mode needs one.
    fn check_iv(self, iv: Iv<'_>) -> Result<(), Error> {
        match (self.chaining.needs_iv(), iv.is_some()) {
            (true, false) => Err(self.error("the initialization vector of 16 bytes is missing")),
            (false, true) => Err(self.error("this mode has no initialization vector")),
            _ => Ok(()),
        }
    }

    /// The padding goes with the mode, and without one the message has whole blocks.
    fn check_length(self, bytes: usize) -> Result<(), Error> {
        match (self.padding, self.chaining.is_blockwise()) {
            (Padding::Pkcs5, false) => Err(self.error("this mode takes any length and no padding")),
            (Padding::None, true) if !bytes.is_multiple_of(BLOCK_BYTES) => {
                Err(self.error("without padding, the data must be whole blocks of 16 bytes"))
            }
            _ => Ok(()),
        }
    }

    /// Room for what `bytes` bytes of text become, and for what as many of ciphertext do.
    pub(crate) fn room(self, bytes: usize) -> usize {
        match self.padding {
            Padding::Pkcs5 => bytes.saturating_add(BLOCK_BYTES),
            Padding::None => bytes,
        }
    }

    /// Encrypts `text` into `out`, of [`Block::room`] bytes, and answers how many bytes the ciphertext has. On an error `out` holds
    /// nothing of the plaintext.
    pub(crate) fn encrypt(self, key: &[u8], iv: Iv<'_>, text: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        self.check_iv(iv)?;
        self.check_length(text.len())?;
        let key = self.key(key)?;
        let context = iv.map_or(EncryptionContext::None, |iv| EncryptionContext::Iv128(FixedLength::from(iv)));
        let encrypted = match self.padding {
            Padding::Pkcs5 => pad(self.chaining, key, context, text, out),
            Padding::None => encrypting(self.chaining, key).and_then(|key| {
                let bytes = copied(text, out)?;
                key.less_safe_encrypt(bytes, context).map(|_| text.len())
            }),
        };
        encrypted.map_err(|_| {
            out.zeroize();
            Error::Seal
        })
    }

    /// Decrypts `sealed` into `out`, of [`Block::room`] bytes, and answers how many bytes the plaintext has without its padding. On an
    /// error `out` holds nothing of it.
    pub(crate) fn decrypt(self, key: &[u8], iv: Iv<'_>, sealed: &[u8], out: &mut [u8]) -> Result<usize, Error> {
        self.check_iv(iv)?;
        self.check_length(sealed.len())?;
        let key = self.key(key)?;
        let context = iv.map_or(DecryptionContext::None, |iv| DecryptionContext::Iv128(FixedLength::from(iv)));
        let decrypted = match self.padding {
            Padding::Pkcs5 => unpad(self.chaining, key, context, sealed, out),
            Padding::None => decrypting(self.chaining, key).and_then(|key| {
                let bytes = copied(sealed, out)?;
                key.decrypt(bytes, context).map(|_| sealed.len())
            }),
        };
        decrypted.map_err(|_| {
            out.zeroize();
            self.error("the data was not encrypted under this key, or was changed")
        })
    }
}

/// `from` at the beginning of `out`.
fn copied<'o>(from: &[u8], out: &'o mut [u8]) -> Result<&'o mut [u8], Unspecified> {
    let bytes = out.get_mut(..from.len()).ok_or(Unspecified)?;
    bytes.copy_from_slice(from);
    Ok(bytes)
}

/// Encrypts with padding. The streaming cipher makes the one key schedule that it needs, where the other interface makes both and wipes
/// both: more work than the cipher of a short message.
fn pad(
    chaining: Chaining,
    key: UnboundCipherKey,
    context: EncryptionContext,
    text: &[u8],
    out: &mut [u8],
) -> Result<usize, Unspecified> {
    let mut key = match chaining {
        Chaining::Ecb => StreamingEncryptingKey::ecb_pkcs7(key)?,
        _ => StreamingEncryptingKey::less_safe_cbc_pkcs7(key, context)?,
    };
    let whole = key.update(text, out)?.written().len();
    let (_, last) = key.finish(out.get_mut(whole..).ok_or(Unspecified)?)?;
    Ok(whole + last.written().len())
}

fn unpad(
    chaining: Chaining,
    key: UnboundCipherKey,
    context: DecryptionContext,
    sealed: &[u8],
    out: &mut [u8],
) -> Result<usize, Unspecified> {
    let mut key = match chaining {
        Chaining::Ecb => StreamingDecryptingKey::ecb_pkcs7(key, context)?,
        _ => StreamingDecryptingKey::cbc_pkcs7(key, context)?,
    };
    let whole = key.update(sealed, out)?.written().len();
    Ok(whole + key.finish(out.get_mut(whole..).ok_or(Unspecified)?)?.written().len())
}

fn encrypting(chaining: Chaining, key: UnboundCipherKey) -> Result<EncryptingKey, Unspecified> {
    match chaining {
        Chaining::Ecb => EncryptingKey::ecb(key),
        Chaining::Cbc => EncryptingKey::cbc(key),
        Chaining::Ctr => EncryptingKey::ctr(key),
        Chaining::Cfb => EncryptingKey::cfb128(key),
        Chaining::Ofb => EncryptingKey::ofb(key),
    }
}

fn decrypting(chaining: Chaining, key: UnboundCipherKey) -> Result<DecryptingKey, Unspecified> {
    match chaining {
        Chaining::Ecb => DecryptingKey::ecb(key),
        Chaining::Cbc => DecryptingKey::cbc(key),
        Chaining::Ctr => DecryptingKey::ctr(key),
        Chaining::Cfb => DecryptingKey::cfb128(key),
        Chaining::Ofb => DecryptingKey::ofb(key),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::aead::tests::hex;

    const ALL: [Chaining; 5] = [Chaining::Ecb, Chaining::Cbc, Chaining::Ctr, Chaining::Cfb, Chaining::Ofb];

    fn plain(chaining: Chaining) -> Block {
        Block { chaining, padding: Padding::None }
    }
    fn padded(chaining: Chaining) -> Block {
        Block { chaining, padding: Padding::Pkcs5 }
    }
    fn iv_of(chaining: Chaining, iv: &[u8; 16]) -> Iv<'_> {
        chaining.needs_iv().then_some(iv)
    }

    fn sealed(block: Block, key: &[u8], iv: Iv<'_>, text: &[u8]) -> Result<Vec<u8>, Error> {
        let mut out = vec![7; block.room(text.len())];
        let length = block.encrypt(key, iv, text, &mut out)?;
        out.truncate(length);
        Ok(out)
    }
    fn opened(block: Block, key: &[u8], iv: Iv<'_>, sealed: &[u8]) -> Result<Vec<u8>, Error> {
        let mut out = vec![7; block.room(sealed.len())];
        let length = block.decrypt(key, iv, sealed, &mut out)?;
        out.truncate(length);
        Ok(out)
    }

    /// NIST SP 800-38A, appendix F, AES-256: the first two blocks.
    #[test]
    fn published_vectors() {
        let key = hex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4");
        let text = hex("6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51");
        let (iv, counter) = ("000102030405060708090a0b0c0d0e0f", "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff");
        let vectors = [
            (Chaining::Ecb, iv, "f3eed1bdb5d2a03c064b5a7e3db181f8591ccb10d410ed26dc5ba74a31362870"),
            (Chaining::Cbc, iv, "f58c4c04d6e5f1ba779eabfb5f7bfbd69cfc4e967edb808d679f777bc6702c7d"),
            (Chaining::Cfb, iv, "dc7e84bfda79164b7ecd8486985d386039ffed143b28b1c832113c6331e5407b"),
            (Chaining::Ofb, iv, "dc7e84bfda79164b7ecd8486985d38604febdc6740d20b3ac88f6ad82a4fb08d"),
            (Chaining::Ctr, counter, "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"),
        ];
        for (chaining, iv, expected) in vectors {
            let iv: [u8; 16] = hex(iv).try_into().unwrap();
            let iv = iv_of(chaining, &iv);
            assert_eq!(sealed(plain(chaining), &key, iv, &text).unwrap(), hex(expected), "{chaining:?}");
            assert_eq!(opened(plain(chaining), &key, iv, &hex(expected)).unwrap(), text, "{chaining:?}");
        }
    }

    #[test]
    fn what_does_not_fit_the_mode_is_refused() {
        let (key, iv, text) = ([1; 32], [0; 16], [0; 16]);
        for chaining in ALL {
            let wrong = if chaining.needs_iv() { None } else { Some(&iv) };
            assert!(sealed(plain(chaining), &key, wrong, &text).is_err(), "{chaining:?}: its vector");
            assert!(opened(plain(chaining), &key, wrong, &text).is_err(), "{chaining:?}: its vector");
            let iv = iv_of(chaining, &iv);
            assert!(sealed(plain(chaining), &key[..15], iv, &text).is_err(), "{chaining:?}: the key");
            assert_eq!(sealed(plain(chaining), &key, iv, &text[..15]).is_err(), chaining.is_blockwise());
            assert_eq!(sealed(padded(chaining), &key, iv, &text).is_err(), !chaining.is_blockwise());
            for bytes in [0, 1, 15, 17] {
                assert!(opened(padded(chaining), &key, iv, &vec![0; bytes]).is_err(), "{chaining:?}: {bytes} bytes");
            }
            assert!(plain(chaining).encrypt(&key, iv, &text, &mut [0; 15]).is_err(), "{chaining:?}: its room");
            assert!(plain(chaining).decrypt(&key, iv, &text, &mut [0; 15]).is_err(), "{chaining:?}: its room");
        }
    }

    proptest! {
        #[test]
        fn what_was_encrypted_decrypts(key: [u8; 32], iv: [u8; 16], text in proptest::collection::vec(any::<u8>(), 0..200)) {
            for chaining in ALL {
                let (block, length) = match chaining.is_blockwise() {
                    true => (padded(chaining), (text.len() / 16 + 1) * 16),
                    false => (plain(chaining), text.len()),
                };
                let sealed = sealed(block, &key, iv_of(chaining, &iv), &text).unwrap();
                prop_assert_eq!(sealed.len(), length);
                prop_assert_eq!(&opened(block, &key, iv_of(chaining, &iv), &sealed).unwrap(), &text);
            }
        }

        #[test]
        fn what_does_not_decrypt_leaves_nothing(key: [u8; 32], iv: [u8; 16], text in proptest::collection::vec(any::<u8>(), 0..200)) {
            // A last byte of 0 is no padding.
            for chaining in [Chaining::Ecb, Chaining::Cbc] {
                let text = [&text[..text.len() / 16 * 16], &[0; 16]].concat();
                let sealed = sealed(plain(chaining), &key, iv_of(chaining, &iv), &text).unwrap();
                let mut out = vec![7; padded(chaining).room(sealed.len())];
                prop_assert!(padded(chaining).decrypt(&key, iv_of(chaining, &iv), &sealed, &mut out).is_err());
                prop_assert!(out.iter().all(|byte| *byte == 0));
            }
        }

        /// What a stream in parts relies on: more text after it changes no whole block of the ciphertext.
        #[test]
        fn a_longer_message_begins_alike(key: [u8; 32], iv: [u8; 16], blocks in 0_usize..6, text in proptest::collection::vec(any::<u8>(), 96..97)) {
            for chaining in ALL {
                let sealed = |text: &[u8]| sealed(plain(chaining), &key, iv_of(chaining, &iv), text).unwrap();
                prop_assert!(sealed(&text).starts_with(&sealed(&text[..blocks * 16])));
            }
        }
    }
}
