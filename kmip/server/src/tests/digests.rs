//! MAC, MAC Verify, Hash and the random generator, on the wire.

use kmip::tables::{HashingAlgorithm, UsageMask, ValidityIndicator};

use super::*;

fn hmac_key(mask: UsageMask, algorithm: CryptographicAlgorithm) -> Request<'static> {
    let attributes = [
        (StandardAttribute::CryptographicAlgorithm, AttributeValue::Enumeration(algorithm.code())),
        (StandardAttribute::CryptographicLength, AttributeValue::Integer(256)),
        (StandardAttribute::CryptographicUsageMask, AttributeValue::Integer(mask.0)),
    ];
    let template_attribute = template(&attributes);
    Request::Create(ops::create::Request { object_type: ObjectType::SymmetricKey, template_attribute })
}

async fn active(rig: &Rig, key: &Request<'_>) -> String {
    let id = rig.does(key).await.unwrap().id();
    rig.does(&activate(Some(&id))).await.unwrap();
    id
}

fn mac<'a>(id: &'a str, data: &'a [u8]) -> Request<'a> {
    Request::Mac(ops::mac::Request {
        unique_identifier: Some(id),
        cryptographic_parameters: None,
        data: Some(data),
        correlation_value: None,
        init_indicator: None,
        final_indicator: None,
    })
}

fn verify<'a>(id: &'a str, data: &'a [u8], mac_data: &'a [u8]) -> Request<'a> {
    Request::MacVerify(ops::mac_verify::Request {
        unique_identifier: Some(id),
        cryptographic_parameters: None,
        data: Some(data),
        mac_data: Some(mac_data),
        correlation_value: None,
        init_indicator: None,
        final_indicator: None,
    })
}

async fn is_valid(rig: &Rig, request: &Request<'_>) -> bool {
    let got = rig.does(request).await.unwrap();
    let Answer::MacVerify(answer) = got.answer() else { panic!("another answer") };
    answer.validity_indicator == ValidityIndicator::Valid
}

#[tokio::test]
async fn a_mac_is_that_of_its_key_and_data() {
    let rig = Rig::new().await;
    let both = UsageMask(UsageMask::MAC_GENERATE.0 | UsageMask::MAC_VERIFY.0);
    let id = active(&rig, &hmac_key(both, CryptographicAlgorithm::HmacSha256)).await;
    let other = active(&rig, &hmac_key(both, CryptographicAlgorithm::HmacSha256)).await;
    let got = rig.does(&mac(&id, b"data")).await.unwrap();
    let Answer::Mac(answer) = got.answer() else { panic!("another answer") };
    let made = answer.mac_data.unwrap().to_vec();
    assert_eq!(made.len(), 32);
    assert!(is_valid(&rig, &verify(&id, b"data", &made)).await);
    assert!(!is_valid(&rig, &verify(&id, b"other data", &made)).await);
    assert!(!is_valid(&rig, &verify(&id, b"data", &made[..31])).await);
    assert!(!is_valid(&rig, &verify(&other, b"data", &made)).await);
}

#[tokio::test]
async fn state_and_mask_decide_who_makes_a_mac() {
    let rig = Rig::new().await;
    let algorithm = CryptographicAlgorithm::HmacSha256;
    let waiting = rig.does(&hmac_key(UsageMask::MAC_GENERATE, algorithm)).await.unwrap().id();
    assert_eq!(rig.reason(&mac(&waiting, b"x")).await, Some(ResultReason::PermissionDenied), "it is not active");
    let verifier = active(&rig, &hmac_key(UsageMask::MAC_VERIFY, algorithm)).await;
    assert_eq!(rig.reason(&mac(&verifier, b"x")).await, Some(ResultReason::PermissionDenied));
    let maker = active(&rig, &hmac_key(UsageMask::MAC_GENERATE, algorithm)).await;
    assert_eq!(rig.reason(&verify(&maker, b"x", b"y")).await, Some(ResultReason::PermissionDenied));
    assert!(rig.does(&mac(&maker, b"x")).await.is_ok());
    rig.table.fence(&tenant(1), Stop::Suspended);
    assert_eq!(rig.reason(&mac(&maker, b"x")).await, Some(ResultReason::PermissionDenied), "it protects new data");
    assert!(!is_valid(&rig, &verify(&verifier, b"x", b"y")).await, "what exists can be verified");
}

#[tokio::test]
async fn a_hash_needs_no_key() {
    let rig = Rig::new().await;
    let hash = |algorithm: Option<HashingAlgorithm>| {
        let cryptographic_parameters =
            CryptographicParameters { hashing_algorithm: algorithm, ..CryptographicParameters::default() };
        Request::Hash(ops::hash::Request {
            cryptographic_parameters,
            data: Some(b"abc"),
            correlation_value: None,
            init_indicator: None,
            final_indicator: None,
        })
    };
    for (algorithm, bytes, begins) in [
        (HashingAlgorithm::Sha1, 20, [0xa9, 0x99, 0x3e, 0x36]),
        (HashingAlgorithm::Sha256, 32, [0xba, 0x78, 0x16, 0xbf]),
        (HashingAlgorithm::Sha512, 64, [0xdd, 0xaf, 0x35, 0xa1]),
        (HashingAlgorithm::Sha3256, 32, [0x3a, 0x98, 0x5d, 0xa7]),
    ] {
        let got = rig.does(&hash(Some(algorithm))).await.unwrap();
        let Answer::Hash(answer) = got.answer() else { panic!("another answer") };
        let digest = answer.data.unwrap();
        assert_eq!((digest.len(), &digest[..4]), (bytes, &begins[..]), "{algorithm}");
    }
    assert_eq!(rig.reason(&hash(None)).await, Some(ResultReason::InvalidField));
    assert_eq!(rig.reason(&hash(Some(HashingAlgorithm::Md5))).await, Some(ResultReason::FeatureNotSupported));
}

#[tokio::test]
async fn random_bytes_are_drawn_anew_and_within_a_limit() {
    let rig = Rig::new().await;
    let draw = |bytes| Request::RngRetrieve(ops::rng_retrieve::Request { data_length: bytes });
    let drawn = async || {
        let got = rig.does(&draw(32)).await.unwrap();
        let Answer::RngRetrieve(answer) = got.answer() else { panic!("another answer") };
        answer.data.to_vec()
    };
    let (one, other) = (drawn().await, drawn().await);
    assert_eq!(one.len(), 32);
    assert_ne!(one, other);
    for wrong in [0, -1, 64 * 1024 + 1] {
        assert_eq!(rig.reason(&draw(wrong)).await, Some(ResultReason::InvalidField), "{wrong}");
    }
    let got = rig.does(&Request::RngSeed(ops::rng_seed::Request { data: b"seed" })).await.unwrap();
    let Answer::RngSeed(answer) = got.answer() else { panic!("another answer") };
    assert_eq!(answer.data_length, 0, "nothing of it is used, and that is said");
}
