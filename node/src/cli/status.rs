//! `kcm status`: is everything in order, and if not, what.

use serde_json::{Value, json};

use super::{
    Global,
    context::Context,
    exit::{Exit, Failure, Report},
    http::Portal,
    region,
};

/// Exits 6 where a region is away or a directive stalls.
pub(crate) async fn perform(global: &Global) -> Result<Report, Failure> {
    let portal = Portal::of(&Context::need(global)?)?;
    let regions = portal.list("/v1/regions").await?;
    let tenants = portal.list("/v1/tenants").await?;
    let open = portal.list("/v1/proposals?state=open").await?;
    let mut wrong = Vec::new();
    for item in &regions {
        let name = item.get("name").and_then(Value::as_str).unwrap_or("?");
        if !region::is_connected(item) {
            wrong.push(format!("region {name} is not connected on both lanes"));
        }
        let stalled = |lane: &str| item.pointer(&format!("/{lane}/stalled")) == Some(&Value::Bool(true));
        wrong.extend(
            ["critical", "ordinary"]
                .into_iter()
                .filter(|l| stalled(l))
                .map(|lane| format!("a directive for {name} waits for its acknowledgement on the {lane} lane")),
        );
    }
    let killed = tenants.iter().filter(|t| t.get("killed") == Some(&Value::Bool(true))).count();
    let mut lines = vec![
        region::table(&regions),
        format!("{} tenants, {killed} of them killed; {} open proposals.", tenants.len(), open.len()),
    ];
    lines.push(if wrong.is_empty() {
        "Everything is in order.".into()
    } else {
        format!("NOT IN ORDER: {}.", wrong.join("; "))
    });
    let exit = if wrong.is_empty() { Exit::Done } else { Exit::NotHealthy };
    let json = json!({ "regions": regions, "tenants": tenants, "open_proposals": open.len(), "wrong": wrong });
    Ok(Report::new(json, lines.join("\n")).ending(exit))
}
