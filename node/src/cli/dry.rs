//! `--dry-run`: a change is made as it would be proposed, and governance says what would become of it. No key is read and nothing is signed,
//! so nobody could take what was sent for a proposal.

use orbital::{change::Change, names::Person};
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    Command,
    actor::ActorCommand,
    approvers::Quorum,
    caller::CallerCommand,
    compose,
    compose::Subject,
    evidence::TrustCommand,
    exit::{Failure, Report},
    key::KeyCommand,
    kmip::KmipCommand,
    lease::LeaseCommand,
    notify::NotifyCommand,
    plain,
    policy::PolicyCommand,
    quorum::QuorumCommand,
    recovery::RecoveryCommand,
    residency::ResidencyCommand,
    revoke::RevokeCommand,
    system::SystemCommand,
    table::Table,
    tenant::TenantCommand,
    topology::{Decide, TopologyCommand},
};

/// What the portal answers.
#[derive(Debug, Deserialize)]
struct Tried {
    id: String,
    #[serde(default)]
    risk: String,
    #[serde(default)]
    regions: Vec<Reach>,
    #[serde(default)]
    differences: Vec<Difference>,
    #[serde(default)]
    differences_left_out: usize,
    #[serde(default)]
    voids: Vec<String>,
    quorum: Quorum,
}

#[derive(Debug, Deserialize)]
struct Reach {
    region: String,
    connected: bool,
    #[serde(default)]
    when_proposed: Vec<String>,
    #[serde(default)]
    when_ratified: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Difference {
    pointer: String,
    before: Value,
    after: Value,
}

/// Characters of a value that a difference shows; `-o json` shows all.
const VALUE_SHOWN_MAX: usize = 60;

/// Whether a command ends in a proposal. One that is not listed refuses `--dry-run`: better than doing what was only to be tried.
fn proposes(command: &Command) -> bool {
    match command {
        Command::Key(command) => !matches!(command, KeyCommand::List { .. } | KeyCommand::Probe { .. }),
        Command::Tenant(command) => matches!(
            command,
            TenantCommand::Block { .. }
                | TenantCommand::Unblock { .. }
                | TenantCommand::Terminate { .. }
                | TenantCommand::Withdraw { .. }
        ),
        Command::System(command) => matches!(command, SystemCommand::Register { .. } | SystemCommand::Retire { .. }),
        // With --new it makes a key and its file first.
        Command::Caller(command) | Command::Kmip(KmipCommand::Client(command)) => match command {
            CallerCommand::Add(add) => add.new.is_none(),
            CallerCommand::Remove(_) => true,
            CallerCommand::List { .. } => false,
        },
        Command::Actor(command) => {
            use ActorCommand::{Enrol, Keygen, List};
            !matches!(command, Keygen { .. } | Enrol { .. } | List { .. })
        }
        Command::Quorum(command) => matches!(command, QuorumCommand::Set { .. }),
        Command::Residency(command) => matches!(command, ResidencyCommand::Set(_)),
        Command::Lease(command) => matches!(command, LeaseCommand::Set { .. }),
        Command::Topology(command) => matches!(command, TopologyCommand::Decide(Decide::Propose { .. })),
        Command::Notify(command) => matches!(command, NotifyCommand::Set { .. }),
        Command::Policy(command) => matches!(command, PolicyCommand::Set { .. }),
        Command::Revoke(command) => matches!(command, RevokeCommand::Propose { .. }),
        Command::Trust(command) => {
            use RecoveryCommand::{Cancel, Terms};
            matches!(command, TrustCommand::Settle(_) | TrustCommand::Recovery(Terms { .. } | Cancel(_)))
        }
        _ => false,
    }
}

/// Refuses `--dry-run` where nothing would be proposed.
pub(crate) fn check(command: &Command) -> Result<(), Failure> {
    if proposes(command) {
        return Ok(());
    }
    Err(Failure::usage("this command proposes nothing that could be tried")
        .because("--dry-run is for commands that end in a proposal")
        .fix("leave it out, if the command is to do what it says; nothing was done"))
}

/// Has governance look at a change, as `person` would propose it.
pub(crate) async fn run(subject: &Subject, person: &Person, bytes: &[u8]) -> Result<Report, Failure> {
    let path = "/v1/proposals?dry_run=true";
    let answer = subject.portal.post(path, &json!({ "change": compose::encode(bytes), "proposer": person })).await?;
    let tried: Tried = subject.portal.read(path, answer.body.clone())?;
    let change = Change::from_bytes(bytes).map_err(compose::unsignable)?;
    let mut lines = plain::change(&change, Change::digest_of(bytes), subject.trust());
    lines.push(format!("Risk: {}", tried.risk));
    lines.push(reached(&tried.regions));
    lines.extend(
        tried
            .differences
            .iter()
            .map(|d| format!("Would change {}: {} -> {}", d.pointer, short(&d.before), short(&d.after))),
    );
    if tried.differences_left_out > 0 {
        lines.push(format!("… and {} more.", tried.differences_left_out));
    }
    if !tried.voids.is_empty() {
        lines.push(format!("Would void by coming into force: {}.", tried.voids.join(", ")));
    }
    lines.extend(tried.quorum.lines());
    lines.push(format!("Dry run: it would be proposal {}. Nothing was signed and nothing was written.", tried.id));
    Ok(Report::new(answer.body, lines.join("\n")))
}

fn reached(regions: &[Reach]) -> String {
    let mut table = Table::new(&["region", "connected", "when proposed", "when ratified"]);
    for reach in regions {
        let list = |names: &[String]| if names.is_empty() { "-".to_owned() } else { names.join(", ") };
        let connected = if reach.connected { "yes" } else { "no" };
        table.row([reach.region.clone(), connected.into(), list(&reach.when_proposed), list(&reach.when_ratified)]);
    }
    table.render()
}

fn short(value: &Value) -> String {
    let text = if value.is_null() { "nothing".to_owned() } else { value.to_string() };
    match text.char_indices().nth(VALUE_SHOWN_MAX) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text,
    }
}
