//! Attributes on the wire: name, index, value (KMIP 1.4 §2.1.1, §3).

use crate::{
    certificate::{
        CertificateIdentifier, CertificateIssuer, CertificateSubject, X509CertificateIdentifier, X509CertificateIssuer,
        X509CertificateSubject,
    },
    cryptographic_parameters::CryptographicParameters,
    error::WireError,
    tables::{
        AlternativeNameType, AttributeKind, AttributeName, CryptographicAlgorithm, HashingAlgorithm, KeyFormatType,
        KeyValueLocationType, LinkType, NameType, ProtocolVersion, RecommendedCurve, RevocationReasonCode,
        StandardAttribute, Tag,
    },
    ttlv::{DateTime, Enumeration, Interval, Item, Kind, LongInteger, Value, Writer, record},
};

record! {
    /// A name that its owner gave (§3.2).
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Name {
        need value: String = NAME_VALUE V1_0,
        need kind: NameType = NAME_TYPE V1_0,
    }
}

record! {
    /// Which numbers a key is made of (§3.7).
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct CryptographicDomainParameters {
        /// Bits of Q, for DSA and DH.
        opt qlength: i32 = QLENGTH V1_0,
        opt recommended_curve: RecommendedCurve = RECOMMENDED_CURVE V1_0,
    }
}

record! {
    /// A digest of key material (§3.17).
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Digest {
        need algorithm: HashingAlgorithm = HASHING_ALGORITHM V1_0,
        opt value: Vec<u8> = DIGEST_VALUE V1_0,
        opt key_format_type: KeyFormatType = KEY_FORMAT_TYPE V1_1,
    }
}

record! {
    /// How often or for how many bytes a key may be used (§3.21).
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct UsageLimits {
        need total: LongInteger = USAGE_LIMITS_TOTAL V1_0,
        opt count: LongInteger = USAGE_LIMITS_COUNT V1_0,
        need unit: Enumeration = USAGE_LIMITS_UNIT V1_0,
    }
}

record! {
    /// Why an object was revoked (§3.31).
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RevocationReason {
        need code: RevocationReasonCode = REVOCATION_REASON_CODE V1_0,
        opt message: String = REVOCATION_MESSAGE V1_0,
    }
}

record! {
    /// A link to another object (§3.35).
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct Link {
        need kind: LinkType = LINK_TYPE V1_0,
        need linked_object_identifier: String = LINKED_OBJECT_IDENTIFIER V1_0,
    }
}

record! {
    /// What an application keeps beside the object (§3.36).
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct ApplicationSpecificInformation {
        need namespace: String = APPLICATION_NAMESPACE V1_0,
        opt value: String = APPLICATION_DATA V1_0,
    }
}

record! {
    /// Another name of the object (§3.40).
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct AlternativeName {
        need value: String = ALTERNATIVE_NAME_VALUE V1_2,
        need kind: AlternativeNameType = ALTERNATIVE_NAME_TYPE V1_2,
    }
}

record! {
    /// Where a key is whose Key Value was left out (§3.42).
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct KeyValueLocation {
        need value: String = KEY_VALUE_LOCATION_VALUE V1_2,
        need kind: KeyValueLocationType = KEY_VALUE_LOCATION_TYPE V1_2,
    }
}

record! {
    /// The random number generator that made the object (§2.1.18).
    #[derive(Clone, Debug, PartialEq, Eq)]
    pub struct RngParameters {
        need rng_algorithm: Enumeration = RNG_ALGORITHM V1_3,
        opt cryptographic_algorithm: CryptographicAlgorithm = CRYPTOGRAPHIC_ALGORITHM V1_3,
        opt cryptographic_length: i32 = CRYPTOGRAPHIC_LENGTH V1_3,
        opt hashing_algorithm: HashingAlgorithm = HASHING_ALGORITHM V1_3,
        opt drbg_algorithm: Enumeration = DRBG_ALGORITHM V1_3,
        opt recommended_curve: Enumeration = RECOMMENDED_CURVE V1_3,
        opt fips186_variation: Enumeration = FIPS186_VARIATION V1_3,
        opt prediction_resistance: bool = PREDICTION_RESISTANCE V1_3,
    }
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttributeValue {
    Integer(i32),
    LongInteger(i64),
    /// Two's complement, big-endian, in as few times eight bytes as hold it.
    BigInteger(Vec<u8>),
    Enumeration(u32),
    Boolean(bool),
    Text(String),
    Bytes(Vec<u8>),
    /// Seconds since 1970-01-01T00:00:00Z.
    DateTime(i64),
    /// Seconds.
    Interval(u32),
    Name(Name),
    CryptographicParameters(CryptographicParameters),
    CryptographicDomainParameters(CryptographicDomainParameters),
    X509CertificateIdentifier(X509CertificateIdentifier),
    X509CertificateSubject(X509CertificateSubject),
    X509CertificateIssuer(X509CertificateIssuer),
    CertificateIdentifier(CertificateIdentifier),
    CertificateSubject(CertificateSubject),
    CertificateIssuer(CertificateIssuer),
    Digest(Digest),
    UsageLimits(UsageLimits),
    RevocationReason(RevocationReason),
    Link(Link),
    ApplicationSpecificInformation(ApplicationSpecificInformation),
    AlternativeName(AlternativeName),
    KeyValueLocation(KeyValueLocation),
    RandomNumberGenerator(RngParameters),
    /// A structure of a custom attribute: its encoded fields, none of them a structure.
    Structure(Vec<u8>),
}

impl AttributeValue {
    /// The ordinary form of a Name.
    pub fn name(text: impl Into<String>) -> Self {
        Self::Name(Name { value: text.into(), kind: NameType::UninterpretedTextString })
    }

    fn read(name: &AttributeName, item: &Item<'_>, version: ProtocolVersion) -> Result<Self, WireError> {
        let AttributeName::Standard(standard) = name else {
            return Self::read_custom(item);
        };
        Ok(match standard.rule().kind {
            AttributeKind::Integer => Self::Integer(item.integer()?),
            AttributeKind::Enumeration => Self::Enumeration(item.enumeration()?),
            AttributeKind::Boolean => Self::Boolean(item.boolean()?),
            AttributeKind::Text => Self::Text(item.text()?.to_owned()),
            AttributeKind::DateTime => Self::DateTime(item.date_time()?),
            AttributeKind::Interval => Self::Interval(item.interval()?),
            AttributeKind::Name => Self::Name(Value::read(item, version)?),
            AttributeKind::CryptographicParameters => Self::CryptographicParameters(Value::read(item, version)?),
            AttributeKind::CryptographicDomainParameters => {
                Self::CryptographicDomainParameters(Value::read(item, version)?)
            }
            AttributeKind::X509CertificateIdentifier => Self::X509CertificateIdentifier(Value::read(item, version)?),
            AttributeKind::X509CertificateSubject => Self::X509CertificateSubject(Value::read(item, version)?),
            AttributeKind::X509CertificateIssuer => Self::X509CertificateIssuer(Value::read(item, version)?),
            AttributeKind::CertificateIdentifier => Self::CertificateIdentifier(Value::read(item, version)?),
            AttributeKind::CertificateSubject => Self::CertificateSubject(Value::read(item, version)?),
            AttributeKind::CertificateIssuer => Self::CertificateIssuer(Value::read(item, version)?),
            AttributeKind::Digest => Self::Digest(Value::read(item, version)?),
            AttributeKind::UsageLimits => Self::UsageLimits(Value::read(item, version)?),
            AttributeKind::RevocationReason => Self::RevocationReason(Value::read(item, version)?),
            AttributeKind::Link => Self::Link(Value::read(item, version)?),
            AttributeKind::ApplicationSpecificInformation => {
                Self::ApplicationSpecificInformation(Value::read(item, version)?)
            }
            AttributeKind::AlternativeName => Self::AlternativeName(Value::read(item, version)?),
            AttributeKind::KeyValueLocation => Self::KeyValueLocation(Value::read(item, version)?),
            AttributeKind::RandomNumberGenerator => Self::RandomNumberGenerator(Value::read(item, version)?),
        })
    }

    /// §3.39: a custom attribute is of any type, and a structure has no structures.
    fn read_custom(item: &Item<'_>) -> Result<Self, WireError> {
        Ok(match item.kind {
            Kind::Integer => Self::Integer(item.integer()?),
            Kind::LongInteger => Self::LongInteger(item.long_integer()?),
            Kind::BigInteger => Self::BigInteger(shortest(item.big_integer()?).to_vec()),
            Kind::Enumeration => Self::Enumeration(item.enumeration()?),
            Kind::Boolean => Self::Boolean(item.boolean()?),
            Kind::TextString => Self::Text(item.text()?.to_owned()),
            Kind::ByteString => Self::Bytes(item.bytes()?.to_vec()),
            Kind::DateTime => Self::DateTime(item.date_time()?),
            Kind::Interval => Self::Interval(item.interval()?),
            Kind::Structure => {
                let structure = item.structure()?;
                match structure.items().find(|field| field.kind == Kind::Structure) {
                    Some(field) => return Err(WireError::Nested { field: field.tag }),
                    None => Self::Structure(structure.bytes().to_vec()),
                }
            }
        })
    }

    pub(crate) fn write(&self, tag: Tag, writer: &mut Writer<'_>) {
        match self {
            Self::Integer(value) => value.write(tag, writer),
            Self::LongInteger(value) => LongInteger(*value).write(tag, writer),
            Self::BigInteger(value) => writer.raw(tag, Kind::BigInteger, value),
            Self::Enumeration(value) => Enumeration(*value).write(tag, writer),
            Self::Boolean(value) => value.write(tag, writer),
            Self::Text(value) => value.write(tag, writer),
            Self::Bytes(value) => value.write(tag, writer),
            Self::DateTime(value) => DateTime(*value).write(tag, writer),
            Self::Interval(value) => Interval(*value).write(tag, writer),
            Self::Name(value) => value.write(tag, writer),
            Self::CryptographicParameters(value) => value.write(tag, writer),
            Self::CryptographicDomainParameters(value) => value.write(tag, writer),
            Self::X509CertificateIdentifier(value) => value.write(tag, writer),
            Self::X509CertificateSubject(value) => value.write(tag, writer),
            Self::X509CertificateIssuer(value) => value.write(tag, writer),
            Self::CertificateIdentifier(value) => value.write(tag, writer),
            Self::CertificateSubject(value) => value.write(tag, writer),
            Self::CertificateIssuer(value) => value.write(tag, writer),
            Self::Digest(value) => value.write(tag, writer),
            Self::UsageLimits(value) => value.write(tag, writer),
            Self::RevocationReason(value) => value.write(tag, writer),
            Self::Link(value) => value.write(tag, writer),
            Self::ApplicationSpecificInformation(value) => value.write(tag, writer),
            Self::AlternativeName(value) => value.write(tag, writer),
            Self::KeyValueLocation(value) => value.write(tag, writer),
            Self::RandomNumberGenerator(value) => value.write(tag, writer),
            Self::Structure(fields) => writer.raw(tag, Kind::Structure, fields),
        }
    }
}

/// Without leading words that say no more than the sign.
fn shortest(number: &[u8]) -> &[u8] {
    let mut rest = number;
    while let Some((word, behind)) = rest.split_first_chunk::<8>() {
        let negative = behind.first().is_some_and(|first| first & 0x80 != 0);
        let sign = if negative { [0xFF; 8] } else { [0; 8] };
        if behind.is_empty() || *word != sign {
            break;
        }
        rest = behind;
    }
    rest
}

/// One instance of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribute {
    pub name: AttributeName,
    /// `None` is 0, and is how clients that never repeat an attribute write it.
    pub index: Option<i32>,
    pub value: AttributeValue,
}

impl Attribute {
    /// The first or only instance.
    pub fn new(name: StandardAttribute, value: AttributeValue) -> Self {
        Self { name: name.into(), index: None, value }
    }
}

record! {
    /// An attribute of which name and value are not read yet.
    pub(crate) struct Named<'a> {
        need name: &'a str = ATTRIBUTE_NAME V1_0,
        opt index: i32 = ATTRIBUTE_INDEX V1_0,
        need value: Item<'a> = ATTRIBUTE_VALUE V1_0,
    }
}

impl Named<'_> {
    /// Which attribute it is.
    pub(crate) fn known(&self, version: ProtocolVersion) -> Result<AttributeName, WireError> {
        AttributeName::parse(self.name, version)
            .ok_or_else(|| WireError::UnknownAttribute { name: self.name.chars().take(64).collect(), version })
    }
}

impl<'a> Value<'a> for Attribute {
    fn read(item: &Item<'a>, version: ProtocolVersion) -> Result<Self, WireError> {
        let named = Named::read(item, version)?;
        let name = named.known(version)?;
        if let Some(found) = named.index.filter(|&index| index < 0) {
            return Err(WireError::OutOfRange { field: Tag::ATTRIBUTE_INDEX, found: i64::from(found) });
        }
        let value = AttributeValue::read(&name, &named.value, version)?;
        Ok(Self { name, index: named.index, value })
    }

    fn write(&self, tag: Tag, writer: &mut Writer<'_>) {
        if !writer.knows(self.name.since()) {
            return;
        }
        writer.structure(tag, |writer| {
            writer.text(Tag::ATTRIBUTE_NAME, self.name.as_str());
            if let Some(index) = self.index {
                writer.integer(Tag::ATTRIBUTE_INDEX, index);
            }
            self.value.write(Tag::ATTRIBUTE_VALUE, writer);
        });
    }
}

record! {
    /// The attributes of a new object, and the names of templates, which 1.3 deprecates (§2.1.8).
    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub struct TemplateAttribute {
        many template_names: Name = NAME V1_0,
        many attributes: Attribute = ATTRIBUTE V1_0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        tables::ResultReason,
        ttlv::{Limits, parse},
    };

    const V1_4: ProtocolVersion = ProtocolVersion::V1_4;

    /// What is read of a custom attribute that is written so.
    fn custom(value: impl FnOnce(&mut Writer<'_>)) -> Result<Attribute, WireError> {
        let mut bytes = vec![];
        Writer::new(&mut bytes, V1_4).structure(Tag::REQUEST_PAYLOAD, |writer| {
            writer.structure(Tag::ATTRIBUTE, |writer| {
                writer.text(Tag::ATTRIBUTE_NAME, "x-any");
                value(writer);
            });
        });
        let payload = parse(&bytes, &Limits::REQUEST)?;
        Attribute::read(&payload.items().next().unwrap(), V1_4)
    }

    #[test]
    fn a_custom_attribute_may_be_a_number_of_any_length() {
        let read = |number: &[u8]| custom(|writer| writer.raw(Tag::ATTRIBUTE_VALUE, Kind::BigInteger, number));
        let word = |last: u8| [0, 0, 0, 0, 0, 0, 0, last];
        for (sent, kept) in [
            (word(7).to_vec(), word(7).to_vec()),
            ([[0; 8], word(7)].concat(), word(7).to_vec()),
            (vec![0; 24], vec![0; 8]),
            (vec![0xFF; 16], vec![0xFF; 8]),
            // The word before it tells the sign.
            ([[0; 8], [0xFF; 8]].concat(), [[0; 8], [0xFF; 8]].concat()),
            ([[0xFF; 8], word(7)].concat(), [[0xFF; 8], word(7)].concat()),
        ] {
            assert_eq!(read(&sent).unwrap().value, AttributeValue::BigInteger(kept), "{sent:x?}");
        }
    }

    #[test]
    fn a_custom_attribute_may_be_a_flat_structure() {
        let flat = |writer: &mut Writer<'_>| {
            writer.text(Tag(0x54_0001), "a");
            writer.integer(Tag(0x54_0002), 5);
        };
        let read = custom(|writer| writer.structure(Tag::ATTRIBUTE_VALUE, flat)).unwrap();
        let mut fields = vec![];
        flat(&mut Writer::new(&mut fields, V1_4));
        assert_eq!(read.value, AttributeValue::Structure(fields));
        let nested = |writer: &mut Writer<'_>| {
            writer.structure(Tag::ATTRIBUTE_VALUE, |writer| writer.structure(Tag(0x54_0003), flat));
        };
        let refused = custom(nested).unwrap_err();
        assert_eq!(refused.reason(), ResultReason::InvalidField);
        assert!(refused.to_string().contains("540003"), "{refused}");
    }
}
