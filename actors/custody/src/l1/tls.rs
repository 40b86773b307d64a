//! TLS to a customer's KMS: one CA file, and no other authority, vouches for it.

use std::{path::Path, sync::Arc};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use tokio_rustls::TlsConnector;

use super::L1Error;

/// TLS that trusts the certificates of one PEM file and nothing else.
pub(super) fn tls(provider: &'static str, ca: &Path) -> Result<TlsConnector, L1Error> {
    let place = ca.display();
    let setup = |why: String| L1Error::setup(provider, why);
    let unusable = |why: &dyn std::fmt::Display| setup(format!("CA file `{place}`: {why}"));
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(ca).map_err(|e| unusable(&e))? {
        roots.add(certificate.map_err(|e| unusable(&e))?).map_err(|e| unusable(&e))?;
    }
    if roots.is_empty() {
        return Err(setup(format!("CA file `{place}` holds no certificate")));
    }
    let library = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(library)
        .with_safe_default_protocol_versions()
        .map_err(|e| setup(e.to_string()))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}
