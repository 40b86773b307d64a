//! `kcm tenant`: from a description to a signed genesis to a running tenant, and pinning its id.

use std::path::PathBuf;

use clap::Subcommand;
use orbital::{
    chain::Genesis,
    change::Action,
    halt::Halt,
    names::{Digest, Region, TenantId},
};
use serde_json::json;

use super::{
    Global,
    compose::{self, Subject},
    context::{Context, Identity, Pins},
    exit::{Exit, Failure, Report},
    files, founding, genesis, halt,
    http::Portal,
    plain,
    screen::{Screen, spoken},
    table::Table,
    wire,
};

#[derive(Clone, Debug, Subcommand)]
pub enum TenantCommand {
    /// Make a tenant's genesis from a description
    #[command(after_help = "Example: kcm tenant genesis --spec acme.toml --out acme.genesis.json")]
    Genesis {
        /// The description, TOML
        #[arg(long, value_name = "FILE")]
        spec: PathBuf,
        /// Where the genesis goes, as yet unsigned
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Sign a genesis as one of its first actors; every one of them must
    #[command(after_help = "Example: kcm --as alice tenant sign acme.genesis.json")]
    Sign {
        /// The genesis; the signature is added to it
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// Found a tenant from a signed genesis, and pin its id
    #[command(after_help = "Example: kcm tenant provision acme.genesis.json")]
    Provision {
        /// The genesis, signed by every first actor
        #[arg(value_name = "FILE")]
        file: PathBuf,
    },
    /// List tenants
    #[command(after_help = "Example: kcm tenant list -o json")]
    List,
    /// Show one tenant, with its chain verified here
    #[command(after_help = "Example: kcm tenant show acme")]
    Show {
        /// Pinned name, or id
        #[arg(value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
    },
    /// Write a tenant's verified trust chain to a file, for `kcm revoke sign` when governance is away
    #[command(after_help = "Example: kcm tenant trust acme --out acme.chain.json")]
    Trust {
        /// Pinned name, or id
        #[arg(value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
        /// Where the chain goes
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Propose that nobody of a tenant is served, and that its keys leave the regions' memory
    #[command(after_help = "Example: kcm --as carol tenant block acme --reason overdue")]
    Block {
        /// Pinned name, or id
        #[arg(value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
        /// Only these regions [default: all of the tenant's]
        #[arg(long, value_name = "REGION")]
        region: Vec<Region>,
        /// Why, for those who approve
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Propose to lift blocks, so that the tenant is served again
    #[command(after_help = "Example: kcm --as alice tenant unblock acme --reason paid")]
    Unblock {
        /// Pinned name, or id
        #[arg(value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
        /// Only these blocks [default: all that are in force]
        #[arg(long, value_name = "DIGEST", allow_hyphen_values = true)]
        block: Vec<Digest>,
        /// Why, for those who approve
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Propose to destroy every key of a tenant in every region, for ever
    #[command(after_help = "Example: kcm --as carol tenant terminate acme --reason offboarded")]
    Terminate {
        /// Pinned name, or id
        #[arg(value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
        /// Why, for those who approve
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Propose to give up a tenant that some region has not taken yet: none will serve it, whatever arrives late
    #[command(after_help = "Example: kcm --as carol tenant withdraw acme --reason mistyped")]
    Withdraw {
        /// Pinned name, or id
        #[arg(value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
        /// Why, for those who approve
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Pin a name to a tenant's id, which a member of the tenant told you
    #[command(after_help = "Example: kcm tenant pin acme kGkT02jo2jX3l0Mm3xw_1wapLo8Aq-9G17xJMr2UPic")]
    Pin {
        /// The name that you will use
        name: String,
        /// The tenant's id: the digest of its genesis
        #[arg(value_name = "ID", allow_hyphen_values = true)]
        id: TenantId,
    },
}

pub(crate) async fn perform(global: &Global, command: TenantCommand) -> Result<Report, Failure> {
    match command {
        TenantCommand::Genesis { spec, out } => made(&spec, &out),
        TenantCommand::Sign { file } => sign(global, &file),
        TenantCommand::Provision { file } => provision(global, &file).await,
        TenantCommand::List => list(global).await,
        TenantCommand::Show { tenant } => show(global, &tenant).await,
        TenantCommand::Trust { tenant, out } => trust(global, &tenant, &out).await,
        TenantCommand::Block { tenant, region, reason } => {
            halt::set(global, Action::BlockTenant {}, &tenant, region, &reason).await
        }
        TenantCommand::Unblock { tenant, block, reason } => {
            halt::lift(global, Halt::Block, &tenant, block, &reason).await
        }
        TenantCommand::Terminate { tenant, reason } => {
            halt::set(global, Action::TerminateTenant {}, &tenant, Vec::new(), &reason).await
        }
        TenantCommand::Withdraw { tenant, reason } => founding::withdraw(global, &tenant, &reason).await,
        TenantCommand::Pin { name, id } => {
            Pins::read(global)?.pin(&name, id)?;
            Ok(Report::new(json!({ "name": name, "id": id }), format!("`{name}` means tenant {id} from now on.")))
        }
    }
}

fn made(spec: &std::path::Path, out: &std::path::Path) -> Result<Report, Failure> {
    let text = files::read_text("description", spec)?;
    let folder = spec.parent().unwrap_or(std::path::Path::new(""));
    let (genesis, root) = genesis::compose(&text, folder).map_err(|failure| match failure.place.as_str() {
        "" => failure.at(spec.display()),
        _ => failure,
    })?;
    files::write_json("genesis", out, &genesis, false)?;
    let id = genesis::id(&genesis);
    let people = root.actors.keys().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    let text = format!("Genesis of tenant {} with id {id}.\nTo be signed by: {people}.", root.name);
    Ok(Report::new(json!({ "id": id, "name": root.name, "actors": root.actors.keys().collect::<Vec<_>>() }), text))
}

fn sign(global: &Global, file: &std::path::Path) -> Result<Report, Failure> {
    let mut founding: Genesis = files::read_json("genesis", file)?;
    let identity = Identity::of(global)?;
    let root = genesis::read(&founding).map_err(|f| f.at(file.display()))?;
    identity.key_name(&root)?;
    let id = genesis::id(&founding);
    let mut sentences = vec![format!("{} founds tenant {} with id {id}.", identity.person, root.name)];
    sentences.extend(genesis::sentences(&root));
    Screen::of(global).agree(&sentences)?;
    genesis::sign(&mut founding, &identity.person, &identity.secret);
    files::write_json("genesis", file, &founding, true)?;
    let open: Vec<_> = root.actors.keys().filter(|p| !founding.signatures.contains_key(*p)).collect();
    let text = match open.as_slice() {
        [] => format!("All have signed. Next: kcm tenant provision {}", file.display()),
        open => format!("Signatures missing: {}.", open.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")),
    };
    Ok(Report::new(json!({ "id": id, "missing": open }), text))
}

async fn provision(global: &Global, file: &std::path::Path) -> Result<Report, Failure> {
    let genesis: Genesis = files::read_json("genesis", file)?;
    let chain = genesis.found().map_err(|e| {
        Failure::denied("the genesis founds nothing")
            .at(file.display())
            .because(e)
            .fix("let each of its actors sign it")
    })?;
    let portal = Portal::of(&Context::need(global)?)?;
    let body = serde_json::to_value(&genesis).map_err(|e| Failure::usage("the genesis cannot be sent").because(e))?;
    let answer = portal.post("/v1/tenants", &body).await?;
    let name = chain.current().name.to_string();
    Pins::read(global)?.pin(&name, chain.tenant())?;
    let founded = format!("Tenant {name} is founded; `{name}` is pinned to its id {}.", chain.tenant());
    if chain.current().regions.is_empty() {
        return Ok(Report::new(answer.body, founded));
    }
    let Some(wait) = global.wait else {
        let text = format!(
            "{founded}\nIt is brought to each of its regions until that has taken it, and linked to no key before (--wait waits for that). \
             How far they are: kcm tenant show {name}"
        );
        return Ok(Report::new(answer.body, text));
    };
    let (tenant, lacking) = founding::whole_within(&portal, chain.tenant(), wait).await?;
    Ok(match lacking {
        None => Report::new(tenant, format!("{founded}\nEach of its regions has taken it.")),
        Some(lacking) => Report::new(tenant, format!("{founded}\nNot finished: after {} {lacking}", spoken(wait)))
            .ending(Exit::Unconfirmed),
    })
}

async fn list(global: &Global) -> Result<Report, Failure> {
    let portal = Portal::of(&Context::need(global)?)?;
    let pins = Pins::read(global)?;
    let items = portal.list("/v1/tenants").await?;
    let mut table = Table::new(&["name", "id", "state", "trust", "pinned as"]);
    for item in &items {
        let tenant: wire::Tenant = portal.read("/v1/tenants", item.clone())?;
        let pinned = pins.all().iter().find(|(_, id)| **id == tenant.id).map_or("-", |(name, _)| name.as_str());
        let (id, version) = (tenant.id.to_string(), tenant.trust_version.to_string());
        table.row([tenant.name, id, tenant.state, version, pinned.to_owned()]);
    }
    Ok(Report::new(json!({ "items": items }), table.render()))
}

async fn show(global: &Global, tenant: &str) -> Result<Report, Failure> {
    let subject = Subject::of(global, tenant).await?;
    let body: serde_json::Value = subject.portal.get(&format!("/v1/tenants/{}", subject.tenant.id)).await?;
    let trust = subject.trust();
    let mut table = Table::pairs();
    table.row(["Name", trust.name.as_str()]);
    table.row(["Id", &subject.tenant.id.to_string()]);
    table.row(["State", &subject.tenant.state]);
    table.row(["Trust version", &format!("{} (chain verified here)", subject.chain.version())]);
    table.row(["Trust digest", &subject.chain.digest().to_string()]);
    table.row(["Epoch", &subject.tenant.epoch.to_string()]);
    for (halt, label) in
        [(Halt::Kill, "Kill in force"), (Halt::Block, "Block in force"), (Halt::Suspension, "Suspension in force")]
    {
        for name in halt::in_force(&subject.tenant, halt) {
            table.row([label, &name.to_string()]);
        }
    }
    for recovery in body.get("recoveries").and_then(serde_json::Value::as_array).into_iter().flatten() {
        table.row(["RECOVERY waits", &recovering(recovery)]);
    }
    founding::rows(&body).into_iter().for_each(|row| table.row(row));
    let text = format!("{}\n{}", table.render(), genesis::sentences(trust).join("\n"));
    Ok(Report::new(body, text))
}

/// A change of people by cold keys, which counts once its delay is over.
fn recovering(recovery: &serde_json::Value) -> String {
    let change = recovery.get("change").and_then(serde_json::Value::as_str).unwrap_or("?");
    let due = recovery.get("due").and_then(serde_json::Value::as_u64).unwrap_or_default();
    format!("{change}, in force from {} on; cancel it with `kcm trust recovery cancel`", plain::time(due))
}

async fn trust(global: &Global, tenant: &str, out: &std::path::Path) -> Result<Report, Failure> {
    let subject = Subject::of(global, tenant).await?;
    files::write_json("trust chain", out, &subject.file, true)?;
    let version = subject.chain.version();
    let text = format!("Trust chain of {} up to version {version} is in {}.", subject.trust().name, out.display());
    let json = json!({ "tenant": subject.tenant.id, "version": version, "digest": subject.chain.digest() });
    Ok(Report::new(json, format!("{text}\nWritten {}.", plain::time(compose::now()))))
}
