//! The dialer: keeps one session to one peer, for ever.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use orbital::names::NodeName;
use ractor::ActorRef;
use ractor_cluster::{NodeServerMessage, client_connect_external};
use rustls::pki_types::ServerName;
use tokio::{net::TcpStream, time::timeout};
use tokio_rustls::TlsConnector;

use super::{
    lane::Links,
    listener::{Stream, identity, tune},
};

/// Longest wait for TCP and TLS together.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// First wait before dialing again.
const AGAIN_FIRST: Duration = Duration::from_millis(50);
/// Longest wait.
const AGAIN_MAX: Duration = Duration::from_secs(2);
/// How long a session may take from TLS to ready.
const READY_TIMEOUT: Duration = Duration::from_secs(5);

/// A peer to keep a session with.
pub struct Dial {
    pub peer: NodeName,
    /// It is at one of these; the others stand by and answer nobody.
    pub addresses: Vec<SocketAddr>,
    pub tls: Arc<rustls::ClientConfig>,
}

pub(super) async fn run(dial: Dial, server: ActorRef<NodeServerMessage>, links: Arc<Links>) {
    let mut again = AGAIN_FIRST;
    let mut changes = links.changes();
    loop {
        match connect_any(&dial, &links).await {
            Ok(stream) => {
                if client_connect_external(&server, Box::new(stream)).await.is_err() {
                    return;
                }
                let ready = async {
                    while !links.is_up(&dial.peer) {
                        if changes.changed().await.is_err() {
                            return;
                        }
                    }
                };
                if timeout(READY_TIMEOUT, ready).await.is_ok() {
                    again = AGAIN_FIRST;
                    while links.is_up(&dial.peer) {
                        if changes.changed().await.is_err() {
                            return;
                        }
                    }
                }
            }
            Err(why) => tracing::debug!(peer = %dial.peer, lane = %links.lane, "cannot reach: {why}"),
        }
        tokio::time::sleep(again).await;
        again = (again * 2).min(AGAIN_MAX);
    }
}

type Connected = Stream<tokio_rustls::client::TlsStream<TcpStream>>;

/// The first place that answers as the peer.
async fn connect_any(dial: &Dial, links: &Links) -> Result<Connected, String> {
    let mut refused = Vec::new();
    for address in &dial.addresses {
        match connect(dial, *address, links).await {
            Ok(stream) => return Ok(stream),
            Err(why) => refused.push(format!("{address}: {why}")),
        }
    }
    Err(refused.join("; "))
}

async fn connect(dial: &Dial, address: SocketAddr, links: &Links) -> Result<Connected, String> {
    let connected = timeout(CONNECT_TIMEOUT, async {
        let tcp = TcpStream::connect(address).await?;
        tune(&tcp)?;
        TlsConnector::from(dial.tls.clone()).connect(ServerName::from(address.ip()), tcp).await
    })
    .await;
    let tls = connected.map_err(|_| "no answer in time".to_owned())?.map_err(|e| e.to_string())?;
    let label = identity(tls.get_ref().1.peer_certificates(), links)?;
    if links.peers.get(&label) == Some(&dial.peer) {
        Ok(Stream { tls, label })
    } else {
        Err(format!("{label} answered instead of {}", dial.peer))
    }
}
