//! One POST over HTTP/1.1: a connection, a request, an answer. Nothing is followed, nothing is kept. What goes wrong is said without the
//! URL, which is a secret with some receivers.

use std::{
    net::IpAddr,
    path::Path,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::TlsConnector;

use super::queue::Answer;

/// Most bytes of an answer that are read.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// Most characters of an answer that a person is shown.
const SHOWN_CHARACTERS_MAX: usize = 200;
/// Ports where a URL names none.
const HTTPS_PORT: u16 = 443;
const HTTP_PORT: u16 = 80;

/// Why a channel leads nowhere. No text of it shows a URL.
#[derive(Debug, thiserror::Error)]
pub enum BadTarget {
    #[error("it is no URL: write https://host[:port]/path")]
    NoUrl,
    #[error("it is not encrypted: write https://. Plain http is for a receiver on loopback, with `development = true`")]
    Plain,
    #[error("the authority `{0}` holds no certificate in PEM")]
    NoAuthority(String),
    #[error("the system has no trusted authorities ({0}): name one with `ca`")]
    NoRoots(String),
    #[error("TLS: {0}")]
    Tls(#[from] rustls::Error),
}

/// Where a receiver listens. Its text is hidden: with some receivers whoever knows it may post there.
#[derive(Clone)]
pub struct Url {
    uri: Uri,
    host: String,
    port: u16,
    tls: bool,
}

impl std::fmt::Debug for Url {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}/hidden", self.host, self.port)
    }
}

impl Url {
    /// # Errors
    /// [`BadTarget`] for what is none, and for plain http unless it stays on this machine, in development.
    pub fn new(text: &str, development: bool) -> Result<Self, BadTarget> {
        let uri: Uri = text.trim().parse().map_err(|_| BadTarget::NoUrl)?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(BadTarget::NoUrl),
        };
        let host = uri.host().ok_or(BadTarget::NoUrl)?.trim_matches(['[', ']']).to_owned();
        if uri.authority().is_none_or(|a| a.as_str().contains('@')) {
            return Err(BadTarget::NoUrl);
        }
        let stays_here = development && is_loopback(&host);
        if !tls && !stays_here {
            return Err(BadTarget::Plain);
        }
        let port = uri.port_u16().unwrap_or(if tls { HTTPS_PORT } else { HTTP_PORT });
        Ok(Self { uri, host, port, tls })
    }

    fn path(&self) -> &str {
        self.uri.path_and_query().map_or("/", |p| p.as_str())
    }

    /// A text without what the URL hides.
    fn hide(&self, text: &str) -> String {
        let secret = self.path();
        if secret.len() > 1 { text.replace(secret, "/hidden") } else { text.to_owned() }
    }
}

/// Whether a host is this machine, whatever a name server says.
pub fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// Who verifies a receiver's certificate.
#[derive(Clone)]
pub struct Roots(Arc<ClientConfig>);

impl std::fmt::Debug for Roots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("roots")
    }
}

impl Roots {
    /// The authority of one PEM file, and no other.
    pub fn of(path: &Path, pem: &[u8]) -> Result<Self, BadTarget> {
        let bad = || BadTarget::NoAuthority(path.display().to_string());
        let mut store = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(pem) {
            store.add(certificate.map_err(|_| bad())?).map_err(|_| bad())?;
        }
        if store.is_empty() { Err(bad()) } else { Ok(Self(config(store)?)) }
    }

    /// Those that the system trusts; read once.
    pub fn system() -> Result<Self, BadTarget> {
        static SYSTEM: OnceLock<Roots> = OnceLock::new();
        if let Some(known) = SYSTEM.get() {
            return Ok(known.clone());
        }
        let found = rustls_native_certs::load_native_certs();
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(found.certs);
        if store.is_empty() {
            let why = found.errors.first().map_or_else(|| "none is installed".to_owned(), ToString::to_string);
            return Err(BadTarget::NoRoots(why));
        }
        let roots = Self(config(store)?);
        Ok(SYSTEM.get_or_init(|| roots).clone())
    }
}

fn config(store: RootCertStore) -> Result<Arc<ClientConfig>, rustls::Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
    Ok(Arc::new(versions.with_root_certificates(store).with_no_client_auth()))
}

/// A receiver's answer.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: StatusCode,
    retry_after: Option<Duration>,
    body: String,
}

/// Sends one body of JSON; the error is a sentence about the network, and worth another attempt.
pub(super) async fn post(
    url: &Url,
    roots: &Roots,
    headers: &[(&'static str, String)],
    body: Vec<u8>,
) -> Result<Reply, String> {
    let stream = TcpStream::connect((url.host.as_str(), url.port)).await.map_err(|e| format!("no connection: {e}"))?;
    // Else a small request waits for an acknowledgement; a socket that refuses the option only waits.
    let _slower = stream.set_nodelay(true);
    if !url.tls {
        return over(stream, url, headers, body).await;
    }
    let name =
        ServerName::try_from(url.host.clone()).map_err(|_| "its host is no name that a certificate has".to_owned())?;
    let tls = TlsConnector::from(Arc::clone(&roots.0)).connect(name, stream).await;
    over(tls.map_err(|e| format!("no TLS: {e}"))?, url, headers, body).await
}

async fn over(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    url: &Url,
    headers: &[(&'static str, String)],
    body: Vec<u8>,
) -> Result<Reply, String> {
    let broken = |e: hyper::Error| format!("the connection broke: {e}");
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(broken)?;
    let mut request = Request::post(url.path())
        .header(header::HOST, url.uri.authority().map_or(url.host.as_str(), |a| a.as_str()))
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::USER_AGENT, concat!("kcm/", env!("CARGO_PKG_VERSION")));
    for (name, value) in headers {
        request = request.header(*name, value);
    }
    let request =
        request.body(Full::new(Bytes::from(body))).map_err(|e| format!("the request cannot be written: {e}"))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(broken)?;
        let (head, body) = response.into_parts();
        // What does not read is shown as nothing: the status says enough.
        let body = Limited::new(body, ANSWER_BYTES_MAX).collect().await.map(|b| b.to_bytes()).unwrap_or_default();
        Ok(Reply {
            status: head.status,
            retry_after: head.headers.get(header::RETRY_AFTER).and_then(|v| v.to_str().ok()).and_then(seconds),
            body: url.hide(&shown(&body)),
        })
    };
    tokio::pin!(answer);
    tokio::pin!(connection);
    let mut gone = false;
    loop {
        tokio::select! {
            reply = &mut answer => return reply,
            _ended = &mut connection, if !gone => gone = true,
        }
    }
}

/// RFC 9110 §10.2.3, in seconds; the other form, a date, is rare and counts as none.
fn seconds(text: &str) -> Option<Duration> {
    text.trim().parse().ok().map(Duration::from_secs)
}

fn shown(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(SHOWN_CHARACTERS_MAX).collect()
}

impl Reply {
    /// What it means: a receiver that is busy or broken is asked again, one that refuses is not.
    pub(super) fn meaning(&self) -> Answer {
        let why = format!("the receiver answered {}: {}", self.status, self.body.trim());
        match self.status.as_u16() {
            200..=299 => Answer::Taken,
            408 | 425 | 429 | 500..=599 => Answer::Later { why, after: self.retry_after },
            _ => Answer::Never { why },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_is_reached_encrypted_or_on_this_machine_in_development() {
        for (text, development, good) in [
            ("https://hooks.slack.com/services/T0/B0/x", false, true),
            ("http://hooks.slack.com/x", true, false),
            ("http://127.0.0.1:8080/x", true, true),
            ("http://[::1]:8080/x", true, true),
            ("http://localhost/x", true, true),
            ("http://127.0.0.1:8080/x", false, false),
            ("http://localhost.evil.example/x", true, false),
            ("ftp://a/x", true, false),
            ("https://user:pass@a/x", false, false),
            ("hooks.slack.com", false, false),
        ] {
            assert_eq!(Url::new(text, development).is_ok(), good, "{text}");
        }
    }

    #[test]
    fn no_text_shows_the_url() {
        let url = Url::new("https://hooks.slack.com/services/T0/B0/sesame", false).unwrap();
        assert_eq!(format!("{url:?}"), "hooks.slack.com:443/hidden");
        assert_eq!(url.hide("no route /services/T0/B0/sesame here"), "no route /hidden here");
        let why = Url::new("http://a/services/T0/B0/sesame", false).unwrap_err();
        assert!(!format!("{why} {why:?}").contains("sesame"));
    }

    #[test]
    fn a_status_says_whether_to_come_again() {
        let reply = |status: u16| Reply {
            status: StatusCode::from_u16(status).unwrap(),
            retry_after: Some(Duration::from_secs(7)),
            body: "x".into(),
        };
        for status in [200, 202, 204] {
            assert_eq!(reply(status).meaning(), Answer::Taken);
        }
        for status in [408, 429, 500, 503] {
            assert!(matches!(reply(status).meaning(), Answer::Later { after: Some(_), .. }), "{status}");
        }
        for status in [301, 400, 403, 404, 410] {
            assert!(matches!(reply(status).meaning(), Answer::Never { .. }), "{status}");
        }
        assert_eq!((seconds(" 30 "), seconds("Wed, 21 Oct 2015 07:28:00 GMT")), (Some(Duration::from_secs(30)), None));
    }
}
