//! Shares: of what there is a limited number, no caller holds more than a share. One certificate alone shuts nobody else out.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::peer::PeerId;

/// Places, in all and by caller. A caller without a name has a share like any other: that of those without a name.
#[derive(Debug)]
pub(crate) struct Shares {
    held: Mutex<Held>,
    places_max: usize,
    per_caller_max: usize,
}

#[derive(Debug, Default)]
struct Held {
    all: usize,
    by: HashMap<Option<PeerId>, usize>,
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
pub(crate) struct Share {
    of: Arc<Shares>,
    caller: Option<PeerId>,
}

impl Shares {
    pub(crate) fn new(places_max: usize, per_caller_max: usize) -> Arc<Self> {
        Arc::new(Self { held: Mutex::default(), places_max, per_caller_max })
    }

    pub(crate) fn take(self: &Arc<Self>, caller: Option<PeerId>) -> Result<Share, Full> {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.by.get(&caller).is_some_and(|mine| *mine >= self.per_caller_max) {
            return Err(Full::Caller(self.per_caller_max));
        }
        if held.all >= self.places_max {
            return Err(Full::Everywhere(self.places_max));
        }
        held.all += 1;
        *held.by.entry(caller.clone()).or_default() += 1;
        Ok(Share { of: Arc::clone(self), caller })
    }
}

impl Drop for Share {
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
