//! Identifiers of OpenKCM Krypton on the wire.

use super::*;

#[tokio::test]
async fn an_identifier_of_krypton_names_the_caller_s_own_object() {
    let rig = Rig::new().await;
    let named = create_with(&[(StandardAttribute::Name, AttributeValue::name("mongo:master"))]);
    let id = rig.does(&named).await.unwrap().id();
    let (tenant_id, label) = (rig.caller.tenant().to_string(), rig.caller.label().to_owned());
    for tenant in [&tenant_id, &label] {
        for key in [id.as_str(), "mongo:master"] {
            let text = format!("{tenant}:{key}:1");
            let got = rig.call(&rig.caller, V1_2, &get(&text)).await.unwrap();
            let Answer::Get(answer) = got.answer() else { panic!("another answer") };
            assert_eq!(answer.unique_identifier, id, "{text}");
            assert_eq!(state(&rig, &text).await, kmip::State::PreActive);
        }
    }
    let other = tenant(2).to_string();
    let absent = rig.call(&rig.caller, V1_2, &get("1")).await.unwrap_err();
    for text in [
        format!("{other}:{id}:1"),
        format!("{tenant_id}:{id}:2"),
        format!("{tenant_id}:{id}:"),
        format!("{tenant_id}:{id}"),
        format!("{tenant_id}::1"),
        format!(":{id}:1"),
        format!("{tenant_id}:another:1"),
        format!("{tenant_id}{id}:1"),
    ] {
        assert_eq!(rig.call(&rig.caller, V1_2, &get(&text)).await.unwrap_err(), absent, "{text}");
    }
    let text = format!("{tenant_id}:{id}:1");
    for request in [destroy(&text), activate(Some(&text)), encrypt(&text, gcm(), b"x")] {
        assert_eq!(rig.reason(&request).await, Some(ResultReason::ItemNotFound), "{}", request.operation());
    }
    let foreign = caller_of(tenant(1), "ledger");
    let named = format!("{tenant_id}:mongo:master:1");
    for text in [&text, &named] {
        assert_eq!(rig.call(&foreign, V1_2, &get(text)).await.unwrap_err(), absent, "{text}");
    }
    rig.does(&destroy(&id)).await.unwrap();
    assert_eq!(rig.call(&rig.caller, V1_2, &get(&named)).await.unwrap_err(), absent);
    let got = rig.does(&create_with(&[(StandardAttribute::Name, AttributeValue::name("mongo:master"))])).await.unwrap();
    let again = rig.call(&rig.caller, V1_2, &get(&named)).await.unwrap();
    let Answer::Get(answer) = again.answer() else { panic!("another answer") };
    assert_eq!(answer.unique_identifier, got.id(), "a name is that of the object that lives");
    let uri = kmip::Name { value: "mongo:master".to_owned(), kind: kmip::tables::NameType::Uri };
    rig.does(&create_with(&[(StandardAttribute::Name, AttributeValue::Name(uri))])).await.unwrap();
    assert_eq!(rig.call(&rig.caller, V1_2, &get(&named)).await.unwrap_err(), absent, "which of the two is meant?");
}
