//! Certify on the wire: who signs, whom for, and what is refused.

use kmip::{
    Link, PrivateKey, PublicKey, UsageLimits, X509CertificateSubject,
    tables::{CertificateRequestType, LinkType, UsageMask, ValidityIndicator},
    ttlv::{Enumeration, LongInteger},
};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CustomExtension, DnType, GeneralSubtree, IsCa, KeyPair,
    NameConstraints, PublicKeyData, SanType, date_time_ymd,
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer, time::ASN1Time};

use super::{
    objects::register_certificate,
    validate::{asked, validate},
    *,
};
use crate::caller::Caller;

pub(super) const PAST: (StandardAttribute, AttributeValue) =
    (StandardAttribute::ActivationDate, AttributeValue::DateTime(START_S - 3600));

pub(super) fn mask(uses: UsageMask) -> (StandardAttribute, AttributeValue) {
    (StandardAttribute::CryptographicUsageMask, AttributeValue::Integer(uses.0))
}

fn algorithm_of(pair: &KeyPair) -> CryptographicAlgorithm {
    if pair.is_compatible(&rcgen::PKCS_RSA_SHA256) { CryptographicAlgorithm::Rsa } else { CryptographicAlgorithm::Ec }
}

/// A Public Key of this pair.
pub(super) async fn public_key(
    rig: &Rig,
    caller: &Caller,
    pair: &KeyPair,
    extra: &[(StandardAttribute, AttributeValue)],
) -> String {
    let key_block = block(KeyFormatType::X509, pair.subject_public_key_info(), Some(algorithm_of(pair)));
    let mut attributes = vec![mask(UsageMask::VERIFY)];
    attributes.retain(|(name, _)| extra.iter().all(|(other, _)| other != name));
    attributes.extend_from_slice(extra);
    let object = ManagedObject::PublicKey(PublicKey { key_block });
    let request = Request::Register(ops::register::Request::of(object, template(&attributes)));
    rig.call(caller, V1_4, &request).await.unwrap().id()
}

pub(super) fn pair() -> KeyPair {
    KeyPair::generate().unwrap()
}

pub(super) fn link(kind: LinkType, to: &str) -> (StandardAttribute, AttributeValue) {
    (StandardAttribute::Link, AttributeValue::Link(Link { kind, linked_object_identifier: to.to_owned() }))
}

pub(super) fn ca_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params
}

/// A CA in the store: its key, its certificate, that certificate's bytes.
pub(super) struct Ca {
    pub(super) key: String,
    pub(super) certificate: String,
    pub(super) der: Vec<u8>,
}

/// A CA of `caller`'s system. Its key gets `extra` attributes besides.
pub(super) async fn ca_of(
    rig: &Rig,
    caller: &Caller,
    params: CertificateParams,
    pair: KeyPair,
    extra: &[(StandardAttribute, AttributeValue)],
) -> Ca {
    let (algorithm, pkcs8) = (algorithm_of(&pair), pair.serialize_der());
    let der = CertifiedIssuer::self_signed(params, pair).unwrap().der().to_vec();
    let certificate = rig.call(caller, V1_4, &register_certificate(&der, &[])).await.unwrap().id();
    rig.call(caller, V1_4, &activate(Some(&certificate))).await.unwrap();
    let mut attributes = vec![mask(UsageMask::CERTIFICATE_SIGN), PAST, link(LinkType::CertificateLink, &certificate)];
    attributes.retain(|(name, _)| extra.iter().all(|(other, _)| other != name));
    attributes.extend_from_slice(extra);
    let object =
        ManagedObject::PrivateKey(PrivateKey { key_block: block(KeyFormatType::Pkcs8, pkcs8, Some(algorithm)) });
    let request = Request::Register(ops::register::Request::of(object, template(&attributes)));
    let key = rig.call(caller, V1_4, &request).await.unwrap().id();
    Ca { key, certificate, der }
}

pub(super) async fn ca(rig: &Rig) -> Ca {
    ca_of(rig, &rig.caller, ca_params("root"), pair(), &[]).await
}

/// `CN=name`, and one DNS name.
pub(super) fn subject(name: &str) -> Vec<(StandardAttribute, AttributeValue)> {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    let der = params.self_signed(&pair()).unwrap().der().to_vec();
    let (_, parsed) = X509Certificate::from_der(&der).unwrap();
    let dns = format!("{name}.example.org");
    let alternatives = vec![[&[0x82, u8::try_from(dns.len()).unwrap()], dns.as_bytes()].concat()];
    let subject = X509CertificateSubject { name: parsed.subject().as_raw().to_vec(), alternatives };
    vec![
        (StandardAttribute::CertificateType, AttributeValue::Enumeration(1)),
        (StandardAttribute::X509CertificateSubject, AttributeValue::X509CertificateSubject(subject)),
    ]
}

pub(super) fn certify<'a>(id: &'a str, list: &[(StandardAttribute, AttributeValue)]) -> Request<'a> {
    Request::Certify(ops::certify::Request {
        unique_identifier: Some(id),
        certificate_request_type: None,
        certificate_request: None,
        template_attribute: Some(template(list)),
    })
}

fn by_request<'a>(id: &'a str, kind: CertificateRequestType, request: &'a [u8]) -> Request<'a> {
    Request::Certify(ops::certify::Request {
        unique_identifier: Some(id),
        certificate_request_type: Some(kind),
        certificate_request: Some(request),
        template_attribute: None,
    })
}

pub(super) async fn certified(rig: &Rig, request: &Request<'_>) -> String {
    let got = rig.does(request).await.unwrap();
    match got.answer() {
        Answer::Certify(answer) => answer.unique_identifier.to_owned(),
        Answer::ReCertify(answer) => answer.unique_identifier.to_owned(),
        _ => panic!("another answer"),
    }
}

pub(super) async fn der_of(rig: &Rig, id: &str) -> Vec<u8> {
    let got = rig.does(&get(id)).await.unwrap();
    let Answer::Get(answer) = got.answer() else { panic!("another answer") };
    answer.certificate.unwrap().certificate_value.expose().to_vec()
}

pub(super) fn meta(rig: &Rig, id: &str) -> custody::object::ObjectMeta {
    let (keyring, caller) = (rig.server.keyring(), &rig.caller);
    keyring.object(caller.tenant(), caller.system(), id.parse().unwrap()).unwrap().meta
}

pub(super) fn links(rig: &Rig, id: &str, kind: LinkType) -> Vec<String> {
    meta(rig, id).links.iter().filter(|link| link.kind == kind.code()).map(|link| link.to.clone()).collect()
}

async fn refused(rig: &Rig, request: &Request<'_>, reason: ResultReason, word: &str) {
    let failure = rig.does(request).await.unwrap_err();
    assert!(failure.reason == reason && failure.message.contains(word), "{word}: {failure:?}");
}

#[tokio::test]
async fn a_ca_of_each_kind_signs_what_validates_even_if_its_key_never_leaves() {
    let kinds: [&'static rcgen::SignatureAlgorithm; 4] = [
        &rcgen::PKCS_ECDSA_P256_SHA256,
        &rcgen::PKCS_ECDSA_P384_SHA384,
        &rcgen::PKCS_ECDSA_P521_SHA512,
        &rcgen::PKCS_RSA_SHA256,
    ];
    for kind in kinds {
        let rig = Rig::new().await;
        let stays = [(StandardAttribute::Extractable, AttributeValue::Boolean(false))];
        let ca = ca_of(&rig, &rig.caller, ca_params("root"), KeyPair::generate_for(kind).unwrap(), &stays).await;
        assert_eq!(rig.reason(&get(&ca.key)).await, Some(ResultReason::NotExtractable));
        let end = KeyPair::generate_for(kind).unwrap();
        let key = public_key(&rig, &rig.caller, &end, &[]).await;
        let id = certified(&rig, &certify(&key, &subject("db"))).await;
        let der = der_of(&rig, &id).await;
        assert_eq!(asked(&rig, validate(&[&der], &[], None)).await, Ok(ValidityIndicator::Valid));
        assert_eq!(asked(&rig, validate(&[], &[&id], None)).await, Ok(ValidityIndicator::Valid));
        let (_, parsed) = X509Certificate::from_der(&der).unwrap();
        assert_eq!(parsed.public_key().raw, end.subject_public_key_info());
        assert_eq!((parsed.subject().to_string(), parsed.is_ca()), ("CN=db".to_owned(), false));
        assert_eq!(links(&rig, &id, LinkType::PublicKeyLink), [key.as_str()]);
        assert_eq!(links(&rig, &id, LinkType::CertificateLink), [ca.certificate.as_str()]);
        assert_eq!(links(&rig, &key, LinkType::CertificateLink), [id.as_str()]);
        let (certificate, made) = (meta(&rig, &id), UsageMask::VERIFY.0);
        assert_eq!(
            (certificate.usage_mask, certificate.state),
            (u32::try_from(made).unwrap(), custody::object::State::PreActive)
        );
    }
}

#[tokio::test]
async fn a_pair_that_was_made_here_is_certified_and_the_next_item_means_its_certificate() {
    let rig = Rig::new().await;
    let ca = ca(&rig).await;
    let bits = (StandardAttribute::CryptographicLength, AttributeValue::Integer(256));
    let [_, key] = ec::pair(&rig, &ec::pair_of(CryptographicAlgorithm::Ecdsa, &[bits])).await;
    let answers = rig.batch(RequestHeader::of(V1_4), &[certify(&key, &subject("db")), activate(None)]).await;
    assert_eq!(answers, [None, None]);
    let [id] = links(&rig, &key, LinkType::CertificateLink).try_into().unwrap();
    assert_eq!(meta(&rig, &id).state, custody::object::State::Active);
    let (_, made) = rsa::pair(&rig).await;
    let other = certified(&rig, &certify(&made, &subject("other"))).await;
    let der = der_of(&rig, &other).await;
    let (_, parsed) = X509Certificate::from_der(&der).unwrap();
    let usage = parsed.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && usage.data_encipherment() && !usage.key_cert_sign(), "{usage}");
    let again = certified(&rig, &certify(&key, &subject("again"))).await;
    assert_eq!(links(&rig, &key, LinkType::CertificateLink), [id, again]);
    assert_ne!(ca.der, der);
}

#[tokio::test]
async fn names_come_from_the_request_and_nothing_else_does() {
    let rig = Rig::new().await;
    ca(&rig).await;
    let end = pair();
    let key = public_key(&rig, &rig.caller, &end, &[]).await;
    let mut params = CertificateParams::new(vec!["db.example.org".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "request");
    params.distinguished_name.push(DnType::OrganizationName, "org");
    params.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
    let unknown = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![4, 1, 7]);
    params.custom_extensions.push(unknown);
    let request = params.serialize_request(&end).unwrap();
    let pem = request.pem().unwrap();
    for (kind, bytes) in
        [(CertificateRequestType::Pkcs10, request.der().as_ref()), (CertificateRequestType::Pem, pem.as_bytes())]
    {
        let Request::Certify(mut asks) = by_request(&key, kind, bytes) else { panic!("another request") };
        asks.template_attribute = Some(template(&subject("template")));
        let der = der_of(&rig, &certified(&rig, &Request::Certify(asks)).await).await;
        let (_, parsed) = X509Certificate::from_der(&der).unwrap();
        let (name, alternatives) = (parsed.subject().to_string(), parsed.subject_alternative_name().unwrap().unwrap());
        assert!(name.contains("CN=request") && name.contains("O=org"), "{name}");
        assert_eq!(alternatives.value.general_names.len(), 2);
        assert_eq!(parsed.extensions().len(), 5, "no more than ours");
        assert_eq!(asked(&rig, validate(&[&der], &[], None)).await, Ok(ValidityIndicator::Valid));
    }
}

#[tokio::test]
async fn a_request_must_be_of_the_key_and_signed_by_it_and_of_no_ca() {
    use {CertificateRequestType as T, ResultReason as R};
    let rig = Rig::new().await;
    ca(&rig).await;
    let (end, other) = (pair(), pair());
    let key = public_key(&rig, &rig.caller, &end, &[]).await;
    let mut params = CertificateParams::new(vec!["db.example.org".to_owned()]).unwrap();
    let foreign = params.serialize_request(&other).unwrap().der().to_vec();
    refused(&rig, &by_request(&key, T::Pkcs10, &foreign), R::InvalidField, "another key").await;
    let good = params.serialize_request(&end).unwrap().der().to_vec();
    let at = good.windows(14).position(|bytes| bytes == b"db.example.org").unwrap();
    let mut forged = good.clone();
    forged[at] = b'x';
    refused(&rig, &by_request(&key, T::Pkcs10, &forged), R::InvalidField, "signature").await;
    params.custom_extensions.push(CustomExtension::from_oid_content(&[2, 5, 29, 19], vec![0x30, 3, 1, 1, 0xff]));
    let authority = params.serialize_request(&end).unwrap().der().to_vec();
    refused(&rig, &by_request(&key, T::Pkcs10, &authority), R::PermissionDenied, "CA").await;
    refused(&rig, &by_request(&key, T::Pkcs10, &good[1..]), R::InvalidField, "PKCS#10").await;
    refused(&rig, &by_request(&key, T::Pem, &good), R::InvalidField, "PEM").await;
    for (kind, name) in [(T::Crmf, "CRMF"), (T::Pgp, "PGP")] {
        refused(&rig, &by_request(&key, kind, &good), R::FeatureNotSupported, name).await;
    }
    let Request::Certify(whole) = by_request(&key, T::Pkcs10, &good) else { panic!("another request") };
    let untyped = Request::Certify(ops::certify::Request { certificate_request_type: None, ..whole });
    refused(&rig, &untyped, R::InvalidMessage, "Certificate Request Type").await;
    assert_eq!(rig.reason(&by_request(&key, T::Pkcs10, &good)).await, None);
}

#[tokio::test]
async fn what_cannot_be_certified_is_refused() {
    use ResultReason as R;
    let rig = Rig::new().await;
    ca(&rig).await;
    let key = public_key(&rig, &rig.caller, &pair(), &[]).await;
    refused(&rig, &certify(&key, &subject("db")[..1]), R::InvalidField, "whom").await;
    refused(&rig, &certify(&key, &subject("db")[1..]), R::InvalidField, "Certificate Type").await;
    let mut pgp = subject("db");
    pgp[0].1 = AttributeValue::Enumeration(2);
    refused(&rig, &certify(&key, &pgp), R::FeatureNotSupported, "X.509").await;
    let secret = rig.does(&create()).await.unwrap().id();
    refused(&rig, &certify(&secret, &subject("db")), R::PermissionDenied, "no Public Key").await;
    let kept = [(StandardAttribute::Extractable, AttributeValue::Boolean(false))];
    let kept = public_key(&rig, &rig.caller, &pair(), &kept).await;
    refused(&rig, &certify(&kept, &subject("db")), R::NotExtractable, "Extractable").await;
    let idle = public_key(&rig, &rig.caller, &pair(), &[mask(UsageMask::DERIVE_KEY)]).await;
    refused(&rig, &certify(&idle, &subject("db")), R::PermissionDenied, "Usage Mask").await;
    let lost = public_key(&rig, &rig.caller, &pair(), &[]).await;
    rig.does(&revoke(&lost, RevocationReasonCode::KeyCompromise)).await.unwrap();
    refused(&rig, &certify(&lost, &subject("db")), R::PermissionDenied, "Compromised").await;
    let root = subject("root");
    refused(&rig, &certify(&key, &root), R::PermissionDenied, "CA itself").await;
    let mut twice = subject("db");
    twice.extend(subject("other"));
    refused(&rig, &certify(&key, &twice), R::InvalidField, "more than once").await;
    assert_eq!(links(&rig, &key, LinkType::CertificateLink), [""; 0], "nothing was made");
}

#[tokio::test]
async fn a_system_has_its_own_ca_and_names_one_of_several() {
    use ResultReason as R;
    let rig = Rig::new().await;
    let foreign = caller_of(tenant(1), "invoices");
    let theirs = ca_of(&rig, &foreign, ca_params("theirs"), pair(), &[]).await;
    let key = public_key(&rig, &rig.caller, &pair(), &[]).await;
    let with = |issuer: &str| [subject("db"), vec![link(LinkType::PrivateKeyLink, issuer)]].concat();
    refused(&rig, &certify(&key, &subject("db")), R::PermissionDenied, "Create Key Pair").await;
    refused(&rig, &certify(&key, &with(&theirs.key)), R::ItemNotFound, "").await;
    let ours = ca(&rig).await;
    let der = der_of(&rig, &certified(&rig, &certify(&key, &subject("db"))).await).await;
    assert_eq!(X509Certificate::from_der(&der).unwrap().1.issuer().to_string(), "CN=root");
    let other = ca_of(&rig, &rig.caller, ca_params("other"), pair(), &[]).await;
    refused(&rig, &certify(&key, &subject("db")), R::PermissionDenied, "several keys").await;
    let id = certified(&rig, &certify(&key, &with(&other.key))).await;
    let der = der_of(&rig, &id).await;
    assert_eq!(X509Certificate::from_der(&der).unwrap().1.issuer().to_string(), "CN=other");
    assert_eq!(links(&rig, &id, LinkType::PrivateKeyLink), [""; 0], "who was to sign is no link of the certificate");
    rig.does(&revoke(&other.certificate, RevocationReasonCode::Superseded)).await.unwrap();
    refused(&rig, &certify(&key, &with(&other.key)), R::PermissionDenied, "no CA").await;
    assert_eq!(rig.reason(&certify(&key, &subject("db"))).await, None, "one is left");
    rig.does(&revoke(&ours.key, RevocationReasonCode::Superseded)).await.unwrap();
    refused(&rig, &certify(&key, &with(&ours.key)), R::PermissionDenied, "Active").await;
}

#[tokio::test]
async fn what_is_no_ca_signs_nothing() {
    use ResultReason as R;
    let rig = Rig::new().await;
    let key = public_key(&rig, &rig.caller, &pair(), &[]).await;
    let with = |issuer: &Ca| [subject("db"), vec![link(LinkType::PrivateKeyLink, &issuer.key)]].concat();
    let made = async |params: CertificateParams, extra: &[(StandardAttribute, AttributeValue)]| {
        ca_of(&rig, &rig.caller, params, pair(), extra).await
    };
    let mut end = ca_params("end");
    end.is_ca = IsCa::NoCa;
    let end = made(end, &[]).await;
    refused(&rig, &certify(&key, &with(&end)), R::PermissionDenied, "Basic Constraints").await;
    let mut crl = ca_params("crl");
    crl.key_usages.push(rcgen::KeyUsagePurpose::CrlSign);
    let crl = made(crl, &[]).await;
    refused(&rig, &certify(&key, &with(&crl)), R::PermissionDenied, "Key Usage").await;
    let mut old = ca_params("old");
    old.not_after = date_time_ymd(2020, 1, 1);
    let old = made(old, &[]).await;
    refused(&rig, &certify(&key, &with(&old)), R::PermissionDenied, "not valid now").await;
    let signer = made(ca_params("signer"), &[mask(UsageMask::SIGN)]).await;
    refused(&rig, &certify(&key, &with(&signer)), R::PermissionDenied, "Usage Mask").await;
    let others = made(ca_params("others"), &[link(LinkType::CertificateLink, &end.certificate)]).await;
    let others = Ca { key: others.key, ..end };
    refused(&rig, &certify(&key, &with(&others)), R::PermissionDenied, "Basic Constraints").await;
    let good = made(ca_params("good"), &[]).await;
    let wrong = made(ca_params("good"), &[link(LinkType::CertificateLink, &good.certificate)]).await;
    refused(&rig, &certify(&key, &with(&wrong)), R::PermissionDenied, "not of the key that signs").await;
    let mut narrow = ca_params("narrow");
    let permitted_subtrees = vec![GeneralSubtree::DnsName("example.com".to_owned())];
    narrow.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: vec![] });
    let narrow = made(narrow, &[]).await;
    refused(&rig, &certify(&key, &with(&narrow)), R::PermissionDenied, "these names").await;
    assert_eq!(rig.reason(&certify(&key, &with(&good))).await, None);
}

#[tokio::test]
async fn a_certificate_never_outlives_its_ca() {
    use StandardAttribute as A;
    let rig = Rig::new().await;
    let mut params = ca_params("root");
    params.not_after = date_time_ymd(2024, 1, 1);
    let end = params.not_after.unix_timestamp();
    ca_of(&rig, &rig.caller, params, pair(), &[]).await;
    let key = public_key(&rig, &rig.caller, &pair(), &[]).await;
    let with = |dates: &[(A, i64)]| {
        let date = |(name, at): &(A, i64)| (*name, AttributeValue::DateTime(*at));
        [subject("db"), dates.iter().map(date).collect()].concat()
    };
    let period = async |dates: &[(A, i64)]| {
        let der = der_of(&rig, &certified(&rig, &certify(&key, &with(dates))).await).await;
        let (_, parsed) = X509Certificate::from_der(&der).unwrap();
        let seconds = |at: ASN1Time| at.timestamp();
        (seconds(parsed.validity().not_before), seconds(parsed.validity().not_after))
    };
    assert_eq!(period(&[]).await, (START_S, end), "a year would be longer");
    let (from, until) = (START_S + 60, START_S + 600);
    assert_eq!(period(&[(A::ActivationDate, from), (A::DeactivationDate, until)]).await, (from, until));
    let late = [(A::DeactivationDate, end + 1)];
    refused(&rig, &certify(&key, &with(&late)), ResultReason::InvalidField, "outlive").await;
    let over = [(A::ActivationDate, START_S - 60), (A::DeactivationDate, START_S - 1)];
    refused(&rig, &certify(&key, &with(&over)), ResultReason::InvalidField, "has ended").await;
}

#[tokio::test]
async fn what_a_ca_signs_counts_and_policy_is_asked_about_its_key() {
    let rig = Rig::new().await;
    let limits = UsageLimits { total: LongInteger(2), count: None, unit: Enumeration(2) };
    let limits = [(StandardAttribute::UsageLimits, AttributeValue::UsageLimits(limits))];
    let limited = ca_of(&rig, &rig.caller, ca_params("limited"), pair(), &limits).await;
    let key = public_key(&rig, &rig.caller, &pair(), &[]).await;
    for reason in [None, None, Some(ResultReason::PermissionDenied)] {
        assert_eq!(rig.reason(&certify(&key, &subject("db"))).await, reason);
    }
    rig.does(&revoke(&limited.key, RevocationReasonCode::Superseded)).await.unwrap();
    ca(&rig).await;
    assert_eq!(rig.reason(&certify(&key, &subject("db"))).await, None);
    let forbid =
        r#"@id("no-signatures") forbid (principal is Client, action == Action::"sign", resource is KeyObject);"#;
    rig.decree(forbid);
    assert_eq!(rig.reason(&certify(&key, &subject("db"))).await, Some(ResultReason::PermissionDenied));
}
