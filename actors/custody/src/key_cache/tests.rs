//! The cache: the pure part by itself, then the actor over a real table and store.

use std::sync::{Arc, atomic::Ordering};

use orbital::names::{Digest, KeyRef};
use proptest::prelude::*;

use super::*;
use crate::rig::{Mood, Node, OTHER, TENANT, World, system};

struct Nowhere;

impl L1 for Nowhere {
    fn provider(&self) -> &'static str {
        "nowhere"
    }
    fn describe<'a>(&'a self, _: &'a KeyRef) -> l1::Answer<'a, l1::Described> {
        Box::pin(std::future::pending())
    }
    fn wrap<'a>(&'a self, _: &'a KeyRef, _: &'a l1::Context, _: &'a [u8]) -> l1::Answer<'a, Vec<u8>> {
        Box::pin(std::future::pending())
    }
    fn unwrap<'a>(&'a self, _: &'a KeyRef, _: &'a l1::Context, _: &'a [u8]) -> l1::Answer<'a, l1::Plain> {
        Box::pin(std::future::pending())
    }
}

fn link() -> Link {
    Link { key: KeyRef::new("arn:test").unwrap(), l1: Arc::new(Nowhere), l1_grace_ms: Some(10_000), serial: 1 }
}

/// Effects as words, so that a test reads as a story.
fn words(effects: Vec<Effect<u32>>) -> Vec<String> {
    let word = |effect| match effect {
        Effect::UnsealL2 { .. } => "L2".to_owned(),
        Effect::UnsealL3 { system, .. } => format!("L3 {system}"),
        Effect::Probe { .. } => "probe".to_owned(),
        Effect::Reply { to, result } => format!("{to} {}", if result.is_ok() { "ok" } else { "no" }),
        Effect::Fence { .. } => "fence".to_owned(),
        Effect::Tell { state, .. } => format!("tell {state}"),
        Effect::Away { .. } => "away".to_owned(),
        Effect::Back { .. } => "back".to_owned(),
    };
    effects.into_iter().map(word).collect()
}

fn linked() -> State<u32> {
    let mut state = State::new(5_000);
    assert_eq!(words(state.linked(TENANT, link(), 0)), ["probe"]);
    state
}

fn stopped() -> Error {
    Error::L1Stopped { key: "k".into(), state: l1::State::Disabled, why: "test".into() }
}
fn unreachable() -> Error {
    Error::L1Unreachable { key: "k".into(), why: "test".into() }
}

#[test]
fn all_who_wait_share_one_call() {
    let mut state = linked();
    assert_eq!(words(state.unseal(TENANT, system("a"), 1)), ["L2"]);
    assert!(words(state.unseal(TENANT, system("a"), 2)).is_empty());
    assert!(words(state.unseal(TENANT, system("b"), 3)).is_empty());
    assert_eq!(words(state.l2_unsealed(TENANT, 1, Ok(()), true, 1)), ["L3 a", "L3 b"]);
    assert!(words(state.unseal(TENANT, system("a"), 4)).is_empty());
    assert_eq!(words(state.l3_unsealed(TENANT, &system("a"), &Ok(()))), ["1 ok", "2 ok", "4 ok"]);
    assert_eq!(words(state.l3_unsealed(TENANT, &system("b"), &Err(Error::Unavailable))), ["3 no"]);
    assert_eq!(words(state.unseal(TENANT, system("a"), 5)), ["L2"]);
}

#[test]
fn a_refusal_answers_all_fences_and_is_told() {
    let mut state = linked();
    state.unseal(TENANT, system("a"), 1);
    state.unseal(TENANT, system("b"), 2);
    assert_eq!(
        words(state.l2_unsealed(TENANT, 1, Err(stopped()), false, 1)),
        ["1 no", "2 no", "fence", "tell DISABLED"]
    );
    assert_eq!(state.l1_state(&TENANT), Some(l1::State::Disabled));
    assert_eq!(words(state.probed(TENANT, 1, Err(unreachable()), 2)), ["tell UNREACHABLE"]);
    assert_eq!(state.l1_state(&TENANT), Some(l1::State::Disabled), "silence does not soften a stop");
}

#[test]
fn a_fault_of_our_own_says_nothing_about_the_kms() {
    let mut state = linked();
    state.unseal(TENANT, system("a"), 1);
    assert_eq!(words(state.l2_unsealed(TENANT, 1, Err(Error::VaultFull { used: 1, total: 1 }), false, 1)), ["1 no"]);
    assert_eq!(state.l1_state(&TENANT), None);
}

#[test]
fn grace_ends_once_and_an_answer_brings_the_tenant_back() {
    let mut state = linked();
    state.probed(TENANT, 1, Ok(()), 0);
    assert_eq!(words(state.tick(5_000)), ["probe"]);
    assert!(words(state.tick(10_000)).is_empty(), "a probe is in flight");
    assert_eq!(words(state.probed(TENANT, 1, Err(unreachable()), 10_000)), ["tell UNREACHABLE"]);
    assert_eq!(words(state.tick(10_001)), ["probe", "away"]);
    assert!(words(state.tick(12_000)).is_empty());
    assert_eq!(words(state.probed(TENANT, 1, Ok(()), 13_000)), ["back", "tell ENABLED"]);
    state.grace(&TENANT, None);
    assert_eq!(words(state.tick(u64::MAX)), ["probe"], "unlimited grace never ends");
}

/// Nobody on this side of the KMS can lengthen the grace: neither by asking for keys that are cached nor by sending Hold.
#[test]
fn a_key_that_was_in_the_table_is_no_word_of_the_kms() {
    let mut state = linked();
    state.probed(TENANT, 1, Err(unreachable()), 0);
    assert_eq!(words(state.hold(TENANT)), ["L2"]);
    state.l2_unsealed(TENANT, 1, Ok(()), false, 9_000);
    assert_eq!(words(state.tick(10_001)), ["probe", "away"]);
}

#[test]
fn a_link_that_is_repeated_is_no_word_of_the_kms() {
    let mut state = linked();
    state.probed(TENANT, 1, Err(unreachable()), 0);
    state.linked(TENANT, link(), 9_000);
    state.probed(TENANT, 1, Err(unreachable()), 9_000);
    assert_eq!(words(state.tick(10_001)), ["away"]);
    let other = Link { key: KeyRef::new("arn:other").unwrap(), serial: 2, ..link() };
    assert_eq!(words(state.linked(TENANT, other, 11_000)), ["probe"]);
    assert_eq!(
        words(state.probed(TENANT, 2, Ok(()), 12_000)),
        ["back", "tell ENABLED"],
        "what silence caused is lifted"
    );
}

/// Anyone can have a link repeated: nobody who waits is turned away by it, no second call is made, and an answer under way counts.
#[test]
fn a_link_that_is_repeated_interrupts_nothing() {
    let mut state = linked();
    assert_eq!(words(state.unseal(TENANT, system("a"), 1)), ["L2"]);
    assert!(words(state.linked(TENANT, link(), 1)).is_empty(), "a probe is in flight");
    assert!(words(state.hold(TENANT)).is_empty(), "and so is the L2");
    assert_eq!(words(state.probed(TENANT, 1, Err(stopped()), 2)), ["fence", "tell DISABLED"]);
    assert_eq!(words(state.linked(TENANT, link(), 3)), ["probe"], "at once");
    assert_eq!(state.l1_state(&TENANT), Some(l1::State::Disabled));
    assert_eq!(words(state.l2_unsealed(TENANT, 1, Ok(()), true, 4)), ["L3 a"]);
}

/// What was asked of the link before is answered after the new one came: neither its no nor its yes is about the key in force.
#[test]
fn an_answer_under_a_former_link_counts_for_nothing() {
    let mut state = linked();
    assert_eq!(words(state.hold(TENANT)), ["L2"]);
    let second = || Link { key: KeyRef::new("arn:other").unwrap(), serial: 2, ..link() };
    assert_eq!(words(state.linked(TENANT, second(), 100)), ["probe"]);
    for late in [Err(stopped()), Ok(())] {
        assert!(words(state.probed(TENANT, 1, late.clone(), 200)).is_empty());
        assert!(words(state.l2_unsealed(TENANT, 1, late, true, 200)).is_empty());
    }
    assert_eq!(state.l1_state(&TENANT), None);
    assert_eq!(words(state.probed(TENANT, 2, Err(stopped()), 300)), ["fence", "tell DISABLED"]);
}

/// Between the lift of what a link said and the next link nobody is heard, and the silence before it goes on counting.
#[test]
fn a_link_that_is_being_replaced_is_muted() {
    let mut state = linked();
    state.muted(&TENANT);
    assert!(words(state.probed(TENANT, 1, Err(stopped()), 1)).is_empty());
    assert!(words(state.hold(TENANT)).is_empty());
    assert_eq!(words(state.unseal(TENANT, system("a"), 1)), ["1 no"]);
    assert_eq!(words(state.tick(10_001)), ["away"]);
    assert_eq!(words(state.linked(TENANT, Link { serial: 2, ..link() }, 10_002)), ["probe"]);
    assert_eq!(words(state.probed(TENANT, 2, Ok(()), 10_003)), ["back", "tell ENABLED"]);
}

#[test]
fn without_a_link_everyone_is_told_so() {
    let mut state = linked();
    state.unseal(TENANT, system("a"), 1);
    assert_eq!(words(state.unlinked(&TENANT)), ["1 no"]);
    assert_eq!(words(state.unseal(TENANT, system("a"), 2)), ["2 no"]);
    assert!(words(state.l2_unsealed(TENANT, 1, Ok(()), true, 1)).is_empty());
}

#[test]
fn waiting_is_bounded() {
    let mut state = linked();
    for to in 0..u32::try_from(state::WAITING_MAX).unwrap() {
        state.unseal(TENANT, system("a"), to);
    }
    assert_eq!(words(state.unseal(TENANT, system("a"), 9_999)), ["9999 no"]);
}

proptest! {
    /// Whatever comes in whatever order: nobody is answered twice, nobody is forgotten, one L2 call at a time.
    #[test]
    fn each_request_is_answered_once(steps in proptest::collection::vec((0u8..6, 0u8..3), 1..80)) {
        let mut state = linked();
        let (mut asked, mut answered, mut l2, mut l3) = (0u32, Vec::new(), 0usize, Vec::<System>::new());
        let name = |n: u8| system(&format!("s{n}"));
        let mut take = |effects: Vec<Effect<u32>>, l2: &mut usize, l3: &mut Vec<System>| for effect in effects {
            match effect {
                Effect::UnsealL2 { .. } => *l2 += 1,
                Effect::UnsealL3 { system, .. } => l3.push(system),
                Effect::Reply { to, .. } => answered.push(to),
                _ => {}
            }
        };
        for (step, n) in steps {
            match step {
                0..=2 => { asked += 1; take(state.unseal(TENANT, name(n), asked), &mut l2, &mut l3); }
                3 if l2 > 0 => { l2 -= 1; take(state.l2_unsealed(TENANT, 1, Ok(()), true, 1), &mut l2, &mut l3); }
                4 if l2 > 0 => { l2 -= 1; take(state.l2_unsealed(TENANT, 1, Err(unreachable()), false, 1), &mut l2, &mut l3); }
                5 => if let Some(system) = l3.pop() { take(state.l3_unsealed(TENANT, &system, &Ok(())), &mut l2, &mut l3); },
                _ => {}
            }
            prop_assert!(l2 <= 1, "two calls to one L1 at once");
        }
        while l2 > 0 || !l3.is_empty() {
            if l2 > 0 { l2 -= 1; take(state.l2_unsealed(TENANT, 1, Ok(()), true, 1), &mut l2, &mut l3); }
            if let Some(system) = l3.pop() { take(state.l3_unsealed(TENANT, &system, &Ok(())), &mut l2, &mut l3); }
        }
        answered.sort_unstable();
        prop_assert_eq!(answered, (1..=asked).collect::<Vec<_>>());
    }
}

async fn until(node: &mut Node, wanted: impl Fn(&Observed) -> bool) -> Observed {
    loop {
        let observed = node.seen.recv().await.expect("the cache runs");
        if wanted(&observed) {
            return observed;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_callers_make_one_call_to_the_kms() {
    let world = World::new();
    let first = world.start().await;
    first.cache.unseal(TENANT, system("a")).await.unwrap();
    first.stop().await;
    world.kms.unwraps.store(0, Ordering::SeqCst);
    world.kms.hold();
    let node = world.start().await;
    let calls: Vec<_> = (0..64)
        .map(|n| {
            let cache = node.cache.clone();
            tokio::spawn(async move { cache.unseal(TENANT, system(if n % 2 == 0 { "a" } else { "b" })).await })
        })
        .collect();
    world.kms.unwrapping.acquire_many(1).await.unwrap().forget();
    world.kms.release();
    for call in calls {
        call.await.unwrap().unwrap();
    }
    assert_eq!(world.kms.unwraps.load(Ordering::SeqCst), 1);
    assert_eq!(node.table.keys_of(&TENANT), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unseal_that_a_kill_overtook_is_refused() {
    let world = World::new();
    world.kms.hold();
    let node = world.start().await;
    let cache = node.cache.clone();
    let late = tokio::spawn(async move { cache.unseal(TENANT, system("a")).await });
    world.kms.unwrapping.acquire_many(1).await.unwrap().forget();
    node.table.kill(&TENANT, Stop::Killed).unwrap();
    node.table.lift(&TENANT, Stop::Killed);
    world.kms.release();
    let answer = late.await.unwrap();
    assert!(matches!(answer, Err(Error::Stale { .. })), "{answer:?}");
    assert_eq!(node.table.keys_of(&TENANT), 0);
    node.cache.unseal(TENANT, system("a")).await.expect("a new unseal works");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_customers_no_fences_before_anyone_is_told() {
    let world = World::new();
    let mut node = world.start().await;
    *world.kms.mood.lock() = Mood::Stopped(l1::Stop::Disabled);
    let answer = node.cache.unseal(TENANT, system("a")).await;
    assert!(matches!(answer, Err(Error::L1Stopped { state: l1::State::Disabled, .. })), "{answer:?}");
    let told = |observed: &Observed| matches!(observed, Observed::L1 { tenant, state: l1::State::Disabled, .. } if *tenant == TENANT);
    until(&mut node, told).await;
    assert!(node.table.gate(&TENANT).unwrap().stops().holds(Stop::L1Stop));
    assert!(!node.table.gate(&OTHER).unwrap().stops().holds(Stop::L1Stop), "another tenant has its own word");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_a_former_link_opened_does_not_enter_the_table() {
    let world = World::new();
    let node = world.start().await;
    let link = |key| node.cache.link(TENANT, system("test"), KeyRef::new(key).unwrap()).unwrap();
    let (former, current) = (link("arn:test"), link("arn:other"));
    for (serial, keys) in [(former, 0), (current, 1)] {
        let secret = Ok(Some((node.slab.random(32).unwrap(), Version(1))));
        let came = Came { secret, began: node.generation() };
        node.cache.actor().unwrap().cast(Msg::L2Unsealed(TENANT, serial, came)).unwrap();
        // Answered after it.
        node.cache.l1_state(TENANT).await.unwrap();
        assert_eq!(node.table.keys_of(&TENANT), keys);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_kms_leaves_cached_keys_until_grace_is_over() {
    let world = World::new();
    let mut node = world.start().await;
    node.cache.unseal(TENANT, system("a")).await.unwrap();
    node.cache.grace(TENANT, Some(10_000)).unwrap();
    *world.kms.mood.lock() = Mood::Away;
    assert!(node.cache.unseal(TENANT, system("b")).await.is_ok(), "the L2 is here: its systems need no KMS");
    assert!(matches!(node.cache.unseal(OTHER, system("a")).await, Err(Error::L1Unreachable { .. })));
    assert_eq!(node.table.keys_of(&TENANT), 3);
    node.clock.forward(60_000);
    node.cache.actor().unwrap().cast(Msg::Tick).unwrap();
    until(&mut node, |observed| matches!(observed, Observed::L1Away { tenant } if *tenant == TENANT)).await;
    assert_eq!(node.table.keys_of(&TENANT), 0);
    assert!(node.table.admit(&TENANT, Purpose::Process).is_err());
    *world.kms.mood.lock() = Mood::Fine;
    node.clock.forward(60_000);
    node.cache.actor().unwrap().cast(Msg::Tick).unwrap();
    until(
        &mut node,
        |observed| matches!(observed, Observed::L1 { tenant, state: l1::State::Enabled, .. } if *tenant == TENANT),
    )
    .await;
    node.cache.unseal(TENANT, system("a")).await.unwrap();
}

/// Waiting for borrows takes as long as it takes; the KMS that is back before it ends is not shut out again by it.
#[test]
fn a_kms_that_is_back_at_once_stays_back() {
    let runtime = tokio::runtime::Builder::new_multi_thread().max_blocking_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let world = World::new();
        let mut node = world.start().await;
        node.cache.grace(TENANT, Some(10_000)).unwrap();
        // The one thread on which a stop may wait is taken.
        let (release, held) = std::sync::mpsc::channel::<()>();
        let holding = tokio::task::spawn_blocking(move || held.recv());
        *world.kms.mood.lock() = Mood::Away;
        node.clock.forward(60_000);
        node.cache.actor().unwrap().cast(Msg::Tick).unwrap();
        while !node.table.gate(&TENANT).unwrap().stops().holds(Stop::L1Away) {
            tokio::task::yield_now().await;
        }
        *world.kms.mood.lock() = Mood::Fine;
        node.clock.forward(60_000);
        node.cache.actor().unwrap().cast(Msg::Tick).unwrap();
        while node.table.gate(&TENANT).unwrap().stops().holds(Stop::L1Away) {
            tokio::task::yield_now().await;
        }
        release.send(()).unwrap();
        holding.await.unwrap().unwrap();
        until(&mut node, |observed| matches!(observed, Observed::L1Away { tenant } if *tenant == TENANT)).await;
        node.table.admit(&TENANT, Purpose::Process).unwrap();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_of_an_unlinked_key_reports_its_resolved_name() {
    let world = World::new();
    let mut node = world.start().await;
    let change = Digest([9; 32]);
    node.cache.probe(TENANT, change, system("test"), KeyRef::new("arn:new").unwrap()).unwrap();
    let probed = until(&mut node, |observed| matches!(observed, Observed::Probed { .. })).await;
    let Observed::Probed { state, resolved, why, .. } = probed else { panic!("{probed:?}") };
    assert_eq!(
        (state, resolved.map(|key| key.to_string()).as_deref(), why.as_str()),
        (l1::State::Enabled, Some("arn:new"), "")
    );
    assert!(matches!(
        node.cache.link(TENANT, system("unknown"), KeyRef::new("arn:new").unwrap()),
        Err(Error::NoProvider { .. })
    ));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_actor_that_fell_is_replaced_with_its_links() {
    let world = World::new();
    let node = world.start().await;
    node.cache.unseal(TENANT, system("a")).await.unwrap();
    node.cache.actor().unwrap().kill_and_wait(None).await.unwrap();
    assert!(matches!(node.cache.unseal(TENANT, system("b")).await, Err(Error::Unavailable)));
    assert_eq!(node.table.keys_of(&TENANT), 2, "keys are the table's");
    node.cache.revive(None, None).await.unwrap();
    node.cache.unseal(TENANT, system("b")).await.unwrap();
}
