//! The kill, and nothing else. Synchronous from the first byte to the tombstone.

use orbital::{directive::Warrant, names::Digest};

use super::{Steward, Unmet};
use crate::{
    key_table::Stop,
    standing::{Effect, Refusal},
};

impl Steward {
    /// Performs a stop whose certificate holds. Taken from the critical lane, from the stop listener, from anyone.
    pub(super) fn stop(&self, warrant: &Warrant) -> Result<Option<Digest>, Unmet> {
        let tenant = warrant.tenant;
        let cell = self.cell(&tenant).ok_or(Refusal::Unknown(tenant))?;
        let now = self.clock.now().wall_ms / 1_000;
        // Nothing before the fence waits for a lock: its holder may be an ordinary directive whose thread is not running now.
        let standing = cell.standing.load_full();
        let judged = standing.kill(warrant, &self.me, now)?;
        let change = judged.change;
        if change.is_some_and(|kill| self.is_done(&tenant, &kill)) {
            return Ok(change);
        }
        if judged.effects.contains(&Effect::Kill) {
            // The fence first: from here on no cipher starts with this tenant's keys.
            self.table.fence(&tenant, Stop::Killed);
            let entombed = self.keeper.stop(&tenant, Stop::Killed, change)?;
            let (keys, generation) = (entombed.keys(), entombed.generation());
            tracing::warn!(%tenant, keys, %generation, "killed: fenced, drained, zeroized, durable");
            metrics::counter!("custody_kills_total").increment(1);
        } else if let Some(kill) = change {
            // A kill that a restore named before it came: nothing to fence, but it is known from now on.
            self.keeper.note(&tenant, kill)?;
        }
        // Whatever came between (a restore, another kill) is kept: the sets only grow.
        cell.standing.rcu(|current| current.joined(&judged.next));
        if judged.next.trust().callers == standing.trust().callers {
            self.callers.close(&tenant);
        } else {
            // The kill came ahead of the directive that brings these callers, which will find its link here already.
            self.show_callers(&tenant, judged.next.trust());
        }
        Ok(change)
    }

    /// This very kill is durable already, or the tenant is killed for good: the answer to it was lost, not its effect. The keeper, whose
    /// lock may be taken, is asked only about a kill that is known.
    fn is_done(&self, tenant: &orbital::names::TenantId, kill: &Digest) -> bool {
        let Some(cell) = self.cell(tenant) else { return false };
        let standing = cell.standing.load();
        if standing.is_killed_for_good() {
            return self.keeper.is_durable(tenant, Stop::KilledForGood);
        }
        standing.kills().contains(kill) && self.keeper.row(tenant).is_some_and(|row| row.kills.contains(kill))
    }
}
