//! Real connections over HTTPS: each encoding, what HTTP refuses, limits, and the end of a connection.

use std::{future::Future, pin::pin, task::Poll};

use kmip::{
    Attribute, AttributeValue, Operation, ProtocolVersion, ResultReason, TemplateAttribute, client,
    message::AnswerMessage,
    ops::{self, Request},
    tables::{CryptographicAlgorithm, ObjectType, QueryFunction, StandardAttribute},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use super::*;
use crate::{
    Limits,
    caller::tests::tenant,
    connections::LARGE_PER_TENANT_MAX,
    listener::{Speech, tests::Site},
    ops::query::{PROFILES, PROFILES_OF_HTTPS},
    rig::Rig,
    turns::FEW_CONNECTIONS,
};

const V1_4: ProtocolVersion = ProtocolVersion::V1_4;
const PATIENCE: Duration = Duration::from_secs(60);
const SOON: Duration = Duration::from_millis(200);

async fn site(limits: Limits) -> Site {
    Site::speaking(Speech::Https, limits).await
}

struct Client(TlsStream<TcpStream>);

struct Reply {
    status: u16,
    head: String,
    body: Vec<u8>,
}

impl Client {
    async fn of(site: &Site) -> Self {
        Self(site.stream(true).await.unwrap())
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
        self.0.flush().await.unwrap();
    }

    /// The next answer; its length must be said.
    async fn reply(&mut self) -> Reply {
        let mut head = vec![];
        while !head.ends_with(b"\r\n\r\n") {
            head.push(timeout(PATIENCE, self.0.read_u8()).await.unwrap().unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
        let after = |name: &str| Some(head.split_once(name)?.1.split_whitespace().next()?.to_owned());
        let length = after("content-length:").unwrap().parse().unwrap();
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).await.unwrap();
        Reply { status: after("http/1.1").unwrap().parse().unwrap(), head, body }
    }

    async fn ask(&mut self, request: &[u8]) -> Reply {
        self.send(request).await;
        self.reply().await
    }

    async fn ended(&mut self) {
        // An orderly close and a broken one are both an end.
        let _ = timeout(PATIENCE, self.0.read_to_end(&mut vec![])).await.unwrap();
    }
}

fn post(content_type: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /kmip HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

fn query() -> Vec<u8> {
    let functions = vec![QueryFunction::QueryOperations, QueryFunction::QueryProfiles];
    client::request(V1_4, &Request::Query(ops::query::Request { functions }))
}

/// The message in another encoding, and back.
fn spelled(frame: &[u8], content_type: &str) -> Vec<u8> {
    match Encoding::of(content_type).unwrap() {
        Encoding::Ttlv => frame.to_vec(),
        Encoding::Xml(_) => xml::write(frame).unwrap().into_bytes(),
        Encoding::Json => json::write(frame).unwrap().into_bytes(),
    }
}

fn frame(body: &[u8], content_type: &str) -> Vec<u8> {
    let text = || str::from_utf8(body).unwrap();
    match Encoding::of(content_type).unwrap() {
        Encoding::Ttlv => body.to_vec(),
        Encoding::Xml(_) => xml::read(text(), &Ttlv::ANSWER).unwrap(),
        Encoding::Json => json::read(text(), &Ttlv::ANSWER).unwrap(),
    }
}

/// The reason of an answer's only item, which has no operation.
fn whole(frame: &[u8]) -> Option<u32> {
    let message = AnswerMessage::read(frame, ProtocolVersion::V1_0, &Ttlv::ANSWER).unwrap();
    let [item] = message.items.as_slice() else { panic!("one item") };
    assert!(item.operation.is_none());
    item.result_reason.map(|code| code.0)
}

#[tokio::test]
async fn each_encoding_is_answered_in_itself_on_one_connection() {
    let site = site(Limits::default()).await;
    let mut client = Client::of(&site).await;
    let types = [
        "application/octet-stream",
        "text/xml",
        "application/xml",
        "application/json",
        "Text/XML; charset=UTF-8",
        "application/json;charset=\"utf-8\"",
    ];
    for content_type in types {
        let reply = client.ask(&post(content_type, &spelled(&query(), content_type))).await;
        assert_eq!(reply.status, 200, "{content_type}: {}", reply.head);
        let media_type = content_type.split(';').next().unwrap().to_ascii_lowercase();
        assert!(reply.head.contains(&format!("content-type: {media_type}\r\n")), "{}", reply.head);
        assert!(reply.head.contains("cache-control: no-cache\r\n"), "{}", reply.head);
        let frame = frame(&reply.body, content_type);
        let answer = client::read_one(&frame, V1_4, Operation::Query).unwrap().unwrap();
        let ops::Answer::Query(answer) = answer else { panic!("another answer") };
        let claimed: Vec<u32> = answer.profile_information.iter().map(|p| p.profile_name.0).collect();
        for profile in PROFILES_OF_HTTPS {
            assert!(claimed.contains(&profile.code()), "{profile}");
        }
    }
    let (_, audit) = site.rig.audit().await;
    assert_eq!(audit.matches("\"Query\"").count(), types.len());
}

#[tokio::test]
async fn a_server_without_that_door_claims_none_of_its_profiles() {
    let rig = Rig::new().await;
    let functions = vec![QueryFunction::QueryProfiles];
    let got = rig.does(&Request::Query(ops::query::Request { functions })).await.unwrap();
    let ops::Answer::Query(answer) = got.answer() else { panic!("another answer") };
    let claimed: Vec<u32> = answer.profile_information.iter().map(|p| p.profile_name.0).collect();
    assert_eq!(claimed, PROFILES.map(|profile| profile.code()));
}

#[tokio::test]
async fn an_answer_that_xml_does_not_have_is_a_failure_that_says_so() {
    let rig = Rig::new().await;
    let number = |name, value| Attribute::new(name, AttributeValue::Integer(value));
    let aes = AttributeValue::Enumeration(CryptographicAlgorithm::Aes.code());
    let attributes = vec![
        Attribute::new(StandardAttribute::CryptographicAlgorithm, aes),
        number(StandardAttribute::CryptographicLength, 128),
        number(StandardAttribute::CryptographicUsageMask, 4),
        Attribute::new(StandardAttribute::Name, AttributeValue::name("in TTLV alone: \u{1}")),
    ];
    let template_attribute = TemplateAttribute { template_names: vec![], attributes };
    let create = ops::create::Request { object_type: ObjectType::SymmetricKey, template_attribute };
    let id = rig.does(&Request::Create(create)).await.unwrap().id();
    let ask = ops::get_attributes::Request { unique_identifier: Some(&id), attribute_names: vec![] };
    let question = client::request(V1_4, &Request::GetAttributes(ask));
    for (content_type, reason) in [("application/json", None), ("text/xml", Some(ResultReason::GeneralFailure))] {
        let (body, encoding) = (spelled(&question, content_type), Encoding::of(content_type).unwrap());
        let answer = exchange(&rig.server, &rig.caller, &body, encoding).await.unwrap();
        let frame = frame(&answer, content_type);
        let message = AnswerMessage::read(&frame, V1_4, &Ttlv::ANSWER).unwrap();
        assert_eq!(message.items[0].result_reason.map(|code| code.0), reason.map(ResultReason::code), "{content_type}");
    }
}

/// Lets everybody else have so many turns that whoever waits for nothing is done.
async fn others_go() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn beside_another_tenant_a_connection_and_its_messages_wait_for_turns_of_their_tenant() {
    let rig = Rig::new().await;
    let enter = |number| rig.server.connections().enter(tenant(number)).unwrap();
    let (entered, _neighbour) = (Arc::new(enter(1)), enter(2));
    let _more: Vec<_> = (0..FEW_CONNECTIONS).map(|_| enter(1)).collect();
    let taken = entered.turns().take_all().await;
    let (mut client, stream) = tokio::io::duplex(4 * HEAD_BYTES_MAX);
    let (server, caller, mine) = (rig.server.clone(), rig.caller.clone(), entered.clone());
    tokio::spawn(async move { run(stream, &server, &caller, &mine).await });
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let body = Zeroizing::new(query());
    let message = begin(&rig.server, &rig.caller, entered.turns(), body, Encoding::Ttlv);
    others_go().await;
    let early = std::future::poll_fn(|cx| Poll::Ready(pin!(client.read_u8()).poll(cx).is_ready())).await;
    assert!(!early, "the connection took no turn");
    assert!(!message.is_finished(), "the message took no turn");
    drop(taken);
    client.read_u8().await.unwrap();
    message.await.unwrap().unwrap();
}

#[tokio::test]
async fn what_http_refuses_has_its_status() {
    let site = site(Limits::default()).await;
    let line = |line: &str, body: &str| format!("{line} HTTP/1.1\r\nHost: localhost\r\n{body}");
    let none = "Content-Length: 0\r\n\r\n";
    let long = MESSAGE_BYTES_MAX + 1;
    let longer = MESSAGE_BYTES_MAX * TEXT_PER_MESSAGE + 1;
    let chunks = format!("{long:x}\r\n{}\r\n0\r\n\r\n", "x".repeat(long));
    let cases = [
        (404, line("POST /", none)),
        (404, line("POST /kmip/", none)),
        (404, line("GET /kmip2", none)),
        (405, line("GET /kmip", "\r\n")),
        (405, line("PUT /kmip", "Content-Type: text/xml\r\nContent-Length: 0\r\n\r\n")),
        (415, line("POST /kmip", none)),
        (415, line("POST /kmip", "Content-Type: text/plain\r\nContent-Length: 0\r\n\r\n")),
        (415, line("POST /kmip", "Content-Type: text/xml; charset=latin1\r\nContent-Length: 0\r\n\r\n")),
        (413, line("POST /kmip", &format!("Content-Type: application/octet-stream\r\nContent-Length: {long}\r\n\r\n"))),
        (413, line("POST /kmip", &format!("Content-Type: application/json\r\nContent-Length: {longer}\r\n\r\n"))),
        (
            413,
            line(
                "POST /kmip",
                &format!("Content-Type: application/octet-stream\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}"),
            ),
        ),
    ];
    for (status, request) in cases {
        let shown: String = request.chars().take(150).collect();
        let mut client = Client::of(&site).await;
        // The server may answer, and close, before it has read it all.
        let _ = client.0.write_all(request.as_bytes()).await;
        let _ = client.0.flush().await;
        let reply = client.reply().await;
        assert_eq!(reply.status, status, "{shown}");
        assert_eq!(reply.head.contains("allow: post\r\n"), status == 405, "{}", reply.head);
        assert!(!reply.body.is_empty(), "it says why: {shown}");
        client.ended().await;
    }
    let mut client = Client::of(&site).await;
    let head = format!("POST /kmip HTTP/1.1\r\nHost: localhost\r\nX-Long: {}", "x".repeat(HEAD_BYTES_MAX));
    client.send(head.as_bytes()).await;
    assert_eq!(client.reply().await.status, 431, "a head that never ends is no reason to wait");
    client.ended().await;
    let mut client = Client::of(&site).await;
    assert_eq!(client.ask(&post("text/xml", &[0xC3, 0x28])).await.status, 400);
    assert_eq!(client.ask(&post("application/octet-stream", &query())).await.status, 200, "the connection goes on");
}

#[tokio::test]
async fn what_is_no_message_is_a_kmip_failure_in_the_same_encoding() {
    let site = site(Limits::default()).await;
    let mut client = Client::of(&site).await;
    let cases = [
        ("application/octet-stream", "", ResultReason::InvalidMessage),
        ("application/octet-stream", "GET / HTTP", ResultReason::InvalidMessage),
        ("text/xml", "<RequestMessage>", ResultReason::InvalidMessage),
        ("application/xml", "{}", ResultReason::InvalidMessage),
        ("application/json", "<RequestMessage/>", ResultReason::InvalidMessage),
        (
            "application/json",
            r#"{"tag":"RequestMessage","value":[{"tag":"Operation","type":"Enumeration","value":"Fly"}]}"#,
            ResultReason::InvalidField,
        ),
    ];
    for (content_type, body, reason) in cases {
        let reply = client.ask(&post(content_type, body.as_bytes())).await;
        assert_eq!(reply.status, 200, "{body}");
        assert_eq!(whole(&frame(&reply.body, content_type)), Some(reason.code()), "{body}");
    }
    let (_, audit) = site.rig.audit().await;
    assert_eq!(audit.matches("Invalid Message").count(), 5);
}

#[tokio::test]
async fn a_body_comes_in_time_or_not_at_all() {
    let site = site(Limits { transfer_timeout: SOON, ..Limits::default() }).await;
    let mut client = Client::of(&site).await;
    let request = post("application/octet-stream", &query());
    let reply = client.ask(&request[..request.len() - 1]).await;
    assert_eq!(reply.status, 408);
    client.ended().await;
}

#[tokio::test]
async fn who_is_silent_is_let_go() {
    let site = site(Limits { idle_timeout: SOON, ..Limits::default() }).await;
    for begun in ["", "POST /kmip HT"] {
        let mut client = Client::of(&site).await;
        client.send(begun.as_bytes()).await;
        client.ended().await;
    }
}

#[tokio::test]
async fn a_large_body_waits_for_one_of_the_tenants_places() {
    let site = site(Limits::default()).await;
    let mut client = Client::of(&site).await;
    let entered = site.rig.server.connections().enter(tenant(1)).unwrap();
    let taken = entered.large().clone().try_acquire_many_owned(LARGE_PER_TENANT_MAX.try_into().unwrap()).unwrap();
    client.send(&post("application/json", " ".repeat(64 * 1024).as_bytes())).await;
    assert!(timeout(SOON, client.0.read_u8()).await.is_err(), "it was read without a place");
    drop(taken);
    assert_eq!(client.reply().await.status, 200);
}

#[tokio::test]
async fn a_kill_closes_connections_and_so_does_the_end_of_the_server() {
    let mut site = site(Limits::default()).await;
    let request = post("application/octet-stream", &query());
    for sent in [request.len(), request.len() - 1, 20] {
        let mut client = Client::of(&site).await;
        client.send(&request[..sent]).await;
        // In TLS 1.3 a client is done with the handshake before the server has entered it.
        until(|| site.rig.server.connections().of(&tenant(1)) == 1).await;
        if sent == request.len() {
            assert_eq!(client.reply().await.status, 200);
        }
        assert_eq!(site.rig.server.close_tenant(&tenant(1)), 1);
        client.ended().await;
    }
    let mut client = Client::of(&site).await;
    assert_eq!(client.ask(&request).await.status, 200);
    drop(site.stop.take());
    client.ended().await;
    timeout(PATIENCE, &mut site.task).await.unwrap().unwrap();
}

#[tokio::test]
async fn strangers_are_refused_in_the_handshake_and_the_tenants_limit_is_one_for_all_doors() {
    let site = site(Limits { connections_per_tenant: 1, ..Limits::default() }).await;
    // In TLS 1.3 a client learns of it with its first read.
    let is_refused = async |known| match site.stream(known).await {
        Err(_) => true,
        Ok(mut stream) => stream.read_u8().await.is_err(),
    };
    assert!(is_refused(false).await);
    let other_door = site.rig.server.connections().enter(tenant(1)).unwrap();
    assert!(is_refused(true).await);
    drop(other_door);
    let mut client = Client::of(&site).await;
    assert_eq!(client.ask(&post("application/octet-stream", &query())).await.status, 200);
}

#[tokio::test]
async fn what_was_begun_is_done_and_recorded_though_the_client_hangs_up() {
    let site = site(Limits::default()).await;
    let server = site.rig.server.clone();
    let busy = server.making_pairs().await;
    let mut client = Client::of(&site).await;
    let pair = r#"{"tag":"RequestMessage","value":[{"tag":"RequestHeader","value":[{"tag":"ProtocolVersion","value":[
        {"tag":"ProtocolVersionMajor","type":"Integer","value":1},{"tag":"ProtocolVersionMinor","type":"Integer","value":4}]},
        {"tag":"BatchCount","type":"Integer","value":1}]},{"tag":"BatchItem","value":[
        {"tag":"Operation","type":"Enumeration","value":"CreateKeyPair"},{"tag":"RequestPayload","value":[
        {"tag":"CommonTemplateAttribute","value":[
            {"tag":"Attribute","value":[{"tag":"AttributeName","type":"TextString","value":"Cryptographic Algorithm"},
                {"tag":"AttributeValue","type":"Enumeration","value":"RSA"}]},
            {"tag":"Attribute","value":[{"tag":"AttributeName","type":"TextString","value":"Cryptographic Length"},
                {"tag":"AttributeValue","type":"Integer","value":2048}]}]},
        {"tag":"PrivateKeyTemplateAttribute","value":[{"tag":"Attribute","value":[
            {"tag":"AttributeName","type":"TextString","value":"Cryptographic Usage Mask"},
            {"tag":"AttributeValue","type":"Integer","value":"Sign"}]}]},
        {"tag":"PublicKeyTemplateAttribute","value":[{"tag":"Attribute","value":[
            {"tag":"AttributeName","type":"TextString","value":"Cryptographic Usage Mask"},
            {"tag":"AttributeValue","type":"Integer","value":"Verify"}]}]}]}]}]}"#;
    client.send(&post("application/json", pair.as_bytes())).await;
    // It waits for its turn once it holds the server.
    until(|| Arc::strong_count(&server) > 4).await;
    drop(client);
    until(|| server.connections().of(&tenant(1)) == 0).await;
    drop(busy);
    timeout(PATIENCE, async {
        while !site.rig.audit().await.1.contains("\"Create Key Pair\"") {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

async fn until(mut is: impl FnMut() -> bool) {
    timeout(PATIENCE, async {
        while !is() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}
