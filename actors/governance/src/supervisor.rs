//! The supervisor: starts every actor of governance and starts it anew when it falls. State comes back from the ledger.
//!
//! A child that falls more than [`FALLS_MAX`] times within [`WINDOW`] takes the supervisor with it, and so the node learns of it
//! ([`crate::Governance::ended`]): a process that is started anew is better than one that pretends.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use tokio::{sync::oneshot, time::Instant};

/// Most falls of one child within [`WINDOW`].
const FALLS_MAX: usize = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// First wait before a child is started anew; it doubles with each fall.
const BACKOFF_FIRST: Duration = Duration::from_millis(5);

pub(crate) type Spawned = Pin<Box<dyn Future<Output = Result<ActorCell, SpawnErr>> + Send>>;

/// How to start a child.
#[derive(Clone)]
pub(crate) struct Child {
    pub(crate) id: String,
    pub(crate) spawn: Arc<dyn Fn(ActorCell) -> Spawned + Send + Sync>,
    /// A child that is never done: started anew also when it stops by itself.
    pub(crate) lasting: bool,
}

pub(crate) enum Msg {
    /// Starts a child, unless one of this id runs. The reply is the reason why it could not.
    Start(Child, Option<oneshot::Sender<Result<(), String>>>),
    Restart(String),
}

impl ractor::Message for Msg {}

#[derive(Default)]
pub(crate) struct State {
    children: HashMap<String, Child>,
    live: HashMap<ActorId, String>,
    falls: HashMap<String, VecDeque<Instant>>,
}

pub(crate) struct Supervisor;

impl Actor for Supervisor {
    type Msg = Msg;
    type State = State;
    type Arguments = ();

    async fn pre_start(&self, _me: ActorRef<Msg>, (): ()) -> Result<State, ActorProcessingErr> {
        Ok(State::default())
    }

    async fn handle(&self, me: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Start(child, reply) => {
                let started = state.start(&me, child).await;
                if let Some(reply) = reply {
                    // Whoever asked may be gone; the child runs all the same.
                    let _gone = reply.send(started);
                }
                Ok(())
            }
            Msg::Restart(id) => match state.spawn(&me, &id).await {
                Ok(()) => Ok(()),
                Err(why) => state.fell(&me, id, &why),
            },
        }
    }

    async fn handle_supervisor_evt(
        &self,
        me: ActorRef<Msg>,
        event: SupervisionEvent,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        let (cell, failed, why) = match event {
            SupervisionEvent::ActorFailed(cell, why) => (cell, true, why.to_string()),
            SupervisionEvent::ActorTerminated(cell, _, why) => (cell, false, why.unwrap_or_default()),
            _ => return Ok(()),
        };
        let Some(id) = state.live.remove(&cell.get_id()) else { return Ok(()) };
        if !failed && state.children.get(&id).is_none_or(|child| !child.lasting) {
            state.children.remove(&id);
            state.falls.remove(&id);
            return Ok(());
        }
        state.fell(&me, id, &why)
    }
}

impl State {
    async fn start(&mut self, me: &ActorRef<Msg>, child: Child) -> Result<(), String> {
        let id = child.id.clone();
        if self.children.contains_key(&id) {
            return Ok(());
        }
        self.children.insert(id.clone(), child);
        let started = self.spawn(me, &id).await;
        if started.is_err() {
            self.children.remove(&id);
        }
        started
    }

    async fn spawn(&mut self, me: &ActorRef<Msg>, id: &str) -> Result<(), String> {
        let Some(child) = self.children.get(id) else { return Ok(()) };
        let cell = (child.spawn)(me.get_cell()).await.map_err(|e| e.to_string())?;
        self.live.insert(cell.get_id(), id.to_owned());
        Ok(())
    }

    fn fell(&mut self, me: &ActorRef<Msg>, id: String, why: &str) -> Result<(), ActorProcessingErr> {
        let now = Instant::now();
        let falls = self.falls.entry(id.clone()).or_default();
        falls.push_back(now);
        falls.retain(|at| now.duration_since(*at) <= WINDOW);
        let count = falls.len();
        tracing::error!(child = id, why, count, "an actor fell and is started anew");
        metrics::counter!("governance_restarts_total").increment(1);
        if count > FALLS_MAX {
            return Err(format!("{id} fell {count} times within {} s, the last time: {why}", WINDOW.as_secs()).into());
        }
        let wait = BACKOFF_FIRST * 2_u32.saturating_pow(u32::try_from(count).unwrap_or(u32::MAX).min(12));
        me.send_after(wait, move || Msg::Restart(id));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    struct Faller;
    enum Fall {
        Panic,
        Stop,
    }
    impl ractor::Message for Fall {}
    impl Actor for Faller {
        type Msg = Fall;
        type State = ();
        type Arguments = Arc<Seen>;
        async fn pre_start(&self, me: ActorRef<Fall>, seen: Arc<Seen>) -> Result<(), ActorProcessingErr> {
            seen.starts.fetch_add(1, Ordering::SeqCst);
            seen.refs.send(me).unwrap();
            Ok(())
        }
        async fn handle(&self, me: ActorRef<Fall>, msg: Fall, (): &mut ()) -> Result<(), ActorProcessingErr> {
            match msg {
                Fall::Panic => panic!("as the test asks"),
                Fall::Stop => me.stop(None),
            }
            Ok(())
        }
    }
    struct Seen {
        starts: AtomicUsize,
        refs: tokio::sync::mpsc::UnboundedSender<ActorRef<Fall>>,
    }

    async fn faller(
        lasting: bool,
    ) -> (ActorRef<Msg>, tokio::task::JoinHandle<()>, tokio::sync::mpsc::UnboundedReceiver<ActorRef<Fall>>) {
        let (root, handle) = Actor::spawn(None, Supervisor, ()).await.unwrap();
        let (refs, told) = tokio::sync::mpsc::unbounded_channel();
        let seen = Arc::new(Seen { starts: AtomicUsize::new(0), refs });
        let spawn = move |parent: ActorCell| -> Spawned {
            let seen = Arc::clone(&seen);
            Box::pin(async move { Ok(Actor::spawn_linked(None, Faller, seen, parent).await?.0.get_cell()) })
        };
        let child = Child { id: "faller".into(), spawn: Arc::new(spawn), lasting };
        root.cast(Msg::Start(child, None)).unwrap();
        (root, handle, told)
    }

    #[tokio::test]
    async fn a_child_that_falls_is_started_anew_until_it_is_too_much() {
        let (_root, handle, mut told) = faller(true).await;
        for _ in 0..=FALLS_MAX {
            told.recv().await.unwrap().cast(Fall::Panic).unwrap();
        }
        handle.await.unwrap();
        assert!(told.recv().await.is_none(), "the supervisor and its specs are gone");
    }

    #[tokio::test]
    async fn a_child_that_is_done_is_forgotten() {
        let (root, _handle, mut told) = faller(false).await;
        let first = told.recv().await.unwrap();
        first.cast(Fall::Stop).unwrap();
        first.wait(None).await.unwrap();
        let (reply, answer) = oneshot::channel();
        let nothing = Child {
            id: "other".into(),
            spawn: Arc::new(|_| Box::pin(async { Err(SpawnErr::ActorAlreadyStarted) })),
            lasting: true,
        };
        root.cast(Msg::Start(nothing, Some(reply))).unwrap();
        assert!(answer.await.unwrap().is_err());
        root.stop(None);
        root.wait(None).await.unwrap();
        assert!(told.try_recv().is_err(), "it was not started a second time");
    }
}
