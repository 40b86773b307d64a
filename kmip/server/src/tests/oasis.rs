//! The 68 mandatory test cases of the KMIP 1.4 profiles (OASIS), replayed: each request is sent as the case has it, each answer is compared
//! with the one that the case expects.
//!
//! Free is what the profiles leave to a server: dates, messages, identifiers (each bound to the variable where it is first seen), bytes that
//! follow from a key which the server made or from what it draws, which generator made it, the order of attributes, and what Query says. A case that does not pass stands in [`NOT_YET`] with the
//! reason; one that passes and still stands there is a failure too, so the list only shrinks.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use kmip::{
    markup::{json, xml},
    tables::ProfileName,
    ttlv::Limits,
};
use quick_xml::{Reader, events::Event};

use crate::{
    https::{self, Encoding},
    ops::query::PROFILES,
    rig::{Rig, START_S},
};

/// Cases that do not pass, and what they need that is not here.
const NOT_YET: &[(&str, &str)] =
    &[("CS-AC-M-OAEP-10", MASK), ("CS-AC-M-OAEP-7", MASK), ("CS-AC-M-OAEP-8", MASK), ("CS-AC-M-OAEP-9", MASK)];
const MASK: &str = "OAEP with another hash in MGF1, which the cryptographic library does not have";

/// Profiles of a server, and how the names of their cases begin. All cases stand upon the Baseline; AX-M is its own.
const PROFILE_CASES: [(ProfileName, &str); 10] = [
    (ProfileName::BaselineServerBasicKmipV14, "AX-M-"),
    (ProfileName::SymmetricKeyLifecycleServerKmipV14, "SKLC-M-"),
    (ProfileName::SymmetricKeyFoundryServerKmipV14, "SKFF-M-"),
    (ProfileName::AsymmetricKeyLifecycleServerKmipV14, "AKLC-M-"),
    (ProfileName::BasicCryptographicServerKmipV14, "CS-BC-M-"),
    (ProfileName::AdvancedCryptographicServerKmipV14, "CS-AC-M-"),
    (ProfileName::RngCryptographicServerKmipV14, "CS-RNG-M-"),
    (ProfileName::OpaqueManagedObjectStoreServerKmipV14, "OMOS-M-"),
    (ProfileName::StorageArrayWithSelfEncryptingDriveServerKmipV14, "SASED-M-"),
    (ProfileName::TapeLibraryServerKmipV14, "TL-M-"),
];

/// Cases that build upon each other, by their beginning.
const SERIES: [&str; 2] = ["SASED-M", "TL-M"];

#[derive(Clone, Debug, Default)]
struct Node {
    name: String,
    /// Empty for a structure.
    kind: String,
    value: String,
    children: Vec<Node>,
}

impl Node {
    fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.name == name)
    }

    fn says(&self, name: &str) -> &str {
        self.child(name).map_or("", |child| child.value.as_str())
    }

    fn says_anywhere(&self, name: &str, value: &str) -> bool {
        (self.name == name && self.value == value) || self.children.iter().any(|child| child.says_anywhere(name, value))
    }
}

/// The elements of a document.
fn parse(text: &str) -> Vec<Node> {
    let mut reader = Reader::from_str(text);
    let mut open = vec![Node::default()];
    loop {
        let event = reader.read_event().unwrap();
        match event {
            Event::Start(ref start) | Event::Empty(ref start) => {
                let mut node = Node { name: start.name().as_ref().to_owned(), ..Node::default() };
                for attribute in start.attributes().map(Result::unwrap) {
                    let value = attribute.value.into_owned();
                    match attribute.key.as_ref() {
                        "type" => node.kind = value,
                        "value" => node.value = value,
                        _ => {}
                    }
                }
                open.push(node);
                if matches!(event, Event::Empty(_)) {
                    close(&mut open);
                }
            }
            Event::End(_) => close(&mut open),
            Event::Eof => return open.pop().unwrap().children,
            _ => {}
        }
    }
}

fn close(open: &mut Vec<Node>) {
    let node = open.pop().unwrap();
    open.last_mut().unwrap().children.push(node);
}

/// What the variables of a case stand for, and which bytes of ours stand for those of a case.
#[derive(Clone, Default)]
struct Bound(BTreeMap<String, String>);

impl Bound {
    fn said(&self, node: &Node) -> String {
        let value = node.value.as_str();
        if let Some(offset) = value.strip_prefix("$NOW") {
            let offset: i64 = if offset.is_empty() { 0 } else { offset.parse().unwrap() };
            return jiff::Timestamp::from_second(START_S + offset).unwrap().to_string();
        }
        // A case may write down one server's bytes in an answer, and their variable in the request that follows.
        let last = || self.0.get(&last_key(node)).filter(|_| value.starts_with('$'));
        let known = self.0.get(value).or_else(|| self.0.get(&bytes_key(node))).or_else(last);
        assert!(known.is_some() || !value.starts_with('$'), "{value} was never seen");
        known.map_or_else(|| value.to_owned(), Clone::clone)
    }

    /// Remembers what an answer said last.
    fn hear(&mut self, node: &Node) {
        self.0.insert(last_key(node), node.value.clone());
        node.children.iter().for_each(|child| self.hear(child));
    }

    fn xml(&self, node: &Node) -> String {
        let Node { name, kind, children, .. } = node;
        if kind.is_empty() {
            let inner: String = children.iter().map(|child| self.xml(child)).collect();
            return format!("<{name}>{inner}</{name}>");
        }
        format!("<{name} type=\"{kind}\" value=\"{}\"/>", self.said(node))
    }
}

fn bytes_key(node: &Node) -> String {
    format!("{} {}", node.name, node.value.to_ascii_lowercase())
}

fn last_key(node: &Node) -> String {
    format!("last {}", node.name)
}

/// How one answer is compared.
struct Comparison<'a> {
    request: &'a Node,
    /// The answer that the case expects.
    answer: &'a Node,
    /// The case's keys are made by the server: what follows from them is compared by its length.
    made_here: bool,
    /// The case encrypts by OAEP, which draws a seed.
    seeded: bool,
}

impl Comparison<'_> {
    fn same(&self, expected: &Node, actual: &Node, bound: &mut Bound) -> Result<(), String> {
        let at = |why: String| format!("{}: {why}", expected.name);
        if (&expected.name, &expected.kind) != (&actual.name, &actual.kind) {
            return Err(at(format!("found {} {}", actual.name, actual.kind)));
        }
        if expected.says("AttributeName") == "Random Number Generator" {
            let named = actual.child("AttributeValue").is_some_and(|value| value.child("RNGAlgorithm").is_some());
            return if named { Ok(()) } else { Err(at("no generator is named".to_owned())) };
        }
        if expected.kind.is_empty() {
            return self.same_fields(expected, actual, bound).map_err(at);
        }
        self.same_value(expected, actual, bound).map_err(at)
    }

    fn same_value(&self, expected: &Node, actual: &Node, bound: &mut Bound) -> Result<(), String> {
        let (wanted, found) = (expected.value.as_str(), actual.value.as_str());
        let different = || Err(format!("{wanted:?} expected, {found:?} found"));
        if expected.kind == "DateTime" || expected.name == "ResultMessage" {
            return Ok(());
        }
        if wanted.starts_with('$') {
            let known = bound.0.entry(wanted.to_owned()).or_insert_with(|| found.to_owned());
            return if known == found { Ok(()) } else { different() };
        }
        let equal = match expected.kind.as_str() {
            "ByteString" => bound.said(expected).eq_ignore_ascii_case(found),
            "Integer" => words(wanted) == words(found),
            _ => wanted == found,
        };
        if equal {
            return Ok(());
        }
        if self.follows(expected) && wanted.len() == found.len() {
            bound.0.insert(bytes_key(expected), found.to_owned());
            return Ok(());
        }
        different()
    }

    /// Bytes that another server's key or random IV would make other bytes of.
    fn follows(&self, expected: &Node) -> bool {
        let drawn = |node: &Node| node.child("IVCounterNonce").is_some() && node.child("Data").is_some();
        let by_iv = ["Data", "IVCounterNonce"].contains(&expected.name.as_str())
            && self.answer.all("BatchItem").any(|item| item.children.iter().any(drawn));
        let by_key = ["Data", "DigestValue", "MACData", "KeyMaterial"].contains(&expected.name.as_str());
        let by_seed = self.seeded && expected.name == "Data" && self.asks("Encrypt");
        by_iv || by_seed || (self.made_here && by_key)
    }

    fn asks(&self, operation: &str) -> bool {
        self.request.all("BatchItem").any(|item| item.says("Operation") == operation)
    }

    fn same_fields(&self, expected: &Node, actual: &Node, bound: &mut Bound) -> Result<(), String> {
        let operation = self.request.child("BatchItem").map_or("", |item| item.says("Operation"));
        if expected.name == "ResponsePayload" && operation == "Query" {
            return Ok(());
        }
        let loose = |node: &&Node| ["Attribute", "AttributeName"].contains(&node.name.as_str());
        let optional =
            |node: &&Node| node.name == "ResultMessage" || (node.name == "AttributeIndex" && node.value == "0");
        let in_order = |node: &Node| {
            node.children.iter().filter(|child| !loose(child) && !optional(child)).cloned().collect::<Vec<_>>()
        };
        let (wanted, found) = (in_order(expected), in_order(actual));
        for (wanted, found) in wanted.iter().zip(&found) {
            self.same(wanted, found, bound)?;
        }
        if let Some(missing) = wanted.get(found.len()) {
            return Err(format!("{} is missing", missing.name));
        }
        if let Some(more) = found.get(wanted.len()) {
            return Err(format!("{} {} is too much", more.name, more.value));
        }
        let mut left: Vec<&Node> = actual.children.iter().filter(loose).collect();
        for wanted in expected.children.iter().filter(loose) {
            let mut last = "is missing".to_owned();
            let fits = |found: &&Node| {
                let mut tried = bound.clone();
                match self.same(wanted, found, &mut tried) {
                    Ok(()) => Some(tried),
                    Err(why) => {
                        if wanted.says("AttributeName") == found.says("AttributeName") {
                            last = why;
                        }
                        None
                    }
                }
            };
            let Some((place, after)) = left.iter().map(fits).enumerate().find_map(|(at, tried)| Some((at, tried?)))
            else {
                return Err(format!("{}{}: {last}", wanted.says("AttributeName"), wanted.value));
            };
            left.remove(place);
            *bound = after;
        }
        let asks_all = |item: &Node| {
            let named = |payload: &Node| payload.child("AttributeName").is_some();
            ["GetAttributes", "GetAttributeList"].contains(&item.says("Operation"))
                && !item.child("RequestPayload").is_some_and(named)
        };
        match left.first() {
            Some(more) if !self.request.all("BatchItem").any(asks_all) => {
                Err(format!("{}{} is too much", more.says("AttributeName"), more.value))
            }
            _ => Ok(()),
        }
    }
}

/// The bits of a mask, or a number.
fn words(text: &str) -> Vec<&str> {
    let mut words: Vec<_> = text.split_whitespace().collect();
    words.sort_unstable();
    words
}

fn cases() -> Option<Vec<PathBuf>> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/kmip-oasis-1.4");
    let folder = std::env::var_os("KMIP_OASIS_CASES").map_or(beside, PathBuf::from);
    let mut cases: Vec<_> = std::fs::read_dir(folder).ok()?.map(|entry| entry.unwrap().path()).collect();
    cases.retain(|path| path.extension().is_some_and(|extension| extension == "xml"));
    cases.sort();
    Some(cases)
}

/// How the requests of a replay are sent: as frames, or as the bodies of HTTPS, in turns.
#[derive(Clone, Copy)]
enum Way {
    Frames,
    Bodies,
}

/// The answer to a request, both in XML.
async fn ask(rig: &Rig, way: Way, turn: usize, request: &str) -> Result<String, String> {
    let frame = xml::read(request, &Limits::REQUEST).map_err(|error| error.to_string())?;
    let body = async |body: String, encoding| {
        let answer = https::exchange(&rig.server, &rig.caller, body.as_bytes(), encoding).await.unwrap();
        String::from_utf8(answer.to_vec()).unwrap()
    };
    let answer = match (way, turn % 2) {
        (Way::Frames, _) => rig.ask(&rig.caller, &frame).await,
        (Way::Bodies, 0) => return Ok(body(request.to_owned(), Encoding::Xml("text/xml")).await),
        (Way::Bodies, _) => {
            let answer = body(json::write(&frame).unwrap(), Encoding::Json).await;
            json::read(&answer, &Limits::ANSWER).map_err(|error| error.to_string())?
        }
    };
    xml::write(&answer).map_err(|error| error.to_string())
}

async fn replay(rig: &Rig, way: Way, path: &Path, bound: &mut Bound) -> Result<(), String> {
    let document = parse(&std::fs::read_to_string(path).unwrap());
    let messages = &document[0].children;
    let registers = |message: &Node| message.all("BatchItem").any(|item| item.says("Operation") == "Register");
    let made_here = !messages.iter().any(registers);
    let seeded = messages.iter().any(|message| message.says_anywhere("PaddingMethod", "OAEP"));
    for (at, pair) in messages.chunks(2).enumerate() {
        let [request, expected] = pair else { panic!("a request without an answer") };
        let why = |why: String| {
            let operations: Vec<_> = request.all("BatchItem").map(|item| item.says("Operation")).collect();
            format!("message {} ({}): {why}", at + 1, operations.join(", "))
        };
        let answer = ask(rig, way, at, &bound.xml(request)).await.map_err(&why)?;
        let comparison = Comparison { request, answer: expected, made_here, seeded };
        let actual = parse(&answer).remove(0);
        bound.hear(&actual);
        comparison.same(expected, &actual, bound).map_err(|error| why(format!("{error}\n{answer}")))?;
    }
    Ok(())
}

fn name_of(path: &Path) -> String {
    path.file_stem().unwrap().to_str().unwrap().trim_end_matches("-14").to_owned()
}

#[tokio::test]
async fn the_profiles_cases_pass() {
    the_cases_pass(Way::Frames).await;
}

/// The profiles HTTPS, XML and JSON: whatever is answered to frames is answered to bodies.
#[tokio::test]
async fn the_profiles_cases_pass_in_xml_and_json() {
    the_cases_pass(Way::Bodies).await;
}

/// A profile of which a case does not pass is not claimed, and one whose cases all pass is.
#[test]
fn query_claims_the_profiles_whose_cases_pass() {
    let passes = |begin: &str| !NOT_YET.iter().any(|(name, _)| name.starts_with(begin));
    let tested = PROFILE_CASES.iter().filter(|(_, begin)| passes(begin)).map(|(profile, _)| *profile);
    assert_eq!(tested.collect::<Vec<_>>(), PROFILES, "tested (left) and claimed in ops/query.rs (right)");
}

async fn the_cases_pass(way: Way) {
    let Some(cases) = cases() else {
        println!("skipped: the OASIS cases are not there; KMIP_OASIS_CASES names their folder");
        return;
    };
    assert_eq!(cases.len(), 68);
    let mut series: BTreeMap<&str, (Rig, Bound)> = BTreeMap::new();
    let mut failed = BTreeMap::new();
    for path in &cases {
        let name = name_of(path);
        let outcome = match SERIES.iter().find(|begin| name.starts_with(*begin)) {
            Some(begin) => {
                if !series.contains_key(begin) {
                    series.insert(begin, (Rig::new().await, Bound::default()));
                }
                let (rig, bound) = series.get_mut(begin).unwrap();
                replay(rig, way, path, bound).await
            }
            None => replay(&Rig::new().await, way, path, &mut Bound::default()).await,
        };
        if let Err(why) = outcome {
            println!("{name}: {why}\n");
            failed.insert(name, why);
        }
    }
    println!("{} of {} cases pass", cases.len() - failed.len(), cases.len());
    let excused: BTreeMap<_, _> = NOT_YET.iter().copied().collect();
    let broken: Vec<_> = failed.keys().filter(|name| !excused.contains_key(name.as_str())).collect();
    let passing: Vec<_> = excused.keys().filter(|name| !failed.contains_key(**name)).collect();
    assert!(broken.is_empty(), "these passed before: {broken:?}");
    assert!(passing.is_empty(), "these pass now, and no longer belong into NOT_YET: {passing:?}");
}
