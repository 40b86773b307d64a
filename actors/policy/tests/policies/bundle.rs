//! Only strictly validated bundles exist, their digest covers everything, and every finding says where.

use policy::{
    ACTIONS_MAX, BUNDLE_PART_BYTES_MAX, Bundle, CHANGE_KINDS, CHECKS_MAX, CLAUSE_OPERATORS_MAX, CLAUSES_MAX, Decision,
    ENTITIES_MAX, ENVIRONMENTS_MAX, Evaluator, FINDINGS_MAX, Finding, Operation, POLICIES_MAX, Part, Place,
    PolicyError,
};

use super::{NOW, REGION, SCHEMA, findings, question, system, tenant};

fn bundle(schema: &str, policies: &str, entities: &str) -> Bundle {
    Bundle::parse_strict(schema, policies, entities).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_default_bundle_is_valid() {
    let bundle = Bundle::default_bundle().expect("valid");
    assert!(bundle.policies_text().contains("own-objects"));
    assert_eq!(bundle.schema_text(), SCHEMA);
    assert_eq!(bundle.entities_text().trim(), "[]");
}

/// Whoever asks which policy decided is shown its text.
#[test]
fn policies_are_found_by_the_names_that_decisions_give() {
    let policy = |name: &str| format!("@id(\"{name}\")\npermit(principal, action == Action::\"get\", resource);\n");
    let bundle = bundle(SCHEMA, &[policy("second"), policy("first")].concat(), "[]");
    assert_eq!(bundle.policy_ids(), ["first", "second"]);
    let text = bundle.policy_text("first").unwrap();
    assert!(text.contains("@id(\"first\")") && text.contains("permit") && !text.contains("second"), "{text}");
    assert_eq!(bundle.policy_text("third"), None);
}

#[test]
fn all_findings_come_at_once_with_their_place() {
    let policies = "@id(\"a\")\npermit (principal is Client, action == Action::\"exprot\", resource);\n\
                    @id(\"b\")\npermit (principal is Client, action == Action::\"get\", resource) when { resource.ownr == principal.system };\n";
    let found = findings(SCHEMA, policies, "[]");
    let at_line =
        |line| found.iter().any(|f| f.part == Part::Policies && f.place.is_some_and(|place: Place| place.line == line));
    assert!(at_line(2) && at_line(4), "{found:#?}");
    assert!(
        found.iter().any(|f| f.message.contains("exprot")) && found.iter().any(|f| f.message.contains("ownr")),
        "{found:#?}"
    );
}

#[test]
fn a_state_or_use_that_kmip_does_not_know_is_a_finding() {
    for condition in ["context.state == State::\"Activ\"", "context.usage_mask.contains(Usage::\"Wrap_Key\")"] {
        let policy =
            format!("@id(\"x\") forbid (principal is Client, action, resource is KeyObject) when {{ {condition} }};");
        let found = findings(SCHEMA, &format!("{REGION}\n{policy}"), "[]");
        assert!(found.iter().any(|f| f.part == Part::Policies), "{found:?}");
    }
}

#[test]
fn strictness_refuses_what_would_err_or_never_apply() {
    let errs =
        "@id(\"a\") permit (principal, action == Action::\"get\", resource) when { principal.nickname == \"x\" };";
    assert!(!findings(SCHEMA, errs, "[]").is_empty());
    let mixed =
        "@id(\"a\") permit (principal, action == Action::\"get\", resource) when { principal.system == \"db\" };";
    assert!(!findings(SCHEMA, mixed, "[]").is_empty());
    let never = "@id(\"a\") forbid (principal is Person, action == Action::\"get\", resource);";
    assert!(!findings(SCHEMA, never, "[]").is_empty());
}

#[test]
fn findings_are_bounded() {
    let broken = "true } && ".repeat(5_000);
    let text = format!("@id(\"a\") permit (principal, action, resource) when {{ {broken} }};");
    let wrong = |n| format!("@id(\"p{n}\") permit (principal is Client, action == Action::\"exprot\", resource);\n");
    for text in [text, (0..2 * FINDINGS_MAX).map(wrong).collect()] {
        let found = findings(SCHEMA, &text, "[]");
        assert_eq!(found.len(), FINDINGS_MAX + 1);
        assert!(found[FINDINGS_MAX].message.contains("further"));
    }
}

#[test]
fn broken_texts_are_findings_of_their_part() {
    assert!(findings("entity ;", REGION, "[]").iter().all(|f| f.part == Part::Schema));
    assert!(findings(SCHEMA, "permit (", "[]").iter().all(|f| f.part == Part::Policies));
    assert!(findings(SCHEMA, REGION, "[").iter().all(|f| f.part == Part::Entities));
    let both = findings("entity ;", "permit (", "[]");
    assert!(both.iter().any(|f| f.part == Part::Schema) && both.iter().any(|f| f.part == Part::Policies));
}

#[test]
fn every_policy_has_its_own_name_and_no_slots() {
    assert!(findings(SCHEMA, "permit (principal, action, resource);", "[]")[0].message.contains("has no name"));
    let twice = "@id(\"a\") permit (principal, action, resource); @id(\"a\") forbid (principal, action, resource);";
    assert!(findings(SCHEMA, twice, "[]")[0].message.contains("two policies"));
    let slot = "@id(\"a\") permit (principal == ?principal, action, resource);";
    assert!(findings(SCHEMA, slot, "[]")[0].message.contains("slots"));
}

#[test]
fn limits_and_alphabet_hold_before_any_parser() {
    let long = " ".repeat(BUNDLE_PART_BYTES_MAX + 1);
    assert!(findings(SCHEMA, &long, "[]")[0].message.contains("at most"));
    for hidden in ['\u{202e}', '\u{200b}', '\u{0430}', '\r', '\0'] {
        let found = findings(SCHEMA, &format!("\n  // {hidden}"), "[]");
        assert!(found[0].message.contains(&format!("U+{:04X}", u32::from(hidden))), "{found:?}");
        assert_eq!(found[0].place, Some(Place { line: 2, column: 6 }));
    }
    let policy = |n: usize| format!("@id(\"p{n}\") permit (principal, action == Action::\"get\", resource);\n");
    let many: String = (0..=POLICIES_MAX).map(policy).collect();
    assert!(findings(SCHEMA, &many, "[]")[0].message.contains(&format!("at most {POLICIES_MAX}")));
}

/// Conditions with `n` links, each as deep as the language can make of them.
fn deep(n: usize) -> Vec<String> {
    let chains = ["true && ", "false || ", "1 == 1 && ", "if true then true else "]
        .map(|link| format!("{}true", link.repeat(n)));
    let sums = ["1 + ", "1 - ", "1 * "].map(|link| format!("{}1 < 9", link.repeat(n)));
    let members = [".system", "[\"system\"]"].map(|member| format!("principal{}", member.repeat(n)));
    let nested = [("(", ")"), ("[", "]"), ("{a: ", "}"), ("if ", " then true else true")]
        .map(|(open, close)| format!("{}true{}", open.repeat(n), close.repeat(n)));
    let broken = ["true ) && ", "true } && ", "} && () && "].map(|link| format!("{}true", link.repeat(n)));
    [&chains[..], &sums, &members, &nested, &broken].concat()
}

/// What the limits let through is parsed, validated, evaluated and dropped on the stack of an ordinary worker thread, 2 MiB.
#[test]
fn the_deepest_allowed_policy_fits_a_worker_stack() {
    // As many clauses as a policy may have beside its annotation and its scope.
    let text = |condition: &str| {
        let clauses = format!(" when {{ {condition} }}").repeat(CLAUSES_MAX - 2);
        format!("@id(\"a\") permit (principal is Client, action == Action::\"get\", resource){clauses};")
    };
    let run = move || {
        let own = system("orders");
        let conditions = (1..=CLAUSE_OPERATORS_MAX).step_by(6).flat_map(deep);
        let evaluators =
            conditions.filter_map(|it| Bundle::parse_strict(SCHEMA, &text(&it), "[]").ok()).map(Evaluator::new);
        let answers: Vec<_> =
            evaluators.map(|it| it.may_operate(&question(tenant(1), &own, Operation::Get, &own), &NOW)).collect();
        assert!(answers.len() > CLAUSE_OPERATORS_MAX, "{}", answers.len());
        let erred = answers.iter().find(|answer| matches!(answer, Decision::Error { .. }));
        assert_eq!(erred, None);
        for condition in deep(9_000) {
            assert!(!findings(SCHEMA, &text(&condition), "[]").is_empty());
        }
    };
    std::thread::Builder::new().stack_size(2 << 20).spawn(run).expect("a thread").join().expect("no overflow");
}

/// Two lines declare more than Cedar could check within an hour: they are counted, not checked.
#[test]
fn combinations_of_types_are_counted_before_they_are_checked() {
    let names = |prefix: char, count: usize| (0..count).map(|i| format!("{prefix}{i}")).collect::<Vec<_>>().join(", ");
    let product = |types: usize, actions: usize| {
        let (types, actions) = (names('Z', types), names('y', actions));
        format!(
            "{SCHEMA}\nentity {types};\naction {actions} appliesTo {{ principal: [{types}], resource: [{types}] }};"
        )
    };
    let found = findings(&product(3_000, 100), REGION, "[]");
    assert!(found[0].message.contains("combinations"), "{found:?}");
    bundle(&product(8, 4), REGION, "[]");
    let policy = |n: usize| format!("@id(\"p{n}\") permit (principal, action == Action::\"get\", resource);\n");
    let many = |count: usize| (0..count).map(policy).collect::<String>();
    bundle(SCHEMA, &many(POLICIES_MAX), "[]");
    let found = findings(&product(8, 4), &many(POLICIES_MAX), "[]");
    assert!(found[0].message.contains("checks, at most"), "{found:?}");
}

/// The number that a finding begins with, or has after `after`.
fn counted(found: &[Finding], after: &str) -> usize {
    let (_, rest) = found[0].message.split_once(after).unwrap();
    rest.split_whitespace().next().unwrap().parse().unwrap()
}

/// At each limit a bundle is valid, and one beyond it is not.
#[test]
fn a_limit_is_the_most_that_is_allowed() {
    let actions = |n: usize| {
        let names = (0..n).map(|i| format!("y{i}")).collect::<Vec<_>>().join(", ");
        format!("{SCHEMA}\naction {names};")
    };
    let ours = counted(&findings(&actions(ACTIONS_MAX), REGION, "[]"), "") - ACTIONS_MAX;
    bundle(&actions(ACTIONS_MAX - ours), REGION, "[]");
    assert!(findings(&actions(ACTIONS_MAX - ours + 1), REGION, "[]")[0].message.contains("actions, at most"));

    let pairs = |n: usize| {
        let types = (0..n).map(|i| format!("Z{i}")).collect::<Vec<_>>().join(", ");
        format!("{SCHEMA}\nentity {types};\naction y appliesTo {{ principal: [{types}], resource: [Z0] }};")
    };
    let ours = counted(&findings(&pairs(ENVIRONMENTS_MAX), REGION, "[]"), "apply to ") - ENVIRONMENTS_MAX;
    bundle(&pairs(ENVIRONMENTS_MAX - ours), REGION, "[]");
    let found = findings(&pairs(ENVIRONMENTS_MAX - ours + 1), REGION, "[]");
    assert!(found[0].message.contains("resource types, at most"), "{found:?}");

    let policy = |n: usize| format!("@id(\"p{n}\") permit (principal, action == Action::\"get\", resource);\n");
    let many: String = (0..POLICIES_MAX).map(policy).collect();
    let most = CHECKS_MAX / POLICIES_MAX;
    bundle(&pairs(most - ours), &many, "[]");
    assert!(findings(&pairs(most - ours + 1), &many, "[]")[0].message.contains("checks, at most"));

    let group = |i: usize| format!(r#"{{"uid":{{"type":"Group","id":"{i}"}},"attrs":{{}},"parents":[]}}"#);
    let entities = |n| format!("[{}]", (0..n).map(group).collect::<Vec<_>>().join(","));
    bundle(SCHEMA, REGION, &entities(ENTITIES_MAX));
}

#[test]
fn long_chains_of_types_actions_and_entities_are_refused() {
    let chain = |line: &dyn Fn(usize) -> String, n| (0..n).map(line).collect::<String>();
    for line in [
        &(|i: usize| format!("type t{i} = t{};\n", i + 1)) as &dyn Fn(usize) -> String,
        &|i: usize| format!("entity E{i} in [E{}];\n", i + 1),
        &|i: usize| format!("action a{i} in [a{}];\n", i + 1),
    ] {
        assert!(
            findings(&format!("{SCHEMA}\n{}", chain(line, 9_000)), REGION, "[]")[0].message.contains("declarations")
        );
    }
    let many = chain(&|i: usize| format!("a{i}, "), ACTIONS_MAX);
    let found = findings(&format!("{SCHEMA}\naction {many} z;"), REGION, "[]");
    assert!(found[0].message.contains("actions, at most"), "{found:?}");
    let group = |i: usize| {
        format!(
            r#"{{"uid":{{"type":"Group","id":"{i}"}},"attrs":{{}},"parents":[{{"type":"Group","id":"{}"}}]}}"#,
            i + 1
        )
    };
    let entities = |n| format!("[{}]", (0..n).map(group).collect::<Vec<_>>().join(","));
    bundle(SCHEMA, REGION, &entities(16));
    assert!(findings(SCHEMA, REGION, &entities(ENTITIES_MAX + 1))[0].message.contains("entities, at most"));
}

#[test]
fn entities_may_not_state_what_the_trust_root_says() {
    let forged = r#"[{"uid": {"type": "Person", "id": "mallory"}, "attrs": {"home": {"__entity": {"type": "Tenant", "id": "site"}},
        "groups": []}, "parents": [{"type": "Group", "id": "Audit"}]}]"#;
    let found = findings(SCHEMA, REGION, forged);
    assert!(found[0].message.contains("mallory") && found[0].message.contains("may not be stated"), "{found:?}");
    let unknown = r#"[{"uid": {"type": "Planet", "id": "x"}, "attrs": {}, "parents": []}]"#;
    assert_eq!(findings(SCHEMA, REGION, unknown)[0].part, Part::Entities);
    let twice = r#"[{"uid": {"type": "Group", "id": "x", "id": "y"}, "attrs": {}, "parents": []}]"#;
    assert!(findings(SCHEMA, REGION, twice)[0].message.contains("key"));
}

#[test]
fn a_schema_may_add_words_but_not_drop_any() {
    let dropped = SCHEMA.replace("\"propose:RevokeL1\", ", "");
    let found = findings(&dropped, REGION, "[]");
    assert!(found.iter().any(|f| f.part == Part::Schema && f.message.contains("propose:RevokeL1")), "{found:?}");
    let demanding = SCHEMA
        .replace("  tenant: Tenant,\n  system: System,\n", "  tenant: Tenant,\n  system: System,\n  floor: Long,\n");
    assert!(findings(&demanding, REGION, "[]").iter().any(|f| f.message.contains("floor")));
    bundle(&format!("{SCHEMA}\nentity Building;"), REGION, "[]");
    for (word, dropped) in [
        ("Compromised", SCHEMA.replace("\"Compromised\", ", "")),
        ("Translate Unwrap", SCHEMA.replace(", \"Translate Unwrap\"", "")),
        ("lease_left_s", SCHEMA.replace("  lease_left_s: Long,\n", "")),
        ("region", SCHEMA.replace("  region: String,\n", "  region: Long,\n")),
    ] {
        let found = findings(&dropped, REGION, "[]");
        assert!(found.iter().any(|f| f.part == Part::Schema && f.message.contains(word)), "{word}: {found:?}");
    }
}

#[test]
fn the_schema_knows_every_kind_of_change_once() {
    for kind in CHANGE_KINDS {
        assert_eq!(SCHEMA.matches(&format!("\"propose:{kind}\"")).count(), 1, "{kind}");
        assert_eq!(SCHEMA.matches(&format!("\"approve:{kind}\"")).count(), 1, "{kind}");
    }
}

#[test]
fn the_digest_covers_each_part() {
    let own = bundle(SCHEMA, REGION, "[]").digest();
    assert_eq!(own, bundle(SCHEMA, REGION, "[]").digest());
    assert_ne!(own, bundle(&format!("{SCHEMA} "), REGION, "[]").digest());
    assert_ne!(own, bundle(SCHEMA, &format!("{REGION} "), "[]").digest());
    assert_ne!(own, bundle(SCHEMA, REGION, "[] ").digest());
}

/// The bytes and the digest as another program would make them: `printf 'openkcm/policy/v1\0' | cat - canonical.json | sha256sum`.
#[test]
fn the_default_bundles_canonical_bytes_are_plain_json_and_its_digest_is_pinned() {
    let bundle = Bundle::default_bundle().expect("valid");
    let value: serde_json::Value = serde_json::from_slice(bundle.canonical()).expect("JSON");
    let names: Vec<_> = value.as_object().expect("an object").keys().map(String::as_str).collect();
    assert_eq!(names, ["entities", "format", "language", "policies", "schema"]);
    assert_eq!(serde_json::to_vec(&value).expect("JSON"), bundle.canonical());
    assert_eq!(bundle.digest().to_string(), "5DCLDnNkwNR4WkU57-JRLwGb4ryB0vZdWwTh8BOO4_o");
}

#[test]
fn canonical_bytes_read_back_and_nothing_else_does() {
    let bundle = Bundle::default_bundle().expect("valid");
    let bytes = bundle.canonical();
    assert_eq!(Bundle::parse_canonical(bytes).expect("reads back").digest(), bundle.digest());

    let text = std::str::from_utf8(bytes).expect("UTF-8");
    let refused = |text: String| Bundle::parse_canonical(text.as_bytes()).expect_err("refused");
    assert_eq!(refused(format!(" {text}")), PolicyError::NotCanonical);
    assert!(matches!(refused(text.replacen('{', "{\"extra\":\"\",", 1)), PolicyError::Unreadable { .. }));
    assert!(matches!(refused(text.replacen('{', "{\"format\":\"1\",", 1)), PolicyError::Unreadable { .. }));
    assert!(matches!(refused(text.replacen("\"format\":\"1\",", "", 1)), PolicyError::Unreadable { .. }));
    assert!(matches!(
        refused(text.replacen("\"format\":\"1\"", "\"format\":\"2\"", 1)),
        PolicyError::OtherFormat { .. }
    ));
    let language = cedar_policy::get_lang_version().to_string();
    let other = text.replacen(&format!("\"language\":\"{language}\""), "\"language\":\"1.0.0\"", 1);
    assert!(matches!(refused(other), PolicyError::OtherLanguage { .. }));
    let invalid = text.replacen("principal.system == resource.owner", "principal.system == resource.ownr", 1);
    assert!(matches!(refused(invalid), PolicyError::Invalid { .. }));
    assert!(matches!(refused(String::new()), PolicyError::Unreadable { .. }));
}
