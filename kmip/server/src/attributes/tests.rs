//! Attributes there and back, and what is refused on the way.

use custody::object::NAMES_MAX;

use super::*;

fn template(attributes: Vec<Attribute>) -> TemplateAttribute {
    TemplateAttribute { template_names: vec![], attributes }
}

fn meta(attributes: Vec<Attribute>) -> Outcome<ObjectMeta> {
    meta_of(ObjectType::SymmetricKey, &template(attributes), 1_000)
}

fn standard(name: StandardAttribute, value: AttributeValue) -> Attribute {
    Attribute::new(name, value)
}

fn custom(name: &str, text: &str) -> Attribute {
    Attribute {
        name: AttributeName::Custom(name.to_owned()),
        index: None,
        value: AttributeValue::Text(text.to_owned()),
    }
}

fn reason(attributes: Vec<Attribute>) -> Option<ResultReason> {
    meta(attributes).err().map(|failure| failure.reason)
}

#[test]
fn what_is_given_comes_back() {
    use AttributeValue as V;
    use StandardAttribute as A;
    let given = vec![
        standard(A::Name, V::name("one")),
        Attribute { index: Some(1), ..standard(A::Name, V::name("two")) },
        standard(A::CryptographicAlgorithm, V::Enumeration(3)),
        standard(A::CryptographicLength, V::Integer(256)),
        standard(
            A::CryptographicParameters,
            V::CryptographicParameters(CryptographicParameters {
                block_cipher_mode: Some(BlockCipherMode::Gcm),
                tag_length: Some(16),
                random_iv: Some(true),
                ..CryptographicParameters::default()
            }),
        ),
        standard(A::CryptographicUsageMask, V::Integer(12)),
        standard(A::ActivationDate, V::DateTime(5_000)),
        standard(A::ObjectGroup, V::Text(String::new())),
        standard(A::ContactInformation, V::Text("ops".to_owned())),
        standard(A::Description, V::Text("a key".to_owned())),
        standard(A::Sensitive, V::Boolean(false)),
        standard(A::Extractable, V::Boolean(true)),
        custom("x-Vendor", "ACME"),
    ];
    let meta = meta(given.clone()).unwrap();
    let got = attributes_of("id", &meta, ProtocolVersion::V1_4, 1_000);
    for attribute in &given {
        assert!(got.contains(attribute), "{attribute:?} in {got:?}");
    }
    let state = |now| {
        attributes_of("id", &meta, ProtocolVersion::V1_4, now).into_iter().find(|one| one.name == A::State.into())
    };
    assert_eq!(state(4_999).map(|one| one.value), Some(V::Enumeration(1)));
    assert_eq!(state(5_000).map(|one| one.value), Some(V::Enumeration(2)));
}

#[test]
fn an_older_version_is_told_nothing_later() {
    let meta = meta(vec![standard(StandardAttribute::Description, AttributeValue::Text("a key".to_owned()))]).unwrap();
    for version in ProtocolVersion::SERVED {
        let told = attributes_of("id", &meta, version, 1);
        assert!(told.iter().all(|attribute| version.knows(attribute.name.since())), "{version}");
    }
    let told = attributes_of("id", &meta, ProtocolVersion::V1_0, 1);
    assert!(!told.iter().any(|attribute| attribute.name == StandardAttribute::Sensitive.into()));
}

#[test]
fn what_is_wrong_is_refused_with_its_reason() {
    use AttributeValue as V;
    use StandardAttribute as A;
    let invalid = Some(ResultReason::InvalidField);
    assert_eq!(reason(vec![standard(A::State, V::Enumeration(2))]), invalid);
    assert_eq!(reason(vec![standard(A::UniqueIdentifier, V::Text("mine".to_owned()))]), invalid);
    let length = || standard(A::CryptographicLength, V::Integer(256));
    assert_eq!(reason(vec![length(), length()]), invalid);
    assert_eq!(reason(vec![standard(A::CryptographicLength, V::Integer(-1))]), invalid);
    assert_eq!(reason(vec![standard(A::CryptographicAlgorithm, V::Enumeration(0x99))]), invalid);
    assert_eq!(reason(vec![standard(A::CryptographicUsageMask, V::Integer(1 << 30))]), invalid);
    assert_eq!(reason(vec![standard(A::CryptographicUsageMask, V::Text("12".to_owned()))]), invalid);
    assert_eq!(reason(vec![standard(A::Name, V::name("a")), standard(A::Name, V::name("a"))]), invalid);
    assert_eq!(reason(vec![custom("y-mine", "")]), invalid);
    let many = (0..INSTANCES_MAX + 1).map(|number| custom(&format!("x-{number}"), "")).collect();
    assert_eq!(reason(many), Some(ResultReason::IndexOutOfBounds));
    let names = (0..NAMES_MAX + 1).map(|number| standard(A::Name, V::name(number.to_string()))).collect();
    assert_eq!(reason(names), Some(ResultReason::IndexOutOfBounds));
    let counted = CryptographicParameters { counter_length: Some(8), ..CryptographicParameters::default() };
    assert_eq!(
        reason(vec![standard(A::CryptographicParameters, V::CryptographicParameters(counted))]),
        Some(ResultReason::FeatureNotSupported)
    );
    let named = TemplateAttribute {
        template_names: vec![kmip::Name { value: "t".to_owned(), kind: NameType::UninterpretedTextString }],
        attributes: vec![],
    };
    let failure = meta_of(ObjectType::SymmetricKey, &named, 1).err();
    assert_eq!(failure.map(|failure| failure.reason), Some(ResultReason::ItemNotFound));
}

#[test]
fn whether_a_key_may_leave_is_fixed_at_its_creation() {
    let kept = meta(vec![standard(StandardAttribute::Extractable, AttributeValue::Boolean(false))]).unwrap();
    assert!(!kept.exportable && kept.never_extractable);
    assert!(meta(vec![]).unwrap().exportable);
}
