//! Export (KMIP 1.4 §4.40): an object leaves as by Get, with all of its attributes. Of a destroyed one the attributes are left.

use kmip::{
    ops::{Answer, export},
    tables::ObjectType,
};

use super::{Allowed, Turn, get};
use crate::{
    attributes,
    refusal::{self, Outcome},
};

pub(super) async fn perform(turn: &mut Turn<'_, '_>, object: &Allowed, request: &export::Request<'_>) -> Outcome<()> {
    let is_destroyed = turn.meta(object.id)?.state.is_destroyed();
    let key = if is_destroyed { None } else { Some(get::fetched(turn, object, request).await?) };
    // As they are after the key has left: §3.34.
    let meta = turn.meta(object.id)?;
    let object_type = ObjectType::from_code(meta.object_type);
    let object_type = object_type.ok_or_else(|| refusal::unsupported("Export of this type of object"))?;
    let all = attributes::attributes_of(&object.text, &meta, turn.version, turn.now_s);
    let mut answer = export::Answer::of(object_type, &object.text, all);
    if let Some(key) = key {
        answer = answer.with(key);
    }
    // "The server SHALL copy the Unique Identifier returned by this operations into the ID Placeholder variable."
    *turn.implied_id = Some(object.id);
    turn.success(&Answer::Export(Box::new(answer)));
    Ok(())
}
