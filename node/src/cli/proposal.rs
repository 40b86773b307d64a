//! `kcm proposal`: read what is asked, sign an answer, watch what becomes of it.

use std::path::PathBuf;

use clap::Subcommand;
use orbital::vote::Role;
use serde_json::{Value, json};

use super::{
    Global,
    compose::{self, Subject},
    context::{Context, Pins},
    evidence,
    exit::{Failure, Report},
    http::Portal,
    plain,
    screen::Screen,
    show,
    table::Table,
    watch, wire,
};

#[derive(Clone, Debug, Subcommand)]
pub enum ProposalCommand {
    /// List proposals, newest first
    #[command(after_help = "Example: kcm proposal list --state open")]
    List {
        /// Only of this tenant: pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: Option<String>,
        /// Only in this state, such as open
        #[arg(long, value_name = "STATE")]
        state: Option<String>,
    },
    /// Show one, verified here, in plain sentences
    #[command(after_help = "Example: kcm proposal show 0F3K")]
    Show {
        /// The proposal
        id: String,
    },
    /// Sign an approval
    #[command(after_help = "Example: kcm --as bob proposal approve 0F3K --wait 30s")]
    Approve {
        /// The proposal
        id: String,
    },
    /// Sign a rejection
    #[command(after_help = "Example: kcm --as bob proposal reject 0F3K")]
    Reject {
        /// The proposal
        id: String,
    },
    /// Sign the last word, as its proposer, where the rule asks for it
    #[command(after_help = "Example: kcm --as alice proposal confirm 0F3K")]
    Confirm {
        /// The proposal
        id: String,
    },
    /// Fire an armed revocation, as one of those who signed it: every region stops
    #[command(after_help = "Example: kcm --as dave proposal fire 0F3K --wait 30s")]
    Fire {
        /// The proposal
        id: String,
    },
    /// Take back what you proposed
    #[command(after_help = "Example: kcm --as alice proposal withdraw 0F3K")]
    Withdraw {
        /// The proposal
        id: String,
    },
    /// Leave a note on one, for everybody who may see it; it decides nothing
    #[command(after_help = "Example: kcm proposal note 0F3K asked-legal")]
    Note {
        /// The proposal
        id: String,
        /// What you say, at most 2 KiB
        text: String,
    },
    /// Follow one until every region has answered
    #[command(after_help = "Example: kcm proposal watch 0F3K --wait 60s")]
    Watch {
        /// The proposal
        id: String,
    },
    /// Write the decision with its proof to a file, for `kcm certificate verify`
    #[command(after_help = "Example: kcm proposal certificate 0F3K --out 0F3K.json")]
    Certificate {
        /// The proposal
        id: String,
        /// Where it goes
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

pub(crate) async fn perform(global: &Global, command: ProposalCommand) -> Result<Report, Failure> {
    match command {
        ProposalCommand::List { tenant, state } => list(global, tenant, state).await,
        ProposalCommand::Show { id } => shown(global, &id).await,
        ProposalCommand::Approve { id } => compose::answer(global, &id, Role::Approve, "approve").await,
        ProposalCommand::Reject { id } => compose::answer(global, &id, Role::Reject, "reject").await,
        ProposalCommand::Confirm { id } => compose::answer(global, &id, Role::Confirm, "confirm").await,
        ProposalCommand::Fire { id } => compose::answer(global, &id, Role::Fire, "fire").await,
        // Taking back is a rejection by the proposer, who alone may send it to this address.
        ProposalCommand::Withdraw { id } => compose::answer(global, &id, Role::Reject, "withdraw").await,
        ProposalCommand::Note { id, text } => note(global, &id, &text).await,
        ProposalCommand::Watch { id } => follow(global, &id).await,
        ProposalCommand::Certificate { id, out } => {
            let (body, _, subject) = subject(global, &id).await?;
            evidence::write(&subject, body.get("certificate").unwrap_or(&Value::Null), &out)
        }
    }
}

async fn list(global: &Global, tenant: Option<String>, state: Option<String>) -> Result<Report, Failure> {
    let portal = Portal::of(&Context::need(global)?)?;
    let pins = Pins::read(global)?;
    let mut query = Vec::new();
    if let Some(tenant) = tenant {
        query.push(format!("tenant={}", pins.tenant(&tenant)?));
    }
    query.extend(state.map(|state| format!("state={state}")));
    let items = portal.list(&format!("/v1/proposals?{}", query.join("&"))).await?;
    let mut table = Table::new(&["id", "kind", "tenant", "state", "proposer", "missing", "until"]);
    for item in &items {
        let proposal: wire::Proposal = portal.read("/v1/proposals", item.clone())?;
        let pinned = pins.all().iter().find(|(_, id)| **id == proposal.tenant);
        let tenant = pinned.map_or_else(|| proposal.tenant.to_string(), |(name, _)| name.clone());
        let missing = proposal.missing.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let (proposer, until) = (proposal.proposer.to_string(), plain::time(proposal.expires));
        table.row([proposal.id, proposal.kind, tenant, proposal.state, proposer, missing, until]);
    }
    Ok(Report::new(json!({ "items": items }), table.render()))
}

async fn note(global: &Global, id: &str, said: &str) -> Result<Report, Failure> {
    let portal = Portal::of(&Context::need(global)?)?;
    let path = format!("/v1/proposals/{id}/notes");
    let answer = portal.post(&path, &json!({ "text": super::text(said)? })).await?;
    let proposal: wire::Proposal = portal.read(&path, answer.body.clone())?;
    Ok(Report::new(answer.body, show::notes(&proposal)))
}

/// The proposal's tenant, with its chain verified, and whether its id is pinned here.
async fn subject(global: &Global, id: &str) -> Result<(serde_json::Value, wire::Proposal, Subject), Failure> {
    let portal = Portal::of(&Context::need(global)?)?;
    let body: serde_json::Value = portal.get(&format!("/v1/proposals/{id}")).await?;
    let proposal: wire::Proposal = portal.read("/v1/proposals", body.clone())?;
    if !Pins::read(global)?.all().values().any(|pinned| *pinned == proposal.tenant) {
        Screen::of(global)
            .note(&format!("note: tenant {} is not pinned here: the portal alone vouches for it", proposal.tenant));
    }
    let subject = Subject::by_id(portal, proposal.tenant).await?;
    Ok((body, proposal, subject))
}

async fn shown(global: &Global, id: &str) -> Result<Report, Failure> {
    let (body, proposal, subject) = subject(global, id).await?;
    Ok(Report::new(body, show::full(&proposal, &subject.chain)))
}

async fn follow(global: &Global, id: &str) -> Result<Report, Failure> {
    let (_, _, subject) = subject(global, id).await?;
    watch::until_ended(Screen::of(global), &subject, id, global.wait).await
}

#[cfg(test)]
mod tests {
    use crate::cli::{exit::Exit, tests::house::House};

    #[test]
    fn a_note_is_read_by_everybody_and_decides_nothing() {
        let house = House::furnished();
        let proposed = house.kcm(&["--as", "carol", "revoke", "propose", "--tenant", "acme"]).unwrap();
        let id = proposed.json["id"].as_str().unwrap().to_owned();
        let noted = house.kcm(&["proposal", "note", &id, "asked the owner of the key"]).unwrap();
        assert_eq!((&noted.json["state"], &noted.json["notes"][0]["by"]), (&"open".into(), &"demo".into()));
        let shown = house.kcm(&["proposal", "show", &id]).unwrap();
        assert!(shown.text.contains("asked the owner of the key"), "{}", shown.text);
        // What could pass for something else is no text; what says nothing is no note.
        let hidden = house.kcm(&["proposal", "note", &id, "fine\u{202e}"]).unwrap_err();
        assert_eq!(hidden.exit, Exit::Usage, "{hidden}");
        let empty = house.kcm(&["proposal", "note", &id, " "]).unwrap_err();
        assert_eq!(empty.code.as_deref(), Some("empty-note"), "{empty}");
        house.kcm(&["--as", "dave", "proposal", "approve", &id, "--wait", "10ms"]).unwrap();
        let after = house.kcm(&["proposal", "show", &id]).unwrap();
        assert_eq!((&after.json["state"], after.json["notes"].as_array().unwrap().len()), (&"applying".into(), 1));
    }
}
