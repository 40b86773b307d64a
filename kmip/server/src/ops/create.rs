//! Create (KMIP 1.4 §4.1): an AES, HMAC or Triple DES key, drawn in locked memory, stored wrapped before it is answered.
//!
//! Triple DES keys are made since the foundry profile asks for them; nothing is encrypted with them here (NIST SP 800-131A forbids it).

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use custody::{Error, object::ObjectMeta};
use kmip::{
    ops::{Answer, create},
    tables::{CryptographicAlgorithm, KeyFormatType, ObjectType},
};
use policy::Permitted;

use super::Turn;
use crate::{
    attributes::{self, generator},
    refusal::{Outcome, invalid_field},
};

pub(super) async fn perform(turn: &mut Turn<'_, '_>, _: Permitted, request: create::Request) -> Outcome<()> {
    if request.object_type != ObjectType::SymmetricKey {
        return Err(invalid_field(format!("Create makes a Symmetric Key, not a {}", request.object_type)));
    }
    let mut meta = attributes::meta_of(request.object_type, &request.template_attribute, turn.now_s)?;
    let (bytes, draw) = drawn(&meta)?;
    meta.key_format = Some(KeyFormatType::Raw.code());
    meta.dates.original_creation = Some(turn.now_s);
    generator::check(meta.rng)?;
    meta.rng = Some(generator::OURS);
    turn.put_off_if_cold()?;
    let id = turn.store(meta, bytes, draw).await?;
    let unique_identifier = &turn.made(id);
    let object_type = request.object_type;
    turn.success(&Answer::Create(create::Answer { object_type, unique_identifier, template_attribute: None }));
    Ok(())
}

/// How a key is drawn in place.
pub(super) type Draw = fn(&mut [u8]) -> Result<(), Error>;

/// How many bytes a key with these attributes has, and how they are drawn.
pub(super) fn drawn(meta: &ObjectMeta) -> Outcome<(usize, Draw)> {
    let triple_des = meta.algorithm == Some(CryptographicAlgorithm::TripleDes.code());
    Ok((key_bytes(meta)?, if triple_des { draw_triple_des } else { draw }))
}

/// Bits of a Triple DES key without its parity bits, as KMIP counts them, and its bytes with them.
const TRIPLE_DES: (u32, usize) = (168, 24);
/// Bits of an HMAC key. NIST SP 800-107 §5.3.4: not less than 112; more than a block of the hash adds nothing.
const HMAC_BITS: std::ops::RangeInclusive<u32> = 112..=1024;

/// §11.2: incorrect attribute values are an Invalid Field.
fn key_bytes(meta: &ObjectMeta) -> Outcome<usize> {
    use CryptographicAlgorithm as A;
    let algorithm =
        meta.algorithm.ok_or_else(|| invalid_field("a new key needs the attribute Cryptographic Algorithm"))?;
    if meta.usage_mask == 0 {
        return Err(invalid_field("a new key needs a Cryptographic Usage Mask that allows something"));
    }
    let bits = meta.length_bits.ok_or_else(|| invalid_field("a new key needs the attribute Cryptographic Length"))?;
    let whole = |bits: u32| usize::try_from(bits / 8).unwrap_or(usize::MAX);
    match (A::from_code(algorithm), bits) {
        (Some(A::Aes), 128 | 192 | 256) => Ok(whole(bits)),
        (Some(A::Aes), _) => Err(invalid_field(format!("an AES key has 128, 192 or 256 bits, not {bits}"))),
        (Some(A::TripleDes), bits) if bits == TRIPLE_DES.0 => Ok(TRIPLE_DES.1),
        (Some(A::TripleDes), _) => {
            Err(invalid_field(format!("a Triple DES key has {} bits, not {bits}", TRIPLE_DES.0)))
        }
        (Some(A::HmacSha1 | A::HmacSha224 | A::HmacSha256 | A::HmacSha384 | A::HmacSha512), bits) => {
            if HMAC_BITS.contains(&bits) && bits.is_multiple_of(8) {
                return Ok(whole(bits));
            }
            let (least, most) = (HMAC_BITS.start(), HMAC_BITS.end());
            Err(invalid_field(format!("an HMAC key has {least} to {most} bits in whole bytes, not {bits}")))
        }
        _ => Err(invalid_field(
            "keys of the algorithms AES, HMAC and Triple DES are made here; others can be registered",
        )),
    }
}

fn draw(key: &mut [u8]) -> Result<(), Error> {
    SystemRandom::new().fill(key).map_err(|_| Error::Random("the system's generator gave nothing".to_owned()))
}

/// Three subkeys of eight bytes, each byte with odd parity (NIST SP 800-67 §3.2).
fn draw_triple_des(key: &mut [u8]) -> Result<(), Error> {
    draw(key)?;
    for byte in key {
        *byte = (*byte & 0xfe) | u8::from((*byte & 0xfe).count_ones().is_multiple_of(2));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use custody::object::State;
    use kmip::ResultReason;

    use super::*;

    #[test]
    fn only_keys_that_we_can_make() {
        let meta = |algorithm, length_bits, usage_mask| ObjectMeta {
            algorithm,
            length_bits,
            usage_mask,
            ..ObjectMeta::new(2, State::PreActive, true)
        };
        assert_eq!(key_bytes(&meta(Some(3), Some(256), 12)), Ok(32));
        assert_eq!(key_bytes(&meta(Some(3), Some(128), 12)), Ok(16));
        assert_eq!(key_bytes(&meta(Some(2), Some(168), 12)), Ok(24));
        assert_eq!(key_bytes(&meta(Some(9), Some(256), 0x180)), Ok(32));
        for wrong in [
            meta(Some(2), Some(192), 12),
            meta(Some(9), Some(104), 0x180),
            meta(Some(9), Some(257), 0x180),
            meta(Some(9), Some(2048), 0x180),
            meta(None, Some(256), 12),
            meta(Some(3), None, 12),
            meta(Some(3), Some(257), 12),
            meta(Some(3), Some(0), 12),
            meta(Some(4), Some(2048), 12),
            meta(Some(3), Some(256), 0),
        ] {
            assert_eq!(key_bytes(&wrong).err().map(|failure| failure.reason), Some(ResultReason::InvalidField));
        }
    }

    #[test]
    fn triple_des_keys_have_odd_parity() {
        let mut key = [0; 24];
        draw_triple_des(&mut key).unwrap();
        assert!(key.iter().all(|byte| byte.count_ones() % 2 == 1), "{key:?}");
    }

    #[test]
    fn keys_are_drawn_anew() {
        let (mut one, mut other) = ([0; 32], [0; 32]);
        draw(&mut one).unwrap();
        draw(&mut other).unwrap();
        assert_ne!(one, other);
    }
}
