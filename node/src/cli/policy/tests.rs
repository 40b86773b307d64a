//! The commands as people run them, on folders of their own.

use std::{fs, path::Path};

use clap::Parser;

use crate::cli::{
    Cli,
    exit::{Exit, Failure, Report},
    perform,
    tests::house,
};

fn run(words: &[&str]) -> Result<Report, Failure> {
    perform(Cli::try_parse_from(["kcm", "policy"].iter().chain(words)).unwrap(), house::START)
}

/// The default policies in a folder.
fn folder() -> (tempfile::TempDir, String) {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("acme").display().to_string();
    run(&["new", &path]).unwrap();
    (home, path)
}

fn add(folder: &str, name: &str, text: &str) {
    fs::write(Path::new(folder).join(name), text).unwrap();
}

const NO_GET: &str = r#"// Reads of keys that are not in use.

@id("only-active-keys-leave")
forbid (principal is Client, action in Action::"hand_out", resource is KeyObject)
unless { context.state == State::"Active" };
"#;

#[test]
fn a_new_folder_is_the_default_bundle_and_passes_its_tests() {
    let (_home, path) = folder();
    let checked = run(&["check", &path]).unwrap();
    let digest = policy::Bundle::default_bundle().unwrap().digest();
    assert_eq!((checked.exit, &checked.json["digest"]), (Exit::Done, &serde_json::json!(digest)));
    let tested = run(&["test", &path]).unwrap();
    assert_eq!((tested.exit, tested.text.as_str()), (Exit::Done, "6 tests, all as expected"));
    assert_eq!(run(&["new", &path]).unwrap_err().exit, Exit::Usage, "nothing is written over");
}

#[test]
fn a_finding_names_file_line_and_column() {
    let (_home, path) = folder();
    add(&path, "zz.cedar", &NO_GET.replace("Active", "Activ"));
    let checked = run(&["check", &path]).unwrap();
    assert_eq!(checked.exit, Exit::Usage);
    assert!(checked.text.starts_with(&format!("{path}/zz.cedar:5:27: ")), "{}", checked.text);
    let refused = run(&["test", &path]).unwrap_err();
    assert!(refused.why.contains("zz.cedar:5:27"), "{refused}");
}

#[test]
fn a_checked_bundle_is_written_as_a_trust_root_names_it() {
    let (home, path) = folder();
    add(&path, "zz.cedar", NO_GET);
    let out = home.path().join("acme.bundle").display().to_string();
    let checked = run(&["check", &path, "--out", &out]).unwrap();
    let bundle = policy::Bundle::parse_canonical(&fs::read(&out).unwrap()).unwrap();
    assert_eq!(checked.json["digest"], serde_json::json!(bundle.digest()));
    assert!(checked.text.starts_with("7 policies"), "{}", checked.text);
}

#[test]
fn a_test_that_fails_says_what_decided() {
    let (_home, path) = folder();
    add(&path, "zz.cedar", NO_GET);
    let test = |state: &str, by: &str| {
        format!(
            "[[caller]]\nname = \"reads\"\nsystem = \"orders\"\noperation = \"get\"\nowner = \"orders\"\nstate = \"{state}\"\nexpect = \"allow\"\n{by}"
        )
    };
    add(&path, "tests.toml", &test("Active", "by = [\"own-objects\"]"));
    assert_eq!(run(&["test", &path]).unwrap().exit, Exit::Done);
    add(&path, "tests.toml", &test("Compromised", ""));
    let failed = run(&["test", &path]).unwrap();
    assert_eq!(failed.exit, Exit::NotHealthy);
    let found = "reads: May orders get an object of orders in the state Compromised?\n  expected  allow\n  found     denied by \
        only-active-keys-leave\n1 of 1 tests are not as expected";
    assert_eq!(failed.text, found);
    add(&path, "tests.toml", &test("Active", "by = [\"another\"]"));
    let failed = run(&["test", &path]).unwrap();
    assert!(failed.text.contains("allow by another"), "{}", failed.text);
}

#[test]
fn a_test_that_does_not_read_is_refused_with_its_line() {
    let (_home, path) = folder();
    for (line, why) in [
        ("operation = \"fetch\"", "no operation"),
        ("operation = \"get\"\nstate = \"Aktiv\"", "no state"),
        ("operation = \"get\"\nuses = [\"Wrap_Key\"]", "no use"),
        ("operation = \"get\"\nlease_left = \"5\"", "no duration"),
        ("operation = \"get\"\nowners = \"x\"", "unknown field"),
    ] {
        let head = "[[caller]]\nname = \"x\"\nsystem = \"orders\"\nexpect = \"deny\"\n";
        add(&path, "tests.toml", &format!("{head}{line}\n"));
        let refused = run(&["test", &path]).unwrap_err();
        assert!(refused.why.contains(why) && refused.why.contains("line"), "{refused}");
    }
    add(&path, "tests.toml", "");
    assert!(run(&["test", &path]).unwrap_err().why.contains("no test"), "nothing was tested");
    let both =
        "[[person]]\nname = \"x\"\nperson = \"a\"\npropose = \"LinkL1\"\napprove = \"LinkL1\"\nexpect = \"deny\"\n";
    add(&path, "tests.toml", both);
    assert!(run(&["test", &path]).unwrap_err().why.contains("both"));
}

#[test]
fn a_what_if_shows_the_policy_that_decides() {
    let (_home, path) = folder();
    add(&path, "zz.cedar", NO_GET);
    let get = |state: &str| {
        let words =
            ["what-if", &path, "--system", "orders", "--operation", "get", "--owner", "orders", "--state", state];
        run(&words).unwrap()
    };
    let (allowed, denied) = (get("Active"), get("Deactivated"));
    assert_eq!((allowed.exit, denied.exit), (Exit::Done, Exit::Denied));
    assert_eq!(allowed.json["policies"], serde_json::json!(["own-objects"]));
    assert!(denied.text.contains("denied by only-active-keys-leave"), "{}", denied.text);
    assert!(denied.text.contains("unless { context.state == State::\"Active\" }"), "{}", denied.text);
    let person = |words: &[&str]| {
        let words = [&["kcm", "--as", "alice", "policy", "what-if", &path], words].concat();
        perform(Cli::try_parse_from(words).unwrap(), house::START).unwrap().exit
    };
    assert_eq!(person(&["--group", "Audit", "--propose", "LinkL1"]), Exit::Done);
    assert_eq!(person(&["--group", "Audit", "--propose", "LinkL1", "--home", "other"]), Exit::Denied);
    assert_eq!(person(&["--home", "site", "--group", "Audit"]), Exit::Done);
    assert_eq!(run(&["what-if", &path]).unwrap_err().exit, Exit::Usage);
    let caller = |words: &[&str]| run(&[&["what-if", &path, "--system", "orders", "--operation"], words].concat());
    assert!(caller(&["get"]).unwrap_err().fix.contains("--owner"));
    assert!(caller(&["create", "--owner", "orders"]).unwrap_err().fix.contains("leave --owner out"));
}

#[test]
fn policies_are_proposed_with_their_tests_and_read_before_they_are_signed() {
    let house = house::House::furnished();
    let path = house.named("acme-policy");
    house.kcm(&["policy", "new", &path, "--tenant", "acme"]).unwrap();
    let set = ["--as", "erin", "policy", "set", &path, "--tenant", "acme", "--reason", "keys in use alone leave"];
    assert!(house.kcm(&set).unwrap_err().why.contains("in force already"));
    // A tenant hides itself from whoever is in no group, and not from those who run the site: this house is theirs.
    let hidden = r#"@id("hidden") forbid (principal is Person, action == Action::"read", resource) when { principal.groups.isEmpty() };"#;
    add(&path, "zz.cedar", &format!("{NO_GET}\n{hidden}"));
    let set_of = r#"[{"uid": {"type": "System", "id": "orders"}, "attrs": {}, "parents": [{"type": "SystemSet", "id": "may-export"}]}]"#;
    add(&path, "entities.json", set_of);
    let schema = policy::Bundle::default_bundle().unwrap().schema_text().to_owned();
    add(&path, "kcm.cedarschema", &format!("{schema}\nentity Vault;\n"));
    let sample = fs::read_to_string(house.path("acme-policy").join("tests.toml")).unwrap();
    let (sample, _) = sample.split_once("[[person]]\nname = \"the site").unwrap();
    add(&path, "tests.toml", &sample.replace("expect = \"deny\"", "expect = \"allow\""));
    let untested = house.kcm(&set).unwrap_err();
    assert!(untested.why.contains("not as expected"), "{untested}");
    add(&path, "tests.toml", sample);
    let proposed = house.kcm(&set).unwrap();
    assert_eq!((proposed.exit, &proposed.json["kind"]), (Exit::Waits, &serde_json::json!("ChangePolicy")));
    let id = proposed.json["id"].as_str().unwrap();
    let shown = house.kcm(&["proposal", "show", id]).unwrap().text;
    for word in ["POLICY", "@id(\"only-active-keys-leave\")", "may-export", "  + entity Vault;"] {
        assert!(shown.contains(word), "{shown}");
    }
    assert!(
        !shown.contains("  - ") && !shown.contains("  + entity System"),
        "what did not change is not shown: {shown}"
    );
    house.kcm(&["--as", "judy", "proposal", "approve", id, "--wait", "10ms"]).unwrap();
    // What is in force comes back as it was proposed.
    let again = house.named("again");
    house.kcm(&["policy", "new", &again, "--tenant", "acme"]).unwrap();
    let [before, after] = [&path, &again].map(|path| run(&["check", path]).unwrap().json["digest"].clone());
    assert_eq!(before, after);
    assert!(house.kcm(&set).unwrap_err().why.contains("in force already"));
}

/// A region sees no state where the question is about no object: such a test would prove nothing.
#[test]
fn a_test_that_gives_the_state_of_no_object_is_refused() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("p").display().to_string();
    run(&["new", &path]).unwrap();
    let test = |more: &str| {
        format!("[[caller]]\nname = \"t\"\nsystem = \"orders\"\noperation = \"get\"\nexpect = \"allow\"\n{more}\n")
    };
    add(&path, "tests.toml", &test("owner = \"orders\"\nstate = \"Active\""));
    run(&["test", &path]).unwrap();
    for more in ["state = \"Active\"", "uses = [\"Encrypt\"]"] {
        add(&path, "tests.toml", &test(more));
        assert!(run(&["test", &path]).unwrap_err().why.contains("add `owner`"), "{more}");
    }
}

#[test]
fn what_is_no_folder_of_policies_is_named() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().display().to_string();
    let refused = run(&["check", &path]).unwrap_err();
    assert!(refused.why.contains(".cedarschema") && refused.place == path, "{refused}");
    assert_eq!(run(&["check", &format!("{path}/absent")]).unwrap_err().exit, Exit::Usage);
    for name in ["a.cedarschema", "b.cedarschema"] {
        add(&path, name, "");
    }
    assert!(run(&["check", &path]).unwrap_err().why.contains("several"));
}

const NOBODY_GETS: &str = r#"// Keys stay where they are.

@id("keys-stay")
forbid (principal is Client, action == Action::"get", resource is KeyObject);
"#;

#[test]
fn recorded_requests_are_asked_again_and_what_flips_is_counted() {
    let (home, before) = folder();
    let after = home.path().join("next").display().to_string();
    run(&["new", &after]).unwrap();
    add(&after, "zz.cedar", NOBODY_GETS);
    let digest = |byte| orbital::names::Digest([byte; 32]).to_string();
    let (ours, theirs) = (digest(1), digest(2));
    let line = |tenant: &str, system: &str, op: &str, key: &str, outcome: &str| {
        format!(
            r#"{{"t":1000,"tenant":"{tenant}","client":"c","system":"{system}","op":"{op}","key":"{key}","outcome":"{outcome}","epoch":1}}"#
        )
    };
    let got = line(&ours, "orders", "Get", "k-1", "Success");
    let records = [
        line(&ours, "orders", "Create", "k-1", "Success"),
        got.clone(),
        got.clone(),
        line(&ours, "orders", "Encrypt", "k-1", "Success"),
        // The log shows that it is another's: refused before and after.
        line(&ours, "billing", "Get", "k-1", "Permission Denied"),
        line(&ours, "orders", "Get", "", "Item Not Found"),
        line(&ours, "orders", "unknown", "", "Invalid Message"),
        line(&theirs, "orders", "Get", "k-1", "Success"),
    ];
    let log = home.path().join("audit.jsonl");
    fs::write(&log, records.join("\n") + "\n").unwrap();
    let log = log.display().to_string();
    let replay = |before: &str, after: &str| {
        run(&["replay", after, "--before", before, "--tenant", &ours, "--audit", &log]).unwrap()
    };
    let flips = replay(&before, &after);
    assert!(
        flips.text.contains("2 of 5 decisions would flip; 2 requests were refused before a policy was asked."),
        "{}",
        flips.text
    );
    assert!(flips.text.contains("allow -> deny") && flips.text.contains("keys-stay"), "{}", flips.text);
    assert_eq!(flips.json["flips"].as_array().unwrap().len(), 1);
    assert_eq!(flips.json["flips"][0]["requests"], 2);
    let same = replay(&before, &before);
    assert!(same.text.starts_with("0 of 5 decisions would flip"), "{}", same.text);
    // Where the policies of before refuse what was granted, others were in force.
    let back = replay(&after, &before);
    assert_eq!((&back.json["flipped"], &back.json["granted_though_refused_before"]), (&2.into(), &2.into()));
    fs::write(home.path().join("audit.jsonl"), "{}\n").unwrap();
    let broken = run(&["replay", &after, "--before", &before, "--tenant", &ours, "--audit", &log]).unwrap_err();
    assert_eq!(broken.exit, Exit::NotHealthy, "{broken}");
}
