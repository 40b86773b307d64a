//! What an X.509 certificate says of itself (KMIP 1.4 §3.8 to §3.16): read once, when it comes, and shown from then on.
//!
//! §3.10 to §3.12 want names as bytes: here they are the DER of the certificate, and so is each alternative name. The attributes that
//! they replaced in 1.1 want text: there names are written out.

use std::net::IpAddr;

use custody::object::{Certificate, ObjectMeta};
use kmip::{
    AttributeValue, CertificateIdentifier, CertificateIssuer, CertificateSubject, X509CertificateIdentifier,
    X509CertificateIssuer, X509CertificateSubject,
    tables::{CertificateType, CryptographicAlgorithm, DigitalSignatureAlgorithm, StandardAttribute},
};
use x509_parser::{
    asn1_rs::{Any, Sequence},
    certificate::X509Certificate,
    extensions::GeneralName,
    oid_registry as oid,
    prelude::FromDer,
    public_key::PublicKey,
    x509::X509Name,
};

use crate::refusal::{Outcome, invalid_field, unsupported};

/// Takes over what a certificate says: algorithm and length of its key, its names, who signed it. What its bringer said must agree.
pub(crate) fn describe(meta: &mut ObjectMeta, kind: CertificateType, der: &[u8]) -> Outcome<()> {
    if kind != CertificateType::X509 {
        return Err(unsupported(format!("a certificate of type {kind}; X.509 is")));
    }
    let parsed = match X509Certificate::from_der(der) {
        Ok(([], parsed)) => parsed,
        Ok(_) => return Err(invalid_field("bytes follow the end of the certificate in Certificate Value")),
        Err(error) => {
            return Err(invalid_field(format!("Certificate Value is no X.509 certificate in DER: {error}")));
        }
    };
    let (algorithm, bits) = key_of(&parsed);
    agree("Cryptographic Algorithm", &mut meta.algorithm, algorithm)?;
    agree("Cryptographic Length", &mut meta.length_bits, bits)?;
    let said = meta.certificate.take().unwrap_or_default();
    let (mut bytes, mut signature) = (said.bytes, said.signature_algorithm);
    agree("Certificate Length", &mut bytes, u32::try_from(der.len()).ok())?;
    let signed_with = signature_of(&parsed).map(DigitalSignatureAlgorithm::code);
    agree("Digital Signature Algorithm", &mut signature, signed_with)?;
    meta.certificate = Some(Box::new(Certificate {
        kind: kind.code(),
        bytes,
        issuer: parsed.issuer().as_raw().to_vec(),
        serial: parsed.raw_serial().to_vec(),
        subject: parsed.subject().as_raw().to_vec(),
        issuer_alternatives: alternatives(&parsed, &oid::OID_X509_EXT_ISSUER_ALT_NAME),
        subject_alternatives: alternatives(&parsed, &oid::OID_X509_EXT_SUBJECT_ALT_NAME),
        signature_algorithm: signature,
    }));
    Ok(())
}

/// The certificate goes before what was said of it where it says nothing itself.
fn agree(name: &str, said: &mut Option<u32>, found: Option<u32>) -> Outcome<()> {
    match (*said, found) {
        (Some(said), Some(found)) if said != found => {
            Err(invalid_field(format!("{name} is {said} in the request, but the certificate says {found}")))
        }
        (was, found) => {
            *said = found.or(was);
            Ok(())
        }
    }
}

/// Algorithm and length in bits of the key that is certified, where they have a name in KMIP.
fn key_of(parsed: &X509Certificate<'_>) -> (Option<u32>, Option<u32>) {
    let (algorithm, bits) = match parsed.public_key().parsed() {
        Ok(PublicKey::RSA(key)) => (Some(CryptographicAlgorithm::Rsa), key.key_size()),
        Ok(PublicKey::EC(point)) => (Some(CryptographicAlgorithm::Ecdsa), point.key_size()),
        _ => (None, 0),
    };
    let bits = u32::try_from(bits).ok().filter(|bits| *bits > 0);
    (algorithm.map(CryptographicAlgorithm::code), bits)
}

fn signature_of(parsed: &X509Certificate<'_>) -> Option<DigitalSignatureAlgorithm> {
    use DigitalSignatureAlgorithm as D;
    let algorithms = [
        (oid::OID_PKCS1_SHA1WITHRSA, D::Sha1WithRsaEncryption),
        (oid::OID_PKCS1_SHA224WITHRSA, D::Sha224WithRsaEncryption),
        (oid::OID_PKCS1_SHA256WITHRSA, D::Sha256WithRsaEncryption),
        (oid::OID_PKCS1_SHA384WITHRSA, D::Sha384WithRsaEncryption),
        (oid::OID_PKCS1_SHA512WITHRSA, D::Sha512WithRsaEncryption),
        (oid::OID_PKCS1_RSASSAPSS, D::RsassaPss),
        (oid::OID_SIG_ECDSA_WITH_SHA256, D::EcdsaWithSha256),
        (oid::OID_SIG_ECDSA_WITH_SHA384, D::EcdsaWithSha384),
        (oid::OID_SIG_ECDSA_WITH_SHA512, D::EcdsaWithSha512),
    ];
    let found = &parsed.signature_algorithm.algorithm;
    algorithms.into_iter().find(|(oid, _)| oid == found).map(|(_, algorithm)| algorithm)
}

/// The GeneralNames of an extension, each with its head.
fn alternatives(parsed: &X509Certificate<'_>, which: &oid::Oid<'_>) -> Vec<Vec<u8>> {
    let Ok(Some(extension)) = parsed.get_extension_unique(which) else { return vec![] };
    general_names(extension.value).unwrap_or_default()
}

/// The names of a GeneralNames, each with its head; `None` if it is none.
pub(crate) fn general_names(der: &[u8]) -> Option<Vec<Vec<u8>>> {
    let Ok(([], names)) = Sequence::from_der(der) else { return None };
    let (mut rest, mut found): (&[u8], _) = (names.content.as_ref(), vec![]);
    while !rest.is_empty() {
        let (after, _) = Any::from_der(rest).ok()?;
        found.push(rest.get(..rest.len() - after.len())?.to_vec());
        rest = after;
    }
    Some(found)
}

/// The attributes of a certificate, in the specification's order.
pub(crate) fn shown(certificate: &Certificate) -> Vec<(StandardAttribute, AttributeValue)> {
    use AttributeValue as V;
    use StandardAttribute as A;
    let texts = |names: &[Vec<u8>]| names.iter().filter_map(|name| alternative_text(name)).collect();
    let bytes = certificate.bytes.and_then(|bytes| i32::try_from(bytes).ok());
    let (issuer, subject, serial) = (&certificate.issuer, &certificate.subject, &certificate.serial);
    let all = [
        (A::CertificateType, Some(V::Enumeration(certificate.kind))),
        (A::CertificateLength, bytes.map(V::Integer)),
        (
            A::X509CertificateIdentifier,
            Some(V::X509CertificateIdentifier(X509CertificateIdentifier {
                issuer: issuer.clone(),
                serial_number: serial.clone(),
            })),
        ),
        (
            A::X509CertificateSubject,
            Some(V::X509CertificateSubject(X509CertificateSubject {
                name: subject.clone(),
                alternatives: certificate.subject_alternatives.clone(),
            })),
        ),
        (
            A::X509CertificateIssuer,
            Some(V::X509CertificateIssuer(X509CertificateIssuer {
                name: issuer.clone(),
                alternatives: certificate.issuer_alternatives.clone(),
            })),
        ),
        (
            A::CertificateIdentifier,
            Some(V::CertificateIdentifier(CertificateIdentifier {
                issuer: name_text(issuer),
                serial_number: Some(serial.iter().map(|byte| format!("{byte:02X}")).collect()),
            })),
        ),
        (
            A::CertificateSubject,
            Some(V::CertificateSubject(CertificateSubject {
                name: name_text(subject),
                alternatives: texts(&certificate.subject_alternatives),
            })),
        ),
        (
            A::CertificateIssuer,
            Some(V::CertificateIssuer(CertificateIssuer {
                name: name_text(issuer),
                alternatives: texts(&certificate.issuer_alternatives),
            })),
        ),
        (A::DigitalSignatureAlgorithm, certificate.signature_algorithm.map(V::Enumeration)),
    ];
    all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn name_text(der: &[u8]) -> String {
    X509Name::from_der(der).map(|(_, name)| name.to_string()).unwrap_or_default()
}

/// `None` for a name that has no usual text.
fn alternative_text(der: &[u8]) -> Option<String> {
    let (_, name) = GeneralName::from_der(der).ok()?;
    match name {
        GeneralName::RFC822Name(text) | GeneralName::DNSName(text) | GeneralName::URI(text) => Some(text.to_owned()),
        GeneralName::DirectoryName(name) => Some(name.to_string()),
        GeneralName::IPAddress(bytes) => match bytes.len() {
            4 => <[u8; 4]>::try_from(bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            16 => <[u8; 16]>::try_from(bytes).ok().map(|bytes| IpAddr::from(bytes).to_string()),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use custody::object::State;
    use kmip::{ResultReason, tables::ObjectType};
    use rcgen::{CertificateParams, DnType, IsCa, KeyPair, SanType, SerialNumber};

    use super::*;

    fn meta() -> ObjectMeta {
        ObjectMeta::new(ObjectType::Certificate.code(), State::PreActive, true)
    }

    fn der() -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["db.example.org".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "one");
        params.serial_number = Some(SerialNumber::from_slice(&[1, 0xAB]));
        params.subject_alt_names.push(SanType::IpAddress([127, 0, 0, 1].into()));
        params.is_ca = IsCa::NoCa;
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn reason(meta: ObjectMeta, kind: CertificateType, der: &[u8]) -> Option<ResultReason> {
        let mut meta = meta;
        describe(&mut meta, kind, der).err().map(|failure| failure.reason)
    }

    #[test]
    fn what_a_certificate_says_is_told_in_both_forms() {
        let (mut meta, der) = (meta(), der());
        describe(&mut meta, CertificateType::X509, &der).unwrap();
        assert_eq!((meta.algorithm, meta.length_bits), (Some(6), Some(256)));
        let shown = shown(meta.certificate.as_ref().unwrap());
        let value = |name| shown.iter().find(|(one, _)| *one == name).map(|(_, value)| value.clone());
        let length = i32::try_from(der.len()).unwrap();
        assert_eq!(value(StandardAttribute::CertificateLength), Some(AttributeValue::Integer(length)));
        assert_eq!(value(StandardAttribute::DigitalSignatureAlgorithm), Some(AttributeValue::Enumeration(0xE)));
        let (_, parsed) = X509Certificate::from_der(&der).unwrap();
        let identifier =
            X509CertificateIdentifier { issuer: parsed.issuer().as_raw().to_vec(), serial_number: vec![1, 0xAB] };
        let found = value(StandardAttribute::X509CertificateIdentifier);
        assert_eq!(found, Some(AttributeValue::X509CertificateIdentifier(identifier)));
        let Some(AttributeValue::CertificateSubject(subject)) = value(StandardAttribute::CertificateSubject) else {
            panic!("no subject")
        };
        assert!(subject.name.contains("CN=one"), "{}", subject.name);
        assert_eq!(subject.alternatives, ["db.example.org", "127.0.0.1"]);
        let Some(AttributeValue::CertificateIdentifier(text)) = value(StandardAttribute::CertificateIdentifier) else {
            panic!("no identifier")
        };
        assert_eq!(text.serial_number.as_deref(), Some("01AB"));
        let Some(AttributeValue::X509CertificateSubject(subject)) = value(StandardAttribute::X509CertificateSubject)
        else {
            panic!("no subject")
        };
        assert_eq!(subject.alternatives, [[&[0x82, 14][..], b"db.example.org"].concat(), vec![0x87, 4, 127, 0, 0, 1]]);
    }

    #[test]
    fn general_names_are_a_sequence_and_nothing_behind_it() {
        let names = [0x30, 5, 0x82, 1, b'a', 0x82, 0];
        assert_eq!(general_names(&names), Some(vec![vec![0x82, 1, b'a'], vec![0x82, 0]]));
        assert_eq!(general_names(&[&names[..], &[0]].concat()), None);
        assert_eq!(general_names(&names[..6]), None);
        assert_eq!(general_names(&[0x30, 2, 0x82, 5]), None, "a name that is cut off");
    }

    #[test]
    fn what_is_said_of_a_certificate_must_be_true() {
        let (x509, der) = (CertificateType::X509, der());
        let said = |bytes, signature_algorithm| ObjectMeta {
            certificate: Some(Box::new(Certificate { bytes, signature_algorithm, ..Certificate::default() })),
            ..meta()
        };
        let length = u32::try_from(der.len()).ok();
        assert_eq!(reason(said(length, Some(0xE)), x509, &der), None);
        assert_eq!(reason(ObjectMeta { algorithm: Some(6), length_bits: Some(256), ..meta() }, x509, &der), None);
        let wrong = [
            said(Some(7), None),
            said(None, Some(5)),
            ObjectMeta { algorithm: Some(4), ..meta() },
            ObjectMeta { length_bits: Some(384), ..meta() },
        ];
        for wrong in wrong {
            assert_eq!(reason(wrong, x509, &der), Some(ResultReason::InvalidField));
        }
        for bytes in [&der[..der.len() - 1], &[&der[..], &[0]].concat(), b"certificate"] {
            assert_eq!(reason(meta(), x509, bytes), Some(ResultReason::InvalidField));
        }
        assert_eq!(reason(meta(), CertificateType::Pgp, &der), Some(ResultReason::FeatureNotSupported));
    }
}
