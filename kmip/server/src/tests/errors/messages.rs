//! What is wrong with a message, an item of it, or a field (KMIP 1.4 §11.1).

use super::*;

const MEBIBYTE: u32 = 1 << 20;

/// A Get of an absent object, byte by byte.
fn good() -> Vec<u8> {
    client::request(V1_4, &get("12345678"))
}

/// [`good`] with the byte that stands `after` the start of `found` set.
fn patched(found: &[u8], after: usize, byte: u8) -> Vec<u8> {
    let mut frame = good();
    let at = frame.windows(found.len()).position(|window| window == found).unwrap();
    frame[at + after] = byte;
    frame
}

/// The header of a frame that announces `length` bytes, and the first bytes of a request of 1.4.
fn begun(length: u32) -> Vec<u8> {
    let mut frame = good();
    frame[4..8].copy_from_slice(&length.to_be_bytes());
    frame
}

#[tokio::test]
async fn another_major_version_is_refused_in_that_version_without_an_operation() {
    let mut line = Line::open().await;
    for (major, minor) in [(0, 9), (2, 0), (2, 1), (9, 9), (1, -1)] {
        let version = ProtocolVersion { major, minor };
        let frame = operation(version, GET, |w| w.text(Tag::UNIQUE_IDENTIFIER, "1"));
        assert_eq!(line.ask(version, &frame).await, [Told::failed(None, ResultReason::InvalidMessage)], "{version}");
    }
}

#[tokio::test]
async fn of_an_unknown_minor_version_unknown_fields_are_ignored_and_the_rest_is_done() {
    let mut line = Line::open().await;
    let id = line.rig.does(&create()).await.unwrap().id();
    let mark = |w: &mut Writer<'_>| w.text(UNKNOWN, "of 1.9");
    let mut ask = async |version: ProtocolVersion| {
        let frame = message(version, mark, 1, |w| {
            mark(w);
            w.structure(Tag::BATCH_ITEM, |w| {
                w.enumeration(Tag::OPERATION, GET);
                mark(w);
                w.structure(Tag::REQUEST_PAYLOAD, |w| {
                    w.text(Tag::UNIQUE_IDENTIFIER, &id);
                    w.structure(UNKNOWN, mark);
                });
            });
        });
        line.ask(version, &frame).await
    };
    assert_eq!(ask(V1_9).await, [Told::done(Operation::Get)]);
    assert_eq!(ask(V1_4).await, [Told::failed(None, ResultReason::InvalidField)], "the same of a version that we know");
}

#[tokio::test]
async fn of_the_same_version_an_unknown_field_is_an_invalid_field() {
    let mut line = Line::open().await;
    let id = line.rig.does(&create()).await.unwrap().id();
    let mark = |w: &mut Writer<'_>| w.boolean(UNKNOWN, true);
    let (state, invalid) = (Operation::GetAttributes.code(), ResultReason::InvalidField);
    let header = message(V1_4, mark, 1, |w| asks_state(w, None, &id));
    line.is_no_message("in the header", &header, invalid).await;
    let root = message(
        V1_4,
        |_| {},
        1,
        |w| {
            asks_state(w, None, &id);
            mark(w);
        },
    );
    line.is_no_message("beside the items", &root, invalid).await;
    let item = one(V1_4, |w| {
        w.enumeration(Tag::OPERATION, state);
        mark(w);
        w.structure(Tag::REQUEST_PAYLOAD, |w| w.text(Tag::UNIQUE_IDENTIFIER, &id));
    });
    line.is_no_item("in the item", &item, state, invalid).await;
    let payload = operation(V1_4, state, |w| {
        w.text(Tag::UNIQUE_IDENTIFIER, &id);
        mark(w);
    });
    line.is_no_item("in the payload", &payload, state, invalid).await;
    let add = Operation::AddAttribute.code();
    let deep = operation(V1_4, add, |w| {
        w.text(Tag::UNIQUE_IDENTIFIER, &id);
        w.structure(Tag::ATTRIBUTE, |w| {
            w.text(Tag::ATTRIBUTE_NAME, "x-a");
            w.text(Tag::ATTRIBUTE_VALUE, "a");
            mark(w);
        });
    });
    line.is_no_item("in a structure of the payload", &deep, add, invalid).await;
    // Key Wrap Type came with 1.4.
    let later = operation(V1_2, GET, |w| {
        w.text(Tag::UNIQUE_IDENTIFIER, &id);
        w.enumeration(Tag::KEY_WRAP_TYPE, 1);
    });
    assert_eq!(line.ask(V1_2, &later).await, [Told::failed(Some(GET), invalid)], "of a later version");
}

#[tokio::test]
async fn a_field_twice_is_an_invalid_message() {
    let mut line = Line::open().await;
    let invalid = ResultReason::InvalidMessage;
    let count = message(V1_4, |w| w.integer(Tag::BATCH_COUNT, 1), 1, |w| asks_state(w, None, "1"));
    line.is_no_message("in the header", &count, invalid).await;
    let mut headers = vec![];
    Writer::new(&mut headers, V1_4).structure(Tag::REQUEST_MESSAGE, |w| {
        for _ in 0..2 {
            ttlv::Value::write(&RequestHeader::of(V1_4), Tag::REQUEST_HEADER, w);
        }
        asks_state(w, None, "1");
    });
    line.is_no_message("the header", &headers, invalid).await;
    let item = one(V1_4, |w| {
        w.enumeration(Tag::OPERATION, GET);
        w.enumeration(Tag::OPERATION, Operation::Destroy.code());
        w.structure(Tag::REQUEST_PAYLOAD, |w| w.text(Tag::UNIQUE_IDENTIFIER, "1"));
    });
    line.is_no_item("in the item", &item, GET, invalid).await;
    let payload = operation(V1_4, GET, |w| {
        w.text(Tag::UNIQUE_IDENTIFIER, "1");
        w.text(Tag::UNIQUE_IDENTIFIER, "1");
    });
    line.is_no_item("in the payload", &payload, GET, invalid).await;
}

#[tokio::test]
async fn what_cannot_be_parsed_is_an_invalid_message_without_an_operation() {
    let mut line = Line::open().await;
    // Its tag, type and length.
    let identifier = [0x42, 0x00, 0x94, 0x07, 0, 0, 0, 8];
    let broken: [(&str, Vec<u8>); 8] = [
        ("an inner length beyond its container", patched(&identifier, 7, 0x10)),
        ("an inner length short of it", patched(&identifier, 7, 0)),
        ("a type that there is not", patched(&identifier, 3, 0x0b)),
        ("a tag that there cannot be", patched(&identifier, 0, 0x43)),
        ("a text that is not UTF-8", patched(b"12345678", 0, 0xff)),
        ("padding that is not zero", patched(&[0, 0, 0, 4, 0, 0, 0, 1], 8, 1)),
        ("an integer of eight bytes", patched(&[2, 0, 0, 0, 4], 4, 8)),
        ("Boolean 2", {
            let mut frame =
                message(V1_4, |w| w.boolean(Tag::BATCH_ORDER_OPTION, true), 1, |w| asks_state(w, None, "1"));
            let at = frame.windows(8).position(|window| window == 1u64.to_be_bytes()).unwrap();
            frame[at + 7] = 2;
            frame
        }),
    ];
    for (what, frame) in broken {
        line.is_no_message(what, &frame, ResultReason::InvalidMessage).await;
    }
    let mut inner = vec![];
    for depth in (0..5_000_u32).rev() {
        inner.extend_from_slice(&[0x42, 0x00, 0x79, 0x01]);
        inner.extend_from_slice(&(8 * depth).to_be_bytes());
    }
    let deep = message(V1_4, |_| {}, 1, |w| w.raw(Tag::BATCH_ITEM, ttlv::Kind::Structure, &inner));
    line.is_no_message("5000 structures within each other", &deep, ResultReason::InvalidMessage).await;
    let mut other = good();
    other[2] = 0x79;
    line.send(&other).await;
    assert_eq!(line.hear(V1_0).await, [Told::failed(None, ResultReason::InvalidMessage)], "no Request Message");
    line.ends().await;
}

#[tokio::test]
async fn an_item_that_cannot_be_parsed_fails_and_says_which_operation_it_was() {
    let mut line = Line::open().await;
    let invalid = ResultReason::InvalidMessage;
    let wrong = operation(V1_4, GET, |w| w.integer(Tag::UNIQUE_IDENTIFIER, 1));
    line.is_no_item("a field of another type", &wrong, GET, invalid).await;
    let none = one(V1_4, |w| w.enumeration(Tag::OPERATION, GET));
    line.is_no_item("no payload", &none, GET, invalid).await;
    let text = one(V1_4, |w| {
        w.enumeration(Tag::OPERATION, GET);
        w.text(Tag::REQUEST_PAYLOAD, "1");
    });
    line.is_no_item("a payload that is no structure", &text, GET, invalid).await;
    let lacking = operation(V1_4, Operation::Create.code(), |_| {});
    line.is_no_item("a payload that lacks a field", &lacking, Operation::Create.code(), invalid).await;
    let id = one(V1_4, |w| {
        w.enumeration(Tag::OPERATION, GET);
        w.text(Tag::UNIQUE_BATCH_ITEM_ID, "1");
        w.structure(Tag::REQUEST_PAYLOAD, |w| w.text(Tag::UNIQUE_IDENTIFIER, "1"));
    });
    line.is_no_item("a Unique Batch Item ID that is a text", &id, GET, invalid).await;
    // Nothing could be echoed of these.
    let unnamed = one(V1_4, |w| w.structure(Tag::REQUEST_PAYLOAD, |w| w.text(Tag::UNIQUE_IDENTIFIER, "1")));
    line.is_no_message("no operation", &unnamed, invalid).await;
    let flat = message(V1_4, |_| {}, 1, |w| w.text(Tag::BATCH_ITEM, "Get"));
    line.is_no_message("an item that is no structure", &flat, invalid).await;
}

#[tokio::test]
async fn an_outer_length_larger_than_what_arrives_is_waited_for_and_not_answered() {
    let mut line = Line::open().await;
    line.send(&good()[..good().len() - 8]).await;
    line.client.shutdown().await.unwrap();
    line.ends().await;
}

#[tokio::test]
async fn a_length_beyond_the_limit_is_refused_before_anything_of_it_is_read() {
    for length in [2 * MEBIBYTE, 0x7fff_fff8, u32::MAX - 7] {
        let mut line = Line::open().await;
        line.send(&begun(length)).await;
        assert_eq!(line.hear(V1_4).await, [Told::failed(None, ResultReason::InvalidMessage)], "{length}");
        line.ends().await;
        // A client whose version has not come yet is answered in the one that all understand.
        let mut line = Line::open().await;
        line.send(&begun(length)[..8]).await;
        assert_eq!(line.hear(V1_0).await, [Told::failed(None, ResultReason::InvalidMessage)], "{length}");
        line.ends().await;
    }
}

#[tokio::test]
async fn an_outer_length_that_is_not_a_multiple_of_8_is_an_invalid_message() {
    for more in 1..8 {
        let mut line = Line::open().await;
        let mut frame = begun(u32::try_from(good().len()).unwrap() - 8 + more);
        frame.resize(frame.len() + 8, 0);
        line.send(&frame).await;
        assert_eq!(line.hear(V1_4).await, [Told::failed(None, ResultReason::InvalidMessage)], "{more}");
        line.ends().await;
    }
}
