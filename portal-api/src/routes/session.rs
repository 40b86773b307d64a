//! `/v1/signin` and `/v1/session`: sign in at the identity provider, see who one is and until when, sign out.

use std::net::IpAddr;

use http::{HeaderMap, StatusCode};
use orbital::names::Group;
use serde::Serialize;
use warp::{
    Filter,
    http::{HeaderValue, header},
    reply::Response,
};

use crate::{
    body,
    caller::{Caller, Source},
    door::{Door, Route, finish, shown},
    problem::Problem,
    sign_in::{self, Sent, SignIn},
};

/// Who calls, and until when.
#[derive(Debug, Serialize)]
struct SessionView {
    by: &'static str,
    name: String,
    /// What the identity provider leaves of a person's groups; null where it is not asked.
    groups: Option<Vec<Group>>,
    authenticated_ms: Option<u64>,
    acr: Option<String>,
    amr: Vec<String>,
    /// Whether the sign-in showed what the topology demands of one.
    mfa: bool,
    expires_ms: Option<u64>,
    /// What requests that write bring along as `x-kcm-csrf`.
    csrf: Option<String>,
}

#[derive(Debug, Serialize)]
struct Ended {
    /// Where the browser goes to sign out at the provider, too.
    provider: Option<String>,
}

/// What the provider posts.
const LOGOUT_TOKEN: &str = "logout_token";

/// Routes that take whoever comes: who signs in is nobody yet, and the provider has no certificate.
pub(crate) fn open(door: &Door) -> Route {
    let query = || warp::query::raw().or(warp::any().map(String::new)).unify();
    let begin = warp::path!("signin")
        .and(warp::get())
        .and(door.open())
        .and(source())
        .and(query())
        .then(|door: Door, from, query: String| async move { finish(begin(&door, from, &query).await) });
    let callback = warp::path!("signin" / "callback")
        .and(warp::get())
        .and(door.open())
        .and(source())
        .and(query())
        .and(warp::header::headers_cloned())
        .then(|door: Door, from, query: String, headers| async move {
            finish(callback(&door, from, &query, &headers).await)
        });
    let logout = warp::path!("signin" / "logout")
        .and(warp::post())
        .and(door.open())
        .and(source())
        .and(body::form(door.limits.body))
        .then(|door: Door, from, form| async move { finish(logout(&door, from, form).await) });
    let end = warp::path!("session" / "end")
        .and(warp::post())
        .and(door.open())
        .then(|door: Door| async move { finish(end(&door).await) });
    begin.or(callback).unify().or(logout).unify().or(end).unify().boxed()
}

pub(crate) fn routes(door: &Door) -> Route {
    warp::path!("session").and(warp::get()).and(door.open()).map(|door: Door| shown(&view(&door.caller))).boxed()
}

/// From where the request comes; the listener says so of each.
fn source() -> impl Filter<Extract = (Option<Source>,), Error = std::convert::Infallible> + Clone {
    warp::ext::optional::<Source>()
}

fn configured(door: &Door, from: Option<Source>) -> Result<(&SignIn, IpAddr), Problem> {
    let source = from.ok_or_else(|| Problem::fault("the connection", &"it has no address"))?;
    Ok((door.sign_in.as_ref().ok_or_else(sign_in::not_configured)?, source.0))
}

async fn begin(door: &Door, from: Option<Source>, query: &str) -> Result<Response, Problem> {
    let (sign_in, source) = configured(door, from)?;
    let to = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "to").map(|(_, to)| to.into_owned());
    sent(sign_in.begin(source, to.as_deref()).await?)
}

async fn callback(door: &Door, from: Option<Source>, query: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let (sign_in, source) = configured(door, from)?;
    sent(sign_in.finish(source, query, headers, &door.desk).await?)
}

async fn logout(door: &Door, from: Option<Source>, form: Result<Vec<u8>, Problem>) -> Result<Response, Problem> {
    let (sign_in, source) = configured(door, from)?;
    let form = form?;
    let token = form_urlencoded::parse(&form).find(|(name, _)| name == LOGOUT_TOKEN).map(|(_, token)| token);
    let token = token.ok_or_else(|| Problem::unreadable("", &"the form has no logout_token"))?;
    sign_in.logged_out(source, &token).await?;
    Ok(Response::default())
}

async fn end(door: &Door) -> Result<Response, Problem> {
    let Caller::Session(signed_in) = &door.caller else { return Err(sign_in::needed()) };
    let (provider, cookie) = signed_in.end().await;
    let mut response = shown(&Ended { provider });
    response.headers_mut().extend(cookie.map(|cookie| (header::SET_COOKIE, cookie)));
    Ok(response)
}

fn sent(sent: Sent) -> Result<Response, Problem> {
    let mut response = Response::default();
    *response.status_mut() = StatusCode::SEE_OTHER;
    let to = HeaderValue::from_str(&sent.to).map_err(|why| Problem::fault("an address of the provider", &why))?;
    response.headers_mut().insert(header::LOCATION, to);
    for cookie in sent.cookies {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

fn view(caller: &Caller) -> SessionView {
    let name = caller.peer().map(|peer| peer.to_string()).unwrap_or_default();
    let plain = |by| SessionView {
        by,
        name,
        groups: None,
        authenticated_ms: None,
        acr: None,
        amr: Vec::new(),
        mfa: false,
        expires_ms: None,
        csrf: None,
    };
    let ms = |seconds: u64| Some(seconds.saturating_mul(1_000));
    match caller {
        Caller::Certificate(_) | Caller::Nobody => plain("certificate"),
        Caller::Program(program, _) => SessionView { expires_ms: ms(program.expires_s), ..plain("token") },
        Caller::Session(signed_in) => {
            let session = signed_in.session();
            SessionView {
                groups: sign_in::groups(&session.vouched),
                authenticated_ms: ms(session.auth_time_s),
                acr: session.acr.clone(),
                amr: session.amr.clone(),
                mfa: session.mfa,
                expires_ms: ms(session.expires_s),
                csrf: Some(signed_in.csrf().to_owned()),
                ..plain("session")
            }
        }
    }
}
