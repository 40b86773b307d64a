//! Batches with Undo: all of a batch or nothing, seen by nobody before it is durable.

use kmip::message::AnswerItem;
use kmip::tables::ResultStatus;

use super::*;

const SUCCESS: ResultStatus = ResultStatus::Success;
const UNDONE: ResultStatus = ResultStatus::OperationUndone;
const FAILED: ResultStatus = ResultStatus::OperationFailed;

fn undo() -> RequestHeader<'static> {
    RequestHeader { batch_error_continuation: Some(BatchErrorContinuation::Undo), ..RequestHeader::of(V1_4) }
}

/// What each answered item says, and its Unique Identifier where there is one.
async fn ask(rig: &Rig, requests: &[Request<'_>]) -> Vec<(ResultStatus, Option<ResultReason>, Option<String>)> {
    let frame = rig.ask(&rig.caller, &client::batch(undo(), requests)).await;
    let message = AnswerMessage::read(&frame, V1_4, &ttlv::Limits::ANSWER).unwrap();
    let told = |item: &AnswerItem<'_>| {
        let code = item.operation.map_or(0, |code| code.0);
        let id = match item.outcome(code, V1_4).unwrap() {
            Ok(Answer::Create(answer)) => Some(answer.unique_identifier.to_owned()),
            Ok(_) => None,
            Err(_) => {
                assert!(item.payload.is_none(), "what was undone gives nothing out");
                None
            }
        };
        (item.result_status, item.result_reason.and_then(|code| ResultReason::from_code(code.0)), id)
    };
    message.items.iter().map(told).collect()
}

fn statuses<T>(told: &[(ResultStatus, Option<ResultReason>, T)]) -> Vec<ResultStatus> {
    told.iter().map(|one| one.0).collect()
}

fn everything() -> Request<'static> {
    Request::Locate(ops::locate::Request::of(vec![]))
}

fn by_name(name: &str) -> Request<'static> {
    let name = Attribute::new(StandardAttribute::Name, AttributeValue::name(name));
    Request::Locate(ops::locate::Request::of(vec![name]))
}

fn named(name: &str) -> Request<'static> {
    create_with(&[(StandardAttribute::Name, AttributeValue::name(name))])
}

async fn located(rig: &Rig, request: &Request<'_>) -> usize {
    let got = rig.does(request).await.unwrap();
    let Answer::Locate(located) = got.answer() else { panic!("another answer") };
    located.unique_identifiers.len()
}

async fn state(rig: &Rig, id: &str) -> AttributeValue {
    let got = rig.does(&state_of(id)).await.unwrap();
    let Answer::GetAttributes(answer) = got.answer() else { panic!("another answer") };
    answer.attributes[0].value.clone()
}

#[tokio::test]
async fn a_batch_that_succeeds_is_there_afterwards() {
    let rig = Rig::new().await;
    let no_id = || Request::Get(ops::get::Request { unique_identifier: None, ..ops::get::Request::of("") });
    let told = ask(&rig, &[named("one"), activate(None), no_id(), by_name("one"), named("two")]).await;
    assert_eq!(statuses(&told), [SUCCESS; 5]);
    let id = told[0].2.clone().unwrap();
    assert_eq!(state(&rig, &id).await, AttributeValue::Enumeration(2));
    assert!(rig.does(&encrypt(&id, gcm(), b"text")).await.is_ok(), "the key in the table is active");
    assert_eq!(located(&rig, &everything()).await, 2);
}

#[tokio::test]
async fn of_a_batch_that_fails_nothing_is_left() {
    let rig = Rig::new().await;
    let old = active_key(&rig).await;
    let (revoke, text) = (revoke(&old, RevocationReasonCode::KeyCompromise), encrypt(&old, gcm(), b"text"));
    let before = rig.table.keys_of(rig.caller.tenant());
    let told = ask(&rig, &[named("one"), text, revoke, destroy(&old), get("1"), named("two")]).await;
    assert_eq!(statuses(&told), [UNDONE, UNDONE, UNDONE, UNDONE, FAILED]);
    assert_eq!(told[4].1, Some(ResultReason::ItemNotFound));
    assert_eq!(state(&rig, &old).await, AttributeValue::Enumeration(2));
    assert!(rig.does(&encrypt(&old, gcm(), b"text")).await.is_ok());
    assert_eq!(located(&rig, &everything()).await, 1);
    assert_eq!(rig.table.keys_of(rig.caller.tenant()), before, "the new key is gone from the table");
    assert!(rig.does(&named("one")).await.is_ok(), "its name is free");
}

#[tokio::test]
async fn an_item_sees_what_those_before_it_did() {
    let rig = Rig::new().await;
    let old = active_key(&rig).await;
    let stop = || revoke(&old, RevocationReasonCode::CessationOfOperation);
    let told = ask(&rig, &[stop(), encrypt(&old, gcm(), b"text")]).await;
    assert_eq!(statuses(&told), [UNDONE, FAILED], "it is deactivated");
    let told = ask(&rig, &[stop(), destroy(&old), get(&old)]).await;
    assert_eq!(statuses(&told), [UNDONE, UNDONE, FAILED], "its key is gone");
    assert!(rig.does(&get(&old)).await.is_ok());
    let told = ask(&rig, &[named("one"), named("one")]).await;
    assert_eq!(statuses(&told), [UNDONE, FAILED], "the name is taken");
    let told = ask(&rig, &[stop(), destroy(&old)]).await;
    assert_eq!(statuses(&told), [SUCCESS, SUCCESS]);
    assert_eq!(rig.reason(&get(&old)).await, Some(ResultReason::ItemNotFound));
}

#[tokio::test]
async fn the_audit_says_what_was_undone() {
    let rig = Rig::new().await;
    let old = active_key(&rig).await;
    ask(&rig, &[encrypt(&old, gcm(), b"text"), get("1")]).await;
    let (_, log) = rig.audit().await;
    let line = log.lines().find(|line| line.contains(r#""op":"Encrypt""#)).unwrap();
    assert!(line.contains(r#""outcome":"Operation Undone""#) && line.contains(&old), "{line}");
}

#[tokio::test]
async fn a_stopped_tenant_s_batch_is_not_done() {
    let rig = Rig::new().await;
    rig.table.kill(rig.caller.tenant(), Stop::Killed).unwrap();
    let told = ask(&rig, &[create(), create()]).await;
    assert_eq!(told, [(FAILED, Some(ResultReason::ItemNotFound), None)]);
}

#[tokio::test]
async fn parts_of_a_stream_cannot_be_undone() {
    let rig = Rig::new().await;
    let old = active_key(&rig).await;
    let Request::Encrypt(first) = encrypt(&old, gcm(), b"text") else { panic!("another request") };
    let first = Request::Encrypt(ops::encrypt::Request { init_indicator: Some(true), ..first });
    let told = ask(&rig, &[create(), first]).await;
    assert_eq!(told[1].1, Some(ResultReason::FeatureNotSupported));
}

/// An operation that took the server's own keyring would escape the draft.
#[test]
fn operations_have_no_way_to_keys_past_their_turn() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ops");
    for file in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let text = std::fs::read_to_string(file.path()).unwrap();
        assert!(!text.contains("server.keyring()"), "{}: use turn.keyring", file.path().display());
    }
}

#[tokio::test]
async fn of_two_batches_that_want_one_name_one_gets_it() {
    let rig = Rig::new().await;
    rig.does(&create()).await.unwrap();
    let requests = [named("one"), create()];
    let (first, second) = tokio::join!(ask(&rig, &requests), ask(&rig, &requests));
    let mut both = [statuses(&first), statuses(&second)];
    both.sort_by_key(Vec::len);
    assert_eq!(both, [vec![FAILED], vec![SUCCESS, SUCCESS]]);
    assert_eq!(located(&rig, &by_name("one")).await, 1);
}
