//! Add Attribute (KMIP 1.4 §4.14).

use kmip::ops::{Answer, add_attribute};

use super::{Allowed, Turn, store::name_given};
use crate::{attributes::change, refusal::Outcome};

pub(super) async fn perform(
    turn: &mut Turn<'_, '_>,
    object: &Allowed,
    request: add_attribute::Request<'_>,
) -> Outcome<()> {
    let (now_s, attribute) = (turn.now_s, request.attribute);
    let named = name_given(&attribute);
    let attribute = turn.alter(object, named, move |meta| change::add(meta, &attribute, now_s)).await?;
    turn.success(&Answer::AddAttribute(add_attribute::Answer { unique_identifier: &object.text, attribute }));
    Ok(())
}
