//! What survives `kill -9`, a second process and a full disk, with real processes and a real file system.
//!
//! The processes are this test binary itself, started again with one of the ignored tests below.
#![cfg(test)]

use std::{
    env,
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use ledger::{Batch, Ledger, LedgerError, NewEntry, NewOwed, RESERVE_BYTES, RedbLedger, Room, verify_file};

const FOLDER: &str = "LEDGER_TEST_FOLDER";

fn batch(bytes: usize, room: Room) -> Batch {
    let body = format!("\"{}\"", "x".repeat(bytes)).into_bytes();
    let text = String::new;
    let entry = NewEntry { at_ms: 1, kind: "k".into(), subject: text(), correlation: text(), body };
    let (digest, region) = ([0; 32], "eu".to_owned());
    let owed = NewOwed { subject: text(), region, lane: 0, correlation: text(), created_ms: 1, digest, body: vec![] };
    Batch { entries: vec![entry], owe: vec![owed], room, ..Batch::default() }
}

fn child(test: &str, folder: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(FOLDER, folder)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

fn database() -> PathBuf {
    PathBuf::from(env::var_os(FOLDER).expect("only started by the tests of this file")).join("ledger.redb")
}

#[test]
#[ignore = "a process of kill_9_loses_nothing_acknowledged"]
fn appends_until_killed() {
    let ledger = RedbLedger::open(database()).unwrap();
    let mut out = std::io::stdout();
    loop {
        let head = ledger.append(batch(2000, Room::Ordinary)).unwrap().head;
        writeln!(out, "acknowledged {}", head.sequence).unwrap();
        out.flush().unwrap();
    }
}

#[test]
fn kill_9_loses_nothing_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    let mut acknowledged = 0;
    for round in [1, 25, 60] {
        let mut child = child("appends_until_killed", folder.path());
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut read =
            || lines.next()?.ok().map(|line| line.strip_prefix("acknowledged ").and_then(|n| n.parse().ok()));
        let mut seen = 0;
        while seen < round {
            if let Some(sequence) = read().expect("the child ended by itself") {
                (acknowledged, seen) = (sequence, seen + 1);
            }
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said before the kill reached it counts as well.
        while let Some(line) = read() {
            acknowledged = line.unwrap_or(acknowledged);
        }
        let offline = verify_file(&path, &[]).unwrap();
        let ledger = RedbLedger::open(&path).unwrap();
        let entries = ledger.verify().unwrap().entries;
        assert!(entries >= acknowledged, "{acknowledged} acknowledged, {entries} there");
        assert!(entries <= acknowledged + 1, "{acknowledged} acknowledged, {entries} there");
        assert_eq!(offline.entries, entries);
        assert_eq!(ledger.owed_count("eu", 0).unwrap(), entries);
    }
}

#[test]
fn a_second_process_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    let _held = RedbLedger::open(&path).unwrap();
    let refused = RedbLedger::open(&path).unwrap_err();
    assert!(matches!(refused, LedgerError::InUse { .. }), "{refused}");
    assert!(refused.to_string().contains("stop that one first"));
}

#[test]
#[ignore = "a process of a_full_tmpfs_refuses_the_ordinary_and_takes_stops"]
fn fills_its_folder() {
    let path = database();
    let ballast = path.with_file_name("ballast");
    std::fs::write(&ballast, vec![1; 1024 * 1024]).unwrap();
    let ledger = RedbLedger::open(&path).unwrap();
    let refused = loop {
        let before = ledger.head().unwrap();
        if let Err(error) = ledger.append(batch(50_000, Room::Ordinary)) {
            assert_eq!(ledger.head().unwrap(), before);
            assert_eq!(ledger.owed_count("eu", 0).unwrap(), before.sequence);
            break error;
        }
    };
    assert!(matches!(refused, LedgerError::DiskFull { .. }), "{refused}");
    for _ in 0..20 {
        ledger.append(batch(500, Room::Stop)).unwrap();
        assert!(matches!(ledger.append(batch(50_000, Room::Ordinary)), Err(LedgerError::DiskFull { .. })));
    }
    assert!(!ledger.reserve_is_whole());
    let stops = ledger.verify().unwrap();
    drop(ledger);
    let ledger = RedbLedger::open(&path).unwrap();
    assert_eq!(ledger.verify().unwrap(), stops);
    std::fs::remove_file(ballast).unwrap();
    ledger.append(batch(500, Room::Ordinary)).unwrap();
    assert!(ledger.reserve_is_whole());
    assert_eq!(std::fs::metadata(path.with_file_name("ledger.redb.reserve")).unwrap().len(), RESERVE_BYTES);
    println!("played to the end");
}

/// Needs the right to mount a tmpfs in a namespace of its own, as root or in a user namespace; `small_disk` tests the same without.
#[test]
fn a_full_tmpfs_refuses_the_ordinary_and_takes_stops() {
    let folder = tempfile::tempdir().unwrap();
    let mount = "mount -t tmpfs -o size=12m none \"$LEDGER_TEST_FOLDER\"";
    let inside = |script: &str| {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--map-root-user", "sh", "-c", script]);
        command.arg(env::current_exe().unwrap()).env(FOLDER, folder.path()).output()
    };
    if !inside(mount).is_ok_and(|tried| tried.status.success()) {
        println!("skipped: this user may not mount a tmpfs");
        return;
    }
    let play = format!("{mount} && exec \"$0\" fills_its_folder --exact --ignored --nocapture");
    let played = inside(&play).unwrap();
    let said = String::from_utf8_lossy(&played.stdout);
    assert!(played.status.success() && said.contains("played to the end"), "{said}");
}

#[test]
fn a_closed_ledger_lets_go_of_its_file_whoever_still_holds_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("ledger.redb");
    let held = RedbLedger::open(&path).unwrap();
    held.append(batch(1, Room::Ordinary)).unwrap();
    assert!(matches!(RedbLedger::open(&path), Err(LedgerError::InUse { .. })));
    held.close();
    let other = RedbLedger::open(&path).unwrap();
    assert_eq!((other.head().unwrap().sequence, other.owed_count("eu", 0).unwrap()), (1, 1));
    drop(other);
    assert!(matches!(held.append(batch(1, Room::Stop)), Err(LedgerError::Closed { .. })));
    assert!(matches!(held.head(), Err(LedgerError::Closed { .. })));
}
