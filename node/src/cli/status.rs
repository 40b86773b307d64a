//! `kcm status`: is everything in order, and if not, what.

use serde_json::{Value, json};

use super::{
    Global,
    context::Context,
    exit::{Exit, Failure, Report},
    http::Portal,
    key::stops,
    region,
};

/// Exits 6 where a region is away, a directive stalls, or a region keeps a tenant from being served that governance does not hold for killed.
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
    wrong.extend(unserved(&regions, &tenants));
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

/// Tenants that some region does not serve, and killed ones that some region does. A kill in force everywhere is as it should be.
fn unserved(regions: &[Value], tenants: &[Value]) -> Vec<String> {
    let mut found = Vec::new();
    for tenant in tenants {
        let text = |name: &str| tenant.get(name).and_then(Value::as_str).unwrap_or("?");
        let killed = tenant.get("killed") == Some(&Value::Bool(true));
        let (id, name) = (text("id"), text("name"));
        for region in regions {
            let Some(held) = region.pointer(&format!("/tenants/{id}/stops")) else { continue };
            let place = region.get("name").and_then(Value::as_str).unwrap_or("?");
            let stops = stops(held);
            let stopped = held.get("killed") == Some(&Value::Bool(true));
            if killed && !stopped {
                found.push(format!("tenant {name} is killed, and {place} has not said that it stopped"));
            } else if stops != "-" && !(killed && stopped) {
                found.push(format!("{place} does not serve tenant {name}: {stops}"));
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_that_is_not_as_decided_is_named() {
        let region = |name: &str, killed: bool, l1_stop: bool| json!({ "name": name, "tenants": { "t1": { "stops": { "killed": killed, "l1_stop": l1_stop } } } });
        let tenant = |killed: bool| [json!({ "id": "t1", "name": "acme", "killed": killed })];
        let found = |killed: bool, regions: &[Value]| unserved(regions, &tenant(killed));
        assert!(found(false, &[region("eu", false, false), region("ch", false, false)]).is_empty());
        assert!(found(true, &[region("eu", true, false), region("ch", true, true)]).is_empty());
        assert_eq!(
            found(true, &[region("eu", true, false), region("ch", false, false)]).len(),
            1,
            "a region serves on"
        );
        assert_eq!(found(false, &[region("eu", true, false)]).len(), 1, "a stop that governance does not know");
        let customer = found(false, &[region("eu", false, true)]);
        assert!(customer[0].contains("eu does not serve tenant acme"), "{customer:?}");
        assert!(found(true, &[json!({ "name": "eu", "tenants": {} })]).is_empty(), "what was never said is not judged");
    }
}
