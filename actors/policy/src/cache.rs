//! The region's decisions of one policy epoch, so that a KMIP request pays nanoseconds for what Cedar takes microseconds to say.
//!
//! Each epoch has its own table, bound to the evaluator that fills it: installing the next epoch replaces both at once, and an answer
//! of the old evaluator has no way into the new table, however late it comes. A slot is written once and read without a lock. The
//! table is bounded; a question that finds its places taken is evaluated each time: slower, never wrong.
//!
//! A key holds all that the decision can depend on: tenant, both systems, operation, and caller, object, region or what the object is at
//! the moment where the bundle's policies look at them (see `reach`). What depends on the lease is evaluated each time. Keys are compared in full; the hash only finds the place. It is quick and not keyed: names that collide
//! share a place of [`WAYS`] slots, which makes their own tenant's questions slower and nothing else.

use std::{
    hash::{Hash, Hasher},
    sync::{Arc, OnceLock},
};

use arc_swap::ArcSwap;
use orbital::names::TenantId;

use crate::{
    circumstances::{Circumstances, ObjectNow},
    evaluate::{Decision, Evaluator},
    finding::PolicyError,
    question::{Operation, Question, Target},
    reach::Reach,
};

/// Places for one hash.
const WAYS: usize = 8;
const SETS: usize = 256;
/// Most decisions kept for one epoch (16 bytes each while empty).
pub const DECISIONS_MAX: usize = WAYS * SETS;

/// Proof that the policies of one epoch permit one operation. Only [`DecisionCache::permit`] makes it; the operation takes it by move.
#[derive(Debug)]
#[must_use = "a permission is taken by the operation that it permits"]
pub struct Permitted {
    operation: Operation,
    epoch: u64,
}

impl Permitted {
    pub fn operation(&self) -> Operation {
        self.operation
    }
    /// The policy epoch under which it was permitted; stands in the audit record.
    pub fn epoch(&self) -> u64 {
        self.epoch
    }
}

/// The current epoch's evaluator and its decisions. One per bundle in force: in a region, one a tenant.
#[derive(Debug)]
pub struct DecisionCache {
    current: ArcSwap<Term>,
}

impl DecisionCache {
    pub fn new(epoch: u64, evaluator: Arc<Evaluator>) -> Self {
        Self { current: ArcSwap::from_pointee(Term::new(epoch, evaluator)) }
    }

    pub fn epoch(&self) -> u64 {
        self.current.load().epoch
    }

    /// The evaluator in force, for questions off the hot path.
    pub fn evaluator(&self) -> Arc<Evaluator> {
        Arc::clone(&self.current.load().evaluator)
    }

    /// Begins an epoch with an empty table; the evaluator may be the same.
    ///
    /// # Errors
    /// [`PolicyError::StaleEpoch`] unless the epoch is above the current one.
    pub fn install(&self, epoch: u64, evaluator: Arc<Evaluator>) -> Result<(), PolicyError> {
        let next = Arc::new(Term::new(epoch, evaluator));
        loop {
            let current = self.current.load();
            if epoch <= current.epoch {
                return Err(PolicyError::StaleEpoch { current: current.epoch, offered: epoch });
            }
            if Arc::ptr_eq(&self.current.compare_and_swap(&*current, Arc::clone(&next)), &current) {
                return Ok(());
            }
        }
    }

    /// Whether the caller may do the operation, from the table or by asking Cedar once; `Err` of the inner result is the decision that
    /// refuses: `Deny` or `Error`. The circumstances are found out if a policy looks at them.
    ///
    /// # Errors
    /// What stands in the way of finding out the circumstances.
    pub fn permit<'a, E>(
        &self,
        question: &Question<'a>,
        circumstances: impl FnOnce() -> Result<Circumstances<'a>, E>,
    ) -> Result<Result<Permitted, Decision>, E> {
        let term = self.current.load();
        let reach = term.evaluator.bundle.reach;
        let seen = if reach.context() { circumstances()? } else { Circumstances::UNSEEN };
        let key = Key::of(question, &seen, reach);
        // No place: found nowhere, and kept nowhere.
        let place = if reach.lease { &[] } else { term.place(&key) };
        let known = term.find(place, &key).map(|known| match known {
            Decision::Allow { .. } => Ok(()),
            refusal => Err(refusal.clone()),
        });
        Ok(known
            .unwrap_or_else(|| term.evaluate(place, &key, (question, &seen)))
            .map(|()| Permitted { operation: question.operation, epoch: term.epoch }))
    }

    /// How many decisions the current epoch's table holds.
    pub fn len(&self) -> usize {
        self.current.load().sets.iter().flatten().filter(|slot| slot.get().is_some()).count()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// One epoch.
#[derive(Debug)]
struct Term {
    epoch: u64,
    evaluator: Arc<Evaluator>,
    sets: Box<[[OnceLock<Box<Known>>; WAYS]]>,
}

impl Term {
    fn new(epoch: u64, evaluator: Arc<Evaluator>) -> Self {
        let sets = std::iter::repeat_with(Default::default).take(SETS).collect();
        Self { epoch, evaluator, sets }
    }

    fn place(&self, key: &Key<'_>) -> &[OnceLock<Box<Known>>] {
        let mut mix = Mix(0);
        key.hash(&mut mix);
        let index = usize::try_from(mix.finish() % SETS as u64).unwrap_or_default();
        self.sets.get(index).map_or(&[], |set| set.as_slice())
    }

    /// Slots of a place fill in order, so the first empty one ends the search.
    fn find<'a>(&self, place: &'a [OnceLock<Box<Known>>], key: &Key<'_>) -> Option<&'a Decision> {
        place.iter().map_while(OnceLock::get).find(|known| known.key() == *key).map(|known| &known.decision)
    }

    #[cold]
    fn evaluate(
        &self,
        place: &[OnceLock<Box<Known>>],
        key: &Key<'_>,
        (question, seen): (&Question<'_>, &Circumstances<'_>),
    ) -> Result<(), Decision> {
        let decision = self.evaluator.may_operate(question, seen);
        let mut known = Box::new(Known::new(key, decision.clone()));
        for slot in place {
            match slot.set(known) {
                Ok(()) => break,
                Err(_) if slot.get().is_some_and(|other| other.key() == *key) => break,
                Err(back) => known = back,
            }
        }
        if decision.is_allowed() { Ok(()) } else { Err(decision) }
    }
}

/// All that a decision can depend on, borrowed from the question.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Key<'a> {
    tenant: TenantId,
    operation: Operation,
    system: &'a str,
    /// The owner of the object; none for an operation without one.
    owner: Option<&'a str>,
    caller: Option<&'a str>,
    object: Option<&'a str>,
    region: Option<&'a str>,
    now: Option<ObjectNow>,
}

impl<'a> Key<'a> {
    fn of(question: &Question<'a>, seen: &Circumstances<'a>, reach: Reach) -> Self {
        let (owner, object) = match question.target {
            Target::OwnSystem => (None, None),
            Target::Object { id, owner } => (Some(owner.as_str()), reach.object.then_some(id)),
        };
        Self {
            tenant: question.tenant,
            operation: question.operation,
            system: question.system.as_str(),
            owner,
            caller: reach.caller.then_some(question.caller),
            object,
            region: reach.region.then_some(seen.region),
            now: reach.now.then_some(seen.object),
        }
    }
}

/// What differs most, first; what stays out is compared all the same.
impl Hash for Key<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write(self.tenant.0.as_bytes().first_chunk::<8>().map_or(&[], |chunk| chunk));
        state.write_u8(self.operation as u8);
        state.write(self.system.as_bytes());
        for part in [self.owner, self.caller, self.object].into_iter().flatten() {
            state.write(part.as_bytes());
        }
        if let Some(now) = self.now {
            state.write(&now.usage_mask.to_le_bytes());
            state.write_u8(now.state as u8);
        }
    }
}

/// Eight bytes a step: rotate, xor, multiply by the golden ratio.
struct Mix(u64);

impl Hasher for Mix {
    fn write(&mut self, bytes: &[u8]) {
        let step = |mix: u64, word: u64| (mix.rotate_left(5) ^ word).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let (words, rest) = bytes.as_chunks::<8>();
        let mixed = words.iter().fold(self.0, |mix, word| step(mix, u64::from_le_bytes(*word)));
        let last = rest.iter().fold(bytes.len() as u64, |word, byte| (word << 8) | u64::from(*byte));
        self.0 = step(mixed, last);
    }

    /// The upper half, where the product mixed best.
    fn finish(&self) -> u64 {
        self.0 >> 32
    }
}

/// A decision with its key, owned.
#[derive(Debug)]
struct Known {
    tenant: TenantId,
    operation: Operation,
    system: Box<str>,
    owner: Option<Box<str>>,
    caller: Option<Box<str>>,
    object: Option<Box<str>>,
    region: Option<Box<str>>,
    now: Option<ObjectNow>,
    decision: Decision,
}

impl Known {
    fn new(key: &Key<'_>, decision: Decision) -> Self {
        Self {
            tenant: key.tenant,
            operation: key.operation,
            system: key.system.into(),
            owner: key.owner.map(Into::into),
            caller: key.caller.map(Into::into),
            object: key.object.map(Into::into),
            region: key.region.map(Into::into),
            now: key.now,
            decision,
        }
    }

    fn key(&self) -> Key<'_> {
        Key {
            tenant: self.tenant,
            operation: self.operation,
            system: &self.system,
            owner: self.owner.as_deref(),
            caller: self.caller.as_deref(),
            object: self.object.as_deref(),
            region: self.region.as_deref(),
            now: self.now,
        }
    }
}

#[cfg(test)]
mod tests {
    use orbital::names::{Digest, System};

    use super::*;
    use crate::bundle::Bundle;

    /// A term, and the place of one question in it.
    fn with_place(act: impl FnOnce(&Term, &[OnceLock<Box<Known>>], &Key<'_>, &Question<'_>)) {
        let term = Term::new(1, Arc::new(Evaluator::new(Bundle::default_bundle().unwrap())));
        let own = System::new("orders").unwrap();
        let (tenant, target) = (TenantId(Digest([1; 32])), Target::Object { id: "object-1", owner: &own });
        let asked = Question { tenant, system: &own, caller: "client-1", operation: Operation::Get, target };
        let key = Key::of(&asked, &Circumstances::UNSEEN, term.evaluator.bundle.reach);
        act(&term, term.place(&key), &key, &asked);
    }

    /// Cedar would permit it: the answer comes from the table.
    #[test]
    fn what_is_known_is_not_evaluated_again() {
        with_place(|term, place, key, _| {
            assert_eq!(term.find(place, key), None);
            let kept = Decision::Deny { policies: vec!["kept".to_owned()] };
            place[0].set(Box::new(Known::new(key, kept.clone()))).unwrap();
            assert_eq!(term.find(place, key), Some(&kept));
        });
    }

    /// Two who ask at once both evaluate, and one answer is kept.
    #[test]
    fn one_question_takes_one_slot() {
        with_place(|term, place, key, asked| {
            for _ in 0..2 {
                assert_eq!(term.evaluate(place, key, (asked, &Circumstances::UNSEEN)), Ok(()));
            }
            assert_eq!(place.iter().filter(|slot| slot.get().is_some()).count(), 1);
        });
    }
}
