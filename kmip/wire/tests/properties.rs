//! Properties of the codec: what is written reads back, what is changed is refused without a panic, what is read is written the same.

#![cfg(test)]

mod trees;

use std::fmt::Debug;

use kmip::{
    Attribute, AttributeValue, CryptographicParameters, KeyBlock, KeyInformation, KeyMaterial, KeyWrappingData,
    KeyWrappingSpecification, ManagedObject, ProtocolVersion, PublicKey, SecretData, SymmetricKey, Tag,
    TemplateAttribute, WireError, client,
    message::{AnswerMessage, RequestHeader, RequestMessage},
    ops::{self, Request},
    tables::{
        AttributeName, BatchErrorContinuation, BlockCipherMode, CryptographicAlgorithm, EncodingOption,
        KeyCompressionType, KeyFormatType, ObjectType, QueryFunction, RecommendedCurve, SecretDataType,
        StandardAttribute, WrappingMethod,
    },
    transparent::EcPublicKey,
    ttlv::{Item, Kind, Limits, Structure, Value, Writer, parse},
};
use proptest::{collection::vec, option, prelude::*, sample::select};
use trees::{trees, write};

fn rewrite(structure: Structure<'_>, writer: &mut Writer<'_>) -> usize {
    let mut items = 0;
    for item in structure.items() {
        items += 1;
        match item.kind {
            Kind::Structure => {
                let inner = item.structure().unwrap();
                let open = writer.open(item.tag);
                items += rewrite(inner, writer);
                writer.close(open);
            }
            _ => rewrite_value(&item, writer),
        }
    }
    items
}

fn rewrite_value(item: &Item<'_>, writer: &mut Writer<'_>) {
    let tag = item.tag;
    match item.kind {
        Kind::Integer => writer.integer(tag, item.integer().unwrap()),
        Kind::LongInteger => writer.long_integer(tag, item.long_integer().unwrap()),
        Kind::Enumeration => writer.enumeration(tag, item.enumeration().unwrap()),
        Kind::Boolean => writer.boolean(tag, item.boolean().unwrap()),
        Kind::TextString => writer.text(tag, item.text().unwrap()),
        Kind::ByteString => writer.bytes(tag, item.bytes().unwrap()),
        Kind::DateTime => writer.date_time(tag, item.date_time().unwrap()),
        Kind::Interval => writer.interval(tag, item.interval().unwrap()),
        Kind::BigInteger | Kind::Structure => item.write(tag, writer),
    }
}

fn attribute() -> impl Strategy<Value = Attribute> {
    let standard = prop_oneof![
        "[ -~]{0,30}".prop_map(|text| (StandardAttribute::Name, AttributeValue::name(text))),
        any::<i32>().prop_map(|mask| (StandardAttribute::CryptographicUsageMask, AttributeValue::Integer(mask))),
        any::<i64>().prop_map(|date| (StandardAttribute::ActivationDate, AttributeValue::DateTime(date))),
        ".{0,30}".prop_map(|text| (StandardAttribute::ObjectGroup, AttributeValue::Text(text))),
        any::<bool>().prop_map(|on| (StandardAttribute::Sensitive, AttributeValue::Boolean(on))),
        parameters()
            .prop_map(|p| (StandardAttribute::CryptographicParameters, AttributeValue::CryptographicParameters(p))),
    ]
    .prop_map(|(name, value)| (AttributeName::Standard(name), value));
    let custom = ("x-[a-z]{1,20}", vec(any::<u8>(), 0..20))
        .prop_map(|(name, bytes)| (AttributeName::Custom(name), AttributeValue::Bytes(bytes)));
    (prop_oneof![standard, custom], option::of(0i32..9)).prop_map(|((name, value), index)| Attribute {
        name,
        index,
        value,
    })
}

fn template() -> impl Strategy<Value = TemplateAttribute> {
    vec(attribute(), 0..6).prop_map(|attributes| TemplateAttribute { template_names: vec![], attributes })
}

fn parameters() -> impl Strategy<Value = CryptographicParameters> {
    (
        option::of(select(BlockCipherMode::ALL)),
        option::of(any::<bool>()),
        option::of(any::<i32>()),
        option::of(vec(any::<u8>(), 0..9)),
    )
        .prop_map(|(block_cipher_mode, random_iv, tag_length, p_source)| CryptographicParameters {
            block_cipher_mode,
            random_iv,
            tag_length,
            p_source,
            ..CryptographicParameters::default()
        })
}

/// An owned recipe of a request, because the requests borrow and cannot be printed.
#[derive(Clone, Debug)]
enum Recipe {
    Versions(Vec<(i32, i32)>),
    Query(Vec<QueryFunction>),
    Create(ObjectType, TemplateAttribute),
    Key(KeyFormatType, Vec<u8>, TemplateAttribute),
    Secret(SecretDataType, Vec<u8>),
    Half(KeyFormatType, Vec<u8>, Option<KeyCompressionType>, Vec<Attribute>),
    Wrapped(WrappingMethod, Vec<u8>, Option<Vec<u8>>, Option<CryptographicParameters>),
    GetWrapped(WrappingMethod, Vec<String>, Option<EncodingOption>, Option<CryptographicParameters>),
    Get(Option<String>, Option<KeyFormatType>),
    GetAttributes(String, Vec<String>),
    Add(Option<String>, Attribute),
    Modify(Option<String>, Attribute),
    Delete(Option<String>, String, Option<i32>),
    Locate(Option<i32>, Vec<Attribute>),
    Encrypt(Option<CryptographicParameters>, Vec<u8>, Option<Vec<u8>>),
    Destroy(Option<String>),
}

fn recipe() -> impl Strategy<Value = Recipe> {
    let formats = select(vec![KeyFormatType::Raw, KeyFormatType::Opaque, KeyFormatType::TransparentSymmetricKey]);
    let halves = select(vec![KeyFormatType::Pkcs8, KeyFormatType::X509, KeyFormatType::TransparentEcPublicKey]);
    let bytes = || vec(any::<u8>(), 0..80);
    prop_oneof![
        vec((0i32..3, 0i32..6), 0..4).prop_map(Recipe::Versions),
        vec(select(QueryFunction::ALL), 1..4).prop_map(Recipe::Query),
        (select(ObjectType::ALL), template()).prop_map(|(kind, template)| Recipe::Create(kind, template)),
        (formats, bytes(), template()).prop_map(|(format, key, template)| Recipe::Key(format, key, template)),
        (halves, bytes(), option::of(select(KeyCompressionType::ALL)), vec(attribute(), 0..3))
            .prop_map(|(format, q, compression, attributes)| Recipe::Half(format, q, compression, attributes)),
        (select(WrappingMethod::ALL), bytes(), option::of(bytes()), option::of(parameters()))
            .prop_map(|(method, value, mac, parameters)| Recipe::Wrapped(method, value, mac, parameters)),
        (
            select(WrappingMethod::ALL),
            vec(".{0,20}", 0..3),
            option::of(select(EncodingOption::ALL)),
            option::of(parameters())
        )
            .prop_map(|(method, names, encoding, parameters)| Recipe::GetWrapped(method, names, encoding, parameters)),
        (select(SecretDataType::ALL), bytes()).prop_map(|(kind, secret)| Recipe::Secret(kind, secret)),
        (option::of(".{0,40}"), option::of(select(KeyFormatType::ALL)))
            .prop_map(|(id, format)| Recipe::Get(id, format)),
        (".{0,40}", vec(".{0,20}", 0..4)).prop_map(|(id, names)| Recipe::GetAttributes(id, names)),
        (option::of(".{0,40}"), attribute()).prop_map(|(id, attribute)| Recipe::Add(id, attribute)),
        (option::of(".{0,40}"), attribute()).prop_map(|(id, attribute)| Recipe::Modify(id, attribute)),
        (option::of(".{0,40}"), ".{0,20}", option::of(any::<i32>()))
            .prop_map(|(id, name, index)| Recipe::Delete(id, name, index)),
        (option::of(any::<i32>()), vec(attribute(), 0..4))
            .prop_map(|(max, attributes)| Recipe::Locate(max, attributes)),
        (option::of(parameters()), bytes(), option::of(bytes())).prop_map(|(p, data, iv)| Recipe::Encrypt(p, data, iv)),
        option::of(".{0,40}").prop_map(Recipe::Destroy),
    ]
}

fn wrapping_key(parameters: &Option<CryptographicParameters>) -> KeyInformation {
    KeyInformation { unique_identifier: "wraps".to_owned(), cryptographic_parameters: parameters.clone() }
}

#[expect(clippy::too_many_lines, reason = "a table with one arm an operation")]
fn cook(recipe: &Recipe) -> Request<'_> {
    let block = |format, bytes: &[u8], algorithm| KeyBlock {
        cryptographic_algorithm: algorithm,
        ..KeyBlock::new(format, KeyMaterial::from(bytes))
    };
    match recipe {
        Recipe::Versions(list) => Request::DiscoverVersions(ops::discover_versions::Request {
            protocol_versions: list.iter().map(|&(major, minor)| ProtocolVersion { major, minor }).collect(),
        }),
        Recipe::Query(functions) => Request::Query(ops::query::Request { functions: functions.clone() }),
        Recipe::Create(object_type, template) => {
            Request::Create(ops::create::Request { object_type: *object_type, template_attribute: template.clone() })
        }
        Recipe::Key(format, bytes, template) => Request::Register(ops::register::Request::of(
            ManagedObject::SymmetricKey(SymmetricKey {
                key_block: block(*format, bytes, Some(CryptographicAlgorithm::Aes)),
            }),
            template.clone(),
        )),
        Recipe::Secret(kind, bytes) => Request::Register(ops::register::Request::of(
            ManagedObject::SecretData(SecretData {
                secret_data_type: *kind,
                key_block: block(KeyFormatType::Opaque, bytes, None),
            }),
            TemplateAttribute::default(),
        )),
        Recipe::Half(format, q, compression, attributes) => {
            let material = match format {
                KeyFormatType::TransparentEcPublicKey => KeyMaterial::of_structure(&EcPublicKey {
                    recommended_curve: RecommendedCurve::P384,
                    q_string: q.clone(),
                }),
                _ => KeyMaterial::from(q.as_slice()),
            };
            let key_block = KeyBlock {
                key_compression_type: *compression,
                attributes: attributes.clone(),
                ..KeyBlock::new(*format, material)
            };
            let object = ManagedObject::PublicKey(PublicKey { key_block });
            Request::Register(ops::register::Request::of(object, TemplateAttribute::default()))
        }
        Recipe::Wrapped(method, value, mac, parameters) => {
            let data = KeyWrappingData {
                wrapping_method: *method,
                encryption_key_information: Some(wrapping_key(parameters)),
                mac_signature_key_information: mac.is_some().then(|| wrapping_key(parameters)),
                mac_signature: mac.clone(),
                iv_counter_nonce: mac.clone(),
                encoding_option: None,
            };
            let key_block = KeyBlock {
                key_wrapping_data: Some(Box::new(data)),
                ..block(KeyFormatType::Raw, value, Some(CryptographicAlgorithm::Aes))
            };
            let object = ManagedObject::SymmetricKey(SymmetricKey { key_block });
            Request::Register(ops::register::Request::of(object, TemplateAttribute::default()))
        }
        Recipe::GetWrapped(method, names, encoding, parameters) => Request::Get(ops::get::Request {
            key_wrapping_specification: Some(KeyWrappingSpecification {
                wrapping_method: *method,
                encryption_key_information: Some(wrapping_key(parameters)),
                mac_signature_key_information: None,
                attribute_names: names.clone(),
                encoding_option: *encoding,
            }),
            ..ops::get::Request::of("key")
        }),
        Recipe::Get(id, format) => Request::Get(ops::get::Request {
            unique_identifier: id.as_deref(),
            key_format_type: *format,
            ..ops::get::Request::of("")
        }),
        Recipe::GetAttributes(id, names) => Request::GetAttributes(ops::get_attributes::Request {
            unique_identifier: Some(id),
            attribute_names: names.iter().map(String::as_str).collect(),
        }),
        Recipe::Add(id, attribute) => Request::AddAttribute(ops::add_attribute::Request {
            unique_identifier: id.as_deref(),
            attribute: attribute.clone(),
        }),
        Recipe::Modify(id, attribute) => Request::ModifyAttribute(ops::modify_attribute::Request {
            unique_identifier: id.as_deref(),
            attribute: attribute.clone(),
        }),
        Recipe::Delete(id, attribute_name, attribute_index) => {
            Request::DeleteAttribute(ops::delete_attribute::Request {
                unique_identifier: id.as_deref(),
                attribute_name,
                attribute_index: *attribute_index,
            })
        }
        Recipe::Locate(maximum_items, attributes) => Request::Locate(ops::locate::Request {
            maximum_items: *maximum_items,
            ..ops::locate::Request::of(attributes.clone())
        }),
        Recipe::Encrypt(parameters, data, iv) => Request::Encrypt(ops::encrypt::Request {
            unique_identifier: None,
            cryptographic_parameters: parameters.clone(),
            data: Some(data),
            iv_counter_nonce: iv.as_deref(),
            correlation_value: None,
            init_indicator: None,
            final_indicator: None,
            additional_data: None,
        }),
        Recipe::Destroy(id) => Request::Destroy(ops::destroy::Request { unique_identifier: id.as_deref() }),
    }
}

fn version() -> impl Strategy<Value = ProtocolVersion> {
    select(ProtocolVersion::SERVED.to_vec())
}

fn frame_of(version: ProtocolVersion, recipes: &[Recipe]) -> Vec<u8> {
    let header = RequestHeader {
        maximum_response_size: Some(8192),
        batch_error_continuation: Some(BatchErrorContinuation::Continue),
        ..RequestHeader::of(version)
    };
    client::batch(header, &recipes.iter().map(cook).collect::<Vec<_>>())
}

/// Reads everything that a server would read of a frame.
fn read_all(frame: &[u8]) {
    if let Ok(message) = RequestMessage::read(frame, &Limits::REQUEST) {
        for item in &message.items {
            let _ = item.request(message.header.version);
        }
    }
    for version in ProtocolVersion::SERVED {
        if let Ok(message) = AnswerMessage::read(frame, version, &Limits::ANSWER) {
            for item in &message.items {
                let _ = item.outcome(item.operation.map_or(0, |code| code.0), version);
            }
        }
    }
}

proptest! {
    #[test]
    fn what_is_read_is_written_the_same(trees in trees()) {
        let mut frame = vec![];
        Writer::new(&mut frame, ProtocolVersion::V1_4).structure(Tag::REQUEST_MESSAGE, |writer| write(&trees, writer));
        let root = parse(&frame, &Limits::REQUEST).unwrap();
        let mut again = vec![];
        let mut writer = Writer::new(&mut again, ProtocolVersion::V1_4);
        let open = writer.open(root.tag());
        let items = rewrite(root, &mut writer);
        writer.close(open);
        prop_assert_eq!(&again, &frame);
        prop_assert!(items < frame.len() / 8, "each item costs at least its header, so work is bounded by the length");
    }

    #[test]
    fn a_request_reads_back_as_it_was_written(recipes in vec(recipe(), 1..5)) {
        let version = ProtocolVersion::V1_4;
        let frame = frame_of(version, &recipes);
        let message = RequestMessage::read(&frame, &Limits::REQUEST).unwrap();
        let requests: Vec<_> = message.items.iter().map(|item| item.request(version).unwrap()).collect();
        prop_assert_eq!(client::batch(message.header, &requests), frame);
    }

    #[test]
    fn a_request_of_an_older_version_never_holds_what_that_version_does_not_know(version in version(), recipe in recipe()) {
        let frame = frame_of(version, std::slice::from_ref(&recipe));
        let message = RequestMessage::read(&frame, &Limits::REQUEST).unwrap();
        if let Err(error) = message.items[0].request(version) {
            // An attribute that the version does not know is left out, which an operation on that attribute alone is not without.
            let left_out = WireError::Missing { structure: Tag::REQUEST_PAYLOAD, field: Tag::ATTRIBUTE };
            prop_assert!(error == left_out || error.reason() == kmip::ResultReason::OperationNotSupported, "{}", error);
        }
    }

    #[test]
    fn a_changed_frame_never_panics(
        recipes in vec(recipe(), 1..4),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in option::of(any::<prop::sample::Index>()),
    ) {
        let mut frame = frame_of(ProtocolVersion::V1_4, &recipes);
        for (place, byte) in changes {
            let place = place.index(frame.len());
            frame[place] = byte;
        }
        if let Some(cut) = cut {
            frame.truncate(cut.index(frame.len()));
        }
        read_all(&frame);
    }

    #[test]
    fn noise_never_panics(noise in vec(any::<u8>(), 0..256)) {
        read_all(&noise);
        let mut framed = vec![0x42, 0x00, 0x78, 0x01, 0, 0, 1, 0];
        framed.extend_from_slice(&noise);
        read_all(&framed);
    }
}

/// Compiles only while `T` has no `Debug`: with it, two implementations would fit.
trait AmbiguousIfDebug<A> {
    fn hold() {}
}
impl<T: ?Sized> AmbiguousIfDebug<()> for T {}
struct Other;
impl<T: ?Sized + Debug> AmbiguousIfDebug<Other> for T {}

#[test]
fn secrets_cannot_be_printed() {
    <KeyMaterial as AmbiguousIfDebug<_>>::hold();
    <KeyBlock as AmbiguousIfDebug<_>>::hold();
    <ManagedObject as AmbiguousIfDebug<_>>::hold();
    <Request<'_> as AmbiguousIfDebug<_>>::hold();
    <ops::Answer<'_> as AmbiguousIfDebug<_>>::hold();
    <ops::encrypt::Request<'_> as AmbiguousIfDebug<_>>::hold();
    <ops::decrypt::Answer<'_> as AmbiguousIfDebug<_>>::hold();
}
