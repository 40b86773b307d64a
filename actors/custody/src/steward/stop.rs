//! Stops, and nothing else. Synchronous from the first byte to the tombstone.

use std::sync::{Arc, atomic::Ordering};

use orbital::{
    certificate::Uncertified,
    directive::Warrant,
    halt::{Halt, Halts},
    names::{Digest, TenantId},
};

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

/// A stop whose certificate holds, and the standing that it was judged against.
pub(super) struct Certain {
    cell: Arc<Cell>,
    standing: Arc<Standing>,
    judged: Judged,
}

impl Steward {
    /// Performs a stop whose certificate holds. Taken from the critical lane, from the stop listener, from anyone.
    pub(super) async fn stop(&self, warrant: &Warrant) -> Result<Option<Digest>, Unmet> {
        let stopped = match self.certain(warrant) {
            Ok(certain) => self.end(&certain).await.map(|()| certain.judged.change),
            Err(why) => Err(why),
        };
        // After the stop, whatever became of it: nothing before the fence looks at what else its links prove.
        self.freeze(warrant).await;
        stopped
    }

    /// Nothing before the fence waits for a lock: its holder may be an ordinary directive whose thread is not running now.
    pub(super) fn certain(&self, warrant: &Warrant) -> Result<Certain, Unmet> {
        let cell = self.cell(&warrant.tenant).ok_or(Refusal::Unknown(warrant.tenant))?;
        let now = self.keeper.highest_wall_ms_unlocked(&warrant.tenant) / 1_000;
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
        let judged = from.stop_by(warrant, &self.me, now);
        if judged.as_ref().is_err_and(is_ahead)
            && let Ok(reached) = from.reach(warrant, now)
        {
            cell.keep_run_up(reached);
        }
        judged
    }

    /// The stop, then one look back: what lifts this very halt by name and was put in force beside it found nothing to lift, and nobody would
    /// send it again. Whatever became of the lift, the stop is done.
    pub(super) async fn end(&self, certain: &Certain) -> Result<(), Unmet> {
        let tenant = certain.standing.tenant();
        if let Some(halt) = self.entomb(certain)?
            && !certain.cell.standing.load().is_halted(halt)
            && let Err(why) = self.unhalt(tenant, &certain.cell, halt).await
        {
            let word = halt.word();
            tracing::error!(%tenant, "{word} and lifted at once; it stays {word} until what lifts it is sent again: {why}");
        }
        if certain.judged.effects.contains(&Effect::Leave) {
            self.leave(&tenant).await?;
            self.persist(tenant, &certain.cell, &certain.judged).await?;
        }
        // Again and again, until it was durable once: nothing else says whether it was.
        if certain.judged.effects.contains(&Effect::Shred) {
            self.keeper.shred(&tenant).await?;
            tracing::warn!(%tenant, "terminated: its wrapped keys are deleted");
        }
        Ok(())
    }

    /// The halt in which it has stopped the tenant now, if it has.
    fn entomb(&self, certain: &Certain) -> Result<Option<Halt>, Unmet> {
        let Certain { cell, standing, judged } = certain;
        let (tenant, change) = (standing.tenant(), judged.change);
        if change.is_some_and(|name| self.is_done(&tenant, &name)) {
            cell.standing.rcu(|current| current.with_proofs_of(&judged.next));
            cell.unkept.store(true, Ordering::Release);
            return Ok(None);
        }
        let stops = judged.stops();
        if let Some(halt) = stops {
            let stop = if judged.effects.contains(&Effect::Shred) { Stop::KilledForGood } else { Stop::of(halt) };
            self.halt(&tenant, halt, stop, change)?;
        } else if let Some((halt, name)) = change.and_then(|name| Some((judged.next.halts().kind_of(&name)?, name))) {
            // It was lifted by name before it came: nothing to fence, but it is known from now on.
            self.keeper.note(&tenant, halt, name)?;
        }
        // Whatever came between (a restore, another kill) is kept: the sets only grow.
        cell.standing.rcu(|current| current.joined(&judged.next));
        cell.run_up.store(None);
        cell.unkept.store(true, Ordering::Release);
        // The stop may have come ahead of the directives that bring callers and policies, which will find their links here already.
        cell.due.rcu(|due| due.clone().or_else(|| Some(standing.clone())));
        if stops.is_none_or(|halt| Stop::of(halt).zeroizes()) {
            self.callers.close(&tenant);
        }
        Ok(stops)
    }

    fn halt(&self, tenant: &TenantId, halt: Halt, stop: Stop, change: Option<Digest>) -> Result<(), Unmet> {
        // The fence first: from here on no cipher that it stops starts with this tenant's keys.
        self.table.fence(tenant, stop);
        let entombed = self.keeper.stop(tenant, stop, change)?;
        let (keys, generation) = (entombed.keys(), entombed.generation());
        let done = if stop.zeroizes() { "fenced, drained, zeroized, durable" } else { "fenced, durable" };
        tracing::warn!(%tenant, keys, %generation, "{}: {done}", halt.word());
        match halt {
            Halt::Kill => metrics::counter!("custody_kills_total").increment(1),
            Halt::Block => metrics::counter!("custody_blocks_total").increment(1),
            Halt::Suspension => metrics::counter!("custody_suspensions_total").increment(1),
        }
        Ok(())
    }

    /// Shows what stops have brought and nobody has shown yet. Not in a stop's own path.
    pub(super) fn show_due(&self, cell: &Cell) {
        if cell.due.load().is_none() {
            return;
        }
        let _one_at_a_time = cell.showing.lock();
        // First what is due, then what is: a stop that comes in between is shown now, and is due still.
        if let Some(before) = cell.due.swap(None) {
            self.show_brought(&cell.standing.load_full(), &before);
        }
    }

    /// The same for every tenant.
    pub(super) fn show_all_due(&self) {
        for cell in self.tenants.load().values() {
            self.show_due(cell);
        }
    }

    /// Shows what has changed since a stop was judged under `before`.
    fn show_brought(&self, now: &Standing, before: &Standing) {
        for effect in now.shown_effects(before, &self.me) {
            if let Err(why) = self.show_effect(now, &effect) {
                // A key cache that has fallen serves nobody either.
                tracing::warn!(tenant = %now.tenant(), "new terms are in force for the lease alone: {why}");
            }
        }
    }

    /// This very stop is durable already, or the tenant is killed for good: the answer to it was lost, not its effect. The keeper, whose
    /// lock may be taken, is asked only about a stop that is known.
    fn is_done(&self, tenant: &TenantId, name: &Digest) -> bool {
        let Some(cell) = self.cell(tenant) else { return false };
        let standing = cell.standing.load();
        if standing.is_killed_for_good() {
            return self.keeper.is_durable(tenant, Stop::KilledForGood);
        }
        let known = |halts: &Halts| halts.kind_of(name).is_some();
        known(standing.halts()) && self.keeper.row(tenant).is_some_and(|row| known(&row.halts))
    }
}
