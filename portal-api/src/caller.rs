//! Who calls: by the certificate of the connection, else by an access token, else by a session. One of them decides; the others are not
//! looked at.
//!
//! Only a session rides along with whatever a browser sends, so only there a request that writes must prove that a page of ours made it.

use std::net::IpAddr;

use governance::Desk;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};

use crate::{
    peer::PeerId,
    problem::Problem,
    sign_in::{self, Program, SignIn, SignedIn},
};

/// Brings the `csrf` of `GET /v1/session`.
const CSRF: HeaderName = HeaderName::from_static("x-kcm-csrf");
/// What a browser says about where a request comes from (Fetch Metadata).
const FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Who makes a request.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    /// The name in a verified client certificate.
    Certificate(PeerId),
    /// A person with a browser.
    Session(Box<SignedIn>),
    /// A program with an access token.
    Program(Program, SignIn),
    /// Somebody who has yet to sign in.
    Nobody,
}

/// From which address a request comes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source(pub(crate) IpAddr);

/// What the connection says about who is there.
#[derive(Clone, Debug)]
pub(crate) enum Shown {
    /// A certificate, and the name in it if it has one that can be used.
    Certificate(Option<PeerId>),
    /// None was demanded, and none came.
    Nothing,
}

impl Caller {
    /// By what they are counted, where one has a share of something.
    pub(crate) fn peer(&self) -> Option<PeerId> {
        match self {
            Self::Certificate(peer) => Some(peer.clone()),
            Self::Session(signed_in) => Some(PeerId::vouched(&signed_in.session().vouched.subject)),
            Self::Program(program, _) => Some(PeerId::vouched(&program.vouched.subject)),
            Self::Nobody => None,
        }
    }

    /// The desk as it is for them.
    pub(crate) fn desk(&self, desk: &Desk) -> Option<Desk> {
        match self {
            Self::Certificate(peer) => Some(desk.seen_by(peer.as_str())),
            Self::Session(signed_in) => Some(desk.vouched(signed_in.session().vouched.clone())),
            Self::Program(program, _) => Some(desk.vouched(program.vouched.clone())),
            Self::Nobody => None,
        }
    }

    /// Until they are no longer who they are: a certificate holds as long as its connection.
    pub(crate) async fn over(self) {
        match self {
            Self::Session(signed_in) => signed_in.over().await,
            Self::Program(program, sign_in) => sign_in.until(program.expires_s).await,
            Self::Certificate(_) | Self::Nobody => std::future::pending().await,
        }
    }
}

/// Who makes this request, or why it is not heard.
pub(crate) async fn of(
    shown: &Shown,
    sign_in: Option<&SignIn>,
    source: IpAddr,
    method: &Method,
    headers: &HeaderMap,
) -> Result<Caller, Problem> {
    let writes = !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
    let caller = match (shown, sign_in) {
        (Shown::Certificate(Some(peer)), _) => Caller::Certificate(peer.clone()),
        (Shown::Certificate(None), _) | (Shown::Nothing, None) => return Err(unnamed()),
        (Shown::Nothing, Some(sign_in)) => match bearer(headers)? {
            Some(token) => Caller::Program(sign_in.program(source, token).await?, sign_in.clone()),
            None => sign_in.session(headers).map_or(Caller::Nobody, |session| Caller::Session(Box::new(session))),
        },
    };
    if writes {
        check_origin(&caller, sign_in, headers)?;
    }
    Ok(caller)
}

/// The token of an `Authorization` header (RFC 6750 §2.1). Another scheme is none of ours, and a token beside it does not help.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let pair = value.to_str().ok().filter(|_| values.next().is_none()).and_then(|text| text.split_once(' '));
    match pair {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => Ok(Some(token.trim())),
        _ => Err(sign_in::bad_token(&"the header `authorization` is no bearer token")),
    }
}

/// A request that writes and rides on a session comes from a page of ours, by three signs. One that rides on a certificate must at least not
/// come from another site's page, if a browser sends it.
fn check_origin(caller: &Caller, sign_in: Option<&SignIn>, headers: &HeaderMap) -> Result<(), Problem> {
    let site = headers.get(&FETCH_SITE).map(HeaderValue::as_bytes);
    let (signed_in, sign_in) = match (caller, sign_in) {
        (Caller::Session(signed_in), Some(sign_in)) => (signed_in, sign_in),
        (Caller::Certificate(_), _) if matches!(site, Some(b"cross-site" | b"same-site")) => {
            return Err(sign_in::cross_site("the browser says that another site's page made the request"));
        }
        _ => return Ok(()),
    };
    let origin = headers.get(header::ORIGIN).map(HeaderValue::as_bytes);
    if site.is_some_and(|site| site != b"same-origin") {
        return Err(sign_in::cross_site("the browser says that another site's page made the request"));
    }
    if origin.is_some_and(|origin| origin != sign_in.origin().as_bytes()) {
        return Err(sign_in::cross_site("its `origin` is another"));
    }
    if site.is_none() && origin.is_none() {
        return Err(sign_in::cross_site("it has neither `origin` nor `sec-fetch-site`, which each browser sends"));
    }
    let mut proofs = headers.get_all(&CSRF).iter();
    let proof = proofs.next().filter(|_| proofs.next().is_none());
    if signed_in.brings(proof) {
        Ok(())
    } else {
        Err(sign_in::cross_site("its `x-kcm-csrf` is missing or another session's"))
    }
}

fn unnamed() -> Problem {
    Problem::new(403, "caller-unnamed", "The client certificate names nobody")
        .detail("the certificate was verified, but it carries neither a SAN URI nor a common name")
        .fix("have the REST CA issue a certificate with a SAN URI or a CN")
}
