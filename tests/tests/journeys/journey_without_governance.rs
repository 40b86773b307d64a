//! A kill without governance: signed as a file by two people, delivered to each region's stop listener, and learnt by governance afterwards.

use orbital::{
    chain::Genesis,
    report::{Outcome, SyncAck},
    sign::Signed,
};

use crate::{
    demo::{Demo, NODES, eventually},
    rest,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_by_hand_holds_and_governance_learns_it() {
    let mut demo = Demo::start();
    let ours = demo.use_everywhere("acme").await;
    let theirs = demo.use_everywhere("globex").await;
    let chain = demo.file("acme.chain.json");
    let chain = chain.to_str().unwrap();
    demo.ok(None, &["tenant", "trust", "acme", "--out", chain]);

    demo.kill_9("gov-1");
    demo.served(&ours).await;
    demo.served(&theirs).await;

    let (stop, kill) = signed_by_two(&demo, chain).await;
    demo.served(&ours).await;

    deliver(&demo, &stop);
    demo.refused(&ours).await;
    demo.served(&theirs).await;

    demo.run("gov-1");
    let id = demo.tenant("acme").to_owned();
    let learnt = eventually("governance learns the kill from the regions", async || {
        // Refused until it listens again.
        let shown = demo.kcm(None, &["tenant", "show", "acme"]);
        (shown.code == 0 && shown.json["killed"] == true).then_some(shown.json)
    });
    let learnt = learnt.await;
    assert_eq!(learnt["id"], *id);
    assert_eq!(learnt["kills"], serde_json::json!([kill]), "{learnt}");
    // It has heard every region and tries to bring none of them back.
    killed_everywhere(&demo).await;
    demo.refused(&ours).await;
    demo.served(&theirs).await;
    demo.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_by_hand_to_one_region_is_carried_to_the_others() {
    let mut demo = Demo::start();
    let ours = demo.use_everywhere("acme").await;
    let theirs = demo.use_everywhere("globex").await;
    let chain = demo.file("acme.chain.json");
    let chain = chain.to_str().unwrap();
    demo.ok(None, &["tenant", "trust", "acme", "--out", chain]);
    demo.kill_9("gov-1");
    let (stop, _) = signed_by_two(&demo, chain).await;

    let (first, others) = ours.split_first().unwrap();
    let listener = demo.region(first.node)["stop"]["address"].as_str().unwrap();
    demo.ok(None, &["revoke", "deliver", &stop, "--to", listener]);
    demo.refused(std::slice::from_ref(first)).await;
    demo.served(others).await;

    demo.run("gov-1");
    eventually("governance knows the kill", async || {
        let shown = demo.kcm(None, &["tenant", "show", "acme"]);
        (shown.code == 0 && shown.json["killed"] == true).then_some(())
    })
    .await;
    killed_everywhere(&demo).await;
    demo.refused(&ours).await;
    demo.served(&theirs).await;
    demo.end();
}

/// Every region has said hello to the new governance, is killed, and is owed nothing.
async fn killed_everywhere(demo: &Demo) {
    let path = format!("/v1/tenants/{}", demo.tenant("acme"));
    eventually("every region is killed", async || {
        let view = rest::get(demo, &path).await;
        let regions = view["regions"].as_object().unwrap().clone();
        let killed =
            regions.values().filter(|r| r["observed"]["stops"]["killed"] == true && r["owed"] == serde_json::json!([]));
        (killed.count() == NODES.len()).then_some(())
    })
    .await;
}

/// A stop as a file that two people signed, and the change's digest. With one signature it stops nothing.
async fn signed_by_two(demo: &Demo, chain: &str) -> (String, String) {
    let stop = demo.file("kill.json").to_str().unwrap().to_owned();
    let sign = ["revoke", "sign", "--tenant-file", chain, "--out", &stop, "--reason", "governance is away"];
    let first = demo.kcm(Some("carol"), &sign);
    assert_eq!((first.code, &first.json["complete"]), (3, &false.into()), "{first:?}");
    let incomplete = demo.kcm(None, &["revoke", "deliver", &stop]);
    assert_eq!(incomplete.code, 4, "one signature stops nothing: {incomplete:?}");
    let second = demo.ok(Some("dave"), &["revoke", "sign", "--out", &stop]);
    assert_eq!(second["complete"], true, "{second}");
    (stop, second["change"].as_str().unwrap().to_owned())
}

/// Each region's answer is signed with the report key that stands in the trust root.
fn deliver(demo: &Demo, stop: &str) {
    let listeners = demo.stop_listeners();
    let to = listeners.iter().flat_map(|address| ["--to", address]);
    let args: Vec<&str> = ["revoke", "deliver", stop].into_iter().chain(to).collect();
    let done = demo.ok(None, &args);
    let genesis = demo.dir().join("acme.genesis.json");
    let genesis: Genesis = serde_json::from_slice(&std::fs::read(genesis).unwrap()).unwrap();
    let chain = genesis.found().unwrap();
    let answers = done["answers"].as_array().unwrap();
    let mut regions: Vec<_> = answers
        .iter()
        .map(|answer| {
            let signed: Signed = serde_json::from_value(answer["signed"].clone()).unwrap();
            let region = SyncAck::peek(&signed).unwrap().region;
            let ack = SyncAck::open(&signed, &chain.current().regions[&region].report_key).unwrap();
            assert_eq!((ack.outcome, ack.tenant), (Outcome::Applied, chain.tenant()), "{ack:?}");
            assert_eq!(ack.change.map(|change| change.to_string()).as_deref(), done["change"].as_str());
            region.to_string()
        })
        .collect();
    regions.sort();
    assert_eq!(regions, ["ch-zurich", "eu-frankfurt", "us-east"]);
}
