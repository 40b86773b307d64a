//! The lease: a region that governance can't reach locks itself when its lease ends, says why, and serves again once it is renewed.

use std::fs;

use kmip::ResultReason;

use crate::{
    demo::{Demo, eventually},
    mongod::{Polled, Refused},
};

/// The region's own limit on leases: a topology file may only shorten.
const AUTONOMY: &str = "autonomy = { serve_cached = \"5s\" }\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_region_that_is_cut_off_locks_itself() {
    let mut demo = Demo::start();
    let here = demo.use_in("acme", "fra-1").await;
    let there = demo.use_in("acme", "zrh-1").await;
    let mongod = demo.mongod("acme", "fra-1").first_start().await.unwrap();
    let elsewhere = demo.mongod("acme", "zrh-1").first_start().await.unwrap();
    let path = demo.dir().join("topology.toml");
    let text = fs::read_to_string(&path).unwrap();
    let header = "[region.eu-frankfurt]\n";
    assert_eq!(text.matches(header).count(), 1, "{text}");
    fs::write(&path, text.replace(header, &format!("{header}{AUTONOMY}"))).unwrap();
    demo.kill_9("fra-1");
    demo.run("fra-1");
    eventually("the region serves under the shorter lease", async || demo.try_open(&here).await.ok()).await;

    demo.kill_9("gov-1");
    eventually("the lease ends", async || {
        (demo.reason(&here).await == Some(ResultReason::GeneralFailure)).then_some(())
    })
    .await;
    let id = demo.tenant("acme");
    eventually("readyz says why", async || {
        let ready = demo.readyz("fra-1").await?;
        let reasons = ready["reasons"].as_array()?;
        let found = reasons
            .iter()
            .any(|r| r["what"].as_str().is_some_and(|what| what.contains(id)) && r["why"] == "lease_over");
        found.then_some(())
    })
    .await;
    demo.refused_with(std::slice::from_ref(&here), ResultReason::GeneralFailure).await;
    let later = || Refused::Reason(ResultReason::GeneralFailure);
    assert_eq!(mongod.poll().await, Polled::Logs(later()), "a running mongod goes on");
    assert_eq!(mongod.restart().await, Err(later()));
    assert_eq!(demo.mongod("acme", "fra-1").first_start().await.err(), Some(later()));
    // The others have the fifteen minutes of the trust root.
    demo.served(&[there]).await;
    assert_eq!(elsewhere.restart().await, Ok(()));
    assert_eq!(elsewhere.poll().await, Polled::RunsOn);
    assert!(demo.mongod("acme", "zrh-1").first_start().await.is_ok());

    demo.run("gov-1");
    eventually("a renewal opens the region again", async || demo.try_open(&here).await.ok()).await;
    assert_eq!(mongod.poll().await, Polled::RunsOn);
    demo.end();
}
