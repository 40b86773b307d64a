//! What a Certify leaves behind, and when it leaves nothing.

use kmip::{
    UsageLimits,
    tables::LinkType,
    ttlv::{Enumeration, LongInteger},
};

use super::{
    certify::{ca, ca_of, ca_params, certified, certify, link, links, mask, meta, pair, public_key, subject},
    *,
};
use crate::attributes::INSTANCES_MAX;

async fn certificates(rig: &Rig) -> usize {
    let kind = AttributeValue::Enumeration(ObjectType::Certificate.code());
    let attributes = vec![Attribute::new(StandardAttribute::ObjectType, kind)];
    let got = rig.does(&Request::Locate(ops::locate::Request::of(attributes))).await.unwrap();
    let Answer::Locate(located) = got.answer() else { panic!("another answer") };
    located.unique_identifiers.len()
}

/// DESIGN §2.11: nothing new is protected.
#[tokio::test]
async fn a_suspended_tenant_has_nothing_certified() {
    let rig = Rig::new().await;
    ca(&rig).await;
    let key = public_key(&rig, &rig.caller, &pair(), &[]).await;
    let old = certified(&rig, &certify(&key, &subject("old"))).await;
    let renew = || {
        Request::ReCertify(ops::re_certify::Request {
            unique_identifier: Some(&old),
            certificate_request_type: None,
            certificate_request: None,
            offset: None,
            template_attribute: None,
        })
    };
    rig.table.fence(&tenant(1), Stop::Suspended);
    for request in [certify(&key, &subject("db")), renew()] {
        assert_eq!(rig.reason(&request).await, Some(ResultReason::PermissionDenied), "{}", request.operation());
    }
    assert_eq!((certificates(&rig).await, links(&rig, &key, LinkType::CertificateLink).len()), (2, 1));
    rig.table.lift(&tenant(1), Stop::Suspended);
    assert_eq!(rig.reason(&certify(&key, &subject("db"))).await, None);
}

#[tokio::test]
async fn a_batch_with_undo_takes_a_certificate_back() {
    let rig = Rig::new().await;
    let limits = UsageLimits { total: LongInteger(2), count: None, unit: Enumeration(2) };
    let limits = [(StandardAttribute::UsageLimits, AttributeValue::UsageLimits(limits))];
    let ca = ca_of(&rig, &rig.caller, ca_params("root"), pair(), &limits).await;
    let key = public_key(&rig, &rig.caller, &pair(), &[]).await;
    let undo =
        || RequestHeader { batch_error_continuation: Some(BatchErrorContinuation::Undo), ..RequestHeader::of(V1_4) };
    let left = async || {
        let count = meta(&rig, &ca.key).usage_limits.unwrap().count;
        (certificates(&rig).await, links(&rig, &key, LinkType::CertificateLink).len(), count)
    };
    let fails = [certify(&key, &subject("db")), activate(None), get("1")];
    assert_eq!(rig.batch(undo(), &fails).await.last(), Some(&Some(ResultReason::ItemNotFound)));
    assert_eq!(left().await, (1, 0, 2), "no certificate, no link, and nothing of the CA's key was used up");
    let succeeds = [certify(&key, &subject("db")), activate(None)];
    assert_eq!(rig.batch(undo(), &succeeds).await, [None, None]);
    assert_eq!(left().await, (2, 1, 1));
}

#[tokio::test]
async fn a_ca_with_two_certificates_does_not_choose() {
    let rig = Rig::new().await;
    let first = ca(&rig).await;
    let second = ca_of(&rig, &rig.caller, ca_params("second"), pair(), &[]).await;
    rig.does(&revoke(&second.key, RevocationReasonCode::Superseded)).await.unwrap();
    let key = public_key(&rig, &rig.caller, &pair(), &[]).await;
    let (name, value) = link(LinkType::CertificateLink, &second.certificate);
    let attribute = Attribute::new(name, value);
    let add = ops::add_attribute::Request { unique_identifier: Some(&first.key), attribute };
    rig.does(&Request::AddAttribute(add)).await.unwrap();
    let failure = rig.does(&certify(&key, &subject("db"))).await.unwrap_err();
    assert_eq!(failure.reason, ResultReason::PermissionDenied);
    assert!(failure.message.contains("several Active certificates"), "{failure:?}");
    rig.does(&revoke(&second.certificate, RevocationReasonCode::Superseded)).await.unwrap();
    assert_eq!(rig.reason(&certify(&key, &subject("db"))).await, None);
}

#[tokio::test]
async fn policy_is_asked_about_the_certificate_of_the_ca() {
    let rig = Rig::new().await;
    let ca = ca(&rig).await;
    let key = public_key(&rig, &rig.caller, &pair(), &[]).await;
    let forbid = format!(
        r#"@id("not-this-ca") forbid (principal is Client, action == Action::"certify", resource == KeyObject::"{}");"#,
        ca.certificate
    );
    rig.decree(&forbid);
    assert_eq!(rig.reason(&certify(&key, &subject("db"))).await, Some(ResultReason::PermissionDenied));
    assert_eq!(certificates(&rig).await, 1);
}

#[tokio::test]
async fn a_public_key_that_came_wrapped_is_not_certified() {
    let rig = Rig::new().await;
    ca(&rig).await;
    let key_block = KeyBlock { key_format_type: KeyFormatType::X509, ..wrap::wrapped() };
    let object = ManagedObject::PublicKey(kmip::PublicKey { key_block });
    let request = ops::register::Request::of(object, template(&[mask(kmip::tables::UsageMask::VERIFY)]));
    let id = rig.does(&Request::Register(request)).await.unwrap().id();
    let failure = rig.does(&certify(&id, &subject("db"))).await.unwrap_err();
    assert_eq!(failure.reason, ResultReason::PermissionDenied);
    assert!(failure.message.contains("wrapped"), "{failure:?}");
}

#[tokio::test]
async fn a_public_key_has_so_many_links_and_no_certificate_more() {
    let rig = Rig::new().await;
    ca(&rig).await;
    let full: Vec<_> = (0..INSTANCES_MAX).map(|to| link(LinkType::NextLink, &to.to_string())).collect();
    let key = public_key(&rig, &rig.caller, &pair(), &full).await;
    assert_eq!(rig.reason(&certify(&key, &subject("db"))).await, Some(ResultReason::IndexOutOfBounds));
    assert_eq!((certificates(&rig).await, meta(&rig, &key).links.len()), (1, INSTANCES_MAX), "nothing was made");
    let room = public_key(&rig, &rig.caller, &pair(), &full[1..]).await;
    assert_eq!(rig.reason(&certify(&room, &subject("db"))).await, None);
    assert_eq!(rig.reason(&certify(&room, &subject("db"))).await, Some(ResultReason::IndexOutOfBounds));
}
