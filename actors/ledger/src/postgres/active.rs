//! One node of several is active: the lock that decides it, the term that proves it, and the watch that notices its loss.

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{
    Inner, LOCK_MS_MAX, Standing,
    rows::{self, Trouble},
    session::Session,
};
use crate::{LedgerError, TERM};

/// The advisory lock of the active node: "openkcm" in ASCII. One ledger a database, so one number.
const LOCK: i64 = 0x6f_70_65_6e_6b_63_6d;
/// How often the active node asks whether it still is.
const WATCH_MS: u64 = 2_000;
/// How long the answer may take.
const WATCH_ANSWER_MS_MAX: u64 = 3_000;
/// After this long without an answer the node steps down: before the server gives its lock away ([`LOCK_MS_MAX`]).
const UNCONFIRMED_MS_MAX: u64 = 10_000;

/// A session for the lock, and whether it has it. `kept` is the one that was used before.
async fn lock(inner: &Inner, kept: Option<Session>) -> Result<(Session, bool), LedgerError> {
    let told = |e: tokio_postgres::Error| inner.options.told(&e);
    let session = match kept {
        Some(session) => session,
        None => {
            let session = inner.options.sign_in().await?;
            session.client.batch_execute(&format!("set idle_session_timeout = {LOCK_MS_MAX}")).await.map_err(told)?;
            session
        }
    };
    let row = session.client.query_one("select pg_try_advisory_lock($1)", &[&LOCK]).await.map_err(told)?;
    let got = row.get(0);
    Ok((session, got))
}

pub(super) async fn try_take(inner: &Arc<Inner>) -> Result<Option<u64>, LedgerError> {
    let mut held = inner.lock.lock().await;
    let standing = inner.standing.borrow().clone();
    if standing != Standing::Second {
        return inner.active().map(Some);
    }
    let asked = timeout(Duration::from_millis(LOCK_MS_MAX), lock(inner, held.take())).await;
    let (mut session, got) = asked.map_err(|_| inner.away("no answer in time"))??;
    if !got {
        *held = Some(session);
        return Ok(None);
    }
    let taken = timeout(Duration::from_millis(LOCK_MS_MAX), raise(&mut session, &inner.options.node)).await;
    let taken = taken.map_err(|_| inner.away("the term was not raised in time"))?;
    let (term, tip) = taken.map_err(|trouble| inner.told_of(trouble))?;
    inner.pen.lock().await.known = Some(tip);
    *held = Some(session);
    inner.standing.send_replace(Standing::Active(term));
    tokio::spawn(watch(Arc::clone(inner), term));
    Ok(Some(term))
}

/// A new term, durable before anybody acts under it. It waits for an append of the node before to end.
async fn raise(session: &mut Session, node: &str) -> Result<(u64, crate::codec::Tip), Trouble> {
    let transaction = session.client.transaction().await?;
    let (before, tip) = rows::own(&transaction).await?;
    // One that was put back comes after every term that there may have been.
    let asked = "select value from openkcm.meta where key = $1";
    let put_back = transaction.query_opt(asked, &[&TERM.as_bytes()]).await?;
    let put_back = put_back.and_then(|row| row.get::<_, &[u8]>(0).try_into().ok()).map_or(0, u64::from_be_bytes);
    let term = before.max(put_back).saturating_add(1);
    transaction.execute("update openkcm.ledger set term = $1", &[&rows::signed(term)?]).await?;
    let begun = "insert into openkcm.terms (term, node, batches) values ($1, $2, $3)";
    transaction.execute(begun, &[&rows::signed(term)?, &node, &rows::signed(tip.batches)?]).await?;
    transaction.commit().await?;
    Ok((term, tip))
}

/// Asks again and again, until the node is active no more.
async fn watch(inner: Arc<Inner>, term: u64) {
    let mut told = inner.standing.subscribe();
    let mut confirmed = Instant::now();
    loop {
        tokio::select! {
            () = sleep(Duration::from_millis(WATCH_MS)) => {}
            _over = told.wait_for(|standing| *standing != Standing::Active(term)) => return,
        }
        let asked = Instant::now();
        let until = confirmed + Duration::from_millis(UNCONFIRMED_MS_MAX);
        let why = match timeout_at(until, confirm(&inner, term)).await {
            Ok(Ok(true)) => {
                confirmed = asked;
                continue;
            }
            Ok(Ok(false)) => "another node became active".to_owned(),
            Ok(Err(_)) if Instant::now() < until => continue,
            Ok(Err(why)) => format!("whether this node is still the active one could not be asked: {why}"),
            Err(_) => "whether this node is still the active one was not answered in time".to_owned(),
        };
        inner.depose(&why);
        return;
    }
}

async fn confirm(inner: &Inner, term: u64) -> Result<bool, LedgerError> {
    let mut held = inner.lock.lock().await;
    let answer = Duration::from_millis(WATCH_ANSWER_MS_MAX);
    if let Some(session) = held.as_ref()
        && let Ok(Ok(found)) = timeout(answer, found(session)).await
    {
        return Ok(found == term);
    }
    // The lock went with its session. Nobody else was active meanwhile if the term is still ours.
    *held = None;
    let asked = timeout(answer, lock(inner, None)).await;
    let (session, got) = asked.map_err(|_| inner.away("no answer in time"))??;
    let ours = found(&session).await.map_err(|trouble| inner.told_of(trouble))? == term;
    if ours && !got {
        return Err(inner.away("the server still keeps the lock for a session that is gone"));
    }
    *held = Some(session);
    Ok(ours)
}

pub(super) async fn found(session: &Session) -> Result<u64, Trouble> {
    let row = session.client.query_one("select term from openkcm.ledger", &[]).await?;
    rows::number(&row, 0)
}
