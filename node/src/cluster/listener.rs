//! The listener: bounded, timed, identity from the certificate. One silent client holds up nobody.

use std::{sync::Arc, time::Duration};

use ractor::ActorRef;
use ractor_cluster::{BoxRead, BoxWrite, ClusterBidiStream, NodeServerMessage};
use rustls::pki_types::CertificateDer;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::timeout,
};
use tokio_rustls::TlsAcceptor;

use super::{lane::Links, tls};

/// Handshakes at once; more wait in the kernel's queue.
const HANDSHAKES_MAX: usize = 64;
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
    let acceptor = TlsAcceptor::from(listen.tls);
    let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
    loop {
        let Ok(permit) = handshakes.clone().acquire_owned().await else { return };
        let (tcp, from) = match listen.socket.accept().await {
            Ok(accepted) => accepted,
            Err(e) => {
                tracing::warn!(lane = %links.lane, "cannot accept: {e}; open files may have run out (ulimit -n)");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (acceptor, server, links) = (acceptor.clone(), server.clone(), links.clone());
        tokio::spawn(async move {
            match greet(tcp, acceptor, &links).await {
                Ok(stream) => {
                    let opened =
                        NodeServerMessage::ConnectionOpenedExternal { stream: Box::new(stream), is_server: true };
                    if server.cast(opened).is_err() {
                        tracing::warn!(lane = %links.lane, "the node server is gone");
                    }
                }
                Err(why) => tracing::warn!(%from, lane = %links.lane, "connection refused: {why}"),
            }
            drop(permit);
        });
    }
}

async fn greet(
    tcp: TcpStream,
    acceptor: TlsAcceptor,
    links: &Links,
) -> Result<Stream<tokio_rustls::server::TlsStream<TcpStream>>, String> {
    tune(&tcp).map_err(|e| e.to_string())?;
    let accepted = timeout(HANDSHAKE_TIMEOUT, acceptor.accept(tcp)).await;
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
