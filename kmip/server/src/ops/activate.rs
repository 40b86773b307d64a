//! Activate (KMIP 1.4 §4.19).

use kmip::ops::{Answer, activate};

use super::{Allowed, Turn};
use crate::{
    lifecycle::{Event, wire_state},
    refusal::{Outcome, denied},
};

pub(super) async fn perform(turn: &mut Turn<'_, '_>, object: &Allowed) -> Outcome<()> {
    let now_s = turn.now_s;
    turn.change(
        object,
        Event::Activate,
        move |meta| meta.dates.activation = Some(now_s),
        |state| {
            // §11.20: the object is not in Pre-Active state.
            denied(format!("the object is {}; only a Pre-Active one can be activated", wire_state(state)))
        },
    )
    .await?;
    turn.success(&Answer::Activate(activate::Answer { unique_identifier: &object.text }));
    Ok(())
}
