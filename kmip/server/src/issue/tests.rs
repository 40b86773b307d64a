//! What a certificate says, byte by byte, and which are never made.

use custody::ec::Curve;
use kmip::ResultReason;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair, PublicKeyData, SigningKey};

use super::*;

const NOW: i64 = 1_700_000_000;
const P256: Scheme = Scheme::Ecdsa(Curve::P256, Hash::Sha256);

fn authority() -> (Authority, KeyPair) {
    let mut params = CertificateParams::new(vec![]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "root");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let pair = KeyPair::generate().unwrap();
    let der = params.self_signed(&pair).unwrap().der().to_vec();
    (Authority::of(der, NOW).unwrap(), pair)
}

fn name(text: &str) -> Vec<u8> {
    let value = der::element(0x0c, &[text.as_bytes()]);
    let one = der::element(der::SEQUENCE, &[&named(&oid::OID_X509_COMMON_NAME), &value]);
    der::element(der::SEQUENCE, &[&der::element(0x31, &[&one])])
}

fn dns(text: &str) -> Vec<u8> {
    der::element(0x82, &[text.as_bytes()])
}

fn made(subject: &Subject, uses: UsageMask, validity: Validity) -> Vec<u8> {
    let (authority, pair) = authority();
    let key = KeyPair::generate().unwrap().subject_public_key_info();
    let content = to_sign(&Content { subject, key: &key, uses, validity }, &authority, P256).unwrap();
    let der = signed(&content, P256, &pair.sign(&content).unwrap()).unwrap();
    authority.check(&der, validity).unwrap();
    let other = KeyPair::generate().unwrap();
    let forged = signed(&content, P256, &other.sign(&content).unwrap()).unwrap();
    assert!(authority.check(&forged, validity).is_err(), "another key signed it");
    der
}

#[test]
fn years_from_2050_on_have_four_digits() {
    let (utc, generalized) = (2_524_607_999, 2_524_608_000);
    assert_eq!(time(utc).unwrap(), [&[0x17, 13][..], b"491231235959Z"].concat());
    assert_eq!(time(generalized).unwrap(), [&[0x18, 15][..], b"20500101000000Z"].concat());
    for wrong in [i64::MIN, -2_000_000_000, 253_402_300_800, i64::MAX] {
        assert_eq!(time(wrong).err().map(|failure| failure.reason), Some(ResultReason::InvalidField), "{wrong}");
    }
}

#[test]
fn who_has_no_name_has_critical_alternatives() {
    let validity = Validity { from: NOW, until: NOW + 60 };
    for (name, critical) in [(name("one"), false), (NOBODY.to_vec(), true)] {
        let subject = Subject::of(name, vec![dns("one.example.org")]).unwrap();
        let der = made(&subject, UsageMask::VERIFY, validity);
        let (_, parsed) = X509Certificate::from_der(&der).unwrap();
        assert_eq!(parsed.subject_alternative_name().unwrap().unwrap().critical, critical);
        assert!(parsed.basic_constraints().unwrap().unwrap().critical && !parsed.is_ca());
        assert_eq!(parsed.raw_serial().len(), SERIAL_BYTES);
        assert!(!parsed.serial.to_bytes_be().is_empty() && parsed.raw_serial()[0] < 0x80);
        let times = (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
        assert_eq!(times, (NOW, NOW + 60));
    }
}

/// Table 96.
#[test]
fn a_key_is_certified_for_what_it_may_and_never_as_a_ca() {
    use UsageMask as U;
    for (uses, bits) in [
        (U::VERIFY, 0x80),
        (U::SIGN.with(U::CERTIFICATE_SIGN).with(U::CRL_SIGN), 0x80),
        (U::CONTENT_COMMITMENT, 0x40),
        (U::WRAP_KEY, 0x20),
        (U::ENCRYPT.with(U::VERIFY), 0x90),
        (U::KEY_AGREEMENT, 0x08),
    ] {
        assert_eq!(key_usage(uses), Ok(bits));
    }
    for uses in [U(0), U::CERTIFICATE_SIGN, U::DERIVE_KEY] {
        assert_eq!(key_usage(uses).err().map(|failure| failure.reason), Some(ResultReason::PermissionDenied));
    }
}

#[test]
fn a_subject_has_names_that_are_understood() {
    use ResultReason as R;
    let reason = |name: &[u8], alternatives: Vec<Vec<u8>>| {
        Subject::of(name.to_vec(), alternatives).err().map(|failure| failure.reason)
    };
    let one = name("one");
    assert_eq!(reason(&one, vec![]), None);
    assert_eq!(reason(NOBODY, vec![]), Some(R::InvalidField), "nobody");
    assert_eq!(reason(&one[1..], vec![]), Some(R::InvalidField));
    assert_eq!(reason(&[&one[..], &[0]].concat(), vec![]), Some(R::InvalidField), "bytes behind it");
    assert_eq!(reason(&one, vec![vec![0x82, 5, b'a']]), Some(R::InvalidField));
    assert_eq!(reason(&one, vec![vec![0x88, 1, 42]]), Some(R::FeatureNotSupported), "a registered id");
    assert_eq!(reason(&one, vec![dns("a"); ALTERNATIVES_MAX]), None);
    assert_eq!(reason(&one, vec![dns("a"); ALTERNATIVES_MAX + 1]), Some(R::InvalidField));
}
