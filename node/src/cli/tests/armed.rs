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
