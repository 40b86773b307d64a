//! A KMIP client of our own, for what a foreign one would not send.

use std::sync::OnceLock;

use node::kmip_client::{KmipClient, KmipError, tls_config};
use tokio::runtime::Runtime;

use super::support::Client;

/// One runtime for all tests of a process, and the one provider of TLS that a process has.
pub(crate) fn runtime() -> &'static Runtime {
    static RUNTIME: OnceLock<Runtime> = OnceLock::new();
    RUNTIME.get_or_init(|| {
        // Nobody else of this process chooses another.
        let _first = rustls::crypto::aws_lc_rs::default_provider().install_default();
        Runtime::new().unwrap()
    })
}

pub(crate) async fn connect(client: &Client) -> Result<KmipClient, KmipError> {
    KmipClient::connect(&client.address, tls_config(&client.ca, &client.cert, &client.key)?).await
}
