//! Create Split Key and Join Split Key on the wire.

use custody::split::{self as shares, Method};
use kmip::{
    RngParameters, SplitKey,
    tables::{SecretDataType as Kind, SplitKeyMethod as By, UsageMask},
    transparent::BigInteger,
};

use super::*;

const PLAIN: &[(StandardAttribute, AttributeValue)] = &[];

fn key_attributes() -> TemplateAttribute {
    template(&[
        (StandardAttribute::CryptographicAlgorithm, AttributeValue::Enumeration(CryptographicAlgorithm::Aes.code())),
        (StandardAttribute::CryptographicLength, AttributeValue::Integer(256)),
        (StandardAttribute::CryptographicUsageMask, AttributeValue::Integer(12)),
    ])
}

pub(super) fn split<'a>(
    id: Option<&'a str>,
    parts: i32,
    threshold: i32,
    method: By,
) -> ops::create_split_key::Request<'a> {
    ops::create_split_key::Request {
        object_type: ObjectType::SplitKey,
        unique_identifier: id,
        parts,
        threshold,
        method,
        prime_field_size: None,
        template_attribute: if id.is_some() { TemplateAttribute::default() } else { key_attributes() },
    }
}

pub(super) fn join<'a>(ids: &[&'a str], extra: &[(StandardAttribute, AttributeValue)]) -> Request<'a> {
    Request::JoinSplitKey(ops::join_split_key::Request {
        object_type: ObjectType::SymmetricKey,
        unique_identifiers: ids.to_vec(),
        secret_data_type: None,
        template_attribute: Some(template(extra)),
    })
}

pub(super) async fn parts(rig: &Rig, request: ops::create_split_key::Request<'_>) -> Vec<String> {
    let made = rig.does(&Request::CreateSplitKey(request)).await.unwrap();
    let Answer::CreateSplitKey(answer) = made.answer() else { panic!("another answer") };
    answer.unique_identifiers.into_iter().map(str::to_owned).collect()
}

async fn joined(rig: &Rig, request: &Request<'_>) -> String {
    let made = rig.does(request).await.unwrap();
    let Answer::JoinSplitKey(answer) = made.answer() else { panic!("another answer") };
    answer.unique_identifier.to_owned()
}

async fn bytes(rig: &Rig, id: &str) -> Vec<u8> {
    let got = rig.does(&get(id)).await.unwrap();
    let Answer::Get(answer) = got.answer() else { panic!("another answer") };
    match (answer.symmetric_key, answer.split_key) {
        (Some(key), None) => key.key_block.material.expose().to_vec(),
        (None, Some(part)) => part.key_block.material.expose().to_vec(),
        _ => panic!("another object"),
    }
}

pub(super) fn refs(ids: &[String]) -> Vec<&str> {
    ids.iter().map(String::as_str).collect()
}

#[tokio::test]
async fn enough_parts_make_the_key_again() {
    let rig = Rig::new().await;
    let key = rig.does(&register_key((0..32).collect())).await.unwrap().id();
    for (parts_of, threshold, method) in
        [(3, 3, By::Xor), (5, 3, By::PolynomialSharingGf2To8), (5, 2, By::PolynomialSharingGf2To16)]
    {
        let made = parts(&rig, split(Some(&key), parts_of, threshold, method)).await;
        assert_eq!(made.len(), usize::try_from(parts_of).unwrap());
        let enough = usize::try_from(threshold).unwrap();
        let last = refs(&made[made.len() - enough..]);
        let again = joined(&rig, &join(&last, PLAIN)).await;
        assert_eq!(bytes(&rig, &again).await, (0..32).collect::<Vec<u8>>(), "{method}");
        assert_ne!(bytes(&rig, &made[0]).await, (0..32).collect::<Vec<u8>>());
        let less = rig.reason(&join(&last[1..], PLAIN)).await;
        assert_eq!(less, Some(ResultReason::CryptographicFailure), "{method}");
    }
}

#[tokio::test]
async fn a_new_key_is_split_and_works_once_it_is_joined() {
    let rig = Rig::new().await;
    let made = parts(&rig, split(None, 3, 2, By::PolynomialSharingGf2To8)).await;
    let active = (StandardAttribute::ActivationDate, AttributeValue::DateTime(START_S - 1));
    let one = joined(&rig, &join(&refs(&made[..2]), std::slice::from_ref(&active))).await;
    let other = joined(&rig, &join(&refs(&made[1..]), &[active])).await;
    assert_eq!(bytes(&rig, &one).await, bytes(&rig, &other).await);
    assert_eq!(rig.reason(&encrypt(&one, gcm(), b"data")).await, None);
    assert!(rig.reason(&encrypt(&made[0], gcm(), b"data")).await.is_some());
}

#[tokio::test]
async fn the_items_after_it_mean_the_first_part() {
    let rig = Rig::new().await;
    let header = RequestHeader::of(V1_4);
    let requests = [Request::CreateSplitKey(split(None, 2, 2, By::Xor)), activate(None)];
    assert_eq!(rig.batch(header, &requests).await, [None, None]);
}

#[tokio::test]
async fn parts_that_do_not_belong_together_make_nothing() {
    let rig = Rig::new().await;
    let by = By::PolynomialSharingGf2To8;
    let (one, other) = (parts(&rig, split(None, 3, 2, by)).await, parts(&rig, split(None, 3, 2, by)).await);
    let field = Some(ResultReason::InvalidField);
    assert_eq!(rig.reason(&join(&[&one[0], &other[1]], PLAIN)).await, field, "of two keys");
    assert_eq!(rig.reason(&join(&[&one[0], &one[0]], PLAIN)).await, field, "one part twice");
    assert_eq!(rig.reason(&join(&[], PLAIN)).await, field);
    let key = rig.does(&create()).await.unwrap().id();
    assert_eq!(rig.reason(&join(&[&one[0], &key], PLAIN)).await, field, "no part");
    rig.does(&revoke(&one[0], RevocationReasonCode::KeyCompromise)).await.unwrap();
    let denied = Some(ResultReason::PermissionDenied);
    assert_eq!(rig.reason(&join(&refs(&one[..2]), PLAIN)).await, denied, "a part is compromised");
    assert_eq!(rig.reason(&join(&[&one[1], "1"], PLAIN)).await, Some(ResultReason::ItemNotFound));
}

#[tokio::test]
async fn nobody_gets_by_parts_what_get_refuses() {
    let rig = Rig::new().await;
    let never = (StandardAttribute::Extractable, AttributeValue::Boolean(false));
    let key = rig.does(&create_with(std::slice::from_ref(&never))).await.unwrap().id();
    let not_extractable = Some(ResultReason::NotExtractable);
    let asked = Request::CreateSplitKey(split(Some(&key), 2, 2, By::Xor));
    assert_eq!(rig.reason(&asked).await, not_extractable);
    let mut kept = split(None, 2, 2, By::Xor);
    kept.template_attribute.attributes.push(Attribute::new(never.0, never.1));
    let kept = parts(&rig, kept).await;
    assert_eq!(rig.reason(&join(&refs(&kept), PLAIN)).await, not_extractable);
    let sensitive = (StandardAttribute::Sensitive, AttributeValue::Boolean(true));
    let key = rig.does(&create_with(&[sensitive])).await.unwrap().id();
    let made = parts(&rig, split(Some(&key), 2, 2, By::Xor)).await;
    assert_eq!(rig.reason(&get(&made[0])).await, Some(ResultReason::Sensitive));
    let again = joined(&rig, &join(&refs(&made), PLAIN)).await;
    assert_eq!(rig.reason(&get(&again)).await, Some(ResultReason::Sensitive));
    let more = (StandardAttribute::CryptographicUsageMask, AttributeValue::Integer(0x7F));
    assert_eq!(rig.reason(&join(&refs(&made), &[more])).await, Some(ResultReason::PermissionDenied));
}

#[tokio::test]
async fn what_cannot_be_split_so_is_refused() {
    let rig = Rig::new().await;
    let key = rig.does(&register_key(vec![3; 32])).await.unwrap().id();
    let reason = async |request| rig.reason(&Request::CreateSplitKey(request)).await;
    let field = Some(ResultReason::InvalidField);
    assert_eq!(reason(split(Some(&key), 3, 2, By::Xor)).await, field);
    assert_eq!(reason(split(Some(&key), 2, 3, By::PolynomialSharingGf2To8)).await, field);
    assert_eq!(reason(split(Some(&key), 65, 2, By::PolynomialSharingGf2To8)).await, field);
    assert_eq!(reason(split(Some(&key), 0, 0, By::PolynomialSharingGf2To8)).await, field);
    let offered = reason(split(Some(&key), 3, 2, By::PolynomialSharingPrimeField)).await;
    assert_eq!(offered, field);
    let seed = rig.does(&register_seed(vec![7; 31])).await.unwrap().id();
    assert_eq!(reason(split(Some(&seed), 3, 2, By::PolynomialSharingGf2To16)).await, field, "an odd number of bytes");
    assert_eq!(reason(split(Some(&seed), 3, 2, By::PolynomialSharingGf2To8)).await, None);
    let name = (StandardAttribute::Name, AttributeValue::name("all"));
    let named =
        ops::create_split_key::Request { template_attribute: template(&[name]), ..split(Some(&key), 2, 2, By::Xor) };
    assert_eq!(reason(named).await, field);
    let counted = AttributeValue::UsageLimits(kmip::UsageLimits {
        total: ttlv::LongInteger(10),
        count: None,
        unit: ttlv::Enumeration(2),
    });
    let limited = rig.does(&create_with(&[(StandardAttribute::UsageLimits, counted)])).await.unwrap().id();
    let denied = Some(ResultReason::PermissionDenied);
    assert_eq!(reason(split(Some(&limited), 2, 2, By::Xor)).await, denied, "its limits would be lost");
    rig.does(&revoke(&key, RevocationReasonCode::KeyCompromise)).await.unwrap();
    assert_eq!(reason(split(Some(&key), 2, 2, By::Xor)).await, denied);
    let header = RequestHeader { maximum_response_size: Some(600), ..RequestHeader::of(V1_4) };
    let many = Request::CreateSplitKey(split(None, 30, 2, By::PolynomialSharingGf2To8));
    assert_eq!(rig.batch(header, &[many]).await, [Some(ResultReason::ResponseTooLarge)]);
    let made = AttributeValue::Enumeration(ObjectType::SplitKey.code());
    let made = Request::Locate(ops::locate::Request::of(template(&[(StandardAttribute::ObjectType, made)]).attributes));
    let got = rig.does(&made).await.unwrap();
    let Answer::Locate(located) = got.answer() else { panic!("another answer") };
    assert_eq!(located.unique_identifiers.len(), 3, "those of the seed");
}

#[tokio::test]
async fn what_a_split_or_a_join_cannot_give_is_refused() {
    use {ResultReason as R, StandardAttribute as A};
    let rig = Rig::new().await;
    let key = rig.does(&register_key(vec![3; 32])).await.unwrap().id();
    let reason = async |request| rig.reason(&Request::CreateSplitKey(request)).await;
    let whole = || split(Some(&key), 2, 2, By::Xor);
    let made = parts(&rig, whole()).await;
    let other = ops::create_split_key::Request { object_type: ObjectType::PrivateKey, ..whole() };
    assert_eq!(reason(other).await, Some(R::InvalidField), "no Split Key");
    let field = ops::create_split_key::Request { prime_field_size: Some(BigInteger::new(&[5])), ..whole() };
    assert_eq!(reason(field).await, Some(R::InvalidField), "of another method");
    let with = |name, value, request: ops::create_split_key::Request<'static>| {
        let mut request = request;
        request.template_attribute.attributes.push(Attribute::new(name, value));
        request
    };
    let one = || split(None, 1, 1, By::Xor);
    assert_eq!(reason(with(A::Name, AttributeValue::name("one"), one())).await, Some(R::InvalidField));
    let limits = kmip::UsageLimits { total: ttlv::LongInteger(1), count: None, unit: ttlv::Enumeration(2) };
    assert_eq!(reason(with(A::UsageLimits, AttributeValue::UsageLimits(limits), one())).await, Some(R::InvalidField));
    let rng = RngParameters {
        rng_algorithm: ttlv::Enumeration(2),
        cryptographic_algorithm: None,
        cryptographic_length: None,
        hashing_algorithm: None,
        drbg_algorithm: None,
        recommended_curve: None,
        fips186_variation: None,
        prediction_resistance: None,
    };
    let rng = AttributeValue::RandomNumberGenerator(rng);
    assert_eq!(reason(with(A::RandomNumberGenerator, rng, one())).await, Some(R::InvalidField), "not ours");
    assert_eq!(reason(split(Some(&made[0]), 2, 2, By::Xor)).await, Some(R::FeatureNotSupported), "a part of a part");
    let closed = wrap::stored_wrapped(&rig, UsageMask::ENCRYPT).await;
    assert_eq!(reason(split(Some(&closed), 2, 2, By::Xor)).await, Some(R::PermissionDenied), "it is wrapped");

    let Request::JoinSplitKey(joins) = join(&refs(&made), PLAIN) else { panic!("another request") };
    let public = ops::join_split_key::Request { object_type: ObjectType::PublicKey, ..joins };
    assert_eq!(rig.reason(&Request::JoinSplitKey(public)).await, Some(R::FeatureNotSupported));
    let Request::JoinSplitKey(joins) = join(&refs(&made), PLAIN) else { panic!("another request") };
    let kind = ops::join_split_key::Request { secret_data_type: Some(Kind::Seed), ..joins };
    assert_eq!(rig.reason(&Request::JoinSplitKey(kind)).await, Some(R::InvalidField), "no Secret Data");
    let short = (A::CryptographicLength, AttributeValue::Integer(128));
    assert_eq!(rig.reason(&join(&refs(&made), &[short])).await, Some(R::InvalidField), "of another length");
    let many = vec![made[0].as_str(); 65];
    let failure = rig.does(&join(&many, PLAIN)).await.unwrap_err();
    assert!(failure.message.contains("1 to 64"), "{failure:?}");
}

/// Registers parts with these bytes, of a key of 256 bits: here nobody knows its digest.
async fn brought(rig: &Rig, threshold: i32, parts: &[shares::Part]) -> Vec<String> {
    let mut ids = vec![];
    for (part, bytes) in parts {
        let key_block = block(KeyFormatType::Raw, bytes.to_vec(), Some(CryptographicAlgorithm::Aes));
        ids.push(
            register(rig, i32::from(*part), threshold, KeyBlock { cryptographic_length: Some(256), ..key_block }).await,
        );
    }
    ids
}

async fn register(rig: &Rig, part: i32, threshold: i32, key_block: KeyBlock) -> String {
    let method = By::PolynomialSharingGf2To8;
    let object = SplitKey { parts: 3, part, threshold, method, prime_field_size: None, key_block };
    let request = ops::register::Request::of(ManagedObject::SplitKey(object), TemplateAttribute::default());
    rig.does(&Request::Register(request)).await.unwrap().id()
}

#[tokio::test]
async fn parts_from_elsewhere_are_joined_by_what_they_say() {
    let rig = Rig::new().await;
    let (secret, field) = ((0..32).collect::<Vec<u8>>(), Some(ResultReason::InvalidField));
    let whole = shares::split(Method::Gf2To8, &secret, 3, 2).unwrap();
    let ids = brought(&rig, 2, &whole).await;
    let again = joined(&rig, &join(&refs(&ids[1..]), PLAIN)).await;
    assert_eq!(bytes(&rig, &again).await, secret);
    let fewer = Some(ResultReason::CryptographicFailure);
    assert_eq!(rig.reason(&join(&refs(&ids[..1]), PLAIN)).await, fewer, "two are needed");
    let others = brought(&rig, 1, &whole).await;
    assert_eq!(rig.reason(&join(&[&ids[0], &others[1]], PLAIN)).await, field, "they differ in their threshold");
    let short = brought(&rig, 2, &shares::split(Method::Gf2To8, &secret[..16], 3, 2).unwrap()).await;
    assert_eq!(rig.reason(&join(&refs(&short), PLAIN)).await, field, "a key of 256 bits has 32 bytes");
    let closed = register(&rig, 3, 2, wrap::wrapped()).await;
    let denied = Some(ResultReason::PermissionDenied);
    assert_eq!(rig.reason(&join(&[&ids[0], &closed], PLAIN)).await, denied, "it is wrapped");
}

#[tokio::test]
async fn parts_of_one_key_that_was_split_twice_do_not_make_it() {
    let rig = Rig::new().await;
    let key = rig.does(&register_key(vec![3; 32])).await.unwrap().id();
    let made = async || parts(&rig, split(Some(&key), 3, 2, By::PolynomialSharingGf2To8)).await;
    let (one, other) = (made().await, made().await);
    assert_eq!(rig.reason(&join(&[&one[0], &other[1]], PLAIN)).await, Some(ResultReason::InvalidField));
    assert_eq!(bytes(&rig, &joined(&rig, &join(&[&other[0], &other[1]], PLAIN)).await).await, [3; 32]);
}
