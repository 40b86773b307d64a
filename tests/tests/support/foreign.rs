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
const COMMAND_TIMEOUT_S: u64 = 90;
/// How long a command waits for every region's answer.
pub(crate) const WAIT: &str = "60s";
/// Until a state that comes by itself, such as an L1 probe's, is there.
pub(crate) const SEEN_TIMEOUT: Duration = Duration::from_secs(60);
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
    let mut command = Command::new("timeout");
    command.args(["--kill-after=5", &COMMAND_TIMEOUT_S.to_string()]).arg(program).stdin(Stdio::null());
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
    /// Open as long as the demo runs, so that it can print.
    lines: mpsc::Receiver<String>,
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
        let mut demo = Self { process, json: Value::Null, dir, lines, _folder: folder };
        let since = Instant::now();
        loop {
            let left = START_TIMEOUT.saturating_sub(since.elapsed());
            match demo.lines.recv_timeout(left) {
                Ok(line) if line.contains(READY) => break,
                Ok(_) => {}
                Err(_) => panic!("the demo did not come up: {}", errors.iter().collect::<Vec<_>>().join("\n")),
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

    /// The log of a node: shown when a test fails.
    pub(crate) fn log(&self, node: &str) -> String {
        fs::read_to_string(self.dir.join("log").join(format!("{node}.log"))).unwrap_or_default()
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        // Its nodes end with it: SIGTERM lets it end them in order, and a demo that is gone takes them along anyway.
        let _asked = Command::new("kill").arg(self.process.id().to_string()).status();
        let since = Instant::now();
        while self.lines.recv_timeout(Duration::from_secs(20).saturating_sub(since.elapsed())).is_ok() {}
        let _gone = self.process.kill();
        let _reaped = self.process.wait();
        if thread::panicking() {
            for node in ["gov-1", "fra-1"] {
                let log = self.log(node);
                let lines: Vec<&str> = log.lines().collect();
                println!("{node}:\n{}", lines[lines.len().saturating_sub(25)..].join("\n"));
            }
        }
    }
}

/// Lines as they come; ends when the other side closes.
fn reading(from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
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
