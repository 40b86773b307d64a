//! Governance alone, as a process of this same binary: no region runs, so that what is measured is governance's own.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::FileExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use node::{
    demo::{
        pki::{Authority, Files},
        setup,
        setup::Setup,
    },
    kmip_client::tls_config,
};
use rustix::process::{Pid, Signal, kill_process};
use rustls::ClientConfig;
use serde_json::{Value, json};

use super::{Res, rest::Rest};

/// How long governance may take until it answers.
const PATIENCE: Duration = Duration::from_secs(600);
/// What the topology of the demo says of its ledger.
const LEDGER: &str = "ledger = { kind = \"redb\" }";
/// Operators under load, besides the demo's own: one certificate has no more than 32 connections.
const LOAD: [&str; 2] = ["spiffe://kcm-demo/person/load-1", "spiffe://kcm-demo/person/load-2"];

/// The demo's files, with another ledger and more operators.
pub struct Site {
    pub setup: Setup,
    load: Vec<Files>,
}

impl Site {
    /// Writes the files. `ledger` is the line of the topology that names it.
    pub fn write(folder: &Path, ledger: Option<&str>) -> Res<Self> {
        let setup = setup::write(folder, None)?;
        let text = fs::read_to_string(&setup.topology)?;
        let (operators, more) = ("operators = [", format!("operators = [\"{}\", ", LOAD.join("\", \"")));
        if !(text.contains(LEDGER) && text.contains(operators)) {
            return Err("the topology of the demo is not as the benches know it".into());
        }
        fs::write(&setup.topology, text.replace(LEDGER, ledger.unwrap_or(LEDGER)).replace(operators, &more))?;
        let authority = Authority::new(folder, "load")?;
        // The listener takes whoever one of these CAs vouches for.
        File::options().append(true).open(&setup.portal.ca)?.write_all(&fs::read(authority.ca_path())?)?;
        let load = LOAD.iter().enumerate().map(|(at, uri)| authority.issue(&format!("load-{at}"), "load", Some(uri)));
        Ok(Self { load: load.collect::<Result<_, _>>()?, setup })
    }

    /// The client's side of mutual TLS, for each operator under load.
    pub fn clients(&self) -> Res<Vec<Arc<ClientConfig>>> {
        let ca = &self.setup.portal.ca;
        self.load.iter().map(|files| Ok(tls_config(ca, &files.cert, &files.key)?)).collect()
    }

    pub async fn rest(&self) -> Res<Rest> {
        let portal = &self.setup.portal;
        Rest::open(self.setup.rest, tls_config(&portal.ca, &portal.cert, &portal.key)?).await
    }

    /// Starts governance and waits until it answers.
    pub async fn start(&self) -> Res<Governance> {
        let log = self.setup.dir.join("gov-1.log");
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["run", "--node", "gov-1"]).arg(&self.setup.topology);
        let (began, out) = (Instant::now(), File::create(&log)?);
        let process = command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).spawn()?;
        let mut governance = Governance { process, started: Duration::ZERO };
        loop {
            if let Ok(mut rest) = self.rest().await {
                rest.get("/v1/tenants").await?;
                governance.started = began.elapsed();
                return Ok(governance);
            }
            if governance.process.try_wait()?.is_some() || began.elapsed() > PATIENCE {
                return Err(format!("governance does not answer:\n{}", fs::read_to_string(&log)?).into());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Runs a command of `kcm` as the first operator: what it printed as JSON, and how long the process took.
    pub fn kcm(&self, words: &[&str]) -> Res<(Value, Duration)> {
        let (portal, context) = (&self.setup.portal, self.setup.dir.join("context.json"));
        let url = format!("https://localhost:{}", self.setup.rest.port());
        let told = json!({ "portal": { "url": url, "ca": portal.ca, "cert": portal.cert, "key": portal.key } });
        fs::write(&context, told.to_string())?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(words).args(["--output", "json", "--context"]).arg(&context);
        let began = Instant::now();
        let said = command.stdin(Stdio::null()).output()?;
        let took = began.elapsed();
        if !said.status.success() {
            return Err(format!("kcm {}: {}", words.join(" "), String::from_utf8_lossy(&said.stderr)).into());
        }
        Ok((serde_json::from_slice(&said.stdout)?, took))
    }

    pub fn ledger(&self) -> PathBuf {
        self.setup.dir.join("gov-1/store/ledger.redb")
    }
}

/// The process. Ends when it is dropped.
pub struct Governance {
    process: std::process::Child,
    /// From its start to its first answer over REST.
    pub started: Duration,
}

impl Governance {
    /// Asks it to end, and waits.
    pub fn stop(mut self) -> Res<()> {
        let pid = Pid::from_raw(i32::try_from(self.process.id())?).ok_or("no process has the id 0")?;
        kill_process(pid, Signal::TERM)?;
        self.process.wait()?;
        Ok(())
    }

    /// Resident MiB of the process now.
    pub fn resident_mib(&self) -> Res<f64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).ok_or("no VmRSS")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1024.0)
    }
}

impl Drop for Governance {
    fn drop(&mut self) {
        // One that has ended by itself needs neither.
        let _gone = self.process.kill();
        let _gone = self.process.wait();
    }
}

/// One fdatasync each of a page written over another, microseconds: what the disk asks for the least that is durable.
pub fn fdatasync_us(folder: &Path, count: usize) -> Res<Vec<f64>> {
    const PAGES: usize = 256;
    const PAGE: [u8; 4096] = [0x5a; 4096];
    let file = File::options().create(true).truncate(false).write(true).open(folder.join("fdatasync"))?;
    for page in 0..PAGES {
        file.write_all_at(&PAGE, (page * PAGE.len()) as u64)?;
    }
    file.sync_all()?;
    let one = |number: usize| {
        file.write_all_at(&PAGE, (number % PAGES * PAGE.len()) as u64)?;
        let began = Instant::now();
        file.sync_data()?;
        Ok(began.elapsed().as_secs_f64() * 1e6)
    };
    (0..count).map(one).collect()
}
