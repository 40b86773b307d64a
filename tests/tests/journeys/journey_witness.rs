//! A ledger that is put back to a backup: governance itself signs nothing over it, and where its own memory is put back as well, a witness
//! outside refuses the other history for ever.

use std::{fs, path::Path};

use crate::demo::{Demo, Done, until};

/// Exit codes of `kcm`.
const DENIED: i32 = 4;
const NOT_HEALTHY: i32 = 6;

/// The newest size that governance has written down beside its ledger.
fn written(file: &Path) -> Option<u64> {
    fs::read_to_string(file).ok()?.lines().nth(1)?.parse().ok()
}

fn look(demo: &Demo, log: &str) -> Done {
    let (key, folder) = (demo.file("w1.key"), demo.file("w1"));
    let (key, folder) = (key.to_str().unwrap(), folder.to_str().unwrap());
    if !Path::new(key).exists() {
        demo.ok(None, &["actor", "keygen", "--person", "w1", "--out", key]);
    }
    let name = "audit.example/w1";
    demo.kcm(None, &["witness", "--once", "--log", log, "--name", name, "--signing-key", key, folder])
}

fn propose(demo: &Demo) {
    demo.propose("carol", &["revoke", "propose", "--tenant", "acme", "--reason", "a journey"]);
}

#[test]
fn a_backup_in_the_place_of_the_ledger_is_signed_by_nobody() {
    let mut demo = Demo::start();
    let store = demo.dir().join("gov-1/store");
    let (ledger, kept) = (store.join("ledger.redb"), store.join("checkpoint"));
    until("governance writes its checkpoint down", || written(&kept));
    let log = demo.ok(None, &["audit", "checkpoint"])["verifier"].as_str().unwrap().to_owned();
    demo.ask_to_end("gov-1");
    let backup = fs::read(&ledger).unwrap();
    let old = fs::read(&kept).unwrap();

    demo.govern_again();
    propose(&demo);
    let seen = look(&demo, &log);
    assert_eq!(seen.code, 0, "{seen:?}");
    // A start writes its checkpoint down at once, besides each minute.
    demo.ask_to_end("gov-1");
    demo.govern_again();
    let size = seen.json["size"].as_u64().unwrap();
    until("it knows what the witness saw", || written(&kept).filter(|written| *written >= size));
    let seen = look(&demo, &log);
    assert_eq!(seen.code, 0, "the same history goes on over a restart: {seen:?}");

    demo.ask_to_end("gov-1");
    fs::write(&ledger, &backup).unwrap();
    demo.govern_again();
    for args in
        [&["audit", "checkpoint"][..], &["audit", "prove", "1", "--checkpoint", kept.to_str().unwrap(), "--log", &log]]
    {
        let done = demo.kcm(None, args);
        assert!(done.code == NOT_HEALTHY && done.errors.contains("broken-ledger"), "{done:?}");
    }
    assert_eq!(look(&demo, &log).code, NOT_HEALTHY);

    demo.ask_to_end("gov-1");
    fs::write(&kept, &old).unwrap();
    demo.govern_again();
    assert_eq!(demo.kcm(None, &["audit", "checkpoint"]).code, 0, "governance no longer knows better");
    for _again in 0..2 {
        let refused = look(&demo, &log);
        assert_eq!(refused.code, DENIED, "{refused:?}");
        assert!(["became shorter", "two histories"].iter().any(|why| refused.errors.contains(why)), "{refused:?}");
        propose(&demo);
    }
    demo.end();
}
