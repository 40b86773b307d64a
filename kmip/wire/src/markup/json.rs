//! One message as JSON: an object for each item, with `tag`, `type` and `value`.
//!
//! `{"tag":"BatchCount","type":"Integer","value":1}`; the value of a structure is an array, and its `type` can be left out. The
//! properties may come in any order, so an object is held until it ends: what is held is bounded by the number of items.

use std::{borrow::Cow, cell::Cell, fmt, mem};

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::{
    Dialect, MarkupError, check_length,
    error::clip,
    names,
    text::Text,
    tree::{self, Tree, spelled},
    values::{Given, Shown, shown},
};
use crate::{
    Tag, WireError,
    ttlv::{self, DEPTH_MAX, Item, Kind, Limits, Structure},
};

/// Room for the text of a frame, in bytes for each byte: what most messages need.
const ROOM_PER_BYTE: usize = 5;

/// Reads one message; the frame that comes back has passed every check of [`ttlv::parse`].
pub fn read(text: &str, limits: &Limits) -> Result<Vec<u8>, WireError> {
    check_length(text, limits)?;
    let budget = Budget { limits, items: Cell::new(0) };
    let mut source = serde_json::Deserializer::from_str(text);
    let node = NodeSeed { budget: &budget, depth: 1 }
        .deserialize(&mut source)
        .and_then(|node| source.end().map(|()| node))
        .map_err(|error| budget.fault(&error))?;
    let mut tree = Tree::new(Dialect::Json, limits);
    grow(&mut tree, &node)?;
    tree.finish()
}

/// An object of the text.
struct Node<'t> {
    tag: Cow<'t, str>,
    kind: Option<Cow<'t, str>>,
    value: Content<'t>,
}

/// What a property `value` holds.
enum Content<'t> {
    Nothing,
    Bool(bool),
    Number(i64),
    /// A number that has a fraction, or does not fit 64 bits.
    FarNumber,
    Text(Cow<'t, str>),
    Nodes(Vec<Node<'t>>),
}

fn grow(tree: &mut Tree<'_>, node: &Node<'_>) -> Result<(), MarkupError> {
    tree.next(&node.tag)?;
    let tag = tree.tag(&node.tag)?;
    let kind = tree.kind(&node.tag, node.kind.as_deref())?;
    let fields = match (kind, &node.value) {
        (Kind::Structure, Content::Nodes(nodes)) => nodes.as_slice(),
        (Kind::Structure, Content::Nothing) => &[],
        (Kind::Structure, _) => {
            return Err(tree.form(&node.tag, "the value of a structure is an array; another item needs `type`"));
        }
        (_, value) => return tree.leaf(tag, kind, &value.given()),
    };
    tree.open(tag)?;
    fields.iter().try_for_each(|node| grow(tree, node))?;
    tree.close();
    Ok(())
}

impl Content<'_> {
    fn given(&self) -> Given<'_> {
        match self {
            Self::Nothing => Given::Nothing,
            Self::Bool(on) => Given::Bool(*on),
            Self::Number(number) => Given::Number(*number),
            Self::Text(text) => Given::Text(text),
            Self::FarNumber | Self::Nodes(_) => Given::Other,
        }
    }
}

/// What may still be held.
struct Budget<'l> {
    limits: &'l Limits,
    items: Cell<usize>,
}

impl Budget<'_> {
    fn depth_max(&self) -> usize {
        self.limits.depth.min(DEPTH_MAX)
    }

    fn take(&self, depth: usize) -> Result<(), &'static str> {
        self.items.set(self.items.get() + 1);
        // A value stands within the deepest structure; how deep structures are is the tree's to say.
        if depth > self.depth_max() + 1 {
            return Err(TOO_DEEP);
        }
        if self.items.get() > self.limits.items { Err(TOO_MANY) } else { Ok(()) }
    }

    fn fault(&self, error: &serde_json::Error) -> MarkupError {
        let (line, column) = (error.line(), error.column());
        let whole = error.to_string();
        let what = whole.strip_suffix(&format!(" at line {line} column {column}")).unwrap_or(&whole);
        let place = format!("line {line}, column {column}");
        match what {
            TOO_DEEP => MarkupError::TooDeep { place, max: self.depth_max() },
            TOO_MANY => MarkupError::TooManyItems { place, max: self.limits.items },
            _ => MarkupError::Syntax { line, column, what: clip(what) },
        }
    }
}

const TOO_DEEP: &str = "too deep";
const TOO_MANY: &str = "too many items";
const PROPERTIES: &[&str] = &["tag", "name", "type", "value"];

#[derive(Clone, Copy)]
struct NodeSeed<'b> {
    budget: &'b Budget<'b>,
    depth: usize,
}

impl<'de> DeserializeSeed<'de> for NodeSeed<'_> {
    type Value = Node<'de>;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Node<'de>, D::Error> {
        self.budget.take(self.depth).map_err(D::Error::custom)?;
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for NodeSeed<'_> {
    type Value = Node<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object with `tag`, `type` and `value`")
    }

    /// The usual message would repeat the text.
    fn visit_str<E: Error>(self, _: &str) -> Result<Node<'de>, E> {
        Err(E::custom("an item is an object with `tag`, `type` and `value`, not a string"))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Node<'de>, A::Error> {
        let (mut tag, mut name, mut kind, mut value) = (None, None, None, None);
        while let Some(property) = map.next_key_seed(TextSeed)? {
            let twice = match &*property {
                "tag" => tag.replace(map.next_value_seed(TextSeed)?).is_some(),
                "name" => name.replace(map.next_value::<IgnoredAny>()?).is_some(),
                "type" => kind.replace(map.next_value_seed(TextSeed)?).is_some(),
                "value" => value.replace(map.next_value_seed(ContentSeed(self))?).is_some(),
                other => return Err(A::Error::unknown_field(&clip(other), PROPERTIES)),
            };
            if twice {
                return Err(A::Error::custom(format_args!("`{property}` stands twice in one object")));
            }
        }
        let tag = tag.ok_or_else(|| A::Error::missing_field("tag"))?;
        Ok(Node { tag, kind, value: value.unwrap_or(Content::Nothing) })
    }
}

/// A string, borrowed from the text where it has no escapes.
struct TextSeed;

impl<'de> DeserializeSeed<'de> for TextSeed {
    type Value = Cow<'de, str>;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Cow<'de, str>, D::Error> {
        source.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for TextSeed {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Cow<'de, str>, E> {
        Ok(Cow::Owned(text.to_owned()))
    }
}

/// The value of a node; its fields are one level deeper.
struct ContentSeed<'b>(NodeSeed<'b>);

impl<'de> DeserializeSeed<'de> for ContentSeed<'_> {
    type Value = Content<'de>;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Content<'de>, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for ContentSeed<'_> {
    type Value = Content<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("null, true, false, a number, a string or an array")
    }

    fn visit_unit<E: Error>(self) -> Result<Content<'de>, E> {
        Ok(Content::Nothing)
    }

    fn visit_bool<E: Error>(self, on: bool) -> Result<Content<'de>, E> {
        Ok(Content::Bool(on))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<Content<'de>, E> {
        Ok(Content::Number(number))
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Content<'de>, E> {
        Ok(i64::try_from(number).map_or(Content::FarNumber, Content::Number))
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Content<'de>, E> {
        Ok(Content::FarNumber)
    }

    fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Content<'de>, E> {
        Ok(Content::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Content<'de>, E> {
        Ok(Content::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Content<'de>, A::Error> {
        let inner = NodeSeed { depth: self.0.depth + 1, ..self.0 };
        let mut nodes = vec![];
        while let Some(node) = items.next_element_seed(inner)? {
            nodes.push(node);
        }
        Ok(Content::Nodes(nodes))
    }
}

/// Writes a frame.
pub fn write(frame: &[u8]) -> Result<String, WireError> {
    let root = ttlv::parse(frame, &Limits::ANSWER)?;
    let mut out = Text::with_capacity(frame.len().saturating_mul(ROOM_PER_BYTE));
    write_structure(&mut out, root)?;
    Ok(out.finish())
}

fn write_structure(out: &mut Text, structure: Structure<'_>) -> Result<(), WireError> {
    open(out, structure.tag());
    out.push(",\"value\":[");
    let (mut attribute, mut comma) = (None, "");
    for item in structure.items() {
        out.push(mem::replace(&mut comma, ","));
        match item.kind {
            Kind::Structure => write_structure(out, item.structure()?)?,
            _ => write_leaf(out, &item, attribute)?,
        }
        if item.tag == Tag::ATTRIBUTE_NAME && item.kind == Kind::TextString {
            attribute = Tag::named(item.text()?);
        }
    }
    out.push("]}");
    Ok(())
}

fn write_leaf(out: &mut Text, item: &Item<'_>, attribute: Option<Tag>) -> Result<(), WireError> {
    open(out, item.tag);
    out.push(&format!(",\"type\":\"{}\",\"value\":", item.kind));
    match shown(item, tree::subject(item.tag, attribute), Dialect::Json)? {
        Shown::Number(number) => out.push(&number.to_string()),
        Shown::Bool(on) => out.push(if on { "true" } else { "false" }),
        Shown::Word(word) => quoted(out, |out| out.push(&word)),
        Shown::Bytes(bytes) => quoted(out, |out| out.push_hex(bytes)),
        Shown::BigInteger(bytes) => quoted(out, |out| {
            out.push("0x");
            out.push_hex(bytes);
        }),
        Shown::Text(text) => quoted(out, |out| text.chars().for_each(|c| escaped(out, c))),
    }
    out.push("}");
    Ok(())
}

fn open(out: &mut Text, tag: Tag) {
    out.push("{\"tag\":");
    quoted(out, |out| match names::name_of(tag) {
        Some(name) => out.push(name),
        None => out.push(&spelled(tag)),
    });
}

fn quoted(out: &mut Text, inner: impl FnOnce(&mut Text)) {
    out.push("\"");
    inner(out);
    out.push("\"");
}

/// Writes a character of a text (RFC 8259 §7).
fn escaped(out: &mut Text, c: char) {
    match c {
        '"' => out.push("\\\""),
        '\\' => out.push("\\\\"),
        c if c < ' ' => out.push(&format!("\\u{:04x}", u32::from(c))),
        c => out.push_char(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ProtocolVersion, ttlv::Writer};

    fn refused(text: &str) -> MarkupError {
        match read(text, &Limits::REQUEST) {
            Err(WireError::Markup(error)) => *error,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn properties_come_in_any_order_and_structures_need_little() {
        let text = r#" {"value":[ {"value":1,"name":"Batch Count","type":"Integer","tag":"BatchCount"},
            {"tag":"0x54FFFF","type":"Structure","value":[]}, {"tag":"RequestHeader","value":null}, {"tag":"Batch\u0049tem"}
        ],"tag":"RequestPayload"} "#;
        let mut frame = vec![];
        Writer::new(&mut frame, ProtocolVersion::V1_4).structure(Tag::REQUEST_PAYLOAD, |w| {
            w.integer(Tag::BATCH_COUNT, 1);
            for tag in [Tag(0x54_FFFF), Tag::REQUEST_HEADER, Tag::BATCH_ITEM] {
                w.structure(tag, |_| {});
            }
        });
        assert_eq!(read(text, &Limits::REQUEST).as_ref(), Ok(&frame));
        let canonical = r#"{"tag":"RequestPayload","value":[{"tag":"BatchCount","type":"Integer","value":1},{"tag":"0x54FFFF","value":[]},{"tag":"RequestHeader","value":[]},{"tag":"BatchItem","value":[]}]}"#;
        assert_eq!(write(&frame).as_deref(), Ok(canonical));
        assert_eq!(read(canonical, &Limits::REQUEST), Ok(frame));
    }

    #[test]
    fn what_is_no_message_is_refused_with_line_and_column() {
        for (text, what) in [
            ("", "line 1, column 0: EOF"),
            ("[]", "invalid type: sequence"),
            ("\"secret\"", "an item is an object"),
            ("{}", "missing field `tag`"),
            ("{\"tag\":\"RequestPayload\"", "line 1, column 23: EOF"),
            ("{\"tag\":\"RequestPayload\"}\n{}", "line 2, column 1: trailing characters"),
            ("{\"tag\":1}", "expected a string"),
            ("{\"tag\":\"RequestPayload\",\"type\":null}", "expected a string"),
            ("{\"tag\":\"RequestPayload\",\"tag\":\"X\"}", "`tag` stands twice"),
            ("{\"tag\":\"RequestPayload\",\"value\":[],\"value\":[]}", "`value` stands twice"),
            ("{\"tag\":\"RequestPayload\",\"size\":1}", "unknown field `size`"),
            ("{\"tag\":\"RequestPayload\",\"value\":{}}", "expected null, true, false, a number"),
            ("{\"tag\":\"RequestPayload\",\"value\":[\"secret\"]}", "an item is an object"),
            ("{\"tag\":\"RequestPayload\",\"value\":[1]}", "expected an object"),
            ("{\"tag\":\"RequestPayload\",\"value\":[],}", "trailing comma"),
            ("{\"tag\":\"\\ud800\"}", "line 1, column"),
            ("{\"tag\":\"a\nb\"}", "control character"),
            ("{\"tag\":\"RequestPayload\",\"value\":1e999}", "number out of range"),
        ] {
            let error = refused(text);
            assert!(matches!(&error, MarkupError::Syntax { .. }), "{text}: {error}");
            assert!(error.to_string().contains(what) && !error.to_string().contains("secret"), "{text}: {error}");
        }
    }

    #[test]
    fn an_object_that_is_no_item_is_refused_with_its_place() {
        for (inside, what) in [
            (
                r#"{"tag":"BatchCounts","type":"Integer","value":1}"#,
                "item 2 (RequestPayload/BatchCounts): `BatchCounts` is no tag",
            ),
            (r#"{"tag":"x540001","type":"Integer","value":1}"#, "is no tag"),
            (
                r#"{"tag":"BatchCount","type":"Int","value":1}"#,
                "item 2 (RequestPayload/BatchCount): `Int` is no item type",
            ),
            (r#"{"tag":"BatchCount","type":"Integer"}"#, "the value of an item of type Integer is"),
            (r#"{"tag":"BatchCount","value":1}"#, "the value of a structure is an array"),
            (
                r#"{"tag":"BatchCount","type":"Integer","value":[{"tag":"X"}]}"#,
                "the value of an item of type Integer is",
            ),
        ] {
            let error = refused(&format!(r#"{{"tag":"RequestPayload","value":[{inside}]}}"#)).to_string();
            assert!(error.contains(what), "{inside}: {error}");
        }
        let root = refused(r#"{"tag":"BatchCount","type":"Integer","value":1}"#).to_string();
        assert_eq!(root, "item 1 (BatchCount): a message is a structure, RequestMessage or ResponseMessage");
    }
}
