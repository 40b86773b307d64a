//! Asking policy: whether the caller may do the operation, on its own system or on one object in it.
//!
//! Objects are looked up under the caller's own system, so the owner that policy is asked about is that system; what belongs to
//! another is not found, as if it did not exist.

use custody::{
    names::{ObjectId, ObjectText},
    object::State,
};
use policy::{Circumstances, LEASE_S_MAX, ObjectNow, ObjectState, Operation, Permitted, Question, Target};

use super::{Named, Turn};
use crate::{
    lifecycle,
    refusal::{self, Outcome},
};

/// An object on which the caller may do the operation. Made by [`Turn::allowed`] alone.
pub(crate) struct Allowed {
    pub(super) id: ObjectId,
    pub(super) text: ObjectText,
    _permitted: Permitted,
}

impl Turn<'_, '_> {
    /// Asks policy about an operation that names no object.
    pub(super) fn system(&self, operation: Operation) -> Outcome<Permitted> {
        self.permit(operation, None, Target::OwnSystem)
    }

    /// Finds out which object is meant, and asks policy about it. Absent identifier: the ID Placeholder.
    pub(super) fn object(&mut self, operation: Operation, unique_identifier: Option<&str>) -> Outcome<Allowed> {
        let id = match unique_identifier {
            None => self.implied_id.ok_or_else(|| {
                let why = "the request names no Unique Identifier, and nothing before it in the batch made or found one object";
                refusal::fail(kmip::ResultReason::ItemNotFound, why)
            })?,
            Some(text) => match text.parse() {
                Ok(id) => id,
                Err(_) => {
                    *self.key = Named::Other(text.to_owned());
                    self.versioned(operation, text)?
                }
            },
        };
        // As we write it, not as the client did: policy and audit see one name for one object.
        let text = id.text();
        *self.key = Named::Object(text);
        self.may(operation, id, text)
    }

    /// Asks policy about an object besides the one that the request is about, which the audit goes on naming.
    pub(super) fn other(&self, operation: Operation, unique_identifier: &str) -> Outcome<Allowed> {
        self.allowed(operation, unique_identifier.parse().map_err(|_| refusal::not_found())?)
    }

    pub(super) fn allowed(&self, operation: Operation, id: ObjectId) -> Outcome<Allowed> {
        self.may(operation, id, id.text())
    }

    fn may(&self, operation: Operation, id: ObjectId, text: ObjectText) -> Outcome<Allowed> {
        let target = Target::Object { id: &text, owner: self.caller.system() };
        let permitted = self.permit(operation, Some(id), target)?;
        Ok(Allowed { id, text, _permitted: permitted })
    }

    fn permit(&self, operation: Operation, object: Option<ObjectId>, target: Target<'_>) -> Outcome<Permitted> {
        let (tenant, system, caller) = (*self.caller.tenant(), self.caller.system(), self.caller.label());
        let question = Question { tenant, system, caller, operation, target };
        let answer = self.server.policies().permit(&question, || self.circumstances(object))?;
        answer.map_err(|decision| refusal::of_policy(&decision))
    }

    /// For policies that look at them. An object that is not there is as none at all: what a policy says of that, it says of both.
    fn circumstances(&self, object: Option<ObjectId>) -> Outcome<Circumstances<'_>> {
        let tenant = self.caller.tenant();
        let found = match object {
            Some(id) => self.keyring.attributes(tenant, self.caller.system(), id),
            None => Ok(None),
        };
        let object = found.map_err(|error| refusal::of_custody(&error))?.map_or_else(ObjectNow::default, |meta| {
            ObjectNow { state: policy_state(lifecycle::state_at(&meta, self.now_s)), usage_mask: meta.usage_mask }
        });
        let lease_left_s = self.keyring.lease_left_ms(tenant).map_or(LEASE_S_MAX, |left_ms| left_ms / 1_000);
        Ok(Circumstances { region: self.server.region().as_str(), object, lease_left_s })
    }
}

fn policy_state(state: State) -> ObjectState {
    match state {
        State::PreActive => ObjectState::PreActive,
        State::Active => ObjectState::Active,
        State::Deactivated => ObjectState::Deactivated,
        State::Compromised => ObjectState::Compromised,
        State::Destroyed => ObjectState::Destroyed,
        State::DestroyedCompromised => ObjectState::DestroyedCompromised,
    }
}

#[cfg(test)]
mod tests {
    use kmip::tables::UsageMask;

    use super::*;

    #[test]
    fn policy_speaks_of_states_and_uses_in_the_words_of_kmip() {
        use State::{Active, Compromised, Deactivated, Destroyed, DestroyedCompromised, PreActive};
        for state in [PreActive, Active, Deactivated, Compromised, Destroyed, DestroyedCompromised] {
            assert_eq!(policy_state(state).name(), lifecycle::wire_state(state).to_string());
        }
        assert!(UsageMask::names().eq(policy::USES));
    }
}
