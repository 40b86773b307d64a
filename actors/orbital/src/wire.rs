//! Wire: what carries frames to one peer in one lane. The transport behind it is the node's choice.

/// The way to one peer. Sending never waits; what is lost is sent again by the outbox.
pub trait Wire: Send + Sync + 'static {
    fn send(&self, frame: Vec<u8>) -> Result<(), WireClosed>;
}

/// The link is down; the transport is making another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the link to this peer is down")]
pub struct WireClosed;
