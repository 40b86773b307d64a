//! Governance: who may decide what, and what is owed to the regions because of it. It never holds key bytes.
//!
//! The way of a decision: [`Desk`] (the one door) → the tenant's actor → a pure decision → one append to the ledger, with the directives
//! that it causes → couriers and the fold. Nothing takes effect before it is durable (DESIGN §8, invariant 5).

mod change;
mod checkpoints;
mod claims;
mod clock;
mod contents;
mod desk;
mod error;
mod events;
mod fleet;
pub mod notify;
mod policies;
mod proposal;
mod roster;
mod scribe;
mod shared;
mod start;
mod supervisor;
mod tenant;
#[cfg(feature = "testing")]
pub mod testing;
mod views;
mod visitor;

pub use checkpoints::{Checkpointing, origin};
pub use clock::{Clock, SystemClock};
pub use contents::{Sought, signer};
pub use desk::{Desk, Watching};
pub use error::{Error, Fault, Refusal};
pub use events::{EVENTS_KEPT, Event, Happened};
pub use fleet::Peer;
pub use start::{Governance, Options};
pub use tenant::{DIFFERENCES_MAX, Proposer};
pub use views::*;
pub use visitor::Vouched;

/// Most proposals that one list shows.
pub const PROPOSALS_LISTED_MAX: usize = 1_000;
/// Most tenants of one deployment: each has an actor of some 10 KiB.
pub const TENANTS_MAX: usize = 10_000;
