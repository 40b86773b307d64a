//! Encrypt and Decrypt in several parts, on the wire.

use super::*;
use crate::rig::Got;

/// The fields of one part, for both directions.
#[derive(Clone, Copy, Default)]
struct Said<'a> {
    parameters: Option<&'a CryptographicParameters>,
    iv: Option<&'a [u8]>,
    additional: Option<&'a [u8]>,
    correlation: Option<&'a [u8]>,
    first: bool,
    last: bool,
    tag: Option<&'a [u8]>,
}

fn sealing<'a>(id: &'a str, data: &'a [u8], said: Said<'a>) -> Request<'a> {
    Request::Encrypt(ops::encrypt::Request {
        unique_identifier: Some(id),
        cryptographic_parameters: said.parameters.cloned(),
        data: Some(data),
        iv_counter_nonce: said.iv,
        correlation_value: said.correlation,
        init_indicator: said.first.then_some(true),
        final_indicator: said.last.then_some(true),
        additional_data: said.additional,
    })
}

fn opening<'a>(id: &'a str, data: &'a [u8], said: Said<'a>) -> Request<'a> {
    Request::Decrypt(ops::decrypt::Request {
        unique_identifier: Some(id),
        cryptographic_parameters: said.parameters.cloned(),
        data: Some(data),
        iv_counter_nonce: said.iv,
        correlation_value: said.correlation,
        init_indicator: said.first.then_some(true),
        final_indicator: said.last.then_some(true),
        additional_data: said.additional,
        authentication_tag: said.tag,
    })
}

/// Data, IV, correlation value and tag of an answer.
#[derive(Debug, Default)]
struct Told {
    data: Vec<u8>,
    iv: Option<Vec<u8>>,
    correlation: Option<Vec<u8>>,
    tag: Option<Vec<u8>>,
}

fn told(got: &Got) -> Told {
    let own = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    match got.answer() {
        Answer::Encrypt(answer) => Told {
            data: own(answer.data).unwrap_or_default(),
            iv: own(answer.iv_counter_nonce),
            correlation: own(answer.correlation_value),
            tag: own(answer.authentication_tag),
        },
        Answer::Decrypt(answer) => Told {
            data: own(answer.data).unwrap_or_default(),
            correlation: own(answer.correlation_value),
            ..Told::default()
        },
        _ => panic!("another answer"),
    }
}

async fn ask(rig: &Rig, request: &Request<'_>) -> Told {
    told(&rig.does(request).await.unwrap())
}

/// Sends the text in these parts and gives what came back, put together.
async fn seal_in_parts(rig: &Rig, id: &str, first: Said<'_>, parts: &[&[u8]]) -> Told {
    let begun = ask(rig, &sealing(id, parts[0], Said { first: true, ..first })).await;
    let mut whole = Told { iv: begun.iv.clone(), ..begun };
    for (at, part) in parts.iter().enumerate().skip(1) {
        let correlation = whole.correlation.take();
        let said = Said { correlation: correlation.as_deref(), last: at + 1 == parts.len(), ..Said::default() };
        let next = ask(rig, &sealing(id, part, said)).await;
        whole.data.extend_from_slice(&next.data);
        (whole.correlation, whole.tag) = (next.correlation, next.tag);
    }
    whole
}

fn mode(mode: BlockCipherMode, padding: Option<PaddingMethod>) -> CryptographicParameters {
    CryptographicParameters { block_cipher_mode: Some(mode), padding_method: padding, ..Default::default() }
}

#[tokio::test]
async fn parts_give_what_the_whole_gives() {
    let rig = Rig::new().await;
    let id = active_key(&rig).await;
    let text: Vec<u8> = (0..=99).collect();
    let parts: [&[u8]; 5] = [&text[..7], b"", &text[7..40], &text[40..48], &text[48..]];
    let (nonce, block) = ([7; 12], [7; 16]);
    for (mode, iv, additional) in [
        (mode(BlockCipherMode::Gcm, None), Some(&nonce[..]), Some(&b"aad"[..])),
        (mode(BlockCipherMode::Cbc, Some(PaddingMethod::Pkcs5)), Some(&block[..]), None),
        (mode(BlockCipherMode::Ecb, Some(PaddingMethod::Pkcs5)), None, None),
        (mode(BlockCipherMode::Ctr, None), Some(&block[..]), None),
        (mode(BlockCipherMode::Cfb, None), Some(&block[..]), None),
        (mode(BlockCipherMode::Ofb, None), Some(&block[..]), None),
    ] {
        let first = Said { parameters: Some(&mode), iv, additional, ..Said::default() };
        let whole = ask(&rig, &sealing(&id, &text, first)).await;
        let sealed = seal_in_parts(&rig, &id, first, &parts).await;
        assert_eq!((&sealed.data, &sealed.tag), (&whole.data, &whole.tag), "{mode:?}");
        assert_eq!((sealed.correlation, sealed.iv), (None, None), "{mode:?}");
        // And back, in two parts: nothing leaves before the last.
        let (head, tail) = whole.data.split_at(33);
        let begun = ask(&rig, &opening(&id, head, Said { first: true, ..first })).await;
        assert_eq!(begun.data, b"", "{mode:?}");
        let correlation = begun.correlation.as_deref();
        let said = Said { correlation, last: true, tag: whole.tag.as_deref(), ..Said::default() };
        assert_eq!(ask(&rig, &opening(&id, tail, said)).await.data, text, "{mode:?}");
    }
}

#[tokio::test]
async fn an_iv_is_drawn_once_for_all_parts() {
    let rig = Rig::new().await;
    let id = active_key(&rig).await;
    let cbc = cbc(Some(true));
    let first = Said { parameters: Some(&cbc), ..Said::default() };
    let sealed = seal_in_parts(&rig, &id, first, &[b"one ", b"two ", b"three"]).await;
    let iv = sealed.iv.unwrap();
    let back = rig.does(&decrypt(&id, cbc, &sealed.data, &iv, None)).await.unwrap();
    assert_eq!(told(&back).data, b"one two three");
}

#[tokio::test]
async fn a_stream_cannot_be_misused() {
    let rig = Rig::new().await;
    let (id, other) = (active_key(&rig).await, active_key(&rig).await);
    let gcm = gcm();
    let first = Said { parameters: Some(&gcm), first: true, ..Said::default() };
    let begin = async || ask(&rig, &sealing(&id, b"text", first)).await.correlation.unwrap();
    let refused = async |request: &Request<'_>, reason| assert_eq!(rig.reason(request).await, Some(reason));
    let correlation = begin().await;
    let last = Said { correlation: Some(&correlation), last: true, ..Said::default() };
    refused(&sealing(&other, b"", last), ResultReason::ItemNotFound).await;
    refused(&opening(&id, b"", last), ResultReason::ItemNotFound).await;
    refused(&sealing(&id, b"", Said { iv: Some(&[1; 12]), ..last }), ResultReason::InvalidField).await;
    refused(&sealing(&id, b"", Said { additional: Some(b"a"), ..last }), ResultReason::InvalidField).await;
    assert!(rig.does(&sealing(&id, b"", last)).await.is_ok(), "it was there all the time");
    refused(&sealing(&id, b"", last), ResultReason::ItemNotFound).await;
    // Parts together are limited, and what was too long is gone.
    let correlation = begin().await;
    let middle = Said { correlation: Some(&correlation), ..Said::default() };
    let half = vec![0; crate::streams::STREAM_BYTES_MAX / 2];
    assert!(rig.does(&sealing(&id, &half, middle)).await.is_ok());
    refused(&sealing(&id, &half, middle), ResultReason::InvalidField).await;
    refused(&sealing(&id, b"", middle), ResultReason::ItemNotFound).await;
}

/// Each part asks anew whether the key may.
#[tokio::test]
async fn what_stops_a_key_stops_its_streams() {
    let rig = Rig::new().await;
    let id = active_key(&rig).await;
    let gcm = gcm();
    let first = Said { parameters: Some(&gcm), first: true, ..Said::default() };
    let correlation = ask(&rig, &sealing(&id, b"text", first)).await.correlation.unwrap();
    let next = Said { correlation: Some(&correlation), ..Said::default() };
    rig.table.fence(&tenant(1), Stop::Killed);
    assert_eq!(rig.reason(&sealing(&id, b"", next)).await, Some(ResultReason::ItemNotFound));
    rig.table.lift(&tenant(1), Stop::Killed);
    assert!(rig.does(&sealing(&id, b"", next)).await.is_ok(), "the gate is asked before anything is taken");
    rig.server.close_tenant(&tenant(1));
    assert_eq!(rig.reason(&sealing(&id, b"", next)).await, Some(ResultReason::ItemNotFound), "a kill wiped it");
    let correlation = ask(&rig, &sealing(&id, b"text", first)).await.correlation.unwrap();
    let next = Said { correlation: Some(&correlation), ..Said::default() };
    rig.does(&revoke(&id, RevocationReasonCode::KeyCompromise)).await.unwrap();
    assert_eq!(rig.reason(&sealing(&id, b"", next)).await, Some(ResultReason::PermissionDenied));
}
