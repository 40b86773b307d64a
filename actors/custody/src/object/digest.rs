//! The digest of a key (KMIP 1.4 §3.17), by which clients see whether two keys are one.
//!
//! It is stored in the clear beside the wrapped key and is told to who may ask for attributes, so it must not help anyone to find
//! the key. SHA-256 of a key of 128 bits or more gives it away to nobody; that of a password does to whoever guesses. Therefore only
//! symmetric keys of [`DIGEST_KEY_BYTES_MIN`] bytes and more, parts of such keys, private and public keys and certificates have one, whether they were drawn here or brought by a client that says
//! that they are keys. Secret data, which may be a password, opaque objects and shorter keys have none: a deviation from the "SHALL" of §3.17.

use aws_lc_rs::digest::{Context, SHA256};
use orbital::names::Digest;

use super::ObjectMeta;

/// The shortest key of which a digest is kept.
pub const DIGEST_KEY_BYTES_MIN: usize = 16;

/// KMIP 1.4 §9.1.3.2.12: Certificate, Symmetric Key, Public Key, Private Key, Split Key.
const KEYS: [u32; 5] = [1, 2, 3, 4, 5];
/// §9.1.3.2.3: Transparent DSA Private Key to Transparent EC Public Key. Their Key Material is not what is stored.
const STRUCTURED: std::ops::RangeInclusive<u32> = 0x08..=0x15;
/// §9.1.3.2.3: Transparent Symmetric Key, whose Key Material is a structure of one Byte String.
const TRANSPARENT_SYMMETRIC_KEY: u32 = 7;
const KEY_MATERIAL: [u8; 4] = [0x42, 0x00, 0x43, 0x01];
const KEY: [u8; 4] = [0x42, 0x00, 0x3F, 0x08];
/// TTLV: each item's length is a multiple of this, its header has this length.
const WORD_BYTES: usize = 8;

/// SHA-256 of the Key Material in the format in which the object was made, `None` for an object that has no digest: of one that came
/// wrapped the Key Material is not known.
pub fn digest_of(meta: &ObjectMeta, key: &[u8]) -> Option<Digest> {
    if !KEYS.contains(&meta.object_type) || key.len() < DIGEST_KEY_BYTES_MIN || meta.wrapping.is_some() {
        return None;
    }
    if meta.key_format.is_some_and(|format| STRUCTURED.contains(&format)) {
        return meta.digest;
    }
    let mut context = Context::new(&SHA256);
    if meta.key_format == Some(TRANSPARENT_SYMMETRIC_KEY) {
        // "If the Key Material is a structure, then the Digest Value SHALL be calculated on the TTLV-encoded Key Material structure."
        let padded = key.len().next_multiple_of(WORD_BYTES);
        for (head, length) in [(KEY_MATERIAL, padded + WORD_BYTES), (KEY, key.len())] {
            context.update(&head);
            context.update(&u32::try_from(length).ok()?.to_be_bytes());
        }
        context.update(key);
        context.update([0; WORD_BYTES].get(..padded - key.len())?);
    } else {
        context.update(key);
    }
    context.finish().as_ref().try_into().ok().map(Digest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::object::State;

    fn hex(digest: Option<Digest>) -> String {
        digest.map(|digest| digest.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()).unwrap_or_default()
    }

    fn meta(object_type: u32, key_format: u32) -> ObjectMeta {
        ObjectMeta { key_format: Some(key_format), ..ObjectMeta::new(object_type, State::Active, true) }
    }

    /// `printf 000102…1f | xxd -r -p | sha256sum`, and with the TTLV around it.
    #[test]
    fn the_digest_is_that_of_the_key_material() {
        let key: Vec<u8> = (0..32).collect();
        assert_eq!(
            hex(digest_of(&meta(2, 1), &key)),
            "630dcd2966c4336691125448bbb25b4ff412a49c732db2c8abc1b8581bd710dd"
        );
        assert_eq!(
            hex(digest_of(&meta(2, 7), &key)),
            "dcc27d1187cfa22e246477eea198afa5239b66750641d5498ed672491b1d0b67"
        );
        assert_eq!(
            hex(digest_of(&meta(2, 7), &key[..21])),
            "86a2a27de664fddcbb1c284f44c0fe3d423810e93d509cac20827e594f4f4261"
        );
    }

    #[test]
    fn the_digest_of_a_structure_of_numbers_is_its_creator_s() {
        let told = Some(Digest([7; 32]));
        assert_eq!(digest_of(&ObjectMeta { digest: told, ..meta(4, 0x14) }, &[1; 121]), told);
        assert_ne!(digest_of(&ObjectMeta { digest: told, ..meta(4, 6) }, &[1; 121]), told);
    }

    #[test]
    fn what_may_be_guessed_has_none() {
        assert_eq!(digest_of(&meta(7, 2), &[1; 32]), None, "secret data");
        assert_eq!(digest_of(&meta(8, 2), &[1; 32]), None, "opaque");
        assert_eq!(digest_of(&meta(2, 1), &[1; 15]), None, "fewer than 128 bits");
        for (object_type, key_format) in [(2, 1), (3, 3), (4, 3)] {
            assert!(digest_of(&meta(object_type, key_format), &[1; 16]).is_some());
        }
    }
}
