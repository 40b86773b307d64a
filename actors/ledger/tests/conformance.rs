//! What every ledger backend promises; a new backend adds one line to `suite!`.
#![cfg(test)]

use std::collections::BTreeMap;

use ledger::{
    BATCH_ROWS_MAX, Batch, Head, LANE_CRITICAL, LANE_ORDINARY, Ledger, LedgerError, MemoryLedger, NewEntry, NewOwed,
    PostgresLedger, READ_ROWS_MAX, RESTORE_LEAP, RESTORED, RedbLedger, TERM, export, restore_backup, testing::Postgres,
    verify_backup, verify_export, write_backup,
};
use proptest::prelude::*;
use tempfile::TempDir;

fn entry(kind: &str) -> NewEntry {
    let body = format!("{{\"kind\":\"{kind}\"}}").into_bytes();
    NewEntry { at_ms: 7, kind: kind.into(), subject: "tenant".into(), correlation: "c-1".into(), body }
}

fn owe(region: &str, lane: u8) -> NewOwed {
    let (subject, correlation) = ("tenant".into(), "c-1".into());
    NewOwed { subject, region: region.into(), lane, correlation, created_ms: 8, digest: [3; 32], body: vec![1, 2] }
}

fn entries(ledger: &impl Ledger) -> Vec<String> {
    ledger.entries(1, usize::MAX).unwrap().into_iter().map(|e| e.kind).collect()
}

fn open_ids(ledger: &impl Ledger, region: &str, lane: u8) -> Vec<u64> {
    ledger.owed(region, lane, 0, usize::MAX).unwrap().into_iter().map(|o| o.id).collect()
}

fn an_empty_ledger_is_whole(ledger: impl Ledger) {
    assert_eq!(ledger.head().unwrap(), Head::EMPTY);
    assert_eq!(ledger.entries(1, 10).unwrap(), vec![]);
    assert_eq!(ledger.owed("eu", 0, 0, 10).unwrap(), vec![]);
    assert_eq!(ledger.owed_count("eu", 0).unwrap(), 0);
    assert_eq!(ledger.meta("term").unwrap(), None);
    assert_eq!(ledger.verify().unwrap().entries, 0);
    let receipt = ledger.append(Batch::default()).unwrap();
    assert_eq!((receipt.head, receipt.entries.len()), (Head::EMPTY, 0));
}

fn entries_and_owed_are_one_transaction(ledger: impl Ledger) {
    let batch = Batch {
        entries: vec![entry("a"), entry("b")],
        owe: vec![
            owe("eu", LANE_CRITICAL),
            owe("ch", LANE_CRITICAL),
            owe("eu", LANE_ORDINARY),
            owe("eu", LANE_CRITICAL),
        ],
        meta: vec![("term".into(), b"1".to_vec())],
        ..Batch::default()
    };
    let receipt = ledger.append(batch).unwrap();
    assert_eq!(receipt.entries, ledger.entries(1, 10).unwrap());
    assert_eq!(receipt.head, ledger.head().unwrap());
    assert_eq!(receipt.head.sequence, 2);
    let places: Vec<_> = receipt.owed.iter().map(|o| (o.id, o.region.as_str(), o.lane, o.sequence)).collect();
    assert_eq!(places, [(1, "eu", 0, 1), (2, "ch", 0, 1), (3, "eu", 1, 1), (4, "eu", 0, 2)]);
    let critical = ledger.owed("eu", LANE_CRITICAL, 0, 10).unwrap();
    assert_eq!(critical, [receipt.owed[0].clone(), receipt.owed[3].clone()]);
    assert_eq!(critical[0].body, [1, 2]);
    assert_eq!(ledger.meta("term").unwrap().unwrap(), b"1");
}

/// Each batch has one thing wrong; nothing of its sound rest may stay.
fn a_refused_batch_leaves_nothing(ledger: impl Ledger) {
    ledger.append(Batch { entries: vec![entry("a")], owe: vec![owe("eu", 0)], ..Batch::default() }).unwrap();
    let sound = Batch { entries: vec![entry("x")], owe: vec![owe("eu", 0)], settle: vec![1], ..Batch::default() };
    let meta = vec![("term".to_owned(), vec![])];
    let no_json = NewEntry { body: b"{".to_vec(), ..entry("y") };
    let bad = [
        Batch { settle: vec![1, 3], meta: meta.clone(), ..sound.clone() },
        Batch { settle: vec![0], meta: meta.clone(), ..sound.clone() },
        Batch { owe: vec![owe("eu", 0), owe("eu", 2)], meta: meta.clone(), ..sound.clone() },
        Batch { entries: vec![entry("x"), no_json], meta, ..sound },
    ];
    for batch in bad {
        assert!(ledger.append(batch).is_err());
        assert_eq!(entries(&ledger), ["a"]);
        assert_eq!(open_ids(&ledger, "eu", 0), [1]);
        assert_eq!(ledger.owed_count("eu", 0).unwrap(), 1);
        assert_eq!(ledger.meta("term").unwrap(), None);
    }
    // Settling what the same batch owes is refused as well: nobody can have acknowledged it.
    let early = Batch { owe: vec![owe("eu", 0)], settle: vec![2], ..Batch::default() };
    assert!(matches!(ledger.append(early), Err(LedgerError::NeverOwed { id: 2, newest: 1 })));
}

fn settling_is_idempotent_and_never_frees_a_number(ledger: impl Ledger) {
    ledger.append(Batch { owe: vec![owe("eu", 1), owe("eu", 1), owe("eu", 1)], ..Batch::default() }).unwrap();
    let settle = |ids: &[u64]| ledger.append(Batch { settle: ids.to_vec(), ..Batch::default() }).unwrap().settled;
    assert_eq!(settle(&[2]), [2]);
    assert_eq!(open_ids(&ledger, "eu", 1), [1, 3]);
    assert_eq!(settle(&[2, 3, 3]), [3]);
    assert_eq!(settle(&[1]), [1]);
    assert_eq!(ledger.owed_count("eu", 1).unwrap(), 0);
    let again = ledger.append(Batch { owe: vec![owe("eu", 1)], ..Batch::default() }).unwrap().owed;
    assert_eq!((again[0].id, again[0].sequence), (4, 4));
    assert_eq!(ledger.owed_count("eu", 1).unwrap(), 1);
}

fn reads_are_bounded_and_start_where_asked(ledger: impl Ledger) {
    let many = |n: usize| Batch { entries: vec![entry("e"); n], owe: vec![owe("eu", 1); n], ..Batch::default() };
    assert!(matches!(ledger.append(many(BATCH_ROWS_MAX + 1)), Err(LedgerError::TooLarge { .. })));
    ledger.append(many(BATCH_ROWS_MAX)).unwrap();
    ledger.append(many(10)).unwrap();
    assert_eq!(ledger.entries(1, usize::MAX).unwrap().len(), READ_ROWS_MAX);
    assert_eq!(ledger.owed("eu", 1, 0, usize::MAX).unwrap().len(), READ_ROWS_MAX);
    let sequences = |from, limit| ledger.entries(from, limit).unwrap().iter().map(|e| e.sequence).collect::<Vec<_>>();
    assert_eq!(sequences(4100, 3), [4100, 4101, 4102]);
    assert_eq!(sequences(0, 1), [1]);
    assert_eq!(sequences(4107, 3), [] as [u64; 0]);
    assert_eq!(ledger.owed("eu", 1, 4105, 5).unwrap().len(), 1);
    assert_eq!(ledger.owed("eu", 1, u64::MAX, 5).unwrap().len(), 0);
    assert_eq!(ledger.owed_count("eu", 1).unwrap(), 4106);
    assert_eq!(ledger.verify().unwrap().entries, 4106);
}

/// `eu` must not show the rows of `eu-west`, nor lane 0 those of lane 1.
fn regions_and_lanes_do_not_mix(ledger: impl Ledger) {
    let owed = vec![owe("eu", 0), owe("eu-west", 0), owe("eu", 1), owe("e", 1)];
    ledger.append(Batch { owe: owed, ..Batch::default() }).unwrap();
    let found: BTreeMap<_, _> = [("eu", 0), ("eu-west", 0), ("eu", 1), ("e", 1), ("e", 0), ("eu-west", 1)]
        .map(|(region, lane)| ((region, lane), open_ids(&ledger, region, lane)))
        .into();
    let expected = [(("eu", 0), vec![1]), (("eu-west", 0), vec![2]), (("eu", 1), vec![3]), (("e", 1), vec![4])];
    for (key, ids) in expected {
        assert_eq!(found[&key], ids, "{key:?}");
    }
    assert!(found[&("e", 0)].is_empty() && found[&("eu-west", 1)].is_empty());
}

fn meta_rows_are_replaced(ledger: impl Ledger) {
    ledger.put_meta("incarnation", b"1").unwrap();
    ledger.put_meta("incarnation", b"2").unwrap();
    ledger.put_meta("node", b"").unwrap();
    assert_eq!(ledger.meta("incarnation").unwrap().unwrap(), b"2");
    assert_eq!(ledger.meta("node").unwrap().unwrap(), b"");
    assert!(matches!(ledger.put_meta("", b"x"), Err(LedgerError::BadText { .. })));
    assert_eq!(ledger.head().unwrap(), Head::EMPTY);
}

fn anchors_bind_the_chain(ledger: impl Ledger) {
    let early = ledger.append(Batch::of(entry("a"))).unwrap().head;
    let late = ledger.append(Batch { entries: vec![entry("b"), entry("c")], ..Batch::default() }).unwrap().head;
    assert_eq!(ledger.verify_against(&[early.into(), late.into()]).unwrap().last, late);
    assert!(ledger.verify_against(&[Head { hash: [1; 32], ..early }.into()]).is_err());
    let tree = ledger.verify_against(&[early.into()]).unwrap().tree.unwrap();
    assert_eq!(ledger.verify_against(&[tree.into()]).unwrap().tree, Some(tree));
    assert!(ledger.verify_against(&[ledger::TreeHead { root: [1; 32], ..tree }.into()]).is_err());
    assert!(ledger.verify_against(&[Head { sequence: 4, hash: [1; 32] }.into()]).is_err());
    let mut out = Vec::new();
    export(&ledger, 1, None, &mut out).unwrap();
    assert_eq!(verify_export(out.as_slice(), &[early.into()]).unwrap().last, late);
}

/// Something of everything, with gaps where rows were settled.
fn lived_in(ledger: &impl Ledger) {
    let owed = vec![owe("eu", 0), owe("eu", 1), owe("ch", 0), owe("eu", 0)];
    let number = |n: u64| n.to_be_bytes().to_vec();
    let meta = vec![(TERM.into(), number(5)), ("incarnation".into(), number(3)), (RESTORED.into(), b"before".to_vec())];
    ledger.append(Batch { entries: vec![entry("a"), entry("b")], owe: owed, meta, ..Batch::default() }).unwrap();
    ledger.append(Batch { entries: vec![entry("c")], settle: vec![1, 3], ..Batch::default() }).unwrap();
}

fn backup(ledger: &impl Ledger) -> Vec<u8> {
    let mut out = Vec::new();
    let summary = write_backup(ledger, &mut out).unwrap();
    assert_eq!(verify_backup(out.as_slice(), &[summary.last.into()]).unwrap(), summary);
    out
}

fn a_backup_holds_everything(ledger: impl Ledger) {
    lived_in(&ledger);
    let back = MemoryLedger::new();
    restore_backup(&back, backup(&ledger).as_slice(), &[ledger.head().unwrap().into()], &["incarnation"]).unwrap();
    let (before, after) = (ledger.margin().unwrap(), back.margin().unwrap());
    assert_eq!((before.head, before.owed_id, before.batches), (after.head, after.owed_id, after.batches));
    assert_eq!((before.owed, before.lanes), (after.owed, after.lanes));
    let counter = |key: &str| back.meta(key).unwrap().map(|bytes| u64::from_be_bytes(bytes.try_into().unwrap()));
    assert_eq!(counter("incarnation"), Some(3 + RESTORE_LEAP));
    assert_eq!(counter(TERM), Some(before.term.max(5) + RESTORE_LEAP));
    assert_eq!(back.meta(RESTORED).unwrap().unwrap(), b"7", "the time of its last entry, not the mark before");
    assert_eq!(ledger.entries(1, 10).unwrap(), back.entries(1, 10).unwrap());
}

fn a_backup_goes_into_an_empty_ledger_alone(ledger: impl Ledger) {
    let source = MemoryLedger::new();
    lived_in(&source);
    let whole = backup(&source);
    // Whatever is wrong with it: nothing of it is there.
    let other = Head { hash: [1; 32], ..source.head().unwrap() };
    assert!(restore_backup(&ledger, whole.as_slice(), &[other.into()], &[]).is_err());
    let text = String::from_utf8(whole.clone()).unwrap();
    for (from, to) in [
        ("\"b\"", "\"x\""),
        ("\"open\":\"1\"", "\"open\":\"2\""),
        ("backup/v1", "backup/v2"),
        ("\"sequence\":\"3\"", "\"sequence\":\"2\""),
    ] {
        assert!(text.contains(from), "{from}");
        assert!(verify_backup(text.replacen(from, to, 1).as_bytes(), &[]).is_err(), "{from}");
        assert!(restore_backup(&ledger, text.replacen(from, to, 1).as_bytes(), &[], &[]).is_err(), "{from}");
    }
    for cut in [0, 10, whole.len() / 2, whole.len() - 1] {
        assert!(restore_backup(&ledger, &whole[..cut], &[], &[]).is_err(), "cut at {cut}");
    }
    assert_eq!((ledger.head().unwrap(), ledger.meta(RESTORED).unwrap()), (Head::EMPTY, None));
    restore_backup(&ledger, whole.as_slice(), &[], &[]).unwrap();
    assert_eq!(ledger.verify().unwrap(), source.verify().unwrap());
    assert_eq!(open_ids(&ledger, "eu", 0), [4]);
    let full = restore_backup(&ledger, whole.as_slice(), &[], &[]).unwrap_err();
    assert!(matches!(full, LedgerError::NotEmpty { newest: 3 }), "{full}");
    // It goes on where it was: no number is given twice.
    let on = ledger.append(Batch { entries: vec![entry("d")], owe: vec![owe("eu", 0)], ..Batch::default() }).unwrap();
    assert_eq!((on.head.sequence, on.owed[0].id, on.owed[0].sequence), (4, 5, 3));
    ledger.verify().unwrap();
}

fn writers_take_turns(ledger: impl Ledger) {
    let (threads, each) = (4, 10);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                for _ in 0..each {
                    let batch = Batch { entries: vec![entry("e")], owe: vec![owe("eu", 0)], ..Batch::default() };
                    let receipt = ledger.append(batch).unwrap();
                    assert_eq!(receipt.entries[0].sequence, receipt.owed[0].sequence);
                    ledger.verify().unwrap();
                }
            });
        }
    });
    assert_eq!(ledger.verify().unwrap().entries, threads * each);
    assert_eq!(ledger.owed_count("eu", 0).unwrap(), threads * each);
}

/// Hands the names of all cases to a macro.
macro_rules! cases {
    ($to:ident, $($before:tt)*) => {
        $to! {
            $($before)* an_empty_ledger_is_whole, entries_and_owed_are_one_transaction, a_refused_batch_leaves_nothing,
            settling_is_idempotent_and_never_frees_a_number, reads_are_bounded_and_start_where_asked,
            regions_and_lanes_do_not_mix, meta_rows_are_replaced, anchors_bind_the_chain, writers_take_turns,
            a_backup_holds_everything, a_backup_goes_into_an_empty_ledger_alone
        }
    };
}

macro_rules! suite {
    ($($backend:ident: $make:expr;)*) => {$(
        mod $backend {
            use super::*;
            cases!(suite, @cases $make;);
        }
    )*};
    (@cases $make:expr; $($case:ident),*) => {$(
        #[test]
        fn $case() {
            let folder = tempfile::tempdir().unwrap();
            super::$case($make(&folder));
        }
    )*};
}

/// Each case in a database of its own, all of one server, since each test is a process.
#[test]
fn postgres_promises_the_same() {
    if !Postgres::is_here() {
        return;
    }
    let server = Postgres::start(&[]).unwrap();
    macro_rules! on_the_server {
        ($($case:ident),*) => {$(
            println!("{}", stringify!($case));
            let made = server.ledger(stringify!($case)).and_then(|()| active(&server, stringify!($case)));
            $case(made.unwrap());
        )*};
    }
    cases!(on_the_server,);
}

fn active(server: &Postgres, database: &str) -> Result<PostgresLedger, String> {
    let ledger = PostgresLedger::connect(server.options(database, "gov-1")).map_err(|e| e.to_string())?;
    ledger.try_take().map_err(|e| e.to_string())?.ok_or("another node is active")?;
    Ok(ledger)
}

suite! {
    memory: |_: &TempDir| MemoryLedger::new();
    redb: |folder: &TempDir| RedbLedger::open(folder.path().join("ledger.redb")).unwrap();
}

/// One append of a random history: entries, (region, lane) owed, how far back to settle, and whether to open the file anew after it.
type Act = (usize, Vec<(u8, u8)>, Vec<u64>, bool);

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let owe = prop::collection::vec((0u8..2, 0u8..2), 0..4);
    prop::collection::vec((0usize..3, owe, prop::collection::vec(0u64..6, 0..3), any::<bool>()), 1..8)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    /// The file, closed and opened at random moments, and the memory always show the same: the fold survives a reopen.
    #[test]
    fn the_file_and_the_memory_agree(acts in acts()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.redb");
        let (mut file, memory) = (RedbLedger::open(&path).unwrap(), MemoryLedger::new());
        for (count, owed, settle, reopen) in acts {
            let owe = owed.iter().map(|(region, lane)| owe(&format!("r{region}"), *lane)).collect();
            let batch = Batch { entries: vec![entry("e"); count], owe, settle, ..Batch::default() };
            let (left, right) = (file.append(batch.clone()), memory.append(batch));
            prop_assert_eq!(format!("{left:?}"), format!("{right:?}"));
            if reopen {
                drop(file);
                file = RedbLedger::open(&path).unwrap();
            }
            prop_assert_eq!(file.entries(1, 100).unwrap(), memory.entries(1, 100).unwrap());
            for (region, lane) in [("r0", 0), ("r0", 1), ("r1", 0), ("r1", 1)] {
                prop_assert_eq!(file.owed(region, lane, 0, 100).unwrap(), memory.owed(region, lane, 0, 100).unwrap());
                prop_assert_eq!(file.owed_count(region, lane).unwrap(), memory.owed_count(region, lane).unwrap());
            }
            prop_assert_eq!(file.verify(), memory.verify());
        }
    }
}
