//! Get (KMIP 1.4 §4.11): the key bytes leave. Only managed objects can be asked for; L2 and L3 are none.

use custody::{key_table::Purpose, object::ObjectMeta, vault::Expose};
use kmip::{
    KeyBlock, KeyMaterial, ManagedObject, OpaqueObject, PrivateKey, PublicKey, ResultReason, SecretData, SymmetricKey,
    ops::{Answer, get},
    tables::{CryptographicAlgorithm, KeyCompressionType, KeyFormatType, ObjectType, SecretDataType},
    ttlv::Enumeration,
};
use zeroize::Zeroizing;

use super::{
    Allowed, Turn,
    halves::{self, Leaving},
};
use crate::refusal::{self, Outcome, fail};

const GET: Expose = Expose::because("KMIP Get by a caller whom policy permits it");

pub(super) async fn perform(turn: &mut Turn<'_, '_>, object: &Allowed, request: &get::Request<'_>) -> Outcome<()> {
    if request.key_wrapping_specification.is_some() {
        return Err(refusal::unsupported("Key Wrapping Specification; the channel is encrypted by TLS"));
    }
    let (answer, fresh) = turn
        .with_key(object, Purpose::Process, |borrow| {
            let meta = borrow.meta().ok_or_else(refusal::not_found)?;
            may_leave(meta)?;
            let (form, fresh) = (Form::of(meta, request.key_format_type, request.key_compression_type)?, meta.fresh);
            let bytes = borrow.export(GET).map_err(|error| refusal::of_custody(&error))?;
            let bytes = borrow.finish(bytes).map_err(refusal::of_stop)?;
            Ok((form.answer(bytes, &object.text)?, fresh))
        })
        .await?;
    if fresh {
        // §3.34: "as soon as the object has been served". First, so that no Locate of fresh members finds what was served.
        turn.update(object, |meta| {
            meta.fresh = false;
            Ok(())
        })
        .await?;
    }
    turn.success(&Answer::Get(answer));
    Ok(())
}

fn may_leave(meta: &ObjectMeta) -> Outcome<()> {
    if meta.sensitive {
        return Err(fail(ResultReason::Sensitive, "the object is Sensitive: its key leaves wrapped only"));
    }
    if !meta.extractable || !meta.exportable {
        return Err(fail(ResultReason::NotExtractable, "the object was created so that its key never leaves"));
    }
    Ok(())
}

/// The format to answer in, private and public keys aside. Raw and Transparent Symmetric Key turn into each other; every other one
/// stays as it was stored.
fn format_of(meta: &ObjectMeta, wanted: Option<KeyFormatType>) -> Outcome<KeyFormatType> {
    use KeyFormatType::{Raw, TransparentSymmetricKey};
    let stored = meta.key_format.and_then(KeyFormatType::from_code).unwrap_or(Raw);
    match (stored, wanted) {
        (stored, None) => Ok(stored),
        (stored, Some(wanted)) if stored == wanted => Ok(stored),
        (Raw | TransparentSymmetricKey, Some(wanted @ (Raw | TransparentSymmetricKey)))
            if meta.object_type == ObjectType::SymmetricKey.code() =>
        {
            Ok(wanted)
        }
        (stored, Some(wanted)) => {
            let message = format!("the object is stored as {stored} and cannot be had as {wanted}");
            Err(fail(ResultReason::KeyFormatTypeNotSupported, message))
        }
    }
}

/// What stands around the key bytes.
struct Form {
    format: KeyFormatType,
    compression: Option<KeyCompressionType>,
    algorithm: Option<CryptographicAlgorithm>,
    length_bits: Option<i32>,
    kind: Kind,
}

/// What is answered, with what it alone has.
enum Kind {
    SymmetricKey,
    PrivateKey(Leaving),
    PublicKey(Leaving),
    SecretData(SecretDataType),
    OpaqueObject(Enumeration),
}

impl Form {
    fn of(meta: &ObjectMeta, wanted: Option<KeyFormatType>, compression: Option<KeyCompressionType>) -> Outcome<Self> {
        let kind = match ObjectType::from_code(meta.object_type) {
            Some(ObjectType::SymmetricKey) => Kind::SymmetricKey,
            Some(ObjectType::PrivateKey) => Kind::PrivateKey(Leaving::of(meta, wanted, compression)?),
            Some(ObjectType::PublicKey) => Kind::PublicKey(Leaving::of(meta, wanted, compression)?),
            Some(ObjectType::SecretData) => {
                let stored = meta.secret_kind.and_then(SecretDataType::from_code);
                Kind::SecretData(stored.unwrap_or(SecretDataType::Password))
            }
            Some(ObjectType::OpaqueObject) => Kind::OpaqueObject(Enumeration(meta.opaque_kind.unwrap_or_default())),
            _ => return Err(refusal::unsupported("Get of this type of object")),
        };
        let format = match (&kind, compression) {
            (Kind::PrivateKey(leaving) | Kind::PublicKey(leaving), _) => leaving.format(),
            (_, Some(compression)) => return Err(halves::no_compression(compression)),
            _ => format_of(meta, wanted)?,
        };
        Ok(Self {
            format,
            compression,
            algorithm: meta.algorithm.and_then(CryptographicAlgorithm::from_code),
            length_bits: meta.length_bits.and_then(|bits| i32::try_from(bits).ok()),
            kind,
        })
    }

    fn answer(self, mut bytes: Zeroizing<Vec<u8>>, unique_identifier: &str) -> Outcome<get::Answer<'_>> {
        let material = match self.kind {
            Kind::PrivateKey(leaving) | Kind::PublicKey(leaving) => leaving.material(bytes)?,
            _ => KeyMaterial::new(std::mem::take(&mut *bytes)),
        };
        let block = |material| KeyBlock {
            key_compression_type: self.compression,
            cryptographic_algorithm: self.algorithm,
            cryptographic_length: self.length_bits,
            ..KeyBlock::new(self.format, material)
        };
        let object = match self.kind {
            Kind::SymmetricKey => ManagedObject::SymmetricKey(SymmetricKey { key_block: block(material) }),
            Kind::PrivateKey(_) => ManagedObject::PrivateKey(PrivateKey { key_block: block(material) }),
            Kind::PublicKey(_) => ManagedObject::PublicKey(PublicKey { key_block: block(material) }),
            Kind::SecretData(secret_data_type) => {
                ManagedObject::SecretData(SecretData { secret_data_type, key_block: block(material) })
            }
            Kind::OpaqueObject(opaque_data_type) => {
                ManagedObject::OpaqueObject(OpaqueObject { opaque_data_type, opaque_data_value: material })
            }
        };
        Ok(get::Answer::of(unique_identifier, object))
    }
}

#[cfg(test)]
mod tests {
    use custody::object::State;

    use super::*;

    fn meta(object_type: u32, format: KeyFormatType) -> ObjectMeta {
        ObjectMeta { key_format: Some(format.code()), ..ObjectMeta::new(object_type, State::Active, true) }
    }

    #[test]
    fn formats_turn_into_each_other_only_where_they_say_the_same() {
        let key = meta(2, KeyFormatType::Raw);
        assert_eq!(format_of(&key, None), Ok(KeyFormatType::Raw));
        let transparent = Some(KeyFormatType::TransparentSymmetricKey);
        assert_eq!(format_of(&key, transparent), Ok(KeyFormatType::TransparentSymmetricKey));
        let secret = meta(7, KeyFormatType::Opaque);
        assert_eq!(format_of(&secret, Some(KeyFormatType::Opaque)), Ok(KeyFormatType::Opaque));
        for wrong in [format_of(&key, Some(KeyFormatType::Pkcs8)), format_of(&secret, Some(KeyFormatType::Raw))] {
            assert_eq!(wrong.err().map(|failure| failure.reason), Some(ResultReason::KeyFormatTypeNotSupported));
        }
        assert!(format_of(&meta(7, KeyFormatType::Raw), transparent).is_err());
    }

    #[test]
    fn what_must_not_leave_does_not() {
        let key = meta(2, KeyFormatType::Raw);
        assert!(may_leave(&key).is_ok());
        let reason = |meta| may_leave(&meta).err().map(|failure| failure.reason);
        assert_eq!(reason(ObjectMeta { sensitive: true, ..key.clone() }), Some(ResultReason::Sensitive));
        assert_eq!(reason(ObjectMeta { extractable: false, ..key.clone() }), Some(ResultReason::NotExtractable));
        assert_eq!(reason(ObjectMeta { exportable: false, ..key }), Some(ResultReason::NotExtractable));
    }
}
