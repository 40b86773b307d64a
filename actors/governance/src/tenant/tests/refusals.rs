//! Every refusal of the decisions, each by the one thing that is wrong.

use orbital::{
    change::{Change, ChangeKind},
    names::{Deployment, Group},
    quorum::Need,
    testing::{person, secret},
    vote::Vote,
};

use super::*;

pub(super) fn code<T>(result: Result<T, Error>) -> &'static str {
    match result {
        Ok(_) => "taken",
        Err(e) => {
            assert!(e.to_string().len() > 40, "a refusal says what, where, why and what to do: {e}");
            e.code()
        }
    }
}

/// The code of a proposal whose change was altered before it was signed.
fn altered(bench: &mut Bench, action: Action, who: &str, alter: impl FnOnce(&mut Change)) -> &'static str {
    let mut change = bench.world.change(action);
    alter(&mut change);
    code(bench.propose_change(&change, who))
}

#[test]
fn a_change_for_another_place_or_time() {
    let mut b = Bench::new();
    let link = || link_l1("k");
    assert_eq!(
        code(b.propose_signed(b"{}".to_vec(), b.world.propose(&b.world.change(link()).to_bytes().unwrap(), "alice"))),
        "malformed-change"
    );
    assert_eq!(
        altered(&mut b, link(), "alice", |c| c.deployment = Deployment::new("other").unwrap()),
        "other-deployment"
    );
    assert_eq!(altered(&mut b, link(), "alice", |c| c.epoch = 2), "stale-epoch");
    assert_eq!(altered(&mut b, link(), "alice", |c| c.epoch = 0), "stale-epoch");
    assert_eq!(altered(&mut b, link(), "alice", |c| _ = c.regions.insert(region("mars"))), "unknown-region");
    assert_eq!(altered(&mut b, link(), "alice", |c| c.regions.clear()), "regions-missing");
    let action = b.register("billing");
    assert_eq!(altered(&mut b, action, "alice", |c| _ = c.regions.pop_first()), "regions-missing");
    assert_eq!(altered(&mut b, Action::RevokeL1 {}, "carol", |c| _ = c.regions.pop_first()), "taken");
    let mut ahead = b.world.change(link());
    ahead.trust_version = 9;
    let trust = orbital::trust::TrustRoot { version: 9, ..b.world.trust().clone() };
    let bytes = ahead.to_bytes().unwrap();
    let statement = Vote::propose(&bytes, &trust, b.world.expires, &b.world.signer("alice")).unwrap();
    assert_eq!(code(b.propose_signed(bytes, statement)), "ahead-trust");
}

#[test]
fn a_statement_for_another_change() {
    let mut b = Bench::new();
    let (one, two) = (b.world.change(link_l1("k")), b.world.change(link_l1("k")));
    let statement = b.world.propose(&two.to_bytes().unwrap(), "alice");
    assert_eq!(code(b.propose_signed(one.to_bytes().unwrap(), statement.clone())), "other-change");
    let approval = b.world.answer(Role::Approve, &statement, "bob");
    assert_eq!(code(b.propose_signed(two.to_bytes().unwrap(), approval)), "malformed-vote");
    let mut other_root = b.world.trust().clone();
    other_root.name = orbital::names::TenantName::new("else").unwrap();
    let bytes = one.to_bytes().unwrap();
    let statement = Vote::propose(&bytes, &other_root, b.world.expires, &b.world.signer("alice")).unwrap();
    assert_eq!(code(b.propose_signed(bytes, statement)), "other-change");
}

#[test]
fn a_stale_grant_is_refused_and_a_stale_stop_is_not() {
    let mut b = Bench::new();
    let (old_link, old_stop) = (b.world.change(link_l1("k")), b.world.change(Action::RevokeL1 {}));
    let signed =
        |change: &Change, who: &str| (change.to_bytes().unwrap(), b.world.propose(&change.to_bytes().unwrap(), who));
    let (link, stop) = (signed(&old_link, "alice"), signed(&old_stop, "carol"));
    let action = b.register("billing");
    let id = b.propose(action, "alice").unwrap();
    b.approve(&id, "bob").unwrap();
    assert_eq!(code(b.propose_signed(link.0, link.1)), "stale-trust");
    let id = b.propose_signed(stop.0, stop.1).unwrap();
    assert_eq!(b.approve(&id, "dave").unwrap(), State::Applying);
}

#[test]
fn a_signer_who_is_not_there_or_did_not_sign() {
    let mut b = Bench::new();
    let change = b.world.change(link_l1("k")).to_bytes().unwrap();
    let stranger = secret("elsewhere", "mallory");
    let mut signer = b.world.signer("alice");
    signer.secret = &stranger;
    let statement = Vote::propose(&change, b.world.trust(), b.world.expires, &signer).unwrap();
    assert_eq!(code(b.propose_signed(change.clone(), statement)), "bad-signature");
    let mut signer = b.world.signer("alice");
    signer.person = person("mallory");
    let statement = Vote::propose(&change, b.world.trust(), b.world.expires, &signer).unwrap();
    assert_eq!(code(b.propose_signed(change, statement)), "unknown-signer");
}

#[test]
fn too_late_and_too_long() {
    let mut b = Bench::new();
    b.world.expires = NOW - 1;
    assert_eq!(code(b.propose(link_l1("k"), "alice")), "expired");
    b.world.expires = NOW + 3 * 24 * 3_600;
    assert_eq!(code(b.propose(link_l1("k"), "alice")), "expires-too-late");
    b.world.expires = NOW + 60;
    let id = b.propose(link_l1("k"), "alice").unwrap();
    assert_eq!(b.expire(&id), State::Open, "not before its time");
    b.now_ms += 61_000;
    assert_eq!(code(b.approve(&id, "bob")), "expired");
    assert_eq!(b.expire(&id), State::Expired);
    assert_eq!(code(b.approve(&id, "bob")), "proposal-closed");
}

#[test]
fn what_the_tenants_state_does_not_allow() {
    let mut b = Bench::new();
    for halt in Halt::ALL {
        assert_eq!(code(b.propose(halt.lifting([].into()), "alice")), "nothing-to-lift");
        assert_eq!(code(b.propose(halt.lifting([Digest([1; 32])].into()), "alice")), "unknown-stop");
    }
    b.linked();
    assert_eq!(code(b.propose(link_l1("k2"), "alice")), "already-linked");
    assert_eq!(code(b.propose(link_l1("k"), "alice")), "taken", "for a region that could not take it in its time");
    let next = b.world.next(|root| root.name = orbital::names::TenantName::new("else").unwrap());
    assert_eq!(code(b.propose(Action::ChangeCallers { next }, "alice")), "not-successor");
    let next = b.world.next(|root| _ = root.rules.pop_first());
    assert_eq!(code(b.propose(Action::ChangeQuorum { next }, "erin")), "bad-trust");
    let action = b.register("billing");
    let open = b.propose(action, "alice").unwrap();
    b.killed();
    assert_eq!(code(b.approve(&open, "bob")), "tenant-killed");
    let action = b.register("billing");
    assert_eq!(code(b.propose(action, "alice")), "tenant-killed");
    let next = b.world.next(|root| _ = root.actors.remove(&person("grace")));
    assert_eq!(
        code(b.propose(Action::ChangeActors { next }, "erin")),
        "bad-trust",
        "a rule must survive any one person"
    );
    let next = b.world.next(|root| _ = root.actors.insert(person("zoe"), b.world.newcomer("zoe", &["Audit"])));
    assert_eq!(code(b.propose(Action::ChangeActors { next }, "erin")), "taken", "people may change on a killed tenant");
    assert_eq!(code(b.propose(Action::RevokeL1 {}, "carol")), "taken", "and stops always");
}

/// Asked when it is proposed, and again when it would come into force: somebody may have been quicker.
#[test]
fn an_anchor_of_another_tenant_is_refused() {
    let mut b = Bench::new();
    let rival = World::of("test", "globex");
    let theirs = rival.trust().callers.clone();
    let action = |b: &Bench| {
        let theirs = theirs.clone();
        Action::ChangeCallers { next: b.world.next(|root| root.callers.extend(theirs)) }
    };
    let first = action(&b);
    let open = b.propose(first, "alice").unwrap();
    b.claims.enter(rival.tenant(), Some(rival.trust()));
    let second = action(&b);
    assert_eq!(code(b.propose(second, "alice")), "anchor-taken");
    assert_eq!(code(b.approve(&open, "bob")), "anchor-taken");
    assert_eq!(b.tenant.proposals[&open].state, State::Open, "nothing was written");
    b.withdraw(&open, "alice").unwrap();
    // What stands already stays the tenant's own to keep and to give up.
    let own = Action::ChangeCallers { next: b.world.next(|root| root.callers.clear()) };
    let own = b.propose(own, "alice").unwrap();
    b.withdraw(&own, "alice").unwrap();
    b.claims.enter(rival.tenant(), None);
    let again = action(&b);
    let again = b.propose(again, "alice").unwrap();
    assert_eq!(b.approve(&again, "bob").unwrap(), State::Applying);
}

#[test]
fn a_link_that_no_region_took_does_not_bar_another() {
    let mut b = Bench::new();
    b.linked();
    for at in ["eu-frankfurt", "ch-zurich", "us-east"] {
        assert_eq!(code(b.propose(link_l1("k2"), "alice")), "already-linked");
        let directive = b.newest(at, "link");
        b.acknowledge(at, &directive, Outcome::Refused);
    }
    assert_eq!(code(b.propose(link_l1("k2"), "alice")), "taken");
}

#[test]
fn a_kill_that_only_a_region_knows_counts() {
    let mut b = Bench::new();
    let direct = Digest([9; 32]);
    let observed = levels::observed(&b, [direct]);
    b.seen
        .insert(region("us-east"), Seen { observed: Some(observed), at_ms: Some(1), version: Some(1), in_vain: false });
    assert_eq!(code(b.propose(link_l1("k"), "alice")), "tenant-killed");
    assert_eq!(code(b.propose(Action::RestoreL1 { kills: [direct].into() }, "alice")), "taken");
}

#[test]
fn answers_that_do_not_count() {
    let mut b = Bench::new();
    let unknown = ProposalId::new("nothing").unwrap();
    let id = b.propose(link_l1("k"), "alice").unwrap();
    let statement = b.tenant.proposals[&id].statement.clone();
    let vote = b.world.answer(Role::Approve, &statement, "bob");
    assert_eq!(code(b.answer_signed(&unknown, Role::Approve, vote.clone())), "unknown-proposal");
    assert_eq!(code(b.answer_signed(&id, Role::Reject, vote.clone())), "malformed-vote");
    assert_eq!(code(b.answer_signed(&id, Role::Propose, vote)), "wrong-role");
    assert_eq!(code(b.approve(&id, "alice")), "proposer-approves");
    assert_eq!(code(b.answer(&id, Role::Reject, "alice")), "proposer-rejects");
    assert_eq!(code(b.approve(&id, "judy")), "not-demanded");
    assert_eq!(code(b.answer(&id, Role::Reject, "judy")), "not-demanded");
    assert_eq!(code(b.answer(&id, Role::Confirm, "alice")), "confirm-unasked");
    assert_eq!(code(b.withdraw(&id, "bob")), "not-the-proposer");
    let other = b.propose(Action::RevokeL1 {}, "carol").unwrap();
    let vote = b.world.answer(Role::Approve, &b.tenant.proposals[&other].statement, "bob");
    assert_eq!(code(b.answer_signed(&id, Role::Approve, vote)), "other-proposal");
    let tampered = orbital::testing::spoilt(b.world.answer(Role::Approve, &statement, "bob"));
    assert_eq!(code(b.answer_signed(&id, Role::Approve, tampered)), "bad-signature");
    let frank = b.world.answer(Role::Approve, &statement, "frank");
    let taken = b.answer_signed(&id, Role::Approve, frank.clone()).unwrap();
    assert_eq!(taken, State::Open, "of the proposer's group: taken, and not enough");
    let (known, at) = (b.tenant.clone(), b.records.len());
    assert_eq!(
        code(b.answer_signed(&id, Role::Approve, frank)),
        "taken",
        "the very same again: it is told how it stands"
    );
    assert_eq!((&b.tenant, b.records.len()), (&known, at), "and nothing is written");
    assert_eq!(code(b.approve(&id, "frank")), "double-answer");
    assert_eq!(code(b.answer(&id, Role::Reject, "frank")), "double-answer");
    assert_eq!(b.tenant.proposals[&id].missing, [Group::new("Compliance_Legal").unwrap()]);
    assert_eq!(b.answer(&id, Role::Reject, "grace").unwrap(), State::Rejected, "one rejection ends it");
    assert_eq!(code(b.withdraw(&id, "alice")), "proposal-closed");
}

/// Somebody else takes the seat, since the rule must survive any one person.
fn dave_leaves(b: &mut Bench) {
    let zoe = b.world.newcomer("zoe", &["Senior_Leadership"]);
    let next = b.world.next(|root| {
        root.actors.remove(&person("dave"));
        root.actors.insert(person("zoe"), zoe);
    });
    let id = b.propose(Action::ChangeActors { next }, "erin").unwrap();
    for who in ["alice", "carol", "heidi", "bob", "judy", "dave"] {
        if b.tenant.proposals[&id].state == State::Open {
            b.approve(&id, who).unwrap();
        }
    }
    assert_eq!(b.tenant.proposals[&id].state, State::Applying);
}

#[test]
fn an_approver_removed_meanwhile_does_not_count_for_a_stop() {
    let mut b = Bench::new();
    let stop = b.propose(Action::RevokeL1 {}, "carol").unwrap();
    dave_leaves(&mut b);
    assert_eq!(b.tenant.proposals[&stop].state, State::Open);
    assert_eq!(code(b.approve(&stop, "dave")), "unknown-signer");
    assert_eq!(b.approve(&stop, "heidi").unwrap(), State::Applying);
}

/// An approval that was taken counts only as long as its person stands in the trust root.
#[test]
fn an_approval_taken_before_its_person_left_does_not_count() {
    let kind = orbital::change::ChangeKind::RevokeL1;
    let mut b = Bench::of(|root| {
        let security = Need { group: Group::new("Security_Ops").unwrap(), count: 1 };
        root.rules.get_mut(&kind).unwrap().need.push(security);
    });
    let stop = b.propose(Action::RevokeL1 {}, "carol").unwrap();
    assert_eq!(b.approve(&stop, "dave").unwrap(), State::Open);
    dave_leaves(&mut b);
    assert_eq!(b.approve(&stop, "alice").unwrap(), State::Open, "dave's approval is no longer one");
    assert_eq!(b.approve(&stop, "heidi").unwrap(), State::Applying);
}

#[test]
fn the_proposer_confirms_last_where_the_rule_asks() {
    let mut b = Bench::of(|root| root.rules.get_mut(&orbital::change::ChangeKind::RevokeL1).unwrap().confirm = true);
    let id = b.propose(Action::RevokeL1 {}, "carol").unwrap();
    assert_eq!(code(b.answer(&id, Role::Confirm, "carol")), "confirm-too-early");
    assert_eq!(b.approve(&id, "dave").unwrap(), State::Open);
    assert!(crate::tenant::view::proposal(&b.tenant, &b.tenant.proposals[&id], &b.facts()).needs_confirmation);
    assert_eq!(code(b.answer(&id, Role::Confirm, "heidi")), "not-the-proposer");
    assert_eq!(b.answer(&id, Role::Confirm, "carol").unwrap(), State::Applying);
}

#[test]
fn a_proposal_is_made_once_and_there_are_limits() {
    let mut b = Bench::new();
    let change = b.world.change(link_l1("k"));
    let bytes = change.to_bytes().unwrap();
    let statement = b.world.propose(&bytes, "alice");
    let id = b.propose_signed(bytes.clone(), statement.clone()).unwrap();
    let records = b.records.len();
    assert_eq!(b.propose_signed(bytes, statement).unwrap(), id, "a repeated call finds what the first made");
    assert_eq!(b.records.len(), records);
    assert_eq!(code(b.propose_change(&change, "bob")), "already-proposed");
    for n in 1..crate::tenant::propose::PROPOSALS_OPEN_MAX {
        let action = b.register(&format!("system-{n}"));
        b.propose(action, "alice").unwrap();
    }
    let action = b.register("one-more");
    assert_eq!(code(b.propose(action, "alice")), "too-many-open");
    for _ in 0..crate::tenant::propose::STOPS_OPEN_PER_PERSON_MAX {
        b.propose(Action::RevokeL1 {}, "carol").unwrap();
    }
    assert_eq!(code(b.propose(Action::RevokeL1 {}, "carol")), "too-many-open");
    assert_eq!(code(b.propose(Action::RevokeL1 {}, "dave")), "taken", "nobody uses up another's stops");
}

#[test]
fn one_person_alone_takes_little_of_the_reserve_and_ends() {
    use crate::tenant::stops::{STOPS_PER_PERSON_MAX, STOPS_RESERVED_PER_PERSON_MAX};
    let mut b = Bench::new();
    for n in 0..STOPS_PER_PERSON_MAX {
        let stop = b.propose(Action::RevokeL1 {}, "carol").unwrap();
        let few = n < STOPS_RESERVED_PER_PERSON_MAX;
        assert_eq!(b.last.room, if few { Room::Opening } else { Room::Ordinary }, "stop {n}");
        b.now_ms += 1_000;
        if n % 2 == 0 {
            b.withdraw(&stop, "carol").unwrap();
            assert_eq!(b.last.room, Room::Ordinary, "to take a stop back is not urgent");
        } else {
            b.answer(&stop, Role::Reject, "heidi").unwrap();
            assert_eq!(b.last.room, Room::Ordinary, "nor is it to reject one");
            b.withdraw(&stop, "carol").unwrap();
        }
    }
    let refused = b.propose(Action::RevokeL1 {}, "carol").unwrap_err().to_string();
    let wait_s = 3_600 - STOPS_PER_PERSON_MAX;
    assert!(refused.contains("another person") && refused.contains(&format!("{wait_s} seconds")), "{refused}");
    assert_eq!(code(b.propose(Action::RevokeL1 {}, "carol")), "too-many-stops");
    // Another person is not concerned, and what ratifies a stop always has room.
    let stop = b.propose(Action::RevokeL1 {}, "dave").unwrap();
    assert_eq!(b.last.room, Room::Opening);
    assert_eq!(b.approve(&stop, "carol").unwrap(), State::Applying);
    assert_eq!(b.last.room, Room::Stop);
    b.now_ms += wait_s as u64 * 1_000;
    b.world.expires = b.facts().now_s() + 3_600;
    assert_eq!(code(b.propose(Action::RevokeL1 {}, "carol")), "taken");
    assert_eq!(code(b.propose(Action::RevokeL1 {}, "carol")), "too-many-stops");
    assert_eq!(b.replayed(), b.tenant);
}

#[test]
fn stops_in_force_do_not_count_and_a_stop_that_ran_out_uses_no_reserve() {
    let mut b = Bench::new();
    for _ in 0..2 * crate::tenant::stops::STOPS_PER_PERSON_MAX {
        b.killed();
    }
    let stop = b.propose(Action::RevokeL1 {}, "carol").unwrap();
    assert_eq!(b.last.room, Room::Opening);
    b.now_ms += 3_601_000;
    b.expire(&stop);
    assert_eq!((b.last.records.len(), b.last.room), (1, Room::Ordinary));
}

#[test]
fn ended_proposals_leave_the_memory_and_do_not_come_back() {
    use crate::tenant::state::ENDED_KEPT_MAX;
    let mut b = Bench::new();
    let link = b.linked();
    b.acknowledge_all("link");
    let mut signed = Vec::new();
    for _ in 0..ENDED_KEPT_MAX + 9 {
        let action = b.register("billing");
        let bytes = b.world.change(action).to_bytes().unwrap();
        let statement = b.world.propose(&bytes, "alice");
        let id = b.propose_signed(bytes.clone(), statement.clone()).unwrap();
        b.withdraw(&id, "alice").unwrap();
        signed.push((bytes, statement));
    }
    assert_eq!((b.tenant.proposals.len(), b.tenant.ended.len()), (ENDED_KEPT_MAX, ENDED_KEPT_MAX));
    assert!(b.tenant.proposals.contains_key(&link), "the link's own proposal decides about the next link");
    let (bytes, statement) = signed[0].clone();
    assert_eq!(code(b.propose_signed(bytes.clone(), statement.clone())), "already-ended");
    assert_eq!(b.replayed(), b.tenant);
    // Once its time is over it is refused for that alone, and its name is held no longer.
    b.now_ms += 3_601_000;
    assert_eq!(code(b.propose_signed(bytes, statement)), "already-ended");
    b.world.expires = b.facts().now_s() + 3_600;
    let id = b.propose(link_l1("k"), "alice").unwrap();
    b.withdraw(&id, "alice").unwrap();
    assert_eq!(b.tenant.past.len(), 1);
    let (bytes, statement) = signed[0].clone();
    assert_eq!(code(b.propose_signed(bytes, statement)), "expired");
}

#[test]
fn cedar_may_refuse_earlier() {
    let mut b = Bench::new();
    let default = Bundle::default_bundle().unwrap();
    let forbid = "@id(\"no-links\") forbid(principal is Person, action == Action::\"propose:LinkL1\", resource);";
    let policies = format!("{}\n{forbid}\n", default.policies_text());
    let stricter = Bundle::parse_strict(default.schema_text(), &policies, default.entities_text()).unwrap();
    b.evaluator = Arc::new(Evaluator::new(stricter));
    assert_eq!(code(b.propose(link_l1("k"), "alice")), "policy-denies");
    assert_eq!(code(b.propose(Action::RevokeL1 {}, "carol")), "taken");
}

#[test]
fn only_a_link_is_probed() {
    let mut b = Bench::new();
    let stop = b.propose(Action::RevokeL1 {}, "carol").unwrap();
    assert_eq!(code(super::super::answer::probe_again(&b.tenant, &b.facts(), &stop, None)), "nothing-to-probe");
}

#[test]
fn a_weaker_rule_needs_the_old_one_too() {
    let mut b = Bench::new();
    let kind = orbital::change::ChangeKind::RevokeL1;
    let next = b.world.next(|root| {
        let need = |group: &str| Need { group: Group::new(group).unwrap(), count: 1 };
        root.rules.get_mut(&kind).unwrap().need = vec![need("Security_Ops"), need("Super_Admin")];
    });
    let id = b.propose(Action::ChangeQuorum { next }, "erin").unwrap();
    assert_eq!(b.approve(&id, "alice").unwrap(), State::Open, "the rule of ChangeQuorum alone is not enough");
    assert_eq!(b.tenant.proposals[&id].missing.len(), 2);
    assert_eq!(b.approve(&id, "carol").unwrap(), State::Open);
    assert_eq!(b.approve(&id, "dave").unwrap(), State::Applying);
}

#[test]
fn what_the_proposer_was_shown_is_what_the_change_names() {
    let mut b = Bench::new();
    let shown = |b: &Bench, text: Option<&str>| {
        let named = text.map(|text| orbital::sign::Kind::Evidence.digest(text.as_bytes()));
        let change = Change { evidence: named, ..b.world.change(Action::RevokeL1 {}) }.to_bytes().unwrap();
        (b.world.propose(&change, "carol"), change)
    };
    let mut propose = |named: Option<&str>, sent: Option<&str>| {
        let (statement, change) = shown(&b, named);
        let proposed = b.propose_shown(change, statement, sent.map(str::to_owned));
        let kept = proposed.as_ref().ok().map(|id| b.tenant.proposals[id].evidence.clone());
        (code(proposed), kept)
    };
    assert_eq!(
        propose(Some("three systems"), Some("three systems")),
        ("taken", Some(Some("three systems".to_owned())))
    );
    assert_eq!(propose(None, None), ("taken", Some(None)));
    assert_eq!(propose(Some("three systems"), Some("none at all")), ("other-evidence", None));
    assert_eq!(propose(Some("three systems"), None), ("other-evidence", None));
    assert_eq!(propose(None, Some("none at all")), ("other-evidence", None));
    let long = "x".repeat(orbital::change::EVIDENCE_BYTES_MAX);
    assert_eq!(propose(Some(&long), Some(&long)).0, "taken");
    let longer = format!("{long}x");
    assert_eq!(propose(Some(&longer), Some(&longer)), ("evidence-too-long", None));
    assert_eq!(b.replayed(), b.tenant);
}

/// A bench whose people have passkeys, and whose rule for revoking asks for user verification.
fn verifying() -> Bench {
    Bench::of(|root| {
        orbital::testing::authenticator::with_passkeys(root);
        root.rules.get_mut(&ChangeKind::RevokeL1).unwrap().verify = orbital::quorum::Verify::User;
    })
}

#[test]
fn an_approval_by_passkey_ratifies_where_the_rule_asks_for_user_verification() {
    let mut b = verifying();
    let change = b.world.change(Action::RevokeL1 {}).to_bytes().unwrap();
    for by_less in [b.world.propose(&change, "carol"), b.world.propose_by_passkey(&change, "carol", false)] {
        assert_eq!(code(b.propose_signed(change.clone(), by_less)), "not-user-verified");
    }
    let statement = b.world.propose_by_passkey(&change, "carol", true);
    let id = b.propose_signed(change, statement.clone()).unwrap();
    assert_eq!(b.tenant.proposals[&id].missing.len(), 1, "carol counts, another of her group is missing");
    let by_touch = b.world.answer_by_passkey(Role::Approve, &statement, "dave", false);
    for by_less in [b.world.answer(Role::Approve, &statement, "dave"), by_touch] {
        assert_eq!(code(b.answer_signed(&id, Role::Approve, by_less)), "not-user-verified");
    }
    let another = b.world.answer_by_passkey(Role::Approve, &statement, "heidi", true);
    let verified = b.world.answer_by_passkey(Role::Approve, &statement, "dave", true);
    let moved = Signed { signature: another.signature, ..verified.clone() };
    assert_eq!(code(b.answer_signed(&id, Role::Approve, moved)), "bad-signature");
    b.answer_signed(&id, Role::Approve, verified).unwrap();
    assert!(b.records.iter().any(|(_, record)| matches!(record, Record::Certified { .. })), "ratified");
    assert!(b.owed.iter().any(|(_, directive)| matches!(directive, orbital::directive::Directive::Kill(_))));
    assert_eq!(b.replayed(), b.tenant);
}

#[test]
fn a_key_that_stays_outside_is_linked_by_verified_passkeys_whatever_the_rule_says() {
    let mut b = Bench::of(orbital::testing::authenticator::with_passkeys);
    b.hyok = [orbital::names::System::new("soft").unwrap()].into();
    let change = b.world.change(link_l1("k")).to_bytes().unwrap();
    for by_less in [b.world.propose(&change, "alice"), b.world.propose_by_passkey(&change, "alice", false)] {
        assert_eq!(code(b.propose_signed(change.clone(), by_less)), "not-user-verified");
    }
    let statement = b.world.propose_by_passkey(&change, "alice", true);
    let id = b.propose_signed(change, statement.clone()).unwrap();
    assert_eq!(
        code(b.answer_signed(&id, Role::Approve, b.world.answer(Role::Approve, &statement, "bob"))),
        "not-user-verified"
    );
    b.answer_signed(&id, Role::Approve, b.world.answer_by_passkey(Role::Approve, &statement, "bob", true)).unwrap();
    assert!(b.records.iter().any(|(_, record)| matches!(record, Record::Certified { .. })), "ratified");
    // Whoever has none may sign other changes of this tenant, and is told apart where one is asked for.
    let mut b = Bench::new();
    b.hyok = [orbital::names::System::new("soft").unwrap()].into();
    let id = b.propose(link_l1("k"), "alice").unwrap();
    b.approve(&id, "bob").unwrap();
    assert_eq!(b.tenant.proposals[&id].state, State::Open, "no passkey signed");
    let shown = crate::tenant::view::one_proposal(&b.tenant, &b.tenant.proposals[&id], &b.facts()).quorum.unwrap();
    assert!(!shown.met && !shown.reachable, "{shown:?}");
    assert!(shown.cannot_approve.iter().any(|barred| barred.why.contains("has no passkey")), "{shown:?}");
}

#[test]
fn passkeys_answer_beside_key_files_and_any_key_rejects() {
    let mut b = verifying();
    let id = b.propose(link_l1("k"), "alice").unwrap();
    let statement = b.tenant.proposals[&id].statement.clone();
    let by_touch = b.world.answer_by_passkey(Role::Approve, &statement, "bob", false);
    b.answer_signed(&id, Role::Approve, by_touch).unwrap();
    assert!(b.records.iter().any(|(_, record)| matches!(record, Record::Certified { .. })), "ratified");
    let change = b.world.change(Action::RevokeL1 {}).to_bytes().unwrap();
    let id = b.propose_signed(change.clone(), b.world.propose_by_passkey(&change, "carol", true)).unwrap();
    // Whether a stop ends by one rejection is the life's to say; that a key file may give one is the ballot's.
    b.answer(&id, Role::Reject, "dave").unwrap();
}
