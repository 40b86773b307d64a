//! Checks a chain, entry by entry, without storage: the same code for a live ledger, a file at rest and an export.

use crate::{Entry, LedgerError};

/// The newest entry's place and hash. Whoever keeps a head elsewhere can later prove that the chain still passes through it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    pub sequence: u64,
    pub hash: [u8; 32],
}

impl Head {
    /// The head of a ledger without entries, and the `previous` of the first.
    pub const EMPTY: Self = Self { sequence: 0, hash: [0; 32] };
}

/// A chain in which every hash is right and nothing is missing between `first` and `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Sequence of the first entry checked; 1 for a whole chain.
    pub first: u64,
    pub last: Head,
    pub entries: u64,
}

/// Where and how a chain is broken. Everything before the place named was in order.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Broken {
    #[error(
        "entry {expected} is missing: entry {found} stands in its place. Entries were deleted, repeated or put in another order"
    )]
    OutOfOrder { expected: u64, found: u64 },
    #[error(
        "entry {sequence} does not follow the entry before it: its `previous` names another hash. One of the two was replaced"
    )]
    Unlinked { sequence: u64 },
    #[error("entry {sequence} was changed after it was written: its content does not give its hash")]
    Changed { sequence: u64 },
    #[error(
        "the chain ends at entry {found}, but its head says {expected}: the newest entries were cut off or added by hand"
    )]
    WrongEnd { expected: u64, found: u64 },
    #[error("the chain's last entry {sequence} is not the one that the head names: it was replaced")]
    WrongHead { sequence: u64 },
    #[error(
        "entry {sequence} is not the one that was written down elsewhere: the chain was computed anew, by someone who can write to it"
    )]
    NotTheAnchor { sequence: u64 },
    #[error(
        "the chain does not reach entry {sequence}, which was written down elsewhere: it was cut off or put back to a backup"
    )]
    AnchorMissing { sequence: u64 },
    #[error("line {line} of the export {why}: ask for the export again from the node itself")]
    Line { line: u64, why: String },
    #[error("{why}")]
    InUse { why: String },
    #[error("the chain could not be read: {why}")]
    Unreadable { why: String },
}

impl Broken {
    pub(crate) fn unreadable(error: &LedgerError) -> Self {
        let why = error.to_string();
        if matches!(error, LedgerError::InUse { .. }) { Self::InUse { why } } else { Self::Unreadable { why } }
    }
}

/// A fold over entries: give each to [`Chain::link`], then call [`Chain::end`] with the head that was promised.
#[derive(Clone, Debug)]
pub struct Chain {
    first: u64,
    at: Head,
    anchors: Vec<Head>,
}

impl Chain {
    /// A chain from its first entry on, which must pass through each of `anchors`.
    pub fn whole(anchors: &[Head]) -> Self {
        Self::after(Head::EMPTY, anchors)
    }

    /// A part of a chain: the next entry must follow `at`.
    pub fn after(at: Head, anchors: &[Head]) -> Self {
        Self { first: at.sequence.saturating_add(1), at, anchors: anchors.to_vec() }
    }

    /// Sequence of the entry that must come next.
    pub fn next(&self) -> u64 {
        self.at.sequence.saturating_add(1)
    }

    /// Takes the next entry.
    pub fn link(&mut self, entry: &Entry) -> Result<(), Broken> {
        let sequence = entry.sequence;
        if sequence != self.next() {
            return Err(Broken::OutOfOrder { expected: self.next(), found: sequence });
        }
        if entry.previous != self.at.hash {
            return Err(Broken::Unlinked { sequence });
        }
        if entry.hash != entry.computed_hash() {
            return Err(Broken::Changed { sequence });
        }
        if self.anchors.iter().any(|a| a.sequence == sequence && a.hash != entry.hash) {
            return Err(Broken::NotTheAnchor { sequence });
        }
        self.at = entry.head();
        Ok(())
    }

    /// Ends the chain: it must have reached `promised` and every anchor.
    pub fn end(self, promised: Head) -> Result<Summary, Broken> {
        if promised.sequence != self.at.sequence {
            return Err(Broken::WrongEnd { expected: promised.sequence, found: self.at.sequence });
        }
        if promised.hash != self.at.hash {
            return Err(Broken::WrongHead { sequence: self.at.sequence });
        }
        if let Some(anchor) = self.anchors.iter().find(|a| a.sequence > self.at.sequence) {
            return Err(Broken::AnchorMissing { sequence: anchor.sequence });
        }
        let entries = self.next().saturating_sub(self.first);
        Ok(Summary { first: self.first, last: self.at, entries })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::NewEntry;

    /// A sound chain of `count` entries.
    pub(crate) fn sound(count: u64) -> Vec<Entry> {
        let mut head = Head::EMPTY;
        (1..=count)
            .map(|sequence| {
                let body = format!("{{\"n\":\"{sequence}\"}}").into_bytes();
                let (kind, subject) = ("test.done".to_owned(), "tenant".to_owned());
                let new = NewEntry { at_ms: 1000 + sequence, kind, subject, correlation: "c".into(), body };
                let entry = Entry::after(&head, sequence, &new);
                head = entry.head();
                entry
            })
            .collect()
    }

    fn check(entries: &[Entry], promised: Head, anchors: &[Head]) -> Result<Summary, Broken> {
        let mut chain = Chain::whole(anchors);
        entries.iter().try_for_each(|e| chain.link(e))?;
        chain.end(promised)
    }

    #[test]
    fn a_sound_chain_passes() {
        let entries = sound(5);
        let last = entries[4].head();
        assert_eq!(check(&entries, last, &[entries[2].head()]), Ok(Summary { first: 1, last, entries: 5 }));
        assert_eq!(check(&[], Head::EMPTY, &[]), Ok(Summary { first: 1, last: Head::EMPTY, entries: 0 }));
    }

    #[test]
    fn each_kind_of_damage_is_named() {
        let entries = sound(5);
        let last = entries[4].head();
        let damaged = |change: &dyn Fn(&mut Vec<Entry>)| {
            let mut copy = entries.clone();
            change(&mut copy);
            check(&copy, last, &[]).unwrap_err()
        };
        assert_eq!(damaged(&|c| drop(c.remove(2))), Broken::OutOfOrder { expected: 3, found: 4 });
        assert_eq!(damaged(&|c| c.swap(1, 2)), Broken::OutOfOrder { expected: 2, found: 3 });
        assert_eq!(damaged(&|c| c[3].body.push(b' ')), Broken::Changed { sequence: 4 });
        assert_eq!(damaged(&|c| c[3].previous[0] ^= 1), Broken::Unlinked { sequence: 4 });
        assert_eq!(damaged(&|c| drop(c.pop())), Broken::WrongEnd { expected: 5, found: 4 });
    }

    #[test]
    fn a_chain_computed_anew_is_found_by_an_anchor_alone() {
        let entries = sound(5);
        let anchors = [entries[3].head()];
        let mut forged = sound(2);
        let mut head = forged[1].head();
        for sequence in 3..=5u64 {
            let kind = "forged".into();
            let new =
                NewEntry { at_ms: 1, kind, subject: String::new(), correlation: String::new(), body: b"1".to_vec() };
            forged.push(Entry::after(&head, sequence, &new));
            head = forged.last().unwrap().head();
        }
        assert!(check(&forged, head, &[]).is_ok());
        assert_eq!(check(&forged, head, &anchors), Err(Broken::NotTheAnchor { sequence: 4 }));
        assert_eq!(check(&forged[..2], forged[1].head(), &anchors), Err(Broken::AnchorMissing { sequence: 4 }));
        assert_eq!(
            check(&entries, Head { hash: [9; 32], ..entries[4].head() }, &[]),
            Err(Broken::WrongHead { sequence: 5 })
        );
    }
}
