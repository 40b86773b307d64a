//! The fold's part of what regions answer.

use orbital::{
    names::{Digest, Region},
    report::{Outcome, SyncAck},
    sign::Signed,
};

use super::{file::Unfit, state::Tenant};

impl Tenant {
    pub(super) fn acknowledged(
        &mut self,
        region: Region,
        signed: Signed,
        waited_us: u64,
        genesis: bool,
    ) -> Result<(), Unfit> {
        // Verified before it was written; the chain of the ledger vouches for it since.
        let ack = SyncAck::peek(&signed).map_err(|e| e.to_string())?;
        if self.took(&region, &ack, genesis) {
            self.founded.insert(region.clone());
            self.acknowledged.insert(region.clone(), ack.trust_version);
            self.imply(&region, ack.trust_version, ack.change);
        }
        let Some(change) = ack.change else { return Ok(()) };
        let Some(proposal) = self.by_change_mut(change) else { return Ok(()) };
        let Some(progress) = proposal.progress.get_mut(&region) else { return Ok(()) };
        // A region that was owed it twice may answer twice; the first that says applied stands.
        if !progress.ack.as_ref().is_some_and(|(known, _)| known.outcome == Outcome::Applied) {
            progress.ack = Some((ack, signed));
            progress.waited_us = Some(waited_us);
        }
        Ok(())
    }

    /// A region that acknowledges a version has all before it, too: reconcile sends several in one directive.
    fn imply(&mut self, region: &Region, version: u64, but: Option<Digest>) {
        for id in &self.running {
            let Some(proposal) = self.proposals.get_mut(id) else { continue };
            let within = proposal.made_version().is_some_and(|made| made <= version) && Some(proposal.digest) != but;
            if let (true, Some(progress)) = (within, proposal.progress.get_mut(region)) {
                progress.implied = true;
            }
        }
    }
}
