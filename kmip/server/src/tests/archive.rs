//! Archive and Recover: what is archived is found and recovered, and nothing else is done with it.

use super::*;

pub(super) fn archive(id: &str) -> Request<'_> {
    Request::Archive(ops::archive::Request { unique_identifier: Some(id) })
}

fn recover(id: &str) -> Request<'_> {
    Request::Recover(ops::recover::Request { unique_identifier: Some(id) })
}

async fn located(rig: &Rig, storage_status_mask: Option<i32>) -> Vec<String> {
    let request = ops::locate::Request { storage_status_mask, ..ops::locate::Request::of(vec![]) };
    let got = rig.does(&Request::Locate(request)).await.unwrap();
    let Answer::Locate(answer) = got.answer() else { panic!("another answer") };
    answer.unique_identifiers.iter().map(ToString::to_string).collect()
}

/// The Archive Date and the Last Change Date.
async fn dates(rig: &Rig, id: &str) -> Vec<(String, i64)> {
    let attribute_names = vec!["Archive Date", "Last Change Date"];
    let request = ops::get_attributes::Request { unique_identifier: Some(id), attribute_names };
    let got = rig.does(&Request::GetAttributes(request)).await.unwrap();
    let Answer::GetAttributes(answer) = got.answer() else { panic!("another answer") };
    let date = |one: &Attribute| match one.value {
        AttributeValue::DateTime(date) => (one.name.to_string(), date - START_S),
        _ => panic!("no date"),
    };
    answer.attributes.iter().map(date).collect()
}

#[tokio::test]
async fn nothing_but_a_recovery_is_done_with_what_is_archived() {
    let rig = Rig::new().await;
    let id = active_key(&rig).await;
    let keys = rig.table.keys_of(rig.caller.tenant());
    rig.clock.forward_s(10);
    rig.does(&archive(&id)).await.unwrap();
    assert_eq!(rig.table.keys_of(rig.caller.tenant()), keys - 1, "its key has left locked memory");
    let name = Attribute::new(StandardAttribute::Name, AttributeValue::name("one"));
    let add = Request::AddAttribute(ops::add_attribute::Request { unique_identifier: Some(&id), attribute: name });
    let list = Request::GetAttributeList(ops::get_attribute_list::Request { unique_identifier: Some(&id) });
    let lease = Request::ObtainLease(ops::obtain_lease::Request { unique_identifier: Some(&id) });
    let revoke = revoke(&id, RevocationReasonCode::KeyCompromise);
    let operations =
        [get(&id), state_of(&id), encrypt(&id, gcm(), b"text"), add, list, lease, revoke, destroy(&id), archive(&id)];
    let mut done = vec![];
    for operation in &operations {
        if rig.reason(operation).await != Some(ResultReason::ObjectArchived) {
            done.push(operation.operation());
        }
    }
    assert_eq!(done, []);
    rig.clock.forward_s(10);
    rig.does(&recover(&id)).await.unwrap();
    assert_eq!(dates(&rig, &id).await, [("Last Change Date".to_owned(), 20)]);
    assert!(rig.does(&encrypt(&id, gcm(), b"text")).await.is_ok());
    rig.clock.forward_s(10);
    rig.does(&recover(&id)).await.unwrap();
    assert_eq!(dates(&rig, &id).await, [("Last Change Date".to_owned(), 20)], "it was on-line");
    assert_eq!(rig.reason(&recover("1")).await, Some(ResultReason::ItemNotFound));
}

#[tokio::test]
async fn locate_finds_what_its_mask_says() {
    let rig = Rig::new().await;
    let (archived, online) = (active_key(&rig).await, active_key(&rig).await);
    rig.does(&archive(&archived)).await.unwrap();
    assert_eq!(located(&rig, None).await, [online.as_str()]);
    assert_eq!(located(&rig, Some(1)).await, [online.as_str()]);
    assert_eq!(located(&rig, Some(2)).await, [archived.as_str()]);
    assert_eq!(located(&rig, Some(3)).await.len(), 2);
    let date = Attribute::new(StandardAttribute::ArchiveDate, AttributeValue::DateTime(START_S));
    let by_date = ops::locate::Request { storage_status_mask: Some(2), ..ops::locate::Request::of(vec![date]) };
    let got = rig.does(&Request::Locate(by_date)).await.unwrap();
    assert!(matches!(got.answer(), Answer::Locate(answer) if answer.unique_identifiers == [archived.as_str()]));
}

#[tokio::test]
async fn an_archive_is_undone_with_its_batch_and_a_destroyed_object_has_none() {
    let rig = Rig::new().await;
    let id = active_key(&rig).await;
    let undo =
        || RequestHeader { batch_error_continuation: Some(BatchErrorContinuation::Undo), ..RequestHeader::of(V1_4) };
    let outcomes = rig.batch(undo(), &[archive(&id), encrypt(&id, gcm(), b"text")]).await;
    assert_eq!(outcomes[1], Some(ResultReason::ObjectArchived));
    assert!(rig.does(&get(&id)).await.is_ok(), "it was undone");
    assert_eq!(rig.batch(undo(), &[archive(&id), create()]).await, [None, None]);
    assert_eq!(rig.reason(&get(&id)).await, Some(ResultReason::ObjectArchived));
    let gone = rig.does(&create()).await.unwrap().id();
    rig.does(&destroy(&gone)).await.unwrap();
    assert_eq!(rig.reason(&archive(&gone)).await, Some(ResultReason::PermissionDenied));
}
