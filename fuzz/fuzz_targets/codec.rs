//! Bytes from a stranger, as TTLV, as XML and as JSON: whatever is taken is the same after it was written and read again.

#![no_main]
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a finding is a panic")]

use fuzz::tree;
use kmip::{
    WireError,
    markup::{MarkupError, json, xml},
    message::{AnswerMessage, RequestHeader, RequestItem, RequestMessage, RequestWriter},
    ops::{Answer, Request},
    tables::ProtocolVersion,
    ttlv::{Limits, Writer, parse},
};
use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};

fuzz_target!(|data: &[u8]| {
    if parse(data, &Limits::REQUEST).is_ok() {
        spellings(data);
        request(data);
        answer(data);
    }
    let Ok(text) = std::str::from_utf8(data) else { return };
    for frame in [xml::read(text, &Limits::REQUEST), json::read(text, &Limits::REQUEST)] {
        match frame {
            Ok(frame) => spellings(&frame),
            Err(error) => assert!(error.to_string().len() < 4_096, "an error repeats little of the text"),
        }
    }
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    tree::mutate(&mut data[..max_size], size, 0, seed, fuzzer_mutate)
});

/// XML and JSON of a frame are read as that frame.
fn spellings(frame: &[u8]) {
    match xml::write(frame) {
        Ok(text) => assert_eq!(xml::read(&text, &Limits::ANSWER).as_deref(), Ok(frame), "{text}"),
        Err(WireError::Markup(error)) if matches!(*error, MarkupError::NotXml { .. }) => {}
        Err(error) => panic!("{error}"),
    }
    let text = json::write(frame).unwrap();
    assert_eq!(json::read(&text, &Limits::ANSWER).as_deref(), Ok(frame), "{text}");
}

fn request(frame: &[u8]) {
    let Ok(message) = RequestMessage::read(frame, &Limits::REQUEST) else { return };
    let first = written_request(&message);
    let Some((header, first)) = first else { return };
    let again = RequestMessage::read(&first, &Limits::ANSWER).unwrap_or_else(|refused| panic!("{}", refused.error));
    let (_, second) = written_request(&again).unwrap();
    assert_eq!(again.header.version, header);
    assert_eq!(first, second, "what was written is written the same when it was read");
}

/// The message as this crate writes it, if each of its items is readable.
fn written_request(message: &RequestMessage<'_>) -> Option<(ProtocolVersion, Vec<u8>)> {
    let version = message.header.version;
    let read = |item: &RequestItem<'_>| item.request(version).is_ok();
    if !message.items.iter().all(read) {
        return None;
    }
    let mut out = vec![];
    let header: &RequestHeader<'_> = &message.header;
    let mut writer = RequestWriter::begin(&mut out, header);
    for item in &message.items {
        let request: Request<'_> = item.request(version).unwrap();
        writer.item(item.unique_batch_item_id, &request);
    }
    writer.finish();
    Some((version, out))
}

fn answer(frame: &[u8]) {
    let version = ProtocolVersion::V1_4;
    let Ok(message) = AnswerMessage::read(frame, version, &Limits::ANSWER) else { return };
    for item in &message.items {
        let code = item.operation.map_or(0, |code| code.0);
        let Ok(Ok(answer)) = item.outcome(code, version) else { continue };
        let first = payload(&answer);
        let root = parse(&first, &Limits::ANSWER).unwrap();
        let again = Answer::read(code, root, version).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(first, payload(&again), "what was written is written the same when it was read");
    }
}

fn payload(answer: &Answer<'_>) -> Vec<u8> {
    let mut out = vec![];
    let mut writer = Writer::new(&mut out, ProtocolVersion::V1_4);
    writer.structure(kmip::Tag::RESPONSE_PAYLOAD, |writer| answer.write_fields(writer));
    out
}
