//! Who gets in: holders of a certificate of the REST CA that is valid and names somebody. Nobody else.

use orbital::names::Correlation;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::house::{Ca, House, Said};

/// Whether a request gets an answer over this connection. With TLS 1.3 a client learns of its refusal when it first reads.
async fn is_served(house: &House, leaf: Option<&(String, String)>) -> bool {
    let Ok(mut tls) = house.connect(leaf).await else { return false };
    if tls.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await.is_err() {
        return false;
    }
    let mut answer = Vec::new();
    tls.read_to_end(&mut answer).await.is_ok() && answer.starts_with(b"HTTP/1.1 200")
}

#[tokio::test]
async fn a_certificate_of_the_rest_ca_is_needed() {
    let house = House::new().await;
    let ours = house.ca.leaf("alice", |_| ());
    let foreign = Ca::new("rest-ca").leaf("alice", |_| ());
    let expired = house.ca.leaf("alice", |params| params.not_after = rcgen::date_time_ymd(2020, 1, 1));
    assert!(is_served(&house, Some(&ours)).await);
    assert!(!is_served(&house, None).await, "without a certificate");
    assert!(!is_served(&house, Some(&foreign)).await, "another CA, even of the same name");
    assert!(!is_served(&house, Some(&expired)).await, "expired");
}

#[tokio::test]
async fn plain_text_gets_no_answer() {
    let house = House::new().await;
    let mut tcp = house.tcp().await;
    tcp.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
    let mut answer = Vec::new();
    // A reset is as good as an end.
    let _reset = tcp.read_to_end(&mut answer).await;
    assert!(!answer.starts_with(b"HTTP/"), "{answer:?}");
}

#[tokio::test]
async fn a_certificate_that_names_nobody_is_refused_with_words() {
    let house = House::new().await;
    let nameless = house.ca.leaf("", |_| ());
    let request = http::Request::get("/v1/tenants").header("host", "localhost").body(Default::default()).unwrap();
    let said = Said::of(house.sender_as(&nameless).await.send_request(request).await.unwrap()).await;
    assert_eq!((said.status, said.code()), (403, "caller-unnamed"));
}

#[tokio::test]
async fn the_correlation_id_is_echoed_made_or_refused() {
    let house = House::new().await;
    let given = house.send(http::Request::get("/v1/tenants").header("x-correlation-id", "click-1"), vec![]).await;
    assert_eq!(given.headers["x-correlation-id"], "click-1");
    let made = house.get("/v1/tenants").await;
    assert!(Correlation::new(made.headers["x-correlation-id"].to_str().unwrap()).is_ok());
    let refused = house.send(http::Request::get("/v1/tenants").header("x-correlation-id", "a b"), vec![]).await;
    assert_eq!((refused.status, refused.code()), (400, "bad-correlation-id"));
    assert_eq!(refused.headers["content-type"], "application/problem+json");
    let instance = refused.body["instance"].as_str().unwrap();
    assert_eq!(instance, format!("urn:kcm:correlation:{}", refused.headers["x-correlation-id"].to_str().unwrap()));
}
