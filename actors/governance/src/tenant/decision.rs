//! What a decision is made of, and what it may look at.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use ledger::{Batch, NewEntry, NewOwed, Room};
use orbital::{
    change::Action,
    directive::Directive,
    halt::{Halt, Halts},
    lane::Lane,
    names::{Correlation, Region, System, TenantId},
    quorum::Verify,
    report::Observed,
};
use policy::Evaluator;

use super::{record::Record, state::Tenant};
use crate::{
    claims::Claims,
    error::{Error, Refusal},
    fleet::Ports,
    notify::Channels,
};

/// A region as this run of governance has seen it; nothing of it is stored.
#[derive(Clone, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) observed: Option<Observed>,
    pub(crate) at_ms: Option<u64>,
    /// The trust version that it has, as of its last Hello or acknowledgement.
    pub(crate) version: Option<u64>,
    /// It says that it holds more than is known here, and was asked for it in vain.
    pub(crate) in_vain: bool,
}

/// What a decision may look at besides the state.
pub(crate) struct Facts<'a> {
    pub(crate) now_ms: u64,
    /// Of the tenant's own policies.
    pub(crate) evaluator: Arc<Evaluator>,
    pub(crate) seen: &'a BTreeMap<Region, Seen>,
    /// Which tenant each client anchor of the deployment speaks for.
    pub(crate) claims: &'a Claims,
    /// Providers whose keys stay with the customer.
    pub(crate) hyok: &'a BTreeSet<System>,
    /// The ways out for notices.
    pub(crate) channels: &'a Channels,
    /// The regions of this deployment.
    pub(crate) ports: &'a Ports,
    /// The mark of a ledger that was put back from a backup.
    pub(crate) restored: Option<u64>,
}

impl Facts<'_> {
    pub(crate) fn now_s(&self) -> u64 {
        self.now_ms / 1_000
    }

    /// What signatures must prove for this change, whatever its rule says: a key that stays with the customer is linked by passkeys with
    /// user verification (REQ-026).
    pub(crate) fn asks(&self, action: &Action) -> Verify {
        match action {
            Action::LinkL1 { l1 } if self.hyok.contains(&l1.provider) => Verify::User,
            _ => Verify::Key,
        }
    }

    /// The trust version from which links must travel to a region (PROTOCOL §4).
    pub(crate) fn version_in(&self, tenant: &Tenant, region: &Region) -> u64 {
        let seen = self.seen.get(region).and_then(|s| s.version);
        seen.or_else(|| tenant.acknowledged.get(region).copied()).unwrap_or(1)
    }

    /// The halts that the ledger or any region knows: some went straight to a region.
    pub(crate) fn halts(&self, tenant: &Tenant) -> Halts {
        let told = self.seen.values().filter_map(|s| s.observed.as_ref()).flat_map(|o| o.halts.iter());
        let mut known = tenant.halt_names();
        known.extend(told);
        known
    }

    /// Halted in this way, also by a stop that went straight to a region.
    pub(crate) fn is_halted(&self, tenant: &Tenant, halt: Halt) -> bool {
        let ours = tenant.halts.iter().filter(|(_, stopped)| stopped.halt == halt).map(|(name, _)| name);
        let told = self.seen.values().filter_map(|s| s.observed.as_ref()).flat_map(|o| o.halts.of(halt));
        ours.chain(told).any(|name| !tenant.lifted.of(halt).contains(name))
    }

    pub(crate) fn is_killed(&self, tenant: &Tenant) -> bool {
        self.is_halted(tenant, Halt::Kill)
    }
}

/// A directive for one region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owe {
    pub(crate) region: Region,
    pub(crate) directive: Directive,
}

/// What was decided. It exists once the ledger has it, and not before.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) records: Vec<Record>,
    pub(crate) owe: Vec<Owe>,
    /// Rows of the ledger that a region has answered.
    pub(crate) settle: Vec<u64>,
    /// What it may use of the ledger's reserve.
    pub(crate) room: Room,
}

impl Decision {
    pub(crate) fn is_empty(&self) -> bool {
        self.records.is_empty() && self.owe.is_empty() && self.settle.is_empty()
    }

    /// The transaction that makes it exist.
    pub(crate) fn batch(&self, tenant: TenantId, correlation: &Correlation, now_ms: u64) -> Result<Batch, Error> {
        let subject = tenant.to_string();
        let entry = |record: &Record| {
            Ok(NewEntry {
                at_ms: now_ms,
                kind: record.kind().to_owned(),
                subject: subject.clone(),
                correlation: correlation.to_string(),
                body: record.to_body()?,
            })
        };
        let owed = |owe: &Owe| {
            let body = owe.directive.encode().map_err(Refusal::TooLarge)?;
            Ok(NewOwed {
                subject: subject.clone(),
                region: owe.region.to_string(),
                lane: Lane::of(&owe.directive).number(),
                correlation: correlation.to_string(),
                created_ms: now_ms,
                digest: Directive::digest_of(&body).0,
                body,
            })
        };
        Ok(Batch {
            entries: self.records.iter().map(entry).collect::<Result<_, Error>>()?,
            owe: self.owe.iter().map(owed).collect::<Result<_, Error>>()?,
            settle: self.settle.clone(),
            meta: Vec::new(),
            room: self.room,
        })
    }
}
