//! What all actors of governance share: clocks, the roster, the board, the events. No decision is made here.

use std::sync::{Arc, PoisonError, RwLock};

use ledger::Ledger;
use ractor::ActorRef;

use crate::{clock::Clock, desk, events::Events, fleet::Board, roster::Roster};

/// See the module.
pub(crate) struct Shared {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) ledger: Arc<dyn Ledger>,
    pub(crate) roster: Roster,
    pub(crate) board: Board,
    pub(crate) events: Arc<Events>,
    pub(crate) door: RwLock<Option<ActorRef<desk::Msg>>>,
}

impl Shared {
    /// The desk's actor of this moment; none while it restarts.
    pub(crate) fn door(&self) -> Option<ActorRef<desk::Msg>> {
        self.door.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
