//! Load: connections over mutual TLS that are kept open, each with one request in flight.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rustls::{ClientConfig, pki_types::ServerName};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Res, stats};

/// What is asked, and what an answer must look like.
#[derive(Clone)]
pub struct Question {
    pub request: Arc<[u8]>,
    /// Bytes of an answer: a refusal has another length.
    pub answer_bytes: usize,
    /// Where the answer's Result Status stands, four bytes that are 0 for Success; none for an echo.
    pub status_at: Option<usize>,
}

pub struct Connection {
    stream: TlsStream<TcpStream>,
    answer: Vec<u8>,
}

impl Connection {
    pub async fn open(port: u16, tls: Arc<ClientConfig>) -> Res<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let stream = TlsConnector::from(tls).connect(ServerName::try_from("localhost")?, stream).await?;
        Ok(Self { stream, answer: vec![0; 64 * 1024] })
    }

    /// Asks, and reads whatever answer comes, by its own length.
    pub async fn ask(&mut self, request: &[u8]) -> Res<&[u8]> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        let mut end = 0;
        let mut whole = usize::MAX;
        while end < whole {
            let read = self.stream.read(self.answer.get_mut(end..).unwrap_or_default()).await?;
            if read == 0 {
                return Err("the server closed the connection".into());
            }
            end += read;
            if let (usize::MAX, 8.., Some(header)) = (whole, end, self.answer.first_chunk::<8>()) {
                whole = kmip::client::answer_len(header)?;
            }
        }
        Ok(self.answer.get(..end).unwrap_or_default())
    }

    /// Asks, and reads as many bytes as the question says.
    async fn exchange(&mut self, question: &Question) -> Res<()> {
        self.stream.write_all(&question.request).await?;
        self.stream.flush().await?;
        let mut end = 0;
        while end < question.answer_bytes {
            let read = self.stream.read(self.answer.get_mut(end..).unwrap_or_default()).await?;
            if read == 0 {
                return Err("the server closed the connection".into());
            }
            end += read;
        }
        let status = question.status_at.and_then(|at| self.answer.get(at..at + 4));
        if end != question.answer_bytes || status.is_some_and(|status| status != [0; 4]) {
            return Err("an answer was no success".into());
        }
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
    let end = began + duration;
    let awake = tokio::spawn(async {
        loop {
            tokio::task::yield_now().await;
        }
    });
    let mut tasks = Vec::new();
    for mut connection in connections {
        let question = question.clone();
        tasks.push(tokio::spawn(async move {
            let mut latencies = Vec::with_capacity(1024);
            let mut before = Instant::now();
            while before < end {
                connection.exchange(&question).await?;
                let now = Instant::now();
                latencies.push((now - before).as_nanos() as f64 / 1_000.0);
                before = now;
            }
            Ok::<_, super::Fault>((connection, latencies))
        }));
    }
    let (mut back, mut latencies_us) = (Vec::new(), Vec::new());
    for task in tasks {
        let (connection, latencies) = task.await??;
        back.push(connection);
        latencies_us.extend(latencies);
    }
    awake.abort();
    let requests = latencies_us.len() as u64;
    Ok((back, Window { requests, elapsed: began.elapsed(), latencies_us }))
}

/// Opens `count` connections.
pub async fn open(count: usize, port: u16, tls: &Arc<ClientConfig>) -> Res<Vec<Connection>> {
    let mut connections = Vec::with_capacity(count);
    for _ in 0..count {
        connections.push(Connection::open(port, tls.clone()).await?);
    }
    Ok(connections)
}
