//! The sender's side: hands a stop to one region and proves its answer. `kcm revoke sign` uses it; no part of governance is needed.

use std::time::Duration;

use orbital::{
    chain::Chain,
    change::Change,
    directive::Directive,
    names::Digest,
    report::{Outcome, SyncAck},
    sign::Signed,
};
use tokio::{net::TcpStream, time::timeout};

use super::{ANSWER_BYTES_MAX, Answer, REQUEST_BYTES_MAX, StopFile, Trouble, read_frame, say};

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
        "nothing was sent: the stop has {0} bytes, at most {REQUEST_BYTES_MAX} travel; leave out links the region has"
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

/// Hands `file` to the stop listener at `address` (`host:port`) and gives the region's SyncAck, its signature verified with the report key
/// that the file's trust chain names. [`SyncAck::peek`] reads it; its outcome may still be a refusal by the region.
///
/// # Errors
/// [`Undelivered`] where no such answer came.
pub async fn deliver(address: &str, file: &StopFile) -> Result<Signed, Undelivered> {
    let unsound = |why: String| Undelivered::Unsound(why);
    let (_, directive) = file.directive().map_err(|e| unsound(e.to_string()))?;
    let directive = Directive::digest_of(&directive.encode().map_err(|e| unsound(e.to_string()))?);
    let change = Change::digest_of(&file.certificate.change);
    let chain = chain(file).map_err(unsound)?;
    let size = serde_json::to_vec(file).map_err(|e| unsound(e.to_string()))?.len();
    if size > REQUEST_BYTES_MAX {
        return Err(Undelivered::TooLarge(size));
    }
    let unreached = |why: String| Undelivered::Unreached { address: address.to_owned(), why };
    let mut stream = match timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Err(unreached(error.to_string())),
        Err(_) => return Err(unreached(format!("no answer within {CONNECT_TIMEOUT:?}"))),
    };
    match exchange(&mut stream, file).await.map_err(|why| Undelivered::Broken { address: address.to_owned(), why })? {
        Answer::Error(trouble) => Err(Undelivered::Refused(trouble)),
        Answer::Ack(ack) => {
            prove(&ack, &chain, directive, change)
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
    let known = chain.current().regions.get(&claimed);
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
