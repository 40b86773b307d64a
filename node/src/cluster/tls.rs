//! Mutual TLS from files, and the identities that certificates carry.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rustls::{
    ClientConfig, RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
    version::TLS13,
};

/// The three files of one side of mutual TLS, PEM.
#[derive(Clone, Debug)]
pub struct TlsFiles {
    pub ca: PathBuf,
    pub cert: PathBuf,
    pub key: PathBuf,
}

/// TLS that cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {path}: {why}. Check the path in the topology file, and who may read it")]
    Unreadable { path: PathBuf, why: String },
    #[error("{path} holds no {what} in PEM form")]
    Empty { path: PathBuf, what: &'static str },
    #[error("the key and certificates of {path} do not make a TLS identity: {why}")]
    Unusable { path: PathBuf, why: String },
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let unreadable = |why: String| TlsError::Unreadable { path: path.to_owned(), why };
    let pem = fs::read(path).map_err(|e| unreadable(e.to_string()))?;
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|e| unreadable(e.to_string()))?;
    if chain.is_empty() { Err(TlsError::Empty { path: path.to_owned(), what: "certificate" }) } else { Ok(chain) }
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|e| TlsError::Unreadable { path: path.to_owned(), why: e.to_string() })
}

/// The trust anchors of a CA file.
pub fn roots(path: &Path) -> Result<Arc<RootCertStore>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|e| TlsError::Unusable { path: path.to_owned(), why: e.to_string() })?;
    }
    Ok(Arc::new(roots))
}

impl TlsFiles {
    fn unusable(&self, why: impl ToString) -> TlsError {
        TlsError::Unusable { path: self.cert.clone(), why: why.to_string() }
    }

    /// A listener that demands a client certificate of this CA, TLS 1.3 only.
    pub fn server(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let verifier = WebPkiClientVerifier::builder(roots(&self.ca)?).build().map_err(|e| self.unusable(e))?;
        let config = ServerConfig::builder_with_protocol_versions(&[&TLS13])
            .with_client_cert_verifier(verifier)
            .with_single_cert(certificates(&self.cert)?, key(&self.key)?)
            .map_err(|e| self.unusable(e))?;
        Ok(Arc::new(config))
    }

    /// A dialer that shows its certificate and demands one of this CA, TLS 1.3 only.
    pub fn client(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let config = ClientConfig::builder_with_protocol_versions(&[&TLS13])
            .with_root_certificates(roots(&self.ca)?)
            .with_client_auth_cert(certificates(&self.cert)?, key(&self.key)?)
            .map_err(|e| self.unusable(e))?;
        Ok(Arc::new(config))
    }
}

/// The SAN URIs of a certificate: what our identities are.
pub fn uris(certificate: &CertificateDer<'_>) -> Vec<String> {
    webpki::EndEntityCert::try_from(certificate)
        .map(|cert| cert.valid_uri_names().map(str::to_owned).collect())
        .unwrap_or_default()
}

/// Accepts no client at all: for the listener that a node server opens whether we want it or not.
pub(super) fn refuse_all() -> Arc<ServerConfig> {
    let config = ServerConfig::builder_with_protocol_versions(&[&TLS13])
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(NoCertificate));
    Arc::new(config)
}

/// A server without a certificate ends each handshake.
#[derive(Debug)]
struct NoCertificate;

impl rustls::server::ResolvesServerCert for NoCertificate {
    fn resolve(&self, _: rustls::server::ClientHello<'_>) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }
}

/// A certificate chain and its key, for a listener that verifies its callers by itself.
pub fn identity(
    cert: &Path,
    key_path: &Path,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), TlsError> {
    Ok((certificates(cert)?, key(key_path)?))
}
