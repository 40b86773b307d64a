//! Obtain Lease (KMIP 1.4 §4.17): how long a client may go by what it knows of an object, and when that last changed.
//!
//! A lease is not remembered: whoever holds the object past it does so in spite of the specification, not of this server. It ends with
//! the tenant's own lease in this region at the latest.

use kmip::{
    ops::{Answer, obtain_lease},
    ttlv::{DateTime, Interval},
};

use super::{Allowed, Turn};
use crate::{
    lifecycle::{self, wire_state},
    refusal::{Outcome, denied},
};

pub(super) fn perform(turn: &mut Turn<'_, '_>, object: &Allowed) -> Outcome<()> {
    let meta = turn.meta(object.id)?;
    let state = lifecycle::state_at(&meta, turn.now_s);
    if state.is_destroyed() {
        // §11.18.
        return Err(denied(format!("the object is {}: no lease is given on it", wire_state(state))));
    }
    let left_s = turn
        .keyring
        .lease_left_ms(turn.caller.tenant())
        .map(|left_ms| u32::try_from(left_ms / 1_000).unwrap_or(u32::MAX));
    let lease_time = meta.lease_time_s.unwrap_or(super::store::LEASE_TIME_S).min(left_s.unwrap_or(u32::MAX));
    let last_change = meta.dates.last_change.or(meta.dates.initial).unwrap_or(turn.now_s);
    turn.success(&Answer::ObtainLease(obtain_lease::Answer {
        unique_identifier: &object.text,
        lease_time: Interval(lease_time.max(1)),
        last_change_date: DateTime(last_change),
    }));
    Ok(())
}
