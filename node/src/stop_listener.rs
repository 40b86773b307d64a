//! The stop listener: a kill without governance (PROTOCOL §4).
//!
//! Whoever holds a stop's certificate, gathered as a file by `kcm revoke sign`, hands it straight to a region. The signatures in it decide,
//! not the sender: the port asks for no login, takes stops alone, and is bounded in everything that a stranger could ask of it. Nobody can
//! keep a stop out: who says nothing is let go after [`HEAD_TIMEOUT`], who is slow after [`READ_TIMEOUT`], and when all places are taken the
//! oldest request that is not whole gives way (`seats`).
//!
//! The same door tells which trust version the region holds (`ask.rs`).
//!
//! A file with more links than travel at once is handed over in parts (`deliver.rs`).
//!
//! ```text
//! sender ──▶ u32 BE length · JSON {"genesis", "links", "certificate"}
//! region ──▶ u32 BE length · JSON {"ack": Signed} or {"error": {"what", "why", "fix"}}
//! ```

mod ask;
mod deliver;
#[cfg(test)]
mod tests;

use std::{future::Future, net::SocketAddr, pin::Pin, sync::Arc, time::Duration};

use orbital::{
    canon::Malformed,
    certificate::Certificate,
    chain::Genesis,
    change::{Change, ChangeKind},
    codec::BadBody,
    directive::{Directive, LINKS_PER_DIRECTIVE_MAX, Warrant},
    held::Asked,
    names::TenantId,
    sign::{Kind, Signed},
};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::timeout,
};

pub use ask::ask;
pub use deliver::{Undelivered, deliver};
use seats::{Seat, Seats};

/// Largest request, in bytes of JSON.
pub const REQUEST_BYTES_MAX: usize = 1 << 20;
/// Largest answer, in bytes of JSON.
pub const ANSWER_BYTES_MAX: usize = 256 * 1024;
/// Connections at once; for one more, the oldest whose request is not whole gives way.
pub const CONNECTIONS_MAX: usize = 32;
/// Connections at once of one IPv4 address or one IPv6 /64 network; for one more, its own oldest gives way.
pub const CONNECTIONS_PER_SOURCE_MAX: usize = 4;
/// Stops that are judged at once. Signatures cost time, and whoever sends bad ones may not take it from the critical lane, whose runtime this
/// is: one thread at most.
const JUDGED_AT_ONCE_MAX: usize = 1;
/// From accept to the length that a request begins with.
pub const HEAD_TIMEOUT: Duration = Duration::from_secs(1);
/// From accept to the last byte of the request.
pub const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// To write the answer, and to let the sender read it.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of a refused request that are still read, so that the answer is not lost to a reset.
const LINGER_BYTES_MAX: u64 = 4 << 20;
/// How long they are read.
const LINGER_TIMEOUT: Duration = Duration::from_secs(2);
/// Wait after a failed accept, such as one for lack of descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Who performs a stop, and says what the region holds: custody's steward.
pub trait StopSink: Send + Sync + 'static {
    /// Takes the bytes of a stop ([`Directive::stop`]) and gives the region's signed answer. None says that the world failed (disk, memory): the
    /// tenant may be fenced, but the stop is not durable, and the sender must try again.
    fn stop(&self, directive: Vec<u8>) -> Pin<Box<dyn Future<Output = Option<Signed>> + Send>>;
    /// Which trust version the region holds, signed; none where the tenant is not known here. It changes nothing and waits for nothing.
    fn held(&self, asked: &Asked) -> Option<Signed>;
}

/// A stop as people carry it: everything that a region, or an auditor, needs to judge it. Format v1 is frozen (PROTOCOL §2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StopFile {
    pub genesis: Genesis,
    /// From version 2 of the trust root on, oldest first, and however many in a file. A request holds at most
    /// [`LINKS_PER_DIRECTIVE_MAX`] that follow each other.
    pub links: Vec<Certificate>,
    pub certificate: Certificate,
}

impl StopFile {
    /// The directive that it asks for. No signature is checked here: the region does, under its own copy of the trust chain.
    ///
    /// # Errors
    /// [`NoStop`] where the change does not read, is no stop, or is of another tenant than the genesis.
    pub fn directive(&self) -> Result<(TenantId, Directive), NoStop> {
        if self.links.len() > LINKS_PER_DIRECTIVE_MAX {
            return Err(NoStop::TooManyLinks(self.links.len()));
        }
        let change = Change::from_bytes(&self.certificate.change)?;
        let tenant = TenantId(Kind::Trust.digest(&self.genesis.root));
        if change.tenant != tenant {
            return Err(NoStop::OtherTenant { genesis: tenant, change: change.tenant });
        }
        let warrant = Warrant { tenant, links: self.links.clone(), certificate: self.certificate.clone() };
        let directive = Directive::carrying(&change.action, warrant).filter(|directive| directive.stop().is_some());
        Ok((tenant, directive.ok_or(NoStop::Grant(change.kind()))?))
    }
}

/// Why a request is no stop.
#[derive(Debug, thiserror::Error)]
pub enum NoStop {
    #[error("the change does not read: {0}")]
    Malformed(#[from] Malformed),
    #[error("{0} is no stop, and only stops are taken here")]
    Grant(ChangeKind),
    #[error("the genesis is of tenant {genesis}, the change of tenant {change}")]
    OtherTenant { genesis: TenantId, change: TenantId },
    #[error("at most {LINKS_PER_DIRECTIVE_MAX} links travel at once, found {0}")]
    TooManyLinks(usize),
    #[error("the directive does not fit: {0}")]
    TooLarge(#[from] BadBody),
}

/// The answer as it is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Answer {
    Ack(Signed),
    /// To a question of [`ask`].
    Held(Signed),
    Error(Trouble),
}

/// A refusal or fault in words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    pub what: String,
    pub why: String,
    pub fix: String,
}

/// Why a connection brought no stop.
#[derive(Debug, thiserror::Error)]
enum Failed {
    #[error("the request did not begin within {0:?}")]
    Silent(Duration),
    #[error("the request did not arrive whole within {0:?}")]
    TooSlow(Duration),
    #[error("all places are taken, and the oldest request that is not whole gives way to a new one")]
    GaveWay,
    #[error("{announced} bytes were announced, {arrived} arrived")]
    Truncated { announced: u64, arrived: u64 },
    #[error("{0} bytes were announced, and a stop has at most {REQUEST_BYTES_MAX}")]
    TooLarge(u64),
    #[error("the connection: {0}")]
    Broken(#[from] std::io::Error),
    #[error("the request is no JSON of genesis, links and certificate: {0}")]
    Unreadable(#[from] serde_json::Error),
    #[error(transparent)]
    NoStop(#[from] NoStop),
    #[error("tenant {0} is not known here")]
    Unknown(TenantId),
    #[error("the region could not make the stop durable: its disk or memory failed")]
    NotDurable,
}

impl Failed {
    fn trouble(&self) -> Trouble {
        let fix = match self {
            Self::Silent(_) | Self::TooSlow(_) | Self::GaveWay | Self::Truncated { .. } | Self::Broken(_) => {
                "send the file again, in one go"
            }
            Self::TooLarge(_) | Self::NoStop(NoStop::TooLarge(_) | NoStop::TooManyLinks(_)) => {
                "send the file with `kcm revoke deliver`, which sends the links that the region lacks in parts that fit"
            }
            Self::Unreadable(_) | Self::NoStop(NoStop::Malformed(_) | NoStop::OtherTenant { .. }) => {
                "send the file as `kcm revoke sign` wrote it"
            }
            Self::NoStop(NoStop::Grant(_)) => "send every other change to governance, with `kcm proposal`",
            Self::Unknown(_) => "check the tenant's id, and that this region serves it",
            Self::NotDurable => "look at the region's log and free its disk, then send the same file again",
        };
        Trouble { what: "the stop was not taken".to_owned(), why: self.to_string(), fix: fix.to_owned() }
    }
}

/// Who is waited for, and how long.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub connections: usize,
    pub per_source: usize,
    pub head: Duration,
    pub read: Duration,
    pub write: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS_MAX,
            per_source: CONNECTIONS_PER_SOURCE_MAX,
            head: HEAD_TIMEOUT,
            read: READ_TIMEOUT,
            write: WRITE_TIMEOUT,
        }
    }
}

/// Takes stops until `shutdown` resolves.
pub async fn serve(listener: TcpListener, sink: Arc<dyn StopSink>, limits: Limits, shutdown: impl Future<Output = ()>) {
    let seats = Seats::new(limits.connections, limits.per_source);
    let judge = Arc::new(Judge { sink, turn: Semaphore::new(JUDGED_AT_ONCE_MAX) });
    let mut connections = JoinSet::new();
    tokio::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            biased;
            () = &mut shutdown => break,
            Some(_ended) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = seats.accept(&listener) => accepted,
        };
        match accepted {
            Ok((stream, from, Some(seat))) => {
                let judge = judge.clone();
                connections.spawn(async move { converse(stream, from, seat, &judge, limits).await });
            }
            Ok((_closed, from, None)) => {
                count("crowded");
                tracing::warn!(%from, limit = limits.per_source, "stop listener: as many stops of one sender as may be are judged already");
            }
            Err(error) => {
                tracing::warn!(%error, "stop listener: accept failed; check the limit of open files");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    connections.shutdown().await;
}

async fn converse(mut stream: TcpStream, from: SocketAddr, seat: Seat, judge: &Judge, limits: Limits) {
    let received = seat.hold(receive(&mut stream, limits)).await.unwrap_or(Err(Failed::GaveWay));
    let judged = match received {
        Ok(request) if seat.keep() => judge.judge(&request, from).await,
        Ok(_) => Err(Failed::GaveWay),
        Err(why) => Err(why),
    };
    seat.yields();
    let gone = matches!(judged, Err(Failed::GaveWay));
    let answer = answer(judged, from);
    if gone {
        // Its place is another's: it is told, if that needs no waiting.
        _ = framed(&answer).and_then(|bytes| stream.try_write(&bytes));
        return;
    }
    tokio::select! {
        biased;
        () = part(&mut stream, &answer, from, limits) => {}
        () = seat.called() => {}
    }
}

fn answer(judged: Result<Answer, Failed>, from: SocketAddr) -> Answer {
    match judged {
        Ok(answer) => {
            count("answered");
            answer
        }
        Err(why) => {
            count(match why {
                Failed::NotDurable => "failed",
                Failed::GaveWay => "gave_way",
                _ => "refused",
            });
            tracing::warn!(%from, "stop listener: {why}");
            Answer::Error(why.trouble())
        }
    }
}

/// Writes the answer and lets the sender read it.
async fn part(stream: &mut TcpStream, answer: &Answer, from: SocketAddr, limits: Limits) {
    match timeout(limits.write, say(stream, answer)).await {
        Ok(Ok(())) => _ = timeout(LINGER_TIMEOUT, linger(stream)).await,
        Ok(Err(error)) => tracing::info!(%from, %error, "stop listener: the sender did not wait for its answer"),
        Err(_) => tracing::info!(%from, "stop listener: the sender did not read its answer"),
    }
}

fn count(outcome: &'static str) {
    metrics::counter!("kcm_stop_requests_total", "outcome" => outcome).increment(1);
}

/// Reads one request.
async fn receive(stream: &mut TcpStream, limits: Limits) -> Result<Vec<u8>, Failed> {
    let mut buffer = Vec::new();
    let whole = async {
        let announced = timeout(limits.head, read_length(stream, REQUEST_BYTES_MAX)).await;
        let announced = announced.map_err(|_| Failed::Silent(limits.head))??;
        read_body(stream, announced, &mut buffer).await
    };
    timeout(limits.read, whole).await.map_err(|_| Failed::TooSlow(limits.read))??;
    Ok(buffer)
}

/// Hands on what is a stop, one at a time.
struct Judge {
    sink: Arc<dyn StopSink>,
    turn: Semaphore,
}

impl Judge {
    async fn judge(&self, request: &[u8], from: SocketAddr) -> Result<Answer, Failed> {
        // It costs one signature, and waits for no stop that is judged.
        if let Some(asked) = ask::question(request) {
            return self.sink.held(&asked).map(Answer::Held).ok_or(Failed::Unknown(asked.tenant));
        }
        let _turn = self.turn.acquire().await.map_err(std::io::Error::other)?;
        let file: StopFile = serde_json::from_slice(request)?;
        let (tenant, directive) = file.directive()?;
        let bytes = directive.encode().map_err(NoStop::TooLarge)?;
        tracing::warn!(%from, %tenant, directive = directive.name(), "stop listener: a stop was handed in without governance");
        self.sink.stop(bytes).await.map(Answer::Ack).ok_or(Failed::NotDurable)
    }
}

async fn read_length<R: AsyncRead + Unpin>(stream: &mut R, most: usize) -> Result<u64, Failed> {
    let announced = u64::from(stream.read_u32().await?);
    if usize::try_from(announced).map_or(true, |length| length > most) {
        return Err(Failed::TooLarge(announced));
    }
    Ok(announced)
}

/// Reads `announced` bytes into `buffer`, which grows with what arrives and not with what was announced.
async fn read_body<R: AsyncRead + Unpin>(stream: &mut R, announced: u64, buffer: &mut Vec<u8>) -> Result<(), Failed> {
    let arrived = stream.take(announced).read_to_end(buffer).await? as u64;
    if arrived == announced { Ok(()) } else { Err(Failed::Truncated { announced, arrived }) }
}

/// Reads a length of at most `most` and as many bytes.
async fn read_frame<R: AsyncRead + Unpin>(stream: &mut R, most: usize, buffer: &mut Vec<u8>) -> Result<(), Failed> {
    let announced = read_length(stream, most).await?;
    read_body(stream, announced, buffer).await
}

/// A length and the value as JSON.
fn framed(value: &impl Serialize) -> std::io::Result<Vec<u8>> {
    let body = serde_json::to_vec(value)?;
    let length = u32::try_from(body.len()).map_err(std::io::Error::other)?;
    Ok([&length.to_be_bytes(), body.as_slice()].concat())
}

async fn say<W: AsyncWrite + Unpin>(stream: &mut W, value: &impl Serialize) -> std::io::Result<()> {
    stream.write_all(&framed(value)?).await?;
    stream.flush().await
}

/// Closes our side and reads what the sender still sends: a socket that is closed with bytes unread is reset, and the answer lost.
async fn linger(stream: &mut TcpStream) -> std::io::Result<u64> {
    stream.shutdown().await?;
    tokio::io::copy(&mut stream.take(LINGER_BYTES_MAX), &mut tokio::io::sink()).await
}
