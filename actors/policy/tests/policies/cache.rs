//! The cache answers as Cedar does, forgets at each epoch, and stays within its bound.

use std::{cell::Cell, convert::Infallible, sync::Arc};

use policy::{
    Circumstances, DECISIONS_MAX, Decision, DecisionCache, ObjectNow, ObjectState, Operation, Permitted, PolicyError,
    Question, Target,
};
use proptest::{collection::vec, prelude::*, sample::select};

use super::{NOW, REGION, default_evaluator, evaluator, question, system, tenant};

/// What the cache says under [`NOW`].
fn permit(cache: &DecisionCache, asked: &Question<'_>) -> Result<Permitted, Decision> {
    let Ok(permitted) = cache.permit(asked, || Ok::<_, Infallible>(NOW));
    permitted
}

#[test]
fn a_decision_is_kept_once_for_all_objects_of_a_system() {
    let cache = DecisionCache::new(1, Arc::new(default_evaluator()));
    let own = system("orders");
    assert!(cache.is_empty());
    for id in 0..100 {
        let (id, caller) = (format!("object-{id}"), format!("client-{id}"));
        let target = Target::Object { id: &id, owner: &own };
        let asked =
            Question { tenant: tenant(1), system: &own, caller: &caller, operation: Operation::Encrypt, target };
        let permitted = permit(&cache, &asked).expect("permitted");
        assert_eq!((permitted.operation(), permitted.epoch()), (Operation::Encrypt, 1));
    }
    assert_eq!(cache.len(), 1);
    assert!(!cache.is_empty());
}

#[test]
fn tenant_operation_and_owner_are_part_of_the_key() {
    let cache = DecisionCache::new(1, Arc::new(default_evaluator()));
    let (own, other) = (system("orders"), system("billing"));
    assert!(permit(&cache, &question(tenant(1), &own, Operation::Get, &own)).is_ok());
    assert!(permit(&cache, &question(tenant(2), &own, Operation::Get, &own)).is_ok());
    assert!(permit(&cache, &question(tenant(1), &own, Operation::Encrypt, &own)).is_ok());
    for _ in 0..2 {
        let refused = permit(&cache, &question(tenant(1), &own, Operation::Get, &other)).expect_err("refused");
        assert_eq!(refused, Decision::Deny { policies: vec![] });
    }
    assert_eq!(cache.len(), 4);
}

#[test]
fn an_epoch_empties_the_cache_and_brings_its_policies() {
    let cache = DecisionCache::new(1, Arc::new(default_evaluator()));
    let own = system("orders");
    let asked = question(tenant(1), &own, Operation::Get, &own);
    assert!(permit(&cache, &asked).is_ok());
    cache.install(2, cache.evaluator()).expect("a later epoch");
    assert!(cache.is_empty());
    assert_eq!(permit(&cache, &asked).expect("permitted").epoch(), 2);

    cache.install(7, Arc::new(evaluator(""))).expect("a later epoch");
    assert!(permit(&cache, &asked).is_err());
    assert_eq!((cache.epoch(), cache.len()), (7, 1));
}

#[test]
fn an_epoch_never_goes_back() {
    let cache = DecisionCache::new(5, Arc::new(evaluator("")));
    for offered in [0, 4, 5] {
        let refused = cache.install(offered, Arc::new(default_evaluator())).expect_err("refused");
        assert_eq!(refused, PolicyError::StaleEpoch { current: 5, offered });
    }
    let own = system("orders");
    assert!(permit(&cache, &question(tenant(1), &own, Operation::Get, &own)).is_err());
}

#[test]
fn an_error_is_a_refusal_from_the_cache_too() {
    let policies = format!(
        "{REGION}\n@id(\"sum\") forbid (principal is Client, action, resource) when {{ 9223372036854775807 + 1 < 0 }};"
    );
    let cache = DecisionCache::new(1, Arc::new(evaluator(&policies)));
    let own = system("orders");
    for _ in 0..2 {
        let refused = permit(&cache, &question(tenant(1), &own, Operation::Get, &own)).expect_err("refused");
        assert!(matches!(refused, Decision::Error { .. }));
    }
}

#[test]
fn the_cache_is_bounded_and_right_when_full() {
    let policies =
        "@id(\"one\") permit (principal is Client, action == Action::\"get\", resource == KeyObject::\"7\");";
    let cache = DecisionCache::new(1, Arc::new(evaluator(policies)));
    let own = system("orders");
    for id in 0..2 * DECISIONS_MAX {
        let id = id.to_string();
        let mut asked = question(tenant(1), &own, Operation::Get, &own);
        asked.target = Target::Object { id: &id, owner: &own };
        assert_eq!(permit(&cache, &asked).is_ok(), id == "7");
    }
    assert!(cache.len() <= DECISIONS_MAX);
    assert!(cache.len() > DECISIONS_MAX / 2);
}

/// The default bundle with one more policy for what hands out keys.
fn guarded(condition: &str) -> DecisionCache {
    let forbid = "forbid (principal is Client, action in Action::\"hand_out\", resource is KeyObject)";
    let policies = format!("{REGION}\n@id(\"guard\") {forbid} when {{ {condition} }};");
    DecisionCache::new(1, Arc::new(evaluator(&policies)))
}

#[test]
fn circumstances_are_found_out_only_where_a_policy_looks_at_them() {
    let own = system("orders");
    let asked = question(tenant(1), &own, Operation::Get, &own);
    for (condition, looks) in [("principal.system == System::\"billing\"", 0), ("context.region == \"us\"", 2)] {
        let (cache, looked) = (guarded(condition), Cell::new(0));
        for _ in 0..2 {
            let seen = cache.permit(&asked, || {
                looked.set(looked.get() + 1);
                Ok::<_, Infallible>(NOW)
            });
            assert!(matches!(seen, Ok(Ok(_))), "{condition}");
        }
        assert_eq!((looked.get(), cache.len()), (looks, 1), "{condition}");
    }
    let fails = guarded("context.region == \"us\"").permit(&asked, || Err("the store is away"));
    assert_eq!(fails.expect_err("nothing is decided"), "the store is away");
}

#[test]
fn what_is_kept_holds_for_the_same_state_uses_and_region_alone() {
    let own = system("orders");
    let asked = question(tenant(1), &own, Operation::Get, &own);
    let uses = "context.usage_mask.contains(Usage::\"Wrap Key\")";
    let cache = guarded(&format!("context.state == State::\"Compromised\" || {uses} || context.region == \"us\""));
    let compromised = ObjectNow { state: ObjectState::Compromised, ..NOW.object };
    let wraps = ObjectNow { usage_mask: 1 << 4, ..NOW.object };
    for _ in 0..2 {
        for (now, allowed) in [
            (NOW, true),
            (Circumstances { object: compromised, ..NOW }, false),
            (Circumstances { object: wraps, ..NOW }, false),
            (Circumstances { region: "us", ..NOW }, false),
        ] {
            let Ok(answer) = cache.permit(&asked, || Ok::<_, Infallible>(now));
            assert_eq!(answer.is_ok(), allowed, "{now:?}");
        }
    }
    assert_eq!(cache.len(), 4);
}

#[test]
fn what_depends_on_the_lease_is_never_kept() {
    let own = system("orders");
    let asked = question(tenant(1), &own, Operation::Get, &own);
    let cache = guarded("context.lease_left_s < 600");
    for (lease_left_s, allowed) in [(601, true), (600, true), (599, false), (0, false), (u64::MAX, true)] {
        let Ok(answer) = cache.permit(&asked, || Ok::<_, Infallible>(Circumstances { lease_left_s, ..NOW }));
        assert_eq!(answer.is_ok(), allowed, "{lease_left_s}");
    }
    assert!(cache.is_empty());
}

/// Threads ask while another installs epochs of an open and a closed bundle in turn: an answer of one epoch never stands in another.
#[test]
fn no_answer_outlives_its_epoch() {
    let (open, closed) = (Arc::new(default_evaluator()), Arc::new(evaluator("")));
    let cache = DecisionCache::new(0, Arc::clone(&closed));
    let own = system("orders");
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while cache.epoch() < 400 {
                    if let Ok(permitted) = permit(&cache, &question(tenant(1), &own, Operation::Get, &own)) {
                        assert_eq!(permitted.epoch() % 2, 1, "the closed epochs permit nothing");
                    }
                }
            });
        }
        for epoch in 1..=400 {
            let evaluator = if epoch % 2 == 1 { &open } else { &closed };
            cache.install(epoch, Arc::clone(evaluator)).expect("a later epoch");
            let allowed = permit(&cache, &question(tenant(1), &own, Operation::Get, &own)).is_ok();
            assert_eq!(allowed, epoch % 2 == 1);
        }
    });
}

/// Conditions of every reach: none, the object, the caller, both, either through a detour.
const CONDITIONS: [&str; 22] = [
    "principal.system == resource.owner",
    "principal.system != resource.owner",
    "principal.system == System::\"orders\"",
    "resource.owner == System::\"billing\"",
    "resource == KeyObject::\"1\"",
    "[KeyObject::\"1\", KeyObject::\"2\"].contains(resource)",
    "principal == Client::\"a\"",
    "{who: principal}.who == Client::\"b\"",
    "if principal.system == resource.owner then resource == KeyObject::\"2\" else false",
    "resource has owner && resource.owner == principal.system",
    "principal in Client::\"a\"",
    "9223372036854775807 + 1 > 0",
    "context.region == \"eu\"",
    "context.state == State::\"Active\"",
    "context.usage_mask.contains(Usage::\"Encrypt\")",
    "context.usage_mask.isEmpty() || context.state in [State::\"None\", State::\"Deactivated\"]",
    "context.lease_left_s > 60",
    "{now: context}.now.state == State::\"Active\"",
    "context has region && resource == KeyObject::\"3\"",
    "{Var: resource}.Var == KeyObject::\"1\"",
    "{Var: principal}.Var == Client::\"b\"",
    "{Var: context}.Var.state == State::\"Active\"",
];
const SCOPES: [&str; 4] = [
    "principal is Client, action, resource is KeyObject",
    "principal is Client, action == Action::\"get\", resource is KeyObject",
    "principal is Client in Client::\"b\", action in Action::\"operate\", resource is KeyObject",
    "principal is Client, action in [Action::\"encrypt\", Action::\"get\"], resource == KeyObject::\"1\"",
];

fn policies() -> impl Strategy<Value = String> {
    let one = (any::<bool>(), select(&SCOPES[..]), select(&CONDITIONS[..]));
    vec(one, 0..5).prop_map(|all| {
        let line = |(n, (permit, scope, condition)): (usize, (bool, &str, &str))| {
            format!("@id(\"p{n}\") {} ({scope}) when {{ {condition} }};\n", if permit { "permit" } else { "forbid" })
        };
        all.into_iter().enumerate().map(line).collect()
    })
}

fn circumstances() -> impl Strategy<Value = Circumstances<'static>> {
    use ObjectState::{Active, Deactivated, None};
    let object = (select(&[None, Active, Deactivated][..]), select(&[0, 0b100, 0b1000][..]))
        .prop_map(|(state, usage_mask)| ObjectNow { state, usage_mask });
    (select(&["eu", "us"][..]), object, select(&[0, 60, 61, u64::MAX][..]))
        .prop_map(|(region, object, lease_left_s)| Circumstances { region, object, lease_left_s })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_cache_answers_as_cedar_does(
        policies in policies(),
        asked in vec((1_u8..3, select(&["orders", "billing"][..]), select(&["a", "b", "c"][..]), select(Operation::ALL),
                      select(&["1", "2", "3"][..]), select(&["orders", "billing"][..]), circumstances()), 1..60),
    ) {
        let fresh = Arc::new(evaluator(&policies));
        let cache = DecisionCache::new(1, Arc::clone(&fresh));
        for (seed, own, caller, operation, id, owner, now) in asked {
            let (own, owner) = (system(own), system(owner));
            let target = if operation.on_object() { Target::Object { id, owner: &owner } } else { Target::OwnSystem };
            let asked = Question { tenant: tenant(seed), system: &own, caller, operation, target };
            let expected = fresh.may_operate(&asked, &now);
            let Ok(answer) = cache.permit(&asked, || Ok::<_, Infallible>(now));
            match answer {
                Ok(permitted) => {
                    prop_assert!(expected.is_allowed());
                    prop_assert_eq!(permitted.operation(), operation);
                }
                Err(refusal) => prop_assert_eq!(refusal, expected),
            }
        }
    }
}
