//! Revoke (KMIP 1.4 §4.20). It ends one key's use for protection; the tenant's kill switch is another thing.

use custody::object::Revocation;
use kmip::{
    ResultReason,
    ops::{Answer, revoke},
    tables::RevocationReasonCode,
};

use super::{Allowed, Turn};
use crate::{
    lifecycle::{Event, wire_state},
    refusal::{Outcome, fail},
};

pub(super) async fn perform(turn: &mut Turn<'_, '_>, object: &Allowed, request: revoke::Request<'_>) -> Outcome<()> {
    let now_s = turn.now_s;
    let code = request.revocation_reason.code;
    let event = match code {
        RevocationReasonCode::KeyCompromise | RevocationReasonCode::CaCompromise => Event::Compromise,
        _ => Event::Deactivate,
    };
    let occurrence = request.compromise_occurrence_date.map(|date| date.0);
    let revocation = Revocation { reason: code.code(), message: request.revocation_reason.message };
    turn.change(
        object,
        event,
        move |meta| {
            meta.revocation = Some(revocation);
            match event {
                Event::Compromise => {
                    meta.dates.compromise = Some(now_s);
                    // §3.29: if the client does not know when it happened, the Initial Date should be taken.
                    meta.dates.compromise_occurrence = occurrence.or(meta.dates.initial);
                }
                _ => meta.dates.deactivation = Some(now_s),
            }
        },
        |state| {
            let message = format!("an object that is {} cannot be revoked for this reason", wire_state(state));
            fail(ResultReason::IllegalOperation, message)
        },
    )
    .await?;
    turn.success(&Answer::Revoke(revoke::Answer { unique_identifier: &object.text }));
    Ok(())
}
