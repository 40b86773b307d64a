//! Check (KMIP 1.4 §4.10): whether an object may be used as the client intends. It changes nothing and grants nothing.
//!
//! A refusal names what was asked for in vain, besides the failure, and forgets the ID Placeholder: what follows in the batch
//! does not work on an object that may not be used.

use custody::object::ObjectMeta;
use kmip::{
    ops::{Answer, check},
    tables::UsageMask,
};

use super::{Allowed, Turn, store::LEASE_TIME_S};
use crate::{
    lifecycle,
    refusal::{Outcome, denied},
};

pub(super) fn perform(turn: &mut Turn<'_, '_>, object: &Allowed, request: &check::Request<'_>) -> Outcome<()> {
    let meta = turn.meta(object.id)?;
    let refused = in_vain(&meta, request);
    if refused != check::Answer::default() {
        *turn.implied_id = None;
        *turn.refused = Some(refused);
        return Err(denied("the object may not be used so; the answer names what was asked for in vain"));
    }
    let unique_identifier = Some(&*object.text);
    turn.success(&Answer::Check(check::Answer { unique_identifier, ..check::Answer::default() }));
    Ok(())
}

/// What of the request the object does not allow.
fn in_vain(meta: &ObjectMeta, request: &check::Request<'_>) -> check::Answer<'static> {
    let lease_s = meta.lease_time_s.unwrap_or(LEASE_TIME_S);
    check::Answer {
        unique_identifier: None,
        usage_limits_count: request
            .usage_limits_count
            .filter(|asked| meta.usage_limits.is_some_and(|limits| asked.0 > limits.count)),
        cryptographic_usage_mask: request
            .cryptographic_usage_mask
            .filter(|&asked| !lifecycle::usage(meta).allows(UsageMask(asked))),
        lease_time: request.lease_time.filter(|asked| asked.0 > lease_s),
    }
}
