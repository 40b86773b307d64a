//! Cancel (KMIP 1.4 §4.27).

use kmip::ops::{Answer, cancel};
use policy::Permitted;

use super::Turn;
use crate::refusal::Outcome;

pub(super) fn perform(turn: &mut Turn<'_, '_>, _: Permitted, request: &cancel::Request<'_>) -> Outcome<()> {
    let asynchronous_correlation_value = request.asynchronous_correlation_value;
    let owner = turn.pending_owner()?;
    let cancellation_result = turn.server.pendings().cancel(asynchronous_correlation_value, &owner, turn.now_s);
    turn.success(&Answer::Cancel(cancel::Answer { asynchronous_correlation_value, cancellation_result }));
    Ok(())
}
