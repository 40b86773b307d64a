//! Accepts, shakes hands, names the caller, and hands each request to the routes. Knows nothing about tenants.

use std::{convert::Infallible, future::Future, io, sync::Arc, time::Duration};

use http::{HeaderValue, Request, header};
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
    time::timeout,
};
use tokio_rustls::TlsAcceptor;
use warp::reply::Response;

use crate::{
    correlation,
    error::ApiError,
    idle::Idle,
    limits::{HEAD_BYTES_MAX, Limits, STREAMS_MAX},
    peer::PeerId,
    problem::Problem,
    shares::{Full, Share, Shares},
};

/// Pause after a failed accept, such as for want of file descriptors.
const ACCEPT_PAUSE_MS: u64 = 50;

/// The routes as the listener calls them.
pub(crate) trait Routes:
    Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> + Clone + Send + Sync + 'static
{
}
impl<S> Routes for S where
    S: Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send>
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
        let shares = shares.clone();
        tasks.spawn(async move {
            let (stream, peer, _share) = match enter(acceptor, tcp, seat, &shares, limits).await {
                Ok(entered) => entered,
                Err(turned) => {
                    metrics::counter!("kcm_portal_handshakes_refused_total").increment(1);
                    tracing::info!(%from, "portal: connection refused: {turned}");
                    return;
                }
            };
            let service = hyper::service::service_fn(move |request| answer(routes.clone(), peer.clone(), request));
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
    #[error("connections: {full}; {} should close one that it has, or try again later", .caller.as_ref().map_or("the caller", PeerId::as_str))]
    Full { caller: Option<PeerId>, full: Full },
}

type Stream = Idle<tokio_rustls::server::TlsStream<TcpStream>>;

/// Who calls, and their share of the connections; the seat is free from then on.
async fn enter(
    acceptor: TlsAcceptor,
    tcp: TcpStream,
    seat: Seat,
    shares: &Arc<Shares>,
    limits: Limits,
) -> Result<(Stream, Option<PeerId>, Share), Turned> {
    tcp.set_nodelay(true)?;
    let greeted = seat.hold(timeout(limits.handshake, acceptor.accept(tcp))).await.ok_or(Turned::GaveWay)?;
    let tls = greeted.map_err(|_| Turned::TimedOut(limits.handshake))??;
    let peer = tls.get_ref().1.peer_certificates().and_then(|chain| chain.first()).and_then(PeerId::of);
    let share = shares.take(peer.clone()).map_err(|full| Turned::Full { caller: peer.clone(), full })?;
    Ok((Idle::new(tls, limits.idle), peer, share))
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
async fn answer<S: Routes>(
    routes: S,
    peer: Option<PeerId>,
    mut request: Request<Incoming>,
) -> Result<Response, Infallible> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    let (id, refused) = identify(&request, peer.as_ref());
    let caller = peer.as_ref().map(PeerId::to_string);
    let mut response = match (refused, peer) {
        (None, Some(peer)) => {
            request.extensions_mut().insert(peer);
            if let Some(id) = &id {
                request.extensions_mut().insert::<Correlation>(id.clone());
            }
            match routes.call(request).await {
                Ok(response) => response,
                Err(never) => match never {},
            }
        }
        (refused, _) => render(refused.unwrap_or_else(unnamed), id.as_ref()),
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
    let headers = response.headers_mut();
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let status = response.status().as_u16();
    metrics::counter!("kcm_portal_requests_total", "status" => status.to_string()).increment(1);
    tracing::info!(correlation = id.as_ref().map(Correlation::as_str), caller, %method, path, status, "portal: answered");
    Ok(response)
}

fn render(problem: Problem, id: Option<&Correlation>) -> Response {
    tracing::info!(correlation = id.map(Correlation::as_str), code = problem.code, %problem, "portal: refused");
    problem.render(id)
}

/// The correlation id, and what stands against answering at all.
fn identify(request: &Request<Incoming>, peer: Option<&PeerId>) -> (Option<Correlation>, Option<Problem>) {
    let (id, refused) = match correlation::given(request.headers()) {
        Ok(Some(id)) => (Some(id), None),
        Ok(None) => (None, None),
        Err(problem) => (None, Some(problem)),
    };
    let id = id.or_else(|| correlation::fresh().ok());
    let refused = refused.or_else(|| peer.is_none().then(unnamed));
    (id, refused)
}

fn unnamed() -> Problem {
    Problem::new(403, "caller-unnamed", "The client certificate names nobody")
        .detail("the certificate was verified, but it carries neither a SAN URI nor a common name")
        .fix("have the REST CA issue a certificate with a SAN URI or a CN")
}
