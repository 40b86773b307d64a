//! `kcm quorum`: who must sign what.

use clap::Subcommand;
use orbital::{
    change::{Action, ChangeKind},
    names::Group,
    quorum::{Need, Rule, Verify},
};
use serde_json::json;

use super::{
    Global,
    compose::{self, Subject, Wish},
    duration,
    exit::{Failure, Report},
    table::Table,
};

#[derive(Clone, Debug, Subcommand)]
pub enum QuorumCommand {
    /// Show the rules of a tenant
    #[command(after_help = "Example: kcm quorum show --tenant acme")]
    Show {
        /// Pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
    },
    /// Propose another rule for one kind of change
    #[command(after_help = "Example: kcm --as erin quorum set RevokeL1 --need Senior_Leadership=2 --tenant acme")]
    Set {
        /// The kind of change, such as RevokeL1
        kind: ChangeKind,
        /// How many of a group must sign
        #[arg(long, value_name = "GROUP=COUNT", required = true, value_parser = need)]
        need: Vec<Need>,
        /// A person of several of these groups counts for one of them
        #[arg(long)]
        overlapping: bool,
        /// What a signature must prove: `key`, or `user` for a passkey with user verification; without it, as before
        #[arg(long, value_name = "WHAT", value_parser = verify)]
        verify: Option<Verify>,
        /// The proposer confirms last
        #[arg(long)]
        confirm: bool,
        /// How long approvals are collected
        #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration::parse)]
        expires: std::time::Duration,
        /// Pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
        /// Why, for those who approve
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
}

fn need(text: &str) -> Result<Need, String> {
    let bad = || format!("`{text}` is no need: write GROUP=COUNT, such as Senior_Leadership=2");
    let (group, count) = text.split_once('=').ok_or_else(bad)?;
    let group = Group::new(group).map_err(|e| e.to_string())?;
    let count = count.parse().ok().filter(|count| *count > 0).ok_or_else(bad)?;
    Ok(Need { group, count })
}

fn verify(text: &str) -> Result<Verify, String> {
    match text {
        "key" => Ok(Verify::Key),
        "user" => Ok(Verify::User),
        _ => Err("write `key`, or `user` for passkeys with user verification alone".to_owned()),
    }
}

pub(crate) async fn perform(global: &Global, command: QuorumCommand) -> Result<Report, Failure> {
    match command {
        QuorumCommand::Show { tenant } => show(global, &tenant).await,
        QuorumCommand::Set { kind, need, overlapping, verify, confirm, expires, tenant, reason } => {
            let subject = Subject::of(global, &tenant).await?;
            let mut next = subject.successor();
            // Unsaid, it stays, so that nobody weakens it unawares.
            let before = next.rules.get(&kind).map_or(Verify::Key, |rule| rule.verify);
            let verify = verify.unwrap_or(before);
            let rule = Rule { need, disjoint: !overlapping, verify, confirm, expires_seconds: expires.as_secs() };
            if next.rules.insert(kind, rule.clone()) == Some(rule) {
                return Err(
                    Failure::usage("nothing would change").because(format!("the rule for {kind} says so already"))
                );
            }
            let action = Action::ChangeQuorum { next: Box::new(next) };
            compose::propose(global, &subject, Wish { action, regions: None, reason: &reason }).await
        }
    }
}

async fn show(global: &Global, tenant: &str) -> Result<Report, Failure> {
    let subject = Subject::of(global, tenant).await?;
    let mut table = Table::new(&["change", "needs", "signed by", "disjoint", "confirm", "open for"]);
    for (kind, rule) in &subject.trust().rules {
        let needs = rule.need.iter().map(|n| format!("{} of {}", n.count, n.group)).collect::<Vec<_>>().join(" and ");
        let word = |on: bool| if on { "yes" } else { "no" }.to_owned();
        let by = if rule.verify == Verify::User { "passkey, verified" } else { "any key" }.to_owned();
        let open = format!("{} s", rule.expires_seconds);
        table.row([kind.to_string(), needs, by, word(rule.disjoint), word(rule.confirm), open]);
    }
    Ok(Report::new(json!({ "rules": subject.trust().rules }), table.render()))
}
