//! Reading in place: one check of the whole frame, then borrowed walks over it.

use std::str;

use super::{DEPTH_MAX, HEADER_BYTES, Kind, Limits};
use crate::{
    error::WireError,
    tables::{ProtocolVersion, Tag, tags},
};

/// How many bytes the frame that begins with `header` has, header included.
///
/// Refuses what is no structure of tag `expected`, has a length that is no multiple of eight, or passes the limit: a reader makes
/// room only for what this allows.
pub fn frame_len(header: &[u8; HEADER_BYTES], expected: Tag, limits: &Limits) -> Result<usize, WireError> {
    let head = Head::of(header, 0)?;
    if head.tag != expected || head.kind != Kind::Structure {
        return Err(WireError::NotAMessage { expected, found: head.tag });
    }
    if !head.length.is_multiple_of(8) {
        return Err(WireError::BadLength { at: 0, tag: head.tag, found: u64::from(head.length) });
    }
    let total = u64::from(head.length) + HEADER_BYTES as u64;
    match usize::try_from(total) {
        Ok(total) if total <= limits.message_bytes => Ok(total),
        _ => Err(WireError::TooLarge { found: total, max: limits.message_bytes }),
    }
}

/// Checks the whole frame and gives its root structure.
pub fn parse<'a>(frame: &'a [u8], limits: &Limits) -> Result<Structure<'a>, WireError> {
    if frame.len() > limits.message_bytes {
        return Err(WireError::TooLarge { found: frame.len() as u64, max: limits.message_bytes });
    }
    let (root, _) = Head::with_value(frame, 0, frame.len())?;
    if root.kind != Kind::Structure {
        return Err(WireError::WrongKind { field: root.tag, expected: Kind::Structure, found: root.kind });
    }
    let extra = (frame.len() - HEADER_BYTES).saturating_sub(root.padded());
    if extra > 0 {
        return Err(WireError::TrailingBytes { extra });
    }
    check(frame, limits)?;
    Ok(Structure { tag: root.tag, bytes: frame.get(HEADER_BYTES..).unwrap_or_default() })
}

/// Tag, type and length of one item.
#[derive(Clone, Copy)]
struct Head {
    tag: Tag,
    kind: Kind,
    length: u32,
}

impl Head {
    fn of(header: &[u8; HEADER_BYTES], at: usize) -> Result<Self, WireError> {
        let [a, b, c, kind, l0, l1, l2, l3] = *header;
        if a != tags::STANDARD && a != tags::EXTENSION {
            return Err(WireError::BadTag { at, found: a });
        }
        let kind = Kind::from_byte(kind).ok_or(WireError::BadKind { at: at + 3, found: kind })?;
        Ok(Self { tag: Tag(u32::from_be_bytes([0, a, b, c])), kind, length: u32::from_be_bytes([l0, l1, l2, l3]) })
    }

    /// The head at `at` of a container that ends at `end`, and its value with the padding, which fits into it.
    #[inline]
    fn with_value(frame: &[u8], at: usize, end: usize) -> Result<(Self, &[u8]), WireError> {
        let rest = frame.get(at..end).unwrap_or_default();
        let Some((header, rest)) = rest.split_first_chunk::<HEADER_BYTES>() else {
            return Err(WireError::Truncated { at, needs: HEADER_BYTES as u64, has: rest.len() as u64 });
        };
        let head = Self::of(header, at)?;
        let Some(value) = rest.get(..head.padded()) else {
            let (header, needs) = (HEADER_BYTES as u64, head.padded() as u64);
            return Err(WireError::Truncated { at, needs: header + needs, has: header + rest.len() as u64 });
        };
        Ok((head, value))
    }

    fn bad_length(self, at: usize) -> WireError {
        WireError::BadLength { at, tag: self.tag, found: u64::from(self.length) }
    }

    /// Bytes of the value with its padding to a multiple of eight.
    fn padded(self) -> usize {
        (self.length as usize).next_multiple_of(8)
    }
}

/// Walks the frame once: every head, length, padding, Boolean and text.
fn check(frame: &[u8], limits: &Limits) -> Result<(), WireError> {
    let depth_max = limits.depth.min(DEPTH_MAX);
    let mut ends = [0usize; DEPTH_MAX];
    let (mut depth, mut at, mut end, mut items) = (0usize, 0usize, frame.len(), 0usize);
    loop {
        while at == end {
            if depth == 0 {
                return Ok(());
            }
            depth -= 1;
            end = ends.get(depth).copied().unwrap_or(frame.len());
        }
        items += 1;
        if items > limits.items {
            return Err(WireError::TooManyItems { at, max: limits.items });
        }
        let (head, value) = Head::with_value(frame, at, end)?;
        if head.kind == Kind::Structure {
            if !head.length.is_multiple_of(8) {
                return Err(head.bad_length(at));
            }
            match ends.get_mut(depth) {
                Some(slot) if depth < depth_max => *slot = end,
                _ => return Err(WireError::TooDeep { at, max: depth_max }),
            }
            depth += 1;
            at += HEADER_BYTES;
            end = at + value.len();
        } else {
            check_value(head, value, at)?;
            at += HEADER_BYTES + value.len();
        }
    }
}

/// Length, padding and form of a value, given with its padding.
fn check_value(head: Head, padded: &[u8], at: usize) -> Result<(), WireError> {
    // The last eight bytes: all of most values.
    let last = padded.last_chunk().map_or(0, |&last| u64::from_be_bytes(last));
    let (fits, padding) = match head.kind {
        Kind::Integer | Kind::Enumeration | Kind::Interval => (head.length == 4, last << 32),
        Kind::LongInteger | Kind::DateTime | Kind::Boolean => (head.length == 8, 0),
        Kind::BigInteger => (head.length > 0 && head.length.is_multiple_of(8), 0),
        Kind::TextString | Kind::ByteString if head.length.is_multiple_of(8) => (true, 0),
        Kind::TextString | Kind::ByteString | Kind::Structure => (true, last << (8 * (head.length % 8))),
    };
    if !fits {
        return Err(head.bad_length(at));
    }
    if padding != 0 {
        return Err(WireError::BadPadding { at, tag: head.tag });
    }
    match head.kind {
        Kind::Boolean if last > 1 => Err(WireError::BadBoolean { at, tag: head.tag }),
        Kind::TextString => {
            let text = padded.get(..head.length as usize).unwrap_or_default();
            let is_text = text.is_ascii() || str::from_utf8(text).is_ok();
            if is_text { Ok(()) } else { Err(WireError::BadText { at, tag: head.tag }) }
        }
        _ => Ok(()),
    }
}

/// A structure of a checked frame.
#[derive(Clone, Copy)]
pub struct Structure<'a> {
    tag: Tag,
    bytes: &'a [u8],
}

impl<'a> Structure<'a> {
    pub fn tag(&self) -> Tag {
        self.tag
    }

    /// The encoded fields.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The fields, in the order in which they came.
    pub fn items(&self) -> Items<'a> {
        Items::over(self.bytes)
    }

    /// Fills the place of a field that may come once.
    pub(crate) fn fill<T>(&self, place: &mut Option<T>, field: Tag, value: T) -> Result<(), WireError> {
        match place.replace(value) {
            None => Ok(()),
            Some(_) => Err(WireError::Twice { structure: self.tag, field }),
        }
    }

    /// What the place of a required field holds.
    pub(crate) fn need<T>(&self, field: Tag, found: Option<T>) -> Result<T, WireError> {
        found.ok_or(WireError::Missing { structure: self.tag, field })
    }

    /// A field that `version` does not define here: an error, unless that version is one that we do not know ourselves.
    pub(crate) fn unknown(&self, field: Tag, version: ProtocolVersion) -> Result<(), WireError> {
        if version.is_served() {
            return Err(WireError::UnknownField { structure: self.tag, field, version });
        }
        Ok(())
    }
}

/// Walks the fields of a structure.
#[derive(Clone)]
pub struct Items<'a> {
    rest: &'a [u8],
}

impl<'a> Items<'a> {
    /// Over encoded fields that were checked with their frame, or written here.
    pub(crate) fn over(fields: &'a [u8]) -> Self {
        Self { rest: fields }
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let (&[a, b, c, kind, l0, l1, l2, l3], rest) = self.rest.split_first_chunk::<HEADER_BYTES>()?;
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        let (padded, rest) = rest.split_at_checked(length.next_multiple_of(8))?;
        self.rest = rest;
        Some(Item {
            tag: Tag(u32::from_be_bytes([0, a, b, c])),
            kind: Kind::from_byte(kind)?,
            value: padded.get(..length)?,
        })
    }
}

/// One field of a checked frame. Reading it as another type than its own is [`WireError::WrongKind`].
#[derive(Clone, Copy)]
pub struct Item<'a> {
    pub tag: Tag,
    pub kind: Kind,
    value: &'a [u8],
}

impl<'a> Item<'a> {
    /// The encoded value, without padding.
    pub fn raw_bytes(&self) -> &'a [u8] {
        self.value
    }

    fn of_kind(&self, expected: Kind) -> Result<&'a [u8], WireError> {
        if self.kind == expected {
            Ok(self.value)
        } else {
            Err(WireError::WrongKind { field: self.tag, expected, found: self.kind })
        }
    }

    fn four(&self, kind: Kind) -> Result<[u8; 4], WireError> {
        Ok(self.of_kind(kind)?.first_chunk().copied().unwrap_or_default())
    }

    fn eight(&self, kind: Kind) -> Result<[u8; 8], WireError> {
        Ok(self.of_kind(kind)?.first_chunk().copied().unwrap_or_default())
    }

    pub fn structure(&self) -> Result<Structure<'a>, WireError> {
        Ok(Structure { tag: self.tag, bytes: self.of_kind(Kind::Structure)? })
    }

    pub fn integer(&self) -> Result<i32, WireError> {
        Ok(i32::from_be_bytes(self.four(Kind::Integer)?))
    }

    pub fn long_integer(&self) -> Result<i64, WireError> {
        Ok(i64::from_be_bytes(self.eight(Kind::LongInteger)?))
    }

    /// Two's complement, big-endian, a multiple of eight bytes.
    pub fn big_integer(&self) -> Result<&'a [u8], WireError> {
        self.of_kind(Kind::BigInteger)
    }

    pub fn enumeration(&self) -> Result<u32, WireError> {
        Ok(u32::from_be_bytes(self.four(Kind::Enumeration)?))
    }

    pub fn boolean(&self) -> Result<bool, WireError> {
        Ok(self.eight(Kind::Boolean)? != [0; 8])
    }

    pub fn text(&self) -> Result<&'a str, WireError> {
        str::from_utf8(self.of_kind(Kind::TextString)?).map_err(|_| WireError::BadText { at: 0, tag: self.tag })
    }

    pub fn bytes(&self) -> Result<&'a [u8], WireError> {
        self.of_kind(Kind::ByteString)
    }

    /// Seconds since 1970-01-01T00:00:00Z.
    pub fn date_time(&self) -> Result<i64, WireError> {
        Ok(i64::from_be_bytes(self.eight(Kind::DateTime)?))
    }

    /// Seconds.
    pub fn interval(&self) -> Result<u32, WireError> {
        Ok(u32::from_be_bytes(self.four(Kind::Interval)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ttlv::Writer;

    const TAG: Tag = Tag(0x42_0020);

    fn written(fields: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
        let mut out = vec![];
        Writer::new(&mut out, ProtocolVersion::V1_4).structure(TAG, fields);
        out
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    /// KMIP 1.4 §9.1.2 prints an example of each type; each must read, and be written, as printed.
    #[test]
    fn the_specification_s_examples() {
        type Example = (&'static str, fn(&mut Writer<'_>));
        let examples: &[Example] = &[
            ("420020 02 00000004 00000008 00000000", |w| w.integer(TAG, 8)),
            ("420020 03 00000008 01B69B4BA5749200", |w| w.long_integer(TAG, 123_456_789_000_000_000)),
            ("420020 05 00000004 000000FF 00000000", |w| w.enumeration(TAG, 255)),
            ("420020 06 00000008 0000000000000001", |w| w.boolean(TAG, true)),
            ("420020 07 0000000B 48656C6C6F20576F 726C640000000000", |w| w.text(TAG, "Hello World")),
            ("420020 08 00000003 0102030000000000", |w| w.bytes(TAG, &[1, 2, 3])),
            ("420020 09 00000008 0000000047DA67F8", |w| w.date_time(TAG, 0x47DA_67F8)),
            ("420020 0A 00000004 000D2F00 00000000", |w| w.interval(TAG, 864_000)),
            ("420020 01 00000020 420004 05 00000004 000000FE 00000000 420005 02 00000004 000000FF 00000000", |w| {
                w.structure(TAG, |w| {
                    w.enumeration(Tag(0x42_0004), 254);
                    w.integer(Tag(0x42_0005), 255);
                });
            }),
        ];
        for (text, write) in examples {
            let frame = written(write);
            assert_eq!(frame[HEADER_BYTES..], hex(text), "{text}");
            let root = parse(&frame, &Limits::REQUEST).unwrap();
            assert_eq!(root.items().count(), 1, "{text}");
        }
    }

    fn nested(depth: usize) -> Vec<u8> {
        let mut frame = vec![];
        for level in 0..depth {
            let inner = u32::try_from((depth - level - 1) * HEADER_BYTES).unwrap();
            frame.extend_from_slice(&[0x42, 0, 0x20, 1]);
            frame.extend_from_slice(&inner.to_be_bytes());
        }
        frame
    }

    #[test]
    fn each_fault_is_named_and_nothing_is_read_past_its_container() {
        let faults: &[(Vec<u8>, WireError)] = &[
            (vec![], WireError::Truncated { at: 0, needs: 8, has: 0 }),
            (hex("420020 01 0000"), WireError::Truncated { at: 0, needs: 8, has: 6 }),
            (hex("420020 01 00000010 4200200200000004"), WireError::Truncated { at: 0, needs: 24, has: 16 }),
            (hex("420020 01 7FFFFFF8"), WireError::Truncated { at: 0, needs: 0x8000_0000, has: 8 }),
            (
                hex("420020 01 00000010 420020 08 00000010 0000000000000000"),
                WireError::Truncated { at: 8, needs: 24, has: 16 },
            ),
            (hex("420020 01 00000000 00"), WireError::TrailingBytes { extra: 1 }),
            (hex("430020 01 00000000"), WireError::BadTag { at: 0, found: 0x43 }),
            (hex("420020 0B 00000000"), WireError::BadKind { at: 3, found: 0x0B }),
            (hex("420020 00 00000000"), WireError::BadKind { at: 3, found: 0 }),
            (
                hex("420020 02 00000004 0000000000000000"),
                WireError::WrongKind { field: TAG, expected: Kind::Structure, found: Kind::Integer },
            ),
            (
                hex("420020 01 00000010 420020 02 00000008 0000000000000000"),
                WireError::BadLength { at: 8, tag: TAG, found: 8 },
            ),
            (
                hex("420020 01 00000010 420020 04 00000004 0000000000000000"),
                WireError::BadLength { at: 8, tag: TAG, found: 4 },
            ),
            (hex("420020 01 00000010 420020 02 00000004 0000000000000001"), WireError::BadPadding { at: 8, tag: TAG }),
            (hex("420020 01 00000010 420020 06 00000008 0000000000000002"), WireError::BadBoolean { at: 8, tag: TAG }),
            (hex("420020 01 00000010 420020 07 00000002 C328000000000000"), WireError::BadText { at: 8, tag: TAG }),
            (nested(DEPTH_MAX + 1), WireError::TooDeep { at: DEPTH_MAX * 8, max: DEPTH_MAX }),
            (nested(5_000), WireError::TooDeep { at: DEPTH_MAX * 8, max: DEPTH_MAX }),
        ];
        for (frame, expected) in faults {
            assert_eq!(parse(frame, &Limits::REQUEST).err().as_ref(), Some(expected), "{frame:02X?}");
        }
        assert!(parse(&nested(DEPTH_MAX), &Limits::REQUEST).is_ok());
    }

    #[test]
    fn the_number_of_items_and_the_length_have_limits() {
        let frame = written(|w| (0..10).for_each(|_| w.text(TAG, "")));
        let limits = Limits { items: 10, ..Limits::REQUEST };
        assert_eq!(parse(&frame, &limits).err(), Some(WireError::TooManyItems { at: 80, max: 10 }));
        assert!(parse(&frame, &Limits { items: 11, ..limits }).is_ok());
        let short = Limits { message_bytes: frame.len() - 1, ..Limits::REQUEST };
        assert!(matches!(parse(&frame, &short), Err(WireError::TooLarge { .. })));
    }

    #[test]
    fn a_frame_s_length_is_checked_before_room_is_made_for_it() {
        let header = |text: &str| <[u8; 8]>::try_from(hex(text)).unwrap();
        let ask = |text| frame_len(&header(text), Tag::REQUEST_MESSAGE, &Limits::REQUEST);
        assert_eq!(ask("420078 01 00000010"), Ok(24));
        assert_eq!(ask("420078 01 000FFFF8"), Ok(1 << 20));
        assert!(matches!(ask("420078 01 00100000"), Err(WireError::TooLarge { found: 0x10_0008, .. })));
        assert!(matches!(ask("420078 01 FFFFFFF8"), Err(WireError::TooLarge { .. })));
        assert!(matches!(ask("420078 01 00000011"), Err(WireError::BadLength { .. })));
        assert!(matches!(ask("42007B 01 00000010"), Err(WireError::NotAMessage { .. })));
        assert!(matches!(ask("420078 02 00000010"), Err(WireError::NotAMessage { .. })));
        assert!(matches!(ask("474554 20 2F204854"), Err(WireError::BadTag { found: 0x47, .. })));
    }
}
