//! What a client may say in its request's header, and what comes of it.

use super::*;

async fn asked(rig: &Rig, header: RequestHeader<'_>) -> Vec<u8> {
    rig.ask(&rig.caller, &client::batch(header, &[create()])).await
}

#[tokio::test]
async fn a_message_that_the_client_names_is_named_by_the_server_and_found_in_the_audit() {
    let rig = Rig::new().await;
    let named = RequestHeader { client_correlation_value: Some("job \"7\""), ..RequestHeader::of(V1_4) };
    let mut names = vec![];
    for header in [named, RequestHeader { client_correlation_value: Some("job 8"), ..RequestHeader::of(V1_4) }] {
        let frame = asked(&rig, header).await;
        let message = AnswerMessage::read(&frame, V1_4, &ttlv::Limits::ANSWER).unwrap();
        names.push(message.header.server_correlation_value.unwrap().to_owned());
    }
    assert_ne!(names[0], names[1]);
    let frame = asked(&rig, RequestHeader::of(V1_4)).await;
    let message = AnswerMessage::read(&frame, V1_4, &ttlv::Limits::ANSWER).unwrap();
    assert_eq!(message.header.server_correlation_value, None, "who decodes by position gets what it knows");
    let (summary, log) = rig.audit().await;
    assert_eq!(summary.records, 3);
    let both = format!(r#""client_correlation":"job \"7\"","server_correlation":"{}""#, names[0]);
    assert!(log.lines().any(|line| line.contains(&both)), "{log}");
    assert_eq!(log.matches("client_correlation").count(), 2);
}

#[tokio::test]
async fn what_asks_for_nothing_here_changes_nothing() {
    let rig = Rig::new().await;
    let header = || RequestHeader::of(V1_4);
    let headers = [
        RequestHeader { time_stamp: Some(DateTime(0)), ..header() },
        RequestHeader { attestation_capable_indicator: Some(false), ..header() },
        RequestHeader { attestation_types: vec![ttlv::Enumeration(1)], ..header() },
        RequestHeader { server_correlation_value: Some("theirs"), ..header() },
        RequestHeader { batch_order: Some(true), ..header() },
        RequestHeader { batch_order: Some(false), ..header() },
    ];
    for header in headers {
        assert_eq!(rig.batch(header, &[create(), activate(None)]).await, [None, None]);
    }
}
