//! A certificate request: PKCS#10 (RFC 2986), as DER or as PEM.
//!
//! Of what it asks for, names are taken: its subject, and its subject alternative names (RFC 5280 §4.2.1.6). It is refused if it asks to
//! be a CA. Other extensions are no wish that is heard: what a certificate is for follows from its key's Cryptographic Usage Mask.

use kmip::tables::CertificateRequestType;
use rustls::pki_types::{CertificateSigningRequestDer, pem::PemObject};
use webpki::ALL_VERIFICATION_ALGS;
use x509_parser::{
    asn1_rs::Any,
    certification_request::X509CertificationRequest,
    cri_attributes::ParsedCriAttribute,
    extensions::{ParsedExtension, X509Extension},
    oid_registry as oid,
    prelude::FromDer,
};

use super::Subject;
use crate::{
    attributes::certificate::general_names,
    refusal::{Outcome, denied, fail, invalid_field, unsupported},
};

/// A request whose signature is that of its own key.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) subject: Subject,
    /// SubjectPublicKeyInfo in DER.
    pub(crate) key: Vec<u8>,
}

impl Request {
    /// `None` if the fields of a request are absent.
    pub(crate) fn of(kind: Option<CertificateRequestType>, bytes: Option<&[u8]>) -> Outcome<Option<Self>> {
        let invalid = |message| Err(fail(kmip::ResultReason::InvalidMessage, message));
        match (kind, bytes) {
            (None, None) => Ok(None),
            (Some(_), None) => invalid("Certificate Request Type is given, and no Certificate Request"),
            (None, Some(_)) => invalid("a Certificate Request needs a Certificate Request Type"),
            (Some(CertificateRequestType::Pkcs10), Some(der)) => Self::read(der).map(Some),
            (Some(CertificateRequestType::Pem), Some(pem)) => {
                let der = CertificateSigningRequestDer::from_pem_slice(pem)
                    .map_err(|error| invalid_field(format!("Certificate Request is no PEM: {error}")))?;
                Self::read(&der).map(Some)
            }
            (Some(other), Some(_)) => {
                Err(unsupported(format!("a Certificate Request of type {other}; PKCS#10 and PEM are")))
            }
        }
    }

    fn read(der: &[u8]) -> Outcome<Self> {
        let parsed = match X509CertificationRequest::from_der(der) {
            Ok(([], parsed)) => parsed,
            _ => return Err(invalid_field("Certificate Request is no PKCS#10 request in DER")),
        };
        let info = &parsed.certification_request_info;
        if !is_signed(der, &parsed).unwrap_or_default() {
            return Err(invalid_field(
                "the signature of the Certificate Request is not that of its key, or of an algorithm that is not verified here (RSA \
                 and ECDSA with SHA-256, SHA-384 and SHA-512 are)",
            ));
        }
        let subject = Subject::of(info.subject.as_raw().to_vec(), alternatives(&parsed)?)?;
        Ok(Self { subject, key: info.subject_pki.raw.to_vec() })
    }
}

/// Whether whoever made the request holds its key.
fn is_signed(der: &[u8], parsed: &X509CertificationRequest<'_>) -> Option<bool> {
    // The library compares identifiers as they are written, without their heads.
    let (_, whole) = Any::from_der(der).ok()?;
    let (rest, _) = Any::from_der(whole.data).ok()?;
    let (_, algorithm) = Any::from_der(rest).ok()?;
    let info = &parsed.certification_request_info;
    let (_, key) = Any::from_der(info.subject_pki.raw).ok()?;
    let (_, key_algorithm) = Any::from_der(key.data).ok()?;
    let (key, signature) = (&info.subject_pki.subject_public_key.data, &parsed.signature_value.data);
    Some(ALL_VERIFICATION_ALGS.iter().any(|verifier| {
        verifier.signature_alg_id().as_ref() == algorithm.data
            && verifier.public_key_alg_id().as_ref() == key_algorithm.data
            && verifier.verify_signature(key, info.raw, signature).is_ok()
    }))
}

/// The subject alternative names that are asked for.
fn alternatives(parsed: &X509CertificationRequest<'_>) -> Outcome<Vec<Vec<u8>>> {
    let mut names = None;
    for attribute in parsed.certification_request_info.iter_attributes() {
        let ParsedCriAttribute::ExtensionRequest(asked) = attribute.parsed_attribute() else { continue };
        for extension in &asked.extensions {
            if extension.oid == oid::OID_X509_EXT_BASIC_CONSTRAINTS {
                refuse_authority(extension)?;
            }
            if extension.oid == oid::OID_X509_EXT_SUBJECT_ALT_NAME {
                let found = general_names(extension.value).ok_or_else(|| {
                    invalid_field("the Subject Alternative Names of the Certificate Request cannot be read")
                })?;
                if names.replace(found).is_some() {
                    return Err(invalid_field("the Certificate Request has Subject Alternative Names twice"));
                }
            }
        }
    }
    Ok(names.unwrap_or_default())
}

fn refuse_authority(extension: &X509Extension<'_>) -> Outcome<()> {
    match extension.parsed_extension() {
        ParsedExtension::BasicConstraints(constraints) if !constraints.ca => Ok(()),
        _ => Err(denied(
            "the Certificate Request asks for the certificate of a CA; such a one is made elsewhere, and registered here",
        )),
    }
}
