//! The three operations as clients send them, against a real store.

use custody::key_table::Stop;
use kmip::{
    ResultReason, TemplateAttribute, client,
    message::{AnswerMessage, RequestHeader},
    ops::{self, Answer, Request},
    tables::CryptographicAlgorithm,
    ttlv,
};

use super::{at, custom, standard};
use crate::{
    caller::tests::{caller_of, tenant},
    rig::{Rig, START_S, V1_0, V1_4},
};
use kmip::{
    Attribute, AttributeValue,
    tables::{ObjectType, StandardAttribute},
};

pub(super) fn add(id: &str, attribute: Attribute) -> Request<'_> {
    Request::AddAttribute(ops::add_attribute::Request { unique_identifier: Some(id), attribute })
}

pub(super) fn modify(id: &str, attribute: Attribute) -> Request<'_> {
    Request::ModifyAttribute(ops::modify_attribute::Request { unique_identifier: Some(id), attribute })
}

pub(super) fn delete<'a>(id: &'a str, attribute_name: &'a str, attribute_index: Option<i32>) -> Request<'a> {
    Request::DeleteAttribute(ops::delete_attribute::Request {
        unique_identifier: Some(id),
        attribute_name,
        attribute_index,
    })
}

pub(super) fn create(extra: Vec<Attribute>) -> Request<'static> {
    let mut attributes = vec![
        standard(
            StandardAttribute::CryptographicAlgorithm,
            AttributeValue::Enumeration(CryptographicAlgorithm::Aes.code()),
        ),
        standard(StandardAttribute::CryptographicLength, AttributeValue::Integer(256)),
        standard(StandardAttribute::CryptographicUsageMask, AttributeValue::Integer(12)),
    ];
    attributes.extend(extra);
    let template_attribute = TemplateAttribute { template_names: vec![], attributes };
    Request::Create(ops::create::Request { object_type: ObjectType::SymmetricKey, template_attribute })
}

fn name(text: &str) -> Attribute {
    standard(StandardAttribute::Name, AttributeValue::name(text))
}

pub(super) fn date(name: StandardAttribute, seconds: i64) -> Attribute {
    standard(name, AttributeValue::DateTime(START_S + seconds))
}

/// The attribute that the answer names.
pub(super) async fn named(rig: &Rig, request: &Request<'_>) -> Result<Attribute, ResultReason> {
    let got = rig.does(request).await.map_err(|failure| failure.reason)?;
    match got.answer() {
        Answer::AddAttribute(answer) => Ok(answer.attribute),
        Answer::ModifyAttribute(answer) => Ok(answer.attribute),
        Answer::DeleteAttribute(answer) => Ok(answer.attribute),
        _ => panic!("another answer"),
    }
}

pub(super) async fn attributes(rig: &Rig, id: &str, names: &[&str]) -> Vec<Attribute> {
    let attribute_names = names.to_vec();
    let request = Request::GetAttributes(ops::get_attributes::Request { unique_identifier: Some(id), attribute_names });
    let got = rig.does(&request).await.unwrap();
    let Answer::GetAttributes(answer) = got.answer() else { panic!("another answer") };
    answer.attributes
}

async fn state(rig: &Rig, id: &str) -> AttributeValue {
    attributes(rig, id, &["State"]).await.remove(0).value
}

fn is(state: kmip::State) -> AttributeValue {
    AttributeValue::Enumeration(state.code())
}

/// SKFF-M-9: add, modify and delete custom attributes; each answer names the attribute as it is, or was.
#[tokio::test]
async fn custom_attributes_as_the_foundry_s_clients_use_them() {
    let rig = Rig::new().await;
    let id = rig.does(&create(vec![])).await.unwrap().id();
    let one = |value| custom("x-attribute1", value);
    assert_eq!(named(&rig, &add(&id, one("Value1"))).await, Ok(one("Value1")));
    assert_eq!(named(&rig, &modify(&id, one("ModifiedValue1"))).await, Ok(one("ModifiedValue1")));
    assert_eq!(attributes(&rig, &id, &["x-attribute1"]).await, [one("ModifiedValue1")]);
    assert_eq!(named(&rig, &delete(&id, "x-attribute1", None)).await, Ok(one("ModifiedValue1")));
    assert!(attributes(&rig, &id, &["x-attribute1"]).await.is_empty());
    let absent = Err(ResultReason::ItemNotFound);
    assert_eq!(named(&rig, &delete(&id, "x-attribute1", None)).await, absent);
    assert_eq!(named(&rig, &delete(&id, "No Such Attribute", None)).await, absent);
    assert_eq!(named(&rig, &delete(&id, "State", None)).await, Err(ResultReason::PermissionDenied));
}

/// TL-M-3: a Locate finds the object that the Modify Attributes after it change.
#[tokio::test]
async fn an_object_that_was_found_is_changed_without_its_id() {
    let rig = Rig::new().await;
    let id = rig.does(&create(vec![custom("x-b", "0"), custom("x-ID", "tape")])).await.unwrap().id();
    let locate = Request::Locate(ops::locate::Request::of(vec![custom("x-ID", "tape")]));
    let change =
        |attribute| Request::ModifyAttribute(ops::modify_attribute::Request { unique_identifier: None, attribute });
    let header = RequestHeader { batch_order: Some(true), ..RequestHeader::of(V1_4) };
    assert_eq!(rig.batch(header, &[locate, change(custom("x-b", "1"))]).await, [None, None]);
    assert_eq!(attributes(&rig, &id, &["x-b"]).await, [custom("x-b", "1")]);
}

#[tokio::test]
async fn instances_keep_their_index() {
    let rig = Rig::new().await;
    let group = |text: &str| standard(StandardAttribute::ObjectGroup, AttributeValue::Text(text.to_owned()));
    let id = rig.does(&create(vec![group("a"), group("b"), group("c")])).await.unwrap().id();
    assert_eq!(named(&rig, &delete(&id, "Object Group", Some(1))).await, Ok(at(1, group("b"))));
    assert_eq!(attributes(&rig, &id, &["Object Group"]).await, [group("a"), at(2, group("c"))]);
    assert_eq!(named(&rig, &add(&id, group("d"))).await, Ok(at(1, group("d"))));
}

#[tokio::test]
async fn a_name_is_taken_by_one_object_at_a_time() {
    let rig = Rig::new().await;
    let one = rig.does(&create(vec![name("one")])).await.unwrap().id();
    let two = rig.does(&create(vec![name("two")])).await.unwrap().id();
    let taken = Err(ResultReason::IllegalOperation);
    assert_eq!(named(&rig, &add(&two, name("one"))).await, taken);
    assert_eq!(named(&rig, &modify(&two, name("one"))).await, taken);
    assert_eq!(named(&rig, &modify(&two, name("two"))).await, Ok(name("two")), "its own");
    named(&rig, &delete(&one, "Name", None)).await.unwrap();
    assert_eq!(named(&rig, &modify(&two, name("one"))).await, Ok(name("one")), "it is free again");
    let located = Request::Locate(ops::locate::Request::of(vec![name("one")]));
    let got = rig.does(&located).await.unwrap();
    let Answer::Locate(located) = got.answer() else { panic!("another answer") };
    assert_eq!(located.unique_identifiers, [two.as_str()], "found under its new name");
    assert_eq!(rig.reason(&create(vec![name("two")])).await, None, "and no longer under its old one");
    let other = caller_of(tenant(2), "orders");
    let theirs = rig.call(&other, V1_4, &create(vec![])).await.unwrap().id();
    assert!(rig.call(&other, V1_4, &add(&theirs, name("one"))).await.is_ok(), "another tenant's names are its own");
}

/// Between the look whether a name is free and the change that takes it, nobody else of the system takes a name.
#[tokio::test]
async fn who_wants_a_name_waits_for_whoever_came_first() {
    let rig = Rig::new().await;
    let id = rig.does(&create(vec![name("own")])).await.unwrap().id();
    for request in [add(&id, name("wanted")), modify(&id, name("renamed"))] {
        let first = rig.server.naming(rig.caller.tenant(), rig.caller.system()).await;
        let mut waiting = std::pin::pin!(rig.reason(&request));
        let others = async {
            for _ in 0..10 {
                rig.does(&create(vec![])).await.unwrap();
            }
        };
        tokio::select! {
            biased;
            outcome = &mut waiting => panic!("{} did not wait: {outcome:?}", request.operation()),
            () = others => {}
        }
        drop(first);
        assert_eq!(waiting.await, None);
    }
}

#[tokio::test]
async fn dates_that_are_changed_move_the_key() {
    use StandardAttribute as A;
    let rig = Rig::new().await;
    let id = rig.does(&create(vec![])).await.unwrap().id();
    rig.clock.forward_s(10);
    named(&rig, &add(&id, date(A::ActivationDate, 10))).await.unwrap();
    assert_eq!(state(&rig, &id).await, is(kmip::State::Active));
    assert_eq!(attributes(&rig, &id, &["Last Change Date"]).await, [date(A::LastChangeDate, 10)]);
    // SKLC-M-3: once Active, the Activation Date is fixed.
    let denied = Err(ResultReason::PermissionDenied);
    assert_eq!(named(&rig, &modify(&id, date(A::ActivationDate, 20))).await, denied);
    rig.clock.forward_s(10);
    named(&rig, &add(&id, date(A::DeactivationDate, 20))).await.unwrap();
    assert_eq!(state(&rig, &id).await, is(kmip::State::Deactivated));
    assert_eq!(attributes(&rig, &id, &["Last Change Date"]).await, [date(A::LastChangeDate, 20)]);
    let early = date(A::ProcessStartDate, -1);
    assert_eq!(
        rig.reason(&create(vec![date(A::ActivationDate, 0), early])).await,
        Some(ResultReason::InvalidField),
        "Create holds to the same rules"
    );
}

#[tokio::test]
async fn a_key_that_was_narrowed_does_not_leave() {
    let rig = Rig::new().await;
    let boolean = |name, on| standard(name, AttributeValue::Boolean(on));
    let id = rig.does(&create(vec![])).await.unwrap().id();
    let get = Request::Get(ops::get::Request::of(&id));
    assert_eq!(rig.reason(&get).await, None);
    named(&rig, &modify(&id, boolean(StandardAttribute::Extractable, false))).await.unwrap();
    assert_eq!(rig.reason(&get).await, Some(ResultReason::NotExtractable), "at once");
    let back = modify(&id, boolean(StandardAttribute::Extractable, true));
    assert_eq!(rig.reason(&back).await, Some(ResultReason::PermissionDenied));
    assert_eq!(rig.reason(&get).await, Some(ResultReason::NotExtractable));
}

#[tokio::test]
async fn nothing_is_changed_if_its_answer_cannot_be_sent() {
    let rig = Rig::new().await;
    let comment = |text: &str| standard(StandardAttribute::Comment, AttributeValue::Text(text.repeat(900)));
    let id = rig.does(&create(vec![comment("a")])).await.unwrap().id();
    let tight = || RequestHeader { maximum_response_size: Some(1_000), ..RequestHeader::of(V1_4) };
    let too_large = Some(ResultReason::ResponseTooLarge);
    let group = standard(StandardAttribute::ObjectGroup, AttributeValue::Text("g".repeat(900)));
    for request in [add(&id, group), modify(&id, comment("b")), delete(&id, "Comment", None)] {
        let batch = std::slice::from_ref(&request);
        assert_eq!(rig.batch(tight(), batch).await, [too_large], "{}", request.operation());
    }
    assert_eq!(attributes(&rig, &id, &["Comment", "Object Group"]).await, [comment("a")]);
    let roomy = RequestHeader { maximum_response_size: Some(2_000), ..RequestHeader::of(V1_4) };
    let frame = rig.ask(&rig.caller, &client::batch(roomy, &[modify(&id, comment("b"))])).await;
    assert!(frame.len() <= 2_000);
    let message = AnswerMessage::read(&frame, V1_4, &ttlv::Limits::ANSWER).unwrap();
    assert!(message.items[0].result_reason.is_none());
}

#[tokio::test]
async fn stops_strangers_policy_and_audit_hold_for_them_too() {
    let rig = Rig::new().await;
    let id = rig.does(&create(vec![custom("x-a", "1")])).await.unwrap().id();
    let requests = || [add(&id, custom("x-b", "1")), modify(&id, custom("x-a", "2")), delete(&id, "x-a", None)];
    for other in [caller_of(tenant(1), "ledger"), caller_of(tenant(2), "orders")] {
        for request in requests() {
            let failure = rig.call(&other, V1_4, &request).await.unwrap_err();
            assert_eq!(failure.reason, ResultReason::ItemNotFound, "{}", request.operation());
        }
    }
    for (stop, reason) in [
        (Stop::Suspended, ResultReason::PermissionDenied),
        (Stop::Killed, ResultReason::ItemNotFound),
        (Stop::LeaseOver, ResultReason::GeneralFailure),
    ] {
        rig.table.fence(&tenant(1), stop);
        for request in requests() {
            assert_eq!(rig.reason(&request).await, Some(reason), "{stop:?} {}", request.operation());
        }
        rig.table.lift(&tenant(1), stop);
    }
    for request in requests() {
        rig.does(&request).await.unwrap();
    }
    let (_, text) = rig.audit().await;
    for operation in ["Add Attribute", "Modify Attribute", "Delete Attribute"] {
        let record = format!(r#""op":"{operation}","key":"{id}","outcome":"Success""#);
        assert!(text.contains(&record), "{record} in {text}");
    }
    rig.policies.remove(&tenant(1));
    for request in requests() {
        assert_eq!(rig.reason(&request).await, Some(ResultReason::PermissionDenied), "{}", request.operation());
    }
}

#[tokio::test]
async fn an_older_client_changes_what_its_version_knows() {
    let rig = Rig::new().await;
    let id = rig.does(&create(vec![])).await.unwrap().id();
    let contact = standard(StandardAttribute::ContactInformation, AttributeValue::Text("ops".to_owned()));
    assert!(rig.call(&rig.caller, V1_0, &add(&id, contact)).await.is_ok());
    let later = rig.call(&rig.caller, V1_0, &delete(&id, "Sensitive", None)).await.unwrap_err();
    assert_eq!(later.reason, ResultReason::ItemNotFound, "1.0 has no attribute Sensitive");
}
