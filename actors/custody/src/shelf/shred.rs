//! Shredding: the wrapped keys of a tenant leave the store, and everything that was wrapped under them.
//!
//! Without its L2 nothing of a tenant opens any more, whoever holds L1. What is deleted are rows: the file's free pages may hold a wrapped key
//! until they are written again, and a backup holds it for as long as it is kept. Neither opens without the customer's L1.

use std::ops::Bound;

use orbital::names::TenantId;
use redb::{TableDefinition, Value, WriteTransaction};

use super::{BY_NAME, BY_SYSTEM, BY_TERM, KEYS, OBJECTS, Shelf, objects::after, writer::failed};
use crate::error::Error;

impl Shelf {
    /// In one transaction, durable before it returns. The tenant's row and tombstone stay: it is known, and stopped for good.
    pub async fn shred(&self, tenant: &TenantId) -> Result<(), Error> {
        let from = tenant.0.as_bytes().to_vec();
        let until = after(&from);
        self.writer
            .write(move |transaction| {
                delete(transaction, KEYS, &from, &until)?;
                delete(transaction, OBJECTS, &from, &until)?;
                delete(transaction, BY_SYSTEM, &from, &until)?;
                delete(transaction, BY_NAME, &from, &until)?;
                delete(transaction, BY_TERM, &from, &until)
            })
            .await
    }
}

/// The rows from `from` up to `until`; an empty `until` is the end of the table.
fn delete<V: Value + 'static>(
    transaction: &WriteTransaction,
    table: TableDefinition<'static, &'static [u8], V>,
    from: &[u8],
    until: &[u8],
) -> Result<(), Error> {
    let mut table = transaction.open_table(table).map_err(failed("write"))?;
    let end = if until.is_empty() { Bound::Unbounded } else { Bound::Excluded(until) };
    table.retain_in::<&[u8], _>((Bound::Included(from), end), |_, _| false).map_err(failed("write"))
}

#[cfg(test)]
mod tests {
    use orbital::names::Digest;

    use crate::{
        names::Version,
        rig::{TENANT, World, system},
        shelf::StoredKey,
    };

    use super::*;

    #[tokio::test]
    async fn a_tenants_keys_leave_and_no_other_tenants() {
        let world = World::new();
        let shelf = world.shelf();
        // The ids before and after, and the last one that there is.
        let mut after = TENANT.0.0;
        after[31] += 1;
        let all = [TENANT, TenantId(Digest(after)), TenantId(Digest([255; 32]))];
        let key = || StoredKey { version: Version(1), blob: vec![7; 60] };
        for tenant in all {
            shelf.put_key(&tenant, None, key()).await.unwrap();
            shelf.put_key(&tenant, Some(&system("orders")), key()).await.unwrap();
        }
        for (shredded, tenant) in all.iter().enumerate() {
            shelf.shred(tenant).await.unwrap();
            for (at, other) in all.iter().enumerate() {
                let there =
                    [None, Some(system("orders"))].map(|s| shelf.newest_key(other, s.as_ref()).unwrap().is_some());
                assert_eq!(there, [at > shredded; 2], "{shredded} {at}");
            }
        }
    }
}
