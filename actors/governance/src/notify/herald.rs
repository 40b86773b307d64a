//! The herald: reads the news, writes down what is to be told, and has it told. It decides nothing, and nobody who decides waits for it.
//!
//! What stands in the ledger is read from there, after a cursor that is kept in the journal: a restart goes on where the last run was. What
//! stands in no entry (silent regions, leases, the customers' KMS, time running out) comes by the events. A delivery is durable before it is
//! tried, and has the same id whenever it is told.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ledger::{Entry, READ_ROWS_MAX};
use orbital::names::{Channel as Name, Correlation, ProposalId, TenantId};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};
use tokio::sync::oneshot;

use super::{
    hand,
    journal::Journal,
    news::{self, Setting},
    notice::{Delivery, DeliveryFilter, DeliveryState, Notice},
    queue::{Answer, Queue},
    route::route,
};
use crate::{
    error::{Error, Fault},
    events::{Event, Happened},
    shared::Shared,
    supervisor::{Child, Spawned},
    tenant::{self, Portrait, Record, Reply},
};

/// How often it looks for what is due.
const TICK: Duration = Duration::from_millis(200);
/// Entries that are read at once.
const PAGE: usize = 256;
/// What is older than this when it is read is told no more: a day later nobody waits for it.
const NEWS_AGE_MAX_MS: u64 = 24 * 3_600 * 1_000;
/// Without a journal of an earlier run, only what is newer than this: another node may have told the rest.
const FIRST_AGE_MAX_MS: u64 = 15 * 60 * 1_000;
/// How long a tenant's actor that is starting anew is waited for, and between two looks.
const TENANT_WAIT: Duration = Duration::from_secs(5);
const TENANT_LOOK: Duration = Duration::from_millis(50);

pub(crate) enum HeraldMsg {
    /// The ledger grew.
    Grew,
    Heard(Arc<Event>),
    Answered(Box<Delivery>, Answer),
    Tick,
    List(DeliveryFilter, Reply<Vec<Delivery>>),
    Test {
        tenant: TenantId,
        channel: Option<Name>,
        reply: Reply<Result<Vec<Delivery>, Error>>,
    },
    Replay(String, Reply<Result<Delivery, Error>>),
}

impl ractor::Message for HeraldMsg {}

pub(crate) struct State {
    me: ActorRef<HeraldMsg>,
    pub(super) shared: Arc<Shared>,
    journal: Arc<Mutex<Journal>>,
    pub(super) queue: Queue,
    /// Entries up to here were looked at.
    cursor: u64,
    /// A wake is on its way.
    woken: Arc<AtomicBool>,
    /// How many tests were asked for.
    pub(super) tests: u64,
}

pub(crate) struct Herald;

impl Herald {
    pub(crate) fn child(shared: Arc<Shared>) -> Child {
        let spawn = move |parent: ActorCell| -> Spawned {
            let shared = Arc::clone(&shared);
            Box::pin(async move { Ok(Actor::spawn_linked(None, Herald, shared, parent).await?.0.get_cell()) })
        };
        Child { id: "herald".to_owned(), spawn: Arc::new(spawn), lasting: true, carries: false, vital: false }
    }
}

impl Actor for Herald {
    type Msg = HeraldMsg;
    type State = State;
    type Arguments = Arc<Shared>;

    async fn pre_start(&self, me: ActorRef<HeraldMsg>, shared: Arc<Shared>) -> Result<State, ActorProcessingErr> {
        let path = shared.notifying.journal.clone();
        let opened = tokio::task::spawn_blocking(move || Journal::open(path.as_deref())).await?;
        let journal = opened.unwrap_or_else(|why| {
            // Decisions matter more than this memory.
            tracing::error!("the journal of notices does not read ({why}): what an earlier run did not tell is not told. Move the file away, and start again");
            Journal::default()
        });
        let mut state = State {
            me: me.clone(),
            queue: Queue::new(shared.notifying.pace),
            journal: Arc::new(Mutex::new(journal)),
            cursor: 0,
            woken: Arc::new(AtomicBool::new(false)),
            tests: 0,
            shared,
        };
        state.go_on().await?;
        state.listen();
        me.send_interval(TICK, || HeraldMsg::Tick);
        me.cast(HeraldMsg::Grew)?;
        state.shared.set_herald(me);
        Ok(state)
    }

    async fn handle(
        &self,
        _: ActorRef<HeraldMsg>,
        msg: HeraldMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match msg {
            HeraldMsg::Grew => state.grew().await,
            HeraldMsg::Heard(event) => state.heard(&event).await,
            HeraldMsg::Answered(sent, answer) => state.answered(&sent, answer).await,
            HeraldMsg::Tick => {}
            HeraldMsg::List(filter, reply) => tell(reply, state.list(&filter)),
            HeraldMsg::Test { tenant, channel, reply } => tell(reply, state.test(tenant, channel).await),
            HeraldMsg::Replay(id, reply) => tell(reply, state.replay(&id).await),
        }
        state.pump();
        Ok(())
    }
}

/// Whoever asked may be gone.
fn tell<T>(reply: Reply<T>, answer: T) {
    let _gone = reply.send(answer);
}

impl State {
    pub(super) fn journal<T>(&self, act: impl FnOnce(&Journal) -> T) -> T {
        // The journal is whole after every statement of its own.
        act(&self.journal.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes up what an earlier run left.
    async fn go_on(&mut self) -> Result<(), Fault> {
        let now_ms = self.shared.clock.unix_ms();
        let mut left: Vec<Delivery> =
            self.journal(|journal| journal.all().filter(|d| d.state == DeliveryState::Waiting).cloned().collect());
        left.sort_by_key(|delivery| delivery.created_ms);
        for delivery in left {
            if let Err(why) = self.queue.put(delivery.clone(), now_ms) {
                self.keep(None, vec![Delivery { state: DeliveryState::Dropped, why, ..delivery }]).await;
            }
        }
        self.cursor = match self.journal(Journal::cursor) {
            Some(cursor) => cursor,
            None => self.first().await?,
        };
        Ok(())
    }

    /// Where to begin without a journal.
    async fn first(&self) -> Result<u64, Fault> {
        let head = self.shared.ledger.head()?.sequence;
        let from = head.saturating_sub(READ_ROWS_MAX as u64).saturating_add(1);
        let since_ms = self.shared.clock.unix_ms().saturating_sub(FIRST_AGE_MAX_MS);
        let entries = self.entries(from, READ_ROWS_MAX).await?;
        let old = entries.iter().take_while(|entry| entry.at_ms < since_ms).last();
        Ok(old.map_or(from.saturating_sub(1), |entry| entry.sequence))
    }

    async fn entries(&self, from: u64, limit: usize) -> Result<Vec<Entry>, Fault> {
        let ledger = Arc::clone(&self.shared.ledger);
        let read = tokio::task::spawn_blocking(move || ledger.entries(from, limit)).await;
        Ok(read.map_err(|_| Fault::Gone { what: "the reading task" })??)
    }

    /// Brings the events here, as many wakes as one for however many entries.
    fn listen(&self) {
        let (mut events, woken, me) = (self.shared.events.subscribe(None), Arc::clone(&self.woken), self.me.clone());
        tokio::spawn(async move {
            while let Some(event) = events.next().await {
                let told = match &event.happened {
                    Happened::Entry { .. } | Happened::Missed { .. } if woken.swap(true, Ordering::AcqRel) => Ok(()),
                    Happened::Entry { .. } | Happened::Missed { .. } => me.cast(HeraldMsg::Grew),
                    other if news::of_whom(other).is_some() => me.cast(HeraldMsg::Heard(event)),
                    _ => Ok(()),
                };
                if told.is_err() {
                    return; // The herald has ended; the next one listens for itself.
                }
            }
        });
    }

    async fn grew(&mut self) {
        self.woken.store(false, Ordering::Release);
        loop {
            let page = match self.entries(self.cursor.saturating_add(1), PAGE).await {
                Ok(page) => page,
                // The next entry wakes us again.
                Err(why) => return tracing::error!("the ledger could not be read for notices: {why}"),
            };
            let Some(last) = page.last().map(|entry| entry.sequence) else { return };
            let mut found = Vec::new();
            for entry in &page {
                found.extend(self.of_entry(entry).await);
            }
            self.cursor = last;
            self.take_up(Some(last), found).await;
            self.pump();
        }
    }

    /// What an entry becomes.
    async fn of_entry(&self, entry: &Entry) -> Vec<Delivery> {
        let Ok(tenant) = entry.subject.parse::<TenantId>() else { return Vec::new() };
        let record = match Record::from_body(entry.sequence, &entry.body) {
            Ok(record) if news::concerns(&record) => record,
            Ok(_) => return Vec::new(),
            Err(why) => {
                tracing::error!("an entry could not be told: {why}");
                return Vec::new();
            }
        };
        if self.shared.clock.unix_ms().saturating_sub(entry.at_ms) > NEWS_AGE_MAX_MS {
            tracing::warn!(sequence = entry.sequence, kind = entry.kind, "an entry is too old to be told now");
            return Vec::new();
        }
        let Some(portrait) = self.portrait(tenant, record.proposal()).await else { return Vec::new() };
        let correlation = Correlation::new(&entry.correlation).ok();
        let setting = self.setting(tenant, &portrait, entry.at_ms, correlation);
        self.routed(&portrait, news::of_entry(&setting, entry, &record))
    }

    async fn heard(&mut self, event: &Event) {
        let Some((tenant, proposal)) = news::of_whom(&event.happened) else { return };
        let Some(portrait) = self.portrait(tenant, proposal).await else { return };
        let setting = self.setting(tenant, &portrait, event.at_ms, event.correlation.clone());
        let found = self.routed(&portrait, news::of_event(&setting, event));
        self.take_up(None, found).await;
    }

    pub(super) fn setting<'a>(
        &'a self,
        tenant: TenantId,
        portrait: &'a Portrait,
        at_ms: u64,
        correlation: Option<Correlation>,
    ) -> Setting<'a> {
        Setting { tenant, portrait, at_ms, correlation, links: &self.shared.notifying.links }
    }

    pub(super) fn routed(&self, portrait: &Portrait, notice: Option<Notice>) -> Vec<Delivery> {
        let routing = portrait.routing.as_ref().map(|(_, routing)| routing);
        let (channels, now_ms) = (&self.shared.notifying.channels, self.shared.clock.unix_ms());
        notice.map(|notice| route(&notice, routing, channels, now_ms)).unwrap_or_default()
    }

    /// The tenant as its actor tells it. One that is starting anew is waited for; what cannot be told without it is named in the log.
    pub(super) async fn portrait(&self, tenant: TenantId, proposal: Option<&ProposalId>) -> Option<Portrait> {
        let asked = async {
            loop {
                let (reply, answer) = oneshot::channel();
                let actor = self.shared.roster.tenant(tenant);
                let cast =
                    actor.is_some_and(|actor| actor.cast(tenant::Msg::Portrait(proposal.cloned(), reply)).is_ok());
                if let (true, Ok(portrait)) = (cast, answer.await) {
                    return portrait;
                }
                tokio::time::sleep(TENANT_LOOK).await;
            }
        };
        let portrait = tokio::time::timeout(TENANT_WAIT, asked).await.ok();
        if portrait.is_none() {
            tracing::error!(%tenant, ?proposal, "a notice was lost: the tenant's actor did not answer");
        }
        portrait
    }

    /// Makes deliveries durable, and puts them into the queue; what is known already is told already.
    pub(super) async fn take_up(&mut self, cursor: Option<u64>, found: Vec<Delivery>) -> Vec<Delivery> {
        let now_ms = self.shared.clock.unix_ms();
        let mut new: Vec<Delivery> = Vec::new();
        for mut delivery in found {
            let twice = new.iter().any(|other| other.id == delivery.id);
            if twice || self.journal(|journal| journal.get(&delivery.id).is_some()) {
                continue;
            }
            if delivery.state == DeliveryState::Waiting
                && let Err(why) = self.queue.put(delivery.clone(), now_ms)
            {
                (delivery.state, delivery.why) = (DeliveryState::Dropped, why);
            }
            count(&delivery);
            new.push(delivery);
        }
        if !new.is_empty() {
            self.keep(cursor, new.clone()).await;
        }
        new
    }

    /// Writes the journal, off the threads that others run on.
    pub(super) async fn keep(&self, cursor: Option<u64>, deliveries: Vec<Delivery>) {
        let journal = Arc::clone(&self.journal);
        let write = move || journal.lock().unwrap_or_else(PoisonError::into_inner).write(cursor, &deliveries);
        match tokio::task::spawn_blocking(write).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => {
                tracing::error!("the journal of notices could not be written: {why}; they are told all the same")
            }
            Err(why) => tracing::error!("the journal of notices: {why}"),
        }
    }

    /// Tries what is due, each in a task of its own.
    fn pump(&mut self) {
        for delivery in self.queue.due(self.shared.clock.unix_ms()) {
            let (me, shared) = (self.me.clone(), Arc::clone(&self.shared));
            tokio::spawn(async move {
                let (now_ms, pace) = (shared.clock.unix_ms(), shared.notifying.pace);
                let answer = match shared.notifying.channels.0.get(&delivery.channel) {
                    Some(channel) => hand::attempt(channel, &delivery, shared.node.as_str(), now_ms, pace).await,
                    None => Answer::Never { why: format!("the topology has no channel {} any more", delivery.channel) },
                };
                // A herald that has ended left the delivery in its journal.
                let _ended = me.cast(HeraldMsg::Answered(Box::new(delivery), answer));
            });
        }
    }

    async fn answered(&mut self, sent: &Delivery, answer: Answer) {
        let Some(delivery) = self.queue.answered(sent, answer, self.shared.clock.unix_ms(), luck()) else { return };
        let (id, channel, why) = (&delivery.id, &delivery.channel, &delivery.why);
        match delivery.state {
            DeliveryState::Waiting => tracing::debug!(id, %channel, why, "a notice could not be told yet"),
            DeliveryState::Delivered => tracing::debug!(id, %channel, "a notice was told"),
            DeliveryState::Failed | DeliveryState::Dropped => {}
        }
        count(&delivery);
        self.keep(None, vec![delivery]).await;
    }
}

/// Metrics, and a line in the log for what nobody was told.
fn count(delivery: &Delivery) {
    let labels = [("channel", delivery.channel.to_string()), ("state", delivery.state.name().to_owned())];
    metrics::counter!("governance_notices_total", &labels).increment(1);
    if matches!(delivery.state, DeliveryState::Failed | DeliveryState::Dropped) {
        let Delivery { id, channel, why, notice, .. } = delivery;
        tracing::warn!(id, %channel, tenant = %notice.tenant, about = notice.about, why, "a notice was not told; `kcm notify replay` tells it again");
    }
}

/// From 0 to 1. Without a random generator all come at once, which is no danger.
fn luck() -> f64 {
    getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX))
}
