//! `kcm audit verify`: a chain is computed anew, and held against what was written down elsewhere: heads and checkpoints.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

use clap::Args;
use ledger::{Anchor, Checkpoint, TreeHead};
use orbital::{
    names::Digest,
    note::{Note, Scheme, Verifier},
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{
        Global,
        context::Context,
        exit::{Failure, Report},
        files,
        http::Portal,
        key::cell,
        plain,
    },
    source::{self, Kind},
};

/// `kcm audit verify`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Example: kcm audit verify ledger.jsonl --checkpoint 2026-11.note --log acme/ledger+fb2fc739+AQYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYG"
)]
pub struct Verify {
    /// A ledger, an exported ledger, or files of a region's log, oldest first: that none between them is missing is
    /// checked as well [default: governance's ledger, by governance]
    #[arg(value_name = "FILE")]
    file: Vec<PathBuf>,
    /// A head that was written down earlier: the ledger must pass through it
    #[arg(long, value_name = "SEQUENCE:HASH", value_parser = anchor, requires = "file")]
    anchor: Vec<Anchor>,
    /// A checkpoint that was kept: the ledger must go on from it
    #[arg(long, value_name = "NOTE", requires = "log")]
    checkpoint: Vec<PathBuf>,
    /// The key under checkpoints, as the operators published it
    #[arg(long, value_name = "KEY", value_parser = log_key)]
    log: Option<Verifier>,
    /// The key of a witness that must have cosigned each checkpoint
    #[arg(long, value_name = "KEY", value_parser = witness_key, requires = "checkpoint")]
    witness: Vec<Verifier>,
}

pub(crate) fn anchor(text: &str) -> Result<Anchor, String> {
    let bad = || format!("`{text}` is no head: write SEQUENCE:HASH, as `kcm audit verify` printed it");
    let (sequence, hash) = text.split_once(':').ok_or_else(bad)?;
    let hash: Digest = hash.parse().map_err(|_| bad())?;
    Ok(ledger::Head { sequence: sequence.parse().map_err(|_| bad())?, hash: hash.0 }.into())
}

pub(crate) fn log_key(text: &str) -> Result<Verifier, String> {
    key_of(text, Scheme::Log, "a ledger")
}

pub(super) fn witness_key(text: &str) -> Result<Verifier, String> {
    key_of(text, Scheme::Witness, "a witness")
}

fn key_of(text: &str, scheme: Scheme, whose: &str) -> Result<Verifier, String> {
    let key: Verifier = text.parse().map_err(|e: orbital::note::BadNote| e.to_string())?;
    if key.scheme() == scheme { Ok(key) } else { Err(format!("`{text}` is not the key of {whose}")) }
}

/// A checkpoint whose signatures hold, and what there is to say about it.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) head: TreeHead,
    pub(super) said: String,
}

/// Reads a checkpoint and checks its signatures.
pub(crate) fn kept(bytes: &[u8], place: &str, log: &Verifier, witnesses: &[Verifier]) -> Result<Kept, Failure> {
    let not = |why: &dyn std::fmt::Display| {
        let failure = Failure::denied("the checkpoint proves nothing").at(place).because(why);
        failure.fix("is --log the key that the operators published, and the file as it was kept?")
    };
    let note = Note::parse(bytes).map_err(|e| not(&e))?;
    note.check(log).map_err(|e| not(&e))?;
    let checkpoint = Checkpoint::parse(note.text()).map_err(|e| not(&e))?;
    if checkpoint.origin != log.name() {
        return Err(not(&format!("it is of the ledger `{}`, the key of `{}`", checkpoint.origin, log.name())));
    }
    let mut said = format!("checkpoint of {} entries, signed by {}", checkpoint.head.size, log.name());
    for witness in witnesses {
        let at = note.check(witness).map_err(|e| not(&e))?;
        said.push_str(&format!(", cosigned by {} at {}", witness.name(), plain::time(at.unwrap_or_default())));
    }
    Ok(Kept { head: checkpoint.head, said })
}

pub(super) async fn perform(global: &Global, asked: Verify) -> Result<Report, Failure> {
    let mut all = Vec::new();
    if let Some(log) = &asked.log {
        for path in &asked.checkpoint {
            let bytes = files::read("checkpoint", path)?;
            all.push(kept(&bytes, &path.display().to_string(), log, &asked.witness)?);
        }
    }
    match asked.file.as_slice() {
        [] => live(global, asked.log.as_ref(), &all).await,
        files => offline(files, &asked.anchor, &all),
    }
}

async fn live(global: &Global, log: Option<&Verifier>, kept: &[Kept]) -> Result<Report, Failure> {
    let portal = Portal::of(&Context::need(global)?)?;
    let mut body: Value = portal.get("/v1/audit/verify").await?;
    let of = |name: &str| body.get(name).map(cell).unwrap_or_default();
    if body.get("sound") != Some(&Value::Bool(true)) {
        return Err(broken("governance's ledger", &of("why")));
    }
    let (entries, head) = (of("entries"), of("head"));
    let mut text = format!(
        "Sound: {entries} entries, says governance.\nHead: {entries}:{head} (write it down; --anchor checks against it)"
    );
    if let Some(log) = log {
        let (_, newest) = newest(&portal, log).await?;
        text.push_str(&format!("\nVerified here: {}.", newest.said));
        for kept in kept {
            goes_on(&portal, kept.head, newest.head).await?;
            text.push_str(&format!("\nVerified here: it goes on from the {}.", kept.said));
        }
        if let Some(members) = body.as_object_mut() {
            members.insert("checkpoint".into(), newest.head.size.into());
            members.insert("consistent_with".into(), kept.iter().map(|kept| kept.head.size).collect());
        }
    }
    Ok(Report::new(body, text))
}

/// Governance's newest checkpoint: the note as it came, and what it says.
pub(crate) async fn newest(portal: &Portal, log: &Verifier) -> Result<(String, Kept), Failure> {
    #[derive(Deserialize)]
    struct Shown {
        note: String,
    }
    let shown: Shown = portal.get("/v1/audit/checkpoint").await?;
    let kept = kept(shown.note.as_bytes(), "GET /v1/audit/checkpoint", log, &[])?;
    Ok((shown.note, kept))
}

/// Asks governance for the proof that its ledger goes on from `old`, and checks it.
async fn goes_on(portal: &Portal, old: TreeHead, new: TreeHead) -> Result<(), Failure> {
    let proof = if old.size < new.size { consistency(portal, old.size, new.size).await? } else { Vec::new() };
    ledger::verify_consistency(&old, &new, &proof).map_err(|e| broken("governance's ledger", &e.to_string()))
}

pub(crate) async fn consistency(portal: &Portal, old: u64, new: u64) -> Result<Vec<ledger::Hash>, Failure> {
    #[derive(Deserialize)]
    struct Shown {
        proof: Vec<Digest>,
    }
    let shown: Shown = portal.get(&format!("/v1/audit/consistency?old={old}&new={new}")).await?;
    Ok(shown.proof.into_iter().map(|digest| digest.0).collect())
}

/// Governance's proof that an entry stands in the ledger of a checkpoint. It proves nothing before it is checked.
pub(super) async fn inclusion(portal: &Portal, sequence: u64, size: u64) -> Result<Vec<ledger::Hash>, Failure> {
    #[derive(Deserialize)]
    struct Shown {
        proof: Vec<Digest>,
    }
    let shown: Shown = portal.get(&format!("/v1/audit/inclusion?sequence={sequence}&size={size}")).await?;
    Ok(shown.proof.into_iter().map(|digest| digest.0).collect())
}

fn offline(paths: &[PathBuf], anchors: &[Anchor], kept: &[Kept]) -> Result<Report, Failure> {
    let mut kinds = Vec::new();
    for path in paths {
        kinds.push((path, source::kind(path)?));
    }
    let anchors: Vec<Anchor> = anchors.iter().copied().chain(kept.iter().map(|kept| kept.head.into())).collect();
    let (path, checked) = match kinds.as_slice() {
        [(path, Kind::Ledger)] => (path, ledger::verify_file(path, &anchors)),
        [(path, Kind::Export)] => {
            let file = File::open(path).map_err(|e| unreadable(path, e))?;
            (path, ledger::verify_export(BufReader::new(file), &anchors))
        }
        several => {
            if let Some((other, _)) = several.iter().find(|(_, kind)| *kind != Kind::RegionLog) {
                return Err(Failure::usage("only files of one region's log are checked together")
                    .at(other.display())
                    .fix("check a ledger or an export by itself"));
            }
            if !anchors.is_empty() {
                return Err(Failure::usage("--anchor and --checkpoint are for ledgers")
                    .fix("compare the head that is printed yourself"));
            }
            return region_log(paths);
        }
    };
    let place = path.display().to_string();
    let summary = checked.map_err(|e| unsound(&place, &e))?;
    Ok(found(&summary, kept, anchors.len().saturating_sub(kept.len())))
}

/// What was checked, sentence by sentence: an auditor signs for that and no more.
fn found(summary: &ledger::Summary, kept: &[Kept], heads: usize) -> Report {
    let head = format!("{}:{}", summary.last.sequence, Digest(summary.last.hash));
    let mut text = format!("Sound: {} entries from {}.\nHead: {head}", summary.entries, summary.first);
    text.push_str("\nChecked: the content of each entry gives its hash, each names the one before, none is missing up to the head.");
    if heads > 0 {
        text.push_str(&format!("\nChecked: it passes through {heads} head(s) that were written down."));
    }
    for kept in kept {
        text.push_str(&format!("\nChecked: it goes on from the {}.", kept.said));
    }
    if heads == 0 && kept.is_empty() {
        text.push_str("\nNot checked: whether it is the ledger that was shown before. Give --checkpoint or --anchor.");
    }
    let root = summary.tree.map(|tree| Digest(tree.root));
    if let Some(root) = root {
        text.push_str(&format!("\nRoot of its tree: {root}"));
    }
    let sizes: Vec<u64> = kept.iter().map(|kept| kept.head.size).collect();
    let json = json!({
        "sound": true, "first": summary.first, "entries": summary.entries, "head": head, "root": root, "heads": heads,
        "checkpoints": sizes,
    });
    Report::new(json, text)
}

pub(super) fn unreadable(path: &Path, why: std::io::Error) -> Failure {
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

pub(super) fn unsound(place: &str, why: &ledger::Broken) -> Failure {
    match why {
        ledger::Broken::InUse { .. } => Failure::usage("the ledger is open in a running node")
            .at(place)
            .because(why)
            .fix("ask the node itself (leave FILE out), or take a copy that was made while it was stopped"),
        other => broken(place, &other.to_string()),
    }
}

pub(super) fn broken(place: &str, why: &str) -> Failure {
    Failure::denied("the audit chain is broken")
        .at(place)
        .because(why)
        .fix("keep the file as evidence, and compare it with a backup and with the heads that were written down")
}

#[cfg(test)]
mod tests {
    use ledger::{Batch, Ledger, NewEntry};
    use orbital::{note::Signer, sign::SecretKey};

    use super::*;
    use crate::cli::exit::Exit;

    fn grow(ledger: &ledger::RedbLedger, bodies: &[&str]) -> TreeHead {
        for body in bodies {
            let (kind, subject, correlation) = ("k".to_owned(), String::new(), String::new());
            let body = serde_json::to_vec(body).unwrap();
            ledger.append(Batch::of(NewEntry { at_ms: 7, kind, subject, correlation, body })).unwrap();
        }
        ledger.verify().unwrap().tree.unwrap()
    }

    fn exported(ledger: &ledger::RedbLedger, path: &Path) {
        let mut bytes = Vec::new();
        ledger::export(ledger, 1, None, &mut bytes).unwrap();
        std::fs::write(path, &bytes).unwrap();
    }

    #[test]
    fn an_edited_export_is_found_and_an_anchor_holds() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l.redb");
        let ledger = ledger::RedbLedger::open(&path).unwrap();
        grow(&ledger, &["one"]);
        let export = folder.path().join("l.jsonl");
        exported(&ledger, &export);
        drop(ledger);
        let report = offline(std::slice::from_ref(&path), &[], &[]).unwrap();
        assert!(report.text.contains("Not checked"), "{}", report.text);
        let head = anchor(report.json["head"].as_str().unwrap()).unwrap();
        assert_eq!(offline(std::slice::from_ref(&export), &[head], &[]).unwrap().json["entries"], 1);
        let edited = std::fs::read_to_string(&export).unwrap().replace("\"7\"", "\"8\"");
        std::fs::write(&export, edited).unwrap();
        let failure = offline(std::slice::from_ref(&export), &[], &[]).unwrap_err();
        assert_eq!(failure.exit, Exit::Denied);
        assert_eq!(offline(&[path, export], &[], &[]).unwrap_err().exit, Exit::Usage);
    }

    fn signer(scheme: Scheme, seed: u8) -> Signer {
        Signer::new("test/ledger", scheme, SecretKey::from_seed(&[seed; 32])).unwrap()
    }

    fn note(head: TreeHead) -> Note {
        let text = Checkpoint { origin: "test/ledger".into(), head }.text();
        Note::signed(text, &signer(Scheme::Log, 6), 0)
    }

    /// A ledger computed anew from the second entry on is a sound chain, and no beginning of it is the one of the checkpoint.
    #[test]
    fn a_rewritten_and_a_cut_off_export_are_found_by_a_checkpoint_that_was_kept() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let made = |name: &str, bodies: &[&str]| {
            let ledger = ledger::RedbLedger::open(file(&format!("{name}.redb"))).unwrap();
            let early = grow(&ledger, bodies.get(..2).unwrap());
            let late = grow(&ledger, bodies.get(2..).unwrap());
            exported(&ledger, &file(name));
            (early, late)
        };
        let (early, late) = made("sound", &["a", "b", "c"]);
        made("rewritten", &["a", "x", "c"]);
        made("cut", &["a", "b"]);
        let log = signer(Scheme::Log, 6).verifier().clone();
        let of = |head| kept(note(head).to_string().as_bytes(), "here", &log, &[]).unwrap();
        let (early, late) = (of(early), of(late));
        let check = |name: &str, kept: &[Kept]| offline(&[file(name)], &[], kept);
        let report = check("sound", &[early.clone(), late.clone()]).unwrap();
        assert_eq!(report.json["checkpoints"], json!([2, 3]));
        assert!(
            report.text.contains("goes on from the checkpoint of 2 entries, signed by test/ledger"),
            "{}",
            report.text
        );
        check("rewritten", &[]).unwrap();
        let why = |name: &str, kept: Kept| check(name, &[kept]).unwrap_err().why;
        assert!(why("rewritten", early).contains("first 2 entries"));
        assert!(why("cut", late).contains("does not reach entry 3"));
    }

    #[test]
    fn a_checkpoint_of_another_key_another_ledger_or_without_its_witness_is_refused() {
        let head = TreeHead { size: 3, root: [7; 32] };
        let (log, witness) = (signer(Scheme::Log, 6), signer(Scheme::Witness, 9));
        let mut cosigned = note(head);
        let plain = cosigned.to_string();
        cosigned.add(witness.sign(cosigned.text(), 1_700_000_000));
        let check = |bytes: &str, log: &Signer, witnesses: &[Verifier]| {
            kept(bytes.as_bytes(), "here", log.verifier(), witnesses)
                .map(|kept| kept.said)
                .map_err(|failure| failure.why)
        };
        let witnesses = [witness.verifier().clone()];
        let said = check(&cosigned.to_string(), &log, &witnesses).unwrap();
        assert!(said.ends_with("cosigned by test/ledger at 2023-11-14T22:13:20Z"), "{said}");
        assert!(check(&plain, &log, &witnesses).unwrap_err().contains("no signature of"));
        assert!(check(&plain, &signer(Scheme::Log, 7), &[]).unwrap_err().contains("no signature of"));
        let other = Checkpoint { origin: "other/ledger".into(), head }.text();
        let other = Note::signed(other, &log, 0).to_string();
        assert!(check(&other, &log, &[]).unwrap_err().contains("of the ledger `other/ledger`"));
        assert!(log_key(&witnesses[0].to_string()).is_err() && witness_key(&log.verifier().to_string()).is_err());
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
        let report = offline(&[first.clone(), second], &[], &[]).unwrap();
        assert_eq!((&report.json["after"], &report.json["seals"]), (&json!(4), &json!(4)));
        let failure = offline(&[first, other], &[], &[]).unwrap_err();
        assert_eq!(failure.exit, Exit::Denied);
        assert!(failure.to_string().contains("missing") && failure.to_string().contains("/c"), "{failure}");
    }
}
