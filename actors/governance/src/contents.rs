//! What the ledger is about, in columns: who asks for entries of one person, kind, tenant or time reads no others.
//!
//! A fold of the ledger in memory, some 26 bytes an entry, made once and grown at each question. It only says where to look: what is found is
//! read from the ledger and held against the question again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ledger::{Entry, Ledger, READ_ROWS_MAX};
use serde::Deserialize;

use crate::error::Fault;

/// Which entries are asked for. Everything that is given must hold; nothing given asks for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sought {
    /// A kind such as `proposal.approved`, or a group of them such as `proposal`.
    pub kind: Option<String>,
    /// A tenant's id.
    pub subject: Option<String>,
    /// Who signed what the entry records.
    pub person: Option<String>,
    /// Not before this moment, Unix milliseconds.
    pub from_ms: Option<u64>,
    /// Before this moment, Unix milliseconds.
    pub to_ms: Option<u64>,
}

impl Sought {
    pub fn lets_through(&self, entry: &Entry) -> bool {
        self.of_kind(&entry.kind)
            && self.of_subject(&entry.subject)
            && self.at(entry.at_ms)
            && (self.person.is_none() || self.by(signer(&entry.body).as_deref()))
    }

    fn of_kind(&self, kind: &str) -> bool {
        let within = |group: &String| {
            let rest = kind.strip_prefix(group.as_str());
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        self.kind.as_ref().is_none_or(within)
    }

    fn of_subject(&self, subject: &str) -> bool {
        self.subject.as_ref().is_none_or(|wanted| wanted == subject)
    }

    fn by(&self, person: Option<&str>) -> bool {
        self.person.as_ref().is_none_or(|wanted| person == Some(wanted))
    }

    fn at(&self, at_ms: u64) -> bool {
        self.from_ms.is_none_or(|from| at_ms >= from) && self.to_ms.is_none_or(|to| at_ms < to)
    }
}

/// The person who signed what an entry's body records; none where a region or governance itself did it.
pub fn signer(body: &[u8]) -> Option<String> {
    #[derive(Deserialize)]
    struct Body {
        statement: Option<Said>,
        vote: Option<Said>,
    }
    #[derive(Deserialize)]
    struct Said {
        statement: String,
    }
    #[derive(Deserialize)]
    struct Statement {
        person: String,
    }
    let body: Body = serde_json::from_slice(body).ok()?;
    let statement = URL_SAFE_NO_PAD.decode(body.statement.or(body.vote)?.statement).ok()?;
    serde_json::from_slice::<Statement>(&statement).ok().map(|statement| statement.person)
}

/// See the module.
#[derive(Default)]
pub(crate) struct Contents(Mutex<Columns>);

impl Contents {
    /// Takes what the ledger has and the columns lack. Blocks.
    pub(crate) fn catch_up(&self, ledger: &dyn Ledger) -> Result<(), Fault> {
        self.with_columns(ledger, |_| ())
    }

    /// The first `limit` entries after sequence `after` that are sought and whose subject may be seen. Blocks.
    pub(crate) fn find(
        &self,
        ledger: &dyn Ledger,
        sought: &Sought,
        mut sees: impl FnMut(&str) -> bool,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Entry>, Fault> {
        let places = self.with_columns(ledger, |columns| columns.find(sought, &mut sees, after, limit))?;
        let mut found = Vec::with_capacity(places.len());
        for run in places.chunk_by(|one, next| one.checked_add(1) == Some(*next)) {
            for part in run.chunks(READ_ROWS_MAX) {
                let (Some(first), Some(last)) = (part.first(), part.last()) else { continue };
                let read = ledger.entries(*first, part.len())?;
                found.extend(read.into_iter().filter(|entry| entry.sequence <= *last));
            }
        }
        found.retain(|entry| sought.lets_through(entry) && sees(&entry.subject));
        Ok(found)
    }

    fn with_columns<T>(&self, ledger: &dyn Ledger, ask: impl FnOnce(&Columns) -> T) -> Result<T, Fault> {
        // A panic in the middle leaves columns of different length, so a poisoned lock is not taken over.
        let mut columns = self.0.lock().map_err(|_| Fault::Gone { what: "the ledger's contents" })?;
        columns.catch_up(ledger)?;
        Ok(ask(&columns))
    }
}

/// One row an entry, in the order of their sequences.
#[derive(Default)]
struct Columns {
    sequence: Vec<u64>,
    at_ms: Vec<u64>,
    kind: Named,
    subject: Named,
    /// The empty name is nobody's: a person has one letter at least.
    person: Named,
}

impl Columns {
    fn catch_up(&mut self, ledger: &dyn Ledger) -> Result<(), Fault> {
        let newest = ledger.head()?.sequence;
        loop {
            let last = self.sequence.last().copied().unwrap_or_default();
            if last >= newest {
                return Ok(());
            }
            let page = ledger.entries(last.saturating_add(1), READ_ROWS_MAX)?;
            if page.is_empty() {
                // A gap at the end is for the check of the chain to tell.
                return Ok(());
            }
            for entry in page {
                self.push(&entry);
            }
        }
    }

    fn push(&mut self, entry: &Entry) {
        self.sequence.push(entry.sequence);
        self.at_ms.push(entry.at_ms);
        self.kind.push(&entry.kind);
        self.subject.push(&entry.subject);
        self.person.push(&signer(&entry.body).unwrap_or_default());
    }

    fn find(&self, sought: &Sought, sees: &mut impl FnMut(&str) -> bool, after: u64, limit: usize) -> Vec<u64> {
        let kinds = self.kind.which(|kind| sought.of_kind(kind));
        let subjects = self.subject.which(|subject| sought.of_subject(subject) && sees(subject));
        let people = self.person.which(|person| sought.by(Some(person)));
        let start = self.sequence.partition_point(|sequence| *sequence <= after);
        let names = self.kind.from(start).zip(self.subject.from(start)).zip(self.person.from(start));
        let times = self.sequence.iter().zip(&self.at_ms).skip(start);
        times
            .zip(names)
            .filter(|((_, at_ms), ((kind, subject), person))| {
                kinds.has(*kind) && subjects.has(*subject) && people.has(*person) && sought.at(**at_ms)
            })
            .map(|((sequence, _), _)| *sequence)
            .take(limit)
            .collect()
    }
}

/// A column of names, each of which is kept once.
#[derive(Default)]
struct Named {
    rows: Vec<u32>,
    names: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
}

impl Named {
    fn push(&mut self, name: &str) {
        let number = match self.numbers.get(name) {
            Some(number) => *number,
            None => self.enter(name),
        };
        self.rows.push(number);
    }

    fn enter(&mut self, name: &str) -> u32 {
        // More than u32::MAX names do not fit in memory.
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        let name: Arc<str> = name.into();
        self.names.push(Arc::clone(&name));
        self.numbers.insert(name, number);
        number
    }

    fn which(&self, holds: impl FnMut(&str) -> bool) -> Which {
        let mut holds = holds;
        Which(self.names.iter().map(|name| holds(name)).collect())
    }

    fn from(&self, start: usize) -> impl Iterator<Item = u32> {
        self.rows.iter().skip(start).copied()
    }
}

/// Which names are asked for, by their numbers.
struct Which(Vec<bool>);

impl Which {
    fn has(&self, number: u32) -> bool {
        usize::try_from(number).ok().and_then(|n| self.0.get(n)).is_some_and(|has| *has)
    }
}

#[cfg(test)]
mod tests {
    use ledger::{Batch, MemoryLedger, NewEntry};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const KINDS: [&str; 4] = ["proposal.opened", "proposal.approved", "proposals", "region.level"];
    const SUBJECTS: [&str; 3] = ["S", "T", "site"];
    const PEOPLE: [&str; 3] = ["alice", "bob", "carol"];

    fn body(by: Option<&str>, member: &str) -> Vec<u8> {
        let Some(person) = by else { return b"{}".to_vec() };
        let said = URL_SAFE_NO_PAD.encode(json!({ "person": person }).to_string());
        json!({ member: { "statement": said, "signature": "s" } }).to_string().into()
    }

    fn append(ledger: &MemoryLedger, (kind, subject, person, at_ms): (usize, usize, usize, u64)) {
        let of = |names: &[&'static str], n: usize| *names.get(n).unwrap();
        let member = if at_ms.is_multiple_of(2) { "statement" } else { "vote" };
        let new = NewEntry {
            at_ms,
            kind: of(&KINDS, kind).into(),
            subject: of(&SUBJECTS, subject).into(),
            correlation: String::new(),
            body: body(PEOPLE.get(person).copied(), member),
        };
        ledger.append(Batch::of(new)).unwrap();
    }

    fn row() -> impl Strategy<Value = (usize, usize, usize, u64)> {
        (0..KINDS.len(), 0..SUBJECTS.len(), 0..=PEOPLE.len(), 0..20_u64)
    }

    fn sought() -> impl Strategy<Value = Sought> {
        let one_of = |names: &'static [&'static str]| proptest::option::of(prop::sample::select(names));
        let times = (proptest::option::of(0..20_u64), proptest::option::of(0..20_u64));
        let kind = one_of(&["proposal", "proposal.approved", "region", "other"]);
        (kind, one_of(&SUBJECTS), one_of(&PEOPLE), times).prop_map(|(kind, subject, person, (from_ms, to_ms))| {
            let owned = |name: Option<&str>| name.map(str::to_owned);
            Sought { kind: owned(kind), subject: owned(subject), person: owned(person), from_ms, to_ms }
        })
    }

    proptest! {
        /// What the columns find is what reading everything finds, however the ledger grows in between.
        #[test]
        fn the_columns_find_what_reading_all_of_it_finds(
            before in prop::collection::vec(row(), 0..30), later in prop::collection::vec(row(), 0..30),
            sought in sought(), hidden in 0..=SUBJECTS.len(), after in 0..40_u64, limit in 0..20_usize,
        ) {
            let (ledger, contents) = (MemoryLedger::new(), Contents::default());
            for rows in [before, later] {
                rows.into_iter().for_each(|row| append(&ledger, row));
                let sees = |subject: &str| SUBJECTS.get(hidden) != Some(&subject);
                let all = ledger.entries(1, 1_000).unwrap();
                let read = all.into_iter().filter(|e| e.sequence > after && sees(&e.subject) && sought.lets_through(e));
                let read: Vec<_> = read.take(limit).collect();
                prop_assert_eq!(contents.find(&ledger, &sought, sees, after, limit).unwrap(), read);
            }
        }
    }

    #[test]
    fn a_group_of_kinds_ends_at_a_dot_and_times_have_a_first_and_no_last_moment() {
        let entry = |at_ms, kind: &str| {
            let ledger = MemoryLedger::new();
            let new = NewEntry {
                at_ms,
                kind: kind.into(),
                subject: "T".into(),
                correlation: String::new(),
                body: body(Some("carol"), "vote"),
            };
            ledger.append(Batch::of(new)).unwrap().entries.remove(0)
        };
        let (all, some) = (Sought::default(), |text: &str| Some(text.to_owned()));
        let kind = |kind: &str| Sought { kind: some(kind), ..Sought::default() };
        let approved = entry(5, "proposal.approved");
        assert!(all.lets_through(&approved) && kind("proposal").lets_through(&approved));
        assert!(kind("proposal.approved").lets_through(&approved) && !kind("prop").lets_through(&approved));
        let times = |from_ms, to_ms| Sought { from_ms, to_ms, ..Sought::default() }.lets_through(&approved);
        assert!(times(Some(5), Some(6)) && !times(Some(6), None) && !times(None, Some(5)));
        let by = |person: &str| Sought { person: some(person), ..Sought::default() }.lets_through(&approved);
        assert!(by("carol") && !by("dave") && !by(""));
        assert!(!Sought { subject: some("U"), ..Sought::default() }.lets_through(&approved));
    }

    #[test]
    fn who_signed_is_read_from_what_was_signed() {
        assert_eq!(signer(&body(Some("alice"), "statement")).as_deref(), Some("alice"));
        for none in [&b"no json"[..], b"{}", br#"{"vote":{"statement":"!"}}"#, br#"{"vote":{"statement":"e30"}}"#] {
            assert_eq!(signer(none), None);
        }
    }
}
