//! The listener: bounded, timed, identity from the certificate. No number of silent clients holds up a peer: while all places for
//! handshakes are taken, the oldest gives way (`seats`).

use std::{sync::Arc, time::Duration};

use ractor::ActorRef;
use ractor_cluster::{BoxRead, BoxWrite, ClusterBidiStream, NodeServerMessage};
use rustls::pki_types::CertificateDer;
use seats::Seats;
use tokio::{
    net::{TcpListener, TcpStream},
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{lane::Links, tls};

/// Handshakes at once; for one more, the oldest gives way. To end a peer's, strangers must bring as many in the time that it takes.
const HANDSHAKES_MAX: usize = 512;
/// Handshakes at once of one IPv4 address or one IPv6 /64 network; for one more, its own oldest gives way.
const HANDSHAKES_PER_SOURCE_MAX: usize = 64;
/// Longest handshake.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(3);

/// Where and with which TLS a lane listens.
pub struct Listen {
    pub socket: TcpListener,
    pub tls: Arc<rustls::ServerConfig>,
}

/// A connected stream whose label is the certificate's identity.
pub(super) struct Stream<S> {
    pub(super) tls: S,
    pub(super) label: String,
}

type Accepted = Stream<tokio_rustls::server::TlsStream<TcpStream>>;

impl<S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static> ClusterBidiStream for Stream<S> {
    fn split(self: Box<Self>) -> (BoxRead, BoxWrite) {
        let (read, write) = tokio::io::split(self.tls);
        (Box::new(read), Box::new(write))
    }
    fn peer_label(&self) -> Option<String> {
        Some(self.label.clone())
    }
}

pub(super) async fn run(listen: Listen, server: ActorRef<NodeServerMessage>, links: Arc<Links>) {
    let lane = links.lane;
    let welcome = move |stream: Accepted| {
        let opened = NodeServerMessage::ConnectionOpenedExternal { stream: Box::new(stream), is_server: true };
        if server.cast(opened).is_err() {
            tracing::warn!(%lane, "the node server is gone");
        }
    };
    let seats = Seats::new(HANDSHAKES_MAX, HANDSHAKES_PER_SOURCE_MAX);
    serve(listen, links, seats, HANDSHAKE_TIMEOUT, welcome).await;
}

/// Shakes hands with whoever connects, and hands on those whom the topology knows; from then on they hold no seat and never give way.
async fn serve(
    listen: Listen,
    links: Arc<Links>,
    seats: Seats,
    patience: Duration,
    welcome: impl Fn(Accepted) + Clone + Send + 'static,
) {
    let acceptor = TlsAcceptor::from(listen.tls);
    loop {
        let (tcp, from, seat) = match seats.accept(&listen.socket).await {
            // None would mean that every handshake is kept, and each is for a moment only.
            Ok((_, _, None)) => continue,
            Ok((tcp, from, Some(seat))) => (tcp, from, seat),
            Err(e) => {
                tracing::warn!(lane = %links.lane, "cannot accept: {e}; open files may have run out (ulimit -n)");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (acceptor, links, welcome) = (acceptor.clone(), links.clone(), welcome.clone());
        tokio::spawn(async move {
            let gave_way = || Err("all places are taken, and the oldest handshake gives way to a new one".to_owned());
            match seat.hold(greet(tcp, acceptor, &links, patience)).await.unwrap_or_else(gave_way) {
                Ok(stream) => welcome(stream),
                Err(why) => tracing::warn!(%from, lane = %links.lane, "connection refused: {why}"),
            }
        });
    }
}

async fn greet(tcp: TcpStream, acceptor: TlsAcceptor, links: &Links, patience: Duration) -> Result<Accepted, String> {
    tune(&tcp).map_err(|e| e.to_string())?;
    let accepted = timeout(patience, acceptor.accept(tcp)).await;
    let tls = accepted.map_err(|_| "no handshake in time".to_owned())?.map_err(|e| e.to_string())?;
    let label = identity(tls.get_ref().1.peer_certificates(), links)?;
    Ok(Stream { tls, label })
}

/// The one SAN URI that names a known peer.
pub(super) fn identity(shown: Option<&[CertificateDer<'_>]>, links: &Links) -> Result<String, String> {
    let leaf = shown.and_then(|c| c.first()).ok_or("no certificate shown")?;
    let uris = tls::uris(leaf);
    let known = uris.iter().find(|uri| links.peers.contains_key(*uri));
    known.cloned().ok_or_else(|| format!("certificate names {uris:?}, which the topology does not know as a peer here"))
}

/// No Nagle, and a dead peer is noticed by the kernel too.
pub(super) fn tune(tcp: &TcpStream) -> std::io::Result<()> {
    tcp.set_nodelay(true)?;
    let socket = socket2::SockRef::from(tcp);
    socket.set_tcp_user_timeout(Some(Duration::from_secs(10)))?;
    let keepalive = socket2::TcpKeepalive::new()
        .with_time(Duration::from_secs(5))
        .with_interval(Duration::from_secs(2))
        .with_retries(3);
    socket.set_tcp_keepalive(&keepalive)
}

#[cfg(test)]
mod tests {
    use std::{net::SocketAddr, path::Path};

    use orbital::{lane, names::NodeName};
    use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, SanType};
    use rustls::pki_types::ServerName;
    use tokio::{io::AsyncReadExt, net::TcpSocket, sync::mpsc};
    use tokio_rustls::TlsConnector;

    use super::*;
    use crate::cluster::{lane::LaneSink, port::PortWire, tls::TlsFiles};

    const PEER: &str = "spiffe://acme/crypto/fra-1";
    const HOUR: Duration = Duration::from_secs(3_600);

    struct Deaf;

    impl LaneSink for Deaf {
        fn up(&self, _: &NodeName, _: Arc<PortWire>) {}
        fn down(&self, _: &NodeName) {}
        fn frame(&self, _: &str, _: Vec<u8>) {}
    }

    /// Files of a certificate for 127.0.0.1 and this identity, under one CA.
    fn identities(folder: &Path, uris: [&str; 2]) -> [TlsFiles; 2] {
        let ca_key = KeyPair::generate().unwrap();
        let mut ca = CertificateParams::default();
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        std::fs::write(folder.join("ca.pem"), ca.self_signed(&ca_key).unwrap().pem()).unwrap();
        let issuer = Issuer::new(ca, ca_key);
        let mut number = 0;
        uris.map(|uri| {
            number += 1;
            let key = KeyPair::generate().unwrap();
            let mut leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
            leaf.subject_alt_names.push(SanType::URI(uri.try_into().unwrap()));
            let at = |end: &str| folder.join(format!("{number}.{end}"));
            std::fs::write(at("pem"), leaf.signed_by(&key, &issuer).unwrap().pem()).unwrap();
            std::fs::write(at("key"), key.serialize_pem()).unwrap();
            TlsFiles { ca: folder.join("ca.pem"), cert: at("pem"), key: at("key") }
        })
    }

    async fn connect_from(from: [u8; 4], to: SocketAddr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        socket.connect(to).await.unwrap()
    }

    #[tokio::test]
    async fn a_peer_gets_in_though_silent_strangers_hold_every_place_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let [governance, region] = identities(folder.path(), ["spiffe://acme/governance/gov-1", PEER]);
        let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let (peer, me) = (NodeName::new("fra-1").unwrap(), NodeName::new("gov-1").unwrap());
        let links = Links::new(lane::Lane::Critical, me, [(PEER.to_owned(), peer)].into(), Arc::new(Deaf));
        let (in_, mut welcomed) = mpsc::channel(1);
        let listen = Listen { socket, tls: governance.server().unwrap() };
        let welcome = move |stream| drop(in_.try_send(stream));
        let serving = tokio::spawn(serve(listen, Arc::new(links), Seats::new(8, 2), HOUR, welcome));

        let mut silent = Vec::new();
        let mut flood = async || {
            for last in [1, 1, 2, 2, 3, 3, 4, 4] {
                silent.push(connect_from([127, 0, 0, last], address).await);
            }
        };
        flood().await;
        let connector = TlsConnector::from(region.client().unwrap());
        let tcp = connect_from([127, 0, 0, 1], address).await;
        let _kept = connector.connect(ServerName::from(address.ip()), tcp).await.unwrap();
        let mut stream = welcomed.recv().await.unwrap();
        assert_eq!(stream.label, PEER);
        flood().await;
        let ended = silent[0].read(&mut [0; 1]).await;
        assert!(matches!(ended, Ok(0) | Err(_)), "the oldest gave way");
        let quiet = tokio::time::timeout(Duration::from_millis(50), stream.tls.read(&mut [0; 1])).await;
        assert!(quiet.is_err(), "a peer that is in does not");
        serving.abort();
    }
}
