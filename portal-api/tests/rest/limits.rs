//! What one caller may ask of the listener ends where its limit says.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use portal_api::limits::{BODY_BYTES_MAX, Limits, WATCHERS_PER_CALLER_MAX};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::house::{House, OPERATOR};

#[tokio::test]
async fn a_body_over_its_limit_is_refused_and_the_limit_named() {
    let house = House::new().await;
    let request = || http::Request::post("/v1/tenants").header("content-type", "application/json");
    let over = house.send(request(), vec![b' '; BODY_BYTES_MAX + 1]).await;
    assert_eq!((over.status, over.code()), (413, "too-large"));
    assert!(over.body["detail"].as_str().unwrap().contains(&BODY_BYTES_MAX.to_string()));
    let within = house.send(request(), vec![b' '; BODY_BYTES_MAX]).await;
    assert_eq!((within.status, within.code()), (400, "unreadable"));
}

#[tokio::test]
async fn a_head_request_is_answered_without_a_body_over_http2() {
    let house = House::new().await;
    let tls = house.connect(Some(&house.ca.leaf(OPERATOR, |_| ()))).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(tls)).await.unwrap();
    tokio::spawn(async move { drop(connection.await) });
    for _ in 0..2 {
        let request = http::Request::head("https://localhost/v1/tenants").body(Full::<Bytes>::default()).unwrap();
        let response = sender.send_request(request).await.unwrap();
        assert_eq!(response.status(), 405);
        assert!(response.into_body().collect().await.unwrap().to_bytes().is_empty());
    }
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let house = House::within(Limits { header: Duration::from_millis(50), ..Limits::default() }).await;
    let leaf = house.ca.leaf("alice", |_| ());
    let mut tls = house.connect(Some(&leaf)).await.unwrap();
    tls.write_all(b"GET /livez HTT").await.unwrap();
    let mut rest = Vec::new();
    let ended = tokio::time::timeout(Duration::from_secs(20), tls.read_to_end(&mut rest)).await;
    assert!(ended.is_ok(), "the server holds on to a caller who says nothing");
    assert!(!rest.starts_with(b"HTTP/1.1 200"));
}

#[tokio::test]
async fn a_silent_connection_and_a_silent_handshake_end() {
    let short = Duration::from_millis(50);
    let house = House::within(Limits { idle: short, handshake: short, ..Limits::default() }).await;
    let mut bytes = Vec::new();
    let mut tcp = house.tcp().await;
    let ended = tokio::time::timeout(Duration::from_secs(20), tcp.read_to_end(&mut bytes)).await;
    assert!(ended.is_ok(), "a handshake that never begins");
    let leaf = house.ca.leaf("alice", |_| ());
    let mut tls = house.connect(Some(&leaf)).await.unwrap();
    let ended = tokio::time::timeout(Duration::from_secs(20), tls.read_to_end(&mut bytes)).await;
    assert!(ended.is_ok(), "a connection without a request");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_with_408() {
    let house = House::within(Limits { body: Duration::from_millis(50), ..Limits::default() }).await;
    let leaf = house.ca.leaf(OPERATOR, |_| ());
    let mut tls = house.connect(Some(&leaf)).await.unwrap();
    let head =
        "POST /v1/tenants HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{";
    tls.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 12];
    tokio::time::timeout(Duration::from_secs(20), tls.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 408");
}

/// The first answer on a connection, as text, up to the end of its body.
async fn answered(tls: &mut (impl AsyncReadExt + Unpin)) -> String {
    let (mut said, mut piece) = (Vec::new(), [0; 4_096]);
    loop {
        let text = String::from_utf8_lossy(&said);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
            if body.len() >= length.parse().unwrap() {
                return text.into_owned();
            }
        }
        let read = tokio::time::timeout(Duration::from_secs(20), tls.read(&mut piece)).await.unwrap().unwrap();
        assert!(read > 0, "the connection ended after: {text}");
        said.extend_from_slice(&piece[..read]);
    }
}

/// A caller sends the whole of its request before it reads, and then uses the connection again: every HTTP/1 client with a pool.
#[tokio::test]
async fn who_is_refused_by_the_head_alone_keeps_the_connection() {
    let house = House::new().await;
    let mut tls = house.connect(Some(&house.ca.leaf(OPERATOR, |_| ()))).await.unwrap();
    let body = vec![b' '; BODY_BYTES_MAX];
    for (line, more, status) in [
        ("POST /v1/tenants", "x-correlation-id: no id\r\n", 400),
        ("POST /v1/tenants", "content-type: text/plain\r\n", 415),
        ("PUT /v1/tenants", "", 405),
        ("POST /nowhere", "", 404),
        ("GET /livez", "", 200),
    ] {
        let head = format!("{line} HTTP/1.1\r\nhost: localhost\r\n{more}content-length: {}\r\n\r\n", body.len());
        tls.write_all(head.as_bytes()).await.unwrap();
        tls.write_all(&body).await.unwrap();
        let said = answered(&mut tls).await;
        assert!(said.starts_with(&format!("HTTP/1.1 {status}")), "{line}: {said}");
        assert!(!said.contains("connection: close"), "{said}");
    }
}

/// What is left beyond a body's limit is not read to the end: the answer says that the connection closes.
#[tokio::test]
async fn a_connection_whose_body_is_not_read_says_that_it_closes() {
    let house = House::new().await;
    let leaf = house.ca.leaf(OPERATOR, |_| ());
    for more in ["content-length: 9000000000\r\n", "expect: 100-continue\r\ncontent-length: 9\r\n"] {
        let mut tls = house.connect(Some(&leaf)).await.unwrap();
        tls.write_all(format!("POST /nowhere HTTP/1.1\r\nhost: localhost\r\n{more}\r\n").as_bytes()).await.unwrap();
        if !more.starts_with("expect") {
            tls.write_all(&vec![b' '; BODY_BYTES_MAX + 1]).await.unwrap();
        }
        let said = answered(&mut tls).await;
        assert!(said.starts_with("HTTP/1.1 404"), "{said}");
        assert!(said.contains("connection: close"), "{said}");
    }
}

/// Whether a caller of this name is served beside whoever is.
async fn is_served(house: &House, name: &str) -> bool {
    let leaf = house.ca.leaf(name, |_| ());
    let Ok(mut tls) = house.connect(Some(&leaf)).await else { return false };
    if tls.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.is_err() {
        return false;
    }
    let mut answer = Vec::new();
    _ = tls.read_to_end(&mut answer).await;
    answer.starts_with(b"HTTP/1.1 200")
}

/// Until the listener has seen that a connection is gone.
async fn is_served_soon(house: &House, name: &str) {
    let served = async { while !is_served(house, name).await {} };
    tokio::time::timeout(Duration::from_secs(20), served).await.unwrap();
}

#[tokio::test]
async fn one_connection_more_than_the_limit_is_turned_away() {
    let house = House::within(Limits { connections: 1, ..Limits::default() }).await;
    let leaf = house.ca.leaf("alice", |_| ());
    let first = house.served(&leaf).await;
    assert!(!is_served(&house, "bob").await, "a second connection was served beside the first");
    drop(first);
    is_served_soon(&house, "bob").await;
}

#[tokio::test]
async fn one_caller_does_not_hold_every_connection() {
    let house = House::within(Limits { connections_per_caller: 2, ..Limits::default() }).await;
    let leaf = house.ca.leaf("alice", |_| ());
    let held = [house.served(&leaf).await, house.served(&leaf).await];
    assert!(!is_served(&house, "alice").await, "a caller has a share, whatever certificate it shows");
    assert!(is_served(&house, "bob").await);
    drop(held);
    is_served_soon(&house, "alice").await;
}

#[tokio::test]
async fn silent_strangers_keep_nobody_out() {
    let hour = Duration::from_secs(3_600);
    let limits = Limits { handshakes: 4, handshakes_per_source: 2, handshake: hour, ..Limits::default() };
    let house = House::within(limits).await;
    let mut silent = Vec::new();
    for last in [1, 1, 2, 2, 3, 3] {
        silent.push(house.tcp_from([127, 0, 0, last]).await);
    }
    assert!(tokio::time::timeout(Duration::from_secs(20), is_served(&house, "alice")).await.unwrap());
    let oldest = tokio::time::timeout(Duration::from_secs(20), silent[0].read(&mut [0; 1])).await.unwrap();
    assert!(matches!(oldest, Ok(0) | Err(_)), "the oldest gave way");
}

#[tokio::test]
async fn one_caller_does_not_hold_every_event_stream() {
    let house = House::new().await;
    let watch = || http::Request::get("/v1/events").header("host", "localhost").body(Default::default()).unwrap();
    let mut held = Vec::new();
    for _ in 0..WATCHERS_PER_CALLER_MAX {
        let mut sender = house.sender().await;
        let stream = sender.send_request(watch()).await.unwrap();
        assert_eq!(stream.status(), 200);
        held.push((sender, stream));
    }
    let refused = house.get("/v1/events").await;
    assert_eq!((refused.status, refused.code()), (503, "too-many-watchers"));
    assert!(refused.body["detail"].as_str().unwrap().contains(&WATCHERS_PER_CALLER_MAX.to_string()));
}

#[tokio::test]
async fn an_open_event_stream_does_not_hold_up_the_end() {
    let mut house = House::within(Limits { drain: Duration::from_secs(600), ..Limits::default() }).await;
    let mut sender = house.sender().await;
    let request = http::Request::get("/v1/events").header("host", "localhost").body(Default::default()).unwrap();
    let stream = sender.send_request(request).await.unwrap();
    assert_eq!(stream.status(), 200);
    tokio::time::timeout(Duration::from_secs(60), house.close()).await.unwrap();
}
