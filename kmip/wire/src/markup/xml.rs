//! One message as XML: an element for each item, `type` and `value` as attributes.
//!
//! `<BatchCount type="Integer" value="1"/>`; a structure has elements inside and needs no `type`; a tag without a name is
//! `<TTLV tag="0x540001" .../>`, which is also read as `<x540001 .../>`, as an example of the profile has it. Comments are passed
//! over. What XML offers beyond elements, attributes and the five predefined entities is refused: document types, other entities,
//! CDATA, processing instructions, namespaces but the profile's, and text between the elements.

use std::borrow::Cow;

use quick_xml::{
    Reader, XmlVersion,
    events::{BytesDecl, BytesStart, Event},
};

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
    ttlv::{self, Item, Kind, Limits, Structure},
};

const NAMESPACE: &str = "urn:oasis:tc:kmip:xmlns";
/// The element of a tag that has no name.
const NAMELESS: &str = "TTLV";
/// Room for the text of a frame, in bytes for each byte: what most messages need.
const ROOM_PER_BYTE: usize = 4;

/// Reads one message; the frame that comes back has passed every check of [`ttlv::parse`].
pub fn read(text: &str, limits: &Limits) -> Result<Vec<u8>, WireError> {
    check_length(text, limits)?;
    let mut source = Source { text, reader: Reader::from_str(text) };
    let mut tree = Tree::new(Dialect::Xml, limits);
    // Whether the element that is open is a value, which holds no elements.
    let mut in_value = false;
    loop {
        match source.next()? {
            Event::Start(start) | Event::Empty(start) if in_value => {
                tree.next(start.name().0)?;
                return Err(tree.form(start.name().0, "only a structure holds elements").into());
            }
            Event::Start(start) => in_value = begin(&mut tree, &start)? != Kind::Structure,
            Event::Empty(start) => {
                if begin(&mut tree, &start)? == Kind::Structure {
                    tree.close();
                }
            }
            Event::End(_) if in_value => in_value = false,
            Event::End(_) => tree.close(),
            Event::Comment(_) => {}
            Event::Text(between) if between.bytes().all(|c| c.is_ascii_whitespace()) => {}
            Event::Decl(declaration) if tree.is_empty() => source.check(&declaration)?,
            Event::Eof if tree.is_whole() && !in_value => return tree.finish(),
            Event::Eof => return Err(source.fault("the text ends before its message does").into()),
            Event::Text(_) => return Err(source.fault("text between elements; a value stands in `value`").into()),
            Event::DocType(_) => return Err(source.fault("a document type is not taken").into()),
            Event::GeneralRef(_) => return Err(source.fault("an entity between elements is not taken").into()),
            Event::CData(_) => return Err(source.fault("CDATA is not taken; a value stands in `value`").into()),
            Event::PI(_) => return Err(source.fault("a processing instruction is not taken").into()),
            Event::Decl(_) => return Err(source.fault("an XML declaration stands first or not at all").into()),
        }
    }
}

/// The events of the text, with the place of the last.
struct Source<'t> {
    text: &'t str,
    reader: Reader<&'t [u8]>,
}

impl<'t> Source<'t> {
    fn next(&mut self) -> Result<Event<'t>, MarkupError> {
        self.reader.read_event().map_err(|error| self.fault_at(self.reader.error_position(), &error.to_string()))
    }

    fn fault(&self, what: &str) -> MarkupError {
        self.fault_at(self.reader.buffer_position(), what)
    }

    fn fault_at(&self, position: u64, what: &str) -> MarkupError {
        let before = usize::try_from(position).ok().and_then(|end| self.text.as_bytes().get(..end)).unwrap_or_default();
        let line = before.iter().filter(|&&c| c == b'\n').count() + 1;
        let column = before.iter().rev().take_while(|&&c| c != b'\n').count() + 1;
        MarkupError::Syntax { line, column, what: clip(what) }
    }

    fn check(&self, declaration: &BytesDecl<'_>) -> Result<(), MarkupError> {
        let version = declaration.xml_version().is_ok_and(|version| version == XmlVersion::Explicit1_0);
        let encoding = match declaration.encoding() {
            Some(encoding) => encoding.is_ok_and(|name| name.eq_ignore_ascii_case("utf-8")),
            None => true,
        };
        if version && encoding { Ok(()) } else { Err(self.fault("XML 1.0 in UTF-8 is taken, nothing else")) }
    }
}

/// Takes one element: a structure is open afterwards, a value is complete.
fn begin(tree: &mut Tree<'_>, start: &BytesStart<'_>) -> Result<Kind, MarkupError> {
    let name = start.name().0;
    tree.next(name)?;
    let attributes = Attributes::of(tree, start)?;
    let digits = name.strip_prefix('x').filter(|digits| digits.len() == 6);
    let tag = match (name, attributes.tag.as_deref(), digits) {
        (NAMELESS, Some(tag), _) => tree.tag(tag)?,
        (NAMELESS, None, _) => return Err(tree.form(name, "the element TTLV needs `tag`")),
        (_, Some(_), _) => return Err(tree.form(name, "only the element TTLV has `tag`")),
        (_, None, Some(digits)) => tree.tag(&format!("0x{digits}"))?,
        (_, None, None) => tree.tag(name)?,
    };
    let kind = tree.kind(name, attributes.kind.as_deref())?;
    match (kind, attributes.value.as_deref()) {
        (Kind::Structure, None) => tree.open(tag)?,
        (Kind::Structure, Some(_)) => return Err(tree.form(name, "a structure has elements and no `value`")),
        (_, None) => tree.leaf(tag, kind, &Given::Nothing)?,
        (_, Some(value)) => tree.leaf(tag, kind, &Given::Text(value))?,
    }
    Ok(kind)
}

/// The attributes that an element may have.
#[derive(Default)]
struct Attributes<'e> {
    tag: Option<Cow<'e, str>>,
    kind: Option<Cow<'e, str>>,
    value: Option<Cow<'e, str>>,
}

impl<'e> Attributes<'e> {
    fn of(tree: &Tree<'_>, start: &'e BytesStart<'_>) -> Result<Self, MarkupError> {
        let name = start.name().0;
        let mut attributes = Self::default();
        for attribute in start.attributes() {
            let attribute =
                attribute.map_err(|_| tree.form(name, "an attribute is written twice or without quotes"))?;
            if attribute.value.contains('<') {
                return Err(tree.form(name, "`<` in an attribute is written as &lt;"));
            }
            let value = attribute.normalized_value(XmlVersion::Explicit1_0).map_err(|_| {
                tree.form(name, "of entities, the five of XML and characters by number (&#10;) are taken")
            })?;
            if !value.chars().all(is_xml) {
                return Err(tree.form(name, "an attribute holds a character that XML 1.0 does not have"));
            }
            match attribute.key.0 {
                "tag" => attributes.tag = Some(value),
                "type" => attributes.kind = Some(value),
                "value" => attributes.value = Some(value),
                "name" => {}
                "xmlns" if value == NAMESPACE => {}
                "xmlns" => return Err(tree.form(name, "the namespace is urn:oasis:tc:kmip:xmlns or none")),
                _ => return Err(tree.form(name, "the attributes are `tag`, `name`, `type` and `value`")),
            }
        }
        Ok(attributes)
    }
}

/// XML 1.0, production 2: `Char`.
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..)
}

/// Writes a frame; a text with a character that XML 1.0 does not have is an error.
pub fn write(frame: &[u8]) -> Result<String, WireError> {
    let root = ttlv::parse(frame, &Limits::ANSWER)?;
    let mut out = Text::with_capacity(frame.len().saturating_mul(ROOM_PER_BYTE));
    write_structure(&mut out, root)?;
    Ok(out.finish())
}

fn write_structure(out: &mut Text, structure: Structure<'_>) -> Result<(), WireError> {
    open(out, structure.tag());
    let mut items = structure.items().peekable();
    if items.peek().is_none() {
        out.push("/>");
        return Ok(());
    }
    out.push(">");
    let mut attribute = None;
    for item in items {
        match item.kind {
            Kind::Structure => write_structure(out, item.structure()?)?,
            _ => write_leaf(out, &item, attribute)?,
        }
        if item.tag == Tag::ATTRIBUTE_NAME && item.kind == Kind::TextString {
            attribute = Tag::named(item.text()?);
        }
    }
    out.push("</");
    out.push(names::name_of(structure.tag()).unwrap_or(NAMELESS));
    out.push(">");
    Ok(())
}

fn write_leaf(out: &mut Text, item: &Item<'_>, attribute: Option<Tag>) -> Result<(), WireError> {
    open(out, item.tag);
    out.push(&format!(" type=\"{}\" value=\"", item.kind));
    match shown(item, tree::subject(item.tag, attribute), Dialect::Xml)? {
        Shown::Number(number) => out.push(&number.to_string()),
        Shown::Bool(on) => out.push(if on { "true" } else { "false" }),
        Shown::Word(word) => out.push(&word),
        Shown::Bytes(bytes) | Shown::BigInteger(bytes) => out.push_hex(bytes),
        Shown::Text(text) => text
            .chars()
            .try_for_each(|c| escaped(out, c))
            .map_err(|found| MarkupError::NotXml { place: spelled(item.tag), found: found.into() })?,
    }
    out.push("\"/>");
    Ok(())
}

fn open(out: &mut Text, tag: Tag) {
    out.push("<");
    match names::name_of(tag) {
        Some(name) => out.push(name),
        None => out.push(&format!("{NAMELESS} tag=\"{}\"", spelled(tag))),
    }
}

/// Writes a character of a text; one that XML does not have comes back. Line ends and tabs would be read as spaces.
fn escaped(out: &mut Text, c: char) -> Result<(), char> {
    match c {
        '&' => out.push("&amp;"),
        '<' => out.push("&lt;"),
        '>' => out.push("&gt;"),
        '"' => out.push("&quot;"),
        '\t' => out.push("&#9;"),
        '\n' => out.push("&#10;"),
        '\r' => out.push("&#13;"),
        c if is_xml(c) => out.push_char(c),
        c => return Err(c),
    }
    Ok(())
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
    fn a_message_is_read_with_all_that_may_stand_around_it() {
        let text = "\u{FEFF}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<!-- a -- comment -->\n\
                    <RequestPayload xmlns='urn:oasis:tc:kmip:xmlns' type=\"Structure\">\r\n\t<!-- <x/> -->\
                    <BatchCount type='Integer' name = 'Batch Count' value='1'></BatchCount >\
                    <TTLV tag=\"0x540001\" name=\"Some\" type=\"Integer\" value=\"2\"/><TTLV tag='BatchCount' type='Integer' value='3'/>\
                    <x540002 type='Integer' value='&#x34;'/><TTLV tag='0x54FFFF'><X type='Integer' value='5'/></TTLV>\
                    <RequestHeader/></RequestPayload>\n<!-- end -->\n";
        let mut frame = vec![];
        Writer::new(&mut frame, ProtocolVersion::V1_4).structure(Tag::REQUEST_PAYLOAD, |w| {
            w.integer(Tag::BATCH_COUNT, 1);
            w.integer(Tag(0x54_0001), 2);
            w.integer(Tag::BATCH_COUNT, 3);
            w.integer(Tag(0x54_0002), 4);
            w.structure(Tag(0x54_FFFF), |w| w.integer(Tag::X, 5));
            w.structure(Tag::REQUEST_HEADER, |_| {});
        });
        assert_eq!(read(text, &Limits::REQUEST).as_ref(), Ok(&frame));
        let canonical = "<RequestPayload><BatchCount type=\"Integer\" value=\"1\"/><TTLV tag=\"0x540001\" type=\"Integer\" value=\"2\"/>\
                         <BatchCount type=\"Integer\" value=\"3\"/><TTLV tag=\"0x540002\" type=\"Integer\" value=\"4\"/>\
                         <TTLV tag=\"0x54FFFF\"><X type=\"Integer\" value=\"5\"/></TTLV><RequestHeader/></RequestPayload>";
        assert_eq!(write(&frame).as_deref(), Ok(canonical));
        assert_eq!(read(canonical, &Limits::REQUEST), Ok(frame));
    }

    /// What XML offers and a message does not need, and what is no XML at all.
    #[test]
    fn what_is_no_message_is_refused_with_line_and_column() {
        for (text, line, column) in [
            ("", 1, 1),
            ("   \n ", 2, 2),
            ("BatchCount", 1, 11),
            ("<RequestPayload>", 1, 17),
            ("<RequestPayload>\n<BatchCount type='Integer' value='1'>", 2, 38),
            ("<RequestPayload>\n</RequestHeader>", 2, 1),
            ("</RequestPayload>", 1, 1),
            ("<RequestPayload", 1, 1),
            ("<RequestPayload/>\ntrailing", 2, 9),
            ("<RequestPayload>word</RequestPayload>", 1, 21),
            ("<RequestPayload>&amp;</RequestPayload>", 1, 22),
            ("<RequestPayload>&#32;</RequestPayload>", 1, 22),
            ("<RequestPayload><![CDATA[x]]></RequestPayload>", 1, 30),
            ("<RequestPayload><?php x?></RequestPayload>", 1, 26),
            ("<RequestPayload/><?xml version='1.0'?>", 1, 39),
            ("<?xml version='1.1'?><RequestPayload/>", 1, 22),
            ("<?xml version='1.0' encoding='UTF-16'?><RequestPayload/>", 1, 40),
            ("<!DOCTYPE RequestPayload><RequestPayload/>", 1, 26),
            (
                "<!DOCTYPE a [<!ENTITY b 'c'>]><RequestPayload><NameValue type='TextString' value='&b;'/></RequestPayload>",
                1,
                31,
            ),
            ("<!DOCTYPE a SYSTEM 'file:///etc/passwd'><RequestPayload/>", 1, 41),
        ] {
            let error = refused(text);
            assert!(
                matches!(&error, MarkupError::Syntax { line: l, column: c, .. } if (*l, *c) == (line, column)),
                "{text}: {error}"
            );
            assert_eq!(WireError::from(error).reason(), crate::ResultReason::InvalidMessage);
        }
    }

    #[test]
    fn an_element_that_is_no_item_is_refused_with_its_place() {
        for (inside, what) in [
            ("<BatchCounts type='Integer' value='1'/>", "item 2 (RequestPayload/BatchCounts): `BatchCounts` is no tag"),
            ("<kmip:BatchCount type='Integer' value='1'/>", "is no tag"),
            ("<x430001 type='Integer' value='1'/>", "is no tag"),
            ("<TTLV tag='0x4200' type='Integer' value='1'/>", "`0x4200` is no tag"),
            ("<TTLV type='Integer' value='1'/>", "item 2 (RequestPayload/TTLV): the element TTLV needs `tag`"),
            ("<BatchCount tag='0x42000D' type='Integer' value='1'/>", "only the element TTLV has `tag`"),
            ("<BatchCount type='integer' value='1'/>", "item 2 (RequestPayload/BatchCount): `integer` is no item type"),
            ("<BatchCount type='Integer'/>", "the value of an item of type Integer is"),
            ("<BatchCount value='1'/>", "a structure has elements and no `value`"),
            (
                "<BatchCount type='Integer' value='1'><X/></BatchCount>",
                "item 3 (RequestPayload/X): only a structure holds elements",
            ),
            ("<BatchCount type='Integer' value='1'><X></X></BatchCount>", "only a structure holds elements"),
            ("<BatchCount type='Integer' value='1' value='2'/>", "an attribute is written twice"),
            ("<BatchCount type='Integer' value=1/>", "without quotes"),
            ("<BatchCount type='Integer' value='1' unit='s'/>", "the attributes are"),
            ("<BatchCount xmlns='urn:other' type='Integer' value='1'/>", "the namespace is"),
            ("<NameValue type='TextString' value='a<b'/>", "`<` in an attribute"),
            ("<NameValue type='TextString' value='&b;'/>", "of entities"),
            ("<NameValue type='TextString' value='a & b'/>", "of entities"),
            ("<NameValue type='TextString' value='&#1;'/>", "a character that XML 1.0 does not have"),
            ("<NameValue type='TextString' value='&#0;'/>", "of entities"),
            ("<NameValue type='TextString' value='&#xD800;'/>", "of entities"),
            ("<NameValue type='TextString' value='\u{1}'/>", "a character that XML 1.0 does not have"),
            ("<NameValue type='TextString' value='&#xFFFE;'/>", "a character that XML 1.0 does not have"),
        ] {
            let error = refused(&format!("<RequestPayload>{inside}</RequestPayload>")).to_string();
            assert!(error.contains(what), "{inside}: {error}");
        }
        let second = refused("<RequestPayload/><RequestHeader/>").to_string();
        assert_eq!(second, "item 2 (RequestHeader): a text is one message; nothing follows it");
        let root = refused("<BatchCount type='Integer' value='1'/>").to_string();
        assert_eq!(root, "item 1 (BatchCount): a message is a structure, RequestMessage or ResponseMessage");
    }

    #[test]
    fn a_text_that_xml_cannot_hold_is_not_written() {
        for c in ['\0', '\u{1F}', '\u{FFFE}', '\u{FFFF}'] {
            let mut frame = vec![];
            Writer::new(&mut frame, ProtocolVersion::V1_4)
                .structure(Tag::RESPONSE_PAYLOAD, |w| w.text(Tag::NAME_VALUE, &format!("a{c}")));
            let error = MarkupError::NotXml { place: "NameValue".into(), found: c.into() };
            assert_eq!(error.reason(), crate::ResultReason::GeneralFailure);
            assert_eq!(write(&frame), Err(error.into()));
        }
        assert!(matches!(write(&[0x42, 0, 0x78]), Err(WireError::Truncated { .. })));
    }
}
