//! An honest tenant's clients alone, and beside clients that do harm: slow requests, handshakes that stay open, handshakes without pause, a flood.
//!
//! Whoever takes only places is put beside clients that ask without pause: what do they lose? Whoever takes all CPU of the server's core
//! is put beside clients that ask at a fixed modest rate: nobody keeps a whole core beside somebody else, but what little an honest tenant
//! asks for is to be answered as before.

mod common;

use std::time::{Duration, Instant};

use common::{
    Args, Res,
    ask::Ask,
    child::{self, Child},
    hostile::{self, Kind},
    load::Question,
    paper,
    pki::Pki,
    servers::{Bench, LOAD_CORE, Measured, SERVER_CORE, Side, Started},
    stats::{self, Aim},
};
use node::telemetry;

const ROUNDS: usize = 8;
const WINDOW: Duration = Duration::from_secs(1);
const WARM_UP: Duration = Duration::from_millis(300);
const CONNECTIONS: usize = 8;
/// What the honest tenant asks beside somebody who takes all CPU.
const PER_SECOND: u32 = 500;
const SLOTS: usize = 4096;
const RATE_AIM: Aim = Aim::AtLeast(0.9);
const TIME_AIM: Aim = Aim::AtMost(1.1);

fn main() -> Res<()> {
    let args = Args::read();
    telemetry::start_tls()?;
    match args.get("role") {
        Some("region") => Started::serve(&args, SLOTS).and_then(|_region| child::answer(|_| String::new())),
        Some("hostile") => hostile::role(&args),
        _ => bench(&args),
    }
}

/// What one round measured.
struct Round {
    alone: Measured,
    beside: Measured,
    /// What the hostile clients did in a second.
    theirs: f64,
}

fn bench(args: &Args) -> Res<()> {
    let rounds = args.number("rounds", ROUNDS)?;
    // `--kind NAME` looks at one row, and writes nothing.
    let only = args.get("kind");
    let bench = Bench::start()?;
    let neighbour = bench.path("neighbour");
    std::fs::create_dir_all(&neighbour)?;
    Pki::create(&neighbour)?;
    let neighbour = neighbour.display().to_string();
    let mut region = bench.region("region", &[("neighbour", neighbour.clone())])?;
    let [key, theirs] = region.keys.as_slice() else { return Err("a region without two keys".into()) };
    let ask = Ask::EncryptGcm;
    let question =
        bench.runtime.block_on(Question::of(region.port, &bench.tls, ask.operation(), vec![ask.frame(key)]))?;
    let mut lines = Vec::new();
    for kind in Kind::ALL.into_iter().filter(|kind| only.is_none_or(|only| only == format!("{kind:?}"))) {
        let options = [
            ("kind", format!("{kind:?}")),
            ("port", region.port.to_string()),
            ("key", theirs.clone()),
            ("neighbour", neighbour.clone()),
        ];
        let (mut hostile, _) = bench.child("hostile", "hostile", &options)?;
        let mut honest = Side::open(&bench, &mut region.child, region.port, CONNECTIONS, question.clone())?;
        let found = (0..rounds).map(|_| round(&bench, kind, &mut honest, &mut hostile)).collect::<Res<Vec<_>>>()?;
        lines.push(line(kind, &found));
        println!("{}", lines.last().map_or("", String::as_str));
    }
    if only.is_none() { publish(&lines, rounds) } else { Ok(()) }
}

/// Alone, then beside.
fn round(bench: &Bench, kind: Kind, honest: &mut Side, hostile: &mut Child) -> Res<Round> {
    let mut window = |duration| {
        if kind.is_busy() { honest.paced(bench, PER_SECOND, duration) } else { honest.window(bench, duration) }
    };
    // The server notices meanwhile that those of the round before are gone.
    window(WARM_UP)?;
    let alone = window(WINDOW)?;
    let began = Instant::now();
    let told = hostile.ask("begin")?;
    if !told.is_empty() {
        return Err(format!("{kind:?}: {told}").into());
    }
    window(WARM_UP)?;
    let beside = window(WINDOW)?;
    let theirs = hostile.ask("end")?.parse::<f64>()? / began.elapsed().as_secs_f64();
    Ok(Round { alone, beside, theirs })
}

fn line(kind: Kind, rounds: &[Round]) -> String {
    let pairs = |of: &dyn Fn(&Measured) -> f64, aim: Aim, digits: usize| {
        let (alone, beside) =
            rounds.iter().map(|round| (of(&round.alone), of(&round.beside))).unzip::<_, _, Vec<_>, Vec<_>>();
        let ratios: Vec<_> = alone.iter().zip(&beside).map(|(alone, beside)| beside / alone).collect();
        let middle = |values: Vec<f64>| stats::median(&mut values.clone());
        format!("{:.digits$} / {:.digits$} | {}", middle(alone), middle(beside), aim.judge(&ratios))
    };
    let busy = |measured: &Measured| {
        measured.cpu_us * measured.window.requests as f64 / measured.window.elapsed.as_micros() as f64 * 100.0
    };
    let busy_of = |of: fn(&Round) -> &Measured| {
        stats::median(&mut rounds.iter().map(|round| busy(of(round))).collect::<Vec<_>>())
    };
    format!(
        "| {} | {:.0} | {} | {:.0} / {:.0} | {} | {} | {} |",
        kind.name(),
        stats::median(&mut rounds.iter().map(|round| round.theirs).collect::<Vec<_>>()),
        if kind.is_busy() { format!("{PER_SECOND}/s") } else { "without pause".to_owned() },
        busy_of(|round| &round.alone),
        busy_of(|round| &round.beside),
        pairs(&|measured| measured.window.per_second(), RATE_AIM, 0),
        pairs(&|measured| measured.window.tail_us()[0], TIME_AIM, 0),
        pairs(&|measured| measured.window.tail_us()[1], TIME_AIM, 0),
    )
}

fn publish(lines: &[String], rounds: usize) -> Res<()> {
    let text = format!(
        "A tenant's clients Encrypt 1 KiB over {CONNECTIONS} kept-open connections, alone and beside hostile clients, which are a process of their own and\n\
         are all there before the window begins. Server on core {SERVER_CORE}; honest and hostile clients on core {LOAD_CORE}. Where the hostile clients take places only, the honest ones ask\n\
         without pause, so that what the hostile ones cost core {LOAD_CORE} counts against the server. Where they take all CPU that there is, the honest ones ask {PER_SECOND} requests a second,\n\
         due at fixed times, whose latency counts from then if the one before is not answered yet; the hostile process has the kernel's idle policy, so that nobody waits for\n\
         it on core {LOAD_CORE}, and keeps that core as busy alone as beside. {rounds} rounds of alternating windows of {} ms; ratios are of the two windows of one round: median (lowest-highest).\n\n\
         | hostile clients | done a second: bytes, connections, handshakes, hellos, requests | honest load | server core busy, %, alone / beside | req/s, alone / beside | ratio | p50 us, alone / beside | ratio | p99 us, alone / beside | ratio |\n\
         |---|---|---|---|---|---|---|---|---|---|\n{}",
        WINDOW.as_millis(),
        lines.join("\n")
    );
    paper::publish("neighbours", "A tenant beside hostile clients", &text)
}
