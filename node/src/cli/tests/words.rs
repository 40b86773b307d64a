//! Help and errors, word for word. `KCM_GOLDEN=write` writes the files anew.

use clap::{CommandFactory, Parser};

use super::super::{Cli, exit::Exit, perform};
use super::house;

fn golden(name: &str, found: &str) {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cli/golden").join(name);
    if std::env::var("KCM_GOLDEN").is_ok_and(|mode| mode == "write") {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(found, expected, "differs from {}; is the change meant?", path.display());
}

/// Every command without subcommands, with the words that lead to it.
fn leaves(command: &clap::Command, path: &str, found: &mut Vec<(String, clap::Command)>) {
    let subcommands: Vec<_> = command.get_subcommands().filter(|c| c.get_name() != "help").collect();
    if subcommands.is_empty() {
        found.push((path.to_owned(), command.clone()));
    }
    for sub in subcommands {
        leaves(sub, &format!("{path} {}", sub.get_name()), found);
    }
}

#[test]
fn the_first_screen_is_golden_and_clap_finds_no_fault() {
    Cli::command().debug_assert();
    let help = Cli::command().term_width(100).render_help().to_string();
    golden("help.txt", &help);
    assert!(help.lines().all(|line| line.chars().count() <= 100), "{help}");
}

#[test]
fn what_run_takes_is_golden() {
    let mut command = Cli::command();
    command.build();
    let run = command.find_subcommand_mut("run").unwrap().clone();
    golden("run.txt", &run.term_width(100).render_help().to_string());
}

#[test]
fn the_first_screen_names_every_command_and_no_other() {
    // A line without a name goes on with the verbs of the one before.
    let whole = super::super::help::TEMPLATE.replace(&format!(",\n{}", " ".repeat(25)), ", ");
    let listed: Vec<(String, String)> = whole
        .lines()
        .skip_while(|line| !line.starts_with("Start"))
        .take_while(|line| !line.is_empty())
        .map(|line| {
            let (name, rest) = line.get(13..).unwrap().split_once(' ').unwrap();
            (name.to_owned(), rest.trim().to_owned())
        })
        .collect();
    let command = Cli::command();
    let real: Vec<_> = command.get_subcommands().filter(|c| c.get_name() != "help").collect();
    assert_eq!(listed.len(), real.len());
    for sub in real {
        let (_, said) = listed.iter().find(|(name, _)| name == sub.get_name()).unwrap();
        let verbs: Vec<_> = sub.get_subcommands().map(clap::Command::get_name).filter(|n| *n != "help").collect();
        if !verbs.is_empty() {
            assert_eq!(said.split(", ").collect::<Vec<_>>(), verbs, "{}", sub.get_name());
        }
    }
}

#[test]
fn every_command_has_an_example_that_parses() {
    let mut found = Vec::new();
    leaves(&Cli::command(), "kcm", &mut found);
    assert!(found.len() > 35, "{}", found.len());
    for (path, command) in found {
        let Some(after) = command.get_after_help() else {
            assert_eq!(path, "kcm status", "{path} has no example");
            continue;
        };
        for line in after.to_string().lines() {
            let example = line.trim().trim_start_matches("Example:").trim();
            let words = example.replace("\"drill is over\"", "drill");
            let parsed = Cli::try_parse_from(words.split_whitespace());
            assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
        }
    }
}

/// Ids and keys are base64url, and one in 64 begins with a hyphen.
#[test]
fn an_id_or_key_that_begins_with_a_hyphen_is_taken() {
    let id = format!("-{}", "A".repeat(42));
    let lines: [&[&str]; 5] = [
        &["kcm", "tenant", "show", &id, "-o", "json"],
        &["kcm", "tenant", "pin", "acme", &id],
        &["kcm", "revoke", "propose", "--tenant", &id, "--reason", "drill"],
        &["kcm", "key", "restore", "--tenant", &id, "--kill", &id],
        &["kcm", "actor", "add", "zoe", "--tenant", &id, "--group", "Audit", "--enrolment", "zoe.enrolment"],
    ];
    for words in lines {
        let parsed = Cli::try_parse_from(words);
        assert!(parsed.is_ok(), "{words:?}: {}", parsed.unwrap_err());
    }
    let json = Cli::try_parse_from(["kcm", "tenant", "show", &id, "-o", "json"]).unwrap();
    assert_eq!(json.global.output, super::super::Format::Json);
}

#[test]
fn errors_say_what_where_why_and_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(at("broken.json"), "{").unwrap();
    std::fs::write(at("empty.json"), "{}").unwrap();
    let (broken, empty, absent) = (at("broken.json"), at("empty.json"), at("absent"));
    let out = at("kill.json");
    let cases: &[&[&str]] = &[
        &["-c", &absent, "status"],
        &["-c", &broken, "status"],
        &["-c", &empty, "status"],
        &["-c", &empty, "tenant", "show", "acme"],
        &["-c", &empty, "tenant", "sign", &empty],
        &["-c", &empty, "revoke", "sign", "--out", &out],
        &["-c", &empty, "revoke", "deliver", &absent],
        &["-c", &empty, "audit", "verify", &absent],
        &["-c", &empty, "soft-l1", "disable", "--tenant", "acme"],
    ];
    let mut text = String::new();
    for case in cases {
        let cli = Cli::try_parse_from(std::iter::once(&"kcm").chain(case.iter())).unwrap();
        let failure = perform(cli, house::START).unwrap_err();
        assert_eq!(failure.exit, Exit::Usage, "{failure}");
        text.push_str(&format!("$ kcm {}\n{failure}\n\n", case.join(" ")));
    }
    golden("errors.txt", &text.replace(&folder.path().display().to_string(), "DIR"));
}

#[test]
fn keygen_makes_a_file_for_its_owner_alone_and_never_replaces_one() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("alice.key").display().to_string();
    let words = ["kcm", "actor", "keygen", "--person", "alice", "--out", &out];
    let made = perform(Cli::try_parse_from(words).unwrap(), house::START).unwrap();
    assert_eq!(std::fs::metadata(&out).unwrap().permissions().mode() & 0o777, 0o600);
    let text = std::fs::read_to_string(&out).unwrap();
    let secret = orbital::sign::SecretKey::from_text(&text).unwrap();
    assert_eq!(made.json["public"], secret.public().to_string());
    let again = perform(Cli::try_parse_from(words).unwrap(), house::START).unwrap_err();
    assert!(again.why.contains("exists already"), "{again}");
    assert_eq!(std::fs::read_to_string(&out).unwrap(), text);
}
