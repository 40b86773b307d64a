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
    names::{Correlation, Deployment, NodeName, TenantId},
    report::{Body, Load, Probed, Report},
    sign::SecretKey,
    wire::Wire,
};
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef};
use tracing::Instrument;

use crate::{
    by_hand::ByHand,
    steward::{Answered, Steward},
};

/// How often each lane says that it is there.
const HEARTBEAT: Duration = Duration::from_millis(500);
/// How often the ordinary lane says what the region holds, and the critical one which stops came by hand.
const HELLO: Duration = Duration::from_secs(2);
/// Most groups of tenants that it says at once; the next time goes on after them. So a region of up to 2,048 tenants is heard whole each
/// time and one of 100,000 in 100 s, and neither the lane nor governance has more than this to do for it at once.
const HELLO_GROUPS_MAX: usize = 4;

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
    /// What the critical lane tells governance of.
    pub by_hand: Arc<ByHand>,
}

/// The actor.
pub struct Receiver(Options);

/// What changes while it runs.
pub struct State {
    wire: Option<Arc<dyn Wire>>,
    inbox: Inbox,
    expect: Expect,
    /// The last tenant of the group that was said last; none before a round.
    said_until: Option<TenantId>,
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

    fn hello(&self, state: &mut State) {
        if state.wire.is_none() {
            return;
        }
        if self.0.lane == Lane::Critical {
            for certificate in self.0.by_hand.turn() {
                self.report(state, None, &Report::Stopped(certificate));
            }
            return;
        }
        for certificate in self.0.steward.branches() {
            self.report(state, None, &Report::Branch(certificate));
        }
        let load = self.0.loads.load();
        state.said_until = turn(state.said_until, |after| {
            let hello = self.0.steward.hello(load.clone(), after);
            let until = hello.span.until;
            self.report(state, None, &Report::Hello(hello));
            until
        });
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
        // Whatever is logged on the way has the correlation of its cause.
        let span = tracing::info_span!("directive", %correlation);
        if let Some(Answered { ack, told }) = self.0.steward.receive(&directive, arrived).instrument(span).await {
            tracing::info!(%lane, %correlation, took_us = arrived.elapsed().as_micros(), "directive answered");
            self.report(state, Some(correlation), &Report::SyncAck(ack));
            self.0.by_hand.brought(&directive);
            for certificate in told.into_iter().filter(|_| lane == Lane::Ordinary) {
                self.report(state, None, &Report::Recalled(certificate));
            }
        }
    }
}

/// One turn of a round: says groups, the first one after this tenant, each from where the one before ended; none begins the next round.
fn turn(after: Option<TenantId>, mut say: impl FnMut(Option<TenantId>) -> Option<TenantId>) -> Option<TenantId> {
    let mut until = after;
    for _ in 0..HELLO_GROUPS_MAX {
        until = say(until);
        if until.is_none() {
            break;
        }
    }
    until
}

impl Actor for Receiver {
    type Msg = Msg;
    type State = State;
    type Arguments = ();

    async fn pre_start(&self, me: ActorRef<Msg>, (): ()) -> Result<State, ActorProcessingErr> {
        me.send_interval(HEARTBEAT, || Msg::Heartbeat);
        me.send_interval(HELLO, || Msg::Hello);
        let options = &self.0;
        let expect = Expect {
            deployment: options.deployment.clone(),
            sender: options.governance.clone(),
            receiver: options.me.clone(),
            lane: options.lane,
            key: options.governance_key,
        };
        Ok(State { wire: None, inbox: Inbox::new(options.lane), expect, said_until: None })
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

#[cfg(test)]
mod tests {
    use orbital::names::Digest;

    use super::*;

    fn tenant(n: u8) -> TenantId {
        TenantId(Digest([n; 32]))
    }

    /// The turns of a round of so many groups: after which tenant each group began.
    fn turns(groups: u8) -> Vec<Vec<Option<TenantId>>> {
        let (mut turns, mut after, mut left) = (Vec::new(), None, groups);
        while left > 0 {
            let mut said = Vec::new();
            after = turn(after, |from| {
                said.push(from);
                left -= 1;
                (left > 0).then(|| tenant(groups - left))
            });
            turns.push(said);
        }
        assert_eq!(after, None, "the next round begins anew");
        turns
    }

    #[test]
    fn a_round_of_many_groups_takes_several_turns_and_misses_none() {
        assert_eq!(turns(1), [[None]]);
        let whole = turns(10);
        assert!(whole.iter().all(|said| said.len() <= HELLO_GROUPS_MAX));
        let begun: Vec<_> = whole.into_iter().flatten().collect();
        assert_eq!(begun, std::iter::once(None).chain((1..10).map(|n| Some(tenant(n)))).collect::<Vec<_>>());
    }
}
