//! Which objects a Locate means (KMIP 1.4 §4.9).
//!
//! All attributes given must match. One date matches that date, two of the same kind the range between them; a date that an object
//! does not have is later than all others. A usage mask matches if every bit asked for is allowed, usage limits if there is as much
//! of them, and of a structure the fields that are given. The default member of an object group is its newest Active one. Objects that
//! are destroyed are not on-line any more: they are found only if State or Destroy Date is asked for.
//!
//! Custody finds objects of one id, name, link, alternative name, application, custom attribute or group by an index ([`Key`]); with
//! none of these it looks at every object of the system.

use custody::{
    names::ObjectId,
    object::{Application, Custom, ObjectMeta, State},
    shelf::{By, Term},
};
use kmip::{
    Attribute, AttributeValue,
    ops::locate,
    tables::{AttributeKind, AttributeName, ObjectGroupMember, StandardAttribute, UsageMask},
};

use crate::{
    attributes, lifecycle,
    refusal::{self, Outcome},
};

/// §9.1.3.3.2. Without a mask, what is on-line is meant (§4.9).
const ON_LINE: i32 = 1;
const ARCHIVED: i32 = 2;

/// What is looked for.
pub(crate) struct Wanted {
    attributes: Vec<Attribute>,
    ranges: Vec<(AttributeName, i64, i64)>,
    key: Option<Key>,
    with_destroyed: bool,
    fresh: bool,
    default: bool,
    /// The Storage Status Mask.
    storage: i32,
}

/// What custody has an index of. The first is the most selective: of several that are given the first is used.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Key {
    /// `None`: a text that is no id of ours.
    Object(Option<ObjectId>),
    Name(String),
    Linked(String),
    AlternativeName(String),
    Application(Application),
    Custom(String, Custom),
    Group(String),
}

impl Key {
    fn of(attribute: &Attribute) -> Option<Self> {
        use AttributeValue as V;
        Some(match (&attribute.name, &attribute.value) {
            (AttributeName::Standard(StandardAttribute::UniqueIdentifier), V::Text(id)) => {
                Self::Object(id.parse().ok())
            }
            (AttributeName::Standard(StandardAttribute::ObjectGroup), V::Text(group)) => Self::Group(group.clone()),
            (AttributeName::Standard(_), V::Name(name)) => Self::Name(name.value.clone()),
            (AttributeName::Standard(_), V::Link(link)) => Self::Linked(link.linked_object_identifier.clone()),
            (AttributeName::Standard(_), V::AlternativeName(name)) => Self::AlternativeName(name.value.clone()),
            (AttributeName::Standard(_), V::ApplicationSpecificInformation(information)) => {
                let (namespace, value) = (information.namespace.clone(), information.value.clone()?);
                Self::Application(Application { namespace, value })
            }
            (AttributeName::Custom(name), value) => Self::Custom(name.clone(), attributes::stored_custom(value)?),
            _ => return None,
        })
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Object(_) => 0,
            Self::Name(_) => 1,
            Self::Linked(_) => 2,
            Self::AlternativeName(_) => 3,
            Self::Application(_) => 4,
            Self::Custom(..) => 5,
            Self::Group(_) => 6,
        }
    }
}

/// Where to look.
pub(crate) enum Where<'a> {
    Everywhere,
    By(By<'a>),
    Nowhere,
}

impl Wanted {
    pub(crate) fn of(request: &locate::Request) -> Outcome<Self> {
        let wrapped = request.template_attribute.as_ref();
        if wrapped.is_some_and(|template| !template.template_names.is_empty()) {
            // §11.10: templates that do not exist.
            return Err(refusal::invalid_field("no template of this name exists; name the attributes"));
        }
        let given = request.attributes.iter().chain(wrapped.into_iter().flat_map(|template| &template.attributes));
        let mut wanted = Self {
            attributes: vec![],
            ranges: vec![],
            key: None,
            with_destroyed: false,
            fresh: request.object_group_member == Some(ObjectGroupMember::GroupMemberFresh),
            default: request.object_group_member == Some(ObjectGroupMember::GroupMemberDefault),
            storage: request.storage_status_mask.unwrap_or(ON_LINE),
        };
        for attribute in given {
            wanted.add(attribute)?;
        }
        wanted.key = wanted.attributes.iter().filter_map(Key::of).min_by_key(Key::rank);
        // §4.9: the flag is about the members of a group that is named.
        wanted.default &= wanted.attributes.iter().any(|one| one.name == StandardAttribute::ObjectGroup.into());
        Ok(wanted)
    }

    fn add(&mut self, attribute: &Attribute) -> Outcome<()> {
        let standard = match &attribute.name {
            AttributeName::Standard(name) => Some(*name),
            AttributeName::Custom(_) => None,
        };
        self.with_destroyed |= matches!(standard, Some(StandardAttribute::State | StandardAttribute::DestroyDate));
        let is_date = standard.is_some_and(|name| name.rule().kind == AttributeKind::DateTime);
        let AttributeValue::DateTime(date) = attribute.value else {
            self.attributes.push(attribute.clone());
            return Ok(());
        };
        if !is_date {
            self.attributes.push(attribute.clone());
            return Ok(());
        }
        match self.ranges.iter_mut().find(|(name, ..)| *name == attribute.name) {
            None => self.ranges.push((attribute.name.clone(), date, date)),
            Some((_, from, to)) if from == to => (*from, *to) = ((*from).min(date), (*to).max(date)),
            Some(_) => return Err(refusal::invalid_field(format!("{} is given more than twice", attribute.name))),
        }
        Ok(())
    }

    pub(crate) fn place(&self) -> Where<'_> {
        Where::By(match &self.key {
            None => return Where::Everywhere,
            Some(Key::Object(None)) => return Where::Nowhere,
            Some(Key::Object(Some(id))) => By::Object(*id),
            Some(Key::Name(name)) => By::Name(name),
            Some(Key::Linked(to)) => By::Term(Term::Linked(to)),
            Some(Key::AlternativeName(name)) => By::Term(Term::AlternativeName(name)),
            Some(Key::Application(application)) => By::Term(Term::Application(application)),
            Some(Key::Custom(name, value)) => By::Term(Term::Custom(name, value)),
            Some(Key::Group(group)) => By::Term(Term::Group(group)),
        })
    }

    /// Whether one object is wanted alone: the default member of a group.
    pub(crate) fn is_one(&self) -> bool {
        self.default
    }

    pub(crate) fn fits(&self, id: ObjectId, meta: &ObjectMeta, now_s: i64) -> bool {
        let storage = if meta.is_archived() { ARCHIVED } else { ON_LINE };
        if self.storage & storage == 0 {
            return false;
        }
        if meta.state.is_destroyed() && !self.with_destroyed || self.fresh && !meta.fresh {
            return false;
        }
        if self.default && lifecycle::state_at(meta, now_s) != State::Active {
            return false;
        }
        self.attributes.iter().all(|attribute| matches(attribute, id, meta, now_s))
            && (self.ranges.is_empty() || self.in_ranges(id, meta, now_s))
    }

    /// §4.9: "If a Date attribute is set to its largest possible value, then it is equivalent to an undefined attribute."
    fn in_ranges(&self, id: ObjectId, meta: &ObjectMeta, now_s: i64) -> bool {
        let all = attributes::all_of(id, meta, now_s);
        self.ranges.iter().all(|(name, from, to)| {
            let date = all.iter().find_map(|attribute| match attribute.value {
                AttributeValue::DateTime(date) if attribute.name == *name => Some(date),
                _ => None,
            });
            (*from..=*to).contains(&date.unwrap_or(i64::MAX))
        })
    }
}

/// The attributes that clients ask for are compared in place; for the rest the whole list is made.
fn matches(wanted: &Attribute, id: ObjectId, meta: &ObjectMeta, now_s: i64) -> bool {
    use AttributeValue as V;
    use StandardAttribute as A;
    match (&wanted.name, &wanted.value) {
        (AttributeName::Standard(A::Name), value) => {
            meta.names.iter().any(|name| attributes::name_value(name) == *value)
        }
        (AttributeName::Standard(A::ObjectType), V::Enumeration(code)) => meta.object_type == *code,
        (AttributeName::Standard(A::CryptographicAlgorithm), V::Enumeration(code)) => meta.algorithm == Some(*code),
        (AttributeName::Standard(A::CryptographicLength), V::Integer(bits)) => {
            u32::try_from(*bits).is_ok_and(|bits| meta.length_bits == Some(bits))
        }
        (AttributeName::Standard(A::CryptographicUsageMask), V::Integer(mask)) => {
            lifecycle::usage(meta).allows(UsageMask(*mask))
        }
        (AttributeName::Standard(A::State), V::Enumeration(code)) => {
            lifecycle::wire_state(lifecycle::state_at(meta, now_s)).code() == *code
        }
        (AttributeName::Standard(A::ObjectGroup), V::Text(group)) => meta.groups.contains(group),
        (AttributeName::Custom(name), value) => {
            meta.custom.get(name).is_some_and(|values| values.iter().any(|one| attributes::custom_value(one) == *value))
        }
        (name, value) => {
            attributes::all_of(id, meta, now_s).iter().any(|one| one.name == *name && covers(&one.value, value))
        }
    }
}

/// Whether a value has what is asked for of it.
fn covers(found: &AttributeValue, asked: &AttributeValue) -> bool {
    use AttributeValue as V;
    match (found, asked) {
        // "matching candidate objects SHALL have a Usage Limits Count and Usage Limits Total equal to or larger than the values
        // specified in the request".
        (V::UsageLimits(found), V::UsageLimits(asked)) => {
            found.unit == asked.unit
                && found.total >= asked.total
                && asked.count.is_none_or(|count| found.count >= Some(count))
        }
        // "all of the structure fields are not REQUIRED to be specified".
        (V::CryptographicParameters(found), V::CryptographicParameters(asked)) => asked.is_within(found),
        (V::ApplicationSpecificInformation(found), V::ApplicationSpecificInformation(asked)) => {
            found.namespace == asked.namespace && (asked.value.is_none() || found.value == asked.value)
        }
        (V::Digest(found), V::Digest(asked)) => {
            found.algorithm == asked.algorithm
                && (asked.value.is_none() || found.value == asked.value)
                && (asked.key_format_type.is_none() || found.key_format_type == asked.key_format_type)
        }
        (V::RevocationReason(found), V::RevocationReason(asked)) => {
            found.code == asked.code && (asked.message.is_none() || found.message == asked.message)
        }
        (found, asked) => found == asked,
    }
}

#[cfg(test)]
mod tests;
