//! A revocation that is signed in advance, as a file, and fired by one of its signers.

use serde_json::{Value, json};

use super::{super::exit::Exit, house::House};

#[test]
fn an_armed_revocation_is_delivered_when_one_of_its_signers_has_fired_it() {
    let house = House::furnished();
    let [chain, out, fired, other] = ["chain", "armed", "fired", "other"].map(|n| house.named(&format!("{n}.json")));
    house.kcm(&["tenant", "trust", "acme", "--out", &chain]).unwrap();
    let begin = |more: &[&str]| {
        let words = ["--as", "carol", "revoke", "sign", "--tenant-file", &chain, "--out", &out];
        house.kcm(&[&words[..], more].concat())
    };
    assert!(begin(&["--armed-until", "9601h"]).unwrap_err().why.contains("400 days"));
    assert!(begin(&["--armed-until", "1h", "--stop", "block"]).unwrap_err().why.contains("kills alone"));
    assert_eq!(begin(&["--armed-until", "720h"]).unwrap().exit, Exit::Waits);
    let fire = |who: &str, from: &str, to: &str| house.kcm(&["--as", who, "revoke", "fire", from, "--out", to]);
    assert!(fire("carol", &out, &fired).unwrap_err().why.contains("signatures are missing"));
    let again = house.kcm(&["--as", "dave", "revoke", "sign", "--out", &out, "--armed-until", "1h"]).unwrap_err();
    assert_eq!(again.exit, Exit::Usage);
    let armed = house.kcm(&["--as", "dave", "revoke", "sign", "--out", &out]).unwrap();
    assert_eq!((armed.exit, &armed.json["fired"]), (Exit::Done, &json!(false)));
    assert!(armed.text.contains("ARMED: can be fired until"), "{}", armed.text);

    let deliver = |file: &str| house.kcm(&["revoke", "deliver", file, "--to", "localhost:1"]);
    let early = deliver(&out).unwrap_err();
    assert_eq!((early.exit, early.what.as_str()), (Exit::Denied, "the stop is armed and was not fired"));
    let tenant = house.world.tenant().to_string();
    let verify = |file: &str| house.kcm(&["certificate", "verify", file, "--tenant", &tenant]).unwrap();
    let shown = verify(&out);
    assert_eq!((shown.exit, &shown.json["fired"]), (Exit::Waits, &json!(false)));
    assert!(shown.text.contains("nobody has fired it") && shown.text.contains("ARMED: "), "{}", shown.text);

    assert!(fire("heidi", &out, &fired).unwrap_err().what.contains("did not sign"));
    let done = fire("dave", &out, &fired).unwrap();
    assert_eq!((&done.json["complete"], &done.json["fired"]), (&json!(true), &json!(true)));
    assert!(fire("carol", &fired, &other).unwrap_err().why.contains("fired already"));
    assert_eq!(deliver(&fired).unwrap().exit, Exit::Unconfirmed, "nobody listens there");
    let shown = verify(&fired);
    assert_eq!((shown.exit, &shown.json["fired"]), (Exit::Done, &json!(true)));
    assert!(shown.text.contains("dave FIRES exactly this"), "{}", shown.text);
}

#[test]
fn nobody_signs_or_fires_an_armed_revocation_past_its_date() {
    let house = House::furnished();
    let [chain, half, whole, out] = ["chain", "half", "whole", "out"].map(|n| house.named(&format!("{n}.json")));
    house.kcm(&["tenant", "trust", "acme", "--out", &chain]).unwrap();
    let now = super::super::compose::now();
    let armed = Some(orbital::change::FireUntil(now - 1));
    let change = orbital::change::Change { armed, ..house.world.change(orbital::change::Action::RevokeL1 {}) };
    let file: Value = serde_json::from_slice(&std::fs::read(&chain).unwrap()).unwrap();
    let write = |to: &str, approvers: &[&str]| {
        let certificate = house.world.sign_change(&change, "carol", approvers);
        let stop = json!({ "genesis": file["genesis"], "links": file["links"], "certificate": certificate });
        std::fs::write(to, stop.to_string()).unwrap();
    };
    write(&half, &[]);
    write(&whole, &["dave"]);
    let signed = house.kcm(&["--as", "dave", "revoke", "sign", "--out", &half]).unwrap_err();
    let fired = house.kcm(&["--as", "dave", "revoke", "fire", &whole, "--out", &out]).unwrap_err();
    for failure in [signed, fired] {
        assert_eq!((failure.exit, failure.what.as_str()), (Exit::Denied, "the armed stop is over"));
    }
    let change = house.world.kill();
    let plain = json!({ "genesis": file["genesis"], "links": file["links"], "certificate": change });
    std::fs::write(&whole, plain.to_string()).unwrap();
    let plain = house.kcm(&["--as", "dave", "revoke", "fire", &whole, "--out", &out]).unwrap_err();
    assert!(plain.why.contains("not armed"), "{plain}");
}

#[test]
fn through_governance_too_one_of_its_signers_fires_it() {
    let house = House::furnished();
    let propose = ["--as", "carol", "revoke", "propose", "--tenant", "acme", "--armed-until"];
    assert!(house.kcm(&[&propose[..], &["9601h"]].concat()).unwrap_err().why.contains("400 days"));
    let proposed = house.kcm(&[&propose[..], &["720h"]].concat()).unwrap();
    let id = proposed.json["id"].as_str().unwrap();
    let as_who = |who: &str, deed: &str| house.kcm(&["--as", who, "proposal", deed, id, "--wait", "10ms"]);
    assert_eq!(as_who("carol", "fire").unwrap_err().code.as_deref(), Some("not-armed"));
    let armed = as_who("dave", "approve").unwrap();
    assert_eq!((armed.exit, &armed.json["state"]), (Exit::Waits, &json!("armed")));
    for part in ["ARMED: can be fired until", "May fire: carol, dave. With: kcm --as PERSON proposal fire"] {
        assert!(armed.text.contains(part), "{part}: {}", armed.text);
    }
    let stranger = as_who("heidi", "fire").unwrap_err();
    assert_eq!((stranger.exit, stranger.code.as_deref()), (Exit::Denied, Some("uncertified")), "{stranger}");
    let tenant = house.kcm(&["tenant", "show", "acme"]).unwrap();
    assert_eq!(tenant.json["kills"], json!([]), "nothing is stopped yet");
    // For the day on which governance is away.
    let [kept, by_hand] = ["kept.json", "by-hand.json"].map(|name| house.named(name));
    house.kcm(&["proposal", "certificate", id, "--out", &kept]).unwrap();
    let done = house.kcm(&["--as", "dave", "revoke", "fire", &kept, "--out", &by_hand]).unwrap();
    assert_eq!(done.json["complete"], json!(true), "{}", done.text);
    let fired = as_who("dave", "fire").unwrap();
    assert_eq!((fired.exit, &fired.json["state"]), (Exit::Unconfirmed, &json!("applying")), "no region answers here");
    let shown = house.kcm(&["proposal", "show", id]).unwrap();
    assert!(shown.text.contains("dave") && shown.text.contains("fired"), "{}", shown.text);
    let out = house.named("fired.json");
    house.kcm(&["proposal", "certificate", id, "--out", &out]).unwrap();
    let verified = house.kcm(&["certificate", "verify", &out, "--tenant", "acme"]).unwrap();
    assert_eq!(verified.json["fired"], json!(true), "{}", verified.text);
}
