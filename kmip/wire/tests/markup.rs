//! Properties of the XML and JSON encodings: every frame survives them, no text makes them panic or pass their limits.

#![cfg(test)]

mod trees;

use kmip::{
    ProtocolVersion, Tag, WireError,
    markup::{MarkupError, TEXT_PER_MESSAGE, json, xml},
    ttlv::{DEPTH_MAX, Kind, Limits, Writer, parse},
};
use proptest::{collection::vec, prelude::*, sample::Index};
use trees::{Tree, trees, write};

type Read = fn(&str, &Limits) -> Result<Vec<u8>, WireError>;

fn frame(trees: &[Tree]) -> Vec<u8> {
    let mut frame = vec![];
    Writer::new(&mut frame, ProtocolVersion::V1_4).structure(Tag::REQUEST_MESSAGE, |writer| write(trees, writer));
    frame
}

/// The same trees without the characters that XML does not have.
fn without_control(trees: Vec<Tree>) -> Vec<Tree> {
    let is_xml = |c: &char| matches!(c, '\t' | '\n' | '\r' | ' '..='\u{FFFD}' | '\u{10000}'..);
    let plain = |tree| match tree {
        Tree::Leaf(tag, Kind::TextString, text) => {
            let text: String = String::from_utf8(text).unwrap().chars().filter(is_xml).collect();
            Tree::Leaf(tag, Kind::TextString, text.into_bytes())
        }
        Tree::Node(tag, kids) => Tree::Node(tag, without_control(kids)),
        leaf => leaf,
    };
    trees.into_iter().map(plain).collect()
}

/// One change of a text.
#[derive(Clone, Debug)]
enum Edit {
    Put(Index, char),
    Insert(Index, char),
    Cut(Index, Index),
    Repeat(Index, Index),
    End(Index),
}

fn edit() -> impl Strategy<Value = Edit> {
    let sign = || {
        prop_oneof![
            prop::sample::select("<>/=\"'&;#!?-[]{}:,\\|. 0x19aeTZ\t\n\0é🔑".chars().collect::<Vec<_>>()),
            any::<char>()
        ]
    };
    prop_oneof![
        4 => (any::<Index>(), sign()).prop_map(|(at, c)| Edit::Put(at, c)),
        4 => (any::<Index>(), sign()).prop_map(|(at, c)| Edit::Insert(at, c)),
        2 => any::<(Index, Index)>().prop_map(|(from, to)| Edit::Cut(from, to)),
        2 => any::<(Index, Index)>().prop_map(|(from, to)| Edit::Repeat(from, to)),
        1 => any::<Index>().prop_map(Edit::End),
    ]
}

fn edited(text: &str, edits: &[Edit]) -> String {
    let mut text: Vec<char> = text.chars().collect();
    for edit in edits {
        let at = |index: &Index| index.index(text.len().max(1)).min(text.len().saturating_sub(1));
        let range = |a, b| at(a).min(at(b))..at(a).max(at(b));
        match edit {
            _ if text.is_empty() => {}
            Edit::Put(place, c) => {
                let place = at(place);
                text[place] = *c;
            }
            Edit::Insert(place, c) => text.insert(at(place), *c),
            Edit::Cut(from, to) => drop(text.drain(range(from, to))),
            Edit::Repeat(from, to) => {
                let copy = text[range(from, to)].to_vec();
                text.splice(at(from)..at(from), copy);
            }
            Edit::End(place) => text.truncate(at(place)),
        }
    }
    text.into_iter().collect()
}

const SMALL: Limits = Limits { message_bytes: 2048, depth: 5, items: 24 };

/// Whatever is taken is a frame within the limits.
fn check(result: Result<Vec<u8>, WireError>, limits: &Limits) -> Option<Vec<u8>> {
    match result {
        Ok(frame) => {
            parse(&frame, limits).unwrap();
            Some(frame)
        }
        Err(error) => {
            assert!(error.to_string().len() < 2000, "an error is bounded: {error}");
            None
        }
    }
}

proptest! {
    #[test]
    fn a_frame_is_the_same_after_xml(trees in trees()) {
        let frame = frame(&without_control(trees));
        let text = xml::write(&frame).unwrap();
        prop_assert_eq!(xml::read(&text, &Limits::REQUEST).unwrap(), frame, "{}", text);
    }

    #[test]
    fn a_frame_is_the_same_after_json(trees in trees()) {
        let frame = frame(&trees);
        let text = json::write(&frame).unwrap();
        prop_assert_eq!(json::read(&text, &Limits::REQUEST).unwrap(), frame, "{}", text);
    }

    #[test]
    fn an_edited_text_never_panics(trees in trees(), edits in vec(edit(), 1..6)) {
        let frame = frame(&without_control(trees));
        let (in_xml, in_json) = (xml::write(&frame).unwrap(), json::write(&frame).unwrap());
        for limits in [SMALL, Limits::REQUEST] {
            if let Some(frame) = check(xml::read(&edited(&in_xml, &edits), &limits), &limits) {
                prop_assert_eq!(xml::read(&xml::write(&frame).unwrap(), &Limits::ANSWER), Ok(frame));
            }
            if let Some(frame) = check(json::read(&edited(&in_json, &edits), &limits), &limits) {
                prop_assert_eq!(json::read(&json::write(&frame).unwrap(), &Limits::ANSWER), Ok(frame));
            }
        }
    }

    #[test]
    fn noise_never_panics(noise in ".{0,200}", signs in "[<>/=\"'&;{}\\[\\]:, a-f0x]{0,200}") {
        for text in [&noise, &signs] {
            check(xml::read(text, &SMALL), &SMALL);
            check(json::read(text, &SMALL), &SMALL);
        }
    }
}

fn nested(depth: usize) -> [(Read, String); 2] {
    [
        (xml::read, format!("{}{}", "<BatchItem>".repeat(depth), "</BatchItem>".repeat(depth))),
        (json::read, format!("{}{}", "{\"tag\":\"BatchItem\",\"value\":[".repeat(depth), "]}".repeat(depth))),
    ]
}

#[test]
fn depth_is_limited() {
    for (read, text) in nested(DEPTH_MAX) {
        assert_eq!(read(&text, &Limits::REQUEST).unwrap().len(), DEPTH_MAX * 8);
    }
    for depth in [DEPTH_MAX + 1, 20_000] {
        for (read, text) in nested(depth) {
            let Err(WireError::Markup(error)) = read(&text, &Limits::REQUEST) else {
                panic!("{depth} levels were taken")
            };
            assert!(matches!(*error, MarkupError::TooDeep { max: DEPTH_MAX, .. }), "{error}");
        }
    }
    // Levels that are no items yet.
    for text in
        ["[".repeat(500_000), "{\"tag\":\"X\",\"name\":".repeat(50_000), "{\"name\":".to_owned() + &"[".repeat(500_000)]
    {
        assert!(matches!(json::read(&text, &Limits::REQUEST), Err(WireError::Markup(_))));
    }
}

#[test]
fn the_deepest_structure_holds_values_in_each_encoding() {
    let mut frame = vec![];
    let mut writer = Writer::new(&mut frame, ProtocolVersion::V1_4);
    let open: Vec<_> = (0..DEPTH_MAX).map(|_| writer.open(Tag::BATCH_ITEM)).collect();
    writer.boolean(Tag::BATCH_ORDER_OPTION, true);
    open.into_iter().rev().for_each(|open| writer.close(open));
    parse(&frame, &Limits::REQUEST).unwrap();
    let read = [
        xml::read(&xml::write(&frame).unwrap(), &Limits::REQUEST),
        json::read(&json::write(&frame).unwrap(), &Limits::REQUEST),
    ];
    assert_eq!(read, [Ok(frame.clone()), Ok(frame)]);
}

#[test]
fn items_are_limited() {
    let limits = Limits { items: 10, ..Limits::REQUEST };
    for fields in [9, 10, 200_000] {
        let texts: [(Read, String); 2] = [
            (xml::read, format!("<BatchItem>{}</BatchItem>", "<D/>".repeat(fields))),
            (
                json::read,
                format!(
                    "{{\"tag\":\"BatchItem\",\"value\":[{}{{\"tag\":\"D\"}}]}}",
                    "{\"tag\":\"D\"},".repeat(fields - 1)
                ),
            ),
        ];
        for (read, text) in texts {
            match read(&text, &limits) {
                Ok(frame) => assert_eq!((fields, frame.len()), (9, 80)),
                Err(WireError::Markup(error)) => {
                    // JSON is held item by item before it is a tree: its limit counts at the place of the text.
                    assert!(text.starts_with('<') || error.to_string().starts_with("line "), "{error}");
                    assert!(fields > 9 && matches!(*error, MarkupError::TooManyItems { max: 10, .. }), "{error}");
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn the_text_and_its_frame_are_limited() {
    let limits = Limits { message_bytes: 400, ..Limits::REQUEST };
    let max = limits.message_bytes * TEXT_PER_MESSAGE;
    for read in [xml::read as Read, json::read] {
        let error = WireError::from(MarkupError::TooLong { found: max + 1, max });
        assert_eq!(read(&" ".repeat(max + 1), &limits), Err(error));
        assert!(
            matches!(read(&" ".repeat(max), &limits), Err(WireError::Markup(error)) if matches!(*error, MarkupError::Syntax { .. }))
        );
    }
    let text = format!("<BatchItem>{}</BatchItem>", "<D/>".repeat(100));
    assert_eq!(xml::read(&text, &limits), Err(WireError::TooLarge { found: 808, max: 400 }));
}

/// Many attributes, each of which would be compared with all before it.
#[test]
fn an_element_with_many_attributes_is_refused_at_the_first_that_it_cannot_have() {
    let many: String = (0..60_000).map(|n| format!(" a{n}=''")).collect();
    let error = xml::read(&format!("<BatchItem{many}/>"), &Limits::REQUEST).unwrap_err().to_string();
    assert_eq!(error, "item 1 (BatchItem): the attributes are `tag`, `name`, `type` and `value`");
}

/// MSGENC-XML-M-1-10 (KMIP Additional Message Encodings 1.0 §7.1.1), whose TTLV the document prints.
#[test]
fn the_profile_s_printed_example() {
    let text = r#"<RequestMessage>
          <RequestHeader>
            <ProtocolVersion>
              <ProtocolVersionMajor type="Integer" value="1"/>
              <ProtocolVersionMinor type="Integer" value="0"/>
            </ProtocolVersion>
            <MaximumResponseSize type="Integer" value="256"/>
            <BatchCount type="Integer" value="1"/>
          </RequestHeader>
          <BatchItem>
            <Operation type="Enumeration" value="Query"/>
            <RequestPayload>
              <QueryFunction type="Enumeration" value="QueryOperations"/>
              <QueryFunction type="Enumeration" value="QueryObjects"/>
            </RequestPayload>
          </BatchItem>
        </RequestMessage>"#;
    let printed = "42007801000000904200770100000048420069010000002042006a02000000040000000100000000\
                   42006b020000000400000000000000004200500200000004000001000000000042000d0200000004\
                   000000010000000042000f010000003842005c050000000400000018000000004200790100000020\
                   4200740500000004000000010000000042007405000000040000000200000000";
    let frame = xml::read(text, &Limits::REQUEST).unwrap();
    assert_eq!(frame.iter().map(|byte| format!("{byte:02x}")).collect::<String>(), printed);
    assert_eq!(json::read(&json::write(&frame).unwrap(), &Limits::REQUEST), Ok(frame));
}
