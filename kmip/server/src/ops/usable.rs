//! Whether a borrowed key may be used now, and so: its form, its state and its usage mask.

use custody::{
    key_table::{Borrow, Purpose},
    object::ObjectMeta,
};
use kmip::tables::UsageMask;

use super::unwrapped;
use crate::{
    lifecycle,
    refusal::{self, Outcome},
};

/// The attributes of the key, if it may be used for these uses and the purpose of its borrow.
pub(super) fn usable(borrow: &Borrow, uses: UsageMask, now_s: i64) -> Outcome<&ObjectMeta> {
    let meta = borrow.meta().ok_or_else(refusal::not_found)?;
    unwrapped(meta)?;
    match borrow.purpose() {
        Purpose::Protect => lifecycle::may_protect(meta, uses, now_s)?,
        Purpose::Process => lifecycle::may_process(meta, uses, now_s)?,
    }
    Ok(meta)
}
