//! The customer alone: the key is disabled at their own KMS, and every region stops without anybody's signature.

use kmip::ResultReason;

use crate::demo::{Demo, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_disabled_key_stops_every_region_and_an_enabled_one_resumes() {
    let demo = Demo::start();
    let ours = demo.use_everywhere("acme").await;
    let theirs = demo.use_everywhere("globex").await;
    let entries = demo.ok(None, &["audit", "verify"])["entries"].clone();

    demo.ok(None, &["soft-l1", "disable", "--tenant", "acme"]);
    for key in &ours {
        eventually("the region refuses", async || {
            (demo.reason(key).await == Some(ResultReason::PermissionDenied)).then_some(())
        })
        .await;
    }
    demo.refused_with(&ours, ResultReason::PermissionDenied).await;
    demo.served(&theirs).await;
    eventually("governance shows it", async || {
        let shown = demo.ok(None, &["tenant", "show", "acme"]);
        let regions = shown["regions"].as_object().unwrap().clone();
        let stopped =
            regions.values().filter(|r| r["observed"]["l1"] == "DISABLED" && r["observed"]["stops"]["l1_stop"] == true);
        (stopped.count() == ours.len()).then_some(())
    })
    .await;
    let shown = demo.ok(None, &["tenant", "show", "acme"]);
    assert_eq!(shown["killed"], false, "the customer's own stop is no kill");
    assert_eq!(shown["proposals"], 0);

    demo.ok(None, &["soft-l1", "enable", "--tenant", "acme"]);
    for key in &ours {
        eventually("the region resumes by itself", async || demo.try_open(key).await.ok()).await;
    }
    demo.served(&ours).await;
    assert!(demo.ok(None, &["audit", "verify"])["entries"].as_u64() >= entries.as_u64());
    demo.end();
}
