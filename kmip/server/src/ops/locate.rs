//! Locate (KMIP 1.4 §4.9): newest objects first.

use custody::keyring::{Filter, Located};
use kmip::{
    ResultReason,
    ops::{Answer, locate},
};
use policy::Permitted;

use super::Turn;
use crate::{
    locate::{Wanted, Where},
    refusal::{self, Outcome, fail},
};

pub(super) fn perform(turn: &mut Turn<'_, '_>, _: Permitted, request: &locate::Request) -> Outcome<()> {
    let wanted = Wanted::of(request)?;
    let (offset, max) = (size("Offset Items", request.offset_items)?, size("Maximum Items", request.maximum_items)?);
    let (caller, now_s) = (turn.caller, turn.now_s);
    let by = match wanted.place() {
        Where::Everywhere => Some(None),
        Where::By(by) => Some(Some(by)),
        Where::Nowhere => None,
    };
    let mut found = false;
    let keep = |id, meta: &_| {
        let fits = !(found && wanted.is_one()) && wanted.fits(id, meta, now_s);
        found |= fits;
        fits
    };
    let located = match by {
        None => Located::default(),
        Some(by) => {
            let filter = Filter { by, offset: offset.unwrap_or(0), max };
            let located = turn.keyring.locate(caller.tenant(), caller.system(), filter, keep);
            located.map_err(|error| refusal::of_custody(&error))?
        }
    };
    // §4.9: with exactly one found, it becomes the ID Placeholder.
    *turn.implied_id = match located.ids.as_slice() {
        [only] => Some(*only),
        _ => None,
    };
    let ids: Vec<String> = located.ids.iter().map(ToString::to_string).collect();
    // For whoever asked for a part of them: the profiles' cases expect nothing besides the identifiers otherwise.
    let in_part = offset.or(max).is_some();
    let located_items = in_part.then(|| i32::try_from(located.total).unwrap_or(i32::MAX));
    let unique_identifiers = ids.iter().map(String::as_str).collect();
    turn.success(&Answer::Locate(locate::Answer { located_items, unique_identifiers }));
    Ok(())
}

fn size(name: &str, value: Option<i32>) -> Outcome<Option<usize>> {
    let negative = |_| fail(ResultReason::InvalidField, format!("{name} is negative"));
    value.map(usize::try_from).transpose().map_err(negative)
}
