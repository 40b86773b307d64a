//! Two books held against each other: a pure function.
//!
//! A call that AWS KMS answered has its number, and pairs by that alone. One without an answer pairs with an event that nothing else
//! explains, of the same operation, key and context, within [`NEAR_MS`], by a principal whose other calls have numbers: who that is comes
//! from those pairs, so that no silence of ours lends a stranger our name.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use custody::l1::calls::{GRANTED, UNANSWERED};
use kmip_server::audit::Asked;

use super::trail::Event;

/// CloudTrail delivers an event within about 15 minutes: of the last 15 that a trail covers, some may still be under way.
pub(super) const LATE_MS: u64 = 15 * 60 * 1_000;
/// How far a call without an answer may be from its event: an operation's own limit, and clocks that differ.
const NEAR_MS: u64 = 60 * 1_000;
/// How the ids of multi-Region keys begin, those of all replicas alike; no other key has such an id.
const REPLICATED: &str = "mrk-";
/// Operations that use a key. All others describe or govern it.
const USES: [&str; 12] = [
    "Encrypt",
    "Decrypt",
    "ReEncrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "GenerateDataKeyPair",
    "GenerateDataKeyPairWithoutPlaintext",
    "GenerateMac",
    "VerifyMac",
    "Sign",
    "Verify",
    "DeriveSharedSecret",
];

/// What a region asked, and where that stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ours {
    pub(super) place: String,
    pub(super) asked: Asked,
}

/// What is held against what.
pub(super) struct Books<'a> {
    pub(super) ours: &'a [Ours],
    pub(super) theirs: &'a [Event],
    /// The time that the logs of all regions have in common.
    pub(super) we_cover: (u64, u64),
    pub(super) they_cover: (u64, u64),
    /// Keys that are looked at besides those that our side names.
    pub(super) keys: &'a [String],
}

/// What came of it. Findings are `differs`, `strangers`, `uncovered` and `unseen`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) keys: BTreeSet<String>,
    /// Paired, and both say the same.
    pub(super) matched: u64,
    /// Of those: without a number, by context and time.
    pub(super) by_context: u64,
    /// Paired by number, and the two say different things: ours, theirs, what.
    pub(super) differs: Vec<(usize, usize, &'static str)>,
    /// Uses of a key, or calls by a region's own principal, that no region asked for.
    pub(super) strangers: Vec<usize>,
    /// The same, at a time that not all of our logs cover: a log that ends early explains nothing away.
    pub(super) uncovered: Vec<usize>,
    /// What others did at the key without using it.
    pub(super) governed: Vec<usize>,
    /// Granted calls that AWS does not have, though its trail should.
    pub(super) unseen: Vec<usize>,
    /// Calls that were refused or failed and that AWS does not show: it need not.
    pub(super) refused: u64,
    /// Calls without an answer and without an event.
    pub(super) unanswered: u64,
    /// Ours, granted, that may not have been delivered yet.
    pub(super) late: u64,
    /// Not judged: before or after what the other side covers.
    pub(super) ours_outside: u64,
    pub(super) theirs_outside: u64,
    /// Events at other keys.
    pub(super) other_keys: u64,
    /// Refused uses, or no uses, of which AWS does not say the key.
    pub(super) nameless: u64,
}

pub(super) fn reconcile(books: &Books<'_>) -> Outcome {
    let pairs = numbered(books);
    let mut outcome = Outcome { keys: keys(books, &pairs), ..Outcome::default() };
    let mut taken: BTreeSet<usize> = pairs.values().copied().collect();
    let mine: BTreeSet<&str> = taken.iter().filter_map(|&at| Some(books.theirs.get(at)?.principal.as_str())).collect();
    for (at, ours) in books.ours.iter().enumerate() {
        if let Some(&event) = pairs.get(&at) {
            match books.theirs.get(event).and_then(|event| difference(&ours.asked, event)) {
                Some(what) => outcome.differs.push((at, event, what)),
                None => outcome.matched += 1,
            }
        } else if let Some(event) = unnumbered(books, &ours.asked, &taken, &mine) {
            taken.insert(event);
            outcome.matched += 1;
            outcome.by_context += 1;
        } else {
            alone(books, at, &ours.asked, &mut outcome);
        }
    }
    for (at, event) in books.theirs.iter().enumerate().filter(|(at, _)| !taken.contains(at)) {
        unexplained(books, at, event, mine.contains(event.principal.as_str()), &mut outcome);
    }
    outcome
}

/// One of theirs that no call of ours goes with.
fn unexplained(books: &Books<'_>, at: usize, event: &Event, is_mine: bool, outcome: &mut Outcome) {
    let is_ours = |name: &String| outcome.keys.iter().any(|key| is_named(key, name));
    let is_finding = is_mine || (is_use(&event.name) && (!event.keys.is_empty() || event.error.is_none()));
    if !event.keys.is_empty() && !event.keys.iter().any(is_ours) {
        outcome.other_keys += 1;
    } else if !within(books.they_cover, event.at_ms) || (!within(books.we_cover, event.at_ms) && !is_finding) {
        outcome.theirs_outside += 1;
    } else if !within(books.we_cover, event.at_ms) {
        outcome.uncovered.push(at);
    } else if is_finding {
        outcome.strangers.push(at);
    } else if event.keys.is_empty() {
        outcome.nameless += 1;
    } else {
        outcome.governed.push(at);
    }
}

/// Our calls with a number, each with the event that has the same. A number pairs once.
fn numbered(books: &Books<'_>) -> BTreeMap<usize, usize> {
    let numbers = books.theirs.iter().enumerate().filter_map(|(at, event)| Some((event.request.as_deref()?, at)));
    let mut numbers: HashMap<&str, usize> = numbers.collect();
    let ours = books.ours.iter().enumerate();
    ours.filter_map(|(at, ours)| Some((at, numbers.remove(ours.asked.request.as_deref()?)?))).collect()
}

/// The keys that are looked at: those that were named, those that we named by ARN, and what the events of our calls were about.
fn keys(books: &Books<'_>, pairs: &BTreeMap<usize, usize>) -> BTreeSet<String> {
    let named = books.ours.iter().map(|ours| &ours.asked.key).chain(books.keys);
    let about = pairs.values().filter_map(|&at| books.theirs.get(at)).flat_map(|event| &event.keys);
    named.chain(about).cloned().collect()
}

/// Whether it is this key that is called so: by its ARN or alias, by the last part of its ARN, or as its replica in another region of AWS,
/// which has the same key material and the same last part (AWS KMS developer guide, "Multi-Region keys").
fn is_named(key: &str, name: &str) -> bool {
    let (last, either) = (last_part(key), !key.contains(':') || !name.contains(':'));
    key == name || (last == last_part(name) && (either || last.starts_with(REPLICATED)))
}

fn last_part(name: &str) -> &str {
    name.rsplit_once(":key/").map_or(name, |(_, id)| id)
}

fn is_use(name: &str) -> bool {
    USES.contains(&name)
}

fn within((from, to): (u64, u64), at_ms: u64) -> bool {
    // CloudTrail's moments have no milliseconds.
    from / 1_000 <= at_ms / 1_000 && at_ms <= to
}

/// What the two say differently of one request.
fn difference(asked: &Asked, event: &Event) -> Option<&'static str> {
    if asked.call != event.name {
        return Some("the operation");
    }
    if !event.keys.is_empty()
        && asked.key.contains(":key/")
        && !event.keys.iter().any(|name| is_named(&asked.key, name))
    {
        return Some("the key");
    }
    // Of what it refuses, CloudTrail may leave out what was asked.
    if event.error.is_none() && asked.context != event.context {
        return Some("the encryption context");
    }
    (event.error.is_none() != (asked.outcome == GRANTED)).then_some("whether it was granted")
}

/// The nearest event that a call without an answer may have become.
fn unnumbered(books: &Books<'_>, asked: &Asked, taken: &BTreeSet<usize>, mine: &BTreeSet<&str>) -> Option<usize> {
    if asked.request.is_some() {
        return None;
    }
    let fits = |event: &Event| {
        event.name == asked.call
            && event.context == asked.context
            && mine.contains(event.principal.as_str())
            && event.keys.iter().any(|name| is_named(&asked.key, name))
            && event.at_ms.abs_diff(asked.t) <= NEAR_MS
    };
    let free = books.theirs.iter().enumerate().filter(|(at, event)| !taken.contains(at) && fits(event));
    free.min_by_key(|(_, event)| event.at_ms.abs_diff(asked.t)).map(|(at, _)| at)
}

/// One of ours that no event goes with.
fn alone(books: &Books<'_>, at: usize, asked: &Asked, outcome: &mut Outcome) {
    let (from, to) = books.they_cover;
    if !within((from, to), asked.t) {
        outcome.ours_outside += 1;
    } else if asked.outcome == UNANSWERED {
        outcome.unanswered += 1;
    } else if asked.outcome != GRANTED {
        outcome.refused += 1;
    } else if asked.t > to.saturating_sub(LATE_MS) {
        outcome.late += 1;
    } else {
        outcome.unseen.push(at);
    }
}
