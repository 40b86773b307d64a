//! The trust chain: genesis, then one certified version after the other, as in TUF.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{
    canon::Malformed,
    certificate::{Certificate, Certified, Uncertified, certify},
    change::{Action, BUNDLE_BYTES_MAX, Change},
    enrol::Enrolment,
    names::{Digest, Person, Region, TenantId},
    sign::{BadSignature, Kind, PersonKey, PublicKey, Signature},
    trust::{ActorKey, Algorithm, BadTrust, RegionIdentity, TrustRoot},
};

/// Longest chain that is read at once.
pub const LINKS_MAX: usize = 1_024;

/// Version 1 and the signature of each of its persons over it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Genesis {
    /// Canonical bytes of a [`TrustRoot`] of version 1.
    #[serde(with = "crate::canon::bytes")]
    pub root: Vec<u8>,
    /// One signature a person, over the digest of the root for [`Kind::Trust`], by any of the person's keys.
    pub signatures: BTreeMap<Person, Signature>,
}

/// Why a genesis founds nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadGenesis {
    #[error(transparent)]
    Trust(#[from] BadTrust),
    #[error(transparent)]
    Malformed(#[from] Malformed),
    #[error("a genesis is of version 1, found {0}")]
    NotFirst(u64),
    #[error("{0} has not signed the genesis: every first actor must")]
    Unsigned(Person),
    #[error("the genesis is signed by {0}, who is not one of its actors")]
    Stranger(Person),
    #[error("the signature of {0}: {1}")]
    Signature(Person, BadSignature),
}

impl Genesis {
    /// Checks that every first actor signed, and nobody else.
    pub fn found(&self) -> Result<Chain, BadGenesis> {
        let root = TrustRoot::from_bytes(&self.root)?;
        if root.version != 1 {
            return Err(BadGenesis::NotFirst(root.version));
        }
        if let Some(stranger) = self.signatures.keys().find(|p| !root.actors.contains_key(*p)) {
            return Err(BadGenesis::Stranger(stranger.clone()));
        }
        for (person, actor) in &root.actors {
            let signature = self.signatures.get(person).ok_or_else(|| BadGenesis::Unsigned(person.clone()))?;
            // A passkey founds nothing: its assertion would need a challenge before there is a tenant to ask for one.
            let mut keys = actor.keys.values().filter(|k| k.algorithm == Algorithm::Ed25519).map(|k| k.public);
            let signed = |key: &PublicKey| key.verify(Kind::Trust, &self.root, signature).is_ok();
            if !keys.any(|key| matches!(&key, PersonKey::Ed25519(key) if signed(key))) {
                return Err(BadGenesis::Signature(person.clone(), BadSignature::Mismatch("trust")));
            }
        }
        Ok(Chain {
            tenant: root.tenant_id()?,
            digests: vec![Kind::Trust.digest(&self.root)],
            current: root,
            departed: BTreeMap::new(),
        })
    }
}

/// A chain as far as it was verified. It can be had from [`Genesis::found`] and [`Chain::extend`] alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    tenant: TenantId,
    /// Digest of each version, from 1 on.
    digests: Vec<Digest>,
    current: TrustRoot,
    departed: BTreeMap<Region, Departed>,
}

/// A region that an earlier version named: who it was, and the first version without it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departed {
    pub identity: RegionIdentity,
    pub version: u64,
}

impl Chain {
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }
    pub fn current(&self) -> &TrustRoot {
        &self.current
    }
    /// The next version of the trust root, as yet equal to the present one.
    pub fn successor(&self) -> TrustRoot {
        let now = self.current();
        TrustRoot {
            version: now.version.saturating_add(1),
            tenant: Some(self.tenant()),
            previous: Some(self.digest()),
            ..now.clone()
        }
    }
    pub fn version(&self) -> u64 {
        self.current.version
    }
    pub fn digest(&self) -> Digest {
        self.digest_of(self.current.version).unwrap_or(self.tenant.0)
    }
    /// The regions that an earlier version named, and this one does not.
    pub fn departed(&self) -> &BTreeMap<Region, Departed> {
        &self.departed
    }
    /// Who answers for a region, by its place in the trust root or by the last that it had: a region that leaves says so afterwards.
    pub fn region(&self, name: &Region) -> Option<&RegionIdentity> {
        self.current.regions.get(name).or_else(|| self.departed.get(name).map(|departed| &departed.identity))
    }
    /// Digest of a version that this chain has.
    pub fn digest_of(&self, version: u64) -> Option<Digest> {
        let at = usize::try_from(version.checked_sub(1)?).ok()?;
        self.digests.get(at).copied()
    }

    /// This version was declared void: it is no successor of ours that matters.
    pub fn voids(&self, version: &Digest) -> bool {
        self.current.void.contains(version)
    }

    /// The chain as it was at the version of this root, which its digest proves to be the chain's own.
    pub fn back_to(&self, root: TrustRoot) -> Option<Self> {
        let digest = root.digest().ok()?;
        if self.digest_of(root.version)? != digest {
            return None;
        }
        let digests = self.digests.iter().copied().take(usize::try_from(root.version).ok()?).collect();
        let left = self.departed.iter().filter(|(_, departed)| departed.version <= root.version);
        let departed = left.map(|(name, departed)| (name.clone(), departed.clone())).collect();
        Some(Self { tenant: self.tenant, digests, current: root, departed })
    }

    /// The chain as it was at a version, from what it was made of.
    pub fn at(&self, genesis: &Genesis, links: &[Certificate], version: u64) -> Option<Self> {
        self.back_to(root_of(genesis, links, version)?)
    }

    /// The chain one version longer, if this certificate makes the next one.
    pub fn extend(&self, certificate: &Certificate) -> Result<(Self, Certified), Uncertified> {
        if Change::from_bytes(&certificate.change)?.action.next().is_none() {
            return Err(Uncertified::NotSuccessor(self.version(), "the change makes no new version"));
        }
        let certified = certify(certificate, self, u64::MAX)?;
        let next = certified
            .change()
            .action
            .next()
            .ok_or(Uncertified::NotSuccessor(self.version(), "the change makes no new version"))?;
        self.check_successor(&certified.change().action, next)?;
        let mut digests = self.digests.clone();
        digests.push(next.digest()?);
        let mut departed = self.departed.clone();
        let gone = self.current.regions.iter().filter(|(name, _)| !next.regions.contains_key(*name));
        departed.extend(gone.map(|(name, r)| (name.clone(), Departed { identity: r.clone(), version: next.version })));
        departed.retain(|name, _| !next.regions.contains_key(name));
        let longer = Self { tenant: self.tenant, digests, current: next.clone(), departed };
        Ok((longer, certified))
    }

    /// Each key that enters has said itself whose it is.
    fn check_enrolled(&self, next: &TrustRoot) -> Result<(), Uncertified> {
        for (person, actor) in &next.actors {
            let known = self.current.actors.get(person).map(|actor| &actor.keys);
            let known = |key: &ActorKey| {
                let same = |old: &ActorKey| (old.algorithm, old.public) == (key.algorithm, key.public);
                known.is_some_and(|keys| keys.values().any(same))
            };
            for (name, key) in actor.keys.iter().filter(|(_, key)| !known(key)) {
                let enrolment = Enrolment::new(self.tenant, person.clone(), key.algorithm, key.public);
                enrolment.check(key.proof.as_ref(), next.webauthn.as_ref()).map_err(|why| Uncertified::Unenrolled {
                    person: person.clone(),
                    key: name.clone(),
                    why,
                })?;
            }
        }
        Ok(())
    }

    /// Versions are declared void for good, and never one of the chain's own.
    fn voided_wrongly(&self, next: &TrustRoot) -> Option<&'static str> {
        if !next.void.is_superset(&self.current.void) {
            return Some("it takes back that an earlier version declared another void");
        }
        let own = self.digests.iter().any(|version| next.void.contains(version));
        own.then_some("it declares a version void that it follows itself")
    }

    /// What the next version may differ in: only what its kind of change is about.
    pub fn check_successor(&self, action: &Action, next: &TrustRoot) -> Result<(), Uncertified> {
        next.check()?;
        self.check_enrolled(next)?;
        let now = &self.current;
        let refuse = |why| Err(Uncertified::NotSuccessor(now.version, why));
        match () {
            () if next.version != now.version + 1 => return refuse("its version is not the next"),
            () if next.tenant != Some(self.tenant) => return refuse("it names another tenant"),
            () if next.previous != Some(self.digest()) => return refuse("it does not name its predecessor's digest"),
            () => {}
        }
        let mut same = next.clone();
        same.version = now.version;
        same.tenant = now.tenant;
        same.previous = now.previous;
        same.carried = now.carried.clone();
        match action {
            Action::RegisterSystem { system, .. } => {
                if now.systems.contains(system) || !same.systems.remove(system) {
                    return refuse("it does not add the one system that it names");
                }
            }
            Action::RetireSystem { system, .. } => {
                let kept = now.callers.iter().filter(|rule| rule.system != *system).cloned().collect();
                if !now.systems.contains(system) || !same.systems.insert(system.clone()) || same.callers != kept {
                    return refuse("it does not take away the one system that it names, with its callers");
                }
                same.callers = now.callers.clone();
            }
            Action::ChangeCallers { .. } => same.callers = now.callers.clone(),
            Action::ChangeActors { .. } => {
                if let Some(why) = self.voided_wrongly(next) {
                    return refuse(why);
                }
                same.take_people_of(now);
            }
            Action::ChangeQuorum { .. } => same.rules = now.rules.clone(),
            Action::ChangePolicy { bundle, .. } => {
                if bundle.len() > BUNDLE_BYTES_MAX {
                    return refuse("its policy bundle is larger than a change may carry");
                }
                if next.policy != Kind::Policy.digest(bundle) {
                    return refuse("it names another policy bundle than it carries");
                }
                same.policy = now.policy;
            }
            Action::ChangeLease { .. } => {
                same.lease = now.lease.clone();
                same.l1 = now.l1.clone();
            }
            Action::ChangeResidency { .. } => {
                if let Some(why) = moved_wrongly(now, next) {
                    return refuse(why);
                }
                (same.residency, same.regions) = (now.residency.clone(), now.regions.clone());
            }
            Action::LinkL1 { .. }
            | Action::RevokeL1 {}
            | Action::RestoreL1 { .. }
            | Action::BlockTenant {}
            | Action::UnblockTenant { .. }
            | Action::SuspendL1 {}
            | Action::ResumeL1 { .. }
            | Action::TerminateTenant {}
            | Action::ChangeRouting { .. }
            | Action::ApplyTopology { .. } => {}
        }
        if same == *now { Ok(()) } else { refuse("it alters more than its kind of change may") }
    }
}

/// What a change of residency may not do with the regions.
fn moved_wrongly(now: &TrustRoot, next: &TrustRoot) -> Option<&'static str> {
    let other = |(name, now): (&Region, &RegionIdentity)| next.regions.get(name).is_some_and(|n| n != now);
    if now.regions.iter().any(other) {
        return Some("a region that stays is named with other keys or in another jurisdiction than before");
    }
    next.regions.is_empty().then_some("it leaves the tenant no region: that is TerminateTenant")
}

/// The root of a version, from what the chain was made of; [`Chain::back_to`] proves that it is this chain's.
fn root_of(genesis: &Genesis, links: &[Certificate], version: u64) -> Option<TrustRoot> {
    match version.checked_sub(2) {
        None => TrustRoot::from_bytes(&genesis.root).ok(),
        Some(at) => {
            let link = links.get(usize::try_from(at).ok()?)?;
            Change::from_bytes(&link.change).ok()?.action.next().cloned()
        }
    }
}

#[cfg(test)]
mod tests;
