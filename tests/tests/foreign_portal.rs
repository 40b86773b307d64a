//! The portal's page against the Rust code: both write the same bytes, digests and keys, and refuse the same lies. Node runs the page's own
//! modules; the journey of the portal has them in a browser.

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, process::Command};

    use orbital::{
        canon,
        change::{Action, Change},
        enrol::Enrolment,
        names::System,
        quorum::Verify,
        sign::{Kind, Signed},
        testing::{World, authenticator::Authenticator, person},
        trust::Algorithm,
        vote::{Role, Vote},
    };
    use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PublicKeyData};
    use serde_json::{Value, json};

    fn text(bytes: &[u8]) -> Value {
        #[derive(serde::Serialize)]
        struct Bytes<'b>(#[serde(with = "canon::bytes")] &'b [u8]);
        serde_json::to_value(Bytes(bytes)).unwrap()
    }

    fn canonical() -> Vec<Value> {
        let texts = ["", "a\"b\\c", "\u{8}\t\n\u{c}\r\u{0}\u{1f}\u{7f}", "é ß \u{2028} 😀 \u{ffff}", "</script>"];
        let mut values: Vec<Value> = texts.iter().map(|text| json!(text)).collect();
        // By UTF-16 code units the pair of surrogates goes before U+FB33, by code points behind it.
        values.push(json!({ "\u{20ac}": "1", "\r": "2", "\u{fb33}": "3", "1": "4", "😀": "5", "\u{80}": "6", "ö": "7", "10": "8", "": "9" }));
        values.push(json!({ "b": [], "a": {}, "c": [true, false, ["x", { "__proto__": "y" }]] }));
        values
            .into_iter()
            .map(|value| json!({ "bytes": text(&canon::write("a value", &value).unwrap()), "value": value }))
            .collect()
    }

    fn not_canonical() -> Vec<Value> {
        let spelt = [
            "{\"b\":\"1\",\"a\":\"2\"}",
            "{\"a\":\"1\",\"a\":\"1\"}",
            "{\"a\": \"1\"}",
            "{\"a\":1}",
            "{\"a\":null}",
            "{\"a\":\"\\u0061\"}",
            "{\"a\":\"\\/\"}",
            "{\"a\":\"1\"}\n",
            "\u{feff}{}",
            "{",
            "",
        ];
        spelt.iter().map(|bytes| text(bytes.as_bytes())).chain([text(&[b'"', 0xff, b'"'])]).collect()
    }

    fn answers(world: &World, proposal: &Signed) -> Vec<Value> {
        let roles = [(Role::Approve, "approve"), (Role::Reject, "reject"), (Role::Confirm, "confirm")];
        let one = |(role, name): (Role, &str)| {
            let signer = world.signer("bob");
            let signed = Vote::answer(role, proposal, &signer).unwrap();
            let by =
                json!({ "person": signer.person, "key": signer.key, "origin": signer.origin, "nonce": signer.nonce });
            json!({ "role": name, "proposal": text(&proposal.statement), "signer": by, "statement": text(&signed.statement) })
        };
        roles.into_iter().map(one).collect()
    }

    /// Stops as somebody proposes them on the page.
    fn stops(world: &World) -> Vec<Value> {
        let one = |action: Action| {
            let change = world.change(action);
            let (bytes, trust, signer) = (change.to_bytes().unwrap(), world.trust(), world.signer("carol"));
            let regions = json!({ "regions": trust.regions });
            let tenant = json!({
                "id": change.tenant, "deployment": change.deployment, "trust_version": trust.version, "epoch": change.epoch,
                "trust_root": regions,
            });
            let by =
                json!({ "person": signer.person, "key": signer.key, "origin": signer.origin, "nonce": signer.nonce });
            let statement = Vote::propose(&bytes, trust, world.expires, &signer).unwrap().statement;
            json!({
                "kind": change.kind(), "tenant": tenant, "reason": change.reason, "nonce": change.nonce, "trust": trust,
                "expires": world.expires, "signer": by, "bytes": text(&bytes), "statement": text(&statement),
            })
        };
        [Action::RevokeL1 {}, Action::BlockTenant {}, Action::SuspendL1 {}].into_iter().map(one).collect()
    }

    /// A proposal and its tenant as the portal tells them, with what the page must say.
    fn proposal(world: &World, action: Action, says: &[&str]) -> Value {
        // A stop carries what its proposer was shown.
        let evidence = action.kind().is_stop().then_some("{\"regions\":[]}");
        let named = evidence.map(|text| Kind::Evidence.digest(text.as_bytes()));
        let change = Change { evidence: named, ..world.change(action) };
        let bytes = change.to_bytes().unwrap();
        let mut view = json!({
            "kind": change.kind(), "tenant": change.tenant, "change_bytes": text(&bytes), "digest": Change::digest_of(&bytes),
            "proposer": "alice", "proposal": world.propose(&bytes, "alice"),
        });
        if let Some(evidence) = evidence {
            view["evidence"] = json!(evidence);
        }
        let root = text(&world.trust().to_bytes().unwrap());
        let tenant = json!({ "id": world.tenant(), "trust_bytes": root, "links": [], "genesis": { "root": root } });
        json!({ "view": view, "tenant": tenant, "says": says })
    }

    fn proposals(world: &World) -> Vec<Value> {
        let kills = [orbital::names::Digest([7; 32])].into();
        let system = System::new("billing").unwrap();
        let registered = world.next(|root| _ = root.systems.insert(system.clone()));
        let weaker = world.next(|root| {
            let rule = root.rules.get_mut(&orbital::change::ChangeKind::RevokeL1).unwrap();
            rule.verify = Verify::Key;
            rule.confirm = true;
        });
        let peopled = world.next(|root| {
            root.actors.remove(&person("karl"));
            root.actors.insert(person("zoe"), world.newcomer("zoe", &["Audit"]));
        });
        let bundle = policy::Bundle::default_bundle().unwrap();
        let policed = world.next(|root| root.policy = bundle.digest());
        let fields = [("/development", "true"), ("/t/ca", "ca.pem"), ("/t/ca/sha256", "x")];
        let governed: orbital::site::Governed =
            fields.into_iter().map(|(pointer, value)| (pointer.to_owned(), value.to_owned())).collect();
        let governed = governed.to_bytes().unwrap();
        let topology = Action::ApplyTopology { serial: 7, governed, tenants: [].into() };
        let policed = Action::ChangePolicy { next: policed, bundle: bundle.canonical().to_vec() };
        let zoe = format!("+ key {} of zoe: {}", orbital::testing::KEY, orbital::testing::newcomer_key("zoe").public());
        vec![
            proposal(
                world,
                Action::RevokeL1 {},
                &["REVOKE: every region locks this tenant", "Regions: ", "Names what the proposer was shown: "],
            ),
            proposal(world, Action::RestoreL1 { kills }, &["BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc"]),
            proposal(
                world,
                Action::RegisterSystem { system, next: registered },
                &["adds the system billing", "+ system billing"],
            ),
            proposal(
                world,
                Action::ChangeQuorum { next: weaker },
                &["+ RevokeL1 needs 2 of Senior_Leadership, then the proposer confirms"],
            ),
            proposal(
                world,
                topology,
                &["TOPOLOGY: from serial 7 on", "  /development = true", "  the content of /t/ca = SHA-256 x"],
            ),
            proposal(world, policed, &["POLICY: replaces the Cedar policies", "@id(\"group-members-propose\")"]),
            proposal(world, Action::ChangeActors { next: peopled }, &["- karl, of Audit", "+ zoe, of Audit", &zoe]),
        ]
    }

    fn keys() -> Vec<Value> {
        let one = |algorithm| {
            let key = KeyPair::generate_for(algorithm).unwrap();
            let raw = key.der_bytes().to_vec();
            // SEC 1 §2.3.3 for P-256.
            let ours = if raw.len() == 65 { [&[2 + (raw[64] & 1)], &raw[1..33]].concat() } else { raw };
            json!({ "spki": text(&key.subject_public_key_info()), "key": text(&ours) })
        };
        [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P256_SHA256, &PKCS_ED25519]
            .into_iter()
            .map(one)
            .collect()
    }

    fn vectors() -> Value {
        let world = World::new();
        let change = world.change(Action::RevokeL1 {}).to_bytes().unwrap();
        let proposed = world.propose(&change, "alice");
        let kinds = [
            Kind::Change,
            Kind::Trust,
            Kind::Propose,
            Kind::Approve,
            Kind::Reject,
            Kind::Confirm,
            Kind::Policy,
            Kind::Enrol,
        ];
        let digest =
            |kind: Kind| json!({ "kind": kind.label(), "bytes": text(&change), "found": kind.digest(&change) });
        let passkey = Authenticator::new("test/acme", "zoe").public();
        let enrolment = Enrolment::new(world.tenant(), person("zoe"), Algorithm::Webauthn, passkey);
        json!({
            "canonical": canonical(),
            "not_canonical": not_canonical(),
            "digests": kinds.map(digest),
            "answers": answers(&world, &proposed),
            "stops": stops(&world),
            "enrolment": {
                "tenant": world.tenant(), "person": "zoe", "algorithm": "webauthn", "public": passkey,
                "statement": text(&enrolment.to_bytes().unwrap()),
            },
            "keys": keys(),
            "proposals": proposals(&world),
        })
    }

    #[test]
    fn the_page_writes_and_refuses_as_the_rust_code_does() {
        if Command::new("node").arg("--version").output().is_err() {
            println!("the portal's page: skipped: there is no `node` (`make test` installs it)");
            return;
        }
        let folder = tempfile::tempdir().unwrap();
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        for file in fs::read_dir(root.join("portal-api/ui")).unwrap().map(Result::unwrap) {
            fs::copy(file.path(), folder.path().join(file.file_name())).unwrap();
        }
        fs::copy(root.join("tests/foreign/portal.test.mjs"), folder.path().join("portal.test.mjs")).unwrap();
        fs::write(folder.path().join("package.json"), r#"{"type":"module"}"#).unwrap();
        fs::write(folder.path().join("vectors.json"), vectors().to_string()).unwrap();
        let ran = Command::new("node").args(["--test", "portal.test.mjs"]).current_dir(folder.path()).output().unwrap();
        let said = String::from_utf8_lossy(&ran.stdout);
        assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
        assert!(said.contains("pass 8"), "not every test ran: {said}");
    }
}
