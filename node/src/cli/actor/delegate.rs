//! Who stands in for whom, and when.

use clap::Args;
use jiff::Timestamp;
use orbital::{
    delegation::Delegation,
    names::{Group, Person},
    trust::TrustRoot,
};

use super::{At, compose, known};
use crate::cli::exit::Failure;

#[derive(Clone, Debug, Args)]
pub struct Delegate {
    /// Who is away
    #[arg(value_name = "WHO")]
    who: Person,
    /// Who signs for them
    #[arg(long, value_name = "WHO", required_unless_present = "end")]
    to: Option<Person>,
    /// In these groups of theirs; in all of them where none is named
    #[arg(long, value_name = "GROUP")]
    group: Vec<Group>,
    /// From when on; now where it is left out
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Until when: decisions whose approvals are collected within these dates count
    #[arg(long, value_name = "TIME", required_unless_present = "end")]
    until: Option<Timestamp>,
    /// Nobody stands in for them any more
    #[arg(long, conflicts_with_all = ["to", "group", "since", "until"])]
    end: bool,
    #[command(flatten)]
    pub(super) at: At,
}

impl Delegate {
    /// The trust root with what was wished, or why it cannot be so.
    pub(super) fn apply(&self, next: &mut TrustRoot) -> Result<(), Failure> {
        let from = self.who.clone();
        let Some((to, until)) = self.to.clone().zip(self.until) else {
            next.delegations.retain(|d| d.from != from);
            return Ok(());
        };
        let actor = known(next, &from)?;
        let groups = if self.group.is_empty() { actor.groups.clone() } else { self.group.iter().cloned().collect() };
        let seconds = |time: Timestamp| u64::try_from(time.as_second()).unwrap_or(0);
        let (since, until) = (self.since.map_or_else(compose::now, seconds), seconds(until));
        let delegation = Delegation { from, to, groups, since, until };
        let mut with = next.clone();
        with.delegations = [delegation.clone()].into();
        with.check().map_err(|why| {
            Failure::usage("this cannot be delegated so").because(why).fix("correct the people, groups or dates")
        })?;
        next.delegations.insert(delegation);
        Ok(())
    }
}
