//! AES-GCM by aws-lc: the default provider. Its context is freed, and so cleansed, at the end of each operation.

use aws_lc_rs::aead::{AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, Algorithm, LessSafeKey, Nonce, UnboundKey};
use zeroize::Zeroize;

use super::{Aead, NONCE_BYTES, TAG_BYTES, key_length, not_authentic, out_length};
use crate::error::Error;

/// The aws-lc provider.
#[derive(Debug)]
pub struct AwsLc;

fn context(key: &[u8]) -> Result<LessSafeKey, Error> {
    let algorithm: &'static Algorithm = match key.len() {
        16 => &AES_128_GCM,
        24 => &AES_192_GCM,
        32 => &AES_256_GCM,
        _ => return Err(key_length()),
    };
    UnboundKey::new(algorithm, key).map(LessSafeKey::new).map_err(|_| key_length())
}

impl Aead for AwsLc {
    fn name(&self) -> &'static str {
        "aws-lc"
    }

    fn seal(
        &self,
        key: &[u8],
        nonce: &[u8; NONCE_BYTES],
        aad: &[u8],
        text: &[u8],
        out: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], Error> {
        if text.len() != out.len() {
            return Err(out_length());
        }
        let (nonce, mut tag) = (Nonce::assume_unique_for_key(*nonce), [0; TAG_BYTES]);
        let sealed = context(key)?.seal_out_of_place_scatter(nonce, Aad::from(aad), text, out, &[], &mut tag);
        sealed.map(|()| tag).map_err(|_| Error::Seal)
    }

    fn open(
        &self,
        key: &[u8],
        nonce: &[u8; NONCE_BYTES],
        aad: &[u8],
        sealed: &[u8],
        tag: &[u8; TAG_BYTES],
        out: &mut [u8],
    ) -> Result<(), Error> {
        if sealed.len() != out.len() {
            return Err(out_length());
        }
        let nonce = Nonce::assume_unique_for_key(*nonce);
        context(key)?.open_separate_gather(nonce, Aad::from(aad), sealed, tag, out).map_err(|_| {
            out.zeroize();
            not_authentic()
        })
    }
}
