//! The kill, and nothing else. Synchronous from the first byte to the tombstone.

use std::sync::Arc;

use orbital::{certificate::Uncertified, directive::Warrant, names::Digest};

use super::{Cell, Steward, Unmet};
use crate::{
    key_table::Stop,
    standing::{Effect, Judged, Refusal, Standing},
};

impl Cell {
    /// Shows something of the standing of this moment, one after the other.
    pub(super) fn show<T>(&self, shown: impl FnOnce(&Standing) -> T) -> T {
        let _one_at_a_time = self.showing.lock();
        shown(&self.standing.load_full())
    }

    /// From where a stop is judged first, if that is not where the region stands: one that is far behind gets the links in several
    /// directives, each refused but the last (PROTOCOL §4).
    fn ahead_of(&self, standing: &Standing) -> Option<Standing> {
        let run_up = self.run_up.load_full()?;
        (run_up.trust().version > standing.trust().version).then(|| standing.joined(&run_up))
    }

    /// A refused stop was of a later version than its links led to: its links are certified by themselves, and lead the next one.
    fn keep_run_up(&self, reached: Standing) {
        let reached = Arc::new(reached);
        self.run_up.rcu(|known| match known {
            Some(known) if known.trust().version >= reached.trust().version => Some(known.clone()),
            _ => Some(reached.clone()),
        });
    }
}

/// The certificate is of a later version than the links led to.
fn is_ahead(why: &Refusal) -> bool {
    matches!(why, Refusal::Uncertified(Uncertified::Ahead { .. }))
}

/// A kill whose certificate holds, and the standing that it was judged against.
pub(super) struct Certain {
    cell: Arc<Cell>,
    standing: Arc<Standing>,
    judged: Judged,
}

impl Steward {
    /// Performs a stop whose certificate holds. Taken from the critical lane, from the stop listener, from anyone.
    pub(super) async fn stop(&self, warrant: &Warrant) -> Result<Option<Digest>, Unmet> {
        let certain = self.certain(warrant)?;
        self.end(&certain).await?;
        Ok(certain.judged.change)
    }

    /// Nothing before the fence waits for a lock: its holder may be an ordinary directive whose thread is not running now.
    pub(super) fn certain(&self, warrant: &Warrant) -> Result<Certain, Unmet> {
        let cell = self.cell(&warrant.tenant).ok_or(Refusal::Unknown(warrant.tenant))?;
        let now = self.clock.now().wall_ms / 1_000;
        let standing = cell.standing.load_full();
        let judged = match cell.ahead_of(&standing) {
            None => self.judged(&cell, &standing, warrant, now),
            // Whoever brings links must not make a stop fail by it: one that holds where the region stands is performed.
            Some(ahead) => match self.judged(&cell, &ahead, warrant, now) {
                Err(why) if !is_ahead(&why) => self.judged(&cell, &standing, warrant, now).map_err(|_| why),
                judged => judged,
            },
        };
        Ok(Certain { standing, judged: judged?, cell })
    }

    /// A stop's links, then its certificate, from here.
    fn judged(&self, cell: &Cell, from: &Standing, warrant: &Warrant, now: u64) -> Result<Judged, Refusal> {
        let reached = from.reach(warrant)?;
        let judged = reached.kill(&warrant.certificate, &self.me, now);
        if judged.as_ref().is_err_and(is_ahead) {
            cell.keep_run_up(reached);
        }
        judged
    }

    /// The stop, then one look back: a restore that names this very kill and was put in force beside it found nothing to lift, and
    /// nobody would send it again. Whatever became of the lift, the kill is done.
    pub(super) async fn end(&self, certain: &Certain) -> Result<(), Unmet> {
        let tenant = certain.standing.tenant();
        if self.entomb(certain)?
            && !certain.cell.standing.load().is_killed()
            && let Err(why) = self.unkill(tenant, &certain.cell).await
        {
            tracing::error!(%tenant, "killed and restored at once; it stays killed until the restore is sent again: {why}");
        }
        Ok(())
    }

    /// `true`: it has stopped the tenant now.
    fn entomb(&self, certain: &Certain) -> Result<bool, Unmet> {
        let Certain { cell, standing, judged } = certain;
        let (tenant, change) = (standing.tenant(), judged.change);
        if change.is_some_and(|kill| self.is_done(&tenant, &kill)) {
            return Ok(false);
        }
        let stops = judged.effects.contains(&Effect::Kill);
        if stops {
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
        cell.run_up.store(None);
        // The kill may have come ahead of the directives that bring callers and policies, which will find their links here already.
        cell.show(|now| self.show_brought(now, standing));
        Ok(stops)
    }

    /// Shows what has changed since a stop was judged under `before`, and closes the tenant's connections.
    fn show_brought(&self, now: &Standing, before: &Standing) {
        let tenant = now.tenant();
        if now.trust().callers == before.trust().callers {
            self.callers.close(&tenant);
            if now.trust().policy != before.trust().policy {
                self.callers.policy(now);
            }
        } else {
            self.show_callers(now);
        }
        if now.has_other_terms(before)
            && let Err(why) = self.put_terms(now)
        {
            // A key cache that has fallen serves nobody either.
            tracing::warn!(%tenant, "new terms are in force for the lease alone: {why}");
        }
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
