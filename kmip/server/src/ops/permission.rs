//! Asking policy: whether the caller may do the operation, on its own system or on one object in it.
//!
//! Objects are looked up under the caller's own system, so the owner that policy is asked about is that system; what belongs to
//! another is not found, as if it did not exist.

use custody::names::{ObjectId, ObjectText};
use policy::{Operation, Permitted, Question, Target};

use super::{Named, Turn};
use crate::refusal::{self, Outcome};

/// An object on which the caller may do the operation. Made by [`Turn::allowed`] alone.
pub(crate) struct Allowed {
    pub(super) id: ObjectId,
    pub(super) text: ObjectText,
    _permitted: Permitted,
}

impl Turn<'_, '_> {
    /// Asks policy about an operation that names no object.
    pub(super) fn system(&self, operation: Operation) -> Outcome<Permitted> {
        self.permit(operation, Target::OwnSystem)
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
        let permitted = self.permit(operation, Target::Object { id: &text, owner: self.caller.system() })?;
        Ok(Allowed { id, text, _permitted: permitted })
    }

    fn permit(&self, operation: Operation, target: Target<'_>) -> Outcome<Permitted> {
        let (tenant, system, caller) = (*self.caller.tenant(), self.caller.system(), self.caller.label());
        let question = Question { tenant, system, caller, operation, target };
        self.server.policies().permit(&question).map_err(|decision| refusal::of_policy(&decision))
    }
}
