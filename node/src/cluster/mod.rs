//! Cluster: one lane of Orbital between two processes, over ractor_cluster.
//!
//! ractor_cluster carries bytes and nothing else (DESIGN §2.13): the TLS listener and dialer are our own, the peer's name is bound to its
//! certificate, a silent peer is dropped by our own heartbeat, and what crosses is a signed [`orbital::frame::Frame`] that the receiver
//! verifies by itself. Each lane is a node server of its own with sessions of its own; the critical one lives in a runtime of its own.
//!
//! ```text
//! region   dialer ──TLS──▶ listener   governance
//!          NodeServer      NodeServer      (cookie handshake: proves nothing to us)
//!          port ◀──frames──▶ port          (the only remotable actor of a lane)
//! ```

mod dialer;
mod lane;
mod listener;
mod port;
pub mod tls;

pub use dialer::Dial;
pub use lane::{Lane, LaneError, LaneOptions, LaneSink};
pub use listener::Listen;
pub use port::PortWire;

/// Silence after which a peer counts as gone: three heartbeats of [`HEARTBEAT_MS`].
pub const SILENCE_MAX_MS: u64 = 3 * HEARTBEAT_MS;
/// How often each side says that it is there, on each lane.
pub const HEARTBEAT_MS: u64 = 500;
