//! A disk with a fixed number of pages, for tests of a full one: files are sparse as on a real file system, so a file may be long
//! without owning its pages, and the write that first touches a page is the one that fails.

use std::{
    collections::BTreeMap,
    io,
    path::PathBuf,
    sync::{Arc, Mutex},
};

use ::redb::{Database, DatabaseError, StorageBackend};
use proptest::prelude::*;

use super::{CACHE_BYTES, Disk, RedbLedger};
use crate::{Batch, LANE_CRITICAL, Ledger, LedgerError, NewEntry, NewOwed, Room};

const PAGE: u64 = 4096;
const STEP_PAGES: usize = 64;
const RESERVE_PAGES: usize = 1024;

#[derive(Debug, Default)]
struct Inner {
    pages: BTreeMap<u64, Vec<u8>>,
    length: u64,
    free: usize,
    reserve: usize,
    /// Writes and syncs until one fails with an I/O error that is not a full disk.
    fails_after: Option<usize>,
}

impl Inner {
    fn count_down(&mut self) -> io::Result<()> {
        let Some(left) = self.fails_after else { return Ok(()) };
        self.fails_after = left.checked_sub(1);
        if self.fails_after.is_some() { Ok(()) } else { Err(io::Error::other("the cable came out")) }
    }
}

#[derive(Clone, Debug, Default)]
struct SmallDisk(Arc<Mutex<Inner>>);

impl SmallDisk {
    fn with(free: usize) -> Self {
        Self(Arc::new(Mutex::new(Inner { free, ..Inner::default() })))
    }
    fn free(&self) -> usize {
        self.0.lock().unwrap().free
    }
    fn set_free(&self, free: usize) {
        self.0.lock().unwrap().free = free;
    }
    /// As whoever pulls the plug finds it.
    fn copy(&self) -> Self {
        let inner = self.0.lock().unwrap();
        let Inner { ref pages, length, free, reserve, fails_after } = *inner;
        Self(Arc::new(Mutex::new(Inner { pages: pages.clone(), length, free, reserve, fails_after })))
    }
    fn ledger(&self) -> Result<RedbLedger, LedgerError> {
        RedbLedger::on(PathBuf::from("small"), Box::new(self.clone()))
    }
}

fn size(number: u64) -> usize {
    usize::try_from(number).unwrap()
}

/// Lengths of the pieces into which page borders cut a range.
fn pieces(offset: u64, length: usize) -> Vec<usize> {
    let (mut at, end, mut found) = (offset, offset + length as u64, Vec::new());
    while at < end {
        let next = (at - at % PAGE + PAGE).min(end);
        found.push(size(next - at));
        at = next;
    }
    found
}

impl StorageBackend for SmallDisk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.0.lock().unwrap().length)
    }
    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let inner = self.0.lock().unwrap();
        let mut at = offset;
        for piece in pieces(offset, out.len()) {
            let (start, from) = (size(at % PAGE), size(at - offset));
            match inner.pages.get(&(at / PAGE)) {
                Some(page) => out[from..from + piece].copy_from_slice(&page[start..start + piece]),
                None => out[from..from + piece].fill(0),
            }
            at += piece as u64;
        }
        Ok(())
    }
    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        inner.length = len;
        let cut = inner.pages.split_off(&len.div_ceil(PAGE)).len();
        inner.free += cut;
        Ok(())
    }
    /// Fails after the data has arrived, as a lost answer does.
    fn sync_data(&self) -> io::Result<()> {
        self.0.lock().unwrap().count_down()
    }
    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut inner = self.0.lock().unwrap();
        inner.count_down()?;
        let mut at = offset;
        for piece in pieces(offset, data.len()) {
            let (start, from) = (size(at % PAGE), size(at - offset));
            if !inner.pages.contains_key(&(at / PAGE)) {
                inner.free = inner.free.checked_sub(1).ok_or(io::ErrorKind::StorageFull)?;
                inner.pages.insert(at / PAGE, vec![0; size(PAGE)]);
            }
            let page = inner.pages.get_mut(&(at / PAGE)).unwrap();
            page[start..start + piece].copy_from_slice(&data[from..from + piece]);
            at += piece as u64;
        }
        Ok(())
    }
}

impl Disk for SmallDisk {
    fn open(&self, checked: bool) -> Result<Database, DatabaseError> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(checked);
        builder.create_with_backend(self.clone())
    }
    fn release(&self) -> bool {
        let mut inner = self.0.lock().unwrap();
        let step = inner.reserve.min(STEP_PAGES);
        inner.reserve -= step;
        inner.free += step;
        step > 0
    }
    fn refill(&self) -> bool {
        let mut inner = self.0.lock().unwrap();
        while inner.reserve < RESERVE_PAGES && inner.free >= STEP_PAGES {
            inner.free -= STEP_PAGES;
            inner.reserve += STEP_PAGES;
        }
        inner.reserve == RESERVE_PAGES
    }
    fn has_room(&self) -> bool {
        self.free() >= STEP_PAGES
    }
    fn left(&self) -> u64 {
        self.0.lock().unwrap().reserve as u64 * PAGE
    }
}

fn batch(bytes: usize, room: Room) -> Batch {
    let body = format!("\"{}\"", "x".repeat(bytes)).into_bytes();
    let (subject, correlation) = ("tenant".to_owned(), "c".to_owned());
    let entry =
        NewEntry { at_ms: 1, kind: "k".into(), subject: subject.clone(), correlation: correlation.clone(), body };
    let region = "eu".to_owned();
    let owed =
        NewOwed { subject, region, lane: LANE_CRITICAL, correlation, created_ms: 1, digest: [1; 32], body: vec![] };
    Batch { entries: vec![entry], owe: vec![owed], room, ..Batch::default() }
}

/// Everything that a caller can see.
fn seen(ledger: &RedbLedger) -> (u64, Vec<crate::Entry>, Vec<crate::Owed>, u64) {
    let entries = ledger.entries(1, usize::MAX).unwrap();
    let owed = ledger.owed("eu", LANE_CRITICAL, 0, usize::MAX).unwrap();
    (ledger.head().unwrap().sequence, entries, owed, ledger.owed_count("eu", LANE_CRITICAL).unwrap())
}

fn fill(ledger: &RedbLedger) {
    for _ in 0..1000 {
        let before = seen(ledger);
        match ledger.append(batch(20_000, Room::Ordinary)) {
            Ok(_) => {}
            Err(LedgerError::DiskFull { .. }) => {
                assert_eq!(seen(ledger), before, "a refused append left a trace");
                return;
            }
            Err(other) => panic!("{other}"),
        }
    }
    panic!("the disk never filled");
}

#[test]
fn a_full_disk_refuses_the_ordinary_and_takes_stops() {
    let disk = SmallDisk::with(RESERVE_PAGES + 600);
    let ledger = disk.ledger().unwrap();
    assert!(ledger.reserve_is_whole());
    fill(&ledger);
    let full = ledger.append(batch(10, Room::Ordinary)).unwrap_err();
    assert!(full.to_string().contains("Free space"), "{full}");
    for _ in 0..50 {
        let before = ledger.head().unwrap().sequence;
        assert_eq!(ledger.append(batch(300, Room::Stop)).unwrap().head.sequence, before + 1);
        assert!(matches!(ledger.append(batch(20_000, Room::Ordinary)), Err(LedgerError::DiskFull { .. })));
    }
    assert!(!ledger.reserve_is_whole());
    let entries = seen(&ledger).0;
    drop(ledger);
    let again = disk.ledger().unwrap();
    assert_eq!(again.verify().unwrap().entries, entries);
    disk.set_free(RESERVE_PAGES * 2);
    again.append(batch(10, Room::Ordinary)).unwrap();
    assert!(again.reserve_is_whole());
}

#[test]
fn what_only_opens_a_stop_leaves_half_of_the_reserve() {
    let disk = SmallDisk::with(RESERVE_PAGES + 600);
    let ledger = disk.ledger().unwrap();
    fill(&ledger);
    let mut opened = 0;
    while ledger.append(batch(50_000, Room::Opening)).is_ok() {
        opened += 1;
    }
    assert!(opened > 10, "{opened}");
    assert!(disk.left() >= crate::RESERVE_RATIFIED_BYTES, "{}", disk.left());
    for _ in 0..opened / 2 {
        ledger.append(batch(50_000, Room::Stop)).unwrap();
        assert!(matches!(ledger.append(batch(50_000, Room::Opening)), Err(LedgerError::DiskFull { .. })));
    }
}

#[test]
fn what_is_answered_is_on_the_disk() {
    let disk = SmallDisk::with(100_000);
    let ledger = disk.ledger().unwrap();
    for room in [Room::Ordinary, Room::Stop, Room::Ordinary] {
        let head = ledger.append(batch(5000, room)).unwrap().head;
        let found = disk.copy().ledger().unwrap();
        assert_eq!(found.head().unwrap(), head);
        assert_eq!(seen(&found), seen(&ledger));
    }
}

#[test]
fn even_the_reserve_ends_in_a_clear_error_and_a_usable_ledger() {
    let disk = SmallDisk::with(RESERVE_PAGES + 300);
    let ledger = disk.ledger().unwrap();
    fill(&ledger);
    let mut stops = 0;
    while ledger.append(batch(100_000, Room::Stop)).is_ok() {
        stops += 1;
    }
    assert!(stops > 10, "{stops}");
    let before = seen(&ledger);
    assert!(matches!(ledger.append(batch(100_000, Room::Stop)), Err(LedgerError::DiskFull { .. })));
    assert_eq!(seen(&ledger), before);
    assert!(ledger.verify().is_ok());
    disk.set_free(RESERVE_PAGES * 2);
    ledger.append(batch(10, Room::Ordinary)).unwrap();
    assert!(ledger.verify().is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    /// The n-th write or sync fails: afterwards the ledger works, and the batch is there exactly when `append` said so.
    #[test]
    fn after_an_io_error_the_answer_was_true(writes in 0usize..40, warm in 0usize..5) {
        let disk = SmallDisk::with(100_000);
        let ledger = disk.ledger().unwrap();
        for _ in 0..warm {
            ledger.append(batch(5000, Room::Ordinary)).unwrap();
        }
        disk.0.lock().unwrap().fails_after = Some(writes);
        let answer = ledger.append(batch(5000, Room::Ordinary));
        disk.0.lock().unwrap().fails_after = None;
        let there = warm as u64 + u64::from(answer.is_ok());
        prop_assert_eq!(seen(&ledger).0, there);
        prop_assert_eq!(ledger.append(batch(10, Room::Ordinary)).unwrap().head.sequence, there + 1);
        prop_assert_eq!(ledger.verify().unwrap().entries, there + 1);
    }
}
