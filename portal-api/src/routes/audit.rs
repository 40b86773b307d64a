//! `/v1/audit`: the ledger's entries in order, and a check of the whole chain.

use warp::{Filter, reply::Response};

use crate::{
    door::{Door, Route, finish, shown},
    page::{self, Ask, Page},
    problem::Problem,
};

pub(crate) fn routes(door: &Door) -> Route {
    let entries = warp::path!("audit" / "entries")
        .and(warp::get())
        .and(door.open())
        .and(page::ask(&[]))
        .then(|door: Door, ask| async move { finish(entries(&door, ask).await) });
    let verify = warp::path!("audit" / "verify")
        .and(warp::post().or(warp::get()).unify())
        .and(door.open())
        .then(|door: Door| async move { finish(verify(&door).await) });
    entries.or(verify).unify().boxed()
}

async fn entries(door: &Door, ask: Result<Ask, Problem>) -> Result<Response, Problem> {
    let ask = ask?;
    let after: u64 = match &ask.after {
        None => 0,
        Some(text) => text.parse().map_err(|_| page::refused(format!("after is `{text}`, but must be a sequence")))?,
    };
    let found = door.desk.entries(after, ask.limit).await?;
    let next = found.next.map(|sequence| sequence.to_string());
    Ok(Page { items: found.items, next }.reply("/v1/audit/entries", &ask))
}

/// The outcome is data, not an error of this call: a broken chain answers 200 with `sound: false`.
async fn verify(door: &Door) -> Result<Response, Problem> {
    Ok(shown(&door.desk.verify().await?))
}
