//! Register (KMIP 1.4 §4.3): an object that the client brings.
//!
//! libmongocrypt registers secret data of format Opaque with usage mask 0 and no algorithm; Percona Server an AES key with both in
//! the Template-Attribute and in the Key Block.

use custody::{
    Error,
    names::ObjectId,
    object::{ObjectMeta, Split},
};
use kmip::{
    Brought, KeyBlock, ManagedObject, ResultReason, SplitKey,
    ops::{Answer, register},
    tables::{KeyFormatType, ObjectType, SplitKeyMethod},
};
use policy::Permitted;

use super::{Turn, halves};
use crate::{
    attributes,
    refusal::{Outcome, fail, invalid_field, unsupported},
};

pub(super) async fn perform(turn: &mut Turn<'_, '_>, _: Permitted, mut request: register::Request<'_>) -> Outcome<()> {
    let (object_type, mut template) = (request.object_type, std::mem::take(&mut request.template_attribute));
    let mut object = object_of(object_type, request.brought())?;
    if let Some(block) = object.key_block_mut() {
        // §2.1.4: what stands inside the Key Value are attributes like the others.
        template.attributes.append(&mut block.attributes);
    }
    if object.material().is_absent() {
        return perform_keyless(turn, attributes::meta_of_keyless(object_type, &template, turn.now_s)?, object).await;
    }
    let mut meta = attributes::meta_of(object_type, &template, turn.now_s)?;
    describe(&mut meta, &mut object)?;
    let material = object.material();
    let fill = |key: &mut [u8]| -> Result<(), Error> {
        if key.len() != material.len() {
            return Err(Error::SecretLength { found: material.len(), max: key.len() });
        }
        key.copy_from_slice(material.expose());
        Ok(())
    };
    let id = turn.store(meta, material.len(), fill).await?;
    answer(turn, id)
}

/// §3.41: the Key Value is left out, and what the key is must be said.
async fn perform_keyless(turn: &mut Turn<'_, '_>, mut meta: ObjectMeta, mut object: ManagedObject) -> Outcome<()> {
    describe(&mut meta, &mut object)?;
    let id = turn.store_keyless(meta).await?;
    answer(turn, id)
}

fn answer(turn: &mut Turn<'_, '_>, id: ObjectId) -> Outcome<()> {
    let unique_identifier = &turn.made(id);
    turn.success(&Answer::Register(register::Answer { unique_identifier, template_attribute: None }));
    Ok(())
}

/// The one object that is brought, of the type that is said.
pub(super) fn object_of(object_type: ObjectType, brought: Brought) -> Outcome<ManagedObject> {
    if matches!(object_type, ObjectType::Template | ObjectType::PgpKey) {
        return Err(unsupported(format!(
            "an object of type {object_type}; Certificate, Symmetric, Private, Public and Split Key, Secret Data and Opaque Object are"
        )));
    }
    let Brought { mut objects, unread } = brought;
    if objects.len() + unread.len() != 1 {
        return Err(fail(ResultReason::InvalidMessage, "the request brings exactly one object"));
    }
    // §11.4: Object Type does not match type of cryptographic object provided.
    objects
        .pop()
        .filter(|object| object.object_type() == object_type)
        .ok_or_else(|| invalid_field(format!("Object Type is {object_type}, but another object is in the request")))
}

/// Takes over what the Key Block says; where the attributes say it too, both must agree. Leaves in the Key Block what is stored.
pub(super) fn describe(meta: &mut ObjectMeta, object: &mut ManagedObject) -> Outcome<()> {
    if object.material().is_empty() && !object.material().is_absent() {
        return Err(invalid_field(
            "the object has no bytes: Key Material, Certificate Value or Opaque Data Value is empty",
        ));
    }
    match object {
        ManagedObject::Certificate(certificate) => {
            let der = certificate.certificate_value.expose();
            attributes::certificate::describe(meta, certificate.certificate_type, der)?;
        }
        ManagedObject::SplitKey(part) => meta.split = Some(Box::new(split_of(part)?)),
        ManagedObject::OpaqueObject(object) => meta.opaque_kind = Some(object.opaque_data_type.0),
        ManagedObject::SecretData(secret) => meta.secret_kind = Some(secret.secret_data_type.code()),
        _ => {}
    }
    let object_type = object.object_type();
    let Some(block) = object.key_block_mut() else { return Ok(()) };
    agree("Cryptographic Algorithm", &mut meta.algorithm, block.cryptographic_algorithm.map(|one| one.code()))?;
    let length = block.cryptographic_length.map(u32::try_from).transpose();
    let length = length.map_err(|_| invalid_field("Cryptographic Length is negative"))?;
    agree("Cryptographic Length", &mut meta.length_bits, length)?;
    meta.key_format = Some(block.key_format_type.code());
    if block.material.is_absent() {
        return match object_type {
            // §3.41, §3.42: "does not apply to Templates, Certificates, Public Keys or Opaque Objects".
            ObjectType::PublicKey => Err(invalid_field("the Key Value of a Public Key is not left out")),
            _ => is_told(meta, object_type, "a key without a Key Value"),
        };
    }
    if let Some(data) = &block.key_wrapping_data {
        is_told(meta, object_type, "a wrapped key")?;
        meta.wrapping = Some(Box::new(attributes::wrapping::stored(data)?));
        return Ok(());
    }
    match object_type {
        ObjectType::PrivateKey | ObjectType::PublicKey => return halves::take(meta, block),
        ObjectType::SymmetricKey => check_key(meta, block)?,
        ObjectType::SplitKey => check_part(meta, block)?,
        _ => {}
    }
    block.key_compression_type.map_or(Ok(()), |compression| Err(halves::no_compression(compression)))
}

/// §2.2.5: "SHALL be at least 1 and SHALL be less than or equal to Split Key Parts".
fn split_of(part: &SplitKey) -> Outcome<Split> {
    let number = |name: &str, found: i32| {
        u32::try_from(found).ok().filter(|found| *found > 0).ok_or_else(|| invalid_field(format!("{name} is below 1")))
    };
    let split = Split {
        parts: number("Split Key Parts", part.parts)?,
        part: number("Key Part Identifier", part.part)?,
        threshold: number("Split Key Threshold", part.threshold)?,
        method: part.method.code(),
        prime_field_size: part.prime_field_size.as_ref().map(|size| size.expose().to_vec()),
        of: None,
    };
    if split.part > split.parts || split.threshold > split.parts {
        return Err(invalid_field("Key Part Identifier or Split Key Threshold is above Split Key Parts"));
    }
    if part.method == SplitKeyMethod::Xor && split.threshold != split.parts {
        return Err(invalid_field(
            "of a key that is split by XOR all parts are needed: Split Key Threshold is their number",
        ));
    }
    if (part.method == SplitKeyMethod::PolynomialSharingPrimeField) != split.prime_field_size.is_some() {
        return Err(invalid_field("Prime Field Size belongs to Polynomial Sharing Prime Field, and is needed there"));
    }
    Ok(split)
}

/// A part may be longer than its key, and is of it in its algorithm and length.
fn check_part(meta: &ObjectMeta, block: &KeyBlock) -> Outcome<()> {
    if block.key_format_type != KeyFormatType::Raw {
        let message = format!("a Split Key of format {}; send it as Raw", block.key_format_type);
        return Err(fail(ResultReason::KeyFormatTypeNotSupported, message));
    }
    match (meta.algorithm, meta.length_bits) {
        (Some(_), Some(_)) => Ok(()),
        _ => Err(invalid_field(
            "a Split Key needs the Cryptographic Algorithm and Cryptographic Length of its key, in its attributes or its Key Block",
        )),
    }
}

/// Nobody looks into a key that is wrapped (by any key, which may be elsewhere) or not here: what it is must be said.
fn is_told(meta: &ObjectMeta, object_type: ObjectType, what: &str) -> Outcome<()> {
    if object_type != ObjectType::SecretData && (meta.algorithm.is_none() || meta.length_bits.is_none()) {
        return Err(invalid_field(format!(
            "{what} needs Cryptographic Algorithm and Cryptographic Length, in its attributes or its Key Block"
        )));
    }
    Ok(())
}

fn agree(name: &str, attribute: &mut Option<u32>, block: Option<u32>) -> Outcome<()> {
    match (*attribute, block) {
        (Some(one), Some(other)) if one != other => {
            Err(invalid_field(format!("{name} is {one} in the attributes and {other} in the Key Block")))
        }
        (one, other) => {
            *attribute = one.or(other);
            Ok(())
        }
    }
}

fn check_key(meta: &mut ObjectMeta, block: &KeyBlock) -> Outcome<()> {
    if !matches!(block.key_format_type, KeyFormatType::Raw | KeyFormatType::TransparentSymmetricKey) {
        let message = format!("a Symmetric Key of format {}; send it as Raw", block.key_format_type);
        return Err(fail(ResultReason::KeyFormatTypeNotSupported, message));
    }
    if meta.algorithm.is_none() {
        return Err(invalid_field(
            "a Symmetric Key needs a Cryptographic Algorithm, in its attributes or its Key Block",
        ));
    }
    let bits = u32::try_from(block.material.len() * 8).map_err(|_| invalid_field("Key Material is too long"))?;
    match meta.length_bits {
        Some(stated) if stated != bits => {
            Err(invalid_field(format!("Cryptographic Length is {stated}, but Key Material has {bits} bits")))
        }
        _ => {
            meta.length_bits = Some(bits);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use custody::object::State;
    use kmip::{
        KeyMaterial, SecretData, SymmetricKey,
        tables::{CryptographicAlgorithm, SecretDataType},
    };

    use super::*;

    fn block(
        format: KeyFormatType,
        bytes: usize,
        algorithm: Option<CryptographicAlgorithm>,
        bits: Option<i32>,
    ) -> KeyBlock {
        KeyBlock {
            cryptographic_algorithm: algorithm,
            cryptographic_length: bits,
            ..KeyBlock::new(format, KeyMaterial::new(vec![1; bytes]))
        }
    }

    fn key(block: KeyBlock) -> ManagedObject {
        ManagedObject::SymmetricKey(SymmetricKey { key_block: block })
    }

    fn meta() -> ObjectMeta {
        ObjectMeta::new(2, State::PreActive, true)
    }

    #[test]
    fn libmongocrypt_s_seed_is_taken() {
        let mut meta = ObjectMeta::new(7, State::PreActive, true);
        let seed = SecretData {
            secret_data_type: SecretDataType::Seed,
            key_block: block(KeyFormatType::Opaque, 96, None, None),
        };
        describe(&mut meta, &mut ManagedObject::SecretData(seed)).unwrap();
        assert_eq!(
            (meta.key_format, meta.secret_kind, meta.algorithm, meta.length_bits),
            (Some(2), Some(2), None, None)
        );
    }

    #[test]
    fn attributes_and_key_block_must_agree() {
        let aes = Some(CryptographicAlgorithm::Aes);
        let check = |mut meta: ObjectMeta, block| describe(&mut meta, &mut key(block)).map(|()| meta);
        let good = check(meta(), block(KeyFormatType::Raw, 32, aes, Some(256))).unwrap();
        assert_eq!((good.algorithm, good.length_bits), (Some(3), Some(256)));
        let from_attributes = ObjectMeta { algorithm: Some(3), length_bits: Some(256), ..meta() };
        assert!(check(from_attributes, block(KeyFormatType::Raw, 32, None, None)).is_ok());
        let other = ObjectMeta { algorithm: Some(2), ..meta() };
        let failures = [
            check(other, block(KeyFormatType::Raw, 32, aes, Some(256))),
            check(meta(), block(KeyFormatType::Raw, 16, aes, Some(256))),
            check(meta(), block(KeyFormatType::Raw, 32, aes, Some(-1))),
            check(meta(), block(KeyFormatType::Raw, 32, None, Some(256))),
            check(meta(), block(KeyFormatType::Raw, 0, aes, None)),
        ];
        for failure in failures {
            assert_eq!(failure.err().map(|failure| failure.reason), Some(ResultReason::InvalidField));
        }
        let failure = check(meta(), block(KeyFormatType::Pkcs8, 32, aes, Some(256))).err();
        assert_eq!(failure.map(|failure| failure.reason), Some(ResultReason::KeyFormatTypeNotSupported));
    }
}
