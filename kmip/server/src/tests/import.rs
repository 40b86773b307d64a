//! Import on the wire: what was exported comes back as it was, and nothing of others gives way.

use kmip::{
    KeyInformation, KeyWrappingSpecification,
    tables::{KeyWrapType, WrappingMethod},
};

use super::*;

/// What an Export answered.
struct Exported {
    attributes: Vec<Attribute>,
    object: ops::export::Answer<'static>,
}

async fn exported(rig: &Rig, request: ops::export::Request<'_>) -> Exported {
    let got = rig.does(&Request::Export(request)).await.unwrap();
    let Answer::Export(answer) = got.answer() else { panic!("another answer") };
    let mut object = ops::export::Answer::of(answer.object_type, "", vec![]);
    object.certificate = answer.certificate;
    object.symmetric_key = answer.symmetric_key;
    object.private_key = answer.private_key;
    object.public_key = answer.public_key;
    object.split_key = answer.split_key;
    object.secret_data = answer.secret_data;
    object.opaque_object = answer.opaque_object;
    Exported { attributes: answer.attributes, object }
}

async fn export(rig: &Rig, id: &str) -> Exported {
    exported(rig, ops::export::Request::of(id)).await
}

/// The import of what was exported.
fn back(id: &str, from: Exported, replaces: bool) -> Request<'_> {
    let Exported { attributes, object } = from;
    let objects = [
        object.certificate.map(ManagedObject::Certificate),
        object.symmetric_key.map(ManagedObject::SymmetricKey),
        object.private_key.map(ManagedObject::PrivateKey),
        object.public_key.map(ManagedObject::PublicKey),
        object.split_key.map(ManagedObject::SplitKey),
        object.secret_data.map(ManagedObject::SecretData),
        object.opaque_object.map(ManagedObject::OpaqueObject),
    ];
    let object = objects.into_iter().flatten().next().unwrap();
    let mut request = ops::import::Request::of(id, attributes, object);
    request.replace_existing = Some(replaces);
    Request::Import(request)
}

fn key(id: &str, byte: u8, attributes: Vec<Attribute>) -> Box<ops::import::Request<'_>> {
    let key = SymmetricKey { key_block: block(KeyFormatType::Raw, vec![byte; 32], Some(CryptographicAlgorithm::Aes)) };
    ops::import::Request::of(id, attributes, ManagedObject::SymmetricKey(key))
}

const FREE: &str = "0b0e9c8a-0000-4000-8000-000000000000";

#[tokio::test]
async fn what_was_exported_and_destroyed_comes_back_as_it_was() {
    let rig = Rig::new().await;
    let named = create_with(&[
        (StandardAttribute::Name, AttributeValue::name("master")),
        (StandardAttribute::ObjectGroup, AttributeValue::Text("a".to_owned())),
        (StandardAttribute::ObjectGroup, AttributeValue::Text("b".to_owned())),
        (StandardAttribute::ActivationDate, AttributeValue::DateTime(START_S)),
    ]);
    let id = rig.does(&named).await.unwrap().id();
    let first = ops::delete_attribute::Request {
        unique_identifier: Some(&id),
        attribute_name: "Object Group",
        attribute_index: None,
    };
    rig.does(&Request::DeleteAttribute(first)).await.unwrap();
    let sealed = rig.does(&encrypt(&id, gcm(), b"plain")).await.unwrap();
    let before = export(&rig, &id).await;
    let attributes = before.attributes.clone();
    rig.clock.forward_s(10);
    rig.does(&revoke(&id, RevocationReasonCode::Superseded)).await.unwrap();
    rig.does(&destroy(&id)).await.unwrap();
    let refused = rig.reason(&back(&id, export_copy(&before), false)).await;
    assert_eq!(refused, Some(ResultReason::ObjectAlreadyExists));
    rig.does(&back(&id, before, true)).await.unwrap();
    assert_eq!(state(&rig, &id).await, kmip::State::Active);
    let after = export(&rig, &id).await;
    assert_eq!(after.attributes, attributes);
    assert!(attributes.iter().any(|one| one.index == Some(1)), "the gap is kept");
    let Answer::Encrypt(sealed) = sealed.answer() else { panic!("another answer") };
    let open = decrypt(&id, gcm(), sealed.data.unwrap(), sealed.iv_counter_nonce.unwrap(), sealed.authentication_tag);
    assert_eq!(rig.reason(&open).await, None, "it is the same key");
}

/// The same key and attributes again.
fn export_copy(from: &Exported) -> Exported {
    let block = &from.object.symmetric_key.as_ref().unwrap().key_block;
    let copy = KeyBlock {
        cryptographic_algorithm: block.cryptographic_algorithm,
        cryptographic_length: block.cryptographic_length,
        ..KeyBlock::new(block.key_format_type, KeyMaterial::new(block.material.expose().to_vec()))
    };
    let mut object = ops::export::Answer::of(from.object.object_type, "", vec![]);
    object.symmetric_key = Some(SymmetricKey { key_block: copy });
    Exported { attributes: from.attributes.clone(), object }
}

#[tokio::test]
async fn an_absent_identifier_is_taken_as_it_is_brought() {
    let rig = Rig::new().await;
    let got = rig.does(&Request::Import(key(FREE, 3, vec![]))).await.unwrap();
    let Answer::Import(answer) = got.answer() else { panic!("another answer") };
    assert_eq!(answer.unique_identifier, FREE);
    let found = export(&rig, FREE).await;
    assert_eq!(found.object.symmetric_key.unwrap().key_block.material.expose(), [3; 32]);
    let number = |name: StandardAttribute| found.attributes.iter().find(|one| one.name == name.into()).cloned();
    assert!(number(StandardAttribute::Digest).is_some() && number(StandardAttribute::LeaseTime).is_some());
    assert_eq!(rig.reason(&Request::Import(key(FREE, 4, vec![]))).await, Some(ResultReason::ObjectAlreadyExists));
    for odd in ["1", "master:key:1", ""] {
        assert_eq!(rig.reason(&Request::Import(key(odd, 4, vec![]))).await, Some(ResultReason::InvalidField), "{odd}");
    }
    let wrong = Attribute::new(StandardAttribute::ObjectType, AttributeValue::Enumeration(7));
    assert_eq!(rig.reason(&Request::Import(key(FREE, 4, vec![wrong]))).await, Some(ResultReason::InvalidField));
    let next = Request::Destroy(ops::destroy::Request { unique_identifier: None });
    let other = "0b0e9c8a-0000-4000-8000-000000000001";
    let reasons = rig.batch(RequestHeader::of(V1_4), &[Request::Import(key(other, 1, vec![])), next]).await;
    assert_eq!(reasons, [None, None], "the ID Placeholder is what was imported");
    let failed = rig.call(&rig.caller, V1_2, &Request::Import(key(other, 1, vec![]))).await.err();
    assert_eq!(failed.map(|one| one.reason), Some(ResultReason::OperationNotSupported));
}

#[tokio::test]
async fn what_is_another_system_s_neither_gives_way_nor_is_told_of() {
    let rig = Rig::new().await;
    let id = rig.does(&register_key(vec![3; 32])).await.unwrap().id();
    let foreign = caller_of(tenant(1), "ledger");
    let odd = rig.call(&foreign, V1_4, &Request::Import(key("odd", 9, vec![]))).await.unwrap_err();
    for replaces in [None, Some(true)] {
        let mut request = key(&id, 9, vec![]);
        request.replace_existing = replaces;
        assert_eq!(rig.call(&foreign, V1_4, &Request::Import(request)).await.unwrap_err(), odd, "{replaces:?}");
    }
    assert_eq!(rig.reason(&get(&id)).await, None);
    let other = caller_of(tenant(2), "orders");
    rig.call(&other, V1_4, &Request::Import(key(&id, 9, vec![]))).await.unwrap();
    assert_eq!(export(&rig, &id).await.object.symmetric_key.unwrap().key_block.material.expose(), [3; 32]);
}

#[tokio::test]
async fn a_replacement_is_another_key_and_asks_as_a_destroy_does() {
    let rig = Rig::new().await;
    let kept = (StandardAttribute::Extractable, AttributeValue::Boolean(false));
    let id = rig.does(&create_with(&[kept])).await.unwrap().id();
    rig.does(&activate(Some(&id))).await.unwrap();
    assert_eq!(rig.reason(&encrypt(&id, gcm(), b"x")).await, None, "its key is in the table");
    let replacement = || {
        let mut request = key(&id, 7, vec![]);
        request.replace_existing = Some(true);
        Request::Import(request)
    };
    let forbid =
        r#"@id("no-destroy") forbid (principal is Client, action == Action::"destroy", resource is KeyObject);"#;
    rig.decree(forbid);
    assert_eq!(rig.reason(&replacement()).await, Some(ResultReason::PermissionDenied));
    assert_eq!(state(&rig, &id).await, kmip::State::Active);
    let mut first = key(FREE, 1, vec![]);
    first.replace_existing = Some(true);
    assert_eq!(rig.reason(&Request::Import(first)).await, None, "nothing is destroyed");
    rig.decree("");
    rig.does(&replacement()).await.unwrap();
    assert_eq!(
        export(&rig, &id).await.object.symmetric_key.unwrap().key_block.material.expose(),
        [7; 32],
        "the old key never leaves"
    );
    assert_eq!(state(&rig, &id).await, kmip::State::PreActive);
}

#[tokio::test]
async fn a_wrapped_key_is_unwrapped_if_that_is_asked_and_stored_as_it_came_if_not() {
    let rig = Rig::new().await;
    let parameters = CryptographicParameters {
        block_cipher_mode: Some(BlockCipherMode::NistKeyWrap),
        ..CryptographicParameters::default()
    };
    let wraps = (StandardAttribute::CryptographicUsageMask, AttributeValue::Integer(0x30));
    let modes = (StandardAttribute::CryptographicParameters, AttributeValue::CryptographicParameters(parameters));
    let aes = [
        (StandardAttribute::CryptographicAlgorithm, AttributeValue::Enumeration(CryptographicAlgorithm::Aes.code())),
        (StandardAttribute::CryptographicLength, AttributeValue::Integer(256)),
        wraps,
        modes,
    ];
    let create = ops::create::Request { object_type: ObjectType::SymmetricKey, template_attribute: template(&aes) };
    let kek = rig.does(&Request::Create(create)).await.unwrap().id();
    rig.does(&activate(Some(&kek))).await.unwrap();
    let id = rig.does(&register_key(vec![3; 32])).await.unwrap().id();
    let wrapped = || {
        let parameters = CryptographicParameters {
            block_cipher_mode: Some(BlockCipherMode::NistKeyWrap),
            ..CryptographicParameters::default()
        };
        let encryption = KeyInformation { unique_identifier: kek.clone(), cryptographic_parameters: Some(parameters) };
        ops::export::Request {
            key_wrapping_specification: Some(KeyWrappingSpecification {
                wrapping_method: WrappingMethod::Encrypt,
                encryption_key_information: Some(encryption),
                mac_signature_key_information: None,
                attribute_names: vec!["Cryptographic Algorithm".to_owned()],
                encoding_option: None,
            }),
            ..ops::export::Request::of(&id)
        }
    };
    for wrap_type in [Some(KeyWrapType::NotWrapped), None, Some(KeyWrapType::AsRegistered)] {
        let mut request = back(&id, exported(&rig, wrapped()).await, true);
        let Request::Import(import) = &mut request else { panic!("another request") };
        import.key_wrap_type = wrap_type;
        rig.does(&request).await.unwrap();
        let block = export(&rig, &id).await.object.symmetric_key.unwrap().key_block;
        let open = wrap_type == Some(KeyWrapType::NotWrapped);
        assert_eq!(
            (block.key_wrapping_data.is_none(), block.material.expose() == [3; 32]),
            (open, open),
            "{wrap_type:?}"
        );
        let mut plain = key(&id, 3, vec![]);
        plain.replace_existing = Some(true);
        rig.does(&Request::Import(plain)).await.unwrap();
    }
    let mut request = back(&id, exported(&rig, wrapped()).await, true);
    let Request::Import(import) = &mut request else { panic!("another request") };
    import.key_wrap_type = Some(KeyWrapType::NotWrapped);
    rig.does(&revoke(&kek, RevocationReasonCode::Superseded)).await.unwrap();
    rig.does(&destroy(&kek)).await.unwrap();
    assert!(rig.reason(&request).await.is_some(), "the wrapping key is gone");
    assert_eq!(rig.reason(&get(&id)).await, None, "and the object stands");
}

#[tokio::test]
async fn no_import_is_undone() {
    let rig = Rig::new().await;
    let header =
        RequestHeader { batch_error_continuation: Some(BatchErrorContinuation::Undo), ..RequestHeader::of(V1_4) };
    let reasons = rig.batch(header, &[create(), Request::Import(key(FREE, 1, vec![]))]).await;
    assert_eq!(reasons.last(), Some(&Some(ResultReason::FeatureNotSupported)));
    assert_eq!(rig.reason(&get(FREE)).await, Some(ResultReason::ItemNotFound));
}
