//! The values that a field can have, each read and written under a tag.

use super::{Item, Kind, Structure, Writer};
use crate::{
    error::WireError,
    tables::{ProtocolVersion, Tag},
};

/// Something that one item holds.
pub trait Value<'a>: Sized {
    /// Reads the item, as a message of `version` may hold it.
    fn read(item: &Item<'a>, version: ProtocolVersion) -> Result<Self, WireError>;
    /// Writes one item, or nothing when the writer's version does not know the value.
    fn write(&self, tag: Tag, writer: &mut Writer<'_>);
}

/// The fields of a structure whose own tag depends on the place: a payload, an attribute's value.
pub trait Record<'a>: Sized {
    fn read_fields(structure: Structure<'a>, version: ProtocolVersion) -> Result<Self, WireError>;
    fn write_fields(&self, writer: &mut Writer<'_>);
}

impl<'a, T: Record<'a>> Record<'a> for Box<T> {
    fn read_fields(structure: Structure<'a>, version: ProtocolVersion) -> Result<Self, WireError> {
        T::read_fields(structure, version).map(Self::new)
    }

    fn write_fields(&self, writer: &mut Writer<'_>) {
        T::write_fields(self, writer);
    }
}

/// Seconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DateTime(pub i64);

/// A signed number of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LongInteger(pub i64);

/// A length of time in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Interval(pub u32);

/// An enumeration whose values this crate does not name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Enumeration(pub u32);

macro_rules! values {
    ($($type:ty => |$item:ident| $from:expr, |$value:ident| $write:ident($to:expr);)*) => {$(
        impl<'a> Value<'a> for $type {
            fn read($item: &Item<'a>, _: ProtocolVersion) -> Result<Self, WireError> {
                Ok($from)
            }
            fn write(&self, tag: Tag, writer: &mut Writer<'_>) {
                let $value = self;
                writer.$write(tag, $to);
            }
        }
    )*};
}

values! {
    i32 => |item| item.integer()?, |value| integer(*value);
    LongInteger => |item| Self(item.long_integer()?), |value| long_integer(value.0);
    Enumeration => |item| Self(item.enumeration()?), |value| enumeration(value.0);
    bool => |item| item.boolean()?, |value| boolean(*value);
    &'a str => |item| item.text()?, |value| text(value);
    String => |item| item.text()?.to_owned(), |value| text(value);
    &'a [u8] => |item| item.bytes()?, |value| bytes(value);
    Vec<u8> => |item| item.bytes()?.to_vec(), |value| bytes(value);
    DateTime => |item| Self(item.date_time()?), |value| date_time(value.0);
    Interval => |item| Self(item.interval()?), |value| interval(value.0);
}

impl<'a> Value<'a> for Structure<'a> {
    fn read(item: &Item<'a>, _: ProtocolVersion) -> Result<Self, WireError> {
        item.structure()
    }

    fn write(&self, tag: Tag, writer: &mut Writer<'_>) {
        writer.raw(tag, Kind::Structure, self.bytes());
    }
}

impl<'a> Value<'a> for Item<'a> {
    fn read(item: &Item<'a>, _: ProtocolVersion) -> Result<Self, WireError> {
        Ok(*item)
    }

    fn write(&self, tag: Tag, writer: &mut Writer<'_>) {
        writer.raw(tag, self.kind, self.raw_bytes());
    }
}

impl<'a> Value<'a> for ProtocolVersion {
    fn read(item: &Item<'a>, _: ProtocolVersion) -> Result<Self, WireError> {
        let structure = item.structure()?;
        let (mut major, mut minor) = (None, None);
        for item in structure.items() {
            let part = match item.tag {
                Tag::PROTOCOL_VERSION_MAJOR => &mut major,
                Tag::PROTOCOL_VERSION_MINOR => &mut minor,
                // The version says which fields are known: before it is read, none is an error.
                _ => continue,
            };
            structure.fill(part, item.tag, item.integer()?)?;
        }
        let major = structure.need(Tag::PROTOCOL_VERSION_MAJOR, major)?;
        Ok(Self { major, minor: structure.need(Tag::PROTOCOL_VERSION_MINOR, minor)? })
    }

    fn write(&self, tag: Tag, writer: &mut Writer<'_>) {
        writer.structure(tag, |writer| {
            writer.integer(Tag::PROTOCOL_VERSION_MAJOR, self.major);
            writer.integer(Tag::PROTOCOL_VERSION_MINOR, self.minor);
        });
    }
}

/// Declares a structure of the specification as a table: field, type, tag, the version that brought it, in the specified order.
///
/// `need` is a required field, `opt` an optional one, `many` one that may be repeated. The order of the table is the order on the wire:
/// encoders follow it, because real clients decode by position. The decoder takes any order in one walk, refuses a field that came
/// twice, and refuses an unknown one, unless the message is of a minor version that we do not know, whose new fields are ignored
/// (KMIP 1.4 §11.1).
macro_rules! record {
    (
        $(#[$doc:meta])*
        $vis:vis struct $name:ident $(<$life:lifetime>)? {
            $($(#[$field_doc:meta])* $card:ident $field:ident: $type:ty = $tag:ident $since:ident,)*
        }
    ) => {
        $(#[$doc])*
        $vis struct $name $(<$life>)? {
            $($(#[$field_doc])* pub $field: $crate::ttlv::record!(@type $card $type),)*
        }

        impl<'a> $crate::ttlv::Record<'a> for $crate::ttlv::record!(@self $name $($life)?) {
            fn read_fields(
                structure: $crate::ttlv::Structure<'a>,
                version: $crate::ProtocolVersion,
            ) -> Result<Self, $crate::WireError> {
                $(let mut $field = $crate::ttlv::record!(@slot $card $type);)*
                for item in structure.items() {
                    match item.tag {
                        $($crate::Tag::$tag if version.knows($crate::ProtocolVersion::$since) => {
                            let value = <$type as $crate::ttlv::Value>::read(&item, version)?;
                            $crate::ttlv::record!(@fill $card $field, structure, item.tag, value);
                        })*
                        unknown => structure.unknown(unknown, version)?,
                    }
                }
                Ok(Self { $($field: $crate::ttlv::record!(@filled $card $field, structure, $tag),)* })
            }

            fn write_fields(&self, writer: &mut $crate::ttlv::Writer<'_>) {
                $(if writer.knows($crate::ProtocolVersion::$since) {
                    $crate::ttlv::record!(@write $card self.$field, $tag, writer);
                })*
            }
        }

        impl<'a> $crate::ttlv::Value<'a> for $crate::ttlv::record!(@self $name $($life)?) {
            fn read(
                item: &$crate::ttlv::Item<'a>,
                version: $crate::ProtocolVersion,
            ) -> Result<Self, $crate::WireError> {
                $crate::ttlv::Record::read_fields(item.structure()?, version)
            }

            fn write(&self, tag: $crate::Tag, writer: &mut $crate::ttlv::Writer<'_>) {
                writer.structure(tag, |writer| $crate::ttlv::Record::write_fields(self, writer));
            }
        }
    };
    (@self $name:ident) => { $name };
    (@self $name:ident $life:lifetime) => { $name<$life> };
    (@type need $type:ty) => { $type };
    (@type opt $type:ty) => { Option<$type> };
    (@type many $type:ty) => { Vec<$type> };
    (@slot many $type:ty) => { Vec::<$type>::new() };
    (@slot $card:ident $type:ty) => { None::<$type> };
    (@fill many $slot:ident, $structure:ident, $tag:expr, $value:ident) => { $slot.push($value) };
    (@fill $card:ident $slot:ident, $structure:ident, $tag:expr, $value:ident) => {
        $structure.fill(&mut $slot, $tag, $value)?
    };
    (@filled need $slot:ident, $structure:ident, $tag:ident) => { $structure.need($crate::Tag::$tag, $slot)? };
    (@filled $card:ident $slot:ident, $structure:ident, $tag:ident) => { $slot };
    (@write need $value:expr, $tag:ident, $writer:ident) => {
        $crate::ttlv::Value::write(&$value, $crate::Tag::$tag, $writer)
    };
    (@write opt $value:expr, $tag:ident, $writer:ident) => {
        if let Some(value) = &$value {
            $crate::ttlv::Value::write(value, $crate::Tag::$tag, $writer);
        }
    };
    (@write many $value:expr, $tag:ident, $writer:ident) => {
        for value in &$value {
            $crate::ttlv::Value::write(value, $crate::Tag::$tag, $writer);
        }
    };
}

pub(crate) use record;
