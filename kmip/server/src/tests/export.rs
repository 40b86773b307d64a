//! Export on the wire: the object, its attributes, and what is left of a destroyed one.

use super::*;

fn export(id: &str) -> Request<'_> {
    Request::Export(ops::export::Request::of(id))
}

fn value(attributes: &[Attribute], name: StandardAttribute) -> Option<AttributeValue> {
    attributes.iter().find(|one| one.name == name.into()).map(|one| one.value.clone())
}

#[tokio::test]
async fn an_object_leaves_with_every_attribute() {
    let rig = Rig::new().await;
    let id = rig.does(&register_key(vec![3; 32])).await.unwrap().id();
    let got = rig.does(&export(&id)).await.unwrap();
    let Answer::Export(answer) = got.answer() else { panic!("another answer") };
    assert_eq!((answer.object_type, answer.unique_identifier), (ObjectType::SymmetricKey, id.as_str()));
    assert_eq!(answer.symmetric_key.unwrap().key_block.material.expose(), [3; 32]);
    let all = ops::get_attributes::Request { unique_identifier: Some(&id), attribute_names: vec![] };
    let told = rig.does(&Request::GetAttributes(all)).await.unwrap();
    let Answer::GetAttributes(told) = told.answer() else { panic!("another answer") };
    assert_eq!(answer.attributes, told.attributes);
    assert_eq!(value(&answer.attributes, StandardAttribute::Fresh), Some(AttributeValue::Boolean(false)));
    assert_eq!(
        rig.call(&rig.caller, V1_2, &export(&id)).await.err().map(|one| one.reason),
        Some(ResultReason::OperationNotSupported)
    );
}

#[tokio::test]
async fn what_get_refuses_export_refuses_and_a_destroyed_object_has_attributes_alone() {
    let rig = Rig::new().await;
    let kept =
        rig.does(&create_with(&[(StandardAttribute::Extractable, AttributeValue::Boolean(false))])).await.unwrap().id();
    assert_eq!(rig.reason(&export(&kept)).await, Some(ResultReason::NotExtractable));
    let foreign = caller_of(tenant(1), "invoices");
    let reason = rig.call(&foreign, V1_4, &export(&kept)).await.err().map(|one| one.reason);
    assert_eq!(reason, Some(ResultReason::ItemNotFound));
    rig.does(&destroy(&kept)).await.unwrap();
    let got = rig.does(&export(&kept)).await.unwrap();
    let Answer::Export(answer) = got.answer() else { panic!("another answer") };
    assert!(answer.symmetric_key.is_none());
    let state = AttributeValue::Enumeration(kmip::State::Destroyed.code());
    assert_eq!(value(&answer.attributes, StandardAttribute::State), Some(state));
}

#[tokio::test]
async fn export_leaves_its_object_to_the_items_after_it() {
    let rig = Rig::new().await;
    let (one, other) = (active_key(&rig).await, active_key(&rig).await);
    let next = Request::Destroy(ops::destroy::Request { unique_identifier: None });
    let reasons = rig.batch(RequestHeader::of(V1_4), &[export(&one), activate(Some(&other))]).await;
    assert_eq!(reasons.len(), 2);
    let reasons = rig.batch(RequestHeader::of(V1_4), &[export(&one), next]).await;
    assert_eq!(
        reasons,
        [None, Some(ResultReason::PermissionDenied)],
        "an active object is not destroyed; without it none is found"
    );
}
