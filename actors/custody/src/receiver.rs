//! Receiver: one lane of Orbital as the region sees it. The twin of governance's courier.
//!
//! A frame is verified and put in order before anything in it is looked at; what it asks for is the [`Steward`]'s to decide, and the
//! signed answer goes back in the lane that the directive came in. One actor a lane, the critical one in a runtime of its own: a kill
//! waits neither for a queue nor for a thread of the ordinary lane.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use orbital::{
    frame::{Expect, Frame, Head},
    inbox::{Inbox, Verdict},
    lane::Lane,
    names::{Correlation, Deployment, NodeName},
    report::{Body, Load, Probed, Report},
    sign::SecretKey,
    wire::Wire,
};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};

use crate::steward::Steward;

/// How often each lane says that it is there.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// How often the ordinary lane says everything that the region holds.
const HELLO: Duration = Duration::from_secs(2);

/// What a receiver is told.
pub enum Msg {
    Up(Arc<dyn Wire>),
    Down,
    /// Bytes from whoever calls themselves governance; the signature decides.
    Frame(Vec<u8>),
    Heartbeat,
    Hello,
    /// An L1 key has been tried.
    Probed(Probed),
}
impl ractor::Message for Msg {}

/// Told by the node, for the Hello.
pub trait Loads: Send + Sync + 'static {
    fn load(&self) -> Load;
    /// A verified frame of governance came in on this lane.
    fn heard(&self, lane: Lane);
}

/// What a receiver is made of.
pub struct Options {
    pub lane: Lane,
    pub deployment: Deployment,
    pub me: NodeName,
    pub governance: NodeName,
    /// Governance's frame key, pinned by the topology.
    pub governance_key: orbital::sign::PublicKey,
    pub frame_key: Arc<SecretKey>,
    /// New at each start of this process.
    pub incarnation: u64,
    pub steward: Arc<Steward>,
    pub loads: Arc<dyn Loads>,
    /// Shared by both lanes: the highest term that governance has shown.
    pub term: Arc<AtomicU64>,
}

/// The actor.
pub struct Receiver(Options);

/// What changes while it runs.
pub struct State {
    wire: Option<Arc<dyn Wire>>,
    inbox: Inbox,
    expect: Expect,
}

impl Receiver {
    /// Starts the receiver in the runtime that this is called in, under the region's supervisor.
    pub async fn start(options: Options, supervisor: ActorCell) -> Result<ActorRef<Msg>, ractor::SpawnErr> {
        let (receiver, _) = Actor::spawn_linked(None, Self(options), (), supervisor).await?;
        Ok(receiver)
    }

    fn send(&self, state: &State, body: Body) {
        let options = &self.0;
        let Some(wire) = &state.wire else { return };
        let head = Head {
            deployment: options.deployment.clone(),
            sender: options.me.clone(),
            receiver: options.governance.clone(),
            lane: options.lane,
            incarnation: options.incarnation,
            term: 0,
            sequence: 0,
            base: 0,
        };
        match (Frame { head, body }).seal(&options.frame_key) {
            // A closed wire is told by `Down`; what was to be said is said again by Hello or by the repeated directive.
            Ok(frame) => drop(wire.send(frame)),
            Err(why) => tracing::error!(lane = %options.lane, "a frame cannot be written: {why}"),
        }
    }

    fn report(&self, state: &State, correlation: Option<Correlation>, report: &Report) {
        match report.encode() {
            Ok(report) => self.send(state, Body::Report { correlation, report }),
            Err(why) => tracing::error!("a report cannot be written: {why}"),
        }
    }

    fn hello(&self, state: &State) {
        if self.0.lane != Lane::Ordinary {
            return;
        }
        match self.0.steward.hello(self.0.loads.load()) {
            Ok(hello) => self.report(state, None, &hello),
            Err(why) => tracing::error!("cannot say hello: {why}"),
        }
    }

    async fn frame(&self, bytes: &[u8], state: &mut State) {
        let arrived = Instant::now();
        let lane = self.0.lane;
        let frame = match Frame::open(bytes, &state.expect) {
            Ok(frame) => frame,
            Err(why) => {
                metrics::counter!("orbital_frames_refused_total", "lane" => lane.label()).increment(1);
                tracing::warn!(%lane, "a frame is refused: {why}");
                return;
            }
        };
        self.0.loads.heard(lane);
        let Body::Directive { correlation, directive, .. } = frame.body else { return };
        if lane == Lane::Ordinary && frame.head.term < self.0.term.fetch_max(frame.head.term, Ordering::SeqCst) {
            tracing::warn!(term = frame.head.term, %correlation, "a directive of an earlier term of governance is refused");
            return;
        }
        match state.inbox.step(&frame.head) {
            Verdict::Take | Verdict::Again => {}
            Verdict::Gap | Verdict::Stale => return,
        }
        if let Some(ack) = self.0.steward.receive(&directive, arrived).await {
            tracing::info!(%lane, %correlation, took_us = arrived.elapsed().as_micros(), "directive answered");
            self.report(state, Some(correlation), &Report::SyncAck(ack));
        }
    }
}

impl Actor for Receiver {
    type Msg = Msg;
    type State = State;
    type Arguments = ();

    async fn pre_start(&self, me: ActorRef<Msg>, (): ()) -> Result<State, ActorProcessingErr> {
        me.send_interval(HEARTBEAT, || Msg::Heartbeat);
        if self.0.lane == Lane::Ordinary {
            me.send_interval(HELLO, || Msg::Hello);
        }
        let options = &self.0;
        let expect = Expect {
            deployment: options.deployment.clone(),
            sender: options.governance.clone(),
            receiver: options.me.clone(),
            lane: options.lane,
            key: options.governance_key,
        };
        Ok(State { wire: None, inbox: Inbox::new(options.lane), expect })
    }

    async fn handle(&self, _: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Up(wire) => {
                state.wire = Some(wire);
                self.send(state, Body::Heartbeat);
                self.hello(state);
            }
            Msg::Down => state.wire = None,
            Msg::Frame(bytes) => self.frame(&bytes, state).await,
            Msg::Heartbeat => self.send(state, Body::Heartbeat),
            Msg::Hello => self.hello(state),
            Msg::Probed(probed) => self.report(state, None, &Report::Probed(probed)),
        }
        Ok(())
    }
}
