//! Keys whose Key Value is elsewhere (KMIP 1.4 §3.41, §3.42): told of and found, never used.

use kmip::{
    Attribute, AttributeValue, KeyBlock, KeyMaterial, KeyValueLocation, ManagedObject, PublicKey, ResultReason,
    SymmetricKey,
    message::RequestHeader,
    ops::{self, Answer, Request},
    tables::{
        BatchErrorContinuation, CryptographicAlgorithm, KeyFormatType, KeyValueLocationType, RevocationReasonCode,
        StandardAttribute,
    },
};

use super::{activate, active_key, create_with, destroy, encrypt, gcm, get, revoke, state, template};
use crate::rig::{Rig, V1_0, V1_2, V1_4};

const NOT_PRESENT: Option<ResultReason> = Some(ResultReason::KeyValueNotPresent);
const INVALID: Option<ResultReason> = Some(ResultReason::InvalidField);

fn block(material: KeyMaterial) -> KeyBlock {
    KeyBlock {
        cryptographic_algorithm: Some(CryptographicAlgorithm::Aes),
        cryptographic_length: Some(256),
        ..KeyBlock::new(KeyFormatType::Raw, material)
    }
}

fn register(key_block: KeyBlock, extra: &[(StandardAttribute, AttributeValue)]) -> Request<'static> {
    let mask = (StandardAttribute::CryptographicUsageMask, AttributeValue::Integer(12));
    let all = template(&[&[mask], extra].concat());
    Request::Register(ops::register::Request::of(ManagedObject::SymmetricKey(SymmetricKey { key_block }), all))
}

fn keyless(extra: &[(StandardAttribute, AttributeValue)]) -> Request<'static> {
    register(block(KeyMaterial::absent()), extra)
}

fn location(place: &str) -> (StandardAttribute, AttributeValue) {
    let (value, kind) = (place.to_owned(), KeyValueLocationType::UninterpretedTextString);
    (StandardAttribute::KeyValueLocation, AttributeValue::KeyValueLocation(KeyValueLocation { value, kind }))
}

async fn found(rig: &Rig, (name, value): (StandardAttribute, AttributeValue)) -> Vec<String> {
    let request = ops::locate::Request::of(vec![Attribute::new(name, value)]);
    let got = rig.does(&Request::Locate(request)).await.unwrap();
    let Answer::Locate(answer) = got.answer() else { panic!("another answer") };
    answer.unique_identifiers.into_iter().map(str::to_owned).collect()
}

async fn told(rig: &Rig, id: &str, name: &str) -> Vec<AttributeValue> {
    let request = ops::get_attributes::Request { unique_identifier: Some(id), attribute_names: vec![name] };
    let got = rig.does(&Request::GetAttributes(request)).await.unwrap();
    let Answer::GetAttributes(answer) = got.answer() else { panic!("another answer") };
    answer.attributes.into_iter().map(|one| one.value).collect()
}

fn add(id: &str, (name, value): (StandardAttribute, AttributeValue)) -> Request<'_> {
    let attribute = Attribute::new(name, value);
    Request::AddAttribute(ops::add_attribute::Request { unique_identifier: Some(id), attribute })
}

#[tokio::test]
async fn a_key_without_its_key_value_is_told_of_and_found() {
    let rig = Rig::new().await;
    active_key(&rig).await;
    let id = rig.does(&keyless(&[location("shelf 7")])).await.unwrap().id();
    let absent = (StandardAttribute::KeyValuePresent, AttributeValue::Boolean(false));
    assert_eq!(told(&rig, &id, "Key Value Present").await, std::slice::from_ref(&absent.1));
    assert_eq!(told(&rig, &id, "Key Value Location").await, [location("shelf 7").1]);
    assert!(told(&rig, &id, "Digest").await.is_empty());
    assert_eq!(found(&rig, absent).await, std::slice::from_ref(&id));
    assert_eq!(found(&rig, location("shelf 7")).await, std::slice::from_ref(&id));
    rig.does(&add(&id, location("shelf 8"))).await.unwrap();
    assert_eq!(found(&rig, location("shelf 8")).await, std::slice::from_ref(&id));
    rig.does(&activate(Some(&id))).await.unwrap();
    assert_eq!(state(&rig, &id).await, kmip::State::Active);
}

#[tokio::test]
async fn it_is_neither_handed_out_nor_used() {
    let rig = Rig::new().await;
    let id = rig.does(&keyless(&[])).await.unwrap().id();
    rig.does(&activate(Some(&id))).await.unwrap();
    let re_key = ops::re_key::Request { unique_identifier: Some(&id), offset: None, template_attribute: None };
    let export = Request::Export(ops::get::Request::of(&id));
    for request in [get(&id), encrypt(&id, gcm(), b"text"), Request::ReKey(re_key), export] {
        assert_eq!(rig.reason(&request).await, NOT_PRESENT, "{:?}", request.operation());
    }
    rig.does(&revoke(&id, RevocationReasonCode::CessationOfOperation)).await.unwrap();
    rig.does(&destroy(&id)).await.unwrap();
    assert_eq!(rig.reason(&get(&id)).await, Some(ResultReason::ItemNotFound));
}

#[tokio::test]
async fn what_is_left_out_must_be_told_and_what_is_here_is_nowhere_else() {
    let rig = Rig::new().await;
    let nameless = KeyBlock { cryptographic_length: None, ..block(KeyMaterial::absent()) };
    assert_eq!(rig.reason(&register(nameless, &[])).await, INVALID);
    assert_eq!(rig.reason(&register(block(KeyMaterial::new(vec![])), &[])).await, INVALID, "empty is not absent");
    let public = ManagedObject::PublicKey(PublicKey { key_block: block(KeyMaterial::absent()) });
    let public = Request::Register(ops::register::Request::of(public, template(&[])));
    assert_eq!(rig.reason(&public).await, INVALID);
    assert_eq!(rig.reason(&create_with(&[location("shelf 7")])).await, INVALID);
    let id = active_key(&rig).await;
    assert_eq!(rig.reason(&add(&id, location("shelf 7"))).await, INVALID);
    // Before 1.2 a Key Block has a Key Value.
    let old = rig.call(&rig.caller, V1_0, &keyless(&[])).await.err().map(|failure| failure.reason);
    assert_eq!(old, Some(ResultReason::InvalidMessage));
    rig.call(&rig.caller, V1_2, &keyless(&[])).await.unwrap();
}

#[tokio::test]
async fn a_batch_that_is_undone_leaves_none() {
    let rig = Rig::new().await;
    let undo =
        || RequestHeader { batch_error_continuation: Some(BatchErrorContinuation::Undo), ..RequestHeader::of(V1_4) };
    let place = location("shelf 7");
    rig.batch(undo(), &[keyless(std::slice::from_ref(&place)), get("1")]).await;
    assert!(found(&rig, place.clone()).await.is_empty());
    let outcomes = rig.batch(undo(), &[keyless(std::slice::from_ref(&place)), activate(None)]).await;
    assert_eq!(outcomes, [None, None]);
    let ids = found(&rig, place).await;
    assert_eq!(rig.reason(&get(&ids[0])).await, NOT_PRESENT);
    let used = [create_with(&[]), encrypt(&ids[0], gcm(), b"text")];
    assert_eq!(rig.batch(undo(), &used).await.last(), Some(&NOT_PRESENT));
}
