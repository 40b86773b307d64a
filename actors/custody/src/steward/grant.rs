//! Everything but stops: durable first, then in force, one at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, atomic::AtomicBool},
};

use arc_swap::{ArcSwap, ArcSwapOption};
use orbital::{
    certificate::Certificate,
    chain::Genesis,
    change::L1Ref,
    directive::Directive,
    halt::Halt,
    names::{Digest, TenantId},
    report::{L1State, Probed},
    trust::TrustRoot,
};
use parking_lot::Mutex;

use super::{Cell, Steward, Unmet, hello::read_nonce};
use crate::{
    high_water::Known,
    key_table::Stop,
    lease::Length,
    names::Epoch,
    shelf::TenantRow,
    standing::{Effect, Judged, Refusal, Standing},
};

/// Seconds of a trust root: 0 says unlimited.
pub(super) fn length(seconds: u64) -> Length {
    if seconds == 0 { Length::Unlimited } else { Length::Milliseconds(seconds.saturating_mul(1_000)) }
}

/// How long cached keys serve on while L1 is out of reach; none: without end.
fn grace_ms(trust: &TrustRoot) -> Option<u64> {
    (trust.l1.grace != 0).then(|| trust.l1.grace.saturating_mul(1_000))
}

/// Who held an anchor keeps its turn; one that is new to the tenant gets this one.
fn claims(before: &BTreeMap<Digest, u64>, anchors: BTreeSet<Digest>, turn: u64) -> BTreeMap<Digest, u64> {
    anchors.into_iter().map(|anchor| (anchor, before.get(&anchor).copied().unwrap_or(turn))).collect()
}

impl Steward {
    /// Shows the listener a tenant's callers, with the turns in which they became durable.
    pub(super) fn show_callers(&self, standing: &Standing) {
        let claims = self.keeper.row(&standing.tenant()).map(|row| row.claims).unwrap_or_default();
        self.callers.changed(standing, &claims);
    }

    pub(super) async fn perform(&self, directive: &Directive, digest: Digest) -> Result<Option<Digest>, Unmet> {
        let _one_at_a_time = self.ordinary.lock().await;
        if let Directive::Provision { genesis, links } = directive {
            return self.provision(genesis, links, digest).await.map(|()| None);
        }
        let tenant = super::tenant_of(directive);
        let cell = self.cell(&tenant).ok_or(Refusal::Unknown(tenant))?;
        self.show_due(&cell);
        let now = self.now_s(&tenant);
        let standing = cell.standing.load_full();
        let judged = match standing.step(directive, &self.me, now) {
            Err(why @ Refusal::Forked { .. }) => {
                if let Some(warrant) = directive.warrant() {
                    self.put_freeze(tenant, &cell, warrant).await?;
                }
                return Err(why.into());
            }
            Err(why @ Refusal::Recovering { .. }) => {
                if let Some(warrant) = directive.warrant() {
                    self.put_waiting(tenant, &cell, warrant).await?;
                }
                return Err(why.into());
            }
            judged => judged?,
        };
        self.put_in_force(tenant, &cell, &judged).await?;
        Ok(judged.change)
    }

    pub(super) async fn put_in_force(&self, tenant: TenantId, cell: &Arc<Cell>, judged: &Judged) -> Result<(), Unmet> {
        for effect in &judged.effects {
            if let Effect::Link(l1) = effect {
                // Before anything is written: a link that cannot be in force must not look as if it were.
                self.cache.reaches(&tenant, &l1.provider)?;
            }
        }
        for effect in &judged.effects {
            match effect {
                Effect::Persist => self.persist(tenant, cell, judged).await?,
                // A stop is none of this lane's. What a link is to lift is written down with the head, and lifted with the link.
                Effect::Stop(_) | Effect::Shred | Effect::LiftL1Stop => {}
                Effect::Leave => self.leave(&tenant).await?,
                Effect::Join => self.join(&tenant, cell).await?,

                Effect::Lift(halt) => self.unhalt(tenant, cell, *halt).await?,
                Effect::Link(l1) => self.put_link(tenant, cell, l1).await?,
                Effect::Hold => self.cache.hold(tenant)?,
                Effect::Callers | Effect::Policy | Effect::Terms | Effect::Retire(_) => {
                    cell.show(|now| self.show_effect(now, effect))?
                }
                Effect::Renew { nonce, seconds } => self.renew(tenant, cell, nonce, *seconds).await?,
                Effect::Probe { change, l1 } => self.probe(tenant, *change, l1),
            }
        }
        Ok(())
    }

    /// Performs one of [`Standing::shown_effects`], whichever directive has brought it.
    pub(super) fn show_effect(&self, now: &Standing, effect: &Effect) -> Result<(), Unmet> {
        match effect {
            Effect::Callers => self.show_callers(now),
            Effect::Policy => self.callers.policy(now),
            Effect::Terms => self.put_terms(now)?,
            Effect::Retire(system) => {
                let (tenant, keys) = (now.tenant(), self.table.retire(&now.tenant(), system));
                tracing::info!(%tenant, %system, keys, "a system is retired: its keys have left memory");
            }
            // What is on the disk goes with the directive that is owed, and with the next start.
            Effect::Leave => self.stay_out(&now.tenant())?,
            // Nobody is served by what a stop has brought.
            Effect::Join
            | Effect::Stop(_)
            | Effect::Shred
            | Effect::Lift(_)
            | Effect::Link(_)
            | Effect::LiftL1Stop
            | Effect::Renew { .. }
            | Effect::Hold
            | Effect::Probe { .. }
            | Effect::Persist => {}
        }
        Ok(())
    }

    /// Makes a new standing durable, then current. A kill that came meanwhile stays: the sets only grow.
    pub(super) async fn persist(&self, tenant: TenantId, cell: &Arc<Cell>, judged: &Judged) -> Result<(), Unmet> {
        let joined = cell.standing.load().joined(&judged.next);
        let clears = judged.effects.contains(&Effect::LiftL1Stop);
        let head = joined.to_bytes()?;
        let (anchors, turn) = (self.callers.anchors(joined.trust()), self.keeper.next_turn());
        let set = |row: &mut TenantRow| {
            row.head = head;
            row.claims = claims(&row.claims, anchors, turn);
            row.trust_version = joined.trust().version;
            row.epoch = Epoch(joined.epoch());
            row.restored = Some(Known::of(&joined.lifted().names()));
            if clears {
                row.clears = Some(row.generation);
            }
        };
        self.keeper.advance(&tenant, set).await?;
        cell.standing.rcu(|standing| standing.joined(&judged.next));
        Ok(())
    }

    /// Lifts the stop unless another of its kind has come. Nobody is served by what was in force before the links that it brought.
    pub(super) async fn unhalt(&self, tenant: TenantId, cell: &Arc<Cell>, halt: Halt) -> Result<(), Unmet> {
        self.show_due(cell);
        let lifted = cell.standing.load().lifted().clone();
        if self.keeper.unhalt(&tenant, halt, &lifted).await? {
            tracing::warn!(%tenant, "no longer {}: every known stop of this kind is lifted by name", halt.word());
        }
        Ok(())
    }

    /// A renewal named this very head and answered a nonce of this run: what was sealed after a start is confirmed by it, unless this
    /// node knows better.
    async fn renew(&self, tenant: TenantId, cell: &Cell, nonce: &str, seconds: u64) -> Result<(), Unmet> {
        let sealed = self.stops(&tenant).holds(Stop::Sealed);
        let standing = cell.standing.load();
        let behind = |row: TenantRow| standing.is_behind(row.trust_version, row.epoch.0);
        if sealed && self.keeper.row(&tenant).is_some_and(behind) {
            return Err(Refusal::HeadBehind { version: standing.trust().version, epoch: standing.epoch() }.into());
        }
        let nonce = read_nonce(nonce).ok_or(Refusal::LeaseElsewhere("nonce"))?;
        let renewed = self.keeper.renew(&tenant, &nonce, length(seconds)).await?;
        renewed.map_err(|_| Refusal::LeaseElsewhere("nonce"))?;
        // By the terms of this moment: a stop may have brought others since.
        cell.show(|now| self.shorten_lease(now));
        if sealed {
            self.keeper.lift(&tenant, Stop::Sealed).await?;
            tracing::warn!(%tenant, "unsealed: a head answering this node's fresh nonce has arrived");
        }
        Ok(())
    }

    async fn provision(&self, genesis: &Genesis, links: &[Certificate], digest: Digest) -> Result<(), Unmet> {
        let now = self.clock.now().wall_ms / 1_000;
        let standing = Standing::found(genesis, links, digest, &self.me, &self.pinned, now)?;
        let tenant = standing.tenant();
        if let Some(cell) = self.cell(&tenant) {
            let same = cell.standing.load().was_provisioned_by(digest);
            return if same { Ok(()) } else { Err(Refusal::Known(tenant).into()) };
        }
        self.check_not_ended(&standing)?;
        let row = TenantRow {
            head: standing.to_bytes()?,
            trust_version: standing.trust().version,
            epoch: Epoch(standing.epoch()),
            restored: Some(Known::of(&standing.lifted().names())),
            claims: claims(&BTreeMap::new(), self.callers.anchors(standing.trust()), self.keeper.next_turn()),
            ..TenantRow::default()
        };
        self.keeper.provision(tenant, row, length(standing.trust().lease.seconds)).await?;
        self.shorten_lease(&standing);
        // Its tombstone may be older than this founding, and know of halts.
        let row = self.keeper.row(&tenant).unwrap_or_default();
        let standing = standing.with_halts(&row.halts, row.is_killed_for_good());
        for halt in Halt::ALL.into_iter().filter(|halt| standing.is_halted(*halt)) {
            self.table.fence(&tenant, Stop::of(halt));
        }
        self.show_callers(&standing);
        drop(self.admit(standing));
        tracing::info!(%tenant, "provisioned");
        Ok(())
    }

    pub(super) fn admit(&self, standing: Standing) -> Arc<Cell> {
        let tenant = standing.tenant();
        let (l1, l1_turn) = (Mutex::new(L1State::Pending), tokio::sync::Mutex::default());
        let cell = Arc::new(Cell {
            standing: ArcSwap::from_pointee(standing),
            run_up: ArcSwapOption::empty(),
            showing: Mutex::default(),
            due: ArcSwapOption::empty(),
            unkept: AtomicBool::default(),
            l1,
            l1_turn,
        });
        self.tenants.rcu(|tenants| {
            let mut next = BTreeMap::clone(tenants);
            next.insert(tenant, cell.clone());
            next
        });
        cell
    }

    /// Lifts what the link is to lift, once; a repeated link ends what a failed disk cut short. The KMS of the link that is durable is asked
    /// from here on, whatever became of the lift.
    async fn put_link(&self, tenant: TenantId, cell: &Cell, l1: &L1Ref) -> Result<(), Unmet> {
        let due = self.keeper.has_to_clear(&tenant);
        let lifted = if due { self.lift_l1_stop(tenant, cell).await } else { Ok(()) };
        self.link(tenant, cell, l1).await?;
        lifted
    }

    /// A new link clears what the KMS of the one before has said; what it says late, it says to nobody.
    async fn lift_l1_stop(&self, tenant: TenantId, cell: &Cell) -> Result<(), Unmet> {
        let mut heeded = cell.l1_turn.lock().await;
        *heeded = 0;
        if let Err(why) = self.cache.mute(tenant).await {
            // A cache that has fallen says nothing either.
            tracing::warn!(%tenant, "the L1 link before this one could not be muted: {why}");
        }
        Ok(self.keeper.lift(&tenant, Stop::L1Stop).await?)
    }

    /// A shorter lease counts from now, a longer one from the next renewal. The grace counts from the last answer of the customer's KMS,
    /// whatever it is.
    pub(super) fn put_terms(&self, standing: &Standing) -> Result<(), Unmet> {
        let tenant = standing.tenant();
        self.shorten_lease(standing);
        if standing.linked().is_some() {
            self.cache.grace(tenant, grace_ms(standing.trust()))?;
        }
        Ok(())
    }

    /// Ends the lease no later than the trust root and the topology allow from now on; a start says it again.
    pub(super) fn shorten_lease(&self, standing: &Standing) {
        let most =
            [length(standing.trust().lease.seconds)].into_iter().chain(self.lease_most_ms.map(Length::Milliseconds));
        most.for_each(|most| self.keeper.shorten_lease(&standing.tenant(), most));
    }

    /// The key cache probes the key at once and unseals from it on demand.
    pub(super) async fn link(&self, tenant: TenantId, cell: &Cell, l1: &L1Ref) -> Result<(), Unmet> {
        let mut heeded = cell.l1_turn.lock().await;
        *heeded = self.cache.link(tenant, l1.provider.clone(), l1.key.clone())?;
        // By the terms of this moment: a stop may have brought others while the link was made durable.
        Ok(cell.show(|now| self.cache.grace(tenant, grace_ms(now.trust())))?)
    }

    /// A provider that this region lacks is the probe's result, not the directive's failure.
    fn probe(&self, tenant: TenantId, change: Digest, l1: &L1Ref) {
        if let Err(why) = self.cache.probe(tenant, change, l1.provider.clone(), l1.key.clone()) {
            let (state, resolved, why) = (L1State::Unreachable, l1.key.to_string(), why.to_string());
            (self.probes)(Probed { tenant, change, state, resolved, why, took_ms: 0 });
        }
    }
}
