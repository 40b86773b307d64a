//! Founding, as people see it: how far each region is with taking a tenant, and giving up one that some region lacks (`kcm tenant withdraw`).

use std::time::Duration;

use orbital::{change::Action, names::TenantId};
use serde_json::Value;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    Global,
    compose::Subject,
    exit::{Failure, Report},
    halt,
    http::Portal,
    plain,
};

/// The portal's word for a tenant that some region lacks.
const PROVISIONING: &str = "PROVISIONING";
/// The tenant is read again after so long without an event.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// The end of a tenant that was never whole: the stop TerminateTenant, by the rule and the people of its genesis.
pub(crate) async fn withdraw(global: &Global, tenant: &str, reason: &str) -> Result<Report, Failure> {
    let subject = Subject::of(global, tenant).await?;
    let state = &subject.tenant.state;
    if state != PROVISIONING {
        return Err(Failure::denied("there is nothing to withdraw")
            .because(format!("the tenant is {state}: what every region has taken, or is stopped, is in use or was"))
            .fix("to destroy its keys for ever: kcm tenant terminate TENANT"));
    }
    halt::set(global, Action::TerminateTenant {}, tenant, Vec::new(), reason).await
}

/// Waits until every region has taken the tenant, or for as long as `wait` says: then with what some region lacks.
pub(crate) async fn whole_within(
    portal: &Portal,
    tenant: TenantId,
    wait: Duration,
) -> Result<(Value, Option<String>), Failure> {
    let end = Instant::now().checked_add(wait);
    let path = format!("/v1/tenants/{tenant}");
    // Opened before the first look, so that nothing falls between the two.
    let mut events = portal.events(None).await.ok();
    loop {
        let body: Value = portal.get(&path).await?;
        let lacks = lacking(std::slice::from_ref(&body)).pop();
        if lacks.is_none() || end.is_some_and(|end| Instant::now() >= end) {
            return Ok((body, lacks));
        }
        let look_again = Instant::now().checked_add(LOOK_AGAIN);
        let Some(until) = [end, look_again].into_iter().flatten().min() else { continue };
        match events.as_mut() {
            Some(stream) => {
                if let Ok(Ok(None) | Err(_)) = timeout_at(until, stream.next()).await {
                    events = None;
                }
            }
            None => sleep_until(until).await,
        }
    }
}

/// A line for each region of `kcm tenant show`.
pub(crate) fn rows(tenant: &Value) -> Vec<[String; 2]> {
    let regions = tenant.get("regions").and_then(Value::as_object);
    let row = |(name, region): (&String, &Value)| {
        let founding = region.get("founding")?;
        Some([format!("In {name}"), told(founding)])
    };
    regions.into_iter().flatten().filter_map(row).collect()
}

fn told(founding: &Value) -> String {
    let number = |name: &str| founding.get(name).and_then(Value::as_u64).unwrap_or(0);
    let since = plain::time(number("since_ms") / 1_000);
    let tried = format!("brought there {} times since {since}", number("tries"));
    match founding.get("state").and_then(Value::as_str).unwrap_or("?") {
        "done" => "provisioned".to_owned(),
        "withdrawn" => "withdrawn before it was provisioned".to_owned(),
        "refused" => {
            let why = founding.get("why").and_then(Value::as_str).unwrap_or_default();
            format!("NOT PROVISIONED, {tried}; refused: {why}")
        }
        other => format!("NOT PROVISIONED, {tried}; {other}"),
    }
}

/// Tenants that some region lacks, for `kcm status`.
pub(crate) fn lacking(tenants: &[Value]) -> Vec<String> {
    let lacking = |tenant: &Value| {
        let missing: Vec<_> = tenant.get("unfounded")?.as_array()?.iter().filter_map(Value::as_str).collect();
        let name = tenant.get("name")?.as_str()?;
        (!missing.is_empty())
            .then(|| format!("tenant {name} is not provisioned in {} (`kcm tenant show {name}`)", missing.join(", ")))
    };
    tenants.iter().filter_map(lacking).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_keeps_a_region_from_taking_a_tenant_is_told_in_its_words() {
        let of =
            |state: &str, why: &str| json!({ "state": state, "why": why, "tries": 3, "since_ms": 0, "last_ms": 9 });
        let tenant = json!({ "regions": {
            "a": { "founding": of("done", "") },
            "b": { "founding": of("refused", "no pin") },
            "c": { "founding": of("waiting", "") },
            "d": { "founding": of("withdrawn", "") },
        }});
        let rows: Vec<_> = rows(&tenant).into_iter().map(|[_, told]| told).collect();
        assert_eq!(rows[0], "provisioned");
        assert!(
            rows[1].starts_with("NOT PROVISIONED, brought there 3 times since 1970") && rows[1].ends_with("no pin")
        );
        assert!(rows[2].ends_with("; waiting"), "{}", rows[2]);
        assert_eq!(rows[3], "withdrawn before it was provisioned");
    }

    #[test]
    fn only_a_tenant_that_some_region_lacks_is_out_of_order() {
        let tenant = |unfounded: Value| [json!({ "name": "acme", "unfounded": unfounded })];
        assert!(lacking(&tenant(json!([]))).is_empty() && lacking(&[json!({ "name": "acme" })]).is_empty());
        assert!(lacking(&tenant(json!(["eu", "us"])))[0].contains("acme is not provisioned in eu, us"));
    }
}
