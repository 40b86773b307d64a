//! Health: `/livez`, `/readyz` and `/metrics`, plain HTTP/1.1, meant for a listener on loopback.
//!
//! `/livez` answers as long as the runtime does: whoever gets no answer may restart the process. `/readyz` says whether to send clients
//! here (200 unless the node serves nobody), and always what is wrong and what to do. One request a connection: a probe comes every few seconds, and nobody can keep a place.
//! What is shown names tenants by id and no key, and needs no login; so the address belongs on loopback or a network of operators.

use std::{convert::Infallible, future::Future, sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::{Deserialize, Serialize};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};

/// Connections at once; more wait in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 32;
/// From accept to the end of the request's head.
pub const HEADER_TIMEOUT: Duration = Duration::from_secs(2);
/// From accept to the last byte of the answer: who reads more slowly is cut off.
pub const CONNECTION_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest request head, in bytes.
pub const HEAD_BYTES_MAX: usize = 8 * 1024;
/// Wait after a failed accept, such as one for lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const JSON: &str = "application/json";
/// The text format of Prometheus, version 0.0.4.
const METRICS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether clients should be sent here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Serves nobody: no tenant is unsealed, or governance is not up yet.
    Sealed,
    /// Serves some: a tenant, a link or the disk needs a look.
    Degraded,
    Ready,
}

/// One thing that keeps a node from being ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub what: String,
    pub why: String,
    pub fix: String,
}

/// The answer to `/readyz`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Readiness {
    pub status: Status,
    /// Empty when ready.
    pub reasons: Vec<Reason>,
}

/// What the two planes know about themselves. Neither call may block.
pub trait Health: Send + Sync + 'static {
    fn ready(&self) -> Readiness;
    /// Brings the gauges up to date; called before each rendering of `/metrics`.
    fn refresh(&self);
}

/// Who is waited for, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connections: usize,
    pub header: Duration,
    pub connection: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { connections: CONNECTIONS_MAX, header: HEADER_TIMEOUT, connection: CONNECTION_TIMEOUT }
    }
}

/// What the answers are made of.
struct Source {
    health: Arc<dyn Health>,
    metrics: PrometheusHandle,
}

/// Answers until `shutdown` resolves, then closes every connection.
pub async fn serve(
    listener: TcpListener,
    health: Arc<dyn Health>,
    metrics: PrometheusHandle,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) {
    let source = Arc::new(Source { health, metrics });
    let room = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_ended) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = accept(&listener, &room) => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                let source = source.clone();
                connections.spawn(async move {
                    let _place = place;
                    converse(stream, source, limits).await;
                });
            }
            Err(error) => {
                tracing::warn!(%error, "health: accept failed; check the limit of open files");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    connections.shutdown().await;
}

type Place = tokio::sync::OwnedSemaphorePermit;

/// The next connection, once there is room for it.
async fn accept(listener: &TcpListener, room: &Arc<Semaphore>) -> std::io::Result<(TcpStream, Place)> {
    let place = Arc::clone(room).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, place))
}

async fn converse(stream: TcpStream, source: Arc<Source>, limits: Limits) {
    let service = service_fn(move |request| {
        let answer = answer(&source, &request);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header)
        .max_buf_size(HEAD_BYTES_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    match timeout(limits.connection, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "health: a connection ended"),
        Err(_) => tracing::debug!("health: a connection took too long and was closed"),
    }
}

fn answer(source: &Source, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if request.method() != Method::GET && request.method() != Method::HEAD {
        let mut refused = say(StatusCode::METHOD_NOT_ALLOWED, JSON, unknown(path, "only GET is answered here"));
        refused.headers_mut().insert(header::ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    match path {
        "/livez" => say(StatusCode::OK, JSON, r#"{"status":"live"}"#),
        "/readyz" => ready(&source.health.ready()),
        "/metrics" => {
            source.health.refresh();
            say(StatusCode::OK, METRICS_TEXT, source.metrics.render())
        }
        other => say(StatusCode::NOT_FOUND, JSON, unknown(other, "no such page")),
    }
}

fn ready(readiness: &Readiness) -> Response<Full<Bytes>> {
    let status = match readiness.status {
        // A load balancer decides by this alone: what stops one tenant must not turn away all the others.
        Status::Ready | Status::Degraded => StatusCode::OK,
        Status::Sealed => StatusCode::SERVICE_UNAVAILABLE,
    };
    match serde_json::to_vec(readiness) {
        Ok(body) => say(status, JSON, body),
        Err(error) => say(StatusCode::INTERNAL_SERVER_ERROR, JSON, unknown("/readyz", &error.to_string())),
    }
}

fn unknown(path: &str, why: &str) -> String {
    let fix = "GET /livez, /readyz or /metrics";
    serde_json::json!({ "what": format!("{path} was not answered"), "why": why, "fix": fix }).to_string()
}

fn say(status: StatusCode, form: &'static str, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(form));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use std::{
        net::SocketAddr,
        sync::{
            Mutex,
            atomic::{AtomicUsize, Ordering},
        },
    };

    use metrics_exporter_prometheus::PrometheusBuilder;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        sync::oneshot,
    };

    use super::*;

    struct Node {
        readiness: Mutex<Readiness>,
        refreshed: AtomicUsize,
    }

    impl Health for Node {
        fn ready(&self) -> Readiness {
            self.readiness.lock().unwrap().clone()
        }
        fn refresh(&self) {
            self.refreshed.fetch_add(1, Ordering::SeqCst);
        }
    }

    struct Running {
        address: SocketAddr,
        node: Arc<Node>,
        stop: oneshot::Sender<()>,
        task: tokio::task::JoinHandle<()>,
    }

    async fn run(limits: Limits) -> Running {
        let recorder = PrometheusBuilder::new().build_recorder();
        metrics::with_local_recorder(&recorder, || metrics::gauge!("answers").set(42.0));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let readiness = Mutex::new(Readiness { status: Status::Ready, reasons: Vec::new() });
        let node = Arc::new(Node { readiness, refreshed: AtomicUsize::new(0) });
        let (stop, stopped) = oneshot::channel::<()>();
        let task = tokio::spawn(serve(listener, node.clone(), recorder.handle(), limits, async { _ = stopped.await }));
        Running { address, node, stop, task }
    }

    /// The whole answer to raw bytes; it ends when the server closes.
    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).await.unwrap();
        text
    }

    async fn get(address: SocketAddr, path: &str) -> (u16, String) {
        let text = ask(address, &format!("GET {path} HTTP/1.1\r\nhost: x\r\n\r\n")).await;
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains("cache-control: no-store") && head.contains("connection: close"), "{head}");
        (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
    }

    #[tokio::test]
    async fn ready_says_so_and_otherwise_why_and_what_to_do() {
        let running = run(Limits::default()).await;
        assert_eq!(get(running.address, "/livez").await, (200, r#"{"status":"live"}"#.to_owned()));
        assert_eq!(get(running.address, "/readyz").await, (200, r#"{"status":"ready","reasons":[]}"#.to_owned()));
        for (status, word, expected) in [(Status::Sealed, "sealed", 503), (Status::Degraded, "degraded", 200)] {
            let reason = Reason { what: "acme".into(), why: "its lease is over".into(), fix: "renew it".into() };
            *running.node.readiness.lock().unwrap() = Readiness { status, reasons: vec![reason] };
            let (code, body) = get(running.address, "/readyz?quiet").await;
            let body: serde_json::Value = serde_json::from_str(&body).unwrap();
            assert_eq!((code, body["status"].as_str()), (expected, Some(word)));
            assert_eq!(body["reasons"][0]["fix"], "renew it");
            assert_eq!(get(running.address, "/livez").await.0, 200, "not ready is still alive");
        }
        assert_eq!(running.node.refreshed.load(Ordering::SeqCst), 0);
    }

    #[tokio::test]
    async fn metrics_are_fresh() {
        let running = run(Limits::default()).await;
        let (code, text) = get(running.address, "/metrics").await;
        assert!(code == 200 && text.contains("answers 42"), "{text}");
        assert_eq!(running.node.refreshed.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn everything_else_is_refused() {
        let running = run(Limits::default()).await;
        let (code, body) = get(running.address, "/").await;
        assert!(code == 404 && body.contains("/readyz"), "{body}");
        let posted = ask(running.address, "POST /livez HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n").await;
        assert!(posted.starts_with("HTTP/1.1 405") && posted.contains("allow: GET, HEAD"), "{posted}");
        let long = "x".repeat(HEAD_BYTES_MAX);
        let large = ask(running.address, &format!("GET /livez HTTP/1.1\r\nhost: {long}\r\n\r\n")).await;
        assert!(large.starts_with("HTTP/1.1 431"), "{large}");
    }

    #[tokio::test]
    async fn a_silent_or_slow_client_keeps_no_place() {
        let header = Duration::from_millis(100);
        let running = run(Limits { connections: 2, header, ..Limits::default() }).await;
        let mut held = Vec::new();
        for head in ["", "GET /livez HTTP/1.1\r\nhost:"] {
            let mut stream = TcpStream::connect(running.address).await.unwrap();
            stream.write_all(head.as_bytes()).await.unwrap();
            held.push(stream);
        }
        assert_eq!(get(running.address, "/livez").await.0, 200, "it waits until they are let go");
        for mut stream in held {
            let mut rest = Vec::new();
            stream.read_to_end(&mut rest).await.unwrap();
            assert!(!rest.starts_with(b"HTTP/1.1 200"), "{rest:?}");
        }
    }

    #[tokio::test]
    async fn a_connection_ends_in_time_whatever_is_being_sent() {
        let limits =
            Limits { header: Duration::from_secs(60), connection: Duration::from_millis(100), ..Limits::default() };
        let running = run(limits).await;
        assert_eq!(ask(running.address, "GET /livez HTTP/1.1\r\nhost:").await, "");
    }

    #[tokio::test]
    async fn an_end_is_an_end() {
        let running = run(Limits::default()).await;
        let mut open = TcpStream::connect(running.address).await.unwrap();
        running.stop.send(()).unwrap();
        running.task.await.unwrap();
        assert_eq!(open.read(&mut [0; 1]).await.unwrap_or(0), 0);
        assert!(TcpStream::connect(running.address).await.is_err());
    }
}
