//! The single map from what went wrong inside to what a caller reads: problem+json (RFC 9457).
//!
//! Each problem says what (`title`), where (`instance`, and `errors` with JSON pointers), why (`detail`) and what to do (`fix`).

use std::fmt;

use governance::{Fault, Refusal};
use http::{HeaderValue, StatusCode, header};
use orbital::names::Correlation;
use serde::Serialize;
use warp::reply::{Reply, Response};

/// What a problem's `type` begins with.
const TYPE: &str = "urn:kcm:problem:";

/// One finding inside a request body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// JSON pointer (RFC 6901) to the member that is wrong; empty for the body as a whole.
    pub pointer: String,
    pub detail: String,
}

/// An error as the caller gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    pub title: &'static str,
    pub status: u16,
    pub detail: String,
    /// Stable, for programs.
    pub code: &'static str,
    /// What to do next.
    pub fix: String,
    pub errors: Vec<Finding>,
    /// The methods that the path takes, where it does not take this one.
    pub allow: Option<&'static String>,
}

/// The members of RFC 9457 and ours, as they are written.
#[derive(Serialize)]
struct Written<'p> {
    #[serde(rename = "type")]
    kind: String,
    title: &'p str,
    status: u16,
    detail: &'p str,
    /// The request that went wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    instance: Option<String>,
    code: &'p str,
    fix: &'p str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'p [Finding],
}

impl Problem {
    pub fn new(status: u16, code: &'static str, title: &'static str) -> Self {
        Self { title, status, detail: String::new(), code, fix: String::new(), errors: Vec::new(), allow: None }
    }

    /// Why.
    #[must_use]
    pub fn detail(self, detail: impl fmt::Display) -> Self {
        Self { detail: detail.to_string(), ..self }
    }

    /// What to do next.
    #[must_use]
    pub fn fix(self, fix: impl fmt::Display) -> Self {
        Self { fix: fix.to_string(), ..self }
    }

    /// The methods that the path takes (RFC 9110 §15.5.6).
    #[must_use]
    pub fn allow(self, methods: &'static String) -> Self {
        Self { allow: Some(methods), ..self }
    }

    /// A member of the request that does not read.
    pub fn unreadable(pointer: &str, why: &impl fmt::Display) -> Self {
        let mut problem = Self::new(400, "unreadable", "The request does not read")
            .detail(why)
            .fix("send what GET /v1/openapi.json describes for this path");
        problem.errors.push(Finding { pointer: pointer.to_owned(), detail: why.to_string() });
        problem
    }

    pub fn not_found(what: &str, name: &impl fmt::Display) -> Self {
        Self::new(404, "not-found", "There is no such thing")
            .detail(format!("{what} {name} is not known here"))
            .fix("list what there is, and compare the id character by character")
    }

    /// The world failed us: trying again may help.
    pub fn fault(what: &str, why: &impl fmt::Display) -> Self {
        Self::new(503, "fault", "The server cannot do this at the moment")
            .detail(format!("{what}: {why}"))
            .fix("try again; if it stays, look into governance's log for the correlation id of this answer")
    }

    /// The answer's bytes; `instance` names the request.
    pub fn render(self, correlation: Option<&Correlation>) -> Response {
        let written = Written {
            kind: format!("{TYPE}{}", self.code),
            title: self.title,
            status: self.status,
            detail: &self.detail,
            instance: correlation.map(|id| format!("urn:kcm:correlation:{id}")),
            code: self.code,
            fix: &self.fix,
            errors: &self.errors,
        };
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = serde_json::to_vec(&written).unwrap_or_default();
        let mut response = body.into_response();
        *response.status_mut() = status;
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        if let Some(allow) = self.allow.and_then(|methods| HeaderValue::from_str(methods).ok()) {
            response.headers_mut().insert(header::ALLOW, allow);
        }
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}): {}", self.title, self.code, self.detail)
    }
}

/// A problem rides in an empty answer until the listener knows the correlation id and renders it ([`crate::listener`]).
impl Reply for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::default();
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        response.extensions_mut().insert(self);
        response
    }
}

impl From<governance::Error> for Problem {
    fn from(error: governance::Error) -> Self {
        match error {
            governance::Error::Refused(refusal) => refused(&refusal),
            governance::Error::Fault(fault) => failed(&fault),
        }
    }
}

/// A refusal's status and title; what to do stands in the refusal's own words, and `fix` sends to where one can act on it.
fn refused(refusal: &Refusal) -> Problem {
    use Refusal as R;
    let (status, title, fix) = match refusal {
        R::UnknownTenant(_) => (404, NOT_FOUND, "list them with GET /v1/tenants"),
        R::UnknownEntry(_) => (404, NOT_FOUND, "list them with GET /v1/audit/entries"),
        R::NoCheckpoints => (404, NOT_FOUND, "see governance.checkpoint_key of the topology file"),
        R::UnknownDelivery(_) => (404, NOT_FOUND, "list them with GET /v1/notices"),
        R::UnknownProposal(_) => (404, NOT_FOUND, "list them with GET /v1/proposals"),
        R::BadGenesis(_) | R::MalformedChange(_) | R::MalformedVote(_) | R::WrongRole { .. } => {
            (400, "What was sent does not read", "make it with this release's `kcm` and send it unchanged")
        }
        R::TooLarge(_) => (413, "The change is too large", "split it into several proposals"),
        R::TooManyOpen { .. } | R::TooManyTenants { .. } => (429, "A limit is reached", "close what is open first"),
        R::TooManyStops { .. } => (429, "A limit is reached", "have another person propose, or try again later"),
        R::UnknownVisitor(_) => (
            403,
            "Nobody of this name is known here",
            "call with the certificate of a tenant's person, or have governance.operators of the topology file name this one",
        ),
        R::NotAnOperator(_) => (403, "Only an operator may do this", "see governance.operators of the topology file"),
        R::PolicyDenies { .. }
        | R::UnknownSigner { .. }
        | R::BadSignature { .. }
        | R::NotUserVerified { .. }
        | R::NotDemanded { .. }
        | R::ProposerApproves(_)
        | R::ProposerRejects(_)
        | R::NotTheProposer { .. }
        | R::Uncertified(_) => {
            (403, "This signature does not count here", "see who may sign with GET /v1/proposals/{id}")
        }
        R::TenantKnown(_)
        | R::StaleTrust { .. }
        | R::AheadTrust { .. }
        | R::StaleEpoch { .. }
        | R::AlreadyLinked(_)
        | R::HalfFounded { .. }
        | R::AlreadyProposed { .. }
        | R::AlreadyEnded(_)
        | R::ObjectBusy { .. }
        | R::AnchorTaken { .. }
        | R::TenantKilled { .. }
        | R::TenantBlocked { .. }
        | R::TenantForked { .. }
        | R::BehindRegions { .. }
        | R::TenantTerminated { .. }
        | R::ProposalClosed { .. }
        | R::DoubleAnswer { .. }
        | R::ConfirmTooEarly { .. }
        | R::Expired { .. } => {
            (409, "The state of things does not allow it", "read the present state, then decide anew")
        }
        R::ChangedSince(_) => (412, "It has changed since it was read", "read it again, and answer with its new ETag"),
        R::AmbiguousName { .. } => (409, "The name is not unique", "use the tenant's id from GET /v1/tenants"),
        _ => (422, "This cannot be decided", "correct what the detail names, then sign and send it again"),
    };
    Problem::new(status, refusal.code(), title).detail(refusal).fix(fix)
}

const NOT_FOUND: &str = "There is no such thing";

fn failed(fault: &Fault) -> Problem {
    Problem { code: fault.code(), ..Problem::fault("nothing was decided", fault) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_and_faults_keep_their_code_and_say_what_to_do() {
        let unknown = Problem::from(governance::Error::from(Refusal::UnknownTenant("acme".into())));
        assert_eq!((unknown.status, unknown.code), (404, "unknown-tenant"));
        assert!(unknown.detail.contains("acme") && !unknown.fix.is_empty());
        let own = Problem::from(governance::Error::from(Refusal::NothingToLift {
            kind: orbital::change::ChangeKind::RestoreL1,
            word: "killed",
        }));
        assert_eq!((own.status, own.code), (422, "nothing-to-lift"));
        let fault = Problem::from(governance::Error::from(Fault::Gone { what: "the desk" }));
        assert_eq!((fault.status, fault.code), (503, "gone"));
    }

    #[test]
    fn it_renders_as_problem_json_with_its_request() {
        let id = Correlation::new("click-1").unwrap();
        let response = Problem::not_found("proposal", &"X").render(Some(&id));
        assert_eq!(response.status(), 404);
        assert_eq!(response.headers()[header::CONTENT_TYPE], "application/problem+json");
    }
}
