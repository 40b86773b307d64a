//! A region's server for tests: real store, locked memory, key table and policies; a customer's KMS in this process.
//!
//! Behind the feature `testing`, for the fuzz target of whole sessions; no product code may turn it on.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "for tests: whatever is wrong should stop one where it stands"
)]
#![cfg_attr(not(test), allow(dead_code, reason = "who fuzzes needs less of it than the tests do"))]

mod kms;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use custody::{
    clock::{Clock, Now},
    key_cache::{KeyCache, Parts as CacheParts},
    key_table::{KeyTable, LEASE_UNLIMITED, Opening, Stops},
    keyring::Keyring,
    mac::NodeKey,
    names::{Epoch, Generation},
    shelf::{Owner, Shelf, TenantRow},
    unseal::Unsealer,
    vault::{Slab, Wanted},
};
use kmip::{
    Operation, ProtocolVersion, ResultReason, client,
    message::{AnswerMessage, Failure, RequestHeader},
    ops::{Answer, Request},
    ttlv,
};
use orbital::names::{Deployment, KeyRef, Region, System, TenantId};
use policy::{Bundle, DecisionCache, Evaluator};
use tokio::{io::DuplexStream, runtime::Handle, task::JoinHandle};

use crate::{
    Limits, Parts, Server,
    audit::{Log, Summary, verify},
    caller::{
        AnchorTable, Caller,
        people::{Authority, caller_of, tenant},
    },
    dispatch,
    policies::Policies,
    session,
    tls::Tls,
};

pub(crate) const V1_0: ProtocolVersion = ProtocolVersion::V1_0;
pub(crate) const V1_2: ProtocolVersion = ProtocolVersion::V1_2;
pub(crate) const V1_4: ProtocolVersion = ProtocolVersion::V1_4;
/// Where the clock stands first, seconds since 1970.
pub(crate) const START_S: i64 = 1_700_000_000;

/// Room for keys, in slots of 64 bytes: the fuzz target's servers fill it.
const SLOTS: usize = 16_384;

/// A clock that a test moves.
pub(crate) struct HandClock(AtomicU64);

impl HandClock {
    pub(crate) fn forward_s(&self, seconds: u64) {
        self.0.fetch_add(seconds * 1_000, Ordering::SeqCst);
    }
}

impl Clock for HandClock {
    fn boottime_ms(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }
    fn wall_ms(&self) -> u64 {
        self.boottime_ms()
    }
    fn now(&self) -> Now {
        Now { boottime_ms: self.boottime_ms(), wall_ms: self.wall_ms(), boot: 1 }
    }
}

/// A server with two tenants; [`Rig::caller`] is of the first.
pub struct Rig {
    pub(crate) server: Arc<Server>,
    pub(crate) table: Arc<KeyTable>,
    pub(crate) clock: Arc<HandClock>,
    pub(crate) anchors: Arc<AnchorTable>,
    pub(crate) policies: Arc<Policies>,
    /// Issued the server's certificate.
    pub(crate) server_ca: Authority,
    pub(crate) caller: Caller,
    log: PathBuf,
    pub(crate) kms: kms::Kms,
    _folder: Option<tempfile::TempDir>,
}

impl Rig {
    pub(crate) async fn new() -> Self {
        Self::with_limits(Limits { idle_timeout: Duration::from_secs(60), ..Limits::default() }).await
    }

    /// Its sessions are never ended for being slow: whoever drives it may be stopped for a while.
    pub async fn patient() -> Self {
        let never = Duration::from_secs(24 * 3_600);
        Self::with_limits(Limits { idle_timeout: never, transfer_timeout: never, ..Limits::default() }).await
    }

    pub(crate) async fn with_limits(limits: Limits) -> Self {
        Self::before(&Handle::current(), limits).await
    }

    /// A rig that has its handshakes done on the threads of `back`.
    pub(crate) async fn before(back: &Handle, limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let rig = Self::made(folder.path(), back, limits).await;
        Self { _folder: Some(folder), ..rig }
    }

    /// A rig that finds in `folder` what one before it left there.
    pub(crate) async fn at(folder: &Path, limits: Limits) -> Self {
        Self::made(folder, &Handle::current(), limits).await
    }

    async fn made(folder: &Path, back: &Handle, limits: Limits) -> Self {
        let clock = Arc::new(HandClock(AtomicU64::new(u64::try_from(START_S).unwrap() * 1_000)));
        let table = Arc::new(KeyTable::new(clock.clone()));
        let (keyring, kms) = keyring(folder, &table, &clock).await;
        let policies = Arc::new(Policies::default());
        let evaluator = Arc::new(Evaluator::new(Bundle::default_bundle().unwrap()));
        for number in [1, 2] {
            policies.set(tenant(number), Arc::new(DecisionCache::new(1, evaluator.clone())));
        }
        let server_ca = Authority::new("server CA");
        let (certificate, key) = server_ca.issue_server();
        let key = rustls::pki_types::PrivateKeyDer::try_from(key.serialize_der()).unwrap();
        let (log, anchors) = (folder.join("audit.jsonl"), Arc::new(AnchorTable::default()));
        let server = Arc::new(Server::new(Parts {
            region: Region::new("eu").unwrap(),
            keyring,
            policies: policies.clone(),
            anchors: anchors.clone(),
            tls: Tls::new(vec![certificate], key).unwrap(),
            audit: Arc::new(Log::open(&log).unwrap()),
            clock: clock.clone(),
            limits,
            back: back.clone(),
        }));
        let caller = caller_of(tenant(1), "orders");
        Self { server, table, clock, anchors, policies, server_ca, caller, log, kms, _folder: None }
    }

    /// Puts the default policies and `more` in force for the first tenant.
    pub(crate) fn decree(&self, more: &str) {
        let default = Bundle::default_bundle().unwrap();
        let policies = format!("{}\n{more}", default.policies_text());
        let bundle = Bundle::parse_strict(default.schema_text(), &policies, default.entities_text()).unwrap();
        self.policies.set(tenant(1), Arc::new(DecisionCache::new(2, Arc::new(Evaluator::new(bundle)))));
    }

    /// What the server answers to a frame of `caller`.
    pub(crate) async fn ask(&self, caller: &Caller, frame: &[u8]) -> Vec<u8> {
        let (meters, mut out) = (self.server.meters(caller.tenant()), vec![]);
        dispatch::answer(&self.server, caller, &meters, frame, &mut out).await;
        out
    }

    /// A session of the first tenant's client as on a connection, for a system that is nobody else's: the client's end, with room for
    /// `room` bytes that are not read yet. What a session leaves behind, no other session finds.
    pub fn session(&self, system: u32, room: usize) -> (DuplexStream, JoinHandle<()>) {
        let (client, stream) = tokio::io::duplex(room);
        let (server, caller) = (self.server.clone(), caller_of(*self.caller.tenant(), &format!("system-{system}")));
        let entered = server.connections().enter(*caller.tenant()).unwrap();
        (client, tokio::spawn(async move { session::run(stream, &server, &caller, &entered).await }))
    }

    /// Connections that the server knows of.
    pub fn connections(&self) -> usize {
        self.server.connections().of(self.caller.tenant())
    }

    /// One operation of `caller`, its answer owned.
    pub(crate) async fn call(
        &self,
        caller: &Caller,
        version: ProtocolVersion,
        request: &Request<'_>,
    ) -> Result<Got, Failure> {
        let operation = request.operation();
        let frame = self.ask(caller, &client::request(version, request)).await;
        client::read_one(&frame, version, operation).unwrap().map(|_| Got { frame: frame.clone(), version, operation })
    }

    /// One operation of [`Rig::caller`] in KMIP 1.4.
    pub(crate) async fn does(&self, request: &Request<'_>) -> Result<Got, Failure> {
        self.call(&self.caller, V1_4, request).await
    }

    pub(crate) async fn reason(&self, request: &Request<'_>) -> Option<ResultReason> {
        self.does(request).await.err().map(|failure| failure.reason)
    }

    /// A batch: of each answered item, the reason of its failure or `None`.
    pub(crate) async fn batch(&self, header: RequestHeader<'_>, requests: &[Request<'_>]) -> Vec<Option<ResultReason>> {
        let version = header.version;
        let frame = self.ask(&self.caller, &client::batch(header, requests)).await;
        let message = AnswerMessage::read(&frame, version, &ttlv::Limits::ANSWER).unwrap();
        let outcome = |item: &kmip::message::AnswerItem<'_>| {
            item.outcome(item.operation.map_or(0, |code| code.0), version).unwrap().err().map(|failure| failure.reason)
        };
        message.items.iter().map(outcome).collect()
    }

    pub(crate) async fn audit(&self) -> (Summary, String) {
        self.server.audit().flush().await.unwrap();
        (verify(&self.log).unwrap(), std::fs::read_to_string(&self.log).unwrap())
    }
}

/// An answer that was a success.
#[derive(Debug)]
pub(crate) struct Got {
    frame: Vec<u8>,
    version: ProtocolVersion,
    operation: Operation,
}

impl Got {
    pub(crate) fn answer(&self) -> Answer<'_> {
        client::read_one(&self.frame, self.version, self.operation).unwrap().unwrap()
    }

    /// The Unique Identifier of the answer.
    pub(crate) fn id(&self) -> String {
        match self.answer() {
            Answer::Create(answer) => answer.unique_identifier.to_owned(),
            Answer::Register(answer) => answer.unique_identifier.to_owned(),
            Answer::Activate(answer) => answer.unique_identifier.to_owned(),
            _ => String::new(),
        }
    }
}

async fn keyring(folder: &Path, table: &Arc<KeyTable>, clock: &Arc<HandClock>) -> (Arc<Keyring>, kms::Kms) {
    let (l1, kms) = kms::start(folder).await;
    let key = Arc::new(NodeKey::load_or_create(&folder.join("node.key")).unwrap());
    let owner = Owner { deployment: Deployment::new("test").unwrap(), region: Region::new("eu").unwrap() };
    let shelf = Arc::new(Shelf::open(&folder.join("store"), owner, key).unwrap());
    let slab = Slab::open(SLOTS, Wanted::Best).unwrap();
    let unsealer = Arc::new(Unsealer::new(table.clone(), shelf.clone(), slab.clone()));
    let parts = CacheParts {
        table: table.clone(),
        unsealer: unsealer.clone(),
        clock: clock.clone(),
        providers: Arc::new(move |_, _| Some(l1.clone())),
        watch: Arc::new(drop),
        probe_every_ms: 1_000_000,
    };
    let cache = KeyCache::start(None, parts, None).await.unwrap();
    for number in [1, 2] {
        let tenant: TenantId = tenant(number);
        shelf.provision(tenant, TenantRow { epoch: Epoch(7), ..TenantRow::default() }).await.unwrap();
        let (stops, lease_until_ms) = (Stops::default(), LEASE_UNLIMITED);
        table.open(tenant, Opening { stops, epoch: Epoch(7), generation: Generation(1), lease_until_ms });
        cache.link(tenant, System::new("test").unwrap(), KeyRef::new("arn:test").unwrap()).unwrap();
    }
    (Arc::new(Keyring::new(table.clone(), shelf, slab, unsealer, cache, clock.clone())), kms)
}
