//! AES key wrap: RFC 3394 (NIST SP 800-38F: KW), and RFC 5649 (KWP) for keys of any length.
//!
//! The library has it for two of the three lengths of an AES key, and not in place; this one is written over its block cipher and held
//! against it by the tests. One error answers every damage.

use aws_lc_rs::{
    cipher::{
        AES_128, AES_192, AES_256, DecryptingKey, DecryptionContext, EncryptingKey, EncryptionContext, UnboundCipherKey,
    },
    constant_time::verify_slices_are_equal,
};
use zeroize::Zeroizing;

use super::BLOCK_BYTES;
use crate::{
    dek::{Encrypted, within_limit},
    error::Error,
    key_table::{Borrow, Pending},
    vault::Expose,
};

const WRAP: Expose = Expose::because("wrap another key for the caller");
const UNWRAP: Expose = Expose::because("unwrap another key for the caller");

/// Which key wrap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyWrap {
    /// RFC 3394: 16 bytes or more, in whole half-blocks of 8.
    Plain,
    /// RFC 5649: any length but none.
    Padded,
}

/// A half-block: what is wrapped is counted in these.
const HALF_BYTES: usize = 8;
/// RFC 3394 §2.2.1.
const ROUNDS: u64 = 6;
/// RFC 3394 §2.2.3.1.
const CHECK: [u8; HALF_BYTES] = [0xA6; HALF_BYTES];
/// RFC 5649 §3: before the length of the key.
const CHECK_PADDED: [u8; 4] = [0xA6, 0x59, 0x59, 0xA6];

impl Borrow {
    /// Wraps a key under this AES key.
    pub fn wrap_key(&self, wrap: KeyWrap, key: &[u8]) -> Result<Pending<Encrypted>, Error> {
        within_limit(key.len())?;
        Ok(Pending(Encrypted { bytes: wrap.wrap(self.bytes(WRAP)?, key)?, drawn: None, tag: None }))
    }

    /// Unwraps what [`Borrow::wrap_key`] gave.
    pub fn unwrap_key(&self, wrap: KeyWrap, wrapped: &[u8]) -> Result<Pending<Zeroizing<Vec<u8>>>, Error> {
        within_limit(wrapped.len())?;
        Ok(Pending(wrap.unwrap(self.bytes(UNWRAP)?, wrapped)?))
    }
}

impl KeyWrap {
    fn error(self, why: &'static str) -> Error {
        let cipher = match self {
            Self::Plain => "AES key wrap (RFC 3394)",
            Self::Padded => "AES key wrap with padding (RFC 5649)",
        };
        Error::Cipher { cipher, why }
    }

    fn key(self, key: &[u8]) -> Result<UnboundCipherKey, Error> {
        let algorithm = match key.len() {
            16 => &AES_128,
            24 => &AES_192,
            32 => &AES_256,
            _ => return Err(self.error("an AES key has 16, 24 or 32 bytes")),
        };
        UnboundCipherKey::new(algorithm, key).map_err(|_| Error::Seal)
    }

    fn refused(self) -> Error {
        self.error("the data was not wrapped under this key in this way, or was changed")
    }

    /// The wrapped `text`: 8 bytes more, and what fills the last half-block.
    pub(crate) fn wrap(self, key: &[u8], text: &[u8]) -> Result<Vec<u8>, Error> {
        let check = match self {
            Self::Plain if text.len() >= BLOCK_BYTES && text.len().is_multiple_of(HALF_BYTES) => CHECK,
            Self::Plain => {
                return Err(self.error("what is wrapped has 16 bytes or more, in multiples of 8; wrap with padding"));
            }
            Self::Padded if text.is_empty() => return Err(self.error("nothing is there to be wrapped")),
            Self::Padded => padded_check(text.len()).ok_or_else(|| self.error("what is wrapped is too long"))?,
        };
        let cipher = EncryptingKey::ecb(self.key(key)?).map_err(|_| Error::Seal)?;
        let encrypt = |block: &mut [u8]| {
            cipher.less_safe_encrypt(block, EncryptionContext::None).map(|_| ()).map_err(|_| Error::Seal)
        };
        let mut out = Vec::with_capacity(HALF_BYTES + text.len().next_multiple_of(HALF_BYTES));
        out.extend_from_slice(&check);
        out.extend_from_slice(text);
        out.resize(out.len().next_multiple_of(HALF_BYTES), 0);
        if out.len() == BLOCK_BYTES {
            // RFC 5649 §4.1: one block is encrypted as it is.
            encrypt(&mut out)?;
            return Ok(out);
        }
        let Some((head, halves)) = out.split_first_chunk_mut::<HALF_BYTES>() else { return Err(Error::Seal) };
        let mut count = 0u64;
        for _ in 0..ROUNDS {
            for half in halves.chunks_exact_mut(HALF_BYTES) {
                count += 1;
                let mut block = joined(head, half);
                encrypt(block.as_mut_slice())?;
                part(&block, head, half);
                mix(head, count);
            }
        }
        Ok(out)
    }

    /// What was wrapped.
    pub(crate) fn unwrap(self, key: &[u8], wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>, Error> {
        let least = if self == Self::Plain { BLOCK_BYTES + HALF_BYTES } else { BLOCK_BYTES };
        if wrapped.len() < least || !wrapped.len().is_multiple_of(HALF_BYTES) {
            return Err(self.refused());
        }
        let cipher = DecryptingKey::ecb(self.key(key)?).map_err(|_| Error::Seal)?;
        let decrypt =
            |block: &mut [u8]| cipher.decrypt(block, DecryptionContext::None).map(|_| ()).map_err(|_| Error::Seal);
        let mut text = Zeroizing::new(wrapped.to_vec());
        let Some((head, halves)) = text.split_first_chunk_mut::<HALF_BYTES>() else { return Err(self.refused()) };
        if halves.len() == HALF_BYTES {
            let mut block = joined(head, halves);
            decrypt(block.as_mut_slice())?;
            part(&block, head, halves);
        } else {
            let mut count = u64::try_from(halves.len() / HALF_BYTES).map_err(|_| Error::Seal)? * ROUNDS;
            for _ in 0..ROUNDS {
                for half in halves.chunks_exact_mut(HALF_BYTES).rev() {
                    mix(head, count);
                    count -= 1;
                    let mut block = joined(head, half);
                    decrypt(block.as_mut_slice())?;
                    part(&block, head, half);
                }
            }
        }
        let bytes = self.checked(*head, halves).ok_or_else(|| self.refused())?;
        let text = text.get(HALF_BYTES..HALF_BYTES + bytes).ok_or_else(|| self.refused())?;
        Ok(Zeroizing::new(text.to_vec()))
    }

    /// How many bytes the key has, if the check value and the padding are right.
    fn checked(self, head: [u8; HALF_BYTES], halves: &[u8]) -> Option<usize> {
        if self == Self::Plain {
            return verify_slices_are_equal(&head, &CHECK).is_ok().then_some(halves.len());
        }
        let (check, length) = head.split_first_chunk::<4>()?;
        let bytes = usize::try_from(u32::from_be_bytes(*length.first_chunk()?)).ok()?;
        let zeros = halves.get(bytes..)?;
        let right = verify_slices_are_equal(check, &CHECK_PADDED).is_ok()
            && zeros.len() < HALF_BYTES
            && verify_slices_are_equal(zeros, [0; HALF_BYTES].get(..zeros.len())?).is_ok();
        right.then_some(bytes)
    }
}

fn padded_check(bytes: usize) -> Option<[u8; HALF_BYTES]> {
    let length = u32::try_from(bytes).ok()?;
    Some((u64::from(u32::from_be_bytes(CHECK_PADDED)) << 32 | u64::from(length)).to_be_bytes())
}

/// The register and a half-block as one block.
fn joined(head: &[u8; HALF_BYTES], half: &[u8]) -> Zeroizing<[u8; BLOCK_BYTES]> {
    let mut block = Zeroizing::new([0; BLOCK_BYTES]);
    block.iter_mut().zip(head.iter().chain(half)).for_each(|(to, from)| *to = *from);
    block
}

/// A block's halves back to where they stand.
fn part(block: &[u8; BLOCK_BYTES], head: &mut [u8; HALF_BYTES], half: &mut [u8]) {
    head.iter_mut().chain(half).zip(block).for_each(|(to, from)| *to = *from);
}

fn mix(head: &mut [u8; HALF_BYTES], count: u64) {
    *head = (u64::from_be_bytes(*head) ^ count).to_be_bytes();
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::key_wrap::{AES_128, AES_256, AesKek, KeyWrap as _, KeyWrapPadded as _};
    use proptest::prelude::*;

    use super::*;
    use crate::aead::tests::hex;

    /// RFC 3394 §4.1 to §4.6.
    #[test]
    fn vectors_of_rfc_3394() {
        let (kek, text) = (
            "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f",
            "00112233445566778899aabbccddeeff000102030405060708090a0b0c0d0e0f",
        );
        for (kek_bytes, bytes, wrapped) in [
            (16, 16, "1fa68b0a8112b447aef34bd8fb5a7b829d3e862371d2cfe5"),
            (24, 16, "96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d"),
            (32, 16, "64e8c3f9ce0f5ba263e9777905818a2a93c8191e7d6e8ae7"),
            (24, 24, "031d33264e15d33268f24ec260743edce1c6c7ddee725a936ba814915c6762d2"),
            (32, 24, "a8f9bc1612c68b3ff6e6f4fbe30e71e4769c8b80a32cb8958cd5d17d6b254da1"),
            (32, 32, "28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21"),
        ] {
            let (kek, text) = (&hex(kek)[..kek_bytes], &hex(text)[..bytes]);
            assert_eq!(KeyWrap::Plain.wrap(kek, text).unwrap(), hex(wrapped));
            assert_eq!(*KeyWrap::Plain.unwrap(kek, &hex(wrapped)).unwrap(), text);
        }
    }

    /// RFC 5649 §6.
    #[test]
    fn vectors_of_rfc_5649() {
        let kek = hex("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8");
        for (text, wrapped) in [
            (
                "c37b7e6492584340bed12207808941155068f738",
                "138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a",
            ),
            ("466f7250617369", "afbeb0f07dfbf5419200f2ccb50bb24f"),
        ] {
            assert_eq!(KeyWrap::Padded.wrap(&kek, &hex(text)).unwrap(), hex(wrapped));
            assert_eq!(*KeyWrap::Padded.unwrap(&kek, &hex(wrapped)).unwrap(), hex(text));
        }
    }

    #[test]
    fn what_cannot_be_wrapped_so_is_not() {
        let kek = [7; 32];
        for bytes in [0, 8, 15, 17, 20, 31] {
            assert!(KeyWrap::Plain.wrap(&kek, &vec![1; bytes]).is_err(), "{bytes}");
        }
        assert!(KeyWrap::Padded.wrap(&kek, &[]).is_err());
        assert!(KeyWrap::Padded.wrap(&[7; 20], &[1]).is_err());
        for bytes in [0, 8, 15, 23] {
            assert!(KeyWrap::Plain.unwrap(&kek, &vec![1; bytes]).is_err());
            assert!(KeyWrap::Padded.unwrap(&kek, &vec![1; bytes]).is_err());
        }
        let plain = KeyWrap::Plain.wrap(&kek, &[3; 24]).unwrap();
        let padded = KeyWrap::Padded.wrap(&kek, &[3; 24]).unwrap();
        assert!(KeyWrap::Padded.unwrap(&kek, &plain).is_err() && KeyWrap::Plain.unwrap(&kek, &padded).is_err());
    }

    /// A check value that is right over a length or a padding that is not: no honest wrap makes these.
    #[test]
    fn a_length_or_padding_that_cannot_be_is_refused() {
        let head = |bytes: usize| padded_check(bytes).unwrap();
        let padded = |bytes, halves: &[u8]| KeyWrap::Padded.checked(head(bytes), halves);
        assert_eq!(padded(9, &[1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0]), Some(9));
        assert_eq!(padded(16, &[1; 16]), Some(16));
        for (bytes, halves) in [(8, &[0; 16][..]), (17, &[0; 16]), (9, &[1; 16]), (0, &[0; 8])] {
            assert_eq!(padded(bytes, halves), None, "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn what_is_wrapped_is_unwrapped_and_damage_is_seen(
            kek in prop_oneof![Just(16usize), Just(24), Just(32)].prop_flat_map(|bytes| proptest::collection::vec(any::<u8>(), bytes)),
            text in proptest::collection::vec(any::<u8>(), 1..100),
            flip: usize,
        ) {
            let padded = KeyWrap::Padded.wrap(&kek, &text).unwrap();
            prop_assert_eq!(&*KeyWrap::Padded.unwrap(&kek, &padded).unwrap(), &text);
            let whole = [&text[..], &[9; 16]].concat();
            let whole = &whole[..whole.len() / 8 * 8];
            let plain = KeyWrap::Plain.wrap(&kek, whole).unwrap();
            prop_assert_eq!(&**KeyWrap::Plain.unwrap(&kek, &plain).unwrap(), whole);
            for (wrap, wrapped) in [(KeyWrap::Padded, &padded), (KeyWrap::Plain, &plain)] {
                let mut damaged = wrapped.clone();
                let bits = damaged.len() * 8;
                damaged[flip % bits / 8] ^= 1 << (flip % 8);
                prop_assert!(wrap.unwrap(&kek, &damaged).is_err());
            }
            let mut library = vec![0; plain.len()];
            let made = match kek.len() {
                16 => AesKek::new(&AES_128, &kek).unwrap().wrap(whole, &mut library).unwrap().to_vec(),
                32 => AesKek::new(&AES_256, &kek).unwrap().wrap(whole, &mut library).unwrap().to_vec(),
                _ => plain.clone(),
            };
            prop_assert_eq!(made, plain);
            let mut library = vec![0; padded.len()];
            let made = match kek.len() {
                16 => AesKek::new(&AES_128, &kek).unwrap().wrap_with_padding(&text, &mut library).unwrap().to_vec(),
                32 => AesKek::new(&AES_256, &kek).unwrap().wrap_with_padding(&text, &mut library).unwrap().to_vec(),
                _ => padded.clone(),
            };
            prop_assert_eq!(made, padded);
        }
    }
}
