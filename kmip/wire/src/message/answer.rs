//! Answers: written by a server item by item, read by a client.

use std::convert::Infallible;

use crate::{
    error::WireError,
    ops,
    tables::{ProtocolVersion, ResultReason, ResultStatus, Tag},
    ttlv::{DateTime, Enumeration, Limits, Open, Structure, Value, Writer, parse, record},
};

/// What an answer's batch item echoes of the request's.
#[derive(Clone, Copy, Debug, Default)]
pub struct ItemHead<'a> {
    /// Absent only if the message could not be taken apart into items.
    pub operation: Option<u32>,
    pub unique_batch_item_id: Option<&'a [u8]>,
}

/// Why an item failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    pub reason: ResultReason,
    /// Shown to the user: what failed, why, what to do.
    pub message: String,
}

impl From<&WireError> for Failure {
    fn from(error: &WireError) -> Self {
        Self { reason: error.reason(), message: error.to_string() }
    }
}

/// Writes an answer into the end of a buffer.
///
/// The header is Protocol Version, Time Stamp, Batch Count, in this order and nothing else: clients decode it by position. A client that
/// gives a Client Correlation Value is one of 1.4, and gets a Server Correlation Value before the Batch Count (§6.19).
pub struct AnswerWriter<'o> {
    writer: Writer<'o>,
    start: usize,
    message: Open,
    count_at: usize,
    count: i32,
}

impl<'o> AnswerWriter<'o> {
    /// Begins an answer in the request's `version` at `time_stamp` (seconds since 1970).
    pub fn begin(out: &'o mut Vec<u8>, version: ProtocolVersion, time_stamp: i64) -> Self {
        Self::begin_correlated(out, version, time_stamp, None)
    }

    /// As [`Self::begin`], with the Server Correlation Value.
    pub fn begin_correlated(
        out: &'o mut Vec<u8>,
        version: ProtocolVersion,
        time_stamp: i64,
        correlation: Option<&str>,
    ) -> Self {
        let mut writer = Writer::new(out, version);
        let start = writer.position();
        let message = writer.open(Tag::RESPONSE_MESSAGE);
        let mut count_at = 0;
        writer.structure(Tag::RESPONSE_HEADER, |writer| {
            version.write(Tag::PROTOCOL_VERSION, writer);
            writer.date_time(Tag::TIME_STAMP, time_stamp);
            if let Some(correlation) = correlation {
                writer.text(Tag::SERVER_CORRELATION_VALUE, correlation);
            }
            count_at = writer.position();
            writer.integer(Tag::BATCH_COUNT, 0);
        });
        Self { writer, start, message, count_at, count: 0 }
    }

    /// Bytes of the answer so far.
    pub fn len(&self) -> usize {
        self.writer.position() - self.start
    }

    /// Whether no item was written yet.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Writes an item that succeeded.
    pub fn success(&mut self, head: ItemHead<'_>, answer: &ops::Answer<'_>) {
        let Ok(()) = self.success_with(head, |writer| {
            answer.write_fields(writer);
            Ok::<_, Infallible>(())
        });
    }

    /// Writes an item that succeeded, its payload's fields by `fields`. If that fails, nothing is written.
    pub fn success_with<T, E>(
        &mut self,
        head: ItemHead<'_>,
        fields: impl FnOnce(&mut Writer<'_>) -> Result<T, E>,
    ) -> Result<T, E> {
        let mark = self.mark();
        let item = self.writer.open(Tag::BATCH_ITEM);
        write_head(&mut self.writer, head);
        ResultStatus::Success.write(Tag::RESULT_STATUS, &mut self.writer);
        let payload = self.writer.open(Tag::RESPONSE_PAYLOAD);
        let found = fields(&mut self.writer).inspect_err(|_| self.writer.rewind(mark))?;
        self.writer.close(payload);
        self.writer.close(item);
        self.count += 1;
        Ok(found)
    }

    /// Writes an item that failed.
    pub fn failure(&mut self, head: ItemHead<'_>, failure: &Failure) {
        self.failure_with(head, failure, None);
    }

    /// Writes an item that failed and that tells more in a payload, as a Check does (§4.10).
    pub fn failure_with(&mut self, head: ItemHead<'_>, failure: &Failure, payload: Option<&ops::Answer<'_>>) {
        self.count += 1;
        self.writer.structure(Tag::BATCH_ITEM, |writer| {
            write_head(writer, head);
            ResultStatus::OperationFailed.write(Tag::RESULT_STATUS, writer);
            failure.reason.write(Tag::RESULT_REASON, writer);
            writer.text(Tag::RESULT_MESSAGE, &failure.message);
            if let Some(payload) = payload {
                writer.structure(Tag::RESPONSE_PAYLOAD, |writer| payload.write_fields(writer));
            }
        });
    }

    /// Writes an item that succeeded and was undone with its batch (§6.9).
    pub fn undone(&mut self, head: ItemHead<'_>, message: &str) {
        self.count += 1;
        self.writer.structure(Tag::BATCH_ITEM, |writer| {
            write_head(writer, head);
            ResultStatus::OperationUndone.write(Tag::RESULT_STATUS, writer);
            writer.text(Tag::RESULT_MESSAGE, message);
        });
    }

    /// Writes an item whose operation is pending: the client polls by `correlation` (§6.8, §6.9).
    pub fn pending(&mut self, head: ItemHead<'_>, correlation: &[u8]) {
        self.count += 1;
        self.writer.structure(Tag::BATCH_ITEM, |writer| {
            write_head(writer, head);
            ResultStatus::OperationPending.write(Tag::RESULT_STATUS, writer);
            writer.bytes(Tag::ASYNCHRONOUS_CORRELATION_VALUE, correlation);
        });
    }

    /// Where the next item will begin, for [`Self::take_back`].
    pub fn mark(&self) -> usize {
        self.writer.position()
    }

    /// Takes back the last item, which began at `mark`.
    pub fn take_back(&mut self, mark: usize) {
        if mark < self.writer.position() {
            self.writer.rewind(mark);
            self.count -= 1;
        }
    }

    pub fn finish(mut self) {
        self.writer.patch_integer(self.count_at, self.count);
        self.writer.close(self.message);
    }
}

fn write_head(writer: &mut Writer<'_>, head: ItemHead<'_>) {
    if let Some(code) = head.operation {
        writer.enumeration(Tag::OPERATION, code);
    }
    if let Some(id) = head.unique_batch_item_id {
        writer.bytes(Tag::UNIQUE_BATCH_ITEM_ID, id);
    }
}

record! {
    /// The header of an answer (table 284).
    pub struct AnswerHeader<'a> {
        need version: ProtocolVersion = PROTOCOL_VERSION V1_0,
        need time_stamp: DateTime = TIME_STAMP V1_0,
        opt nonce: Structure<'a> = NONCE V1_2,
        many attestation_types: Enumeration = ATTESTATION_TYPE V1_2,
        opt client_correlation_value: &'a str = CLIENT_CORRELATION_VALUE V1_4,
        opt server_correlation_value: &'a str = SERVER_CORRELATION_VALUE V1_4,
        need batch_count: i32 = BATCH_COUNT V1_0,
    }
}

record! {
    /// One item of an answer (table 285).
    pub struct AnswerItem<'a> {
        opt operation: Enumeration = OPERATION V1_0,
        opt unique_batch_item_id: &'a [u8] = UNIQUE_BATCH_ITEM_ID V1_0,
        need result_status: ResultStatus = RESULT_STATUS V1_0,
        opt result_reason: Enumeration = RESULT_REASON V1_0,
        opt result_message: &'a str = RESULT_MESSAGE V1_0,
        opt asynchronous_correlation_value: &'a [u8] = ASYNCHRONOUS_CORRELATION_VALUE V1_0,
        opt payload: Structure<'a> = RESPONSE_PAYLOAD V1_0,
        opt message_extension: Structure<'a> = MESSAGE_EXTENSION V1_0,
    }
}

impl<'a> AnswerItem<'a> {
    /// The failure, or the payload as the answer to operation `code`.
    pub fn outcome(&self, code: u32, version: ProtocolVersion) -> Result<Result<ops::Answer<'a>, Failure>, WireError> {
        if self.result_status == ResultStatus::Success {
            let missing = WireError::Missing { structure: Tag::BATCH_ITEM, field: Tag::RESPONSE_PAYLOAD };
            return ops::Answer::read(code, self.payload.ok_or(missing)?, version).map(Ok);
        }
        let reason = self.result_reason.and_then(|code| ResultReason::from_code(code.0));
        Ok(Err(Failure {
            reason: reason.unwrap_or(ResultReason::GeneralFailure),
            message: self.result_message.unwrap_or_default().to_owned(),
        }))
    }
}

record! {
    /// A whole answer, as a client reads it.
    pub struct AnswerMessage<'a> {
        need header: AnswerHeader<'a> = RESPONSE_HEADER V1_0,
        many items: AnswerItem<'a> = BATCH_ITEM V1_0,
    }
}

impl<'a> AnswerMessage<'a> {
    /// Reads a whole frame; `version` is the request's.
    pub fn read(frame: &'a [u8], version: ProtocolVersion, limits: &Limits) -> Result<Self, WireError> {
        let root = parse(frame, limits)?;
        if root.tag() != Tag::RESPONSE_MESSAGE {
            return Err(WireError::NotAMessage { expected: Tag::RESPONSE_MESSAGE, found: root.tag() });
        }
        let message: Self = crate::ttlv::Record::read_fields(root, version)?;
        if usize::try_from(message.header.batch_count) != Ok(message.items.len()) {
            let announced = i64::from(message.header.batch_count);
            return Err(WireError::BatchCount { announced, found: message.items.len() });
        }
        Ok(message)
    }
}
