//! `Prefer: wait=N` (RFC 7240 §4.3): a read that is held until there is something new, or for N seconds.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use warp::reply::Response;

use crate::limits::WAIT_SECONDS_MAX;

const PREFER: HeaderName = HeaderName::from_static("prefer");
const APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// How long the caller would wait, at most as long as we hold a read. A preference that is unknown or does not read is none (§2).
pub(crate) fn wait(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all(&PREFER).iter().filter_map(|value| value.to_str().ok());
    let mut preferences =
        lines.flat_map(|line| line.split(',')).filter_map(|one| one.split(';').next()?.split_once('='));
    let (_, seconds) = preferences.find(|(name, _)| name.trim().eq_ignore_ascii_case("wait"))?;
    let seconds: u64 = seconds.trim().trim_matches('"').parse().ok()?;
    Some(Duration::from_secs(seconds.min(WAIT_SECONDS_MAX)))
}

/// Says that the preference was heeded, and for how long at most.
pub(crate) fn applied(response: &mut Response, wait: Duration) {
    if let Ok(value) = HeaderValue::from_str(&format!("wait={}", wait.as_secs())) {
        response.headers_mut().insert(APPLIED, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wait_is_found_among_others_and_bounded() {
        let of = |text: &str| wait(&HeaderMap::from_iter([(PREFER, text.parse().unwrap())])).map(|d| d.as_secs());
        assert_eq!(of("wait=3"), Some(3));
        assert_eq!(of("respond-async, Wait=\"4\"; x=1"), Some(4));
        assert_eq!(of("wait=99999"), Some(WAIT_SECONDS_MAX));
        for none in ["wait", "wait=soon", "return=minimal", "wait=-1"] {
            assert_eq!(of(none), None, "{none}");
        }
        assert_eq!(wait(&HeaderMap::new()), None);
    }
}
