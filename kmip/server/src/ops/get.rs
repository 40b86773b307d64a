//! Get (KMIP 1.4 §4.11): the key bytes leave. Only managed objects can be asked for; L2 and L3 are none.

use custody::{
    key_table::Purpose,
    object::{ObjectMeta, Split},
    vault::Expose,
};
use kmip::{
    Attribute, Certificate, KeyBlock, KeyWrappingData, ManagedObject, OpaqueObject, PrivateKey, PublicKey,
    ResultReason, SecretData, SplitKey, SymmetricKey,
    message::Failure,
    ops::{Answer, get},
    tables::{
        CertificateType, CryptographicAlgorithm, KeyCompressionType, KeyFormatType, KeyWrapType, ObjectType,
        SecretDataType, SplitKeyMethod, WrappingMethod,
    },
    transparent::BigInteger,
    ttlv::Enumeration,
};
use zeroize::Zeroizing;

use super::{
    Allowed, Turn,
    halves::{self, Leaving},
    wrap,
};
use crate::{
    attributes,
    refusal::{self, Outcome, fail},
};

const GET: Expose = Expose::because("KMIP Get by a caller whom policy permits it");

pub(super) async fn perform(turn: &mut Turn<'_, '_>, object: &Allowed, request: &get::Request<'_>) -> Outcome<()> {
    let found = fetched(turn, object, request).await?;
    turn.success(&Answer::Get(get::Answer::of(&object.text, found)));
    Ok(())
}

/// The object as it leaves; it is fresh no more then.
pub(super) async fn fetched(
    turn: &mut Turn<'_, '_>,
    object: &Allowed,
    request: &get::Request<'_>,
) -> Outcome<ManagedObject> {
    request.key_wrapping_specification.as_ref().map_or(Ok(()), wrap::check)?;
    let form = |meta: &ObjectMeta| {
        may_leave(meta, request)?;
        let mut form = Form::of(meta, request.key_format_type, request.key_compression_type)?;
        if let Some(specification) = &request.key_wrapping_specification {
            form.attributes = named(turn, object, meta, &specification.attribute_names);
        }
        Ok((form, meta.fresh))
    };
    let ((form, fresh), bytes) = turn.exported(object, Purpose::Process, GET, form).await?;
    let mut found = form.object(bytes)?;
    if request.key_wrapping_specification.is_some() || request.key_wrap_type == Some(KeyWrapType::NotWrapped) {
        rewrap(turn, &mut found, request).await?;
    }
    if fresh {
        // §3.34: "as soon as the object has been served". First, so that no Locate of fresh members finds what was served.
        turn.update(object, |meta| {
            meta.fresh = false;
            Ok(())
        })
        .await?;
    }
    Ok(found)
}

/// Unwraps what is stored wrapped, if the client wants it so, and wraps what leaves, if it wants that.
async fn rewrap(turn: &mut Turn<'_, '_>, found: &mut ManagedObject, request: &get::Request<'_>) -> Outcome<()> {
    let Some(block) = found.key_block_mut() else {
        return match request.key_wrapping_specification {
            Some(_) => Err(fail(
                ResultReason::IllegalOperation,
                "a Certificate or Opaque Object has no Key Block that could be wrapped",
            )),
            None => Ok(()),
        };
    };
    if request.key_wrap_type == Some(KeyWrapType::NotWrapped) {
        let attributes = std::mem::take(&mut block.attributes);
        wrap::unwrap(turn, block).await?;
        block.attributes.extend(attributes);
    }
    match &request.key_wrapping_specification {
        Some(_) if block.key_wrapping_data.is_some() => {
            let message =
                "the key is stored wrapped already; ask for Key Wrap Type Not Wrapped to have it wrapped otherwise";
            Err(fail(ResultReason::IllegalOperation, message))
        }
        Some(specification) => wrap::wrap(turn, specification, block).await,
        None => Ok(()),
    }
}

/// §3.48, §3.50: a Sensitive key leaves wrapped only, one that is not Extractable not at all.
fn may_leave(meta: &ObjectMeta, request: &get::Request<'_>) -> Outcome<()> {
    if meta.sensitive && !leaves_hidden(meta, request) {
        return Err(fail(ResultReason::Sensitive, "the object is Sensitive: its key leaves wrapped only"));
    }
    if !meta.extractable || !meta.exportable {
        return Err(fail(ResultReason::NotExtractable, "the object was created so that its key never leaves"));
    }
    Ok(())
}

fn leaves_hidden(meta: &ObjectMeta, request: &get::Request<'_>) -> bool {
    let asked = request.key_wrapping_specification.as_ref();
    let stored = meta.wrapping.as_ref().filter(|_| request.key_wrap_type != Some(KeyWrapType::NotWrapped));
    asked.is_some_and(|asked| wrap::hides(asked.wrapping_method))
        || stored.and_then(|stored| WrappingMethod::from_code(stored.method)).is_some_and(wrap::hides)
}

/// The attributes that are to be wrapped with the key; a name that the object lacks is left out.
fn named(turn: &Turn<'_, '_>, object: &Allowed, meta: &ObjectMeta, names: &[String]) -> Vec<Attribute> {
    if names.is_empty() {
        return vec![];
    }
    let mut all = attributes::attributes_of(&object.text, meta, turn.version, turn.now_s);
    all.retain(|one| names.iter().any(|name| name == one.name.as_str()));
    all
}

/// The format to answer in, private and public keys aside. Raw and Transparent Symmetric Key turn into each other; every other one
/// stays as it was stored.
fn format_of(meta: &ObjectMeta, wanted: Option<KeyFormatType>) -> Outcome<KeyFormatType> {
    use KeyFormatType::{Raw, TransparentSymmetricKey};
    let stored = meta.key_format.and_then(KeyFormatType::from_code).unwrap_or(Raw);
    match (stored, wanted) {
        (Raw | TransparentSymmetricKey, Some(wanted)) if stored != wanted && meta.wrapping.is_some() => {
            let message = format!("the key is stored wrapped as {stored} and cannot be had as {wanted}");
            Err(fail(ResultReason::KeyFormatTypeNotSupported, message))
        }
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
    wrapping: Option<Box<KeyWrappingData>>,
    /// To be wrapped with the key.
    attributes: Vec<Attribute>,
    compression: Option<KeyCompressionType>,
    algorithm: Option<CryptographicAlgorithm>,
    length_bits: Option<i32>,
    kind: Kind,
}

/// What is answered, with what it alone has.
enum Kind {
    SymmetricKey,
    /// Without a way to leave if it is stored wrapped.
    PrivateKey(Option<Leaving>),
    PublicKey(Option<Leaving>),
    SecretData(SecretDataType),
    SplitKey(Box<Split>),
    Certificate(CertificateType),
    OpaqueObject(Enumeration),
}

impl Form {
    fn of(meta: &ObjectMeta, wanted: Option<KeyFormatType>, compression: Option<KeyCompressionType>) -> Outcome<Self> {
        let wrapping =
            meta.wrapping.as_ref().map(|stored| attributes::wrapping::shown(stored).map(Box::new)).transpose()?;
        let leaving = || match wrapping {
            Some(_) => Ok(None),
            None => Leaving::of(meta, wanted, compression).map(Some),
        };
        let kind = match ObjectType::from_code(meta.object_type) {
            Some(ObjectType::SymmetricKey) => Kind::SymmetricKey,
            Some(ObjectType::PrivateKey) => Kind::PrivateKey(leaving()?),
            Some(ObjectType::PublicKey) => Kind::PublicKey(leaving()?),
            Some(ObjectType::SecretData) => {
                let stored = meta.secret_kind.and_then(SecretDataType::from_code);
                Kind::SecretData(stored.unwrap_or(SecretDataType::Password))
            }
            Some(ObjectType::SplitKey) => Kind::SplitKey(meta.split.clone().ok_or_else(|| unreadable("split key"))?),
            Some(ObjectType::Certificate) => {
                let kind = meta.certificate.as_ref().and_then(|one| CertificateType::from_code(one.kind));
                Kind::Certificate(kind.ok_or_else(|| unreadable("certificate"))?)
            }
            Some(ObjectType::OpaqueObject) => Kind::OpaqueObject(Enumeration(meta.opaque_kind.unwrap_or_default())),
            _ => return Err(refusal::unsupported("Get of this type of object")),
        };
        let format = match (&kind, compression) {
            (Kind::PrivateKey(Some(leaving)) | Kind::PublicKey(Some(leaving)), _) => leaving.format(),
            (_, Some(compression)) => return Err(halves::no_compression(compression)),
            _ => format_of(meta, wanted)?,
        };
        Ok(Self {
            format,
            wrapping,
            attributes: vec![],
            compression,
            algorithm: meta.algorithm.and_then(CryptographicAlgorithm::from_code),
            length_bits: meta.length_bits.and_then(|bits| i32::try_from(bits).ok()),
            kind,
        })
    }

    fn object(self, bytes: Zeroizing<Vec<u8>>) -> Outcome<ManagedObject> {
        let material = match self.kind {
            Kind::PrivateKey(Some(leaving)) | Kind::PublicKey(Some(leaving)) => leaving.material(bytes)?,
            _ => bytes.into(),
        };
        let block = |material| KeyBlock {
            key_compression_type: self.compression,
            attributes: self.attributes,
            key_wrapping_data: self.wrapping,
            cryptographic_algorithm: self.algorithm,
            cryptographic_length: self.length_bits,
            ..KeyBlock::new(self.format, material)
        };
        Ok(match self.kind {
            Kind::SymmetricKey => ManagedObject::SymmetricKey(SymmetricKey { key_block: block(material) }),
            Kind::PrivateKey(_) => ManagedObject::PrivateKey(PrivateKey { key_block: block(material) }),
            Kind::PublicKey(_) => ManagedObject::PublicKey(PublicKey { key_block: block(material) }),
            Kind::SecretData(secret_data_type) => {
                ManagedObject::SecretData(SecretData { secret_data_type, key_block: block(material) })
            }
            Kind::SplitKey(split) => ManagedObject::SplitKey(part(&split, block(material))?),
            Kind::Certificate(certificate_type) => {
                ManagedObject::Certificate(Certificate { certificate_type, certificate_value: material })
            }
            Kind::OpaqueObject(opaque_data_type) => {
                ManagedObject::OpaqueObject(OpaqueObject { opaque_data_type, opaque_data_value: material })
            }
        })
    }
}

fn part(split: &Split, key_block: KeyBlock) -> Outcome<SplitKey> {
    let number = |number: u32| i32::try_from(number).map_err(|_| unreadable("split key"));
    Ok(SplitKey {
        parts: number(split.parts)?,
        part: number(split.part)?,
        threshold: number(split.threshold)?,
        method: SplitKeyMethod::from_code(split.method).ok_or_else(|| unreadable("split key"))?,
        prime_field_size: split.prime_field_size.as_deref().map(BigInteger::new),
        key_block,
    })
}

/// What custody stores of an object, it got from here.
fn unreadable(what: &str) -> Failure {
    fail(ResultReason::GeneralFailure, format!("what is stored of the {what} cannot be read"))
}

#[cfg(test)]
mod tests {
    use custody::object::State;
    use kmip::KeyWrappingSpecification;

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
        let plain = get::Request::of("");
        let wrapped = |wrapping_method| get::Request {
            key_wrapping_specification: Some(KeyWrappingSpecification {
                wrapping_method,
                encryption_key_information: None,
                mac_signature_key_information: None,
                attribute_names: vec![],
                encoding_option: None,
            }),
            ..get::Request::of("")
        };
        let reason =
            |meta: &ObjectMeta, request: &get::Request<'_>| may_leave(meta, request).err().map(|one| one.reason);
        assert_eq!(reason(&key, &plain), None);
        let sensitive = ObjectMeta { sensitive: true, ..key.clone() };
        assert_eq!(reason(&sensitive, &plain), Some(ResultReason::Sensitive));
        assert_eq!(reason(&sensitive, &wrapped(WrappingMethod::MacSign)), Some(ResultReason::Sensitive));
        for hides in [WrappingMethod::Encrypt, WrappingMethod::EncryptThenMacSign, WrappingMethod::MacSignThenEncrypt] {
            assert_eq!(reason(&sensitive, &wrapped(hides)), None);
        }
        let wrapping = |method: WrappingMethod| custody::object::Wrapping {
            method: method.code(),
            encryption: None,
            mac: None,
            mac_signature: None,
            iv: None,
            encoding: None,
        };
        let stored = |method| ObjectMeta { wrapping: Some(Box::new(wrapping(method))), ..sensitive.clone() };
        assert_eq!(reason(&stored(WrappingMethod::Encrypt), &plain), None);
        assert_eq!(reason(&stored(WrappingMethod::MacSign), &plain), Some(ResultReason::Sensitive));
        let open = get::Request { key_wrap_type: Some(KeyWrapType::NotWrapped), ..get::Request::of("") };
        assert_eq!(reason(&stored(WrappingMethod::Encrypt), &open), Some(ResultReason::Sensitive));
        for never in [ObjectMeta { extractable: false, ..key.clone() }, ObjectMeta { exportable: false, ..key }] {
            for request in [&plain, &wrapped(WrappingMethod::Encrypt)] {
                assert_eq!(reason(&never, request), Some(ResultReason::NotExtractable));
            }
        }
    }
}
