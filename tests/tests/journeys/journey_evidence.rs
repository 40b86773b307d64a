//! An auditor's pack of the demo's tenant: made from what governance shows, checked with every process of the demo gone.

use std::fs;

use crate::demo::{Demo, until};

#[test]
fn a_pack_of_a_tenant_that_was_stopped_is_checked_when_nothing_runs_any_more() {
    let demo = Demo::start();
    let (tenant, pack) = (demo.tenant("acme").to_owned(), demo.file("pack"));
    let id = demo.propose("carol", &["revoke", "propose", "--tenant", "acme", "--reason", "a drill"]);
    demo.approve("dave", &id);
    until("every region has answered", || {
        (demo.ok(None, &["proposal", "show", &id])["state"] == "active").then_some(())
    });
    let log = demo.ok(None, &["audit", "checkpoint"])["verifier"].as_str().unwrap().to_owned();
    let folder = pack.to_str().unwrap().to_owned();
    let made = demo.ok(None, &["evidence", "pack", "--tenant", &tenant, "--log", &log, "--out", &folder]);
    assert_eq!(made["not_proved"], 0, "the kill switch was exercised, and all else follows: {made}");
    let copy = tempfile::tempdir().unwrap();
    let away = copy.path().join("pack");
    fs::rename(&pack, &away).unwrap();
    let away = away.to_str().unwrap().to_owned();
    let verify =
        |folder: &str| demo.kcm(None, &["evidence", "verify", folder, "--fingerprint", &tenant, "--log", &log]);

    for node in ["gov-1", "fra-1", "zrh-1", "iad-1"] {
        demo.ask_to_end(node);
    }
    let checked = verify(&away);
    assert!(checked.code == 0 && checked.json["log_compared"] == true, "{checked:?}");
    let claims = checked.json["claims"].as_array().unwrap();
    let stopped = claims.iter().find(|claim| claim["topic"] == "kill-switch").unwrap();
    let says = stopped["says"].as_str().unwrap();
    assert!(["eu-frankfurt at", "ch-zurich at", "us-east at"].iter().all(|region| says.contains(region)), "{says}");
    let certificate = format!("{away}/certificates/{id}.json");
    assert_eq!(demo.kcm(None, &["certificate", "verify", &certificate, "--tenant", &tenant]).code, 0);

    let edited = fs::read_to_string(&certificate).unwrap().replacen("\"approvals\"", "\"approvalz\"", 1);
    fs::write(&certificate, edited).unwrap();
    let refused = verify(&away);
    assert!(refused.code == 4 && refused.errors.contains("SHA-256"), "{refused:?}");
    demo.end();
}
