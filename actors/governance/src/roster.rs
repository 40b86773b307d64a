//! The roster: which actor speaks for which tenant now, and which tenant a proposal belongs to.
//!
//! A tenant's actor enters itself at each start, so whoever asks here after a restart finds the new one.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{PoisonError, RwLock},
};

use orbital::{
    hello::Span,
    names::{ProposalId, Region, TenantId},
};
use ractor::ActorRef;

use crate::tenant;

/// A tenant's actor and the regions of its trust root.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    pub(crate) actor: ActorRef<tenant::Msg>,
    pub(crate) regions: Vec<Region>,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Roster {
    tenants: RwLock<BTreeMap<TenantId, Place>>,
    proposals: RwLock<HashMap<ProposalId, TenantId>>,
}

// Each guarded map is whole after every statement: a poisoned lock still holds a whole map.
impl Roster {
    pub(crate) fn enter(&self, tenant: TenantId, place: Place) {
        self.tenants.write().unwrap_or_else(PoisonError::into_inner).insert(tenant, place);
    }
    /// The regions of a tenant's trust root have changed.
    pub(crate) fn spread(&self, tenant: TenantId, regions: Vec<Region>) {
        let mut tenants = self.tenants.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = tenants.get_mut(&tenant) {
            place.regions = regions;
        }
    }
    pub(crate) fn enter_proposal(&self, proposal: ProposalId, tenant: TenantId) {
        self.proposals.write().unwrap_or_else(PoisonError::into_inner).insert(proposal, tenant);
    }
    pub(crate) fn leave_proposal(&self, proposal: &ProposalId) {
        self.proposals.write().unwrap_or_else(PoisonError::into_inner).remove(proposal);
    }
    pub(crate) fn tenant(&self, tenant: TenantId) -> Option<ActorRef<tenant::Msg>> {
        self.tenants.read().unwrap_or_else(PoisonError::into_inner).get(&tenant).map(|p| p.actor.clone())
    }
    pub(crate) fn owner(&self, proposal: &ProposalId) -> Option<TenantId> {
        self.proposals.read().unwrap_or_else(PoisonError::into_inner).get(proposal).copied()
    }
    pub(crate) fn tenants(&self) -> Vec<(TenantId, ActorRef<tenant::Msg>)> {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        tenants.iter().map(|(id, place)| (*id, place.actor.clone())).collect()
    }
    /// The tenants of a span whose trust root names this region.
    pub(crate) fn tenants_of(&self, region: &Region, span: Span) -> Vec<(TenantId, ActorRef<tenant::Msg>)> {
        let tenants = self.tenants.read().unwrap_or_else(PoisonError::into_inner);
        let here = span.of(&tenants).filter(|(_, place)| place.regions.contains(region));
        here.map(|(id, place)| (*id, place.actor.clone())).collect()
    }
    pub(crate) fn len(&self) -> usize {
        self.tenants.read().unwrap_or_else(PoisonError::into_inner).len()
    }
}
