//! An ordinary directive over the whole way, alone and behind ten thousand others (REQ-022).
//!
//! The cluster is that of `kcm demo`, in real processes. First: decisions of two people, one after the other, with empty queues. Then
//! the three regions are halted as a host halts a process, as many tenants are provisioned as make ten thousand directives owed, one
//! more decision is made, and the regions go on. Each decision's time is governance's own: from the arrival of the ratifying approval
//! until the last region's signed answer arrived; the ledger's commit lies in between.

mod common;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use common::{
    Args, Res, paper,
    people::{People, newcomers, number},
    stats,
};
use node::{
    demo::{processes::Processes, setup, setup::Setup},
    telemetry,
};
use orbital::{chain::Genesis, change::Action, names::System};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

/// Decisions with empty queues.
const ALONE: usize = 100;
/// Directives that are owed before the one that is measured.
const QUEUED: usize = 10_000;
const ALONE_TARGET_MS: f64 = 1_000.0;
const BEHIND_TARGET_S: f64 = 120.0;
/// How long the queue may take, target or not.
const PATIENCE: Duration = Duration::from_secs(900);

fn main() -> ExitCode {
    common::kcm_or(bench)
}

fn bench(args: &Args) -> Res<()> {
    telemetry::start_tls()?;
    let (alone, queued) = (args.number("alone", ALONE)?, args.number("queued", QUEUED)?);
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let setup = setup::write(&folder.path().join("demo"), None)?;
        let newcomers = newcomers(&setup, queued.div_ceil(setup::REGIONS.len()))?;
        let processes = Processes::start(&setup).await?;
        let told = measured(&setup, &processes, alone, &newcomers).await;
        processes.stop().await;
        publish(&told?)
    })
}

struct Told {
    alone: Vec<f64>,
    /// Directives that no region had answered when it went on.
    owed: usize,
    behind_s: f64,
    /// Until every region had answered everything.
    emptied_s: f64,
    refused: usize,
}

async fn measured(setup: &Setup, processes: &Processes, alone: usize, newcomers: &[Genesis]) -> Res<Told> {
    let mut people = People::of(setup).await?;
    people.found(0).await?;
    let mut times = Vec::new();
    for number in 0..alone {
        times.push(decide(&mut people, number).await?);
    }
    let halted = Halted::new(setup, processes)?;
    for (number, genesis) in newcomers.iter().enumerate() {
        people.rest.post("/v1/tenants", &serde_json::to_value(genesis)?).await?;
        if number % 1_000 == 999 {
            println!("{} tenants provisioned", number + 1);
        }
    }
    let owed = depth(&mut people).await?;
    people.patience = PATIENCE;
    let began = Instant::now();
    drop(halted);
    let behind_ms = decide(&mut people, alone).await?;
    while depth(&mut people).await? > 0 {
        if began.elapsed() > PATIENCE {
            return Err("the regions do not answer everything that they are owed".into());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let emptied_s = began.elapsed().as_secs_f64();
    let refused = unknown(&mut people, newcomers.len() + 1).await?;
    Ok(Told { alone: times, owed, behind_s: behind_ms / 1_000.0, emptied_s, refused })
}

/// One decision of two people that every region has to make its own.
async fn decide(people: &mut People<'_>, number: usize) -> Res<f64> {
    let system = System::new(format!("system-{number}"))?;
    let mut next = people.successor(0)?;
    next.systems.insert(system.clone());
    let took_ms = people.decide(0, Action::RegisterSystem { system, next: Box::new(next) }, "alice", &["bob"]).await?;
    people.follow(0).await?;
    Ok(took_ms)
}

/// Region processes that stand still until this is dropped.
struct Halted(Vec<Pid>);

impl Halted {
    fn new(setup: &Setup, processes: &Processes) -> Res<Self> {
        let pids = setup.regions.iter().map(|place| {
            let pid = processes.pid(&place.node).ok_or("a region does not run")?;
            Pid::from_raw(i32::try_from(pid)?).ok_or_else(|| "no process has the id 0".into())
        });
        let halted = Self(pids.collect::<Res<_>>()?);
        for pid in &halted.0 {
            kill_process(*pid, Signal::STOP)?;
        }
        Ok(halted)
    }
}

impl Drop for Halted {
    fn drop(&mut self) {
        for pid in &self.0 {
            // One that has ended meanwhile is found by whoever waits for it.
            let _gone = kill_process(*pid, Signal::CONT);
        }
    }
}

async fn regions(people: &mut People<'_>) -> Res<Vec<Value>> {
    let page = people.rest.get("/v1/regions").await?;
    Ok(page.get("items").and_then(Value::as_array).ok_or("a page without items")?.clone())
}

/// Ordinary directives that regions have not answered.
async fn depth(people: &mut People<'_>) -> Res<usize> {
    let depth = |region: &Value| region.get("ordinary")?.get("depth").and_then(number);
    let all = regions(people).await?.iter().map(depth).collect::<Option<Vec<_>>>().ok_or("a region without depth")?;
    Ok(usize::try_from(all.iter().sum::<u64>())?)
}

/// How many of the tenants that each region was to be given it does not name.
async fn unknown(people: &mut People<'_>, expected: usize) -> Res<usize> {
    let began = Instant::now();
    loop {
        let named =
            |region: &Value| region.get("tenants").and_then(Value::as_object).map_or(0, |tenants| tenants.len());
        let missing = regions(people).await?.iter().map(|region| expected.saturating_sub(named(region))).sum();
        // What a region says it holds is a few seconds old.
        if missing == 0 || began.elapsed() > Duration::from_secs(30) {
            return Ok(missing);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn publish(told: &Told) -> Res<()> {
    let [p50, p99, _, most] = stats::tail(&told.alone);
    let met = |met: bool| if met { "met" } else { "missed" };
    let text = format!(
        "The processes of `kcm demo` on one machine, release build of this bench's binary. A RegisterSystem of two people, from the arrival\n\
         of the ratifying approval (the ledger's commit lies behind it) to the last of three regions' signed answers, as governance\n\
         measures it. Alone: {} of them, one after the other. Behind a queue: the three region processes were halted, {} tenants were provisioned,\n\
         which left {} ordinary directives owed, the regions went on, and one more was decided; regions sync each tenant to disk.\n\n\
         | | result | target |\n|---|---|---|\n\
         | alone, p50 / p99 / max | {p50:.1} / {p99:.1} / {most:.1} ms | p99 under 1 s: {} |\n\
         | behind the queue | {:.1} s | under 2 minutes: {} |\n\
         | until every directive was answered by every region | {:.1} s | |\n\n\
         Tenants that a region did not hold afterwards: **{}**.",
        told.alone.len(),
        told.owed.div_ceil(setup::REGIONS.len()),
        told.owed,
        met(p99 < ALONE_TARGET_MS),
        told.behind_s,
        met(told.behind_s < BEHIND_TARGET_S),
        told.emptied_s,
        told.refused,
    );
    paper::publish("ordinary", "An ordinary directive, alone and behind ten thousand", &text)
}
