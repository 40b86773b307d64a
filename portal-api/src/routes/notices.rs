//! `/v1/notices` and what a tenant routes: who is told of what, what became of each delivery, and trying the way. A routing is changed by a
//! proposal like everything else.

use governance::notify::{Delivery, DeliveryFilter};
use orbital::names::Channel;
use serde::Serialize;
use warp::{Filter, reply::Response};

use super::tenants;
use crate::{
    door::{Door, Route, accepted, finish, shown},
    page::{self, Ask},
    problem::Problem,
};

/// What a test became.
#[derive(Debug, Serialize)]
struct Tried {
    items: Vec<Delivery>,
}

pub(crate) fn routes(door: &Door) -> Route {
    let routing = warp::path!("tenants" / String / "routing")
        .and(warp::get())
        .and(door.open())
        .then(|tenant: String, door: Door| async move { finish(routing(&door, &tenant).await) });
    let test = warp::path!("tenants" / String / "notices:test")
        .and(warp::post())
        .and(door.open())
        .and(page::ask(&["channel"]))
        .then(|tenant: String, door: Door, ask| async move { finish(test(&door, &tenant, ask).await) });
    let list = warp::path!("notices")
        .and(warp::get())
        .and(door.open())
        .and(page::ask(&["tenant", "channel", "state"]))
        .then(|door: Door, ask| async move { finish(list(&door, ask).await) });
    let replay = warp::path!("notices" / String / "replay")
        .and(warp::post())
        .and(door.open())
        .then(|id: String, door: Door| async move { finish(replay(&door, &id).await) });
    routing.or(test).unify().or(list).unify().or(replay).unify().boxed()
}

async fn routing(door: &Door, tenant: &str) -> Result<Response, Problem> {
    Ok(shown(&door.desk.routing(tenant).await?))
}

async fn test(door: &Door, tenant: &str, ask: Result<Ask, Problem>) -> Result<Response, Problem> {
    let items = door.desk.test_notice(tenant, channel(&ask?)?).await?;
    Ok(accepted(&Tried { items }, "/v1/notices"))
}

async fn list(door: &Door, ask: Result<Ask, Problem>) -> Result<Response, Problem> {
    let ask = ask?;
    let state = ask.more("state").map(str::parse).transpose();
    let filter = DeliveryFilter {
        tenant: match ask.more("tenant") {
            Some(tenant) => Some(tenants::view(door, tenant).await?.summary.id),
            None => None,
        },
        channel: channel(&ask)?,
        state: state.map_err(|why: String| page::refused(format!("state: {why}")))?,
    };
    // Newest first.
    let key = |delivery: &Delivery| format!("{:020}\n{}", u64::MAX - delivery.created_ms, delivery.id);
    Ok(page::cut(door.desk.deliveries(filter).await?, &ask, key)?.reply("/v1/notices", &ask))
}

async fn replay(door: &Door, id: &str) -> Result<Response, Problem> {
    Ok(accepted(&door.desk.replay(id).await?, "/v1/notices"))
}

fn channel(ask: &Ask) -> Result<Option<Channel>, Problem> {
    let named = ask.more("channel").map(Channel::new).transpose();
    named.map_err(|why| page::refused(format!("channel: {why}")))
}
