//! The listener's TLS: 1.2 and 1.3, client certificates required, no early data, sessions that can be dropped.

use std::{fmt, sync::Arc};

use arc_swap::ArcSwap;
use rustls::{
    ServerConfig,
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, PrivateKeyDer},
    server::{ResolvesServerCert, ServerSessionMemoryCache, StoresServerSessions},
    sign::{CertifiedKey, SingleCertAndKey},
};

use crate::caller::{Anchors, Verifier};

/// Most sessions that can be resumed.
pub const SESSIONS_MAX: usize = 4_096;

/// A server certificate that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the KMIP server certificate or its key cannot be used: {0}")]
pub struct BadIdentity(String);

/// What all connections of a listener share.
#[derive(Debug)]
pub struct Tls {
    provider: Arc<CryptoProvider>,
    certificate: Arc<dyn ResolvesServerCert>,
    sessions: Arc<Sessions>,
}

impl Tls {
    /// `chain` begins with the server's own certificate, whose SAN must hold the names that clients connect to.
    pub fn new(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Self, BadIdentity> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let bad = |error: rustls::Error| BadIdentity(error.to_string());
        let certified = CertifiedKey::from_der(chain, key, &provider).map_err(bad)?;
        let certificate = Arc::new(SingleCertAndKey::from(certified));
        Ok(Self { provider, certificate, sessions: Arc::new(Sessions::default()) })
    }

    /// The configuration of one connection, with its own verifier over the anchors of the moment.
    pub(crate) fn for_connection(
        &self,
        anchors: Arc<Anchors>,
    ) -> Result<(Arc<ServerConfig>, Arc<Verifier>), rustls::Error> {
        let verifier = Arc::new(Verifier::new(anchors, self.provider.clone()));
        let mut config = ServerConfig::builder_with_provider(self.provider.clone())
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
            .with_client_cert_verifier(verifier.clone())
            .with_cert_resolver(self.certificate.clone());
        config.session_storage = self.sessions.clone();
        // PROTOCOL §8: no 0-RTT. A replayed request could be a Destroy.
        config.max_early_data_size = 0;
        config.send_tls13_tickets = 1;
        Ok((Arc::new(config), verifier))
    }

    /// Forgets every session: the next connections are full handshakes. For kills and changes of callers.
    pub fn drop_sessions(&self) {
        self.sessions.clear();
    }
}

/// Sessions in memory, all of which can be dropped at once. Which of them is whose is not known here, and need not be: a full
/// handshake costs a client a fraction of a millisecond.
struct Sessions(ArcSwap<Cache>);

struct Cache(Arc<ServerSessionMemoryCache>);

impl Sessions {
    fn clear(&self) {
        self.0.store(Arc::new(Cache::new()));
    }
}

impl Cache {
    fn new() -> Self {
        Self(ServerSessionMemoryCache::new(SESSIONS_MAX))
    }
}

impl Default for Sessions {
    fn default() -> Self {
        Self(ArcSwap::from_pointee(Cache::new()))
    }
}

impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sessions")
    }
}

impl StoresServerSessions for Sessions {
    fn put(&self, key: Vec<u8>, value: Vec<u8>) -> bool {
        self.0.load().0.put(key, value)
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.load().0.get(key)
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.0.load().0.take(key)
    }

    fn can_cache(&self) -> bool {
        true
    }
}
