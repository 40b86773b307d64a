//! `/v1/tenants`: found one, list them, see one, take its trust chain home, simulate its revocation.

use governance::{RecoveryView, Refusal, TenantView};
use http::HeaderMap;
use orbital::{
    certificate::Certificate,
    chain::Genesis,
    names::{Correlation, Digest, TenantId, TenantName},
};
use serde::Serialize;
use warp::{Filter, reply::Response};

use crate::{
    body::{self, Read},
    door::{Door, Route, Writing, accepted, correlated, finish, shown, writing},
    etag,
    page::{self, Ask},
    problem::Problem,
};

/// The signed bytes of every version: whoever holds the tenant's id verifies them without us.
#[derive(Debug, Serialize)]
struct TrustChain {
    tenant: TenantId,
    name: TenantName,
    version: u64,
    digest: Digest,
    genesis: Genesis,
    links: Vec<Certificate>,
}

#[derive(Debug, Serialize)]
struct Founded {
    id: TenantId,
}

/// The recovery that waits; none where it is in force already.
#[derive(Debug, Serialize)]
struct Taken {
    recovery: Option<RecoveryView>,
}

pub(crate) fn routes(door: &Door) -> Route {
    let list = warp::path!("tenants")
        .and(warp::get())
        .and(door.open())
        .and(page::ask(&[]))
        .then(|door: Door, ask: Result<Ask, Problem>| async move { finish(list(&door, ask).await) });
    let found = warp::path!("tenants")
        .and(warp::post())
        .and(door.open())
        .and(writing())
        .and(correlated())
        .and(body::json(door.limits.body))
        .then(|door: Door, writing, id, genesis| async move { finish(found(&door, writing, id, genesis).await) });
    let show = warp::path!("tenants" / String)
        .and(warp::get())
        .and(door.open())
        .and(warp::header::headers_cloned())
        .then(|tenant: String, door: Door, headers| async move { finish(show(&door, &tenant, &headers).await) });
    let trust = warp::path!("tenants" / String / "trust")
        .and(warp::get())
        .and(door.open())
        .and(warp::header::headers_cloned())
        .then(|tenant: String, door: Door, headers| async move { finish(trust(&door, &tenant, &headers).await) });
    let simulate = warp::path!("tenants" / String / "revocations:simulate")
        .and(warp::post())
        .and(door.open())
        .then(|tenant: String, door: Door| async move { finish(simulate(&door, &tenant).await) });
    let recover = warp::path!("tenants" / String / "recoveries")
        .and(warp::post())
        .and(door.open())
        .and(writing())
        .and(correlated())
        .and(body::json(door.limits.body))
        .then(|tenant: String, door: Door, writing, id, certificate| async move {
            finish(recover(&door, &tenant, writing, id, certificate).await)
        });
    list.or(found).unify().or(show).unify().or(trust).unify().or(simulate).unify().or(recover).unify().boxed()
}

/// One tenant, by id or name.
pub(super) async fn view(door: &Door, tenant: &str) -> Result<TenantView, Problem> {
    Ok(door.desk.tenant(tenant).await?)
}

async fn list(door: &Door, ask: Result<Ask, Problem>) -> Result<Response, Problem> {
    let ask = ask?;
    let page = page::cut(door.desk.tenants().await?, &ask, |t| format!("{}\n{}", t.name, t.id))?;
    Ok(page.reply("/v1/tenants", &ask))
}

async fn show(door: &Door, tenant: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let view = view(door, tenant).await?;
    etag::tagged(&view, etag::of(&view)?, headers)
}

async fn trust(door: &Door, tenant: &str, headers: &HeaderMap) -> Result<Response, Problem> {
    let chain = chain(view(door, tenant).await?);
    etag::tagged(&chain, etag::of(&chain)?, headers)
}

async fn found(
    door: &Door,
    writing: Writing,
    id: Result<Correlation, Problem>,
    genesis: Result<Read<Genesis>, Problem>,
) -> Result<Response, Problem> {
    let (Read { value, bytes }, id) = (genesis?, id?);
    let again = writing.call.has_key();
    let work = async {
        let tenant = match door.desk.provision(value, id).await {
            // A tenant's id is the digest of its genesis: who asks with a key asks that it be there. Where it is still being founded, it
            // is not there yet, and the refusal stands.
            Err(governance::Error::Refused(Refusal::TenantKnown(known))) if again => {
                let there = door.desk.tenant(&known.to_string()).await.is_ok();
                there.then_some(known).ok_or(governance::Error::from(Refusal::TenantKnown(known)))?
            }
            founded => founded?,
        };
        Ok(accepted(&Founded { id: tenant }, &format!("/v1/tenants/{tenant}")))
    };
    door.once.run(writing.call, &bytes, work).await
}

async fn simulate(door: &Door, tenant: &str) -> Result<Response, Problem> {
    Ok(shown(&door.desk.simulate(tenant).await?))
}

async fn recover(
    door: &Door,
    tenant: &str,
    writing: Writing,
    id: Result<Correlation, Problem>,
    certificate: Result<Read<Certificate>, Problem>,
) -> Result<Response, Problem> {
    let (Read { value, bytes }, id) = (certificate?, id?);
    let work = async {
        let taken = door.desk.recover(tenant, value, id).await?;
        Ok(accepted(&Taken { recovery: taken }, &format!("/v1/tenants/{tenant}")))
    };
    door.once.run(writing.call, &bytes, work).await
}

fn chain(view: TenantView) -> TrustChain {
    let summary = view.summary;
    TrustChain {
        tenant: summary.id,
        name: summary.name,
        version: summary.trust_version,
        digest: summary.trust,
        genesis: view.genesis,
        links: view.links,
    }
}
