//! Archive (KMIP 1.4 §4.22): the object's key leaves locked memory and stays wrapped on the shelf, and whatever names the object is
//! refused, until it is recovered. A Locate finds it by the Storage Status Mask.

use kmip::ops::{Answer, archive};

use super::{Allowed, Turn};
use crate::refusal::{Outcome, denied};

pub(super) async fn perform(turn: &mut Turn<'_, '_>, object: &Allowed) -> Outcome<()> {
    let now_s = turn.now_s;
    turn.update(object, move |meta| {
        if meta.state.is_destroyed() {
            return Err(denied("the object is destroyed; its attributes are a record and stay on-line"));
        }
        meta.dates.archive = Some(now_s);
        meta.dates.last_change = Some(now_s);
        Ok(())
    })
    .await?;
    turn.success(&Answer::Archive(archive::Answer { unique_identifier: &object.text }));
    Ok(())
}
