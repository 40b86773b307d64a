//! Which objects fit, and by what they are looked up.

use custody::object::Name;
use kmip::ttlv::Writer;
use kmip::{
    AlternativeName, ApplicationSpecificInformation, CryptographicParameters, Link,
    tables::{AlternativeNameType, LinkType},
};
use proptest::prelude::*;

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
    let three = [50, 60, 70].map(|date| Attribute::new(StandardAttribute::InitialDate, AttributeValue::DateTime(date)));
    assert!(Wanted::of(&locate::Request::of(three.to_vec())).is_err());
}

#[test]
fn what_is_destroyed_is_found_only_if_asked_for() {
    let gone = ObjectMeta { state: State::Destroyed, ..key() };
    assert!(!finds(&gone, &[(StandardAttribute::Name, AttributeValue::name("one"))]));
    assert!(finds(&gone, &[(StandardAttribute::State, AttributeValue::Enumeration(5))]));
}

#[test]
fn no_more_is_asked_of_each_object_than_some() {
    let reason = |parts: usize, fields: usize| {
        let fields = Fields::written(|w| (0..fields).for_each(|_| w.bytes(Tag::SUBJECT_ALTERNATIVE_NAME, b"a")));
        let name = AttributeName::from(StandardAttribute::X509CertificateSubject);
        let part = Sought::Part { name, fields };
        let request = locate::Request { attributes: vec![part; parts], ..locate::Request::of(vec![]) };
        Wanted::of(&request).err().map(|failure| failure.reason)
    };
    assert_eq!([reason(ASKED_MAX, 0), reason(1, ASKED_MAX - 1)], [None; 2]);
    assert_eq!([reason(ASKED_MAX + 1, 0), reason(1, ASKED_MAX)], [Some(kmip::ResultReason::InvalidField); 2]);
}

#[test]
fn a_template_attribute_around_the_attributes_is_read_too() {
    let attributes = vec![Attribute::new(StandardAttribute::Name, AttributeValue::name("two"))];
    let template_attribute = Some(kmip::TemplateAttribute { template_names: vec![], attributes });
    let wanted = Wanted::of(&locate::Request { template_attribute, ..locate::Request::of(vec![]) }).unwrap();
    assert_eq!(wanted.key, Some(Key::Name("two".to_owned())));
    assert!(!wanted.fits(id(), &key(), 1));
}

#[test]
fn the_most_selective_attribute_is_looked_up() {
    use AttributeValue as V;
    use StandardAttribute as A;
    let key = |attributes: &[(AttributeName, V)]| {
        let attributes =
            attributes.iter().map(|(name, value)| Attribute { name: name.clone(), index: None, value: value.clone() });
        Wanted::of(&locate::Request::of(attributes.collect())).unwrap().key
    };
    let group = (A::ObjectGroup.into(), V::Text("g".to_owned()));
    let custom = (AttributeName::Custom("x-ID".to_owned()), V::Text("a".to_owned()));
    let state = (A::State.into(), V::Enumeration(2));
    let of_custom = Some(Key::Custom("x-ID".to_owned(), Custom::Text("a".to_owned())));
    assert_eq!(key(std::slice::from_ref(&state)), None);
    assert_eq!(key(&[state.clone(), group.clone()]), Some(Key::Group("g".to_owned())));
    assert_eq!(key(&[group.clone(), custom.clone()]), of_custom);
    let name = (A::Name.into(), V::name("n"));
    assert_eq!(key(&[group.clone(), name.clone(), custom]), Some(Key::Name("n".to_owned())));
    let by_id = |text: &str| (A::UniqueIdentifier.into(), V::Text(text.to_owned()));
    assert_eq!(key(&[name.clone(), by_id(&id().to_string())]), Some(Key::Object(Some(id()))));
    assert_eq!(key(&[name, by_id("1")]), Some(Key::Object(None)));
}

#[test]
fn a_date_that_is_not_there_is_the_largest() {
    let date = |date| (StandardAttribute::DeactivationDate, AttributeValue::DateTime(date));
    assert!(finds(&key(), &[date(i64::MAX)]));
    assert!(finds(&key(), &[date(5), date(i64::MAX)]));
    assert!(!finds(&key(), &[date(5), date(6)]));
    let mut ends = key();
    ends.dates.deactivation = Some(7);
    assert!(!finds(&ends, &[date(i64::MAX)]));
    assert!(finds(&ends, &[date(5), date(i64::MAX)]));
}

#[test]
fn of_limits_there_must_be_as_much_and_of_structures_what_is_given() {
    use AttributeValue as V;
    use StandardAttribute as A;
    let mut meta = key();
    meta.usage_limits = Some(custody::object::UsageLimits { total: 10, count: 4, unit: 1 });
    let limits = |total, count: Option<i64>, unit| {
        let (total, count) = (kmip::ttlv::LongInteger(total), count.map(kmip::ttlv::LongInteger));
        (A::UsageLimits, V::UsageLimits(kmip::UsageLimits { total, count, unit: kmip::ttlv::Enumeration(unit) }))
    };
    for (asked, found) in [
        (limits(10, Some(4), 1), true),
        (limits(9, None, 1), true),
        (limits(11, None, 1), false),
        (limits(10, Some(5), 1), false),
        (limits(10, Some(4), 2), false),
    ] {
        assert_eq!(finds(&meta, &[asked]), found);
    }
    let stored =
        custody::object::Parameters { block_cipher_mode: Some(1), padding_method: Some(3), ..Default::default() };
    meta.parameters.push(stored);
    let asked = |mode, padding_method| {
        let parameters = CryptographicParameters {
            block_cipher_mode: Some(mode),
            padding_method,
            ..CryptographicParameters::default()
        };
        [(A::CryptographicParameters, V::CryptographicParameters(parameters))]
    };
    use kmip::tables::{BlockCipherMode as B, PaddingMethod as P};
    assert!(finds(&meta, &asked(B::Cbc, None)) && finds(&meta, &asked(B::Cbc, Some(P::Pkcs5))));
    assert!(!finds(&meta, &asked(B::Ecb, None)) && !finds(&meta, &asked(B::Cbc, Some(P::None))));
}

/// Whether `meta` is found by an attribute of which these fields are given.
fn finds_part(meta: &ObjectMeta, name: StandardAttribute, fields: impl FnOnce(&mut Writer<'_>)) -> bool {
    wanted_part(name, fields).fits(id(), meta, 1_000)
}

fn wanted_part(name: StandardAttribute, fields: impl FnOnce(&mut Writer<'_>)) -> Wanted {
    let part = Sought::Part { name: name.into(), fields: Fields::written(fields) };
    Wanted::of(&locate::Request { attributes: vec![part], ..locate::Request::of(vec![]) }).unwrap()
}

#[test]
fn of_each_structure_any_fields_are_asked_for() {
    use StandardAttribute as A;
    let mut meta = key();
    meta.links.push(custody::object::Link { kind: LinkType::PublicKeyLink.code(), to: "other".to_owned() });
    meta.alternative_names.push(Name { value: "uri:a".to_owned(), kind: AlternativeNameType::Uri.code() });
    meta.applications.push(Application { namespace: "ns".to_owned(), value: "data".to_owned() });
    meta.usage_limits = Some(custody::object::UsageLimits { total: 10, count: 4, unit: 1 });
    meta.digest = Some(orbital::names::Digest([7; 32]));
    meta.key_format = Some(1);
    meta.revocation = Some(custody::object::Revocation { reason: 2, message: Some("lost".to_owned()) });
    meta.certificate = Some(Box::new(custody::object::Certificate {
        subject: vec![1],
        subject_alternatives: vec![vec![2], vec![3]],
        issuer: vec![4],
        serial: vec![5],
        ..Default::default()
    }));
    type Part = fn(&mut Writer<'_>);
    let cases: [(A, Part, bool); 32] = [
        (A::Name, |w| w.text(Tag::NAME_VALUE, "one"), true),
        (A::Name, |w| w.text(Tag::NAME_VALUE, "two"), false),
        (A::Name, |w| w.enumeration(Tag::NAME_TYPE, 1), true),
        (A::Name, |w| w.enumeration(Tag::NAME_TYPE, 2), false),
        (A::Name, |_| {}, true),
        (A::Link, |w| w.text(Tag::LINKED_OBJECT_IDENTIFIER, "other"), true),
        (A::Link, |w| w.text(Tag::LINKED_OBJECT_IDENTIFIER, "another"), false),
        (A::Link, |w| w.enumeration(Tag::LINK_TYPE, LinkType::PublicKeyLink.code()), true),
        (A::Link, |w| w.enumeration(Tag::LINK_TYPE, LinkType::PrivateKeyLink.code()), false),
        (A::AlternativeName, |w| w.text(Tag::ALTERNATIVE_NAME_VALUE, "uri:a"), true),
        (A::AlternativeName, |w| w.text(Tag::ALTERNATIVE_NAME_VALUE, "uri:b"), false),
        (A::AlternativeName, |w| w.enumeration(Tag::ALTERNATIVE_NAME_TYPE, 1), false),
        (A::ApplicationSpecificInformation, |w| w.text(Tag::APPLICATION_NAMESPACE, "ns"), true),
        (A::ApplicationSpecificInformation, |w| w.text(Tag::APPLICATION_DATA, "data"), true),
        (A::ApplicationSpecificInformation, |w| w.text(Tag::APPLICATION_DATA, "ns"), false),
        (A::UsageLimits, |w| w.long_integer(Tag::USAGE_LIMITS_TOTAL, 10), true),
        (A::UsageLimits, |w| w.long_integer(Tag::USAGE_LIMITS_TOTAL, 11), false),
        (A::UsageLimits, |w| w.long_integer(Tag::USAGE_LIMITS_COUNT, 4), true),
        (A::UsageLimits, |w| w.long_integer(Tag::USAGE_LIMITS_COUNT, 5), false),
        (A::UsageLimits, |w| w.enumeration(Tag::USAGE_LIMITS_UNIT, 1), true),
        (A::UsageLimits, |w| w.enumeration(Tag::USAGE_LIMITS_UNIT, 2), false),
        (A::Digest, |w| w.bytes(Tag::DIGEST_VALUE, &[7; 32]), true),
        (A::Digest, |w| w.bytes(Tag::DIGEST_VALUE, &[8; 32]), false),
        (A::Digest, |w| w.enumeration(Tag::KEY_FORMAT_TYPE, 1), true),
        (A::RevocationReason, |w| w.text(Tag::REVOCATION_MESSAGE, "lost"), true),
        (A::RevocationReason, |w| w.enumeration(Tag::REVOCATION_REASON_CODE, 1), false),
        (A::X509CertificateSubject, |w| w.bytes(Tag::SUBJECT_DISTINGUISHED_NAME, &[1]), true),
        (A::X509CertificateSubject, |w| w.bytes(Tag::SUBJECT_ALTERNATIVE_NAME, &[3]), true),
        (A::X509CertificateSubject, |w| w.bytes(Tag::SUBJECT_ALTERNATIVE_NAME, &[1]), false),
        (A::X509CertificateIdentifier, |w| w.bytes(Tag::CERTIFICATE_SERIAL_NUMBER, &[5]), true),
        (A::X509CertificateIdentifier, |w| w.bytes(Tag::CERTIFICATE_SERIAL_NUMBER, &[4]), false),
        (A::X509CertificateIssuer, |w| w.bytes(Tag::ISSUER_DISTINGUISHED_NAME, &[4]), true),
    ];
    for (number, (name, fields, found)) in cases.into_iter().enumerate() {
        assert_eq!(finds_part(&meta, name, fields), found, "case {number}: {name:?}");
    }
    let nameless = ObjectMeta::new(2, State::Active, true);
    assert!(!finds_part(&nameless, A::Name, |_| {}), "it has no Name at all");
    let subject = kmip::X509CertificateSubject { name: vec![1], alternatives: vec![vec![3]] };
    assert!(finds(&meta, &[(A::X509CertificateSubject, AttributeValue::X509CertificateSubject(subject))]));
}

#[test]
fn a_part_that_names_what_is_indexed_is_looked_up() {
    use StandardAttribute as A;
    let by_name = wanted_part(A::Name, |w| w.text(Tag::NAME_VALUE, "one"));
    assert_eq!(by_name.key, Some(Key::Name("one".to_owned())));
    let by_link = wanted_part(A::Link, |w| w.text(Tag::LINKED_OBJECT_IDENTIFIER, "other"));
    assert_eq!(by_link.key, Some(Key::Linked("other".to_owned())));
    let by_subject = wanted_part(A::X509CertificateSubject, |w| w.bytes(Tag::SUBJECT_DISTINGUISHED_NAME, b"a"));
    assert_eq!(by_subject.key, Some(Key::Subject(b"a".to_vec())));
    assert_eq!(wanted_part(A::Link, |w| w.enumeration(Tag::LINK_TYPE, 1)).key, None);
    assert_eq!(wanted_part(A::ApplicationSpecificInformation, |w| w.text(Tag::APPLICATION_DATA, "data")).key, None);
}

#[test]
fn the_default_member_of_a_group_is_active() {
    let group = Attribute::new(StandardAttribute::ObjectGroup, AttributeValue::Text(String::new()));
    let object_group_member = Some(ObjectGroupMember::GroupMemberDefault);
    let wanted = Wanted::of(&locate::Request { object_group_member, ..locate::Request::of(vec![group]) }).unwrap();
    assert!(wanted.is_one() && wanted.fits(id(), &key(), 1));
    assert!(!wanted.fits(id(), &ObjectMeta { state: State::PreActive, ..key() }, 1));
    let of_no_group = locate::Request { object_group_member, ..locate::Request::of(vec![]) };
    assert!(!Wanted::of(&of_no_group).unwrap().is_one());
}

/// What objects have and what is asked for, in pairs: each as an object keeps it, and as a request names it.
fn give(meta: &mut ObjectMeta, which: usize) -> Attribute {
    use AttributeValue as V;
    use StandardAttribute as A;
    let text = ["a", "b"][which % 2].to_owned();
    let custom = |meta: &mut ObjectMeta, value: Custom| {
        meta.custom.entry("x-ID".to_owned()).or_default().push(value.clone());
        Attribute {
            name: AttributeName::Custom("x-ID".to_owned()),
            index: None,
            value: attributes::custom_value(&value),
        }
    };
    match which / 2 {
        0 => {
            meta.names.push(Name { value: text.clone(), kind: 1 });
            Attribute::new(A::Name, V::name(text))
        }
        1 => {
            meta.groups.push(text.clone());
            Attribute::new(A::ObjectGroup, V::Text(text))
        }
        2 => {
            meta.links.push(custody::object::Link { kind: LinkType::PublicKeyLink.code(), to: text.clone() });
            Attribute::new(A::Link, V::Link(Link { kind: LinkType::PublicKeyLink, linked_object_identifier: text }))
        }
        3 => {
            let kind = AlternativeNameType::Uri;
            meta.alternative_names.push(Name { value: text.clone(), kind: kind.code() });
            Attribute::new(A::AlternativeName, V::AlternativeName(AlternativeName { value: text, kind }))
        }
        4 | 5 => {
            // The latter is asked for by its namespace alone.
            meta.applications.push(Application { namespace: "ns".to_owned(), value: text.clone() });
            let value = Some(text).filter(|_| which / 2 == 4);
            let information = ApplicationSpecificInformation { namespace: "ns".to_owned(), value };
            Attribute::new(A::ApplicationSpecificInformation, V::ApplicationSpecificInformation(information))
        }
        6 => custom(meta, Custom::Text(text)),
        7 => custom(meta, [Custom::Integer(1), Custom::LongInteger(1)][which % 2].clone()),
        8 => custom(meta, [Custom::DateTime(1), Custom::Interval(1)][which % 2].clone()),
        9 => custom(meta, [Custom::Bytes(vec![1]), Custom::Bytes(vec![])][which % 2].clone()),
        10 => custom(meta, [Custom::Boolean(true), Custom::Enumeration(1)][which % 2].clone()),
        11 => Attribute::new(A::UniqueIdentifier, V::Text([id().to_string(), "1".to_owned()][which % 2].clone())),
        12 => {
            let subject = text.clone().into_bytes();
            let certificate = custody::object::Certificate { subject: subject.clone(), ..Default::default() };
            meta.certificate = Some(Box::new(certificate));
            let subject = kmip::X509CertificateSubject { name: subject, alternatives: vec![] };
            Attribute::new(A::X509CertificateSubject, V::X509CertificateSubject(subject))
        }
        _ => {
            meta.contact = Some(text.clone());
            Attribute::new(A::ContactInformation, V::Text(text))
        }
    }
}

/// Of a structure the first or the second field alone, or all.
fn parted(whole: Attribute, part: usize) -> Sought {
    use AttributeValue as V;
    let of = |first: (Tag, &str), second: &dyn Fn(&mut Writer<'_>)| {
        Fields::written(|w| if part == 0 { w.text(first.0, first.1) } else { second(w) })
    };
    let fields = match &whole.value {
        _ if part > 1 => return Sought::Whole(whole),
        V::Name(name) => of((Tag::NAME_VALUE, &name.value), &|w| w.enumeration(Tag::NAME_TYPE, name.kind.code())),
        V::Link(link) => of((Tag::LINKED_OBJECT_IDENTIFIER, &link.linked_object_identifier), &|w| {
            w.enumeration(Tag::LINK_TYPE, link.kind.code());
        }),
        V::AlternativeName(name) => of((Tag::ALTERNATIVE_NAME_VALUE, &name.value), &|w| {
            w.enumeration(Tag::ALTERNATIVE_NAME_TYPE, name.kind.code());
        }),
        V::ApplicationSpecificInformation(application) => {
            of((Tag::APPLICATION_NAMESPACE, &application.namespace), &|w| {
                w.text(Tag::APPLICATION_DATA, application.value.as_deref().unwrap_or("a"));
            })
        }
        _ => return Sought::Whole(whole),
    };
    Sought::Part { name: whole.name, fields }
}

proptest! {
    /// With `custody`'s own property of its indexes: a Locate answers what a look at every object would.
    #[test]
    fn what_fits_is_where_it_is_looked_for(
        has in proptest::collection::vec(0usize..28, 0..6),
        asked in proptest::collection::vec(0usize..28, 0..3),
        part in 0usize..3,
    ) {
        let mut meta = ObjectMeta::new(2, State::Active, true);
        let mut request: Vec<Sought> = vec![];
        let mut names: Vec<usize> = has.iter().copied().take(2).chain(asked).collect();
        names.dedup();
        for which in names {
            // Of what an object has some is asked for; of what is asked for besides it may have none.
            let whole = give(&mut ObjectMeta::new(2, State::Active, true), which);
            request.push(parted(whole, part));
        }
        for which in has {
            give(&mut meta, which);
        }
        let wanted = Wanted::of(&locate::Request { attributes: request, ..locate::Request::of(vec![]) }).unwrap();
        let fits = wanted.fits(id(), &meta, 1_000);
        let there = match wanted.place() {
            Where::Everywhere => true,
            Where::Nowhere => false,
            Where::By(by) => by.fits(id(), &meta),
        };
        prop_assert!(there || !fits, "{:?} {:?}", wanted.key, meta);
    }
}
