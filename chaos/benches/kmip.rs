//! KMIP against the limit: Encrypt and Get over kept-open mutual TLS, and beside them a bare echo of as many bytes, in turn.
//!
//! Region and echo are processes of their own on one core, the load is on another. Each round asks the echo for half a second and the
//! region for half a second; what is compared is the two windows of a round. CPU is the server process's own, all threads. PyKMIP's
//! server, where there is one, is asked the same in the same pass.

mod common;

use std::time::Duration;

use common::{
    Args, Res,
    ask::Ask,
    child,
    load::Question,
    paper,
    pykmip::{self, PyKmip},
    rounds::{Round, Row, head},
    servers::{self, Bench, LOAD_CORE, SERVER_CORE, Server, Side, Started},
    stats::Aim,
};
use node::telemetry;

const ROUNDS: usize = 10;
const WINDOW: Duration = Duration::from_millis(500);
const WARM_UP: Duration = Duration::from_millis(300);
const CONNECTIONS: [usize; 3] = [1, 8, 64];
const SLOTS: usize = 4096;
/// Requests in one write where more than one is in flight.
const IN_FLIGHT: usize = 16;
/// PyKMIP answers some hundreds a second.
const PYKMIP_ROUNDS: usize = 4;
const PYKMIP_WINDOW: Duration = Duration::from_millis(1_500);
const PYKMIP_CONNECTIONS: usize = 8;
const PYKMIP_ASKS: [Ask; 3] = [Ask::Get, Ask::EncryptGcm, Ask::EncryptCbc];

/// What is asked of both servers, and what of the echo's figures is aimed at.
struct Subject {
    operation: &'static str,
    ask: Ask,
    in_flight: usize,
    cpu: Aim,
    throughput: Aim,
    /// On how many connections the aims begin to hold.
    from_connections: usize,
}

impl Subject {
    const fn one(ask: Ask, cpu: f64) -> Self {
        let (cpu, throughput) = (Aim::AtMost(cpu), Aim::None);
        Self { operation: ask.name(), ask, in_flight: 1, cpu, throughput, from_connections: 8 }
    }

    const fn many(operation: &'static str, ask: Ask) -> Self {
        Self { operation, in_flight: IN_FLIGHT, ..Self::one(ask, 0.5) }
    }

    fn row(&self, connections: usize) -> Row<'_> {
        let aim = |aim| if connections < self.from_connections { Aim::None } else { aim };
        Row { operation: self.operation, connections, cpu: aim(self.cpu), throughput: aim(self.throughput) }
    }
}

const SUBJECTS: [Subject; 6] = [
    Subject { throughput: Aim::AtLeast(0.8), ..Subject::one(Ask::EncryptGcm, 1.25) },
    Subject::one(Ask::EncryptGcm16KiB, 1.4),
    Subject { throughput: Aim::AtLeast(0.7), from_connections: 1, ..Subject::one(Ask::EncryptCbc, 1.5) },
    Subject::one(Ask::Get, 1.3),
    Subject::many("Encrypt 1 KiB, AES-256-GCM, 16 in flight", Ask::EncryptGcm),
    Subject::many("Get, 16 in flight", Ask::Get),
];

fn main() -> Res<()> {
    let args = Args::read();
    telemetry::start_tls()?;
    match args.get("role") {
        Some("region") => Started::serve(&args, SLOTS).and_then(|_region| child::answer(|_| String::new())),
        Some("echo") => servers::serve_echo(&args),
        _ => bench(&args),
    }
}

fn bench(args: &Args) -> Res<()> {
    let rounds = args.number("rounds", ROUNDS)?;
    // `--connections N` looks at one row of each operation, and writes nothing.
    let only = args.number("connections", 0)?;
    let counts = if only == 0 { CONNECTIONS.to_vec() } else { vec![only] };
    let bench = Bench::start()?;
    let mut region = bench.region("region", &[])?;
    let asked = SUBJECTS.iter().map(|subject| question(&bench, region.port, subject.ask, &region.keys));
    let asked = asked.collect::<Res<Vec<_>>>()?;
    let (mut echo, ports) = bench.echo(asked.iter().map(|question| question.answer_bytes))?;
    let mut lines = Vec::new();
    for ((subject, question), port) in SUBJECTS.iter().zip(asked).zip(ports) {
        for &connections in &counts {
            let at_echo = Side::open(&bench, &mut echo, port, connections, question.of_echo())?;
            let question = question.in_flight(subject.in_flight);
            let at_region = Side::open(&bench, &mut region.child, region.port, connections, question)?;
            let found = alternate(&bench, at_echo, at_region, rounds, WINDOW)?;
            lines.push(subject.row(connections).line(&found));
            println!("{}", lines.last().map_or("", String::as_str));
        }
    }
    if only != 0 {
        return Ok(());
    }
    publish(&lines, rounds, &beside_pykmip(&bench, &mut region, rounds.min(PYKMIP_ROUNDS))?)
}

fn question(bench: &Bench, port: u16, ask: Ask, keys: &[String]) -> Res<Question> {
    let key = keys.first().ok_or("a server without a key")?;
    bench.runtime.block_on(Question::of(port, &bench.tls, ask.operation(), vec![ask.frame(key)]))
}

/// Windows in turn.
fn alternate(bench: &Bench, mut other: Side, mut region: Side, rounds: usize, window: Duration) -> Res<Vec<Round>> {
    other.window(bench, WARM_UP)?;
    region.window(bench, WARM_UP)?;
    let one = |_| Ok(Round { other: other.window(bench, window)?, region: region.window(bench, WINDOW)? });
    (0..rounds).map(one).collect()
}

/// The rows with PyKMIP's server, or why there are none.
fn beside_pykmip(bench: &Bench, region: &mut Server, rounds: usize) -> Res<String> {
    let PyKmip { mut child, port, key } = match PyKmip::start(bench)? {
        Ok(started) => started,
        Err(why) => return Ok(format!("Without PyKMIP's server: {why}.")),
    };
    let keys = [key];
    let row = |ask: Ask| {
        let at_pykmip = question(bench, port, ask, &keys)?;
        let at_region = question(bench, region.port, ask, &region.keys)?;
        let at_pykmip = Side::open(bench, &mut child, port, PYKMIP_CONNECTIONS, at_pykmip)?;
        let at_region = Side::open(bench, &mut region.child, region.port, PYKMIP_CONNECTIONS, at_region)?;
        let found = alternate(bench, at_pykmip, at_region, rounds, PYKMIP_WINDOW)?;
        let (cpu, throughput) = (Aim::None, Aim::None);
        Ok(Row { operation: ask.name(), connections: PYKMIP_CONNECTIONS, cpu, throughput }.line(&found))
    };
    let lines = PYKMIP_ASKS.into_iter().map(row).collect::<Res<Vec<_>>>()?;
    Ok(format!(
        "In the same pass the server of {}, asked the same over {PYKMIP_CONNECTIONS} connections: TLS 1.2, which is all that it has, an SQLite store on the\n\
         same disk, its log as it comes, on core {SERVER_CORE} with its two helper processes, whose CPU counts. {rounds} rounds of alternating windows, {} ms\n\
         of PyKMIP and {} ms of the region.\n\n{}\n{}",
        pykmip::NAME,
        PYKMIP_WINDOW.as_millis(),
        WINDOW.as_millis(),
        head("PyKMIP", "req"),
        lines.join("\n")
    ))
}

fn publish(lines: &[String], rounds: usize, pykmip: &str) -> Res<()> {
    let text = format!(
        "Kept-open mutual TLS 1.3 connections, one request in flight on each, or {IN_FLIGHT} that are written in one write and their answers\n\
         read before the next {IN_FLIGHT}; latencies are then of all {IN_FLIGHT}. The region is the product's own parts (policy, audit log on\n\
         disk, metrics, log, locked memory), the echo is tokio-rustls alone with the same request, one in flight, and an answer of as many bytes. Server on\n\
         core {SERVER_CORE}, load on core {LOAD_CORE}, which never sleeps: waking it would be charged to the server that answers. {rounds} rounds of alternating windows of {} ms; ratios are of the two windows of one round:\n\
         median (lowest-highest). A target stands where there is one, for 8 connections and more; those of AES-256-CBC are older ones, for any number.\n\n\
         {}\n{}\n\n{pykmip}",
        WINDOW.as_millis(),
        head("echo", "req"),
        lines.join("\n")
    );
    paper::publish("kmip", "KMIP against a bare mutual-TLS echo, and PyKMIP", &text)
}
