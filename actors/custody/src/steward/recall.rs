//! Recall: what a governance has forgotten that was put back from a backup, told to it (PROTOCOL §6).

use std::sync::atomic::Ordering;

use orbital::{certificate::Certificate, directive::Directive};

use super::Steward;
use crate::standing::kept_in;

impl Steward {
    /// The certificates that this directive asks for; none if it is another one.
    pub(super) fn told(&self, directive: &Directive) -> Vec<Certificate> {
        let Directive::Recall { tenant, version, known } = directive else { return Vec::new() };
        let cell = self.cell(tenant);
        cell.map(|cell| cell.standing.load().recalled(*version, known)).unwrap_or_default()
    }

    /// Makes the certificates of stops durable that have come since. A stop itself is durable long before, in its tombstone; what a crash
    /// takes here other regions have, and governance.
    pub(super) async fn keep_proofs(&self) {
        let tenants = self.tenants.load_full();
        for (tenant, cell) in tenants.iter().filter(|(_, cell)| cell.unkept.swap(false, Ordering::AcqRel)) {
            let standing = cell.standing.load_full();
            let kept = self.keeper.advance(tenant, move |row| {
                if let Some(head) = kept_in(&row.head, standing.proofs()) {
                    row.head = head;
                }
            });
            if let Err(why) = kept.await {
                cell.unkept.store(true, Ordering::Release);
                tracing::warn!(%tenant, "the certificates of its stops are not durable yet; they are tried again within a minute: {why}");
            }
        }
    }
}
