//! How a row is written: format, revision, a tag over where it stands and what it says, then its content (PROTOCOL §6).

use crate::{
    error::Error,
    mac::{NodeKey, TAG_BYTES},
};

const FORMAT: u8 = 1;

/// Which table a row belongs to; part of its tag.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Table {
    Meta,
    Tenants,
    Ended,
    Keys,
    Objects,
}

impl Table {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Meta => "meta",
            Self::Tenants => "tenants",
            Self::Ended => "ended",
            Self::Keys => "keys",
            Self::Objects => "objects",
        }
    }
}

/// Writes and reads rows of one region's store.
pub(crate) struct Rows<'a> {
    pub(crate) key: &'a NodeKey,
    pub(crate) region: &'a str,
}

impl Rows<'_> {
    /// The bytes to store under `key` of `table`.
    pub(crate) fn write(&self, table: Table, key: &[u8], revision: u64, content: &[u8]) -> Vec<u8> {
        let revision = revision.to_be_bytes();
        let tag = self.key.tag("row", &[self.region.as_bytes(), table.name().as_bytes(), key, &revision, content]);
        [&[FORMAT], revision.as_slice(), &tag, content].concat()
    }

    /// The revision and content of a stored row; [`Error::Forged`] for one that was not written here, for this place.
    pub(crate) fn read<'b>(&self, table: Table, key: &[u8], stored: &'b [u8]) -> Result<(u64, &'b [u8]), Error> {
        self.parts(table, key, stored).ok_or_else(|| Error::Forged { table: table.name(), key: short(key) })
    }

    fn parts<'b>(&self, table: Table, key: &[u8], stored: &'b [u8]) -> Option<(u64, &'b [u8])> {
        let rest = stored.strip_prefix(&[FORMAT])?;
        let (revision, rest) = rest.split_first_chunk::<8>()?;
        let (tag, content) = rest.split_first_chunk::<TAG_BYTES>()?;
        let parts = [self.region.as_bytes(), table.name().as_bytes(), key, revision, content];
        self.key.verifies("row", &parts, tag).then(|| (u64::from_be_bytes(*revision), content))
    }
}

/// A key for messages: its first bytes in hexadecimal.
fn short(key: &[u8]) -> String {
    key.iter().take(12).map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_read_only_where_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let key = NodeKey::load_or_create(&dir.path().join("node.key")).unwrap();
        let rows = Rows { key: &key, region: "eu" };
        let row = rows.write(Table::Objects, b"key", 7, b"content");
        assert_eq!(rows.read(Table::Objects, b"key", &row).unwrap(), (7, b"content".as_slice()));
        assert!(rows.read(Table::Keys, b"key", &row).is_err());
        assert!(rows.read(Table::Objects, b"kez", &row).is_err());
        assert!(Rows { key: &key, region: "ch" }.read(Table::Objects, b"key", &row).is_err());
        for at in 0..row.len() {
            let mut changed = row.clone();
            changed[at] ^= 1;
            assert!(rows.read(Table::Objects, b"key", &changed).is_err(), "byte {at}");
        }
    }
}
