//! A house for tests: governance on a memory ledger, three regions that keep to the protocol behind fake wires, and a clock that stands
//! still until a test moves it. No test sleeps; each awaits a condition, looked at anew with every event.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "support of tests: what is wrong in a test should stop that test where it stands"
)]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc, Mutex, Weak,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use governance::{Clock, Desk, Governance, Options, Peer, ProposalView, State, notify::Notifying};
use ledger::{Batch, Entry, Head, Ledger, LedgerError, MemoryLedger, Owed, Receipt, Room};
use orbital::{
    certificate::{Certificate, certify},
    chain::Chain,
    change::{Action, Change},
    directive::{Directive, LeaseGrant},
    frame::{Expect, Frame, Head as FrameHead},
    halt::{Halt, Halts},
    hello::{Hello, Span},
    lane::Lane,
    names::{Correlation, Deployment, Digest, NodeName, Person, ProposalId, Region, TenantId},
    report::{Body, L1State, Load, Observed, Outcome, Probed, Report, Stops, SyncAck},
    sign::{Kind, SecretKey, Signed},
    testing::{NOW, REGIONS, World, region, secret},
    vote::Role,
    wire::{Wire, WireClosed},
};
use policy::{Bundle, Evaluator};
use tokio::{
    runtime::{Handle, Runtime},
    sync::mpsc,
};

/// Longest time that a condition may take: far more than any needs.
const PATIENCE: Duration = Duration::from_secs(30);
/// Whose certificate runs the site.
pub(crate) const OPERATOR: &str = "spiffe://test/person/olga";

pub(crate) struct TestClock(AtomicU64);

impl TestClock {
    pub(crate) fn forward(&self, ms: u64) {
        self.0.fetch_add(ms, Ordering::SeqCst);
    }
}

impl Clock for TestClock {
    fn unix_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
    fn monotonic_us(&self) -> u64 {
        self.unix_ms() * 1_000
    }
}

/// A ledger whose disk a test can fill.
pub(crate) struct TestLedger {
    inner: MemoryLedger,
    pub(crate) full: AtomicBool,
    /// What was appended while the disk was full.
    pub(crate) reserved: AtomicU64,
    pub(crate) closed: AtomicU64,
    /// Pages of entries that were read.
    pub(crate) read: AtomicU64,
}

impl Ledger for TestLedger {
    fn close(&self) {
        self.closed.fetch_add(1, Ordering::SeqCst);
    }
    fn append(&self, batch: Batch) -> Result<Receipt, LedgerError> {
        if self.full.load(Ordering::SeqCst) {
            if batch.room == Room::Ordinary {
                return Err(LedgerError::DiskFull { path: "test".into() });
            }
            self.reserved.fetch_add(1, Ordering::SeqCst);
        }
        self.inner.append(batch)
    }
    fn entries(&self, from: u64, limit: usize) -> Result<Vec<Entry>, LedgerError> {
        self.read.fetch_add(1, Ordering::SeqCst);
        self.inner.entries(from, limit)
    }
    fn head(&self) -> Result<Head, LedgerError> {
        self.inner.head()
    }
    fn owed(&self, region: &str, lane: u8, after: u64, limit: usize) -> Result<Vec<Owed>, LedgerError> {
        self.inner.owed(region, lane, after, limit)
    }
    fn owed_count(&self, region: &str, lane: u8) -> Result<u64, LedgerError> {
        self.inner.owed_count(region, lane)
    }
    fn margin(&self) -> Result<ledger::Margin, LedgerError> {
        self.inner.margin()
    }
    fn fill(&self, margin: ledger::Margin, entries: Vec<Entry>) -> Result<(), LedgerError> {
        self.inner.fill(margin, entries)
    }
    fn meta(&self, key: &str) -> Result<Option<Vec<u8>>, LedgerError> {
        self.inner.meta(key)
    }
}

/// One tenant as a fake region holds it; it verifies what a region verifies.
pub(crate) struct Held {
    pub(crate) chain: Chain,
    pub(crate) epoch: u64,
    pub(crate) linked: Option<Digest>,
    pub(crate) halts: Halts,
    pub(crate) lifted: Halts,
    pub(crate) leases: Vec<LeaseGrant>,
}

impl Held {
    fn extend(&mut self, link: &Certificate) -> Result<(), String> {
        let change = Change::from_bytes(&link.change).map_err(|e| e.to_string())?;
        if change.action.next().is_some_and(|next| next.version <= self.chain.version()) {
            return Ok(());
        }
        let (chain, certified) = self.chain.extend(link).map_err(|e| e.to_string())?;
        (self.chain, self.epoch) = (chain, certified.change().epoch);
        Ok(())
    }

    fn take(&mut self, directive: &Directive) -> Result<(), String> {
        if let Directive::Lease(signed) = directive {
            signed.verify(Kind::Lease, &self.chain.current().lease.key).map_err(|e| e.to_string())?;
            self.leases.push(LeaseGrant::read(signed).map_err(|e| e.to_string())?);
        }
        let Some(w) = directive.warrant() else { return Ok(()) };
        w.links.iter().try_for_each(|link| self.extend(link))?;
        let change = Change::from_bytes(&w.certificate.change).map_err(|e| e.to_string())?;
        if change.action.next().is_some() {
            return self.extend(&w.certificate);
        }
        let digest = Change::digest_of(&w.certificate.change);
        if self.halts.kind_of(&digest).is_some() || self.linked == Some(digest) {
            return Ok(());
        }
        certify(&w.certificate, &self.chain, NOW).map_err(|e| e.to_string())?;
        if let Some(halt) = Halt::set_by(&change.action) {
            self.halts.insert(halt, digest);
        }
        let lifted = Halt::lifted_by(&change.action);
        if let Some((halt, names)) = lifted {
            self.lifted.of_mut(halt).extend(names);
        }
        if matches!(change.action, Action::LinkL1 { .. }) {
            self.linked = Some(digest);
        }
        if !change.kind().is_stop() {
            if change.epoch <= self.epoch && lifted.is_none() {
                return Err("an old epoch".into());
            }
            self.epoch = self.epoch.max(change.epoch);
        }
        Ok(())
    }
}

pub(crate) struct FakeRegion {
    pub(crate) name: Region,
    pub(crate) node: NodeName,
    key: SecretKey,
    pub(crate) tenants: BTreeMap<TenantId, Held>,
    /// Tenants that ended before they were founded here.
    pub(crate) ended: BTreeSet<TenantId>,
    /// It refuses every genesis, as one that pins none of them.
    pub(crate) pins_none: bool,
    /// What comes in this lane is lost.
    pub(crate) deaf: Option<Lane>,
    pub(crate) incarnation: u64,
    /// Its own clock: when it says hello.
    pub(crate) now_ms: u64,
    /// What a probe finds.
    pub(crate) l1: L1State,
    /// How it finds the KMS of what is linked.
    pub(crate) health: L1State,
    /// Takes frames and says nothing.
    pub(crate) mute: bool,
    /// Every directive, in the order of arrival.
    pub(crate) got: Vec<(Lane, Directive)>,
    /// The place of each in its lane, and its name: one that waits long for its answer is sent again.
    pub(crate) places: BTreeMap<(Lane, u64), &'static str>,
    pub(crate) heartbeats: u64,
}

type Inbound = (Region, Lane, Vec<u8>);

struct FakeWire {
    region: Region,
    lane: Lane,
    to: mpsc::UnboundedSender<Inbound>,
    closed: Arc<AtomicBool>,
}

impl Wire for FakeWire {
    fn send(&self, frame: Vec<u8>) -> Result<(), WireClosed> {
        if self.closed.load(Ordering::SeqCst) {
            return Err(WireClosed);
        }
        self.to.send((self.region.clone(), self.lane, frame)).map_err(|_| WireClosed)
    }
}

pub(crate) struct House {
    pub(crate) world: World,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) ledger: Arc<TestLedger>,
    pub(crate) governance: Arc<Governance>,
    pub(crate) regions: Arc<Mutex<BTreeMap<Region, FakeRegion>>>,
    wires: BTreeMap<(Region, Lane), Arc<AtomicBool>>,
    to: mpsc::UnboundedSender<Inbound>,
    incarnation: u64,
    notifying: Notifying,
    critical: Option<Runtime>,
}

impl Drop for House {
    fn drop(&mut self) {
        // A runtime may not be dropped inside another one while it could block.
        if let Some(critical) = self.critical.take() {
            critical.shutdown_background();
        }
    }
}

pub(crate) fn correlation() -> Correlation {
    Correlation::new("test").unwrap()
}

pub(crate) fn gov() -> NodeName {
    NodeName::new("gov-1").unwrap()
}

pub(crate) fn node_of(region: &str) -> NodeName {
    NodeName::new(format!("{region}-1")).unwrap()
}

fn world(name: &str) -> World {
    let policy = Bundle::default_bundle().unwrap().digest();
    let mut world = World::founded("test", name, |root| root.policy = policy);
    world.expires = NOW + 3_600;
    world
}

impl House {
    /// Governance with three connected regions, and no tenant yet.
    pub(crate) async fn new() -> Self {
        Self::telling(Notifying::default()).await
    }

    /// As [`House::new`], with these ways out for notices.
    pub(crate) async fn telling(notifying: Notifying) -> Self {
        let clock = Arc::new(TestClock(AtomicU64::new(NOW * 1_000)));
        let ledger = Arc::new(TestLedger {
            inner: MemoryLedger::new(),
            full: AtomicBool::new(false),
            reserved: AtomicU64::new(0),
            closed: AtomicU64::new(0),
            read: AtomicU64::new(0),
        });
        let world = world("acme");
        let critical = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let governance = started(&world, &clock, &ledger, critical.handle(), 1, notifying.clone()).await;
        let fake = |(name, _): (&str, &str)| {
            let fake = FakeRegion {
                name: region(name),
                node: node_of(name),
                key: secret("frames", name),
                tenants: BTreeMap::new(),
                ended: BTreeSet::new(),
                pins_none: false,
                deaf: None,
                incarnation: 1,
                now_ms: 1_000,
                l1: L1State::Enabled,
                health: L1State::Enabled,
                mute: false,
                got: Vec::new(),
                places: BTreeMap::new(),
                heartbeats: 0,
            };
            (region(name), fake)
        };
        let regions = Arc::new(Mutex::new(REGIONS.into_iter().map(fake).collect()));
        let (to, _) = mpsc::unbounded_channel();
        let mut house = Self {
            world,
            clock,
            ledger,
            governance,
            regions,
            wires: BTreeMap::new(),
            to,
            incarnation: 1,
            notifying,
            critical: Some(critical),
        };
        house.connect_all();
        house
    }

    /// As [`House::new`], with the tenant `acme` provisioned in every region.
    pub(crate) async fn provisioned() -> Self {
        let house = Self::new().await;
        house.desk().provision(house.world.genesis(), correlation()).await.unwrap();
        house.until("the regions know the tenant", || house.everywhere(|held| held.chain.version() == 1)).await;
        house.until_settled().await;
        house
    }

    pub(crate) fn desk(&self) -> Desk {
        self.governance.desk()
    }
    pub(crate) fn id(&self) -> TenantId {
        self.world.tenant()
    }

    fn connect_all(&mut self) {
        let (to, inbound) = mpsc::unbounded_channel();
        self.to = to;
        tokio::spawn(pump(
            inbound,
            Arc::clone(&self.regions),
            Arc::downgrade(&self.governance),
            Reporter::of(&self.world),
        ));
        for (name, _) in REGIONS {
            self.connect(name);
        }
    }

    pub(crate) fn connect(&mut self, name: &str) {
        for lane in Lane::BOTH {
            let closed = Arc::new(AtomicBool::new(false));
            let wire = FakeWire { region: region(name), lane, to: self.to.clone(), closed: Arc::clone(&closed) };
            self.wires.insert((region(name), lane), closed);
            self.governance.link_up(&node_of(name), lane, Arc::new(wire));
        }
    }

    /// The wire is cut; governance learns of it from the wire or from the transport.
    pub(crate) fn cut(&self, name: &str) {
        for lane in Lane::BOTH {
            self.wires[&(region(name), lane)].store(true, Ordering::SeqCst);
            self.governance.link_down(&node_of(name), lane);
        }
    }

    /// Governance ends and is started anew from the ledger.
    pub(crate) async fn restart(&mut self) {
        self.governance.stop().await;
        self.incarnation += 1;
        let critical = self.critical.as_ref().unwrap().handle().clone();
        self.governance =
            started(&self.world, &self.clock, &self.ledger, &critical, self.incarnation, self.notifying.clone()).await;
        self.connect_all();
    }

    pub(crate) fn region<T>(&self, name: &str, look: impl FnOnce(&mut FakeRegion) -> T) -> T {
        look(self.regions.lock().unwrap().get_mut(&region(name)).unwrap())
    }

    /// Whether this holds of the tenant in all regions.
    pub(crate) fn everywhere(&self, holds: impl Fn(&Held) -> bool) -> bool {
        let id = self.id();
        self.regions.lock().unwrap().values().all(|r| r.tenants.get(&id).is_some_and(&holds))
    }

    /// Waits until this holds; looks again with every event, and every few milliseconds for what makes none.
    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let mut events = self.desk().events(None);
        let waiting = async {
            while !holds() {
                let _either = tokio::time::timeout(Duration::from_millis(5), events.next()).await;
            }
        };
        tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("waited in vain until {what}"));
    }

    pub(crate) async fn until_state(&self, id: &ProposalId, state: State) -> ProposalView {
        let waiting = async {
            let mut events = self.desk().events(None);
            loop {
                let view = self.desk().proposal(id.clone()).await.unwrap();
                if view.state == state {
                    return view;
                }
                let _either = tokio::time::timeout(Duration::from_millis(5), events.next()).await;
            }
        };
        let waited = tokio::time::timeout(PATIENCE, waiting).await;
        match waited {
            Ok(view) => view,
            Err(_) => panic!("not {state} but {:?}", self.desk().proposal(id.clone()).await),
        }
    }

    /// Nothing is owed to anybody.
    pub(crate) async fn until_settled(&self) {
        let open = || {
            REGIONS.iter().map(|(r, _)| (0..2).map(|l| self.ledger.owed_count(r, l).unwrap()).sum::<u64>()).sum::<u64>()
        };
        // Time passes with each look, so that what was lost on the way is sent again.
        let settled = || {
            self.clock.forward(50);
            open() == 0
        };
        self.until("nothing is owed", settled).await;
    }

    pub(crate) async fn propose(&self, action: Action, who: &str) -> Result<ProposalView, governance::Error> {
        let mut change = self.world.change(action);
        if matches!(change.action, Action::ChangeRouting { .. }) {
            change.regions.clear();
        }
        let bytes = change.to_bytes().unwrap();
        let statement = self.world.propose(&bytes, who);
        self.desk().propose(bytes, statement, None, correlation()).await
    }

    pub(crate) async fn approve(&self, view: &ProposalView, who: &str) -> Result<ProposalView, governance::Error> {
        let vote = self.world.answer(Role::Approve, &view.proposal, who);
        self.desk().answer(view.id.clone(), Role::Approve, vote, correlation()).await
    }

    /// The people make their next changes under what is in force.
    pub(crate) async fn follow(&mut self) {
        let view = self.desk().tenant("acme").await.unwrap();
        let known = usize::try_from(self.world.chain().version()).unwrap() - 1;
        for link in view.links.iter().skip(known) {
            self.world.extend(link);
        }
        self.world.epoch = view.summary.epoch + 1;
    }

    /// A change from proposal to every region's acknowledgement.
    pub(crate) async fn enact(&mut self, action: Action, who: &str, approvers: &[&str]) -> ProposalView {
        let mut view = self.propose(action, who).await.unwrap();
        for approver in approvers {
            view = self.approve(&view, approver).await.unwrap();
        }
        let view = self.until_state(&view.id, State::Active).await;
        self.follow().await;
        view
    }

    pub(crate) fn register(&self, system: &str) -> Action {
        let system = orbital::names::System::new(system).unwrap();
        let next = self.world.next(|root| assert!(root.systems.insert(system.clone())));
        Action::RegisterSystem { system, next }
    }

    /// A region says what it holds.
    pub(crate) fn hello(&self, name: &str, nonce: Option<&str>) {
        self.hello_of_span(name, Span::default(), nonce);
    }

    /// A region says what it holds of a span alone.
    pub(crate) fn hello_of_span(&self, name: &str, span: Span, nonce: Option<&str>) {
        let report = self.region(name, |r| hello_of(r, span, nonce));
        self.report(name, &report);
    }

    /// A region says that it holds its tenants, and nothing else of them.
    pub(crate) fn unsaid(&self, name: &str) {
        let Report::Hello(hello) = self.region(name, |r| hello_of(r, Span::default(), None)) else { return };
        let unsaid = hello.tenants.keys().copied().collect();
        self.report(name, &Report::Hello(Hello { unsaid, tenants: BTreeMap::new(), ..hello }));
    }

    /// A region reports this in its ordinary lane.
    pub(crate) fn report(&self, name: &str, report: &Report) {
        let frame = self.region(name, |r| framed(r, Lane::Ordinary, report));
        self.governance.received(&node_of(name), Lane::Ordinary, frame);
    }

    /// A report that says nothing: two Hellos in a row are one to a tenant, and with this between them they are two.
    pub(crate) fn murmur(&self, name: &str) {
        let (tenant, change) = (self.id(), Digest([0; 32]));
        let probed =
            Probed { tenant, change, state: L1State::Enabled, resolved: String::new(), why: String::new(), took_ms: 1 };
        self.report(name, &Report::Probed(probed));
    }
}

async fn started(
    world: &World,
    clock: &Arc<TestClock>,
    ledger: &Arc<TestLedger>,
    critical: &Handle,
    incarnation: u64,
    notifying: Notifying,
) -> Arc<Governance> {
    let peer = |(name, _): (&str, &str)| Peer {
        region: region(name),
        node: node_of(name),
        frame_public: secret("frames", name).public(),
    };
    let options = Options {
        deployment: Deployment::new("test").unwrap(),
        node: gov(),
        incarnation,
        term: 1,
        frame_key: secret("frames", "gov"),
        regions: REGIONS.into_iter().map(peer).collect(),
        operators: [Person::new(OPERATOR).unwrap()].into(),
        hyok: [].into(),
        lease_key: secret(&format!("test/{}", world.trust().name), "lease"),
        evaluator: Evaluator::new(Bundle::default_bundle().unwrap()),
        ledger: Arc::clone(ledger) as Arc<dyn Ledger>,
        checkpointing: None,
        critical: critical.clone(),
        clock: Arc::clone(clock) as Arc<dyn Clock>,
        notifying,
    };
    Arc::new(Governance::start(options).await.unwrap())
}

/// The secret halves with which regions answer.
struct Reporter(BTreeMap<Region, SecretKey>);

impl Reporter {
    fn of(world: &World) -> Self {
        let seed = format!("test/{}", world.trust().name);
        Self(REGIONS.iter().map(|(name, _)| (region(name), secret(&seed, name))).collect())
    }
}

async fn pump(
    mut inbound: mpsc::UnboundedReceiver<Inbound>,
    regions: Arc<Mutex<BTreeMap<Region, FakeRegion>>>,
    governance: Weak<Governance>,
    reporter: Reporter,
) {
    while let Some((name, lane, frame)) = inbound.recv().await {
        let (node, answers) = {
            let mut regions = regions.lock().unwrap();
            let region = regions.get_mut(&name).unwrap();
            (region.node.clone(), answers(region, lane, &frame, &reporter))
        };
        let Some(governance) = governance.upgrade() else { return };
        for answer in answers {
            governance.received(&node, lane, answer);
        }
    }
}

fn answers(region: &mut FakeRegion, lane: Lane, frame: &[u8], reporter: &Reporter) -> Vec<Vec<u8>> {
    let expect = Expect {
        deployment: Deployment::new("test").unwrap(),
        sender: gov(),
        receiver: region.node.clone(),
        lane,
        key: secret("frames", "gov").public(),
    };
    let frame = Frame::open(frame, &expect).expect("governance sends frames that open");
    let Body::Directive { directive: bytes, .. } = frame.body else {
        region.heartbeats += 1;
        return Vec::new();
    };
    if region.deaf == Some(lane) {
        return Vec::new();
    }
    let directive = Directive::decode(&bytes).unwrap();
    region.got.push((lane, directive.clone()));
    region.places.insert((lane, frame.head.sequence), directive.name());
    if region.mute {
        return Vec::new();
    }
    let mut reports = Vec::new();
    if let Directive::Probe { tenant, change, .. } = &directive {
        let why = if region.l1 == L1State::Enabled { String::new() } else { "the key does not work".into() };
        reports.push(Report::Probed(Probed {
            tenant: *tenant,
            change: Change::digest_of(change),
            state: region.l1,
            resolved: String::new(),
            why,
            took_ms: 1,
        }));
    }
    reports.extend(ack(region, &directive, &bytes, reporter).map(Report::SyncAck));
    reports.iter().map(|report| framed(region, lane, report)).collect()
}

fn ack(region: &mut FakeRegion, directive: &Directive, bytes: &[u8], reporter: &Reporter) -> Option<Signed> {
    let (tenant, change) = match directive {
        Directive::Provision { genesis, links } => {
            let chain = genesis.found().unwrap();
            let id = chain.tenant();
            let refused = region.pins_none || region.ended.contains(&id);
            let held = Held {
                chain,
                epoch: 0,
                linked: None,
                halts: Halts::default(),
                lifted: Halts::default(),
                leases: Vec::new(),
            };
            if !refused {
                let held = region.tenants.entry(id).or_insert(held);
                links.iter().for_each(|link| held.extend(link).unwrap());
            }
            (id, None)
        }
        Directive::Lease(signed) => (LeaseGrant::read(signed).unwrap().tenant, None),
        Directive::Probe { tenant, change, .. } => (*tenant, Some(Change::digest_of(change))),
        Directive::Hold { tenant } => (*tenant, None),
        other => {
            let w = other.warrant().unwrap();
            (w.tenant, Some(Change::digest_of(&w.certificate.change)))
        }
    };
    let ends = matches!(directive, Directive::Annul { .. }) && !region.tenants.contains_key(&tenant);
    if ends {
        region.ended.insert(tenant);
    }
    let held = region.tenants.get_mut(&tenant);
    let (trust_version, epoch, taken) = match held {
        None if ends => (0, 0, Ok(())),
        None => (0, 0, Err("the tenant is not known here".to_owned())),
        Some(held) => {
            let taken = held.take(directive);
            (held.chain.version(), held.epoch, taken)
        }
    };
    if matches!(directive, Directive::Lease(_)) {
        return None;
    }
    let ack = SyncAck {
        domain: Kind::SyncAck.domain(),
        deployment: Deployment::new("test").unwrap(),
        tenant,
        region: region.name.clone(),
        directive: Directive::digest_of(bytes),
        change,
        outcome: if taken.is_ok() { Outcome::Applied } else { Outcome::Refused },
        why: taken.err().unwrap_or_default(),
        members: BTreeSet::from([region.node.clone()]),
        trust_version,
        epoch,
        generation: 1,
        at_us: 1,
        took_us: 250,
    };
    Some(ack.sign(&reporter.0[&region.name]).unwrap())
}

pub(crate) fn framed(region: &FakeRegion, lane: Lane, report: &Report) -> Vec<u8> {
    let head = FrameHead {
        deployment: Deployment::new("test").unwrap(),
        sender: region.node.clone(),
        receiver: gov(),
        lane,
        incarnation: region.incarnation,
        term: 1,
        sequence: 0,
        base: 0,
    };
    let body = Body::Report { correlation: None, report: report.encode().unwrap() };
    Frame { head, body }.seal(&region.key).unwrap()
}

fn hello_of(region: &FakeRegion, span: Span, nonce: Option<&str>) -> Report {
    let observed = |held: &Held| Observed {
        trust_version: held.chain.version(),
        trust: held.chain.digest(),
        epoch: held.epoch,
        generation: 1,
        halts: held.halts.clone(),
        lifted: held.lifted.clone(),
        linked: held.linked,
        l1: region.health,
        stops: Stops::default(),
        lease_left: Some(600),
        keys: 2,
        lease_nonce: nonce.map(ToOwned::to_owned),
        usage: Default::default(),
        recoveries: Default::default(),
    };
    let hello = Hello::after(span.after, region.node.clone(), Load::default(), region.now_ms);
    let held = span.of(&region.tenants).map(|(id, held)| (*id, observed(held))).collect();
    Report::Hello(Hello { span, tenants: held, ..hello })
}
