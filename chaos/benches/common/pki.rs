//! One certificate authority for a bench, and what both ends of its mutual TLS need.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose, SanType,
};
use rustls::{
    ClientConfig, RootCertStore, ServerConfig, SupportedProtocolVersion,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    server::WebPkiClientVerifier,
};

use super::Res;

/// The files of a bench's authority: `ca.pem`, and certificate and key of `server` and `client`.
#[derive(Clone)]
pub struct Pki(PathBuf);

impl Pki {
    /// Makes new ones in `folder`.
    pub fn create(folder: &Path) -> Res<Self> {
        let mut ca = CertificateParams::default();
        ca.distinguished_name.push(DnType::CommonName, "bench");
        ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;
        fs::write(folder.join("ca.pem"), ca.pem())?;
        for (name, usage) in
            [("server", ExtendedKeyUsagePurpose::ServerAuth), ("client", ExtendedKeyUsagePurpose::ClientAuth)]
        {
            let mut leaf = CertificateParams::default();
            leaf.distinguished_name.push(DnType::CommonName, name);
            leaf.subject_alt_names.push(SanType::DnsName("localhost".try_into()?));
            leaf.extended_key_usages = vec![usage];
            let key = KeyPair::generate()?;
            fs::write(folder.join(format!("{name}.pem")), leaf.signed_by(&key, &ca)?.pem())?;
            fs::write(folder.join(format!("{name}.key")), key.serialize_pem())?;
        }
        Ok(Self::of(folder))
    }

    /// Those that are in `folder`.
    pub fn of(folder: &Path) -> Self {
        Self(folder.to_owned())
    }

    pub fn ca_file(&self) -> PathBuf {
        self.0.join("ca.pem")
    }

    pub fn ca(&self) -> Res<CertificateDer<'static>> {
        Ok(CertificateDer::from_pem_file(self.ca_file())?)
    }

    pub fn identity(&self, name: &str) -> Res<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let certificate = CertificateDer::from_pem_file(self.0.join(format!("{name}.pem")))?;
        Ok((vec![certificate], PrivateKeyDer::from_pem_file(self.0.join(format!("{name}.key")))?))
    }

    fn roots(&self) -> Res<Arc<RootCertStore>> {
        let mut roots = RootCertStore::empty();
        roots.add(self.ca()?)?;
        Ok(Arc::new(roots))
    }

    /// A server that demands a client certificate of this authority.
    pub fn mutual(&self) -> Res<Arc<ServerConfig>> {
        let (chain, key) = self.identity("server")?;
        let verifier = WebPkiClientVerifier::builder(self.roots()?).build()?;
        let mut config = ServerConfig::builder().with_client_cert_verifier(verifier).with_single_cert(chain, key)?;
        config.send_tls13_tickets = 1;
        Ok(Arc::new(config))
    }

    /// A server that anybody may ask.
    pub fn open(&self) -> Res<Arc<ServerConfig>> {
        let (chain, key) = self.identity("server")?;
        Ok(Arc::new(ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?))
    }

    pub fn client(&self) -> Res<Arc<ClientConfig>> {
        self.client_of(self, rustls::DEFAULT_VERSIONS).map(Arc::new)
    }

    /// A client of another authority at this one's servers, which speaks these versions of TLS.
    pub fn client_of(&self, other: &Self, versions: &[&'static SupportedProtocolVersion]) -> Res<ClientConfig> {
        let (chain, key) = other.identity("client")?;
        let config = ClientConfig::builder_with_protocol_versions(versions).with_root_certificates(self.roots()?);
        Ok(config.with_client_auth_cert(chain, key)?)
    }
}
