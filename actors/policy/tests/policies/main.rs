//! The policies from outside: what a bundle must be, who gets what answer, and that the cache never answers otherwise than Cedar.

#![cfg(test)]

mod bundle;
mod cache;
mod matrix;

use orbital::names::{Digest, Group, Person, System, TenantId};
use policy::{
    Bundle, Circumstances, Evaluator, Finding, ObjectNow, ObjectState, Operation, PolicyError, Question, Target,
};

const SCHEMA: &str = include_str!("../../bundle/kcm.cedarschema");
const REGION: &str = include_str!("../../bundle/region.cedar");

/// An active key for encryption and decryption in the region `eu`, an hour before the lease ends.
const NOW: Circumstances<'static> = Circumstances {
    region: "eu",
    object: ObjectNow { state: ObjectState::Active, usage_mask: 0b1100 },
    lease_left_s: 3_600,
};

fn tenant(seed: u8) -> TenantId {
    TenantId(Digest([seed; 32]))
}

fn system(name: &str) -> System {
    System::new(name).expect("a system name")
}

fn person(name: &str) -> Person {
    Person::new(name).expect("a person")
}

fn groups(names: &[&str]) -> Vec<Group> {
    names.iter().map(|name| Group::new(name).expect("a group")).collect()
}

fn default_evaluator() -> Evaluator {
    Evaluator::new(Bundle::default_bundle().expect("the default bundle is valid"))
}

/// An evaluator of the default schema with these policies.
fn evaluator(policies: &str) -> Evaluator {
    Evaluator::new(Bundle::parse_strict(SCHEMA, policies, "[]").unwrap_or_else(|error| panic!("{error}")))
}

fn findings(schema: &str, policies: &str, entities: &str) -> Vec<Finding> {
    match Bundle::parse_strict(schema, policies, entities) {
        Err(PolicyError::Invalid { findings }) => findings,
        other => panic!("expected findings, got {other:?}"),
    }
}

/// A question with the target that the operation wants.
fn question<'a>(tenant: TenantId, system: &'a System, operation: Operation, owner: &'a System) -> Question<'a> {
    let target = if operation.on_object() { Target::Object { id: "object-1", owner } } else { Target::OwnSystem };
    Question { tenant, system, caller: "client-1", operation, target }
}
