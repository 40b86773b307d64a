//! How an enumeration of the specification becomes a type: code, name, and reading it.
//!
//! A code that is not listed reads as an error, never as a neighbour: `from_code` gives `None`, `read` gives the error.
//! Each use of the macro also lists its enumerations as [`Listed`], for whoever has a tag in hand and not a type.

use super::Tag;

/// An enumeration as a table.
pub(crate) struct Listed {
    /// The tags under which its values stand, the usual one first.
    pub(crate) tags: &'static [Tag],
    /// Code and printed name of each value.
    pub(crate) names: &'static [(u32, &'static str)],
}

macro_rules! enums {
    ($(
        $(#[$doc:meta])*
        $name:ident $tag:ident $($also:ident)* { $($variant:ident = $code:literal $text:literal,)* }
    )*) => {
        /// Every enumeration of this file.
        pub(crate) const LISTED: &[$crate::tables::Listed] = &[$($crate::tables::Listed {
            tags: &[$crate::Tag::$tag, $($crate::Tag::$also,)*],
            names: &[$(($code, $text),)*],
        },)*];
        $(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum $name { $($variant = $code,)* }

        impl $name {
            /// The tag under which the value usually stands.
            pub const TAG: crate::Tag = crate::Tag::$tag;
            /// Every value, by ascending code.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            pub const fn code(self) -> u32 {
                self as u32
            }

            pub const fn from_code(code: u32) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }

            /// The name that the specification prints.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)*
                }
            }

            /// Reads the value; an undefined one is an Invalid Field.
            pub fn read(item: &crate::ttlv::Item<'_>) -> Result<Self, crate::WireError> {
                let found = item.enumeration()?;
                Self::from_code(found).ok_or(crate::WireError::UnknownValue { field: item.tag, found })
            }
        }

        impl<'a> crate::ttlv::Value<'a> for $name {
            fn read(item: &crate::ttlv::Item<'a>, _: crate::ProtocolVersion) -> Result<Self, crate::WireError> {
                $name::read(item)
            }
            fn write(&self, tag: crate::Tag, writer: &mut crate::ttlv::Writer<'_>) {
                writer.enumeration(tag, self.code());
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    )*};
}

pub(crate) use enums;
