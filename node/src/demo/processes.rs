//! The demo's processes: this same binary as `kcm run`, one a node, ended when the demo ends.

use std::{
    fs::{self, File},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use orbital::names::NodeName;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    process::{Child, Command},
};

use super::{DemoError, setup::Setup};

/// Longest wait for a process to answer.
const READY_TIMEOUT: Duration = Duration::from_secs(30);
/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// How long a process may take to end before it is killed.
const END_TIMEOUT: Duration = Duration::from_secs(5);
/// Lines of a log that an error shows.
const TAIL_LINES: usize = 12;

/// A running node.
struct Node {
    name: String,
    child: Child,
    log: PathBuf,
}

/// All of them, in the order in which they were started.
pub struct Processes {
    nodes: Vec<Node>,
}

impl Processes {
    /// Starts every node of the topology and waits until each answers and both lanes of each region are up.
    pub async fn start(setup: &Setup) -> Result<Self, DemoError> {
        let mut processes = Self { nodes: Vec::new() };
        for (name, _) in &setup.nodes {
            processes.nodes.push(spawn(setup, name)?);
        }
        let softs = setup.softs.len();
        for (at, (_, address)) in setup.nodes.iter().enumerate() {
            // A soft L1 has no health listener: that it takes connections is enough.
            processes.wait(at, *address, at >= softs).await?;
        }
        Ok(processes)
    }

    /// Process id of a node.
    pub fn pid(&self, name: &NodeName) -> Option<u32> {
        self.nodes.iter().find(|n| n.name == name.as_str()).and_then(|n| n.child.id())
    }

    async fn wait(&mut self, at: usize, address: SocketAddr, has_health: bool) -> Result<(), DemoError> {
        let began = Instant::now();
        loop {
            // Whichever it is: governance is not ready as long as a region is away.
            if let Some((node, log)) = self.ended() {
                return Err(DemoError::Ended { node, tail: tail(&log), log });
            }
            let Some(node) = self.nodes.get(at) else { return Ok(()) };
            let ready = if has_health { is_ready(address).await } else { TcpStream::connect(address).await.is_ok() };
            if ready {
                return Ok(());
            }
            if began.elapsed() > READY_TIMEOUT {
                let (node, log, tail) = (node.name.clone(), node.log.clone(), tail(&node.log));
                return Err(DemoError::NotReady { node, seconds: READY_TIMEOUT.as_secs(), log, tail });
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// A node that has ended since the last look, if one has: its name and its log.
    pub fn ended(&mut self) -> Option<(String, PathBuf)> {
        let at = self.nodes.iter_mut().position(|node| matches!(node.child.try_wait(), Ok(Some(_))))?;
        let node = self.nodes.remove(at);
        Some((node.name, node.log))
    }

    /// Asks each to end, and kills what has not after a while.
    pub async fn stop(mut self) {
        for node in &self.nodes {
            if let Some(pid) =
                node.child.id().and_then(|id| i32::try_from(id).ok()).and_then(rustix::process::Pid::from_raw)
            {
                // One that has ended by itself needs no signal.
                let _gone = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            }
        }
        for node in &mut self.nodes {
            if tokio::time::timeout(END_TIMEOUT, node.child.wait()).await.is_err() {
                let _gone = node.child.kill().await;
            }
        }
    }
}

fn spawn(setup: &Setup, name: &NodeName) -> Result<Node, DemoError> {
    let failed = |why| DemoError::Start { what: name.to_string(), why };
    let log = setup.dir.join("log").join(format!("{name}.log"));
    let file = File::create(&log).map_err(failed)?;
    let errors = file.try_clone().map_err(failed)?;
    let child = Command::new(std::env::current_exe().map_err(failed)?)
        .args(["run", "--node", name.as_str()])
        .arg(&setup.topology)
        .env(crate::run::PARENT_ENV, std::process::id().to_string())
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(errors)
        // Its own group: Ctrl-C at the terminal reaches the demo alone, which ends the others in order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .map_err(failed)?;
    Ok(Node { name: name.to_string(), child, log })
}

/// The last lines of a log.
pub(super) fn tail(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines.get(lines.len().saturating_sub(TAIL_LINES)..).unwrap_or_default().join("\n")
}

/// `/readyz` finds nothing wrong.
async fn is_ready(address: SocketAddr) -> bool {
    get(address, "/readyz").await.is_some_and(|(_, body)| body.get("status").and_then(Value::as_str) == Some("ready"))
}

/// One plain GET: status and body.
pub async fn get(address: SocketAddr, path: &str) -> Option<(u16, Value)> {
    let answer = tokio::time::timeout(Duration::from_secs(2), async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut text = String::new();
        stream.read_to_string(&mut text).await.ok()?;
        Some(text)
    });
    let text = answer.await.ok()??;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let status = head.split_whitespace().nth(1)?.parse().ok()?;
    Some((status, serde_json::from_str(body).unwrap_or(Value::Null)))
}
