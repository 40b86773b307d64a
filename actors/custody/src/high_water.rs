//! The high-water file: what this node has acknowledged, kept outside the store (PROTOCOL §6).
//!
//! Whoever puts back an old copy of the store puts back a tenant that was not yet killed. The file, in a folder of its own, says
//! per tenant how far trust version, epoch and generation had come, which stops were set and which kills were known. At the start the store is compared:
//! a store that knows less or other kills, a missing file beside a store with tenants, or a damaged one, gives [`Verdict::Sealed`], and the node
//! serves nobody until a head answering its fresh nonce has arrived.

mod mark;
pub use mark::{Known, Mark};

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use orbital::names::TenantId;
use parking_lot::Mutex;

use self::mark::{ROW_1_BYTES, ROW_BYTES};
use crate::{error::Error, guards, key_table::Stop, mac::NodeKey, shelf::pair::Pair};

const FORMAT: u8 = 2;
/// Without the sets of kills: still read, written no more.
const FORMAT_1: u8 = 1;
/// Rows that a new file has room for; it grows when tenants are provisioned, never at a stop.
const ROWS_AT_FIRST: usize = 64;
const DOMAIN: &str = "high-water";

/// Why nobody is served until a fresh head arrives.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    #[error("the high-water file {path} is missing, but the store has {tenants} tenants")]
    Missing { path: String, tenants: usize },
    #[error("the high-water file cannot be trusted: {0}")]
    Damaged(String),
    #[error("the store is older than what this node has acknowledged for tenant {tenant}: it was restored from a copy")]
    Behind { tenant: TenantId },
    #[error("{tenants} tenants were sealed at an earlier start and no fresh head has arrived for them yet")]
    StillSealed { tenants: usize },
}

/// What the comparison at the start says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The store knows all that this node has acknowledged.
    Agreed,
    /// Serve nobody until a head answering this node's fresh nonce has arrived.
    Sealed(Reason),
}

/// The open file. Many tenants share a write: whoever waits for the disk finds their mark written along, so that a stop waits for at
/// most one write that began before it, whatever the other tenants do.
pub struct HighWater {
    path: PathBuf,
    key: Arc<NodeKey>,
    /// Held for no disk.
    marks: Mutex<Marks>,
    /// Held while the disk writes, and taken before `marks`.
    file: Mutex<Written>,
}

struct Marks {
    /// Each was made durable in its store before it came here: whatever of this is written, the store is not behind it.
    wanted: BTreeMap<TenantId, Mark>,
    /// Counts the changes of `wanted`.
    revision: u64,
    durable: BTreeMap<TenantId, Mark>,
}

struct Written {
    pair: Pair,
    /// All changes up to this one are in the file.
    revision: u64,
}

impl HighWater {
    /// Opens the file and compares the store's marks with it. On any doubt every tenant is marked [`Stop::Sealed`] in the file,
    /// which lasts over further starts until [`HighWater::raise`] without it says that the tenant's fresh head has arrived.
    pub fn open(path: &Path, key: Arc<NodeKey>, store: &BTreeMap<TenantId, Mark>) -> Result<(Self, Verdict), Error> {
        let missing = || Reason::Missing { path: path.display().to_string(), tenants: store.len() };
        let (pair, mut marks, doubt) = match Pair::open(path, DOMAIN, &key) {
            Ok(Some(opened)) => match decode(&opened.content) {
                Some(marks) => (Some(opened.pair), marks.clone(), compare(store, &marks)),
                None => (None, store.clone(), Some(Reason::Damaged("its rows are not readable".into()))),
            },
            Ok(None) => (None, store.clone(), (!store.is_empty()).then(missing)),
            Err(why @ Error::BadFile { .. }) => (None, store.clone(), Some(Reason::Damaged(why.to_string()))),
            Err(why) => return Err(why),
        };
        // A tenant whose provisioning crashed before its mark was written: a stop must find room for it.
        for (tenant, mark) in store {
            marks.entry(*tenant).and_modify(|file| *file = file.beside(*mark)).or_insert(*mark);
        }
        if doubt.is_some() {
            marks.values_mut().for_each(|mark| mark.stops = mark.stops.with(Stop::Sealed));
        }
        let content = encode(&marks);
        let pair = match pair {
            Some(mut pair) if content.len() <= pair.capacity() => {
                pair.write(&key, &content)?;
                pair
            }
            grown => create(path, &key, &marks, grown.map_or(0, |pair| pair.sequence()))?,
        };
        let sealed = marks.values().filter(|mark| mark.stops.holds(Stop::Sealed)).count();
        let file = Mutex::new(Written { pair, revision: 0 });
        let marks = Mutex::new(Marks { wanted: marks.clone(), revision: 0, durable: marks });
        let file = Self { path: path.to_owned(), key, marks, file };
        let verdict = match doubt {
            Some(reason) => Verdict::Sealed(reason),
            None if sealed > 0 => Verdict::Sealed(Reason::StillSealed { tenants: sealed }),
            None => Verdict::Agreed,
        };
        Ok((file, verdict))
    }

    /// Makes room for a new tenant and writes its first mark, joined with what the file says of it. May need disk space, as no stop ever
    /// does.
    pub fn provision(&self, tenant: TenantId, mark: Mark) -> Result<Mark, Error> {
        let mut file = self.file.lock();
        let (mut marks, revision) = self.wanted();
        let first = *marks.entry(tenant).and_modify(|file| *file = mark.joined(file.beside(mark))).or_insert(mark);
        let content = encode(&marks);
        if content.len() > file.pair.capacity() {
            file.pair = create(&self.path, &self.key, &marks, file.pair.sequence())?;
        } else {
            file.pair.write(&self.key, &content)?;
        }
        // Only now: a mark that found no room must not be in anyone else's write.
        self.marks.lock().wanted.insert(tenant, first);
        self.written(&mut file, marks, revision);
        Ok(first)
    }

    fn wanted(&self) -> (BTreeMap<TenantId, Mark>, u64) {
        let marks = self.marks.lock();
        (marks.wanted.clone(), marks.revision)
    }

    fn written(&self, file: &mut Written, marks: BTreeMap<TenantId, Mark>, revision: u64) {
        file.revision = revision;
        self.marks.lock().durable = marks;
    }

    /// Raises a tenant's mark, in place and synced. Counters never go back; stops, sets and what is lost are those of the newer mark.
    pub fn raise(&self, tenant: &TenantId, mark: Mark) -> Result<(), Error> {
        if !guards::must_write() {
            return Ok(());
        }
        self.commit(self.want(tenant, mark)?)
    }

    fn want(&self, tenant: &TenantId, mark: Mark) -> Result<u64, Error> {
        let mut marks = self.marks.lock();
        let known = marks.wanted.get_mut(tenant).ok_or(Error::NoTombstone(*tenant))?;
        *known = Mark { stops: mark.stops, lost: mark.lost, ..mark.joined(*known) };
        marks.revision += 1;
        Ok(marks.revision)
    }

    /// Returns when this change is in the file: written by another's commit, or by this one with all that are wanted by now.
    fn commit(&self, revision: u64) -> Result<(), Error> {
        let mut file = self.file.lock();
        if file.revision >= revision {
            return Ok(());
        }
        let (marks, revision) = self.wanted();
        file.pair.write(&self.key, &encode(&marks))?;
        self.written(&mut file, marks, revision);
        Ok(())
    }

    /// What the file says of a tenant.
    pub fn mark(&self, tenant: &TenantId) -> Option<Mark> {
        self.marks.lock().durable.get(tenant).copied()
    }
}

fn compare(store: &BTreeMap<TenantId, Mark>, file: &BTreeMap<TenantId, Mark>) -> Option<Reason> {
    let behind = file.iter().find(|(tenant, mark)| store.get(tenant).copied().unwrap_or_default().lacks(**mark));
    behind.map(|(tenant, _)| Reason::Behind { tenant: *tenant })
}

fn create(path: &Path, key: &NodeKey, marks: &BTreeMap<TenantId, Mark>, sequence: u64) -> Result<Pair, Error> {
    let rows = (marks.len() + 1).next_power_of_two().max(ROWS_AT_FIRST);
    Pair::create(path, DOMAIN, key, 1 + rows * ROW_BYTES, &encode(marks), sequence)
}

fn encode(marks: &BTreeMap<TenantId, Mark>) -> Vec<u8> {
    let mut bytes = vec![FORMAT];
    marks.iter().for_each(|(tenant, mark)| mark.encode(tenant, &mut bytes));
    bytes
}

/// Reads either format; any other is damage, and seals.
fn decode(bytes: &[u8]) -> Option<BTreeMap<TenantId, Mark>> {
    let (format, rows) = bytes.split_first()?;
    let row_bytes = match *format {
        FORMAT_1 => ROW_1_BYTES,
        FORMAT => ROW_BYTES,
        _ => return None,
    };
    let rows = rows.chunks_exact(row_bytes);
    rows.remainder().is_empty().then(|| rows.map(Mark::decode).collect())?
}

#[cfg(test)]
mod tests {
    use orbital::names::Digest;

    use super::*;
    use crate::{
        key_table::Stops,
        names::{Epoch, Generation},
    };

    struct Rig {
        dir: tempfile::TempDir,
        key: Arc<NodeKey>,
    }

    impl Rig {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let key = Arc::new(NodeKey::load_or_create(&dir.path().join("node.key")).unwrap());
            Self { dir, key }
        }
        fn path(&self) -> PathBuf {
            self.dir.path().join("high-water")
        }
        fn open(&self, store: &[(TenantId, Mark)]) -> (HighWater, Verdict) {
            HighWater::open(&self.path(), self.key.clone(), &store.iter().copied().collect()).unwrap()
        }
    }

    fn tenant(n: u8) -> TenantId {
        TenantId(Digest([n; 32]))
    }
    fn mark(trust_version: u64, epoch: u64, generation: u64) -> Mark {
        Mark { trust_version, epoch: Epoch(epoch), generation: Generation(generation), ..Mark::default() }
    }

    #[test]
    fn a_new_node_agrees_with_its_empty_store() {
        assert_eq!(Rig::new().open(&[]).1, Verdict::Agreed);
    }

    #[test]
    fn what_was_raised_is_read_back() {
        let rig = Rig::new();
        let (file, _) = rig.open(&[]);
        file.provision(tenant(1), mark(1, 1, 0)).unwrap();
        let killed = Mark { stops: Stops::default().with(Stop::Killed), ..mark(2, 9, 1) };
        file.raise(&tenant(1), killed).unwrap();
        let (again, verdict) = rig.open(&[(tenant(1), killed)]);
        assert_eq!((again.mark(&tenant(1)), verdict), (Some(killed), Verdict::Agreed));
        again.raise(&tenant(1), mark(1, 3, 0)).unwrap();
        assert_eq!(again.mark(&tenant(1)), Some(mark(2, 9, 1)), "counters never go back, stops follow the call");
    }

    #[test]
    fn a_store_behind_the_file_is_sealed() {
        let rig = Rig::new();
        let (file, _) = rig.open(&[]);
        file.provision(tenant(1), mark(1, 1, 0)).unwrap();
        file.raise(&tenant(1), mark(2, 5, 3)).unwrap();
        let behind = Verdict::Sealed(Reason::Behind { tenant: tenant(1) });
        for old in [mark(1, 5, 3), mark(2, 4, 3), mark(2, 5, 2)] {
            assert_eq!(rig.open(&[(tenant(1), old)]).1, behind, "{old:?}");
        }
        assert_eq!(rig.open(&[]).1, behind, "a store without the tenant");
    }

    #[test]
    fn a_store_that_knows_more_is_fine() {
        let rig = Rig::new();
        rig.open(&[]).0.provision(tenant(1), mark(1, 1, 0)).unwrap();
        let (file, verdict) = rig.open(&[(tenant(1), mark(2, 5, 3)), (tenant(2), mark(1, 1, 0))]);
        assert_eq!(verdict, Verdict::Agreed);
        file.raise(&tenant(2), mark(1, 2, 1)).expect("a stop of a tenant whose mark was not written yet");
    }

    #[test]
    fn sealed_lasts_until_a_fresh_head_has_arrived() {
        let rig = Rig::new();
        let store = [(tenant(1), mark(1, 1, 0)), (tenant(2), mark(1, 1, 0))];
        assert!(matches!(rig.open(&store).1, Verdict::Sealed(Reason::Missing { .. })));
        assert_eq!(rig.open(&store).1, Verdict::Sealed(Reason::StillSealed { tenants: 2 }));
        let (file, _) = rig.open(&store);
        file.raise(&tenant(1), mark(2, 2, 0)).unwrap();
        let (file, verdict) = rig.open(&[(tenant(1), mark(2, 2, 0)), store[1]]);
        assert_eq!(verdict, Verdict::Sealed(Reason::StillSealed { tenants: 1 }));
        assert!(file.mark(&tenant(2)).unwrap().stops.holds(Stop::Sealed));
    }

    #[test]
    fn a_missing_or_damaged_file_seals() {
        let rig = Rig::new();
        let store = [(tenant(1), mark(1, 1, 0))];
        assert!(matches!(rig.open(&store).1, Verdict::Sealed(Reason::Missing { tenants: 1, .. })));
        std::fs::write(rig.path(), vec![0; 4096]).unwrap();
        assert!(matches!(rig.open(&store).1, Verdict::Sealed(Reason::Damaged(_))));
    }

    fn knows(kills: &[u8], restored: &[u8], generation: u64) -> Mark {
        let known = |names: &[u8]| Some(Known::of(&names.iter().map(|n| Digest([*n; 32])).collect()));
        let killed = if kills.len() > restored.len() { Stops::default().with(Stop::Killed) } else { Stops::default() };
        Mark { kills: known(kills), restored: known(restored), stops: killed, ..mark(1, 2, generation) }
    }

    /// As many kills, as many restores, the same counters: and yet not the store that this node has written.
    #[test]
    fn a_store_of_other_kills_is_sealed() {
        for other in [knows(&[8], &[7], 1), knows(&[7], &[8], 1), knows(&[], &[7], 1), knows(&[7], &[], 1)] {
            let rig = Rig::new();
            let (file, _) = rig.open(&[]);
            file.provision(tenant(1), mark(1, 1, 0)).unwrap();
            file.raise(&tenant(1), knows(&[7], &[7], 1)).unwrap();
            assert_eq!(rig.open(&[(tenant(1), knows(&[7], &[7], 1))]).1, Verdict::Agreed);
            assert_eq!(rig.open(&[(tenant(1), other)]).1, Verdict::Sealed(Reason::Behind { tenant: tenant(1) }));
        }
    }

    /// The node stopped between tombstone and mark: the store is one kill ahead.
    #[test]
    fn a_store_that_knows_one_kill_more_is_fine() {
        let rig = Rig::new();
        let (file, _) = rig.open(&[]);
        file.provision(tenant(1), knows(&[7], &[7], 1)).unwrap();
        assert_eq!(rig.open(&[(tenant(1), knows(&[7, 8], &[7], 2))]).1, Verdict::Agreed);
    }

    /// What a killed tenant's store has lost is remembered over starts and leases, until the mark is raised without it.
    #[test]
    fn lost_kills_are_remembered() {
        let rig = Rig::new();
        let (file, _) = rig.open(&[]);
        let (whole, old) = (knows(&[7, 8], &[7], 2), knows(&[7], &[7], 1));
        file.provision(tenant(1), whole).unwrap();
        let (file, verdict) = rig.open(&[(tenant(1), old)]);
        assert!(matches!(verdict, Verdict::Sealed(Reason::Behind { .. })));
        let lost = file.mark(&tenant(1)).unwrap().lost;
        assert_eq!(lost, whole.kills);
        let joined = old.joined(file.mark(&tenant(1)).unwrap());
        file.raise(&tenant(1), Mark { stops: whole.stops, ..joined }).unwrap();
        let (file, verdict) = rig.open(&[(tenant(1), Mark { lost: None, ..joined })]);
        assert_eq!((verdict, file.mark(&tenant(1)).unwrap().lost), (Verdict::Agreed, lost));
        file.raise(&tenant(1), Mark { lost: None, ..joined }).unwrap();
        assert_eq!(file.mark(&tenant(1)).unwrap().lost, None);
    }

    /// Two stops that meet share one write; a mark counts only when it is in the file, and none is left out.
    #[test]
    fn marks_that_wait_together_are_written_together() {
        let rig = Rig::new();
        let (file, _) = rig.open(&[]);
        for n in [1, 2, 3] {
            file.provision(tenant(n), mark(1, 1, 0)).unwrap();
        }
        let sequence = || file.file.lock().pair.sequence();
        let before = sequence();
        let [first, second] = [1, 2].map(|n| file.want(&tenant(n), mark(1, 1, 5)).unwrap());
        assert_eq!(file.mark(&tenant(1)), Some(mark(1, 1, 0)), "wanted is not written");
        file.commit(second).unwrap();
        file.commit(first).unwrap();
        assert_eq!(sequence(), before + 1);
        file.raise(&tenant(3), mark(1, 1, 5)).unwrap();
        assert_eq!(sequence(), before + 2);
        let store: Vec<_> = [1, 2, 3].map(|n| (tenant(n), mark(1, 1, 5))).into();
        assert_eq!(rig.open(&store).1, Verdict::Agreed);
        assert!(store.iter().all(|(tenant, mark)| rig.open(&store).0.mark(tenant) == Some(*mark)));
    }

    #[test]
    fn an_older_format_is_read_and_another_one_seals() {
        let rig = Rig::new();
        let store: Vec<_> = (0..70).map(|n| (tenant(n), knows(&[7], &[7], 3))).collect();
        let row = |(tenant, mark): &(TenantId, Mark)| {
            let mut bytes = Vec::new();
            mark.encode(tenant, &mut bytes);
            bytes.truncate(ROW_1_BYTES);
            bytes
        };
        let old: Vec<u8> = std::iter::once(1).chain(store.iter().flat_map(row)).collect();
        let write = |content: &[u8]| Pair::create(&rig.path(), DOMAIN, &rig.key, content.len(), content, 5).map(|_| ());
        write(&old).unwrap();
        let (file, verdict) = rig.open(&store);
        assert_eq!((verdict, file.mark(&tenant(3))), (Verdict::Agreed, Some(store[3].1)));
        let behind = |(tenant, mark): &(TenantId, Mark)| (*tenant, Mark { generation: Generation(2), ..*mark });
        write(&old).unwrap();
        let behind: Vec<_> = store.iter().map(behind).collect();
        assert!(matches!(rig.open(&behind).1, Verdict::Sealed(Reason::Behind { .. })));
        write(&[&[3], &old[1..]].concat()).unwrap();
        assert!(matches!(rig.open(&store).1, Verdict::Sealed(Reason::Damaged(_))));
    }

    #[test]
    fn it_grows_with_tenants_and_not_with_stops() {
        let rig = Rig::new();
        let (file, _) = rig.open(&[]);
        let mut store = Vec::new();
        for n in 0..200 {
            file.provision(tenant(n), mark(1, 1, 0)).unwrap();
            store.push((tenant(n), mark(9, 9, 9)));
        }
        let size = std::fs::metadata(rig.path()).unwrap().len();
        for n in 0..200 {
            file.raise(&tenant(n), mark(9, 9, 9)).unwrap();
        }
        assert_eq!(std::fs::metadata(rig.path()).unwrap().len(), size);
        assert_eq!(rig.open(&store).1, Verdict::Agreed);
    }
}
