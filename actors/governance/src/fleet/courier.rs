//! The courier: brings one region what it is owed in one lane, and takes in what it answers. The outbox decides what is sent when.
//!
//! Stateless across restarts: rows come from the ledger, the wire from its port. It never waits for the ledger and decides nothing
//! about tenants; the critical lane's couriers run in a runtime of their own.

use std::{collections::HashMap, sync::Arc, time::Duration};

use ledger::{Ledger, Owed, READ_ROWS_MAX};
use orbital::{
    certificate::Certificate,
    change::Change,
    directive::Directive,
    frame::{Expect, Frame, Head},
    hello::Hello,
    lane::Lane,
    names::{Correlation, Digest, TenantId},
    outbox::{Effect, Event, Outbox, RETRY_FIRST_MS, Row},
    report::{Body, Report, SyncAck},
};
use ractor::{Actor, ActorProcessingErr, ActorRef};

use super::{Peer, Port, renewals::Renewals};
use crate::{events::Happened, shared::Shared, tenant};

/// How often each lane says that it is there.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// Ticks between two writings of the gauges.
const TICKS_PER_GAUGE: u64 = 10;

pub(crate) enum CourierMsg {
    /// The ledger owes the region this.
    Owed(Arc<Owed>),
    /// The ledger has the region's answer to this directive.
    Settled(Digest),
    /// The port has another wire.
    LinkUp,
    LinkDown,
    /// A frame came in, at this monotonic moment.
    Received {
        bytes: Vec<u8>,
        received_us: u64,
    },
    /// A renewal, or a stop that the region told us of: sent once, in its turn, since the region asks again.
    Once(Directive),
    Tick,
    Beat,
}

impl ractor::Message for CourierMsg {}

pub(crate) struct CourierArgs {
    pub(crate) shared: Arc<Shared>,
    pub(crate) peer: Peer,
    pub(crate) lane: Lane,
}

pub(crate) struct State {
    shared: Arc<Shared>,
    peer: Peer,
    lane: Lane,
    expect: Expect,
    outbox: Outbox,
    rows: HashMap<u64, Arc<Owed>>,
    /// Of the region; a frame of an older one is of a run that is over.
    incarnation: u64,
    /// When the newest Hello was said, by the clock of that run of the region; a link that is up anew counts anew.
    said_ms: u64,
    renewals: Renewals,
    connected: bool,
    ticks: u64,
}

pub(crate) struct Courier;

impl Actor for Courier {
    type Msg = CourierMsg;
    type State = State;
    type Arguments = CourierArgs;

    async fn pre_start(&self, me: ActorRef<CourierMsg>, args: CourierArgs) -> Result<State, ActorProcessingErr> {
        let mut state = State::new(args);
        // In this order: what is appended from now on comes by mailbox, what was before is read.
        state.port(|port| port.enter(me.clone()));
        let (ledger, region, lane) = (Arc::clone(&state.shared.ledger), state.peer.region.to_string(), state.lane);
        let rows = tokio::task::spawn_blocking(move || unsettled(ledger.as_ref(), &region, lane)).await??;
        for row in rows {
            state.owed(Arc::new(row));
        }
        me.cast(CourierMsg::LinkUp)?;
        me.send_interval(Duration::from_millis(RETRY_FIRST_MS), || CourierMsg::Tick);
        me.send_interval(HEARTBEAT, || CourierMsg::Beat);
        Ok(state)
    }

    async fn handle(
        &self,
        _me: ActorRef<CourierMsg>,
        msg: CourierMsg,
        state: &mut State,
    ) -> Result<(), ActorProcessingErr> {
        match msg {
            CourierMsg::Owed(row) => state.owed(row),
            CourierMsg::Settled(digest) => state.step(Event::Acknowledged(digest)),
            CourierMsg::LinkUp => state.link_up(),
            CourierMsg::LinkDown => state.link_down(),
            CourierMsg::Received { bytes, received_us } => state.received(&bytes, received_us),
            CourierMsg::Once(directive) => state.once(directive),
            CourierMsg::Tick => state.tick(),
            CourierMsg::Beat => state.send(0, Body::Heartbeat),
        }
        Ok(())
    }
}

/// Every row that the region has not answered, in order.
fn unsettled(ledger: &dyn Ledger, region: &str, lane: Lane) -> Result<Vec<Owed>, ledger::LedgerError> {
    let mut rows: Vec<Owed> = Vec::new();
    loop {
        let after = rows.last().map_or(0, |row| row.sequence);
        let page = ledger.owed(region, lane.number(), after, READ_ROWS_MAX)?;
        if page.is_empty() {
            return Ok(rows);
        }
        rows.extend(page);
    }
}

impl State {
    fn new(args: CourierArgs) -> Self {
        let CourierArgs { shared, peer, lane } = args;
        let expect = Expect {
            deployment: shared.deployment.clone(),
            sender: peer.node.clone(),
            receiver: shared.node.clone(),
            lane,
            key: peer.frame_public,
        };
        let outbox = Outbox::new(lane);
        Self {
            shared,
            peer,
            lane,
            expect,
            outbox,
            rows: HashMap::new(),
            incarnation: 0,
            said_ms: 0,
            renewals: Renewals::default(),
            connected: false,
            ticks: 0,
        }
    }

    fn port<T>(&self, act: impl FnOnce(&Port) -> T) -> Option<T> {
        self.shared.ports.port(&self.peer.region, self.lane).map(act)
    }

    fn owed(&mut self, row: Arc<Owed>) {
        let event = Event::Owed(Row {
            id: row.id,
            sequence: row.sequence,
            digest: Digest(row.digest),
            created_ms: row.created_ms,
        });
        self.rows.insert(row.id, row);
        self.step(event);
        let depth = self.outbox.depth();
        self.shared.board.lane(&self.peer.region, self.lane, |lane| lane.depth = Some(depth));
    }

    fn step(&mut self, event: Event) {
        let now_ms = self.shared.clock.unix_ms();
        for effect in self.outbox.step(event, now_ms) {
            match effect {
                Effect::Send { id, sequence, base: _ } => self.send_row(id, sequence),
                Effect::Settle { id, digest: _ } => _ = self.rows.remove(&id),
                Effect::Stalled { id, waited_ms } => self.stalled(id, waited_ms),
            }
        }
    }

    fn send_row(&mut self, id: u64, sequence: u64) {
        let Some(row) = self.rows.get(&id) else { return };
        let correlation = Correlation::new(&row.correlation).or_else(|_| Correlation::new("unknown"));
        let Ok(correlation) = correlation else { return };
        let body = Body::Directive { correlation, decided_ms: row.created_ms, directive: row.body.clone() };
        self.send(sequence, body);
    }

    /// Seals and sends. A wire that is closed ends the link here; the transport's `link_up` brings another.
    fn send(&mut self, sequence: u64, body: Body) {
        let Some(wire) = self.port(Port::wire).flatten().filter(|_| self.connected) else { return };
        let head = Head {
            deployment: self.shared.deployment.clone(),
            sender: self.shared.node.clone(),
            receiver: self.peer.node.clone(),
            lane: self.lane,
            incarnation: self.shared.incarnation,
            term: self.shared.term,
            sequence,
            base: self.outbox.base(),
        };
        match (Frame { head, body }).seal(&self.shared.frame_key) {
            Ok(frame) => {
                if wire.send(frame).is_err() {
                    self.link_down();
                }
            }
            Err(e) => tracing::error!(region = %self.peer.region, sequence, "a frame could not be written: {e}"),
        }
    }

    fn once(&mut self, directive: Directive) {
        if !self.renewals.put(directive) {
            tracing::warn!(region = %self.peer.region, lane = %self.lane, "too many answers to a region's Hellos wait; one was dropped, it asks again");
        }
        self.renew();
    }

    fn renew(&mut self) {
        while let Some(renewal) = self.renewals.next() {
            self.send_once(&renewal);
        }
    }

    fn send_once(&mut self, directive: &Directive) {
        let (correlation, encoded) = (Correlation::new(directive.name()), directive.encode());
        if let (Ok(correlation), Ok(directive)) = (correlation, encoded) {
            let decided_ms = self.shared.clock.unix_ms();
            self.send(0, Body::Directive { correlation, decided_ms, directive });
        }
    }

    fn link_up(&mut self) {
        if self.port(Port::wire).flatten().is_none() {
            return;
        }
        if !self.connected {
            (self.connected, self.said_ms) = (true, 0);
            self.tell(
                None,
                Happened::Connected { region: self.peer.region.clone(), node: self.peer.node.clone(), lane: self.lane },
            );
        }
        self.show();
        self.step(Event::Connected);
    }

    fn link_down(&mut self) {
        if std::mem::take(&mut self.connected) {
            self.tell(
                None,
                Happened::Disconnected {
                    region: self.peer.region.clone(),
                    node: self.peer.node.clone(),
                    lane: self.lane,
                },
            );
        }
        self.show();
        self.outbox.step(Event::Disconnected, self.shared.clock.unix_ms());
    }

    fn tick(&mut self) {
        self.step(Event::Tick);
        self.renewals.next_turn();
        self.renew();
        self.show();
        self.ticks = self.ticks.wrapping_add(1);
        if self.ticks.is_multiple_of(TICKS_PER_GAUGE) {
            self.gauge();
            self.leases();
        }
    }

    fn show(&self) {
        let now_ms = self.shared.clock.unix_ms();
        let (oldest, depth) = (self.outbox.oldest_ms(now_ms), self.outbox.depth());
        self.shared.board.lane(&self.peer.region, self.lane, |lane| {
            lane.connected = self.connected;
            lane.oldest_unacknowledged_ms = oldest;
            lane.depth = Some(depth);
            lane.stalled = oldest.is_some_and(|ms| ms >= orbital::outbox::STALLED_AFTER_MS);
        });
    }

    /// Tells of leases that are about to end here, by one of the two lanes.
    fn leases(&self) {
        if self.lane == Lane::Critical {
            return;
        }
        let region = &self.peer.region;
        for (tenant, left_s) in self.shared.board.ending(region, self.shared.clock.unix_ms()) {
            tracing::warn!(%tenant, %region, left_s, "a lease was not renewed and is about to end");
            self.tell(None, Happened::LeaseEnding { tenant, region: region.clone(), left_s });
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "gauges are floating point; milliseconds of an age fit")]
    fn gauge(&self) {
        let labels = [("region", self.peer.region.to_string()), ("lane", self.lane.label().to_owned())];
        let now_ms = self.shared.clock.unix_ms();
        let oldest_ms = self.outbox.oldest_ms(now_ms).unwrap_or(0);
        let oldest = oldest_ms as f64 / 1_000.0;
        metrics::gauge!("orbital_oldest_unacknowledged_seconds", &labels).set(oldest);
        metrics::gauge!("orbital_depth", &labels).set(self.outbox.depth() as f64);
        metrics::gauge!("orbital_connected", &labels).set(f64::from(u8::from(self.connected)));
        // A region that is away says nothing: it lacks at least what it is owed.
        let lag = self.shared.board.lag_ms(&self.peer.region, now_ms).max(oldest_ms) as f64 / 1_000.0;
        metrics::gauge!("orbital_reconciliation_lag_seconds", &labels).set(lag);
    }

    fn stalled(&self, id: u64, waited_ms: u64) {
        let (region, lane) = (self.peer.region.clone(), self.lane);
        let row = self.rows.get(&id);
        let (directive, correlation) =
            row.map_or((Digest([0; 32]), ""), |row| (Digest(row.digest), row.correlation.as_str()));
        tracing::warn!(%region, %lane, %directive, correlation, waited_ms, "a directive waits for its acknowledgement");
        metrics::counter!("orbital_stalled_total", "region" => region.to_string(), "lane" => lane.label()).increment(1);
        self.tell(Correlation::new(correlation).ok(), Happened::Stalled { region, lane, directive, waited_ms });
    }

    fn tell(&self, correlation: Option<Correlation>, happened: Happened) {
        self.shared.events.tell(self.shared.clock.unix_ms(), correlation, happened);
    }

    fn received(&mut self, bytes: &[u8], received_us: u64) {
        match Frame::open(bytes, &self.expect) {
            Ok(frame) if frame.head.incarnation < self.incarnation => self.refused("of an earlier run of its sender"),
            Ok(frame) => self.opened(frame, received_us),
            Err(e) => self.refused(&e.to_string()),
        }
    }

    fn refused(&self, why: &str) {
        tracing::warn!(region = %self.peer.region, lane = %self.lane, why, "a frame was refused");
        let labels = [("region", self.peer.region.to_string()), ("lane", self.lane.label().to_owned())];
        metrics::counter!("orbital_frames_refused_total", &labels).increment(1);
    }

    fn opened(&mut self, frame: Frame, received_us: u64) {
        if frame.head.incarnation > self.incarnation {
            (self.incarnation, self.said_ms) = (frame.head.incarnation, 0);
            self.shared.board.began(&self.peer.region, self.incarnation);
        }
        let heard_ms = Some(self.shared.clock.unix_ms());
        self.shared.board.lane(&self.peer.region, self.lane, |lane| lane.heard_ms = heard_ms);
        let report = match frame.body {
            Body::Heartbeat => return,
            Body::Directive { .. } => return self.refused("a region sends no directives"),
            Body::Report { report, .. } => Report::decode(&report),
        };
        match report {
            Ok(Report::SyncAck(ack)) => match SyncAck::peek(&ack) {
                Ok(read) => self.to_tenant(read.tenant, tenant::Report::Acknowledged { ack, received_us }),
                Err(e) => self.refused(&e.to_string()),
            },
            Ok(Report::Probed(probed)) => self.to_tenant(probed.tenant, tenant::Report::Probed(probed)),
            Ok(Report::Stopped(certificate)) => self.certified(certificate, tenant::Report::Stopped),
            Ok(Report::Branch(certificate)) => self.certified(certificate, tenant::Report::Branch),
            Ok(Report::Recalled(certificate)) => self.certified(certificate, tenant::Report::Recalled),
            Ok(Report::Hello(hello)) if hello.said_ms < self.said_ms => self.refused("a Hello older than the last one"),
            Ok(Report::Hello(hello)) => self.hello(hello),
            Err(e) => self.refused(&e.to_string()),
        }
    }

    /// Every tenant of the span hears what was said of it; the others hear nothing, which says nothing.
    fn hello(&mut self, mut hello: Hello) {
        self.said_ms = hello.said_ms;
        let region = &self.peer.region;
        self.shared.board.hello(region, &hello, self.shared.clock.unix_ms());
        for (id, actor) in self.shared.roster.tenants_of(region, hello.span) {
            if !hello.unsaid.contains(&id) {
                self.hand_over(id, &actor, tenant::Report::Observed(hello.tenants.remove(&id)));
            }
        }
    }

    /// A certificate speaks of the tenant that its change names.
    fn certified(&self, certificate: Certificate, report: fn(Certificate) -> tenant::Report) {
        let named = Change::from_bytes(&certificate.change).map(|change| change.tenant);
        named.map_or_else(|e| self.refused(&e.to_string()), |id| self.to_tenant(id, report(certificate)));
    }

    fn to_tenant(&self, id: TenantId, report: tenant::Report) {
        match self.shared.roster.tenant(id) {
            Some(actor) => self.hand_over(id, &actor, report),
            // A quick region answers before a new tenant's actor is there; what matters is sent, and so answered, again.
            None => tracing::debug!(tenant = %id, region = %self.peer.region, "a report about no tenant of ours"),
        }
    }

    fn hand_over(&self, id: TenantId, actor: &ActorRef<tenant::Msg>, report: tenant::Report) {
        let stop = self.lane == Lane::Critical;
        if actor.cast(tenant::Msg::Report { region: self.peer.region.clone(), report, stop }).is_err() {
            tracing::debug!(tenant = %id, "a report for a tenant that is starting anew was dropped; the region repeats it");
        }
    }
}
