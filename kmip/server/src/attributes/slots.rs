//! The attributes of which an object may have several: one way in and out for all of them, whatever their type.

use custody::object::{Application, Custom, Instances, Link, NAMES_MAX, Name, ObjectMeta, Parameters};
use kmip::{
    AttributeValue, ResultReason,
    message::Failure,
    tables::{AttributeName, StandardAttribute},
};

use super::{INSTANCES_MAX, stored_parameters, wrong_type};
use crate::refusal::{Outcome, fail, invalid_field, unsupported};

/// The instances of one attribute of one object.
pub(super) trait Slots {
    /// Adds an instance and answers its index. A value that is there already is refused for the reason `twice`.
    fn add(&mut self, value: &AttributeValue, twice: ResultReason) -> Outcome<usize>;
    /// Adds an instance under an index that is free.
    fn put(&mut self, index: usize, value: &AttributeValue) -> Outcome<()>;
    /// Gives the instance of this index another value.
    fn replace(&mut self, index: usize, value: &AttributeValue) -> Outcome<()>;
    fn remove(&mut self, index: usize);
    /// Whether an instance has this value.
    fn has(&self, value: &AttributeValue) -> Outcome<bool>;
}

/// An attribute of which an object has at most one.
pub(super) fn single(name: &AttributeName) -> Option<StandardAttribute> {
    match name {
        AttributeName::Standard(standard) if !standard.rule().repeats => Some(*standard),
        _ => None,
    }
}

/// Where an object keeps the instances of an attribute of which it may have several.
pub(super) fn slots<'m>(meta: &'m mut ObjectMeta, name: &'m AttributeName) -> Outcome<Box<dyn Slots + 'm>> {
    use StandardAttribute as A;
    let standard = match name {
        AttributeName::Standard(standard) => *standard,
        AttributeName::Custom(custom) => return Ok(custom_slots(meta, custom)),
    };
    let name = standard.rule().name;
    Ok(match standard {
        A::Name => List::of(&mut meta.names, name, NAMES_MAX, read_name),
        A::CryptographicParameters => List::of(&mut meta.parameters, name, INSTANCES_MAX, read_parameters),
        A::ObjectGroup => List::of(&mut meta.groups, name, INSTANCES_MAX, read_text),
        A::Link => List::of(&mut meta.links, name, INSTANCES_MAX, read_link),
        A::ApplicationSpecificInformation => List::of(&mut meta.applications, name, INSTANCES_MAX, read_application),
        A::AlternativeName => List::of(&mut meta.alternative_names, name, INSTANCES_MAX, read_alternative),
        A::KeyValueLocation if meta.key_elsewhere => {
            List::of(&mut meta.key_locations, name, INSTANCES_MAX, read_location)
        }
        A::KeyValueLocation => {
            return Err(invalid_field("the object has its Key Value here: it has no Key Value Location"));
        }
        _ => return Err(unsupported(format!("the attribute {name}"))),
    })
}

/// The limit is on all custom attributes of the object together.
fn custom_slots<'m>(meta: &'m mut ObjectMeta, name: &'m str) -> Box<dyn Slots + 'm> {
    let others = meta.custom.iter().filter(|(other, _)| *other != name).map(|(_, values)| values.len());
    let max = INSTANCES_MAX.saturating_sub(others.sum());
    List::of(meta.custom.entry(name.to_owned()).or_default(), name, max, read_custom)
}

struct List<'m, T> {
    values: &'m mut Instances<T>,
    name: &'m str,
    max: usize,
    /// `None` if the value is of another type.
    read: fn(&AttributeValue) -> Outcome<Option<T>>,
}

impl<'m, T: PartialEq + 'm> List<'m, T> {
    fn of(
        values: &'m mut Instances<T>,
        name: &'m str,
        max: usize,
        read: fn(&AttributeValue) -> Outcome<Option<T>>,
    ) -> Box<dyn Slots + 'm> {
        Box::new(Self { values, name, max, read })
    }

    /// §3: "All instances of an attribute SHOULD have a different value." `but` is the instance that is to be replaced.
    fn value(&self, value: &AttributeValue, twice: ResultReason, but: Option<usize>) -> Outcome<T> {
        let value = (self.read)(value)?.ok_or_else(|| wrong_type(self.name))?;
        if self.values.indexed().any(|(index, one)| Some(index) != but && *one == value) {
            return Err(fail(twice, format!("{} has this value already", self.name)));
        }
        Ok(value)
    }

    /// §11.2, §11.15: more instances than the server supports.
    fn no_room(&self) -> Failure {
        let message = format!(
            "there is no room for another {}; an object has at most {NAMES_MAX} names, {INSTANCES_MAX} instances of another \
             attribute, and {INSTANCES_MAX} custom attributes in all",
            self.name
        );
        fail(ResultReason::IndexOutOfBounds, message)
    }
}

impl<T: PartialEq> Slots for List<'_, T> {
    fn add(&mut self, value: &AttributeValue, twice: ResultReason) -> Outcome<usize> {
        let value = self.value(value, twice, None)?;
        if self.values.len() >= self.max {
            return Err(self.no_room());
        }
        Ok(self.values.push(value))
    }

    fn put(&mut self, index: usize, value: &AttributeValue) -> Outcome<()> {
        let value = self.value(value, ResultReason::InvalidField, None)?;
        if index >= self.max || self.values.len() >= self.max {
            return Err(self.no_room());
        }
        if self.values.get(index).is_some() {
            return Err(invalid_field(format!("{} has two instances of index {index}", self.name)));
        }
        self.values.put(index, value);
        Ok(())
    }

    fn replace(&mut self, index: usize, value: &AttributeValue) -> Outcome<()> {
        let value = self.value(value, ResultReason::IllegalOperation, Some(index))?;
        self.values.replace(index, value);
        Ok(())
    }

    fn remove(&mut self, index: usize) {
        self.values.remove(index);
    }

    fn has(&self, value: &AttributeValue) -> Outcome<bool> {
        Ok((self.read)(value)?.is_some_and(|value| self.values.contains(&value)))
    }
}

fn read_name(value: &AttributeValue) -> Outcome<Option<Name>> {
    let AttributeValue::Name(name) = value else { return Ok(None) };
    Ok(Some(Name { value: name.value.clone(), kind: name.kind.code() }))
}

fn read_alternative(value: &AttributeValue) -> Outcome<Option<Name>> {
    let AttributeValue::AlternativeName(name) = value else { return Ok(None) };
    Ok(Some(Name { value: name.value.clone(), kind: name.kind.code() }))
}

fn read_location(value: &AttributeValue) -> Outcome<Option<Name>> {
    let AttributeValue::KeyValueLocation(location) = value else { return Ok(None) };
    Ok(Some(Name { value: location.value.clone(), kind: location.kind.code() }))
}

fn read_parameters(value: &AttributeValue) -> Outcome<Option<Parameters>> {
    let AttributeValue::CryptographicParameters(parameters) = value else { return Ok(None) };
    stored_parameters(parameters).map(Some)
}

fn read_text(value: &AttributeValue) -> Outcome<Option<String>> {
    let AttributeValue::Text(text) = value else { return Ok(None) };
    Ok(Some(text.clone()))
}

fn read_link(value: &AttributeValue) -> Outcome<Option<Link>> {
    let AttributeValue::Link(link) = value else { return Ok(None) };
    Ok(Some(Link { kind: link.kind.code(), to: link.linked_object_identifier.clone() }))
}

fn read_application(value: &AttributeValue) -> Outcome<Option<Application>> {
    let AttributeValue::ApplicationSpecificInformation(information) = value else { return Ok(None) };
    let Some(value) = information.value.clone() else {
        // §11.2: Application Data cannot be generated if it was omitted.
        let message = "Application Data is missing, and none is generated here";
        return Err(fail(ResultReason::ApplicationNamespaceNotSupported, message));
    };
    Ok(Some(Application { namespace: information.namespace.clone(), value }))
}

pub(super) fn read_custom(value: &AttributeValue) -> Outcome<Option<Custom>> {
    Ok(Some(match value {
        AttributeValue::Integer(value) => Custom::Integer(*value),
        AttributeValue::LongInteger(value) => Custom::LongInteger(*value),
        AttributeValue::Enumeration(value) => Custom::Enumeration(*value),
        AttributeValue::Boolean(value) => Custom::Boolean(*value),
        AttributeValue::Text(value) => Custom::Text(value.clone()),
        AttributeValue::Bytes(value) => Custom::Bytes(value.clone()),
        AttributeValue::DateTime(value) => Custom::DateTime(*value),
        AttributeValue::Interval(value) => Custom::Interval(*value),
        AttributeValue::BigInteger(value) => Custom::BigInteger(value.clone()),
        AttributeValue::Structure(fields) => Custom::Structure(fields.clone()),
        _ => return Err(unsupported("a custom attribute of this type")),
    }))
}
