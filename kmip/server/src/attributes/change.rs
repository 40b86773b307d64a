//! What a client may change of an object, and when (KMIP 1.4 §4.14 to §4.16, errors of §11.15 to §11.17).
//!
//! The table of [`kmip::tables::StandardAttribute::rule`] says who sets an attribute, whether it is changed or deleted and which
//! objects have it; this file says what that means for one object at one time. All three are pure: custody runs them on the stored
//! attributes, one change at a time. Where the server is stricter than the specification:
//!
//! * The attributes of a destroyed object are a record. None of them changes.
//! * Sensitive goes on and Extractable goes off, neither goes back: whether a key may leave is fixed when it is made (PROTOCOL §8),
//!   and whoever has narrowed that since can rely on it.
//! * An index whose instance was deleted is given to the next instance that is added.

use custody::object::{ObjectMeta, State};
use kmip::{
    Attribute, AttributeValue, ProtocolVersion, ResultReason,
    tables::{AttributeName, Change, ObjectType, SetBy, StandardAttribute},
};

use super::{
    attributes_of, limits, set,
    slots::{single, slots},
};
use crate::{
    lifecycle,
    refusal::{Outcome, denied, fail, invalid_field},
};

/// Add Attribute: the first value of an attribute, or one instance more. Answers it with the index that it was given.
pub(crate) fn add(meta: &mut ObjectMeta, attribute: &Attribute, now_s: i64) -> Outcome<Attribute> {
    let name = &attribute.name;
    if attribute.index.is_some() {
        return Err(invalid_field("an Attribute Index is given by the server; leave it out, or use Modify Attribute"));
    }
    begin(meta, now_s)?;
    addable(meta, name)?;
    let index = match single(name) {
        None => slots(meta, name)?.add(&attribute.value, ResultReason::IllegalOperation)?,
        Some(_) if instance(meta, name, 0, now_s).is_some() => {
            let message = format!("{name} has a value already; use Modify Attribute");
            return Err(fail(ResultReason::IllegalOperation, message));
        }
        Some(standard) => {
            in_time(meta, standard, now_s)?;
            uncounted(&attribute.value)?;
            set(meta, standard, &attribute.value)?;
            0
        }
    };
    end(meta, now_s)?;
    instance(meta, name, index, now_s).ok_or_else(|| not_there(name))
}

/// Modify Attribute: another value for an instance that there is. Answers it as it is now.
pub(crate) fn modify(meta: &mut ObjectMeta, attribute: &Attribute, now_s: i64) -> Outcome<Attribute> {
    let name = &attribute.name;
    let index = place(attribute.index)?;
    begin(meta, now_s)?;
    changeable(name)?;
    if !all(meta, now_s).iter().any(|one| one.name == *name) {
        return Err(invalid_field(format!("the object has no {name}; use Add Attribute")));
    }
    if instance(meta, name, index, now_s).is_none() {
        return Err(not_there(name));
    }
    match single(name) {
        None => slots(meta, name)?.replace(index, &attribute.value)?,
        Some(standard) => {
            in_time(meta, standard, now_s)?;
            one_way(meta, standard, &attribute.value)?;
            uncounted(&attribute.value)?;
            set(meta, standard, &attribute.value)?;
        }
    }
    end(meta, now_s)?;
    instance(meta, name, index, now_s).ok_or_else(|| not_there(name))
}

/// Delete Attribute: one instance goes. Answers what it was.
pub(crate) fn delete(
    meta: &mut ObjectMeta,
    name: &AttributeName,
    index: Option<i32>,
    now_s: i64,
) -> Outcome<Attribute> {
    let index = place(index)?;
    begin(meta, now_s)?;
    deletable(name)?;
    let gone = instance(meta, name, index, now_s).ok_or_else(|| not_there(name))?;
    match single(name) {
        None => slots(meta, name)?.remove(index),
        Some(StandardAttribute::Pkcs12FriendlyName) => meta.friendly_name = None,
        Some(StandardAttribute::ContactInformation) => meta.contact = None,
        Some(StandardAttribute::Description) => meta.description = None,
        Some(StandardAttribute::Comment) => meta.comment = None,
        Some(standard @ StandardAttribute::UsageLimits) => {
            in_time(meta, standard, now_s)?;
            meta.usage_limits = None;
        }
        Some(_) => return Err(not_there(name)),
    }
    meta.custom.retain(|_, values| !values.is_empty());
    end(meta, now_s)?;
    Ok(gone)
}

/// §11.17: no attribute of this name, or no instance of this index.
pub(crate) fn not_there(name: impl std::fmt::Display) -> kmip::message::Failure {
    fail(ResultReason::ItemNotFound, format!("the object has no such instance of {name}"))
}

/// §4.15, §4.16: no index is index 0.
fn place(index: Option<i32>) -> Outcome<usize> {
    usize::try_from(index.unwrap_or(0)).map_err(|_| invalid_field("Attribute Index is negative"))
}

/// Brings the stored state up to the clock, so that the rules see the one that the object is in.
fn begin(meta: &mut ObjectMeta, now_s: i64) -> Outcome<()> {
    if meta.state.is_destroyed() {
        return Err(denied("the object is destroyed; its attributes are a record and do not change"));
    }
    meta.state = lifecycle::state_at(meta, now_s);
    Ok(())
}

/// §3.22: a date that has come moves the state at once. §3.49, §3.51: what once was does not become "always" or "never".
fn end(meta: &mut ObjectMeta, now_s: i64) -> Outcome<()> {
    lifecycle::check_dates(&meta.dates)?;
    meta.state = lifecycle::state_at(meta, now_s);
    meta.always_sensitive &= meta.sensitive;
    meta.never_extractable &= !meta.extractable;
    meta.dates.last_change = Some(now_s);
    Ok(())
}

fn all(meta: &ObjectMeta, now_s: i64) -> Vec<Attribute> {
    attributes_of("", meta, ProtocolVersion::V1_4, now_s)
}

fn instance(meta: &ObjectMeta, name: &AttributeName, index: usize, now_s: i64) -> Option<Attribute> {
    let has = |one: &Attribute| one.name == *name && usize::try_from(one.index.unwrap_or(0)) == Ok(index);
    all(meta, now_s).into_iter().find(has)
}

/// §3.39: what begins with `y-` is the server's.
fn is_servers(custom: &str) -> bool {
    custom.starts_with("y-")
}

fn addable(meta: &ObjectMeta, name: &AttributeName) -> Outcome<()> {
    let rule = match name {
        AttributeName::Standard(standard) => standard.rule(),
        AttributeName::Custom(custom) if is_servers(custom) => return Err(read_only(name)),
        AttributeName::Custom(_) => return Ok(()),
    };
    match rule.set_by {
        SetBy::Server => return Err(read_only(name)),
        SetBy::Creator => {
            return Err(denied(format!("{name} is given in the request that makes the object, and not later")));
        }
        SetBy::Client => {}
    }
    match ObjectType::from_code(meta.object_type) {
        Some(object_type) if !rule.applies_to.covers(object_type) => {
            Err(denied(format!("an object of type {object_type} has no {name}")))
        }
        _ => Ok(()),
    }
}

fn changeable(name: &AttributeName) -> Outcome<()> {
    let fixed = match name {
        AttributeName::Standard(standard) => standard.rule().change == Change::Never,
        AttributeName::Custom(custom) => is_servers(custom),
    };
    if fixed { Err(read_only(name)) } else { Ok(()) }
}

fn deletable(name: &AttributeName) -> Outcome<()> {
    let kept = match name {
        AttributeName::Standard(standard) => !standard.rule().deletable,
        AttributeName::Custom(custom) => is_servers(custom),
    };
    if kept { Err(denied(format!("{name} cannot be deleted by a client"))) } else { Ok(()) }
}

fn read_only(name: &AttributeName) -> kmip::message::Failure {
    denied(format!("{name} is read-only for clients"))
}

/// The dates of §3.24 to §3.27 may be set as long as what they announce has not come; limits, as long as nothing was taken of them.
fn in_time(meta: &ObjectMeta, name: StandardAttribute, now_s: i64) -> Outcome<()> {
    let in_use = matches!(meta.state, State::PreActive | State::Active);
    let date = match name {
        StandardAttribute::ProcessStartDate => meta.dates.process_start,
        StandardAttribute::ProtectStopDate => meta.dates.protect_stop,
        _ => None,
    };
    let ok = match name.rule().change {
        Change::PreActive => meta.state == State::PreActive,
        Change::InUse => in_use,
        Change::UntilReached => in_use && date.is_none_or(|date| date > now_s),
        Change::Unallocated => limits::untouched(meta),
        Change::Never | Change::Always => true,
    };
    if ok {
        return Ok(());
    }
    if name.rule().change == Change::Unallocated {
        return Err(denied("the key was used within its Usage Limits: they are fixed"));
    }
    let (name, state) = (name.rule().name, lifecycle::wire_state(meta.state));
    Err(denied(format!("the object is {state}: its {name} is fixed")))
}

/// §3.21: "The Usage Limits Count value SHALL NOT be set or modified by the client."
fn uncounted(value: &AttributeValue) -> Outcome<()> {
    match value {
        AttributeValue::UsageLimits(limits) if limits.count.is_some() => {
            Err(invalid_field("Usage Limits Count is the server's; give Total and Unit alone"))
        }
        _ => Ok(()),
    }
}

fn one_way(meta: &ObjectMeta, name: StandardAttribute, value: &AttributeValue) -> Outcome<()> {
    let back = match (name, value) {
        (StandardAttribute::Sensitive, AttributeValue::Boolean(on)) => meta.sensitive && !on,
        (StandardAttribute::Extractable, AttributeValue::Boolean(on)) => !meta.extractable && *on,
        _ => false,
    };
    if back {
        let name = name.rule().name;
        return Err(denied(format!("{name} keeps a key from leaving, which is not taken back; create another key")));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
