//! `kcm audit`: governance's ledger, live or offline, and the regions' logs. An offline check needs nothing but the file.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use clap::Subcommand;
use orbital::names::Digest;
use serde_json::{Value, json};

use super::{
    Global,
    context::Context,
    exit::{Failure, Report},
    http::Portal,
    key::cell,
    plain,
    table::Table,
};

/// What a ledger's file begins with (redb's file format).
const LEDGER_MAGIC: &[u8] = b"redb";
/// What an exported ledger's first line holds.
const EXPORT_MARK: &str = "openkcm/ledger/";

#[derive(Clone, Debug, Subcommand)]
pub enum AuditCommand {
    /// List entries of governance's ledger
    #[command(after_help = "Example: kcm audit list --after 100 --limit 50")]
    List {
        /// Only entries after this sequence
        #[arg(long, value_name = "SEQUENCE", default_value_t = 0)]
        after: u64,
        /// At most so many
        #[arg(long, value_name = "COUNT", default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=500))]
        limit: u64,
    },
    /// Recompute a chain: governance's own, or that of a file
    #[command(after_help = "Example: kcm audit verify fra-1/audit.00000000000000004711.jsonl fra-1/audit.jsonl")]
    Verify {
        /// A ledger, an exported ledger, or files of a region's log, oldest first: that none between them is missing is
        /// checked as well [default: governance's ledger, by governance]
        #[arg(value_name = "FILE")]
        file: Vec<PathBuf>,
        /// A head that was written down earlier: the ledger must pass through it
        #[arg(long, value_name = "SEQUENCE:HASH", value_parser = anchor, requires = "file")]
        anchor: Vec<ledger::Anchor>,
    },
}

fn anchor(text: &str) -> Result<ledger::Anchor, String> {
    let bad = || format!("`{text}` is no head: write SEQUENCE:HASH, as `kcm audit verify` printed it");
    let (sequence, hash) = text.split_once(':').ok_or_else(bad)?;
    let hash: Digest = hash.parse().map_err(|_| bad())?;
    Ok(ledger::Head { sequence: sequence.parse().map_err(|_| bad())?, hash: hash.0 }.into())
}

pub(crate) async fn perform(global: &Global, command: AuditCommand) -> Result<Report, Failure> {
    match command {
        AuditCommand::List { after, limit } => list(global, after, limit).await,
        AuditCommand::Verify { file, anchor } => match file.as_slice() {
            [] => live(global).await,
            files => offline(files, &anchor),
        },
    }
}

async fn list(global: &Global, after: u64, limit: u64) -> Result<Report, Failure> {
    let portal = Portal::of(&Context::need(global)?)?;
    let body: Value = portal.get(&format!("/v1/audit/entries?after={after}&limit={limit}")).await?;
    let mut table = Table::new(&["sequence", "at", "kind", "tenant", "correlation"]);
    for item in body.get("items").and_then(Value::as_array).into_iter().flatten() {
        let of = |name: &str| item.get(name).map(cell).unwrap_or_default();
        let at = item.get("at_ms").and_then(Value::as_u64).map(plain::time_ms).unwrap_or_default();
        table.row([of("sequence"), at, of("kind"), of("subject"), of("correlation")]);
    }
    Ok(Report::new(body, table.render()))
}

async fn live(global: &Global) -> Result<Report, Failure> {
    let portal = Portal::of(&Context::need(global)?)?;
    let body: Value = portal.get("/v1/audit/verify").await?;
    let of = |name: &str| body.get(name).map(cell).unwrap_or_default();
    if body.get("sound") != Some(&Value::Bool(true)) {
        return Err(broken("governance's ledger", &of("why")));
    }
    let (entries, head) = (of("entries"), of("head"));
    let text = format!("Sound: {entries} entries.\nHead: {entries}:{head} (write it down; --anchor checks against it)");
    Ok(Report::new(body, text))
}

/// What a file is, from its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Ledger,
    Export,
    RegionLog,
}

fn kind(first: &[u8]) -> Kind {
    if first.starts_with(LEDGER_MAGIC) {
        Kind::Ledger
    } else if String::from_utf8_lossy(first).lines().next().is_some_and(|line| line.contains(EXPORT_MARK)) {
        Kind::Export
    } else {
        Kind::RegionLog
    }
}

fn offline(paths: &[PathBuf], anchors: &[ledger::Anchor]) -> Result<Report, Failure> {
    let mut kinds = Vec::new();
    for path in paths {
        let unreadable = |e| unreadable(path, e);
        let mut first = Vec::new();
        File::open(path).map_err(unreadable)?.take(1024).read_to_end(&mut first).map_err(unreadable)?;
        kinds.push((path, kind(&first)));
    }
    let (path, checked) = match kinds.as_slice() {
        [(path, Kind::Ledger)] => (path, ledger::verify_file(path, anchors)),
        [(path, Kind::Export)] => {
            let file = File::open(path).map_err(|e| unreadable(path, e))?;
            (path, ledger::verify_export(BufReader::new(file), anchors))
        }
        several => {
            if let Some((other, _)) = several.iter().find(|(_, kind)| *kind != Kind::RegionLog) {
                return Err(Failure::usage("only files of one region's log are checked together")
                    .at(other.display())
                    .fix("check a ledger or an export by itself"));
            }
            if !anchors.is_empty() {
                return Err(Failure::usage("--anchor is for ledgers").fix("compare the head that is printed yourself"));
            }
            return region_log(paths);
        }
    };
    let place = path.display().to_string();
    let summary = checked.map_err(|e| unsound(&place, &e))?;
    let head = format!("{}:{}", summary.last.sequence, Digest(summary.last.hash));
    let text = format!("Sound: {} entries from {}.\nHead: {head}", summary.entries, summary.first);
    let json = json!({ "sound": true, "first": summary.first, "entries": summary.entries, "head": head });
    Ok(Report::new(json, text))
}

fn unreadable(path: &Path, why: std::io::Error) -> Failure {
    Failure::usage("the file does not read").at(path.display()).because(why).fix("check the path and your rights")
}

fn region_log(paths: &[PathBuf]) -> Result<Report, Failure> {
    let checked = kmip_server::audit::verify_files(paths);
    let summary = checked.map_err(|(path, why)| broken(&path.display().to_string(), &why.to_string()))?;
    let mut text = format!("Sound: {} records under {} seals.\nHead: {}", summary.records, summary.seals, summary.head);
    if summary.unsealed > 0 {
        text.push_str(&format!("\n{} records after the last seal are not covered by it.", summary.unsealed));
    }
    if summary.after > 0 {
        text.push_str(&format!(
            "\nIt goes on after seal {}: name the files before it as well to check those.",
            summary.after
        ));
    }
    let json = json!({
        "sound": true, "records": summary.records, "after": summary.after, "seals": summary.seals, "head": summary.head,
        "unsealed": summary.unsealed,
    });
    Ok(Report::new(json, text))
}

fn unsound(place: &str, why: &ledger::Broken) -> Failure {
    match why {
        ledger::Broken::InUse { .. } => Failure::usage("the ledger is open in a running node").at(place).because(why).fix(
            "ask the node itself (`kcm audit verify` without FILE), or check a copy that was made while it was stopped",
        ),
        other => broken(place, &other.to_string()),
    }
}

fn broken(place: &str, why: &str) -> Failure {
    Failure::denied("the audit chain is broken")
        .at(place)
        .because(why)
        .fix("keep the file as evidence, and compare it with a backup and with the heads that were written down")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_first_bytes() {
        assert_eq!(kind(b"redb\x1a\x0a"), Kind::Ledger);
        assert_eq!(kind(b"{\"format\":\"openkcm/ledger/v1\"}\n"), Kind::Export);
        assert_eq!(kind(b"{\"t\":1}\n{\"x\":\"openkcm/ledger/v1\"}"), Kind::RegionLog);
    }

    #[test]
    fn an_edited_export_is_found_and_an_anchor_holds() {
        use ledger::{Batch, Ledger, NewEntry};
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l.redb");
        let ledger = ledger::RedbLedger::open(&path).unwrap();
        let (kind, subject, correlation) = ("k".to_owned(), String::new(), String::new());
        ledger.append(Batch::of(NewEntry { at_ms: 7, kind, subject, correlation, body: b"{}".to_vec() })).unwrap();
        let export = folder.path().join("l.jsonl");
        let mut bytes = Vec::new();
        ledger::export(&ledger, 1, None, &mut bytes).unwrap();
        std::fs::write(&export, &bytes).unwrap();
        drop(ledger);
        let report = offline(std::slice::from_ref(&path), &[]).unwrap();
        let head = anchor(report.json["head"].as_str().unwrap()).unwrap();
        assert_eq!(offline(std::slice::from_ref(&export), &[head]).unwrap().json["entries"], 1);
        let edited = String::from_utf8(bytes).unwrap().replace("\"7\"", "\"8\"");
        std::fs::write(&export, edited).unwrap();
        let failure = offline(std::slice::from_ref(&export), &[]).unwrap_err();
        assert_eq!(failure.exit, super::super::exit::Exit::Denied);
        assert_eq!(offline(&[path, export], &[]).unwrap_err().exit, super::super::exit::Exit::Usage);
    }

    #[test]
    fn files_of_a_region_log_are_checked_in_order_and_a_gap_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, after: u64| {
            let path = folder.path().join(name);
            let line = format!("{{\"after\":{after},\"chain\":\"{}\"}}\n", Digest([7; 32]));
            std::fs::write(&path, line).unwrap();
            path
        };
        let (first, second, other) = (file("a", 4), file("b", 4), file("c", 9));
        let report = offline(&[first.clone(), second], &[]).unwrap();
        assert_eq!((&report.json["after"], &report.json["seals"]), (&json!(4), &json!(4)));
        let failure = offline(&[first, other], &[]).unwrap_err();
        assert_eq!(failure.exit, super::super::exit::Exit::Denied);
        assert!(failure.to_string().contains("missing") && failure.to_string().contains("/c"), "{failure}");
    }
}
