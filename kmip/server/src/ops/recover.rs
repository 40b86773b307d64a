//! Recover (KMIP 1.4 §4.23): an archived object is on-line again. Of one that is, nothing changes.
//!
//! Its key is unsealed again by whoever needs it; in a batch with Undo, by a request after the batch.

use kmip::ops::{Answer, recover};

use super::{Allowed, Turn};
use crate::refusal::Outcome;

pub(super) async fn perform(turn: &mut Turn<'_, '_>, object: &Allowed) -> Outcome<()> {
    let now_s = turn.now_s;
    turn.recover(object, move |meta| {
        // §3.32: the date goes with every recovery.
        if meta.dates.archive.take().is_some() {
            meta.dates.last_change = Some(now_s);
        }
        Ok(())
    })
    .await?;
    turn.success(&Answer::Recover(recover::Answer { unique_identifier: &object.text }));
    Ok(())
}
