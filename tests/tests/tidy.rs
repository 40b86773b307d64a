//! Tidy: what each file looks like (STYLE 13, 14, 17), and that the tables outside the code name what the code has.

#[cfg(test)]
mod tidy {
    use std::collections::BTreeSet;

    use tests::tree::{Source, sources};

    const PRODUCT_LINES_MAX: usize = 400;

    /// Files that are longer, each with its reason.
    const LONGER: [(&str, &str); 0] = [];

    /// What says that something is not done. Joined here, so that this file does not name them either.
    const UNDONE: [&str; 9] = [
        concat!("to", "do!"),
        concat!("unimple", "mented!("),
        concat!("FIX", "ME"),
        concat!("TO", "DO"),
        concat!("HA", "CK"),
        concat!("place", "holder"),
        concat!("for ", "now,"),
        concat!("lorem ", "ipsum"),
        concat!("not yet ", "implemented"),
    ];

    /// Places of one machine.
    const ABSOLUTE: [&str; 4] =
        [concat!("/ho", "me/"), concat!("/ro", "ot/"), concat!("/wo", "rk/"), concat!("/Use", "rs/")];

    /// File names that say nothing (DESIGN §9).
    const EMPTY_NAMES: [&str; 9] =
        ["util", "utils", "helper", "helpers", "common", "manager", "misc", "handler", "data"];

    fn rust() -> Vec<Source> {
        let mut sources = sources().unwrap();
        sources.retain(Source::is_rust);
        assert!(sources.len() > 12, "the tree was not found");
        sources
    }

    fn none(findings: &[String], what: &str) {
        assert!(findings.is_empty(), "{what}:\n{}", findings.join("\n"));
    }

    #[test]
    fn each_file_begins_with_its_story() {
        let bare = rust().into_iter().filter(|s| !s.text.starts_with("//! ")).map(|s| s.path).collect::<Vec<_>>();
        none(&bare, "a file begins with `//!` and what it is for");
    }

    #[test]
    fn no_file_has_too_many_lines() {
        let mut findings = Vec::new();
        let mut excused: BTreeSet<&str> = LONGER.iter().map(|(path, _)| *path).collect();
        for source in rust().iter().filter(|s| !s.is_test()) {
            let lines = source.product_lines().count();
            let excuse = excused.remove(source.path.as_str());
            if lines > PRODUCT_LINES_MAX && !excuse {
                findings.push(format!("{}: {lines} lines before its tests, at most {PRODUCT_LINES_MAX}", source.path));
            }
            if lines <= PRODUCT_LINES_MAX && excuse {
                findings.push(format!("{}: no longer too long; take it off the list", source.path));
            }
        }
        findings.extend(excused.iter().map(|path| format!("{path}: on the list and not there")));
        none(&findings, "split the file by responsibility, or list it in LONGER with the reason");
    }

    #[test]
    fn nothing_is_left_undone_and_no_machine_is_named() {
        let mut findings = Vec::new();
        for source in sources().unwrap() {
            for (at, line) in (1..).zip(source.text.lines()) {
                let banned = UNDONE.iter().chain(&ABSOLUTE).filter(|word| line.contains(**word));
                findings.extend(banned.map(|word| format!("{}:{at}: `{word}`", source.path)));
            }
        }
        none(&findings, "banned words");
    }

    #[test]
    fn each_file_has_a_name_that_says_something() {
        let name = |s: &Source| s.path.rsplit('/').next().and_then(|n| n.strip_suffix(".rs")).unwrap_or("").to_owned();
        let empty = rust().into_iter().filter(|s| EMPTY_NAMES.contains(&name(s).as_str())).map(|s| s.path);
        none(&empty.collect::<Vec<_>>(), "names that are not used (DESIGN §9)");
    }

    #[test]
    fn each_crate_takes_the_workspaces_lints() {
        let manifests = sources().unwrap().into_iter().filter(|s| s.path.ends_with("/Cargo.toml"));
        let free = manifests.filter(|s| !s.text.contains("[lints]\nworkspace = true")).map(|s| s.path);
        none(&free.collect::<Vec<_>>(), "`[lints] workspace = true` is missing");
    }

    #[test]
    fn each_mutant_stands_in_the_table_and_in_the_code() {
        let sources = sources().unwrap();
        let table = sources.iter().find(|s| s.path == ".ci/mutants").expect("the table of mutants");
        let rows = table.text.lines().filter_map(|line| line.split_once('|'));
        let listed: BTreeSet<&str> =
            rows.filter(|(name, _)| !name.contains([' ', '"', '$'])).map(|(name, _)| name).collect();
        let mark = concat!("cfg(mutant", " = \"");
        let lines = sources.iter().filter(|s| s.is_rust()).flat_map(|s| s.text.lines());
        let coded: BTreeSet<&str> =
            lines.filter_map(|line| line.split_once(mark)).filter_map(|(_, rest)| rest.split('"').next()).collect();
        assert_eq!(listed, coded, "mutants of the table (left) and of the code (right)");
    }
}
