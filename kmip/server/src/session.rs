//! One connection: reads requests, has them answered, writes the answers.
//!
//! Requests that have arrived together are answered together, in one write. Both buffers are wiped after each round: they hold
//! plaintext and key material. The session holds no other state; nothing survives from one request to the next.

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use kmip::{
    Tag,
    message::Refused,
    ttlv::{HEADER_BYTES, Limits, frame_len, make_room},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep_until},
};
use zeroize::Zeroize;

use crate::{caller::Caller, connections::Entered, dispatch, server::Server, telemetry::Meters};

/// What a session's read buffer has room for without growing.
const READ_BYTES: usize = 16 * 1024;
/// Answers are written once they pass this, even if more requests wait.
const WRITE_BYTES: usize = 256 * 1024;

/// Room for what an answer has beyond the bytes of its request: a secret, and what stands around it.
const ANSWER_BYTES: usize = 8 * 1024;

/// Why a session ended.
#[derive(Debug, PartialEq, Eq)]
enum End {
    /// The client closed, or the connection broke.
    Gone,
    Idle,
    /// The tenant's connections were closed.
    Closed,
}

/// Runs until either side ends it.
pub(crate) async fn run<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    server: &Arc<Server>,
    caller: &Caller,
    entered: &Entered,
) {
    let mut session = Session {
        server,
        caller,
        entered,
        meters: server.meters(caller.tenant()),
        input: Input::new(),
        output: vec![],
        large: None,
    };
    let Err(end) = session.rounds(&mut stream).await;
    tracing::debug!(?end, "a KMIP connection ended");
    session.output.zeroize();
    // The client may be gone, or not read: a polite end is worth one second.
    let _ = tokio::time::timeout(Duration::from_secs(1), stream.shutdown()).await;
}

struct Session<'s> {
    server: &'s Arc<Server>,
    caller: &'s Caller,
    entered: &'s Entered,
    meters: Arc<Meters>,
    input: Input,
    output: Vec<u8>,
    /// The place that a request larger than [`READ_BYTES`] takes.
    large: Option<OwnedSemaphorePermit>,
}

impl Session<'_> {
    /// Goes on until the connection ends, and says why it did.
    async fn rounds<S: AsyncRead + AsyncWrite + Unpin>(&mut self, stream: &mut S) -> Result<Infallible, End> {
        let entered = self.entered;
        let limits = *self.server.limits();
        let limit = limits.idle_timeout;
        let mut watch = pin!(sleep_until(Instant::now() + limit));
        let mut closed = pin!(entered.closed());
        let mut active = Instant::now();
        let mut armed = false;
        loop {
            if entered.is_closed() {
                return Err(End::Closed);
            }
            let began = self.input.began;
            let (since, limit) = began.map_or((active, limit), |began| (began, limits.transfer_timeout));
            // What ends a connection was asked before, as a rule, and wakes this task: it is asked again once something did.
            let mut quiet = armed && began.is_none() && !watch.is_elapsed();
            let read = {
                let mut read = pin!(self.read(stream));
                let mut idle = pin!(idle(&mut watch, since, limit));
                // Bytes that are there already come first: who is served without pause is asked about nothing else.
                poll_fn(|cx| match read.as_mut().poll(cx) {
                    Poll::Ready(read) => Poll::Ready(read.map_err(|_| End::Gone)),
                    Poll::Pending if std::mem::take(&mut quiet) => Poll::Pending,
                    Poll::Pending if closed.as_mut().poll(cx).is_ready() => Poll::Ready(Err(End::Closed)),
                    Poll::Pending => {
                        armed = true;
                        idle.as_mut().poll(cx).map(|()| Err(End::Idle))
                    }
                })
                .await
            };
            if read? == 0 {
                return Err(End::Gone);
            }
            if let Some(answered) = self.answer_all(stream, &mut watch).await? {
                active = answered;
            }
            self.input.begun();
        }
    }

    /// Reads more; for a large request once the tenant has a place for it.
    async fn read<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> std::io::Result<usize> {
        if !self.input.is_large() {
            self.large = None;
        } else if self.large.is_none() {
            self.large = self.entered.large().clone().acquire_owned().await.ok();
        }
        self.input.fill(stream).await
    }

    /// Answers every whole request in the buffer. When the last one was done, if there was one.
    async fn answer_all<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        watch: &mut Pin<&mut Sleep>,
    ) -> Result<Option<Instant>, End> {
        let mut answered = None;
        loop {
            match self.input.frame() {
                Frame::Part => break,
                Frame::Whole(frame) => {
                    make_room(&mut self.output, frame.len() + ANSWER_BYTES);
                    let done = dispatch::answer(self.server, self.caller, &self.meters, frame, &mut self.output).await;
                    answered = Some(Instant::from_std(done));
                    self.input.done();
                }
                Frame::Bad(refused) => {
                    dispatch::refuse(self.server, self.caller, &self.meters, &refused, &mut self.output).await;
                    self.write(stream, Instant::now(), watch).await?;
                    return Err(End::Gone);
                }
            }
            let Some(answered) = answered else { continue };
            if self.entered.is_closed() {
                self.write(stream, answered, watch).await?;
                return Err(End::Closed);
            }
            if self.output.len() > WRITE_BYTES {
                self.write(stream, answered, watch).await?;
            }
        }
        self.input.wipe();
        if let Some(answered) = answered {
            self.write(stream, answered, watch).await?;
        }
        Ok(answered)
    }

    /// Writes what was `answered` until then. A client that does not take it in time, or whose tenant is stopped meanwhile, gets no more.
    async fn write<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        answered: Instant,
        watch: &mut Pin<&mut Sleep>,
    ) -> Result<(), End> {
        let limit = self.server.limits().transfer_timeout;
        let sent = {
            let mut send = pin!(async {
                stream.write_all(&self.output).await?;
                stream.flush().await
            });
            // Most answers fit what the connection takes at once.
            match poll_fn(|cx| Poll::Ready(send.as_mut().poll(cx))).await {
                Poll::Ready(sent) => sent.map_err(|_| End::Gone),
                Poll::Pending => tokio::select! {
                    biased;
                    sent = send => sent.map_err(|_| End::Gone),
                    () = self.entered.closed() => Err(End::Closed),
                    () = idle(watch, answered, limit) => Err(End::Idle),
                },
            }
        };
        self.output.fill(0);
        self.output.clear();
        if self.output.capacity() > 2 * WRITE_BYTES {
            self.output = vec![];
        }
        sent
    }
}

/// Ends once `limit` has passed since `active`. The timer is set anew when it rings, not for each request.
async fn idle(watch: &mut Pin<&mut Sleep>, active: Instant, limit: Duration) {
    let due = active + limit;
    if watch.deadline() > due {
        watch.as_mut().reset(due);
    }
    loop {
        watch.as_mut().await;
        if Instant::now() >= due {
            return;
        }
        watch.as_mut().reset(due);
    }
}

/// A frame at the front of the input.
enum Frame<'a> {
    Part,
    Whole(&'a [u8]),
    Bad(Refused),
}

/// Bytes that have arrived, and how far they are used up.
struct Input {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    /// Length of the frame at the front, once its header has been read.
    frame: Option<usize>,
    /// Since when a part of a frame waits for its rest.
    began: Option<Instant>,
}

impl Input {
    fn new() -> Self {
        Self { bytes: vec![0; READ_BYTES], start: 0, end: 0, frame: None, began: None }
    }

    /// Reads more. Room beyond [`READ_BYTES`] is made only for a frame whose announced length passed the limit.
    async fn fill<S: AsyncRead + Unpin>(&mut self, stream: &mut S) -> std::io::Result<usize> {
        if self.end == self.bytes.len() || self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            let kept = self.end - self.start;
            if let Some(moved) = self.bytes.get_mut(kept..self.end) {
                moved.fill(0);
            }
            (self.start, self.end) = (0, kept);
        }
        let wanted = self.frame.unwrap_or(0).max(READ_BYTES);
        if self.bytes.len() < wanted {
            // Not `resize`: it would leave the old bytes behind, unwiped.
            let mut larger = vec![0; wanted];
            if let (Some(to), Some(from)) = (larger.get_mut(..self.end), self.bytes.get(..self.end)) {
                to.copy_from_slice(from);
            }
            self.bytes.zeroize();
            self.bytes = larger;
        }
        let read = stream.read(self.bytes.get_mut(self.end..).unwrap_or_default()).await?;
        self.end += read;
        Ok(read)
    }

    fn frame(&mut self) -> Frame<'_> {
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
    fn done(&mut self) {
        let length = self.frame.take().unwrap_or(0);
        if let Some(used) = self.bytes.get_mut(self.start..self.start + length) {
            used.fill(0);
        }
        self.start = (self.start + length).min(self.end);
        self.began = None;
    }

    /// Whether the frame at the front needs more room than every session has.
    fn is_large(&self) -> bool {
        self.frame.is_some_and(|length| length > READ_BYTES)
    }

    /// All whole frames are answered: what is left, if anything, was begun.
    fn begun(&mut self) {
        self.began = if self.start == self.end { None } else { self.began.or_else(|| Some(Instant::now())) };
    }

    /// Gives back room that a large frame took, once nothing waits in it.
    fn wipe(&mut self) {
        if self.start == self.end && self.bytes.len() > READ_BYTES {
            self.bytes.zeroize();
            *self = Self::new();
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
    use super::*;
    use crate::rig::Rig;

    fn frame(body: usize) -> Vec<u8> {
        let mut frame = vec![0x42, 0x00, 0x78, 0x01];
        frame.extend_from_slice(&u32::try_from(body).unwrap().to_be_bytes());
        frame.resize(HEADER_BYTES + body, 0xAA);
        frame
    }

    async fn feed(input: &mut Input, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            input.fill(&mut bytes).await.unwrap();
        }
    }

    const SOON: Duration = Duration::from_millis(200);

    /// A session with a client that has `room` bytes before it must read.
    async fn session(
        room: usize,
        limits: crate::Limits,
    ) -> (Rig, Arc<Entered>, tokio::io::DuplexStream, tokio::task::JoinHandle<()>) {
        let rig = Rig::with_limits(limits).await;
        let entered = Arc::new(rig.server.connections().enter(*rig.caller.tenant()).unwrap());
        let (client, stream) = tokio::io::duplex(room);
        let (server, caller, mine) = (rig.server.clone(), rig.caller.clone(), entered.clone());
        let ended = tokio::spawn(async move { run(stream, &server, &caller, &mine).await });
        (rig, entered, client, ended)
    }

    #[tokio::test]
    async fn a_request_that_was_begun_must_come_to_its_end() {
        let limits = crate::Limits { transfer_timeout: SOON, ..crate::Limits::default() };
        let (_rig, _entered, mut client, ended) = session(READ_BYTES, limits).await;
        client.write_all(&frame(64)[..40]).await.unwrap();
        // Not after the ten minutes for which it might be idle.
        tokio::time::timeout(Duration::from_secs(60), ended).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_tenant_has_so_many_places_for_large_requests() {
        let (_rig, entered, mut client, _ended) = session(512 * 1024, crate::Limits::default()).await;
        let taken = entered
            .large()
            .clone()
            .try_acquire_many_owned(crate::connections::LARGE_PER_TENANT_MAX.try_into().unwrap());
        client.write_all(&frame(256 * 1024)).await.unwrap();
        let mut answer = [0; 8];
        let early = tokio::time::timeout(SOON, client.read_exact(&mut answer)).await;
        assert!(early.is_err(), "it was read without a place");
        drop(taken.unwrap());
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer[..4], [0x42, 0x00, 0x7b, 0x01]);
    }

    #[tokio::test]
    async fn a_stop_reaches_who_does_not_read() {
        let (rig, _entered, mut client, ended) = session(64, crate::Limits::default()).await;
        // The first byte of the answer is there: the session waits for room for the rest.
        client.write_all(&frame(64)).await.unwrap();
        client.read_exact(&mut [0; 1]).await.unwrap();
        assert_eq!(rig.server.close_tenant(rig.caller.tenant()), 1);
        tokio::time::timeout(Duration::from_secs(60), ended).await.unwrap().unwrap();
    }

    /// Some requests, each answered before the next.
    async fn serve_some(client: &mut tokio::io::DuplexStream) {
        let none = kmip::ops::discover_versions::Request { protocol_versions: vec![] };
        let request = kmip::client::request(kmip::ProtocolVersion::V1_4, &kmip::ops::Request::DiscoverVersions(none));
        for _ in 0..3 {
            client.write_all(&request).await.unwrap();
            let mut header = [0; HEADER_BYTES];
            client.read_exact(&mut header).await.unwrap();
            let whole = kmip::client::answer_len(&header).unwrap();
            client.read_exact(&mut vec![0; whole - HEADER_BYTES]).await.unwrap();
        }
    }

    #[tokio::test]
    async fn who_was_served_and_falls_silent_is_let_go() {
        let limits = crate::Limits { idle_timeout: SOON, ..crate::Limits::default() };
        let (_rig, _entered, mut client, ended) = session(READ_BYTES, limits).await;
        serve_some(&mut client).await;
        tokio::time::timeout(Duration::from_secs(60), ended).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_stop_reaches_who_was_served_and_waits() {
        let (rig, _entered, mut client, ended) = session(READ_BYTES, crate::Limits::default()).await;
        serve_some(&mut client).await;
        assert_eq!(rig.server.close_tenant(rig.caller.tenant()), 1);
        tokio::time::timeout(Duration::from_secs(60), ended).await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn what_was_answered_is_wiped() {
        let mut input = Input::new();
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
        let mut input = Input::new();
        let large = frame(512 * 1024);
        let mut rest = large.as_slice();
        while !rest.is_empty() {
            input.fill(&mut rest).await.unwrap();
            let whole = matches!(input.frame(), Frame::Whole(_));
            assert_eq!(whole, rest.is_empty());
        }
        assert_eq!(input.bytes.len(), large.len());
        input.done();
        input.wipe();
        assert_eq!(input.bytes.len(), READ_BYTES);
    }

    #[tokio::test]
    async fn a_frame_that_announces_too_much_makes_no_room() {
        let mut input = Input::new();
        feed(&mut input, &[0x42, 0x00, 0x78, 0x01, 0x7f, 0xff, 0xff, 0xf8]).await;
        assert!(matches!(input.frame(), Frame::Bad(Refused { error: kmip::WireError::TooLarge { .. }, .. })));
        assert_eq!(input.bytes.len(), READ_BYTES);
    }
}
