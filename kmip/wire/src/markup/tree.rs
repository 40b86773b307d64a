//! A tree that grows from text: items become TTLV as they come, under the limits of the TTLV reader.

use std::mem;

use zeroize::Zeroizing;

use super::{
    Dialect, MarkupError,
    error::clip,
    names,
    values::{self, Given, Unfit},
};
use crate::{
    ProtocolVersion, Tag, WireError,
    ttlv::{self, DEPTH_MAX, Kind, Limits, Open, Writer},
};

/// The tag whose names the value of an item takes: Attribute Value is named after the Attribute Name before it.
pub(super) fn subject(tag: Tag, attribute: Option<Tag>) -> Option<Tag> {
    if tag == Tag::ATTRIBUTE_VALUE { attribute } else { Some(tag) }
}

/// The message so far.
pub(super) struct Tree<'l> {
    out: Zeroizing<Vec<u8>>,
    dialect: Dialect,
    limits: &'l Limits,
    /// The structures around the next item, outermost first.
    open: Vec<Level>,
    items: usize,
}

struct Level {
    tag: Tag,
    open: Open,
    /// The tag of the same name as the last Attribute Name here.
    attribute: Option<Tag>,
}

impl<'l> Tree<'l> {
    pub(super) fn new(dialect: Dialect, limits: &'l Limits) -> Self {
        Self { out: Zeroizing::default(), dialect, limits, open: vec![], items: 0 }
    }

    /// Whether the message is whole: nothing may follow.
    pub(super) fn is_whole(&self) -> bool {
        self.items > 0 && self.open.is_empty()
    }

    /// Whether nothing has come.
    pub(super) fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// The place of the item that is being read: its number and the names around it.
    pub(super) fn place(&self, name: &str) -> String {
        let path: String = self.open.iter().map(|level| format!("{}/", spelled(level.tag))).collect();
        format!("item {} ({path}{})", self.items, clip(name))
    }

    fn writer(&mut self) -> Writer<'_> {
        Writer::new(&mut self.out, ProtocolVersion::V1_4)
    }

    /// Counts the next item, whose tag is written as `name`.
    pub(super) fn next(&mut self, name: &str) -> Result<(), MarkupError> {
        self.items += 1;
        if self.items > self.limits.items {
            return Err(MarkupError::TooManyItems { place: self.place(name), max: self.limits.items });
        }
        if self.items > 1 && self.open.is_empty() {
            return Err(self.form(name, "a text is one message; nothing follows it"));
        }
        Ok(())
    }

    pub(super) fn tag(&self, name: &str) -> Result<Tag, MarkupError> {
        names::tag_of(name).ok_or_else(|| MarkupError::Tag { place: self.place(name), found: clip(name) })
    }

    /// The item type of an item whose tag is written as `name`; a structure needs none.
    pub(super) fn kind(&self, name: &str, kind: Option<&str>) -> Result<Kind, MarkupError> {
        let Some(found) = kind else {
            return Ok(Kind::Structure);
        };
        Kind::named(found).ok_or_else(|| MarkupError::Type { place: self.place(name), found: clip(found) })
    }

    pub(super) fn form(&self, name: &str, what: &'static str) -> MarkupError {
        MarkupError::Form { place: self.place(name), what }
    }

    /// The item that was begun is a structure, whose fields follow.
    pub(super) fn open(&mut self, tag: Tag) -> Result<(), MarkupError> {
        let max = self.limits.depth.min(DEPTH_MAX);
        if self.open.len() >= max {
            return Err(MarkupError::TooDeep { place: self.place(&spelled(tag)), max });
        }
        let open = self.writer().open(tag);
        self.open.push(Level { tag, open, attribute: None });
        Ok(())
    }

    pub(super) fn close(&mut self) {
        if let Some(level) = self.open.pop() {
            self.writer().close(level.open);
        }
    }

    /// The item that was begun has this value.
    pub(super) fn leaf(&mut self, tag: Tag, kind: Kind, given: &Given<'_>) -> Result<(), MarkupError> {
        let Some(level) = self.open.last_mut() else {
            return Err(self.form(&spelled(tag), "a message is a structure, RequestMessage or ResponseMessage"));
        };
        let subject = subject(tag, level.attribute);
        if let (Tag::ATTRIBUTE_NAME, Kind::TextString, Given::Text(name)) = (tag, kind, given) {
            level.attribute = Tag::named(name);
        }
        let dialect = self.dialect;
        values::put(&mut self.writer(), tag, subject, kind, given, dialect).map_err(|unfit| {
            let place = self.place(&spelled(tag));
            match unfit {
                Unfit::Value(expected) => MarkupError::Value { place, kind, expected },
                Unfit::Name(found) => MarkupError::Name { place, found },
            }
        })
    }

    /// The frame, checked as if it had come as TTLV.
    pub(super) fn finish(mut self) -> Result<Vec<u8>, WireError> {
        ttlv::parse(&self.out, self.limits)?;
        Ok(mem::take(&mut *self.out))
    }
}

/// A tag as the text has it, or its number.
pub(super) fn spelled(tag: Tag) -> String {
    names::name_of(tag).map_or_else(|| format!("0x{:06X}", tag.0), str::to_owned)
}
