//! A large ledger: making it, starting over it, verifying it, proving from it and searching it.
//!
//! The entries are those of real decisions, made through the portal's own API by the people of many tenants. Everything that is measured is
//! what an operator would run: a start of the node, commands of `kcm`, requests of the portal.

mod common;

use std::{
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use common::{
    Args, Res,
    decide::{Decider, decide, deciders},
    governance::Site,
    paper,
    people::{Made, key, newcomers, number},
    rest::Rest,
    stats,
};
use node::telemetry;
use orbital::change::Action;
use serde_json::Value;

/// A million takes a quarter of an hour: `-- --entries 1000000`.
const ENTRIES: usize = 200_000;
/// Opened, approved, certified, applied, confirmed.
const ENTRIES_A_DECISION: usize = 5;
const TENANTS: usize = 64;
const STARTS: usize = 3;
const VERIFICATIONS: usize = 3;
const PROOFS: usize = 200;
/// Commands for each figure of a search.
const SEARCHES: usize = 3;

fn main() -> ExitCode {
    common::kcm_or(bench)
}

fn bench(args: &Args) -> Res<()> {
    telemetry::start_tls()?;
    let (entries, searches) = (args.number("entries", ENTRIES)?, args.number("searches", SEARCHES)?);
    let folder = tempfile::tempdir()?;
    let site = Site::write(folder.path(), None)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (size, lines) = runtime.block_on(measured(&site, entries, searches))?;
    publish(&lines, size, searches)
}

async fn measured(site: &Site, entries: usize, searches: usize) -> Res<(u64, Vec<String>)> {
    let (asked, made) = make(site, entries).await?;
    let mut lines = vec![made];
    let mut starts = Vec::new();
    let mut running = site.start().await?;
    for _ in 1..STARTS {
        starts.push(running.started.as_secs_f64() * 1e3);
        running.stop()?;
        running = site.start().await?;
    }
    starts.push(running.started.as_secs_f64() * 1e3);
    let mut rest = site.rest().await?;
    let size = checkpoint(&mut rest).await?;
    let mib = running.resident_mib()?;
    lines.push(format!("| start of governance until it answers, {STARTS} times | {} ms |", stats::spread(&starts, 0)));
    lines.push(format!("| resident after that, with the tree | {mib:.0} MiB |"));
    lines.extend(proofs(&mut rest, size).await?);
    lines.extend(search(site, &asked, size, searches, &mut rest).await?);
    lines.push(verify("kcm audit verify, of governance", site, &["audit", "verify"], size)?);
    running.stop()?;
    let file = site.ledger();
    lines.push(format!("| bytes of the file an entry | {} |", file.metadata()?.len() / size));
    let words = ["audit", "verify", file.to_str().ok_or("a path that is no text")?];
    lines.push(verify("kcm audit verify FILE, offline", site, &words, size)?);
    Ok((size, lines))
}

/// What is looked for that the ledger holds.
struct Asked {
    tenant: String,
}

/// Fills the ledger by decisions; the last entry is a proposal of carol's, who signs nothing else.
async fn make(site: &Site, entries: usize) -> Res<(Asked, String)> {
    let geneses = newcomers(&site.setup, TENANTS)?;
    let governance = site.start().await?;
    let mut deciders = deciders(site, geneses).await?;
    let (left, began) = (Arc::new(AtomicUsize::new(entries / ENTRIES_A_DECISION)), Instant::now());
    let next = move || left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok();
    let decisions = decide(&mut deciders, TENANTS, next).await?.len();
    let took = began.elapsed();
    let Decider { chain, .. } = deciders.swap_remove(0);
    let kill = Made::new(&chain, 0, Action::RevokeL1 {}, "carol", &key(&site.setup, "carol")?)?;
    site.rest().await?.post("/v1/proposals", &kill.body()).await?;
    let tenant = chain.tenant().to_string();
    governance.stop()?;
    let line = format!(
        "| made by {decisions} decisions of {TENANTS} tenants, {TENANTS} in flight | {:.0} entries/s |",
        (decisions * ENTRIES_A_DECISION) as f64 / took.as_secs_f64()
    );
    println!("{line}");
    Ok((Asked { tenant }, line))
}

/// Entries of the newest checkpoint.
async fn checkpoint(rest: &mut Rest) -> Res<u64> {
    let shown = rest.get("/v1/audit/checkpoint").await?;
    shown.get("size").and_then(number).ok_or_else(|| "a checkpoint without size".into())
}

async fn proofs(rest: &mut Rest, size: u64) -> Res<Vec<String>> {
    let mut lines = Vec::new();
    for (what, inclusion) in [("inclusion", true), ("consistency", false)] {
        let (mut times, mut hashes, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
        for at in 1..=PROOFS {
            // Spread over the whole ledger, at no round numbers.
            let place = (size * at as u64 / (PROOFS as u64 + 1)).max(1) | 1;
            let path = match inclusion {
                true => format!("/v1/audit/inclusion?sequence={place}&size={size}"),
                false => format!("/v1/audit/consistency?old={place}&new={size}"),
            };
            let began = Instant::now();
            let shown = rest.get(&path).await?;
            times.push(began.elapsed());
            bytes.push(shown.to_string().len() as f64);
            hashes.push(shown.get("proof").and_then(Value::as_array).ok_or("no proof")?.len() as f64);
        }
        let hashes = stats::spread(&hashes, 0);
        lines.push(format!("| {what} proof, {PROOFS} times: p50 / p99 | {} ms |", stats::tail_ms(&times)));
        lines.push(format!("| {what} proof: hashes of 32 bytes | {hashes} |"));
        lines.push(format!("| {what} proof: bytes of the answer | {} |", stats::spread(&bytes, 0)));
    }
    Ok(lines)
}

async fn search(site: &Site, asked: &Asked, size: u64, searches: usize, rest: &mut Rest) -> Res<Vec<String>> {
    // The last hundredth of the entries.
    let page = rest.get(&format!("/v1/audit/entries?after={}&limit=1", size - size / 100)).await?;
    let at_ms = page.pointer("/items/0/at_ms").and_then(number).ok_or("an entry without its time")?;
    let from = jiff::Timestamp::from_millisecond(i64::try_from(at_ms)?)?.to_string();
    let wanted: [(&str, &[&str]); 6] = [
        ("one tenant of 64", &["--tenant", &asked.tenant]),
        ("a kind, each fifth entry", &["--kind", "proposal.approved"]),
        ("a kind, the first 64 entries", &["--kind", "tenant"]),
        ("a person, each fifth entry", &["--actor", "bob"]),
        ("a person, the last entry", &["--actor", "carol"]),
        ("a time, the last hundredth", &["--from", &from]),
    ];
    let deep = (size - size / 10).to_string();
    let mut lines = Vec::new();
    for (what, words) in wanted {
        for (page, after) in [("first page", "0"), ("page after nine tenths", deep.as_str())] {
            let mut words = [&["audit", "search", "--after", after], words].concat();
            words.extend(["--limit", "100"]);
            let (mut times, mut found) = (Vec::new(), 0);
            for _ in 0..searches {
                let (said, took) = site.kcm(&words)?;
                found = said.get("items").and_then(Value::as_array).map_or(0, Vec::len);
                times.push(took);
            }
            let line = format!("| search: {what}; {page}, {found} found: p50 / p99 | {} ms |", stats::tail_ms(&times));
            println!("{line}");
            lines.push(line);
        }
    }
    Ok(lines)
}

fn verify(what: &str, site: &Site, words: &[&str], size: u64) -> Res<String> {
    let times = (0..VERIFICATIONS).map(|_| Ok(site.kcm(words)?.1.as_secs_f64())).collect::<Res<Vec<_>>>()?;
    let rate = size as f64 / stats::median(&mut times.clone());
    Ok(format!("| {what}, {VERIFICATIONS} times | {} s; {rate:.0} entries/s |", stats::spread(&times, 2)))
}

fn publish(lines: &[String], size: u64, searches: usize) -> Res<()> {
    let text = format!(
        "Governance over redb, a process of its own, with a ledger of {size} entries of real decisions (ChangeRouting, as in the section on\n\
         governance), made with `-- --entries N`; {ENTRIES} without. Searches are whole processes of `kcm audit search --limit 100`, {searches} for each figure:\n\
         start, mutual TLS, questions, answer, each entry's hash computed anew. Of so few, p99 is the slowest. The proofs\n\
         are requests over a kept-open connection.\n\n\
         | | result |\n|---|---|\n{}",
        lines.join("\n")
    );
    paper::publish("audit", "A large ledger", &text)
}
