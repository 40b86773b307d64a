//! The samples: good ones become a model, each bad one gives the explanation kept beside it.
//!
//! `UPDATE_GOLDENS=1 cargo nextest run -p topology` writes the goldens anew; read the difference before you commit it.

#![cfg(test)]

use std::{
    collections::BTreeSet,
    env, fs,
    path::{Path, PathBuf},
};

use topology::{Checked, Code, Severity, check, to_toml};

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("samples")
}

fn read(name: &str) -> Checked {
    let text = fs::read_to_string(samples().join(name)).unwrap();
    check(Path::new(name), &text)
}

fn bad() -> Vec<String> {
    let names = fs::read_dir(samples()).unwrap().map(|f| f.unwrap().file_name().into_string().unwrap());
    let mut bad: Vec<String> = names.filter(|n| n.ends_with("_bad.toml")).collect();
    bad.sort();
    bad
}

#[test]
fn the_good_samples_are_in_order() {
    for name in ["demo.toml", "postgres.toml", "production.toml"] {
        let checked = read(name);
        assert_eq!(checked.findings, [], "{}", checked.explain(false));
        assert!(checked.explain(false).contains("is in order"));
        let model = checked.model().unwrap();
        let again = check(Path::new(name), &to_toml(model));
        assert_eq!(again.model(), Some(model), "{}", again.explain(false));
    }
}

#[test]
fn each_bad_sample_gives_its_explanation() {
    for name in bad() {
        let checked = read(&name);
        let explained = checked.explain(false);
        let golden = samples().join(name.replace(".toml", ".golden"));
        if env::var_os("UPDATE_GOLDENS").is_some() {
            fs::write(&golden, &explained).unwrap();
        }
        let kept = fs::read_to_string(&golden).unwrap_or_default();
        assert_eq!(explained, kept, "{name}: see the file's head for how to update the goldens");
    }
}

/// The name of a sample says which code it is about; it finds nothing else, except where it says so itself.
#[test]
fn every_code_has_a_sample() {
    let mut seen = BTreeSet::new();
    for name in bad() {
        let about = name.split('_').next().unwrap().to_uppercase();
        let found: BTreeSet<&str> = read(&name).findings.iter().map(|f| f.code.as_str()).collect();
        assert_eq!(found.iter().copied().collect::<Vec<_>>(), [about.as_str()], "{name}");
        seen.insert(about);
    }
    let all: BTreeSet<String> = Code::ALL.iter().map(|c| c.as_str().to_owned()).collect();
    assert_eq!(seen, all);
}

#[test]
fn no_explanation_shows_a_secret() {
    let checked = read("t0501_secret_bad.toml");
    let shown = format!("{}{}{:?}", checked.explain(true), checked.to_json(), checked.findings);
    for secret in ["1234", "AKIAIOSFODNN7EXAMPLE", "MC4CAQAw"] {
        assert!(!shown.replace("111122223333", "").contains(secret), "{secret}");
    }
    assert_eq!(checked.findings.len(), 3);
}

#[test]
fn only_errors_keep_a_file_from_being_used() {
    for name in bad() {
        let checked = read(&name);
        let errors = checked.findings.iter().any(|f| f.severity() == Severity::Error);
        assert_eq!(checked.has_errors(), errors, "{name}");
    }
}

/// Each line of a good file taken away, one by one: either the model is still whole, or an error says what is missing.
#[test]
fn a_file_without_one_of_its_lines_never_passes_silently() {
    for name in ["demo.toml", "postgres.toml", "production.toml"] {
        let text = fs::read_to_string(samples().join(name)).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for skip in 0..lines.len() {
            let rest: Vec<&str> = lines.iter().enumerate().filter(|(i, _)| *i != skip).map(|(_, l)| *l).collect();
            let checked = check(Path::new(name), &rest.join("\n"));
            let errors = checked.findings.iter().filter(|f| f.severity() == Severity::Error).count();
            assert_eq!(checked.model().is_none(), errors > 0, "without line {}: {}", skip + 1, lines[skip]);
            // Explaining must work for whatever was found.
            assert!(checked.explain(false).contains(name));
        }
    }
}
