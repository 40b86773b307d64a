//! `kcm system`: applications and databases of a tenant, each the owner of keys of its own.

use clap::Subcommand;
use orbital::{change::Action, names::System};
use serde_json::json;

use super::{
    Global,
    compose::{self, Subject, Wish},
    exit::{Failure, Report},
    table::Table,
};

#[derive(Clone, Debug, Subcommand)]
pub enum SystemCommand {
    /// Propose to add a system
    #[command(after_help = "Example: kcm --as alice system register mongo-1 --tenant acme")]
    Register {
        /// The system's name
        name: System,
        /// Pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
        /// Why, for those who approve
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Propose to take a system out of use, with its callers
    #[command(after_help = "Example: kcm --as alice system retire mongo-1 --tenant acme")]
    Retire {
        /// The system's name
        name: System,
        /// Pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
        /// Why, for those who approve
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// List the systems of a tenant
    #[command(after_help = "Example: kcm system list --tenant acme")]
    List {
        /// Pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
    },
}

pub(crate) async fn perform(global: &Global, command: SystemCommand) -> Result<Report, Failure> {
    match command {
        SystemCommand::Register { name, tenant, reason } => {
            let subject = Subject::of(global, &tenant).await?;
            let mut next = subject.successor();
            if !next.systems.insert(name.clone()) {
                return Err(Failure::usage(format!("system {name} stands already"))
                    .because(format!("trust version {} of {tenant} lists it", subject.chain.version()))
                    .fix("choose another name"));
            }
            let action = Action::RegisterSystem { system: name, next: Box::new(next) };
            compose::propose(global, &subject, Wish { action, regions: None, reason: &reason }).await
        }
        SystemCommand::Retire { name, tenant, reason } => {
            let subject = Subject::of(global, &tenant).await?;
            let mut next = subject.successor();
            if !next.systems.remove(&name) {
                return Err(Failure::usage(format!("there is no system {name}"))
                    .because(format!("trust version {} of {tenant} does not list it", subject.chain.version()))
                    .fix(format!("see which there are: kcm system list --tenant {tenant}")));
            }
            next.callers.retain(|rule| rule.system != name);
            let action = Action::RetireSystem { system: name, next: Box::new(next) };
            compose::propose(global, &subject, Wish { action, regions: None, reason: &reason }).await
        }
        SystemCommand::List { tenant } => {
            let subject = Subject::of(global, &tenant).await?;
            let trust = subject.trust();
            let mut table = Table::new(&["system", "caller rules"]);
            for system in &trust.systems {
                let rules = trust.callers.iter().filter(|c| c.system == *system).count();
                table.row([system.to_string(), rules.to_string()]);
            }
            Ok(Report::new(json!({ "items": trust.systems }), table.render()))
        }
    }
}
