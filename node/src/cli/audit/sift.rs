//! Which entries are asked for: a pure sieve, the same for `search`, `tail` and `export`.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use clap::Args;
use governance::Sought;
use jiff::Timestamp;
use ledger::Entry;
use serde_json::Value;

use super::super::{Global, context::Pins, exit::Failure};

/// What is asked for. Everything that is given must hold.
#[derive(Clone, Debug, Default, Args)]
pub struct Sieve {
    /// The person whose statement the entry records
    #[arg(long, value_name = "PERSON")]
    actor: Option<String>,
    /// What happened, such as proposal.approved, or a group, such as proposal
    #[arg(long, value_name = "KIND")]
    kind: Option<String>,
    /// The tenant's id, or a pinned name
    #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
    tenant: Option<String>,
    /// Not before this moment, such as 2026-11-01T00:00:00Z
    #[arg(long, value_name = "TIME", value_parser = moment)]
    from: Option<u64>,
    /// Before this moment
    #[arg(long, value_name = "TIME", value_parser = moment)]
    to: Option<u64>,
}

/// Unix milliseconds of a moment in RFC 3339.
pub(super) fn moment(text: &str) -> Result<u64, String> {
    let read = text.parse::<Timestamp>().ok().and_then(|moment| u64::try_from(moment.as_millisecond()).ok());
    read.ok_or_else(|| format!("`{text}` is no moment: write it as 2026-11-01T00:00:00Z"))
}

impl Sieve {
    /// With the tenant's name turned into its id, which is what entries bear.
    pub(super) fn resolved(mut self, global: &Global) -> Result<Self, Failure> {
        if let Some(given) = &self.tenant
            && given.parse::<orbital::names::TenantId>().is_err()
        {
            self.tenant = Some(Pins::read(global)?.tenant(given)?.to_string());
        }
        Ok(self)
    }

    pub(super) fn lets_all_through(&self) -> bool {
        self.sought() == Sought::default()
    }

    pub(super) fn sought(&self) -> Sought {
        let Self { actor, kind, tenant, from, to } = self.clone();
        Sought { kind, subject: tenant, person: actor, from_ms: from, to_ms: to }
    }
}

/// Whether a text stands in the entry, also in what people signed in it. Upper and lower case are one.
pub(super) fn mentions(entry: &Entry, text: &str) -> bool {
    let text = text.to_lowercase();
    let has = |of: &str| of.to_lowercase().contains(&text);
    has(&entry.kind)
        || has(&entry.subject)
        || has(&entry.correlation)
        || said(&body(entry)).iter().any(|said| has(said))
}

pub(super) fn body(entry: &Entry) -> Value {
    serde_json::from_slice(&entry.body).unwrap_or_default()
}

/// JSON in base64url, as signed statements and changes stand in entries.
fn decoded(text: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(text).ok()?).ok()
}

/// Every text of a body, and of the statements in it.
fn said(body: &Value) -> Vec<String> {
    match body {
        Value::String(text) => match decoded(text) {
            Some(inner @ Value::Object(_)) => said(&inner),
            _ => vec![text.clone()],
        },
        Value::Array(items) => items.iter().flat_map(said).collect(),
        Value::Object(members) => members.values().flat_map(said).collect(),
        Value::Number(number) => vec![number.to_string()],
        Value::Null | Value::Bool(_) => Vec::new(),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::json;

    use super::*;

    /// An approval by carol of proposal P-1.
    pub(in crate::cli::audit) fn approval() -> Entry {
        let vote = json!({ "person": "carol", "role": "approve", "tenant": "T" }).to_string();
        let vote = json!({ "statement": URL_SAFE_NO_PAD.encode(vote), "signature": "s" });
        Entry {
            sequence: 7,
            at_ms: 1_700_000_000_123,
            kind: "proposal.approved".into(),
            subject: "T".into(),
            correlation: "click-1".into(),
            body: json!({ "v": 1, "is": "answered", "proposal": "P-1", "voice": "approve", "vote": vote })
                .to_string()
                .into(),
            previous: [1; 32],
            hash: [2; 32],
        }
    }

    #[test]
    fn everything_that_is_given_is_asked_for() {
        assert!(Sieve::default().lets_all_through());
        let some = |text: &str| Some(text.to_owned());
        let sieve = Sieve { actor: some("a"), kind: some("k"), tenant: some("t"), from: Some(1), to: Some(2) };
        let wanted =
            Sought { kind: some("k"), subject: some("t"), person: some("a"), from_ms: Some(1), to_ms: Some(2) };
        assert!(!sieve.lets_all_through() && sieve.sought() == wanted);
        assert!(wanted_of_approval().lets_through(&approval()));
    }

    fn wanted_of_approval() -> Sought {
        Sought { person: Some("carol".to_owned()), kind: Some("proposal".to_owned()), ..Sought::default() }
    }

    #[test]
    fn a_text_is_found_in_what_was_signed_as_well() {
        let entry = approval();
        for text in ["CAROL", "p-1", "click", "approved"] {
            assert!(mentions(&entry, text), "{text}");
        }
        assert!(!mentions(&entry, "dave"));
        assert!(!mentions(&Entry { body: b"no json".to_vec(), ..entry }, "carol"));
    }

    #[test]
    fn a_moment_needs_its_zone() {
        assert_eq!(moment("2023-11-14T22:13:20Z"), Ok(1_700_000_000_000));
        assert_eq!(moment("2023-11-14T23:13:20.5+01:00"), Ok(1_700_000_000_500));
        assert!(moment("2023-11-14").is_err() && moment("1960-01-01T00:00:00Z").is_err());
    }
}
