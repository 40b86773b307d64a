//! What happens to a mongod with encryption at rest when its key is stopped or nobody answers: the table of `docs/mongodb.md`, for our own
//! replay of one (`mongod.rs`). The region that is cut off is in `journey_lease.rs`.

use std::fs;

use kmip::{ResultReason, State};
use node::cluster::tls::TlsFiles;

use crate::{
    authority::{Authority, EXPIRED, VALID},
    demo::{Demo, eventually},
    mongod::{Mongod, Polled, Refused},
};

async fn new(demo: &Demo) -> Result<Mongod, Refused> {
    demo.mongod("acme", "fra-1").first_start().await
}

/// Neither a first start nor a restart works, for this reason.
async fn stopped(demo: &Demo, mongod: &Mongod, reason: ResultReason) {
    assert_eq!(new(demo).await.err(), Some(Refused::Reason(reason)), "first start");
    assert_eq!(mongod.restart().await, Err(Refused::Reason(reason)), "restart");
}

async fn serves(demo: &Demo, mongod: &Mongod) {
    assert!(new(demo).await.is_ok(), "first start");
    assert_eq!(mongod.restart().await, Ok(()), "restart");
    assert_eq!(mongod.poll().await, Polled::RunsOn);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mongod_follows_its_key() {
    let mut demo = Demo::start();
    let mongod = new(&demo).await.unwrap();
    let other = demo.mongod("globex", "fra-1").first_start().await.unwrap();
    serves(&demo, &mongod).await;

    // Disabled at the customer's own KMS.
    demo.ok(None, &["soft-l1", "disable", "--tenant", "acme"]);
    let denied = ResultReason::PermissionDenied;
    eventually("the region stops", async || (mongod.restart().await == Err(Refused::Reason(denied))).then_some(()))
        .await;
    stopped(&demo, &mongod, denied).await;
    assert_eq!(mongod.poll().await, Polled::Logs(Refused::Reason(denied)));
    demo.ok(None, &["soft-l1", "enable", "--tenant", "acme"]);
    eventually("the region resumes", async || mongod.restart().await.ok()).await;
    serves(&demo, &mongod).await;

    // The customer's KMS is down: what the region has unsealed serves on, and after the region's own restart it waits.
    demo.kill_9("l1-acme");
    serves(&demo, &mongod).await;
    demo.kill_9("fra-1");
    assert_eq!(mongod.restart().await, Err(Refused::Unreachable));
    assert_eq!(mongod.poll().await, Polled::Logs(Refused::Unreachable));
    assert_eq!(new(&demo).await.err(), Some(Refused::Unreachable));
    demo.run("fra-1");
    eventually("the other tenant is served again", async || other.restart().await.ok()).await;
    let later = ResultReason::GeneralFailure;
    eventually("its state is told without its key", async || (mongod.poll().await == Polled::RunsOn).then_some(()))
        .await;
    stopped(&demo, &mongod, later).await;
    assert_eq!(mongod.poll().await, Polled::RunsOn);
    demo.run("l1-acme");
    eventually("it is served again", async || mongod.restart().await.ok()).await;

    // Revoked.
    let id = demo.propose("carol", &["revoke", "propose", "--tenant", "acme", "--reason", "a journey"]);
    demo.approve("dave", &id);
    let gone = ResultReason::ItemNotFound;
    eventually("the region is killed", async || (mongod.restart().await == Err(Refused::Reason(gone))).then_some(()))
        .await;
    stopped(&demo, &mongod, gone).await;
    assert_eq!(mongod.poll().await, Polled::ShutsDown(Refused::Reason(gone)));
    assert_eq!(other.poll().await, Polled::RunsOn);
    demo.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mongod_ends_when_its_key_is_deactivated() {
    let demo = Demo::start();
    let mongod = new(&demo).await.unwrap();
    mongod.deactivate_key().await;
    assert_eq!(mongod.restart().await, Err(Refused::State(State::Deactivated)));
    assert_eq!(mongod.poll().await, Polled::ShutsDown(Refused::State(State::Deactivated)));
    assert!(new(&demo).await.is_ok(), "with a key of its own");
    demo.end();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mongod_with_an_expired_certificate_reaches_nobody() {
    let demo = Demo::start();
    let (ours, ca) = (Authority::new(), demo.file("clients.pem"));
    fs::write(&ca, ours.pem()).unwrap();
    let add = ["caller", "add", "--tenant", "acme", "--system", "orders", "--ca", ca.to_str().unwrap()];
    demo.approve("bob", &demo.propose("alice", &add));
    let files = |name, until| {
        let (cert, key) = ours.issue(&demo.dir(), name, until, "spiffe://example/orders");
        TlsFiles { cert, key, ..demo.client("acme") }
    };
    let valid = files("new", VALID);
    let start = async || demo.mongod("acme", "fra-1").with(&valid).first_start().await.ok();
    let mongod = eventually("a valid certificate of that CA is taken", start).await;
    assert_eq!(mongod.poll().await, Polled::RunsOn);

    let expired = files("old", EXPIRED);
    let mongod = mongod.with(&expired);
    assert_eq!(mongod.poll().await, Polled::Logs(Refused::Unreachable));
    assert_eq!(mongod.restart().await, Err(Refused::Unreachable));
    let first = demo.mongod("acme", "fra-1").with(&expired).first_start().await;
    assert_eq!(first.err(), Some(Refused::Unreachable));
    demo.end();
}
