//! Which objects a Locate means (KMIP 1.4 §4.9).
//!
//! All attributes given must match. One date matches that date, two of the same kind the range between them. A usage mask matches if
//! every bit asked for is allowed. Objects that are destroyed are not on-line any more: they are found only if State or Destroy Date
//! is asked for.

use custody::{names::ObjectId, object::ObjectMeta};
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
    with_destroyed: bool,
    fresh: bool,
    /// The Storage Status Mask.
    storage: i32,
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
            with_destroyed: false,
            fresh: request.object_group_member == Some(ObjectGroupMember::GroupMemberFresh),
            storage: request.storage_status_mask.unwrap_or(ON_LINE),
        };
        for attribute in given {
            wanted.add(attribute)?;
        }
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

    /// The first name asked for, which custody finds by its index.
    pub(crate) fn name(&self) -> Option<&str> {
        self.attributes.iter().find_map(|attribute| match &attribute.value {
            AttributeValue::Name(name) => Some(name.value.as_str()),
            _ => None,
        })
    }

    pub(crate) fn fits(&self, id: ObjectId, meta: &ObjectMeta, now_s: i64) -> bool {
        let storage = if meta.is_archived() { ARCHIVED } else { ON_LINE };
        if self.storage & storage == 0 {
            return false;
        }
        if meta.state.is_destroyed() && !self.with_destroyed || self.fresh && !meta.fresh {
            return false;
        }
        self.attributes.iter().all(|attribute| matches(attribute, id, meta, now_s))
            && (self.ranges.is_empty() || self.in_ranges(id, meta, now_s))
    }

    fn in_ranges(&self, id: ObjectId, meta: &ObjectMeta, now_s: i64) -> bool {
        let all = attributes::all_of(id, meta, now_s);
        self.ranges.iter().all(|(name, from, to)| {
            all.iter().any(|attribute| match attribute.value {
                AttributeValue::DateTime(date) => attribute.name == *name && (*from..=*to).contains(&date),
                _ => false,
            })
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
        (name, value) => attributes::all_of(id, meta, now_s).iter().any(|one| one.name == *name && one.value == *value),
    }
}

#[cfg(test)]
mod tests {
    use custody::object::{Name, State};

    use super::*;

    fn id() -> ObjectId {
        ObjectId::from_random([1; 16])
    }

    fn key() -> ObjectMeta {
        let mut meta = ObjectMeta::new(2, State::Active, true);
        meta.names.push(Name { value: "one".to_owned(), kind: 1 });
        meta.algorithm = Some(3);
        meta.usage_mask = 12;
        meta.groups.push(String::new());
        meta.contact = Some("ops".to_owned());
        meta.dates.initial = Some(100);
        meta.custom.insert("x-ID".to_owned(), vec![custody::object::Custom::Text("a".to_owned())].into());
        meta
    }

    fn finds(meta: &ObjectMeta, attributes: &[(StandardAttribute, AttributeValue)]) -> bool {
        let attributes = attributes.iter().map(|(name, value)| Attribute::new(*name, value.clone())).collect();
        Wanted::of(&locate::Request::of(attributes)).unwrap().fits(id(), meta, 1_000)
    }

    #[test]
    fn all_attributes_given_must_match() {
        use AttributeValue as V;
        use StandardAttribute as A;
        let name = (A::Name, V::name("one"));
        let kind = |code| (A::ObjectType, V::Enumeration(code));
        assert!(finds(&key(), &[]));
        assert!(finds(&key(), &[name.clone(), kind(2)]));
        assert!(!finds(&key(), &[name.clone(), kind(7)]));
        assert!(!finds(&key(), &[name, (A::Name, V::name("two"))]));
        assert!(finds(&key(), &[(A::CryptographicUsageMask, V::Integer(4))]));
        assert!(!finds(&key(), &[(A::CryptographicUsageMask, V::Integer(5))]));
        assert!(finds(&key(), &[(A::ObjectGroup, V::Text(String::new()))]));
        assert!(finds(&key(), &[(A::ContactInformation, V::Text("ops".to_owned()))]));
        assert!(!finds(&key(), &[(A::ContactInformation, V::Text("dev".to_owned()))]));
        assert!(finds(&key(), &[(A::UniqueIdentifier, V::Text(id().to_string()))]));
    }

    #[test]
    fn dates_match_exactly_or_within_a_range() {
        let initial = |date| (StandardAttribute::InitialDate, AttributeValue::DateTime(date));
        assert!(finds(&key(), &[initial(100)]));
        assert!(!finds(&key(), &[initial(101)]));
        assert!(finds(&key(), &[initial(200), initial(50)]));
        assert!(!finds(&key(), &[initial(101), initial(200)]));
        let three =
            [50, 60, 70].map(|date| Attribute::new(StandardAttribute::InitialDate, AttributeValue::DateTime(date)));
        assert!(Wanted::of(&locate::Request::of(three.to_vec())).is_err());
    }

    #[test]
    fn what_is_destroyed_is_found_only_if_asked_for() {
        let gone = ObjectMeta { state: State::Destroyed, ..key() };
        assert!(!finds(&gone, &[(StandardAttribute::Name, AttributeValue::name("one"))]));
        assert!(finds(&gone, &[(StandardAttribute::State, AttributeValue::Enumeration(5))]));
    }

    #[test]
    fn a_template_attribute_around_the_attributes_is_read_too() {
        let attributes = vec![Attribute::new(StandardAttribute::Name, AttributeValue::name("two"))];
        let template_attribute = Some(kmip::TemplateAttribute { template_names: vec![], attributes });
        let wanted = Wanted::of(&locate::Request { template_attribute, ..locate::Request::of(vec![]) }).unwrap();
        assert_eq!(wanted.name(), Some("two"));
        assert!(!wanted.fits(id(), &key(), 1));
    }
}
