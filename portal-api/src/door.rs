//! What every route is given: the desk, the limits, and the word that the listener is closing.

use std::{convert::Infallible, sync::Arc};

use governance::Desk;
use orbital::names::{Correlation, Digest};
use tokio::sync::watch;
use warp::{
    Filter, Rejection,
    filters::{BoxedFilter, path::FullPath},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    reply::{self, Reply, Response},
};

use crate::{
    caller::Caller,
    correlation, etag,
    limits::{Limits, WATCHERS_MAX, WATCHERS_PER_CALLER_MAX},
    once::{Call, Once},
    peer::PeerId,
    problem::Problem,
    shares::Shares,
    sign_in::{self, SignIn},
};

/// The door to governance, cloned into each route.
#[derive(Clone)]
pub(crate) struct Door {
    pub(crate) desk: Desk,
    pub(crate) limits: Limits,
    /// Turns true when the listener closes: event streams end then.
    pub(crate) closing: watch::Receiver<bool>,
    pub(crate) watchers: Arc<Shares<Option<PeerId>>>,
    pub(crate) once: Arc<Once>,
    pub(crate) sign_in: Option<SignIn>,
    /// For whom the desk is open.
    pub(crate) caller: Caller,
}

/// A resource's routes.
pub(crate) type Route = BoxedFilter<(Response,)>;

impl Door {
    pub(crate) fn new(desk: Desk, limits: Limits, sign_in: Option<SignIn>, closing: watch::Receiver<bool>) -> Self {
        let watchers = Shares::new(WATCHERS_MAX, WATCHERS_PER_CALLER_MAX);
        Self { desk, limits, closing, watchers, once: Once::new(limits.once), sign_in, caller: Caller::Nobody }
    }

    /// Hands itself to a route, with the desk as it is for whoever calls: no route can ask it as anybody else.
    pub(crate) fn open(&self) -> impl Filter<Extract = (Self,), Error = Infallible> + Clone + use<> {
        let door = self.clone();
        // For nobody the desk shows nothing: no person and no operator has an empty name.
        let desk = move |caller: &Caller| caller.desk(&door.desk).unwrap_or_else(|| door.desk.seen_by(""));
        let door = self.clone();
        caller().map(move |caller: Caller| Self { desk: desk(&caller), caller, ..door.clone() })
    }

    /// Lets through whom governance knows; anybody else learns nothing but that.
    pub(crate) fn known(&self) -> impl Filter<Extract = (), Error = Rejection> + Clone + use<> {
        let desk = self.desk.clone();
        let ask = move |caller: Caller| {
            let known = match caller.desk(&desk) {
                Some(desk) => desk.check_known().map_err(Problem::from),
                None => Err(sign_in::needed()),
            };
            async move { known.map_err(|problem| warp::reject::custom(Stranger(problem))) }
        };
        caller().and_then(ask).untuple_one()
    }
}

/// Why somebody whom nobody knows is turned away.
#[derive(Debug)]
pub(crate) struct Stranger(pub(crate) Problem);

impl warp::reject::Reject for Stranger {}

/// Who calls, as the listener found out.
fn caller() -> impl Filter<Extract = (Caller,), Error = Infallible> + Clone {
    warp::ext::optional::<Caller>().map(|caller: Option<Caller>| caller.unwrap_or(Caller::Nobody))
}

/// By what the caller is counted.
pub(crate) fn peer() -> impl Filter<Extract = (Option<PeerId>,), Error = Infallible> + Clone {
    caller().map(|caller: Caller| caller.peer())
}

/// What a call that writes says besides its body.
#[derive(Clone, Debug)]
pub(crate) struct Writing {
    pub(crate) call: Call,
    /// The tag that must still hold.
    expected: Result<Option<Digest>, Problem>,
}

impl Writing {
    /// The desk, for whoever answers a proposal as they read it.
    pub(crate) fn desk(&self, door: &Door) -> Result<Desk, Problem> {
        let expected = self.expected.clone()?;
        Ok(expected.map_or_else(|| door.desk.clone(), |tag| door.desk.expecting(tag)))
    }
}

/// The headers of a call that writes.
pub(crate) fn writing() -> impl Filter<Extract = (Writing,), Error = Infallible> + Clone {
    let read = |method: Method, path: FullPath, headers: HeaderMap, caller| Writing {
        call: Call::of(&headers, caller, format!("{method} {}", path.as_str())),
        expected: etag::expected(&headers),
    };
    warp::method().and(warp::path::full()).and(warp::header::headers_cloned()).and(peer()).map(read)
}

/// The request's correlation id, which the listener put there.
pub(crate) fn correlated() -> impl Filter<Extract = (Result<Correlation, Problem>,), Error = Infallible> + Clone {
    warp::ext::optional::<Correlation>().map(|id: Option<Correlation>| id.map_or_else(correlation::fresh, Ok))
}

/// An answer, good or not.
pub(crate) fn finish(result: Result<Response, Problem>) -> Response {
    result.unwrap_or_else(Reply::into_response)
}

/// 200 with a body.
pub(crate) fn shown(view: &impl serde::Serialize) -> Response {
    reply::json(view).into_response()
}

/// 202: taken, and where to look for what becomes of it.
pub(crate) fn accepted(view: &impl serde::Serialize, location: &str) -> Response {
    let mut response = shown(view);
    *response.status_mut() = StatusCode::ACCEPTED;
    if let Ok(value) = HeaderValue::from_str(location) {
        response.headers_mut().insert(header::LOCATION, value);
    }
    response
}
