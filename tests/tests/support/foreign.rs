//! A demo cluster of its own for one test, and what people and foreign programs do with it: every wait has an end, nothing sleeps.

#![allow(dead_code, reason = "each test file uses its part of this one")]

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// Until a cluster is up and founded. Two cores may run several at once.
pub(crate) const START_TIMEOUT: Duration = Duration::from_secs(120);
/// Of one command; a stuck one is killed. Longer than [`WAIT`].
const COMMAND_TIMEOUT_S: u32 = 90;
/// How long a command waits for every region's answer.
pub(crate) const WAIT: &str = "60s";
/// Until a state that comes by itself, such as an L1 probe's, is there.
pub(crate) const SEEN_TIMEOUT: Duration = Duration::from_secs(30);
/// Lines of a log that a failure shows, without those that say that all is well.
const TAIL_LINES: usize = 60;
const ROUTINE: [&str; 2] = ["portal: answered", "correlation=lease"];
/// Between two looks at a condition.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// The last line of the demo's first screen.
const READY: &str = "Ctrl-C ends everything";

/// The binary under test: beside this test, where `cargo build --bins` puts it, or `KCM_BIN`.
pub(crate) fn kcm_path() -> PathBuf {
    let beside = || Some(std::env::current_exe().ok()?.parent()?.parent()?.join("kcm"));
    let path = std::env::var_os("KCM_BIN").map(PathBuf::from).or_else(beside).unwrap();
    assert!(path.exists(), "{} is not there: run `cargo build -p node --bin kcm` first", path.display());
    path
}

/// The Python environment of the foreign programs, if there is one.
pub(crate) fn venv(test: &str) -> Option<PathBuf> {
    let venv = std::env::var_os("KCM_VENV").map(PathBuf::from);
    if venv.is_none() {
        println!("{test}: skipped: KCM_VENV names no Python environment (`make test` makes one)");
    }
    venv
}

/// A program of tests/foreign.
pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign").join(name)
}

/// A command that is killed when it takes too long; `timeout` answers 124 then.
pub(crate) fn bounded(program: &Path) -> Command {
    bounded_by(COMMAND_TIMEOUT_S, program)
}

/// The same, with a time of its own. What it started is killed with it.
pub(crate) fn bounded_by(seconds: u32, program: &Path) -> Command {
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", &seconds.to_string()]).arg(program).stdin(Stdio::null());
    command
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ran {
    pub(crate) fn of(output: &Output) -> Self {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let code = output.status.code().unwrap_or(-1);
        assert_ne!(code, 124, "it did not end in time: {}", text(&output.stderr));
        Self { code, stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// All that was said, for looking up words.
    pub(crate) fn said(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }

    /// The last JSON document; before it may stand lines of progress.
    pub(crate) fn json(&self) -> Value {
        serde_json::Deserializer::from_str(&self.stdout).into_iter().filter_map(Result::ok).last().unwrap_or_default()
    }

    #[track_caller]
    pub(crate) fn ends_with(self, code: i32) -> Self {
        assert_eq!(self.code, code, "{}", self.said());
        self
    }

    #[track_caller]
    pub(crate) fn says(self, words: &[&str]) -> Self {
        for word in words {
            assert!(self.said().contains(word), "no `{word}` in: {}", self.said());
        }
        self
    }
}

/// What a KMIP client needs.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    pub(crate) address: String,
    pub(crate) ca: PathBuf,
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Client {
    /// The arguments of every program of tests/foreign.
    pub(crate) fn arguments(&self, command: &mut Command) {
        command.args(["--address", &self.address]);
        for (name, path) in [("--ca", &self.ca), ("--cert", &self.cert), ("--key", &self.key)] {
            command.arg(name).arg(path);
        }
    }
}

/// A running `kcm demo`; ended with this value.
pub(crate) struct Demo {
    process: Child,
    pub(crate) dir: PathBuf,
    pub(crate) json: Value,
    /// Both are open as long as the demo runs: it must be able to print.
    lines: mpsc::Receiver<String>,
    errors: mpsc::Receiver<String>,
    /// Nodes that were started again by hand.
    again: Vec<Child>,
    _folder: tempfile::TempDir,
}

impl Demo {
    pub(crate) fn start() -> Self {
        Self::start_with(&[], &[])
    }

    /// Starts a demo with more arguments and environment, and waits for the end of its first screen.
    pub(crate) fn start_with(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("demo");
        let mut process = Command::new(kcm_path())
            .args(["demo", "--dir"])
            .arg(&dir)
            .args(arguments)
            .envs(environment.iter().copied())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = reading(process.stdout.take().unwrap());
        let errors = reading(process.stderr.take().unwrap());
        let mut demo = Self { process, json: Value::Null, dir, lines, errors, again: Vec::new(), _folder: folder };
        let since = Instant::now();
        loop {
            let left = START_TIMEOUT.saturating_sub(since.elapsed());
            match demo.lines.recv_timeout(left) {
                Ok(line) if line.contains(READY) => break,
                Ok(_) => {}
                Err(_) => panic!("the demo did not come up: {}", demo.errors.iter().collect::<Vec<_>>().join("\n")),
            }
        }
        demo.json = serde_json::from_str(&fs::read_to_string(demo.context()).unwrap()).unwrap();
        demo
    }

    pub(crate) fn context(&self) -> PathBuf {
        self.dir.join("demo.json")
    }

    fn command(&self, person: Option<&str>, arguments: &[&str]) -> Ran {
        let mut command = bounded(&kcm_path());
        command.arg("--yes").arg("--context").arg(self.context());
        command.args(person.iter().flat_map(|person| ["--as", person]));
        Ran::of(&command.args(arguments).output().unwrap())
    }

    /// Runs `kcm` as a person who reads.
    pub(crate) fn kcm(&self, person: &str, arguments: &[&str]) -> Ran {
        self.command(Some(person), arguments)
    }

    /// Runs `kcm` as a program: the answer is JSON.
    pub(crate) fn json(&self, person: &str, arguments: &[&str]) -> Ran {
        self.command(Some(person), &[&["-o", "json"], arguments].concat())
    }

    /// Proposes as one person; the proposal's id.
    #[track_caller]
    pub(crate) fn propose(&self, person: &str, arguments: &[&str]) -> String {
        let made = self.json(person, arguments).ends_with(3);
        made.json()["id"].as_str().unwrap().to_owned()
    }

    /// Approves as another, and waits until every region has answered.
    #[track_caller]
    pub(crate) fn approve(&self, person: &str, id: &str) {
        self.kcm(person, &["proposal", "approve", id, "--wait", WAIT]).ends_with(0);
    }

    /// carol and dave revoke a tenant: every region has acknowledged when this returns.
    #[track_caller]
    pub(crate) fn revoke(&self, tenant: &str) {
        let id = self.propose("carol", &["revoke", "propose", "--tenant", tenant, "--reason", "test"]);
        self.approve("dave", &id);
    }

    pub(crate) fn regions(&self) -> usize {
        self.json["regions"].as_array().unwrap().len()
    }

    /// A tenant's client of a region.
    pub(crate) fn client(&self, region: usize, tenant: &str) -> Client {
        let region = &self.json["regions"][region];
        let clients = region["clients"].as_array().unwrap();
        let client = clients.iter().find(|client| client["tenant"] == tenant).unwrap();
        let path = |name: &str| PathBuf::from(client[name].as_str().unwrap());
        let address = region["kmip"]["address"].as_str().unwrap().to_owned();
        Client { address, ca: path("ca"), cert: path("cert"), key: path("key") }
    }

    /// The log of a node, of all its runs: shown when a test fails.
    pub(crate) fn log(&self, node: &str) -> String {
        let read = |name: String| fs::read_to_string(self.dir.join("log").join(name)).unwrap_or_default();
        read(format!("{node}.log")) + &read(format!("{node}.again.log"))
    }

    /// Waits until a node's log says this.
    #[track_caller]
    pub(crate) fn logs(&self, node: &str, word: &str) {
        let what = format!("the log of {node} says `{word}`");
        until(&what, || self.log(node), |log| log.contains(word));
    }

    /// Ends a node that the demo started, at once: a region's, a customer's KMS, or else governance.
    pub(crate) fn kill(&mut self, node: &str) {
        let of = |list: &str| self.json[list].as_array().unwrap().iter().find(|place| place["node"] == node);
        let place = of("regions").or_else(|| of("l1")).unwrap_or(&self.json["governance"]);
        let pid = place["pid"].as_u64().unwrap().to_string();
        assert!(Command::new("kill").args(["-KILL", &pid]).status().unwrap().success());
        // Not a zombie: its first thread is one while the others still hold files. The demo takes notice of it in its next look.
        let entry = PathBuf::from(format!("/proc/{pid}"));
        until("a killed node is gone", || entry.exists(), |there| !there);
    }

    /// `kcm run` of a node under a topology, bounded: for one that is expected to refuse.
    pub(crate) fn try_run(&self, node: &str, topology: &Path) -> Ran {
        Ran::of(&bounded(&kcm_path()).args(["run", "--node", node]).arg(topology).output().unwrap())
    }

    /// Starts a node again by hand.
    pub(crate) fn run(&mut self, node: &str) {
        let log = self.dir.join("log").join(format!("{node}.again.log"));
        let log = fs::File::options().append(true).create(true).open(log).unwrap();
        let child = Command::new(kcm_path())
            .args(["run", "--node", node])
            .arg(self.dir.join("topology.toml"))
            .env("KCM_PARENT", std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.again.push(child);
    }

    /// Ends the node that was started last by hand.
    pub(crate) fn end_last(&mut self) {
        let mut child = self.again.pop().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// The portal answers.
    #[track_caller]
    pub(crate) fn governed(&self) {
        until("the portal answers", || self.json("alice", &["tenant", "list"]), |ran| ran.code == 0);
    }

    /// A file beside the topology, made from it.
    pub(crate) fn topology_with(&self, name: &str, from: &str, to: &str) -> PathBuf {
        let text = fs::read_to_string(self.dir.join("topology.toml")).unwrap();
        assert!(text.contains(from), "no `{from}` in the topology");
        let path = self.dir.join(name);
        fs::write(&path, text.replace(from, to)).unwrap();
        path
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        for child in &mut self.again {
            let _gone = child.kill();
            let _reaped = child.wait();
        }
        // Its nodes end with it: SIGTERM lets it end them in order, and a demo that is gone takes them along anyway.
        let _asked = Command::new("kill").arg(self.process.id().to_string()).status();
        let since = Instant::now();
        while self.lines.recv_timeout(Duration::from_secs(20).saturating_sub(since.elapsed())).is_ok() {}
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
        if thread::panicking() {
            for node in ["gov-1", "fra-1"] {
                let log = self.log(node);
                let lines: Vec<&str> =
                    log.lines().filter(|line| !ROUTINE.iter().any(|word| line.contains(word))).collect();
                println!("{node}:\n{}", lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n"));
            }
        }
    }
}

/// Lines as they come; ends when the other side closes.
pub(crate) fn reading(from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (send, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if send.send(line).is_err() {
                return;
            }
        }
    });
    lines
}

/// Asks until the answer is the wanted one; each question is itself an exchange with the system. The last answer, if time runs out.
#[track_caller]
pub(crate) fn until<T: std::fmt::Debug>(what: &str, mut ask: impl FnMut() -> T, wanted: impl Fn(&T) -> bool) -> T {
    let since = Instant::now();
    loop {
        let answer = ask();
        if wanted(&answer) {
            return answer;
        }
        assert!(since.elapsed() < SEEN_TIMEOUT, "{what}: not within {} s; last: {answer:?}", SEEN_TIMEOUT.as_secs());
        thread::sleep(LOOK_EVERY);
    }
}
