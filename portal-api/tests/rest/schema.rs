//! As much of JSON Schema as `openapi.json` uses, read strictly: a member that a schema with members does not name is a finding, so that
//! nothing is answered which nobody described.

use serde_json::Value;

/// What does not fit, each with its place.
pub(crate) fn findings(document: &Value, schema: &Value, value: &Value) -> Vec<String> {
    let mut found = Vec::new();
    check(document, schema, value, "", &mut found);
    found
}

fn check(document: &Value, schema: &Value, value: &Value, at: &str, found: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let named = document.pointer(reference.trim_start_matches('#')).expect(reference);
        return check(document, named, value, at, found);
    }
    if let Some(either) = schema["oneOf"].as_array() {
        let fits = either.iter().filter(|one| findings(document, one, value).is_empty()).count();
        if fits != 1 {
            found.push(format!("{at}: fits {fits} of {} shapes: {value}", either.len()));
        }
        return;
    }
    let types: Vec<&str> = match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => several.iter().map(|t| t.as_str().unwrap()).collect(),
        _ => vec![],
    };
    if !types.is_empty() && !types.contains(&type_of(value)) {
        found.push(format!("{at}: {value} is no {types:?}"));
        return;
    }
    if let Some(words) = schema["enum"].as_array().filter(|words| !words.contains(value)) {
        found.push(format!("{at}: {value} is none of {words:?}"));
    }
    match value {
        Value::Object(members) => {
            for name in schema["required"].as_array().into_iter().flatten().map(|n| n.as_str().unwrap()) {
                if !members.contains_key(name) {
                    found.push(format!("{at}: {name} is missing"));
                }
            }
            for (name, value) in members {
                let place = format!("{at}/{name}");
                match (&schema["properties"][name], &schema["additionalProperties"]) {
                    (Value::Null, Value::Bool(true)) => {}
                    (Value::Null, rest @ Value::Object(_)) => check(document, rest, value, &place, found),
                    (Value::Null, _) if types.is_empty() => {}
                    (Value::Null, _) => found.push(format!("{place}: undescribed")),
                    (known, _) => check(document, known, value, &place, found),
                }
            }
        }
        Value::Array(items) if schema["items"].is_object() => {
            for (index, item) in items.iter().enumerate() {
                check(document, &schema["items"], item, &format!("{at}/{index}"), found);
            }
        }
        Value::String(text) => {
            let length = u64::try_from(text.len()).unwrap();
            let (least, most) = (schema["minLength"].as_u64(), schema["maxLength"].as_u64());
            if least.is_some_and(|least| length < least) || most.is_some_and(|most| length > most) {
                found.push(format!("{at}: has {length} characters"));
            }
        }
        _ => {}
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_u64() || number.is_i64() => "integer",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[test]
fn what_does_not_fit_is_found() {
    let document = serde_json::json!({ "shapes": { "n": { "type": "integer" } } });
    let schema = serde_json::json!({
        "type": "object", "required": ["a"],
        "properties": { "a": { "$ref": "#/shapes/n" }, "b": { "oneOf": [{ "type": "null" }, { "enum": ["x"] }] } },
    });
    let of = |value: Value| findings(&document, &schema, &value);
    assert!(of(serde_json::json!({ "a": 1, "b": null })).is_empty());
    for bad in [
        serde_json::json!({}),
        serde_json::json!({ "a": "1" }),
        serde_json::json!({ "a": 1, "b": "y" }),
        serde_json::json!({ "a": 1, "c": 1 }),
        serde_json::json!([]),
    ] {
        assert_eq!(of(bad.clone()).len(), 1, "{bad}");
    }
}
