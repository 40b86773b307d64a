//! What a Locate looks for (KMIP 1.4 §4.9): attributes, of which a structure may leave fields open that it needs elsewhere.

use crate::{
    attribute::{Attribute, AttributeValue, Named},
    error::WireError,
    tables::{AttributeName, ProtocolVersion, Tag},
    ttlv::{HEADER_BYTES, Item, Items, Kind, Value, Writer},
};

/// An attribute that is looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sought {
    Whole(Attribute),
    /// Of a structure, some fields alone.
    Part {
        name: AttributeName,
        fields: Fields,
    },
}

impl<'a> Value<'a> for Sought {
    fn read(item: &Item<'a>, version: ProtocolVersion) -> Result<Self, WireError> {
        match Attribute::read(item, version) {
            // A record misses a field only after it has taken all that are there.
            Err(WireError::Missing { structure: Tag::ATTRIBUTE_VALUE, .. }) => {}
            whole => return whole.map(Self::Whole),
        }
        let named = Named::read(item, version)?;
        Ok(Self::Part { name: named.known(version)?, fields: Fields(named.value.structure()?.bytes().to_vec()) })
    }

    fn write(&self, tag: Tag, writer: &mut Writer<'_>) {
        match self {
            Self::Whole(attribute) => attribute.write(tag, writer),
            Self::Part { name, fields } => writer.structure(tag, |writer| {
                writer.text(Tag::ATTRIBUTE_NAME, name.as_str());
                writer.raw(Tag::ATTRIBUTE_VALUE, Kind::Structure, &fields.0);
            }),
        }
    }
}

/// Fields of a structure, encoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields(Vec<u8>);

impl Fields {
    /// Those that `fields` writes, as 1.4 knows them.
    pub fn written(fields: impl FnOnce(&mut Writer<'_>)) -> Self {
        let mut bytes = vec![];
        fields(&mut Writer::new(&mut bytes, ProtocolVersion::V1_4));
        Self(bytes)
    }

    /// Those of an attribute's value; `None` if it is no structure.
    pub fn of(value: &AttributeValue) -> Option<Self> {
        let Self(bytes) = Self::written(|writer| value.write(Tag::ATTRIBUTE_VALUE, writer));
        let ([_, _, _, kind, ..], fields) = bytes.split_first_chunk::<HEADER_BYTES>()?;
        (Kind::from_byte(*kind) == Some(Kind::Structure)).then(|| Self(fields.to_vec()))
    }

    fn items(&self) -> Items<'_> {
        Items::over(&self.0)
    }

    /// Whether `whole` has each of these.
    pub fn are_within(&self, whole: &Self) -> bool {
        fn parts<'f>(item: &Item<'f>) -> (Tag, Kind, &'f [u8]) {
            (item.tag, item.kind, item.raw_bytes())
        }
        self.items().all(|asked| whole.items().any(|found| parts(&found) == parts(&asked)))
    }

    /// How many they are.
    pub fn count(&self) -> usize {
        self.items().count()
    }

    fn find<'f, T>(&'f self, tag: Tag, read: impl Fn(&Item<'f>) -> Result<T, WireError>) -> Option<T> {
        self.items().find(|item| item.tag == tag).and_then(|item| read(&item).ok())
    }

    /// The text of a field, if it is here.
    pub fn text(&self, tag: Tag) -> Option<&str> {
        self.find(tag, Item::text)
    }

    pub fn bytes(&self, tag: Tag) -> Option<&[u8]> {
        self.find(tag, Item::bytes)
    }

    pub fn enumeration(&self, tag: Tag) -> Option<u32> {
        self.find(tag, Item::enumeration)
    }

    pub fn long_integer(&self, tag: Tag) -> Option<i64> {
        self.find(tag, Item::long_integer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        tables::{ResultReason, StandardAttribute},
        ttlv::{Limits, parse},
    };

    const V1_4: ProtocolVersion = ProtocolVersion::V1_4;

    /// What is read of an attribute of this name with these fields.
    fn read(name: &str, version: ProtocolVersion, fields: impl FnOnce(&mut Writer<'_>)) -> Result<Sought, WireError> {
        let mut bytes = vec![];
        Writer::new(&mut bytes, V1_4).structure(Tag::REQUEST_PAYLOAD, |writer| {
            writer.structure(Tag::ATTRIBUTE, |writer| {
                writer.text(Tag::ATTRIBUTE_NAME, name);
                writer.structure(Tag::ATTRIBUTE_VALUE, fields);
            });
        });
        let root = parse(&bytes, &Limits::REQUEST)?;
        let item = root.items().next().unwrap();
        let sought = Sought::read(&item, version)?;
        let mut again = vec![];
        Writer::new(&mut again, V1_4).structure(Tag::REQUEST_PAYLOAD, |writer| sought.write(Tag::ATTRIBUTE, writer));
        assert_eq!(again, bytes, "it is written as it was read");
        Ok(sought)
    }

    #[test]
    fn fields_that_are_needed_elsewhere_may_be_left_open() {
        let link = |writer: &mut Writer<'_>| writer.text(Tag::LINKED_OBJECT_IDENTIFIER, "1");
        let Ok(Sought::Part { name, fields }) = read("Link", V1_4, link) else { panic!("another") };
        assert_eq!(name, StandardAttribute::Link.into());
        assert_eq!(fields.text(Tag::LINKED_OBJECT_IDENTIFIER), Some("1"));
        assert_eq!(fields.enumeration(Tag::LINK_TYPE), None);
        for name in ["Name", "Link", "Digest", "Usage Limits", "X.509 Certificate Subject", "Alternative Name"] {
            assert!(matches!(read(name, V1_4, |_| {}), Ok(Sought::Part { .. })), "{name}");
        }
        let whole = read("Name", V1_4, |writer| {
            writer.text(Tag::NAME_VALUE, "one");
            writer.enumeration(Tag::NAME_TYPE, 1);
        });
        assert!(matches!(whole, Ok(Sought::Whole(_))));
    }

    #[test]
    fn what_is_given_is_right() {
        use ResultReason as R;
        let reason = |name, version, fields: fn(&mut Writer<'_>)| read(name, version, fields).err().map(|e| e.reason());
        assert_eq!(reason("Name", V1_4, |w| w.integer(Tag::NAME_VALUE, 1)), Some(R::InvalidMessage));
        assert_eq!(reason("Name", V1_4, |w| w.enumeration(Tag::NAME_TYPE, 99)), Some(R::InvalidField));
        assert_eq!(reason("Name", V1_4, |w| w.text(Tag::USERNAME, "one")), Some(R::InvalidField));
        let twice: fn(&mut Writer<'_>) = |w| (0..2).for_each(|_| w.text(Tag::NAME_VALUE, "one"));
        assert_eq!(reason("Name", V1_4, twice), Some(R::InvalidMessage));
        assert_eq!(reason("Colour", V1_4, |_| {}), Some(R::InvalidField));
        // Key Format Type came with 1.1.
        let format: fn(&mut Writer<'_>) = |w| w.enumeration(Tag::KEY_FORMAT_TYPE, 1);
        assert_eq!(reason("Digest", V1_4, format), None);
        assert_eq!(reason("Digest", ProtocolVersion::V1_0, format), Some(R::InvalidField));
    }

    #[test]
    fn fields_are_within_those_that_have_each_of_them() {
        let alternatives = |list: &'static [&str]| {
            Fields::written(|writer| {
                list.iter().for_each(|name| writer.bytes(Tag::SUBJECT_ALTERNATIVE_NAME, name.as_bytes()));
            })
        };
        let (one, both) = (alternatives(&["b"]), alternatives(&["a", "b"]));
        assert!(one.are_within(&both) && both.are_within(&both) && alternatives(&[]).are_within(&one));
        assert!(!both.are_within(&one) && !alternatives(&["c"]).are_within(&both));
        let text = Fields::written(|writer| writer.text(Tag::SUBJECT_ALTERNATIVE_NAME, "a"));
        assert!(!text.are_within(&both), "of another type");
        assert_eq!(Fields::of(&AttributeValue::Integer(1)), None);
    }
}
