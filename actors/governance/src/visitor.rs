//! Visitors: whom the portal has let in, by the name in their certificate or at their identity provider, and what they may see.
//!
//! A name belongs to a person of a tenant where that tenant's trust root says so, and to the site where the topology lists it among the
//! operators. What either may do, Cedar says, as everywhere else. What a visitor may not see does not exist for them: the desk answers as
//! it would about nothing. A signature is needed all the same for whatever decides; this is about reading, founding and asking again.
//!
//! Whoever an identity provider vouches for is a person only where a tenant's trust root knows that very issuer and subject. What it says
//! about their groups can take groups away from those of the trust root and never adds one. Since a policy may also forbid something to a
//! group, both must be allowed it: the person as the trust root knows them, and as the provider leaves them. Nobody runs the site by its word.

use std::{
    collections::{BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

use orbital::{
    change::ChangeKind,
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
    Vouched(Arc<Vouched>),
}

/// Whom the identity provider vouches for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouched {
    /// Issuer and subject as [`orbital::subject`] writes them.
    pub subject: String,
    /// The groups that the provider leaves them; none where it is not asked about groups.
    pub groups: Option<BTreeSet<Group>>,
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
    /// As the trust root knows them.
    groups: Arc<[Group]>,
    /// Those of them that an identity provider leaves, where one was asked.
    left: Option<Arc<[Group]>>,
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
            let member = Member { person: person.clone(), groups: actor.groups.iter().cloned().collect(), left: None };
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
        let known = match self {
            Self::House => return Ok(()),
            Self::Named(name) => self.operator(shared).is_some() || shared.people.knows(name),
            Self::Vouched(one) => shared.people.knows(&one.subject),
        };
        if known { Ok(()) } else { Err(Refusal::UnknownVisitor(self.name().to_owned())) }
    }

    /// Whether this visitor may see a tenant, its proposals and its entries.
    pub(crate) fn sees(&self, shared: &Shared, tenant: TenantId) -> bool {
        if matches!(self, Self::House) {
            return true;
        }
        let operator = self.operator(shared).is_some_and(|o| shared.policies.site().may_read(&o, tenant).is_allowed());
        operator || self.member(shared, tenant).is_some_and(|member| member.may_read(shared, tenant))
    }

    /// Whether this visitor may see what is no tenant's: the site's own entries and events.
    pub(crate) fn sees_site(&self, shared: &Shared) -> bool {
        let operator = || self.operator(shared);
        matches!(self, Self::House)
            || operator().is_some_and(|o| shared.policies.site().may_read(&o, Realm::Site).is_allowed())
    }

    /// Who may found a tenant: the operators whom the topology lists, as far as the site's policies let them.
    pub(crate) fn check_founds(&self, shared: &Shared) -> Result<(), Refusal> {
        let may = |o: policy::Actor<'_>| shared.policies.site().may_propose(&o, PROVISION, Realm::Site).is_allowed();
        let allowed = matches!(self, Self::House) || self.operator(shared).is_some_and(may);
        if allowed { Ok(()) } else { Err(Refusal::NotAnOperator(self.name().to_owned())) }
    }

    /// The person of a tenant for whom its own rules decide; none for those who run the site.
    pub(crate) fn person(&self, shared: &Shared, tenant: TenantId) -> Option<Person> {
        if self.operator(shared).is_some() {
            return None;
        }
        self.member(shared, tenant).map(|member| member.person)
    }

    /// That the groups which the identity provider leaves this visitor may propose such a change. The tenant asks about those of its trust
    /// root; this can only refuse earlier.
    pub(crate) fn check_proposes(&self, shared: &Shared, tenant: TenantId, kind: ChangeKind) -> Result<(), Refusal> {
        let (Self::Vouched(_), Some(member)) = (self, self.member(shared, tenant)) else { return Ok(()) };
        let groups = member.left.as_ref().unwrap_or(&member.groups);
        let actor = policy::Actor { person: &member.person, home: tenant.into(), groups };
        let decision = shared.policies.of(tenant).may_propose(&actor, &kind.to_string(), tenant);
        if decision.is_allowed() {
            return Ok(());
        }
        let decision = decision.to_string();
        Err(Refusal::PolicyDenies { person: member.person, wish: "propose", kind, decision })
    }

    /// As people of this tenant know the visitor: by their name in it, else by that of the certificate.
    pub(crate) fn called(&self, shared: &Shared, tenant: TenantId) -> String {
        self.member(shared, tenant).map_or_else(|| self.name().to_owned(), |member| member.person.to_string())
    }

    fn name(&self) -> &str {
        match self {
            Self::House => "governance",
            Self::Named(name) => name,
            Self::Vouched(one) => &one.subject,
        }
    }

    fn operator<'s>(&self, shared: &'s Shared) -> Option<policy::Actor<'s>> {
        match self {
            Self::Named(name) => shared.site.operator(name),
            Self::House | Self::Vouched(_) => None,
        }
    }

    fn member(&self, shared: &Shared, tenant: TenantId) -> Option<Member> {
        match self {
            Self::House => None,
            Self::Named(name) => shared.people.member(name, tenant),
            Self::Vouched(one) => Some(shared.people.member(&one.subject, tenant)?.narrowed(one.groups.as_ref())),
        }
    }
}

impl Member {
    /// As somebody to whom a provider leaves these groups alone.
    fn narrowed(self, to: Option<&BTreeSet<Group>>) -> Self {
        let left = to.map(|to| self.groups.iter().filter(|group| to.contains(group)).cloned().collect());
        Self { left, ..self }
    }

    fn may_read(&self, shared: &Shared, tenant: TenantId) -> bool {
        let policies = shared.policies.of(tenant);
        let may = |groups: &Arc<[Group]>| {
            policies.may_read(&policy::Actor { person: &self.person, home: tenant.into(), groups }, tenant).is_allowed()
        };
        may(&self.groups) && self.left.as_ref().is_none_or(may)
    }
}
