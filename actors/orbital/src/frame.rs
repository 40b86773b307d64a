//! Frames: the one opaque thing that crosses nodes.
//!
//! `format (1 byte) · signature (64 bytes) · head and body (bincode)`. The signature covers every byte that follows it and is checked
//! before anything is decoded (DESIGN §2.14). The head names deployment, sender, receiver, lane, incarnation, term and sequence, so that a
//! frame serves one receiver, one lane and one run of its sender alone.

use serde::{Deserialize, Serialize};

use crate::{
    codec::{self, BadBody},
    lane::Lane,
    names::{Deployment, NodeName},
    report::Body,
    sign::{BadSignature, Kind, PublicKey, SecretKey, Signature},
};

/// Largest frame, in bytes.
pub const FRAME_BYTES_MAX: usize = codec::BODY_BYTES_MAX + 1 + 64;
/// The only format so far.
const FORMAT: u8 = 1;

/// What stands before the body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    pub deployment: Deployment,
    pub sender: NodeName,
    pub receiver: NodeName,
    pub lane: Lane,
    /// New at each start or restore of the sender (PROTOCOL §2).
    pub incarnation: u64,
    /// Of governance; regions refuse a lower term for grants and leases, never for stops.
    pub term: u64,
    /// Of this lane, from 1 on; 0 for what has no order (heartbeats, reports).
    pub sequence: u64,
    /// The lowest sequence that is still unacknowledged in this lane: no gap lies before it.
    pub base: u64,
}

/// A head and its body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Frame {
    pub head: Head,
    pub body: Body,
}

/// A frame that is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    #[error("a frame has at most {FRAME_BYTES_MAX} bytes, found {0}")]
    TooLarge(usize),
    #[error("the frame is cut short")]
    Short,
    #[error("frame format {0} is not known here: this node reads format {FORMAT}; upgrade it")]
    Format(u8),
    #[error("{0}")]
    Signature(#[from] BadSignature),
    #[error(transparent)]
    Body(#[from] BadBody),
    #[error("the frame is for another {0}")]
    Misdirected(&'static str),
    #[error("a body that does not belong into the {0} lane")]
    WrongLane(Lane),
}

/// Whom a receiver takes frames from: what must stand in the head.
#[derive(Clone, Debug)]
pub struct Expect {
    pub deployment: Deployment,
    pub sender: NodeName,
    pub receiver: NodeName,
    pub lane: Lane,
    /// The sender's frame key, pinned by the topology.
    pub key: PublicKey,
}

impl Frame {
    /// Encodes and signs.
    pub fn seal(&self, key: &SecretKey) -> Result<Vec<u8>, BadBody> {
        let bytes = codec::encode(self)?;
        let mut out = Vec::with_capacity(bytes.len() + 65);
        out.push(FORMAT);
        out.extend_from_slice(&key.sign(Kind::Frame, &bytes).0);
        out.extend_from_slice(&bytes);
        Ok(out)
    }

    /// Verifies, decodes, and demands that head and lane are as expected.
    pub fn open(bytes: &[u8], expect: &Expect) -> Result<Self, BadFrame> {
        if bytes.len() > FRAME_BYTES_MAX {
            return Err(BadFrame::TooLarge(bytes.len()));
        }
        let (format, rest) = bytes.split_first().ok_or(BadFrame::Short)?;
        if *format != FORMAT {
            return Err(BadFrame::Format(*format));
        }
        let (signature, signed) = rest.split_first_chunk::<64>().ok_or(BadFrame::Short)?;
        expect.key.verify(Kind::Frame, signed, &Signature(*signature))?;
        let frame: Self = codec::decode(signed)?;
        let head = &frame.head;
        let misdirected = [
            (head.deployment == expect.deployment, "deployment"),
            (head.sender == expect.sender, "sender"),
            (head.receiver == expect.receiver, "receiver"),
            (head.lane == expect.lane, "lane"),
        ];
        if let Some((_, what)) = misdirected.into_iter().find(|(same, _)| !same) {
            return Err(BadFrame::Misdirected(what));
        }
        if frame.head.lane.carries(&frame.body) { Ok(frame) } else { Err(BadFrame::WrongLane(frame.head.lane)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        let head = Head {
            deployment: Deployment::new("d").unwrap(),
            sender: NodeName::new("gov").unwrap(),
            receiver: NodeName::new("fra-1").unwrap(),
            lane: Lane::Critical,
            incarnation: 1,
            term: 1,
            sequence: 0,
            base: 0,
        };
        Frame { head, body: Body::Heartbeat }
    }
    fn expect(key: &SecretKey) -> Expect {
        let head = frame().head;
        Expect {
            deployment: head.deployment,
            sender: head.sender,
            receiver: head.receiver,
            lane: head.lane,
            key: key.public(),
        }
    }

    #[test]
    fn a_frame_reads_back_for_whom_it_is_meant() {
        let key = SecretKey::from_seed(&[1; 32]);
        let bytes = frame().seal(&key).unwrap();
        assert_eq!(Frame::open(&bytes, &expect(&key)), Ok(frame()));
        let other = NodeName::new("zrh-1").unwrap();
        for (wrong, what) in [
            (Expect { deployment: Deployment::new("e").unwrap(), ..expect(&key) }, "deployment"),
            (Expect { sender: other.clone(), ..expect(&key) }, "sender"),
            (Expect { receiver: other, ..expect(&key) }, "receiver"),
            (Expect { lane: Lane::Ordinary, ..expect(&key) }, "lane"),
        ] {
            assert_eq!(Frame::open(&bytes, &wrong), Err(BadFrame::Misdirected(what)));
        }
        let stranger = expect(&SecretKey::from_seed(&[2; 32]));
        assert!(matches!(Frame::open(&bytes, &stranger), Err(BadFrame::Signature(_))));
    }

    proptest::proptest! {
        #[test]
        fn any_change_to_the_bytes_is_refused(at in 0usize..200, bit in 0u8..8) {
            let key = SecretKey::from_seed(&[1; 32]);
            let mut bytes = frame().seal(&key).unwrap();
            let at = at % bytes.len();
            bytes[at] ^= 1 << bit;
            proptest::prop_assert!(Frame::open(&bytes, &expect(&key)).is_err());
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes: Vec<u8>) {
            proptest::prop_assert!(Frame::open(&bytes, &expect(&SecretKey::from_seed(&[1; 32]))).is_err());
        }
    }
}
