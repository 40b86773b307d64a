//! Load: connections over mutual TLS, kept open or new for each request, and what they are asked for a while.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ClientConfig, HandshakeKind, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::{AbortHandle, JoinHandle},
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Res, ask, stats};

/// What is asked, and what an answer must look like.
#[derive(Clone)]
pub struct Question {
    /// Asked in turn, each in one write. All have answers of one length.
    writes: Arc<[Box<[u8]>]>,
    /// Requests in a write; as many answers are read before the next one.
    in_flight: usize,
    /// Bytes of an answer: a refusal has another length.
    pub answer_bytes: usize,
    /// Where an answer's Result Status stands, four bytes that are 0 for Success; none for an echo.
    status_at: Option<usize>,
}

impl Question {
    /// Asks the first of `requests`, reads its answer in full, and finds where its Result Status stands.
    pub async fn of(
        port: u16,
        tls: &Arc<ClientConfig>,
        operation: kmip::Operation,
        requests: Vec<Vec<u8>>,
    ) -> Res<Self> {
        let mut connection = Connection::open(port, tls.clone()).await?;
        let first = requests.first().ok_or("nothing is asked")?;
        let answer = connection.ask(first).await?;
        ask::read(answer, operation)?;
        // Result Status: tag 42007F, type Enumeration (05), length 4.
        let head = [0x42, 0x00, 0x7f, 0x05, 0, 0, 0, 4];
        let at = answer.windows(head.len()).position(|window| window == head);
        let at = at.ok_or("an answer without Result Status")?;
        let writes = requests.into_iter().map(Vec::into_boxed_slice).collect();
        Ok(Self { writes, in_flight: 1, answer_bytes: answer.len(), status_at: Some(at + head.len()) })
    }

    /// The same requests for an echo.
    pub fn of_echo(&self) -> Self {
        Self { status_at: None, ..self.clone() }
    }

    /// The same requests, each as many times in one write.
    pub fn in_flight(&self, in_flight: usize) -> Self {
        let writes = self.writes.iter().map(|write| write.repeat(in_flight).into_boxed_slice()).collect();
        Self { writes, in_flight, ..self.clone() }
    }
}

pub struct Connection {
    stream: TlsStream<TcpStream>,
    answer: Vec<u8>,
    /// Questions asked so far.
    asked: usize,
}

impl Connection {
    pub async fn open(port: u16, tls: Arc<ClientConfig>) -> Res<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let stream = TlsConnector::from(tls).connect(ServerName::try_from("localhost")?, stream).await?;
        Ok(Self { stream, answer: vec![0; 64 * 1024], asked: 0 })
    }

    /// Asks, and reads whatever answer comes, by its own length.
    pub async fn ask(&mut self, request: &[u8]) -> Res<&[u8]> {
        self.send(request).await?;
        let mut end = 0;
        let mut whole = usize::MAX;
        while end < whole {
            end += self.read(end).await?;
            if let (usize::MAX, 8.., Some(header)) = (whole, end, self.answer.first_chunk::<8>()) {
                whole = kmip::client::answer_len(header)?;
            }
        }
        Ok(self.answer.get(..end).unwrap_or_default())
    }

    /// Sends bytes, and waits for none.
    pub async fn send(&mut self, bytes: &[u8]) -> Res<()> {
        self.stream.write_all(bytes).await?;
        Ok(self.stream.flush().await?)
    }

    async fn read(&mut self, from: usize) -> Res<usize> {
        match self.stream.read(self.answer.get_mut(from..).unwrap_or_default()).await? {
            0 => Err("the server closed the connection".into()),
            read => Ok(read),
        }
    }

    /// Asks, and reads as many bytes as the question says.
    pub async fn exchange(&mut self, question: &Question) -> Res<()> {
        let write = question.writes.get(self.asked % question.writes.len()).ok_or("nothing is asked")?;
        self.asked += 1;
        self.stream.write_all(write).await?;
        self.stream.flush().await?;
        let (mut end, whole) = (0, question.in_flight * question.answer_bytes);
        while end < whole {
            end += self.read(end).await?;
        }
        let answers = self.answer.get(..end).unwrap_or_default().chunks(question.answer_bytes);
        let refused = |answer: &[u8]| question.status_at.is_some_and(|at| answer.get(at..at + 4) != Some(&[0; 4]));
        if end != whole || answers.into_iter().any(refused) {
            return Err("an answer was no success".into());
        }
        Ok(())
    }

    /// Ends the connection as TLS has it, and waits until the server has ended it too.
    async fn end(mut self) -> Res<()> {
        self.stream.shutdown().await?;
        while self.stream.read(&mut self.answer).await? > 0 {}
        Ok(())
    }
}

/// What one window saw.
pub struct Window {
    pub requests: u64,
    pub elapsed: Duration,
    latencies_us: Vec<f64>,
}

impl Window {
    /// Latencies of so many requests each.
    pub fn new(elapsed: Duration, requests_each: usize, latencies_us: Vec<f64>) -> Self {
        Self { requests: (latencies_us.len() * requests_each) as u64, elapsed, latencies_us }
    }
    pub fn per_second(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64()
    }
    /// p50, p99, p99.9 and the longest, microseconds.
    pub fn tail_us(&self) -> [f64; 4] {
        stats::tail(&self.latencies_us)
    }
}

/// Every connection asks without pause for `duration`. The connections are given back. The thread that asks stays awake all the while:
/// to wake the other side's core is work for whoever answers it, and a slower server would do more of it.
pub async fn window(
    connections: Vec<Connection>,
    question: &Question,
    duration: Duration,
) -> Res<(Vec<Connection>, Window)> {
    let began = Instant::now();
    let _awake = Awake::new();
    let mut tasks = Vec::new();
    for mut connection in connections {
        let question = question.clone();
        tasks.push(tokio::spawn(async move {
            let mut latencies = Vec::with_capacity(1024);
            let mut before = Instant::now();
            while before - began < duration {
                connection.exchange(&question).await?;
                before = noted(&mut latencies, before);
            }
            Ok::<_, super::Fault>((connection, latencies))
        }));
    }
    gathered(tasks, began, question.in_flight).await
}

/// The connections ask `per_second` requests in all, each at its own time whether its last one was answered or not: what is due while it
/// waits is asked right afterwards, and its latency counts from when it was due. No thread stays awake.
pub async fn paced(
    connections: Vec<Connection>,
    question: &Question,
    per_second: u32,
    duration: Duration,
) -> Res<(Vec<Connection>, Window)> {
    let began = Instant::now();
    let between = Duration::from_secs(1) / per_second;
    let period = between * u32::try_from(connections.len())?;
    let mut tasks = Vec::new();
    for (first, mut connection) in std::iter::successors(Some(began), |first| Some(*first + between)).zip(connections) {
        let question = question.clone();
        tasks.push(tokio::spawn(async move {
            let (mut due, mut latencies) = (first, Vec::with_capacity(1024));
            while due - began < duration {
                let late = Instant::now() > due;
                tokio::time::sleep_until(due.into()).await;
                // A timer that rings late is ours, not the server's.
                let from = if late { due } else { Instant::now() };
                connection.exchange(&question).await?;
                noted(&mut latencies, from);
                due += period;
            }
            Ok::<_, super::Fault>((connection, latencies))
        }));
    }
    gathered(tasks, began, 1).await
}

/// A connection that asked for a while, and its latencies.
type Asked = (Connection, Vec<f64>);

async fn gathered(
    tasks: Vec<JoinHandle<Res<Asked>>>,
    began: Instant,
    requests_each: usize,
) -> Res<(Vec<Connection>, Window)> {
    let (mut back, mut latencies_us) = (Vec::new(), Vec::new());
    for task in tasks {
        let (connection, latencies) = task.await??;
        back.push(connection);
        latencies_us.extend(latencies);
    }
    Ok((back, Window::new(began.elapsed(), requests_each, latencies_us)))
}

/// Each visitor connects, asks once and closes, without pause for `duration`. A visitor has sessions of its own to resume, or none;
/// `resumed` says what each handshake must be.
pub async fn visits(
    visitors: &[Arc<ClientConfig>],
    port: u16,
    question: &Question,
    resumed: bool,
    duration: Duration,
) -> Res<Window> {
    let began = Instant::now();
    let _awake = Awake::new();
    let mut tasks = Vec::new();
    for tls in visitors {
        let (tls, question) = (tls.clone(), question.clone());
        tasks.push(tokio::spawn(async move {
            let mut latencies = Vec::with_capacity(1024);
            let mut before = Instant::now();
            while before - began < duration {
                let kind = visit(port, &tls, &question).await?;
                if resumed != (kind == Some(HandshakeKind::Resumed)) {
                    return Err(format!("a handshake was {kind:?}").into());
                }
                before = noted(&mut latencies, before);
            }
            Ok::<_, super::Fault>(latencies)
        }));
    }
    let mut latencies_us = Vec::new();
    for task in tasks {
        latencies_us.extend(task.await??);
    }
    Ok(Window::new(began.elapsed(), 1, latencies_us))
}

/// Connects, asks once and closes.
pub async fn visit(port: u16, tls: &Arc<ClientConfig>, question: &Question) -> Res<Option<HandshakeKind>> {
    let mut connection = Connection::open(port, tls.clone()).await?;
    connection.exchange(question).await?;
    let kind = connection.stream.get_ref().1.handshake_kind();
    connection.end().await?;
    Ok(kind)
}

/// Notes what passed since `before`, in microseconds. Answers the present.
fn noted(latencies_us: &mut Vec<f64>, before: Instant) -> Instant {
    let now = Instant::now();
    latencies_us.push((now - before).as_nanos() as f64 / 1_000.0);
    now
}

/// Keeps the runtime's thread from sleeping until it is dropped.
pub struct Awake(AbortHandle);

impl Awake {
    pub fn new() -> Self {
        let task = tokio::spawn(async {
            loop {
                tokio::task::yield_now().await;
            }
        });
        Self(task.abort_handle())
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Opens `count` connections.
pub async fn open(count: usize, port: u16, tls: &Arc<ClientConfig>) -> Res<Vec<Connection>> {
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        connections.push(Connection::open(port, tls.clone()).await?);
    }
    Ok(connections)
}
