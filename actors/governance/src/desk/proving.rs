//! What the desk proves about its ledger. Checkpoints and consistency are for everybody whom governance knows: like the head, they tell
//! nothing about another tenant but that something was written. That an entry stands there is told to whoever may see the entry.

use std::sync::Arc;

use ledger::{Checkpoint, Hash};
use orbital::names::Digest;

use super::{Desk, blocking};
use crate::{
    checkpoints,
    error::{Error, Fault, Refusal},
    views::{CheckpointView, ConsistencyView, InclusionView},
};

impl Desk {
    /// The newest checkpoint: a signed note (C2SP tlog-checkpoint), made now.
    pub async fn checkpoint(&self) -> Result<CheckpointView, Error> {
        let now_s = self.shared.clock.unix_seconds();
        let asked = checkpoints::blocking(&self.shared.checkpoints, &self.shared.ledger, move |all, ledger| {
            all.checkpoint(ledger, now_s)
        });
        let (note, Checkpoint { origin, head }, verifier) = asked.await?;
        Ok(CheckpointView { origin, size: head.size, root: Digest(head.root), verifier, note: note.to_string() })
    }

    /// That the ledger of `new` entries goes on from that of `old`.
    pub async fn consistency(&self, old: u64, new: u64) -> Result<ConsistencyView, Error> {
        let asked = checkpoints::blocking(&self.shared.checkpoints, &self.shared.ledger, move |all, ledger| {
            all.with_tree(ledger, |tree| (tree.consistency(old, new), tree.size()))
        });
        let (proof, newest) = asked.await?;
        let proof = proof.ok_or(Refusal::NoSuchSize { old, new, newest })?;
        Ok(ConsistencyView { old, new, proof: digests(proof) })
    }

    /// That an entry which the visitor may see stands in the ledger of `size` entries, the newest where none is named.
    pub async fn inclusion(&self, sequence: u64, size: Option<u64>) -> Result<InclusionView, Error> {
        let ledger = Arc::clone(&self.shared.ledger);
        let read = blocking(move || ledger.entries(sequence, 1)).await?.map_err(Fault::Ledger)?;
        let (mut sees, site) = (self.sees(), self.visitor.sees_site(&self.shared));
        let seen = read.into_iter().find(|e| e.sequence == sequence);
        let seen = seen.filter(|entry| entry.subject.parse().map_or(site, &mut sees));
        let entry = seen.ok_or(Refusal::UnknownEntry(sequence))?;
        let asked = checkpoints::blocking(&self.shared.checkpoints, &self.shared.ledger, move |all, ledger| {
            all.with_tree(ledger, |tree| {
                let size = size.unwrap_or_else(|| tree.size());
                (tree.inclusion(sequence, size), tree.head_at(size), tree.size())
            })
        });
        let (proof, head, newest) = asked.await?;
        let unknown = || Refusal::NoSuchSize { old: sequence, new: size.unwrap_or(newest), newest };
        let (proof, head) = proof.zip(head).ok_or_else(unknown)?;
        let (hash, root) = (Digest(entry.hash), Digest(head.root));
        Ok(InclusionView { sequence, hash, size: head.size, root, proof: digests(proof) })
    }
}

fn digests(proof: Vec<Hash>) -> Vec<Digest> {
    proof.into_iter().map(Digest).collect()
}
