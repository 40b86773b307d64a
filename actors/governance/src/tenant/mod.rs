//! Tenants. `state` is the pure fold of `record`s; `propose`, `answer`, `report` and `level` decide on it; `actor` performs.

mod acknowledged;
mod actor;
mod answer;
mod armed;
mod commit;
mod decision;
mod file;
mod found;
mod founding;
mod hear;
mod lease;
mod level;
mod load;
mod note;
mod pending;
mod portrait;
mod preview;
mod propose;
mod queue;
mod quorum;
mod recall;
mod record;
mod recover;
mod report;
mod rivals;
mod simulate;
mod state;
mod stops;
mod view;

pub(crate) use actor::{Msg, Outcome, Reply, TenantActor};
pub(crate) use decision::{Decision, Facts, Seen};
pub(crate) use file::Proposal;
pub(crate) use found::found;
pub(crate) use founding::PROVISION;
pub(crate) use load::{Loaded, load};
pub(crate) use portrait::{Portrait, Sketch};
pub use preview::{DIFFERENCES_MAX, Proposer};
pub(crate) use queue::Report;
pub(crate) use record::{Record, Voice};
pub(crate) use state::{Grant, Tenant};

#[cfg(test)]
mod tests;
