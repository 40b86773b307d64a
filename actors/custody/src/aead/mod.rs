//! The ciphers: one small trait for AES-GCM with two providers, GCM with other nonces and tags, and the modes without a tag for KMIP.
//!
//! `aws_lc` is the default: fast, FIPS-capable, and it leaves no copy of the key behind (measured). `portable` is plain Rust: it
//! leaves copies on the stack, so it wipes the stack after each use; tests hold the two against each other. Keys come straight
//! from their locked slot, the context is built for one operation and freed with it.

mod aws_lc;
mod block;
mod gcm;
mod key_wrap;
mod nonce;
mod portable;

pub use aws_lc::AwsLc;
pub use block::{Block, Chaining, Padding};
pub use gcm::{SHORT_TAG_BYTES_MIN, gcm_open, gcm_seal};
pub use key_wrap::KeyWrap;
pub use nonce::Nonces;
pub use portable::Portable;
pub(crate) use portable::with as wiped;

use crate::error::Error;

/// Bytes of a GCM nonce (NIST SP 800-38D §5.2.1.1: 96 bits).
pub const NONCE_BYTES: usize = 12;
/// Bytes of a whole GCM tag.
pub const TAG_BYTES: usize = 16;
/// Bytes of an initialization vector and of an AES block.
pub const BLOCK_BYTES: usize = 16;
/// The most that one operation encrypts or decrypts.
pub const DATA_BYTES_MAX: usize = 8 * 1024 * 1024;

/// AES-GCM with keys of 16, 24 or 32 bytes.
pub trait Aead: Send + Sync {
    /// The provider, for health and tests.
    fn name(&self) -> &'static str;
    /// Encrypts `text` into `out` (same length) and answers the tag. On an error `out` holds nothing of the plaintext.
    fn seal(
        &self,
        key: &[u8],
        nonce: &[u8; NONCE_BYTES],
        aad: &[u8],
        text: &[u8],
        out: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], Error>;
    /// Decrypts `sealed` into `out` (same length). On a wrong tag `out` holds nothing of the plaintext.
    fn open(
        &self,
        key: &[u8],
        nonce: &[u8; NONCE_BYTES],
        aad: &[u8],
        sealed: &[u8],
        tag: &[u8; TAG_BYTES],
        out: &mut [u8],
    ) -> Result<(), Error>;
}

/// The provider that the product uses.
pub fn provider() -> &'static dyn Aead {
    &AwsLc
}

const GCM: &str = "AES-GCM";

fn key_length() -> Error {
    Error::Cipher { cipher: GCM, why: "an AES key has 16, 24 or 32 bytes" }
}
fn not_authentic() -> Error {
    Error::Cipher {
        cipher: GCM,
        why: "the data was not encrypted under this key, nonce and associated data, or was changed",
    }
}
fn out_length() -> Error {
    Error::Cipher { cipher: GCM, why: "plaintext and ciphertext differ in length" }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const PROVIDERS: [&dyn Aead; 2] = [&AwsLc, &Portable];

    fn key() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![Just(16usize), Just(24), Just(32)]
            .prop_flat_map(|bytes| proptest::collection::vec(any::<u8>(), bytes))
    }

    /// NIST GCM test vector (SP 800-38D validation, AES-256, test case 16).
    #[test]
    fn a_published_vector() {
        let key: Vec<u8> = (0..2).flat_map(|_| hex("feffe9928665731c6d6a8f9467308308")).collect();
        let nonce: [u8; 12] = hex("cafebabefacedbaddecaf888").try_into().unwrap();
        let aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let text = hex(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        );
        for provider in PROVIDERS {
            let mut sealed = vec![0; text.len()];
            let tag = provider.seal(&key, &nonce, &aad, &text, &mut sealed).unwrap();
            assert_eq!(tag.to_vec(), hex("76fc6ece0f4e1768cddf8853bb2d551b"), "{}", provider.name());
            assert!(sealed.starts_with(&hex("522dc1f099567d07f47f37a32a84427d")));
        }
    }

    pub(super) fn hex(text: &str) -> Vec<u8> {
        text.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    #[test]
    fn other_key_lengths_are_refused() {
        for provider in PROVIDERS {
            for bytes in [0, 15, 17, 31, 33] {
                assert!(provider.seal(&vec![1; bytes], &[0; 12], b"", &[], &mut []).is_err());
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let (key, tag) = ([1; 32], [0; TAG_BYTES]);
        for provider in PROVIDERS {
            for bytes in [3, 5] {
                assert!(provider.seal(&key, &[0; 12], b"", b"text", &mut vec![0; bytes]).is_err());
                assert!(provider.open(&key, &[0; 12], b"", b"text", &tag, &mut vec![0; bytes]).is_err());
            }
        }
    }

    proptest! {
        #[test]
        fn the_providers_agree(key in key(), nonce: [u8; 12], aad: Vec<u8>, text in proptest::collection::vec(any::<u8>(), 0..300), flip: usize) {
            let [one, other] = PROVIDERS;
            let (mut a, mut b) = (vec![7; text.len()], vec![8; text.len()]);
            let tag = one.seal(&key, &nonce, &aad, &text, &mut a).unwrap();
            prop_assert_eq!(tag, other.seal(&key, &nonce, &aad, &text, &mut b).unwrap());
            prop_assert_eq!(&a, &b);
            for provider in PROVIDERS {
                let mut out = vec![0; text.len()];
                provider.open(&key, &nonce, &aad, &a, &tag, &mut out).unwrap();
                prop_assert_eq!(&out, &text);
                let mut wrong = tag;
                wrong[flip % 16] ^= 1;
                let mut out = vec![0; text.len()];
                prop_assert!(provider.open(&key, &nonce, &aad, &a, &wrong, &mut out).is_err());
                prop_assert!(out.iter().all(|byte| *byte == 0), "plaintext of a forged message was left");
            }
        }
    }
}
