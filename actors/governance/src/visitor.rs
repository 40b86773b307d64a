//! Visitors: whom the portal has let in, by the name in their certificate, and what they may see.
//!
//! A name belongs to a person of a tenant where that tenant's trust root says so, and to the site where the topology lists it among the
//! operators. What either may do, Cedar says, as everywhere else. What a visitor may not see does not exist for them: the desk answers as
//! it would about nothing. A signature is needed all the same for whatever decides; this is about reading, founding and asking again.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

use orbital::{
    names::{Deployment, Group, Person, TenantId},
    trust::{Actor, TrustRoot},
};
use policy::Realm;

use crate::{error::Refusal, shared::Shared};

/// The groups of an operator under the site's policies: whoever runs the site may found tenants and reads everything.
const OPERATOR_GROUPS: [&str; 2] = ["Operators", "Audit"];
/// The change that founds a tenant, as policies call it.
const PROVISION: &str = "ProvisionTenant";

/// Who asks.
#[derive(Clone, Debug)]
pub(crate) enum Visitor {
    /// This process itself.
    House,
    /// The name in a verified client certificate.
    Named(Arc<str>),
}

/// The name by which a client certificate says that its holder is this person: the subject at the identity provider where the trust root
/// knows one, else the deployment's own name for the person.
fn names_of(deployment: &Deployment, person: &Person, actor: &Actor) -> Vec<Box<str>> {
    match &actor.subject {
        Some(subject) => vec![subject.as_str().into()],
        None => vec![person.as_str().into(), format!("spiffe://{deployment}/person/{person}").into()],
    }
}

/// A tenant's person behind a certificate's name.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    pub(crate) person: Person,
    groups: Arc<[Group]>,
}

/// Every tenant's people by the names of their certificates. Each tenant's actor enters its own, at its start and after each change.
#[derive(Debug, Default)]
pub(crate) struct People(RwLock<Homes>);

#[derive(Debug, Default)]
struct Homes {
    by: HashMap<Box<str>, HashMap<TenantId, Member>>,
    of: HashMap<TenantId, Vec<Box<str>>>,
}

impl People {
    /// These are the people of a tenant's trust root in force.
    pub(crate) fn enter(&self, tenant: TenantId, root: &TrustRoot) {
        // Both maps are mended by the next call for the tenant; nothing between their steps can panic.
        let mut homes = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for name in homes.of.remove(&tenant).unwrap_or_default() {
            if let Some(tenants) = homes.by.get_mut(&name) {
                tenants.remove(&tenant);
                if tenants.is_empty() {
                    homes.by.remove(&name);
                }
            }
        }
        for (person, actor) in &root.actors {
            let member = Member { person: person.clone(), groups: actor.groups.iter().cloned().collect() };
            for name in names_of(&root.deployment, person, actor) {
                homes.by.entry(name.clone()).or_default().insert(tenant, member.clone());
                homes.of.entry(tenant).or_default().push(name);
            }
        }
    }

    fn member(&self, name: &str, tenant: TenantId) -> Option<Member> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).by.get(name)?.get(&tenant).cloned()
    }

    fn knows(&self, name: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).by.contains_key(name)
    }
}

/// The operators of the site, by the names of their certificates.
#[derive(Debug)]
pub(crate) struct Site {
    operators: BTreeSet<Person>,
    groups: Vec<Group>,
}

impl Site {
    pub(crate) fn new(operators: BTreeSet<Person>) -> Self {
        // Both are names by the alphabet; one that were not would be missing, and what it permits with it.
        Self { operators, groups: OPERATOR_GROUPS.iter().filter_map(|group| Group::new(group).ok()).collect() }
    }

    fn operator(&self, name: &str) -> Option<policy::Actor<'_>> {
        let person = self.operators.iter().find(|person| person.as_str() == name)?;
        Some(policy::Actor { person, home: Realm::Site, groups: &self.groups })
    }
}

impl Visitor {
    /// Somebody whom the site or any tenant knows.
    pub(crate) fn check_known(&self, shared: &Shared) -> Result<(), Refusal> {
        match self {
            Self::House => Ok(()),
            Self::Named(name) if shared.site.operator(name).is_some() || shared.people.knows(name) => Ok(()),
            Self::Named(name) => Err(Refusal::UnknownVisitor(name.to_string())),
        }
    }

    /// Whether this visitor may see a tenant, its proposals and its entries.
    pub(crate) fn sees(&self, shared: &Shared, tenant: TenantId) -> bool {
        let Self::Named(name) = self else { return true };
        let operator =
            shared.site.operator(name).is_some_and(|o| shared.policies.site().may_read(&o, tenant).is_allowed());
        operator || shared.people.member(name, tenant).is_some_and(|member| member.may_read(shared, tenant))
    }

    /// Whether this visitor may see what is no tenant's: the site's own entries and events.
    pub(crate) fn sees_site(&self, shared: &Shared) -> bool {
        let Self::Named(name) = self else { return true };
        shared.site.operator(name).is_some_and(|o| shared.policies.site().may_read(&o, Realm::Site).is_allowed())
    }

    /// Who may found a tenant: the operators whom the topology lists, as far as the site's policies let them.
    pub(crate) fn check_founds(&self, shared: &Shared) -> Result<(), Refusal> {
        let Self::Named(name) = self else { return Ok(()) };
        let may = |o: policy::Actor<'_>| shared.policies.site().may_propose(&o, PROVISION, Realm::Site).is_allowed();
        if shared.site.operator(name).is_some_and(may) { Ok(()) } else { Err(Refusal::NotAnOperator(name.to_string())) }
    }

    /// The person of a tenant for whom its own rules decide; none for those who run the site.
    pub(crate) fn person(&self, shared: &Shared, tenant: TenantId) -> Option<Person> {
        let Self::Named(name) = self else { return None };
        if shared.site.operator(name).is_some() {
            return None;
        }
        shared.people.member(name, tenant).map(|member| member.person)
    }
}

impl Member {
    fn may_read(&self, shared: &Shared, tenant: TenantId) -> bool {
        let actor = policy::Actor { person: &self.person, home: tenant.into(), groups: &self.groups };
        shared.policies.of(tenant).may_read(&actor, tenant).is_allowed()
    }
}
