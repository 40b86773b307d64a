//! Whole errands: found, propose, approve, revoke, with and without governance.

use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
};

use orbital::{
    change::Change,
    directive::Directive,
    held::{Asked, Held},
    names::Digest,
    report::{Outcome, SyncAck},
    sign::{Kind, SecretKey, Signed},
    testing,
};
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::{
    super::{compose, exit::Exit, plain},
    house::House,
};
use crate::stop_listener::{Limits, StopSink, serve};

#[test]
fn a_revocation_takes_two_persons_and_tells_who_is_silent() {
    let house = House::furnished();
    let simulated = house.kcm(&["revoke", "simulate", "--tenant", "acme"]).unwrap();
    assert!(
        simulated.text.contains("us-east") && simulated.text.contains("Nothing was changed."),
        "{}",
        simulated.text
    );
    let proposed = house.kcm(&["--as", "carol", "revoke", "propose", "--tenant", "acme", "--reason", "drill"]).unwrap();
    assert_eq!(proposed.exit, Exit::Waits);
    assert!(proposed.text.contains("May sign next: dave, heidi"), "{}", proposed.text);
    let id = proposed.json["id"].as_str().unwrap().to_owned();

    let shown = house.kcm(&["proposal", "show", &id]).unwrap().text;
    assert!(shown.contains("Can approve: dave (Senior_Leadership), heidi (Senior_Leadership)."), "{shown}");
    assert!(shown.contains("not carol: proposed it"), "{shown}");
    assert!(shown.contains("Verified here") && shown.contains("REVOKE: every region locks this tenant"), "{shown}");
    assert!(shown.contains("Reason: \"drill\"."), "{shown}");
    let seen = [
        "Names what the proposer was shown: ",
        "Shown to the proposer, and signed with the change:",
        "Our nodes locked:",
    ];
    assert!(seen.iter().all(|words| shown.contains(words)), "{shown}");
    assert_eq!(proposed.json["evidence"].as_str().map(|text| text.contains(r#""systems":[{"#)), Some(true));
    let own = house.kcm(&["--as", "carol", "proposal", "approve", &id]).unwrap_err();
    assert_eq!((own.exit, own.code.as_deref()), (Exit::Denied, Some("proposer-approves")));
    let unasked = house.kcm(&["--as", "alice", "proposal", "approve", &id]).unwrap_err();
    assert_eq!(unasked.exit, Exit::Denied, "{unasked}");

    // No region is here: the wait ends, and says so.
    let approved = house.kcm(&["--as", "dave", "proposal", "approve", &id, "--wait", "300ms"]).unwrap();
    assert_eq!(approved.exit, Exit::Unconfirmed);
    assert!(approved.text.contains("unconfirmed"), "{}", approved.text);
    let watched = house.kcm(&["revoke", "watch", "--tenant", "acme", "--wait", "100ms"]).unwrap();
    assert_eq!(watched.exit, Exit::Unconfirmed);
    let restore = house.kcm(&["--as", "alice", "key", "restore", "--tenant", "acme"]).unwrap();
    assert_eq!(restore.json["kind"], "RestoreL1");
    assert_eq!(restore.json["change"]["action"]["kills"], json!([proposed.json["digest"]]));
}

#[test]
fn a_dry_run_needs_no_key_and_leaves_nothing_behind() {
    let house = House::furnished();
    let words = ["system", "register", "billing", "--tenant", "acme"];
    let dry = |who: &str| house.kcm(&[&["--as", who, "--key", "nowhere.key", "--dry-run"], &words[..]].concat());
    let tried = dry("alice").unwrap();
    assert_eq!((tried.exit, &tried.json["signed"]), (Exit::Done, &json!(false)));
    for told in [
        "REGISTER: adds the system billing",
        "Would change /trust_root/systems",
        "Can approve: bob (Compliance_Legal), grace (Compliance_Legal).",
        "Nothing was signed and nothing was written.",
    ] {
        assert!(tried.text.contains(told), "{told}: {}", tried.text);
    }
    assert_eq!(house.kcm(&["proposal", "list"]).unwrap().json["items"], json!([]));
    for (who, stop) in
        [("carol", &["tenant", "block", "acme"][..]), ("carol", &["revoke", "propose", "--tenant", "acme"])]
    {
        let tried = house.kcm(&[&["--as", who, "--dry-run"], stop].concat()).unwrap();
        assert!(tried.text.contains("Would change /halted/"), "{}", tried.text);
    }
    assert_eq!(dry("mallory").unwrap_err().code.as_deref(), Some("unknown-signer"));
    // What is not to be tried is not done either.
    let id = house.kcm(&[&["--as", "alice"], &words[..]].concat()).unwrap().json["id"].as_str().unwrap().to_owned();
    let file = house.named("made.pem");
    let refused: [&[&str]; 3] = [
        &["--as", "bob", "proposal", "approve", &id],
        &["--as", "erin", "caller", "add", "--tenant", "acme", "--system", testing::SYSTEM, "--new", &file],
        &["tenant", "list"],
    ];
    for words in refused {
        let failure = house.kcm(&[&["--dry-run"], words].concat()).unwrap_err();
        assert!(failure.what.contains("proposes nothing"), "{failure}");
    }
    assert!(!house.path("made.pem").exists());
    assert_eq!(house.kcm(&["proposal", "show", &id]).unwrap().json["approvals"], json!([]));
}

#[test]
fn a_proposal_is_rejected_withdrawn_and_listed() {
    let house = House::furnished();
    house.taken();
    let arn = "arn:aws:kms:eu-central-1:1:key/1";
    let link = ["--as", "alice", "key", "link", "--tenant", "acme", "--provider", "acme-aws", "--ref", arn];
    let first = house.kcm(&link).unwrap();
    let id = first.json["id"].as_str().unwrap();
    assert!(house.kcm(&["key", "list", "--tenant", "acme"]).unwrap().text.contains("proposed"));
    let rejected = house.kcm(&["--as", "bob", "proposal", "reject", id]).unwrap();
    assert_eq!(rejected.json["rejections"][0]["person"], "bob");
    let second = house.kcm(&link).unwrap();
    let id = second.json["id"].as_str().unwrap();
    let other = house.kcm(&["--as", "bob", "proposal", "withdraw", id]).unwrap_err();
    assert_eq!(other.code.as_deref(), Some("not-the-proposer"));
    assert_eq!(house.kcm(&["--as", "alice", "proposal", "withdraw", id]).unwrap().json["state"], "withdrawn");
    let list = house.kcm(&["proposal", "list", "--tenant", "acme", "--state", "withdrawn"]).unwrap();
    assert_eq!(list.json["items"].as_array().unwrap().len(), 1);
    let ended = house.kcm(&["proposal", "watch", id]).unwrap();
    assert_eq!(ended.exit, Exit::Denied);
}

#[test]
fn people_rules_systems_and_callers_are_composed_here() {
    let house = House::furnished();
    let key = house.named("zoe.key");
    crate::cli::files::write(
        "key",
        key.as_ref(),
        testing::secret("new", "zoe").to_text("zoe").as_bytes(),
        0o600,
        false,
    )
    .unwrap();
    let enrolment = house.named("zoe.enrolment");
    let enrols = |who: &str, out: &str| {
        house.kcm(&["--as", who, "--key", &key, "actor", "enrol", "--tenant", "acme", "--out", out])
    };
    enrols("zoe", &enrolment).unwrap();
    // What another said of that key, or of itself, enrols nobody.
    let other = house.named("max.enrolment");
    enrols("max", &other).unwrap();
    let add = ["--as", "erin", "actor", "add", "zoe", "--tenant", "acme", "--group", "Audit", "--enrolment"];
    let refused = house.kcm(&[&add[..], &[other.as_str()]].concat()).unwrap_err();
    assert!(refused.why.contains("it is for max"), "{refused}");
    let terms = ["actor", "passkeys", "--rp-id", "acme.example", "--origin", "https://kcm.acme.example"];
    let cases: [(&str, &[&str], &str); 8] = [
        ("erin", &["actor", "add", "zoe", "--group", "Audit", "--enrolment", &enrolment], "ChangeActors"),
        ("erin", &terms, "ChangeActors"),
        // Nobody has a passkey yet: such a rule could be met by nobody.
        ("erin", &["quorum", "set", "RotateL2", "--need", "Audit=1", "--need", "Admin=1", "--verify", "user"], ""),
        ("erin", &["actor", "join", "alice", "--group", "Audit"], "ChangeActors"),
        ("erin", &["actor", "remove", "heidi", "--key-name", "none"], ""),
        ("erin", &["quorum", "set", "RotateL2", "--need", "Audit=1", "--need", "Admin=1"], "ChangeQuorum"),
        ("alice", &["system", "register", "mongo-1"], "RegisterSystem"),
        ("alice", &["system", "register", testing::SYSTEM], ""),
    ];
    for (who, words, kind) in cases {
        let all: Vec<&str> =
            ["--as", who].into_iter().chain(words.iter().copied()).chain(["--tenant", "acme"]).collect();
        match house.kcm(&all) {
            Ok(report) => assert_eq!(report.json["kind"], kind, "{words:?}"),
            Err(failure) => assert_eq!((failure.exit, kind), (Exit::Usage, ""), "{words:?}: {failure}"),
        }
        // Several next versions at once, as keys on several machines would make them.
        _ = std::fs::remove_file(house.path(&format!("{who}.key.successors.json")));
    }
    let ca = house.named("ca.pem");
    let add = ["--as", "alice", "caller", "add", "--tenant", "acme", "--system", testing::SYSTEM, "--ca", &ca];
    let added = house.kcm(&add).unwrap();
    assert_eq!(added.json["kind"], "ChangeCallers");
    // One proposal about the callers is collected at a time.
    house.kcm(&["--as", "alice", "proposal", "withdraw", added.json["id"].as_str().unwrap()]).unwrap();
    // What it withdrew, alice has signed all the same.
    _ = std::fs::remove_file(house.path("alice.key.successors.json"));
    // With a key of its own, which is there once and for one reader.
    let file = house.named("mongo-1.pem");
    let place = ["--as", "alice", "kmip", "client", "add", "--tenant", "acme", "--system", testing::SYSTEM];
    let new = [&place[..], &["--new", &file]].concat();
    let made = house.kcm(&new).unwrap();
    let anchors = made.json["change"]["action"]["next"]["callers"].to_string();
    let pem = std::fs::read(&file).unwrap();
    let certificate = CertificateDer::from_pem_slice(&pem).unwrap();
    assert!(anchors.contains(&plain::fingerprint(&certificate).to_string()), "{anchors}");
    assert!(String::from_utf8(pem).unwrap().contains("PRIVATE KEY"));
    assert!(house.kcm(&new).unwrap_err().why.contains("exists already"));
    assert!(house.kcm(&place).unwrap_err().fix.contains("--new FILE"));
    // A rule that nobody could meet with one person gone never leaves this machine.
    let alone = ["--as", "erin", "quorum", "set", "LinkL1", "--need", "Audit=2", "--tenant", "acme"];
    assert_eq!(house.kcm(&alone).unwrap_err().exit, Exit::Usage);
    let id = added.json["id"].as_str().unwrap();
    let shown = house.kcm(&["proposal", "show", id]).unwrap().text;
    assert!(shown.contains("+ client CA") && shown.contains("uses system orders"), "{shown}");
}

#[test]
fn a_name_that_is_not_pinned_and_a_chain_of_another_tenant_sign_nothing() {
    let house = House::furnished();
    let unknown = house.kcm(&["--as", "carol", "revoke", "propose", "--tenant", "globex"]).unwrap_err();
    assert!(unknown.what.contains("not pinned"), "{unknown}");
    // Governance shows another tenant under an id that this context holds.
    let other = testing::World::of("test", "globex").tenant().to_string();
    house.kcm(&["tenant", "pin", "globex", &other]).unwrap();
    assert_eq!(house.kcm(&["--as", "carol", "revoke", "propose", "--tenant", "globex"]).unwrap_err().exit, Exit::Usage);
    let moved = house.kcm(&["tenant", "pin", "acme", &other]).unwrap_err();
    assert_eq!(moved.exit, Exit::Denied);
    let mut chain = super::super::TrustFile {
        tenant: house.world.tenant(),
        genesis: testing::World::of("test", "globex").genesis(),
        links: Vec::new(),
    };
    assert!(chain.verify(Some(house.world.tenant())).unwrap_err().why.contains("founds tenant"));
    chain.genesis.signatures.clear();
    assert_eq!(chain.verify(None).unwrap_err().exit, Exit::Denied);
}

#[test]
fn a_lying_portal_gets_no_signature() {
    use super::super::{show, wire};
    let house = House::furnished();
    let proposed = house.kcm(&["--as", "carol", "revoke", "propose", "--tenant", "acme"]).unwrap();
    let chain = house.world.chain();
    let read = |value: &Value| serde_json::from_value::<wire::Proposal>(value.clone()).unwrap();
    assert!(show::check(&read(&proposed.json), chain).is_ok());
    let other = house.kcm(&["--as", "carol", "revoke", "propose", "--tenant", "acme", "--reason", "other"]).unwrap();
    for member in ["change_bytes", "digest", "proposal"] {
        let mut forged = proposed.json.clone();
        forged[member] = other.json[member].clone();
        let failure = show::check(&read(&forged), chain).err().unwrap();
        assert_eq!(failure.exit, Exit::Denied, "{member}");
    }
    for evidence in [json!("{\"regions\":[]}"), Value::Null] {
        let mut forged = proposed.json.clone();
        forged["evidence"] = evidence;
        let failure = show::check(&read(&forged), chain).err().unwrap();
        assert!(failure.why.contains("what the proposer was shown"), "{failure}");
    }
    assert!(
        show::check(&read(&proposed.json), testing::World::of("test", "globex").chain()).is_err(),
        "another tenant"
    );
}

#[test]
fn evidence_counts_only_with_the_regions_own_signature() {
    use super::super::{show, wire};
    let house = House::furnished();
    let proposed = house.kcm(&["--as", "carol", "revoke", "propose", "--tenant", "acme"]).unwrap().json;
    let proof = |ack: Signed, confirmation: &str| {
        let progress = wire::Progress {
            confirmation: confirmation.to_owned(),
            why: String::new(),
            waited_us: None,
            took_us: None,
            lease_ends_ms: None,
            ack: Some(ack),
        };
        let proposal: wire::Proposal = serde_json::from_value(proposed.clone()).unwrap();
        show::proof("us-east", &progress, &proposal, house.world.chain())
    };
    let change = proposed["digest"].as_str().unwrap().parse().unwrap();
    let key = house.world.report_key("us-east");
    let good = ack(&house.world, Some(change), Outcome::Applied);
    assert_eq!(proof(good.sign(key).unwrap(), "applied"), "signed");
    assert_eq!(proof(good.sign(key).unwrap(), "refused"), "FOR ANOTHER");
    assert_eq!(proof(good.sign(house.world.report_key("ch-zurich")).unwrap(), "applied"), "NOT SIGNED BY IT");
    let older = ack(&house.world, Some(Kind::Change.digest(b"older")), Outcome::Applied);
    assert_eq!(proof(older.sign(key).unwrap(), "applied"), "FOR ANOTHER");
}

fn ack(world: &testing::World, change: Option<orbital::names::Digest>, outcome: Outcome) -> SyncAck {
    SyncAck {
        domain: Kind::SyncAck.domain(),
        deployment: world.deployment(),
        tenant: world.tenant(),
        region: testing::region("us-east"),
        directive: Kind::Directive.digest(b""),
        change,
        outcome,
        why: String::new(),
        members: [].into(),
        trust_version: 1,
        epoch: 0,
        generation: 1,
        at_us: 1,
        took_us: 1_500,
    }
}

/// A region that stops whatever it is asked to stop, and signs with the key that a test gives it.
struct Region {
    held: Option<Held>,
    answer: SyncAck,
    key: SecretKey,
    taken: Mutex<usize>,
}

impl StopSink for Region {
    fn held(&self, asked: &Asked) -> Option<Signed> {
        let held = Held { tenant: asked.tenant, nonce: asked.nonce.clone(), ..self.held.clone()? };
        held.sign(&self.key).ok()
    }
    fn stop(&self, directive: Vec<u8>) -> Pin<Box<dyn Future<Output = Option<Signed>> + Send>> {
        *self.taken.lock().unwrap() += 1;
        let mut answer = self.answer.clone();
        answer.directive = Directive::digest_of(&directive);
        if let Ok(Directive::Kill(warrant)) = Directive::decode(&directive) {
            answer.change = Some(Change::digest_of(&warrant.certificate.change));
        }
        let signed = answer.sign(&self.key).ok();
        Box::pin(async move { signed })
    }
}

#[test]
fn a_stop_is_signed_by_two_and_delivered_without_governance() {
    let house = House::furnished();
    let (chain, out) = (house.named("chain.json"), house.named("kill.json"));
    house.kcm(&["tenant", "trust", "acme", "--out", &chain]).unwrap();
    let first = house.kcm(&["--as", "carol", "revoke", "sign", "--tenant-file", &chain, "--out", &out]).unwrap();
    assert_eq!(first.exit, Exit::Waits);
    let early = house.kcm(&["revoke", "deliver", &out, "--to", "localhost:1"]).unwrap_err();
    assert_eq!((early.exit, early.what.as_str()), (Exit::Denied, "the stop is not complete"));
    assert_eq!(house.kcm(&["--as", "carol", "revoke", "sign", "--out", &out]).unwrap_err().exit, Exit::Denied);
    let second = house.kcm(&["--as", "dave", "revoke", "sign", "--out", &out]).unwrap();
    assert_eq!((second.exit, &second.json["complete"]), (Exit::Done, &Value::Bool(true)));

    let runtime = tokio::runtime::Runtime::new().unwrap();
    let region = |key: SecretKey, why: &str| {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let to = listener.local_addr().unwrap().to_string();
        let answer = SyncAck { why: why.to_owned(), ..ack(&house.world, None, Outcome::Applied) };
        let region = Arc::new(Region { held: None, answer, key, taken: Mutex::new(0) });
        runtime.spawn(serve(listener, region.clone(), Limits::default(), std::future::pending()));
        (to, region)
    };
    let (honest, taken) = region(testing::secret("test/acme", "us-east"), "");
    let done = house.kcm(&["revoke", "deliver", &out, "--to", &honest]).unwrap();
    assert_eq!((done.exit, *taken.taken.lock().unwrap()), (Exit::Done, 1), "{}", done.text);
    assert_eq!(done.json["answers"][0]["ack"]["region"], "us-east");
    let (impostor, _) = region(testing::secret("test/acme", "ch-zurich"), "");
    let unproved = house.kcm(&["revoke", "deliver", &out, "--to", &honest, "--to", &impostor]).unwrap();
    assert_eq!(unproved.exit, Exit::Unconfirmed, "{}", unproved.text);
    assert!(unproved.text.contains("NOT STOPPED"), "{}", unproved.text);
    let silent = house.kcm(&["revoke", "deliver", &out, "--to", "localhost:1"]).unwrap();
    assert_eq!(silent.exit, Exit::Unconfirmed);
    let (lifted, _) = region(testing::secret("test/acme", "us-east"), "lifted by a restore");
    let nothing = house.kcm(&["revoke", "deliver", &out, "--to", &lifted]);
    let said = nothing.map_or_else(|failure| (failure.exit, failure.to_string()), |report| (report.exit, report.text));
    assert_eq!(said.0, Exit::Denied, "{}", said.1);
    assert!(said.1.contains("stopped nothing") && said.1.contains("lifted by a restore"), "{}", said.1);
}

#[test]
fn each_region_is_asked_past_governance_which_trust_it_holds() {
    let house = House::furnished();
    let (chain, world) = (house.named("chain.json"), &house.world);
    house.kcm(&["tenant", "trust", "acme", "--out", &chain]).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let serve_one = |name: &str, trust: Digest, forked: &[Digest], key: SecretKey| {
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let to = listener.local_addr().unwrap().to_string();
        let held = Held {
            domain: Kind::Held.domain(),
            deployment: world.deployment(),
            tenant: world.tenant(),
            region: testing::region(name),
            nonce: String::new(),
            version: 1,
            trust,
            forked: forked.iter().copied().collect(),
            at_us: 1,
        };
        let region = Region { held: Some(held), answer: ack(world, None, Outcome::Applied), key, taken: Mutex::new(0) };
        runtime.spawn(serve(listener, Arc::new(region), Limits::default(), std::future::pending()));
        to
    };
    let own = |name: &str| testing::secret("test/acme", name);
    let (ours, other) = (world.chain().digest(), Digest([7; 32]));
    let honest: Vec<_> = testing::REGIONS.iter().map(|(name, _)| serve_one(name, ours, &[], own(name))).collect();
    let compare = |to: &[String], more: &[&str]| {
        let to = to.iter().flat_map(|to| ["--to", to]).collect::<Vec<_>>();
        house.kcm(&[&["trust", "compare", "--tenant", "acme"], more, &to].concat()).unwrap()
    };
    let same = compare(&honest, &["--file", &chain]);
    assert_eq!(same.exit, Exit::Done, "{}", same.text);
    assert!(same.text.contains("All hold the same"), "{}", same.text);
    let (name, rest) = (testing::REGIONS[0].0, &honest[1..]);
    let with = |one: String| compare(&[&[one], rest].concat(), &[]);
    let differs = with(serve_one(name, other, &[], own(name)));
    assert_eq!(differs.exit, Exit::NotHealthy);
    assert!(differs.text.contains(&other.to_string()) && differs.text.contains(&ours.to_string()), "{}", differs.text);
    let frozen = with(serve_one(name, ours, &[other], own(name)));
    assert_eq!(frozen.exit, Exit::NotHealthy);
    assert!(frozen.text.contains("FROZEN") && frozen.text.contains(&other.to_string()), "{}", frozen.text);
    // Signed by another region's key, not asked, not there: nothing is known, and that is no all-clear.
    for unknown in [with(serve_one(name, ours, &[], own(testing::REGIONS[1].0))), compare(rest, &[])] {
        assert_eq!(unknown.exit, Exit::Unconfirmed, "{}", unknown.text);
        assert!(unknown.text.contains("NO ANSWER"), "{}", unknown.text);
    }
}

#[test]
fn a_key_signs_one_next_version_and_a_second_one_by_name() {
    let house = House::furnished();
    let register = |system: &str, more: &[&str]| {
        house.kcm(&[&["--as", "alice"], more, &["system", "register", system, "--tenant", "acme"]].concat())
    };
    let first = register("billing", &[]).unwrap();
    let id = first.json["id"].as_str().unwrap();
    house.kcm(&["--as", "bob", "proposal", "reject", id]).unwrap();
    // What was signed is signed, whatever became of its proposal.
    let refused = register("payroll", &[]).unwrap_err();
    assert_eq!(refused.exit, Exit::Denied);
    let named = refused.fix.rsplit(' ').next().unwrap().to_owned();
    assert!(refused.fix.contains("--besides"), "{refused}");
    let second = register("payroll", &["--besides", &named]).unwrap();
    let id = second.json["id"].as_str().unwrap();
    house.kcm(&["--as", "bob", "proposal", "approve", id]).unwrap();
    // The next version has a successor of its own; settling one is one more.
    let void = ["--as", "erin", "trust", "settle", "--tenant", "acme", "--void", &named];
    assert_eq!(house.kcm(&[&["--dry-run"], &void[..]].concat()).unwrap().exit, Exit::Done);
    let settles = house.kcm(&void).unwrap();
    assert_eq!(settles.json["change"]["action"]["next"]["void"], json!([named]));
    assert!(house.kcm(&["--as", "erin", "system", "register", "x", "--tenant", "acme"]).is_err());
}

#[test]
fn somebody_stands_in_for_another_within_dates() {
    let house = House::furnished();
    // judy, of Audit, in place of alice: the id, and who is missing besides.
    let register = |system: &str| {
        let proposed = house.kcm(&["--as", "judy", "system", "register", system, "--tenant", "acme"]).unwrap().json;
        (proposed["id"].as_str().unwrap().to_owned(), proposed["missing"].clone())
    };
    let (both, one) = (json!(["Security_Ops", "Compliance_Legal"]), json!(["Compliance_Legal"]));
    assert_eq!(register("early").1, both);
    let delegate = |to: &'static str, since: &str, until: &str| {
        let dates = ["--since", since, "--until", until].map(str::to_owned);
        let words = ["actor", "delegate", "alice", "--to", to, "--tenant", "acme"].map(str::to_owned);
        words.into_iter().chain(dates).collect::<Vec<_>>()
    };
    let refused = |words: Vec<String>| {
        house
            .kcm(&["--as", "erin"].into_iter().chain(words.iter().map(String::as_str)).collect::<Vec<_>>())
            .unwrap_err()
    };
    assert!(refused(delegate("judy", "2020-01-01T00:00Z", "2099-01-01T00:00Z")).why.contains("longer than 400 days"));
    assert!(refused(delegate("bob", "2020-01-01T00:00Z", "2020-06-01T00:00Z")).why.contains("count for neither"));
    let (since, until) = (plain::time(compose::now() - 60), plain::time(compose::now() + 30 * 24 * 3_600));
    let words = delegate("judy", &since, &until);
    let shown = house.decided(&words.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(shown.contains("+ judy stands in for alice in Security_Ops, from"), "{shown}");

    let (id, missing) = register("billing");
    assert_eq!(missing, one);
    assert_eq!(house.kcm(&["--as", "bob", "proposal", "approve", &id]).unwrap().json["state"], "applying");

    house.decided(&["actor", "delegate", "alice", "--end", "--tenant", "acme"]);
    assert_eq!(register("late").1, both);
}

#[test]
fn cold_keys_recover_a_tenant_unless_its_people_cancel_it() {
    let house = House::furnished();
    let cold = ["north", "east", "south"].map(|name| (house.named(&format!("{name}.key")), name));
    let public = cold.each_ref().map(|(file, name)| {
        let made = house.kcm(&["actor", "keygen", "--person", name, "--out", file]).unwrap();
        made.json["public"].as_str().unwrap().to_owned()
    });
    let mut terms = vec!["trust", "recovery", "terms", "--tenant", "acme", "--need", "2"];
    public.iter().for_each(|key| terms.extend(["--public-key", key.as_str()]));
    let early = house.kcm(&[&["--as", "erin"], &terms[..], &["--delay", "71h"]].concat()).unwrap_err();
    assert!(early.why.contains("a delay shorter than 72 hours"), "{early}");
    let shown = house.decided(&terms);
    assert!(shown.contains("+ recovery: by 2 of the keys") && shown.contains("after 72 h"), "{shown}");

    // bob has lost his key, and so has everybody who could say so.
    let (chain, new, enrolment) = (house.named("chain.json"), house.named("new.key"), house.named("bob.enrolment"));
    house.kcm(&["tenant", "trust", "acme", "--out", &chain]).unwrap();
    house.kcm(&["actor", "keygen", "--person", "bob", "--out", &new]).unwrap();
    house.kcm(&["--as", "bob", "--key", &new, "actor", "enrol", "--tenant", "acme", "--out", &enrolment]).unwrap();
    let out = house.named("recovery.json");
    let sign = |key: &str, more: &[&str]| {
        house.kcm(&[&["trust", "recovery", "sign", "--recovery-key", key, "--out", &out], more].concat())
    };
    let begin = ["--tenant-file", &chain, "--epoch", "1", "--enrolment", &enrolment];
    assert_eq!(sign(&house.named("alice.key"), &begin).unwrap_err().exit, Exit::Denied);
    let first = sign(&cold[0].0, &begin).unwrap();
    assert_eq!((first.exit, &first.json["complete"]), (Exit::Waits, &json!(false)));
    let send = || house.kcm(&["trust", "recovery", "send", &out]);
    assert!(send().unwrap_err().why.contains("1 of 2 recovery keys have signed"));
    assert!(sign(&cold[0].0, &[]).unwrap_err().why.contains("signed twice"));
    assert_eq!(sign(&cold[2].0, &[]).unwrap().json["complete"], json!(true));
    let verified = house.kcm(&["certificate", "verify", &out, "--tenant", "acme"]).unwrap();
    assert!(verified.text.contains(&format!("Signed by recovery key {}", public[2])), "{}", verified.text);

    let sent = send().unwrap();
    assert_eq!((sent.exit, sent.json.clone()), (Exit::Waits, send().unwrap().json));
    let shown = house.kcm(&["tenant", "show", "acme"]).unwrap().text;
    assert!(shown.contains("RECOVERY waits") && shown.contains(sent.json["change"].as_str().unwrap()), "{shown}");
    let status = house.kcm(&["status"]).unwrap().text;
    assert!(status.contains("a RECOVERY by cold keys changes the people of tenant acme"), "{status}");

    house.decided(&["trust", "recovery", "cancel", "--tenant", "acme", "--reason", "nobody meant that"]);
    assert!(!house.kcm(&["tenant", "show", "acme"]).unwrap().text.contains("RECOVERY"));
    let late = send().unwrap_err();
    assert_eq!((late.exit, late.code.as_deref()), (Exit::Denied, Some("uncertified")));
}

#[test]
fn a_key_that_others_may_read_signs_nothing() {
    use std::os::unix::fs::PermissionsExt;
    let house = House::furnished();
    let loose = house.named("loose.key");
    std::fs::copy(house.named("carol.key"), &loose).unwrap();
    let propose = ["--as", "carol", "--key", &loose, "revoke", "propose", "--tenant", "acme"];
    std::fs::set_permissions(&loose, std::fs::Permissions::from_mode(0o644)).unwrap();
    let refused = house.kcm(&propose).unwrap_err();
    assert!(refused.why.contains("chmod 600"), "{refused}");
    std::fs::set_permissions(&loose, std::fs::Permissions::from_mode(0o600)).unwrap();
    assert_eq!(house.kcm(&propose).unwrap().exit, Exit::Waits);
}

#[test]
fn a_stop_that_was_tampered_with_is_neither_signed_nor_sent() {
    let house = House::furnished();
    let (chain, out) = (house.named("chain.json"), house.named("kill.json"));
    house.kcm(&["tenant", "trust", "acme", "--out", &chain]).unwrap();
    house.kcm(&["--as", "carol", "revoke", "sign", "--tenant-file", &chain, "--out", &out]).unwrap();
    let stop: Value = serde_json::from_slice(&std::fs::read(&out).unwrap()).unwrap();
    let globex = serde_json::to_value(testing::World::of("test", "globex").genesis()).unwrap();
    let restore = serde_json::to_value(house.world.restore([Kind::Change.digest(b"x")])).unwrap();
    let link = serde_json::to_value(house.world.link("k")).unwrap();
    for (member, other) in [("/genesis", &globex), ("/certificate", &restore), ("/certificate/change", &link["change"])]
    {
        let mut forged = stop.clone();
        *forged.pointer_mut(member).unwrap() = other.clone();
        std::fs::write(&out, forged.to_string()).unwrap();
        assert_eq!(
            house.kcm(&["--as", "dave", "revoke", "sign", "--out", &out]).unwrap_err().exit,
            Exit::Denied,
            "{member}"
        );
        assert_eq!(
            house.kcm(&["revoke", "deliver", &out, "--to", "localhost:1"]).unwrap_err().exit,
            Exit::Denied,
            "{member}"
        );
    }
}

#[test]
fn a_genesis_is_made_signed_by_each_and_founds_a_tenant() {
    let house = House::new();
    let spec = spec(&house);
    std::fs::write(house.path("acme.toml"), spec).unwrap();
    let (toml, out) = (house.named("acme.toml"), house.named("acme.json"));
    let made = house.kcm(&["tenant", "genesis", "--spec", &toml, "--out", &out]).unwrap();
    assert_eq!(house.kcm(&["tenant", "provision", &out]).unwrap_err().exit, Exit::Denied, "nobody has signed");
    for (name, _) in testing::PEOPLE {
        house.kcm(&["--as", name, "tenant", "sign", &out]).unwrap();
    }
    let founded = house.kcm(&["tenant", "provision", &out]).unwrap();
    assert_eq!(founded.json["id"], made.json["id"]);
    assert!(house.kcm(&["tenant", "show", "acme"]).unwrap().text.contains("chain verified here"));
    assert!(house.kcm(&["tenant", "list"]).unwrap().text.contains("acme"));
    assert_eq!(house.kcm(&["audit", "verify"]).unwrap().json["sound"], true);
    assert!(house.kcm(&["audit", "list"]).unwrap().text.contains("SEQUENCE"));
    // No region is connected here, and both commands say so with their exit code.
    assert_eq!(house.kcm(&["region", "list"]).unwrap().exit, Exit::NotHealthy);
    let status = house.kcm(&["status"]).unwrap();
    assert_eq!(status.exit, Exit::NotHealthy);
    assert!(status.text.contains("NOT IN ORDER: region"), "{}", status.text);
}

/// The description of the same tenant as the seeded one, written as people write it.
fn spec(house: &House) -> String {
    let trust = house.world.trust();
    let mut text = format!(
        "deployment = \"test\"\nname = \"acme\"\nresidency = [\"DE\", \"CH\", \"US\"]\nsystems = [\"orders\"]\n\n[lease]\nkey = \"{}\"\n",
        trust.lease.key
    );
    for (person, actor) in &trust.actors {
        let groups = actor.groups.iter().map(|g| format!("\"{g}\"")).collect::<Vec<_>>().join(", ");
        let key = actor.keys.values().next().unwrap().public;
        text.push_str(&format!("\n[actors.{person}]\ngroups = [{groups}]\nkeys = {{ cli = \"{key}\" }}\n"));
    }
    for (name, region) in &trust.regions {
        let (place, report, hpke) = (&region.jurisdiction, region.report_key, region.hpke_key);
        text.push_str(&format!(
            "\n[regions.{name}]\njurisdiction = \"{place}\"\nreport_key = \"{report}\"\nhpke_key = \"{hpke}\"\n"
        ));
    }
    text
}
