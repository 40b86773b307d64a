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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use metrics::{CounterFn, Gauge, Key, KeyName, Metadata, Recorder, SharedString, Unit};
    use orbital::names::Digest;
    use parking_lot::Mutex;

    use super::*;

    /// Keeps what was counted, by name and labels.
    #[derive(Clone, Default)]
    struct Seen(Arc<Mutex<Vec<String>>>);

    struct One(Seen, String);

    impl CounterFn for One {
        fn increment(&self, value: u64) {
            self.0.0.lock().push(format!("{} {value}", self.1));
        }
        fn absolute(&self, _: u64) {}
    }

    impl Recorder for Seen {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            let labels: Vec<&str> = key.labels().map(metrics::Label::value).collect();
            Counter::from_arc(Arc::new(One(self.clone(), format!("{} {}", key.name(), labels.join(" ")))))
        }
        fn register_gauge(&self, _: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::noop()
        }
        fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
            self.0.lock().push(key.name().to_owned());
            Histogram::noop()
        }
    }

    #[test]
    fn operations_are_counted_by_tenant_operation_and_outcome() {
        let tenant = TenantId(Digest([1; 32]));
        let (seen, meters) = (Seen::default(), Meters::new(&tenant));
        metrics::with_local_recorder(&seen, || {
            let took = Duration::from_micros(5);
            meters.count(Some(Operation::Encrypt), None, took);
            meters.count(Some(Operation::Encrypt), None, took);
            meters.count(Some(Operation::Export), Some(ResultReason::GeneralFailure), took);
            meters.count(None, Some(ResultReason::ObjectAlreadyExists), took);
        });
        let expected = [
            format!("kmip_operations_total {tenant} Encrypt Success 1"),
            "kmip_operation_seconds".to_owned(),
            format!("kmip_operations_total {tenant} Encrypt Success 1"),
            format!("kmip_operations_total {tenant} Export General Failure 1"),
            "kmip_operation_seconds".to_owned(),
            format!("kmip_operations_total {tenant} unknown Object Already Exists 1"),
            "kmip_operation_seconds".to_owned(),
        ];
        assert_eq!(*seen.0.lock(), expected);
    }
}
