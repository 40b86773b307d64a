//! Delegations: who stands in answers, and is found by whoever asks who still can, within the dates and in nobody's second seat.

use orbital::{
    delegation::Delegation,
    names::{Group, Person},
    testing::person,
};

use super::{
    super::quorum::{Asked, quorum},
    *,
};

const DAY: u64 = 24 * 3_600;

/// judy (Audit) stands in for alice (Security_Ops) from now on.
fn bench(until: u64) -> Bench {
    let groups = [Group::new("Security_Ops").unwrap()].into();
    let one = Delegation { from: person("alice"), to: person("judy"), groups, since: NOW, until };
    let mut bench = Bench::of(|root| root.delegations = [one].into());
    bench.world.expires = NOW + DAY;
    bench
}

fn can_approve(bench: &Bench, id: &ProposalId) -> Vec<Person> {
    let (trust, facts) = (bench.tenant.chain.current(), bench.facts());
    let asked = Asked::of(&bench.tenant.proposals[id], trust);
    quorum(&bench.tenant, &facts, &asked).unwrap().can_approve.into_iter().map(|one| one.person).collect()
}

fn register(bench: &mut Bench, who: &str) -> ProposalId {
    let system = System::new("billing").unwrap();
    let next = bench.world.next(|root| _ = root.systems.insert(system.clone()));
    bench.propose(Action::RegisterSystem { system, next }, who).unwrap()
}

#[test]
fn who_stands_in_is_asked_and_counts() {
    let mut bench = bench(NOW + 9 * DAY);
    let id = register(&mut bench, "bob");
    assert_eq!(can_approve(&bench, &id), ["alice", "frank", "judy"].map(person));
    assert_eq!(bench.approve(&id, "judy").unwrap(), State::Applying);
    assert_eq!(bench.replayed(), bench.tenant);
}

#[test]
fn after_the_dates_and_beside_the_person_they_stand_in_for_they_do_not() {
    let mut over = bench(NOW + DAY - 1);
    let id = over.propose(link_l1("k"), "bob").unwrap();
    assert_eq!(can_approve(&over, &id), ["alice", "frank"].map(person));
    let refused = over.approve(&id, "judy").unwrap_err();
    assert!(refused.to_string().contains("in none of the groups"), "{refused}");

    let mut beside = bench(NOW + 9 * DAY);
    let id = register(&mut beside, "alice");
    assert_eq!(can_approve(&beside, &id), ["bob", "grace"].map(person));
    assert_eq!(beside.approve(&id, "judy").unwrap(), State::Open, "a seat counts once");
    assert_eq!(beside.approve(&id, "bob").unwrap(), State::Applying);
}
