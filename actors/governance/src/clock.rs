//! Time comes in from outside (STYLE 11): one trait, the system's clock, and nothing else that reads one.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The two clocks that governance needs.
pub trait Clock: Send + Sync + 'static {
    /// Unix milliseconds, for what people read and what expires.
    fn unix_ms(&self) -> u64;
    /// Microseconds since some fixed moment of this run, never going back: for durations.
    fn monotonic_us(&self) -> u64;

    fn unix_seconds(&self) -> u64 {
        self.unix_ms() / 1_000
    }
}

/// The machine's own clocks.
#[derive(Debug)]
pub struct SystemClock {
    started: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        Self { started: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn unix_ms(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
    fn monotonic_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}
