//! AES-GCM in plain Rust (RustCrypto): the portable provider, and the oracle that the default one is tested against.
//!
//! It leaves copies of the key schedule on the stack (measured), so each call wipes the stack below it afterwards.

use aes_gcm::{
    AeadInOut, Aes128Gcm, Aes256Gcm, AesGcm, KeyInit,
    aead::consts::{U8, U12, U16, U32, U60, U64},
    aes::{Aes128, Aes192, Aes256},
};
use zeroize::Zeroize;

use super::{Aead, NONCE_BYTES, TAG_BYTES, gcm::nonce_length, key_length, not_authentic, out_length};
use crate::error::Error;

/// The stack that one operation may have used, with room to spare.
const STACK_WIPE_BYTES: usize = 64 * 1024;

/// The plain Rust provider.
#[derive(Debug)]
pub struct Portable;

type Aes192Gcm = AesGcm<Aes192, U12>;

/// Does the work and wipes the stack that it used.
pub(crate) fn with<T>(work: impl FnOnce() -> T) -> T {
    let done = deeper(work);
    wipe_stack();
    done
}

/// Keeps the work in a frame of its own, below which [`wipe_stack`] reaches.
#[inline(never)]
fn deeper<T>(work: impl FnOnce() -> T) -> T {
    work()
}

#[inline(never)]
fn wipe_stack() {
    let mut stack = [0u8; STACK_WIPE_BYTES];
    stack.zeroize();
    std::hint::black_box(&mut stack);
}

macro_rules! by_key_length {
    ($key:expr, |$cipher:ident| $work:expr) => {
        match $key.len() {
            16 => Aes128Gcm::new_from_slice($key).map_err(|_| key_length()).and_then(|$cipher| $work),
            24 => Aes192Gcm::new_from_slice($key).map_err(|_| key_length()).and_then(|$cipher| $work),
            32 => Aes256Gcm::new_from_slice($key).map_err(|_| key_length()).and_then(|$cipher| $work),
            _ => Err(key_length()),
        }
    };
}

macro_rules! seal_with_nonce {
    ($size:ident, $key:expr, $nonce:expr, $aad:expr, $text:expr) => {
        match $key.len() {
            16 => seal_as::<AesGcm<Aes128, $size>>($key, $nonce, $aad, $text),
            24 => seal_as::<AesGcm<Aes192, $size>>($key, $nonce, $aad, $text),
            32 => seal_as::<AesGcm<Aes256, $size>>($key, $nonce, $aad, $text),
            _ => Err(key_length()),
        }
    };
}

fn seal_as<A>(key: &[u8], nonce: &[u8], aad: &[u8], text: &mut [u8]) -> Result<[u8; TAG_BYTES], Error>
where
    A: KeyInit + AeadInOut<TagSize = U16>,
{
    let cipher = A::new_from_slice(key).map_err(|_| key_length())?;
    let nonce = nonce.try_into().map_err(|_| nonce_length())?;
    cipher.encrypt_inout_detached(nonce, aad, text.into()).map(Into::into).map_err(|_| Error::Seal)
}

/// As [`Aead::seal`], under a nonce of 8, 16, 32, 60 or 64 bytes. Such a nonce is hashed first (NIST SP 800-38D §7.1), which the default
/// provider does not offer.
pub(super) fn seal_other_nonce(
    key: &[u8],
    nonce: &[u8],
    aad: &[u8],
    text: &[u8],
    out: &mut [u8],
) -> Result<[u8; TAG_BYTES], Error> {
    if text.len() != out.len() {
        return Err(out_length());
    }
    out.copy_from_slice(text);
    let sealed = with(|| match nonce.len() {
        8 => seal_with_nonce!(U8, key, nonce, aad, out),
        16 => seal_with_nonce!(U16, key, nonce, aad, out),
        32 => seal_with_nonce!(U32, key, nonce, aad, out),
        60 => seal_with_nonce!(U60, key, nonce, aad, out),
        64 => seal_with_nonce!(U64, key, nonce, aad, out),
        _ => Err(nonce_length()),
    });
    sealed.inspect_err(|_| out.zeroize())
}

impl Aead for Portable {
    fn name(&self) -> &'static str {
        "portable"
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
        out.copy_from_slice(text);
        let sealed = with(|| {
            by_key_length!(key, |cipher| cipher
                .encrypt_inout_detached(nonce.into(), aad, (&mut *out).into())
                .map(Into::into)
                .map_err(|_| Error::Seal))
        });
        sealed.inspect_err(|_| out.zeroize())
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
        out.copy_from_slice(sealed);
        let opened = with(|| {
            by_key_length!(key, |cipher| cipher
                .decrypt_inout_detached(nonce.into(), aad, (&mut *out).into(), tag.into())
                .map_err(|_| not_authentic()))
        });
        opened.inspect_err(|_| out.zeroize())
    }
}
