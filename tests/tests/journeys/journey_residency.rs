//! Residency: a region that is taken out destroys the tenant's keys and says so, the others serve on; taken in again it begins anew.

use kmip::ResultReason;

use crate::demo::{Demo, eventually};

/// Proposes, and approves until every region has confirmed.
fn decided(demo: &Demo, args: &[&str]) {
    let id = demo.propose("alice", &[&["residency", "set", "--tenant", "acme"], args].concat());
    demo.approve("bob", &id);
    demo.ok(None, &["proposal", "watch", &id, "--wait", "30s"]);
    let shown = demo.ok(None, &["proposal", "show", &id]);
    assert_eq!(shown["state"], "active", "{shown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_leaves_a_tenant_and_comes_back_without_its_keys() {
    let mut demo = Demo::start();
    let there = demo.use_in("acme", "zrh-1").await;
    let here = demo.use_in("acme", "fra-1").await;
    let other = demo.use_in("globex", "zrh-1").await;
    let region = demo.region("zrh-1")["name"].as_str().unwrap().to_owned();
    decided(&demo, &["--leave", &region]);
    demo.refused_with(std::slice::from_ref(&there), ResultReason::PermissionDenied).await;
    demo.served(&[here, other]).await;
    demo.kill_9("zrh-1");
    demo.run("zrh-1");
    eventually("it stays out over a start", async || {
        (demo.reason(&there).await == Some(ResultReason::PermissionDenied)).then_some(())
    })
    .await;
    let topology = demo.dir().join("topology.toml").display().to_string();
    decided(&demo, &["--join", &region, "--topology", &topology]);
    // What it had is gone; what is made from now on is there.
    eventually("it serves new keys", async || {
        (demo.reason(&there).await == Some(ResultReason::ItemNotFound)).then_some(())
    })
    .await;
    let again = demo.use_in("acme", "zrh-1").await;
    demo.served(&[again]).await;
    demo.end();
}
