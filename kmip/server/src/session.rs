//! One connection: reads requests, has them answered, writes the answers.
//!
//! Requests that have arrived together are answered together, in one write. Both buffers are wiped after each round, since they hold
//! plaintext and key material, and given back to the thread ([`buffers`]). The session holds no other state; nothing survives from one
//! request to the next.

mod buffers;
mod input;

use std::{
    convert::Infallible,
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};

use kmip::ttlv::make_room;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt},
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep_until},
};

use crate::{caller::Caller, connections::Entered, dispatch, server::Server, telemetry::Meters};
use input::{Frame, Input};

/// So many requests of one connection are answered before others have their turn.
const REQUESTS_A_TURN: usize = 16;

/// The same while another tenant's clients are connected: they wait for a turn to end ([`crate::turns`]).
const REQUESTS_A_TURN_BESIDE: usize = 2;

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
        input: Input::default(),
        output: vec![],
        large: None,
    };
    let Err(end) = entered.turns().take(session.rounds(&mut stream)).await;
    tracing::debug!(?end, "a KMIP connection ended");
    drop(session);
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
    /// The place that a large request takes.
    large: Option<OwnedSemaphorePermit>,
}

/// However it ends, by a panic or with its task, too: an answer that did not leave is wiped.
impl Drop for Session<'_> {
    fn drop(&mut self) {
        buffers::done_writing(std::mem::take(&mut self.output));
    }
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
        poll_fn(|cx| self.input.poll_fill(cx, stream)).await
    }

    /// Answers every whole request in the buffer. When the last one was done, if there was one.
    async fn answer_all<S: AsyncWrite + Unpin>(
        &mut self,
        stream: &mut S,
        watch: &mut Pin<&mut Sleep>,
    ) -> Result<Option<Instant>, End> {
        let (mut answered, mut count) = (None, 0);
        for requests in 1.. {
            match self.input.frame() {
                Frame::Part => break,
                Frame::Whole(frame) => {
                    if self.output.capacity() == 0 {
                        self.output = buffers::for_writing();
                    }
                    make_room(&mut self.output, frame.len() + ANSWER_BYTES);
                    let done = dispatch::answer(self.server, self.caller, &self.meters, frame, &mut self.output).await;
                    (answered, count) = (Some(Instant::from_std(done)), requests);
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
            let most = if self.entered.turns().has_neighbours() { REQUESTS_A_TURN_BESIDE } else { REQUESTS_A_TURN };
            if requests % most == 0 && self.input.has_more() {
                tokio::task::yield_now().await;
            }
        }
        self.input.rest();
        if let Some(answered) = answered {
            self.write(stream, answered, watch).await?;
            self.entered.answered(count, answered.into_std());
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
        buffers::done_writing(std::mem::take(&mut self.output));
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

#[cfg(test)]
mod tests {
    use kmip::ttlv::HEADER_BYTES;
    use tokio::io::AsyncReadExt;

    use super::{buffers::READ_BYTES, *};
    use crate::rig::Rig;

    pub(super) fn frame(body: usize) -> Vec<u8> {
        let mut frame = vec![0x42, 0x00, 0x78, 0x01];
        frame.extend_from_slice(&u32::try_from(body).unwrap().to_be_bytes());
        frame.resize(HEADER_BYTES + body, 0xAA);
        frame
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

    #[tokio::test]
    async fn an_answer_that_did_not_leave_is_wiped_when_its_task_is_ended() {
        let (_rig, _entered, mut client, ended) = session(64, crate::Limits::default()).await;
        client.write_all(&frame(64)).await.unwrap();
        client.read_exact(&mut [0; 1]).await.unwrap();
        assert_eq!(buffers::kept_for_writing(), [[0; 0]; 0]);
        ended.abort();
        assert!(ended.await.unwrap_err().is_cancelled());
        let [answer] = &*buffers::kept_for_writing() else { panic!("it was given back to nobody") };
        assert!(answer.len() > 64 && answer.iter().all(|&byte| byte == 0));
    }

    fn discover() -> Vec<u8> {
        let none = kmip::ops::discover_versions::Request { protocol_versions: vec![] };
        kmip::client::request(kmip::ProtocolVersion::V1_4, &kmip::ops::Request::DiscoverVersions(none))
    }

    async fn read_answer(client: &mut tokio::io::DuplexStream) {
        let mut header = [0; HEADER_BYTES];
        client.read_exact(&mut header).await.unwrap();
        let whole = kmip::client::answer_len(&header).unwrap();
        client.read_exact(&mut vec![0; whole - HEADER_BYTES]).await.unwrap();
    }

    /// Some requests, each answered before the next.
    async fn serve_some(client: &mut tokio::io::DuplexStream) {
        for _ in 0..3 {
            client.write_all(&discover()).await.unwrap();
            read_answer(client).await;
        }
    }

    /// Counts how often another task of this thread has its turn.
    fn bystander() -> Arc<std::sync::atomic::AtomicUsize> {
        let turns = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = turns.clone();
        tokio::spawn(async move {
            loop {
                counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                tokio::task::yield_now().await;
            }
        });
        turns
    }

    /// How often another task has its turn until requests that came together are answered.
    async fn turns_between(together: usize, has_neighbours: bool) -> usize {
        let (rig, _entered, mut client, _ended) = session(READ_BYTES, crate::Limits::default()).await;
        let _neighbour =
            has_neighbours.then(|| rig.server.connections().enter(crate::caller::tests::tenant(2)).unwrap());
        let turns = bystander();
        serve_some(&mut client).await;
        let request = discover();
        // One write, so that the session finds all of them at once.
        client.write_all(&request.repeat(together)).await.unwrap();
        let before = turns.load(std::sync::atomic::Ordering::Relaxed);
        read_answer(&mut client).await;
        turns.load(std::sync::atomic::Ordering::Relaxed) - before
    }

    #[tokio::test]
    async fn others_have_turns_between_requests_that_came_together() {
        const TOGETHER: usize = 5 * REQUESTS_A_TURN / 2;
        let (alone, beside) = (turns_between(TOGETHER, false).await, turns_between(TOGETHER, true).await);
        assert!(alone >= TOGETHER / REQUESTS_A_TURN - 1, "{alone} turns");
        assert!(beside >= TOGETHER / REQUESTS_A_TURN_BESIDE - 1, "{beside} turns");
    }

    #[tokio::test]
    async fn beside_another_tenant_a_session_waits_for_a_turn_of_its_tenant() {
        let (rig, entered, mut client, _ended) = session(READ_BYTES, crate::Limits::default()).await;
        let neighbour = rig.server.connections().enter(crate::caller::tests::tenant(2)).unwrap();
        let enter = |_| rig.server.connections().enter(*rig.caller.tenant()).unwrap();
        let more: Vec<_> = (0..crate::turns::FEW_CONNECTIONS).map(enter).collect();
        serve_some(&mut client).await;
        let taken = entered.turns().take_all().await;
        client.write_all(&discover()).await.unwrap();
        for _ in 0..100 {
            tokio::task::yield_now().await;
        }
        let early = poll_fn(|cx| Poll::Ready(pin!(client.read_u8()).poll(cx).is_ready())).await;
        assert!(!early, "it was answered without a turn");
        drop(taken);
        read_answer(&mut client).await;
        let _taken = entered.turns().take_all().await;
        drop(neighbour);
        serve_some(&mut client).await;
        let _neighbour = rig.server.connections().enter(crate::caller::tests::tenant(2)).unwrap();
        drop(more);
        serve_some(&mut client).await;
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
}
