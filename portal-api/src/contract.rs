//! The contract: `openapi.json` is not only read by people. Which methods a path takes and which members its query has, it alone says, and
//! what it does not describe is refused: nobody comes to rely on what nobody promised.

use std::sync::LazyLock;

use http::Method;
use serde_json::Value;
use warp::{Filter, Rejection, filters::path::FullPath};

use crate::{problem::Problem, routes::OPENAPI};

/// One method of one path.
#[derive(Debug)]
struct Operation {
    method: Method,
    query: Vec<Box<str>>,
    /// Takes members that are not described: somebody else writes this query.
    open: bool,
}

/// A path as it is described, without its leading slash; a segment in braces stands for any.
#[derive(Debug)]
struct Place {
    segments: Vec<Box<str>>,
    operations: Vec<Operation>,
    /// The methods, as `Allow` lists them.
    methods: String,
}

#[derive(Debug, Default)]
struct Contract(Vec<Place>);

/// Read once. A document that did not read would describe nothing, and the tests would say so.
static CONTRACT: LazyLock<Contract> = LazyLock::new(|| Contract::read(OPENAPI).unwrap_or_default());

/// Why a request is not as it is described.
#[derive(Debug)]
pub(crate) struct Undescribed(pub(crate) Problem);

impl warp::reject::Reject for Undescribed {}

/// Lets through what is described, and paths that are not: those are the routes' to miss.
pub(crate) fn kept() -> impl Filter<Extract = (), Error = Rejection> + Clone {
    let query = warp::query::raw().or(warp::any().map(String::new)).unify();
    let check = |method: Method, path: FullPath, query: String| async move {
        CONTRACT.check(&method, path.as_str(), &query).map_err(|problem| warp::reject::custom(Undescribed(problem)))
    };
    warp::method().and(warp::path::full()).and(query).and_then(check).untuple_one()
}

impl Contract {
    fn read(document: &str) -> Option<Self> {
        let document: Value = serde_json::from_str(document).ok()?;
        let mut places = Vec::new();
        for (path, methods) in document.get("paths")?.as_object()? {
            let mut operations = Vec::new();
            for (method, described) in methods.as_object()? {
                let method = Method::from_bytes(method.to_uppercase().as_bytes()).ok()?;
                let parameters = described.get("parameters").and_then(Value::as_array).into_iter().flatten();
                let open = parameters.clone().any(|parameter| {
                    parameter.get("in").and_then(Value::as_str) == Some("query")
                        && parameter.pointer("/schema/type").and_then(Value::as_str) == Some("object")
                });
                let query = parameters.filter_map(|parameter| query_member(&document, parameter)).collect();
                operations.push(Operation { method, query, open });
            }
            let methods = operations.iter().map(|o: &Operation| o.method.as_str()).collect::<Vec<_>>().join(", ");
            places.push(Place { segments: segments(path).map(Into::into).collect(), operations, methods });
        }
        Some(Self(places))
    }

    fn check(&'static self, method: &Method, path: &str, query: &str) -> Result<(), Problem> {
        let fits = |place: &&Place| {
            let described = place.segments.iter().map(|s| if s.starts_with('{') { None } else { Some(s.as_ref()) });
            let given: Vec<_> = segments(path).collect();
            given.len() == place.segments.len()
                && described.zip(given).all(|(described, given)| described.is_none_or(|d| d == given))
        };
        let Some(place) = self.0.iter().find(fits) else { return Ok(()) };
        let Some(operation) = place.operations.iter().find(|o| o.method == *method) else {
            return Err(other_method(method, place));
        };
        if operation.open {
            return Ok(());
        }
        let names =
            query.split('&').filter(|p| !p.is_empty()).map(|pair| pair.split_once('=').map_or(pair, |(n, _)| n));
        match names.into_iter().find(|name| !operation.query.iter().any(|known| known.as_ref() == *name)) {
            None => Ok(()),
            Some(unknown) => Err(undescribed(unknown, &operation.query)),
        }
    }
}

fn segments(path: &str) -> impl Iterator<Item = &str> {
    path.trim_start_matches('/').split('/')
}

/// The name of a parameter that stands in the query.
fn query_member(document: &Value, parameter: &Value) -> Option<Box<str>> {
    let parameter = match parameter.get("$ref").and_then(Value::as_str) {
        Some(reference) => document.pointer(reference.trim_start_matches('#'))?,
        None => parameter,
    };
    let in_query = parameter.get("in").and_then(Value::as_str) == Some("query");
    parameter.get("name").and_then(Value::as_str).filter(|_| in_query).map(Into::into)
}

fn other_method(method: &Method, place: &'static Place) -> Problem {
    let allowed = &place.methods;
    Problem::new(405, "method-not-allowed", "This path does not take this method")
        .detail(format!("the path takes {allowed}, not {method}"))
        .fix("GET /v1/openapi.json lists the methods of each path")
        .allow(allowed)
}

fn undescribed(name: &str, known: &[Box<str>]) -> Problem {
    let name: String = name.chars().take(64).collect();
    let known = if known.is_empty() { "none is".to_owned() } else { format!("known are {}", known.join(", ")) };
    Problem::new(400, "bad-query", "The query does not read")
        .detail(format!("`{name}` is not understood here; {known}"))
        .fix("leave it out; GET /v1/openapi.json lists what each path takes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(method: Method, path: &str, query: &str) -> Option<(u16, String)> {
        CONTRACT.check(&method, path, query).err().map(|p| (p.status, p.detail))
    }

    #[test]
    fn every_described_path_is_known() {
        assert!(CONTRACT.0.len() >= 17, "{}", CONTRACT.0.len());
    }

    #[test]
    fn what_is_not_described_is_refused_by_name() {
        assert_eq!(code(Method::GET, "/v1/tenants", "limit=1&after=x"), None);
        assert_eq!(code(Method::GET, "/v1/tenants/acme", ""), None);
        assert_eq!(code(Method::GET, "/v1/nothing", "x=1"), None, "a path that is not there is the routes' to miss");
        let (status, detail) = code(Method::GET, "/v1/tenants/acme", "limit=1").unwrap();
        assert!(status == 400 && detail.contains("`limit`") && detail.contains("none is"), "{detail}");
        let (_, detail) = code(Method::POST, "/v1/proposals", "dry_run=true&wet").unwrap();
        assert!(detail.contains("`wet`") && detail.contains("dry_run"), "{detail}");
        assert_eq!(
            code(Method::GET, "/v1/signin/callback", "code=1&session_state=2"),
            None,
            "the provider writes this one"
        );
        assert!(code(Method::GET, "/v1/signin", "session_state=2").is_some());
        let (status, detail) = code(Method::DELETE, "/v1/proposals", "").unwrap();
        assert!(status == 405 && detail.contains("GET, POST"), "{detail}");
    }
}
