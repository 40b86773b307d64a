//! Clients that do harm, a process of its own: they are a stranger's or another tenant's, and do what one host can.

use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use rustls::{ClientConfig, ClientConnection, client::Resumption, pki_types::ServerName};
use thread_priority::{
    NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy,
    unix::{set_thread_priority_and_policy, thread_native_id},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpSocket,
    runtime::Runtime,
    task::JoinSet,
};

use super::{
    Args, Res,
    ask::Ask,
    child,
    load::{Awake, Connection, Question},
    pki::Pki,
    servers::LOAD_CORE,
};

/// What they do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    SlowLoris,
    HalfOpen,
    Handshakes,
    Hellos,
    Flood,
}

impl Kind {
    pub const ALL: [Self; 5] = [Self::SlowLoris, Self::HalfOpen, Self::Handshakes, Self::Hellos, Self::Flood];

    pub fn name(self) -> &'static str {
        match self {
            Self::SlowLoris => "1,000 connections of another tenant, each sends a request a byte a second",
            Self::HalfOpen => "2,048 connections from two addresses, which begin a handshake and stay silent",
            Self::Handshakes => "another tenant's full TLS 1.2 handshakes without pause, 16 at once",
            Self::Hellos => "a stranger's ClientHello without pause, 16 at once, gone once it is answered",
            Self::Flood => "another tenant's Encrypt 1 KiB without pause, 64 connections, 16 in flight on each",
        }
    }

    /// Whether they take all CPU that they can get, rather than places.
    pub fn is_busy(self) -> bool {
        matches!(self, Self::Handshakes | Self::Hellos | Self::Flood)
    }

    /// How many of them there are.
    fn count(self) -> usize {
        match self {
            Self::SlowLoris => 1_000,
            Self::HalfOpen => 2_048,
            Self::Handshakes | Self::Hellos => 16,
            Self::Flood => 64,
        }
    }
}

/// Between two bytes of a slow request.
const BYTE_EVERY: Duration = Duration::from_secs(1);
/// Requests in one write of a flood.
const IN_FLIGHT: usize = 16;
/// How much of a ClientHello those send that stay silent then.
const BEGUN_BYTES: usize = 100;
/// How long all of them may take to be there.
const PATIENCE: Duration = Duration::from_secs(30);

/// What each of them has.
#[derive(Clone)]
struct Means {
    port: u16,
    tls: Arc<ClientConfig>,
    hello: Arc<[u8]>,
    request: Arc<[u8]>,
    flood: Question,
    /// How many are at it.
    there: Arc<AtomicU64>,
    /// What they did: bytes, connections, handshakes or requests.
    done: Arc<AtomicU64>,
}

/// The process: `begin` and `end` on its input, each answered once it is so; `end` with what was done.
pub fn role(args: &Args) -> Res<()> {
    child::pin(LOAD_CORE);
    let kind = args.need("kind")?;
    let kind = Kind::ALL.into_iter().find(|one| format!("{one:?}") == kind).ok_or("no such kind")?;
    let idle = args.need("idle")? == "true";
    if idle {
        // Whoever is measured shares this core, and must not wait for it.
        let policy = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
        set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, policy)
            .map_err(|why| format!("{why:?}"))?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let means = means(args, &runtime)?;
    // The core is as busy without them as with them.
    let _awake = idle.then(|| {
        let _guard = runtime.enter();
        Awake::new()
    });
    child::say("ready")?;
    let mut running = None;
    child::answer(|asked| {
        let told = match asked {
            "begin" => begin(&runtime, kind, &means).map(|tasks| running = Some(tasks)).map(|()| String::new()),
            _ => {
                running.take().into_iter().for_each(|tasks: JoinSet<()>| runtime.block_on(ended(tasks)));
                Ok(means.done.swap(0, Ordering::Relaxed).to_string())
            }
        };
        told.unwrap_or_else(|why| format!("failed: {why}"))
    })
}

fn means(args: &Args, runtime: &Runtime) -> Res<Means> {
    let (pki, own) = (Pki::of(Path::new(args.need("pki")?)), Pki::of(Path::new(args.need("neighbour")?)));
    let mut tls = pki.client_of(&own, &[&rustls::version::TLS12])?;
    tls.resumption = Resumption::disabled();
    let (port, tls) = (args.need("port")?.parse()?, Arc::new(tls));
    let frame = Ask::EncryptGcm.frame(args.need("key")?);
    let asked = Question::of(port, &tls, Ask::EncryptGcm.operation(), vec![frame.clone()]);
    let flood = runtime.block_on(asked)?.in_flight(IN_FLIGHT);
    let mut hello = Vec::new();
    ClientConnection::new(pki.client()?, ServerName::try_from("localhost")?)?.write_tls(&mut hello)?;
    let (there, done) = (Arc::default(), Arc::default());
    Ok(Means { port, tls, hello: hello.into(), request: frame.into(), flood, there, done })
}

/// Starts them all, and waits until each has come as far as it wants.
fn begin(runtime: &Runtime, kind: Kind, means: &Means) -> Res<JoinSet<()>> {
    means.there.store(0, Ordering::Relaxed);
    let _guard = runtime.enter();
    let mut tasks = JoinSet::new();
    for number in 0..kind.count() {
        let means = means.clone();
        tasks.spawn(async move {
            let first = AtomicBool::new(true);
            loop {
                // One that the server has closed comes back.
                if means.once(kind, number, &first).await.is_err() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        });
    }
    let all = async {
        while means.there.load(Ordering::Relaxed) < kind.count() as u64 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let waited = runtime.block_on(async { tokio::time::timeout(PATIENCE, all).await });
    waited.map_err(|_| format!("{} of {} came", means.there.load(Ordering::Relaxed), kind.count()))?;
    means.done.store(0, Ordering::Relaxed);
    Ok(tasks)
}

async fn ended(mut tasks: JoinSet<()>) {
    tasks.shutdown().await;
}

impl Means {
    /// What one of them does until it is closed, or once.
    async fn once(&self, kind: Kind, number: usize, first: &AtomicBool) -> Res<()> {
        let arrived = || {
            if first.swap(false, Ordering::Relaxed) {
                self.there.fetch_add(1, Ordering::Relaxed);
            }
        };
        let did = |count: usize| self.done.fetch_add(count as u64, Ordering::Relaxed);
        match kind {
            Kind::SlowLoris => {
                let mut connection = Connection::open(self.port, self.tls.clone()).await?;
                arrived();
                // Not all at once.
                tokio::time::sleep(BYTE_EVERY.mul_f64(number as f64 / kind.count() as f64)).await;
                for byte in self.request.iter().take(self.request.len() - 1) {
                    connection.send(std::slice::from_ref(byte)).await?;
                    did(1);
                    tokio::time::sleep(BYTE_EVERY).await;
                }
                Ok(())
            }
            Kind::HalfOpen => {
                let socket = TcpSocket::new_v4()?;
                socket.bind(([127, 0, 0, if number.is_multiple_of(2) { 2 } else { 3 }], 0).into())?;
                let mut stream = socket.connect(([127, 0, 0, 1], self.port).into()).await?;
                stream.write_all(self.hello.get(..BEGUN_BYTES).unwrap_or_default()).await?;
                arrived();
                did(1);
                // Until the server has enough of it.
                stream.read_u8().await.map(drop).map_err(Into::into)
            }
            Kind::Handshakes => {
                drop(Connection::open(self.port, self.tls.clone()).await?);
                arrived();
                did(1);
                Ok(())
            }
            Kind::Hellos => {
                let mut stream = TcpSocket::new_v4()?.connect(([127, 0, 0, 1], self.port).into()).await?;
                stream.write_all(&self.hello).await?;
                stream.read_u8().await?;
                arrived();
                did(1);
                Ok(())
            }
            Kind::Flood => {
                let mut connection = Connection::open(self.port, self.tls.clone()).await?;
                arrived();
                loop {
                    connection.exchange(&self.flood).await?;
                    did(IN_FLIGHT);
                }
            }
        }
    }
}
