//! The encoding: Tag, Type, Length, Value (KMIP 1.4 §9.1).
//!
//! [`parse`] checks a whole frame once, without allocating and without recursion; after it, [`Structure`] and [`Item`] walk the
//! same bytes. [`Writer`] appends to one `Vec` and patches lengths afterwards. [`frame_len`] tells a reader, from the first eight
//! bytes, how much to expect, before it makes room for it.

mod decode;
mod encode;
mod value;

pub use decode::{Item, Items, Structure, frame_len, parse};
pub use encode::{Open, Writer, make_room};
pub(crate) use value::record;
pub use value::{DateTime, Enumeration, Interval, LongInteger, Record, Value};

use std::fmt;

/// Bytes of tag, type and length before each value.
pub const HEADER_BYTES: usize = 8;
/// Longest message a server takes, in bytes, header included.
pub const MESSAGE_BYTES_MAX: usize = 1 << 20;
/// Longest answer a client takes, in bytes: the limit of the MongoDB drivers.
pub const ANSWER_BYTES_MAX: usize = 16 << 20;
/// Deepest nesting of structures; the deepest message of KMIP 1.4 needs 9.
pub const DEPTH_MAX: usize = 32;
/// Most items in one request.
pub const ITEMS_MAX: usize = 16_384;
/// Most items in one answer: a Locate of every object.
pub const ANSWER_ITEMS_MAX: usize = 1 << 20;

/// What a decoder accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    pub message_bytes: usize,
    /// At most [`DEPTH_MAX`].
    pub depth: usize,
    pub items: usize,
}

impl Limits {
    /// For a server that reads requests.
    pub const REQUEST: Limits = Limits { message_bytes: MESSAGE_BYTES_MAX, depth: DEPTH_MAX, items: ITEMS_MAX };
    /// For a client that reads answers.
    pub const ANSWER: Limits = Limits { message_bytes: ANSWER_BYTES_MAX, depth: DEPTH_MAX, items: ANSWER_ITEMS_MAX };
}

/// An item type (§9.1.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Structure = 1,
    Integer = 2,
    LongInteger = 3,
    BigInteger = 4,
    Enumeration = 5,
    Boolean = 6,
    TextString = 7,
    ByteString = 8,
    DateTime = 9,
    Interval = 10,
}

impl Kind {
    pub const fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            1 => Self::Structure,
            2 => Self::Integer,
            3 => Self::LongInteger,
            4 => Self::BigInteger,
            5 => Self::Enumeration,
            6 => Self::Boolean,
            7 => Self::TextString,
            8 => Self::ByteString,
            9 => Self::DateTime,
            10 => Self::Interval,
            _ => return None,
        })
    }

    /// Finds an item type by its name, written without spaces.
    pub(crate) fn named(text: &str) -> Option<Self> {
        Some(match text {
            "Structure" => Self::Structure,
            "Integer" => Self::Integer,
            "LongInteger" => Self::LongInteger,
            "BigInteger" => Self::BigInteger,
            "Enumeration" => Self::Enumeration,
            "Boolean" => Self::Boolean,
            "TextString" => Self::TextString,
            "ByteString" => Self::ByteString,
            "DateTime" => Self::DateTime,
            "Interval" => Self::Interval,
            _ => return None,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}
