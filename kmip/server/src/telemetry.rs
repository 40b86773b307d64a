//! Counters and latencies by tenant and operation, through the `metrics` facade.
//!
//! The handles are made once for a tenant: making a key for each request would cost more than the cipher.

use std::{sync::OnceLock, time::Duration};

use kmip::tables::{Operation, ResultReason};
use metrics::{Counter, Histogram, counter, histogram};
use orbital::names::TenantId;

/// Operations that are served, and one place for all others.
const OPERATIONS: usize = 64;
/// Success, and each reason.
const OUTCOMES: usize = 27;

/// The counters of one tenant.
#[derive(Debug)]
pub(crate) struct Meters {
    tenant: String,
    counts: Box<[[OnceLock<Counter>; OUTCOMES]]>,
    seconds: Box<[OnceLock<Histogram>]>,
}

impl Meters {
    pub(crate) fn new(tenant: &TenantId) -> Self {
        let counts = std::iter::repeat_with(|| [const { OnceLock::new() }; OUTCOMES]).take(OPERATIONS).collect();
        let seconds = std::iter::repeat_with(OnceLock::new).take(OPERATIONS).collect();
        Self { tenant: tenant.to_string(), counts, seconds }
    }

    /// Counts one operation: `failed` is the reason, if it did.
    pub(crate) fn count(&self, operation: Option<Operation>, failed: Option<ResultReason>, took: Duration) {
        let place = operation.map_or(0, |operation| operation.code() as usize);
        let name = operation.map_or("unknown", Operation::name);
        let outcome = failed.map_or(0, |reason| match reason {
            ResultReason::GeneralFailure => OUTCOMES - 1,
            other => other.code() as usize,
        });
        if let Some(cell) = self.counts.get(place).and_then(|outcomes| outcomes.get(outcome)) {
            let outcome = failed.map_or("Success", ResultReason::name);
            cell.get_or_init(|| {
                counter!("kmip_operations_total", "tenant" => self.tenant.clone(), "operation" => name, "outcome" => outcome)
            })
            .increment(1);
        }
        if let Some(cell) = self.seconds.get(place) {
            cell.get_or_init(
                || histogram!("kmip_operation_seconds", "tenant" => self.tenant.clone(), "operation" => name),
            )
            .record(took.as_secs_f64());
        }
    }
}

/// A connection that did not become a session.
pub(crate) fn turned_away(at: &'static str) {
    counter!("kmip_connections_turned_away_total", "at" => at).increment(1);
}
