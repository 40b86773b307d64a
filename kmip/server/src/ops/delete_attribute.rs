//! Delete Attribute (KMIP 1.4 §4.16).

use kmip::{
    ops::{Answer, delete_attribute},
    tables::AttributeName,
};

use super::{Allowed, Turn};
use crate::{attributes::change, refusal::Outcome};

pub(super) async fn perform(
    turn: &mut Turn<'_, '_>,
    object: &Allowed,
    request: delete_attribute::Request<'_>,
) -> Outcome<()> {
    let (now_s, index) = (turn.now_s, request.attribute_index);
    let name = AttributeName::parse(request.attribute_name, turn.version);
    // What the asker's version does not know, its answer could not name.
    let name = name.ok_or_else(|| change::not_there("an attribute of this name"))?;
    let attribute = turn.alter(object, None, move |meta| change::delete(meta, &name, index, now_s)).await?;
    turn.success(&Answer::DeleteAttribute(delete_attribute::Answer { unique_identifier: &object.text, attribute }));
    Ok(())
}
