//! Modify Attribute (KMIP 1.4 §4.15).

use kmip::ops::{Answer, modify_attribute};

use super::{Allowed, Turn, store::name_given};
use crate::{attributes::change, refusal::Outcome};

pub(super) async fn perform(
    turn: &mut Turn<'_, '_>,
    object: &Allowed,
    request: modify_attribute::Request<'_>,
) -> Outcome<()> {
    let (now_s, attribute) = (turn.now_s, request.attribute);
    let named = name_given(&attribute);
    let attribute = turn.alter(object, named, move |meta| change::modify(meta, &attribute, now_s)).await?;
    turn.success(&Answer::ModifyAttribute(modify_attribute::Answer { unique_identifier: &object.text, attribute }));
    Ok(())
}
