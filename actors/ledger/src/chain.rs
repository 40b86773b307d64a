//! Checks a chain, entry by entry, without storage: the same code for a live ledger, a file at rest and an export.

use crate::{Entry, Frontier, LedgerError, TreeHead};

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

/// What was written down elsewhere, and the chain must pass through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// An entry that was the newest.
    Entry(Head),
    /// The tree of a checkpoint.
    Tree(TreeHead),
}

impl From<Head> for Anchor {
    fn from(head: Head) -> Self {
        Self::Entry(head)
    }
}

impl From<TreeHead> for Anchor {
    fn from(head: TreeHead) -> Self {
        Self::Tree(head)
    }
}

impl Anchor {
    /// The sequence of the last entry that it covers.
    fn sequence(&self) -> u64 {
        match self {
            Self::Entry(head) => head.sequence,
            Self::Tree(head) => head.size,
        }
    }
}

/// A chain in which every hash is right and nothing is missing between `first` and `last`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Summary {
    /// Sequence of the first entry checked; 1 for a whole chain.
    pub first: u64,
    pub last: Head,
    pub entries: u64,
    /// The tree of all entries; none for a part of a chain.
    pub tree: Option<TreeHead>,
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
    #[error(
        "the first {size} entries do not give the root that the checkpoint names: one of them was changed, or the checkpoint is another ledger's"
    )]
    NotTheTree { size: u64 },
    #[error(
        "the chain begins at entry {first}, and a checkpoint covers the entries from the first on: check a ledger or an export that begins there"
    )]
    NotWhole { first: u64 },
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
    /// None for a part.
    tree: Option<Frontier>,
    anchors: Vec<Anchor>,
}

impl Chain {
    /// A chain from its first entry on, which must pass through each of `anchors`.
    pub fn whole(anchors: &[Anchor]) -> Self {
        Self::after(Head::EMPTY, anchors)
    }

    /// A part of a chain: the next entry must follow `at`.
    pub fn after(at: Head, anchors: &[Anchor]) -> Self {
        let tree = (at == Head::EMPTY).then(Frontier::default);
        Self { first: at.sequence.saturating_add(1), at, tree, anchors: anchors.to_vec() }
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
        self.at = entry.head();
        if let Some(tree) = &mut self.tree {
            tree.push(entry);
        }
        self.check_anchors()
    }

    /// The anchors that stand where the chain has come to.
    fn check_anchors(&self) -> Result<(), Broken> {
        let sequence = self.at.sequence;
        for anchor in self.anchors.iter().filter(|a| a.sequence() == sequence) {
            match anchor {
                Anchor::Entry(head) if *head != self.at => return Err(Broken::NotTheAnchor { sequence }),
                Anchor::Tree(head) if self.tree.as_ref().is_some_and(|tree| tree.head() != *head) => {
                    return Err(Broken::NotTheTree { size: sequence });
                }
                Anchor::Entry(_) | Anchor::Tree(_) => {}
            }
        }
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
        if self.tree.is_none() && self.anchors.iter().any(|a| matches!(a, Anchor::Tree(_))) {
            return Err(Broken::NotWhole { first: self.first });
        }
        if let Some(anchor) = self.anchors.iter().find(|a| a.sequence() > self.at.sequence) {
            return Err(Broken::AnchorMissing { sequence: anchor.sequence() });
        }
        if self.at == Head::EMPTY {
            self.check_anchors()?;
        }
        let entries = self.next().saturating_sub(self.first);
        Ok(Summary { first: self.first, last: self.at, entries, tree: self.tree.map(|tree| tree.head()) })
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

    fn tree(entries: &[Entry]) -> TreeHead {
        let mut tree = Frontier::default();
        entries.iter().for_each(|entry| tree.push(entry));
        tree.head()
    }

    fn check(entries: &[Entry], promised: Head, anchors: &[Anchor]) -> Result<Summary, Broken> {
        let mut chain = Chain::whole(anchors);
        entries.iter().try_for_each(|e| chain.link(e))?;
        chain.end(promised)
    }

    #[test]
    fn a_sound_chain_passes() {
        let entries = sound(5);
        let last = entries[4].head();
        let (whole, none) = (Some(tree(&entries)), Some(tree(&[])));
        let anchors = [entries[2].head().into(), tree(&entries[..4]).into(), tree(&[]).into()];
        assert_eq!(check(&entries, last, &anchors), Ok(Summary { first: 1, last, entries: 5, tree: whole }));
        let empty = Summary { first: 1, last: Head::EMPTY, entries: 0, tree: none };
        assert_eq!(check(&[], Head::EMPTY, &[tree(&[]).into()]), Ok(empty));
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
        let (anchors, trees) = ([entries[3].head().into()], [tree(&entries[..4]).into()]);
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
        assert_eq!(check(&forged, head, &trees), Err(Broken::NotTheTree { size: 4 }));
        for anchors in [anchors, trees] {
            assert_eq!(check(&forged[..2], forged[1].head(), &anchors), Err(Broken::AnchorMissing { sequence: 4 }));
        }
        let none = TreeHead { size: 0, root: [1; 32] };
        assert_eq!(check(&[], Head::EMPTY, &[none.into()]), Err(Broken::NotTheTree { size: 0 }));
        assert_eq!(
            check(&entries, Head { hash: [9; 32], ..entries[4].head() }, &[]),
            Err(Broken::WrongHead { sequence: 5 })
        );
    }

    #[test]
    fn a_part_is_not_held_against_a_checkpoint() {
        let entries = sound(5);
        let part = |anchors: &[Anchor]| {
            let mut chain = Chain::after(entries[2].head(), anchors);
            entries[3..].iter().try_for_each(|e| chain.link(e))?;
            chain.end(entries[4].head())
        };
        assert_eq!(part(&[entries[3].head().into()]).map(|summary| summary.tree), Ok(None));
        assert_eq!(part(&[tree(&entries[..4]).into()]), Err(Broken::NotWhole { first: 4 }));
    }
}
