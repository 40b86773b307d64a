//! What a replacement of a key or certificate is (KMIP 1.4 §4.4, §4.5, §4.8): the attributes of what it replaces, but for those that the
//! tables 173, 177 and 187 treat apart, and over them what the client gives. All pure: custody runs it on the stored attributes.
//!
//! Where the server is stricter than the specification, or differs from it:
//!
//! * A key is replaced once, as long as its replacement lives; a destroyed key is not replaced at all.
//! * A replacement is of the same algorithm, and leaves this server only if the key that it replaces may.
//! * Table 173 sets "the Count value in the existing key" to its Total, table 177 that of the replacement. It is the replacement's for
//!   both: a key whose Usage Limits are spent gets nothing back by being replaced.

use custody::object::{Dates, Instances, Link, ObjectMeta, State, UsageLimits};
use kmip::{
    Attribute, ResultReason, TemplateAttribute,
    tables::{AttributeName, LinkType, StandardAttribute},
};

use super::{
    begin, generator, give, give_all,
    slots::{single, slots},
};
use crate::{
    lifecycle,
    refusal::{Outcome, denied, fail, invalid_field},
};

/// What the client wants of a replacement.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wish {
    /// From its Initial Date to its Activation Date.
    pub(crate) offset_s: Option<u32>,
    pub(crate) template: TemplateAttribute,
}

/// The attributes of the replacement of `old`, without its links.
pub(crate) fn replacement(old: &ObjectMeta, wish: &Wish, now_s: i64) -> Outcome<ObjectMeta> {
    if old.state.is_destroyed() {
        return Err(denied("the object is destroyed; create another one"));
    }
    let mut new = ObjectMeta {
        state: State::PreActive,
        dates: dates(&old.dates, wish, now_s)?,
        usage_limits: old.usage_limits.map(|limits| UsageLimits { count: limits.total, ..limits }),
        revocation: None,
        links: Instances::default(),
        wrapping: None,
        digest: None,
        // Said by its bytes.
        certificate: None,
        rng: None,
        fresh: true,
        ..old.clone()
    };
    give_all(&mut new, &wish.template, give_more)?;
    generator::check(new.rng)?;
    new.rng = Some(generator::OURS);
    if new.algorithm != old.algorithm {
        return Err(invalid_field("a replacement is of the Cryptographic Algorithm of the key; create another key"));
    }
    if old.sensitive && !new.sensitive || !old.extractable && new.extractable {
        return Err(denied("a replacement leaves only if the key that it replaces may; create another key"));
    }
    begin(&mut new)?;
    new.state = lifecycle::state_at(&new, now_s);
    Ok(new)
}

/// Of an attribute that repeats, what the old key has stays, and is not given twice.
fn give_more(meta: &mut ObjectMeta, attribute: &Attribute) -> Outcome<()> {
    if single(&attribute.name).is_none() && slots(meta, &attribute.name)?.has(&attribute.value)? {
        return Ok(());
    }
    give(meta, attribute)
}

/// Tables 172, 176 and 186.
fn dates(old: &Dates, wish: &Wish, now_s: i64) -> Outcome<Dates> {
    let (initial, original_creation, last_change) = (Some(now_s), Some(now_s), Some(now_s));
    let Dates { activation, process_start, protect_stop, deactivation, .. } = *old;
    let copied = Dates { activation, process_start, protect_stop, deactivation, ..Dates::default() };
    let new = Dates { initial, original_creation, last_change, ..copied };
    let Some(offset_s) = wish.offset_s else { return Ok(new) };
    if wish.template.attributes.iter().any(|attribute| is_of_the_table(&attribute.name)) {
        // §11.5, §11.6.
        let message = "Offset sets the dates of the replacement; give either Offset or dates";
        return Err(fail(ResultReason::InvalidMessage, message));
    }
    let begins = now_s.saturating_add(i64::from(offset_s));
    if old.activation.is_none() && [old.process_start, old.protect_stop, old.deactivation].iter().any(Option::is_some) {
        // §11.5, §11.6.
        let message =
            "the object has no Activation Date, from which Offset would move its other dates; give dates instead";
        return Err(fail(ResultReason::IllegalOperation, message));
    }
    let moved = |date: Option<i64>| {
        date.zip(old.activation).map(|(date, from)| date.saturating_add(begins.saturating_sub(from)))
    };
    Ok(Dates {
        activation: Some(begins),
        process_start: moved(old.process_start),
        protect_stop: moved(old.protect_stop),
        deactivation: moved(old.deactivation),
        ..new
    })
}

fn is_of_the_table(name: &AttributeName) -> bool {
    use StandardAttribute as A;
    matches!(
        name,
        AttributeName::Standard(A::ActivationDate | A::ProcessStartDate | A::ProtectStopDate | A::DeactivationDate)
    )
}

/// Links both ways, and takes the names from `old`.
pub(crate) fn supersede(old: &mut ObjectMeta, old_id: &str, new: &mut ObjectMeta, new_id: &str, now_s: i64) {
    old.names = Instances::default();
    old.state = lifecycle::state_at(old, now_s);
    old.dates.last_change = Some(now_s);
    // §3.35: "there SHALL be only one such replacement object per Managed Object".
    unlink(old, |link| link.kind == LinkType::ReplacementObjectLink.code());
    old.links.push(link(LinkType::ReplacementObjectLink, new_id));
    if !new.links.contains(&link(LinkType::ReplacedObjectLink, old_id)) {
        new.links.push(link(LinkType::ReplacedObjectLink, old_id));
    }
}

/// The object that replaced this one, as its link names it.
pub(crate) fn linked(meta: &ObjectMeta, kind: LinkType) -> Option<&str> {
    meta.links.iter().find(|link| link.kind == kind.code()).map(|link| link.to.as_str())
}

pub(crate) fn link(kind: LinkType, to: &str) -> Link {
    Link { kind: kind.code(), to: to.to_owned() }
}

/// Takes the links of this kind that name this object.
pub(crate) fn unlink_from(meta: &mut ObjectMeta, kind: LinkType, to: &str) {
    unlink(meta, |link| link.kind == kind.code() && link.to == to);
}

fn unlink(meta: &mut ObjectMeta, goes: impl Fn(&Link) -> bool) {
    let gone: Vec<usize> = meta.links.indexed().filter(|(_, link)| goes(link)).map(|(index, _)| index).collect();
    for index in gone {
        meta.links.remove(index);
    }
}

#[cfg(test)]
mod tests;
