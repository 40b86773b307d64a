//! `kcm status`: is everything in order, and if not, what.

use orbital::halt::Halt;
use serde_json::{Value, json};

use super::{
    Global,
    context::Context,
    exit::{Exit, Failure, Report},
    founding,
    http::Portal,
    key, plain, region,
};

/// Exits 6 where a region is away or lacks a tenant, a directive stalls, or a region keeps a tenant from being served that governance
/// does not hold for stopped.
pub(crate) async fn perform(global: &Global) -> Result<Report, Failure> {
    let portal = Portal::of(&Context::need(global)?)?;
    let regions = portal.list("/v1/regions").await?;
    let tenants = portal.list("/v1/tenants").await?;
    let open = portal.list("/v1/proposals?state=open").await?;
    let mut wrong = Vec::new();
    for item in &regions {
        let name = text(item, "name");
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
    wrong.extend(founding::lacking(&tenants));
    wrong.extend(frozen(&regions, &tenants));
    wrong.extend(behind(&regions, &tenants));
    wrong.extend(recovering(&tenants));
    wrong.extend(unserved(&regions, &tenants));
    let halted = Halt::ALL.map(|halt| {
        let count = tenants.iter().filter(|t| t.get(halt.word()) == Some(&Value::Bool(true))).count();
        (halt, count)
    });
    let stopped: Vec<_> = (halted.into_iter())
        .filter(|(halt, count)| *halt == Halt::Kill || *count > 0)
        .map(|(halt, count)| format!("{count} of them {}", halt.word()))
        .collect();
    let mut lines = vec![
        region::table(&regions),
        format!("{} tenants, {}; {} open proposals.", tenants.len(), stopped.join(", "), open.len()),
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

fn text<'v>(of: &'v Value, name: &str) -> &'v str {
    of.get(name).and_then(Value::as_str).unwrap_or("?")
}

/// Tenants whose people change by cold keys once their delay is over.
fn recovering(tenants: &[Value]) -> Vec<String> {
    let waits = |tenant: &Value| {
        let due = tenant.get("recovers_at")?.as_u64()?;
        let name = text(tenant, "name");
        Some(format!(
            "a RECOVERY by cold keys changes the people of tenant {name} from {} on (`kcm tenant show`)",
            plain::time(due)
        ))
    };
    tenants.iter().filter_map(waits).collect()
}

/// Tenants of which two certified successors of one trust version are known, to governance or to a region.
fn frozen(regions: &[Value], tenants: &[Value]) -> Vec<String> {
    let frozen = |tenant: &Value| {
        let mut at: Vec<_> = (tenant.get("forked").and_then(Value::as_array))
            .filter(|others| !others.is_empty())
            .map(|_| "governance".to_owned())
            .into_iter()
            .collect();
        let said = |region: &&Value| {
            region.pointer(&format!("/tenants/{}/stops/forked", text(tenant, "id"))) == Some(&Value::Bool(true))
        };
        at.extend(regions.iter().filter(said).filter_map(|r| Some(r.get("name")?.as_str()?.to_owned())));
        let (name, by) = (text(tenant, "name"), at.join(", "));
        (!at.is_empty()).then(|| {
            format!("tenant {name} is FROZEN by {by}: its trust is forked (`kcm trust compare`, `kcm trust settle`)")
        })
    };
    tenants.iter().filter_map(frozen).collect()
}

/// Tenants of which a region holds a later trust version than governance: a ledger that was put back, until it has caught up.
fn behind(regions: &[Value], tenants: &[Value]) -> Vec<String> {
    let mut found = Vec::new();
    for tenant in tenants {
        let here = tenant.get("trust_version").and_then(Value::as_u64).unwrap_or(u64::MAX);
        for region in regions {
            let there =
                region.pointer(&format!("/tenants/{}/trust_version", text(tenant, "id"))).and_then(Value::as_u64);
            if let Some(there) = there.filter(|there| *there > here) {
                let (name, place) = (text(tenant, "name"), text(region, "name"));
                found.push(format!(
                    "governance is BEHIND {place}, which holds trust version {there} of tenant {name}, and here is {here}: it asks for what it \
                     lacks, and takes stops alone meanwhile"
                ));
            }
        }
    }
    found
}

/// Tenants that some region does not serve, and stopped ones that some region does. A stop in force everywhere is as it should be.
fn unserved(regions: &[Value], tenants: &[Value]) -> Vec<String> {
    let mut found = Vec::new();
    for tenant in tenants {
        let (id, name) = (text(tenant, "id"), text(tenant, "name"));
        for region in regions {
            let Some(held) = region.pointer(&format!("/tenants/{id}/stops")) else { continue };
            let place = text(region, "name");
            found.extend(amiss(tenant, held).map(|what| match what {
                Amiss::Serves(word) => format!("tenant {name} is {word}, and {place} has not said that it stopped"),
                Amiss::Stopped(stops) => format!("{place} does not serve tenant {name}: {stops}"),
            }));
        }
    }
    found
}

enum Amiss {
    Serves(&'static str),
    Stopped(String),
}

/// What of a region's stops is not as governance has it; one that stops everything makes the others no matter.
fn amiss(tenant: &Value, held: &Value) -> Option<Amiss> {
    let is = |of: &Value, word: &str| of.get(word) == Some(&Value::Bool(true));
    let words = Halt::ALL.map(Halt::word);
    if let Some(word) = words.into_iter().find(|word| is(tenant, word) && !is(held, word)) {
        return Some(Amiss::Serves(word));
    }
    let mut stops: Vec<_> = key::stops(held);
    // Frozen, and served.
    stops.retain(|stop| stop != "forked");
    if is(tenant, Halt::Kill.word()) || is(tenant, Halt::Block.word()) {
        return None;
    }
    stops.retain(|stop| !words.iter().any(|word| stop == word && is(tenant, word)));
    (!stops.is_empty()).then(|| Amiss::Stopped(stops.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_is_told_by_whoever_met_it_and_is_no_stop() {
        let tenant = |forked: Value| [json!({ "id": "t1", "name": "acme", "killed": false, "forked": forked })];
        let region = |forked: bool| [json!({ "name": "eu", "tenants": { "t1": { "stops": { "forked": forked } } } })];
        assert!(frozen(&region(false), &tenant(json!([]))).is_empty());
        for (regions, tenants, by) in [
            (region(true), tenant(json!([])), "by eu:"),
            (region(false), tenant(json!(["d"])), "by governance:"),
            (region(true), tenant(json!(["d"])), "by governance, eu:"),
        ] {
            let found = frozen(&regions, &tenants);
            assert!(found.len() == 1 && found[0].contains(by), "{found:?}");
            assert!(unserved(&regions, &tenants).is_empty());
        }
    }

    #[test]
    fn a_region_that_holds_a_later_version_is_told() {
        let told = |here: u64, there: u64| {
            let tenant = json!({ "id": "t1", "name": "acme", "trust_version": here });
            behind(&[json!({ "name": "eu", "tenants": { "t1": { "trust_version": there } } })], &[tenant])
        };
        assert!(told(2, 2).is_empty() && told(3, 2).is_empty(), "what a region lacks is on its way");
        let found = told(2, 3);
        assert!(
            found.len() == 1 && found[0].contains("BEHIND eu, which holds trust version 3 of tenant acme"),
            "{found:?}"
        );
    }

    #[test]
    fn each_kind_of_stop_is_held_against_its_own() {
        let found = |decided: &[&str], held: &[&str]| {
            let set = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), true.into())).collect();
            let mut tenant = Value::Object(set(decided));
            tenant["id"] = "t1".into();
            tenant["name"] = "acme".into();
            let stops: Value = Value::Object(set(held));
            unserved(&[json!({ "name": "eu", "tenants": { "t1": { "stops": stops } } })], &[tenant])
        };
        for word in ["killed", "blocked", "suspended"] {
            assert!(found(&[word], &[word]).is_empty(), "{word}");
            assert_eq!(found(&[word], &[]), [format!("tenant acme is {word}, and eu has not said that it stopped")]);
            assert_eq!(found(&[], &[word]), [format!("eu does not serve tenant acme: {word}")]);
        }
        assert!(found(&["blocked"], &["blocked", "lease_over"]).is_empty());
        assert_eq!(found(&["suspended"], &["suspended", "l1_stop"]), ["eu does not serve tenant acme: l1 stop"]);
        assert_eq!(found(&["killed"], &["blocked"]).len(), 1);
    }

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
