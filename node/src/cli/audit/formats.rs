//! Entries in the forms that log collectors read: OCSF (a JSON object a line) and CEF behind a syslog header.
//!
//! OCSF 1.3.0, class *Entity Management* (3004): a decision is an activity on a managed entity, a tenant or a proposal.
//! CEF 0 behind RFC 5424, facility *log audit* (13). Neither can be verified; each line names the entry's sequence and hash, by which it is
//! found in an export that can.

use governance::signer;
use ledger::Entry;
use orbital::names::Digest;
use serde_json::{Value, json};

use super::{super::plain, sift::body};

const OCSF_VERSION: &str = "1.3.0";
const OCSF_CLASS: u64 = 3004;
/// Facility *log audit*, times eight (RFC 5424 §6.2.1).
const SYSLOG_AUDIT: u64 = 13 * 8;
const VENDOR: &str = "OpenKCM";
const PRODUCT: &str = "kcm";

/// What a collector weighs an entry by.
struct Weight {
    /// OCSF `activity_id` of class 3004.
    activity: u64,
    /// OCSF `severity_id`.
    severity: u64,
    /// CEF severity, 0 to 10.
    cef: u64,
    /// RFC 5424 severity.
    syslog: u64,
}

impl Weight {
    fn of(kind: &str) -> Self {
        let activity = match kind {
            "tenant.provisioned" | "proposal.opened" => 1,
            "proposal.approved" | "proposal.rejected" | "proposal.confirmed" | "proposal.ratified"
            | "proposal.applied" => 3,
            "proposal.active" => 10,
            "proposal.withdrawn" | "proposal.expired" | "proposal.voided" => 11,
            "region.stopped-by-hand" => 9,
            _ => 99,
        };
        let (severity, cef, syslog) = match kind {
            "region.stopped-by-hand" => (4, 8, 4),
            "proposal.refused" | "proposal.voided" => (3, 5, 4),
            _ => (1, 3, 6),
        };
        Self { activity, severity, cef, syslog }
    }
}

/// What the entry is about: type and id.
fn about(entry: &Entry, body: &Value) -> (&'static str, String) {
    let member = |name: &str| body.get(name).and_then(Value::as_str).map(str::to_owned);
    match (member("proposal"), member("region")) {
        (Some(proposal), _) => ("Proposal", proposal),
        (None, Some(region)) => ("Region", region),
        (None, None) if entry.subject.is_empty() => ("Site", entry.kind.clone()),
        (None, None) => ("Tenant", entry.subject.clone()),
    }
}

/// One object of OCSF.
pub(super) fn ocsf(entry: &Entry) -> String {
    let (body, weight) = (body(entry), Weight::of(&entry.kind));
    let (kind, uid) = about(entry, &body);
    let mut event = json!({
        "activity_id": weight.activity, "activity_name": entry.kind, "category_uid": OCSF_CLASS / 1000,
        "category_name": "Identity & Access Management", "class_uid": OCSF_CLASS, "class_name": "Entity Management",
        "type_uid": OCSF_CLASS * 100 + weight.activity, "severity_id": weight.severity, "time": entry.at_ms,
        "metadata": {
            "version": OCSF_VERSION, "uid": Digest(entry.hash).to_string(), "sequence": entry.sequence,
            "event_code": entry.kind, "correlation_uid": entry.correlation, "tenant_uid": entry.subject, "log_name": "ledger",
            "product": { "vendor_name": VENDOR, "name": PRODUCT, "version": env!("CARGO_PKG_VERSION") },
        },
        "entity": { "type": kind, "uid": uid },
        "unmapped": { "body": body, "previous": Digest(entry.previous).to_string() },
    });
    if let (Some(person), Some(members)) = (signer(&entry.body), event.as_object_mut()) {
        members.insert("actor".into(), json!({ "user": { "name": person } }));
    }
    event.to_string()
}

/// One line of CEF with its syslog header.
pub(super) fn cef(entry: &Entry) -> String {
    let (body, weight) = (body(entry), Weight::of(&entry.kind));
    let (kind, uid) = about(entry, &body);
    let (priority, time, version) =
        (SYSLOG_AUDIT + weight.syslog, plain::time_ms(entry.at_ms), env!("CARGO_PKG_VERSION"));
    let name = header(&entry.kind);
    let mut line = format!(
        "<{priority}>1 {time} - {PRODUCT} - ledger - CEF:0|{VENDOR}|{PRODUCT}|{version}|{name}|{name}|{}",
        weight.cef
    );
    let hash = Digest(entry.hash).to_string();
    let person = signer(&entry.body).unwrap_or_default();
    let members: [(&str, &str); 13] = [
        ("rt", &entry.at_ms.to_string()),
        ("externalId", &entry.sequence.to_string()),
        ("suser", &person),
        ("cs1Label", "tenant"),
        ("cs1", &entry.subject),
        ("cs2Label", "correlation"),
        ("cs2", &entry.correlation),
        ("cs3Label", "hash"),
        ("cs3", &hash),
        ("cs4Label", kind),
        ("cs4", &uid),
        ("cs5Label", "body"),
        ("cs5", &String::from_utf8_lossy(&entry.body)),
    ];
    for (at, (name, value)) in members.into_iter().filter(|(_, value)| !value.is_empty()).enumerate() {
        let before = if at == 0 { '|' } else { ' ' };
        line.push(before);
        line.push_str(&format!("{name}={}", extension(value)));
    }
    line
}

/// In the header of CEF a pipe and a backslash are escaped, and a line has no end but its own.
fn header(text: &str) -> String {
    text.replace('\\', "\\\\").replace('|', "\\|").replace(['\n', '\r'], " ")
}

/// In the extension an equals sign and a backslash are, and line ends are written out.
fn extension(text: &str) -> String {
    text.replace('\\', "\\\\").replace('=', "\\=").replace('\n', "\\n").replace('\r', "\\r")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::audit::sift::tests::approval;

    #[test]
    fn an_approval_in_ocsf_has_what_the_class_requires() {
        let event: Value = serde_json::from_str(&ocsf(&approval())).unwrap();
        // Required by class 3004 of schema 1.3.0.
        for member in
            ["activity_id", "category_uid", "class_uid", "entity", "metadata", "severity_id", "time", "type_uid"]
        {
            assert!(!event[member].is_null(), "{member}");
        }
        assert_eq!(
            (&event["class_uid"], &event["type_uid"], &event["category_uid"]),
            (&json!(3004), &json!(300_403), &json!(3))
        );
        assert_eq!(event["entity"], json!({ "type": "Proposal", "uid": "P-1" }));
        assert_eq!((&event["actor"]["user"]["name"], &event["time"]), (&json!("carol"), &json!(1_700_000_000_123_u64)));
        assert_eq!((&event["metadata"]["sequence"], &event["metadata"]["tenant_uid"]), (&json!(7), &json!("T")));
        assert!(!ocsf(&approval()).contains('\n'));
    }

    #[test]
    fn an_approval_in_cef_is_one_line_that_nobody_can_break_out_of() {
        let line = cef(&approval());
        let version = env!("CARGO_PKG_VERSION");
        let head = format!(
            "<110>1 2023-11-14T22:13:20.123Z - kcm - ledger - CEF:0|OpenKCM|kcm|{version}|proposal.approved|proposal.approved|3|rt=1700000000123 externalId=7 suser=carol cs1Label=tenant cs1=T cs2Label=correlation cs2=click-1 "
        );
        assert!(line.starts_with(&head), "{line}");
        let evil = Entry { kind: "a|b\\c\nd".into(), correlation: "x=1\ncs1=U \\".into(), ..approval() };
        let line = cef(&evil);
        assert!(line.contains("|a\\|b\\\\c d|") && line.contains("cs2=x\\=1\\ncs1\\=U \\\\ cs3Label"), "{line}");
        assert_eq!(line.lines().count(), 1);
    }

    #[test]
    fn a_stop_by_hand_weighs_more_and_an_unknown_kind_is_told_as_other() {
        let of = |kind: &str| {
            let entry = Entry { kind: kind.into(), body: br#"{"region":"eu"}"#.to_vec(), ..approval() };
            (serde_json::from_str::<Value>(&ocsf(&entry)).unwrap(), cef(&entry))
        };
        let (event, line) = of("region.stopped-by-hand");
        assert_eq!(
            (&event["severity_id"], &event["entity"]["type"], event.get("actor")),
            (&json!(4), &json!("Region"), None)
        );
        assert!(line.starts_with("<108>1 ") && line.contains("|8|rt="));
        assert_eq!(of("moon.risen").0["activity_id"], 99);
    }
}
