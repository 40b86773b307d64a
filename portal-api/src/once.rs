//! `Idempotency-Key`: a call that was sent twice is done once, and both get the same answer.
//!
//! What was done is remembered here for a day, within limits for each caller and for all. What was refused wrote nothing and is not
//! remembered. Beyond that, and over a restart, the ledger knows: the same proposal, the same signed answer and the same genesis are taken
//! once, and who sends them again is told how they stand.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use tokio::time::Instant;
use warp::reply::{Reply, Response};

use crate::{limits::OnceLimits, peer::PeerId, problem::Problem};

const HEADER: HeaderName = HeaderName::from_static("idempotency-key");
/// Says that an answer is the one from before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");
/// Longest key, in bytes.
const KEY_BYTES_MAX: usize = 128;
/// Headers of an answer that are part of it.
const KEPT_HEADERS: [HeaderName; 3] = [header::CONTENT_TYPE, header::LOCATION, header::ETAG];

/// A caller's key.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Slot {
    caller: Option<PeerId>,
    key: Arc<str>,
}

/// A good answer, as it was sent.
#[derive(Clone, Debug)]
struct Stored {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Stored {
    fn response(self) -> Response {
        let mut response = warp::reply::with_status(Vec::from(self.body), self.status).into_response();
        response.headers_mut().extend(self.headers);
        response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
        response
    }
}

#[derive(Debug)]
struct Row {
    /// Method, path and body of the call.
    call: [u8; 32],
    serial: u64,
    since: Instant,
    /// None while it is being done.
    answer: Option<Stored>,
}

#[derive(Debug, Default)]
struct Kept {
    rows: HashMap<Slot, Row>,
    /// Oldest first; those whose row is gone or another are skipped.
    order: VecDeque<(Slot, u64)>,
    held: HashMap<Option<PeerId>, (usize, usize)>,
    bytes: usize,
    serial: u64,
}

/// What is remembered of calls with a key.
#[derive(Debug)]
pub(crate) struct Once {
    kept: Mutex<Kept>,
    limits: OnceLimits,
}

/// A call as far as its key goes.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    slot: Result<Option<Slot>, Problem>,
    place: String,
}

impl Call {
    /// `place` is the method and the path.
    pub(crate) fn of(headers: &HeaderMap, caller: Option<PeerId>, place: String) -> Self {
        let slot = key(headers).map(|key| key.map(|key| Slot { caller, key }));
        Self { slot, place }
    }

    pub(crate) fn has_key(&self) -> bool {
        matches!(self.slot, Ok(Some(_)))
    }
}

fn key(headers: &HeaderMap) -> Result<Option<Arc<str>>, Problem> {
    let mut values = headers.get_all(&HEADER).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let text = value.to_str().ok().filter(|_| values.next().is_none()).map(|text| text.trim().trim_matches('"'));
    match text.filter(|t| (1..=KEY_BYTES_MAX).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_graphic())) {
        Some(text) => Ok(Some(text.into())),
        None => Err(Problem::new(400, "bad-idempotency-key", "The idempotency key is not usable")
            .detail(format!(
                "header idempotency-key must be given once, with 1 to {KEY_BYTES_MAX} visible ASCII characters"
            ))
            .fix("send a new random key with each new call, such as a UUID, and the same one only with the same call")),
    }
}

impl Once {
    pub(crate) fn new(limits: OnceLimits) -> Arc<Self> {
        Arc::new(Self { kept: Mutex::default(), limits })
    }

    /// Does the work, or gives the answer that it had. Without a key, it just does it.
    pub(crate) async fn run(
        self: &Arc<Self>,
        call: Call,
        body: &[u8],
        work: impl Future<Output = Result<Response, Problem>>,
    ) -> Result<Response, Problem> {
        let Call { slot, place } = call;
        let Some(slot) = slot? else { return work.await };
        let fingerprint = Sha256::new().chain_update(place).chain_update([0]).chain_update(body).finalize().into();
        let claim = match self.begin(slot, fingerprint)? {
            Begun::Before(stored) => return Ok(stored.response()),
            Begun::Now(claim) => claim,
        };
        // Dropped without an answer, refused or cut off: the key is free again.
        let response = work.await?;
        claim.keep(response).await
    }

    // Whole after every call below, so a panic elsewhere leaves nothing half done.
    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn begin(self: &Arc<Self>, slot: Slot, call: [u8; 32]) -> Result<Begun, Problem> {
        let mut kept = self.kept();
        let now = Instant::now();
        kept.forget_before(now, self.limits.kept);
        if let Some(row) = kept.rows.get(&slot) {
            return match &row.answer {
                _ if row.call != call => Err(reused(&slot.key)),
                Some(answer) => Ok(Begun::Before(answer.clone())),
                None => Err(running(&slot.key)),
            };
        }
        kept.make_room(&slot.caller, &self.limits, 0)?;
        let serial = kept.enter(slot.clone(), call, now);
        Ok(Begun::Now(Claim { of: Arc::clone(self), slot, serial }))
    }
}

enum Begun {
    Now(Claim),
    Before(Stored),
}

/// A key whose call is being done.
struct Claim {
    of: Arc<Once>,
    slot: Slot,
    serial: u64,
}

impl Claim {
    /// Remembers a good answer and gives it back.
    async fn keep(self, response: Response) -> Result<Response, Problem> {
        if !response.status().is_success() {
            return Ok(response);
        }
        let (parts, body) = response.into_parts();
        let body = body.collect().await.map_err(|why| Problem::fault("an answer", &why))?.to_bytes();
        let mut headers = HeaderMap::new();
        headers.extend(KEPT_HEADERS.iter().filter_map(|name| Some((name.clone(), parts.headers.get(name)?.clone()))));
        let stored = Stored { status: parts.status, headers, body: body.clone() };
        self.of.kept().answer(&self.slot, self.serial, stored, &self.of.limits);
        let mut response = Vec::from(body).into_response();
        (*response.status_mut(), *response.headers_mut()) = (parts.status, parts.headers);
        Ok(response)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut kept = self.of.kept();
        if kept.rows.get(&self.slot).is_some_and(|row| row.serial == self.serial && row.answer.is_none()) {
            kept.remove(&self.slot);
        }
    }
}

impl Kept {
    fn enter(&mut self, slot: Slot, call: [u8; 32], since: Instant) -> u64 {
        self.serial = self.serial.wrapping_add(1);
        let serial = self.serial;
        self.held.entry(slot.caller.clone()).or_default().0 += 1;
        self.order.push_back((slot.clone(), serial));
        self.rows.insert(slot, Row { call, serial, since, answer: None });
        serial
    }

    /// An answer that is too large is not remembered: the ledger still knows what was done.
    fn answer(&mut self, slot: &Slot, serial: u64, stored: Stored, limits: &OnceLimits) {
        let size = stored.body.len();
        if size > limits.answer_bytes || self.make_room(&slot.caller, limits, size).is_err() {
            return;
        }
        let Some(row) = self.rows.get_mut(slot).filter(|row| row.serial == serial) else { return };
        row.answer = Some(stored);
        self.bytes += size;
        if let Some(held) = self.held.get_mut(&slot.caller) {
            held.1 += size;
        }
    }

    /// Room for one key more, or for the bytes of an answer: the caller's own oldest answers go first, then the oldest of all. What is
    /// being done stays.
    fn make_room(&mut self, caller: &Option<PeerId>, limits: &OnceLimits, size: usize) -> Result<(), Problem> {
        let one = usize::from(size == 0);
        loop {
            let (keys, bytes) = self.held.get(caller).copied().unwrap_or_default();
            let own = keys + one > limits.keys_per_caller || bytes + size > limits.bytes_per_caller;
            let all = self.rows.len() + one > limits.keys || self.bytes + size > limits.bytes;
            if !own && !all {
                return Ok(());
            }
            let answered = |(slot, serial): &&(Slot, u64)| {
                (!own || slot.caller == *caller)
                    && self.rows.get(slot).is_some_and(|row| row.serial == *serial && row.answer.is_some())
            };
            let Some((oldest, _)) = self.order.iter().find(answered).cloned() else { return Err(full(limits)) };
            self.remove(&oldest);
        }
    }

    fn forget_before(&mut self, now: Instant, kept: Duration) {
        while let Some((slot, serial)) = self.order.front().cloned() {
            let row = self.rows.get(&slot).filter(|row| row.serial == serial);
            match row {
                Some(row) if row.answer.is_none() || now.saturating_duration_since(row.since) <= kept => return,
                Some(_) => self.remove(&slot),
                None => _ = self.order.pop_front(),
            }
        }
    }

    fn remove(&mut self, slot: &Slot) {
        let Some(row) = self.rows.remove(slot) else { return };
        let size = row.answer.map_or(0, |answer| answer.body.len());
        self.order.retain(|(_, serial)| *serial != row.serial);
        self.bytes = self.bytes.saturating_sub(size);
        if let Some(held) = self.held.get_mut(&slot.caller) {
            *held = (held.0.saturating_sub(1), held.1.saturating_sub(size));
            if held.0 == 0 {
                self.held.remove(&slot.caller);
            }
        }
    }
}

fn reused(key: &str) -> Problem {
    Problem::new(422, "idempotency-key-reused", "The idempotency key belongs to another call")
        .detail(format!("key {key} was sent before with another method, path or body"))
        .fix("send a new key with a new call; to repeat a call, send exactly its bytes")
}

fn running(key: &str) -> Problem {
    Problem::new(409, "idempotency-key-busy", "This call is being done")
        .detail(format!("a call with key {key} has begun and has no answer yet"))
        .fix("wait a moment and send it again, with the same key")
}

fn full(limits: &OnceLimits) -> Problem {
    Problem::new(429, "too-many-idempotency-keys", "A limit is reached")
        .detail(format!(
            "one caller has at most {} calls with a key under way, all callers {}",
            limits.keys_per_caller, limits.keys
        ))
        .fix("wait for the answers, or send the call without a key")
}

#[cfg(test)]
mod tests;
