//! A tenant's policies change while its regions serve it: what they forbid is refused there, over a restart, until they change again.

use std::fs;

use kmip::ResultReason;

use crate::demo::{Demo, eventually};

const NO_GET: &str = r#"
@id("only-keys-that-are-gone-leave")
forbid (principal is Client, action in Action::"hand_out", resource is KeyObject)
when { context.state == State::"Active" };
"#;

/// Proposes a folder as erin, and judy approves.
fn set(demo: &Demo, folder: &str) {
    demo.approve("judy", &demo.propose("erin", &["policy", "set", folder, "--tenant", "acme"]));
}

/// Waits until a Get of an active key of acme ends so.
async fn get_is(demo: &Demo, node: &str, reason: Option<ResultReason>) {
    let decided = async || {
        let mut client = demo.connect("acme", node).await.ok()?;
        let key = client.create_active().await.ok()?;
        let got = client.fetched(&key).await;
        (got.as_ref().err().and_then(|error| error.reason()) == reason && got.is_ok() == reason.is_none()).then_some(())
    };
    eventually("the region decides by the tenant's policies", decided).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_change_without_a_restart_and_survive_one() {
    const DENIED: Option<ResultReason> = Some(ResultReason::PermissionDenied);
    let mut demo = Demo::start();
    let [default, stricter] = ["default", "stricter"].map(|name| demo.file(name).to_str().unwrap().to_owned());
    for folder in [&default, &stricter] {
        let made = demo.kcm(None, &["policy", "new", folder, "--tenant", "acme"]);
        assert_eq!(made.code, 0, "{made:?}");
    }
    fs::write(demo.file("stricter").join("zz.cedar"), NO_GET).unwrap();
    let theirs = demo.use_in("globex", "fra-1").await;
    get_is(&demo, "fra-1", None).await;
    // What was granted until now, asked again: the Get flips, and nothing else does.
    let log = demo.dir().join("fra-1/store/audit.jsonl");
    let replay = ["policy", "replay", &stricter, "--tenant", "acme", "--audit", log.to_str().unwrap()];
    let replayed = demo.ok(None, &replay);
    let flips = replayed["flips"].as_array().unwrap();
    assert_eq!(flips.len(), 1, "{replayed}");
    assert_eq!((flips[0]["operation"].as_str(), flips[0]["after"].as_str()), (Some("get"), Some("deny")), "{replayed}");
    assert!(replayed["decisions"].as_u64() > replayed["flipped"].as_u64(), "{replayed}");

    set(&demo, &stricter);
    for node in ["fra-1", "zrh-1"] {
        get_is(&demo, node, DENIED).await;
    }
    demo.served(&[theirs]).await;
    // The bundle is part of the tenant's trust chain: a region that starts anew has it, with or without governance.
    demo.kill_9("fra-1");
    demo.run("fra-1");
    get_is(&demo, "fra-1", DENIED).await;

    set(&demo, &default);
    for node in ["fra-1", "zrh-1"] {
        get_is(&demo, node, None).await;
    }
    demo.end();
}
