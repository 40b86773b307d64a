//! Cursor pages: `?limit=` and `?after=`, the next page in the `Link` header (RFC 8288).

use std::{collections::BTreeMap, convert::Infallible};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderValue, header};
use serde::Serialize;
use warp::{
    Filter,
    reply::{self, Reply, Response},
};

use crate::{
    limits::{PAGE_ITEMS_DEFAULT, PAGE_ITEMS_MAX},
    problem::Problem,
};

/// What page is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ask {
    pub(crate) after: Option<String>,
    pub(crate) limit: usize,
    /// What the resource itself understands besides.
    more: BTreeMap<String, String>,
}

impl Ask {
    pub(crate) fn more(&self, name: &str) -> Option<&str> {
        self.more.get(name).map(String::as_str)
    }
}

/// Items, in order, and where the next page begins.
#[derive(Debug, Serialize)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) next: Option<String>,
}

/// Reads the query; `known` names what the resource understands besides `after` and `limit`. A member that is unknown, given twice or
/// out of range is refused.
pub(crate) fn ask(
    known: &'static [&'static str],
) -> impl Filter<Extract = (Result<Ask, Problem>,), Error = Infallible> + Clone + Send {
    let raw = warp::query::raw().or(warp::any().map(String::new)).unify();
    raw.map(move |query: String| read(&query, known))
}

fn read(query: &str, known: &[&str]) -> Result<Ask, Problem> {
    let mut members = BTreeMap::new();
    for pair in query.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let understood = ["after", "limit"].contains(&name) || known.contains(&name);
        if !understood || members.insert(name.to_owned(), plain(name, value)?).is_some() {
            let known = ["after", "limit"].iter().chain(known).copied().collect::<Vec<_>>().join(", ");
            return Err(refused(format!("`{pair}` is not understood; known are {known}, once each")));
        }
    }
    let after = members.remove("after");
    let limit =
        match members.remove("limit") {
            None => PAGE_ITEMS_DEFAULT,
            Some(text) => text.parse().ok().filter(|n| (1..=PAGE_ITEMS_MAX).contains(n)).ok_or_else(|| {
                refused(format!("limit is `{text}`, but must be an integer from 1 to {PAGE_ITEMS_MAX}"))
            })?,
        };
    Ok(Ask { after, limit, more: members })
}

/// Cursors are base64url, the rest are ids: nothing in them ever needs an escape but `/` and `:`, which queries may carry plainly (RFC 3986 §3.4).
fn plain(name: &str, value: &str) -> Result<String, Problem> {
    let sound = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b':' | b'/' | b'-');
    if !value.is_empty() && value.bytes().all(sound) {
        Ok(value.to_owned())
    } else {
        Err(refused(format!("{name} is `{value}`, which cannot be one")))
    }
}

pub(crate) fn refused(why: String) -> Problem {
    Problem::new(400, "bad-query", "The query does not read")
        .detail(why)
        .fix("follow the Link header of the page before, or leave the query out")
}

/// Where the page begins: after the item with this key. A cursor says nothing to a caller; here it is the key, spelt in base64url.
pub(crate) fn position(ask: &Ask) -> Result<Option<String>, Problem> {
    let Some(after) = &ask.after else { return Ok(None) };
    let key = URL_SAFE_NO_PAD.decode(after).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    key.map(Some).ok_or_else(|| refused(format!("`{after}` is no cursor of this list")))
}

/// Sorts the items by their keys and cuts those after the cursor to a page. An item that went away since takes none with it.
pub(crate) fn cut<T>(mut items: Vec<T>, ask: &Ask, key: impl Fn(&T) -> String) -> Result<Page<T>, Problem> {
    items.sort_by_cached_key(&key);
    let start = position(ask)?.map_or(0, |after| items.partition_point(|item| key(item) <= after));
    let more = items.len().saturating_sub(start) > ask.limit;
    let items: Vec<T> = items.into_iter().skip(start).take(ask.limit).collect();
    let next = items.last().filter(|_| more).map(|last| URL_SAFE_NO_PAD.encode(key(last)));
    Ok(Page { items, next })
}

impl<T: Serialize> Page<T> {
    /// The answer, with `Link` where there is a next page.
    pub(crate) fn reply(&self, path: &str, ask: &Ask) -> Response {
        let mut response = reply::json(self).into_response();
        let more: String = ask.more.iter().map(|(name, value)| format!("&{name}={value}")).collect();
        let limit = ask.limit;
        let link = self.next.as_ref().map(|next| format!("<{path}?limit={limit}&after={next}{more}>; rel=\"next\""));
        if let Some(value) = link.and_then(|link| HeaderValue::from_str(&link).ok()) {
            response.headers_mut().insert(header::LINK, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ask(after: Option<&str>, limit: usize) -> Ask {
        Ask { after: after.map(str::to_owned), limit, more: BTreeMap::new() }
    }

    #[test]
    fn the_query_is_read_or_refused() {
        assert_eq!(read("", &[]).unwrap(), ask(None, PAGE_ITEMS_DEFAULT));
        assert_eq!(read("limit=2&after=x/1", &[]).unwrap(), ask(Some("x/1"), 2));
        for bad in
            ["limit=0", "limit=501", "limit=x", "limit=1&limit=2", "page=1", "state=open", "after=", "after=a%20b", "x"]
        {
            assert_eq!(read(bad, &[]).unwrap_err().status, 400, "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn walking_the_pages_gives_every_item_once(count in 0usize..40, limit in 1usize..9) {
            let all: Vec<usize> = (0..count).collect();
            let (mut left, mut seen, mut after) = (all.clone(), Vec::new(), None);
            loop {
                let ask = Ask { after, limit, more: BTreeMap::new() };
                let page = cut(left.clone(), &ask, |n| format!("{n:03}")).unwrap();
                proptest::prop_assert!(page.items.len() <= limit);
                // The very item that the cursor names goes away meanwhile.
                left.retain(|n| Some(n) != page.items.last());
                seen.extend(page.items);
                match page.next { Some(next) => after = Some(next), None => break }
            }
            proptest::prop_assert_eq!(seen, all);
        }
    }

    #[test]
    fn what_is_no_cursor_is_refused_and_a_link_leads_on() {
        assert_eq!(cut(vec![1], &ask(Some("_"), 1), i32::to_string).unwrap_err().code, "bad-query");
        let page = cut(vec![1, 2], &ask(None, 1), i32::to_string).unwrap();
        let filtered = read("limit=1&state=open", &["state"]).unwrap();
        let response = page.reply("/v1/things", &filtered);
        assert_eq!(response.headers()[header::LINK], "</v1/things?limit=1&after=MQ&state=open>; rel=\"next\"");
    }
}
