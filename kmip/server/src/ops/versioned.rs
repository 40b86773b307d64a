//! The identifiers of OpenKCM Krypton, `tenant:key:version`, in Get and Get Attributes: a mongod that was set up for it finds here what it
//! found there.
//!
//! There the tenant is the Common Name of the client's certificate. Here the anchor that verified the certificate has decided it already, so
//! the text only has to name it: by its id, or by the name by which this client is known. The key is an object's Unique Identifier, or
//! the Name of one that lives. There are no versions of a key here (a Re-key makes another object), so the version is 1. Anything else is
//! an object that does not exist.

use custody::{keyring::Filter, names::ObjectId, object::ObjectMeta, shelf::By};
use policy::Operation;

use super::Turn;
use crate::{
    caller::Caller,
    refusal::{self, Outcome},
};

/// The only one.
const VERSION: &str = "1";

impl Turn<'_, '_> {
    /// The object that such a text names, in the caller's own system.
    pub(super) fn versioned(&self, operation: Operation, text: &str) -> Outcome<ObjectId> {
        let taken = matches!(operation, Operation::Get | Operation::GetAttributes);
        let key = key_of(self.caller, text).filter(|_| taken).ok_or_else(refusal::not_found)?;
        if let Ok(id) = key.parse() {
            return Ok(id);
        }
        let filter = Filter { by: Some(By::Name(key)), offset: 0, max: Some(1) };
        let living = |_, meta: &ObjectMeta| !meta.state.is_destroyed();
        let found = self.keyring.locate(self.caller.tenant(), self.caller.system(), filter, living);
        let found = found.map_err(|error| refusal::of_custody(&error))?;
        // A name is that of one living object, unless their kinds differ.
        match (found.ids.as_slice(), found.total) {
            ([only], 1) => Ok(*only),
            _ => Err(refusal::not_found()),
        }
    }
}

fn key_of<'t>(caller: &Caller, text: &'t str) -> Option<&'t str> {
    let tenant = caller.tenant().to_string();
    let names = [tenant.as_str(), caller.label()];
    let key = names.iter().find_map(|name| text.strip_prefix(name)?.strip_prefix(':'))?;
    key.strip_suffix(VERSION)?.strip_suffix(':')
}
