//! Messages as XML and as JSON (KMIP Profiles 1.4, "XML Encoding" and "JSON Encoding").
//!
//! Both are other spellings of the same TTLV tree. [`xml::read`] and [`json::read`] turn one message of text into a checked frame,
//! which every other room of this crate then reads as if it had come as TTLV; [`xml::write`] and [`json::write`] turn a frame into
//! text. Names are the specification's printed names in CamelCase (`names.rs`), values have one spelling a type (`values.rs`), and
//! a tree grows item by item under the limits of the TTLV reader (`tree.rs`). The text comes from strangers: it is held to a
//! length before it is looked at, and to depth and number of items while it is read.
//!
//! An enumeration or a mask below Attribute Value is named after the Attribute Name that came before it in the same structure.

pub mod json;
pub mod xml;

mod error;
mod names;
mod text;
mod tree;
mod values;

pub use error::MarkupError;

use crate::ttlv::Limits;

/// Most bytes of text for each byte of the TTLV limit: hexadecimal digits double key bytes, names take some more.
pub const TEXT_PER_MESSAGE: usize = 3;

/// Which of the two spellings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dialect {
    Xml,
    Json,
}

fn check_length(text: &str, limits: &Limits) -> Result<(), MarkupError> {
    let max = limits.message_bytes.saturating_mul(TEXT_PER_MESSAGE);
    if text.len() > max { Err(MarkupError::TooLong { found: text.len(), max }) } else { Ok(()) }
}
