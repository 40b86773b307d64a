//! Certificates and parts of keys on the wire: brought, told of, found, handed out.

use kmip::{
    Certificate, Fields, Sought, SplitKey, Tag,
    tables::{AttributeName, CertificateType, SplitKeyMethod},
};
use rcgen::{CertificateParams, DnType, KeyPair};

use super::*;

fn der(name: &str) -> Vec<u8> {
    let mut params = CertificateParams::new(vec![format!("{name}.example.org")]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

pub(super) fn register_certificate(der: &[u8], extra: &[(StandardAttribute, AttributeValue)]) -> Request<'static> {
    let certificate =
        Certificate { certificate_type: CertificateType::X509, certificate_value: KeyMaterial::new(der.to_vec()) };
    let object = ManagedObject::Certificate(certificate);
    Request::Register(ops::register::Request::of(object, template(extra)))
}

fn register_part(parts: i32, part: i32, threshold: i32, method: SplitKeyMethod) -> Request<'static> {
    let mut key_block = block(KeyFormatType::Raw, vec![5; 32], Some(CryptographicAlgorithm::Aes));
    key_block.cryptographic_length = Some(256);
    let object =
        ManagedObject::SplitKey(SplitKey { parts, part, threshold, method, prime_field_size: None, key_block });
    Request::Register(ops::register::Request::of(object, template(&[])))
}

fn locate(attribute: Attribute) -> Request<'static> {
    Request::Locate(ops::locate::Request::of(vec![attribute]))
}

async fn attributes(rig: &Rig, version: ProtocolVersion, id: &str) -> Vec<Attribute> {
    let all = ops::get_attributes::Request { unique_identifier: Some(id), attribute_names: vec![] };
    let told = rig.call(&rig.caller, version, &Request::GetAttributes(all)).await.unwrap();
    let Answer::GetAttributes(told) = told.answer() else { panic!("another answer") };
    told.attributes
}

async fn found(rig: &Rig, attribute: Attribute) -> Vec<String> {
    let got = rig.does(&locate(attribute)).await.unwrap();
    let Answer::Locate(answer) = got.answer() else { panic!("another answer") };
    answer.unique_identifiers.into_iter().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_certificate_is_told_of_found_and_handed_out() {
    let rig = Rig::new().await;
    let (one, other) = (der("one"), der("other"));
    let id = rig.does(&register_certificate(&one, &[])).await.unwrap().id();
    rig.does(&register_certificate(&other, &[])).await.unwrap();
    let got = rig.does(&get(&id)).await.unwrap();
    let Answer::Get(answer) = got.answer() else { panic!("another answer") };
    assert_eq!(answer.certificate.unwrap().certificate_value.expose(), one);
    let told = attributes(&rig, V1_4, &id).await;
    let subject = told.iter().find(|one| one.name == StandardAttribute::X509CertificateSubject.into()).unwrap();
    assert_eq!(found(&rig, subject.clone()).await, std::slice::from_ref(&id));
    let name =
        Fields::written(|w| w.bytes(Tag::SUBJECT_ALTERNATIVE_NAME, &[&[0x82, 15], &b"one.example.org"[..]].concat()));
    let part = Sought::Part { name: StandardAttribute::X509CertificateSubject.into(), fields: name };
    let by_part = ops::locate::Request { attributes: vec![part], ..ops::locate::Request::of(vec![]) };
    let got = rig.does(&Request::Locate(by_part)).await.unwrap();
    let Answer::Locate(located) = got.answer() else { panic!("another answer") };
    assert_eq!(located.unique_identifiers, [id.as_str()], "one of its names is enough");
    let kind = Attribute::new(StandardAttribute::CertificateType, AttributeValue::Enumeration(1));
    assert_eq!(found(&rig, kind).await.len(), 2);
    assert!(told.iter().any(|one| matches!(one.value, AttributeValue::Digest(_))));
    let old = attributes(&rig, V1_0, &id).await;
    let names = |list: &[Attribute]| list.iter().map(|one| one.name.as_str().to_owned()).collect::<Vec<_>>();
    let old = names(&old);
    assert!(old.contains(&"Certificate Subject".to_owned()), "{old:?}");
    assert!(!old.contains(&"X.509 Certificate Subject".to_owned()), "{old:?}");
}

#[tokio::test]
async fn what_belongs_to_a_certificate_belongs_to_nothing_else() {
    let rig = Rig::new().await;
    let length = (StandardAttribute::CertificateLength, AttributeValue::Integer(1));
    let reason = Some(ResultReason::InvalidField);
    assert_eq!(rig.reason(&create_with(std::slice::from_ref(&length))).await, reason);
    assert_eq!(rig.reason(&register_certificate(&der("one"), &[length])).await, reason);
    assert_eq!(rig.reason(&register_certificate(b"no certificate", &[])).await, reason);
    assert_eq!(rig.reason(&register_certificate(b"", &[])).await, reason);
    let id = rig.does(&register_certificate(&der("one"), &[])).await.unwrap().id();
    let wrong = encrypt(&id, gcm(), b"data");
    assert!(rig.reason(&wrong).await.is_some(), "a certificate is no key");
}

#[tokio::test]
async fn a_part_of_a_key_comes_and_leaves_as_what_it_is() {
    let rig = Rig::new().await;
    let id = rig.does(&register_part(5, 2, 3, SplitKeyMethod::PolynomialSharingGf2To8)).await.unwrap().id();
    let got = rig.does(&get(&id)).await.unwrap();
    let Answer::Get(answer) = got.answer() else { panic!("another answer") };
    let part = answer.split_key.unwrap();
    assert_eq!((part.parts, part.part, part.threshold), (5, 2, 3));
    assert_eq!(part.method, SplitKeyMethod::PolynomialSharingGf2To8);
    assert_eq!(part.key_block.material.expose(), [5; 32]);
    assert!(rig.reason(&encrypt(&id, gcm(), b"data")).await.is_some(), "a part is no key");
    let method = SplitKeyMethod::PolynomialSharingGf2To8;
    let wrong = [
        register_part(0, 0, 0, method),
        register_part(2, 3, 2, method),
        register_part(2, 0, 2, method),
        register_part(2, 1, 3, method),
        register_part(3, 1, 2, SplitKeyMethod::Xor),
        register_part(3, 1, 2, SplitKeyMethod::PolynomialSharingPrimeField),
    ];
    for wrong in wrong {
        assert_eq!(rig.reason(&wrong).await, Some(ResultReason::InvalidField));
    }
}

#[tokio::test]
async fn a_custom_attribute_of_any_type_is_kept_as_it_came_and_found() {
    let rig = Rig::new().await;
    let mut fields = vec![];
    let mut writer = ttlv::Writer::new(&mut fields, V1_4);
    writer.text(Tag(0x54_0001), "rack");
    writer.integer(Tag(0x54_0002), 7);
    let values = [
        AttributeValue::BigInteger(vec![0xFF; 8]),
        AttributeValue::Structure(fields),
        AttributeValue::Bytes(vec![0xFF; 8]),
        AttributeValue::Interval(7),
        AttributeValue::DateTime(7),
        AttributeValue::Boolean(true),
    ];
    for value in values {
        let id = rig.does(&create()).await.unwrap().id();
        let attribute = Attribute { name: AttributeName::Custom("x-place".to_owned()), index: None, value };
        let add = ops::add_attribute::Request { unique_identifier: Some(&id), attribute: attribute.clone() };
        rig.does(&Request::AddAttribute(add)).await.unwrap();
        let asked = ops::get_attributes::Request { unique_identifier: Some(&id), attribute_names: vec!["x-place"] };
        let got = rig.does(&Request::GetAttributes(asked)).await.unwrap();
        let Answer::GetAttributes(answer) = got.answer() else { panic!("another answer") };
        assert_eq!(answer.attributes, std::slice::from_ref(&attribute));
        let locate = Request::Locate(ops::locate::Request::of(vec![attribute.clone()]));
        let got = rig.does(&locate).await.unwrap();
        let Answer::Locate(found) = got.answer() else { panic!("another answer") };
        assert_eq!(found.unique_identifiers, [id.as_str()], "{attribute:?}");
    }
}
