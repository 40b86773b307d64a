//! Decisions of governance, from the portal's own API to the ledger on disk, against the disk's own fdatasync.
//!
//! A decision is a proposal and the approval that ratifies it, each signed by its person and sent over mutual TLS; an answer comes once the
//! entries are durable. The change is a ChangeRouting, which is governance's alone: what regions do is not in these figures. No region runs.

mod common;

use std::{
    path::Path,
    process::ExitCode,
    time::{Duration, Instant},
};

use common::{
    Args, Res,
    decide::{Decider, Took, decide, deciders},
    governance::{Governance, Site, fdatasync_us},
    paper,
    people::newcomers,
    stats::{self, Aim},
};
use ledger::testing::{Postgres, ROLE};
use node::telemetry;

const ROUNDS: usize = 12;
const WINDOW: Duration = Duration::from_millis(800);
/// Decisions in flight; each is another tenant's, over a connection of its own.
const IN_FLIGHT: [usize; 3] = [1, 8, 64];
/// Before each window, and after it.
const SYNCS: usize = 50;
const AIM: Aim = Aim::AtMost(10.0);
const DATABASE: &str = "bench";

fn main() -> ExitCode {
    common::kcm_or(bench)
}

fn bench(args: &Args) -> Res<()> {
    telemetry::start_tls()?;
    let rounds = args.number("rounds", ROUNDS)?;
    let folder = tempfile::tempdir()?;
    let postgres = Postgres::with_ledger(&[], DATABASE)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let backends = runtime.block_on(async {
        let mut backends = vec![Backend::start("redb", &folder.path().join("redb"), None).await?];
        if let Some(server) = &postgres {
            let password = folder.path().join("password");
            std::fs::write(&password, ROLE.1)?;
            let ledger = format!(
                "ledger = {{ kind = \"postgres\", hosts = [\"127.0.0.1:{}\"], database = \"{DATABASE}\", user = \"{}\", password_file = \"{}\" }}",
                server.port,
                ROLE.0,
                password.display()
            );
            let home = folder.path().join("postgres");
            backends.push(Backend::start("PostgreSQL", &home, Some(&ledger)).await?);
        }
        for _ in 0..rounds {
            for backend in &mut backends {
                for at in 0..IN_FLIGHT.len() {
                    backend.round(at, folder.path()).await?;
                }
            }
        }
        Res::Ok(backends)
    })?;
    publish(&backends, rounds)
}

/// What one window showed, microseconds.
#[derive(Default)]
struct Window {
    syncs: Vec<f64>,
    took: Vec<Took>,
    per_second: f64,
}

/// Governance over one kind of ledger, and those who decide there.
struct Backend {
    name: &'static str,
    _governance: Governance,
    deciders: Vec<Decider>,
    /// By the place of what was in flight in [`IN_FLIGHT`].
    windows: [Vec<Window>; IN_FLIGHT.len()],
}

impl Backend {
    async fn start(name: &'static str, folder: &Path, ledger: Option<&str>) -> Res<Self> {
        let site = Site::write(folder, ledger)?;
        let geneses = newcomers(&site.setup, IN_FLIGHT.into_iter().max().unwrap_or_default())?;
        let governance = site.start().await?;
        let deciders = deciders(&site, geneses).await?;
        Ok(Self { name, _governance: governance, deciders, windows: Default::default() })
    }

    async fn round(&mut self, at: usize, folder: &Path) -> Res<()> {
        let mut window = Window { syncs: fdatasync_us(folder, SYNCS)?, ..Window::default() };
        let in_flight = IN_FLIGHT.get(at).copied().unwrap_or_default();
        let began = Instant::now();
        window.took = decide(&mut self.deciders, in_flight, move || began.elapsed() < WINDOW).await?;
        window.per_second = window.took.len() as f64 / began.elapsed().as_secs_f64();
        window.syncs.extend(fdatasync_us(folder, SYNCS)?);
        self.windows.get_mut(at).ok_or("no such window")?.push(window);
        Ok(())
    }
}

fn row(name: &str, in_flight: usize, windows: &[Window]) -> String {
    let tails = |of: &dyn Fn(&Window) -> Vec<f64>| {
        let median = |share| {
            stats::median(&mut windows.iter().map(|w| stats::percentile(&mut of(w), share)).collect::<Vec<_>>())
        };
        format!("{:.0} / {:.0}", median(0.5), median(0.99))
    };
    let times = |of: &dyn Fn(&Window) -> Vec<f64>| {
        let ratio = |w: &Window| stats::median(&mut of(w)) / stats::median(&mut w.syncs.clone());
        (if in_flight == 1 { AIM } else { Aim::None }).judge(&windows.iter().map(ratio).collect::<Vec<_>>())
    };
    let proposals = |w: &Window| w.took.iter().map(|took| took.proposal).collect::<Vec<_>>();
    let approvals = |w: &Window| w.took.iter().map(|took| took.approval).collect::<Vec<_>>();
    format!(
        "| {name} | {in_flight} | {} | {} | {} | {} | {} | {} |",
        tails(&|w| w.syncs.clone()),
        tails(&proposals),
        times(&proposals),
        tails(&approvals),
        times(&approvals),
        stats::spread(&windows.iter().map(|w| w.per_second).collect::<Vec<_>>(), 0),
    )
}

fn publish(backends: &[Backend], rounds: usize) -> Res<()> {
    let rows = backends.iter().flat_map(|backend| {
        IN_FLIGHT.into_iter().zip(&backend.windows).map(|(in_flight, windows)| row(backend.name, in_flight, windows))
    });
    let lines: Vec<String> = rows.collect();
    let text = format!(
        "Governance is a process of its own, its clients another one, on the same cores; no region runs. A decision is a ChangeRouting:\n\
         alice proposes, bob approves, and it is in force. Each of what is in flight is another tenant's, over a kept-open connection of mutual\n\
         TLS of its own; the times are from the request to the answer, which comes once ledger and disk have it, without the clients' signing. Before\n\
         each window and after it, {SYNCS} times, one fdatasync of a page of 4 KiB on the same file system, with nothing else of the bench running. {rounds} rounds of alternating\n\
         windows of {} ms; ratios are of p50 within one window: median (lowest-highest).\n\n\
         | ledger | in flight | fdatasync p50 / p99 us | propose p50 / p99 us | p50, times fdatasync's | approve p50 / p99 us | p50, times fdatasync's | decisions/s |\n\
         |---|---|---|---|---|---|---|---|\n{}",
        WINDOW.as_millis(),
        lines.join("\n")
    );
    paper::publish("governance", "Decisions of governance", &text)
}
