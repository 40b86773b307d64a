//! `/v1/tenants/{tenant}/actors`: the persons of the current trust root, their groups and public keys.

use std::collections::{BTreeMap, BTreeSet};

use orbital::{
    names::{Group, KeyName, Person},
    trust::{Actor, ActorKey},
};
use serde::Serialize;
use warp::{Filter, reply::Response};

use super::tenants;
use crate::{
    door::{Door, Route, finish},
    page::{self, Ask},
    problem::Problem,
};

#[derive(Debug, Serialize)]
struct ActorView {
    person: Person,
    groups: BTreeSet<Group>,
    keys: BTreeMap<KeyName, ActorKey>,
}

pub(crate) fn routes(door: &Door) -> Route {
    warp::path!("tenants" / String / "actors")
        .and(warp::get())
        .and(door.open())
        .and(page::ask(&[]))
        .then(|tenant: String, door: Door, ask| async move { finish(list(&door, &tenant, ask).await) })
        .boxed()
}

async fn list(door: &Door, tenant: &str, ask: Result<Ask, Problem>) -> Result<Response, Problem> {
    let ask = ask?;
    let view = tenants::view(door, tenant).await?;
    let shown = |(person, actor): (Person, Actor)| ActorView { person, groups: actor.groups, keys: actor.keys };
    let actors = view.trust_root.actors.into_iter().map(shown).collect();
    let page = page::cut(actors, &ask, |a: &ActorView| a.person.to_string())?;
    Ok(page.reply(&format!("/v1/tenants/{tenant}/actors"), &ask))
}
