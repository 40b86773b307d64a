//! Tombstones: what a stop writes before it is acknowledged, one preallocated file a tenant.
//!
//! Space for the largest tombstone is taken when the tenant is provisioned; from then on a kill never needs more
//! (PROTOCOL §6). A tombstone holds the durable stop bits, the generation, the epoch and the digests of all halts known here, so
//! that a store whose row could not be written any more still starts up stopped.
//!
//! ```text
//! format 1   tenant 32 · stops 4 · trust version 8 · epoch 8 · generation 8 · kills, 32 each
//! format 2   the same, with the counts of blocks 2 and suspensions 2 before the kills, and their names after them
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
};

use orbital::{
    halt::{Halt, Halts},
    names::{Digest, TenantId},
};

use super::pair::Pair;
use crate::{
    error::Error,
    guards,
    key_table::Stops,
    mac::NodeKey,
    names::{Epoch, Generation},
};

/// Halts that a tombstone has room for, and so the most that are remembered of one tenant by name.
pub const TOMBSTONE_HALTS_MAX: usize = 1_023;
const FORMAT_1: u8 = 1;
const FORMAT: u8 = 2;
const FIXED_BYTES: usize = 1 + 32 + 4 + 8 + 8 + 8;
/// What format 1 took for 1,024 kills.
const CAPACITY: usize = FIXED_BYTES + 32 * 1_024;
const _: () = assert!(FIXED_BYTES + 4 + 32 * TOMBSTONE_HALTS_MAX <= CAPACITY);
const DOMAIN: &str = "tombstone";

/// The stops of one tenant, as they must survive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tombstone {
    pub stops: Stops,
    pub trust_version: u64,
    pub epoch: Epoch,
    pub generation: Generation,
    /// Digests of all halts known here, lifted ones among them: the certified head says which are lifted.
    pub halts: Halts,
}

impl Tombstone {
    fn encode(&self, tenant: &TenantId) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        bytes.extend_from_slice(tenant.0.as_bytes());
        bytes.extend_from_slice(&self.stops.durable().0.to_be_bytes());
        for counter in [self.trust_version, self.epoch.0, self.generation.0] {
            bytes.extend_from_slice(&counter.to_be_bytes());
        }
        for halt in [Halt::Block, Halt::Suspension] {
            // At most TOMBSTONE_HALTS_MAX, which fits.
            let count = u16::try_from(self.halts.of(halt).len()).unwrap_or(u16::MAX);
            bytes.extend_from_slice(&count.to_be_bytes());
        }
        self.halts.iter().for_each(|(_, name)| bytes.extend_from_slice(name.as_bytes()));
        bytes
    }

    fn decode(tenant: &TenantId, bytes: &[u8]) -> Option<Self> {
        let (format, rest) = bytes.split_first()?;
        let rest = rest.strip_prefix(tenant.0.as_bytes().as_slice())?;
        let (stops, rest) = rest.split_first_chunk::<4>()?;
        let (trust_version, rest) = rest.split_first_chunk::<8>()?;
        let (epoch, rest) = rest.split_first_chunk::<8>()?;
        let (generation, rest) = rest.split_first_chunk::<8>()?;
        let (blocks, suspensions, rest) = match *format {
            FORMAT_1 => (0, 0, rest),
            FORMAT => {
                let (blocks, rest) = rest.split_first_chunk::<2>()?;
                let (suspensions, rest) = rest.split_first_chunk::<2>()?;
                (usize::from(u16::from_be_bytes(*blocks)), usize::from(u16::from_be_bytes(*suspensions)), rest)
            }
            _ => return None,
        };
        let (names, []) = rest.as_chunks::<32>() else { return None };
        let (names, suspensions) = names.split_at_checked(names.len().checked_sub(suspensions)?)?;
        let (kills, blocks) = names.split_at_checked(names.len().checked_sub(blocks)?)?;
        let set = |names: &[[u8; 32]]| names.iter().map(|name| Digest(*name)).collect();
        Some(Self {
            stops: Stops(u32::from_be_bytes(*stops)),
            trust_version: u64::from_be_bytes(*trust_version),
            epoch: Epoch(u64::from_be_bytes(*epoch)),
            generation: Generation(u64::from_be_bytes(*generation)),
            halts: Halts { kills: set(kills), blocks: set(blocks), suspensions: set(suspensions) },
        })
    }
}

/// All tombstones of a store: a folder of files named by tenant id.
pub(crate) struct Tombstones {
    folder: PathBuf,
}

impl Tombstones {
    pub(crate) fn open(folder: &Path) -> Result<Self, Error> {
        let failed = |why: std::io::Error| Error::File {
            path: folder.display().to_string(),
            what: "creating the folder of tombstones",
            why: why.to_string(),
        };
        fs::create_dir_all(folder).map_err(failed)?;
        Ok(Self { folder: folder.to_owned() })
    }

    fn path(&self, tenant: &TenantId) -> PathBuf {
        self.folder.join(tenant.to_string())
    }

    /// Takes the space for a new tenant's tombstone. A tombstone that is there stays.
    pub(crate) fn reserve(&self, key: &NodeKey, tenant: &TenantId, first: &Tombstone) -> Result<(), Error> {
        if self.read(key, tenant)?.is_some() {
            return Ok(());
        }
        Pair::create(&self.path(tenant), DOMAIN, key, CAPACITY, &first.encode(tenant), 0).map(|_| ())
    }

    /// Writes in place and syncs. The tenant must have been provisioned.
    pub(crate) fn write(&self, key: &NodeKey, tenant: &TenantId, tombstone: &Tombstone) -> Result<(), Error> {
        if !guards::must_write() {
            return Ok(());
        }
        let mut opened = Pair::open(&self.path(tenant), DOMAIN, key)?.ok_or(Error::NoTombstone(*tenant))?;
        opened.pair.write(key, &tombstone.encode(tenant))
    }

    /// `None`: the tenant was never provisioned here.
    pub(crate) fn read(&self, key: &NodeKey, tenant: &TenantId) -> Result<Option<Tombstone>, Error> {
        let path = self.path(tenant);
        let Some(opened) = Pair::open(&path, DOMAIN, key)? else { return Ok(None) };
        let why = "it is no tombstone of this tenant";
        let tombstone = Tombstone::decode(tenant, &opened.content);
        tombstone.map(Some).ok_or_else(|| Error::BadFile { path: path.display().to_string(), why })
    }

    /// Every tenant that has one.
    pub(crate) fn tenants(&self) -> Result<Vec<TenantId>, Error> {
        let failed = |why: std::io::Error| Error::File {
            path: self.folder.display().to_string(),
            what: "listing the tombstones",
            why: why.to_string(),
        };
        let mut tenants = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            let name = entry.map_err(failed)?.file_name();
            tenants.extend(name.to_str().and_then(|name| name.parse::<TenantId>().ok()));
        }
        Ok(tenants)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key_table::Stop;

    const TENANT: TenantId = TenantId(Digest([4; 32]));

    fn rig() -> (tempfile::TempDir, NodeKey, Tombstones) {
        let dir = tempfile::tempdir().unwrap();
        let key = NodeKey::load_or_create(&dir.path().join("node.key")).unwrap();
        let tombstones = Tombstones::open(&dir.path().join("tombstones")).unwrap();
        (dir, key, tombstones)
    }

    fn largest() -> Tombstone {
        let digest = |n: usize| Digest(std::array::from_fn(|i| if i < 8 { n.to_be_bytes()[i] } else { 7 }));
        Tombstone {
            stops: Stops::default().with(Stop::Killed),
            trust_version: u64::MAX,
            epoch: Epoch(u64::MAX),
            generation: Generation(u64::MAX),
            halts: (0..TOMBSTONE_HALTS_MAX).map(|n| (Halt::ALL[n % 3], digest(n))).collect(),
        }
    }

    #[test]
    fn a_tombstone_of_format_1_holds_kills() {
        let tombstone = Tombstone { halts: largest().halts.kills.into_iter().collect(), ..largest() };
        let mut bytes = tombstone.encode(&TENANT);
        bytes[0] = FORMAT_1;
        bytes.drain(FIXED_BYTES..FIXED_BYTES + 4);
        assert_eq!(Tombstone::decode(&TENANT, &bytes), Some(tombstone));
        bytes[0] = FORMAT + 1;
        assert_eq!(Tombstone::decode(&TENANT, &bytes), None);
    }

    #[test]
    fn the_largest_tombstone_fits_the_space_taken_at_the_start() {
        let (_dir, key, tombstones) = rig();
        tombstones.reserve(&key, &TENANT, &Tombstone::default()).unwrap();
        let size = fs::metadata(tombstones.path(&TENANT)).unwrap().len();
        tombstones.write(&key, &TENANT, &largest()).unwrap();
        tombstones.write(&key, &TENANT, &largest()).unwrap();
        assert_eq!(tombstones.read(&key, &TENANT).unwrap(), Some(largest()));
        assert_eq!(fs::metadata(tombstones.path(&TENANT)).unwrap().len(), size);
    }

    #[test]
    fn a_tombstone_is_its_tenants_own() {
        let (_dir, key, tombstones) = rig();
        let other = TenantId(Digest([5; 32]));
        tombstones.reserve(&key, &TENANT, &largest()).unwrap();
        assert!(matches!(tombstones.write(&key, &other, &largest()), Err(Error::NoTombstone(_))));
        fs::copy(tombstones.path(&TENANT), tombstones.path(&other)).unwrap();
        assert!(matches!(tombstones.read(&key, &other), Err(Error::BadFile { .. })));
    }

    #[test]
    fn reserving_again_lifts_nothing() {
        let (_dir, key, tombstones) = rig();
        tombstones.reserve(&key, &TENANT, &largest()).unwrap();
        tombstones.reserve(&key, &TENANT, &Tombstone::default()).unwrap();
        assert_eq!(tombstones.read(&key, &TENANT).unwrap(), Some(largest()));
        assert_eq!(tombstones.tenants().unwrap(), [TENANT]);
    }

    #[test]
    fn stops_that_do_not_last_are_not_written() {
        let tombstone =
            Tombstone { stops: Stops::default().with(Stop::Sealed).with(Stop::L1Stop), ..Tombstone::default() };
        let read = Tombstone::decode(&TENANT, &tombstone.encode(&TENANT)).unwrap();
        assert_eq!(read.stops, Stops::default().with(Stop::L1Stop));
    }
}
