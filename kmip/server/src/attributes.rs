//! Attributes, both ways: a Template-Attribute to what custody stores, and what it stores to the attributes of an answer.

use custody::{
    names::ObjectId,
    object::{Application, Custom, Link, NAMES_MAX, Name, ObjectMeta, Parameters, State},
};
use kmip::{
    AlternativeName, ApplicationSpecificInformation, Attribute, AttributeValue, CryptographicParameters,
    ProtocolVersion, ResultReason, RevocationReason, TemplateAttribute,
    tables::{
        AlternativeNameType, AttributeName, BlockCipherMode, CryptographicAlgorithm, HashingAlgorithm, KeyRoleType,
        LinkType, NameType, ObjectType, PaddingMethod, RevocationReasonCode, SetBy, StandardAttribute, UsageMask,
    },
};

use crate::{
    lifecycle,
    refusal::{self, Outcome, fail, invalid_field, unsupported},
};

/// Most instances of a repeated attribute, and most custom attributes, of one object.
pub(crate) const INSTANCES_MAX: usize = 64;

/// What a new object of this type is, from the attributes that its creator gave. Its state is Pre-Active.
pub(crate) fn meta_of(object_type: ObjectType, template: &TemplateAttribute, now_s: i64) -> Outcome<ObjectMeta> {
    if !template.template_names.is_empty() {
        // §11.2: templates that do not exist are given in the request. We keep none; 1.3 deprecates them.
        return Err(fail(
            ResultReason::ItemNotFound,
            "no template of this name exists; put its attributes into the request",
        ));
    }
    let mut meta = ObjectMeta::new(object_type.code(), State::PreActive, true);
    meta.dates.initial = Some(now_s);
    meta.dates.last_change = Some(now_s);
    let mut seen: Vec<StandardAttribute> = vec![];
    for attribute in &template.attributes {
        match &attribute.name {
            AttributeName::Custom(name) => add_custom(&mut meta, name, &attribute.value)?,
            AttributeName::Standard(name) => {
                let rule = name.rule();
                if rule.set_by == SetBy::Server {
                    return Err(invalid_field(format!("{} is set by the server and cannot be given", rule.name)));
                }
                if !rule.repeats && seen.contains(name) {
                    return Err(invalid_field(format!("{} is given more than once", rule.name)));
                }
                seen.push(*name);
                set(&mut meta, *name, &attribute.value)?;
            }
        }
    }
    // An object leaves unless its creator forbids it; either way it is fixed now (PROTOCOL §8).
    meta.exportable = meta.extractable;
    meta.always_sensitive = meta.sensitive;
    meta.never_extractable = !meta.extractable;
    Ok(meta)
}

fn wrong_type(name: StandardAttribute) -> refusal::Outcome<()> {
    Err(invalid_field(format!("{} has a value of the wrong type", name.rule().name)))
}

fn set(meta: &mut ObjectMeta, name: StandardAttribute, value: &AttributeValue) -> Outcome<()> {
    use AttributeValue as V;
    use StandardAttribute as A;
    match (name, value) {
        (A::Name, V::Name(name)) => {
            let name = Name { value: name.value.clone(), kind: name.kind.code() };
            return push(&mut meta.names, name, NAMES_MAX, A::Name);
        }
        (A::CryptographicAlgorithm, V::Enumeration(code)) => {
            if CryptographicAlgorithm::from_code(*code).is_none() {
                return Err(invalid_field(format!("Cryptographic Algorithm {code:#x} is not defined")));
            }
            meta.algorithm = Some(*code);
        }
        (A::CryptographicLength, V::Integer(bits)) => {
            let bits = u32::try_from(*bits).map_err(|_| invalid_field("Cryptographic Length is negative"))?;
            meta.length_bits = Some(bits);
        }
        (A::CryptographicParameters, V::CryptographicParameters(parameters)) => {
            let stored = stored_parameters(parameters)?;
            return push(&mut meta.parameters, stored, INSTANCES_MAX, A::CryptographicParameters);
        }
        (A::OperationPolicyName, V::Text(text)) => meta.operation_policy = Some(text.clone()),
        (A::CryptographicUsageMask, V::Integer(mask)) => {
            if !UsageMask(*mask).is_defined() {
                return Err(invalid_field(format!("Cryptographic Usage Mask {mask:#x} has bits that are not defined")));
            }
            meta.usage_mask = u32::from_ne_bytes(mask.to_ne_bytes());
        }
        (A::ActivationDate, V::DateTime(date)) => meta.dates.activation = Some(*date),
        (A::ProcessStartDate, V::DateTime(date)) => meta.dates.process_start = Some(*date),
        (A::ProtectStopDate, V::DateTime(date)) => meta.dates.protect_stop = Some(*date),
        (A::DeactivationDate, V::DateTime(date)) => meta.dates.deactivation = Some(*date),
        (A::OriginalCreationDate, V::DateTime(date)) => meta.dates.original_creation = Some(*date),
        (A::ObjectGroup, V::Text(group)) => {
            return push(&mut meta.groups, group.clone(), INSTANCES_MAX, A::ObjectGroup);
        }
        (A::Link, V::Link(link)) => {
            let link = Link { kind: link.kind.code(), to: link.linked_object_identifier.clone() };
            return push(&mut meta.links, link, INSTANCES_MAX, A::Link);
        }
        (A::ApplicationSpecificInformation, V::ApplicationSpecificInformation(information)) => {
            return set_application(meta, information);
        }
        (A::ContactInformation, V::Text(text)) => meta.contact = Some(text.clone()),
        (A::AlternativeName, V::AlternativeName(name)) => {
            let name = Name { value: name.value.clone(), kind: name.kind.code() };
            return push(&mut meta.alternative_names, name, INSTANCES_MAX, A::AlternativeName);
        }
        (A::Description, V::Text(text)) => meta.description = Some(text.clone()),
        (A::Comment, V::Text(text)) => meta.comment = Some(text.clone()),
        (A::Sensitive, V::Boolean(on)) => meta.sensitive = *on,
        (A::Extractable, V::Boolean(on)) => meta.extractable = *on,
        (A::UsageLimits | A::RandomNumberGenerator, _) => {
            return Err(unsupported(format!("the attribute {}", name.rule().name)));
        }
        _ => return wrong_type(name),
    }
    Ok(())
}

fn set_application(meta: &mut ObjectMeta, information: &ApplicationSpecificInformation) -> Outcome<()> {
    let Some(value) = information.value.clone() else {
        // §11.2: Application Data cannot be generated if it was omitted.
        let message = "Application Data is missing, and none is generated here";
        return Err(fail(ResultReason::ApplicationNamespaceNotSupported, message));
    };
    let application = Application { namespace: information.namespace.clone(), value };
    push(&mut meta.applications, application, INSTANCES_MAX, StandardAttribute::ApplicationSpecificInformation)
}

/// §11.2: more instances than the server supports are an Index Out of Bounds.
fn push<T: PartialEq>(list: &mut Vec<T>, value: T, max: usize, name: StandardAttribute) -> Outcome<()> {
    let name = name.rule().name;
    if list.len() >= max {
        return Err(fail(ResultReason::IndexOutOfBounds, format!("an object has at most {max} instances of {name}")));
    }
    if list.contains(&value) {
        return Err(invalid_field(format!("{name} is given twice with the same value")));
    }
    list.push(value);
    Ok(())
}

fn add_custom(meta: &mut ObjectMeta, name: &str, value: &AttributeValue) -> Outcome<()> {
    if name.starts_with("y-") {
        return Err(invalid_field("custom attributes that begin with y- are the server's; use x-"));
    }
    let value = match value {
        AttributeValue::Integer(value) => Custom::Integer(*value),
        AttributeValue::LongInteger(value) => Custom::LongInteger(*value),
        AttributeValue::Enumeration(value) => Custom::Enumeration(*value),
        AttributeValue::Boolean(value) => Custom::Boolean(*value),
        AttributeValue::Text(value) => Custom::Text(value.clone()),
        AttributeValue::Bytes(value) => Custom::Bytes(value.clone()),
        AttributeValue::DateTime(value) => Custom::DateTime(*value),
        AttributeValue::Interval(value) => Custom::Interval(*value),
        _ => return Err(unsupported("a custom attribute of this type")),
    };
    let total: usize = meta.custom.values().map(Vec::len).sum();
    if total >= INSTANCES_MAX {
        let message = format!("an object has at most {INSTANCES_MAX} custom attributes");
        return Err(fail(ResultReason::IndexOutOfBounds, message));
    }
    meta.custom.entry(name.to_owned()).or_default().push(value);
    Ok(())
}

/// What custody keeps of Cryptographic Parameters. What it cannot keep is refused rather than forgotten.
fn stored_parameters(parameters: &CryptographicParameters) -> Outcome<Parameters> {
    let length =
        |bits: Option<i32>| bits.map(u32::try_from).transpose().map_err(|_| invalid_field("a length is negative"));
    let stored = Parameters {
        block_cipher_mode: parameters.block_cipher_mode.map(BlockCipherMode::code),
        padding_method: parameters.padding_method.map(PaddingMethod::code),
        hashing_algorithm: parameters.hashing_algorithm.map(HashingAlgorithm::code),
        key_role: parameters.key_role_type.map(KeyRoleType::code),
        algorithm: parameters.cryptographic_algorithm.map(CryptographicAlgorithm::code),
        random_iv: parameters.random_iv,
        iv_length: length(parameters.iv_length)?,
        tag_length: length(parameters.tag_length)?,
    };
    if parameters_of(&stored)? == *parameters {
        Ok(stored)
    } else {
        Err(unsupported("a field of Cryptographic Parameters that belongs to signatures or to counter modes"))
    }
}

/// Stored parameters as the wire has them.
pub(crate) fn parameters_of(stored: &Parameters) -> Outcome<CryptographicParameters> {
    let length =
        |bits: Option<u32>| bits.map(i32::try_from).transpose().map_err(|_| invalid_field("a length is too large"));
    Ok(CryptographicParameters {
        block_cipher_mode: stored.block_cipher_mode.and_then(BlockCipherMode::from_code),
        padding_method: stored.padding_method.and_then(PaddingMethod::from_code),
        hashing_algorithm: stored.hashing_algorithm.and_then(HashingAlgorithm::from_code),
        key_role_type: stored.key_role.and_then(KeyRoleType::from_code),
        cryptographic_algorithm: stored.algorithm.and_then(CryptographicAlgorithm::from_code),
        random_iv: stored.random_iv,
        iv_length: length(stored.iv_length)?,
        tag_length: length(stored.tag_length)?,
        ..CryptographicParameters::default()
    })
}

/// Every attribute that `version` knows, in the specification's order.
pub(crate) fn attributes_of(id: &str, meta: &ObjectMeta, version: ProtocolVersion, now_s: i64) -> Vec<Attribute> {
    use AttributeValue as V;
    use StandardAttribute as A;
    let mut list = List { attributes: Vec::with_capacity(24), version };
    let text = |value: &Option<String>| value.clone().map(V::Text);
    let date = |value: Option<i64>| value.map(V::DateTime);
    let dates = &meta.dates;
    list.add(A::UniqueIdentifier, [V::Text(id.to_owned())]);
    list.add(A::Name, meta.names.iter().map(name_value));
    list.add(A::ObjectType, [V::Enumeration(meta.object_type)]);
    list.add(A::CryptographicAlgorithm, meta.algorithm.map(V::Enumeration));
    list.add(A::CryptographicLength, meta.length_bits.and_then(|bits| i32::try_from(bits).ok()).map(V::Integer));
    let parameters = meta.parameters.iter().filter_map(|stored| parameters_of(stored).ok());
    list.add(A::CryptographicParameters, parameters.map(V::CryptographicParameters));
    list.add(A::OperationPolicyName, text(&meta.operation_policy));
    list.add(A::CryptographicUsageMask, [V::Integer(lifecycle::usage(meta).0)]);
    list.add(A::LeaseTime, meta.lease_time_s.map(V::Interval));
    list.add(A::State, [V::Enumeration(lifecycle::wire_state(lifecycle::state_at(meta, now_s)).code())]);
    list.add(A::InitialDate, date(dates.initial));
    list.add(A::ActivationDate, date(dates.activation));
    list.add(A::ProcessStartDate, date(dates.process_start));
    list.add(A::ProtectStopDate, date(dates.protect_stop));
    list.add(A::DeactivationDate, date(dates.deactivation));
    list.add(A::DestroyDate, date(dates.destroy));
    list.add(A::CompromiseOccurrenceDate, date(dates.compromise_occurrence));
    list.add(A::CompromiseDate, date(dates.compromise));
    list.add(A::RevocationReason, revocation_value(meta));
    list.add(A::ObjectGroup, meta.groups.iter().cloned().map(V::Text));
    list.add(A::Link, meta.links.iter().filter_map(link_value));
    list.add(A::ApplicationSpecificInformation, meta.applications.iter().map(application_value));
    list.add(A::ContactInformation, text(&meta.contact));
    list.add(A::LastChangeDate, date(dates.last_change));
    list.add(A::AlternativeName, meta.alternative_names.iter().filter_map(alternative_value));
    list.add(A::OriginalCreationDate, date(dates.original_creation));
    list.add(A::Description, text(&meta.description));
    list.add(A::Comment, text(&meta.comment));
    list.add(A::Sensitive, [V::Boolean(meta.sensitive)]);
    list.add(A::AlwaysSensitive, [V::Boolean(meta.always_sensitive)]);
    list.add(A::Extractable, [V::Boolean(meta.extractable)]);
    list.add(A::NeverExtractable, [V::Boolean(meta.never_extractable)]);
    for (name, values) in &meta.custom {
        list.push(&AttributeName::Custom(name.clone()), values.iter().map(custom_value));
    }
    list.attributes
}

struct List {
    attributes: Vec<Attribute>,
    version: ProtocolVersion,
}

impl List {
    fn add(&mut self, name: StandardAttribute, values: impl IntoIterator<Item = AttributeValue>) {
        self.push(&name.into(), values);
    }

    /// The first instance has no index, as clients that know one instance alone expect it.
    fn push(&mut self, name: &AttributeName, values: impl IntoIterator<Item = AttributeValue>) {
        if !self.version.knows(name.since()) {
            return;
        }
        for (index, value) in (0i32..).zip(values) {
            self.attributes.push(Attribute { name: name.clone(), index: (index > 0).then_some(index), value });
        }
    }
}

pub(crate) fn name_value(name: &Name) -> AttributeValue {
    let kind = NameType::from_code(name.kind).unwrap_or(NameType::UninterpretedTextString);
    AttributeValue::Name(kmip::Name { value: name.value.clone(), kind })
}

fn revocation_value(meta: &ObjectMeta) -> Option<AttributeValue> {
    let revocation = meta.revocation.as_ref()?;
    let code = RevocationReasonCode::from_code(revocation.reason)?;
    Some(AttributeValue::RevocationReason(RevocationReason { code, message: revocation.message.clone() }))
}

fn link_value(link: &Link) -> Option<AttributeValue> {
    let kind = LinkType::from_code(link.kind)?;
    Some(AttributeValue::Link(kmip::Link { kind, linked_object_identifier: link.to.clone() }))
}

fn application_value(application: &Application) -> AttributeValue {
    let (namespace, value) = (application.namespace.clone(), Some(application.value.clone()));
    AttributeValue::ApplicationSpecificInformation(ApplicationSpecificInformation { namespace, value })
}

fn alternative_value(name: &Name) -> Option<AttributeValue> {
    let kind = AlternativeNameType::from_code(name.kind)?;
    Some(AttributeValue::AlternativeName(AlternativeName { value: name.value.clone(), kind }))
}

pub(crate) fn custom_value(custom: &Custom) -> AttributeValue {
    match custom {
        Custom::Text(value) => AttributeValue::Text(value.clone()),
        Custom::Integer(value) => AttributeValue::Integer(*value),
        Custom::LongInteger(value) => AttributeValue::LongInteger(*value),
        Custom::Enumeration(value) => AttributeValue::Enumeration(*value),
        Custom::Boolean(value) => AttributeValue::Boolean(*value),
        Custom::BigInteger(value) | Custom::Bytes(value) => AttributeValue::Bytes(value.clone()),
        Custom::DateTime(value) => AttributeValue::DateTime(*value),
        Custom::Interval(value) => AttributeValue::Interval(*value),
    }
}

/// The attributes of an object as 1.4 knows them, for comparisons.
pub(crate) fn all_of(id: ObjectId, meta: &ObjectMeta, now_s: i64) -> Vec<Attribute> {
    attributes_of(&id.to_string(), meta, ProtocolVersion::V1_4, now_s)
}

#[cfg(test)]
mod tests;
