//! What the demo prints, and `demo.json`.

use std::{
    fs,
    io::{IsTerminal, Write},
};

use serde_json::{Value, json};

use super::{
    DemoError,
    people::PEOPLE,
    processes::Processes,
    setup::{AWS_KEY_ENV, AWS_TENANT, AwsPlace, Setup},
};

/// Writes `demo.json`: addresses, certificates and keys, for the command line and for tests.
pub(crate) fn write_json(setup: &Setup, processes: &Processes) -> Result<(), DemoError> {
    let regions: Vec<Value> = setup
        .regions
        .iter()
        .map(|place| {
            let clients: Vec<Value> = setup
                .tenants
                .iter()
                .map(|t| json!({"tenant": t.name, "ca": setup.kmip_ca, "cert": t.client.cert, "key": t.client.key}))
                .collect();
            json!({
                "name": place.region,
                "node": place.node,
                "pid": processes.pid(&place.node),
                "kmip": {
                    "address": localhost(place.kmip),
                    "https": format!("https://{}/kmip", localhost(place.kmip_https)),
                },
                "stop": {"address": localhost(place.stop)},
                "health": {"url": format!("http://{}", place.health)},
                "clients": clients,
            })
        })
        .collect();
    let actors: Vec<Value> = PEOPLE
        .iter()
        .map(|(name, groups)| json!({"name": name, "groups": groups, "key": setup.people.path(name)}))
        .collect();
    let l1: Vec<Value> = setup
        .softs
        .iter()
        .map(|s| json!({
            "tenant": s.tenant, "provider": format!("{}-soft", s.tenant), "node": s.node, "pid": processes.pid(&s.node),
            "key": s.key, "address": localhost(s.address), "ca": s.ca, "admin": s.admin,
        }))
        .chain(setup.aws.iter().map(|aws| json!({
            "tenant": AWS_TENANT, "provider": format!("{AWS_TENANT}-aws"), "key": aws.key,
            "endpoint": aws.endpoint, "region": aws.region,
        })))
        .collect();
    let demo = json!({
        "portal": {"url": format!("https://localhost:{}", setup.rest.port()), "ca": setup.portal.ca, "cert": setup.portal.cert, "key": setup.portal.key},
        "governance": {"pid": orbital::names::NodeName::new("gov-1").ok().and_then(|n| processes.pid(&n))},
        "topology": setup.topology,
        "tenants": setup.tenants.iter().map(|t| json!({"name": t.name, "id": t.id, "genesis": t.genesis})).collect::<Vec<_>>(),
        "regions": regions,
        "actors": actors,
        "l1": l1,
    });
    let path = setup.dir.join("demo.json");
    let text = serde_json::to_string_pretty(&demo).map_err(|e| DemoError::Write(path.clone(), e.into()))?;
    fs::write(&path, text).map_err(|e| DemoError::Write(path, e))
}

/// Certificates name `localhost`.
fn localhost(address: std::net::SocketAddr) -> String {
    format!("localhost:{}", address.port())
}

/// The first screen.
pub(crate) fn welcome(setup: &Setup) {
    let dir = setup.dir.display();
    println!(
        "A sovereign cluster is running: one governance process, three regions, each customer's KMS a process of its own.\n"
    );
    println!("  portal   https://localhost:{}   client certificate {}", setup.rest.port(), setup.portal.cert.display());
    for place in &setup.regions {
        println!(
            "  kmip     {:<14} {:<16} stops {:<16} health http://{}",
            place.region,
            localhost(place.kmip),
            localhost(place.stop),
            place.health
        );
    }
    for tenant in &setup.tenants {
        let linked = if tenant.key.is_some() { "" } else { "   (no key linked yet)" };
        println!(
            "  tenant   {:<14} {}   client certificate {}{linked}",
            tenant.name,
            tenant.id,
            tenant.client.cert.display()
        );
    }
    println!(
        "  people   alice (Security_Ops) · bob (Compliance_Legal) · carol, dave (Senior_Leadership) · erin (Super_Admin), and their deputies"
    );
    println!("  files    {dir}: topology.toml, demo.json, certs/, keys/, log/\n");
    println!("Try, in another terminal (KCM_CONTEXT={dir}/demo.json):");
    println!("  kcm revoke simulate --tenant acme                          what a revocation would reach");
    println!("  kcm --as carol revoke propose --tenant acme --reason drill one person alone stops nothing");
    println!("  kcm --as dave proposal approve ID --wait 30s               the second person: every region stops");
    println!("  kcm --as alice key restore --tenant acme                   the way back; bob, carol and dave approve");
    match &setup.aws {
        None => println!(
            "  kcm soft-l1 disable --tenant acme                          the customer stops it at their own KMS, alone"
        ),
        Some(aws) => customer(aws),
    }
    println!("  kcm tenant trust acme --out acme.json                      then, with governance switched off:");
    println!(
        "  kcm --as carol revoke sign --tenant-file acme.json --out kill.json; kcm --as dave revoke sign --out kill.json"
    );
    println!("  kcm revoke deliver kill.json");
    println!("  kcm audit verify · kcm status · kcm region list\n");
    println!("Ctrl-C ends everything that was started.\n");
}

/// What the customer does at AWS, as its own command line says it.
fn customer(aws: &AwsPlace) {
    let at = format!("aws --endpoint-url {} --region {} kms", aws.endpoint, aws.region);
    let provider = format!("{AWS_TENANT}-aws");
    let key = aws.key.as_deref().unwrap_or("ARN");
    if aws.key.is_none() {
        println!("  {at} create-key");
        println!(
            "  kcm --as alice key link --tenant {AWS_TENANT} --provider {provider} --ref ARN   the customer's key, once bob agrees"
        );
        println!(
            "  kcm --as bob proposal approve ID --wait 30s                (or start the demo with {AWS_KEY_ENV}=ARN)"
        );
    }
    println!("  {at} disable-key --key-id {key}");
    println!(
        "                                                             the customer stops it at their own KMS, alone"
    );
}

/// Shows the cluster's state: in place on a terminal, elsewhere only when more than its times has changed. Answers what stands there.
pub(crate) fn show_status(last: &str, now: String) -> String {
    if std::io::stdout().is_terminal() {
        let lines = last.lines().count();
        // ANSI: up to where the last one began, and clear from there.
        let back = if lines == 0 { String::new() } else { format!("\x1b[{lines}A\x1b[J") };
        print!("{back}{now}");
        let _closed = std::io::stdout().flush();
        return now;
    }
    if without_times(&now) != without_times(last) {
        println!("{now}");
    }
    now
}

fn without_times(status: &str) -> Vec<&str> {
    status.split_whitespace().filter(|word| !(word.contains('T') && word.ends_with('Z'))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_is_the_same_when_only_its_times_differ() {
        let at = |time: &str, keys: u8| format!("REGION KEYS HEARD\nch-zurich {keys} {time}\n");
        let (early, late) = (at("2026-11-22T03:58:41.919Z", 1), at("2026-11-22T03:58:43.919Z", 1));
        assert_eq!(without_times(&early), without_times(&late));
        assert_ne!(without_times(&early), without_times(&at("2026-11-22T03:58:41.919Z", 2)));
    }
}
