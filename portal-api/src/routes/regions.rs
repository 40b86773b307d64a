//! `/v1/regions`: every region, its two lanes, and what it holds; its load for those who run the site.

use warp::{Filter, reply::Response};

use crate::{
    door::{Door, Route, finish},
    page::{self, Ask},
    problem::Problem,
};

pub(crate) fn routes(door: &Door) -> Route {
    warp::path!("regions")
        .and(warp::get())
        .and(door.open())
        .and(page::ask(&[]))
        .map(|door: Door, ask| finish(list(&door, ask)))
        .boxed()
}

fn list(door: &Door, ask: Result<Ask, Problem>) -> Result<Response, Problem> {
    let ask = ask?;
    let page = page::cut(door.desk.regions(), &ask, |r| r.name.to_string())?;
    Ok(page.reply("/v1/regions", &ask))
}
