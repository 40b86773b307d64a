//! The keyring: what the KMIP server and the node see of custody.
//!
//! A request: [`Keyring::admit`] once, then for each key [`Keyring::borrow`]; on [`Unborrowed::Miss`] `warm` it (the only await)
//! and borrow again. What a borrow computes is a `Pending`, opened by `Borrow::finish`. Objects are looked up under tenant and
//! system only, so a foreign id equals an absent one ([`Error::Absent`]).

mod draft;
mod import;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use orbital::names::{System, TenantId};
use zeroize::Zeroizing;

use self::draft::Draft;
use crate::{
    clock::Clock,
    error::Error,
    key_cache::KeyCache,
    key_table::{Admission, Borrow, Entry, KeyTable, LEASE_UNLIMITED, Purpose, Refused, Unborrowed},
    names::{Epoch, KeyId, ObjectId},
    object::{Object, ObjectMeta, digest_of},
    seal,
    shelf::{Aim, By, ObjectRow, Shelf},
    unseal::Unsealer,
    vault::{Expose, Secret, Slab, Usage},
};

const DIGEST: Expose = Expose::because("the digest of a new key is taken in place");

/// The most ids that one locate answers.
pub const LOCATE_MAX: usize = 10_000;

/// Which objects to find.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// Only objects of this id, name or term: answered from an index. Without it the system's objects are walked, newest first.
    pub by: Option<By<'a>>,
    /// How many matches to skip.
    pub offset: usize,
    /// How many ids to answer at most; `None` for [`LOCATE_MAX`].
    pub max: Option<usize>,
}

/// What a locate found, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Located {
    pub ids: Vec<ObjectId>,
    /// How many match in all (KMIP: Located Items), before offset and maximum.
    pub total: usize,
}

/// One of several objects that are to be created together.
pub struct New {
    /// The caller's choice, so that each of them can name the others.
    pub object: ObjectId,
    pub meta: ObjectMeta,
    /// From [`Keyring::hold`].
    pub secret: Secret,
}

/// The façade over one region's keys on one node.
pub struct Keyring {
    table: Arc<KeyTable>,
    shelf: Arc<Shelf>,
    slab: Arc<Slab>,
    unsealer: Arc<Unsealer>,
    cache: KeyCache,
    clock: Arc<dyn Clock>,
    draft: Option<Draft>,
}

impl Keyring {
    pub fn new(
        table: Arc<KeyTable>,
        shelf: Arc<Shelf>,
        slab: Arc<Slab>,
        unsealer: Arc<Unsealer>,
        cache: KeyCache,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { table, shelf, slab, unsealer, cache, clock, draft: None }
    }

    /// The tenant's gate is open. Unknown tenants are sealed ones.
    pub fn admit(&self, tenant: &TenantId, purpose: Purpose) -> Result<Admission, Refused> {
        self.table.admit(tenant, purpose)
    }

    /// The tenant's epoch; `None` where it is not known here.
    pub fn epoch(&self, tenant: &TenantId) -> Option<Epoch> {
        self.table.gate(tenant).map(|gate| gate.epoch())
    }

    /// Milliseconds until the tenant's lease in this region ends; `None` where it never does or the tenant is not known.
    pub fn lease_left_ms(&self, tenant: &TenantId) -> Option<u64> {
        let until_ms = self.table.gate(tenant)?.lease_until_ms();
        (until_ms != LEASE_UNLIMITED).then(|| until_ms.saturating_sub(self.clock.boottime_ms()))
    }

    /// The key table: gates, stops, numbers of keys.
    pub fn table(&self) -> &Arc<KeyTable> {
        &self.table
    }

    /// Locked memory, for health.
    pub fn usage(&self) -> Usage {
        self.slab.usage()
    }

    /// Borrows an object's key, without waiting and without allocation.
    pub fn borrow(
        &self,
        tenant: &TenantId,
        system: &System,
        object: ObjectId,
        purpose: Purpose,
    ) -> Result<Borrow, Unborrowed> {
        let borrow = self.table.borrow(tenant, &KeyId::Object(object), Some(system), purpose)?;
        match &self.draft {
            None => Ok(borrow),
            Some(draft) => draft.over(object, borrow),
        }
    }

    /// Unseals a system's L3, and the tenant's L2 before it, unless they are in the table. Many callers make one call to the KMS.
    pub async fn warm_system(&self, tenant: &TenantId, system: &System) -> Result<(), Error> {
        self.cache.unseal(*tenant, system.clone()).await
    }

    /// Unseals what a miss lacked: L2 by the customer's KMS, L3, the object. [`Error::Absent`] if there is no such object in this
    /// system, [`Error::Destroyed`] if its bytes are gone.
    pub async fn warm(&self, tenant: &TenantId, system: &System, object: ObjectId) -> Result<(), Error> {
        if self.warm_at_once(tenant, system, object)? {
            return Ok(());
        }
        self.warm_system(tenant, system).await?;
        self.unsealer.object(tenant, system, object).map_err(|why| why.unwrap_or(Error::Unavailable))
    }

    /// As [`Keyring::warm`], without waiting: `false` if the system is not unsealed.
    pub fn warm_at_once(&self, tenant: &TenantId, system: &System, object: ObjectId) -> Result<bool, Error> {
        self.table.admit(tenant, Purpose::Process)?;
        if let Some(why) = self.draft.as_ref().and_then(|draft| draft.keyless(object)) {
            return Err(why);
        }
        match self.unsealer.object(tenant, system, object) {
            Err(None) => Ok(false),
            Err(Some(why)) => Err(why),
            Ok(()) => Ok(true),
        }
    }

    /// The tenant is served, and the system's L3 is not in the table: whoever needs it waits for the customer's KMS.
    pub fn is_cold(&self, tenant: &TenantId, system: &System) -> bool {
        let l3 = self.table.borrow(tenant, &KeyId::L3(system.clone()), Some(system), Purpose::Process);
        matches!(l3, Err(Unborrowed::Miss))
    }

    /// Creates an object of `key_bytes` bytes, which `fill` writes in place into locked memory; its digest is added to `meta`. Durable
    /// before it returns; its key is in the table then.
    pub async fn create_object(
        &self,
        tenant: &TenantId,
        system: &System,
        meta: ObjectMeta,
        key_bytes: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), Error> + Send,
    ) -> Result<ObjectId, Error> {
        self.table.admit(tenant, Purpose::Protect)?;
        let began = self.unsealer.generation(tenant)?;
        let object = ObjectId::random()?;
        let secret = self.slab.fill(key_bytes, fill)?;
        let (row, entry) = self.sealed(tenant, system, object, meta, secret).await?;
        match &self.draft {
            None => self.shelf.put_objects(tenant, [(object, row)]).await?,
            Some(draft) => draft.make(object, row),
        }
        self.table.insert(tenant, entry, began)?;
        Ok(object)
    }

    /// Creates an object whose key is elsewhere: its attributes alone. Durable before it returns; nothing is unsealed for it.
    pub async fn create_keyless(
        &self,
        tenant: &TenantId,
        system: &System,
        meta: ObjectMeta,
    ) -> Result<ObjectId, Error> {
        self.table.admit(tenant, Purpose::Protect)?;
        let object = ObjectId::random()?;
        let meta = ObjectMeta { key_elsewhere: true, ..meta };
        let row = ObjectRow::new(system.clone(), meta, vec![], self.clock.now().wall_ms);
        match &self.draft {
            None => self.shelf.put_objects(tenant, [(object, row)]).await?,
            Some(draft) => draft.make(object, row),
        }
        Ok(object)
    }

    /// Puts `key_bytes` bytes of a key into locked memory, where `fill` writes them in place, for an object that is to be created.
    pub fn hold<E: From<Error>>(
        &self,
        key_bytes: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), E>,
    ) -> Result<Secret, E> {
        self.slab.fill(key_bytes, fill)
    }

    /// Creates `new` objects and changes the attributes of `old` ones, all of it or nothing. `change` sees the attributes of `old` and
    /// of `new` in this order and may amend both; its error leaves everything as it is. Durable before it returns; the new keys are
    /// in the table then.
    pub async fn create_beside<T: Send + 'static, E: From<Error> + Send + 'static>(
        &self,
        tenant: &TenantId,
        system: &System,
        old: Vec<ObjectId>,
        new: Vec<New>,
        change: impl FnOnce(&mut [ObjectMeta], &mut [ObjectMeta]) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        self.table.admit(tenant, Purpose::Protect).map_err(Error::from)?;
        let began = self.unsealer.generation(tenant)?;
        let (mut rows, mut entries) = (vec![], vec![]);
        for New { object, meta, secret } in new {
            let (row, entry) = self.sealed(tenant, system, object, meta, secret).await?;
            rows.push((object, row));
            entries.push(entry);
        }
        let together = match &self.draft {
            None => self.shelf.change_together(tenant, system, old.clone(), rows, change).await?,
            Some(draft) => self.redraft_together(draft, system, &old, rows, change)?,
        };
        for (object, (meta, revision)) in old.into_iter().zip(together.old) {
            self.table.amend(tenant, &KeyId::Object(object), Arc::new(meta), revision);
        }
        for (entry, meta) in entries.into_iter().zip(together.new) {
            self.table.insert(tenant, Entry { meta: Some(Arc::new(meta)), ..entry }, began)?;
        }
        Ok(together.done)
    }

    /// A new object's row, with its digest, and its entry of the table, wrapped under the system's L3.
    async fn sealed(
        &self,
        tenant: &TenantId,
        system: &System,
        object: ObjectId,
        mut meta: ObjectMeta,
        secret: Secret,
    ) -> Result<(ObjectRow, Entry), Error> {
        meta.digest = digest_of(&meta, secret.expose(DIGEST));
        let wrapped = match self.unsealer.wrap_object(tenant, system, object, &secret) {
            Err(None) => {
                self.warm_system(tenant, system).await?;
                self.unsealer.wrap_object(tenant, system, object, &secret)
            }
            answer => answer,
        };
        let wrapped = wrapped.map_err(|why| why.unwrap_or(Error::Unavailable))?;
        let row = ObjectRow::new(system.clone(), meta.clone(), wrapped, self.clock.now().wall_ms);
        let revision = row.revision;
        let (key, system, meta) = (KeyId::Object(object), Some(system.clone()), Some(Arc::new(meta)));
        Ok((row, Entry { key, secret, system, meta, revision }))
    }

    /// The object's attributes. Unseals nothing, but a stopped tenant is refused.
    pub fn object(&self, tenant: &TenantId, system: &System, object: ObjectId) -> Result<Object, Error> {
        self.table.admit(tenant, Purpose::Process)?;
        let row = self.row(tenant, system, object)?;
        let row = row.ok_or_else(|| Error::Absent { tenant: *tenant, system: system.clone(), object })?;
        if row.meta.is_archived() {
            return Err(Error::Archived(object));
        }
        Ok(Object { key_bytes: seal::secret_bytes(&row.wrapped), system: row.system, meta: row.meta })
    }

    /// The attributes of a system's object, on line or archived; none where there is no such object.
    ///
    /// # Errors
    /// [`Error::Refused`] while the tenant is stopped; the shelf's.
    pub fn attributes(
        &self,
        tenant: &TenantId,
        system: &System,
        object: ObjectId,
    ) -> Result<Option<ObjectMeta>, Error> {
        self.table.admit(tenant, Purpose::Process)?;
        Ok(self.row(tenant, system, object)?.map(|row| row.meta))
    }

    fn row(&self, tenant: &TenantId, system: &System, object: ObjectId) -> Result<Option<ObjectRow>, Error> {
        match self.draft.as_ref().and_then(|draft| draft.row(object)) {
            Some(row) => Ok((row.system == *system).then_some(row)),
            None => self.shelf.object(tenant, system, object),
        }
    }

    /// Changes attributes: `change` sees the stored ones, one change at a time; its error leaves them as they are. Durable before
    /// it returns what `change` did. Type, `exportable` and destruction cannot change here. An object that is archived hereby leaves the
    /// table, and is [`Error::Archived`] from then on.
    pub async fn update<T: Send + 'static, E: From<Error> + Send + 'static>(
        &self,
        tenant: &TenantId,
        system: &System,
        object: ObjectId,
        change: impl FnOnce(&mut ObjectMeta) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        self.change(tenant, system, object, Aim::Amend, change).await
    }

    /// As [`Keyring::update`], of an archived object too: `change` brings it back.
    pub async fn recover<T: Send + 'static, E: From<Error> + Send + 'static>(
        &self,
        tenant: &TenantId,
        system: &System,
        object: ObjectId,
        change: impl FnOnce(&mut ObjectMeta) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        self.change(tenant, system, object, Aim::Recover, change).await
    }

    /// As [`Keyring::update`], and wipes the wrapped bytes and the key in the table; attributes stay. `change` must set a destroyed
    /// state; its error leaves everything as it is.
    pub async fn destroy<T: Send + 'static, E: From<Error> + Send + 'static>(
        &self,
        tenant: &TenantId,
        system: &System,
        object: ObjectId,
        change: impl FnOnce(&mut ObjectMeta) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        self.change(tenant, system, object, Aim::Destroy, change).await
    }

    async fn change<T: Send + 'static, E: From<Error> + Send + 'static>(
        &self,
        tenant: &TenantId,
        system: &System,
        object: ObjectId,
        aim: Aim,
        change: impl FnOnce(&mut ObjectMeta) -> Result<T, E> + Send + 'static,
    ) -> Result<T, E> {
        self.table.admit(tenant, Purpose::Process).map_err(Error::from)?;
        if let Some(draft) = &self.draft {
            return self.redraft(draft, system, object, aim, change);
        }
        let (done, meta, revision) = self.shelf.change_object(tenant, system, object, aim, change).await?;
        if aim == Aim::Destroy || meta.is_archived() {
            self.table.remove(tenant, &KeyId::Object(object));
        } else {
            self.table.amend(tenant, &KeyId::Object(object), Arc::new(meta), revision);
        }
        Ok(done)
    }

    /// Finds objects of one system, newest first; `keep` decides on what the filter does not.
    pub fn locate(
        &self,
        tenant: &TenantId,
        system: &System,
        filter: Filter<'_>,
        mut keep: impl FnMut(ObjectId, &ObjectMeta) -> bool,
    ) -> Result<Located, Error> {
        self.table.admit(tenant, Purpose::Process)?;
        let max = filter.max.unwrap_or(LOCATE_MAX).min(LOCATE_MAX);
        let mut located = Located::default();
        let mut take = |object, row: &ObjectRow| {
            if keep(object, &row.meta) {
                if located.total >= filter.offset && located.ids.len() < max {
                    located.ids.push(object);
                }
                located.total += 1;
            }
        };
        match &self.draft {
            Some(draft) => draft.each(&self.shelf, system, filter.by, take)?,
            None => self.shelf.walk(tenant, system, filter.by, |object, row| {
                take(object, &row);
                true
            })?,
        }
        Ok(located)
    }

    /// The key bytes for a caller who may have them (KMIP Get): warms, borrows, checks `exportable`, finishes.
    pub async fn export(
        &self,
        tenant: &TenantId,
        system: &System,
        object: ObjectId,
        token: Expose,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        match self.export_now(tenant, system, object, token) {
            Err(None) => {}
            Err(Some(why)) => return Err(why),
            Ok(bytes) => return Ok(bytes),
        }
        self.warm(tenant, system, object).await?;
        self.export_now(tenant, system, object, token).map_err(|why| why.unwrap_or(Error::Unavailable))
    }

    /// `Err(None)`: not in the table.
    fn export_now(
        &self,
        tenant: &TenantId,
        system: &System,
        object: ObjectId,
        token: Expose,
    ) -> Result<Zeroizing<Vec<u8>>, Option<Error>> {
        let borrow = self.borrow(tenant, system, object, Purpose::Process).map_err(|why| match why {
            Unborrowed::Miss => None,
            Unborrowed::Refused(refused) => Some(refused.into()),
        })?;
        if borrow.meta().is_none_or(|meta| !meta.exportable) {
            return Err(Some(Error::NotExportable(object)));
        }
        let bytes = borrow.export(token)?;
        borrow.finish(bytes).map_err(|refused| Some(refused.into()))
    }
}
