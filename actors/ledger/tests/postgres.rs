//! Nodes that pause and servers that die, with real processes: who is active, what survives, who may see and change what.
//!
//! The node that pauses is this test binary itself, started again with the ignored test below. Each test skips, and says so, where there
//! is no PostgreSQL.
#![cfg(test)]

use std::{
    collections::BTreeMap,
    env, fs,
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, Command, Stdio},
    sync::mpsc,
    time::{Duration, Instant},
};

use ledger::{
    Batch, Ledger, LedgerError, NewEntry, NewOwed, PostgresLedger, PostgresOptions, reader_sql,
    testing::{self, Postgres, ROLE},
};
use rustix::process::{Pid, Signal, kill_process};

const DATABASE: &str = "governance";
const PORT: &str = "LEDGER_TEST_PORT";

fn batch(subject: &str, number: u64) -> Batch {
    let body = format!("{{\"n\":\"{number}\"}}").into_bytes();
    let (kind, correlation) = ("test.done".to_owned(), String::new());
    let entry = NewEntry { at_ms: 1, kind, subject: subject.into(), correlation: correlation.clone(), body };
    let (digest, region) = ([0; 32], "eu".to_owned());
    let owed = NewOwed { subject: subject.into(), region, lane: 0, correlation, created_ms: 1, digest, body: vec![] };
    Batch { entries: vec![entry], owe: vec![owed], ..Batch::default() }
}

fn active(options: PostgresOptions) -> PostgresLedger {
    let ledger = PostgresLedger::connect(options).unwrap();
    let until = Instant::now() + Duration::from_secs(60);
    while ledger.try_take().unwrap().is_none() {
        assert!(Instant::now() < until, "another node stays active");
        std::thread::sleep(Duration::from_millis(50));
    }
    ledger
}

#[test]
#[ignore = "a process of a_node_that_was_paused_is_deposed"]
fn appends_when_told() {
    let port = env::var(PORT).unwrap().parse().unwrap();
    let options = PostgresOptions::new(&[("127.0.0.1".into(), port)], DATABASE, ROLE.0, "gov-1");
    let ledger = active(options.password(ROLE.1.as_bytes()));
    let mut out = std::io::stdout();
    for line in std::io::stdin().lines() {
        let number = line.unwrap().parse().unwrap();
        let said = match ledger.append(batch("t", number)) {
            Ok(receipt) => format!("acknowledged {}", receipt.head.sequence),
            Err(LedgerError::Deposed { why, .. }) => format!("deposed {why}"),
            Err(other) => format!("other {other}"),
        };
        writeln!(out, "{said}").unwrap();
        out.flush().unwrap();
    }
}

struct Node {
    child: Child,
    tell: ChildStdin,
    told: mpsc::Receiver<String>,
}

impl Node {
    fn start(server: &Postgres) -> Self {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["appends_when_told", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
            .env(PORT, server.port.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (tell, out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (hand, told) = mpsc::channel();
        std::thread::spawn(move || {
            let words = ["acknowledged", "deposed", "other"];
            let said = BufReader::new(out).lines().map_while(Result::ok);
            // The first stands behind what the test harness says.
            let mut words =
                said.filter_map(|line| words.iter().find_map(|word| line.get(line.find(word)?..).map(str::to_owned)));
            words.try_for_each(|line| hand.send(line))
        });
        Self { child, tell, told }
    }

    fn append(&mut self, number: u64) -> String {
        writeln!(self.tell, "{number}").unwrap();
        self.told.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ended = (self.child.kill(), self.child.wait());
    }
}

#[test]
fn a_node_that_was_paused_is_deposed() {
    let Some(server) = Postgres::with_ledger(&[], DATABASE).unwrap() else { return };
    let mut first = Node::start(&server);
    assert_eq!(first.append(1), "acknowledged 1");
    let second = PostgresLedger::connect(server.options(DATABASE, "gov-2")).unwrap();
    assert_eq!(second.try_take().unwrap(), None);
    first.signal(Signal::STOP);
    // What the server does by itself after a silence of `LOCK_MS_MAX`; the session that appends stays as it is.
    server.sql(DATABASE, "select pg_terminate_backend(pid) from pg_locks where locktype = 'advisory'").unwrap();
    let second = {
        second.close();
        active(server.options(DATABASE, "gov-2"))
    };
    assert_eq!(second.append(batch("t", 2)).unwrap().head.sequence, 2);
    first.signal(Signal::CONT);
    let said = first.append(3);
    assert!(said.starts_with("deposed another node became active"), "{said}");
    assert_eq!(second.append(batch("t", 4)).unwrap().head.sequence, 3);
    assert_eq!(second.verify().unwrap().entries, 3);
}

#[test]
fn the_server_itself_takes_the_lock_from_a_silent_node() {
    let Some(server) = Postgres::with_ledger(&[], DATABASE).unwrap() else { return };
    let mut first = Node::start(&server);
    assert_eq!(first.append(1), "acknowledged 1");
    first.signal(Signal::STOP);
    let second = active(server.options(DATABASE, "gov-2"));
    assert_eq!(second.append(batch("t", 2)).unwrap().head.sequence, 2);
    first.signal(Signal::CONT);
    assert!(first.append(3).starts_with("deposed"));
}

/// Every body once at most, and where it was acknowledged.
fn assert_each_once(ledger: &PostgresLedger, acknowledged: &BTreeMap<u64, u64>) {
    let entries = ledger.entries(1, usize::MAX).unwrap();
    assert_eq!(ledger.verify().unwrap().entries, ledger.owed_count("eu", 0).unwrap());
    let mut found = BTreeMap::new();
    for entry in entries {
        let body: serde_json::Value = serde_json::from_slice(&entry.body).unwrap();
        let number = body["n"].as_str().unwrap().parse::<u64>().unwrap();
        assert_eq!(found.insert(number, entry.sequence), None, "batch {number} is there twice");
    }
    for (number, sequence) in acknowledged {
        assert_eq!(found.get(number), Some(sequence), "batch {number} was acknowledged");
    }
}

/// The standby is paused, so that a commit waits for it; then the primary dies and the standby takes over with what it had received.
#[test]
fn a_synchronous_pair_loses_nothing_and_repeats_nothing() {
    if !Postgres::is_here() {
        return;
    }
    let settings = ["synchronous_standby_names = 'FIRST 1 (s1)'", "wal_level = replica", "max_wal_senders = 4"];
    let mut primary = Postgres::start(&settings).unwrap();
    // Nothing commits before there is a standby.
    let standby = primary.standby().unwrap();
    primary.ledger(DATABASE).unwrap();
    let ledger = active(testing::options(&[&primary, &standby], DATABASE, "gov-1"));
    let mut acknowledged = BTreeMap::new();
    for number in 1..=20 {
        acknowledged.insert(number, ledger.append(batch("t", number)).unwrap().head.sequence);
    }
    standby.pause(true).unwrap();
    let (started, waits) = mpsc::channel();
    let sequence = std::thread::scope(|scope| {
        let ledger = &ledger;
        let append = scope.spawn(move || {
            started.send(()).unwrap();
            ledger.append(batch("t", 21)).unwrap().head.sequence
        });
        waits.recv().unwrap();
        let until = Instant::now() + Duration::from_secs(30);
        let waiting = "select count(*) from pg_stat_activity where wait_event = 'SyncRep' and usename = 'kcm'";
        while primary.sql("postgres", waiting).unwrap() != "1" {
            assert!(Instant::now() < until && !append.is_finished(), "the commit does not wait for the standby");
            std::thread::sleep(Duration::from_millis(10));
        }
        primary.kill().unwrap();
        standby.pause(false).unwrap();
        standby.promote().unwrap();
        append.join().unwrap()
    });
    acknowledged.insert(21, sequence);
    for number in 22..=25 {
        acknowledged.insert(number, ledger.append(batch("t", number)).unwrap().head.sequence);
    }
    assert_each_once(&ledger, &acknowledged);
    assert_eq!(acknowledged[&25], 25);
}

#[test]
fn the_server_refuses_who_would_rewrite_and_shows_a_tenant_its_own() {
    let Some(server) = Postgres::with_ledger(&[], DATABASE).unwrap() else { return };
    let ledger = active(server.options(DATABASE, "gov-1"));
    for (number, tenant) in [(1, "acme"), (2, "globex"), (3, "acme"), (4, "")] {
        ledger.append(batch(tenant, number)).unwrap();
    }
    for deed in [
        "update openkcm.entries set kind = 'other' where sequence = 1",
        "delete from openkcm.entries where sequence = 4",
        "truncate openkcm.entries",
        "delete from openkcm.terms",
        "update openkcm.terms set node = 'x'",
        "drop table openkcm.entries",
        "alter table openkcm.entries disable row level security",
        "insert into openkcm.readers values ('kcm', 'acme')",
    ] {
        let refused = server.sql_as(ROLE.0, DATABASE, deed).unwrap_err();
        assert!(refused.contains("permission denied") || refused.contains("must be owner"), "{deed}: {refused}");
    }
    for (role, tenant) in [("auditor_a", "acme"), ("auditor_g", "globex"), ("nobody", "none")] {
        server.sql(DATABASE, &format!("create role {role} login password '{}'", ROLE.1)).unwrap();
        server.sql(DATABASE, &reader_sql(role, tenant)).unwrap();
    }
    let seen = |role: &str| server.sql_as(role, DATABASE, "select sequence from openkcm.entries order by 1").unwrap();
    assert_eq!((seen("auditor_a"), seen("auditor_g"), seen("nobody")), ("1\n3".into(), "2".into(), String::new()));
    assert_eq!(server.sql_as("auditor_a", DATABASE, "select role from openkcm.readers").unwrap(), "auditor_a");
    for table in ["owed", "meta", "ledger", "lanes", "terms"] {
        let refused = server.sql_as("auditor_a", DATABASE, &format!("select * from openkcm.{table}")).unwrap_err();
        assert!(refused.contains("permission denied"), "{table}: {refused}");
    }
    assert_eq!(ledger.verify().unwrap().entries, 4);
}

fn issued(authority: &rcgen::CertifiedIssuer<'_, rcgen::KeyPair>, host: &str) -> (String, String) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(vec![host.to_owned()]).unwrap();
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

fn authority() -> rcgen::CertifiedIssuer<'static, rcgen::KeyPair> {
    let mut params = rcgen::CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    rcgen::CertifiedIssuer::self_signed(params, rcgen::KeyPair::generate().unwrap()).unwrap()
}

#[test]
fn the_server_is_verified_by_its_authority_and_its_name() {
    let Some(server) = Postgres::with_ledger(&[], DATABASE).unwrap() else { return };
    let (ours, strange) = (authority(), authority());
    let serve_as = |host: &str| {
        let (certificate, key) = issued(&ours, host);
        server.certificate(&certificate, &key).unwrap();
    };
    let connect = |ca: &str| {
        let options = server.options(DATABASE, "gov-1").tls(ca.as_bytes(), None).unwrap();
        PostgresLedger::connect(options).map(drop).map_err(|e| e.to_string())
    };
    assert!(connect(&ours.pem()).unwrap_err().contains("does not support TLS"), "a server without TLS is refused");
    serve_as("127.0.0.1");
    connect(&ours.pem()).unwrap();
    let refused = connect(&strange.pem()).unwrap_err();
    assert!(refused.contains("invalid peer certificate"), "{refused}");
    serve_as("127.0.0.2");
    let refused = connect(&ours.pem()).unwrap_err();
    assert!(refused.contains("not valid for"), "{refused}");
    let garbage = server.options(DATABASE, "gov-1").tls(b"no PEM", None);
    assert!(matches!(garbage, Err(LedgerError::Unfit { .. })));
    assert!(fs::metadata(server.folder()).is_ok());
}
