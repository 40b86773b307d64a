//! The client that asks the provider: one request a connection, over TLS that our CA file verifies, within a time and a size. It follows no
//! redirect. Plain HTTP goes to this machine itself alone, and only where the topology says that this is for development.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use governance::notify::is_loopback;
use http::{Method, Request, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::TlsConnector;

use crate::error::ApiError;

/// Time for one exchange with the provider, connecting included.
pub const PROVIDER_TIMEOUT_MS: u64 = 10_000;
/// Largest answer of the provider, in bytes.
pub const PROVIDER_BYTES_MAX: usize = 256 * 1024;

/// Asks the provider.
#[derive(Clone)]
pub(crate) struct Client {
    /// None: plain HTTP to this machine.
    tls: Option<TlsConnector>,
}

/// An address of the provider that may be asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    authority: String,
    host: String,
    port: u16,
    path: String,
}

impl Client {
    pub(crate) fn new(ca: Option<&[u8]>) -> Result<Self, ApiError> {
        let Some(pem) = ca else { return Ok(Self { tls: None }) };
        let bad = |why: String| ApiError::Login { what: "ca", why };
        let mut roots = RootCertStore::empty();
        for ca in CertificateDer::pem_slice_iter(pem) {
            roots.add(ca.map_err(|why| bad(why.to_string()))?).map_err(|why| bad(why.to_string()))?;
        }
        if roots.is_empty() {
            return Err(bad("it holds no certificate".into()));
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: Some(TlsConnector::from(Arc::new(config))) })
    }

    /// Reads an address: https, or http to this machine where there is no TLS at all.
    pub(crate) fn address(&self, url: &str) -> Result<Address, String> {
        let bad = |why: &str| format!("`{}` {why}", url.chars().take(200).collect::<String>());
        let uri: Uri = url.parse().map_err(|_| bad("is no URL"))?;
        let host = uri.host().ok_or_else(|| bad("names no host"))?.trim_matches(['[', ']']).to_owned();
        let port = match (uri.scheme_str(), &self.tls) {
            (Some("https"), Some(_)) => 443,
            (Some("http"), None) if is_loopback(&host) => 80,
            _ => return Err(bad("is not https")),
        };
        let authority = uri.authority().ok_or_else(|| bad("names no host"))?.as_str();
        if authority.contains('@') || url.contains('#') {
            return Err(bad("must not hold a user or a fragment"));
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str()).to_owned();
        Ok(Address { authority: authority.to_owned(), host, port: uri.port_u16().unwrap_or(port), path })
    }

    pub(crate) async fn get(&self, at: &Address) -> Result<Bytes, String> {
        self.ask(Method::GET, at, None, Bytes::new()).await
    }

    /// Posts a form; `authorization` is who we are.
    pub(crate) async fn post(&self, at: &Address, authorization: Option<&str>, form: String) -> Result<Bytes, String> {
        self.ask(Method::POST, at, authorization, form.into()).await
    }

    async fn ask(&self, method: Method, at: &Address, auth: Option<&str>, body: Bytes) -> Result<Bytes, String> {
        let mut request = Request::builder()
            .method(&method)
            .uri(&at.path)
            .header(header::HOST, &at.authority)
            .header(header::ACCEPT, "application/json");
        if method == Method::POST {
            request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        }
        if let Some(auth) = auth {
            request = request.header(header::AUTHORIZATION, auth);
        }
        let request = request.body(Full::new(body)).map_err(|why| why.to_string())?;
        let answered = timeout(Duration::from_millis(PROVIDER_TIMEOUT_MS), self.exchange(at, request)).await;
        answered.unwrap_or_else(|_| Err(format!("no answer within {PROVIDER_TIMEOUT_MS} ms")))
    }

    async fn exchange(&self, at: &Address, request: Request<Full<Bytes>>) -> Result<Bytes, String> {
        let tcp = TcpStream::connect((at.host.as_str(), at.port)).await.map_err(|why| why.to_string())?;
        let Some(tls) = &self.tls else { return spoken(tcp, request).await };
        let name = ServerName::try_from(at.host.clone()).map_err(|why| why.to_string())?;
        spoken(tls.connect(name, tcp).await.map_err(|why| why.to_string())?, request).await
    }
}

async fn spoken<S>(stream: S, request: Request<Full<Bytes>>) -> Result<Bytes, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|why| why.to_string())?;
    let connection = tokio::spawn(async move {
        // What ends the connection reaches the request itself.
        let _ended = connection.await;
    });
    let response = sender.send_request(request).await.map_err(|why| why.to_string());
    let read = match response {
        Ok(response) => {
            let status = response.status();
            let body = Limited::new(response.into_body(), PROVIDER_BYTES_MAX).collect().await;
            let body = body.map(|body| body.to_bytes()).map_err(|why| why.to_string());
            body.and_then(|body| if status == http::StatusCode::OK { Ok(body) } else { Err(refused(status, &body)) })
        }
        Err(why) => Err(why),
    };
    connection.abort();
    read
}

/// A status, and the error that the provider names (RFC 6749 §5.2), as far as it is a plain word.
fn refused(status: http::StatusCode, body: &[u8]) -> String {
    let said: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let plain = |word: &&str| word.len() <= 64 && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
    let word = said.get("error").and_then(|error| error.as_str()).filter(plain);
    format!("it answered {status}{}", word.map(|word| format!(" ({word})")).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_https_is_asked_and_plain_http_on_this_machine_where_that_is_meant() {
        let ca = rcgen::generate_simple_self_signed(vec!["x".into()]).unwrap().cert.pem();
        let (tls, plain) = (Client::new(Some(ca.as_bytes())).unwrap(), Client::new(None).unwrap());
        let address = tls.address("https://idp.example/a?b=c").unwrap();
        assert_eq!((address.port, address.path.as_str(), address.authority.as_str()), (443, "/a?b=c", "idp.example"));
        assert_eq!(plain.address("http://127.0.0.1:8080").unwrap().port, 8080);
        assert!(plain.address("http://[::1]:80/").is_ok() && plain.address("http://localhost/").is_ok());
        for bad in
            ["http://127.0.0.1/", "ftp://idp.example/", "https://u@idp.example/", "https://idp.example/#x", "x", ""]
        {
            assert!(tls.address(bad).is_err(), "{bad}");
        }
        for bad in ["https://127.0.0.1/", "http://idp.example/", "http://10.0.0.1/", "http://localhost.evil.example/"] {
            assert!(plain.address(bad).is_err(), "{bad}");
        }
        assert!(Client::new(Some(b"")).is_err());
    }
}
