//! Standing: where one tenant stands in this region, and the one place that decides whether a directive may change that.
//!
//! Pure: [`Standing::step`] takes a directive and gives the next standing and the effects, or a [`Refusal`]; it has no clock, I/O or
//! lock. The [`crate::steward`] performs. What a directive needs is [`orbital::directive::Directive::needs`]; the checks themselves are
//! [`orbital::certificate::certify`] and [`orbital::chain::Chain::extend`], the same that governance ran.
//!
//! Kills are a set (PROTOCOL §4), and so are blocks and suspensions: the tenant serves only if every halt known here is named by digest in a
//! certified change that lifts its kind, in whatever order they arrived. Epochs order grants alone.

mod forks;
mod judge;
mod proofs;
mod recovery;
pub use judge::Judged;
use proofs::Proofs;
pub(crate) use proofs::kept_in;
pub use proofs::{PROOFS_MAX, RECALLED_MAX};
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use orbital::{
    certificate::{Certificate, Certified, Uncertified, certify},
    chain::{BadGenesis, Chain, Genesis},
    change::{Action, Change, ChangeKind, EPOCH_STEP_MAX, L1Ref, bundle_in},
    directive::{Directive, LeaseGrant, Warrant},
    fork::Fork,
    halt::{Halt, Halts},
    names::{Deployment, Digest, Region, System, TenantId},
    recovery::{RECOVERIES_MAX, Waiting},
    sign::{BadSignature, PublicKey},
    trust::TrustRoot,
};
use serde::{Deserialize, Serialize};

use crate::{
    guards,
    names::{Epoch, Generation},
};

/// Most halts that one tenant's standing remembers by name: what a tombstone's preallocated space holds. One more kills for good.
pub const HALTS_MAX: usize = crate::shelf::TOMBSTONE_HALTS_MAX;

/// Who this region is: what a trust root must say of it.
#[derive(Clone, Debug)]
pub struct Identity {
    pub deployment: Deployment,
    pub region: Region,
    pub report_key: PublicKey,
    pub hpke_key: PublicKey,
    /// Providers whose keys stay with the customer (HYOK): linking one takes passkeys with user verification.
    pub hyok: BTreeSet<System>,
}

/// The L1 link in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Linked {
    pub l1: L1Ref,
    pub change: Digest,
    pub epoch: u64,
    /// Its proof; none where a version wrote it that kept none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Certificate>,
}

/// What the shelf keeps of a standing, JSON. The chain is read from its links and verified anew at each start: a stored chain proves
/// nothing by having been stored.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stored {
    pub format: u32,
    pub genesis: Genesis,
    pub links: Vec<Certificate>,
    pub epoch: u64,
    pub kills: BTreeSet<Digest>,
    pub restored: BTreeSet<Digest>,
    #[serde(default)]
    pub blocks: BTreeSet<Digest>,
    #[serde(default)]
    pub unblocked: BTreeSet<Digest>,
    #[serde(default)]
    pub suspensions: BTreeSet<Digest>,
    #[serde(default)]
    pub resumed: BTreeSet<Digest>,
    pub linked: Option<Linked>,
    pub provisioned_by: Digest,
    /// Second successors of versions in `links`: the evidence of forks that are not settled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub forks: Vec<Certificate>,
    /// First receipts of recoveries of the present version.
    #[serde(default, skip_serializing_if = "Waiting::is_empty")]
    pub recoveries: Waiting,
    /// Certificates of stops and of what lifts them, for governance alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub proofs: Vec<Certificate>,
}

/// One tenant in this region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    genesis: Genesis,
    links: Vec<Certificate>,
    chain: Chain,
    epoch: u64,
    /// Known here, lifted ones among them.
    halts: Halts,
    /// More halts have come than fit `halts`. The tombstone's stop bits make it durable, not the head.
    for_good: bool,
    /// Named by a change that lifts their kind, known here or not.
    lifted: Halts,
    linked: Option<Linked>,
    provisioned_by: Digest,
    /// Not settled yet: at most [`orbital::fork::FORKS_MAX`].
    forks: Vec<Fork>,
    /// First receipts of recoveries of the present version.
    recoveries: Waiting,
    /// Of stops and of what lifts them.
    proofs: Proofs,
}

/// What the steward must do, in this order, before it acknowledges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Fence; for a kill and a block drain and zeroize, too.
    Stop(Halt),
    /// Delete the tenant's wrapped keys and what is wrapped under them.
    Shred,
    /// The trust root names this region no more: fence, zeroize, and delete the tenant's wrapped keys.
    Leave,
    /// It names this region again.
    Join,
    /// A system is retired: its keys leave memory.
    Retire(System),
    /// Lift the stop: every known halt of its kind is lifted by name.
    Lift(Halt),
    /// The L1 to unseal from from now on.
    Link(L1Ref),
    /// The customer's new link clears an earlier refusal of L1.
    LiftL1Stop,
    /// Callers changed: show the listener the new anchors, and close what the old ones let in.
    Callers,
    /// The policies changed, and the callers did not: show the listener the new bundle.
    Policy,
    /// Lease or L1 terms changed: what is left of the present ones ends no later than the new ones allow.
    Terms,
    /// The lease machine decides about the nonce.
    Renew { nonce: String, seconds: u64 },
    /// Unseal ahead of the first request.
    Hold,
    /// Try this L1 and report.
    Probe { change: Digest, l1: L1Ref },
    /// Make the new standing durable.
    Persist,
}

/// Why a directive changes nothing here. The text reaches governance, the portal and the log.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error(transparent)]
    Genesis(#[from] BadGenesis),
    #[error(transparent)]
    Uncertified(#[from] Uncertified),
    #[error("{0}")]
    Signature(#[from] BadSignature),
    #[error(
        "tenant {0} is not pinned here: add its genesis fingerprint under [pin] in the topology, and start the node again"
    )]
    NotPinned(TenantId),
    #[error("tenant {0} is known here already, with this genesis: a second Provision changes nothing")]
    Known(TenantId),
    #[error("tenant {0} was ended here before it was founded (TerminateTenant): it is never founded here any more")]
    Ended(TenantId),
    #[error(
        "{0} tenants that are not pinned here were ended before they were founded, and no more are remembered: as long as it is not pinned, \
         this one cannot be founded here either"
    )]
    TooManyEnded(u64),
    #[error("tenant {0} is not known here: send its Provision first")]
    Unknown(TenantId),
    #[error("the trust root is for deployment {found}, this region belongs to {here}")]
    Deployment { found: Deployment, here: Deployment },
    #[error("the trust root does not name region {region} with this node's keys: it names {found}")]
    NotNamed { region: Region, found: String },
    #[error("a {directive} directive cannot carry a {kind} change")]
    WrongChange { directive: &'static str, kind: ChangeKind },
    #[error("epoch {found} does not follow epoch {here}: a grant moves it forward by 1 to {EPOCH_STEP_MAX}")]
    Epoch { found: u64, here: u64 },
    #[error(
        "the tenant is killed: only RestoreL1, ChangeActors, ChangeQuorum and stops are valid until every kill is restored by name"
    )]
    Killed,
    #[error(
        "two certified versions follow version {before} of the tenant's trust root, {here} and {other}: it is frozen but for stops until a \
         ChangeActors of the branch that stands declares the other one void (`kcm trust settle`)"
    )]
    Forked { before: u64, here: Digest, other: Digest },
    #[error(
        "a recovery by cold keys waits here until {until} (Unix seconds), counted from this region's first receipt; a ChangeActors by the \
         people of the present version cancels it (`kcm trust recovery cancel`)"
    )]
    Recovering { change: Digest, until: u64 },
    #[error("more than {RECOVERIES_MAX} recoveries wait here: this one is not remembered")]
    TooManyRecoveries,
    #[error("the tenant is blocked: nothing is unsealed until every block is lifted by name (UnblockTenant)")]
    Blocked,
    #[error("the change does not name region {0}")]
    ForOtherRegions(Region),
    #[error("the tenant's trust root does not name region {0}: nothing of it is served or unsealed here")]
    Outside(Region),
    #[error("the tenant has no L1 linked in this region: link one first")]
    NotLinked,
    #[error("the lease is for another {0}")]
    LeaseElsewhere(&'static str),
    #[error(
        "the head here is version {version} at epoch {epoch}, older than what this node has acknowledged: a copy of its store was put \
         back. No lease opens the tenant until the missing changes have been sent again"
    )]
    HeadBehind { version: u64, epoch: u64 },
    #[error("a lease of {found} s is longer than the trust root's {most} s")]
    LeaseTooLong { found: u64, most: u64 },
    #[error("the probe's proposal names another change or key")]
    ProbeElsewhere,
    #[error(
        "more than {HALTS_MAX} stops of this tenant have come: nothing can name them all, it stays killed here for good. \
         Found a new tenant for what is still needed"
    )]
    KilledForGood,
    #[error(
        "this region remembers at most {HALTS_MAX} lifted stops of one tenant; found a new tenant for what is still needed"
    )]
    TooManyLifted,
    #[error("the statement does not read: {0}")]
    Malformed(#[from] orbital::canon::Malformed),
}

impl Standing {
    /// Founds a tenant here: the genesis signed by every first actor, pinned by this region, and a chain that names it.
    pub fn found(
        genesis: &Genesis,
        links: &[Certificate],
        by: Digest,
        me: &Identity,
        pinned: &BTreeSet<TenantId>,
        now: u64,
    ) -> Result<Self, Refusal> {
        let founded = Self::begun(genesis, by)?;
        if !pinned.contains(&founded.tenant()) {
            return Err(Refusal::NotPinned(founded.tenant()));
        }
        let founded = match founded.clone().follow(links, Some(now)) {
            // It begins at the version before, where it serves nobody.
            Err(Refusal::Recovering { .. }) => founded.receiving(links, now)?,
            followed => followed?,
        };
        founded.check_named(me)?;
        Ok(founded)
    }

    /// The certified end of a tenant that this region does not have, judged from its genesis on: the digest of the TerminateTenant.
    pub(crate) fn end(genesis: &Genesis, warrant: &Warrant, me: &Identity, now: u64) -> Result<Digest, Refusal> {
        let judged = Self::begun(genesis, Digest([0; 32]))?.stop_by(warrant, me, now)?;
        judged.next.check_named(me)?;
        let ends = judged.change.filter(|_| judged.effects.contains(&Effect::Shred));
        let kind = || Change::from_bytes(&warrant.certificate.change).map(|change| change.kind());
        ends.map_or_else(|| Err(Refusal::WrongChange { directive: "annul", kind: kind()? }), Ok)
    }

    /// A tenant as its genesis has it.
    fn begun(genesis: &Genesis, by: Digest) -> Result<Self, Refusal> {
        Ok(Self {
            genesis: genesis.clone(),
            links: Vec::new(),
            chain: genesis.found()?,
            epoch: 0,
            halts: Halts::default(),
            for_good: false,
            lifted: Halts::default(),
            linked: None,
            provisioned_by: by,
            forks: Vec::new(),
            recoveries: Waiting::default(),
            proofs: Proofs::default(),
        })
    }

    /// Reads what [`Standing::to_bytes`] wrote and verifies its chain from the genesis on.
    pub fn from_bytes(bytes: &[u8], me: &Identity) -> Result<Self, Refusal> {
        let unreadable = |e: serde_json::Error| orbital::canon::Malformed::Unreadable {
            what: "a stored standing",
            why: e.to_string(),
        };
        let stored: Stored = serde_json::from_slice(bytes).map_err(unreadable)?;
        let founded = Self {
            chain: stored.genesis.found()?,
            genesis: stored.genesis,
            links: Vec::new(),
            epoch: stored.epoch,
            halts: Halts { kills: stored.kills, blocks: stored.blocks, suspensions: stored.suspensions },
            for_good: false,
            lifted: Halts { kills: stored.restored, blocks: stored.unblocked, suspensions: stored.resumed },
            linked: stored.linked,
            provisioned_by: stored.provisioned_by,
            forks: Vec::new(),
            recoveries: Waiting::default(),
            proofs: Proofs::default(),
        };
        let mut standing = founded.follow(&stored.links, None)?;
        stored.forks.iter().for_each(|link| _ = standing.meet(link));
        stored.proofs.iter().for_each(|proof| standing.proofs.insert(proof));
        // One that has left is kept, so that it stays left.
        if !standing.is_outside(me) {
            standing.check_named(me)?;
        }
        // The links have moved it already, once, when they came.
        Ok(Self { epoch: stored.epoch, recoveries: stored.recoveries, ..standing })
    }

    pub fn to_bytes(&self) -> Result<Vec<u8>, Refusal> {
        let stored = Stored {
            format: 1,
            genesis: self.genesis.clone(),
            links: self.links.clone(),
            epoch: self.epoch,
            kills: self.halts.kills.clone(),
            restored: self.lifted.kills.clone(),
            blocks: self.halts.blocks.clone(),
            unblocked: self.lifted.blocks.clone(),
            suspensions: self.halts.suspensions.clone(),
            resumed: self.lifted.suspensions.clone(),
            linked: self.linked.clone(),
            provisioned_by: self.provisioned_by,
            forks: self.forks.iter().map(|fork| fork.link().clone()).collect(),
            recoveries: self.recoveries.clone(),
            proofs: self.proofs().cloned().collect(),
        };
        let unwritable =
            |e: serde_json::Error| orbital::canon::Malformed::Unreadable { what: "a standing", why: e.to_string() };
        Ok(serde_json::to_vec(&stored).map_err(unwritable)?)
    }

    pub fn tenant(&self) -> TenantId {
        self.chain.tenant()
    }
    pub fn trust(&self) -> &TrustRoot {
        self.chain.current()
    }
    /// The policy bundle that the trust root names, where a change of the chain brought it.
    pub fn bundle(&self) -> Option<Vec<u8>> {
        bundle_in(&self.links, self.trust().policy)
    }
    pub fn chain(&self) -> &Chain {
        &self.chain
    }
    pub fn epoch(&self) -> u64 {
        self.epoch
    }
    pub fn halts(&self) -> &Halts {
        &self.halts
    }
    pub fn lifted(&self) -> &Halts {
        &self.lifted
    }
    pub fn linked(&self) -> Option<&Linked> {
        self.linked.as_ref()
    }

    /// A halt of this kind that nothing lifts by name, or nothing can.
    pub fn is_halted(&self, halt: Halt) -> bool {
        (halt == Halt::Kill && self.for_good) || !self.halts.of(halt).is_subset(self.lifted.of(halt))
    }
    pub fn is_killed(&self) -> bool {
        self.is_halted(Halt::Kill)
    }
    /// More halts have come than are remembered by name: nothing lifts that.
    pub fn is_killed_for_good(&self) -> bool {
        self.for_good
    }

    /// The trust root names no such region, though an earlier one did.
    pub fn is_outside(&self, me: &Identity) -> bool {
        !self.trust().regions.contains_key(&me.region)
    }

    /// The trust root names this region, by the keys of this node.
    fn is_named(&self, me: &Identity) -> bool {
        let named = self.trust().regions.get(&me.region);
        named.is_some_and(|r| (r.report_key, r.hpke_key) == (me.report_key, me.hpke_key))
    }

    fn check_inside(&self, me: &Identity) -> Result<(), Refusal> {
        if self.is_named(me) { Ok(()) } else { Err(Refusal::Outside(me.region.clone())) }
    }

    /// A stop is never refused: where no name fits any more, the tenant is killed for good.
    fn know(&mut self, halt: Halt, name: Digest) {
        if self.halts.len() < HALTS_MAX {
            self.halts.insert(halt, name);
        } else if !self.halts.of(halt).contains(&name) {
            self.for_good = true;
        }
    }

    /// Older than what this node has acknowledged for the tenant, by its tombstone or its high-water file: not the head to serve under.
    pub fn is_behind(&self, trust_version: u64, epoch: u64) -> bool {
        let mark = |version, epoch| (version, Epoch(epoch), Generation::default());
        guards::behind(mark(self.chain.version(), self.epoch), mark(trust_version, epoch))
    }

    /// The Provision that founded it, told apart by digest: a repeated one is answered again, another is refused.
    pub fn was_provisioned_by(&self, directive: Digest) -> bool {
        self.provisioned_by == directive
    }

    /// The later of two standings, with the halts of both, what is lifted in either, and the forks that it has not settled: these sets only
    /// grow, whatever was decided side by side.
    #[must_use]
    pub fn joined(&self, next: &Self) -> Self {
        let order = |s: &Self| (s.chain.version(), s.epoch);
        let mut joined = if order(next) >= order(self) { next.clone() } else { self.clone() };
        joined.lifted.extend(self.lifted.iter().chain(next.lifted.iter()));
        joined.for_good = self.for_good || next.for_good;
        self.halts.iter().chain(next.halts.iter()).for_each(|(halt, name)| joined.know(halt, name));
        joined.epoch = self.epoch.max(next.epoch);
        self.forks.iter().chain(&next.forks).for_each(|fork| joined.keep(fork.clone()));
        joined.proofs.join(&self.proofs);
        joined.proofs.join(&next.proofs);
        if self.chain.version() == next.chain.version() {
            joined.recoveries.join(&self.recoveries);
            joined.recoveries.join(&next.recoveries);
        }
        joined.linked = self.linked.iter().chain(&next.linked).max_by_key(|linked| linked.epoch).cloned();
        joined
    }

    /// With what reached only the tombstone: halts by name, and whether there were more.
    #[must_use]
    pub fn with_halts(mut self, halts: &Halts, for_good: bool) -> Self {
        halts.iter().for_each(|(halt, name)| self.know(halt, name));
        self.for_good |= for_good;
        self
    }

    /// Follows links of the chain from the version held here; links of earlier versions are passed over. `now`, in Unix seconds: recoveries
    /// wait; none: these links were in force here already.
    fn follow(mut self, links: &[Certificate], now: Option<u64>) -> Result<Self, Refusal> {
        for link in links {
            let (longer, certified) = match self.chain.extend(link) {
                Ok(extended) => extended,
                Err(_) if self.has_link(link) => continue,
                Err(e) => return Err(self.met(link).map_or_else(|| e.into(), |fork| forks::refusal(&fork))),
            };
            if let Some(now) = now {
                self.check_ripe(link, now)?;
            }
            self.chain = longer;
            self.recoveries = Waiting::default();
            // Never a refusal: a stop may travel with this link. And never a leap: no grant could follow one (PROTOCOL §4).
            self.epoch = self.epoch.max(certified.change().epoch.min(self.epoch.saturating_add(EPOCH_STEP_MAX)));
            self.links.push(link.clone());
            self.settle();
        }
        Ok(self)
    }

    fn has_link(&self, link: &Certificate) -> bool {
        self.links.iter().any(|known| known.change == link.change)
    }

    fn check_named(&self, me: &Identity) -> Result<(), Refusal> {
        let trust = self.trust();
        if trust.deployment != me.deployment {
            return Err(Refusal::Deployment { found: trust.deployment.clone(), here: me.deployment.clone() });
        }
        let named = trust.regions.get(&me.region);
        match named {
            Some(_) if self.is_named(me) => Ok(()),
            // A later version may name it, and a recovery stands in between.
            None if !self.recoveries.is_empty() => Ok(()),
            Some(r) => {
                Err(Refusal::NotNamed { region: me.region.clone(), found: format!("other keys ({})", r.report_key) })
            }
            None => Err(Refusal::NotNamed {
                region: me.region.clone(),
                found: trust.regions.keys().map(ToString::to_string).collect::<Vec<_>>().join(", "),
            }),
        }
    }
}
