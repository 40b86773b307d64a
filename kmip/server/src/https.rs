//! KMIP over HTTPS: `POST /kmip`, one message a request, as TTLV, XML or JSON (KMIP Profiles 1.4, "HTTPS", "XML Encoding", "JSON Encoding").
//!
//! The connection is one of [`crate::listener`]: the same handshake, verifier, limits and registry; only what is spoken in it differs. A
//! message in XML or JSON becomes a TTLV frame, is answered by [`crate::dispatch`] as any other, and the answer is written as the question
//! was. What HTTP itself refuses (method, path, media type, length) has HTTP's status; what KMIP refuses is a KMIP answer with status 200.
//!
//! A request is answered in a task of its own: HTTP drops what it was doing when a client hangs up, and an operation that has begun comes
//! to its end and into the audit. What this file holds of a message is wiped; the buffers of the HTTP library are not.

mod pace;

use std::{convert::Infallible, sync::Arc};

use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Body, Bytes, Incoming},
    header::{ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use kmip::{
    WireError,
    markup::{TEXT_PER_MESSAGE, json, xml},
    ttlv::{Limits as Ttlv, MESSAGE_BYTES_MAX, make_room},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::JoinHandle,
    time::{Duration, timeout},
};
use zeroize::Zeroizing;

use crate::{caller::Caller, connections::Entered, dispatch, server::Server, turns::Turns};
use pace::Paced;

/// Where KMIP is posted.
const PATH: &str = "/kmip";
/// Most bytes of a request before its body.
const HEAD_BYTES_MAX: usize = 16 * 1024;
/// A longer body takes one of the tenant's places for large messages.
const SMALL_BYTES: u64 = 16 * 1024;
/// Room for what an answer has beyond the bytes of its request: a secret, and what stands around it.
const ANSWER_BYTES: usize = 8 * 1024;
/// How long a connection that is told to end may take for the answer that it is writing.
const END_TIMEOUT: Duration = Duration::from_secs(1);

/// How a message is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Encoding {
    Ttlv,
    /// With the media type that the client used.
    Xml(&'static str),
    Json,
}

impl Encoding {
    /// By Content-Type; a charset, if one is named, is UTF-8.
    fn of(content_type: &str) -> Option<Self> {
        let mut parts = content_type.split(';').map(str::trim);
        let media = parts.next().unwrap_or_default().to_ascii_lowercase();
        let charset =
            parts.filter_map(|part| part.split_once('=')).find(|(name, _)| name.eq_ignore_ascii_case("charset"));
        if charset.is_some_and(|(_, charset)| !charset.trim_matches('"').eq_ignore_ascii_case("utf-8")) {
            return None;
        }
        match media.as_str() {
            "application/octet-stream" => Some(Self::Ttlv),
            "text/xml" => Some(Self::Xml("text/xml")),
            "application/xml" => Some(Self::Xml("application/xml")),
            "application/json" => Some(Self::Json),
            _ => None,
        }
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Ttlv => "application/octet-stream",
            Self::Xml(media_type) => media_type,
            Self::Json => "application/json",
        }
    }

    /// Longest body, in bytes.
    fn bytes_max(self) -> usize {
        match self {
            Self::Ttlv => MESSAGE_BYTES_MAX,
            Self::Xml(_) | Self::Json => MESSAGE_BYTES_MAX * TEXT_PER_MESSAGE,
        }
    }
}

/// What HTTP refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("KMIP is posted to {PATH}; nothing else is here")]
    Path,
    #[error("KMIP is posted: use the method POST")]
    Method,
    #[error(
        "the Content-Type must be application/octet-stream (TTLV), text/xml, application/xml or application/json, in UTF-8"
    )]
    MediaType,
    #[error("the body is longer than {0} bytes; send less in one message")]
    TooLong(usize),
    #[error("the body is not UTF-8")]
    NotUtf8,
    #[error("the rest of the body did not come in time")]
    TooSlow,
    #[error("the body ended early")]
    Broken,
    #[error("this connection is closed: connect again")]
    Closed,
    #[error("the server could not answer; its log says why")]
    Fallen,
}

impl Refused {
    fn status(self) -> StatusCode {
        match self {
            Self::Path => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::MediaType => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooLong(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotUtf8 | Self::Broken => StatusCode::BAD_REQUEST,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Closed => StatusCode::SERVICE_UNAVAILABLE,
            Self::Fallen => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Whether a body may be on its way that nobody will read.
    fn ends_connection(self) -> bool {
        !matches!(self, Self::NotUtf8)
    }
}

/// Runs until either side ends it.
pub(crate) async fn run<S>(stream: S, server: &Arc<Server>, caller: &Caller, entered: &Entered)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let limits = *server.limits();
    let service = service_fn(|request| async {
        let answer = answer(request, server, caller, entered).await;
        Ok::<_, Infallible>(answer.unwrap_or_else(refusal))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        // Counts from the end of the answer before: whoever sends half a head holds no more than who is idle.
        .header_read_timeout(limits.idle_timeout)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(Paced::new(stream, limits.transfer_timeout)), service);
    let mut connection = std::pin::pin!(connection);
    let served = async {
        tokio::select! {
            biased;
            ended = &mut connection => ended,
            () = entered.closed() => {
                connection.as_mut().graceful_shutdown();
                timeout(END_TIMEOUT, connection).await.unwrap_or(Ok(()))
            }
        }
    };
    let ended = entered.turns().take(served).await;
    tracing::debug!(?ended, "a KMIP connection over HTTPS ended");
}

async fn answer(
    request: Request<Incoming>,
    server: &Arc<Server>,
    caller: &Caller,
    entered: &Entered,
) -> Result<Response<Full<Bytes>>, Refused> {
    let encoding = check(&request)?;
    let announced = request.body().size_hint().exact();
    // A body of unknown length may become a large one.
    let _place = match announced {
        Some(..=SMALL_BYTES) => None,
        _ => entered.large().clone().acquire_owned().await.ok(),
    };
    let limit = server.limits().transfer_timeout;
    let reading = collect(request.into_body(), announced, encoding.bytes_max());
    let body = tokio::select! {
        biased;
        () = entered.closed() => return Err(Refused::Closed),
        body = timeout(limit, reading) => body.map_err(|_| Refused::TooSlow)??,
    };
    let work = begin(server, caller, entered.turns(), body, encoding);
    let body = work.await.map_err(|_| Refused::Fallen)??;
    entered.answered(1, std::time::Instant::now());
    let mut response = Response::new(Full::new(Bytes::from_owner(body)));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(encoding.media_type()));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

fn check<B: Body>(request: &Request<B>) -> Result<Encoding, Refused> {
    if request.uri().path() != PATH {
        return Err(Refused::Path);
    }
    if request.method() != Method::POST {
        return Err(Refused::Method);
    }
    let content_type = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let encoding = content_type.and_then(Encoding::of).ok_or(Refused::MediaType)?;
    let max = encoding.bytes_max();
    if request.body().size_hint().lower() > max as u64 {
        return Err(Refused::TooLong(max));
    }
    Ok(encoding)
}

/// The body, in a buffer that never grows past what was announced and leaves no copy where it does grow.
async fn collect<B>(mut body: B, announced: Option<u64>, max: usize) -> Result<Zeroizing<Vec<u8>>, Refused>
where
    B: Body<Data = Bytes> + Unpin,
{
    let room = announced.and_then(|bytes| usize::try_from(bytes).ok()).unwrap_or(0).min(max);
    let mut bytes = Zeroizing::new(Vec::with_capacity(room));
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|_| Refused::Broken)?.into_data() else { continue };
        let needed = bytes.len() + data.len();
        if needed > max {
            return Err(Refused::TooLong(max));
        }
        if needed > bytes.capacity() {
            let mut larger = Zeroizing::new(Vec::with_capacity(needed.next_power_of_two().min(max)));
            larger.extend_from_slice(&bytes);
            bytes = larger;
        }
        bytes.extend_from_slice(&data);
    }
    Ok(bytes)
}

/// Has a message answered in turns of its tenant, whoever waits for it.
fn begin(
    server: &Arc<Server>,
    caller: &Caller,
    turns: &Arc<Turns>,
    body: Zeroizing<Vec<u8>>,
    encoding: Encoding,
) -> JoinHandle<Result<Zeroizing<Vec<u8>>, Refused>> {
    let (server, caller, turns) = (server.clone(), caller.clone(), turns.clone());
    tokio::spawn(async move { turns.take(exchange(&server, &caller, &body, encoding)).await })
}

/// Has a message answered, and writes the answer as the question was written.
pub(crate) async fn exchange(
    server: &Server,
    caller: &Caller,
    body: &[u8],
    encoding: Encoding,
) -> Result<Zeroizing<Vec<u8>>, Refused> {
    let utf8 = || str::from_utf8(body).map_err(|_| Refused::NotUtf8);
    let frame = match encoding {
        Encoding::Ttlv => return Ok(ttlv(server, caller, Ok(body)).await),
        Encoding::Xml(_) => xml::read(utf8()?, &Ttlv::REQUEST),
        Encoding::Json => json::read(utf8()?, &Ttlv::REQUEST),
    };
    let frame = frame.map(Zeroizing::new);
    let answer = ttlv(server, caller, frame.as_ref().map(|frame| frame.as_slice())).await;
    let text = match written(&answer, encoding) {
        Ok(text) => text,
        // It was done, and its answer holds what this encoding does not have: the client learns that much.
        Err(error) => written(&ttlv(server, caller, Err(&error)).await, encoding).unwrap_or_default(),
    };
    Ok(text)
}

fn written(answer: &[u8], encoding: Encoding) -> Result<Zeroizing<Vec<u8>>, WireError> {
    let text = if encoding == Encoding::Json { json::write(answer) } else { xml::write(answer) };
    text.map(|text| Zeroizing::new(text.into_bytes()))
}

/// The answer to a frame, or to what could not be read as one.
async fn ttlv(server: &Server, caller: &Caller, question: Result<&[u8], &WireError>) -> Zeroizing<Vec<u8>> {
    let (meters, mut out) = (server.meters(caller.tenant()), Zeroizing::new(vec![]));
    match question {
        Ok(frame) => {
            make_room(&mut out, frame.len() + ANSWER_BYTES);
            dispatch::answer(server, caller, &meters, frame, &mut out).await;
        }
        Err(error) => {
            let refused = kmip::message::Refused::early(&[], error.clone());
            dispatch::refuse(server, caller, &meters, &refused, &mut out).await;
        }
    }
    out
}

fn refusal(refused: Refused) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(format!("{refused}\n"))));
    *response.status_mut() = refused.status();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if refused == Refused::Method {
        headers.insert(ALLOW, HeaderValue::from_static("POST"));
    }
    if refused.ends_connection() {
        headers.insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests;
