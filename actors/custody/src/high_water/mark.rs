//! Mark: how far one tenant has come, as a row of the high-water file says it.
//!
//! Counters say how far, stops what holds, and the sets *which* halts: a copy of the store that has come as far with other halts is not
//! the store that this node has acknowledged. The file has no room for names. It keeps how many there are and a digest over them; where a
//! store that was put back lacks some, the digest stays as what was lost, until those very names are back.
//!
//! ```text
//! format 1   tenant 32 · trust version 8 · epoch 8 · generation 8 · stops 4
//! format 2   the same · kills 36 · restored 36 · lost 36, each count 4 (all ones: not known) · digest 32
//! ```

use std::collections::BTreeSet;

use aws_lc_rs::digest;
use orbital::names::{Digest, TenantId};
use serde::{Deserialize, Serialize};

use crate::{
    guards,
    key_table::{Stop, Stops},
    names::{Epoch, Generation},
};

/// Bytes of a row of format 1, which named no sets.
pub(super) const ROW_1_BYTES: usize = 32 + 8 + 8 + 8 + 4;
/// Bytes of a row of format 2.
pub(super) const ROW_BYTES: usize = ROW_1_BYTES + 3 * KNOWN_BYTES;
const KNOWN_BYTES: usize = 4 + 32;
/// How many names a search for a lost set may digest. It finds the set beside one later kill among 1024, and beside as many later ones as
/// there are others where that is ten.
const SEARCHED_NAMES_MAX: usize = 1 << 20;
const DOMAIN: &[u8] = b"openkcm/kills/v1\0";

/// A set of halts: how many, and which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    pub count: u32,
    pub digest: Digest,
}

impl Known {
    pub fn of(kills: &BTreeSet<Digest>) -> Self {
        let count = u32::try_from(kills.len()).unwrap_or(u32::MAX - 1);
        Self { count, digest: sha256(kills.iter().map(|kill| kill.as_bytes().as_slice())) }
    }

    /// Each kill of this set is in `kills`, which may hold others: those that came since. False where the search is too long.
    pub fn is_within(self, kills: &BTreeSet<Digest>) -> bool {
        let names: Vec<_> = kills.iter().collect();
        let mut left = SEARCHED_NAMES_MAX;
        usize::try_from(self.count).is_ok_and(|count| self.is_among(&names, count, &started(), &mut left))
    }

    /// Whether `count` of `names` end what `begun` has digested: with the first of them, or without. `left`: names that may be digested.
    fn is_among(self, names: &[&Digest], count: usize, begun: &digest::Context, left: &mut usize) -> bool {
        let (Some(rest), true) = (left.checked_sub(1), names.len() >= count) else { return false };
        *left = rest;
        let mut longer = begun.clone();
        let Some((first, others)) = names.split_first().filter(|_| count > 0 && count < names.len()) else {
            *left = rest.saturating_sub(count);
            names.iter().take(count).for_each(|name| longer.update(name.as_bytes()));
            return finished(longer) == self.digest;
        };
        longer.update(first.as_bytes());
        self.is_among(others, count - 1, &longer, left) || self.is_among(others, count, begun, left)
    }

    /// These sets only grow: fewer, or as many others, is not what the file says.
    fn lacks(self, file: Self) -> bool {
        self.count < file.count || (self.count == file.count && self.digest != file.digest)
    }

    /// Two losses cannot be told apart any more: no set of names answers to this.
    fn and(self, other: Self) -> Self {
        let digest = sha256([self, other].iter().map(|known| known.digest.as_bytes().as_slice()));
        Self { count: self.count.max(other.count), digest }
    }
}

fn sha256<'a>(parts: impl Iterator<Item = &'a [u8]>) -> Digest {
    let mut context = started();
    parts.for_each(|part| context.update(part));
    finished(context)
}

fn started() -> digest::Context {
    let mut context = digest::Context::new(&digest::SHA256);
    context.update(DOMAIN);
    context
}

fn finished(context: digest::Context) -> Digest {
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    Digest(bytes)
}

/// How far one tenant has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Mark {
    pub trust_version: u64,
    pub epoch: Epoch,
    pub generation: Generation,
    pub stops: Stops,
    /// All halts known; `None` where an older format did not say, as below.
    pub kills: Option<Known>,
    /// Those that a lifting change has named.
    pub restored: Option<Known>,
    /// Halts that were acknowledged while the tenant is halted, and that the store no longer names.
    pub lost: Option<Known>,
}

impl Mark {
    fn counters(self) -> guards::Mark {
        (self.trust_version, self.epoch, self.generation)
    }

    /// The store knows less than the file, or other kills.
    pub(super) fn lacks(self, file: Self) -> bool {
        let lacks = |store: Option<Known>, file: Option<Known>| {
            file.is_some_and(|file| store.map_or(file.count > 0, |store| store.lacks(file)))
        };
        guards::behind(self.counters(), file.counters())
            || lacks(self.kills, file.kills)
            || lacks(self.restored, file.restored)
    }

    /// The file's mark beside this store: the sets are the store's from now on. Halts that it lacks are kept as lost, if the tenant is
    /// halted: which of them were lifted nobody can tell.
    pub(super) fn beside(self, store: Self) -> Self {
        let missing = self.kills.filter(|file| store.kills.is_none_or(|store| store.lacks(*file)));
        let missing = missing.filter(|file| file.count > 0 && self.stops.halted());
        let lost = match (self.lost, missing) {
            (Some(before), Some(now)) if before != now => Some(before.and(now)),
            (before, now) => now.or(before),
        };
        Self { kills: store.kills.or(self.kills), restored: store.restored.or(self.restored), lost, ..self }
    }

    /// The higher of each counter, all stops of the later generation, this one's sets where it says them.
    pub fn joined(self, other: Self) -> Self {
        let stops = match self.generation.cmp(&other.generation) {
            std::cmp::Ordering::Less => other.stops,
            std::cmp::Ordering::Greater => self.stops,
            std::cmp::Ordering::Equal => Stops(self.stops.0 | other.stops.0),
        };
        Self {
            trust_version: self.trust_version.max(other.trust_version),
            epoch: self.epoch.max(other.epoch),
            generation: self.generation.max(other.generation),
            stops,
            kills: self.kills.or(other.kills),
            restored: self.restored.or(other.restored),
            lost: self.lost.or(other.lost),
        }
    }

    pub(super) fn encode(self, tenant: &TenantId, bytes: &mut Vec<u8>) {
        bytes.extend_from_slice(tenant.0.as_bytes());
        for counter in [self.trust_version, self.epoch.0, self.generation.0] {
            bytes.extend_from_slice(&counter.to_be_bytes());
        }
        bytes.extend_from_slice(&(self.stops.durable().0 | self.stops.0 & Stop::Sealed.bit()).to_be_bytes());
        for known in [self.kills, self.restored, self.lost] {
            let known = known.unwrap_or(Known { count: u32::MAX, digest: Digest([0; 32]) });
            bytes.extend_from_slice(&known.count.to_be_bytes());
            bytes.extend_from_slice(known.digest.as_bytes());
        }
    }

    /// A row of either format.
    pub(super) fn decode(row: &[u8]) -> Option<(TenantId, Self)> {
        let (tenant, rest) = row.split_first_chunk::<32>()?;
        let (trust_version, rest) = rest.split_first_chunk::<8>()?;
        let (epoch, rest) = rest.split_first_chunk::<8>()?;
        let (generation, rest) = rest.split_first_chunk::<8>()?;
        let (stops, rest) = rest.split_first_chunk::<4>()?;
        let [kills, restored, lost] = match rest.as_chunks::<KNOWN_BYTES>() {
            ([], []) => [None; 3],
            ([kills, restored, lost], []) => [decode_known(kills), decode_known(restored), decode_known(lost)],
            _ => return None,
        };
        let mark = Self {
            trust_version: u64::from_be_bytes(*trust_version),
            epoch: Epoch(u64::from_be_bytes(*epoch)),
            generation: Generation(u64::from_be_bytes(*generation)),
            stops: Stops(u32::from_be_bytes(*stops)),
            kills,
            restored,
            lost,
        };
        Some((TenantId(Digest(*tenant)), mark))
    }
}

fn decode_known(bytes: &[u8; KNOWN_BYTES]) -> Option<Known> {
    let (count, digest) = bytes.split_first_chunk::<4>()?;
    let known = Known { count: u32::from_be_bytes(*count), digest: Digest(digest.try_into().ok()?) };
    (known.count != u32::MAX).then_some(known)
}

#[cfg(test)]
mod tests {
    use orbital::sign::Kind;

    use super::*;

    fn names(of: std::ops::Range<usize>) -> BTreeSet<Digest> {
        of.map(|n| Kind::Leaf.digest(&n.to_be_bytes())).collect()
    }

    /// As many kills as a tombstone remembers and one that came since; as many lost ones as later ones; and never a set of others.
    #[test]
    fn a_set_is_found_among_later_kills() {
        for (lost, all) in [(0..1, 0..1), (0..1023, 0..1024), (1..1024, 0..1024), (5..15, 0..20), (0..0, 0..3)] {
            assert!(Known::of(&names(lost.clone())).is_within(&names(all.clone())), "{lost:?} in {all:?}");
        }
        for (lost, all) in [(0..2, 1..2), (0..2, 1..4), (0..3, 0..2), (0..1, 0..0), (0..600, 1..1024)] {
            assert!(!Known::of(&names(lost.clone())).is_within(&names(all.clone())), "{lost:?} in {all:?}");
        }
    }
}
