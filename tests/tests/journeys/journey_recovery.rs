//! Recovery: cold keys change a tenant's people, every region waits for itself, over its restarts, and the people cancel it.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::demo::{Demo, until};

/// When each region may take this recovery, once all of them have said so after a moment, Unix milliseconds.
fn waits(demo: &Demo, change: &str, since: u128) -> Value {
    until("every region waits", || {
        let shown = demo.ok(None, &["tenant", "show", "acme"]);
        let regions = shown["regions"].as_object().unwrap().clone();
        let due = |(name, region): (&String, &Value)| {
            let said = u128::from(region["observed_ms"].as_u64()?) > since;
            Some((name.clone(), region.pointer("/observed/recoveries")?.get(change).filter(|_| said)?.clone()))
        };
        let all: serde_json::Map<_, _> = regions.iter().filter_map(due).collect();
        (all.len() == regions.len()).then(|| all.into())
    })
}

#[test]
fn a_recovery_waits_in_every_region_until_the_people_cancel_it() {
    let mut demo = Demo::start();
    let file = |name: &str| demo.file(name).display().to_string();
    let keys = ["north", "south"].map(|name| {
        let made = demo.ok(None, &["actor", "keygen", "--person", name, "--out", &file(name)]);
        made["public"].as_str().unwrap().to_owned()
    });
    let mut terms = vec!["trust", "recovery", "terms", "--tenant", "acme"];
    keys.iter().for_each(|key| terms.extend(["--public-key", key.as_str()]));
    demo.decide("erin", &terms);

    let [chain, enrolment, new, out] = ["acme.chain", "bob.enrolment", "bob.new", "recovery.json"].map(file);
    demo.ok(None, &["tenant", "trust", "acme", "--out", &chain]);
    let epoch = demo.ok(None, &["tenant", "show", "acme"])["epoch"].to_string();
    demo.ok(None, &["actor", "keygen", "--person", "bob", "--out", &new]);
    demo.ok(Some("bob"), &["--key", &new, "actor", "enrol", "--tenant", "acme", "--out", &enrolment]);
    let sign = |more: &[&str]| demo.kcm(None, &[&["trust", "recovery", "sign", "--out", &out], more].concat());
    let begin = ["--tenant-file", &chain, "--epoch", &epoch, "--enrolment", &enrolment];
    assert_eq!(sign(&[&["--recovery-key", &file("north")], &begin[..]].concat()).code, 3);
    assert_eq!(sign(&["--recovery-key", &file("south")]).code, 0);
    let sent = demo.kcm(None, &["trust", "recovery", "send", &out]);
    assert_eq!(sent.code, 3, "{sent:?}");
    let change = sent.json["change"].as_str().unwrap().to_owned();

    let before = waits(&demo, &change, 0);
    demo.kill_9("zrh-1");
    let killed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
    demo.run("zrh-1");
    assert_eq!(waits(&demo, &change, killed), before, "each counts from its own first receipt");
    assert_eq!(demo.kcm(None, &["status"]).code, 6, "somebody should look");

    demo.decide("erin", &["trust", "recovery", "cancel", "--tenant", "acme", "--reason", "nobody meant that"]);
    until("no region waits any more", || {
        let shown = demo.ok(None, &["tenant", "show", "acme"]);
        let waiting =
            |region: &Value| region.pointer("/observed/recoveries").is_none_or(|r| r != &serde_json::json!({}));
        (!shown["regions"].as_object().unwrap().values().any(waiting)).then_some(())
    });
    assert_eq!(demo.kcm(None, &["trust", "recovery", "send", &out]).code, 4);
    demo.end();
}
