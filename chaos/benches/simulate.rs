//! The simulation of a kill for a tenant with a thousand systems, against one with a single system.

mod common;

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use common::{
    Args, Res,
    governance::Site,
    paper,
    people::{key, newcomers},
    stats,
};
use node::{demo::people::PEOPLE, telemetry};
use orbital::{
    chain::Genesis,
    names::{Person, System},
    sign::Kind,
};
use serde_json::Value;

const SYSTEMS: usize = 1_000;
const REPORTS: usize = 500;
/// Whole commands.
const COMMANDS: usize = 50;

fn main() -> ExitCode {
    common::kcm_or(bench)
}

fn bench(args: &Args) -> Res<()> {
    telemetry::start_tls()?;
    let systems = args.number("systems", SYSTEMS)?;
    let folder = tempfile::tempdir()?;
    let site = Site::write(folder.path(), None)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let lines = runtime.block_on(async {
        let geneses = newcomers(&site.setup, 2)?;
        let _governance = site.start().await?;
        let mut tenants = Vec::new();
        for (genesis, count) in geneses.into_iter().zip([1, systems]) {
            tenants.push(Tenant::founded(&site, genesis, count).await?);
        }
        // In turn, so that what else the machine does falls on both.
        for number in 0..REPORTS {
            for tenant in &mut tenants {
                tenant.report().await?;
                if number % (REPORTS / COMMANDS) == 0 {
                    tenant.command(&site)?;
                }
            }
        }
        Res::Ok(tenants.iter().map(Tenant::row).collect::<Vec<_>>())
    })?;
    publish(&lines)
}

struct Tenant {
    id: String,
    systems: usize,
    rest: common::rest::Rest,
    reports: Vec<Duration>,
    commands: Vec<Duration>,
    bytes: usize,
}

impl Tenant {
    async fn founded(site: &Site, genesis: Genesis, systems: usize) -> Res<Self> {
        let mut root = genesis.found()?.current().clone();
        for number in root.systems.len()..systems {
            root.systems.insert(System::new(format!("system-{number:04}"))?);
        }
        let bytes = root.to_bytes()?;
        let sign =
            |(person, _): &(&str, _)| Ok((Person::new(person)?, key(&site.setup, person)?.sign(Kind::Trust, &bytes)));
        let genesis = Genesis { signatures: PEOPLE.iter().map(sign).collect::<Res<_>>()?, root: bytes };
        let mut rest = site.rest().await?;
        let id = genesis.found()?.tenant().to_string();
        rest.post("/v1/tenants", &serde_json::to_value(&genesis)?).await?;
        Ok(Self { id, systems, rest, reports: Vec::new(), commands: Vec::new(), bytes: 0 })
    }

    async fn report(&mut self) -> Res<()> {
        let began = Instant::now();
        let shown = self
            .rest
            .post(&format!("/v1/tenants/{}/revocations:simulate", self.id), &Value::Object(Default::default()))
            .await?;
        self.reports.push(began.elapsed());
        let told = shown.get("systems").and_then(Value::as_array).map_or(0, Vec::len);
        if told != self.systems {
            return Err(format!("the report tells of {told} systems of {}", self.systems).into());
        }
        self.bytes = shown.to_string().len();
        Ok(())
    }

    fn command(&mut self, site: &Site) -> Res<()> {
        self.commands.push(site.kcm(&["revoke", "simulate", "--tenant", &self.id])?.1);
        Ok(())
    }

    fn row(&self) -> String {
        let (reports, commands) = (stats::tail_ms(&self.reports), stats::tail_ms(&self.commands));
        format!("| {} | {} | {reports} | {commands} |", self.systems, self.bytes)
    }
}

fn publish(lines: &[String]) -> Res<()> {
    let text = format!(
        "Governance is a process of its own; no region runs, so that none has said what its clients use. The report is asked for over a kept-open\n\
         connection of mutual TLS ({REPORTS} times); `kcm revoke simulate` is a whole process, with a new connection ({COMMANDS} times). The tenants are asked in\n\
         turn.\n\n\
         | systems | bytes of the report | report p50 / p99 ms | kcm revoke simulate p50 / p99 ms |\n|---|---|---|---|\n{}",
        lines.join("\n")
    );
    paper::publish("simulate", "The kill switch simulated", &text)
}
