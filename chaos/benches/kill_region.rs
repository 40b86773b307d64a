//! The kill in one region, under load: how long after the directive's arrival does a cipher still start, and does one after the SyncAck?
//!
//! Checked at the server, not at the client: the region's two clocks are the bench's, and note when the key table is asked. A KMIP
//! request reads the server's clock once, then the table's at the admission, twice at the borrow, and once at the finish, all on one
//! thread without an await between them; and that runtime's threads do nothing else. The third reading is the check under the slot's lock, right before the cipher, the fourth comes
//! right after it. So a cipher started between the two, and nothing is added to the product's own path.

mod common;

use std::{
    cell::Cell,
    path::Path,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use common::{
    Args, Fault, Res,
    ask::Ask,
    child::{self, Child},
    load::Connection,
    paper,
    pki::Pki,
    region::{self, Clocks, Region, Wanting, applied},
    stats,
};
use custody::{
    clock::{Clock, Now, SystemClock},
    key_table::Gate,
    steward::Steward,
};
use node::{telemetry, threads};
use orbital::{change::Change, directive::Directive};
use rustix::process::setpriority_process;
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    sync::{mpsc, oneshot},
};

const KILLS: usize = 300;
const CONNECTIONS: usize = 64;
const QUEUED: usize = 10_000;
/// Ciphers that must have run since a restore before the next kill.
const BUSY: usize = 10 * CONNECTIONS;
/// How long ciphers are looked for after a SyncAck, before the restore is even queued.
const LOOK: Duration = Duration::from_millis(20);
/// How far before a kill the load is looked at.
const BEFORE: Duration = Duration::from_millis(10);
const SLOTS: usize = 4096;
/// The load's priority: the kernel's lowest.
const LOAD_NICE: i32 = 19;
const TARGET_US: f64 = 1_000.0;
/// Which reading of the table's clock since a request began is the one at the end of its cipher: the first is at the tenant's gate,
/// the second under the key's lock, right before the cipher.
const FINISH: u32 = 2;

fn main() -> Res<()> {
    let args = Args::read();
    telemetry::start_tls()?;
    if args.get("role") == Some("load") { load_role(&args) } else { bench(&args) }
}

/// One cipher: it started between `checked` and `finished`. Stamped with the generation of the check.
#[derive(Clone, Copy)]
struct Cipher {
    checked: Instant,
    finished: Instant,
    generation: u64,
}

thread_local! {
    /// Readings of the table's clock since this thread began its request, and the last one: when, and in which generation.
    static READINGS: Cell<(u32, Option<(Instant, u64)>)> = const { Cell::new((u32::MAX, None)) };
}

/// The clocks that note.
#[derive(Default)]
struct Notes {
    clock: SystemClock,
    gate: OnceLock<Arc<Gate>>,
    ciphers: std::sync::Mutex<Vec<Cipher>>,
}

/// The key table's.
struct TableClock(Arc<Notes>);
/// The KMIP server's.
struct ServerClock(Arc<Notes>);

impl Clock for TableClock {
    fn boottime_ms(&self) -> u64 {
        self.0.read();
        self.0.clock.boottime_ms()
    }
    fn wall_ms(&self) -> u64 {
        self.0.clock.wall_ms()
    }
    fn now(&self) -> Now {
        self.0.clock.now()
    }
}

impl Clock for ServerClock {
    fn boottime_ms(&self) -> u64 {
        self.0.clock.boottime_ms()
    }
    fn wall_ms(&self) -> u64 {
        READINGS.set((0, None));
        self.0.clock.wall_ms()
    }
    fn now(&self) -> Now {
        self.0.clock.now()
    }
}

impl Notes {
    fn read(&self) {
        let (count, before) = READINGS.get();
        let (now, here) = (Instant::now(), self.gate.get().map_or(0, |gate| gate.generation().0));
        READINGS.set((count.saturating_add(1), Some((now, here))));
        if let (FINISH, Some((checked, generation))) = (count, before) {
            self.with(|ciphers| ciphers.push(Cipher { checked, finished: now, generation }));
        }
    }

    fn with<T>(&self, look: impl FnOnce(&mut Vec<Cipher>) -> T) -> T {
        look(&mut self.ciphers.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

/// What one kill showed; microseconds since the directive's arrival.
struct Shown {
    queued: usize,
    connections: usize,
    last_start: f64,
    last_finish: f64,
    acknowledged: f64,
    /// Ciphers that started after the SyncAck was ready.
    late: usize,
    before: usize,
    /// Ciphers that started in the 10 ms before the arrival.
    busy: usize,
    /// The restore, from queueing it behind what is left of the ordinary directives until its SyncAck.
    restored: f64,
}

fn bench(args: &Args) -> Res<()> {
    let kills = args.number("kills", KILLS)?;
    let folder = tempfile::tempdir()?;
    let folder = folder.path();
    let pki = Pki::create(folder)?;
    let (main, kmip, critical) = (threads::ordinary()?, threads::ordinary()?, threads::critical()?);
    let back = threads::back()?;
    let notes = Arc::new(Notes::default());
    let clocks = Clocks { table: Arc::new(TableClock(notes.clone())), server: Arc::new(ServerClock(notes.clone())) };
    let (region, key, port) = main.block_on(async {
        let l1 = region::soft_l1(folder, &pki).await?;
        let back = back.handle().clone();
        let wanting = Wanting { folder, pki: &pki, neighbour: None, l1, slots: SLOTS, clocks, back };
        let region = Region::start(wanting).await?;
        let key = region.create().await?;
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        kmip.spawn(kmip_server::serve(listener, region.server.clone(), std::future::pending()));
        Ok::<_, Fault>((region, key, port))
    })?;
    let gate = region.table.gate(&region.tenant()).ok_or("the tenant has no gate")?;
    drop(notes.gate.set(gate));
    let options = [("folder", folder.display().to_string()), ("port", port.to_string()), ("key", key.to_string())];
    let (_load, _) = Child::start("load", &options, &folder.join("load.log"))?;
    let ordinary = Ordinary::start(&main, region.steward.clone());
    let mut kill = Killing { region, ordinary, notes, main: &main, critical: &critical };
    let mut shown = Vec::new();
    for number in 0..kills {
        shown.push(kill.once()?);
        if number % 50 == 49 {
            println!("{} kills", number + 1);
        }
    }
    publish(&shown)
}

/// A directive's bytes, and who waits for it to be done.
type Queued = (Arc<[u8]>, Option<oneshot::Sender<Result<(), String>>>);

/// The ordinary path: one directive at a time, in the order of arrival, as the ordinary lane's receiver hands them over.
struct Ordinary {
    queue: mpsc::UnboundedSender<Queued>,
    waiting: Arc<AtomicUsize>,
}

impl Ordinary {
    fn start(runtime: &Runtime, steward: Arc<Steward>) -> Self {
        let (queue, mut arrived) = mpsc::unbounded_channel::<Queued>();
        let waiting = Arc::new(AtomicUsize::new(0));
        let left = waiting.clone();
        runtime.spawn(async move {
            while let Some((directive, answer)) = arrived.recv().await {
                let done = applied(&steward, &directive).await;
                left.fetch_sub(1, Ordering::SeqCst);
                if let Some(answer) = answer {
                    // Whoever asked waits for it.
                    drop(answer.send(done.map(drop).map_err(|why| why.to_string())));
                }
            }
        });
        Self { queue, waiting }
    }

    fn push(&self, directive: &Arc<[u8]>, answer: Option<oneshot::Sender<Result<(), String>>>) -> Res<()> {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        Ok(self.queue.send((directive.clone(), answer))?)
    }
}

struct Killing<'a> {
    region: Region,
    ordinary: Ordinary,
    notes: Arc<Notes>,
    main: &'a Runtime,
    critical: &'a Runtime,
}

impl Killing<'_> {
    /// One kill of a busy tenant behind a full queue, and the way back.
    fn once(&mut self) -> Res<Shown> {
        self.notes.with(Vec::clear);
        let tenant = self.region.tenant();
        self.until(|kill| {
            kill.notes.with(|ciphers| ciphers.len()) >= BUSY
                && kill.region.server.connections().of(&tenant) >= CONNECTIONS
        })?;
        let world = &mut self.region.world;
        let certificate = world.kill();
        let kill = Change::digest_of(&certificate.change);
        let directive = Directive::Kill(world.warrant(certificate)).encode()?;
        world.epoch += 1;
        let restore: Arc<[u8]> = Directive::Restore(world.warrant(world.restore([kill]))).encode()?.into();
        let hold: Arc<[u8]> = Directive::Hold { tenant }.encode()?.into();
        for _ in 0..QUEUED {
            self.ordinary.push(&hold, None)?;
        }
        // Every connection is at work again now that the queue is full.
        let so_far = self.notes.with(|ciphers| ciphers.len());
        self.until(|kill| kill.notes.with(|ciphers| ciphers.len()) >= so_far + CONNECTIONS)?;
        let mut shown = self.kill(directive)?;
        let (answer, restored) = oneshot::channel();
        let queued = Instant::now();
        self.ordinary.push(&restore, Some(answer))?;
        self.main.block_on(restored)??;
        shown.restored = queued.elapsed().as_secs_f64() * 1_000_000.0;
        Ok(shown)
    }

    fn until(&self, reached: impl Fn(&Self) -> bool) -> Res<()> {
        let began = Instant::now();
        while !reached(self) {
            if began.elapsed() > Duration::from_secs(30) {
                return Err("the load does not come back after a restore".into());
            }
            std::thread::sleep(Duration::from_micros(200));
        }
        Ok(())
    }

    fn kill(&self, directive: Vec<u8>) -> Res<Shown> {
        let (steward, waiting) = (self.region.steward.clone(), self.ordinary.waiting.clone());
        let connections = self.region.server.connections().of(&self.region.tenant());
        let killed = self.critical.spawn(async move {
            let queued = waiting.load(Ordering::SeqCst);
            let arrived = Instant::now();
            let answered = steward.receive(&directive, arrived).await;
            (queued, arrived, Instant::now(), answered)
        });
        let (queued, arrived, acked, answered) = self.critical.block_on(killed)?;
        let answered = answered.ok_or("the kill was not performed")?;
        let ack = orbital::report::SyncAck::peek(&answered.ack)?;
        if ack.outcome != orbital::report::Outcome::Applied {
            return Err(format!("the kill was refused: {}", ack.why).into());
        }
        std::thread::sleep(LOOK);
        let ciphers = self.notes.with(std::mem::take);
        let since = |at: Instant| at.saturating_duration_since(arrived).as_nanos() as f64 / 1_000.0;
        let last = |of: fn(&Cipher) -> Instant| ciphers.iter().map(|c| since(of(c))).fold(0.0, f64::max);
        // Both by the clock and by the stamp: the generation that begins with this kill has no ciphers.
        let late = ciphers.iter().filter(|c| c.finished > acked || c.generation >= ack.generation);
        Ok(Shown {
            queued,
            connections,
            last_start: last(|cipher| cipher.checked),
            last_finish: last(|cipher| cipher.finished),
            acknowledged: since(acked),
            late: late.count(),
            before: ciphers.len(),
            busy: ciphers.iter().filter(|c| c.checked < arrived && arrived - c.checked < BEFORE).count(),
            restored: 0.0,
        })
    }
}

fn publish(shown: &[Shown]) -> Res<()> {
    let each = |of: fn(&Shown) -> f64| shown.iter().map(of).collect::<Vec<_>>();
    let row = |name: &str, of: fn(&Shown) -> f64| {
        let [p50, p99, p999, most] = stats::tail(&each(of));
        format!("| {name} | {p50:.0} | {p99:.0} | {p999:.0} | {most:.0} |")
    };
    let [_, _, p999, _] = stats::tail(&each(|kill| kill.last_start));
    let late: usize = shown.iter().map(|kill| kill.late).sum();
    let seen: usize = shown.iter().map(|kill| kill.before).sum();
    let queued = shown.iter().map(|kill| kill.queued).min().unwrap_or(0);
    let connections = shown.iter().map(|kill| kill.connections).min().unwrap_or(0);
    let busy = stats::median(&mut each(|kill| kill.busy as f64));
    let text = format!(
        "{} kills of one tenant, each with at least {connections} connections that encrypt 1 KiB without pause ({busy:.0} ciphers in the 10 ms before,\n\
         median) and at least {queued} ordinary directives queued; restored after each by a certified RestoreL1 that goes through the same queue. Region and load are two processes\n\
         that share all cores, the load at the lowest priority, as it stands for other machines. Times since the directive's arrival, in microseconds. Ciphers are noted at the server, by the key table's clock:\n\
         a cipher started between the check under the slot's lock and the finish after it. Target: last start at most {TARGET_US:.0} us at p99.9,\n\
         no start after the SyncAck.\n\n\
         | since the directive's arrival | p50 us | p99 us | p99.9 us | max us |\n|---|---|---|---|---|\n{}\n{}\n{}\n{}\n\n\
         Last start at p99.9: {}. Ciphers that started after the SyncAck: **{late}** of {seen} noted.",
        shown.len(),
        row("last cipher start (checked)", |kill| kill.last_start),
        row("last cipher end (bound of its start)", |kill| kill.last_finish),
        row("SyncAck signed (zeroized, tombstone and high-water mark synced)", |kill| kill.acknowledged),
        row("for comparison: the restore, queued behind the ordinary directives, to its SyncAck", |kill| kill.restored),
        if p999 <= TARGET_US { "met" } else { "missed" },
    );
    paper::publish("kill_region", "Kill in one region under load", &text)
}

/// Encrypts on every connection without pause; comes back when it is closed.
fn load_role(args: &Args) -> Res<()> {
    // It stands for other machines: it must not take the region's threads off their cores.
    setpriority_process(None, LOAD_NICE)?;
    let pki = Pki::of(Path::new(args.need("folder")?));
    let (port, tls) = (args.need("port")?.parse()?, pki.client()?);
    let request: Arc<[u8]> = Ask::EncryptGcm.frame(args.need("key")?).into();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    for _ in 0..CONNECTIONS {
        let (tls, request) = (tls.clone(), request.clone());
        runtime.spawn(async move {
            loop {
                if let Ok(mut connection) = Connection::open(port, tls.clone()).await {
                    // Ends when the server closes it, after a kill.
                    drop(keep_asking(&mut connection, &request).await);
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
    }
    child::say("ready")?;
    child::answer(|_| String::new())
}

async fn keep_asking(connection: &mut Connection, request: &[u8]) -> Res<()> {
    loop {
        let refused = Ask::EncryptGcm.check(connection.ask(request).await?).is_err();
        if refused {
            // Killed: what follows until the restore is no load on the kill.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}
