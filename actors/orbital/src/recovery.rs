//! Recovery: a ChangeActors that cold keys sign in place of people, for when no quorum is left (PROTOCOL §3, break-glass).
//!
//! Its signatures are of a role of their own, so that none of them is ever a vote. It alters persons alone: not the rules, not the recovery
//! keys themselves. A tenant's people hear of it before it counts: each region, and governance, takes it as a link of the chain only when the
//! terms' delay has passed since its own first receipt ([`Waiting`]), and until then any ordinary successor of the same version cancels it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{
    canon::{self, Malformed, Text},
    certificate::Certificate,
    change::{Action, Change, ChangeKind},
    names::{BadName, Digest, KeyName, Person},
    quorum::PERSONS_MIN,
    sign::{BadSignature, Kind, PublicKey, SecretKey, Signed},
    trust::TrustRoot,
    vote::{Role, Signer, Vote},
};

/// Most recovery keys of one tenant.
pub const RECOVERY_KEYS_MAX: usize = 16;
/// Shortest time between a region's first receipt and its application, in seconds: 72 hours.
pub const RECOVERY_DELAY_SECONDS_MIN: u64 = 72 * 3_600;
/// Longest such time, in seconds: 90 days.
pub const RECOVERY_DELAY_SECONDS_MAX: u64 = 90 * 24 * 3_600;
/// Most recoveries of one trust version that wait at once: whoever holds the keys cannot fill a store with them.
pub const RECOVERIES_MAX: usize = 8;
/// How far a recovery moves the epoch: further than the grants that may come into force while it waits.
pub const RECOVERY_EPOCH_STEP: u64 = 500;
/// Who its votes say has signed: the keys are nobody's.
const PERSON: &str = "recovery";

/// Cold keys that sign ChangeActors alone, after a delay (PROTOCOL §3).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecoveryTerms {
    pub keys: BTreeSet<PublicKey>,
    #[serde(with = "canon::decimal")]
    pub need: u64,
    /// How long each region waits after it has seen a recovery first.
    #[serde(with = "canon::decimal")]
    pub delay_seconds: u64,
}

/// Why a recovery does not count.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadRecovery {
    #[error("the trust root names no recovery keys: there is no recovery for this tenant")]
    NoTerms,
    #[error("a recovery changes persons alone (ChangeActors), never a {0}")]
    Kind(ChangeKind),
    #[error("a recovery changes persons alone: this one alters {0}, too")]
    Alters(&'static str),
    #[error("{0} is no recovery key of this trust version")]
    Stranger(KeyName),
    #[error("recovery key {0} has signed twice")]
    Twice(KeyName),
    #[error("recovery key {0} has signed other terms than the first one: begin the file anew")]
    OtherTerms(KeyName),
    #[error("recovery key {key}: {why}")]
    Signature { key: KeyName, why: BadSignature },
    #[error("{found} of {need} recovery keys have signed")]
    TooFew { found: usize, need: u64 },
}

impl RecoveryTerms {
    /// What is wrong with them, whoever signed them.
    pub(crate) fn fault(&self) -> Option<&'static str> {
        let (keys, need) = (self.keys.len(), usize::try_from(self.need).unwrap_or(usize::MAX));
        match () {
            () if keys > RECOVERY_KEYS_MAX => Some("more than 16 keys"),
            () if need < PERSONS_MIN => Some("fewer than two keys would suffice"),
            () if need > keys => Some("they ask for more keys than they name"),
            () if self.delay_seconds < RECOVERY_DELAY_SECONDS_MIN => Some("a delay shorter than 72 hours"),
            () if self.delay_seconds > RECOVERY_DELAY_SECONDS_MAX => Some("a delay longer than 90 days"),
            () => None,
        }
    }
}

/// What a recovery key is called in its vote: its own text.
fn name_of(key: &PublicKey) -> Result<KeyName, BadName> {
    KeyName::new(key.to_string())
}

/// A recovery key's signature for this change; all of them sign the same terms. `nonce`: 16 random bytes, base64url.
pub fn sign(
    change: &[u8],
    trust: &TrustRoot,
    expires: u64,
    (secret, nonce): (&SecretKey, String),
) -> Result<Signed, Malformed> {
    let unreadable = |why: BadName| Malformed::Unreadable { what: "a recovery key", why: why.to_string() };
    let signer = Signer {
        person: Person::new(PERSON).map_err(unreadable)?,
        key: name_of(&secret.public()).map_err(unreadable)?,
        secret,
        origin: Text::new("cli")?,
        nonce,
    };
    Vote::open(Role::Recover, change, trust, expires, &signer)
}

impl Certificate {
    /// Signed by recovery keys, or claims to be.
    pub fn is_recovery(&self) -> bool {
        Vote::read(Role::Recover, &self.proposal).is_ok()
    }

    /// The recovery keys that have signed it, verified: fewer than needed while it is collected. None where it is no recovery.
    pub fn recovered_by(&self, trust: &TrustRoot) -> Option<Result<BTreeSet<KeyName>, BadRecovery>> {
        let first = Vote::read(Role::Recover, &self.proposal).ok()?;
        Some(trust.recovery.as_ref().ok_or(BadRecovery::NoTerms).and_then(|terms| signed(self, &first, terms)))
    }
}

/// That enough recovery keys have signed, and for persons alone. Place and version are checked as every certificate's.
pub(crate) fn check(
    certificate: &Certificate,
    change: &Change,
    first: &Vote,
    trust: &TrustRoot,
) -> Result<(), BadRecovery> {
    let terms = trust.recovery.as_ref().ok_or(BadRecovery::NoTerms)?;
    let Action::ChangeActors { next } = &change.action else { return Err(BadRecovery::Kind(change.kind())) };
    let alters = [
        (next.recovery != trust.recovery, "the recovery keys"),
        (next.webauthn != trust.webauthn, "the passkey terms"),
        (next.void != trust.void, "what is void"),
        (!next.delegations.is_subset(&trust.delegations), "who stands in for whom"),
        (next.carried != trust.carried, "which certificates are carried over"),
    ];
    if let Some((_, what)) = alters.into_iter().find(|(alters, _)| *alters) {
        return Err(BadRecovery::Alters(what));
    }
    let found = signed(certificate, first, terms)?.len();
    let enough = u64::try_from(found).is_ok_and(|found| found >= terms.need);
    if enough { Ok(()) } else { Err(BadRecovery::TooFew { found, need: terms.need }) }
}

/// The distinct keys whose signatures hold; one that does not voids them all.
fn signed(certificate: &Certificate, first: &Vote, terms: &RecoveryTerms) -> Result<BTreeSet<KeyName>, BadRecovery> {
    let keys: BTreeMap<_, _> = terms.keys.iter().filter_map(|key| Some((name_of(key).ok()?, key))).collect();
    let mut found = BTreeSet::new();
    for signed in std::iter::once(&certificate.proposal).chain(&certificate.approvals) {
        let vote = Vote::read(Role::Recover, signed).map_err(|_| BadRecovery::OtherTerms(first.key.clone()))?;
        let name = vote.key.clone();
        let key = keys.get(&name).ok_or_else(|| BadRecovery::Stranger(name.clone()))?;
        if (Vote { nonce: first.nonce.clone(), key: first.key.clone(), ..vote }) != *first {
            return Err(BadRecovery::OtherTerms(name));
        }
        signed.verify(Kind::Recover, key).map_err(|why| BadRecovery::Signature { key: name.clone(), why })?;
        if !found.insert(name.clone()) {
            return Err(BadRecovery::Twice(name));
        }
    }
    Ok(found)
}

/// The recoveries of one trust version that have come, by digest of their change, each with its first receipt: Unix seconds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Waiting(BTreeMap<Digest, u64>);

impl Waiting {
    /// When this one may come into force under these terms, if it has come.
    pub fn due(&self, change: &Digest, terms: &RecoveryTerms) -> Option<u64> {
        self.0.get(change).map(|received| received.saturating_add(terms.delay_seconds))
    }

    /// Remembers its first receipt. False where too many wait already.
    pub fn receive(&mut self, change: Digest, now: u64) -> bool {
        let room = self.0.len() < RECOVERIES_MAX || self.0.contains_key(&change);
        if room {
            self.0.entry(change).or_insert(now);
        }
        room
    }

    /// What both have, each by its earlier receipt.
    pub fn join(&mut self, other: &Self) {
        for (change, received) in &other.0 {
            let first = self.0.entry(*change).or_insert(*received);
            *first = (*first).min(*received);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    pub fn iter(&self) -> impl Iterator<Item = (&Digest, u64)> {
        self.0.iter().map(|(change, received)| (change, *received))
    }
}

#[cfg(test)]
mod tests;
