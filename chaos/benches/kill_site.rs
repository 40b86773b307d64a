//! The kill of a whole site: second approval in, last region's SyncAck back, over real processes and the portal's own API.
//!
//! The cluster is that of `kcm demo`: one governance node, three regions, a soft L1 for each tenant, each a `kcm run` process; this binary
//! plays `kcm` for them. People sign here with their key files and speak REST. What is measured is governance's own: for each region the
//! time from the arrival of the ratifying approval until the region's signed answer arrived. The restores in between are ordinary
//! directives, measured in the same way.

mod common;

use std::{path::Path, process::ExitCode, sync::Arc, time::Duration};

use common::{
    Args, Res,
    ask::Ask,
    child::{self, Child},
    load::Connection,
    paper,
    people::People,
    stats,
};
use node::{
    demo::{processes::Processes, setup, setup::Setup},
    kmip_client::{KmipClient, tls_config},
    telemetry,
};
use orbital::change::Action;

/// Kills of each half: idle, saturated.
const KILLS: usize = 110;
/// KMIP connections of each tenant in each region while saturated.
const CONNECTIONS: usize = 16;
const TARGET_MS: f64 = 50.0;

fn main() -> ExitCode {
    common::kcm_or(|args| if args.get("role") == Some("load") { load_role(args) } else { bench(args) })
}

fn bench(args: &Args) -> Res<()> {
    telemetry::start_tls()?;
    let kills = args.number("kills", KILLS)?;
    let folder = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    runtime.block_on(async {
        let setup = setup::write(&folder.path().join("demo"), None)?;
        let processes = Processes::start(&setup).await?;
        let told = measured(&setup, kills, folder.path()).await;
        processes.stop().await;
        publish(&told?)
    })
}

/// What each kill and each restore of a half showed, milliseconds until the last region's answer.
struct Half {
    name: &'static str,
    kills: Vec<f64>,
    restores: Vec<f64>,
}

async fn measured(setup: &Setup, kills: usize, folder: &Path) -> Res<Vec<Half>> {
    let mut people = People::of(setup).await?;
    for tenant in 0..setup.tenants.len() {
        people.found(tenant).await?;
    }
    let keys = first_keys(setup).await?;
    let idle = half("idle", &mut people, kills).await?;
    let log = folder.join("load.log");
    let options = [("keys", serde_json::to_string(&keys)?)];
    let (_load, _) = Child::start("load", &options, &log)?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let saturated = half("KMIP load on all regions", &mut people, kills).await?;
    Ok(vec![idle, saturated])
}

async fn half(name: &'static str, people: &mut People<'_>, kills: usize) -> Res<Half> {
    let mut half = Half { name, kills: Vec::new(), restores: Vec::new() };
    for number in 0..kills {
        half.kills.push(people.decide(0, Action::RevokeL1 {}, "carol", &["dave"]).await?);
        let killed = people.killed(0).await?;
        let restore = Action::RestoreL1 { kills: killed };
        half.restores.push(people.decide(0, restore, "alice", &["bob", "carol", "dave"]).await?);
        if number % 25 == 24 {
            println!("{name}: {} kills", number + 1);
        }
    }
    Ok(half)
}

/// A key of each tenant in each region, and all that a client of it needs: address, key, CA, certificate, private key.
async fn first_keys(setup: &Setup) -> Res<Vec<[String; 5]>> {
    let mut keys = Vec::new();
    for tenant in &setup.tenants {
        let tls = tls_config(&setup.kmip_ca, &tenant.client.cert, &tenant.client.key)?;
        for place in &setup.regions {
            let address = place.kmip.to_string();
            let id = KmipClient::connect(&address, tls.clone()).await?.create_active().await?;
            let path = |path: &Path| path.display().to_string();
            let files = [path(&setup.kmip_ca), path(&tenant.client.cert), path(&tenant.client.key)];
            let [ca, cert, secret] = files;
            keys.push([address, id, ca, cert, secret]);
        }
    }
    Ok(keys)
}

/// Encrypts with every key on [`CONNECTIONS`] connections without pause; comes back after a kill.
fn load_role(args: &Args) -> Res<()> {
    telemetry::start_tls()?;
    let keys: Vec<[String; 5]> = serde_json::from_str(args.need("keys")?)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    for [address, id, ca, cert, secret] in keys {
        let tls = tls_config(Path::new(&ca), Path::new(&cert), Path::new(&secret))?;
        let port: u16 = address.rsplit_once(':').ok_or("an address without port")?.1.parse()?;
        let request: Arc<[u8]> = Ask::EncryptGcm.frame(&id).into();
        for _ in 0..CONNECTIONS {
            let (tls, request) = (tls.clone(), request.clone());
            runtime.spawn(async move {
                loop {
                    // Ends when the region closes it, after a kill.
                    drop(keep_asking(port, &tls, &request).await);
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            });
        }
    }
    child::say("ready")?;
    child::answer(|_| String::new())
}

async fn keep_asking(port: u16, tls: &Arc<rustls::ClientConfig>, request: &[u8]) -> Res<()> {
    let mut connection = Connection::open(port, tls.clone()).await?;
    loop {
        if Ask::EncryptGcm.check(connection.ask(request).await?).is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn publish(halves: &[Half]) -> Res<()> {
    let row = |half: &Half, what: &str, values: &[f64]| {
        let [p50, p99, _, most] = stats::tail(values);
        format!("| {what}, {} | {} | {p50:.1} | {p99:.1} | {most:.1} |", half.name, values.len())
    };
    let kills = halves.iter().map(|half| row(half, "kill", &half.kills));
    let restores = halves.iter().map(|half| row(half, "restore (ordinary lane)", &half.restores));
    let lines: Vec<String> = kills.chain(restores).collect();
    let verdict = |half: &Half| {
        let [_, p99, ..] = stats::tail(&half.kills);
        format!("{}: {}", half.name, if p99 <= TARGET_MS { "met" } else { "missed" })
    };
    let verdicts: Vec<_> = halves.iter().map(verdict).collect();
    let text = format!(
        "The processes of `kcm demo` (governance, three regions, two soft L1) on one machine, release build of this bench's binary. Measured by\n\
         governance: arrival of the ratifying approval over REST until the last region's signed SyncAck arrived, ledger commits and region\n\
         syncs to disk included. Load: {CONNECTIONS} connections of each of two tenants in each region, each encrypting 1 KiB without pause, from one\n\
         more process on the same cores. Target for kills: p99 at most {TARGET_MS:.0} ms. {}.\n\n\
         | decision | count | p50 ms | p99 ms | max ms |\n|---|---|---|---|---|\n{}\n\n\
         A restore is ratified by its third approval and travels on the ordinary lane: durable in the ledger, certified, durable in each region.",
        verdicts.join("; "),
        lines.join("\n")
    );
    paper::publish("kill_site", "Kill of a site: second approval to last SyncAck", &text)
}
