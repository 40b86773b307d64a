//! The port: the one actor of a lane that a peer can reach, and all that it can be told is a frame.

use std::sync::Arc;

use orbital::wire::{Wire, WireClosed};
use ractor::{Actor, ActorProcessingErr, ActorRef};
use ractor_cluster::RactorClusterMessage;

use super::lane::LaneSink;

/// Longest peer label in an envelope.
const LABEL_BYTES_MAX: usize = 255;

/// One versioned byte blob, since a variant's fields decode by position (`label length · label · frame`).
#[derive(RactorClusterMessage)]
pub(super) enum PortMsg {
    Frame(Vec<u8>),
}

/// Puts the sender's name before a frame. The name only says which pinned key to verify with; the signature decides.
fn envelope(label: &str, frame: &[u8]) -> Vec<u8> {
    let label = label.as_bytes();
    let label = label.get(..LABEL_BYTES_MAX).unwrap_or(label);
    let mut out = Vec::with_capacity(1 + label.len() + frame.len());
    out.push(u8::try_from(label.len()).unwrap_or(u8::MAX));
    out.extend_from_slice(label);
    out.extend_from_slice(frame);
    out
}

fn open(envelope: &[u8]) -> Option<(&str, &[u8])> {
    let (length, rest) = envelope.split_first()?;
    let (label, frame) = rest.split_at_checked(usize::from(*length))?;
    Some((std::str::from_utf8(label).ok()?, frame))
}

/// Hands frames to the lane's sink.
pub(super) struct Port {
    pub(super) sink: Arc<dyn LaneSink>,
}

impl Actor for Port {
    type Msg = PortMsg;
    type State = ();
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<PortMsg>, (): ()) -> Result<(), ActorProcessingErr> {
        Ok(())
    }

    async fn handle(&self, _: ActorRef<PortMsg>, msg: PortMsg, (): &mut ()) -> Result<(), ActorProcessingErr> {
        let PortMsg::Frame(bytes) = msg;
        match open(&bytes) {
            Some((label, frame)) => self.sink.frame(label, frame.to_vec()),
            None => tracing::warn!(bytes = bytes.len(), "a peer sent an envelope that does not open; dropped"),
        }
        Ok(())
    }
}

/// The way to one peer's port.
pub struct PortWire {
    pub(super) me: String,
    pub(super) port: ActorRef<PortMsg>,
    pub(super) session: ractor::ActorCell,
}

impl Wire for PortWire {
    fn send(&self, frame: Vec<u8>) -> Result<(), WireClosed> {
        self.port.cast(PortMsg::Frame(envelope(&self.me, &frame))).map_err(|_| WireClosed)
    }
}

impl PortWire {
    /// Ends the session: the peer is silent, or not who it said.
    pub fn cut(&self) {
        self.session.kill();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_opens_and_a_broken_one_does_not() {
        assert_eq!(open(&envelope("fra-1", b"frame")), Some(("fra-1", &b"frame"[..])));
        assert_eq!(open(&[]), None);
        assert_eq!(open(&[9, b'x']), None);
        assert_eq!(open(&[1, 0xff]), None);
    }
}
