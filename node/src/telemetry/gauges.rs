//! Gauges of a region that its composition root sets from what custody reports, before `/metrics` is rendered ([`crate::health::Health`]).

use metrics::gauge;
use orbital::{
    names::TenantId,
    report::{L1State, Load},
};

/// Every state of an L1 key with its label.
const L1_STATES: [(L1State, &str); 7] = [
    (L1State::Pending, "PENDING"),
    (L1State::Enabled, "ENABLED"),
    (L1State::Disabled, "DISABLED"),
    (L1State::Forbidden, "FORBIDDEN"),
    (L1State::Unreachable, "UNREACHABLE"),
    (L1State::PendingDeletion, "PENDING_DELETION"),
    (L1State::Deleted, "DELETED"),
];

/// What is left of a tenant's lease, in seconds. None says unlimited, and shows as infinity.
pub fn show_lease(tenant: &TenantId, left_s: Option<u64>) {
    gauge!("custody_lease_left_seconds", "tenant" => tenant.to_string()).set(left_s.map_or(f64::INFINITY, whole));
}

/// The state in which a tenant's L1 key was last seen.
pub fn show_l1(tenant: &TenantId, state: L1State) {
    for (each, label) in L1_STATES {
        let here = if each == state { 1.0 } else { 0.0 };
        gauge!("custody_l1_state", "tenant" => tenant.to_string(), "state" => label).set(here);
    }
}

/// Locked memory and connections of this node.
pub fn show_load(load: &Load) {
    gauge!("custody_locked_slots", "state" => "used").set(whole(load.slots_used));
    gauge!("custody_locked_slots", "state" => "total").set(whole(load.slots_total));
    gauge!("custody_locked_bytes").set(whole(load.locked_bytes));
    gauge!("kmip_connections").set(whole(load.connections));
}

/// A count as a gauge's value: exact up to 2^53.
#[allow(clippy::cast_precision_loss, reason = "gauges are doubles; no count here comes near 2^53")]
fn whole(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use orbital::names::Digest;

    use super::*;
    use crate::telemetry::meters;

    #[test]
    fn the_gauges_show_what_is_told_last() {
        let (recorder, handle) = meters::recorder().unwrap();
        let tenant = TenantId(Digest([7; 32]));
        let load = Load { locked_bytes: 4_096, slots_used: 3, slots_total: 64, connections: 9, ..Load::default() };
        metrics::with_local_recorder(&recorder, || {
            show_l1(&tenant, L1State::Enabled);
            show_l1(&tenant, L1State::Unreachable);
            show_lease(&tenant, Some(60));
            show_lease(&tenant, None);
            show_load(&load);
        });
        let text = handle.render();
        for line in [
            format!("custody_l1_state{{tenant=\"{tenant}\",state=\"ENABLED\"}} 0"),
            format!("custody_l1_state{{tenant=\"{tenant}\",state=\"UNREACHABLE\"}} 1"),
            format!("custody_lease_left_seconds{{tenant=\"{tenant}\"}} inf"),
            "custody_locked_slots{state=\"used\"} 3".to_owned(),
            "custody_locked_slots{state=\"total\"} 64".to_owned(),
            "custody_locked_bytes 4096".to_owned(),
            "kmip_connections 9".to_owned(),
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }

    #[test]
    fn the_label_of_a_state_is_the_word_that_is_reported() {
        for (state, label) in L1_STATES {
            assert_eq!(serde_json::to_value(state).unwrap(), label);
        }
    }
}
