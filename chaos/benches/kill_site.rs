//! The kill of a whole site: second approval in, last region's SyncAck back, over real processes and the portal's own API.
//!
//! The cluster is that of `kcm demo`: one governance node, three regions, a soft L1 for each tenant, each a `kcm run` process; this binary
//! plays `kcm` for them. People sign here with their key files and speak REST. What is measured is governance's own: for each region the
//! time from the arrival of the ratifying approval until the region's signed answer arrived. The restores in between are ordinary
//! directives, measured in the same way.

mod common;

use std::{
    collections::BTreeSet,
    path::Path,
    process::ExitCode,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use clap::Parser;
use common::{
    Args, Res,
    child::{self, Child},
    load::Connection,
    paper,
    region::Ask,
    rest::Rest,
    stats,
};
use node::{
    demo::{processes::Processes, setup, setup::Setup},
    keyfiles,
    kmip_client::{KmipClient, tls_config},
    telemetry,
};
use orbital::{
    canon::Text,
    chain::{Chain, Genesis},
    change::{Action, Change, L1Ref},
    names::{Digest, KeyName, KeyRef, Person, System},
    sign::{Kind, SecretKey, Signed},
    vote::{Role, Signer, Vote},
};
use serde_json::{Value, json};

/// Kills of each half: idle, saturated.
const KILLS: usize = 110;
/// KMIP connections of each tenant in each region while saturated.
const CONNECTIONS: usize = 16;
const TARGET_MS: f64 = 50.0;
/// Between two looks at a proposal that regions still work on.
const LOOK_EVERY: Duration = Duration::from_millis(5);
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> ExitCode {
    // A node of the cluster: `run --node NAME FILE`, as the demo starts it.
    if std::env::args().nth(1).as_deref() == Some("run") {
        return node::cli::execute(node::cli::Cli::parse(), node::START);
    }
    let args = Args::read();
    let done = match args.get("role") {
        Some("load") => load_role(&args),
        _ => bench(&args),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("kill_site: {why}");
            ExitCode::FAILURE
        }
    }
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
        people.found(setup, tenant).await?;
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

/// The demo's people at the portal's API.
struct People<'a> {
    setup: &'a Setup,
    rest: Rest,
    chains: Vec<Chain>,
}

impl<'a> People<'a> {
    async fn of(setup: &'a Setup) -> Res<Self> {
        let portal = &setup.portal;
        let rest = Rest::open(setup.rest, tls_config(&portal.ca, &portal.cert, &portal.key)?).await?;
        Ok(Self { setup, rest, chains: Vec::new() })
    }

    /// Provisions a tenant and links its key.
    async fn found(&mut self, setup: &Setup, at: usize) -> Res<()> {
        let tenant = setup.tenants.get(at).ok_or("no such tenant")?;
        let text = std::fs::read(&tenant.genesis)?;
        let genesis: Genesis = serde_json::from_slice(&text)?;
        self.chains.push(genesis.found()?);
        self.rest.post("/v1/tenants", &serde_json::from_slice(&text)?).await?;
        let key = tenant.key.as_ref().ok_or("a tenant of the demo has no key")?;
        let l1 = L1Ref { provider: System::new(&tenant.provider)?, key: KeyRef::new(key)? };
        self.decide(at, Action::LinkL1 { l1 }, "alice", &["bob"]).await.map(drop)
    }

    fn chain(&self, tenant: usize) -> Res<&Chain> {
        self.chains.get(tenant).ok_or_else(|| "a tenant that was not founded".into())
    }

    async fn tenant(&mut self, tenant: usize) -> Res<Value> {
        let id = self.chain(tenant)?.tenant();
        self.rest.get(&format!("/v1/tenants/{id}")).await
    }

    /// Kills that no restore names yet.
    async fn killed(&mut self, tenant: usize) -> Res<BTreeSet<Digest>> {
        let seen = self.tenant(tenant).await?;
        let set = |name: &str| -> Res<BTreeSet<Digest>> {
            Ok(serde_json::from_value(seen.get(name).cloned().unwrap_or_else(|| json!([])))?)
        };
        Ok(set("kills")?.difference(&set("restored")?).copied().collect())
    }

    /// Proposes, has it approved, and waits until every region has answered: milliseconds until the last one's answer.
    async fn decide(&mut self, tenant: usize, action: Action, proposer: &str, approvers: &[&str]) -> Res<f64> {
        let epoch = self.tenant(tenant).await?.get("epoch").and_then(number).ok_or("a tenant without epoch")?;
        let chain = self.chain(tenant)?;
        let trust = chain.current();
        let change = Change {
            domain: Kind::Change.domain(),
            deployment: trust.deployment.clone(),
            tenant: chain.tenant(),
            trust_version: trust.version,
            epoch: epoch + u64::from(!action.kind().is_stop()),
            regions: trust.regions.keys().cloned().collect(),
            reason: Text::new("a bench")?,
            nonce: nonce()?,
            action,
        }
        .to_bytes()?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
        let secret = self.key(proposer)?;
        let proposal = Vote::propose(&change, trust, now + 600, &signer(proposer, &secret)?)?;
        let body = json!({ "change": base64url(&change), "proposal": proposal });
        let made = self.rest.post("/v1/proposals", &body).await?;
        let id = made.get("id").and_then(Value::as_str).ok_or("a proposal without id")?.to_owned();
        self.probed(&id, &made).await?;
        for approver in approvers {
            let secret = self.key(approver)?;
            let vote: Signed = Vote::answer(Role::Approve, &proposal, &signer(approver, &secret)?)?;
            self.rest.post(&format!("/v1/proposals/{id}/approve"), &json!({ "vote": vote })).await?;
        }
        self.ended(&id).await
    }

    /// Waits until each region has tried the key that a link names.
    async fn probed(&mut self, id: &str, made: &Value) -> Res<()> {
        if made.get("kind").and_then(Value::as_str) != Some("LinkL1") {
            return Ok(());
        }
        self.until(id, |shown| {
            let probes = shown.get("probes").and_then(Value::as_object)?;
            let answered = probes.values().filter(|probe| !probe.get("state").is_none_or(Value::is_null)).count();
            (answered == setup::REGIONS.len()).then_some(())
        })
        .await
    }

    async fn ended(&mut self, id: &str) -> Res<f64> {
        let shown = self
            .until(id, |shown| {
                let state = shown.get("state").and_then(Value::as_str)?;
                matches!(state, "active" | "failed" | "rejected" | "expired" | "withdrawn").then(|| shown.clone())
            })
            .await?;
        if shown.get("state").and_then(Value::as_str) != Some("active") {
            return Err(format!("a proposal has not become active: {shown}").into());
        }
        let regions = shown.get("regions").and_then(Value::as_object).ok_or("a proposal without regions")?;
        let waited = regions.values().filter_map(|region| region.get("waited_us").and_then(number));
        let last = waited.max().ok_or("no region says how long it took")?;
        Ok(last as f64 / 1_000.0)
    }

    async fn until<T>(&mut self, id: &str, seen: impl Fn(&Value) -> Option<T>) -> Res<T> {
        let began = Instant::now();
        loop {
            let shown = self.rest.get(&format!("/v1/proposals/{id}")).await?;
            if let Some(found) = seen(&shown) {
                return Ok(found);
            }
            if began.elapsed() > PATIENCE {
                return Err(format!("not within {} s: {shown}", PATIENCE.as_secs()).into());
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    fn key(&self, person: &str) -> Res<SecretKey> {
        let path = self.setup.people.path(person).ok_or_else(|| format!("{person} has no key"))?;
        Ok(keyfiles::read_ed25519(path)?)
    }
}

fn signer<'s>(person: &str, secret: &'s SecretKey) -> Res<Signer<'s>> {
    Ok(Signer {
        person: Person::new(person)?,
        key: KeyName::new(node::demo::people::KEY)?,
        secret,
        origin: Text::new("cli")?,
        nonce: nonce()?,
    })
}

/// A number, or a decimal string.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn nonce() -> Res<String> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|e| e.to_string())?;
    Ok(base64url(&bytes))
}

fn base64url(bytes: &[u8]) -> String {
    use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
    URL_SAFE_NO_PAD.encode(bytes)
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
