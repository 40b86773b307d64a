//! `kcm lease`: how long a region serves a tenant on by itself, cut off from governance or from the customer's KMS.

use std::time::Duration;

use clap::{Subcommand, ValueEnum};
use orbital::{change::Action, sign::PublicKey, trust::L1Resume};
use serde_json::json;

use super::{
    Global,
    compose::{self, Subject, Wish},
    duration,
    exit::{Failure, Report},
    plain,
};

#[derive(Clone, Debug, Subcommand)]
pub enum LeaseCommand {
    /// Show the terms of a tenant
    #[command(after_help = "Example: kcm lease show --tenant acme")]
    Show {
        /// Pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
    },
    /// Propose other terms
    #[command(after_help = "Example: kcm --as alice lease set --for 1h --grace 15m --tenant acme")]
    Set {
        /// How long a region serves on without governance, such as 1h, or unlimited
        #[arg(id = "for", long = "for", value_name = "DURATION", value_parser = term)]
        length: Option<u64>,
        /// How long it serves on without the customer's KMS, such as 15m, or unlimited
        #[arg(long, value_name = "DURATION", value_parser = term)]
        grace: Option<u64>,
        /// What resumes the tenant after the customer's KMS has refused and allows again
        #[arg(long, value_enum)]
        resume: Option<Resume>,
        /// The public key that renews from then on: whoever holds it can let the tenant end
        #[arg(long, value_name = "KEY", allow_hyphen_values = true)]
        renewed_by: Option<PublicKey>,
        /// Pinned name, or id
        #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
        tenant: String,
        /// Why, for those who approve
        #[arg(long, value_name = "TEXT", default_value = "")]
        reason: String,
    },
}

/// What resumes a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Resume {
    /// The region's own probe
    Probe,
    /// A decision of the tenant's people
    Quorum,
}

/// Whole seconds; 0 says unlimited.
fn term(text: &str) -> Result<u64, String> {
    if text == "unlimited" {
        return Ok(0);
    }
    match duration::parse(text).map(|length: Duration| length.as_secs()) {
        Ok(0) => Err(format!("`{text}` is less than a second; write `unlimited` if that is meant")),
        other => other,
    }
}

pub(crate) async fn perform(global: &Global, command: LeaseCommand) -> Result<Report, Failure> {
    match command {
        LeaseCommand::Show { tenant } => {
            let subject = Subject::of(global, &tenant).await?;
            let trust = subject.trust();
            let sentences = plain::terms(trust).map(|term| format!("A region: {term}."));
            Ok(Report::new(json!({ "lease": trust.lease, "l1": trust.l1 }), sentences.join("\n")))
        }
        LeaseCommand::Set { length, grace, resume, renewed_by, tenant, reason } => {
            let subject = Subject::of(global, &tenant).await?;
            let mut next = subject.successor();
            next.lease.seconds = length.unwrap_or(next.lease.seconds);
            next.lease.key = renewed_by.unwrap_or(next.lease.key);
            next.l1.grace = grace.unwrap_or(next.l1.grace);
            next.l1.resume = match resume {
                Some(Resume::Probe) => L1Resume::Probe,
                Some(Resume::Quorum) => L1Resume::Quorum,
                None => next.l1.resume,
            };
            let now = subject.trust();
            if (&next.lease, &next.l1) == (&now.lease, &now.l1) {
                return Err(Failure::usage("nothing would change")
                    .because("the tenant has these terms already")
                    .fix("see `kcm lease show`; name what is to be other"));
            }
            let action = Action::ChangeLease { next: Box::new(next) };
            compose::propose(global, &subject, Wish { action, regions: None, reason: &reason }).await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{exit::Exit, tests::house::House};

    #[test]
    fn a_term_has_a_unit_or_no_end() {
        assert_eq!(["unlimited", "90s", "1h"].map(term), [Ok(0), Ok(90), Ok(3_600)]);
        for bad in ["0s", "500ms", "60", "never"] {
            assert!(term(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn terms_are_shown_proposed_and_read_before_they_are_signed() {
        let house = House::furnished();
        let shown = house.kcm(&["lease", "show", "--tenant", "acme"]).unwrap().text;
        assert!(shown.contains("cut off from governance it serves on for 3600 s"), "{shown}");
        let set = |words: &[&str]| {
            let all = [&["--as", "alice", "lease", "set", "--tenant", "acme"], words].concat();
            house.kcm(&all)
        };
        assert!(set(&["--for", "1h"]).unwrap_err().what.contains("nothing would change"));
        // Both without end: nothing would ever stop a region that is cut off.
        assert_eq!(set(&["--for", "unlimited"]).unwrap_err().exit, Exit::Usage);
        let proposed = set(&["--for", "15m", "--resume", "quorum"]).unwrap();
        let id = proposed.json["id"].as_str().unwrap();
        let shown = house.kcm(&["proposal", "show", id]).unwrap().text;
        for line in [
            "LEASE",
            "- cut off from governance it serves on for 3600 s",
            "+ cut off from governance it serves on for 900 s",
            "+ after a refusal of L1 a quorum resumes it",
        ] {
            assert!(shown.contains(line), "{line}: {shown}");
        }
        house.kcm(&["--as", "bob", "proposal", "approve", id, "--wait", "10ms"]).unwrap();
        let shown = house.kcm(&["lease", "show", "--tenant", "acme"]).unwrap();
        assert_eq!(shown.json["lease"]["seconds"], "900");
    }
}
