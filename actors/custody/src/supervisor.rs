//! Supervisor of a region's actors: the key cache and the receiver of each lane.
//!
//! A key cache that falls is put up anew: the table keeps its keys, and each tenant's link is kept beside the actor. A receiver that falls
//! takes the region's process with it: half a lane would be worse than a restart, which comes back sealed and asks again. So does a cache
//! that falls too often.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use tokio::task::JoinHandle;

use crate::key_cache::{KeyCache, Parts};

/// Falls of the key cache within [`WINDOW`] that are mended; one more ends the region's process.
pub const FALLS_MAX: usize = 5;
/// How long a fall counts.
pub const WINDOW: Duration = Duration::from_secs(60);

/// What the supervisor is told.
enum Msg {
    /// This cache, and its successors, from now on.
    Watch(KeyCache),
}
impl ractor::Message for Msg {}

struct Root;

struct State {
    cache: Option<KeyCache>,
    falls: VecDeque<Instant>,
}

/// A running supervisor.
pub struct Supervisor {
    root: ActorRef<Msg>,
    ended: JoinHandle<()>,
}

impl Supervisor {
    pub async fn start() -> Result<Self, SpawnErr> {
        let (root, ended) = Actor::spawn(None, Root, ()).await?;
        Ok(Self { root, ended })
    }

    /// For actors that are spawned under it.
    pub fn cell(&self) -> ActorCell {
        self.root.get_cell()
    }

    /// Starts the region's key cache under supervision.
    pub async fn key_cache(&self, parts: Parts) -> Result<KeyCache, SpawnErr> {
        let cache = KeyCache::start(None, parts, Some(self.cell())).await?;
        self.root.cast(Msg::Watch(cache.clone())).map_err(|e| SpawnErr::StartupFailed(e.to_string().into()))?;
        Ok(cache)
    }

    /// Returns when something has fallen that cannot be mended: the process should end.
    pub async fn fell(self) {
        if let Err(why) = self.ended.await {
            tracing::error!("the supervisor's task ended badly: {why}");
        }
    }
}

impl State {
    /// Whether one more fall may be mended.
    fn may_mend(&mut self, now: Instant) -> bool {
        self.falls.push_back(now);
        while self.falls.front().is_some_and(|fall| now.saturating_duration_since(*fall) > WINDOW) {
            self.falls.pop_front();
        }
        self.falls.len() <= FALLS_MAX
    }
}

impl Actor for Root {
    type Msg = Msg;
    type State = State;
    type Arguments = ();

    async fn pre_start(&self, _: ActorRef<Msg>, (): ()) -> Result<State, ActorProcessingErr> {
        Ok(State { cache: None, falls: VecDeque::new() })
    }

    async fn handle(&self, _: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        let Msg::Watch(cache) = msg;
        state.cache = Some(cache);
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<Msg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (fallen, why) = match event {
            SupervisionEvent::ActorFailed(cell, why) => (cell, why.to_string()),
            SupervisionEvent::ActorTerminated(cell, _, why) => {
                (cell, why.unwrap_or_else(|| "it was stopped".to_owned()))
            }
            _ => return Ok(()),
        };
        let ours = |cache: &&KeyCache| cache.actor().is_some_and(|actor| actor.get_id() == fallen.get_id());
        let Some(cache) = state.cache.as_ref().filter(ours).cloned() else {
            return Err(format!("a receiver has fallen: {why}").into());
        };
        if !state.may_mend(Instant::now()) {
            return Err(format!("the key cache has fallen {FALLS_MAX} times in {} s: {why}", WINDOW.as_secs()).into());
        }
        tracing::error!("the key cache has fallen and is put up anew: {why}");
        metrics::counter!("custody_restarts_total").increment(1);
        cache.revive(None, Some(me.get_cell())).await?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn falls_are_mended_until_they_come_too_often() {
        let mut state = State { cache: None, falls: VecDeque::new() };
        let start = Instant::now();
        assert!((0..FALLS_MAX).all(|_| state.may_mend(start)));
        assert!(!state.may_mend(start));
        assert!(state.may_mend(start + WINDOW + Duration::from_millis(1)));
    }
}
