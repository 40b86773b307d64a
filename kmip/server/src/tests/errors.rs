//! Wrong input, row by row: what chapter 11 of KMIP 1.4 wants answered, sent as bytes over a session, read back field by field.
//!
//! Each test is a row, or a few rows of one kind; its name is the row's statement. It says of the answer the version, the Result
//! Status and Result Reason, and whether Operation and Unique Batch Item ID come back; and of the session that it goes on, or ends.
//! `messages.rs` has what is wrong with a message, `batches.rs` what a header and a batch may ask, `objects.rs` the operations.
//!
//! Rows of the connection stand where there is one: no client certificate, one of another CA or for another purpose, and plain text in
//! `listener/tests.rs`; a message that never comes to its end in `session.rs` (`a_request_that_was_begun_must_come_to_its_end`); the
//! same with the real binary in `tests/tests/bad_wire.rs` and `bad_certificates.rs`. All the errors of Get with a wrapping key are rows of `wrap.rs`, those of an
//! archived object of `archive.rs`, those of Add, Modify and Delete Attribute of `attributes/change/tests.rs`.

mod batches;
mod messages;
mod objects;

use kmip::{
    Operation, Tag,
    tables::ResultStatus,
    ttlv::{HEADER_BYTES, Writer},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
    task::JoinHandle,
};

use super::*;
use crate::session;

/// A minor version that nobody has defined yet.
const V1_9: ProtocolVersion = ProtocolVersion { major: 1, minor: 9 };
/// No tag of KMIP.
const UNKNOWN: Tag = Tag(0x42_0999);
const GET: u32 = Operation::Get.code();

/// What came of an item.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    operation: Option<u32>,
    id: Option<Vec<u8>>,
    status: ResultStatus,
    reason: Option<ResultReason>,
}

impl Told {
    fn failed(operation: Option<u32>, reason: ResultReason) -> Self {
        Self { operation, id: None, status: ResultStatus::OperationFailed, reason: Some(reason) }
    }

    fn done(operation: Operation) -> Self {
        Self { operation: Some(operation.code()), id: None, status: ResultStatus::Success, reason: None }
    }

    fn with_id(self, id: &[u8]) -> Self {
        Self { id: Some(id.to_vec()), ..self }
    }
}

/// A session of the rig's caller, from the client's end.
struct Line {
    rig: Rig,
    client: DuplexStream,
    ended: JoinHandle<()>,
}

impl Line {
    async fn open() -> Self {
        let rig = Rig::new().await;
        let (client, stream) = tokio::io::duplex(4 << 20);
        let (server, caller) = (rig.server.clone(), rig.caller.clone());
        let entered = server.connections().enter(*caller.tenant()).unwrap();
        let ended = tokio::spawn(async move { session::run(stream, &server, &caller, &entered).await });
        Self { rig, client, ended }
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.client.write_all(bytes).await.unwrap();
    }

    /// The next answer, which is of `version`: what it says of each item.
    async fn hear(&mut self, version: ProtocolVersion) -> Vec<Told> {
        let mut frame = vec![0; HEADER_BYTES];
        self.client.read_exact(&mut frame).await.unwrap();
        frame.resize(client::answer_len(frame.first_chunk().unwrap()).unwrap(), 0);
        self.client.read_exact(&mut frame[HEADER_BYTES..]).await.unwrap();
        let message = AnswerMessage::read(&frame, V1_4, &ttlv::Limits::ANSWER).unwrap();
        assert_eq!(message.header.version, version);
        let told = message.items.iter().map(|item| {
            let failed = item.result_status == ResultStatus::OperationFailed;
            assert_eq!(item.result_message.is_some_and(|text| !text.is_empty()), failed || item.payload.is_none());
            Told {
                operation: item.operation.map(|code| code.0),
                id: item.unique_batch_item_id.map(<[u8]>::to_vec),
                status: item.result_status,
                reason: item.result_reason.map(|code| ResultReason::from_code(code.0).unwrap()),
            }
        });
        told.collect()
    }

    /// What is answered to a whole message, after which the session goes on.
    async fn ask(&mut self, version: ProtocolVersion, frame: &[u8]) -> Vec<Told> {
        self.send(frame).await;
        let told = self.hear(version).await;
        let versions = Request::DiscoverVersions(ops::discover_versions::Request { protocol_versions: vec![] });
        self.send(&client::request(V1_4, &versions)).await;
        assert_eq!(self.hear(V1_4).await, [Told::done(Operation::DiscoverVersions)], "it goes on");
        told
    }

    /// A message of 1.4 that is refused as a whole: one item, which names no operation.
    async fn is_no_message(&mut self, what: &str, frame: &[u8], reason: ResultReason) {
        assert_eq!(self.ask(V1_4, frame).await, [Told::failed(None, reason)], "{what}");
    }

    /// A message of 1.4 whose one item fails and says which operation it was.
    async fn is_no_item(&mut self, what: &str, frame: &[u8], operation: u32, reason: ResultReason) {
        assert_eq!(self.ask(V1_4, frame).await, [Told::failed(Some(operation), reason)], "{what}");
    }

    /// An operation of 1.4 that fails.
    async fn fails(&mut self, what: &str, request: &Request<'_>, reason: ResultReason) {
        let operation = request.operation().code();
        self.is_no_item(what, &client::request(V1_4, request), operation, reason).await;
    }

    /// An operation of 1.4 that succeeds.
    async fn does(&mut self, what: &str, request: &Request<'_>) {
        let told = self.ask(V1_4, &client::request(V1_4, request)).await;
        assert_eq!(told, [Told::done(request.operation())], "{what}");
    }

    /// The server ends the session and says no more.
    async fn ends(mut self) {
        let mut rest = vec![];
        self.client.read_to_end(&mut rest).await.unwrap();
        assert_eq!(rest, b"");
        self.ended.await.unwrap();
    }
}

/// A message of `version` with these items, whose header has what `header` writes before the Batch Count that it announces.
fn message(
    version: ProtocolVersion,
    header: impl FnOnce(&mut Writer<'_>),
    count: i32,
    items: impl FnOnce(&mut Writer<'_>),
) -> Vec<u8> {
    let mut out = vec![];
    Writer::new(&mut out, version).structure(Tag::REQUEST_MESSAGE, |w| {
        w.structure(Tag::REQUEST_HEADER, |w| {
            ttlv::Value::write(&version, Tag::PROTOCOL_VERSION, w);
            header(w);
            w.integer(Tag::BATCH_COUNT, count);
        });
        items(w);
    });
    out
}

/// A message of one item, with the header's required fields alone.
fn one(version: ProtocolVersion, item: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    message(version, |_| {}, 1, |w| w.structure(Tag::BATCH_ITEM, item))
}

/// A message of one operation.
fn operation(version: ProtocolVersion, code: u32, payload: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    one(version, |w| {
        w.enumeration(Tag::OPERATION, code);
        w.structure(Tag::REQUEST_PAYLOAD, payload);
    })
}

/// An item that asks for the State of an object.
fn asks_state(w: &mut Writer<'_>, batch_item_id: Option<&[u8]>, id: &str) {
    w.structure(Tag::BATCH_ITEM, |w| {
        w.enumeration(Tag::OPERATION, Operation::GetAttributes.code());
        if let Some(id) = batch_item_id {
            w.bytes(Tag::UNIQUE_BATCH_ITEM_ID, id);
        }
        w.structure(Tag::REQUEST_PAYLOAD, |w| {
            w.text(Tag::UNIQUE_IDENTIFIER, id);
            w.text(Tag::ATTRIBUTE_NAME, "State");
        });
    });
}
