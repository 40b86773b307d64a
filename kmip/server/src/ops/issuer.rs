//! Who signs what Certify and Re-certify make: a CA of the caller's own system.
//!
//! That is an Active Private Key whose Cryptographic Usage Mask has Certificate Sign, with a Certificate Link to an Active certificate of
//! a CA that is of its public key. A system's only such key is taken; where there are several, a Link of type Private Key Link in the
//! Template-Attribute names one. The key is used as by Sign: policy is asked about Sign on it, what it signs counts against its Usage
//! Limits, and it signs within a borrow, so one that never leaves does, too. About its certificate policy is asked as about the operation.

use custody::{
    key_table::{Borrow, Purpose},
    keyring::Filter,
    names::ObjectId,
    object::{Link, ObjectMeta, State},
    shelf::{By, Term},
    signature::{Scheme, Signed},
    vault::Expose,
};
use kmip::{
    AttributeValue, CryptographicParameters, ResultReason, TemplateAttribute,
    message::Failure,
    tables::{
        CertificateRequestType, CertificateType, CryptographicAlgorithm, HashingAlgorithm, KeyFormatType, LinkType,
        ObjectType, PaddingMethod, StandardAttribute, UsageMask,
    },
};
use policy::Operation;

use super::{Allowed, Turn, Used, halves::Leaving, sign, unwrapped, validate};
use crate::{
    attributes::{self, replace::link},
    issue::{self, Authority, Content, Subject, Validity, request::Request},
    lifecycle,
    refusal::{self, Outcome, denied, fail, invalid_field, unsupported},
};

/// Most CA keys that are looked at.
const ISSUERS_MAX: usize = 64;

const CERTIFY: Expose = Expose::because("a public key stands in its certificate");

/// What the client says of a new certificate besides the attributes that its object keeps.
pub(super) struct Asked {
    pub(super) request: Option<Request>,
    pub(super) kind: Option<CertificateType>,
    /// Of the Template-Attribute.
    subject: Option<Subject>,
    /// The CA's key.
    issuer: Option<String>,
}

impl Asked {
    /// Takes what is no attribute of the object out of the template.
    pub(super) fn of(
        kind: Option<CertificateRequestType>,
        request: Option<&[u8]>,
        template: &mut TemplateAttribute,
    ) -> Outcome<Self> {
        let mut asked = Self { request: Request::of(kind, request)?, kind: None, subject: None, issuer: None };
        let (mut rest, mut twice) = (vec![], false);
        for attribute in std::mem::take(&mut template.attributes) {
            let name = &attribute.name;
            twice |= match attribute.value {
                AttributeValue::Enumeration(code) if *name == StandardAttribute::CertificateType.into() => {
                    let kind = CertificateType::from_code(code).filter(|kind| *kind == CertificateType::X509);
                    let kind = kind.ok_or_else(|| unsupported("a Certificate Type other than X.509"))?;
                    asked.kind.replace(kind).is_some()
                }
                AttributeValue::X509CertificateSubject(subject)
                    if *name == StandardAttribute::X509CertificateSubject.into() =>
                {
                    asked.subject.replace(Subject::of(subject.name, subject.alternatives)?).is_some()
                }
                AttributeValue::Link(link) if link.kind == LinkType::PrivateKeyLink => {
                    asked.issuer.replace(link.linked_object_identifier).is_some()
                }
                value => {
                    rest.push(kmip::Attribute { value, ..attribute });
                    false
                }
            };
        }
        template.attributes = rest;
        if twice {
            return Err(invalid_field(
                "Certificate Type, X.509 Certificate Subject or a Link of type Private Key Link is given more than once",
            ));
        }
        Ok(asked)
    }

    /// "The information in the Certificate Request takes precedence."
    pub(super) fn subject(&self) -> Option<Subject> {
        self.request.as_ref().map(|request| &request.subject).or(self.subject.as_ref()).cloned()
    }
}

/// A public key that is to be certified.
pub(super) struct Key {
    /// SubjectPublicKeyInfo in DER.
    pub(super) info: Vec<u8>,
    uses: UsageMask,
}

impl Key {
    pub(super) async fn of(turn: &Turn<'_, '_>, object: &Allowed, asked: &Asked) -> Outcome<Self> {
        let certified = |meta: &ObjectMeta| {
            may_be_certified(meta, turn.now_s)?;
            Ok((Leaving::of(meta, Some(KeyFormatType::X509), None)?, lifecycle::usage(meta)))
        };
        let ((leaving, uses), bytes) = turn.exported(object, Purpose::Protect, CERTIFY, certified).await?;
        let key = Self { info: leaving.material(bytes)?.expose().to_vec(), uses };
        match &asked.request {
            Some(request) if request.key != key.info => {
                Err(invalid_field("the Certificate Request is of another key than the Public Key that is named"))
            }
            _ => Ok(key),
        }
    }
}

pub(super) fn may_be_certified(meta: &ObjectMeta, now_s: i64) -> Outcome<()> {
    if meta.object_type != ObjectType::PublicKey.code() {
        return Err(denied("the object is no Public Key; only such a one is certified"));
    }
    unwrapped(meta)?;
    let state = lifecycle::state_at(meta, now_s);
    if !matches!(state, State::PreActive | State::Active) {
        let state = lifecycle::wire_state(state);
        return Err(denied(format!("the public key is {state}; only one that is Pre-Active or Active is certified")));
    }
    if !meta.extractable || meta.sensitive {
        let message = "the public key is Sensitive or not Extractable, and would leave in its certificate";
        return Err(fail(ResultReason::NotExtractable, message));
    }
    Ok(())
}

/// A certificate that was made.
pub(super) struct Issued {
    pub(super) der: Vec<u8>,
    /// To the certificate of the CA.
    pub(super) parent: Link,
}

/// Makes a certificate, and says in `meta` what it is.
pub(super) async fn issue(
    turn: &Turn<'_, '_>,
    operation: Operation,
    asked: &Asked,
    key: &Key,
    subject: &Subject,
    meta: &mut ObjectMeta,
) -> Outcome<Issued> {
    let issuer = find(turn, operation, asked.issuer.as_deref()).await?;
    let validity = Validity::of(&meta.dates, &issuer.authority, turn.now_s)?;
    let content = Content { subject, key: &key.info, uses: key.uses, validity };
    let (authority, scheme) = (&issuer.authority, issuer.scheme);
    let to_sign = issue::to_sign(&content, authority, scheme)?;
    let job = |borrow: &Borrow, _: &ObjectMeta| {
        let made = borrow.sign(scheme, Signed::Data(&to_sign));
        made.map(|signature| ((), signature)).map_err(|error| refusal::of_custody(&error))
    };
    let Used { given: signature, limits, .. } = turn.protect(&issuer.key, UsageMask::CERTIFICATE_SIGN, job).await?;
    let der = issue::signed(&to_sign, scheme, &signature)?;
    authority.check(&der, validity)?;
    turn.spend(&issuer.key, limits, to_sign.len(), true).await?;
    if meta.usage_mask == 0 {
        meta.usage_mask = u32::from_ne_bytes(key.uses.0.to_ne_bytes());
    }
    attributes::certificate::describe(meta, CertificateType::X509, &der)?;
    Ok(Issued { der, parent: link(LinkType::CertificateLink, &issuer.certificate.text) })
}

struct Issuer {
    key: Allowed,
    certificate: Allowed,
    authority: Authority,
    scheme: Scheme,
}

async fn find(turn: &Turn<'_, '_>, operation: Operation, named: Option<&str>) -> Outcome<Issuer> {
    let keys = match named {
        Some(id) => {
            let id = id.parse().map_err(|_| refusal::not_found())?;
            vec![(id, turn.meta(id)?)]
        }
        None => signing(turn)?,
    };
    let mut found = vec![];
    for (id, meta) in keys {
        let linked = meta.links.iter().filter(|link| link.kind == LinkType::CertificateLink.code());
        let certificates: Vec<ObjectId> =
            linked.filter_map(|link| link.to.parse().ok()).filter(|id| is_active(turn, *id)).collect();
        if !certificates.is_empty() {
            found.push((id, meta, certificates));
        }
    }
    let (id, meta, certificates) = match (found.pop(), found.is_empty()) {
        (Some(one), true) => one,
        (Some(_), false) => return Err(several()),
        (None, _) => return Err(none()),
    };
    let [certificate] = *certificates else {
        return Err(denied(
            "the CA's key has Certificate Links to several Active certificates; delete the links, or revoke the certificates, that are \
             of no use any more",
        ));
    };
    let key = turn.allowed(Operation::Sign, id)?;
    let certificate = turn.allowed(operation, certificate)?;
    let authority = Authority::of(validate::certificate(turn, &certificate).await?, turn.now_s)?;
    Ok(Issuer { key, certificate, authority, scheme: scheme(&meta)? })
}

/// The keys of the caller's system that may sign certificates.
fn signing(turn: &Turn<'_, '_>) -> Outcome<Vec<(ObjectId, ObjectMeta)>> {
    let mut found = vec![];
    let keep = |id, meta: &ObjectMeta| {
        let links = |link: &Link| link.kind == LinkType::CertificateLink.code();
        let signs = meta.object_type == ObjectType::PrivateKey.code()
            && lifecycle::may_protect(meta, UsageMask::CERTIFICATE_SIGN, turn.now_s).is_ok();
        if signs && found.len() < ISSUERS_MAX && meta.links.iter().any(links) {
            found.push((id, meta.clone()));
        }
        false
    };
    let filter = Filter { by: Some(By::Term(Term::SignsCertificates)), ..Filter::default() };
    let located = turn.keyring.locate(turn.caller.tenant(), turn.caller.system(), filter, keep);
    located.map_err(|error| refusal::of_custody(&error))?;
    Ok(found)
}

fn is_active(turn: &Turn<'_, '_>, id: ObjectId) -> bool {
    turn.meta(id).is_ok_and(|meta| {
        let certified = meta.object_type == ObjectType::Certificate.code();
        certified && lifecycle::state_at(&meta, turn.now_s) == State::Active
    })
}

fn none() -> Failure {
    denied(
        "this system has no CA that signs: make one by Create Key Pair with Certificate Sign in the private key's Cryptographic Usage \
         Mask, Register the certificate of the CA, Add Attribute to the private key a Link of type Certificate Link to it, and Activate \
         both",
    )
}

fn several() -> Failure {
    denied(
        "several keys of this system sign as a CA; name one by a Link of type Private Key Link in the Template-Attribute",
    )
}

/// As every verifier knows it: RSA with PKCS#1 v1.5 and SHA-256, ECDSA with the hash that is as strong as the curve.
fn scheme(meta: &ObjectMeta) -> Outcome<Scheme> {
    let hash = match meta.length_bits {
        _ if meta.algorithm == Some(CryptographicAlgorithm::Rsa.code()) => HashingAlgorithm::Sha256,
        Some(384) => HashingAlgorithm::Sha384,
        Some(521) => HashingAlgorithm::Sha512,
        _ => HashingAlgorithm::Sha256,
    };
    let padding = meta.algorithm == Some(CryptographicAlgorithm::Rsa.code());
    let parameters = CryptographicParameters {
        padding_method: padding.then_some(PaddingMethod::Pkcs1V15),
        hashing_algorithm: Some(hash),
        ..CryptographicParameters::default()
    };
    sign::signing(meta, Some(&parameters))
}
