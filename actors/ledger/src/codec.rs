//! The bytes that are hashed and stored: big-endian numbers and length-prefixed fields, nothing optional, one way to write each value.

use crate::chain::Head;

/// Version byte in front of every stored row.
pub(crate) const ROW_VERSION: u8 = 1;

#[derive(Default)]
pub(crate) struct Writer(Vec<u8>);

impl Writer {
    pub(crate) fn row() -> Self {
        Self(vec![ROW_VERSION])
    }
    pub(crate) fn number(&mut self, value: u64) -> &mut Self {
        self.fixed(&value.to_be_bytes())
    }
    pub(crate) fn fixed(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }
    pub(crate) fn field(&mut self, bytes: &[u8]) -> &mut Self {
        self.number(bytes.len() as u64).fixed(bytes)
    }
    pub(crate) fn done(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.0)
    }
}

/// Reads what [`Writer`] wrote; `None` at the first byte that does not fit.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn row(bytes: &'a [u8]) -> Option<Self> {
        bytes.split_first().filter(|(version, _)| **version == ROW_VERSION).map(|(_, rest)| Self(rest))
    }
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (front, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(front)
    }
    pub(crate) fn number(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_be_bytes)
    }
    pub(crate) fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }
    pub(crate) fn hash(&mut self) -> Option<[u8; 32]> {
        self.take(32)?.try_into().ok()
    }
    pub(crate) fn field(&mut self) -> Option<Vec<u8>> {
        let length = usize::try_from(self.number()?).ok()?;
        self.take(length).map(<[u8]>::to_vec)
    }
    pub(crate) fn text(&mut self) -> Option<String> {
        String::from_utf8(self.field()?).ok()
    }
    pub(crate) fn end(self) -> Option<()> {
        self.0.is_empty().then_some(())
    }
}

/// What a ledger knows of itself, besides its rows; replaced by every batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tip {
    pub(crate) head: Head,
    /// Id of the newest owed row ever assigned.
    pub(crate) owed_id: u64,
    /// Batches committed. Tells after an I/O error whether the batch in doubt had become durable.
    pub(crate) batches: u64,
}

impl Tip {
    pub(crate) const EMPTY: Self = Self { head: Head::EMPTY, owed_id: 0, batches: 0 };

    pub(crate) fn to_row(self) -> Vec<u8> {
        Writer::row().number(self.head.sequence).fixed(&self.head.hash).number(self.owed_id).number(self.batches).done()
    }
    pub(crate) fn from_row(row: &[u8]) -> Option<Self> {
        let mut reader = Reader::row(row)?;
        let head = Head { sequence: reader.number()?, hash: reader.hash()? };
        let tip = Self { head, owed_id: reader.number()?, batches: reader.number()? };
        reader.end().map(|()| tip)
    }
}
