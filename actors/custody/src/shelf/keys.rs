//! Wrapped L2 and L3 keys, by version. Older versions stay until nothing is wrapped under them any more.

use orbital::names::{System, TenantId};
use redb::ReadableTable;

use super::{KEYS, Shelf, rows::Table, writer::failed};
use crate::{error::Error, names::Version};

/// A wrapped key at rest, header and all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    pub version: Version,
    pub blob: Vec<u8>,
}

impl Shelf {
    /// The newest wrapped L2 (`system` is `None`) or L3.
    pub fn newest_key(&self, tenant: &TenantId, system: Option<&System>) -> Result<Option<StoredKey>, Error> {
        let (from, to) = (place(tenant, system, Version(0)), place(tenant, system, Version(u64::MAX)));
        self.base.read(|view| {
            let table = view.open_table(KEYS).map_err(failed("read"))?;
            let mut range = table.range(from.as_slice()..=to.as_slice()).map_err(failed("read"))?;
            let Some(newest) = range.next_back() else { return Ok(None) };
            let (key, value) = newest.map_err(failed("read"))?;
            let (version, blob) = self.rows().read(Table::Keys, key.value(), value.value())?;
            Ok(Some(StoredKey { version: Version(version), blob: blob.to_vec() }))
        })
    }

    /// Writes a new version, durable before it returns. If the version is there already, the stored one is answered and kept: two
    /// nodes or two tasks never make two first keys.
    pub async fn put_key(
        &self,
        tenant: &TenantId,
        system: Option<&System>,
        key: StoredKey,
    ) -> Result<StoredKey, Error> {
        let place = place(tenant, system, key.version);
        let row = self.rows().write(Table::Keys, &place, key.version.0, &key.blob);
        let there = self
            .writer
            .write::<_, Error, _>(move |transaction| {
                let mut table = transaction.open_table(KEYS).map_err(failed("write"))?;
                let there = table.get(place.as_slice()).map_err(failed("read"))?.map(|row| row.value().to_vec());
                if there.is_none() {
                    table.insert(place.as_slice(), row.as_slice()).map_err(failed("write"))?;
                }
                Ok(there)
            })
            .await?;
        if there.is_none() { Ok(key) } else { self.newest_key(tenant, system)?.ok_or(Error::Unavailable) }
    }
}

fn place(tenant: &TenantId, system: Option<&System>, version: Version) -> Vec<u8> {
    let mut key = tenant.0.as_bytes().to_vec();
    key.push(if system.is_some() { 3 } else { 2 });
    let system = system.map_or("", System::as_str);
    key.extend_from_slice(&u16::try_from(system.len()).unwrap_or(u16::MAX).to_be_bytes());
    key.extend_from_slice(system.as_bytes());
    key.extend_from_slice(&version.0.to_be_bytes());
    key
}
