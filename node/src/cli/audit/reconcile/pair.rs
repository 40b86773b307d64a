//! Two books held against each other: a pure function.
//!
//! A call that AWS KMS answered has its number, and pairs by that alone. One without an answer pairs with an event that nothing else
//! explains, of the same operation, key and context, within [`NEAR_MS`].

use std::collections::{BTreeMap, BTreeSet, HashMap};

use custody::l1::calls::{GRANTED, UNANSWERED};
use kmip_server::audit::Asked;

use super::trail::Event;

/// CloudTrail delivers an event within about 15 minutes: of the last 15 that a trail covers, some may still be under way.
pub(super) const LATE_MS: u64 = 15 * 60 * 1_000;
/// How far a call without an answer may be from its event: an operation's own limit, and clocks that differ.
const NEAR_MS: u64 = 60 * 1_000;
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

/// What came of it. Findings are `differs`, `strangers` and `unseen`.
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
}

pub(super) fn reconcile(books: &Books<'_>) -> Outcome {
    let mut outcome = Outcome::default();
    let mut pairs = numbered(books);
    outcome.keys = keys(books, &pairs);
    let mut taken: BTreeSet<usize> = pairs.values().copied().collect();
    for (at, ours) in books.ours.iter().enumerate() {
        if let Some(&event) = pairs.get(&at) {
            match books.theirs.get(event).and_then(|event| difference(&ours.asked, event)) {
                Some(what) => outcome.differs.push((at, event, what)),
                None => outcome.matched += 1,
            }
        } else if let Some(event) = unnumbered(books, &ours.asked, &taken) {
            taken.insert(event);
            pairs.insert(at, event);
            outcome.matched += 1;
            outcome.by_context += 1;
        } else {
            alone(books, at, &ours.asked, &mut outcome);
        }
    }
    let mine: BTreeSet<&str> = taken.iter().filter_map(|&at| Some(books.theirs.get(at)?.principal.as_str())).collect();
    for (at, event) in books.theirs.iter().enumerate().filter(|(at, _)| !taken.contains(at)) {
        if !event.keys.iter().any(|name| outcome.keys.iter().any(|key| is_named(key, name))) {
            outcome.other_keys += 1;
        } else if !within(books.we_cover, event.at_ms) {
            outcome.theirs_outside += 1;
        } else if is_use(&event.name) || mine.contains(event.principal.as_str()) {
            outcome.strangers.push(at);
        } else {
            outcome.governed.push(at);
        }
    }
    outcome
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

/// Whether it is this key that is called so: by its ARN or alias, or by the last part of its ARN.
fn is_named(key: &str, name: &str) -> bool {
    key == name || (last_part(key) == last_part(name) && (!key.contains(':') || !name.contains(':')))
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
fn unnumbered(books: &Books<'_>, asked: &Asked, taken: &BTreeSet<usize>) -> Option<usize> {
    if asked.request.is_some() {
        return None;
    }
    let fits = |event: &Event| {
        event.name == asked.call
            && event.context == asked.context
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
