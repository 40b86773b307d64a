//! What the store costs KMIP: Locate by Name among few objects and among many, and durable Create against the store's own commits.
//!
//! Two regions hold 1,000 and 100,000 named objects, and are asked for names in turn. A third one makes keys for 64 clients at once; in turn with
//! it, in the same process and on the same disk, 64 writers give a store of their own the same rows, which its writing thread commits in groups
//! of as many as wait.

mod common;

use std::{
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use common::{
    Args, Res, ask,
    child::{self, Child},
    load::{Connection, Question, Window},
    paper,
    region::Region,
    servers::{Bench, LOAD_CORE, Measured, SERVER_CORE, Server, Side, Started},
    stats::{self, Aim},
};
use custody::{
    clock::{Clock, SystemClock},
    mac::NodeKey,
    names::ObjectId,
    shelf::{ObjectRow, Shelf},
};
use kmip::{Operation, ops::Answer};
use node::telemetry;
use orbital::{names::System, testing::SYSTEM};

const ROUNDS: usize = 10;
const WINDOW: Duration = Duration::from_millis(500);
const WARM_UP: Duration = Duration::from_millis(300);
const FEW: usize = 1_000;
const MANY: usize = 100_000;
/// Names that are asked for, spread evenly over all objects.
const NAMES: usize = 1_000;
const WRITERS: usize = 64;
/// Fits the locked memory that an ordinary user has (8 MiB).
const SLOTS: usize = 110_000;
const LOCATE_AIM: Aim = Aim::AtMost(1.2);
const CREATE_AIM: Aim = Aim::AtLeast(0.5);

fn main() -> Res<()> {
    let args = Args::read();
    telemetry::start_tls()?;
    if args.get("role") == Some("region") { region_role(&args) } else { bench(&args) }
}

fn name(number: usize) -> String {
    format!("key-{number:06}")
}

/// A region that can be filled, with a bare store beside its own.
fn region_role(args: &Args) -> Res<()> {
    let Started { runtime, back: _back, region, .. } = Started::serve(args, SLOTS)?;
    let folder = Path::new(args.need("folder")?).join("bare");
    std::fs::create_dir_all(&folder)?;
    let key = Arc::new(NodeKey::load_or_create(&folder.join("node.key"))?);
    let bare = Arc::new(Shelf::open(&folder, region.shelf.owner().clone(), key)?);
    child::answer(|asked| {
        let done = match asked.split(' ').collect::<Vec<_>>().as_slice() {
            ["fill", count] => fill(&runtime, &region, count),
            ["write", key, ms] => runtime.block_on(write(&region, &bare, key, ms)),
            _ => Err(format!("{asked:?} is nothing that a region does").into()),
        };
        done.unwrap_or_else(|why| format!("failed: {why}"))
    })
}

fn fill(runtime: &tokio::runtime::Runtime, region: &Arc<Region>, count: &str) -> Res<String> {
    runtime.block_on(region.create_many(count.parse()?, Some(name))).map(|_| "filled".to_owned())
}

/// [`WRITERS`] store rows like that of the key without pause, each the next one once its last one is durable. Answers the latencies.
async fn write(region: &Region, bare: &Arc<Shelf>, key: &str, ms: &str) -> Res<String> {
    let (tenant, system) = (region.tenant(), System::new(SYSTEM)?);
    let like = region.shelf.object(&tenant, &system, key.parse()?)?.ok_or("no such key")?;
    let (began, duration) = (Instant::now(), Duration::from_millis(ms.parse()?));
    let mut writers = Vec::new();
    for _ in 0..WRITERS {
        let (bare, like) = (bare.clone(), like.clone());
        writers.push(tokio::spawn(async move {
            let (clock, mut latencies, mut before) = (SystemClock::new(), Vec::new(), Instant::now());
            while before - began < duration {
                let (system, meta, wrapped) = (like.system.clone(), like.meta.clone(), like.wrapped.clone());
                let row = ObjectRow::new(system, meta, wrapped, clock.wall_ms());
                bare.put_objects(&tenant, [(ObjectId::random()?, row)]).await?;
                latencies.push(before.elapsed().as_micros().to_string());
                before = Instant::now();
            }
            Res::Ok(latencies)
        }));
    }
    let mut latencies = Vec::new();
    for writer in writers {
        latencies.extend(writer.await??);
    }
    Ok(format!("{} {}", began.elapsed().as_micros(), latencies.join(" ")))
}

fn bench(args: &Args) -> Res<()> {
    let (rounds, many) = (args.number("rounds", ROUNDS)?, args.number("objects", MANY)?);
    let bench = Bench::start()?;
    let creates = creates(&bench, rounds)?;
    let locates = locates(&bench, rounds, many)?;
    publish(&locates, &creates, rounds, many)
}

/// One window of each of two sides.
struct Round<T> {
    one: T,
    other: T,
}

impl<T> Round<T> {
    fn each(rounds: &[Self], of: impl Fn(&T) -> f64) -> [Vec<f64>; 2] {
        [rounds.iter().map(|round| of(&round.one)).collect(), rounds.iter().map(|round| of(&round.other)).collect()]
    }

    /// The second side's figure over the first's, of each round.
    fn ratios(rounds: &[Self], of: impl Fn(&T) -> f64) -> Vec<f64> {
        rounds.iter().map(|round| of(&round.other) / of(&round.one)).collect()
    }
}

fn locates(bench: &Bench, rounds: usize, many: usize) -> Res<Vec<Round<Measured>>> {
    let (mut few, mut large) = (bench.region("few", &[])?, bench.region("many", &[])?);
    let of_few = filled(bench, &mut few, FEW)?;
    let of_many = filled(bench, &mut large, many)?;
    let mut few = Side::open(bench, &mut few.child, few.port, 1, of_few)?;
    let mut large = Side::open(bench, &mut large.child, large.port, 1, of_many)?;
    few.window(bench, WARM_UP)?;
    large.window(bench, WARM_UP)?;
    let round = |_| Ok(Round { one: few.window(bench, WINDOW)?, other: large.window(bench, WINDOW)? });
    (0..rounds).map(round).collect()
}

/// Puts named objects into a region; what asks for them.
fn filled(bench: &Bench, region: &mut Server, objects: usize) -> Res<Question> {
    done(&mut region.child, &format!("fill {objects}"))?;
    let requests: Vec<_> = (0..NAMES).map(|at| ask::locate(&name(at * objects / NAMES))).collect();
    bench.runtime.block_on(async {
        let mut connection = Connection::open(region.port, bench.tls.clone()).await?;
        for request in &requests {
            match ask::read(connection.ask(request).await?, Operation::Locate)? {
                Answer::Locate(found) if found.unique_identifiers.len() == 1 => {}
                _ => return Err("a name was not found once".into()),
            }
        }
        Question::of(region.port, &bench.tls, Operation::Locate, requests).await
    })
}

/// Asks a region for something that can fail.
fn done(region: &mut Child, what: &str) -> Res<String> {
    let told = region.ask(what)?;
    if told.starts_with("failed: ") { Err(format!("{what}: {told}").into()) } else { Ok(told) }
}

/// The bare store first, then the region.
fn creates(bench: &Bench, rounds: usize) -> Res<Vec<Round<Window>>> {
    let mut region = bench.region("writers", &[])?;
    let (question, key) = bench.runtime.block_on(async {
        let mut connection = Connection::open(region.port, bench.tls.clone()).await?;
        let answer = ask::read(connection.ask(&ask::create()).await?, Operation::Create)?;
        let Answer::Create(made) = answer else { return Err("no key was made".into()) };
        let key = made.unique_identifier.to_owned();
        Res::Ok((Question::of(region.port, &bench.tls, Operation::Create, vec![ask::create()]).await?, key))
    })?;
    let mut side = Side::open(bench, &mut region.child, region.port, WRITERS, question)?;
    let mut round = |duration: Duration| {
        let told = done(side.server, &format!("write {key} {}", duration.as_millis()))?;
        let mut numbers = told.split(' ').map(str::parse::<f64>);
        let elapsed = numbers.next().ok_or("a window without its length")??;
        let latencies = numbers.collect::<Result<_, _>>()?;
        let bare = Window::new(Duration::from_secs_f64(elapsed / 1_000_000.0), 1, latencies);
        Res::Ok(Round { one: bare, other: side.window(bench, duration)?.window })
    };
    round(WARM_UP)?;
    (0..rounds).map(|_| round(WINDOW)).collect()
}

fn publish(locates: &[Round<Measured>], creates: &[Round<Window>], rounds: usize, many: usize) -> Res<()> {
    let p50 = |measured: &Measured| measured.window.tail_us()[0];
    let [few_p50, many_p50] = Round::each(locates, p50);
    let [few_p99, many_p99] = Round::each(locates, |measured| measured.window.tail_us()[1]);
    let [few_cpu, many_cpu] = Round::each(locates, |measured| measured.cpu_us);
    let [bare_rate, rate] = Round::each(creates, Window::per_second);
    let [bare_p50, create_p50] = Round::each(creates, |window| window.tail_us()[0]);
    let [bare_p99, create_p99] = Round::each(creates, |window| window.tail_us()[1]);
    let us = |values: Vec<f64>| stats::spread(&values, 1);
    let whole = |values: Vec<f64>| stats::spread(&values, 0);
    let text = format!(
        "Locate by Name over one kept-open mutual TLS connection, one request in flight: {NAMES} names in turn, spread evenly over all objects,\n\
         each found once. Two regions with {FEW} and {many} objects of one tenant, asked in turn. Server on core {SERVER_CORE}, load on core {LOAD_CORE}, which never sleeps. {rounds} rounds\n\
         of alternating windows of {window} ms; ratios are of the two windows of one round: median (lowest-highest).\n\n\
         | objects | p50 us | p99 us | server CPU us a request |\n|---|---|---|---|\n\
         | {FEW} | {} | {} | {} |\n| {many} | {} | {} | {} |\n| ratio | {} | {} | {} |\n\n\
         Durable Create of AES-256 keys by {WRITERS} clients, each with one request in flight, against the store alone: in the same process, in turn, {WRITERS} tasks put the row of such a key\n\
         into a store of their own, on the same disk, each the next one once its last one is durable. Both stores commit as many rows together as wait (two-phase\n\
         commits of redb). The same rounds and windows.\n\n\
         | | rows/s | p50 us | p99 us |\n|---|---|---|---|\n\
         | the store's group commit | {} | {} | {} |\n| Create over KMIP | {} | {} | {} |\n| ratio | {} | {} | {} |",
        us(few_p50),
        us(few_p99),
        us(few_cpu),
        us(many_p50),
        us(many_p99),
        us(many_cpu),
        LOCATE_AIM.judge(&Round::ratios(locates, p50)),
        Aim::None.judge(&Round::ratios(locates, |measured| measured.window.tail_us()[1])),
        Aim::None.judge(&Round::ratios(locates, |measured| measured.cpu_us)),
        whole(bare_rate),
        whole(bare_p50),
        whole(bare_p99),
        whole(rate),
        whole(create_p50),
        whole(create_p99),
        CREATE_AIM.judge(&Round::ratios(creates, Window::per_second)),
        Aim::None.judge(&Round::ratios(creates, |window| window.tail_us()[0])),
        Aim::None.judge(&Round::ratios(creates, |window| window.tail_us()[1])),
        window = WINDOW.as_millis(),
    );
    paper::publish("store", "Locate among many objects, and durable Create", &text)
}
