//! The specification's own vectors, and each guard with the assertion that it alone refuses.

use super::{
    vectors::{VECTORS, Vector},
    *,
};
use crate::{
    certificate::{Certificate, Uncertified, certify},
    change::Action,
    sign::{Kind, SecretKey, SignedBy},
    testing::{
        NOW, World,
        authenticator::{Authenticator, ORIGIN, RP_ID, authenticator_data, client_data, terms, with_passkeys},
        spoilt,
    },
    vote::{Role, Vote},
};

fn bytes(hex: &str) -> Vec<u8> {
    let nibble = |b: u8| u8::try_from(char::from(b).to_digit(16).unwrap()).unwrap();
    hex.as_bytes().chunks(2).map(|pair| nibble(pair[0]) << 4 | nibble(pair[1])).collect()
}

/// The terms of the specification's examples.
fn example() -> WebauthnTerms {
    WebauthnTerms {
        rp_id: "example.org".to_owned(),
        origins: ["https://example.org".to_owned()].into(),
        algorithms: [ES256.to_owned(), EDDSA.to_owned()].into(),
    }
}

fn read(vector: &Vector) -> (Assertion, PersonKey, Vec<u8>) {
    let assertion = Assertion {
        authenticator_data: bytes(vector.authenticator_data),
        client_data: bytes(vector.client_data),
        signature: bytes(vector.signature),
    };
    let key = URL_SAFE_NO_PAD.encode(bytes(vector.key)).parse().unwrap();
    (assertion, key, bytes(vector.challenge))
}

const CHALLENGE: [u8; 32] = [7; 32];

fn hers() -> Authenticator {
    Authenticator::new("test/acme", "alice")
}

fn check(assertion: &Assertion) -> Result<Checked, BadAssertion> {
    assertion.check(&hers().public(), &terms(), &CHALLENGE)
}

/// What alice's authenticator says to this authenticator data and client data.
fn signed(data: Vec<u8>, client: Vec<u8>) -> Result<Checked, BadAssertion> {
    check(&hers().sign(data, client))
}

fn with_client(client: &str) -> Result<Checked, BadAssertion> {
    signed(authenticator_data(RP_ID, USER_PRESENT), client.as_bytes().to_vec())
}

fn with_more(more: &str) -> Result<Checked, BadAssertion> {
    signed(authenticator_data(RP_ID, USER_PRESENT), client_data(&CHALLENGE, ORIGIN, more))
}

fn with_data(flags: u8, extensions: &[u8]) -> Result<Checked, BadAssertion> {
    let data = [authenticator_data(RP_ID, flags), extensions.to_vec()].concat();
    signed(data, client_data(&CHALLENGE, ORIGIN, ""))
}

fn unread(found: Result<Checked, BadAssertion>, why: &str) {
    match found {
        Err(BadAssertion::AuthenticatorData(found)) => assert!(found.contains(why), "{found}"),
        Err(BadAssertion::ClientData(found)) => assert!(found.contains(why), "{found}"),
        other => panic!("{other:?}, not {why}"),
    }
}

#[test]
fn the_vectors_of_the_specification_hold() {
    let mut framed = 0;
    for vector in &VECTORS {
        let (assertion, key, challenge) = read(vector);
        let found = assertion.check(&key, &example(), &challenge);
        // Two examples are made in frames of another origin: correctly signed, and refused here.
        if ["sctn-test-vectors-none-es256-crossOrigin", "sctn-test-vectors-none-es256-topOrigin"]
            .contains(&vector.anchor)
        {
            assert_eq!(found, Err(BadAssertion::CrossOrigin), "{}", vector.anchor);
            assert_eq!(assertion.check_signature(&key), Ok(()), "{}", vector.anchor);
            framed += 1;
            continue;
        }
        let found = found.unwrap_or_else(|e| panic!("{}: {e}", vector.anchor));
        assert_eq!(found.origin(), "https://example.org");
        let verified = assertion.authenticator_data[32] & USER_VERIFIED != 0;
        assert_eq!(found.presence(), Presence { user_verified: verified }, "{}", vector.anchor);
    }
    assert_eq!((VECTORS.len(), framed), (11, 2));
    assert!(VECTORS.iter().any(|v| v.key.len() == 64), "one is of Ed25519");
}

#[test]
fn any_bit_turned_anywhere_spoils_a_vector() {
    for vector in VECTORS
        .iter()
        .filter(|v| ["sctn-test-vectors-none-es256", "sctn-test-vectors-packed-eddsa"].contains(&v.anchor))
    {
        let (whole, key, challenge) = read(vector);
        let holds = |a: &Assertion, challenge: &[u8]| a.check(&key, &example(), challenge).is_ok();
        assert!(holds(&whole, &challenge));
        let parts: [fn(&mut Assertion) -> &mut Vec<u8>; 3] =
            [|a| &mut a.authenticator_data, |a| &mut a.client_data, |a| &mut a.signature];
        for part in parts {
            for at in 0..part(&mut whole.clone()).len() {
                for bit in 0..8 {
                    let mut other = whole.clone();
                    part(&mut other)[at] ^= 1 << bit;
                    assert!(!holds(&other, &challenge), "{} byte {at} bit {bit}", vector.anchor);
                }
                let mut short = whole.clone();
                part(&mut short).truncate(at);
                assert!(!holds(&short, &challenge), "{} cut at {at}", vector.anchor);
            }
            let mut long = whole.clone();
            part(&mut long).push(b' ');
            assert!(!holds(&long, &challenge), "{} with a byte more", vector.anchor);
        }
        for other in VECTORS.iter().filter(|v| v.anchor != vector.anchor) {
            let (_, other_key, other_challenge) = read(other);
            assert!(!holds(&whole, &other_challenge));
            assert_eq!(whole.check(&other_key, &example(), &challenge), Err(BadAssertion::Signature));
        }
    }
}

#[test]
fn what_a_browser_makes_holds_and_says_whether_the_user_was_verified() {
    for user_verified in [false, true] {
        let found = check(&hers().assert(&CHALLENGE, user_verified)).unwrap();
        assert_eq!((found.origin(), found.presence()), (ORIGIN, Presence { user_verified }));
    }
}

#[test]
fn another_type_challenge_origin_or_frame_is_refused() {
    let client = |kind: &str, challenge: &str, origin: &str| {
        with_client(&format!(r#"{{"type":"{kind}","challenge":"{challenge}","origin":"{origin}"}}"#))
    };
    let right = URL_SAFE_NO_PAD.encode(CHALLENGE);
    client("webauthn.get", &right, ORIGIN).unwrap();
    for kind in ["webauthn.create", "webauthn.get ", "Webauthn.get", "payment.get", ""] {
        assert_eq!(client(kind, &right, ORIGIN), Err(BadAssertion::Type), "{kind}");
    }
    let padded = format!("{right}=");
    let short: String = right.chars().skip(1).collect();
    let other = URL_SAFE_NO_PAD.encode([8; 32]);
    for challenge in [padded.as_str(), &other, &short, ""] {
        assert_eq!(client("webauthn.get", challenge, ORIGIN), Err(BadAssertion::Challenge), "{challenge}");
    }
    let port = format!("{ORIGIN}:8443");
    let slash = format!("{ORIGIN}/");
    for origin in ["https://acme.example", "https://evil.example", "http://portal.acme.example", &port, &slash, ""] {
        let found = client("webauthn.get", &right, origin);
        assert!(matches!(found, Err(BadAssertion::Origin { .. })), "{origin}: {found:?}");
    }
    for framed in
        [r#","crossOrigin":true"#, r#","topOrigin":"https://evil.example""#, r#","crossOrigin":false,"topOrigin":"x""#]
    {
        assert_eq!(with_more(framed), Err(BadAssertion::CrossOrigin), "{framed}");
    }
}

#[test]
fn client_data_is_one_object_with_each_member_once() {
    for good in [r#","crossOrigin":false"#, r#","more":{"a":[1,null]},"tokenBinding":{"status":"supported"}"#, " "] {
        with_more(good).unwrap();
    }
    for (bad, why) in [
        (r#","crossOrigin":null"#, "boolean"),
        (r#","crossOrigin":"false""#, "boolean"),
        (r#","type":"webauthn.get""#, "twice"),
        (r#","crossOrigin":false,"crossOrigin":false"#, "twice"),
        (r#","more":1,"more":1"#, "twice"),
        (r#","\u0074ype":"webauthn.create""#, "twice"),
        (r#","origin""#, "expected"),
        ("}", "trailing"),
    ] {
        unread(with_more(bad), why);
    }
    for (bad, why) in [
        ("", "EOF"),
        ("[]", "an object"),
        (r#"{"type":"webauthn.get","challenge":"x"}"#, "missing field `origin`"),
        (r#"{"type":"webauthn.get","origin":"x"}"#, "missing field `challenge`"),
        (r#"{"challenge":"x","origin":"x"}"#, "missing field `type`"),
        (r#"{"type":1,"challenge":"x","origin":"x"}"#, "expected a string"),
        ("\u{feff}{}", "expected value"),
    ] {
        unread(with_client(bad), why);
    }
    unread(signed(authenticator_data(RP_ID, USER_PRESENT), b"{\"type\":\"\xff\"}".to_vec()), "");
    unread(with_more(&format!(r#","more":{}"#, "[".repeat(800))), "");
}

#[test]
fn another_rp_and_an_absent_person_are_refused() {
    let client = || client_data(&CHALLENGE, ORIGIN, "");
    assert_eq!(signed(authenticator_data("portal.acme.example", USER_PRESENT), client()), Err(BadAssertion::RpId));
    for flags in [0, USER_VERIFIED, BACKUP_ELIGIBLE | BACKED_UP] {
        assert_eq!(with_data(flags, &[]), Err(BadAssertion::NobodyPresent));
    }
}

#[test]
fn authenticator_data_ends_where_its_flags_say() {
    with_data(USER_PRESENT | BACKUP_ELIGIBLE | BACKED_UP, &[]).unwrap();
    unread(with_data(USER_PRESENT | BACKED_UP, &[]), "may not be");
    unread(with_data(USER_PRESENT | ATTESTED, &[0; 60]), "registration");
    unread(with_data(USER_PRESENT, &[0xa0]), "no flag announces");
    unread(with_data(USER_PRESENT | EXTENDED, &[]), "no map");
    for good in [&[0xa0][..], b"\xa1\x65thing\xf5", b"\xa1\x61a\x82\x18\xff\x43abc", b"\xbb\0\0\0\0\0\0\0\x01\x01\x02"]
    {
        with_data(USER_PRESENT | EXTENDED, good).unwrap();
    }
    for (bad, why) in [
        (&[0x80][..], "no map"),
        (b"\xa0\xa0", "bytes follow the extensions"),
        (b"\xa1\x61a", "no CBOR"),
        (b"\xbf\xff", "no CBOR"),
        (b"\xa1\x01\xc0\x01", "no CBOR"),
        (b"\xa1\x01\x5b\xff\xff\xff\xff\xff\xff\xff\xff", "no CBOR"),
        (b"\xa1\x01\x9b\xff\xff\xff\xff\xff\xff\xff\xff", "no CBOR"),
        (b"\xbb\xff\xff\xff\xff\xff\xff\xff\xff", "no CBOR"),
        (b"\xa1\x01\x81\x81\x81\x81\x81\x01", "no CBOR"),
        (b"\xb8", "no CBOR"),
    ] {
        unread(with_data(USER_PRESENT | EXTENDED, bad), why);
    }
    for length in 0..37 {
        let data = authenticator_data(RP_ID, USER_PRESENT)[..length].to_vec();
        unread(signed(data, client_data(&CHALLENGE, ORIGIN, "")), "shorter than 37");
    }
}

#[test]
fn what_is_larger_than_its_limit_is_refused_unread() {
    let too_long = |found: Result<Checked, BadAssertion>, part: &str| {
        assert!(matches!(&found, Err(BadAssertion::TooLong { what, .. }) if *what == part), "{found:?}");
    };
    let pad = |n: usize| format!(r#","more":"{}""#, "x".repeat(n));
    let room = CLIENT_DATA_BYTES_MAX - client_data(&CHALLENGE, ORIGIN, &pad(0)).len();
    with_more(&pad(room)).unwrap();
    too_long(with_more(&pad(room + 1)), "client data");
    // A map of one byte string of so many bytes: the map, its name of one letter, and a length of two bytes.
    let extension =
        |n: usize| [&[0xa1, 0x61, b'a', 0x59][..], &u16::try_from(n).unwrap().to_be_bytes(), &vec![b'x'; n]].concat();
    let room = AUTHENTICATOR_DATA_BYTES_MAX - 37 - 6;
    with_data(USER_PRESENT | EXTENDED, &extension(room)).unwrap();
    too_long(with_data(USER_PRESENT | EXTENDED, &extension(room + 1)), "authenticator data");
    let mut assertion = hers().assert(&CHALLENGE, true);
    assertion.signature.resize(SIGNATURE_BYTES_MAX + 1, 0);
    too_long(check(&assertion), "signature");
    let text = format!("{PREFIX}{}", "A".repeat(ASSERTION_TEXT_BYTES_MAX));
    assert!(matches!(text.parse::<Assertion>(), Err(BadAssertion::TooLong { what: "written form", .. })));
    let largest = Assertion {
        authenticator_data: vec![0; AUTHENTICATOR_DATA_BYTES_MAX],
        client_data: vec![0; CLIENT_DATA_BYTES_MAX],
        signature: vec![0; SIGNATURE_BYTES_MAX],
    };
    assert_eq!(largest.to_string().parse(), Ok(largest));
}

#[test]
fn only_keys_of_an_algorithm_that_the_terms_allow_sign() {
    let assertion = hers().assert(&CHALLENGE, true);
    let refused = WebauthnTerms { algorithms: [EDDSA.to_owned()].into(), ..terms() };
    assert_eq!(assertion.check(&hers().public(), &refused, &CHALLENGE), Err(BadAssertion::Terms(ES256)));
    // Ed25519's strictness holds here, too: a point of small order verifies nothing.
    let (mut identity, mut signature) = ([0; 32], vec![0; 64]);
    (identity[0], signature[0]) = (1, 1);
    let lax = Assertion { signature, ..assertion };
    let key = PersonKey::Ed25519(PublicKey(identity));
    assert_eq!(lax.check(&key, &refused, &CHALLENGE), Err(BadAssertion::Signature));
}

#[test]
fn a_signature_has_one_text_and_an_old_one_the_same_as_ever() {
    let passkey: SignedBy = hers().assert(&CHALLENGE, true).into();
    let file: SignedBy = SecretKey::from_seed(&[3; 32]).sign(Kind::Approve, b"x").into();
    for signature in [passkey, file.clone()] {
        let text = serde_json::to_string(&signature).unwrap();
        assert_eq!(serde_json::from_str::<SignedBy>(&text).unwrap(), signature);
        let frame = crate::codec::encode(&signature).unwrap();
        assert_eq!(crate::codec::decode::<SignedBy>(&frame).unwrap(), signature);
    }
    // 64 bytes of base64url, as before passkeys.
    assert_eq!(file.to_string(), SecretKey::from_seed(&[3; 32]).sign(Kind::Approve, b"x").to_string());
    for bad in [
        "webauthn.AAAA.AAAA",
        "webauthn.AAAA.AAAA.AAAA.AAAA",
        "webauthn.AB.AAAA.AAAA",
        "webauthn.AA==.AAAA.AAAA",
        "x.A.A.A",
        ".",
    ] {
        assert!(bad.parse::<SignedBy>().is_err(), "{bad}");
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_a_reader_panic(data: Vec<u8>, client: Vec<u8>, signature: Vec<u8>, text: String) {
        let mut whole = authenticator_data(RP_ID, USER_PRESENT | EXTENDED);
        whole.extend_from_slice(&data);
        for authenticator_data in [data, whole] {
            let assertion = Assertion { authenticator_data, client_data: client.clone(), signature: signature.clone() };
            proptest::prop_assert!(check(&assertion).is_err());
        }
        let written = [PREFIX, &text].concat().parse::<Assertion>();
        proptest::prop_assert!(written.is_err() || text.matches('.').count() == 2);
    }
}

/// An assertion serves the statement, the role and the tenant that it was made for, and no other (PROTOCOL §9.5).
#[test]
fn an_assertion_cannot_be_transplanted() {
    let world = World::founded("test", "acme", with_passkeys);
    let other = World::founded("test", "globex", with_passkeys);
    let change = world.change(Action::RevokeL1 {}).to_bytes().unwrap();
    let proposal = world.propose_by_passkey(&change, "carol", true);
    let roles = [Role::Approve, Role::Reject, Role::Confirm, Role::Fire];
    let answers = roles.map(|role| (role, world.answer_by_passkey(role, &proposal, "dave", true)));
    let holds = |role, signed: &crate::sign::Signed, world: &World| {
        let vote = Vote::read(role, signed).unwrap();
        vote.key_in(world.trust()).unwrap().verify(role, signed).is_ok()
    };
    for (role, answer) in &answers {
        assert!(holds(*role, answer, &world));
        assert!(!holds(*role, answer, &other), "{role:?} of another tenant, whose dave has another passkey");
        assert!(!holds(*role, &spoilt(answer.clone()), &world));
        // Another role's assertion, and that of the same role over another statement: another nonce is enough.
        for (_, foreign) in answers.iter().filter(|(r, _)| r != role) {
            let moved = crate::sign::Signed { signature: foreign.signature.clone(), ..answer.clone() };
            assert!(!holds(*role, &moved, &world), "{role:?}");
        }
        let again = world.answer_by_passkey(*role, &proposal, "dave", true);
        assert!(!holds(*role, &crate::sign::Signed { signature: again.signature, ..answer.clone() }, &world));
        let heidi = world.answer_by_passkey(*role, &proposal, "heidi", true);
        assert!(!holds(*role, &crate::sign::Signed { signature: heidi.signature, ..answer.clone() }, &world));
    }
    let certificate = |approval: &crate::sign::Signed| Certificate {
        change: change.clone(),
        proposal: proposal.clone(),
        approvals: vec![approval.clone()],
        confirmations: Vec::new(),
    };
    certify(&certificate(&answers[0].1), world.chain(), NOW).unwrap();
    let moved = crate::sign::Signed { signature: answers[3].1.signature.clone(), ..answers[0].1.clone() };
    assert!(matches!(certify(&certificate(&moved), world.chain(), NOW), Err(Uncertified::Answer { .. })));
    // The same people, change and rules, of another tenant.
    let elsewhere = other.change(Action::RevokeL1 {}).to_bytes().unwrap();
    let theirs = other.propose_by_passkey(&elsewhere, "carol", true);
    let by_theirs = other.answer_by_passkey(Role::Approve, &theirs, "dave", true);
    assert!(certify(&certificate(&by_theirs), world.chain(), NOW).is_err());
}

/// The longest assertion has a written form that is read, and no longer text is decoded at all.
#[test]
fn the_written_form_is_as_long_as_the_longest_assertion_needs() {
    let longest = Assertion {
        authenticator_data: vec![1; AUTHENTICATOR_DATA_BYTES_MAX],
        client_data: vec![2; CLIENT_DATA_BYTES_MAX],
        signature: vec![3; SIGNATURE_BYTES_MAX],
    };
    let text = longest.to_string();
    assert_eq!(text.parse::<Assertion>().unwrap(), longest);
    assert!((text.len()..text.len() + 16).contains(&ASSERTION_TEXT_BYTES_MAX), "{}", text.len());
    let padded = |bytes: usize| {
        text.parse::<Assertion>().map(drop).and(format!("{PREFIX}{}", "A".repeat(bytes)).parse::<Assertion>())
    };
    let room = ASSERTION_TEXT_BYTES_MAX - PREFIX.len();
    assert!(matches!(padded(room), Err(BadAssertion::Unreadable)), "it is as long as the limit");
    assert!(matches!(padded(room + 1), Err(BadAssertion::TooLong { .. })));
}

/// Arrays and maps nest as deeply as the limit, each counted.
#[test]
fn cbor_nests_no_deeper_than_the_limit() {
    let nested = |opens: &[u8], depth: usize| [opens.repeat(depth), vec![0]].concat();
    // An array of one, and a map of one whose key is a number.
    for opens in [&[0x81][..], &[0xA1, 0x00]] {
        assert_eq!(cbor(&nested(opens, CBOR_DEPTH_MAX), 0), Some(&[][..]), "{opens:x?}");
        assert_eq!(cbor(&nested(opens, CBOR_DEPTH_MAX + 1), 0), None, "{opens:x?}");
        assert_eq!(cbor(&nested(opens, CBOR_DEPTH_MAX + 2), 0), None, "{opens:x?}");
    }
}

#[test]
fn an_rp_id_is_a_dns_name_and_its_origins_are_counted() {
    let fault = |rp_id: &str| {
        let origins = [format!("https://{rp_id}")].into();
        WebauthnTerms { rp_id: rp_id.to_owned(), origins, algorithms: [ES256.to_owned()].into() }.fault()
    };
    for good in ["example.org", "a-1.example.org", "localhost", "7.example"] {
        assert_eq!(fault(good), None, "{good}");
    }
    let long = "a".repeat(RP_ID_BYTES_MAX + 1);
    for bad in ["", "Example.org", "ex_ample.org", "exämple.org", "example.org:1", "a b", &long] {
        assert!(fault(bad).is_some_and(|why| why.contains("rpId")), "{bad}");
    }
    assert_eq!(fault(&"a".repeat(RP_ID_BYTES_MAX)), None);
    let origins = |n: usize| {
        let origins = (0..n).map(|n| format!("https://a{n}.example.org")).collect();
        WebauthnTerms { origins, ..example() }.fault()
    };
    assert_eq!(origins(ORIGINS_MAX), None);
    assert!(origins(ORIGINS_MAX + 1).unwrap().contains("16 origins"));
}

/// Each sign that a host may have, and one that it may not.
#[test]
fn an_origin_has_the_alphabet_of_its_host() {
    let fault =
        |host: &str| WebauthnTerms { origins: [format!("https://{host}.example.org")].into(), ..example() }.fault();
    for good in ["a", "1", "a-b", "a.b"] {
        assert_eq!(fault(good), None, "{good}");
    }
    for bad in ["A", "a_b", "a b", "ä", "a/b", "user@a"] {
        assert!(fault(bad).is_some(), "{bad}");
    }
}
