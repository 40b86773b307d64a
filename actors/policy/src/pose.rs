//! From a question in the product's words to a Cedar request and the entities that it speaks of.
//!
//! Request and entities are checked against the bundle's schema each time: strict validation promises something about a policy only
//! for questions that fit the schema. Nothing here decides.

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    Context, Entities, Entity, EntityId, EntityTypeName, EntityUid, Request, RestrictedExpression, Schema,
};

use crate::{
    circumstances::{Circumstances, LEASE_S_MAX},
    finding::PolicyError,
    question::{Actor, Question, Realm, Target},
};

/// Entity types that are made from the question; a bundle's entities may not state them, or they could give a person a group that
/// the trust root does not.
pub(crate) const MADE_HERE: [&str; 3] = ["Person", "Client", "KeyObject"];

/// What a person wants.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Wish<'a> {
    Read,
    Propose(&'a str),
    Approve(&'a str),
}

impl Wish<'_> {
    fn action(self) -> String {
        match self {
            Self::Read => "read".to_owned(),
            Self::Propose(kind) => format!("propose:{kind}"),
            Self::Approve(kind) => format!("approve:{kind}"),
        }
    }
}

/// A request that fits the schema, with its entities.
pub(crate) struct Posed {
    pub(crate) request: Request,
    pub(crate) entities: Entities,
}

/// The type names of the vocabulary, parsed once.
#[derive(Debug)]
pub(crate) struct Vocabulary {
    action: EntityTypeName,
    client: EntityTypeName,
    group: EntityTypeName,
    object: EntityTypeName,
    person: EntityTypeName,
    state: EntityTypeName,
    system: EntityTypeName,
    tenant: EntityTypeName,
    usage: EntityTypeName,
}

impl Vocabulary {
    pub(crate) fn new() -> Result<Self, PolicyError> {
        let name = |text: &str| {
            text.parse::<EntityTypeName>()
                .map_err(|error| PolicyError::Unreadable { reason: format!("the type name `{text}`: {error}") })
        };
        Ok(Self {
            action: name("Action")?,
            client: name("Client")?,
            group: name("Group")?,
            object: name("KeyObject")?,
            person: name("Person")?,
            state: name("State")?,
            system: name("System")?,
            tenant: name("Tenant")?,
            usage: name("Usage")?,
        })
    }

    /// A person's wish in a realm. Errors are sentences for people.
    pub(crate) fn governance(
        &self,
        schema: &Schema,
        base: &Entities,
        actor: &Actor<'_>,
        wish: Wish<'_>,
        realm: Realm,
    ) -> Result<Posed, String> {
        let principal = uid(&self.person, actor.person.as_str());
        let groups: HashSet<EntityUid> = actor.groups.iter().map(|group| uid(&self.group, group.as_str())).collect();
        let named = RestrictedExpression::new_set(groups.iter().cloned().map(RestrictedExpression::new_entity_uid));
        let home = uid(&self.tenant, &actor.home.to_string());
        let attributes = record([("home", RestrictedExpression::new_entity_uid(home)), ("groups", named)]);
        let person = entity(principal.clone(), attributes, groups)?;
        let resource = uid(&self.tenant, &realm.to_string());
        self.posed(schema, base, (principal, &wish.action(), resource), (Context::empty(), vec![person]))
    }

    /// A KMIP operation. An operation on an object that is asked without one, or the reverse, does not fit the schema.
    pub(crate) fn region(
        &self,
        schema: &Schema,
        base: &Entities,
        question: &Question<'_>,
        circumstances: &Circumstances<'_>,
    ) -> Result<Posed, String> {
        let tenant = uid(&self.tenant, &question.tenant.to_string());
        let system = uid(&self.system, question.system.as_str());
        let principal = uid(&self.client, question.caller);
        let mut made = vec![self.belonging(principal.clone(), &tenant, ("system", system.clone()))?];
        let resource = match question.target {
            Target::OwnSystem => system,
            Target::Object { id, owner } => {
                let object = uid(&self.object, id);
                let owner = uid(&self.system, owner.as_str());
                made.push(self.belonging(object.clone(), &tenant, ("owner", owner))?);
                object
            }
        };
        let asked = (principal, question.operation.action(), resource);
        self.posed(schema, base, asked, (self.context(circumstances)?, made))
    }

    fn context(&self, circumstances: &Circumstances<'_>) -> Result<Context, String> {
        let Circumstances { region, object, lease_left_s } = *circumstances;
        let left = i64::try_from(lease_left_s.min(LEASE_S_MAX)).map_err(|error| sentence(&error))?;
        let uses = object.uses().map(|name| RestrictedExpression::new_entity_uid(uid(&self.usage, name)));
        let state = RestrictedExpression::new_entity_uid(uid(&self.state, object.state.name()));
        let pairs = [
            ("lease_left_s", RestrictedExpression::new_long(left)),
            ("region", RestrictedExpression::new_string(region.to_owned())),
            ("state", state),
            ("usage_mask", RestrictedExpression::new_set(uses)),
        ];
        Context::from_pairs(record(pairs)).map_err(|error| sentence(&error))
    }

    fn belonging(
        &self,
        own: EntityUid,
        tenant: &EntityUid,
        (name, system): (&str, EntityUid),
    ) -> Result<Entity, String> {
        let tenant = RestrictedExpression::new_entity_uid(tenant.clone());
        entity(own, record([("tenant", tenant), (name, RestrictedExpression::new_entity_uid(system))]), HashSet::new())
    }

    fn posed(
        &self,
        schema: &Schema,
        base: &Entities,
        (principal, action, resource): (EntityUid, &str, EntityUid),
        (context, made): (Context, Vec<Entity>),
    ) -> Result<Posed, String> {
        let action = uid(&self.action, action);
        let request = Request::new(principal, action, resource, context, Some(schema)).map_err(|e| e.to_string())?;
        let entities = base.clone().add_entities(made, Some(schema)).map_err(|e| sentence(&e))?;
        Ok(Posed { request, entities })
    }
}

fn uid(of: &EntityTypeName, id: &str) -> EntityUid {
    EntityUid::from_type_name_and_id(of.clone(), EntityId::new(id))
}

fn record<const N: usize>(pairs: [(&str, RestrictedExpression); N]) -> HashMap<String, RestrictedExpression> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn entity(
    own: EntityUid,
    attributes: HashMap<String, RestrictedExpression>,
    parents: HashSet<EntityUid>,
) -> Result<Entity, String> {
    Entity::new(own, attributes, parents).map_err(|error| sentence(&error))
}

/// An error with all its causes in one line.
pub(crate) fn sentence(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source()).map(ToString::to_string);
    std::iter::once(error.to_string()).chain(causes).collect::<Vec<_>>().join(": ")
}
