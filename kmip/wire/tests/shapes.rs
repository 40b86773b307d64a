//! The shapes that real clients send, byte for byte in length and field by field in order.

#![cfg(test)]

use kmip::{
    Attribute, AttributeValue, CryptographicParameters, KeyBlock, KeyMaterial, ManagedObject, Operation,
    ProtocolVersion, ResultReason, SecretData, SymmetricKey, Tag, TemplateAttribute, WireError, client,
    message::{AnswerWriter, Failure, ItemHead, RequestHeader, RequestMessage},
    ops::{self, Answer, Request},
    tables::{
        BatchErrorContinuation, BlockCipherMode, CryptographicAlgorithm, KeyFormatType, ObjectType, PaddingMethod,
        SecretDataType, StandardAttribute,
    },
    ttlv::{DateTime, Limits, Structure, Writer, parse},
};

const V1_0: ProtocolVersion = ProtocolVersion::V1_0;
const V1_2: ProtocolVersion = ProtocolVersion::V1_2;
const V1_4: ProtocolVersion = ProtocolVersion::V1_4;

fn attributes(list: &[(StandardAttribute, AttributeValue)]) -> TemplateAttribute {
    let attributes = list.iter().map(|(name, value)| Attribute::new(*name, value.clone())).collect();
    TemplateAttribute { template_names: vec![], attributes }
}

fn aes_256() -> TemplateAttribute {
    attributes(&[
        (StandardAttribute::CryptographicAlgorithm, AttributeValue::Enumeration(CryptographicAlgorithm::Aes.code())),
        (StandardAttribute::CryptographicLength, AttributeValue::Integer(256)),
        (StandardAttribute::CryptographicUsageMask, AttributeValue::Integer(12)),
    ])
}

fn seed() -> ManagedObject {
    ManagedObject::SecretData(SecretData {
        secret_data_type: SecretDataType::Seed,
        key_block: KeyBlock::new(KeyFormatType::Opaque, KeyMaterial::new(vec![7; 96])),
    })
}

fn raw_key(bytes: usize) -> SymmetricKey {
    SymmetricKey {
        key_block: KeyBlock {
            cryptographic_algorithm: Some(CryptographicAlgorithm::Aes),
            cryptographic_length: Some(256),
            ..KeyBlock::new(KeyFormatType::Raw, KeyMaterial::new(vec![9; bytes]))
        },
    }
}

fn cbc(random_iv: Option<bool>) -> CryptographicParameters {
    CryptographicParameters {
        block_cipher_mode: Some(BlockCipherMode::Cbc),
        padding_method: Some(PaddingMethod::Pkcs5),
        cryptographic_algorithm: Some(CryptographicAlgorithm::Aes),
        random_iv,
        ..CryptographicParameters::default()
    }
}

fn encrypt<'a>(data: &'a [u8]) -> Request<'a> {
    Request::Encrypt(ops::encrypt::Request {
        unique_identifier: Some("1"),
        cryptographic_parameters: Some(cbc(Some(true))),
        data: Some(data),
        iv_counter_nonce: None,
        correlation_value: None,
        init_indicator: None,
        final_indicator: None,
        additional_data: None,
    })
}

fn decrypt<'a>(data: &'a [u8], iv: &'a [u8]) -> Request<'a> {
    Request::Decrypt(ops::decrypt::Request {
        unique_identifier: Some("1"),
        cryptographic_parameters: Some(cbc(None)),
        data: Some(data),
        iv_counter_nonce: Some(iv),
        correlation_value: None,
        init_indicator: None,
        final_indicator: None,
        additional_data: None,
        authentication_tag: None,
    })
}

fn register_seed() -> Request<'static> {
    let mask = attributes(&[(StandardAttribute::CryptographicUsageMask, AttributeValue::Integer(0))]);
    Request::Register(ops::register::Request::of(seed(), mask))
}

#[test]
fn libmongocrypt_s_requests_have_its_sizes_and_read_back() {
    let create = || {
        Request::Create(ops::create::Request { object_type: ObjectType::SymmetricKey, template_attribute: aes_256() })
    };
    let requests: Vec<(ProtocolVersion, Request<'_>, usize)> = vec![
        (V1_0, register_seed(), 344),
        (V1_0, Request::Activate(ops::activate::Request { unique_identifier: Some("1") }), 120),
        (V1_0, Request::Get(ops::get::Request::of("1")), 120),
        (V1_2, create(), 296),
        (V1_2, encrypt(&[0; 96]), 296),
        (V1_2, decrypt(&[0; 112], &[0; 16]), 320),
    ];
    for (version, request, size) in requests {
        let frame = client::request(version, &request);
        assert_eq!(frame.len(), size, "{}", request.operation());
        let message = RequestMessage::read(&frame, &Limits::REQUEST).unwrap();
        assert_eq!(message.header.version, version);
        let read = message.items[0].request(version).unwrap();
        assert_eq!(client::request(version, &read), frame, "{}", request.operation());
    }
}

#[test]
fn the_answers_to_libmongocrypt_have_the_sizes_that_it_was_measured_with() {
    let (data, iv) = ([0; 112], [0; 16]);
    let template_attribute = None;
    let answers: Vec<(ProtocolVersion, Answer<'_>, usize)> = vec![
        (V1_0, Answer::Register(ops::register::Answer { unique_identifier: "1", template_attribute }), 152),
        (V1_0, Answer::Activate(ops::activate::Answer { unique_identifier: "1" }), 152),
        (V1_0, Answer::Get(ops::get::Answer::of("1", seed())), 328),
        (
            V1_2,
            Answer::Encrypt(ops::encrypt::Answer {
                unique_identifier: "1",
                data: Some(&data),
                iv_counter_nonce: Some(&iv),
                correlation_value: None,
                authentication_tag: None,
            }),
            296,
        ),
    ];
    for (version, answer, size) in answers {
        let mut frame = vec![];
        let mut writer = AnswerWriter::begin(&mut frame, version, 1);
        writer.success(ItemHead { operation: Some(answer.operation().code()), unique_batch_item_id: None }, &answer);
        writer.finish();
        assert_eq!(frame.len(), size, "{}", answer.operation());
        let read = client::read_one(&frame, version, answer.operation()).unwrap();
        assert!(read.is_ok());
    }
}

fn psmdb_header() -> RequestHeader<'static> {
    RequestHeader {
        maximum_response_size: Some(8192),
        time_stamp: Some(DateTime(1_700_000_000)),
        ..RequestHeader::of(V1_0)
    }
}

#[test]
fn percona_server_s_requests_have_its_sizes() {
    let register = Request::Register(ops::register::Request::of(ManagedObject::SymmetricKey(raw_key(32)), aes_256()));
    let attributes = ops::get_attributes::Request { unique_identifier: Some("1"), attribute_names: vec!["State"] };
    let requests = [
        (register, 440),
        (Request::Activate(ops::activate::Request { unique_identifier: Some("1") }), 152),
        (Request::GetAttributes(attributes), 168),
        (Request::Get(ops::get::Request::of("1")), 152),
    ];
    for (request, size) in requests {
        let frame = client::batch(psmdb_header(), std::slice::from_ref(&request));
        assert_eq!(frame.len(), size, "{}", request.operation());
        let message = RequestMessage::read(&frame, &Limits::REQUEST).unwrap();
        assert_eq!(message.header.maximum_response_size, Some(8192));
        assert!(message.items[0].request(V1_0).is_ok());
    }
}

fn tags(structure: Structure<'_>) -> Vec<Tag> {
    structure.items().map(|item| item.tag).collect()
}

#[test]
fn an_answer_s_fields_stand_where_positional_decoders_expect_them() {
    let mut frame = vec![];
    let mut writer = AnswerWriter::begin(&mut frame, V1_4, 5);
    let failure = Failure { reason: ResultReason::ItemNotFound, message: "no such object".into() };
    let head = ItemHead { operation: Some(Operation::Get.code()), unique_batch_item_id: Some(b"a") };
    writer.failure(head, &failure);
    writer.success(head, &Answer::Activate(ops::activate::Answer { unique_identifier: "1" }));
    writer.finish();
    let root = parse(&frame, &Limits::ANSWER).unwrap();
    let parts: Vec<Structure<'_>> = root.items().map(|item| item.structure().unwrap()).collect();
    assert_eq!(tags(parts[0]), [Tag::PROTOCOL_VERSION, Tag::TIME_STAMP, Tag::BATCH_COUNT]);
    let failed =
        [Tag::OPERATION, Tag::UNIQUE_BATCH_ITEM_ID, Tag::RESULT_STATUS, Tag::RESULT_REASON, Tag::RESULT_MESSAGE];
    assert_eq!(tags(parts[1]), failed);
    let done = [Tag::OPERATION, Tag::UNIQUE_BATCH_ITEM_ID, Tag::RESULT_STATUS, Tag::RESPONSE_PAYLOAD];
    assert_eq!(tags(parts[2]), done);
}

#[test]
fn an_item_can_be_taken_back() {
    let mut frame = vec![];
    let mut writer = AnswerWriter::begin(&mut frame, V1_0, 5);
    let mark = writer.mark();
    writer.success(ItemHead::default(), &Answer::Activate(ops::activate::Answer { unique_identifier: "1" }));
    writer.take_back(mark);
    assert!(writer.is_empty());
    writer.failure(ItemHead::default(), &Failure { reason: ResultReason::ResponseTooLarge, message: String::new() });
    writer.finish();
    let answer = client::read_one(&frame, V1_0, Operation::Activate).unwrap();
    assert_eq!(answer.err().map(|failure| failure.reason), Some(ResultReason::ResponseTooLarge));
}

#[test]
fn an_item_whose_fields_fail_is_not_written() {
    let mut frame = vec![];
    let mut writer = AnswerWriter::begin(&mut frame, V1_0, 5);
    let before = writer.len();
    let failed = writer.success_with(ItemHead::default(), |fields| {
        fields.bytes(Tag::DATA, b"a secret");
        Err::<(), _>("failed")
    });
    assert_eq!((failed, writer.len(), writer.is_empty()), (Err("failed"), before, true));
    writer.failure(ItemHead::default(), &Failure { reason: ResultReason::GeneralFailure, message: String::new() });
    writer.finish();
    let answer = client::read_one(&frame, V1_0, Operation::Activate).unwrap();
    assert_eq!(answer.err().map(|failure| failure.reason), Some(ResultReason::GeneralFailure));
}

#[test]
fn nothing_of_a_later_version_is_written() {
    let answer = ops::encrypt::Answer {
        unique_identifier: "1",
        data: Some(b"c"),
        iv_counter_nonce: None,
        correlation_value: None,
        authentication_tag: Some(b"t"),
    };
    let fields = |version| {
        let mut out = vec![];
        Writer::new(&mut out, version)
            .structure(Tag::RESPONSE_PAYLOAD, |w| kmip::ttlv::Record::write_fields(&answer, w));
        tags(parse(&out, &Limits::ANSWER).unwrap())
    };
    assert_eq!(fields(V1_2), [Tag::UNIQUE_IDENTIFIER, Tag::DATA]);
    assert_eq!(fields(V1_4), [Tag::UNIQUE_IDENTIFIER, Tag::DATA, Tag::AUTHENTICATED_ENCRYPTION_TAG]);

    let answer = ops::get_attributes::Answer {
        unique_identifier: "1",
        attributes: vec![
            Attribute::new(StandardAttribute::State, AttributeValue::Enumeration(2)),
            Attribute::new(StandardAttribute::Sensitive, AttributeValue::Boolean(false)),
        ],
    };
    let count = |version| {
        let mut out = vec![];
        Writer::new(&mut out, version)
            .structure(Tag::RESPONSE_PAYLOAD, |w| kmip::ttlv::Record::write_fields(&answer, w));
        parse(&out, &Limits::ANSWER).unwrap().items().filter(|item| item.tag == Tag::ATTRIBUTE).count()
    };
    assert_eq!((count(ProtocolVersion::V1_3), count(V1_4)), (1, 2));
}

/// A Get whose payload has one more field, of the given version.
fn get_with(version: ProtocolVersion, extra: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut out = vec![];
    let mut w = Writer::new(&mut out, version);
    w.structure(Tag::REQUEST_MESSAGE, |w| {
        kmip::ttlv::Value::write(&RequestHeader::of(version), Tag::REQUEST_HEADER, w);
        w.structure(Tag::BATCH_ITEM, |w| {
            w.enumeration(Tag::OPERATION, Operation::Get.code());
            w.structure(Tag::REQUEST_PAYLOAD, |w| {
                w.text(Tag::UNIQUE_IDENTIFIER, "1");
                extra(w);
            });
        });
    });
    out
}

fn item_error(frame: &[u8]) -> Option<WireError> {
    let message = RequestMessage::read(frame, &Limits::REQUEST).unwrap();
    message.items[0].request(message.header.version).err()
}

#[test]
fn unknown_fields_are_an_error_unless_the_minor_version_is_unknown() {
    let extra = |w: &mut Writer<'_>| w.boolean(Tag(0x42_0999), true);
    let error = item_error(&get_with(V1_4, extra)).unwrap();
    assert_eq!(error.reason(), ResultReason::InvalidField);
    assert_eq!(item_error(&get_with(ProtocolVersion { major: 1, minor: 9 }, extra)), None);
    let later = |w: &mut Writer<'_>| w.enumeration(Tag::KEY_WRAP_TYPE, 1);
    assert_eq!(item_error(&get_with(V1_2, later)).unwrap().reason(), ResultReason::InvalidField);
    assert_eq!(item_error(&get_with(V1_4, later)), None);
    let twice = |w: &mut Writer<'_>| w.text(Tag::UNIQUE_IDENTIFIER, "2");
    let error = item_error(&get_with(V1_4, twice)).unwrap();
    assert_eq!(error, WireError::Twice { structure: Tag::REQUEST_PAYLOAD, field: Tag::UNIQUE_IDENTIFIER });
    assert_eq!(error.reason(), ResultReason::InvalidMessage);
    let wrong = |w: &mut Writer<'_>| w.text(Tag::KEY_FORMAT_TYPE, "Raw");
    assert_eq!(item_error(&get_with(V1_4, wrong)).unwrap().reason(), ResultReason::InvalidMessage);
}

fn whole_error(frame: &[u8]) -> (ProtocolVersion, ResultReason) {
    let refused = RequestMessage::read(frame, &Limits::REQUEST).err().unwrap();
    (refused.version, refused.error.reason())
}

#[test]
fn faults_of_the_frame_fail_the_message_in_its_own_version() {
    use ResultReason::InvalidMessage;
    let alien = ProtocolVersion { major: 9, minor: 9 };
    assert_eq!(whole_error(&get_with(alien, |_| {})), (alien, InvalidMessage));
    let mut truncated = get_with(V1_2, |_| {});
    truncated.truncate(truncated.len() - 8);
    assert_eq!(whole_error(&truncated), (V1_2, InvalidMessage));
    assert_eq!(whole_error(b"GET / HTTP/1.1\r\n\r\n"), (V1_0, InvalidMessage));

    let get = |id| Request::Get(ops::get::Request::of(id));
    let two = client::batch(RequestHeader::of(V1_4), &[get("1"), get("2")]);
    assert!(RequestMessage::read(&two, &Limits::REQUEST).is_ok());
    let count_at = 8 + 8 + 40 + 8 + 3;
    for count in [0, 1, 3, 255] {
        let mut wrong = two.clone();
        wrong[count_at] = count;
        assert_eq!(whole_error(&wrong), (V1_4, InvalidMessage), "batch count {count}");
    }
    let same_id = two.iter().rposition(|&byte| byte == 2).map(|at| {
        let mut wrong = two.clone();
        let id = two.windows(4).rposition(|four| four == 2u32.to_be_bytes()).unwrap();
        wrong[id + 3] = 1;
        (at, wrong)
    });
    assert_eq!(whole_error(&same_id.unwrap().1), (V1_4, InvalidMessage));
    let many: Vec<_> = (0..65).map(|_| get("1")).collect();
    assert_eq!(whole_error(&client::batch(RequestHeader::of(V1_4), &many)), (V1_4, InvalidMessage));
    let header =
        RequestHeader { batch_error_continuation: Some(BatchErrorContinuation::Continue), ..RequestHeader::of(V1_4) };
    assert!(RequestMessage::read(&client::batch(header, &many[..64]), &Limits::REQUEST).is_ok());
}

#[test]
fn a_fault_around_the_payload_fails_its_item_alone() {
    let mut frame = vec![];
    Writer::new(&mut frame, V1_4).structure(Tag::REQUEST_MESSAGE, |w| {
        kmip::ttlv::Value::write(&RequestHeader { batch_count: 2, ..RequestHeader::of(V1_4) }, Tag::REQUEST_HEADER, w);
        w.structure(Tag::BATCH_ITEM, |w| {
            w.bytes(Tag::UNIQUE_BATCH_ITEM_ID, b"1");
            w.enumeration(Tag::OPERATION, Operation::Get.code());
            w.text(Tag::OPERATION, "Get");
        });
        w.structure(Tag::BATCH_ITEM, |w| {
            w.enumeration(Tag::OPERATION, Operation::Get.code());
            w.bytes(Tag::UNIQUE_BATCH_ITEM_ID, b"2");
            w.structure(Tag::REQUEST_PAYLOAD, |w| w.text(Tag::UNIQUE_IDENTIFIER, "1"));
        });
    });
    let message = RequestMessage::read(&frame, &Limits::REQUEST).unwrap();
    let [first, second] = message.items.as_slice() else { panic!("two items") };
    assert_eq!((first.operation, first.unique_batch_item_id), (Some(Operation::Get.code()), Some(&b"1"[..])));
    assert_eq!(first.request(V1_4).err().map(|error| error.reason()), Some(ResultReason::InvalidMessage));
    assert!(second.request(V1_4).is_ok());
}

#[test]
fn operations_belong_to_versions() {
    let frame = client::request(V1_2, &encrypt(b"x"));
    let message = RequestMessage::read(&frame, &Limits::REQUEST).unwrap();
    assert!(message.items[0].request(V1_2).is_ok());
    let error = message.items[0].request(ProtocolVersion::V1_1).err().unwrap();
    assert_eq!(error.reason(), ResultReason::OperationNotSupported);
    let unserved = ops::Request::read(0x7FFF_FFFF, parse(&frame, &Limits::REQUEST).unwrap(), V1_4);
    assert_eq!(unserved.err().unwrap().reason(), ResultReason::OperationNotSupported);
}

#[test]
fn a_critical_extension_is_refused_and_another_ignored() {
    let with = |critical| {
        let mut out = vec![];
        Writer::new(&mut out, V1_4).structure(Tag::REQUEST_MESSAGE, |w| {
            kmip::ttlv::Value::write(&RequestHeader::of(V1_4), Tag::REQUEST_HEADER, w);
            w.structure(Tag::BATCH_ITEM, |w| {
                w.enumeration(Tag::OPERATION, Operation::Query.code());
                w.structure(Tag::REQUEST_PAYLOAD, |w| w.enumeration(Tag::QUERY_FUNCTION, 1));
                w.structure(Tag::MESSAGE_EXTENSION, |w| {
                    w.text(Tag::VENDOR_IDENTIFICATION, "ACME");
                    w.boolean(Tag::CRITICALITY_INDICATOR, critical);
                    w.structure(Tag::VENDOR_EXTENSION, |w| w.integer(Tag(0x54_0001), 1));
                });
            });
        });
        out
    };
    assert_eq!(whole_error(&with(true)), (V1_4, ResultReason::FeatureNotSupported));
    assert_eq!(item_error(&with(false)), None);
}
