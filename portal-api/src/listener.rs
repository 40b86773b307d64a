//! Accepts, shakes hands, names the caller, and hands each request to the routes. Knows nothing about tenants.

use std::{convert::Infallible, fmt, future::Future, io, net::IpAddr, sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Version, header};
use hyper::{body::Incoming, service::Service};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use orbital::names::Correlation;
use rustls::ServerConfig;
use seats::{Seat, Seats};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, timeout},
};
use tokio_rustls::TlsAcceptor;
use warp::reply::Response;

use crate::{
    caller::{self, Caller, Shown, Source},
    correlation,
    error::ApiError,
    idle::Idle,
    leftover::{self, Lent},
    limits::{HEAD_BYTES_MAX, Limits, STREAMS_MAX},
    peer::PeerId,
    problem::Problem,
    shares::{Full, Share, Shares},
    sign_in::SignIn,
};

/// Pause after a failed accept, such as for want of file descriptors.
const ACCEPT_PAUSE_MS: u64 = 50;

/// The routes as the listener calls them.
pub(crate) trait Routes:
    Service<Request<Lent<Incoming>>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}
impl<S> Routes for S where
    S: Service<Request<Lent<Incoming>>, Response = Response, Error = Infallible, Future: Send>
        + Clone
        + Send
        + Sync
        + 'static
{
}

/// Runs until `shutdown` resolves, then lets open requests end within `limits.drain`.
pub(crate) async fn run<S: Routes>(
    listener: TcpListener,
    tls: Arc<ServerConfig>,
    limits: Limits,
    sign_in: Option<SignIn>,
    routes: S,
    shutdown: impl Future<Output = ()>,
) -> Result<(), ApiError> {
    let acceptor = TlsAcceptor::from(tls);
    let seats = Seats::new(limits.handshakes, limits.handshakes_per_source);
    let shares = Shares::new(limits.connections, limits.connections_per_caller);
    let graceful = GracefulShutdown::new();
    let mut tasks = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_ended) = tasks.join_next(), if !tasks.is_empty() => continue,
            accepted = seats.accept(&listener) => accepted,
        };
        let (tcp, from, seat) = match accepted {
            Ok((tcp, from, Some(seat))) => (tcp, from, seat),
            // Every handshake is over this instant; the next one who comes finds room.
            Ok((_, _, None)) => continue,
            Err(error) => {
                tracing::warn!(%error, "portal: accept failed; check the limit of open files");
                tokio::time::sleep(Duration::from_millis(ACCEPT_PAUSE_MS)).await;
                continue;
            }
        };
        let (acceptor, routes, watcher) = (acceptor.clone(), routes.clone(), graceful.watcher());
        let (shares, sign_in) = (shares.clone(), sign_in.clone());
        tasks.spawn(async move {
            let (stream, shown, _share) = match enter(acceptor, tcp, from.ip(), seat, &shares, limits).await {
                Ok(entered) => entered,
                Err(turned) => {
                    metrics::counter!("kcm_portal_handshakes_refused_total").increment(1);
                    tracing::info!(%from, "portal: connection refused: {turned}");
                    return;
                }
            };
            let there = There { sign_in, shown, source: from.ip(), body_within: limits.body };
            let service = hyper::service::service_fn(move |request| answer(routes.clone(), there.clone(), request));
            let connection = builder(limits).serve_connection(TokioIo::new(stream), service).into_owned();
            if let Err(error) = watcher.watch(connection).await {
                tracing::debug!(%error, "portal: connection ended");
            }
        });
    }
    drop(listener);
    if timeout(limits.drain, graceful.shutdown()).await.is_err() {
        tracing::warn!("portal: requests still open after the drain time were cut off");
    }
    tasks.shutdown().await;
    Ok(())
}

/// Why a connection ended before its first request.
#[derive(Debug, thiserror::Error)]
enum Turned {
    #[error("the handshake failed: {0}; the REST CA must have signed the client's certificate")]
    Handshake(#[from] io::Error),
    #[error("the handshake took longer than {0:?}")]
    TimedOut(Duration),
    #[error("all places are taken, and the oldest handshake gives way to a new one")]
    GaveWay,
    #[error("connections: {full}; {caller} should close one that it has, or try again later")]
    Full { caller: Connected, full: Full },
}

/// By what a connection is counted: the name in its certificate, else the network that it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Connected {
    Named(PeerId),
    Unnamed,
    From(IpAddr),
}

impl fmt::Display for Connected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(peer) => peer.fmt(f),
            Self::Unnamed => f.write_str("the caller"),
            Self::From(network) => network.fmt(f),
        }
    }
}

/// What all requests of one connection have in common.
#[derive(Clone)]
struct There {
    sign_in: Option<SignIn>,
    shown: Shown,
    source: IpAddr,
    body_within: Duration,
}

type Stream = Idle<tokio_rustls::server::TlsStream<TcpStream>>;

/// Who calls, and their share of the connections; the seat is free from then on.
async fn enter(
    acceptor: TlsAcceptor,
    tcp: TcpStream,
    from: IpAddr,
    seat: Seat,
    shares: &Arc<Shares<Connected>>,
    limits: Limits,
) -> Result<(Stream, Shown, Share<Connected>), Turned> {
    tcp.set_nodelay(true)?;
    let greeted = seat.hold(timeout(limits.handshake, acceptor.accept(tcp))).await.ok_or(Turned::GaveWay)?;
    let tls = greeted.map_err(|_| Turned::TimedOut(limits.handshake))??;
    let leaf = tls.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let shown = leaf.map_or(Shown::Nothing, |leaf| Shown::Certificate(PeerId::of(leaf)));
    let (caller, most) = match &shown {
        Shown::Certificate(Some(peer)) => (Connected::Named(peer.clone()), limits.connections_per_caller),
        Shown::Certificate(None) => (Connected::Unnamed, limits.connections_per_caller),
        Shown::Nothing => (Connected::From(seats::network(from)), limits.connections_per_source),
    };
    let share = shares.take_within(caller.clone(), most).map_err(|full| Turned::Full { caller, full })?;
    Ok((Idle::new(tls, limits.idle), shown, share))
}

fn builder(limits: Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(limits.header).max_buf_size(HEAD_BYTES_MAX);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEAD_BYTES_MAX).unwrap_or(u32::MAX));
    builder
}

/// One request: who asks, under which correlation id, then the routes; problems are rendered here, once.
async fn answer<S: Routes>(routes: S, there: There, request: Request<Incoming>) -> Result<Response, Infallible> {
    let since = Instant::now();
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let (asks_first, version) = (request.headers().contains_key(header::EXPECT), request.version());
    let (head, body) = request.into_parts();
    let (body, left) = leftover::lend(body);
    let mut request = Request::from_parts(head, body);
    let (id, given) = identify(&request);
    let called = match given {
        Ok(()) => caller::of(&there.shown, there.sign_in.as_ref(), there.source, &method, request.headers()).await,
        Err(problem) => Err(problem),
    };
    let caller = called.as_ref().ok().and_then(Caller::peer).map(|peer| peer.to_string());
    let mut response = match called {
        Ok(called) => {
            request.extensions_mut().insert(called);
            request.extensions_mut().insert(Source(there.source));
            if let Some(id) = &id {
                request.extensions_mut().insert::<Correlation>(id.clone());
            }
            match routes.call(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
        Err(problem) => {
            drop(request);
            render(problem, id.as_ref())
        }
    };
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        response = render(problem, id.as_ref());
    }
    if let Some(value) = id.as_ref().and_then(correlation::value) {
        response.headers_mut().insert(correlation::HEADER, value);
    }
    if method == http::Method::HEAD {
        // A body in such an answer ends an HTTP/2 stream with a protocol error.
        *response.body_mut() = warp::reply::Response::default().into_body();
    }
    let within = there.body_within.saturating_sub(since.elapsed());
    if version < Version::HTTP_2 && !left.ends_within(within, asks_first).await {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    guard(response.headers_mut());
    let status = response.status().as_u16();
    metrics::counter!("kcm_portal_requests_total", "status" => status.to_string()).increment(1);
    tracing::info!(correlation = id.as_ref().map(Correlation::as_str), caller, %method, path, status, "portal: answered");
    Ok(response)
}

/// What browsers are told about every answer: an answer that says nothing itself loads nothing, stands in no frame, and is not kept.
fn guard(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::CACHE_CONTROL, "no-store"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        ),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
}

fn render(problem: Problem, id: Option<&Correlation>) -> Response {
    tracing::info!(correlation = id.map(Correlation::as_str), code = problem.code, %problem, "portal: refused");
    problem.render(id)
}

/// The correlation id, and what is wrong with the one that was given.
fn identify<B>(request: &Request<B>) -> (Option<Correlation>, Result<(), Problem>) {
    let (id, given) = match correlation::given(request.headers()) {
        Ok(id) => (id, Ok(())),
        Err(problem) => (None, Err(problem)),
    };
    (id.or_else(|| correlation::fresh().ok()), given)
}
