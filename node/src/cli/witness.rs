//! `kcm witness`: somebody outside who watches the ledger grow, and signs that it only grew.
//!
//! A witness asks governance for its newest checkpoint and for the proof that it goes on from the one that the witness signed last, over the
//! same mutual TLS as every other caller; so it needs no door of its own. It keeps the largest checkpoint that it cosigned, durably and
//! before anybody can see the cosignature, and signs no other history ever after: a fork, or a ledger that became shorter, ends it, with
//! both notes written down as evidence. An auditor takes the cosigned note from its folder (`kcm audit verify --witness`).

mod judge;
mod memory;

use std::{path::PathBuf, time::Duration};

use clap::Args;
use orbital::note::{Note, Scheme, Signer, Verifier};
use serde_json::json;
use tokio::time::sleep;

use self::memory::Memory;
use super::{
    Global,
    audit::verify,
    compose,
    context::Context,
    duration,
    exit::{Exit, Failure, Report},
    http::Portal,
    plain,
    screen::Screen,
};
use crate::keyfiles;

/// `kcm witness`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Example: kcm witness --log acme/ledger+fb2fc739+AQYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYG --name audit.example/w1 --signing-key w1.key ./w1"
)]
pub struct WitnessArgs {
    /// The key under checkpoints, as the operators published it
    #[arg(long, value_name = "KEY", value_parser = verify::log_key)]
    log: Verifier,
    /// This witness's own name, such as audit.example/w1
    #[arg(long, value_name = "NAME")]
    name: String,
    /// Its key file, which signs nothing else; `kcm actor keygen` makes one
    #[arg(long, value_name = "FILE")]
    signing_key: PathBuf,
    /// How often it looks
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = duration::parse)]
    every: Duration,
    /// Look once, then exit
    #[arg(long)]
    once: bool,
    /// Where it keeps what it signed: lose it, and the witness begins anew
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(crate) async fn perform(global: &Global, asked: WitnessArgs) -> Result<Report, Failure> {
    let screen = Screen::of(global);
    let key = keyfiles::read_ed25519(&asked.signing_key).map_err(|e| {
        let failure = Failure::usage("the witness has no key").at(asked.signing_key.display()).because(e);
        failure.fix("make one with `kcm actor keygen`")
    })?;
    let signer = Signer::new(&asked.name, Scheme::Witness, key)
        .map_err(|e| Failure::usage("the witness has no name").because(e).fix("give a --name without spaces"))?;
    let portal = Portal::of(&Context::need(global)?)?;
    let mut memory = Memory::open(&asked.folder, &asked.log, signer.verifier())?;
    if memory.known().is_none() {
        screen.note("Nothing was cosigned here before: the first checkpoint is taken as it comes.");
    }
    screen.note(&format!("Witness key: {}", signer.verifier()));
    loop {
        match round(&portal, &asked.log, &signer, &mut memory).await {
            Ok(report) if asked.once => return Ok(report),
            Ok(report) => screen.line(&report.json, &report.text),
            // A governance that is away for a while is no history of its own.
            Err(failure) if !asked.once && matches!(failure.exit, Exit::NotHealthy | Exit::Unconfirmed) => {
                screen.failure(&failure);
            }
            Err(failure) => return Err(failure),
        }
        sleep(asked.every).await;
    }
}

/// Looks once: fetches, judges, keeps.
async fn round(portal: &Portal, log: &Verifier, signer: &Signer, memory: &mut Memory) -> Result<Report, Failure> {
    let (text, offered) = verify::newest(portal, log).await?;
    let proof = match memory.known() {
        Some(known) if known.size < offered.head.size => {
            verify::consistency(portal, known.size, offered.head.size).await?
        }
        Some(_) | None => Vec::new(),
    };
    cosign(&text, log, &proof, signer, compose::now(), memory)
}

/// Signs what goes on from the last one, after it is written down; writes everything else down as evidence.
fn cosign(
    text: &str,
    log: &Verifier,
    proof: &[ledger::Hash],
    signer: &Signer,
    now_s: u64,
    memory: &mut Memory,
) -> Result<Report, Failure> {
    let judged = Note::parse(text.as_bytes()).map_err(judge::Refused::from).and_then(|note| {
        let head = judge::judge(log, memory.known(), &note, proof)?;
        Ok((note, head))
    });
    let (mut note, head) = match judged {
        Ok(judged) => judged,
        Err(why) => {
            let evidence = memory.accuse(text, proof, &why.to_string())?;
            return Err(Failure::denied("the witness does not sign")
                .at(log.name())
                .because(why)
                .fix(format!("tell everybody who relies on this ledger; the evidence is in {}", evidence.display())));
        }
    };
    note.add(signer.sign(note.text(), now_s));
    memory.keep(&note, head)?;
    let (file, at) = (memory.file().display().to_string(), plain::time(now_s));
    let said = format!("Cosigned: {} entries of {} at {at}, in {file}", head.size, log.name());
    Ok(Report::new(
        json!({ "size": head.size, "origin": log.name(), "key": signer.verifier().to_string(), "at": at, "file": file, "note": note.to_string() }),
        said,
    ))
}

#[cfg(test)]
mod tests {
    use ledger::{Batch, Checkpoint, Ledger, MemoryLedger, NewEntry, Tree};
    use orbital::sign::SecretKey;

    use super::*;

    /// A log that would sign anything: a governance that lies.
    struct Liar(MemoryLedger);

    impl Liar {
        fn of(kinds: &[&str]) -> Self {
            let liar = Self(MemoryLedger::new());
            liar.grow(kinds);
            liar
        }
        fn grow(&self, kinds: &[&str]) {
            for kind in kinds {
                let (subject, correlation) = (String::new(), String::new());
                let new = NewEntry { at_ms: 1, kind: (*kind).into(), subject, correlation, body: b"{}".to_vec() };
                self.0.append(Batch::of(new)).unwrap();
            }
        }
        fn tree(&self) -> Tree {
            let mut tree = Tree::default();
            self.0.entries(1, usize::MAX).unwrap().iter().for_each(|entry| tree.push(&entry.hash));
            tree
        }
        /// Its newest checkpoint, and the proof from `old` entries as it would give it.
        fn shows(&self, old: u64) -> (String, Vec<ledger::Hash>) {
            let tree = self.tree();
            let head = tree.head_at(tree.size()).unwrap();
            let text = Checkpoint { origin: "test/ledger".into(), head }.text();
            let proof = tree.consistency(old, tree.size()).unwrap_or_default();
            (Note::signed(text, &log(), 0).to_string(), proof)
        }
    }

    fn log() -> Signer {
        Signer::new("test/ledger", Scheme::Log, SecretKey::from_seed(&[6; 32])).unwrap()
    }
    fn witness() -> Signer {
        Signer::new("audit.example/w1", Scheme::Witness, SecretKey::from_seed(&[9; 32])).unwrap()
    }
    fn open(folder: &std::path::Path) -> Memory {
        Memory::open(folder, log().verifier(), witness().verifier()).unwrap()
    }
    fn shown(liar: &Liar, memory: &mut Memory, now_s: u64) -> Result<Report, Failure> {
        let (text, proof) = liar.shows(memory.known().map_or(0, |known| known.size));
        cosign(&text, log().verifier(), &proof, &witness(), now_s, memory)
    }

    /// Two ledgers with one beginning: whichever is shown first is the only one that is ever signed, also after a restart.
    #[test]
    fn a_fork_is_refused_and_a_restart_keeps_that() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (Liar::of(&["a", "b", "c"]), Liar::of(&["a", "b", "c"]));
        let mut memory = open(folder.path());
        assert_eq!(shown(&one, &mut memory, 10).unwrap().json["size"], 3);
        one.grow(&["d", "e"]);
        other.grow(&["x", "e"]);
        // The same prefix: so far the two are one ledger, and a witness signs either.
        assert_eq!(shown(&one, &mut memory, 20).unwrap().json["size"], 5);
        for grown in [&[][..], &["f"]] {
            other.grow(grown);
            let refused = shown(&other, &mut memory, 30).unwrap_err();
            assert_eq!(refused.exit, Exit::Denied);
            assert!(refused.why.contains("two histories"), "{refused}");
            drop(memory);
            memory = open(folder.path());
            assert_eq!(memory.known().map(|known| known.size), Some(5));
            assert!(shown(&other, &mut memory, 40).unwrap_err().why.contains("two histories"));
        }
        let cosigned = std::fs::read(memory.file()).unwrap();
        assert_eq!(
            Note::parse(&cosigned).unwrap().check(witness().verifier()),
            Ok(Some(20)),
            "nothing was signed since"
        );
        one.grow(&["g"]);
        assert_eq!(shown(&one, &mut memory, 50).unwrap().json["size"], 6, "the true one goes on");
    }

    #[test]
    fn a_ledger_that_became_shorter_is_refused_and_one_that_rests_is_signed_anew() {
        let folder = tempfile::tempdir().unwrap();
        let mut memory = open(folder.path());
        let ledger = Liar::of(&["a", "b", "c"]);
        shown(&ledger, &mut memory, 10).unwrap();
        let again = shown(&ledger, &mut memory, 70).unwrap();
        let note = Note::parse(again.json["note"].as_str().unwrap().as_bytes()).unwrap();
        assert_eq!(note.check(witness().verifier()), Ok(Some(70)));
        let refused = shown(&Liar::of(&["a", "b"]), &mut memory, 80).unwrap_err();
        assert!(refused.why.contains("became shorter"), "{refused}");
        let evidence: serde_json::Value =
            serde_json::from_slice(&std::fs::read(refused.fix.rsplit(' ').next().unwrap()).unwrap()).unwrap();
        for (member, size) in [("known", 3), ("offered", 2)] {
            let note = Note::parse(evidence[member].as_str().unwrap().as_bytes()).unwrap();
            assert_eq!(note.check(log().verifier()), Ok(None), "both bear the ledger's own signature");
            assert_eq!(Checkpoint::parse(note.text()).unwrap().head.size, size);
        }
    }
}
