//! The servers that are compared, each a process of its own on the server's core: a region, the bare echo, and whoever else is asked.
//! What asks them is on another core.

use std::{
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use node::{
    telemetry::{self, Plane, Style},
    threads,
};
use orbital::names::NodeName;
use rustls::ClientConfig;
use tempfile::TempDir;
use tokio::{net::TcpListener, runtime::Runtime};

use super::{
    Args, Res,
    child::{self, Child},
    echo,
    load::{self, Connection, Question, Window},
    pki::Pki,
    region::{self, Clocks, Region, Wanting},
};

pub const SERVER_CORE: usize = 0;
pub const LOAD_CORE: usize = 1;
/// As `kcm run` logs.
const LOG_FILTER: &str = "info,ractor=warn,ractor_cluster=error,aws_config=warn,hyper=warn";

/// A region that this process is.
pub struct Started {
    pub runtime: Runtime,
    /// Where its handshakes are done, for as long as it lives.
    pub back: Runtime,
    pub region: Arc<Region>,
    pub port: u16,
}

impl Started {
    /// Starts what the arguments say, and serves KMIP.
    pub fn start(args: &Args, slots: usize) -> Res<Self> {
        let folder = Path::new(args.need("folder")?);
        std::fs::create_dir_all(folder)?;
        telemetry::start_log(&NodeName::new("bench-1")?, Plane::Execution, Style::Text, LOG_FILTER)?;
        let _metrics = telemetry::start_metrics()?;
        // As a node has them.
        let (runtime, back) = (threads::ordinary()?, threads::back()?);
        let (pki, l1) = (Pki::of(Path::new(args.need("pki")?)), args.need("l1")?.parse()?);
        let neighbour = args.get("neighbour").map(|folder| Pki::of(Path::new(folder)));
        let (region, port) = runtime.block_on(async {
            let (clocks, neighbour) = (Clocks::default(), neighbour.as_ref());
            let wanting = Wanting { folder, pki: &pki, neighbour, l1, slots, clocks, back: back.handle().clone() };
            let region = Region::start(wanting).await?;
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            let port = listener.local_addr()?.port();
            tokio::spawn(kmip_server::serve(listener, region.server.clone(), std::future::pending()));
            Res::Ok((Arc::new(region), port))
        })?;
        Ok(Self { runtime, back, region, port })
    }

    /// On the server's core, with a key of each tenant; says the port and the keys.
    pub fn serve(args: &Args, slots: usize) -> Res<Self> {
        child::pin(SERVER_CORE);
        let started = Self::start(args, slots)?;
        let keys = started.runtime.block_on(started.region.create_each())?;
        let keys: Vec<_> = keys.iter().map(ToString::to_string).collect();
        child::say(&format!("{} {}", started.port, keys.join(" ")))?;
        Ok(started)
    }
}

/// The echo, on the server's core: one listener for each size of an answer.
pub fn serve_echo(args: &Args) -> Res<()> {
    child::pin(SERVER_CORE);
    let pki = Pki::of(Path::new(args.need("pki")?));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut ports = Vec::new();
    for bytes in args.need("bytes")?.split(',') {
        let (bytes, tls) = (bytes.parse()?, pki.mutual()?);
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0"))?;
        ports.push(listener.local_addr()?.port().to_string());
        runtime.spawn(echo::serve(listener, tls, bytes));
    }
    child::say(&ports.join(" "))?;
    child::answer(|_| String::new())
}

/// What every bench has that compares servers: certificates, a customer's KMS, and one thread that asks.
pub struct Bench {
    folder: TempDir,
    pub pki: Pki,
    pub runtime: Runtime,
    pub tls: Arc<ClientConfig>,
    l1: SocketAddr,
}

/// A region's process.
pub struct Server {
    pub child: Child,
    pub port: u16,
    /// One of each tenant.
    pub keys: Vec<String>,
}

impl Bench {
    pub fn start() -> Res<Self> {
        child::pin(LOAD_CORE);
        Self::anywhere()
    }

    /// On whatever core is free.
    pub fn anywhere() -> Res<Self> {
        let folder = tempfile::tempdir()?;
        let pki = Pki::create(folder.path())?;
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let l1 = runtime.block_on(region::soft_l1(folder.path(), &pki))?;
        let tls = pki.client()?;
        Ok(Self { folder, pki, runtime, tls, l1 })
    }

    /// A path in the bench's folder, which goes with it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts this binary's role `region` over the folder of this name.
    pub fn region(&self, name: &str, more: &[(&str, String)]) -> Res<Server> {
        let own = [("folder", self.path(name).display().to_string()), ("l1", self.l1.to_string())];
        let (child, ready) = self.child("region", name, &[own.as_slice(), more].concat())?;
        let mut words = ready.split(' ').map(str::to_owned);
        let port = words.next().ok_or("the region said no port")?.parse()?;
        Ok(Server { child, port, keys: words.collect() })
    }

    /// Starts the echo with one port for each size of an answer.
    pub fn echo(&self, bytes: impl IntoIterator<Item = usize>) -> Res<(Child, Vec<u16>)> {
        let bytes: Vec<_> = bytes.into_iter().map(|bytes| bytes.to_string()).collect();
        let (child, ports) = self.child("echo", "echo", &[("bytes", bytes.join(","))])?;
        Ok((child, ports.split(' ').map(str::parse).collect::<Result<_, _>>()?))
    }

    /// Starts a role of this binary; it logs beside the folder of this name.
    pub fn child(&self, role: &str, name: &str, more: &[(&str, String)]) -> Res<(Child, String)> {
        let pki = [("pki", self.folder.path().display().to_string())];
        Child::start(role, &[pki.as_slice(), more].concat(), &self.path(&format!("{name}.log")))
    }

    /// One window of a server, and its CPU time for each request in it.
    pub fn measured(&self, server: &mut Child, work: impl Future<Output = Res<Window>>) -> Res<Measured> {
        let before = server.cpu_ns()?;
        let window = self.runtime.block_on(work)?;
        let spent = server.cpu_ns()? - before;
        Ok(Measured { cpu_us: spent as f64 / 1_000.0 / window.requests as f64, window })
    }
}

/// What one window showed of a server.
pub struct Measured {
    /// CPU time of the server for each request, microseconds.
    pub cpu_us: f64,
    pub window: Window,
}

/// A server that is asked over connections that stay open.
pub struct Side<'a> {
    pub server: &'a mut Child,
    connections: Vec<Connection>,
    question: Question,
}

impl<'a> Side<'a> {
    pub fn open(bench: &Bench, server: &'a mut Child, port: u16, connections: usize, question: Question) -> Res<Self> {
        let connections = bench.runtime.block_on(load::open(connections, port, &bench.tls))?;
        Ok(Self { server, connections, question })
    }

    /// Each connection asks without pause.
    pub fn window(&mut self, bench: &Bench, duration: Duration) -> Res<Measured> {
        let connections = std::mem::take(&mut self.connections);
        let (question, back) = (&self.question, &mut self.connections);
        bench.measured(self.server, async {
            let window;
            (*back, window) = load::window(connections, question, duration).await?;
            Ok(window)
        })
    }

    /// The connections ask so many requests a second in all.
    pub fn paced(&mut self, bench: &Bench, per_second: u32, duration: Duration) -> Res<Measured> {
        let connections = std::mem::take(&mut self.connections);
        let (question, back) = (&self.question, &mut self.connections);
        bench.measured(self.server, async {
            let window;
            (*back, window) = load::paced(connections, question, per_second, duration).await?;
            Ok(window)
        })
    }
}
