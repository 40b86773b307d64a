//! Where entries come from: governance itself, as far as the caller may see them, or a ledger's file or export at rest.

use std::{
    fs::File,
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use governance::Sought;
use ledger::{Entry, Ledger, READ_ROWS_MAX};
use orbital::names::Digest;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    super::{Global, context::Context, exit::Failure, http::Portal},
    verify::{broken, unreadable, unsound},
};

/// What a ledger's file begins with (redb's file format).
const LEDGER_MAGIC: &[u8] = b"redb";
/// What an exported ledger's first line holds.
const EXPORT_MARK: &str = "openkcm/ledger/";
/// Entries that one request asks for.
const PAGE: usize = 500;

/// What a file is, from its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Ledger,
    Export,
    RegionLog,
}

pub(super) fn kind(path: &Path) -> Result<Kind, Failure> {
    let unreadable = |e| unreadable(path, e);
    let mut first = Vec::new();
    File::open(path).map_err(unreadable)?.take(1024).read_to_end(&mut first).map_err(unreadable)?;
    Ok(kind_of(&first))
}

fn kind_of(first: &[u8]) -> Kind {
    if first.starts_with(LEDGER_MAGIC) {
        Kind::Ledger
    } else if String::from_utf8_lossy(first).lines().next().is_some_and(|line| line.contains(EXPORT_MARK)) {
        Kind::Export
    } else {
        Kind::RegionLog
    }
}

/// Takes an entry, and says whether it wants more.
pub(super) type Each<'e> = &'e mut dyn FnMut(Entry) -> Result<bool, Failure>;

/// See the module.
pub(super) enum Source {
    Live(Portal),
    Rest(PathBuf),
}

impl Source {
    pub(super) fn of(global: &Global, file: Option<&PathBuf>) -> Result<Self, Failure> {
        match file {
            Some(path) => Ok(Self::Rest(path.clone())),
            None => Ok(Self::Live(Portal::of(&Context::need(global)?)?)),
        }
    }

    /// Of the entries after `after` those that are sought, in order. Each has the hash that it says.
    pub(super) async fn each_of(&self, sought: &Sought, after: u64, each: Each<'_>) -> Result<(), Failure> {
        let sieved = &mut |entry: Entry| if sought.lets_through(&entry) { each(entry) } else { Ok(true) };
        match self {
            Self::Live(portal) => live(portal, sought, after, sieved).await,
            Self::Rest(_) => self.each(after, sieved).await,
        }
    }

    /// Hands over the entries after `after`, in order. Each has the hash that it says.
    pub(super) async fn each(&self, after: u64, each: Each<'_>) -> Result<(), Failure> {
        match self {
            Self::Live(portal) => live(portal, &Sought::default(), after, each).await,
            Self::Rest(path) => match kind(path)? {
                Kind::Ledger => at_rest(path, after, each),
                Kind::Export => exported(path, after, each),
                Kind::RegionLog => Err(Failure::usage("this is no ledger of governance")
                    .at(path.display())
                    .because("its first line is not that of an export, and it is no database")
                    .fix("a region's log is JSON lines already: read it as it is")),
            },
        }
    }
}

/// What the portal is asked for besides the place; empty where that is everything.
fn asked(sought: &Sought) -> String {
    let Sought { kind, subject, person, from_ms, to_ms } = sought;
    let texts = [("kind", kind), ("tenant", subject), ("person", person)];
    let texts = texts.into_iter().filter_map(|(name, text)| Some(format!("&{name}={}", text.as_ref()?)));
    let moments = [("from_ms", from_ms), ("to_ms", to_ms)];
    texts.chain(moments.into_iter().filter_map(|(name, at)| Some(format!("&{name}={}", at.as_ref()?)))).collect()
}

#[derive(Deserialize)]
struct Page {
    items: Vec<Item>,
    next: Option<String>,
}

/// An entry as the portal shows it. The body keeps its bytes: they are under the hash.
#[derive(Deserialize)]
struct Item {
    sequence: u64,
    at_ms: u64,
    kind: String,
    subject: String,
    correlation: String,
    body: Box<RawValue>,
    previous: Digest,
    hash: Digest,
}

impl Item {
    /// The entry, if its content gives its hash and it comes after those that came.
    fn entry(self, after: u64) -> Result<Entry, Failure> {
        let entry = Entry {
            sequence: self.sequence,
            at_ms: self.at_ms,
            kind: self.kind,
            subject: self.subject,
            correlation: self.correlation,
            body: self.body.get().as_bytes().to_vec(),
            previous: self.previous.0,
            hash: self.hash.0,
        };
        let bad = |why: &ledger::Broken| Err(broken("governance's ledger", &why.to_string()));
        if entry.sequence <= after {
            return bad(&ledger::Broken::OutOfOrder { expected: after.saturating_add(1), found: entry.sequence });
        }
        if entry.computed_hash() != entry.hash {
            return bad(&ledger::Broken::Changed { sequence: entry.sequence });
        }
        Ok(entry)
    }
}

async fn live(portal: &Portal, sought: &Sought, mut after: u64, each: Each<'_>) -> Result<(), Failure> {
    let asked = asked(sought);
    loop {
        let page: Page = portal.get_exact(&format!("/v1/audit/entries?after={after}&limit={PAGE}{asked}")).await?;
        for item in page.items {
            let entry = item.entry(after)?;
            after = entry.sequence;
            if !each(entry)? {
                return Ok(());
            }
        }
        match page.next.and_then(|next| next.parse().ok()) {
            Some(next) => after = next,
            None => return Ok(()),
        }
    }
}

fn at_rest(path: &Path, after: u64, each: Each<'_>) -> Result<(), Failure> {
    let place = path.display().to_string();
    // Its checksums and its chain first: what is read afterwards is what was written.
    ledger::verify_file(path, &[]).map_err(|e| unsound(&place, &e))?;
    let failed = |e: ledger::LedgerError| broken(&place, &e.to_string());
    let ledger = ledger::OfflineLedger::open(path).map_err(failed)?;
    let mut next = after.saturating_add(1);
    loop {
        let page = ledger.entries(next, READ_ROWS_MAX).map_err(failed)?;
        let Some(last) = page.last().map(|entry| entry.sequence) else { return Ok(()) };
        for entry in page {
            if !each(entry)? {
                return Ok(());
            }
        }
        next = last.saturating_add(1);
    }
}

/// Twice: an export is sound or not as a whole, and nothing of it is believed before.
fn exported(path: &Path, after: u64, each: Each<'_>) -> Result<(), Failure> {
    let place = path.display().to_string();
    let open = || File::open(path).map(BufReader::new).map_err(|e| unreadable(path, e));
    ledger::verify_export(open()?, &[]).map_err(|e| unsound(&place, &e))?;
    let mut outcome = Ok(true);
    let read = ledger::read_export(open()?, &[], |entry| {
        if matches!(outcome, Ok(true)) && entry.sequence > after {
            outcome = each(entry);
        }
    });
    read.map_err(|e| unsound(&place, &e))?;
    outcome.map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_known_by_its_first_bytes() {
        assert_eq!(kind_of(b"redb\x1a\x0a"), Kind::Ledger);
        assert_eq!(kind_of(b"{\"format\":\"openkcm/ledger/v1\"}\n"), Kind::Export);
        assert_eq!(kind_of(b"{\"t\":1}\n{\"x\":\"openkcm/ledger/v1\"}"), Kind::RegionLog);
    }

    #[test]
    fn an_entry_from_the_portal_has_the_hash_that_it_says_or_is_refused() {
        let made = |body: &str| {
            let mut entry = Entry {
                sequence: 3,
                at_ms: 5,
                kind: "k".into(),
                subject: "s".into(),
                correlation: "c".into(),
                body: body.as_bytes().to_vec(),
                previous: [7; 32],
                hash: [0; 32],
            };
            entry.hash = entry.computed_hash();
            entry
        };
        // Not the spelling that serde would choose.
        let body = r#"{"b":1, "a":[ ]}"#;
        let entry = made(body);
        let shown = |body: &str, after: u64| {
            let (previous, hash) = (Digest(entry.previous), Digest(entry.hash));
            let item = format!(
                r#"{{"sequence":3,"at_ms":5,"kind":"k","subject":"s","correlation":"c","body":{body},"previous":"{previous}","hash":"{hash}"}}"#
            );
            serde_json::from_str::<Item>(&item).unwrap().entry(after)
        };
        assert_eq!(shown(body, 2).unwrap(), entry);
        assert!(shown(r#"{"b":2, "a":[ ]}"#, 2).unwrap_err().why.contains("changed after it was written"));
        assert!(shown(body, 3).unwrap_err().why.contains("another order"));
    }
}
