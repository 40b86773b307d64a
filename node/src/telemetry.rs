//! Telemetry: log lines that carry node, plane and correlation id, metrics with their help, and the TLS provider of the process.
//!
//! `kcm run` calls [`start_log`], [`start_tls`] and [`start_metrics`] once, before anything else. A line outside a [`correlated`] span has
//! no correlation id: it belongs to nobody's click.

mod log;
mod meters;

use orbital::names::Correlation;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use tracing::Span;

pub use log::{Style, start_log};
pub use meters::{Described, METRICS, Shape, UPKEEP_PERIOD, start_metrics};

/// Which plane a process is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plane {
    Governance,
    Execution,
}

impl Plane {
    /// The label in logs.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Governance => "governance",
            Self::Execution => "execution",
        }
    }
}

/// What could not be started.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    #[error("the log filter `{filter}` does not read: {why}; write it as `info` or `info,custody=debug`")]
    Filter { filter: String, why: String },
    #[error("this process logs already: start the log once, before anything else")]
    LogTwice,
    #[error("this process counts already: start metrics once, before anything else")]
    MetricsTwice,
    #[error("the thread that drains the histograms did not start: {0}; raise the limit of threads")]
    NoThread(std::io::Error),
    #[error("the buckets of a histogram: {0}")]
    Buckets(#[from] metrics_exporter_prometheus::BuildError),
    #[error(
        "another TLS provider than aws-lc-rs is installed in this process: install it once, before any TLS is set up"
    )]
    ForeignTls,
}

/// Makes aws-lc-rs the process's TLS provider, X25519MLKEM768 first (DESIGN §2.19). A second call changes nothing.
///
/// # Errors
/// [`TelemetryError::ForeignTls`] where another provider was first.
pub fn start_tls() -> Result<(), TelemetryError> {
    // An error says that one is installed already; which one is looked at next.
    let _installed_before = aws_lc_rs::default_provider().install_default();
    let first = |provider: &CryptoProvider| provider.kx_groups.first().map(|group| group.name());
    let installed = CryptoProvider::get_default().and_then(|provider| first(provider));
    if installed == first(&aws_lc_rs::default_provider()) { Ok(()) } else { Err(TelemetryError::ForeignTls) }
}

/// A span whose every log line carries this correlation id, however deep.
pub fn correlated(id: &Correlation) -> Span {
    tracing::info_span!("correlated", correlation = id.as_str())
}

#[cfg(test)]
mod tests {
    use rustls::NamedGroup;

    use super::*;

    #[test]
    fn tls_begins_with_the_hybrid_group_and_starts_twice() {
        start_tls().unwrap();
        start_tls().unwrap();
        let provider = CryptoProvider::get_default().unwrap();
        assert_eq!(provider.kx_groups.first().unwrap().name(), NamedGroup::X25519MLKEM768);
    }
}
