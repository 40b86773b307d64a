//! What an operation is asked for in vain (KMIP 1.4 §11.2 to §11.31).

use kmip::{KeyInformation, KeyWrappingSpecification, tables::WrappingMethod};

use super::*;

const ABSENT: &str = "0b0e9c8a-0000-4000-8000-000000000000";
const DENIED: ResultReason = ResultReason::PermissionDenied;

#[tokio::test]
async fn an_operation_that_is_unknown_or_unsupported_is_not_supported_and_echoed() {
    let mut line = Line::open().await;
    // Notify and Put are asked of clients.
    for code in [0, 0x1b, 0x1c, 0xff, 0x7fff_ffff, u32::MAX] {
        let frame = operation(V1_4, code, |w| w.text(Tag::UNIQUE_IDENTIFIER, "1"));
        line.is_no_item("unknown", &frame, code, ResultReason::OperationNotSupported).await;
    }
    let encrypts = Operation::Encrypt.code();
    let told = line.ask(ProtocolVersion::V1_1, &operation(ProtocolVersion::V1_1, encrypts, |_| {})).await;
    assert_eq!(told, [Told::failed(Some(encrypts), ResultReason::OperationNotSupported)], "1.2 brought it");
}

type More = fn(&mut Writer<'_>);

/// The operations that take a Unique Identifier, each with what else it needs.
fn plain() -> [(Operation, More); 24] {
    use Operation as O;
    fn attribute(w: &mut Writer<'_>) {
        let comment = Attribute::new(StandardAttribute::Comment, AttributeValue::Text("text".to_owned()));
        ttlv::Value::write(&comment, Tag::ATTRIBUTE, w);
    }
    let nothing: More = |_| {};
    let data: More = |w| w.bytes(Tag::DATA, b"data");
    // Whom the certificate is of.
    let subject: More = |w| {
        w.structure(Tag::TEMPLATE_ATTRIBUTE, |w| ttlv::Record::write_fields(&template(&certify::subject("db")), w));
    };
    [
        (O::Get, nothing),
        (O::Export, nothing),
        (O::GetAttributes, nothing),
        (O::GetAttributeList, nothing),
        (O::AddAttribute, attribute),
        (O::ModifyAttribute, attribute),
        (O::DeleteAttribute, |w| w.text(Tag::ATTRIBUTE_NAME, "Comment")),
        (O::Check, nothing),
        (O::ObtainLease, nothing),
        (O::GetUsageAllocation, |w| w.long_integer(Tag::USAGE_LIMITS_COUNT, 1)),
        (O::Activate, nothing),
        (O::Revoke, |w| w.structure(Tag::REVOCATION_REASON, |w| w.enumeration(Tag::REVOCATION_REASON_CODE, 1))),
        (O::Destroy, nothing),
        (O::Archive, nothing),
        (O::Recover, nothing),
        (O::ReKey, nothing),
        (O::Certify, subject),
        (O::ReCertify, subject),
        (O::Encrypt, data),
        (O::Decrypt, data),
        (O::Sign, data),
        (O::SignatureVerify, |w| {
            w.bytes(Tag::DATA, b"data");
            w.bytes(Tag::SIGNATURE_DATA, b"signature");
        }),
        (O::Mac, data),
        (O::MacVerify, |w| {
            w.bytes(Tag::DATA, b"data");
            w.bytes(Tag::MAC_DATA, b"mac");
        }),
    ]
}

/// A message for each operation that names an object, naming this one.
fn about(id: &str) -> Vec<(Operation, Vec<u8>)> {
    use Operation as O;
    let named = |(name, more): (O, More)| {
        let frame = operation(V1_4, name.code(), |w| {
            w.text(Tag::UNIQUE_IDENTIFIER, id);
            more(w);
        });
        (name, frame)
    };
    let mut all: Vec<_> = plain().into_iter().map(named).collect();
    let pair = |w: &mut Writer<'_>| w.text(Tag::PRIVATE_KEY_UNIQUE_IDENTIFIER, id);
    all.push((O::ReKeyKeyPair, operation(V1_4, O::ReKeyKeyPair.code(), pair)));
    let derived = |w: &mut Writer<'_>| {
        w.enumeration(Tag::OBJECT_TYPE, ObjectType::SymmetricKey.code());
        w.text(Tag::UNIQUE_IDENTIFIER, id);
        // HASH, by SHA-256.
        w.enumeration(Tag::DERIVATION_METHOD, 2);
        w.structure(Tag::DERIVATION_PARAMETERS, |w| {
            w.structure(Tag::CRYPTOGRAPHIC_PARAMETERS, |w| w.enumeration(Tag::HASHING_ALGORITHM, 6));
        });
        w.structure(Tag::TEMPLATE_ATTRIBUTE, |w| {
            let Request::Create(create) = create() else { panic!("another request") };
            ttlv::Record::write_fields(&create.template_attribute, w);
        });
    };
    all.push((O::DeriveKey, operation(V1_4, O::DeriveKey.code(), derived)));
    let split = |w: &mut Writer<'_>| {
        w.enumeration(Tag::OBJECT_TYPE, ObjectType::SymmetricKey.code());
        w.text(Tag::UNIQUE_IDENTIFIER, id);
        w.integer(Tag::SPLIT_KEY_PARTS, 2);
        w.integer(Tag::SPLIT_KEY_THRESHOLD, 2);
        // XOR.
        w.enumeration(Tag::SPLIT_KEY_METHOD, 1);
        w.structure(Tag::TEMPLATE_ATTRIBUTE, |_| {});
    };
    all.push((O::CreateSplitKey, operation(V1_4, O::CreateSplitKey.code(), split)));
    let joined = |w: &mut Writer<'_>| {
        w.enumeration(Tag::OBJECT_TYPE, ObjectType::SymmetricKey.code());
        w.text(Tag::UNIQUE_IDENTIFIER, id);
        w.text(Tag::UNIQUE_IDENTIFIER, id);
    };
    all.push((O::JoinSplitKey, operation(V1_4, O::JoinSplitKey.code(), joined)));
    all
}

#[tokio::test]
async fn an_unknown_object_and_one_of_another_client_are_not_found() {
    let mut line = Line::open().await;
    let foreign = line.rig.call(&caller_of(tenant(1), "ledger"), V1_4, &create()).await.unwrap().id();
    let alien = line.rig.call(&caller_of(tenant(2), "orders"), V1_4, &create()).await.unwrap().id();
    for id in ["", "1", ABSENT, foreign.as_str(), alien.as_str()] {
        for (name, frame) in about(id) {
            line.is_no_item(&format!("{name} of `{id}`"), &frame, name.code(), ResultReason::ItemNotFound).await;
        }
    }
}

/// Keys in these states, of which the first two protect nothing.
async fn keys(rig: &Rig) -> [(kmip::State, String); 4] {
    let new = async || rig.does(&create()).await.unwrap().id();
    let [pre_active, deactivated, compromised, destroyed] = [new().await, new().await, new().await, new().await];
    rig.does(&activate(Some(&deactivated))).await.unwrap();
    rig.does(&revoke(&deactivated, RevocationReasonCode::CessationOfOperation)).await.unwrap();
    rig.does(&activate(Some(&compromised))).await.unwrap();
    rig.does(&revoke(&compromised, RevocationReasonCode::KeyCompromise)).await.unwrap();
    rig.does(&destroy(&destroyed)).await.unwrap();
    [
        (kmip::State::PreActive, pre_active),
        (kmip::State::Deactivated, deactivated),
        (kmip::State::Compromised, compromised),
        (kmip::State::Destroyed, destroyed),
    ]
}

#[tokio::test]
async fn a_key_that_is_not_active_does_not_encrypt() {
    let mut line = Line::open().await;
    for (state, id) in &keys(&line.rig).await[..3] {
        line.fails(&state.to_string(), &encrypt(id, gcm(), b"x"), DENIED).await;
    }
}

/// §3.22: "under extraordinary circumstances", which are its owner's to judge.
#[tokio::test]
async fn a_deactivated_or_compromised_key_decrypts() {
    use RevocationReasonCode as R;
    let mut line = Line::open().await;
    for reason in [R::CessationOfOperation, R::KeyCompromise] {
        let id = active_key(&line.rig).await;
        let got = line.rig.does(&encrypt(&id, gcm(), b"x")).await.unwrap();
        let Answer::Encrypt(sealed) = got.answer() else { panic!("another answer") };
        line.rig.does(&revoke(&id, reason)).await.unwrap();
        let (data, iv) = (sealed.data.unwrap(), sealed.iv_counter_nonce.unwrap());
        line.does(&reason.to_string(), &decrypt(&id, gcm(), data, iv, sealed.authentication_tag)).await;
    }
}

#[tokio::test]
async fn only_a_pre_active_key_is_activated() {
    let mut line = Line::open().await;
    let active = active_key(&line.rig).await;
    line.fails("Active", &activate(Some(&active)), DENIED).await;
    let [(_, new), rest @ ..] = keys(&line.rig).await;
    for (state, id) in rest {
        line.fails(&state.to_string(), &activate(Some(&id)), DENIED).await;
    }
    line.does("Pre-Active", &activate(Some(&new))).await;
}

#[tokio::test]
async fn an_active_key_is_not_destroyed() {
    let mut line = Line::open().await;
    let id = active_key(&line.rig).await;
    line.fails("Active", &destroy(&id), DENIED).await;
    line.does("it is there", &encrypt(&id, gcm(), b"x")).await;
}

#[tokio::test]
async fn a_key_is_destroyed_once_and_is_not_there_for_a_get() {
    let mut line = Line::open().await;
    let id = line.rig.does(&create()).await.unwrap().id();
    line.does("once", &destroy(&id)).await;
    line.fails("twice", &destroy(&id), DENIED).await;
    line.fails("Get", &get(&id), ResultReason::ItemNotFound).await;
    line.does("its attributes stay", &state_of(&id)).await;
}

#[tokio::test]
async fn attributes_that_are_asked_for_twice_are_an_invalid_message_and_unknown_ones_are_absent() {
    let mut line = Line::open().await;
    let id = line.rig.does(&create()).await.unwrap().id();
    let ask = |attribute_names| {
        Request::GetAttributes(ops::get_attributes::Request { unique_identifier: Some(&id), attribute_names })
    };
    line.fails("twice", &ask(vec!["State", "Name", "State"]), ResultReason::InvalidMessage).await;
    line.fails("unknown, twice", &ask(vec!["Colour", "Colour"]), ResultReason::InvalidMessage).await;
    line.does("unknown", &ask(vec!["Colour", "x-Colour"])).await;
    let got = line.rig.does(&ask(vec!["Colour", "x-Colour"])).await.unwrap();
    let Answer::GetAttributes(answer) = got.answer() else { panic!("another answer") };
    assert_eq!(answer.attributes, []);
}

/// A message that gives an attribute by any name, with a text.
fn given(code: u32, name: &str, before: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    operation(V1_4, code, |w| {
        before(w);
        w.structure(Tag::ATTRIBUTE, |w| {
            w.text(Tag::ATTRIBUTE_NAME, name);
            w.text(Tag::ATTRIBUTE_VALUE, "red");
        });
    })
}

#[tokio::test]
async fn locate_by_an_unknown_attribute_or_a_template_is_an_invalid_field() {
    let mut line = Line::open().await;
    let (locates, invalid) = (Operation::Locate.code(), ResultReason::InvalidField);
    line.is_no_item("unknown", &given(locates, "Colour", |_| {}), locates, invalid).await;
    let template = operation(V1_4, locates, |w| {
        w.structure(Tag::TEMPLATE_ATTRIBUTE, |w| {
            w.structure(Tag::NAME, |w| {
                w.text(Tag::NAME_VALUE, "template");
                w.enumeration(Tag::NAME_TYPE, 1);
            });
        });
    });
    line.is_no_item("template", &template, locates, invalid).await;
}

#[tokio::test]
async fn an_attribute_that_is_read_only_is_neither_added_nor_modified_nor_deleted() {
    let mut line = Line::open().await;
    let id = line.rig.does(&create()).await.unwrap().id();
    let state = || Attribute::new(StandardAttribute::State, AttributeValue::Enumeration(2));
    let unique_identifier = Some(id.as_str());
    let add = ops::add_attribute::Request { unique_identifier, attribute: state() };
    line.fails("add", &Request::AddAttribute(add), DENIED).await;
    let modify = ops::modify_attribute::Request { unique_identifier, attribute: state() };
    line.fails("modify", &Request::ModifyAttribute(modify), DENIED).await;
    let delete = ops::delete_attribute::Request { unique_identifier, attribute_name: "State", attribute_index: None };
    line.fails("delete", &Request::DeleteAttribute(delete), DENIED).await;
}

#[tokio::test]
async fn create_with_incorrect_attributes_is_an_invalid_field() {
    use {AttributeValue as V, StandardAttribute as A};
    let mut line = Line::open().await;
    let invalid = ResultReason::InvalidField;
    let request = |list: &[(A, V)]| {
        let (object_type, template_attribute) = (ObjectType::SymmetricKey, template(list));
        Request::Create(ops::create::Request { object_type, template_attribute })
    };
    let (aes, length, mask) = (
        (A::CryptographicAlgorithm, V::Enumeration(CryptographicAlgorithm::Aes.code())),
        |bits| (A::CryptographicLength, V::Integer(bits)),
        (A::CryptographicUsageMask, V::Integer(12)),
    );
    line.fails("no algorithm", &request(&[length(256), mask.clone()]), invalid).await;
    for bits in [0, 1, 127, 129, 512, -256, i32::MAX] {
        line.fails(&format!("{bits} bits"), &request(&[aes.clone(), length(bits), mask.clone()]), invalid).await;
    }
    line.fails("read-only", &create_with(&[(A::State, V::Enumeration(2))]), invalid).await;
    let creates = Operation::Create.code();
    let unknown = operation(V1_4, creates, |w| {
        w.enumeration(Tag::OBJECT_TYPE, ObjectType::SymmetricKey.code());
        w.structure(Tag::TEMPLATE_ATTRIBUTE, |w| {
            w.structure(Tag::ATTRIBUTE, |w| {
                w.text(Tag::ATTRIBUTE_NAME, "Colour");
                w.text(Tag::ATTRIBUTE_VALUE, "red");
            });
        });
    });
    line.is_no_item("unknown", &unknown, creates, invalid).await;
    let object_type = operation(V1_4, creates, |w| {
        w.enumeration(Tag::OBJECT_TYPE, 0x63);
        w.structure(Tag::TEMPLATE_ATTRIBUTE, |_| {});
    });
    line.is_no_item("Object Type", &object_type, creates, invalid).await;
}

#[tokio::test]
async fn create_with_the_name_of_another_object_is_an_invalid_field() {
    let mut line = Line::open().await;
    let named = create_with(&[(StandardAttribute::Name, AttributeValue::name("master"))]);
    line.does("first", &named).await;
    line.fails("second", &named, ResultReason::InvalidField).await;
}

#[tokio::test]
async fn create_from_an_unknown_template_finds_no_item() {
    let mut line = Line::open().await;
    let Request::Create(mut request) = create() else { panic!("another request") };
    let kind = kmip::tables::NameType::UninterpretedTextString;
    request.template_attribute.template_names.push(kmip::Name { value: "template".to_owned(), kind });
    line.fails("template", &Request::Create(request), ResultReason::ItemNotFound).await;
}

#[tokio::test]
async fn register_of_another_object_than_its_type_says_is_an_invalid_field() {
    let mut line = Line::open().await;
    for object_type in
        [ObjectType::SecretData, ObjectType::PrivateKey, ObjectType::Certificate, ObjectType::OpaqueObject]
    {
        let Request::Register(mut request) = register_key(vec![1; 32]) else { panic!("another request") };
        request.object_type = object_type;
        line.fails(object_type.name(), &Request::Register(request), ResultReason::InvalidField).await;
    }
}

#[tokio::test]
async fn revoke_for_an_unknown_reason_is_an_invalid_field_and_for_none_an_invalid_message() {
    let mut line = Line::open().await;
    let (id, revokes) = (active_key(&line.rig).await, Operation::Revoke.code());
    let coded = |code: Option<u32>| {
        operation(V1_4, revokes, |w| {
            w.text(Tag::UNIQUE_IDENTIFIER, &id);
            w.structure(Tag::REVOCATION_REASON, |w| {
                if let Some(code) = code {
                    w.enumeration(Tag::REVOCATION_REASON_CODE, code);
                }
            });
        })
    };
    for code in [0, 8, 0x8000_0001] {
        line.is_no_item("unknown", &coded(Some(code)), revokes, ResultReason::InvalidField).await;
    }
    line.is_no_item("no code", &coded(None), revokes, ResultReason::InvalidMessage).await;
    let none = operation(V1_4, revokes, |w| w.text(Tag::UNIQUE_IDENTIFIER, &id));
    line.is_no_item("none", &none, revokes, ResultReason::InvalidMessage).await;
    assert_eq!(state(&line.rig, &id).await, kmip::State::Active);
}

/// §3.29.
#[tokio::test]
async fn a_compromise_without_an_occurrence_date_has_the_initial_date() {
    let mut line = Line::open().await;
    let id = active_key(&line.rig).await;
    line.rig.clock.forward_s(60);
    line.does("revoke", &revoke(&id, RevocationReasonCode::KeyCompromise)).await;
    let names = vec!["Compromise Occurrence Date", "Compromise Date"];
    let ask = ops::get_attributes::Request { unique_identifier: Some(&id), attribute_names: names };
    let got = line.rig.does(&Request::GetAttributes(ask)).await.unwrap();
    let Answer::GetAttributes(answer) = got.answer() else { panic!("another answer") };
    let dates: Vec<_> = answer.attributes.into_iter().map(|attribute| attribute.value).collect();
    assert_eq!(dates, [AttributeValue::DateTime(START_S), AttributeValue::DateTime(START_S + 60)]);
}

#[tokio::test]
async fn what_does_not_decrypt_is_a_cryptographic_failure() {
    let mut line = Line::open().await;
    let id = active_key(&line.rig).await;
    let got = line.rig.does(&encrypt(&id, cbc(Some(true)), &[5; 20])).await.unwrap();
    let Answer::Encrypt(sealed) = got.answer() else { panic!("another answer") };
    let (data, iv) = (sealed.data.unwrap(), sealed.iv_counter_nonce.unwrap());
    line.does("as it was", &decrypt(&id, cbc(None), data, iv, None)).await;
    let failure = ResultReason::CryptographicFailure;
    line.fails("a part of a block", &decrypt(&id, cbc(None), &data[..20], iv, None), failure).await;
    line.fails("nothing", &decrypt(&id, cbc(None), b"", iv, None), failure).await;
    // Its one block is no longer what was padded.
    let mut unpadded = data.to_vec();
    unpadded[15] ^= 0x55;
    line.fails("bad padding", &decrypt(&id, cbc(None), &unpadded, iv, None), failure).await;
    for bytes in [0, 8, 15, 17] {
        line.fails("bad IV", &decrypt(&id, cbc(None), data, &vec![1; bytes], None), failure).await;
    }
}

#[tokio::test]
async fn a_key_format_that_cannot_be_had_is_not_supported() {
    let mut line = Line::open().await;
    let id = line.rig.does(&create()).await.unwrap().id();
    for format in [KeyFormatType::Pkcs8, KeyFormatType::X509, KeyFormatType::EcPrivateKey] {
        let request = ops::get::Request { key_format_type: Some(format), ..ops::get::Request::of(&id) };
        line.fails(format.name(), &Request::Get(request), ResultReason::KeyFormatTypeNotSupported).await;
    }
}

#[tokio::test]
async fn an_unknown_wrapping_key_is_not_found() {
    let mut line = Line::open().await;
    let id = line.rig.does(&create()).await.unwrap().id();
    let specification = KeyWrappingSpecification {
        wrapping_method: WrappingMethod::Encrypt,
        encryption_key_information: Some(KeyInformation {
            unique_identifier: ABSENT.to_owned(),
            cryptographic_parameters: None,
        }),
        mac_signature_key_information: None,
        attribute_names: vec![],
        encoding_option: None,
    };
    let request = ops::get::Request { key_wrapping_specification: Some(specification), ..ops::get::Request::of(&id) };
    line.fails("wrapped", &Request::Get(request), ResultReason::ItemNotFound).await;
}

#[tokio::test]
async fn a_sensitive_key_and_one_that_is_not_extractable_do_not_leave() {
    let mut line = Line::open().await;
    for (name, on, reason) in [
        (StandardAttribute::Sensitive, true, ResultReason::Sensitive),
        (StandardAttribute::Extractable, false, ResultReason::NotExtractable),
    ] {
        let id = line.rig.does(&create_with(&[(name, AttributeValue::Boolean(on))])).await.unwrap().id();
        line.fails(reason.name(), &get(&id), reason).await;
        // Neither reason is one of an older version.
        let told = line.ask(V1_2, &client::request(V1_2, &get(&id))).await;
        assert_eq!(told, [Told::failed(Some(GET), DENIED)]);
    }
}
