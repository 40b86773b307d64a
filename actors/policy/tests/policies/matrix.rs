//! Who gets which answer: the default bundle over tenant x system x operation and over person x realm, and every error a refusal.

use policy::{Actor, Bundle, CHANGE_KINDS, Decision, Evaluator, Operation, Question, Realm, Target};

use super::{NOW, REGION, SCHEMA, default_evaluator, evaluator, groups, person, question, system, tenant};

#[test]
fn a_system_does_everything_on_its_own_and_nothing_on_others() {
    let evaluator = default_evaluator();
    let systems = ["orders", "billing", "orders-2"].map(system);
    for seed in [1, 2] {
        for (own, owner, &operation) in systems
            .iter()
            .flat_map(|own| systems.iter().flat_map(move |owner| Operation::ALL.iter().map(move |op| (own, owner, op))))
        {
            let decision = evaluator.may_operate(&question(tenant(seed), own, operation, owner), &NOW);
            let expected = match (operation.on_object(), own == owner) {
                (false, _) => Decision::Allow { policies: vec!["own-system".into()] },
                (true, true) => Decision::Allow { policies: vec!["own-objects".into()] },
                (true, false) => Decision::Deny { policies: vec![] },
            };
            assert_eq!(decision, expected, "{own} {operation} on {owner}");
        }
    }
}

#[test]
fn an_operation_with_the_wrong_target_is_an_error() {
    let (evaluator, own) = (default_evaluator(), system("orders"));
    for &operation in Operation::ALL.iter().filter(|operation| operation.on_object() != operation.on_system()) {
        let target = if operation.on_object() { Target::OwnSystem } else { Target::Object { id: "1", owner: &own } };
        let asked = Question { tenant: tenant(1), system: &own, caller: "c", operation, target };
        assert!(matches!(evaluator.may_operate(&asked, &NOW), Decision::Error { .. }), "{operation}");
    }
}

#[test]
fn exporting_can_be_forbidden_alone() {
    let no_export =
        format!("{REGION}\n@id(\"no-export\") forbid (principal is Client, action in Action::\"hand_out\", resource);");
    let (evaluator, own) = (evaluator(&no_export), system("orders"));
    for &operation in Operation::ALL {
        let decision = evaluator.may_operate(&question(tenant(1), &own, operation, &own), &NOW);
        if matches!(operation, Operation::Get | Operation::Export) {
            assert_eq!(decision, Decision::Deny { policies: vec!["no-export".into()] });
        } else {
            assert!(decision.is_allowed(), "{operation}");
        }
    }
}

#[test]
fn labels_of_any_text_are_only_labels() {
    let (evaluator, own, other) = (default_evaluator(), system("orders"), system("billing"));
    for caller in ["", "CN=orders, O=\"x\"", "spiffe://kcm/orders", "\u{202e}\0\\", "Client::\"billing\""] {
        let mut asked = question(tenant(1), &own, Operation::Get, &own);
        asked.caller = caller;
        assert!(evaluator.may_operate(&asked, &NOW).is_allowed());
        asked.target = Target::Object { id: caller, owner: &other };
        assert_eq!(evaluator.may_operate(&asked, &NOW), Decision::Deny { policies: vec![] });
    }
}

#[test]
fn governance_by_home_and_group() {
    let evaluator = default_evaluator();
    let (alice, own, other) = (person("alice"), Realm::Tenant(tenant(1)), Realm::Tenant(tenant(2)));
    for (home, names) in [own, other, Realm::Site].into_iter().flat_map(|home| {
        [vec![], vec!["Security_Ops"], vec!["Audit"], vec!["Audit", "Security_Ops"]].map(|names| (home, names))
    }) {
        let member = groups(&names);
        let actor = Actor { person: &alice, home, groups: &member };
        let at_home = home == own;
        let site_auditor = home == Realm::Site && names.contains(&"Audit");
        assert_eq!(evaluator.may_read(&actor, own).is_allowed(), at_home || site_auditor, "{home} {names:?}");
        for kind in CHANGE_KINDS {
            let expected = at_home && !names.is_empty();
            assert_eq!(evaluator.may_propose(&actor, kind, own).is_allowed(), expected, "{home} {names:?} {kind}");
            assert_eq!(evaluator.may_approve(&actor, kind, own).is_allowed(), expected, "{home} {names:?} {kind}");
        }
    }
}

#[test]
fn an_unknown_kind_is_refused() {
    let (evaluator, alice, member) = (default_evaluator(), person("alice"), groups(&["Security_Ops"]));
    let actor = Actor { person: &alice, home: Realm::Site, groups: &member };
    for kind in ["LinkL9", "", "linkl1", "LinkL1\"", "propose"] {
        assert!(matches!(evaluator.may_propose(&actor, kind, Realm::Site), Decision::Error { .. }), "{kind}");
        assert!(matches!(evaluator.may_approve(&actor, kind, Realm::Site), Decision::Error { .. }), "{kind}");
    }
}

#[test]
fn groups_of_the_bundle_may_contain_groups() {
    let policies = "@id(\"security-links\") permit (principal is Person in Group::\"Security\", action == Action::\"propose:LinkL1\", resource);";
    let entities = r#"[{"uid": {"type": "Group", "id": "Security_Ops"}, "attrs": {}, "parents": [{"type": "Group", "id": "Security"}]}]"#;
    let evaluator = Evaluator::new(Bundle::parse_strict(SCHEMA, policies, entities).expect("valid"));
    let (alice, member, others) = (person("alice"), groups(&["Security_Ops"]), groups(&["Audit"]));
    let realm = Realm::Tenant(tenant(1));
    let ask = |groups| evaluator.may_propose(&Actor { person: &alice, home: realm, groups }, "LinkL1", realm);
    assert!(ask(&member).is_allowed());
    assert!(!ask(&others).is_allowed());
}

/// Strict validation can't see that an entity is missing, nor that a sum overflows; Cedar would skip the `forbid` and allow.
#[test]
fn an_erring_forbid_refuses() {
    let schema = SCHEMA.replace("entity System in [SystemSet];", "entity System in [SystemSet] { closed: Bool };");
    let policies = format!(
        "{REGION}\n@id(\"closed\") forbid (principal is Client, action, resource) when {{ principal.system.closed }};"
    );
    let entities = r#"[{"uid": {"type": "System", "id": "orders"}, "attrs": {"closed": false}, "parents": []},
                       {"uid": {"type": "System", "id": "archive"}, "attrs": {"closed": true}, "parents": []}]"#;
    let evaluator =
        Evaluator::new(Bundle::parse_strict(&schema, &policies, entities).unwrap_or_else(|error| panic!("{error}")));
    let ask = |name: &str| {
        let own = system(name);
        evaluator.may_operate(&question(tenant(1), &own, Operation::Encrypt, &own), &NOW)
    };
    assert!(ask("orders").is_allowed());
    assert_eq!(ask("archive"), Decision::Deny { policies: vec!["closed".into()] });
    let Decision::Error { reasons } = ask("unstated") else { panic!("an error is a refusal") };
    assert!(reasons[0].contains("closed"), "{reasons:?}");
}

#[test]
fn an_erring_permit_refuses_though_another_permits() {
    let policies = format!(
        "{REGION}\n@id(\"sum\") permit (principal is Client, action == Action::\"get\", resource) when {{ 9223372036854775807 + 1 > 0 }};"
    );
    let (evaluator, own) = (evaluator(&policies), system("orders"));
    assert!(matches!(
        evaluator.may_operate(&question(tenant(1), &own, Operation::Get, &own), &NOW),
        Decision::Error { .. }
    ));
    assert!(evaluator.may_operate(&question(tenant(1), &own, Operation::Encrypt, &own), &NOW).is_allowed());
}

#[test]
fn a_bundle_without_policies_denies_all() {
    let (evaluator, own) = (evaluator(""), system("orders"));
    for &operation in Operation::ALL {
        assert_eq!(
            evaluator.may_operate(&question(tenant(1), &own, operation, &own), &NOW),
            Decision::Deny { policies: vec![] }
        );
    }
}

#[test]
fn a_decision_speaks() {
    let text = |decision: Decision| decision.to_string();
    assert_eq!(text(Decision::Allow { policies: vec!["a".into()] }), "allowed by a");
    assert_eq!(text(Decision::Deny { policies: vec![] }), "denied: no policy permits it");
    assert_eq!(text(Decision::Deny { policies: vec!["a".into(), "b".into()] }), "denied by a, b");
    assert!(text(Decision::Error { reasons: vec!["x".into()] }).starts_with("denied, since"));
}
