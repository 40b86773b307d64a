//! A headless Chromium that is driven over its own debugging pipe: a page, what stands on it, and virtual authenticators. No driver of
//! anybody else's stands in between.
//!
//! The protocol is JSON, each message ended by a zero byte, on the descriptors 3 and 4 of the browser: a shell moves its own input and output
//! there. Each command is answered before the next is sent; events are left alone, conditions are asked for again.

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
    sync::mpsc,
    thread,
    time::Instant,
};

use serde_json::{Value, json};

use crate::demo::{LOOK_EVERY, PATIENCE};

const ARGUMENTS: [&str; 12] = [
    "--headless",
    "--remote-debugging-pipe",
    // Tests run as root in containers.
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-extensions",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "about:blank",
];

/// One browser with one page.
pub(crate) struct Browser {
    process: Child,
    commands: ChildStdin,
    answers: mpsc::Receiver<Value>,
    session: Option<String>,
    number: u64,
}

/// Whether there is one on this machine; a test that says so is skipped.
pub(crate) fn is_there(test: &str) -> bool {
    let there =
        Command::new("chromium").arg("--version").stderr(Stdio::null()).output().is_ok_and(|ran| ran.status.success());
    if !there {
        println!("{test}: skipped: there is no `chromium` (`make test` installs it)");
    }
    there
}

impl Browser {
    /// Starts one whose profile lies in `folder`, and which trusts the certificates with these keys: SHA-256 of each, base64, with
    /// commas between.
    pub(crate) fn start(folder: &Path, trusted: &str) -> Self {
        let mut process = Command::new("sh")
            .args(["-c", "exec chromium \"$@\" 3<&0 4>&1 </dev/null >&2 2>/dev/null", "sh"])
            .args(ARGUMENTS)
            .arg(format!("--user-data-dir={}", folder.display()))
            .arg(format!("--ignore-certificate-errors-spki-list={trusted}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let (commands, answers) = (process.stdin.take().unwrap(), reading(process.stdout.take().unwrap()));
        let mut browser = Self { process, commands, answers, session: None, number: 0 };
        let page = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attached = browser.call("Target.attachToTarget", json!({ "targetId": page["targetId"], "flatten": true }));
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_owned());
        browser.call("Page.enable", json!({}));
        browser.call("WebAuthn.enable", json!({}));
        browser
    }

    /// A command and its answer.
    fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let mut command = json!({ "id": self.number, "method": method, "params": parameters });
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        self.commands.write_all(format!("{command}\0").as_bytes()).unwrap();
        self.commands.flush().unwrap();
        loop {
            let said = self.answers.recv_timeout(PATIENCE).unwrap_or_else(|why| panic!("{method}: no answer: {why}"));
            if said["id"] == self.number {
                assert!(said["error"].is_null(), "{method}: {}", said["error"]);
                return said["result"].clone();
            }
        }
    }

    /// Loads a page, even if only the part behind the # is another one than now.
    pub(crate) fn open(&mut self, url: &str) {
        for to in ["about:blank", url] {
            let gone = self.call("Page.navigate", json!({ "url": to }));
            assert!(gone["errorText"].is_null(), "{to}: {gone}");
        }
    }

    /// Runs this before whatever script of each page that is loaded from now on.
    pub(crate) fn run_first(&mut self, script: &str) -> Value {
        self.call("Page.addScriptToEvaluateOnNewDocument", json!({ "source": script }))["identifier"].clone()
    }

    pub(crate) fn run_first_no_more(&mut self, script: &Value) {
        self.call("Page.removeScriptToEvaluateOnNewDocument", json!({ "identifier": script }));
    }

    /// As if it had never been anywhere.
    pub(crate) fn forget(&mut self) {
        self.call("Network.clearBrowserCookies", json!({}));
    }

    pub(crate) fn resize(&mut self, width: u64) {
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false }),
        );
    }

    /// A new authenticator in place of the last: what is plugged in is one person's.
    pub(crate) fn plug(&mut self, verifies: bool) -> Value {
        let options = json!({
            "protocol": "ctap2", "transport": "internal", "hasResidentKey": true, "hasUserVerification": verifies,
            "isUserVerified": verifies, "automaticPresenceSimulation": true,
        });
        self.call("WebAuthn.addVirtualAuthenticator", json!({ "options": options }))["authenticatorId"].clone()
    }

    /// Takes an authenticator out, with its one credential.
    pub(crate) fn unplug(&mut self, authenticator: &Value) -> Value {
        let held = self.call("WebAuthn.getCredentials", json!({ "authenticatorId": authenticator }));
        self.call("WebAuthn.removeVirtualAuthenticator", json!({ "authenticatorId": authenticator }));
        held["credentials"][0].clone()
    }

    /// An authenticator that holds this credential.
    pub(crate) fn plug_with(&mut self, credential: &Value, verifies: bool) -> Value {
        let authenticator = self.plug(verifies);
        self.call("WebAuthn.addCredential", json!({ "authenticatorId": authenticator, "credential": credential }));
        authenticator
    }

    /// The value of an expression on the page; what it throws is a failure. Promises are awaited.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let asked =
            json!({ "expression": expression, "awaitPromise": true, "returnByValue": true, "userGesture": true });
        let said = self.call("Runtime.evaluate", asked);
        assert!(said["exceptionDetails"].is_null(), "{expression}: {}", said["exceptionDetails"]);
        said["result"]["value"].clone()
    }

    /// Waits until an expression is true.
    pub(crate) fn until(&mut self, what: &str, expression: &str) {
        let began = Instant::now();
        while self.value(&format!("Boolean({expression})")) != json!(true) {
            if began.elapsed() > PATIENCE {
                panic!("not within {} s: {what}\n{}", PATIENCE.as_secs(), self.text("body"));
            }
            thread::sleep(LOOK_EVERY);
        }
    }

    /// Waits until the text of an element holds these words.
    pub(crate) fn says(&mut self, element: &str, words: &str) {
        let found = format!("document.querySelector({})?.innerText.includes({})", json!(element), json!(words));
        self.until(&format!("{element} says `{words}`"), &found);
    }

    pub(crate) fn text(&mut self, element: &str) -> String {
        let text = self.value(&format!("document.querySelector({})?.innerText ?? ''", json!(element)));
        text.as_str().unwrap().to_owned()
    }

    pub(crate) fn is_there(&mut self, element: &str) -> bool {
        self.value(&format!("document.querySelector({}) !== null", json!(element))) == json!(true)
    }

    /// Types into a field, or chooses.
    pub(crate) fn fill(&mut self, element: &str, text: &str) {
        self.until(element, &format!("document.querySelector({})", json!(element)));
        let script = "(element, text) => { element.value = text; \
                      for (const kind of ['input', 'change']) element.dispatchEvent(new Event(kind, { bubbles: true })); }";
        self.value(&format!("({script})(document.querySelector({}), {})", json!(element), json!(text)));
    }

    pub(crate) fn press(&mut self, element: &str) {
        let button = format!("document.querySelector({})", json!(element));
        self.until(element, &format!("{button} && !{button}.disabled"));
        self.value(&format!("{button}.click()"));
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // The browser's own processes end with its pipe; the kill is for one that does not listen.
        drop(self.process.kill().and_then(|()| self.process.wait()));
    }
}

fn reading(from: ChildStdout) -> mpsc::Receiver<Value> {
    let (to, answers) = mpsc::channel();
    thread::spawn(move || {
        for message in BufReader::new(from).split(0) {
            let Ok(message) = message else { return };
            let read = serde_json::from_slice(&message).expect("the browser said what is no JSON");
            if to.send(read).is_err() {
                return;
            }
        }
    });
    answers
}
