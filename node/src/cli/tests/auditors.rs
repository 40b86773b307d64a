//! What an auditor and a witness do against a governance that runs: keep, compare, follow, carry away.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{super::exit::Exit, house::House};

/// A house with a decision in its ledger, and the key under its checkpoints.
fn furnished() -> (House, String) {
    let house = House::furnished();
    let log = house.kcm(&["audit", "checkpoint"]).unwrap().json["verifier"].as_str().unwrap().to_owned();
    (house, log)
}

fn decide(house: &House) {
    let propose = ["--as", "carol", "revoke", "propose", "--tenant", "acme", "--reason", "drill"];
    assert_eq!(house.kcm(&propose).unwrap().exit, Exit::Waits);
}

#[test]
fn a_checkpoint_that_was_kept_holds_the_live_ledger_and_its_export() {
    let (house, log) = furnished();
    let (early, export) = (house.named("early.note"), house.named("ledger.jsonl"));
    let kept = house.kcm(&["audit", "checkpoint", "--log", &log, "--out", &early]).unwrap();
    assert!(kept.text.contains("Verified here: signed by test/ledger"), "{}", kept.text);
    decide(&house);
    let live = house.kcm(&["audit", "verify", "--checkpoint", &early, "--log", &log]).unwrap();
    assert!(live.text.contains("it goes on from the checkpoint of 1 entries"), "{}", live.text);
    assert_eq!((&live.json["checkpoint"], &live.json["consistent_with"]), (&json!(2), &json!([1])));
    let proven = house.kcm(&["audit", "prove", "1", "--checkpoint", &early, "--log", &log]).unwrap();
    assert_eq!((&proven.json["proven"], &proven.json["size"]), (&json!(true), &json!(1)));
    let later = house.kcm(&["audit", "prove", "2", "--checkpoint", &early, "--log", &log]).unwrap_err();
    assert_eq!(later.code.as_deref(), Some("no-such-size"));

    assert_eq!(house.kcm(&["audit", "export", "--out", &export]).unwrap().json["entries"], 2);
    let offline = ["audit", "verify", &export, "--checkpoint", &early, "--log", &log];
    let sound = house.kcm(&offline).unwrap();
    assert!(sound.text.contains("Checked: it goes on from the checkpoint of 1 entries"), "{}", sound.text);
    let again = house.kcm(&["audit", "export", "--out", &export]).unwrap_err();
    assert!(again.why.contains("exists already"), "{again}");
    let text = fs::read_to_string(&export).unwrap();
    fs::write(&export, text.replacen("tenant.provisioned", "tenant.provisionet", 1)).unwrap();
    assert_eq!(house.kcm(&offline).unwrap_err().exit, Exit::Denied);
}

fn look(house: &House, log: &str, folder: &Path) -> Result<Value, super::super::exit::Failure> {
    let (key, folder) = (house.named("w1.key"), folder.display().to_string());
    if !Path::new(&key).exists() {
        house.kcm(&["actor", "keygen", "--person", "w1", "--out", &key]).unwrap();
    }
    let words = ["witness", "--once", "--log", log, "--name", "audit.example/w1", "--signing-key", &key, &folder];
    house.kcm(&words).map(|report| report.json)
}

#[test]
fn a_witness_cosigns_what_grows_and_refuses_another_history_of_the_same_name() {
    let ((house, log), folder) = (furnished(), tempfile::tempdir().unwrap());
    assert_eq!(look(&house, &log, folder.path()).unwrap()["size"], 1);
    decide(&house);
    let second = look(&house, &log, folder.path()).unwrap();
    assert_eq!(second["size"], 2);
    let (note, key) = (second["file"].as_str().unwrap(), second["key"].as_str().unwrap());
    let verified = ["audit", "verify", "--checkpoint", note, "--log", &log, "--witness", key];
    let text = house.kcm(&verified).unwrap().text;
    assert!(text.contains("signed by test/ledger, cosigned by audit.example/w1 at "), "{text}");
    let plain = house.named("plain.note");
    house.kcm(&["audit", "checkpoint", "--out", &plain]).unwrap();
    let alone = ["audit", "verify", "--checkpoint", &plain, "--log", &log, "--witness", key];
    assert!(house.kcm(&alone).unwrap_err().why.contains("no signature of audit.example/w1"));

    // The same deployment, the same key, another ledger: a backup, or a second truth.
    let (other, same) = furnished();
    assert_eq!(same, log);
    fs::copy(house.path("w1.key"), other.path("w1.key")).unwrap();
    for (grow, why) in [(false, "became shorter"), (true, "two histories"), (true, "two histories")] {
        if grow {
            decide(&other);
        }
        let refused = look(&other, &log, folder.path()).unwrap_err();
        assert_eq!(refused.exit, Exit::Denied);
        assert!(refused.why.contains(why), "{refused}");
    }
    assert_eq!(look(&house, &log, folder.path()).unwrap()["size"], 2);
}

#[test]
fn entries_are_found_followed_and_carried_to_a_collector() {
    let (house, _) = furnished();
    decide(&house);
    let search = |words: &[&str]| {
        let report = house.kcm(&[&["audit", "search"], words].concat()).unwrap();
        report.json["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["sequence"].as_u64().unwrap())
            .collect::<Vec<_>>()
    };
    let tenant = house.world.tenant().to_string();
    assert_eq!(search(&[]), [1, 2]);
    assert_eq!(search(&["--actor", "carol"]), [2]);
    assert_eq!(search(&["--kind", "tenant", "--tenant", &tenant]), [1]);
    assert_eq!(search(&["drill"]), [2], "the reason stands in the signed change");
    assert_eq!(search(&["--to", "2020-01-01T00:00:00Z"]), [0; 0]);
    let first = house.kcm(&["audit", "search", "--limit", "1"]).unwrap();
    assert!(first.text.contains("go on with --after 1"), "{}", first.text);
    let tail = house.kcm(&["audit", "tail", "--kind", "proposal", "--wait", "200ms"]).unwrap();
    assert_eq!(tail.json, json!({ "told": 1, "after": 2 }));

    let (chain, ocsf, cef) = (house.named("l.jsonl"), house.named("l.ocsf"), house.named("l.cef"));
    house.kcm(&["audit", "export", "--out", &chain]).unwrap();
    // From governance and from the export alike.
    let from = ["audit", "export", "--format", "ocsf", "--kind", "proposal", "--out", &ocsf];
    assert_eq!(house.kcm(&from).unwrap().json["entries"], 1);
    let from = ["audit", "export", "--format", "cef", "--ledger", &chain, "--after", "1", "--out", &cef];
    assert_eq!(house.kcm(&from).unwrap().json["entries"], 1);
    let event: Value = serde_json::from_str(&fs::read_to_string(&ocsf).unwrap()).unwrap();
    assert_eq!(
        (&event["activity_name"], &event["actor"]["user"]["name"]),
        (&json!("proposal.opened"), &json!("carol"))
    );
    let line = fs::read_to_string(&cef).unwrap();
    assert!(line.contains("|proposal.opened|") && line.contains(" suser=carol "), "{line}");
    let part = house.kcm(&["audit", "export", "--kind", "proposal", "--out", &house.named("x")]).unwrap_err();
    assert_eq!(part.exit, Exit::Usage);
    assert!(!house.path("x").exists(), "nothing half-written is left");
}
