//! The keyring: what the KMIP server and the node see of custody.
//!
//! A request: [`Keyring::admit`] once, then for each key [`Keyring::borrow`]; on [`Unborrowed::Miss`] `warm` it (the only await)
//! and borrow again. What a borrow computes is a `Pending`, opened by `Borrow::finish`. Objects are looked up under tenant and
//! system only, so a foreign id equals an absent one ([`Error::Absent`]).

use std::sync::Arc;

use orbital::names::{System, TenantId};
use zeroize::Zeroizing;

use crate::{
    error::Error,
    key_table::{Admission, Borrow, KeyTable, Purpose, Refused, Unborrowed},
    names::{Epoch, KeyId, ObjectId},
    object::{Object, ObjectMeta},
    vault::Expose,
};

/// Which objects to find.
#[derive(Clone, Copy, Debug, Default)]
pub struct Filter<'a> {
    /// Only objects of this name: answered from an index. Without it the system's objects are walked, newest first.
    pub name: Option<&'a str>,
    /// How many matches to skip.
    pub offset: usize,
    /// How many ids to answer at most; `None` for [`LOCATE_MAX`].
    pub max: Option<usize>,
}

/// The most ids that one locate answers.
pub const LOCATE_MAX: usize = 10_000;

/// What a locate found, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Located {
    pub ids: Vec<ObjectId>,
    /// How many match in all (KMIP: Located Items), before offset and maximum.
    pub total: usize,
}

/// The façade over one region's keys on one node.
pub struct Keyring {
    table: Arc<KeyTable>,
}

impl Keyring {
    /// The tenant's gate is open. Unknown tenants are sealed ones.
    pub fn admit(&self, tenant: &TenantId, purpose: Purpose) -> Result<Admission, Refused> {
        self.table.admit(tenant, purpose)
    }

    /// The tenant's epoch; `None` where it is not known here.
    pub fn epoch(&self, tenant: &TenantId) -> Option<Epoch> {
        self.table.gate(tenant).map(|gate| gate.epoch())
    }

    /// Borrows an object's key, without waiting and without allocation.
    pub fn borrow(
        &self,
        tenant: &TenantId,
        system: &System,
        object: ObjectId,
        purpose: Purpose,
    ) -> Result<Borrow, Unborrowed> {
        self.table.borrow(tenant, &KeyId::Object(object), Some(system), purpose)
    }

    /// Unseals what a miss lacked: L2 by the customer's KMS (coalesced), L3, the object. [`Error::Absent`] if there is no such
    /// object in this system, [`Error::Destroyed`] if its bytes are gone.
    pub async fn warm(&self, tenant: &TenantId, system: &System, object: ObjectId) -> Result<(), Error> {
        let _ = (tenant, system, object);
        Err(Error::Unavailable)
    }

    /// Creates an object of `key_bytes` bytes, which `fill` writes in place into locked memory. Durable before it returns.
    pub async fn create_object(
        &self,
        tenant: &TenantId,
        system: &System,
        meta: ObjectMeta,
        key_bytes: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), Error> + Send,
    ) -> Result<ObjectId, Error> {
        let _ = (tenant, system, meta, key_bytes, fill);
        Err(Error::Unavailable)
    }

    /// The object's attributes. Does not unseal anything.
    pub fn object(&self, tenant: &TenantId, system: &System, object: ObjectId) -> Result<Object, Error> {
        let _ = (tenant, system, object);
        Err(Error::Unavailable)
    }

    /// Changes attributes: `change` sees the stored ones, one change at a time; its error leaves them as they are. Durable before
    /// it returns. Type and `exportable` cannot change.
    pub async fn update<E: From<Error> + Send + 'static>(
        &self,
        tenant: &TenantId,
        system: &System,
        object: ObjectId,
        change: impl FnOnce(&mut ObjectMeta) -> Result<(), E> + Send + 'static,
    ) -> Result<Arc<ObjectMeta>, E> {
        let _ = (tenant, system, object, change);
        Err(Error::Unavailable.into())
    }

    /// As [`Keyring::update`], and wipes the wrapped bytes; attributes stay. `change` must set a destroyed state.
    pub async fn destroy<E: From<Error> + Send + 'static>(
        &self,
        tenant: &TenantId,
        system: &System,
        object: ObjectId,
        change: impl FnOnce(&mut ObjectMeta) -> Result<(), E> + Send + 'static,
    ) -> Result<Arc<ObjectMeta>, E> {
        let _ = (tenant, system, object, change);
        Err(Error::Unavailable.into())
    }

    /// Finds objects of one system, newest first; `keep` decides on what the filter does not.
    pub fn locate(
        &self,
        tenant: &TenantId,
        system: &System,
        filter: Filter<'_>,
        keep: impl FnMut(ObjectId, &ObjectMeta) -> bool,
    ) -> Result<Located, Error> {
        let _ = (tenant, system, filter, keep);
        Err(Error::Unavailable)
    }

    /// The key bytes for a caller who may have them (KMIP Get): warms, borrows, checks `exportable`, finishes.
    pub async fn export(
        &self,
        tenant: &TenantId,
        system: &System,
        object: ObjectId,
        token: Expose,
    ) -> Result<Zeroizing<Vec<u8>>, Error> {
        let _ = (tenant, system, object, token);
        Err(Error::Unavailable)
    }
}
