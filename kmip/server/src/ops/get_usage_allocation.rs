//! Get Usage Allocation (KMIP 1.4 §4.18): a client takes of what is left to protect, to use the key itself.

use kmip::{
    ResultReason,
    ops::{Answer, get_usage_allocation},
};

use super::{Allowed, Turn};
use crate::{
    attributes::limits,
    lifecycle,
    refusal::{Outcome, fail, invalid_field},
};

pub(super) async fn perform(
    turn: &mut Turn<'_, '_>,
    object: &Allowed,
    request: &get_usage_allocation::Request<'_>,
) -> Outcome<()> {
    let (now_s, units) = (turn.now_s, request.usage_limits_count.0);
    if units < 0 {
        return Err(invalid_field("Usage Limits Count is negative"));
    }
    turn.update(object, move |meta| {
        // §11.19.
        if meta.usage_limits.is_none() {
            return Err(fail(ResultReason::IllegalOperation, "the object has no Usage Limits: its use is not counted"));
        }
        lifecycle::protects(meta, now_s).map_err(|failure| fail(ResultReason::IllegalOperation, failure.message))?;
        limits::take(meta, units)?;
        meta.dates.last_change = Some(now_s);
        Ok(())
    })
    .await?;
    turn.success(&Answer::GetUsageAllocation(get_usage_allocation::Answer { unique_identifier: &object.text }));
    Ok(())
}
