//! Tenants' rows and tombstones: what a restart knows about whom it may serve.

use std::collections::BTreeMap;

use base64::{Engine, engine::general_purpose::STANDARD};
use orbital::{
    halt::{Halt, Halts},
    names::{Digest, TenantId},
};
use redb::{ReadableTable, WriteTransaction};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::{
    Shelf, TENANTS, TOMBSTONE_HALTS_MAX, Tombstone,
    rows::{Rows, Table},
    writer::failed,
};
use crate::{
    error::Error,
    guards,
    high_water::{Known, Mark},
    key_table::{Stop, Stops},
    lease,
    names::{Epoch, Generation},
};

/// What the store knows of one tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantRow {
    /// The certified standing, as `standing` writes it; opaque here.
    #[serde(serialize_with = "to_base64", deserialize_with = "from_base64")]
    pub head: Vec<u8>,
    pub trust_version: u64,
    pub epoch: Epoch,
    pub generation: Generation,
    /// The durable stop bits.
    pub stops: u32,
    /// Digests of all halts known here, lifted ones among them: at most [`TOMBSTONE_HALTS_MAX`], see [`TenantRow::know`].
    #[serde(flatten)]
    pub halts: Halts,
    /// Which of them are lifted: the head names them. `None` in a row that was written before this was known.
    #[serde(default)]
    pub restored: Option<Known>,
    #[serde(default)]
    pub lease: Option<lease::Stored>,
    /// Each client anchor of the head, and the turn in which this node first wrote it down for this tenant: whom it belongs to, where
    /// another tenant names it later. Turns grow over all tenants of the node.
    #[serde(default)]
    pub claims: BTreeMap<Digest, u64>,
    /// The head's L1 link is to lift the refusal of L1 that held when it became durable, in this generation: void once another stop has
    /// begun a later one.
    #[serde(default)]
    pub clears: Option<Generation>,
}

impl TenantRow {
    /// How far this row has come.
    pub fn mark(&self) -> Mark {
        Mark {
            trust_version: self.trust_version,
            epoch: self.epoch,
            generation: self.generation,
            stops: Stops(self.stops),
            kills: self.restored.map(|_| Known::of(&self.halts.names())),
            restored: self.restored,
            lost: None,
        }
    }

    /// Remembers a halt. One for which the tombstone has no room left is remembered without its name: the tenant is killed for
    /// good, as nothing could lift it by name. A stop is never refused (PROTOCOL §4).
    pub fn know(&mut self, halt: Halt, name: Digest) {
        if self.halts.len() < TOMBSTONE_HALTS_MAX {
            self.halts.insert(halt, name);
        } else if !self.halts.of(halt).contains(&name) {
            self.stops = Stops(self.stops).with(Stop::Killed).with(Stop::KilledForGood).0;
        }
    }

    /// More halts have come than could be remembered by name.
    pub fn is_killed_for_good(&self) -> bool {
        Stops(self.stops).holds(Stop::KilledForGood)
    }

    /// The row with what its tombstone adds: a stop that reached only the tombstone counts.
    fn with_tombstone(mut self, tombstone: Tombstone) -> Self {
        let stone = Mark {
            trust_version: tombstone.trust_version,
            epoch: tombstone.epoch,
            generation: tombstone.generation,
            stops: tombstone.stops,
            ..Mark::default()
        };
        let joined = self.mark().joined(stone);
        (self.trust_version, self.epoch, self.generation) = (joined.trust_version, joined.epoch, joined.generation);
        self.stops = joined.stops.durable().0;
        tombstone.halts.iter().for_each(|(halt, name)| self.know(halt, name));
        self
    }

    fn tombstone(&self) -> Tombstone {
        Tombstone {
            stops: Stops(self.stops),
            trust_version: self.trust_version,
            epoch: self.epoch,
            generation: self.generation,
            halts: self.halts.clone(),
        }
    }
}

impl Shelf {
    /// Every tenant, rows joined with their tombstones. A row that fails its tag is an error: the node must not guess. A tombstone without
    /// a row is a provisioning that was cut short; what it says counts when the tenant is provisioned again.
    pub fn tenants(&self) -> Result<BTreeMap<TenantId, TenantRow>, Error> {
        let mut tenants = self.base.read(|view| {
            let table = view.open_table(TENANTS).map_err(failed("read"))?;
            let mut tenants = BTreeMap::new();
            for row in table.iter().map_err(failed("read"))? {
                let (key, value) = row.map_err(failed("read"))?;
                let (tenant, row) = read(&self.rows(), key.value(), value.value())?;
                tenants.insert(tenant, row);
            }
            Ok(tenants)
        })?;
        for tenant in self.tombstones.tenants()? {
            let Some(row) = tenants.remove(&tenant) else { continue };
            let tombstone = self.tombstones.read(&self.key, &tenant)?;
            tenants.insert(tenant, tombstone.into_iter().fold(row, TenantRow::with_tombstone));
        }
        Ok(tenants)
    }

    /// A new tenant: its tombstone's space first, then its row, in place of one whose provisioning got no further. Whether the tenant is
    /// known, the keeper says. Answers the row, with what a tombstone that was there already adds.
    pub async fn provision(&self, tenant: TenantId, row: TenantRow) -> Result<TenantRow, Error> {
        self.tombstones.reserve(&self.key, &tenant, &row.tombstone())?;
        let tombstone = self.tombstones.read(&self.key, &tenant)?;
        let row = tombstone.into_iter().fold(row, TenantRow::with_tombstone);
        let stored = self.encode(&tenant, &row)?;
        self.writer.write(move |transaction| put(transaction, &tenant, &stored)).await?;
        Ok(row)
    }

    /// Replaces a tenant's row, durable before it returns.
    pub async fn put_tenant(&self, tenant: TenantId, row: &TenantRow) -> Result<(), Error> {
        if !guards::must_write() {
            return Ok(());
        }
        let stored = self.encode(&tenant, row)?;
        self.writer.write(move |transaction| put(transaction, &tenant, &stored)).await
    }

    /// Makes a stop durable in the space that was taken for it. Needs no room on the disk and no database.
    pub fn entomb(&self, tenant: &TenantId, row: &TenantRow) -> Result<(), Error> {
        self.tombstones.write(&self.key, tenant, &row.tombstone())
    }

    fn encode(&self, tenant: &TenantId, row: &TenantRow) -> Result<Vec<u8>, Error> {
        let content = serde_json::to_vec(row).map_err(failed("write a tenant's row"))?;
        Ok(self.rows().write(Table::Tenants, tenant.0.as_bytes(), row.generation.0, &content))
    }
}

fn read(rows: &Rows<'_>, key: &[u8], stored: &[u8]) -> Result<(TenantId, TenantRow), Error> {
    let forged = || Error::Forged { table: "tenants", key: "of another length".into() };
    let tenant = TenantId(Digest(key.try_into().map_err(|_| forged())?));
    let (_, content) = rows.read(Table::Tenants, key, stored)?;
    let row = serde_json::from_slice(content).map_err(failed("read a tenant's row"))?;
    Ok((tenant, row))
}

fn put(transaction: &WriteTransaction, tenant: &TenantId, stored: &[u8]) -> Result<(), Error> {
    let mut table = transaction.open_table(TENANTS).map_err(failed("write"))?;
    table.insert(tenant.0.as_bytes().as_slice(), stored).map_err(failed("write"))?;
    Ok(())
}

fn to_base64<S: Serializer>(bytes: &[u8], s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(&STANDARD.encode(bytes))
}

fn from_base64<'de, D: Deserializer<'de>>(d: D) -> Result<Vec<u8>, D::Error> {
    STANDARD.decode(String::deserialize(d)?).map_err(de::Error::custom)
}
