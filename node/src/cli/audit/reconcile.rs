//! `kcm audit reconcile`: double entry. What regions say that they asked of the customer's key, against what AWS wrote down.
//!
//! The customer's account holds CloudTrail, the region holds its log, whose seals are a chain without a key: they show a change to whoever
//! kept an earlier head. A use of the key that only AWS knows of is somebody else's; a call that only we know of never happened, or the
//! trail is not whole.

mod pair;
#[cfg(test)]
mod tests;
mod trail;

use std::{
    fs::{self, File},
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
};

use clap::Args;
use kmip_server::audit::{Asked, Summary, verify_files};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    super::{
        exit::{Exit, Failure, Report},
        plain,
        table::Table,
    },
    sift,
    verify::{broken, unreadable},
};
use pair::{Books, Ours, Outcome, reconcile};
use trail::{Event, Trail};

/// Most rows of a table; how many more there are is said.
const ROWS_MAX: usize = 50;

/// `kcm audit reconcile`.
#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Example: kcm audit reconcile --cloudtrail trail/ --region-log fra-1/store --region-log zrh-1/store"
)]
pub struct Reconcile {
    /// CloudTrail's log files, a folder of them, or what `aws cloudtrail lookup-events` printed; unpacked
    #[arg(long, value_name = "PATH", required = true)]
    cloudtrail: Vec<PathBuf>,
    /// A region's log: a file, or the folder of all its files. Name each region that may use the key
    #[arg(long, value_name = "PATH", required = true)]
    region_log: Vec<PathBuf>,
    /// A key's ARN to look at besides those that the logs name
    #[arg(long = "ref", value_name = "ARN")]
    keys: Vec<String>,
    /// From when on the CloudTrail files are whole [default: their first event]
    #[arg(long, value_name = "TIME", value_parser = sift::moment)]
    from: Option<u64>,
    /// Until when they are whole [default: their last event]
    #[arg(long, value_name = "TIME", value_parser = sift::moment)]
    to: Option<u64>,
}

/// What one region's log says.
struct Log {
    place: String,
    seals: Summary,
    calls: Vec<Ours>,
    /// From the first call, since when calls are written down, to the last record.
    covers: (u64, u64),
}

/// The time of any record.
#[derive(Deserialize)]
struct At {
    t: u64,
}

pub(super) fn perform(asked: &Reconcile) -> Result<Report, Failure> {
    let mut logs = Vec::new();
    for path in &asked.region_log {
        logs.push(read(path)?);
    }
    let trail = Trail::read(&asked.cloudtrail)?;
    let they_cover = match (asked.from.or(trail.covers.map(|c| c.0)), asked.to.or(trail.covers.map(|c| c.1))) {
        (Some(from), Some(to)) => (from, to),
        _ => {
            return Err(Failure::usage("the CloudTrail files hold no event")
                .because("nothing says from when to when they are whole")
                .fix("give --from and --to, or the files of another time"));
        }
    };
    let we_cover =
        logs.iter().map(|log| log.covers).fold((0, u64::MAX), |all, log| (all.0.max(log.0), all.1.min(log.1)));
    let ours: Vec<Ours> = logs.iter_mut().flat_map(|log| std::mem::take(&mut log.calls)).collect();
    let books = Books { ours: &ours, theirs: &trail.events, we_cover, they_cover, keys: &asked.keys };
    let outcome = reconcile(&books);
    let found = Found { books, outcome, trail: &trail, logs: &logs };
    let exit = if found.agree() { Exit::Done } else { Exit::NotHealthy };
    Ok(Report::new(found.json(), found.text()).ending(exit))
}

/// Reads a region's log, whose seals hold.
fn read(path: &Path) -> Result<Log, Failure> {
    let files = files_of(path)?;
    let seals = verify_files(&files).map_err(|(path, why)| broken(&path.display().to_string(), &why.to_string()))?;
    let (mut calls, mut first, mut last) = (Vec::new(), None, 0);
    for file in &files {
        let lines = BufReader::new(File::open(file).map_err(|e| unreadable(file, e))?).lines();
        for (number, line) in lines.enumerate() {
            let line = line.map_err(|e| unreadable(file, e))?;
            // Seals have no time, and neither have first lines.
            let Ok(At { t }) = serde_json::from_str(&line) else { continue };
            last = last.max(t);
            if let Ok(asked) = serde_json::from_str::<Asked>(&line) {
                first.get_or_insert(t);
                calls.push(Ours { place: format!("{}:{}", file.display(), number + 1), asked });
            }
        }
    }
    let Some(first) = first else {
        return Err(Failure::usage("the region's log holds no call to a customer's KMS")
            .at(path.display())
            .because("the region asked none, or a version wrote it that did not write calls down")
            .fix("name the log of a region whose tenant has its key at AWS"));
    };
    Ok(Log { place: path.display().to_string(), seals, calls, covers: (first, last) })
}

/// The files of a log, oldest first: closed ones have their number in their name, the open one has none.
fn files_of(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut closed = Vec::new();
    for entry in fs::read_dir(path).map_err(|e| unreadable(path, e))? {
        let name = entry.map_err(|e| unreadable(path, e))?.file_name().to_string_lossy().into_owned();
        let number = name.strip_prefix("audit.").and_then(|rest| rest.strip_suffix(".jsonl"));
        if number.is_some_and(|number| number.bytes().all(|byte| byte.is_ascii_digit())) {
            closed.push(path.join(name));
        }
    }
    closed.sort();
    closed.extend(Some(path.join("audit.jsonl")).filter(|open| open.exists()));
    if closed.is_empty() {
        return Err(Failure::usage("the folder holds no log of a region")
            .at(path.display())
            .fix("name the region's `store`, or the file itself"));
    }
    Ok(closed)
}

/// What is told.
struct Found<'a> {
    books: Books<'a>,
    outcome: Outcome,
    trail: &'a Trail,
    logs: &'a [Log],
}

impl Found<'_> {
    fn findings(&self) -> usize {
        let Outcome { differs, strangers, uncovered, unseen, .. } = &self.outcome;
        differs.len() + strangers.len() + uncovered.len() + unseen.len() + self.trail.unread.len()
    }

    fn ours(&self, rows: &[usize]) -> Vec<&Ours> {
        rows.iter().filter_map(|&at| self.books.ours.get(at)).collect()
    }

    fn theirs(&self, rows: &[usize]) -> Vec<&Event> {
        rows.iter().filter_map(|&at| self.books.theirs.get(at)).collect()
    }

    fn judged(&self) -> (u64, u64) {
        let (ours, theirs) = (self.books.we_cover, self.books.they_cover);
        (ours.0.max(theirs.0), ours.1.min(theirs.1))
    }

    /// Two books without a time in common agree on nothing.
    fn agree(&self) -> bool {
        let (from, to) = self.judged();
        self.findings() == 0 && from <= to
    }

    /// What is left to say of it all.
    fn verdict(&self) -> String {
        match self.findings() {
            0 if self.agree() => format!("The two agree, from {}.", span(self.judged())),
            0 => "Nothing was judged: the two have no time in common. Name files of the same time.".to_owned(),
            count => format!("{count} finding(s)."),
        }
    }

    fn text(&self) -> String {
        let (outcome, trail) = (&self.outcome, self.trail);
        let (both, calls, events) = (self.judged(), self.books.ours.len(), trail.events.len());
        let mut text = format!("Keys: {}\n", outcome.keys.iter().cloned().collect::<Vec<_>>().join(", "));
        text +=
            &format!("Ours:       {}, {calls} calls in {} region log(s)\n", span(self.books.we_cover), self.logs.len());
        for Log { place, seals, covers, .. } in self.logs {
            let Summary { seals: count, head, unsealed, .. } = seals;
            text += &format!(
                "            {place}: {}, {count} seals up to {head}, {unsealed} line(s) after them\n",
                span(*covers)
            );
        }
        text += &format!("CloudTrail: {}, {events} events of AWS KMS", span(self.books.they_cover));
        text += &format!("; {} of other services, {} that came twice\n", trail.elsewhere, trail.twice);
        text += &match both.0 <= both.1 {
            true => format!("Judged:     {}\n", span(both)),
            false => "Judged:     nothing, the two have no time in common\n".to_owned(),
        };
        text += &format!("\nMatched: {} ({} of them by context and time)\n", outcome.matched, outcome.by_context);
        section(
            &mut text,
            "ALARM: in CloudTrail, and no region asked for it",
            events_table(&self.theirs(&outcome.strangers)),
        );
        section(
            &mut text,
            "In CloudTrail, unexplained, at a time that not all logs cover: name more of the logs, or less of the time (--from, --to)",
            events_table(&self.theirs(&outcome.uncovered)),
        );
        section(
            &mut text,
            "In our log and granted, and AWS never saw it, or its files are not whole",
            calls_table(&self.ours(&outcome.unseen)),
        );
        section(&mut text, "In both, and they differ", self.differing());
        section(
            &mut text,
            "Done at the key by others, without using it",
            events_table(&self.theirs(&outcome.governed)),
        );
        section(
            &mut text,
            "Not read: no event of CloudTrail",
            trail.unread.iter().map(|place| vec![place.clone()]).collect(),
        );
        format!("{text}{}\n{}", self.not_judged(), self.verdict())
    }

    fn differing(&self) -> Vec<Vec<String>> {
        let row = |&(ours, theirs, what): &(usize, usize, &str)| {
            let (ours, theirs) = (self.books.ours.get(ours)?, self.books.theirs.get(theirs)?);
            let us = format!("{} {}", ours.asked.call, ours.asked.outcome);
            let them = format!("{} {}", theirs.name, theirs.outcome());
            Some(vec![what.to_owned(), us, them, ours.place.clone(), theirs.id.clone()])
        };
        let rows: Vec<Vec<String>> = self.outcome.differs.iter().filter_map(row).collect();
        headed(&["what", "ours", "theirs", "our line", "event id"], rows)
    }

    fn not_judged(&self) -> String {
        let outcome = &self.outcome;
        let counts = [
            (outcome.ours_outside, "call(s) of ours outside the time of the CloudTrail files"),
            (outcome.theirs_outside, "event(s) outside that time"),
            (outcome.late, "granted call(s) of the trail's last 15 minutes: CloudTrail delivers up to 15 minutes late"),
            (outcome.refused, "call(s) that were refused or failed: CloudTrail does not show all of those"),
            (outcome.unanswered, "call(s) without an answer: AWS may not have seen them"),
            (outcome.other_keys, "event(s) at other keys"),
            (outcome.nameless, "event(s) that name no key: AWS leaves it out of much that it refuses"),
        ];
        let lines: Vec<String> =
            counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("  {count} {what}\n")).collect();
        if lines.is_empty() { String::new() } else { format!("\nNot judged:\n{}", lines.concat()) }
    }

    fn json(&self) -> Value {
        let outcome = &self.outcome;
        let events = |rows| self.theirs(rows).into_iter().map(event_json).collect::<Vec<_>>();
        let calls =
            self.ours(&outcome.unseen).into_iter().map(|ours| json!({ "where": ours.place, "call": ours.asked }));
        let differs = outcome.differs.iter().filter_map(|&(ours, theirs, what)| {
            let (ours, theirs) = (self.books.ours.get(ours)?, self.books.theirs.get(theirs)?);
            Some(json!({ "what": what, "where": ours.place, "call": ours.asked, "event": event_json(theirs) }))
        });
        json!({
            "agree": self.agree(), "verdict": self.verdict(),
            "keys": outcome.keys,
            "logs": self.logs.iter().map(log_json).collect::<Vec<_>>(),
            "ours": { "from_ms": self.books.we_cover.0, "to_ms": self.books.we_cover.1, "calls": self.books.ours.len() },
            "cloudtrail": {
                "from_ms": self.books.they_cover.0, "to_ms": self.books.they_cover.1, "events": self.trail.events.len(),
                "twice": self.trail.twice, "of_other_services": self.trail.elsewhere, "unread": self.trail.unread,
            },
            "matched": outcome.matched, "by_context": outcome.by_context,
            "only_in_cloudtrail": events(&outcome.strangers), "uncovered": events(&outcome.uncovered), "only_in_ours": calls.collect::<Vec<_>>(),
            "differ": differs.collect::<Vec<_>>(), "governed": events(&outcome.governed),
            "not_judged": {
                "ours_outside": outcome.ours_outside, "theirs_outside": outcome.theirs_outside, "late": outcome.late,
                "refused": outcome.refused, "unanswered": outcome.unanswered, "other_keys": outcome.other_keys,
                "nameless": outcome.nameless,
            },
        })
    }
}

fn log_json(log: &Log) -> Value {
    let Summary { seals, head, unsealed, .. } = &log.seals;
    json!({ "where": log.place, "from_ms": log.covers.0, "to_ms": log.covers.1, "seals": seals, "head": head, "unsealed": unsealed })
}

fn event_json(event: &Event) -> Value {
    json!({
        "event_id": event.id, "at_ms": event.at_ms, "operation": event.name, "principal": event.principal,
        "source_ip": event.source, "error": event.error, "keys": event.keys, "context": event.context,
        "request": event.request,
    })
}

fn events_table(events: &[&Event]) -> Vec<Vec<String>> {
    let row = |event: &&Event| {
        let region = event.context.get("kcm:region").cloned().unwrap_or_default();
        let [name, principal, source, id] = [&event.name, &event.principal, &event.source, &event.id].map(Clone::clone);
        vec![plain::time_ms(event.at_ms), name, event.outcome().to_owned(), principal, source, region, id]
    };
    headed(
        &["at", "operation", "outcome", "principal", "source", "region it names", "event id"],
        events.iter().map(row).collect(),
    )
}

fn calls_table(calls: &[&Ours]) -> Vec<Vec<String>> {
    let row = |ours: &&Ours| {
        let (at, asked) = (plain::time_ms(ours.asked.t), &ours.asked);
        vec![at, asked.call.clone(), asked.key.clone(), asked.request.clone().unwrap_or_default(), ours.place.clone()]
    };
    headed(&["at", "operation", "key", "request id", "our line"], calls.iter().map(row).collect())
}

fn span((from, to): (u64, u64)) -> String {
    format!("{} to {}", plain::time_ms(from), plain::time_ms(to))
}

/// Rows under their head; nothing where there are none.
fn headed(head: &[&str], mut rows: Vec<Vec<String>>) -> Vec<Vec<String>> {
    if !rows.is_empty() {
        rows.insert(0, head.iter().map(|cell| cell.to_uppercase()).collect());
    }
    rows
}

fn section(text: &mut String, title: &str, rows: Vec<Vec<String>>) {
    if rows.is_empty() {
        return;
    }
    let more = rows.len().saturating_sub(ROWS_MAX + 1);
    let mut table = Table::pairs();
    rows.into_iter().take(ROWS_MAX + 1).for_each(|row| table.row(row));
    *text += &format!("\n{title}:\n{}\n", table.render());
    if more > 0 {
        *text += &format!("and {more} more: see --output json\n");
    }
}
