//! Which parts of a question a bundle's policies can look at, so that the cache knows what its keys must hold.
//!
//! Most bundles decide by tenant, systems and operation alone, and one cached decision serves every object of a system. A bundle may
//! also single out one object or one caller; then these are part of the key. The analysis errs to one side only: what it does not
//! recognise as harmless counts as looking. A variable is harmless where its attributes are read that the key holds anyway, and in a
//! scope that admits all, or a type alone. What the context says is found out only for a bundle that reads it.

use cedar_policy::{Policy, PolicySet};
use serde_json::Value;

/// What the policies for KMIP callers can look at beyond tenant, systems and operation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    /// The identity of the caller's certificate.
    pub(crate) caller: bool,
    /// The identity of the object.
    pub(crate) object: bool,
    /// In which region it is asked.
    pub(crate) region: bool,
    /// What the object is at the moment: its state, its usage mask.
    pub(crate) now: bool,
    /// What is left of the tenant's lease. No decision that depends on it is kept.
    pub(crate) lease: bool,
}

const EVERYTHING: Reach = Reach { caller: true, object: true, region: true, now: true, lease: true };

impl Reach {
    pub(crate) fn of(policies: &PolicySet) -> Self {
        policies.policies().map(reach).fold(Self::default(), |all, one| Self {
            caller: all.caller || one.caller,
            object: all.object || one.object,
            region: all.region || one.region,
            now: all.now || one.now,
            lease: all.lease || one.lease,
        })
    }

    /// Whether anything of the context is read.
    pub(crate) fn context(self) -> bool {
        self.region || self.now || self.lease
    }
}

/// One policy, read in Cedar's JSON form.
fn reach(policy: &Policy) -> Reach {
    let Ok(json) = policy.to_json() else { return EVERYTHING };
    let (Some(principal), Some(resource), Some(conditions)) =
        (json.get("principal"), json.get("resource"), json.get("conditions"))
    else {
        return EVERYTHING;
    };
    // A policy for other types of principal never matches a KMIP caller.
    if excludes(principal, "Client") {
        return Reach::default();
    }
    Reach {
        caller: names_one(principal) || looks_at(conditions, "principal", &["tenant", "system"]),
        object: !excludes(resource, "KeyObject")
            && (names_one(resource) || looks_at(conditions, "resource", &["tenant", "owner"])),
        region: looks_at(conditions, "context", &["state", "usage_mask", "lease_left_s"]),
        now: looks_at(conditions, "context", &["region", "lease_left_s"]),
        lease: looks_at(conditions, "context", &["region", "state", "usage_mask"]),
    }
}

/// Whether the scope admits only another type than `wanted`.
fn excludes(scope: &Value, wanted: &str) -> bool {
    let is = scope.get("op").and_then(Value::as_str) == Some("is");
    is && scope.get("entity_type").and_then(Value::as_str).is_some_and(|named| named != wanted)
}

/// Whether the scope says more than `All` or a bare type.
fn names_one(scope: &Value) -> bool {
    match scope.get("op").and_then(Value::as_str) {
        Some("All") => false,
        Some("is") => scope.get("in").is_some(),
        _ => true,
    }
}

/// Whether an expression uses the variable for anything but reading one of the `harmless` attributes.
fn looks_at(expression: &Value, variable: &str, harmless: &[&str]) -> bool {
    match expression {
        Value::Object(members) => members.iter().any(|(operator, operand)| match operator.as_str() {
            // The members of a record may have any name, those of operators too.
            "Record" => operand
                .as_object()
                .is_none_or(|members| members.values().any(|member| looks_at(member, variable, harmless))),
            "Var" => operand.as_str() == Some(variable),
            "." if reads(operand, variable, harmless) => false,
            _ => looks_at(operand, variable, harmless),
        }),
        Value::Array(items) => items.iter().any(|item| looks_at(item, variable, harmless)),
        _ => false,
    }
}

/// Whether the operand of `.` is the bare variable with a harmless attribute.
fn reads(operand: &Value, variable: &str, harmless: &[&str]) -> bool {
    let bare = operand.get("left").and_then(|left| left.get("Var")).and_then(Value::as_str) == Some(variable);
    bare && operand.get("attr").and_then(Value::as_str).is_some_and(|attribute| harmless.contains(&attribute))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Reach {
        Reach::of(&text.parse().expect("policies"))
    }

    #[test]
    fn systems_tenant_and_type_are_in_the_key_anyway() {
        let none = Reach::default();
        assert_eq!(of(r"permit(principal, action, resource);"), none);
        assert_eq!(of(r#"permit(principal is Client, action == Action::"get", resource is KeyObject);"#), none);
        assert_eq!(of(r"permit(principal, action, resource) when { principal.system == resource.owner };"), none);
        assert_eq!(
            of(r#"forbid(principal, action, resource) unless { [resource.tenant].contains(principal.tenant) };"#),
            none
        );
        assert_eq!(of(r#"permit(principal is Person in Group::"Audit", action, resource);"#), none);
        assert_eq!(
            of(r"permit(principal is Client, action, resource is System) when { resource == principal.system };"),
            none
        );
    }

    #[test]
    fn every_other_use_counts_as_looking() {
        let object = Reach { object: true, ..Reach::default() };
        let caller = Reach { caller: true, ..Reach::default() };
        assert_eq!(of(r#"permit(principal, action, resource == KeyObject::"7");"#), object);
        assert_eq!(of(r#"permit(principal, action, resource) when { resource == KeyObject::"7" };"#), object);
        assert_eq!(
            of(r#"permit(principal, action, resource) when { if true then resource == KeyObject::"7" else false };"#),
            object
        );
        assert_eq!(of(r"permit(principal, action, resource) when { resource has owner };"), object);
        assert_eq!(
            of(r"permit(principal, action, resource) when { {a: resource}.a.owner == principal.system };"),
            object
        );
        assert_eq!(of(r#"permit(principal == Client::"a", action, resource);"#), caller);
        assert_eq!(of(r#"permit(principal is Client in Client::"a", action, resource);"#), caller);
        assert_eq!(of(r#"permit(principal, action, resource) when { [Client::"a"].contains(principal) };"#), caller);
        assert_eq!(of(r#"permit(principal, action, resource) when { principal like "x" };"#), caller);
        let both = Reach { caller: true, object: true, ..Reach::default() };
        assert_eq!(of(r#"forbid(principal, action, resource) when { principal == resource };"#), both);
        for name in ["Var", "Record", "Value", ".", "left"] {
            let detour = format!(
                r#"permit(principal, action, resource) when {{ {{"{name}": resource}}["{name}"] == KeyObject::"7" }};"#
            );
            assert_eq!(of(&detour), object, "{name}");
        }
        assert_eq!(
            of(r#"permit(principal, action, resource) when { {".": {left: resource, attr: "owner"}} == {} };"#),
            object
        );
    }

    #[test]
    fn of_the_context_only_what_is_read_counts() {
        let when = |condition: &str| of(&format!("permit(principal, action, resource) when {{ {condition} }};"));
        let (region, now, lease) = (
            Reach { region: true, ..Reach::default() },
            Reach { now: true, ..Reach::default() },
            Reach { lease: true, ..Reach::default() },
        );
        assert_eq!(when(r#"context.region == "eu""#), region);
        assert_eq!(when(r#"context.state == State::"Active""#), now);
        assert_eq!(when(r#"context.usage_mask.contains(Usage::"Encrypt")"#), now);
        assert_eq!(when("context.lease_left_s > 60"), lease);
        assert_eq!(when(r#"context.region == "eu" && context.lease_left_s > 60"#), Reach { region: true, ..lease });
        let all = Reach { region: true, now: true, lease: true, ..Reach::default() };
        for detour in [
            "context has state",
            r#"{a: context}.a.state == State::"Active""#,
            r#"{Var: context}.Var.state == State::"Active""#,
            "context == {}",
        ] {
            assert_eq!(when(detour), all, "{detour}");
        }
        assert_eq!(of(r"permit(principal is Person, action, resource) when { context == {} };"), Reach::default());
    }

    #[test]
    fn one_policy_that_looks_is_enough() {
        let both = r#"permit(principal, action, resource); forbid(principal, action, resource == KeyObject::"7");"#;
        assert!(of(both).object);
        let both = r"permit(principal, action, resource); forbid(principal, action, resource) when { context == {} };";
        assert!(of(both).context());
    }
}
