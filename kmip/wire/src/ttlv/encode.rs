//! Writing: everything is appended to one `Vec`, lengths are patched when a structure closes.
//!
//! What is written may be key bytes: a buffer that grows is wiped before its memory is given back.

use zeroize::Zeroize;

use super::{HEADER_BYTES, Kind};
use crate::tables::{ProtocolVersion, Tag};

/// Appends items to a buffer. It carries the protocol version, so that nothing of a later version is written.
pub struct Writer<'o> {
    out: &'o mut Vec<u8>,
    version: ProtocolVersion,
}

impl<'o> Writer<'o> {
    pub fn new(out: &'o mut Vec<u8>, version: ProtocolVersion) -> Self {
        Self { out, version }
    }

    pub fn version(&self) -> ProtocolVersion {
        self.version
    }

    /// Whether fields that came with `since` may be written.
    pub fn knows(&self, since: ProtocolVersion) -> bool {
        self.version.knows(since)
    }

    /// Bytes in the buffer so far.
    pub fn position(&self) -> usize {
        self.out.len()
    }

    /// Takes back everything after `position`, and wipes it: who wipes the buffer later wipes up to its length alone.
    pub fn rewind(&mut self, position: usize) {
        self.out.get_mut(position..).unwrap_or_default().zeroize();
        self.out.truncate(position);
    }

    fn append(&mut self, bytes: &[u8]) {
        make_room(self.out, bytes.len());
        self.out.extend_from_slice(bytes);
    }

    fn head(&mut self, tag: Tag, kind: Kind, length: usize) {
        self.append(&u64::to_be_bytes(head(tag, kind, length)));
    }

    /// Opens a structure; [`Writer::close`] patches its length.
    pub fn open(&mut self, tag: Tag) -> Open {
        self.head(tag, Kind::Structure, 0);
        Open(self.out.len())
    }

    pub fn close(&mut self, open: Open) {
        let length = length_word(self.out.len().saturating_sub(open.0)).to_be_bytes();
        if let Some(place) = self.out.get_mut(open.0.saturating_sub(4)..open.0) {
            place.copy_from_slice(&length);
        }
    }

    pub fn structure(&mut self, tag: Tag, fields: impl FnOnce(&mut Self)) {
        let open = self.open(tag);
        fields(self);
        self.close(open);
    }

    /// An item whose value is encoded already.
    pub fn raw(&mut self, tag: Tag, kind: Kind, value: &[u8]) {
        self.padded(tag, kind, value);
    }

    fn four(&mut self, tag: Tag, kind: Kind, value: [u8; 4]) {
        let value = u64::from(u32::from_be_bytes(value)) << 32;
        self.item(head(tag, kind, 4), value);
    }

    fn eight(&mut self, tag: Tag, kind: Kind, value: [u8; 8]) {
        self.item(head(tag, kind, 8), u64::from_be_bytes(value));
    }

    /// Head and value of sixteen bytes, at once.
    fn item(&mut self, head: u64, value: u64) {
        self.append(&(u128::from(head) << 64 | u128::from(value)).to_be_bytes());
    }

    fn padded(&mut self, tag: Tag, kind: Kind, value: &[u8]) {
        make_room(self.out, HEADER_BYTES + value.len() + HEADER_BYTES);
        self.head(tag, kind, value.len());
        self.append(value);
        self.out.resize(self.out.len() + padding(value.len()), 0);
    }

    pub fn integer(&mut self, tag: Tag, value: i32) {
        self.four(tag, Kind::Integer, value.to_be_bytes());
    }

    pub fn long_integer(&mut self, tag: Tag, value: i64) {
        self.eight(tag, Kind::LongInteger, value.to_be_bytes());
    }

    pub fn enumeration(&mut self, tag: Tag, value: u32) {
        self.four(tag, Kind::Enumeration, value.to_be_bytes());
    }

    pub fn boolean(&mut self, tag: Tag, value: bool) {
        self.eight(tag, Kind::Boolean, u64::from(value).to_be_bytes());
    }

    pub fn text(&mut self, tag: Tag, value: &str) {
        self.padded(tag, Kind::TextString, value.as_bytes());
    }

    pub fn bytes(&mut self, tag: Tag, value: &[u8]) {
        self.padded(tag, Kind::ByteString, value);
    }

    /// A Byte String of at most `room` bytes that `fill` writes in place: it gets as many zeros, and answers how many of them it used.
    /// What it did not use is wiped; if it fails, nothing is written.
    pub fn bytes_in_place<T, E>(
        &mut self,
        tag: Tag,
        room: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(usize, T), E>,
    ) -> Result<T, E> {
        make_room(self.out, HEADER_BYTES + room + HEADER_BYTES);
        let before = self.out.len();
        self.head(tag, Kind::ByteString, 0);
        let open = Open(self.out.len());
        self.out.resize(open.0 + room, 0);
        let (used, found) =
            fill(self.out.get_mut(open.0..).unwrap_or_default()).inspect_err(|_| self.rewind(before))?;
        self.rewind(open.0 + used.min(room));
        self.close(open);
        self.out.resize(self.out.len() + padding(used.min(room)), 0);
        Ok(found)
    }

    pub fn date_time(&mut self, tag: Tag, seconds: i64) {
        self.eight(tag, Kind::DateTime, seconds.to_be_bytes());
    }

    pub fn interval(&mut self, tag: Tag, seconds: u32) {
        self.four(tag, Kind::Interval, seconds.to_be_bytes());
    }

    /// Overwrites the four-byte value of the Integer that was written at `position`.
    pub fn patch_integer(&mut self, position: usize, value: i32) {
        let start = position + HEADER_BYTES;
        if let Some(place) = self.out.get_mut(start..start + 4) {
            place.copy_from_slice(&value.to_be_bytes());
        }
    }
}

/// A structure that is not closed yet.
#[must_use = "a structure that is not closed has length 0"]
pub struct Open(usize);

/// Makes room for `more` bytes without leaving what `out` holds behind in freed memory.
#[inline]
pub fn make_room(out: &mut Vec<u8>, more: usize) {
    if out.capacity() - out.len() < more {
        *out = grown(out, more);
    }
}

/// A larger buffer with the same bytes; the old one is left wiped.
#[cold]
fn grown(out: &mut Vec<u8>, more: usize) -> Vec<u8> {
    let needed = out.len().saturating_add(more);
    let mut larger = Vec::with_capacity(needed.checked_next_power_of_two().unwrap_or(needed));
    larger.extend_from_slice(out);
    out.as_mut_slice().zeroize();
    larger
}

fn head(tag: Tag, kind: Kind, length: usize) -> u64 {
    u64::from(tag.0) << 40 | u64::from(kind as u8) << 32 | u64::from(length_word(length))
}

fn padding(length: usize) -> usize {
    length.next_multiple_of(8) - length
}

/// No message here comes near 4 GiB ([`super::ANSWER_BYTES_MAX`]); a longer one would be announced as 4 GiB and refused by any reader.
fn length_word(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_that_grows_keeps_its_bytes_and_leaves_none_behind() {
        let mut old = b"an answer with a key".to_vec();
        let larger = grown(&mut old, 10_000);
        assert_eq!(larger, b"an answer with a key");
        assert!(larger.capacity() >= 10_020 && old.iter().all(|byte| *byte == 0));
    }

    /// What the memory has behind the length is asked of the system: nothing safe in the language reads it.
    #[cfg(target_os = "linux")]
    fn behind(out: &[u8]) -> [u8; 48] {
        use std::os::unix::fs::FileExt;
        let mut behind = [1; 48];
        let at = u64::try_from(out.as_ptr().addr() + out.len()).unwrap();
        std::fs::File::open("/proc/self/mem").unwrap().read_exact_at(&mut behind, at).unwrap();
        behind
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_is_taken_back_is_wiped() {
        let mut out = Vec::with_capacity(256);
        let mut writer = Writer::new(&mut out, ProtocolVersion::V1_4);
        writer.integer(Tag::BATCH_COUNT, 1);
        let mark = writer.position();
        writer.bytes(Tag::KEY_MATERIAL, &[0xA5; 40]);
        writer.rewind(mark);
        assert_eq!(out.len(), 16);
        assert_eq!(behind(&out), [0; 48]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_was_written_in_place_and_is_not_used_is_wiped() {
        let fill = |used: Result<usize, &'static str>| {
            let mut out = Vec::with_capacity(256);
            let mut writer = Writer::new(&mut out, ProtocolVersion::V1_4);
            writer.integer(Tag::BATCH_COUNT, 1);
            let filled = writer.bytes_in_place(Tag::DATA, 40, |place| {
                place.fill(0xA5);
                used.map(|used| (used, ()))
            });
            (filled, behind(&out), out.len())
        };
        assert_eq!(fill(Err("failed")), (Err("failed"), [0; 48], 16));
        assert_eq!(fill(Ok(8)), (Ok(()), [0; 48], 32));
    }

    #[test]
    fn bytes_in_place_are_as_bytes() {
        for (room, used) in [(0, 0), (5, 5), (8, 8), (24, 3), (24, 16)] {
            let (mut out, mut expected) = (vec![], vec![]);
            let mut writer = Writer::new(&mut out, ProtocolVersion::V1_4);
            let found = writer.bytes_in_place(Tag::DATA, room, |place| {
                assert_eq!(place, vec![0; room]);
                place.fill(7);
                Ok::<_, ()>((used, "found"))
            });
            assert_eq!(found, Ok("found"));
            Writer::new(&mut expected, ProtocolVersion::V1_4).bytes(Tag::DATA, &vec![7; used]);
            assert_eq!(out, expected, "{used} of {room}");
        }
    }

    /// No append of the writer's is left to `Vec`, which would move the bytes and leave the old ones as they are.
    #[test]
    fn every_append_makes_its_room_first() {
        let key = [0xA5; 40];
        for spare in 0..200 {
            let mut out = Vec::with_capacity(spare);
            let mut writer = Writer::new(&mut out, ProtocolVersion::V1_4);
            writer.structure(Tag::REQUEST_MESSAGE, |writer| {
                writer.bytes(Tag::KEY_MATERIAL, &key);
                writer.integer(Tag::BATCH_COUNT, 1);
                writer.long_integer(Tag::BATCH_COUNT, 2);
                writer.bytes(Tag::KEY_MATERIAL, &key[..3]);
                let filled = writer.bytes_in_place(Tag::DATA, 32, |place| {
                    place.fill(0xA5);
                    Ok::<_, ()>((17, ()))
                });
                filled.unwrap();
            });
            assert_eq!(out.len(), 8 + 48 + 16 + 16 + 16 + 32);
            // Only `grown` answers in powers of two.
            assert!(out.capacity() == spare || out.capacity().is_power_of_two(), "{spare}: {}", out.capacity());
        }
    }
}
