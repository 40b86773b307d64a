//! Canonical JSON: the one spelling of everything that people sign.
//!
//! RFC 8785 narrowed to objects, arrays, strings and booleans (PROTOCOL §2): integers are decimal strings and bytes are base64url, so
//! that no two readers can disagree about a number. [`read`] accepts bytes only if writing them again yields the same bytes; that one
//! comparison refuses duplicate, unknown and reordered members, white space and foreign escapes.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use unicode_normalization::is_nfc;

/// Largest signed statement, in bytes.
pub const STATEMENT_BYTES_MAX: usize = 256 * 1024;
/// Deepest nesting in a signed statement.
pub const DEPTH_MAX: usize = 16;
/// Longest free text in a signed statement, in bytes (PROTOCOL §2).
pub const TEXT_BYTES_MAX: usize = 2 * 1024;
/// Length of a statement's nonce, in bytes before base64url.
pub const NONCE_BYTES: usize = 16;

/// Bytes that are not the canonical form of what they claim to be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("a signed statement has at most {STATEMENT_BYTES_MAX} bytes, found {0}")]
    TooLarge(usize),
    #[error("the statement does not read as {what}: {why}")]
    Unreadable { what: &'static str, why: String },
    #[error("the statement is not in canonical form (RFC 8785): {what} must be signed byte for byte as canonical JSON")]
    NotCanonical { what: &'static str },
    #[error("numbers and null cannot stand in a signed statement: write integers as decimal strings")]
    NotSignable,
    #[error("the statement is nested deeper than {DEPTH_MAX}")]
    TooDeep,
    #[error(
        "the text {0:?} holds control, bidi or zero-width characters, is not NFC, or is longer than {TEXT_BYTES_MAX} bytes"
    )]
    BadText(String),
    #[error("a nonce is {NONCE_BYTES} random bytes as base64url without padding, found {0:?}")]
    BadNonce(String),
}

/// Canonical bytes of a statement.
pub fn write<T: Serialize>(what: &'static str, statement: &T) -> Result<Vec<u8>, Malformed> {
    let value = serde_json::to_value(statement).map_err(|e| Malformed::Unreadable { what, why: e.to_string() })?;
    let mut out = Vec::with_capacity(512);
    put(&value, &mut out, 0)?;
    if out.len() > STATEMENT_BYTES_MAX { Err(Malformed::TooLarge(out.len())) } else { Ok(out) }
}

/// Reads a statement and demands that its bytes are canonical.
pub fn read<T: Serialize + DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, Malformed> {
    if bytes.len() > STATEMENT_BYTES_MAX {
        return Err(Malformed::TooLarge(bytes.len()));
    }
    let statement: T = serde_json::from_slice(bytes).map_err(|e| Malformed::Unreadable { what, why: e.to_string() })?;
    if write(what, &statement)? == bytes { Ok(statement) } else { Err(Malformed::NotCanonical { what }) }
}

fn put(value: &Value, out: &mut Vec<u8>, depth: usize) -> Result<(), Malformed> {
    if depth > DEPTH_MAX {
        return Err(Malformed::TooDeep);
    }
    match value {
        Value::Null | Value::Number(_) => return Err(Malformed::NotSignable),
        Value::Bool(true) => out.extend_from_slice(b"true"),
        Value::Bool(false) => out.extend_from_slice(b"false"),
        Value::String(text) => put_text(text, out),
        Value::Array(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                put(item, out, depth + 1)?;
            }
            out.push(b']');
        }
        Value::Object(members) => {
            // RFC 8785 §3.2.3 sorts by UTF-16 code units, whatever order the map itself keeps.
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_by(|a, b| a.0.encode_utf16().cmp(b.0.encode_utf16()));
            out.push(b'{');
            for (i, (name, member)) in sorted.into_iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                put_text(name, out);
                out.push(b':');
                put(member, out, depth + 1)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}

/// RFC 8785 §3.2.2.2.
fn put_text(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    for c in text.chars() {
        match c {
            '"' => out.extend_from_slice(b"\\\""),
            '\\' => out.extend_from_slice(b"\\\\"),
            '\u{8}' => out.extend_from_slice(b"\\b"),
            '\t' => out.extend_from_slice(b"\\t"),
            '\n' => out.extend_from_slice(b"\\n"),
            '\u{c}' => out.extend_from_slice(b"\\f"),
            '\r' => out.extend_from_slice(b"\\r"),
            c if c < ' ' => out.extend_from_slice(format!("\\u{:04x}", u32::from(c)).as_bytes()),
            c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out.push(b'"');
}

/// Free text that people read before they sign: NFC, without control, bidi or zero-width characters, at most [`TEXT_BYTES_MAX`] bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Text(String);

impl Text {
    pub fn new(text: impl Into<String>) -> Result<Self, Malformed> {
        let text = text.into();
        if text.len() <= TEXT_BYTES_MAX && is_nfc(&text) && !text.chars().any(hidden) {
            Ok(Self(text))
        } else {
            Err(Malformed::BadText(text.chars().take(80).collect()))
        }
    }
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<'de> serde::Deserialize<'de> for Text {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(d)?).map_err(serde::de::Error::custom)
    }
}

/// Characters that can make two different texts look alike, or one text look like another: controls, separators of lines, annotations, and
/// what Unicode lists as Default_Ignorable_Code_Point (DerivedCoreProperties.txt), the zero-width and bidi characters among them.
fn hidden(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// Refuses a nonce that is not [`NONCE_BYTES`] bytes of base64url: free text in its place would be signed unseen.
pub fn check_nonce(nonce: &str) -> Result<(), Malformed> {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    match URL_SAFE_NO_PAD.decode(nonce) {
        Ok(bytes) if bytes.len() == NONCE_BYTES => Ok(()),
        _ => Err(Malformed::BadNonce(nonce.chars().take(80).collect())),
    }
}

/// Integers as decimal strings, without sign or leading zeros.
pub mod decimal {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(value: &u64, s: S) -> Result<S::Ok, S::Error> {
        s.collect_str(value)
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<u64, D::Error> {
        let text = String::deserialize(d)?;
        let value = text.parse::<u64>().map_err(|e| de::Error::custom(format!("`{text}` is no integer: {e}")))?;
        if value.to_string() == text {
            Ok(value)
        } else {
            Err(de::Error::custom(format!("`{text}` is not a plain integer")))
        }
    }
}

/// Bytes as base64url without padding.
pub mod bytes {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub fn serialize<S: Serializer>(value: &[u8], s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&URL_SAFE_NO_PAD.encode(value))
    }
    pub fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
        URL_SAFE_NO_PAD.decode(String::deserialize(d)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[serde(with = "decimal")]
        epoch: u64,
        #[serde(with = "bytes")]
        nonce: Vec<u8>,
        text: Text,
        on: bool,
    }

    fn sample() -> Sample {
        Sample { epoch: 7, nonce: vec![255, 0], text: Text::new("a\"b").unwrap(), on: true }
    }

    #[test]
    fn members_are_sorted_and_spelled_one_way() {
        let bytes = write("a sample", &sample()).unwrap();
        assert_eq!(String::from_utf8(bytes.clone()).unwrap(), r#"{"epoch":"7","nonce":"_wA","on":true,"text":"a\"b"}"#);
        assert_eq!(read::<Sample>("a sample", &bytes).unwrap(), sample());
    }

    #[test]
    fn every_other_spelling_is_refused() {
        for other in [
            r#"{"epoch":"7","nonce":"_wA","on":true,"text":"a\"b"} "#,
            r#"{"nonce":"_wA","epoch":"7","on":true,"text":"a\"b"}"#,
            r#"{"epoch":"07","nonce":"_wA","on":true,"text":"a\"b"}"#,
            r#"{"epoch":"+7","nonce":"_wA","on":true,"text":"a\"b"}"#,
            r#"{"epoch":7,"nonce":"_wA","on":true,"text":"a\"b"}"#,
            r#"{"epoch":"7","nonce":"_wA=","on":true,"text":"a\"b"}"#,
            r#"{"epoch":"7","nonce":"_wA","on":true,"on":true,"text":"a\"b"}"#,
            r#"{"epoch":"7","more":"x","nonce":"_wA","on":true,"text":"a\"b"}"#,
            r#"{"epoch":"7","nonce":"_wA","text":"a\"b"}"#,
            r#"{"epoch":"7","nonce":"_wA","on":true,"text":"\u0061\"b"}"#,
            "{\"epoch\":\"7\",\"nonce\":\"_wA\",\"on\":true,\"text\":\"a\u{202e}b\"}",
        ] {
            assert!(read::<Sample>("a sample", other.as_bytes()).is_err(), "{other}");
        }
    }

    #[test]
    fn numbers_and_null_cannot_be_signed() {
        assert_eq!(write("a sample", &5), Err(Malformed::NotSignable));
        assert_eq!(write("a sample", &None::<bool>), Err(Malformed::NotSignable));
    }

    #[test]
    fn text_that_could_hide_something_is_refused() {
        for bad in [
            "a\u{200b}b",
            "a\u{202e}b",
            "a\nb",
            "e\u{301}",
            "a\u{3164}b",
            "a\u{34f}b",
            "a\u{e0101}b",
            &"x".repeat(TEXT_BYTES_MAX + 1),
        ] {
            assert!(Text::new(bad).is_err(), "{bad:?}");
        }
        assert!(Text::new("vertrag endet — Zürich").is_ok());
    }

    #[test]
    fn a_nonce_is_sixteen_bytes() {
        assert_eq!(check_nonce("AAAAAAAAAAAAAAAAAAAAAA"), Ok(()));
        for bad in ["", "AAAA", "AAAAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAAAAAAAAAAAAAB", "approve everything!!!!"] {
            assert_eq!(check_nonce(bad), Err(Malformed::BadNonce(bad.to_owned())));
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_written_reads_back(map in proptest::collection::btree_map(".{0,6}", proptest::collection::vec(".{0,6}", 0..3), 0..4)) {
            let bytes = write("a map", &map).unwrap();
            proptest::prop_assert_eq!(read::<BTreeMap<String, Vec<String>>>("a map", &bytes).unwrap(), map);
        }

        #[test]
        fn a_changed_byte_never_reads_as_the_same(at in 0usize..40, to: u8) {
            let mut bytes = write("a sample", &sample()).unwrap();
            let at = at % bytes.len();
            proptest::prop_assume!(bytes[at] != to);
            bytes[at] = to;
            if let Ok(other) = read::<Sample>("a sample", &bytes) { proptest::prop_assert_ne!(other, sample()); }
        }
    }
}
