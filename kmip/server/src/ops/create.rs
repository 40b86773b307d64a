//! Create (KMIP 1.4 §4.1): an AES key, drawn in locked memory, stored wrapped before it is answered.

use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use custody::Error;
use kmip::{
    ops::{Answer, create},
    tables::{CryptographicAlgorithm, KeyFormatType, ObjectType},
};
use policy::Permitted;

use super::Turn;
use crate::{
    attributes,
    refusal::{Outcome, invalid_field},
};

pub(super) async fn perform(turn: &mut Turn<'_, '_>, _: Permitted, request: create::Request) -> Outcome<()> {
    if request.object_type != ObjectType::SymmetricKey {
        return Err(invalid_field(format!("Create makes a Symmetric Key, not a {}", request.object_type)));
    }
    let mut meta = attributes::meta_of(request.object_type, &request.template_attribute, turn.now_s)?;
    let bytes = key_bytes(&meta)?;
    meta.key_format = Some(KeyFormatType::Raw.code());
    meta.dates.original_creation = Some(turn.now_s);
    let id = turn.store(meta, bytes, draw).await?;
    let unique_identifier = &turn.made(id);
    let object_type = request.object_type;
    turn.success(&Answer::Create(create::Answer { object_type, unique_identifier, template_attribute: None }));
    Ok(())
}

/// §11.2: incorrect attribute values are an Invalid Field.
fn key_bytes(meta: &custody::object::ObjectMeta) -> Outcome<usize> {
    match meta.algorithm {
        None => return Err(invalid_field("Create needs the attribute Cryptographic Algorithm")),
        Some(algorithm) if algorithm != CryptographicAlgorithm::Aes.code() => {
            return Err(invalid_field("keys of algorithm AES are made here; other keys can be registered"));
        }
        Some(_) => {}
    }
    if meta.usage_mask == 0 {
        return Err(invalid_field("Create needs a Cryptographic Usage Mask that allows something"));
    }
    match meta.length_bits {
        Some(128) => Ok(16),
        Some(192) => Ok(24),
        Some(256) => Ok(32),
        Some(bits) => Err(invalid_field(format!("an AES key has 128, 192 or 256 bits, not {bits}"))),
        None => Err(invalid_field("Create needs the attribute Cryptographic Length")),
    }
}

fn draw(key: &mut [u8]) -> Result<(), Error> {
    SystemRandom::new().fill(key).map_err(|_| Error::Random("the system's generator gave nothing".to_owned()))
}

#[cfg(test)]
mod tests {
    use custody::object::{ObjectMeta, State};
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
        for wrong in [
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
    fn keys_are_drawn_anew() {
        let (mut one, mut other) = ([0; 32], [0; 32]);
        draw(&mut one).unwrap();
        draw(&mut other).unwrap();
        assert_ne!(one, other);
    }
}
