//! Secrets that stand in the file itself: by the name of the field, or by what the value looks like.

use crate::{
    finding::{Code, Finding, Place},
    tree::{Node, Value},
};

/// Names of fields whose value would be a secret. Their `_file` forms are paths.
const FIELDS: &[&str] = &[
    "access_key",
    "access_key_id",
    "api_key",
    "auth_token",
    "client_secret",
    "credential",
    "credentials",
    "passphrase",
    "passwd",
    "password",
    "pin",
    "private_key",
    "secret",
    "secret_access_key",
    "secret_key",
    "session_token",
    "token",
];

/// How well-known secrets begin, or what stands in them.
const MARKS: &[&str] = &["PRIVATE KEY-----", "AGE-SECRET-KEY-", "hvs.", "xoxb-", "ghp_", "eyJhbGci"];

pub(crate) fn is_secret_field(name: &str, value: &Value) -> bool {
    matches!(value, Value::Text(_) | Value::Number(_)) && FIELDS.contains(&name.to_lowercase().as_str())
}

pub(crate) fn looks_like_a_secret(text: &str) -> bool {
    MARKS.iter().any(|mark| text.contains(mark)) || is_aws_key_id(text)
}

/// Access key ids of AWS: a prefix and 16 capitals or digits.
fn is_aws_key_id(text: &str) -> bool {
    let rest = text.strip_prefix("AKIA").or_else(|| text.strip_prefix("ASIA"));
    rest.is_some_and(|r| r.len() == 16 && r.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit()))
}

/// Looks through the whole tree, known fields and unknown ones.
pub(crate) fn search(node: &Node, place: &Place, findings: &mut Vec<Finding>) {
    match &node.value {
        Value::Table(entries) => {
            for (key, value) in entries {
                let of_key = place.child(&key.text, key.span.clone());
                let shown = matches!(&value.value, Value::Text(text) if looks_like_a_secret(text));
                if shown || is_secret_field(&key.text, &value.value) {
                    findings.push(inline(&key.text, &of_key, &Place { span: value.span.clone(), ..of_key.clone() }));
                } else {
                    search(value, &of_key, findings);
                }
            }
        }
        Value::List(items) => items.iter().for_each(|item| {
            let of_item = Place { span: item.span.clone(), ..place.clone() };
            if matches!(&item.value, Value::Text(text) if looks_like_a_secret(text)) {
                findings.push(inline("list", place, &of_item));
            } else {
                search(item, &of_item, findings);
            }
        }),
        Value::Text(_) | Value::Number(_) | Value::Truth(_) | Value::Other(_) => {}
    }
}

fn inline(name: &str, key: &Place, value: &Place) -> Finding {
    let message = format!("`{name} = …` is a secret in the file");
    let instead =
        if name.ends_with("_file") || name.ends_with("_key") { name.to_owned() } else { format!("{name}_file") };
    let help = format!(
        "Put it into a file that only this node may read and name its path (`{instead} = \"/run/secrets/…\"`, or \
         `credentials_file` for an L1). Count this secret as known: replace it where it came from."
    );
    Finding::new(Code::SecretInline, message, help).at(key, "its value is hidden here").hiding(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::{Format, parse};

    fn found(text: &str) -> Vec<String> {
        let (node, mut findings) = parse(Format::Toml, text);
        search(&node.unwrap(), &Place::default(), &mut findings);
        assert!(findings.iter().all(|f| f.code == Code::SecretInline), "{findings:?}");
        findings.into_iter().map(|f| f.labels[0].place.path.clone()).collect()
    }

    #[test]
    fn secrets_are_found_by_name_and_by_look() {
        assert_eq!(found("[l1.a]\nauth = { pin = \"1234\" }"), ["l1.a.auth.pin"]);
        assert_eq!(found("password = 7"), ["password"]);
        assert_eq!(found("frame_key = '''-----BEGIN PRIVATE KEY-----\nMC4'''"), ["frame_key"]);
        assert_eq!(found("x = \"AKIAIOSFODNN7EXAMPLE\""), ["x"]);
        assert_eq!(found("x = [\"ok\", \"AKIAIOSFODNN7EXAMPLE\"]"), ["x"]);
        assert_eq!(
            found("pin_file = \"/run/pin\"\nframe_key = \"keys/frame.pem\"\n[pin]\nacme = \"x\""),
            [] as [&str; 0]
        );
        assert_eq!(found("x = \"AKIA\"\ny = \"AKIAaaaaaaaaaaaaaaaa\""), [] as [&str; 0]);
    }
}
