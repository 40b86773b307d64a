//! `/portal`: the page on which people read proposals, answer them with a passkey, and enrol one. Its files stand in `ui/` as they are
//! served, without a build step. It loads nothing from elsewhere and runs no script but these: whatever else got into it would not run.

use http::HeaderName;
use warp::{
    Filter,
    http::{HeaderValue, header},
    reply::{Reply, Response},
};

use crate::{
    door::{Route, finish},
    problem::Problem,
};

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// A file of the page: its name, its type, its text.
type File = (&'static str, &'static str, &'static str);

const PAGE: File = ("index.html", HTML, include_str!("../../ui/index.html"));
/// What the page is made of.
const PARTS: [File; 15] = [
    ("style.css", CSS, include_str!("../../ui/style.css")),
    ("api.js", SCRIPT, include_str!("../../ui/api.js")),
    ("app.js", SCRIPT, include_str!("../../ui/app.js")),
    ("canon.js", SCRIPT, include_str!("../../ui/canon.js")),
    ("dom.js", SCRIPT, include_str!("../../ui/dom.js")),
    ("enrol.js", SCRIPT, include_str!("../../ui/enrol.js")),
    ("failed.js", SCRIPT, include_str!("../../ui/failed.js")),
    ("passkey.js", SCRIPT, include_str!("../../ui/passkey.js")),
    ("plain.js", SCRIPT, include_str!("../../ui/plain.js")),
    ("proposal.js", SCRIPT, include_str!("../../ui/proposal.js")),
    ("proposals.js", SCRIPT, include_str!("../../ui/proposals.js")),
    ("propose.js", SCRIPT, include_str!("../../ui/propose.js")),
    ("signer.js", SCRIPT, include_str!("../../ui/signer.js")),
    ("statement.js", SCRIPT, include_str!("../../ui/statement.js")),
    ("words.js", SCRIPT, include_str!("../../ui/words.js")),
];

/// What browsers let the page do: its own script, style and calls, and passkeys of its own origin. No text of it becomes markup.
const GUARDS: [(HeaderName, &str); 8] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "publickey-credentials-get=(self), publickey-credentials-create=(self), clipboard-write=(self), camera=(), geolocation=(), \
         microphone=(), payment=(), usb=()",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    // A page of another version than its parts would be neither.
    (header::CACHE_CONTROL, "no-store"),
];

pub(crate) fn routes() -> Route {
    let page = warp::path!("portal").and(warp::get()).map(|| served(&PAGE));
    let part = warp::path!("portal" / String).and(warp::get()).map(|name: String| finish(part(&name)));
    page.or(part).unify().boxed()
}

fn part(name: &str) -> Result<Response, Problem> {
    let found = PARTS.iter().find(|(known, ..)| *known == name);
    found.map(served).ok_or_else(|| Problem::not_found("file", &name.chars().take(64).collect::<String>()))
}

fn served((_, kind, text): &File) -> Response {
    let mut response = (*text).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.extend(GUARDS.map(|(name, value)| (name, HeaderValue::from_static(value))));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_file_of_the_folder_is_served_and_no_other() {
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/ui")).unwrap();
        let mut there: Vec<_> = folder.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        let mut known: Vec<_> = PARTS.iter().chain([&PAGE]).map(|(name, ..)| (*name).to_owned()).collect();
        there.sort();
        known.sort();
        assert_eq!(there, known);
    }

    #[test]
    fn the_page_asks_nobody_else_and_makes_no_markup_of_texts() {
        for (name, kind, text) in PARTS.iter().chain([&PAGE]) {
            for foreign in
                ["http:", "//cdn", " style=", "onclick=\"", "innerHTML", "outerHTML", "eval(", "@import", "url("]
            {
                assert!(!text.contains(foreign), "{name}: {foreign}");
            }
            // A part that is imported and not served would leave an empty page.
            if *kind == SCRIPT {
                for import in text.lines().filter_map(|line| line.split_once(" from \"./")) {
                    let part = import.1.trim_end_matches(['"', ';']);
                    assert!(PARTS.iter().any(|(known, ..)| *known == part), "{name} imports {part}");
                }
            }
        }
        let policy = served(&PAGE).headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    }
}
