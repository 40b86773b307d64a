//! Every claim and every part of a token wrong once, each with the flaw that names it; and the tokens that are right.

use aws_lc_rs::{
    rand::SystemRandom,
    rsa::{KeyPair as RsaPair, KeySize},
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair, RSA_PKCS1_SHA256},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{
    Flaw, TOKEN_BYTES_MAX,
    claims::{self, Expected, Mfa},
    jws,
    keys::{KEYS_MAX, Keys},
};

const NOW: u64 = 1_800_000_000;
const ISSUER: &str = "https://idp.example";
const CLIENT: &str = "kcm-portal";
const AUDIENCE: &str = "https://portal.example";

fn text(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A provider with one key of each kind.
struct Provider {
    es256: EcdsaKeyPair,
    eddsa: Ed25519KeyPair,
}

impl Provider {
    fn new() -> Self {
        Self {
            es256: EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap(),
            eddsa: Ed25519KeyPair::generate().unwrap(),
        }
    }

    fn ec(&self) -> Value {
        let point = self.es256.public_key().as_ref();
        json!({ "kty": "EC", "crv": "P-256", "kid": "ec", "use": "sig", "alg": "ES256", "x": text(&point[1..33]), "y": text(&point[33..]) })
    }

    fn ed(&self) -> Value {
        json!({ "kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": text(self.eddsa.public_key().as_ref()) })
    }

    fn keys(&self) -> Keys {
        read(&[self.ec(), self.ed()]).unwrap()
    }

    /// Signed with ES256 under this header.
    fn token(&self, header: &Value, claims: &Value) -> String {
        let signed = format!("{}.{}", text(header.to_string().as_bytes()), text(claims.to_string().as_bytes()));
        let signature = self.es256.sign(&SystemRandom::new(), signed.as_bytes()).unwrap();
        format!("{signed}.{}", text(signature.as_ref()))
    }

    fn signed(&self, typ: Option<&str>, claims: &Value) -> jws::Signed {
        let header = json!({ "alg": "ES256", "kid": "ec", "typ": typ });
        jws::verify(&self.token(&header, claims), &self.keys()).unwrap()
    }
}

fn read(keys: &[Value]) -> Result<Keys, String> {
    Keys::read(json!({ "keys": keys }).to_string().as_bytes())
}

/// `base` with one member set, or taken away by null.
fn with(base: &Value, member: &str, value: Value) -> Value {
    let mut altered = base.clone();
    match value {
        Value::Null => _ = altered.as_object_mut().unwrap().remove(member),
        value => altered[member] = value,
    }
    altered
}

fn person() -> Value {
    json!({
        "iss": ISSUER, "sub": "alice", "aud": CLIENT, "exp": NOW + 300, "iat": NOW - 5, "auth_time": NOW - 100, "nonce": "n-1",
        "acr": "urn:mfa", "amr": ["pwd", "otp", "mfa"], "sid": "s-1", "groups": ["g1", 7, "g2"],
    })
}

fn logout() -> Value {
    let event = json!({ "http://schemas.openid.net/event/backchannel-logout": {} });
    json!({ "iss": ISSUER, "sub": "alice", "aud": CLIENT, "iat": NOW - 5, "exp": NOW + 60, "jti": "j-1", "sid": "s-1", "events": event })
}

fn program() -> Value {
    json!({
        "iss": ISSUER, "sub": "ci", "client_id": "ci", "aud": [AUDIENCE, "https://other.example"], "exp": NOW + 300, "iat": NOW - 5, "jti": "j-1",
    })
}

fn checked(provider: &Provider, typ: Option<&str>, claims: &Value) -> Result<claims::Identity, Flaw> {
    let mfa = Mfa { acr: vec!["urn:mfa".into()], amr: vec!["mfa".into(), "hwk".into()] };
    let expected = Expected {
        issuer: ISSUER,
        client_id: CLIENT,
        nonce: "n-1",
        max_age_s: 3_600,
        mfa: Some(&mfa),
        groups: Some("groups"),
    };
    claims::id_token(&provider.signed(typ, claims), &expected, NOW)
}

fn time(claim: &'static str, found: u64) -> Flaw {
    Flaw::Time { claim, found, now: NOW }
}

fn typed(found: &str, wanted: &'static str) -> Flaw {
    Flaw::Type { found: found.into(), wanted }
}

#[test]
fn an_id_token_that_is_right_names_its_person() {
    let provider = Provider::new();
    let identity = checked(&provider, None, &person()).unwrap();
    assert_eq!(identity.subject, "https://idp.example#alice");
    assert_eq!(identity.groups, ["g1", "g2"].map(str::to_owned).into());
    assert_eq!((identity.sid.as_deref(), identity.auth_time_s), (Some("s-1"), NOW - 100));
    // At the edges, and in other spellings.
    let right = [
        ("aud", json!([CLIENT])),
        ("azp", json!(CLIENT)),
        ("exp", json!(NOW - 59)),
        ("iat", json!(NOW + 60)),
        ("iat", json!(NOW - 660)),
        ("nbf", json!(NOW + 60)),
        ("auth_time", json!(NOW - 3_660)),
        ("auth_time", json!(1_799_999_999.5)),
        ("sid", Value::Null),
        ("groups", Value::Null),
        ("groups", json!("g1")),
        ("amr", json!(["hwk"])),
    ];
    for (member, value) in right {
        let claims = with(&person(), member, value);
        assert!(checked(&provider, Some("JWT"), &claims).is_ok(), "{member}: {:?}", checked(&provider, None, &claims));
    }
}

#[test]
fn each_claim_of_an_id_token_that_is_wrong_is_named() {
    let provider = Provider::new();
    use orbital::subject::BadSubject;
    let table = [
        ("iss", Value::Null, Flaw::Missing("iss")),
        ("iss", json!("https://idp.example/"), Flaw::Other("iss")),
        ("aud", Value::Null, Flaw::Missing("aud")),
        ("aud", json!("other"), Flaw::Other("aud")),
        ("aud", json!([]), Flaw::Other("aud")),
        ("aud", json!([CLIENT, "other"]), Flaw::Other("aud")),
        ("azp", json!("other"), Flaw::Other("azp")),
        ("nonce", Value::Null, Flaw::Missing("nonce")),
        ("nonce", json!("n-2"), Flaw::Other("nonce")),
        ("sub", Value::Null, Flaw::Missing("sub")),
        ("sub", json!(""), Flaw::Subject(BadSubject::Subject)),
        ("sub", json!("client:ci"), Flaw::Subject(BadSubject::Program)),
        ("exp", Value::Null, Flaw::Missing("exp")),
        ("exp", json!(NOW - 60), time("exp", NOW - 60)),
        ("exp", json!(-1), Flaw::Other("exp")),
        ("iat", Value::Null, Flaw::Missing("iat")),
        ("iat", json!(NOW + 61), time("iat", NOW + 61)),
        ("iat", json!(NOW - 661), time("iat", NOW - 661)),
        ("nbf", json!(NOW + 61), time("nbf", NOW + 61)),
        ("auth_time", Value::Null, Flaw::Missing("auth_time")),
        ("auth_time", json!(NOW - 3_661), time("auth_time", NOW - 3_661)),
        ("auth_time", json!(NOW + 61), time("auth_time", NOW + 61)),
        ("acr", Value::Null, Flaw::Weak("acr")),
        ("acr", json!("urn:pwd"), Flaw::Weak("acr")),
        ("amr", Value::Null, Flaw::Weak("amr")),
        ("amr", json!(["pwd"]), Flaw::Weak("amr")),
        ("events", json!({}), Flaw::Unwanted("events")),
    ];
    for (member, value, flaw) in table {
        let claims = with(&person(), member, value);
        assert_eq!(checked(&provider, None, &claims), Err(flaw), "{claims}");
    }
    for typ in ["at+jwt", "application/at+jwt", "logout+jwt"] {
        assert_eq!(checked(&provider, Some(typ), &person()), Err(typed(typ, "JWT")));
    }
}

#[test]
fn without_a_demand_a_password_is_enough() {
    let provider = Provider::new();
    let weak = with(&with(&person(), "acr", Value::Null), "amr", Value::Null);
    let mut expected =
        Expected { issuer: ISSUER, client_id: CLIENT, nonce: "n-1", max_age_s: 3_600, mfa: None, groups: None };
    let signed = provider.signed(None, &weak);
    assert_eq!(claims::id_token(&signed, &expected, NOW).unwrap().groups, [].into(), "no claim was named");
    let either = Mfa { acr: vec![], amr: vec!["mfa".into()] };
    expected.mfa = Some(&either);
    assert_eq!(claims::id_token(&signed, &expected, NOW), Err(Flaw::Weak("amr")));
}

#[test]
fn each_claim_of_a_logout_token_that_is_wrong_is_named() {
    let provider = Provider::new();
    let read =
        |typ: Option<&str>, claims: &Value| claims::logout_token(&provider.signed(typ, claims), ISSUER, CLIENT, NOW);
    let right = read(Some("logout+jwt"), &logout()).unwrap();
    assert_eq!((right.subject.as_deref(), right.sid.as_deref()), (Some("https://idp.example#alice"), Some("s-1")));
    for alone in ["sub", "sid", "exp"] {
        assert!(read(None, &with(&logout(), alone, Value::Null)).is_ok(), "without {alone}");
    }
    let table = [
        ("iss", json!("https://evil.example"), Flaw::Other("iss")),
        ("aud", json!("other"), Flaw::Other("aud")),
        ("nonce", json!("n-1"), Flaw::Unwanted("nonce")),
        ("events", Value::Null, Flaw::Missing("events")),
        ("events", json!({ "http://schemas.openid.net/event/backchannel-logout": true }), Flaw::Other("events")),
        ("events", json!({ "other": {} }), Flaw::Other("events")),
        ("iat", Value::Null, Flaw::Missing("iat")),
        ("iat", json!(NOW - 181), time("iat", NOW - 181)),
        ("iat", json!(NOW + 61), time("iat", NOW + 61)),
        ("exp", json!(NOW - 60), time("exp", NOW - 60)),
        ("jti", Value::Null, Flaw::Missing("jti")),
    ];
    for (member, value, flaw) in table {
        let claims = with(&logout(), member, value);
        assert_eq!(read(None, &claims), Err(flaw), "{claims}");
    }
    let nobody = with(&with(&logout(), "sub", Value::Null), "sid", Value::Null);
    assert_eq!(read(None, &nobody), Err(Flaw::Missing("sub")));
    assert_eq!(read(Some("at+jwt"), &logout()), Err(typed("at+jwt", "logout+jwt")));
    assert_eq!(read(None, &person()), Err(Flaw::Unwanted("nonce")), "an ID token ends no session");
}

#[test]
fn each_claim_of_an_access_token_that_is_wrong_is_named() {
    let provider = Provider::new();
    let read =
        |typ: Option<&str>, claims: &Value| claims::access_token(&provider.signed(typ, claims), ISSUER, AUDIENCE, NOW);
    for typ in ["at+jwt", "application/at+jwt", "AT+JWT"] {
        let right = read(Some(typ), &program()).unwrap();
        assert_eq!((right.subject.as_str(), right.expires_s), ("https://idp.example#client:ci", NOW + 300));
    }
    let table = [
        ("iss", json!("https://evil.example"), Flaw::Other("iss")),
        ("aud", Value::Null, Flaw::Missing("aud")),
        ("aud", json!(CLIENT), Flaw::Other("aud")),
        ("exp", Value::Null, Flaw::Missing("exp")),
        ("exp", json!(NOW - 60), time("exp", NOW - 60)),
        ("exp", json!(NOW + 90_000), time("exp", NOW + 90_000)),
        ("iat", Value::Null, Flaw::Missing("iat")),
        ("iat", json!(NOW + 61), time("iat", NOW + 61)),
        ("nbf", json!(NOW + 61), time("nbf", NOW + 61)),
        ("jti", Value::Null, Flaw::Missing("jti")),
        ("client_id", Value::Null, Flaw::Missing("client_id")),
        ("sub", json!("alice"), Flaw::Other("sub")),
    ];
    for (member, value, flaw) in table {
        let claims = with(&program(), member, value);
        assert_eq!(read(Some("at+jwt"), &claims), Err(flaw), "{claims}");
    }
    for (typ, shown) in [(None, "none"), (Some("JWT"), "JWT")] {
        assert_eq!(read(typ, &program()), Err(typed(shown, "at+jwt")));
    }
}

#[test]
fn a_header_decides_nothing_that_it_should_not() {
    let provider = Provider::new();
    let keys = provider.keys();
    let verify = |header: Value| jws::verify(&provider.token(&header, &person()), &keys).map(drop);
    assert_eq!(verify(json!({ "alg": "ES256", "kid": "ec" })), Ok(()));
    assert_eq!(verify(json!({ "alg": "ES256" })), Ok(()), "the only key for the algorithm");
    for alg in ["none", "None", "HS256", "ES384", "RS384", "PS256", "es256", ""] {
        assert_eq!(verify(json!({ "alg": alg, "kid": "ec" })), Err(Flaw::Algorithm(alg.into())));
    }
    assert_eq!(verify(json!({ "alg": "ES256", "kid": "ec", "crit": ["exp"] })), Err(Flaw::Unwanted("crit")));
    assert_eq!(verify(json!({ "alg": "ES256", "kid": "new" })), Err(Flaw::UnknownKey("new".into())));
    assert_eq!(verify(json!({ "alg": "EdDSA", "kid": "ec" })), Err(Flaw::UnknownKey("ec".into())), "a key has one use");
    assert_eq!(verify(json!({ "alg": "EdDSA", "kid": "ed" })), Err(Flaw::Signature));
    // A key that the token brings along is nobody's.
    let brought = json!({ "alg": "ES256", "kid": "mine", "jwk": provider.ec() });
    assert_eq!(
        jws::verify(&provider.token(&brought, &person()), &Keys::default()).map(drop),
        Err(Flaw::UnknownKey("mine".into()))
    );
    let two = read(&[provider.ec(), Provider::new().ec()]).unwrap();
    let nameless = provider.token(&json!({ "alg": "ES256" }), &person());
    assert!(matches!(jws::verify(&nameless, &two), Err(Flaw::UnknownKey(_))), "which of two keys is not ours to try");
}

#[test]
fn a_token_with_any_bit_altered_is_refused() {
    let provider = Provider::new();
    let token = provider.token(&json!({ "alg": "ES256", "kid": "ec" }), &person());
    assert!(jws::verify(&token, &provider.keys()).is_ok());
    for at in (0..token.len()).step_by(7).chain([token.len() - 2]) {
        let mut altered = token.clone().into_bytes();
        altered[at] = if altered[at] == b'A' { b'B' } else { b'A' };
        assert!(jws::verify(std::str::from_utf8(&altered).unwrap(), &provider.keys()).is_err(), "byte {at}");
    }
    for bad in ["", "a", "a.b", "a.b.c.d", ".."] {
        assert!(jws::verify(bad, &provider.keys()).is_err(), "{bad}");
    }
    let (signed, _) = token.rsplit_once('.').unwrap();
    assert_eq!(jws::verify(&format!("{signed}."), &provider.keys()).map(drop), Err(Flaw::Signature));
    let long = "a".repeat(TOKEN_BYTES_MAX + 1);
    assert_eq!(jws::verify(&long, &provider.keys()).map(drop), Err(Flaw::TooLarge(TOKEN_BYTES_MAX + 1)));
}

#[test]
fn the_other_algorithms_verify_too_and_short_rsa_keys_do_not() {
    let provider = Provider::new();
    let parts = |alg: &str, kid: &str| {
        format!(
            "{}.{}",
            text(json!({ "alg": alg, "kid": kid }).to_string().as_bytes()),
            text(person().to_string().as_bytes())
        )
    };
    for alg in ["EdDSA", "Ed25519"] {
        let signed = parts(alg, "ed");
        let token = format!("{signed}.{}", text(provider.eddsa.sign(signed.as_bytes()).as_ref()));
        assert!(jws::verify(&token, &provider.keys()).is_ok(), "{alg}");
    }
    let rsa = RsaPair::generate(KeySize::Rsa2048).unwrap();
    let public = rsa.public_key();
    let (n, e) =
        (public.modulus().big_endian_without_leading_zero(), public.exponent().big_endian_without_leading_zero());
    let key = json!({ "kty": "RSA", "kid": "rsa", "alg": "RS256", "n": text(n), "e": text(e) });
    let signed = parts("RS256", "rsa");
    let mut signature = vec![0; rsa.public_modulus_len()];
    rsa.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), signed.as_bytes(), &mut signature).unwrap();
    let token = format!("{signed}.{}", text(&signature));
    assert!(jws::verify(&token, &read(std::slice::from_ref(&key)).unwrap()).is_ok());
    let short = with(&key, "n", json!(text(&n[..128])));
    assert_eq!(jws::verify(&token, &read(&[short]).unwrap()).map(drop), Err(Flaw::Signature));
    let other = with(&key, "alg", json!("PS256"));
    assert_eq!(read(&[other]).unwrap(), Keys::default(), "a key for another algorithm is none of ours");
}

#[test]
fn keys_for_other_purposes_are_left_out() {
    let ec = Provider::new().ec();
    for (member, value) in [
        ("use", json!("enc")),
        ("key_ops", json!(["sign"])),
        ("alg", json!("ECDH-ES")),
        ("crv", json!("P-384")),
        ("kty", json!("oct")),
        ("x", json!("AAAA")),
        ("y", Value::Null),
        ("kid", json!(7)),
    ] {
        assert_eq!(read(&[with(&ec, member, value)]).unwrap(), Keys::default(), "{member}");
    }
    assert!(Keys::read(b"{}").is_err());
    assert!(read(&vec![ec; KEYS_MAX + 1]).is_err());
}
