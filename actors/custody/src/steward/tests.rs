//! Each directive against a real store, tombstone and high-water file: what is answered, what is in force, what a restart finds.

mod limit;
mod put_back;

use std::{fs, path::PathBuf, sync::atomic::AtomicUsize, sync::atomic::Ordering, time::Instant};

use orbital::{
    change::{Action, Change},
    directive::{LeaseGrant, Warrant},
    hello::Span,
    names::{KeyRef, System},
    report::{Load, Observed as Held},
    testing::{World, region, secret},
    trust::{Anchor, CallerRule},
};
use tokio::sync::mpsc;

use super::*;
use crate::{
    high_water::{Reason, Verdict},
    key_cache::{Observed, Parts},
    key_table::{Purpose, Stop, Stops},
    keyring::Keyring,
    l1::{self, L1},
    rig::{self, Mood, system},
    shelf::{Shelf, pair::Pair},
    unseal::Unsealer,
    vault::{Slab, Wanted},
};

const HERE: &str = "eu-frankfurt";

/// A tenant's people, a node's folder, the customer's KMS and the time: what outlives a run.
struct House {
    world: World,
    rig: rig::World,
    clock: Arc<crate::clock::hand::HandClock>,
}

/// Counts how often a tenant's connections were closed, keeps how many callers it may have, and each tenant's claims.
#[derive(Default)]
struct Listener(AtomicUsize, AtomicUsize, Mutex<BTreeMap<TenantId, BTreeMap<Digest, u64>>>);

impl Callers for Listener {
    fn anchors(&self, trust: &TrustRoot) -> BTreeSet<Digest> {
        trust.callers.iter().map(|rule| anchor(&rule.anchor)).collect()
    }
    fn changed(&self, tenant: &TenantId, trust: &TrustRoot, claims: &BTreeMap<Digest, u64>) {
        self.1.store(trust.callers.len(), Ordering::SeqCst);
        self.2.lock().insert(*tenant, claims.clone());
    }
    fn close(&self, _: &TenantId) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn anchor(anchor: &Anchor) -> Digest {
    match anchor {
        Anchor::Ca { certificate } => Kind::Trust.digest(certificate),
        Anchor::Fingerprint { digest } => *digest,
    }
}

/// One run of the node.
struct Run {
    tenant: TenantId,
    steward: Arc<Steward>,
    verdict: Verdict,
    shelf: Arc<Shelf>,
    keyring: Keyring,
    listener: Arc<Listener>,
    seen: mpsc::UnboundedReceiver<Observed>,
}

impl House {
    fn new() -> Self {
        Self { world: World::new(), rig: rig::World::new(), clock: Arc::default() }
    }

    async fn start(&self) -> Run {
        self.start_pinning(BTreeSet::from([self.world.tenant()])).await
    }

    async fn start_pinning(&self, pinned: BTreeSet<TenantId>) -> Run {
        let clock: Arc<dyn Clock> = self.clock.clone();
        let (table, shelf) = (Arc::new(KeyTable::new(clock.clone())), self.rig.shelf());
        let slab = Slab::open(256, Wanted::Best).unwrap();
        let unsealer = Arc::new(Unsealer::new(table.clone(), shelf.clone(), slab.clone()));
        let (key, file) = (self.rig.key(), self.rig.path("highwater"));
        let (keeper, verdict) = Keeper::load(table.clone(), shelf.clone(), &file, key, clock.clone()).unwrap();
        let (sender, seen) = mpsc::unbounded_channel();
        let kms = self.rig.kms.clone();
        let parts = Parts {
            table: table.clone(),
            unsealer: unsealer.clone(),
            clock: clock.clone(),
            providers: Arc::new(move |_, name| (name.as_str() == "soft").then(|| kms.clone() as Arc<dyn L1>)),
            // Whoever listens may have gone at the end of a test.
            watch: Arc::new(move |observed| drop(sender.send(observed))),
            probe_every_ms: 1_000,
        };
        let cache = KeyCache::start(None, parts, None).await.unwrap();
        let keyring = Keyring::new(table.clone(), shelf.clone(), slab, unsealer, cache.clone(), clock.clone());
        let listener = Arc::new(Listener::default());
        let named = &self.world.trust().regions[&region(HERE)];
        let options = Options {
            me: Identity {
                deployment: self.world.deployment(),
                region: region(HERE),
                report_key: named.report_key,
                hpke_key: named.hpke_key,
            },
            node: NodeName::new("fra-1").unwrap(),
            report_key: secret("test/acme", HERE),
            pinned,
            table,
            keeper: Arc::new(keeper),
            cache,
            callers: listener.clone(),
            probes: Arc::new(drop),
            clock,
            lease_most_ms: None,
        };
        let steward = Steward::start(options).await.unwrap();
        Run { tenant: self.world.tenant(), steward, verdict, shelf, keyring, listener, seen }
    }

    /// A run with the tenant founded and linked, and its keys in memory.
    async fn served(&self) -> Run {
        let run = self.start().await;
        run.applied(&self.provision()).await;
        run.applied(&Directive::Link(self.world.warrant(self.world.link("k")))).await;
        run.unseals().await.unwrap();
        assert!(run.keys() > 0);
        run
    }

    fn provision(&self) -> Directive {
        Directive::Provision { genesis: self.world.genesis(), links: Vec::new() }
    }
    /// A kill and its digest.
    fn kill(&self) -> (Directive, Digest) {
        let kill = self.world.kill();
        let digest = Change::digest_of(&kill.change);
        (Directive::Kill(self.world.warrant(kill)), digest)
    }
    fn restore(&mut self, epoch: u64, kill: Digest) -> Directive {
        self.world.epoch = epoch;
        Directive::Restore(self.world.warrant(self.world.restore([kill])))
    }
    fn tombstone(&self) -> PathBuf {
        self.rig.path("store").join("tombstones").join(self.world.tenant().to_string())
    }
    /// What the tombstone's file itself says of a kill.
    fn is_entombed(&self, kill: &Digest) -> bool {
        let opened = Pair::open(&self.tombstone(), "tombstone", &self.rig.key()).unwrap().unwrap();
        opened.content.windows(32).any(|bytes| bytes == kill.as_bytes())
    }
    /// The renewal that an honest holder of the lease key signs for what the region says it holds.
    fn lease(&self, held: &Held) -> Directive {
        let grant = LeaseGrant {
            domain: Kind::Lease.domain(),
            deployment: self.world.deployment(),
            tenant: self.world.tenant(),
            region: region(HERE),
            trust: held.trust,
            epoch: held.epoch,
            kills: held.kills.clone(),
            restored: held.restored.clone(),
            nonce: held.lease_nonce.clone().unwrap(),
            seconds: 3_600,
        };
        Directive::Lease(grant.sign(self.world.lease_key()).unwrap())
    }
    fn copy_store(&self, from: &str, to: &str) {
        let (from, to) = (self.rig.path(from), self.rig.path(to));
        fs::create_dir_all(to.join("tombstones")).unwrap();
        for folder in ["", "tombstones"] {
            for entry in fs::read_dir(from.join(folder)).unwrap().map(Result::unwrap) {
                if entry.file_type().unwrap().is_file() {
                    fs::copy(entry.path(), to.join(folder).join(entry.file_name())).unwrap();
                }
            }
        }
    }
}

impl Run {
    /// The region's answer, its signature verified.
    async fn send(&self, directive: &Directive) -> Option<SyncAck> {
        let signed = self.steward.receive(&directive.encode().unwrap(), Instant::now()).await?;
        Some(SyncAck::open(&signed, &secret("test/acme", HERE).public()).unwrap())
    }
    async fn applied(&self, directive: &Directive) -> SyncAck {
        let ack = self.send(directive).await.expect("no answer");
        assert_eq!((ack.outcome, ack.why.as_str()), (Outcome::Applied, ""));
        ack
    }
    /// The words of the refusal.
    async fn refused(&self, directive: &Directive) -> String {
        let ack = self.send(directive).await.expect("no answer");
        assert_eq!(ack.outcome, Outcome::Refused);
        ack.why
    }
    fn stops(&self) -> Stops {
        self.steward.stops(&self.tenant)
    }
    fn keys(&self) -> usize {
        self.steward.table.keys_of(&self.tenant)
    }
    async fn unseals(&self) -> Result<(), Error> {
        self.steward.cache.unseal(self.tenant, system("orders")).await
    }
    fn is_served(&self) -> bool {
        self.keyring.admit(&self.tenant, Purpose::Process).is_ok()
    }
    fn held(&self) -> Held {
        let load = Load { locked_bytes: 0, slots_used: 0, slots_total: 0, memory: String::new(), connections: 0 };
        self.steward.hello(load, None).tenants.remove(&self.tenant).unwrap()
    }
    /// The serial of the link in force.
    async fn link(&self) -> u64 {
        *self.steward.cell(&self.tenant).unwrap().l1_turn.lock().await
    }
    async fn l1_says(&self, link: u64, state: l1::State) {
        self.steward.l1_seen(Observed::L1 { tenant: self.tenant, link, state }).await;
    }
    /// Takes what the key cache saw to the steward until it was this.
    async fn hears(&mut self, awaited: l1::State) {
        loop {
            let seen = self.seen.recv().await.unwrap();
            let found = matches!(seen, Observed::L1 { state, .. } if state == awaited);
            self.steward.l1_seen(seen).await;
            if found {
                return;
            }
        }
    }
    /// Ends the run: everything is dropped, the store's file can be opened again.
    async fn stop(self) {
        self.steward.cache.actor().unwrap().stop_and_wait(None, None).await.unwrap();
        let Self { steward, shelf, keyring, .. } = self;
        drop((steward, keyring));
        // Unseals that were spawned may hold the store a little longer.
        while Arc::strong_count(&shelf) > 1 {
            tokio::task::yield_now().await;
        }
        shelf.close().await;
    }
}

#[tokio::test]
async fn a_kill_is_acknowledged_when_keys_are_gone_and_the_tombstone_holds_it() {
    let house = House::new();
    let run = house.served().await;
    let (kill, digest) = house.kill();
    assert!(!house.is_entombed(&digest));
    let ack = run.applied(&kill).await;
    assert!(house.is_entombed(&digest));
    assert_eq!((ack.change, ack.generation, ack.epoch), (Some(digest), 1, 1));
    assert_eq!((run.keys(), run.is_served()), (0, false));
    assert!(run.stops().holds(Stop::Killed));
    assert!(run.unseals().await.is_err());
    assert_eq!(run.listener.0.load(Ordering::SeqCst), 1, "its connections are closed");
}

#[tokio::test]
async fn a_kill_that_comes_again_is_answered_and_changes_nothing() {
    let house = House::new();
    let run = house.served().await;
    let (kill, _) = house.kill();
    let (first, again) = (run.applied(&kill).await, run.applied(&kill).await);
    assert_eq!((first.directive, first.change, first.generation), (again.directive, again.change, again.generation));
    let (another, _) = house.kill();
    assert_eq!(run.applied(&another).await.generation, first.generation + 1);
}

#[tokio::test]
async fn a_kill_outlives_a_restart() {
    let house = House::new();
    let run = house.served().await;
    let (kill, digest) = house.kill();
    let before = run.applied(&kill).await;
    run.stop().await;
    let run = house.start().await;
    assert_eq!(run.verdict, Verdict::Agreed);
    assert!(run.stops().holds(Stop::Killed) && !run.is_served());
    assert!(run.unseals().await.is_err());
    assert_eq!(run.held().kills, BTreeSet::from([digest]));
    let again = run.applied(&kill).await;
    assert_eq!((again.change, again.generation), (before.change, before.generation));
    let link = Directive::Link(Warrant { ..house.world.warrant(house.world.link("other")) });
    assert!(run.refused(&link).await.contains("killed"));
}

#[tokio::test]
async fn a_restore_that_names_the_kill_serves_again_and_outlives_a_restart() {
    let mut house = House::new();
    let run = house.served().await;
    let (kill, digest) = house.kill();
    run.applied(&kill).await;
    let other = house.restore(2, Digest([9; 32]));
    run.applied(&other).await;
    assert!(run.stops().holds(Stop::Killed), "it named another kill");
    let restore = house.restore(3, digest);
    assert_eq!(run.applied(&restore).await.epoch, 3);
    assert_eq!(run.stops(), Stops::default());
    run.unseals().await.unwrap();
    run.stop().await;
    let run = house.start().await;
    assert_eq!((run.stops(), run.verdict.clone()), (Stops::default(), Verdict::Agreed));
    run.unseals().await.unwrap();
    run.applied(&kill).await;
    assert!(run.is_served(), "an old kill stays restored");
}

#[tokio::test]
async fn a_kill_after_its_restore_is_remembered_and_stops_nothing() {
    let mut house = House::new();
    let run = house.served().await;
    let (kill, digest) = house.kill();
    let restore = house.restore(2, digest);
    run.applied(&restore).await;
    assert_eq!(run.applied(&kill).await.generation, 0);
    assert!(run.is_served() && house.is_entombed(&digest));
    run.stop().await;
    let run = house.start().await;
    assert!(run.is_served());
    assert_eq!(run.held().kills, BTreeSet::from([digest]));
}

/// The restore was judged and put in force between the kill's judgement and its tombstone.
#[tokio::test]
async fn a_kill_that_meets_its_own_restore_does_not_outlast_it() {
    let mut house = House::new();
    let run = house.served().await;
    let (kill, digest) = house.kill();
    let Directive::Kill(warrant) = kill else { panic!("a kill") };
    let certain = run.steward.certain(&warrant).unwrap();
    run.applied(&house.restore(2, digest)).await;
    run.steward.end(&certain).await.unwrap();
    assert!(house.is_entombed(&digest) && run.keys() == 0);
    assert!(run.is_served());
}

#[tokio::test]
async fn a_tenant_is_founded_once_and_only_when_pinned() {
    let house = House::new();
    let run = house.start_pinning(BTreeSet::new()).await;
    assert!(run.refused(&house.provision()).await.contains("[pin]"));
    run.stop().await;
    let run = house.start().await;
    run.applied(&house.provision()).await;
    run.applied(&house.provision()).await;
    let system = System::new("billing").unwrap();
    let next = house.world.next(|root| assert!(root.systems.insert(system.clone())));
    let link = house.world.certificate(Action::RegisterSystem { system, next }, "alice", &["bob"]);
    let another = Directive::Provision { genesis: house.world.genesis(), links: vec![link] };
    assert!(run.refused(&another).await.contains("known here already"));
    assert_eq!(run.held().trust_version, 1);
}

#[tokio::test]
async fn a_link_to_a_provider_that_is_not_here_is_not_acknowledged() {
    let house = House::new();
    let run = house.start().await;
    run.applied(&house.provision()).await;
    let l1 = orbital::change::L1Ref { provider: System::new("elsewhere").unwrap(), key: KeyRef::new("k").unwrap() };
    let link = house.world.certificate(Action::LinkL1 { l1 }, "alice", &["bob"]);
    let link = Directive::Link(house.world.warrant(link));
    for _ in 0..2 {
        assert!(run.send(&link).await.is_none());
        assert_eq!(run.held().linked, None);
        assert!(matches!(run.unseals().await, Err(Error::NotLinked(_))));
    }
}

#[tokio::test]
async fn a_lease_that_is_over_locks_until_it_is_renewed() {
    let house = House::new();
    let run = house.served().await;
    house.clock.forward(3_600_000);
    assert!(!run.is_served());
    run.steward.end_leases();
    assert_eq!((run.keys(), run.stops().holds(Stop::LeaseOver)), (0, true));
    run.stop().await;
    let run = house.start().await;
    assert!(run.stops().holds(Stop::LeaseOver));
    run.applied(&house.lease(&run.held())).await;
    run.unseals().await.unwrap();
    assert_eq!(run.held().lease_left, Some(3_600));
}

#[tokio::test]
async fn the_customers_no_is_durable_and_a_probe_lifts_it() {
    let house = House::new();
    let run = house.served().await;
    run.stop().await;
    *house.rig.kms.mood.lock() = Mood::Stopped(l1::Stop::Disabled);
    let mut run = house.start().await;
    run.hears(l1::State::Disabled).await;
    assert_eq!((run.keys(), run.stops()), (0, Stops::default().with(Stop::L1Stop)));
    assert_eq!(run.held().l1, L1State::Disabled);
    run.stop().await;
    *house.rig.kms.mood.lock() = Mood::Away;
    let mut run = house.start().await;
    run.hears(l1::State::Unreachable).await;
    assert!(run.stops().holds(Stop::L1Stop), "silence does not soften a no");
    run.stop().await;
    *house.rig.kms.mood.lock() = Mood::Fine;
    let mut run = house.start().await;
    assert!(run.stops().holds(Stop::L1Stop), "it is durable");
    run.hears(l1::State::Enabled).await;
    assert_eq!(run.stops(), Stops::default());
    run.stop().await;
    assert_eq!(house.start().await.stops(), Stops::default(), "the lift is durable too");
}

#[tokio::test]
async fn a_kill_that_cannot_be_written_is_not_acknowledged_and_fences() {
    let house = House::new();
    let run = house.served().await;
    let (kill, digest) = house.kill();
    let (tombstone, aside) = (house.tombstone(), house.rig.path("aside"));
    fs::rename(&tombstone, &aside).unwrap();
    fs::create_dir(&tombstone).unwrap();
    for _ in 0..2 {
        assert!(run.send(&kill).await.is_none());
        assert_eq!((run.keys(), run.is_served()), (0, false));
        assert!(run.stops().holds(Stop::Killed));
        assert!(run.unseals().await.is_err());
    }
    fs::remove_dir(&tombstone).unwrap();
    fs::rename(&aside, &tombstone).unwrap();
    assert!(!house.is_entombed(&digest));
    run.applied(&kill).await;
    assert!(house.is_entombed(&digest));
}

/// A kill overtakes the ordinary lane, with the links that the region lacks. What they change is in force by it, and durable by the
/// directive that comes after and finds its link known.
#[tokio::test]
async fn callers_that_a_kill_brought_along_are_in_force() {
    let mut house = House::new();
    let run = house.served().await;
    let callers = |run: &Run| run.listener.1.load(Ordering::SeqCst);
    assert_ne!(callers(&run), 0);
    house.world.epoch = 2;
    let next = house.world.next(|root| root.callers.clear());
    let link = house.world.certificate(Action::ChangeCallers { next }, "alice", &["bob"]);
    let change = Directive::Callers(house.world.warrant(link.clone()));
    house.world.extend(&link);
    let (kill, digest) = house.kill();
    let Directive::Kill(warrant) = kill else { panic!("a kill") };
    let ack = run.applied(&Directive::Kill(Warrant { links: vec![link], ..warrant })).await;
    assert_eq!((callers(&run), ack.trust_version), (0, 1), "in force, and not said to be durable");
    assert_eq!(run.applied(&change).await.trust_version, 2);
    run.stop().await;
    let run = house.start().await;
    assert_eq!((run.held().trust_version, callers(&run)), (2, 0));
    run.applied(&house.restore(3, digest)).await;
    assert!(run.is_served());
}

/// Whoever held an anchor first goes first, whatever the tenants' ids say, and a restart does not forget it.
#[tokio::test]
async fn the_turn_in_which_an_anchor_became_durable_outlives_a_restart() {
    let mut house = House::new();
    let ours = house.world.trust().callers.first().unwrap().anchor.clone();
    let regions = house.world.trust().regions.clone();
    let other = World::founded("test", "globex", |root| root.regions = regions);
    let both = BTreeSet::from([house.world.tenant(), other.tenant()]);
    let claim = |run: &Run, of: &World, of_anchor: &Anchor| {
        run.listener.2.lock()[&of.tenant()].get(&anchor(of_anchor)).copied()
    };
    let run = house.start_pinning(both.clone()).await;
    run.applied(&Directive::Provision { genesis: other.genesis(), links: Vec::new() }).await;
    run.applied(&house.provision()).await;
    let theirs = other.trust().callers.first().unwrap().anchor.clone();
    assert_eq!(claim(&run, &other, &theirs), Some(1));
    let second = claim(&run, &house.world, &ours);
    assert_eq!(second, Some(2));

    let system = System::new("orders").unwrap();
    let stolen = CallerRule { anchor: theirs.clone(), system, name: Some(System::new("narrowed").unwrap()) };
    let next = house.world.next(|root| _ = root.callers.insert(stolen));
    let link = house.world.certificate(Action::ChangeCallers { next }, "alice", &["bob"]);
    run.applied(&Directive::Callers(house.world.warrant(link.clone()))).await;
    house.world.extend(&link);
    let expected = |run: &Run| {
        assert_eq!(claim(run, &house.world, &ours), second, "what it had keeps its turn");
        assert_eq!(claim(run, &other, &theirs), Some(1));
        assert_eq!(claim(run, &house.world, &theirs), Some(3), "the later claim comes after");
    };
    expected(&run);
    run.stop().await;
    expected(&house.start_pinning(both).await);
}

/// The disk failed between the restore's head and its lift: the same directive sent again finishes it.
#[tokio::test]
async fn a_restore_that_was_cut_short_is_finished_when_it_comes_again() {
    let mut house = House::new();
    let run = house.served().await;
    let (kill, digest) = house.kill();
    run.applied(&kill).await;
    let restore = house.restore(2, digest);
    let (tombstone, aside) = (house.tombstone(), house.rig.path("aside"));
    fs::rename(&tombstone, &aside).unwrap();
    fs::create_dir(&tombstone).unwrap();
    assert!(run.send(&restore).await.is_none());
    fs::remove_dir(&tombstone).unwrap();
    fs::rename(&aside, &tombstone).unwrap();
    assert!(run.stops().holds(Stop::Killed));
    run.applied(&restore).await;
    assert!(run.is_served());
    run.stop().await;
    assert!(house.start().await.is_served());
}

/// The node stopped between a new tenant's tombstone and its row: it starts, and the tenant can be founded again.
#[tokio::test]
async fn a_provisioning_that_was_cut_short_holds_up_no_start() {
    let house = House::new();
    let run = house.start().await;
    run.stop().await;
    house.copy_store("store", "backup");
    let run = house.start().await;
    run.applied(&house.provision()).await;
    run.stop().await;
    let tombstone = fs::read(house.tombstone()).unwrap();
    house.copy_store("backup", "store");
    fs::write(house.tombstone(), tombstone).unwrap();
    fs::remove_file(house.rig.path("highwater")).unwrap();
    let run = house.start().await;
    run.steward.store_leases().await;
    run.applied(&house.provision()).await;
    assert!(run.is_served());
}

/// The customer's no met a disk that failed: it is written down when the KMS says it again.
#[tokio::test]
async fn a_no_that_could_not_be_written_is_written_when_it_comes_again() {
    let house = House::new();
    let run = house.served().await;
    run.stop().await;
    *house.rig.kms.mood.lock() = Mood::Stopped(l1::Stop::Disabled);
    let mut run = house.start().await;
    let (tombstone, aside) = (house.tombstone(), house.rig.path("aside"));
    fs::rename(&tombstone, &aside).unwrap();
    fs::create_dir(&tombstone).unwrap();
    run.hears(l1::State::Disabled).await;
    fs::remove_dir(&tombstone).unwrap();
    fs::rename(&aside, &tombstone).unwrap();
    run.l1_says(run.link().await, l1::State::Disabled).await;
    run.stop().await;
    *house.rig.kms.mood.lock() = Mood::Away;
    assert!(house.start().await.stops().holds(Stop::L1Stop));
}

/// What the KMS was seen to say is brought by tasks that may overtake each other: the older yes lifts no newer no.
#[tokio::test]
async fn a_yes_that_comes_late_lifts_no_newer_no() {
    let house = House::new();
    let run = house.served().await;
    run.stop().await;
    *house.rig.kms.mood.lock() = Mood::Stopped(l1::Stop::Disabled);
    let mut run = house.start().await;
    run.hears(l1::State::Disabled).await;
    run.l1_says(run.link().await, l1::State::Enabled).await;
    assert!(run.stops().holds(Stop::L1Stop));
}

#[tokio::test]
async fn a_hello_speaks_of_its_span_and_one_tenant_that_cannot_be_said_silences_no_other() {
    let house = House::new();
    let run = house.served().await;
    let whole = run.steward.hello(Load::default(), None);
    assert_eq!((whole.span, whole.tenants.len(), whole.unsaid.len()), (Span::default(), 1, 0));
    let rest = run.steward.hello(Load::default(), Some(run.tenant));
    assert_eq!((rest.span, rest.tenants.len()), (Span { after: Some(run.tenant), until: None }, 0));
    // Known to the steward alone: the keeper has no lease of it to draw a nonce for.
    let other = World::founded("test", "other", |_| {});
    let cell = run.steward.cell(&run.tenant).unwrap();
    let cells = BTreeMap::from([(run.tenant, cell.clone()), (other.tenant(), cell)]);
    run.steward.tenants.store(Arc::new(cells));
    let both = run.steward.hello(Load::default(), None);
    assert_eq!((both.tenants.keys().collect::<Vec<_>>(), both.unsaid), (vec![&run.tenant], [other.tenant()].into()));
    run.stop().await;
}

/// The task that brings a no is overtaken by the people's new link: it was not said of the key in force.
#[tokio::test]
async fn a_no_of_a_former_link_stops_nothing() {
    let mut house = House::new();
    let run = house.served().await;
    let former = run.link().await;
    house.world.epoch = 2;
    run.applied(&Directive::Link(house.world.warrant(house.world.link("other")))).await;
    run.l1_says(former, l1::State::Disabled).await;
    assert_eq!(run.stops(), Stops::default());
    run.l1_says(run.link().await, l1::State::Disabled).await;
    assert!(run.stops().holds(Stop::L1Stop));
}
