//! `/docs`: a page of our own that shows `openapi.json`. It loads nothing but that, and runs no script but its own: the policy names that
//! script by its digest, so whatever else got into the page would not run.

use std::sync::LazyLock;

use base64::{Engine, engine::general_purpose::STANDARD};
use sha2::{Digest, Sha256};
use warp::{
    Filter,
    http::{HeaderValue, header},
    reply::{Reply, Response},
};

use crate::door::Route;

const PAGE: &str = include_str!("docs.html");

static POLICY: LazyLock<String> = LazyLock::new(|| {
    format!(
        "default-src 'none'; script-src {}; style-src {}; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
        digest(between(PAGE, "<script>", "</script>")),
        digest(between(PAGE, "<style>", "</style>")),
    )
});

pub(crate) fn routes() -> Route {
    warp::path!("docs").and(warp::get()).map(page).boxed()
}

fn page() -> Response {
    let mut response = PAGE.into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    // Digests in base64 are ASCII; a page without its policy would be worse than none.
    match HeaderValue::from_str(&POLICY) {
        Ok(policy) => _ = headers.insert(header::CONTENT_SECURITY_POLICY, policy),
        Err(_) => *response.body_mut() = Response::default().into_body(),
    }
    response
}

/// A source of the policy: what has exactly this text.
fn digest(text: &str) -> String {
    format!("'sha256-{}'", STANDARD.encode(Sha256::digest(text)))
}

fn between<'p>(page: &'p str, open: &str, close: &str) -> &'p str {
    let after = page.split_once(open).map_or("", |(_, after)| after);
    after.split_once(close).map_or("", |(inner, _)| inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_whole_and_asks_nobody_else() {
        for (open, close) in [("<script>", "</script>"), ("<style>", "</style>")] {
            assert!(between(PAGE, open, close).len() > 200);
            assert_eq!(PAGE.matches(open).count(), 1);
        }
        for foreign in ["http:", "https:", "//cdn", "src=", " style=", "onclick", "innerHTML", "eval("] {
            assert!(!PAGE.contains(foreign), "{foreign}");
        }
        assert!(!POLICY.contains("unsafe") && POLICY.contains("default-src 'none'"));
    }
}
