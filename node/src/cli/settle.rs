//! `kcm trust settle`: the people of one branch of a forked trust declare the other void (PROTOCOL §3, [`orbital::fork`]).
//!
//! Which branch stands is for people to find out, with `kcm trust compare` and with each other; governance is not asked. What is proposed
//! is a ChangeActors that changes nobody: it stands upon the branch that governance holds, and names the other by the digest given.

use clap::Args;
use orbital::{change::Action, names::Digest};

use super::{
    Global,
    compose::{self, Subject, Wish},
    exit::{Failure, Report},
};

#[derive(Clone, Debug, Args)]
#[command(
    after_help = "Example: kcm --as erin trust settle --tenant acme --void kGkT02jo2jX3l0Mm3xw_1wapLo8Aq-9G17xJMr2UPic --reason forged"
)]
pub struct Settle {
    /// Pinned name, or id
    #[arg(long, value_name = "TENANT", allow_hyphen_values = true)]
    tenant: String,
    /// The trust version that is not to stand, as `kcm trust compare` and `kcm status` name it
    #[arg(long, value_name = "DIGEST", required = true, allow_hyphen_values = true)]
    void: Vec<Digest>,
    /// Why, for those who approve
    #[arg(long, value_name = "TEXT", default_value = "")]
    reason: String,
}

pub(crate) async fn perform(global: &Global, asked: Settle) -> Result<Report, Failure> {
    let subject = Subject::of(global, &asked.tenant).await?;
    let mut next = subject.successor();
    next.void.extend(asked.void);
    if next.void == subject.trust().void {
        return Err(Failure::usage("nothing would change").because("the trust root declares them void already"));
    }
    let action = Action::ChangeActors { next: Box::new(next) };
    compose::propose(global, &subject, Wish { action, regions: None, reason: &asked.reason }).await
}
