//! RSA keys on the wire: pairs that are made, halves that are brought, what they do and what they refuse.

use kmip::{
    OpaqueObject, PrivateKey, PublicKey,
    tables::{HashingAlgorithm, LinkType, UsageMask, ValidityIndicator},
    ttlv::Enumeration,
};

use super::*;

const PAST: AttributeValue = AttributeValue::DateTime(START_S - 3600);

fn mask(uses: UsageMask) -> (StandardAttribute, AttributeValue) {
    (StandardAttribute::CryptographicUsageMask, AttributeValue::Integer(uses.0))
}

fn parameters(padding: PaddingMethod, hash: HashingAlgorithm) -> CryptographicParameters {
    CryptographicParameters {
        padding_method: Some(padding),
        hashing_algorithm: Some(hash),
        ..CryptographicParameters::default()
    }
}

fn common(bits: i32) -> TemplateAttribute {
    let rsa = AttributeValue::Enumeration(CryptographicAlgorithm::Rsa.code());
    template(&[
        (StandardAttribute::CryptographicAlgorithm, rsa),
        (StandardAttribute::CryptographicLength, AttributeValue::Integer(bits)),
        (StandardAttribute::ActivationDate, PAST),
    ])
}

fn pair_of(common: TemplateAttribute, private: UsageMask, public: UsageMask) -> Request<'static> {
    Request::CreateKeyPair(ops::create_key_pair::Request {
        common: Some(common),
        private_key: Some(template(&[mask(private)])),
        public_key: Some(template(&[mask(public)])),
    })
}

/// The ids of a new active pair that does everything.
pub(super) async fn pair(rig: &Rig) -> (String, String) {
    let private = UsageMask::SIGN.with(UsageMask::DECRYPT);
    let public = UsageMask::VERIFY.with(UsageMask::ENCRYPT);
    let got = rig.does(&pair_of(common(2048), private, public)).await.unwrap();
    match got.answer() {
        Answer::CreateKeyPair(answer) => {
            (answer.private_key_unique_identifier.to_owned(), answer.public_key_unique_identifier.to_owned())
        }
        _ => panic!("another answer"),
    }
}

fn sign<'a>(id: &'a str, parameters: CryptographicParameters, data: &'a [u8]) -> Request<'a> {
    Request::Sign(ops::sign::Request {
        unique_identifier: Some(id),
        cryptographic_parameters: Some(parameters),
        data: Some(data),
        digested_data: None,
        correlation_value: None,
        init_indicator: None,
        final_indicator: None,
    })
}

fn verify<'a>(id: &'a str, parameters: CryptographicParameters, data: &'a [u8], signature: &'a [u8]) -> Request<'a> {
    Request::SignatureVerify(ops::signature_verify::Request {
        unique_identifier: Some(id),
        cryptographic_parameters: Some(parameters),
        data: Some(data),
        digested_data: None,
        signature_data: Some(signature),
        correlation_value: None,
        init_indicator: None,
        final_indicator: None,
    })
}

fn open<'a>(id: &'a str, parameters: CryptographicParameters, data: &'a [u8]) -> Request<'a> {
    Request::Decrypt(ops::decrypt::Request {
        unique_identifier: Some(id),
        cryptographic_parameters: Some(parameters),
        data: Some(data),
        iv_counter_nonce: None,
        correlation_value: None,
        init_indicator: None,
        final_indicator: None,
        additional_data: None,
        authentication_tag: None,
    })
}

/// What the operation computed.
async fn bytes(rig: &Rig, request: &Request<'_>) -> Vec<u8> {
    match rig.does(request).await.unwrap().answer() {
        Answer::Sign(answer) => answer.signature_data.unwrap().to_vec(),
        Answer::Encrypt(answer) => answer.data.unwrap().to_vec(),
        Answer::Decrypt(answer) => answer.data.unwrap().to_vec(),
        Answer::Get(answer) => {
            let block = answer.private_key.map(|key| key.key_block).or(answer.public_key.map(|key| key.key_block));
            block.unwrap().material.expose().to_vec()
        }
        _ => panic!("another answer"),
    }
}

async fn is_valid(rig: &Rig, request: &Request<'_>) -> bool {
    match rig.does(request).await.unwrap().answer() {
        Answer::SignatureVerify(answer) => answer.validity_indicator == ValidityIndicator::Valid,
        _ => panic!("another answer"),
    }
}

/// The halves belong to each other.
pub(super) async fn signs_for(rig: &Rig, private: &str, public: &str) {
    let named = parameters(PaddingMethod::Pss, HashingAlgorithm::Sha256);
    let signature = bytes(rig, &sign(private, named.clone(), b"text")).await;
    assert!(is_valid(rig, &verify(public, named, b"text", &signature)).await);
}

fn brought(private: bool, format: KeyFormatType, der: Vec<u8>, uses: UsageMask) -> Request<'static> {
    let key_block = block(format, der, Some(CryptographicAlgorithm::Rsa));
    let object = match private {
        true => ManagedObject::PrivateKey(PrivateKey { key_block }),
        false => ManagedObject::PublicKey(PublicKey { key_block }),
    };
    let attributes = template(&[mask(uses), (StandardAttribute::ActivationDate, PAST)]);
    Request::Register(ops::register::Request::of(object, attributes))
}

#[tokio::test]
async fn a_pair_signs_and_verifies_and_names_its_halves() {
    use {HashingAlgorithm as H, PaddingMethod as P};
    let rig = Rig::new().await;
    let (private, public) = pair(&rig).await;
    for (id, kind, other) in
        [(&private, LinkType::PublicKeyLink, &public), (&public, LinkType::PrivateKeyLink, &private)]
    {
        let request = ops::get_attributes::Request { unique_identifier: Some(id), attribute_names: vec!["Link"] };
        let got = rig.does(&Request::GetAttributes(request)).await.unwrap();
        let Answer::GetAttributes(answer) = got.answer() else { panic!("another answer") };
        let link = kmip::Link { kind, linked_object_identifier: other.clone() };
        assert_eq!(answer.attributes, [Attribute::new(StandardAttribute::Link, AttributeValue::Link(link))]);
    }
    let longest = CryptographicParameters { salt_length: Some(222), ..parameters(P::Pss, H::Sha256) };
    for named in
        [parameters(P::Pss, H::Sha256), longest, parameters(P::Pss, H::Sha512), parameters(P::Pkcs1V15, H::Sha384)]
    {
        let signature = bytes(&rig, &sign(&private, named.clone(), b"text")).await;
        assert_eq!(signature.len(), 256);
        assert!(is_valid(&rig, &verify(&public, named.clone(), b"text", &signature)).await, "{named:?}");
        assert!(!is_valid(&rig, &verify(&public, named.clone(), b"Text", &signature)).await);
        let mut damaged = signature.clone();
        damaged[9] ^= 1;
        assert!(!is_valid(&rig, &verify(&public, named.clone(), b"text", &damaged)).await);
        assert!(!is_valid(&rig, &verify(&public, named, b"text", &signature[1..])).await);
    }
    let short = CryptographicParameters { salt_length: Some(32), ..parameters(P::Pss, H::Sha256) };
    let long = CryptographicParameters { salt_length: Some(222), ..short.clone() };
    let signature = bytes(&rig, &sign(&private, short, b"text")).await;
    assert!(
        !is_valid(&rig, &verify(&public, long, b"text", &signature)).await,
        "the salt that is named is the only one"
    );
}

#[tokio::test]
async fn a_digest_stands_for_its_data() {
    let rig = Rig::new().await;
    let (private, public) = pair(&rig).await;
    let named = parameters(PaddingMethod::Pss, HashingAlgorithm::Sha256);
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, b"text");
    let digest = digest.as_ref();
    let of = |data, digested_data| {
        Request::Sign(ops::sign::Request {
            unique_identifier: Some(&private),
            cryptographic_parameters: Some(named.clone()),
            data,
            digested_data,
            correlation_value: None,
            init_indicator: None,
            final_indicator: None,
        })
    };
    let signature = bytes(&rig, &of(None, Some(digest))).await;
    assert!(is_valid(&rig, &verify(&public, named.clone(), b"text", &signature)).await);
    assert_eq!(rig.reason(&of(Some(b"text"), Some(digest))).await, Some(ResultReason::InvalidField));
    assert_eq!(rig.reason(&of(None, None)).await, Some(ResultReason::InvalidMessage));
    assert_eq!(rig.reason(&of(None, Some(&digest[1..]))).await, Some(ResultReason::CryptographicFailure));
}

#[tokio::test]
async fn what_one_half_encrypts_the_other_decrypts_and_damage_says_nothing() {
    use {HashingAlgorithm as H, PaddingMethod as P};
    let rig = Rig::new().await;
    let (private, public) = pair(&rig).await;
    let label =
        |label: &[u8]| CryptographicParameters { p_source: Some(label.to_vec()), ..parameters(P::Oaep, H::Sha256) };
    let sealed = bytes(&rig, &encrypt(&public, label(b"one"), b"text")).await;
    assert_eq!(bytes(&rig, &open(&private, label(b"one"), &sealed)).await, b"text");
    let mut damaged = sealed.clone();
    damaged[100] ^= 1;
    let wrong = [
        open(&private, label(b"one"), &damaged),
        open(&private, label(b"two"), &sealed),
        open(&private, label(b""), &sealed),
        open(&private, parameters(P::Oaep, H::Sha1), &sealed),
        open(&private, label(b"one"), &sealed[1..]),
        open(&private, label(b"one"), &[0; 256]),
        open(&private, label(b"one"), &[0xff; 256]),
    ];
    let mut words = vec![];
    for request in &wrong {
        let failure = rig.does(request).await.unwrap_err();
        assert_eq!(failure.reason, ResultReason::CryptographicFailure);
        words.push(failure.message);
    }
    assert!(words.windows(2).all(|two| two[0] == two[1]), "{words:?}");
    let long = [0; 191];
    let reason = rig.reason(&encrypt(&public, label(b""), &long)).await;
    assert_eq!(reason, Some(ResultReason::CryptographicFailure), "190 bytes are the most for SHA-256 and 2,048 bits");
    assert_eq!(
        bytes(&rig, &open(&private, label(b""), &bytes(&rig, &encrypt(&public, label(b""), &long[1..])).await))
            .await
            .len(),
        190
    );
}

#[tokio::test]
async fn each_half_does_its_own_within_its_mask() {
    use {HashingAlgorithm as H, PaddingMethod as P};
    let rig = Rig::new().await;
    let (private, public) = pair(&rig).await;
    let (pss, oaep) = (parameters(P::Pss, H::Sha256), parameters(P::Oaep, H::Sha256));
    let der = bytes(&rig, &get(&private)).await;
    let everything = UsageMask::ALL;
    let private_all = rig.does(&brought(true, KeyFormatType::Pkcs1, der.clone(), everything)).await.unwrap().id();
    let public_der = bytes(&rig, &get(&public)).await;
    let encrypts_alone = brought(false, KeyFormatType::Pkcs1, public_der.clone(), UsageMask::ENCRYPT);
    let encrypts_alone = rig.does(&encrypts_alone).await.unwrap().id();
    let public_all = rig.does(&brought(false, KeyFormatType::Pkcs1, public_der, everything)).await.unwrap().id();
    let refused = [
        sign(&public_all, pss.clone(), b"text"),
        verify(&private_all, pss.clone(), b"text", b"signature"),
        encrypt(&private_all, oaep.clone(), b"text"),
        open(&public_all, oaep.clone(), &[7; 256]),
    ];
    for request in &refused {
        assert_eq!(rig.reason(request).await, Some(ResultReason::PermissionDenied), "{}", request.operation());
    }
    let (signs, verifies) = (UsageMask::SIGN, UsageMask::VERIFY);
    let decrypts_alone =
        rig.does(&brought(true, KeyFormatType::Pkcs1, der.clone(), UsageMask::DECRYPT)).await.unwrap().id();
    assert_eq!(rig.reason(&sign(&decrypts_alone, pss.clone(), b"text")).await, Some(ResultReason::PermissionDenied));
    let signs_alone = rig.does(&brought(true, KeyFormatType::Pkcs1, der, signs)).await.unwrap().id();
    assert_eq!(rig.reason(&open(&signs_alone, oaep.clone(), &[7; 256])).await, Some(ResultReason::PermissionDenied));
    let got = rig.does(&pair_of(common(2048), signs, verifies)).await.unwrap();
    let Answer::CreateKeyPair(answer) = got.answer() else { panic!("another answer") };
    let public = answer.public_key_unique_identifier;
    assert_eq!(rig.reason(&encrypt(public, oaep, b"text")).await, Some(ResultReason::PermissionDenied));
    assert_eq!(
        rig.reason(&verify(&encrypts_alone, pss.clone(), b"text", b"x")).await,
        Some(ResultReason::PermissionDenied)
    );
    let aes = active_key(&rig).await;
    assert_eq!(rig.reason(&sign(&aes, pss.clone(), b"text")).await, Some(ResultReason::PermissionDenied));
    rig.does(&revoke(&private_all, RevocationReasonCode::Unspecified)).await.unwrap();
    assert_eq!(rig.reason(&sign(&private_all, pss, b"text")).await, Some(ResultReason::PermissionDenied));
}

#[tokio::test]
async fn rsa_goes_in_one_part_and_has_no_iv() {
    let rig = Rig::new().await;
    let (private, public) = pair(&rig).await;
    let oaep = parameters(PaddingMethod::Oaep, HashingAlgorithm::Sha256);
    let mut part = encrypt(&public, oaep.clone(), b"text");
    if let Request::Encrypt(part) = &mut part {
        part.init_indicator = Some(true);
    }
    assert_eq!(rig.reason(&part).await, Some(ResultReason::PermissionDenied));
    let mut with_iv = encrypt(&public, oaep.clone(), b"text");
    if let Request::Encrypt(with_iv) = &mut with_iv {
        with_iv.iv_counter_nonce = Some(&[0; 16]);
    }
    assert_eq!(rig.reason(&with_iv).await, Some(ResultReason::InvalidField));
    let mut with_tag = open(&private, oaep, &[7; 256]);
    if let Request::Decrypt(with_tag) = &mut with_tag {
        with_tag.authentication_tag = Some(&[0; 16]);
    }
    assert_eq!(rig.reason(&with_tag).await, Some(ResultReason::InvalidField));
    let mut part = sign(&private, parameters(PaddingMethod::Pss, HashingAlgorithm::Sha256), b"text");
    if let Request::Sign(part) = &mut part {
        part.init_indicator = Some(true);
    }
    assert_eq!(rig.reason(&part).await, Some(ResultReason::FeatureNotSupported));
}

#[tokio::test]
async fn a_half_that_is_brought_is_what_it_claims() {
    let rig = Rig::new().await;
    let (private, public) = pair(&rig).await;
    let (private, public) = (bytes(&rig, &get(&private)).await, bytes(&rig, &get(&public)).await);
    let uses = UsageMask::SIGN;
    let wrong = [
        (brought(true, KeyFormatType::Pkcs1, public.clone(), uses), ResultReason::InvalidField),
        (brought(false, KeyFormatType::Pkcs1, private.clone(), uses), ResultReason::InvalidField),
        (brought(true, KeyFormatType::Pkcs8, private.clone(), uses), ResultReason::InvalidField),
        (brought(false, KeyFormatType::X509, public.clone(), uses), ResultReason::InvalidField),
        (brought(true, KeyFormatType::Pkcs1, private[1..].to_vec(), uses), ResultReason::InvalidField),
        (brought(true, KeyFormatType::Pkcs1, vec![], uses), ResultReason::InvalidField),
        (brought(true, KeyFormatType::X509, private.clone(), uses), ResultReason::KeyFormatTypeNotSupported),
        (brought(false, KeyFormatType::Pkcs8, public, uses), ResultReason::KeyFormatTypeNotSupported),
        (brought(true, KeyFormatType::Raw, private.clone(), uses), ResultReason::KeyFormatTypeNotSupported),
    ];
    for (request, reason) in &wrong {
        assert_eq!(rig.reason(request).await, Some(*reason));
    }
    let other = |algorithm, bits| {
        let mut key_block = block(KeyFormatType::Pkcs1, private.clone(), algorithm);
        key_block.cryptographic_length = bits;
        let object = ManagedObject::PrivateKey(PrivateKey { key_block });
        Request::Register(ops::register::Request::of(object, template(&[mask(uses)])))
    };
    let ec = other(Some(CryptographicAlgorithm::Ec), None);
    assert_eq!(rig.reason(&ec).await, Some(ResultReason::KeyFormatTypeNotSupported));
    let dsa = other(Some(CryptographicAlgorithm::Dsa), None);
    assert_eq!(rig.reason(&dsa).await, Some(ResultReason::FeatureNotSupported));
    assert_eq!(rig.reason(&other(None, None)).await, Some(ResultReason::InvalidField));
    assert_eq!(
        rig.reason(&other(Some(CryptographicAlgorithm::Rsa), Some(1024))).await,
        Some(ResultReason::InvalidField)
    );
    assert_eq!(rig.reason(&other(Some(CryptographicAlgorithm::Rsa), Some(2048))).await, None);
}

#[tokio::test]
async fn pairs_that_are_not_made_leave_nothing() {
    let rig = Rig::new().await;
    let (signs, verifies) = (UsageMask::SIGN, UsageMask::VERIFY);
    let named = |private: &str, public: &str| {
        let half = |name: &str, uses| template(&[mask(uses), (StandardAttribute::Name, AttributeValue::name(name))]);
        Request::CreateKeyPair(ops::create_key_pair::Request {
            common: Some(common(2048)),
            private_key: Some(half(private, signs)),
            public_key: Some(half(public, verifies)),
        })
    };
    let aes = template(&[
        (StandardAttribute::CryptographicAlgorithm, AttributeValue::Enumeration(CryptographicAlgorithm::Aes.code())),
        (StandardAttribute::CryptographicLength, AttributeValue::Integer(2048)),
    ]);
    let nothing = UsageMask(0);
    let wrong = [
        pair_of(common(1024), signs, verifies),
        pair_of(common(2047), signs, verifies),
        pair_of(aes, signs, verifies),
        pair_of(TemplateAttribute::default(), signs, verifies),
        pair_of(common(2048), nothing, verifies),
        pair_of(common(2048), signs, nothing),
        named("one", "one"),
    ];
    for request in &wrong {
        assert_eq!(rig.reason(request).await, Some(ResultReason::InvalidField));
    }
    rig.does(&named("private", "public")).await.unwrap();
    for taken in [named("private", "other"), named("other", "public"), named("public", "other")] {
        assert_eq!(rig.reason(&taken).await, Some(ResultReason::InvalidField));
    }
    let located = rig.does(&Request::Locate(ops::locate::Request::of(vec![]))).await.unwrap();
    let Answer::Locate(answer) = located.answer() else { panic!("another answer") };
    assert_eq!(answer.unique_identifiers.len(), 2);
}

#[tokio::test]
async fn the_longest_private_key_and_an_opaque_object_come_back() {
    let pair = custody::rsa::generate(4096).unwrap().unwrap();
    let rig = Rig::new().await;
    let id = rig.does(&brought(true, KeyFormatType::Pkcs1, pair.private.to_vec(), UsageMask::SIGN)).await.unwrap().id();
    assert_eq!(bytes(&rig, &get(&id)).await, *pair.private);
    let opaque = |bytes: Vec<u8>| {
        let (opaque_data_type, opaque_data_value) = (Enumeration(0x8000_0001), KeyMaterial::new(bytes));
        let object = ManagedObject::OpaqueObject(OpaqueObject { opaque_data_type, opaque_data_value });
        Request::Register(ops::register::Request::of(object, TemplateAttribute::default()))
    };
    let id = rig.does(&opaque(b"anything".to_vec())).await.unwrap().id();
    let got = rig.does(&get(&id)).await.unwrap();
    let Answer::Get(answer) = got.answer() else { panic!("another answer") };
    let object = answer.opaque_object.unwrap();
    assert_eq!(
        (object.opaque_data_type, object.opaque_data_value.expose()),
        (Enumeration(0x8000_0001), &b"anything"[..])
    );
    assert_eq!(rig.reason(&opaque(vec![])).await, Some(ResultReason::InvalidField));
    assert_eq!(rig.reason(&opaque(vec![1; 4097])).await, Some(ResultReason::InvalidField));
}
