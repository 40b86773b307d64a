//! The ledger as a Merkle tree: a short proof that an entry stands in it, and that it only grew.
//!
//! The tree has the shape of RFC 6962 §2.1 (the same as RFC 9162 §2.1), and the hashes of PROTOCOL §2: a leaf is the digest of kind `leaf`
//! over an entry's hash, a node the digest of kind `node` over its two children. So no leaf can be shown as a node, and nothing that stands
//! elsewhere in the system as either. Leaf 0 is entry 1; a tree of size *n* holds the entries 1 to *n*.
//!
//! [`Tree`] gives proofs and is what governance keeps; [`Frontier`] only folds, in a few hundred bytes, and is what a check of a file keeps.
//! Both verifiers are pure and need no tree. They go up a proof as RFC 9162 §2.1.3.2 and §2.1.4.2 do.

use sha2::{Digest, Sha256};

use crate::Entry;

/// Most hashes of a proof: one a level, and one more for where a consistency proof begins.
pub const PROOF_HASHES_MAX: usize = 65;

const LEAF: &[u8] = b"openkcm/leaf/v1\0";
const NODE: &[u8] = b"openkcm/node/v1\0";

/// Nodes below this level are computed from the leaves each time: 16 hashes more a proof, and half the memory.
const LEVEL_STORED: u32 = 4;

/// A hash of the tree.
pub type Hash = [u8; 32];

/// How far the ledger had come, and what stood in it: what a checkpoint says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TreeHead {
    /// How many entries.
    pub size: u64,
    pub root: Hash,
}

/// Why a proof proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unproven {
    #[error("the proof is about entry {sequence} of a ledger of {size}: there is no such entry")]
    NoSuchEntry { sequence: u64, size: u64 },
    #[error("the ledger had {old} entries and now has {new}: it became shorter, which an append-only ledger cannot")]
    Shrunk { old: u64, new: u64 },
    #[error("the proof has another length than a proof of these sizes")]
    Length,
    #[error("the proof does not lead to the root: the entry does not stand there, or the proof is another's")]
    NotIncluded,
    #[error(
        "the ledger of {old} entries is no beginning of the ledger of {new}: they are two histories, and somebody is shown a false one"
    )]
    Forked { old: u64, new: u64 },
}

/// The leaf of an entry: the digest of kind `leaf` over its hash, which holds all of the entry and all before it.
pub(crate) fn leaf(entry: &Hash) -> Hash {
    Sha256::new_with_prefix(LEAF).chain_update(entry).finalize().into()
}

fn node(left: &Hash, right: &Hash) -> Hash {
    Sha256::new_with_prefix(NODE).chain_update(left).chain_update(right).finalize().into()
}

/// The root of a ledger without entries: the digest of kind `node` over nothing.
fn nothing() -> Hash {
    Sha256::digest(NODE).into()
}

/// The largest power of two below `size`, which is at least 2 (RFC 6962 §2.1, *k*).
fn split(size: u64) -> u64 {
    1 << size.saturating_sub(1).checked_ilog2().unwrap_or(0)
}

/// The whole tree, with a proof for any size that it has had. 36 bytes an entry.
#[derive(Clone, Debug, Default)]
pub struct Tree {
    leaves: Vec<Hash>,
    /// `[n]` holds the roots of all full subtrees of 2^([`LEVEL_STORED`] + n) leaves, from the left.
    stored: Vec<Vec<Hash>>,
}

impl Tree {
    /// How many entries it holds.
    pub fn size(&self) -> u64 {
        self.leaves.len() as u64
    }

    /// Takes the hash of the next entry.
    pub fn push(&mut self, entry: &Hash) {
        self.leaves.push(leaf(entry));
        let (size, mut level) = (self.size(), LEVEL_STORED);
        // Each level whose subtree this leaf filled gets one node.
        while size.trailing_zeros() >= level {
            let made = self.children(level, (size >> level).saturating_sub(1));
            let at = (level - LEVEL_STORED) as usize;
            if self.stored.len() == at {
                self.stored.push(Vec::new());
            }
            if let (Some(row), Some(made)) = (self.stored.get_mut(at), made) {
                row.push(made);
            }
            level += 1;
        }
    }

    /// The tree as it was with `size` entries; none for more than it holds.
    pub fn head_at(&self, size: u64) -> Option<TreeHead> {
        (size <= self.size()).then_some(())?;
        let root = if size == 0 { nothing() } else { self.range(0, size)? };
        Some(TreeHead { size, root })
    }

    /// That entry `sequence` stands in the ledger of `size` entries (RFC 6962 §2.1.1): the hashes beside its way up, lowest first.
    pub fn inclusion(&self, sequence: u64, size: u64) -> Option<Vec<Hash>> {
        let index = sequence.checked_sub(1)?;
        (index < size && size <= self.size()).then_some(())?;
        let (mut from, mut to, mut path) = (0, size, Vec::new());
        while to - from > 1 {
            let middle = from + split(to - from);
            if index < middle {
                path.push(self.range(middle, to)?);
                to = middle;
            } else {
                path.push(self.range(from, middle)?);
                from = middle;
            }
        }
        path.reverse();
        Some(path)
    }

    /// That the ledger of `old` entries is the beginning of that of `new` (RFC 6962 §2.1.2). Empty where either says nothing: from 0, and
    /// to itself.
    pub fn consistency(&self, old: u64, new: u64) -> Option<Vec<Hash>> {
        (old <= new && new <= self.size()).then_some(())?;
        if old == 0 || old == new {
            return Some(Vec::new());
        }
        let (mut from, mut to, mut path) = (0, new, Vec::new());
        while to != old {
            let middle = from + split(to - from);
            if old <= middle {
                path.push(self.range(middle, to)?);
                to = middle;
            } else {
                path.push(self.range(from, middle)?);
                from = middle;
            }
        }
        // Where the old tree is a whole subtree from the left, whoever checks has its root already.
        if from > 0 {
            path.push(self.range(from, to)?);
        }
        path.reverse();
        Some(path)
    }

    /// The root over the leaves `from..to`, which begin where a subtree of their size may.
    fn range(&self, from: u64, to: u64) -> Option<Hash> {
        let size = to.checked_sub(from)?;
        if size.is_power_of_two() {
            let level = size.trailing_zeros();
            return self.full(level, from >> level);
        }
        let middle = from + split(size);
        Some(node(&self.range(from, middle)?, &self.range(middle, to)?))
    }

    /// The root of the full subtree `index` of 2^`level` leaves.
    fn full(&self, level: u32, index: u64) -> Option<Hash> {
        let at = usize::try_from(index).ok()?;
        if level == 0 {
            self.leaves.get(at).copied()
        } else if level < LEVEL_STORED {
            self.children(level, index)
        } else {
            self.stored.get((level - LEVEL_STORED) as usize)?.get(at).copied()
        }
    }

    fn children(&self, level: u32, index: u64) -> Option<Hash> {
        let below = level.checked_sub(1)?;
        Some(node(&self.full(below, index * 2)?, &self.full(below, index * 2 + 1)?))
    }
}

/// The right edge of a growing tree: enough for its root at each size, and for no proof.
#[derive(Clone, Debug, Default)]
pub struct Frontier {
    size: u64,
    /// The roots of the full subtrees, the largest first: one for each bit of `size`.
    peaks: Vec<Hash>,
}

impl Frontier {
    /// Takes the next entry.
    pub fn push(&mut self, entry: &Entry) {
        self.push_hash(&entry.hash);
    }

    pub(crate) fn push_hash(&mut self, entry: &Hash) {
        let mut made = leaf(entry);
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.peaks.pop() {
                made = node(&left, &made);
            }
        }
        self.peaks.push(made);
        self.size += 1;
    }

    pub fn head(&self) -> TreeHead {
        let root = self.peaks.iter().rev().copied().reduce(|right, left| node(&left, &right));
        TreeHead { size: self.size, root: root.unwrap_or_else(nothing) }
    }
}

/// Checks that the entry with this hash is entry `sequence` of the ledger of `head` (RFC 9162 §2.1.3.2).
pub fn verify_inclusion(sequence: u64, entry: &Hash, head: &TreeHead, proof: &[Hash]) -> Result<(), Unproven> {
    let index = sequence.checked_sub(1).filter(|index| *index < head.size);
    let index = index.ok_or(Unproven::NoSuchEntry { sequence, size: head.size })?;
    let mut way = Way { at: index, last: head.size - 1 };
    let mut root = leaf(entry);
    for beside in proof {
        root = if way.is_right()? { node(beside, &root) } else { node(&root, beside) };
        way.up();
    }
    way.arrived()?;
    if root == head.root { Ok(()) } else { Err(Unproven::NotIncluded) }
}

/// Checks that the ledger of `old` is the beginning of that of `new` (RFC 9162 §2.1.4.2).
pub fn verify_consistency(old: &TreeHead, new: &TreeHead, proof: &[Hash]) -> Result<(), Unproven> {
    if old.size > new.size {
        return Err(Unproven::Shrunk { old: old.size, new: new.size });
    }
    let forked = Unproven::Forked { old: old.size, new: new.size };
    if old.size == 0 || old.size == new.size {
        let same = if old.size == new.size { old.root == new.root } else { old.root == nothing() };
        return match proof {
            [] if same => Ok(()),
            [] => Err(forked),
            _ => Err(Unproven::Length),
        };
    }
    let mut way = Way { at: old.size - 1, last: new.size - 1 };
    way.skip_right();
    let (first, rest) = match proof {
        rest if old.size.is_power_of_two() => (&old.root, rest),
        [first, rest @ ..] => (first, rest),
        [] => return Err(Unproven::Length),
    };
    let (mut was, mut is) = (*first, *first);
    for beside in rest {
        if way.is_right()? {
            (was, is) = (node(beside, &was), node(beside, &is));
        } else {
            is = node(&is, beside);
        }
        way.up();
    }
    way.arrived()?;
    if was == old.root && is == new.root { Ok(()) } else { Err(forked) }
}

/// A way from a leaf up to the root: where it is, and where the last node of its level is (RFC 9162, *fn* and *sn*).
struct Way {
    at: u64,
    last: u64,
}

impl Way {
    /// Whether the hash beside stands on the left. Steps over the levels at which the last node has nothing beside it.
    fn is_right(&mut self) -> Result<bool, Unproven> {
        if self.last == 0 {
            return Err(Unproven::Length);
        }
        if self.at % 2 == 1 {
            return Ok(true);
        }
        if self.at != self.last {
            return Ok(false);
        }
        while self.at.is_multiple_of(2) && self.at != 0 {
            self.up();
        }
        Ok(true)
    }

    /// Steps over the levels at which it is the right child.
    fn skip_right(&mut self) {
        while self.at % 2 == 1 {
            self.up();
        }
    }

    fn up(&mut self) {
        (self.at, self.last) = (self.at >> 1, self.last >> 1);
    }

    fn arrived(&self) -> Result<(), Unproven> {
        if self.last == 0 { Ok(()) } else { Err(Unproven::Length) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// RFC 6962 §2.1 as it is written there, over entries' hashes.
    fn naive_root(entries: &[Hash]) -> Hash {
        match entries {
            [] => nothing(),
            [one] => leaf(one),
            many => {
                let (left, right) = many.split_at(naive_split(many.len()));
                node(&naive_root(left), &naive_root(right))
            }
        }
    }
    fn naive_split(size: usize) -> usize {
        let mut k = 1;
        while k * 2 < size {
            k *= 2;
        }
        k
    }
    /// §2.1.1, PATH(m, D).
    fn naive_path(m: usize, entries: &[Hash]) -> Vec<Hash> {
        if entries.len() == 1 {
            return vec![];
        }
        let k = naive_split(entries.len());
        let (left, right) = entries.split_at(k);
        let (mut path, beside) = if m < k { (naive_path(m, left), right) } else { (naive_path(m - k, right), left) };
        path.push(naive_root(beside));
        path
    }
    /// §2.1.2, SUBPROOF(m, D, b).
    fn naive_subproof(m: usize, entries: &[Hash], whole: bool) -> Vec<Hash> {
        if m == entries.len() {
            return if whole { vec![] } else { vec![naive_root(entries)] };
        }
        let k = naive_split(entries.len());
        let (left, right) = entries.split_at(k);
        let (mut proof, beside) =
            if m <= k { (naive_subproof(m, left, whole), right) } else { (naive_subproof(m - k, right, false), left) };
        proof.push(naive_root(beside));
        proof
    }

    fn entries(count: usize) -> Vec<Hash> {
        (0..count as u64).map(|n| Sha256::digest(n.to_be_bytes()).into()).collect()
    }
    fn tree(entries: &[Hash]) -> Tree {
        let mut tree = Tree::default();
        entries.iter().for_each(|e| tree.push(e));
        tree
    }

    /// Each hash with one bit flipped, each left out, each twice, and one more at the end.
    fn mutated(proof: &[Hash]) -> Vec<Vec<Hash>> {
        let mut all = vec![[proof, &[[7; 32]]].concat(), [&[[7; 32]], proof].concat()];
        for at in 0..proof.len() {
            let mut flipped = proof.to_vec();
            flipped[at][at % 32] ^= 1 << (at % 8);
            let mut dropped = proof.to_vec();
            dropped.remove(at);
            let mut twice = proof.to_vec();
            twice.insert(at, proof[at]);
            all.extend([flipped, dropped, twice]);
        }
        all
    }

    #[test]
    fn the_hashes_of_version_1_are_frozen() {
        // Computed with Python: hashlib.sha256(b"openkcm/leaf/v1\0" + bytes([1]) * 32), and so on; a change orphans every checkpoint.
        let hex = |hash: Hash| hash.iter().map(|b| format!("{b:02x}")).collect::<String>();
        let three = tree(&[[1; 32], [2; 32], [3; 32]]);
        assert_eq!(hex(leaf(&[1; 32])), "76294e0e26179272b4c563246382472cab025ce406aa5b9e4da0e5b29767556c");
        assert_eq!(
            hex(three.head_at(0).unwrap().root),
            "0fa868854fbfdb7f4d6ecfe83319d18eecdf4648ea9a6b3ea973c9e4b8db6690"
        );
        assert_eq!(
            hex(three.head_at(3).unwrap().root),
            "3772d49cb6fe32ef36c68eac5987a3f3d810112698e82d33d359ec2b725c770b"
        );
    }

    #[test]
    fn every_small_tree_is_that_of_the_rfc() {
        let entries = entries(70);
        let tree = tree(&entries);
        let mut frontier = Frontier::default();
        assert_eq!(frontier.head(), tree.head_at(0).unwrap());
        for size in 1..=entries.len() {
            frontier.push_hash(&entries[size - 1]);
            let head = tree.head_at(size as u64).unwrap();
            assert_eq!((head.root, frontier.head()), (naive_root(&entries[..size]), head), "size {size}");
            for index in 0..size {
                let (sequence, proof) = (index as u64 + 1, naive_path(index, &entries[..size]));
                assert_eq!(tree.inclusion(sequence, size as u64).as_ref(), Some(&proof), "{index} of {size}");
                assert_eq!(verify_inclusion(sequence, &entries[index], &head, &proof), Ok(()));
                let (old, proof) = (tree.head_at(sequence).unwrap(), naive_subproof(index + 1, &entries[..size], true));
                assert_eq!(tree.consistency(sequence, size as u64).as_ref(), Some(&proof), "{index} of {size}");
                assert_eq!(verify_consistency(&old, &head, &proof), Ok(()));
            }
        }
    }

    #[test]
    fn every_mutated_proof_of_a_small_tree_is_refused() {
        let entries = entries(20);
        let tree = tree(&entries);
        let head = |size| tree.head_at(size).unwrap();
        for (size, (sequence, entry)) in
            (1..=20).flat_map(|size| (1..=size).zip(&entries).map(move |each| (size, each)))
        {
            let proof = tree.inclusion(sequence, size).unwrap();
            for bad in mutated(&proof) {
                assert!(verify_inclusion(sequence, entry, &head(size), &bad).is_err(), "{sequence} of {size}: {bad:?}");
            }
            for other in (0..=21).filter(|other| *other != sequence) {
                assert!(
                    verify_inclusion(other, entry, &head(size), &proof).is_err(),
                    "{other} for {sequence} of {size}"
                );
            }
            for other in (0..=20).filter(|other| *other != size) {
                assert!(
                    verify_inclusion(sequence, entry, &head(other), &proof).is_err(),
                    "{sequence} of {other}, not {size}"
                );
            }
            assert!(verify_inclusion(sequence, &[9; 32], &head(size), &proof).is_err());
            let (old, proof) = (sequence, tree.consistency(sequence, size).unwrap());
            for bad in mutated(&proof) {
                assert!(verify_consistency(&head(old), &head(size), &bad).is_err(), "{old} to {size}: {bad:?}");
            }
            for other in (1..=20).filter(|other| *other != old) {
                assert!(verify_consistency(&head(other), &head(size), &proof).is_err(), "{other} for {old} to {size}");
            }
            for other in (1..=20).filter(|other| *other != size) {
                assert!(verify_consistency(&head(old), &head(other), &proof).is_err(), "{old} to {other}, not {size}");
            }
        }
    }

    /// A ledger that lies may name any root: the number of hashes has to fit the sizes all the same.
    #[test]
    fn a_root_that_was_made_for_a_longer_or_shorter_proof_is_refused() {
        let (two, beside) = (tree(&entries(2)).head_at(2).unwrap(), [7; 32]);
        let claimed = |size, left: &Hash, right: &Hash| TreeHead { size, root: node(left, right) };
        let short = claimed(8, &two.root, &beside);
        assert_eq!(verify_consistency(&two, &short, &[beside]), Err(Unproven::Length));
        let one = leaf(&[1; 32]);
        assert_eq!(verify_inclusion(1, &[1; 32], &claimed(1, &beside, &one), &[beside]), Err(Unproven::Length));
        assert_eq!(verify_inclusion(1, &[1; 32], &claimed(4, &one, &beside), &[beside]), Err(Unproven::Length));
        assert_eq!(verify_inclusion(1, &[1; 32], &claimed(2, &one, &beside), &[beside]), Ok(()));
    }

    #[test]
    fn another_history_of_the_same_sizes_is_refused() {
        let entries = entries(20);
        let tree = tree(&entries);
        for (new, old) in (1..=20).flat_map(|new| (1..new).map(move |old| (new, old))) {
            let (was, is, proof) =
                (tree.head_at(old).unwrap(), tree.head_at(new).unwrap(), tree.consistency(old, new).unwrap());
            let (other, later) = (TreeHead { root: [7; 32], ..was }, TreeHead { root: [7; 32], ..is });
            assert_eq!(verify_consistency(&other, &is, &proof), Err(Unproven::Forked { old, new }));
            assert_eq!(verify_consistency(&was, &later, &proof), Err(Unproven::Forked { old, new }));
        }
    }

    #[test]
    fn a_shorter_ledger_and_one_from_another_beginning_are_told() {
        let tree = tree(&entries(9));
        let head = |size| tree.head_at(size).unwrap();
        let shrunk = verify_consistency(&head(9), &head(4), &[]);
        assert_eq!(shrunk, Err(Unproven::Shrunk { old: 9, new: 4 }));
        let other = TreeHead { root: [1; 32], ..head(9) };
        assert_eq!(verify_consistency(&other, &head(9), &[]), Err(Unproven::Forked { old: 9, new: 9 }));
        assert_eq!(verify_consistency(&head(0), &head(9), &[]), Ok(()));
        assert!(verify_consistency(&TreeHead { root: [1; 32], size: 0 }, &head(9), &[]).is_err());
        assert_eq!((tree.head_at(10), tree.inclusion(0, 9), tree.inclusion(10, 9)), (None, None, None));
        assert_eq!((tree.consistency(3, 10), tree.consistency(4, 3)), (None, None));
    }

    proptest! {
        #[test]
        fn proofs_of_any_size_hold_and_are_short(size in 1usize..3000, one: prop::sample::Index, bit in 0usize..256, at: prop::sample::Index) {
            let (entries, size) = (entries(size), size as u64);
            let tree = tree(&entries);
            let (index, head) = (one.index(entries.len()), tree.head_at(size).unwrap());
            let (sequence, old) = (index as u64 + 1, tree.head_at(index as u64 + 1).unwrap());
            prop_assert_eq!(head.root, naive_root(&entries));
            let (included, consistent) = (tree.inclusion(sequence, size).unwrap(), tree.consistency(sequence, size).unwrap());
            prop_assert!(included.len().max(consistent.len()) <= 13);
            prop_assert_eq!(verify_inclusion(sequence, &entries[index], &head, &included), Ok(()));
            prop_assert_eq!(verify_consistency(&old, &head, &consistent), Ok(()));
            for (proof, inclusion) in [(included, true), (consistent, false)] {
                if proof.is_empty() {
                    continue;
                }
                let mut bad = proof.clone();
                bad[at.index(proof.len())][bit / 8] ^= 1 << (bit % 8);
                let refused = if inclusion {
                    verify_inclusion(sequence, &entries[index], &head, &bad)
                } else {
                    verify_consistency(&old, &head, &bad)
                };
                prop_assert!(refused.is_err());
            }
        }

        #[test]
        fn no_proof_at_all_panics(
            old: u64, new: u64, proof in prop::collection::vec(any::<[u8; 32]>(), 0..70), old_root: [u8; 32], root: [u8; 32],
        ) {
            let head = TreeHead { size: new, root };
            prop_assert!(verify_inclusion(old, &root, &head, &proof).is_err());
            let before = TreeHead { size: old, root: old_root };
            prop_assert!(old == 0 || verify_consistency(&before, &head, &proof).is_err());
        }
    }
}
