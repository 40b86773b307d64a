//! Notices: whoever a tenant named hears of a kill that is proposed, with a link to it; a quorum names somebody else, who then hears of it
//! instead; and what nobody took while its receiver was away is told again.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::{TcpListener, TcpStream},
    sync::{Arc, Mutex},
    thread,
};

use serde_json::Value;

use crate::demo::{Demo, until};

/// A receiver on loopback, which development allows in plain HTTP: remembers what came, and answers 200.
struct Receiver {
    port: u16,
    came: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    fn start() -> Self {
        Self::on(TcpListener::bind(("127.0.0.1", 0)).unwrap())
    }

    fn on(listener: TcpListener) -> Self {
        let (port, came) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
        let theirs = Arc::clone(&came);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if let Some(body) = take(stream) {
                    theirs.lock().unwrap().push(body);
                }
            }
        });
        Self { port, came }
    }

    /// The body that says this, once it came.
    fn told(&self, what: &str) -> Value {
        let find = || self.came.lock().unwrap().iter().find(|body| body.to_string().contains(what)).cloned();
        until(&format!("a notice says `{what}`"), find)
    }

    fn says(&self, what: &str) -> bool {
        self.came.lock().unwrap().iter().any(|body| body.to_string().contains(what))
    }
}

fn take(stream: TcpStream) -> Option<Value> {
    let mut reader = BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    while reader.read_line(&mut line).ok()? > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        line.clear();
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok").ok()?;
    serde_json::from_slice(&body).ok()
}

fn secret(demo: &Demo, name: &str, text: &str) -> String {
    use std::os::unix::fs::PermissionsExt;
    let path = demo.file(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    path.display().to_string()
}

#[test]
fn who_is_named_hears_of_a_kill_and_a_quorum_names_another() {
    let mut demo = Demo::start();
    let (ops, siem) = (Receiver::start(), Receiver::start());
    // A port at which nobody listens yet.
    let away = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let url = secret(&demo, "slack.url", &format!("http://127.0.0.1:{}/services/T0/B0/sesame\n", ops.port));
    let key = secret(&demo, "siem.secret", "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw\n");
    let path = demo.dir().join("topology.toml");
    let ways = format!(
        "\n[notify.ops]\nkind = \"slack\"\nurl_file = \"{url}\"\ndefault = true\n\n[notify.siem]\nkind = \"webhook\"\nurl = \
         \"http://127.0.0.1:{}/\"\nsecret_file = \"{key}\"\n\n[notify.away]\nkind = \"webhook\"\nurl = \
         \"http://127.0.0.1:{away}/\"\nsecret_file = \"{key}\"\n",
        siem.port
    );
    fs::write(&path, fs::read_to_string(&path).unwrap() + &ways).unwrap();
    demo.kill_9("gov-1");
    demo.run("gov-1");
    until("governance is up again", || {
        (demo.kcm(None, &["notify", "show", "--tenant", "acme"]).code == 0).then_some(())
    });

    let id = demo.propose("carol", &["revoke", "propose", "--tenant", "acme", "--reason", "a drill"]);
    let told = ops.told("RevokeL1 waits for signers");
    assert!(told.to_string().contains(&format!("/v1/proposals/{id}")), "{told}");
    assert!(told.to_string().contains("a drill"), "{told}");
    demo.approve("dave", &id);
    ops.told("RevokeL1 is confirmed by every region");
    let log = demo.ok(None, &["notify", "log", "--tenant", "acme"]);
    assert!(!log.to_string().contains("sesame"), "{log}");

    // A quorum of another tenant names another receiver, and one that is away.
    let routing = demo.file("routing.toml");
    let text = "[[route]]\nevents = [\"approval-waiting\"]\nchannel = \"siem\"\n\n[[route]]\nevents = [\"approval-waiting\"]\nchannel = \"away\"\n";
    fs::write(&routing, text).unwrap();
    let id = demo.propose("alice", &["notify", "set", routing.to_str().unwrap(), "--tenant", "globex"]);
    demo.approve("bob", &id);
    let id = demo.propose("carol", &["revoke", "propose", "--tenant", "globex"]);
    let told = siem.told(&id);
    assert_eq!((&told["type"], &told["data"]["name"]), (&"approval-waiting".into(), &"globex".into()));
    assert!(!ops.says(&id), "it goes where it is routed");

    // Governance dies while one receiver is away, and nothing is lost: the same notice comes under the same id.
    let waiting = |demo: &Demo| demo.ok(None, &["notify", "log", "--channel", "away"])["items"][0].clone();
    let before = until("an attempt failed", || Some(waiting(&demo)).filter(|one| one["attempts"].as_u64() > Some(0)));
    assert_eq!(before["state"], "waiting");
    demo.kill_9("gov-1");
    let late = Receiver::on(TcpListener::bind(("127.0.0.1", away)).unwrap());
    demo.run("gov-1");
    assert_eq!(late.told(&id)["data"]["proposal"], id.as_str());
    let after = until("the log says so", || {
        let shown = demo.kcm(None, &["notify", "log", "--channel", "away"]).json["items"][0].clone();
        (shown["state"] == "delivered").then_some(shown)
    });
    assert_eq!(after["id"], before["id"]);
    demo.end();
}
