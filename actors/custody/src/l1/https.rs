//! HTTPS to a customer's KMS that speaks REST: one request a connection, the server verified against one CA file, everything bounded.
//!
//! It follows no redirect, since whoever redirects would be handed the credential. The HTTP library's own buffers hold a body for the
//! length of a call and are not wiped; what this file holds itself is.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use serde::Serialize;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::{TlsConnector, client::TlsStream};
use zeroize::Zeroizing;

use super::{L1Error, tls::tls};

/// Of one exchange, from name resolution to the last byte of the answer.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(5);
/// Largest answer that is read, in bytes: the longest blob in base64 and the rest with room.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// A KMS that can be asked.
pub(super) struct Https {
    authority: String,
    host: String,
    port: u16,
    name: ServerName<'static>,
    tls: TlsConnector,
}

/// One question. A body makes it a POST.
pub(super) struct Question<'a> {
    pub(super) path: &'a str,
    pub(super) headers: Vec<(&'static str, Zeroizing<String>)>,
    pub(super) body: Option<Body>,
}

/// What a question carries.
pub(super) struct Body {
    kind: &'static str,
    bytes: Zeroizing<Vec<u8>>,
}

impl Body {
    pub(super) fn json(value: &impl Serialize) -> serde_json::Result<Self> {
        serde_json::to_vec(value).map(|bytes| Self { kind: "application/json", bytes: Zeroizing::new(bytes) })
    }

    #[cfg(feature = "azure-key-vault")]
    pub(super) fn form(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self { kind: "application/x-www-form-urlencoded", bytes }
    }
}

/// An answer, whatever its status. Wiped on drop.
pub(super) struct Said {
    pub(super) status: u16,
    pub(super) body: Zeroizing<Vec<u8>>,
}

impl Https {
    /// Reads the CA file; no call is made yet. `endpoint` is `https://HOST[:PORT]`.
    pub(super) fn new(provider: &'static str, endpoint: &str, ca: &Path) -> Result<Self, L1Error> {
        let bad =
            || L1Error::setup(provider, format!("its endpoint `{endpoint}` is no address: write https://HOST[:PORT]"));
        let uri: Uri = endpoint.parse().map_err(|_| bad())?;
        let authority = uri.authority().filter(|a| !a.as_str().contains('@')).ok_or_else(bad)?.as_str().to_owned();
        if uri.scheme_str() != Some("https") || uri.path_and_query().is_some_and(|path| path.as_str() != "/") {
            return Err(bad());
        }
        let host = uri.host().ok_or_else(bad)?.trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host.clone()).map_err(|_| bad())?;
        Ok(Self { authority, host, port: uri.port_u16().unwrap_or(443), name, tls: tls(provider, ca)? })
    }

    #[cfg(feature = "azure-key-vault")]
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Asks within [`CALL_TIMEOUT`]. The error says why there is no answer.
    pub(super) async fn ask(&self, question: Question<'_>) -> Result<Said, String> {
        match timeout(CALL_TIMEOUT, self.exchange(question)).await {
            Ok(answer) => answer.map_err(|why| format!("{why} ({})", self.authority)),
            Err(_) => Err(format!("{} gave no answer within {} s", self.authority, CALL_TIMEOUT.as_secs())),
        }
    }

    async fn exchange(&self, question: Question<'_>) -> Result<Said, String> {
        let request = self.request(question)?;
        let tcp = TcpStream::connect((self.host.as_str(), self.port)).await;
        let tcp = tcp.map_err(|e| format!("no connection: {e}"))?;
        tcp.set_nodelay(true).map_err(|e| format!("no connection: {e}"))?;
        let tls = self.tls.connect(self.name.clone(), tcp).await.map_err(|e| format!("no TLS: {e}"))?;
        spoken(tls, request).await
    }

    fn request(&self, question: Question<'_>) -> Result<Request<Full<Bytes>>, String> {
        let method = if question.body.is_some() { Method::POST } else { Method::GET };
        let mut request = Request::builder()
            .method(method)
            .uri(question.path)
            .header(header::HOST, &self.authority)
            .header(header::ACCEPT, "application/json")
            .header(header::USER_AGENT, concat!("kcm/", env!("CARGO_PKG_VERSION")));
        for (name, value) in &question.headers {
            request = request.header(*name, value.as_str());
        }
        if let Some(body) = &question.body {
            request = request.header(header::CONTENT_TYPE, body.kind);
        }
        let body = question.body.map_or_else(Bytes::new, |body| Bytes::from_owner(body.bytes));
        // Not the library's own words: they may repeat a header, which is a credential.
        request
            .body(Full::new(body))
            .map_err(|_| "the credential or the key's name can't stand in a request".to_owned())
    }
}

async fn spoken(stream: TlsStream<TcpStream>, request: Request<Full<Bytes>>) -> Result<Said, String> {
    let broken = |e: &dyn std::fmt::Display| format!("the connection broke: {e}");
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|e| broken(&e))?;
    let answer = async {
        let response = sender.send_request(request).await.map_err(|e| broken(&e))?;
        let status = response.status().as_u16();
        let mut body = Limited::new(response.into_body(), ANSWER_BYTES_MAX);
        let mut read = Zeroizing::new(Vec::with_capacity(ANSWER_BYTES_MAX));
        while let Some(frame) = body.frame().await {
            if let Ok(part) = frame.map_err(|e| broken(&e))?.into_data() {
                read.extend_from_slice(&part);
            }
        }
        Ok(Said { status, body: read })
    };
    tokio::pin!(answer);
    tokio::pin!(connection);
    let mut gone = false;
    loop {
        tokio::select! {
            said = &mut answer => return said,
            _ended = &mut connection, if !gone => gone = true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endpoint_is_a_host_over_tls_and_nothing_besides() {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, rcgen::generate_simple_self_signed(vec!["x".into()]).unwrap().cert.pem()).unwrap();
        let at = Https::new("kms", "https://bao.example", &ca).unwrap();
        assert_eq!((at.port, at.host.as_str()), (443, "bao.example"));
        assert!(Https::new("kms", "https://[::1]:8200/", &ca).is_ok());
        for bad in ["http://bao.example", "bao.example:8200", "https://u:p@bao.example", "https://bao.example/v1", ""] {
            let refused = Https::new("kms", bad, &ca).err().map(|e| e.to_string()).unwrap();
            assert!(refused.contains("https://HOST[:PORT]"), "{bad}: {refused}");
        }
    }

    #[test]
    fn a_credential_that_fits_no_header_is_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.pem");
        std::fs::write(&ca, rcgen::generate_simple_self_signed(vec!["x".into()]).unwrap().cert.pem()).unwrap();
        let at = Https::new("kms", "https://bao.example", &ca).unwrap();
        let token = ("x-vault-token", Zeroizing::new("hunter2\n".to_owned()));
        let refused = at.request(Question { path: "/v1/x", headers: vec![token], body: None }).unwrap_err();
        assert!(!refused.contains("hunter2"), "{refused}");
    }
}
