//! Killed processes: a region that is gone right after its SyncAck comes back killed; one that is merely gone comes back and serves.

use std::sync::{Arc, Mutex};

use kmip::ResultReason;
use node::kmip_client::KmipClient;

use crate::{
    demo::{Demo, eventually, until},
    kmip::Used,
    rest::Events,
};

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
