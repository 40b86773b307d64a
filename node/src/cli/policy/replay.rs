//! `kcm policy replay`: the requests of a region's audit log, asked again under other policies.
//!
//! The log says who asked for what, and what came of it; not the state of the object then, nor what was left of the lease. An object is
//! its caller's own unless the log itself shows which system made it; it is active, of every use, and the lease has no end. So is each
//! question put to both bundles alike: what differs between the answers is the policies.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    fs::File,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use orbital::names::{System, TenantId};
use policy::{Evaluator, ObjectNow, ObjectState, Operation};
use serde::Deserialize;
use serde_json::json;

use super::{
    ask::{Asked, AskedCaller},
    cases,
};
use crate::cli::{
    exit::{Exit, Failure, Report},
    table::Table,
};

/// Most rows of the table; how many more differ is said.
const ROWS_MAX: usize = 50;

/// One record of the log, as far as it matters.
#[derive(Deserialize)]
struct Line {
    t: u64,
    tenant: String,
    client: String,
    system: String,
    op: String,
    key: String,
    outcome: String,
}

/// Who asked for what: whoever asks again gets the same answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Wish {
    system: System,
    client: String,
    operation: Operation,
    /// The object and the system that made it; none where it is about none.
    object: Option<(String, System)>,
}

/// What both bundles say to a wish.
#[derive(Clone)]
struct Answers {
    before: String,
    after: String,
    /// Policies that decide from now on.
    by: Vec<String>,
}

impl Answers {
    fn flips(&self) -> bool {
        self.before != self.after
    }
}

/// Wishes of one system whose answer flips alike.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Flip {
    system: System,
    operation: &'static str,
    owner: Option<System>,
    before: String,
    after: String,
    by: Vec<String>,
}

#[derive(Default)]
struct Replay {
    asked: u64,
    flipped: u64,
    /// Requests that no policy is asked about: of an operation that is not known here, or not read at all.
    passed_over: u64,
    /// Granted then, though the policies of before say no: they were others, or saw what the log does not hold.
    granted: u64,
    flips: BTreeMap<Flip, (u64, u64)>,
    makers: HashMap<String, System>,
    known: HashMap<Wish, Answers>,
}

/// Two bundles over the records of one tenant.
pub(super) struct Bundles {
    pub(super) tenant: TenantId,
    pub(super) before: Evaluator,
    pub(super) after: Evaluator,
}

impl Bundles {
    /// Replays these files, oldest first, of one log whose chain holds.
    pub(super) fn replay(&self, files: &[PathBuf]) -> Result<Report, Failure> {
        kmip_server::audit::verify_files(files).map_err(|(path, broken)| {
            Failure::new(Exit::NotHealthy, "the audit log is broken, so that it shows nothing")
                .at(path.display())
                .because(broken)
                .fix("find out who changed it; `kcm kmip audit verify` says more")
        })?;
        let mut replay = Replay::default();
        for path in files {
            self.read(path, &mut replay).map_err(|why| {
                Failure::usage("the audit log does not read").at(path.display()).because(why).fix("name another file")
            })?;
        }
        Ok(replay.report(self))
    }

    fn read(&self, path: &Path, replay: &mut Replay) -> std::io::Result<()> {
        for line in BufReader::new(File::open(path)?).lines() {
            // Seals, and where a file goes on from the one before.
            let Ok(line) = serde_json::from_str::<Line>(&line?) else { continue };
            if line.tenant == self.tenant.to_string() {
                replay.take(self, line);
            }
        }
        Ok(())
    }

    fn ask(&self, wish: &Wish) -> Answers {
        let (object, owner) = wish.object.clone().unzip();
        let asked = Asked::Caller(AskedCaller {
            system: wish.system.clone(),
            caller: wish.client.clone(),
            operation: wish.operation,
            owner,
            object: object.unwrap_or_default(),
            now: ObjectNow { state: ObjectState::Active, usage_mask: u32::MAX },
            region: String::new(),
            lease_left: None,
        });
        let (before, after) = (asked.put(&self.before), asked.put(&self.after));
        let by = match &after {
            policy::Decision::Allow { policies } | policy::Decision::Deny { policies } => policies.clone(),
            policy::Decision::Error { .. } => Vec::new(),
        };
        Answers { before: cases::word(&before).to_owned(), after: cases::word(&after).to_owned(), by }
    }
}

/// The operation that the log calls by this name: the protocol's spelling, without its spaces and capitals.
fn operation(name: &str) -> Option<Operation> {
    let plain = |text: &str| -> String {
        text.chars().filter(char::is_ascii_alphanumeric).map(|c| c.to_ascii_lowercase()).collect()
    };
    let name = plain(name);
    Operation::ALL.iter().copied().find(|operation| plain(operation.action()) == name)
}

impl Replay {
    fn take(&mut self, bundles: &Bundles, line: Line) {
        let known = operation(&line.op).zip(System::new(&line.system).ok());
        let Some((operation, system)) = known else {
            self.passed_over += 1;
            return;
        };
        let granted = line.outcome == "Success";
        let named = (!line.key.is_empty()).then_some(line.key);
        if let Some(made) = named.as_ref().filter(|_| granted && !operation.on_object()) {
            self.makers.entry(made.clone()).or_insert_with(|| system.clone());
        }
        let object = named.filter(|_| operation.on_object()).map(|key| {
            let maker = self.makers.get(&key).unwrap_or(&system).clone();
            (key, maker)
        });
        if object.is_none() && !operation.on_system() {
            // It named nothing: it was refused before a policy was asked.
            self.passed_over += 1;
            return;
        }
        let wish = Wish { system, client: line.client, operation, object };
        let answers = self.known.entry(wish.clone()).or_insert_with_key(|wish| bundles.ask(wish)).clone();
        self.asked += 1;
        self.granted += u64::from(granted && answers.before != "allow");
        if answers.flips() {
            self.flipped += 1;
            let Answers { before, after, by } = answers;
            let owner = wish.object.map(|(_, owner)| owner);
            let flip = Flip { system: wish.system, operation: operation.action(), owner, before, after, by };
            let seen = self.flips.entry(flip).or_default();
            *seen = (seen.0 + 1, seen.1.max(line.t));
        }
    }

    fn report(self, bundles: &Bundles) -> Report {
        let mut lines = Vec::new();
        if !self.flips.is_empty() {
            let mut table = Table::new(&["requests", "system", "operation", "object of", "flips", "by", "last"]);
            for (flip, (count, last)) in self.flips.iter().take(ROWS_MAX) {
                let owner = flip.owner.as_ref().map_or_else(|| "-".to_owned(), ToString::to_string);
                let by = if flip.by.is_empty() { "no policy permits".to_owned() } else { flip.by.join(", ") };
                table.row([
                    count.to_string(),
                    flip.system.to_string(),
                    flip.operation.to_owned(),
                    owner,
                    format!("{} -> {}", flip.before, flip.after),
                    by,
                    crate::cli::plain::time_ms(*last),
                ]);
            }
            lines.push(table.render());
        }
        if let Some(more) = self.flips.len().checked_sub(ROWS_MAX).filter(|more| *more > 0) {
            lines.push(format!("And {more} kinds of requests more."));
        }
        lines.push(self.to_string());
        if self.granted > 0 {
            lines.push(format!(
                "{} requests were granted that the policies of before refuse: others were in force then, or they look at what the log does \
                 not hold.",
                self.granted
            ));
        }
        let digests = (bundles.before.bundle().digest(), bundles.after.bundle().digest());
        lines.push(format!("Before {}, after {}.", digests.0, digests.1));
        lines.push(
            "Asked as of an active object of every use and a lease without end; an object is its caller's own unless the log shows who \
             made it."
                .to_owned(),
        );
        let flips: Vec<_> = self
            .flips
            .iter()
            .map(|(flip, (count, last))| {
                json!({ "system": flip.system, "operation": flip.operation, "owner": flip.owner, "before": flip.before,
                    "after": flip.after, "by": flip.by, "requests": count, "last_ms": last })
            })
            .collect();
        let json = json!({ "decisions": self.asked, "flipped": self.flipped, "passed_over": self.passed_over,
            "granted_though_refused_before": self.granted, "before": digests.0, "after": digests.1, "flips": flips });
        Report::new(json, lines.join("\n"))
    }
}

impl fmt::Display for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {} decisions would flip", self.flipped, self.asked)?;
        match self.passed_over {
            0 => f.write_str("."),
            passed => write!(f, "; {passed} requests were refused before a policy was asked."),
        }
    }
}
