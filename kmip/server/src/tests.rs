//! Operations on the wire, against a real store: what clients send, what they must get.

mod archive;
mod certified;
mod certify;
mod circumstances;
mod crash;
mod derive_key;
mod digests;
mod ec;
mod errors;
mod export;
mod header;
mod import;
mod keyless;
mod oasis;
mod objects;
mod parts;
mod pending;
mod re_certify;
mod re_key;
mod rsa;
mod split;
mod undo;
mod validate;
mod versioned;
mod wrap;

use custody::key_table::Stop;
use kmip::{
    Attribute, AttributeValue, CryptographicParameters, KeyBlock, KeyMaterial, ManagedObject, ProtocolVersion,
    ResultReason, RevocationReason, SecretData, SymmetricKey, TemplateAttribute, client,
    message::{AnswerMessage, RequestHeader},
    ops::{self, Answer, Request},
    tables::{
        BatchErrorContinuation, BlockCipherMode, CryptographicAlgorithm, KeyFormatType, ObjectGroupMember, ObjectType,
        PaddingMethod, QueryFunction, RevocationReasonCode, SecretDataType, StandardAttribute,
    },
    ttlv::{self, DateTime},
};

use crate::{
    caller::tests::{caller_of, tenant},
    dispatch::RESPONSE_BYTES_MAX,
    rig::{Rig, START_S, V1_0, V1_2, V1_4},
};

fn template(list: &[(StandardAttribute, AttributeValue)]) -> TemplateAttribute {
    let attributes = list.iter().map(|(name, value)| Attribute::new(*name, value.clone())).collect();
    TemplateAttribute { template_names: vec![], attributes }
}

fn create_with(extra: &[(StandardAttribute, AttributeValue)]) -> Request<'static> {
    let mut list = vec![
        (StandardAttribute::CryptographicAlgorithm, AttributeValue::Enumeration(CryptographicAlgorithm::Aes.code())),
        (StandardAttribute::CryptographicLength, AttributeValue::Integer(256)),
        (StandardAttribute::CryptographicUsageMask, AttributeValue::Integer(12)),
    ];
    list.extend_from_slice(extra);
    Request::Create(ops::create::Request { object_type: ObjectType::SymmetricKey, template_attribute: template(&list) })
}

fn create() -> Request<'static> {
    create_with(&[])
}

fn block(format: KeyFormatType, bytes: Vec<u8>, algorithm: Option<CryptographicAlgorithm>) -> KeyBlock {
    KeyBlock { cryptographic_algorithm: algorithm, ..KeyBlock::new(format, KeyMaterial::new(bytes)) }
}

fn register_seed(bytes: Vec<u8>) -> Request<'static> {
    let seed =
        SecretData { secret_data_type: SecretDataType::Seed, key_block: block(KeyFormatType::Opaque, bytes, None) };
    let mask = template(&[(StandardAttribute::CryptographicUsageMask, AttributeValue::Integer(0))]);
    Request::Register(ops::register::Request::of(ManagedObject::SecretData(seed), mask))
}

fn register_key(bytes: Vec<u8>) -> Request<'static> {
    let key = SymmetricKey { key_block: block(KeyFormatType::Raw, bytes, Some(CryptographicAlgorithm::Aes)) };
    let mask = template(&[(StandardAttribute::CryptographicUsageMask, AttributeValue::Integer(12))]);
    Request::Register(ops::register::Request::of(ManagedObject::SymmetricKey(key), mask))
}

fn activate(id: Option<&str>) -> Request<'_> {
    Request::Activate(ops::activate::Request { unique_identifier: id })
}

fn get(id: &str) -> Request<'_> {
    Request::Get(ops::get::Request::of(id))
}

fn state_of(id: &str) -> Request<'_> {
    Request::GetAttributes(ops::get_attributes::Request { unique_identifier: Some(id), attribute_names: vec!["State"] })
}

fn destroy(id: &str) -> Request<'_> {
    Request::Destroy(ops::destroy::Request { unique_identifier: Some(id) })
}

fn revoke(id: &str, code: RevocationReasonCode) -> Request<'_> {
    let revocation_reason = RevocationReason { code, message: Some("test".to_owned()) };
    Request::Revoke(ops::revoke::Request {
        unique_identifier: Some(id),
        revocation_reason,
        compromise_occurrence_date: None,
    })
}

fn cbc(random_iv: Option<bool>) -> CryptographicParameters {
    CryptographicParameters {
        block_cipher_mode: Some(BlockCipherMode::Cbc),
        padding_method: Some(PaddingMethod::Pkcs5),
        cryptographic_algorithm: Some(CryptographicAlgorithm::Aes),
        random_iv,
        ..CryptographicParameters::default()
    }
}

fn gcm() -> CryptographicParameters {
    CryptographicParameters { block_cipher_mode: Some(BlockCipherMode::Gcm), ..CryptographicParameters::default() }
}

fn encrypt<'a>(id: &'a str, parameters: CryptographicParameters, data: &'a [u8]) -> Request<'a> {
    Request::Encrypt(ops::encrypt::Request {
        unique_identifier: Some(id),
        cryptographic_parameters: Some(parameters),
        data: Some(data),
        iv_counter_nonce: None,
        correlation_value: None,
        init_indicator: None,
        final_indicator: None,
        additional_data: None,
    })
}

fn decrypt<'a>(
    id: &'a str,
    parameters: CryptographicParameters,
    data: &'a [u8],
    iv: &'a [u8],
    tag: Option<&'a [u8]>,
) -> Request<'a> {
    Request::Decrypt(ops::decrypt::Request {
        unique_identifier: Some(id),
        cryptographic_parameters: Some(parameters),
        data: Some(data),
        iv_counter_nonce: Some(iv),
        correlation_value: None,
        init_indicator: None,
        final_indicator: None,
        additional_data: None,
        authentication_tag: tag,
    })
}

async fn active_key(rig: &Rig) -> String {
    let id = rig.does(&create()).await.unwrap().id();
    rig.does(&activate(Some(&id))).await.unwrap();
    id
}

async fn state(rig: &Rig, id: &str) -> kmip::State {
    let got = rig.does(&state_of(id)).await.unwrap();
    let Answer::GetAttributes(answer) = got.answer() else { panic!("another answer") };
    match answer.attributes.as_slice() {
        [Attribute { value: AttributeValue::Enumeration(code), .. }] => kmip::State::from_code(*code).unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn libmongocrypt_keeps_a_key_here() {
    let rig = Rig::new().await;
    let seed: Vec<u8> = (0..96).collect();
    let id = rig.call(&rig.caller, V1_0, &register_seed(seed.clone())).await.unwrap().id();
    assert_eq!(rig.call(&rig.caller, V1_0, &activate(Some(&id))).await.unwrap().id(), id);
    let got = rig.call(&rig.caller, V1_0, &get(&id)).await.unwrap();
    let Answer::Get(answer) = got.answer() else { panic!("another answer") };
    assert_eq!(answer.object_type, ObjectType::SecretData);
    let secret = answer.secret_data.unwrap();
    assert_eq!(secret.secret_data_type, SecretDataType::Seed);
    assert_eq!(secret.key_block.key_format_type, KeyFormatType::Opaque);
    assert_eq!(secret.key_block.material.expose(), seed);
}

#[tokio::test]
async fn libmongocrypt_lets_the_server_encrypt() {
    let rig = Rig::new().await;
    let id = rig.call(&rig.caller, V1_2, &create()).await.unwrap().id();
    rig.call(&rig.caller, V1_0, &activate(Some(&id))).await.unwrap();
    let plain = [5; 96];
    let got = rig.call(&rig.caller, V1_2, &encrypt(&id, cbc(Some(true)), &plain)).await.unwrap();
    let Answer::Encrypt(sealed) = got.answer() else { panic!("another answer") };
    let (data, iv) = (sealed.data.unwrap(), sealed.iv_counter_nonce.unwrap());
    assert_eq!((data.len(), iv.len()), (112, 16));
    let got = rig.call(&rig.caller, V1_2, &decrypt(&id, cbc(None), data, iv, None)).await.unwrap();
    let Answer::Decrypt(opened) = got.answer() else { panic!("another answer") };
    assert_eq!(opened.data.unwrap(), plain);
    let failed = rig.call(&rig.caller, V1_2, &decrypt(&id, cbc(None), &data[..100], iv, None)).await;
    assert_eq!(failed.err().map(|failure| failure.reason), Some(ResultReason::CryptographicFailure));
}

fn psmdb(request: &Request<'_>) -> Vec<u8> {
    let header = RequestHeader {
        maximum_response_size: Some(8192),
        time_stamp: Some(DateTime(START_S)),
        ..RequestHeader::of(V1_0)
    };
    client::batch(header, std::slice::from_ref(request))
}

#[tokio::test]
async fn percona_server_keeps_its_master_key_here() {
    let rig = Rig::new().await;
    let ask = async |request: &Request<'_>| {
        let frame = rig.ask(&rig.caller, &psmdb(request)).await;
        let answer = client::read_one(&frame, V1_0, request.operation()).unwrap();
        answer.map(|_| ()).map_err(|failure| failure.reason).map(|()| frame)
    };
    let frame = ask(&register_key(vec![3; 32])).await.unwrap();
    let Ok(Answer::Register(answer)) = client::read_one(&frame, V1_0, kmip::Operation::Register).unwrap() else {
        panic!("another answer")
    };
    let id = answer.unique_identifier.to_owned();
    ask(&activate(Some(&id))).await.unwrap();
    assert_eq!(state(&rig, &id).await, kmip::State::Active);
    let frame = ask(&get(&id)).await.unwrap();
    let Ok(Answer::Get(answer)) = client::read_one(&frame, V1_0, kmip::Operation::Get).unwrap() else {
        panic!("another answer")
    };
    let block = answer.symmetric_key.unwrap().key_block;
    assert_eq!((block.material.expose(), block.cryptographic_length), (&[3; 32][..], Some(256)));
    // Exactly Item Not Found tells it that there is no such key; anything else, that the server is broken.
    for unknown in ["1", "", "0b0e9c8a-0000-4000-8000-000000000000", "x\"y"] {
        assert_eq!(ask(&get(unknown)).await, Err(ResultReason::ItemNotFound), "{unknown}");
        assert_eq!(ask(&state_of(unknown)).await, Err(ResultReason::ItemNotFound), "{unknown}");
    }
}

/// Its ciphertext stood in the answer before the limits were asked.
#[tokio::test]
async fn what_a_key_may_encrypt_no_more_leaves_nothing_in_the_answer() {
    let rig = Rig::new().await;
    let limits = kmip::UsageLimits {
        total: ttlv::LongInteger(2),
        count: None,
        unit: ttlv::Enumeration(kmip::tables::UsageLimitsUnit::Object.code()),
    };
    let limited = [
        (StandardAttribute::ActivationDate, AttributeValue::DateTime(START_S - 3600)),
        (StandardAttribute::UsageLimits, AttributeValue::UsageLimits(limits)),
    ];
    let id = rig.does(&create_with(&limited)).await.unwrap().id();
    let three = [(); 3].map(|()| encrypt(&id, gcm(), b"plain"));
    assert_eq!(rig.batch(RequestHeader::of(V1_4), &three).await, [None, None, Some(ResultReason::PermissionDenied)]);
}

#[tokio::test]
async fn gcm_with_the_tag_in_its_field_or_behind_the_data() {
    let rig = Rig::new().await;
    let id = active_key(&rig).await;
    for version in [V1_2, V1_4] {
        let got = rig.call(&rig.caller, version, &encrypt(&id, gcm(), b"plain")).await.unwrap();
        let Answer::Encrypt(sealed) = got.answer() else { panic!("another answer") };
        let (data, iv) = (sealed.data.unwrap(), sealed.iv_counter_nonce.unwrap());
        assert_eq!(sealed.authentication_tag.is_some(), version == V1_4);
        assert_eq!((data.len(), iv.len()), (if version == V1_4 { 5 } else { 21 }, 12));
        let open = decrypt(&id, gcm(), data, iv, sealed.authentication_tag);
        let got = rig.call(&rig.caller, version, &open).await.unwrap();
        let Answer::Decrypt(opened) = got.answer() else { panic!("another answer") };
        assert_eq!(opened.data.unwrap(), b"plain");
        let mut forged = data.to_vec();
        forged[0] ^= 1;
        let failed = rig.call(&rig.caller, version, &decrypt(&id, gcm(), &forged, iv, sealed.authentication_tag)).await;
        assert_eq!(failed.err().map(|failure| failure.reason), Some(ResultReason::CryptographicFailure));
    }
    let Request::Encrypt(with_iv) = encrypt(&id, gcm(), b"plain") else { panic!("another request") };
    let with_iv = Request::Encrypt(ops::encrypt::Request { iv_counter_nonce: Some(&[1; 12]), ..with_iv });
    let got = rig.does(&with_iv).await.unwrap();
    let Answer::Encrypt(sealed) = got.answer() else { panic!("another answer") };
    assert_eq!(sealed.iv_counter_nonce, None, "the client has it");
}

#[tokio::test]
async fn a_key_lives_as_the_specification_says() {
    use kmip::State;
    let rig = Rig::new().await;
    let id = rig.does(&create()).await.unwrap().id();
    let denied = Some(ResultReason::PermissionDenied);
    assert_eq!(state(&rig, &id).await, State::PreActive);
    assert_eq!(rig.reason(&encrypt(&id, gcm(), b"x")).await, denied, "not active yet");
    assert_eq!(rig.reason(&revoke(&id, RevocationReasonCode::Superseded)).await, Some(ResultReason::IllegalOperation));
    rig.does(&activate(Some(&id))).await.unwrap();
    assert_eq!(rig.reason(&activate(Some(&id))).await, denied, "active already");
    assert_eq!(rig.reason(&destroy(&id)).await, denied, "active");
    let got = rig.does(&encrypt(&id, gcm(), b"x")).await.unwrap();
    let Answer::Encrypt(sealed) = got.answer() else { panic!("another answer") };
    rig.does(&revoke(&id, RevocationReasonCode::CessationOfOperation)).await.unwrap();
    assert_eq!(state(&rig, &id).await, State::Deactivated);
    assert_eq!(rig.reason(&encrypt(&id, gcm(), b"x")).await, denied, "deactivated");
    let open = decrypt(&id, gcm(), sealed.data.unwrap(), sealed.iv_counter_nonce.unwrap(), sealed.authentication_tag);
    assert_eq!(rig.reason(&open).await, None, "what it protected is still opened");
    assert_eq!(rig.reason(&get(&id)).await, None);
    rig.does(&destroy(&id)).await.unwrap();
    assert_eq!(state(&rig, &id).await, State::Destroyed, "the attributes stay");
    assert_eq!(rig.reason(&get(&id)).await, Some(ResultReason::ItemNotFound));
    assert_eq!(rig.reason(&destroy(&id)).await, denied, "destroyed already");
    assert!(rig.reason(&open).await.is_some());
    rig.does(&revoke(&id, RevocationReasonCode::KeyCompromise)).await.unwrap();
    assert_eq!(state(&rig, &id).await, State::DestroyedCompromised);
}

#[tokio::test]
async fn dates_are_the_server_s_clock_s() {
    let rig = Rig::new().await;
    let date = |name, seconds: i64| (name, AttributeValue::DateTime(START_S + seconds));
    let past = create_with(&[date(StandardAttribute::ActivationDate, -3_600)]);
    let id = rig.does(&past).await.unwrap().id();
    assert_eq!(state(&rig, &id).await, kmip::State::Active);
    let window = [date(StandardAttribute::ActivationDate, 100), date(StandardAttribute::DeactivationDate, 200)];
    let id = rig.does(&create_with(&window)).await.unwrap().id();
    assert_eq!(state(&rig, &id).await, kmip::State::PreActive);
    rig.clock.forward_s(100);
    assert_eq!(state(&rig, &id).await, kmip::State::Active);
    assert_eq!(rig.reason(&encrypt(&id, gcm(), b"x")).await, None);
    rig.clock.forward_s(100);
    assert_eq!(state(&rig, &id).await, kmip::State::Deactivated);
    assert_eq!(rig.reason(&encrypt(&id, gcm(), b"x")).await, Some(ResultReason::PermissionDenied));
    let frame = rig.ask(&rig.caller, &client::request(V1_0, &get(&id))).await;
    let message = AnswerMessage::read(&frame, V1_0, &ttlv::Limits::ANSWER).unwrap();
    assert_eq!(message.header.time_stamp, DateTime(START_S + 200));
}

#[tokio::test]
async fn nobody_sees_the_objects_of_others() {
    let rig = Rig::new().await;
    let id = active_key(&rig).await;
    for other in [caller_of(tenant(1), "ledger"), caller_of(tenant(2), "orders")] {
        for request in [get(&id), state_of(&id), encrypt(&id, gcm(), b"x"), destroy(&id), activate(Some(&id))] {
            let absent = get("0b0e9c8a-0000-4000-8000-000000000000");
            let foreign = rig.call(&other, V1_4, &request).await.unwrap_err();
            assert_eq!(foreign.reason, ResultReason::ItemNotFound, "{}", request.operation());
            assert_eq!(foreign, rig.call(&other, V1_4, &absent).await.unwrap_err(), "the two cannot be told apart");
        }
        let everything = Request::Locate(ops::locate::Request::of(vec![]));
        let got = rig.call(&other, V1_4, &everything).await.unwrap();
        let Answer::Locate(located) = got.answer() else { panic!("another answer") };
        assert_eq!((located.located_items, located.unique_identifiers.len()), (None, 0));
    }
}

#[tokio::test]
async fn names_are_unique_while_their_object_lives() {
    let rig = Rig::new().await;
    let named = || create_with(&[(StandardAttribute::Name, AttributeValue::name("master"))]);
    let id = rig.does(&named()).await.unwrap().id();
    assert_eq!(rig.reason(&named()).await, Some(ResultReason::InvalidField));
    assert!(
        rig.call(&caller_of(tenant(2), "orders"), V1_4, &named()).await.is_ok(),
        "another tenant's names are its own"
    );
    rig.does(&destroy(&id)).await.unwrap();
    let again = rig.does(&named()).await.unwrap().id();
    let by_name = vec![Attribute::new(StandardAttribute::Name, AttributeValue::name("master"))];
    let got = rig.call(&rig.caller, V1_0, &Request::Locate(ops::locate::Request::of(by_name))).await.unwrap();
    let Answer::Locate(located) = got.answer() else { panic!("another answer") };
    assert_eq!((located.located_items, located.unique_identifiers), (None, vec![again.as_str()]));
}

#[tokio::test]
async fn locate_counts_skips_and_stops() {
    let rig = Rig::new().await;
    let mut made = vec![];
    for _ in 0..5 {
        made.push(rig.does(&create()).await.unwrap().id());
        rig.clock.forward_s(1);
    }
    made.reverse();
    let all = || ops::locate::Request::of(vec![]);
    let ask = async |request: ops::locate::Request| {
        let got = rig.does(&Request::Locate(request)).await.unwrap();
        let Answer::Locate(located) = got.answer() else { panic!("another answer") };
        (located.located_items, located.unique_identifiers.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    assert_eq!(ask(all()).await, (None, made.clone()), "who asks for all of them counts what comes");
    let some = ops::locate::Request { maximum_items: Some(2), offset_items: Some(1), ..all() };
    assert_eq!(ask(some).await, (Some(5), made[1..3].to_vec()));
    let archived = ops::locate::Request { storage_status_mask: Some(2), ..all() };
    assert_eq!(ask(archived).await, (None, vec![]));
    let negative = ops::locate::Request { maximum_items: Some(-1), ..all() };
    assert_eq!(rig.reason(&Request::Locate(negative)).await, Some(ResultReason::InvalidField));
}

#[tokio::test]
async fn a_group_has_one_default_member() {
    let rig = Rig::new().await;
    let group = (StandardAttribute::ObjectGroup, AttributeValue::Text("group".to_owned()));
    let mut made = vec![];
    for _ in 0..3 {
        made.push(rig.does(&create_with(std::slice::from_ref(&group))).await.unwrap().id());
        rig.clock.forward_s(1);
    }
    for id in &made[..2] {
        rig.does(&activate(Some(id))).await.unwrap();
    }
    let default = |offset_items| ops::locate::Request {
        offset_items,
        object_group_member: Some(ObjectGroupMember::GroupMemberDefault),
        ..ops::locate::Request::of(template(std::slice::from_ref(&group)).attributes)
    };
    for (offset, expected) in [(None, vec![made[1].as_str()]), (Some(1), vec![])] {
        let got = rig.does(&Request::Locate(default(offset))).await.unwrap();
        let Answer::Locate(located) = got.answer() else { panic!("another answer") };
        assert_eq!(located.unique_identifiers, expected);
        assert_eq!(located.located_items, offset.map(|_| 1));
    }
}

#[tokio::test]
async fn an_id_stands_for_what_the_batch_made() {
    let rig = Rig::new().await;
    let header = || RequestHeader { batch_order: Some(true), ..RequestHeader::of(V1_4) };
    let no_id = || Request::Get(ops::get::Request { unique_identifier: None, ..ops::get::Request::of("") });
    assert_eq!(rig.batch(header(), &[create(), activate(None), no_id()]).await, [None, None, None]);
    assert_eq!(rig.batch(header(), &[no_id()]).await, [Some(ResultReason::ItemNotFound)], "it ends with the batch");
    let one = Request::Locate(ops::locate::Request { maximum_items: Some(1), ..ops::locate::Request::of(vec![]) });
    assert_eq!(rig.batch(header(), &[one, no_id()]).await, [None, None]);
    let frame = rig.ask(&rig.caller, &client::batch(header(), &[create(), create()])).await;
    let message = AnswerMessage::read(&frame, V1_4, &ttlv::Limits::ANSWER).unwrap();
    let ids: Vec<_> = message.items.iter().map(|item| item.unique_batch_item_id).collect();
    assert_eq!(ids, [Some(&[0, 0, 0, 1][..]), Some(&[0, 0, 0, 2][..])]);
}

#[tokio::test]
async fn an_answer_is_never_larger_than_the_server_s_own_limit() {
    let rig = Rig::new().await;
    // 60 KB of attributes, near the most that an object may have.
    let comment = "c".repeat(60_000);
    let id = rig.does(&create_with(&[(StandardAttribute::Comment, AttributeValue::Text(comment))])).await.unwrap().id();
    let all = || {
        Request::GetAttributes(ops::get_attributes::Request { unique_identifier: Some(&id), attribute_names: vec![] })
    };
    let requests: Vec<_> = (0..64).map(|_| all()).collect();
    let continuation = Some(BatchErrorContinuation::Continue);
    for asked in [None, Some(i32::MAX)] {
        let header = || RequestHeader {
            maximum_response_size: asked,
            batch_error_continuation: continuation,
            ..RequestHeader::of(V1_4)
        };
        let frame = rig.ask(&rig.caller, &client::batch(header(), &requests)).await;
        let failures_bytes_max = 64 * 512;
        assert!(frame.len() <= RESPONSE_BYTES_MAX + failures_bytes_max, "{asked:?}: {} bytes", frame.len());
        let outcomes = rig.batch(header(), &requests).await;
        assert_eq!(outcomes.iter().filter(|outcome| outcome.is_none()).count(), 34, "{asked:?}: what fits is answered");
        assert!(outcomes.iter().all(|outcome| matches!(outcome, None | Some(ResultReason::ResponseTooLarge))));
    }
}

#[tokio::test]
async fn the_longest_request_can_be_answered() {
    let rig = Rig::new().await;
    let id = active_key(&rig).await;
    let data = vec![7; ttlv::MESSAGE_BYTES_MAX - 1_024];
    assert_eq!(rig.reason(&encrypt(&id, gcm(), &data)).await, None);
}

#[tokio::test]
async fn nothing_is_changed_if_its_answer_cannot_be_sent() {
    let rig = Rig::new().await;
    let id = rig.does(&create()).await.unwrap().id();
    let tight = || RequestHeader { maximum_response_size: Some(128), ..RequestHeader::of(V1_4) };
    let too_large = Some(ResultReason::ResponseTooLarge);
    for request in [activate(Some(&id)), revoke(&id, RevocationReasonCode::KeyCompromise), destroy(&id), create()] {
        assert_eq!(rig.batch(tight(), std::slice::from_ref(&request)).await, [too_large], "{}", request.operation());
    }
    assert_eq!(rig.batch(tight(), &[register_key(vec![3; 32])]).await, [too_large]);
    assert_eq!(state(&rig, &id).await, kmip::State::PreActive, "neither activated nor revoked nor destroyed");
    let got = rig.does(&Request::Locate(ops::locate::Request::of(vec![]))).await.unwrap();
    let Answer::Locate(located) = got.answer() else { panic!("another answer") };
    assert_eq!(located.unique_identifiers, [id.as_str()], "nothing new");
}

#[tokio::test]
async fn stops_answer_as_the_design_fixes() {
    let rig = Rig::new().await;
    let id = active_key(&rig).await;
    let got = rig.does(&encrypt(&id, gcm(), b"x")).await.unwrap();
    let Answer::Encrypt(sealed) = got.answer() else { panic!("another answer") };
    let open =
        || decrypt(&id, gcm(), sealed.data.unwrap(), sealed.iv_counter_nonce.unwrap(), sealed.authentication_tag);
    let denied = Some(ResultReason::PermissionDenied);

    rig.table.fence(&tenant(1), Stop::Suspended);
    assert_eq!(rig.reason(&open()).await, None, "suspended: stored data can be decrypted");
    assert_eq!(rig.reason(&get(&id)).await, None);
    for protecting in [encrypt(&id, gcm(), b"x"), create(), register_seed(vec![1]), activate(Some(&id))] {
        assert_eq!(rig.reason(&protecting).await, denied, "{}", protecting.operation());
    }
    rig.table.lift(&tenant(1), Stop::Suspended);

    for (stop, reason) in [
        (Stop::L1Stop, ResultReason::PermissionDenied),
        (Stop::Blocked, ResultReason::PermissionDenied),
        (Stop::L1Away, ResultReason::GeneralFailure),
        (Stop::LeaseOver, ResultReason::GeneralFailure),
        (Stop::Sealed, ResultReason::GeneralFailure),
        (Stop::Killed, ResultReason::ItemNotFound),
    ] {
        rig.table.fence(&tenant(1), stop);
        let query = Request::Query(ops::query::Request { functions: vec![QueryFunction::QueryOperations] });
        let locate = Request::Locate(ops::locate::Request::of(vec![]));
        for request in
            [open(), get(&id), state_of(&id), encrypt(&id, gcm(), b"x"), create(), destroy(&id), query, locate]
        {
            assert_eq!(rig.reason(&request).await, Some(reason), "{stop:?} {}", request.operation());
        }
        assert!(
            rig.call(&caller_of(tenant(2), "orders"), V1_4, &create()).await.is_ok(),
            "another tenant is untouched"
        );
        rig.table.lift(&tenant(1), stop);
    }
    assert_eq!(rig.reason(&open()).await, None);
}

#[tokio::test]
async fn a_key_that_left_the_table_is_warmed_again() {
    let rig = Rig::new().await;
    let id = active_key(&rig).await;
    let drained = rig.table.kill(&tenant(1), Stop::L1Stop).unwrap();
    assert!(drained.keys() > 0);
    rig.table.lift(&tenant(1), Stop::L1Stop);
    assert_eq!(rig.table.keys_of(&tenant(1)), 0);
    assert_eq!(rig.reason(&encrypt(&id, gcm(), b"x")).await, None);
    assert_eq!(rig.reason(&get(&id)).await, None);
}

#[tokio::test]
async fn without_policy_nothing_is_permitted() {
    let rig = Rig::new().await;
    let id = active_key(&rig).await;
    rig.policies.remove(&tenant(1));
    for request in [
        create(),
        get(&id),
        state_of(&id),
        encrypt(&id, gcm(), b"x"),
        Request::Locate(ops::locate::Request::of(vec![])),
    ] {
        assert_eq!(rig.reason(&request).await, Some(ResultReason::PermissionDenied), "{}", request.operation());
    }
}

#[tokio::test]
async fn every_operation_leaves_a_record() {
    let rig = Rig::new().await;
    let id = active_key(&rig).await;
    rig.does(&get(&id)).await.unwrap();
    rig.does(&get("1")).await.unwrap_err();
    rig.ask(&rig.caller, b"no message").await;
    let (summary, text) = rig.audit().await;
    assert_eq!((summary.records, summary.unsealed), (5, 0));
    let records: Vec<&str> = text.lines().filter(|line| !line.starts_with("{\"seal\"")).collect();
    let tenant = tenant(1);
    let start = format!(r#"{{"t":{START_S}000,"tenant":"{tenant}","client":"client","system":"orders","op":"#);
    let ends = [
        format!(r#""Create","key":"{id}","outcome":"Success","epoch":7}}"#),
        format!(r#""Activate","key":"{id}","outcome":"Success","epoch":7}}"#),
        format!(r#""Get","key":"{id}","outcome":"Success","epoch":7}}"#),
        r#""Get","key":"1","outcome":"Item Not Found","epoch":7}"#.to_owned(),
        r#""unknown","key":"","outcome":"Invalid Message","epoch":7}"#.to_owned(),
    ];
    for (record, end) in records.iter().zip(ends) {
        assert_eq!(*record, format!("{start}{end}"));
    }
}

#[tokio::test]
async fn attributes_are_listed_and_given_by_name() {
    let rig = Rig::new().await;
    let id = active_key(&rig).await;
    let list = Request::GetAttributeList(ops::get_attribute_list::Request { unique_identifier: Some(&id) });
    let got = rig.call(&rig.caller, V1_0, &list).await.unwrap();
    let Answer::GetAttributeList(answer) = got.answer() else { panic!("another answer") };
    assert!(answer.attribute_names.contains(&"State") && !answer.attribute_names.contains(&"Sensitive"));
    let ask = |names: Vec<&'static str>| ops::get_attributes::Request {
        unique_identifier: Some(&id),
        attribute_names: names,
    };
    let got = rig.does(&Request::GetAttributes(ask(vec!["x-Product_Version", "State", "Object Type"]))).await.unwrap();
    let Answer::GetAttributes(answer) = got.answer() else { panic!("another answer") };
    let names: Vec<&str> = answer.attributes.iter().map(|attribute| attribute.name.as_str()).collect();
    assert_eq!(names, ["State", "Object Type"], "a missing one is left out, the others come as asked");
    let twice = Request::GetAttributes(ask(vec!["State", "State"]));
    assert_eq!(rig.reason(&twice).await, Some(ResultReason::InvalidMessage));
}

#[tokio::test]
async fn what_the_server_can_do_is_told_in_the_asker_s_version() {
    let rig = Rig::new().await;
    let versions = Request::DiscoverVersions(ops::discover_versions::Request { protocol_versions: vec![] });
    let got = rig.call(&rig.caller, ProtocolVersion::V1_1, &versions).await.unwrap();
    let Answer::DiscoverVersions(answer) = got.answer() else { panic!("another answer") };
    assert_eq!(answer.protocol_versions, ProtocolVersion::SERVED);
    let too_early = rig.call(&rig.caller, V1_0, &versions).await.unwrap_err();
    assert_eq!(too_early.reason, ResultReason::OperationNotSupported);
    let query = |functions: &[QueryFunction]| Request::Query(ops::query::Request { functions: functions.to_vec() });
    let got = rig.does(&query(QueryFunction::ALL)).await.unwrap();
    let Answer::Query(answer) = got.answer() else { panic!("another answer") };
    assert_eq!(answer.operations.len(), ops::SERVED.len());
    assert!(answer.vendor_identification.is_some() && answer.capability_information.len() == 1);
    let failed = rig.call(&rig.caller, V1_2, &query(&[QueryFunction::QueryProfiles])).await.unwrap_err();
    assert_eq!(failed.reason, ResultReason::InvalidField);
    assert_eq!(rig.reason(&query(&[])).await, Some(ResultReason::InvalidMessage));
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_its_reason() {
    let rig = Rig::new().await;
    let id = active_key(&rig).await;
    let secret = rig.does(&register_seed(vec![1; 8])).await.unwrap().id();
    rig.does(&activate(Some(&secret))).await.unwrap();
    let Request::Get(plain) = get(&id) else { panic!("another request") };
    let as_pkcs8 = Request::Get(ops::get::Request { key_format_type: Some(KeyFormatType::Pkcs8), ..plain });
    assert_eq!(rig.reason(&as_pkcs8).await, Some(ResultReason::KeyFormatTypeNotSupported));
    assert_eq!(
        rig.reason(&encrypt(&secret, gcm(), b"x")).await,
        Some(ResultReason::PermissionDenied),
        "a seed is no key"
    );
    let public = Request::Create(ops::create::Request {
        object_type: ObjectType::PublicKey,
        template_attribute: TemplateAttribute::default(),
    });
    assert_eq!(rig.reason(&public).await, Some(ResultReason::InvalidField));
    assert_eq!(rig.reason(&register_key(vec![])).await, Some(ResultReason::InvalidField));
    assert_eq!(
        rig.reason(&register_seed(vec![1; 1 << 19])).await,
        Some(ResultReason::InvalidField),
        "longer than a slot"
    );
    let kept = create_with(&[(StandardAttribute::Extractable, AttributeValue::Boolean(false))]);
    let kept = rig.does(&kept).await.unwrap().id();
    assert_eq!(rig.reason(&get(&kept)).await, Some(ResultReason::NotExtractable));
    let old = rig.call(&rig.caller, V1_2, &get(&kept)).await.unwrap_err();
    assert_eq!(old.reason, ResultReason::PermissionDenied, "1.2 has no Not Extractable");
}
