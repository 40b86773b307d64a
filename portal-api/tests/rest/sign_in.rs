//! Sign-in from the browser's side: what lets somebody in, what keeps them in, and everything that does not.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use base64::{Engine, engine::general_purpose::STANDARD};
use governance::SystemClock;
use http_body_util::{BodyExt, Full};
use orbital::{
    change::Action,
    names::Group,
    subject,
    testing::{link_l1, person},
    trust::TrustRoot,
};
use portal_api::{
    limits::Limits,
    sign_in::{ClientSecret, Login, Mfa, STEPS_A_MINUTE_PER_SOURCE_MAX, SignIn},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    house::{Ca, House, OPERATOR, Said},
    provider::{CLIENT, Provider, SECRET},
    resources::proposed,
};

const AUDIENCE: &str = "https://portal.example";
const CSRF: &str = "x-kcm-csrf";

fn login(provider: &Provider, port: u16) -> Login {
    Login {
        issuer: provider.issuer.clone(),
        client_id: CLIENT.into(),
        client_secret: ClientSecret::new(&format!("{SECRET}\n")),
        redirect: format!("https://localhost:{port}/v1/signin/callback"),
        scopes: vec!["groups".into()],
        groups: Some(("groups".into(), BTreeMap::from([("idp-security".into(), Group::new("Security_Ops").unwrap())]))),
        mfa: Some(Mfa { acr: vec!["urn:mfa".into()], amr: vec!["mfa".into()] }),
        max_age: Duration::from_secs(3_600),
        idle: Duration::from_secs(600),
        ca: None,
        audience: Some(AUDIENCE.into()),
    }
}

/// alice (Security_Ops), bob (Compliance_Legal) and the program of frank sign in; the others don't.
fn bound(issuer: &str, root: &mut TrustRoot) {
    for name in ["alice", "bob"] {
        root.actors.get_mut(&person(name)).unwrap().subject = Some(subject::of_person(issuer, name).unwrap());
    }
    root.actors.get_mut(&person("frank")).unwrap().subject = Some(subject::of_program(issuer, "ci").unwrap());
}

/// A house and its provider.
struct Site {
    house: House,
    provider: Provider,
}

impl std::ops::Deref for Site {
    type Target = House;
    fn deref(&self) -> &House {
        &self.house
    }
}

/// What a browser knows.
#[derive(Clone, Debug, Default)]
struct Browser {
    cookies: BTreeMap<String, String>,
}

impl Browser {
    fn take(&mut self, said: &Said) {
        for value in said.headers.get_all("set-cookie") {
            let text = value.to_str().unwrap();
            for flag in ["; Path=/", "; Secure", "; HttpOnly", "; SameSite=Lax"] {
                assert!(text.starts_with("__Host-") && text.contains(flag) && !text.contains("Domain"), "{text}");
            }
            let (name, rest) = text.split_once('=').unwrap();
            let (value, _) = rest.split_once(';').unwrap();
            match text.contains("Max-Age=0") {
                true => _ = self.cookies.remove(name),
                false => _ = self.cookies.insert(name.to_owned(), value.to_owned()),
            }
        }
    }

    fn line(&self) -> String {
        self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("; ")
    }
}

impl Site {
    async fn new() -> Self {
        Self::of(Provider::start().await, "", Limits::default(), |_| ()).await
    }

    async fn of(provider: Provider, policy: &str, limits: Limits, alter: impl FnOnce(&mut Login)) -> Self {
        let sign_in = |port| {
            let mut login = login(&provider, port);
            alter(&mut login);
            SignIn::new(login, Arc::new(SystemClock::default())).unwrap()
        };
        let house = House::with_sign_in(policy, limits, sign_in, |root| bound(&provider.issuer, root)).await;
        Self { house, provider }
    }

    /// A request of somebody without a certificate.
    async fn browse(&self, browser: &Browser, request: http::request::Builder, body: Vec<u8>) -> Said {
        let request = request.header("host", "localhost").header("cookie", browser.line());
        let request = request.body(Full::from(body)).unwrap();
        Said::of(self.sender_of(None).await.send_request(request).await.unwrap()).await
    }

    async fn look(&self, browser: &Browser, path: &str) -> Said {
        self.browse(browser, http::Request::get(path), vec![]).await
    }

    /// Begins a sign-in: the members of the question to the provider.
    async fn begin(&self, browser: &mut Browser) -> BTreeMap<String, String> {
        let said = self.look(browser, "/v1/signin?to=/v1/session").await;
        assert_eq!(said.status, 303, "{:?}", said.body);
        browser.take(&said);
        let to = said.headers["location"].to_str().unwrap();
        let (at, query) = to.split_once('?').unwrap();
        assert_eq!(at, format!("{}/authorize", self.provider.issuer));
        form_urlencoded::parse(query.as_bytes()).into_owned().collect()
    }

    async fn back(&self, browser: &mut Browser, members: &[(&str, &str)]) -> Said {
        let mut query = form_urlencoded::Serializer::new(String::new());
        query.extend_pairs(members);
        let said = self.look(browser, &format!("/v1/signin/callback?{}", query.finish())).await;
        browser.take(&said);
        said
    }

    /// Signs somebody in; `alter` changes what the provider says of them.
    async fn try_as(&self, browser: &mut Browser, subject: &str, alter: impl FnOnce(&mut Value)) -> Said {
        let asked = self.begin(browser).await;
        let mut claims = self.provider.person(subject, &asked["nonce"]);
        alter(&mut claims);
        let code = self.provider.code(claims);
        self.back(browser, &[("code", &code), ("state", &asked["state"]), ("iss", &self.provider.issuer)]).await
    }

    async fn signed_in(&self, subject: &str) -> Browser {
        let mut browser = Browser::default();
        let said = self.try_as(&mut browser, subject, |_| ()).await;
        assert_eq!(said.status, 303, "{:?}", said.body);
        browser
    }

    async fn csrf(&self, browser: &Browser) -> String {
        self.look(browser, "/v1/session").await.body["csrf"].as_str().unwrap().to_owned()
    }

    fn origin(&self) -> String {
        format!("https://localhost:{}", self.port)
    }

    async fn logged_out(&self, token: &str) -> Said {
        let form = form_urlencoded::Serializer::new(String::new()).append_pair("logout_token", token).finish();
        let request =
            http::Request::post("/v1/signin/logout").header("content-type", "application/x-www-form-urlencoded");
        self.browse(&Browser::default(), request, form.into_bytes()).await
    }

    async fn with_token(&self, token: &str, path: &str) -> Said {
        self.browse(
            &Browser::default(),
            http::Request::get(path).header("authorization", format!("Bearer {token}")),
            vec![],
        )
        .await
    }
}

fn told(said: &Said) -> (u16, &str) {
    (said.status, said.code())
}

#[tokio::test]
async fn whoever_signs_in_sees_their_tenant_and_says_who_they_are() {
    let site = Site::new().await;
    let kill = proposed(&site.world, Action::RevokeL1 {}, "carol").0;
    assert_eq!(site.post("/v1/proposals", &kill).await.status, 202);
    let mut browser = Browser::default();
    let asked = site.begin(&mut browser).await;
    let wanted = [
        ("response_type", "code"),
        ("client_id", CLIENT),
        ("scope", "openid groups"),
        ("code_challenge_method", "S256"),
        ("max_age", "3600"),
        ("acr_values", "urn:mfa"),
        ("kept", "1"),
    ];
    for (name, value) in wanted {
        assert_eq!(asked[name], value, "{asked:?}");
    }
    let code = site.provider.code(site.provider.person("alice", &asked["nonce"]));
    let said =
        site.back(&mut browser, &[("code", &code), ("state", &asked["state"]), ("iss", &site.provider.issuer)]).await;
    assert_eq!((said.status, said.headers["location"].to_str().unwrap()), (303, "/v1/session"), "{:?}", said.body);
    assert_eq!(browser.cookies.keys().collect::<Vec<_>>(), ["__Host-kcm-session"], "what began it is gone");
    // The provider could check that whoever redeems the code began the sign-in, and is us.
    let (form, authorization) = site.provider.asked().remove(0);
    let form: BTreeMap<String, String> = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    let digest = Sha256::digest(&form["code_verifier"]);
    assert_eq!(asked["code_challenge"], base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(digest));
    assert_eq!(form["redirect_uri"], asked["redirect_uri"]);
    let pair = format!("{CLIENT}:s3cret%3Awith%2Fodd+characters");
    assert_eq!(authorization, format!("Basic {}", STANDARD.encode(pair)));

    let session = site.look(&browser, "/v1/session").await;
    assert_eq!(session.status, 200, "{:?}", session.body);
    assert_eq!(session.body["by"], "session");
    assert_eq!(session.body["name"], format!("{}#alice", site.provider.issuer));
    assert_eq!(session.body["groups"], json!(["Security_Ops"]), "what the map does not name is none of ours");
    assert_eq!((session.body["mfa"].clone(), session.body["acr"].clone()), (json!(true), json!("urn:mfa")));
    assert!(session.body["expires_ms"].as_u64() > session.body["authenticated_ms"].as_u64());
    let document: Value = serde_json::from_str(portal_api::OPENAPI).unwrap();
    let found = crate::schema::findings(&document, &document["components"]["schemas"]["Session"], &session.body);
    assert!(found.is_empty(), "{found:?}");
    let proposals = site.look(&browser, "/v1/proposals").await;
    assert_eq!(proposals.body["items"].as_array().unwrap().len(), 1);
    assert_eq!(proposals.body["items"][0]["kind"], "RevokeL1");
    for header in ["content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy"] {
        assert!(session.headers.contains_key(header), "{header}");
    }
    assert!(session.headers["content-security-policy"].to_str().unwrap().contains("default-src 'none'"));
}

#[tokio::test]
async fn without_a_certificate_and_a_session_there_is_nothing() {
    let site = Site::new().await;
    let nobody = Browser::default();
    for path in ["/v1/tenants", "/v1/proposals", "/v1/session", "/v1/events", "/v1/audit/entries"] {
        let said = site.look(&nobody, path).await;
        assert_eq!(told(&said), (401, "sign-in-needed"), "{path}");
        assert_eq!(said.headers["www-authenticate"], "Bearer");
    }
    let guessed = Browser { cookies: [("__Host-kcm-session".to_owned(), "A".repeat(43))].into() };
    assert_eq!(site.look(&guessed, "/v1/tenants").await.status, 401);
    assert_eq!(site.look(&nobody, "/livez").await.status, 200);
    // Certificates are as before: needed by nobody, and none of another CA is taken.
    assert_eq!(site.get("/v1/tenants").await.status, 200);
    assert_eq!(site.get("/v1/session").await.body["by"], "certificate");
    assert_eq!(site.send_as("mallory", http::Request::get("/v1/tenants"), vec![]).await.status, 403);
    let foreign = Ca::new("rest-ca").leaf(OPERATOR, |_| ());
    let tls = site.connect(Some(&foreign)).await;
    let refused = match tls {
        Err(_) => true,
        Ok(mut tls) => {
            use tokio::io::{AsyncReadExt, AsyncWriteExt};
            drop(tls.write_all(b"GET /livez HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").await);
            let mut answer = Vec::new();
            tls.read_to_end(&mut answer).await.is_err() || answer.is_empty()
        }
    };
    assert!(refused, "a certificate of another CA is worse than none");
}

#[tokio::test]
async fn what_does_not_fit_lets_nobody_in() {
    let site = Site::new().await;
    let iss = site.provider.issuer.clone();
    let mut browser = Browser::default();
    // A state is taken once, well or not.
    let asked = site.begin(&mut browser).await;
    let before = browser.clone();
    let code = site.provider.code(site.provider.person("alice", &asked["nonce"]));
    let answer = [("code", code.as_str()), ("state", asked["state"].as_str()), ("iss", iss.as_str())];
    assert_eq!(site.back(&mut browser, &answer).await.status, 303);
    assert_eq!(told(&site.back(&mut before.clone(), &answer).await), (400, "sign-in-failed"), "replayed");
    assert_eq!(site.provider.asked().len(), 1, "the provider is not even asked");

    let wrong = |claims: &mut Value, member: &str, value: Value| claims[member] = value;
    let table: [(&str, Value); 6] = [
        ("nonce", json!("another")),
        ("aud", json!("another")),
        ("iss", json!("https://another.example")),
        ("azp", json!("another")),
        ("exp", json!(1)),
        ("auth_time", json!(crate::provider::now() - 7_200)),
    ];
    for (member, value) in table {
        let said = site.try_as(&mut Browser::default(), "alice", |claims| wrong(claims, member, value)).await;
        assert_eq!(told(&said), (400, "sign-in-failed"), "{member}");
        assert!(!said.headers.contains_key("set-cookie"), "{member}");
    }
    for (members, why) in [
        (vec![("state", "STATE"), ("iss", iss.as_str())], "no code"),
        (vec![("code", "CODE"), ("state", "STATE")], "no issuer, though the provider promised one"),
        (vec![("code", "CODE"), ("state", "STATE"), ("iss", "https://another.example")], "another issuer"),
        (vec![("code", "CODE"), ("state", "STATE"), ("state", "STATE"), ("iss", iss.as_str())], "two states"),
        (vec![("code", "CODE"), ("iss", iss.as_str())], "no state"),
        (vec![("code", "other"), ("state", "STATE"), ("iss", iss.as_str())], "a code of nobody"),
        (vec![("error", "access_denied"), ("state", "STATE"), ("iss", iss.as_str())], "the provider refuses"),
    ] {
        let mut browser = Browser::default();
        let asked = site.begin(&mut browser).await;
        let code = site.provider.code(site.provider.person("alice", &asked["nonce"]));
        let filled: Vec<(&str, &str)> = members
            .iter()
            .map(|(name, value)| match *value {
                "STATE" => (*name, asked["state"].as_str()),
                "CODE" => (*name, code.as_str()),
                other => (*name, other),
            })
            .collect();
        let said = site.back(&mut browser, &filled).await;
        assert_eq!(told(&said), (400, "sign-in-failed"), "{why}");
        assert!(!browser.cookies.contains_key("__Host-kcm-session"), "{why}");
    }
}

#[tokio::test]
async fn only_the_browser_that_began_ends_it() {
    let site = Site::new().await;
    let (mut one, mut two) = (Browser::default(), Browser::default());
    let asked = site.begin(&mut one).await;
    let _own = site.begin(&mut two).await;
    let code = site.provider.code(site.provider.person("alice", &asked["nonce"]));
    let answer = [("code", code.as_str()), ("state", asked["state"].as_str()), ("iss", site.provider.issuer.as_str())];
    assert_eq!(told(&site.back(&mut two, &answer).await), (400, "sign-in-failed"), "with a cookie of its own");
    let asked = site.begin(&mut one).await;
    let answer = [("code", code.as_str()), ("state", asked["state"].as_str()), ("iss", site.provider.issuer.as_str())];
    assert_eq!(told(&site.back(&mut Browser::default(), &answer).await), (400, "sign-in-failed"), "with none");
}

#[tokio::test]
async fn a_browser_is_sent_to_no_other_host() {
    let site = Site::new().await;
    for to in ["https://evil.example/", "//evil.example", "/%5Cevil.example"] {
        assert_eq!(
            told(&site.look(&Browser::default(), &format!("/v1/signin?to={to}")).await),
            (400, "unreadable"),
            "{to}"
        );
    }
}

#[tokio::test]
async fn a_second_factor_is_checked_and_not_only_asked_for() {
    let site = Site::new().await;
    for (member, value) in
        [("acr", json!("urn:pwd")), ("acr", Value::Null), ("amr", json!(["pwd"])), ("amr", json!([]))]
    {
        let mut browser = Browser::default();
        let said = site.try_as(&mut browser, "alice", |claims| claims[member] = value.clone()).await;
        assert_eq!(told(&said), (403, "sign-in-weak"), "{member} {value}");
        assert!(browser.cookies.keys().all(|name| name != "__Host-kcm-session"));
    }
}

#[tokio::test]
async fn whom_no_trust_root_knows_has_no_session() {
    let site = Site::new().await;
    // carol is a person here, and not by that name; an operator's name is nobody's at a provider.
    for subject in ["mallory", "carol", OPERATOR, "spiffe://test/person/carol"] {
        let mut browser = Browser::default();
        let said = site.try_as(&mut browser, subject, |_| ()).await;
        assert_eq!(told(&said), (403, "unknown-visitor"), "{subject}");
        assert!(!browser.cookies.contains_key("__Host-kcm-session"));
    }
    let said = site.try_as(&mut Browser::default(), "client:ci", |_| ()).await;
    assert_eq!(told(&said), (400, "sign-in-failed"), "no person is a program");
}

#[tokio::test]
async fn a_request_that_writes_must_come_from_a_page_of_ours() {
    let site = Site::new().await;
    let browser = site.signed_in("alice").await;
    let (csrf, origin) = (site.csrf(&browser).await, site.origin());
    let other = site.csrf(&site.signed_in("alice").await).await;
    assert_ne!(csrf, other);
    let write = async |headers: &[(&str, &str)]| {
        let mut request = http::Request::post("/v1/tenants/acme/revocations:simulate");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        site.browse(&browser, request, vec![]).await
    };
    let right = [(CSRF, csrf.as_str()), ("origin", origin.as_str()), ("sec-fetch-site", "same-origin")];
    assert_eq!(write(&right).await.status, 200);
    assert_eq!(write(&right[..2]).await.status, 200, "an old browser");
    assert_eq!(write(&[right[0], right[2]]).await.status, 200);
    let wrong: [(&str, Vec<(&str, &str)>); 8] = [
        ("no token", vec![right[1], right[2]]),
        ("another session's token", vec![(CSRF, other.as_str()), right[1], right[2]]),
        ("two tokens", vec![right[0], right[0], right[1]]),
        ("another origin", vec![right[0], ("origin", "https://evil.example")]),
        ("no origin", vec![right[0], ("origin", "null")]),
        ("another site", vec![right[0], right[1], ("sec-fetch-site", "cross-site")]),
        ("a neighbour", vec![right[0], ("sec-fetch-site", "same-site")]),
        ("no browser", vec![right[0]]),
    ];
    for (why, headers) in wrong {
        assert_eq!(told(&write(&headers).await), (403, "cross-site"), "{why}");
    }
    // Certificates need no token; a page of another site may not ride on one either.
    let path = "/v1/tenants/acme/revocations:simulate";
    assert_eq!(site.send(http::Request::post(path), vec![]).await.status, 200);
    let across = site.send(http::Request::post(path).header("sec-fetch-site", "cross-site"), vec![]).await;
    assert_eq!(told(&across), (403, "cross-site"));
}

#[tokio::test]
async fn signing_out_ends_the_session_here_and_names_the_place_at_the_provider() {
    let site = Site::new().await;
    let mut browser = site.signed_in("alice").await;
    let csrf = site.csrf(&browser).await;
    let end = || http::Request::post("/v1/session/end").header("origin", site.origin());
    assert_eq!(told(&site.browse(&browser, end(), vec![]).await), (403, "cross-site"));
    let kept = browser.clone();
    let said = site.browse(&browser, end().header(CSRF, &csrf), vec![]).await;
    assert_eq!(said.status, 200, "{:?}", said.body);
    browser.take(&said);
    assert!(browser.cookies.is_empty());
    let to = said.body["provider"].as_str().unwrap();
    assert!(to.starts_with(&format!("{}/end?client_id={CLIENT}&id_token_hint=ey", site.provider.issuer)), "{to}");
    assert_eq!(site.look(&kept, "/v1/session").await.status, 401, "the secret counts no more");
    assert_eq!(
        site.send(http::Request::post("/v1/session/end"), vec![]).await.status,
        401,
        "a certificate has no session"
    );
}

#[tokio::test]
async fn each_sign_in_has_a_new_secret_and_ends_the_one_before() {
    let site = Site::new().await;
    let first = site.signed_in("alice").await;
    let mut second = first.clone();
    assert_eq!(site.try_as(&mut second, "alice", |_| ()).await.status, 303);
    assert_ne!(first.cookies, second.cookies);
    assert_eq!(site.look(&first, "/v1/session").await.status, 401);
    assert_eq!(site.look(&second, "/v1/session").await.status, 200);
}

#[tokio::test]
async fn the_provider_ends_sessions_and_what_hangs_on_them() {
    let site = Site::new().await;
    let (alice, bob) = (site.signed_in("alice").await, site.signed_in("bob").await);
    let mut sender = site.sender_of(None).await;
    let request = http::Request::get("/v1/events").header("host", "localhost").header("cookie", alice.line());
    let mut stream = sender.send_request(request.body(Full::default()).unwrap()).await.unwrap();
    assert_eq!(stream.status(), 200);

    let token = |claims: &Value| site.provider.sign("logout+jwt", claims);
    let mut nonce = site.provider.logout("alice", "j-0");
    nonce["nonce"] = json!("x");
    let forged = token(&site.provider.logout("alice", "j-0")).replace('.', "A.");
    for bad in [token(&nonce), forged, "x".to_owned(), site.provider.sign("JWT", &site.provider.person("alice", "n"))] {
        assert_eq!(told(&site.logged_out(&bad).await), (400, "sign-in-failed"));
    }
    assert_eq!(site.look(&alice, "/v1/session").await.status, 200, "nothing of that ended it");

    let right = token(&site.provider.logout("alice", "j-1"));
    assert_eq!(site.logged_out(&right).await.status, 200);
    assert_eq!(site.look(&alice, "/v1/session").await.status, 401);
    assert_eq!(site.look(&bob, "/v1/session").await.status, 200, "and nobody else's");
    let ended = async { while stream.body_mut().frame().await.is_some_and(|frame| frame.is_ok()) {} };
    tokio::time::timeout(Duration::from_secs(20), ended).await.expect("the events go on without a session");

    let again = site.signed_in("alice").await;
    assert_eq!(told(&site.logged_out(&right).await), (400, "sign-in-failed"), "a logout token counts once");
    assert_eq!(site.look(&again, "/v1/session").await.status, 200);
}

#[tokio::test]
async fn the_provider_takes_groups_away_and_adds_none() {
    let provider = Provider::start().await;
    // A group can also be what forbids something: taking it away must not allow it.
    let policy =
        "@id(\"barred\") forbid(principal in Group::\"Compliance_Legal\", action == Action::\"read\", resource);";
    let site = Site::of(provider, policy, Limits::default(), |_| ()).await;
    site.taken().await;
    let link = link_l1("arn:aws:kms:eu-central-1:1:key/1");
    let taken = site.post("/v1/proposals", &proposed(&site.world, link, "alice").0).await;
    assert_eq!(taken.status, 202, "{:?}", taken.body);
    let probe = format!("/v1/proposals/{}/probe", taken.body["id"].as_str().unwrap());
    let ask = async |browser: &Browser| {
        let (csrf, origin) = (site.csrf(browser).await, site.origin());
        site.browse(browser, http::Request::post(&probe).header(CSRF, csrf).header("origin", origin), vec![]).await
    };
    let full = site.signed_in("alice").await;
    assert_eq!(ask(&full).await.status, 202, "a member of Security_Ops in both");
    let mut none = Browser::default();
    assert_eq!(site.try_as(&mut none, "alice", |claims| claims["groups"] = json!(["idp-other"])).await.status, 303);
    assert_eq!(site.look(&none, "/v1/session").await.body["groups"], json!([]));
    assert_eq!(told(&ask(&none).await), (403, "policy-denies"), "by the trust root she might");
    // The provider calls bob one of Security_Ops; no trust root does.
    let bob = site.signed_in("bob").await;
    assert_eq!(site.look(&bob, "/v1/proposals").await.body["items"], json!([]), "and what bars him holds");
}

#[tokio::test]
async fn without_a_provider_nobody_signs_in_and_sessions_go_on() {
    let site = Site::new().await;
    site.provider.set_down(true);
    for _ in 0..2 {
        assert_eq!(told(&site.look(&Browser::default(), "/v1/signin").await), (503, "sign-in-unavailable"));
    }
    let site = Site::new().await;
    let browser = site.signed_in("alice").await;
    site.provider.set_down(true);
    assert_eq!(site.look(&browser, "/v1/proposals").await.status, 200);
    for (member, value) in [
        ("issuer", json!("https://another.example")),
        ("code_challenge_methods_supported", json!(["plain"])),
        ("token_endpoint", json!("http://another.example/token")),
        ("authorization_endpoint", json!("https://another.example/")),
        ("jwks_uri", Value::Null),
    ] {
        let site = Site::of(Provider::start().await.with(member, value), "", Limits::default(), |_| ()).await;
        assert_eq!(told(&site.look(&Browser::default(), "/v1/signin").await), (503, "sign-in-unavailable"), "{member}");
    }
}

#[tokio::test]
async fn a_new_key_is_fetched_and_a_stranger_cannot_make_us_fetch_at_will() {
    let site = Site::new().await;
    site.signed_in("alice").await;
    assert_eq!(site.provider.key_reads(), 1);
    site.provider.rotate("key-2");
    site.signed_in("alice").await;
    assert_eq!(site.provider.key_reads(), 2, "a key that is new is looked for");
    site.provider.rotate("key-3");
    for _ in 0..5 {
        let token = site.provider.sign("at+jwt", &site.provider.program("ci", AUDIENCE));
        assert_eq!(told(&site.with_token(&token, "/v1/proposals").await), (401, "bad-token"));
    }
    assert_eq!(site.provider.key_reads(), 2, "but not twice within half a minute");
}

#[tokio::test]
async fn a_provider_that_takes_secrets_in_the_form_alone_gets_it_there() {
    let provider = Provider::start().await.with("token_endpoint_auth_methods_supported", json!(["client_secret_post"]));
    let provider = provider.with("authorization_response_iss_parameter_supported", Value::Null);
    let site = Site::of(provider, "", Limits::default(), |_| ()).await;
    site.signed_in("alice").await;
    let (form, authorization) = site.provider.asked().remove(0);
    let form: BTreeMap<String, String> = form_urlencoded::parse(form.as_bytes()).into_owned().collect();
    assert_eq!((form["client_secret"].as_str(), authorization.as_str()), (SECRET, ""));
}

#[tokio::test]
async fn a_program_calls_with_its_own_token_and_with_no_other() {
    let site = Site::new().await;
    let token = |typ: &str, claims: Value| site.provider.sign(typ, &claims);
    let right = token("at+jwt", site.provider.program("ci", AUDIENCE));
    let session = site.with_token(&right, "/v1/session").await;
    assert_eq!(session.body["by"], "token");
    assert_eq!(session.body["name"], format!("{}#client:ci", site.provider.issuer));
    let ids = site.with_token(&right, "/v1/tenants").await;
    assert_eq!(ids.body["items"][0]["name"], "acme", "frank's program sees frank's tenant");
    // Nothing rides along with it by itself: no token against other sites is needed.
    let simulate =
        http::Request::post("/v1/tenants/acme/revocations:simulate").header("authorization", format!("bearer {right}"));
    assert_eq!(site.browse(&Browser::default(), simulate, vec![]).await.status, 200);

    let mut of_alice = site.provider.program("cli", AUDIENCE);
    of_alice["sub"] = json!("alice");
    for (why, bad) in [
        ("an ID token", token("JWT", site.provider.person("alice", "n"))),
        ("of another audience", token("at+jwt", site.provider.program("ci", "https://other.example"))),
        ("that a program got for a person", token("at+jwt", of_alice)),
        ("no token", "x".to_owned()),
    ] {
        assert_eq!(told(&site.with_token(&bad, "/v1/tenants").await), (401, "bad-token"), "{why}");
    }
    let stranger = token("at+jwt", site.provider.program("alice", AUDIENCE));
    let said = site.with_token(&stranger, "/v1/tenants").await;
    assert_eq!(told(&said), (403, "unknown-visitor"), "a program that is called like a person is not that person");
    // A bad token is never saved by a good session beside it.
    let alice = site.signed_in("alice").await;
    let both = http::Request::get("/v1/tenants").header("authorization", "Bearer x");
    assert_eq!(site.browse(&alice, both, vec![]).await.status, 401);
    let basic = http::Request::get("/v1/tenants").header("authorization", "Basic eDp5");
    assert_eq!(site.browse(&alice, basic, vec![]).await.status, 401);

    let closed = Site::of(Provider::start().await, "", Limits::default(), |login| login.audience = None).await;
    let token = closed.provider.sign("at+jwt", &closed.provider.program("ci", AUDIENCE));
    assert_eq!(told(&closed.with_token(&token, "/v1/tenants").await), (401, "bad-token"), "where none is taken");
}

#[tokio::test]
async fn one_address_tries_so_often_and_no_more() {
    let site = Site::new().await;
    let browser = Browser::default();
    for _ in 0..STEPS_A_MINUTE_PER_SOURCE_MAX {
        assert_eq!(site.look(&browser, "/v1/signin").await.status, 303);
    }
    assert_eq!(told(&site.look(&browser, "/v1/signin").await), (429, "too-many-sign-ins"));
    assert_eq!(told(&site.look(&browser, "/v1/signin/callback?state=x").await), (429, "too-many-sign-ins"));
    for _ in 0..portal_api::sign_in::BAD_TOKENS_A_MINUTE_PER_SOURCE_MAX {
        assert_eq!(site.with_token("x", "/v1/tenants").await.status, 401);
    }
    let right = site.provider.sign("at+jwt", &site.provider.program("ci", AUDIENCE));
    assert_eq!(told(&site.with_token(&right, "/v1/tenants").await), (429, "too-many-sign-ins"));
    assert_eq!(site.get("/v1/tenants").await.status, 200, "a certificate is none of that");
}

#[tokio::test]
async fn one_network_without_certificates_does_not_hold_every_connection() {
    let limits = Limits { connections_per_source: 2, ..Limits::default() };
    let site = Site::of(Provider::start().await, "", limits, |_| ()).await;
    let live = |mut sender: hyper::client::conn::http1::SendRequest<Full<bytes::Bytes>>| async move {
        let request = http::Request::get("/livez").header("host", "localhost").body(Full::default()).unwrap();
        let status = sender.send_request(request).await.map(|answer| answer.status().as_u16());
        (sender, status.ok())
    };
    let one = live(site.sender_of(None).await).await;
    let two = live(site.sender_of(None).await).await;
    assert_eq!((one.1, two.1), (Some(200), Some(200)));
    assert_eq!(live(site.sender_of(None).await).await.1, None, "a third is turned away");
    assert_eq!(site.get("/livez").await.status, 200, "a certificate has a share of its own");
}

#[tokio::test]
async fn where_nothing_is_configured_there_is_no_sign_in() {
    let house = House::furnished().await;
    for path in ["/v1/signin", "/v1/signin/callback?code=1&state=2"] {
        let said = house.get(path).await;
        assert_eq!(told(&said), (404, "no-sign-in"));
    }
    let bearer = http::Request::get("/v1/tenants").header("authorization", "Bearer x");
    assert_eq!(house.send(bearer, vec![]).await.status, 200, "the certificate decides, and nothing else is looked at");
}
