//! Takes connections: limits, handshake, and who it is; then a session.

use std::{future::Future, io, net::SocketAddr, sync::Arc, time::Duration};

use rustls::pki_types::UnixTime;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::Instrument;

use crate::{
    caller::{Caller, NotACaller, Verifier},
    connections::{Entered, TooMany},
    server::Server,
    session, telemetry,
};

/// How long a listener that cannot accept, for want of descriptors, leaves the system alone.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a listener allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once, handshakes included.
    pub connections: usize,
    pub connections_per_tenant: usize,
    /// Handshakes at once: they cost thirty times a request.
    pub handshakes: usize,
    pub handshake_timeout: Duration,
    /// How long a connection may go without a request.
    pub idle_timeout: Duration,
    /// How long a client has to send the rest of a request that it began, and to take an answer: what it sends and what it is sent is held
    /// in memory for so long.
    pub transfer_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            connections_per_tenant: 4_096,
            handshakes: 512,
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(600),
            transfer_timeout: Duration::from_secs(60),
        }
    }
}

/// Why a connection ended before its first request.
#[derive(Debug, thiserror::Error)]
enum Turned {
    #[error("the handshake took longer than {0:?}")]
    TimedOut(Duration),
    #[error("the handshake failed: {0}")]
    Handshake(#[from] io::Error),
    #[error("TLS cannot be configured: {0}")]
    Configuration(#[from] rustls::Error),
    #[error(transparent)]
    NotACaller(#[from] NotACaller),
    #[error(transparent)]
    TooMany(#[from] TooMany),
}

/// Serves until `shutdown` ends, then closes what is open.
pub async fn serve(listener: TcpListener, server: Arc<Server>, shutdown: impl Future<Output = ()>) {
    let limits = *server.limits();
    let connections = Arc::new(Semaphore::new(limits.connections));
    let handshakes = Arc::new(Semaphore::new(limits.handshakes));
    let mut sessions = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => accepted,
            Some(ended) = sessions.join_next(), if !sessions.is_empty() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a KMIP session fell; its connection is closed, the others go on");
                }
                continue;
            }
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, or the peer is gone already: the listener itself is sound.
                tracing::warn!(%error, "a KMIP connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = connections.clone().try_acquire_owned() else {
            telemetry::turned_away("connections");
            continue;
        };
        let (server, handshakes) = (server.clone(), handshakes.clone());
        sessions.spawn(async move {
            let _permit = permit;
            connection(stream, peer, &server, &handshakes).await;
        });
    }
    sessions.shutdown().await;
}

async fn connection(stream: TcpStream, peer: SocketAddr, server: &Arc<Server>, handshakes: &Semaphore) {
    let span = tracing::info_span!("kmip", %peer);
    match handshake(stream, server, handshakes).instrument(span.clone()).await {
        Ok((stream, caller, entered)) => {
            // Below the level that is logged by default, a span is none: entering one at each poll costs as much as a cipher.
            let session =
                tracing::debug_span!(parent: &span, "session", tenant = %caller.tenant(), client = caller.label());
            session.in_scope(|| tracing::debug!("a KMIP client is connected"));
            session::run(stream, server, &caller, &entered).instrument(session).await;
        }
        Err(turned) => {
            telemetry::turned_away("handshake");
            span.in_scope(|| tracing::info!(%turned, "a KMIP connection was turned away"));
        }
    }
}

async fn handshake(
    stream: TcpStream,
    server: &Arc<Server>,
    handshakes: &Semaphore,
) -> Result<(TlsStream<TcpStream>, Caller, Entered), Turned> {
    // Without it an answer of two segments waits 40 ms for the client's delayed acknowledgement.
    stream.set_nodelay(true)?;
    let limit = server.limits().handshake_timeout;
    let anchors = server.anchors().current();
    let (config, verifier) = server.tls().for_connection(anchors.clone())?;
    let work = async {
        let _permit = handshakes.acquire().await;
        TlsAcceptor::from(config).accept(stream).await
    };
    let stream = timeout(limit, work).await.map_err(|_| Turned::TimedOut(limit))??;
    let caller = caller_of(&stream, server, &verifier)?;
    let entered = server.connections().enter(*caller.tenant())?;
    // Who changes the anchors closes the tenant's connections afterwards, and finds this one from here on. A change that came
    // before is seen here.
    if !Arc::ptr_eq(&anchors, &server.anchors().current()) && identify(&stream, server)? != caller {
        return Err(NotACaller::UnknownIssuer.into());
    }
    Ok((stream, caller, entered))
}

/// What the verifier found in a full handshake; a resumed session is identified anew, under the anchors of the moment.
fn caller_of(stream: &TlsStream<TcpStream>, server: &Server, verifier: &Verifier) -> Result<Caller, NotACaller> {
    match verifier.found() {
        Some(found) => found.clone(),
        None => identify(stream, server),
    }
}

fn identify(stream: &TlsStream<TcpStream>, server: &Server) -> Result<Caller, NotACaller> {
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    server.anchors().current().identify(chain, UnixTime::now())
}

#[cfg(test)]
mod tests;
