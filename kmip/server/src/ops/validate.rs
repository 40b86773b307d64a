//! Validate (KMIP 1.4 §4.24): whether a chain of certificates leads to one that the caller's system trusts.
//!
//! "The specification of trust anchors" is the server's decision: those of a system are its own Active, self-signed certificates, so
//! that Activate says whom one trusts, and Revoke takes it back. The chain is Valid if it leads from its end to an anchor, by
//! signatures, dates and constraints as RFC 5280 has them; Unknown if it leads to none, or is of a kind that is not looked into (an
//! algorithm, a critical extension, a CA at its end); Invalid otherwise, and where a certificate of it is revoked here.

use std::collections::BTreeSet;

use custody::{
    key_table::Purpose,
    keyring::Filter,
    names::ObjectId,
    object::{ObjectMeta, State, digest_of},
    shelf::{By, Term},
    vault::Expose,
};
use kmip::{
    ResultReason,
    message::Failure,
    ops::{Answer, validate},
    tables::{CertificateType, ObjectType, ValidityIndicator},
};
use orbital::names::Digest;
use policy::{Operation, Permitted};
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{
    ALL_VERIFICATION_ALGS, EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter, anchor_from_trusted_cert,
};
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use super::{Allowed, Turn};
use crate::{
    lifecycle,
    refusal::{self, Outcome, fail, invalid_field, unsupported},
};

/// Longest chain.
const CHAIN_MAX: usize = 16;
/// Most anchors of one name: a CA that was renewed keeps its name.
const ANCHORS_MAX: usize = 64;

const VALIDATE: Expose = Expose::because("a certificate is public; KMIP Validate reads it");

pub(super) async fn perform(turn: &mut Turn<'_, '_>, _: Permitted, request: &validate::Request<'_>) -> Outcome<()> {
    let chain = Chain::of(&brought(turn, request).await?)?;
    let at = request.validity_date.map_or(turn.now_s, |date| date.0);
    let (revoked, anchors) = known(turn, &chain)?;
    let mut trusted = vec![];
    for anchor in anchors {
        let object = turn.other(Operation::Validate, &anchor.text())?;
        trusted.push(certificate(turn, &object).await?);
    }
    let validity_indicator = if revoked { ValidityIndicator::Invalid } else { chain.validity(&trusted, at) };
    turn.success(&Answer::Validate(validate::Answer { validity_indicator }));
    Ok(())
}

/// The certificates of the request: those that it brings, and those that it names.
async fn brought(turn: &mut Turn<'_, '_>, request: &validate::Request<'_>) -> Outcome<Vec<Vec<u8>>> {
    let count = request.certificates.len() + request.unique_identifiers.len();
    if !(1..=CHAIN_MAX).contains(&count) {
        return Err(no_list(format!("a chain to validate has 1 to {CHAIN_MAX} certificates, not {count}")));
    }
    let mut all = vec![];
    for certificate in &request.certificates {
        if certificate.certificate_type != CertificateType::X509 {
            return Err(unsupported(format!("a certificate of type {}; X.509 is", certificate.certificate_type)));
        }
        all.push(certificate.certificate_value.expose().to_vec());
    }
    for &id in &request.unique_identifiers {
        let object = turn.object(Operation::Validate, Some(id))?;
        all.push(certificate(turn, &object).await?);
    }
    Ok(all)
}

/// §11.25.
fn no_list(message: impl Into<String>) -> Failure {
    fail(ResultReason::InvalidMessage, message)
}

pub(super) async fn certificate(turn: &Turn<'_, '_>, object: &Allowed) -> Outcome<Vec<u8>> {
    let is_one = |meta: &ObjectMeta| {
        if meta.object_type == ObjectType::Certificate.code() {
            return Ok(());
        }
        Err(no_list("a certificate is needed, and the object is none"))
    };
    let ((), bytes) = turn.exported(object, Purpose::Process, VALIDATE, is_one).await?;
    Ok(bytes.to_vec())
}

/// Whether a certificate of the chain is revoked in the caller's system, and which objects are the anchors to which it may lead.
fn known(turn: &Turn<'_, '_>, chain: &Chain) -> Outcome<(bool, Vec<ObjectId>)> {
    let (mut revoked, mut anchors, now_s) = (false, vec![], turn.now_s);
    let mut keep = |_: ObjectId, meta: &ObjectMeta| {
        let Some(found) = meta.certificate.as_ref() else { return false };
        let state = lifecycle::state_at(meta, now_s);
        let ended = !matches!(state, State::PreActive | State::Active);
        revoked |= ended && meta.digest.is_some_and(|digest| chain.digests.contains(&digest));
        state == State::Active && found.issuer == found.subject && chain.issuers.contains(&found.subject)
    };
    for name in chain.names() {
        let filter = Filter { by: Some(By::Term(Term::Subject(name))), max: Some(ANCHORS_MAX), ..Filter::default() };
        let located = turn.keyring.locate(turn.caller.tenant(), turn.caller.system(), filter, &mut keep);
        anchors.extend(located.map_err(|error| refusal::of_custody(&error))?.ids);
    }
    Ok((revoked, anchors))
}

/// Certificates, the end of the chain first.
struct Chain {
    end: CertificateDer<'static>,
    others: Vec<CertificateDer<'static>>,
    /// Of each.
    digests: Vec<Digest>,
    /// DER.
    subjects: Vec<Vec<u8>>,
    issuers: Vec<Vec<u8>>,
}

impl Chain {
    /// Finds the end of the chain: the one that issued no other.
    fn of(all: &[Vec<u8>]) -> Outcome<Self> {
        let mut names = vec![];
        for der in all {
            match X509Certificate::from_der(der) {
                Ok(([], parsed)) => names.push((parsed.subject().as_raw().to_vec(), parsed.issuer().as_raw().to_vec())),
                _ => return Err(invalid_field("a Certificate Value is no X.509 certificate in DER")),
            }
        }
        let issued = |at: usize| {
            let subject = names.get(at).map(|(subject, _)| subject);
            names.iter().enumerate().any(|(other, (_, issuer))| other != at && Some(issuer) == subject)
        };
        let mut ends = (0..all.len()).filter(|&at| !issued(at));
        let (Some(end), None) = (ends.next(), ends.next()) else {
            return Err(no_list("the certificates are no single chain: exactly one of them has issued no other"));
        };
        let owned = |der: &Vec<u8>| CertificateDer::from(der.clone());
        let others = all.iter().enumerate().filter(|(at, _)| *at != end).map(|(_, der)| owned(der)).collect();
        let meta = ObjectMeta::new(ObjectType::Certificate.code(), State::PreActive, true);
        Ok(Self {
            end: all.get(end).map(owned).unwrap_or_else(|| CertificateDer::from(vec![])),
            others,
            digests: all.iter().filter_map(|der| digest_of(&meta, der)).collect(),
            subjects: names.iter().map(|(subject, _)| subject.clone()).collect(),
            issuers: names.into_iter().map(|(_, issuer)| issuer).collect(),
        })
    }

    /// Whom certificates are of that matter here: those of the chain, and whoever issued one of them.
    fn names(&self) -> BTreeSet<&[u8]> {
        self.subjects.iter().chain(&self.issuers).map(Vec::as_slice).collect()
    }

    /// Under these anchors, at `at` (seconds since 1970).
    fn validity(&self, trusted: &[Vec<u8>], at: i64) -> ValidityIndicator {
        let Ok(seconds) = u64::try_from(at) else { return ValidityIndicator::Invalid };
        let time = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
        let trusted: Vec<CertificateDer<'_>> = trusted.iter().map(|der| CertificateDer::from(der.as_slice())).collect();
        // The library takes names and keys of anchors alone.
        let in_time: Vec<&CertificateDer<'_>> = trusted.iter().filter(|der| is_in_time(der, at)).collect();
        if in_time.iter().any(|anchor| ***anchor == *self.end) {
            return ValidityIndicator::Valid;
        }
        let anchors: Vec<_> = in_time.iter().filter_map(|der| anchor_from_trusted_cert(der).ok()).collect();
        let verified = EndEntityCert::try_from(&self.end).and_then(|end| {
            end.verify_for_usage(ALL_VERIFICATION_ALGS, &anchors, &self.others, time, AnyUsage, None, None).map(|_| ())
        });
        match verified {
            Ok(()) => ValidityIndicator::Valid,
            // It leads to an anchor that is out of time.
            Err(webpki::Error::UnknownIssuer) if !trusted.is_empty() && anchors.is_empty() => {
                ValidityIndicator::Invalid
            }
            Err(error) => of_error(&error),
        }
    }
}

fn of_error(error: &webpki::Error) -> ValidityIndicator {
    use webpki::Error as E;
    match error {
        E::UnknownIssuer
        | E::CaUsedAsEndEntity
        | E::UnsupportedCertVersion
        | E::UnsupportedCriticalExtension
        | E::UnsupportedNameType
        | E::UnsupportedSignatureAlgorithmContext(_)
        | E::UnsupportedSignatureAlgorithmForPublicKeyContext(_)
        | E::MaximumPathBuildCallsExceeded
        | E::MaximumPathDepthExceeded
        | E::MaximumSignatureChecksExceeded => ValidityIndicator::Unknown,
        _ => ValidityIndicator::Invalid,
    }
}

fn is_in_time(der: &CertificateDer<'_>, at: i64) -> bool {
    X509Certificate::from_der(der).is_ok_and(|(_, parsed)| {
        (parsed.validity().not_before.timestamp()..=parsed.validity().not_after.timestamp()).contains(&at)
    })
}

/// Neither Validate nor Certify says what for.
pub(crate) struct AnyUsage;

impl ExtendedKeyUsageValidator for AnyUsage {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}
