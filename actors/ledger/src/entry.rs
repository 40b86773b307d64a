//! One link of the chain.

use sha2::{Digest, Sha256};

use crate::{
    NewEntry,
    chain::Head,
    codec::{Reader, Writer},
};

/// PROTOCOL §2: `digest = SHA-256("openkcm/" kind "/v1" 0x00 bytes)`, here with the kind `entry`.
const DOMAIN: &[u8] = b"openkcm/entry/v1\0";

/// What happened, when, to whom, and the hash of everything before it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// 1 for the first entry, then without a gap.
    pub sequence: u64,
    /// Unix milliseconds.
    pub at_ms: u64,
    /// What happened, such as `proposal.approved`.
    pub kind: String,
    /// The tenant's id, or empty.
    pub subject: String,
    pub correlation: String,
    /// One JSON value, kept byte for byte.
    pub body: Vec<u8>,
    /// Hash of the entry before; zero for the first.
    pub previous: [u8; 32],
    /// SHA-256 over the domain `openkcm/entry/v1` and [`Entry::canonical`].
    pub hash: [u8; 32],
}

impl Entry {
    /// Gives a new entry its place after `head`, which has the sequence before `sequence`.
    pub(crate) fn after(head: &Head, sequence: u64, new: &NewEntry) -> Self {
        let mut entry = Self {
            sequence,
            at_ms: new.at_ms,
            kind: new.kind.clone(),
            subject: new.subject.clone(),
            correlation: new.correlation.clone(),
            body: new.body.clone(),
            previous: head.hash,
            hash: [0; 32],
        };
        entry.hash = entry.computed_hash();
        entry
    }

    /// The bytes under the hash: sequence and time as 8 bytes big-endian; kind, subject, correlation and body each behind its length
    /// in 8 bytes; the previous hash. Two different entries never have the same bytes.
    pub fn canonical(&self) -> Vec<u8> {
        let mut writer = Writer::default();
        self.write(&mut writer);
        writer.done()
    }

    /// The hash that this entry must have.
    pub fn computed_hash(&self) -> [u8; 32] {
        Sha256::new_with_prefix(DOMAIN).chain_update(self.canonical()).finalize().into()
    }

    pub(crate) fn head(&self) -> Head {
        Head { sequence: self.sequence, hash: self.hash }
    }

    fn write(&self, writer: &mut Writer) {
        writer
            .number(self.sequence)
            .number(self.at_ms)
            .field(self.kind.as_bytes())
            .field(self.subject.as_bytes())
            .field(self.correlation.as_bytes())
            .field(&self.body)
            .fixed(&self.previous);
    }

    pub(crate) fn to_row(&self) -> Vec<u8> {
        let mut writer = Writer::row();
        self.write(&mut writer);
        writer.fixed(&self.hash).done()
    }

    /// Reads a stored row; `None` for one that this release did not write.
    pub(crate) fn from_row(row: &[u8]) -> Option<Self> {
        let mut reader = Reader::row(row)?;
        let entry = Self {
            sequence: reader.number()?,
            at_ms: reader.number()?,
            kind: reader.text()?,
            subject: reader.text()?,
            correlation: reader.text()?,
            body: reader.field()?,
            previous: reader.hash()?,
            hash: reader.hash()?,
        };
        reader.end().map(|()| entry)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sample() -> NewEntry {
        let kind = "proposal.approved".into();
        NewEntry {
            at_ms: 1_700_000_000_000,
            kind,
            subject: "t".into(),
            correlation: "c".into(),
            body: b"{\"a\":1}".to_vec(),
        }
    }

    #[test]
    fn the_hash_of_version_1_is_frozen() {
        // Computed with Python: hashlib.sha256(b"openkcm/entry/v1\0" + struct.pack(...)); a change here orphans every stored chain.
        let entry = Entry::after(&Head::EMPTY, 1, &sample());
        let hex: String = entry.hash.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(hex, "2a137e7de5dae28281caae3e03ead774eda9754b64399e555461ef1f4b14391a");
    }

    #[test]
    fn a_field_cannot_lend_bytes_to_its_neighbour() {
        let left = NewEntry { subject: "ab".into(), correlation: "c".into(), ..sample() };
        let right = NewEntry { subject: "a".into(), correlation: "bc".into(), ..sample() };
        assert_ne!(Entry::after(&Head::EMPTY, 1, &left).hash, Entry::after(&Head::EMPTY, 1, &right).hash);
    }

    proptest! {
        #[test]
        fn a_row_reads_back_and_no_cut_of_it_does(
            at_ms: u64, kind in ".{0,20}", subject in ".{0,20}", correlation in ".{0,9}", body: Vec<u8>, cut: prop::sample::Index,
        ) {
            let new = NewEntry { at_ms, kind, subject, correlation, body };
            let row = Entry::after(&Head::EMPTY, 1, &new).to_row();
            prop_assert_eq!(Entry::from_row(&row), Some(Entry::after(&Head::EMPTY, 1, &new)));
            prop_assert_eq!(Entry::from_row(&row[..cut.index(row.len())]), None);
            let longer = [row.as_slice(), &[0]].concat();
            prop_assert_eq!(Entry::from_row(&longer), None);
        }
    }
}
