//! The Cedar policies in force: the deployment's own, and those of tenants that have changed theirs.
//!
//! They can only refuse earlier than the trust root's rules do (PROTOCOL §3). A bundle that this version cannot evaluate permits nothing:
//! the tenant's people must be told by a version that can, and stops that go by hand pass no policy at all.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, PoisonError, RwLock},
};

use orbital::{
    certificate::Certificate,
    change::{ChangeKind, bundle_in},
    names::{Digest, Person, TenantId},
    quorum::Rule,
    trust::TrustRoot,
};
use policy::{Actor, Bundle, Evaluator, Realm};

use crate::error::Refusal;

/// What a tenant must always be able to decide: to stop, to come back, and to change who decides and by which policies.
const NEVER_LOCKED: [ChangeKind; 9] = [
    ChangeKind::RevokeL1,
    ChangeKind::RestoreL1,
    ChangeKind::BlockTenant,
    ChangeKind::UnblockTenant,
    ChangeKind::SuspendL1,
    ChangeKind::ResumeL1,
    ChangeKind::ChangeActors,
    ChangeKind::ChangeQuorum,
    ChangeKind::ChangePolicy,
];

/// See the module.
#[derive(Debug)]
pub(crate) struct Policies {
    /// The bundle of this version: the site's, and that of every tenant whose trust root names it.
    site: Arc<Evaluator>,
    /// Those of tenants whose trust root names another.
    own: RwLock<BTreeMap<TenantId, Arc<Evaluator>>>,
}

// The guarded map is whole after every statement: a poisoned lock still holds a whole map.
impl Policies {
    pub(crate) fn new(site: Evaluator) -> Self {
        Self { site: Arc::new(site), own: RwLock::default() }
    }

    pub(crate) fn site(&self) -> &Arc<Evaluator> {
        &self.site
    }

    /// The policies of a tenant.
    pub(crate) fn of(&self, tenant: TenantId) -> Arc<Evaluator> {
        let own = self.own.read().unwrap_or_else(PoisonError::into_inner);
        own.get(&tenant).unwrap_or(&self.site).clone()
    }

    /// Puts in force what the tenant's trust root names, which one of its links brought.
    pub(crate) fn enter(&self, tenant: TenantId, trust: &TrustRoot, links: &[Certificate]) {
        if self.of(tenant).bundle().digest() == trust.policy {
            return;
        }
        // Read before the lock is taken: other tenants ask meanwhile.
        let is_own = trust.policy != self.site.bundle().digest();
        let read = is_own.then(|| {
            read(links, trust.policy).or_else(|why| {
                tracing::error!(%tenant, policy = %trust.policy, why, "the tenant's policies cannot be evaluated: they permit nothing");
                nothing(self.site.bundle())
            })
        });
        let mut own = self.own.write().unwrap_or_else(PoisonError::into_inner);
        match read {
            None => _ = own.remove(&tenant),
            Some(Ok(evaluator)) => _ = own.insert(tenant, Arc::new(evaluator)),
            Some(Err(_)) => {}
        }
    }
}

fn read(links: &[Certificate], policy: Digest) -> Result<Evaluator, String> {
    let bytes = bundle_in(links, policy).ok_or("no change of the tenant's trust chain brought them")?;
    Bundle::parse_canonical(&bytes).map(Evaluator::new).map_err(|why| why.to_string())
}

/// A bundle without a policy.
fn nothing(like: &Bundle) -> Result<Evaluator, policy::PolicyError> {
    Bundle::parse_strict(like.schema_text(), "", "[]").map(Evaluator::new)
}

/// Whether a bundle may come into force with this trust root: it is valid, and leaves enough people for what must always be possible.
pub(crate) fn check(next: &TrustRoot, bundle: &[u8]) -> Result<(), Refusal> {
    let bundle = Bundle::parse_canonical(bundle).map_err(|why| Refusal::BadPolicy(why.to_string()))?;
    check_people(next, &Evaluator::new(bundle))
}

/// Whether policies leave enough people of a trust root for what must always be possible: other people or rules may lock a tenant out, too.
pub(crate) fn check_people(next: &TrustRoot, evaluator: &Evaluator) -> Result<(), Refusal> {
    for kind in NEVER_LOCKED {
        // Whoever may not read the tenant is told that there is none.
        let reads = |actor: &Actor<'_>| evaluator.may_read(actor, home(next)).is_allowed();
        let may = |asks: &dyn Fn(&Actor<'_>) -> bool| permitted(next, &|actor| reads(actor) && asks(actor));
        let proposers = may(&|actor| evaluator.may_propose(actor, &kind.to_string(), home(next)).is_allowed());
        let approvers = may(&|actor| evaluator.may_approve(actor, &kind.to_string(), home(next)).is_allowed());
        // One proposes, the others approve.
        let meets = |proposer: &Person, of: ChangeKind| {
            let signers: BTreeSet<Person> = approvers.iter().chain([proposer]).cloned().collect();
            let confirms = |rule: &Rule| !rule.confirm || approvers.contains(proposer);
            let able = |rule: &Rule| signers.iter().filter(|p| next.can_prove(p, rule.verify)).cloned().collect();
            next.rule(of).is_ok_and(|rule| rule.missing(next, &able(rule)).is_empty() && confirms(rule))
        };
        let kinds = || std::iter::once(kind).chain(kind.includes());
        if !proposers.iter().any(|proposer| kinds().all(|of| meets(proposer, of))) {
            let why = format!("under them, those who may read, propose and approve {kind} could never meet its rule");
            return Err(Refusal::BadPolicy(why));
        }
    }
    Ok(())
}

/// The tenant's own trust root, whatever its id.
fn home(trust: &TrustRoot) -> Realm {
    trust.tenant.map_or(Realm::Site, Realm::Tenant)
}

fn permitted(trust: &TrustRoot, asks: &dyn Fn(&Actor<'_>) -> bool) -> BTreeSet<Person> {
    let may = |person: &Person, groups: &BTreeSet<_>| {
        let groups: Vec<_> = groups.iter().cloned().collect();
        asks(&Actor { person, home: home(trust), groups: &groups })
    };
    trust.actors.iter().filter(|(person, actor)| may(person, &actor.groups)).map(|(person, _)| person.clone()).collect()
}
