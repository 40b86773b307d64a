//! Proposals: how one lives (`life`), what counts as an answer (`ballot`), and who watches over it while it is open (`watch`).

mod life;

pub use life::{Event, Ratified, State, moved, ratify};
