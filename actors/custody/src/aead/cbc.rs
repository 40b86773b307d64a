//! AES-CBC with PKCS#7 padding (KMIP calls it PKCS5), as MongoDB's driver asks for.
//!
//! CBC proves nothing about who wrote a ciphertext: it is offered because clients demand it, and one error answers every damage,
//! so that padding says nothing.

use aws_lc_rs::{
    cipher::{
        AES_128, AES_192, AES_256, Algorithm, DecryptionContext, EncryptionContext, PaddedBlockDecryptingKey,
        PaddedBlockEncryptingKey, UnboundCipherKey,
    },
    iv::FixedLength,
};
use zeroize::Zeroizing;

use super::BLOCK_BYTES;
use crate::error::Error;

const CBC: &str = "AES-CBC";

fn context(key: &[u8]) -> Result<UnboundCipherKey, Error> {
    let algorithm: &'static Algorithm = match key.len() {
        16 => &AES_128,
        24 => &AES_192,
        32 => &AES_256,
        _ => return Err(Error::Cipher { cipher: CBC, why: "an AES key has 16, 24 or 32 bytes" }),
    };
    UnboundCipherKey::new(algorithm, key).map_err(|_| Error::Seal)
}

/// Ciphertext, padded to whole blocks.
pub(crate) fn cbc_encrypt(key: &[u8], iv: &[u8; BLOCK_BYTES], text: &[u8]) -> Result<Vec<u8>, Error> {
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(context(key)?).map_err(|_| Error::Seal)?;
    // Room for the padding, so that growing never leaves a copy of the plaintext behind.
    let mut bytes = Vec::with_capacity(text.len() + BLOCK_BYTES);
    bytes.extend_from_slice(text);
    key.less_safe_encrypt(&mut bytes, EncryptionContext::Iv128(FixedLength::from(iv))).map_err(|_| Error::Seal)?;
    Ok(bytes)
}

/// Plaintext without its padding.
pub(crate) fn cbc_decrypt(key: &[u8], iv: &[u8; BLOCK_BYTES], sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let refused = || Error::Cipher { cipher: CBC, why: "the data was not encrypted under this key, or was changed" };
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(context(key)?).map_err(|_| Error::Seal)?;
    let mut bytes = Zeroizing::new(sealed.to_vec());
    let iv = DecryptionContext::Iv128(FixedLength::from(iv));
    let length = key.decrypt(&mut bytes, iv).map_err(|_| refused())?.len();
    bytes.truncate(length);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// NIST SP 800-38A F.2.5 (AES-256, first block); the padding block follows.
    #[test]
    fn a_published_vector() {
        let key: Vec<u8> = (0..32)
            .map(|i| {
                [
                    0x60, 0x3d, 0xeb, 0x10, 0x15, 0xca, 0x71, 0xbe, 0x2b, 0x73, 0xae, 0xf0, 0x85, 0x7d, 0x77, 0x81,
                    0x1f, 0x35, 0x2c, 0x07, 0x3b, 0x61, 0x08, 0xd7, 0x2d, 0x98, 0x10, 0xa3, 0x09, 0x14, 0xdf, 0xf4,
                ][i]
            })
            .collect();
        let iv: [u8; 16] = std::array::from_fn(|i| u8::try_from(i).unwrap());
        let text = [0x6b, 0xc1, 0xbe, 0xe2, 0x2e, 0x40, 0x9f, 0x96, 0xe9, 0x3d, 0x7e, 0x11, 0x73, 0x93, 0x17, 0x2a];
        let sealed = cbc_encrypt(&key, &iv, &text).unwrap();
        assert_eq!(
            sealed[..16],
            [0xf5, 0x8c, 0x4c, 0x04, 0xd6, 0xe5, 0xf1, 0xba, 0x77, 0x9e, 0xab, 0xfb, 0x5f, 0x7b, 0xfb, 0xd6]
        );
        assert_eq!(sealed.len(), 32);
    }

    #[test]
    fn whole_blocks_only() {
        for bytes in [0, 1, 15, 17] {
            assert!(cbc_decrypt(&[1; 32], &[0; 16], &vec![0; bytes]).is_err());
        }
    }

    proptest! {
        #[test]
        fn what_was_encrypted_decrypts(key: [u8; 32], iv: [u8; 16], text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let sealed = cbc_encrypt(&key, &iv, &text).unwrap();
            prop_assert_eq!(sealed.len(), (text.len() / 16 + 1) * 16);
            prop_assert_eq!(&*cbc_decrypt(&key, &iv, &sealed).unwrap(), &text);
        }
    }
}
