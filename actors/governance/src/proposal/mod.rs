//! Proposals: how one lives (`life`), what counts as an answer (`ballot`), and who watches over it while it runs (`watch`).

pub(crate) mod ballot;
mod life;
mod watch;

pub use life::State;
pub(crate) use life::{Event, Ratified, moved, ratify};
pub(crate) use watch::{Watch, WatchArgs, Watched};
