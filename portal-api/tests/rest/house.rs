//! A house for each test: its own CAs, its own governance, its own port.

use std::{sync::Arc, time::Duration};

use governance::{Checkpointing, Governance, Options, Peer, SystemClock, testing::nowhere};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use orbital::trust::TrustRoot;
use orbital::{
    names::{Deployment, NodeName, Person},
    note::{Scheme, Signer},
    testing::{self, REGIONS, World},
};
use portal_api::{limits::Limits, sign_in::SignIn, tls::Clients};
use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

/// Whom the house's requests come from, unless a test says otherwise.
pub(crate) const OPERATOR: &str = "operator";

/// A CA and what it signs.
pub(crate) struct Ca {
    pub(crate) pem: String,
    issuer: Issuer<'static, KeyPair>,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let pem = params.self_signed(&key).unwrap().pem();
        Self { pem, issuer: Issuer::new(params, key) }
    }

    /// A leaf for `localhost` that names `cn`, altered by the test: chain and key, PEM.
    pub(crate) fn leaf(&self, cn: &str, alter: impl FnOnce(&mut CertificateParams)) -> (String, String) {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        if !cn.is_empty() {
            params.distinguished_name.push(DnType::CommonName, cn);
        }
        alter(&mut params);
        let key = KeyPair::generate().unwrap();
        let certificate: Certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

pub(crate) struct House {
    pub(crate) world: World,
    pub(crate) ca: Ca,
    pub(crate) port: u16,
    stop: Option<oneshot::Sender<()>>,
    served: Option<JoinHandle<()>>,
    // Ends with the house.
    governance: Governance,
}

impl House {
    pub(crate) async fn new() -> Self {
        Self::within(Limits::default()).await
    }

    pub(crate) async fn within(limits: Limits) -> Self {
        Self::under(policy::Bundle::default_bundle().unwrap(), limits, None, |_| ()).await
    }

    /// A house whose people may sign in: at which port it is reached decides how. Its tenant is provisioned.
    pub(crate) async fn with_sign_in(
        more: &str,
        limits: Limits,
        sign_in: impl FnOnce(u16) -> SignIn,
        alter: impl FnOnce(&mut TrustRoot),
    ) -> Self {
        let house = Self::under(with_policy(more), limits, Some(Box::new(sign_in)), alter).await;
        let genesis = serde_json::to_value(house.world.genesis()).unwrap();
        assert_eq!(house.post("/v1/tenants", &genesis).await.status, 202);
        house
    }

    /// A house with one policy more.
    pub(crate) async fn governed(more: &str) -> Self {
        Self::under(with_policy(more), Limits::default(), None, |_| ()).await
    }

    async fn under(
        bundle: policy::Bundle,
        limits: Limits,
        sign_in: Option<Box<dyn FnOnce(u16) -> SignIn + '_>>,
        alter: impl FnOnce(&mut TrustRoot),
    ) -> Self {
        let world = World::founded("test", "acme", |root| {
            root.policy = bundle.digest();
            alter(root);
        });
        let peers = REGIONS.iter().map(|(name, _)| Peer {
            region: testing::region(name),
            node: NodeName::new(format!("{name}-1")).unwrap(),
            frame_public: testing::secret("frames", name).public(),
        });
        let governance = Governance::start(Options {
            deployment: Deployment::new("test").unwrap(),
            node: NodeName::new("gov-1").unwrap(),
            incarnation: 1,
            term: 1,
            frame_key: testing::secret("frames", "gov-1"),
            regions: peers.collect(),
            operators: [Person::new(OPERATOR).unwrap()].into(),
            hyok: [].into(),
            lease_key: testing::secret("test/acme", "lease"),
            evaluator: policy::Evaluator::new(bundle),
            ledger: Arc::new(ledger::MemoryLedger::new()),
            checkpointing: Some(Checkpointing {
                signer: Signer::new("test/ledger", Scheme::Log, testing::secret("checkpoints", "gov-1")).unwrap(),
                last: None,
            }),
            critical: tokio::runtime::Handle::current(),
            clock: Arc::new(SystemClock::default()),
            notifying: nowhere(),
        });
        let governance = governance.await.unwrap();
        let ca = Ca::new("rest-ca");
        let (chain, key) = ca.leaf("portal", |_| ());
        let clients = if sign_in.is_some() { Clients::Asked } else { Clients::Demanded };
        let tls = portal_api::tls::server_config(chain.as_bytes(), key.as_bytes(), ca.pem.as_bytes(), clients).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let sign_in = sign_in.map(|sign_in| sign_in(port));
        let (stop, stopped) = oneshot::channel::<()>();
        let desk = governance.desk();
        let shutdown = async move { drop(stopped.await) };
        let served = tokio::spawn(async move {
            portal_api::serve_within(limits, listener, tls, desk, sign_in, shutdown).await.unwrap();
        });
        Self { world, ca, port, stop: Some(stop), served: Some(served), governance }
    }

    /// A house whose tenant is provisioned.
    pub(crate) async fn furnished() -> Self {
        let house = Self::new().await;
        let genesis = serde_json::to_value(house.world.genesis()).unwrap();
        assert_eq!(house.post("/v1/tenants", &genesis).await.status, 202);
        house
    }

    /// Every region has taken the tenant: it can be linked.
    pub(crate) async fn taken(&self) {
        governance::testing::taken(&self.governance, &self.world).await;
    }

    /// Tells the listener to end and waits until it has.
    pub(crate) async fn close(&mut self) {
        drop(self.stop.take());
        self.served.take().unwrap().await.unwrap();
    }

    pub(crate) async fn tcp(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()
    }

    /// From another address of this machine.
    pub(crate) async fn tcp_from(&self, from: [u8; 4]) -> TcpStream {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((from, 0).into()).unwrap();
        socket.connect(([127, 0, 0, 1], self.port).into()).await.unwrap()
    }

    /// A connection that has had an answer, and stays open.
    pub(crate) async fn served(&self, leaf: &(String, String)) -> http1::SendRequest<Full<bytes::Bytes>> {
        let mut sender = self.sender_as(leaf).await;
        let request = http::Request::get("/livez").header("host", "localhost").body(Default::default()).unwrap();
        assert_eq!(Said::of(sender.send_request(request).await.unwrap()).await.status, 200);
        sender
    }

    /// A connection as the holder of a certificate of `by`; without one, as nobody.
    pub(crate) async fn connect(&self, leaf: Option<&(String, String)>) -> std::io::Result<TlsStream<TcpStream>> {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.ca.pem.as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match leaf {
            None => config.with_no_client_auth(),
            Some((chain, key)) => {
                let chain = CertificateDer::pem_slice_iter(chain.as_bytes()).map(Result::unwrap).collect();
                config.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap()).unwrap()
            }
        };
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect("localhost".try_into().unwrap(), self.tcp().await).await
    }

    /// A sender on a connection of its own, as the operator.
    pub(crate) async fn sender(&self) -> http1::SendRequest<Full<bytes::Bytes>> {
        let leaf = self.ca.leaf(OPERATOR, |_| ());
        self.sender_as(&leaf).await
    }

    pub(crate) async fn sender_as(&self, leaf: &(String, String)) -> http1::SendRequest<Full<bytes::Bytes>> {
        self.sender_of(Some(leaf)).await
    }

    /// A sender on a connection of its own, with a certificate or without.
    pub(crate) async fn sender_of(&self, leaf: Option<&(String, String)>) -> http1::SendRequest<Full<bytes::Bytes>> {
        let tls = self.connect(leaf).await.unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(tls)).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        sender
    }

    pub(crate) async fn send(&self, request: http::request::Builder, body: Vec<u8>) -> Said {
        self.send_as(OPERATOR, request, body).await
    }

    /// As the holder of a certificate that the REST CA issued to this name.
    pub(crate) async fn send_as(&self, name: &str, request: http::request::Builder, body: Vec<u8>) -> Said {
        let leaf = self.ca.leaf(name, |_| ());
        let request = request.header("host", "localhost").body(Full::from(body)).unwrap();
        Said::of(self.sender_as(&leaf).await.send_request(request).await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str) -> Said {
        self.send(http::Request::get(path), Vec::new()).await
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Said {
        let request = http::Request::post(path).header("content-type", "application/json");
        self.send(request, body.to_string().into_bytes()).await
    }
}

/// The default policies and one more.
fn with_policy(more: &str) -> policy::Bundle {
    let default = policy::Bundle::default_bundle().unwrap();
    let policies = format!("{}\n{more}\n", default.policies_text());
    policy::Bundle::parse_strict(default.schema_text(), &policies, default.entities_text()).unwrap()
}

/// An answer, read whole.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Value,
}

impl Said {
    pub(crate) async fn of(response: http::Response<hyper::body::Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let within = tokio::time::timeout(Duration::from_secs(30), body.collect());
        let bytes = within.await.unwrap().unwrap().to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Self { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    pub(crate) fn code(&self) -> &str {
        self.body["code"].as_str().unwrap_or_default()
    }
}
