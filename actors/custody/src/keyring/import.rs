//! An object that comes with its own id (KMIP 1.4 §4.41), and may take the place of one that has it.

use orbital::names::{System, TenantId};

use super::{Keyring, New};
use crate::{
    error::Error,
    key_table::Purpose,
    names::{KeyId, ObjectId},
    replacing::Mark,
};

impl Keyring {
    /// Stores an object under the id that it brings, durable before it returns; its key is opened when it is used first. If the system
    /// has an object of this id, it is [`Error::Exists`], or, if `replaces`, that one's bytes and attributes are gone when this returns.
    /// An id that another system of the tenant has is [`Error::Taken`]. None of this happens in a draft: its id is known to others, who
    /// would meet a key there that may never be stored.
    pub async fn import(&self, tenant: &TenantId, system: &System, new: New, replaces: bool) -> Result<(), Error> {
        let New { object, meta, secret } = new;
        if self.draft.is_some() {
            return Err(Error::NoDraft(object));
        }
        self.table.admit(tenant, Purpose::Protect)?;
        let began = self.unsealer.generation(tenant)?;
        let (row, _) = self.sealed(tenant, system, object, meta, secret).await?;
        let mark = if replaces { Some(self.evicted(tenant, object)?) } else { None };
        self.shelf.import_object(tenant, object, row, mark).await?;
        self.table.admit(tenant, Purpose::Protect)?;
        let now = self.unsealer.generation(tenant)?;
        if began == now { Ok(()) } else { Err(Error::Stale { began, now }) }
    }

    /// Takes an object's key out of the table, and keeps it out until the mark is dropped.
    pub(super) fn evicted(&self, tenant: &TenantId, object: ObjectId) -> Result<Mark, Error> {
        let mark = self.unsealer.replacing.mark(tenant, object).ok_or(Error::Contended(object))?;
        self.table.remove(tenant, &KeyId::Object(object));
        Ok(mark)
    }
}
