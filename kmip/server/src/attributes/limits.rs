//! The attribute Usage Limits (KMIP 1.4 §3.21): how much a key may still protect.
//!
//! A key that has limits loses of them what the server protects with it, before the answer, and what a client takes with Get Usage
//! Allocation to use the key itself. Until then Total and Unit may be changed, and the limits deleted.

use custody::object::{ObjectMeta, UsageLimits};
use kmip::{
    tables::UsageLimitsUnit,
    ttlv::{Enumeration, LongInteger},
};

use crate::refusal::{Outcome, denied, invalid_field};

/// As they are stored when they are set: all is left.
pub(super) fn stored(limits: &kmip::UsageLimits) -> Outcome<UsageLimits> {
    let (total, unit) = (limits.total.0, limits.unit.0);
    if UsageLimitsUnit::from_code(unit).is_none() {
        return Err(invalid_field(format!("Usage Limits Unit {unit:#x} is not defined")));
    }
    if total < 0 {
        return Err(invalid_field("Usage Limits Total is negative"));
    }
    // "The server SHALL ignore the Usage Limits Count value if the attribute is specified in an operation that creates a new object."
    Ok(UsageLimits { total, count: total, unit })
}

pub(super) fn shown(limits: UsageLimits) -> Option<kmip::UsageLimits> {
    let UsageLimits { total, count, unit } = limits;
    let unit = UsageLimitsUnit::from_code(unit)?.code();
    Some(kmip::UsageLimits { total: LongInteger(total), count: Some(LongInteger(count)), unit: Enumeration(unit) })
}

/// Nothing was taken of them yet.
pub(super) fn untouched(meta: &ObjectMeta) -> bool {
    meta.usage_limits.is_none_or(|limits| limits.count == limits.total)
}

/// How many units the protection of so many bytes takes. Several parts are one object, which the first of them `begins`.
pub(crate) fn units(limits: UsageLimits, bytes: usize, begins: bool) -> i64 {
    match UsageLimitsUnit::from_code(limits.unit) {
        Some(UsageLimitsUnit::Byte) => i64::try_from(bytes).unwrap_or(i64::MAX),
        Some(UsageLimitsUnit::Object) | None => i64::from(begins),
    }
}

/// Takes `units` of what is left; nothing of it if that is less. An object without limits is never short.
pub(crate) fn take(meta: &mut ObjectMeta, units: i64) -> Outcome<()> {
    let Some(limits) = &mut meta.usage_limits else { return Ok(()) };
    if units > limits.count {
        let left = limits.count;
        return Err(denied(format!(
            "the key's Usage Limits leave {left} units, and {units} are needed; use another key"
        )));
    }
    limits.count -= units;
    Ok(())
}
