//! Key wrapping on the wire: what leaves wrapped, what comes wrapped, and what is refused.

use kmip::{
    KeyInformation, KeyWrappingSpecification, PublicKey, UsageLimits,
    tables::{EncodingOption, HashingAlgorithm, KeyWrapType, UsageMask, WrappingMethod},
    ttlv::{Enumeration, LongInteger},
};

use super::*;

const PAST: AttributeValue = AttributeValue::DateTime(START_S - 3600);

fn hex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn mode(mode: BlockCipherMode) -> CryptographicParameters {
    CryptographicParameters { block_cipher_mode: Some(mode), ..CryptographicParameters::default() }
}

fn hash(hash: HashingAlgorithm) -> CryptographicParameters {
    CryptographicParameters { hashing_algorithm: Some(hash), ..CryptographicParameters::default() }
}

type More<'a> = &'a [(StandardAttribute, AttributeValue)];

/// Attributes of an active object with these uses and parameters.
fn attributes(uses: UsageMask, parameters: &[CryptographicParameters], more: More<'_>) -> TemplateAttribute {
    let mut list = vec![
        (StandardAttribute::CryptographicUsageMask, AttributeValue::Integer(uses.0)),
        (StandardAttribute::ActivationDate, PAST),
    ];
    let own = |one: &CryptographicParameters| AttributeValue::CryptographicParameters(one.clone());
    list.extend(parameters.iter().map(|one| (StandardAttribute::CryptographicParameters, own(one))));
    list.extend_from_slice(more);
    template(&list)
}

fn symmetric(key_block: KeyBlock, template: TemplateAttribute) -> Request<'static> {
    Request::Register(ops::register::Request::of(ManagedObject::SymmetricKey(SymmetricKey { key_block }), template))
}

/// A key of the caller's.
async fn key(rig: &Rig, bytes: &[u8], template: TemplateAttribute) -> String {
    let key_block = block(KeyFormatType::Raw, bytes.to_vec(), Some(CryptographicAlgorithm::Aes));
    rig.does(&symmetric(key_block, template)).await.unwrap().id()
}

/// A key that wraps and unwraps in this way.
async fn kek(rig: &Rig, parameters: CryptographicParameters) -> String {
    let uses = UsageMask::WRAP_KEY.with(UsageMask::UNWRAP_KEY);
    key(rig, &(0..32).collect::<Vec<u8>>(), attributes(uses, &[parameters], &[])).await
}

async fn data_key(rig: &Rig) -> String {
    key(rig, &DATA, attributes(UsageMask::ENCRYPT, &[], &[])).await
}

const DATA: [u8; 32] = [
    0x00, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88, 0x99, 0xaa, 0xbb, 0xcc, 0xdd, 0xee, 0xff, 0, 1, 2, 3, 4, 5,
    6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
];

fn named(id: &str, cryptographic_parameters: Option<CryptographicParameters>) -> Option<KeyInformation> {
    Some(KeyInformation { unique_identifier: id.to_owned(), cryptographic_parameters })
}

fn under(id: &str) -> KeyWrappingSpecification {
    KeyWrappingSpecification {
        wrapping_method: WrappingMethod::Encrypt,
        encryption_key_information: named(id, None),
        mac_signature_key_information: None,
        attribute_names: vec![],
        encoding_option: None,
    }
}

fn bare(id: &str) -> KeyWrappingSpecification {
    KeyWrappingSpecification { encoding_option: Some(EncodingOption::NoEncoding), ..under(id) }
}

fn get_as(id: &str, specification: KeyWrappingSpecification) -> Request<'_> {
    Request::Get(ops::get::Request { key_wrapping_specification: Some(specification), ..ops::get::Request::of(id) })
}

fn opened(id: &str) -> Request<'_> {
    Request::Get(ops::get::Request { key_wrap_type: Some(KeyWrapType::NotWrapped), ..ops::get::Request::of(id) })
}

async fn got(rig: &Rig, request: &Request<'_>) -> Result<KeyBlock, ResultReason> {
    let got = rig.does(request).await.map_err(|failure| failure.reason)?;
    let Answer::Get(answer) = got.answer() else { panic!("another answer") };
    Ok(answer.symmetric_key.unwrap().key_block)
}

/// RFC 3394 §4.6.
#[tokio::test]
async fn the_vector_of_rfc_3394_leaves_and_comes_back() {
    let rig = Rig::new().await;
    let (kek, data) = (kek(&rig, mode(BlockCipherMode::NistKeyWrap)).await, data_key(&rig).await);
    let block = got(&rig, &get_as(&data, bare(&kek))).await.unwrap();
    let wrapped = hex("28c9f404c4b810f4cbccb35cfb87f8263f5786e2d80ed326cbc7f0e71a99f43bfb988b9b7a02dd21");
    assert_eq!(block.material.expose(), wrapped);
    let told = block.key_wrapping_data.as_ref().unwrap();
    assert_eq!(told.encryption_key_information, named(&kek, Some(mode(BlockCipherMode::NistKeyWrap))));
    assert_eq!((told.iv_counter_nonce.as_ref(), told.encoding_option), (None, Some(EncodingOption::NoEncoding)));
    assert_eq!(
        (block.cryptographic_algorithm, block.cryptographic_length),
        (Some(CryptographicAlgorithm::Aes), Some(256))
    );
    let stored = rig.does(&symmetric(block, attributes(UsageMask::ENCRYPT, &[], &[]))).await.unwrap().id();
    let again = got(&rig, &get(&stored)).await.unwrap();
    assert_eq!((again.material.expose(), again.key_wrapping_data.is_some()), (&wrapped[..], true));
    let open = got(&rig, &opened(&stored)).await.unwrap();
    assert_eq!((open.material.expose(), open.key_wrapping_data.is_none()), (&DATA[..], true));
}

#[tokio::test]
async fn every_mode_that_encrypts_wraps_and_unwraps_with_attributes_inside() {
    use BlockCipherMode as B;
    let rig = Rig::new().await;
    let data = data_key(&rig).await;
    for how in [B::NistKeyWrap, B::AesKeyWrapPadding, B::Gcm, B::Cbc, B::Ctr] {
        let kek = kek(&rig, mode(how)).await;
        let mut specification = under(&kek);
        specification.attribute_names = vec!["Cryptographic Usage Mask".to_owned(), "Activation Date".to_owned()];
        let block = got(&rig, &get_as(&data, specification)).await.unwrap();
        assert!(!block.material.expose().windows(16).any(|window| window == &DATA[..16]), "{how}");
        assert!(block.attributes.is_empty());
        let needs_iv = !matches!(how, B::NistKeyWrap | B::AesKeyWrapPadding);
        assert_eq!(block.key_wrapping_data.as_ref().unwrap().iv_counter_nonce.is_some(), needs_iv, "{how}");
        let mut damaged = block.material.expose().to_vec();
        *damaged.last_mut().unwrap() ^= 1;
        let damaged = KeyBlock { material: KeyMaterial::new(damaged), ..copied(&block) };
        let stored = rig.does(&symmetric(block, attributes(UsageMask::ENCRYPT, &[], &[]))).await.unwrap().id();
        let open = got(&rig, &opened(&stored)).await.unwrap();
        assert_eq!(open.material.expose(), DATA, "{how}");
        let inside = [
            Attribute::new(StandardAttribute::CryptographicUsageMask, AttributeValue::Integer(UsageMask::ENCRYPT.0)),
            Attribute::new(StandardAttribute::ActivationDate, PAST),
        ];
        assert_eq!(open.attributes, inside);
        if how != B::Ctr {
            let stored = rig.does(&symmetric(damaged, attributes(UsageMask::ENCRYPT, &[], &[]))).await.unwrap().id();
            let reason = rig.reason(&opened(&stored)).await;
            assert!(matches!(reason, Some(ResultReason::CryptographicFailure | ResultReason::InvalidField)), "{how}");
        }
    }
}

fn copied(block: &KeyBlock) -> KeyBlock {
    KeyBlock {
        cryptographic_algorithm: block.cryptographic_algorithm,
        cryptographic_length: block.cryptographic_length,
        key_wrapping_data: block.key_wrapping_data.clone(),
        ..KeyBlock::new(block.key_format_type, KeyMaterial::from(block.material.expose()))
    }
}

#[tokio::test]
async fn an_rsa_key_wraps_with_its_public_half_and_unwraps_with_the_private() {
    let rig = Rig::new().await;
    let oaep = CryptographicParameters { padding_method: Some(PaddingMethod::Oaep), ..hash(HashingAlgorithm::Sha256) };
    let common = [
        (StandardAttribute::CryptographicAlgorithm, AttributeValue::Enumeration(CryptographicAlgorithm::Rsa.code())),
        (StandardAttribute::CryptographicLength, AttributeValue::Integer(2048)),
    ];
    let request = Request::CreateKeyPair(ops::create_key_pair::Request {
        common: Some(template(&common)),
        private_key: Some(attributes(UsageMask::UNWRAP_KEY, std::slice::from_ref(&oaep), &[])),
        public_key: Some(attributes(UsageMask::WRAP_KEY, &[oaep], &[])),
    });
    let made = rig.does(&request).await.unwrap();
    let Answer::CreateKeyPair(pair) = made.answer() else { panic!("another answer") };
    let data = data_key(&rig).await;
    let mut block = got(&rig, &get_as(&data, bare(pair.public_key_unique_identifier))).await.unwrap();
    assert_eq!(block.material.len(), 256);
    let told = block.key_wrapping_data.as_mut().unwrap().encryption_key_information.as_mut().unwrap();
    told.unique_identifier = pair.private_key_unique_identifier.to_owned();
    let stored = rig.does(&symmetric(block, attributes(UsageMask::ENCRYPT, &[], &[]))).await.unwrap().id();
    assert_eq!(got(&rig, &opened(&stored)).await.unwrap().material.expose(), DATA);
}

/// A pair of a curve that signs and verifies with SHA-256.
async fn signer(rig: &Rig) -> [String; 2] {
    let common = [
        (StandardAttribute::CryptographicAlgorithm, AttributeValue::Enumeration(CryptographicAlgorithm::Ec.code())),
        (StandardAttribute::CryptographicLength, AttributeValue::Integer(256)),
    ];
    let request = Request::CreateKeyPair(ops::create_key_pair::Request {
        common: Some(template(&common)),
        private_key: Some(attributes(UsageMask::SIGN, &[hash(HashingAlgorithm::Sha256)], &[])),
        public_key: Some(attributes(UsageMask::VERIFY, &[hash(HashingAlgorithm::Sha256)], &[])),
    });
    let made = rig.does(&request).await.unwrap();
    let Answer::CreateKeyPair(pair) = made.answer() else { panic!("another answer") };
    [pair.private_key_unique_identifier, pair.public_key_unique_identifier].map(str::to_owned)
}

#[tokio::test]
async fn a_mac_or_signature_goes_before_after_or_without_encryption_and_is_checked() {
    use WrappingMethod as W;
    let rig = Rig::new().await;
    let (kek, data) = (kek(&rig, mode(BlockCipherMode::Cbc)).await, data_key(&rig).await);
    let uses = UsageMask::MAC_GENERATE.with(UsageMask::MAC_VERIFY);
    let mac_key = key(&rig, &[9; 32], attributes(uses, &[hash(HashingAlgorithm::Sha384)], &[])).await;
    let [private, public] = signer(&rig).await;
    for (method, authenticator) in [
        (W::MacSign, &mac_key),
        (W::EncryptThenMacSign, &mac_key),
        (W::MacSignThenEncrypt, &mac_key),
        (W::MacSign, &private),
        (W::EncryptThenMacSign, &private),
        (W::MacSignThenEncrypt, &private),
    ] {
        let specification = KeyWrappingSpecification {
            wrapping_method: method,
            encryption_key_information: named(&kek, None).filter(|_| method != W::MacSign),
            mac_signature_key_information: named(authenticator, None),
            ..bare("")
        };
        let block = got(&rig, &get_as(&data, specification)).await.unwrap();
        assert_eq!(block.material.expose() == DATA, method == W::MacSign, "{method}");
        let told = block.key_wrapping_data.as_deref().unwrap();
        let mac = told.mac_signature.clone().unwrap();
        if method == W::MacSign && *authenticator == mac_key {
            let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA384, &[9; 32]);
            assert!(aws_lc_rs::hmac::verify(&key, &DATA, &mac).is_ok());
        }
        let mut forged = copied(&block);
        forged.key_wrapping_data.as_mut().unwrap().mac_signature.as_mut().unwrap()[20] ^= 1;
        let mut lacking = copied(&block);
        lacking.key_wrapping_data.as_mut().unwrap().mac_signature = None;
        for (block, outcome) in [
            (block, Ok(())),
            (forged, Err(ResultReason::CryptographicFailure)),
            (lacking, Err(ResultReason::InvalidField)),
        ] {
            let stored = rig.does(&symmetric(block, attributes(UsageMask::ENCRYPT, &[], &[]))).await.unwrap().id();
            let open = got(&rig, &opened(&stored)).await.map(|open| assert_eq!(open.material.expose(), DATA));
            assert_eq!(open, outcome, "{method}");
        }
    }
    rig.does(&revoke(&public, RevocationReasonCode::CessationOfOperation)).await.unwrap();
}

#[tokio::test]
async fn every_row_of_the_errors_of_get() {
    use {ResultReason as R, WrappingMethod as W};
    let rig = Rig::new().await;
    let nist = mode(BlockCipherMode::NistKeyWrap);
    let (good, data) = (kek(&rig, nist.clone()).await, data_key(&rig).await);
    let unwraps_alone = key(&rig, &[1; 32], attributes(UsageMask::UNWRAP_KEY, std::slice::from_ref(&nist), &[])).await;
    let unparametered = key(&rig, &[1; 32], attributes(UsageMask::WRAP_KEY, &[], &[])).await;
    let secret = rig.does(&register_seed(vec![1; 32])).await.unwrap().id();
    let with = |parameters| KeyWrappingSpecification {
        encryption_key_information: named(&good, Some(parameters)),
        ..under(&good)
    };
    let attributed = KeyWrappingSpecification { attribute_names: vec!["Name".to_owned()], ..bare(&good) };
    let unsigned = KeyWrappingSpecification { wrapping_method: W::EncryptThenMacSign, ..under(&good) };
    let signed = KeyWrappingSpecification {
        wrapping_method: W::MacSign,
        encryption_key_information: None,
        mac_signature_key_information: named(&good, None),
        ..under(&good)
    };
    let wrong = [
        (under("4d8f7b2c-0000-4000-8000-000000000000"), R::ItemNotFound),
        (under("no id"), R::ItemNotFound),
        (under(&secret), R::IllegalOperation),
        (under(&unwraps_alone), R::PermissionDenied),
        (under(&data), R::PermissionDenied),
        (under(&unparametered), R::ItemNotFound),
        (with(mode(BlockCipherMode::Gcm)), R::ItemNotFound),
        (attributed, R::EncodingOptionError),
        (unsigned, R::InvalidField),
        (signed, R::PermissionDenied),
        (KeyWrappingSpecification { wrapping_method: W::Tr31, ..under(&good) }, R::FeatureNotSupported),
        (KeyWrappingSpecification { wrapping_method: W::MacSign, ..under(&good) }, R::InvalidField),
        (KeyWrappingSpecification { encryption_key_information: None, ..under(&good) }, R::InvalidField),
    ];
    for (specification, reason) in wrong {
        let words = format!("{specification:?}");
        assert_eq!(rig.reason(&get_as(&data, specification)).await, Some(reason), "{words}");
    }
    assert_eq!(rig.reason(&get_as(&data, with(nist))).await, None, "the parameters match");
    let transparent = Request::Get(ops::get::Request {
        key_format_type: Some(KeyFormatType::TransparentSymmetricKey),
        key_wrapping_specification: Some(bare(&good)),
        ..ops::get::Request::of(&data)
    });
    assert_eq!(rig.reason(&transparent).await, Some(R::EncodingOptionError));
    let block = got(&rig, &get_as(&data, bare(&good))).await.unwrap();
    let stored = rig.does(&symmetric(block, attributes(UsageMask::ENCRYPT, &[], &[]))).await.unwrap().id();
    assert_eq!(rig.reason(&get_as(&stored, bare(&good))).await, Some(R::IllegalOperation), "it is wrapped already");
    let again = Request::Get(ops::get::Request {
        key_wrap_type: Some(KeyWrapType::NotWrapped),
        key_wrapping_specification: Some(bare(&good)),
        ..ops::get::Request::of(&stored)
    });
    let again = got(&rig, &again).await.unwrap();
    assert_eq!(again.material.expose(), got(&rig, &get(&stored)).await.unwrap().material.expose());
}

#[tokio::test]
async fn a_sensitive_key_leaves_wrapped_and_one_that_is_not_extractable_never() {
    let rig = Rig::new().await;
    let kek = kek(&rig, mode(BlockCipherMode::NistKeyWrap)).await;
    let on = |name, on| [(name, AttributeValue::Boolean(on))];
    let sensitive =
        key(&rig, &DATA, attributes(UsageMask::ENCRYPT, &[], &on(StandardAttribute::Sensitive, true))).await;
    assert_eq!(rig.reason(&get(&sensitive)).await, Some(ResultReason::Sensitive));
    assert_eq!(got(&rig, &get_as(&sensitive, bare(&kek))).await.unwrap().material.len(), 40);
    let never = key(&rig, &DATA, attributes(UsageMask::ENCRYPT, &[], &on(StandardAttribute::Extractable, false))).await;
    assert_eq!(rig.reason(&get_as(&never, bare(&kek))).await, Some(ResultReason::NotExtractable));
}

#[tokio::test]
async fn what_a_key_wraps_counts_and_policy_is_asked_about_it() {
    let rig = Rig::new().await;
    let limits = UsageLimits { total: LongInteger(2), count: None, unit: Enumeration(2) };
    let limited = [(StandardAttribute::UsageLimits, AttributeValue::UsageLimits(limits))];
    let nist = [mode(BlockCipherMode::NistKeyWrap)];
    let kek = key(&rig, &[1; 32], attributes(UsageMask::WRAP_KEY, &nist, &limited)).await;
    let data = data_key(&rig).await;
    for reason in [None, None, Some(ResultReason::PermissionDenied)] {
        assert_eq!(rig.reason(&get_as(&data, bare(&kek))).await, reason);
    }
    let other = key(&rig, &[1; 32], attributes(UsageMask::WRAP_KEY, &nist, &[])).await;
    assert_eq!(rig.reason(&get_as(&data, bare(&other))).await, None);
    let forbid =
        r#"@id("no-encryption") forbid (principal is Client, action == Action::"encrypt", resource is KeyObject);"#;
    rig.decree(forbid);
    assert_eq!(rig.reason(&get(&data)).await, None);
    assert_eq!(rig.reason(&get_as(&data, bare(&other))).await, Some(ResultReason::PermissionDenied));
    let (_, lines) = rig.audit().await;
    let gets = lines.lines().filter(|line| line.contains(r#""op":"Get""#));
    assert!(
        gets.clone().count() > 4 && gets.clone().all(|line| line.contains(&data)),
        "the audit names what was asked for"
    );
}

/// A key of 256 bits that another server has wrapped.
pub(super) fn wrapped() -> KeyBlock {
    let data = kmip::KeyWrappingData {
        wrapping_method: WrappingMethod::Encrypt,
        encryption_key_information: named("elsewhere", None),
        mac_signature_key_information: None,
        mac_signature: None,
        iv_counter_nonce: Some(vec![5; 16]),
        encoding_option: None,
    };
    let mut block = block(KeyFormatType::Raw, vec![7; 40], Some(CryptographicAlgorithm::Aes));
    block.cryptographic_length = Some(256);
    block.key_wrapping_data = Some(Box::new(data));
    block
}

/// A key that came wrapped and is stored so.
pub(super) async fn stored_wrapped(rig: &Rig, uses: UsageMask) -> String {
    rig.does(&symmetric(wrapped(), attributes(uses, &[], &[]))).await.unwrap().id()
}

#[tokio::test]
async fn a_key_that_came_wrapped_stays_so_and_is_used_for_nothing() {
    let rig = Rig::new().await;
    let uses = UsageMask::ENCRYPT;
    let id = stored_wrapped(&rig, uses).await;
    let block = got(&rig, &get(&id)).await.unwrap();
    assert_eq!(block.key_wrapping_data, wrapped().key_wrapping_data);
    assert_eq!((block.key_format_type, block.material.expose()), (KeyFormatType::Raw, &[7; 40][..]));
    assert_eq!(rig.reason(&opened(&id)).await, Some(ResultReason::ItemNotFound));
    assert_eq!(rig.reason(&encrypt(&id, gcm(), b"text")).await, Some(ResultReason::PermissionDenied));
    let digest = ops::get_attributes::Request { unique_identifier: Some(&id), attribute_names: vec!["Digest"] };
    let answer = rig.does(&Request::GetAttributes(digest)).await.unwrap();
    let Answer::GetAttributes(answer) = answer.answer() else { panic!("another answer") };
    assert!(answer.attributes.is_empty(), "nobody knows the key");
    let other = ops::get::Request {
        key_format_type: Some(KeyFormatType::TransparentSymmetricKey),
        ..ops::get::Request::of(&id)
    };
    assert_eq!(rig.reason(&Request::Get(other)).await, Some(ResultReason::KeyFormatTypeNotSupported));
    let nameless = KeyBlock { cryptographic_length: None, ..wrapped() };
    assert_eq!(rig.reason(&symmetric(nameless, attributes(uses, &[], &[]))).await, Some(ResultReason::InvalidField));
    let object = ManagedObject::PublicKey(PublicKey {
        key_block: KeyBlock { key_format_type: KeyFormatType::X509, ..wrapped() },
    });
    let public = Request::Register(ops::register::Request::of(object, attributes(UsageMask::VERIFY, &[], &[])));
    let id = rig.does(&public).await.unwrap().id();
    assert_eq!(rig.reason(&get(&id)).await, None);
}
