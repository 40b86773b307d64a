//! Notices at receivers that others wrote: a mail server that wants STARTTLS and a login, the library that checks signed webhooks, and the
//! rules of Slack's and PagerDuty's answers. Skipped where `KCM_VENV` names no Python environment.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use governance::notify::{
    Channel, Channels, DeliveryFilter, DeliveryState, Hidden, MailTls, Notifying, Roots, Target, Url,
};
use orbital::{
    change::Action,
    names::Mailbox,
    routing::Occasion,
    testing::{NOW, link_l1},
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use serde_json::Value;

use super::{name, to};
use crate::support::{House, correlation};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const KEY: &str = "0123456789abcdef0123456789abcdef";

struct Receivers {
    child: Child,
    http: u16,
    smtp: u16,
    ca: Vec<u8>,
    came: Arc<Mutex<Vec<Value>>>,
    _folder: tempfile::TempDir,
}

impl Drop for Receivers {
    fn drop(&mut self) {
        drop(self.child.kill().and_then(|()| self.child.wait()));
    }
}

impl Receivers {
    fn start() -> Option<Self> {
        let Some(venv) = std::env::var_os("KCM_VENV") else {
            println!("skipped: KCM_VENV names no Python environment (`make test` makes one)");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let ca = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &ca).unwrap();
        let file = |name: &str, text: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/foreign/receivers.py");
        let mut child = Command::new(Path::new(&venv).join("bin/python"))
            .arg(script)
            .arg("--cert")
            .arg(file("leaf.pem", leaf.pem()))
            .arg("--key")
            .arg(file("leaf.key", key.serialize_pem()))
            .args(["--password", "open sesame", "--secret", SECRET, "--now", &NOW.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let first = lines.next().expect("the receivers did not start; see what they said above").unwrap();
        let first: Value = serde_json::from_str(&first).unwrap();
        let port = |name: &str| u16::try_from(first[name].as_u64().unwrap()).unwrap();
        let came = Arc::new(Mutex::new(Vec::new()));
        let theirs = Arc::clone(&came);
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                theirs.lock().unwrap().push(serde_json::from_str(&line).unwrap());
            }
        });
        let (http, smtp) = (port("http"), port("smtp"));
        Some(Self { child, http, smtp, ca: ca.pem().into_bytes(), came, _folder: folder })
    }

    fn notifying(&self) -> Notifying {
        let url = |path: &str| Url::new(&format!("https://localhost:{}{path}", self.http), false).unwrap();
        let roots = || Roots::of(Path::new("ca.pem"), &self.ca).unwrap();
        let channel = |target| Channel { target, tenants: [].into(), to: [].into(), default: false };
        let smtp = |password: &str, ca: bool| Target::Smtp {
            host: "localhost".into(),
            port: self.smtp,
            tls: MailTls::StartTls,
            from: Mailbox::new("kcm@example.com").unwrap(),
            login: Some(("kcm".into(), Hidden::new(password))),
            ca: ca.then(|| self.ca.clone()),
        };
        let hook = |secret: &str| Target::Webhook { url: url("/hook"), secret: Hidden::new(secret), roots: roots() };
        let page = |key: &str| Target::Pagerduty { url: url("/v2/enqueue"), key: Hidden::new(key), roots: roots() };
        let channels = [
            ("slack", Target::Slack { url: url("/services/T0/B0/sesame"), roots: roots() }),
            ("other-slack", Target::Slack { url: url("/services/T0/B0/other"), roots: roots() }),
            ("page", page(KEY)),
            ("bad-page", page("short")),
            ("hook", hook(SECRET)),
            ("bad-hook", hook("whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA")),
            ("mail", smtp("open sesame", true)),
            ("bad-mail", smtp("let me in", true)),
            ("strange-mail", smtp("open sesame", false)),
        ];
        let channels = channels.map(|(named, target)| (name(named), channel(target)));
        Notifying { channels: Channels(channels.into()), links: "https://kcm.example".into(), ..Notifying::default() }
    }

    fn of(&self, kind: &str) -> Vec<Value> {
        self.came.lock().unwrap().iter().filter(|came| came["kind"] == kind).cloned().collect()
    }
}

async fn founded(receivers: &Receivers) -> House {
    let house = House::telling(receivers.notifying()).await;
    house.desk().provision(house.world.genesis(), correlation()).await.unwrap();
    house.until_settled().await;
    house
}

#[tokio::test]
async fn every_kind_of_receiver_takes_what_is_sent_and_the_link_stands_in_it() {
    let Some(receivers) = Receivers::start() else { return };
    let house = founded(&receivers).await;
    let events = [Occasion::ApprovalWaiting, Occasion::Approved];
    let mut mail = to("mail", &events);
    mail.to = ["olga@example.com", "nobody@example.com", "otto@example.com"].map(|to| Mailbox::new(to).unwrap()).into();
    let routes = vec![to("slack", &events), to("page", &events), to("hook", &events), mail];
    let routing = Action::ChangeRouting { routing: orbital::routing::Routing { routes }, replaces: None };
    let view = house.propose(routing, "alice").await.unwrap();
    house.approve(&view, "bob").await.unwrap();
    // The routing's own approval goes over it, since it is in force by then.
    let view = house.propose(link_l1("k"), "alice").await.unwrap();
    let look = || {
        house.clock.forward(20);
        receivers.of("slack").len() == 2 && receivers.of("hook").len() == 2
    };
    house.until("slack and hook have both", look).await;
    let mails = || receivers.of("smtp").into_iter().filter(|m| m["tls"] == true).collect::<Vec<_>>();
    house
        .until("both mailboxes have both", || {
            house.clock.forward(20);
            mails().len() == 4 && receivers.of("pagerduty").len() == 2
        })
        .await;
    let link = format!("https://kcm.example/v1/proposals/{}", view.id);
    for (kind, about) in [("slack", receivers.of("slack")), ("smtp", mails()), ("hook", receivers.of("hook"))] {
        assert!(about.iter().any(|came| came.to_string().contains(&link)), "{kind}: {about:?}");
    }
    for mail in mails() {
        assert_eq!((&mail["user"], &mail["sender"]), (&"kcm".into(), &"kcm@example.com".into()));
        assert!(mail["subject"].as_str().unwrap().starts_with("[kcm] acme: "), "{mail}");
        assert!(mail["text"].as_str().unwrap().contains("decides nothing"), "{mail}");
    }
    let called = receivers.of("pagerduty").into_iter().find(|came| came["body"]["event_action"] == "trigger").unwrap();
    assert_eq!(called["body"]["dedup_key"], view.id.as_str());
    // Who has no mailbox holds up nobody, and is in the log.
    let failed = DeliveryFilter { state: Some(DeliveryState::Failed), ..DeliveryFilter::default() };
    let failed = house.desk().deliveries(failed).await.unwrap();
    assert_eq!(failed.len(), 2);
    assert!(failed.iter().all(|d| d.to.as_ref().unwrap().as_str() == "nobody@example.com" && d.why.contains("550")));
}

#[tokio::test]
async fn what_a_receiver_refuses_is_told_in_its_words_and_no_secret_is() {
    let Some(receivers) = Receivers::start() else { return };
    let house = founded(&receivers).await;
    let events = [Occasion::ApprovalWaiting];
    let mut routes: Vec<_> =
        ["other-slack", "bad-page", "bad-hook", "bad-mail", "strange-mail"].map(|c| to(c, &events)).into();
    routes.iter_mut().skip(3).for_each(|mail| mail.to = [Mailbox::new("olga@example.com").unwrap()].into());
    let routing = Action::ChangeRouting { routing: orbital::routing::Routing { routes }, replaces: None };
    let view = house.propose(routing, "alice").await.unwrap();
    house.approve(&view, "bob").await.unwrap();
    house.propose(link_l1("k"), "alice").await.unwrap();
    let expected = [
        ("other-slack", "404", true),
        ("bad-page", "should be 32 characters", true),
        ("bad-hook", "401", true),
        ("bad-mail", "535", true),
        // Its certificate is of an authority that nobody trusts: nothing was said before.
        ("strange-mail", "", false),
    ];
    for (channel, why, ended) in expected {
        let log = loop {
            house.clock.forward(20);
            let filter = DeliveryFilter { channel: Some(name(channel)), ..DeliveryFilter::default() };
            let log = house.desk().deliveries(filter).await.unwrap();
            let tried: Vec<_> = log.into_iter().filter(|d| d.attempts > 0).collect();
            if !tried.is_empty() {
                break tried;
            }
            tokio::task::yield_now().await;
        };
        assert!(log[0].why.contains(why), "{channel}: {}", log[0].why);
        assert_eq!(log[0].state == DeliveryState::Failed, ended, "{channel}: {:?}", log[0]);
        let shown = serde_json::to_string(&log).unwrap();
        for secret in ["B0/other", "open sesame", "let me in", "whsec_", "short"] {
            assert!(!shown.contains(secret), "{channel} shows {secret}");
        }
    }
    assert!(receivers.of("smtp").iter().all(|came| came["tls"] != true), "no mail came");
    assert!(!receivers.of("hook").is_empty() && receivers.of("hook").iter().all(|came| came["refused"].is_string()));
}
