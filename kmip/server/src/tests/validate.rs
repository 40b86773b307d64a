//! Validate on the wire: whom a system trusts is what it made Active.

use ValidityIndicator::{Invalid, Unknown, Valid};
use kmip::{
    Certificate,
    tables::{CertificateType, ValidityIndicator},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, date_time_ymd};

use super::{objects::register_certificate, *};

type Ca = CertifiedIssuer<'static, KeyPair>;

fn params(name: &str, is_ca: IsCa) -> CertificateParams {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = is_ca;
    params
}

fn ca() -> IsCa {
    IsCa::Ca(BasicConstraints::Unconstrained)
}

fn pair() -> KeyPair {
    KeyPair::generate().unwrap()
}

fn root(name: &str) -> Ca {
    CertifiedIssuer::self_signed(params(name, ca()), pair()).unwrap()
}

/// An end under `issuer`.
fn leaf(issuer: &Ca) -> Vec<u8> {
    params("leaf", IsCa::NoCa).signed_by(&pair(), issuer).unwrap().der().to_vec()
}

pub(super) fn validate(chain: &[&[u8]], ids: &[&str], at_s: Option<i64>) -> Vec<u8> {
    let certificate = |der: &&[u8]| Certificate {
        certificate_type: CertificateType::X509,
        certificate_value: KeyMaterial::new(der.to_vec()),
    };
    let request = ops::validate::Request {
        certificates: chain.iter().map(certificate).collect(),
        unique_identifiers: ids.to_vec(),
        validity_date: at_s.map(DateTime),
    };
    client::request(V1_4, &Request::Validate(request))
}

pub(super) async fn asked(rig: &Rig, frame: Vec<u8>) -> Result<ValidityIndicator, ResultReason> {
    let answer = rig.ask(&rig.caller, &frame).await;
    match client::read_one(&answer, V1_4, kmip::Operation::Validate).unwrap() {
        Ok(Answer::Validate(answer)) => Ok(answer.validity_indicator),
        Ok(_) => panic!("another answer"),
        Err(failure) => Err(failure.reason),
    }
}

/// Registers a certificate, and trusts it.
async fn trusted(rig: &Rig, der: &[u8]) -> String {
    let id = rig.does(&register_certificate(der, &[])).await.unwrap().id();
    rig.does(&activate(Some(&id))).await.unwrap();
    id
}

#[tokio::test]
async fn a_chain_is_valid_if_it_leads_to_an_active_anchor() {
    let rig = Rig::new().await;
    let (root, other) = (root("root"), root("other"));
    let between = CertifiedIssuer::signed_by(params("between", ca()), pair(), &root).unwrap();
    let leaf = leaf(&between);
    let chain: [&[u8]; 2] = [&leaf, between.der()];
    assert_eq!(asked(&rig, validate(&chain, &[], None)).await, Ok(Unknown), "nobody is trusted");
    trusted(&rig, between.der()).await;
    assert_eq!(asked(&rig, validate(&[&leaf], &[], None)).await, Ok(Unknown), "no root is trusted");
    let unsaid = rig.does(&register_certificate(root.der(), &[])).await.unwrap().id();
    assert_eq!(asked(&rig, validate(&chain, &[], None)).await, Ok(Unknown), "registered is not trusted");
    trusted(&rig, other.der()).await;
    assert_eq!(asked(&rig, validate(&chain, &[], None)).await, Ok(Unknown), "another is trusted");
    rig.does(&activate(Some(&unsaid))).await.unwrap();
    assert_eq!(asked(&rig, validate(&chain, &[], None)).await, Ok(Valid));
    let whole: [&[u8]; 3] = [root.der(), &leaf, between.der()];
    assert_eq!(asked(&rig, validate(&whole, &[], None)).await, Ok(Valid), "in any order, with its anchor");
    assert_eq!(asked(&rig, validate(&[&leaf], &[], None)).await, Ok(Unknown), "a link is missing");
    let id = rig.does(&register_certificate(between.der(), &[])).await.unwrap().id();
    assert_eq!(asked(&rig, validate(&[&leaf], &[&id], None)).await, Ok(Valid), "one brought, one named");
    assert_eq!(asked(&rig, validate(&[root.der()], &[], None)).await, Ok(Valid), "the anchor itself");
    rig.does(&revoke(&unsaid, RevocationReasonCode::CessationOfOperation)).await.unwrap();
    assert_eq!(asked(&rig, validate(&chain, &[], None)).await, Ok(Unknown), "no anchor any more");
}

#[tokio::test]
async fn what_is_revoked_forged_or_out_of_time_is_invalid() {
    let rig = Rig::new().await;
    let (root, forger) = (root("root"), root("root"));
    trusted(&rig, root.der()).await;
    let (good, forged) = (leaf(&root), leaf(&forger));
    assert_eq!(asked(&rig, validate(&[&good], &[], None)).await, Ok(Valid));
    assert_eq!(asked(&rig, validate(&[&forged], &[], None)).await, Ok(Invalid), "signed by another of that name");
    let mut short = params("short", IsCa::NoCa);
    short.not_after = date_time_ymd(2024, 1, 1);
    let short = short.signed_by(&pair(), &root).unwrap();
    let at = |year: i64| Some((year - 1970) * 31_557_600);
    assert_eq!(asked(&rig, validate(&[short.der()], &[], at(2023))).await, Ok(Valid));
    assert_eq!(asked(&rig, validate(&[short.der()], &[], at(2025))).await, Ok(Invalid));
    let mut old = params("old", ca());
    old.not_after = date_time_ymd(2024, 1, 1);
    let old = CertifiedIssuer::self_signed(old, pair()).unwrap();
    trusted(&rig, old.der()).await;
    let outlives = leaf(&old);
    assert_eq!(asked(&rig, validate(&[&outlives], &[], at(2023))).await, Ok(Valid));
    assert_eq!(asked(&rig, validate(&[&outlives], &[], at(2025))).await, Ok(Invalid), "its anchor is out of time");
    let id = trusted(&rig, &good).await;
    rig.does(&revoke(&id, RevocationReasonCode::KeyCompromise)).await.unwrap();
    assert_eq!(asked(&rig, validate(&[&good], &[], None)).await, Ok(Invalid), "revoked here");
    let under_leaf = CertifiedIssuer::signed_by(params("end", IsCa::NoCa), pair(), &root).unwrap();
    let below = leaf(&under_leaf);
    assert_eq!(asked(&rig, validate(&[&below, under_leaf.der()], &[], None)).await, Ok(Invalid), "no CA issued it");
}

#[tokio::test]
async fn what_is_no_chain_of_certificates_is_refused() {
    let rig = Rig::new().await;
    let root = root("root");
    let (one, other) = (leaf(&root), leaf(&root));
    let (no_list, none) = (Err(ResultReason::InvalidMessage), validate(&[], &[], None));
    assert_eq!(asked(&rig, none).await, no_list);
    assert_eq!(asked(&rig, validate(&[&one, &other], &[], None)).await, no_list, "two ends");
    let field = Err(ResultReason::InvalidField);
    assert_eq!(asked(&rig, validate(&[b"no certificate"], &[], None)).await, field);
    assert_eq!(asked(&rig, validate(&[&one[..]; 17], &[], None)).await, no_list, "too long");
    let key = rig.does(&create()).await.unwrap().id();
    assert_eq!(asked(&rig, validate(&[], &[&key], None)).await, no_list);
    let id = trusted(&rig, root.der()).await;
    let foreign = caller_of(tenant(1), "invoices");
    let answer = rig.ask(&foreign, &validate(&[], &[&id], None)).await;
    let reason = client::read_one(&answer, V1_4, kmip::Operation::Validate).unwrap().err().map(|one| one.reason);
    assert_eq!(reason, Some(ResultReason::ItemNotFound));
    let answer = rig.ask(&foreign, &validate(&[&one], &[], None)).await;
    let Ok(Answer::Validate(answer)) = client::read_one(&answer, V1_4, kmip::Operation::Validate).unwrap() else {
        panic!("another answer")
    };
    assert_eq!(answer.validity_indicator, Unknown, "another system's anchor is nobody's");
}
