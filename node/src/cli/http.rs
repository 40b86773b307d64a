//! The client of the portal: HTTP/1.1 over mutual TLS, one connection a request. Problems come back as [`Failure`]s.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::{body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use super::{
    context::{Context, PortalAddress},
    exit::{Exit, Failure},
    files,
};

/// Time to connect and shake hands.
const CONNECT_TIMEOUT_MS: u64 = 10_000;
/// Time until an answer is complete. Event streams have none.
const ANSWER_TIMEOUT_MS: u64 = 60_000;
/// Largest answer, in bytes.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest line of an event stream, in bytes.
const EVENT_BYTES_MAX: usize = 1024 * 1024;

/// The portal, as one context reaches it.
pub(crate) struct Portal {
    url: String,
    authority: String,
    name: ServerName<'static>,
    tls: TlsConnector,
}

/// What `problem+json` says (RFC 9457).
#[derive(Debug, Default, Deserialize)]
struct Problem {
    #[serde(default)]
    title: String,
    #[serde(default)]
    detail: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    fix: String,
}

/// A good answer.
pub(crate) struct Answer {
    pub(crate) body: Value,
}

impl Portal {
    pub(crate) fn of(context: &Context) -> Result<Self, Failure> {
        Self::at(context.portal()?)
    }

    pub(crate) fn at(address: &PortalAddress) -> Result<Self, Failure> {
        let bad = |why: &str| {
            Failure::usage("the portal's address does not read")
                .at(&address.url)
                .because(why)
                .fix("write it as https://HOST:PORT")
        };
        let uri: Uri = address.url.parse().map_err(|e: http::uri::InvalidUri| bad(&e.to_string()))?;
        if uri.scheme_str() != Some("https") || !matches!(uri.path(), "" | "/") {
            return Err(bad("it must be https and have no path"));
        }
        let host = uri.host().ok_or_else(|| bad("it names no host"))?;
        let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned()).map_err(|e| bad(&e.to_string()))?;
        let authority = format!("{host}:{}", uri.port_u16().unwrap_or(443));
        let tls = TlsConnector::from(Arc::new(tls(address)?));
        Ok(Self { url: address.url.trim_end_matches('/').to_owned(), authority, name, tls })
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let answer = self.call(Method::GET, path, None).await?;
        self.read(path, answer.body)
    }

    /// As [`Portal::get`], from the very bytes of the answer: what is hashed must not pass through another spelling.
    pub(crate) async fn get_exact<T: DeserializeOwned>(&self, path: &str) -> Result<T, Failure> {
        let bytes = self.call_exact(Method::GET, path, None).await?;
        serde_json::from_slice(&bytes).map_err(|e| self.unread(path, &e))
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Answer, Failure> {
        self.call(Method::POST, path, Some(body)).await
    }

    /// Every item of a paged list.
    pub(crate) async fn list(&self, path: &str) -> Result<Vec<Value>, Failure> {
        #[derive(Deserialize)]
        struct Page {
            items: Vec<Value>,
            next: Option<String>,
        }
        let (mut items, mut after) = (Vec::new(), None::<String>);
        loop {
            let join = if path.contains('?') { '&' } else { '?' };
            let query =
                after.map(|a| format!("{join}limit=500&after={a}")).unwrap_or_else(|| format!("{join}limit=500"));
            let page: Page = self.get(&format!("{path}{query}")).await?;
            items.extend(page.items);
            after = page.next;
            if after.is_none() {
                return Ok(items);
            }
        }
    }

    pub(crate) fn read<T: DeserializeOwned>(&self, path: &str, body: Value) -> Result<T, Failure> {
        serde_json::from_value(body).map_err(|e| self.unread(path, &e))
    }

    fn unread(&self, path: &str, why: &serde_json::Error) -> Failure {
        Failure::new(Exit::NotHealthy, "the portal's answer does not read")
            .at(format!("{}{path}", self.url))
            .because(why)
            .fix("are portal and `kcm` of the same release?")
    }

    async fn call(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer, Failure> {
        let bytes = self.call_exact(method, path, body).await?;
        let body = serde_json::from_slice(&bytes).map_err(|e| self.unread(path, &e))?;
        Ok(Answer { body })
    }

    async fn call_exact(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Bytes, Failure> {
        let place = format!("{method} {}{path}", self.url);
        let within = Duration::from_millis(ANSWER_TIMEOUT_MS);
        let answer = timeout(within, self.exchange(method, path, body, &place)).await;
        answer.map_err(|_| {
            Failure::new(Exit::Unconfirmed, "the portal did not answer in time")
                .at(&place)
                .because(format!("no answer within {ANSWER_TIMEOUT_MS} ms; it may still have been done"))
                .fix("look with `kcm proposal list` before you try again")
        })?
    }

    async fn exchange(&self, method: Method, path: &str, body: Option<&Value>, place: &str) -> Result<Bytes, Failure> {
        let bytes = body.map(|b| Bytes::from(b.to_string())).unwrap_or_default();
        let response = self.send(method, path, bytes, None, place).await?;
        let status = response.status();
        let broken = |why: &dyn std::fmt::Display| {
            Failure::new(Exit::NotHealthy, "the portal's answer broke off").at(place).because(why).fix("try again")
        };
        let bytes = Limited::new(response.into_body(), ANSWER_BYTES_MAX).collect().await.map_err(|e| broken(&e))?;
        let bytes = bytes.to_bytes();
        if !status.is_success() {
            return Err(refused(status, &bytes, place));
        }
        Ok(bytes)
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
        last_event: Option<&str>,
        place: &str,
    ) -> Result<Response<Incoming>, Failure> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.authority)
            .header(header::ACCEPT, "application/json, text/event-stream")
            .header(header::CONTENT_TYPE, "application/json");
        if let Some(id) = last_event {
            request = request.header("last-event-id", id);
        }
        let request = request.body(Full::new(body)).map_err(|e| {
            Failure::usage("the request cannot be made").at(place).because(e).fix("check the names given")
        })?;
        let stream = self.connect(place).await?;
        let lost = |e: hyper::Error| {
            Failure::new(Exit::NotHealthy, "the portal closed the connection")
                .at(place)
                .because(causes(&e))
                .fix("was the client certificate issued by the REST CA, and is it still valid? See the portal's log")
        };
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(lost)?;
        tokio::spawn(async move {
            // What ends the connection reaches the request itself.
            let _ended = connection.await;
        });
        sender.send_request(request).await.map_err(lost)
    }

    async fn connect(&self, place: &str) -> Result<tokio_rustls::client::TlsStream<TcpStream>, Failure> {
        let failed = |why: &dyn std::fmt::Display, fix: &str| {
            Failure::new(Exit::NotHealthy, "the portal cannot be reached").at(place).because(why).fix(fix)
        };
        let work = async {
            let tcp = TcpStream::connect(&self.authority).await.map_err(|e| {
                failed(&e, "is governance running? See `kcm demo` or `kcm run`, and the context's portal.url")
            })?;
            // A request and its answer are one small write each: waiting to fill a packet only costs time.
            tcp.set_nodelay(true).map_err(|e| failed(&e, "try again"))?;
            self.tls.connect(self.name.clone(), tcp).await.map_err(|e| {
                failed(&e, "does the context's portal.ca verify that server, and is the name in its certificate?")
            })
        };
        timeout(Duration::from_millis(CONNECT_TIMEOUT_MS), work).await.map_err(|_| {
            failed(&format!("no connection within {CONNECT_TIMEOUT_MS} ms"), "check address and network")
        })?
    }

    /// Opens the event stream from after `last` on.
    pub(crate) async fn events(&self, last: Option<&str>) -> Result<Events, Failure> {
        let path = "/v1/events";
        let place = format!("GET {}{path}", self.url);
        let response = self.send(Method::GET, path, Bytes::new(), last, &place).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(Events { body: response.into_body(), buffer: Vec::new(), place });
        }
        let bytes = Limited::new(response.into_body(), EVENT_BYTES_MAX).collect().await.map(|b| b.to_bytes());
        Err(refused(status, &bytes.unwrap_or_default(), &place))
    }
}

/// An open event stream.
pub(crate) struct Events {
    body: Incoming,
    buffer: Vec<u8>,
    place: String,
}

impl Events {
    /// The data of the next event, and its id; none once the portal ended the stream.
    pub(crate) async fn next(&mut self) -> Result<Option<(String, Value)>, Failure> {
        loop {
            if let Some(message) = message(&mut self.buffer) {
                if let Some(event) = parse(&message) {
                    return Ok(Some(event));
                }
                continue;
            }
            let broken = |why: &dyn std::fmt::Display| {
                Failure::new(Exit::NotHealthy, "the event stream broke off")
                    .at(&self.place)
                    .because(why)
                    .fix("watch again")
            };
            match self.body.frame().await {
                None => return Ok(None),
                Some(Err(e)) => return Err(broken(&e)),
                Some(Ok(frame)) => {
                    self.buffer.extend_from_slice(frame.data_ref().unwrap_or(&Bytes::new()));
                    if self.buffer.len() > EVENT_BYTES_MAX {
                        return Err(broken(&format!("an event is larger than {EVENT_BYTES_MAX} bytes")));
                    }
                }
            }
        }
    }
}

/// Cuts the first whole message off: messages end with an empty line (WHATWG HTML §9.2.5).
fn message(buffer: &mut Vec<u8>) -> Option<String> {
    let end = buffer.windows(2).position(|pair| pair == b"\n\n")?;
    let message = buffer.drain(..end.saturating_add(2)).collect::<Vec<_>>();
    Some(String::from_utf8_lossy(&message).into_owned())
}

/// Id and data; none for a comment.
fn parse(message: &str) -> Option<(String, Value)> {
    let (mut id, mut data) = (String::new(), String::new());
    for line in message.lines() {
        match line.split_once(':') {
            Some(("id", value)) => id = value.trim().to_owned(),
            Some(("data", value)) => data.push_str(value.strip_prefix(' ').unwrap_or(value)),
            _ => {}
        }
    }
    serde_json::from_str(&data).ok().map(|value| (id, value))
}

fn refused(status: StatusCode, bytes: &[u8], place: &str) -> Failure {
    let problem: Problem = serde_json::from_slice(bytes).unwrap_or_default();
    let exit = match status.as_u16() {
        400 | 404 | 405 | 415 => Exit::Usage,
        401 | 403 | 409 | 413 | 422 | 429 => Exit::Denied,
        408 | 504 => Exit::Unconfirmed,
        _ => Exit::NotHealthy,
    };
    let what = if problem.title.is_empty() { format!("the portal answered {status}") } else { problem.title };
    let mut failure = Failure::new(exit, what).at(place).because(problem.detail).fix(problem.fix);
    failure.code = Some(problem.code.into_boxed_str()).filter(|code| !code.is_empty());
    failure
}

/// An error and what caused it, in one line.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}

fn tls(address: &PortalAddress) -> Result<ClientConfig, Failure> {
    let bad = |what: &str, path: &std::path::Path, why: &dyn std::fmt::Display| {
        Failure::usage(format!("the portal's {what} does not read"))
            .at(path.display())
            .because(why)
            .fix("give a PEM file")
    };
    let read = |what: &str, path: &std::path::Path| -> Result<Vec<CertificateDer<'static>>, Failure> {
        let pem = files::read(what, path)?;
        let all: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        let all = all.map_err(|e| bad(what, path, &e))?;
        if all.is_empty() { Err(bad(what, path, &"it holds no certificate")) } else { Ok(all) }
    };
    let mut roots = RootCertStore::empty();
    for ca in read("CA", &address.ca)? {
        roots.add(ca).map_err(|e| bad("CA", &address.ca, &e))?;
    }
    let chain = read("client certificate", &address.cert)?;
    let key = PrivateKeyDer::from_pem_slice(&files::read("client key", &address.key)?)
        .map_err(|e| bad("client key", &address.key, &e))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| bad("TLS", &address.ca, &e))?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(|e| bad("client certificate", &address.cert, &e))?;
    Ok(config)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_cut_and_comments_are_none() {
        let mut buffer = b"id: 7\nevent: entry\ndata: {\"id\":7}\n\n:\n\nid: 8\nda".to_vec();
        assert_eq!(parse(&message(&mut buffer).unwrap()), Some(("7".into(), serde_json::json!({"id": 7}))));
        assert_eq!(parse(&message(&mut buffer).unwrap()), None);
        assert_eq!(message(&mut buffer), None);
        assert_eq!(buffer, b"id: 8\nda");
    }

    #[test]
    fn a_problem_keeps_its_words_and_chooses_the_exit_code() {
        let body = br#"{"title":"No","detail":"why","code":"policy-denies","fix":"ask","status":403}"#;
        let failure = refused(StatusCode::FORBIDDEN, body, "POST https://x/v1/proposals");
        assert_eq!(failure.exit, Exit::Denied);
        let text =
            "error: No\n  where  POST https://x/v1/proposals\n  why    why\n  do     ask\n  code   policy-denies";
        assert_eq!(failure.to_string(), text);
        assert_eq!(refused(StatusCode::SERVICE_UNAVAILABLE, b"", "x").exit, Exit::NotHealthy);
        assert_eq!(refused(StatusCode::NOT_FOUND, b"", "x").exit, Exit::Usage);
    }

    #[test]
    fn only_an_https_address_without_a_path_is_taken() {
        let at = |url: &str| {
            let nowhere = std::path::PathBuf::from("/nonexistent");
            let address =
                PortalAddress { url: url.into(), ca: nowhere.clone(), cert: nowhere.clone(), key: nowhere.clone() };
            Portal::at(&address).err().unwrap().what
        };
        assert_eq!(at("http://localhost:1"), "the portal's address does not read");
        assert_eq!(at("https://localhost:1/v1"), "the portal's address does not read");
        assert_eq!(at("https://localhost:1"), "the CA does not read");
    }
}
