//! Raw calls to the portal: HTTP/1.1 over mutual TLS, and its stream of events.

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    sync::mpsc,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::demo::{Demo, PATIENCE, files};

async fn connect(demo: &Demo) -> TlsStream<TcpStream> {
    let portal = &demo.json["portal"];
    let address = portal["url"].as_str().unwrap().strip_prefix("https://").unwrap();
    let tcp = TcpStream::connect(address).await.unwrap();
    let connector = TlsConnector::from(files(portal).client().unwrap());
    connector.connect("localhost".try_into().unwrap(), tcp).await.unwrap()
}

/// One call: status and body.
pub(crate) async fn call(demo: &Demo, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
    let mut stream = connect(demo).await;
    let body = body.map(Value::to_string).unwrap_or_default();
    let length = body.len();
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(body.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A server may close without a farewell of TLS; the length says whether all of it came.
    drop(timeout(PATIENCE, stream.read_to_end(&mut answer)).await.unwrap());
    let text = String::from_utf8(answer).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let status = head.split_whitespace().nth(1).unwrap().parse().unwrap();
    (status, serde_json::from_str(body).unwrap_or_else(|e| panic!("{method} {path} gave no JSON: {e}: {text}")))
}

/// A GET that must succeed.
pub(crate) async fn get(demo: &Demo, path: &str) -> Value {
    let (status, body) = call(demo, "GET", path, None).await;
    assert_eq!(status, 200, "GET {path}: {body}");
    body
}

/// The stream of events from now on.
pub(crate) struct Events(mpsc::UnboundedReceiver<Value>);

impl Events {
    pub(crate) async fn watch(demo: &Demo) -> Self {
        let mut stream = BufReader::new(connect(demo).await);
        let request = "GET /v1/events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n";
        stream.get_mut().write_all(request.as_bytes()).await.unwrap();
        let mut line = String::new();
        timeout(PATIENCE, stream.read_line(&mut line)).await.unwrap().unwrap();
        assert!(line.contains("200"), "the events were refused: {line}");
        let (to, from) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut lines = stream.lines();
            while let Ok(Some(line)) = lines.next_line().await {
                let data = line.strip_prefix("data:").and_then(|data| serde_json::from_str(data).ok());
                if data.is_some_and(|event| to.send(event).is_err()) {
                    return;
                }
            }
        });
        Self(from)
    }

    /// The next event of this name that `wanted` takes.
    pub(crate) async fn next(&mut self, name: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = async {
            loop {
                let event = self.0.recv().await.expect("the events ended");
                if event["event"] == name && wanted(&event) {
                    return event;
                }
            }
        };
        timeout(PATIENCE, found).await.unwrap_or_else(|_| panic!("no such event: {name}"))
    }
}
