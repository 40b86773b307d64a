//! The supervisor: starts every actor of governance and starts it anew when it falls. State comes back from the ledger.
//!
//! A child that falls more than [`FALLS_MAX`] times within [`WINDOW`] takes the supervisor with it, and so the node learns of it
//! ([`crate::Governance::ended`]): a process that is started anew is better than one that pretends. Only one that decides and carries nothing
//! may be missing.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};
use tokio::{sync::oneshot, task::JoinSet, time::Instant};

/// Most falls of one child within [`WINDOW`].
const FALLS_MAX: usize = 10;
const WINDOW: Duration = Duration::from_secs(60);
/// How long a child may take to end what it is at.
const END_WAIT: Duration = Duration::from_secs(2);
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
    /// It carries what the others decide, and so it ends after them.
    pub(crate) carries: bool,
    /// Governance is none without it. One that is not vital is given up when it falls too often, and takes nobody with it.
    pub(crate) vital: bool,
}

pub(crate) enum Msg {
    /// Starts a child, unless one of this id runs. The reply is the reason why it could not.
    Start(Child, Option<oneshot::Sender<Result<(), String>>>),
    Restart(String),
    /// Ends those that carry, or those that do not, and starts none of them anew. The reply says that they have ended.
    End {
        carrying: bool,
        reply: oneshot::Sender<()>,
    },
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
            Msg::End { carrying, reply } => {
                state.end(&me, carrying).await;
                let _gone = reply.send(());
                Ok(())
            }
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

    /// Each ends what it is at first; one that carries ends what it was told, too.
    async fn end(&mut self, me: &ActorRef<Msg>, carrying: bool) {
        let is_one = |cell: &ActorCell| {
            let child = self.live.get(&cell.get_id()).and_then(|id| self.children.get(id));
            child.is_some_and(|child| child.carries == carrying)
        };
        let ending: Vec<_> = me.get_children().into_iter().filter(is_one).collect();
        // Who is not known is not started anew.
        self.children.retain(|_, child| child.carries != carrying);
        let mut ended = JoinSet::new();
        for cell in ending {
            ended.spawn(async move {
                if carrying {
                    cell.drain_and_wait(Some(END_WAIT)).await.is_ok()
                } else {
                    cell.stop_and_wait(None, Some(END_WAIT)).await.is_ok()
                }
            });
        }
        let late = ended.join_all().await.into_iter().filter(|in_time| !in_time).count();
        if late > 0 {
            tracing::warn!(late, "actors did not end in {} s and are cut off", END_WAIT.as_secs());
        }
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
        if count > FALLS_MAX && self.children.get(&id).is_some_and(|child| !child.vital) {
            tracing::error!(
                child = id,
                "it fell {count} times within {} s and is given up until the process starts anew",
                WINDOW.as_secs()
            );
            self.children.remove(&id);
            return Ok(());
        }
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
        /// Is at this until it is told.
        Wait(oneshot::Receiver<()>),
        Work,
    }
    impl ractor::Message for Fall {}
    impl Actor for Faller {
        type Msg = Fall;
        type State = Arc<Seen>;
        type Arguments = Arc<Seen>;
        async fn pre_start(&self, me: ActorRef<Fall>, seen: Arc<Seen>) -> Result<Arc<Seen>, ActorProcessingErr> {
            seen.starts.fetch_add(1, Ordering::SeqCst);
            seen.refs.send(me).unwrap();
            Ok(seen)
        }
        async fn handle(&self, me: ActorRef<Fall>, msg: Fall, seen: &mut Arc<Seen>) -> Result<(), ActorProcessingErr> {
            match msg {
                Fall::Panic => panic!("as the test asks"),
                Fall::Stop => me.stop(None),
                Fall::Wait(told) => told.await.unwrap(),
                Fall::Work => _ = seen.worked.fetch_add(1, Ordering::SeqCst),
            }
            Ok(())
        }
    }
    struct Seen {
        starts: AtomicUsize,
        worked: AtomicUsize,
        refs: tokio::sync::mpsc::UnboundedSender<ActorRef<Fall>>,
    }

    type Told = tokio::sync::mpsc::UnboundedReceiver<ActorRef<Fall>>;

    fn seen() -> (Arc<Seen>, Told) {
        let (refs, told) = tokio::sync::mpsc::unbounded_channel();
        (Arc::new(Seen { starts: AtomicUsize::new(0), worked: AtomicUsize::new(0), refs }), told)
    }

    fn child(id: &str, seen: &Arc<Seen>, lasting: bool, carries: bool) -> Child {
        let seen = Arc::clone(seen);
        let spawn = move |parent: ActorCell| -> Spawned {
            let seen = Arc::clone(&seen);
            Box::pin(async move { Ok(Actor::spawn_linked(None, Faller, seen, parent).await?.0.get_cell()) })
        };
        Child { id: id.into(), spawn: Arc::new(spawn), lasting, carries, vital: true }
    }

    async fn faller(lasting: bool) -> (ActorRef<Msg>, tokio::task::JoinHandle<()>, Told) {
        let (root, handle) = Actor::spawn(None, Supervisor, ()).await.unwrap();
        let (seen, told) = seen();
        root.cast(Msg::Start(child("faller", &seen, lasting, false), None)).unwrap();
        (root, handle, told)
    }

    async fn end(root: &ActorRef<Msg>, carrying: bool) {
        let (reply, ended) = oneshot::channel();
        root.cast(Msg::End { carrying, reply }).unwrap();
        ended.await.unwrap();
    }

    #[tokio::test]
    async fn who_carries_ends_last_with_all_that_was_given_and_nobody_is_started_anew() {
        let (root, handle) = Actor::spawn(None, Supervisor, ()).await.unwrap();
        let ((decider, mut deciders), (carrier, mut carriers)) = (seen(), seen());
        root.cast(Msg::Start(child("decider", &decider, true, false), None)).unwrap();
        root.cast(Msg::Start(child("carrier", &carrier, true, true), None)).unwrap();
        let (_, given) = (deciders.recv().await.unwrap(), carriers.recv().await.unwrap());
        end(&root, false).await;
        root.cast(Msg::Restart("decider".into())).unwrap();
        // It is still there, busy, and is given what the others decided last.
        let (go_on, told) = oneshot::channel();
        given.cast(Fall::Wait(told)).unwrap();
        for _ in 0..100 {
            given.cast(Fall::Work).unwrap();
        }
        let ending = tokio::spawn({
            let root = root.clone();
            async move { end(&root, true).await }
        });
        while given.get_status() == ractor::ActorStatus::Running && !ending.is_finished() {
            tokio::task::yield_now().await;
        }
        go_on.send(()).unwrap();
        ending.await.unwrap();
        assert_eq!(carrier.worked.load(Ordering::SeqCst), 100);
        root.stop(None);
        handle.await.unwrap();
        assert_eq!((decider.starts.load(Ordering::SeqCst), carrier.starts.load(Ordering::SeqCst)), (1, 1));
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
    async fn one_that_is_not_vital_is_given_up_and_the_others_go_on() {
        let (root, _handle) = Actor::spawn(None, Supervisor, ()).await.unwrap();
        let ((theirs, mut extras), (vital, mut vitals)) = (seen(), seen());
        let extra = Child { vital: false, ..child("extra", &theirs, true, false) };
        drop(theirs);
        root.cast(Msg::Start(extra, None)).unwrap();
        root.cast(Msg::Start(child("vital", &vital, true, false), None)).unwrap();
        let other = vitals.recv().await.unwrap();
        for _ in 0..=FALLS_MAX {
            extras.recv().await.unwrap().cast(Fall::Panic).unwrap();
        }
        assert!(extras.recv().await.is_none(), "it is forgotten, and not started again");
        other.cast(Fall::Work).unwrap();
        end(&root, false).await;
        assert_eq!(root.get_status(), ractor::ActorStatus::Running);
        root.stop(None);
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
            carries: false,
            vital: true,
        };
        root.cast(Msg::Start(nothing, Some(reply))).unwrap();
        assert!(answer.await.unwrap().is_err());
        root.stop(None);
        root.wait(None).await.unwrap();
        assert!(told.try_recv().is_err(), "it was not started a second time");
    }
}
