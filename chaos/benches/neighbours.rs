//! An honest tenant's clients alone, and beside clients that do harm: slow requests, handshakes that stay open, handshakes without pause, a flood.
//!
//! Whoever takes only places is put beside clients that ask without pause: how much less do they get? And everybody, those too who take
//! all CPU of the server's core, is put beside clients that ask at a fixed modest rate: nobody keeps a whole core beside somebody else, but what
//! little an honest tenant asks for is to be answered as before.

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
/// What the honest tenant asks where it has a rate.
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
    let kinds = Kind::ALL.into_iter().filter(|kind| only.is_none_or(|only| only == format!("{kind:?}")));
    // Both loads, but that without pause for those only who leave CPU for it.
    let rows = kinds.flat_map(|kind| [(kind, false), (kind, true)]).filter(|(kind, paced)| *paced || !kind.is_busy());
    let mut lines = Vec::new();
    for (kind, paced) in rows {
        let options = [
            ("kind", format!("{kind:?}")),
            ("idle", paced.to_string()),
            ("port", region.port.to_string()),
            ("key", theirs.clone()),
            ("neighbour", neighbour.clone()),
        ];
        let (mut hostile, _) = bench.child("hostile", "hostile", &options)?;
        let mut honest = Side::open(&bench, &mut region.child, region.port, CONNECTIONS, question.clone())?;
        let found = (0..rounds).map(|_| round(&bench, paced, &mut honest, &mut hostile)).collect::<Res<Vec<_>>>()?;
        lines.push(line(kind, paced, &found));
        println!("{}", lines.last().map_or("", String::as_str));
    }
    if only.is_none() { publish(&lines, rounds) } else { Ok(()) }
}

/// Alone, then beside.
fn round(bench: &Bench, paced: bool, honest: &mut Side, hostile: &mut Child) -> Res<Round> {
    let mut window = |duration| {
        if paced { honest.paced(bench, PER_SECOND, duration) } else { honest.window(bench, duration) }
    };
    // The server notices meanwhile that those of the round before are gone.
    window(WARM_UP)?;
    let alone = window(WINDOW)?;
    let told = hostile.ask("begin")?;
    if !told.is_empty() {
        return Err(told.into());
    }
    let began = Instant::now();
    window(WARM_UP)?;
    let beside = window(WINDOW)?;
    let theirs = hostile.ask("end")?.parse::<f64>()? / began.elapsed().as_secs_f64();
    Ok(Round { alone, beside, theirs })
}

fn line(kind: Kind, paced: bool, rounds: &[Round]) -> String {
    let pairs = |of: &dyn Fn(&Measured) -> f64, aim: Aim| {
        let (alone, beside) =
            rounds.iter().map(|round| (of(&round.alone), of(&round.beside))).unzip::<_, _, Vec<_>, Vec<_>>();
        let ratios: Vec<_> = alone.iter().zip(&beside).map(|(alone, beside)| beside / alone).collect();
        let middle = |values: Vec<f64>| stats::median(&mut values.clone());
        format!("{:.0} / {:.0} | {}", middle(alone), middle(beside), aim.judge(&ratios))
    };
    // Without pause, times are those of the core that both sides' clients share.
    let time_aim = if paced { TIME_AIM } else { Aim::None };
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
        if paced { format!("{PER_SECOND}/s") } else { "without pause".to_owned() },
        busy_of(|round| &round.alone),
        busy_of(|round| &round.beside),
        pairs(&|measured| measured.window.per_second(), RATE_AIM),
        pairs(&|measured| measured.window.tail_us()[0], time_aim),
        pairs(&|measured| measured.window.tail_us()[1], time_aim),
    )
}

fn publish(lines: &[String], rounds: usize) -> Res<()> {
    let text = format!(
        "A tenant's clients Encrypt 1 KiB over {CONNECTIONS} kept-open connections, alone and beside hostile clients, which are a process of their own and\n\
         are all there before the window begins. Server on core {SERVER_CORE}; honest and hostile clients on core {LOAD_CORE}. Without pause: each honest connection asks again at once; what\n\
         the hostile clients cost core {LOAD_CORE} counts against the server, and times have no target. At {PER_SECOND}/s: requests are due at fixed times, and their latency counts from then if the one before is not\n\
         answered yet; the hostile process has the kernel's idle policy, so that nobody waits for it on core {LOAD_CORE}, and keeps that core as busy alone as beside. A row whose\n\
         hostile clients take all CPU says something only where the server's core is busy. {rounds} rounds of alternating windows of {} ms; ratios are of the two windows of one round: median\n\
         (lowest-highest).\n\n\
         | hostile clients | done a second: bytes, connections, handshakes, hellos, requests | honest load | server core busy, %, alone / beside | req/s, alone / beside | ratio | p50 us, alone / beside | ratio | p99 us, alone / beside | ratio |\n\
         |---|---|---|---|---|---|---|---|---|---|\n{}",
        WINDOW.as_millis(),
        lines.join("\n")
    );
    paper::publish("neighbours", "A tenant beside hostile clients", &text)
}
