//! A pack of a tenant that has decided two things, and every way to change one afterwards.

use std::collections::BTreeSet;

use clap::Parser;
use orbital::{
    names::Digest,
    note::{Note, Scheme, Signer},
    report::{Outcome, SyncAck},
    sign::{Kind, SecretKey},
};
use serde_json::Value;

use super::{
    super::super::{
        Cli,
        exit::Exit,
        perform as run,
        tests::house::{House, START},
    },
    controls::{CONTROLS, Topic},
    *,
};

/// A house that has registered a system, which makes version 2, and then revoked; and the pack of that.
struct Packed {
    house: House,
    log: String,
    folder: PathBuf,
}

impl Packed {
    fn new() -> Self {
        let house = House::furnished();
        for (proposer, what, approver) in
            [("alice", &["system", "register", "mongo-1"][..], "bob"), ("carol", &["revoke", "propose"], "dave")]
        {
            let words = [&["--as", proposer], what, &["--tenant", "acme"]].concat();
            let id = house.kcm(&words).unwrap().json["id"].as_str().unwrap().to_owned();
            house.kcm(&["--as", approver, "proposal", "approve", &id, "--wait", "10ms"]).unwrap();
        }
        let log = house.kcm(&["audit", "checkpoint"]).unwrap().json["verifier"].as_str().unwrap().to_owned();
        let folder = house.path("pack");
        let out = folder.display().to_string();
        let report = house.kcm(&["evidence", "pack", "--tenant", "acme", "--log", &log, "--out", &out]).unwrap();
        assert!(report.text.contains("begin with README.md"), "{}", report.text);
        Self { house, log, folder }
    }

    fn tenant(&self) -> TenantId {
        self.house.world.tenant()
    }

    fn check(&self) -> Result<Report, Failure> {
        check_pack(&self.folder, self.tenant(), None, &[])
    }

    fn files(&self) -> Files {
        let mut found = Files::new();
        gather(&self.folder, &self.folder, &mut found).unwrap();
        found
    }

    /// Writes these files instead, under a manifest that fits them: what somebody does who knows how packs are made.
    fn forge(&self, files: &Files) {
        fs::remove_dir_all(&self.folder).unwrap();
        fs::create_dir(&self.folder).unwrap();
        let files = files.iter().filter(|(name, _)| *name != MANIFEST);
        write(&self.folder, &files.map(|(name, bytes)| (name.clone(), bytes.clone())).collect()).unwrap();
    }

    /// Why a pack with other entries is not believed, though all else in it follows from those that are left.
    fn without(&self, entry: &str) -> String {
        let files = self.files();
        let text = String::from_utf8(files[ENTRIES].clone()).unwrap();
        let left: Vec<&str> = text.lines().filter(|line| !line.contains(entry)).collect();
        assert_ne!(left.len(), text.lines().count(), "no {entry}");
        let lines = format!("{}\n", left.join("\n"));
        let log = log_key(&self.log).unwrap();
        let head = kept(&files[CHECKPOINT], "", &log, &[]).unwrap().head;
        let entries = proven(lines.as_bytes(), self.tenant(), &head).unwrap();
        let pack: Pack = serde_json::from_slice(&files[PACK]).unwrap();
        let source = paper::Source {
            asked: &pack,
            note: &files[CHECKPOINT],
            size: head.size,
            entries: &entries,
            lines: lines.as_bytes(),
        };
        paper::files(&source).map(|_| String::new()).unwrap_or_else(|failure| failure.why)
    }
}

/// A command line of somebody who has no portal and no pin.
fn stranger(words: &[&str]) -> Result<Report, Failure> {
    run(Cli::try_parse_from([&["kcm"], words].concat()).unwrap(), START)
}

#[test]
fn a_stranger_checks_a_pack_and_each_file_in_it_with_the_fingerprint_alone() {
    let packed = Packed::new();
    let (folder, id) = (packed.folder.display().to_string(), packed.tenant().to_string());
    let verified = stranger(&["evidence", "verify", &folder, "--fingerprint", &id]).unwrap();
    for part in ["The pack holds", "signed by test/ledger", "Not checked: whether that is the operators' key"] {
        assert!(verified.text.contains(part), "{part}: {}", verified.text);
    }
    let compared = stranger(&["evidence", "verify", &folder, "--tenant", &id, "--log", &packed.log]).unwrap();
    assert_eq!((&compared.json["log_compared"], compared.exit), (&json!(true), Exit::Done));
    stranger(&["trust", "verify", &format!("{folder}/trust.json"), "--tenant", &id]).unwrap();
    for name in packed.files().keys().filter(|name| name.starts_with("certificates/")) {
        stranger(&["certificate", "verify", &format!("{folder}/{name}"), "--tenant", &id]).unwrap();
    }
    let readme = String::from_utf8(packed.files()["README.md"].clone()).unwrap();
    for part in ["SOC 2 CC8.1", "GDPR Art. 28", "carol proposed and dave approved", "What a pack cannot show"] {
        assert!(readme.contains(part), "{part}: {readme}");
    }
    // No region answers in this house, and the pack says so rather than nothing.
    assert!(verified.text.contains("Not proved, as the pack says: RevokeL1"), "{}", verified.text);
    let other = orbital::testing::World::of("test", "globex").tenant().to_string();
    assert!(
        stranger(&["evidence", "verify", &folder, "--tenant", &other]).unwrap_err().why.contains("is about tenant")
    );
    let key = SecretKey::from_seed(&[9; 32]);
    let another = Signer::new("test/ledger", Scheme::Log, key).unwrap().verifier().to_string();
    let refused = stranger(&["evidence", "verify", &folder, "--tenant", &id, "--log", &another]).unwrap_err();
    assert!(refused.why.contains("another was given as --log"), "{refused}");
}

#[test]
fn a_pack_of_an_export_and_a_kept_checkpoint_holds_the_same_entries() {
    let packed = Packed::new();
    let (note, export) = (packed.house.named("kept.note"), packed.house.named("ledger.jsonl"));
    packed.house.kcm(&["audit", "checkpoint", "--out", &note]).unwrap();
    packed.house.kcm(&["audit", "export", "--out", &export]).unwrap();
    let (id, out) = (packed.tenant().to_string(), packed.house.named("again"));
    let words =
        ["--tenant", &id, "--log", &packed.log, "--ledger", &export, "--checkpoint", &note, "--control", "soc2-cc8.1"];
    stranger(&[&["evidence", "pack"], &words[..], &["--out", &out]].concat()).unwrap();
    let (again, first) = (fs::read(packed.house.path("again").join(ENTRIES)).unwrap(), packed.files());
    assert_eq!(again, first[ENTRIES]);
    let pack: Pack = serde_json::from_slice(&fs::read(packed.house.path("again").join(PACK)).unwrap()).unwrap();
    assert!(pack.claims.iter().all(|claim| claim.topic == Topic::FourEyes), "only what this control asks");
}

#[test]
fn any_file_that_is_changed_missing_or_more_is_named() {
    let packed = Packed::new();
    let sound = packed.files();
    for name in sound.keys().filter(|name| *name != MANIFEST) {
        let path = packed.folder.join(name);
        let mut bytes = sound[name].clone();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(&path, &bytes).unwrap();
        let changed = packed.check().unwrap_err();
        assert!(changed.place == *name && changed.why.contains("SHA-256"), "{changed}");
        // With a manifest that fits, the change itself is found.
        packed.forge(&Files::from_iter(sound.clone().into_iter().chain([(name.clone(), bytes)])));
        assert_eq!(packed.check().unwrap_err().exit, Exit::Denied, "{name}");
        packed.forge(&sound);
        fs::remove_file(&path).unwrap();
        assert!(packed.check().unwrap_err().why.contains("is not there"));
        packed.forge(&sound);
    }
    packed.check().unwrap();
    fs::write(packed.folder.join("more.txt"), "more").unwrap();
    assert!(packed.check().unwrap_err().why.contains("does not name it"));
    fs::remove_file(packed.folder.join("more.txt")).unwrap();
    packed.forge(&Files::from_iter(sound.into_iter().chain([("more.txt".to_owned(), b"more".to_vec())])));
    assert!(packed.check().unwrap_err().why.contains("nothing in the pack explains"));
}

#[test]
fn certificates_that_are_swapped_and_claims_that_are_better_are_found() {
    let packed = Packed::new();
    let sound = packed.files();
    let names: Vec<&String> = sound.keys().filter(|name| name.starts_with("certificates/")).collect();
    let [first, second] = names[..] else { panic!("{names:?}") };
    let mut swapped = sound.clone();
    swapped.insert(first.clone(), sound[second].clone());
    swapped.insert(second.clone(), sound[first].clone());
    packed.forge(&swapped);
    let refused = packed.check().unwrap_err();
    assert!(refused.place == *first && refused.why.contains("changed or swapped"), "{refused}");

    let mut better: Value = serde_json::from_slice(&sound[PACK]).unwrap();
    let claims = better["claims"].as_array_mut().unwrap();
    claims.iter_mut().for_each(|claim| claim["proved"] = true.into());
    packed.forge(&Files::from_iter(
        sound.clone().into_iter().chain([(PACK.to_owned(), better.to_string().into_bytes())]),
    ));
    let refused = packed.check().unwrap_err();
    assert!(refused.why.contains("does not follow from the entries: RevokeL1"), "{refused}");
}

/// Somebody who leaves an entry out and makes all else anew from those that are left.
#[test]
fn an_entry_that_a_decision_rests_on_cannot_be_left_out() {
    let packed = Packed::new();
    for (entry, why) in [
        ("tenant.provisioned", "the entry that founds the tenant"),
        ("proposal.opened", "the entry that opened it"),
        ("proposal.approved", "a vote of its certificate stands in no entry"),
    ] {
        assert!(packed.without(entry).contains(why), "{entry}: {}", packed.without(entry));
    }
    // One of another ledger, or of this one but told otherwise, gives its hash and stands nowhere.
    let sound = packed.files();
    let log = log_key(&packed.log).unwrap();
    let head = kept(&sound[CHECKPOINT], "", &log, &[]).unwrap().head;
    let mut entry = proven(&sound[ENTRIES], packed.tenant(), &head).unwrap().remove(0);
    entry.at_ms += 1;
    let line = |entry: &Entry| serde_json::to_vec(&Proven::of(entry, Vec::new()).unwrap()).unwrap();
    let why = |line: &[u8]| proven(line, packed.tenant(), &head).unwrap_err().why;
    assert!(why(&line(&entry)).contains("does not give its hash"));
    entry.hash = entry.computed_hash();
    assert!(why(&line(&entry)).contains("not shown to stand in the ledger"));
    // One that is there twice, or in another place, is no better.
    let text = String::from_utf8(sound[ENTRIES].clone()).unwrap();
    let first = text.lines().next().unwrap();
    let twice = format!("{text}{first}\n").into_bytes();
    packed.forge(&Files::from_iter(sound.into_iter().chain([(ENTRIES.to_owned(), twice)])));
    assert!(packed.check().unwrap_err().why.contains("out of order"));
}

#[test]
fn four_eyes_are_two_and_a_stop_is_proved_by_every_region() {
    let packed = Packed::new();
    let head = kept(&packed.files()[CHECKPOINT], "", &log_key(&packed.log).unwrap(), &[]).unwrap().head;
    let entries = proven(&packed.files()[ENTRIES], packed.tenant(), &head).unwrap();
    let facts = || facts::read(packed.tenant(), &entries).unwrap();
    let proved = |facts: &facts::Facts, topic| {
        let claims = claims::claims(facts, &[topic], (None, None));
        claims.iter().map(|claim| claim.proved).collect::<Vec<_>>()
    };
    assert_eq!(proved(&facts(), Topic::FourEyes), [true, true]);
    let mut alone = facts();
    alone.decisions[1].approvers.clear();
    assert_eq!(proved(&alone, Topic::FourEyes), [true, false]);

    let mut stopped = facts();
    let regions: Vec<_> = stopped.decisions[1].regions.iter().cloned().collect();
    for (done, region) in regions.iter().enumerate() {
        assert_eq!(proved(&stopped, Topic::KillSwitch), [false], "{done} of {} regions", regions.len());
        let answer = facts::Answer { applied: true, at_ms: 7, entry: 9 };
        stopped.decisions[1].answers.insert(region.clone(), answer);
    }
    assert_eq!(proved(&stopped, Topic::KillSwitch), [true]);
    // Outside the time that was asked for nothing is claimed, and that is said.
    let never = claims::claims(&stopped, &[Topic::KillSwitch], (Some(u64::MAX), None));
    assert!(!never[0].proved && never[0].says.contains("was not exercised"), "{never:?}");
}

/// A region's answer counts under that region's key alone.
#[test]
fn an_answer_that_no_region_signed_proves_nothing() {
    let packed = Packed::new();
    let head = kept(&packed.files()[CHECKPOINT], "", &log_key(&packed.log).unwrap(), &[]).unwrap().head;
    let mut entries = proven(&packed.files()[ENTRIES], packed.tenant(), &head).unwrap();
    let facts = facts::read(packed.tenant(), &entries).unwrap();
    let (decision, world) = (&facts.decisions[1], &packed.house.world);
    let region = decision.regions.first().unwrap().clone();
    let ack = SyncAck {
        domain: Kind::SyncAck.domain().to_owned(),
        deployment: world.deployment(),
        tenant: packed.tenant(),
        region: region.clone(),
        directive: Digest([1; 32]),
        change: Some(orbital::change::Change::digest_of(&decision.file.certificate.change)),
        outcome: Outcome::Applied,
        why: String::new(),
        members: BTreeSet::new(),
        trust_version: 2,
        epoch: 2,
        generation: 1,
        at_us: 1_700_000_000_000_000,
        took_us: 1,
    };
    let mut last = entries.last().unwrap().clone();
    let mut read = |ack: &SyncAck, key: &str| {
        let signed = ack.sign(world.report_key(key)).unwrap();
        let body = json!({ "v": 1, "is": "acknowledged", "region": region, "ack": signed, "waited_us": 7 });
        last.body = body.to_string().into_bytes();
        entries.push(last.clone());
        let facts = facts::read(packed.tenant(), &entries);
        entries.pop();
        facts.map(|facts| facts.decisions[1].answers.get(&region).is_some_and(|answer| answer.applied))
    };
    let other = decision.regions.last().unwrap().to_string();
    assert!(read(&ack, region.as_ref()).unwrap());
    assert!(read(&ack, &other).err().unwrap().why.contains("no signature of a region"));
    assert!(!read(&SyncAck { outcome: Outcome::Refused, ..ack.clone() }, region.as_ref()).unwrap());
    let elsewhere = SyncAck { tenant: TenantId(Digest([9; 32])), ..ack };
    assert!(read(&elsewhere, region.as_ref()).is_err(), "of another tenant");
}

#[test]
fn a_witness_that_a_pack_names_must_have_cosigned() {
    let packed = Packed::new();
    let witness = Signer::new("w1", Scheme::Witness, SecretKey::from_seed(&[8; 32])).unwrap();
    let missing = check_pack(&packed.folder, packed.tenant(), None, &[witness.verifier().clone()]).unwrap_err();
    assert!(missing.why.contains("no signature of w1"), "{missing}");
    let (note, cosigned) = (packed.house.named("kept.note"), packed.house.named("cosigned.note"));
    packed.house.kcm(&["audit", "checkpoint", "--out", &note]).unwrap();
    let mut read = Note::parse(&fs::read(&note).unwrap()).unwrap();
    read.add(witness.sign(read.text(), 1_700_000_000));
    fs::write(&cosigned, read.to_string()).unwrap();
    let (key, out) = (witness.verifier().to_string(), packed.house.named("with"));
    let words = ["--tenant", "acme", "--log", &packed.log, "--checkpoint", &cosigned, "--witness", &key, "--out", &out];
    let report = packed.house.kcm(&[&["evidence", "pack"], &words[..]].concat()).unwrap();
    assert!(report.text.contains("cosigned by w1"), "{}", report.text);
}

#[test]
fn controls_are_named_by_id_and_by_norm_and_each_topic_is_asked_for() {
    assert!(controls::named("soc2").is_ok() && controls::named("gdpr-5.2").is_ok());
    assert!(controls::named("soc").is_err() && controls::named("soc2-cc6").is_err() && controls::named("").is_err());
    assert_eq!(controls::asked_for(&["soc2".to_owned()]).len(), 4);
    let topics: BTreeSet<Topic> = CONTROLS.iter().flat_map(|control| control.topics).copied().collect();
    assert_eq!(topics.len(), 4);
    assert_eq!(sha256(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/// What a body is read from, and nothing else of an entry.
fn entry(sequence: u64, body: &Value) -> Entry {
    let text = || String::new();
    let (kind, subject, correlation) = (text(), text(), text());
    Entry {
        sequence,
        at_ms: sequence * 1_000,
        kind,
        subject,
        correlation,
        body: body.to_string().into(),
        previous: [0; 32],
        hash: [0; 32],
    }
}

#[test]
fn what_cold_keys_and_stand_ins_did_is_claimed_as_that() {
    let (day, now) = (24 * 3_600, orbital::testing::NOW);
    let world = orbital::testing::World::founded("test", "acme", |root| {
        root.recovery = Some(orbital::testing::recovery_terms());
        let [from, to] = ["alice", "judy"].map(orbital::testing::person);
        let groups = [orbital::names::Group::new("Security_Ops").unwrap()].into();
        root.delegations = [orbital::delegation::Delegation { from, to, groups, since: now, until: now + day }].into();
    });
    let action = orbital::change::Action::ChangeActors { next: world.next(|_| ()) };
    let (certificate, short) = (world.recovery(action.clone(), &["north", "east"]), world.recovery(action, &["north"]));
    let waiting = certificate.clone();
    let founds = entry(1, &json!({ "v": 1, "is": "provisioned", "genesis": world.genesis() }));
    let recovered = |certificate| entry(2, &json!({ "v": 1, "is": "recovered", "certificate": certificate }));
    let facts = facts::read(world.tenant(), &[founds.clone(), recovered(certificate)]).unwrap();
    let said: Vec<String> = claims::claims(&facts, &[Topic::FourEyes, Topic::AccessReview], (None, None))
        .into_iter()
        .map(|claim| claim.says)
        .collect();
    assert!(said[0].contains("(1970-01-01T00:00:02Z) was made by the recovery keys "), "{said:?}");
    assert!(said[1].contains("in alice's place judy (Security_Ops) from "), "{said:?}");
    assert!(said[2].starts_with("Trust version 2"), "{said:?}");
    assert!(facts::read(world.tenant(), &[founds.clone(), recovered(short)]).is_err());

    // Before it is in force it waits, and ends where people make another version first.
    let received = entry(2, &json!({ "v": 1, "is": "recovery-received", "certificate": waiting }));
    let told = |more: &[Entry]| {
        let entries = [&[founds.clone(), received.clone()], more].concat();
        let facts = facts::read(world.tenant(), &entries).unwrap();
        let claims = claims::claims(&facts, &[Topic::FourEyes], (None, None));
        let claim = claims.into_iter().find(|claim| claim.says.starts_with("The recovery keys")).unwrap();
        (claim.proved, claim.says)
    };
    let (proved, says) = told(&[]);
    assert!(!proved && says.ends_with("neither in force nor cancelled"), "{says}");
    let applied = entry(3, &json!({ "v": 1, "is": "recovered", "certificate": waiting }));
    assert!(told(&[applied]).1.ends_with("it came into force"));
    let (proved, says) = told(&[learnt(3, &registered(&world, "mongo-1"))]);
    assert!(proved && says.ends_with("another version first, which cancelled it"), "{says}");
}

fn learnt(sequence: u64, certificate: &orbital::certificate::Certificate) -> Entry {
    entry(sequence, &json!({ "v": 1, "is": "learnt", "region": "eu-frankfurt", "certificate": certificate }))
}

fn registered(world: &orbital::testing::World, system: &str) -> orbital::certificate::Certificate {
    let system: orbital::names::System = system.parse().unwrap();
    let next = world.next(|root| {
        root.systems.insert(system.clone());
    });
    world.certificate(orbital::change::Action::RegisterSystem { system, next }, "alice", &["bob"])
}

#[test]
fn a_second_successor_is_claimed_and_so_is_what_settled_it() {
    let mut world = orbital::testing::World::new();
    let founds = entry(1, &json!({ "v": 1, "is": "provisioned", "genesis": world.genesis() }));
    let (ours, other) = (registered(&world, "mongo-1"), registered(&world, "mongo-2"));
    let met = entry(3, &json!({ "v": 1, "is": "forked", "region": "ch-zurich", "certificate": other }));
    world.extend(&ours);
    let fork = orbital::fork::Fork::met(world.chain(), &world.genesis(), std::slice::from_ref(&ours), &other).unwrap();
    let next = world.next(|root| root.void = [fork.other()].into());
    let settles = world.certificate(orbital::change::Action::ChangeActors { next }, "erin", &["alice", "bob"]);
    let told = |entries: &[Entry]| {
        let facts = facts::read(world.tenant(), entries).unwrap();
        let claims = claims::claims(&facts, &[Topic::FourEyes], (None, None));
        claims.into_iter().filter(|claim| claim.says.contains("a second time")).collect::<Vec<_>>()
    };
    let entries = [founds, learnt(2, &ours), met.clone(), met, learnt(5, &settles)];
    let open = told(&entries[..4]);
    assert_eq!(open.len(), 1, "one fork, though it was met twice: {open:?}");
    assert!(!open[0].proved && open[0].says.contains("ch-zurich met (1970-01-01T00:00:03Z)"), "{open:?}");
    assert!(open[0].says.ends_with("nothing in this pack settles it"), "{open:?}");
    let settled = &told(&entries)[0];
    assert!(!settled.proved && settled.says.ends_with("trust version 3 (1970-01-01T00:00:05Z) declares it void"));
    assert!(told(&entries[..2]).is_empty(), "a successor that nobody met");
}

/// A ledger that was put back: what a region had kept makes versions and decisions as anything else does, and is told as that.
#[test]
fn what_was_taken_back_from_a_region_is_claimed_as_that() {
    let mut world = orbital::testing::World::new();
    let founds = entry(1, &json!({ "v": 1, "is": "provisioned", "genesis": world.genesis() }));
    let recalled = |sequence, certificate: &orbital::certificate::Certificate| {
        entry(sequence, &json!({ "v": 1, "is": "recalled", "region": "ch-zurich", "certificate": certificate }))
    };
    let link = registered(&world, "mongo-1");
    world.extend(&link);
    let entries = [founds, recalled(2, &link), recalled(3, &world.kill())];
    let facts = facts::read(world.tenant(), &entries).unwrap();
    assert_eq!(facts.versions.len(), 2);
    let claims = claims::claims(&facts, &[Topic::KillSwitch], (None, None));
    assert!(claims[0].says.contains("and taken back from a region"), "{claims:?}");
}

/// What a decision reaches, and no more: a stop in one region, a link that one region has not taken.
#[test]
fn a_decision_is_executed_once_each_region_that_it_reaches_has_signed_so() {
    let world = orbital::testing::World::new();
    let founds = entry(1, &json!({ "v": 1, "is": "provisioned", "genesis": world.genesis() }));
    let (one, all) = (orbital::testing::region("ch-zurich"), world.trust().regions.keys().cloned());
    let revoke =
        orbital::change::Change { regions: [one.clone()].into(), ..world.change(orbital::change::Action::RevokeL1 {}) };
    let revoke = world.sign_change(&revoke, "carol", &["dave"]);
    let link = world.link("arn:aws:kms:eu-central-1:111122223333:key/1");
    let entries = [founds, learnt(2, &link), learnt(3, &revoke)];
    let mut facts = facts::read(world.tenant(), &entries).unwrap();
    let said = |facts: &facts::Facts| {
        let claims = claims::claims(facts, &[Topic::KillSwitch, Topic::Residency], (None, None));
        let by = |start: &str| claims.iter().find(|claim| claim.says.starts_with(start)).unwrap().clone();
        (by("RevokeL1"), by("LinkL1"))
    };
    let (stop, wrapped) = said(&facts);
    assert!(!stop.proved && stop.says.ends_with("; no signed answer of ch-zurich"), "{stop:?}");
    assert!(!wrapped.proved && wrapped.says.contains("no signed answer of ch-zurich, eu-frankfurt"), "{wrapped:?}");
    let answer = || facts::Answer { applied: true, at_ms: 7, entry: 9 };
    facts.decisions[1].answers.insert(one.clone(), answer());
    facts.decisions[0].answers.insert(one, answer());
    let (stop, wrapped) = said(&facts);
    assert!(stop.proved && !stop.says.contains("no signed answer"), "{stop:?}");
    assert!(!wrapped.proved, "{wrapped:?}");
    facts.decisions[0].answers.extend(all.map(|region| (region, answer())));
    assert!(said(&facts).1.proved);
}

/// Whoever corrects what was wrong asks again for the same folder.
#[test]
fn a_pack_that_could_not_be_finished_leaves_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("pack");
    let files = Files::from([("nowhere/file".to_owned(), Vec::new())]);
    assert!(finished(&out, &files, || unreachable!("it was not written")).is_err());
    assert!(!out.exists());
    let sound = Files::from([("README.md".to_owned(), Vec::new())]);
    assert!(finished(&out, &sound, || Err(unproven("README.md", "it says nothing"))).is_err());
    assert!(!out.exists());
    std::fs::create_dir(&out).unwrap();
    assert!(finished(&out, &sound, || unreachable!("it was not written")).is_err());
    assert!(out.exists(), "a folder that was there is not ours to remove");
}
