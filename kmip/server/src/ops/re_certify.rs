//! Re-certify (KMIP 1.4 §4.8): another certificate for the same key, which takes over the names of the old one as the replacement of a
//! key does (`re_key.rs`). Whom it is of says the request as in Certify, and else the old certificate.

use custody::{
    keyring::New,
    object::{ObjectMeta, State},
};
use kmip::{
    ops::{Answer, re_certify},
    tables::{LinkType, ObjectType},
};
use policy::Operation;
use x509_parser::{certificate::X509Certificate, prelude::FromDer};

use super::{
    Allowed, Turn,
    certify::certified_by,
    issuer::{self, Asked, Issued, Key},
    re_key::Replaced,
    store::new_id,
    validate,
};
use crate::{
    attributes::replace::{Wish, link, linked, replacement, unlink_from},
    issue::Subject,
    lifecycle,
    refusal::{Outcome, denied},
};

pub(super) async fn perform(
    turn: &mut Turn<'_, '_>,
    object: &Allowed,
    request: re_certify::Request<'_>,
) -> Outcome<()> {
    let mut template = request.template_attribute.unwrap_or_default();
    let asked = Asked::of(request.certificate_request_type, request.certificate_request, &mut template)?;
    let wish = Wish { offset_s: request.offset.map(|offset| offset.0), template };
    let old = turn.to_replace(object, ObjectType::Certificate)?;
    let subject = may_be_renewed(&old, turn.now_s, &asked)?;
    let public = linked(&old, LinkType::PublicKeyLink).ok_or_else(|| {
        denied("the certificate has no Public Key Link; Add Attribute to it a Link to the Public Key that it is of")
    })?;
    let public = turn.other(Operation::ReCertify, public)?;
    let key = Key::of(turn, &public, &asked).await?;
    let before = validate::certificate(turn, object).await?;
    if !X509Certificate::from_der(&before).is_ok_and(|(_, parsed)| parsed.public_key().raw == key.info) {
        return Err(denied("the Public Key that the certificate links to is not the one that it is of"));
    }
    let mut meta = replacement(&old, &wish, turn.now_s)?;
    meta.rng = None;
    let Issued { der, parent } = issuer::issue(turn, Operation::ReCertify, &asked, &key, &subject, &mut meta).await?;
    let id = new_id()?;
    let new = New { object: id, meta, secret: turn.hold_copy(&der)? };
    let replaced = vec![Replaced::by(object, &old, wish, new)];
    let (now_s, old_id, key_id) = (turn.now_s, object.text, public.text);
    turn.replace(replaced, vec![public.id], move |keys, new| {
        for new in new {
            new.links.push(link(LinkType::PublicKeyLink, &key_id));
            new.links.push(parent.clone());
        }
        keys.iter_mut().try_for_each(|key| {
            unlink_from(key, LinkType::CertificateLink, &old_id);
            certified_by(key, &id.text(), now_s)
        })
    })
    .await?;
    let unique_identifier = &turn.made(id);
    turn.success(&Answer::ReCertify(re_certify::Answer { unique_identifier, template_attribute: None }));
    Ok(())
}

/// Whom the new certificate is of.
fn may_be_renewed(old: &ObjectMeta, now_s: i64, asked: &Asked) -> Outcome<Subject> {
    if lifecycle::state_at(old, now_s) == State::Compromised {
        return Err(denied("the certificate is Compromised; make another key, and Certify that"));
    }
    let said =
        old.certificate.as_ref().ok_or_else(|| denied("nothing is known of the certificate; Certify its key"))?;
    let own = || Subject::of(said.subject.clone(), said.subject_alternatives.clone());
    asked.subject().map_or_else(own, Ok)
}
