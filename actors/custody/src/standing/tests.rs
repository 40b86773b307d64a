//! Every directive against what it needs: with it the standing moves, without it nothing does.

use orbital::{
    certificate::{Certificate, Uncertified},
    change::{Action, Change},
    directive::Needs,
    names::System,
    sign::{Kind, Signed},
    testing::{NOW, World, link_l1, region, secret},
    trust::Anchor,
    vote::Role,
};

use super::*;

fn me(world: &World, name: &str) -> Identity {
    let region = region(name);
    let named = &world.trust().regions[&region];
    Identity {
        deployment: world.deployment(),
        report_key: named.report_key,
        hpke_key: named.hpke_key,
        region,
        hyok: [].into(),
    }
}
pub(super) fn here(world: &World) -> Identity {
    me(world, "eu-frankfurt")
}
pub(super) fn founded(world: &World) -> Standing {
    let pinned = BTreeSet::from([world.tenant()]);
    Standing::found(&world.genesis(), &[], Digest([1; 32]), &here(world), &pinned, NOW).unwrap()
}
fn step(world: &World, standing: &Standing, directive: &Directive) -> Result<Judged, Refusal> {
    standing.step(directive, &here(world), NOW)
}
fn applied(world: &World, standing: &Standing, directive: &Directive) -> Standing {
    step(world, standing, directive).unwrap().next
}
fn linked(world: &World) -> Standing {
    applied(world, &founded(world), &Directive::Link(world.warrant(world.link("k"))))
}
fn grant(world: &World, standing: &Standing) -> LeaseGrant {
    LeaseGrant {
        domain: Kind::Lease.domain(),
        deployment: world.deployment(),
        tenant: world.tenant(),
        region: region("eu-frankfurt"),
        trust: standing.chain().digest(),
        epoch: standing.epoch(),
        kills: standing.halts().names(),
        restored: standing.lifted().names(),
        nonce: "n".into(),
        seconds: 3_600,
    }
}

#[test]
fn a_tenant_is_founded_only_when_pinned_and_named() {
    let world = World::new();
    let found = |pinned: &[TenantId], me: &Identity| {
        Standing::found(&world.genesis(), &[], Digest([1; 32]), me, &pinned.iter().copied().collect(), NOW)
    };
    assert!(found(&[world.tenant()], &here(&world)).is_ok());
    assert_eq!(found(&[], &here(&world)), Err(Refusal::NotPinned(world.tenant())));
    let stranger = Identity { report_key: secret("x", "y").public(), ..here(&world) };
    assert!(matches!(found(&[world.tenant()], &stranger), Err(Refusal::NotNamed { .. })));
    let elsewhere = Identity { region: region("ap-sydney"), ..here(&world) };
    assert!(matches!(found(&[world.tenant()], &elsewhere), Err(Refusal::NotNamed { .. })));
    let other = Identity { deployment: Deployment::new("other").unwrap(), ..here(&world) };
    assert!(matches!(found(&[world.tenant()], &other), Err(Refusal::Deployment { .. })));
}

#[test]
fn an_unsigned_genesis_founds_nothing() {
    let world = World::new();
    let mut genesis = world.genesis();
    genesis.signatures.pop_last();
    let pinned = BTreeSet::from([world.tenant()]);
    assert!(matches!(
        Standing::found(&genesis, &[], Digest([1; 32]), &here(&world), &pinned, NOW),
        Err(Refusal::Genesis(_))
    ));
}

#[test]
fn every_directive_without_its_proof_is_refused_and_changes_nothing() {
    let world = World::new();
    let standing = linked(&world);
    let lone = |action| world.warrant(world.certificate(action, "carol", &[]));
    let callers = world.next(|root| root.callers.clear());
    let quorum = world.next(|root| {
        root.rules.get_mut(&ChangeKind::LinkL1).unwrap().expires_seconds += 1;
    });
    let mut forged = world.warrant(world.kill());
    forged.certificate.approvals[0].signature = forged.certificate.proposal.signature.clone();
    let unsigned =
        Signed::new(Kind::Lease, orbital::canon::write("x", &grant(&world, &standing)).unwrap(), &secret("x", "y"));
    let change = world.change(link_l1("other")).to_bytes().unwrap();
    let by_nobody =
        Signed { statement: world.propose(&change, "alice").statement, signature: unsigned.signature.clone() };
    let directives = [
        Directive::Provision { genesis: world.genesis(), links: Vec::new() },
        Directive::Probe { tenant: world.tenant(), change, proposal: by_nobody },
        Directive::Link(lone(link_l1("other"))),
        Directive::Kill(lone(Action::RevokeL1 {})),
        Directive::Kill(forged),
        Directive::Restore(lone(Action::RestoreL1 { kills: BTreeSet::from([Digest([7; 32])]) })),
        Directive::Trust(lone(Action::ChangeQuorum { next: quorum })),
        Directive::Callers(lone(Action::ChangeCallers { next: callers })),
        Directive::Lease(unsigned),
    ];
    for directive in directives {
        let refused = step(&world, &standing, &directive);
        assert!(refused.is_err(), "{} was taken", directive.name());
    }
    // Hold alone needs nothing beyond the certified head, and moves nothing.
    let hold = Directive::Hold { tenant: world.tenant() };
    assert_eq!(hold.needs(), Needs::CertifiedHead);
    assert_eq!(step(&world, &standing, &hold).unwrap().next, standing);
}

#[test]
fn a_region_applies_what_passkeys_signed_and_nothing_that_they_signed_for_another() {
    use orbital::{certificate::Certificate, quorum::Verify, testing::authenticator::with_passkeys, vote::Role};
    let verifying = |tenant: &str| {
        World::founded("test", tenant, |root| {
            with_passkeys(root);
            root.rules.get_mut(&ChangeKind::RevokeL1).unwrap().verify = Verify::User;
        })
    };
    let (world, other) = (verifying("acme"), verifying("globex"));
    let standing = linked(&world);
    let kill = |change: &[u8], signers: &World, verified: bool| {
        let proposal = signers.propose_by_passkey(change, "carol", true);
        let approvals = vec![signers.answer_by_passkey(Role::Approve, &proposal, "dave", verified)];
        let certificate = Certificate { change: change.to_vec(), proposal, approvals, confirmations: Vec::new() };
        Directive::Kill(world.warrant(certificate))
    };
    let change = world.change(Action::RevokeL1 {}).to_bytes().unwrap();
    for refused in
        [kill(&change, &world, false), kill(&change, &other, true), Directive::Kill(world.warrant(world.kill()))]
    {
        assert!(step(&world, &standing, &refused).is_err());
    }
    // As it crosses: through the frame's bytes and back.
    let crossed = Directive::decode(&kill(&change, &world, true).encode().unwrap()).unwrap();
    assert_eq!(step(&world, &standing, &crossed).unwrap().effects, [Effect::Stop(Halt::Kill), Effect::Persist]);
}

#[test]
fn a_kill_stops_the_tenant_and_is_told_apart_by_digest() {
    let world = World::new();
    let standing = linked(&world);
    let kill = Directive::Kill(world.warrant(world.kill()));
    let judged = step(&world, &standing, &kill).unwrap();
    assert_eq!(judged.effects, [Effect::Stop(Halt::Kill), Effect::Persist]);
    assert!(judged.next.is_killed());
    assert_eq!(judged.next.epoch(), standing.epoch());
    assert_eq!(applied(&world, &judged.next, &kill), judged.next);
}

#[test]
fn only_a_restore_that_names_every_kill_lets_serve_again() {
    let mut world = World::new();
    let (one, two) = (world.kill(), world.kill());
    let digests = [&one, &two].map(|c| Change::digest_of(&c.change));
    let mut standing = linked(&world);
    for kill in [one, two] {
        standing = applied(&world, &standing, &Directive::Kill(world.warrant(kill)));
    }
    world.epoch = 2;
    let half = applied(&world, &standing, &Directive::Restore(world.warrant(world.restore([digests[0]]))));
    assert!(half.is_killed());
    world.epoch = 3;
    let whole = step(&world, &half, &Directive::Restore(world.warrant(world.restore(digests)))).unwrap();
    assert!(!whole.next.is_killed());
    assert!(whole.effects.contains(&Effect::Lift(Halt::Kill)));
}

#[test]
fn a_restore_that_arrives_before_its_kill_holds() {
    let mut world = World::new();
    let kill = world.kill();
    let digest = Change::digest_of(&kill.change);
    let standing = linked(&world);
    world.epoch = 2;
    let restored = applied(&world, &standing, &Directive::Restore(world.warrant(world.restore([digest]))));
    let late = step(&world, &restored, &Directive::Kill(world.warrant(kill))).unwrap();
    assert!(!late.next.is_killed());
    assert_eq!(late.effects, [Effect::Persist]);
}

#[test]
fn a_link_never_lifts_a_kill() {
    let mut world = World::new();
    let killed = applied(&world, &linked(&world), &Directive::Kill(world.warrant(world.kill())));
    world.epoch = 2;
    assert_eq!(step(&world, &killed, &Directive::Link(world.warrant(world.link("other")))), Err(Refusal::Killed));
    assert_eq!(step(&world, &killed, &Directive::Hold { tenant: world.tenant() }), Err(Refusal::Killed));
}

/// The node may have failed between making it durable and putting it in force.
#[test]
fn a_link_that_comes_again_is_in_force_again_and_lifts_nothing() {
    let world = World::new();
    let link = Directive::Link(world.warrant(world.link("k")));
    let standing = applied(&world, &founded(&world), &link);
    let again = step(&world, &standing, &link).unwrap();
    assert_eq!(again.next, standing);
    assert!(matches!(again.effects.as_slice(), [Effect::Link(_), Effect::Hold]), "{:?}", again.effects);
    let killed = applied(&world, &standing, &Directive::Kill(world.warrant(world.kill())));
    assert_eq!(step(&world, &killed, &link).unwrap().effects, []);
}

#[test]
fn a_replayed_or_leaping_grant_is_refused() {
    let mut world = World::new();
    let first = world.warrant(world.link("k"));
    world.epoch = 2;
    let second = world.warrant(world.link("other"));
    let standing =
        applied(&world, &applied(&world, &founded(&world), &Directive::Link(first.clone())), &Directive::Link(second));
    assert_eq!(step(&world, &standing, &Directive::Link(first)), Err(Refusal::Epoch { found: 1, here: 2 }));
    world.epoch = 3 + EPOCH_STEP_MAX;
    let leap = Directive::Link(world.warrant(world.link("third")));
    assert!(matches!(step(&world, &standing, &leap), Err(Refusal::Epoch { .. })));
}

#[test]
fn another_tenants_warrant_is_refused() {
    let (world, other) = (World::new(), World::of("test", "globex"));
    let mut kill = other.warrant(other.kill());
    assert_eq!(step(&world, &linked(&world), &Directive::Kill(kill.clone())), Err(Refusal::Unknown(other.tenant())));
    kill.tenant = world.tenant();
    assert!(matches!(step(&world, &linked(&world), &Directive::Kill(kill)), Err(Refusal::Uncertified(_))));
}

#[test]
fn a_change_for_other_regions_is_refused() {
    let world = World::new();
    let mut change = world.change(Action::RevokeL1 {});
    change.regions.remove(&region("eu-frankfurt"));
    let kill = Directive::Kill(world.warrant(world.sign_change(&change, "carol", &["dave"])));
    assert_eq!(step(&world, &linked(&world), &kill), Err(Refusal::ForOtherRegions(region("eu-frankfurt"))));
    let zurich = linked(&world).step(&kill, &me(&world, "ch-zurich"), NOW).unwrap();
    assert!(zurich.next.is_killed());
}

#[test]
fn links_travel_with_the_certificate() {
    let mut world = World::new();
    let behind = linked(&world);
    world.epoch = 2;
    let system = System::new("billing").unwrap();
    let next = world.next(|root| assert!(root.systems.insert(system.clone())));
    let link = world.certificate(Action::RegisterSystem { system, next }, "alice", &["bob"]);
    world.extend(&link);
    let kill = world.kill();
    let alone = Directive::Kill(world.warrant(kill.clone()));
    assert!(matches!(step(&world, &behind, &alone), Err(Refusal::Uncertified(Uncertified::Ahead { .. }))));
    let with_link = Directive::Kill(Warrant { links: vec![link], ..world.warrant(kill) });
    let killed = applied(&world, &behind, &with_link);
    assert_eq!((killed.trust().version, killed.is_killed()), (2, true));
}

/// A link is followed whatever its epoch, as a stop may need it; it moves the epoch no further than a grant may.
#[test]
fn a_link_that_leaps_holds_up_no_stop_and_ends_no_grants() {
    let mut world = World::new();
    let behind = linked(&world);
    world.epoch = u64::MAX;
    let system = System::new("billing").unwrap();
    let next = world.next(|root| assert!(root.systems.insert(system.clone())));
    let link = world.certificate(Action::RegisterSystem { system, next }, "alice", &["bob"]);
    let leap = step(&world, &behind, &Directive::Trust(world.warrant(link.clone())));
    assert!(matches!(leap, Err(Refusal::Epoch { .. })), "{leap:?}");
    world.extend(&link);
    let kill = world.kill();
    let digest = Change::digest_of(&kill.change);
    let killed = applied(&world, &behind, &Directive::Kill(Warrant { links: vec![link], ..world.warrant(kill) }));
    assert!(killed.is_killed());
    assert_eq!(killed.epoch(), 1 + EPOCH_STEP_MAX);
    let reread = Standing::from_bytes(&killed.to_bytes().unwrap(), &here(&world)).unwrap();
    assert_eq!(reread, killed, "a restart moves nothing");
    world.epoch = killed.epoch() + 1;
    assert!(!applied(&world, &killed, &Directive::Restore(world.warrant(world.restore([digest])))).is_killed());
}

#[test]
fn new_callers_are_shown_to_the_listener() {
    let mut world = World::new();
    let standing = linked(&world);
    world.epoch = 2;
    let next = world.next(|root| {
        root.callers = [orbital::trust::CallerRule {
            anchor: Anchor::Fingerprint { digest: Digest([9; 32]) },
            system: System::new("orders").unwrap(),
            name: None,
        }]
        .into();
    });
    let certificate = world.certificate(Action::ChangeCallers { next }, "alice", &["bob"]);
    let judged = step(&world, &standing, &Directive::Callers(world.warrant(certificate.clone()))).unwrap();
    assert_eq!(judged.effects, [Effect::Persist, Effect::Callers]);
    assert!(step(&world, &standing, &Directive::Trust(world.warrant(certificate))).is_err());
}

#[test]
fn a_lease_is_for_this_head_and_no_longer_than_agreed() {
    let world = World::new();
    let standing = linked(&world);
    let lease = |alter: &dyn Fn(&mut LeaseGrant)| {
        let mut grant = grant(&world, &standing);
        alter(&mut grant);
        step(&world, &standing, &Directive::Lease(grant.sign(world.lease_key()).unwrap()))
    };
    assert_eq!(lease(&|_| ()).unwrap().effects, [Effect::Renew { nonce: "n".into(), seconds: 3_600 }]);
    assert_eq!(lease(&|g| g.epoch += 1), Err(Refusal::LeaseElsewhere("epoch")));
    assert_eq!(lease(&|g| g.trust = Digest([0; 32])), Err(Refusal::LeaseElsewhere("trust version")));
    assert_eq!(lease(&|g| g.region = region("ch-zurich")), Err(Refusal::LeaseElsewhere("region")));
    assert_eq!(lease(&|g| g.tenant = TenantId(Digest([0; 32]))), Err(Refusal::LeaseElsewhere("tenant")));
    assert_eq!(lease(&|g| g.deployment = Deployment::new("x").unwrap()), Err(Refusal::LeaseElsewhere("deployment")));
    assert_eq!(lease(&|g| assert!(g.kills.insert(Digest([0; 32])))), Err(Refusal::LeaseElsewhere("set of stops")));
    assert_eq!(
        lease(&|g| assert!(g.restored.insert(Digest([0; 32])))),
        Err(Refusal::LeaseElsewhere("set of lifted stops"))
    );
    assert_eq!(lease(&|g| g.seconds = 3_601), Err(Refusal::LeaseTooLong { found: 3_601, most: 3_600 }));
    assert_eq!(lease(&|g| g.seconds = 0), Err(Refusal::LeaseTooLong { found: 0, most: 3_600 }));
}

#[test]
fn a_standing_reads_back_and_a_store_that_was_edited_does_not() {
    let mut world = World::new();
    let mut standing = linked(&world);
    world.epoch = 2;
    let system = System::new("billing").unwrap();
    let next = world.next(|root| assert!(root.systems.insert(system.clone())));
    let link = world.certificate(Action::RegisterSystem { system, next }, "alice", &["bob"]);
    standing = applied(&world, &standing, &Directive::Trust(world.warrant(link)));
    let bytes = standing.to_bytes().unwrap();
    assert_eq!(Standing::from_bytes(&bytes, &here(&world)).unwrap(), standing);
    let text = String::from_utf8(bytes).unwrap();
    let mut stored: Stored = serde_json::from_str(&text).unwrap();
    stored.links[0].approvals.clear();
    let edited = serde_json::to_vec(&stored).unwrap();
    assert!(Standing::from_bytes(&edited, &here(&world)).is_err());
}

/// What the gate must show once these were delivered, by the sets alone.
fn halted(delivered: &Halts, lifted: &Halts) -> Vec<Halt> {
    Halt::ALL.into_iter().filter(|halt| !delivered.of(*halt).is_subset(lifted.of(*halt))).collect()
}

proptest::proptest! {
    /// Whatever is delivered, however often and in whatever order: no known halt is left without a change that lifts it by name, each kind by
    /// its own, while the tenant is not stopped in that way.
    #[test]
    fn halts_are_sets(order in proptest::collection::vec(0usize..16, 0..40)) {
        let mut world = World::new();
        let stops = [Halt::Kill, Halt::Kill, Halt::Block, Halt::Block, Halt::Suspension].map(|halt| (halt, world.halt(halt)));
        let names = stops.each_ref().map(|(halt, c)| (*halt, Change::digest_of(&c.change)));
        let mut directives: Vec<Directive> =
            stops.into_iter().map(|(halt, c)| Directive::carrying(&halt.action(), world.warrant(c)).unwrap()).collect();
        // Each by name, and each by what lifts another kind, which lifts nothing of it.
        for (halt, name) in names {
            for lifts in [halt, if halt == Halt::Block { Halt::Suspension } else { Halt::Block }] {
                world.epoch += 1;
                let warrant = world.warrant(world.lift(lifts, [name]));
                directives.push(Directive::carrying(&lifts.lifting([name].into()), warrant).unwrap());
            }
        }
        world.epoch += 1;
        directives.push(Directive::Link(world.warrant(world.link("other"))));
        let (mut standing, mut delivered) = (linked(&World::new()), Halts::default());
        for at in order {
            delivered.extend(names.get(at).copied());
            if let Ok(judged) = step(&world, &standing, &directives[at]) {
                let stops = names.get(at).map(|(halt, _)| *halt).filter(|halt| judged.next.is_halted(*halt));
                proptest::prop_assert_eq!(judged.stops(), stops);
                let lifts = judged.effects.iter().any(|e| matches!(e, Effect::Lift(halt) if judged.next.is_halted(*halt)));
                proptest::prop_assert!(!lifts);
                standing = judged.next;
            }
            proptest::prop_assert_eq!(standing.halts(), &delivered);
            let found: Vec<_> = Halt::ALL.into_iter().filter(|halt| standing.is_halted(*halt)).collect();
            proptest::prop_assert_eq!(found, halted(&delivered, standing.lifted()));
            let again = Standing::from_bytes(&standing.to_bytes().unwrap(), &here(&world)).unwrap();
            proptest::prop_assert_eq!(&again, &standing);
        }
    }
}

/// Each stop stops at once, in its own way, and only what lifts its own kind ends it: a change of another kind is not even taken.
#[test]
fn each_halt_is_lifted_by_its_own_kind_alone() {
    let mut world = World::new();
    let standing = linked(&world);
    world.epoch = 2;
    for halt in Halt::ALL {
        let stop = world.halt(halt);
        let name = Change::digest_of(&stop.change);
        let stopped =
            step(&world, &standing, &Directive::carrying(&halt.action(), world.warrant(stop)).unwrap()).unwrap();
        assert_eq!(stopped.effects, [Effect::Stop(halt), Effect::Persist]);
        let bring = |by: Halt, warrant| match by {
            Halt::Kill => Directive::Restore(warrant),
            Halt::Block => Directive::Unblock(warrant),
            Halt::Suspension => Directive::Resume(warrant),
        };
        for other in Halt::ALL.into_iter().filter(|other| *other != halt) {
            let by_other =
                step(&world, &stopped.next, &bring(other, world.warrant(world.lift(other, [name])))).unwrap();
            assert!(by_other.next.is_halted(halt), "{} lifts {}", other.word(), halt.word());
            let disguised = step(&world, &stopped.next, &bring(other, world.warrant(world.lift(halt, [name]))));
            assert!(matches!(disguised, Err(Refusal::WrongChange { .. })));
        }
        let lifted = step(&world, &stopped.next, &bring(halt, world.warrant(world.lift(halt, [name])))).unwrap();
        assert!(!lifted.next.is_halted(halt) && lifted.effects.contains(&Effect::Lift(halt)));
    }
}

/// A termination kills, and nothing lifts it; it comes again until the keys are deleted.
#[test]
fn a_termination_kills_for_good() {
    let mut world = World::new();
    let stop = world.certificate(Action::TerminateTenant {}, "carol", &["dave"]);
    let name = Change::digest_of(&stop.change);
    let terminated = step(&world, &linked(&world), &Directive::Shred(world.warrant(stop.clone()))).unwrap();
    let effects = [Effect::Stop(Halt::Kill), Effect::Shred, Effect::Persist];
    assert_eq!((terminated.effects.as_slice(), terminated.next.is_killed_for_good()), (effects.as_slice(), true));
    world.epoch = 2;
    let restore = Directive::Restore(world.warrant(world.restore([name])));
    assert_eq!(step(&world, &terminated.next, &restore), Err(Refusal::KilledForGood));
    let again = step(&world, &terminated.next, &Directive::Shred(world.warrant(stop))).unwrap();
    assert!(again.effects.contains(&Effect::Shred));
    let kill = step(&world, &linked(&World::new()), &Directive::Kill(world.warrant(world.kill()))).unwrap();
    assert!(!kill.effects.contains(&Effect::Shred), "nothing else deletes keys");
}

#[test]
fn a_retired_systems_keys_are_told_to_leave() {
    let mut world = World::new();
    let standing = linked(&world);
    world.epoch = 2;
    let system = System::new(orbital::testing::SYSTEM).unwrap();
    let next = world.next(|root| {
        root.systems.remove(&system);
        root.callers.clear();
    });
    let retire = world.certificate(Action::RetireSystem { system: system.clone(), next }, "alice", &["bob"]);
    let judged = step(&world, &standing, &Directive::Trust(world.warrant(retire))).unwrap();
    assert_eq!(judged.effects, [Effect::Persist, Effect::Callers, Effect::Retire(system)]);
}

#[test]
fn nothing_is_unsealed_for_a_blocked_tenant() {
    let world = World::new();
    let hold = Directive::Hold { tenant: world.tenant() };
    let held = |halt: Halt| {
        let stopped = applied(
            &world,
            &linked(&world),
            &Directive::carrying(&halt.action(), world.warrant(world.halt(halt))).unwrap(),
        );
        step(&world, &stopped, &hold).map(|judged| judged.effects)
    };
    assert_eq!(Halt::ALL.map(held), [Err(Refusal::Killed), Err(Refusal::Blocked), Ok(vec![Effect::Hold])]);
}

#[test]
fn a_restore_that_comes_again_looks_at_the_kill_again() {
    let mut world = World::new();
    let kill = world.kill();
    let digest = Change::digest_of(&kill.change);
    let killed = applied(&world, &linked(&world), &Directive::Kill(world.warrant(kill)));
    world.epoch = 2;
    let restore = Directive::Restore(world.warrant(world.restore([digest])));
    let restored = applied(&world, &killed, &restore);
    assert_eq!(step(&world, &restored, &restore).unwrap().effects, [Effect::Lift(Halt::Kill)]);
    let again = applied(&world, &restored, &Directive::Kill(world.warrant(world.kill())));
    assert_eq!(step(&world, &again, &restore).unwrap().effects, [], "another kill has come");
}

/// What a tenant's people restore is said in each Hello, together with every other tenant's: it has a bound.
#[test]
fn a_restore_of_kills_without_end_is_refused() {
    let mut world = World::new();
    let standing = linked(&world);
    world.epoch = 2;
    let named = |count: usize| (0..count).map(|n| Kind::Leaf.digest(&n.to_be_bytes()));
    let most = Directive::Restore(world.warrant(world.restore(named(HALTS_MAX))));
    assert!(step(&world, &standing, &most).is_ok());
    let more = Directive::Restore(world.warrant(world.restore(named(HALTS_MAX + 1))));
    assert_eq!(step(&world, &standing, &more), Err(Refusal::TooManyLifted));
}

/// A stop is never refused: the kill that finds no room for its name kills for good, beside whatever else is judged.
#[test]
fn a_kill_beyond_the_limit_is_taken_and_no_restore_lifts_it() {
    let mut world = World::new();
    let names: BTreeSet<Digest> = (0..HALTS_MAX).map(|n| Kind::Leaf.digest(&n.to_be_bytes())).collect();
    let before = linked(&world);
    world.epoch = 2;
    let restored = applied(&world, &before, &Directive::Restore(world.warrant(world.restore(names.clone()))));
    let full = restored.clone().with_halts(&names.iter().copied().collect(), false);
    assert!(!full.is_killed());
    let kill = world.kill();
    let digest = Change::digest_of(&kill.change);
    let judged = step(&world, &full, &Directive::Kill(world.warrant(kill))).unwrap();
    assert_eq!(judged.effects, [Effect::Stop(Halt::Kill), Effect::Persist]);
    assert!(judged.next.is_killed_for_good() && judged.next.halts().len() == HALTS_MAX);
    world.epoch = 3;
    let restore = Directive::Restore(world.warrant(world.restore([digest])));
    assert_eq!(step(&world, &judged.next, &restore), Err(Refusal::KilledForGood));
    assert!(full.joined(&judged.next).is_killed() && judged.next.joined(&full).is_killed());
    // Two kills that were judged side by side, each the last that fits.
    let fewer = |left: usize| names.iter().copied().skip(left).collect::<Halts>();
    let other = restored.clone().with_halts(&fewer(1), false).with_halts(&[digest].into_iter().collect(), false);
    assert_eq!((other.halts().len(), other.is_killed_for_good()), (HALTS_MAX, false));
    assert!(full.joined(&other).is_killed_for_good() && other.joined(&full).is_killed_for_good());
}

/// A kill that is judged beside a link brings a longer chain: neither takes anything from the other.
#[test]
fn a_link_beside_a_longer_chain_is_kept() {
    let mut world = World::new();
    let before = founded(&world);
    let linked = applied(&world, &before, &Directive::Link(world.warrant(world.link("k"))));
    world.epoch = 2;
    let next = world.next(|root| root.callers.clear());
    let longer = world.certificate(Action::ChangeCallers { next }, "alice", &["bob"]);
    let longer = applied(&world, &before, &Directive::Callers(world.warrant(longer)));
    for joined in [linked.joined(&longer), longer.joined(&linked)] {
        assert_eq!((joined.trust().version, joined.linked()), (2, linked.linked()));
    }
}

#[test]
fn a_key_that_stays_outside_is_linked_by_verified_passkeys_alone() {
    let world = World::founded("test", "acme", orbital::testing::authenticator::with_passkeys);
    let (standing, mut me) = (founded(&world), here(&world));
    let change = world.change(link_l1("k")).to_bytes().unwrap();
    let proposal = world.propose_by_passkey(&change, "alice", true);
    let by = |approval: Signed| {
        let (change, proposal, confirmations) = (change.clone(), proposal.clone(), Vec::new());
        Directive::Link(world.warrant(Certificate { change, proposal, approvals: vec![approval], confirmations }))
    };
    let file = by(world.answer(Role::Approve, &proposal, "bob"));
    let verified = by(world.answer_by_passkey(Role::Approve, &proposal, "bob", true));
    standing.step(&file, &me, NOW).unwrap();
    me.hyok = [orbital::names::System::new("soft").unwrap()].into();
    assert!(matches!(standing.step(&file, &me, NOW), Err(Refusal::Uncertified(Uncertified::Unmet { .. }))));
    standing.step(&verified, &me, NOW).unwrap();
    me.hyok = [orbital::names::System::new("other").unwrap()].into();
    standing.step(&file, &me, NOW).unwrap();
}

const UNTIL: u64 = NOW + 3_600;
const LAST: u64 = UNTIL + orbital::certificate::ARMED_DELIVERY_SECONDS;

/// A kill that carol and dave signed in advance, fired by these.
fn armed(world: &World, by: &[&str]) -> Directive {
    let change = Change { armed: Some(orbital::change::FireUntil(UNTIL)), ..world.change(Action::RevokeL1 {}) };
    let mut kill = world.sign_change(&change, "carol", &["dave"]);
    kill.confirmations = by.iter().map(|name| world.answer(Role::Fire, &kill.proposal, name)).collect();
    Directive::Kill(world.warrant(kill))
}

#[test]
fn an_armed_kill_stops_once_a_signer_fires_it_and_not_too_late() {
    let world = World::new();
    let standing = linked(&world);
    let at = |directive: &Directive, now| standing.step(directive, &here(&world), now);
    let refused = |by: &[&str]| match at(&armed(&world, by), NOW) {
        Err(Refusal::Uncertified(why)) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&[]), Uncertified::Unfired { until: UNTIL });
    assert!(matches!(refused(&["erin"]), Uncertified::FiredByOther(_)));
    let fired = armed(&world, &["dave"]);
    for now in [NOW, UNTIL, LAST] {
        assert!(at(&fired, now).unwrap().next.is_killed(), "{now}");
    }
    let late = at(&fired, LAST + 1);
    assert!(matches!(late, Err(Refusal::Uncertified(Uncertified::ArmedOver { .. }))), "{late:?}");
}

#[test]
fn an_armed_kill_that_is_known_is_acknowledged_whatever_the_date_and_stays_restored() {
    let mut world = World::new();
    let fired = armed(&world, &["dave"]);
    let digest = Change::digest_of(&fired.stop().unwrap().certificate.change);
    let killed = applied(&world, &linked(&world), &fired);
    let late = |standing: &Standing, kill: &Directive| standing.step(kill, &here(&world), LAST + 1);
    let again = late(&killed, &fired).unwrap();
    assert_eq!((again.change, again.next), (Some(digest), killed.clone()));
    // Another fire of the same kill is the same kill.
    let mut twice = fired.stop().unwrap().clone();
    twice.certificate.confirmations = vec![world.answer(Role::Fire, &twice.certificate.proposal, "carol")];
    let twice = Directive::Kill(twice);
    assert_eq!(late(&killed, &twice).unwrap().change, Some(digest));
    // Known, it is still to be fired.
    let mut unfired = fired.stop().unwrap().clone();
    unfired.certificate.confirmations.clear();
    assert!(late(&killed, &Directive::Kill(unfired)).is_err());
    world.epoch = 2;
    let restored = applied(&world, &killed, &Directive::Restore(world.warrant(world.restore([digest]))));
    assert!(!restored.is_killed());
    for kill in [fired, twice] {
        let judged = step(&world, &restored, &kill).unwrap();
        assert_eq!((judged.effects, judged.next.is_killed()), (vec![Effect::Persist], false), "it stays restored");
    }
}
