//! The portal's page in a real browser: people enrol passkeys, the tenant's people take them in, and a stop is proposed and approved by them,
//! read from the bytes that they sign, and watched until every region has confirmed it.

use std::{collections::BTreeMap, fs};

use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    browser::{self, Browser},
    demo::Demo,
    relay::Relay,
};

/// Everybody who may approve a stop, each with a passkey.
const LEADERS: [&str; 3] = ["carol", "dave", "heidi"];
/// What the portal answers where a touch alone is not enough.
const UNVERIFIED: &str = "not-user-verified";

/// A phone's width, in CSS pixels.
const NARROW: u64 = 400;

struct Story {
    demo: Demo,
    browser: Browser,
    portal: String,
    /// What each person's phone holds.
    passkeys: BTreeMap<String, Value>,
    _profile: tempfile::TempDir,
}

/// SHA-256, base64, as Chromium names keys.
pub(crate) fn named(key: &[u8]) -> String {
    STANDARD.encode(Sha256::digest(key))
}

impl Story {
    /// A demo whose tenant acme takes passkeys made at the portal's page.
    async fn begin() -> Self {
        let demo = Demo::start();
        let relay = Relay::start(&demo).await;
        let profile = tempfile::tempdir().unwrap();
        let browser = Browser::start(profile.path(), &named(&relay.key));
        let terms = ["actor", "passkeys", "--rp-id", "localhost", "--origin", &relay.origin, "--tenant", "acme"];
        let portal = format!("{}/portal", relay.origin);
        let mut story = Self { demo, browser, portal, passkeys: BTreeMap::new(), _profile: profile };
        story.decide("erin", &terms);
        story
    }

    /// One proposes, and whoever can approve does so until it is in force: with their key file, or once everybody has theirs by passkey.
    fn decide(&mut self, proposer: &str, arguments: &[&str]) {
        let id = self.demo.propose(proposer, arguments);
        self.approve(&id);
    }

    fn approve(&mut self, id: &str) {
        loop {
            let shown = self.demo.ok(None, &["proposal", "show", id]);
            let state = shown["state"].as_str().unwrap();
            if state != "open" {
                return assert!(["ratified", "applying", "active"].contains(&state), "{state}: {}", shown["why"]);
            }
            let next = shown["may_sign"][0].as_str().unwrap_or_else(|| panic!("nobody can: {}", shown["quorum"]));
            if self.passkeys.len() == LEADERS.len() && self.passkeys.contains_key(next) {
                self.visit(id);
                self.answer(next, "#approve", true);
                self.browser.says("#said", &format!("{next} approved exactly this"));
            } else {
                self.demo.approve(next, id);
            }
        }
    }

    /// A person makes a passkey on the page; the enrolment, proposed and approved by others, makes it count.
    fn enrol(&mut self, who: &str) {
        let authenticator = self.browser.plug(true);
        self.browser.open(&format!("{}#/enrol", self.portal));
        self.browser.until("acme can be chosen", "document.querySelector('#tenant option')");
        let acme = self.demo.tenant("acme").to_owned();
        self.browser.fill("#tenant", &acme);
        self.browser.fill("#person", who);
        self.browser.fill("#key-name", "phone");
        self.browser.press("#make");
        self.browser.says("#said", "the passkey is made");
        let file = self.demo.file(&format!("{who}.enrolment"));
        fs::write(&file, self.browser.text("#enrolment")).unwrap();
        let command = self.browser.text("#command");
        assert_eq!(command, format!("kcm actor add {who} --tenant acme --key-name phone --enrolment {who}.enrolment"));
        let mut words: Vec<&str> = command.split(' ').skip(1).collect();
        *words.last_mut().unwrap() = file.to_str().unwrap();
        let id = self.demo.propose("erin", &words);
        // What approvers compare is what the page showed.
        let shown = self.demo.ok(None, &["proposal", "show", &id]);
        let fingerprint = self.browser.text("#fingerprint");
        assert!(shown.to_string().contains(&fingerprint), "{fingerprint} in {shown}");
        self.approve(&id);
        let credential = self.browser.unplug(&authenticator);
        self.passkeys.insert(who.to_owned(), credential);
    }

    fn visit(&mut self, id: &str) {
        self.browser.open(&format!("{}#/proposals/{id}", self.portal));
        self.browser.until("the proposal is shown", "document.querySelector('#sentences, #refused')");
    }

    /// A person proposes on the page that acme be revoked: the proposal's id.
    fn propose(&mut self, who: &str, reason: &str) -> String {
        let authenticator = self.browser.plug_with(&self.passkeys[who], true);
        self.browser.open(&format!("{}#/propose", self.portal));
        let acme = self.demo.tenant("acme").to_owned();
        for (field, value) in [("#tenant", acme.as_str()), ("#kind", "RevokeL1"), ("#reason", reason)] {
            self.browser.fill(field, value);
        }
        self.browser.press("#read");
        self.browser.fill("#person", who);
        self.browser.says("#sentences", "REVOKE: every region locks this tenant at once");
        self.browser.press("#propose");
        self.browser.until("it is proposed", "location.hash.startsWith('#/proposals/')");
        self.browser.unplug(&authenticator);
        let hash = self.browser.value("location.hash");
        hash.as_str().unwrap().trim_start_matches("#/proposals/").to_owned()
    }

    /// Answers the proposal that is shown, as the holder of a phone that verifies them or does not.
    fn answer(&mut self, who: &str, button: &str, verifies: bool) {
        let authenticator = self.browser.plug_with(&self.passkeys[who], verifies);
        self.browser.fill("#person", who);
        self.browser.press(button);
        self.browser.until("an answer comes", "document.querySelector('#said .notice')");
        self.browser.unplug(&authenticator);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stop_is_decided_by_passkeys_and_watched_on_the_page() {
    if !browser::is_there("the portal in a browser") {
        return;
    }
    let mut story = Story::begin().await;
    let ours = story.demo.use_everywhere("acme").await;
    LEADERS.into_iter().for_each(|who| story.enrol(who));
    let stricter =
        ["quorum", "set", "RevokeL1", "--need", "Senior_Leadership=2", "--verify", "user", "--tenant", "acme"];
    story.decide("erin", &stricter);
    // Who has a passkey signs such a stop with nothing less.
    let by_file = ["revoke", "propose", "--tenant", "acme", "--reason", "contract"];
    let refused = story.demo.kcm(Some("carol"), &by_file);
    assert!(refused.code == 4 && refused.errors.contains(UNVERIFIED), "{refused:?}");
    let id = story.propose("carol", "contract <b>ended</b>");

    // The list leads to it, by keyboard as by hand, on a phone as on a desk.
    story.browser.resize(NARROW);
    story.browser.open(&story.portal.clone());
    story.browser.says("table", "RevokeL1");
    fits(&mut story);

    a_lie_is_refused(&mut story, &id);

    story.visit(&id);
    story.browser.says("#sentences", "REVOKE: every region locks this tenant at once");
    story.browser.says("#sentences", "“contract <b>ended</b>”");
    story.browser.says("h1", "■ STOP");
    fits(&mut story);
    let shown = story.demo.ok(None, &["proposal", "show", &id]);
    assert_eq!(
        Value::from(story.browser.text("#digest")),
        shown["digest"],
        "the page and the command line show one digest"
    );

    // A touch alone: the browser is asked for more, and a page that asked for less is refused by the portal.
    story.answer("dave", "#approve", false);
    story.browser.says("#said", "Not done");
    assert_eq!(by_touch_alone(&mut story, &id), UNVERIFIED);
    assert_eq!(story.demo.ok(None, &["proposal", "show", &id])["approvals"].as_array().unwrap().len(), 0);

    story.browser.says("#quorum", "Missing for RevokeL1: Senior_Leadership.");
    story.answer("dave", "#approve", true);
    story.browser.says("#said", "dave approved exactly this");
    // It goes on by itself: nobody loads the page again.
    story.browser.says("#regions", "3 of 3 regions have confirmed it");
    story.browser.says("#state", "active");
    story.demo.refused(&ours).await;
    fits(&mut story);
    let Story { demo, browser, .. } = story;
    drop(browser);
    demo.end();
}

/// Nothing of the page lies beside a narrow window.
fn fits(story: &mut Story) {
    let wide = story.browser.value("document.documentElement.scrollWidth").as_u64().unwrap();
    assert!(wide <= NARROW, "it is {wide} wide");
}

/// A portal that shows other bytes than those that the proposer signed: the page shows no sentence of it and has no button.
fn a_lie_is_refused(story: &mut Story, id: &str) {
    let lie = r#"{
        const truly = window.fetch;
        window.fetch = async (path, ...rest) => {
            const response = await truly(path, ...rest);
            if (!String(path).includes("/v1/proposals/")) return response;
            const view = await response.json();
            const text = atob(view.change_bytes.replaceAll("-", "+").replaceAll("_", "/")).replace("contract", "customer");
            view.change_bytes = btoa(text).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
            return new Response(JSON.stringify(view), { status: response.status });
        };
    }"#;
    let script = story.browser.run_first(lie);
    story.visit(id);
    story.browser.says("#refused", "is not what it says, and cannot be signed here");
    assert!(!story.browser.is_there("#approve") && !story.browser.is_there("#sentences"));
    story.browser.run_first_no_more(&script);
}

/// Signs by the page's own modules as if the rule did not ask for user verification: the code of the portal's refusal.
fn by_touch_alone(story: &mut Story, id: &str) -> String {
    let authenticator = story.browser.plug_with(&story.passkeys["dave"], false);
    let script = format!(
        r#"(async () => {{
            const [{{ call }}, {{ answer, examine, nonce, passkeys }}, {{ sign }}, {{ toText }}] = await Promise.all(
                ["api", "statement", "passkey", "canon"].map((part) => import(`/portal/${{part}}.js`)));
            const view = await call("GET", "/v1/proposals/{id}");
            const tenant = await call("GET", `/v1/tenants/${{view.tenant}}`);
            const read = await examine(view, tenant);
            const [key] = passkeys(tenant.trust_root, "dave");
            const signer = {{ person: "dave", key: key.name, origin: location.origin, nonce: nonce() }};
            const statement = await answer("approve", read.statement, signer);
            const signature = await sign(tenant.trust_root.webauthn, key.public, "approve", statement, false);
            try {{
                await call("POST", "/v1/proposals/{id}/approve", {{ vote: {{ statement: toText(statement), signature }} }});
                return "taken";
            }} catch (why) {{
                return why.code;
            }}
        }})()"#
    );
    let said = story.browser.value(&script);
    story.browser.unplug(&authenticator);
    said.as_str().unwrap().to_owned()
}
