//! Attributes, both ways: a Template-Attribute to what custody stores, and what it stores to the attributes of an answer.

pub(crate) mod certificate;
pub(crate) mod change;
pub(crate) mod generator;
pub(crate) mod import;
pub(crate) mod limits;
pub(crate) mod replace;
mod slots;
pub(crate) mod wrapping;

use custody::{
    names::ObjectId,
    object::{Application, Custom, Domain, Link, Name, ObjectMeta, Parameters, State},
};
use kmip::{
    AlternativeName, ApplicationSpecificInformation, Attribute, AttributeValue, CryptographicDomainParameters,
    CryptographicParameters, KeyValueLocation, ProtocolVersion, ResultReason, RevocationReason, TemplateAttribute,
    message::Failure,
    tables::{
        AlternativeNameType, AttributeName, BlockCipherMode, CryptographicAlgorithm, DigitalSignatureAlgorithm,
        HashingAlgorithm, KeyFormatType, KeyRoleType, KeyValueLocationType, LinkType, MaskGenerator, NameType,
        ObjectType, PaddingMethod, RecommendedCurve, RevocationReasonCode, SetBy, StandardAttribute, UsageMask,
    },
};

use self::slots::{single, slots};
use crate::{
    lifecycle,
    refusal::{Outcome, fail, invalid_field, unsupported},
};

/// Most instances of a repeated attribute, and most custom attributes, of one object.
pub(crate) const INSTANCES_MAX: usize = 64;

/// What a new object of this type is, from the attributes that its creator gave. Its state is Pre-Active.
pub(crate) fn meta_of(object_type: ObjectType, template: &TemplateAttribute, now_s: i64) -> Outcome<ObjectMeta> {
    made(ObjectMeta::new(object_type.code(), State::PreActive, true), template, now_s)
}

/// The same of an object whose Key Value is left out.
pub(crate) fn meta_of_keyless(
    object_type: ObjectType,
    template: &TemplateAttribute,
    now_s: i64,
) -> Outcome<ObjectMeta> {
    let meta = ObjectMeta::new(object_type.code(), State::PreActive, true);
    made(ObjectMeta { key_elsewhere: true, ..meta }, template, now_s)
}

fn made(mut meta: ObjectMeta, template: &TemplateAttribute, now_s: i64) -> Outcome<ObjectMeta> {
    meta.dates.initial = Some(now_s);
    meta.dates.last_change = Some(now_s);
    give_all(&mut meta, template, give)?;
    begin(&mut meta)?;
    Ok(meta)
}

/// What is fixed of an object when it is made.
fn begin(meta: &mut ObjectMeta) -> Outcome<()> {
    lifecycle::check_dates(&meta.dates)?;
    // An object leaves unless its creator forbids it; either way it is fixed now (PROTOCOL §8).
    meta.exportable = meta.extractable;
    meta.always_sensitive = meta.sensitive;
    meta.never_extractable = !meta.extractable;
    Ok(())
}

/// Gives a new object the attributes of a template, each by `give`.
fn give_all(
    meta: &mut ObjectMeta,
    template: &TemplateAttribute,
    give: fn(&mut ObjectMeta, &Attribute) -> Outcome<()>,
) -> Outcome<()> {
    if !template.template_names.is_empty() {
        // §11.2: templates that do not exist are given in the request. We keep none; 1.3 deprecates them.
        return Err(fail(
            ResultReason::ItemNotFound,
            "no template of this name exists; put its attributes into the request",
        ));
    }
    let mut seen: Vec<StandardAttribute> = vec![];
    for attribute in &template.attributes {
        if let AttributeName::Standard(name) = &attribute.name {
            let rule = name.rule();
            if rule.set_by == SetBy::Server {
                return Err(invalid_field(format!("{} is set by the server and cannot be given", rule.name)));
            }
            if !rule.repeats && seen.contains(name) {
                return Err(invalid_field(format!("{} is given more than once", rule.name)));
            }
            seen.push(*name);
        }
        give(meta, attribute)?;
    }
    Ok(())
}

/// Gives a new object an attribute.
fn give(meta: &mut ObjectMeta, attribute: &Attribute) -> Outcome<()> {
    match (single(&attribute.name), &attribute.name) {
        (_, AttributeName::Custom(name)) if name.starts_with("y-") => {
            Err(invalid_field("custom attributes that begin with y- are the server's; use x-"))
        }
        (None, name) => slots(meta, name)?.add(&attribute.value, ResultReason::InvalidField).map(|_| ()),
        (Some(name), _) => set(meta, name, &attribute.value),
    }
}

fn wrong_type(name: &str) -> Failure {
    invalid_field(format!("{name} has a value of the wrong type"))
}

/// Sets an attribute of which an object has at most one.
fn set(meta: &mut ObjectMeta, name: StandardAttribute, value: &AttributeValue) -> Outcome<()> {
    use AttributeValue as V;
    use StandardAttribute as A;
    match (name, value) {
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
        (A::CryptographicDomainParameters, V::CryptographicDomainParameters(domain)) => {
            meta.domain = Some(stored_domain(meta, domain)?);
        }
        (A::CertificateLength | A::DigitalSignatureAlgorithm, _)
            if meta.object_type != ObjectType::Certificate.code() =>
        {
            return Err(invalid_field(format!("{} belongs to certificates", name.rule().name)));
        }
        (A::CertificateLength, V::Integer(bytes)) => {
            let bytes = u32::try_from(*bytes).map_err(|_| invalid_field("Certificate Length is negative"))?;
            meta.certificate.get_or_insert_default().bytes = Some(bytes);
        }
        (A::DigitalSignatureAlgorithm, V::Enumeration(code)) => {
            meta.certificate.get_or_insert_default().signature_algorithm = Some(*code);
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
        (A::Pkcs12FriendlyName, V::Text(text)) => meta.friendly_name = Some(text.clone()),
        (A::ContactInformation, V::Text(text)) => meta.contact = Some(text.clone()),
        (A::Description, V::Text(text)) => meta.description = Some(text.clone()),
        (A::Comment, V::Text(text)) => meta.comment = Some(text.clone()),
        (A::Sensitive, V::Boolean(on)) => meta.sensitive = *on,
        (A::Extractable, V::Boolean(on)) => meta.extractable = *on,
        (A::Fresh, V::Boolean(on)) => meta.fresh = *on,
        (A::UsageLimits, V::UsageLimits(limits)) => meta.usage_limits = Some(limits::stored(limits)?),
        (A::RandomNumberGenerator, V::RandomNumberGenerator(rng)) => meta.rng = Some(generator::stored(rng)?),
        _ => return Err(wrong_type(name.rule().name)),
    }
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
        signature_algorithm: parameters.digital_signature_algorithm.map(DigitalSignatureAlgorithm::code),
        salt_length: length(parameters.salt_length)?,
        mask_generator: parameters.mask_generator.map(MaskGenerator::code),
        mask_generator_hash: parameters.mask_generator_hashing_algorithm.map(HashingAlgorithm::code),
        p_source: parameters.p_source.clone(),
        trailer_field: length(parameters.trailer_field)?,
    };
    if parameters_of(&stored)? == *parameters {
        Ok(stored)
    } else {
        Err(unsupported("a field of Cryptographic Parameters that belongs to counter modes"))
    }
}

fn stored_domain(meta: &ObjectMeta, domain: &CryptographicDomainParameters) -> Outcome<Domain> {
    let halves = [ObjectType::PrivateKey.code(), ObjectType::PublicKey.code()];
    if !halves.contains(&meta.object_type) {
        return Err(invalid_field("Cryptographic Domain Parameters belong to private and public keys"));
    }
    let q_bits = domain.qlength.map(u32::try_from).transpose().map_err(|_| invalid_field("Qlength is negative"))?;
    Ok(Domain { q_bits, curve: domain.recommended_curve.map(RecommendedCurve::code) })
}

fn domain_value(domain: Domain) -> AttributeValue {
    AttributeValue::CryptographicDomainParameters(CryptographicDomainParameters {
        qlength: domain.q_bits.and_then(|bits| i32::try_from(bits).ok()),
        recommended_curve: domain.curve.and_then(RecommendedCurve::from_code),
    })
}

/// A key's own parameters: those with the lowest index.
pub(crate) fn own_parameters(meta: &ObjectMeta) -> Outcome<Option<CryptographicParameters>> {
    meta.parameters.first().map(parameters_of).transpose()
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
        digital_signature_algorithm: stored.signature_algorithm.and_then(DigitalSignatureAlgorithm::from_code),
        salt_length: length(stored.salt_length)?,
        mask_generator: stored.mask_generator.and_then(MaskGenerator::from_code),
        mask_generator_hashing_algorithm: stored.mask_generator_hash.and_then(HashingAlgorithm::from_code),
        p_source: stored.p_source.clone(),
        trailer_field: length(stored.trailer_field)?,
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
    list.repeated(A::Name, meta.names.indexed(), |name| Some(name_value(name)));
    list.add(A::ObjectType, [V::Enumeration(meta.object_type)]);
    list.add(A::CryptographicAlgorithm, meta.algorithm.map(V::Enumeration));
    list.add(A::CryptographicLength, meta.length_bits.and_then(|bits| i32::try_from(bits).ok()).map(V::Integer));
    let parameters = |stored: &Parameters| parameters_of(stored).ok().map(V::CryptographicParameters);
    list.repeated(A::CryptographicParameters, meta.parameters.indexed(), parameters);
    list.add(A::CryptographicDomainParameters, meta.domain.map(domain_value));
    for (name, value) in meta.certificate.iter().flat_map(|one| certificate::shown(one)) {
        list.add(name, [value]);
    }
    list.add(A::Digest, digest_value(meta));
    list.add(A::OperationPolicyName, text(&meta.operation_policy));
    list.add(A::CryptographicUsageMask, [V::Integer(lifecycle::usage(meta).0)]);
    list.add(A::LeaseTime, meta.lease_time_s.map(V::Interval));
    list.add(A::UsageLimits, meta.usage_limits.and_then(limits::shown).map(V::UsageLimits));
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
    list.add(A::ArchiveDate, date(dates.archive));
    list.repeated(A::ObjectGroup, meta.groups.indexed(), |group| Some(V::Text(group.clone())));
    list.add(A::Fresh, [V::Boolean(meta.fresh)]);
    list.repeated(A::Link, meta.links.indexed(), link_value);
    list.repeated(A::ApplicationSpecificInformation, meta.applications.indexed(), application_value);
    list.add(A::ContactInformation, text(&meta.contact));
    list.add(A::LastChangeDate, date(dates.last_change));
    list.repeated(A::AlternativeName, meta.alternative_names.indexed(), alternative_value);
    list.add(A::KeyValuePresent, meta.key_elsewhere.then_some(V::Boolean(false)));
    list.repeated(A::KeyValueLocation, meta.key_locations.indexed(), location_value);
    list.add(A::OriginalCreationDate, date(dates.original_creation));
    list.add(A::RandomNumberGenerator, meta.rng.map(|rng| V::RandomNumberGenerator(generator::shown(&rng))));
    list.add(A::Pkcs12FriendlyName, text(&meta.friendly_name));
    list.add(A::Description, text(&meta.description));
    list.add(A::Comment, text(&meta.comment));
    list.add(A::Sensitive, [V::Boolean(meta.sensitive)]);
    list.add(A::AlwaysSensitive, [V::Boolean(meta.always_sensitive)]);
    list.add(A::Extractable, [V::Boolean(meta.extractable)]);
    list.add(A::NeverExtractable, [V::Boolean(meta.never_extractable)]);
    for (name, values) in &meta.custom {
        list.repeated(AttributeName::Custom(name.clone()), values.indexed(), |value| Some(custom_value(value)));
    }
    list.attributes
}

struct List {
    attributes: Vec<Attribute>,
    version: ProtocolVersion,
}

impl List {
    /// An attribute of which there is at most one.
    fn add(&mut self, name: StandardAttribute, value: impl IntoIterator<Item = AttributeValue>) {
        self.repeated(name, value.into_iter().map(|value| (0, value)), Some);
    }

    /// The first instance has no index, as clients that know one instance alone expect it.
    fn repeated<T>(
        &mut self,
        name: impl Into<AttributeName>,
        values: impl IntoIterator<Item = (usize, T)>,
        shown: impl Fn(T) -> Option<AttributeValue>,
    ) {
        let name = name.into();
        if !self.version.knows(name.since()) {
            return;
        }
        for (index, value) in values {
            let Some(value) = shown(value) else { continue };
            let index = i32::try_from(index).ok().filter(|&index| index > 0);
            self.attributes.push(Attribute { name: name.clone(), index, value });
        }
    }
}

pub(crate) fn name_value(name: &Name) -> AttributeValue {
    let kind = NameType::from_code(name.kind).unwrap_or(NameType::UninterpretedTextString);
    AttributeValue::Name(kmip::Name { value: name.value.clone(), kind })
}

fn digest_value(meta: &ObjectMeta) -> Option<AttributeValue> {
    let value = meta.digest.as_ref()?.as_bytes().to_vec();
    let key_format_type = meta.key_format.and_then(KeyFormatType::from_code);
    let algorithm = HashingAlgorithm::Sha256;
    Some(AttributeValue::Digest(kmip::Digest { algorithm, value: Some(value), key_format_type }))
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

fn application_value(application: &Application) -> Option<AttributeValue> {
    let (namespace, value) = (application.namespace.clone(), Some(application.value.clone()));
    Some(AttributeValue::ApplicationSpecificInformation(ApplicationSpecificInformation { namespace, value }))
}

fn alternative_value(name: &Name) -> Option<AttributeValue> {
    let kind = AlternativeNameType::from_code(name.kind)?;
    Some(AttributeValue::AlternativeName(AlternativeName { value: name.value.clone(), kind }))
}

fn location_value(location: &Name) -> Option<AttributeValue> {
    let kind = KeyValueLocationType::from_code(location.kind)?;
    Some(AttributeValue::KeyValueLocation(KeyValueLocation { value: location.value.clone(), kind }))
}

/// What custody keeps of a custom attribute; `None` for a value of a type that none can have.
pub(crate) fn stored_custom(value: &AttributeValue) -> Option<Custom> {
    slots::read_custom(value).ok().flatten()
}

pub(crate) fn custom_value(custom: &Custom) -> AttributeValue {
    match custom {
        Custom::Text(value) => AttributeValue::Text(value.clone()),
        Custom::Integer(value) => AttributeValue::Integer(*value),
        Custom::LongInteger(value) => AttributeValue::LongInteger(*value),
        Custom::Enumeration(value) => AttributeValue::Enumeration(*value),
        Custom::Boolean(value) => AttributeValue::Boolean(*value),
        Custom::BigInteger(value) => AttributeValue::BigInteger(value.clone()),
        Custom::Bytes(value) => AttributeValue::Bytes(value.clone()),
        Custom::DateTime(value) => AttributeValue::DateTime(*value),
        Custom::Interval(value) => AttributeValue::Interval(*value),
        Custom::Structure(fields) => AttributeValue::Structure(fields.clone()),
    }
}

/// The attributes of an object as 1.4 knows them, for comparisons.
pub(crate) fn all_of(id: ObjectId, meta: &ObjectMeta, now_s: i64) -> Vec<Attribute> {
    attributes_of(&id.to_string(), meta, ProtocolVersion::V1_4, now_s)
}

#[cfg(test)]
mod tests;
