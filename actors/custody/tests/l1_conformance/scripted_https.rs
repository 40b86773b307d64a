//! An HTTPS endpoint that answers from a script: the faults of a KMS over REST that no test server makes, one by one.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use custody::l1::{Fault, L1, L1Error, Stop, Transit, TransitOptions};
use orbital::names::KeyRef;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::TlsAcceptor;

use crate::{
    soft::certificates,
    suite::{context, unreachable},
};

/// What the endpoint answers to questions about a key, and to the identity call. Status 0 is silence.
#[derive(Clone, Copy)]
struct Script {
    key: (u16, &'static str),
    cipher: (u16, &'static str),
    identity: (u16, &'static str),
}

const KEY: (u16, &str) = (200, r#"{"data":{"type":"aes256-gcm96"}}"#);
const DENIED: (u16, &str) = (403, r#"{"errors":["permission denied"]}"#);
const KNOWN: (u16, &str) = (200, "{}");

struct Endpoint {
    l1: Transit,
    calls: Arc<AtomicUsize>,
    _folder: tempfile::TempDir,
}

async fn play(script: Script) -> Endpoint {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let tls = TlsAcceptor::from(certificates(&ca));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let calls = Arc::new(AtomicUsize::new(0));
    let counted = calls.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(tls.clone(), stream, script, counted.clone()));
        }
    });
    Endpoint { l1: connect(&endpoint, &ca, folder.path()), calls, _folder: folder }
}

fn connect(endpoint: &str, ca: &Path, folder: &Path) -> Transit {
    let credentials = folder.join("credentials");
    fs::write(&credentials, "token = s.x\n").unwrap();
    fs::set_permissions(&credentials, fs::Permissions::from_mode(0o600)).unwrap();
    let options = TransitOptions {
        endpoint: endpoint.to_owned(),
        ca: ca.to_owned(),
        mount: "transit".to_owned(),
        namespace: None,
        credentials,
    };
    Transit::connect(options).unwrap()
}

async fn answer(tls: TlsAcceptor, stream: TcpStream, script: Script, calls: Arc<AtomicUsize>) -> Option<()> {
    let mut stream = BufReader::new(tls.accept(stream).await.ok()?);
    let mut first = String::new();
    stream.read_line(&mut first).await.ok()?;
    let mut length = 0_usize;
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        match line.trim().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().ok()?,
            Some(_) => {}
            None => break,
        }
    }
    stream.read_exact(&mut vec![0; length]).await.ok()?;
    calls.fetch_add(1, Ordering::SeqCst);
    let (status, body) = match first.split(' ').nth(1)? {
        "/v1/auth/token/lookup-self" => script.identity,
        path if path.starts_with("/v1/transit/keys/") => script.key,
        _ => script.cipher,
    };
    if status == 0 {
        std::future::pending::<()>().await;
    }
    let head = format!("HTTP/1.1 {status} Scripted\r\nContent-Length: {}\r\nLocation: /v1/x\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await.ok()?;
    stream.flush().await.ok()
}

fn key() -> KeyRef {
    KeyRef::new("acme").unwrap()
}

async fn fault_of(said: (u16, &'static str)) -> Fault {
    unreachable(&play(Script { key: said, cipher: said, identity: KNOWN }).await.l1, &key()).await
}

#[tokio::test]
async fn a_fault_of_the_world_is_never_a_stop() {
    assert_eq!(fault_of((429, r#"{"errors":["quota"]}"#)).await, Fault::Throttled);
    assert_eq!(fault_of((500, r#"{"errors":["encryption key not found"]}"#)).await, Fault::Server);
    assert_eq!(fault_of((503, "<html>busy</html>")).await, Fault::Server);
    assert_eq!(fault_of((403, "<html>a proxy's page</html>")).await, Fault::Unknown);
    assert_eq!(fault_of((404, "<html>a proxy's page</html>")).await, Fault::Unknown);
    assert_eq!(fault_of((400, r#"{"errors":["something new"]}"#)).await, Fault::Unknown);
    assert_eq!(fault_of((307, "")).await, Fault::Unknown);
}

/// Success in a form that is none, and one that is longer than any answer.
#[tokio::test]
async fn a_malformed_answer_is_a_fault() {
    for body in ["", "{}", "<html>", r#"{"data":{}}"#, r#"{"data":{"type":7}}"#] {
        assert_eq!(fault_of((200, body)).await, Fault::Unknown, "{body}");
    }
    let endless: &'static str = "x".repeat(65 * 1024).leak();
    assert_eq!(fault_of((200, endless)).await, Fault::Network);
    for body in [r#"{"data":{"ciphertext":"AAEC"}}"#, r#"{"data":{"ciphertext":"vault:v0:AAEC"}}"#] {
        let endpoint = play(Script { key: KEY, cipher: (200, body), identity: KNOWN }).await;
        let refused = endpoint.l1.wrap(&key(), &context(), &[1; 32]).await.unwrap_err();
        assert!(matches!(refused, L1Error::Unreachable { fault: Fault::Unknown, .. }), "{refused}");
    }
    let body = r#"{"data":{"plaintext":"hunter2!"}}"#;
    let endpoint = play(Script { key: KEY, cipher: (200, body), identity: KNOWN }).await;
    let why = endpoint.l1.unwrap(&key(), &context(), &[1; 64]).await.err().unwrap().to_string();
    assert!(why.contains("unknown fault") && !why.contains("hunter2"), "{why}");
}

/// PROTOCOL §4: the principal is known, so it is the customer's word; and where nobody says that it is known, it is not.
#[tokio::test]
async fn denied_is_forbidden_only_with_a_known_identity() {
    let denied = |identity| play(Script { key: DENIED, cipher: DENIED, identity });
    let refused = denied(KNOWN).await.l1.describe(&key()).await.unwrap_err();
    assert!(matches!(refused, L1Error::Stopped { stop: Stop::Forbidden, .. }), "{refused}");
    for (identity, fault) in [
        (DENIED, Fault::Credential),
        ((403, "<html>a proxy's page</html>"), Fault::Unknown),
        ((404, "{}"), Fault::Unknown),
        ((503, "{}"), Fault::Server),
    ] {
        assert_eq!(unreachable(&denied(identity).await.l1, &key()).await, fault, "{identity:?}");
    }
}

#[tokio::test]
async fn nothing_is_tried_again_by_itself() {
    let busy = (503, r#"{"errors":["Vault is sealed"]}"#);
    let endpoint = play(Script { key: busy, cipher: busy, identity: KNOWN }).await;
    assert!(endpoint.l1.wrap(&key(), &context(), &[1; 32]).await.is_err());
    assert_eq!(endpoint.calls.load(Ordering::SeqCst), 1);
}

/// A server that takes the question and says nothing: the call's own limit ends the wait.
#[tokio::test]
async fn silence_is_the_network() {
    let since = Instant::now();
    let silent = (0, "");
    let endpoint = play(Script { key: silent, cipher: silent, identity: silent }).await;
    let refused = endpoint.l1.describe(&key()).await.unwrap_err();
    assert!(matches!(&refused, L1Error::Unreachable { fault: Fault::Network, .. }), "{refused}");
    assert!(refused.to_string().contains("no answer within 5 s"), "{refused}");
    assert!((4..9).contains(&since.elapsed().as_secs()), "{:?}", since.elapsed());
}
