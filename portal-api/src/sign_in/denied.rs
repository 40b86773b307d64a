//! How a failed sign-in is told. All that somebody could do wrong on purpose has one answer; the log has the reason.

use crate::problem::Problem;

/// Whatever did not fit: state, code, token.
pub(crate) fn failed(why: &impl std::fmt::Display) -> Problem {
    tracing::warn!(%why, "portal: a sign-in failed");
    metrics::counter!("kcm_portal_sign_ins_failed_total").increment(1);
    Problem::new(400, "sign-in-failed", "This sign-in does not count")
        .detail("it was too old, done before, begun in another browser, or not confirmed by the identity provider")
        .fix("begin again with GET /v1/signin; if it stays, look into governance's log for the correlation id of this answer")
}

pub(crate) fn weak(why: &impl std::fmt::Display) -> Problem {
    Problem::new(403, "sign-in-weak", "This sign-in is not strong enough")
        .detail(format!("the identity provider's token was read, and {why}"))
        .fix("sign in with a second factor; who runs the provider knows how to enrol one")
}

pub(crate) fn unavailable(why: &impl std::fmt::Display) -> Problem {
    tracing::warn!(%why, "portal: signing in is not possible");
    Problem::new(503, "sign-in-unavailable", "Nobody can sign in at the moment")
        .detail("the identity provider does not answer as it should; who is signed in already stays so")
        .fix("try again; a client certificate of the REST CA needs no provider. Governance's log says what is wrong")
}

pub(crate) fn too_many(what: &str) -> Problem {
    Problem::new(429, "too-many-sign-ins", "A limit is reached").detail(what).fix("wait a minute and try again")
}

pub(crate) fn not_configured() -> Problem {
    Problem::new(404, "no-sign-in", "There is no signing in here")
        .detail("no identity provider is configured")
        .fix("call with a client certificate of the REST CA, or see governance.login of the topology file")
}

pub(crate) fn needed() -> Problem {
    Problem::new(401, "sign-in-needed", "Nobody is signed in")
        .detail("the request has neither a client certificate nor a session nor a token that counts")
        .fix("sign in with GET /v1/signin, or call with a client certificate of the REST CA")
}

pub(crate) fn bad_token(why: &impl std::fmt::Display) -> Problem {
    tracing::info!(%why, "portal: an access token does not count");
    Problem::new(401, "bad-token", "This access token does not count")
        .detail("it is not one of the identity provider for a program, for this service and in force, or there is no such way in")
        .fix("ask the provider for a new one with the client's own credentials and this service as the audience")
}

pub(crate) fn cross_site(why: &str) -> Problem {
    Problem::new(403, "cross-site", "This request did not come from a page of ours")
        .detail(why)
        .fix("send `x-kcm-csrf` with the `csrf` of GET /v1/session, from a page of this very host")
}
