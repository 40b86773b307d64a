//! Elliptic curve keys on the wire, and the formats in which a private or public key goes in and out.

use kmip::{
    CryptographicDomainParameters, PrivateKey, PublicKey,
    tables::{HashingAlgorithm, KeyCompressionType, RecommendedCurve, UsageMask, ValidityIndicator},
    transparent::{BigInteger, EcPrivateKey, EcPublicKey, RsaPrivateKey, RsaPublicKey},
};

use super::*;

const PAST: AttributeValue = AttributeValue::DateTime(START_S - 3600);
const CURVES: [(RecommendedCurve, i32); 3] =
    [(RecommendedCurve::P256, 256), (RecommendedCurve::P384, 384), (RecommendedCurve::P521, 521)];

fn named(hash: HashingAlgorithm) -> CryptographicParameters {
    CryptographicParameters { hashing_algorithm: Some(hash), ..CryptographicParameters::default() }
}

fn mask(uses: UsageMask) -> TemplateAttribute {
    template(&[(StandardAttribute::CryptographicUsageMask, AttributeValue::Integer(uses.0))])
}

fn domain(curve: RecommendedCurve) -> (StandardAttribute, AttributeValue) {
    let domain = CryptographicDomainParameters { qlength: None, recommended_curve: Some(curve) };
    (StandardAttribute::CryptographicDomainParameters, AttributeValue::CryptographicDomainParameters(domain))
}

pub(super) fn pair_of(
    algorithm: CryptographicAlgorithm,
    more: &[(StandardAttribute, AttributeValue)],
) -> Request<'static> {
    let mut common = vec![
        (StandardAttribute::CryptographicAlgorithm, AttributeValue::Enumeration(algorithm.code())),
        (StandardAttribute::ActivationDate, PAST),
    ];
    common.extend_from_slice(more);
    Request::CreateKeyPair(ops::create_key_pair::Request {
        common: Some(template(&common)),
        private_key: Some(mask(UsageMask::SIGN)),
        public_key: Some(mask(UsageMask::VERIFY)),
    })
}

pub(super) async fn pair(rig: &Rig, request: &Request<'_>) -> [String; 2] {
    let got = rig.does(request).await.unwrap();
    let Answer::CreateKeyPair(answer) = got.answer() else { panic!("another answer") };
    [answer.private_key_unique_identifier, answer.public_key_unique_identifier].map(str::to_owned)
}

async fn value(rig: &Rig, id: &str, name: &'static str) -> Option<AttributeValue> {
    let request = ops::get_attributes::Request { unique_identifier: Some(id), attribute_names: vec![name] };
    let got = rig.does(&Request::GetAttributes(request)).await.unwrap();
    let Answer::GetAttributes(mut answer) = got.answer() else { panic!("another answer") };
    answer.attributes.pop().map(|attribute| attribute.value)
}

pub(super) async fn sign(
    rig: &Rig,
    id: &str,
    hash: HashingAlgorithm,
    data: Option<&[u8]>,
    digested: Option<&[u8]>,
) -> Vec<u8> {
    let request = Request::Sign(ops::sign::Request {
        unique_identifier: Some(id),
        cryptographic_parameters: Some(named(hash)),
        data,
        digested_data: digested,
        correlation_value: None,
        init_indicator: None,
        final_indicator: None,
    });
    let got = rig.does(&request).await.unwrap();
    let Answer::Sign(answer) = got.answer() else { panic!("another answer") };
    answer.signature_data.unwrap().to_vec()
}

pub(super) async fn is_valid(rig: &Rig, id: &str, hash: HashingAlgorithm, data: &[u8], signature: &[u8]) -> bool {
    let request = Request::SignatureVerify(ops::signature_verify::Request {
        unique_identifier: Some(id),
        cryptographic_parameters: Some(named(hash)),
        data: Some(data),
        digested_data: None,
        signature_data: Some(signature),
        correlation_value: None,
        init_indicator: None,
        final_indicator: None,
    });
    let got = rig.does(&request).await.unwrap();
    let Answer::SignatureVerify(answer) = got.answer() else { panic!("another answer") };
    answer.validity_indicator == ValidityIndicator::Valid
}

fn brought(
    private: bool,
    algorithm: CryptographicAlgorithm,
    format: KeyFormatType,
    key: &KeyMaterial,
) -> Request<'static> {
    let key_block = block(format, key.expose().to_vec(), Some(algorithm));
    let (object, uses) = match private {
        true => (ManagedObject::PrivateKey(PrivateKey { key_block }), UsageMask::SIGN),
        false => (ManagedObject::PublicKey(PublicKey { key_block }), UsageMask::VERIFY),
    };
    let mut attributes = mask(uses);
    attributes.attributes.push(Attribute::new(StandardAttribute::ActivationDate, PAST));
    Request::Register(ops::register::Request::of(object, attributes))
}

/// What a Get answers in this format.
async fn got(
    rig: &Rig,
    id: &str,
    format: Option<KeyFormatType>,
    compression: Option<KeyCompressionType>,
) -> Result<KeyBlock, ResultReason> {
    let request =
        ops::get::Request { key_format_type: format, key_compression_type: compression, ..ops::get::Request::of(id) };
    let got = rig.does(&Request::Get(request)).await.map_err(|failure| failure.reason)?;
    let Answer::Get(answer) = got.answer() else { panic!("another answer") };
    Ok(answer.private_key.map(|key| key.key_block).or(answer.public_key.map(|key| key.key_block)).unwrap())
}

#[tokio::test]
async fn a_pair_of_each_curve_signs_and_verifies_with_each_hash() {
    use HashingAlgorithm as H;
    let rig = Rig::new().await;
    for (curve, bits) in CURVES {
        let [private, public] = pair(&rig, &pair_of(CryptographicAlgorithm::Ecdsa, &[domain(curve)])).await;
        for id in [&private, &public] {
            assert_eq!(value(&rig, id, "Cryptographic Length").await, Some(AttributeValue::Integer(bits)));
            assert_eq!(value(&rig, id, "Cryptographic Domain Parameters").await, Some(domain(curve).1));
        }
        for hash in [H::Sha256, H::Sha384, H::Sha512] {
            let signature = sign(&rig, &private, hash, Some(b"text"), None).await;
            assert!(is_valid(&rig, &public, hash, b"text", &signature).await, "{curve} {hash}");
            assert!(!is_valid(&rig, &public, hash, b"Text", &signature).await);
            assert!(!is_valid(&rig, &public, hash, b"text", &signature[1..]).await);
        }
        let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA384, b"text");
        let signature = sign(&rig, &private, H::Sha384, None, Some(digest.as_ref())).await;
        assert!(is_valid(&rig, &public, H::Sha384, b"text", &signature).await);
    }
}

#[tokio::test]
async fn a_curve_is_named_by_itself_or_by_its_length_and_nothing_contradicts_it() {
    use {CryptographicAlgorithm as A, RecommendedCurve as C};
    let rig = Rig::new().await;
    let length = |bits| (StandardAttribute::CryptographicLength, AttributeValue::Integer(bits));
    let [private, _] = pair(&rig, &pair_of(A::Ec, &[length(384)])).await;
    assert_eq!(value(&rig, &private, "Cryptographic Domain Parameters").await, Some(domain(C::P384).1));
    pair(&rig, &pair_of(A::Ecdh, &[length(521), domain(C::P521)])).await;
    let (invalid, unsupported) = (ResultReason::InvalidField, ResultReason::FeatureNotSupported);
    let wrong = [
        (pair_of(A::Ec, &[]), invalid),
        (pair_of(A::Ec, &[length(255)]), invalid),
        (pair_of(A::Ec, &[length(256), domain(C::P384)]), invalid),
        (pair_of(A::Ec, &[domain(C::P192)]), unsupported),
        (pair_of(A::Ec, &[domain(C::Secp256k1)]), unsupported),
        (pair_of(A::Rsa, &[length(2048), domain(C::P256)]), invalid),
        (pair_of(A::Dsa, &[length(2048)]), invalid),
        (create_with(&[domain(C::P256)]), invalid),
    ];
    for (request, reason) in &wrong {
        assert_eq!(rig.reason(request).await, Some(*reason));
    }
}

#[tokio::test]
async fn every_format_of_a_curve_s_key_goes_in_and_comes_out_as_any_other() {
    use KeyFormatType as F;
    let rig = Rig::new().await;
    let privates = [
        F::EcPrivateKey,
        F::Pkcs8,
        F::TransparentEcPrivateKey,
        F::TransparentEcdsaPrivateKey,
        F::TransparentEcdhPrivateKey,
        F::TransparentEcmqvPrivateKey,
    ];
    let publics = [
        F::X509,
        F::TransparentEcPublicKey,
        F::TransparentEcdsaPublicKey,
        F::TransparentEcdhPublicKey,
        F::TransparentEcmqvPublicKey,
    ];
    for (curve, _) in CURVES {
        let made = pair(&rig, &pair_of(CryptographicAlgorithm::Ec, &[domain(curve)])).await;
        round_trips(&rig, CryptographicAlgorithm::Ec, &made, [&privates, &publics]).await;
    }
}

#[tokio::test]
async fn every_format_of_an_rsa_key_goes_in_and_comes_out_as_any_other() {
    use KeyFormatType as F;
    let rig = Rig::new().await;
    let length = (StandardAttribute::CryptographicLength, AttributeValue::Integer(2048));
    let made = pair(&rig, &pair_of(CryptographicAlgorithm::Rsa, &[length])).await;
    let privates = [F::Pkcs1, F::Pkcs8, F::TransparentRsaPrivateKey];
    let publics = [F::Pkcs1, F::X509, F::TransparentRsaPublicKey];
    round_trips(&rig, CryptographicAlgorithm::Rsa, &made, [&privates, &publics]).await;
}

/// Each half is had in each format, brought back in it, and had in each format again.
async fn round_trips(rig: &Rig, algorithm: CryptographicAlgorithm, made: &[String; 2], formats: [&[KeyFormatType]; 2]) {
    for (at, formats) in formats.into_iter().enumerate() {
        let mut all = vec![];
        for &format in formats {
            let block = got(rig, &made[at], Some(format), None).await.unwrap();
            assert_eq!(block.key_format_type, format);
            all.push((format, block.material));
        }
        for (format, material) in &all {
            let id = rig.does(&brought(at == 0, algorithm, *format, material)).await.unwrap().id();
            let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, material.expose());
            let Some(AttributeValue::Digest(told)) = value(rig, &id, "Digest").await else { panic!("no digest") };
            assert_eq!((told.value.as_deref(), told.key_format_type), (Some(digest.as_ref()), Some(*format)));
            let block = got(rig, &id, None, None).await.unwrap();
            assert_eq!((block.key_format_type, block.material.expose()), (*format, material.expose()));
            for (other, material) in &all {
                let block = got(rig, &id, Some(*other), None).await.unwrap();
                assert_eq!(block.material.expose(), material.expose(), "{format} as {other}");
            }
        }
        for wrong in [KeyFormatType::Raw, KeyFormatType::Pkcs12, KeyFormatType::TransparentDsaPrivateKey] {
            let reason = got(rig, &made[at], Some(wrong), None).await.err();
            assert_eq!(reason, Some(ResultReason::KeyFormatTypeNotSupported), "{wrong}");
        }
    }
}

#[tokio::test]
async fn a_point_is_compressed_where_that_is_asked() {
    use {KeyCompressionType as C, KeyFormatType as F};
    let rig = Rig::new().await;
    let [private, public] = pair(&rig, &pair_of(CryptographicAlgorithm::Ec, &[domain(RecommendedCurve::P256)])).await;
    let q = async |compression| {
        let block = got(&rig, &public, Some(F::TransparentEcPublicKey), compression).await.unwrap();
        assert_eq!(block.key_compression_type, compression);
        block.material.structure::<EcPublicKey>().unwrap().q_string
    };
    let (whole, short) = (q(None).await, q(Some(C::EcPublicKeyTypeX962CompressedPrime)).await);
    assert_eq!(q(Some(C::EcPublicKeyTypeUncompressed)).await, whole);
    assert_eq!((whole.len(), short.len(), &whole[1..33]), (65, 33, &short[1..]));
    let key = KeyMaterial::of_structure(&EcPublicKey { recommended_curve: RecommendedCurve::P256, q_string: short });
    let id = rig.does(&brought(false, CryptographicAlgorithm::Ec, F::TransparentEcPublicKey, &key)).await.unwrap().id();
    let x509 = got(&rig, &id, Some(F::X509), None).await.unwrap();
    assert_eq!(x509.material.expose(), got(&rig, &public, None, None).await.unwrap().material.expose());
    let aes = active_key(&rig).await;
    for (id, compression) in [
        (&private, C::EcPublicKeyTypeUncompressed),
        (&public, C::EcPublicKeyTypeX962CompressedChar2),
        (&public, C::EcPublicKeyTypeX962Hybrid),
        (&aes, C::EcPublicKeyTypeUncompressed),
    ] {
        let request = ops::get::Request { key_compression_type: Some(compression), ..ops::get::Request::of(id) };
        let reason = rig.reason(&Request::Get(request)).await;
        assert_eq!(reason, Some(ResultReason::KeyCompressionTypeNotSupported), "{compression}");
    }
}

#[tokio::test]
async fn numbers_that_are_no_key_are_refused() {
    use {CryptographicAlgorithm as A, KeyFormatType as F, RecommendedCurve as C};
    let rig = Rig::new().await;
    let ec =
        |curve, d: &[u8]| KeyMaterial::of_structure(&EcPrivateKey { recommended_curve: curve, d: BigInteger::new(d) });
    let point = |q: &[u8]| KeyMaterial::of_structure(&EcPublicKey { recommended_curve: C::P256, q_string: q.to_vec() });
    let modulus = || BigInteger::new(&[0xff; 256]);
    let rsa = KeyMaterial::of_structure(&RsaPublicKey { modulus: modulus(), public_exponent: BigInteger::new(&[2]) });
    let lacking = KeyMaterial::of_structure(&RsaPrivateKey {
        modulus: modulus(),
        private_exponent: Some(BigInteger::new(&[3])),
        public_exponent: Some(BigInteger::new(&[3])),
        p: None,
        q: None,
        prime_exponent_p: None,
        prime_exponent_q: None,
        crt_coefficient: None,
    });
    let (invalid, format) = (ResultReason::InvalidField, ResultReason::KeyFormatTypeNotSupported);
    let wrong = [
        (brought(true, A::Ec, F::TransparentEcPrivateKey, &ec(C::P256, &[])), invalid),
        (brought(true, A::Ec, F::TransparentEcPrivateKey, &ec(C::P256, &[0xff; 32])), invalid),
        (brought(true, A::Ec, F::TransparentEcPrivateKey, &ec(C::P192, &[1])), ResultReason::FeatureNotSupported),
        (brought(true, A::Ec, F::TransparentEcPublicKey, &ec(C::P256, &[1])), format),
        (brought(true, A::Rsa, F::TransparentEcPrivateKey, &ec(C::P256, &[1])), format),
        (brought(false, A::Ec, F::TransparentEcPublicKey, &point(&[4; 65])), invalid),
        (brought(false, A::Ec, F::TransparentEcPublicKey, &point(&[0])), invalid),
        (brought(false, A::Rsa, F::TransparentRsaPublicKey, &rsa), invalid),
        (brought(true, A::Rsa, F::TransparentRsaPrivateKey, &lacking), format),
    ];
    for (request, reason) in &wrong {
        assert_eq!(rig.reason(request).await, Some(*reason));
    }
    let mut elsewhere = brought(true, A::Ec, F::TransparentEcPrivateKey, &ec(C::P256, &[1]));
    if let Request::Register(request) = &mut elsewhere {
        let (name, value) = domain(C::P384);
        request.template_attribute.attributes.push(Attribute::new(name, value));
    }
    assert_eq!(rig.reason(&elsewhere).await, Some(invalid), "it is of another curve");
    let good = rig.does(&brought(true, A::Ec, F::TransparentEcPrivateKey, &ec(C::P256, &[1]))).await.unwrap().id();
    let sec1 = got(&rig, &good, Some(F::EcPrivateKey), None).await.unwrap().material;
    assert_eq!(rig.reason(&brought(true, A::Ec, F::Pkcs8, &sec1)).await, Some(invalid), "it is no PKCS#8");
    assert_eq!(rig.reason(&brought(false, A::Ec, F::X509, &sec1)).await, Some(invalid), "it is no public key");
    assert_eq!(
        rig.reason(&brought(true, A::Aes, F::EcPrivateKey, &sec1)).await,
        Some(ResultReason::FeatureNotSupported)
    );
}

#[tokio::test]
async fn attributes_inside_a_key_value_are_the_object_s() {
    let rig = Rig::new().await;
    let key = |attributes: Vec<Attribute>| {
        let key_block =
            KeyBlock { attributes, ..block(KeyFormatType::Raw, vec![7; 32], Some(CryptographicAlgorithm::Aes)) };
        let object = ManagedObject::SymmetricKey(SymmetricKey { key_block });
        Request::Register(ops::register::Request::of(object, mask(UsageMask::ENCRYPT)))
    };
    let group = || Attribute::new(StandardAttribute::ObjectGroup, AttributeValue::Text("group".to_owned()));
    let id = rig.does(&key(vec![group()])).await.unwrap().id();
    assert_eq!(value(&rig, &id, "Object Group").await, Some(group().value));
    let mask = Attribute::new(StandardAttribute::CryptographicUsageMask, AttributeValue::Integer(4));
    assert_eq!(rig.reason(&key(vec![mask])).await, Some(ResultReason::InvalidField), "it is given twice");
}
