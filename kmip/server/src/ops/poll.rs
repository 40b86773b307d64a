//! Poll (KMIP 1.4 §4.28): performs an operation that was put off, once its keys are open.
//!
//! Its answer is that of the operation, under the operation's name and the Unique Batch Item ID of the Poll. Policy is asked about it as
//! well: it may have changed meanwhile.

use std::pin::Pin;

use custody::names::Epoch;
use kmip::{Operation, ResultReason, message::RequestMessage, ops::poll, ttlv::Limits};
use policy::Permitted;

use super::{Course, Done, Turn};
use crate::{
    pending::Polled,
    refusal::{self, Outcome, fail},
};

type Performed<'f> = Pin<Box<dyn Future<Output = Outcome<Done>> + Send + 'f>>;

pub(super) async fn perform(
    turn: &mut Turn<'_, '_>,
    _: Permitted,
    request: &poll::Request<'_>,
    epoch: Epoch,
) -> Outcome<Done> {
    if turn.kept.is_some() {
        return Err(refusal::unsupported("Poll in a batch with Undo; send it by itself"));
    }
    let name = request.asynchronous_correlation_value;
    let (server, owner) = (turn.server, turn.pending_owner()?);
    let (message, opened) = match server.pendings().poll(name, &owner, turn.now_s) {
        Polled::Unknown => {
            // §11.29.
            return Err(fail(ResultReason::ItemNotFound, "no operation of this client is pending under this value"));
        }
        Polled::Canceled => {
            return Err(fail(ResultReason::OperationCanceledByRequester, "the operation was canceled before it began"));
        }
        Polled::Pending => {
            *turn.course = Course::Pending;
            turn.writer.pending(turn.head, name);
            return Ok(Done { epoch });
        }
        Polled::Ready(message, opened) => (message, opened),
    };
    let done = resume(turn, &message, opened, epoch).await;
    server.pendings().ended(name, done.is_ok());
    done
}

/// Boxed: what it performs is the operation that polls, in another part.
fn resume<'f>(
    turn: &'f mut Turn<'_, '_>,
    message: &'f [u8],
    opened: Result<(), custody::Error>,
    epoch: Epoch,
) -> Performed<'f> {
    Box::pin(async move {
        let again = || refusal::try_again("the pending operation cannot be read any more");
        let message = RequestMessage::read(message, &Limits::REQUEST).map_err(|_| again())?;
        let item = message.items.first().ok_or_else(again)?;
        turn.head.operation = item.operation;
        if let Some(operation) = item.operation.and_then(Operation::from_code) {
            *turn.course = Course::Polled(operation);
        }
        opened.map_err(|error| refusal::of_custody(&error))?;
        super::perform(turn, item, epoch).await
    })
}
