//! What a tenant's KMIP client does in a journey: a key in each region, kept-open connections, and what it is told.

use kmip::ResultReason;
use node::kmip_client::{KmipClient, KmipError, Sealed, tls_config};

use crate::demo::{Demo, NODES};

const PLAINTEXT: &[u8] = b"what only the customer may stop us from reading";

/// A key in one region, with data that it opens.
pub(crate) struct Used {
    pub(crate) tenant: &'static str,
    pub(crate) node: &'static str,
    pub(crate) id: String,
    sealed: Sealed,
}

impl Demo {
    /// A new connection of the tenant's client to a region.
    pub(crate) async fn connect(&self, tenant: &str, node: &str) -> Result<KmipClient, KmipError> {
        let address = self.region(node)["kmip"]["address"].as_str().unwrap();
        let files = self.client(tenant);
        KmipClient::connect(address, tls_config(&files.ca, &files.cert, &files.key)?).await
    }

    /// Creates a key in one region and seals data with it.
    pub(crate) async fn use_in(&self, tenant: &'static str, node: &'static str) -> Used {
        let mut client = self.connect(tenant, node).await.unwrap();
        let id = client.create_active().await.unwrap();
        let sealed = client.encrypt(&id, PLAINTEXT).await.unwrap();
        let used = Used { tenant, node, id, sealed };
        used.open(&mut client).await.unwrap();
        used
    }

    pub(crate) async fn use_everywhere(&self, tenant: &'static str) -> Vec<Used> {
        let mut used = Vec::new();
        for node in NODES {
            used.push(self.use_in(tenant, node).await);
        }
        used
    }

    /// Each key opens its data, over a new connection.
    pub(crate) async fn served(&self, used: &[Used]) {
        for key in used {
            let opened = self.try_open(key).await;
            assert!(opened.is_ok(), "{} in {}: {opened:?}", key.tenant, key.node);
        }
    }

    /// Opens the key's data over a new connection.
    pub(crate) async fn try_open(&self, key: &Used) -> Result<(), KmipError> {
        let mut client = self.connect(key.tenant, key.node).await?;
        key.open(&mut client).await
    }

    /// A killed tenant: Item Not Found for everything, also for what is there (DESIGN §2.11b).
    pub(crate) async fn refused(&self, used: &[Used]) {
        self.refused_with(used, ResultReason::ItemNotFound).await;
    }

    /// Neither what is there is served, nor is anything new made.
    pub(crate) async fn refused_with(&self, used: &[Used], reason: ResultReason) {
        for key in used {
            assert_eq!(self.reason(key).await, Some(reason), "{} in {}", key.tenant, key.node);
            let mut client = self.connect(key.tenant, key.node).await.unwrap();
            let created = client.create_active().await.unwrap_err();
            assert_eq!(created.reason(), Some(reason), "{} in {}", key.tenant, key.node);
        }
    }

    /// The reason with which the key is refused at this moment; none where it is served, or nobody answers.
    pub(crate) async fn reason(&self, key: &Used) -> Option<ResultReason> {
        self.try_open(key).await.err().and_then(|e| e.reason())
    }
}

impl Used {
    /// Opens the data over a connection that is there.
    pub(crate) async fn open(&self, client: &mut KmipClient) -> Result<(), KmipError> {
        let opened = client.decrypt(&self.id, &self.sealed).await?;
        assert_eq!(opened, PLAINTEXT, "{} in {} opened to something else", self.tenant, self.node);
        Ok(())
    }
}
