//! Batches that are done whole or not at all: Batch Error Continuation Option Undo (KMIP 1.4 §6.13, §11.43).
//!
//! The items work on a draft of the keyring: each sees what those before it did, nobody else does, and nothing is durable. If all of
//! them succeed, the draft is committed in one transaction, and only then the answers leave; a crash before that leaves nothing of the
//! batch. If one fails, the draft is dropped, and the items before it are answered Operation Undone, without payload: what they
//! computed stays here. If the commit itself fails, since another client changed an object meanwhile or the tenant was stopped, the
//! last item answers for it. The audit gets each item once, with what became of it.

use std::time::{Duration, Instant};

use custody::key_table::Purpose;
use kmip::{
    Operation,
    message::{AnswerWriter, Failure},
    ops::Answer,
};
use zeroize::Zeroize;

use super::{Attempt, Batch, epoch, head, purpose, unrecorded};
use crate::{naming::Kept, pending::Later, refusal};

/// What the audit says of an item that succeeded and was undone.
const UNDONE: &str = "Operation Undone";

/// An item that was tried; only the last one may have failed.
struct Tried {
    attempt: Attempt,
    took: Duration,
}

/// Answers a batch of several items into the end of `out`. When it was done.
pub(super) async fn answer(batch: &Batch<'_>, began: Instant, out: &mut Vec<u8>) -> Instant {
    let keyring = batch.server.keyring().draft(batch.caller.tenant());
    // Names that the batch takes are its own until it is durable, or dropped.
    let kept = Kept::default();
    let batch = Batch { keyring: &keyring, kept: Some(&kept), ..*batch };
    let (start, time_ms) = (out.len(), batch.server.wall_ms());
    let mut tried = try_all(&batch, began, time_ms, out).await;
    let failed = |tried: &[Tried]| tried.last().is_none_or(|last| last.attempt.outcome.is_err());
    if !failed(&tried)
        && let Err(error) = keyring.commit(purpose_of(&batch)).await
        && let Some(last) = tried.last_mut()
    {
        last.attempt.outcome = Err(refusal::of_custody(&error));
    }
    let undone = failed(&tried);
    let recorded = record(&batch, &tried, undone, time_ms).await;
    if undone || !recorded {
        out.get_mut(start..).unwrap_or_default().zeroize();
        out.truncate(start);
        let mut writer = batch.begin(out, time_ms);
        if undone {
            tell(&batch, tried, &mut writer)
        } else {
            tell_unrecorded(&batch, &mut writer)
        }
        writer.finish();
    }
    Instant::now()
}

/// Tries the items in their order until one fails, and writes the answers of those that did not.
async fn try_all(batch: &Batch<'_>, began: Instant, time_ms: u64, out: &mut Vec<u8>) -> Vec<Tried> {
    let mut at = began;
    let mut writer = batch.begin(out, time_ms);
    let (mut implied_id, mut tried) = (None, vec![]);
    for item in &batch.message.items {
        let attempt = batch.attempt(item, time_ms, &mut implied_id, &mut writer, &Later::new(false)).await;
        let (ended, goes_on) = (Instant::now(), attempt.outcome.is_ok());
        tried.push(Tried { attempt, took: ended - at });
        at = ended;
        if !goes_on {
            break;
        }
    }
    writer.finish();
    tried
}

/// What the tenant's gate must be open for when the batch is committed.
fn purpose_of(batch: &Batch<'_>) -> Purpose {
    let mut operations = batch.message.items.iter().filter_map(|item| item.operation.and_then(Operation::from_code));
    if operations.any(|operation| matches!(purpose(operation), Purpose::Protect)) {
        Purpose::Protect
    } else {
        Purpose::Process
    }
}

/// Whether the audit has all of them.
async fn record(batch: &Batch<'_>, tried: &[Tried], undone: bool, time_ms: u64) -> bool {
    let why = tried.last().and_then(|last| last.attempt.outcome.as_ref().err()).map(|failure| failure.reason);
    let mut recorded = true;
    for (item, Tried { attempt, took }) in batch.message.items.iter().zip(tried) {
        let (outcome, epoch) = match &attempt.outcome {
            Err(failure) => (failure.reason.name(), epoch(batch.server, batch.caller)),
            Ok(done) => (if undone { UNDONE } else { "Success" }, done.epoch.0),
        };
        recorded &= batch.record(head(item), time_ms, attempt.key.as_str(), outcome, epoch).await;
        batch.meters.count(item.operation.and_then(Operation::from_code), why, *took);
    }
    recorded
}

/// §11.43: items that had been processed are returned as undone, those after the failed one are not returned.
fn tell(batch: &Batch<'_>, tried: Vec<Tried>, writer: &mut AnswerWriter<'_>) {
    let version = batch.message.header.version;
    for (item, Tried { attempt, .. }) in batch.message.items.iter().zip(tried) {
        match attempt.outcome {
            Ok(_) => writer.undone(head(item), "undone with its batch"),
            Err(failure) => {
                let failure: Failure = refusal::in_version(failure, version);
                writer.failure_with(head(item), &failure, attempt.refused.map(Answer::Check).as_ref());
            }
        }
    }
}

fn tell_unrecorded(batch: &Batch<'_>, writer: &mut AnswerWriter<'_>) {
    for item in &batch.message.items {
        writer.failure(head(item), &unrecorded());
    }
}
