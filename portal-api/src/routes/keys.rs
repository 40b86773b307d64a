//! `/v1/tenants/{tenant}/keys`: references to the customer's L1 keys, linked or proposed, and what each region sees of them. No key
//! bytes exist on this side of the wall.

use std::collections::BTreeMap;

use governance::{Filter as Which, ProbeView, ProposalView, State, TenantRegion, TenantView};
use orbital::{
    change::{Action, ChangeKind, L1Ref},
    names::{Digest, ProposalId, Region},
    report::{L1State, Stops},
};
use serde::Serialize;
use warp::{Filter, reply::Response};

use super::tenants;
use crate::{
    door::{Door, Route, finish},
    page::{self, Ask},
    problem::Problem,
};

/// Where a reference stands.
#[derive(Debug, Serialize)]
#[serde(rename_all = "lowercase")]
enum Standing {
    Linked,
    Revoked,
    Proposed,
}

#[derive(Debug, Serialize)]
struct KeyView {
    l1: L1Ref,
    standing: Standing,
    /// Digest of the LinkL1 change.
    change: Digest,
    /// While it is proposed: by which proposal.
    #[serde(skip_serializing_if = "Option::is_none")]
    proposal: Option<ProposalId>,
    regions: BTreeMap<Region, KeyInRegion>,
}

/// A reference as one region sees it.
#[derive(Debug, Default, Serialize)]
struct KeyInRegion {
    /// None until the region said so.
    l1: Option<L1State>,
    linked: bool,
    stops: Option<Stops>,
    /// L2, L3 and objects that the region holds for the tenant.
    keys: Option<u64>,
    /// Seconds; none says unlimited or not known.
    lease_left: Option<u64>,
    observed_ms: Option<u64>,
    /// What failed, in the region's words.
    why: String,
}

pub(crate) fn routes(door: &Door) -> Route {
    warp::path!("tenants" / String / "keys")
        .and(warp::get())
        .and(door.open())
        .and(page::ask(&[]))
        .then(|tenant: String, door: Door, ask| async move { finish(list(&door, &tenant, ask).await) })
        .boxed()
}

async fn list(door: &Door, tenant: &str, ask: Result<Ask, Problem>) -> Result<Response, Problem> {
    let ask = ask?;
    let view = tenants::view(door, tenant).await?;
    let which = Which { tenant: Some(view.summary.id), kind: Some(ChangeKind::LinkL1), ..Which::default() };
    let proposed =
        door.desk.proposals(which).await?.into_iter().filter(|p| matches!(p.state, State::Open | State::Ratified));
    let keys = linked(&view).into_iter().chain(proposed.filter_map(wanted)).collect();
    let page = page::cut(keys, &ask, |k: &KeyView| format!("{} {}", u8::from(k.proposal.is_some()), k.change))?;
    Ok(page.reply(&format!("/v1/tenants/{tenant}/keys"), &ask))
}

fn linked(view: &TenantView) -> Option<KeyView> {
    let link = view.summary.link.as_ref()?;
    let silent = TenantRegion::default();
    let regions = link.regions.iter().map(|name| {
        let region = view.regions.get(name).unwrap_or(&silent);
        (name.clone(), seen(region, link.change))
    });
    Some(KeyView {
        l1: link.l1.clone(),
        standing: if view.summary.killed { Standing::Revoked } else { Standing::Linked },
        change: link.change,
        proposal: None,
        regions: regions.collect(),
    })
}

fn seen(region: &TenantRegion, link: Digest) -> KeyInRegion {
    let observed_ms = region.observed_ms;
    match &region.observed {
        None => KeyInRegion { observed_ms, ..KeyInRegion::default() },
        Some(seen) => KeyInRegion {
            l1: Some(seen.l1),
            linked: seen.linked == Some(link),
            stops: Some(seen.stops),
            keys: Some(seen.keys),
            lease_left: seen.lease_left,
            observed_ms,
            why: String::new(),
        },
    }
}

fn wanted(proposal: ProposalView) -> Option<KeyView> {
    let Action::LinkL1 { l1 } = proposal.change.action else { return None };
    let probed = |p: ProbeView| KeyInRegion { l1: p.state, why: p.why, ..KeyInRegion::default() };
    Some(KeyView {
        l1,
        standing: Standing::Proposed,
        change: proposal.digest,
        proposal: Some(proposal.id),
        regions: proposal.probes.into_iter().map(|(region, probe)| (region, probed(probe))).collect(),
    })
}
