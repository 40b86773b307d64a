//! Clients come and go while a region runs: a certificate is bound to a tenant, another takes its place, and the first is taken away.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use node::kmip_client::{KmipClient, tls_config};

use crate::demo::{Demo, NODES, eventually};

/// Proposes a rule as alice, and bob approves.
fn change(demo: &Demo, word: &str, file: (&str, &str)) {
    let rule = ["kmip", "client", word, "--tenant", "acme", "--system", "orders", file.0, file.1];
    demo.approve("bob", &demo.propose("alice", &rule));
}

/// Whether the region takes the client of this file.
fn is_taken(demo: &Demo, pem: &str) -> bool {
    let address = demo.region(NODES[0])["kmip"]["address"].as_str().unwrap();
    let ca = demo.client("acme").ca;
    let ping = ["kmip", "ping", "--address", address, "--ca", ca.to_str().unwrap(), "--cert", pem];
    let done = demo.kcm(None, &ping);
    let steps = done.json["steps"].as_array().unwrap();
    let last = steps.last().unwrap();
    // Either all of it, or the end at the door.
    assert_eq!(last["step"], if done.code == 0 { "Locate" } else { "identity" }, "{done:?}");
    done.code == 0
}

async fn is_taken_in_the_end(demo: &Demo, pem: &str, taken: bool) {
    eventually("the region knows the change", async || (is_taken(demo, pem) == taken).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_is_bound_rotated_and_revoked_without_a_restart() {
    let demo = Demo::start();
    let [one, two] = ["mongo-1.pem", "mongo-2.pem"].map(|name| demo.file(name).to_str().unwrap().to_owned());
    change(&demo, "add", ("--new", &one));
    assert_eq!(fs::metadata(&one).unwrap().permissions().mode() & 0o777, 0o600);
    is_taken_in_the_end(&demo, &one, true).await;
    let ca = demo.client("acme").ca;
    let address = demo.region(NODES[0])["kmip"]["address"].as_str().unwrap();
    let connect = async |pem: &str| {
        let tls = tls_config(&ca, Path::new(pem), Path::new(pem)).unwrap();
        KmipClient::connect(address, tls).await.unwrap()
    };
    let mut client = connect(&one).await;
    let key = client.create_active().await.unwrap();

    change(&demo, "add", ("--new", &two));
    is_taken_in_the_end(&demo, &two, true).await;
    assert!(is_taken(&demo, &one), "both are good while the second takes over");

    let mut client = connect(&one).await;
    client.state(&key).await.unwrap();
    change(&demo, "remove", ("--fingerprint", &one));
    is_taken_in_the_end(&demo, &one, false).await;
    eventually("its connection ends", async || client.state(&key).await.err()).await;
    let mut second = connect(&two).await;
    second.state(&key).await.expect("the system's objects are those of its next certificate");
    demo.end();
}
