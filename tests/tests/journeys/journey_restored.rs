//! A ledger that was put back from a backup takes what was decided since from the regions, by itself, and governs on.

use serde_json::Value;

use crate::demo::{Demo, until};

/// What of a tenant must be as it was.
fn standing(demo: &Demo) -> Value {
    let shown = demo.ok(Some("alice"), &["tenant", "show", "acme"]);
    ["state", "trust_version", "trust", "epoch", "kills", "restored", "link"]
        .iter()
        .map(|name| shown[*name].clone())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_ledger_put_back_takes_from_the_regions_what_was_decided_since() {
    let mut demo = Demo::start();
    let keys = demo.use_everywhere("acme").await;
    demo.ask_to_end("gov-1");
    let (backup, key, _) = demo.backed_up();
    demo.govern_again();

    demo.decide("alice", &["system", "register", "billing", "--tenant", "acme"]);
    demo.decide("carol", &["revoke", "propose", "--tenant", "acme", "--reason", "a journey"]);
    let before = standing(&demo);
    assert_eq!((&before[0], &before[1]), (&"KILLED".into(), &2.into()), "{before}");

    demo.ask_to_end("gov-1");
    std::fs::remove_file(demo.dir().join("gov-1/store/ledger.redb")).unwrap();
    demo.ok(None, &["backup", "restore", &backup, &demo.topology(), "--identity", &key]);
    demo.govern_again();
    until("governance knows again what it had forgotten", || (standing(&demo) == before).then_some(()));
    demo.refused(&keys).await;

    // It governs on where it was: the kill is lifted by name, and every region serves again.
    demo.decide("alice", &["key", "restore", "--tenant", "acme"]);
    demo.served(&keys).await;
    let of = |kind: &str| demo.ok(None, &["audit", "search", kind])["items"].as_array().unwrap().len();
    until("both tenants have caught up", || (of("tenant.caught-up") == 2).then_some(()));
    assert_eq!(of("tenant.recalled"), 2, "a version and a stop");

    // Nobody is waited for any more, and that can be said once.
    demo.ask_to_end("gov-1");
    demo.ok(None, &["backup", "settle", &demo.topology()]);
    let again = demo.kcm(None, &["backup", "settle", &demo.topology()]);
    assert!(again.code != 0 && again.errors.contains("nothing waits here"), "{again:?}");
    demo.end();
}
