//! Get Attributes (KMIP 1.4 §4.12). mongod and Percona Server poll the State of their key with it.

use kmip::{
    ResultReason,
    ops::{Answer, get_attributes},
    tables::AttributeName,
};

use super::{Allowed, Turn};
use crate::{
    attributes,
    refusal::{Outcome, fail},
};

pub(super) fn perform(turn: &mut Turn<'_, '_>, object: &Allowed, request: &get_attributes::Request<'_>) -> Outcome<()> {
    let mut names = request.attribute_names.clone();
    names.sort_unstable();
    if names.windows(2).any(|pair| matches!(pair, [one, other] if one == other)) {
        // §11.13.
        return Err(fail(ResultReason::InvalidMessage, "the same Attribute Name is asked for twice"));
    }
    let meta = turn.meta(object.id)?;
    let mut all = attributes::attributes_of(&object.text, &meta, turn.version, turn.now_s);
    if !names.is_empty() {
        // In the order in which they were asked for; a name that the object lacks is left out.
        let wanted = request.attribute_names.iter().filter_map(|name| AttributeName::parse(name, turn.version));
        all = wanted
            .flat_map(|name| all.iter().filter(move |one| one.name == name).cloned().collect::<Vec<_>>())
            .collect();
    }
    turn.success(&Answer::GetAttributes(get_attributes::Answer { unique_identifier: &object.text, attributes: all }));
    Ok(())
}
