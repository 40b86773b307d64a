//! `/v1/proposals`: propose, try, read, answer. What is signed is signed elsewhere; nothing here can sign.

use std::{collections::BTreeSet, time::Duration};

use governance::{Filter as Which, ProposalView, Proposer, State};
use http::HeaderMap;
use orbital::{
    canon::Text,
    names::{Correlation, Digest, Person, ProposalId},
    sign::Signed,
    vote::Role,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use warp::{Filter, reply::Response};

use super::events;
use crate::{
    body::{self, Read},
    door::{self, Door, Route, Writing, accepted, correlated, finish, shown, writing},
    etag,
    page::{self, Ask},
    peer::PeerId,
    prefer,
    problem::Problem,
};

/// The body of a proposal.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Proposed {
    /// Canonical bytes of the change, base64url.
    #[serde(with = "orbital::canon::bytes")]
    change: Vec<u8>,
    proposal: Option<Signed>,
    /// Who would propose it: a dry run needs no signature.
    proposer: Option<Person>,
    /// What the proposer was shown besides, where the change names its digest.
    evidence: Option<String>,
}

/// The body of an answer.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answered {
    vote: Signed,
}

/// The body of a note.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Noted {
    text: Text,
}

/// A proposal and who may still sign it.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    view: ProposalView,
    /// Persons whose approval would count: of a group that is still missing, and not yet heard.
    may_sign: BTreeSet<Person>,
}

/// The member of the query that asks for a dry run.
const DRY_RUN: &str = "dry_run";

/// What the path says is done to a proposal.
#[derive(Clone, Copy, Debug)]
enum Deed {
    Answer(Role),
    Withdraw,
}

const DEEDS: [(&str, Deed); 5] = [
    ("approve", Deed::Answer(Role::Approve)),
    ("reject", Deed::Answer(Role::Reject)),
    ("confirm", Deed::Answer(Role::Confirm)),
    ("fire", Deed::Answer(Role::Fire)),
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
        .and(page::ask(&[DRY_RUN]))
        .and(writing())
        .and(correlated())
        .and(body::json(door.limits.body))
        .then(|door: Door, ask, writing, id, body| async move { finish(propose(&door, ask, writing, id, body).await) });
    let show = warp::path!("proposals" / String)
        .and(warp::get())
        .and(door.open())
        .and(warp::header::headers_cloned())
        .and(door::peer())
        .then(|id: String, door: Door, headers, peer| async move { finish(show(&door, &id, &headers, peer).await) });
    let probe = warp::path!("proposals" / String / "probe")
        .and(warp::post())
        .and(door.open())
        .and(writing())
        .and(correlated())
        .then(|id: String, door: Door, writing, correlation| async move {
            finish(probe(&door, &id, writing, correlation).await)
        });
    let note = warp::path!("proposals" / String / "notes")
        .and(warp::post())
        .and(door.open())
        .and(writing())
        .and(correlated())
        .and(body::json(door.limits.body))
        .then(|id: String, door: Door, writing, correlation, body| async move {
            finish(note(&door, &id, writing, correlation, body).await)
        });
    let routes = list.or(propose).unify().or(show).unify().or(probe).unify().or(note).unify();
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
        .and(writing())
        .and(correlated())
        .and(body::json(door.limits.body))
        .then(move |id: String, door: Door, writing, correlation, body| async move {
            finish(answer(&door, deed, &id, writing, correlation, body).await)
        })
        .boxed()
}

async fn list(door: &Door, ask: Result<Ask, Problem>) -> Result<Response, Problem> {
    let ask = ask?;
    let tenant = match ask.more("tenant") {
        Some(name) => Some(door.desk.tenant(name).await?.summary.id),
        None => None,
    };
    let which = Which { tenant, state: word::<State>(&ask, "state")?, kind: word(&ask, "kind")?, ..Which::default() };
    let after = page::position(&ask)?.map(|key| placed(&key)).transpose()?;
    // One more than asked for says whether there is a next page.
    let which = Which { after, limit: Some(ask.limit.saturating_add(1)), ..which };
    let page = page::cut(door.desk.proposals(which).await?, &ask, place)?;
    Ok(page.reply("/v1/proposals", &ask))
}

/// Where a proposal stands in the list: newest first, those of one moment by their ids.
fn place(view: &ProposalView) -> String {
    format!("{:020} {}", u64::MAX.saturating_sub(view.created_ms), view.id)
}

fn placed(key: &str) -> Result<(u64, ProposalId), Problem> {
    let read = key
        .split_once(' ')
        .and_then(|(from_end, id)| Some((u64::MAX.saturating_sub(from_end.parse().ok()?), ProposalId::new(id).ok()?)));
    read.ok_or_else(|| page::refused("the cursor is none of this list".to_owned()))
}

/// A member of the query that is one word of a known list.
fn word<T: DeserializeOwned>(ask: &Ask, name: &str) -> Result<Option<T>, Problem> {
    let read = |text: &str| serde_json::from_value(serde_json::Value::String(text.to_owned()));
    ask.more(name).map(read).transpose().map_err(|e| Problem::unreadable("", &format!("query member {name}: {e}")))
}

async fn propose(
    door: &Door,
    ask: Result<Ask, Problem>,
    writing: Writing,
    id: Result<Correlation, Problem>,
    body: Result<Read<Proposed>, Problem>,
) -> Result<Response, Problem> {
    let dry = dry(&ask?)?;
    let Read { value: Proposed { change, proposal, proposer, evidence }, bytes } = body?;
    let by = match (proposal, proposer) {
        (Some(signed), None) => Proposer::Signed(signed),
        (None, Some(person)) if dry => Proposer::Named(person),
        _ => return Err(unproposed(dry)),
    };
    match by {
        Proposer::Signed(signed) if !dry => {
            let (desk, id) = (writing.desk(door)?, id?);
            let work = async { Ok(taken(desk.propose(change, signed, evidence, id).await?)) };
            door.once.run(writing.call, &bytes, work).await
        }
        by => Ok(shown(&door.desk.dry_run(change, by).await?)),
    }
}

/// `?dry_run=true`.
fn dry(ask: &Ask) -> Result<bool, Problem> {
    match ask.more(DRY_RUN) {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(other) => Err(page::refused(format!("{DRY_RUN} is `{other}`, but must be true or false"))),
    }
}

fn unproposed(dry: bool) -> Problem {
    let must = match dry {
        true => "a dry run has either `proposal`, the signed statement, or `proposer`, a person's name",
        false => "a proposal has `proposal`, the proposer's signed statement; `proposer` alone is for dry runs",
    };
    Problem::unreadable("", &must)
}

async fn show(door: &Door, id: &str, headers: &HeaderMap, caller: Option<PeerId>) -> Result<Response, Problem> {
    let id = named(id)?;
    let Some(wait) = prefer::wait(headers) else {
        let view = door.desk.proposal(id).await?;
        let tag = view.tag();
        return etag::tagged(&with_signers(view), tag, headers);
    };
    let view = waited(door, id, etag::seen(headers)?, wait, caller).await?;
    let tag = view.tag();
    let mut response = etag::tagged(&with_signers(view), tag, headers)?;
    prefer::applied(&mut response, wait);
    Ok(response)
}

/// The proposal once it is another than `seen`, or than it is now; at the latest when the time is over or the listener closes.
async fn waited(
    door: &Door,
    id: ProposalId,
    seen: Option<Digest>,
    wait: Duration,
    caller: Option<PeerId>,
) -> Result<ProposalView, Problem> {
    let _share = door.watchers.take(caller).map_err(events::crowded)?;
    // Before the first look, so that nothing falls between the two.
    let (mut events, mut closing) = (door.desk.events(None), door.closing.clone());
    let mut view = door.desk.proposal(id.clone()).await?;
    let seen = seen.unwrap_or_else(|| view.tag());
    let over = tokio::time::sleep(wait);
    tokio::pin!(over);
    while view.tag() == seen {
        let event = tokio::select! {
            () = &mut over => break,
            _ = closing.wait_for(|closing| *closing) => break,
            event = events.next() => event,
        };
        let Some(event) = event else { break };
        if event.happened.concerns(&id) {
            view = door.desk.proposal(id.clone()).await?;
        }
    }
    Ok(view)
}

async fn probe(
    door: &Door,
    id: &str,
    writing: Writing,
    correlation: Result<Correlation, Problem>,
) -> Result<Response, Problem> {
    let (id, correlation, desk) = (named(id)?, correlation?, writing.desk(door)?);
    let work = async { Ok(taken(desk.probe_again(id, correlation).await?)) };
    door.once.run(writing.call, &[], work).await
}

async fn note(
    door: &Door,
    id: &str,
    writing: Writing,
    correlation: Result<Correlation, Problem>,
    body: Result<Read<Noted>, Problem>,
) -> Result<Response, Problem> {
    let (id, correlation, Read { value: Noted { text }, bytes }) = (named(id)?, correlation?, body?);
    let desk = writing.desk(door)?;
    let work = async { Ok(taken(desk.note(id, text, correlation).await?)) };
    door.once.run(writing.call, &bytes, work).await
}

async fn answer(
    door: &Door,
    deed: Deed,
    id: &str,
    writing: Writing,
    correlation: Result<Correlation, Problem>,
    body: Result<Read<Answered>, Problem>,
) -> Result<Response, Problem> {
    let (id, correlation, Read { value: Answered { vote }, bytes }) = (named(id)?, correlation?, body?);
    let desk = writing.desk(door)?;
    let work = async {
        let view = match deed {
            Deed::Answer(role) => desk.answer(id, role, vote, correlation).await?,
            Deed::Withdraw => desk.withdraw(id, vote, correlation).await?,
        };
        Ok(taken(view))
    };
    door.once.run(writing.call, &bytes, work).await
}

fn named(id: &str) -> Result<ProposalId, Problem> {
    ProposalId::new(id).map_err(|_| Problem::not_found("proposal", &id.chars().take(64).collect::<String>()))
}

fn taken(view: ProposalView) -> Response {
    let (location, tag) = (format!("/v1/proposals/{}", view.id), view.tag());
    let mut response = accepted(&with_signers(view), &location);
    etag::set(&mut response, tag);
    response
}

fn with_signers(view: ProposalView) -> Shown {
    let candidates = view.quorum.iter().flat_map(|quorum| &quorum.can_approve);
    Shown { may_sign: candidates.map(|candidate| candidate.person.clone()).collect(), view }
}
