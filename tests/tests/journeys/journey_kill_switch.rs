//! The kill switch: simulated, proposed by one, approved by another, seen in every region, and taken back.

use std::process::Command;

use node::{keyfiles, kmip_client::KmipError};
use orbital::{
    canon::Text,
    names::{KeyName, Person},
    sign::Signed,
    vote::{Role, Signer, Vote},
};
use serde_json::json;

use crate::{
    demo::{Demo, binary},
    rest::{self, Events},
};

/// A quarter of a second each.
const TRIES: u32 = 240;

#[test]
fn the_unattended_story_is_observed() {
    let folder = tempfile::tempdir().unwrap();
    let script = Command::new(binary()).args(["demo", "--script", "kill-switch", "--dir"]).arg(folder.path()).output();
    let output = script.unwrap();
    let told = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{told}\n{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("Observed: each step."), "{told}");
    assert!(told.contains("3 regions would lock"), "{told}");
}

/// The regions say with their next Hello that clients of the system are connected and ask.
async fn whom_it_would_lock_out(demo: &Demo) {
    for _ in 0..TRIES {
        let simulated = demo.ok(None, &["revoke", "simulate", "--tenant", "acme"]);
        let system = &simulated["systems"][0];
        let known = |name: &str| system[name].as_u64().unwrap_or(0);
        if system["regions"].as_array().unwrap().len() == 3 && known("connections") >= 3 && known("per_minute") >= 3 {
            assert!(known("last_ms") > 0 && known("callers") > 0, "{system}");
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(250)).await;
    }
    panic!("no region has said what its clients ask");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_people_stop_a_tenant_everywhere() {
    let demo = Demo::start();
    let ours = demo.use_everywhere("acme").await;
    let theirs = demo.use_everywhere("globex").await;
    let (mut our_open, mut their_open) = (Vec::new(), Vec::new());
    for key in &ours {
        our_open.push(demo.connect("acme", key.node).await.unwrap());
        their_open.push(demo.connect("globex", key.node).await.unwrap());
    }

    let simulated = demo.ok(None, &["revoke", "simulate", "--tenant", "acme"]);
    assert_eq!(simulated["regions"].as_array().unwrap().len(), 3);
    demo.served(&ours).await;
    whom_it_would_lock_out(&demo).await;

    let id = two_proposals_and_one_persons_answers(&demo).await;
    demo.served(&ours).await;

    let mut events = Events::watch(&demo).await;
    let done = demo.ok(Some("dave"), &["proposal", "approve", &id, "--wait", "30s"]);
    let regions = done["regions"].as_object().unwrap();
    assert_eq!(regions.len(), 3);
    for (region, progress) in regions {
        assert_eq!(progress["confirmation"], "applied", "{region}: {progress}");
        assert!(
            progress["waited_us"].as_u64().unwrap() >= progress["took_us"].as_u64().unwrap(),
            "{region}: {progress}"
        );
    }

    for (key, (ours, theirs)) in ours.iter().zip(our_open.iter_mut().zip(&mut their_open)) {
        let ended = key.open(ours).await;
        assert!(matches!(ended, Err(KmipError::Ended(_))), "a connection of acme to {} is open: {ended:?}", key.node);
        let theirs = key.open(theirs).await.unwrap_err();
        assert!(theirs.reason().is_some(), "a connection of globex to {} is closed: {theirs}", key.node);
    }
    demo.refused(&ours).await;
    demo.served(&theirs).await;
    one_correlation_id(&mut events, &id).await;
    assert_eq!(demo.ok(None, &["audit", "verify"])["sound"], true);

    let back = demo.propose("alice", &["key", "restore", "--tenant", "acme", "--reason", "a new contract"]);
    for person in ["bob", "carol"] {
        demo.approve(person, &back);
    }
    demo.refused(&ours).await;
    demo.ok(Some("dave"), &["proposal", "approve", &back, "--wait", "30s"]);
    demo.served(&ours).await;
    demo.served(&theirs).await;
    demo.end();
}

/// Two revocations are open: carol may approve neither, and what dave signed for the first does not count for the second, which is left.
async fn two_proposals_and_one_persons_answers(demo: &Demo) -> String {
    let propose = |reason| demo.propose("carol", &["revoke", "propose", "--tenant", "acme", "--reason", reason]);
    let (older, newer) = (propose("an older one"), propose("the contract ends"));
    let own = demo.kcm(Some("carol"), &["proposal", "approve", &newer]);
    assert_eq!(own.code, 4, "{own:?}");
    assert!(own.errors.contains("proposer-approves"), "{own:?}");

    let view = rest::get(demo, &format!("/v1/proposals/{older}")).await;
    let proposal: Signed = serde_json::from_value(view["proposal"].clone()).unwrap();
    let secret = keyfiles::read_ed25519(&demo.dir().join("keys/dave.key")).unwrap();
    let signer = Signer {
        person: Person::new("dave").unwrap(),
        key: KeyName::new(node::demo::people::KEY).unwrap(),
        secret: &secret,
        origin: Text::new("cli").unwrap(),
        nonce: "AAAAAAAAAAAAAAAAAAAAAA".to_owned(),
    };
    let vote = Vote::answer(Role::Approve, &proposal, &signer).unwrap();
    let path = format!("/v1/proposals/{newer}/approve");
    let (status, problem) = rest::call(demo, "POST", &path, Some(&json!({ "vote": vote }))).await;
    assert!((400..500).contains(&status), "{status}: {problem}");
    let view = rest::get(demo, &format!("/v1/proposals/{newer}")).await;
    assert_eq!(
        (view["state"].as_str(), view["approvals"].as_array().map(Vec::len)),
        (Some("open"), Some(0)),
        "{problem}"
    );
    newer
}

/// Each region's SyncAck is an event, and one correlation id leads from the approval to all of them.
async fn one_correlation_id(events: &mut Events, proposal: &str) {
    let mut ids = std::collections::BTreeSet::new();
    for _ in 0..3 {
        let ack = events.next("acknowledged", |e| e["proposal"] == proposal).await;
        assert_eq!(ack["outcome"], "applied", "{ack}");
        ids.insert(ack["correlation"].as_str().unwrap().to_owned());
    }
    assert_eq!(ids.len(), 1, "{ids:?}");
}
