//! People who decide at the portal's API, as fast as governance answers: a decision is a proposal and the approval that ratifies it.
//!
//! The change is a ChangeRouting, which is governance's alone: it is in force once it is ratified, and no region is asked.

use std::time::Instant;

use orbital::{
    chain::{Chain, Genesis},
    change::Action,
    names::Digest,
    routing::Routing,
    sign::{Kind, SecretKey},
};
use serde_json::Value;

use super::{
    Res,
    governance::Site,
    people::{Made, id, key},
    rest::Rest,
};

/// What a decision took, microseconds.
#[derive(Clone, Copy, Debug)]
pub struct Took {
    pub proposal: f64,
    pub approval: f64,
}

/// As many tenants, each with its people at a connection of their own.
pub async fn deciders(site: &Site, geneses: Vec<Genesis>) -> Res<Vec<Decider>> {
    let (clients, mut deciders) = (site.clients()?, Vec::new());
    for (genesis, client) in geneses.into_iter().zip(clients.iter().cycle()) {
        let mut rest = Rest::open(site.setup.rest, client.clone()).await?;
        rest.post("/v1/tenants", &serde_json::to_value(&genesis)?).await?;
        let keys = [key(&site.setup, "alice")?, key(&site.setup, "bob")?];
        deciders.push(Decider { rest, chain: genesis.found()?, keys, last: None });
    }
    Ok(deciders)
}

/// The first `count` decide without pause until `go_on` says no: what each decision took.
pub async fn decide(
    deciders: &mut Vec<Decider>,
    count: usize,
    go_on: impl Fn() -> bool + Clone + Send + 'static,
) -> Res<Vec<Took>> {
    let (idle, mut all) = (deciders.split_off(count), Vec::new());
    let running: Vec<_> = deciders.drain(..).map(|decider| tokio::spawn(decider.run(go_on.clone()))).collect();
    for each in running {
        let (decider, took) = each.await??;
        deciders.push(decider);
        all.extend(took);
    }
    deciders.extend(idle);
    Ok(all)
}

/// The two people of a tenant, at one connection.
pub struct Decider {
    rest: Rest,
    pub chain: Chain,
    keys: [SecretKey; 2],
    /// The decision in force.
    last: Option<Digest>,
}

impl Decider {
    async fn run(mut self, go_on: impl Fn() -> bool) -> Res<(Self, Vec<Took>)> {
        let mut all = Vec::new();
        while go_on() {
            all.push(self.decide().await?);
        }
        Ok((self, all))
    }

    /// Signing is not in the times: people do it elsewhere.
    async fn decide(&mut self) -> Res<Took> {
        let [alice, bob] = &self.keys;
        let action = Action::ChangeRouting { routing: Routing::default(), replaces: self.last };
        let made = Made::new(&self.chain, 0, action, "alice", alice)?;
        let (body, vote) = (made.body(), made.approval("bob", bob)?);
        let began = Instant::now();
        let shown = self.rest.post("/v1/proposals", &body).await?;
        let (proposed, path) = (began.elapsed(), format!("/v1/proposals/{}/approve", id(&shown)?));
        let began = Instant::now();
        let shown = self.rest.post(&path, &vote).await?;
        let approved = began.elapsed();
        if shown.get("state").and_then(Value::as_str) != Some("active") {
            return Err(format!("a decision is not in force: {shown}").into());
        }
        self.last = Some(Kind::Change.digest(&made.change));
        let [proposal, approval] = [proposed, approved].map(|took| took.as_secs_f64() * 1e6);
        Ok(Took { proposal, approval })
    }
}
