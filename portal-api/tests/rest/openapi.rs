//! The description and the routes say the same: each path that is described answers as described.

use std::collections::BTreeSet;

use orbital::testing::link_l1;
use serde_json::{Value, json};

use crate::{house::House, schema};

fn document() -> Value {
    serde_json::from_str(portal_api::OPENAPI).unwrap()
}

/// A way to ask that is wrong in one thing, or right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Right,
    /// A member of the query that nobody described.
    Query,
    /// The path is there; what it names is not.
    Unknown,
    /// By somebody whom nobody knows.
    Stranger,
    /// Headers that do not read.
    Correlation,
    Condition,
    Key,
    /// Bodies that do not read, are of another type, or too large.
    Member,
    Type,
    Large,
}

const WAYS: [Way; 10] = [
    Way::Right,
    Way::Query,
    Way::Unknown,
    Way::Stranger,
    Way::Correlation,
    Way::Condition,
    Way::Key,
    Way::Member,
    Way::Type,
    Way::Large,
];

/// The request of this way for an operation, and who asks.
fn request(
    way: Way,
    method: &str,
    path: &str,
    known: &str,
    right: &Value,
) -> (http::request::Builder, Vec<u8>, &'static str) {
    let id = if way == Way::Unknown { "pnone" } else { known };
    let tenant = if way == Way::Unknown { "nobody" } else { "acme" };
    let mut at = path.replace("{tenant}", tenant).replace("{id}", id);
    if way == Way::Query {
        at.push_str("?colour=red");
    }
    let mut request = http::Request::builder().method(method.to_uppercase().as_str()).uri(at);
    let (name, value) = match way {
        Way::Correlation => ("x-correlation-id", "a b"),
        Way::Condition => ("if-match", "\"x\""),
        Way::Key => ("idempotency-key", ""),
        _ => ("accept", "*/*"),
    };
    request = request.header(name, value);
    request = request.header("content-type", if way == Way::Type { "text/plain" } else { "application/json" });
    let body = match way {
        Way::Member => json!({ "more": 1 }).to_string().into_bytes(),
        Way::Large => vec![b' '; portal_api::limits::BODY_BYTES_MAX + 1],
        _ => right.to_string().into_bytes(),
    };
    (request, body, if way == Way::Stranger { "mallory" } else { crate::house::OPERATOR })
}

/// The body that an operation takes well, as long as nobody has sent it before.
fn right(house: &House, path: &str) -> Value {
    match path {
        "/v1/tenants" => serde_json::to_value(house.world.genesis()).unwrap(),
        "/v1/proposals" => crate::resources::proposed(&house.world, link_l1("other"), "alice").0,
        _ => json!({ "vote": crate::resources::proposed(&house.world, link_l1("none"), "bob").1 }),
    }
}

#[tokio::test]
async fn whatever_is_asked_only_described_answers_come() {
    let house = House::furnished().await;
    let kill = crate::resources::proposed(&house.world, orbital::change::Action::RevokeL1 {}, "carol").0;
    let known = house.post("/v1/proposals", &kill).await.body["id"].as_str().unwrap().to_owned();
    let document = document();
    let (mut walked, mut seen) = (0, BTreeSet::new());
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            for way in WAYS {
                if path == "/v1/events" && ![Way::Query, Way::Stranger, Way::Correlation].contains(&way) {
                    // An open stream: `resources` and `limits` read it.
                    continue;
                }
                let (request, body, who) = request(way, method, path, &known, &right(&house, path));
                let sends = operation["requestBody"].is_object();
                let said = house.send_as(who, request, if sends { body } else { Vec::new() }).await;
                let place = format!("{way:?} {method} {path}");
                assert_ne!(said.code(), "no-such-path", "{place}");
                let described = &operation["responses"][said.status.to_string()];
                assert!(described.is_object(), "{place} answers {} {:?}, undescribed", said.status, said.body);
                let kind = said.headers["content-type"].to_str().unwrap().split(';').next().unwrap();
                assert!(described["content"][kind].is_object(), "{place} answers {kind}, undescribed");
                if kind.ends_with("json") {
                    let found = schema::findings(&document, &described["content"][kind]["schema"], &said.body);
                    assert!(found.is_empty(), "{place}: {found:#?}");
                }
                if said.status >= 400 {
                    assert_eq!(said.body["status"], said.status, "{place}");
                    for member in ["title", "detail", "fix", "code", "instance"] {
                        let text = said.body[member].as_str().unwrap_or_default();
                        assert!(!text.is_empty(), "{place}: {member} says nothing in {}", said.body);
                    }
                }
                let open = path == "/v1/signin/callback" && way == Way::Query;
                if matches!(way, Way::Query | Way::Correlation) && !open {
                    assert_eq!(said.status, 400, "{place}");
                }
                walked += 1;
                seen.insert(said.status);
            }
            let other =
                http::Request::builder().method("DELETE").uri(path.replace("{tenant}", "acme").replace("{id}", &known));
            let said = house.send(other, Vec::new()).await;
            assert_eq!((said.status, said.code()), (405, "method-not-allowed"), "{path}");
            let allow = said.headers["allow"].to_str().unwrap().to_owned();
            assert!(allow.split(", ").any(|one| one == method.to_uppercase()), "{path}: {allow}");
        }
    }
    assert!(walked >= 200, "{walked}");
    assert!([200, 202, 400, 403, 404, 409, 413, 415].iter().all(|status| seen.contains(status)), "{seen:?}");
}

#[test]
fn every_reference_leads_somewhere_and_every_operation_has_its_own_name() {
    let document = document();
    let (mut open, mut names) = (vec![&document], BTreeSet::new());
    while let Some(value) = open.pop() {
        match value {
            Value::Object(members) => {
                if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                    assert!(document.pointer(reference.trim_start_matches('#')).is_some(), "{reference}");
                }
                if let Some(name) = members.get("operationId").and_then(Value::as_str) {
                    assert!(names.insert(name.to_owned()), "{name} stands twice");
                }
                open.extend(members.values());
            }
            Value::Array(items) => open.extend(items),
            _ => {}
        }
    }
    assert_eq!(document["openapi"], "3.1.0");
}

/// The other direction: a route that nobody described is found in the source.
#[test]
fn every_route_in_the_source_is_described() {
    let shape = |path: &str| {
        path.split('/').map(|s| if s.starts_with('{') { "String" } else { s }).collect::<Vec<_>>().join("/")
    };
    let described: BTreeSet<String> = document()["paths"]
        .as_object()
        .unwrap()
        .keys()
        .map(|p| shape(p.trim_start_matches("/v1").trim_start_matches('/')))
        .collect();
    let mut found = 0;
    for file in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/routes")).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        for rest in text.split("warp::path!(").skip(1) {
            let path = rest.split(')').next().unwrap().replace([' ', '"'], "");
            assert!(described.contains(&path), "{path} is served, but openapi.json does not describe it");
            found += 1;
        }
    }
    assert!(found >= 15, "{found}");
}
