//! The client's side: requests to bytes, answers from bytes, for tests, the CLI, benches and an L1 that is itself a KMIP server.
//!
//! It does no I/O. A caller sends what [`request`] or [`batch`] gives, reads [`crate::ttlv::HEADER_BYTES`] bytes, asks [`answer_len`]
//! how many make the frame, reads them, and gives them to [`read_one`].

use crate::{
    error::WireError,
    message::{AnswerMessage, Failure, RequestHeader, RequestWriter},
    ops::{Answer, Request},
    tables::{Operation, ProtocolVersion, Tag},
    ttlv::{HEADER_BYTES, Limits, frame_len},
};

/// The bytes of a request for one operation, with the header's required fields alone.
pub fn request(version: ProtocolVersion, request: &Request<'_>) -> Vec<u8> {
    with_header(&RequestHeader::of(version), std::slice::from_ref(request))
}

/// The bytes of a batch. Its items carry the Unique Batch Item IDs 00000001, 00000002, ….
pub fn batch(header: RequestHeader<'_>, requests: &[Request<'_>]) -> Vec<u8> {
    with_header(&RequestHeader { batch_count: i32::try_from(requests.len()).unwrap_or(i32::MAX), ..header }, requests)
}

fn with_header(header: &RequestHeader<'_>, requests: &[Request<'_>]) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    let mut writer = RequestWriter::begin(&mut out, header);
    for (number, request) in (1u32..).zip(requests) {
        let id = number.to_be_bytes();
        writer.item((requests.len() > 1).then_some(&id), request);
    }
    writer.finish();
    out
}

/// How many bytes the answer that begins with `header` has, header included.
pub fn answer_len(header: &[u8; HEADER_BYTES]) -> Result<usize, WireError> {
    frame_len(header, Tag::RESPONSE_MESSAGE, &Limits::ANSWER)
}

/// Reads the answer to one operation: its payload, or the server's failure.
pub fn read_one(
    frame: &[u8],
    version: ProtocolVersion,
    operation: Operation,
) -> Result<Result<Answer<'_>, Failure>, WireError> {
    let message = AnswerMessage::read(frame, version, &Limits::ANSWER)?;
    let [item] = message.items.as_slice() else {
        return Err(WireError::BatchCount { announced: 1, found: message.items.len() });
    };
    item.outcome(operation.code(), version)
}
