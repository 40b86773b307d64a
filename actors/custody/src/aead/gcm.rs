//! AES-GCM as KMIP's clients may ask for it: a nonce of another length than 12 bytes, a tag that is cut short.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use zeroize::{Zeroize, Zeroizing};

use super::{GCM, TAG_BYTES, not_authentic, portable::seal_other_nonce, provider};
use crate::error::Error;

/// The shortest tag that is taken or given: NIST SP 800-38D §5.2.1.2 allows shorter ones for special uses alone.
pub const SHORT_TAG_BYTES_MIN: usize = 12;

pub(super) fn nonce_length() -> Error {
    Error::Cipher { cipher: GCM, why: "the nonce must have 12 bytes (or 8, 16, 32, 60 or 64)" }
}

/// As [`Aead::seal`](super::Aead::seal), under a nonce of any length that is taken. A shorter tag is the first bytes of the whole one.
pub fn gcm_seal(key: &[u8], nonce: &[u8], aad: &[u8], text: &[u8], out: &mut [u8]) -> Result<[u8; TAG_BYTES], Error> {
    match nonce.try_into() {
        Ok(nonce) => provider().seal(key, nonce, aad, text, out),
        Err(_) => seal_other_nonce(key, nonce, aad, text, out),
    }
}

/// Decrypts `sealed` into `out` (same length), if `tag`, of [`SHORT_TAG_BYTES_MIN`] to [`TAG_BYTES`] bytes, is that of all of it; else
/// `out` holds nothing of the plaintext.
pub fn gcm_open(key: &[u8], nonce: &[u8], aad: &[u8], sealed: &[u8], tag: &[u8], out: &mut [u8]) -> Result<(), Error> {
    if let (Ok(nonce), Ok(tag)) = (nonce.try_into(), tag.try_into()) {
        return provider().open(key, nonce, aad, sealed, tag, out);
    }
    if !(SHORT_TAG_BYTES_MIN..=TAG_BYTES).contains(&tag.len()) {
        return Err(Error::Cipher { cipher: GCM, why: "the tag must have 12 to 16 bytes" });
    }
    // GCM encrypts by a key stream: once more gives the text, and a third time the tag that it should have.
    gcm_seal(key, nonce, aad, sealed, out)?;
    let whole = gcm_seal(key, nonce, aad, out, &mut Zeroizing::new(vec![0; sealed.len()]));
    let is_authentic = |whole: [u8; TAG_BYTES]| {
        let expected = whole.get(..tag.len()).ok_or_else(not_authentic)?;
        verify_slices_are_equal(expected, tag).map_err(|_| not_authentic())
    };
    whole.and_then(is_authentic).inspect_err(|_| out.zeroize())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::aead::tests::hex;

    /// NIST GCM test vectors (SP 800-38D validation, AES-256, test cases 17 and 18): nonces of 8 and of 60 bytes.
    #[test]
    fn published_vectors() {
        let key = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308");
        let aad = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2");
        let text = hex(
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
        );
        let long = "9313225df88406e555909c5aff5269aa6a7a9538534f7da1e4c303d2a318a728c3c0c95156809539fcf0e2429a6b525416aedbf5a0de6a57a637b39b";
        for (nonce, begins, tag) in [
            ("cafebabefacedbad", "c3762df1ca787d32ae47c13bf19844cb", "3a337dbf46a792c45e454913fe2ea8f2"),
            (long, "5a8def2f0c9e53f1f75d7853659e2a20", "a44a8266ee1c8eb0c8b5d4cf5ae9f19a"),
        ] {
            let (nonce, mut sealed, mut opened) = (hex(nonce), vec![0; text.len()], vec![0; text.len()]);
            assert_eq!(gcm_seal(&key, &nonce, &aad, &text, &mut sealed).unwrap().to_vec(), hex(tag));
            assert!(sealed.starts_with(&hex(begins)));
            gcm_open(&key, &nonce, &aad, &sealed, &hex(tag), &mut opened).unwrap();
            assert_eq!(opened, text);
        }
    }

    #[test]
    fn other_nonces_and_tags_are_refused() {
        for nonce in [0, 1, 11, 13, 100] {
            assert!(gcm_seal(&[1; 32], &vec![0; nonce], b"", b"text", &mut [0; 4]).is_err(), "{nonce}");
        }
        let (mut sealed, mut out) = ([0; 4], [0; 4]);
        let tag = gcm_seal(&[1; 32], &[0; 12], b"", b"text", &mut sealed).unwrap();
        for bytes in [0, 1, 11] {
            assert!(gcm_open(&[1; 32], &[0; 12], b"", &sealed, &tag[..bytes], &mut out).is_err(), "{bytes}");
        }
        assert!(gcm_open(&[1; 32], &[0; 12], b"", &sealed, &[tag.as_slice(), &[0]].concat(), &mut out).is_err());
    }

    proptest! {
        #[test]
        fn a_change_of_anything_is_seen(
            text in proptest::collection::vec(any::<u8>(), 1..80),
            nonce in prop_oneof![Just(8_usize), Just(12), Just(16), Just(60)],
            key in prop_oneof![Just(16_usize), Just(24), Just(32)],
            tag_bytes in SHORT_TAG_BYTES_MIN..=TAG_BYTES,
            at: prop::sample::Index,
        ) {
            let (key, mut nonce, mut sealed, mut out) = (vec![5; key], vec![9; nonce], vec![0; text.len()], vec![0; text.len()]);
            let tag = gcm_seal(&key, &nonce, b"aad", &text, &mut sealed).unwrap();
            let mut tag = tag[..tag_bytes].to_vec();
            gcm_open(&key, &nonce, b"aad", &sealed, &tag, &mut out).unwrap();
            prop_assert_eq!(&out, &text);
            prop_assert!(gcm_open(&key, &nonce, b"ada", &sealed, &tag, &mut out).is_err());
            prop_assert!(out.iter().all(|byte| *byte == 0), "plaintext of a forged message was left");
            let changed = at.index(nonce.len() + sealed.len() + tag.len());
            if let Some(byte) = nonce.iter_mut().chain(&mut sealed).chain(&mut tag).nth(changed) {
                *byte ^= 1;
            }
            prop_assert!(gcm_open(&key, &nonce, b"aad", &sealed, &tag, &mut out).is_err());
            prop_assert!(out.iter().all(|byte| *byte == 0), "plaintext of a forged message was left");
        }
    }
}
