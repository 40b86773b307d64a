//! The routes under `/v1`, one file a resource, and what is said where no route matches.

mod actors;
mod audit;
mod docs;
mod events;
mod keys;
mod notices;
mod proposals;
mod regions;
mod session;
mod tenants;
mod ui;

use std::convert::Infallible;

use warp::{
    Filter, Rejection,
    http::{HeaderValue, header},
    reject::{LengthRequired, MethodNotAllowed},
    reply::{Reply, Response},
};

use crate::{
    contract::{self, Undescribed},
    door::{Door, Route, Stranger},
    problem::Problem,
};

/// The description of every path, as it is served.
pub const OPENAPI: &str = include_str!("../../openapi.json");

/// All routes together.
pub(crate) fn all(door: &Door) -> Route {
    let v1 = tenants::routes(door)
        .or(actors::routes(door))
        .unify()
        .or(keys::routes(door))
        .unify()
        .or(proposals::routes(door))
        .unify()
        .or(regions::routes(door))
        .unify()
        .or(audit::routes(door))
        .unify()
        .or(notices::routes(door))
        .unify()
        .or(events::routes(door))
        .unify()
        .or(session::routes(door))
        .unify();
    let open = warp::path("v1")
        .and(openapi().or(session::open(door)).unify())
        .or(livez())
        .unify()
        .or(docs::routes())
        .unify()
        .or(ui::routes())
        .unify();
    let routes = open.or(warp::path("v1").and(door.known()).and(v1)).unify();
    contract::kept().and(routes).recover(unmatched).unify().boxed()
}

fn openapi() -> Route {
    warp::path!("openapi.json")
        .and(warp::get())
        .map(|| {
            let mut response = OPENAPI.into_response();
            let json = HeaderValue::from_static("application/json");
            response.headers_mut().insert(header::CONTENT_TYPE, json);
            response
        })
        .boxed()
}

/// The listener answers; what it can do is `/readyz`'s to say, which stands on the node's own port.
fn livez() -> Route {
    warp::path!("livez").and(warp::get()).map(|| "ok\n".into_response()).boxed()
}

async fn unmatched(rejection: Rejection) -> Result<Response, Infallible> {
    let problem = if let Some(Stranger(problem)) = rejection.find() {
        problem.clone()
    } else if let Some(Undescribed(problem)) = rejection.find() {
        problem.clone()
    } else if rejection.find::<MethodNotAllowed>().is_some() {
        Problem::new(405, "method-not-allowed", "This path does not take this method")
            .detail("the path exists, but not with this method")
            .fix("GET /v1/openapi.json lists the methods of each path")
    } else if rejection.find::<LengthRequired>().is_some() {
        Problem::new(411, "length-required", "The body's length is missing")
            .detail("the request has a body, and no header that says how long it is")
            .fix("send content-length")
    } else if rejection.is_not_found() {
        Problem::new(404, "no-such-path", "There is no such path")
            .detail("no route matches this path")
            .fix("GET /v1/openapi.json lists every path")
    } else {
        Problem::new(400, "bad-request", "The request does not read")
            .detail(format!("{rejection:?}"))
            .fix("compare it with GET /v1/openapi.json")
    };
    Ok(problem.into_response())
}
