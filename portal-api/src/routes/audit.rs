//! `/v1/audit`: the ledger's entries in order, a check of the whole chain, checkpoints, and proofs for whoever holds one.

use std::convert::Infallible;

use governance::Sought;
use orbital::names::TenantId;
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
        .and(page::ask(&["kind", "tenant", "person", "from_ms", "to_ms"]))
        .then(|door: Door, ask| async move { finish(entries(&door, ask).await) });
    let verify = warp::path!("audit" / "verify")
        .and(warp::post().or(warp::get()).unify())
        .and(door.open())
        .then(|door: Door| async move { finish(verify(&door).await) });
    let checkpoint = warp::path!("audit" / "checkpoint")
        .and(warp::get())
        .and(door.open())
        .then(|door: Door| async move { finish(checkpoint(&door).await) });
    let consistency = warp::path!("audit" / "consistency")
        .and(warp::get())
        .and(door.open())
        .and(numbers(&["old", "new"]))
        .then(|door: Door, asked| async move { finish(consistency(&door, asked).await) });
    let inclusion = warp::path!("audit" / "inclusion")
        .and(warp::get())
        .and(door.open())
        .and(numbers(&["sequence", "size"]))
        .then(|door: Door, asked| async move { finish(inclusion(&door, asked).await) });
    entries.or(verify).unify().or(checkpoint).unify().or(consistency).unify().or(inclusion).unify().boxed()
}

/// What a query says of two numbers, in the order of their names.
type Numbers = [Option<u64>; 2];

fn numbers(
    known: &'static [&'static str; 2],
) -> impl Filter<Extract = (Result<Numbers, Problem>,), Error = Infallible> + Clone + Send {
    let raw = warp::query::raw().or(warp::any().map(String::new)).unify();
    raw.map(move |query: String| read_numbers(&query, known))
}

fn read_numbers(query: &str, known: &[&str; 2]) -> Result<Numbers, Problem> {
    let mut read = [None; 2];
    for pair in query.split('&').filter(|p| !p.is_empty()) {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let place = known.iter().zip(&mut read).find(|(known, _)| **known == name).map(|(_, place)| place);
        let number = value.parse().ok().filter(|number: &u64| number.to_string() == value);
        match place.zip(number) {
            Some((place @ None, number)) => *place = Some(number),
            _ => {
                return Err(page::refused(format!(
                    "`{pair}` is not understood; known are {}, numbers, once each",
                    known.join(" and ")
                )));
            }
        }
    }
    Ok(read)
}

fn needed(number: Option<u64>, name: &str) -> Result<u64, Problem> {
    number.ok_or_else(|| page::refused(format!("{name} is missing: it is a number of entries, or an entry's sequence")))
}

async fn entries(door: &Door, ask: Result<Ask, Problem>) -> Result<Response, Problem> {
    let ask = ask?;
    let after: u64 = match &ask.after {
        None => 0,
        Some(text) => text.parse().map_err(|_| page::refused(format!("after is `{text}`, but must be a sequence")))?,
    };
    let found = door.desk.entries(sought(&ask)?, after, ask.limit).await?;
    let next = found.next.map(|sequence| sequence.to_string());
    Ok(Page { items: found.items, next }.reply("/v1/audit/entries", &ask))
}

fn sought(ask: &Ask) -> Result<Sought, Problem> {
    let text = |name| ask.more(name).map(str::to_owned);
    let moment = |name| {
        let read = |text: &str| {
            text.parse().map_err(|_| page::refused(format!("{name} is `{text}`, but must be Unix milliseconds")))
        };
        ask.more(name).map(read).transpose()
    };
    if let Some(tenant) = ask.more("tenant").filter(|tenant| tenant.parse::<TenantId>().is_err()) {
        return Err(page::refused(format!("tenant is `{tenant}`, but must be an id: entries bear no names")));
    }
    let (kind, subject, person) = (text("kind"), text("tenant"), text("person"));
    Ok(Sought { kind, subject, person, from_ms: moment("from_ms")?, to_ms: moment("to_ms")? })
}

/// The outcome is data, not an error of this call: a broken chain answers 200 with `sound: false`.
async fn verify(door: &Door) -> Result<Response, Problem> {
    Ok(shown(&door.desk.verify().await?))
}

async fn checkpoint(door: &Door) -> Result<Response, Problem> {
    Ok(shown(&door.desk.checkpoint().await?))
}

async fn consistency(door: &Door, asked: Result<Numbers, Problem>) -> Result<Response, Problem> {
    let [old, new] = asked?;
    Ok(shown(&door.desk.consistency(needed(old, "old")?, needed(new, "new")?).await?))
}

async fn inclusion(door: &Door, asked: Result<Numbers, Problem>) -> Result<Response, Problem> {
    let [sequence, size] = asked?;
    Ok(shown(&door.desk.inclusion(needed(sequence, "sequence")?, size).await?))
}
