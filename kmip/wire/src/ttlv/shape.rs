//! The shape of a structure: which fields it may hold, since which version, and which of them repeat.
//!
//! A shape lists the fields in the specification's order. Encoders follow that order, because real clients decode by position;
//! the decoder takes any order, refuses a field that came twice, and refuses an unknown one, unless the message is of a minor version
//! that we do not know, whose new fields are ignored (KMIP 1.4 §11.1).

use super::{Item, Structure, Value};
use crate::{
    error::WireError,
    tables::{ProtocolVersion, Tag},
};

/// One field of a [`Shape`].
#[derive(Clone, Copy, Debug)]
pub struct Field {
    pub tag: Tag,
    pub since: ProtocolVersion,
    pub repeats: bool,
}

/// A field that occurs at most once.
pub const fn one(tag: Tag, since: ProtocolVersion) -> Field {
    Field { tag, since, repeats: false }
}

/// A field that may be repeated.
pub const fn many(tag: Tag, since: ProtocolVersion) -> Field {
    Field { tag, since, repeats: true }
}

/// The fields that a structure may hold, in the specification's order. At most 64.
pub type Shape = [Field];

impl<'a> Structure<'a> {
    /// Checks the fields against `shape` and gives access by tag.
    pub fn fields(self, shape: &'static Shape, version: ProtocolVersion) -> Result<Fields<'a>, WireError> {
        let mut seen = 0u64;
        for item in self.items() {
            let place = shape.iter().position(|field| field.tag == item.tag);
            let field = place.and_then(|index| shape.get(index)).filter(|field| version.knows(field.since));
            let (Some(place), Some(field)) = (place, field) else {
                if version.is_served() {
                    return Err(WireError::UnknownField { structure: self.tag(), field: item.tag, version });
                }
                continue;
            };
            let bit = 1u64 << (place % 64);
            if seen & bit != 0 && !field.repeats {
                return Err(WireError::Twice { structure: self.tag(), field: item.tag });
            }
            seen |= bit;
        }
        Ok(Fields { structure: self, shape, seen })
    }
}

/// A structure whose fields are all known and none of which came twice.
#[derive(Clone, Copy)]
pub struct Fields<'a> {
    structure: Structure<'a>,
    shape: &'static Shape,
    /// A bit for each field of the shape that is there.
    seen: u64,
}

impl<'a> Fields<'a> {
    pub fn get(&self, tag: Tag) -> Option<Item<'a>> {
        // Most fields are optional and absent: what is not there is not looked for.
        let place = self.shape.iter().position(|field| field.tag == tag)?;
        if self.seen & (1 << (place % 64)) == 0 {
            return None;
        }
        self.structure.items().find(|item| item.tag == tag)
    }

    pub fn need(&self, tag: Tag) -> Result<Item<'a>, WireError> {
        self.get(tag).ok_or(WireError::Missing { structure: self.structure.tag(), field: tag })
    }

    pub fn all(&self, tag: Tag) -> impl Iterator<Item = Item<'a>> {
        self.structure.items().filter(move |item| item.tag == tag)
    }

    pub fn need_value<V: Value<'a>>(&self, tag: Tag, version: ProtocolVersion) -> Result<V, WireError> {
        V::read(&self.need(tag)?, version)
    }

    pub fn opt_value<V: Value<'a>>(&self, tag: Tag, version: ProtocolVersion) -> Result<Option<V>, WireError> {
        self.get(tag).map(|item| V::read(&item, version)).transpose()
    }

    pub fn many_values<V: Value<'a>>(&self, tag: Tag, version: ProtocolVersion) -> Result<Vec<V>, WireError> {
        self.all(tag).map(|item| V::read(&item, version)).collect()
    }
}
