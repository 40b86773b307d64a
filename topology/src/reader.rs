//! From a tree of values to typed shapes: every field is asked for by name, and what nobody asked for is a finding.

use std::{net::SocketAddr, path::PathBuf};

use orbital::names::{
    Channel, Deployment, Group, Jurisdiction, Mailbox, NodeName, Person, Region, TenantId, TenantName,
};

use crate::{
    build::KMIP_PORT,
    finding::{At, Code, Finding, Place},
    ledger::POSTGRES_PORT,
    secrets,
    suggest::{did_you_mean, nearest},
    tree::{Key, Node, Value},
    units::{self, PublicKey, Size, Span},
};

/// Reads itself from a value, or says why not.
pub(crate) trait FromNode: Sized {
    fn read(node: &Node, place: &Place, findings: &mut Vec<Finding>) -> Option<Self>;
}

/// A table whose keys are names that the author chose.
#[derive(Clone, Debug)]
pub(crate) struct Table<K, V> {
    pub(crate) entries: Vec<(At<K>, At<V>)>,
}

impl<K, V> Default for Table<K, V> {
    fn default() -> Self {
        Self { entries: Vec::new() }
    }
}

/// The fields of one table while they are read.
pub(crate) struct Fields<'a> {
    entries: &'a [(Key, Node)],
    place: &'a Place,
    asked: Vec<&'static str>,
    missing: Vec<&'static str>,
    findings: &'a mut Vec<Finding>,
}

impl<'a> Fields<'a> {
    pub(crate) fn of(node: &'a Node, place: &'a Place, findings: &'a mut Vec<Finding>) -> Option<Self> {
        match &node.value {
            Value::Table(entries) => Some(Self { entries, place, asked: Vec::new(), missing: Vec::new(), findings }),
            other => {
                findings.push(wrong(place, &format!("must be a table, found {}", other.kind())));
                None
            }
        }
    }

    pub(crate) fn optional<T: FromNode>(&mut self, name: &'static str) -> Option<At<T>> {
        self.asked.push(name);
        let (key, node) = self.entries.iter().find(|(key, _)| key.text == name)?;
        at(key, node, self.place, self.findings)
    }

    pub(crate) fn required<T: FromNode>(&mut self, name: &'static str) -> Option<At<T>> {
        if !self.entries.iter().any(|(key, _)| key.text == name) {
            self.missing.push(name);
        }
        self.optional(name)
    }

    /// Reports what is missing and what nobody asked for.
    pub(crate) fn finish(self) {
        let unknown = self.entries.iter().filter(|(key, _)| !self.asked.contains(&key.text.as_str()));
        let mut meant = Vec::new();
        for (key, node) in unknown {
            // The search for secrets speaks of these.
            if secrets::is_secret_field(&key.text, &node.value) {
                continue;
            }
            let near = nearest(&key.text, self.asked.iter().copied());
            meant.extend(near);
            let message =
                format!("unknown field `{}`{}", key.text, did_you_mean(&key.text, self.asked.iter().copied()));
            let help = format!("Fields here: {}.", self.asked.join(", "));
            let place = self.place.child(&key.text, key.span.clone());
            self.findings
                .push(Finding::new(Code::UnknownField, message, help).at(&place, "this schema does not know it"));
        }
        // A misspelt field is one mistake, not two.
        let missing: Vec<_> =
            self.missing.iter().filter(|name| !meant.contains(*name)).map(|n| format!("`{n}`")).collect();
        if !missing.is_empty() {
            let whole = if self.place.path.is_empty() { "the file" } else { &self.place.path };
            let message = format!("{whole} lacks {}", missing.join(", "));
            let help = "Add what is missing; `samples/demo.toml` shows each field with its meaning.";
            self.findings.push(Finding::new(Code::Missing, message, help).at(self.place, "incomplete"));
        }
    }
}

fn at<T: FromNode>(key: &Key, node: &Node, parent: &Place, findings: &mut Vec<Finding>) -> Option<At<T>> {
    // A table's own span is all of its text: its name says enough.
    let span = if matches!(node.value, Value::Table(_)) { key.span.clone() } else { node.span.clone() };
    let place = parent.child(&key.text, span);
    T::read(node, &place, findings).map(|value| At { value, place })
}

fn field_name(place: &Place) -> &str {
    place.path.rsplit('.').next().unwrap_or(&place.path)
}

pub(crate) fn wrong(place: &Place, why: &str) -> Finding {
    let message = format!("`{}` {why}", field_name(place));
    Finding::new(Code::WrongValue, message, "Correct the value; `samples/demo.toml` shows each field with its meaning.")
        .at(place, "this value")
}

/// A text that is no secret: those are reported elsewhere and never repeated in a message.
fn text<'n>(node: &'n Node, place: &Place, findings: &mut Vec<Finding>) -> Option<&'n str> {
    match &node.value {
        Value::Text(text) if secrets::looks_like_a_secret(text) => None,
        Value::Text(text) => Some(text),
        other => {
            findings.push(wrong(place, &format!("must be a text, found {}", other.kind())));
            None
        }
    }
}

fn parsed<T>(
    node: &Node,
    place: &Place,
    findings: &mut Vec<Finding>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Option<T> {
    let text = text(node, place, findings)?;
    match parse(text) {
        Ok(value) => Some(value),
        Err(why) => {
            findings.push(wrong(place, &format!("is not valid: {why}")));
            None
        }
    }
}

macro_rules! from_text {
    ($($type:ty = $parse:expr;)*) => {$(
        impl FromNode for $type {
            fn read(node: &Node, place: &Place, findings: &mut Vec<Finding>) -> Option<Self> {
                parsed(node, place, findings, $parse)
            }
        }
    )*};
}

fn name<T: std::str::FromStr<Err = orbital::names::BadName>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|e: orbital::names::BadName| e.to_string())
}

fn filled(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("it is empty".into()) } else { Ok(text.to_owned()) }
}

/// A host without a port; see [`units::host`].
#[derive(Clone, Debug)]
pub(crate) struct Host(pub(crate) String);
/// A host with its port; see [`units::host_port`].
#[derive(Clone, Debug)]
pub(crate) struct HostPort(pub(crate) crate::HostPort);
/// The same of a KMIP server.
#[derive(Clone, Debug)]
pub(crate) struct KmipServer(pub(crate) crate::HostPort);
/// See [`units::endpoint`].
#[derive(Clone, Debug)]
pub(crate) struct Endpoint(pub(crate) String);
/// The name of an L1 or of a residency rule: a name's alphabet (`orbital::names`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name(pub(crate) String);

from_text! {
    String = filled;
    PathBuf = |text| filled(text).map(PathBuf::from);
    SocketAddr = units::listen_address;
    Host = |text| units::host(text).map(Host);
    HostPort = |text| units::host_port(text, POSTGRES_PORT).map(Self);
    KmipServer = |text| units::host_port(text, KMIP_PORT).map(Self);
    Endpoint = |text| units::endpoint(text).map(Endpoint);
    Span = str::parse;
    Size = str::parse;
    PublicKey = str::parse;
    Name = |text| name::<NodeName>(text).map(|_| Self(text.to_owned()));
    Deployment = name;
    Region = name;
    NodeName = name;
    Person = name;
    TenantName = name;
    TenantId = name;
    Jurisdiction = name;
    Channel = name;
    Mailbox = str::parse;
    Group = name;
}

impl FromNode for bool {
    fn read(node: &Node, place: &Place, findings: &mut Vec<Finding>) -> Option<Self> {
        if let Value::Truth(truth) = node.value {
            return Some(truth);
        }
        findings.push(wrong(place, &format!("must be true or false, found {}", node.value.kind())));
        None
    }
}

impl FromNode for u64 {
    fn read(node: &Node, place: &Place, findings: &mut Vec<Finding>) -> Option<Self> {
        match node.value {
            Value::Number(number) if number >= 1 => Some(number.unsigned_abs()),
            Value::Number(number) => {
                findings.push(wrong(place, &format!("must be 1 or more, found {number}")));
                None
            }
            _ => {
                findings.push(wrong(place, &format!("must be a number, found {}", node.value.kind())));
                None
            }
        }
    }
}

impl<T: FromNode> FromNode for Vec<At<T>> {
    fn read(node: &Node, place: &Place, findings: &mut Vec<Finding>) -> Option<Self> {
        let Value::List(items) = &node.value else {
            findings.push(wrong(place, &format!("must be a list, found {}", node.value.kind())));
            return None;
        };
        let mut list = Vec::new();
        for item in items {
            // Each item is called by its list's path: people look for the line, not for an index.
            let place = Place { path: place.path.clone(), span: item.span.clone() };
            list.extend(T::read(item, &place, findings).map(|value| At { value, place }));
        }
        Some(list)
    }
}

impl<K: FromNode, V: FromNode> FromNode for Table<K, V> {
    fn read(node: &Node, place: &Place, findings: &mut Vec<Finding>) -> Option<Self> {
        let Value::Table(entries) = &node.value else {
            findings.push(wrong(place, &format!("must be a table, found {}", node.value.kind())));
            return None;
        };
        let mut table = Self::default();
        for (key, node) in entries {
            let place_of_key = place.child(&key.text, key.span.clone());
            let key_node = Node { span: key.span.clone(), value: Value::Text(key.text.clone()) };
            let name = K::read(&key_node, &place_of_key, findings);
            let value = at(key, node, place, findings);
            if let (Some(name), Some(value)) = (name, value) {
                table.entries.push((At { value: name, place: place_of_key }, value));
            }
        }
        Some(table)
    }
}

/// Tables with fixed fields: one struct and its reader from one list.
macro_rules! shapes {
    ($($(#[$doc:meta])* $name:ident { $($need:ident $field:ident: $type:ty,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug)]
        pub(crate) struct $name { $(pub(crate) $field: Option<$crate::finding::At<$type>>,)* }

        impl $crate::reader::FromNode for $name {
            fn read(
                node: &$crate::tree::Node,
                place: &$crate::finding::Place,
                findings: &mut Vec<$crate::finding::Finding>,
            ) -> Option<Self> {
                let mut fields = $crate::reader::Fields::of(node, place, findings)?;
                let shape = Self { $($field: fields.$need(stringify!($field)),)* };
                fields.finish();
                Some(shape)
            }
        }
    )*};
}
pub(crate) use shapes;

/// Values that are one of a few words.
macro_rules! words {
    ($($(#[$doc:meta])* $name:ident { $($(#[$vdoc:meta])* $variant:ident = $word:literal,)* })*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$vdoc])* $variant,)* }

        impl $name {
            /// The word in the file.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
        impl $crate::reader::FromNode for $name {
            fn read(
                node: &$crate::tree::Node,
                place: &$crate::finding::Place,
                findings: &mut Vec<$crate::finding::Finding>,
            ) -> Option<Self> {
                $crate::reader::word(node, place, findings, &[$(($word, Self::$variant)),*])
            }
        }
    )*};
}
pub(crate) use words;

pub(crate) fn word<T: Copy>(
    node: &Node,
    place: &Place,
    findings: &mut Vec<Finding>,
    words: &[(&'static str, T)],
) -> Option<T> {
    let names = || words.iter().map(|(word, _)| *word);
    parsed(node, place, findings, |text| {
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        let choice = || names().map(|w| format!("\"{w}\"")).collect::<Vec<_>>().join(", ");
        found.ok_or_else(|| format!("`{text}` is none of {}{}", choice(), did_you_mean(text, names())))
    })
}
