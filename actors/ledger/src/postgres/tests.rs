//! What a real server and a lying line make of the ledger. Each test skips, and says so, where there is no PostgreSQL.

use std::{
    io::{Read, Write},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    thread,
};

use super::{
    pen::{Failed, Verdict, judge},
    *,
};
use crate::{
    NewEntry,
    codec::Tip,
    testing::{Postgres, ROLE},
};

const DATABASE: &str = "governance";

fn batch(kind: &str) -> Batch {
    let text = String::new;
    let body = b"{}".to_vec();
    Batch::of(NewEntry { at_ms: 1, kind: kind.into(), subject: "t".into(), correlation: text(), body })
}

fn kinds(ledger: &PostgresLedger) -> Vec<String> {
    ledger.verify().unwrap();
    ledger.entries(1, 100).unwrap().into_iter().map(|e| e.kind).collect()
}

fn served(settings: &[&str]) -> Option<Postgres> {
    Postgres::with_ledger(settings, DATABASE).unwrap()
}

fn active(options: PostgresOptions) -> PostgresLedger {
    let ledger = PostgresLedger::connect(options).unwrap();
    ledger.try_take().unwrap().unwrap();
    ledger
}

/// As another node does when it takes over: this one is not asked.
fn take_the_term(server: &Postgres) {
    let sql = "update openkcm.ledger set term = term + 1; insert into openkcm.terms select term, 'gov-2', batches from openkcm.ledger";
    server.sql(DATABASE, sql).unwrap();
}

#[test]
fn a_deposed_node_appends_nothing() {
    let Some(server) = served(&[]) else { return };
    let ledger = active(server.options(DATABASE, "gov-1"));
    ledger.append(batch("a")).unwrap();
    ledger.confirm().unwrap();
    take_the_term(&server);
    let refused = ledger.append(batch("b")).unwrap_err();
    assert!(matches!(refused, LedgerError::Deposed { .. }), "{refused}");
    assert!(refused.to_string().contains("another node became active, with term 2"), "{refused}");
    assert_eq!(kinds(&ledger), ["a"]);
    // For good: it does not even ask again.
    server.sql(DATABASE, "update openkcm.ledger set term = 1").unwrap();
    assert!(matches!(ledger.append(batch("b")), Err(LedgerError::Deposed { .. })));
}

#[test]
fn a_deposed_node_is_told_so_before_it_grants() {
    let Some(server) = served(&[]) else { return };
    let ledger = active(server.options(DATABASE, "gov-1"));
    take_the_term(&server);
    assert!(matches!(ledger.confirm(), Err(LedgerError::Deposed { .. })));
    assert!(matches!(ledger.append(batch("b")), Err(LedgerError::Deposed { .. })));
}

#[test]
fn one_is_active_and_the_other_reads() {
    let Some(server) = served(&[]) else { return };
    let first = active(server.options(DATABASE, "gov-1"));
    let second = PostgresLedger::connect(server.options(DATABASE, "gov-2")).unwrap();
    assert_eq!(second.try_take().unwrap(), None);
    assert!(matches!(second.append(batch("x")), Err(LedgerError::StandingBy { .. })));
    first.append(batch("a")).unwrap();
    assert_eq!(kinds(&second), ["a"]);
    first.close();
    assert!(matches!(first.append(batch("x")), Err(LedgerError::Closed { .. })));
    assert_eq!(second.try_take().unwrap(), Some(2), "a node that ends lets go at once");
    second.append(batch("b")).unwrap();
    assert_eq!(
        server.sql(DATABASE, "select node || batches from openkcm.terms order by term").unwrap(),
        "gov-10\ngov-21"
    );
}

#[test]
fn a_node_that_lost_its_lock_alone_stays_active() {
    let Some(server) = served(&[]) else { return };
    let ledger = active(server.options(DATABASE, "gov-1"));
    let held = "select count(*) from pg_locks where locktype = 'advisory' and granted";
    server.sql(DATABASE, "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'").unwrap();
    let until = std::time::Instant::now() + Duration::from_secs(20);
    while server.sql(DATABASE, held).unwrap() != "1" {
        assert!(std::time::Instant::now() < until, "it never took its lock again");
        thread::sleep(Duration::from_millis(50));
    }
    assert_eq!(ledger.append(batch("a")).unwrap().head.sequence, 1);
    assert_eq!(server.sql(DATABASE, "select term from openkcm.ledger").unwrap(), "1");
}

#[test]
fn a_database_that_was_put_back_is_not_written_to() {
    let Some(server) = served(&[]) else { return };
    let ledger = active(server.options(DATABASE, "gov-1"));
    ledger.append(batch("a")).unwrap();
    let back = "delete from openkcm.entries; update openkcm.ledger set head_sequence = 0, head_hash = decode(repeat('00', 32), 'hex'), batches = 0";
    server.sql(DATABASE, &format!("alter table openkcm.entries no force row level security; {back}")).unwrap();
    let refused = ledger.append(batch("b")).unwrap_err();
    assert!(matches!(&refused, LedgerError::Deposed { why, .. } if why.contains("put back")), "{refused}");
    assert_eq!(server.sql(DATABASE, "select count(*) from openkcm.entries").unwrap(), "0");
}

/// What stands between the node and the server, and what it does to the next commit.
struct Line {
    port: u16,
    deed: Arc<AtomicU8>,
}

const RELAY: u8 = 0;
const CUT_BEFORE_COMMIT: u8 = 1;
const CUT_AFTER_COMMIT: u8 = 2;

impl Line {
    fn to(server: &Postgres) -> Self {
        let socket = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let (port, target, deed) = (socket.local_addr().unwrap().port(), server.port, Arc::new(AtomicU8::new(RELAY)));
        let theirs = Arc::clone(&deed);
        thread::spawn(move || {
            for client in socket.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", target)) else { return };
                relay(client, server, Arc::clone(&theirs));
            }
        });
        Self { port, deed }
    }
}

fn relay(mut client: TcpStream, mut server: TcpStream, deed: Arc<AtomicU8>) {
    let (mut back, mut to_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let muted = Arc::new(AtomicU8::new(RELAY));
    let mute = Arc::clone(&muted);
    thread::spawn(move || {
        let mut bytes = [0; 16_384];
        while let Ok(count @ 1..) = back.read(&mut bytes) {
            if mute.load(Ordering::SeqCst) == CUT_AFTER_COMMIT {
                // The server has answered: it is committed. Nobody hears of it.
                break;
            }
            if to_client.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ended = (to_client.shutdown(Shutdown::Both), back.shutdown(Shutdown::Both));
    });
    thread::spawn(move || {
        let mut bytes = [0; 16_384];
        while let Ok(count @ 1..) = client.read(&mut bytes) {
            if bytes[..count].windows(6).any(|word| word == b"COMMIT") {
                match deed.swap(RELAY, Ordering::SeqCst) {
                    CUT_BEFORE_COMMIT => break,
                    deed => muted.store(deed, Ordering::SeqCst),
                }
            }
            if server.write_all(&bytes[..count]).is_err() {
                break;
            }
        }
        let _ended = (client.shutdown(Shutdown::Both), server.shutdown(Shutdown::Both));
    });
}

fn through(line: &Line) -> PostgresOptions {
    PostgresOptions::new(&[("127.0.0.1".into(), line.port)], DATABASE, ROLE.0, "gov-1").password(ROLE.1.as_bytes())
}

#[test]
fn a_commit_whose_answer_was_lost_is_found_and_not_repeated() {
    let Some(server) = served(&[]) else { return };
    let line = Line::to(&server);
    let ledger = active(through(&line));
    ledger.append(batch("a")).unwrap();
    line.deed.store(CUT_AFTER_COMMIT, Ordering::SeqCst);
    let receipt = ledger.append(batch("b")).unwrap();
    assert_eq!(line.deed.load(Ordering::SeqCst), RELAY, "the line did what it was told");
    assert_eq!(receipt.entries, ledger.entries(2, 1).unwrap());
    line.deed.store(CUT_BEFORE_COMMIT, Ordering::SeqCst);
    ledger.append(batch("c")).unwrap();
    assert_eq!(line.deed.load(Ordering::SeqCst), RELAY, "the line did what it was told");
    ledger.append(batch("d")).unwrap();
    assert_eq!(kinds(&ledger), ["a", "b", "c", "d"]);
    assert_eq!(server.sql(DATABASE, "select doubts from openkcm.ledger").unwrap(), "2");
}

/// The tip alone can't tell: the other node has written since. What was there when it took over does.
#[test]
fn what_was_in_doubt_when_another_took_over_is_told_truly() {
    let Some(server) = served(&[]) else { return };
    for (deed, there) in [(CUT_AFTER_COMMIT, true), (CUT_BEFORE_COMMIT, false)] {
        let line = Line::to(&server);
        let ledger = active(through(&line));
        let term = ledger.inner.active().unwrap();
        let before = ledger.inner.options.place();
        line.deed.store(deed, Ordering::SeqCst);
        let told = ledger.call(move |inner| async move {
            let mut pen = inner.pen.lock().await;
            let failed = inner.attempt(&mut pen, term, &batch("doubtful")).await;
            let Err(Failed::InDoubt(doubt)) = failed else { return Ok(None) };
            pen.session = None;
            Ok(Some((doubt.before, doubt.after)))
        });
        let (known, after) = told.unwrap().unwrap_or_else(|| panic!("no doubt on {before}"));
        take_the_term(&server);
        let other = "update openkcm.ledger set batches = batches + 1";
        server.sql(DATABASE, other).unwrap();
        let verdict = ledger.call(move |inner| async move {
            let mut pen = inner.pen.lock().await;
            inner.look(&mut pen, term, known, after).await.map_err(|trouble| inner.told_of(trouble))
        });
        assert_eq!(verdict.unwrap(), if there { Verdict::Written } else { Verdict::Absent });
        assert!(matches!(ledger.append(batch("later")), Err(LedgerError::Deposed { .. })));
    }
}

#[test]
fn a_verdict_needs_the_whole_tip() {
    let tip = |sequence, byte, batches| Tip { head: Head { sequence, hash: [byte; 32] }, owed_id: 0, batches };
    let (before, after) = (tip(1, 1, 1), tip(2, 2, 2));
    assert_eq!(judge(Some(before), after, after), Verdict::Written);
    assert_eq!(judge(Some(before), after, before), Verdict::Absent);
    for strange in [tip(2, 9, 2), tip(1, 9, 1), tip(0, 0, 0), tip(3, 3, 3)] {
        assert_eq!(judge(Some(before), after, strange), Verdict::Strange);
    }
}

#[test]
fn a_session_waits_for_the_disk_whatever_its_role_says() {
    let Some(server) = served(&["synchronous_commit = local"]) else { return };
    server.sql(DATABASE, "alter role kcm set synchronous_commit = off").unwrap();
    let ledger = PostgresLedger::connect(server.options(DATABASE, "gov-1")).unwrap();
    let setting = ledger.read(|session| async move {
        Ok(session.client.query_one("show synchronous_commit", &[]).await?.get::<_, String>(0))
    });
    assert_eq!(setting.unwrap(), "on");
}

#[test]
fn what_a_ledger_cannot_rest_on_is_refused() {
    let Some(server) = served(&[]) else { return };
    let refused = |options: PostgresOptions| match PostgresLedger::connect(options) {
        Err(LedgerError::Unfit { why, .. }) => why,
        other => format!("not refused: {other:?}"),
    };
    let host = [("127.0.0.1".to_owned(), server.port)];
    let owner = |database| PostgresOptions::new(&host, database, "owner", "gov-1");
    assert!(refused(owner(DATABASE)).contains("is a superuser"));
    assert!(refused(server.options("postgres", "gov-1")).contains("has no ledger"));
    let elsewhere = PostgresOptions::new(&[("192.0.2.1".into(), 5432)], DATABASE, "kcm", "gov-1");
    assert!(refused(elsewhere).contains("would not be encrypted"));
    let change = |sql: &str, back: &str| {
        server.sql(DATABASE, sql).unwrap();
        let why = refused(server.options(DATABASE, "gov-1"));
        server.sql(DATABASE, back).unwrap();
        why
    };
    for right in ["update", "delete", "truncate"] {
        let why = change(
            &format!("grant {right} on openkcm.entries to kcm"),
            &format!("revoke {right} on openkcm.entries from kcm"),
        );
        assert!(why.contains("may change or remove entries"), "{right}: {why}");
    }
    let why = change("alter table openkcm.meta owner to kcm", "alter table openkcm.meta owner to owner");
    assert!(why.contains("owns the tables"), "{why}");
    let why = change("alter role kcm bypassrls", "alter role kcm nobypassrls");
    assert!(why.contains("passes by row security"), "{why}");
    let off = "alter table openkcm.entries disable row level security";
    let why = change(off, "alter table openkcm.entries enable row level security");
    assert!(why.contains("row security is off"), "{why}");
    let why =
        change("update openkcm.ledger set format = 'v9'", "update openkcm.ledger set format = 'openkcm/ledger/v1'");
    assert!(why.contains("has the format `v9`"), "{why}");
    PostgresLedger::connect(server.options(DATABASE, "gov-1")).unwrap();
    for setting in ["fsync", "full_page_writes"] {
        let server = Postgres::start(&[&format!("{setting} = off")]).unwrap();
        server.ledger(DATABASE).unwrap();
        let why = refused(server.options(DATABASE, "gov-1"));
        assert!(why.contains(&format!("`{setting}` is off")), "{why}");
    }
}
