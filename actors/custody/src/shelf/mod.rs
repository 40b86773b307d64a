//! The shelf: everything of custody that is at rest, on redb with two-phase commits.
//!
//! Tenants' rows (the certified head as opaque bytes, epoch, generation, stops, kills, lease), wrapped L2 and L3 keys, objects
//! with their attributes, and indexes to find them. Deciding rows carry a tag of the node's key; wrapped keys are authenticated by
//! their parents as well. Tombstones stand beside the database in preallocated files, so that a stop can be made durable where
//! the database can't. The store's first record says whose it is: another node, region or deployment refuses it.
//!
//! ```text
//! tenants   tenant                                  -> tagged { head, epoch, generation, stops, kills, lease }
//! keys      tenant · level · system · version       -> tagged wrapped key
//! objects   tenant · object                         -> tagged { system, attributes } · wrapped key
//! by_system tenant · system · created · object      -> ()
//! by_name   tenant · system and name · object       -> ()
//! ended     tenant                                  -> tagged digest of what ended it before it was founded
//! by_term   tenant · system, attribute and value · created · object -> ()
//! ```

mod changes;
mod ended;
mod keys;
mod objects;
pub(crate) mod pair;
mod rows;
mod shred;
mod tenants;
mod terms;
mod tombstone;
mod writer;

#[cfg(test)]
mod tests;

pub(crate) use changes::change_rows;
pub use changes::{Drafted, Together};
pub use keys::StoredKey;
pub use objects::{Aim, By, Row as ObjectRow};
pub use tenants::TenantRow;
pub use terms::Term;
pub use tombstone::{TOMBSTONE_HALTS_MAX, Tombstone};

use std::{path::Path, sync::Arc};

use orbital::names::{Deployment, Region};
use redb::{ReadableTable, TableDefinition, WriteTransaction};

use self::{
    rows::{Rows, Table},
    tombstone::Tombstones,
    writer::{Base, Writer, failed},
};
use crate::{error::Error, mac::NodeKey};

type Bytes = TableDefinition<'static, &'static [u8], &'static [u8]>;
type Index = TableDefinition<'static, &'static [u8], ()>;

const META: Bytes = TableDefinition::new("meta");
const TENANTS: Bytes = TableDefinition::new("tenants");
const ENDED: Bytes = TableDefinition::new("ended");
const KEYS: Bytes = TableDefinition::new("keys");
const OBJECTS: Bytes = TableDefinition::new("objects");
const BY_SYSTEM: Index = TableDefinition::new("by_system");
const BY_NAME: Index = TableDefinition::new("by_name");
const BY_TERM: Index = TableDefinition::new("by_term");

/// The key of the first record.
const OWNER: &[u8] = b"owner";

/// Whose store this is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    pub deployment: Deployment,
    pub region: Region,
}

/// The store of one node.
pub struct Shelf {
    owner: Owner,
    key: Arc<NodeKey>,
    base: Arc<Base>,
    writer: Writer,
    tombstones: Tombstones,
}

impl Shelf {
    /// Opens the store in `folder` (made if absent). Refuses one that belongs to another deployment, region or node key.
    pub fn open(folder: &Path, owner: Owner, key: Arc<NodeKey>) -> Result<Self, Error> {
        let at = |why: std::io::Error| Error::File {
            path: folder.display().to_string(),
            what: "creating the store's folder",
            why: why.to_string(),
        };
        std::fs::create_dir_all(folder).map_err(at)?;
        let path = folder.join("custody.redb");
        let base = Base::open(path.clone())?;
        base.begin(|transaction| claim(transaction, &path, &owner, &key))?;
        let writer = Writer::start(base.clone())?;
        let tombstones = Tombstones::open(&folder.join("tombstones"))?;
        Ok(Self { owner, key, base, writer, tombstones })
    }

    /// Whose store it is.
    pub fn owner(&self) -> &Owner {
        &self.owner
    }

    /// Waits for what is being written, then closes the store. Everything after it fails.
    pub async fn close(&self) {
        // An empty job: when it answers, all before it are done.
        let flushed: Result<(), Error> = self.writer.write(|_| Ok(())).await;
        if let Err(why) = flushed {
            tracing::warn!(%why, "the last commit before closing the store failed");
        }
        self.base.close();
    }

    /// How often anything was committed.
    #[cfg(test)]
    pub(crate) fn commits(&self) -> usize {
        self.base.commits.load(std::sync::atomic::Ordering::SeqCst)
    }

    fn rows(&self) -> Rows<'_> {
        Rows { key: &self.key, region: self.owner.region.as_str() }
    }
}

/// Makes all tables, writes the first record or compares it.
fn claim(transaction: &WriteTransaction, path: &Path, owner: &Owner, key: &NodeKey) -> Result<(), Error> {
    for table in [TENANTS, ENDED, KEYS, OBJECTS] {
        transaction.open_table(table).map_err(failed("open"))?;
    }
    for index in [BY_SYSTEM, BY_NAME] {
        transaction.open_table(index).map_err(failed("open"))?;
    }
    let meta = transaction.open_table(META).map_err(failed("open"))?;
    let ours = [owner.deployment.to_string(), owner.region.to_string(), key.fingerprint().to_string()];
    let rows = Rows { key, region: owner.region.as_str() };
    let stored = meta.get(OWNER).map_err(failed("read"))?.map(|row| row.value().to_vec());
    let Some(stored) = stored else {
        drop(meta);
        terms::prepare(transaction, &rows)?;
        let mut meta = transaction.open_table(META).map_err(failed("open"))?;
        let row = rows.write(Table::Meta, OWNER, 1, ours.join(" ").as_bytes());
        meta.insert(OWNER, row.as_slice()).map_err(failed("write"))?;
        return Ok(());
    };
    // Compared before the tag, which another node's key could not check.
    let text = stored.get(41..).map(String::from_utf8_lossy).unwrap_or_default();
    let theirs: Vec<&str> = text.split(' ').collect();
    for (at, what) in ["deployment", "region", "a node with key"].into_iter().enumerate() {
        let (found, expected) =
            (theirs.get(at).copied().unwrap_or_default(), ours.get(at).cloned().unwrap_or_default());
        if found != expected {
            let path = path.display().to_string();
            return Err(Error::ForeignStore { path, what, found: found.to_owned(), expected });
        }
    }
    rows.read(Table::Meta, OWNER, &stored)?;
    drop(meta);
    terms::prepare(transaction, &rows)
}
