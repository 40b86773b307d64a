//! Writing: everything is appended to one `Vec`, lengths are patched when a structure closes.

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

    /// Takes back everything after `position`.
    pub fn rewind(&mut self, position: usize) {
        self.out.truncate(position);
    }

    fn head(&mut self, tag: Tag, kind: Kind, length: usize) {
        let [_, a, b, c] = tag.0.to_be_bytes();
        self.out.extend_from_slice(&[a, b, c, kind as u8]);
        self.out.extend_from_slice(&length_bytes(length));
    }

    /// Opens a structure; [`Writer::close`] patches its length.
    pub fn open(&mut self, tag: Tag) -> Open {
        self.head(tag, Kind::Structure, 0);
        Open(self.out.len())
    }

    pub fn close(&mut self, open: Open) {
        let length = length_bytes(self.out.len().saturating_sub(open.0));
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
        self.head(tag, kind, 4);
        self.out.extend_from_slice(&value);
        self.out.extend_from_slice(&[0; 4]);
    }

    fn eight(&mut self, tag: Tag, kind: Kind, value: [u8; 8]) {
        self.head(tag, kind, 8);
        self.out.extend_from_slice(&value);
    }

    fn padded(&mut self, tag: Tag, kind: Kind, value: &[u8]) {
        self.head(tag, kind, value.len());
        self.out.extend_from_slice(value);
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

fn padding(length: usize) -> usize {
    length.next_multiple_of(8) - length
}

/// No message here comes near 4 GiB ([`super::ANSWER_BYTES_MAX`]); a longer one would be announced as 4 GiB and refused by any reader.
fn length_bytes(length: usize) -> [u8; 4] {
    u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes()
}
