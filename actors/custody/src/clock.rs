//! Where time comes in.
//!
//! Leases run on CLOCK_BOOTTIME, which counts suspends and which nobody can set; the wall clock only bridges restarts
//! (PROTOCOL §5). Everything that decides takes a [`Now`]; this file alone reads a clock.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// One reading of the node's clocks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    /// CLOCK_BOOTTIME, milliseconds since this machine started, suspends included.
    pub boottime_ms: u64,
    /// Wall clock, milliseconds since 1970. May jump either way.
    pub wall_ms: u64,
    /// Tells one start of the machine from the next: boottime values compare only within one boot.
    pub boot: u128,
}

/// The node's clocks.
pub trait Clock: Send + Sync {
    /// CLOCK_BOOTTIME in milliseconds. Called on every borrow: no system call where the kernel offers it in user space.
    fn boottime_ms(&self) -> u64;
    /// Wall clock, milliseconds since 1970, as of the kernel's last tick (10 ms at most). Called on every request.
    fn wall_ms(&self) -> u64;
    /// All clocks at once.
    fn now(&self) -> Now;
}

/// The clocks of the machine.
#[derive(Debug)]
pub struct SystemClock {
    boot: u128,
}

impl SystemClock {
    /// Reads the boot id once. A machine without one (not Linux) counts every start as a new boot.
    pub fn new() -> Self {
        let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
        Self { boot: u128::from_str_radix(&digits, 16).unwrap_or_else(|_| u128::from(std::process::id())) }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn boottime_ms(&self) -> u64 {
        milliseconds(clock_gettime(ClockId::Boottime))
    }
    fn wall_ms(&self) -> u64 {
        // A fifth of what the exact clock costs.
        milliseconds(clock_gettime(ClockId::RealtimeCoarse))
    }
    fn now(&self) -> Now {
        Now { boottime_ms: self.boottime_ms(), wall_ms: self.wall_ms(), boot: self.boot }
    }
}

/// Zero for a time before 1970.
fn milliseconds(at: Timespec) -> u64 {
    let seconds = u64::try_from(at.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1000).saturating_add(u64::try_from(at.tv_nsec / 1_000_000).unwrap_or(0))
}

/// A clock that tests move by hand.
#[cfg(test)]
pub(crate) mod hand {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::{Clock, Now};

    #[derive(Debug, Default)]
    pub(crate) struct HandClock {
        boottime_ms: AtomicU64,
        wall_ms: AtomicU64,
    }

    impl HandClock {
        pub(crate) fn forward(&self, ms: u64) {
            self.boottime_ms.fetch_add(ms, Ordering::SeqCst);
            self.wall_ms.fetch_add(ms, Ordering::SeqCst);
        }
    }

    impl Clock for HandClock {
        fn boottime_ms(&self) -> u64 {
            self.boottime_ms.load(Ordering::SeqCst)
        }
        fn wall_ms(&self) -> u64 {
            self.wall_ms.load(Ordering::SeqCst)
        }
        fn now(&self) -> Now {
            Now { boottime_ms: self.boottime_ms(), wall_ms: self.wall_ms(), boot: 1 }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boottime_only_grows() {
        let clock = SystemClock::new();
        let first = clock.now();
        assert!(clock.now().boottime_ms >= first.boottime_ms);
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
        assert!(u128::from(clock.wall_ms()).abs_diff(wall) < 60_000);
        assert!(first.boottime_ms > 0 && first.wall_ms > first.boottime_ms && first.boot != 0);
    }
}
