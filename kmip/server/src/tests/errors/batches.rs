//! What a header asks and what a batch brings (KMIP 1.4 §6, §11.1, §11.43).

use super::*;

const STATE: Operation = Operation::GetAttributes;
const ABSENT: &str = "0b0e9c8a-0000-4000-8000-000000000000";

/// How many objects there are.
async fn created(line: &Line) -> usize {
    let got = line.rig.does(&Request::Locate(ops::locate::Request::of(vec![]))).await.unwrap();
    let Answer::Locate(located) = got.answer() else { panic!("another answer") };
    located.unique_identifiers.len()
}

#[tokio::test]
async fn a_batch_count_that_is_not_the_number_of_items_is_an_invalid_message() {
    let mut line = Line::open().await;
    for (count, items) in [(2, 1), (1, 2), (0, 1), (0, 0), (1, 0), (-1, 1), (-1, 0), (i32::MAX, 1), (i32::MIN, 1)] {
        let ids = [create(), create()];
        let mut frame = client::batch(RequestHeader::of(V1_4), &ids[..items]);
        let announced = [Tag::BATCH_COUNT.0.to_be_bytes()[1..].to_vec(), vec![2, 0, 0, 0, 4]].concat();
        let at = frame.windows(8).position(|window| window == announced).unwrap() + 8;
        frame[at..at + 4].copy_from_slice(&count.to_be_bytes());
        line.is_no_message(&format!("{count} with {items}"), &frame, ResultReason::InvalidMessage).await;
    }
    let many: Vec<_> = (0..=kmip::message::BATCH_ITEMS_MAX).map(|_| create()).collect();
    let many = client::batch(RequestHeader::of(V1_4), &many);
    line.is_no_message("one more than are taken", &many, ResultReason::InvalidMessage).await;
    assert_eq!(created(&line).await, 0, "nothing of it was done");
}

#[tokio::test]
async fn several_items_without_a_unique_batch_item_id_each_are_an_invalid_message() {
    let mut line = Line::open().await;
    let lists: [[Option<&[u8]>; 2]; 4] =
        [[None, None], [Some(b"1"), None], [None, Some(b"1")], [Some(b"1"), Some(b"1")]];
    for ids in lists {
        let frame = message(V1_4, |_| {}, 2, |w| ids.iter().for_each(|id| asks_state(w, *id, "1")));
        line.is_no_message(&format!("{ids:?}"), &frame, ResultReason::InvalidMessage).await;
    }
}

/// A batch of a Create, something that fails, and a Create.
fn failing(option: Option<BatchErrorContinuation>) -> Vec<u8> {
    let header = RequestHeader { batch_error_continuation: option, ..RequestHeader::of(V1_4) };
    client::batch(header, &[create(), get(ABSENT), create()])
}

#[tokio::test]
async fn with_stop_what_follows_a_failure_is_not_answered() {
    let mut line = Line::open().await;
    let first = || Told::done(Operation::Create).with_id(&[0, 0, 0, 1]);
    let failed = || Told::failed(Some(GET), ResultReason::ItemNotFound).with_id(&[0, 0, 0, 2]);
    for (times, option) in [(1, None), (2, Some(BatchErrorContinuation::Stop))] {
        assert_eq!(line.ask(V1_4, &failing(option)).await, [first(), failed()], "{option:?}");
        assert_eq!(created(&line).await, times, "what came before it stays, what comes after it is not done");
    }
}

#[tokio::test]
async fn with_continue_every_item_is_answered() {
    let mut line = Line::open().await;
    let done = |id| Told::done(Operation::Create).with_id(&[0, 0, 0, id]);
    let failed = Told::failed(Some(GET), ResultReason::ItemNotFound).with_id(&[0, 0, 0, 2]);
    let told = line.ask(V1_4, &failing(Some(BatchErrorContinuation::Continue))).await;
    assert_eq!(told, [done(1), failed, done(3)]);
    assert_eq!(created(&line).await, 2);
}

#[tokio::test]
async fn with_undo_what_came_before_a_failure_is_undone_and_says_so() {
    let mut line = Line::open().await;
    let undone = Told { status: ResultStatus::OperationUndone, ..Told::done(Operation::Create) };
    let failed = Told::failed(Some(GET), ResultReason::ItemNotFound).with_id(&[0, 0, 0, 2]);
    let told = line.ask(V1_4, &failing(Some(BatchErrorContinuation::Undo))).await;
    assert_eq!(told, [undone.with_id(&[0, 0, 0, 1]), failed]);
    assert_eq!(created(&line).await, 0);
    let undo =
        RequestHeader { batch_error_continuation: Some(BatchErrorContinuation::Undo), ..RequestHeader::of(V1_4) };
    let alone = client::batch(undo, &[create()]);
    assert_eq!(line.ask(V1_4, &alone).await, [Told::done(Operation::Create)], "nothing stands before it");
}

#[tokio::test]
async fn an_item_that_cannot_be_parsed_fails_alone() {
    let mut line = Line::open().await;
    let id = line.rig.does(&create()).await.unwrap().id();
    let go_on = |w: &mut Writer<'_>| w.enumeration(Tag::BATCH_ERROR_CONTINUATION_OPTION, 1);
    let frame = message(V1_4, go_on, 4, |w| {
        asks_state(w, Some(b"one"), &id);
        w.structure(Tag::BATCH_ITEM, |w| {
            w.enumeration(Tag::OPERATION, GET);
            w.bytes(Tag::UNIQUE_BATCH_ITEM_ID, b"two");
            w.structure(Tag::REQUEST_PAYLOAD, |w| w.text(Tag::UNIQUE_IDENTIFIER, &id));
            w.structure(Tag::REQUEST_PAYLOAD, |w| w.text(Tag::UNIQUE_IDENTIFIER, &id));
        });
        w.structure(Tag::BATCH_ITEM, |w| {
            w.enumeration(Tag::OPERATION, GET);
            w.bytes(Tag::UNIQUE_BATCH_ITEM_ID, b"three");
            w.structure(Tag::REQUEST_PAYLOAD, |w| w.boolean(Tag::UNIQUE_IDENTIFIER, true));
        });
        asks_state(w, Some(b"four"), &id);
    });
    let invalid = || Told::failed(Some(GET), ResultReason::InvalidMessage);
    let told = line.ask(V1_4, &frame).await;
    let done = |id: &[u8]| Told::done(STATE).with_id(id);
    assert_eq!(told, [done(b"one"), invalid().with_id(b"two"), invalid().with_id(b"three"), done(b"four")]);
}

#[tokio::test]
async fn an_answer_beyond_maximum_response_size_fails_and_keeps_its_operation() {
    let mut line = Line::open().await;
    let id = active_key(&line.rig).await;
    let data = vec![1; 9_000];
    let header = |size| RequestHeader { maximum_response_size: Some(size), ..RequestHeader::of(V1_4) };
    let frame = client::batch(header(8_192), &[encrypt(&id, gcm(), &data)]);
    let encrypts = Operation::Encrypt.code();
    line.is_no_item("Encrypt", &frame, encrypts, ResultReason::ResponseTooLarge).await;
    for size in [0, -1] {
        let frame = client::batch(header(size), &[get(&id)]);
        line.is_no_message("a size that nothing fits", &frame, ResultReason::InvalidField).await;
    }
}

#[tokio::test]
async fn with_the_asynchronous_indicator_what_can_be_done_at_once_is() {
    let mut line = Line::open().await;
    line.rig.does(&create()).await.unwrap();
    let header = RequestHeader { asynchronous_indicator: Some(true), ..RequestHeader::of(V1_4) };
    // What has to wait for the customer's KMS is pending: `pending.rs`.
    assert_eq!(line.ask(V1_4, &client::batch(header, &[create()])).await, [Told::done(Operation::Create)]);
}

/// An item with a Message Extension of a vendor that nobody knows, and perhaps something else.
fn extended(w: &mut Writer<'_>, id: &[u8], critical: bool, more: impl FnOnce(&mut Writer<'_>)) {
    w.structure(Tag::BATCH_ITEM, |w| {
        w.enumeration(Tag::OPERATION, Operation::Query.code());
        w.bytes(Tag::UNIQUE_BATCH_ITEM_ID, id);
        w.structure(Tag::REQUEST_PAYLOAD, |w| w.enumeration(Tag::QUERY_FUNCTION, 1));
        w.structure(Tag::MESSAGE_EXTENSION, |w| {
            w.text(Tag::VENDOR_IDENTIFICATION, "ACME");
            w.boolean(Tag::CRITICALITY_INDICATOR, critical);
            w.structure(Tag::VENDOR_EXTENSION, |w| w.integer(Tag(0x54_0001), 1));
        });
        more(w);
    });
}

#[tokio::test]
async fn a_critical_message_extension_refuses_the_entire_message() {
    let mut line = Line::open().await;
    let unsupported = ResultReason::FeatureNotSupported;
    let frame = message(
        V1_4,
        |_| {},
        2,
        |w| {
            asks_state(w, Some(b"1"), "1");
            extended(w, b"2", true, |_| {});
        },
    );
    line.is_no_message("in the second item", &frame, unsupported).await;
    let frame = message(V1_4, |_| {}, 1, |w| extended(w, b"1", true, |w| w.boolean(UNKNOWN, true)));
    line.is_no_message("in an item that is wrong besides", &frame, unsupported).await;
}

#[tokio::test]
async fn a_message_extension_that_is_not_critical_is_ignored() {
    let mut line = Line::open().await;
    let frame = message(V1_4, |_| {}, 1, |w| extended(w, b"1", false, |_| {}));
    assert_eq!(line.ask(V1_4, &frame).await, [Told::done(Operation::Query).with_id(b"1")]);
}

/// §6.5 lets a server refuse it. No decision here goes by a client's clock, and a client whose clock is wrong is served.
#[tokio::test]
async fn a_time_stamp_far_off_is_taken() {
    let mut line = Line::open().await;
    for seconds in [0, START_S - 86_400 * 365, START_S + 86_400 * 365, i64::MAX, i64::MIN] {
        let header = RequestHeader { time_stamp: Some(DateTime(seconds)), ..RequestHeader::of(V1_4) };
        let told = line.ask(V1_4, &client::batch(header, &[create()])).await;
        assert_eq!(told, [Told::done(Operation::Create)], "{seconds}");
    }
}
