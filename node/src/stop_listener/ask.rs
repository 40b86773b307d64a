//! The other thing that the stop listener is asked: which trust version the region holds (PROTOCOL §3). It is the one door that is open
//! without governance, which may lie about it. Stops keep their format byte for byte; a question has a member of its own.
//!
//! ```text
//! asker  ──▶ u32 BE length · JSON {"held": {"tenant", "nonce"}}
//! region ──▶ u32 BE length · JSON {"held": Signed} or {"error": {"what", "why", "fix"}}
//! ```

use std::time::Duration;

use orbital::{
    chain::Chain,
    held::{Asked, Held},
    sign::Signed,
};
use serde::{Deserialize, Serialize};
use tokio::{net::TcpStream, time::timeout};

use super::{ANSWER_BYTES_MAX, Answer, read_frame, say};

/// Largest question, in bytes of JSON: a stop is larger, and is not read twice.
pub(super) const QUESTION_BYTES_MAX: usize = 512;
/// To reach the region, to ask, and to be answered.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    held: Asked,
}

/// The question that a request is, if it is one and no stop.
pub(super) fn question(request: &[u8]) -> Option<Asked> {
    let short = (request.len() <= QUESTION_BYTES_MAX).then_some(request)?;
    let asked = serde_json::from_slice::<Question>(short).ok()?.held;
    orbital::canon::check_nonce(&asked.nonce).ok()?;
    Some(asked)
}

/// Asks the region at `address` (`host:port`), and proves the answer with the report key that the tenant's trust chain names.
///
/// # Errors
/// In words, where no such answer came.
pub async fn ask(address: &str, asked: &Asked, chain: &Chain) -> Result<(Held, Signed), String> {
    let exchanged = timeout(ANSWER_TIMEOUT, exchange(address, asked)).await;
    let signed = match exchanged.map_err(|_| format!("no answer within {ANSWER_TIMEOUT:?}"))?? {
        Answer::Held(signed) => signed,
        Answer::Error(trouble) => return Err(format!("{}: {}; {}", trouble.what, trouble.why, trouble.fix)),
        Answer::Ack(_) => return Err("it answers as if it were a stop".to_owned()),
    };
    let region = Held::peek(&signed).map_err(|e| e.to_string())?.region;
    let trust = chain.current();
    let known = trust.regions.get(&region).ok_or_else(|| format!("{region} is no region of this tenant"))?;
    let held = Held::open(&signed, &known.report_key, asked, &trust.deployment).map_err(|e| e.to_string())?;
    Ok((held, signed))
}

async fn exchange(address: &str, asked: &Asked) -> Result<Answer, String> {
    let mut stream = TcpStream::connect(address).await.map_err(|e| e.to_string())?;
    say(&mut stream, &Question { held: asked.clone() }).await.map_err(|e| e.to_string())?;
    let mut buffer = Vec::new();
    read_frame(&mut stream, ANSWER_BYTES_MAX, &mut buffer).await.map_err(|e| e.to_string())?;
    serde_json::from_slice(&buffer).map_err(|e| format!("its answer does not read: {e}"))
}
