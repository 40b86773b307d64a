//! Request bodies: JSON, of bounded size, within a bounded time.

use std::time::Duration;

use bytes::Buf;
use futures::{Stream, StreamExt};
use http::HeaderMap;
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use warp::{Filter, Rejection};

use crate::{limits::BODY_BYTES_MAX, problem::Problem};

/// A body that was read: what it says, and its bytes.
#[derive(Debug)]
pub(crate) struct Read<T> {
    pub(crate) value: T,
    pub(crate) bytes: Vec<u8>,
}

/// Reads the body as `T`. What is wrong with it is a problem for the route to return, not a rejection: the path has matched.
pub(crate) fn json<T: DeserializeOwned + Send + 'static>(
    within: Duration,
) -> impl Filter<Extract = (Result<Read<T>, Problem>,), Error = Rejection> + Clone + Send {
    warp::header::headers_cloned().and(warp::body::stream()).then(move |headers: HeaderMap, body| async move {
        check_type(&headers)?;
        let bytes = timeout(within, collect(body)).await.map_err(|_| too_slow(within))??;
        let value = serde_json::from_slice(&bytes).map_err(|e| Problem::unreadable("", &e))?;
        Ok(Read { value, bytes })
    })
}

/// Reads the body as the bytes of a form.
pub(crate) fn form(
    within: Duration,
) -> impl Filter<Extract = (Result<Vec<u8>, Problem>,), Error = Rejection> + Clone + Send {
    warp::header::headers_cloned().and(warp::body::stream()).then(move |headers: HeaderMap, body| async move {
        check(&headers, "application/x-www-form-urlencoded", "not-a-form")?;
        timeout(within, collect(body)).await.map_err(|_| too_slow(within))?
    })
}

fn check_type(headers: &HeaderMap) -> Result<(), Problem> {
    check(headers, "application/json", "not-json")
}

fn check(headers: &HeaderMap, wanted: &'static str, code: &'static str) -> Result<(), Problem> {
    let given = headers.get(http::header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or("");
    let essence = given.split(';').next().unwrap_or("").trim();
    if essence.eq_ignore_ascii_case(wanted) {
        return Ok(());
    }
    Err(Problem::new(415, code, "The body is of another type")
        .detail(format!("content-type is `{given}`"))
        .fix(format!("send `content-type: {wanted}`")))
}

async fn collect<B: Buf, E: std::fmt::Display>(body: impl Stream<Item = Result<B, E>>) -> Result<Vec<u8>, Problem> {
    tokio::pin!(body);
    let mut bytes = Vec::new();
    while let Some(piece) = body.next().await {
        let mut piece = piece.map_err(|e| Problem::unreadable("", &e))?;
        if bytes.len().saturating_add(piece.remaining()) > BODY_BYTES_MAX {
            return Err(Problem::new(413, "too-large", "The body is too large")
                .detail(format!("a request has at most {BODY_BYTES_MAX} bytes"))
                .fix("send a smaller change: split it into several proposals"));
        }
        while piece.has_remaining() {
            let part = piece.chunk();
            bytes.extend_from_slice(part);
            let taken = part.len();
            piece.advance(taken);
        }
    }
    Ok(bytes)
}

fn too_slow(within: Duration) -> Problem {
    Problem::new(408, "too-slow", "The body did not arrive in time")
        .detail(format!("a body is read for at most {} ms", within.as_millis()))
        .fix("send it again over a better line")
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::stream;

    use super::*;

    fn pieces(count: usize, size: usize) -> impl Stream<Item = Result<Bytes, String>> {
        stream::iter((0..count).map(move |_| Ok(Bytes::from(vec![b' '; size]))))
    }

    #[tokio::test]
    async fn a_body_stops_at_its_limit_whatever_its_header_says() {
        assert_eq!(collect(pieces(4, BODY_BYTES_MAX / 4)).await.unwrap().len(), BODY_BYTES_MAX);
        let refused = collect(pieces(5, BODY_BYTES_MAX / 4)).await.unwrap_err();
        assert_eq!((refused.status, refused.code), (413, "too-large"));
    }

    #[test]
    fn only_json_is_read() {
        let of = |value: &'static str| HeaderMap::from_iter([(http::header::CONTENT_TYPE, value.parse().unwrap())]);
        assert!(check_type(&of("application/json; charset=utf-8")).is_ok());
        assert_eq!(check_type(&of("text/plain")).unwrap_err().status, 415);
        assert_eq!(check_type(&HeaderMap::new()).unwrap_err().status, 415);
    }
}
