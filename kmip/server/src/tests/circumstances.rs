//! Policies that look at what holds at the moment: the object's state and uses, the region, the lease.

use super::*;

const DENIED: Option<ResultReason> = Some(ResultReason::PermissionDenied);
const NOBODY: &str = "00000000-0000-4000-8000-000000000000";

/// A policy that forbids a Get, under a condition.
fn no_get(when: &str) -> String {
    format!(r#"@id("no-get") forbid (principal is Client, action == Action::"get", resource is KeyObject) {when};"#)
}

#[tokio::test]
async fn a_policy_sees_the_state_as_it_is_now() {
    let rig = Rig::new().await;
    rig.decree(&no_get(r#"unless { context.state == State::"Active" }"#));
    let date = AttributeValue::DateTime(START_S + 60);
    let id = rig.does(&create_with(&[(StandardAttribute::ActivationDate, date)])).await.unwrap().id();
    assert_eq!(rig.reason(&get(&id)).await, DENIED, "Pre-Active");
    rig.clock.forward_s(60);
    assert_eq!(rig.reason(&get(&id)).await, None, "its date has come, and nobody has touched it");
    rig.does(&revoke(&id, RevocationReasonCode::KeyCompromise)).await.unwrap();
    assert_eq!(rig.reason(&get(&id)).await, DENIED, "Compromised");
    rig.does(&destroy(&id)).await.unwrap();
    assert_eq!(rig.reason(&get(&id)).await, DENIED, "Destroyed Compromised");
}

#[tokio::test]
async fn a_policy_says_of_what_is_not_there_what_it_says_of_another_systems() {
    let rig = Rig::new().await;
    let id = active_key(&rig).await;
    let billing = caller_of(tenant(1), "billing");
    for (when, reason) in [
        (r#"unless { context.state == State::"Active" }"#, ResultReason::PermissionDenied),
        (r#"when { context.state == State::"Active" }"#, ResultReason::ItemNotFound),
    ] {
        rig.decree(&no_get(when));
        for (caller, id) in [(&rig.caller, NOBODY), (&billing, NOBODY), (&billing, &id)] {
            let refused = rig.call(caller, V1_4, &get(id)).await.unwrap_err();
            assert_eq!(refused.reason, reason, "{when} {}", caller.system());
        }
    }
}

#[tokio::test]
async fn a_policy_sees_what_the_key_may_be_used_for() {
    let rig = Rig::new().await;
    rig.decree(&no_get(r#"when { context.usage_mask.contains(Usage::"Wrap Key") }"#));
    let wraps = template(&[(StandardAttribute::CryptographicUsageMask, AttributeValue::Integer(0x30))]);
    let key = block(KeyFormatType::Raw, vec![7; 32], Some(CryptographicAlgorithm::Aes));
    let key = ManagedObject::SymmetricKey(SymmetricKey { key_block: key });
    let wraps = rig.does(&Request::Register(ops::register::Request::of(key, wraps))).await.unwrap().id();
    let encrypts = active_key(&rig).await;
    assert_eq!(rig.reason(&get(&wraps)).await, DENIED);
    assert_eq!(rig.reason(&get(&encrypts)).await, None);
}

#[tokio::test]
async fn a_policy_sees_the_state_of_what_is_archived() {
    let rig = Rig::new().await;
    let recover = r#"action == Action::"recover", resource is KeyObject) when { context.state == State::"Active" };"#;
    rig.decree(&format!(r#"@id("no-recover") forbid (principal is Client, {recover}"#));
    let id = active_key(&rig).await;
    rig.does(&archive::archive(&id)).await.unwrap();
    let recover = Request::Recover(ops::recover::Request { unique_identifier: Some(&id) });
    assert_eq!(rig.reason(&recover).await, DENIED);
}

#[tokio::test]
async fn a_policy_sees_in_which_region_it_is_asked() {
    let rig = Rig::new().await;
    let id = active_key(&rig).await;
    let create_in = |region: &str| {
        let create = r#"action == Action::"create", resource is System)"#;
        format!(
            r#"@id("no-create") forbid (principal is Client, {create} when {{ context.region == "{region}" }};
            {}"#,
            no_get(&format!("when {{ context.region == \"{region}\" }}"))
        )
    };
    rig.decree(&create_in("eu"));
    assert_eq!((rig.reason(&get(&id)).await, rig.reason(&create()).await), (DENIED, DENIED));
    rig.decree(&create_in("us"));
    assert_eq!((rig.reason(&get(&id)).await, rig.reason(&create()).await), (None, None));
}

#[tokio::test]
async fn a_policy_sees_what_is_left_of_the_lease() {
    let rig = Rig::new().await;
    let id = active_key(&rig).await;
    rig.decree(&no_get("when { context.lease_left_s < 600 }"));
    assert_eq!(rig.reason(&get(&id)).await, None, "a lease without end");
    let now_ms = u64::try_from(START_S).unwrap() * 1_000;
    rig.table.lease_until(&tenant(1), now_ms + 601_000);
    assert_eq!(rig.reason(&get(&id)).await, None);
    rig.clock.forward_s(2);
    assert_eq!(rig.reason(&get(&id)).await, DENIED, "nothing but time has passed");
    assert_eq!(rig.reason(&encrypt(&id, gcm(), b"x")).await, None);
}

#[tokio::test]
async fn a_stop_comes_before_what_a_policy_sees() {
    let rig = Rig::new().await;
    let id = active_key(&rig).await;
    rig.decree(&no_get(r#"unless { context.state == State::"Active" }"#));
    rig.table.fence(&tenant(1), Stop::Killed);
    assert_eq!(rig.reason(&get(&id)).await, Some(ResultReason::ItemNotFound));
    rig.table.lift(&tenant(1), Stop::Killed);
    rig.table.fence(&tenant(1), Stop::LeaseOver);
    assert_eq!(rig.reason(&get(&id)).await, Some(ResultReason::GeneralFailure));
}
