//! KMIP against the limit: Encrypt and Get over kept-open mutual TLS, and beside them a bare echo of as many bytes, in turn.
//!
//! Region and echo are processes of their own on one core, the load is on another. Each round asks the echo for half a second and the
//! region for half a second; what is compared is the two windows of a round. CPU is the server process's own, all threads.

mod common;

use std::{path::Path, sync::Arc, time::Duration};

use common::{
    Args, Res,
    child::{self, Child},
    echo,
    load::{self, Connection, Question, Window},
    paper,
    pki::Pki,
    region::{self, Ask, Clocks, Region, Wanting},
    stats,
};
use node::telemetry::{self, Plane, Style};
use orbital::names::NodeName;
use tokio::{net::TcpListener, runtime::Runtime};

const SERVER_CORE: usize = 0;
const LOAD_CORE: usize = 1;
const ROUNDS: usize = 10;
const WINDOW: Duration = Duration::from_millis(500);
const WARM_UP: Duration = Duration::from_millis(300);
const CONNECTIONS: [usize; 3] = [1, 8, 64];
const SLOTS: usize = 4096;
/// As `kcm run` logs.
const LOG_FILTER: &str = "info,ractor=warn,ractor_cluster=error,aws_config=warn,hyper=warn";
const CPU_TARGET: f64 = 1.5;
const THROUGHPUT_TARGET: f64 = 0.70;

fn main() -> Res<()> {
    let args = Args::read();
    telemetry::start_tls()?;
    match args.get("role") {
        Some("region") => region_role(&args),
        Some("echo") => echo_role(&args),
        _ => bench(&args),
    }
}

fn runtime() -> Res<Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

fn region_role(args: &Args) -> Res<()> {
    child::pin(SERVER_CORE);
    let folder = Path::new(args.need("folder")?);
    telemetry::start_log(&NodeName::new("bench-1")?, Plane::Execution, Style::Text, LOG_FILTER)?;
    let _metrics = telemetry::start_metrics()?;
    let runtime = runtime()?;
    let (pki, l1) = (Pki::of(folder), args.need("l1")?.parse()?);
    let (region, key, port) = runtime.block_on(async {
        let region = Region::start(Wanting { folder, pki: &pki, l1, slots: SLOTS, clocks: Clocks::default() }).await?;
        let key = region.create().await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        tokio::spawn(kmip_server::serve(listener, region.server.clone(), std::future::pending()));
        Res::Ok((region, key, port))
    })?;
    child::say(&format!("{port} {key}"))?;
    child::answer(|_| region.keyring.usage().slots_used.to_string())
}

/// One listener for each size of an answer.
fn echo_role(args: &Args) -> Res<()> {
    child::pin(SERVER_CORE);
    let pki = Pki::of(Path::new(args.need("folder")?));
    let runtime = runtime()?;
    let mut ports = Vec::new();
    for bytes in args.need("bytes")?.split(',') {
        let (bytes, tls) = (bytes.parse()?, pki.mutual()?);
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        ports.push(listener.local_addr()?.port().to_string());
        runtime.spawn(echo::serve(listener, tls, bytes));
    }
    child::say(&ports.join(" "))?;
    child::answer(|_| String::new())
}

/// One kind of request, at both servers.
struct Subject {
    ask: Ask,
    region: Question,
    echo: Question,
    echo_port: u16,
}

/// What one round measured.
struct Round {
    echo_cpu_us: f64,
    echo: Window,
    region_cpu_us: f64,
    region: Window,
}

fn bench(args: &Args) -> Res<()> {
    let rounds = args.number("rounds", ROUNDS)?;
    // `--connections N` looks at one row of each operation, and writes nothing.
    let only = args.number("connections", 0)?;
    child::pin(LOAD_CORE);
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let pki = Pki::create(folder)?;
    // One thread, which `load::window` keeps awake.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let l1 = runtime.block_on(region::soft_l1(folder, &pki))?;
    let place = folder.display().to_string();
    let options = [("folder", place.clone()), ("l1", l1.to_string())];
    let (mut server, ready) = Child::start("region", &options, &folder.join("region.log"))?;
    let (port, key) = ready.split_once(' ').ok_or("the region said no port")?;
    let port: u16 = port.parse()?;
    let tls = pki.client()?;

    let regions = Ask::ALL.into_iter().map(|ask| runtime.block_on(question(ask, key, port, &tls)));
    let regions = regions.collect::<Res<Vec<_>>>()?;
    let bytes: Vec<_> = regions.iter().map(|question| question.answer_bytes.to_string()).collect();
    let options = [("folder", place), ("bytes", bytes.join(","))];
    let (mut echo, ports) = Child::start("echo", &options, &folder.join("echo.log"))?;
    let mut lines = Vec::new();
    for ((ask, region), echo_port) in Ask::ALL.into_iter().zip(regions).zip(ports.split(' ')) {
        let echo_question = Question { status_at: None, ..region.clone() };
        let subject = Subject { ask, region, echo: echo_question, echo_port: echo_port.parse()? };
        let counts = if only == 0 { CONNECTIONS.to_vec() } else { vec![only] };
        for connections in counts {
            let at_region = runtime.block_on(load::open(connections, port, &tls))?;
            let at_echo = runtime.block_on(load::open(connections, subject.echo_port, &tls))?;
            let mut sides = Sides { runtime: &runtime, region: (&mut server, at_region), echo: (&mut echo, at_echo) };
            let found = sides.rounds(&subject, rounds)?;
            let line = line(&subject, connections, &found);
            println!("{line}");
            lines.push(line);
        }
    }
    if only == 0 { publish(&lines, rounds) } else { Ok(()) }
}

/// Asks once, reads the answer in full, and finds where its Result Status stands.
async fn question(ask: Ask, key: &str, port: u16, tls: &Arc<rustls::ClientConfig>) -> Res<Question> {
    let request: Arc<[u8]> = ask.frame(key).into();
    let mut connection = Connection::open(port, tls.clone()).await?;
    let answer = connection.ask(&request).await?;
    ask.check(answer)?;
    // Result Status: tag 42007F, type Enumeration (05), length 4.
    let head = [0x42, 0x00, 0x7f, 0x05, 0, 0, 0, 4];
    let at = answer.windows(head.len()).position(|window| window == head).ok_or("an answer without Result Status")?;
    Ok(Question { request, answer_bytes: answer.len(), status_at: Some(at + head.len()) })
}

struct Sides<'a> {
    runtime: &'a Runtime,
    region: (&'a mut Child, Vec<Connection>),
    echo: (&'a mut Child, Vec<Connection>),
}

impl Sides<'_> {
    fn rounds(&mut self, subject: &Subject, rounds: usize) -> Res<Vec<Round>> {
        measure(self.runtime, &mut self.echo, &subject.echo, WARM_UP)?;
        measure(self.runtime, &mut self.region, &subject.region, WARM_UP)?;
        let one = |_| {
            let (echo_cpu_us, echo) = measure(self.runtime, &mut self.echo, &subject.echo, WINDOW)?;
            let (region_cpu_us, region) = measure(self.runtime, &mut self.region, &subject.region, WINDOW)?;
            Ok(Round { echo_cpu_us, echo, region_cpu_us, region })
        };
        (0..rounds).map(one).collect()
    }
}

/// One window, and the server's CPU time for each request in it.
fn measure(
    runtime: &Runtime,
    (server, connections): &mut (&mut Child, Vec<Connection>),
    question: &Question,
    duration: Duration,
) -> Res<(f64, Window)> {
    let before = server.cpu_ns()?;
    let (back, window) = runtime.block_on(load::window(std::mem::take(connections), question, duration))?;
    let spent = server.cpu_ns()? - before;
    *connections = back;
    Ok((spent as f64 / 1_000.0 / window.requests as f64, window))
}

fn line(subject: &Subject, connections: usize, rounds: &[Round]) -> String {
    let each = |of: &dyn Fn(&Round) -> f64| rounds.iter().map(of).collect::<Vec<_>>();
    let middle = |of: &dyn Fn(&Round) -> f64| stats::median(&mut each(of));
    let cpu = each(&|round| round.region_cpu_us / round.echo_cpu_us);
    let throughput = each(&|round| round.region.per_second() / round.echo.per_second());
    let verdict = |met: bool| if met { "met" } else { "missed" };
    let (cpu_met, rate_met) =
        (stats::median(&mut cpu.clone()) <= CPU_TARGET, stats::median(&mut throughput.clone()) >= THROUGHPUT_TARGET);
    format!(
        "| {} | {connections} | {:.1} | {:.1} | {} {} | {:.0} | {:.0} | {} {} | {:.0} / {:.0} | {:.0} / {:.0} |",
        subject.ask.name(),
        middle(&|round| round.echo_cpu_us),
        middle(&|round| round.region_cpu_us),
        stats::spread(&cpu, 2),
        verdict(cpu_met),
        middle(&|round| round.echo.per_second()),
        middle(&|round| round.region.per_second()),
        stats::spread(&throughput, 2),
        verdict(rate_met),
        middle(&|round| round.echo.tail_us()[0]),
        middle(&|round| round.echo.tail_us()[1]),
        middle(&|round| round.region.tail_us()[0]),
        middle(&|round| round.region.tail_us()[1]),
    )
}

fn publish(lines: &[String], rounds: usize) -> Res<()> {
    let text = format!(
        "Kept-open mutual TLS 1.3 connections, one request in flight on each. The region is the product's own parts (policy, audit log on\n\
         disk, metrics, log, locked memory), the echo is tokio-rustls alone with the same request and an answer of as many bytes. Server on\n\
         core {SERVER_CORE}, load on core {LOAD_CORE}, which never sleeps: waking it would be charged to the server that answers. {rounds} rounds of alternating windows of {} ms; ratios are of the two windows of one round:\n\
         median (lowest-highest). Targets: CPU at most {CPU_TARGET} of the echo's, throughput at least {THROUGHPUT_TARGET:.2} of it.\n\n\
         | operation | connections | echo CPU us | KMIP CPU us | CPU, times the echo's | echo req/s | KMIP req/s | throughput, of the echo's | echo p50 / p99 us | KMIP p50 / p99 us |\n\
         |---|---|---|---|---|---|---|---|---|---|\n{}",
        WINDOW.as_millis(),
        lines.join("\n")
    );
    paper::publish("kmip", "KMIP against a bare mutual-TLS echo", &text)
}
