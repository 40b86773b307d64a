//! `kcm revoke simulate`: what a kill would reach and whom it would lock out; and the same as evidence, which a proposal of it carries.

use orbital::{change::EVIDENCE_BYTES_MAX, names::TenantId};
use serde_json::{Value, json};

use super::{
    Global,
    compose::Subject,
    context::{Context, Pins},
    exit::{Failure, Report},
    http::Portal,
    key::cell,
    plain,
    screen::Screen,
    table::Table,
};

/// Asks what revoking now would reach.
pub(crate) async fn show(global: &Global, tenant: &str) -> Result<Report, Failure> {
    let portal = Portal::of(&Context::need(global)?)?;
    let body = ask(&portal, Pins::read(global)?.tenant(tenant)?).await?;
    let mut said = lines(&body);
    said.push("Nothing was changed.".into());
    Ok(Report::new(body, said.join("\n")))
}

async fn ask(portal: &Portal, tenant: TenantId) -> Result<Value, Failure> {
    Ok(portal.post(&format!("/v1/tenants/{tenant}/revocations:simulate"), &json!({})).await?.body)
}

/// The simulation as a proposal of the stop carries it. A stop waits for no simulation: without one it is proposed all the same.
pub(crate) async fn evidence(global: &Global, subject: &Subject) -> Option<String> {
    match ask(&subject.portal, subject.chain.tenant()).await {
        Ok(body) => fitted(body),
        Err(why) => {
            Screen::of(global).note(&format!("note: proposed without a simulation, which failed: {why}"));
            None
        }
    }
}

/// As text, with the busiest systems where all are too many.
fn fitted(mut body: Value) -> Option<String> {
    loop {
        let text = body.to_string();
        if text.len() <= EVIDENCE_BYTES_MAX {
            return Some(text);
        }
        let left_out = body.get("systems_left_out").and_then(Value::as_u64).unwrap_or(0);
        let systems = body.get_mut("systems").and_then(Value::as_array_mut).filter(|systems| !systems.is_empty())?;
        systems.sort_by_key(|system| std::cmp::Reverse(system.get("per_minute").and_then(Value::as_u64)));
        let kept = systems.len() / 2;
        let gone = u64::try_from(systems.len() - kept).unwrap_or(u64::MAX);
        systems.truncate(kept);
        body.as_object_mut()?.insert("systems_left_out".to_owned(), left_out.saturating_add(gone).into());
    }
}

/// A simulation for people.
pub(crate) fn lines(body: &Value) -> Vec<String> {
    let mut lines = vec![
        regions(body),
        "Who is locked out, as the regions last said of the time since their nodes started:".into(),
        systems(body),
    ];
    if let Some(left_out) = body.get("systems_left_out") {
        lines.push(format!("And {} systems more, of which fewer requests came.", cell(left_out)));
    }
    let nodes = match body.get("nodes_locked_ms") {
        Some(Value::Number(ms)) => {
            format!("within {ms} ms of the last approval, by design; each revocation shows what was measured")
        }
        _ => "not certain: a region without a limit is away".into(),
    };
    let clients = body.get("clients_locked_out_s").map(cell).unwrap_or_default();
    lines.push(format!("Our nodes locked:   {nodes}."));
    lines
        .push(format!("Clients locked out: {clients} s later at most, where they hold keys that they fetched before."));
    for goes_on in items(body, "goes_on") {
        lines.push(format!("Goes on: {}", cell(goes_on)));
    }
    lines
}

fn items<'b>(body: &'b Value, name: &str) -> impl Iterator<Item = &'b Value> {
    body.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn regions(body: &Value) -> String {
    let mut table = Table::new(&["region", "connected", "keys", "lease left", "locked within (target)"]);
    for region in items(body, "regions") {
        let of = |name: &str| region.get(name).map(cell).unwrap_or_default();
        let lease = match region.get("lease_left_s") {
            Some(Value::Number(seconds)) => format!("{seconds} s ({})", of("lease")),
            _ => of("lease"),
        };
        let locked = match region.get("locked_ms") {
            Some(Value::Number(ms)) => format!("{ms} ms"),
            _ => "never by itself".into(),
        };
        table.row([of("region"), of("connected"), of("keys"), lease, locked]);
    }
    table.render()
}

fn systems(body: &Value) -> String {
    let mut table = Table::new(&["system", "clients", "connections", "requests/min", "last request", "in"]);
    for system in items(body, "systems") {
        let of = |name: &str| system.get(name).filter(|v| !v.is_null()).map_or_else(|| "not known".to_owned(), cell);
        let last =
            system.get("last_ms").and_then(Value::as_u64).map_or_else(|| "none known".to_owned(), plain::time_ms);
        let regions = items(system, "regions").map(cell).collect::<Vec<_>>().join(", ");
        table.row([of("system"), of("callers"), of("connections"), of("per_minute"), last, regions]);
    }
    table.render()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_too_many_systems_the_busiest_are_evidence() {
        let system = |number: u64| json!({ "system": format!("{number}-{}", "x".repeat(200)), "per_minute": number });
        let body = json!({ "regions": [], "systems": (0..1_000).map(system).collect::<Vec<_>>() });
        let text = fitted(body).unwrap();
        assert!(text.len() <= EVIDENCE_BYTES_MAX && text.len() > EVIDENCE_BYTES_MAX / 3, "{}", text.len());
        let kept: Value = serde_json::from_str(&text).unwrap();
        let systems = kept["systems"].as_array().unwrap();
        assert_eq!(kept["systems_left_out"].as_u64().unwrap() + u64::try_from(systems.len()).unwrap(), 1_000);
        assert_eq!(systems[0]["per_minute"], 999);
        assert!(lines(&kept).iter().any(|line| line.contains("systems more")));
        let small = json!({ "regions": [], "systems": [system(1)] });
        assert_eq!(fitted(small.clone()).unwrap(), small.to_string());
        assert_eq!(fitted(json!({ "regions": ["x".repeat(EVIDENCE_BYTES_MAX)] })), None);
    }
}
