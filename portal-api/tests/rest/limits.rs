//! What one caller may ask of the listener ends where its limit says.

use std::time::Duration;

use portal_api::limits::{BODY_BYTES_MAX, Limits};
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

#[tokio::test]
async fn one_connection_more_than_the_limit_waits_for_a_place() {
    let house = House::within(Limits { connections: 1, ..Limits::default() }).await;
    let first = house.sender().await;
    let leaf = house.ca.leaf("bob", |_| ());
    let second = house.connect(Some(&leaf));
    tokio::pin!(second);
    let early = tokio::time::timeout(Duration::from_millis(200), &mut second).await;
    assert!(early.is_err(), "a second connection was served beside the first");
    drop(first);
    tokio::time::timeout(Duration::from_secs(20), second).await.unwrap().unwrap();
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
