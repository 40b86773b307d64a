//! The soft L1, served in this process over real TLS.

use std::{collections::BTreeMap, net::SocketAddr, path::Path, sync::Arc};

use custody::l1::{
    Development, Fault, L1, L1Error, Soft, SoftOptions, SoftTarget,
    soft_wire::{Ask, Token},
};
use orbital::names::KeyRef;
use rustls::{ServerConfig, pki_types::PrivateKeyDer};
use tokio::{net::TcpListener, sync::oneshot};

use crate::{
    soft_l1::{CONNECTIONS_MAX, KeySpec, Options, command, serve},
    suite::{Act, Customer, Later, conforms, unreachable},
};

const ADMIN: &str = "admin-token";
const REGION: &str = "region-token";
const KEYS: usize = 20;

struct Customers {
    folder: tempfile::TempDir,
    region: Soft,
    stranger: Soft,
    nowhere: Soft,
    admin: SoftTarget,
    made: usize,
    _stop: oneshot::Sender<()>,
}

fn development() -> Development {
    Development::proven(true, "a test").unwrap()
}

/// A server certificate for `localhost` and the file of the CA that signed it.
pub(crate) fn certificates(ca_file: &Path) -> Arc<ServerConfig> {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut ca = rcgen::CertificateParams::new(vec![]).unwrap();
    ca.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    std::fs::write(ca_file, ca.self_signed(&ca_key).unwrap().pem()).unwrap();
    let issuer = rcgen::Issuer::new(ca, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let leaf = rcgen::CertificateParams::new(vec!["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
    Arc::new(config.with_no_client_auth().with_single_cert(vec![leaf.der().clone()], key).unwrap())
}

fn client(address: &str, ca: &Path, token: &str) -> Soft {
    let options = SoftOptions { address: address.to_owned(), ca: ca.to_owned(), token: Token::new(token) };
    Soft::connect(options, development()).unwrap()
}

async fn start(connections_max: usize) -> Customers {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    let keys = (0..KEYS).map(|n| KeySpec { name: format!("soft:key-{n}"), allow: vec!["fra".to_owned()] });
    let options = Options {
        folder: folder.path().join("soft-l1"),
        tls: certificates(&ca),
        admin: Token::new(ADMIN),
        principals: BTreeMap::from([("fra".to_owned(), Token::new(REGION))]),
        keys: keys.collect(),
        connections_max,
        development: development(),
    };
    let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
    let address = format!("localhost:{}", listener.local_addr().unwrap().port());
    let (stop, stopped) = oneshot::channel::<()>();
    tokio::spawn(serve(listener, options, async move { drop(stopped.await) }));
    Customers {
        region: client(&address, &ca, REGION),
        stranger: client(&address, &ca, "nobody"),
        nowhere: client(&format!("localhost:{}", closed_port()), &ca, REGION),
        admin: SoftTarget::new(&address, &ca, development()).unwrap(),
        folder,
        made: 0,
        _stop: stop,
    }
}

/// A port that was free a moment ago and on which nobody listens.
pub(crate) fn closed_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

impl Customer for Customers {
    fn region(&self) -> &dyn L1 {
        &self.region
    }
    fn stranger(&self) -> &dyn L1 {
        &self.stranger
    }
    fn nowhere(&self) -> &dyn L1 {
        &self.nowhere
    }
    fn fresh_key(&mut self) -> Later<'_, KeyRef> {
        self.made += 1;
        assert!(self.made <= KEYS, "the suite needs more keys");
        Box::pin(async { KeyRef::new(format!("soft:key-{}", self.made - 1)).unwrap() })
    }
    fn absent_key(&self) -> KeyRef {
        KeyRef::new("soft:never-made").unwrap()
    }
    fn act<'a>(&'a self, key: &'a KeyRef, act: Act) -> Later<'a, ()> {
        let (key, principal) = (key.to_string(), "fra".to_owned());
        let ask = match act {
            Act::Disable => Ask::Disable { key },
            Act::Enable => Ask::Enable { key },
            Act::ScheduleDeletion => Ask::ScheduleDeletion { key },
            Act::Deny => Ask::Deny { key, principal },
            Act::Allow => Ask::Allow { key, principal },
        };
        Box::pin(async move { assert!(command(&self.admin, &Token::new(ADMIN), ask).await.is_ok(), "{act:?}") })
    }
}

#[tokio::test]
async fn the_soft_l1_conforms() {
    conforms(&mut start(CONNECTIONS_MAX).await).await;
}

#[tokio::test]
async fn a_full_server_is_a_fault_and_never_a_stop() {
    let mut customer = start(0).await;
    let key = customer.fresh_key().await;
    assert_eq!(unreachable(&customer.region, &key).await, Fault::Network);
}

#[tokio::test]
async fn a_server_of_another_ca_is_not_asked() {
    let mut customer = start(CONNECTIONS_MAX).await;
    let key = customer.fresh_key().await;
    let other = customer.folder.path().join("other.pem");
    drop(certificates(&other));
    let port = customer.region.address().to_owned();
    let answer = client(&port, &other, REGION).describe(&key).await.unwrap_err();
    assert!(matches!(&answer, L1Error::Unreachable { fault: Fault::Network, .. }), "{answer}");
    assert!(answer.to_string().contains("TLS with"), "{answer}");
}

#[tokio::test]
async fn the_admin_is_told_why_a_command_is_refused() {
    let customer = start(CONNECTIONS_MAX).await;
    let ask = || Ask::Disable { key: "soft:key-0".to_owned() };
    let refused = command(&customer.admin, &Token::new(REGION), ask()).await.unwrap_err().to_string();
    assert!(refused.contains("only the admin's token"), "{refused}");
    assert!(command(&customer.admin, &Token::new(ADMIN), ask()).await.is_ok());
}
