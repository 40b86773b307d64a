//! What a version must hold by itself: one alteration each, and the finding that it alone makes.

use super::*;
use crate::testing::{
    World, actor,
    authenticator::{PASSKEY, with_passkeys},
    person, region, secret,
};

fn found(alter: impl FnOnce(&mut TrustRoot)) -> Result<(), BadTrust> {
    let mut root = World::new().trust().clone();
    alter(&mut root);
    root.check()
}

fn actor_of<'r>(root: &'r mut TrustRoot, name: &str) -> &'r mut Actor {
    root.actors.get_mut(&person(name)).unwrap()
}

#[test]
fn the_genesis_reads_back_and_is_the_tenant() {
    let world = World::new();
    let bytes = world.genesis().root;
    let root = TrustRoot::from_bytes(&bytes).unwrap();
    assert_eq!(root.to_bytes().unwrap(), bytes);
    assert_eq!(root.tenant_id().unwrap(), TenantId(Kind::Trust.digest(&bytes)));
    let next = world.next(|_| ());
    assert_eq!(next.tenant_id().unwrap(), world.tenant());
    assert_eq!(TrustRoot::from_bytes(&next.to_bytes().unwrap()).unwrap(), *next);
}

#[test]
fn version_tenant_and_predecessor_belong_together() {
    let shape = |alter: fn(&mut TrustRoot)| assert!(matches!(found(alter), Err(BadTrust::Shape { .. })));
    shape(|r| r.domain = Kind::Change.domain());
    shape(|r| r.version = 0);
    shape(|r| r.version = 2);
    shape(|r| r.tenant = Some(TenantId(Digest([0; 32]))));
    shape(|r| r.previous = Some(Digest([0; 32])));
    shape(|r| (r.version, r.tenant) = (2, Some(TenantId(Digest([0; 32])))));
    shape(|r| (r.version, r.previous) = (2, Some(Digest([0; 32]))));
    // With both, it is neither a genesis nor before one.
    for version in [0, 1] {
        let both = |r: &mut TrustRoot| {
            (r.version, r.tenant, r.previous) = (version, Some(TenantId(Digest([0; 32]))), Some(Digest([0; 32])))
        };
        assert!(matches!(found(both), Err(BadTrust::Shape { .. })), "{version}");
    }
    assert_eq!(
        found(|r| (r.version, r.tenant, r.previous) = (2, Some(TenantId(Digest([0; 32]))), Some(Digest([0; 32])))),
        Ok(())
    );
}

#[test]
fn a_key_has_one_person_and_one_use() {
    let alice = World::new().key("alice").public();
    let hers = |key: &mut PublicKey| *key = alice;
    assert_eq!(
        found(|r| actor_of(r, "bob").keys.values_mut().next().unwrap().public = alice.into()),
        Err(BadTrust::SharedKey(person("alice"), person("bob")))
    );
    let reused = |use_of: &str| Err(BadTrust::ReusedKey { use_of: use_of.to_owned() });
    assert_eq!(found(|r| hers(&mut r.lease.key)), reused("lease key"));
    let at = || region("us-east");
    assert_eq!(found(|r| hers(&mut r.regions.get_mut(&at()).unwrap().report_key)), reused("report key of us-east"));
    assert_eq!(found(|r| hers(&mut r.regions.get_mut(&at()).unwrap().hpke_key)), reused("HPKE key of us-east"));
    let another = World::new().report_key("ch-zurich").public();
    assert_eq!(found(|r| r.regions.get_mut(&at()).unwrap().report_key = another), reused("report key of us-east"));
    let recovery = RecoveryTerms {
        keys: BTreeSet::from([alice, World::new().key("bob").public()]),
        need: 2,
        delay_seconds: 259_200,
    };
    assert_eq!(found(|r| r.recovery = Some(recovery)), reused("recovery key"));
}

#[test]
fn a_subject_is_one_person_and_plain_text() {
    let subject =
        |name: &'static str, text: &'static str| move |r: &mut TrustRoot| actor_of(r, name).subject = Some(text.into());
    assert_eq!(found(subject("alice", "https://idp#1")), Ok(()));
    let twice = found(|r| ["alice", "bob"].into_iter().for_each(|name| subject(name, "https://idp#1")(r)));
    assert_eq!(twice, Err(BadTrust::SharedSubject(person("alice"), person("bob"))));
    for hidden in ["https://idp#1\u{200b}", "https://idp#e\u{301}"] {
        assert!(matches!(found(subject("alice", hidden)), Err(BadTrust::Malformed(Malformed::BadText(_)))));
    }
}

#[test]
fn two_persons_must_be_able_to_sign() {
    assert_eq!(found(|r| r.actors.retain(|p, _| *p == person("alice"))), Err(BadTrust::TooFewPersons(1)));
    let keyless = found(|r| r.actors.values_mut().skip(1).for_each(|a| a.keys.clear()));
    assert_eq!(keyless, Err(BadTrust::TooFewPersons(1)));
}

#[test]
fn every_kind_has_a_rule_that_stands() {
    for kind in ChangeKind::ALL {
        assert_eq!(found(|r| _ = r.rules.remove(&kind)), Err(BadTrust::NoRule(kind)));
        let nobody = found(|r| r.rules.get_mut(&kind).unwrap().need.clear());
        assert!(matches!(nobody, Err(BadTrust::Unmeetable { kind: k, .. }) if k == kind));
    }
    // A rule that stood no longer does when the people change.
    let gone = found(|r| _ = r.actors.remove(&person("heidi")));
    assert!(matches!(gone, Err(BadTrust::Unmeetable { .. })), "{gone:?}");
}

#[test]
fn regions_lie_within_the_residency() {
    let germany = Jurisdiction::new("DE").unwrap();
    let residency =
        |found: Result<(), BadTrust>| assert!(matches!(found, Err(BadTrust::Residency { .. })), "{found:?}");
    residency(found(|r| _ = r.residency.remove(&germany)));
    residency(found(|r| r.residency.clear()));
    let union = || Jurisdiction::new("EU").unwrap();
    assert_eq!(
        found(|r| {
            r.residency.remove(&germany);
            r.residency.insert(union());
        }),
        Ok(())
    );
}

#[test]
fn something_always_ends_a_region_that_is_cut_off() {
    assert_eq!(found(|r| (r.lease.seconds, r.l1.grace) = (0, 0)), Err(BadTrust::NoLimit));
    assert_eq!(found(|r| (r.lease.seconds, r.l1.grace) = (0, 1)), Ok(()));
    assert_eq!(found(|r| (r.lease.seconds, r.l1.grace) = (1, 0)), Ok(()));
}

#[test]
fn an_anchor_decides_one_system() {
    let rule = |anchor: u8, system: &str, name: Option<&str>| CallerRule {
        anchor: Anchor::Fingerprint { digest: Digest([anchor; 32]) },
        system: System::new(system).unwrap(),
        name: name.map(|n| System::new(n).unwrap()),
    };
    let with = |rules: Vec<CallerRule>| {
        found(|r| {
            r.systems.insert(System::new("billing").unwrap());
            r.callers.extend(rules);
        })
    };
    assert_eq!(with(vec![rule(1, "unknown", None)]), Err(BadTrust::UnknownSystem(System::new("unknown").unwrap())));
    assert_eq!(with(vec![rule(1, "orders", None), rule(1, "billing", None)]), Err(BadTrust::AmbiguousAnchor));
    assert_eq!(with(vec![rule(1, "orders", None), rule(1, "billing", Some("b"))]), Err(BadTrust::AmbiguousAnchor));
    assert_eq!(with(vec![rule(1, "orders", Some("b")), rule(1, "billing", Some("b"))]), Err(BadTrust::AmbiguousAnchor));
    assert_eq!(with(vec![rule(1, "orders", Some("a")), rule(1, "billing", Some("b"))]), Ok(()));
    assert_eq!(with(vec![rule(1, "orders", None), rule(2, "billing", None)]), Ok(()));
}

#[test]
fn every_list_has_its_limit() {
    let too_many = |found: Result<(), BadTrust>, which: &str| {
        assert!(matches!(&found, Err(BadTrust::TooMany { what, .. }) if *what == which), "{found:?}");
    };
    let crowd = |r: &mut TrustRoot| {
        for n in 0..ACTORS_MAX {
            r.actors.insert(person(&format!("p{n}")), actor(&["Guests"], secret("p", &n.to_string()).public()));
        }
    };
    too_many(found(crowd), "persons");
    too_many(
        found(|r| {
            let key = actor(&[], secret("a", "a").public()).keys.remove(&KeyName::new("key-1").unwrap()).unwrap();
            let keys = &mut actor_of(r, "alice").keys;
            (0..KEYS_PER_ACTOR_MAX).for_each(|n| _ = keys.insert(KeyName::new(format!("k{n}")).unwrap(), key.clone()));
        }),
        "keys of one person",
    );
    let rule = |n: usize| {
        let digest = Kind::Leaf.digest(&n.to_le_bytes());
        CallerRule { anchor: Anchor::Fingerprint { digest }, system: System::new("orders").unwrap(), name: None }
    };
    too_many(found(|r| r.callers.extend((0..CALLERS_MAX).map(rule))), "caller rules");
    let certificate = vec![0; ROOT_BYTES_MAX];
    too_many(found(|r| _ = r.callers.insert(CallerRule { anchor: Anchor::Ca { certificate }, ..rule(0) })), "bytes");
}

#[test]
fn the_largest_root_still_fits_into_the_change_that_makes_it() {
    use crate::change::Action;
    let world = World::new();
    let mut certificate = vec![0; ROOT_BYTES_MAX];
    let next = loop {
        let anchor = Anchor::Ca { certificate: certificate.clone() };
        let system = System::new("orders").unwrap();
        let next = world.next(|r| _ = r.callers.insert(CallerRule { anchor, system, name: None }));
        match next.check() {
            Ok(()) => break next,
            Err(BadTrust::TooMany { .. }) => certificate.truncate(certificate.len() - 4_096),
            Err(e) => panic!("{e}"),
        }
    };
    world.chain().extend(&world.certificate(Action::ChangeCallers { next }, "alice", &["bob"])).unwrap();
}

#[test]
fn a_passkey_counts_under_terms_that_allow_its_algorithm() {
    let mut root = World::founded("test", "acme", with_passkeys).trust().clone();
    let passkey = actor_of(&mut root, "alice").keys[&KeyName::new(PASSKEY).unwrap()].clone();
    let of_ed25519 = ActorKey { public: secret("t", "eddsa").public().into(), ..passkey.clone() };
    assert_eq!((root.counts(&passkey), root.counts(&of_ed25519)), (true, false));
    root.webauthn.as_mut().unwrap().algorithms = BTreeSet::from([crate::webauthn::EDDSA.to_owned()]);
    assert_eq!((root.counts(&passkey), root.counts(&of_ed25519)), (false, true));
    root.webauthn = None;
    assert_eq!((root.counts(&passkey), root.counts(&of_ed25519)), (false, false));
}

#[test]
fn a_key_of_p256_is_a_passkeys_and_a_point() {
    let root = World::founded("test", "acme", with_passkeys).trust().clone();
    let bytes = root.to_bytes().unwrap();
    assert_eq!(TrustRoot::from_bytes(&bytes), Ok(root.clone()));
    let mut as_file = root.clone();
    actor_of(&mut as_file, "alice").keys.values_mut().for_each(|key| key.algorithm = Algorithm::Ed25519);
    assert!(matches!(as_file.check(), Err(BadTrust::Key { person: p, .. }) if p == person("alice")));
    // No point has this x; and neither another first byte nor another length is a second spelling.
    let public = World::new().passkey("alice").public();
    let PersonKey::P256(point) = public else { panic!("{public}") };
    let text = |bytes: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, bytes);
    assert_eq!(text(&point).parse(), Ok(public));
    let (mut first, mut none) = (point, point);
    first[0] = 4;
    none[1..].fill(0xff);
    for bad in [&first[..], &none, &point[..31], &[0; 33], &[2; 65]] {
        assert_eq!(text(bad).parse::<PersonKey>(), Err(crate::sign::BadSignature::PersonKey), "{bad:?}");
    }
}

#[test]
fn passkey_terms_name_one_rp_and_its_own_origins() {
    let with = |alter: fn(&mut WebauthnTerms)| {
        let mut root = World::founded("test", "acme", with_passkeys).trust().clone();
        alter(root.webauthn.as_mut().unwrap());
        root.check()
    };
    let origin = |o: &'static str| {
        let mut root = World::founded("test", "acme", with_passkeys).trust().clone();
        root.webauthn.as_mut().unwrap().origins.insert(o.to_owned());
        root.check()
    };
    for good in ["https://acme.example", "https://a.b.acme.example", "https://acme.example:8443"] {
        assert_eq!(origin(good), Ok(()), "{good}");
    }
    for bad in [
        "http://acme.example",
        "https://evilacme.example",
        "https://acme.example.evil.example",
        "https://acme.example/",
        "https://ACME.example",
        "https://acme.example:443",
        "https://acme.example:08443",
        "https://acme.example:",
        "https://u@acme.example",
        "https://x/.acme.example",
        "",
    ] {
        assert!(matches!(origin(bad), Err(BadTrust::Terms(_))), "{bad}");
    }
    assert!(matches!(with(|t| t.rp_id.clear()), Err(BadTrust::Terms(_))));
    assert!(matches!(with(|t| t.rp_id = "Acme.example".to_owned()), Err(BadTrust::Terms(_))));
    assert!(matches!(with(|t| _ = t.algorithms.insert("RS256".to_owned())), Err(BadTrust::Terms(_))));
    let crowd = |t: &mut WebauthnTerms| t.origins.extend((0..16).map(|n| format!("https://h{n}.acme.example")));
    assert!(matches!(with(crowd), Err(BadTrust::Terms(_))));
}

/// One person alone decides nothing; two are enough to begin with, whatever the rules then ask.
#[test]
fn two_persons_who_can_sign_are_the_fewest() {
    let with = |names: &[&str]| {
        let kept: Vec<_> = names.iter().map(|name| person(name)).collect();
        found(|root| root.actors.retain(|person, _| kept.contains(person)))
    };
    assert_eq!(with(&["alice"]), Err(BadTrust::TooFewPersons(1)));
    assert!(!matches!(with(&["alice", "bob"]), Err(BadTrust::TooFewPersons(_))));
}
