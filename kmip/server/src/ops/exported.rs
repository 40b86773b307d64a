//! The bytes of an object, for what hands them out or makes another object of them.

use custody::{key_table::Purpose, object::ObjectMeta, vault::Expose};
use zeroize::Zeroizing;

use super::{Allowed, Turn};
use crate::refusal::{self, Outcome};

impl Turn<'_, '_> {
    /// What `check` finds in the attributes, and the bytes if it refuses nothing and the tenant's gate is open still.
    pub(super) async fn exported<T>(
        &self,
        object: &Allowed,
        purpose: Purpose,
        token: Expose,
        check: impl Fn(&ObjectMeta) -> Outcome<T>,
    ) -> Outcome<(T, Zeroizing<Vec<u8>>)> {
        self.with_key(object, purpose, |borrow| {
            let found = check(borrow.meta().ok_or_else(refusal::not_found)?)?;
            let bytes = borrow.export(token).map_err(|error| refusal::of_custody(&error))?;
            Ok((found, borrow.finish(bytes).map_err(refusal::of_stop)?))
        })
        .await
    }
}
