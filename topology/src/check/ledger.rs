//! T0307, and what a ledger in PostgreSQL needs: hosts, a login, TLS that verifies the server, and a ledger that standbys reach.

use crate::{
    file::{File, Ledger, LedgerKind},
    finding::{At, Code, Finding, Place},
};

pub(super) fn check(file: &File, findings: &mut Vec<Finding>) {
    let ledger = file.governance.as_ref().and_then(|governance| governance.value.ledger.as_ref());
    let kind = ledger.and_then(|ledger| ledger.value.kind.as_ref()).map_or(LedgerKind::Redb, |kind| kind.value);
    match (ledger, kind) {
        (Some(ledger), LedgerKind::Postgres) => {
            postgres(ledger, findings);
            encrypted(ledger, file.is_development(), findings);
        }
        (Some(ledger), LedgerKind::Redb) => strangers(&ledger.value, findings),
        (None, _) => {}
    }
    if let (Some((name, _)), LedgerKind::Redb) = (file.standbys().first(), kind) {
        let message = format!("`{}` would stand by for a ledger that it does not have", name.value);
        let help =
            "Keep the ledger where all nodes of governance reach it (`kind = \"postgres\"`), or remove the standby.";
        findings.push(Finding::new(Code::WrongValue, message, help).at(&name.place, "no way to the ledger"));
    }
}

fn postgres(ledger: &At<Ledger>, findings: &mut Vec<Finding>) {
    let part = &ledger.value;
    let hosts = part.hosts.as_ref().is_some_and(|hosts| !hosts.value.is_empty());
    let signs_in = part.password_file.is_some() || part.cert.is_some();
    let needed = [
        ("hosts", hosts),
        ("database", part.database.is_some()),
        ("user", part.user.is_some()),
        ("password_file` or `cert", signs_in),
    ];
    let missing: Vec<String> = needed.iter().filter(|(_, there)| !there).map(|(name, _)| format!("`{name}`")).collect();
    if !missing.is_empty() {
        let message = format!("the ledger in PostgreSQL lacks {}", missing.join(", "));
        let help = "Write it as `{ kind = \"postgres\", hosts = [\"db-1.example:5432\"], database = \"kcm\", user = \"kcm\", \
                    password_file = \"…\", ca = \"…\" }`.";
        findings.push(Finding::new(Code::Missing, message, help).at(&ledger.place, "incomplete"));
    }
    if part.cert.is_some() != part.key.is_some() {
        let message = "`cert` and `key` of the ledger belong together";
        let help = "Give both (the server asks for a certificate) or neither.";
        findings.push(Finding::new(Code::Missing, message, help).at(&ledger.place, "has one of the two"));
    }
    if let Some(path) = &part.path {
        findings.push(stranger("path", "redb", &path.place));
    }
}

fn strangers(part: &Ledger, findings: &mut Vec<Finding>) {
    let places = [
        ("hosts", part.hosts.as_ref().map(|at| &at.place)),
        ("database", part.database.as_ref().map(|at| &at.place)),
        ("user", part.user.as_ref().map(|at| &at.place)),
        ("password_file", part.password_file.as_ref().map(|at| &at.place)),
        ("ca", part.ca.as_ref().map(|at| &at.place)),
        ("cert", part.cert.as_ref().map(|at| &at.place)),
        ("key", part.key.as_ref().map(|at| &at.place)),
    ];
    findings.extend(places.iter().filter_map(|(name, place)| Some(stranger(name, "postgres", (*place)?))));
}

fn stranger(name: &str, kind: &str, place: &Place) -> Finding {
    let message = format!("`{name}` belongs to a ledger of the kind \"{kind}\"");
    Finding::new(Code::WrongValue, message, "Remove it, or change `kind`.").at(place, "means nothing here")
}

/// Only loopback may do without, and only in development (REQ-027).
fn encrypted(ledger: &At<Ledger>, development: bool, findings: &mut Vec<Finding>) {
    if ledger.value.ca.is_some() {
        return;
    }
    let hosts = ledger.value.hosts.iter().flat_map(|hosts| &hosts.value);
    for host in hosts.filter(|host| !(development && host.value.0.is_loopback())) {
        let message = format!("the ledger at {} would be reached without encryption", host.value.0);
        let help = "Add `ca = \"…\"`: the CA that verifies the database server, by its name too. Only loopback may do without, with `development = true`.";
        findings.push(Finding::new(Code::Unencrypted, message, help).at(&host.place, "in the clear"));
    }
}
