//! What the server tells of an object and counts of its use: Digest, Fresh, generator, lease, limits.

use kmip::{
    Attribute, AttributeValue, CryptographicParameters, KeyBlock, KeyMaterial, ManagedObject, ResultReason,
    RngParameters, SecretData, SymmetricKey, TemplateAttribute, UsageLimits, client,
    message::{AnswerMessage, RequestHeader},
    ops::{self, Answer, Request},
    tables::{
        BlockCipherMode, CryptographicAlgorithm, HashingAlgorithm, KeyFormatType, SecretDataType, StandardAttribute,
    },
    ttlv::{self, DateTime, Enumeration, Interval, LongInteger},
};

use super::{
    served::{add, attributes, create, date, delete, modify, named},
    standard,
};
use crate::rig::{Rig, START_S, V1_4};

fn limits(total: i64, unit: u32) -> Attribute {
    let limits = UsageLimits { total: LongInteger(total), count: None, unit: Enumeration(unit) };
    standard(StandardAttribute::UsageLimits, AttributeValue::UsageLimits(limits))
}

fn encrypt<'a>(id: &'a str, data: &'a [u8]) -> Request<'a> {
    let parameters =
        CryptographicParameters { block_cipher_mode: Some(BlockCipherMode::Gcm), ..CryptographicParameters::default() };
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

fn allocate(id: &str, units: i64) -> Request<'_> {
    Request::GetUsageAllocation(ops::get_usage_allocation::Request {
        unique_identifier: Some(id),
        usage_limits_count: LongInteger(units),
    })
}

fn lease(id: &str) -> Request<'_> {
    Request::ObtainLease(ops::obtain_lease::Request { unique_identifier: Some(id) })
}

fn check(id: &str) -> ops::check::Request<'_> {
    ops::check::Request {
        unique_identifier: Some(id),
        usage_limits_count: None,
        cryptographic_usage_mask: None,
        lease_time: None,
    }
}

fn register(object: ManagedObject) -> Request<'static> {
    Request::Register(ops::register::Request::of(object, TemplateAttribute::default()))
}

fn block(format: KeyFormatType, algorithm: Option<CryptographicAlgorithm>) -> KeyBlock {
    KeyBlock { cryptographic_algorithm: algorithm, ..KeyBlock::new(format, KeyMaterial::new((0..32).collect())) }
}

async fn value(rig: &Rig, id: &str, name: &str) -> Option<AttributeValue> {
    attributes(rig, id, &[name]).await.pop().map(|attribute| attribute.value)
}

#[tokio::test]
async fn a_key_tells_its_digest_and_a_password_does_not() {
    let rig = Rig::new().await;
    let aes = Some(CryptographicAlgorithm::Aes);
    let key = register(ManagedObject::SymmetricKey(SymmetricKey { key_block: block(KeyFormatType::Raw, aes) }));
    let key = rig.does(&key).await.unwrap().id();
    let Some(AttributeValue::Digest(digest)) = value(&rig, &key, "Digest").await else { panic!("no digest") };
    assert_eq!((digest.algorithm, digest.key_format_type), (HashingAlgorithm::Sha256, Some(KeyFormatType::Raw)));
    let expected = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &(0..32).collect::<Vec<u8>>());
    assert_eq!(digest.value.as_deref(), Some(expected.as_ref()));
    let secret =
        SecretData { secret_data_type: SecretDataType::Password, key_block: block(KeyFormatType::Opaque, None) };
    let secret = rig.does(&register(ManagedObject::SecretData(secret))).await.unwrap().id();
    assert_eq!(value(&rig, &secret, "Digest").await, None);
}

#[tokio::test]
async fn an_object_is_fresh_until_it_is_served() {
    let rig = Rig::new().await;
    let id = rig.does(&create(vec![])).await.unwrap().id();
    let fresh = || value(&rig, &id, "Fresh");
    assert_eq!(fresh().await, Some(AttributeValue::Boolean(true)));
    let get = Request::Get(ops::get::Request::of(&id));
    rig.clock.forward_s(5);
    rig.does(&get).await.unwrap();
    assert_eq!(fresh().await, Some(AttributeValue::Boolean(false)));
    rig.does(&get).await.unwrap();
    let changed = date(StandardAttribute::LastChangeDate, 0).value;
    assert_eq!(value(&rig, &id, "Last Change Date").await, Some(changed), "to be served is no change");
    let used = standard(StandardAttribute::Fresh, AttributeValue::Boolean(false));
    let id = rig.does(&create(vec![used])).await.unwrap().id();
    assert_eq!(value(&rig, &id, "Fresh").await, Some(AttributeValue::Boolean(false)), "its creator may say so");
}

#[tokio::test]
async fn the_generator_is_named_and_another_is_not_pretended() {
    let rig = Rig::new().await;
    let id = rig.does(&create(vec![])).await.unwrap().id();
    let rng = |algorithm| {
        let parameters = RngParameters {
            rng_algorithm: Enumeration(algorithm),
            cryptographic_algorithm: None,
            cryptographic_length: None,
            hashing_algorithm: None,
            drbg_algorithm: None,
            recommended_curve: None,
            fips186_variation: None,
            prediction_resistance: None,
        };
        standard(StandardAttribute::RandomNumberGenerator, AttributeValue::RandomNumberGenerator(parameters))
    };
    assert_eq!(attributes(&rig, &id, &["Random Number Generator"]).await, [rng(1)]);
    assert_eq!(rig.reason(&create(vec![rng(5)])).await, Some(ResultReason::InvalidField), "ANSI X9.31 is not here");
    assert_eq!(rig.reason(&create(vec![rng(1)])).await, None);
    let aes = Some(CryptographicAlgorithm::Aes);
    let key = register(ManagedObject::SymmetricKey(SymmetricKey { key_block: block(KeyFormatType::Raw, aes) }));
    let key = rig.does(&key).await.unwrap().id();
    assert_eq!(named(&rig, &add(&key, rng(5))).await, Ok(rng(5)), "who brought a key may say later what drew it");
    assert_eq!(named(&rig, &add(&key, rng(1))).await, Err(ResultReason::IllegalOperation), "once");
}

/// CS-BC-M-7, and what Get Usage Allocation takes.
#[tokio::test]
async fn a_limited_key_protects_so_much_and_no_more() {
    let rig = Rig::new().await;
    let active = || date(StandardAttribute::ActivationDate, -1);
    let id = rig.does(&create(vec![active(), limits(20, 1)])).await.unwrap().id();
    let left = async || match value(&rig, &id, "Usage Limits").await {
        Some(AttributeValue::UsageLimits(limits)) => (limits.total.0, limits.count.map(|count| count.0)),
        other => panic!("{other:?}"),
    };
    let denied = Some(ResultReason::PermissionDenied);
    assert_eq!(left().await, (20, Some(20)));
    assert_eq!(named(&rig, &modify(&id, limits(24, 1))).await.map(|_| ()), Ok(()), "not used yet");
    assert_eq!(rig.reason(&encrypt(&id, &[1; 16])).await, None);
    assert_eq!(left().await, (24, Some(8)));
    assert_eq!(rig.reason(&encrypt(&id, &[1; 9])).await, denied);
    assert_eq!(rig.reason(&allocate(&id, 9)).await, denied);
    assert_eq!(left().await, (24, Some(8)), "nothing was taken");
    rig.clock.forward_s(3);
    assert_eq!(rig.reason(&allocate(&id, 5)).await, None);
    assert_eq!(left().await, (24, Some(3)));
    assert_eq!(attributes(&rig, &id, &["Last Change Date"]).await, [date(StandardAttribute::LastChangeDate, 3)]);
    assert_eq!(rig.reason(&encrypt(&id, &[1; 3])).await, None);
    assert_eq!(rig.reason(&encrypt(&id, &[1])).await, denied);
    assert_eq!(rig.reason(&modify(&id, limits(99, 1))).await, denied, "used: they are fixed");
    assert_eq!(rig.reason(&delete(&id, "Usage Limits", None)).await, denied);
    let (hmac, mask) = (CryptographicAlgorithm::HmacSha256, kmip::tables::UsageMask::MAC_GENERATE);
    let attributes = vec![
        standard(StandardAttribute::CryptographicAlgorithm, AttributeValue::Enumeration(hmac.code())),
        standard(StandardAttribute::CryptographicLength, AttributeValue::Integer(256)),
        standard(StandardAttribute::CryptographicUsageMask, AttributeValue::Integer(mask.0)),
        active(),
        limits(20, 1),
    ];
    let template_attribute = TemplateAttribute { template_names: vec![], attributes };
    let object_type = kmip::tables::ObjectType::SymmetricKey;
    let key = rig.does(&Request::Create(ops::create::Request { object_type, template_attribute })).await.unwrap().id();
    let mac = Request::Mac(ops::mac::Request {
        unique_identifier: Some(&key),
        cryptographic_parameters: None,
        data: Some(&[1; 16]),
        correlation_value: None,
        init_indicator: None,
        final_indicator: None,
    });
    for expected in [None, denied] {
        assert_eq!(rig.reason(&mac).await, expected, "a MAC protects, too");
    }
    let objects = rig.does(&create(vec![active(), limits(2, 2)])).await.unwrap().id();
    for expected in [None, None, denied] {
        assert_eq!(rig.reason(&encrypt(&objects, &[1; 1_000])).await, expected, "two objects of any length");
    }
}

#[tokio::test]
async fn limits_are_given_and_allocated_as_the_specification_says() {
    let rig = Rig::new().await;
    let illegal = Some(ResultReason::IllegalOperation);
    let invalid = Some(ResultReason::InvalidField);
    let free = rig.does(&create(vec![])).await.unwrap().id();
    assert_eq!(rig.reason(&allocate(&free, 1)).await, illegal, "no limits");
    assert_eq!(rig.reason(&create(vec![limits(-1, 1)])).await, invalid);
    assert_eq!(rig.reason(&create(vec![limits(1, 3)])).await, invalid, "no such unit");
    let counted = UsageLimits { total: LongInteger(5), count: Some(LongInteger(1)), unit: Enumeration(1) };
    let counted = || standard(StandardAttribute::UsageLimits, AttributeValue::UsageLimits(counted.clone()));
    assert_eq!(rig.reason(&add(&free, counted())).await, invalid, "the count is the server's");
    let id = rig.does(&create(vec![counted()])).await.unwrap().id();
    let Some(AttributeValue::UsageLimits(given)) = value(&rig, &id, "Usage Limits").await else { panic!("none") };
    assert_eq!(given.count, Some(LongInteger(5)), "a new object's count is ignored");
    assert_eq!(rig.reason(&allocate(&id, 1)).await, illegal, "it is not active yet");
    assert_eq!(rig.reason(&allocate(&id, -1)).await, invalid);
    assert_eq!(named(&rig, &delete(&id, "Usage Limits", None)).await.map(|_| ()), Ok(()));
    assert_eq!(value(&rig, &id, "Usage Limits").await, None);
}

#[tokio::test]
async fn a_lease_tells_how_long_and_when_the_object_changed() {
    let rig = Rig::new().await;
    let id = rig.does(&create(vec![])).await.unwrap().id();
    assert_eq!(value(&rig, &id, "Lease Time").await, Some(AttributeValue::Interval(3_600)));
    let ask = async || {
        let got = rig.does(&lease(&id)).await.unwrap();
        let Answer::ObtainLease(answer) = got.answer() else { panic!("another answer") };
        (answer.lease_time, answer.last_change_date)
    };
    rig.clock.forward_s(10);
    assert_eq!(ask().await, (Interval(3_600), DateTime(START_S)));
    rig.table.lease_until(rig.caller.tenant(), u64::try_from(START_S + 100).unwrap() * 1_000);
    assert_eq!(ask().await.0, Interval(90), "no longer than the tenant's own lease here");
    let destroy = Request::Destroy(ops::destroy::Request { unique_identifier: Some(&id) });
    rig.does(&destroy).await.unwrap();
    assert_eq!(rig.reason(&lease(&id)).await, Some(ResultReason::PermissionDenied));
}

#[tokio::test]
async fn a_check_names_what_is_asked_for_in_vain() {
    let rig = Rig::new().await;
    let id = rig.does(&create(vec![limits(10, 1)])).await.unwrap().id();
    let (count, mask, lease) = (Some(LongInteger(10)), Some(4), Some(Interval(3_600)));
    let good = ops::check::Request {
        usage_limits_count: count,
        cryptographic_usage_mask: mask,
        lease_time: lease,
        ..check(&id)
    };
    let got = rig.does(&Request::Check(good)).await.unwrap();
    let Answer::Check(answer) = got.answer() else { panic!("another answer") };
    assert_eq!(answer, ops::check::Answer { unique_identifier: Some(&id), ..ops::check::Answer::default() });
    let (count, mask, lease) = (Some(LongInteger(11)), Some(5), Some(Interval(3_601)));
    let asks = [
        ops::check::Request { usage_limits_count: count, cryptographic_usage_mask: Some(4), ..check(&id) },
        ops::check::Request { cryptographic_usage_mask: mask, ..check(&id) },
        ops::check::Request { lease_time: lease, ..check(&id) },
    ];
    let names = [
        ops::check::Answer { usage_limits_count: count, ..ops::check::Answer::default() },
        ops::check::Answer { cryptographic_usage_mask: mask, ..ops::check::Answer::default() },
        ops::check::Answer { lease_time: lease, ..ops::check::Answer::default() },
    ];
    for (ask, named) in asks.into_iter().zip(names) {
        let frame = rig.ask(&rig.caller, &client::request(V1_4, &Request::Check(ask))).await;
        let message = AnswerMessage::read(&frame, V1_4, &ttlv::Limits::ANSWER).unwrap();
        let [item] = message.items.as_slice() else { panic!("one item") };
        assert_eq!(item.result_reason.map(|code| code.0), Some(ResultReason::PermissionDenied.code()));
        let payload = Answer::read(kmip::Operation::Check.code(), item.payload.unwrap(), V1_4).unwrap();
        let Answer::Check(answer) = payload else { panic!("another answer") };
        assert_eq!(answer, named);
    }
}

/// §4.10: "the server empties the ID Placeholder".
#[tokio::test]
async fn what_follows_a_check_that_refuses_has_no_object() {
    let rig = Rig::new().await;
    let checks = |mask| {
        let nameless =
            ops::check::Request { unique_identifier: None, cryptographic_usage_mask: Some(mask), ..check("") };
        let get = Request::Get(ops::get::Request { unique_identifier: None, ..ops::get::Request::of("") });
        [create(vec![]), Request::Check(nameless), get]
    };
    let header = || RequestHeader {
        batch_error_continuation: Some(kmip::tables::BatchErrorContinuation::Continue),
        ..RequestHeader::of(V1_4)
    };
    assert_eq!(rig.batch(header(), &checks(4)).await, [None, None, None]);
    let refused = [None, Some(ResultReason::PermissionDenied), Some(ResultReason::ItemNotFound)];
    assert_eq!(rig.batch(header(), &checks(1)).await, refused);
}
