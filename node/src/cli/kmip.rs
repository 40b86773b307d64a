//! `kcm kmip`: a region's KMIP port as a database sees it. `ping` goes the way of a client, step by step, and says where it ends; `conf`
//! (`conf.rs`) prints what a database's own configuration needs.

mod conf;

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use conf::Conf;
pub(crate) use conf::conf;
use rustls::pki_types::{CertificateDer, pem::PemObject};
use serde_json::{Value, json};

use super::{
    Global,
    caller::CallerCommand,
    context::{ClientPlace, Context, Pins},
    exit::{Exit, Failure, Report},
    plain,
    table::Table,
};
use crate::kmip_client::{KmipClient, KmipError, tls_config};

#[derive(Clone, Debug, Subcommand)]
pub enum KmipCommand {
    /// The KMIP clients of a tenant
    #[command(subcommand)]
    Client(CallerCommand),
    /// Go a client's way, step by step; exits 6 where it ends
    #[command(after_help = "Example: kcm kmip ping --tenant acme --region eu-frankfurt\n         \
                            kcm kmip ping --address kms.example.com:5696 --ca ca.pem --cert mongo-1.pem --id UID")]
    Ping(Ping),
    /// Print the configuration of a database that keeps its keys here
    #[command(subcommand)]
    Conf(Conf),
}

/// `kcm kmip ping`.
#[derive(Clone, Debug, Args)]
pub struct Ping {
    #[command(flatten)]
    pub place: Place,
    /// Look at this object, too: its state, and whether it may be fetched
    #[arg(long, value_name = "UID")]
    pub id: Option<String>,
}

/// Where and as whom.
#[derive(Clone, Debug, Args)]
pub struct Place {
    /// The region's KMIP port, HOST:PORT, where the context does not name it
    #[arg(long, value_name = "ADDRESS", requires = "ca", requires = "cert")]
    pub address: Option<String>,
    /// The CA that signed the server's certificate, PEM
    #[arg(long, value_name = "FILE", requires = "address")]
    pub ca: Option<PathBuf>,
    /// The client's certificate, PEM; its key may stand in the same file, as mongod wants it
    #[arg(long, value_name = "FILE", requires = "address")]
    pub cert: Option<PathBuf>,
    /// The client's key, PEM, where it stands in a file of its own
    #[arg(long, value_name = "FILE", requires = "cert")]
    pub cert_key: Option<PathBuf>,
    /// A region of the context
    #[arg(long, value_name = "NAME", conflicts_with = "address", required_unless_present = "address")]
    pub region: Option<String>,
    /// The tenant whose client the context has
    #[arg(long, value_name = "TENANT", conflicts_with = "address", required_unless_present = "address")]
    pub tenant: Option<String>,
}

/// One step: its name, and what was seen or why it failed.
struct Step {
    name: &'static str,
    seen: Result<String, KmipError>,
}

/// Goes the way. A step that fails is the last, but for what an object says.
pub(crate) async fn ping(global: &Global, ping: Ping) -> Result<Report, Failure> {
    let (address, client) = whereto(global, &ping.place)?;
    let steps = walk(&address, &client, ping.id.as_deref(), &Pins::read(global)?).await;
    let well = steps.iter().all(|step| step.seen.is_ok());
    let report = Report::new(json(&address, &steps), text(&address, &steps));
    Ok(report.ending(if well { Exit::Done } else { Exit::NotHealthy }))
}

fn whereto(global: &Global, place: &Place) -> Result<(String, ClientPlace), Failure> {
    if let (Some(address), Some(ca), Some(cert)) = (&place.address, &place.ca, &place.cert) {
        let key = place.cert_key.as_ref().unwrap_or(cert);
        let client = ClientPlace { tenant: String::new(), ca: ca.clone(), cert: cert.clone(), key: key.clone() };
        return Ok((address.clone(), client));
    }
    let context = Context::need(global)?;
    let (name, tenant) = (place.region.as_deref().unwrap_or_default(), place.tenant.as_deref().unwrap_or_default());
    let names: Vec<_> = context.file.regions.iter().map(|region| region.name.as_str()).collect();
    let unknown = |what: String, why: String| Failure::usage(what).at(context.path.display()).because(why);
    let region = context.file.regions.iter().find(|region| region.name == name).ok_or_else(|| {
        unknown(format!("there is no region {name:?}"), format!("the context has {}", names.join(", ")))
            .fix("name one of them, or give --address, --ca and --cert")
    })?;
    let tenants: Vec<_> = region.clients.iter().map(|client| client.tenant.as_str()).collect();
    let client = region.clients.iter().find(|client| client.tenant == tenant).ok_or_else(|| {
        unknown(
            format!("no client of tenant {tenant:?} is known"),
            format!("the context has those of {}", tenants.join(", ")),
        )
        .fix("name one of them, or give --address, --ca and --cert")
    })?;
    let kmip = region.kmip.as_ref().ok_or_else(|| {
        unknown(format!("the context has no KMIP address of {name}"), "only the demo's contexts have one".to_owned())
            .fix("give --address, --ca and --cert")
    })?;
    Ok((kmip.address.clone(), client.clone()))
}

async fn walk(address: &str, client: &ClientPlace, id: Option<&str>, pins: &Pins) -> Vec<Step> {
    let mut steps = Vec::new();
    let connected = async {
        let tls = tls_config(&client.ca, &client.cert, &client.key)?;
        KmipClient::connect(address, tls).await
    };
    let mut connection = match connected.await {
        Ok(connection) => connection,
        Err(why) => {
            steps.push(Step { name: "TLS", seen: Err(why) });
            return steps;
        }
    };
    steps.push(Step { name: "TLS", seen: Ok(connection.tls()) });
    // With TLS 1.3 a client learns only now that its certificate was refused.
    let known = connection.known_as().await;
    let tenant = known.map(|it| it.map(|(tenant, system)| format!("{}, system {system}", named(pins, &tenant))));
    steps.extend(introduced(tenant, identity(&client.cert)));
    if steps.iter().any(|step| step.seen.as_ref().is_err_and(|why| !matches!(why, KmipError::Unexpected(_)))) {
        return steps;
    }
    let versions = connection.versions().await.map(|versions| {
        let versions: Vec<_> = versions.iter().map(ToString::to_string).collect();
        format!("KMIP {}", versions.join(", "))
    });
    steps.push(Step { name: "version", seen: versions });
    let located = connection.located().await.map(|objects| format!("{objects} objects of this client's system"));
    steps.push(Step { name: "Locate", seen: located });
    if let Some(id) = id {
        let state = connection.state(id).await.map(|state| state.to_string());
        steps.push(Step { name: "State", seen: state });
        let fetched = connection.fetched(id).await.map(|(kind, bits)| format!("{kind} of {bits} bits"));
        steps.push(Step { name: "Get", seen: fetched });
    }
    steps
}

/// What the first answer says of the client: whether its certificate was taken, and whose it is. A refusal, too, goes to a client that
/// was taken: its tenant may be stopped, or its policy forbid the question.
fn introduced(tenant: Result<Option<String>, KmipError>, identity: String) -> Vec<Step> {
    let tenant = match tenant {
        Err(why) if why.reason().is_none() => return vec![Step { name: "identity", seen: Err(why) }],
        Err(why) => Err(why),
        Ok(tenant) => tenant.ok_or(KmipError::Unexpected("Query")),
    };
    vec![Step { name: "identity", seen: Ok(identity) }, Step { name: "tenant", seen: tenant }]
}

/// The certificate that was taken, as `kcm caller list` shows it.
fn identity(cert: &Path) -> String {
    let shown = CertificateDer::from_pem_file(cert).map(|der| plain::fingerprint(&der).to_string());
    format!("certificate with sha-256 {}", shown.unwrap_or_default())
}

/// A tenant's id, and the name that it is pinned to here.
fn named(pins: &Pins, id: &str) -> String {
    let pinned = pins.all().iter().find(|(_, tenant)| tenant.to_string() == id);
    pinned.map_or_else(|| id.to_owned(), |(name, _)| format!("{name} ({id})"))
}

fn text(address: &str, steps: &[Step]) -> String {
    let mut table = Table::pairs();
    for Step { name, seen } in steps {
        let (mark, said) = match seen {
            Ok(seen) => ("ok", seen.clone()),
            Err(why) => ("FAILED", format!("{why}. {}", remedy(name, why))),
        };
        table.row([(*name).to_owned(), mark.to_owned(), said]);
    }
    format!("{address}\n{}", table.render())
}

fn json(address: &str, steps: &[Step]) -> Value {
    let step = |Step { name, seen }: &Step| match seen {
        Ok(seen) => json!({ "step": name, "ok": true, "seen": seen }),
        Err(why) => json!({ "step": name, "ok": false, "why": why.to_string(), "fix": remedy(name, why) }),
    };
    json!({ "address": address, "steps": steps.iter().map(step).collect::<Vec<_>>() })
}

/// What to do about a step that failed.
fn remedy(step: &str, why: &KmipError) -> &'static str {
    match (step, why) {
        (_, KmipError::Tls(_)) => "Check the PEM files",
        ("TLS", _) => {
            "Check address, --ca and the host name in the server's certificate; the region's /readyz says whether it runs"
        }
        ("identity", _) => {
            "The region took no client of this certificate: `kcm caller list` shows which CAs its tenant names, and a tenant that is stopped lets nobody in"
        }
        ("tenant", KmipError::Unexpected(_)) => "The server is no region of this system: `--address` leads elsewhere",
        (_, KmipError::Failed { .. }) => "The region's audit log has the same refusal, with the client's name",
        _ => "Try again; the region's log says what ended the connection",
    }
}

#[cfg(test)]
mod tests {
    use kmip::ResultReason;

    use super::*;

    fn told(tenant: Result<Option<String>, KmipError>) -> String {
        text("here", &introduced(tenant, "certificate".to_owned()))
    }

    #[test]
    fn a_client_that_was_taken_and_is_refused_hears_why() {
        let message = "the customer's own KMS refuses the tenant's key".to_owned();
        let refused = told(Err(KmipError::Failed { reason: ResultReason::PermissionDenied, message }));
        assert!(refused.contains("identity  ok"), "{refused}");
        assert!(refused.contains("refuses the tenant's key. The region's audit log"), "{refused}");
        let ended = told(Err(KmipError::Ended(std::io::ErrorKind::ConnectionReset.into())));
        assert!(ended.contains("identity  FAILED") && !ended.contains("tenant  "), "{ended}");
        assert!(told(Ok(None)).contains("no region of this system"));
    }
}
