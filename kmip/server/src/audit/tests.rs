//! The log against edits, crashes and full disks.

use std::{
    io,
    os::unix::fs::PermissionsExt,
    sync::{Arc, atomic::AtomicBool},
};

use orbital::names::Digest;
use parking_lot::Mutex;

use super::{
    files::Disk,
    line::Carry,
    writer::{Chain, spawn},
    *,
};
use crate::caller::tests::caller;

fn record<'a>(caller: &'a crate::caller::Caller, key: &'a str) -> Record<'a> {
    Record {
        time_ms: 1_700_000_000_000,
        caller,
        operation: "Encrypt",
        key,
        outcome: "Success",
        epoch: 7,
        correlation: None,
    }
}

/// So that a batch ends where a test ends it, however long that takes.
const PATIENT: Duration = Duration::from_secs(3_600);

async fn write(path: &Path, batches: &[usize]) {
    let caller = caller();
    let log = Log::open_with(path, FILE_BYTES_MAX, PATIENT).unwrap();
    for &records in batches {
        for number in 0..records {
            log.record(&record(&caller, &format!("key-{number}"))).await.unwrap();
        }
        log.flush().await.unwrap();
    }
}

#[tokio::test]
async fn what_is_written_verifies_and_goes_on_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    write(&path, &[3, 1]).await;
    let first = verify(&path).unwrap();
    assert_eq!((first.records, first.seals, first.unsealed), (4, 2, 0));
    write(&path, &[2]).await;
    let second = verify(&path).unwrap();
    assert_eq!((second.records, second.seals, second.unsealed), (6, 3, 0));
    assert_ne!(first.head, second.head);
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600, "it says who used which key");
    let text = std::fs::read_to_string(&path).unwrap();
    let line = text.lines().next().unwrap();
    assert!(line.starts_with(r#"{"t":1700000000000,"tenant":""#), "{line}");
    assert!(line.ends_with(r#""op":"Encrypt","key":"key-0","outcome":"Success","epoch":7}"#), "{line}");
}

#[tokio::test]
async fn any_edit_deletion_or_reordering_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    write(&path, &[3, 2, 2]).await;
    let lines: Vec<String> = std::fs::read_to_string(&path).unwrap().lines().map(str::to_owned).collect();
    let check = |lines: &[String]| {
        std::fs::write(&path, lines.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
        verify(&path)
    };
    assert!(check(&lines).is_ok());
    for at in 0..lines.len() {
        let mut without = lines.clone();
        without.remove(at);
        let last = at == lines.len() - 1;
        match check(&without) {
            // Without its last seal a log is one that a crash left.
            Ok(summary) => assert!(last && summary.unsealed == 2),
            Err(broken) => assert!(broken.line > at as u64, "{broken}"),
        }
        let mut edited = lines.clone();
        edited[at] = edited[at].replace("Success", "PermissionDenied").replace("\"seal\":", "\"seal\": ");
        assert!(check(&edited).is_err(), "line {at}");
        if at + 1 < lines.len() {
            let mut swapped = lines.clone();
            swapped.swap(at, at + 1);
            assert!(check(&swapped).is_err(), "lines {at} and {}", at + 1);
        }
    }
    let mut twice = lines.clone();
    twice.extend_from_slice(&lines[..4]);
    assert!(check(&twice).is_err(), "a batch of the same log again");
}

#[tokio::test]
async fn a_crash_leaves_a_tail_that_the_next_start_seals() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    write(&path, &[2, 3]).await;
    let whole = std::fs::read(&path).unwrap();
    let text = String::from_utf8(whole.clone()).unwrap();
    let last_seal = text.rfind("{\"seal\"").unwrap();
    std::fs::write(&path, &whole[..last_seal - 10]).unwrap();
    let crashed = verify(&path).unwrap();
    assert_eq!((crashed.records, crashed.unsealed), (2, 2));
    write(&path, &[1]).await;
    let after = verify(&path).unwrap();
    assert_eq!((after.records, after.unsealed), (5, 0));
}

#[test]
fn a_broken_log_is_not_opened() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    std::fs::write(&path, "no log\n").unwrap();
    assert!(matches!(Log::open(&path), Err(OpenError::Broken { .. })));
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "no log\n", "evidence is left as it is");
    assert_eq!(verify(&folder.path().join("none")).unwrap_err().line, 0);
}

#[tokio::test]
async fn a_key_text_of_a_client_cannot_break_out_of_its_line() {
    let folder = tempfile::tempdir().unwrap();
    let (path, log) = scratch(folder.path());
    let caller = caller();
    let long = "x".repeat(9_000);
    for key in ["\"},{\"", "\n{\"seal\":1}", long.as_str(), "ключ"] {
        log.record(&record(&caller, key)).await.unwrap();
    }
    drop(log);
    assert_eq!(verify(&path).unwrap().records, 4);
}

/// Writes batches of one record into files of which each takes one batch.
async fn write_small(path: &Path, batches: usize) {
    let caller = caller();
    let log = Log::open_with(path, 1, PATIENT).unwrap();
    for number in 0..batches {
        log.record(&record(&caller, &format!("key-{number}"))).await.unwrap();
        log.flush().await.unwrap();
    }
}

fn files(path: &Path, seals: &[u64]) -> Vec<PathBuf> {
    seals.iter().map(|seal| files::closed(path, *seal)).chain([path.to_owned()]).collect()
}

#[tokio::test]
async fn a_full_file_is_closed_and_the_chain_goes_on_in_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    write_small(&path, 3).await;
    let all = files(&path, &[1, 2, 3]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), all.len());
    let whole = verify_files(&all).unwrap();
    assert_eq!((whole.records, whole.seals, whole.after, whole.unsealed), (3, 3, 0, 0));
    // The newest is enough to go on: the others may be elsewhere.
    let elsewhere = folder.path().join("elsewhere");
    std::fs::create_dir(&elsewhere).unwrap();
    for file in &all[..3] {
        std::fs::rename(file, elsewhere.join(file.file_name().unwrap())).unwrap();
    }
    write(&path, &[2]).await;
    let newest = verify_files(&[&path]).unwrap();
    assert_eq!((newest.records, newest.seals, newest.after), (2, 4, 3));
    let moved = |n: usize| elsewhere.join(all[n].file_name().unwrap());
    assert_eq!(verify_files(&[moved(0), moved(1), moved(2), path.clone()]).unwrap().records, 5);
    let (broken, why) = verify_files(&[moved(0), moved(2)]).unwrap_err();
    assert!(broken == moved(2) && why.why.contains("missing") && why.why.contains("after seal 2"), "{why}");
    assert!(verify_files(&[moved(1), moved(0)]).unwrap_err().1.why.contains("order"));
}

#[tokio::test]
async fn an_edit_of_where_a_file_goes_on_is_found() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    write_small(&path, 2).await;
    let second = files::closed(&path, 2);
    let text = std::fs::read_to_string(&second).unwrap();
    let head = verify(&files::closed(&path, 1)).unwrap().head.to_string();
    assert!(text.starts_with(&format!(r#"{{"after":1,"chain":"{head}"}}"#)), "{text}");
    for edited in
        [text.replacen("\"after\":1", "\"after\":7", 1), text.replacen(&head, &Digest([9; 32]).to_string(), 1)]
    {
        std::fs::write(&second, edited).unwrap();
        assert!(verify(&second).is_err(), "its first seal covers it");
    }
    std::fs::write(&second, &text).unwrap();
    // The newest holds no seal yet: only the file before it tells.
    std::fs::write(&path, format!("{{\"after\":2,\"chain\":\"{}\"}}\n", Digest([9; 32]))).unwrap();
    assert!(verify(&path).is_ok());
    assert!(verify_files(&files(&path, &[1, 2])).unwrap_err().1.why.contains("changed"));
}

#[tokio::test]
async fn a_crash_between_closing_and_beginning_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    write_small(&path, 1).await;
    // The old file has its new name, the next one not yet.
    let next = path.with_extension("next.jsonl");
    std::fs::rename(&path, &next).unwrap();
    write_small(&path, 1).await;
    assert_eq!(verify_files(&files(&path, &[1, 2])).unwrap().records, 2);
    assert!(!next.exists());
    // The next one is made, perhaps by half, and the old file has its old name.
    write(&path, &[1]).await;
    std::fs::write(&next, "{\"aft").unwrap();
    write_small(&path, 1).await;
    assert_eq!(verify_files(&files(&path, &[1, 2, 4])).unwrap().records, 4);
    assert!(!next.exists());
}

#[tokio::test]
async fn a_closed_file_is_never_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.jsonl");
    write_small(&path, 1).await;
    let kept = std::fs::read(files::closed(&path, 1)).unwrap();
    std::fs::remove_file(&path).unwrap();
    write_small(&path, 2).await;
    assert_eq!(std::fs::read(files::closed(&path, 1)).unwrap(), kept);
    assert_eq!(
        verify(&files::closed(&path, 2)).unwrap().records,
        2,
        "the full file grew, and was closed at the next seal"
    );
}

/// A disk that refuses, writing half of what it is given, until it is let go.
#[derive(Clone, Default)]
struct Stubborn {
    bytes: Arc<Mutex<Vec<u8>>>,
    open: Arc<AtomicBool>,
    /// How often it refuses to sync, and drops what it was given since it last did.
    drops: usize,
    synced: usize,
}

impl Disk for Stubborn {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.open.load(Ordering::SeqCst) {
            self.bytes.lock().extend_from_slice(bytes);
            return Ok(());
        }
        self.bytes.lock().extend_from_slice(&bytes[..bytes.len() / 2]);
        Err(io::Error::from(io::ErrorKind::StorageFull))
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut bytes = self.bytes.lock();
        if let Some(left) = self.drops.checked_sub(1) {
            self.drops = left;
            bytes.truncate(self.synced);
            return Err(io::Error::other("lost"));
        }
        self.synced = bytes.len();
        Ok(())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        self.bytes.lock().truncate(usize::try_from(length).unwrap());
        Ok(())
    }

    fn next(&mut self, _carry: &Carry) -> io::Result<u64> {
        Err(io::Error::from(io::ErrorKind::StorageFull))
    }
}

/// An empty log: every seal wants another file, and never gets one.
fn chain(disk: Stubborn) -> Chain<Stubborn> {
    let (length, unsynced) = (0, vec![]);
    Chain { disk, file_bytes_max: 0, length, unsynced, seals: 0, head: Digest([0; 32]), stuck: false }
}

fn stubborn() -> (Stubborn, Log) {
    let (disk, shared) = (Stubborn::default(), Arc::new(Shared::default()));
    let disk_of = disk.clone();
    let thread = spawn(shared.clone(), chain(disk_of), vec![], 0).unwrap();
    (disk, Log { shared, thread: Some(thread) })
}

#[tokio::test]
async fn a_full_disk_refuses_operations_and_loses_no_record() {
    let (disk, log) = stubborn();
    let caller = caller();
    log.record(&record(&caller, "a")).await.unwrap();
    assert_eq!(log.flush().await, Err(Unwritable));
    assert!(log.is_failing());
    assert_eq!(log.record(&record(&caller, "b")).await, Err(Unwritable));
    disk.open.store(true, Ordering::SeqCst);
    while log.flush().await.is_err() {
        tokio::task::yield_now().await;
    }
    log.record(&record(&caller, "c")).await.unwrap();
    drop(log);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("copy.jsonl");
    std::fs::write(&path, &*disk.bytes.lock()).unwrap();
    assert_eq!(verify(&path).unwrap().records, 2);
}

#[tokio::test]
async fn no_more_records_wait_than_a_crash_may_lose() {
    let shared = Arc::new(Shared::default());
    let caller = caller();
    let taken = (0..RECORDS_MAX + 10).filter(|_| shared.push(&record(&caller, "a"))).count();
    assert_eq!(taken, RECORDS_MAX);
}

#[test]
fn what_a_disk_drops_instead_of_syncing_is_written_again() {
    let (shared, disk) = (Shared::default(), Stubborn { drops: 2, ..Stubborn::default() });
    disk.open.store(true, Ordering::SeqCst);
    let mut chain = chain(disk.clone());
    assert!(chain.keep_writing(&shared, b"one,", false));
    assert!(chain.keep_writing(&shared, b"two,", true), "its sync lost both");
    assert!(chain.keep_writing(&shared, b"three,", false));
    assert_eq!(
        (&disk.bytes.lock()[..], chain.length, &chain.unsynced[..]),
        (&b"one,two,three,"[..], 8, &b"three,"[..])
    );
}

#[test]
fn what_is_written_but_not_synced_counts_as_lost() {
    let shared = Shared::default();
    let caller = caller();
    for _ in 0..10 {
        assert!(shared.push(&record(&caller, "a")));
    }
    let work = shared.next(vec![]).unwrap();
    assert_eq!((work.records, work.sync, shared.hurry()), (10, false, false));
    let taken = (0..RECORDS_MAX).filter(|_| shared.push(&record(&caller, "a"))).count();
    assert_eq!(taken, RECORDS_MAX - 10);
    shared.synced();
    let work = shared.next(work.batch).unwrap();
    assert_eq!((work.records, work.sync), (taken, true), "more than may wait, and somebody hurries");
    shared.synced();
    assert!(shared.hurry());
}

fn call(key: &orbital::names::KeyRef) -> Call<'_> {
    Call { provider: "aws-kms", operation: "DescribeKey", key, context: None, request: Some("r-1"), outcome: "Success" }
}

/// What a KMS was asked stands among the records and under their seals: it can be changed as little as they.
#[tokio::test]
async fn what_a_kms_was_asked_is_sealed_as_records_are() {
    let folder = tempfile::tempdir().unwrap();
    let (path, caller, key) =
        (folder.path().join("audit.jsonl"), caller(), orbital::names::KeyRef::new("arn:k").unwrap());
    let log = Log::open_with(&path, FILE_BYTES_MAX, PATIENT).unwrap();
    log.record(&record(&caller, "key-0")).await.unwrap();
    log.asked(1_700_000_000_001, &call(&key));
    log.flush().await.unwrap();
    assert_eq!(verify(&path).unwrap().records, 2);
    let text = std::fs::read_to_string(&path).unwrap();
    let asked: Asked = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    assert_eq!(asked, Asked::of(1_700_000_000_001, &call(&key)));
    std::fs::write(&path, text.replace("r-1", "r-2")).unwrap();
    assert!(verify(&path).unwrap_err().why.contains("changed"));
    std::fs::write(&path, text.replace("\"call\":", "\"more\":")).unwrap();
    assert!(verify(&path).unwrap_err().why.contains("no record"));
}

/// What was asked cannot wait for room, so it has some of its own, and not more.
#[test]
fn a_question_has_room_where_records_wait_and_never_without_end() {
    let (shared, caller) = (Shared::default(), caller());
    while shared.push(&record(&caller, "key")) {}
    let question = || shared.push_up_to(RECORDS_WITH_ASKED_MAX, |out| out.push(b'\n'));
    let taken = (0..2 * RECORDS_WITH_ASKED_MAX).filter(|_| question()).count();
    assert_eq!(taken, RECORDS_WITH_ASKED_MAX - RECORDS_MAX);
}
