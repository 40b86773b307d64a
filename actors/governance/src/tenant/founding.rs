//! Founding: how far each region is with taking a tenant. A tenant is founded once all of them have; until then it has no L1, so nobody can use
//! it, and its people may withdraw it by a TerminateTenant, which each region keeps to for ever, one that never heard of it too.

use orbital::{
    names::Region,
    report::{Outcome, SyncAck},
};

use super::state::Tenant;
use crate::{
    error::Refusal,
    views::{Founded, FoundingView},
};

/// The directive that brings a genesis, by its name.
pub(crate) const PROVISION: &str = "provision";

/// One region's attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Founding {
    /// When it was first to take the tenant, Unix milliseconds.
    since_ms: u64,
    /// When it was brought there last.
    last_ms: u64,
    /// How often it was brought there.
    tries: u32,
    /// The region's last refusal, in its own words.
    refused: Option<String>,
}

impl Founding {
    pub(super) fn begun(at_ms: u64) -> Self {
        Self { since_ms: at_ms, last_ms: at_ms, tries: 1, refused: None }
    }
}

/// The fold's part.
impl Tenant {
    /// Regions that have just entered.
    pub(super) fn entered(&mut self, at_ms: u64) {
        for region in self.chain.current().regions.keys() {
            self.founding.entry(region.clone()).or_insert_with(|| Founding::begun(at_ms));
        }
    }

    /// A region lacked these, and was owed them again.
    pub(super) fn brought(&mut self, region: &Region, owed: &[String], at_ms: u64) {
        let brought = owed.iter().any(|name| name == PROVISION);
        if let Some(founding) = self.founding.get_mut(region).filter(|_| brought) {
            (founding.last_ms, founding.tries) = (at_ms, founding.tries.saturating_add(1));
        }
    }

    /// Whether an answer says that the region has the tenant; it `answers_genesis` where what brought the genesis is what it answers.
    pub(super) fn took(&mut self, region: &Region, ack: &SyncAck, answers_genesis: bool) -> bool {
        if ack.outcome == Outcome::Refused {
            if let Some(founding) = self.founding.get_mut(region).filter(|_| answers_genesis) {
                founding.refused = Some(ack.why.clone());
            }
            return false;
        }
        if ack.change.is_some_and(|change| self.terminations().any(|end| end == change)) {
            self.annulled.insert(region.clone());
        }
        // One that never had it answers version 0: it has ended what it did not found.
        ack.trust_version > 0
    }
}

/// The regions of the trust root that have not taken the tenant. One that is ended waits for nobody.
pub(crate) fn unfounded(tenant: &Tenant) -> impl Iterator<Item = &Region> {
    let waits = !tenant.is_terminated();
    tenant.chain.current().regions.keys().filter(move |region| waits && !tenant.founded.contains(*region))
}

/// A first link is what makes a tenant of use: none where a region lacks the tenant. Everything else is taken, so that its people can mend
/// what keeps a region from taking it, or give that region up.
pub(crate) fn check_whole(tenant: &Tenant) -> Result<(), Refusal> {
    let missing: Vec<_> = unfounded(tenant).map(ToString::to_string).collect();
    if missing.is_empty() || tenant.link.is_some() {
        return Ok(());
    }
    Err(Refusal::HalfFounded { tenant: tenant.id(), missing: missing.join(", ") })
}

pub(crate) fn view(tenant: &Tenant, region: &Region) -> FoundingView {
    let known = tenant.founding.get(region);
    let state = match known.and_then(|f| f.refused.as_ref()) {
        _ if tenant.founded.contains(region) => Founded::Done,
        _ if tenant.is_terminated() => Founded::Withdrawn,
        Some(_) => Founded::Refused,
        None => Founded::Waiting,
    };
    let why = known.and_then(|f| f.refused.clone()).filter(|_| state == Founded::Refused).unwrap_or_default();
    let (since_ms, last_ms, tries) = known.map_or((0, 0, 0), |f| (f.since_ms, f.last_ms, f.tries));
    FoundingView { state, why, tries, since_ms, last_ms }
}
