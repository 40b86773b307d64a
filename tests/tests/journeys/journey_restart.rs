//! Killed processes: a region that is gone right after its SyncAck comes back killed; one that is merely gone comes back and serves.
//! And one that is asked to end: governance leaves a whole ledger behind, with everything that it owes.

use std::{
    fs,
    sync::{Arc, Mutex},
    time::Duration,
};

use kmip::ResultReason;
use ledger::{Ledger, RedbLedger};
use node::kmip_client::KmipClient;

use crate::{
    demo::{Demo, eventually, until},
    kmip::Used,
    rest::Events,
};

/// Longest that governance may take to end: nobody is in the middle of a request.
const ENDS_WITHIN: Duration = Duration::from_secs(5);
/// Where a redb file says in its header that it was not closed, and the bit (redb's design notes, "Database header").
const UNCLOSED: (usize, u8) = (9, 2);
/// Keys that are created before the process is killed.
const ACKNOWLEDGED_MIN: usize = 8;

/// Waits until the key opens its data again.
async fn served_again(demo: &Demo, key: &Used) {
    eventually("the region serves again", async || demo.try_open(key).await.ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_comes_back_as_killed_as_it_went() {
    let mut demo = Demo::start();
    let ours = demo.use_in("acme", "fra-1").await;
    let theirs = demo.use_in("globex", "fra-1").await;

    let mut events = Events::watch(&demo).await;
    let id = demo.propose("carol", &["revoke", "propose", "--tenant", "acme", "--reason", "a journey"]);
    demo.approve("dave", &id);
    events.next("acknowledged", |e| e["proposal"] == *id && e["region"] == "eu-frankfurt").await;
    demo.kill_9("fra-1");
    demo.run("fra-1");

    // Globex is unsealed from its L1 on demand; acme never is, neither before nor after.
    served_again(&demo, &theirs).await;
    demo.refused(&[ours]).await;
    demo.served(&[theirs]).await;
    demo.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_a_crash() {
    let mut demo = Demo::start();
    let before = demo.use_in("acme", "zrh-1").await;
    demo.kill_9("zrh-1");
    demo.run("zrh-1");
    served_again(&demo, &before).await;

    // The process is killed under a client that creates one key after the other: each that was answered is there afterwards.
    let acknowledged = creating(demo.connect("acme", "zrh-1").await.unwrap());
    until("some keys are created", || (acknowledged.lock().unwrap().len() >= ACKNOWLEDGED_MIN).then_some(()));
    demo.kill_9("zrh-1");
    demo.run("zrh-1");
    served_again(&demo, &before).await;
    let mut client = demo.connect("acme", "zrh-1").await.unwrap();
    let acknowledged = acknowledged.lock().unwrap().clone();
    for id in &acknowledged {
        let sealed = client.encrypt(id, b"x").await;
        assert!(sealed.is_ok(), "a created and activated key is lost: {sealed:?}");
    }
    demo.end();
}

/// Creates and activates keys until the connection ends: those that both were answered for.
fn creating(mut client: KmipClient) -> Arc<Mutex<Vec<String>>> {
    let made = Arc::new(Mutex::new(Vec::new()));
    let to = made.clone();
    tokio::spawn(async move {
        while let Ok(id) = client.create_active().await {
            to.lock().unwrap().push(id);
        }
    });
    made
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_region_waits_for_its_l1() {
    let mut demo = Demo::start();
    let key = demo.use_in("acme", "fra-1").await;
    let elsewhere = demo.use_in("acme", "zrh-1").await;
    let theirs = demo.use_in("globex", "fra-1").await;
    demo.kill_9("l1-acme");
    // What is cached serves on.
    demo.served(std::slice::from_ref(&key)).await;

    demo.kill_9("fra-1");
    demo.run("fra-1");
    served_again(&demo, &theirs).await;
    // The other tenant's L1 is another process: acme alone is told to try again.
    eventually("acme is told to try again", async || {
        (demo.reason(&key).await == Some(ResultReason::GeneralFailure)).then_some(())
    })
    .await;
    demo.served(std::slice::from_ref(&elsewhere)).await;

    demo.run("l1-acme");
    served_again(&demo, &key).await;
    demo.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn governance_that_is_asked_to_end_closes_its_ledger_and_owes_what_it_owed() {
    let mut demo = Demo::start();
    let key = demo.use_in("acme", "iad-1").await;
    demo.kill_9("iad-1");
    let mut events = Events::watch(&demo).await;
    let id = demo.propose("carol", &["revoke", "propose", "--tenant", "acme", "--reason", "a journey"]);
    demo.approve("dave", &id);
    for _the_others in 0..2 {
        events.next("acknowledged", |e| e["proposal"] == *id).await;
    }
    // Its connections are still open, an event stream among them.
    let took = demo.ask_to_end("gov-1");
    assert!(took < ENDS_WITHIN, "{took:?}");

    let path = demo.dir().join("gov-1/store/ledger.redb");
    let (at, bit) = UNCLOSED;
    assert_eq!(fs::read(&path).unwrap()[at] & bit, 0, "the ledger was not closed");
    let ledger = RedbLedger::open(&path).unwrap();
    assert_eq!(ledger.owed_count("us-east", 0).unwrap(), 1, "the kill is owed to the region that is away");
    assert!(ledger.verify().unwrap().entries > 0);
    drop(ledger);

    demo.run("gov-1");
    demo.run("iad-1");
    eventually("the region that was away acknowledges", async || {
        let shown = demo.kcm(None, &["proposal", "show", &id]);
        (shown.code == 0 && shown.json["state"] == "active").then_some(())
    })
    .await;
    demo.refused(&[key]).await;
    demo.end();
}
