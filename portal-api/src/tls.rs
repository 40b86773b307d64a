//! Mutual TLS of the REST listener: a client without a certificate of the REST CA gets no further than the handshake, unless there is
//! sign-in; then a client may show none, and still none of another CA.
//!
//! The REST CA is nobody else's: certificates of Orbital or of a tenant's KMIP clients are refused here, and ours there.

use std::sync::Arc;

use rustls::{
    RootCertStore, ServerConfig,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use crate::error::ApiError;

/// Whether a client must show a certificate. One that is shown is verified in either case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Clients {
    /// There is no other way in.
    Demanded,
    /// Who shows none signs in.
    Asked,
}

/// Builds the listener's configuration from PEM texts: our chain (leaf first), our key, and the CA of those who may call.
pub fn server_config(
    chain: &[u8],
    key: &[u8],
    client_ca: &[u8],
    clients: Clients,
) -> Result<Arc<ServerConfig>, ApiError> {
    let chain = certificates("certificate chain", chain)?;
    let key =
        PrivateKeyDer::from_pem_slice(key).map_err(|e| ApiError::Pem { what: "private key", why: e.to_string() })?;
    let mut roots = RootCertStore::empty();
    for ca in certificates("client CA", client_ca)? {
        roots.add(ca)?;
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let verifier = match clients {
        Clients::Demanded => verifier.build(),
        Clients::Asked => verifier.allow_unauthenticated().build(),
    };
    let verifier = verifier.map_err(|e| ApiError::ClientCa(e.to_string()))?;
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_client_cert_verifier(verifier)
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    // A request in early data could be replayed; rustls sends none unless told to, and this says so.
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, ApiError> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let read = read.map_err(|e| ApiError::Pem { what, why: e.to_string() })?;
    if read.is_empty() { Err(ApiError::Pem { what, why: "it holds no certificate".into() }) } else { Ok(read) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_pem_is_named() {
        let error = server_config(b"", b"", b"", Clients::Demanded).unwrap_err();
        assert!(error.to_string().starts_with("the portal's certificate chain does not read: it holds no certificate"));
    }
}
