//! Register (KMIP 1.4 §4.3): an object that the client brings.
//!
//! libmongocrypt registers secret data of format Opaque with usage mask 0 and no algorithm; Percona Server an AES key with both in
//! the Template-Attribute and in the Key Block.

use custody::{
    Error,
    object::ObjectMeta,
    rsa::{self, Form},
};
use kmip::{
    KeyBlock, ManagedObject, ResultReason,
    ops::{Answer, register},
    tables::{CryptographicAlgorithm, KeyFormatType, ObjectType},
};
use policy::Permitted;

use super::Turn;
use crate::{
    attributes,
    refusal::{Outcome, fail, invalid_field, unsupported},
};

pub(super) async fn perform(turn: &mut Turn<'_, '_>, _: Permitted, request: register::Request<'_>) -> Outcome<()> {
    let mut meta = attributes::meta_of(request.object_type, &request.template_attribute, turn.now_s)?;
    let object = object_of(request)?;
    describe(&mut meta, &object)?;
    let material = object.material();
    let fill = |key: &mut [u8]| -> Result<(), Error> {
        if key.len() != material.len() {
            return Err(Error::SecretLength { found: material.len(), max: key.len() });
        }
        key.copy_from_slice(material.expose());
        Ok(())
    };
    let id = turn.store(meta, material.len(), fill).await?;
    let unique_identifier = &turn.made(id);
    turn.success(&Answer::Register(register::Answer { unique_identifier, template_attribute: None }));
    Ok(())
}

fn object_of(request: register::Request<'_>) -> Outcome<ManagedObject> {
    use ObjectType as T;
    let object_type = request.object_type;
    if !matches!(object_type, T::SymmetricKey | T::PrivateKey | T::PublicKey | T::SecretData | T::OpaqueObject) {
        return Err(unsupported(format!(
            "an object of type {object_type}; Symmetric, Private and Public Key, Secret Data and Opaque Object are"
        )));
    }
    if request.objects() != 1 {
        return Err(fail(ResultReason::InvalidMessage, "Register brings exactly one object"));
    }
    let object = match object_type {
        T::SymmetricKey => request.symmetric_key.map(ManagedObject::SymmetricKey),
        T::PrivateKey => request.private_key.map(ManagedObject::PrivateKey),
        T::PublicKey => request.public_key.map(ManagedObject::PublicKey),
        T::OpaqueObject => request.opaque_object.map(ManagedObject::OpaqueObject),
        _ => request.secret_data.map(ManagedObject::SecretData),
    };
    // §11.4: Object Type does not match type of cryptographic object provided.
    object.ok_or_else(|| invalid_field(format!("Object Type is {object_type}, but another object is in the request")))
}

/// Takes over what the Key Block says; where the attributes say it too, both must agree.
fn describe(meta: &mut ObjectMeta, object: &ManagedObject) -> Outcome<()> {
    if object.material().is_empty() {
        return Err(invalid_field("the object has no bytes: Key Material or Opaque Data Value is empty"));
    }
    if let ManagedObject::OpaqueObject(object) = object {
        meta.opaque_kind = Some(object.opaque_data_type.0);
    }
    let Some(block) = object.key_block() else { return Ok(()) };
    agree(
        "Cryptographic Algorithm",
        &mut meta.algorithm,
        block.cryptographic_algorithm.map(|algorithm| algorithm.code()),
    )?;
    let length = block.cryptographic_length.map(u32::try_from).transpose();
    let length = length.map_err(|_| invalid_field("Cryptographic Length is negative"))?;
    agree("Cryptographic Length", &mut meta.length_bits, length)?;
    meta.key_format = Some(block.key_format_type.code());
    match object {
        ManagedObject::SecretData(secret) => meta.secret_kind = Some(secret.secret_data_type.code()),
        ManagedObject::SymmetricKey(key) => check_key(meta, &key.key_block)?,
        ManagedObject::PrivateKey(_) => check_half(meta, block, "Private Key", rsa::private_bits)?,
        ManagedObject::PublicKey(_) => check_half(meta, block, "Public Key", rsa::public_bits)?,
        ManagedObject::OpaqueObject(_) => {}
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

/// A private or public key is one of RSA, whole and in the format that it claims.
fn check_half(
    meta: &mut ObjectMeta,
    block: &KeyBlock,
    what: &str,
    bits_of: fn(Form, &[u8]) -> Option<u32>,
) -> Outcome<()> {
    match meta.algorithm.and_then(CryptographicAlgorithm::from_code) {
        Some(CryptographicAlgorithm::Rsa) => {}
        Some(other) => return Err(unsupported(format!("a {what} of the algorithm {other}; RSA is"))),
        None => {
            return Err(invalid_field(format!(
                "a {what} needs a Cryptographic Algorithm, in its attributes or its Key Block"
            )));
        }
    }
    let format = block.key_format_type;
    let form = match (format, meta.object_type == ObjectType::PrivateKey.code()) {
        (KeyFormatType::Pkcs1, _) => Form::Pkcs1,
        (KeyFormatType::Pkcs8, true) => Form::Pkcs8,
        (KeyFormatType::X509, false) => Form::X509,
        _ => {
            let message =
                format!("a {what} of format {format}; PKCS#1 is, and PKCS#8 of a private, X.509 of a public one");
            return Err(fail(ResultReason::KeyFormatTypeNotSupported, message));
        }
    };
    let (least, most) = (rsa::BITS.start(), rsa::BITS.end());
    let bits = bits_of(form, block.material.expose()).ok_or_else(|| {
        invalid_field(format!("Key Material is no RSA {what} of {least} to {most} bits in the format {format}"))
    })?;
    agree("Cryptographic Length", &mut meta.length_bits, Some(bits))
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
            key_format_type: format,
            material: KeyMaterial::new(vec![1; bytes]),
            cryptographic_algorithm: algorithm,
            cryptographic_length: bits,
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
        describe(&mut meta, &ManagedObject::SecretData(seed)).unwrap();
        assert_eq!(
            (meta.key_format, meta.secret_kind, meta.algorithm, meta.length_bits),
            (Some(2), Some(2), None, None)
        );
    }

    #[test]
    fn attributes_and_key_block_must_agree() {
        let aes = Some(CryptographicAlgorithm::Aes);
        let check = |mut meta: ObjectMeta, block| describe(&mut meta, &key(block)).map(|()| meta);
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
