//! Armed stops: signed in advance, fired by one of those who signed, once, in time, under the trust root of the day.

use orbital::{certificate::ARMED_SECONDS_MAX, change::FireUntil, testing::person};

use super::{refusals::code, *};

const UNTIL: u64 = NOW + 30 * 24 * 3_600;

fn change(bench: &Bench, action: Action, until: u64) -> Change {
    Change { armed: Some(FireUntil(until)), ..bench.world.change(action) }
}

impl Bench {
    fn arm(&mut self) -> ProposalId {
        let id = self.propose_change(&change(self, Action::RevokeL1 {}, UNTIL), "carol").unwrap();
        assert_eq!(self.approve(&id, "dave").unwrap(), State::Armed);
        id
    }

    fn fire(&mut self, id: &ProposalId, who: &str) -> Result<State, Error> {
        self.answer(id, Role::Fire, who)
    }

    fn armed_view(&self, id: &ProposalId) -> crate::views::ArmedView {
        crate::tenant::view::proposal(&self.tenant, &self.tenant.proposals[id], &self.facts()).armed.unwrap()
    }

    fn stopped(&self) -> bool {
        !self.tenant.halts.is_empty()
    }
}

#[test]
fn it_stops_nothing_until_one_of_its_signers_fires_it_and_then_every_region() {
    let mut b = Bench::new();
    let id = b.arm();
    assert!(!b.stopped() && b.owed.is_empty());
    let view = b.armed_view(&id);
    assert_eq!(view.may_fire, ["carol", "dave"].map(person).into());
    assert!(view.fired.is_none() && view.lacks.is_none() && view.misses.is_empty());
    // Its time to be signed is long over; its time to be fired is not.
    b.now_ms = (UNTIL - 1) * 1_000;
    assert_eq!(b.expire(&id), State::Armed);
    assert_eq!(b.fire(&id, "dave").unwrap(), State::Applying);
    assert!(b.stopped() && REGIONS.iter().all(|(at, _)| b.newest(at, "kill").stop().is_some()));
    b.acknowledge_all("kill");
    assert_eq!(b.tenant.proposals[&id].state, State::Active);
    assert_eq!(b.replayed(), b.tenant);
}

#[test]
fn who_did_not_sign_fires_nothing_and_who_fires_again_fires_nothing_more() {
    let mut b = Bench::new();
    let early = b.propose_change(&change(&b, Action::RevokeL1 {}, UNTIL), "carol").unwrap();
    assert_eq!(code(b.fire(&early, "carol")), "not-armed");
    let id = b.arm();
    assert_eq!(code(b.fire(&id, "heidi")), "uncertified");
    assert_eq!(code(b.fire(&id, "alice")), "uncertified");
    assert!(!b.stopped());
    let other = b.world.answer(Role::Fire, &b.tenant.proposals[&early].statement, "dave");
    assert_eq!(code(b.answer_signed(&id, Role::Fire, other)), "other-proposal");
    let vote = b.world.answer(Role::Fire, &b.tenant.proposals[&id].statement, "dave");
    assert_eq!(b.answer_signed(&id, Role::Fire, vote.clone()).unwrap(), State::Applying);
    let records = b.records.len();
    // What it was told got lost: the same words again change nothing, another's come too late.
    assert_eq!(b.answer_signed(&id, Role::Fire, vote).unwrap(), State::Applying);
    assert_eq!(code(b.fire(&id, "carol")), "proposal-closed");
    assert_eq!(b.records.len(), records);
    let plain = b.propose(Action::RevokeL1 {}, "carol").unwrap();
    assert_eq!(code(b.fire(&plain, "carol")), "not-armed");
}

#[test]
fn past_its_date_nobody_fires_it() {
    let mut b = Bench::new();
    let id = b.arm();
    b.now_ms = UNTIL * 1_000 + 1_000;
    assert_eq!(code(b.fire(&id, "dave")), "armed-over");
    assert!(!b.stopped());
    assert_eq!(b.expire(&id), State::Expired);
    assert_eq!(code(b.fire(&id, "dave")), "proposal-closed");
    assert_eq!(b.replayed(), b.tenant);
}

#[test]
fn kills_alone_are_armed_and_not_for_ever() {
    let mut b = Bench::new();
    for (action, until, why) in [
        (Action::BlockTenant {}, UNTIL, "bad-arming"),
        (Action::RevokeL1 {}, NOW + 3_600 + ARMED_SECONDS_MAX + 1, "bad-arming"),
        (Action::RevokeL1 {}, NOW - 1, "armed-over"),
    ] {
        let change = change(&b, action, until);
        assert_eq!(code(b.propose_change(&change, "carol")), why);
    }
    let last = change(&b, Action::RevokeL1 {}, NOW + 3_600 + ARMED_SECONDS_MAX);
    assert!(b.propose_change(&last, "carol").is_ok());
}

/// Who leaves takes the signature along; who approves then makes it whole again.
#[test]
fn a_signer_who_left_counts_no_more() {
    let mut b = Bench::new();
    let id = b.arm();
    let next = b.world.next(|root| {
        root.actors.insert(person("peggy"), b.world.newcomer("peggy", &["Senior_Leadership"]));
        root.actors.remove(&person("dave"));
    });
    let change = b.propose(Action::ChangeActors { next }, "erin").unwrap();
    for who in ["carol", "heidi", "alice", "bob", "judy", "ivan"] {
        if b.tenant.proposals[&change].state == State::Open {
            drop(b.approve(&change, who));
        }
    }
    assert_eq!(b.tenant.chain.version(), 2, "{:?}", b.tenant.proposals[&change]);
    let view = b.armed_view(&id);
    assert!(view.may_fire.is_empty() && view.lacks.is_some(), "{view:?}");
    assert_eq!(code(b.fire(&id, "carol")), "uncertified");
    assert!(!b.stopped());
}
