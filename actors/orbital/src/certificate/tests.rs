//! Each guard of `certify`, with the certificate that it alone refuses.

use super::*;
use crate::{
    canon,
    change::Action,
    names::{Deployment, KeyName, System},
    sign::SecretKey,
    testing::{
        EXPIRES, NOW, World, actor,
        authenticator::{ORIGIN, PASSKEY, terms, with_passkeys},
        link_l1, person, secret, spoilt,
    },
    trust::Actor,
};

fn check(world: &World, certificate: &Certificate) -> Result<Certified, Uncertified> {
    certify(certificate, world.chain(), NOW)
}

/// The same statement with a member altered, signed anew by `key`.
fn altered(role: Role, signed: &Signed, key: &SecretKey, alter: impl FnOnce(&mut Vote)) -> Signed {
    let mut vote = Vote::read(role, signed).unwrap();
    alter(&mut vote);
    Signed::new(role.kind(), canon::write("a vote", &vote).unwrap(), key)
}

/// A link whose proposal is altered and answered anew: only what the vote says can be wrong with it.
fn link_with(world: &World, alter: impl FnOnce(&mut Vote)) -> Certificate {
    answered_anew(world, world.link("k"), alter)
}

fn answered_anew(world: &World, mut certificate: Certificate, alter: impl FnOnce(&mut Vote)) -> Certificate {
    certificate.proposal = altered(Role::Propose, &certificate.proposal, world.key("alice"), alter);
    certificate.approvals = vec![world.answer(Role::Approve, &certificate.proposal, "bob")];
    certificate
}

/// Version 2: dave is gone, lena is new in his group. Signed by everyone whose rules that touches.
fn without_dave(world: &mut World) {
    let lena = world.newcomer("lena", &["Senior_Leadership"]);
    alter_actors(world, |actors| {
        actors.remove(&person("dave"));
        actors.insert(person("lena"), lena);
    });
}

fn alter_actors(world: &mut World, alter: impl FnOnce(&mut std::collections::BTreeMap<Person, Actor>)) {
    let next = world.next(|root| alter(&mut root.actors));
    let everyone = ["alice", "bob", "frank", "grace", "carol", "dave", "heidi", "ivan", "judy", "karl"];
    world.extend(&world.certificate(Action::ChangeActors { next }, "erin", &everyone));
}

#[test]
fn a_certificate_of_another_place_is_refused() {
    let world = World::new();
    let elsewhere = |certificate: &Certificate| match check(&world, certificate) {
        Err(Uncertified::Elsewhere(what)) => what,
        other => panic!("{other:?}"),
    };
    assert_eq!(elsewhere(&World::of("other", "acme").link("k")), "deployment");
    assert_eq!(elsewhere(&World::of("test", "globex").link("k")), "tenant");
    assert_eq!(elsewhere(&link_with(&world, |v| v.deployment = Deployment::new("other").unwrap())), "deployment");
    assert_eq!(elsewhere(&link_with(&world, |v| v.tenant = World::of("test", "globex").tenant())), "tenant");
    assert_eq!(elsewhere(&link_with(&world, |v| v.change = Digest([0; 32]))), "change than was proposed");
    assert_eq!(elsewhere(&link_with(&world, |v| v.kind = ChangeKind::RevokeL1)), "change than was proposed");
    assert_eq!(elsewhere(&link_with(&world, |v| v.epoch += 1)), "epoch or trust version than was proposed");
    assert_eq!(elsewhere(&link_with(&world, |v| v.trust_version += 1)), "epoch or trust version than was proposed");
    assert_eq!(elsewhere(&link_with(&world, |v| v.trust = Digest([0; 32]))), "trust root than this version's");
    assert_eq!(elsewhere(&link_with(&world, |v| v.policy = Digest([0; 32]))), "policy");
    check(&world, &link_with(&world, |_| ())).unwrap();
}

#[test]
fn a_change_of_another_place_is_refused_whatever_its_votes_say() {
    let world = World::new();
    let mut change = world.change(link_l1("k"));
    change.deployment = Deployment::new("other").unwrap();
    let signed = world.sign_change(&change, "alice", &[]);
    let lied = answered_anew(&world, signed, |v| v.deployment = world.deployment());
    assert_eq!(check(&world, &lied), Err(Uncertified::Elsewhere("deployment")));
    let mut change = world.change(link_l1("k"));
    change.tenant = World::of("test", "globex").tenant();
    let signed = world.sign_change(&change, "alice", &[]);
    let lied = answered_anew(&world, signed, |v| v.tenant = world.tenant());
    assert_eq!(check(&world, &lied), Err(Uncertified::Elsewhere("tenant")));
}

#[test]
fn a_nonce_that_is_no_nonce_is_neither_signed_nor_read() {
    let world = World::new();
    let bad = |found: Result<(), Malformed>| assert!(matches!(found, Err(Malformed::BadNonce(_))), "{found:?}");
    let mut change = world.change(link_l1("k"));
    change.nonce = "and-pay-me-too".to_owned();
    bad(change.to_bytes().map(|_| ()));
    bad(Change::from_bytes(&canon::write("a change", &change).unwrap()).map(|_| ()));
    let link = world.link("k");
    let mut signer = world.signer("bob");
    signer.nonce = "and-pay-me-too".to_owned();
    bad(Vote::answer(Role::Approve, &link.proposal, &signer).map(|_| ()));
    let vote = altered(Role::Approve, &link.approvals[0], world.key("bob"), |v| v.nonce = "x".to_owned());
    bad(Vote::read(Role::Approve, &vote).map(|_| ()));
}

#[test]
fn an_approval_of_an_older_digest_is_refused() {
    let world = World::new();
    let (older, mut newer) = (world.link("old"), world.link("new"));
    newer.approvals = older.approvals.clone();
    assert_eq!(check(&world, &newer), Err(Uncertified::OtherProposal { person: person("bob") }));
    newer.change = older.change;
    assert_eq!(check(&world, &newer), Err(Uncertified::Elsewhere("change than was proposed")));
}

#[test]
fn a_wrong_signature_voids_a_grant() {
    let world = World::new();
    let mut link = world.link("k");
    link.approvals.push(spoilt(world.answer(Role::Approve, &link.proposal, "grace")));
    assert!(matches!(check(&world, &link), Err(Uncertified::Answer { person: p, .. }) if p == person("grace")));
    let mut link = world.link("k");
    link.proposal = spoilt(link.proposal);
    assert!(matches!(check(&world, &link), Err(Uncertified::Proposal(_))));
    // Bob's words under grace's key: the signature is good, but not by whom it names.
    let mut link = world.link("k");
    link.approvals = vec![altered(Role::Approve, &link.approvals[0], world.key("grace"), |_| ())];
    assert!(matches!(check(&world, &link), Err(Uncertified::Answer { .. })));
}

#[test]
fn a_wrong_signature_does_not_spoil_a_stop() {
    let world = World::new();
    let mut kill = world.kill();
    kill.approvals.insert(0, spoilt(world.answer(Role::Approve, &kill.proposal, "heidi")));
    kill.approvals.insert(0, Signed { statement: b"{}".to_vec(), ..kill.approvals[0].clone() });
    kill.approvals.insert(0, world.kill().approvals.remove(0));
    assert_eq!(check(&world, &kill).unwrap().signers(), BTreeSet::from([person("carol"), person("dave")]));
    // Nor does it count: with carol's alone nobody is left to be the second.
    kill.approvals.truncate(3);
    assert_eq!(check(&world, &kill), Err(Uncertified::OtherProposal { person: person("dave") }));
    let mut kill = world.kill();
    kill.proposal = spoilt(kill.proposal);
    assert!(matches!(check(&world, &kill), Err(Uncertified::Proposal(_))));
    kill.approvals.push(world.answer(Role::Approve, &kill.proposal, "heidi"));
    check(&world, &kill).unwrap();
}

#[test]
fn votes_count_by_person() {
    let world = World::new();
    let unmet = |groups: &[&str]| {
        let missing = groups.iter().map(|g| Group::new(g).unwrap()).collect();
        Err(Uncertified::Unmet { kind: ChangeKind::RevokeL1, missing, verify: Verify::Key })
    };
    let kill = |approvers: &[&str]| check(&world, &world.certificate(Action::RevokeL1 {}, "carol", approvers));
    assert_eq!(kill(&["carol", "carol"]), unmet(&["Senior_Leadership"]), "the proposer approves");
    assert_eq!(kill(&["alice"]), unmet(&["Senior_Leadership"]), "of another group");
    assert_eq!(kill(&[]), unmet(&["Senior_Leadership"]));
    kill(&["heidi"]).unwrap();
    // A proposer of no demanded group fills no slot, and the rule holds by the others.
    check(&world, &world.certificate(Action::RevokeL1 {}, "alice", &["carol", "dave"])).unwrap();
}

#[test]
fn two_keys_of_one_person_are_one_vote() {
    let second = secret("second", "carol");
    let mut world = World::new();
    let key = world.enrolled("carol", &second);
    alter_actors(&mut world, |actors| {
        let carol = actors.get_mut(&person("carol")).unwrap();
        carol.keys.insert(KeyName::new("key-2").unwrap(), key);
    });
    let mut kill = world.certificate(Action::RevokeL1 {}, "carol", &["carol"]);
    kill.approvals =
        vec![altered(Role::Approve, &kill.approvals[0], &second, |v| v.key = KeyName::new("key-2").unwrap())];
    assert!(matches!(check(&world, &kill), Err(Uncertified::Unmet { .. })));
    kill.approvals.push(world.answer(Role::Approve, &kill.proposal, "dave"));
    check(&world, &kill).unwrap();
}

#[test]
fn an_approver_removed_meanwhile_does_not_count() {
    let mut world = World::new();
    let link = world.certificate(link_l1("k"), "alice", &["bob", "dave"]);
    let by_three = world.certificate(Action::RevokeL1 {}, "carol", &["dave", "heidi"]);
    let by_dave = world.certificate(Action::RevokeL1 {}, "dave", &["carol", "heidi"]);
    let by_two = world.kill();
    check(&world, &link).unwrap();
    let digest = Change::digest_of(&link.change);
    let lena = world.newcomer("lena", &["Senior_Leadership"]);
    let next = world.next(|root| {
        root.actors.remove(&person("dave"));
        root.actors.insert(person("lena"), lena);
        root.carried.insert(digest);
    });
    let approvers = ["alice", "bob", "carol", "heidi"];
    world.extend(&world.certificate(Action::ChangeActors { next }, "erin", &approvers));
    // The grant is carried, and void all the same: one of its signers is gone.
    assert!(matches!(check(&world, &link), Err(Uncertified::UnknownSigner { person: p, .. }) if p == person("dave")));
    for stop in [by_three, by_dave] {
        assert_eq!(check(&world, &stop).unwrap().signers(), BTreeSet::from([person("carol"), person("heidi")]));
    }
    assert!(matches!(check(&world, &by_two), Err(Uncertified::Unmet { .. })));
}

#[test]
fn an_approver_cannot_spoil_a_stop_by_a_new_key_of_the_same_name() {
    let mut world = World::new();
    let kill = world.certificate(Action::RevokeL1 {}, "carol", &["dave", "heidi"]);
    let key = world.enrolled("dave", &secret("new", "dave"));
    alter_actors(&mut world, |actors| {
        let dave = actors.get_mut(&person("dave")).unwrap();
        dave.keys.values_mut().for_each(|k| *k = key.clone());
    });
    assert_eq!(check(&world, &kill).unwrap().signers(), BTreeSet::from([person("carol"), person("heidi")]));
}

#[test]
fn a_key_that_cannot_be_checked_counts_for_nothing() {
    let world = World::founded("test", "acme", |root| {
        let heidi = root.actors.get_mut(&person("heidi")).unwrap();
        let key = heidi.keys.values().next().unwrap().clone();
        let passkey = crate::trust::ActorKey {
            public: secret("passkey", "heidi").public().into(),
            algorithm: crate::trust::Algorithm::Webauthn,
            ..key
        };
        heidi.keys.insert(KeyName::new("passkey").unwrap(), passkey);
    });
    let mut kill = world.certificate(Action::RevokeL1 {}, "carol", &["heidi"]);
    kill.approvals = vec![altered(Role::Approve, &kill.approvals[0], &secret("passkey", "heidi"), |v| {
        v.key = KeyName::new("passkey").unwrap();
    })];
    assert!(matches!(check(&world, &kill), Err(Uncertified::Unmet { .. })));
}

#[test]
fn versions_must_fit_except_for_stops_and_what_is_carried() {
    let (mut world, behind) = (World::new(), World::new());
    let (link, carried, kill) = (world.link("a"), world.link("b"), world.kill());
    let system = System::new("billing").unwrap();
    let next = world.next(|root| {
        root.systems.insert(system.clone());
        root.carried.insert(Change::digest_of(&carried.change));
    });
    world.extend(&world.certificate(Action::RegisterSystem { system, next }, "alice", &["bob"]));
    assert_eq!(check(&world, &link), Err(Uncertified::Stale { made: 1, current: 2 }));
    check(&world, &carried).unwrap();
    check(&world, &kill).unwrap();
    check(&world, &world.link("c")).unwrap();
    // A region that lacks version 2 says so, for a stop as well: the links travel along.
    assert_eq!(check(&behind, &world.link("c")), Err(Uncertified::Ahead { made: 2, current: 1 }));
    assert_eq!(check(&behind, &world.kill()), Err(Uncertified::Ahead { made: 2, current: 1 }));
}

#[test]
fn expiry_ends_grants_and_never_the_delivery_of_a_stop() {
    let mut world = World::new();
    world.expires = NOW;
    let (link, kill, restore) = (world.link("k"), world.kill(), world.restore([Digest([0; 32])]));
    let at = |certificate: &Certificate, now| certify(certificate, world.chain(), now).map(|_| ());
    assert_eq!(at(&link, NOW), Ok(()));
    assert_eq!(at(&link, NOW + 1), Err(Uncertified::Expired { expired: NOW, now: NOW + 1 }));
    assert_eq!(at(&restore, NOW + 1), Err(Uncertified::Expired { expired: NOW, now: NOW + 1 }));
    assert_eq!(at(&kill, u64::MAX), Ok(()));
    // An approver cannot stretch what the proposer set.
    let mut link = link;
    link.approvals = vec![altered(Role::Approve, &link.approvals[0], world.key("bob"), |v| v.expires = EXPIRES)];
    assert_eq!(at(&link, NOW), Err(Uncertified::OtherProposal { person: person("bob") }));
}

#[test]
fn lifting_a_kill_takes_what_setting_it_took() {
    let world = World::founded("test", "acme", |root| {
        let links = root.rules[&ChangeKind::LinkL1].clone();
        root.rules.insert(ChangeKind::RestoreL1, links);
    });
    let restore = Action::RestoreL1 { kills: BTreeSet::from([Digest([0; 32])]) };
    let weak = world.certificate(restore.clone(), "alice", &["bob"]);
    let missing = vec![Group::new("Senior_Leadership").unwrap(); 2];
    assert_eq!(
        check(&world, &weak),
        Err(Uncertified::Unmet { kind: ChangeKind::RestoreL1, missing, verify: Verify::Key })
    );
    check(&world, &world.certificate(restore, "alice", &["bob", "carol", "dave"])).unwrap();
}

#[test]
fn where_the_rule_says_so_the_proposer_confirms_last() {
    let world = World::founded("test", "acme", |root| {
        root.rules.get_mut(&ChangeKind::LinkL1).unwrap().confirm = true;
    });
    let mut link = world.link("k");
    let unconfirmed = Err(Uncertified::Unconfirmed(person("alice")));
    assert_eq!(check(&world, &link), unconfirmed);
    link.confirmations = vec![world.answer(Role::Confirm, &link.proposal, "bob")];
    assert_eq!(check(&world, &link), unconfirmed, "confirmed by another");
    link.confirmations = vec![world.answer(Role::Confirm, &world.link("other").proposal, "alice")];
    assert_eq!(check(&world, &link), unconfirmed, "of another proposal");
    link.confirmations = vec![world.answer(Role::Approve, &link.proposal, "alice")];
    assert!(matches!(check(&world, &link), Err(Uncertified::Malformed(_))), "of another role");
    link.confirmations = vec![spoilt(world.answer(Role::Confirm, &link.proposal, "alice"))];
    assert!(matches!(check(&world, &link), Err(Uncertified::Answer { .. })));
    link.confirmations = vec![world.answer(Role::Confirm, &link.proposal, "alice")];
    check(&world, &link).unwrap();
}

#[test]
fn answers_have_a_limit() {
    let world = World::new();
    let mut link = world.link("k");
    link.approvals = vec![link.approvals.remove(0); ANSWERS_MAX];
    check(&world, &link).unwrap();
    link.approvals.push(link.approvals[0].clone());
    assert_eq!(check(&world, &link), Err(Uncertified::TooManyAnswers));
}

#[test]
fn who_touches_the_electorate_of_a_kind_needs_its_rule() {
    let world = World::new();
    let puppet = || actor(&["Senior_Leadership"], secret("puppet", "puppet").public());
    let next = world.next(|root| _ = root.actors.insert(person("puppet"), puppet()));
    let adds = |approvers: &[&str]| {
        check(&world, &world.certificate(Action::ChangeActors { next: next.clone() }, "erin", approvers))
    };
    assert!(matches!(adds(&["alice"]), Err(Uncertified::Unmet { kind, .. }) if kind.is_stop()));
    assert!(matches!(adds(&["alice", "carol", "dave"]), Err(Uncertified::Unmet { kind: ChangeKind::RestoreL1, .. })));
    adds(&["alice", "bob", "carol", "dave"]).unwrap();
    // A person of no demanded group is ChangeActors' business alone.
    let next =
        world.next(|root| _ = root.actors.insert(person("puppet"), actor(&["Guests"], secret("p", "p").public())));
    check(&world, &world.certificate(Action::ChangeActors { next }, "erin", &["alice"])).unwrap();
}

#[test]
fn who_enters_or_gets_a_new_key_does_not_count_for_the_new_rule() {
    let world = World::new();
    let everyone_but = |gone: &[&str]| {
        let all = ["alice", "bob", "frank", "grace", "carol", "dave", "heidi"];
        all.into_iter().filter(|p| !gone.contains(p)).collect::<Vec<_>>()
    };
    let public = secret("new", "heidi").public();
    let next = world.next(|root| {
        root.actors.get_mut(&person("heidi")).unwrap().keys.values_mut().for_each(|k| k.public = public.into());
    });
    let rotates = |approvers: &[&str]| {
        check(&world, &world.certificate(Action::ChangeActors { next: next.clone() }, "erin", approvers))
    };
    rotates(&everyone_but(&["heidi"])).unwrap();
    // Carol and heidi are two of three under the old version; under the new one heidi's old signature says nothing.
    let without_dave = rotates(&everyone_but(&["dave"]));
    assert!(matches!(without_dave, Err(Uncertified::Unmet { kind, .. }) if kind.is_stop()), "{without_dave:?}");
}

#[test]
fn a_grant_takes_an_approval_by_an_independent_key_and_a_stop_takes_none() {
    let world = World::founded("test", "acme", |root| {
        with_passkeys(root);
        let passkeys =
            |actor: &mut Actor| actor.keys.get_mut(&KeyName::new(PASSKEY).unwrap()).unwrap().independent = false;
        root.actors.values_mut().for_each(passkeys);
    });
    let by_passkey = |action: Action, proposer: &str, approver: &str| {
        let change = world.change(action).to_bytes().unwrap();
        let proposal = world.propose(&change, proposer);
        let approvals = vec![world.answer_by_passkey(Role::Approve, &proposal, approver, true)];
        Certificate { change, proposal, approvals, confirmations: Vec::new() }
    };
    let mut link = by_passkey(link_l1("k"), "alice", "bob");
    let groups = ["Security_Ops", "Compliance_Legal"].map(|name| Group::new(name).unwrap()).to_vec();
    let dependent = Err(Uncertified::Besides(Besides::Independent { kind: ChangeKind::LinkL1, groups }));
    assert_eq!(check(&world, &link), dependent, "alice's key file proposed, and no more");
    link.approvals.push(world.answer(Role::Approve, &link.proposal, "judy"));
    assert_eq!(check(&world, &link), dependent, "judy is of no group that the rule asks for");
    link.approvals.push(world.answer(Role::Approve, &link.proposal, "grace"));
    check(&world, &link).unwrap();
    check(&world, &by_passkey(Action::RevokeL1 {}, "carol", "dave")).unwrap();
}

#[test]
fn what_says_whose_signatures_count_asks_for_every_kinds_rule() {
    let world = World::new();
    let keys = ["1", "2"].map(|name| secret("recovery", name).public());
    let alterations: [&dyn Fn(&mut TrustRoot); 2] = [&|root| root.webauthn = Some(terms()), &|root| {
        root.recovery = Some(crate::recovery::RecoveryTerms { keys: keys.into(), need: 2, delay_seconds: 259_200 });
    }];
    for alter in alterations {
        let next = world.next(|root| alter(root));
        let changes = |approvers: &[&str]| {
            check(&world, &world.certificate(Action::ChangeActors { next: next.clone() }, "erin", approvers))
        };
        assert!(matches!(changes(&["alice"]), Err(Uncertified::Unmet { .. })), "the rule of ChangeActors alone");
        changes(&["alice", "bob", "carol", "dave", "judy"]).unwrap();
    }
}

#[test]
fn a_weaker_rule_needs_the_old_rule_and_the_new() {
    let world = World::new();
    let next = world.next(|root| {
        let need = |kind, at: usize| root.rules[&kind].need[at].clone();
        let need = vec![need(ChangeKind::LinkL1, 0), need(ChangeKind::ChangePolicy, 0)];
        root.rules.get_mut(&ChangeKind::RevokeL1).unwrap().need = need;
    });
    let weakens = |approvers: &[&str]| {
        check(&world, &world.certificate(Action::ChangeQuorum { next: next.clone() }, "erin", approvers))
    };
    assert!(
        matches!(weakens(&["alice", "judy"]), Err(Uncertified::Unmet { kind: ChangeKind::RevokeL1, .. })),
        "old rule"
    );
    assert!(
        matches!(weakens(&["alice", "carol", "dave"]), Err(Uncertified::Unmet { kind: ChangeKind::RevokeL1, .. })),
        "new rule"
    );
    weakens(&["alice", "carol", "dave", "judy"]).unwrap();
}

/// A tenant whose people have passkeys, and whose rule for this kind asks for user verification.
fn verifying(kind: ChangeKind, alter: impl FnOnce(&mut Rule)) -> World {
    World::founded("test", "acme", |root| {
        with_passkeys(root);
        let rule = root.rules.get_mut(&kind).unwrap();
        rule.verify = Verify::User;
        alter(rule);
    })
}

/// A kill proposed and approved by passkeys, each with or without user verification.
fn kill_by_passkeys(world: &World, carol: bool, dave: bool) -> Certificate {
    let change = world.change(Action::RevokeL1 {}).to_bytes().unwrap();
    let proposal = world.propose_by_passkey(&change, "carol", carol);
    let approvals = vec![world.answer_by_passkey(Role::Approve, &proposal, "dave", dave)];
    Certificate { change, proposal, approvals, confirmations: Vec::new() }
}

#[test]
fn passkeys_count_where_a_touch_is_enough_and_mix_with_key_files() {
    let world = World::founded("test", "acme", with_passkeys);
    let signers = BTreeSet::from([person("carol"), person("dave")]);
    assert_eq!(check(&world, &kill_by_passkeys(&world, false, false)).unwrap().signers(), signers);
    let mut mixed = kill_by_passkeys(&world, true, true);
    mixed.approvals = vec![world.answer(Role::Approve, &mixed.proposal, "dave")];
    assert_eq!(check(&world, &mixed).unwrap().signers(), signers);
    mixed.approvals = vec![spoilt(world.answer_by_passkey(Role::Approve, &mixed.proposal, "dave", true))];
    assert!(matches!(check(&world, &mixed), Err(Uncertified::Answer { person: p, .. }) if p == person("dave")));
}

#[test]
fn a_rule_that_asks_for_user_verification_is_met_by_nothing_else() {
    let world = verifying(ChangeKind::RevokeL1, |_| ());
    check(&world, &kill_by_passkeys(&world, true, true)).unwrap();
    let missing = vec![Group::new("Senior_Leadership").unwrap()];
    let unmet = Err(Uncertified::Unmet { kind: ChangeKind::RevokeL1, missing, verify: Verify::User });
    assert_eq!(check(&world, &kill_by_passkeys(&world, true, false)), unmet);
    assert_eq!(check(&world, &kill_by_passkeys(&world, false, true)), unmet);
    let mut by_file = kill_by_passkeys(&world, true, true);
    by_file.approvals = vec![world.answer(Role::Approve, &by_file.proposal, "dave")];
    assert_eq!(check(&world, &by_file), unmet);
    // A second signature of the same person by passkey makes up for it.
    by_file.approvals.push(world.answer_by_passkey(Role::Approve, &by_file.proposal, "dave", true));
    check(&world, &by_file).unwrap();
    // Other rules of the same tenant ask for no more than before.
    check(&world, &world.link("k")).unwrap();
}

#[test]
fn a_key_outside_is_linked_by_verified_passkeys_whatever_the_rule_says() {
    let world = World::founded("test", "acme", with_passkeys);
    let change = world.change(link_l1("k")).to_bytes().unwrap();
    let proposal = world.propose_by_passkey(&change, "alice", true);
    let verified = |approval: Signed| {
        let certificate = Certificate {
            change: change.clone(),
            proposal: proposal.clone(),
            approvals: vec![approval],
            confirmations: Vec::new(),
        };
        check(&world, &certificate).unwrap().check_user_verified(world.trust())
    };
    verified(world.answer_by_passkey(Role::Approve, &proposal, "bob", true)).unwrap();
    let missing = vec![Group::new("Compliance_Legal").unwrap()];
    let unmet = Err(Uncertified::Unmet { kind: ChangeKind::LinkL1, missing, verify: Verify::User });
    assert_eq!(verified(world.answer_by_passkey(Role::Approve, &proposal, "bob", false)), unmet);
    assert_eq!(verified(world.answer(Role::Approve, &proposal, "bob")), unmet);
}

#[test]
fn the_last_word_is_verified_where_the_rule_asks_for_it() {
    let world = verifying(ChangeKind::RevokeL1, |rule| rule.confirm = true);
    let mut kill = kill_by_passkeys(&world, true, true);
    let unconfirmed = Err(Uncertified::Unconfirmed(person("carol")));
    assert_eq!(check(&world, &kill), unconfirmed);
    kill.confirmations = vec![world.answer(Role::Confirm, &kill.proposal, "carol")];
    assert_eq!(check(&world, &kill), unconfirmed);
    kill.confirmations = vec![world.answer_by_passkey(Role::Confirm, &kill.proposal, "carol", true)];
    check(&world, &kill).unwrap();
}

#[test]
fn a_rule_comes_to_ask_for_passkeys_only_by_those_who_have_used_theirs() {
    let world = World::founded("test", "acme", with_passkeys);
    let change = world.change(Action::ChangeQuorum {
        next: world.next(|root| root.rules.get_mut(&ChangeKind::LinkL1).unwrap().verify = Verify::User),
    });
    let change = change.to_bytes().unwrap();
    let proposal = world.propose(&change, "erin");
    let with = |alice: Signed, bob: Signed| {
        let approvals = vec![alice, bob];
        check(
            &world,
            &Certificate { change: change.clone(), proposal: proposal.clone(), approvals, confirmations: vec![] },
        )
    };
    let file = |name| world.answer(Role::Approve, &proposal, name);
    let passkey = |name| world.answer_by_passkey(Role::Approve, &proposal, name, true);
    assert!(matches!(with(file("alice"), passkey("bob")), Err(Uncertified::Unmet { verify: Verify::User, .. })));
    assert!(matches!(with(passkey("alice"), file("bob")), Err(Uncertified::Unmet { verify: Verify::User, .. })));
    with(passkey("alice"), passkey("bob")).unwrap();
}

#[test]
fn a_passkey_signs_at_the_origin_that_its_statement_names() {
    let world = World::founded("test", "acme", |root| {
        with_passkeys(root);
        root.webauthn.as_mut().unwrap().origins.insert("https://acme.example".to_owned());
    });
    let mut kill = kill_by_passkeys(&world, true, true);
    let mut vote = Vote::read(Role::Approve, &kill.approvals[0]).unwrap();
    assert_eq!(vote.origin.as_str(), ORIGIN);
    vote.origin = canon::Text::new("https://acme.example").unwrap();
    let statement = canon::write("a vote", &vote).unwrap();
    let assertion = world.passkey("dave").assert(Role::Approve.kind().digest(&statement).as_bytes(), true);
    kill.approvals = vec![Signed { statement, signature: assertion.into() }];
    let Err(Uncertified::Answer { why, .. }) = check(&world, &kill) else { panic!("the origins differ") };
    assert!(why.to_string().contains("the origin that the statement names"), "{why}");
}

#[test]
fn each_kind_of_key_signs_in_its_own_way_alone() {
    let world = World::founded("test", "acme", with_passkeys);
    let kill = kill_by_passkeys(&world, true, true);
    let approved = |signed: Signed| check(&world, &Certificate { approvals: vec![signed], ..kill.clone() });
    let (by_file, by_passkey) = (world.answer(Role::Approve, &kill.proposal, "dave"), kill.approvals[0].clone());
    let other = |result| matches!(result, Err(Uncertified::Answer { why: BadSignature::OtherAlgorithm(..), .. }));
    // The key file over a statement that names the passkey, and the reverse.
    let named = altered(Role::Approve, &by_file, world.key("dave"), |vote| vote.key = KeyName::new(PASSKEY).unwrap());
    assert!(other(approved(named)));
    let digest = Role::Approve.kind().digest(&by_file.statement);
    let signature = world.passkey("dave").assert(digest.as_bytes(), true).into();
    assert!(other(approved(Signed { signature, ..by_file })));
    approved(by_passkey).unwrap();
}

#[test]
fn a_kill_signed_under_version_one_holds_while_its_signers_suffice() {
    let mut world = World::new();
    let kill = world.certificate(Action::RevokeL1 {}, "heidi", &["carol"]);
    without_dave(&mut world);
    let system = System::new("billing").unwrap();
    let next = world.next(|root| _ = root.systems.insert(system.clone()));
    world.extend(&world.certificate(Action::RegisterSystem { system, next }, "frank", &["grace"]));
    check(&world, &kill).unwrap();
    assert_eq!(world.chain().version(), 3);
}

#[test]
fn approvals_and_confirmations_count_together_and_a_refusal_says_who_could_mend_it() {
    let world = World::new();
    let mut link = world.link("k");
    let one = link.approvals[0].clone();
    let half = ANSWERS_MAX / 2;
    (link.approvals, link.confirmations) = (vec![one.clone(); half], vec![one; half + 1]);
    assert_eq!(check(&world, &link), Err(Uncertified::TooManyAnswers));
    assert_eq!(Uncertified::TooManyAnswers.lacking(), None);
    let alone = check(&world, &world.certificate(link_l1("k"), "alice", &[])).unwrap_err();
    let legal = Group::new("Compliance_Legal").unwrap();
    assert_eq!(alone.lacking(), Some(vec![legal.clone()]));
    assert!(!alone.to_string().contains("passkey"), "{alone}");
    let verified = Uncertified::Unmet { kind: ChangeKind::LinkL1, missing: vec![legal.clone()], verify: Verify::User };
    assert!(verified.to_string().contains("by a passkey with user verification"), "{verified}");
    let independent =
        Uncertified::Besides(Besides::Independent { kind: ChangeKind::LinkL1, groups: vec![legal.clone()] });
    assert_eq!(independent.lacking(), Some(vec![legal]));
}

/// Two last words may stand there: the fire of an armed stop, and the confirmation that a rule asks of its proposer.
#[test]
fn an_armed_stop_that_must_be_confirmed_has_both_words_in_any_order() {
    let world = World::founded("test", "acme", |root| {
        root.rules.get_mut(&ChangeKind::RevokeL1).unwrap().confirm = true;
    });
    let until = crate::change::FireUntil(NOW + 3_600);
    let change = Change { armed: Some(until), ..world.change(Action::RevokeL1 {}) };
    let certificate = world.sign_change(&change, "carol", &["dave"]);
    let word = |role, name| world.answer(role, &certificate.proposal, name);
    let (fire, confirm) = (word(Role::Fire, "dave"), word(Role::Confirm, "carol"));
    let with = |words: Vec<Signed>| Certificate { confirmations: words, ..certificate.clone() };
    let certified = |words| certify(&with(words), world.chain(), NOW).map(|_| ());
    assert_eq!(certified(vec![fire.clone(), confirm.clone()]), Ok(()));
    assert_eq!(certified(vec![confirm.clone(), fire.clone()]), Ok(()));
    assert!(matches!(certified(vec![fire]), Err(Uncertified::Unconfirmed(_))));
    assert!(matches!(certified(vec![confirm]), Err(Uncertified::Unfired { .. })));
}
