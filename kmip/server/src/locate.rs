//! Which objects a Locate means (KMIP 1.4 §4.9).
//!
//! All attributes given must match. One date matches that date, two of the same kind the range between them; a date that an object
//! does not have is later than all others. A usage mask matches if every bit asked for is allowed, usage limits if there is as much
//! of them, and a structure if it has the fields that are given, whichever those are. The default member of an object group is its newest Active one. Objects that
//! are destroyed are not on-line any more: they are found only if State or Destroy Date is asked for.
//!
//! Custody finds objects of one id, name, link, alternative name, application, custom attribute, certificate's subject or group by an
//! index ([`Key`]); with none of these it looks at every object of the system.

use std::cell::LazyCell;

use custody::{
    names::ObjectId,
    object::{Application, Custom, Name, ObjectMeta, State},
    shelf::{By, Term},
};
use kmip::{
    Attribute, AttributeValue, Fields, Sought, Tag,
    ops::locate,
    tables::{AttributeKind, AttributeName, ObjectGroupMember, StandardAttribute, UsageMask},
};

use crate::{
    attributes, lifecycle,
    refusal::{self, Outcome},
};

/// Most attributes, each with the fields of its structure, that a Locate asks for: more than any object is found by, and what one costs
/// each of a system's objects is bounded.
const ASKED_MAX: usize = 128;

/// §9.1.3.3.2. Without a mask, what is on-line is meant (§4.9).
const ON_LINE: i32 = 1;
const ARCHIVED: i32 = 2;

/// What is looked for.
pub(crate) struct Wanted {
    attributes: Vec<Asked>,
    ranges: Vec<(AttributeName, i64, i64)>,
    key: Option<Key>,
    with_destroyed: bool,
    fresh: bool,
    default: bool,
    /// The Storage Status Mask.
    storage: i32,
}

/// What is asked of one attribute.
struct Asked {
    name: AttributeName,
    value: Value,
}

/// What an object's value must be.
enum Value {
    This(AttributeValue),
    /// A structure with these fields.
    With(Fields),
}

impl Asked {
    fn of(sought: &Sought) -> Self {
        match sought {
            Sought::Whole(Attribute { name, value, .. }) => {
                let fields = Fields::of(value).map(Value::With);
                Self { name: name.clone(), value: fields.unwrap_or_else(|| Value::This(value.clone())) }
            }
            Sought::Part { name, fields } => Self { name: name.clone(), value: Value::With(fields.clone()) },
        }
    }

    /// How much of [`ASKED_MAX`] it is.
    fn weight(&self) -> usize {
        match &self.value {
            Value::This(_) => 1,
            Value::With(fields) => 1 + fields.count(),
        }
    }
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
    /// DER.
    Subject(Vec<u8>),
    Group(String),
}

impl Key {
    fn of(asked: &Asked) -> Option<Self> {
        use AttributeValue as V;
        use StandardAttribute as A;
        let standard = match (&asked.name, &asked.value) {
            (AttributeName::Standard(standard), _) => standard,
            (AttributeName::Custom(name), Value::This(value)) => {
                return Some(Self::Custom(name.clone(), attributes::stored_custom(value)?));
            }
            (AttributeName::Custom(_), Value::With(_)) => return None,
        };
        Some(match (standard, &asked.value) {
            (A::UniqueIdentifier, Value::This(V::Text(id))) => Self::Object(id.parse().ok()),
            (A::ObjectGroup, Value::This(V::Text(group))) => Self::Group(group.clone()),
            (A::Name, Value::With(fields)) => Self::Name(fields.text(Tag::NAME_VALUE)?.to_owned()),
            (A::Link, Value::With(fields)) => Self::Linked(fields.text(Tag::LINKED_OBJECT_IDENTIFIER)?.to_owned()),
            (A::AlternativeName, Value::With(fields)) => {
                Self::AlternativeName(fields.text(Tag::ALTERNATIVE_NAME_VALUE)?.to_owned())
            }
            (A::X509CertificateSubject, Value::With(fields)) => {
                Self::Subject(fields.bytes(Tag::SUBJECT_DISTINGUISHED_NAME)?.to_vec())
            }
            (A::ApplicationSpecificInformation, Value::With(fields)) => Self::Application(Application {
                namespace: fields.text(Tag::APPLICATION_NAMESPACE)?.to_owned(),
                value: fields.text(Tag::APPLICATION_DATA)?.to_owned(),
            }),
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
            Self::Subject(_) => 6,
            Self::Group(_) => 7,
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
        let within = wrapped.into_iter().flat_map(|template| &template.attributes);
        let given = request.attributes.iter().map(Asked::of);
        let mut wanted = Self {
            attributes: vec![],
            ranges: vec![],
            key: None,
            with_destroyed: false,
            fresh: request.object_group_member == Some(ObjectGroupMember::GroupMemberFresh),
            default: request.object_group_member == Some(ObjectGroupMember::GroupMemberDefault),
            storage: request.storage_status_mask.unwrap_or(ON_LINE),
        };
        for asked in given.chain(within.map(|attribute| Asked::of(&Sought::Whole(attribute.clone())))) {
            wanted.add(asked)?;
        }
        if wanted.attributes.iter().map(Asked::weight).sum::<usize>() > ASKED_MAX {
            let why = format!("a Locate asks for at most {ASKED_MAX} attributes and fields of them; ask for fewer");
            return Err(refusal::invalid_field(why));
        }
        wanted.key = wanted.attributes.iter().filter_map(Key::of).min_by_key(Key::rank);
        // §4.9: the flag is about the members of a group that is named.
        wanted.default &= wanted.attributes.iter().any(|one| one.name == StandardAttribute::ObjectGroup.into());
        Ok(wanted)
    }

    fn add(&mut self, asked: Asked) -> Outcome<()> {
        let standard = match &asked.name {
            AttributeName::Standard(name) => Some(*name),
            AttributeName::Custom(_) => None,
        };
        self.with_destroyed |= matches!(standard, Some(StandardAttribute::State | StandardAttribute::DestroyDate));
        let is_date = standard.is_some_and(|name| name.rule().kind == AttributeKind::DateTime);
        let date = match asked.value {
            Value::This(AttributeValue::DateTime(date)) if is_date => date,
            _ => {
                self.attributes.push(asked);
                return Ok(());
            }
        };
        match self.ranges.iter_mut().find(|(name, ..)| *name == asked.name) {
            None => self.ranges.push((asked.name, date, date)),
            Some((_, from, to)) if from == to => (*from, *to) = ((*from).min(date), (*to).max(date)),
            Some(_) => return Err(refusal::invalid_field(format!("{} is given more than twice", asked.name))),
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
            Some(Key::Subject(name)) => By::Term(Term::Subject(name)),
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
        let all = LazyCell::new(|| attributes::all_of(id, meta, now_s));
        self.attributes.iter().all(|asked| matches(asked, meta, now_s, &all))
            && (self.ranges.is_empty() || self.in_ranges(&all))
    }

    /// §4.9: "If a Date attribute is set to its largest possible value, then it is equivalent to an undefined attribute."
    fn in_ranges(&self, all: &[Attribute]) -> bool {
        self.ranges.iter().all(|(name, from, to)| {
            let date = all.iter().find_map(|attribute| match attribute.value {
                AttributeValue::DateTime(date) if attribute.name == *name => Some(date),
                _ => None,
            });
            (*from..=*to).contains(&date.unwrap_or(i64::MAX))
        })
    }
}

/// The attributes that clients ask for are compared in place; for the rest the whole list is made, once.
fn matches<F>(asked: &Asked, meta: &ObjectMeta, now_s: i64, all: &LazyCell<Vec<Attribute>, F>) -> bool
where
    F: FnOnce() -> Vec<Attribute>,
{
    use AttributeValue as V;
    use StandardAttribute as A;
    let (name, value) = match (&asked.name, &asked.value) {
        (AttributeName::Standard(A::Name), Value::With(fields)) => {
            return meta.names.iter().any(|name| is_named(name, fields));
        }
        (name, Value::With(fields)) => {
            return all.iter().any(|one| one.name == *name && has(&one.value, fields));
        }
        (name, Value::This(value)) => (name, value),
    };
    match (name, value) {
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
        (name, value) => all.iter().any(|one| one.name == *name && one.value == *value),
    }
}

fn is_named(name: &Name, asked: &Fields) -> bool {
    asked.text(Tag::NAME_VALUE).is_none_or(|text| text == name.value)
        && asked.enumeration(Tag::NAME_TYPE).is_none_or(|kind| kind == name.kind)
}

/// Whether a structure has the fields that are asked for: "all of the structure fields are not REQUIRED to be specified".
fn has(found: &AttributeValue, asked: &Fields) -> bool {
    let AttributeValue::UsageLimits(limits) = found else {
        return Fields::of(found).is_some_and(|found| asked.are_within(&found));
    };
    // "matching candidate objects SHALL have a Usage Limits Count and Usage Limits Total equal to or larger than the values
    // specified in the request".
    let count = asked.long_integer(Tag::USAGE_LIMITS_COUNT);
    asked.long_integer(Tag::USAGE_LIMITS_TOTAL).is_none_or(|total| limits.total.0 >= total)
        && count.is_none_or(|count| limits.count.is_some_and(|found| found.0 >= count))
        && asked.enumeration(Tag::USAGE_LIMITS_UNIT).is_none_or(|unit| limits.unit.0 == unit)
}

#[cfg(test)]
mod tests;
