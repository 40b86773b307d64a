//! Re-certify on the wire: what becomes of the old certificate, the new one and their key.

use kmip::{
    tables::{LinkType, ValidityIndicator},
    ttlv::Interval,
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use super::{
    certify::{ca, certified, certify, der_of, link, links, meta, pair, public_key, subject},
    objects::register_certificate,
    validate::{asked, validate},
    *,
};

fn re_certify<'a>(
    id: &'a str,
    offset: Option<u32>,
    list: &[(StandardAttribute, AttributeValue)],
) -> ops::re_certify::Request<'a> {
    ops::re_certify::Request {
        unique_identifier: Some(id),
        certificate_request_type: None,
        certificate_request: None,
        offset: offset.map(Interval),
        template_attribute: Some(template(list)),
    }
}

pub(super) fn renew(id: &str) -> Request<'_> {
    Request::ReCertify(re_certify(id, None, &[]))
}

fn named(name: &str) -> (StandardAttribute, AttributeValue) {
    (StandardAttribute::Name, AttributeValue::name(name))
}

async fn found(rig: &Rig, name: &str) -> Vec<String> {
    let request = ops::locate::Request::of(template(&[named(name)]).attributes);
    let got = rig.does(&Request::Locate(request)).await.unwrap();
    let Answer::Locate(answer) = got.answer() else { panic!("another answer") };
    answer.unique_identifiers.iter().map(|&id| id.to_owned()).collect()
}

#[tokio::test]
async fn a_new_certificate_takes_over_name_subject_and_key() {
    let rig = Rig::new().await;
    let ca = ca(&rig).await;
    let end = pair();
    let key = public_key(&rig, &rig.caller, &end, &[]).await;
    let other = certified(&rig, &certify(&key, &subject("other"))).await;
    let old = certified(&rig, &certify(&key, &[subject("db"), vec![named("db")]].concat())).await;
    rig.clock.forward_s(3600);
    let new = certified(&rig, &renew(&old)).await;
    assert_eq!(found(&rig, "db").await, [new.as_str()]);
    assert_eq!(links(&rig, &old, LinkType::ReplacementObjectLink), [new.as_str()]);
    assert_eq!(links(&rig, &new, LinkType::ReplacedObjectLink), [old.as_str()]);
    assert_eq!(links(&rig, &new, LinkType::PublicKeyLink), [key.as_str()]);
    assert_eq!(links(&rig, &new, LinkType::CertificateLink), [ca.certificate.as_str()]);
    assert_eq!(
        links(&rig, &key, LinkType::CertificateLink),
        [other, new.clone()],
        "the old one's became the new one's"
    );
    let (one, two) = (der_of(&rig, &old).await, der_of(&rig, &new).await);
    let ((_, one), (_, two)) = (X509Certificate::from_der(&one).unwrap(), X509Certificate::from_der(&two).unwrap());
    assert_eq!((one.subject(), one.public_key().raw), (two.subject(), two.public_key().raw));
    assert_eq!(
        one.subject_alternative_name().unwrap().unwrap().value,
        two.subject_alternative_name().unwrap().unwrap().value
    );
    assert_ne!(one.raw_serial(), two.raw_serial());
    assert_eq!(two.validity().not_before.timestamp(), START_S + 3600);
    let (before, after) = (meta(&rig, &old), meta(&rig, &new));
    assert_ne!(before.digest, after.digest);
    assert_eq!(after.rng, None);
    assert_eq!(after.certificate.unwrap().serial, two.raw_serial());
    assert_eq!(asked(&rig, validate(&[], &[&new], None)).await, Ok(ValidityIndicator::Valid));
    let again = rig.reason(&renew(&old)).await;
    assert_eq!(again, Some(ResultReason::PermissionDenied), "it is replaced already");
}

/// Table 186.
#[tokio::test]
async fn an_offset_moves_the_dates() {
    use StandardAttribute as A;
    let rig = Rig::new().await;
    ca(&rig).await;
    let key = public_key(&rig, &rig.caller, &pair(), &[]).await;
    let date = |name, at| (name, AttributeValue::DateTime(START_S + at));
    let dates = vec![date(A::ActivationDate, 0), date(A::DeactivationDate, 1000)];
    let old = certified(&rig, &certify(&key, &[subject("db"), dates].concat())).await;
    rig.clock.forward_s(500);
    let both = Request::ReCertify(re_certify(&old, Some(100), &[date(A::DeactivationDate, 9000)]));
    assert_eq!(rig.reason(&both).await, Some(ResultReason::InvalidMessage));
    let new = certified(&rig, &Request::ReCertify(re_certify(&old, Some(100), &[]))).await;
    let der = der_of(&rig, &new).await;
    let validity = X509Certificate::from_der(&der).unwrap().1.validity().clone();
    let (from, until) = (START_S + 600, START_S + 1600);
    assert_eq!((validity.not_before.timestamp(), validity.not_after.timestamp()), (from, until));
    let dates = meta(&rig, &new).dates;
    assert_eq!((dates.initial, dates.activation, dates.deactivation), (Some(START_S + 500), Some(from), Some(until)));
    rig.clock.forward_s(2000);
    let ended = rig.does(&renew(&new)).await.unwrap_err();
    assert!(ended.message.contains("has ended"), "copied dates are over: {}", ended.message);
    let later = Request::ReCertify(re_certify(&new, None, &[date(A::DeactivationDate, 9000)]));
    assert_eq!(rig.reason(&later).await, None);
}

#[tokio::test]
async fn a_request_or_the_template_says_another_subject() {
    let rig = Rig::new().await;
    ca(&rig).await;
    let end = pair();
    let key = public_key(&rig, &rig.caller, &end, &[]).await;
    let old = certified(&rig, &certify(&key, &subject("db"))).await;
    let mut params = rcgen::CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "request");
    let request = params.serialize_request(&end).unwrap();
    let by_request = ops::re_certify::Request {
        certificate_request_type: Some(kmip::tables::CertificateRequestType::Pkcs10),
        certificate_request: Some(request.der()),
        ..re_certify(&old, None, &[])
    };
    let second = certified(&rig, &Request::ReCertify(by_request)).await;
    let by_template = Request::ReCertify(re_certify(&second, None, &subject("template")));
    let third = certified(&rig, &by_template).await;
    for (id, name) in [(&second, "CN=request"), (&third, "CN=template")] {
        let der = der_of(&rig, id).await;
        assert_eq!(X509Certificate::from_der(&der).unwrap().1.subject().to_string(), name);
    }
    assert_eq!(links(&rig, &key, LinkType::CertificateLink), [third]);
}

#[tokio::test]
async fn what_cannot_be_renewed_is_refused() {
    let rig = Rig::new().await;
    let ca = ca(&rig).await;
    let key = public_key(&rig, &rig.caller, &pair(), &[]).await;
    let denied = async |id: &str, word: &str| {
        let failure = rig.does(&renew(id)).await.unwrap_err();
        assert!(failure.reason == ResultReason::PermissionDenied && failure.message.contains(word), "{failure:?}");
    };
    denied(&key, "no Certificate").await;
    denied(&ca.certificate, "Public Key Link").await;
    let foreign = rig.does(&register_certificate(&ca.der, &[link(LinkType::PublicKeyLink, &key)])).await.unwrap().id();
    denied(&foreign, "not the one that it is of").await;
    let lost = certified(&rig, &certify(&key, &subject("db"))).await;
    rig.does(&revoke(&lost, RevocationReasonCode::KeyCompromise)).await.unwrap();
    denied(&lost, "Compromised").await;
    let gone = certified(&rig, &certify(&key, &subject("db"))).await;
    rig.does(&destroy(&gone)).await.unwrap();
    assert!(rig.reason(&renew(&gone)).await.is_some());
}

#[tokio::test]
async fn of_two_at_once_one_renews_the_certificate() {
    let rig = Rig::new().await;
    ca(&rig).await;
    let key = public_key(&rig, &rig.caller, &pair(), &[]).await;
    let old = certified(&rig, &certify(&key, &subject("db"))).await;
    let request = renew(&old);
    let (one, other) = tokio::join!(rig.does(&request), rig.does(&request));
    assert_eq!([&one, &other].iter().filter(|answer| answer.is_ok()).count(), 1);
    assert_eq!(links(&rig, &key, LinkType::CertificateLink), links(&rig, &old, LinkType::ReplacementObjectLink));
}
