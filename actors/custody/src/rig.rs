//! A node of one region in a temporary folder, for tests: real store, table, cache and keyring; a customer's KMS that obeys.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use orbital::names::{Deployment, Digest, KeyRef, Region, System, TenantId};
use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};

use crate::{
    aead,
    clock::{Clock, hand::HandClock},
    key_cache::{KeyCache, Observed, Parts},
    key_table::{KeyTable, LEASE_UNLIMITED, Opening, Stops},
    keyring::Keyring,
    l1::{self, Answer, Context, Described, Fault, L1, L1Error, Plain, Stop as L1Stop},
    mac::NodeKey,
    names::{Epoch, Generation},
    object::{ObjectMeta, State},
    shelf::{Owner, Shelf, TenantRow},
    unseal::Unsealer,
    vault::{Expose, Slab, Wanted},
};

pub(crate) const TENANT: TenantId = TenantId(Digest([1; 32]));
pub(crate) const OTHER: TenantId = TenantId(Digest([2; 32]));
pub(crate) const LOOK: Expose = Expose::because("a test looks");

pub(crate) fn system(name: &str) -> System {
    System::new(name).unwrap()
}
pub(crate) fn meta() -> ObjectMeta {
    ObjectMeta::new(2, State::Active, true)
}

/// What the customer's KMS answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Fine,
    Stopped(L1Stop),
    Away,
}

pub(crate) struct Kms {
    pub(crate) mood: Mutex<Mood>,
    pub(crate) unwraps: AtomicUsize,
    /// Unwraps wait for a permit.
    pub(crate) permits: Semaphore,
    pub(crate) unwrapping: Semaphore,
}

impl Kms {
    fn new() -> Arc<Self> {
        Arc::new(Self {
            mood: Mutex::new(Mood::Fine),
            unwraps: AtomicUsize::new(0),
            permits: Semaphore::new(Semaphore::MAX_PERMITS / 2),
            unwrapping: Semaphore::new(0),
        })
    }
    fn check(&self, key: &KeyRef) -> Result<(), L1Error> {
        let (provider, key, why) = ("test", key.clone(), "the test says so".into());
        match *self.mood.lock() {
            Mood::Fine => Ok(()),
            Mood::Stopped(stop) => Err(L1Error::Stopped { provider, key, stop, why }),
            Mood::Away => Err(L1Error::Unreachable { provider, key, fault: Fault::Network, why }),
        }
    }
    /// From now on unwraps wait until `permits` are added.
    pub(crate) fn hold(&self) {
        self.permits.forget_permits(Semaphore::MAX_PERMITS);
    }
    pub(crate) fn release(&self) {
        self.permits.add_permits(1_000);
    }
}

fn aad(context: &Context) -> Vec<u8> {
    format!("{:?}", context.pairs()).into_bytes()
}

impl L1 for Kms {
    fn provider(&self) -> &'static str {
        "test"
    }
    fn describe<'a>(&'a self, key: &'a KeyRef) -> Answer<'a, Described> {
        Box::pin(
            async move { self.check(key).map(|()| Described { state: l1::State::Enabled, resolved: key.clone() }) },
        )
    }
    fn wrap<'a>(&'a self, key: &'a KeyRef, context: &'a Context, plain: &'a [u8]) -> Answer<'a, Vec<u8>> {
        Box::pin(async move {
            self.check(key)?;
            let mut wrapped = vec![0; plain.len()];
            let tag = aead::provider().seal(&[7; 32], &[0; 12], &aad(context), plain, &mut wrapped).unwrap();
            wrapped.extend_from_slice(&tag);
            Ok(wrapped)
        })
    }
    fn unwrap<'a>(&'a self, key: &'a KeyRef, context: &'a Context, wrapped: &'a [u8]) -> Answer<'a, Plain> {
        Box::pin(async move {
            if context.purpose == l1::Purpose::L2 {
                self.unwraps.fetch_add(1, Ordering::SeqCst);
                self.unwrapping.add_permits(1);
                self.permits.acquire().await.unwrap().forget();
            }
            self.check(key)?;
            let (sealed, tag) = wrapped.split_last_chunk::<16>().unwrap();
            let mut plain = vec![0; sealed.len()];
            let mismatch = |_| L1Error::Mismatch { provider: "test", key: key.clone(), why: "context".into() };
            aead::provider().open(&[7; 32], &[0; 12], &aad(context), sealed, tag, &mut plain).map_err(mismatch)?;
            Ok(Plain::new(plain))
        })
    }
}

/// One run of the node. Another run over the same folder is a restart.
pub(crate) struct Node {
    pub(crate) table: Arc<KeyTable>,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) slab: Arc<Slab>,
    pub(crate) cache: KeyCache,
    pub(crate) keyring: Arc<Keyring>,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) seen: mpsc::UnboundedReceiver<Observed>,
}

/// What outlives a run.
pub(crate) struct World {
    dir: tempfile::TempDir,
    pub(crate) kms: Arc<Kms>,
}

impl World {
    pub(crate) fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), kms: Kms::new() }
    }
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }
    pub(crate) fn key(&self) -> Arc<NodeKey> {
        Arc::new(NodeKey::load_or_create(&self.path("node.key")).unwrap())
    }
    pub(crate) fn shelf(&self) -> Arc<Shelf> {
        let owner = Owner { deployment: Deployment::new("test").unwrap(), region: Region::new("eu").unwrap() };
        Arc::new(Shelf::open(&self.path("store"), owner, self.key()).unwrap())
    }

    /// A run in which both tenants are open and linked.
    pub(crate) async fn start(&self) -> Node {
        let (sender, mut seen) = mpsc::unbounded_channel();
        let clock = Arc::new(HandClock::default());
        let table = Arc::new(KeyTable::new(clock.clone()));
        let shelf = self.shelf();
        let slab = Slab::open(4096, Wanted::Best).unwrap();
        let unsealer = Arc::new(Unsealer::new(table.clone(), shelf.clone(), slab.clone()));
        let kms = self.kms.clone();
        let parts = Parts {
            table: table.clone(),
            unsealer: unsealer.clone(),
            clock: clock.clone(),
            providers: Arc::new(move |_, name| (name.as_str() == "test").then(|| kms.clone() as Arc<dyn L1>)),
            // Whoever listens may have gone at the end of a test.
            watch: Arc::new(move |observed| drop(sender.send(observed))),
            probe_every_ms: 1_000,
        };
        let cache = KeyCache::start(None, parts, None).await.unwrap();
        for tenant in [TENANT, OTHER] {
            if !shelf.tenants().unwrap().contains_key(&tenant) {
                shelf.provision(tenant, TenantRow { epoch: Epoch(1), ..TenantRow::default() }).await.unwrap();
            }
            let row = shelf.tenants().unwrap().remove(&tenant).unwrap();
            let opening = Opening {
                stops: Stops(row.stops),
                epoch: row.epoch,
                generation: row.generation,
                lease_until_ms: LEASE_UNLIMITED,
            };
            table.open(tenant, opening);
            cache.link(tenant, system("test"), KeyRef::new("arn:test").unwrap()).unwrap();
            seen.recv().await.unwrap();
        }
        let as_clock: Arc<dyn Clock> = clock.clone();
        let keyring =
            Arc::new(Keyring::new(table.clone(), shelf.clone(), slab.clone(), unsealer, cache.clone(), as_clock));
        Node { table, shelf, slab, cache, keyring, clock, seen }
    }
}

impl Node {
    pub(crate) fn generation(&self) -> Generation {
        self.table.gate(&TENANT).unwrap().generation()
    }
    /// Ends the run: the store's file can be opened again.
    pub(crate) async fn stop(self) {
        self.cache.actor().unwrap().stop_and_wait(None, None).await.unwrap();
        let Self { table, shelf, slab, cache, keyring, .. } = self;
        drop((table, slab, cache, keyring));
        // Unseals that were spawned may hold the store a little longer.
        while Arc::strong_count(&shelf) > 1 {
            tokio::task::yield_now().await;
        }
        shelf.close().await;
    }
}
