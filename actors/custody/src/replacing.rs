//! Objects whose bytes are being replaced by others (KMIP Import): meanwhile no key of theirs comes into the table.
//!
//! Whoever opens an object reads its row first and puts its key into the table later. If the row is replaced in between, a key that is
//! no more would serve under the attributes of another. So whoever opens [`look`](Replacing::look)s before it reads, and puts the key in
//! [`unless`](Replacing::unless) it was replaced since. Whoever replaces holds a [`Mark`] from before the old key leaves the table until
//! the new row is durable; the mark travels with the transaction, so a request that is given up leaves it there.

use std::sync::Arc;

use orbital::names::TenantId;
use parking_lot::Mutex;

use crate::names::ObjectId;

/// See the module.
#[derive(Default)]
pub(crate) struct Replacing {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// How many replacements have ended.
    ended: u64,
    marked: Vec<(TenantId, ObjectId)>,
}

/// What [`Replacing::look`] saw.
#[derive(Clone, Copy)]
pub(crate) struct Seen(u64);

impl Replacing {
    /// To be called before a row is read.
    pub(crate) fn look(&self) -> Seen {
        Seen(self.state.lock().ended)
    }

    /// Runs `job` with no replacement beginning or ending meanwhile; `None` if the object is being replaced, or any was replaced since
    /// `seen`.
    pub(crate) fn unless<T>(
        &self,
        tenant: &TenantId,
        object: ObjectId,
        seen: Seen,
        job: impl FnOnce() -> T,
    ) -> Option<T> {
        let state = self.state.lock();
        let fresh = state.ended == seen.0 && !state.marked.contains(&(*tenant, object));
        fresh.then(job)
    }

    /// Marks an object; `None` if another request replaces it now.
    pub(crate) fn mark(self: &Arc<Self>, tenant: &TenantId, object: ObjectId) -> Option<Mark> {
        let place = (*tenant, object);
        let mut state = self.state.lock();
        if state.marked.contains(&place) {
            return None;
        }
        state.marked.push(place);
        Some(Mark { place, of: self.clone() })
    }
}

/// The object is being replaced until this is dropped.
pub(crate) struct Mark {
    place: (TenantId, ObjectId),
    of: Arc<Replacing>,
}

impl Drop for Mark {
    fn drop(&mut self) {
        let mut state = self.of.state.lock();
        state.marked.retain(|place| *place != self.place);
        state.ended += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rig::{OTHER, TENANT};

    #[test]
    fn a_row_that_was_read_before_a_replacement_ended_is_not_used() {
        let (replacing, object) = (Arc::new(Replacing::default()), ObjectId::from_random([1; 16]));
        let used = |seen| replacing.unless(&TENANT, object, seen, || ()).is_some();
        let before = replacing.look();
        assert!(used(before));
        let mark = replacing.mark(&TENANT, object).unwrap();
        assert!(replacing.mark(&TENANT, object).is_none(), "one replaces at a time");
        assert!(!used(before) && !used(replacing.look()), "it is being replaced");
        assert!(replacing.unless(&OTHER, object, before, || ()).is_some(), "another tenant's is not");
        drop(mark);
        assert!(!used(before), "it was replaced since");
        assert!(used(replacing.look()));
        assert!(replacing.mark(&TENANT, object).is_some());
    }
}
