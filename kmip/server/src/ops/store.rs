//! What the operations that write have in common: a new object under a free name, a move along the state machine.

use custody::{
    Error,
    keyring::Filter,
    names::ObjectId,
    object::{ObjectMeta, State},
};
use kmip::message::Failure;

use super::{Allowed, Turn};
use crate::{
    lifecycle::{self, Event},
    refusal::{self, Outcome, invalid_field},
};

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
        let (keyring, tenant, system) = (self.server.keyring(), self.caller.tenant(), self.caller.system());
        let _naming = match meta.names.is_empty() {
            true => None,
            false => Some(self.server.naming(tenant, system).await),
        };
        for name in &meta.names {
            let filter = Filter { name: Some(&name.value), offset: 0, max: Some(1) };
            let living = |_, other: &ObjectMeta| !other.state.is_destroyed() && other.names.contains(name);
            let taken = keyring.locate(tenant, system, filter, living).map_err(|error| refusal::of_custody(&error))?;
            if taken.total > 0 {
                return Err(invalid_field(
                    "an object with this Name exists; choose another name, or destroy that object",
                ));
            }
        }
        let made = keyring.create_object(tenant, system, meta, key_bytes, fill).await;
        made.map_err(|error| refusal::of_custody(&error))
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
        let (keyring, tenant, system) = (self.server.keyring(), self.caller.tenant(), self.caller.system());
        let changed = match event {
            Event::Destroy => keyring.destroy::<Unchanged>(tenant, system, object.id, change).await,
            Event::Activate | Event::Compromise | Event::Deactivate => {
                keyring.update::<Unchanged>(tenant, system, object.id, change).await
            }
        };
        changed.map(|_| ()).map_err(Failure::from)
    }
}
