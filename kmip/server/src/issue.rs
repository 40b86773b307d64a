//! Certificates that are made here: what a CA's key is to sign, and whether what came of it stands (RFC 5280).
//!
//! All pure. `ops/certify.rs` says for whom, `ops/issuer.rs` finds the CA and signs. A certificate is of an end, never of a CA: its names
//! are its only content that somebody asks for. Names go over byte by byte, so that each compares as its bringer wrote it. The signature
//! is checked before the certificate leaves: with webpki, under the CA's certificate, constraints of names and all.

mod der;
pub(crate) mod request;

use aws_lc_rs::digest::{SHA256, digest};
use custody::{
    object::Dates,
    signature::{Hash, Scheme},
};
use kmip::tables::UsageMask;
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{ALL_VERIFICATION_ALGS, EndEntityCert, anchor_from_trusted_cert};
use x509_parser::{
    certificate::X509Certificate,
    extensions::{GeneralName, ParsedExtension},
    oid_registry::{self as oid, Oid},
    prelude::FromDer,
    time::ASN1Time,
    x509::{SubjectPublicKeyInfo, X509Name},
};

use crate::{
    ops::AnyUsage,
    refusal::{Outcome, denied, invalid_field, try_again, unsupported},
};

/// How long a certificate is valid whose end nobody said.
const VALID_S: i64 = 365 * 24 * 3600;
/// Most alternative names of a certificate.
const ALTERNATIVES_MAX: usize = 128;
/// RFC 5280 §4.1.2.2: at most 20.
const SERIAL_BYTES: usize = 16;
/// An empty Name.
const NOBODY: &[u8] = &[der::SEQUENCE, 0];

/// Whom a certificate is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Subject {
    /// DER of a Name.
    name: Vec<u8>,
    /// DER of a GeneralName each.
    alternatives: Vec<Vec<u8>>,
}

impl Subject {
    pub(crate) fn of(name: Vec<u8>, alternatives: Vec<Vec<u8>>) -> Outcome<Self> {
        if !matches!(X509Name::from_der(&name), Ok(([], _))) {
            return Err(invalid_field("the Subject Distinguished Name is no Name in DER"));
        }
        if name == NOBODY && alternatives.is_empty() {
            return Err(invalid_field("the subject is empty: it has no Distinguished Name and no Alternative Name"));
        }
        if alternatives.len() > ALTERNATIVES_MAX {
            return Err(invalid_field(format!("the subject has more than {ALTERNATIVES_MAX} Alternative Names")));
        }
        for alternative in &alternatives {
            match GeneralName::from_der(alternative) {
                Ok((
                    [],
                    GeneralName::DNSName(_)
                    | GeneralName::IPAddress(_)
                    | GeneralName::RFC822Name(_)
                    | GeneralName::URI(_)
                    | GeneralName::DirectoryName(_),
                )) => {}
                Ok(([], _)) => {
                    return Err(unsupported(
                        "this kind of Subject Alternative Name; DNS names, IP addresses, mail addresses, URIs and directory names are",
                    ));
                }
                _ => return Err(invalid_field("a Subject Alternative Name is no GeneralName in DER")),
            }
        }
        Ok(Self { name, alternatives })
    }
}

/// A CA, as its certificate has it.
#[derive(Debug)]
pub(crate) struct Authority {
    certificate: Vec<u8>,
    name: Vec<u8>,
    key_id: Vec<u8>,
    /// Seconds since 1970.
    ends: i64,
}

impl Authority {
    /// Refuses what issues no certificates at `now_s`.
    pub(crate) fn of(certificate: Vec<u8>, now_s: i64) -> Outcome<Self> {
        let unreadable = || denied("the certificate of the CA cannot be read");
        let (_, parsed) = X509Certificate::from_der(&certificate).map_err(|_| unreadable())?;
        if !parsed.is_ca() {
            return Err(denied(
                "the certificate that the signing key's Certificate Link names is of no CA: its Basic Constraints do not say so",
            ));
        }
        if parsed.key_usage().map_err(|_| unreadable())?.is_some_and(|usage| !usage.value.key_cert_sign()) {
            return Err(denied("the Key Usage of the CA's certificate does not allow it to sign certificates"));
        }
        let (begins, ends) = (parsed.validity().not_before.timestamp(), parsed.validity().not_after.timestamp());
        if !(begins..=ends).contains(&now_s) {
            return Err(denied(
                "the CA's certificate is not valid now; register its new one, and link the CA's key to it",
            ));
        }
        let own = parsed.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        });
        let key_id = own.unwrap_or_else(|| key_id(&parsed.public_key().subject_public_key.data));
        let name = parsed.subject().as_raw().to_vec();
        Ok(Self { certificate, name, key_id, ends })
    }

    /// Whether a certificate that was made here stands under this CA.
    pub(crate) fn check(&self, made: &[u8], validity: Validity) -> Outcome<()> {
        let (ca, made) = (CertificateDer::from(self.certificate.as_slice()), CertificateDer::from(made));
        let at = u64::try_from(validity.until).map(std::time::Duration::from_secs).map_err(|_| no_time())?;
        let verified = anchor_from_trusted_cert(&ca).and_then(|anchor| {
            let (end, anchors) = (EndEntityCert::try_from(&made)?, [anchor]);
            let time = UnixTime::since_unix_epoch(at);
            end.verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, &[], time, AnyUsage, None, None).map(|_| ())
        });
        verified.map_err(|error| match error {
            webpki::Error::InvalidSignatureForPublicKey | webpki::Error::UnknownIssuer => denied(
                "the CA's certificate is not of the key that signs; link the Private Key to the certificate of its own public key",
            ),
            webpki::Error::NameConstraintViolation => {
                denied("the CA's certificate does not let it issue certificates for these names")
            }
            other => denied(format!("the certificate would not be valid under its CA ({other}); ask for another subject")),
        })
    }
}

/// From when and until when a certificate is valid, in seconds since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    from: i64,
    until: i64,
}

impl Validity {
    /// The Activation and Deactivation Date of its object; else from now on for a year, or until the CA's own end.
    pub(crate) fn of(dates: &Dates, authority: &Authority, now_s: i64) -> Outcome<Self> {
        let from = dates.activation.unwrap_or(now_s);
        let until = dates.deactivation.unwrap_or_else(|| from.saturating_add(VALID_S).min(authority.ends));
        if until > authority.ends {
            return Err(invalid_field(
                "the certificate would outlive its CA's; give an earlier Deactivation Date, or renew the CA's certificate",
            ));
        }
        if until <= from.max(now_s) {
            return Err(invalid_field(
                "the certificate would end before it is valid or has ended; give an Activation Date and a later Deactivation Date, or \
                 Offset where there is one",
            ));
        }
        Ok(Self { from, until })
    }
}

/// What is to be certified.
#[derive(Debug)]
pub(crate) struct Content<'a> {
    pub(crate) subject: &'a Subject,
    /// SubjectPublicKeyInfo in DER.
    pub(crate) key: &'a [u8],
    /// What the key may.
    pub(crate) uses: UsageMask,
    pub(crate) validity: Validity,
}

/// What a CA is to sign (RFC 5280 §4.1: TBSCertificate).
pub(crate) fn to_sign(content: &Content<'_>, authority: &Authority, scheme: Scheme) -> Outcome<Vec<u8>> {
    let Content { subject, key, uses, validity } = *content;
    if subject.name == authority.name {
        return Err(denied("the subject has the name of the CA itself; give another name"));
    }
    let mut serial = [0; SERIAL_BYTES];
    aws_lc_rs::rand::fill(&mut serial).map_err(|_| try_again("this node's random generator failed"))?;
    if let Some(first) = serial.first_mut() {
        // Positive, and as long as it is.
        *first = *first & 0x7f | 0x40;
    }
    let algorithm = algorithm(scheme)?;
    let period = der::element(der::SEQUENCE, &[&time(validity.from)?, &time(validity.until)?]);
    let extensions = extensions(subject, key, uses, authority)?;
    let parts: [&[u8]; 8] = [
        &der::element(der::CONTEXT_0, &[&der::element(der::INTEGER, &[&[2]])]),
        &der::element(der::INTEGER, &[&serial]),
        &algorithm,
        &authority.name,
        &period,
        &subject.name,
        key,
        &der::element(der::CONTEXT_3, &[&der::element(der::SEQUENCE, &[&extensions])]),
    ];
    Ok(der::element(der::SEQUENCE, &parts))
}

/// A whole certificate.
pub(crate) fn signed(content: &[u8], scheme: Scheme, signature: &[u8]) -> Outcome<Vec<u8>> {
    Ok(der::element(der::SEQUENCE, &[content, &algorithm(scheme)?, &der::bits(signature)]))
}

/// RFC 4055 §5, RFC 5758 §3.2. A CA signs so as every verifier knows it.
fn algorithm(scheme: Scheme) -> Outcome<Vec<u8>> {
    let (oid, parameters) = match scheme {
        Scheme::Pkcs1(Hash::Sha256) => (oid::OID_PKCS1_SHA256WITHRSA, der::element(der::NULL, &[])),
        Scheme::Ecdsa(_, Hash::Sha256) => (oid::OID_SIG_ECDSA_WITH_SHA256, vec![]),
        Scheme::Ecdsa(_, Hash::Sha384) => (oid::OID_SIG_ECDSA_WITH_SHA384, vec![]),
        Scheme::Ecdsa(_, Hash::Sha512) => (oid::OID_SIG_ECDSA_WITH_SHA512, vec![]),
        _ => return Err(unsupported("this scheme for certificates; PKCS#1 v1.5 and ECDSA are")),
    };
    Ok(der::element(der::SEQUENCE, &[&named(&oid), &parameters]))
}

fn named(oid: &Oid<'_>) -> Vec<u8> {
    der::element(der::OBJECT_IDENTIFIER, &[oid.as_bytes()])
}

/// RFC 5280 §4.1.2.5: years until 2049 have two digits.
fn time(at_s: i64) -> Outcome<Vec<u8>> {
    let at = ASN1Time::from_timestamp(at_s).map_err(|_| no_time())?.to_datetime();
    let year = u16::try_from(at.year()).ok().filter(|year| (1950..=9999).contains(year)).ok_or_else(no_time)?;
    let rest =
        format!("{:02}{:02}{:02}{:02}{:02}Z", u8::from(at.month()), at.day(), at.hour(), at.minute(), at.second());
    Ok(match year {
        1950..=2049 => der::element(der::UTC_TIME, &[format!("{:02}", year % 100).as_bytes(), rest.as_bytes()]),
        _ => der::element(der::GENERALIZED_TIME, &[year.to_string().as_bytes(), rest.as_bytes()]),
    })
}

fn no_time() -> kmip::message::Failure {
    invalid_field("a certificate's dates are from 1970 to 9999")
}

fn extensions(subject: &Subject, key: &[u8], uses: UsageMask, authority: &Authority) -> Outcome<Vec<u8>> {
    let (_, parsed) =
        SubjectPublicKeyInfo::from_der(key).map_err(|_| try_again("the stored public key cannot be read"))?;
    let own = der::element(der::OCTET_STRING, &[&key_id(&parsed.subject_public_key.data)]);
    let issuer = der::element(der::SEQUENCE, &[&der::element(der::STRING_0, &[&authority.key_id])]);
    let mut all = vec![
        // An empty sequence: no CA.
        extension(&oid::OID_X509_EXT_BASIC_CONSTRAINTS, true, &der::element(der::SEQUENCE, &[])),
        extension(&oid::OID_X509_EXT_KEY_USAGE, true, &der::named_bits(key_usage(uses)?)),
        extension(&oid::OID_X509_EXT_SUBJECT_KEY_IDENTIFIER, false, &own),
        extension(&oid::OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER, false, &issuer),
    ];
    if !subject.alternatives.is_empty() {
        let names: Vec<&[u8]> = subject.alternatives.iter().map(Vec::as_slice).collect();
        // RFC 5280 §4.2.1.6: critical where there is no other name.
        let critical = subject.name == NOBODY;
        all.push(extension(&oid::OID_X509_EXT_SUBJECT_ALT_NAME, critical, &der::element(der::SEQUENCE, &names)));
    }
    Ok(all.concat())
}

fn extension(oid: &Oid<'_>, critical: bool, value: &[u8]) -> Vec<u8> {
    let critical = if critical { der::element(der::BOOLEAN, &[&[0xff]]) } else { vec![] };
    der::element(der::SEQUENCE, &[&named(oid), &critical, &der::element(der::OCTET_STRING, &[value])])
}

/// KMIP 1.4 §3.19, table 96, without what only a CA's key does.
fn key_usage(uses: UsageMask) -> Outcome<u8> {
    use UsageMask as U;
    let table = [
        (U::SIGN.with(U::VERIFY), 0x80),
        (U::CONTENT_COMMITMENT, 0x40),
        (U::WRAP_KEY.with(U::UNWRAP_KEY), 0x20),
        (U::ENCRYPT.with(U::DECRYPT), 0x10),
        (U::KEY_AGREEMENT, 0x08),
    ];
    let bits = table.iter().filter(|(any, _)| uses.0 & any.0 != 0).fold(0, |bits, (_, bit)| bits | bit);
    if bits == 0 {
        return Err(denied("the public key's Cryptographic Usage Mask allows nothing that a certificate is for"));
    }
    Ok(bits)
}

/// RFC 7093 §2, method 1.
fn key_id(key: &[u8]) -> Vec<u8> {
    digest(&SHA256, key).as_ref().iter().take(20).copied().collect()
}

#[cfg(test)]
mod tests;
