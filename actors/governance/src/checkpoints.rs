//! Checkpoints: the ledger as a tree, and our signature under its root.
//!
//! The tree is a fold of the ledger that is made at the first question and grows from then on. It takes an entry only as the next of a
//! sound chain, and it goes through the last checkpoint that an earlier run of this node wrote down: over a ledger that was edited, cut off
//! or put back to a backup nothing is signed, and no proof is given. Who holds two checkpoints of ours that contradict each other has
//! proof against us, so we would rather say nothing.

use std::sync::{Arc, Mutex, PoisonError};

use ledger::{Broken, Chain, Checkpoint, Ledger, READ_ROWS_MAX, Tree, TreeHead};
use orbital::{
    names::Deployment,
    note::{Note, Signer},
};

use crate::error::{Error, Fault, Refusal};

/// Who signs checkpoints, and where an earlier run had come to.
pub struct Checkpointing {
    /// With a key that signs nothing else, under the name [`origin`].
    pub signer: Signer,
    /// What this node signed last, as far as it was written down outside the ledger.
    pub last: Option<TreeHead>,
}

/// The name of a deployment's ledger: the first line of its checkpoints.
pub fn origin(deployment: &Deployment) -> String {
    format!("{deployment}/ledger")
}

/// See the module.
pub(crate) struct Checkpoints {
    signer: Option<Signer>,
    grown: Mutex<Grown>,
}

struct Grown {
    tree: Tree,
    chain: Chain,
    /// The ledger must reach this at once.
    last: u64,
    /// For good: what is broken does not mend itself.
    broken: Option<Broken>,
}

impl Checkpoints {
    pub(crate) fn new(checkpointing: Option<Checkpointing>) -> Self {
        let (signer, last) = checkpointing.map_or((None, None), |c| (Some(c.signer), c.last));
        let anchors: Vec<_> = last.into_iter().map(Into::into).collect();
        let (chain, last) = (Chain::whole(&anchors), last.map_or(0, |head| head.size));
        Self { signer, grown: Mutex::new(Grown { tree: Tree::default(), chain, last, broken: None }) }
    }

    /// The newest checkpoint, and the key that checks it.
    pub(crate) fn checkpoint(&self, ledger: &dyn Ledger, now_s: u64) -> Result<(Note, Checkpoint, String), Error> {
        let signer = self.signer.as_ref().ok_or(Refusal::NoCheckpoints)?;
        let head = self.with_tree(ledger, |tree| tree.head_at(tree.size()))?;
        let head = head.ok_or(Fault::Gone { what: "the ledger's tree" })?;
        let checkpoint = Checkpoint { origin: signer.verifier().name().to_owned(), head };
        Ok((Note::signed(checkpoint.text(), signer, now_s), checkpoint, signer.verifier().to_string()))
    }

    /// Asks the tree, which has every entry that the ledger had when the question was put. Blocks.
    pub(crate) fn with_tree<T>(&self, ledger: &dyn Ledger, ask: impl FnOnce(&Tree) -> T) -> Result<T, Error> {
        // A panic in the middle leaves chain and tree apart, so a poisoned lock is not taken over.
        let mut grown = self.grown.lock().map_err(|_| Fault::Gone { what: "the ledger's tree" })?;
        grown.catch_up(ledger)?;
        Ok(ask(&grown.tree))
    }
}

impl Grown {
    fn catch_up(&mut self, ledger: &dyn Ledger) -> Result<(), Fault> {
        let newest = ledger.head()?.sequence;
        while self.broken.is_none() && self.tree.size() < newest.max(self.last) {
            let page = ledger.entries(self.chain.next(), READ_ROWS_MAX)?;
            if page.is_empty() {
                self.broken = Some(Broken::AnchorMissing { sequence: newest.max(self.last) });
            }
            for entry in page {
                if let Err(broken) = self.chain.link(&entry) {
                    self.broken = Some(broken);
                    break;
                }
                self.tree.push(&entry.hash);
            }
        }
        self.broken.clone().map_or(Ok(()), |why| Err(Fault::BrokenLedger(why)))
    }
}

impl std::fmt::Debug for Checkpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let size = self.grown.lock().unwrap_or_else(PoisonError::into_inner).tree.size();
        f.debug_struct("Checkpoints").field("size", &size).finish_non_exhaustive()
    }
}

/// Asks on a thread that may block.
pub(crate) async fn blocking<T: Send + 'static>(
    checkpoints: &Arc<Checkpoints>,
    ledger: &Arc<dyn Ledger>,
    ask: impl FnOnce(&Checkpoints, &dyn Ledger) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let (checkpoints, ledger) = (Arc::clone(checkpoints), Arc::clone(ledger));
    let asked = tokio::task::spawn_blocking(move || ask(&checkpoints, &*ledger)).await;
    asked.unwrap_or_else(|_| Err(Fault::Gone { what: "the reading task" }.into()))
}

#[cfg(test)]
mod tests {
    use ledger::{Batch, MemoryLedger, NewEntry, verify_consistency};
    use orbital::{note::Scheme, sign::SecretKey};

    use super::*;

    fn grow(ledger: &MemoryLedger, kinds: &[&str]) {
        for kind in kinds {
            let (subject, correlation) = (String::new(), String::new());
            let new = NewEntry { at_ms: 1, kind: (*kind).into(), subject, correlation, body: b"{}".to_vec() };
            ledger.append(Batch::of(new)).unwrap();
        }
    }

    fn signing(last: Option<TreeHead>) -> Checkpoints {
        let name = origin(&Deployment::new("test").unwrap());
        let signer = Signer::new(&name, Scheme::Log, SecretKey::from_seed(&[6; 32])).unwrap();
        Checkpoints::new(Some(Checkpointing { signer, last }))
    }

    fn broken<T>(result: Result<T, Error>) -> Broken {
        match result {
            Err(Error::Fault(Fault::BrokenLedger(why))) => why,
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it was signed"),
        }
    }

    #[test]
    fn a_checkpoint_is_a_note_of_our_key_and_the_next_one_is_consistent_with_it() {
        let (ledger, checkpoints) = (MemoryLedger::new(), signing(None));
        let (note, empty, key) = checkpoints.checkpoint(&ledger, 0).unwrap();
        assert_eq!((empty.origin.as_str(), empty.head.size), ("test/ledger", 0));
        let verifier = key.parse().unwrap();
        assert_eq!(note.check(&verifier), Ok(None));
        grow(&ledger, &["a", "b", "c"]);
        let (_, three, _) = checkpoints.checkpoint(&ledger, 0).unwrap();
        grow(&ledger, &["d"; 5000]);
        let (note, many, _) = checkpoints.checkpoint(&ledger, 0).unwrap();
        assert_eq!(note.check(&verifier), Ok(None));
        assert_eq!(Checkpoint::parse(note.text()).as_ref(), Ok(&many));
        assert_eq!((many.head.size, Some(many.head)), (5003, ledger.verify().unwrap().tree));
        let proof = checkpoints.with_tree(&ledger, |tree| tree.consistency(3, 5003)).unwrap().unwrap();
        assert_eq!(verify_consistency(&three.head, &many.head, &proof), Ok(()));
    }

    #[test]
    fn without_a_key_there_is_no_checkpoint_and_the_tree_answers_all_the_same() {
        let (ledger, checkpoints) = (MemoryLedger::new(), Checkpoints::new(None));
        grow(&ledger, &["a"]);
        assert!(matches!(checkpoints.checkpoint(&ledger, 0), Err(Error::Refused(Refusal::NoCheckpoints))));
        assert_eq!(checkpoints.with_tree(&ledger, Tree::size).unwrap(), 1);
    }

    /// What a restored backup or an edited file looks like to the next run.
    #[test]
    fn over_a_ledger_that_is_not_the_one_signed_before_nothing_is_signed() {
        let (before, shorter, other) = (MemoryLedger::new(), MemoryLedger::new(), MemoryLedger::new());
        grow(&before, &["a", "b", "c"]);
        grow(&shorter, &["a", "b"]);
        grow(&other, &["a", "x", "c", "d"]);
        let last = signing(None).checkpoint(&before, 0).unwrap().1.head;
        assert_eq!(signing(Some(last)).checkpoint(&before, 0).unwrap().1.head, last);
        let checkpoints = signing(Some(last));
        for _ in 0..2 {
            assert_eq!(broken(checkpoints.checkpoint(&other, 0)), Broken::NotTheTree { size: 3 });
            assert_eq!(broken(checkpoints.with_tree(&other, |_| ())), Broken::NotTheTree { size: 3 });
        }
        let checkpoints = signing(Some(last));
        assert_eq!(broken(checkpoints.checkpoint(&shorter, 0)), Broken::AnchorMissing { sequence: 3 });
        // Growing over the gap later does not mend it.
        grow(&shorter, &["y", "z"]);
        assert_eq!(broken(checkpoints.checkpoint(&shorter, 0)), Broken::AnchorMissing { sequence: 3 });
    }
}
