//! Unsealing: L1 opens the L2, the L2 an L3, the L3 an object; and, on first use, the making of an L2 or L3.
//!
//! These are the steps; who asks for them, how often and what a refusal means is `key_cache`'s. Nothing here puts a key into the
//! table except objects (their L3 is there already): L2 and L3 come back to the one pen, with the generation in which they began.

use std::sync::Arc;

use orbital::names::{Deployment, KeyRef, System, TenantId};

use crate::{
    error::Error,
    key_table::{Entry, KeyTable, Purpose, Unborrowed},
    l1::{self, Context, L1, L1Error},
    names::{Generation, KeyId, ObjectId, Version},
    replacing::Replacing,
    seal::{self, Counters, Place, Subject, WRAPPING_KEY_BYTES},
    shelf::{Shelf, StoredKey},
    vault::{Expose, Secret, Slab},
};

/// A tenant's L1 in this region.
#[derive(Clone)]
pub struct Link {
    pub key: KeyRef,
    pub l1: Arc<dyn L1>,
    /// How long cached keys serve on while the KMS is out of reach; `None` is unlimited.
    pub l1_grace_ms: Option<u64>,
    /// Tells this link from earlier ones of the node's run: an answer under another counts for nothing.
    pub serial: u64,
}

/// How often an object is opened anew if one was replaced meanwhile.
const OPEN_ATTEMPTS: usize = 4;

/// Opens wrapped keys into locked memory.
pub struct Unsealer {
    pub(crate) table: Arc<KeyTable>,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) slab: Arc<Slab>,
    pub(crate) replacing: Arc<Replacing>,
}

impl Unsealer {
    pub fn new(table: Arc<KeyTable>, shelf: Arc<Shelf>, slab: Arc<Slab>) -> Self {
        Self { table, shelf, slab, replacing: Arc::default() }
    }

    fn place(&self, tenant: &TenantId, subject: Subject) -> Place {
        Place { tenant: *tenant, region: self.shelf.owner().region.clone(), subject }
    }

    fn context(&self, tenant: &TenantId, purpose: l1::Purpose, version: Version) -> Context {
        let owner = self.shelf.owner();
        let deployment: Deployment = owner.deployment.clone();
        Context { deployment, tenant: *tenant, region: owner.region.clone(), purpose, version: version.0 }
    }

    /// The tenant's L2, opened by its L1; made, wrapped and stored on first use. One call to the customer's KMS, or two.
    pub async fn l2(&self, tenant: &TenantId, link: &Link, began: Generation) -> Result<(Secret, Version), Error> {
        let stored = match self.shelf.newest_key(tenant, None)? {
            Some(stored) => stored,
            None => self.first_l2(tenant, link, began).await?,
        };
        let place = self.place(tenant, Subject::L2);
        let (counters, wrapped) = seal::read(&place, &stored.blob)?;
        let context = self.context(tenant, l1::Purpose::L2, counters.version);
        let plain = link.l1.unwrap(&link.key, &context, wrapped).await.map_err(|why| l1_error(&link.key, &why))?;
        let damaged = Error::Damaged { what: "L2", why: "the customer's KMS gave back another length" };
        let secret = self.slab.fill(WRAPPING_KEY_BYTES, |slot| if plain.pour(slot) { Ok(()) } else { Err(damaged) })?;
        Ok((secret, counters.version))
    }

    async fn first_l2(&self, tenant: &TenantId, link: &Link, generation: Generation) -> Result<StoredKey, Error> {
        let version = Version(1);
        let context = self.context(tenant, l1::Purpose::L2, version);
        let secret = self.slab.random(WRAPPING_KEY_BYTES)?;
        let bytes = secret.expose(Expose::because("the customer's L1 wraps the new L2"));
        let wrapped = link.l1.wrap(&link.key, &context, bytes).await.map_err(|why| l1_error(&link.key, &why))?;
        let counters = Counters { parent_version: Version(0), version, generation };
        let blob = seal::label(&self.place(tenant, Subject::L2), counters, &wrapped);
        self.shelf.put_key(tenant, None, StoredKey { version, blob }).await
    }

    /// A system's L3, opened by the L2 in the table; made, wrapped and stored on first use.
    pub async fn l3(&self, tenant: &TenantId, system: &System, began: Generation) -> Result<(Secret, Version), Error> {
        let stored = match self.shelf.newest_key(tenant, Some(system))? {
            Some(stored) => stored,
            None => {
                let first = self.first_l3(tenant, system, began)?;
                self.shelf.put_key(tenant, Some(system), first).await?
            }
        };
        let parent = self.table.borrow(tenant, &KeyId::L2, None, Purpose::Process).map_err(unborrowed)?;
        let place = self.place(tenant, Subject::L3(system.clone()));
        let (secret, counters) = seal::unwrap(parent.secret().map_err(unborrowed)?, &place, &stored.blob, &self.slab)?;
        Ok((secret, counters.version))
    }

    fn first_l3(&self, tenant: &TenantId, system: &System, generation: Generation) -> Result<StoredKey, Error> {
        let version = Version(1);
        let secret = self.slab.random(WRAPPING_KEY_BYTES)?;
        let parent = self.table.borrow(tenant, &KeyId::L2, None, Purpose::Process).map_err(unborrowed)?;
        let counters = Counters { parent_version: Version(parent.revision()), version, generation };
        let place = self.place(tenant, Subject::L3(system.clone()));
        let blob = seal::wrap(parent.secret().map_err(unborrowed)?, &place, counters, &secret)?;
        Ok(StoredKey { version, blob })
    }

    /// Opens an object by the L3 in the table and puts it there. `Err(None)`: the L3 is not there, unseal it first.
    pub fn object(&self, tenant: &TenantId, system: &System, object: ObjectId) -> Result<(), Option<Error>> {
        for _ in 0..OPEN_ATTEMPTS {
            if self.opened(tenant, system, object)? {
                return Ok(());
            }
        }
        Err(Some(Error::Contended(object)))
    }

    /// `false` if it may have been replaced meanwhile, by an import.
    fn opened(&self, tenant: &TenantId, system: &System, object: ObjectId) -> Result<bool, Option<Error>> {
        let (began, seen) = (self.generation(tenant)?, self.replacing.look());
        let absent = || Error::Absent { tenant: *tenant, system: system.clone(), object };
        let row = self.shelf.object(tenant, system, object)?.ok_or_else(absent)?;
        if let Some(why) = row.keyless(object) {
            return Err(Some(why));
        }
        if row.meta.is_archived() {
            return Err(Some(Error::Archived(object)));
        }
        let secret = {
            let parent = self.l3_borrow(tenant, system, Purpose::Process)?;
            let place = self.place(tenant, Subject::Object { system: system.clone(), object });
            seal::unwrap(parent.secret().map_err(unborrowed)?, &place, &row.wrapped, &self.slab)?.0
        };
        let key = KeyId::Object(object);
        let (meta, revision) = (Some(Arc::new(row.meta)), row.revision);
        let entry = Entry { key: key.clone(), secret, system: Some(system.clone()), meta, revision };
        let inserted = self.replacing.unless(tenant, object, seen, || self.table.insert(tenant, entry, began));
        let Some(inserted) = inserted else { return Ok(false) };
        inserted?;
        // A change that was committed after the row was read, and before the key was in the table, is caught up here.
        match self.shelf.object(tenant, system, object)? {
            Some(now) if now.wrapped.is_empty() => {
                self.table.remove(tenant, &key);
                Err(Some(Error::Destroyed(object)))
            }
            Some(now) if now.meta.is_archived() => {
                self.table.remove(tenant, &key);
                Err(Some(Error::Archived(object)))
            }
            Some(now) => {
                self.table.amend(tenant, &key, Arc::new(now.meta), now.revision);
                Ok(true)
            }
            None => Err(Some(absent())),
        }
    }

    /// Wraps a new object's bytes under the L3 in the table. `Err(None)`: the L3 is not there, unseal it first.
    pub fn wrap_object(
        &self,
        tenant: &TenantId,
        system: &System,
        object: ObjectId,
        secret: &Secret,
    ) -> Result<Vec<u8>, Option<Error>> {
        let generation = self.generation(tenant)?;
        let parent = self.l3_borrow(tenant, system, Purpose::Protect)?;
        let place = self.place(tenant, Subject::Object { system: system.clone(), object });
        let counters = Counters { parent_version: Version(parent.revision()), version: Version(1), generation };
        let blob = seal::wrap(parent.secret().map_err(unborrowed)?, &place, counters, secret)?;
        parent.finish(crate::key_table::Pending(blob)).map_err(|refused| Some(refused.into()))
    }

    fn l3_borrow(
        &self,
        tenant: &TenantId,
        system: &System,
        purpose: Purpose,
    ) -> Result<crate::key_table::Borrow, Option<Error>> {
        let borrowed = self.table.borrow(tenant, &KeyId::L3(system.clone()), Some(system), purpose);
        borrowed.map_err(|why| match why {
            Unborrowed::Miss => None,
            Unborrowed::Refused(refused) => Some(refused.into()),
        })
    }

    pub(crate) fn generation(&self, tenant: &TenantId) -> Result<Generation, Error> {
        self.table.gate(tenant).map(|gate| gate.generation()).ok_or(Error::UnknownTenant(*tenant))
    }

    /// Asks the customer's KMS what it says of the key, and if that is nothing against it, wraps and unwraps a random value. Answers
    /// the key's resolved name.
    pub async fn probe(&self, tenant: &TenantId, link: &Link) -> Result<KeyRef, Error> {
        let refused = |why: L1Error| l1_error(&link.key, &why);
        let described = link.l1.describe(&link.key).await.map_err(refused)?;
        if described.state.stop().is_some() {
            return Err(Error::L1Stopped {
                key: link.key.to_string(),
                state: described.state,
                why: "it says so".into(),
            });
        }
        let context = self.context(tenant, l1::Purpose::Probe, Version(0));
        let mut value = [0; WRAPPING_KEY_BYTES];
        getrandom::fill(&mut value).map_err(|e| Error::Random(e.to_string()))?;
        let wrapped = link.l1.wrap(&link.key, &context, &value).await.map_err(refused)?;
        let plain = link.l1.unwrap(&link.key, &context, &wrapped).await.map_err(refused)?;
        let mut back = [0; WRAPPING_KEY_BYTES];
        if plain.pour(&mut back) && back == value {
            return Ok(described.resolved);
        }
        Err(Error::L1Unreachable {
            key: link.key.to_string(),
            why: "it gave back another value than it wrapped".into(),
        })
    }
}

/// What a provider's error means here: a stop, or out of reach. Errors that say nothing about the key count as out of reach.
fn l1_error(key: &KeyRef, why: &L1Error) -> Error {
    match why {
        L1Error::Stopped { stop, .. } => {
            Error::L1Stopped { key: key.to_string(), state: stop.state(), why: why.to_string() }
        }
        L1Error::Mismatch { .. } => {
            Error::Damaged { what: "L2", why: "the customer's KMS says that this key did not wrap it" }
        }
        _ => Error::L1Unreachable { key: key.to_string(), why: why.to_string() },
    }
}

fn unborrowed(why: Unborrowed) -> Error {
    match why {
        // It was there a moment ago: a kill came in between, or it was rotated.
        Unborrowed::Miss => Error::Unavailable,
        Unborrowed::Refused(refused) => refused.into(),
    }
}
