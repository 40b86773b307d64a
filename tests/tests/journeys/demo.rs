//! One demo of a journey: its folder, its processes, and the ways to reach them. What fails shows the tails of all logs.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use node::cluster::tls::TlsFiles;
use serde_json::Value;
use tempfile::TempDir;

/// Longest wait for anything that a story expects.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks at a condition.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(50);
/// What the demo prints when it is ready.
const READY: &str = "Ctrl-C ends everything";
/// Bytes of each log that a failure shows.
const TAIL_BYTES: usize = 3_000;
/// The nodes of the three regions.
pub(crate) const NODES: [&str; 3] = ["fra-1", "zrh-1", "iad-1"];

/// A running demo.
pub(crate) struct Demo {
    folder: TempDir,
    demo: Child,
    pub(crate) json: Value,
    /// Nodes that the story started again by itself.
    again: Vec<(String, Child)>,
}

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    /// The last JSON document of its output.
    pub(crate) json: Value,
    pub(crate) errors: String,
}

/// The binary that `cargo build --workspace --bins` puts beside the tests' folder.
pub(crate) fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let path = test.parent().and_then(Path::parent).unwrap().join("kcm");
    assert!(path.is_file(), "{} is not there: run `cargo build --workspace --bins` first", path.display());
    path
}

/// Looks until `look` gives something, for [`PATIENCE`] at most.
pub(crate) fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "not within {} s: {what}", PATIENCE.as_secs());
        thread::sleep(LOOK_EVERY);
    }
}

/// The same for what has to be awaited.
pub(crate) async fn eventually<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let began = Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(began.elapsed() < PATIENCE, "not within {} s: {what}", PATIENCE.as_secs());
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

fn signal(pid: u32, name: &str) {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().unwrap();
    assert!(status.success(), "process {pid} could not be signalled");
}

/// Some thread of the process runs, and may hold its ports and files. One that has ended and was not asked for yet does not run.
fn runs(pid: u32) -> bool {
    let ended = |stat: String| stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']));
    let threads = fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    threads.into_iter().any(|thread| fs::read_to_string(thread.path().join("stat")).is_ok_and(|stat| !ended(stat)))
}

impl Demo {
    /// Starts a demo and waits until it says that it is ready.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let out = File::create(folder.path().join("demo.out")).unwrap();
        let demo = Command::new(binary())
            .args(["demo", "--dir"])
            .arg(folder.path().join("demo"))
            .stdin(Stdio::null())
            .stdout(out.try_clone().unwrap())
            .stderr(out)
            .spawn()
            .unwrap();
        let mut this = Self { folder, demo, json: Value::Null, again: Vec::new() };
        until("the demo is ready", || {
            let ended = this.demo.try_wait().unwrap();
            assert!(ended.is_none(), "the demo ended: {ended:?}");
            this.printed().contains(READY).then_some(())
        });
        this.json = serde_json::from_slice(&fs::read(this.dir().join("demo.json")).unwrap()).unwrap();
        this
    }

    pub(crate) fn dir(&self) -> PathBuf {
        self.folder.path().join("demo")
    }

    /// A file of the story's own, outside the demo's folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn printed(&self) -> String {
        fs::read_to_string(self.folder.path().join("demo.out")).unwrap_or_default()
    }

    /// Runs `kcm` as this person, or as nobody.
    pub(crate) fn kcm(&self, person: Option<&str>, args: &[&str]) -> Done {
        let mut command = Command::new(binary());
        command.args(["-o", "json", "--yes", "--context"]).arg(self.dir().join("demo.json"));
        command.args(person.into_iter().flat_map(|person| ["--as", person]));
        let output = command.args(args).stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let documents = serde_json::Deserializer::from_str(&text).into_iter::<Value>();
        Done {
            code: output.status.code().unwrap(),
            json: documents.filter_map(Result::ok).last().unwrap_or(Value::Null),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// A command that must succeed.
    pub(crate) fn ok(&self, person: Option<&str>, args: &[&str]) -> Value {
        let done = self.kcm(person, args);
        assert_eq!(done.code, 0, "kcm {args:?}: {done:?}");
        done.json
    }

    /// An approval that may not be the last one.
    pub(crate) fn approve(&self, person: &str, id: &str) {
        let done = self.kcm(Some(person), &["proposal", "approve", id]);
        assert!(matches!(done.code, 0 | 3), "{person} approves {id}: {done:?}");
    }

    /// Proposes something: the proposal's id.
    pub(crate) fn propose(&self, person: &str, args: &[&str]) -> String {
        let done = self.kcm(Some(person), args);
        assert_eq!(done.code, 3, "kcm {args:?}: {done:?}");
        done.json["id"].as_str().unwrap().to_owned()
    }

    /// Proposes something, and has whoever can approve it do so with their key file until it is in force.
    pub(crate) fn decide(&self, person: &str, args: &[&str]) {
        let id = self.propose(person, args);
        until("it is in force", || {
            let shown = self.ok(None, &["proposal", "show", &id]);
            if shown["state"] == "open" {
                self.approve(shown["may_sign"][0].as_str().unwrap(), &id);
            }
            (shown["state"] == "active").then_some(())
        });
    }

    /// Governance is started again, and answers.
    pub(crate) fn govern_again(&mut self) {
        self.run("gov-1");
        until("governance is back", || (self.kcm(None, &["tenant", "list"]).code == 0).then_some(()));
    }

    pub(crate) fn topology(&self) -> String {
        self.dir().join("topology.toml").display().to_string()
    }

    /// A backup of the ledger, encrypted to somebody of its own, the key that opens it, and what was said of it.
    pub(crate) fn backed_up(&self) -> (String, String, Value) {
        let at = |name: &str| self.file(name).display().to_string();
        let (key, backup) = (at("olga.age-key"), at("ledger.age"));
        let made = self.ok(None, &["backup", "keygen", "--out", &key]);
        let to = made["recipient"].as_str().unwrap();
        let written = self.ok(None, &["backup", "create", &self.topology(), "--to", to, "--out", &backup]);
        (backup, key, written)
    }

    pub(crate) fn tenant(&self, name: &str) -> &str {
        let tenants = self.json["tenants"].as_array().unwrap();
        tenants.iter().find(|t| t["name"] == name).unwrap()["id"].as_str().unwrap()
    }

    pub(crate) fn region(&self, node: &str) -> &Value {
        self.json["regions"].as_array().unwrap().iter().find(|r| r["node"] == node).unwrap()
    }

    pub(crate) fn stop_listeners(&self) -> Vec<String> {
        NODES.iter().map(|n| self.region(n)["stop"]["address"].as_str().unwrap().to_owned()).collect()
    }

    /// Certificate and key of a tenant's KMIP client, and the CA of the KMIP listeners.
    pub(crate) fn client(&self, tenant: &str) -> TlsFiles {
        let clients = self.region(NODES[0])["clients"].as_array().unwrap();
        files(clients.iter().find(|c| c["tenant"] == tenant).unwrap())
    }

    /// `/readyz` of a region: its body, whatever its status.
    pub(crate) async fn readyz(&self, node: &str) -> Option<Value> {
        let url = self.region(node)["health"]["url"].as_str().unwrap();
        let address = url.strip_prefix("http://").unwrap().parse().unwrap();
        node::demo::processes::get(address, "/readyz").await.map(|(_, body)| body)
    }

    fn pid(&self, node: &str) -> u32 {
        if let Some((_, child)) = self.again.iter().rev().find(|(name, _)| name == node) {
            return child.id();
        }
        let named = self.json["regions"].as_array().unwrap().iter().chain(self.json["l1"].as_array().unwrap());
        let pid = match node {
            "gov-1" => &self.json["governance"]["pid"],
            _ => &named.into_iter().find(|place| place["node"] == node).unwrap()["pid"],
        };
        u32::try_from(pid.as_u64().unwrap()).unwrap()
    }

    /// `kill -9`.
    pub(crate) fn kill_9(&self, node: &str) {
        let pid = self.pid(node);
        signal(pid, "KILL");
        until("a killed process is gone", || (!runs(pid)).then_some(()));
    }

    /// Asks a node to end, and waits until it has; how long it took.
    pub(crate) fn ask_to_end(&self, node: &str) -> Duration {
        let (pid, began) = (self.pid(node), Instant::now());
        signal(pid, "TERM");
        until("a node that is asked to end is gone", || (!runs(pid)).then_some(()));
        began.elapsed()
    }

    /// Starts a node again by hand, as the demo advises.
    pub(crate) fn run(&mut self, node: &str) {
        let log = self.dir().join("log").join(format!("{node}.again.log"));
        let log = File::options().append(true).create(true).open(log).unwrap();
        let child = Command::new(binary())
            .args(["run", "--node", node])
            .arg(self.dir().join("topology.toml"))
            .env(node::run::PARENT_ENV, std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        self.again.push((node.to_owned(), child));
    }

    /// Waits for a node that was started again, and does not run on.
    pub(crate) fn until_ended(&mut self, node: &str) {
        let (_, child) = self.again.iter_mut().rev().find(|(name, _)| name == node).unwrap();
        let ended = until("the node ends by itself", || child.try_wait().unwrap());
        assert!(!ended.success(), "{node} ended with {ended}");
    }

    /// Ends everything, and sees that nothing is left.
    pub(crate) fn end(mut self) {
        let nodes = ["gov-1", "l1-acme", "l1-globex"].into_iter().chain(NODES);
        let mut pids: Vec<u32> = nodes.map(|node| self.pid(node)).collect();
        pids.extend(self.again.iter().map(|(_, child)| child.id()));
        signal(self.demo.id(), "TERM");
        let ended = until("the demo ends", || self.demo.try_wait().unwrap());
        assert!(ended.success(), "the demo ended with {ended}");
        self.end_again("TERM");
        let left: Vec<_> = pids.into_iter().filter(|pid| runs(*pid)).collect();
        assert!(left.is_empty(), "processes {left:?} are left");
    }

    fn end_again(&mut self, name: &str) {
        for (_, child) in &mut self.again {
            if matches!(child.try_wait(), Ok(None)) {
                signal(child.id(), name);
                until("a node ends", || child.try_wait().ok().flatten());
            }
        }
    }

    fn show_logs(&self) {
        let logs = fs::read_dir(self.dir().join("log")).into_iter().flatten().flatten().map(|entry| entry.path());
        for path in logs.chain([self.folder.path().join("demo.out")]) {
            let text = fs::read(&path).unwrap_or_default();
            let tail = String::from_utf8_lossy(&text[text.len().saturating_sub(TAIL_BYTES)..]).into_owned();
            eprintln!("--- the end of {}\n{tail}", path.file_name().unwrap().to_string_lossy());
        }
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        if thread::panicking() {
            self.show_logs();
        }
        for (_, child) in &mut self.again {
            drop(child.kill().and_then(|()| child.wait()));
        }
        if matches!(self.demo.try_wait(), Ok(None)) {
            // Its nodes end with it.
            drop(self.demo.kill().and_then(|()| self.demo.wait()));
        }
    }
}

/// The files of one side of mutual TLS, as `demo.json` names them.
pub(crate) fn files(place: &Value) -> TlsFiles {
    let path = |name: &str| PathBuf::from(place[name].as_str().unwrap());
    TlsFiles { ca: path("ca"), cert: path("cert"), key: path("key") }
}
