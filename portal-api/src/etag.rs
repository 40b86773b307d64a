//! Entity tags (RFC 9110 §8.8.3): `ETag` on single resources, `If-None-Match` when one is read again, `If-Match` when a proposal is
//! answered as it was read.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use orbital::names::Digest;
use serde::Serialize;
use sha2::{Digest as _, Sha256};
use warp::reply::{Reply, Response};

use crate::{door::shown, problem::Problem};

/// Most tags in one `If-None-Match`.
const TAGS_MAX: usize = 16;

/// The tag of what is shown: a digest of its members.
pub(crate) fn of(view: &impl Serialize) -> Result<Digest, Problem> {
    let bytes = serde_json::to_vec(view).map_err(|why| Problem::fault("a view", &why))?;
    Ok(Digest(Sha256::digest(bytes).into()))
}

/// 200 with the tag, or 304 where the caller has it already.
pub(crate) fn tagged(view: &impl Serialize, tag: Digest, headers: &HeaderMap) -> Result<Response, Problem> {
    let known = Asked::read(headers, &header::IF_NONE_MATCH, TAGS_MAX)?;
    let mut response = match known {
        Some(known) if known.names(tag) => StatusCode::NOT_MODIFIED.into_response(),
        _ => shown(view),
    };
    set(&mut response, tag);
    Ok(response)
}

pub(crate) fn set(response: &mut Response, tag: Digest) {
    if let Ok(value) = HeaderValue::from_str(&format!("\"{tag}\"")) {
        response.headers_mut().insert(header::ETAG, value);
    }
}

/// The tag that a read is compared with: that of `If-None-Match`, where it names one.
pub(crate) fn seen(headers: &HeaderMap) -> Result<Option<Digest>, Problem> {
    let asked = Asked::read(headers, &header::IF_NONE_MATCH, TAGS_MAX)?;
    Ok(asked.and_then(|asked| match asked {
        Asked::Tags(tags) => tags.last().copied(),
        Asked::Any => None,
    }))
}

/// The tag that must still hold; none where the caller does not care.
pub(crate) fn expected(headers: &HeaderMap) -> Result<Option<Digest>, Problem> {
    match Asked::read(headers, &header::IF_MATCH, 1)? {
        Some(Asked::Tags(tags)) => Ok(tags.first().copied()),
        Some(Asked::Any) | None => Ok(None),
    }
}

enum Asked {
    /// `*`: whatever there is.
    Any,
    Tags(Vec<Digest>),
}

impl Asked {
    fn read(headers: &HeaderMap, name: &HeaderName, most: usize) -> Result<Option<Self>, Problem> {
        let mut values = headers.get_all(name).iter();
        let Some(value) = values.next() else { return Ok(None) };
        let text = value.to_str().ok().filter(|_| values.next().is_none());
        let text = text.ok_or_else(|| refused(name, "it is given twice, or is no ASCII text"))?.trim();
        if text == "*" {
            return Ok(Some(Self::Any));
        }
        let parts: Vec<_> = text.split(',').map(str::trim).collect();
        if parts.len() > most {
            return Err(refused(name, &format!("it names {} tags, at most {most} are taken", parts.len())));
        }
        // A tag that is none of ours matches nothing; for a condition that must hold, that is said at once.
        let tags: Vec<_> =
            parts.iter().filter_map(|tag| tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok()).collect();
        if *name == header::IF_MATCH && tags.is_empty() {
            return Err(refused(name, "it holds no tag of this server"));
        }
        Ok(Some(Self::Tags(tags)))
    }

    fn names(&self, tag: Digest) -> bool {
        match self {
            Self::Any => true,
            Self::Tags(tags) => tags.contains(&tag),
        }
    }
}

fn refused(name: &HeaderName, why: &str) -> Problem {
    Problem::new(400, "bad-condition", "The condition does not read")
        .detail(format!("header {name}: {why}"))
        .fix("send the ETag of an answer as it stands, with its quotes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn what_is_known_is_not_sent_again() {
        let view = serde_json::json!({ "a": 1 });
        let tag = of(&view).unwrap();
        let status = |value: &str| tagged(&view, tag, &headers(header::IF_NONE_MATCH, value)).unwrap().status();
        assert_eq!(tagged(&view, tag, &HeaderMap::new()).unwrap().headers()[header::ETAG], format!("\"{tag}\""));
        assert_eq!(status(&format!("\"{tag}\"")), 304);
        assert_eq!(status(&format!("\"x\", \"{tag}\"")), 304);
        assert_eq!(status("*"), 304);
        assert_eq!(status("\"another\""), 200);
        assert_ne!(of(&serde_json::json!({ "a": 2 })).unwrap(), tag);
    }

    #[test]
    fn a_condition_that_must_hold_names_one_tag_of_ours() {
        let tag = of(&1).unwrap();
        let read = |value: &str| expected(&headers(header::IF_MATCH, value)).map_err(|p| p.code);
        assert_eq!(read(&format!("\"{tag}\"")), Ok(Some(tag)));
        assert_eq!(read("*"), Ok(None));
        assert_eq!(expected(&HeaderMap::new()).unwrap(), None);
        for bad in ["\"x\"", &format!("{tag}"), &format!("\"{tag}\", \"{tag}\"")] {
            assert_eq!(read(bad), Err("bad-condition"), "{bad}");
        }
    }
}
