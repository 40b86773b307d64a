//! Metrics: the one list of what this process counts, and the recorder that renders it for Prometheus.
//!
//! Crates count through the `metrics` facade under these names; a test holds the list against the sources, both ways.

use std::time::Duration;

use metrics::{KeyName, Recorder};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use super::TelemetryError;

/// How often the histograms are drained: what is recorded in between waits in memory.
pub const UPKEEP_PERIOD: Duration = Duration::from_secs(5);

/// Upper bounds of a KMIP operation's latency, in seconds: from a cipher in memory to an unseal at a slow KMS.
const OPERATION_SECONDS: [f64; 16] = [
    0.000_01, 0.000_025, 0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5,
    10.0,
];

/// What a metric is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Shape {
    Counter,
    Gauge,
    Histogram,
}

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Described {
    pub name: &'static str,
    pub shape: Shape,
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

const fn described(name: &'static str, shape: Shape, labels: &'static [&'static str], help: &'static str) -> Described {
    Described { name, shape, labels, help }
}

/// Every metric, with the labels that it may have.
pub const METRICS: [Described; 30] = [
    described(
        "orbital_oldest_unacknowledged_seconds",
        Shape::Gauge,
        &["region", "lane"],
        "Age of the oldest directive that the region has not acknowledged, 0 where none is owed. Alert on it: a region that has not acknowledged a stop may still serve.",
    ),
    described(
        "orbital_depth",
        Shape::Gauge,
        &["region", "lane"],
        "Directives owed to the region and not acknowledged.",
    ),
    described(
        "orbital_connected",
        Shape::Gauge,
        &["region", "lane"],
        "1 where the lane's session with the region is up, else 0.",
    ),
    described(
        "orbital_reconciliation_lag_seconds",
        Shape::Gauge,
        &["region", "lane"],
        "Time since the region last held what governance decided, 0 where it does.",
    ),
    described(
        "orbital_stalled_total",
        Shape::Counter,
        &["region", "lane"],
        "Directives that waited too long for their acknowledgement; each is in the log too.",
    ),
    described(
        "orbital_frames_refused_total",
        Shape::Counter,
        &["region", "lane"],
        "Frames whose sender, signature, order or content was refused.",
    ),
    described(
        "orbital_acks_refused_total",
        Shape::Counter,
        &["region"],
        "Acknowledgements that proved nothing and were not taken.",
    ),
    described("governance_proposals", Shape::Gauge, &["state"], "Proposals by state."),
    described(
        "custody_restarts_total",
        Shape::Counter,
        &[],
        "Times that the region's key cache fell and was put up anew.",
    ),
    described(
        "governance_restarts_total",
        Shape::Counter,
        &[],
        "Actors of governance that their supervisor started again.",
    ),
    described(
        "governance_notices_total",
        Shape::Counter,
        &["channel", "state"],
        "Notices that were taken up, and attempts at them, by what they came to; failed and dropped ones are in the log too.",
    ),
    described(
        "custody_lease_left_seconds",
        Shape::Gauge,
        &["tenant"],
        "Time until the tenant's lease ends and its keys lock, infinity where the lease is unlimited.",
    ),
    described(
        "custody_l1_state",
        Shape::Gauge,
        &["tenant", "state"],
        "1 for the state in which the customer's key was last seen, such as ENABLED, 0 for the others.",
    ),
    described("custody_locked_slots", Shape::Gauge, &["state"], "Slots of locked memory, used and in total."),
    described("custody_locked_bytes", Shape::Gauge, &[], "Bytes of locked memory."),
    described(
        "custody_forks_total",
        Shape::Counter,
        &[],
        "Second certified successors of a trust version that this region has met. Alert on it: the tenant is frozen.",
    ),
    described(
        "custody_recoveries_total",
        Shape::Counter,
        &[],
        "Changes of people by cold keys that this region has received and that wait. Alert on it: cancel what nobody meant.",
    ),
    described(
        "governance_forks_total",
        Shape::Counter,
        &[],
        "Second certified successors of a trust version that governance has learnt of. Alert on it: the tenant is frozen.",
    ),
    described("custody_kills_total", Shape::Counter, &[], "Kills that took effect since the process started."),
    described("custody_blocks_total", Shape::Counter, &[], "Blocks that took effect since the process started."),
    described(
        "custody_suspensions_total",
        Shape::Counter,
        &[],
        "Suspensions that took effect since the process started.",
    ),
    described(
        "custody_directive_faults_total",
        Shape::Counter,
        &["directive"],
        "Directives that a failure of disk or memory kept from taking effect; the sender tries again.",
    ),
    described(
        "kmip_operations_total",
        Shape::Counter,
        &["tenant", "operation", "outcome"],
        "KMIP operations by result: Success, or the reason of the failure.",
    ),
    described(
        "kmip_operation_seconds",
        Shape::Histogram,
        &["tenant", "operation"],
        "Time that a KMIP operation took within the server.",
    ),
    described("kmip_connections", Shape::Gauge, &["tenant"], "KMIP connections that are open."),
    described(
        "kmip_connections_turned_away_total",
        Shape::Counter,
        &["at"],
        "KMIP connections that did not become a session, by the step at which they ended.",
    ),
    described(
        "kcm_portal_requests_total",
        Shape::Counter,
        &["status"],
        "Requests that the portal answered, by HTTP status.",
    ),
    described(
        "kcm_portal_handshakes_refused_total",
        Shape::Counter,
        &[],
        "Connections that the portal ended before their first request: no sound handshake, or no place.",
    ),
    described(
        "kcm_portal_sign_ins_failed_total",
        Shape::Counter,
        &[],
        "Sign-ins that ended in a refusal: by the provider, by its token, or by a limit.",
    ),
    described(
        "kcm_stop_requests_total",
        Shape::Counter,
        &["outcome"],
        "Connections to the stop listener: answered by the region, refused, failed, gave_way to another, or crowded out by stops of the same sender.",
    ),
];

/// Starts the metrics of this process, and a thread that keeps the histograms small.
///
/// # Errors
/// [`TelemetryError::MetricsTwice`] where the process counts already, [`TelemetryError::NoThread`] where the system has no thread to give.
pub fn start_metrics() -> Result<PrometheusHandle, TelemetryError> {
    let (recorder, handle) = recorder()?;
    metrics::set_global_recorder(recorder).map_err(|_| TelemetryError::MetricsTwice)?;
    let kept = handle.clone();
    let keep = move || {
        loop {
            std::thread::sleep(UPKEEP_PERIOD);
            kept.run_upkeep();
        }
    };
    std::thread::Builder::new().name("metrics".to_owned()).spawn(keep).map_err(TelemetryError::NoThread)?;
    Ok(handle)
}

/// A recorder with the help of each metric.
fn recorder() -> Result<(PrometheusRecorder, PrometheusHandle), TelemetryError> {
    let seconds = Matcher::Full("kmip_operation_seconds".to_owned());
    let recorder = PrometheusBuilder::new().set_buckets_for_metric(seconds, &OPERATION_SECONDS)?.build_recorder();
    for metric in METRICS {
        let (name, help) = (KeyName::from_const_str(metric.name), metric.help.into());
        match metric.shape {
            Shape::Counter => recorder.describe_counter(name, None, help),
            Shape::Gauge => recorder.describe_gauge(name, None, help),
            Shape::Histogram => recorder.describe_histogram(name, None, help),
        }
    }
    let handle = recorder.handle();
    Ok((recorder, handle))
}

#[cfg(test)]
mod tests {
    use std::{
        collections::BTreeSet,
        fs,
        path::{Path, PathBuf},
    };

    use super::*;

    /// Folders whose product code may count.
    const COUNTING: [&str; 5] = ["actors", "kmip", "portal-api/src", "topology/src", "node/src"];
    const MACROS: [(&str, Shape); 3] =
        [("counter!(", Shape::Counter), ("gauge!(", Shape::Gauge), ("histogram!(", Shape::Histogram)];
    /// How the name of a metric begins.
    const PREFIXES: [&str; 5] = ["orbital_", "governance_", "custody_", "kmip_", "kcm_"];

    fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("tests") {
                rust_files(&path, into);
            } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
                into.push(path);
            }
        }
    }

    /// The product code of each file that counts something, but for this one.
    fn counting() -> Vec<String> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let mut files = Vec::new();
        COUNTING.iter().for_each(|folder| rust_files(&root.join(folder), &mut files));
        files.retain(|file| !file.ends_with("telemetry/meters.rs"));
        let product = |file: &PathBuf| {
            let text = fs::read_to_string(file).unwrap();
            text.split("#[cfg(test)]\nmod tests {").next().unwrap().to_owned()
        };
        files.iter().map(product).filter(|text| MACROS.iter().any(|(mark, _)| text.contains(mark))).collect()
    }

    /// What stands in quotes.
    fn literals(source: &str) -> BTreeSet<&str> {
        source.lines().flat_map(|line| line.split('"').skip(1).step_by(2)).collect()
    }

    /// The names of metrics among a file's literals: some are passed on in variables.
    fn names(source: &str) -> BTreeSet<&str> {
        let plain = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
        let named = |text: &&str| plain(text) && PREFIXES.iter().any(|p| text.starts_with(p));
        literals(source).into_iter().filter(named).collect()
    }

    /// Shape, name and labels of each call that names its metric in place.
    fn calls(source: &str) -> Vec<(Shape, &str, BTreeSet<&str>)> {
        let mut found = Vec::new();
        for (mark, shape) in MACROS {
            for rest in source.split(mark).skip(1) {
                let arguments = arguments(rest);
                let Some(name) = arguments.trim_start().strip_prefix('"').and_then(|n| n.split('"').next()) else {
                    continue;
                };
                let before = arguments.match_indices("=>").map(|(at, _)| arguments.split_at(at).0.trim_end());
                let keys = before.filter_map(|b| b.strip_suffix('"')?.rsplit('"').next());
                found.push((shape, name, keys.collect()));
            }
        }
        found
    }

    /// The text between a macro's opening parenthesis and the one that closes it.
    fn arguments(rest: &str) -> &str {
        let mut depth = 1;
        for (at, c) in rest.char_indices() {
            depth += i32::from(c == '(') - i32::from(c == ')');
            if depth == 0 {
                return rest.split_at(at).0;
            }
        }
        rest
    }

    #[test]
    fn the_list_names_what_the_sources_count_and_nothing_else() {
        let sources = counting();
        let counted: BTreeSet<&str> = sources.iter().flat_map(|s| names(s)).collect();
        let listed: BTreeSet<&str> = METRICS.iter().map(|m| m.name).collect();
        assert_eq!(listed, counted, "METRICS (left) and the sources (right)");
        assert_eq!(listed.len(), METRICS.len(), "a name stands twice");
    }

    #[test]
    fn shapes_and_labels_are_those_of_the_sources() {
        let sources = counting();
        for (shape, name, labels) in sources.iter().flat_map(|s| calls(s)) {
            let metric = METRICS.iter().find(|m| m.name == name).unwrap_or_else(|| panic!("{name} is not listed"));
            assert_eq!(metric.shape, shape, "{name}");
            let unlisted: Vec<_> = labels.iter().filter(|l| !metric.labels.contains(l)).collect();
            assert!(unlisted.is_empty(), "{name}: {unlisted:?}");
        }
        for metric in METRICS {
            let counting_it = || sources.iter().filter(|s| names(s).contains(metric.name));
            for label in metric.labels {
                assert!(counting_it().any(|s| literals(s).contains(label)), "{}: nobody sets {label}", metric.name);
            }
        }
    }

    #[test]
    fn the_scan_sees_names_and_labels_over_lines() {
        let source =
            "counter!(\n \"kmip_a_total\",\n \"x\" => f(1), \"y\" => \"z\").increment(1); gauge!(\"kcm_b\").set(1.0)";
        let found = calls(source);
        assert_eq!(found[0], (Shape::Counter, "kmip_a_total", ["x", "y"].into()));
        assert_eq!(found[1], (Shape::Gauge, "kcm_b", BTreeSet::new()));
        assert_eq!(names(source), ["kcm_b", "kmip_a_total"].into());
    }

    #[test]
    fn each_metric_is_rendered_with_its_help() {
        let (recorder, handle) = recorder().unwrap();
        metrics::with_local_recorder(&recorder, || {
            for metric in METRICS {
                match metric.shape {
                    Shape::Counter => metrics::counter!(metric.name).increment(1),
                    Shape::Gauge => metrics::gauge!(metric.name).set(1.0),
                    Shape::Histogram => metrics::histogram!(metric.name).record(0.000_02),
                }
            }
        });
        handle.run_upkeep();
        let text = handle.render();
        for metric in METRICS {
            assert!(text.contains(&format!("# HELP {} {}", metric.name, metric.help)), "{}\n{text}", metric.name);
        }
        assert!(text.contains("kmip_operation_seconds_bucket{le=\"0.000025\"} 1"), "{text}");
        assert!(text.contains("kmip_operation_seconds_bucket{le=\"0.00001\"} 0"), "{text}");
    }
}
