//! People sign in at a real OpenID provider (oidc-provider, in a process of its own) with a real browser, make a passkey, approve with it and
//! sign out; a program calls with its own token. Without a second factor, with a question that somebody altered on its way, after the
//! session's time or after the provider has ended it, nobody is anybody.

use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use serde_json::{Value, json};

use crate::{
    browser::{self, Browser},
    demo::{Demo, until},
    journey_portal::named,
    relay::Relay,
};

/// The portal, as programs name it.
const AUDIENCE: &str = "https://portal.example";
/// `max_age` of the sessions, in seconds.
const MAX_AGE_S: u64 = 3_600;
/// How long a session lasts whose person proved themselves nearly [`MAX_AGE_S`] ago.
const SHORT_S: u64 = 15;
/// A person with a second factor.
const CAROL: [(&str, &str); 3] = [("user", "carol"), ("password", "carol-pw"), ("code", "314159")];

/// A running provider; it ends with this value.
struct Provider {
    process: Child,
    issuer: String,
    certificate: PathBuf,
    key: KeyPair,
}

impl Provider {
    /// Waits until it listens.
    fn start(demo: &Demo, modules: &Path, origin: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap().self_signed(&key).unwrap();
        let [cert, secret] =
            [("provider.crt", certificate.pem()), ("provider.key", key.serialize_pem())].map(|(name, text)| {
                fs::write(demo.file(name), text).unwrap();
                demo.file(name)
            });
        let portal = demo.json["portal"]["url"].as_str().unwrap().replace("127.0.0.1", "localhost");
        let mut process = Command::new(modules.join("node"))
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("foreign/oidc/provider.mjs"))
            .args([modules, &cert, &secret])
            .args([format!("{origin}/v1/signin/callback"), format!("{portal}/v1/signin/logout"), AUDIENCE.to_owned()])
            .env("NODE_EXTRA_CA_CERTS", demo.json["portal"]["ca"].as_str().unwrap())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let said: Value = serde_json::from_str(&line).unwrap_or_else(|why| panic!("the provider says {line}: {why}"));
        Self { process, issuer: said["issuer"].as_str().unwrap().to_owned(), certificate: cert, key }
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        drop(self.process.kill().and_then(|()| self.process.wait()));
    }
}

/// Where the provider's modules are, if there are any.
fn modules() -> Option<PathBuf> {
    let Some(modules) = std::env::var_os("KCM_OIDC").map(PathBuf::from) else {
        println!("sign-in: skipped: KCM_OIDC names no folder with a provider (`make test` makes one)");
        return None;
    };
    assert!(
        modules.join("stamp").is_file(),
        "KCM_OIDC={} has no whole provider: `.ci/install oidc` makes one",
        modules.display()
    );
    Some(modules)
}

struct Story {
    demo: Demo,
    browser: Browser,
    provider: Provider,
    origin: String,
    _profile: tempfile::TempDir,
}

impl Story {
    /// A demo whose tenant acme knows people and a program at the provider, with sign-in.
    async fn begin(modules: &Path) -> Self {
        let demo = Demo::start();
        let relay = Relay::without_certificate(&demo).await;
        let provider = Provider::start(&demo, modules, &relay.origin);
        let profile = tempfile::tempdir().unwrap();
        let keys = [named(&relay.key), named(&provider.key.subject_public_key_info())].join(",");
        let browser = Browser::start(profile.path(), &keys);
        let mut story = Self { demo, browser, provider, origin: relay.origin, _profile: profile };
        let (issuer, origin) = (story.provider.issuer.clone(), story.origin.clone());
        story
            .demo
            .decide("erin", &["actor", "passkeys", "--rp-id", "localhost", "--origin", &origin, "--tenant", "acme"]);
        for (who, by, name) in
            [("carol", "--subject", "carol"), ("dave", "--subject", "dave"), ("heidi", "--program", "ci")]
        {
            story.demo.decide("erin", &["actor", "bind", who, "--tenant", "acme", "--issuer", &issuer, by, name]);
        }
        story.configure();
        story
    }

    /// Gives governance a login and starts it again.
    fn configure(&mut self) {
        let (file, secret) = (self.demo.dir().join("topology.toml"), self.demo.file("login.secret"));
        fs::write(&secret, "portal-secret\n").unwrap();
        fs::set_permissions(&secret, Permissions::from_mode(0o600)).unwrap();
        let login = format!(
            "\n[governance.login]\nissuer = \"{}\"\nclient_id = \"kcm-portal\"\nclient_secret_file = \"{}\"\n\
             redirect = \"{}/v1/signin/callback\"\nca = \"{}\"\nscopes = [\"groups\"]\ngroups_claim = \"groups\"\n\
             groups = {{ \"idp-leaders\" = \"Senior_Leadership\" }}\nmfa = {{ acr = [\"urn:kcm:mfa\"], amr = [\"mfa\"] }}\n\
             max_age = \"{MAX_AGE_S}s\"\nidle = \"30m\"\naudience = \"{AUDIENCE}\"\n",
            self.provider.issuer,
            secret.display(),
            self.origin,
            self.provider.certificate.display(),
        );
        fs::write(&file, fs::read_to_string(&file).unwrap() + &login).unwrap();
        self.demo.ok(None, &["topology", "check", file.to_str().unwrap()]);
        self.demo.ask_to_end("gov-1");
        self.demo.run("gov-1");
        until("governance is back", || (self.demo.kcm(None, &["tenant", "list"]).code == 0).then_some(()));
    }

    /// A browser that was nowhere before wants to see a view, and its person fills in the provider's form.
    fn sign_in(&mut self, view: &str, form: &[(&str, &str)]) {
        self.browser.forget();
        self.browser.open(&format!("{}/portal{view}", self.origin));
        self.browser.says("#who", "Nobody is signed in");
        self.browser.press("#content button.main");
        for (name, value) in form {
            self.browser.fill(&format!("#{name}"), value);
        }
        self.browser.press("#go");
    }

    fn signed_in(&mut self, view: &str, form: &[(&str, &str)]) {
        self.sign_in(view, form);
        let name = format!("Here as {}#carol until", self.provider.issuer);
        self.browser.says("#who", &name);
    }

    /// What a call of a page of the portal says, as JSON with its status.
    fn fetched(&mut self, path: &str, options: &str) -> Value {
        self.browser.value(&format!(
            "fetch('{path}', {options}).then(async (said) => ({{ status: said.status, body: await said.json() }}))"
        ))
    }

    fn ends(&mut self, what: &str) {
        self.browser.says("#who", "");
        until(what, || (self.fetched("/v1/session", "{}")["status"] == 401).then_some(()));
        self.is_outside();
    }

    /// The page is for nobody.
    fn is_outside(&mut self) {
        self.browser.open(&format!("{}/portal", self.origin));
        self.browser.says("#who", "Nobody is signed in");
        self.browser.says("h1", "Sign in");
    }

    fn log(&self) -> String {
        fs::read_to_string(self.demo.dir().join("log/gov-1.again.log")).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_and_programs_sign_in_at_a_real_provider() {
    let Some(modules) = modules() else { return };
    if !browser::is_there("sign-in in a browser") {
        return;
    }
    let mut story = Story::begin(&modules).await;
    a_person_approves(&mut story);
    what_was_altered_lets_nobody_in(&mut story);
    who_is_not_strong_or_not_known_stays_outside(&mut story);
    a_program_calls(&mut story);
    sessions_end(&mut story);
    let Story { demo, browser, provider, .. } = story;
    drop((browser, provider));
    demo.end();
}

/// carol signs in, makes a passkey, and approves with it; a page that does not prove itself the session's writes nothing.
fn a_person_approves(story: &mut Story) {
    story.signed_in("#/enrol", &CAROL);
    let session = story.fetched("/v1/session", "{}")["body"].clone();
    assert_eq!(session["name"], format!("{}#carol", story.provider.issuer));
    assert_eq!((&session["mfa"], &session["groups"]), (&json!(true), &json!(["Senior_Leadership"])), "{session}");
    let tenants = story.fetched("/v1/tenants", "{}")["body"]["items"].clone();
    assert_eq!(tenants.as_array().unwrap().iter().map(|one| &one["name"]).collect::<Vec<_>>(), ["acme"]);

    let authenticator = story.browser.plug(true);
    let acme = story.demo.tenant("acme").to_owned();
    for (field, value) in [("#tenant", acme.as_str()), ("#person", "carol"), ("#key-name", "phone")] {
        story.browser.fill(field, value);
    }
    story.browser.press("#make");
    story.browser.says("#said", "the passkey is made");
    let file = story.demo.file("carol.enrolment");
    fs::write(&file, story.browser.text("#enrolment")).unwrap();
    let enrolment = file.to_str().unwrap();
    story.demo.decide(
        "erin",
        &["actor", "add", "carol", "--tenant", "acme", "--key-name", "phone", "--enrolment", enrolment],
    );

    let id = story.demo.propose("dave", &["revoke", "propose", "--tenant", "acme", "--reason", "contract"]);
    let answer = format!("/v1/proposals/{id}/approve");
    let forged =
        story.fetched(&answer, "{ method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' }");
    assert_eq!((&forged["status"], &forged["body"]["code"]), (&json!(403), &json!("cross-site")), "{forged}");
    story.browser.open(&format!("{}/portal#/proposals/{id}", story.origin));
    story.browser.fill("#person", "carol");
    story.browser.press("#approve");
    story.browser.says("#said", "carol approved exactly this");
    story.browser.unplug(&authenticator);
    let shown = story.demo.ok(None, &["proposal", "show", &id]);
    assert!(shown["approvals"].to_string().contains("carol"), "{shown}");
}

/// Somebody on the browser's way alters one member of its question. Each is caught for its own reason, which the log names.
fn what_was_altered_lets_nobody_in(story: &mut Story) {
    let long_ago = (MAX_AGE_S * 2).to_string();
    let altered = [
        ("state=another", "0", "its `state` is none that waits"),
        ("nonce=another", "0", "nonce"),
        // SHA-256 of nothing: the provider does not take our verifier for it.
        ("code_challenge=47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU", "0", "the provider gave no token for the code"),
        ("max_age=", long_ago.as_str(), "auth_time"),
    ];
    for (member, ago, why) in altered {
        let before = story.log().len();
        let hands = format!("{}/hands?{member}", story.provider.issuer);
        story.browser.open(&hands);
        story.browser.says("body", "ready");
        story.sign_in("", &[&CAROL[..], &[("ago", ago)]].concat());
        story.browser.says("body", "sign-in-failed");
        let log = story.log().split_off(before);
        assert!(log.contains(why), "{member}: {log}");
        story.is_outside();
    }
}

/// Without a second factor in the token, and as somebody whom no trust root knows.
fn who_is_not_strong_or_not_known_stays_outside(story: &mut Story) {
    story.sign_in("", &[("user", "dave"), ("password", "dave-pw")]);
    story.browser.says("body", "sign-in-weak");
    story.is_outside();
    story.sign_in("", &[("user", "mallory"), ("password", "mallory-pw"), ("code", "271828")]);
    story.browser.says("body", "unknown-visitor");
    story.is_outside();
}

/// heidi's program sees what heidi sees, with a token for the portal and with no other.
fn a_program_calls(story: &mut Story) {
    let mut token = |resource: &str| {
        let at = format!("{}/.well-known/openid-configuration", story.provider.issuer);
        story.browser.open(&at);
        story.browser.says("body", "token_endpoint");
        let options = format!(
            "{{ method: 'POST', headers: {{ authorization: 'Basic ' + btoa('ci:ci-secret') }}, \
             body: new URLSearchParams('grant_type=client_credentials{resource}') }}"
        );
        let said = story.fetched("/token", &options);
        said["body"]["access_token"].as_str().unwrap_or_else(|| panic!("{said}")).to_owned()
    };
    let (right, wrong) = (token(&format!("&resource={AUDIENCE}")), token(""));
    story.is_outside();
    let with = |token: &str| format!("{{ credentials: 'omit', headers: {{ authorization: 'Bearer {token}' }} }}");
    let said = story.fetched("/v1/session", &with(&right));
    let name = format!("{}#client:ci", story.provider.issuer);
    assert_eq!((&said["body"]["by"], &said["body"]["name"]), (&json!("token"), &json!(name)), "{said}");
    assert_eq!(story.fetched("/v1/proposals", &with(&right))["status"], 200);
    // For nobody in particular: this provider gives an opaque token then.
    assert_eq!(story.fetched("/v1/proposals", &with(&wrong))["status"], 401);
}

/// By its time, by the button of the page, and by the provider.
fn sessions_end(story: &mut Story) {
    let ago = (MAX_AGE_S - SHORT_S).to_string();
    story.signed_in("", &[&CAROL[..], &[("ago", &ago)]].concat());
    story.ends("a session ends with its time");

    story.signed_in("", &CAROL);
    story.browser.press("#who button");
    // The button leads on to the provider, whose own session ends with its own word.
    story.browser.press("#out");
    story.browser.until("the provider has ended it", "!document.querySelector('#out')");
    story.is_outside();

    story.signed_in("", &CAROL);
    story.browser.open(&format!("{}/session/end", story.provider.issuer));
    story.browser.press("#out");
    story.browser.until("the provider has ended it", "!document.querySelector('#out')");
    story.browser.open(&format!("{}/portal", story.origin));
    story.ends("the session ends with the provider's");
}
