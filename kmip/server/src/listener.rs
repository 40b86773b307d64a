//! Takes connections: limits, handshake, and who it is; then a session.
//!
//! Whoever has not shown a certificate yet sits in one of [`Limits::handshakes`] seats, and the oldest of the largest network gives way when
//! all are taken; what a tenant's clients have is bounded by tenant, and a stranger takes none of it.
//!
//! A handshake is as much work as fifty requests, and whoever comes may ask for it. While clients are here that ask again and again over
//! one connection, it is done behind: on the threads of [`crate::Parts::back`], which the kernel takes off a core as soon as a thread that
//! answers requests has something to do. Where everybody connects for each request, as drivers do, nobody is held up by it, and handing it
//! over would cost a third of it: it is done where it came. The connection stays with the runtime that accepted it, and its session goes on
//! there. What a handshake shares with requests is locked for moments only: the table of sessions that can be resumed, and the reactor's
//! own lists. A thread behind that loses its core while it holds one of them makes others wait until it has it again; no lock of a tenant's
//! keys, of the audit or of the registry is ever taken there.

use std::{
    future::{Future, poll_fn},
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use rustls::pki_types::UnixTime;
use seats::{Seat, Seats};
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Handle,
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tracing::Instrument;

use crate::{
    caller::{Caller, NotACaller, Verifier},
    connections::{Entered, TooMany},
    https,
    server::Server,
    session,
    socket::Socket,
    telemetry,
};

/// How long a listener that cannot accept, for want of descriptors, leaves the system alone.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What a listener allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once, handshakes aside.
    pub connections: usize,
    pub connections_per_tenant: usize,
    /// Handshakes at once; for one more, the oldest gives way.
    pub handshakes: usize,
    /// Handshakes at once of one IPv4 address or one IPv6 /64 network; for one more, its own oldest gives way.
    pub handshakes_per_source: usize,
    /// How long a handshake gives way to nobody: many clients of one network may come back together, and none of them is to end another's.
    pub handshake_grace: Duration,
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
            handshakes: 2_048,
            handshakes_per_source: 1_024,
            handshake_grace: Duration::from_secs(1),
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
    #[error("all places are taken, and the oldest handshake gives way to a new one")]
    GaveWay,
    #[error("{0} connections are open, which is the listener's limit; reuse connections or raise the limit")]
    Full(usize),
    #[error("the handshake failed: {0}")]
    Handshake(#[from] io::Error),
    #[error("TLS cannot be configured: {0}")]
    Configuration(#[from] rustls::Error),
    #[error(transparent)]
    NotACaller(#[from] NotACaller),
    #[error(transparent)]
    TooMany(#[from] TooMany),
}

impl Turned {
    /// The step at which the connection ended, for the metrics.
    fn step(&self) -> &'static str {
        match self {
            Self::Full(_) => "connections",
            Self::GaveWay => "gave_way",
            Self::TimedOut(_)
            | Self::Handshake(_)
            | Self::Configuration(_)
            | Self::NotACaller(_)
            | Self::TooMany(_) => "handshake",
        }
    }
}

/// What is spoken on a listener's connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speech {
    Ttlv,
    Https,
}

/// Serves KMIP over TLS until `shutdown` ends, then closes what is open.
pub async fn serve(listener: TcpListener, server: Arc<Server>, shutdown: impl Future<Output = ()>) {
    accept(listener, server, Speech::Ttlv, shutdown).await;
}

/// Serves KMIP over HTTPS likewise. The two listeners of a server share the registry of connections, so that a tenant's limit, and
/// whoever closes its connections, reach both.
pub async fn serve_https(listener: TcpListener, server: Arc<Server>, shutdown: impl Future<Output = ()>) {
    server.offers_https();
    accept(listener, server, Speech::Https, shutdown).await;
}

async fn accept(listener: TcpListener, server: Arc<Server>, speech: Speech, shutdown: impl Future<Output = ()>) {
    let limits = *server.limits();
    let places = Arc::new(Semaphore::new(limits.connections));
    let seats = Seats::patient(limits.handshakes, limits.handshakes_per_source, limits.handshake_grace);
    let mut sessions = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = seats.accept(&listener) => accepted,
            Some(ended) = sessions.join_next(), if !sessions.is_empty() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a KMIP session fell; its connection is closed, the others go on");
                }
                continue;
            }
        };
        let (stream, peer, seat) = match accepted {
            Ok((stream, peer, Some(seat))) => (stream, peer, seat),
            Ok((_closed, _, None)) => {
                telemetry::turned_away("crowded");
                continue;
            }
            Err(error) => {
                // Out of descriptors, or the peer is gone already: the listener itself is sound.
                tracing::warn!(%error, "a KMIP connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let (server, places) = (server.clone(), places.clone());
        sessions.spawn(async move { connection(stream, peer, seat, speech, &server, &places).await });
    }
    sessions.shutdown().await;
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    seat: Seat,
    speech: Speech,
    server: &Arc<Server>,
    places: &Semaphore,
) {
    let span = tracing::info_span!("kmip", %peer);
    let greeted = seat.hold(handshake(stream, server)).instrument(span.clone()).await;
    let greeted = greeted.unwrap_or(Err(Turned::GaveWay)).and_then(|greeted| {
        let permit = places.try_acquire().map_err(|_| Turned::Full(server.limits().connections))?;
        Ok((greeted, permit))
    });
    drop(seat);
    match greeted {
        Ok(((stream, caller, entered), _permit)) => {
            // Below the level that is logged by default, a span is none: entering one at each poll costs as much as a cipher.
            let session =
                tracing::debug_span!(parent: &span, "session", tenant = %caller.tenant(), client = caller.label());
            session.in_scope(|| tracing::debug!("a KMIP client is connected"));
            match speech {
                // One more layer around each poll, for nothing.
                Speech::Ttlv if session.is_disabled() => session::run(stream, server, &caller, &entered).await,
                Speech::Ttlv => session::run(stream, server, &caller, &entered).instrument(session).await,
                Speech::Https => https::run(stream, server, &caller, &entered).instrument(session).await,
            }
        }
        Err(turned) => {
            telemetry::turned_away(turned.step());
            span.in_scope(|| tracing::info!(%turned, "a KMIP connection was turned away"));
        }
    }
}

async fn handshake(stream: TcpStream, server: &Server) -> Result<(TlsStream<Socket>, Caller, Entered), Turned> {
    // Without it an answer of two segments waits 40 ms for the client's delayed acknowledgement.
    stream.set_nodelay(true)?;
    let limit = server.limits().handshake_timeout;
    let anchors = server.anchors().current();
    let (config, verifier) = server.tls().for_connection(anchors.clone())?;
    let work = Box::pin(TlsAcceptor::from(config).accept(Socket(stream)));
    let stream = timeout(limit, done(work, server)).await.map_err(|_| Turned::TimedOut(limit))??;
    let caller = caller_of(&stream, server, &verifier)?;
    let entered = server.connections().enter(*caller.tenant())?.counting(server.usage().open(&caller));
    // Who changes the anchors closes the tenant's connections afterwards, and finds this one from here on. A change that came
    // before is seen here.
    if !Arc::ptr_eq(&anchors, &server.anchors().current()) && identify(&stream, server)? != caller {
        return Err(NotACaller::UnknownIssuer.into());
    }
    Ok((stream, caller, entered))
}

/// Has `work` done: here as long as no client has settled, and from its next step on behind.
async fn done<T: Send + 'static>(
    mut work: Pin<Box<impl Future<Output = io::Result<T>> + Send + 'static>>,
    server: &Server,
) -> io::Result<T> {
    let here = poll_fn(|cx| match server.connections().any_settled() {
        true => Poll::Ready(None),
        false => work.as_mut().poll(cx).map(Some),
    });
    match here.await {
        Some(done) => done,
        None => behind(server.back(), work).await,
    }
}

/// Has `work` done on other threads. Whoever does not wait for it any more ends it.
async fn behind<T: Send + 'static>(
    back: &Handle,
    work: impl Future<Output = io::Result<T>> + Send + 'static,
) -> io::Result<T> {
    let mut alone = JoinSet::new();
    alone.spawn_on(work, back);
    let done = alone.join_next().await.unwrap_or_else(|| Ok(Err(io::ErrorKind::Interrupted.into())));
    done.unwrap_or_else(|fallen| Err(io::Error::other(fallen)))
}

/// What the verifier found in a full handshake; a resumed session is identified anew, under the anchors of the moment.
fn caller_of(stream: &TlsStream<Socket>, server: &Server, verifier: &Verifier) -> Result<Caller, NotACaller> {
    match verifier.found() {
        Some(found) => found.clone(),
        None => identify(stream, server),
    }
}

fn identify(stream: &TlsStream<Socket>, server: &Server) -> Result<Caller, NotACaller> {
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    server.anchors().current().identify(chain, UnixTime::now())
}

#[cfg(test)]
pub(crate) mod tests;
