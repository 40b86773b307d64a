//! A block and a suspension: what clients are told, over a restart and with governance away, until what lifts each names it. And the end of a
//! tenant, which nothing lifts.

use kmip::ResultReason;

use crate::demo::{Demo, NODES, eventually};

/// Proposes as one person; another approves, and every region has answered.
fn decide(demo: &Demo, (proposer, approver): (&str, &str), arguments: &[&str]) {
    let id = demo.propose(proposer, arguments);
    let done = demo.kcm(Some(approver), &["proposal", "approve", &id, "--wait", "60s"]);
    assert_eq!(done.code, 0, "{done:?}");
}

const STOPS: (&str, &str) = ("carol", "dave");
const LIFTS: (&str, &str) = ("alice", "bob");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_blocked_tenant_is_told_so_until_it_is_unblocked() {
    let mut demo = Demo::start();
    let ours = demo.use_everywhere("acme").await;
    let theirs = demo.use_everywhere("globex").await;

    decide(&demo, STOPS, &["tenant", "block", "acme", "--reason", "contract suspended"]);
    demo.refused_with(&ours, ResultReason::PermissionDenied).await;
    demo.served(&theirs).await;
    assert_eq!(demo.ok(None, &["tenant", "show", "acme"])["state"], "BLOCKED");
    demo.kill_9("fra-1");
    demo.run("fra-1");
    eventually("the region says so after its start, too", async || {
        (demo.reason(&ours[0]).await == Some(ResultReason::PermissionDenied)).then_some(())
    })
    .await;
    // It is governed on as far as stops, what lifts them, people and rules go.
    let args = ["system", "register", "--tenant", "acme", "billing"];
    let refused = demo.kcm(Some("alice"), &args);
    assert!(refused.code == 4 && format!("{refused:?}").contains("tenant-blocked"), "{refused:?}");

    decide(&demo, LIFTS, &["tenant", "unblock", "acme"]);
    demo.served(&ours).await;
    assert_eq!(demo.ok(None, &["tenant", "show", "acme"])["state"], "ACTIVE");
    demo.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_suspended_tenant_reads_and_protects_nothing_new() {
    let mut demo = Demo::start();
    let ours = demo.use_everywhere("acme").await;
    let mut kept_open = demo.connect("acme", "fra-1").await.unwrap();
    ours[0].open(&mut kept_open).await.unwrap();

    // Signed as a file while governance is away, by the people of the tenant's own rule.
    let chain = demo.file("acme.chain.json").to_str().unwrap().to_owned();
    demo.ok(None, &["tenant", "trust", "acme", "--out", &chain]);
    demo.kill_9("gov-1");
    let stop = demo.file("suspend.json").to_str().unwrap().to_owned();
    let first =
        demo.kcm(Some("carol"), &["revoke", "sign", "--tenant-file", &chain, "--stop", "suspend", "--out", &stop]);
    assert_eq!(first.code, 3, "{first:?}");
    demo.ok(Some("dave"), &["revoke", "sign", "--out", &stop]);
    demo.ok(None, &["revoke", "deliver", &stop]);

    for node in NODES {
        let mut client = demo.connect("acme", node).await.unwrap();
        let refused = client.create_active().await.unwrap_err();
        assert_eq!(refused.reason(), Some(ResultReason::PermissionDenied), "{node}: {refused}");
    }
    demo.served(&ours).await;
    let used = &ours[0];
    used.open(&mut kept_open).await.unwrap();
    let refused = kept_open.encrypt(&used.id, b"new").await.unwrap_err();
    assert_eq!(refused.reason(), Some(ResultReason::PermissionDenied), "{refused}");

    demo.run("gov-1");
    eventually("governance learns the suspension from the regions", async || {
        let shown = demo.kcm(None, &["tenant", "show", "acme"]);
        (shown.code == 0 && shown.json["state"] == "SUSPENDED").then_some(())
    })
    .await;
    decide(&demo, LIFTS, &["key", "resume", "--tenant", "acme"]);
    kept_open.encrypt(&used.id, b"new").await.unwrap();
    decide(&demo, STOPS, &["key", "suspend", "--tenant", "acme", "--region", "eu-frankfurt"]);
    assert!(kept_open.encrypt(&used.id, b"new").await.is_err());
    demo.connect("acme", "zrh-1").await.unwrap().create_active().await.unwrap();
    demo.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminated_tenant_is_gone_for_good() {
    let mut demo = Demo::start();
    let ours = demo.use_everywhere("acme").await;
    let theirs = demo.use_everywhere("globex").await;

    decide(&demo, STOPS, &["tenant", "terminate", "acme", "--reason", "offboarded"]);
    demo.refused(&ours).await;
    demo.served(&theirs).await;
    assert_eq!(demo.ok(None, &["tenant", "show", "acme"])["state"], "TERMINATED");
    let refused = demo.kcm(Some("alice"), &["key", "restore", "--tenant", "acme"]);
    assert!(refused.code == 4 && format!("{refused:?}").contains("tenant-terminated"), "{refused:?}");
    demo.kill_9("fra-1");
    demo.run("fra-1");
    eventually("the other tenant is served after the start", async || demo.try_open(&theirs[0]).await.ok()).await;
    demo.refused(&ours).await;
    demo.served(&theirs).await;
    demo.end();
}
