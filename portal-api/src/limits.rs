//! What one caller may ask of the listener: sizes, times and counts, each with its name (DESIGN §8.12).

use std::time::Duration;

/// Largest request body, in bytes. A statement itself may hold as much as `orbital::canon` allows, minus its spelling as base64url.
pub const BODY_BYTES_MAX: usize = 256 * 1024;
/// Most open connections of the listener, those that still shake hands aside.
pub const CONNECTIONS_MAX: usize = 1024;
/// Most open connections of one caller, by the name in the certificate.
pub const CONNECTIONS_PER_CALLER_MAX: usize = 32;
/// Most open connections of one IPv4 address or one IPv6 /64 network whose callers showed no certificate.
pub const CONNECTIONS_PER_SOURCE_MAX: usize = 64;
/// Handshakes at once; for one more, the oldest gives way.
pub const HANDSHAKES_MAX: usize = 512;
/// Handshakes at once of one IPv4 address or one IPv6 /64 network; for one more, its own oldest gives way.
pub const HANDSHAKES_PER_SOURCE_MAX: usize = 64;
/// Time for the TLS handshake.
pub const HANDSHAKE_TIMEOUT_MS: u64 = 5_000;
/// Time for a request's head, and for a kept connection to begin its next request.
pub const HEADER_TIMEOUT_MS: u64 = 15_000;
/// Time for a request's body.
pub const BODY_TIMEOUT_MS: u64 = 15_000;
/// Time in which a connection must move at least one byte. Event streams send a comment well within it.
pub const IDLE_TIMEOUT_MS: u64 = 60_000;
/// How often an event stream without events sends a comment.
pub const EVENTS_COMMENT_MS: u64 = 15_000;
/// Most open event streams.
pub const WATCHERS_MAX: usize = 512;
/// Most open event streams of one caller.
pub const WATCHERS_PER_CALLER_MAX: usize = 8;
/// Events that are read ahead for one watcher.
pub const EVENTS_AHEAD_MAX: usize = 64;
/// Largest request head, in bytes.
pub const HEAD_BYTES_MAX: usize = 16 * 1024;
/// Most items of one page.
pub const PAGE_ITEMS_MAX: usize = 500;
/// Items of a page where the caller names no limit.
pub const PAGE_ITEMS_DEFAULT: usize = 100;
/// Longest time that a read is held for `Prefer: wait`, in seconds: well within [`IDLE_TIMEOUT_MS`].
pub const WAIT_SECONDS_MAX: u64 = 30;
/// Calls with an idempotency key that are remembered of one caller.
pub const ONCE_KEYS_PER_CALLER_MAX: usize = 64;
/// Bytes of answers that are remembered of one caller.
pub const ONCE_BYTES_PER_CALLER_MAX: usize = 1024 * 1024;
/// Calls with an idempotency key that are remembered of all callers.
pub const ONCE_KEYS_MAX: usize = 8 * 1024;
/// Bytes of answers that are remembered of all callers.
pub const ONCE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Largest answer that is remembered, in bytes.
pub const ONCE_ANSWER_BYTES_MAX: usize = 256 * 1024;
/// How long an answer is remembered.
pub const ONCE_KEPT_MS: u64 = 24 * 3_600 * 1_000;
/// Most parallel streams of one HTTP/2 connection.
pub const STREAMS_MAX: u32 = 64;
/// Longest correlation id, in bytes.
pub const CORRELATION_BYTES_MAX: usize = 128;
/// How long open requests may take to end after a shutdown.
pub const DRAIN_TIMEOUT_MS: u64 = 5_000;

/// What is remembered of calls with an idempotency key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OnceLimits {
    pub keys_per_caller: usize,
    pub bytes_per_caller: usize,
    pub keys: usize,
    pub bytes: usize,
    pub answer_bytes: usize,
    pub kept: Duration,
}

impl Default for OnceLimits {
    fn default() -> Self {
        Self {
            keys_per_caller: ONCE_KEYS_PER_CALLER_MAX,
            bytes_per_caller: ONCE_BYTES_PER_CALLER_MAX,
            keys: ONCE_KEYS_MAX,
            bytes: ONCE_BYTES_MAX,
            answer_bytes: ONCE_ANSWER_BYTES_MAX,
            kept: Duration::from_millis(ONCE_KEPT_MS),
        }
    }
}

/// The limits that a listener runs with; tests lower them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub connections: usize,
    pub connections_per_caller: usize,
    pub connections_per_source: usize,
    pub handshakes: usize,
    pub handshakes_per_source: usize,
    pub handshake: Duration,
    pub header: Duration,
    pub body: Duration,
    pub idle: Duration,
    pub drain: Duration,
    pub once: OnceLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS_MAX,
            connections_per_caller: CONNECTIONS_PER_CALLER_MAX,
            connections_per_source: CONNECTIONS_PER_SOURCE_MAX,
            handshakes: HANDSHAKES_MAX,
            handshakes_per_source: HANDSHAKES_PER_SOURCE_MAX,
            handshake: Duration::from_millis(HANDSHAKE_TIMEOUT_MS),
            header: Duration::from_millis(HEADER_TIMEOUT_MS),
            body: Duration::from_millis(BODY_TIMEOUT_MS),
            idle: Duration::from_millis(IDLE_TIMEOUT_MS),
            drain: Duration::from_millis(DRAIN_TIMEOUT_MS),
            once: OnceLimits::default(),
        }
    }
}
