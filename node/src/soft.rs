//! The soft L1 process: a customer's KMS for development. It keeps its keys to itself.
//!
//! Its folder holds `soft-l1.json` (who may ask), `ca.pem`, `server.pem` and `server.key`; the keys it makes there itself.

use std::{collections::BTreeMap, fs, net::SocketAddr, path::Path};

use custody::l1::{Development, soft_wire::Token};
use serde::{Deserialize, Serialize};

use crate::{
    fault::RunError,
    run::{Ending, listen},
    soft_l1::{KeySpec, Options, serve},
};

/// Connections of one soft L1.
const CONNECTIONS_MAX: usize = 256;

/// `soft-l1.json`: tokens and first keys.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    pub admin: String,
    pub principals: BTreeMap<String, String>,
    /// Key name (`soft:NAME`) and the principals that its policy allows at first.
    pub keys: BTreeMap<String, Vec<String>>,
}

/// The credentials of one region at a soft L1: what the topology's `credentials_file` names.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credentials {
    pub token: String,
    /// PEM file of the CA that vouches for the server.
    pub ca: std::path::PathBuf,
}

/// Reads a JSON file of this module.
pub(crate) fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, RunError> {
    let text = fs::read(path).map_err(|why| RunError::Unreadable { path: path.to_owned(), why })?;
    serde_json::from_slice(&text).map_err(|e| RunError::Other(format!("{} does not read: {e}", path.display())))
}

/// Runs a soft L1 until it is asked to end.
pub async fn run(
    name: &str,
    address: SocketAddr,
    store: &Path,
    development: bool,
    ending: Ending,
) -> Result<(), RunError> {
    let l1 = |why: String| RunError::L1 { name: name.to_owned(), why };
    let development = Development::proven(development, "a soft L1").map_err(|e| l1(e.to_string()))?;
    let settings: Settings = read(&store.join("soft-l1.json"))?;
    let tls = server_tls(store).map_err(l1)?;
    let listener = listen("soft L1", address).await?;
    let options = Options {
        folder: store.to_owned(),
        tls,
        admin: Token::new(settings.admin),
        principals: settings.principals.into_iter().map(|(name, token)| (name, Token::new(token))).collect(),
        keys: settings.keys.into_iter().map(|(name, allow)| KeySpec { name, allow }).collect(),
        connections_max: CONNECTIONS_MAX,
        development,
    };
    tracing::info!(%address, "soft L1 is up (development only)");
    Ok(serve(listener, options, ending.wait()).await?)
}

fn server_tls(store: &Path) -> Result<std::sync::Arc<rustls::ServerConfig>, String> {
    use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
    let chain: Vec<_> = CertificateDer::pem_file_iter(store.join("server.pem"))
        .map_err(|e| e.to_string())?
        .collect::<Result<_, _>>()
        .map_err(|e| e.to_string())?;
    let key = PrivateKeyDer::from_pem_file(store.join("server.key")).map_err(|e| e.to_string())?;
    let config = rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key);
    Ok(std::sync::Arc::new(config.map_err(|e| e.to_string())?))
}
