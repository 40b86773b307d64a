//! Get Attribute List (KMIP 1.4 §4.13).

use kmip::ops::{Answer, get_attribute_list};

use super::{Allowed, Turn};
use crate::{attributes, refusal::Outcome};

pub(super) fn perform(turn: &mut Turn<'_, '_>, object: &Allowed) -> Outcome<()> {
    let meta = turn.meta(object.id)?;
    let all = attributes::attributes_of(&object.text, &meta, turn.version, turn.now_s);
    let mut attribute_names: Vec<&str> = all.iter().map(|attribute| attribute.name.as_str()).collect();
    attribute_names.dedup();
    let unique_identifier = &object.text;
    turn.success(&Answer::GetAttributeList(get_attribute_list::Answer { unique_identifier, attribute_names }));
    Ok(())
}
