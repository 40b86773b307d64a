//! Shares: of what there is a limited number, no caller holds more than a share. One certificate alone shuts nobody else out.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, PoisonError},
};

/// Places, in all and by caller.
#[derive(Debug)]
pub(crate) struct Shares<K: Eq + Hash> {
    held: Mutex<Held<K>>,
    places_max: usize,
    per_caller_max: usize,
}

#[derive(Debug)]
struct Held<K> {
    all: usize,
    by: HashMap<K, usize>,
}

/// Why there is no place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Full {
    #[error("at most {0} are open at once")]
    Everywhere(usize),
    #[error("one caller has at most {0} open at once")]
    Caller(usize),
}

/// One place, given back on drop.
#[derive(Debug)]
pub(crate) struct Share<K: Eq + Hash> {
    of: Arc<Shares<K>>,
    caller: K,
}

impl<K: Clone + Eq + Hash> Shares<K> {
    pub(crate) fn new(places_max: usize, per_caller_max: usize) -> Arc<Self> {
        Arc::new(Self { held: Mutex::new(Held { all: 0, by: HashMap::new() }), places_max, per_caller_max })
    }

    pub(crate) fn take(self: &Arc<Self>, caller: K) -> Result<Share<K>, Full> {
        self.take_within(caller, self.per_caller_max)
    }

    /// As [`Self::take`], for one whose share is another.
    pub(crate) fn take_within(self: &Arc<Self>, caller: K, per_caller_max: usize) -> Result<Share<K>, Full> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.by.get(&caller).is_some_and(|mine| *mine >= per_caller_max) {
            return Err(Full::Caller(per_caller_max));
        }
        if held.all >= self.places_max {
            return Err(Full::Everywhere(self.places_max));
        }
        held.all += 1;
        *held.by.entry(caller.clone()).or_default() += 1;
        Ok(Share { of: Arc::clone(self), caller })
    }
}

impl<K: Eq + Hash> Drop for Share<K> {
    fn drop(&mut self) {
        let mut held = self.of.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.all -= 1;
        if let Some(mine) = held.by.get_mut(&self.caller) {
            *mine -= 1;
            if *mine == 0 {
                held.by.remove(&self.caller);
            }
        }
    }
}
