//! What a key costs in memory, and how soon a region answers after its start.
//!
//! The region is a process of its own. Its keys are made through the keyring, durable each; then it is started again over the same
//! folder, with its plaintext gone, and asked for one key over mutual TLS.

mod common;

use std::{
    fs,
    sync::Arc,
    time::{Duration, Instant},
};

use common::{
    Args, Res,
    ask::Ask,
    child::{self, Child},
    load::Connection,
    paper,
    region::Region,
    servers::{Bench, Server, Started},
    stats,
};
use custody::keyring::Filter;
use node::telemetry;
use orbital::{names::System, testing::SYSTEM};
use tokio::runtime::Runtime;

/// Keys in all at each look.
const STEPS: [usize; 4] = [0, 1_000, 10_000, 100_000];
/// From how many keys on the targets hold, bytes a key.
const TARGET_KEYS: usize = 100_000;
const LOCKED_TARGET: f64 = 128.0;
const RESIDENT_TARGET: f64 = 1_536.0;
/// Fits the locked memory that an ordinary user has (8 MiB).
const SLOTS: usize = 110_000;
const STARTS: usize = 10;
/// The folder of every start.
const REGION: &str = "region";

fn main() -> Res<()> {
    let args = Args::read();
    telemetry::start_tls()?;
    if args.get("role") == Some("region") { region_role(&args) } else { bench(&args) }
}

fn region_role(args: &Args) -> Res<()> {
    let Started { runtime, back: _back, region, port } = Started::start(args, SLOTS)?;
    child::say(&port.to_string())?;
    child::answer(|ask| {
        let done = match ask.split_once(' ') {
            Some(("create", count)) => create(&runtime, &region, count),
            _ if ask == "warm" => warm(&runtime, &region),
            _ => look(&region),
        };
        done.unwrap_or_else(|why| format!("failed: {why}"))
    })
}

/// Locked bytes, used slots and resident bytes.
fn look(region: &Region) -> Res<String> {
    let status = fs::read_to_string("/proc/self/status")?;
    let kib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("0");
        line.split_whitespace().next().and_then(|word| word.parse::<usize>().ok()).unwrap_or(0)
    };
    let usage = region.slab.usage();
    let (locked, used, mode) = (usage.locked_bytes, usage.slots_used, usage.mode.name());
    Ok(format!("{locked} {used} {} {mode}", kib("VmRSS:") * 1024))
}

fn create(runtime: &Runtime, region: &Arc<Region>, count: &str) -> Res<String> {
    let began = Instant::now();
    let key = runtime.block_on(region.create_many(count.parse()?, None))?;
    Ok(format!("{} {key}", began.elapsed().as_millis()))
}

/// Unseals every stored key.
fn warm(runtime: &Runtime, region: &Region) -> Res<String> {
    let (tenant, system) = (region.tenant(), System::new(SYSTEM)?);
    let began = Instant::now();
    let mut offset = 0;
    loop {
        let filter = Filter { offset, ..Filter::default() };
        let located = region.keyring.locate(&tenant, &system, filter, |_, _| true)?;
        for id in &located.ids {
            runtime.block_on(region.keyring.warm(&tenant, &system, *id))?;
        }
        offset += located.ids.len();
        if located.ids.is_empty() {
            return Ok(began.elapsed().as_millis().to_string());
        }
    }
}

/// One look at a region, as its child tells it.
struct Look {
    locked: usize,
    used: usize,
    resident: usize,
    mode: String,
}

fn ask_look(region: &mut Child) -> Res<Look> {
    let told = region.ask("look")?;
    let words: Vec<_> = told.split(' ').collect();
    let [locked, used, resident, mode] = words.as_slice() else { return Err(told.into()) };
    Ok(Look { locked: locked.parse()?, used: used.parse()?, resident: resident.parse()?, mode: (*mode).to_owned() })
}

/// Milliseconds from the start of the process until it listens, and until it has answered a Get over mutual TLS.
fn first_answer(bench: &Bench, key: &str) -> Res<(f64, f64)> {
    let began = Instant::now();
    let Server { child: _region, port, .. } = bench.region(REGION, &[])?;
    let listening = began.elapsed();
    bench.runtime.block_on(async {
        let mut connection = Connection::open(port, bench.tls.clone()).await?;
        Ask::Get.check(connection.ask(&Ask::Get.frame(key)).await?)
    })?;
    let ms = |took: Duration| took.as_secs_f64() * 1_000.0;
    Ok((ms(listening), ms(began.elapsed())))
}

fn bench(args: &Args) -> Res<()> {
    let most = args.number("keys", TARGET_KEYS)?;
    let bench = Bench::anywhere()?;
    let mut region = bench.region(REGION, &[])?.child;
    let mut lines = Vec::new();
    let (mut have, mut key, mut empty) = (0, String::new(), None);
    for step in STEPS.into_iter().filter(|step| *step <= most) {
        if step > have {
            let told = region.ask(&format!("create {}", step - have))?;
            key = told.split_once(' ').ok_or_else(|| told.clone())?.1.to_owned();
            have = step;
        }
        let look = ask_look(&mut region)?;
        let empty = *empty.get_or_insert(look.resident);
        lines.push(row(&format!("{step} made"), step, &look, empty));
    }
    drop(region);
    let mut region = bench.region(REGION, &[])?.child;
    let empty = ask_look(&mut region)?;
    lines.push(row(&format!("started again over {have}, none unsealed"), 0, &empty, empty.resident));
    let warmed = region.ask("warm")?;
    lines.push(row(&format!("all {have} unsealed again"), have, &ask_look(&mut region)?, empty.resident));
    drop(region);
    let starts = (0..STARTS).map(|_| first_answer(&bench, &key)).collect::<Res<Vec<_>>>()?;
    publish(&lines, &warmed, &starts, &empty.mode, have)
}

fn row(what: &str, keys: usize, look: &Look, empty: usize) -> String {
    let mib = |bytes: usize| bytes as f64 / 1024.0 / 1024.0;
    let each = |bytes: usize, most: f64| match keys {
        0 => "-".to_owned(),
        keys if keys < TARGET_KEYS => format!("{:.0}", bytes as f64 / keys as f64),
        keys => {
            let each = bytes as f64 / keys as f64;
            format!("{each:.0}, at most {most}: {}", if each <= most { "met" } else { "missed" })
        }
    };
    format!(
        "| {what} | {} | {:.2} | {} | {:.1} | {} |",
        look.used,
        mib(look.locked),
        each(look.locked, LOCKED_TARGET),
        mib(look.resident),
        each(look.resident.saturating_sub(empty), RESIDENT_TARGET)
    )
}

fn publish(lines: &[String], warmed: &str, starts: &[(f64, f64)], mode: &str, keys: usize) -> Res<()> {
    let listening: Vec<_> = starts.iter().map(|(listening, _)| *listening).collect();
    let answered: Vec<_> = starts.iter().map(|(_, answered)| *answered).collect();
    let text = format!(
        "AES-256 keys, made through the keyring. Locked memory is one slab ({mode}), reserved at the start: {SLOTS} slots of 64 bytes; a key\n\
         of 32 bytes takes one. Resident bytes a key are the growth since the first row above it that holds none; they include the store's\n\
         own cache of what was written or read.\n\n\
         | keys | slots used | locked MiB | locked bytes a key | RSS MiB | RSS bytes a key |\n|---|---|---|---|---|---|\n{}\n\n\
         Unsealing all {keys} one after another took {warmed} ms.\n\n\
         Start of a region's process over {keys} stored keys, {} starts, ms: until it listens {}, until a Get over a new mutual TLS connection is\n\
         answered (L2 unwrapped by the soft L1, L3, object) {}; median (lowest-highest).",
        lines.join("\n"),
        starts.len(),
        stats::spread(&listening, 0),
        stats::spread(&answered, 0),
    );
    paper::publish("memory", "Memory a key, and start to first answer", &text)
}
