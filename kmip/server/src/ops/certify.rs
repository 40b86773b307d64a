//! Certify (KMIP 1.4 §4.7): a certificate for a Public Key, signed by a CA of the same system (`issuer.rs`).
//!
//! What the specification leaves open:
//!
//! * Whom the certificate is of says the Certificate Request, or else the attribute X.509 Certificate Subject of the Template-Attribute:
//!   names and alternative names as DER, which a server sets elsewhere. Without either nothing is certified.
//! * A Public Key is always named. A request beside it must be of the same key and signed with it.
//! * The certificate is valid from the Activation Date to the Deactivation Date of the Template-Attribute; without them for a year from now,
//!   or until the CA's own end. What the key may is its Cryptographic Usage Mask. The object is Pre-Active, as any that is made.
//! * It links to the CA's certificate besides.

use custody::{keyring::New, object::ObjectMeta};
use kmip::{
    ResultReason,
    ops::{Answer, certify},
    tables::{LinkType, ObjectType},
};
use policy::Operation;

use super::{
    Allowed, Turn,
    issuer::{self, Asked, Issued, Key, may_be_certified},
    store::new_id,
};
use crate::{
    attributes::{self, INSTANCES_MAX, replace::link},
    refusal::{Outcome, fail, invalid_field},
};

pub(super) async fn perform(turn: &mut Turn<'_, '_>, object: &Allowed, request: certify::Request<'_>) -> Outcome<()> {
    let mut template = request.template_attribute.unwrap_or_default();
    let asked = Asked::of(request.certificate_request_type, request.certificate_request, &mut template)?;
    if asked.request.is_none() && asked.kind.is_none() {
        return Err(invalid_field("without a Certificate Request the Template-Attribute needs a Certificate Type"));
    }
    let subject = asked.subject().ok_or_else(|| {
        invalid_field(
            "nothing says whom the certificate is of; send a Certificate Request, or an X.509 Certificate Subject in the \
             Template-Attribute",
        )
    })?;
    let mut meta = attributes::meta_of(ObjectType::Certificate, &template, turn.now_s)?;
    meta.dates.original_creation = Some(turn.now_s);
    let key = Key::of(turn, object, &asked).await?;
    let _naming = turn.reserve(&[(&meta, None)]).await?;
    let Issued { der, parent } = issuer::issue(turn, Operation::Certify, &asked, &key, &subject, &mut meta).await?;
    meta.links.push(link(LinkType::PublicKeyLink, &object.text));
    meta.links.push(parent);
    let id = new_id()?;
    let new = New { object: id, meta, secret: turn.hold_copy(&der)? };
    let now_s = turn.now_s;
    let change = move |keys: &mut [ObjectMeta], _: &mut [ObjectMeta]| {
        keys.iter_mut().try_for_each(|key| certified_by(key, &id.text(), now_s))
    };
    turn.store_beside(vec![object.id], vec![new], change).await?;
    let unique_identifier = &turn.made(id);
    turn.success(&Answer::Certify(certify::Answer { unique_identifier, template_attribute: None }));
    Ok(())
}

/// A key may have several certificates.
pub(super) fn certified_by(key: &mut ObjectMeta, certificate: &str, now_s: i64) -> Outcome<()> {
    may_be_certified(key, now_s)?;
    if key.links.len() >= INSTANCES_MAX {
        let message =
            format!("the public key has {INSTANCES_MAX} Links already; delete those that are of no use any more");
        return Err(fail(ResultReason::IndexOutOfBounds, message));
    }
    key.links.push(link(LinkType::CertificateLink, certificate));
    key.dates.last_change = Some(now_s);
    Ok(())
}
