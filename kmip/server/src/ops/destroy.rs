//! Destroy (KMIP 1.4 §4.21): the wrapped bytes are wiped, attributes stay, State says Destroyed.

use kmip::ops::{Answer, destroy};

use super::{Allowed, Turn};
use crate::{
    lifecycle::{Event, wire_state},
    refusal::{Outcome, denied},
};

pub(super) async fn perform(turn: &mut Turn<'_, '_>, object: &Allowed) -> Outcome<()> {
    let now_s = turn.now_s;
    turn.change(
        object,
        Event::Destroy,
        move |meta| meta.dates.destroy = Some(now_s),
        |state| {
            // §11.22.
            denied(format!("the object is {}; revoke an active one before destroying it", wire_state(state)))
        },
    )
    .await?;
    turn.success(&Answer::Destroy(destroy::Answer { unique_identifier: &object.text }));
    Ok(())
}
