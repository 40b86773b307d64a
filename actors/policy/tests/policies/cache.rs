//! The cache answers as Cedar does, forgets at each epoch, and stays within its bound.

use std::sync::Arc;

use policy::{DECISIONS_MAX, Decision, DecisionCache, Operation, PolicyError, Question, Target};
use proptest::{collection::vec, prelude::*, sample::select};

use super::{REGION, default_evaluator, evaluator, question, system, tenant};

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
        let permitted = cache.permit(&asked).expect("permitted");
        assert_eq!((permitted.operation(), permitted.epoch()), (Operation::Encrypt, 1));
    }
    assert_eq!(cache.len(), 1);
}

#[test]
fn tenant_operation_and_owner_are_part_of_the_key() {
    let cache = DecisionCache::new(1, Arc::new(default_evaluator()));
    let (own, other) = (system("orders"), system("billing"));
    assert!(cache.permit(&question(tenant(1), &own, Operation::Get, &own)).is_ok());
    assert!(cache.permit(&question(tenant(2), &own, Operation::Get, &own)).is_ok());
    assert!(cache.permit(&question(tenant(1), &own, Operation::Encrypt, &own)).is_ok());
    for _ in 0..2 {
        let refused = cache.permit(&question(tenant(1), &own, Operation::Get, &other)).expect_err("refused");
        assert_eq!(refused, Decision::Deny { policies: vec![] });
    }
    assert_eq!(cache.len(), 4);
}

#[test]
fn an_epoch_empties_the_cache_and_brings_its_policies() {
    let cache = DecisionCache::new(1, Arc::new(default_evaluator()));
    let own = system("orders");
    let asked = question(tenant(1), &own, Operation::Get, &own);
    assert!(cache.permit(&asked).is_ok());
    cache.install(2, cache.evaluator()).expect("a later epoch");
    assert!(cache.is_empty());
    assert_eq!(cache.permit(&asked).expect("permitted").epoch(), 2);

    cache.install(7, Arc::new(evaluator(""))).expect("a later epoch");
    assert!(cache.permit(&asked).is_err());
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
    assert!(cache.permit(&question(tenant(1), &own, Operation::Get, &own)).is_err());
}

#[test]
fn an_error_is_a_refusal_from_the_cache_too() {
    let policies = format!(
        "{REGION}\n@id(\"sum\") forbid (principal is Client, action, resource) when {{ 9223372036854775807 + 1 < 0 }};"
    );
    let cache = DecisionCache::new(1, Arc::new(evaluator(&policies)));
    let own = system("orders");
    for _ in 0..2 {
        let refused = cache.permit(&question(tenant(1), &own, Operation::Get, &own)).expect_err("refused");
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
        assert_eq!(cache.permit(&asked).is_ok(), id == "7");
    }
    assert!(cache.len() <= DECISIONS_MAX);
    assert!(cache.len() > DECISIONS_MAX / 2);
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
                    if let Ok(permitted) = cache.permit(&question(tenant(1), &own, Operation::Get, &own)) {
                        assert_eq!(permitted.epoch() % 2, 1, "the closed epochs permit nothing");
                    }
                }
            });
        }
        for epoch in 1..=400 {
            let evaluator = if epoch % 2 == 1 { &open } else { &closed };
            cache.install(epoch, Arc::clone(evaluator)).expect("a later epoch");
            let allowed = cache.permit(&question(tenant(1), &own, Operation::Get, &own)).is_ok();
            assert_eq!(allowed, epoch % 2 == 1);
        }
    });
}

/// Conditions of every reach: none, the object, the caller, both, either through a detour.
const CONDITIONS: [&str; 12] = [
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_cache_answers_as_cedar_does(
        policies in policies(),
        asked in vec((1_u8..3, select(&["orders", "billing"][..]), select(&["a", "b", "c"][..]), select(Operation::ALL),
                      select(&["1", "2", "3"][..]), select(&["orders", "billing"][..])), 1..60),
    ) {
        let fresh = Arc::new(evaluator(&policies));
        let cache = DecisionCache::new(1, Arc::clone(&fresh));
        for (seed, own, caller, operation, id, owner) in asked {
            let (own, owner) = (system(own), system(owner));
            let target = if operation.on_object() { Target::Object { id, owner: &owner } } else { Target::OwnSystem };
            let asked = Question { tenant: tenant(seed), system: &own, caller, operation, target };
            let expected = fresh.may_operate(&asked);
            match cache.permit(&asked) {
                Ok(permitted) => {
                    prop_assert!(expected.is_allowed());
                    prop_assert_eq!(permitted.operation(), operation);
                }
                Err(refusal) => prop_assert_eq!(refusal, expected),
            }
        }
    }
}
