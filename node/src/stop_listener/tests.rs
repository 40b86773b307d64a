//! The stop listener over real sockets: what it takes, what it refuses, what it survives.

use std::{
    collections::BTreeSet,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use orbital::{
    certificate::certify,
    chain::Chain,
    change::Action,
    names::{NodeName, System},
    report::{Outcome, SyncAck},
    testing::{NOW, World},
};
use tokio::{
    net::TcpSocket,
    sync::{Notify, mpsc, oneshot},
};

use super::*;

const REGION: &str = "eu-frankfurt";
const HOUR: Duration = Duration::from_secs(3_600);
/// Lets nobody go for being slow: what is taken here is taken because someone gave way.
const PATIENT: Limits = Limits {
    connections: CONNECTIONS_MAX,
    per_source: CONNECTIONS_PER_SOURCE_MAX,
    head: HOUR,
    read: HOUR,
    write: WRITE_TIMEOUT,
};

/// Answers as a region would, and remembers what reached it.
struct Region {
    world: World,
    /// The key that signs; another's makes the answer a forgery.
    signer: &'static str,
    took: mpsc::UnboundedSender<Directive>,
    works: bool,
}

impl StopSink for Region {
    fn held(&self, asked: &Asked) -> Option<Signed> {
        let held = orbital::held::Held {
            domain: Kind::Held.domain(),
            deployment: self.world.deployment(),
            tenant: asked.tenant,
            region: orbital::testing::region(REGION),
            nonce: asked.nonce.clone(),
            version: 1,
            trust: self.world.chain().digest(),
            forked: BTreeSet::new(),
            at_us: 1,
        };
        (asked.tenant == self.world.tenant()).then(|| held.sign(self.world.report_key(REGION)).unwrap())
    }
    fn stop(&self, bytes: Vec<u8>) -> Pin<Box<dyn Future<Output = Option<Signed>> + Send>> {
        let directive = Directive::decode(&bytes).unwrap();
        let Some(warrant) = directive.stop() else { panic!("{} reached the region", directive.name()) };
        let ack = SyncAck {
            domain: Kind::SyncAck.domain(),
            deployment: self.world.deployment(),
            tenant: self.world.tenant(),
            region: orbital::testing::region(REGION),
            directive: Directive::digest_of(&bytes),
            change: Some(Change::digest_of(&warrant.certificate.change)),
            outcome: Outcome::Applied,
            why: String::new(),
            members: BTreeSet::from([NodeName::new("fra-1").unwrap()]),
            trust_version: 1,
            epoch: 1,
            generation: 2,
            at_us: 0,
            took_us: 1,
        };
        let signed = ack.sign(self.world.report_key(self.signer)).unwrap();
        self.took.send(directive).unwrap();
        let answer = self.works.then_some(signed);
        Box::pin(async move { answer })
    }
}

/// A region that holds a chain up to some version, and follows the links of each stop, as far as they join on.
struct Behind {
    world: World,
    chain: Mutex<Chain>,
    /// What its answers say that it holds: the links of stops are not durable.
    holds: u64,
    took: mpsc::UnboundedSender<Directive>,
}

impl StopSink for Behind {
    fn held(&self, _: &Asked) -> Option<Signed> {
        None
    }
    fn stop(&self, bytes: Vec<u8>) -> Pin<Box<dyn Future<Output = Option<Signed>> + Send>> {
        let directive = Directive::decode(&bytes).unwrap();
        let Some(warrant) = directive.stop() else { panic!("{} reached the region", directive.name()) };
        let mut chain = self.chain.lock().unwrap();
        for link in &warrant.links {
            if let Ok((longer, _)) = chain.extend(link) {
                *chain = longer;
            }
        }
        let applied = self.holds > 0 && certify(&warrant.certificate, &chain, NOW).is_ok();
        let ack = SyncAck {
            domain: Kind::SyncAck.domain(),
            deployment: self.world.deployment(),
            tenant: self.world.tenant(),
            region: orbital::testing::region(REGION),
            directive: Directive::digest_of(&bytes),
            change: applied.then(|| Change::digest_of(&warrant.certificate.change)),
            outcome: if applied { Outcome::Applied } else { Outcome::Refused },
            why: String::new(),
            members: BTreeSet::from([NodeName::new("fra-1").unwrap()]),
            trust_version: self.holds,
            epoch: 1,
            generation: 2,
            at_us: 0,
            took_us: 1,
        };
        let signed = ack.sign(self.world.report_key(REGION)).unwrap();
        self.took.send(directive).unwrap();
        Box::pin(async move { Some(signed) })
    }
}

/// A tenant with so many versions after the first, and its links.
fn grown(versions: usize) -> (World, Vec<Certificate>) {
    let mut world = World::new();
    let mut grow = |n| {
        let system = System::new(format!("system-{n}")).unwrap();
        let next = world.next(|root| assert!(root.systems.insert(system.clone())));
        let link = world.certificate(Action::RegisterSystem { system, next }, "alice", &["bob"]);
        world.extend(&link);
        link
    };
    let links = (0..versions).map(&mut grow).collect();
    (world, links)
}

/// Counts how many stops are with it at once; each takes many turns of the runtime.
#[derive(Default)]
struct Crowded {
    inside: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl StopSink for Crowded {
    fn held(&self, _: &Asked) -> Option<Signed> {
        None
    }
    fn stop(&self, _: Vec<u8>) -> Pin<Box<dyn Future<Output = Option<Signed>> + Send>> {
        let (inside, most) = (self.inside.clone(), self.most.clone());
        Box::pin(async move {
            most.fetch_max(inside.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            for _ in 0..5_000 {
                tokio::task::yield_now().await;
            }
            inside.fetch_sub(1, Ordering::SeqCst);
            None
        })
    }
}

/// Says when a stop is with it, and keeps it until it is let through.
#[derive(Default)]
struct Gate {
    entered: Arc<Notify>,
    open: Arc<Notify>,
}

impl StopSink for Gate {
    fn held(&self, _: &Asked) -> Option<Signed> {
        None
    }
    fn stop(&self, _: Vec<u8>) -> Pin<Box<dyn Future<Output = Option<Signed>> + Send>> {
        let (entered, open) = (self.entered.clone(), self.open.clone());
        Box::pin(async move {
            entered.notify_one();
            open.notified().await;
            None
        })
    }
}

struct Running {
    address: SocketAddr,
    took: mpsc::UnboundedReceiver<Directive>,
    stop: Mutex<Option<oneshot::Sender<()>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    async fn end(self) {
        drop(self.stop.lock().unwrap().take());
        self.task.await.unwrap();
    }
}

async fn region(limits: Limits, signer: &'static str, works: bool) -> Running {
    // 0.0.0.0, so that a test may come from more than one address of loopback.
    let listener = TcpListener::bind("0.0.0.0:0").await.unwrap();
    let address = SocketAddr::from(([127, 0, 0, 1], listener.local_addr().unwrap().port()));
    let (sender, took) = mpsc::unbounded_channel();
    let (stop, stopped) = oneshot::channel::<()>();
    let sink = Arc::new(Region { world: World::new(), signer, took: sender, works });
    let task = tokio::spawn(serve(listener, sink, limits, async { _ = stopped.await }));
    Running { address, took, stop: Mutex::new(Some(stop)), task }
}

async fn healthy() -> Running {
    region(Limits::default(), REGION, true).await
}

fn file(certificate: Certificate) -> StopFile {
    StopFile { genesis: World::new().genesis(), links: Vec::new(), certificate }
}

async fn connect_from(from: [u8; 4], to: SocketAddr) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from((from, 0))).unwrap();
    socket.connect(to).await.unwrap()
}

/// Sends raw bytes, closes our side, reads the answer.
async fn send(address: SocketAddr, bytes: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    read(&mut stream).await
}

async fn read(stream: &mut TcpStream) -> Answer {
    let mut buffer = Vec::new();
    read_frame(stream, ANSWER_BYTES_MAX, &mut buffer).await.unwrap();
    serde_json::from_slice(&buffer).unwrap()
}

fn prefixed(body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap().to_be_bytes(), body].concat()
}

fn refusal(answer: Answer) -> Trouble {
    match answer {
        Answer::Error(trouble) => trouble,
        Answer::Ack(_) | Answer::Held(_) => panic!("it was taken"),
    }
}

#[tokio::test]
async fn a_stop_reaches_the_region_and_its_answer_is_proven() {
    let world = World::new();
    let mut region = healthy().await;
    let stops = [
        (Action::RevokeL1 {}, "kill"),
        (Action::BlockTenant {}, "block"),
        (Action::SuspendL1 {}, "suspend"),
        (Action::TerminateTenant {}, "shred"),
    ];
    for (action, name) in stops {
        let stop = file(world.certificate(action, "carol", &["dave"]));
        let ack = deliver(&region.address.to_string(), &stop).await.unwrap();
        let took = region.took.recv().await.unwrap();
        let warrant = took.stop().unwrap();
        assert_eq!((took.name(), warrant.tenant, &warrant.certificate), (name, world.tenant(), &stop.certificate));
        assert_eq!(SyncAck::peek(&ack).unwrap().directive, Directive::digest_of(&took.encode().unwrap()));
    }
    region.end().await;
}

#[tokio::test]
async fn a_question_is_answered_and_proven_and_is_no_stop() {
    let (world, mut region) = (World::new(), healthy().await);
    let address = region.address.to_string();
    let asked = Asked { tenant: world.tenant(), nonce: "AAAAAAAAAAAAAAAAAAAAAA".into() };
    let (held, signed) = ask(&address, &asked, world.chain()).await.unwrap();
    assert_eq!((held.version, held.trust), (1, world.chain().digest()));
    // To another question it is no answer.
    let other = Asked { nonce: "BBBBBBBBBBBBBBBBBBBBBA".into(), ..asked.clone() };
    let (key, deployment) = (world.report_key(REGION).public(), world.deployment());
    assert!(orbital::held::Held::open(&signed, &key, &other, &deployment).is_err());
    let stranger = Asked { tenant: TenantId(orbital::names::Digest([1; 32])), ..asked.clone() };
    let why = ask(&address, &stranger, world.chain()).await.unwrap_err();
    assert!(why.contains("is not known here"), "{why}");
    // A question has no other member, a nonce of its own size, and no length of a stop.
    let whole = serde_json::json!({ "held": asked });
    let mut more = whole.clone();
    more["certificate"] = "x".into();
    let mut short = whole.clone();
    short["held"]["nonce"] = "AA".into();
    let long = format!("{whole}{}", " ".repeat(600));
    for body in [more.to_string(), short.to_string(), long] {
        let trouble = refusal(send(region.address, &prefixed(body.as_bytes())).await);
        assert!(trouble.why.contains("no JSON of genesis"), "{body}: {trouble:?}");
    }
    assert!(region.took.try_recv().is_err(), "no stop was asked for");
    region.end().await;
}

#[tokio::test]
async fn links_travel_along() {
    let mut world = World::new();
    let system = orbital::names::System::new("billing").unwrap();
    let next = world.next(|root| assert!(root.systems.insert(system.clone())));
    let link = world.certificate(Action::RegisterSystem { system, next }, "alice", &["bob"]);
    world.extend(&link);
    let mut region = healthy().await;
    let stop = StopFile { links: vec![link.clone()], ..file(world.kill()) };
    deliver(&region.address.to_string(), &stop).await.unwrap();
    assert_eq!(region.took.recv().await.unwrap().links(), [link]);
    let torn = file(stop.certificate.clone());
    let torn = StopFile { links: vec![stop.certificate], ..torn };
    assert!(matches!(deliver(&region.address.to_string(), &torn).await, Err(Undelivered::Unsound(_))));
    region.end().await;
}

#[tokio::test]
async fn nothing_but_a_stop_reaches_the_region() {
    let world = World::new();
    let mut region = healthy().await;
    for grant in [world.link("k"), world.restore([orbital::names::Digest([1; 32])])] {
        let body = serde_json::to_vec(&file(grant)).unwrap();
        let why = refusal(send(region.address, &prefixed(&body)).await).why;
        assert!(why.contains("only stops"), "{why}");
    }
    let stranger = StopFile { genesis: World::of("test", "globex").genesis(), ..file(world.kill()) };
    let why = refusal(send(region.address, &prefixed(&serde_json::to_vec(&stranger).unwrap())).await).why;
    assert!(why.contains("the genesis is of tenant"), "{why}");
    assert!(region.took.try_recv().is_err(), "the sink was asked");
    region.end().await;
}

#[tokio::test]
async fn what_does_not_read_is_refused_in_words() {
    let mut region = healthy().await;
    let whole = serde_json::to_value(file(World::new().kill())).unwrap();
    let mut more = whole.clone();
    more["more"] = serde_json::json!("x");
    let mut less = whole.clone();
    less.as_object_mut().unwrap().remove("genesis");
    for body in [b"".to_vec(), b"{}".to_vec(), b"[".repeat(4_096), more.to_string().into(), less.to_string().into()] {
        let trouble = refusal(send(region.address, &prefixed(&body)).await);
        assert!(trouble.why.contains("no JSON of genesis") && trouble.fix.contains("kcm revoke sign"), "{trouble:?}");
    }
    let mut broken = whole;
    broken["certificate"]["change"] = serde_json::json!("AAAA");
    let trouble = refusal(send(region.address, &prefixed(broken.to_string().as_bytes())).await);
    assert!(trouble.why.contains("the change does not read"), "{trouble:?}");
    assert!(region.took.try_recv().is_err());
    region.end().await;
}

#[tokio::test]
async fn a_truncated_stop_is_refused() {
    let region = healthy().await;
    let whole = prefixed(&serde_json::to_vec(&file(World::new().kill())).unwrap());
    let trouble = refusal(send(region.address, &whole[..whole.len() - 1]).await);
    assert!(trouble.why.contains("bytes were announced"), "{trouble:?}");
    let trouble = refusal(send(region.address, &whole[..3]).await);
    assert!(trouble.why.contains("the connection"), "{trouble:?}");
    region.end().await;
}

#[tokio::test]
async fn an_oversized_stop_is_refused_before_it_is_read() {
    let region = healthy().await;
    let most = u32::try_from(REQUEST_BYTES_MAX).unwrap();
    for announced in [most + 1, u32::MAX] {
        let mut bytes = announced.to_be_bytes().to_vec();
        bytes.resize(256 * 1024, b' ');
        let trouble = refusal(send(region.address, &bytes).await);
        assert!(trouble.why.contains("at most"), "{trouble:?}");
    }
    region.end().await;
}

#[tokio::test]
async fn the_buffer_grows_with_what_arrives() {
    let most = REQUEST_BYTES_MAX;
    let mut buffer = Vec::new();
    let mut bytes = u32::try_from(most).unwrap().to_be_bytes().to_vec();
    bytes.extend_from_slice(&[b' '; 100]);
    let read = read_frame(&mut bytes.as_slice(), most, &mut buffer).await;
    assert!(matches!(read, Err(Failed::Truncated { arrived: 100, .. })), "{read:?}");
    assert!(buffer.capacity() < 8 * 1024, "{} bytes for 100", buffer.capacity());
}

#[tokio::test]
async fn a_slow_sender_is_let_go() {
    let read = Duration::from_millis(50);
    let region = region(Limits { read, ..Limits::default() }, REGION, true).await;
    let mut stream = TcpStream::connect(region.address).await.unwrap();
    stream.write_all(&[0, 0, 1, 0, b'{']).await.unwrap();
    let trouble = refusal(self::read(&mut stream).await);
    assert!(trouble.why.contains("did not arrive whole"), "{trouble:?}");
    region.end().await;
}

#[tokio::test]
async fn who_says_nothing_is_let_go() {
    let limits = Limits { head: Duration::from_millis(50), read: HOUR, ..Limits::default() };
    let region = region(limits, REGION, true).await;
    let mut stream = TcpStream::connect(region.address).await.unwrap();
    let trouble = refusal(self::read(&mut stream).await);
    assert!(trouble.why.contains("did not begin"), "{trouble:?}");
    region.end().await;
}

/// Connections that will never bring a whole request: half of them silent, half after the first bytes of one.
async fn hold(from: [u8; 4], to: SocketAddr) -> TcpStream {
    let mut stream = connect_from(from, to).await;
    if from[3].is_multiple_of(2) {
        stream.write_all(&[0, 0, 64, 0, b'{']).await.unwrap();
    }
    stream
}

#[tokio::test]
async fn a_stop_is_taken_though_its_own_address_holds_all_its_places() {
    let mut region = region(PATIENT, REGION, true).await;
    let mut held = Vec::new();
    for _ in 0..CONNECTIONS_PER_SOURCE_MAX {
        held.push(hold([127, 0, 0, 1], region.address).await);
    }
    deliver(&region.address.to_string(), &file(World::new().kill())).await.unwrap();
    assert!(region.took.recv().await.is_some());
    let trouble = refusal(read(&mut held[0]).await);
    assert!(trouble.why.contains("gives way") && trouble.fix.contains("again"), "the oldest: {trouble:?}");
    region.end().await;
}

#[tokio::test]
async fn a_stop_is_taken_though_others_hold_every_place() {
    let mut region = region(PATIENT, REGION, true).await;
    let mut held = Vec::new();
    for last in 2.. {
        for _ in 0..CONNECTIONS_PER_SOURCE_MAX {
            held.push(hold([127, 0, 0, last], region.address).await);
        }
        if held.len() >= CONNECTIONS_MAX {
            break;
        }
    }
    for _ in 0..3 {
        deliver(&region.address.to_string(), &file(World::new().kill())).await.unwrap();
        assert!(region.took.recv().await.is_some());
    }
    assert!(refusal(read(&mut held[0]).await).why.contains("gives way"), "the oldest of those that hold the most");
    region.end().await;
}

#[tokio::test]
async fn a_stop_that_is_being_judged_gives_way_to_nobody() {
    let sink = Gate::default();
    let (entered, open) = (sink.entered.clone(), sink.open.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let limits = Limits { connections: 2, per_source: 2, ..PATIENT };
    let task = tokio::spawn(serve(listener, Arc::new(sink), limits, async { _ = stopped.await }));
    let request = prefixed(&serde_json::to_vec(&file(World::new().kill())).unwrap());
    let judged = tokio::spawn(async move { send(address, &request).await });
    entered.notified().await;
    let mut silent = TcpStream::connect(address).await.unwrap();
    let _newcomer = TcpStream::connect(address).await.unwrap();
    assert!(refusal(read(&mut silent).await).why.contains("gives way"));
    open.notify_one();
    assert!(refusal(judged.await.unwrap()).why.contains("durable"), "it was judged to its end");
    drop(stop);
    task.await.unwrap();
}

#[tokio::test]
async fn stops_are_judged_one_at_a_time() {
    let sink = Crowded::default();
    let most = sink.most.clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(serve(listener, Arc::new(sink), Limits::default(), async { _ = stopped.await }));
    let request = prefixed(&serde_json::to_vec(&file(World::new().kill())).unwrap());
    let answers = (0..CONNECTIONS_PER_SOURCE_MAX).map(|_| send(address, &request));
    let answers = futures::future::join_all(answers).await;
    assert!(answers.into_iter().all(|a| refusal(a).why.contains("durable")));
    assert_eq!(most.load(Ordering::SeqCst), 1);
    drop(stop);
    task.await.unwrap();
}

#[tokio::test]
async fn a_region_that_cannot_make_it_durable_says_so() {
    let region = region(Limits::default(), REGION, false).await;
    let refused = deliver(&region.address.to_string(), &file(World::new().kill())).await.unwrap_err();
    assert!(refused.to_string().contains("could not make the stop durable"), "{refused}");
    region.end().await;
}

#[tokio::test]
async fn an_answer_by_another_than_the_region_proves_nothing() {
    let region = region(Limits::default(), "us-east", true).await;
    let refused = deliver(&region.address.to_string(), &file(World::new().kill())).await.unwrap_err();
    assert!(matches!(refused, Undelivered::Unproven { .. }), "{refused}");
    region.end().await;
}

#[tokio::test]
async fn an_answer_to_another_stop_proves_nothing() {
    let world = World::new();
    let (one, other) = (world.kill(), world.kill());
    let mut region = healthy().await;
    let ack = deliver(&region.address.to_string(), &file(one)).await.unwrap();
    assert!(region.took.recv().await.is_some());
    region.end().await;
    let liar = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = liar.local_addr().unwrap().to_string();
    let replay = tokio::spawn(async move {
        let (mut stream, _) = liar.accept().await.unwrap();
        read_frame(&mut stream, REQUEST_BYTES_MAX, &mut Vec::new()).await.unwrap();
        say(&mut stream, &Answer::Ack(ack)).await.unwrap();
    });
    let refused = deliver(&address, &file(other)).await.unwrap_err();
    assert!(matches!(refused, Undelivered::Unproven { .. }), "{refused}");
    replay.await.unwrap();
}

/// What a region answers that holds this chain, and whose answers say that it holds this version; and the links that reached it.
async fn delivered(file: &StopFile, chain: Chain, holds: u64) -> (Outcome, Vec<Vec<Certificate>>) {
    let (sender, mut took) = mpsc::unbounded_channel();
    let sink = Behind { world: World::new(), chain: Mutex::new(chain), holds, took: sender };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (stop, stopped) = oneshot::channel::<()>();
    let task = tokio::spawn(serve(listener, Arc::new(sink), Limits::default(), async { _ = stopped.await }));
    let ack = SyncAck::peek(&deliver(&address, file).await.unwrap()).unwrap();
    drop(stop);
    task.await.unwrap();
    let mut parts = Vec::new();
    while let Some(directive) = took.recv().await {
        parts.push(directive.links().to_vec());
    }
    (ack.outcome, parts)
}

#[tokio::test]
async fn a_stop_with_more_links_than_travel_at_once_stops_a_region_far_behind() {
    let (world, links) = grown(300);
    let file = StopFile { genesis: world.genesis(), links: links.clone(), certificate: world.kill() };
    let (outcome, parts) = delivered(&file, world.genesis().found().unwrap(), 1).await;
    assert_eq!(outcome, Outcome::Applied);
    assert!(links.ends_with(&parts[0]) && !parts[0].is_empty(), "the newest go first");
    assert!(parts.len() > 2);
    assert_eq!(parts[1..].concat(), links, "then all that it lacks");
}

#[tokio::test]
async fn links_that_do_not_help_are_not_sent() {
    let (world, links) = grown(90);
    let file = StopFile { genesis: world.genesis(), links: links.clone(), certificate: world.kill() };
    let founded = || world.genesis().found().unwrap();
    for (chain, holds, outcome) in [(world.chain().clone(), 91, Outcome::Applied), (founded(), 0, Outcome::Refused)] {
        let (answered, parts) = delivered(&file, chain, holds).await;
        assert_eq!((answered, parts.len()), (outcome, 1), "of a region that holds version {holds}");
        assert!(parts[0].len() < links.len(), "there were more to send");
    }
}

#[tokio::test]
async fn a_closed_port_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let refused = deliver(&address, &file(World::new().kill())).await.unwrap_err();
    assert!(refused.to_string().contains(&address) && refused.to_string().contains("nothing was sent"), "{refused}");
}

#[test]
fn the_format_is_frozen() {
    let value = serde_json::to_value(file(World::new().kill())).unwrap();
    let members: BTreeSet<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(members, BTreeSet::from(["certificate", "genesis", "links"]));
    let trouble = Trouble { what: "a".into(), why: "b".into(), fix: "c".into() };
    let text = serde_json::to_string(&Answer::Error(trouble)).unwrap();
    assert_eq!(text, r#"{"error":{"what":"a","why":"b","fix":"c"}}"#);
    let ack = Signed::new(Kind::SyncAck, b"{}".to_vec(), World::new().key("carol"));
    assert!(serde_json::to_string(&Answer::Ack(ack)).unwrap().starts_with(r#"{"ack":{"statement":"e30","#));
}

/// What the region answers.
async fn outcome(to: &str, stop: &StopFile) -> Outcome {
    SyncAck::peek(&deliver(to, stop).await.unwrap()).unwrap().outcome
}

#[tokio::test]
async fn an_armed_kill_stops_a_region_when_it_is_fired() {
    use orbital::change::FireUntil;
    let world = World::new();
    let (took, _taken) = mpsc::unbounded_channel();
    let sink = Arc::new(Behind { chain: Mutex::new(world.chain().clone()), world: World::new(), holds: 1, took });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let to = listener.local_addr().unwrap().to_string();
    let task = tokio::spawn(serve(listener, sink, Limits::default(), std::future::pending()));
    let change = Change { armed: Some(FireUntil(NOW + 60)), ..world.change(Action::RevokeL1 {}) };
    let mut stop = file(world.sign_change(&change, "carol", &["dave"]));
    assert_eq!(outcome(&to, &stop).await, Outcome::Refused);
    stop.certificate.confirmations = vec![world.answer(orbital::vote::Role::Fire, &stop.certificate.proposal, "dave")];
    assert_eq!(outcome(&to, &stop).await, Outcome::Applied);
    task.abort();
}
