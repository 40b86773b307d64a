//! A tenant that its regions do not pin: what people are told, what waits, and what becomes of it once it is withdrawn.

use std::fs;

use serde_json::Value;

use crate::demo::{Demo, eventually};

/// A description of a tenant with the people and regions of one of the demo's.
fn spec(trust: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let mut spec = format!(
        "deployment = {}\nname = \"initech\"\nresidency = {}\nlease = {{ key = {} }}\n",
        trust["deployment"], trust["residency"], trust["lease"]["key"]
    );
    for (person, actor) in trust["actors"].as_object().unwrap() {
        let keys = actor["keys"].as_object().unwrap().iter().map(|(name, key)| format!("{name} = {}", key["public"]));
        let keys: Vec<_> = keys.collect();
        spec.push_str(&format!("[actors.{person}]\ngroups = {}\nkeys = {{ {} }}\n", actor["groups"], keys.join(", ")));
    }
    for (name, region) in trust["regions"].as_object().unwrap() {
        let (report, hpke) = (text(&region["report_key"]), text(&region["hpke_key"]));
        let jurisdiction = &region["jurisdiction"];
        spec.push_str(&format!(
            "[regions.{name}]\njurisdiction = {jurisdiction}\nreport_key = \"{report}\"\nhpke_key = \"{hpke}\"\n"
        ));
    }
    spec
}

/// A tenant that every first actor has signed: its id.
fn founded(demo: &Demo) -> String {
    let trust = demo.ok(None, &["tenant", "show", "acme"])["trust_root"].clone();
    let (made, genesis) = (demo.file("initech.toml"), demo.file("initech.json").display().to_string());
    fs::write(&made, spec(&trust)).unwrap();
    demo.ok(None, &["tenant", "genesis", "--spec", &made.display().to_string(), "--out", &genesis]);
    for person in trust["actors"].as_object().unwrap().keys() {
        demo.ok(Some(person), &["tenant", "sign", &genesis]);
    }
    demo.ok(None, &["tenant", "provision", &genesis])["id"].as_str().unwrap().to_owned()
}

/// The node pins the tenant from now on.
fn pin(demo: &mut Demo, id: &str, node: &str) {
    let path = demo.dir().join("topology.toml");
    let file = fs::read_to_string(&path).unwrap();
    if !file.contains(id) {
        fs::write(&path, file.replacen("[pin]\n", &format!("[pin]\ninitech = \"{id}\"\n"), 1)).unwrap();
        assert!(fs::read_to_string(&path).unwrap().contains(id));
    }
    demo.kill_9(node);
    demo.run(node);
}

fn state(demo: &Demo) -> Value {
    demo.ok(None, &["tenant", "show", "initech"])
}

async fn until(demo: &Demo, region: &str, word: &str) {
    let told = async || (state(demo)["regions"][region]["founding"]["state"] == word).then_some(());
    eventually(&format!("{region} is told as {word}"), told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_that_a_region_does_not_take_is_withdrawn_everywhere_and_for_good() {
    let mut demo = Demo::start();
    let id = founded(&demo);
    for region in ["eu-frankfurt", "ch-zurich", "us-east"] {
        until(&demo, region, "refused").await;
    }
    let shown = state(&demo);
    assert_eq!(shown["state"], "PROVISIONING");
    let why = shown["regions"]["us-east"]["founding"]["why"].as_str().unwrap();
    assert!(why.contains("is not pinned here"), "{why}");
    let status = demo.kcm(None, &["status"]);
    assert!(status.code == 6 && status.json["wrong"].to_string().contains("initech is not provisioned"), "{status:?}");

    // It is brought there again by itself, once a region pins it.
    pin(&mut demo, &id, "fra-1");
    until(&demo, "eu-frankfurt", "done").await;
    let link = ["key", "link", "--tenant", "initech", "--provider", "acme-kms", "--ref", "k"];
    let refused = demo.kcm(Some("alice"), &link);
    assert!(refused.code == 4 && format!("{refused:?}").contains("half-founded"), "{refused:?}");

    let proposal = demo.propose("carol", &["tenant", "withdraw", "initech", "--reason", "mistyped"]);
    let done = demo.kcm(Some("dave"), &["proposal", "approve", &proposal, "--wait", "60s"]);
    assert_eq!(done.code, 0, "each region confirms its end: {done:?}");
    let shown = state(&demo);
    assert_eq!(
        (&shown["state"], &shown["regions"]["us-east"]["founding"]["state"]),
        (&"TERMINATED".into(), &"withdrawn".into())
    );
    let again = demo.kcm(Some("carol"), &["tenant", "withdraw", "initech"]);
    assert!(again.code == 4 && format!("{again:?}").contains("nothing to withdraw"), "{again:?}");

    // Pinned too late, and with governance started anew: it is not brought there.
    pin(&mut demo, &id, "zrh-1");
    demo.kill_9("gov-1");
    demo.run("gov-1");
    let held = |region: &str| {
        demo.ok(None, &["region", "list"])["items"]
            .as_array()
            .unwrap()
            .iter()
            .find(|r| r["name"] == region)
            .cloned()
            .unwrap()
    };
    eventually("the region is back and says what it holds", async || {
        let done = demo.kcm(None, &["region", "list"]);
        let back = done.code == 0 && held("ch-zurich")["tenants"].as_object().is_some_and(|all| all.len() >= 2);
        back.then_some(())
    })
    .await;
    assert!(held("ch-zurich")["tenants"].get(&id).is_none());
    assert_eq!(state(&demo)["state"], "TERMINATED");
    demo.end();
}
