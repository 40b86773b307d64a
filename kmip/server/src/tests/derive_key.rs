//! Derive Key: known answers over the wire, who may derive from what, and what both objects know of each other.

use custody::object::ObjectMeta;
use kmip::{
    Attribute, AttributeValue, CryptographicParameters, KeyMaterial, ManagedObject, ResultReason, SecretData,
    ops::{self, Answer, Request, derive_key::DerivationParameters},
    tables::{
        BlockCipherMode, CryptographicAlgorithm, DerivationMethod, HashingAlgorithm, KeyFormatType, LinkType,
        ObjectType, PaddingMethod, RevocationReasonCode, SecretDataType, StandardAttribute, UsageMask,
    },
};

use super::{archive::archive, block, get, revoke, template, wrap};
use crate::rig::{Rig, START_S};

use DerivationMethod as D;
use StandardAttribute as A;

const PAST: (A, AttributeValue) = (A::ActivationDate, AttributeValue::DateTime(START_S - 10));

fn mask(uses: UsageMask) -> (A, AttributeValue) {
    (A::CryptographicUsageMask, AttributeValue::Integer(uses.0))
}

fn own(parameters: &CryptographicParameters) -> (A, AttributeValue) {
    (A::CryptographicParameters, AttributeValue::CryptographicParameters(parameters.clone()))
}

fn by_hash(hash: HashingAlgorithm) -> CryptographicParameters {
    CryptographicParameters { hashing_algorithm: Some(hash), ..CryptographicParameters::default() }
}

fn by_mode(mode: BlockCipherMode) -> CryptographicParameters {
    CryptographicParameters {
        block_cipher_mode: Some(mode),
        padding_method: Some(PaddingMethod::None),
        ..CryptographicParameters::default()
    }
}

/// A Symmetric Key, active and for derivation, with `extra` attributes.
async fn key(rig: &Rig, algorithm: CryptographicAlgorithm, bytes: Vec<u8>, extra: &[(A, AttributeValue)]) -> String {
    let key = kmip::SymmetricKey { key_block: block(KeyFormatType::Raw, bytes, Some(algorithm)) };
    let attributes = [&[PAST, mask(UsageMask::DERIVE_KEY)], extra].concat();
    let request = ops::register::Request::of(ManagedObject::SymmetricKey(key), template(&attributes));
    rig.does(&Request::Register(request)).await.unwrap().id()
}

async fn secret(rig: &Rig, bytes: &[u8], attributes: &[(A, AttributeValue)]) -> String {
    let key_block = block(KeyFormatType::Opaque, bytes.to_vec(), None);
    let secret = SecretData { secret_data_type: SecretDataType::Password, key_block };
    let request = ops::register::Request::of(ManagedObject::SecretData(secret), template(attributes));
    rig.does(&Request::Register(request)).await.unwrap().id()
}

pub(super) async fn password(rig: &Rig, bytes: &[u8]) -> String {
    secret(rig, bytes, &[PAST, mask(UsageMask::DERIVE_KEY)]).await
}

/// Asks for secret data of so many bytes.
pub(super) fn ask<'a>(ids: &[&'a str], method: D, parameters: DerivationParameters<'a>, bytes: i32) -> Request<'a> {
    Request::DeriveKey(ops::derive_key::Request {
        object_type: ObjectType::SecretData,
        unique_identifiers: ids.to_vec(),
        derivation_method: method,
        derivation_parameters: parameters,
        template_attribute: template(&[(A::CryptographicLength, AttributeValue::Integer(bytes * 8))]),
    })
}

fn data(data: &[u8]) -> DerivationParameters<'_> {
    DerivationParameters { derivation_data: Some(data), ..DerivationParameters::default() }
}

pub(super) fn pbkdf2(salt: &[u8], iterations: i32) -> DerivationParameters<'_> {
    DerivationParameters { salt: Some(salt), iteration_count: Some(iterations), ..DerivationParameters::default() }
}

async fn made(rig: &Rig, request: &Request<'_>) -> String {
    let got = rig.does(request).await.unwrap();
    let Answer::DeriveKey(answer) = got.answer() else { panic!("another answer") };
    answer.unique_identifier.to_owned()
}

async fn bytes(rig: &Rig, id: &str) -> Vec<u8> {
    let got = rig.does(&get(id)).await.unwrap();
    let Answer::Get(answer) = got.answer() else { panic!("another answer") };
    let symmetric = answer.symmetric_key.map(|key| key.key_block);
    let material: KeyMaterial = symmetric.or(answer.secret_data.map(|secret| secret.key_block)).unwrap().material;
    material.expose().to_vec()
}

/// What the request derives, in hexadecimal digits.
async fn derived(rig: &Rig, request: &Request<'_>) -> String {
    let id = made(rig, request).await;
    bytes(rig, &id).await.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn meta(rig: &Rig, id: &str) -> ObjectMeta {
    let (keyring, caller) = (rig.server.keyring(), &rig.caller);
    keyring.object(caller.tenant(), caller.system(), id.parse().unwrap()).unwrap().meta
}

fn links(rig: &Rig, id: &str, kind: LinkType) -> Vec<String> {
    meta(rig, id).links.iter().filter(|link| link.kind == kind.code()).map(|link| link.to.clone()).collect()
}

const INVALID: Option<ResultReason> = Some(ResultReason::InvalidField);

/// RFC 6070.
#[tokio::test]
async fn a_password_gives_what_the_rfc_says() {
    let rig = Rig::new().await;
    let id = password(&rig, b"password").await;
    let sha_1 = ask(&[&id], D::Pbkdf2, pbkdf2(b"salt", 4096), 20);
    assert_eq!(derived(&rig, &sha_1).await, "4b007901b765489abead49d926f721d065a429c1");
    let of_256 = DerivationParameters {
        cryptographic_parameters: Some(by_hash(HashingAlgorithm::Sha256)),
        ..pbkdf2(b"salt", 1)
    };
    // RFC 7914 §11 has it of other words; this is Python's hashlib.
    let of_256 = derived(&rig, &ask(&[&id], D::Pbkdf2, of_256, 32)).await;
    assert_eq!(of_256, "120fb6cffcf8b32c43e7225256c4f837a86548c92ccc35480805987cb70be17b");
}

#[tokio::test]
async fn what_an_iteration_count_may_be_is_bounded() {
    let rig = Rig::new().await;
    let id = password(&rig, b"password").await;
    for (salt, iterations, bytes) in
        [(4, 0, 20), (4, -1, 20), (4, i32::MAX, 20), (4, 5_000_001, 40), (1_025, 1, 20), (4, 1, 4_097)]
    {
        let salt = vec![0; salt];
        let request = ask(&[&id], D::Pbkdf2, pbkdf2(&salt, iterations), bytes);
        assert_eq!(rig.reason(&request).await, INVALID, "{iterations} {bytes}");
    }
    let nothing = DerivationParameters::default();
    assert_eq!(rig.reason(&ask(&[&id], D::Pbkdf2, nothing, 20)).await, INVALID);
    let both = DerivationParameters { derivation_data: Some(b"x"), ..pbkdf2(b"salt", 1) };
    assert_eq!(rig.reason(&ask(&[&id], D::Pbkdf2, both, 20)).await, Some(ResultReason::InvalidMessage));
}

#[tokio::test]
async fn others_are_served_while_a_password_is_stretched() {
    let rig = Rig::new().await;
    let id = password(&rig, b"password").await;
    let long = ask(&[&id], D::Pbkdf2, pbkdf2(b"salt", 100_000), 20);
    let turns = std::sync::atomic::AtomicUsize::new(0);
    // One thread: the other task has a turn after each step.
    let other = async {
        loop {
            turns.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        done = rig.does(&long) => assert!(done.is_ok()),
        () = other => {}
    }
    // A hundred steps have 99 turns between them; how many there are while the disk is waited for, the disk says.
    assert!(turns.load(std::sync::atomic::Ordering::SeqCst) >= 99);
}

/// NIST CAVP, counter mode with HMAC-SHA-256, count 0.
#[tokio::test]
async fn an_hmac_key_says_itself_by_which_function_it_derives() {
    let rig = Rig::new().await;
    let base: Vec<u8> = (0..32).collect();
    let id = key(&rig, CryptographicAlgorithm::HmacSha256, base.clone(), &[]).await;
    let tag = aws_lc_rs::hmac::sign(&aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &base), b"data");
    let tag: String = tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    // "The Cryptographic Parameters are ignored."
    let ignored =
        DerivationParameters { cryptographic_parameters: Some(by_hash(HashingAlgorithm::Sha512)), ..data(b"data") };
    assert_eq!(derived(&rig, &ask(&[&id], D::Hmac, ignored, 32)).await, tag);
    let short = derived(&rig, &ask(&[&id], D::Hmac, data(b"data"), 16)).await;
    assert!(short.len() == 32 && tag.starts_with(&short));
    let longer = ask(&[&id], D::Hmac, data(b"data"), 33);
    assert_eq!(rig.reason(&longer).await, Some(ResultReason::CryptographicFailure));
    for (method, expected) in [(D::Nist800108C, 40), (D::Nist800108F, 40), (D::Nist800108Dpi, 100)] {
        let text = derived(&rig, &ask(&[&id], method, data(b"data"), expected)).await;
        assert_eq!(text.len(), 2 * usize::try_from(expected).unwrap(), "{method}");
    }
    let nist = "dd1d91b7d90b2bd3138533ce92b272fbf8a369316aefe242e659cc0ae238afe0";
    let hex = |text: &str| -> Vec<u8> {
        text.as_bytes().chunks(2).map(|pair| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    };
    let id = key(&rig, CryptographicAlgorithm::HmacSha256, hex(nist), &[]).await;
    let fixed = hex(
        "01322b96b30acd197979444e468e1c5c6859bf1b1cf951b7e725303e237e46b864a145fab25e517b08f8683d0315bb2911d80a0e8aba17f3b413faac",
    );
    let counter = ask(&[&id], D::Nist800108C, data(&fixed), 16);
    assert_eq!(derived(&rig, &counter).await, "10621342bfb0fd40046c0e29f2cfdbf0");
}

#[tokio::test]
async fn another_key_derives_only_as_its_own_parameters_say() {
    let rig = Rig::new().await;
    let (aes, ecb, cbc) = (CryptographicAlgorithm::Aes, by_mode(BlockCipherMode::Ecb), by_mode(BlockCipherMode::Cbc));
    let id = key(&rig, aes, vec![7; 16], &[own(&ecb), own(&by_hash(HashingAlgorithm::Sha256))]).await;
    let with = |parameters: &CryptographicParameters| DerivationParameters {
        cryptographic_parameters: Some(parameters.clone()),
        ..data(&[1; 32])
    };
    let first = derived(&rig, &ask(&[&id], D::Encrypt, data(&[1; 32]), 32)).await;
    assert_eq!(first, derived(&rig, &ask(&[&id], D::Encrypt, with(&ecb), 32)).await, "the lowest index without any");
    let (one, other) = first.split_at(32);
    assert_eq!(one, other, "it is ECB");
    let iv = DerivationParameters { initialization_vector: Some(&[0; 16]), ..with(&cbc) };
    assert_eq!(rig.reason(&ask(&[&id], D::Encrypt, iv, 32)).await, INVALID, "the key is not for CBC");
    let hashed = DerivationParameters {
        cryptographic_parameters: Some(by_hash(HashingAlgorithm::Sha256)),
        ..DerivationParameters::default()
    };
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &[7; 16]);
    let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(derived(&rig, &ask(&[&id], D::Hash, hashed, 32)).await, digest);
    let bare = key(&rig, aes, vec![7; 16], &[]).await;
    assert_eq!(rig.reason(&ask(&[&bare], D::Encrypt, with(&ecb), 32)).await, INVALID);
    let gcm = key(&rig, aes, vec![7; 16], &[own(&by_mode(BlockCipherMode::Gcm))]).await;
    let by_gcm = ask(&[&gcm], D::Encrypt, data(&[1; 32]), 16);
    assert_eq!(rig.reason(&by_gcm).await, Some(ResultReason::FeatureNotSupported));
    let asymmetric = ask(&[&id], D::AsymmetricKey, data(b"x"), 16);
    assert_eq!(rig.reason(&asymmetric).await, Some(ResultReason::FeatureNotSupported));
}

#[tokio::test]
async fn data_may_stand_in_an_object_and_are_given_once() {
    let rig = Rig::new().await;
    let id = key(&rig, CryptographicAlgorithm::HmacSha256, vec![7; 32], &[]).await;
    let other = key(&rig, CryptographicAlgorithm::HmacSha256, vec![8; 32], &[]).await;
    let stored = password(&rig, b"data").await;
    let given = derived(&rig, &ask(&[&id], D::Hmac, data(b"data"), 32)).await;
    for ids in [[&*id, &*stored], [&stored, &id]] {
        let request = ask(&ids, D::Hmac, DerivationParameters::default(), 32);
        assert_eq!(derived(&rig, &request).await, given);
    }
    let ambiguous = Some(ResultReason::InvalidMessage);
    assert_eq!(rig.reason(&ask(&[&id, &stored], D::Hmac, data(b"data"), 32)).await, ambiguous);
    assert_eq!(rig.reason(&ask(&[&stored], D::Hmac, data(b"data"), 32)).await, ambiguous);
    assert_eq!(rig.reason(&ask(&[], D::Hmac, data(b"data"), 32)).await, ambiguous, "no ID Placeholder");
    let none = DerivationParameters::default;
    for ids in [vec![&*id], vec![&id, &other], vec![&id, &id], vec![&id, &stored, &other]] {
        assert_eq!(rig.reason(&ask(&ids, D::Hmac, none(), 32)).await, INVALID, "{ids:?}");
    }
    let long = vec![0; 16 * 1024 + 1];
    assert_eq!(rig.reason(&ask(&[&id], D::Nist800108C, data(&long), 32)).await, INVALID);
}

#[tokio::test]
async fn only_what_is_active_and_may_derive_does() {
    let rig = Rig::new().await;
    let waiting = secret(&rig, b"password", &[mask(UsageMask::DERIVE_KEY)]).await;
    let ask_of = |id| ask(&[id], D::Pbkdf2, pbkdf2(b"salt", 1), 20);
    assert_eq!(rig.reason(&ask_of(&waiting)).await, INVALID, "not active yet");
    let other = secret(&rig, b"password", &[PAST, mask(UsageMask::ENCRYPT)]).await;
    assert_eq!(rig.reason(&ask_of(&other)).await, INVALID, "not for derivation");
    let id = password(&rig, b"password").await;
    assert_eq!(rig.reason(&ask_of(&id)).await, None);
    rig.does(&revoke(&id, RevocationReasonCode::Superseded)).await.unwrap();
    assert_eq!(rig.reason(&ask_of(&id)).await, INVALID, "deactivated");
    let absent = "0b0e9c8a-0000-4000-8000-000000000000";
    assert_eq!(rig.reason(&ask_of(absent)).await, Some(ResultReason::ItemNotFound));
    let (_, public) = super::rsa::pair(&rig).await;
    assert_eq!(rig.reason(&ask_of(&public)).await, INVALID, "a public key");
}

#[tokio::test]
async fn base_and_derived_key_name_each_other_and_the_key_is_one() {
    let rig = Rig::new().await;
    let id = password(&rig, b"password").await;
    let aes = |bits| {
        let attributes = [
            (A::CryptographicAlgorithm, AttributeValue::Enumeration(CryptographicAlgorithm::Aes.code())),
            (A::CryptographicLength, AttributeValue::Integer(bits)),
            mask(UsageMask::ENCRYPT),
            (A::Name, AttributeValue::name("derived")),
        ];
        Request::DeriveKey(ops::derive_key::Request {
            object_type: ObjectType::SymmetricKey,
            unique_identifiers: vec![&id],
            derivation_method: D::Pbkdf2,
            derivation_parameters: pbkdf2(b"salt", 1),
            template_attribute: template(&attributes),
        })
    };
    assert_eq!(rig.reason(&aes(160)).await, INVALID, "no AES key has 160 bits");
    let new = made(&rig, &aes(128)).await;
    assert_eq!(bytes(&rig, &new).await.len(), 16);
    assert_eq!(links(&rig, &id, LinkType::DerivedKeyLink), [new.as_str()]);
    assert_eq!(links(&rig, &new, LinkType::DerivationBaseObjectLink), [id.as_str()]);
    assert_eq!(rig.reason(&aes(128)).await, INVALID, "the name is taken");
    let dates = meta(&rig, &new).dates;
    assert_eq!((dates.original_creation, dates.initial), (Some(START_S), Some(START_S)));
    let no_length = Request::DeriveKey(ops::derive_key::Request {
        object_type: ObjectType::SecretData,
        unique_identifiers: vec![&id],
        derivation_method: D::Pbkdf2,
        derivation_parameters: pbkdf2(b"salt", 1),
        template_attribute: template(&[]),
    });
    assert_eq!(rig.reason(&no_length).await, INVALID);
}

#[tokio::test]
async fn what_is_derived_counts_as_use() {
    let rig = Rig::new().await;
    let limits = kmip::UsageLimits {
        total: kmip::ttlv::LongInteger(40),
        count: None,
        unit: kmip::ttlv::Enumeration(kmip::tables::UsageLimitsUnit::Byte.code()),
    };
    let limited =
        [Attribute::new(A::UsageLimits, AttributeValue::UsageLimits(limits))].map(|one| (A::UsageLimits, one.value));
    let id = key(&rig, CryptographicAlgorithm::HmacSha256, vec![7; 32], &limited).await;
    let request = ask(&[&id], D::Hmac, data(b"x"), 32);
    assert_eq!(rig.reason(&request).await, None);
    assert_eq!(rig.reason(&request).await, Some(ResultReason::PermissionDenied));
    assert_eq!(links(&rig, &id, LinkType::DerivedKeyLink).len(), 1);
}

#[tokio::test]
async fn from_what_is_archived_or_stored_wrapped_nothing_is_derived() {
    let rig = Rig::new().await;
    let wrapped = wrap::stored_wrapped(&rig, UsageMask::DERIVE_KEY).await;
    let ask_of = |id| ask(&[id], D::Pbkdf2, pbkdf2(b"salt", 1), 20);
    assert_eq!(rig.reason(&ask_of(&wrapped)).await, INVALID);
    let id = key(&rig, CryptographicAlgorithm::HmacSha256, vec![7; 32], &[]).await;
    let stored = password(&rig, b"data").await;
    rig.does(&archive(&stored)).await.unwrap();
    let archived = Some(ResultReason::ObjectArchived);
    assert_eq!(rig.reason(&ask_of(&stored)).await, archived);
    let request = ask(&[&id, &stored], D::Hmac, DerivationParameters::default(), 32);
    assert_eq!(rig.reason(&request).await, archived, "its data");
    assert_eq!(links(&rig, &id, LinkType::DerivedKeyLink).len(), 0);
}

#[tokio::test]
async fn a_base_names_a_limited_number_of_derived_objects() {
    let rig = Rig::new().await;
    let id = password(&rig, b"password").await;
    let (keyring, caller) = (rig.server.keyring(), &rig.caller);
    let full = |meta: &mut ObjectMeta| {
        for number in 0..511 {
            let link = custody::object::Link { kind: LinkType::DerivedKeyLink.code(), to: number.to_string() };
            meta.links.push(link);
        }
        Ok::<(), custody::Error>(())
    };
    keyring.update(caller.tenant(), caller.system(), id.parse().unwrap(), full).await.unwrap();
    let request = ask(&[&id], D::Pbkdf2, pbkdf2(b"salt", 1), 20);
    assert_eq!(rig.reason(&request).await, None);
    assert_eq!(rig.reason(&request).await, Some(ResultReason::IndexOutOfBounds));
    assert_eq!(links(&rig, &id, LinkType::DerivedKeyLink).len(), 512);
}
