//! Each directive against a real store, tombstone and high-water file: what is answered, what is in force, what a restart finds.

mod annul;
mod forks;
mod grants;
mod halts;
mod hello;
mod kms;
mod limit;
mod place;
mod put_back;
mod recall;
mod stops;

use std::{
    fs,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Instant,
};

use orbital::{
    certificate::Certificate,
    change::{Action, Change},
    directive::{LeaseGrant, Warrant},
    halt::Halt,
    hello::Span,
    names::KeyRef,
    report::{Load, Observed as Held},
    testing::{World, person, region, secret},
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

/// Counts how often a tenant's connections were closed, keeps how many callers it may have, and each tenant's claims and policy bundle.
#[derive(Default)]
struct Listener(
    AtomicUsize,
    AtomicUsize,
    Mutex<BTreeMap<TenantId, BTreeMap<Digest, u64>>>,
    Mutex<BTreeMap<TenantId, Option<Vec<u8>>>>,
    /// It is busy: whoever shows it something now would wait.
    AtomicBool,
);

impl Callers for Listener {
    fn anchors(&self, trust: &TrustRoot) -> BTreeSet<Digest> {
        trust.callers.iter().map(|rule| anchor(&rule.anchor)).collect()
    }
    fn changed(&self, standing: &Standing, claims: &BTreeMap<Digest, u64>) {
        self.1.store(standing.trust().callers.len(), Ordering::SeqCst);
        self.2.lock().insert(standing.tenant(), claims.clone());
        self.policy(standing);
    }
    fn policy(&self, standing: &Standing) {
        assert!(!self.4.load(Ordering::SeqCst), "it is busy");
        self.3.lock().insert(standing.tenant(), standing.bundle());
    }
    fn close(&self, _: &TenantId) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
    fn used(&self, _: &TenantId) -> BTreeMap<System, Use> {
        let used = Use { connections: 1, per_minute: 60, last_ms: Some(1) };
        [(System::new(orbital::testing::SYSTEM).unwrap(), used)].into()
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
        // A region that has left is who it was.
        let named = self.world.chain().region(&region(HERE)).unwrap();
        let options = Options {
            me: Identity {
                hyok: [].into(),
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
        self.kill_bringing(Vec::new())
    }
    /// The same with links that the region lacks.
    fn kill_bringing(&self, links: Vec<Certificate>) -> (Directive, Digest) {
        let kill = self.world.kill();
        let digest = Change::digest_of(&kill.change);
        (Directive::Kill(Warrant { links, ..self.world.warrant(kill) }), digest)
    }
    fn restore(&mut self, epoch: u64, kill: Digest) -> Directive {
        self.world.epoch = epoch;
        Directive::Restore(self.world.warrant(self.world.restore([kill])))
    }
    /// The next version of the trust root: one system more.
    fn another_version(&mut self, n: u64) -> Certificate {
        self.world.epoch = n + 2;
        let system = System::new(format!("system-{n}")).unwrap();
        let next = self.world.next(|root| assert!(root.systems.insert(system.clone())));
        let link = self.world.certificate(Action::RegisterSystem { system, next }, "alice", &["bob"]);
        self.world.extend(&link);
        link
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
            kills: held.halts.names(),
            restored: held.lifted.names(),
            nonce: held.lease_nonce.clone().unwrap(),
            seconds: self.world.trust().lease.seconds,
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
        let signed = self.steward.receive(&directive.encode().unwrap(), Instant::now()).await?.ack;
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
