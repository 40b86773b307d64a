//! What the key cache decides: who waits for which unseal, and what an answer of the customer's KMS means. Pure.
//!
//! However many ask for one tenant, one call goes to its L1: requests wait per system, systems wait for the one L2. A refusal by the
//! customer's KMS stops the tenant at once; one that cannot be reached leaves cached keys alone until `l1_grace` is over.

use std::collections::{BTreeMap, HashMap};

use orbital::names::{System, TenantId};

use crate::{error::Error, l1, unseal::Link};

/// Requests that may wait for one system's unseal; more are told to try again.
pub(super) const WAITING_MAX: usize = 4_096;

/// What to do.
pub(super) enum Effect<R> {
    /// Spawn: L1 opens the L2. Answer with `l2_unsealed`.
    UnsealL2 {
        tenant: TenantId,
        link: Link,
    },
    /// Spawn: the L2 opens an L3. Answer with `l3_unsealed`.
    UnsealL3 {
        tenant: TenantId,
        system: System,
    },
    /// Spawn: probe. Answer with `probed`.
    Probe {
        tenant: TenantId,
        link: Link,
    },
    Reply {
        to: R,
        result: Result<(), Error>,
    },
    /// The customer's no: fence now. The steward zeroizes, makes it durable and reports.
    Fence {
        tenant: TenantId,
    },
    /// What the customer's KMS was seen to say. Told after each probe: whoever acts on it is idempotent, and may have failed before.
    Tell {
        tenant: TenantId,
        link: u64,
        state: l1::State,
    },
    /// `l1_grace` is over: fence and zeroize until the KMS answers.
    Away {
        tenant: TenantId,
    },
    /// The KMS answers: lift what its silence caused.
    Back {
        tenant: TenantId,
    },
}

struct Tenant<R> {
    link: Link,
    asking_l2: bool,
    /// Per system: who waits, and whether its L3 is being opened.
    systems: BTreeMap<System, Waiting<R>>,
    probing: bool,
    probed_ms: Option<u64>,
    heard_ms: u64,
    state: Option<l1::State>,
    away: bool,
    /// The link is about to be replaced.
    muted: bool,
}

struct Waiting<R> {
    replies: Vec<R>,
    asking_l3: bool,
}

/// All tenants' unseals in flight. `R` is where an answer goes.
pub(super) struct State<R> {
    tenants: HashMap<TenantId, Tenant<R>>,
    probe_every_ms: u64,
}

impl<R> State<R> {
    pub(super) fn new(probe_every_ms: u64) -> Self {
        Self { tenants: HashMap::new(), probe_every_ms }
    }

    /// The tenant's L1 from now on. Whoever waits for another one is told to try again. A link to the same key, which anyone can have
    /// repeated, is no word of the KMS: silence goes on counting. Under the same serial all that is under way goes on, too.
    pub(super) fn linked(&mut self, tenant: TenantId, link: Link, now_ms: u64) -> Vec<Effect<R>> {
        if let Some(before) = self.tenants.get_mut(&tenant).filter(|before| before.link.serial == link.serial) {
            (before.link.l1, before.probed_ms) = (link.l1, None);
            return self.tick(now_ms);
        }
        let before = self.tenants.get(&tenant);
        let heard_ms = before.filter(|before| before.link.key == link.key).map_or(now_ms, |before| before.heard_ms);
        let away = before.is_some_and(|before| before.away);
        let mut effects = self.unlinked(&tenant);
        let fresh = Tenant {
            link,
            asking_l2: false,
            systems: BTreeMap::new(),
            probing: false,
            probed_ms: None,
            heard_ms,
            state: None,
            away,
            muted: false,
        };
        self.tenants.insert(tenant, fresh);
        effects.extend(self.tick(now_ms));
        effects
    }

    /// Nothing that the link's KMS says from here on counts, until the next [`State::linked`]; its silence does.
    pub(super) fn muted(&mut self, tenant: &TenantId) {
        if let Some(tenant) = self.tenants.get_mut(tenant) {
            tenant.muted = true;
        }
    }

    /// An answer under this link is to be heeded: what was asked of a link before says nothing about the one in force.
    pub(super) fn heeds(&self, tenant: &TenantId, link: u64) -> bool {
        self.tenants.get(tenant).is_some_and(|tenant| !tenant.muted && tenant.link.serial == link)
    }

    /// The tenant has no L1 any more.
    pub(super) fn unlinked(&mut self, tenant: &TenantId) -> Vec<Effect<R>> {
        let gone = self.tenants.remove(tenant);
        gone.map(|gone| answer_all(gone.systems, &Error::NotLinked(*tenant))).unwrap_or_default()
    }

    /// How long the tenant's cached keys serve on without its KMS; `None` is unlimited.
    pub(super) fn grace(&mut self, tenant: &TenantId, l1_grace_ms: Option<u64>) -> Vec<Effect<R>> {
        if let Some(tenant) = self.tenants.get_mut(tenant) {
            tenant.link.l1_grace_ms = l1_grace_ms;
        }
        Vec::new()
    }

    /// Unseal the L2 ahead of the first request.
    pub(super) fn hold(&mut self, id: TenantId) -> Vec<Effect<R>> {
        match self.tenants.get_mut(&id) {
            Some(tenant) if !tenant.asking_l2 && !tenant.muted => {
                tenant.asking_l2 = true;
                vec![Effect::UnsealL2 { tenant: id, link: tenant.link.clone() }]
            }
            _ => Vec::new(),
        }
    }

    /// Someone needs a system's L3 in the table.
    pub(super) fn unseal(&mut self, id: TenantId, system: System, to: R) -> Vec<Effect<R>> {
        let Some(tenant) = self.tenants.get_mut(&id).filter(|tenant| !tenant.muted) else {
            return vec![Effect::Reply { to, result: Err(Error::NotLinked(id)) }];
        };
        let waiting = tenant.systems.entry(system).or_insert_with(|| Waiting { replies: Vec::new(), asking_l3: false });
        if waiting.replies.len() >= WAITING_MAX {
            return vec![Effect::Reply { to, result: Err(Error::Unavailable) }];
        }
        waiting.replies.push(to);
        if tenant.asking_l2 || waiting.asking_l3 {
            return Vec::new();
        }
        tenant.asking_l2 = true;
        vec![Effect::UnsealL2 { tenant: id, link: tenant.link.clone() }]
    }

    /// The L2 is in the table, or why not. `heard`: the customer's KMS has opened it; else it was there, which says nothing of the KMS.
    pub(super) fn l2_unsealed(
        &mut self,
        id: TenantId,
        link: u64,
        result: Result<(), Error>,
        heard: bool,
        now_ms: u64,
    ) -> Vec<Effect<R>> {
        if !self.heeds(&id, link) {
            return Vec::new();
        }
        let Some(tenant) = self.tenants.get_mut(&id) else { return Vec::new() };
        tenant.asking_l2 = false;
        if let Err(why) = result {
            let waiting = tenant.systems.extract_if(.., |_, waiting| !waiting.asking_l3).collect();
            let mut effects = answer_all(waiting, &why);
            effects.extend(self.heard(id, Err(why), now_ms));
            return effects;
        }
        if heard {
            tenant.heard_ms = now_ms;
        }
        let next = tenant.systems.iter_mut().filter(|(_, waiting)| !waiting.asking_l3);
        next.map(|(system, waiting)| {
            waiting.asking_l3 = true;
            Effect::UnsealL3 { tenant: id, system: system.clone() }
        })
        .collect()
    }

    /// The system's L3 is in the table, or why not. Under whichever link it was asked: the L2 in the table opened it, no KMS.
    pub(super) fn l3_unsealed(&mut self, id: TenantId, system: &System, result: &Result<(), Error>) -> Vec<Effect<R>> {
        let waiting = self.tenants.get_mut(&id).and_then(|tenant| tenant.systems.remove(system));
        let replies = waiting.map(|waiting| waiting.replies).unwrap_or_default();
        replies.into_iter().map(|to| Effect::Reply { to, result: result.clone() }).collect()
    }

    /// Time goes on: probes that are due, graces that are over.
    pub(super) fn tick(&mut self, now_ms: u64) -> Vec<Effect<R>> {
        let mut effects = Vec::new();
        for (id, tenant) in &mut self.tenants {
            let due = tenant.probed_ms.is_none_or(|last| now_ms.saturating_sub(last) >= self.probe_every_ms);
            if due && !tenant.probing && !tenant.muted {
                (tenant.probing, tenant.probed_ms) = (true, Some(now_ms));
                effects.push(Effect::Probe { tenant: *id, link: tenant.link.clone() });
            }
            let silent_ms = now_ms.saturating_sub(tenant.heard_ms);
            let grace_over = tenant.link.l1_grace_ms.is_some_and(|grace| silent_ms > grace);
            if grace_over && !tenant.away {
                tenant.away = true;
                effects.push(Effect::Away { tenant: *id });
            }
        }
        effects
    }

    /// A probe came back.
    pub(super) fn probed(&mut self, id: TenantId, link: u64, result: Result<(), Error>, now_ms: u64) -> Vec<Effect<R>> {
        if !self.heeds(&id, link) {
            return Vec::new();
        }
        if let Some(tenant) = self.tenants.get_mut(&id) {
            tenant.probing = false;
        }
        self.heard(id, result, now_ms)
    }

    /// What is known of a tenant's L1.
    pub(super) fn l1_state(&self, tenant: &TenantId) -> Option<l1::State> {
        self.tenants.get(tenant).and_then(|tenant| tenant.state)
    }

    fn heard(&mut self, id: TenantId, result: Result<(), Error>, now_ms: u64) -> Vec<Effect<R>> {
        let Some(tenant) = self.tenants.get_mut(&id) else { return Vec::new() };
        let link = tenant.link.serial;
        match result {
            Ok(()) => {
                (tenant.heard_ms, tenant.state) = (now_ms, Some(l1::State::Enabled));
                let back = std::mem::take(&mut tenant.away).then_some(Effect::Back { tenant: id });
                back.into_iter().chain([Effect::Tell { tenant: id, link, state: l1::State::Enabled }]).collect()
            }
            Err(Error::L1Stopped { state, .. }) => {
                // It answered; that it says no is a stop of its own.
                (tenant.heard_ms, tenant.state) = (now_ms, Some(state));
                vec![Effect::Fence { tenant: id }, Effect::Tell { tenant: id, link, state }]
            }
            Err(Error::L1Unreachable { .. }) => {
                // A stop stays known as one: silence does not soften it.
                if tenant.state.is_none_or(|state| state.stop().is_none()) {
                    tenant.state = Some(l1::State::Unreachable);
                }
                vec![Effect::Tell { tenant: id, link, state: l1::State::Unreachable }]
            }
            // Our own refusals and faults say nothing about the customer's KMS.
            Err(_) => Vec::new(),
        }
    }
}

fn answer_all<R>(systems: BTreeMap<System, Waiting<R>>, why: &Error) -> Vec<Effect<R>> {
    let replies = systems.into_values().flat_map(|waiting| waiting.replies);
    replies.map(|to| Effect::Reply { to, result: Err(why.clone()) }).collect()
}
