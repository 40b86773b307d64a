//! Dry runs, who can still approve, and what keeps what busy.

use orbital::{change::ChangeKind, names::Group, testing::person};
use serde_json::json;

use super::*;
use crate::{
    error::Refusal,
    fleet::Board,
    tenant::{Proposer, preview::dry_run, view},
    views::{DryRunView, QuorumView},
};

fn tried(b: &Bench, action: Action, who: &str) -> Result<DryRunView, Error> {
    let bytes = b.world.change(action).to_bytes().unwrap();
    dry_run(&b.tenant, &b.facts(), &Board::new([]), bytes, Proposer::Named(person(who)))
}

fn code<T>(result: Result<T, Error>) -> &'static str {
    result.err().map_or("taken", |e| e.code())
}

fn quorum(b: &Bench, id: &ProposalId) -> Option<QuorumView> {
    view::one_proposal(&b.tenant, &b.tenant.proposals[id], &b.facts()).quorum
}

fn can(quorum: &QuorumView) -> Vec<&str> {
    quorum.can_approve.iter().map(|c| c.person.as_str()).collect()
}

#[test]
fn a_dry_run_says_what_a_proposal_would_do_and_writes_nothing() {
    let mut b = Bench::new();
    let (before, records) = (b.tenant.clone(), b.records.len());
    let dry = tried(&b, link_l1("k"), "alice").unwrap();
    assert_eq!((&b.tenant, b.records.len()), (&before, records));
    assert!(!dry.signed && !dry.exists && !dry.quorum.met && dry.quorum.reachable);
    let reach: Vec<_> = dry.regions.iter().map(|r| (r.when_proposed.clone(), r.when_ratified.clone())).collect();
    assert_eq!(reach, vec![(vec!["probe"], vec!["link"]); 3]);
    let told = |pointer: &str| dry.differences.iter().find(|d| d.pointer == pointer).map(|d| (&d.before, &d.after));
    assert_eq!(told("/epoch"), Some((&Some(json!(0)), &Some(json!(1)))));
    assert!(told("/l1").is_some() && told("/trust_root").is_none());
    let system = b.register("billing");
    let dry = tried(&b, system, "alice").unwrap();
    let pointers: Vec<_> = dry.differences.iter().map(|d| d.pointer.as_str()).collect();
    assert!(pointers.contains(&"/trust_root/systems") && pointers.contains(&"/trust_root/version"), "{pointers:?}");
    assert!(!pointers.contains(&"/trust_root/actors"), "{pointers:?}");
    // What is opened then is what was told.
    let bytes = b.world.change(link_l1("k")).to_bytes().unwrap();
    let statement = b.world.propose(&bytes, "alice");
    let run = |b: &Bench| {
        let by = Proposer::Signed(statement.clone());
        dry_run(&b.tenant, &b.facts(), &Board::new([]), bytes.clone(), by).unwrap()
    };
    let dry = run(&b);
    assert!(dry.signed && !dry.exists);
    assert_eq!(b.propose_signed(bytes.clone(), statement.clone()).unwrap(), dry.id);
    assert_eq!(quorum(&b, &dry.id), Some(dry.quorum));
    assert!(run(&b).exists);
}

#[test]
fn a_dry_run_refuses_what_a_proposal_would_be_refused_for() {
    let mut b = Bench::new();
    assert_eq!(code(tried(&b, link_l1("k"), "mallory")), "unknown-signer");
    assert_eq!(code(tried(&b, Action::RestoreL1 { kills: [].into() }, "alice")), "nothing-to-lift");
    let default = Bundle::default_bundle().unwrap();
    let forbid = "@id(\"no\") forbid(principal is Person, action == Action::\"propose:LinkL1\", resource);";
    let policies = format!("{}\n{forbid}\n", default.policies_text());
    let stricter = Bundle::parse_strict(default.schema_text(), &policies, default.entities_text()).unwrap();
    let lenient = std::mem::replace(&mut b.evaluator, Arc::new(Evaluator::new(stricter)));
    assert_eq!(code(tried(&b, link_l1("k"), "alice")), "policy-denies");
    b.evaluator = lenient;
    let bytes = b.world.change(link_l1("k")).to_bytes().unwrap();
    let mut forged = b.world.propose(&bytes, "alice");
    forged.signature = b.world.propose(&bytes, "carol").signature;
    let by = Proposer::Signed(forged);
    assert_eq!(code(dry_run(&b.tenant, &b.facts(), &Board::new([]), bytes, by)), "bad-signature");
    let change = b.world.change(link_l1("k"));
    b.linked();
    assert_eq!(
        code(dry_run(
            &b.tenant,
            &b.facts(),
            &Board::new([]),
            change.to_bytes().unwrap(),
            Proposer::Named(person("alice"))
        )),
        "stale-epoch"
    );
    assert_eq!(code(tried(&b, link_l1("other"), "alice")), "already-linked");
}

#[test]
fn who_can_still_approve_is_who_would_be_counted() {
    let mut b = Bench::new();
    let id = b.propose(link_l1("k"), "alice").unwrap();
    let before = quorum(&b, &id).unwrap();
    assert_eq!(before.unmet[0].missing, [Group::new("Compliance_Legal").unwrap()]);
    assert!(before.reachable && !before.met);
    // Each of them ends it or moves it on; nobody else's approval makes any slot less open.
    for (name, _) in orbital::testing::PEOPLE {
        let mut b = Bench::new();
        let id = b.propose(link_l1("k"), "alice").unwrap();
        let missing = b.tenant.proposals[&id].missing.len();
        let counted = b.approve(&id, name).is_ok() && b.tenant.proposals[&id].missing.len() < missing;
        assert_eq!(counted, can(&before).contains(&name), "{name}: {before:?}");
    }
    let alice = before.cannot_approve.iter().find(|c| c.person == person("alice")).unwrap();
    assert!(alice.why.contains("proposed it"), "{}", alice.why);
    b.approve(&id, "bob").unwrap();
    assert_eq!(quorum(&b, &id), None, "nothing is collected any more");
}

#[test]
fn a_rule_that_is_altered_is_asked_for_besides_its_own() {
    let b = Bench::new();
    let need = |group: &str| orbital::quorum::Need { group: Group::new(group).unwrap(), count: 1 };
    let next = b.world.next(|root| {
        let rule = root.rules.get_mut(&orbital::change::ChangeKind::RotateL2).unwrap();
        rule.need = vec![need("Audit"), need("Admin")];
    });
    let dry = tried(&b, Action::ChangeQuorum { next }, "erin").unwrap();
    let asked: Vec<_> = dry.quorum.unmet.iter().flat_map(|u| &u.missing).map(Group::as_str).collect();
    // Erin is of Super_Admin, which the change asks for, and of Admin, which the new rule asks for.
    for group in ["Security_Ops", "Compliance_Legal", "Audit"] {
        assert!(asked.contains(&group), "{asked:?}");
    }
    assert!(dry.quorum.reachable);
}

#[test]
fn one_proposal_for_an_object_is_collected_at_a_time_and_a_stop_beside_any() {
    let mut b = Bench::new();
    let first = b.propose(link_l1("one"), "alice").unwrap();
    let second = b.propose(link_l1("two"), "alice");
    let Err(Error::Refused(refusal @ Refusal::ObjectBusy { .. })) = second else { panic!("{second:?}") };
    assert!(refusal.to_string().contains(first.as_str()), "{refusal}");
    assert_eq!(code(tried(&b, link_l1("two"), "alice")), "object-busy");
    // Another object is collected beside it, and is told what it would void.
    let (billing, other) = (b.register("billing"), b.register("shipping"));
    let system = b.propose(billing.clone(), "alice").unwrap();
    assert_eq!(code(b.propose(billing, "alice")), "object-busy");
    assert_eq!(
        tried(&b, other, "alice").unwrap().voids,
        [first.clone(), system].into_iter().collect::<std::collections::BTreeSet<_>>().into_iter().collect::<Vec<_>>()
    );
    for who in ["carol", "dave", "carol"] {
        b.propose(Action::RevokeL1 {}, who).unwrap();
    }
    assert!(tried(&b, Action::RevokeL1 {}, "carol").unwrap().voids.is_empty(), "a stop voids nothing");
    b.withdraw(&first, "alice").unwrap();
    b.withdraw(&first, "alice").expect("the same word again is answered");
    assert_eq!(b.tenant.ended.len(), 1);
    b.propose(link_l1("two"), "alice").unwrap();
}

#[test]
fn nobody_holds_off_a_change_of_the_people_with_another() {
    let mut b = Bench::new();
    let audits = |b: &Bench, name: &str| {
        let audit = Group::new("Audit").unwrap();
        let next = b.world.next(|root| _ = root.actors.get_mut(&person(name)).unwrap().groups.insert(audit));
        Action::ChangeActors { next }
    };
    let (one, two) = (audits(&b, "alice"), audits(&b, "frank"));
    b.propose(one, "erin").unwrap();
    b.propose(two, "erin").unwrap();
}

#[test]
fn the_tag_moves_with_what_is_shown() {
    let mut b = Bench::new();
    let id = b.propose(Action::RevokeL1 {}, "carol").unwrap();
    let tag = |b: &Bench| view::one_proposal(&b.tenant, &b.tenant.proposals[&id], &b.facts()).tag();
    let first = tag(&b);
    b.now_ms += 1_000;
    assert_eq!(tag(&b), first, "time alone moves nothing");
    b.answer(&id, Role::Reject, "heidi").unwrap();
    assert_ne!(tag(&b), first);
}

#[test]
fn a_stop_and_its_end_are_told_as_what_they_halt_and_lift() {
    let mut b = Bench::new();
    let differing = |dry: &DryRunView| dry.differences.iter().map(|d| d.pointer.clone()).collect::<Vec<_>>();
    assert_eq!(differing(&tried(&b, Action::BlockTenant {}, "carol").unwrap()), ["/halted/blocked"]);
    let kill = b.killed();
    assert_eq!(differing(&tried(&b, Action::RevokeL1 {}, "carol").unwrap()), [""; 0], "killed already");
    let restore = tried(&b, Action::RestoreL1 { kills: [kill].into() }, "alice").unwrap();
    assert_eq!(differing(&restore), ["/epoch", "/halted/killed", "/lifted/kills"]);
}

#[test]
fn who_has_what_a_rule_or_an_approval_asks_for_is_told_apart() {
    let passkey = || orbital::names::KeyName::new(orbital::testing::authenticator::PASSKEY).unwrap();
    let mut b = Bench::of(|root| {
        orbital::testing::authenticator::with_passkeys(root);
        root.rules.get_mut(&ChangeKind::RevokeL1).unwrap().verify = orbital::quorum::Verify::User;
        // Bob signs by his passkey alone, which is the portal's.
        let bob = root.actors.get_mut(&person("bob")).unwrap();
        bob.keys.get_mut(&passkey()).unwrap().independent = false;
    });
    let change = b.world.change(Action::RevokeL1 {}).to_bytes().unwrap();
    let statement = b.world.propose_by_passkey(&change, "carol", true);
    let id = b.propose_signed(change, statement).unwrap();
    assert_eq!(can(&quorum(&b, &id).unwrap()), ["dave", "heidi"]);
    let link = b.propose(link_l1("k"), "alice").unwrap();
    let of = |b: &Bench| quorum(b, &link).unwrap();
    assert!(of(&b).besides.is_empty(), "bob or grace can give all that is lacking: {:?}", of(&b));
    assert_eq!(can(&of(&b)), ["bob", "grace"]);
    let statement = b.tenant.proposals[&link].statement.clone();
    b.answer_signed(&link, Role::Approve, b.world.answer_by_passkey(Role::Approve, &statement, "bob", true)).unwrap();
    assert_eq!(b.tenant.proposals[&link].state, State::Open, "his passkey fills the slot, and is no independent key");
    assert!(of(&b).unmet.is_empty() && !of(&b).met && of(&b).reachable, "{:?}", of(&b));
    assert!(of(&b).besides[0].contains("independent key"), "{:?}", of(&b));
    assert_eq!(can(&of(&b)), ["frank", "grace"]);
    b.approve(&link, "frank").unwrap();
    assert!(b.tenant.proposals[&link].missing.is_empty());
}
