//! The description and the routes say the same: each path that is described answers as described.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::house::House;

fn document() -> Value {
    serde_json::from_str(portal_api::OPENAPI).unwrap()
}

#[tokio::test]
async fn every_described_path_answers_with_a_described_status_and_type() {
    let house = House::furnished().await;
    let document = document();
    let mut walked = 0;
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            if path == "/v1/events" {
                // An open stream: `resources` and `limits` read it.
                continue;
            }
            let at = path.replace("{tenant}", "acme").replace("{id}", "no-such-proposal");
            let said = match method.as_str() {
                "get" => house.get(&at).await,
                "post" => house.post(&at, &json!({})).await,
                other => panic!("{other} {path} is described but never used here"),
            };
            assert_ne!(said.code(), "no-such-path", "{method} {path}");
            assert_ne!(said.code(), "method-not-allowed", "{method} {path}");
            let described = &operation["responses"][said.status.to_string()];
            assert!(described.is_object(), "{method} {path} answers {} {:?}, undescribed", said.status, said.body);
            let kind = said.headers["content-type"].to_str().unwrap().split(';').next().unwrap();
            assert!(described["content"][kind].is_object(), "{method} {path} answers {kind}, undescribed");
            required(&document, &described["content"][kind]["schema"], &said.body, &format!("{method} {path}"));
            walked += 1;
        }
    }
    assert!(walked >= 20, "{walked}");
}

/// Each member that the schema requires is there.
fn required(document: &Value, schema: &Value, body: &Value, place: &str) {
    let schema = resolved(document, schema);
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(body.get(name.as_str().unwrap()).is_some(), "{place}: {name} is required, but missing in {body}");
    }
    if let (Some(items), Some(of)) = (body["items"].as_array(), schema["properties"]["items"].get("items")) {
        items.iter().for_each(|item| required(document, of, item, place));
    }
}

fn resolved<'d>(document: &'d Value, schema: &'d Value) -> &'d Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
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
