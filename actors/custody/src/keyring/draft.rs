//! A draft: what one batch has made and changed so far, seen by that batch alone (KMIP 1.4 §6.13, Undo).
//!
//! A keyring with a draft reads through it and writes nowhere else; [`Keyring::commit`] puts all of it on the shelf in one
//! transaction. A draft that is dropped, or that a crash ends, leaves nothing behind. The keys that it made are in the table meanwhile,
//! under ids that nobody else knows, and are zeroized with it. Other clients see the objects as they were and may change them: then
//! the commit is refused ([`Error::Contended`]). What the batch has only read may change as well, as between two requests.

use std::sync::Arc;

use orbital::names::{System, TenantId};
use parking_lot::Mutex;

use super::Keyring;
use crate::{
    error::Error,
    key_table::{Borrow, KeyTable, Purpose, Unborrowed},
    names::{Generation, KeyId, ObjectId},
    object::ObjectMeta,
    shelf::{Aim, By, Drafted, ObjectRow, Shelf, Together, change_rows},
};

/// See the module.
pub(super) struct Draft {
    tenant: TenantId,
    /// It began in this one, and is committed in no other.
    generation: Generation,
    table: Arc<KeyTable>,
    /// In the order in which they came into the draft.
    drafted: Mutex<Vec<Drafted>>,
}

impl Draft {
    /// The object as the draft has it.
    pub(super) fn row(&self, object: ObjectId) -> Option<ObjectRow> {
        self.drafted.lock().iter().find(|one| one.object == object).map(|one| one.row.clone())
    }

    /// Why the draft has no key of the object to give, if it has none.
    pub(super) fn keyless(&self, object: ObjectId) -> Option<Error> {
        let row = self.row(object)?;
        row.keyless(object).or_else(|| row.meta.is_archived().then_some(Error::Archived(object)))
    }

    /// Takes in a new object.
    pub(super) fn make(&self, object: ObjectId, row: ObjectRow) {
        self.drafted.lock().push(Drafted { object, row, base: None });
    }

    /// Takes in an object that was changed from a row of the revision `from`.
    fn set(&self, object: ObjectId, row: ObjectRow, from: u64) {
        let mut drafted = self.drafted.lock();
        match drafted.iter_mut().find(|one| one.object == object) {
            Some(one) => one.row = row,
            None => drafted.push(Drafted { object, row, base: Some(from) }),
        }
    }

    /// A borrowed key with its attributes of the draft; none if the draft destroyed or archived it.
    pub(super) fn over(&self, object: ObjectId, borrow: Borrow) -> Result<Borrow, Unborrowed> {
        match self.row(object) {
            None => Ok(borrow),
            Some(row) if row.wrapped.is_empty() || row.meta.is_archived() => Err(Unborrowed::Miss),
            Some(row) => Ok(borrow.with_draft(row.meta)),
        }
    }

    /// Each object of the system, as the draft leaves it; with `by`, those that it fits. Newest first.
    pub(super) fn each(
        &self,
        shelf: &Shelf,
        system: &System,
        by: Option<By<'_>>,
        mut take: impl FnMut(ObjectId, &ObjectRow),
    ) -> Result<(), Error> {
        let drafted = self.drafted.lock().clone();
        let fits = |one: &&Drafted| one.row.system == *system && by.is_none_or(|by| by.fits(one.object, &one.row.meta));
        for one in drafted.iter().rev().filter(|one| one.base.is_none()).filter(fits) {
            take(one.object, &one.row);
        }
        // What the draft has changed stands where it stood, whether the walk comes by it or not.
        let place = |object: ObjectId, row: &ObjectRow| (row.created_ms(), object);
        let mut changed: Vec<&Drafted> = drafted.iter().filter(|one| one.base.is_some()).filter(fits).collect();
        changed.sort_by_key(|one| place(one.object, &one.row));
        shelf.walk(&self.tenant, system, by, |object, row| {
            while let Some(one) = changed.pop_if(|one| place(one.object, &one.row) >= place(object, &row)) {
                take(one.object, &one.row);
            }
            if drafted.iter().all(|one| one.object != object) {
                take(object, &row);
            }
            true
        })?;
        changed.iter().rev().for_each(|one| take(one.object, &one.row));
        Ok(())
    }

    /// No stop came since it began, and none is there.
    fn check(&self, purpose: Purpose) -> Result<(), Error> {
        let admission = self.table.admit(&self.tenant, purpose)?;
        let (began, now) = (self.generation, admission.generation());
        if began == now { Ok(()) } else { Err(Error::Stale { began, now }) }
    }

    /// It is on the shelf: the table follows.
    fn settle(&self) {
        for Drafted { object, row, .. } in std::mem::take(&mut *self.drafted.lock()) {
            let key = KeyId::Object(object);
            if row.wrapped.is_empty() || row.meta.is_archived() {
                self.table.remove(&self.tenant, &key);
            } else {
                self.table.amend(&self.tenant, &key, Arc::new(row.meta), row.revision);
            }
        }
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        for made in self.drafted.get_mut().iter().filter(|one| one.base.is_none()) {
            self.table.remove(&self.tenant, &KeyId::Object(made.object));
        }
    }
}

impl Keyring {
    /// The same keys, through a draft of one batch of this tenant.
    pub fn draft(&self, tenant: &TenantId) -> Self {
        let generation = self.table.gate(tenant).map(|gate| gate.generation()).unwrap_or_default();
        let draft = Draft { tenant: *tenant, generation, table: self.table.clone(), drafted: Mutex::default() };
        Self {
            table: self.table.clone(),
            shelf: self.shelf.clone(),
            slab: self.slab.clone(),
            unsealer: self.unsealer.clone(),
            cache: self.cache.clone(),
            clock: self.clock.clone(),
            draft: Some(draft),
        }
    }

    /// Makes the draft durable, all of it or nothing, and ends it. An error if the tenant was stopped since the draft began: nothing was
    /// written then, unless the stop came in the middle of the commit; what the batch computed must not leave either way.
    pub async fn commit(&self, purpose: Purpose) -> Result<(), Error> {
        let Some(draft) = &self.draft else { return Ok(()) };
        draft.check(purpose)?;
        let drafted = draft.drafted.lock().clone();
        if !drafted.is_empty() {
            self.shelf.put_draft(&draft.tenant, drafted).await?;
            draft.settle();
        }
        draft.check(purpose)
    }

    /// Changes an object in the draft.
    pub(super) fn redraft<T, E: From<Error>>(
        &self,
        draft: &Draft,
        system: &System,
        object: ObjectId,
        aim: Aim,
        change: impl FnOnce(&mut ObjectMeta) -> Result<T, E>,
    ) -> Result<T, E> {
        let absent = || Error::Absent { tenant: draft.tenant, system: system.clone(), object };
        let mut row = self.row(&draft.tenant, system, object)?.ok_or_else(absent)?;
        let from = row.revision;
        let done = row.change(object, aim, change)?;
        draft.set(object, row, from);
        Ok(done)
    }

    /// Changes objects in the draft and takes in new ones beside them.
    pub(super) fn redraft_together<T, E: From<Error>>(
        &self,
        draft: &Draft,
        system: &System,
        old: &[ObjectId],
        new: Vec<(ObjectId, ObjectRow)>,
        change: impl FnOnce(&mut [ObjectMeta], &mut [ObjectMeta]) -> Result<T, E>,
    ) -> Result<Together<T>, E> {
        let read = |&object: &ObjectId| {
            let absent = || Error::Absent { tenant: draft.tenant, system: system.clone(), object };
            self.row(&draft.tenant, system, object)?.ok_or_else(absent)
        };
        let mut rows = old.iter().map(read).collect::<Result<Vec<_>, Error>>()?;
        let from: Vec<u64> = rows.iter().map(|row| row.revision).collect();
        let (ids, mut made): (Vec<ObjectId>, Vec<ObjectRow>) = new.into_iter().unzip();
        let done = change_rows(old, &mut rows, &mut made, change)?;
        for ((object, row), from) in old.iter().zip(rows).zip(from) {
            draft.set(*object, row, from);
        }
        let new = made.iter().map(|row| row.meta.clone()).collect();
        ids.into_iter().zip(made).for_each(|(object, row)| draft.make(object, row));
        // The table keeps the old attributes until the draft is committed.
        Ok(Together { done, old: vec![], new })
    }
}
