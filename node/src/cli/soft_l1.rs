//! `kcm soft-l1`: what a customer does at their own KMS, where that is the soft one of the demo.

use std::{fs, path::PathBuf};

use clap::Subcommand;
use custody::l1::{
    Development, SoftTarget,
    soft_wire::{Ask, Token},
};
use serde::Deserialize;
use serde_json::json;

use super::{
    Global,
    context::Context,
    exit::{Exit, Failure, Report},
};
use crate::soft_l1::command;

#[derive(Clone, Debug, Subcommand)]
pub enum SoftL1Command {
    /// Show the state of the customer's key
    #[command(after_help = "Example: kcm soft-l1 state --tenant acme")]
    State {
        /// The tenant whose soft L1 it is
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
    },
    /// Disable the customer's key: each region stops the tenant by itself, without anybody's signature
    #[command(after_help = "Example: kcm soft-l1 disable --tenant acme")]
    Disable {
        /// The tenant whose soft L1 it is
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
    },
    /// Enable it again
    #[command(after_help = "Example: kcm soft-l1 enable --tenant acme")]
    Enable {
        /// The tenant whose soft L1 it is
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
    },
    /// Refuse the key to one region's principal
    #[command(after_help = "Example: kcm soft-l1 deny --tenant acme --principal acme.us-east")]
    Deny {
        /// The tenant whose soft L1 it is
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
        /// The principal, `TENANT.REGION`
        #[arg(long, value_name = "NAME")]
        principal: String,
    },
    /// Allow the key to a principal again
    #[command(after_help = "Example: kcm soft-l1 allow --tenant acme --principal acme.us-east")]
    Allow {
        /// The tenant whose soft L1 it is
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
        /// The principal, `TENANT.REGION`
        #[arg(long, value_name = "NAME")]
        principal: String,
    },
}

/// A soft L1 as the context names it.
#[derive(Clone, Debug, Deserialize)]
pub struct SoftPlace {
    pub tenant: String,
    pub key: String,
    pub address: String,
    pub ca: PathBuf,
    /// File of the token that changes states.
    pub admin: PathBuf,
}

pub(crate) async fn perform(global: &Global, wish: SoftL1Command) -> Result<Report, Failure> {
    let (tenant, ask): (_, Box<dyn FnOnce(String) -> Ask>) = match wish {
        SoftL1Command::State { tenant } => (tenant, Box::new(|key| Ask::Describe { key })),
        SoftL1Command::Disable { tenant } => (tenant, Box::new(|key| Ask::Disable { key })),
        SoftL1Command::Enable { tenant } => (tenant, Box::new(|key| Ask::Enable { key })),
        SoftL1Command::Deny { tenant, principal } => (tenant, Box::new(|key| Ask::Deny { key, principal })),
        SoftL1Command::Allow { tenant, principal } => (tenant, Box::new(|key| Ask::Allow { key, principal })),
    };
    let soft = Context::need(global)?.soft_l1(&tenant)?;
    let failed =
        |why: String| Failure::new(Exit::NotHealthy, "the soft L1 did not do it").at(&soft.address).because(why);
    let development = Development::proven(true, "the soft L1 of a demo").map_err(|e| failed(e.to_string()))?;
    let target = SoftTarget::new(&soft.address, &soft.ca, development).map_err(|e| failed(e.to_string()))?;
    let admin = fs::read_to_string(&soft.admin).map_err(|e| failed(format!("{}: {e}", soft.admin.display())))?;
    let asked = command(&target, &Token::new(admin.trim()), ask(soft.key.clone())).await;
    let state = asked.map_err(|e| failed(e.to_string()))?;
    let text = format!("Key {} is {state:?}. Each region sees it at its next probe, and acts by itself.", soft.key);
    Ok(Report::new(json!({ "key": soft.key, "state": format!("{state:?}") }), text))
}
