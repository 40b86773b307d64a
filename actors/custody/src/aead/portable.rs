//! AES-GCM in plain Rust (RustCrypto): the portable provider, and the oracle that the default one is tested against.
//!
//! It leaves copies of the key schedule on the stack (measured), so each call wipes the stack below it afterwards.

use aes_gcm::{AeadInOut, Aes128Gcm, Aes256Gcm, AesGcm, KeyInit, aes::Aes192};
use zeroize::Zeroize;

use super::{Aead, NONCE_BYTES, TAG_BYTES, key_length, not_authentic, out_length};
use crate::error::Error;

/// The stack that one operation may have used, with room to spare.
const STACK_WIPE_BYTES: usize = 64 * 1024;

/// The plain Rust provider.
#[derive(Debug)]
pub struct Portable;

type Aes192Gcm = AesGcm<Aes192, aes_gcm::aead::consts::U12>;

fn with<T>(work: impl FnOnce() -> T) -> T {
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

impl Aead for Portable {
    fn name(&self) -> &'static str {
        "portable"
    }

    fn seal(
        &self,
        key: &[u8],
        nonce: &[u8; NONCE_BYTES],
        aad: &[u8],
        text: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], Error> {
        with(|| {
            by_key_length!(key, |cipher| cipher
                .encrypt_inout_detached(nonce.into(), aad, text.into())
                .map(Into::into)
                .map_err(|_| Error::Seal))
        })
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
