//! TLS to a customer's KMS: one CA file, and no other authority, vouches for it.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, ConfigBuilder, RootCertStore,
    client::WantsClientCert,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_rustls::TlsConnector;

use super::L1Error;

/// TLS that trusts the certificates of one PEM file and nothing else.
pub(super) fn tls(provider: &'static str, ca: &Path) -> Result<TlsConnector, L1Error> {
    let config = trusting(Arc::new(roots(provider, ca)?)).map_err(|why| L1Error::setup(provider, why))?;
    Ok(TlsConnector::from(Arc::new(config.with_no_client_auth())))
}

/// The same with a certificate of ours.
#[cfg(feature = "kmip")]
pub(super) fn mutual(
    roots: Arc<RootCertStore>,
    certificates: Vec<CertificateDer<'static>>,
    key: rustls::pki_types::PrivateKeyDer<'static>,
) -> Result<TlsConnector, String> {
    let config = trusting(roots)?.with_client_auth_cert(certificates, key).map_err(|e| e.to_string())?;
    Ok(TlsConnector::from(Arc::new(config)))
}

fn trusting(roots: Arc<RootCertStore>) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, String> {
    let library = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(library).with_safe_default_protocol_versions();
    Ok(config.map_err(|e| e.to_string())?.with_root_certificates(roots))
}

/// The certificates of a PEM file.
pub(super) fn roots(provider: &'static str, ca: &Path) -> Result<RootCertStore, L1Error> {
    let place = ca.display();
    let unusable = |why: &dyn std::fmt::Display| L1Error::setup(provider, format!("CA file `{place}`: {why}"));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).map_err(|e| unusable(&e))? {
        roots.add(certificate.map_err(|e| unusable(&e))?).map_err(|e| unusable(&e))?;
    }
    if roots.is_empty() {
        return Err(L1Error::setup(provider, format!("CA file `{place}` holds no certificate")));
    }
    Ok(roots)
}
