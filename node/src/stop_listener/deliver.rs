//! The sender's side: hands a stop to one region and proves its answer. `kcm revoke deliver` uses it; no part of governance is needed.
//!
//! A file holds every link since the genesis, and is as long as it must be; a request is bounded. So the newest links that fit go first,
//! which is all that a region needs that is up to date: it stops at once. A region further behind refuses, its signed refusal says which
//! version it holds, and the links from there on follow in parts, each with the same certificate. The region follows the links of every
//! part, refuses all but the last, and stops with that.

use std::time::Duration;

use orbital::{
    certificate::Certificate,
    chain::Chain,
    change::Change,
    directive::{Directive, LINKS_PER_DIRECTIVE_MAX},
    names::Digest,
    report::{Outcome, SyncAck},
    sign::Signed,
};
use tokio::{net::TcpStream, time::timeout};

use super::{ANSWER_BYTES_MAX, Answer, REQUEST_BYTES_MAX, StopFile, Trouble, read_frame, say};

/// Bytes of links in one request, as JSON: half of it, the rest is for genesis and certificate.
const LINKS_BYTES_MAX: usize = REQUEST_BYTES_MAX / 2;
/// To reach the region.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// To send the stop.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);
/// Until the answer is there: the region waits for borrows to end and for its disk.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Why no proof of the stop came back. Unless it says that nothing was sent, the region may have stopped all the same.
#[derive(Debug, thiserror::Error)]
pub enum Undelivered {
    #[error("nothing was sent: the stop file does not hold: {0}; gather it anew with `kcm revoke sign`")]
    Unsound(String),
    #[error(
        "a part of the stop with a single link has {0} bytes, at most {REQUEST_BYTES_MAX} travel; have the stop proposed at governance"
    )]
    TooLarge(usize),
    #[error("nothing was sent: {address} was not reached: {why}; check the region's stop address in the topology")]
    Unreached { address: String, why: String },
    #[error("{address} did not take or answer the stop: {why}; send it again, it does no harm twice")]
    Broken { address: String, why: String },
    #[error("{}: {}; {}", .0.what, .0.why, .0.fix)]
    Refused(Trouble),
    #[error(
        "the answer of {address} proves nothing: {why}; check the address, then ask the region itself (`/readyz`, its log)"
    )]
    Unproven { address: String, why: String },
}

/// Hands `file` to the stop listener at `address` (`host:port`), in parts where the region lacks more links than travel at once, and gives
/// the region's last SyncAck, its signature verified with the report key that the file's trust chain names. [`SyncAck::peek`] reads it; its
/// outcome may still be a refusal by the region.
///
/// # Errors
/// [`Undelivered`] where no such answer came.
pub async fn deliver(address: &str, file: &StopFile) -> Result<Signed, Undelivered> {
    let chain = chain(file).map_err(Undelivered::Unsound)?;
    let newest = newest(&file.links);
    let left_out = file.links.len() - newest.len();
    let answer = hand_over(address, &part(file, newest), &chain).await?;
    let said = SyncAck::peek(&answer).map_err(|e| Undelivered::Unsound(e.to_string()))?;
    // The first link makes version 2. A region that holds none knows no such tenant, and links do not help it.
    let held = usize::try_from(said.trust_version).unwrap_or(usize::MAX);
    let lacks = held.checked_sub(1).filter(|held| said.outcome == Outcome::Refused && *held < left_out);
    let Some(missing) = lacks.and_then(|held| file.links.get(held..)) else { return Ok(answer) };
    let (mut missing, mut answer) = (missing, answer);
    while !missing.is_empty() {
        let (next, rest) = missing.split_at(fit(missing.iter()));
        answer = hand_over(address, &part(file, next), &chain).await?;
        missing = rest;
    }
    Ok(answer)
}

/// How many of these links travel at once, at least one.
fn fit<'l>(links: impl Iterator<Item = &'l Certificate>) -> usize {
    let mut bytes = 0_usize;
    let fits = |link: &&Certificate| {
        // What cannot be written is found when it is sent.
        bytes = bytes.saturating_add(serde_json::to_vec(link).map_or(0, |json| json.len() + 1));
        bytes <= LINKS_BYTES_MAX
    };
    links.take(LINKS_PER_DIRECTIVE_MAX).take_while(fits).count().max(1)
}

/// The newest links that travel at once.
fn newest(links: &[Certificate]) -> &[Certificate] {
    links.split_at(links.len().saturating_sub(fit(links.iter().rev()))).1
}

fn part(file: &StopFile, links: &[Certificate]) -> StopFile {
    StopFile { genesis: file.genesis.clone(), links: links.to_vec(), certificate: file.certificate.clone() }
}

/// Sends one request, and proves the answer to it.
async fn hand_over(address: &str, part: &StopFile, chain: &Chain) -> Result<Signed, Undelivered> {
    let unsound = |why: String| Undelivered::Unsound(why);
    let size = serde_json::to_vec(part).map_err(|e| unsound(e.to_string()))?.len();
    if size > REQUEST_BYTES_MAX {
        return Err(Undelivered::TooLarge(size));
    }
    let (_, directive) = part.directive().map_err(|e| unsound(e.to_string()))?;
    let directive = Directive::digest_of(&directive.encode().map_err(|e| unsound(e.to_string()))?);
    let change = Change::digest_of(&part.certificate.change);
    let unreached = |why: String| Undelivered::Unreached { address: address.to_owned(), why };
    let mut stream = match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(unreached(error.to_string())),
        Err(_) => return Err(unreached(format!("no answer within {CONNECT_TIMEOUT:?}"))),
    };
    match exchange(&mut stream, part).await.map_err(|why| Undelivered::Broken { address: address.to_owned(), why })? {
        Answer::Error(trouble) => Err(Undelivered::Refused(trouble)),
        Answer::Held(_) => {
            Err(Undelivered::Unproven { address: address.to_owned(), why: "it answers another question".to_owned() })
        }
        Answer::Ack(ack) => {
            prove(&ack, chain, directive, change)
                .map_err(|why| Undelivered::Unproven { address: address.to_owned(), why })?;
            Ok(ack)
        }
    }
}

/// The trust chain of the file, verified from its genesis on.
fn chain(file: &StopFile) -> Result<Chain, String> {
    let founded = file.genesis.found().map_err(|e| e.to_string())?;
    let extended = file.links.iter().try_fold(founded, |chain, link| chain.extend(link).map(|(longer, _)| longer));
    extended.map_err(|e| e.to_string())
}

async fn exchange(stream: &mut TcpStream, file: &StopFile) -> Result<Answer, String> {
    let sent = timeout(SEND_TIMEOUT, say(stream, file)).await.map_err(|_| "it did not read in time".to_owned())?;
    // An error of ours while sending may have an answer of theirs behind it, such as that there is no room.
    let mut buffer = Vec::new();
    let read = timeout(ANSWER_TIMEOUT, read_frame(stream, ANSWER_BYTES_MAX, &mut buffer)).await;
    match (read, sent) {
        (Ok(Ok(())), _) => serde_json::from_slice(&buffer).map_err(|e| format!("its answer does not read: {e}")),
        (_, Err(error)) => Err(error.to_string()),
        (Ok(Err(why)), Ok(())) => Err(why.to_string()),
        (Err(_), Ok(())) => Err(format!("no answer within {ANSWER_TIMEOUT:?}")),
    }
}

/// That this answer is the region's own, and to this stop: it names the directive, or the change that is in force.
fn prove(signed: &Signed, chain: &Chain, directive: Digest, change: Digest) -> Result<(), String> {
    let claimed = SyncAck::peek(signed).map_err(|e| e.to_string())?.region;
    let known = chain.region(&claimed);
    let key = known.ok_or_else(|| format!("{claimed} is no region of this tenant"))?.report_key;
    let ack = SyncAck::open(signed, &key).map_err(|e| e.to_string())?;
    let in_force = ack.outcome == Outcome::Applied && ack.change == Some(change);
    match () {
        () if ack.tenant != chain.tenant() => Err("it speaks of another tenant".to_owned()),
        () if ack.deployment != chain.current().deployment => Err("it speaks of another deployment".to_owned()),
        () if !in_force && ack.directive != directive => Err("it answers another directive".to_owned()),
        () => Ok(()),
    }
}
