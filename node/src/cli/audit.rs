//! `kcm audit`: governance's ledger, live or offline, and the regions' logs. An offline check needs nothing but the file.

mod formats;
pub(crate) mod pack;
mod reconcile;
mod sift;
mod source;
pub(crate) mod verify;

use std::{
    io::{self, Write},
    path::PathBuf,
    time::Duration,
};

use clap::{Subcommand, ValueEnum};
use governance::signer;
use ledger::{Entry, Exporter, Head, TreeHead};
use orbital::{names::Digest, note::Verifier};
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use super::{
    Global,
    context::Context,
    exit::{Failure, Report},
    files::{self, NewFile},
    http::Portal,
    key::cell,
    plain,
    screen::Screen,
    table::Table,
};
use sift::Sieve;
use source::Source;

/// How often `tail` looks without having been told of anything.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

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
    /// Find entries by person, kind, tenant, time or text
    #[command(
        after_help = "Example: kcm audit search --actor carol --kind proposal --from 2026-11-01T00:00:00Z revoke"
    )]
    Search {
        /// Text that stands in the entry, also in what people signed
        #[arg(value_name = "TEXT")]
        text: Option<String>,
        #[command(flatten)]
        sieve: Sieve,
        /// Only entries after this sequence
        #[arg(long, value_name = "SEQUENCE", default_value_t = 0)]
        after: u64,
        /// At most so many
        #[arg(long, value_name = "COUNT", default_value_t = 100)]
        limit: usize,
        /// A ledger or an export, instead of governance
        #[arg(long, value_name = "FILE")]
        ledger: Option<PathBuf>,
    },
    /// Follow the ledger: each entry as it is written
    #[command(after_help = "Example: kcm audit tail --kind proposal")]
    Tail {
        #[command(flatten)]
        sieve: Sieve,
        /// Begin after this sequence [default: ten entries before the newest]
        #[arg(long, value_name = "SEQUENCE")]
        after: Option<u64>,
    },
    /// Write entries for an auditor or a log collector
    #[command(after_help = "Example: kcm audit export --format cef --after 4711")]
    Export {
        /// What a line is
        #[arg(long, value_name = "FORMAT", default_value = "jsonl")]
        format: Form,
        #[command(flatten)]
        sieve: Sieve,
        /// Only entries after this sequence
        #[arg(long, value_name = "SEQUENCE", default_value_t = 0)]
        after: u64,
        /// A ledger or an export, instead of governance
        #[arg(long, value_name = "FILE")]
        ledger: Option<PathBuf>,
        /// A new file for the lines, whole or not at all [default: standard output]
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Fetch governance's newest checkpoint: a small file to keep elsewhere
    #[command(
        after_help = "Example: kcm audit checkpoint --log acme/ledger+fb2fc739+AQYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYG --out 2026-11.note"
    )]
    Checkpoint {
        /// The key under checkpoints, as the operators published it
        #[arg(long, value_name = "KEY", value_parser = verify::log_key)]
        log: Option<Verifier>,
        /// A new file for it
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
    /// Prove that one entry stands in the ledger of a checkpoint
    #[command(
        after_help = "Example: kcm audit prove 4711 --checkpoint 2026-11.note --log acme/ledger+fb2fc739+AQYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYGBgYG"
    )]
    Prove {
        #[arg(value_name = "SEQUENCE")]
        sequence: u64,
        /// A checkpoint that was kept
        #[arg(long, value_name = "NOTE")]
        checkpoint: PathBuf,
        /// The key under it, as the operators published it
        #[arg(long, value_name = "KEY", value_parser = verify::log_key)]
        log: Verifier,
    },
    /// Recompute a chain: governance's own, or that of a file
    Verify(verify::Verify),
    /// Hold regions' logs against CloudTrail: who else used the customer's key
    Reconcile(reconcile::Reconcile),
}

/// What `export` writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    /// The chain itself, which `kcm audit verify` checks
    Jsonl,
    /// OCSF 1.3.0, Entity Management, an object a line
    Ocsf,
    /// CEF behind a syslog header (RFC 5424)
    Cef,
}

pub(crate) async fn perform(global: &Global, command: AuditCommand) -> Result<Report, Failure> {
    match command {
        AuditCommand::List { after, limit } => list(global, after, limit).await,
        AuditCommand::Search { text, sieve, after, limit, ledger } => {
            let wanted = Wanted { sieve: sieve.resolved(global)?, text, limit };
            search(&Source::of(global, ledger.as_ref())?, after, wanted).await
        }
        AuditCommand::Tail { sieve, after } => tail(global, &sieve.resolved(global)?, after).await,
        AuditCommand::Export { format, sieve, after, ledger, out } => {
            let source = Source::of(global, ledger.as_ref())?;
            let sieve = sieve.resolved(global)?;
            match out {
                None => {
                    let mut out = io::BufWriter::new(io::stdout());
                    export(&source, after, format, &sieve, &mut out).await?;
                    // The lines are all there is to say.
                    Ok(Report::new(Value::Null, ""))
                }
                Some(path) => {
                    let mut file = NewFile::begin("export", &path, 0o600, false)?;
                    let entries = export(&source, after, format, &sieve, &mut file).await?;
                    file.place(Ok(()))?;
                    let text = format!("{entries} entries written to {}.", path.display());
                    Ok(Report::new(json!({ "entries": entries, "file": path }), text))
                }
            }
        }
        AuditCommand::Checkpoint { log, out } => checkpoint(global, log.as_ref(), out).await,
        AuditCommand::Prove { sequence, checkpoint, log } => {
            let bytes = files::read("checkpoint", &checkpoint)?;
            let kept = verify::kept(&bytes, &checkpoint.display().to_string(), &log, &[])?;
            prove(global, sequence, kept.head).await
        }
        AuditCommand::Verify(asked) => verify::perform(global, asked).await,
        AuditCommand::Reconcile(asked) => reconcile::perform(&asked),
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

/// What `search` looks for.
struct Wanted {
    sieve: Sieve,
    text: Option<String>,
    limit: usize,
}

async fn search(source: &Source, after: u64, wanted: Wanted) -> Result<Report, Failure> {
    let mut found = Vec::new();
    let each = &mut |entry: Entry| {
        if wanted.text.as_ref().is_none_or(|text| sift::mentions(&entry, text)) {
            found.push(entry);
        }
        // One more than asked for says that there are more.
        Ok(found.len() <= wanted.limit)
    };
    source.each_of(&wanted.sieve.sought(), after, each).await?;
    let more = found.len() > wanted.limit;
    found.truncate(wanted.limit);
    let mut table = Table::new(&["sequence", "at", "kind", "actor", "tenant", "correlation"]);
    for entry in &found {
        let actor = signer(&entry.body).unwrap_or_default();
        let at = plain::time_ms(entry.at_ms);
        let (tenant, correlation) = (entry.subject.clone(), entry.correlation.clone());
        table.row([entry.sequence.to_string(), at, entry.kind.clone(), actor, tenant, correlation]);
    }
    let mut text = table.render();
    if let Some(last) = found.last().filter(|_| more) {
        text.push_str(&format!("\nThere are more: go on with --after {}.", last.sequence));
    }
    let items: Vec<Value> = found.iter().map(shown).collect();
    Ok(Report::new(json!({ "items": items, "more": more }), text))
}

/// An entry as one object, its body as JSON.
fn shown(entry: &Entry) -> Value {
    let (body, actor) = (sift::body(entry), signer(&entry.body));
    json!({
        "sequence": entry.sequence, "at_ms": entry.at_ms, "kind": entry.kind, "actor": actor, "subject": entry.subject,
        "correlation": entry.correlation, "body": body, "previous": Digest(entry.previous), "hash": Digest(entry.hash),
    })
}

/// Tells each entry, woken by governance's events; `--wait` ends it.
async fn tail(global: &Global, sieve: &Sieve, after: Option<u64>) -> Result<Report, Failure> {
    let (screen, end) = (Screen::of(global), global.wait.and_then(|wait| Instant::now().checked_add(wait)));
    let portal = Portal::of(&Context::need(global)?)?;
    // Opened before the first look, so that nothing falls between the two.
    let mut events = portal.events(None).await?;
    let mut after = match after {
        Some(after) => after,
        None => newest(&portal).await?.saturating_sub(10),
    };
    let (source, sought, mut told) = (Source::Live(portal), sieve.sought(), 0_u64);
    loop {
        let begun = after;
        let each = &mut |entry: Entry| {
            after = entry.sequence;
            if sought.lets_through(&entry) {
                let actor = signer(&entry.body).unwrap_or_default();
                let (sequence, at) = (entry.sequence, plain::time_ms(entry.at_ms));
                screen.line(&shown(&entry), &format!("{sequence}  {at}  {}  {actor}  {}", entry.kind, entry.subject));
                told += 1;
            }
            Ok(true)
        };
        source.each(begun, each).await?;
        if end.is_some_and(|end| Instant::now() >= end) {
            return Ok(Report::new(json!({ "told": told, "after": after }), ""));
        }
        let left = end.map_or(LOOK_AGAIN, |end| end.saturating_duration_since(Instant::now()).min(LOOK_AGAIN));
        match timeout(left, events.next()).await {
            Ok(Ok(Some(_))) | Err(_) => {}
            Ok(Ok(None) | Err(_)) => {
                let Source::Live(portal) = &source else { continue };
                events = portal.events(None).await?;
            }
        }
    }
}

/// How many entries there are.
async fn newest(portal: &Portal) -> Result<u64, Failure> {
    let size = |body: Value, name: &str| body.get(name).and_then(Value::as_u64).unwrap_or_default();
    match portal.get::<Value>("/v1/audit/checkpoint").await {
        Ok(body) => Ok(size(body, "size")),
        Err(failure) if failure.code.as_deref() == Some("no-checkpoints") => {
            Ok(size(portal.get("/v1/audit/verify").await?, "entries"))
        }
        Err(failure) => Err(failure),
    }
}

async fn export(source: &Source, after: u64, form: Form, sieve: &Sieve, out: &mut dyn Write) -> Result<u64, Failure> {
    if form == Form::Jsonl && !(sieve.lets_all_through() && after == 0) {
        return Err(Failure::usage("a part of a chain proves little")
            .because("jsonl is the chain itself, from its first entry on, so that a checkpoint can be held against it")
            .fix("leave the filters out, or choose --format ocsf or cef"));
    }
    let failed = |why: &dyn std::fmt::Display| {
        Failure::usage("the export could not be written")
            .because(why)
            .fix("is there space, and does the reader still read?")
    };
    let chain = |e: ledger::LedgerError| match e {
        ledger::LedgerError::Broken(ledger::Broken::OutOfOrder { .. }) => Failure::denied(
            "the ledger is not yours to export as a chain",
        )
        .because("your certificate sees a part of the entries, and a chain with holes proves nothing")
        .fix("have an operator export it, prove single entries (`kcm audit prove`), or choose --format ocsf or cef"),
        other => failed(&other),
    };
    let mut count = 0_u64;
    if form == Form::Jsonl {
        let mut exporter = Exporter::begin(out, Head::EMPTY).map_err(chain)?;
        let each = &mut |entry: Entry| {
            count += 1;
            exporter.entry(&entry).map_err(chain).map(|()| true)
        };
        source.each(0, each).await?;
        exporter.end().map_err(chain)?;
        return Ok(count);
    }
    let each = &mut |entry: Entry| {
        let line = if form == Form::Cef { formats::cef(&entry) } else { formats::ocsf(&entry) };
        writeln!(out, "{line}").map_err(|e| failed(&e))?;
        count += 1;
        Ok(true)
    };
    source.each_of(&sieve.sought(), after, each).await?;
    out.flush().map_err(|e| failed(&e))?;
    Ok(count)
}

async fn checkpoint(global: &Global, log: Option<&Verifier>, out: Option<PathBuf>) -> Result<Report, Failure> {
    let portal = Portal::of(&Context::need(global)?)?;
    let body: Value = portal.get("/v1/audit/checkpoint").await?;
    let of = |name: &str| body.get(name).map(cell).unwrap_or_default();
    let note = of("note");
    let mut text = note.clone();
    if let Some(log) = log {
        verify::kept(note.as_bytes(), "GET /v1/audit/checkpoint", log, &[])?;
        text.push_str(&format!("Verified here: signed by {}.", log.name()));
    } else {
        text.push_str(&format!(
            "Not verified: compare the key with what the operators published, and give it as --log:\n{}",
            of("verifier")
        ));
    }
    if let Some(path) = out {
        files::write("checkpoint", &path, note.as_bytes(), 0o644, false)?;
    }
    Ok(Report::new(body, text))
}

async fn prove(global: &Global, sequence: u64, head: TreeHead) -> Result<Report, Failure> {
    let source = Source::of(global, None)?;
    let Source::Live(portal) = &source else { return Err(Failure::usage("only governance proves")) };
    let proof = verify::inclusion(portal, sequence, head.size).await?;
    let mut entry = None;
    source
        .each(sequence.saturating_sub(1), &mut |found| {
            entry = Some(found);
            Ok(false)
        })
        .await?;
    let missing = || Failure::usage("there is no such entry").at(sequence).fix("see `kcm audit list`");
    let entry = entry.filter(|entry| entry.sequence == sequence).ok_or_else(missing)?;
    ledger::verify_inclusion(sequence, &entry.hash, &head, &proof)
        .map_err(|e| verify::broken(&format!("entry {sequence}"), &e.to_string()))?;
    let text = format!(
        "Proven: entry {sequence} ({}) stands in the ledger of the checkpoint of {} entries.",
        entry.kind, head.size
    );
    Ok(Report::new(json!({ "proven": true, "size": head.size, "entry": self::shown(&entry) }), text))
}
