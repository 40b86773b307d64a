//! Who founds a tenant, and what may follow what.

use super::*;
use crate::{
    change::{ChangeKind, bundle_in},
    names::System,
    recovery::RecoveryTerms,
    testing::{World, actor, person, secret},
};

fn billing() -> System {
    System::new("billing").unwrap()
}

/// What the chain says to a next version by a change of this kind, certified by everyone.
fn followed(world: &World, action: Action) -> Result<Chain, Uncertified> {
    let everyone = ["bob", "frank", "grace", "carol", "dave", "heidi", "erin", "ivan", "judy", "karl"];
    world.chain().extend(&world.certificate(action, "alice", &everyone)).map(|(chain, _)| chain)
}

fn registers(world: &World, alter: impl FnOnce(&mut TrustRoot)) -> Result<Chain, Uncertified> {
    let next = world.next(|root| {
        root.systems.insert(billing());
        alter(root);
    });
    followed(world, Action::RegisterSystem { system: billing(), next })
}

#[test]
fn every_first_actor_signs_and_nobody_else() {
    let world = World::new();
    let genesis = || world.genesis();
    assert_eq!(genesis().found().unwrap().tenant(), world.tenant());
    let mut unsigned = genesis();
    unsigned.signatures.remove(&person("bob"));
    assert_eq!(unsigned.found(), Err(BadGenesis::Unsigned(person("bob"))));
    let mut stranger = genesis();
    let signature = stranger.signatures[&person("bob")];
    stranger.signatures.insert(person("mallory"), signature);
    assert_eq!(stranger.found(), Err(BadGenesis::Stranger(person("mallory"))));
    let mut swapped = genesis();
    swapped.signatures.insert(person("alice"), signature);
    assert!(matches!(swapped.found(), Err(BadGenesis::Signature(p, _)) if p == person("alice")));
    let mut other = genesis();
    other.root = World::of("test", "globex").genesis().root;
    assert!(matches!(other.found(), Err(BadGenesis::Signature(..))));
    let mut spaced = genesis();
    spaced.root.push(b' ');
    assert!(matches!(spaced.found(), Err(BadGenesis::Trust(BadTrust::Malformed(_)))));
}

#[test]
fn a_genesis_is_version_one_and_signed_for_that() {
    let world = World::new();
    let mut genesis = world.genesis();
    let people: Vec<_> = genesis.signatures.keys().cloned().collect();
    let signed_as = |kind: Kind, root: &[u8]| -> BTreeMap<_, _> {
        people.iter().map(|p| (p.clone(), world.key(p.as_str()).sign(kind, root))).collect()
    };
    genesis.signatures = signed_as(Kind::Policy, &genesis.root);
    assert!(matches!(genesis.found(), Err(BadGenesis::Signature(..))));
    genesis.root = world.next(|_| ()).to_bytes().unwrap();
    genesis.signatures = signed_as(Kind::Trust, &genesis.root);
    assert_eq!(genesis.found(), Err(BadGenesis::NotFirst(2)));
}

#[test]
fn a_key_that_cannot_be_checked_founds_nothing() {
    let world = World::founded("test", "acme", |root| {
        let mut passkey = actor(&[], secret("passkey", "heidi").public()).keys.pop_first().unwrap().1;
        passkey.algorithm = Algorithm::Webauthn;
        let heidi = root.actors.get_mut(&person("heidi")).unwrap();
        heidi.keys.insert(crate::names::KeyName::new("passkey").unwrap(), passkey);
    });
    let mut genesis = world.genesis();
    genesis.found().unwrap();
    let by_passkey = secret("passkey", "heidi").sign(Kind::Trust, &genesis.root);
    genesis.signatures.insert(person("heidi"), by_passkey);
    assert!(matches!(genesis.found(), Err(BadGenesis::Signature(p, _)) if p == person("heidi")));
}

/// A retired system goes with its callers, and with nothing else; those of other systems stay.
#[test]
fn a_retirement_takes_one_system_and_its_callers() {
    let mut world = World::new();
    let next = world.next(|root| _ = root.systems.insert(billing()));
    world.extend(&world.certificate(Action::RegisterSystem { system: billing(), next }, "alice", &["bob"]));
    let retires = |system: System, alter: &dyn Fn(&mut TrustRoot)| {
        let next = world.next(|root| alter(root));
        followed(&world, Action::RetireSystem { system, next })
    };
    let orders = || System::new(crate::testing::SYSTEM).unwrap();
    let without_orders = |root: &mut TrustRoot| {
        root.systems.remove(&orders());
        root.callers.clear();
    };
    retires(orders(), &without_orders).unwrap();
    retires(billing(), &|root| _ = root.systems.remove(&billing())).unwrap();
    let more = "it does not take away the one system that it names, with its callers";
    // The callers of a system that stays.
    let with_others_callers = |root: &mut TrustRoot| {
        root.systems.remove(&billing());
        root.callers.clear();
    };
    let refused = [
        retires(billing(), &without_orders),
        retires(billing(), &|_| ()),
        retires(System::new("absent").unwrap(), &|_| ()),
        retires(billing(), &with_others_callers),
    ];
    for (at, refused) in refused.into_iter().enumerate() {
        assert_eq!(refused, Err(Uncertified::NotSuccessor(2, more)), "{at}");
    }
    let both = retires(billing(), &|root| {
        without_orders(root);
        root.systems.remove(&billing());
    });
    assert!(both.is_err());
}

#[test]
fn a_chain_grows_by_one_version_and_keeps_every_digest() {
    let mut world = World::new();
    let next = world.next(|root| _ = root.systems.insert(billing()));
    let digest = next.digest().unwrap();
    world.extend(&world.certificate(Action::RegisterSystem { system: billing(), next }, "alice", &["bob"]));
    let chain = world.chain();
    assert_eq!((chain.version(), chain.digest(), chain.tenant()), (2, digest, World::new().tenant()));
    assert_eq!(chain.digest_of(1), Some(chain.tenant().0));
    assert_eq!((chain.digest_of(0), chain.digest_of(3)), (None, None));
}

#[test]
fn a_version_names_its_tenant_and_predecessor() {
    let world = World::new();
    let refused = |alter: fn(&mut TrustRoot), why| {
        assert_eq!(registers(&world, alter), Err(Uncertified::NotSuccessor(1, why)));
    };
    registers(&world, |_| ()).unwrap();
    refused(|r| r.version = 3, "its version is not the next");
    refused(|r| r.tenant = Some(World::of("test", "globex").tenant()), "it names another tenant");
    refused(|r| r.previous = Some(Digest([0; 32])), "it does not name its predecessor's digest");
    assert!(matches!(registers(&world, |r| r.lease.seconds = 0), Err(Uncertified::Trust(BadTrust::NoLimit))));
}

#[test]
fn a_version_that_was_made_under_an_older_one_does_not_follow() {
    let mut world = World::new();
    let both = |world: &World, name: &str| {
        let system = System::new(name).unwrap();
        let next = world.next(|root| _ = root.systems.insert(system.clone()));
        world.certificate(Action::RegisterSystem { system, next }, "alice", &["bob"])
    };
    let (first, second) = (both(&world, "billing"), both(&world, "payroll"));
    world.extend(&first);
    assert!(matches!(world.chain().extend(&second), Err(Uncertified::Stale { made: 1, current: 2 })));
    assert!(matches!(world.chain().extend(&first), Err(Uncertified::Stale { .. })), "twice");
    // Carried, it is still no successor: its predecessor is version 1.
    let digest = Change::digest_of(&second.change);
    let next = world.next(|root| {
        root.systems.insert(System::new("ledger").unwrap());
        root.carried.insert(digest);
    });
    world.extend(&world.certificate(
        Action::RegisterSystem { system: System::new("ledger").unwrap(), next },
        "alice",
        &["bob"],
    ));
    assert!(matches!(world.chain().extend(&second), Err(Uncertified::NotSuccessor(3, _))));
}

#[test]
fn a_change_that_makes_no_version_extends_nothing() {
    let world = World::new();
    for certificate in [world.kill(), world.link("k"), world.restore([Digest([0; 32])])] {
        let why = "the change makes no new version";
        assert_eq!(world.chain().extend(&certificate), Err(Uncertified::NotSuccessor(1, why)));
    }
}

type Alter = fn(&mut TrustRoot);
type Act = fn(Box<TrustRoot>) -> Action;

/// Each member of a trust root, altered so that the root is still valid by itself.
const ALTERATIONS: [(&str, Alter); 13] = [
    ("deployment", |r| r.deployment = crate::names::Deployment::new("other").unwrap()),
    ("name", |r| r.name = crate::names::TenantName::new("globex").unwrap()),
    ("actors", |r| _ = r.actors.insert(person("guest"), World::new().newcomer("guest", &["Guests"]))),
    ("rules", |r| r.rules.get_mut(&ChangeKind::ChangeLease).unwrap().confirm = true),
    ("policy", |r| r.policy = Digest([9; 32])),
    ("lease", |r| r.lease.seconds += 1),
    ("l1", |r| r.l1.grace += 1),
    ("residency", |r| _ = r.residency.insert(crate::names::Jurisdiction::new("EU").unwrap())),
    ("regions", |r| _ = r.regions.pop_first()),
    ("systems", |r| _ = r.systems.insert(System::new("extra").unwrap())),
    ("callers", |r| r.callers.clear()),
    ("webauthn", |r| {
        r.webauthn = Some(crate::testing::authenticator::terms());
    }),
    ("recovery", |r| {
        let keys = [secret("r", "1").public(), secret("r", "2").public()].into();
        r.recovery = Some(RecoveryTerms { keys, need: 2, delay_seconds: 259_200 });
    }),
];

#[test]
fn each_kind_of_change_alters_what_it_is_about_and_nothing_else() {
    let world = World::new();
    let allowed: [(&str, Act, &[&str]); 6] = [
        (
            "RegisterSystem",
            |mut next| {
                next.systems.insert(billing());
                Action::RegisterSystem { system: billing(), next }
            },
            &[],
        ),
        ("ChangeCallers", |next| Action::ChangeCallers { next }, &["callers"]),
        ("ChangeActors", |next| Action::ChangeActors { next }, &["actors", "recovery", "webauthn"]),
        ("ChangeQuorum", |next| Action::ChangeQuorum { next }, &["rules"]),
        ("ChangeLease", |next| Action::ChangeLease { next }, &["lease", "l1"]),
        ("ChangeResidency", |next| Action::ChangeResidency { next }, &["residency", "regions"]),
    ];
    for (kind, action, may) in allowed {
        for (member, alter) in ALTERATIONS {
            let found = followed(&world, action(world.next(alter)));
            if may.contains(&member) {
                assert!(found.is_ok(), "{kind} may alter {member}: {found:?}");
            } else {
                assert!(matches!(found, Err(Uncertified::NotSuccessor(1, _))), "{kind} may not alter {member}");
            }
        }
    }
}

#[test]
fn a_region_that_stays_is_who_it_was_and_one_that_left_is_remembered() {
    let mut world = World::new();
    let eu = crate::testing::region("eu-frankfurt");
    let was = world.trust().regions[&eu].clone();
    let other = |alter: &dyn Fn(&mut crate::trust::RegionIdentity)| {
        followed(&world, Action::ChangeResidency { next: world.next(|r| alter(r.regions.get_mut(&eu).unwrap())) })
    };
    let key = secret("other", "report").public();
    assert!(matches!(other(&|r| r.report_key = key), Err(Uncertified::NotSuccessor(1, _))));
    assert!(matches!(other(&|r| r.hpke_key = key), Err(Uncertified::NotSuccessor(1, _))));
    let none = followed(&world, Action::ChangeResidency { next: world.next(|r| r.regions.clear()) });
    assert!(matches!(none, Err(Uncertified::NotSuccessor(1, _))));
    let leaves = Action::ChangeResidency { next: world.next(|r| _ = r.regions.remove(&eu)) };
    world.extend(&world.certificate(leaves, "alice", &["bob"]));
    assert!(!world.trust().regions.contains_key(&eu));
    assert_eq!((world.chain().region(&eu), world.chain().departed()[&eu].version), (Some(&was), 2));
    // Whoever comes back under the name is not held to who it was.
    let again = crate::trust::RegionIdentity { report_key: key, ..was };
    let joins = Action::ChangeResidency { next: world.next(|r| _ = r.regions.insert(eu.clone(), again.clone())) };
    world.extend(&world.certificate(joins, "alice", &["bob"]));
    assert_eq!((world.chain().region(&eu), world.chain().departed().len()), (Some(&again), 0));
}

#[test]
fn a_key_that_enters_has_said_itself_whose_it_is() {
    let world = World::new();
    let enters = |who: &'static str, alter: &dyn Fn(&mut TrustRoot)| {
        followed(&world, Action::ChangeActors { next: world.next(|root| alter(root)) }).map_err(|why| match why {
            Uncertified::Unenrolled { person, key, .. } => (person, key),
            other => panic!("{who}: {other}"),
        })
    };
    enters("zoe", &|root| _ = root.actors.insert(person("zoe"), world.newcomer("zoe", &["Guests"]))).unwrap();
    let nobodys = |root: &mut TrustRoot| {
        root.actors.insert(person("zoe"), actor(&["Guests"], crate::testing::newcomer_key("zoe").public()));
    };
    let key = || crate::names::KeyName::new(crate::testing::KEY).unwrap();
    assert_eq!(enters("no proof", &nobodys), Err((person("zoe"), key())));
    let anothers = |root: &mut TrustRoot| _ = root.actors.insert(person("zoe"), world.newcomer("max", &["Guests"]));
    assert_eq!(enters("another's proof", &anothers), Err((person("zoe"), key())));
    // A second key of somebody who is there, too; one that only gets another name needs nothing.
    let second = world.enrolled("alice", &secret("second", "alice"));
    let gets = |second: &crate::trust::ActorKey| {
        enters("alice", &|root| {
            let alice = root.actors.get_mut(&person("alice")).unwrap();
            alice.keys.insert(crate::names::KeyName::new("second").unwrap(), second.clone());
        })
    };
    gets(&second).unwrap();
    assert!(gets(&crate::trust::ActorKey { proof: None, ..second }).is_err());
    enters("renamed", &|root| {
        let alice = root.actors.get_mut(&person("alice")).unwrap();
        let (_, key) = alice.keys.pop_first().unwrap();
        alice.keys.insert(crate::names::KeyName::new("renamed").unwrap(), key);
    })
    .unwrap();
}

#[test]
fn new_policies_are_those_that_the_change_carries_and_nothing_else() {
    let world = World::new();
    let change = |bundle: &[u8], named: &[u8], alter: fn(&mut TrustRoot)| {
        let next = world.next(|root| {
            root.policy = Kind::Policy.digest(named);
            alter(root);
        });
        followed(&world, Action::ChangePolicy { next, bundle: bundle.to_vec() })
    };
    let unchanged: fn(&mut TrustRoot) = |_| ();
    assert_eq!(change(b"new", b"new", unchanged).unwrap().current().policy, Kind::Policy.digest(b"new"));
    let why = |found: Result<Chain, Uncertified>| match found {
        Err(Uncertified::NotSuccessor(1, why)) => why,
        other => panic!("{other:?}"),
    };
    assert!(why(change(b"new", b"other", unchanged)).contains("another policy bundle"));
    let large = vec![b'x'; BUNDLE_BYTES_MAX + 1];
    assert!(why(change(&large, &large, unchanged)).contains("larger"));
    assert!(change(&large[1..], &large[1..], unchanged).is_ok());
    for (member, alter) in ALTERATIONS.into_iter().filter(|(member, _)| *member != "policy") {
        assert!(why(change(b"new", b"new", alter)).contains("alters more"), "{member}");
    }
}

#[test]
fn the_links_of_a_chain_hold_each_bundle_that_they_brought() {
    let mut world = World::new();
    let mut links = Vec::new();
    for bundle in [b"one", b"two"] {
        let next = world.next(|root| root.policy = Kind::Policy.digest(bundle));
        let action = Action::ChangePolicy { next, bundle: bundle.to_vec() };
        let link = world.certificate(action, "judy", &["erin"]);
        world.extend(&link);
        links.push(link);
    }
    for bundle in [b"one", b"two"] {
        assert_eq!(bundle_in(&links, Kind::Policy.digest(bundle)), Some(bundle.to_vec()));
    }
    assert_eq!(bundle_in(&links, Kind::Policy.digest(b"three")), None);
}

#[test]
fn a_registered_system_is_the_one_that_is_named_and_new() {
    let world = World::new();
    let known = System::new("orders").unwrap();
    let twice = followed(&world, Action::RegisterSystem { system: known, next: world.next(|_| ()) });
    let missing = followed(&world, Action::RegisterSystem { system: billing(), next: world.next(|_| ()) });
    let why = "it does not add the one system that it names";
    assert_eq!(twice, Err(Uncertified::NotSuccessor(1, why)));
    assert_eq!(missing, Err(Uncertified::NotSuccessor(1, why)));
}

#[test]
fn a_link_of_the_chain_is_delivered_after_its_expiry() {
    let mut world = World::new();
    world.expires = 1;
    registers(&world, |_| ()).unwrap();
}
