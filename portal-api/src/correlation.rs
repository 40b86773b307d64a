//! The correlation id: taken from the caller or made here, carried to the last SyncAck, echoed in the answer.

use http::{HeaderMap, HeaderName, HeaderValue};
use orbital::names::Correlation;

use crate::{limits::CORRELATION_BYTES_MAX, problem::Problem};

/// The header that carries it, both ways.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-correlation-id");

/// The caller's own id, or none where the header is absent. A second or malformed header is refused, never replaced in silence.
pub(crate) fn given(headers: &HeaderMap) -> Result<Option<Correlation>, Problem> {
    let mut values = headers.get_all(&HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(refused("it is given twice"));
    }
    let text = value.to_str().map_err(|_| refused("it is no ASCII text"))?;
    if text.len() > CORRELATION_BYTES_MAX {
        return Err(refused(&format!("it has {} bytes, at most {CORRELATION_BYTES_MAX} are taken", text.len())));
    }
    Correlation::new(text).map(Some).map_err(|e| refused(&e.to_string()))
}

/// A new id: 16 random bytes in hexadecimal.
pub(crate) fn fresh() -> Result<Correlation, Problem> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|e| Problem::fault("the system's random generator", &e))?;
    let text: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
    Correlation::new(text).map_err(|e| Problem::fault("a correlation id", &e))
}

/// The header's value for an id; ids are ASCII, so there always is one.
pub(crate) fn value(id: &Correlation) -> Option<HeaderValue> {
    HeaderValue::from_str(id.as_str()).ok()
}

fn refused(why: &str) -> Problem {
    Problem::new(400, "bad-correlation-id", "The correlation id is not usable")
        .detail(format!("header x-correlation-id: {why}"))
        .fix("send letters, digits and . _ : / - only, or leave the header out and use the id in the answer")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&'static str]) -> HeaderMap {
        values.iter().map(|v| (HEADER, HeaderValue::from_static(v))).fold(HeaderMap::new(), |mut all, (k, v)| {
            all.append(k, v);
            all
        })
    }

    #[test]
    fn what_is_given_is_kept_or_refused() {
        assert_eq!(given(&headers(&[])).unwrap(), None);
        assert_eq!(given(&headers(&["click-1"])).unwrap().unwrap().as_str(), "click-1");
        for bad in [&["a b"][..], &[""], &["a", "b"], &["\"x\""]] {
            assert_eq!(given(&headers(bad)).unwrap_err().status, 400, "{bad:?}");
        }
        let long: &'static str = Box::leak("x".repeat(CORRELATION_BYTES_MAX + 1).into_boxed_str());
        assert!(given(&headers(&[long])).is_err());
    }

    #[test]
    fn fresh_ones_differ() {
        assert_ne!(fresh().unwrap(), fresh().unwrap());
    }
}
