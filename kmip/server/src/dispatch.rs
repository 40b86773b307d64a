//! A request to its answer: batches, the tenant's gate, permission, audit.
//!
//! Items of a batch are executed in their order, one after another, which satisfies either Batch Order Option. A batch of several
//! items with the continuation option Undo goes its own way (`undo.rs`).

mod undo;

use std::time::Instant;

use custody::{
    key_table::Purpose,
    keyring::Keyring,
    names::{Epoch, ObjectId, ObjectText},
};
use kmip::{
    Operation, ResultReason,
    message::{AnswerWriter, Failure, ItemHead, Refused, RequestItem, RequestMessage},
    ops::{Answer, check as wire_check},
    tables::BatchErrorContinuation,
    ttlv::Limits,
};

use crate::{
    audit::Record,
    caller::Caller,
    correlation::Correlation,
    naming::Kept,
    ops::{self, Course, Done, Named, Turn},
    pending::{self, Later, Owner, Unseal},
    refusal::{self, fail},
    server::Server,
    telemetry::Meters,
};

/// Longest answer to one message, in bytes, whatever Maximum Response Size a client names: what the longest request can be
/// answered with, an Encrypt of all its bytes, fits twice. A session holds one such answer, and one item more while it is measured.
pub(crate) const RESPONSE_BYTES_MAX: usize = 2 << 20;

/// Most bytes that the item of an operation that changes something takes in an answer, its Unique Batch Item ID and an attribute
/// aside.
const CHANGE_BYTES_MAX: usize = 256;

/// Answers one frame into the end of `out`. When it was done.
pub(crate) async fn answer(
    server: &Server,
    caller: &Caller,
    meters: &Meters,
    frame: &[u8],
    out: &mut Vec<u8>,
) -> Instant {
    let began = Instant::now();
    match RequestMessage::read(frame, &Limits::REQUEST) {
        Ok(message) => {
            let keyring = server.keyring();
            let client_correlation = message.header.client_correlation_value;
            let correlation = client_correlation.and_then(|_| ObjectId::random().ok()).map(|id| id.text());
            let message = &message;
            let batch = Batch { server, caller, meters, keyring, kept: None, message, frame, correlation };
            if message.header.batch_error_continuation == Some(BatchErrorContinuation::Undo) && message.items.len() > 1
            {
                return undo::answer(&batch, began, out).await;
            }
            batch.answer(began, out).await
        }
        Err(refused) => {
            refuse(server, caller, meters, &refused, out).await;
            Instant::now()
        }
    }
}

/// Answers a message as a whole: a header and one item without Operation (KMIP 1.4 §11.1). After bytes that are no frame the session
/// ends, since nobody knows where the next one begins.
pub(crate) async fn refuse(server: &Server, caller: &Caller, meters: &Meters, refused: &Refused, out: &mut Vec<u8>) {
    let started = Instant::now();
    let time_ms = server.wall_ms();
    let failure = refusal::of_wire(&refused.error);
    let mut writer = AnswerWriter::begin(out, refused.version, seconds(time_ms));
    writer.failure(ItemHead::default(), &failure);
    writer.finish();
    meters.count(None, Some(failure.reason), started.elapsed());
    let (operation, outcome) = ("unknown", failure.reason.name());
    let epoch = epoch(server, caller);
    let record = Record { time_ms, caller, operation, key: "", outcome, epoch, correlation: None };
    if server.audit().record(&record).await.is_err() {
        tracing::error!("a refused KMIP message could not be recorded");
    }
}

fn seconds(time_ms: u64) -> i64 {
    i64::try_from(time_ms / 1000).unwrap_or(i64::MAX)
}

fn epoch(server: &Server, caller: &Caller) -> u64 {
    server.keyring().epoch(caller.tenant()).map_or(0, |epoch| epoch.0)
}

struct Batch<'a> {
    server: &'a Server,
    caller: &'a Caller,
    meters: &'a Meters,
    keyring: &'a Keyring,
    kept: Option<&'a Kept>,
    message: &'a RequestMessage<'a>,
    /// The message as it came.
    frame: &'a [u8],
    /// What this server calls the message, for a client that calls it by something.
    correlation: Option<ObjectText>,
}

/// What the audit says of an operation that was put off.
const PENDING: &str = "Operation Pending";

/// What came of an item, before it is recorded.
struct Attempt {
    key: Named,
    course: Course,
    /// What a Check that refuses names.
    refused: Option<wire_check::Answer<'static>>,
    outcome: Result<Done, Failure>,
}

impl Batch<'_> {
    async fn answer(&self, began: Instant, out: &mut Vec<u8>) -> Instant {
        let mut at = began;
        let header = &self.message.header;
        let time_ms = self.server.wall_ms();
        let mut writer = self.begin(out, time_ms);
        let mut implied_id = None;
        for item in &self.message.items {
            let done = self.item(item, time_ms, &mut implied_id, &mut writer).await;
            let ended = Instant::now();
            let operation = item.operation.and_then(Operation::from_code);
            self.meters.count(operation, done.err(), ended - at);
            at = ended;
            // §6.13: Stop is the default.
            if done.is_err() && header.batch_error_continuation != Some(BatchErrorContinuation::Continue) {
                break;
            }
        }
        writer.finish();
        at
    }

    /// Begins the answer.
    fn begin<'o>(&self, out: &'o mut Vec<u8>, time_ms: u64) -> AnswerWriter<'o> {
        let (version, correlation) = (self.message.header.version, self.correlation.as_deref());
        AnswerWriter::begin_correlated(out, version, seconds(time_ms), correlation)
    }

    /// Executes one item, writes its answer and records it.
    async fn item(
        &self,
        item: &RequestItem<'_>,
        time_ms: u64,
        implied_id: &mut Option<ObjectId>,
        writer: &mut AnswerWriter<'_>,
    ) -> Result<(), ResultReason> {
        let mark = writer.mark();
        let attempt = if self.may_wait(item) {
            Box::pin(self.attempt_or_put_off(item, time_ms, implied_id, writer)).await
        } else {
            self.attempt(item, time_ms, implied_id, writer, &Later::new(false)).await
        };
        let Attempt { key, course, refused, mut outcome } = attempt;
        let mut head = head(item);
        let mut success = "Success";
        match course {
            Course::Plain => {}
            Course::Pending => success = PENDING,
            Course::Polled(operation) => head.operation = Some(operation.code()),
        }
        let recorded = {
            let epoch = outcome.as_ref().map_or_else(|_| epoch(self.server, self.caller), |done| done.epoch.0);
            let result = outcome.as_ref().err().map_or(success, |failure| failure.reason.name());
            self.record(head, time_ms, key.as_str(), result, epoch).await
        };
        if !recorded && outcome.is_ok() {
            writer.take_back(mark);
            outcome = Err(unrecorded());
        }
        let failed = outcome.err().map(|failure| refusal::in_version(failure, self.message.header.version));
        match failed {
            Some(failure) => {
                writer.failure_with(head, &failure, refused.map(Answer::Check).as_ref());
                Err(failure.reason)
            }
            None => Ok(()),
        }
    }

    /// Whether the audit has it.
    async fn record(&self, head: ItemHead<'_>, time_ms: u64, key: &str, outcome: &'static str, epoch: u64) -> bool {
        let operation = head.operation.and_then(Operation::from_code).map_or("unknown", Operation::name);
        let client = self.message.header.client_correlation_value;
        let correlation = client.zip(self.correlation.as_deref());
        let record = Record { time_ms, caller: self.caller, operation, key, outcome, epoch, correlation };
        self.server.audit().record(&record).await.is_ok()
    }

    /// Executes one item whose client takes an asynchronous answer, and writes its answer if it succeeded or is pending.
    async fn attempt_or_put_off(
        &self,
        item: &RequestItem<'_>,
        time_ms: u64,
        implied_id: &mut Option<ObjectId>,
        writer: &mut AnswerWriter<'_>,
    ) -> Attempt {
        let later = Later::new(true);
        let attempt = self.attempt(item, time_ms, implied_id, writer, &later).await;
        if !later.is_asked() {
            return attempt;
        }
        match self.put_off(time_ms) {
            Ok(Some(name)) => {
                writer.pending(head(item), &name);
                let outcome = Ok(Done { epoch: Epoch(epoch(self.server, self.caller)) });
                Attempt { course: Course::Pending, outcome, ..attempt }
            }
            Ok(None) => self.attempt(item, time_ms, implied_id, writer, &Later::new(false)).await,
            Err(failure) => Attempt { outcome: Err(failure), ..attempt },
        }
    }

    /// Executes one item, and writes its answer if it succeeded.
    async fn attempt(
        &self,
        item: &RequestItem<'_>,
        time_ms: u64,
        implied_id: &mut Option<ObjectId>,
        writer: &mut AnswerWriter<'_>,
        later: &Later,
    ) -> Attempt {
        let mark = writer.mark();
        let (mut key, mut course, mut refused) = (Named::Nothing, Course::Plain, None);
        let mut turn = Turn {
            server: self.server,
            keyring: self.keyring,
            kept: self.kept,
            caller: self.caller,
            version: self.message.header.version,
            now_s: seconds(time_ms),
            head: head(item),
            key: &mut key,
            implied_id,
            writer,
            refused: &mut refused,
            later,
            course: &mut course,
            room: 0,
        };
        let mut outcome = self.execute(item, &mut turn).await;
        if outcome.is_ok() && writer.len() > self.bytes_max() {
            writer.take_back(mark);
            outcome = Err(self.too_large());
        }
        Attempt { key, course, refused, outcome }
    }

    /// §6.7: whether the client takes an asynchronous answer to this item. A batch of several is answered at once: its items build upon
    /// each other.
    fn may_wait(&self, item: &RequestItem<'_>) -> bool {
        self.message.header.asynchronous_indicator == Some(true)
            && self.message.items.len() == 1
            && item.operation.and_then(Operation::from_code).is_some_and(pending::can_wait)
    }

    /// Puts the message's one operation off until its keys are open, and has them opened. `None`: it cannot wait.
    fn put_off(&self, time_ms: u64) -> Result<Option<Correlation>, Failure> {
        let (tenant, system) = (*self.caller.tenant(), self.caller.system().clone());
        let keyring = self.server.keyring().clone();
        let admission = keyring.admit(&tenant, Purpose::Process).map_err(refusal::of_stop)?;
        let owner = Owner::of(self.caller, self.message.header.version, admission.generation());
        let unseal = Unseal::default();
        let now_s = seconds(time_ms);
        let Some(name) = self.server.pendings().put_off(owner, self.frame, unseal.clone(), now_s) else {
            return Ok(None);
        };
        tokio::spawn(async move {
            // Nobody else sets it.
            _ = unseal.set(keyring.warm_system(&tenant, &system).await);
        });
        if !admission.still_current() {
            // The stop that came between may not have found it.
            self.server.pendings().drop_tenant(self.caller.tenant());
        }
        Ok(Some(name))
    }

    async fn execute(&self, item: &RequestItem<'_>, turn: &mut Turn<'_, '_>) -> Result<Done, Failure> {
        if self.server.audit().is_failing() {
            return Err(unrecorded());
        }
        let operation = item.operation.and_then(Operation::from_code);
        let purpose = operation.map_or(Purpose::Process, purpose);
        // Before anything is looked at: to a killed tenant even its own malformed request is answered Item Not Found.
        let admission = self.server.keyring().admit(self.caller.tenant(), purpose).map_err(refusal::of_stop)?;
        // What changes something is not begun unless its answer fits: a client must not read of a failure that was none.
        let needed = operation
            .filter(|&operation| changes(operation))
            .map_or(0, |_| CHANGE_BYTES_MAX.saturating_add(item.unique_batch_item_id.map_or(0, <[u8]>::len)));
        let taken = turn.writer.len().saturating_add(needed);
        turn.room = self.bytes_max().checked_sub(taken).ok_or_else(|| self.too_large())?;
        ops::perform(turn, item, admission.epoch()).await
    }

    /// KMIP 1.4 §6.3: a client may ask for less than the server's own limit, never for more.
    fn bytes_max(&self) -> usize {
        let asked = self.message.header.maximum_response_size.and_then(|max| usize::try_from(max).ok());
        asked.map_or(RESPONSE_BYTES_MAX, |max| max.min(RESPONSE_BYTES_MAX))
    }

    fn too_large(&self) -> Failure {
        let max = self.bytes_max();
        let message = format!(
            "the answer would be longer than {max} bytes; send fewer items in a batch, ask a Locate for fewer with Maximum Items, \
             or raise Maximum Response Size (this server sends at most {RESPONSE_BYTES_MAX} bytes)"
        );
        fail(ResultReason::ResponseTooLarge, message)
    }
}

fn head<'a>(item: &RequestItem<'a>) -> ItemHead<'a> {
    ItemHead { operation: item.operation, unique_batch_item_id: item.unique_batch_item_id }
}

fn unrecorded() -> Failure {
    refusal::try_again(
        "this region's audit log cannot be written, and nothing happens unrecorded; its operator must free disk space",
    )
}

/// What a suspended tenant may no longer do is what protects new data or makes new keys (DESIGN §2.11).
fn purpose(operation: Operation) -> Purpose {
    match operation {
        made if makes(made) => Purpose::Protect,
        Operation::Register | Operation::Import | Operation::Activate => Purpose::Protect,
        Operation::Encrypt | Operation::Sign | Operation::Mac => Purpose::Protect,
        // What is allocated is protected elsewhere.
        Operation::GetUsageAllocation => Purpose::Protect,
        // A date or a mask decides what a key protects; Revoke and Destroy are what a suspended tenant may still do to its keys.
        Operation::AddAttribute | Operation::ModifyAttribute | Operation::DeleteAttribute => Purpose::Protect,
        _ => Purpose::Process,
    }
}

/// Whether the operation leaves something behind besides its answer and its audit record.
fn changes(operation: Operation) -> bool {
    use Operation as O;
    let other = matches!(
        operation,
        O::Register
            | O::Import
            | O::AddAttribute
            | O::ModifyAttribute
            | O::DeleteAttribute
            | O::GetUsageAllocation
            | O::Activate
            | O::Revoke
            | O::Destroy
            | O::Archive
            | O::Recover
            // What it performs may.
            | O::Poll
    );
    other || makes(operation)
}

/// Whether the operation makes an object of what this server has: its request brings no key.
pub(crate) fn makes(operation: Operation) -> bool {
    use Operation as O;
    matches!(
        operation,
        O::Create
            | O::CreateKeyPair
            | O::ReKey
            | O::ReKeyKeyPair
            | O::DeriveKey
            | O::CreateSplitKey
            | O::JoinSplitKey
            | O::Certify
            | O::ReCertify
    )
}
