//! `/v1/proposals`: propose, read, answer. What is signed is signed elsewhere; nothing here can sign.

use std::collections::BTreeSet;

use governance::{Filter as Which, ProposalView, State};
use orbital::{
    names::{Correlation, Person, ProposalId},
    sign::Signed,
    vote::Role,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use warp::{Filter, reply::Response};

use crate::{
    body,
    door::{Door, Route, accepted, correlated, finish, shown},
    page::{self, Ask},
    problem::Problem,
};

/// The body of a proposal.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Proposed {
    /// Canonical bytes of the change, base64url.
    #[serde(with = "orbital::canon::bytes")]
    change: Vec<u8>,
    proposal: Signed,
}

/// The body of an answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answered {
    vote: Signed,
}

/// A proposal and who may still sign it.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    view: ProposalView,
    /// Persons whose approval would count: of a group that is still missing, and not yet heard.
    may_sign: BTreeSet<Person>,
}

/// What the path says is done to a proposal.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Answer(Role),
    Withdraw,
}

const DEEDS: [(&str, Deed); 4] = [
    ("approve", Deed::Answer(Role::Approve)),
    ("reject", Deed::Answer(Role::Reject)),
    ("confirm", Deed::Answer(Role::Confirm)),
    ("withdraw", Deed::Withdraw),
];

pub(crate) fn routes(door: &Door) -> Route {
    let list = warp::path!("proposals")
        .and(warp::get())
        .and(door.open())
        .and(page::ask(&["tenant", "state", "kind"]))
        .then(|door: Door, ask| async move { finish(list(&door, ask).await) });
    let propose = warp::path!("proposals")
        .and(warp::post())
        .and(door.open())
        .and(correlated())
        .and(body::json(door.limits.body))
        .then(|door: Door, id, body| async move { finish(propose(&door, id, body).await) });
    let show = warp::path!("proposals" / String)
        .and(warp::get())
        .and(door.open())
        .then(|id: String, door: Door| async move { finish(show(&door, &id).await) });
    let probe = warp::path!("proposals" / String / "probe")
        .and(warp::post())
        .and(door.open())
        .and(correlated())
        .then(|id: String, door: Door, correlation| async move { finish(probe(&door, &id, correlation).await) });
    let routes = list.or(propose).unify().or(show).unify().or(probe).unify();
    DEEDS
        .into_iter()
        .fold(routes.boxed(), |routes, (name, deed)| routes.or(answer_route(door, name, deed)).unify().boxed())
}

fn answer_route(door: &Door, name: &'static str, deed: Deed) -> Route {
    warp::path("proposals")
        .and(warp::path::param())
        .and(warp::path(name))
        .and(warp::path::end())
        .and(warp::post())
        .and(door.open())
        .and(correlated())
        .and(body::json(door.limits.body))
        .then(move |id: String, door: Door, correlation, body| async move {
            finish(answer(&door, deed, &id, correlation, body).await)
        })
        .boxed()
}

async fn list(door: &Door, ask: Result<Ask, Problem>) -> Result<Response, Problem> {
    let ask = ask?;
    let tenant = match ask.more("tenant") {
        Some(name) => Some(door.desk.tenant(name).await?.summary.id),
        None => None,
    };
    let which = Which { tenant, state: word::<State>(&ask, "state")?, kind: word(&ask, "kind")?, limit: None };
    let page = page::cut(door.desk.proposals(which).await?, &ask, |p| p.id.to_string())?;
    Ok(page.reply("/v1/proposals", &ask))
}

/// A member of the query that is one word of a known list.
fn word<T: DeserializeOwned>(ask: &Ask, name: &str) -> Result<Option<T>, Problem> {
    let read = |text: &str| serde_json::from_value(serde_json::Value::String(text.to_owned()));
    ask.more(name).map(read).transpose().map_err(|e| Problem::unreadable("", &format!("query member {name}: {e}")))
}

async fn propose(
    door: &Door,
    id: Result<Correlation, Problem>,
    body: Result<Proposed, Problem>,
) -> Result<Response, Problem> {
    let body = body?;
    taken(door, door.desk.propose(body.change, body.proposal, id?).await?).await
}

async fn show(door: &Door, id: &str) -> Result<Response, Problem> {
    let view = door.desk.proposal(named(id)?).await?;
    Ok(shown(&with_signers(door, view).await?))
}

async fn probe(door: &Door, id: &str, correlation: Result<Correlation, Problem>) -> Result<Response, Problem> {
    taken(door, door.desk.probe_again(named(id)?, correlation?).await?).await
}

async fn answer(
    door: &Door,
    deed: Deed,
    id: &str,
    correlation: Result<Correlation, Problem>,
    body: Result<Answered, Problem>,
) -> Result<Response, Problem> {
    let (id, correlation, vote) = (named(id)?, correlation?, body?.vote);
    let view = match deed {
        Deed::Answer(role) => door.desk.answer(id, role, vote, correlation).await?,
        Deed::Withdraw => door.desk.withdraw(id, vote, correlation).await?,
    };
    taken(door, view).await
}

fn named(id: &str) -> Result<ProposalId, Problem> {
    ProposalId::new(id).map_err(|_| Problem::not_found("proposal", &id.chars().take(64).collect::<String>()))
}

async fn taken(door: &Door, view: ProposalView) -> Result<Response, Problem> {
    let location = format!("/v1/proposals/{}", view.id);
    Ok(accepted(&with_signers(door, view).await?, &location))
}

async fn with_signers(door: &Door, view: ProposalView) -> Result<Shown, Problem> {
    if view.missing.is_empty() || view.state != State::Open {
        return Ok(Shown { view, may_sign: BTreeSet::new() });
    }
    let trust = door.desk.tenant(&view.tenant.to_string()).await?.trust_root;
    let heard = |person: &Person| *person == view.proposer || view.approvals.iter().any(|v| v.person == *person);
    let may_sign = trust
        .actors
        .iter()
        .filter(|(person, actor)| !heard(person) && view.missing.iter().any(|g| actor.groups.contains(g)))
        .map(|(person, _)| person.clone())
        .collect();
    Ok(Shown { view, may_sign })
}
