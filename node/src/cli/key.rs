//! `kcm key`: references to the customer's L1 keys. The key itself never leaves the customer's KMS.

use std::collections::BTreeSet;

use clap::Subcommand;
use orbital::{
    change::{Action, L1Ref},
    halt::Halt,
    names::{Digest, KeyRef, Region, System},
};
use serde_json::{Value, json};

use super::{
    Global,
    compose::{self, Subject, Wish},
    context::{Context, Pins},
    exit::{Failure, Report},
    halt,
    http::Portal,
    plain, show,
    table::Table,
    wire,
};

#[derive(Clone, Debug, Subcommand)]
pub enum KeyCommand {
    /// List a tenant's L1 keys and what each region sees of them
    #[command(after_help = "Example: kcm key list --tenant acme")]
    List {
        /// Pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
    },
    /// Propose to tie the tenant's keys to a key at the customer's KMS; each region tries it first
    #[command(
        after_help = "Example: kcm --as alice key link --tenant acme --provider acme-aws --ref arn:aws:kms:eu-central-1:1:key/2"
    )]
    Link {
        /// Pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
        /// The provider's name in the topology
        #[arg(long, value_name = "NAME")]
        provider: System,
        /// The key's ARN or URI; no alias
        #[arg(long = "ref", visible_alias = "arn", value_name = "KEYREF")]
        l1: KeyRef,
        /// Only these regions [default: all of the tenant's]
        #[arg(long, value_name = "REGION")]
        region: Vec<Region>,
        /// Why, for those who approve
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Let the regions whose try of a proposed key failed try again
    #[command(after_help = "Example: kcm key probe 0F3K")]
    Probe {
        /// The proposal
        proposal: String,
    },
    /// Propose to lift kills, so that the tenant can be used again
    #[command(after_help = "Example: kcm --as alice key restore --tenant acme --reason \"drill is over\"")]
    Restore {
        /// Pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
        /// Only these kills [default: all that are in force]
        #[arg(long, value_name = "DIGEST", allow_hyphen_values = true)]
        kill: Vec<Digest>,
        /// Why, for those who approve
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Propose that nothing new is protected with the tenant's keys; what is protected can still be read
    #[command(after_help = "Example: kcm --as carol key suspend --tenant acme --reason suspicion")]
    Suspend {
        /// Pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
        /// Only these regions [default: all of the tenant's]
        #[arg(long, value_name = "REGION")]
        region: Vec<Region>,
        /// Why, for those who approve
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
    /// Propose to lift suspensions
    #[command(after_help = "Example: kcm --as alice key resume --tenant acme --reason cleared")]
    Resume {
        /// Pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
        /// Only these suspensions [default: all that are in force]
        #[arg(long, value_name = "DIGEST", allow_hyphen_values = true)]
        suspension: Vec<Digest>,
        /// Why, for those who approve
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
}

pub(crate) async fn perform(global: &Global, command: KeyCommand) -> Result<Report, Failure> {
    match command {
        KeyCommand::List { tenant } => list(global, &tenant).await,
        KeyCommand::Link { tenant, provider, l1, region, reason } => {
            let subject = Subject::of(global, &tenant).await?;
            let action = Action::LinkL1 { l1: L1Ref { provider, key: l1 } };
            let regions = Some(region).filter(|r| !r.is_empty()).map(BTreeSet::from_iter);
            compose::propose(global, &subject, Wish { action, regions, reason: &reason }).await
        }
        KeyCommand::Probe { proposal } => probe(global, &proposal).await,
        KeyCommand::Restore { tenant, kill, reason } => halt::lift(global, Halt::Kill, &tenant, kill, &reason).await,
        KeyCommand::Suspend { tenant, region, reason } => {
            halt::set(global, Action::SuspendL1 {}, &tenant, region, &reason).await
        }
        KeyCommand::Resume { tenant, suspension, reason } => {
            halt::lift(global, Halt::Suspension, &tenant, suspension, &reason).await
        }
    }
}

async fn probe(global: &Global, id: &str) -> Result<Report, Failure> {
    let portal = Portal::of(&Context::need(global)?)?;
    let path = format!("/v1/proposals/{id}/probe");
    let answer = portal.post(&path, &json!({})).await?;
    let proposal: wire::Proposal = portal.read(&path, answer.body.clone())?;
    Ok(Report::new(answer.body, show::summary(&proposal)))
}

async fn list(global: &Global, tenant: &str) -> Result<Report, Failure> {
    let portal = Portal::of(&Context::need(global)?)?;
    let id = Pins::read(global)?.tenant(tenant)?;
    let items = portal.list(&format!("/v1/tenants/{id}/keys")).await?;
    let mut table = Table::new(&["key", "provider", "standing", "region", "l1", "keys", "stops", "seen", "why"]);
    for item in &items {
        let text = |pointer: &str| item.pointer(pointer).and_then(Value::as_str).unwrap_or("-").to_owned();
        let (key, provider, standing) = (text("/l1/key"), text("/l1/provider"), text("/standing"));
        for (region, seen) in item.get("regions").and_then(Value::as_object).into_iter().flatten() {
            let of = |name: &str| seen.get(name).map(cell).unwrap_or_default();
            table.row([
                key.clone(),
                provider.clone(),
                standing.clone(),
                region.clone(),
                of("l1"),
                of("keys"),
                seen.get("stops").map(|set| or_none(stops(set))).unwrap_or_default(),
                // A region says what it holds every few seconds: right after a change this is still the state before it.
                seen.get("observed_ms").and_then(Value::as_u64).map_or_else(|| "never".to_owned(), plain::time_ms),
                of("why"),
            ]);
        }
    }
    Ok(Report::new(json!({ "items": items }), table.render()))
}

fn or_none(names: Vec<String>) -> String {
    if names.is_empty() { "-".to_owned() } else { names.join(", ") }
}

/// A value as a cell.
pub(crate) fn cell(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The names of the stops that are set.
pub(crate) fn stops(value: &Value) -> Vec<String> {
    let set = value.as_object().into_iter().flatten().filter(|(_, on)| **on == Value::Bool(true));
    set.map(|(name, _)| name.replace('_', " ")).collect()
}
