//! The policies in force, by tenant. A tenant without any is refused everything.

use std::{collections::HashMap, sync::Arc};

use arc_swap::ArcSwap;
use foldhash::fast::RandomState;
use orbital::names::TenantId;
use policy::{Circumstances, Decision, DecisionCache, Permitted, Question};

/// One decision cache a tenant, set by the region when a certified head brings a bundle.
#[derive(Debug, Default)]
pub struct Policies(ArcSwap<HashMap<TenantId, Arc<DecisionCache>, RandomState>>);

impl Policies {
    /// Puts a tenant's policies in force.
    pub fn set(&self, tenant: TenantId, cache: Arc<DecisionCache>) {
        self.0.rcu(|all| {
            let mut next = HashMap::clone(all);
            next.insert(tenant, cache.clone());
            next
        });
    }

    /// Takes a tenant's policies away.
    pub fn remove(&self, tenant: &TenantId) {
        self.0.rcu(|all| {
            let mut next = HashMap::clone(all);
            next.remove(tenant);
            next
        });
    }

    /// The cache of a tenant, to install a later epoch into.
    pub fn of(&self, tenant: &TenantId) -> Option<Arc<DecisionCache>> {
        self.0.load().get(tenant).cloned()
    }

    /// See [`DecisionCache::permit`].
    pub(crate) fn permit<'a, E>(
        &self,
        question: &Question<'a>,
        circumstances: impl FnOnce() -> Result<Circumstances<'a>, E>,
    ) -> Result<Result<Permitted, Decision>, E> {
        match self.0.load().get(&question.tenant) {
            Some(cache) => cache.permit(question, circumstances),
            None => Ok(Err(Decision::Error { reasons: vec!["the tenant has no policy in force here".to_owned()] })),
        }
    }
}
