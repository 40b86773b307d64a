//! Operations that wait for the customer's KMS, polled and canceled.

use std::{
    pin::Pin,
    task::{Context, Waker},
};

use kmip::tables::{CancellationResult, DerivationMethod, ResultStatus, SplitKeyMethod};

use super::{
    certify::{ca, certified, certify, public_key, subject},
    *,
};
use crate::pending::PENDING_S;

/// A header that takes asynchronous answers.
fn later() -> RequestHeader<'static> {
    RequestHeader { asynchronous_indicator: Some(true), ..RequestHeader::of(V1_4) }
}

/// The answer's one item: its operation, status, reason and correlation value.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    operation: u32,
    status: ResultStatus,
    reason: Option<ResultReason>,
    name: Option<Vec<u8>>,
}

async fn ask_of(rig: &Rig, caller: &crate::caller::Caller, request: &Request<'_>) -> (Told, Vec<u8>) {
    let frame = rig.ask(caller, &client::batch(later(), std::slice::from_ref(request))).await;
    let message = AnswerMessage::read(&frame, V1_4, &ttlv::Limits::ANSWER).unwrap();
    let item = &message.items[0];
    let told = Told {
        operation: item.operation.map_or(0, |code| code.0),
        status: item.result_status,
        reason: item.result_reason.and_then(|code| ResultReason::from_code(code.0)),
        name: item.asynchronous_correlation_value.map(<[u8]>::to_vec),
    };
    (told, frame.clone())
}

async fn ask(rig: &Rig, request: &Request<'_>) -> Told {
    ask_of(rig, &rig.caller, request).await.0
}

fn poll(name: &[u8]) -> Request<'_> {
    Request::Poll(ops::poll::Request { asynchronous_correlation_value: name })
}

async fn cancel(rig: &Rig, name: &[u8]) -> CancellationResult {
    let request = Request::Cancel(ops::cancel::Request { asynchronous_correlation_value: name });
    let got = rig.does(&request).await.unwrap();
    let Answer::Cancel(answer) = got.answer() else { panic!("another answer") };
    assert_eq!(answer.asynchronous_correlation_value, name);
    answer.cancellation_result
}

/// The tenant's keys are gone from the table, and its KMS keeps everyone waiting.
fn cool(rig: &Rig) {
    rig.kms.hold(true);
    rig.table.kill(rig.caller.tenant(), Stop::L1Away).unwrap();
    rig.table.lift(rig.caller.tenant(), Stop::L1Away);
}

fn waits(asked: Pin<&mut impl Future>) -> bool {
    asked.poll(&mut Context::from_waker(Waker::noop())).is_pending()
}

/// A pending operation's name.
async fn begin(rig: &Rig, request: &Request<'_>) -> Vec<u8> {
    let told = ask(rig, request).await;
    assert_eq!((told.status, told.reason), (ResultStatus::OperationPending, None));
    told.name.unwrap()
}

/// Polls until the operation is not pending any more.
async fn polled(rig: &Rig, name: &[u8]) -> (Told, Vec<u8>) {
    loop {
        let (told, frame) = ask_of(rig, &rig.caller, &poll(name)).await;
        if told.status != ResultStatus::OperationPending {
            return (told, frame);
        }
        assert_eq!(told.name.as_deref(), Some(name));
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_operation_is_pending_while_the_kms_is_slow() {
    let rig = Rig::new().await;
    let id = active_key(&rig).await;
    cool(&rig);
    let get_it = begin(&rig, &get(&id)).await;
    let encrypt_it = begin(&rig, &encrypt(&id, gcm(), b"text")).await;
    let create_it = begin(&rig, &create()).await;
    assert_eq!(ask(&rig, &poll(&get_it)).await.status, ResultStatus::OperationPending);
    rig.kms.hold(false);
    // As it would have been answered at once (§4.28).
    let (told, frame) = polled(&rig, &get_it).await;
    assert_eq!((told.operation, told.status), (kmip::Operation::Get.code(), ResultStatus::Success));
    let answer = client::read_one(&frame, V1_4, kmip::Operation::Get).unwrap().unwrap();
    assert!(matches!(answer, Answer::Get(answer) if answer.unique_identifier == id));
    assert_eq!(polled(&rig, &encrypt_it).await.0.status, ResultStatus::Success);
    assert_eq!(polled(&rig, &create_it).await.0.status, ResultStatus::Success);
    assert_eq!(polled(&rig, &get_it).await.0.reason, Some(ResultReason::ItemNotFound), "it is answered once");
    assert_eq!(cancel(&rig, &get_it).await, CancellationResult::Completed);
    assert_eq!(ask(&rig, &get(&id)).await.status, ResultStatus::Success, "warm: at once");
    let (_, log) = rig.audit().await;
    let gets: Vec<_> = log.lines().filter(|line| line.contains(r#""op":"Get""#) && line.contains(&id)).collect();
    let outcomes = gets.iter().map(|line| line.contains("Operation Pending")).collect::<Vec<_>>();
    assert_eq!(outcomes, [true, false, false], "{gets:?}");
}

#[tokio::test]
async fn what_makes_a_new_key_of_what_is_here_is_pending_too() {
    let rig = Rig::new().await;
    ca(&rig).await;
    let bits = (StandardAttribute::CryptographicLength, AttributeValue::Integer(256));
    let pair = || ec::pair_of(CryptographicAlgorithm::Ecdsa, std::slice::from_ref(&bits));
    let [private, _] = ec::pair(&rig, &pair()).await;
    let (key, whole) = (active_key(&rig).await, active_key(&rig).await);
    let base = derive_key::password(&rig, b"password").await;
    let public = public_key(&rig, &rig.caller, &certify::pair(), &[]).await;
    let old = certified(&rig, &certify(&public, &subject("old"))).await;
    let parts_of = |id| split::split(id, 2, 2, SplitKeyMethod::Xor);
    let parts = split::parts(&rig, parts_of(None)).await;
    let requests = [
        pair(),
        re_key::re_key(&key),
        re_key::re_key_pair(&private, None),
        derive_key::ask(&[&base], DerivationMethod::Pbkdf2, derive_key::pbkdf2(b"salt", 1), 32),
        Request::CreateSplitKey(parts_of(None)),
        Request::CreateSplitKey(parts_of(Some(&whole))),
        split::join(&split::refs(&parts), &[]),
        certify(&public, &subject("new")),
        re_certify::renew(&old),
    ];
    cool(&rig);
    let mut names = vec![];
    for request in &requests {
        names.push((request.operation().code(), begin(&rig, request).await));
    }
    rig.kms.hold(false);
    for (operation, name) in names {
        let told = polled(&rig, &name).await.0;
        assert_eq!((told.operation, told.status, told.reason), (operation, ResultStatus::Success, None));
    }
}

#[tokio::test]
async fn what_is_canceled_is_not_done() {
    let rig = Rig::new().await;
    let id = active_key(&rig).await;
    cool(&rig);
    let name = begin(&rig, &create()).await;
    assert_eq!(cancel(&rig, &name).await, CancellationResult::Canceled);
    assert_eq!(cancel(&rig, &[0; 16]).await, CancellationResult::Unavailable);
    rig.kms.hold(false);
    let told = polled(&rig, &name).await.0;
    assert_eq!(told.reason, Some(ResultReason::OperationCanceledByRequester));
    let got = rig.does(&Request::Locate(ops::locate::Request::of(vec![]))).await.unwrap();
    let Answer::Locate(located) = got.answer() else { panic!("another answer") };
    assert_eq!(located.unique_identifiers, [id.as_str()]);
}

#[tokio::test]
async fn it_is_the_caller_s_alone_and_ends() {
    let rig = Rig::new().await;
    let id = active_key(&rig).await;
    cool(&rig);
    let name = begin(&rig, &get(&id)).await;
    rig.kms.hold(false);
    rig.server.keyring().warm_system(rig.caller.tenant(), rig.caller.system()).await.unwrap();
    for other in [caller_of(tenant(1), "billing"), caller_of(tenant(2), "orders")] {
        let told = ask_of(&rig, &other, &poll(&name)).await.0;
        assert_eq!(told.reason, Some(ResultReason::ItemNotFound));
    }
    rig.clock.forward_s(u64::try_from(PENDING_S).unwrap() + 1);
    assert_eq!(polled(&rig, &name).await.0.reason, Some(ResultReason::ItemNotFound));
}

#[tokio::test]
async fn a_stop_ends_it() {
    let rig = Rig::new().await;
    let id = active_key(&rig).await;
    cool(&rig);
    let name = begin(&rig, &get(&id)).await;
    rig.table.kill(rig.caller.tenant(), Stop::Killed).unwrap();
    rig.server.close_tenant(rig.caller.tenant());
    assert_eq!(rig.server.pendings().count(), 0, "the request is wiped");
    assert_eq!(ask(&rig, &poll(&name)).await.reason, Some(ResultReason::ItemNotFound));
    rig.table.lift(rig.caller.tenant(), Stop::Killed);
    rig.kms.hold(false);
    assert_eq!(polled(&rig, &name).await.0.reason, Some(ResultReason::ItemNotFound), "not after it is lifted");
}

#[tokio::test]
async fn who_takes_no_asynchronous_answer_waits() {
    let rig = Rig::new().await;
    let id = active_key(&rig).await;
    cool(&rig);
    let request = get(&id);
    let mut waiting = std::pin::pin!(rig.does(&request));
    assert!(waits(waiting.as_mut()));
    rig.kms.hold(false);
    assert!(waiting.await.is_ok());
    cool(&rig);
    // An absent object needs no key, and what brings a key does not wait here.
    assert_eq!(ask(&rig, &get("00000000-0000-4000-8000-000000000000")).await.reason, Some(ResultReason::ItemNotFound));
    let register = register_key(vec![1; 32]);
    let mut registering = std::pin::pin!(ask(&rig, &register));
    assert!(waits(registering.as_mut()));
    rig.kms.hold(false);
    assert_eq!(registering.await.status, ResultStatus::Success);
}

#[tokio::test]
async fn a_poll_is_no_part_of_a_batch_with_undo() {
    let rig = Rig::new().await;
    let undo =
        RequestHeader { batch_error_continuation: Some(BatchErrorContinuation::Undo), ..RequestHeader::of(V1_4) };
    let outcomes = rig.batch(undo, &[poll(&[0; 16]), create()]).await;
    assert_eq!(outcomes, [Some(ResultReason::FeatureNotSupported)]);
}

#[tokio::test]
async fn a_batch_of_several_and_a_part_of_a_stream_are_not_put_off() {
    let rig = Rig::new().await;
    let id = active_key(&rig).await;
    let Request::Encrypt(first) = encrypt(&id, gcm(), b"text") else { panic!("another request") };
    let got = rig.does(&Request::Encrypt(ops::encrypt::Request { init_indicator: Some(true), ..first })).await.unwrap();
    let Answer::Encrypt(answer) = got.answer() else { panic!("another answer") };
    let Request::Encrypt(next) = encrypt(&id, gcm(), b"more") else { panic!("another request") };
    let correlation_value = answer.correlation_value;
    let next = Request::Encrypt(ops::encrypt::Request { correlation_value, cryptographic_parameters: None, ..next });
    cool(&rig);
    let mut part = std::pin::pin!(ask(&rig, &next));
    assert!(waits(part.as_mut()), "it would lose its stream");
    rig.kms.hold(false);
    assert_eq!(part.await.status, ResultStatus::Success);
    cool(&rig);
    let requests = [get(&id), get(&id)];
    let mut batch = std::pin::pin!(rig.batch(later(), &requests));
    assert!(waits(batch.as_mut()));
    rig.kms.hold(false);
    assert_eq!(batch.await, [None, None]);
}
