//! `kcm region`: the regions, their lanes and load.

use clap::Subcommand;
use serde_json::{Value, json};

use super::{
    Global,
    context::Context,
    exit::{Exit, Failure, Report},
    http::Portal,
    key::cell,
    plain,
    table::Table,
};

#[derive(Clone, Debug, Subcommand)]
pub enum RegionCommand {
    /// List regions; exits 6 where one is away
    #[command(after_help = "Example: kcm region list")]
    List,
}

pub(crate) async fn perform(global: &Global, command: RegionCommand) -> Result<Report, Failure> {
    let RegionCommand::List = command;
    let portal = Portal::of(&Context::need(global)?)?;
    let items = portal.list("/v1/regions").await?;
    let all = items.iter().all(is_connected);
    let report = Report::new(json!({ "items": items }), table(&items));
    Ok(report.ending(if all { Exit::Done } else { Exit::NotHealthy }))
}

/// Both lanes are up.
pub(crate) fn is_connected(region: &Value) -> bool {
    ["/critical/connected", "/ordinary/connected"].iter().all(|lane| region.pointer(lane) == Some(&Value::Bool(true)))
}

/// Regions as a table.
pub(crate) fn table(items: &[Value]) -> String {
    let mut table = Table::new(&["region", "node", "critical", "ordinary", "owed", "tenants", "keys locked", "heard"]);
    for item in items {
        let of = |pointer: &str| item.pointer(pointer).map(cell).unwrap_or_default();
        let lane = |name: &str| match item.pointer(&format!("/{name}/connected")) {
            Some(Value::Bool(true)) if item.pointer(&format!("/{name}/stalled")) == Some(&Value::Bool(true)) => {
                "stalled"
            }
            Some(Value::Bool(true)) => "up",
            _ => "DOWN",
        };
        let depth = |name: &str| item.pointer(&format!("/{name}/depth")).and_then(Value::as_u64);
        // Only those who run the site are told.
        let owed = depth("critical").zip(depth("ordinary")).map(|(one, other)| one.saturating_add(other));
        let tenants = item.get("tenants").and_then(Value::as_object).map_or(0, serde_json::Map::len);
        table.row([
            of("/name"),
            of("/node"),
            lane("critical").into(),
            lane("ordinary").into(),
            owed.map(|owed| owed.to_string()).unwrap_or_default(),
            tenants.to_string(),
            of("/load/slots_used"),
            item.get("hello_ms").and_then(Value::as_u64).map_or_else(|| "never".into(), plain::time_ms),
        ]);
    }
    table.render()
}
