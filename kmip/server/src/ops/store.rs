//! What the operations that write have in common: a new object under a free name, a move along the state machine.

use custody::{
    Error,
    keyring::{Filter, New},
    names::ObjectId,
    object::{Name, ObjectMeta, State, UsageLimits},
    shelf::By,
    vault::Secret,
};
use kmip::{
    Attribute, AttributeValue, ProtocolVersion, ResultReason, Tag,
    message::Failure,
    ttlv::{Value, Writer},
};

use tokio::sync::OwnedMutexGuard;

use super::{Allowed, Turn};
use crate::{
    attributes::limits,
    lifecycle::{self, Event},
    refusal::{self, Outcome, fail, invalid_field},
};

/// The longest lease on an object (KMIP 1.4 §3.20), in seconds: how old what a client knows of it may become.
pub(super) const LEASE_TIME_S: u32 = 3_600;

const NAME_TAKEN: &str = "an object with this Name exists; choose another name, or destroy that object";

/// An error of a change that custody runs for us.
enum Unchanged {
    Custody(Error),
    Refused(Failure),
}

impl From<Error> for Unchanged {
    fn from(error: Error) -> Self {
        Self::Custody(error)
    }
}

impl From<Unchanged> for Failure {
    fn from(unchanged: Unchanged) -> Self {
        match unchanged {
            Unchanged::Custody(error) => refusal::of_custody(&error),
            Unchanged::Refused(failure) => failure,
        }
    }
}

impl Turn<'_, '_> {
    /// Stores a new object, durable when this returns. Its names must be free in the caller's system (KMIP 1.4 §3.2).
    pub(super) async fn store(
        &self,
        mut meta: ObjectMeta,
        key_bytes: usize,
        fill: impl FnOnce(&mut [u8]) -> Result<(), Error> + Send,
    ) -> Outcome<ObjectId> {
        // §3.22: an Activation Date in the past makes the object Active at once.
        meta.state = lifecycle::state_at(&meta, self.now_s);
        meta.lease_time_s = Some(LEASE_TIME_S);
        let (keyring, tenant, system) = (self.keyring, self.caller.tenant(), self.caller.system());
        let _naming = self.reserve(&[(&meta, None)]).await?;
        let made = keyring.create_object(tenant, system, meta, key_bytes, fill).await;
        made.map_err(|error| refusal::of_custody(&error))
    }

    /// As [`Turn::store`], of an object whose key is elsewhere: nothing is unsealed for it.
    pub(super) async fn store_keyless(&self, mut meta: ObjectMeta) -> Outcome<ObjectId> {
        meta.state = lifecycle::state_at(&meta, self.now_s);
        meta.lease_time_s = Some(LEASE_TIME_S);
        let _naming = self.reserve(&[(&meta, None)]).await?;
        let made = self.keyring.create_keyless(self.caller.tenant(), self.caller.system(), meta).await;
        made.map_err(|error| refusal::of_custody(&error))
    }

    /// The attributes of an object, under the caller's own system.
    pub(super) fn meta(&self, object: ObjectId) -> Outcome<ObjectMeta> {
        let found = self.keyring.object(self.caller.tenant(), self.caller.system(), object);
        found.map(|found| found.meta).map_err(|error| refusal::of_custody(&error))
    }

    /// Stores new objects together, or none, as [`Turn::store`] does one.
    pub(super) async fn store_all(&self, new: Vec<New>) -> Outcome<()> {
        let named: Vec<_> = new.iter().map(|one| (&one.meta, None)).collect();
        let _naming = self.reserve(&named).await?;
        self.store_beside(vec![], new, |_, _| Ok(())).await
    }

    /// Stores new objects, whose names are reserved, and changes old ones, all of it or nothing, durable when this returns. `change`
    /// sees the attributes of both and may amend them; if it refuses, nothing is stored.
    pub(super) async fn store_beside(
        &self,
        old: Vec<ObjectId>,
        mut new: Vec<New>,
        change: impl FnOnce(&mut [ObjectMeta], &mut [ObjectMeta]) -> Outcome<()> + Send + 'static,
    ) -> Outcome<()> {
        for one in &mut new {
            one.meta.state = lifecycle::state_at(&one.meta, self.now_s);
            one.meta.lease_time_s = Some(LEASE_TIME_S);
        }
        let (keyring, tenant, system) = (self.keyring, self.caller.tenant(), self.caller.system());
        let change = |old: &mut [ObjectMeta], new: &mut [ObjectMeta]| change(old, new).map_err(Unchanged::Refused);
        keyring.create_beside::<_, Unchanged>(tenant, system, old, new, change).await.map_err(Failure::from)
    }

    /// Bytes for a new object, in locked memory, where `fill` writes them.
    pub(super) fn hold(&self, bytes: usize, fill: impl FnOnce(&mut [u8]) -> Result<(), Error>) -> Outcome<Secret> {
        self.keyring.hold(bytes, fill).map_err(|error| refusal::of_custody(&error))
    }

    /// [`Turn::hold`] of bytes that are there already.
    pub(super) fn hold_copy(&self, bytes: &[u8]) -> Outcome<Secret> {
        self.hold(bytes.len(), |slot| {
            slot.copy_from_slice(bytes);
            Ok(())
        })
    }

    /// Held while a name is looked up and taken; the whole batch holds it if it is undone as a whole.
    async fn naming(&self) -> Option<OwnedMutexGuard<()>> {
        let lock = self.server.naming(self.caller.tenant(), self.caller.system());
        match self.kept {
            None => Some(lock.await),
            Some(kept) => {
                kept.keep(lock).await;
                None
            }
        }
    }

    /// Refuses names that are taken; the others are free until the guard is dropped. An object is named with the one whose names it
    /// takes over.
    pub(super) async fn reserve(
        &self,
        named: &[(&ObjectMeta, Option<ObjectId>)],
    ) -> Outcome<Option<OwnedMutexGuard<()>>> {
        let names: Vec<(&Name, Option<ObjectId>)> =
            named.iter().flat_map(|(meta, from)| meta.names.iter().map(move |name| (name, *from))).collect();
        if names.is_empty() {
            return Ok(None);
        }
        let guard = self.naming().await;
        for (at, (name, from)) in names.iter().enumerate() {
            if names.iter().take(at).any(|(other, _)| other == name) || self.is_taken(name, *from)? {
                return Err(invalid_field(NAME_TAKEN));
            }
        }
        Ok(guard)
    }

    /// Whether a living object of the caller's system has this name (KMIP 1.4 §3.2), `but` aside. Asked under the naming lock.
    fn is_taken(&self, name: &Name, but: Option<ObjectId>) -> Outcome<bool> {
        let filter = Filter { by: Some(By::Name(&name.value)), offset: 0, max: Some(1) };
        let living =
            |id, other: &ObjectMeta| but != Some(id) && !other.state.is_destroyed() && other.names.contains(name);
        let found = self.keyring.locate(self.caller.tenant(), self.caller.system(), filter, living);
        found.map(|found| found.total > 0).map_err(|error| refusal::of_custody(&error))
    }

    /// Changes one attribute of an object by a function of `attributes::change`, and answers what the answer names. `named`: the
    /// name that the object would get.
    ///
    /// Nothing is changed whose answer is longer than the client takes.
    pub(super) async fn alter(
        &self,
        object: &Allowed,
        named: Option<Name>,
        change: impl FnOnce(&mut ObjectMeta) -> Outcome<Attribute> + Send + 'static,
    ) -> Outcome<Attribute> {
        let _naming = match &named {
            None => None,
            Some(_) => self.naming().await,
        };
        if let Some(name) = &named
            && self.is_taken(name, Some(object.id))?
        {
            // §11.15, §11.16.
            return Err(fail(ResultReason::IllegalOperation, NAME_TAKEN));
        }
        let (version, room) = (self.version, self.room);
        let change = move |meta: &mut ObjectMeta| {
            let attribute = change(meta)?;
            match bytes_of(&attribute, version) {
                bytes if bytes > room => Err(too_long(bytes, room)),
                _ => Ok(attribute),
            }
        };
        self.update(object, change).await
    }

    /// Takes what a key has protected of its Usage Limits, before the answer: `bytes` of a text, or of the part that `begins` one.
    /// A key without limits pays nothing for it.
    pub(super) async fn spend(
        &self,
        object: &Allowed,
        limits: Option<UsageLimits>,
        bytes: usize,
        begins: bool,
    ) -> Outcome<()> {
        let Some(limits) = limits else { return Ok(()) };
        let units = limits::units(limits, bytes, begins);
        self.update(object, move |meta| limits::take(meta, units)).await
    }

    /// Changes an object's attributes, durable when this returns; if `change` refuses, they stay.
    pub(super) async fn update<T: Send + 'static>(
        &self,
        object: &Allowed,
        change: impl FnOnce(&mut ObjectMeta) -> Outcome<T> + Send + 'static,
    ) -> Outcome<T> {
        let (keyring, tenant, system) = (self.keyring, self.caller.tenant(), self.caller.system());
        let change = |meta: &mut ObjectMeta| change(meta).map_err(Unchanged::Refused);
        keyring.update::<_, Unchanged>(tenant, system, object.id, change).await.map_err(Failure::from)
    }

    /// As [`Turn::update`], of an archived object too.
    pub(super) async fn recover(
        &self,
        object: &Allowed,
        change: impl FnOnce(&mut ObjectMeta) -> Outcome<()> + Send + 'static,
    ) -> Outcome<()> {
        let (keyring, tenant, system) = (self.keyring, self.caller.tenant(), self.caller.system());
        let change = |meta: &mut ObjectMeta| change(meta).map_err(Unchanged::Refused);
        keyring.recover::<_, Unchanged>(tenant, system, object.id, change).await.map_err(Failure::from)
    }

    /// Moves an object along the state machine; `apply` notes the move in its attributes, `refuse` says why it cannot be made.
    pub(super) async fn change(
        &self,
        object: &Allowed,
        event: Event,
        apply: impl FnOnce(&mut ObjectMeta) + Send + 'static,
        refuse: fn(State) -> Failure,
    ) -> Outcome<()> {
        let now_s = self.now_s;
        let change = move |meta: &mut ObjectMeta| {
            let state = lifecycle::state_at(meta, now_s);
            meta.state = lifecycle::next(state, event).ok_or_else(|| Unchanged::Refused(refuse(state)))?;
            meta.dates.last_change = Some(now_s);
            apply(meta);
            Ok(())
        };
        let (keyring, tenant, system) = (self.keyring, self.caller.tenant(), self.caller.system());
        let changed = match event {
            Event::Destroy => keyring.destroy::<_, Unchanged>(tenant, system, object.id, change).await,
            Event::Activate | Event::Compromise | Event::Deactivate => {
                keyring.update::<_, Unchanged>(tenant, system, object.id, change).await
            }
        };
        changed.map_err(Failure::from)
    }
}

/// The id of a new object.
pub(super) fn new_id() -> Outcome<ObjectId> {
    ObjectId::random().map_err(|error| refusal::of_custody(&error))
}

/// The name that a value of the attribute Name gives.
pub(super) fn name_given(attribute: &Attribute) -> Option<Name> {
    match &attribute.value {
        AttributeValue::Name(name) => Some(Name { value: name.value.clone(), kind: name.kind.code() }),
        _ => None,
    }
}

fn bytes_of(attribute: &Attribute, version: ProtocolVersion) -> usize {
    let mut bytes = vec![];
    attribute.write(Tag::ATTRIBUTE, &mut Writer::new(&mut bytes, version));
    bytes.len()
}

fn too_long(bytes: usize, room: usize) -> Failure {
    let message = format!(
        "the answer names the attribute, which has {bytes} bytes, and the client takes {room} more; nothing was changed; raise \
         Maximum Response Size"
    );
    fail(ResultReason::ResponseTooLarge, message)
}
