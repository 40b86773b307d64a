//! Real connections: handshakes, resumption, closing, pipelining, limits.

use std::{io, net::SocketAddr};

use kmip::{
    ProtocolVersion, ResultReason, client,
    message::{AnswerMessage, RequestHeader},
    ops::{self, Request},
    tables::QueryFunction,
    ttlv,
};
use rcgen::{ExtendedKeyUsagePurpose, KeyPair};
use rustls::{
    ClientConfig, HandshakeKind, RootCertStore, SupportedProtocolVersion,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName},
    version::{TLS12, TLS13},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::oneshot,
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream as ClientStream};

use super::*;
use crate::{
    caller::tests::{Authority, system, tenant},
    rig::Rig,
};

const V1_4: ProtocolVersion = ProtocolVersion::V1_4;

/// A listener on a free port, for a rig whose first tenant has `ca`.
pub(crate) struct Site {
    pub(crate) rig: Rig,
    ca: Authority,
    address: SocketAddr,
    pub(crate) stop: Option<oneshot::Sender<()>>,
    pub(crate) task: JoinHandle<()>,
}

impl Site {
    async fn new(limits: Limits) -> Self {
        Self::speaking(Speech::Ttlv, limits).await
    }

    pub(crate) async fn speaking(speech: Speech, limits: Limits) -> Self {
        Self::of(Rig::with_limits(limits).await, speech).await
    }

    async fn of(rig: Rig, speech: Speech) -> Self {
        let ca = Authority::new("tenant 1");
        assert!(rig.server.change_callers(tenant(1), vec![ca.rule("orders")]).is_empty());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let server = rig.server.clone();
        let task = tokio::spawn(async move {
            // Whoever drops the sender stops it too.
            let stopped = async move { drop(stopped.await) };
            match speech {
                Speech::Ttlv => serve(listener, server, stopped).await,
                Speech::Https => serve_https(listener, server, stopped).await,
            }
        });
        Self { rig, ca, address, stop: Some(stop), task }
    }

    async fn usual() -> Self {
        Self::new(Limits::default()).await
    }

    fn config(&self, versions: &[&'static SupportedProtocolVersion], client: Option<&Authority>) -> Arc<ClientConfig> {
        self.config_with(versions, client.map(|authority| (authority, authority.issue(|_| {}))))
    }

    fn config_with(
        &self,
        versions: &[&'static SupportedProtocolVersion],
        client: Option<(&Authority, (CertificateDer<'static>, KeyPair))>,
    ) -> Arc<ClientConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(self.rig.server_ca.der()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        Arc::new(match client {
            None => config.with_no_client_auth(),
            Some((authority, (certificate, key))) => {
                let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
                config.with_client_auth_cert(vec![certificate, authority.der()], key).unwrap()
            }
        })
    }

    async fn connect(&self, config: &Arc<ClientConfig>) -> io::Result<Client> {
        let tcp = TcpStream::connect(self.address).await?;
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(config.clone()).connect(name, tcp).await.map(Client)
    }

    /// A client of the first tenant.
    async fn client(&self) -> Client {
        self.connect(&self.config(&[&TLS13], Some(&self.ca))).await.unwrap()
    }

    /// The stream of such a client, or of one without a certificate.
    pub(crate) async fn stream(&self, known: bool) -> io::Result<ClientStream<TcpStream>> {
        self.connect(&self.config(&[&TLS13], known.then_some(&self.ca))).await.map(|client| client.0)
    }
}

struct Client(ClientStream<TcpStream>);

impl Client {
    async fn read_frame(&mut self) -> io::Result<Vec<u8>> {
        let mut frame = vec![0; ttlv::HEADER_BYTES];
        self.0.read_exact(&mut frame).await?;
        let length = client::answer_len(frame.first_chunk().unwrap()).unwrap();
        frame.resize(length, 0);
        self.0.read_exact(&mut frame[ttlv::HEADER_BYTES..]).await?;
        Ok(frame)
    }

    async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await?;
        self.0.flush().await
    }

    /// Asks Query; `Ok` if it is answered with success.
    async fn query(&mut self) -> io::Result<()> {
        self.send(&query()).await?;
        let frame = self.read_frame().await?;
        client::read_one(&frame, V1_4, kmip::Operation::Query).unwrap().unwrap();
        Ok(())
    }

    /// Waits for the server's end of the connection.
    async fn ended(&mut self) {
        let mut rest = vec![];
        // An orderly close and a broken one are both an end.
        let _ = self.0.read_to_end(&mut rest).await;
    }

    fn kind(&self) -> Option<HandshakeKind> {
        self.0.get_ref().1.handshake_kind()
    }
}

fn query() -> Vec<u8> {
    let functions = vec![QueryFunction::QueryOperations];
    client::request(V1_4, &Request::Query(ops::query::Request { functions }))
}

#[tokio::test]
async fn a_client_of_the_tenant_is_served_in_tls_1_2_and_1_3() {
    let site = Site::usual().await;
    for version in [&TLS12, &TLS13] {
        let mut client = site.connect(&site.config(&[version], Some(&site.ca))).await.unwrap();
        client.query().await.unwrap();
        client.query().await.unwrap();
    }
}

#[tokio::test]
async fn whoever_is_no_tenant_s_client_is_refused_in_the_handshake() {
    let site = Site::usual().await;
    // A certificate of another port of the deployment, and none at all.
    let orbital = Authority::new("orbital");
    for version in [&TLS12, &TLS13] {
        for stranger in [Some(&orbital), None] {
            let config = site.config(&[version], stranger);
            // In TLS 1.3 a client learns of it with its first read.
            let refused = match site.connect(&config).await {
                Err(error) => error,
                Ok(mut client) => client.query().await.unwrap_err(),
            };
            assert!(refused.to_string().contains("alert"), "{refused}");
        }
    }
    assert_eq!(site.rig.server.connections().of(&tenant(1)), 0);
}

#[tokio::test]
async fn a_certificate_for_another_purpose_is_refused_in_the_handshake() {
    let site = Site::usual().await;
    for (purpose, served) in [(ExtendedKeyUsagePurpose::ServerAuth, false), (ExtendedKeyUsagePurpose::ClientAuth, true)]
    {
        let issued = site.ca.issue(|parameters| parameters.extended_key_usages = vec![purpose]);
        let outcome = match site.connect(&site.config_with(&[&TLS13], Some((&site.ca, issued)))).await {
            Err(error) => Err(error),
            Ok(mut client) => client.query().await,
        };
        assert_eq!(outcome.is_ok(), served, "{outcome:?}");
        assert!(outcome.err().is_none_or(|refused| refused.to_string().contains("alert")));
    }
}

#[tokio::test]
async fn plain_text_gets_no_answer() {
    let site = Site::usual().await;
    for text in [&query()[..], b"GET / HTTP/1.1\r\n\r\n"] {
        let mut tcp = TcpStream::connect(site.address).await.unwrap();
        tcp.write_all(text).await.unwrap();
        let mut rest = vec![];
        // An orderly close and a broken one are both an end.
        let _ = tcp.read_to_end(&mut rest).await;
        let alert = 21;
        assert!(rest.first().is_none_or(|kind| *kind == alert), "{rest:?}");
    }
    site.client().await.query().await.unwrap();
}

#[tokio::test]
async fn a_resumed_session_is_identified_under_the_trust_of_the_moment() {
    let site = Site::usual().await;
    for version in [&TLS12, &TLS13] {
        let config = site.config(&[version], Some(&site.ca));
        site.connect(&config).await.unwrap().query().await.unwrap();
        let mut second = site.connect(&config).await.unwrap();
        second.query().await.unwrap();
        assert_eq!(second.kind(), Some(HandshakeKind::Resumed));
        // The anchors change under a session that could be resumed: it is nobody's now.
        site.rig.anchors.set(tenant(1), vec![Authority::new("new").rule("orders")]);
        let refused = match site.connect(&config).await {
            Err(_) => true,
            Ok(mut client) => client.query().await.is_err(),
        };
        assert!(refused);
        site.rig.anchors.set(tenant(1), vec![site.ca.rule("orders")]);
    }
}

#[tokio::test]
async fn a_kill_or_a_change_of_callers_closes_connections_and_drops_sessions() {
    let site = Site::usual().await;
    let config = site.config(&[&TLS13], Some(&site.ca));
    let mut client = site.connect(&config).await.unwrap();
    client.query().await.unwrap();
    assert_eq!(site.rig.server.close_tenant(&tenant(1)), 1);
    client.ended().await;
    let mut again = site.connect(&config).await.unwrap();
    again.query().await.unwrap();
    assert_eq!(again.kind(), Some(HandshakeKind::Full), "its sessions are gone");
    let rules = vec![crate::caller::CallerRule { system: system("ledger"), ..site.ca.rule("orders") }];
    site.rig.server.change_callers(tenant(1), rules);
    again.ended().await;
    site.connect(&config).await.unwrap().query().await.unwrap();
}

#[tokio::test]
async fn requests_that_arrive_together_are_answered_in_their_order() {
    let site = Site::usual().await;
    let mut client = site.client().await;
    let id = |number: usize| format!("id-{number}");
    let ids: Vec<String> = (0..20).map(id).collect();
    let frames: Vec<Vec<u8>> = ids
        .iter()
        .map(|id| client::batch(RequestHeader::of(V1_4), &[Request::Get(ops::get::Request::of(id))]))
        .collect();
    let mut all = frames.concat();
    all.extend_from_slice(&query());
    // In pieces that do not fall between frames.
    for piece in all.chunks(97) {
        client.send(piece).await.unwrap();
    }
    for _ in &frames {
        let frame = client.read_frame().await.unwrap();
        let failure = client::read_one(&frame, V1_4, kmip::Operation::Get).unwrap().err().unwrap();
        assert_eq!(failure.reason, ResultReason::ItemNotFound);
    }
    let last = client.read_frame().await.unwrap();
    assert!(client::read_one(&last, V1_4, kmip::Operation::Query).unwrap().is_ok());
    let (_, text) = site.rig.audit().await;
    let keys: Vec<&str> = text.lines().filter_map(|line| line.split_once("\"key\":\"")?.1.split('"').next()).collect();
    assert_eq!(keys[..20], ids.iter().map(String::as_str).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_large_frame_is_taken_and_a_too_large_one_refused_before_it_is_read() {
    let site = Site::usual().await;
    let mut client = site.client().await;
    let long = "x".repeat(900_000);
    client.send(&client::request(V1_4, &Request::Get(ops::get::Request::of(&long)))).await.unwrap();
    let frame = client.read_frame().await.unwrap();
    assert!(client::read_one(&frame, V1_4, kmip::Operation::Get).unwrap().is_err());
    client.query().await.unwrap();
    for header in [[0x42, 0, 0x78, 1, 0x7f, 0xff, 0xff, 0xf8], *b"GET / HT"] {
        let mut client = site.client().await;
        client.send(&header).await.unwrap();
        let frame = client.read_frame().await.unwrap();
        let message = AnswerMessage::read(&frame, ProtocolVersion::V1_0, &ttlv::Limits::ANSWER).unwrap();
        assert!(message.items[0].operation.is_none());
        assert_eq!(message.items[0].result_reason.map(|code| code.0), Some(ResultReason::InvalidMessage.code()));
        client.ended().await;
    }
}

#[tokio::test]
async fn who_is_silent_is_let_go() {
    let short = Duration::from_millis(50);
    let site = Site::new(Limits {
        handshake_timeout: short,
        idle_timeout: short,
        transfer_timeout: short,
        ..Limits::default()
    })
    .await;
    let mut mute = TcpStream::connect(site.address).await.unwrap();
    assert_eq!(mute.read(&mut [0; 8]).await.unwrap_or(0), 0, "no handshake came");
    let mut client = site.client().await;
    client.send(&query()[..20]).await.unwrap();
    client.ended().await;
}

async fn silent_from(last: u8, to: SocketAddr) -> TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind(([127, 0, 0, last], 0).into()).unwrap();
    socket.connect(to).await.unwrap()
}

#[tokio::test]
async fn silent_strangers_keep_no_client_out() {
    let hour = Duration::from_secs(3_600);
    let limits = Limits {
        connections: 1,
        handshakes: 4,
        handshakes_per_source: 2,
        handshake_grace: Duration::ZERO,
        handshake_timeout: hour,
        ..Limits::default()
    };
    let site = Site::new(limits).await;
    let mut silent = Vec::new();
    for last in [1, 1, 2, 2, 3, 3] {
        silent.push(silent_from(last, site.address).await);
    }
    let patience = Duration::from_secs(20);
    let mut client = timeout(patience, site.client()).await.unwrap();
    timeout(patience, client.query()).await.unwrap().unwrap();
    let oldest = timeout(patience, silent[0].read(&mut [0; 1])).await.unwrap();
    assert!(matches!(oldest, Ok(0) | Err(_)), "the oldest gave way");
    for last in [1, 1, 1, 2, 2, 2] {
        silent.push(silent_from(last, site.address).await);
    }
    client.query().await.unwrap();
}

/// Waits until so many tasks are on the threads of `back`.
async fn until_behind(back: &Handle, tasks: usize) {
    let there = async {
        while back.metrics().num_alive_tasks() != tasks {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(60), there).await.unwrap();
}

/// A client that asks until its connection has settled.
async fn settled_client(site: &Site) -> Client {
    let mut client = site.client().await;
    while !site.rig.server.connections().any_settled() {
        client.query().await.unwrap();
    }
    client
}

#[test]
fn handshakes_are_done_behind_once_a_client_has_settled_and_sessions_are_not() {
    let back = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    let front = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limits = Limits { handshakes: 2, handshake_grace: Duration::ZERO, ..Limits::default() };
    front.block_on(async {
        let mut site = Site::of(Rig::before(back.handle(), limits).await, Speech::Ttlv).await;
        let mut early = silent_from(1, site.address).await;
        let mut client = settled_client(&site).await;
        assert_eq!(back.metrics().num_alive_tasks(), 0);
        // What began here goes on behind.
        early.write_all(&[22]).await.unwrap();
        until_behind(back.handle(), 1).await;
        let _first = silent_from(1, site.address).await;
        until_behind(back.handle(), 2).await;
        let _second = silent_from(1, site.address).await;
        assert!(matches!(early.read(&mut [0; 1]).await, Ok(0) | Err(_)), "it gives way");
        until_behind(back.handle(), 2).await;
        client.query().await.unwrap();
        drop(site.stop.take());
        (&mut site.task).await.unwrap();
        until_behind(back.handle(), 0).await;
    });
}

/// Under limits that leave room for one client: the next one is turned away, and the first is served on.
async fn one_more_is_turned_away(limits: Limits) {
    let site = Site::new(limits).await;
    let mut first = site.client().await;
    first.query().await.unwrap();
    let config = site.config(&[&TLS13], Some(&site.ca));
    let turned_away = match site.connect(&config).await {
        Err(_) => true,
        Ok(mut client) => client.query().await.is_err(),
    };
    assert!(turned_away);
    first.query().await.unwrap();
}

#[tokio::test]
async fn one_connection_more_than_the_limit_is_turned_away() {
    one_more_is_turned_away(Limits { connections: 1, ..Limits::default() }).await;
}

#[tokio::test]
async fn a_tenant_has_a_limit_of_connections() {
    one_more_is_turned_away(Limits { connections_per_tenant: 1, ..Limits::default() }).await;
}

#[tokio::test]
async fn the_end_of_the_server_ends_its_connections() {
    let mut site = Site::usual().await;
    let mut client = site.client().await;
    client.query().await.unwrap();
    drop(site.stop.take());
    client.ended().await;
    (&mut site.task).await.unwrap();
}

#[tokio::test]
async fn the_list_of_tenants_is_not_told_to_strangers() {
    let site = Site::usual().await;
    let (_, verifier) = site.rig.server.tls().for_connection(site.rig.anchors.current()).unwrap();
    assert!(rustls::server::danger::ClientCertVerifier::root_hint_subjects(&*verifier).is_empty());
    let (config, _) = site.rig.server.tls().for_connection(site.rig.anchors.current()).unwrap();
    assert_eq!(config.max_early_data_size, 0, "no 0-RTT");
}
