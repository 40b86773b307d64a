//! TOML, YAML and JSON as one tree of values, with the place of each where the format gives one.

use std::ops::Range;

use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, SeqAccess, Visitor},
};
use toml::de::{DeTable, DeValue};

use crate::finding::{Code, Finding, Place};

/// Longest topology file that is read, in bytes.
pub const FILE_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Most syntax errors that are shown at once.
const SYNTAX_FINDINGS_MAX: usize = 16;

/// How a topology is written down. TOML is canonical.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Toml,
    Yaml,
    Json,
}

impl Format {
    /// By the ending of the file's name; TOML for an ending that says nothing.
    pub fn of(name: &str) -> Self {
        match name.rsplit('.').next() {
            Some("yaml" | "yml") => Self::Yaml,
            Some("json") => Self::Json,
            _ => Self::Toml,
        }
    }
}

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) span: Option<Range<usize>>,
    pub(crate) value: Value,
}

#[derive(Clone, Debug)]
pub(crate) enum Value {
    Text(String),
    Number(i64),
    Truth(bool),
    List(Vec<Node>),
    Table(Vec<(Key, Node)>),
    /// Something that no field of a topology takes; its name.
    Other(&'static str),
}

#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub(crate) text: String,
    pub(crate) span: Option<Range<usize>>,
}

impl Value {
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a text",
            Self::Number(_) => "a number",
            Self::Truth(_) => "a truth value",
            Self::List(_) => "a list",
            Self::Table(_) => "a table",
            Self::Other(name) => name,
        }
    }
}

/// Parses the text. What can be read is returned beside the findings, so that one misplaced bracket does not hide the rest.
pub(crate) fn parse(format: Format, text: &str) -> (Option<Node>, Vec<Finding>) {
    if text.len() > FILE_BYTES_MAX {
        let message = format!("the file has {} bytes; a topology has at most {FILE_BYTES_MAX}", text.len());
        return (None, vec![Finding::new(Code::Syntax, message, "Give the path of a topology file.")]);
    }
    match format {
        Format::Toml => from_toml(text),
        Format::Yaml => {
            // YAML 1.1 reads `no` as false: a residency list would lose Norway.
            let options = serde_saphyr::options! { strict_booleans: true };
            from_serde(serde_saphyr::from_str_with_options(text, options).map_err(|e| e.to_string()), "YAML")
        }
        Format::Json => from_serde(serde_json::from_str(text).map_err(|e| e.to_string()), "JSON"),
    }
}

fn from_serde(parsed: Result<Node, String>, format: &str) -> (Option<Node>, Vec<Finding>) {
    match parsed {
        Ok(node) => (Some(node), Vec::new()),
        Err(told) => {
            // One line: some parsers go on to quote the file, secrets included.
            let why = told.lines().next().unwrap_or_default();
            let code = if why.contains(TWICE) || why.contains("duplicate") { Code::Duplicate } else { Code::Syntax };
            let message = format!("the file is not {format}: {why}");
            (None, vec![Finding::new(code, message, "Correct the place named, then check again.")])
        }
    }
}

fn from_toml(text: &str) -> (Option<Node>, Vec<Finding>) {
    let (table, errors) = DeTable::parse_recoverable(text);
    let findings = telling(text, &errors).into_iter().map(|error| toml_finding(text, error)).collect();
    let node = Node { span: Some(table.span()), value: Value::Table(entries(table.into_inner())) };
    (Some(node), findings)
}

/// The errors that say something: one a line, and none behind a bracket or quote that never closes, where all is noise.
fn telling<'e>(text: &str, errors: &'e [toml::de::Error]) -> Vec<&'e toml::de::Error> {
    let mut errors: Vec<&toml::de::Error> = errors.iter().collect();
    errors.sort_by_key(|error| error.span().map_or(0, |span| span.start));
    let mut kept = Vec::new();
    let mut last_line = None;
    for error in errors {
        let line = error.span().and_then(|s| text.get(..s.start)).map(|before| before.matches('\n').count());
        if line.is_none() || line != last_line {
            kept.push(error);
        }
        last_line = line;
        if never_closes(error.message()) || kept.len() == SYNTAX_FINDINGS_MAX {
            break;
        }
    }
    kept
}

fn never_closes(message: &str) -> bool {
    ["array", "inline table"].iter().any(|open| message.contains(open))
}

fn toml_finding(text: &str, error: &toml::de::Error) -> Finding {
    let place = |span| Place { path: String::new(), span };
    let said = error.message().lines().next().unwrap_or("cannot be read").to_owned();
    let Some(name) = error.span().and_then(|s| text.get(s)).filter(|_| said.contains("duplicate key")) else {
        let help = match never_closes(&said) {
            true => {
                "Correct this place, or close the bracket or quote that stands open before it; what follows was not read."
            }
            false => "Correct this place. The format is TOML 1.0: https://toml.io/en/v1.0.0",
        };
        return Finding::new(Code::Syntax, format!("the file is not TOML: {said}"), help)
            .at(&place(error.span()), "cannot be read");
    };
    let message = format!("`{name}` is defined twice");
    let finding = Finding::new(Code::Duplicate, message, "Keep one of the two, or join them.")
        .at(&place(error.span()), "defined here again");
    match error.span().and_then(|span| earlier(text, &span)) {
        Some(first) => finding.at(&place(Some(first)), "first defined here"),
        None => finding,
    }
}

/// Where the key at `again` stood first: the same header line for a table, the same key since the last header for a field.
fn earlier(text: &str, again: &Range<usize>) -> Option<Range<usize>> {
    let name = text.get(again.clone())?;
    let line_start = text.get(..again.start)?.rfind('\n').map_or(0, |at| at + 1);
    let line = text.get(line_start..)?.lines().next()?.trim_end();
    let header = line.trim_start().starts_with('[');
    let mut end = line_start;
    for other in text.get(..line_start)?.split_inclusive('\n').rev() {
        let start = end - other.len();
        end = start;
        let body = other.trim_start();
        let at = start + (other.len() - body.len());
        if header && body.trim_end() == line.trim_start() {
            return Some(at..at + body.trim_end().len());
        }
        if !header && body.starts_with('[') {
            return None;
        }
        let rest = body.strip_prefix(name).map(str::trim_start);
        if !header && rest.is_some_and(|r| r.starts_with(['=', '.'])) {
            return Some(at..at + name.len());
        }
    }
    None
}

fn entries(table: DeTable<'_>) -> Vec<(Key, Node)> {
    let mut entries: Vec<_> = table
        .into_iter()
        .map(|(key, value)| {
            let key = Key { span: Some(key.span()), text: key.into_inner().into_owned() };
            let span = Some(value.span());
            (key, Node { span, value: toml_value(value.into_inner()) })
        })
        .collect();
    entries.sort_by_key(|(key, _)| key.span.as_ref().map_or(0, |s| s.start));
    entries
}

fn toml_value(value: DeValue<'_>) -> Value {
    match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => {
            let read = i64::from_str_radix(&number.as_str().replace('_', ""), number.radix());
            read.map_or(Value::Other("a number beyond 64 bits"), Value::Number)
        }
        DeValue::Boolean(truth) => Value::Truth(truth),
        DeValue::Float(_) => Value::Other("a fraction"),
        DeValue::Datetime(_) => Value::Other("a date"),
        DeValue::Array(items) => {
            let node = |item: toml::Spanned<DeValue<'_>>| Node {
                span: Some(item.span()),
                value: toml_value(item.into_inner()),
            };
            Value::List(items.into_iter().map(node).collect())
        }
        DeValue::Table(table) => Value::Table(entries(table)),
    }
}

const TWICE: &str = "is defined twice";

/// YAML and JSON arrive through serde, which gives no places; a repeated key is refused here, because `serde_json` keeps the last.
impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Anything).map(|value| Self { span: None, value })
    }
}

struct Anything;

impl<'de> Visitor<'de> for Anything {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a value of a topology file")
    }
    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }
    fn visit_bool<E: de::Error>(self, truth: bool) -> Result<Value, E> {
        Ok(Value::Truth(truth))
    }
    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }
    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Other("a number beyond 64 bits"), Value::Number))
    }
    fn visit_f64<E: de::Error>(self, _: f64) -> Result<Value, E> {
        Ok(Value::Other("a fraction"))
    }
    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Other("nothing (null)"))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Value::List(items))
    }
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut entries: Vec<(Key, Node)> = Vec::new();
        while let Some(text) = map.next_key::<String>()? {
            if entries.iter().any(|(key, _)| key.text == text) {
                return Err(de::Error::custom(format!("`{text}` {TWICE}")));
            }
            entries.push((Key { text, span: None }, map.next_value()?));
        }
        Ok(Value::Table(entries))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn list_of(format: Format, text: &str) -> Vec<String> {
        let (node, findings) = parse(format, text);
        assert_eq!(findings, []);
        let Value::Table(table) = node.unwrap().value else { panic!("no table") };
        let Value::List(items) = &table[0].1.value else { panic!("no list") };
        items.iter().map(|i| format!("{} {:?}", i.value.kind(), i.value)).collect()
    }

    #[test]
    fn norway_stays_norway_in_yaml() {
        let read = list_of(Format::Yaml, "allow: [NO, no, SE, \"EU\"]");
        assert!(read.iter().all(|item| item.starts_with("a text")), "{read:?}");
    }

    #[test]
    fn a_key_that_comes_twice_is_refused_in_each_format() {
        let both =
            [(Format::Json, "{\"a\": 1, \"a\": 2}"), (Format::Yaml, "a: 1\na: 2\n"), (Format::Toml, "a = 1\na = 2\n")];
        for (format, text) in both {
            let findings = parse(format, text).1;
            assert_eq!(
                findings.iter().map(|f| f.code).collect::<Vec<_>>(),
                [Code::Duplicate],
                "{format:?} {findings:?}"
            );
        }
        let labels = |text: &str| {
            let finding = parse(Format::Toml, text).1.remove(0);
            finding
                .labels
                .iter()
                .map(|l| text.get(l.place.span.clone().unwrap()).unwrap().to_owned())
                .collect::<Vec<_>>()
        };
        assert_eq!(labels("[r.a]\nx = 1\n[r.b]\n[r.a]\n"), ["a", "[r.a]"]);
        assert_eq!(labels("[r]\nx = 1\n x= 2\n"), ["x", "x"]);
    }

    #[test]
    fn every_syntax_error_of_a_file_is_found() {
        let (node, findings) = parse(Format::Toml, "a = \nb = 1\nc = \nd = [1, \n[x]\ny = 1\n[z]\nw = 1\n");
        let starts: Vec<_> = findings.iter().map(|f| f.labels[0].place.span.clone().unwrap().start).collect();
        assert_eq!(starts[..2], [4, 15], "{findings:?}");
        // The bracket that stands open makes an error of every later line; they are not told.
        assert!(findings.len() <= 4, "{findings:?}");
        assert!(node.is_some());
        let huge = " ".repeat(FILE_BYTES_MAX + 1);
        assert_eq!(parse(Format::Toml, &huge).1[0].code, Code::Syntax);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(.|\n|\\[|\\]|=|\"|\\{|\\}|a|:){0,60}") {
            for format in [Format::Toml, Format::Yaml, Format::Json] {
                let _tree = parse(format, &text);
            }
        }
    }
}
