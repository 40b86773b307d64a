//! The portal as a browser reaches it in these stories: a relay on localhost that shows the browser a certificate of its own, and governance
//! the client certificate of the demo, or none. It looks at nothing of what it carries.

use std::sync::Arc;

use node::cluster::tls::roots;
use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use rustls::{
    ClientConfig, ServerConfig,
    pki_types::{PrivateKeyDer, pem::PemObject},
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::demo::{Demo, files};

pub(crate) struct Relay {
    /// What the page's address begins with.
    pub(crate) origin: String,
    /// SubjectPublicKeyInfo of its certificate, DER.
    pub(crate) key: Vec<u8>,
}

impl Relay {
    pub(crate) async fn start(demo: &Demo) -> Self {
        Self::with(demo, files(&demo.json["portal"]).client().unwrap()).await
    }

    /// One that shows governance no certificate: whoever comes through it has to sign in.
    pub(crate) async fn without_certificate(demo: &Demo) -> Self {
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots(&files(&demo.json["portal"]).ca).unwrap())
            .with_no_client_auth();
        Self::with(demo, Arc::new(config)).await
    }

    async fn with(demo: &Demo, config: Arc<ClientConfig>) -> Self {
        let address = demo.json["portal"]["url"].as_str().unwrap().strip_prefix("https://").unwrap().to_owned();
        let connector = TlsConnector::from(config);
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(vec!["localhost".to_owned()]).unwrap().self_signed(&key).unwrap();
        let private = PrivateKeyDer::from_pem_slice(key.serialize_pem().as_bytes()).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                tokio::spawn(carry(tcp, acceptor.clone(), connector.clone(), address.clone()));
            }
        });
        Self { origin, key: key.subject_public_key_info() }
    }
}

/// One connection; either side may end it, and a browser opens some for nothing.
async fn carry(tcp: TcpStream, acceptor: TlsAcceptor, connector: TlsConnector, address: String) -> Option<()> {
    let mut browser = acceptor.accept(tcp).await.ok()?;
    let tcp = TcpStream::connect(address).await.ok()?;
    let mut portal = connector.connect("localhost".try_into().ok()?, tcp).await.ok()?;
    copy_bidirectional(&mut browser, &mut portal).await.ok().map(drop)
}
