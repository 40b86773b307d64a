//! The customer's book: events of AWS KMS as CloudTrail writes them.
//!
//! Two forms are read: the log files that CloudTrail delivers (`{"Records": […]}`), and what `aws cloudtrail lookup-events` prints
//! (`{"Events": [{"CloudTrailEvent": "…"}]}`). AWS KMS developer guide, "Logging AWS KMS API calls with AWS CloudTrail"; CloudTrail user
//! guide, "CloudTrail record contents".

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

use custody::l1::calls::GRANTED;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::super::super::{exit::Failure, files};

/// Whose events matter here.
const KMS: &str = "kms.amazonaws.com";
/// How a compressed file begins (RFC 1952 §2.3.1).
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// What operations at a key call it, in the order in which they are believed.
const KEY_PARAMETERS: [&str; 3] = ["keyId", "sourceKeyId", "destinationKeyId"];

/// One event of AWS KMS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) id: String,
    /// Seconds since 1970, in milliseconds: CloudTrail knows no finer.
    pub(super) at_ms: u64,
    pub(super) name: String,
    /// The request's number; none for what AWS KMS does by itself.
    pub(super) request: Option<String>,
    /// Every name of a key in it: what it was about (by ARN), and what the request said.
    pub(super) keys: BTreeSet<String>,
    pub(super) context: BTreeMap<String, String>,
    pub(super) principal: String,
    pub(super) source: String,
    pub(super) error: Option<String>,
}

impl Event {
    /// As a region writes an outcome down.
    pub(super) fn outcome(&self) -> &str {
        self.error.as_deref().unwrap_or(GRANTED)
    }
}

/// What was read of all files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Trail {
    pub(super) events: Vec<Event>,
    /// From the first event to the last, of whatever service.
    pub(super) covers: Option<(u64, u64)>,
    /// Events that came twice: in two files, or as the copies of two accounts.
    pub(super) twice: u64,
    /// Events of other services.
    pub(super) elsewhere: u64,
    /// What is no event, each with its place.
    pub(super) unread: Vec<String>,
    seen: BTreeSet<String>,
}

/// As CloudTrail writes it. What it leaves out or writes as null is empty here.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    #[serde(rename = "eventID")]
    event_id: String,
    #[serde(rename = "sharedEventID")]
    shared_event_id: Option<String>,
    event_time: String,
    event_source: String,
    event_name: String,
    #[serde(rename = "requestID")]
    request_id: Option<String>,
    request_parameters: Option<Value>,
    resources: Option<Vec<Resource>>,
    user_identity: Option<Value>,
    #[serde(rename = "sourceIPAddress")]
    source_ip_address: Option<String>,
    error_code: Option<String>,
}

#[derive(Deserialize)]
struct Resource {
    #[serde(rename = "ARN")]
    arn: Option<String>,
}

impl Trail {
    /// Reads files, and of folders each `.json` below them.
    pub(super) fn read(paths: &[PathBuf]) -> Result<Self, Failure> {
        let mut trail = Self::default();
        for path in paths {
            let mut found = Vec::new();
            gather(path, true, &mut found)?;
            if found.is_empty() {
                return Err(Failure::usage("the folder holds no CloudTrail file")
                    .at(path.display())
                    .because("no file below it ends with .json")
                    .fix("name what CloudTrail delivered, or what `aws cloudtrail lookup-events` printed"));
            }
            for file in found {
                trail.take_file(&file)?;
            }
        }
        Ok(trail)
    }

    fn take_file(&mut self, path: &Path) -> Result<(), Failure> {
        let not = |why: &str, fix: &str| {
            Err(Failure::usage("this is no file of CloudTrail").at(path.display()).because(why).fix(fix))
        };
        let bytes = files::read("CloudTrail file", path)?;
        if bytes.starts_with(&GZIP_MAGIC) {
            return not("it is compressed", "unpack it first: gunzip -k FILE.json.gz");
        }
        let Ok(read) = serde_json::from_slice::<Value>(&bytes) else {
            return not("it is not JSON", "is it whole, and what CloudTrail delivered?");
        };
        // A digest of the log files lies beside them and holds none.
        if read.get("digestStartTime").is_some() {
            return Ok(());
        }
        let (Some(items), wrapped) = (match read.get("Records") {
            Some(records) => (records.as_array(), false),
            None => (read.get("Events").and_then(Value::as_array), true),
        }) else {
            return not(
                "it has neither `Records` nor `Events`",
                "name what CloudTrail delivered, or what `aws cloudtrail lookup-events` printed",
            );
        };
        for (at, item) in items.iter().enumerate() {
            let opened = match wrapped {
                true => item.get("CloudTrailEvent").and_then(Value::as_str).and_then(|e| serde_json::from_str(e).ok()),
                false => Some(item.clone()),
            };
            if let Err(why) = self.take(opened.unwrap_or_default()) {
                self.unread.push(format!("{}, event {}: {why}", path.display(), at + 1));
            }
        }
        Ok(())
    }

    fn take(&mut self, item: Value) -> Result<(), String> {
        let written: Written = serde_json::from_value(item).map_err(|e| e.to_string())?;
        let at_ms = moment(&written.event_time)?;
        self.covers = Some(self.covers.map_or((at_ms, at_ms), |(from, to)| (from.min(at_ms), to.max(at_ms))));
        // The copies that two accounts get of one event have this number in common.
        let shared = written.shared_event_id.as_ref().map(|id| format!("shared {id}"));
        let ids = [Some(written.event_id.clone()), shared];
        let known = ids.iter().flatten().any(|id| self.seen.contains(id));
        self.seen.extend(ids.into_iter().flatten());
        if known {
            self.twice += 1;
        } else if written.event_source == KMS {
            self.events.push(written.event(at_ms));
        } else {
            self.elsewhere += 1;
        }
        Ok(())
    }
}

impl Written {
    fn event(self, at_ms: u64) -> Event {
        let parameters = self.request_parameters.unwrap_or_default();
        let named = KEY_PARAMETERS.iter().filter_map(|name| Some(parameters.get(name)?.as_str()?.to_owned()));
        let about = self.resources.unwrap_or_default().into_iter().filter_map(|resource| resource.arn);
        let context = parameters.get("encryptionContext").and_then(Value::as_object);
        let pairs = context.into_iter().flatten();
        let identity = self.user_identity.unwrap_or_default();
        let of = |name: &str| identity.get(name).and_then(Value::as_str).map(str::to_owned);
        Event {
            id: self.event_id,
            at_ms,
            name: self.event_name,
            request: self.request_id,
            keys: about.chain(named).collect(),
            context: pairs.map(|(name, value)| (name.clone(), value.as_str().unwrap_or_default().to_owned())).collect(),
            principal: of("arn")
                .or_else(|| of("invokedBy"))
                .or_else(|| of("type"))
                .unwrap_or_else(|| "nobody named".into()),
            source: self.source_ip_address.unwrap_or_default(),
            error: self.error_code,
        }
    }
}

fn moment(text: &str) -> Result<u64, String> {
    let read = text.parse::<Timestamp>().ok().and_then(|at| u64::try_from(at.as_millisecond()).ok());
    read.ok_or_else(|| format!("`{text}` is no moment"))
}

/// A file that was named, or what a folder holds, in the order of names.
fn gather(path: &Path, named: bool, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    let failed = |e| super::super::verify::unreadable(path, e);
    if !path.is_dir() {
        let is_json = path.extension().is_some_and(|extension| extension == "json");
        let is_packed = path.to_string_lossy().ends_with(".json.gz");
        if named || is_json || is_packed {
            found.push(path.to_owned());
        }
        return Ok(());
    }
    let mut inside = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        inside.push(entry.map_err(failed)?.path());
    }
    inside.sort();
    inside.iter().try_for_each(|path| gather(path, false, found))
}
