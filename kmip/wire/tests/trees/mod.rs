//! Any item tree, as the tests of the encodings make them.

use kmip::{
    Tag,
    ttlv::{Kind, Writer},
};
use proptest::{collection::vec, prelude::*, sample::select};

/// An item with what is below it.
#[derive(Clone, Debug)]
pub(crate) enum Tree {
    Leaf(Tag, Kind, Vec<u8>),
    Node(Tag, Vec<Tree>),
}

/// Any tag of the standard or of a vendor, and often one whose values have names.
fn tag() -> impl Strategy<Value = Tag> {
    let named = [
        Tag::ATTRIBUTE_NAME,
        Tag::ATTRIBUTE_VALUE,
        Tag::CRYPTOGRAPHIC_USAGE_MASK,
        Tag::STORAGE_STATUS_MASK,
        Tag::CRYPTOGRAPHIC_ALGORITHM,
        Tag::PROFILE_NAME,
    ];
    prop_oneof![
        3 => (0x42_0001u32..0x42_0130).prop_map(Tag),
        1 => (0x54_0001u32..0x54_00FF).prop_map(Tag),
        2 => select(named.to_vec()),
    ]
}

fn text() -> impl Strategy<Value = String> {
    let names = ["State", "Object Type", "Cryptographic Usage Mask", "x-State"];
    prop_oneof![4 => ".{0,20}", 1 => "[ -~\t\n\r]{0,20}", 1 => select(names.to_vec()).prop_map(str::to_owned)]
}

fn leaf() -> impl Strategy<Value = Tree> {
    let four = || select(vec![Kind::Integer, Kind::Enumeration, Kind::Interval]);
    let eight = || select(vec![Kind::LongInteger, Kind::DateTime, Kind::BigInteger]);
    let near = -80_000_000_000i64..300_000_000_000;
    prop_oneof![
        (tag(), four(), any::<u32>()).prop_map(|(tag, kind, value)| Tree::Leaf(tag, kind, value.to_be_bytes().into())),
        (tag(), four(), 0..64u32).prop_map(|(tag, kind, value)| Tree::Leaf(tag, kind, value.to_be_bytes().into())),
        (tag(), eight(), any::<i64>()).prop_map(|(tag, kind, value)| Tree::Leaf(tag, kind, value.to_be_bytes().into())),
        (tag(), eight(), near).prop_map(|(tag, kind, value)| Tree::Leaf(tag, kind, value.to_be_bytes().into())),
        (tag(), vec(any::<[u8; 8]>(), 1..4)).prop_map(|(tag, words)| Tree::Leaf(
            tag,
            Kind::BigInteger,
            words.as_flattened().into()
        )),
        (tag(), any::<bool>()).prop_map(|(tag, on)| Tree::Leaf(tag, Kind::Boolean, u64::from(on).to_be_bytes().into())),
        (tag(), text()).prop_map(|(tag, text)| Tree::Leaf(tag, Kind::TextString, text.into_bytes())),
        (tag(), vec(any::<u8>(), 0..40)).prop_map(|(tag, bytes)| Tree::Leaf(tag, Kind::ByteString, bytes)),
    ]
}

/// The fields of a message.
pub(crate) fn trees() -> impl Strategy<Value = Vec<Tree>> {
    let node = leaf()
        .prop_recursive(6, 48, 6, |inner| (tag(), vec(inner, 0..6)).prop_map(|(tag, kids)| Tree::Node(tag, kids)));
    vec(node, 0..8)
}

pub(crate) fn write(trees: &[Tree], writer: &mut Writer<'_>) {
    for tree in trees {
        match tree {
            Tree::Leaf(tag, kind, value) => writer.raw(*tag, *kind, value),
            Tree::Node(tag, kids) => writer.structure(*tag, |writer| write(kids, writer)),
        }
    }
}
