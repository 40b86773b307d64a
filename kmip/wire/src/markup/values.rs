//! The values: how each item type is spelled, read and written.
//!
//! XML has every value as text. JSON has numbers and Booleans of its own, whose spelling as text is hexadecimal; numbers beyond
//! 53 bits are written so, because readers hold them as floating point (KMIP Profiles 1.4, "JSON Encoding", Long Integer).

use std::{borrow::Cow, str::FromStr};

use jiff::{Timestamp, civil, tz::Offset};
use zeroize::Zeroizing;

use super::{
    Dialect,
    error::clip,
    names::{self, Names},
};
use crate::{
    Tag, WireError,
    ttlv::{Item, Kind, Writer},
};

/// The first number of JSON that not every reader holds exactly.
const EXACT_NUMBERS_END: i64 = 1 << 52;

/// A value as the text has it.
pub(super) enum Given<'a> {
    Nothing,
    Bool(bool),
    Number(i64),
    Text(&'a str),
    /// What no item has for a value: a number with a fraction or of more than 64 bits, or a list.
    Other,
}

/// Why a value cannot be taken.
pub(super) enum Unfit {
    /// What would be taken.
    Value(&'static str),
    /// A name that the field's table does not have.
    Name(String),
}

/// What is taken for a value of `kind`.
fn expected(kind: Kind, dialect: Dialect) -> &'static str {
    match (kind, dialect) {
        (Kind::Integer, Dialect::Xml) => {
            "a decimal number of 32 bits, 0x and up to 8 hexadecimal digits, or for a mask names between spaces"
        }
        (Kind::Integer, Dialect::Json) => {
            "a number of 32 bits, \"0x\" and up to 8 hexadecimal digits, or for a mask names between |"
        }
        (Kind::LongInteger, Dialect::Xml) => "a decimal number of 64 bits, or 0x and up to 16 hexadecimal digits",
        (Kind::LongInteger, Dialect::Json) => "a number of 64 bits, or \"0x\" and up to 16 hexadecimal digits",
        (Kind::BigInteger, Dialect::Xml) => "hexadecimal digits, 16 or a multiple, with the sign extended",
        (Kind::BigInteger, Dialect::Json) => {
            "a number, or \"0x\" and hexadecimal digits, 16 or a multiple, with the sign extended"
        }
        (Kind::Enumeration, _) => "a name of KMIP 1.4, or 0x and up to 8 hexadecimal digits",
        (Kind::Boolean, Dialect::Xml) => "true or false",
        (Kind::Boolean, Dialect::Json) => "true or false, or the same as \"0x\" and 16 hexadecimal digits",
        (Kind::TextString, _) => "text",
        (Kind::ByteString, _) => "two hexadecimal digits for each byte, without 0x",
        (Kind::DateTime, _) => {
            "a time as 2017-11-22T10:00:00+00:00 between the years 1 and 9999, or 0x and up to 16 hexadecimal digits"
        }
        (Kind::Interval, Dialect::Xml) => "a decimal number of 32 bits from 0, or 0x and up to 8 hexadecimal digits",
        (Kind::Interval, Dialect::Json) => "a number of 32 bits from 0, or \"0x\" and up to 8 hexadecimal digits",
        (Kind::Structure, _) => "its fields",
    }
}

/// Writes the item that `given` spells; `subject` is the tag whose names apply.
pub(super) fn put(
    writer: &mut Writer<'_>,
    tag: Tag,
    subject: Option<Tag>,
    kind: Kind,
    given: &Given<'_>,
    dialect: Dialect,
) -> Result<(), Unfit> {
    let unfit = || Unfit::Value(expected(kind, dialect));
    let given = &given.trimmed(kind, dialect);
    match kind {
        Kind::Structure => return Err(unfit()),
        Kind::Integer => writer.integer(tag, integer(given, subject, dialect)?),
        Kind::LongInteger => writer.long_integer(tag, given.long(dialect).ok_or_else(unfit)?),
        Kind::BigInteger => writer.raw(tag, kind, &big_integer(given, dialect).ok_or_else(unfit)?),
        Kind::Enumeration => writer.enumeration(tag, enumeration(given, subject, dialect)?),
        Kind::Boolean => writer.boolean(tag, boolean(given, dialect).ok_or_else(unfit)?),
        Kind::TextString => writer.text(tag, given.text().ok_or_else(unfit)?),
        Kind::ByteString => writer.bytes(tag, &given.text().and_then(bytes).ok_or_else(unfit)?),
        Kind::DateTime => writer.date_time(tag, given.text().and_then(date_time).ok_or_else(unfit)?),
        Kind::Interval => writer.interval(tag, given.short(dialect).ok_or_else(unfit)?),
    }
    Ok(())
}

impl<'a> Given<'a> {
    fn text(&self) -> Option<&'a str> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// XML Schema collapses the space around every value that is no string.
    fn trimmed(&self, kind: Kind, dialect: Dialect) -> Given<'a> {
        match *self {
            Self::Text(text) if dialect == Dialect::Xml && kind != Kind::TextString => Given::Text(text.trim_ascii()),
            Self::Text(text) => Given::Text(text),
            Self::Number(number) => Given::Number(number),
            Self::Bool(on) => Given::Bool(on),
            Self::Nothing => Given::Nothing,
            Self::Other => Given::Other,
        }
    }

    /// A number of 64 bits with sign.
    fn long(&self, dialect: Dialect) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Text(text) => hexadecimal(text, 16).map(u64::cast_signed).or_else(|| decimal(text, dialect)),
            _ => None,
        }
    }

    /// A number of 32 bits without sign.
    fn short(&self, dialect: Dialect) -> Option<u32> {
        match self {
            Self::Number(number) => u32::try_from(*number).ok(),
            Self::Text(text) => hexadecimal_32(text).or_else(|| decimal(text, dialect)),
            _ => None,
        }
    }
}

fn integer(given: &Given<'_>, subject: Option<Tag>, dialect: Dialect) -> Result<i32, Unfit> {
    let unfit = || Unfit::Value(expected(Kind::Integer, dialect));
    let text = match given {
        Given::Number(number) => return i32::try_from(*number).map_err(|_| unfit()),
        Given::Text(text) => *text,
        _ => return Err(unfit()),
    };
    let number = hexadecimal_32(text).map(u32::cast_signed).or_else(|| decimal(text, dialect));
    match (number, subject.and_then(names::mask)) {
        (Some(number), _) => Ok(number),
        (None, Some(names)) if !text.is_empty() => mask(text, names, dialect),
        _ => Err(unfit()),
    }
}

fn mask(text: &str, names: &Names, dialect: Dialect) -> Result<i32, Unfit> {
    let bit = |word: &str| hexadecimal_32(word).or_else(|| names.code(word)).ok_or_else(|| Unfit::Name(clip(word)));
    let bits = match dialect {
        Dialect::Xml => text.split_ascii_whitespace().map(bit).try_fold(0, |bits, bit| Ok(bits | bit?)),
        Dialect::Json => text.split('|').map(bit).try_fold(0, |bits, bit| Ok(bits | bit?)),
    };
    bits.map(u32::cast_signed)
}

fn enumeration(given: &Given<'_>, subject: Option<Tag>, dialect: Dialect) -> Result<u32, Unfit> {
    let code = match given {
        Given::Number(number) => u32::try_from(*number).ok(),
        Given::Text(text) if text.starts_with("0x") => hexadecimal_32(text),
        Given::Text("") => None,
        Given::Text(text) => {
            let code = subject.and_then(names::enumeration).and_then(|names| names.code(text));
            return code.ok_or_else(|| Unfit::Name(clip(text)));
        }
        _ => None,
    };
    code.ok_or(Unfit::Value(expected(Kind::Enumeration, dialect)))
}

fn boolean(given: &Given<'_>, dialect: Dialect) -> Option<bool> {
    match (given, dialect) {
        (Given::Bool(on), _) => Some(*on),
        (Given::Text("true" | "1"), Dialect::Xml) => Some(true),
        (Given::Text("false" | "0"), Dialect::Xml) => Some(false),
        (Given::Text(text), Dialect::Json) => match hexadecimal(text, 16)? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        },
        _ => None,
    }
}

fn big_integer(given: &Given<'_>, dialect: Dialect) -> Option<Zeroizing<Vec<u8>>> {
    let text = match given {
        Given::Number(number) => return Some(Zeroizing::new(number.to_be_bytes().to_vec())),
        Given::Text(text) => *text,
        _ => return None,
    };
    let digits = match (text.strip_prefix("0x"), dialect) {
        (Some(digits), _) => digits,
        (None, Dialect::Xml) => text,
        (None, Dialect::Json) => return None,
    };
    bytes(digits).filter(|bytes| !bytes.is_empty() && bytes.len().is_multiple_of(8))
}

fn bytes(digits: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (pairs, odd) = digits.as_bytes().as_chunks::<2>();
    if !odd.is_empty() {
        return None;
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(pairs.len()));
    for &[high, low] in pairs {
        let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push(digit(high)? << 4 | digit(low)?);
    }
    Some(bytes)
}

/// `0x` and at most `digits_max` digits.
fn hexadecimal(text: &str, digits_max: usize) -> Option<u64> {
    let digits = text.strip_prefix("0x")?;
    let fits = digits.len() <= digits_max && digits.bytes().all(|digit| digit.is_ascii_hexdigit());
    u64::from_str_radix(digits, 16).ok().filter(|_| fits)
}

fn hexadecimal_32(text: &str) -> Option<u32> {
    hexadecimal(text, 8).and_then(|number| u32::try_from(number).ok())
}

/// Decimal digits are text in XML alone; JSON has numbers.
fn decimal<T: FromStr>(text: &str, dialect: Dialect) -> Option<T> {
    if dialect == Dialect::Xml { text.parse().ok() } else { None }
}

/// Seconds since 1970 of an `xsd:dateTime`, or of a number. A fraction is cut off; a time without a zone is taken as UTC.
fn date_time(text: &str) -> Option<i64> {
    if text.starts_with("0x") {
        return hexadecimal(text, 16).map(u64::cast_signed);
    }
    let (clock, zone) = text.split_at_checked("2017-11-22T10:00:00".len())?;
    let number = |from: usize, to: usize| {
        let digits = clock.get(from..to)?;
        digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse::<i16>().ok())?
    };
    let sign = |at: usize| clock.as_bytes().get(at).copied();
    if [4, 7, 10, 13, 16].map(sign) != [b'-', b'-', b'T', b':', b':'].map(Some) {
        return None;
    }
    let two = |from: usize| number(from, from + 2).and_then(|number| i8::try_from(number).ok());
    let year = number(0, 4).filter(|&year| year > 0)?;
    let time = civil::DateTime::new(year, two(5)?, two(8)?, two(11)?, two(14)?, two(17)?, 0).ok()?;
    Some(offset(zone)?.to_timestamp(time).ok()?.as_second())
}

/// The zone after a time and its fraction.
fn offset(text: &str) -> Option<Offset> {
    let zone = match text.strip_prefix('.') {
        Some(fraction) => {
            let zone = fraction.trim_start_matches(|c: char| c.is_ascii_digit());
            (zone.len() < fraction.len()).then_some(zone)?
        }
        None => text,
    };
    let (ahead, clock) = match zone.split_at_checked(1) {
        None | Some(("Z", "")) => return Some(Offset::UTC),
        Some(("+", clock)) => (1, clock),
        Some(("-", clock)) => (-1, clock),
        Some(_) => return None,
    };
    let [h0, h1, b':', m0, m1] = *clock.as_bytes() else {
        return None;
    };
    let number = |high: u8, low: u8| Some(char::from(high).to_digit(10)? * 10 + char::from(low).to_digit(10)?);
    let (hours, minutes) = (number(h0, h1)?, number(m0, m1)?);
    let seconds = i32::try_from(hours * 3600 + minutes * 60).ok()?;
    // The zones of `xsd:dateTime` end at 14 hours.
    if minutes > 59 || seconds > 14 * 3600 { None } else { Offset::from_seconds(ahead * seconds).ok() }
}

/// A value as the text will have it.
pub(super) enum Shown<'a> {
    Number(i64),
    Bool(bool),
    /// Letters, digits and signs that need no escape.
    Word(Cow<'static, str>),
    /// Bytes to be written as hexadecimal digits.
    Bytes(&'a [u8]),
    /// Hexadecimal digits that JSON begins with `0x`.
    BigInteger(&'a [u8]),
    Text(&'a str),
}

/// The spelling of an item that is no structure; `subject` is the tag whose names apply.
pub(super) fn shown<'a>(item: &Item<'a>, subject: Option<Tag>, dialect: Dialect) -> Result<Shown<'a>, WireError> {
    Ok(match item.kind {
        Kind::Integer => {
            let number = item.integer()?;
            match subject.and_then(names::mask).filter(|_| number != 0) {
                Some(names) => Shown::Word(mask_words(number.cast_unsigned(), names, dialect).into()),
                None => Shown::Number(i64::from(number)),
            }
        }
        Kind::LongInteger => match item.long_integer()? {
            far if dialect == Dialect::Json && !(-EXACT_NUMBERS_END..EXACT_NUMBERS_END).contains(&far) => {
                Shown::Word(format!("0x{far:016x}").into())
            }
            number => Shown::Number(number),
        },
        Kind::Enumeration => {
            let code = item.enumeration()?;
            let name = subject.and_then(names::enumeration).and_then(|names| names.name(code));
            Shown::Word(name.map_or_else(|| format!("0x{code:08X}").into(), Cow::Borrowed))
        }
        Kind::Boolean => Shown::Bool(item.boolean()?),
        Kind::TextString => Shown::Text(item.text()?),
        Kind::DateTime => Shown::Word(date_word(item.date_time()?).into()),
        Kind::Interval => Shown::Number(i64::from(item.interval()?)),
        Kind::BigInteger => Shown::BigInteger(item.raw_bytes()),
        Kind::ByteString | Kind::Structure => Shown::Bytes(item.raw_bytes()),
    })
}

/// The names of the bits, and one number for those without a name.
fn mask_words(bits: u32, names: &Names, dialect: Dialect) -> String {
    let bit = |place: u32| bits & 1 << place;
    let named = (0..u32::BITS).filter_map(|place| Some((bit(place), names.name(bit(place))?)));
    let (known, mut words) = named.fold((0, vec![]), |(known, mut words), (bit, name)| {
        words.push(Cow::Borrowed(name));
        (known | bit, words)
    });
    if bits != known {
        words.push(format!("0x{:08X}", bits & !known).into());
    }
    words.join(if dialect == Dialect::Xml { " " } else { "|" })
}

/// A time as the OASIS cases write it; one before the year 1 or after 9999 as a number.
fn date_word(seconds: i64) -> String {
    let time = Timestamp::from_second(seconds).map(|at| Offset::UTC.to_datetime(at)).ok();
    match time.filter(|time| time.year() > 0) {
        Some(time) => {
            let (date, clock) = (time.date(), time.time());
            let (hour, minute, second) = (clock.hour(), clock.minute(), clock.second());
            format!("{:04}-{:02}-{:02}T{hour:02}:{minute:02}:{second:02}+00:00", date.year(), date.month(), date.day())
        }
        None => format!("0x{seconds:016x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ProtocolVersion,
        markup::{MarkupError, json, xml},
        ttlv::Limits,
    };

    fn frame(fields: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut out = vec![];
        Writer::new(&mut out, ProtocolVersion::V1_4).structure(Tag::REQUEST_PAYLOAD, fields);
        out
    }

    fn in_xml(tag: &str, kind: &str, value: &str) -> String {
        format!("<RequestPayload><{tag} type=\"{kind}\" value=\"{value}\"/></RequestPayload>")
    }

    fn in_json(tag: &str, kind: &str, value: &str) -> String {
        let item = format!("{{\"tag\":\"{tag}\",\"type\":\"{kind}\",\"value\":{value}}}");
        format!("{{\"tag\":\"RequestPayload\",\"value\":[{item}]}}")
    }

    type Write = fn(&mut Writer<'_>);

    /// Tag, type, the value as each text has it, and the same as TTLV.
    const BOTH_WAYS: &[(&str, &str, &str, &str, Write)] = &[
        ("BatchCount", "Integer", "10", "10", |w| w.integer(Tag::BATCH_COUNT, 10)),
        ("BatchCount", "Integer", "-2147483648", "-2147483648", |w| w.integer(Tag::BATCH_COUNT, i32::MIN)),
        (
            "CryptographicUsageMask",
            "Integer",
            "Encrypt Decrypt CertificateSign",
            "\"Encrypt|Decrypt|CertificateSign\"",
            |w| {
                w.integer(Tag::CRYPTOGRAPHIC_USAGE_MASK, 0x100C);
            },
        ),
        ("CryptographicUsageMask", "Integer", "Sign 0x80100000", "\"Sign|0x80100000\"", |w| {
            w.integer(Tag::CRYPTOGRAPHIC_USAGE_MASK, 0x8010_0001u32.cast_signed());
        }),
        ("CryptographicUsageMask", "Integer", "0", "0", |w| w.integer(Tag::CRYPTOGRAPHIC_USAGE_MASK, 0)),
        ("StorageStatusMask", "Integer", "OnLineStorage ArchivalStorage", "\"OnLineStorage|ArchivalStorage\"", |w| {
            w.integer(Tag::STORAGE_STATUS_MASK, 3);
        }),
        ("UsageLimitsCount", "LongInteger", "1152921504606846976", "\"0x1000000000000000\"", |w| {
            w.long_integer(Tag::USAGE_LIMITS_COUNT, 1 << 60);
        }),
        ("UsageLimitsCount", "LongInteger", "4503599627370495", "4503599627370495", |w| {
            w.long_integer(Tag::USAGE_LIMITS_COUNT, (1 << 52) - 1);
        }),
        ("UsageLimitsCount", "LongInteger", "4503599627370496", "\"0x0010000000000000\"", |w| {
            w.long_integer(Tag::USAGE_LIMITS_COUNT, 1 << 52);
        }),
        ("UsageLimitsCount", "LongInteger", "-2", "-2", |w| w.long_integer(Tag::USAGE_LIMITS_COUNT, -2)),
        ("X", "BigInteger", "fffffffffffffffe", "\"0xfffffffffffffffe\"", |w| {
            w.raw(Tag::X, Kind::BigInteger, &(-2i64).to_be_bytes());
        }),
        ("ObjectType", "Enumeration", "SymmetricKey", "\"SymmetricKey\"", |w| w.enumeration(Tag::OBJECT_TYPE, 2)),
        ("MaskGeneratorHashingAlgorithm", "Enumeration", "SHA_256", "\"SHA_256\"", |w| {
            w.enumeration(Tag::MASK_GENERATOR_HASHING_ALGORITHM, 6);
        }),
        ("Operation", "Enumeration", "Notify", "\"Notify\"", |w| w.enumeration(Tag::OPERATION, 0x1B)),
        ("OpaqueDataType", "Enumeration", "0x80000001", "\"0x80000001\"", |w| {
            w.enumeration(Tag::OPAQUE_DATA_TYPE, 0x8000_0001);
        }),
        ("BatchOrderOption", "Boolean", "true", "true", |w| w.boolean(Tag::BATCH_ORDER_OPTION, true)),
        ("BatchOrderOption", "Boolean", "false", "false", |w| w.boolean(Tag::BATCH_ORDER_OPTION, false)),
        (
            "NameValue",
            "TextString",
            " a&amp;b &lt;&quot;&gt;'\\/&#9;&#10;&#13; ",
            "\" a&b <\\\">'\\\\/\\u0009\\u000a\\u000d \"",
            |w| {
                w.text(Tag::NAME_VALUE, " a&b <\">'\\/\t\n\r ");
            },
        ),
        ("NameValue", "TextString", "schlüssel 鍵 🔑", "\"schlüssel 鍵 🔑\"", |w| {
            w.text(Tag::NAME_VALUE, "schlüssel 鍵 🔑")
        }),
        ("NameValue", "TextString", "", "\"\"", |w| w.text(Tag::NAME_VALUE, "")),
        ("MACSignature", "ByteString", "c50f77", "\"c50f77\"", |w| w.bytes(Tag::MAC_SIGNATURE, &[0xC5, 0x0F, 0x77])),
        ("MACSignature", "ByteString", "", "\"\"", |w| w.bytes(Tag::MAC_SIGNATURE, &[])),
        ("ArchiveDate", "DateTime", "2001-01-01T00:00:00+00:00", "\"2001-01-01T00:00:00+00:00\"", |w| {
            w.date_time(Tag::ARCHIVE_DATE, 0x3A4F_C880);
        }),
        ("ArchiveDate", "DateTime", "0001-01-01T00:00:00+00:00", "\"0001-01-01T00:00:00+00:00\"", |w| {
            w.date_time(Tag::ARCHIVE_DATE, -62_135_596_800);
        }),
        ("ArchiveDate", "DateTime", "0xfffffff1886e08ff", "\"0xfffffff1886e08ff\"", |w| {
            w.date_time(Tag::ARCHIVE_DATE, -62_135_596_801);
        }),
        ("ArchiveDate", "DateTime", "0x7fffffffffffffff", "\"0x7fffffffffffffff\"", |w| {
            w.date_time(Tag::ARCHIVE_DATE, i64::MAX);
        }),
        ("Offset", "Interval", "4294967295", "4294967295", |w| w.interval(Tag::OFFSET, u32::MAX)),
    ];

    #[test]
    fn each_type_is_read_and_written_in_both_spellings() {
        for (tag, kind, xml_value, json_value, write) in BOTH_WAYS {
            let frame = frame(write);
            let text = in_xml(tag, kind, xml_value);
            assert_eq!(xml::write(&frame).as_ref(), Ok(&text));
            assert_eq!(xml::read(&text, &Limits::REQUEST).as_ref(), Ok(&frame), "{text}");
            let text = in_json(tag, kind, json_value);
            assert_eq!(json::write(&frame).as_ref(), Ok(&text));
            assert_eq!(json::read(&text, &Limits::REQUEST).as_ref(), Ok(&frame), "{text}");
        }
    }

    #[test]
    fn other_spellings_are_read() {
        let xml_spellings: &[(&str, &str, &str, Write)] = &[
            ("CryptographicUsageMask", "Integer", "0x0000100c", |w| w.integer(Tag::CRYPTOGRAPHIC_USAGE_MASK, 0x100C)),
            ("CryptographicUsageMask", "Integer", " CertificateSign  0x00000004 0x0000008 ", |w| {
                w.integer(Tag::CRYPTOGRAPHIC_USAGE_MASK, 0x100C);
            }),
            ("CryptographicUsageMask", "Integer", "ContentCommitmentNonRepudiation", |w| {
                w.integer(Tag::CRYPTOGRAPHIC_USAGE_MASK, 0x400);
            }),
            ("BatchCount", "Integer", "0xffffffff", |w| w.integer(Tag::BATCH_COUNT, -1)),
            ("UsageLimitsCount", "LongInteger", "0xfffffffffffffffe", |w| w.long_integer(Tag::USAGE_LIMITS_COUNT, -2)),
            ("X", "BigInteger", "0xFFFFFFFFFFFFFFFE", |w| w.raw(Tag::X, Kind::BigInteger, &(-2i64).to_be_bytes())),
            ("ObjectType", "Enumeration", "0x00000002", |w| w.enumeration(Tag::OBJECT_TYPE, 2)),
            ("DigitalSignatureAlgorithm", "Enumeration", "SHA_256WithRSAEncryptionPKCS_1V1_5", |w| {
                w.enumeration(Tag::DIGITAL_SIGNATURE_ALGORITHM, 5);
            }),
            ("BatchOrderOption", "Boolean", "1", |w| w.boolean(Tag::BATCH_ORDER_OPTION, true)),
            ("MACSignature", "ByteString", "C50F77", |w| w.bytes(Tag::MAC_SIGNATURE, &[0xC5, 0x0F, 0x77])),
            ("ArchiveDate", "DateTime", "2001-01-01T10:00:00.75+10:00", |w| {
                w.date_time(Tag::ARCHIVE_DATE, 0x3A4F_C880)
            }),
            ("ArchiveDate", "DateTime", "2000-12-31T19:30:00-04:30", |w| w.date_time(Tag::ARCHIVE_DATE, 0x3A4F_C880)),
            ("ArchiveDate", "DateTime", "2001-01-01T00:00:00Z", |w| w.date_time(Tag::ARCHIVE_DATE, 0x3A4F_C880)),
            ("ArchiveDate", "DateTime", "2001-01-01T00:00:00", |w| w.date_time(Tag::ARCHIVE_DATE, 0x3A4F_C880)),
            ("Offset", "Interval", "0x0000001b", |w| w.interval(Tag::OFFSET, 27)),
        ];
        for (tag, kind, value, write) in xml_spellings {
            assert_eq!(xml::read(&in_xml(tag, kind, value), &Limits::REQUEST), Ok(frame(write)), "{value}");
        }
        let json_spellings: &[(&str, &str, &str, Write)] = &[
            ("CryptographicUsageMask", "Integer", "\"CertificateSign|0x0000000c\"", |w| {
                w.integer(Tag::CRYPTOGRAPHIC_USAGE_MASK, 0x100C);
            }),
            ("BatchCount", "Integer", "\"0x0000000A\"", |w| w.integer(Tag::BATCH_COUNT, 10)),
            ("0x540001", "LongInteger", "\"0xfffffffffffffffe\"", |w| w.long_integer(Tag(0x54_0001), -2)),
            ("X", "BigInteger", "-2", |w| w.raw(Tag::X, Kind::BigInteger, &(-2i64).to_be_bytes())),
            ("0x420057", "Enumeration", "2", |w| w.enumeration(Tag::OBJECT_TYPE, 2)),
            ("BatchOrderOption", "Boolean", "\"0x0000000000000001\"", |w| w.boolean(Tag::BATCH_ORDER_OPTION, true)),
            ("ArchiveDate", "DateTime", "\"0x000000003a4fc880\"", |w| w.date_time(Tag::ARCHIVE_DATE, 0x3A4F_C880)),
            ("Offset", "Interval", "\"0x0000001b\"", |w| w.interval(Tag::OFFSET, 27)),
            ("NameValue", "TextString", "\"\\ud83d\\udd11\\u0000\"", |w| w.text(Tag::NAME_VALUE, "🔑\0")),
        ];
        for (tag, kind, value, write) in json_spellings {
            assert_eq!(json::read(&in_json(tag, kind, value), &Limits::REQUEST), Ok(frame(write)), "{value}");
        }
    }

    #[test]
    fn an_attribute_s_value_takes_the_names_of_its_attribute() {
        let named = |name: &str, write: Write| {
            let mut out = vec![];
            Writer::new(&mut out, ProtocolVersion::V1_4).structure(Tag::ATTRIBUTE, |w| {
                w.text(Tag::ATTRIBUTE_NAME, name);
                w.integer(Tag::ATTRIBUTE_INDEX, 0);
                write(w);
            });
            out
        };
        let cases: &[(&str, Write, &str)] = &[
            ("State", |w| w.enumeration(Tag::ATTRIBUTE_VALUE, 1), "PreActive"),
            ("Object Type", |w| w.enumeration(Tag::ATTRIBUTE_VALUE, 1), "Certificate"),
            ("Cryptographic Usage Mask", |w| w.integer(Tag::ATTRIBUTE_VALUE, 3), "Sign|Verify"),
            ("x-mask", |w| w.integer(Tag::ATTRIBUTE_VALUE, 3), "3"),
            ("x-state", |w| w.enumeration(Tag::ATTRIBUTE_VALUE, 1), "0x00000001"),
            ("state", |w| w.enumeration(Tag::ATTRIBUTE_VALUE, 1), "0x00000001"),
        ];
        for (name, write, value) in cases {
            let frame = named(name, *write);
            let (in_xml, in_json) = (xml::write(&frame).unwrap(), json::write(&frame).unwrap());
            assert!(in_xml.contains(&format!("value=\"{}\"", value.replace('|', " "))), "{in_xml}");
            assert!(in_json.contains(&format!("\"value\":\"{value}\"")) || *value == "3", "{in_json}");
            assert_eq!(xml::read(&in_xml, &Limits::REQUEST).as_ref(), Ok(&frame));
            assert_eq!(json::read(&in_json, &Limits::REQUEST).as_ref(), Ok(&frame));
        }
        // A name of another type is none.
        let mut frame = vec![];
        Writer::new(&mut frame, ProtocolVersion::V1_4).structure(Tag::ATTRIBUTE, |w| {
            w.text(Tag::ATTRIBUTE_NAME, "State");
            w.bytes(Tag::ATTRIBUTE_NAME, &[0xAB]);
            w.enumeration(Tag::ATTRIBUTE_VALUE, 1);
        });
        assert_eq!(xml::read(&xml::write(&frame).unwrap(), &Limits::REQUEST).as_ref(), Ok(&frame));
        assert_eq!(json::read(&json::write(&frame).unwrap(), &Limits::REQUEST).as_ref(), Ok(&frame));
        let two = "<Attribute><AttributeName type='TextString' value='State'/></Attribute>\
                   <Attribute><AttributeValue type='Enumeration' value='Active'/></Attribute>";
        let stray = xml::read(&format!("<TemplateAttribute>{two}</TemplateAttribute>"), &Limits::REQUEST);
        let place = "item 5 (TemplateAttribute/Attribute/AttributeValue)".to_owned();
        assert_eq!(stray, Err(MarkupError::Name { place, found: "Active".into() }.into()));
    }

    /// Tag, type, and values that it does not have in XML and in JSON.
    const WRONG: &[(&str, &str, &[&str], &[&str])] = &[
        (
            "BatchCount",
            "Integer",
            &["", "1.5", "2147483648", "0x100000000", "0x", "0x-1", "Sign", "1 2"],
            &["null", "1.5", "1e3", "2147483648", "true", "\"10\"", "\"0x\"", "[]", "\"Sign\"", "99999999999999999999"],
        ),
        (
            "UsageLimitsCount",
            "LongInteger",
            &["9223372036854775808", "0x10000000000000000", "one"],
            &["9223372036854775808", "\"9\"", "null", "false"],
        ),
        (
            "X",
            "BigInteger",
            &["", "00", "0x", "000000000000000000", "000000000000000g", "+0000000000000000"],
            &["\"0000000000000000\"", "\"0x00\"", "\"0x\"", "9223372036854775808", "0.5"],
        ),
        (
            "ObjectType",
            "Enumeration",
            &["", "0x", "0x100000000", "0x000000001", "0x+1", "0xg"],
            &["-1", "4294967296", "null", "\"\"", "2.5"],
        ),
        (
            "BatchOrderOption",
            "Boolean",
            &["", "TRUE", "yes", "2", "0x0000000000000001"],
            &["1", "\"true\"", "\"0x0000000000000002\"", "null"],
        ),
        ("NameValue", "TextString", &[], &["null", "1", "true", "[]"]),
        ("MACSignature", "ByteString", &["0", "0g", "0xC5", "c5 0f", "é"], &["\"c5f\"", "0", "null", "\"0x00\""]),
        (
            "ArchiveDate",
            "DateTime",
            &[
                "",
                "2001-01-01",
                "2001-13-01T00:00:00Z",
                "2001-02-29T00:00:00Z",
                "2001-01-01T24:00:00Z",
                "2001-01-01T00:00:60Z",
                "2001-01-01t00:00:00Z",
                "2001-01-01T00:00:00z",
                "2001-01-01T00:00:00+14:01",
                "2001-01-01T00:00:00+1:00",
                "2001-01-01T00:00:00+00:60",
                "2001-01-01T00:00:00.Z",
                "+001-01-01T00:00:00Z",
                "0000-01-01T00:00:00Z",
                "2001-01-01T00:00:00[UTC]",
                "1511344800",
                "0x10000000000000000",
                "9999-12-31T23:59:59-14:00",
                "2001-01-01T00:00:0éZ",
            ],
            &["0", "null", "\"2001-01-01 00:00:00Z\""],
        ),
        ("Offset", "Interval", &["-1", "4294967296", "", "1h"], &["-1", "4294967296", "\"1\"", "0.0"]),
    ];

    /// Each is refused as what it is and with its place.
    #[test]
    fn what_a_type_does_not_allow_is_refused() {
        for (tag, kind, in_xmls, in_jsons) in WRONG {
            let place = format!("item 2 (RequestPayload/{tag})");
            let refused = |result: Result<Vec<u8>, WireError>, dialect, value: &&str| {
                let kind = Kind::named(kind).unwrap();
                let error = MarkupError::Value { place: place.clone(), kind, expected: expected(kind, dialect) };
                assert_eq!(result, Err(error.into()), "{tag} {value}");
            };
            for value in *in_xmls {
                refused(xml::read(&in_xml(tag, kind, value), &Limits::REQUEST), Dialect::Xml, value);
            }
            for value in *in_jsons {
                refused(json::read(&in_json(tag, kind, value), &Limits::REQUEST), Dialect::Json, value);
            }
        }
    }

    #[test]
    fn a_name_that_is_not_of_the_field_is_refused_by_name() {
        let refused = |result: Result<Vec<u8>, WireError>, tag: &str, found: &str| {
            let error = WireError::from(MarkupError::Name {
                place: format!("item 2 (RequestPayload/{tag})"),
                found: found.to_owned(),
            });
            assert_eq!(error.reason(), crate::ResultReason::InvalidField);
            assert_eq!(result, Err(error));
        };
        for (tag, kind, value, found) in [
            ("ObjectType", "Enumeration", "symmetrickey", "symmetrickey"),
            ("ObjectType", "Enumeration", "Encrypt", "Encrypt"),
            ("ObjectType", "Enumeration", "2", "2"),
            ("OpaqueDataType", "Enumeration", "Raw", "Raw"),
            ("AttributeValue", "Enumeration", "Active", "Active"),
            ("0x540001", "Enumeration", "Active", "Active"),
            ("CryptographicUsageMask", "Integer", "Sign|Fly", "Fly"),
            ("CryptographicUsageMask", "Integer", "Sign|12", "12"),
            ("CryptographicUsageMask", "Integer", "Sign|", ""),
        ] {
            refused(json::read(&in_json(tag, kind, &format!("\"{value}\"")), &Limits::REQUEST), tag, found);
            if !tag.starts_with("0x") && !found.is_empty() {
                refused(xml::read(&in_xml(tag, kind, &value.replace('|', " ")), &Limits::REQUEST), tag, found);
            }
        }
    }
}
