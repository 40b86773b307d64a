//! What a session has read and not yet answered.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use kmip::{
    Tag,
    message::Refused,
    ttlv::{HEADER_BYTES, Limits, frame_len},
};
use tokio::{
    io::{AsyncRead, ReadBuf},
    time::Instant,
};
use zeroize::Zeroize;

use super::buffers::{self, READ_BYTES};

/// A frame at the front of the input.
pub(super) enum Frame<'a> {
    Part,
    Whole(&'a [u8]),
    Bad(Refused),
}

/// Bytes that have arrived, and how far they are used up. It has room only while there are some.
#[derive(Default)]
pub(super) struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Length of the frame at the front, once its header has been read.
    frame: Option<usize>,
    /// Since when a part of a frame waits for its rest.
    pub(super) began: Option<Instant>,
}

impl Input {
    /// Reads more. Room beyond [`READ_BYTES`] is made only for a frame whose announced length passed the limit.
    pub(super) fn poll_fill<S: AsyncRead + Unpin>(
        &mut self,
        cx: &mut Context<'_>,
        stream: &mut S,
    ) -> Poll<io::Result<usize>> {
        self.make_room();
        let mut room = ReadBuf::new(self.bytes.get_mut(self.end..).unwrap_or_default());
        let polled = Pin::new(stream).poll_read(cx, &mut room);
        let read = room.filled().len();
        self.end += read;
        self.rest();
        ready!(polled)?;
        Poll::Ready(Ok(read))
    }

    fn make_room(&mut self) {
        if self.end == self.bytes.len() || self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            let kept = self.end - self.start;
            if let Some(moved) = self.bytes.get_mut(kept..self.end) {
                moved.fill(0);
            }
            (self.start, self.end) = (0, kept);
        }
        let wanted = self.frame.unwrap_or(0).max(READ_BYTES);
        if self.bytes.is_empty() && wanted == READ_BYTES {
            self.bytes = buffers::for_reading();
        } else if self.bytes.len() < wanted {
            // Not `resize`: it would leave the old bytes behind, unwiped.
            let mut larger = vec![0; wanted];
            if let (Some(to), Some(from)) = (larger.get_mut(..self.end), self.bytes.get(..self.end)) {
                to.copy_from_slice(from);
            }
            self.bytes.zeroize();
            self.bytes = larger;
        }
    }

    pub(super) fn frame(&mut self) -> Frame<'_> {
        let waiting = self.bytes.get(self.start..self.end).unwrap_or_default();
        let Some(header) = waiting.first_chunk::<HEADER_BYTES>() else { return Frame::Part };
        match frame_len(header, Tag::REQUEST_MESSAGE, &Limits::REQUEST) {
            // The version that the client speaks, if its first bytes came together; else the oldest, which all understand.
            Err(error) => Frame::Bad(Refused::early(waiting, error)),
            Ok(length) => {
                self.frame = Some(length);
                waiting.get(..length).map_or(Frame::Part, Frame::Whole)
            }
        }
    }

    /// The frame at the front has been answered.
    pub(super) fn done(&mut self) {
        let length = self.frame.take().unwrap_or(0);
        if let Some(used) = self.bytes.get_mut(self.start..self.start + length) {
            used.fill(0);
        }
        self.start = (self.start + length).min(self.end);
        self.began = None;
    }

    /// Whether anything waits after the frames that are answered.
    pub(super) fn has_more(&self) -> bool {
        self.start < self.end
    }

    /// Whether the frame at the front needs more room than every session has.
    pub(super) fn is_large(&self) -> bool {
        self.frame.is_some_and(|length| length > READ_BYTES)
    }

    /// All whole frames are answered: what is left, if anything, was begun.
    pub(super) fn begun(&mut self) {
        self.began = if self.start == self.end { None } else { self.began.or_else(|| Some(Instant::now())) };
    }

    /// Gives the room back if nothing waits in it: a connection that is silent has none.
    pub(super) fn rest(&mut self) {
        if self.start == self.end {
            buffers::done_reading(std::mem::take(&mut self.bytes));
            (self.start, self.end) = (0, 0);
        }
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use super::*;
    use crate::session::tests::frame;

    async fn fill(input: &mut Input, bytes: &mut &[u8]) -> io::Result<usize> {
        poll_fn(|cx| input.poll_fill(cx, bytes)).await
    }

    async fn feed(input: &mut Input, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            fill(input, &mut bytes).await.unwrap();
        }
    }

    #[tokio::test]
    async fn what_was_answered_is_wiped() {
        let mut input = Input::default();
        feed(&mut input, &[frame(64), frame(128)].concat()).await;
        for length in [72, 136] {
            assert!(matches!(input.frame(), Frame::Whole(frame) if frame.len() == length));
            input.done();
        }
        assert!(matches!(input.frame(), Frame::Part));
        assert!(input.bytes.iter().all(|&byte| byte == 0));
        feed(&mut input, &frame(64)).await;
        assert!(matches!(input.frame(), Frame::Whole(_)));
    }

    #[tokio::test]
    async fn room_grows_only_for_an_announced_frame_and_is_given_back() {
        let mut input = Input::default();
        let large = frame(512 * 1024);
        let mut rest = large.as_slice();
        while !rest.is_empty() {
            fill(&mut input, &mut rest).await.unwrap();
            let whole = matches!(input.frame(), Frame::Whole(_));
            assert_eq!(whole, rest.is_empty());
        }
        assert_eq!(input.bytes.len(), large.len());
        input.done();
        input.rest();
        assert_eq!(input.bytes.capacity(), 0);
    }

    #[tokio::test]
    async fn a_frame_that_announces_too_much_makes_no_room() {
        let mut input = Input::default();
        feed(&mut input, &[0x42, 0x00, 0x78, 0x01, 0x7f, 0xff, 0xff, 0xf8]).await;
        assert!(matches!(input.frame(), Frame::Bad(Refused { error: kmip::WireError::TooLarge { .. }, .. })));
        assert_eq!(input.bytes.len(), READ_BYTES);
    }

    #[tokio::test]
    async fn who_is_silent_has_no_room() {
        let (mut client, mut stream) = tokio::io::duplex(READ_BYTES);
        let mut input = Input::default();
        let nothing = poll_fn(|cx| Poll::Ready(input.poll_fill(cx, &mut stream))).await;
        assert!(nothing.is_pending() && input.bytes.capacity() == 0);
        tokio::io::AsyncWriteExt::write_all(&mut client, &frame(64)[..40]).await.unwrap();
        assert_eq!(poll_fn(|cx| input.poll_fill(cx, &mut stream)).await.unwrap(), 40);
        let nothing = poll_fn(|cx| Poll::Ready(input.poll_fill(cx, &mut stream))).await;
        assert!(nothing.is_pending() && input.bytes.len() == READ_BYTES, "what was begun is kept");
    }
}
