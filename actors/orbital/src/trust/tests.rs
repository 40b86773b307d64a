//! What a version must hold by itself: one alteration each, and the finding that it alone makes.

use super::*;
use crate::testing::{World, actor, person, region, secret};

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
        found(|r| hers(&mut actor_of(r, "bob").keys.values_mut().next().unwrap().public)),
        Err(BadTrust::SharedKey(person("alice"), person("bob")))
    );
    let reused = |use_of: &str| Err(BadTrust::ReusedKey { use_of: use_of.to_owned() });
    assert_eq!(found(|r| hers(&mut r.lease.key)), reused("lease key"));
    let at = || region("us-east");
    assert_eq!(found(|r| hers(&mut r.regions.get_mut(&at()).unwrap().report_key)), reused("report key of us-east"));
    assert_eq!(found(|r| hers(&mut r.regions.get_mut(&at()).unwrap().hpke_key)), reused("HPKE key of us-east"));
    let another = World::new().report_key("ch-zurich").public();
    assert_eq!(found(|r| r.regions.get_mut(&at()).unwrap().report_key = another), reused("report key of us-east"));
    let recovery = RecoveryTerms { keys: BTreeSet::from([alice]), need: 2, delay_seconds: 259_200 };
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
