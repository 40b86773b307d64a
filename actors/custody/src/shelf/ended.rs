//! Ends of tenants that were never founded here: by the tenant's id the digest of the TerminateTenant. Nothing deletes one.

use orbital::names::{Digest, TenantId};
use redb::ReadableTableMetadata;

use super::{ENDED, Shelf, rows::Table, writer::failed};
use crate::error::Error;

impl Shelf {
    /// Durable before it returns.
    pub(crate) async fn end(&self, tenant: &TenantId, change: &Digest) -> Result<(), Error> {
        let key = *tenant.0.as_bytes();
        let stored = self.rows().write(Table::Ended, &key, 1, change.as_bytes());
        self.writer
            .write(move |transaction| {
                let mut table = transaction.open_table(ENDED).map_err(failed("write"))?;
                table.insert(key.as_slice(), stored.as_slice()).map_err(failed("write"))?;
                Ok(())
            })
            .await
    }

    /// A row that fails its tag is an error: the node must not guess.
    pub(crate) fn is_ended(&self, tenant: &TenantId) -> Result<bool, Error> {
        let key = tenant.0.as_bytes().as_slice();
        self.base.read(|view| {
            let table = view.open_table(ENDED).map_err(failed("read"))?;
            let Some(stored) = table.get(key).map_err(failed("read"))? else { return Ok(false) };
            self.rows().read(Table::Ended, key, stored.value()).map(|_| true)
        })
    }

    /// How many there are.
    pub(crate) fn ended(&self) -> Result<u64, Error> {
        self.base.read(|view| view.open_table(ENDED).map_err(failed("read"))?.len().map_err(failed("read")))
    }
}
